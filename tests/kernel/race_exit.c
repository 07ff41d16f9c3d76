// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Exit against commit: a dying task is committed again and again, with the
 * barrier of the moment, until it is gone.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "race.h"

#define OFTEN		20
#define MAX_TRIES	4096

static struct gt_agent local, remote;	/* of CPU 1, the target, and CPU 2 */

FIXTURE(race_exit) {
	struct gt_enclave e;
	struct gt_task t;
	struct race r;
};

/* Greedy transactions are committed by CPU 1 itself, in an interrupt. */
FIXTURE_VARIANT(race_exit) {
	bool remote;
};

FIXTURE_VARIANT_ADD(race_exit, greedy) { };
FIXTURE_VARIANT_ADD(race_exit, remote) { .remote = true };

FIXTURE_SETUP(race_exit)
{
	if (variant->remote && gt_ncpus() < 3)
		SKIP(return, "a remote agent needs 3 CPUs");
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, variant->remote ? "1-2" : "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_agent_start(&local, &self->e, 1, -1));
	if (variant->remote) {
		ASSERT_EQ(0, gt_agent_start(&remote, &self->e, 2, -1));
	}
}

FIXTURE_TEARDOWN(race_exit)
{
	gt_agent_stop(&local);
	gt_agent_stop(&remote);
	gt_destroy(&self->e);
	gt_task_end(&self->t);
	gt_enclave_close(&self->e);
}

/* One life: what was tried, with which barrier, and what came of it. */
static struct attempts {
	struct ghost_status_word *sw;
	uint64_t gtid;
	pid_t pid;
	bool greedy, kill;
	unsigned int seed;
	int nr;
	int unfound;		/* lookups that failed while the word was used */
	struct {
		uint32_t barrier;
		int state;
	} is[MAX_TRIES];
} tries;

static int commit(struct gt_enclave *e, uint32_t barrier)
{
	int64_t end = gt_now_ms() + GT_WAIT_MS;
	int state;

	gt_txn_fill(e, 1, &(struct gt_txn){
		.gtid = tries.gtid, .task_barrier = barrier,
		.commit_flags = tries.greedy ? 0 : COMMIT_AT_TXN_COMMIT,
	});
	gt_txn_ioctl(e, 2);
	while ((state = gt_txn_state(e, 1)) >= 0 && gt_now_ms() < end)
		;
	return state;
}

/*
 * Passes some time before a commit with @barrier. If the task runs that is, half
 * of the time, until the moment in which its next message comes; the commit is
 * with the barrier from before that or with the new one.
 */
static uint32_t dawdle(uint32_t barrier)
{
	bool renew = rand_r(&tries.seed) % 2;
	uint32_t now = barrier;
	unsigned int n;

	if (rand_r(&tries.seed) % 2) {
		race_delay(&tries.seed);
		return barrier;
	}
	for (n = rand_r(&tries.seed) % 2000000; n && now == barrier &&
	     gt_flags(tries.sw) & GHOST_SW_TASK_ONCPU; n--)
		now = gt_barrier(tries.sw);
	return renew ? now : barrier;
}

/* Until nothing of the task is left that a commit could find. */
static long commit_until_gone(struct gt_agent *a, void *arg)
{
	struct gt_enclave *e = arg;
	int state, kill_at = rand_r(&tries.seed) % 4, after = 0;
	int64_t end = gt_now_ms() + 8000;
	uint32_t barrier, n;

	tries.nr = 0;
	while (tries.nr < MAX_TRIES && after < 3 && gt_now_ms() < end) {
		if (tries.kill && tries.nr == kill_at)
			kill(tries.pid, SIGKILL);
		barrier = gt_barrier(tries.sw);
		after += !!(gt_flags(tries.sw) & GHOST_SW_F_CANFREE);
		barrier = dawdle(barrier);
		if (gt_sw_info(e, GHOST_TASK, tries.gtid, NULL) &&
		    !(gt_flags(tries.sw) & GHOST_SW_F_CANFREE))
			tries.unfound++;
		state = commit(e, barrier);
		tries.is[tries.nr].barrier = barrier;
		tries.is[tries.nr++].state = state;
		/* It runs: let it, for a while. */
		if (state == GHOST_TXN_TARGET_ONCPU)
			for (n = rand_r(&tries.seed) % 1000000; n &&
			     gt_flags(tries.sw) & GHOST_SW_TASK_ONCPU; n--)
				;
	}
	return 0;
}

/* Number of the message @type of the task, 0 if there is none. */
static uint32_t number_of(struct gt_queue *q, int type)
{
	uint32_t found = 0;
	int i;

	for (i = 0; i < q->logged; i++)
		if (q->log[i].gtid == tries.gtid && q->log[i].type == type)
			found = q->log[i].seqnum;
	return found;
}

static bool told_blocked(struct gt_queue *q, uint32_t seqnum)
{
	int i;

	for (i = 0; i < q->logged; i++)
		if (q->log[i].gtid == tries.gtid && q->log[i].seqnum == seqnum)
			return q->log[i].type == MSG_TASK_BLOCKED;
	return false;
}

TEST_F(race_exit, until_gone)
{
	struct race_window w[] = {
		{ .name = "committed", .wanted = OFTEN },
		{ .name = "overtaken by a message", .wanted = OFTEN },
		{ .name = "between BLOCKED and DEAD", .wanted = OFTEN },
		{ .name = "after DEAD", .wanted = OFTEN },
	};
	uint32_t words = self->e.region->available, dead;
	struct gt_queue *q = &self->e.q;
	struct ghost_sw_info info;
	struct gt_msg m;
	int i;

	race_start(&self->r, 500, RACE_MS);
	tries.seed = self->r.seed;
	tries.greedy = !variant->remote;
	while (race_goes_on(&self->r)) {
		q->logged = 0;
		ASSERT_EQ(0, gt_task_start(&self->t));
		ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, &m));
		info = m.new_.sw_info;
		tries.sw = gt_sw_at(&self->e, info);
		tries.gtid = self->t.gtid;
		tries.pid = self->t.pid;
		tries.kill = rand_r(&tries.seed) % 2;
		gt_tell(&self->t, tries.kill ? GT_SPIN : GT_EXIT);
		if (variant->remote) {
			ASSERT_EQ(0, gt_call(&remote, commit_until_gone,
					     &self->e));
		} else {
			commit_until_gone(NULL, &self->e);
		}
		gt_queue_consume(q);
		dead = number_of(q, MSG_TASK_DEAD);
		ASSERT_NE(0, dead) TH_LOG("it did not die");
		ASSERT_EQ(0, q->gaps);
		ASSERT_EQ(0, tries.unfound);
		for (i = 0; i < tries.nr; i++) {
			uint32_t barrier = tries.is[i].barrier;
			int state = tries.is[i].state;

			switch (state) {
			case GHOST_TXN_COMPLETE:
				w[0].seen++;
				EXPECT_GT(0, (int32_t)(barrier - (dead - 1)));
				break;
			case GHOST_TXN_TARGET_NOT_RUNNABLE:
				EXPECT_TRUE(told_blocked(q, barrier))
					TH_LOG("before its BLOCKED");
				break;
			case GHOST_TXN_TARGET_NOT_FOUND:
				EXPECT_EQ(barrier, dead);
				break;
			case GHOST_TXN_TARGET_STALE:
			case GHOST_TXN_TARGET_ONCPU:
			case GHOST_TXN_CPU_UNAVAIL:
				break;
			default:
				EXPECT_STATE(GHOST_TXN_COMPLETE, state);
			}
			w[1].seen += state == GHOST_TXN_TARGET_STALE &&
				(int32_t)(barrier - (dead - 1)) < 0;
			w[2].seen += barrier == dead - 1;
			w[3].seen += barrier == dead;
		}
		ASSERT_EQ(0, gt_sw_free(&self->e, info));
		gt_task_end(&self->t);
	}
	EXPECT_EQ(words, self->e.region->available) TH_LOG("a word was lost");
	RACE_VERDICT(&self->r, w);
}

TEST_HARNESS_MAIN
