// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Limits on trust: runnable timeout, stall ceiling, hogging agents. */
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
#include "gt_machine.h"

#define STALL_MAX	"/proc/sys/kernel/ghost_stall_max_ms"
#define HOG_MAX		"/proc/sys/kernel/ghost_agent_hog_ms"
#define STOP_HOG	"stop_hog"

static struct gt_agent agent;

FIXTURE(limits) {
	struct gt_enclave e;
	struct gt_task t;
	char stall[32], hog[32];	/* as they were */
	int kmsg;
};

FIXTURE_SETUP(limits)
{
	ASSERT_LT(0, gt_read_file(STALL_MAX, self->stall, 32))
		TH_LOG("no " STALL_MAX);
	ASSERT_LT(0, gt_read_file(HOG_MAX, self->hog, 32))
		TH_LOG("no " HOG_MAX);
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->t));
	self->kmsg = gt_open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	ASSERT_LE(0, self->kmsg);
	lseek(self->kmsg, 0, SEEK_END);
}

FIXTURE_TEARDOWN(limits)
{
	gt_write_file(STALL_MAX, self->stall);
	gt_write_file(HOG_MAX, self->hog);
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	gt_task_end(&self->t);
	gt_enclave_close(&self->e);
}

/* The kernel log tells about this enclave. */
static bool log_says_so(int kmsg, int id)
{
	char line[2048], want[32];
	ssize_t n;

	snprintf(want, sizeof(want), "%d", id);
	while ((n = read(kmsg, line, sizeof(line) - 1)) > 0) {
		line[n] = '\0';
		if (strstr(line, "ghost") && strstr(line, want))
			return true;
	}
	return false;
}

/* Nobody schedules the task: destroyed, and the task runs on CFS. */
#define EXPECT_RESCUE() do {						\
	EXPECT_TRUE(gt_gone(&self->e)) TH_LOG("the enclave is still there"); \
	EXPECT_TRUE(gt_wait_for(gt_policy(self->t.pid) == SCHED_OTHER));	\
	EXPECT_TRUE(gt_spins(&self->t));				\
	EXPECT_TRUE(log_says_so(self->kmsg, self->e.id))		\
		TH_LOG("the kernel log does not say why");		\
} while (0)

/* A normal thread that keeps the enclave's CPU. */
static int start_on_cpu_1(struct gt_task *t)
{
	int ret = gt_task_start(t);

	if (!ret)
		ret = gt_pin(t->pid, 1);
	if (ret)
		return ret;
	gt_tell(t, GT_SPIN);
	return gt_spins(t) ? 0 : -ETIMEDOUT;
}

TEST_F(limits, timeout_without_an_agent)
{
	ASSERT_EQ(3, gt_file_put(&self->e, "runnable_timeout", "500"));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	/* Asleep it is nobody's fault. */
	gt_sleep_ms(1500);
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	EXPECT_RESCUE();
}

/* Who takes the CPU is no excuse where nobody could give it to the task. */
TEST_F(limits, timeout_without_an_agent_beside_cfs)
{
	struct gt_task cfs = { 0 };

	ASSERT_EQ(0, start_on_cpu_1(&cfs));
	ASSERT_EQ(3, gt_file_put(&self->e, "runnable_timeout", "500"));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	EXPECT_RESCUE();
	gt_task_end(&cfs);
}

TEST_F(limits, timeout_of_a_stopped_agent_beside_cfs)
{
	pid_t host = gt_host_start(&self->e, 1, NULL, NULL);
	struct gt_task cfs = { 0 };

	ASSERT_LT(0, host);
	ASSERT_EQ(0, start_on_cpu_1(&cfs));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, kill(host, SIGSTOP));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	ASSERT_EQ(3, gt_file_put(&self->e, "runnable_timeout", "500"));
	EXPECT_RESCUE();
	EXPECT_TRUE(gt_host_killed(host));
	gt_task_end(&cfs);
}

/* For ever, what takes the kernel's locks for a while. */
static long read_all(long id)
{
	static char buf[1 << 18];
	char tasks[64];

	snprintf(tasks, sizeof(tasks), "/sys/fs/ghost/enclave_%ld/tasks", id);
	for (;;) {
		gt_read_file("/sys/fs/ghost/exits", buf, sizeof(buf));
		gt_read_file(tasks, buf, sizeof(buf));
	}
	return 0;
}

/*
 * Members are forgotten in the middle of reading: what they hold is what their
 * rescue must not need. Shows something where the kernel is preempted.
 */
TEST_F_TIMEOUT(limits, timeout_of_readers, GT_TEST_S)
{
	struct gt_enclave e;
	struct gt_task r[8];
	int round, i;

	gt_destroy(&self->e);
	for (round = 0; round < 5; round++) {
		ASSERT_EQ(0, gt_enclave_create(&e, "1")) TH_LOG("enclave: %s", e.step);
		for (i = 0; i < 8; i++) {
			ASSERT_EQ(0, gt_task_start(&r[i]));
			gt_tell_call(&r[i], read_all, e.id);
		}
		gt_sleep_ms(100);
		for (i = 0; i < 8; i++)
			ASSERT_EQ(0, gt_join(&e, r[i].pid)) { }
		ASSERT_EQ(3, gt_file_put(&e, "runnable_timeout", "300"));
		EXPECT_TRUE(gt_gone(&e)) TH_LOG("round %d", round);
		for (i = 0; i < 8; i++) {
			EXPECT_TRUE(gt_wait_for(gt_policy(r[i].pid) == SCHED_OTHER));
			gt_task_end(&r[i]);
		}
		gt_enclave_close(&e);
	}
}

TEST_F(limits, timeout_of_an_agent_that_never_commits)
{
	pid_t host = gt_host_start(&self->e, 1, NULL, NULL);

	ASSERT_LT(0, host);
	ASSERT_EQ(3, gt_file_put(&self->e, "runnable_timeout", "500"));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	EXPECT_RESCUE();
	EXPECT_TRUE(gt_host_killed(host));
}

TEST_F(limits, timeout_spares_the_running)
{
	int i;

	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->t, 0));
	ASSERT_TRUE(gt_runs(&agent, 1, &self->t));
	ASSERT_EQ(4, gt_file_put(&self->e, "runnable_timeout", "1000"));
	/* A kernel thread of that CPU may take it away: give it back. */
	for (i = 0; i < 30; i++) {
		gt_sleep_ms(100);
		if (!(gt_flags(gt_sw(&self->e, self->t.gtid)) & GHOST_SW_TASK_ONCPU))
			gt_schedule(&agent, 1, &self->t, 0);
	}
	EXPECT_EQ(0, access(self->e.dir, F_OK)) TH_LOG("destroyed");
	EXPECT_EQ(SCHED_GHOST, gt_policy(self->t.pid));
}

TEST_F(limits, timeout_spares_what_cfs_took)
{
	struct gt_task cfs = { 0 };

	ASSERT_EQ(0, gt_task_start(&cfs));
	ASSERT_EQ(0, gt_pin(cfs.pid, 1));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->t, 0));
	ASSERT_TRUE(gt_runs(&agent, 1, &self->t));
	ASSERT_EQ(4, gt_file_put(&self->e, "runnable_timeout", "1000"));
	gt_tell(&cfs, GT_SPIN);
	gt_sleep_ms(3000);
	EXPECT_EQ(0, access(self->e.dir, F_OK))
		TH_LOG("blamed for the time of another class");
	gt_task_end(&cfs);
	gt_file_put(&self->e, "runnable_timeout", "0");
}

/*
 * A normal thread that keeps the CPU is no fault of the policy, and the enclave stays.
 * But its task, which may hold a lock that others want, gets on.
 */
TEST_F(limits, stall_ceiling_lends_who_is_starved)
{
	struct gt_task cfs = { 0 };

	ASSERT_EQ(0, start_on_cpu_1(&cfs));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	EXPECT_TRUE(gt_stands(&self->t));
	ASSERT_EQ(4, gt_write_file(STALL_MAX, "1000"));
	EXPECT_TRUE(gt_spins(&self->t));
	EXPECT_EQ(0, access(self->e.dir, F_OK)) TH_LOG("destroyed");
	EXPECT_EQ(SCHED_GHOST, gt_policy(self->t.pid));
	/* It is a member again, and the next time it takes as long. */
	EXPECT_TRUE(gt_wait_for(gt_stands(&self->t)));
	EXPECT_TRUE(gt_spins(&self->t));
	EXPECT_EQ(0, access(self->e.dir, F_OK)) TH_LOG("destroyed");
	gt_task_end(&cfs);
	EXPECT_TRUE(gt_wait_for(gt_schedule(&agent, 1, &self->t, 0) ==
				GHOST_TXN_COMPLETE));
	EXPECT_TRUE(gt_runs(&agent, 1, &self->t));
}

TEST_F(limits, stall_ceiling)
{
	pid_t host = gt_host_start(&self->e, 1, NULL, NULL);

	ASSERT_LT(0, host);
	ASSERT_EQ(4, gt_write_file(STALL_MAX, "1000"));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	EXPECT_RESCUE();
	EXPECT_TRUE(gt_host_killed(host));
}

TEST_F(limits, stall_ceiling_off)
{
	ASSERT_EQ(1, gt_write_file(STALL_MAX, "0"));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	gt_sleep_ms(3000);
	EXPECT_EQ(0, access(self->e.dir, F_OK)) TH_LOG("destroyed");
	EXPECT_TRUE(gt_stands(&self->t));
}

TEST_F(limits, sysctl_values)
{
	EXPECT_EQ(-EINVAL, gt_write_file(STALL_MAX, "x"));
	EXPECT_EQ(-EINVAL, gt_write_file(HOG_MAX, "x"));
	EXPECT_EQ(-EINVAL, gt_write_file(STALL_MAX, "-1"));
	EXPECT_EQ(-EINVAL, gt_write_file(HOG_MAX, "-1"));
}

static long spin_for_ever(struct gt_agent *a, void *arg)
{
	for (;;)
		;
	return 0;
}

TEST_F(limits, hog_beside_cfs)
{
	struct gt_task cfs = { 0 };
	pid_t host;

	ASSERT_EQ(4, gt_write_file(HOG_MAX, "1000"));
	ASSERT_EQ(0, start_on_cpu_1(&cfs));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	host = gt_host_start(&self->e, 1, spin_for_ever, NULL);
	ASSERT_LT(0, host);
	EXPECT_TRUE(gt_host_killed(host));
	EXPECT_TRUE(gt_spins(&cfs)) TH_LOG("the CFS thread stays starved");
	gt_tell(&self->t, GT_SPIN);
	EXPECT_RESCUE();
	gt_task_end(&cfs);
}

TEST_F(limits, no_hog_if_it_parks)
{
	int64_t end = gt_now_ms() + 3000;
	struct gt_task cfs = { 0 };

	ASSERT_EQ(4, gt_write_file(HOG_MAX, "1000"));
	ASSERT_EQ(0, start_on_cpu_1(&cfs));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	while (gt_now_ms() < end) {
		ASSERT_EQ(0, gt_ping(&self->e, 1));
		gt_sleep_ms(20);
	}
	EXPECT_EQ(0, access(self->e.dir, F_OK)) TH_LOG("destroyed");
	EXPECT_TRUE(gt_spins(&cfs));
	gt_task_end(&cfs);
}

/* ---- above all classes ---- */

/* Longer than the limits, and less than the clock of an old machine can count. */
#define STOP_MS		"4000"
#define STOP_LIMIT	"2500"

FIXTURE(stopper) {
	struct gt_enclave e;
	struct gt_task t, normal;
	char hog[32];			/* as it was */
};

FIXTURE_VARIANT(stopper) {
	const char *args;
};

FIXTURE_VARIANT_ADD(stopper, one) { .args = "ms=" STOP_MS " cpu=1" };
FIXTURE_VARIANT_ADD(stopper, all) { .args = "ms=" STOP_MS };

FIXTURE_SETUP(stopper)
{
	if (!gt_has_module(STOP_HOG))
		SKIP(return, "needs a module that build-kernel.sh builds");
	ASSERT_LT(0, gt_read_file(HOG_MAX, self->hog, 32));
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->t));
	ASSERT_EQ(0, gt_task_start(&self->normal));
	ASSERT_EQ(0, gt_pin(self->normal.pid, 1));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
}

FIXTURE_TEARDOWN(stopper)
{
	gt_write_file(HOG_MAX, self->hog);
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	gt_task_end(&self->t);
	gt_task_end(&self->normal);
	gt_enclave_close(&self->e);
}

TEST_F_TIMEOUT(stopper, is_not_the_fault_of_the_policy, 100)
{
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(4, gt_file_put(&self->e, "runnable_timeout", STOP_LIMIT));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	ASSERT_EQ(-ECANCELED, gt_insmod(STOP_HOG, variant->args));
	/* Starved for so long, it may be lent for a second. */
	EXPECT_TRUE(gt_wait_for(gt_schedule(&agent, 1, &self->t, 0) ==
				GHOST_TXN_COMPLETE));
	EXPECT_TRUE(gt_runs(&agent, 1, &self->t));
	EXPECT_EQ(0, access(self->e.dir, F_OK)) TH_LOG("destroyed");
	/* The limit holds as before; it would kill an agent that were there. */
	ASSERT_EQ(0, gt_agent_stop(&agent));
	EXPECT_TRUE(gt_gone(&self->e));
	EXPECT_EQ(SCHED_OTHER, gt_policy(self->t.pid));
}

static long spin_until_told(struct gt_agent *a, void *arg)
{
	while (!__atomic_load_n((uint32_t *)arg, __ATOMIC_RELAXED))
		;
	return 0;
}

TEST_F_TIMEOUT(stopper, is_not_the_fault_of_the_agent, 100)
{
	uint32_t told = 0;

	ASSERT_EQ(4, gt_write_file(HOG_MAX, STOP_LIMIT));
	gt_tell(&self->normal, GT_SPIN);
	ASSERT_TRUE(gt_spins(&self->normal));
	ASSERT_EQ(0, gt_post(&agent, spin_until_told, &told));
	ASSERT_TRUE(gt_stands(&self->normal));
	/* If it is blamed it is killed, and this process with it. */
	ASSERT_EQ(-ECANCELED, gt_insmod(STOP_HOG, variant->args));
	EXPECT_TRUE(gt_stands(&self->normal));
	__atomic_store_n(&told, 1, __ATOMIC_RELAXED);
	EXPECT_TRUE(gt_spins(&self->normal));
	EXPECT_EQ(0, access(self->e.dir, F_OK)) TH_LOG("destroyed");
}

TEST_HARNESS_MAIN
