// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Direct switch: when it is an ordinary wake-up and wait, timeouts and signals. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt_switchto.h"

#define load(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)

FIXTURE(switchto) {
	struct gt_enclave e;
	struct gt_task t[ACTORS];
};

FIXTURE_SETUP(switchto)
{
	if (!have_switchto())
		SKIP(return, "a kernel without CONFIG_GHOST_SWITCHTO");
	ASSERT_EQ(0, actors_start(&self->e, self->t))
		TH_LOG("enclave: %s", self->e.step);
}

FIXTURE_TEARDOWN(switchto)
{
	actors_stop(&self->e, self->t);
	EXPECT_EQ(0, self->e.q.gaps) TH_LOG("sequence numbers with gaps");
	gt_enclave_close(&self->e);
}

/* ---- when it is an ordinary wake-up and wait ---- */

/* Actor 0 switches to 1, and each gets the message of an ordinary event. */
#define ORDINARY() do {							\
	struct gt_msg *__m = NULL;					\
	int __from;							\
									\
	ASSERT_TRUE(SEAT(1, { WAIT }));					\
	__from = log_end(&self->e);					\
	SCRIPT(0, { SWITCH, 1 });					\
	ASSERT_EQ(0, gt_drive(&agent, 1, &self->t[0], MSG_TASK_BLOCKED,	\
			      NULL));					\
	EXPECT_EQ(0, count_msgs(&self->e, __from, self->t[0].gtid,	\
				MSG_TASK_SWITCHTO));			\
	__m = find_msg(&self->e, __from, self->t[0].gtid,		\
		       MSG_TASK_BLOCKED);				\
	ASSERT_NE(NULL, __m);						\
	EXPECT_EQ(0, __m->blocked.from_switchto);			\
	ASSERT_TRUE(gt_wait_for(__m = find_msg(&self->e, __from,	\
			self->t[1].gtid, MSG_TASK_WAKEUP)));		\
	EXPECT_EQ(1, __m->wakeup.waker_cpu);				\
	ASSERT_TRUE(run_dry(&self->e, &self->t[1]));			\
	__m = last_msg(&self->e, self->t[1].gtid);			\
	EXPECT_EQ(MSG_TASK_BLOCKED, __m->type);				\
	EXPECT_EQ(0, __m->blocked.from_switchto);			\
} while (0)

TEST_F(switchto, disabled)
{
	struct gt_msg *m;
	int from;

	JOIN_ALL(2);
	ASSERT_EQ(1, gt_file_put(&self->e, "switchto_disabled", "1"));
	ORDINARY();
	ASSERT_EQ(1, gt_file_put(&self->e, "switchto_disabled", "0"));
	CHAIN_OF_TWO(from, m, 0, { END });
}

TEST_F(switchto, nobody_waits)
{
	struct gt_msg m;

	JOIN_ALL(1);
	SCRIPT(0, { SWITCH, 1 });
	ASSERT_EQ(0, gt_drive(&agent, 1, &self->t[0], MSG_TASK_BLOCKED, &m));
	EXPECT_EQ(0, m.blocked.from_switchto);
}

TEST_F(switchto, other_enclave)
{
	struct gt_enclave other;
	struct gt_msg m;

	ASSERT_EQ(0, gt_enclave_create(&other, "\n"))
		TH_LOG("enclave: %s", other.step);
	SCRIPT(1, { WAIT });
	ASSERT_TRUE(gt_asleep(&self->t[1]));
	ASSERT_EQ(0, gt_join_asleep(&other, &self->t[1], NULL));
	JOIN_ALL(1);
	SCRIPT(0, { SWITCH, 1 });
	ASSERT_EQ(0, gt_drive(&agent, 1, &self->t[0], MSG_TASK_BLOCKED, &m));
	EXPECT_EQ(0, m.blocked.from_switchto);
	ASSERT_EQ(0, gt_next(&other.q, self->t[1].gtid, GT_WAIT_MS, &m));
	EXPECT_EQ(MSG_TASK_WAKEUP, m.type);
	EXPECT_EQ(1, load(&actors[1].seat)) TH_LOG("it has not run");
	gt_destroy(&other);
	EXPECT_TRUE(gt_wait_for(!load(&actors[1].seat)));
	gt_enclave_close(&other);
}

TEST_F(switchto, to_and_from_normal_threads)
{
	struct gt_msg m;

	/* Neither is a member. */
	SCRIPT(1, { WAIT }, { SWITCH, 0 }, { WAIT });
	ASSERT_TRUE(gt_asleep(&self->t[1]));
	SCRIPT(0, { SWITCH, 1 });
	EXPECT_TRUE(gt_wait_for(load(&self->t[0].ctl->done) ==
				self->t[0].ctl->seq));
	EXPECT_EQ(0, actors[0].ret);

	/* The waiter is. */
	ASSERT_TRUE(gt_asleep(&self->t[1]));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t[1], NULL));
	SCRIPT(0, { SWITCH, 1 });
	ASSERT_EQ(0, gt_next(&self->e.q, self->t[1].gtid, GT_WAIT_MS, &m));
	EXPECT_EQ(MSG_TASK_WAKEUP, m.type);
	EXPECT_TRUE(gt_asleep(&self->t[0]));
	store(&actors[0].seat, 1);
	wake_actor(0);
	EXPECT_TRUE(gt_wait_for(load(&self->t[0].ctl->done) ==
				self->t[0].ctl->seq));

	/* The caller is. */
	SCRIPT(2, { WAIT });
	ASSERT_TRUE(gt_asleep(&self->t[2]));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t[0], NULL));
	SCRIPT(0, { SWITCH, 2 });
	ASSERT_EQ(0, gt_drive(&agent, 1, &self->t[0], MSG_TASK_BLOCKED, &m));
	EXPECT_EQ(0, m.blocked.from_switchto);
	EXPECT_TRUE(gt_wait_for(load(&self->t[2].ctl->done) ==
				self->t[2].ctl->seq));
}

TEST_F(switchto, never_off_the_mask)
{
	struct gt_msg *m;
	int from;

	/* The CPU is the enclave's, but not one of the waiter's. */
	JOIN_ALL(2);
	ASSERT_EQ(0, gt_pin(self->t[1].pid, 0));
	ORDINARY();
	ASSERT_EQ(0, gt_pin(self->t[1].pid, -1));
	CHAIN_OF_TWO(from, m, 0, { END });
}

/* ---- timeout and signal ---- */

TEST_F(switchto, timeout_in_a_chain)
{
	struct gt_msg *m, *n = NULL;
	int from;

	JOIN_ALL(2);
	actors[0].timeout_ms = 500;
	CHAIN_OF_TWO(from, m, 0, { SPIN });
	from = m - self->e.q.log + 1;
	ASSERT_TRUE(gt_wait_for(n = find_msg(&self->e, from, self->t[0].gtid,
					     MSG_TASK_WAKEUP)));
	EXPECT_EQ(m->seqnum + 1, n->seqnum);
	ASSERT_TRUE(run_dry(&self->e, &self->t[0]));
	EXPECT_EQ(-ETIMEDOUT, actors[0].ret);
}

TEST_F(switchto, signal_in_a_chain)
{
	struct gt_msg *m;
	int from;

	JOIN_ALL(2);
	CHAIN_OF_TWO(from, m, 0, { SPIN });
	from = m - self->e.q.log + 1;
	kill(self->t[0].pid, SIGKILL);
	ASSERT_EQ(0, gt_drive(&agent, 1, &self->t[0], MSG_TASK_DEAD, NULL));
	EXPECT_LE(1, count_msgs(&self->e, from, self->t[0].gtid,
				MSG_TASK_WAKEUP));
	gt_task_end(&self->t[0]);
	/* The other one is not lost. */
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->t[1], 0));
	EXPECT_TRUE(gt_runs(&agent, 1, &self->t[1]));
}

TEST_HARNESS_MAIN
