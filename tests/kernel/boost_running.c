// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Priority inheritance: what the policy sees of a member that is boosted while it runs. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"

#define load(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)

static struct gt_agent agent;		/* of CPU 1 */

/* In shared memory. */
static struct shared {
	pthread_mutex_t lock;		/* hands priority on */
	uint32_t locked, release;
	uint64_t count;			/* grows while it is held */
} *shared;

FIXTURE(boost_running) {
	struct gt_enclave e;
	struct gt_task t, waiter;
};

FIXTURE_SETUP(boost_running)
{
	struct sched_param fifo = { .sched_priority = 1 };
	pthread_mutexattr_t attr;

	ASSERT_EQ(0, gt_begin());
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, shared);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	ASSERT_EQ(0, pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT));
	ASSERT_EQ(0, pthread_mutex_init(&shared->lock, &attr));
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->t));
	ASSERT_EQ(0, gt_task_start(&self->waiter));
	ASSERT_EQ(0, sched_setscheduler(self->waiter.pid, SCHED_FIFO, &fifo));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
}

FIXTURE_TEARDOWN(boost_running)
{
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	gt_task_end(&self->t);
	gt_task_end(&self->waiter);
	EXPECT_EQ(0, self->e.q.gaps);
	gt_enclave_close(&self->e);
}

static long hold_lock(long unused)
{
	pthread_mutex_lock(&shared->lock);
	store(&shared->locked, 1);
	while (!load(&shared->release))
		__atomic_add_fetch(&shared->count, 1, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&shared->lock);
	return 0;
}

static long want_lock(long unused)
{
	pthread_mutex_lock(&shared->lock);
	pthread_mutex_unlock(&shared->lock);
	return 0;
}

static bool goes_on(void)
{
	uint64_t before = load(&shared->count);

	return gt_wait_for(load(&shared->count) != before);
}

/* The next message that is no PREEMPT by a kernel thread of the CPU. */
static int next_but_preempt(struct gt_queue *q, struct gt_task *t,
			    struct gt_msg *m)
{
	int ret;

	do {
		ret = gt_next(q, t->gtid, GT_WAIT_MS, m);
	} while (!ret && m->type == MSG_TASK_PREEMPT);
	return ret;
}

TEST_F(boost_running, is_blocked_then_wakes_up)
{
	struct ghost_status_word *sw;
	struct gt_txn txn;
	struct gt_msg m;
	uint64_t count;

	/* A member that runs, and holds what a real-time thread wants. */
	gt_tell_call(&self->t, hold_lock, 0);
	ASSERT_TRUE(gt_wait_for(load(&shared->locked)));
	ASSERT_EQ(0, gt_join(&self->e, self->t.pid));
	ASSERT_EQ(0, gt_next_type(&self->e.q, self->t.gtid, MSG_TASK_NEW, NULL));
	sw = gt_sw(&self->e, self->t.gtid);
	ASSERT_NE(NULL, sw);
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->t, 0));
	count = load(&shared->count);
	ASSERT_TRUE(gt_wait_for(load(&shared->count) != count ||
				(gt_put_back(&agent, 1, &self->t), false)));

	gt_tell_call(&self->waiter, want_lock, 0);
	ASSERT_EQ(0, next_but_preempt(&self->e.q, &self->t, &m));
	EXPECT_EQ(MSG_TASK_BLOCKED, m.type) TH_LOG("%s", gt_msg_name(m.type));
	EXPECT_FALSE(gt_flags(sw) & GHOST_SW_TASK_RUNNABLE);
	EXPECT_TRUE(goes_on()) TH_LOG("it needs no agent now");
	EXPECT_EQ(SCHED_GHOST, gt_policy(self->t.pid));
	txn = (struct gt_txn){
		.gtid = self->t.gtid, .task_barrier = gt_barrier(sw),
		.agent_barrier = GT_NOW, .commit_flags = COMMIT_AT_TXN_COMMIT,
	};
	EXPECT_STATE(GHOST_TXN_TARGET_STALE, gt_commit(&agent, 1, &txn));
	EXPECT_EQ(txn.task_barrier, gt_barrier(sw));

	store(&shared->release, 1);
	ASSERT_EQ(0, next_but_preempt(&self->e.q, &self->t, &m));
	EXPECT_EQ(MSG_TASK_WAKEUP, m.type) TH_LOG("%s", gt_msg_name(m.type));
	EXPECT_EQ(txn.task_barrier + 1, m.seqnum);
	EXPECT_TRUE(gt_flags(sw) & GHOST_SW_TASK_RUNNABLE);
	EXPECT_TRUE(gt_wait_for(load(&self->waiter.ctl->done) ==
				self->waiter.ctl->seq));
	/* A member like any other again. */
	EXPECT_EQ(SCHED_GHOST, gt_policy(self->t.pid));
	EXPECT_EQ(0, gt_drive(&agent, 1, &self->t, MSG_TASK_BLOCKED, NULL));
	EXPECT_EQ(self->t.ctl->seq, load(&self->t.ctl->done));
}

TEST_HARNESS_MAIN
