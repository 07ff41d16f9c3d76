// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Deadline and real-time threads on a CPU of an enclave: they have what is
 * theirs, the tasks have what is left, and the policy is not blamed. Members
 * that become deadline threads, or are not allowed to.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"
#include "gt_policy.h"

#define RT_RUNTIME	"/proc/sys/kernel/sched_rt_runtime_us"
#define DEADLINE	6		/* SCHED_DEADLINE */
#define NOBODY		65534
#define MS		1000000ULL

static struct gt_agent agent;

/* struct sched_attr, which the C library may lack or have. */
struct attr {
	uint32_t size;
	uint32_t policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

static int set_deadline(pid_t pid, int runtime_ms, int deadline_ms)
{
	struct attr a = {
		.size = sizeof(a), .policy = DEADLINE,
		.runtime = runtime_ms * MS, .deadline = deadline_ms * MS,
		.period = deadline_ms * MS,
	};

	return syscall(SYS_sched_setattr, pid, &a, 0) ? -errno : 0;
}

static int set_fifo(pid_t pid)
{
	struct sched_param sp = { .sched_priority = 10 };

	return sched_setscheduler(pid, SCHED_FIFO, &sp) ? -errno : 0;
}

static int set_normal(pid_t pid)
{
	struct sched_param sp = { 0 };

	return sched_setscheduler(pid, SCHED_OTHER, &sp) ? -errno : 0;
}

static uint64_t runtime_of(struct gt_task *t)
{
	char path[64], buf[128];

	snprintf(path, sizeof(path), "/proc/%d/schedstat", t->pid);
	return gt_read_file(path, buf, sizeof(buf)) > 0 ?
		strtoull(buf, NULL, 10) : 0;
}

/* EBUSY was seen once, of a cause that is not known: try for a while. */
static bool set_rt_runtime(const char *us)
{
	return gt_wait_for(gt_write_file(RT_RUNTIME, us) > 0);
}

FIXTURE(deadline) {
	struct gt_enclave e;
	struct gt_task t, other;
	char rt_runtime[32];		/* as it was */
	pid_t host;
};

FIXTURE_SETUP(deadline)
{
	ASSERT_LT(0, gt_read_file(RT_RUNTIME, self->rt_runtime, 32));
	ASSERT_EQ(0, gt_begin());
	/* No admission control: a reservation on one CPU is refused by it. */
	ASSERT_TRUE(set_rt_runtime("-1"));
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->t));
	ASSERT_EQ(0, gt_task_start(&self->other));
	ASSERT_EQ(0, gt_pin(self->other.pid, 1));
}

FIXTURE_TEARDOWN(deadline)
{
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	if (self->host > 0) {
		kill(self->host, SIGKILL);
		waitpid(self->host, NULL, 0);
	}
	gt_task_end(&self->t);
	gt_task_end(&self->other);
	EXPECT_EQ(0, self->e.q.gaps);
	gt_enclave_close(&self->e);
	set_rt_runtime(self->rt_runtime);
}

/* Three tenths are reserved; a policy that looks after its task has the rest. */
TEST_F(deadline, has_its_reservation)
{
	uint64_t reserved, rest;
	int64_t begin;

	self->host = gt_policy_start(&self->e, 1);
	ASSERT_LT(0, self->host);
	ASSERT_EQ(0, gt_join(&self->e, self->t.pid));
	gt_tell(&self->t, GT_SPIN);
	ASSERT_TRUE(gt_spins(&self->t));
	ASSERT_EQ(0, set_deadline(self->other.pid, 30, 100));
	gt_tell(&self->other, GT_SPIN);
	ASSERT_TRUE(gt_spins(&self->other));

	begin = gt_now_ms();
	reserved = runtime_of(&self->other);
	rest = runtime_of(&self->t);
	EXPECT_TRUE(gt_wait_for(gt_now_ms() - begin > 2000 &&
				runtime_of(&self->other) - reserved > 400 * MS &&
				runtime_of(&self->t) - rest > 400 * MS));
	reserved = runtime_of(&self->other) - reserved;
	begin = gt_now_ms() - begin;
	EXPECT_LT(reserved, begin * MS * 6 / 10) TH_LOG("%d ms", (int)begin);
	EXPECT_LT(begin * MS / 10, reserved) TH_LOG("%d ms", (int)begin);
	/* Unhurt, both of them. */
	EXPECT_EQ(DEADLINE, gt_policy(self->other.pid));
	EXPECT_EQ(SCHED_GHOST, gt_policy(self->t.pid));
	EXPECT_EQ(0, access(self->e.dir, F_OK));
}

static long add_one(struct gt_agent *a, void *arg)
{
	return (long)arg + 1;
}

TEST_F(deadline, is_below_the_agent)
{
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->t, 0));
	ASSERT_TRUE(gt_runs(&agent, 1, &self->t));
	/* All the time of the CPU. */
	ASSERT_EQ(0, set_deadline(self->other.pid, 100, 100));
	gt_tell(&self->other, GT_SPIN);
	EXPECT_TRUE(gt_spins(&self->other));
	EXPECT_EQ(0, gt_next_type(&self->e.q, self->t.gtid, MSG_TASK_PREEMPT, NULL));
	EXPECT_TRUE(gt_stands(&self->t));
	EXPECT_EQ(5, gt_call(&agent, add_one, (void *)4L));
	EXPECT_TRUE(gt_spins(&self->other));
	gt_tell(&self->other, GT_BLOCK);
	ASSERT_TRUE(gt_asleep(&self->other));
	EXPECT_STATE(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->t, 0));
	EXPECT_TRUE(gt_runs(&agent, 1, &self->t));
}

/*
 * One that becomes a deadline thread anew, just after the end of the period that it
 * left with nothing left, may stand still for good in 6.12, enclave or not: nobody
 * replenishes it. So once only.
 */
TEST_F(deadline, member_becomes_one_and_comes_back)
{
	struct gt_task *t = &self->t;
	struct ghost_sw_info info;
	uint64_t before;
	struct gt_msg m;

	ASSERT_EQ(0, gt_pin(t->pid, 1));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	ASSERT_EQ(0, gt_join_asleep(&self->e, t, &m));
	info = m.new_.sw_info;
	ASSERT_EQ(0, gt_wake_spinner(&self->e, t, NULL));
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, t, 0));
	ASSERT_TRUE(gt_runs(&agent, 1, t));
	ASSERT_EQ(0, set_deadline(t->pid, 30, 100));
	EXPECT_EQ(0, gt_next_type(&self->e.q, t->gtid, MSG_TASK_DEPARTED, NULL));
	EXPECT_EQ(DEADLINE, gt_policy(t->pid));
	before = runtime_of(t);
	EXPECT_TRUE(gt_wait_for(runtime_of(t) - before > 50 * MS));
	ASSERT_EQ(0, gt_sw_free(&self->e, info));
	/* Out of the middle of a period. */
	ASSERT_EQ(0, gt_join(&self->e, t->pid));
	ASSERT_EQ(0, gt_next_type(&self->e.q, t->gtid, MSG_TASK_NEW, &m));
	EXPECT_EQ(1, m.new_.runnable);
	EXPECT_TRUE(gt_stands(t));
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, t, 0));
	EXPECT_TRUE(gt_runs(&agent, 1, t));
}

/* In a process of its own: the agent is a thread of this one. */
static int as_nobody(pid_t pid)
{
	int status;
	pid_t child;

	child = fork();
	if (!child)
		_exit(setuid(NOBODY) ? 255 : -set_deadline(pid, 30, 100));
	return waitpid(child, &status, 0) == child ? -WEXITSTATUS(status) : -errno;
}

/* What is refused leaves it as it was, a member that runs. */
TEST_F(deadline, refused_it_stays_a_member)
{
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	EXPECT_EQ(-EINVAL, set_deadline(self->t.pid, 200, 100));
	EXPECT_EQ(-EPERM, as_nobody(self->t.pid));
	/* 6 % for each CPU, of which the kernel's own reservation takes 5. */
	ASSERT_TRUE(set_rt_runtime("60000"));
	EXPECT_EQ(-EBUSY, set_deadline(self->t.pid, 50, 100));
	ASSERT_EQ(0, gt_pin(self->t.pid, 1));
	EXPECT_EQ(0, gt_next_type(&self->e.q, self->t.gtid,
				  MSG_TASK_AFFINITY_CHANGED, NULL));
	EXPECT_EQ(-EPERM, set_deadline(self->t.pid, 1, 100));
	EXPECT_EQ(SCHED_GHOST, gt_policy(self->t.pid));
	EXPECT_EQ(-ETIMEDOUT, gt_next(&self->e.q, self->t.gtid, GT_QUIET_MS, NULL));
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->t, 0));
	EXPECT_TRUE(gt_runs(&agent, 1, &self->t));
}

static long lock_pi(long lock)
{
	return syscall(SYS_futex, lock, FUTEX_LOCK_PI, 0, NULL, NULL, 0) ?
		-errno : 0;
}

static long unlock_pi(long lock)
{
	return syscall(SYS_futex, lock, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0) ?
		-errno : 0;
}

/* Of the run queue it has priority -1, by whoever boosts it. */
static bool has_deadline(pid_t pid)
{
	char path[64], buf[512], *at;
	int i;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (gt_read_file(path, buf, sizeof(buf)) <= 0)
		return false;
	/* Field 18; the name is the second. */
	at = strrchr(buf, ')');
	for (i = 2; at && i < 18; i++)
		at = strchr(at + 1, ' ');
	return at && atoi(at) == -101;
}

/* It is not a deadline thread, though it runs as one; nor is it kept back. */
TEST_F(deadline, waiter_for_a_member_at_the_end)
{
	struct gt_task behind = { 0 };
	/* A word that they have in common and nobody uses. */
	uint32_t *lock = (void *)self->t.ctl + 2048;

	ASSERT_EQ(0, gt_task_start(&behind));
	self->host = gt_policy_start(&self->e, 1);
	ASSERT_LT(0, self->host);
	ASSERT_EQ(0, gt_join(&self->e, self->t.pid));
	ASSERT_EQ(0, gt_join(&self->e, behind.pid));
	gt_tell_call(&self->t, lock_pi, (long)lock);
	ASSERT_TRUE(gt_wait_for(self->t.ctl->done == self->t.ctl->seq));
	ASSERT_EQ(0, self->t.ctl->result);
	ASSERT_EQ(0, set_deadline(self->other.pid, 30, 100));
	gt_tell_call(&self->other, lock_pi, (long)lock);
	ASSERT_TRUE(gt_wait_for(has_deadline(self->t.pid)));

	EXPECT_EQ(0, gt_destroy(&self->e));
	EXPECT_TRUE(gt_wait_for(gt_policy(self->t.pid) == SCHED_OTHER));
	EXPECT_TRUE(gt_wait_for(gt_policy(behind.pid) == SCHED_OTHER));
	EXPECT_TRUE(has_deadline(self->t.pid));
	gt_tell_call(&self->t, unlock_pi, (long)lock);
	EXPECT_TRUE(gt_wait_for(self->other.ctl->done == self->other.ctl->seq));
	EXPECT_EQ(0, self->other.ctl->result);
	EXPECT_TRUE(gt_wait_for(!has_deadline(self->t.pid)));
	gt_task_end(&behind);
}

/* An agent has its rank already. */
TEST_F(deadline, not_for_an_agent)
{
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	EXPECT_EQ(-EPERM, set_deadline(agent.tid, 30, 100));
	EXPECT_EQ(5, gt_call(&agent, add_one, (void *)4L));
}

/* ---- who takes all there is ---- */

FIXTURE(hog) {
	struct gt_enclave e;
	struct gt_task t, hog, fair;
	char rt_runtime[32];		/* as it was */
};

FIXTURE_VARIANT(hog) {
	bool deadline;
};

FIXTURE_VARIANT_ADD(hog, fifo) { .deadline = false };
FIXTURE_VARIANT_ADD(hog, deadline) { .deadline = true };

FIXTURE_SETUP(hog)
{
	ASSERT_LT(0, gt_read_file(RT_RUNTIME, self->rt_runtime, 32));
	ASSERT_EQ(0, gt_begin());
	ASSERT_TRUE(set_rt_runtime("-1"));
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->t));
	ASSERT_EQ(0, gt_task_start(&self->hog));
	ASSERT_EQ(0, gt_task_start(&self->fair));
	ASSERT_EQ(0, gt_pin(self->hog.pid, 1));
	ASSERT_EQ(0, gt_pin(self->fair.pid, 1));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	ASSERT_EQ(0, variant->deadline ? set_deadline(self->hog.pid, 100, 100) :
					 set_fifo(self->hog.pid));
	gt_tell(&self->hog, GT_SPIN);
	ASSERT_TRUE(gt_spins(&self->hog));
}

FIXTURE_TEARDOWN(hog)
{
	set_normal(self->hog.pid);
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	gt_task_end(&self->t);
	gt_task_end(&self->hog);
	gt_task_end(&self->fair);
	EXPECT_EQ(0, self->e.q.gaps);
	gt_enclave_close(&self->e);
	set_rt_runtime(self->rt_runtime);
}

TEST_F(hog, is_not_the_fault_of_the_policy)
{
	ASSERT_EQ(4, gt_file_put(&self->e, "runnable_timeout", "1000"));
	gt_sleep_ms(4000);
	EXPECT_EQ(0, access(self->e.dir, F_OK)) TH_LOG("destroyed");
	EXPECT_EQ(SCHED_GHOST, gt_policy(self->t.pid));
	ASSERT_EQ(1, gt_file_put(&self->e, "runnable_timeout", "0"));
	gt_tell(&self->hog, GT_BLOCK);
	ASSERT_TRUE(gt_asleep(&self->hog));
	/* It may be a normal thread for a second, so that it is not starved. */
	ASSERT_TRUE(gt_wait_for(gt_schedule(&agent, 1, &self->t, 0) ==
				GHOST_TXN_COMPLETE));
	EXPECT_TRUE(gt_runs(&agent, 1, &self->t));
}

/* Where it may run is taken; that another CPU idles is no help. */
TEST_F(hog, of_the_only_cpu_that_a_task_may_use)
{
	if (gt_ncpus() < 3)
		SKIP(return, "two CPUs of the enclave are needed: 3 CPUs");
	ASSERT_EQ(0, gt_set_cpus(&self->e, "1-2"));
	ASSERT_EQ(1, gt_file_put(&self->e, "honor_affinity", "1"));
	ASSERT_EQ(0, gt_pin(self->t.pid, 1));
	ASSERT_EQ(4, gt_file_put(&self->e, "runnable_timeout", "1000"));
	gt_sleep_ms(4000);
	EXPECT_EQ(0, access(self->e.dir, F_OK)) TH_LOG("destroyed");
	EXPECT_EQ(SCHED_GHOST, gt_policy(self->t.pid));
	/* Now the policy could give it CPU 2, and does not; agents are killed then. */
	ASSERT_EQ(0, gt_agent_stop(&agent));
	ASSERT_EQ(1, gt_file_put(&self->e, "honor_affinity", "0"));
	EXPECT_TRUE(gt_gone(&self->e));
	EXPECT_EQ(SCHED_OTHER, gt_policy(self->t.pid));
}

/* What the kernel saves for normal threads is not for members. */
TEST_F(hog, leaves_normal_threads_their_share)
{
	gt_tell(&self->fair, GT_SPIN);
	if (!variant->deadline)
		EXPECT_TRUE(gt_spins(&self->fair));
	EXPECT_TRUE(gt_stands(&self->t));
	EXPECT_TRUE(gt_spins(&self->hog));
	EXPECT_EQ(SCHED_GHOST, gt_policy(self->t.pid));
}

TEST_HARNESS_MAIN
