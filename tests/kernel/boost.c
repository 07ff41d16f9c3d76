// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Priority inheritance: a member that holds what a real-time thread waits for
 * runs as one. For the agent it is blocked meanwhile.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"

static struct gt_agent agent;
static uint32_t *lock;

FIXTURE(boost) {
	struct gt_enclave e;
	struct gt_task t;		/* holds the lock */
	struct gt_task waiter;
};

FIXTURE_SETUP(boost)
{
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	lock = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, lock);
	ASSERT_EQ(0, gt_task_start(&self->t));
	ASSERT_EQ(0, gt_task_start(&self->waiter));
	/* Boosted it must not take the CPU of the test. */
	ASSERT_EQ(0, gt_pin(self->t.pid, 1));
	ASSERT_EQ(0, gt_pin(self->waiter.pid, 0));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
}

FIXTURE_TEARDOWN(boost)
{
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	gt_task_end(&self->waiter);
	gt_task_end(&self->t);
	EXPECT_EQ(0, self->e.q.gaps);
	gt_enclave_close(&self->e);
}

static long lock_pi(long unused)
{
	return syscall(SYS_futex, lock, FUTEX_LOCK_PI, 0, NULL, NULL, 0) ?
		-errno : 0;
}

static long unlock_pi(long unused)
{
	return syscall(SYS_futex, lock, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0) ?
		-errno : 0;
}

TEST_F(boost, looks_like_sleep)
{
	struct sched_param sp = { .sched_priority = 10 };
	struct ghost_status_word *sw;
	struct gt_msg m;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	gt_tell_call(&self->t, lock_pi, 0);
	ASSERT_EQ(0, gt_drive(&agent, 1, &self->t, MSG_TASK_BLOCKED, NULL));
	ASSERT_EQ(0, self->t.ctl->result);
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	ASSERT_TRUE(gt_stands(&self->t));

	ASSERT_EQ(0, sched_setscheduler(self->waiter.pid, SCHED_FIFO, &sp));
	gt_tell_call(&self->waiter, lock_pi, 0);
	ASSERT_EQ(0, gt_next(&self->e.q, self->t.gtid, GT_WAIT_MS, &m));
	EXPECT_EQ(MSG_TASK_BLOCKED, m.type) TH_LOG("%s", gt_msg_name(m.type));
	EXPECT_TRUE(gt_spins(&self->t)) TH_LOG("nobody boosts it");
	EXPECT_EQ(SCHED_GHOST, gt_policy(self->t.pid));
	sw = gt_sw(&self->e, self->t.gtid);
	ASSERT_NE(NULL, sw);
	EXPECT_FALSE(gt_flags(sw) & GHOST_SW_TASK_RUNNABLE);
	EXPECT_STATE(GHOST_TXN_TARGET_STALE,
		     gt_commit(&agent, 1, &(struct gt_txn){
			.gtid = self->t.gtid,
			.task_barrier = gt_barrier(sw),
			.agent_barrier = GT_NOW,
			.commit_flags = COMMIT_AT_TXN_COMMIT }));

	gt_tell_call(&self->t, unlock_pi, 0);
	ASSERT_EQ(0, gt_next(&self->e.q, self->t.gtid, GT_WAIT_MS, &m));
	EXPECT_EQ(MSG_TASK_WAKEUP, m.type) TH_LOG("%s", gt_msg_name(m.type));
	EXPECT_TRUE(gt_wait_for(self->waiter.ctl->done == 1));
	EXPECT_EQ(0, self->waiter.ctl->result);
	EXPECT_NE(3, self->t.ctl->done) TH_LOG("runs on without a commit");
	ASSERT_EQ(0, gt_drive(&agent, 1, &self->t, MSG_TASK_BLOCKED, NULL));
	EXPECT_EQ(0, self->t.ctl->result);
}

TEST_HARNESS_MAIN
