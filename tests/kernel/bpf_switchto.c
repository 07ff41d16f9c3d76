// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* What programs see of direct switches, and what they can do to them. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt_bpf.h"
#include "gt_switchto.h"
#include "bpf/probe.h"

FIXTURE(chain) {
	struct gt_enclave e;
	struct gt_task t[ACTORS];
	struct gt_bpf b;
	struct probe *p;
};

FIXTURE_SETUP(chain)
{
	if (!have_switchto())
		SKIP(return, "a kernel without CONFIG_GHOST_SWITCHTO");
	ASSERT_EQ(0, actors_start(&self->e, self->t))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_bpf_probe(&self->b));
	self->p = self->b.shared;
	ASSERT_EQ(0, gt_bpf_attach(&self->b, &self->e, GT_MSG));
	ASSERT_EQ(0, gt_bpf_attach(&self->b, &self->e, GT_SCHED));
	JOIN_ALL(2);
}

FIXTURE_TEARDOWN(chain)
{
	actors_stop(&self->e, self->t);
	gt_bpf_close(&self->b);
	gt_enclave_close(&self->e);
}

static int64_t run_gtid(FIXTURE_DATA(chain) *self, struct gt_task *t)
{
	struct probe_call *c = &self->p->call[1];

	c->op = PROBE_RUN_GTID;
	c->arg[0] = t->gtid;
	c->arg[1] = gt_barrier(gt_sw(&self->e, t->gtid));
	c->arg[2] = 0;
	__atomic_store_n(&c->armed, 1, __ATOMIC_RELEASE);
	if (!gt_wait_for(!__atomic_load_n(&c->armed, __ATOMIC_ACQUIRE) ||
			 (gt_ping(&self->e, 1), false)))
		return -ETIMEDOUT;
	return c->ret;
}

/* One message a chain, and afterwards each is as any other. */
TEST_F(chain, is_seen)
{
	struct probe_msg *seen = &self->p->msg[MSG_TASK_SWITCHTO];
	int64_t ret = -ESTALE;
	struct gt_msg *m;
	int from, i;

	CHAIN_OF_TWO(from, m, 0, { SPIN });
	EXPECT_LE(1, seen->count);
	EXPECT_EQ(self->t[0].gtid, seen->last.switchto.gtid);
	EXPECT_EQ(m->seqnum, seen->last.seqnum);

	/* The agent has ended it: one sleeps, one waits. */
	ASSERT_EQ(0, gt_ping(&self->e, 1));
	EXPECT_EQ(-EINVAL, run_gtid(self, &self->t[0]));
	for (i = 0; i < 100 && ret == -ESTALE; i++)
		ret = run_gtid(self, &self->t[1]);
	EXPECT_EQ(0, ret);
	EXPECT_TRUE(gt_runs(&agent, 1, &self->t[1]));
}

/* The message is dropped: nobody hears of it, and the chain goes on. */
TEST_F(chain, goes_on_unseen)
{
	struct probe_msg *seen = &self->p->msg[MSG_TASK_SWITCHTO];
	int from = 0, tries;
	uint32_t count;

	seen->drop = 1;
	for (tries = 0; tries < TRIES; tries++) {
		ASSERT_TRUE(calm(&self->e, self->t, 2));
		ASSERT_TRUE(SEAT(1, { WAIT }, { SPIN }));
		count = seen->count;
		SCRIPT(0, { SWITCH, 1 });
		ASSERT_EQ(0, gt_next_type(&self->e.q, self->t[0].gtid,
					  MSG_TASK_WAKEUP, NULL));
		from = log_end(&self->e);
		ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->t[0], 0));
		gt_sleep_ms(20);
		/* A kernel thread may be there first, or end it. */
		if (seen->count == count + 1 &&
		    !count_msgs(&self->e, from, self->t[1].gtid, MSG_TASK_PREEMPT))
			break;
	}
	ASSERT_GT(TRIES, tries);
	EXPECT_EQ(0, count_msgs(&self->e, from, self->t[0].gtid, MSG_TASK_SWITCHTO));
	EXPECT_EQ(0, count_msgs(&self->e, from, self->t[0].gtid, MSG_TASK_BLOCKED));
	EXPECT_TRUE(gt_runs(&agent, 1, &self->t[1]));
}

TEST_HARNESS_MAIN
