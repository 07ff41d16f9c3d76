// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* The frequency that schedutil chooses for a CPU that an enclave keeps busy. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt_machine.h"

#define MODULE		"fake_cpufreq"
#define CPUFREQ		"/sys/devices/system/cpu/cpu1/cpufreq/"

static struct gt_agent agent;

FIXTURE(freq) {
	struct gt_enclave e;
	struct gt_task t, normal;
};

static long number(const char *file)
{
	char path[128], buf[32];

	snprintf(path, sizeof(path), CPUFREQ "%s", file);
	return gt_read_file(path, buf, sizeof(buf)) > 0 ? atol(buf) : -1;
}

#define MIN_FREQ	number("cpuinfo_min_freq")
#define MAX_FREQ	number("cpuinfo_max_freq")
#define FREQ		number("scaling_cur_freq")

FIXTURE_SETUP(freq)
{
	if (!gt_has_module(MODULE))
		SKIP(return, "needs a module that is built with CONFIG_MODULE_UNLOAD");
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_insmod(MODULE, ""));
	ASSERT_LT(0, gt_write_file(CPUFREQ "scaling_governor", "schedutil"));
	ASSERT_LT(MIN_FREQ, MAX_FREQ);
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->t));
	ASSERT_EQ(0, gt_task_start(&self->normal));
	ASSERT_EQ(0, gt_pin(self->normal.pid, 1));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
}

FIXTURE_TEARDOWN(freq)
{
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	gt_task_end(&self->t);
	gt_task_end(&self->normal);
	gt_enclave_close(&self->e);
	EXPECT_TRUE(gt_wait_for(!gt_rmmod(MODULE)));
}

static long nothing(long arg)
{
	return arg;
}

/* Let the governor look at the CPU: a normal thread runs on it for a moment. */
static void touch(struct gt_task *normal)
{
	gt_tell_call(normal, nothing, 0);
	gt_sleep_ms(10);
}

/* Without one the test shows nothing of the governor. */
TEST_F_TIMEOUT(freq, of_a_normal_thread, GT_TEST_S)
{
	EXPECT_TRUE(gt_wait_long(FREQ == MIN_FREQ, touch(&self->normal)));
	gt_tell(&self->normal, GT_SPIN);
	EXPECT_TRUE(gt_wait_long(FREQ == MAX_FREQ, { }));
	gt_tell(&self->normal, GT_BLOCK);
	EXPECT_TRUE(gt_wait_long(FREQ == MIN_FREQ, touch(&self->normal)));
}

TEST_F_TIMEOUT(freq, of_a_ghost_task, GT_TEST_S)
{
	EXPECT_TRUE(gt_wait_long(FREQ == MIN_FREQ, touch(&self->normal)));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	EXPECT_TRUE(gt_wait_long(FREQ == MAX_FREQ,
				 gt_put_back(&agent, 1, &self->t)))
		TH_LOG("a busy CPU stays at %ld kHz of %ld", FREQ, MAX_FREQ);
	gt_tell(&self->t, GT_BLOCK);
	EXPECT_TRUE(gt_wait_long(FREQ == MIN_FREQ, {
		gt_put_back(&agent, 1, &self->t);
		touch(&self->normal);
	}));
}

TEST_HARNESS_MAIN
