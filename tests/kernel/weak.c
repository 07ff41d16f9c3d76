// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Section 14: weaknesses of the reference that are none here. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"

static struct gt_agent agent;		/* of CPU 1 */

FIXTURE(weak) {
	struct gt_enclave e;
	struct gt_task t;
};

FIXTURE_SETUP(weak)
{
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->t));
}

FIXTURE_TEARDOWN(weak)
{
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	gt_task_end(&self->t);
	EXPECT_EQ(0, self->e.q.gaps);
	gt_enclave_close(&self->e);
}

/* 14.2: a running thread does not wait, whatever is done to it. */
TEST_F(weak, changes_make_no_waiter_of_the_running)
{
	struct ghost_status_word *sw;
	int i;

	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->t, 0));
	ASSERT_TRUE(gt_runs(&agent, 1, &self->t));
	sw = gt_sw(&self->e, self->t.gtid);
	ASSERT_EQ(0, setpriority(PRIO_PROCESS, self->t.pid, 3));
	ASSERT_EQ(0, gt_pin(self->t.pid, 1));
	ASSERT_EQ(0, sched_setscheduler(self->t.pid,
					SCHED_GHOST | GT_RESET_ON_FORK,
					&(struct sched_param){ 0 }));
	ASSERT_EQ(4, gt_file_put(&self->e, "runnable_timeout", "1000"));
	/* A kernel thread of that CPU may take it away: give it back. */
	for (i = 0; i < 30; i++) {
		gt_sleep_ms(100);
		if (!(gt_flags(sw) & GHOST_SW_TASK_ONCPU))
			gt_schedule(&agent, 1, &self->t, 0);
	}
	EXPECT_EQ(0, access(self->e.dir, F_OK)) TH_LOG("destroyed");
	gt_file_put(&self->e, "runnable_timeout", "0");
}

/* 14.3: who waits on a CPU of nobody is seen, too. */
TEST_F(weak, waiter_outside_of_the_enclave_is_seen)
{
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	/* Queued on CPU 0. */
	ASSERT_EQ(0, gt_pin(self->t.pid, 0));
	ASSERT_EQ(0, gt_agent_stop(&agent));
	ASSERT_EQ(3, gt_file_put(&self->e, "runnable_timeout", "500"));
	EXPECT_TRUE(gt_gone(&self->e));
	EXPECT_TRUE(gt_wait_for(gt_policy(self->t.pid) == SCHED_OTHER));
	EXPECT_TRUE(gt_spins(&self->t));
}

/* 14.10 */
TEST_F(weak, joins_from_a_cpu_of_another_enclave)
{
	struct gt_enclave other;
	struct gt_queue q;
	struct ghost_ioc_set_default_queue def;
	struct gt_msg m;

	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	ASSERT_EQ(0, gt_enclave_bare(&other));
	ASSERT_LT(0, gt_put(other.ctl, "create sw_region 0 0"));
	ASSERT_EQ(0, gt_queue_create(other.ctl, 64, &q));
	def.fd = q.fd;
	ASSERT_EQ(0, gt_ioctl(other.ctl, GHOST_IOC_SET_DEFAULT_QUEUE, &def));
	other.tasks = gt_file(&other, "tasks", O_RDWR);
	ASSERT_EQ(0, gt_pin(self->t.pid, 1));
	gt_tell(&self->t, GT_SPIN);
	ASSERT_TRUE(gt_spins(&self->t));
	ASSERT_EQ(0, gt_join(&other, self->t.pid));
	ASSERT_EQ(0, gt_next(&q, self->t.gtid, GT_WAIT_MS, &m));
	EXPECT_EQ(MSG_TASK_NEW, m.type);
	EXPECT_EQ(1, m.new_.runnable);
	EXPECT_TRUE(gt_stands(&self->t)) TH_LOG("runs on a foreign CPU");
	/* The agent of that CPU has heard nothing and may not have it. */
	EXPECT_EQ(-ETIMEDOUT, gt_next(&self->e.q, GT_ANY, 0, NULL));
	EXPECT_STATE(GHOST_TXN_NOT_PERMITTED,
		     gt_commit(&agent, 1, &(struct gt_txn){
			.gtid = self->t.gtid, .task_barrier = m.seqnum,
			.agent_barrier = GT_NOW,
			.commit_flags = COMMIT_AT_TXN_COMMIT }));
	EXPECT_EQ(0, gt_destroy(&other));
	EXPECT_TRUE(gt_spins(&self->t));
	gt_queue_close(&q);
	gt_enclave_close(&other);
}

/* 14.13: nobody's barrier is stepped. */
TEST_F(weak, barrier_flag_without_an_agent)
{
	static const int64_t gtids[] = {
		GHOST_NULL_GTID, GHOST_AGENT_GTID, GHOST_IDLE_GTID, 12345,
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(gtids); i++) {
		gt_txn_fill(&self->e, 1, &(struct gt_txn){
			.gtid = gtids[i],
			.commit_flags = INC_AGENT_BARRIER_ON_FAILURE,
		});
		ASSERT_EQ(0, gt_txn_ioctl(&self->e, 2));
		EXPECT_GT(0, gt_txn_wait(&self->e, 1));
		EXPECT_NE(GHOST_TXN_COMPLETE, gt_txn_state(&self->e, 1));
	}
	EXPECT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
}

/* 14.23: a word that is never freed gates no longer than its enclave lives. */
TEST_F(weak, gate_ends_with_the_enclave)
{
	struct sched_param sp = { 0 };
	struct gt_enclave first;
	struct gt_queue q;
	struct ghost_ioc_set_default_queue def;
	struct gt_msg m;

	ASSERT_EQ(0, gt_enclave_bare(&first));
	ASSERT_LT(0, gt_put(first.ctl, "create sw_region 0 0"));
	ASSERT_EQ(0, gt_queue_create(first.ctl, 64, &q));
	def.fd = q.fd;
	ASSERT_EQ(0, gt_ioctl(first.ctl, GHOST_IOC_SET_DEFAULT_QUEUE, &def));
	first.tasks = gt_file(&first, "tasks", O_RDWR);
	ASSERT_EQ(0, gt_join(&first, self->t.pid));
	ASSERT_EQ(0, sched_setscheduler(self->t.pid, SCHED_OTHER, &sp));
	ASSERT_EQ(0, gt_next_type(&q, self->t.gtid, MSG_TASK_DEPARTED, NULL));
	/* Held back in the second enclave, until the first is freed. */
	ASSERT_EQ(0, gt_join(&self->e, self->t.pid));
	EXPECT_EQ(-ETIMEDOUT, gt_next(&self->e.q, self->t.gtid, GT_QUIET_MS,
				      NULL));
	ASSERT_EQ(0, gt_destroy(&first));
	gt_queue_close(&q);
	gt_enclave_close(&first);
	ASSERT_EQ(0, gt_next(&self->e.q, self->t.gtid, GT_WAIT_MS, &m));
	EXPECT_EQ(MSG_TASK_NEW, m.type);
	EXPECT_EQ(gt_barrier(gt_sw(&self->e, self->t.gtid)), m.seqnum);
}

/* 14.34: nobody is told, the descriptor is ready all the same. */
TEST_F(weak, timer_without_an_agent)
{
	struct itimerspec in = { .it_value.tv_nsec = 900 * 1000000 };
	struct ghost_ioc_timerfd_settime timer = {
		.in_tmr = &in,
		.timerfd_ghost = { .cpu = 1, .flags = TIMERFD_GHOST_ENABLED },
	};
	uint64_t ticks;
	struct gt_msg m;
	int i;

	timer.timerfd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	ASSERT_LE(0, timer.timerfd);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
		ASSERT_EQ(0, gt_ioctl(self->e.ctl, GHOST_IOC_TIMERFD_SETTIME,
				      &timer));
		ASSERT_EQ(0, gt_agent_stop(&agent));
		/* The second time the CPU is nobody's. */
		if (i)
			ASSERT_EQ(0, gt_set_cpus(&self->e, "\n"));
		ASSERT_EQ(8, read(timer.timerfd, &ticks, 8));
		EXPECT_EQ(1, ticks);
	}
	close(timer.timerfd);
	EXPECT_EQ(-ETIMEDOUT, gt_next(&self->e.q, GT_ANY, GT_QUIET_MS, &m));
}

/* 14.38 */
TEST_F(weak, failed_commit_moves_nothing)
{
	struct gt_task cfs = { 0 };
	struct gt_txn txn = { .gtid = self->t.gtid };

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_pin(self->t.pid, 0));
	ASSERT_EQ(0, gt_cpu_of(self->t.pid));
	txn.task_barrier = gt_barrier(gt_sw(&self->e, self->t.gtid));
	gt_txn_fill(&self->e, 1, &txn);
	ASSERT_EQ(0, gt_txn_ioctl(&self->e, 2));
	EXPECT_STATE(GHOST_TXN_NO_AGENT, gt_txn_wait(&self->e, 1));
	EXPECT_EQ(0, gt_cpu_of(self->t.pid));

	ASSERT_EQ(0, gt_task_start(&cfs));
	ASSERT_EQ(0, gt_pin(cfs.pid, 1));
	gt_tell(&cfs, GT_SPIN);
	ASSERT_TRUE(gt_spins(&cfs));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	ASSERT_TRUE(gt_spins(&cfs));
	gt_txn_fill(&self->e, 1, &txn);
	ASSERT_EQ(0, gt_txn_ioctl(&self->e, 2));
	EXPECT_STATE(GHOST_TXN_CPU_UNAVAIL, gt_txn_wait(&self->e, 1));
	txn.run_flags = DO_NOT_PREEMPT;
	gt_txn_fill(&self->e, 1, &txn);
	ASSERT_EQ(0, gt_txn_ioctl(&self->e, 2));
	EXPECT_STATE(GHOST_TXN_AGENT_STALE, gt_txn_wait(&self->e, 1));
	EXPECT_EQ(0, gt_cpu_of(self->t.pid)) TH_LOG("moved all the same");
	EXPECT_EQ(txn.task_barrier, gt_barrier(gt_sw(&self->e, self->t.gtid)));
	gt_task_end(&cfs);
	/* One that succeeds does move it. */
	EXPECT_STATE(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->t, 0));
	EXPECT_TRUE(gt_runs(&agent, 1, &self->t));
	EXPECT_EQ(1, gt_cpu_of(self->t.pid));
}

TEST_HARNESS_MAIN
