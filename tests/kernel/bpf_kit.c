// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* What BPF has for policies works in programs of ours (bpf/kit.bpf.c). */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <bpf/libbpf.h>

#include "kselftest_harness.h"
#include "gt_bpf.h"
#include "bpf/kit.h"

#define TIMEOUT	100	/* s */
#define VALUE	0x123456789abcdef0ULL

static const char * const tools[KIT_NTOOLS] = {
	[KIT_ITERATOR]	= "bpf_iter_num",
	[KIT_BITS]	= "bpf_iter_bits",
	[KIT_DYNPTR]	= "bpf_dynptr",
	[KIT_CONTEXT]	= "bpf_cast_to_kern_ctx",
	[KIT_MASK]	= "bpf_cpumask",
	[KIT_MASKS]	= "bpf_cpumask, two",
	[KIT_LIST]	= "bpf_list",
	[KIT_TREE]	= "bpf_rbtree",
	[KIT_LOCK]	= "bpf_spin_lock",
	[KIT_ARENA]	= "arena",
};

static struct gt_agent agent;

FIXTURE(kit) {
	struct gt_enclave e;
	struct gt_task t;
	struct gt_bpf b;
	struct kits *kits;
};

FIXTURE_SETUP(kit)
{
	if (!gt_has_btf())
		SKIP(return, "kfuncs need BTF");
	ASSERT_EQ(0, gt_begin());
	ASSERT_LE(2, gt_ncpus()) TH_LOG("2 CPUs are needed");
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_bpf_kit(&self->b));
	self->kits = self->b.shared;
	ASSERT_EQ(0, gt_task_start(&self->t));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
}

FIXTURE_TEARDOWN(kit)
{
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	gt_task_end(&self->t);
	gt_bpf_close(&self->b);
	gt_enclave_close(&self->e);
}

/* Every tool was used well, at least once, and never otherwise. */
static bool all_right(const struct kit *kit)
{
	int i;

	for (i = 0; i < KIT_NTOOLS; i++)
		if (!__atomic_load_n(&kit->right[i], __ATOMIC_ACQUIRE))
			return false;
	return true;
}

static void expect_none_wrong(struct __test_metadata *_metadata, const struct kit *kit)
{
	int i;

	for (i = 0; i < KIT_NTOOLS; i++) {
		EXPECT_EQ(0, kit->wrong[i]) TH_LOG("%s", tools[i]);
		EXPECT_LT(0, kit->right[i]) TH_LOG("%s", tools[i]);
	}
}

static struct kit_arena *arena(struct gt_bpf *b)
{
	struct bpf_map *map = bpf_object__find_map_by_name(b->obj, "arena");
	size_t size;

	return map ? bpf_map__initial_value(map, &size) : NULL;
}

TEST_F_TIMEOUT(kit, sched, TIMEOUT)
{
	volatile struct kit_arena *a = arena(&self->b);

	ASSERT_NE(NULL, a);
	a->value = VALUE;
	ASSERT_EQ(0, gt_bpf_attach(&self->b, &self->e, GT_SCHED));
	EXPECT_TRUE(gt_wait_for(all_right(&self->kits->sched) ||
				(gt_ping(&self->e, 1), false)));
	expect_none_wrong(_metadata, &self->kits->sched);
	/* The arena is one memory for both. */
	EXPECT_EQ(VALUE, a->seen);
	EXPECT_LT(0, a->rounds);
	EXPECT_TRUE(all_right(&self->kits->sched));
	EXPECT_FALSE(all_right(&self->kits->msg));
}

/* Two messages; -errno if one did not come. */
static int wake_and_block(FIXTURE_DATA(kit) *self)
{
	int ret = gt_wake_spinner(&self->e, &self->t, NULL);

	if (ret)
		return ret;
	gt_tell(&self->t, GT_BLOCK);
	return gt_drive(&agent, 1, &self->t, MSG_TASK_BLOCKED, NULL);
}

TEST_F_TIMEOUT(kit, msg, TIMEOUT)
{
	ASSERT_EQ(0, gt_bpf_attach(&self->b, &self->e, GT_MSG));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	EXPECT_TRUE(gt_wait_for(all_right(&self->kits->msg) ||
				(wake_and_block(self), false)));
	expect_none_wrong(_metadata, &self->kits->msg);
}

/* Both: messages while the CPU picks. */
TEST_F_TIMEOUT(kit, together, TIMEOUT)
{
	int i;

	ASSERT_EQ(0, gt_bpf_attach(&self->b, &self->e, GT_MSG));
	ASSERT_EQ(0, gt_bpf_attach(&self->b, &self->e, GT_SCHED));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	for (i = 0; i < 50; i++)
		ASSERT_EQ(0, wake_and_block(self)) { }
	expect_none_wrong(_metadata, &self->kits->sched);
	expect_none_wrong(_metadata, &self->kits->msg);
}

TEST_HARNESS_MAIN
