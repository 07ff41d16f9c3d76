// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Barriers: what steps them, what does not, and the agent's two copies. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"

#define load(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)

static struct gt_agent agent;		/* of CPU 1 */

FIXTURE(barrier) {
	struct gt_enclave e;
	struct gt_task t;
	struct ghost_status_word *sw;
	bool gaps;		/* messages have no queue on purpose */
};

FIXTURE_SETUP(barrier)
{
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->t));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	self->sw = gt_sw(&self->e, self->t.gtid);
	ASSERT_NE(NULL, self->sw);
}

FIXTURE_TEARDOWN(barrier)
{
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	gt_task_end(&self->t);
	if (!self->gaps)
		EXPECT_EQ(0, self->e.q.gaps);
	gt_enclave_close(&self->e);
}

/* A message of the task, which wakes whom its queue names. */
static int renice(struct gt_task *t)
{
	int now = getpriority(PRIO_PROCESS, t->pid);

	return setpriority(PRIO_PROCESS, t->pid, !now) ? -errno : 0;
}

static int wake_list(struct gt_enclave *e)
{
	struct ghost_agent_wakeup w = { .cpu = 1 };
	struct ghost_ioc_config_queue_wakeup list = {
		.qfd = e->q.fd, .w = &w, .ninfo = 1,
	};

	return gt_ioctl(e->ctl, GHOST_IOC_CONFIG_QUEUE_WAKEUP, &list);
}

/* ---- the task's ---- */

TEST_F(barrier, one_step_a_message)
{
	uint32_t at = gt_barrier(self->sw);
	struct gt_msg m;

	EXPECT_EQ(1, at);
	ASSERT_EQ(0, renice(&self->t));
	EXPECT_EQ(++at, gt_barrier(self->sw));
	ASSERT_EQ(0, gt_pin(self->t.pid, 1));
	EXPECT_EQ(++at, gt_barrier(self->sw));
	/* None without a change. */
	ASSERT_EQ(0, gt_pin(self->t.pid, 1));
	ASSERT_EQ(0, setpriority(PRIO_PROCESS, self->t.pid,
				 getpriority(PRIO_PROCESS, self->t.pid)));
	EXPECT_EQ(at, gt_barrier(self->sw));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, &m));
	EXPECT_EQ(++at, m.seqnum);
	EXPECT_EQ(at, gt_barrier(self->sw));
	ASSERT_LT(0, gt_put(self->e.ctl, "discover tasks"));
	EXPECT_EQ(++at, gt_barrier(self->sw));
}

TEST_F(barrier, no_step_for_a_commit)
{
	struct gt_txn txn = {
		.gtid = self->t.gtid, .agent_barrier = GT_NOW,
		.commit_flags = COMMIT_AT_TXN_COMMIT,
	};
	struct gt_msg m;
	uint32_t at;

	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	at = gt_barrier(self->sw);
	/* Neither a failed one, nor an association. */
	txn.task_barrier = at + 1;
	EXPECT_STATE(GHOST_TXN_TARGET_STALE, gt_commit(&agent, 1, &txn));
	EXPECT_EQ(GHOST_ASSOC_SF_ALREADY,
		  gt_assoc(&self->e, self->e.q.fd, self->t.gtid, at));
	EXPECT_EQ(-ESTALE, gt_assoc(&self->e, self->e.q.fd, self->t.gtid,
				    at + 1));
	EXPECT_EQ(at, gt_barrier(self->sw));
	/* Nor one that moves the task and runs it. */
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->t, 0));
	ASSERT_TRUE(gt_runs(&agent, 1, &self->t));
	/*
	 * Each step has its message, whoever else wants the CPU: none is left to
	 * the commits. The last one is that it blocks.
	 */
	gt_tell(&self->t, GT_BLOCK);
	ASSERT_EQ(0, gt_drive(&agent, 1, &self->t, MSG_TASK_BLOCKED, &m));
	EXPECT_LE(at + 2, m.seqnum);
	EXPECT_EQ(m.seqnum, gt_barrier(self->sw));
	EXPECT_EQ(0, self->e.q.gaps);
}

TEST_F(barrier, steps_without_a_queue)
{
	struct sched_param sp = { 0 };
	struct ghost_sw_info info;
	struct gt_task t = { 0 };
	struct ghost_status_word *sw;

	gt_queue_close(&self->e.q);
	ASSERT_EQ(0, gt_task_start(&t));
	ASSERT_EQ(0, gt_join(&self->e, t.pid));
	ASSERT_EQ(0, gt_sw_info(&self->e, GHOST_TASK, t.gtid, &info));
	sw = gt_sw_at(&self->e, info);
	EXPECT_EQ(1, gt_barrier(sw));
	ASSERT_EQ(0, renice(&t));
	EXPECT_EQ(2, gt_barrier(sw));
	ASSERT_EQ(0, gt_pin(t.pid, 1));
	EXPECT_EQ(3, gt_barrier(sw));
	gt_tell(&t, GT_SPIN);
	EXPECT_TRUE(gt_wait_for(gt_barrier(sw) == 4));
	/* DEPARTED counts as well: the next life begins behind it. */
	ASSERT_EQ(0, sched_setscheduler(t.pid, SCHED_OTHER, &sp));
	ASSERT_EQ(0, gt_join(&self->e, t.pid));
	ASSERT_EQ(0, gt_sw_info(&self->e, GHOST_TASK, t.gtid, &info));
	EXPECT_TRUE(gt_wait_for(gt_barrier(gt_sw_at(&self->e, info)) == 6));
	gt_destroy(&self->e);
	gt_task_end(&t);
}

TEST_F(barrier, steps_in_a_full_queue)
{
	struct gt_queue q;
	uint32_t at;
	int i;

	self->gaps = true;
	ASSERT_EQ(0, gt_queue_create(self->e.ctl, 4, &q));
	at = gt_barrier(self->sw);
	ASSERT_EQ(0, gt_assoc(&self->e, q.fd, self->t.gtid, at));
	for (i = 1; i <= 5; i++) {
		ASSERT_EQ(0, renice(&self->t));
		EXPECT_EQ(at + i, gt_barrier(self->sw));
	}
	EXPECT_EQ(4, q.ring->overflow);
	gt_queue_close(&q);
}

TEST_F(barrier, oncpu_is_cleared_after_the_message)
{
	uint32_t flags, before, after;
	int i;

	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	for (i = 0; i < 60; i++) {
		gt_tell(&self->t, GT_BLOCK);
		ASSERT_EQ(0, gt_next_type(&self->e.q, self->t.gtid,
					  MSG_TASK_WAKEUP, NULL));
		before = gt_barrier(self->sw);
		ASSERT_EQ(GHOST_TXN_COMPLETE,
			  gt_schedule(&agent, 1, &self->t, 0));
		ASSERT_TRUE(gt_wait_for(gt_barrier(self->sw) != before ||
					gt_flags(self->sw) & GHOST_SW_TASK_ONCPU));
		/* Off the CPU, hence its BLOCKED, or a PREEMPT, is counted. */
		do {
			flags = gt_flags(self->sw);
			after = gt_barrier(self->sw);
		} while (flags & GHOST_SW_TASK_ONCPU);
		EXPECT_NE(before, after);
		ASSERT_EQ(0, gt_drive(&agent, 1, &self->t, MSG_TASK_BLOCKED,
				      NULL));
	}
}

/* ---- the agent's ---- */

static int turn;

/*
 * Reads its barrier, lets the test wake it three times while it runs, and parks
 * with what it has read. Returns what went wrong, or 0.
 */
static long meet_wakes(struct gt_agent *a, void *unused)
{
	struct ghost_ioc_run run = { .run_cpu = a->cpu };

	run.agent_barrier = gt_barrier(a->sw);
	store(&turn, 1);
	while (load(&turn) != 2)
		;
	if (gt_barrier(a->sw) != run.agent_barrier)
		return 1;	/* the copy knows of lockless steps */
	if (gt_run(a->e, &run) != -ESTALE)
		return 2;
	if (gt_barrier(a->sw) != run.agent_barrier + 3)
		return 3;	/* the comparison has not refreshed the copy */
	return 0;
}

TEST_F(barrier, lockless_steps_show_at_the_comparison)
{
	int i, tries = 10;
	long wrong;

	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	ASSERT_EQ(0, wake_list(&self->e));
	/* A kernel thread that preempts the agent brings a comparison, too. */
	do {
		gt_sleep_ms(20);
		ASSERT_EQ(0, gt_post(&agent, meet_wakes, NULL));
		ASSERT_TRUE(gt_wait_for(load(&turn) == 1));
		/* It runs and is not parked: the wakes count all the same. */
		for (i = 0; i < 3; i++)
			ASSERT_EQ(0, renice(&self->t));
		store(&turn, 2);
		ASSERT_TRUE(gt_wait_for(agent.done == agent.posted));
		ASSERT_EQ(0, gt_finish(&agent, &wrong));
	} while (wrong == 1 && --tries);
	EXPECT_EQ(0, wrong);
}

static long hold(struct gt_agent *a, void *unused)
{
	store(&turn, 1);
	while (load(&turn) != 2)
		;
	return 0;
}

TEST_F(barrier, association_of_an_agent_compares)
{
	int i, tries = 0;
	uint32_t at;

	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	ASSERT_EQ(0, wake_list(&self->e));
	/* That a kernel thread wakes there brings the copies together, too. */
	for (;;) {
		gt_sleep_ms(GT_QUIET_MS);
		ASSERT_EQ(0, gt_post(&agent, hold, NULL));
		ASSERT_TRUE(gt_wait_for(load(&turn) == 1));
		at = gt_barrier(agent.sw);
		for (i = 0; i < 3; i++)
			ASSERT_EQ(0, renice(&self->t));
		if (at == gt_barrier(agent.sw))
			break;
		ASSERT_GT(10, ++tries);
		store(&turn, 2);
		ASSERT_EQ(0, gt_finish(&agent, NULL));
	}
	EXPECT_EQ(-ESTALE, gt_assoc(&self->e, self->e.q.fd, agent.sw->gtid, at));
	EXPECT_EQ(at + 3, gt_barrier(agent.sw));
	EXPECT_EQ(GHOST_ASSOC_SF_ALREADY,
		  gt_assoc(&self->e, self->e.q.fd, agent.sw->gtid, at + 3));
	store(&turn, 2);
	EXPECT_EQ(0, gt_finish(&agent, NULL));
}

TEST_F(barrier, wake_without_an_agent_counts)
{
	int i;

	ASSERT_EQ(0, wake_list(&self->e));
	for (i = 0; i < 5; i++)
		ASSERT_EQ(0, renice(&self->t));
	/* The new agent has 0 in its word; its first park finds out. */
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	EXPECT_TRUE(gt_wait_for(gt_barrier(agent.sw) >= 6));
}

TEST_F(barrier, next_agent_starts_afresh)
{
	uint32_t at;
	int i;

	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	for (i = 0; i < 50; i++)
		ASSERT_EQ(0, gt_ping(&self->e, 1));
	at = gt_barrier(agent.sw);
	EXPECT_LE(100, at);
	ASSERT_EQ(0, gt_agent_stop(&agent));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	EXPECT_GT(50, gt_barrier(agent.sw));
}

TEST_F(barrier, edge_of_a_run_flag_counts_one)
{
	struct gt_txn txn = {
		.gtid = self->t.gtid, .agent_barrier = GT_NOW,
		.run_flags = RTLA_ON_BLOCKED,
		.commit_flags = COMMIT_AT_TXN_COMMIT | ELIDE_AGENT_BARRIER_INC,
	};
	uint32_t at;
	int state;

	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	gt_tell(&self->t, GT_BLOCK);
	ASSERT_EQ(0, gt_next_type(&self->e.q, self->t.gtid, MSG_TASK_WAKEUP,
				  NULL));
	gt_sleep_ms(GT_QUIET_MS);
	at = gt_barrier(agent.sw);
	txn.task_barrier = gt_barrier(self->sw);
	state = gt_commit(&agent, 1, &txn);
	EXPECT_STATE(GHOST_TXN_COMPLETE, state);
	/* The ping that brings the job counts two, the edge one. */
	EXPECT_TRUE(gt_wait_for(agent.done == agent.posted));
	EXPECT_EQ(at + 3, gt_barrier(agent.sw));
}

TEST_HARNESS_MAIN
