// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Who may write which thread into tasks, what a member keeps and gives back,
 * and messages that two incarnations of a task must not mix.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"

#define NOBODY	65534

static struct gt_agent agent;

FIXTURE(join) {
	struct gt_enclave e;
	struct gt_task t;
	bool gaps;		/* the test holds messages back on purpose */
};

FIXTURE_SETUP(join)
{
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->t));
}

FIXTURE_TEARDOWN(join)
{
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	gt_task_end(&self->t);
	if (!self->gaps) {
		EXPECT_EQ(0, self->e.q.gaps);
	}
	gt_enclave_close(&self->e);
}

static int leave(pid_t pid)
{
	struct sched_param sp = { 0 };

	return sched_setscheduler(pid, SCHED_OTHER, &sp) ? -errno : 0;
}

/* ---- the number ---- */

TEST_F(join, number_may_be_hexadecimal_and_end_a_line)
{
	char buf[64];

	snprintf(buf, sizeof(buf), "0x%x\n", self->t.pid);
	EXPECT_EQ((int)strlen(buf), gt_put(self->e.tasks, buf));
	EXPECT_EQ(SCHED_GHOST, gt_policy(self->t.pid));
	ASSERT_EQ(0, leave(self->t.pid));
	snprintf(buf, sizeof(buf), "0%o", self->t.pid);
	EXPECT_EQ((int)strlen(buf), gt_put(self->e.tasks, buf));
	EXPECT_EQ(SCHED_GHOST, gt_policy(self->t.pid));
	self->gaps = true;
}

TEST_F(join, gtid_must_match_exactly)
{
	uint64_t gtid = self->t.gtid;
	uint64_t t[] = { gtid + 1, gtid - 1, gtid ^ (1ULL << 40),
			 gtid & ~((1ULL << 41) - 1), gtid | (1ULL << 63) };
	char buf[64];
	int i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		snprintf(buf, sizeof(buf), "%lld", (long long)t[i]);
		EXPECT_EQ(-ESRCH, gt_put(self->e.tasks, buf))
			TH_LOG("%s", buf);
	}
	EXPECT_EQ(SCHED_OTHER, gt_policy(self->t.pid));
}

/* Thread ids are those of the writer, what is read is global. */
TEST_F(join, number_is_of_the_writers_namespace)
{
	char buf[64], want[64];
	int from[2], status;
	pid_t pid, inner = 0;

	ASSERT_EQ(0, pipe(from));
	pid = fork();
	if (!pid) {
		pid_t init;

		if (unshare(CLONE_NEWPID))
			_exit(errno == EINVAL ? 77 : 1);
		init = fork();
		if (!init) {
			/* Thread 1 here; thread 2 sleeps. */
			pid_t two;
			int ret;

			prctl(PR_SET_PDEATHSIG, SIGKILL);
			two = fork();
			if (!two) {
				pause();
				_exit(0);
			}
			ret = two == 2 ? gt_put(self->e.tasks, "2") : -1;
			if (write(from[1], &ret, sizeof(ret)) == sizeof(ret))
				pause();
			_exit(0);
		}
		pause();
		_exit(0);
	}
	close(from[1]);
	if (read(from[0], &status, sizeof(status)) != sizeof(status)) {
		waitpid(pid, &status, 0);
		ASSERT_EQ(77, WEXITSTATUS(status));
		SKIP(return, "a kernel without pid namespaces");
	}
	EXPECT_EQ(1, status);
	EXPECT_LT(0, gt_file_get(&self->e, "tasks", buf, sizeof(buf)));
	inner = atoi(buf);
	snprintf(want, sizeof(want), "%d\n", inner);
	EXPECT_STREQ(want, buf);
	EXPECT_LT(2, inner);
	EXPECT_EQ(SCHED_GHOST, gt_policy(inner));
	EXPECT_EQ(inner, gt_gtid_of(inner) >> GHOST_GTID_SEQNUM_BITS);
	gt_destroy(&self->e);
	kill(inner, SIGKILL);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* ---- permission ---- */

/* Runs as nobody: what the write of a sleeping child's number gives. */
static int join_as_nobody(struct gt_enclave *e, int policy)
{
	struct sched_param sp = { 0 };
	int status;
	pid_t pid;

	pid = fork();
	if (!pid) {
		int fd, ret;
		char buf[16];
		pid_t child;

		if (setgid(NOBODY) || setuid(NOBODY))
			_exit(100);
		fd = gt_file(e, "tasks", O_WRONLY);
		child = fork();
		if (!child) {
			pause();
			_exit(0);
		}
		if (fd < 0 || sched_setscheduler(child, policy, &sp))
			_exit(101);
		snprintf(buf, sizeof(buf), "%d", child);
		ret = gt_put(fd, buf);
		if (ret > 0 && sched_getscheduler(child) != SCHED_GHOST)
			ret = -102;
		kill(child, SIGKILL);
		_exit(ret > 0 ? 0 : -ret);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -1000;
}

TEST_F(join, permission_is_that_of_setscheduler)
{
	EXPECT_EQ(0, join_as_nobody(&self->e, SCHED_OTHER));
	EXPECT_EQ(0, join_as_nobody(&self->e, SCHED_BATCH));
	EXPECT_EQ(-EPERM, join_as_nobody(&self->e, SCHED_IDLE))
		TH_LOG("leaves SCHED_IDLE without the right to");
	EXPECT_EQ(-EPERM, join_as_nobody(&self->e,
					 SCHED_OTHER | SCHED_RESET_ON_FORK))
		TH_LOG("clears reset-on-fork without the right to");
}

/* ---- what a member has ---- */

TEST_F(join, joining_keeps_the_nice_value)
{
	struct sched_param sp = { .sched_priority = 5 };
	int i;

	/* From real time, too: its priority becomes 0. */
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, setpriority(PRIO_PROCESS, self->t.pid, 6));
		if (i) {
			ASSERT_EQ(0, sched_setscheduler(self->t.pid,
							SCHED_FIFO, &sp));
		}
		ASSERT_EQ(0, gt_join(&self->e, self->t.pid));
		EXPECT_EQ(6, getpriority(PRIO_PROCESS, self->t.pid));
		ASSERT_EQ(0, sched_getparam(self->t.pid, &sp));
		EXPECT_EQ(0, sp.sched_priority);
		sp.sched_priority = 5;
		ASSERT_EQ(0, leave(self->t.pid));
	}
	self->gaps = true;
}

TEST_F(join, runtime_counts_from_birth)
{
	struct ghost_ioc_get_cpu_time time = { .gtid = self->t.gtid };
	struct gt_msg m;

	/* Work before it joins. */
	gt_tell(&self->t, GT_SPIN);
	ASSERT_TRUE(gt_spins(&self->t));
	gt_sleep_ms(100);
	gt_tell(&self->t, GT_BLOCK);
	ASSERT_TRUE(gt_asleep(&self->t));
	ASSERT_EQ(0, gt_ioctl(self->e.ctl, GHOST_IOC_GET_CPU_TIME, &time));
	EXPECT_LT(10000000, time.runtime);
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, &m));
	/* It may have been on its way to sleep. */
	EXPECT_LE(time.runtime, m.new_.runtime);
	ASSERT_EQ(0, gt_ioctl(self->e.ctl, GHOST_IOC_GET_CPU_TIME, &time));
	EXPECT_EQ(time.runtime, m.new_.runtime);
	EXPECT_EQ(time.runtime, gt_sw(&self->e, self->t.gtid)->runtime);
}

TEST_F(join, words_are_given_out_in_turn)
{
	struct ghost_sw_info info, last = { 0, -1 };
	int i;

	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, gt_join(&self->e, self->t.pid));
		ASSERT_EQ(0, gt_sw_info(&self->e, GHOST_TASK, self->t.gtid,
					&info));
		EXPECT_EQ(0, info.id);
		EXPECT_EQ(last.index + 1, info.index)
			TH_LOG("a freed word is not the next one");
		last = info;
		ASSERT_EQ(0, leave(self->t.pid));
		ASSERT_EQ(0, gt_sw_free(&self->e, info));
	}
	EXPECT_EQ(GHOST_SW_REGION_CAPACITY, self->e.region->available);
}

/* It needs the CPU to die; nobody hears of its way. */
static bool is_dead(struct gt_enclave *e, struct gt_task *t)
{
	struct ghost_status_word *sw = gt_sw(e, t->gtid);
	uint32_t flags = sw ? gt_flags(sw) : 0;

	if ((flags & GHOST_SW_TASK_RUNNABLE) && !(flags & GHOST_SW_TASK_ONCPU))
		gt_schedule(&agent, 1, t, 0);
	return !sw;
}

TEST_F(join, death_unheard_frees_the_word)
{
	struct ghost_ioc_set_default_queue def;
	struct gt_queue q;

	/* A default queue that nobody else has open, closed: there is none. */
	ASSERT_EQ(0, gt_queue_create(self->e.ctl, 64, &q));
	def.fd = q.fd;
	ASSERT_EQ(0, gt_ioctl(self->e.ctl, GHOST_IOC_SET_DEFAULT_QUEUE, &def));
	gt_queue_close(&q);
	ASSERT_EQ(0, gt_join(&self->e, self->t.pid));
	EXPECT_EQ(GHOST_SW_REGION_CAPACITY - 1, self->e.region->available);
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, self->e.q.fd));
	kill(self->t.pid, SIGKILL);
	EXPECT_TRUE(gt_wait_for(is_dead(&self->e, &self->t)));
	EXPECT_EQ('Z', gt_proc_state(self->t.pid));
	/* What is left is the agent's. */
	EXPECT_EQ(GHOST_SW_REGION_CAPACITY - 1, self->e.region->available);
}

static long fork_in_vain(long pid)
{
	pid_t set_tid[] = { pid };
	struct clone_args args = {
		.exit_signal = SIGCHLD,
		.set_tid = (unsigned long)set_tid,
		.set_tid_size = 1,
	};
	long ret = syscall(SYS_clone3, &args, sizeof(args));

	if (!ret)
		_exit(0);
	return ret < 0 ? -errno : ret;
}

/* The number is found to be taken after the child got its word. */
TEST_F(join, failed_fork_frees_the_word)
{
	int i;

	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	for (i = 1; i <= 5; i++) {
		gt_tell_call(&self->t, fork_in_vain, getpid());
		ASSERT_EQ(0, gt_drive(&agent, 1, &self->t, MSG_TASK_BLOCKED,
				      NULL));
		EXPECT_EQ(-EEXIST, self->t.ctl->result);
	}
	EXPECT_EQ(GHOST_SW_REGION_CAPACITY - 2, self->e.region->available);
	EXPECT_EQ(-ETIMEDOUT, gt_next(&self->e.q, GT_ANY, 0, NULL))
		TH_LOG("somebody else was announced");
}

/* ---- two incarnations ---- */

TEST_F(join, gated_messages_step_the_barrier)
{
	struct ghost_status_word *sw;
	struct ghost_sw_info old;
	struct gt_msg m;
	uint32_t before;

	self->gaps = true;
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_sw_info(&self->e, GHOST_TASK, self->t.gtid, &old));
	ASSERT_EQ(0, leave(self->t.pid));
	ASSERT_EQ(0, gt_next_type(&self->e.q, self->t.gtid, MSG_TASK_DEPARTED,
				  &m));
	ASSERT_EQ(0, gt_join(&self->e, self->t.pid));
	sw = gt_sw(&self->e, self->t.gtid);
	ASSERT_NE(NULL, sw);
	/* It goes on where the first life ended, and NEW was one step. */
	EXPECT_EQ(m.seqnum + 1, gt_barrier(sw));
	before = gt_barrier(sw);
	ASSERT_EQ(0, setpriority(PRIO_PROCESS, self->t.pid, 1));
	ASSERT_EQ(0, gt_pin(self->t.pid, 1));
	gt_tell(&self->t, GT_SPIN);
	EXPECT_TRUE(gt_wait_for(gt_barrier(sw) == before + 3));
	EXPECT_EQ(-ETIMEDOUT, gt_next(&self->e.q, self->t.gtid, GT_QUIET_MS,
				      NULL));
	ASSERT_EQ(0, gt_sw_free(&self->e, old));
	ASSERT_EQ(0, gt_next(&self->e.q, self->t.gtid, GT_WAIT_MS, &m));
	EXPECT_EQ(MSG_TASK_NEW, m.type);
	EXPECT_EQ(before + 4, m.seqnum);
	EXPECT_EQ(1, m.new_.runnable);
	EXPECT_EQ(1, m.new_.nice);
}

TEST_F(join, gated_by_another_abi)
{
	struct gt_enclave old = { .id = 5300, .ctl = -1, .q.fd = -1 };
	struct ghost_sw_info info;
	struct gt_msg m;

	ASSERT_EQ(14, gt_write_file(GT_ROOT "/ctl", "create 5300 90"));
	snprintf(old.dir, sizeof(old.dir), GT_ROOT "/enclave_%d", old.id);
	old.ctl = gt_file(&old, "ctl", O_RDWR);
	old.tasks = gt_file(&old, "tasks", O_RDWR);
	ASSERT_LT(0, gt_put(old.ctl, "create sw_region 0 0"));

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_sw_info(&self->e, GHOST_TASK, self->t.gtid, &info));
	ASSERT_EQ(0, leave(self->t.pid));
	ASSERT_EQ(0, gt_next_type(&self->e.q, self->t.gtid, MSG_TASK_DEPARTED,
				  &m));
	EXPECT_EQ(-EINVAL, gt_join(&old, self->t.pid));
	EXPECT_EQ(SCHED_OTHER, gt_policy(self->t.pid));
	ASSERT_EQ(0, gt_sw_free(&self->e, info));
	EXPECT_EQ(0, gt_join(&old, self->t.pid));
	EXPECT_EQ(SCHED_GHOST, gt_policy(self->t.pid));
	gt_destroy(&old);
	gt_enclave_close(&old);
}

/* Nobody frees the word: the last reference of the enclave does. */
/* Whoever has its files open: what is to wait for is who schedules there. */
TEST_F(join, end_of_the_enclave_ungates)
{
	struct gt_enclave old = { .id = 5300, .ctl = -1, .q.fd = -1 };
	struct sched_param sp = { 0 };
	struct gt_msg m;

	ASSERT_EQ(14, gt_write_file(GT_ROOT "/ctl", "create 5300 90"));
	snprintf(old.dir, sizeof(old.dir), GT_ROOT "/enclave_%d", old.id);
	old.ctl = gt_file(&old, "ctl", O_RDWR);
	ASSERT_LT(0, gt_put(old.ctl, "create sw_region 0 0"));
	ASSERT_EQ(0, gt_queue_create(old.ctl, 64, &old.q));
	ASSERT_EQ(0, gt_ioctl(old.ctl, GHOST_IOC_SET_DEFAULT_QUEUE,
			      &(struct ghost_ioc_set_default_queue){
				      old.q.fd }));
	old.tasks = gt_file(&old, "tasks", O_RDWR);
	ASSERT_EQ(0, gt_join(&old, self->t.pid));
	ASSERT_EQ(0, sched_setscheduler(self->t.pid, SCHED_OTHER, &sp));
	ASSERT_EQ(0, gt_next_type(&old.q, self->t.gtid, MSG_TASK_DEPARTED,
				  &m));
	EXPECT_EQ(-EINVAL, gt_join(&self->e, self->t.pid));
	ASSERT_EQ(0, gt_destroy(&old));
	ASSERT_TRUE(gt_gone(&old));
	EXPECT_TRUE(gt_wait_for(!gt_join(&self->e, self->t.pid)))
		TH_LOG("gated for ever");
	gt_enclave_close(&old);
	/* The barrier goes on in an enclave that never saw it. */
	ASSERT_EQ(0, gt_next_type(&self->e.q, self->t.gtid, MSG_TASK_NEW, &m));
	EXPECT_EQ(3, m.seqnum);
}

TEST_HARNESS_MAIN
