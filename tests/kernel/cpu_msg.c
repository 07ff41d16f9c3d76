// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Messages about CPUs: which event, when asked for, which agent barrier. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"

static struct gt_agent agent;

FIXTURE(cpu_msg) {
	struct gt_enclave e;
	struct gt_task t, cfs;
};

FIXTURE_SETUP(cpu_msg)
{
	ASSERT_EQ(0, gt_begin());
	ASSERT_LE(2, gt_ncpus()) TH_LOG("2 CPUs are needed");
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->t));
	ASSERT_EQ(0, gt_task_start(&self->cfs));
	ASSERT_EQ(0, gt_pin(self->cfs.pid, 1));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
}

FIXTURE_TEARDOWN(cpu_msg)
{
	gt_task_end(&self->cfs);
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	gt_task_end(&self->t);
	gt_enclave_close(&self->e);
}

/* The next message about a CPU that is not taken yet, of any type. */
static int next_cpu_msg(struct gt_queue *q, int ms, struct gt_msg *m)
{
	int ret;

	do {
		ret = gt_next(q, GT_ANY, ms, m);
	} while (!ret && m->type < GHOST_CPU_MSG_FIRST);
	return ret;
}

TEST_F(cpu_msg, none_unless_asked_for)
{
	struct gt_msg m;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->t, 0));
	ASSERT_TRUE(gt_runs(&agent, 1, &self->t));
	gt_tell(&self->cfs, GT_SPIN);
	ASSERT_TRUE(gt_spins(&self->cfs));
	EXPECT_EQ(-ETIMEDOUT, next_cpu_msg(&self->e.q, GT_QUIET_MS, &m))
		TH_LOG("type %d", m.type);
}

TEST_F(cpu_msg, tick_of_a_task)
{
	struct gt_msg m;
	uint32_t seq;
	int i;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	ASSERT_EQ(1, gt_file_put(&self->e, "deliver_ticks", "1"));
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->t, 0));
	ASSERT_TRUE(gt_runs(&agent, 1, &self->t));
	ASSERT_EQ(0, next_cpu_msg(&self->e.q, GT_WAIT_MS, &m));
	for (i = 0; i < 3; i++) {
		seq = m.seqnum;
		ASSERT_TRUE(gt_wait_for(!next_cpu_msg(&self->e.q, 100, &m) ||
					(gt_put_back(&agent, 1, &self->t), false)));
		EXPECT_EQ(MSG_CPU_TICK, m.type);
		EXPECT_EQ(1, m.tick.cpu);
		EXPECT_LT(0, (int)(m.seqnum - seq))
			TH_LOG("the agent barrier moves with each");
	}
	/* Not while another class runs. */
	gt_tell(&self->cfs, GT_SPIN);
	ASSERT_TRUE(gt_spins(&self->cfs));
	gt_sleep_ms(50);
	while (!next_cpu_msg(&self->e.q, 0, &m))
		;
	EXPECT_EQ(-ETIMEDOUT, next_cpu_msg(&self->e.q, GT_QUIET_MS, &m));
}

static long spin_100_ms(struct gt_agent *a, void *arg)
{
	int64_t end = gt_now_ms() + 100;

	while (gt_now_ms() < end)
		;
	return 0;
}

TEST_F(cpu_msg, tick_of_the_agent)
{
	struct gt_msg m;

	ASSERT_EQ(1, gt_file_put(&self->e, "deliver_ticks", "1"));
	ASSERT_EQ(0, gt_call(&agent, spin_100_ms, NULL));
	ASSERT_EQ(0, next_cpu_msg(&self->e.q, GT_WAIT_MS, &m));
	EXPECT_EQ(MSG_CPU_TICK, m.type);
	EXPECT_EQ(1, m.tick.cpu);
	EXPECT_EQ(1, m.tick.is_agent);
}

TEST_F(cpu_msg, availability)
{
	struct gt_msg m;

	ASSERT_TRUE(gt_wait_for(gt_flags(agent.sw) & GHOST_SW_CPU_AVAIL));
	ASSERT_EQ(1, gt_file_put(&self->e, "deliver_cpu_availability", "1"));
	gt_tell(&self->cfs, GT_SPIN);
	/* A kernel thread may have it, and give it back, before. */
	do {
		ASSERT_EQ(0, next_cpu_msg(&self->e.q, GT_WAIT_MS, &m));
	} while (m.type == MSG_CPU_AVAILABLE);
	EXPECT_EQ(MSG_CPU_BUSY, m.type);
	EXPECT_EQ(1, m.cpu.cpu);
	ASSERT_TRUE(gt_wait_for(!(gt_flags(agent.sw) & GHOST_SW_CPU_AVAIL)));
	gt_tell(&self->cfs, GT_BLOCK);
	ASSERT_TRUE(gt_asleep(&self->cfs));
	do {
		ASSERT_EQ(0, next_cpu_msg(&self->e.q, GT_WAIT_MS, &m));
	} while (m.type == MSG_CPU_BUSY);
	EXPECT_EQ(MSG_CPU_AVAILABLE, m.type);
	EXPECT_EQ(1, m.cpu.cpu);
	EXPECT_TRUE(gt_wait_for(gt_flags(agent.sw) & GHOST_SW_CPU_AVAIL));
}

TEST_F(cpu_msg, not_idle)
{
	struct gt_txn txn = {
		.gtid = GHOST_IDLE_GTID, .agent_barrier = GT_NOW,
		.run_flags = NEED_CPU_NOT_IDLE,
		.commit_flags = COMMIT_AT_TXN_COMMIT | ALLOW_TASK_ONCPU,
	};
	struct gt_msg m;

	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_commit(&agent, 1, &txn));
	gt_tell(&self->cfs, GT_SPIN);
	ASSERT_EQ(0, next_cpu_msg(&self->e.q, GT_WAIT_MS, &m));
	EXPECT_EQ(MSG_CPU_NOT_IDLE, m.type);
	EXPECT_EQ(1, m.not_idle.cpu);
	EXPECT_NE(0, m.not_idle.next_gtid);
	EXPECT_NE(self->t.gtid, m.not_idle.next_gtid);
	/* Asked for once, told once. */
	gt_tell(&self->cfs, GT_BLOCK);
	ASSERT_TRUE(gt_asleep(&self->cfs));
	gt_tell(&self->cfs, GT_SPIN);
	ASSERT_TRUE(gt_spins(&self->cfs));
	EXPECT_EQ(-ETIMEDOUT, next_cpu_msg(&self->e.q, GT_QUIET_MS, &m));
}

static long sleep_20_ms(struct gt_agent *a, void *arg)
{
	gt_sleep_ms(20);
	return 0;
}

TEST_F(cpu_msg, agent_sleeps_and_wakes)
{
	struct gt_msg m;
	uint32_t seq;

	ASSERT_EQ(1, gt_file_put(&self->e, "deliver_agent_runnability", "1"));
	ASSERT_EQ(0, gt_call(&agent, sleep_20_ms, NULL));
	ASSERT_EQ(0, next_cpu_msg(&self->e.q, GT_WAIT_MS, &m));
	EXPECT_EQ(MSG_CPU_AGENT_BLOCKED, m.type);
	EXPECT_EQ(1, m.cpu.cpu);
	seq = m.seqnum;
	ASSERT_EQ(0, next_cpu_msg(&self->e.q, GT_WAIT_MS, &m));
	EXPECT_EQ(MSG_CPU_AGENT_WAKEUP, m.type);
	EXPECT_EQ(1, m.cpu.cpu);
	EXPECT_LT(0, (int)(m.seqnum - seq));
	/* Parking is no sleep. */
	EXPECT_EQ(-ETIMEDOUT, next_cpu_msg(&self->e.q, GT_QUIET_MS, &m));
	/* Its end is one. */
	ASSERT_EQ(0, gt_agent_stop(&agent));
	ASSERT_EQ(0, next_cpu_msg(&self->e.q, GT_WAIT_MS, &m));
	EXPECT_EQ(MSG_CPU_AGENT_BLOCKED, m.type);
}

TEST_HARNESS_MAIN
