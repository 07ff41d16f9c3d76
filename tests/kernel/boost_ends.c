// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Priority inheritance: how boosts begin and end, other than by a lock and an
 * unlock. See boost.c and boost_running.c for those.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"

#define load(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)

static struct gt_agent agent;
static uint32_t *lock;			/* two of them, in shared memory */

FIXTURE(ends) {
	struct gt_enclave e;
	struct gt_task t;		/* holds the first lock */
	struct gt_task other;		/* holds the second one */
	struct gt_task waiter;		/* a real-time thread */
};

FIXTURE_SETUP(ends)
{
	struct sched_param sp = { .sched_priority = 10 };

	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	lock = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, lock);
	ASSERT_EQ(0, gt_task_start(&self->t));
	ASSERT_EQ(0, gt_task_start(&self->other));
	ASSERT_EQ(0, gt_task_start(&self->waiter));
	/* Boosted they must not take the CPU of the test. */
	ASSERT_EQ(0, gt_pin(self->t.pid, 1));
	ASSERT_EQ(0, gt_pin(self->other.pid, 1));
	ASSERT_EQ(0, gt_pin(self->waiter.pid, 0));
	ASSERT_EQ(0, sched_setscheduler(self->waiter.pid, SCHED_FIFO, &sp));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
}

FIXTURE_TEARDOWN(ends)
{
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	gt_task_end(&self->waiter);
	gt_task_end(&self->other);
	gt_task_end(&self->t);
	EXPECT_EQ(0, self->e.q.gaps);
	gt_enclave_close(&self->e);
}

static long futex(int op, long which, struct timespec *until)
{
	return syscall(SYS_futex, &lock[which], op, 0, until, NULL, 0) ? -errno : 0;
}

static long lock_pi(long which)
{
	return futex(FUTEX_LOCK_PI, which, NULL);
}

static long unlock_pi(long which)
{
	return futex(FUTEX_UNLOCK_PI, which, NULL);
}

/* Waits for the first lock with the second one in its hands. */
static long lock_both(long unused)
{
	return lock_pi(1) ?: lock_pi(0) ?: unlock_pi(0) ?: unlock_pi(1);
}

static long lock_for_a_second(long which)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec++;
	return futex(FUTEX_LOCK_PI, which, &until);
}

/* Field 18 of stat: below 0 it is real-time. */
static bool boosted(struct gt_task *t)
{
	char path[64], buf[512], *p;
	int i;

	snprintf(path, sizeof(path), "/proc/%d/stat", t->pid);
	if (gt_read_file(path, buf, sizeof(buf)) <= 0)
		return false;
	p = strrchr(buf, ')') + 1;
	for (i = 3; i < 18; i++)
		p = strchr(p + 1, ' ');
	return atoi(p) < 0;
}

static const char *next_name(struct gt_enclave *e, struct gt_task *t, int ms)
{
	struct gt_msg m = { 0 };

	return gt_next(&e->q, t->gtid, ms, &m) ? "none" : gt_msg_name(m.type);
}

/*
 * A waiter that finds the holder on a CPU spins as long as it stays there, and
 * has no ear for timers and signals: the holder leaves it for a moment. This
 * thread's sleep lets the waiter, on the same CPU, see it.
 */
static bool lets_the_waiter_sleep(struct gt_task *holder)
{
	if (kill(holder->pid, SIGSTOP) ||
	    !gt_wait_for(gt_proc_state(holder->pid) == 'T'))
		return false;
	gt_sleep_ms(1);
	return !kill(holder->pid, SIGCONT) && gt_spins(holder);
}

#define EXPECT_NEXT(t, want)	\
	EXPECT_STREQ(gt_msg_name(want), next_name(&self->e, t, GT_WAIT_MS))

#define EXPECT_NO_MORE(t)	\
	EXPECT_STREQ("none", next_name(&self->e, t, GT_QUIET_MS))

/* A member that sleeps and holds the first lock. */
#define TAKE_LOCK() do {						\
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));		\
	gt_tell_call(&self->t, lock_pi, 0);				\
	ASSERT_EQ(0, gt_drive(&agent, 1, &self->t, MSG_TASK_BLOCKED, NULL)); \
	ASSERT_EQ(0, self->t.ctl->result);				\
} while (0)

/* It wants a CPU, waits for its policy, and is boosted: it runs. */
#define BOOST_QUEUED(fn, which) do {					\
	TAKE_LOCK();							\
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));	\
	gt_tell_call(&self->waiter, fn, which);				\
	EXPECT_NEXT(&self->t, MSG_TASK_BLOCKED);			\
	ASSERT_TRUE(gt_spins(&self->t));				\
	ASSERT_TRUE(lets_the_waiter_sleep(&self->t));			\
} while (0)

/* Blocked already: not a word, neither then nor when it wakes up. */
TEST_F(ends, boosted_asleep)
{
	TAKE_LOCK();
	gt_tell_call(&self->waiter, lock_pi, 0);
	ASSERT_TRUE(gt_wait_for(boosted(&self->t)));
	EXPECT_NO_MORE(&self->t);
	gt_tell(&self->t, GT_SPIN);
	EXPECT_TRUE(gt_spins(&self->t)) TH_LOG("needs an agent");
	gt_tell(&self->t, GT_BLOCK);
	ASSERT_TRUE(gt_asleep(&self->t));
	gt_tell(&self->t, GT_SPIN);
	EXPECT_TRUE(gt_spins(&self->t));
	EXPECT_NO_MORE(&self->t);
	gt_tell_call(&self->t, unlock_pi, 0);
	EXPECT_NEXT(&self->t, MSG_TASK_WAKEUP);
	EXPECT_TRUE(gt_wait_for(load(&self->waiter.ctl->done) == 1));
	EXPECT_EQ(0, gt_drive(&agent, 1, &self->t, MSG_TASK_BLOCKED, NULL));
	EXPECT_EQ(0, self->t.ctl->result);
}

TEST_F(ends, waiter_is_killed)
{
	BOOST_QUEUED(lock_pi, 0);
	gt_task_end(&self->waiter);
	EXPECT_NEXT(&self->t, MSG_TASK_WAKEUP);
	EXPECT_FALSE(boosted(&self->t));
	EXPECT_TRUE(gt_stands(&self->t));
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->t, 0));
	EXPECT_TRUE(gt_runs(&agent, 1, &self->t));
}

TEST_F(ends, waiter_gives_up)
{
	BOOST_QUEUED(lock_for_a_second, 0);
	EXPECT_NEXT(&self->t, MSG_TASK_WAKEUP);
	EXPECT_TRUE(gt_wait_for(load(&self->waiter.ctl->done) == 1));
	EXPECT_EQ(-ETIMEDOUT, self->waiter.ctl->result);
	EXPECT_TRUE(gt_stands(&self->t));
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->t, 0));
	EXPECT_TRUE(gt_runs(&agent, 1, &self->t));
}

/* It dies as a real-time thread, without its policy; the waiter has the lock. */
TEST_F(ends, holder_is_killed)
{
	BOOST_QUEUED(lock_pi, 0);
	ASSERT_EQ(0, kill(self->t.pid, SIGKILL));
	EXPECT_TRUE(gt_wait_for(load(&self->waiter.ctl->done) == 1));
	EXPECT_EQ(0, self->waiter.ctl->result);
	EXPECT_TRUE(load(&lock[0]) & FUTEX_OWNER_DIED);
	/* Once the lock is gone it is the policy that brings it to its end. */
	EXPECT_EQ(0, gt_drive(&agent, 1, &self->t, MSG_TASK_DEAD, NULL));
}

/* The waiter waits for who waits for it, and boosts both. */
TEST_F(ends, chain_of_two)
{
	struct gt_task *t = &self->t, *other = &self->other;

	TAKE_LOCK();
	ASSERT_EQ(0, gt_join_asleep(&self->e, other, NULL));
	gt_tell_call(other, lock_both, 0);
	ASSERT_EQ(0, gt_drive(&agent, 1, other, MSG_TASK_BLOCKED, NULL));
	ASSERT_EQ(other->pid, load(&lock[1]) & FUTEX_TID_MASK);
	ASSERT_EQ(0, gt_wake_spinner(&self->e, t, NULL));
	ASSERT_TRUE(gt_stands(t));

	gt_tell_call(&self->waiter, lock_pi, 1);
	EXPECT_NEXT(t, MSG_TASK_BLOCKED);
	EXPECT_TRUE(gt_spins(t));
	EXPECT_TRUE(boosted(other));
	gt_tell_call(t, unlock_pi, 0);
	EXPECT_NEXT(t, MSG_TASK_WAKEUP);
	/* The other one runs on its way to its unlock, and is told of then. */
	EXPECT_NEXT(other, MSG_TASK_WAKEUP);
	EXPECT_TRUE(gt_wait_for(load(&self->waiter.ctl->done) == 1));
	EXPECT_EQ(0, self->waiter.ctl->result);
	EXPECT_FALSE(boosted(other));
	EXPECT_EQ(0, gt_drive(&agent, 1, other, MSG_TASK_BLOCKED, NULL));
	EXPECT_EQ(0, other->ctl->result);
	EXPECT_EQ(0, gt_drive(&agent, 1, t, MSG_TASK_BLOCKED, NULL));
	EXPECT_EQ(0, t->ctl->result);
}

TEST_F(ends, leaves_while_boosted)
{
	struct sched_param sp = { 0 };

	BOOST_QUEUED(lock_pi, 0);
	ASSERT_EQ(0, sched_setscheduler(self->t.pid, SCHED_OTHER, &sp));
	EXPECT_NEXT(&self->t, MSG_TASK_DEPARTED);
	EXPECT_TRUE(boosted(&self->t));
	EXPECT_TRUE(gt_spins(&self->t));
	gt_tell_call(&self->t, unlock_pi, 0);
	EXPECT_TRUE(gt_wait_for(load(&self->waiter.ctl->done) == 1));
	EXPECT_EQ(SCHED_OTHER, gt_policy(self->t.pid));
	EXPECT_NO_MORE(&self->t);
}

TEST_F(ends, joins_while_boosted)
{
	struct gt_msg m;

	gt_tell_call(&self->t, lock_pi, 0);
	ASSERT_TRUE(gt_wait_for(load(&self->t.ctl->done) == 1));
	gt_tell(&self->t, GT_SPIN);
	gt_tell_call(&self->waiter, lock_pi, 0);
	ASSERT_TRUE(gt_wait_for(boosted(&self->t)));
	ASSERT_EQ(0, gt_join(&self->e, self->t.pid));
	ASSERT_EQ(0, gt_next(&self->e.q, self->t.gtid, GT_WAIT_MS, &m));
	ASSERT_EQ(MSG_TASK_NEW, m.type);
	EXPECT_EQ(0, m.new_.runnable);
	EXPECT_TRUE(gt_spins(&self->t));
	EXPECT_NO_MORE(&self->t);
	gt_tell_call(&self->t, unlock_pi, 0);
	EXPECT_NEXT(&self->t, MSG_TASK_WAKEUP);
	EXPECT_EQ(0, gt_drive(&agent, 1, &self->t, MSG_TASK_BLOCKED, NULL));
}

TEST_F(ends, destroyed_while_boosted)
{
	BOOST_QUEUED(lock_pi, 0);
	ASSERT_EQ(0, gt_agent_stop(&agent));
	ASSERT_EQ(0, gt_destroy(&self->e));
	ASSERT_TRUE(gt_gone(&self->e));
	EXPECT_TRUE(gt_wait_for(gt_policy(self->t.pid) == SCHED_OTHER));
	EXPECT_TRUE(boosted(&self->t));
	EXPECT_TRUE(gt_spins(&self->t));
	gt_tell_call(&self->t, unlock_pi, 0);
	EXPECT_TRUE(gt_wait_for(load(&self->waiter.ctl->done) == 1));
	EXPECT_TRUE(gt_wait_for(!boosted(&self->t)));
}

TEST_HARNESS_MAIN
