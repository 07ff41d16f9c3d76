// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Suspend, up to a level of /sys/power/pm_test, with busy enclaves. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"

#define PM_TEST		"/sys/power/pm_test"
#define MEM_SLEEP	"/sys/power/mem_sleep"
#define PM_DELAY	"/sys/module/suspend/parameters/pm_test_delay"

static struct gt_agent agent;

FIXTURE(suspend) {
	struct gt_enclave e;
	struct gt_task t;
	pid_t host;
};

FIXTURE_SETUP(suspend)
{
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->t));
	gt_write_file(PM_DELAY, "0");
}

FIXTURE_TEARDOWN(suspend)
{
	gt_write_file(PM_TEST, "none");
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	if (self->host > 0)
		waitpid(self->host, NULL, 0);
	gt_task_end(&self->t);
	gt_enclave_close(&self->e);
}

FIXTURE_VARIANT(suspend) {
	const char *level;
};

FIXTURE_VARIANT_ADD(suspend, freezer) {
	.level = "freezer",
};

FIXTURE_VARIANT_ADD(suspend, devices) {
	.level = "devices",
};

static int suspend(const char *level, const char *state)
{
	int ret = gt_write_file(PM_TEST, level);

	return ret < 0 ? ret : gt_write_file("/sys/power/state", state);
}

/* A message of the task is the next one, others not. */
#define EXPECT_NEXT(want) do {						\
	struct gt_msg __m = { 0 };					\
									\
	EXPECT_EQ(0, gt_next(&self->e.q, self->t.gtid, GT_WAIT_MS, &__m)); \
	EXPECT_STREQ(gt_msg_name(want), gt_msg_name(__m.type));		\
} while (0)

/* A task that nobody schedules gets into the refrigerator all the same. */
TEST_F(suspend, waiting_task)
{
	if (access(PM_TEST, W_OK))
		SKIP(return, "needs CONFIG_PM_DEBUG");
	self->host = gt_host_start(&self->e, 1, NULL, NULL);
	ASSERT_LT(0, self->host);
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	ASSERT_TRUE(gt_stands(&self->t));
	EXPECT_EQ(6, suspend(variant->level, "freeze"));
	EXPECT_NEXT(MSG_TASK_BLOCKED);
	EXPECT_NEXT(MSG_TASK_WAKEUP);
	EXPECT_EQ(SCHED_GHOST, gt_policy(self->t.pid));
	EXPECT_TRUE(gt_stands(&self->t));
	EXPECT_EQ(0, self->e.q.gaps);
}

TEST_F(suspend, running_task)
{
	if (access(PM_TEST, W_OK))
		SKIP(return, "needs CONFIG_PM_DEBUG");
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->t, 0));
	ASSERT_TRUE(gt_runs(&agent, 1, &self->t));
	EXPECT_EQ(6, suspend(variant->level, "freeze"));
	EXPECT_EQ(0, gt_next_type(&self->e.q, self->t.gtid, MSG_TASK_WAKEUP, NULL));
	EXPECT_TRUE(gt_stands(&self->t));
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->t, 0));
	EXPECT_TRUE(gt_runs(&agent, 1, &self->t));
	EXPECT_EQ(0, self->e.q.gaps);
}

/* Again and again, and with the tunable on: then it is lent already. */
TEST_F(suspend, no_agent)
{
	int i;

	if (access(PM_TEST, W_OK))
		SKIP(return, "needs CONFIG_PM_DEBUG");
	ASSERT_EQ(1, gt_file_put(&self->e, "fallback", "1"));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	gt_tell(&self->t, GT_SPIN);
	for (i = 0; i < 5; i++) {
		ASSERT_TRUE(gt_spins(&self->t));
		EXPECT_EQ(6, suspend(variant->level, "freeze"));
	}
	EXPECT_TRUE(gt_spins(&self->t));
	ASSERT_EQ(1, gt_file_put(&self->e, "fallback", "0"));
	EXPECT_NEXT(MSG_TASK_WAKEUP);
	EXPECT_TRUE(gt_stands(&self->t));
}

FIXTURE(suspend_to_ram) {
	struct gt_enclave e;
	struct gt_task t;
};

FIXTURE_SETUP(suspend_to_ram)
{
	if (access(PM_TEST, W_OK))
		SKIP(return, "needs CONFIG_PM_DEBUG");
	if (gt_write_file(MEM_SLEEP, "deep") < 0)
		SKIP(return, "a machine without suspend to RAM");
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->t));
	gt_write_file(PM_DELAY, "0");
}

FIXTURE_TEARDOWN(suspend_to_ram)
{
	gt_write_file(PM_TEST, "none");
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	gt_task_end(&self->t);
	gt_enclave_close(&self->e);
}

FIXTURE_VARIANT(suspend_to_ram) {
	const char *level;
};

FIXTURE_VARIANT_ADD(suspend_to_ram, processors) {
	.level = "processors",
};

FIXTURE_VARIANT_ADD(suspend_to_ram, core) {
	.level = "core",
};

/* All CPUs but the first are taken offline: they are lost to the enclave. */
TEST_F(suspend_to_ram, cpus_leave)
{
	char cpus[32];

	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->t, 0));
	ASSERT_TRUE(gt_runs(&agent, 1, &self->t));
	EXPECT_EQ(3, suspend(variant->level, "mem"));
	ASSERT_LT(0, gt_file_get(&self->e, "cpulist", cpus, sizeof(cpus)));
	EXPECT_STREQ("\n", cpus);
	EXPECT_EQ(SCHED_GHOST, gt_policy(self->t.pid));
	EXPECT_EQ(0, gt_next_type(&self->e.q, self->t.gtid, MSG_TASK_WAKEUP, NULL));
	EXPECT_TRUE(gt_stands(&self->t));
	gt_agent_stop(&agent);

	/* The operator gives them back, and a policy finds all as it was. */
	ASSERT_EQ(0, gt_set_cpus(&self->e, "1"));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->t, 0));
	EXPECT_TRUE(gt_runs(&agent, 1, &self->t));
	EXPECT_EQ(0, self->e.q.gaps);
}

/* With the tunable on the task is lent, and runs on. */
TEST_F(suspend_to_ram, task_runs_on)
{
	int i;

	ASSERT_EQ(1, gt_file_put(&self->e, "fallback", "1"));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	gt_tell(&self->t, GT_SPIN);
	for (i = 0; i < 3; i++) {
		ASSERT_TRUE(gt_spins(&self->t));
		EXPECT_EQ(3, suspend(variant->level, "mem"));
	}
	EXPECT_TRUE(gt_spins(&self->t));
	EXPECT_EQ(SCHED_GHOST, gt_policy(self->t.pid));
}

TEST_HARNESS_MAIN
