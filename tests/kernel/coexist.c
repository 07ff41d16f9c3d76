// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Enclaves beside each other, beside real time, and under CPU hotplug. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"

FIXTURE(two) {
	struct gt_enclave e[2];
	struct gt_task t[2];
};

static struct gt_agent agents[2];

FIXTURE_SETUP(two)
{
	static const char * const cpus[] = { "1", "2" };
	int i;

	if (gt_ncpus() < 3)
		SKIP(return, "two enclaves need 3 CPUs");
	ASSERT_EQ(0, gt_begin());
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, gt_enclave_create(&self->e[i], cpus[i]))
			TH_LOG("enclave: %s", self->e[i].step);
		ASSERT_EQ(0, gt_task_start(&self->t[i]));
		ASSERT_EQ(0, gt_agent_start(&agents[i], &self->e[i], i + 1,
					    -1));
		ASSERT_EQ(0, gt_join_asleep(&self->e[i], &self->t[i], NULL));
		ASSERT_EQ(0, gt_wake_spinner(&self->e[i], &self->t[i], NULL));
	}
}

FIXTURE_TEARDOWN(two)
{
	int i;

	for (i = 0; i < 2; i++) {
		gt_agent_stop(&agents[i]);
		gt_destroy(&self->e[i]);
		gt_task_end(&self->t[i]);
		EXPECT_EQ(0, self->e[i].q.gaps);
		gt_enclave_close(&self->e[i]);
	}
}

TEST_F(two, each_schedules_its_own)
{
	int i;

	for (i = 0; i < 2; i++) {
		EXPECT_STATE(GHOST_TXN_COMPLETE,
			     gt_schedule(&agents[i], i + 1, &self->t[i], 0));
	}
	EXPECT_TRUE(gt_runs(&agents[0], 1, &self->t[0]));
	EXPECT_TRUE(gt_runs(&agents[1], 2, &self->t[1]));
	/* One goes, the other does not notice. */
	ASSERT_EQ(0, gt_agent_stop(&agents[0]));
	ASSERT_EQ(0, gt_destroy(&self->e[0]));
	EXPECT_TRUE(gt_gone(&self->e[0]));
	EXPECT_TRUE(gt_wait_for(gt_policy(self->t[0].pid) == SCHED_OTHER));
	EXPECT_EQ(SCHED_GHOST, gt_policy(self->t[1].pid));
	EXPECT_TRUE(gt_spins(&self->t[0]));
	EXPECT_TRUE(gt_runs(&agents[1], 2, &self->t[1]));
}

static long commit_foreign(struct gt_agent *a, void *arg)
{
	return gt_txn_ioctl(a->e, (long)arg);
}

TEST_F(two, foreign_transactions)
{
	/* Agent 0 commits, in the page of enclave 1, for CPU 2. */
	gt_txn_fill(&self->e[1], 2, &(struct gt_txn){
		.gtid = self->t[1].gtid, .task_barrier = 2,
		.commit_flags = COMMIT_AT_TXN_COMMIT });
	EXPECT_EQ(0, gt_call(&agents[0], commit_foreign, (void *)4L));
	EXPECT_NE(GHOST_TXN_COMPLETE, gt_txn_state(&self->e[1], 2));
	EXPECT_TRUE(gt_stands(&self->t[1]));
	/* In its own page CPU 2 is nothing. */
	gt_txn_fill(&self->e[0], 2, &(struct gt_txn){
		.gtid = self->t[0].gtid, .task_barrier = 2,
		.commit_flags = COMMIT_AT_TXN_COMMIT });
	EXPECT_EQ(0, gt_call(&agents[0], commit_foreign, (void *)4L));
	EXPECT_NE(GHOST_TXN_COMPLETE, gt_txn_state(&self->e[0], 2));
	EXPECT_TRUE(gt_stands(&self->t[0]));
}

TEST_F(two, tasks_do_not_mix)
{
	struct ghost_sw_info info;

	EXPECT_EQ(-EPERM, gt_join(&self->e[0], self->t[1].pid));
	EXPECT_EQ(-ENOENT, gt_sw_info(&self->e[0], GHOST_TASK,
				      self->t[1].gtid, &info));
	EXPECT_EQ(-ENODEV, gt_sw_info(&self->e[0], GHOST_AGENT, 2, &info));
	EXPECT_GT(0, gt_assoc(&self->e[0], self->e[0].q.fd, self->t[1].gtid,
			      2));
}

FIXTURE(one) {
	struct gt_enclave e;
	struct gt_task t;
};

FIXTURE_SETUP(one)
{
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->t));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
}

FIXTURE_TEARDOWN(one)
{
	gt_agent_stop(&agents[0]);
	gt_destroy(&self->e);
	gt_task_end(&self->t);
	gt_enclave_close(&self->e);
}

static long add_one(struct gt_agent *a, void *arg)
{
	return (long)arg + 1;
}

TEST_F(one, beside_real_time)
{
	struct sched_param sp = { .sched_priority = 50 };
	struct gt_task rt = { 0 };

	ASSERT_EQ(0, gt_agent_start(&agents[0], &self->e, 1, -1));
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agents[0], 1, &self->t, 0));
	ASSERT_TRUE(gt_runs(&agents[0], 1, &self->t));
	ASSERT_EQ(0, gt_task_start(&rt));
	ASSERT_EQ(0, gt_pin(rt.pid, 1));
	ASSERT_EQ(0, sched_setscheduler(rt.pid, SCHED_FIFO, &sp));
	gt_tell(&rt, GT_SPIN);
	EXPECT_TRUE(gt_spins(&rt));
	EXPECT_EQ(0, gt_next_type(&self->e.q, self->t.gtid, MSG_TASK_PREEMPT,
				  NULL));
	EXPECT_TRUE(gt_stands(&self->t)) TH_LOG("runs beside real time");
	EXPECT_EQ(5, gt_call(&agents[0], add_one, (void *)4L))
		TH_LOG("the agent is above real time");
	EXPECT_TRUE(gt_spins(&rt));
	gt_task_end(&rt);
	EXPECT_STATE(GHOST_TXN_COMPLETE,
		     gt_schedule(&agents[0], 1, &self->t, 0));
	EXPECT_TRUE(gt_runs(&agents[0], 1, &self->t));
}

TEST_F(one, cpu_goes_offline)
{
	const char *online = "/sys/devices/system/cpu/cpu1/online";
	char buf[64];
	pid_t host;
	int ret;

	if (access(online, W_OK))
		SKIP(return, "needs CPU hotplug");
	host = gt_host_start(&self->e, 1, NULL, NULL);
	ASSERT_LT(0, host);
	ret = gt_write_file(online, "0");
	EXPECT_EQ(1, ret);
	EXPECT_TRUE(gt_wait_for(gt_file_get(&self->e, "cpulist", buf, 64) > 0 &&
				!strcmp(buf, "\n")))
		TH_LOG("an offline CPU in the enclave");
	EXPECT_EQ(SCHED_GHOST, gt_policy(self->t.pid));
	EXPECT_EQ(1, gt_write_file(online, "1"));
	gt_file_get(&self->e, "cpulist", buf, sizeof(buf));
	EXPECT_STREQ("\n", buf) TH_LOG("it does not come back by itself");
	kill(host, SIGKILL);
	ASSERT_EQ(host, waitpid(host, NULL, 0));
	ASSERT_EQ(0, gt_set_cpus(&self->e, "1"));
	ASSERT_EQ(0, gt_agent_start(&agents[0], &self->e, 1, -1));
	EXPECT_STATE(GHOST_TXN_COMPLETE,
		     gt_schedule(&agents[0], 1, &self->t, 0));
	EXPECT_TRUE(gt_runs(&agents[0], 1, &self->t));
}

TEST_HARNESS_MAIN
