// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Core scheduling: cookies beside an enclave, on the sibling of its CPU, and of
 * its members. The enclave is on CPU 2 and 3, which are one core.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"
#include "gt_machine.h"

#ifndef PR_SCHED_CORE
#define PR_SCHED_CORE			62
#define PR_SCHED_CORE_CREATE		1
#define PR_SCHED_CORE_SHARE_TO		2
#define PR_SCHED_CORE_SHARE_FROM	3
#endif
#define HOG_MAX		"/proc/sys/kernel/ghost_agent_hog_ms"
#define WORKERS		"/sys/devices/virtual/workqueue/cpumask"
#define ROUNDS				50

static struct gt_agent agents[2];	/* of CPU 2 and 3 */

static bool siblings(void)
{
	char list[16] = "";

	gt_read_file("/sys/devices/system/cpu/cpu2/topology/thread_siblings_list",
		     list, sizeof(list));
	return !strcmp(list, "2-3\n");
}

static int give_cookie(struct gt_task *t)
{
	return prctl(PR_SCHED_CORE, PR_SCHED_CORE_CREATE, t->pid, 0, 0) ?
	       -errno : 0;
}

/* By a child, as who hands a cookie on has it, too. */
static int share_cookie(struct gt_task *from, struct gt_task *to)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(prctl(PR_SCHED_CORE, PR_SCHED_CORE_SHARE_FROM, from->pid, 0, 0) ||
		      prctl(PR_SCHED_CORE, PR_SCHED_CORE_SHARE_TO, to->pid, 0, 0));
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -errno;
	return status;
}

FIXTURE(core) {
	struct gt_enclave e;
	struct gt_task t[2], cfs[2];
	char hog[32], workers[256];	/* as they were */
};

FIXTURE_SETUP(core)
{
	int i;

	if (!siblings())
		SKIP(return, "CPU 2 and 3 have to be threads of one core");
	ASSERT_LT(0, gt_read_file(HOG_MAX, self->hog, sizeof(self->hog)));
	ASSERT_LT(0, gt_read_file(WORKERS, self->workers, sizeof(self->workers)));
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "2-3"))
		TH_LOG("enclave: %s", self->e.step);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, gt_task_start(&self->t[i]));
		ASSERT_EQ(0, gt_task_start(&self->cfs[i]));
		ASSERT_EQ(0, gt_agent_start(&agents[i], &self->e, 2 + i, -1));
		ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t[i], NULL));
	}
	if (give_cookie(&self->cfs[0]) == -EINVAL)
		SKIP(return, "a kernel without core scheduling");
	ASSERT_EQ(0, give_cookie(&self->cfs[1]));
}

FIXTURE_TEARDOWN(core)
{
	int i;

	gt_write_file(WORKERS, self->workers);
	gt_write_file(HOG_MAX, self->hog);
	for (i = 0; i < 2; i++) {
		gt_task_end(&self->cfs[i]);
		gt_agent_stop(&agents[i]);
	}
	gt_destroy(&self->e);
	for (i = 0; i < 2; i++)
		gt_task_end(&self->t[i]);
	EXPECT_EQ(0, self->e.q.gaps);
	gt_enclave_close(&self->e);
}

/* One wakes and runs, then it sleeps. */
#define LIVE(i) do {							\
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t[i], NULL));	\
	ASSERT_EQ(GHOST_TXN_COMPLETE,					\
		  gt_schedule(&agents[i], 2 + (i), &self->t[i], 0));	\
	ASSERT_TRUE(gt_runs(&agents[i], 2 + (i), &self->t[i]));		\
	gt_tell(&self->t[i], GT_BLOCK);					\
	ASSERT_EQ(0, gt_drive(&agents[i], 2 + (i), &self->t[i],		\
			      MSG_TASK_BLOCKED, NULL));			\
} while (0)

/* Two cookies that take turns on the other core. */
TEST_F(core, cookies_on_another_core)
{
	int n;

	for (n = 0; n < 2; n++) {
		ASSERT_EQ(0, gt_pin(self->cfs[n].pid, n));
		gt_tell(&self->cfs[n], GT_SPIN);
		ASSERT_TRUE(gt_spins(&self->cfs[n]));
	}
	for (n = 0; n < ROUNDS; n++) {
		LIVE(0);
		LIVE(1);
	}
	for (n = 0; n < 2; n++)
		EXPECT_TRUE(gt_spins(&self->cfs[n]));
}

/* What runs with a cookie takes the sibling as well: no fault of the policy. */
TEST_F(core, timeout_spares_what_a_cookie_took)
{
	struct gt_txn txn = {
		.gtid = self->t[1].gtid, .agent_barrier = GT_NOW,
		.commit_flags = COMMIT_AT_TXN_COMMIT,
	};

	ASSERT_EQ(0, gt_pin(self->cfs[0].pid, 2));
	gt_tell(&self->cfs[0], GT_SPIN);
	ASSERT_TRUE(gt_spins(&self->cfs[0]));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t[1], NULL));
	/* Once: to try again and again is time of the policy. */
	txn.task_barrier = gt_barrier(gt_sw(&self->e, self->t[1].gtid));
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_commit(&agents[1], 3, &txn));
	ASSERT_EQ(4, gt_file_put(&self->e, "runnable_timeout", "1000"));
	gt_sleep_ms(4000);
	EXPECT_EQ(0, access(self->e.dir, F_OK)) TH_LOG("destroyed");
	gt_task_end(&self->cfs[0]);
	EXPECT_TRUE(gt_wait_for(gt_schedule(&agents[1], 3, &self->t[1], 0) ==
				GHOST_TXN_COMPLETE));
	EXPECT_TRUE(gt_runs(&agents[1], 3, &self->t[1]));
}

/* Beside one with its own cookie it could run. */
TEST_F(core, timeout_beside_the_same_cookie)
{
	pid_t host[2];
	int i;

	ASSERT_EQ(0, share_cookie(&self->cfs[0], &self->t[1]));
	for (i = 0; i < 2; i++) {
		gt_agent_stop(&agents[i]);
		host[i] = gt_host_start(&self->e, 2 + i, NULL, NULL);
		ASSERT_LT(0, host[i]);
	}
	ASSERT_EQ(0, gt_pin(self->cfs[0].pid, 2));
	gt_tell(&self->cfs[0], GT_SPIN);
	ASSERT_TRUE(gt_spins(&self->cfs[0]));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t[1], NULL));
	ASSERT_EQ(4, gt_file_put(&self->e, "runnable_timeout", "1000"));
	EXPECT_TRUE(gt_gone(&self->e)) TH_LOG("the enclave is still there");
	for (i = 0; i < 2; i++)
		EXPECT_EQ(host[i], waitpid(host[i], NULL, 0));
}

/* Unless others want the CPU and are kept out: an agent's tasks come after them. */
TEST_F(core, timeout_spares_where_others_are_kept_out)
{
	struct sched_param sp = { .sched_priority = 1 };

	ASSERT_EQ(0, share_cookie(&self->cfs[0], &self->t[1]));
	ASSERT_EQ(0, gt_pin(self->cfs[0].pid, 3));
	ASSERT_EQ(0, gt_pin(self->cfs[1].pid, 2));
	ASSERT_EQ(0, sched_setscheduler(self->cfs[0].pid, SCHED_FIFO, &sp));
	gt_tell(&self->cfs[0], GT_SPIN);
	gt_tell(&self->cfs[1], GT_SPIN);
	ASSERT_TRUE(gt_spins(&self->cfs[0]));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t[1], NULL));
	ASSERT_EQ(4, gt_file_put(&self->e, "runnable_timeout", "1000"));
	gt_sleep_ms(4000);
	EXPECT_EQ(0, access(self->e.dir, F_OK)) TH_LOG("destroyed");
	gt_file_put(&self->e, "runnable_timeout", "0");
}

static long spin(struct gt_agent *a, void *unused)
{
	for (;;)
		;
	return 0;
}

/* Nor is it an excuse that an agent of its own keeps everybody off the core. */
TEST_F_TIMEOUT(core, timeout_beside_a_hog, GT_TEST_S)
{
	pid_t host[2];
	int i;

	ASSERT_EQ(0, gt_pin(self->cfs[0].pid, 2));
	gt_tell(&self->cfs[0], GT_SPIN);
	ASSERT_TRUE(gt_spins(&self->cfs[0]));
	ASSERT_EQ(1, gt_write_file(HOG_MAX, "0"));
	/* The hog is not to keep the watchdog waiting. */
	ASSERT_EQ(1, gt_write_file(WORKERS, "3"));
	for (i = 0; i < 2; i++) {
		gt_agent_stop(&agents[i]);
		host[i] = gt_host_start(&self->e, 2 + i, i ? spin : NULL, NULL);
		ASSERT_LT(0, host[i]);
	}
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t[1], NULL));
	ASSERT_EQ(4, gt_file_put(&self->e, "runnable_timeout", "1000"));
	EXPECT_TRUE(gt_gone(&self->e)) TH_LOG("the enclave is still there");
	for (i = 0; i < 2; i++)
		EXPECT_TRUE(gt_host_killed(host[i]));
	EXPECT_TRUE(gt_spins(&self->cfs[0]));
}

/* A hog is one for the whole core. */
TEST_F_TIMEOUT(core, hog_beside_a_cookie, GT_TEST_S)
{
	pid_t host;
	int i;

	ASSERT_EQ(0, gt_pin(self->cfs[0].pid, 2));
	gt_tell(&self->cfs[0], GT_SPIN);
	ASSERT_TRUE(gt_spins(&self->cfs[0]));
	ASSERT_EQ(4, gt_write_file(HOG_MAX, "1000"));
	/* Whoever has an agent is killed, not the hog alone. */
	for (i = 0; i < 2; i++)
		gt_agent_stop(&agents[i]);
	host = gt_host_start(&self->e, 3, spin, NULL);
	ASSERT_LT(0, host);
	EXPECT_TRUE(gt_gone(&self->e)) TH_LOG("the enclave is still there");
	EXPECT_TRUE(gt_host_killed(host));
	EXPECT_TRUE(gt_spins(&self->cfs[0]));
}

static long spin_100ms(struct gt_agent *a, void *unused)
{
	int64_t end = gt_now_ms() + 100;

	while (gt_now_ms() < end)
		;
	return 0;
}

/* None is who parks, be it for a task that its core then does not run. */
TEST_F(core, no_hog_if_it_parks)
{
	int64_t end = gt_now_ms() + 4000;

	ASSERT_EQ(4, gt_write_file(HOG_MAX, "1000"));
	ASSERT_EQ(0, gt_pin(self->cfs[0].pid, 2));
	gt_tell(&self->cfs[0], GT_SPIN);
	ASSERT_TRUE(gt_spins(&self->cfs[0]));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t[1], NULL));
	while (gt_now_ms() < end) {
		struct gt_txn txn = {
			.gtid = self->t[1].gtid, .agent_barrier = GT_NOW,
			.task_barrier = gt_barrier(gt_sw(&self->e, self->t[1].gtid)),
			.commit_flags = COMMIT_AT_TXN_COMMIT,
		};

		ASSERT_EQ(0, gt_call(&agents[1], spin_100ms, NULL));
		gt_commit(&agents[1], 3, &txn);
		ASSERT_TRUE(gt_spins(&self->cfs[0]));
	}
	EXPECT_EQ(0, access(self->e.dir, F_OK)) TH_LOG("destroyed");
}

static long nothing(struct gt_agent *a, void *unused)
{
	return 0;
}

/*
 * Does one of them stand for 100 ms while the other runs? Looked at ten times:
 * kernel threads without a cookie may let the second one in, or preempt both, and
 * the host may stop a CPU.
 */
static int exclusive(struct gt_task *t, struct gt_task *u)
{
	uint64_t before[2] = { t->ctl->count, u->ctl->count };

	gt_sleep_ms(100);
	return (t->ctl->count == before[0]) != (u->ctl->count == before[1]);
}

/* The fair class goes first, an agent goes before that: as without SMT. */
TEST_F(core, cookie_on_the_sibling)
{
	int n, times = 0;

	ASSERT_EQ(0, gt_pin(self->cfs[0].pid, 3));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t[0], NULL));
	ASSERT_EQ(GHOST_TXN_COMPLETE,
		  gt_schedule(&agents[0], 2, &self->t[0], 0));
	ASSERT_TRUE(gt_runs(&agents[0], 2, &self->t[0]));
	for (n = 0; n < ROUNDS; n++) {
		gt_tell(&self->cfs[0], GT_SPIN);
		ASSERT_TRUE(gt_spins(&self->cfs[0]));
		if (n < 10)
			times += exclusive(&self->t[0], &self->cfs[0]);
		ASSERT_EQ(0, gt_call(&agents[0], nothing, NULL));
		gt_tell(&self->cfs[0], GT_BLOCK);
		ASSERT_TRUE(gt_asleep(&self->cfs[0]));
		ASSERT_TRUE(gt_runs(&agents[0], 2, &self->t[0]))
			TH_LOG("round %d", n);
	}
	EXPECT_LE(5, times);
}

/* With cookies of their own one keeps the other out, and none is lost. */
TEST_F(core, cookies_of_members)
{
	int n, i, times = 0;

	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, give_cookie(&self->t[i])) { }
	for (n = 0; n < ROUNDS; n++) {
		for (i = 0; i < 2; i++) {
			ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t[i], NULL));
			ASSERT_EQ(GHOST_TXN_COMPLETE,
				  gt_schedule(&agents[i], 2 + i, &self->t[i], 0));
		}
		if (n < 10)
			times += exclusive(&self->t[0], &self->t[1]);
		for (i = 0; i < 2; i++)
			gt_tell(&self->t[i], GT_BLOCK);
		for (i = 0; i < 2; i++) {
			ASSERT_EQ(0, gt_drive(&agents[i], 2 + i, &self->t[i],
					      MSG_TASK_BLOCKED, NULL))
				TH_LOG("round %d, task %d", n, i);
		}
	}
	EXPECT_LE(5, times);
}

TEST_HARNESS_MAIN
