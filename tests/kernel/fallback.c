// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* The tunable fallback: members run while no agent is able to. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"

#define STALL_MAX	"/proc/sys/kernel/ghost_stall_max_ms"
#define CGROUP		"/sys/fs/cgroup/ghost_fallback"
#define FREEZER		"/tmp/ghost-freezer"	/* of cgroup 1 */
#define ROUNDS		20

static struct gt_agent agent;

FIXTURE(fallback) {
	struct gt_enclave e;
	struct gt_task t;
	pid_t host;
};

FIXTURE_SETUP(fallback)
{
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(1, gt_file_put(&self->e, "fallback", "1"));
	ASSERT_EQ(0, gt_task_start(&self->t));
}

FIXTURE_TEARDOWN(fallback)
{
	gt_write_file(CGROUP "/cgroup.freeze", "0");
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	if (self->host > 0) {
		kill(self->host, SIGKILL);
		waitpid(self->host, NULL, 0);
	}
	rmdir(CGROUP);
	gt_write_file(FREEZER "/a/freezer.state", "THAWED");
	gt_wait_for(!rmdir(FREEZER "/a") || errno == ENOENT);
	umount2(FREEZER, MNT_DETACH);
	gt_task_end(&self->t);
	gt_enclave_close(&self->e);
}

static struct ghost_status_word *sw_of(struct gt_enclave *e, struct gt_task *t)
{
	return gt_sw(e, t->gtid);
}

static bool runnable(struct gt_enclave *e, struct gt_task *t)
{
	struct ghost_status_word *sw = sw_of(e, t);

	return sw && (gt_flags(sw) & GHOST_SW_TASK_RUNNABLE);
}

/* Nothing changes the barrier of the task any more. */
static bool barrier_stands(struct gt_enclave *e, struct gt_task *t)
{
	uint32_t before = gt_barrier(sw_of(e, t));

	gt_sleep_ms(GT_QUIET_MS);
	return gt_barrier(sw_of(e, t)) == before;
}

/* Joins, and gives the kernel time to lend it. */
static int join_asleep(FIXTURE_DATA(fallback) *self)
{
	int ret = gt_join_asleep(&self->e, &self->t, NULL);

	gt_sleep_ms(100);
	return ret;
}

/* It runs, so it is lent; only that it woke up before it was may be told. */
static bool passed_wakeup(FIXTURE_DATA(fallback) *self)
{
	struct gt_msg m;

	if (gt_next(&self->e.q, self->t.gtid, 0, &m))
		return true;
	return m.type == MSG_TASK_WAKEUP &&
		!gt_next(&self->e.q, self->t.gtid, GT_WAIT_MS, &m) &&
		m.type == MSG_TASK_BLOCKED &&
		gt_next(&self->e.q, self->t.gtid, 0, &m);
}

#define EXPECT_NEXT(want) do {						\
	struct gt_msg __m = { 0 };					\
									\
	EXPECT_EQ(0, gt_next(&self->e.q, self->t.gtid, GT_WAIT_MS, &__m)); \
	EXPECT_STREQ(gt_msg_name(want), gt_msg_name(__m.type));		\
} while (0)

#define EXPECT_NO_MORE() do {						\
	struct gt_msg __m = { 0 };					\
									\
	EXPECT_EQ(-ETIMEDOUT, gt_next(&self->e.q, self->t.gtid,		\
				      GT_QUIET_MS, &__m))		\
		TH_LOG("%s", gt_msg_name(__m.type));			\
} while (0)

TEST_F(fallback, tunable)
{
	static const struct {
		const char *text;
		int ret;
		const char *value;
	} t[] = {
		{ "0", 1, "0" }, { "1\n", 2, "1" }, { "x", -EINVAL, "1" },
		{ "", -EINVAL, "1" }, { "-3", 2, "1" }, { "0x0", 3, "0" },
	};
	struct gt_enclave e;
	char buf[512];
	int i;

	ASSERT_EQ(0, gt_enclave_bare(&e));
	ASSERT_EQ(1, gt_file_get(&e, "fallback", buf, sizeof(buf)));
	EXPECT_STREQ("0", buf);
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		EXPECT_EQ(t[i].ret, gt_file_put(&e, "fallback", t[i].text))
			TH_LOG("'%s'", t[i].text);
		gt_file_get(&e, "fallback", buf, sizeof(buf));
		EXPECT_STREQ(t[i].value, buf) TH_LOG("'%s'", t[i].text);
	}
	ASSERT_LT(0, gt_file_get(&e, "features", buf, sizeof(buf)));
	EXPECT_NE(NULL, strstr(buf, "fallback\n"));
	EXPECT_EQ(0, gt_destroy(&e));
	gt_enclave_close(&e);
}

TEST_F(fallback, no_agent_yet)
{
	gt_tell(&self->t, GT_SPIN);
	ASSERT_TRUE(gt_spins(&self->t));
	ASSERT_EQ(0, gt_join(&self->e, self->t.pid));
	EXPECT_NEXT(MSG_TASK_NEW);
	EXPECT_NEXT(MSG_TASK_BLOCKED);
	EXPECT_TRUE(gt_spins(&self->t));
	EXPECT_EQ(SCHED_GHOST, gt_policy(self->t.pid));
	EXPECT_FALSE(runnable(&self->e, &self->t));
	/* However it sleeps and wakes: not a word. */
	gt_tell(&self->t, GT_BLOCK);
	ASSERT_TRUE(gt_asleep(&self->t));
	gt_tell(&self->t, GT_YIELD);
	EXPECT_TRUE(gt_spins(&self->t));
	EXPECT_NO_MORE();
}

TEST_F(fallback, turned_on_and_off)
{
	ASSERT_EQ(1, gt_file_put(&self->e, "fallback", "0"));
	ASSERT_EQ(0, join_asleep(self));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	EXPECT_TRUE(gt_stands(&self->t));
	ASSERT_EQ(1, gt_file_put(&self->e, "fallback", "1"));
	EXPECT_TRUE(gt_spins(&self->t));
	EXPECT_NEXT(MSG_TASK_BLOCKED);
	ASSERT_EQ(1, gt_file_put(&self->e, "fallback", "0"));
	EXPECT_NEXT(MSG_TASK_WAKEUP);
	EXPECT_TRUE(runnable(&self->e, &self->t));
	EXPECT_TRUE(gt_stands(&self->t));
	EXPECT_EQ(0, self->e.q.gaps);
}

/* Ends when the first agent has joined, so that discovery finds rest. */
TEST_F(fallback, ends_with_the_first_agent)
{
	ASSERT_EQ(0, join_asleep(self));
	gt_tell(&self->t, GT_SPIN);
	ASSERT_TRUE(gt_spins(&self->t));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	EXPECT_NEXT(MSG_TASK_WAKEUP);
	EXPECT_TRUE(runnable(&self->e, &self->t));
	EXPECT_TRUE(barrier_stands(&self->e, &self->t));
	EXPECT_TRUE(gt_stands(&self->t));
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->t, 0));
	EXPECT_TRUE(gt_runs(&agent, 1, &self->t));
	EXPECT_EQ(0, self->e.q.gaps);
}

TEST_F(fallback, begins_with_the_last_agent)
{
	struct gt_msg m;

	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	ASSERT_EQ(0, join_asleep(self));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	EXPECT_TRUE(gt_stands(&self->t));
	ASSERT_EQ(0, gt_agent_stop(&agent));
	ASSERT_EQ(0, gt_next_type(&self->e.q, self->t.gtid, MSG_TASK_BLOCKED, &m));
	EXPECT_TRUE(gt_spins(&self->t));
	/* It is where a boosted task would be. */
	EXPECT_NO_MORE();
}

TEST_F(fallback, one_of_two_agents)
{
	static struct gt_agent other;

	if (gt_ncpus() < 3)
		SKIP(return, "needs 3 CPUs");
	ASSERT_EQ(0, gt_set_cpus(&self->e, "1-2"));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	ASSERT_EQ(0, gt_agent_start(&other, &self->e, 2, -1));
	ASSERT_EQ(0, join_asleep(self));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_agent_stop(&other));
	EXPECT_TRUE(gt_stands(&self->t));
	ASSERT_EQ(0, gt_agent_stop(&agent));
	EXPECT_TRUE(gt_spins(&self->t));
}

TEST_F(fallback, running_and_latched)
{
	struct gt_task other = { 0 };

	ASSERT_EQ(0, gt_task_start(&other));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	ASSERT_EQ(0, join_asleep(self));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &other, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &other, NULL));
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->t, 0));
	ASSERT_TRUE(gt_runs(&agent, 1, &self->t));
	ASSERT_EQ(0, gt_agent_stop(&agent));
	EXPECT_TRUE(gt_spins(&self->t));
	EXPECT_TRUE(gt_spins(&other));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	EXPECT_TRUE(gt_stands(&self->t));
	EXPECT_TRUE(gt_stands(&other));
	EXPECT_TRUE(runnable(&self->e, &self->t));
	EXPECT_TRUE(runnable(&self->e, &other));
	EXPECT_EQ(0, self->e.q.gaps);
	gt_agent_stop(&agent);
	gt_task_end(&other);
}

TEST_F(fallback, stopped_agent)
{
	self->host = gt_host_start(&self->e, 1, NULL, NULL);
	ASSERT_LT(0, self->host);
	ASSERT_EQ(0, join_asleep(self));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	EXPECT_TRUE(gt_stands(&self->t));
	ASSERT_EQ(0, kill(self->host, SIGSTOP));
	EXPECT_NEXT(MSG_TASK_BLOCKED);
	EXPECT_TRUE(gt_spins(&self->t));
	ASSERT_EQ(0, kill(self->host, SIGCONT));
	EXPECT_NEXT(MSG_TASK_WAKEUP);
	EXPECT_TRUE(gt_stands(&self->t));
	EXPECT_EQ(0, self->e.q.gaps);
}

TEST_F(fallback, frozen_agent)
{
	char pid[16];

	if (mkdir(CGROUP, 0755) && errno != EEXIST)
		SKIP(return, "needs cgroup2");
	self->host = gt_host_start(&self->e, 1, NULL, NULL);
	ASSERT_LT(0, self->host);
	snprintf(pid, sizeof(pid), "%d", self->host);
	ASSERT_LT(0, gt_write_file(CGROUP "/cgroup.procs", pid));
	ASSERT_EQ(0, join_asleep(self));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	EXPECT_TRUE(gt_stands(&self->t));
	ASSERT_EQ(1, gt_write_file(CGROUP "/cgroup.freeze", "1"));
	EXPECT_NEXT(MSG_TASK_BLOCKED);
	EXPECT_TRUE(gt_spins(&self->t));
	ASSERT_EQ(1, gt_write_file(CGROUP "/cgroup.freeze", "0"));
	EXPECT_NEXT(MSG_TASK_WAKEUP);
	EXPECT_TRUE(gt_stands(&self->t));
}

/*
 * The freezer of version 1 leaves who sleeps where it is: nobody runs who could say
 * so, and the watchdog finds it.
 */
TEST_F(fallback, frozen_agent_that_sleeps)
{
	char pid[16], state[32] = "";

	mkdir(FREEZER, 0755);
	if (mount("ghost-freezer", FREEZER, "cgroup", 0, "freezer"))
		SKIP(return, "needs the freezer of cgroup 1");
	mkdir(FREEZER "/a", 0755);
	self->host = gt_host_start(&self->e, 1, NULL, NULL);
	ASSERT_LT(0, self->host);
	snprintf(pid, sizeof(pid), "%d", self->host);
	ASSERT_LT(0, gt_write_file(FREEZER "/a/cgroup.procs", pid));
	ASSERT_EQ(0, join_asleep(self));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	EXPECT_TRUE(gt_stands(&self->t));
	ASSERT_EQ(6, gt_write_file(FREEZER "/a/freezer.state", "FROZEN"));
	EXPECT_TRUE(gt_wait_for((gt_read_file(FREEZER "/a/freezer.state", state,
					      sizeof(state)),
				 !strcmp(state, "FROZEN\n"))))
		TH_LOG("%s", state);
	EXPECT_NEXT(MSG_TASK_BLOCKED);
	EXPECT_TRUE(gt_spins(&self->t));
	ASSERT_EQ(6, gt_write_file(FREEZER "/a/freezer.state", "THAWED"));
	EXPECT_NEXT(MSG_TASK_WAKEUP);
	EXPECT_TRUE(gt_stands(&self->t));
}

TEST_F(fallback, asleep)
{
	ASSERT_EQ(0, join_asleep(self));
	EXPECT_NO_MORE();
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	EXPECT_NO_MORE();
	EXPECT_FALSE(runnable(&self->e, &self->t));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	EXPECT_TRUE(gt_stands(&self->t));
}

static long fork_spinner(long arg)
{
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			;
	}
	return pid;
}

static uint64_t ticks_of(pid_t pid)
{
	char path[64], buf[128];

	snprintf(path, sizeof(path), "/proc/%d/schedstat", pid);
	return gt_read_file(path, buf, sizeof(buf)) > 0 ?
		strtoull(buf, NULL, 10) : 0;
}

/* A child that is born meanwhile runs, too, and is a member. */
TEST_F(fallback, fork)
{
	struct gt_task *t = &self->t;
	uint64_t gtid, before;
	pid_t child;

	ASSERT_EQ(0, gt_join_asleep(&self->e, t, NULL));
	gt_tell_call(t, fork_spinner, 0);
	ASSERT_TRUE(gt_wait_for(t->ctl->done == t->ctl->seq));
	child = t->ctl->result;
	ASSERT_LT(0, child);
	gtid = gt_gtid_of(child);
	EXPECT_EQ(SCHED_GHOST, gt_policy(child));
	EXPECT_EQ(0, gt_next_type(&self->e.q, gtid, MSG_TASK_NEW, NULL));
	EXPECT_EQ(0, gt_next_type(&self->e.q, gtid, MSG_TASK_BLOCKED, NULL));
	before = ticks_of(child);
	EXPECT_TRUE(gt_wait_for(ticks_of(child) != before));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	EXPECT_EQ(0, gt_next_type(&self->e.q, gtid, MSG_TASK_WAKEUP, NULL));
	ASSERT_EQ(0, gt_agent_stop(&agent));
	ASSERT_EQ(0, gt_next_type(&self->e.q, gtid, MSG_TASK_BLOCKED, NULL));
	ASSERT_EQ(0, kill(child, SIGKILL));
	EXPECT_EQ(0, gt_next_type(&self->e.q, gtid, MSG_TASK_DEAD, NULL));
	EXPECT_EQ(0, self->e.q.gaps);
}

TEST_F(fallback, death)
{
	struct ghost_sw_info info;

	ASSERT_EQ(0, join_asleep(self));
	ASSERT_EQ(0, gt_sw_info(&self->e, GHOST_TASK, self->t.gtid, &info));
	gt_tell(&self->t, GT_SPIN);
	ASSERT_TRUE(gt_spins(&self->t));
	ASSERT_TRUE(passed_wakeup(self));
	kill(self->t.pid, SIGKILL);
	EXPECT_NEXT(MSG_TASK_DEAD);
	EXPECT_TRUE(gt_flags(gt_sw_at(&self->e, info)) & GHOST_SW_F_CANFREE);
	EXPECT_EQ(0, gt_sw_free(&self->e, info));
}

TEST_F(fallback, departure_and_return)
{
	struct sched_param param = { 0 };
	struct ghost_sw_info info;

	ASSERT_EQ(0, join_asleep(self));
	ASSERT_EQ(0, gt_sw_info(&self->e, GHOST_TASK, self->t.gtid, &info));
	gt_tell(&self->t, GT_SPIN);
	ASSERT_TRUE(gt_spins(&self->t));
	ASSERT_TRUE(passed_wakeup(self));
	ASSERT_EQ(0, sched_setscheduler(self->t.pid, SCHED_OTHER, &param));
	EXPECT_NEXT(MSG_TASK_DEPARTED);
	ASSERT_EQ(0, gt_sw_free(&self->e, info));
	ASSERT_EQ(0, gt_join(&self->e, self->t.pid));
	EXPECT_NEXT(MSG_TASK_NEW);
	EXPECT_NEXT(MSG_TASK_BLOCKED);
	EXPECT_TRUE(gt_spins(&self->t));
}

/* Somebody changes what may be changed of a lent member: it stays so. */
TEST_F(fallback, nice_affinity_and_policy)
{
	struct sched_param param = { 0 };

	ASSERT_EQ(0, join_asleep(self));
	gt_tell(&self->t, GT_SPIN);
	ASSERT_TRUE(gt_spins(&self->t));
	ASSERT_TRUE(passed_wakeup(self));
	EXPECT_EQ(0, setpriority(PRIO_PROCESS, self->t.pid, 5));
	EXPECT_EQ(0, gt_pin(self->t.pid, 0));
	EXPECT_EQ(0, gt_pin(self->t.pid, -1));
	EXPECT_EQ(0, sched_setscheduler(self->t.pid, SCHED_GHOST | GT_RESET_ON_FORK,
					&param));
	EXPECT_TRUE(gt_spins(&self->t));
	EXPECT_EQ(SCHED_GHOST, gt_policy(self->t.pid) & ~GT_RESET_ON_FORK);
	EXPECT_NO_MORE();
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	EXPECT_NEXT(MSG_TASK_WAKEUP);
	EXPECT_EQ(5, getpriority(PRIO_PROCESS, self->t.pid));
}

TEST_F(fallback, commit_is_stale)
{
	struct ghost_status_word *sw;
	struct gt_txn t = { 0 };

	self->host = gt_host_start(&self->e, 1, NULL, NULL);
	ASSERT_LT(0, self->host);
	ASSERT_EQ(0, join_asleep(self));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	ASSERT_EQ(0, kill(self->host, SIGSTOP));
	ASSERT_TRUE(gt_spins(&self->t));
	sw = sw_of(&self->e, &self->t);
	t.gtid = self->t.gtid;
	t.task_barrier = gt_barrier(sw);
	gt_txn_fill(&self->e, 1, &t);
	/* Greedy: that CPU commits it by itself. */
	EXPECT_EQ(0, gt_txn_ioctl(&self->e, 1 << 1));
	EXPECT_STATE(GHOST_TXN_TARGET_STALE, gt_txn_wait(&self->e, 1));
	EXPECT_TRUE(gt_spins(&self->t));
}

TEST_F(fallback, destroyed)
{
	ASSERT_EQ(0, join_asleep(self));
	gt_tell(&self->t, GT_SPIN);
	ASSERT_TRUE(gt_spins(&self->t));
	ASSERT_EQ(0, gt_destroy(&self->e));
	ASSERT_TRUE(gt_gone(&self->e));
	EXPECT_TRUE(gt_wait_for(gt_policy(self->t.pid) == SCHED_OTHER));
	EXPECT_TRUE(gt_spins(&self->t));
}

static struct {
	uint32_t word;
	uint32_t go;
} *pi;

static long pi_futex(int op)
{
	return syscall(SYS_futex, &pi->word, op, 0, NULL, NULL, 0);
}

static long hold_and_spin(long arg)
{
	pi_futex(FUTEX_LOCK_PI);
	while (!__atomic_load_n(&pi->go, __ATOMIC_ACQUIRE))
		;
	pi_futex(FUTEX_UNLOCK_PI);
	for (;;)
		;
	return 0;
}

/* Field 18 of stat: below 0 it is real-time. */
static long prio_of(pid_t pid)
{
	char path[64], buf[512], *p;
	int i;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (gt_read_file(path, buf, sizeof(buf)) <= 0)
		return 0;
	p = strrchr(buf, ')') + 1;
	for (i = 3; i < 18; i++)
		p = strchr(p + 1, ' ');
	return atol(p);
}

/* A lent member is boosted, and is lent again when that ends. */
TEST_F(fallback, boost)
{
	struct sched_param rt = { .sched_priority = 1 };
	struct gt_task t = { 0 };
	uint64_t before;
	pid_t waiter;
	int status;

	pi = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		  -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)pi);
	ASSERT_EQ(0, gt_task_start(&t));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &t, NULL));
	gt_tell_call(&t, hold_and_spin, 0);
	ASSERT_TRUE(gt_wait_for(__atomic_load_n(&pi->word, __ATOMIC_ACQUIRE)));
	waiter = fork();
	ASSERT_LE(0, waiter);
	if (!waiter) {
		if (sched_setscheduler(0, SCHED_FIFO, &rt) ||
		    pi_futex(FUTEX_LOCK_PI) || pi_futex(FUTEX_UNLOCK_PI))
			_exit(1);
		_exit(0);
	}
	EXPECT_TRUE(gt_wait_for(prio_of(t.pid) < 0)) TH_LOG("not boosted");
	EXPECT_FALSE(runnable(&self->e, &t));
	__atomic_store_n(&pi->go, 1, __ATOMIC_RELEASE);
	ASSERT_EQ(waiter, waitpid(waiter, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_TRUE(gt_wait_for(prio_of(t.pid) > 0));
	EXPECT_TRUE(gt_wait_for(!runnable(&self->e, &t)));
	before = ticks_of(t.pid);
	EXPECT_TRUE(gt_wait_for(ticks_of(t.pid) != before));
	EXPECT_EQ(SCHED_GHOST, gt_policy(t.pid));
	gt_queue_consume(&self->e.q);
	EXPECT_EQ(0, self->e.q.gaps);
	gt_task_end(&t);
}

/* Nobody waits, so no limit is hit. */
TEST_F(fallback, timeout_does_not_strike)
{
	ASSERT_EQ(3, gt_file_put(&self->e, "runnable_timeout", "500"));
	ASSERT_EQ(0, join_asleep(self));
	gt_tell(&self->t, GT_SPIN);
	gt_sleep_ms(1500);
	EXPECT_EQ(0, access(self->e.dir, F_OK));
	EXPECT_TRUE(gt_spins(&self->t));
}

static long pause_a_little(long arg)
{
	volatile int i;

	for (;;) {
		for (i = 0; i < 20000; i++)
			;
		gt_sleep_ms(1);
	}
	return 0;
}

/* Agents come and go while tasks run, block and wake: in order, none lost. */
TEST_F(fallback, loop)
{
	struct gt_task t[6] = { 0 };
	uint64_t before[6];
	int i, n;

	for (i = 0; i < 6; i++) {
		ASSERT_EQ(0, gt_task_start(&t[i]));
		ASSERT_EQ(0, gt_join_asleep(&self->e, &t[i], NULL));
		if (i < 3)
			gt_tell(&t[i], GT_SPIN);
		else
			gt_tell_call(&t[i], pause_a_little, 0);
	}
	for (n = 0; n < ROUNDS; n++) {
		ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1))
			TH_LOG("round %d", n);
		gt_schedule(&agent, 1, &t[n % 6], 0);
		ASSERT_EQ(0, gt_agent_stop(&agent));
		for (i = 0; i < 6; i++)
			before[i] = ticks_of(t[i].pid);
		for (i = 0; i < 6; i++) {
			ASSERT_TRUE(gt_wait_for(ticks_of(t[i].pid) != before[i]))
				TH_LOG("round %d: task %d stands still", n, i);
		}
		gt_queue_consume(&self->e.q);
	}
	EXPECT_EQ(0, self->e.q.gaps);
	EXPECT_EQ(0, self->e.q.ring->overflow);
	for (i = 0; i < 6; i++)
		gt_task_end(&t[i]);
}

TEST_HARNESS_MAIN
