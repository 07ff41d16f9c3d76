// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Picks at inconvenient times: bpf/hold.bpf.c makes them. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <bpf/libbpf.h>

#include "kselftest_harness.h"
#include "gt_probe.h"
#include "bpf/hold.h"

static struct gt_agent agents[3];

FIXTURE(hold) {
	struct gt_enclave e;
	struct gt_task t, other;	/* a member, and a thread of CPU 1 */
	struct gt_bpf b, holds;
	struct bpf_link *link;
	struct hold *hold;
	struct probe *p;
	int stay;			/* program */
};

FIXTURE_SETUP(hold)
{
	if (!gt_has_btf())
		SKIP(return, "kernel functions are known by BTF");
	ASSERT_EQ(0, gt_begin());
	/* Attached while nobody calls it: QEMU may not notice a change of code. */
	ASSERT_EQ(0, gt_bpf_hold(&self->holds, &self->link, &self->stay));
	self->hold = self->holds.shared;
	ASSERT_EQ(0, gt_enclave_create(&self->e, gt_ncpus() < 3 ? "1" : "1-2"));
	ASSERT_EQ(0, gt_bpf_probe(&self->b));
	self->p = self->b.shared;
	ASSERT_EQ(0, gt_task_start(&self->t));
	ASSERT_EQ(0, gt_task_start(&self->other));
	ASSERT_EQ(0, gt_pin(self->other.pid, 1));
	ASSERT_EQ(0, gt_bpf_attach(&self->b, &self->e, GT_MSG));
	ASSERT_EQ(0, gt_bpf_attach(&self->b, &self->e, GT_SCHED));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
}

FIXTURE_TEARDOWN(hold)
{
	gt_task_end(&self->other);
	gt_destroy(&self->e);
	gt_task_end(&self->t);
	gt_bpf_close(&self->b);
	gt_enclave_close(&self->e);
	bpf_link__destroy(self->link);
	gt_bpf_close(&self->holds);
}

/*
 * Takes CPU 1 from the enclave while a pick of it stands before its program, which
 * then tries to run @t there. Returns the result, or 1 if it did not get that far.
 */
static int64_t leave_within_a_pick(struct gt_enclave *e, struct probe *p,
				   struct hold *hold, struct gt_task *t,
				   struct gt_task *other)
{
	struct probe_call *call = &p->call[1];

	if (gt_set_cpus(e, "1"))
		return 1;
	gt_tell(other, GT_SPIN);
	if (!gt_spins(other))
		return 1;
	*call = (struct probe_call){
		.op = PROBE_RUN_GTID,
		.arg = { t->gtid, barrier_of(e, t), 0 },
		.ret = 1,
	};
	__atomic_store_n(&call->armed, 1, __ATOMIC_RELEASE);
	hold->held = 0;
	__atomic_store_n(&hold->ns, 300000000, __ATOMIC_RELEASE);
	/* A schedule with nobody to run; a kernel thread may have been before it. */
	gt_tell(other, GT_BLOCK);
	if (!gt_wait_for(load32(&hold->held)) || gt_set_cpus(e, ""))
		return 1;
	call->armed = 0;
	return call->ret;
}

/* What a pick has begun it ends, though its CPU is no longer of the enclave. */
TEST_F(hold, cpu_leaves_within_a_pick)
{
	int64_t ret = 1;
	int i;

	for (i = 0; i < 20 && ret == 1; i++)
		ret = leave_within_a_pick(&self->e, self->p, self->hold, &self->t,
					  &self->other);
	EXPECT_EQ(-EXDEV, ret);
}

/* Who must not be moved just now is stale elsewhere, and runs where it is. */
TEST_F(hold, run_gtid_of_who_may_not_be_moved)
{
	uint32_t barrier;
	int64_t ret;
	int i, stale = 0;

	if (gt_ncpus() < 3)
		SKIP(return, "another CPU of the enclave is needed: 3 CPUs");
	ASSERT_EQ(0, gt_agent_start(&agents[1], &self->e, 1, -1));
	ASSERT_EQ(0, gt_agent_start(&agents[2], &self->e, 2, -1));
	self->hold->stay = 1;
	gt_tell_call(&self->t, gt_bpf_call, self->stay);
	EXPECT_TRUE(gt_wait_for(load32(&self->hold->staying) ||
				(run_task(self->p, &self->e, 1, &self->t, 0), false)));
	gt_tell(&self->other, GT_SPIN);
	EXPECT_TRUE(gt_spins(&self->other));
	for (i = 0; i < 20; i++) {
		barrier = barrier_of(&self->e, &self->t);
		ret = call(self->p, &self->e, 2, PROBE_RUN_GTID, self->t.gtid, barrier, 0);
		/* Unless there was news. */
		stale += ret == -ESTALE && barrier_of(&self->e, &self->t) == barrier;
		EXPECT_EQ(-ESTALE, ret);
	}
	EXPECT_LE(10, stale);
	gt_tell(&self->other, GT_BLOCK);
	__atomic_store_n(&self->hold->stay, 0, __ATOMIC_RELEASE);
	EXPECT_TRUE(gt_wait_for(self->t.ctl->done == 1 ||
				(run_task(self->p, &self->e, 1, &self->t, 0), false)));
	EXPECT_EQ(0, self->t.ctl->result);
	gt_agent_stop(&agents[1]);
	gt_agent_stop(&agents[2]);
}

TEST_HARNESS_MAIN
