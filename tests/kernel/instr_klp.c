// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Live patches beside enclaves: each thread of the machine has to pass to the
 * new code, and back, one that runs when it enters the kernel, one that does
 * not when its stack is looked at.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt_machine.h"
#include "gt_policy.h"

/* The kernel's own example. It changes what /proc/cmdline shows. */
#define MODULE		"livepatch-sample"
#define NAME		"livepatch_sample"
#define PATCH		"/sys/kernel/livepatch/" NAME

static struct gt_agent agent;

/*
 * @runs is on CPU 1, @waits for ever to get there, @sleeps. @turns are of another
 * enclave, where they yield to each other: now and then one is chosen and has
 * yet to run.
 */
FIXTURE(klp) {
	struct gt_enclave e, other;
	struct gt_task runs, waits, sleeps, turns[2];
	pid_t host;
};

FIXTURE_SETUP(klp)
{
	if (!gt_has_module(MODULE))
		SKIP(return, "needs CONFIG_LIVEPATCH and CONFIG_SAMPLE_LIVEPATCH=m");
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->runs));
	ASSERT_EQ(0, gt_task_start(&self->waits));
	ASSERT_EQ(0, gt_task_start(&self->sleeps));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->runs, NULL));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->waits, NULL));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->sleeps, NULL));
}

FIXTURE_TEARDOWN(klp)
{
	int i;

	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	gt_task_end(&self->runs);
	gt_task_end(&self->waits);
	gt_task_end(&self->sleeps);
	gt_enclave_close(&self->e);
	if (!self->host)
		return;
	gt_destroy(&self->other);
	waitpid(self->host, NULL, 0);
	for (i = 0; i < 2; i++)
		gt_task_end(&self->turns[i]);
	gt_enclave_close(&self->other);
}

static long take_turns(long arg)
{
	for (;;)
		sched_yield();
	return 0;
}

static int start_turns(FIXTURE_DATA(klp) *self)
{
	int i, ret;

	ret = gt_enclave_create(&self->other, "2");
	if (ret)
		return ret;
	self->host = gt_policy_start(&self->other, 2);
	for (i = 0; i < 2; i++) {
		ret = gt_task_start(&self->turns[i]);
		if (ret || gt_join(&self->other, self->turns[i].pid))
			return -EPERM;
		gt_tell_call(&self->turns[i], take_turns, 0);
	}
	return 0;
}

static bool works(void)
{
	char buf[4096];

	return gt_read_file("/proc/cmdline", buf, sizeof(buf)) > 0 &&
		strstr(buf, "live patched");
}

static bool in_transition(void)
{
	char buf[8];

	return gt_read_file(PATCH "/transition", buf, sizeof(buf)) > 0 &&
		buf[0] == '1';
}

/* Ends when code that may still be in use is not: with a grace period. */
static int disable(void)
{
	return gt_write_file(PATCH "/enabled", "0") < 0;
}

/*
 * The patch comes and goes, while @t, if there is one, is kept running. @waits, if
 * there is one, waits until the patch goes. Returns "done", or what went wrong.
 */
static const char *patch_and_back(struct gt_task *t, struct gt_task *waits)
{
	int ret = -ETIMEDOUT;
	pid_t pid;

	if (gt_insmod(MODULE, ""))
		return "insmod";
	if (!gt_wait_long(!in_transition(), if (t) gt_put_back(&agent, 1, t)))
		return "transition";
	if (!works())
		return "it does not work";
	pid = gt_aside(disable);
	if (pid < 0)
		return "fork";
	/* A grace period waits for who waits: see instr_bpf.c. */
	if (waits)
		t = waits;
	if (!gt_wait_long(gt_ended(pid, &ret), if (t) gt_put_back(&agent, 1, t)))
		return "disable";
	if (!gt_wait_long(access(PATCH, F_OK), if (t) gt_put_back(&agent, 1, t)))
		return "transition back";
	if (!gt_wait_long(!gt_rmmod(NAME), { }))
		return "rmmod";
	return ret ? "disable failed" : works() ? "it stays" : "done";
}

TEST_F_TIMEOUT(klp, parked_agents, 2 * GT_TEST_S)
{
	EXPECT_STREQ("done", patch_and_back(NULL, NULL));
}

TEST_F_TIMEOUT(klp, task_runs, 2 * GT_TEST_S)
{
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->runs, NULL));
	gt_put_back(&agent, 1, &self->runs);
	ASSERT_TRUE(gt_runs(&agent, 1, &self->runs));
	EXPECT_STREQ("done", patch_and_back(&self->runs, NULL));
	EXPECT_TRUE(gt_runs(&agent, 1, &self->runs));
}

/* Its stack is looked at: nobody has to run it for the transition. */
TEST_F_TIMEOUT(klp, task_waits, 2 * GT_TEST_S)
{
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->waits, NULL));
	EXPECT_STREQ("done", patch_and_back(NULL, &self->waits));
}

TEST_F_TIMEOUT(klp, tasks_take_turns, 2 * GT_TEST_S)
{
	if (gt_ncpus() < 3)
		SKIP(return, "two enclaves need 3 CPUs");
	ASSERT_EQ(0, start_turns(self));
	EXPECT_STREQ("done", patch_and_back(NULL, NULL));
}

TEST_HARNESS_MAIN
