// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* CPUs of an enclave go offline and come back, in loops and under load. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"

#define TASKS		8
#define ROUNDS		15

static struct gt_agent agents[64];

FIXTURE(hotplug) {
	struct gt_enclave e;
	struct gt_task t[TASKS];
	int last;			/* highest CPU */
	char cpus[16];			/* 1 to last */
};

FIXTURE_SETUP(hotplug)
{
	int i;

	ASSERT_EQ(0, gt_begin());
	self->last = gt_ncpus() - 1;
	snprintf(self->cpus, sizeof(self->cpus), "1-%d", self->last);
	ASSERT_EQ(0, gt_enclave_create(&self->e, self->cpus))
		TH_LOG("enclave: %s", self->e.step);
	for (i = 0; i < TASKS; i++)
		ASSERT_EQ(0, gt_task_start(&self->t[i]));
}

FIXTURE_TEARDOWN(hotplug)
{
	int i;

	for (i = 1; i <= self->last; i++)
		gt_set_online(i, true);
	for (i = 1; i <= self->last; i++)
		gt_agent_stop(&agents[i]);
	gt_destroy(&self->e);
	for (i = 0; i < TASKS; i++)
		gt_task_end(&self->t[i]);
	gt_enclave_close(&self->e);
}

static long work(long arg)
{
	volatile int i;

	for (;;) {
		for (i = 0; i < 20000; i++)
			;
		if (arg & 1)
			gt_sleep_ms(1);
		else
			sched_yield();
	}
	return 0;
}

static uint64_t runtime_of(pid_t pid)
{
	char path[64], buf[128];

	snprintf(path, sizeof(path), "/proc/%d/schedstat", pid);
	return gt_read_file(path, buf, sizeof(buf)) > 0 ?
		strtoull(buf, NULL, 10) : 0;
}

/* Half of the tasks block, half yield; all are members. */
static int start_load(struct gt_enclave *e, struct gt_task *t)
{
	int i, ret;

	for (i = 0; i < TASKS; i++) {
		ret = gt_join_asleep(e, &t[i], NULL);
		if (ret)
			return ret;
		gt_tell_call(&t[i], work, i);
	}
	return 0;
}

static bool got_on(struct gt_task *t, struct gt_agent *a, uint64_t before)
{
	if (a)
		gt_schedule(a, a->cpu, t, 0);
	return runtime_of(t->pid) != before;
}

/* Every task gets CPU time, from CFS or, if @a is there, from it. -1: all. */
static int stands_still(struct gt_task *t, struct gt_agent *a)
{
	uint64_t before;
	int i;

	for (i = 0; i < TASKS; i++) {
		before = runtime_of(t[i].pid);
		if (!gt_wait_for(got_on(&t[i], a, before)))
			return i;
	}
	return -1;
}

/*
 * The agent's CPU has gone: it is a normal thread, and its RUN fails, in which
 * it waited (ENODEV) or which it calls later (EINVAL).
 */
static bool was_evicted(struct gt_agent *a)
{
	int ret;

	if (!gt_wait_for(!a->alive))
		return false;
	ret = gt_agent_stop(a);
	return ret == -ENODEV || ret == -EINVAL;
}

static bool can_hotplug(void)
{
	return !access("/sys/devices/system/cpu/cpu1/online", W_OK);
}

/* The only agent's CPU: its tasks run without it, and come back. */
TEST_F_TIMEOUT(hotplug, own_cpu_of_the_agent, 100)
{
	int n, still;

	if (!can_hotplug())
		SKIP(return, "needs CPU hotplug");
	ASSERT_EQ(1, gt_file_put(&self->e, "fallback", "1"));
	ASSERT_EQ(0, gt_set_cpus(&self->e, "1"));
	ASSERT_EQ(0, start_load(&self->e, self->t));
	for (n = 0; n < ROUNDS; n++) {
		ASSERT_EQ(0, gt_agent_start(&agents[1], &self->e, 1, -1))
			TH_LOG("round %d", n);
		gt_schedule(&agents[1], 1, &self->t[n % TASKS], 0);
		ASSERT_EQ(0, gt_set_online(1, false)) TH_LOG("round %d", n);
		EXPECT_TRUE(was_evicted(&agents[1]));
		still = stands_still(self->t, NULL);
		ASSERT_EQ(-1, still) TH_LOG("round %d: task %d", n, still);
		ASSERT_EQ(0, gt_set_online(1, true));
		ASSERT_EQ(0, gt_set_cpus(&self->e, "1"));
		gt_queue_consume(&self->e.q);
	}
	EXPECT_EQ(0, self->e.q.gaps);
}

/* Without the tunable they wait, and another agent can run them. */
TEST_F_TIMEOUT(hotplug, one_of_two, 100)
{
	int n, still;

	if (!can_hotplug() || self->last < 2)
		SKIP(return, "needs 3 CPUs and CPU hotplug");
	ASSERT_EQ(0, gt_agent_start(&agents[1], &self->e, 1, -1));
	ASSERT_EQ(0, start_load(&self->e, self->t));
	for (n = 0; n < ROUNDS; n++) {
		ASSERT_EQ(0, gt_agent_start(&agents[2], &self->e, 2, -1))
			TH_LOG("round %d", n);
		gt_schedule(&agents[1], 1, &self->t[n % TASKS], 0);
		gt_schedule(&agents[1], 2, &self->t[(n + 1) % TASKS], 0);
		ASSERT_EQ(0, gt_set_online(2, false)) TH_LOG("round %d", n);
		EXPECT_TRUE(was_evicted(&agents[2]));
		still = stands_still(self->t, &agents[1]);
		ASSERT_EQ(-1, still) TH_LOG("round %d: task %d", n, still);
		ASSERT_EQ(0, gt_set_online(2, true));
		ASSERT_EQ(0, gt_set_cpus(&self->e, self->cpus));
		gt_queue_consume(&self->e.q);
	}
	EXPECT_EQ(0, self->e.q.gaps);
}

static int stop_commits;

/* Commits whatever is runnable to every CPU, and never parks for long. */
static long commit_all(struct gt_agent *a, void *arg)
{
	struct gt_task *t = arg;
	int i = 0, cpu;

	while (!__atomic_load_n(&stop_commits, __ATOMIC_ACQUIRE)) {
		for (cpu = 2; cpu < gt_npossible(); cpu++, i++) {
			struct ghost_status_word *sw = gt_sw(a->e, t[i % TASKS].gtid);

			if (!sw)
				continue;
			gt_txn_fill(a->e, cpu, &(struct gt_txn){
				.gtid = t[i % TASKS].gtid,
				.task_barrier = gt_barrier(sw),
				.commit_flags = i & 1 ? COMMIT_AT_TXN_COMMIT : 0,
			});
			gt_txn_ioctl(a->e, 1ULL << cpu);
		}
		gt_sleep_ms(1);
	}
	return 0;
}

/* CPUs vanish under the commits of a global agent. */
TEST_F_TIMEOUT(hotplug, under_commits, 100)
{
	int n, cpu;

	if (!can_hotplug() || self->last < 2)
		SKIP(return, "needs 3 CPUs and CPU hotplug");
	ASSERT_EQ(0, gt_agent_start(&agents[1], &self->e, 1, -1));
	ASSERT_EQ(0, start_load(&self->e, self->t));
	for (n = 0; n < ROUNDS; n++) {
		for (cpu = 2; cpu <= self->last; cpu++)
			ASSERT_EQ(0, gt_agent_start(&agents[cpu], &self->e, cpu, -1))
				TH_LOG("round %d", n);
		stop_commits = 0;
		ASSERT_EQ(0, gt_post(&agents[1], commit_all, self->t));
		for (cpu = 2; cpu <= self->last; cpu++) {
			ASSERT_EQ(0, gt_set_online(cpu, false)) TH_LOG("round %d", n);
			gt_queue_consume(&self->e.q);
		}
		__atomic_store_n(&stop_commits, 1, __ATOMIC_RELEASE);
		ASSERT_EQ(0, gt_finish(&agents[1], NULL));
		for (cpu = 2; cpu <= self->last; cpu++) {
			EXPECT_TRUE(was_evicted(&agents[cpu]));
			ASSERT_EQ(0, gt_set_online(cpu, true));
		}
		ASSERT_EQ(0, gt_set_cpus(&self->e, self->cpus));
		gt_queue_consume(&self->e.q);
	}
	ASSERT_EQ(-1, stands_still(self->t, &agents[1]));
	EXPECT_EQ(0, self->e.q.gaps);
}

/* Who schedules for all loses its CPU in the middle; another one goes on. */
TEST_F_TIMEOUT(hotplug, cpu_of_the_global_agent, 100)
{
	int n, still;

	if (!can_hotplug() || self->last < 2)
		SKIP(return, "needs 3 CPUs and CPU hotplug");
	ASSERT_EQ(0, gt_agent_start(&agents[2], &self->e, 2, -1));
	ASSERT_EQ(0, start_load(&self->e, self->t));
	for (n = 0; n < ROUNDS; n++) {
		ASSERT_EQ(0, gt_agent_start(&agents[1], &self->e, 1, -1))
			TH_LOG("round %d", n);
		stop_commits = 0;
		ASSERT_EQ(0, gt_post(&agents[1], commit_all, self->t));
		gt_sleep_ms(n);
		ASSERT_EQ(0, gt_set_online(1, false)) TH_LOG("round %d", n);
		__atomic_store_n(&stop_commits, 1, __ATOMIC_RELEASE);
		EXPECT_TRUE(was_evicted(&agents[1]));
		still = stands_still(self->t, &agents[2]);
		ASSERT_EQ(-1, still) TH_LOG("round %d: task %d", n, still);
		ASSERT_EQ(0, gt_set_online(1, true));
		ASSERT_EQ(0, gt_set_cpus(&self->e, self->cpus));
		gt_queue_consume(&self->e.q);
	}
	EXPECT_EQ(0, self->e.q.gaps);
}

/* No CPU is left, and nobody gives it another: the limit ends that. */
/* Does the exit record of the enclave, which is the last of all, have @what? */
static bool record_says(int id, const char *what)
{
	static char text[9 * 32768];
	char head[64], *rec;

	if (gt_read_file(GT_ROOT "/exits", text, sizeof(text)) < 0)
		return false;
	snprintf(head, sizeof(head), ": enclave_%d: destroyed by ", id);
	rec = strstr(text, head);
	while (rec && strstr(rec + 1, head))
		rec = strstr(rec + 1, head);
	return rec && strstr(rec, what);
}

TEST_F(hotplug, last_cpu)
{
	int i;

	if (!can_hotplug())
		SKIP(return, "needs CPU hotplug");
	ASSERT_EQ(0, gt_set_cpus(&self->e, "1"));
	ASSERT_EQ(0, gt_agent_start(&agents[1], &self->e, 1, -1));
	ASSERT_EQ(0, start_load(&self->e, self->t));
	ASSERT_EQ(0, gt_set_online(1, false));
	EXPECT_TRUE(was_evicted(&agents[1]));
	EXPECT_EQ(SCHED_GHOST, gt_policy(self->t[0].pid));
	ASSERT_EQ(3, gt_file_put(&self->e, "runnable_timeout", "500"));
	EXPECT_TRUE(gt_gone(&self->e));
	EXPECT_TRUE(record_says(self->e.id, "\ncpus that went offline: 1; no cpu is left\n"));
	for (i = 0; i < TASKS; i++)
		EXPECT_TRUE(gt_wait_for(gt_policy(self->t[i].pid) == SCHED_OTHER));
	EXPECT_EQ(-1, stands_still(self->t, NULL));
}

/* The enclave is destroyed while its CPU goes. */
TEST_F_TIMEOUT(hotplug, against_destroy, 100)
{
	pid_t host, child;
	int n, i;

	if (!can_hotplug())
		SKIP(return, "needs CPU hotplug");
	for (n = 0; n < ROUNDS; n++) {
		struct gt_enclave e;

		if (!n)
			ASSERT_EQ(0, gt_destroy(&self->e));
		ASSERT_EQ(0, gt_enclave_create(&e, "1")) TH_LOG("%s", e.step);
		host = gt_host_start(&e, 1, NULL, NULL);
		ASSERT_LT(0, host);
		for (i = 0; i < TASKS; i++) {
			ASSERT_EQ(0, gt_join(&e, self->t[i].pid));
			if (!n)
				gt_tell_call(&self->t[i], work, i);
		}
		child = fork();
		ASSERT_LE(0, child);
		if (!child) {
			gt_sleep_ms(n % 4);
			gt_file_put(&e, "ctl", "destroy");
			_exit(0);
		}
		ASSERT_EQ(0, gt_set_online(1, false));
		ASSERT_EQ(child, waitpid(child, NULL, 0));
		/* Evicted in time, the agent's process is spared. */
		kill(host, SIGKILL);
		ASSERT_EQ(host, waitpid(host, NULL, 0));
		ASSERT_TRUE(gt_gone(&e));
		gt_enclave_close(&e);
		for (i = 0; i < TASKS; i++)
			ASSERT_TRUE(gt_wait_for(gt_policy(self->t[i].pid) == SCHED_OTHER));
		ASSERT_EQ(-1, stands_still(self->t, NULL));
		ASSERT_EQ(0, gt_set_online(1, true));
	}
}

TEST_HARNESS_MAIN
