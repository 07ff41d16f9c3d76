// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Where normal threads go on a machine of which an enclave keeps a CPU busy. */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt_machine.h"
#include "gt_policy.h"

#define ADDED		"/proc/sys/kernel/ghost_cfs_load_added"
#define MAX_HOGS	16
/* Nobody else comes near the enclave's CPU for so long: it is left alone. */
#define LEFT_ALONE_MS	2000
#define ROUNDS		8
#define BIRTHS		100

/* A policy of its own process keeps CPU 1 busy with the task. */
FIXTURE(cfs) {
	struct gt_enclave e;
	struct gt_task t;
	struct gt_task hog[MAX_HOGS];
	char added[32];
	pid_t host;
	int64_t since;			/* no hog was seen on CPU 1 */
	uint64_t count;			/* of the task, then */
};

FIXTURE_SETUP(cfs)
{
	if (gt_ncpus() < 4 || gt_ncpus() > MAX_HOGS)
		SKIP(return, "for machines of 4 to 16 CPUs");
	ASSERT_EQ(0, gt_begin());
	ASSERT_LT(0, gt_read_file(ADDED, self->added, sizeof(self->added)));
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->t));
	self->host = gt_policy_start(&self->e, 1);
	ASSERT_LT(0, self->host);
	ASSERT_EQ(0, gt_join(&self->e, self->t.pid));
	gt_tell(&self->t, GT_SPIN);
	ASSERT_TRUE(gt_spins(&self->t));
}

FIXTURE_TEARDOWN(cfs)
{
	int i;

	for (i = 0; i < MAX_HOGS; i++)
		gt_task_end(&self->hog[i]);
	gt_write_file(ADDED, self->added);
	gt_destroy(&self->e);
	waitpid(self->host, NULL, 0);
	gt_task_end(&self->t);
	gt_enclave_close(&self->e);
}

static int start_hogs(struct gt_task *hog, int n)
{
	int i, ret;

	for (i = 0; i < n; i++) {
		ret = gt_task_start(&hog[i]);
		if (ret)
			return ret;
		gt_tell(&hog[i], GT_SPIN);
	}
	return 0;
}

static bool hog_on_cpu_1(struct gt_task *hog)
{
	int i;

	for (i = 0; i < MAX_HOGS; i++)
		if (hog[i].pid > 0 && gt_cpu_of(hog[i].pid) == 1)
			return true;
	return false;
}

/* Has no hog been on CPU 1 for long, and the task on it got on? */
static bool left_alone(FIXTURE_DATA(cfs) *self)
{
	int64_t now = gt_now_ms();

	if (hog_on_cpu_1(self->hog) || !self->since) {
		self->since = now;
		self->count = self->t.ctl->count;
	}
	return now > self->since + LEFT_ALONE_MS &&
		self->t.ctl->count != self->count;
}

/*
 * A CPU that is busy with a ghost task is not an idle one. A hog that begins
 * there nevertheless, as all others are busy just then, may stay: a ghost task
 * that waits behind it attracts nobody's attention. So it is most rounds.
 */
TEST_F_TIMEOUT(cfs, hog_for_each_other_cpu, GT_TEST_S)
{
	int round, i, alone = 0;

	for (round = 0; round < ROUNDS && alone <= ROUNDS / 2; round++) {
		self->since = 0;
		ASSERT_EQ(0, start_hogs(self->hog, gt_ncpus() - 1));
		/* Who looks all the time is one hog more, with slow kernels. */
		alone += gt_wait_for((gt_sleep_ms(250), left_alone(self)));
		for (i = 0; i < gt_ncpus() - 1; i++)
			gt_task_end(&self->hog[i]);
		ASSERT_TRUE(gt_spins(&self->t));
	}
	EXPECT_LT(ROUNDS / 2, alone);
}

/* One whose task sleeps and whose agent is parked is an idle one. */
TEST_F_TIMEOUT(cfs, one_hog_more_and_an_idle_enclave, GT_TEST_S)
{
	gt_tell(&self->t, GT_BLOCK);
	ASSERT_TRUE(gt_wait_for(gt_proc_state(self->t.pid) == 'S'));
	ASSERT_EQ(0, start_hogs(self->hog, gt_ncpus()));
	EXPECT_TRUE(gt_wait_long(hog_on_cpu_1(self->hog), gt_sleep_ms(20)));
}

/* It is not taken for busy where no load is ascribed to it. */
TEST_F_TIMEOUT(cfs, one_hog_more_and_no_load, GT_TEST_S)
{
	ASSERT_LT(0, gt_write_file(ADDED, "0"));
	ASSERT_EQ(0, start_hogs(self->hog, gt_ncpus()));
	EXPECT_TRUE(gt_wait_long(hog_on_cpu_1(self->hog), gt_sleep_ms(20)));
}

/*
 * How many of BIRTHS children begin on CPU 1, with @added? -1: a hog came there, and
 * that says nothing.
 */
static int born_there(FIXTURE_DATA(cfs) *self, const char *added)
{
	int i, n = 0, status;
	pid_t pid;

	if (gt_write_file(ADDED, added) < 0)
		return -1;
	self->since = 0;
	if (!gt_wait_for(left_alone(self)))
		return -1;
	gt_pin(0, -1);
	for (i = 0; i < BIRTHS; i++) {
		pid = fork();
		if (!pid)
			_exit(sched_getcpu() == 1);
		if (pid < 0 || waitpid(pid, &status, 0) != pid)
			return -1;
		n += WEXITSTATUS(status);
	}
	gt_pin(0, 0);
	return hog_on_cpu_1(self->hog) ? -1 : n;
}

/* Where all CPUs have something to do a child begins on the one with the least load. */
TEST_F_TIMEOUT(cfs, births_and_much_load, GT_TEST_S)
{
	int round, i, none, much;
	bool fewer = false, measured = false;

	for (round = 0; round < ROUNDS && !fewer; round++) {
		ASSERT_EQ(0, start_hogs(self->hog, gt_ncpus() - 1));
		none = born_there(self, "0");
		much = none < 0 ? -1 : born_there(self, "1000000");
		printf("# of %d on CPU 1: %d without, %d with much\n", BIRTHS, none, much);
		measured |= much >= 0;
		fewer = much >= 0 && none >= BIRTHS / 2 && much < none * 3 / 4;
		for (i = 0; i < gt_ncpus() - 1; i++)
			gt_task_end(&self->hog[i]);
	}
	if (!measured)
		SKIP(return, "a hog came to the enclave's CPU in each round");
	EXPECT_TRUE(fewer);
}

TEST_HARNESS_MAIN
