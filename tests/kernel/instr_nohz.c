// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * A CPU without ticks (nohz_full=) in an enclave. One task runs undisturbed;
 * what the class does at a tick comes once a second, from another CPU.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt_machine.h"
#include "gt_policy.h"

#define HOG_MAX		"/proc/sys/kernel/ghost_agent_hog_ms"

static struct gt_agent agent;

FIXTURE(nohz) {
	struct gt_enclave e;
	struct gt_task t[2];
	pid_t host;
	int cpu;
};

/* The first CPU without ticks that is not the test's own; 0: none. */
static int tickless_cpu(void)
{
	char buf[256];

	if (gt_read_file("/sys/devices/system/cpu/nohz_full", buf, sizeof(buf)) <= 0 ||
	    !isdigit(buf[0]))
		return 0;
	return atoi(buf) < gt_ncpus() ? atoi(buf) : 0;
}

FIXTURE_SETUP(nohz)
{
	char cpus[16];

	self->cpu = tickless_cpu();
	if (!self->cpu)
		SKIP(return, "needs CONFIG_NO_HZ_FULL, and nohz_full=2-3 or so at boot");
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_complaints_begin());
	snprintf(cpus, sizeof(cpus), "%d", self->cpu);
	ASSERT_EQ(0, gt_enclave_create(&self->e, cpus))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->t[0]));
	ASSERT_EQ(0, gt_task_start(&self->t[1]));
}

FIXTURE_TEARDOWN(nohz)
{
	const char *complaint;

	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	if (self->host)
		waitpid(self->host, NULL, 0);
	gt_task_end(&self->t[0]);
	gt_task_end(&self->t[1]);
	complaint = gt_complaint();
	EXPECT_EQ(NULL, complaint) TH_LOG("%s", complaint);
	gt_enclave_close(&self->e);
}

static int run_task(FIXTURE_DATA(nohz) *self)
{
	struct gt_task *t = &self->t[0];
	int ret = gt_agent_start(&agent, &self->e, self->cpu, -1);

	if (!ret)
		ret = gt_join_asleep(&self->e, t, NULL);
	if (!ret)
		ret = gt_wake_spinner(&self->e, t, NULL);
	if (ret)
		return ret;
	gt_put_back(&agent, self->cpu, t);
	return gt_runs(&agent, self->cpu, t) ? 0 : -ETIMEDOUT;
}

/* Interrupts of the timer of @cpu. */
static long ticks(int cpu)
{
	static char buf[1 << 16];
	char *at;
	long n;

	if (gt_read_file("/proc/interrupts", buf, sizeof(buf)) <= 0)
		return -1;
	at = strstr(buf, "LOC:");
	if (!at)
		return -1;
	for (at += 4; ; cpu--) {
		n = strtol(at, &at, 10);
		if (!cpu)
			return n;
	}
}

/* In half a second, in which a CPU with ticks has 50 and more. */
static long ticks_now(int cpu)
{
	long before = ticks(cpu);

	gt_sleep_ms(500);
	return ticks(cpu) - before;
}

static bool next_tick(struct gt_queue *q, struct gt_msg *m)
{
	while (!gt_next(q, GT_ANY, 0, m))
		if (m->type == MSG_CPU_TICK)
			return true;
	return false;
}

TEST_F_TIMEOUT(nohz, runs_without_ticks, GT_TEST_S)
{
	struct gt_task *t = &self->t[0];
	struct gt_schedstat before, now;
	struct gt_msg m;

	ASSERT_EQ(0, run_task(self));
	EXPECT_TRUE(gt_wait_long(ticks_now(self->cpu) < 10,
				 gt_put_back(&agent, self->cpu, t)));
	ASSERT_TRUE(gt_runs(&agent, self->cpu, t));
	/* Its times go on all the same. */
	ASSERT_EQ(0, gt_schedstat(t->pid, &before));
	EXPECT_TRUE(gt_wait_long(!gt_schedstat(t->pid, &now) &&
				 now.run_ns > before.run_ns + 2000000000,
				 gt_put_back(&agent, self->cpu, t)));
	EXPECT_FALSE(next_tick(&self->e.q, &m));
}

static long spin_for_ever(struct gt_agent *a, void *arg)
{
	for (;;)
		;
	return 0;
}

/* An agent that hogs such a CPU is found as well. */
TEST_F_TIMEOUT(nohz, agent_that_hogs, GT_TEST_S)
{
	char was[32];
	bool gone;

	ASSERT_LT(0, gt_read_file(HOG_MAX, was, sizeof(was)));
	ASSERT_EQ(0, gt_pin(self->t[0].pid, self->cpu));
	gt_tell(&self->t[0], GT_SPIN);
	ASSERT_TRUE(gt_spins(&self->t[0]));
	ASSERT_EQ(4, gt_write_file(HOG_MAX, "3000"));
	self->host = gt_host_start(&self->e, self->cpu, spin_for_ever, NULL);
	ASSERT_LT(0, self->host);
	gone = gt_wait_long(access(self->e.dir, F_OK), gt_sleep_ms(20));
	gt_write_file(HOG_MAX, was);
	EXPECT_TRUE(gone);
	EXPECT_TRUE(gt_spins(&self->t[0]));
}

/* Who asked for ticks gets those of the other CPU. */
TEST_F_TIMEOUT(nohz, ticks_are_told, GT_TEST_S)
{
	struct gt_msg m;
	int i;

	ASSERT_LT(0, gt_file_put(&self->e, "deliver_ticks", "1"));
	ASSERT_EQ(0, run_task(self));
	EXPECT_TRUE(gt_wait_long(ticks_now(self->cpu) < 10,
				 gt_put_back(&agent, self->cpu, &self->t[0])));
	for (i = 0; i < 5; i++) {
		/* But those that it takes to commit. */
		ASSERT_TRUE(gt_wait_long(next_tick(&self->e.q, &m) &&
					 !m.tick.is_agent,
					 gt_put_back(&agent, self->cpu, &self->t[0])));
		EXPECT_EQ(self->cpu, m.tick.cpu);
	}
	EXPECT_TRUE(gt_runs(&agent, self->cpu, &self->t[0]));
}

/* They are enough for two tasks to take turns. */
TEST_F_TIMEOUT(nohz, tasks_take_turns, GT_TEST_S)
{
	int i;

	ASSERT_LT(0, gt_file_put(&self->e, "deliver_ticks", "1"));
	self->host = gt_policy_start(&self->e, self->cpu);
	ASSERT_LT(0, self->host);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, gt_join(&self->e, self->t[i].pid));
		gt_tell(&self->t[i], GT_SPIN);
	}
	for (i = 0; i < 6; i++)
		EXPECT_TRUE(gt_wait_long(gt_spins(&self->t[i % 2]), { }));
}

TEST_HARNESS_MAIN
