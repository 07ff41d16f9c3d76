// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * A transaction may run a task where its affinity does not allow it to be. As a
 * thread of the fair class it goes home at once, though it never sleeps.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kselftest_harness.h"
#include "gt.h"

#define NR	8

static struct gt_agent agent;

FIXTURE(home) {
	struct gt_enclave e;
	struct gt_task t, others[NR];
};

FIXTURE_SETUP(home)
{
	int i;

	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->t));
	for (i = 0; i < NR; i++)
		ASSERT_EQ(0, gt_task_start(&self->others[i])) { }
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
}

FIXTURE_TEARDOWN(home)
{
	int i;

	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	gt_task_end(&self->t);
	for (i = 0; i < NR; i++)
		gt_task_end(&self->others[i]);
	gt_enclave_close(&self->e);
}

/* It belongs to CPU 0 and is committed to CPU 1. */
static int run_abroad(struct gt_enclave *e, struct gt_task *t)
{
	if (gt_join_asleep(e, t, NULL) || gt_pin(t->pid, 0) ||
	    gt_next_type(&e->q, t->gtid, MSG_TASK_AFFINITY_CHANGED, NULL) ||
	    gt_wake_spinner(e, t, NULL))
		return -1;
	return gt_schedule(&agent, 1, t, 0);
}

static int leave(pid_t pid)
{
	return sched_setscheduler(pid, SCHED_OTHER, &(struct sched_param){});
}

#define EXPECT_HOME(t) do {						\
	EXPECT_TRUE(gt_wait_for(gt_cpu_of((t)->pid) == 0))			\
		TH_LOG("on CPU %d", gt_cpu_of((t)->pid));			\
	EXPECT_TRUE(gt_spins(t));					\
	EXPECT_EQ(0, gt_cpu_of((t)->pid));					\
} while (0)

TEST_F(home, leaves_while_it_runs)
{
	ASSERT_EQ(GHOST_TXN_COMPLETE, run_abroad(&self->e, &self->t));
	ASSERT_TRUE(gt_runs(&agent, 1, &self->t));
	ASSERT_EQ(1, gt_cpu_of(self->t.pid));
	ASSERT_EQ(0, leave(self->t.pid));
	EXPECT_HOME(&self->t);
}

TEST_F(home, enclave_is_destroyed)
{
	int i;

	for (i = 0; i < NR; i++)
		ASSERT_EQ(GHOST_TXN_COMPLETE, run_abroad(&self->e, &self->others[i])) { }
	ASSERT_TRUE(gt_runs(&agent, 1, &self->others[NR - 1]));
	EXPECT_EQ(1, gt_cpu_of(self->others[NR - 1].pid));
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	for (i = 0; i < NR; i++)
		EXPECT_HOME(&self->others[i]);
}

TEST_F(home, is_lent)
{
	ASSERT_EQ(1, gt_file_put(&self->e, "fallback", "1"));
	ASSERT_EQ(GHOST_TXN_COMPLETE, run_abroad(&self->e, &self->t));
	ASSERT_TRUE(gt_runs(&agent, 1, &self->t));
	ASSERT_EQ(1, gt_cpu_of(self->t.pid));
	gt_agent_stop(&agent);
	EXPECT_HOME(&self->t);
	EXPECT_EQ(SCHED_GHOST, gt_policy(self->t.pid));
}

TEST_HARNESS_MAIN
