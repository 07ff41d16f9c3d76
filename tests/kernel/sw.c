// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Status words: SW_GET_INFO, SW_FREE, and what the words say. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"

static struct gt_agent agent;

FIXTURE(sw) {
	struct gt_enclave e;
	struct gt_task t;
};

FIXTURE_SETUP(sw)
{
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->t));
}

FIXTURE_TEARDOWN(sw)
{
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	gt_task_end(&self->t);
	EXPECT_EQ(0, self->e.q.gaps);
	gt_enclave_close(&self->e);
}

TEST_F(sw, get_info_errors)
{
	uint64_t own = gt_gtid_of(getpid());
	const struct {
		uint32_t type;
		uint64_t arg;
		int err;
	} t[] = {
		{ GHOST_AGENT, 1, EINVAL },		/* no agent there */
		{ GHOST_AGENT, 0, ENODEV },		/* not our CPU */
		{ GHOST_AGENT, 100000, EINVAL },
		{ GHOST_AGENT, (uint64_t)-1, EINVAL },
		{ GHOST_TASK, 0, ENOENT },		/* the caller */
		{ GHOST_TASK, own, ENOENT },
		{ GHOST_TASK, self->t.gtid, ENOENT },
		{ GHOST_TASK, self->t.gtid ^ 1, ENOENT },
		{ GHOST_TASK, (uint64_t)-1, ENOENT },
		{ 2, 0, EINVAL },
		{ 0xffffffff, 0, EINVAL },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		EXPECT_EQ(-t[i].err,
			  gt_sw_info(&self->e, t[i].type, t[i].arg, NULL))
			TH_LOG("type %u arg %llx", t[i].type,
			       (unsigned long long)t[i].arg);
	}
}

TEST_F(sw, get_info_writes_only_the_response)
{
	struct ghost_ioc_sw_get_info req = { .response = { 99, 99 } };
	struct gt_msg m;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, &m));
	req.request.type = GHOST_TASK;
	req.request.arg = self->t.gtid;
	ASSERT_EQ(0, gt_ioctl(self->e.ctl, GHOST_IOC_SW_GET_INFO, &req));
	EXPECT_EQ(GHOST_TASK, req.request.type);
	EXPECT_EQ(self->t.gtid, req.request.arg);
	EXPECT_EQ(m.new_.sw_info.id, req.response.id);
	EXPECT_EQ(m.new_.sw_info.index, req.response.index);
}

TEST_F(sw, word_of_another_enclave)
{
	struct gt_enclave other;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_enclave_bare(&other));
	EXPECT_EQ(-ENOENT, gt_sw_info(&other, GHOST_TASK, self->t.gtid, NULL));
	gt_destroy(&other);
	gt_enclave_close(&other);
}

TEST_F(sw, word_of_a_sleeping_task)
{
	struct ghost_status_word *sw;
	struct gt_msg m;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, &m));
	sw = gt_sw(&self->e, self->t.gtid);
	ASSERT_NE(NULL, sw);
	EXPECT_EQ(GHOST_SW_F_INUSE | GHOST_SW_F_ALLOCATED, gt_flags(sw));
	EXPECT_EQ(self->t.gtid, sw->gtid);
	EXPECT_EQ(m.seqnum, gt_barrier(sw));
	EXPECT_LT(0, sw->runtime);
	EXPECT_EQ(GHOST_SW_REGION_CAPACITY - 1, self->e.region->available);
}

TEST_F(sw, word_follows_the_task)
{
	struct ghost_status_word *sw;
	uint64_t runtime;
	struct gt_msg m;

	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	sw = gt_sw(&self->e, self->t.gtid);
	ASSERT_NE(NULL, sw);
	runtime = sw->runtime;
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, &m));
	EXPECT_TRUE(gt_flags(sw) & GHOST_SW_TASK_RUNNABLE);
	EXPECT_FALSE(gt_flags(sw) & GHOST_SW_TASK_ONCPU);
	EXPECT_EQ(m.seqnum, gt_barrier(sw));
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->t, 0));
	EXPECT_TRUE(gt_runs(&agent, 1, &self->t));
	EXPECT_TRUE(gt_wait_for((gt_put_back(&agent, 1, &self->t),
				 gt_flags(sw) & GHOST_SW_TASK_ONCPU)));
	EXPECT_LT(0, sw->switch_time);
	gt_tell(&self->t, GT_BLOCK);
	ASSERT_EQ(0, gt_drive(&agent, 1, &self->t, MSG_TASK_BLOCKED, &m));
	EXPECT_TRUE(gt_wait_for(!(gt_flags(sw) & GHOST_SW_TASK_ONCPU)));
	EXPECT_FALSE(gt_flags(sw) & GHOST_SW_TASK_RUNNABLE);
	EXPECT_EQ(m.seqnum, gt_barrier(sw));
	EXPECT_LT(runtime, sw->runtime);
	EXPECT_LE(m.blocked.runtime, sw->runtime);
}

TEST_F(sw, free_errors)
{
	struct ghost_sw_info info;
	const struct {
		uint32_t id, index;
		int err;
	} t[] = {
		{ 1, 0, ENOENT },
		{ 0xffffffff, 0, ENOENT },
		{ 0, GHOST_SW_REGION_CAPACITY, ENOENT },
		{ 0, 0xffffffff, ENOENT },
		{ 0, GHOST_SW_REGION_CAPACITY - 1, EINVAL },	/* free */
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		info = (struct ghost_sw_info){ t[i].id, t[i].index };
		EXPECT_EQ(-t[i].err, gt_sw_free(&self->e, info))
			TH_LOG("sw_%u[%u]", t[i].id, t[i].index);
	}
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_sw_info(&self->e, GHOST_TASK, self->t.gtid, &info));
	EXPECT_EQ(-EINVAL, gt_sw_free(&self->e, info)) TH_LOG("a live word");
	EXPECT_EQ(GHOST_SW_REGION_CAPACITY - 1, self->e.region->available);
}

TEST_F(sw, free_clears_the_slot)
{
	static const char zero[32];
	struct sched_param sp = { 0 };
	struct ghost_sw_info info;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_sw_info(&self->e, GHOST_TASK, self->t.gtid, &info));
	ASSERT_EQ(0, sched_setscheduler(self->t.pid, SCHED_OTHER, &sp));
	ASSERT_EQ(0, gt_next_type(&self->e.q, self->t.gtid, MSG_TASK_DEPARTED,
				  NULL));
	EXPECT_EQ(0, gt_sw_free(&self->e, info));
	EXPECT_EQ(0, memcmp(zero, gt_sw_at(&self->e, info), sizeof(zero)));
	EXPECT_EQ(GHOST_SW_REGION_CAPACITY, self->e.region->available);
	EXPECT_EQ(-EINVAL, gt_sw_free(&self->e, info)) TH_LOG("second free");
}

TEST_F(sw, word_of_an_agent)
{
	struct ghost_sw_info info;
	uint32_t flags;

	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	flags = gt_flags(agent.sw);
	EXPECT_TRUE(flags & GHOST_SW_F_INUSE);
	EXPECT_TRUE(flags & GHOST_SW_TASK_IS_AGENT);
	EXPECT_EQ(gt_gtid_of(agent.tid), agent.sw->gtid);
	EXPECT_TRUE(gt_wait_for(gt_flags(agent.sw) & GHOST_SW_CPU_AVAIL));
	info = agent.info;
	EXPECT_EQ(-EINVAL, gt_sw_free(&self->e, info));
	ASSERT_EQ(0, gt_agent_end(&agent));
	EXPECT_TRUE(gt_flags(gt_sw_at(&self->e, info)) & GHOST_SW_F_CANFREE);
	EXPECT_EQ(-EINVAL, gt_sw_info(&self->e, GHOST_AGENT, 1, NULL));
	EXPECT_EQ(0, gt_sw_free(&self->e, info));
}

TEST_HARNESS_MAIN
