// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Sync groups: all or none, ownership, poisoning, the rendezvous. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"

static struct gt_agent agents[3];	/* of CPU 1, 2 and 3 */

/*
 * The group is CPU 1 and CPU 2. Its committer is the agent of CPU 3, or the
 * one of CPU 1, which parks; the own CPU is visited last.
 */
FIXTURE(sync) {
	struct gt_enclave e;
	struct gt_task t[2];
	struct gt_agent *by;
};

FIXTURE_VARIANT(sync) {
	int by;
};

FIXTURE_VARIANT_ADD(sync, remote) { .by = 3 };
FIXTURE_VARIANT_ADD(sync, local) { .by = 1 };

FIXTURE_SETUP(sync)
{
	int i;

	if (gt_ncpus() < 4)
		SKIP(return, "a group and its committer need 4 CPUs");
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1-3"))
		TH_LOG("enclave: %s", self->e.step);
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, gt_task_start(&self->t[i]));
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, gt_agent_start(&agents[i], &self->e, i + 1, -1));
	self->by = &agents[variant->by - 1];
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t[i], NULL));
		ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t[i], NULL));
	}
}

FIXTURE_TEARDOWN(sync)
{
	int i;

	for (i = 0; i < 3; i++)
		gt_agent_stop(&agents[i]);
	gt_destroy(&self->e);
	for (i = 0; i < 2; i++)
		gt_task_end(&self->t[i]);
	EXPECT_EQ(0, self->e.q.gaps);
	gt_enclave_close(&self->e);
}

struct group {
	__u64 cpus;
	struct gt_txn txn[2];		/* of CPU 1 and CPU 2 */
	int ret;
	int done;
};

static long commit_group(struct gt_agent *a, void *arg)
{
	struct group *g = arg;
	int i;

	for (i = 0; i < 2; i++) {
		if (!g->txn[i].commit_flags)
			continue;
		if (i + 1 == a->cpu)
			g->txn[i].agent_barrier = gt_barrier(a->sw);
		a->e->cpu[i + 1].txn.u.sync_group_owner = a->tid;
		gt_txn_fill(a->e, i + 1, &g->txn[i]);
	}
	g->ret = gt_sync_ioctl(a->e, g->cpus);
	__atomic_store_n(&g->done, 1, __ATOMIC_RELEASE);
	return 0;
}

/*
 * The agent of CPU 1 stays in the ioctl when it was committed: the states say
 * so, and it is called to tell the result.
 */
static int run_group(struct gt_enclave *e, struct gt_agent *by, struct group *g)
{
	int ret;

	g->done = 0;
	e->cpu[1].txn.state = GHOST_TXN_ABORTED;	/* of the last round */
	ret = gt_post(by, commit_group, g);
	if (ret)
		return ret;
	gt_wait_for(__atomic_load_n(&g->done, __ATOMIC_ACQUIRE) ||
		    (by->cpu == 1 &&
		     gt_txn_state(e, 1) == GHOST_TXN_COMPLETE));
	return 0;
}

static struct group group_of(struct gt_enclave *e, struct gt_task *t)
{
	struct group g = { .cpus = 6 };
	int i;

	for (i = 0; i < 2; i++)
		g.txn[i] = (struct gt_txn){
			.gtid = t[i].gtid,
			.task_barrier = gt_barrier(gt_sw(e, t[i].gtid)),
			.commit_flags = COMMIT_AT_TXN_COMMIT,
		};
	return g;
}

static int owner(struct gt_enclave *e, int cpu)
{
	return __atomic_load_n(&e->cpu[cpu].txn.u.sync_group_owner,
			       __ATOMIC_ACQUIRE);
}

static bool off_cpu(struct gt_enclave *e, struct gt_task *t)
{
	return !(gt_flags(gt_sw(e, t->gtid)) & GHOST_SW_TASK_ONCPU);
}

/*
 * A kernel thread on either CPU lets the group fail: once more, then, as soon as
 * the other CPU has left the rendezvous.
 */
static bool disturbed(struct gt_enclave *e, struct gt_task *t)
{
	if (gt_txn_state(e, 1) != GHOST_TXN_CPU_UNAVAIL &&
	    gt_txn_state(e, 2) != GHOST_TXN_CPU_UNAVAIL)
		return false;
	return gt_wait_for(off_cpu(e, &t[0]) && off_cpu(e, &t[1]));
}

TEST_F(sync, all)
{
	struct group g;

	do {
		g = group_of(&self->e, self->t);
		ASSERT_EQ(0, run_group(&self->e, self->by, &g));
	} while (disturbed(&self->e, self->t));
	EXPECT_STATE(GHOST_TXN_COMPLETE, gt_txn_wait(&self->e, 1));
	EXPECT_STATE(GHOST_TXN_COMPLETE, gt_txn_wait(&self->e, 2));
	EXPECT_TRUE(gt_runs(&agents[0], 1, &self->t[0]));
	EXPECT_TRUE(gt_runs(&agents[1], 2, &self->t[1]));
	EXPECT_EQ(0, gt_finish(self->by, NULL));
	EXPECT_EQ(1, g.ret);
	EXPECT_EQ(-1, owner(&self->e, 1));
	EXPECT_EQ(-1, owner(&self->e, 2));
}

TEST_F(sync, none_when_one_is_stale)
{
	uint64_t before[2];
	struct group g;
	int bad, i;

	for (bad = 0; bad < 2; bad++) {
		for (i = 0; i < 2; i++)
			before[i] = self->t[i].ctl->count;
		do {
			g = group_of(&self->e, self->t);
			g.txn[bad].task_barrier += 100;
			ASSERT_EQ(0, run_group(&self->e, self->by, &g));
		} while (disturbed(&self->e, self->t));
		EXPECT_STATE(GHOST_TXN_TARGET_STALE,
			     gt_txn_wait(&self->e, bad + 1));
		EXPECT_EQ(0, gt_finish(self->by, NULL));
		EXPECT_EQ(0, g.ret);
		/* Visited before the bad one: committed, then taken back. */
		i = gt_txn_wait(&self->e, 2 - bad);
		EXPECT_TRUE(i == GHOST_TXN_COMPLETE || i == GHOST_TXN_POISONED)
			TH_LOG("the other one: %s", gt_txn_name(i));
		EXPECT_EQ(self->by->tid, owner(&self->e, 1))
			TH_LOG("a failed group keeps its owner");
		gt_sleep_ms(50);
		EXPECT_EQ(before[0], self->t[0].ctl->count);
		EXPECT_EQ(before[1], self->t[1].ctl->count);
	}
	/* No PREEMPT tells of it, and an ordinary commit goes through. */
	EXPECT_EQ(-ETIMEDOUT, gt_next(&self->e.q, GT_ANY, GT_QUIET_MS, NULL));
	for (i = 0; i < 2; i++) {
		EXPECT_STATE(GHOST_TXN_COMPLETE,
			     gt_schedule(&agents[i], i + 1, &self->t[i], 0));
		EXPECT_TRUE(gt_runs(&agents[i], i + 1, &self->t[i]));
	}
}

TEST_F(sync, none_when_one_is_not_ready)
{
	struct group g = group_of(&self->e, self->t);

	g.txn[1].commit_flags = 0;	/* not filled in */
	self->e.cpu[2].txn.state = GHOST_TXN_ABORTED;
	ASSERT_EQ(0, run_group(&self->e, self->by, &g));
	EXPECT_STATE(GHOST_TXN_POISONED, gt_txn_wait(&self->e, 1));
	EXPECT_STATE(GHOST_TXN_ABORTED, gt_txn_state(&self->e, 2));
	EXPECT_EQ(0, gt_finish(self->by, NULL));
	EXPECT_EQ(0, g.ret);
	EXPECT_TRUE(gt_stands(&self->t[0]));
}

TEST_F(sync, poisoned_steps_the_agent_barrier)
{
	struct group g = group_of(&self->e, self->t);
	uint32_t before;

	g.txn[0].commit_flags |= INC_AGENT_BARRIER_ON_FAILURE;
	g.txn[1].commit_flags = 0;
	self->e.cpu[2].txn.state = GHOST_TXN_ABORTED;
	before = gt_barrier(agents[0].sw);
	ASSERT_EQ(0, run_group(&self->e, self->by, &g));
	EXPECT_STATE(GHOST_TXN_POISONED, gt_txn_wait(&self->e, 1));
	EXPECT_EQ(0, gt_finish(self->by, NULL));
	/* Each time that a local committer is woken counts two. */
	before = gt_barrier(agents[0].sw) - before;
	EXPECT_EQ(1, variant->by == 1 ? before % 2 : before);
}

TEST_F(sync, foreign_cpus_are_left_alone)
{
	struct group g = group_of(&self->e, self->t);
	struct gt_enclave other;
	struct gt_txn txn = { .gtid = 12345, .commit_flags = COMMIT_AT_SCHEDULE };

	ASSERT_EQ(0, gt_agent_stop(&agents[1]));
	ASSERT_EQ(0, gt_set_cpus(&self->e, "1,3"));
	ASSERT_EQ(0, gt_enclave_create(&other, "2"));
	gt_txn_fill(&other, 2, &txn);
	g.txn[1].commit_flags = 0;
	ASSERT_EQ(0, run_group(&self->e, self->by, &g));
	EXPECT_STATE(GHOST_TXN_POISONED, gt_txn_wait(&self->e, 1));
	EXPECT_EQ(0, gt_finish(self->by, NULL));
	EXPECT_EQ(0, g.ret);
	EXPECT_STATE(GHOST_TXN_READY, gt_txn_state(&other, 2));
	gt_destroy(&other);
	gt_enclave_close(&other);
}

/* That the agent runs is enough: its CPU's task loses it. */
static long preempt(struct gt_agent *a, void *arg)
{
	return 0;
}

/* Many groups, every other one fails: who is in a failed one never runs. */
TEST_F(sync, alternating)
{
	int i, k, committed = 0, failed = 0;
	uint64_t before[2];
	struct group g;

	for (i = 0; i < 200; i++) {
		g = group_of(&self->e, self->t);
		if (i & 1)
			g.txn[(i >> 1) & 1].task_barrier += 100;
		for (k = 0; k < 2; k++)
			before[k] = self->t[k].ctl->count;
		ASSERT_EQ(0, run_group(&self->e, self->by, &g));
		if (gt_txn_state(&self->e, 1) == GHOST_TXN_COMPLETE &&
		    gt_txn_state(&self->e, 2) == GHOST_TXN_COMPLETE) {
			ASSERT_EQ(0, i & 1);
			committed++;
			EXPECT_TRUE(gt_runs(&agents[0], 1, &self->t[0]));
			EXPECT_TRUE(gt_runs(&agents[1], 2, &self->t[1]));
		} else {
			failed++;
		}
		ASSERT_EQ(0, gt_finish(self->by, NULL));
		if (i & 1) {
			EXPECT_EQ(0, g.ret);
			EXPECT_EQ(before[0], self->t[0].ctl->count);
			EXPECT_EQ(before[1], self->t[1].ctl->count);
		}
		/* Both off their CPUs for the next one. */
		for (k = 0; k < 2; k++) {
			struct ghost_status_word *sw = gt_sw(&self->e,
							     self->t[k].gtid);

			gt_call(&agents[k], preempt, NULL);
			gt_wait_for(!(gt_flags(sw) & GHOST_SW_TASK_ONCPU));
		}
	}
	EXPECT_LE(50, committed) TH_LOG("committed %d", committed);
	EXPECT_LE(100, failed) TH_LOG("failed %d", failed);
}

TEST_F(sync, arguments)
{
	struct ghost_ioc_commit_txn arg = { .mask_len = 8 };
	__u64 cpus = 0;

	EXPECT_EQ(-EFAULT, gt_ioctl(self->e.ctl, GHOST_IOC_SYNC_GROUP_TXN,
				    NULL));
	arg.flags = 1;
	EXPECT_EQ(-EFAULT, gt_ioctl(self->e.ctl, GHOST_IOC_SYNC_GROUP_TXN,
				    &arg))
		TH_LOG("the mask is read before the flags are looked at");
	arg.mask_ptr = &cpus;
	EXPECT_EQ(-EINVAL, gt_ioctl(self->e.ctl, GHOST_IOC_SYNC_GROUP_TXN,
				    &arg));
	arg.flags = 0;
	EXPECT_EQ(1, gt_ioctl(self->e.ctl, GHOST_IOC_SYNC_GROUP_TXN, &arg))
		TH_LOG("a group of nobody");
}

TEST_HARNESS_MAIN
