// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* The scheduling calls of everybody on members: policy, nice, CPU time. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"

static struct gt_agent agent;		/* of CPU 1 */

struct attr {				/* struct sched_attr, version 0 */
	uint32_t size;
	uint32_t policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

static int set(pid_t pid, struct attr *a)
{
	a->size = sizeof(*a);
	return syscall(SYS_sched_setattr, pid, a, 0) ? -errno : 0;
}

static int get(pid_t pid, struct attr *a)
{
	return syscall(SYS_sched_getattr, pid, a, sizeof(*a), 0) ? -errno : 0;
}

FIXTURE(setsched) {
	struct gt_enclave e;
	struct gt_task t;
};

FIXTURE_SETUP(setsched)
{
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->t));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
}

FIXTURE_TEARDOWN(setsched)
{
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	gt_task_end(&self->t);
	EXPECT_EQ(0, self->e.q.gaps);
	gt_enclave_close(&self->e);
}

TEST_F(setsched, nice_is_kept_over_a_membership)
{
	struct sched_param sp = { 0 };
	struct attr a = { 0 };

	ASSERT_EQ(0, setpriority(PRIO_PROCESS, self->t.pid, 7));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	EXPECT_EQ(7, getpriority(PRIO_PROCESS, self->t.pid));
	ASSERT_EQ(0, get(self->t.pid, &a));
	EXPECT_EQ(SCHED_GHOST, a.policy);
	EXPECT_EQ(7, a.nice);
	EXPECT_EQ(0, a.priority);
	ASSERT_EQ(0, sched_setscheduler(self->t.pid, SCHED_OTHER, &sp));
	EXPECT_EQ(7, getpriority(PRIO_PROCESS, self->t.pid));
}

TEST_F(setsched, real_time_priority_becomes_0)
{
	struct sched_param sp = { .sched_priority = 20 };

	ASSERT_EQ(0, sched_setscheduler(self->t.pid, SCHED_FIFO, &sp));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, sched_getparam(self->t.pid, &sp));
	EXPECT_EQ(0, sp.sched_priority);
	EXPECT_EQ(SCHED_GHOST, gt_policy(self->t.pid));
}

TEST_F(setsched, member_to_member_sets_reset_on_fork_only)
{
	struct attr a = { .policy = SCHED_GHOST, .nice = 5, .flags = 1 };

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	EXPECT_EQ(0, set(self->t.pid, &a));
	EXPECT_EQ(SCHED_GHOST | GT_RESET_ON_FORK, gt_policy(self->t.pid));
	EXPECT_EQ(0, getpriority(PRIO_PROCESS, self->t.pid))
		TH_LOG("nice is not for this call");
	a.flags = 0;
	EXPECT_EQ(0, set(self->t.pid, &a));
	EXPECT_EQ(SCHED_GHOST, gt_policy(self->t.pid));
	EXPECT_EQ(-ETIMEDOUT, gt_next(&self->e.q, self->t.gtid, GT_QUIET_MS,
				      NULL));
}

TEST_F(setsched, priority_is_refused)
{
	struct sched_param sp = { .sched_priority = 1 };

	EXPECT_EQ(-1, sched_setscheduler(self->t.pid, SCHED_GHOST, &sp));
	EXPECT_EQ(EINVAL, errno);
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	EXPECT_EQ(-1, sched_setscheduler(self->t.pid, SCHED_GHOST, &sp));
	EXPECT_EQ(EINVAL, errno);
}

TEST_F(setsched, leaves_to_any_class)
{
	static const struct {
		int policy, priority;
	} to[] = {
		{ SCHED_OTHER, 0 }, { SCHED_BATCH, 0 }, { SCHED_IDLE, 0 },
		{ SCHED_FIFO, 5 }, { SCHED_RR, 5 },
	};
	struct ghost_sw_info info;
	struct sched_param sp;
	struct gt_msg m;
	int i;

	for (i = 0; i < ARRAY_SIZE(to); i++) {
		ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, &m));
		info = m.new_.sw_info;
		sp.sched_priority = to[i].priority;
		ASSERT_EQ(0, sched_setscheduler(self->t.pid, to[i].policy, &sp))
			TH_LOG("policy %d", to[i].policy);
		EXPECT_EQ(to[i].policy, gt_policy(self->t.pid));
		EXPECT_EQ(0, gt_next_type(&self->e.q, self->t.gtid,
					  MSG_TASK_DEPARTED, NULL));
		ASSERT_EQ(0, gt_sw_free(&self->e, info));
	}
}

TEST_F(setsched, wakes_off_its_mask)
{
	struct gt_msg m;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	gt_tell(&self->t, GT_BLOCK);
	ASSERT_EQ(0, gt_drive(&agent, 1, &self->t, MSG_TASK_BLOCKED, NULL));
	ASSERT_EQ(0, gt_pin(self->t.pid, 0));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, &m));
	EXPECT_EQ(1, m.wakeup.last_ran_cpu);
	EXPECT_EQ(1, m.wakeup.wake_up_cpu);
}

/* The clocks of a process count what it runs as a member. */
TEST_F(setsched, time_is_accounted)
{
	struct ghost_ioc_get_cpu_time arg = { .gtid = self->t.gtid };
	uint64_t ns[2][2];
	struct timespec ts;
	clockid_t clock;
	int i;

	ASSERT_EQ(0, clock_getcpuclockid(self->t.pid, &clock));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->t, 0));
	ASSERT_TRUE(gt_runs(&agent, 1, &self->t));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, clock_gettime(clock, &ts));
		ns[i][0] = ts.tv_sec * 1000000000ULL + ts.tv_nsec;
		ASSERT_EQ(0, gt_ioctl(self->e.ctl, GHOST_IOC_GET_CPU_TIME, &arg));
		ns[i][1] = arg.runtime;
		ASSERT_TRUE(gt_runs(&agent, 1, &self->t));
		gt_sleep_ms(5);
	}
	EXPECT_LT(ns[0][0], ns[1][0]);
	EXPECT_LT(ns[0][1], ns[1][1]);
	EXPECT_LE(ns[0][0], ns[0][1]) TH_LOG("the clock runs ahead");
}

static long yield(struct gt_agent *a, void *unused)
{
	return sched_yield();
}

TEST_F(setsched, yield_of_an_agent_has_no_effect)
{
	ASSERT_EQ(0, gt_pin(self->t.pid, 1));
	gt_tell(&self->t, GT_SPIN);
	ASSERT_TRUE(gt_spins(&self->t));
	EXPECT_EQ(0, gt_call(&agent, yield, NULL));
	EXPECT_EQ(-ETIMEDOUT, gt_next(&self->e.q, GT_ANY, GT_QUIET_MS, NULL));
}

TEST_HARNESS_MAIN
