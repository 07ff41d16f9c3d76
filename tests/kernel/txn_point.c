// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Where transactions are committed, and what their result goes with. */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "race.h"

#define load(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)

static struct gt_agent agent, second;	/* of CPU 1 and 2 */

static struct gt_txn for_task(struct gt_enclave *e, struct gt_task *t,
			      uint8_t commit_flags)
{
	return (struct gt_txn){
		.gtid = t->gtid,
		.task_barrier = gt_barrier(gt_sw(e, t->gtid)),
		.commit_flags = commit_flags,
	};
}

FIXTURE(txn_point) {
	struct gt_enclave e;
	struct gt_task a, b, cfs;
};

FIXTURE_SETUP(txn_point)
{
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, gt_ncpus() > 2 ? "1-2" : "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->a));
	ASSERT_EQ(0, gt_task_start(&self->b));
	ASSERT_EQ(0, gt_task_start(&self->cfs));
	ASSERT_EQ(0, gt_pin(self->cfs.pid, 1));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->a, NULL));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->b, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->a, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->b, NULL));
}

FIXTURE_TEARDOWN(txn_point)
{
	gt_task_end(&self->cfs);
	gt_agent_stop(&agent);
	gt_agent_stop(&second);
	gt_destroy(&self->e);
	gt_task_end(&self->a);
	gt_task_end(&self->b);
	EXPECT_EQ(0, self->e.q.gaps);
	gt_enclave_close(&self->e);
}

static int turn;

static long hold(struct gt_agent *a, void *unused)
{
	store(&turn, 1);
	while (load(&turn) != 2)
		;
	return 0;
}

static bool hold_cpu(void)
{
	store(&turn, 0);
	return !gt_post(&agent, hold, NULL) && gt_wait_for(load(&turn) == 1);
}

/* A greedy transaction: the CPU commits it itself, whatever runs there. */
static int latch(struct gt_enclave *e, struct gt_task *t, uint16_t run_flags)
{
	struct gt_txn txn = for_task(e, t, 0);

	txn.run_flags = run_flags;
	gt_txn_fill(e, 1, &txn);
	gt_txn_ioctl(e, 2);
	return gt_txn_wait(e, 1);
}

/* ---- the slot ---- */

TEST_F(txn_point, fresh_slot)
{
	struct ghost_txn *txn = &self->e.cpu[1].txn;
	int i;

	for (i = 0; i < 2; i++) {
		EXPECT_EQ(0, txn->version);
		EXPECT_EQ(1, txn->cpu);
		EXPECT_STATE(GHOST_TXN_COMPLETE, gt_txn_state(&self->e, 1));
		EXPECT_EQ(-1, txn->u.sync_group_owner);
		EXPECT_EQ(0, txn->gtid);
		/* Out and in again, with traces of use. */
		ASSERT_EQ(0, gt_agent_stop(&agent));
		ASSERT_EQ(0, gt_set_cpus(&self->e, "\n"));
		memset(txn, 0x5a, sizeof(*txn));
		ASSERT_EQ(0, gt_set_cpus(&self->e, "1"));
	}
}

/* A commit that was stale: what made it so can be read. */
TEST_F(txn_point, result_follows_the_messages)
{
	struct gt_queue *q = &self->e.q;
	struct race_window w[] = {
		{ .name = "stale", .wanted = 20 },
	};
	struct gt_txn txn;
	struct race r;
	int state;
	pid_t child;

	race_start(&r, LONG_MAX, RACE_MS);
	child = fork();
	if (!child) {
		int nice;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		gt_pin(0, 1);
		for (nice = 0;; nice = !nice) {
			setpriority(PRIO_PROCESS, self->b.pid, nice);
			race_delay(&r.seed);
		}
	}
	gt_queue_consume(q);
	while (w[0].seen < w[0].wanted && race_goes_on(&r)) {
		txn = for_task(&self->e, &self->b, 0);
		race_delay(&r.seed);
		gt_txn_fill(&self->e, 1, &txn);
		ASSERT_EQ(0, gt_txn_ioctl(&self->e, 2));
		state = gt_txn_wait(&self->e, 1);
		q->logged = 0;
		gt_queue_consume(q);
		if (state != GHOST_TXN_TARGET_STALE)
			continue;
		w[0].seen++;
		ASSERT_LT(0, q->logged);
		ASSERT_LT(0, (int32_t)(q->log[q->logged - 1].seqnum -
				       txn.task_barrier));
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	/* The child may be faster than the queue is read. */
	if (load(&q->ring->overflow))
		q->gaps = 0;
	RACE_VERDICT(&r, w);
}

/* ---- COMMIT_TXN ---- */

TEST_F(txn_point, own_cpu_takes_any)
{
	static const uint8_t flags[] = {
		0, COMMIT_AT_SCHEDULE, COMMIT_AT_TXN_COMMIT,
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		EXPECT_STATE(GHOST_TXN_TARGET_NOT_FOUND,
			     gt_commit(&agent, 1, &(struct gt_txn){
				.gtid = 12345, .agent_barrier = GT_NOW,
				.commit_flags = flags[i] }))
			TH_LOG("commit flags %d", flags[i]);
	}
}

TEST_F(txn_point, l1d_flush_is_accepted)
{
	EXPECT_STATE(GHOST_TXN_COMPLETE,
		     gt_schedule(&agent, 1, &self->a, NEED_L1D_FLUSH));
	EXPECT_TRUE(gt_runs(&agent, 1, &self->a));
}

/* Two commits step the agent barrier, and the edge that the first asked for. */
TEST_F(txn_point, old_latch_old_flags)
{
	uint32_t before;

	ASSERT_TRUE(hold_cpu());
	before = gt_barrier(agent.sw);
	EXPECT_STATE(GHOST_TXN_COMPLETE,
		     latch(&self->e, &self->a, RTLA_ON_PREEMPT));
	EXPECT_STATE(GHOST_TXN_COMPLETE, latch(&self->e, &self->b, 0));
	EXPECT_EQ(before + 3, gt_barrier(agent.sw));
	store(&turn, 2);
}

/* ---- the schedule ---- */

TEST_F(txn_point, schedule_takes_greedy)
{
	struct gt_txn txn = for_task(&self->e, &self->a, 0);

	gt_txn_fill(&self->e, 1, &txn);
	/* Nobody asks for it; the agent comes and parks. */
	ASSERT_EQ(0, gt_ping(&self->e, 1));
	EXPECT_STATE(GHOST_TXN_COMPLETE, gt_txn_wait(&self->e, 1));
	EXPECT_TRUE(gt_runs(&agent, 1, &self->a));
}

TEST_F(txn_point, schedule_leaves_a_latch)
{
	struct ghost_status_word *sw = gt_sw(&self->e, self->a.gtid);
	struct gt_txn txn;
	int i, state;

	/* A tick may take the latch: then there is nothing to leave. */
	for (i = 0; i < 100; i++) {
		ASSERT_TRUE(hold_cpu());
		if (latch(&self->e, &self->a, 0) != GHOST_TXN_COMPLETE) {
			store(&turn, 2);
			continue;
		}
		txn = for_task(&self->e, &self->b, COMMIT_AT_SCHEDULE);
		gt_txn_fill(&self->e, 1, &txn);
		store(&turn, 2);
		ASSERT_TRUE(gt_wait_for(agent.done == agent.posted));
		gt_sleep_ms(20);
		if (gt_flags(sw) & GHOST_SW_TASK_ONCPU)
			break;
	}
	ASSERT_GT(100, i);
	EXPECT_STATE(GHOST_TXN_READY, gt_txn_state(&self->e, 1));
	/* The next schedule has nothing latched. */
	ASSERT_EQ(0, gt_ping(&self->e, 1));
	state = gt_txn_wait(&self->e, 1);
	EXPECT_STATE(GHOST_TXN_COMPLETE, state);
	EXPECT_TRUE(gt_runs(&agent, 1, &self->b));
}

TEST_F(txn_point, schedule_leaves_other_classes)
{
	struct gt_txn txn = for_task(&self->e, &self->a, COMMIT_AT_SCHEDULE);

	gt_tell(&self->cfs, GT_SPIN);
	ASSERT_TRUE(gt_spins(&self->cfs));
	gt_txn_fill(&self->e, 1, &txn);
	ASSERT_EQ(0, gt_ping(&self->e, 1));
	gt_sleep_ms(GT_QUIET_MS);
	EXPECT_STATE(GHOST_TXN_READY, gt_txn_state(&self->e, 1));
	EXPECT_TRUE(gt_spins(&self->cfs));
	/* It sleeps: that is a schedule, and nobody else is there. */
	gt_tell(&self->cfs, GT_BLOCK);
	EXPECT_STATE(GHOST_TXN_COMPLETE, gt_txn_wait(&self->e, 1));
	EXPECT_TRUE(gt_runs(&agent, 1, &self->a));
}

/* ---- the tick ---- */

TEST_F(txn_point, tick_of_another_cpu)
{
	int64_t end = gt_now_ms() + GT_WAIT_MS;
	struct gt_txn txn;
	int state;

	if (gt_ncpus() < 3)
		SKIP(return, "two CPUs of an enclave need 3");
	ASSERT_EQ(0, gt_agent_start(&second, &self->e, 2, -1));
	ASSERT_EQ(1, gt_file_put(&self->e, "commit_at_tick", "1"));
	/* CPU 1 is idle, and has no tick of its own. */
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&second, 2, &self->b, 0));
	ASSERT_TRUE(gt_runs(&second, 2, &self->b));
	do {
		gt_put_back(&second, 2, &self->b);
		txn = for_task(&self->e, &self->a, 0);
		gt_txn_fill(&self->e, 1, &txn);
		state = gt_txn_wait(&self->e, 1);
	} while (state == GHOST_TXN_CPU_UNAVAIL && gt_now_ms() < end);
	EXPECT_STATE(GHOST_TXN_COMPLETE, state);
	EXPECT_TRUE(gt_runs(&agent, 1, &self->a));
}

/* ---- of another CPU's agent ---- */

FIXTURE(far_point) {
	struct gt_enclave e;
	struct gt_task a;
};

FIXTURE_SETUP(far_point)
{
	if (gt_ncpus() < 3)
		SKIP(return, "two CPUs of an enclave need 3");
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1-2"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->a));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	ASSERT_EQ(0, gt_agent_start(&second, &self->e, 2, -1));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->a, NULL));
}

FIXTURE_TEARDOWN(far_point)
{
	gt_agent_stop(&agent);
	gt_agent_stop(&second);
	gt_destroy(&self->e);
	gt_task_end(&self->a);
	gt_enclave_close(&self->e);
}

static long commit_both(struct gt_agent *a, void *unused)
{
	struct gt_txn txn = { .gtid = 12345, .commit_flags = COMMIT_AT_TXN_COMMIT };

	gt_txn_fill(a->e, 1, &txn);
	txn.gtid = GHOST_NULL_GTID;
	txn.agent_barrier = gt_barrier(a->sw);
	gt_txn_fill(a->e, 2, &txn);
	return gt_txn_ioctl(a->e, 6);
}

TEST_F(far_point, own_is_poisoned)
{
	EXPECT_EQ(0, gt_call(&second, commit_both, NULL));
	EXPECT_STATE(GHOST_TXN_TARGET_NOT_FOUND, gt_txn_state(&self->e, 1));
	EXPECT_STATE(GHOST_TXN_POISONED, gt_txn_state(&self->e, 2));
}

TEST_F(far_point, renews_the_run_flags)
{
	uint32_t before, after;
	int state, tries = 0;
	struct gt_txn txn;
	struct gt_msg m;

	for (;;) {
		ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->a, NULL));
		ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&second, 1, &self->a, 0));
		ASSERT_TRUE(gt_runs(&second, 1, &self->a));
		before = gt_barrier(agent.sw);
		txn = for_task(&self->e, &self->a,
			       COMMIT_AT_TXN_COMMIT | ALLOW_TASK_ONCPU);
		txn.run_flags = RTLA_ON_BLOCKED;
		state = gt_commit(&second, 1, &txn);
		after = gt_barrier(agent.sw);
		gt_tell(&self->a, GT_BLOCK);
		ASSERT_EQ(0, gt_next(&self->e.q, self->a.gtid, GT_WAIT_MS, &m));
		if (m.type == MSG_TASK_BLOCKED)
			break;
		/* A kernel thread has preempted it at some time. */
		ASSERT_GT(10, ++tries);
		ASSERT_EQ(0, gt_drive(&second, 1, &self->a, MSG_TASK_BLOCKED,
				      NULL));
	}
	EXPECT_STATE(GHOST_TXN_COMPLETE, state);
	EXPECT_EQ(before, after);
	EXPECT_TRUE(gt_wait_for(gt_barrier(agent.sw) == before + 1));
}

TEST_HARNESS_MAIN
