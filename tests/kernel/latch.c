// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* From the commit to the CPU: how a latch is used, kept, replaced and lost. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"
#include "race.h"

#define load(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)

static struct gt_agent agent;		/* of CPU 1 */

FIXTURE(latch) {
	struct gt_enclave e;
	struct gt_task a, b, cfs;
};

FIXTURE_SETUP(latch)
{
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
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

FIXTURE_TEARDOWN(latch)
{
	gt_task_end(&self->cfs);
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	gt_task_end(&self->a);
	gt_task_end(&self->b);
	EXPECT_EQ(0, self->e.q.gaps);
	gt_enclave_close(&self->e);
}

/* ---- latched while the agent runs ---- */

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
	gt_txn_fill(e, 1, &(struct gt_txn){
		.gtid = t->gtid,
		.task_barrier = gt_barrier(gt_sw(e, t->gtid)),
		.run_flags = run_flags,
	});
	gt_txn_ioctl(e, 2);
	return gt_txn_wait(e, 1);
}

#define EXPECT_LOST(t) do {						\
	struct gt_msg __m;						\
									\
	ASSERT_EQ(0, gt_next(&self->e.q, (t)->gtid, GT_WAIT_MS, &__m));	\
	EXPECT_EQ(MSG_TASK_PREEMPT, __m.type)				\
		TH_LOG("%s", gt_msg_name(__m.type));			\
	EXPECT_EQ(1, __m.preempt.was_latched);				\
	EXPECT_EQ(1, __m.preempt.cpu);					\
} while (0)

TEST_F(latch, tick_of_the_agent_takes_it_away)
{
	ASSERT_TRUE(hold_cpu());
	EXPECT_STATE(GHOST_TXN_COMPLETE, latch(&self->e, &self->a, 0));
	EXPECT_LOST(&self->a);
	store(&turn, 2);
	EXPECT_TRUE(gt_stands(&self->a));
}

TEST_F(latch, another_takes_its_place)
{
	ASSERT_TRUE(hold_cpu());
	EXPECT_STATE(GHOST_TXN_COMPLETE, latch(&self->e, &self->a, 0));
	EXPECT_STATE(GHOST_TXN_COMPLETE, latch(&self->e, &self->b, 0));
	EXPECT_LOST(&self->a);
	store(&turn, 2);
	EXPECT_TRUE(gt_stands(&self->a));
}

TEST_F(latch, null_takes_it_away)
{
	ASSERT_TRUE(hold_cpu());
	EXPECT_STATE(GHOST_TXN_COMPLETE, latch(&self->e, &self->a, 0));
	gt_txn_fill(&self->e, 1, &(struct gt_txn){ .gtid = GHOST_NULL_GTID });
	ASSERT_EQ(0, gt_txn_ioctl(&self->e, 2));
	EXPECT_STATE(GHOST_TXN_COMPLETE, gt_txn_wait(&self->e, 1));
	EXPECT_LOST(&self->a);
	store(&turn, 2);
	EXPECT_TRUE(gt_stands(&self->a));
}

TEST_F(latch, nice_takes_it_away_first)
{
	struct gt_msg m;

	ASSERT_TRUE(hold_cpu());
	EXPECT_STATE(GHOST_TXN_COMPLETE, latch(&self->e, &self->a, 0));
	ASSERT_EQ(0, setpriority(PRIO_PROCESS, self->a.pid, 5));
	store(&turn, 2);
	EXPECT_LOST(&self->a);
	ASSERT_EQ(0, gt_next(&self->e.q, self->a.gtid, GT_WAIT_MS, &m));
	EXPECT_EQ(MSG_TASK_PRIORITY_CHANGED, m.type);
	EXPECT_TRUE(gt_stands(&self->a));
}

/* Both are told; which comes first is free. */
TEST_F(latch, affinity_that_forbids_takes_it_away)
{
	int i, lost = 0, changed = 0;
	struct gt_msg m;

	ASSERT_TRUE(hold_cpu());
	EXPECT_STATE(GHOST_TXN_COMPLETE, latch(&self->e, &self->a, 0));
	ASSERT_EQ(0, gt_pin(self->a.pid, 0));
	store(&turn, 2);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, gt_next(&self->e.q, self->a.gtid, GT_WAIT_MS, &m));
		lost += m.type == MSG_TASK_PREEMPT && m.preempt.was_latched;
		changed += m.type == MSG_TASK_AFFINITY_CHANGED;
	}
	EXPECT_EQ(1, lost);
	EXPECT_EQ(1, changed);
	EXPECT_TRUE(gt_stands(&self->a));
}

/* What asked for TASK_ON_CPU and had no PREEMPT to send is forgotten with it. */
TEST_F(latch, flags_go_with_it)
{
	struct gt_msg m;

	ASSERT_TRUE(hold_cpu());
	EXPECT_STATE(GHOST_TXN_COMPLETE,
		     latch(&self->e, &self->a, SEND_TASK_ON_CPU | ELIDE_PREEMPT));
	EXPECT_LOST(&self->a);
	store(&turn, 2);
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->b, 0));
	ASSERT_TRUE(gt_runs(&agent, 1, &self->b));
	/*
	 * Neither is told that it runs, and its PREEMPT is sent: this one's, or
	 * that of a kernel thread before.
	 */
	ASSERT_EQ(0, gt_ping(&self->e, 1));
	ASSERT_EQ(0, gt_next(&self->e.q, self->b.gtid, GT_WAIT_MS, &m));
	EXPECT_EQ(MSG_TASK_PREEMPT, m.type) TH_LOG("%s", gt_msg_name(m.type));
}

TEST_F(latch, agents_end_takes_it_away)
{
	struct gt_msg m = { 0 };
	int i;

	/*
	 * The agent may sleep on its way out: then the task runs, and goes on
	 * without an agent until somebody else wants the CPU.
	 */
	for (i = 0; i < 20 && !m.preempt.was_latched; i++) {
		if (i) {
			ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
		}
		ASSERT_TRUE(hold_cpu());
		EXPECT_STATE(GHOST_TXN_COMPLETE, latch(&self->e, &self->a, 0));
		store(&agent.stop, 1);
		store(&turn, 2);
		ASSERT_EQ(0, gt_agent_stop(&agent));
		gt_tell(&self->cfs, GT_SPIN);
		ASSERT_TRUE(gt_spins(&self->cfs));
		gt_tell(&self->cfs, GT_BLOCK);
		ASSERT_EQ(0, gt_next(&self->e.q, self->a.gtid, GT_WAIT_MS, &m));
		ASSERT_EQ(MSG_TASK_PREEMPT, m.type)
			TH_LOG("%s", gt_msg_name(m.type));
		EXPECT_EQ(1, m.preempt.cpu);
	}
	EXPECT_EQ(1, m.preempt.was_latched);
	EXPECT_TRUE(gt_stands(&self->a));
}

TEST_F(latch, latched_idle_is_lost_in_silence)
{
	struct gt_txn txn = {
		.gtid = GHOST_IDLE_GTID, .agent_barrier = GT_NOW,
		.commit_flags = COMMIT_AT_TXN_COMMIT | ALLOW_TASK_ONCPU,
	};

	EXPECT_STATE(GHOST_TXN_COMPLETE, gt_commit(&agent, 1, &txn));
	gt_tell(&self->cfs, GT_SPIN);
	EXPECT_TRUE(gt_spins(&self->cfs));
	EXPECT_EQ(-ETIMEDOUT, gt_next(&self->e.q, GT_ANY, GT_QUIET_MS, NULL));
}

/* RUN leaves what is latched: parking is how the agent makes room for it. */
TEST_F(latch, parking_keeps_it)
{
	int i, state = GHOST_TXN_READY;

	/* The tick may come between. */
	for (i = 0; i < 100; i++) {
		ASSERT_TRUE(hold_cpu());
		state = latch(&self->e, &self->a, 0);
		store(&turn, 2);
		ASSERT_TRUE(gt_wait_for(agent.done == agent.posted));
		gt_sleep_ms(5);
		if (gt_flags(gt_sw(&self->e, self->a.gtid)) & GHOST_SW_TASK_ONCPU)
			break;
	}
	EXPECT_GT(100, i);
	EXPECT_STATE(GHOST_TXN_COMPLETE, state);
	EXPECT_TRUE(gt_runs(&agent, 1, &self->a));
}

static long look(struct gt_agent *a, void *unused)
{
	return 0;
}

/*
 * Committed and called at once, the agent finds the task latched when it takes
 * the CPU: with the flag the task keeps its latch and runs when the agent has
 * parked again, without it, it is preempted.
 */
TEST_F(latch, deferred_until_the_agent_parks)
{
	static const uint16_t flags[] = { 0, DEFER_LATCHED_PREEMPTION_BY_AGENT };
	long lost[2] = { 0 };
	struct race r;
	struct gt_msg m;
	int i;

	race_start(&r, 600, RACE_MS);
	while (race_goes_on(&r)) {
		i = r.rounds % 2;
		gt_txn_fill(&self->e, 1, &(struct gt_txn){
			.gtid = self->a.gtid,
			.task_barrier = gt_barrier(gt_sw(&self->e, self->a.gtid)),
			.run_flags = flags[i],
		});
		ASSERT_EQ(0, gt_txn_ioctl(&self->e, 2));
		race_delay(&r.seed);
		ASSERT_EQ(0, gt_ping(&self->e, 1));
		ASSERT_GT(0, gt_txn_wait(&self->e, 1));
		/* Whatever came of it, it has to give the CPU back. */
		gt_call(&agent, look, NULL);
		gt_sleep_ms(1);
		while (!gt_next(&self->e.q, self->a.gtid, 0, &m))
			lost[i] += m.type == MSG_TASK_PREEMPT &&
				m.preempt.was_latched;
		self->e.q.logged = 0;
	}
	printf("# counted: %s: %ld rounds, lost %ld, with the flag %ld\n",
	       _metadata->name, r.rounds, lost[0], lost[1]);
	if (lost[0] < 10)
		SKIP(return, "the agent met a latched task %ld times", lost[0]);
	/* A tick of the agent takes it away all the same. */
	EXPECT_GT(lost[0] / 4, lost[1]);
}

/* ---- who runs ---- */

TEST_F(latch, runs_on_while_others_wake)
{
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->a, 0));
	ASSERT_TRUE(gt_runs(&agent, 1, &self->a));
	gt_tell(&self->b, GT_BLOCK);
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->b, 0));
	ASSERT_EQ(0, gt_drive(&agent, 1, &self->b, MSG_TASK_BLOCKED, NULL));
	ASSERT_EQ(0, gt_next_type(&self->e.q, self->a.gtid, MSG_TASK_PREEMPT,
				  NULL));
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->a, 0));
	ASSERT_TRUE(gt_runs(&agent, 1, &self->a));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->b, NULL));
	EXPECT_TRUE(gt_stands(&self->b));
	EXPECT_TRUE(gt_runs(&agent, 1, &self->a));
}

TEST_F(latch, agent_runs_when_nothing_is_left)
{
	struct gt_txn txn = {
		.gtid = self->a.gtid, .agent_barrier = GT_NOW,
		.run_flags = RTLA_ON_IDLE,
		.commit_flags = COMMIT_AT_TXN_COMMIT,
	};

	gt_tell(&self->a, GT_BLOCK);
	txn.task_barrier = gt_barrier(gt_sw(&self->e, self->a.gtid));
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_commit(&agent, 1, &txn));
	EXPECT_TRUE(gt_wait_for(agent.done == agent.posted))
		TH_LOG("nobody calls it");
	EXPECT_EQ(0, gt_drive(&agent, 1, &self->a, MSG_TASK_BLOCKED, NULL));
	/* Nothing at all, to begin with. */
	txn = (struct gt_txn){
		.agent_barrier = GT_NOW, .run_flags = RTLA_ON_IDLE,
		.commit_flags = COMMIT_AT_TXN_COMMIT,
	};
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_commit(&agent, 1, &txn));
	EXPECT_TRUE(gt_wait_for(agent.done == agent.posted));
}

static struct first {
	struct gt_task *cfs;
	uint64_t before;
	bool waited;
	uint32_t flags;
} first;

/* Parks until woken; then: has the thread run that takes the CPU away? */
static long park_and_look(struct gt_agent *a, void *unused)
{
	struct ghost_ioc_run run = { .run_cpu = a->cpu };
	int ret;

	store(&turn, 1);
	do {
		run.agent_barrier = gt_barrier(a->sw);
		ret = gt_run(a->e, &run);
	} while (ret == -ESTALE);
	first.waited = load(&first.cfs->ctl->count) == first.before;
	first.flags = gt_flags(a->sw);
	return ret;
}

/*
 * A thread of another class wants the CPU: the task is preempted, which wakes
 * the agent, which comes first and is told to hurry.
 */
TEST_F(latch, woken_agent_precedes_cfs)
{
	struct ghost_agent_wakeup w = { .cpu = 1 };
	struct ghost_ioc_config_queue_wakeup list = {
		.qfd = self->e.q.fd, .w = &w, .ninfo = 1,
	};
	uint64_t before;
	int i;

	ASSERT_EQ(0, gt_ioctl(self->e.ctl, GHOST_IOC_CONFIG_QUEUE_WAKEUP, &list));
	first.cfs = &self->cfs;
	for (i = 0; i < 50; i++) {
		first.waited = false;
		first.flags = 0;
		first.before = load(&self->cfs.ctl->count);
		store(&turn, 0);
		ASSERT_EQ(0, gt_post(&agent, park_and_look, NULL));
		ASSERT_TRUE(gt_wait_for(load(&turn) == 1));
		/* Runs, and nobody else has woken the agent meanwhile? */
		before = load(&self->a.ctl->count);
		if (latch(&self->e, &self->a, 0) == GHOST_TXN_COMPLETE &&
		    gt_wait_for(load(&self->a.ctl->count) != before ||
				agent.done == agent.posted) &&
		    load(&agent.done) != load(&agent.posted)) {
			gt_tell(&self->cfs, GT_SPIN);
			ASSERT_TRUE(gt_spins(&self->cfs));
			ASSERT_TRUE(gt_wait_for(agent.done == agent.posted));
			gt_tell(&self->cfs, GT_BLOCK);
			ASSERT_TRUE(gt_asleep(&self->cfs));
			break;
		}
		ASSERT_EQ(0, gt_finish(&agent, NULL));
	}
	EXPECT_GT(50, i);
	EXPECT_TRUE(first.waited) TH_LOG("CFS ran first");
	EXPECT_TRUE(first.flags & GHOST_SW_BOOST_PRIO);
}

/* ---- two CPUs ---- */

static struct gt_agent second;		/* of CPU 2 */

FIXTURE(move) {
	struct gt_enclave e;
	struct gt_task a;
};

FIXTURE_SETUP(move)
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
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->a, NULL));
}

FIXTURE_TEARDOWN(move)
{
	gt_agent_stop(&agent);
	gt_agent_stop(&second);
	gt_destroy(&self->e);
	gt_task_end(&self->a);
	EXPECT_EQ(0, self->e.q.gaps);
	gt_enclave_close(&self->e);
}

/* Latched on CPU 1, committed to CPU 2: it moves, and nobody is told. */
TEST_F(move, commit_elsewhere_is_silent)
{
	struct gt_txn txn = {
		.gtid = self->a.gtid, .run_flags = SEND_TASK_ON_CPU,
	};
	int i, state = GHOST_TXN_READY;
	uint32_t barrier = 0;
	struct gt_msg m;

	/*
	 * A tick of the holding agent may take the latch first, or a kernel thread
	 * that of CPU 2.
	 */
	for (i = 0; i < 100; i++) {
		ASSERT_TRUE(hold_cpu());
		barrier = gt_barrier(gt_sw(&self->e, self->a.gtid));
		ASSERT_EQ(GHOST_TXN_COMPLETE, latch(&self->e, &self->a, 0));
		txn.task_barrier = barrier;
		gt_txn_fill(&self->e, 2, &txn);
		ASSERT_EQ(0, gt_txn_ioctl(&self->e, 4));
		state = gt_txn_wait(&self->e, 2);
		store(&turn, 2);
		ASSERT_EQ(0, gt_finish(&agent, NULL));
		if (state != GHOST_TXN_COMPLETE)
			continue;
		do {
			ASSERT_EQ(0, gt_next(&self->e.q, self->a.gtid, GT_WAIT_MS,
					     &m));
		} while (m.seqnum <= barrier);
		if (m.type != MSG_TASK_PREEMPT || !m.preempt.was_latched)
			break;
	}
	EXPECT_STATE(GHOST_TXN_COMPLETE, state);
	EXPECT_EQ(MSG_TASK_ON_CPU, m.type) TH_LOG("%s", gt_msg_name(m.type));
	EXPECT_EQ(2, m.on_cpu.cpu);
	EXPECT_EQ(barrier + 1, m.seqnum);
}

TEST_HARNESS_MAIN
