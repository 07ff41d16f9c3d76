// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* What the options of create, the tunables and discover do. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"

static struct gt_agent agent;

FIXTURE(tunables) {
	struct gt_enclave e;
	struct gt_task t, u;
};

FIXTURE_SETUP(tunables)
{
	ASSERT_EQ(0, gt_begin());
	ASSERT_LE(2, gt_ncpus()) TH_LOG("2 CPUs are needed");
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->t));
	ASSERT_EQ(0, gt_task_start(&self->u));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
}

FIXTURE_TEARDOWN(tunables)
{
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	gt_task_end(&self->t);
	gt_task_end(&self->u);
	EXPECT_EQ(0, self->e.q.gaps);
	gt_enclave_close(&self->e);
}

/* ---- create ---- */

TEST_F(tunables, gid_option)
{
	static const char * const names[] = {
		"", "/ctl", "/tasks", "/sw_regions", "/sw_regions/sw_3",
	};
	char path[128];
	struct stat st;
	int i;

	ASSERT_LT(0, gt_write_file(GT_ROOT "/ctl", "create 5100 91 gid=77"));
	ASSERT_LT(0, gt_write_file(GT_ROOT "/enclave_5100/ctl",
				   "create sw_region 3 0"));
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), GT_ROOT "/enclave_5100%s",
			 names[i]);
		ASSERT_EQ(0, stat(path, &st)) TH_LOG("%s", path);
		EXPECT_EQ(77, st.st_gid) TH_LOG("%s", path);
		EXPECT_EQ(0, st.st_uid) TH_LOG("%s", path);
	}
	EXPECT_EQ(7, gt_write_file(GT_ROOT "/enclave_5100/ctl", "destroy"));
}

static void *create_ephemeral(void *unused)
{
	return (void *)(long)gt_write_file(GT_ROOT "/ctl",
					   "create 5101 91 ephemeral");
}

TEST_F(tunables, ephemeral_ends_with_its_process)
{
	const char *dir = GT_ROOT "/enclave_5101";
	char buf[128], want[64];
	int to[2], from[2], status;
	pthread_t thread;
	pid_t pid;
	void *ret;
	char c;

	ASSERT_EQ(0, pipe(to));
	ASSERT_EQ(0, pipe(from));
	pid = fork();
	if (!pid) {
		/* The thread that made it goes first, which means nothing. */
		if (pthread_create(&thread, NULL, create_ephemeral, NULL) ||
		    pthread_join(thread, &ret) || (long)ret < 0)
			_exit(1);
		if (write(from[1], "x", 1) != 1 || read(to[0], &c, 1) != 1)
			_exit(2);
		_exit(0);
	}
	ASSERT_EQ(1, read(from[0], &c, 1));
	ASSERT_LT(0, gt_read_file(GT_ROOT "/enclave_5101/status", buf,
				  sizeof(buf)));
	snprintf(want, sizeof(want),
		 "version 91\nactive no\nnr_tasks 0\nephemeral %d\n", pid);
	EXPECT_STREQ(want, buf);
	gt_sleep_ms(GT_QUIET_MS);
	EXPECT_EQ(0, access(dir, F_OK)) TH_LOG("gone with a thread");
	ASSERT_EQ(1, write(to[1], "x", 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_TRUE(gt_wait_for(access(dir, F_OK)))
		TH_LOG("the enclave outlives its process");
}

TEST_F(tunables, ephemeral_killed_without_a_wait)
{
	const char *dir = GT_ROOT "/enclave_5101";
	int from[2];
	pid_t pid;
	char c;

	ASSERT_EQ(0, pipe(from));
	pid = fork();
	if (!pid) {
		if ((long)create_ephemeral(NULL) < 0 ||
		    write(from[1], "x", 1) != 1)
			_exit(1);
		pause();
	}
	ASSERT_EQ(1, read(from[0], &c, 1));
	ASSERT_EQ(0, access(dir, F_OK));
	kill(pid, SIGKILL);
	EXPECT_TRUE(gt_wait_for(access(dir, F_OK)))
		TH_LOG("a zombie keeps it");
	waitpid(pid, NULL, 0);
}

/* ---- max_tasks ---- */

static long try_fork(long unused)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	if (pid < 0)
		return -errno;
	waitpid(pid, NULL, 0);
	return 0;
}

TEST_F(tunables, max_tasks)
{
	char buf[16];

	EXPECT_EQ(-EINVAL, gt_file_put(&self->e, "max_tasks", "x"));
	EXPECT_EQ(-EINVAL, gt_file_put(&self->e, "max_tasks", "-1"));
	EXPECT_EQ(-EINVAL, gt_file_put(&self->e, "max_tasks", "4294967296"));
	ASSERT_EQ(1, gt_file_put(&self->e, "max_tasks", "1"));
	gt_file_get(&self->e, "max_tasks", buf, sizeof(buf));
	EXPECT_STREQ("1", buf);

	/* The agent is not counted. */
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	EXPECT_EQ(-EDQUOT, gt_join(&self->e, self->u.pid));
	EXPECT_EQ(SCHED_OTHER, gt_policy(self->u.pid));
	gt_tell_call(&self->t, try_fork, 0);
	ASSERT_EQ(0, gt_drive(&agent, 1, &self->t, MSG_TASK_BLOCKED, NULL));
	EXPECT_EQ(-EDQUOT, self->t.ctl->result);

	/* Who leaves makes room. */
	ASSERT_EQ(0, sched_setscheduler(self->t.pid, SCHED_OTHER,
					&(struct sched_param){ 0 }));
	EXPECT_EQ(0, gt_join(&self->e, self->u.pid));
	ASSERT_EQ(1, gt_file_put(&self->e, "max_tasks", "0"));
}

/* ---- honor_affinity ---- */

TEST_F(tunables, honor_affinity)
{
	struct gt_txn txn = { .gtid = self->t.gtid, .agent_barrier = GT_NOW,
			      .commit_flags = COMMIT_AT_TXN_COMMIT };

	ASSERT_EQ(1, gt_file_put(&self->e, "honor_affinity", "1"));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_pin(self->t.pid, 0));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	txn.task_barrier = gt_barrier(gt_sw(&self->e, self->t.gtid));
	EXPECT_STATE(GHOST_TXN_TARGET_STALE, gt_commit(&agent, 1, &txn));
	EXPECT_EQ(txn.task_barrier, gt_barrier(gt_sw(&self->e, self->t.gtid)))
		TH_LOG("stale with an unchanged barrier");
	EXPECT_TRUE(gt_stands(&self->t));

	ASSERT_EQ(1, gt_file_put(&self->e, "honor_affinity", "0"));
	EXPECT_STATE(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->t, 0));
	EXPECT_TRUE(gt_runs(&agent, 1, &self->t));
}

/* ---- features, discover ---- */

TEST_F(tunables, features)
{
	char buf[1024];

	ASSERT_LT(0, gt_file_get(&self->e, "features", buf, sizeof(buf)));
	EXPECT_NE(NULL, strstr(buf, "honor_affinity\n"));
	EXPECT_NE(NULL, strstr(buf, "max_tasks\n"));
	EXPECT_EQ(-EACCES, gt_file(&self->e, "features", O_WRONLY));
}

TEST_F(tunables, discover_tasks)
{
	uint32_t barrier[2];
	struct gt_msg m;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->u, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->u, NULL));
	barrier[0] = gt_barrier(gt_sw(&self->e, self->t.gtid));
	barrier[1] = gt_barrier(gt_sw(&self->e, self->u.gtid));

	ASSERT_LT(0, gt_put(self->e.ctl, "discover tasks"));
	ASSERT_EQ(0, gt_next(&self->e.q, self->t.gtid, GT_WAIT_MS, &m));
	EXPECT_EQ(MSG_TASK_NEW, m.type);
	EXPECT_EQ(0, m.new_.runnable);
	EXPECT_EQ(barrier[0] + 1, m.seqnum);
	ASSERT_EQ(0, gt_next(&self->e.q, self->u.gtid, GT_WAIT_MS, &m));
	EXPECT_EQ(MSG_TASK_NEW, m.type);
	EXPECT_EQ(1, m.new_.runnable);
	EXPECT_EQ(barrier[1] + 1, m.seqnum);
	/* Agents are not tasks. */
	EXPECT_EQ(-ETIMEDOUT, gt_next(&self->e.q, GT_ANY, GT_QUIET_MS, NULL));
	EXPECT_EQ(-EINVAL, gt_put(self->e.ctl, "discover tasks now"));
}

TEST_HARNESS_MAIN
