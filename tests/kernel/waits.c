// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* What of a wait counts for the limits: late looks, rescues, sleeps. */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"
#include "gt_machine.h"

#define STALL_MAX	"/proc/sys/kernel/ghost_stall_max_ms"
#define WORKERS		"/sys/devices/virtual/workqueue/cpumask"

/* ---- an agent that keeps the kernel's workers waiting ---- */

#define SPIN_MS		3000

FIXTURE(late) {
	struct gt_enclave e;
	struct gt_task t;
	char stall[32], workers[256];	/* as they were */
};

FIXTURE_SETUP(late)
{
	ASSERT_LT(0, gt_read_file(STALL_MAX, self->stall, sizeof(self->stall)));
	ASSERT_LT(0, gt_read_file(WORKERS, self->workers, sizeof(self->workers)));
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->t));
}

FIXTURE_TEARDOWN(late)
{
	gt_write_file(WORKERS, self->workers);
	gt_write_file(STALL_MAX, self->stall);
	gt_destroy(&self->e);
	gt_task_end(&self->t);
	gt_enclave_close(&self->e);
}

static long spin_and_park(struct gt_agent *a, void *arg)
{
	struct ghost_ioc_run run = { .run_cpu = a->cpu };
	int64_t end;

	for (;;) {
		end = gt_now_ms() + SPIN_MS;
		while (gt_now_ms() < end)
			;
		run.agent_barrier = gt_barrier(a->sw);
		gt_run(a->e, &run);
	}
	return 0;
}

/* Its looks come late, and count the wait in full nevertheless. */
TEST_F_TIMEOUT(late, looks_do_not_stretch_the_limit, 100)
{
	int64_t since, end;
	pid_t host;

	ASSERT_EQ(4, gt_write_file(STALL_MAX, "5000"));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	host = gt_host_start(&self->e, 1, spin_and_park, NULL);
	ASSERT_LT(0, host);
	ASSERT_EQ(1, gt_write_file(WORKERS, "2"));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	since = gt_now_ms();
	end = since + 10 * SPIN_MS;
	while (!access(self->e.dir, F_OK) && gt_now_ms() < end) {
		/* Not at once: the worker is to run. */
		gt_sleep_ms(300);
		gt_ping(&self->e, 1);
	}
	/* The limit, one spin more, and what is between. */
	EXPECT_LT(gt_now_ms() - since, 5000 + 2 * SPIN_MS);
	EXPECT_TRUE(gt_host_killed(host));
	EXPECT_TRUE(gt_wait_for(gt_policy(self->t.pid) == SCHED_OTHER));
	EXPECT_TRUE(gt_spins(&self->t));
}

/* ---- the wait of who is rescued ---- */

/* A limit, and how much of it the CPU is free: the policy's part of the wait. */
#define RESCUE_LIMIT	"6000"
#define FREE_MS		4000

FIXTURE(rescued) {
	struct gt_enclave e;
	struct gt_task t, cfs;
	char workers[256];		/* as they were */
	pid_t host;
};

FIXTURE_VARIANT(rescued) {
	int nice;
};

/* Lent, it seldom has the CPU. */
FIXTURE_VARIANT_ADD(rescued, seldom) { .nice = 19 };
/* It mostly has it. */
FIXTURE_VARIANT_ADD(rescued, mostly) { .nice = -20 };

/* The task waits, and is lent since a normal thread keeps the CPU. */
FIXTURE_SETUP(rescued)
{
	ASSERT_LT(0, gt_read_file(WORKERS, self->workers, sizeof(self->workers)));
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	self->host = gt_host_start(&self->e, 1, NULL, NULL);
	ASSERT_LT(0, self->host);
	/* Whoever takes it back pushes nobody aside. */
	ASSERT_EQ(1, gt_write_file(WORKERS, "1"));
	ASSERT_EQ(0, gt_task_start(&self->t));
	ASSERT_EQ(0, setpriority(PRIO_PROCESS, self->t.pid, variant->nice));
	ASSERT_EQ(0, gt_task_start(&self->cfs));
	ASSERT_EQ(0, gt_pin(self->cfs.pid, 1));
	ASSERT_EQ(4, gt_file_put(&self->e, "runnable_timeout", RESCUE_LIMIT));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	gt_sleep_ms(FREE_MS);
	gt_tell(&self->cfs, GT_SPIN);
	ASSERT_EQ(0, gt_next_type(&self->e.q, self->t.gtid, MSG_TASK_BLOCKED, NULL));
}

FIXTURE_TEARDOWN(rescued)
{
	gt_write_file(WORKERS, self->workers);
	gt_task_end(&self->cfs);
	gt_destroy(&self->e);
	kill(self->host, SIGKILL);
	waitpid(self->host, NULL, 0);
	gt_task_end(&self->t);
	gt_enclave_close(&self->e);
}

/* What nothing excused of the wait is not forgiven: it goes on. */
TEST_F_TIMEOUT(rescued, waits_on, GT_TEST_S)
{
	int64_t since;

	ASSERT_EQ(0, gt_next_type(&self->e.q, self->t.gtid, MSG_TASK_WAKEUP, NULL));
	since = gt_now_ms();
	gt_tell(&self->cfs, GT_BLOCK);
	EXPECT_TRUE(gt_gone(&self->e)) TH_LOG("the enclave is still there");
	/* The rest of the limit, and a look or two. */
	EXPECT_LT(gt_now_ms() - since, 5000);
}

/* But for a sleep. */
TEST_F_TIMEOUT(rescued, sleeps_and_waits_anew, GT_TEST_S)
{
	gt_tell(&self->t, GT_BLOCK);
	ASSERT_TRUE(gt_wait_for(gt_proc_state(self->t.pid) == 'S'));
	/* It is taken back. */
	gt_sleep_ms(3000);
	gt_tell(&self->cfs, GT_BLOCK);
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	gt_sleep_ms(4500);
	EXPECT_EQ(0, access(self->e.dir, F_OK)) TH_LOG("destroyed");
}

TEST_HARNESS_MAIN
