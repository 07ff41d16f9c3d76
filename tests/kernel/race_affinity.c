// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * A change of affinity against a commit of the same task. The commit either
 * comes first, and the task is then forced off the CPU, or it is stale.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "race.h"

#define OFTEN	50

/* Transactions are for CPU 1. */
static struct gt_agent local, remote;

FIXTURE(race_affinity) {
	struct gt_enclave e;
	struct gt_task t;
	struct ghost_status_word *sw;
	struct race r;
};

/* Greedy transactions are committed by CPU 1 itself, in an interrupt. */
FIXTURE_VARIANT(race_affinity) {
	bool remote;
	bool honor;
};

FIXTURE_VARIANT_ADD(race_affinity, greedy) { };
FIXTURE_VARIANT_ADD(race_affinity, greedy_honored) { .honor = true };
FIXTURE_VARIANT_ADD(race_affinity, remote) { .remote = true };
FIXTURE_VARIANT_ADD(race_affinity, remote_honored) {
	.remote = true, .honor = true };

FIXTURE_SETUP(race_affinity)
{
	if (variant->remote && gt_ncpus() < 3)
		SKIP(return, "a remote agent needs 3 CPUs");
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, variant->remote ? "1-2" : "1"))
		TH_LOG("enclave: %s", self->e.step);
	if (variant->honor) {
		ASSERT_EQ(1, gt_file_put(&self->e, "honor_affinity", "1"));
	}
	ASSERT_EQ(0, gt_task_start(&self->t));
	ASSERT_EQ(0, gt_agent_start(&local, &self->e, 1, -1));
	if (variant->remote) {
		ASSERT_EQ(0, gt_agent_start(&remote, &self->e, 2, -1));
	}
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	self->sw = gt_sw(&self->e, self->t.gtid);
	ASSERT_NE(NULL, self->sw);
}

FIXTURE_TEARDOWN(race_affinity)
{
	gt_agent_stop(&local);
	gt_agent_stop(&remote);
	gt_destroy(&self->e);
	gt_task_end(&self->t);
	gt_enclave_close(&self->e);
}

static long commit_job(struct gt_agent *a, void *txn)
{
	gt_txn_fill(a->e, 1, txn);
	return gt_txn_ioctl(a->e, 2);
}

/* Begins to commit, without waiting for the result. */
static int begin(struct gt_enclave *e, bool by_agent, struct gt_txn *txn)
{
	e->cpu[1].txn.state = GHOST_TXN_ABORTED;
	if (by_agent)
		return gt_post(&remote, commit_job, txn);
	gt_txn_fill(e, 1, txn);
	return gt_txn_ioctl(e, 2);
}

static int result(struct gt_enclave *e, bool by_agent)
{
	if (by_agent && gt_finish(&remote, NULL))
		return GHOST_TXN_READY;
	return gt_txn_wait(e, 1);
}

struct told {
	uint32_t next;		/* number that the next message must have */
	int affinity;
	bool in_order;
};

/* What was told since the last call. */
static void take(struct gt_queue *q, struct told *told)
{
	int i;

	told->affinity = 0;
	gt_queue_consume(q);
	for (i = 0; i < q->logged; i++) {
		if (q->log[i].seqnum != told->next++)
			told->in_order = false;
		told->affinity += q->log[i].type == MSG_TASK_AFFINITY_CHANGED;
	}
	q->logged = 0;
}

TEST_F(race_affinity, first_or_stale)
{
	struct race_window w[] = {
		{ .name = "committed first", .wanted = OFTEN },
		{ .name = "made stale", .wanted = OFTEN },
	};
	struct told told = { .in_order = true };
	static struct gt_txn txn;
	int state;
	uint64_t count;

	ASSERT_EQ(0, gt_pin(self->t.pid, 0));
	told.next = gt_barrier(self->sw) + 1;
	gt_queue_consume(&self->e.q);
	self->e.q.logged = 0;
	race_start(&self->r, RACE_ROUNDS, RACE_MS);
	while (race_goes_on(&self->r)) {
		ASSERT_EQ(0, gt_pin(self->t.pid, -1));
		take(&self->e.q, &told);
		ASSERT_EQ(1, told.affinity);
		txn = (struct gt_txn){
			.gtid = self->t.gtid,
			.task_barrier = gt_barrier(self->sw),
			.commit_flags = variant->remote ? COMMIT_AT_TXN_COMMIT : 0,
		};
		ASSERT_EQ(0, begin(&self->e, variant->remote, &txn));
		race_delay(&self->r.seed);
		/* Of the enclave's CPUs it may use none. */
		ASSERT_EQ(0, gt_pin(self->t.pid, 0));
		count = __atomic_load_n(&self->t.ctl->count, __ATOMIC_ACQUIRE);
		state = result(&self->e, variant->remote);
		if (state == GHOST_TXN_COMPLETE)
			w[0].seen++;
		else if (state == GHOST_TXN_TARGET_STALE)
			w[1].seen++;
		else
			/* A kernel thread has the CPU; all else is wrong. */
			ASSERT_STATE(GHOST_TXN_CPU_UNAVAIL, state);
		ASSERT_TRUE(gt_wait_for(!(gt_flags(self->sw) &
					  GHOST_SW_TASK_ONCPU)))
			TH_LOG("%s, and runs on", gt_txn_name(state));
		ASSERT_EQ(count, self->t.ctl->count)
			TH_LOG("%s, and ran off its mask", gt_txn_name(state));
		take(&self->e.q, &told);
		ASSERT_EQ(1, told.affinity) TH_LOG("%s", gt_txn_name(state));
		ASSERT_TRUE(told.in_order);
		ASSERT_EQ(told.next, gt_barrier(self->sw) + 1);
	}
	/* It was not lost on the way. */
	ASSERT_EQ(0, gt_pin(self->t.pid, -1));
	EXPECT_STATE(GHOST_TXN_COMPLETE,
		     gt_schedule(variant->remote ? &remote : &local, 1,
				 &self->t, 0));
	EXPECT_TRUE(gt_runs(variant->remote ? &remote : &local, 1, &self->t));
	RACE_VERDICT(&self->r, w);
}

TEST_HARNESS_MAIN
