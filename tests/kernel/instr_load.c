// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * What the machine says of its load: pressure, runnable tasks, load average,
 * times of a task. Parked agents are asleep in all of it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt_machine.h"

#define GROUP		"/sys/fs/cgroup/ghost-load"
#define MACHINE_PSI	"/proc/pressure/cpu"
#define GROUP_PSI	GROUP "/cpu.pressure"

static struct gt_agent agents[64];

/* Agents are on CPUs 1..last; the task runs on CPU 1. */
FIXTURE(load) {
	struct gt_enclave e;
	struct gt_task t;
	int last;
};

FIXTURE_SETUP(load)
{
	char cpus[16];
	int cpu;

	ASSERT_EQ(0, gt_begin());
	self->last = gt_ncpus() - 1;
	ASSERT_LE(1, self->last);
	ASSERT_GT(64, self->last);
	snprintf(cpus, sizeof(cpus), "1-%d", self->last);
	ASSERT_EQ(0, gt_enclave_create(&self->e, cpus))
		TH_LOG("enclave: %s", self->e.step);
	/* All threads of the test: its agents, and what they schedule. */
	ASSERT_TRUE(!mkdir(GROUP, 0755) || errno == EEXIST);
	ASSERT_LT(0, gt_write_file(GROUP "/cgroup.procs", "0"));
	ASSERT_EQ(0, gt_task_start(&self->t));
	for (cpu = 1; cpu <= self->last; cpu++)
		ASSERT_EQ(0, gt_agent_start(&agents[cpu], &self->e, cpu, -1)) { }
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
}

FIXTURE_TEARDOWN(load)
{
	int cpu;

	for (cpu = 1; cpu <= self->last; cpu++)
		gt_agent_stop(&agents[cpu]);
	gt_destroy(&self->e);
	gt_task_end(&self->t);
	EXPECT_EQ(0, self->e.q.gaps);
	gt_enclave_close(&self->e);
	gt_write_file("/sys/fs/cgroup/cgroup.procs", "0");
	EXPECT_TRUE(gt_wait_for(!rmdir(GROUP)));
}

static int run_task(struct gt_enclave *e, struct gt_task *t)
{
	int ret = gt_wake_spinner(e, t, NULL);

	if (ret)
		return ret;
	if (gt_schedule(&agents[1], 1, t, 0) != GHOST_TXN_COMPLETE)
		return -EBUSY;
	return gt_runs(&agents[1], 1, t) ? 0 : -ETIMEDOUT;
}

/* Microseconds in which somebody waited for a CPU; -1: nobody counts them. */
static long long waited_us(const char *file)
{
	char buf[256], *at;

	if (gt_read_file(file, buf, sizeof(buf)) <= 0)
		return -1;
	at = strstr(buf, "total=");
	return at ? atoll(at + 6) : -1;
}

/* The share of a few seconds, in percent, in which somebody waited. */
static int pressure(const char *file, struct gt_task *t)
{
	long long before = waited_us(file), start = gt_now_ms();

	while (gt_now_ms() < start + 3000) {
		if (t)
			gt_put_back(&agents[1], 1, t);
		gt_sleep_ms(1);
	}
	return (waited_us(file) - before) / 10 / (gt_now_ms() - start);
}

static bool no_psi(void)
{
	return waited_us(MACHINE_PSI) < 0 || waited_us(GROUP_PSI) < 0;
}

/* One that counted would be 100 %. */
TEST_F_TIMEOUT(load, no_pressure_by_parked_agents, GT_TEST_S)
{
	if (no_psi())
		SKIP(return, "needs CONFIG_PSI, and psi=1 at boot");
	EXPECT_GT(30, pressure(MACHINE_PSI, NULL));
	EXPECT_GT(30, pressure(GROUP_PSI, NULL));
}

TEST_F_TIMEOUT(load, pressure_by_waiting_tasks, GT_TEST_S)
{
	if (no_psi())
		SKIP(return, "needs CONFIG_PSI, and psi=1 at boot");
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	EXPECT_LT(70, pressure(GROUP_PSI, NULL));
	EXPECT_LT(70, pressure(MACHINE_PSI, NULL));
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agents[1], 1, &self->t, 0));
	ASSERT_TRUE(gt_runs(&agents[1], 1, &self->t));
	EXPECT_GT(50, pressure(GROUP_PSI, &self->t));
}

/* This thread is one. */
static int running_tasks(void)
{
	static char buf[1 << 16];
	char *at;

	if (gt_read_file("/proc/stat", buf, sizeof(buf)) <= 0)
		return -1;
	at = strstr(buf, "procs_running ");
	return at ? atoi(at + 14) : -1;
}

/* The same, read while the task never left its CPU; 0: it did. */
static int running_beside(struct ghost_status_word *sw)
{
	uint32_t barrier = gt_barrier(sw);
	int n;

	if (!(gt_flags(sw) & GHOST_SW_TASK_ONCPU))
		return 0;
	n = running_tasks();
	return gt_flags(sw) & GHOST_SW_TASK_ONCPU && gt_barrier(sw) == barrier ? n : 0;
}

TEST_F_TIMEOUT(load, procs_running, GT_TEST_S)
{
	struct ghost_status_word *sw = gt_sw(&self->e, self->t.gtid);
	int n, samples = 0;

	EXPECT_TRUE(gt_wait_for(running_tasks() == 1))
		TH_LOG("parked agents count: %d", running_tasks());
	/* Nor does a task that its policy has yet to choose. */
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	EXPECT_TRUE(gt_wait_for(running_tasks() == 1))
		TH_LOG("a waiting task counts: %d", running_tasks());
	EXPECT_TRUE(gt_wait_long(samples == 100, {
		gt_put_back(&agents[1], 1, &self->t);
		n = running_beside(sw);
		ASSERT_NE(1, n) TH_LOG("a running task does not count");
		samples += n > 0;
	}));
}

static double load_average(void)
{
	char buf[64];

	return gt_read_file("/proc/loadavg", buf, sizeof(buf)) > 0 ? atof(buf) : -1;
}

/* The next value of the load average, or the same when 11 seconds brought none. */
static double next_average(double now, struct gt_task *t)
{
	int64_t end = gt_now_ms() + 11000;
	double next;

	do {
		if (t)
			gt_put_back(&agents[1], 1, t);
		gt_sleep_ms(10);
		next = load_average();
	} while (next == now && gt_now_ms() < end);
	return next;
}

/* Of the old average, exp(-5 s / 60 s). */
#define KEPT		0.92004

/*
 * How many tasks the kernel counted when it last computed the average of one
 * minute. Each 5 seconds that goes a step from what it is towards that number.
 */
static double counted(struct gt_task *t)
{
	double before = next_average(load_average(), t);
	double after = next_average(before, t);

	return (after - before * KEPT) / (1 - KEPT);
}

/* A kernel thread may run just when it is counted: it will not each time. */
TEST_F_TIMEOUT(load, load_average, GT_TEST_S)
{
	EXPECT_TRUE(gt_wait_long(counted(NULL) < .5, { }))
		TH_LOG("parked agents count: %.2f", load_average());
	ASSERT_EQ(0, run_task(&self->e, &self->t));
	EXPECT_TRUE(gt_wait_long(counted(&self->t) > .5, { }))
		TH_LOG("a running task does not count: %.2f", load_average());
}

#define MS		1000000ULL
/* The scheduler's clock and the caller's are not read at one time. */
#define SLACK_NS	(20 * MS)

TEST_F_TIMEOUT(load, schedstat_run, GT_TEST_S)
{
	struct gt_schedstat before, now;
	int64_t start;

	start = gt_now_ms();
	ASSERT_EQ(0, gt_schedstat(self->t.pid, &before));
	ASSERT_EQ(0, run_task(&self->e, &self->t));
	EXPECT_TRUE(gt_wait_long(!gt_schedstat(self->t.pid, &now) &&
				 now.run_ns - before.run_ns > 1000 * MS,
				 gt_put_back(&agents[1], 1, &self->t)));
	EXPECT_LT(now.run_ns - before.run_ns,
		  (gt_now_ms() - start) * MS + SLACK_NS);
	EXPECT_LT(before.slices, now.slices);
}

TEST_F_TIMEOUT(load, schedstat_wait, GT_TEST_S)
{
	struct gt_schedstat before, now;
	int64_t asked, told, chosen, ran;

	ASSERT_EQ(0, gt_schedstat(self->t.pid, &before));
	asked = gt_now_ms();
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	told = gt_now_ms();
	gt_sleep_ms(700);
	chosen = gt_now_ms();
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agents[1], 1, &self->t, 0));
	ASSERT_TRUE(gt_runs(&agents[1], 1, &self->t));
	ran = gt_now_ms();
	ASSERT_EQ(0, gt_schedstat(self->t.pid, &now));
	EXPECT_GT(now.wait_ns - before.wait_ns + SLACK_NS, (chosen - told) * MS);
	EXPECT_LT(now.wait_ns - before.wait_ns, (ran - asked) * MS + SLACK_NS);
}

TEST_HARNESS_MAIN
