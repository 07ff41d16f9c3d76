// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Commits against what runs on the target CPU, and the agent barrier. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"

static struct gt_agent local, remote;	/* of CPU 1 and 2; CPU 1 is the target */

static struct gt_txn for_task(struct gt_enclave *e, struct gt_task *t)
{
	struct ghost_status_word *sw = gt_sw(e, t->gtid);

	return (struct gt_txn){
		.gtid = t->gtid,
		.task_barrier = sw ? gt_barrier(sw) : 0,
		.agent_barrier = GT_NOW,
		.commit_flags = COMMIT_AT_TXN_COMMIT,
	};
}

/* ---- the agent's own CPU ---- */

FIXTURE(own) {
	struct gt_enclave e;
	struct gt_task t;
};

FIXTURE_SETUP(own)
{
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->t));
	ASSERT_EQ(0, gt_agent_start(&local, &self->e, 1, -1));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
}

FIXTURE_TEARDOWN(own)
{
	gt_agent_stop(&local);
	gt_destroy(&self->e);
	gt_task_end(&self->t);
	EXPECT_EQ(0, self->e.q.gaps);
	gt_enclave_close(&self->e);
}

TEST_F(own, stale_agent_barrier)
{
	struct gt_txn txn = for_task(&self->e, &self->t);

	txn.agent_barrier = gt_barrier(local.sw) + 1000;
	EXPECT_STATE(GHOST_TXN_AGENT_STALE, gt_commit(&local, 1, &txn));
	EXPECT_TRUE(gt_wait_for(local.posted == local.done))
		TH_LOG("a failed commit does not park");
	EXPECT_TRUE(gt_stands(&self->t));
	/* The task's mistakes are found before the agent's. */
	txn.task_barrier++;
	EXPECT_STATE(GHOST_TXN_TARGET_STALE, gt_commit(&local, 1, &txn));
}

TEST_F(own, commit_parks_until_called)
{
	struct gt_txn txn = for_task(&self->e, &self->t);

	EXPECT_STATE(GHOST_TXN_COMPLETE, gt_commit(&local, 1, &txn));
	EXPECT_TRUE(gt_runs(&local, 1, &self->t));
	EXPECT_NE(local.posted, local.done) TH_LOG("the agent did not park");
	EXPECT_EQ(0, gt_finish(&local, NULL));
	EXPECT_TRUE(gt_stands(&self->t));
}

TEST_F(own, idle_runs_as_a_task)
{
	struct gt_txn txn = {
		.gtid = GHOST_IDLE_GTID, .agent_barrier = GT_NOW,
		.commit_flags = COMMIT_AT_TXN_COMMIT,
	};

	EXPECT_STATE(GHOST_TXN_COMPLETE, gt_commit(&local, 1, &txn));
	EXPECT_TRUE(gt_stands(&self->t));
	EXPECT_EQ(0, gt_finish(&local, NULL));
	EXPECT_STATE(GHOST_TXN_COMPLETE, gt_schedule(&local, 1, &self->t, 0));
	EXPECT_TRUE(gt_runs(&local, 1, &self->t));
}

/* ---- another agent's CPU ---- */

FIXTURE(far) {
	struct gt_enclave e;
	struct gt_task a, b;
};

FIXTURE_SETUP(far)
{
	if (gt_ncpus() < 3)
		SKIP(return, "a remote agent needs 3 CPUs");
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1-2"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->a));
	ASSERT_EQ(0, gt_task_start(&self->b));
	ASSERT_EQ(0, gt_agent_start(&local, &self->e, 1, -1));
	ASSERT_EQ(0, gt_agent_start(&remote, &self->e, 2, -1));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->a, NULL));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->b, NULL));
}

FIXTURE_TEARDOWN(far)
{
	gt_agent_stop(&local);
	gt_agent_stop(&remote);
	gt_destroy(&self->e);
	gt_task_end(&self->a);
	gt_task_end(&self->b);
	EXPECT_EQ(0, self->e.q.gaps);
	gt_enclave_close(&self->e);
}

#define START(t) do {							\
	ASSERT_EQ(0, gt_wake_spinner(&self->e, t, NULL));		\
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&remote, 1, t, 0));	\
	ASSERT_TRUE(gt_runs(&remote, 1, t));				\
} while (0)

TEST_F(far, no_agent_there)
{
	struct gt_txn txn;

	ASSERT_EQ(0, gt_agent_stop(&local));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->a, NULL));
	txn = for_task(&self->e, &self->a);
	EXPECT_STATE(GHOST_TXN_NO_AGENT, gt_commit(&remote, 1, &txn));
	txn.commit_flags |= INC_AGENT_BARRIER_ON_FAILURE;
	EXPECT_STATE(GHOST_TXN_NO_AGENT, gt_commit(&remote, 1, &txn));
	EXPECT_TRUE(gt_stands(&self->a));
}

TEST_F(far, task_is_running)
{
	struct gt_txn txn;
	struct gt_msg m;
	uint32_t barrier, after;
	int forbidden, allowed, again, told, left = 10;

	START(&self->a);
	/* A kernel thread may push it aside: anew then, until none does. */
	do {
		ASSERT_TRUE(gt_runs(&remote, 1, &self->a));
		txn = for_task(&self->e, &self->a);
		forbidden = gt_commit(&remote, 1, &txn);
		txn.commit_flags |= ALLOW_TASK_ONCPU;
		allowed = gt_commit(&remote, 2, &txn);
		barrier = gt_barrier(local.sw);
		again = gt_commit(&remote, 1, &txn);
		after = gt_barrier(local.sw);
		told = gt_next(&self->e.q, self->a.gtid, 50, &m);
	} while (!told && m.type == MSG_TASK_PREEMPT && left-- &&
		 gt_schedule(&remote, 1, &self->a, 0) == GHOST_TXN_COMPLETE);
	EXPECT_STATE(GHOST_TXN_TARGET_ONCPU, forbidden);
	EXPECT_STATE(GHOST_TXN_TARGET_ONCPU, allowed)
		TH_LOG("allowed on its own CPU only");
	EXPECT_STATE(GHOST_TXN_COMPLETE, again);
	EXPECT_EQ(barrier, after) TH_LOG("nothing changed");
	EXPECT_EQ(-ETIMEDOUT, told) TH_LOG("%s", gt_msg_name(m.type));
	EXPECT_TRUE(gt_runs(&remote, 1, &self->a));
}

TEST_F(far, replaced_by_another)
{
	struct gt_msg m;

	START(&self->a);
	START(&self->b);
	ASSERT_EQ(0, gt_next_type(&self->e.q, self->a.gtid, MSG_TASK_PREEMPT,
				  &m));
	EXPECT_EQ(0, m.preempt.was_latched);
	EXPECT_TRUE(gt_stands(&self->a));
}

TEST_F(far, replaced_without_a_message)
{
	struct gt_msg m;
	int told, left = 10;

	START(&self->a);
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->b, NULL));
	/* A kernel thread that replaces it first is told of. */
	do {
		ASSERT_TRUE(gt_runs(&remote, 1, &self->a));
		EXPECT_STATE(GHOST_TXN_COMPLETE,
			     gt_schedule(&remote, 1, &self->b, ELIDE_PREEMPT));
		EXPECT_TRUE(gt_runs(&remote, 1, &self->b));
		told = gt_next(&self->e.q, self->a.gtid, GT_QUIET_MS, &m);
	} while (!told && m.type == MSG_TASK_PREEMPT && left-- &&
		 gt_schedule(&remote, 1, &self->a, 0) == GHOST_TXN_COMPLETE);
	EXPECT_EQ(-ETIMEDOUT, told);
	EXPECT_TRUE(gt_stands(&self->a));
}

TEST_F(far, do_not_preempt)
{
	struct gt_txn txn;
	int state, left = 10;

	START(&self->a);
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->b, NULL));
	/* Nobody is preempted if a kernel thread has just done that. */
	do {
		ASSERT_TRUE(gt_runs(&remote, 1, &self->a));
		txn = for_task(&self->e, &self->b);
		txn.run_flags = DO_NOT_PREEMPT;
		state = gt_commit(&remote, 1, &txn);
	} while (state == GHOST_TXN_COMPLETE && left-- &&
		 gt_schedule(&remote, 1, &self->a, 0) == GHOST_TXN_COMPLETE);
	EXPECT_STATE(GHOST_TXN_AGENT_STALE, state);
	EXPECT_TRUE(gt_stands(&self->b));
	EXPECT_TRUE(gt_runs(&remote, 1, &self->a));
	gt_tell(&self->a, GT_BLOCK);
	ASSERT_EQ(0, gt_drive(&remote, 1, &self->a, MSG_TASK_BLOCKED, NULL));
	EXPECT_STATE(GHOST_TXN_COMPLETE,
		     gt_schedule(&remote, 1, &self->b, DO_NOT_PREEMPT));
	EXPECT_TRUE(gt_runs(&remote, 1, &self->b));
}

TEST_F(far, cfs_is_running)
{
	struct gt_task cfs = { 0 };
	struct gt_txn txn;

	ASSERT_EQ(0, gt_task_start(&cfs));
	ASSERT_EQ(0, gt_pin(cfs.pid, 1));
	gt_tell(&cfs, GT_SPIN);
	ASSERT_TRUE(gt_spins(&cfs));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->a, NULL));
	txn = for_task(&self->e, &self->a);
	EXPECT_STATE(GHOST_TXN_CPU_UNAVAIL, gt_commit(&remote, 1, &txn));
	EXPECT_TRUE(gt_stands(&self->a));
	gt_task_end(&cfs);
}

TEST_F(far, idle_and_null)
{
	struct gt_txn txn = {
		.gtid = GHOST_IDLE_GTID, .commit_flags = COMMIT_AT_TXN_COMMIT,
	};
	int64_t end = gt_now_ms() + GT_WAIT_MS;
	int state;

	/* Idle already, unless a kernel thread is there at this moment. */
	do {
		gt_sleep_ms(20);
		state = gt_commit(&remote, 1, &txn);
	} while ((state == GHOST_TXN_COMPLETE || state == GHOST_TXN_CPU_UNAVAIL) &&
		 gt_now_ms() < end);
	EXPECT_STATE(GHOST_TXN_TARGET_ONCPU, state);
	txn.commit_flags |= ALLOW_TASK_ONCPU;
	EXPECT_STATE(GHOST_TXN_COMPLETE, gt_commit_free(&remote, 1, &txn));
	START(&self->a);
	txn.commit_flags = COMMIT_AT_TXN_COMMIT;
	do {
		ASSERT_TRUE(gt_runs(&remote, 1, &self->a));
		state = gt_commit_free(&remote, 1, &txn);
	} while (state == GHOST_TXN_TARGET_ONCPU && gt_now_ms() < end);
	EXPECT_STATE(GHOST_TXN_COMPLETE, state);
	EXPECT_EQ(0, gt_next_type(&self->e.q, self->a.gtid, MSG_TASK_PREEMPT,
				  NULL));
	EXPECT_TRUE(gt_stands(&self->a));
	EXPECT_STATE(GHOST_TXN_COMPLETE, gt_schedule(&remote, 1, &self->a, 0));
	EXPECT_TRUE(gt_runs(&remote, 1, &self->a));
}

TEST_F(far, run_flag_on_preempt)
{
	struct gt_task cfs = { 0 };
	bool called = false;
	uint32_t before;
	int i;

	ASSERT_EQ(0, gt_task_start(&cfs));
	ASSERT_EQ(0, gt_pin(cfs.pid, 1));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->a, NULL));
	/* The flag is gone if a kernel thread was the first to preempt it. */
	for (i = 0; i < 10 && !called; i++) {
		ASSERT_EQ(GHOST_TXN_COMPLETE,
			  gt_schedule(&remote, 1, &self->a, RTLA_ON_PREEMPT));
		ASSERT_TRUE(gt_runs(&remote, 1, &self->a));
		before = gt_barrier(local.sw);
		gt_tell(&cfs, GT_SPIN);
		ASSERT_EQ(0, gt_next_type(&self->e.q, self->a.gtid,
					  MSG_TASK_PREEMPT, NULL));
		gt_sleep_ms(50);
		called = gt_barrier(local.sw) == before + 1;
		gt_tell(&cfs, GT_BLOCK);
		ASSERT_TRUE(gt_asleep(&cfs));
	}
	EXPECT_TRUE(called);
	gt_task_end(&cfs);
}

TEST_F(far, agent_barrier_arithmetic)
{
	const struct {
		uint8_t flags;
		bool runnable;
		int state, step;
	} t[] = {
		{ 0, false, GHOST_TXN_TARGET_NOT_RUNNABLE, 0 },
		{ INC_AGENT_BARRIER_ON_FAILURE, false,
		  GHOST_TXN_TARGET_NOT_RUNNABLE, 1 },
		{ ELIDE_AGENT_BARRIER_INC, false,
		  GHOST_TXN_TARGET_NOT_RUNNABLE, 0 },
		{ 0, true, GHOST_TXN_COMPLETE, 1 },
		{ INC_AGENT_BARRIER_ON_FAILURE, true, GHOST_TXN_COMPLETE, 1 },
		{ ELIDE_AGENT_BARRIER_INC, true, GHOST_TXN_COMPLETE, 0 },
	};
	int64_t end = gt_now_ms() + GT_WAIT_MS;
	struct gt_txn txn;
	uint32_t before;
	int state;
	int i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		if (t[i].runnable) {
			ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->a, NULL));
		}
		do {
			txn = for_task(&self->e, &self->a);
			txn.commit_flags |= t[i].flags;
			before = gt_barrier(local.sw);
			state = gt_commit(&remote, 1, &txn);
		} while (state == GHOST_TXN_CPU_UNAVAIL && gt_now_ms() < end);
		EXPECT_STATE(t[i].state, state);
		EXPECT_EQ(before + t[i].step, gt_barrier(local.sw))
			TH_LOG("row %d", i);
		if (t[i].runnable) {
			gt_tell(&self->a, GT_BLOCK);
			ASSERT_EQ(0, gt_drive(&remote, 1, &self->a,
					      MSG_TASK_BLOCKED, NULL));
		}
	}
	/* A call of the agent: one for the commit, one for the agent. */
	txn = (struct gt_txn){ .gtid = GHOST_AGENT_GTID,
			       .commit_flags = COMMIT_AT_TXN_COMMIT };
	before = gt_barrier(local.sw);
	EXPECT_STATE(GHOST_TXN_COMPLETE, gt_commit(&remote, 1, &txn));
	EXPECT_TRUE(gt_wait_for(gt_barrier(local.sw) == before + 2));
}

static long commit_both(struct gt_agent *a, void *arg)
{
	return gt_txn_ioctl(a->e, 6);
}

TEST_F(far, one_ioctl_many_cpus)
{
	int64_t end = gt_now_ms() + GT_WAIT_MS;
	struct gt_txn txn;
	int state;

	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->a, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->b, NULL));
	do {
		txn = for_task(&self->e, &self->a);
		gt_txn_fill(&self->e, 1, &txn);
		txn = for_task(&self->e, &self->b);
		txn.agent_barrier = gt_barrier(remote.sw);
		gt_txn_fill(&self->e, 2, &txn);
		/* The ping moves the local barrier: the remote one goes through. */
		ASSERT_EQ(0, gt_post(&remote, commit_both, NULL));
		state = gt_txn_wait(&self->e, 1);
		ASSERT_EQ(0, gt_finish(&remote, NULL));
	} while (state == GHOST_TXN_CPU_UNAVAIL && gt_now_ms() < end);
	EXPECT_STATE(GHOST_TXN_COMPLETE, state);
	EXPECT_STATE(GHOST_TXN_AGENT_STALE, gt_txn_wait(&self->e, 2));
	EXPECT_TRUE(gt_runs(&remote, 1, &self->a));
	EXPECT_TRUE(gt_stands(&self->b));
}

TEST_HARNESS_MAIN
