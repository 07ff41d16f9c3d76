// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Direct switch: chains, TASK_SWITCHTO and from_switchto. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
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

/* ---- the chain and its messages ---- */

TEST_F(switchto, start_of_a_chain)
{
	struct ghost_status_word *a, *b;
	uint32_t a_barrier, b_barrier;
	struct gt_msg *m, *n;
	int from;

	JOIN_ALL(2);
	a = gt_sw(&self->e, self->t[0].gtid);
	b = gt_sw(&self->e, self->t[1].gtid);
	CHAIN_OF_TWO(from, m, 0, { SPIN });
	a_barrier = gt_barrier(a);
	EXPECT_EQ(40, m->length);
	EXPECT_EQ(a_barrier, m->seqnum);
	EXPECT_EQ(self->t[0].gtid, m->gtid);
	EXPECT_EQ(1, m->switchto.cpu);
	EXPECT_LT(0, m->switchto.runtime);
	EXPECT_LT(0, m->switchto.cpu_seqnum);
	/* The message is sent before the switch. */
	EXPECT_TRUE(gt_wait_for(!(gt_flags(a) & (GHOST_SW_TASK_RUNNABLE |
						 GHOST_SW_TASK_ONCPU))));
	EXPECT_EQ(1, count_msgs(&self->e, from, self->t[0].gtid,
				MSG_TASK_SWITCHTO));
	EXPECT_EQ(0, count_msgs(&self->e, from, self->t[0].gtid,
				MSG_TASK_BLOCKED));

	/* Whoever ends the chain: the first that is told of the other. */
	b_barrier = gt_barrier(b);
	ASSERT_EQ(0, gt_ping(&self->e, 1));
	n = first_after(&self->e, from, self->t[1].gtid);
	ASSERT_NE(NULL, n);
	EXPECT_EQ(MSG_TASK_PREEMPT, n->type)
		TH_LOG("it is %s", gt_msg_name(n->type));
	EXPECT_EQ(1, n->preempt.from_switchto);
	EXPECT_EQ(0, n->preempt.was_latched);
	EXPECT_EQ(1, n->preempt.cpu);
	EXPECT_LT(m->switchto.cpu_seqnum, n->preempt.cpu_seqnum);
	EXPECT_LE(b_barrier, n->seqnum);
	EXPECT_TRUE(gt_flags(b) & GHOST_SW_TASK_RUNNABLE);
	EXPECT_EQ(a_barrier, gt_barrier(a));

	/* Both are again as all others. */
	from = log_end(&self->e);
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->t[1], 0));
	ASSERT_TRUE(gt_runs(&agent, 1, &self->t[1]));
	ASSERT_EQ(0, gt_ping(&self->e, 1));
	n = first_after(&self->e, from, self->t[1].gtid);
	ASSERT_NE(NULL, n);
	EXPECT_EQ(MSG_TASK_PREEMPT, n->type);
	EXPECT_EQ(0, n->preempt.from_switchto);
}

TEST_F(switchto, status_words_in_a_chain)
{
	struct ghost_status_word *b;
	struct gt_msg *m;
	uint32_t barrier;
	uint32_t flags;
	uint64_t when;
	int from, try;

	JOIN_ALL(2);
	b = gt_sw(&self->e, self->t[1].gtid);
	for (try = 0; try < TRIES; try++) {
		ASSERT_TRUE(calm(&self->e, self->t, 2));
		ASSERT_TRUE(SEAT(1, { WAIT }, { SPIN }));
		barrier = gt_barrier(b);
		when = b->switch_time;
		from = log_end(&self->e);
		SCRIPT(0, { SWITCH, 1 });
		m = start_chain(&self->e, self->t, from, 0);
		if (!m)
			continue;
		do {
			flags = gt_flags(b);
		} while (!(flags & GHOST_SW_TASK_ONCPU) && gt_barrier(b) == barrier);
		if (gt_barrier(b) == barrier)
			break;
	}
	ASSERT_GT(TRIES, try);
	EXPECT_EQ(GHOST_SW_TASK_RUNNABLE | GHOST_SW_TASK_ONCPU, flags &
		  (GHOST_SW_TASK_RUNNABLE | GHOST_SW_TASK_ONCPU));
	EXPECT_LT(when, b->switch_time);
	EXPECT_EQ(0, count_msgs(&self->e, from, self->t[1].gtid,
				MSG_TASK_WAKEUP));
}

TEST_F(switchto, one_message_a_chain)
{
	struct step ping[STEPS] = { }, pong[STEPS] = { { WAIT } };
	struct step third[STEPS] = { { WAIT } };
	struct gt_msg *m, *n;
	uint64_t a = self->t[0].gtid, b = self->t[1].gtid;
	uint64_t c = self->t[2].gtid;
	int i, from, try, hops = 20;

	/* 0 -> 1 -> 2 -> 0 -> ... and then 0 blocks in its own loop. */
	for (i = 0; i < hops; i++) {
		ping[i] = (struct step){ SWITCH, 1 };
		pong[i + 1] = (struct step){ SWITCH, 2 };
		third[i + 1] = (struct step){ SWITCH, 0 };
	}
	JOIN_ALL(3);
	for (try = 0; try < TRIES; try++) {
		ASSERT_TRUE(calm(&self->e, self->t, 3));
		ASSERT_TRUE(seat(&self->e, self->t, 1, pong));
		ASSERT_TRUE(seat(&self->e, self->t, 2, third));
		from = log_end(&self->e);
		start_script(self->t, 0, ping);
		m = start_chain(&self->e, self->t, from, 0);
		if (!m)
			continue;
		from = m - self->e.q.log;
		/* All the way, unless something else wanted the CPU. */
		ASSERT_TRUE(gt_wait_for(count_msgs(&self->e, from, a, 0) +
					count_msgs(&self->e, from, b, 0) +
					count_msgs(&self->e, from, c, 0) > 1))
			TH_LOG("the chain just stopped");
		if (load(&self->t[0].ctl->done) == self->t[0].ctl->seq &&
		    !count_msgs(&self->e, from, b, 0) &&
		    !count_msgs(&self->e, from, c, 0))
			break;
	}
	ASSERT_GT(TRIES, try);
	EXPECT_EQ(1, count_msgs(&self->e, from, a, MSG_TASK_SWITCHTO));
	EXPECT_EQ(2, count_msgs(&self->e, from, a, 0));
	n = first_after(&self->e, from + 1, a);
	ASSERT_NE(NULL, n);
	EXPECT_EQ(MSG_TASK_BLOCKED, n->type);
	EXPECT_EQ(1, n->blocked.from_switchto);
	EXPECT_EQ(0, actors[0].ret);
	EXPECT_EQ(0, actors[2].ret);
}

/* ---- the end of a chain ---- */

/* The message that ends it is @type when nothing else comes in between. */
#define CHAIN_ENDS(type_, field, before, ...) do {			\
	struct gt_msg *__m, *__n = NULL;				\
	int __from, __try2;						\
									\
	for (__try2 = 0; __try2 < TRIES; __try2++) {			\
		CHAIN_OF_TWO(__from, __m, 0, __VA_ARGS__);		\
		before;							\
		__n = first_after(&self->e, __from, self->t[1].gtid);	\
		ASSERT_NE(NULL, __n);					\
		if (__n->type == (type_))				\
			break;						\
		/* A thread of another class came first. */		\
		ASSERT_EQ(MSG_TASK_PREEMPT, __n->type);			\
		EXPECT_EQ(1, __n->preempt.from_switchto);		\
	}								\
	ASSERT_EQ(type_, __n->type);					\
	EXPECT_EQ(1, __n->field.from_switchto);				\
} while (0)

TEST_F(switchto, ends_with_blocked)
{
	JOIN_ALL(2);
	CHAIN_ENDS(MSG_TASK_BLOCKED, blocked, (void)0, { END });
}

TEST_F(switchto, ends_with_yield)
{
	JOIN_ALL(2);
	CHAIN_ENDS(MSG_TASK_YIELD, yield, (void)0, { YIELD });
}

TEST_F(switchto, ends_with_the_agent)
{
	JOIN_ALL(2);
	CHAIN_ENDS(MSG_TASK_PREEMPT, preempt, gt_ping(&self->e, 1), { SPIN });
}

TEST_F(switchto, ends_with_departed)
{
	struct sched_param sp = { 0 };
	struct gt_msg *m, *n;
	int from, try;

	JOIN_ALL(2);
	for (try = 0; try < TRIES; try++) {
		CHAIN_OF_TWO(from, m, 0, { SPIN });
		ASSERT_EQ(0, sched_setscheduler(self->t[1].pid, SCHED_OTHER, &sp));
		n = first_after(&self->e, from, self->t[1].gtid);
		ASSERT_NE(NULL, n);
		if (n->type == MSG_TASK_DEPARTED)
			break;
		ASSERT_EQ(MSG_TASK_PREEMPT, n->type);
		EXPECT_EQ(1, n->preempt.from_switchto);
		/* Back in, for another try. */
		gt_tell(&self->t[1], GT_BLOCK);
		n = NULL;
		ASSERT_TRUE(gt_wait_for(n = find_msg(&self->e, from,
						     self->t[1].gtid,
						     MSG_TASK_DEPARTED)));
		EXPECT_EQ(0, n->departed.from_switchto);
		gt_task_end(&self->t[1]);
		ASSERT_EQ(0, gt_task_start(&self->t[1]));
		actors[1].ctl = self->t[1].ctl;
		ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t[1], NULL));
	}
	ASSERT_GT(TRIES, try);
	EXPECT_EQ(1, n->departed.from_switchto);
	EXPECT_EQ(1, n->departed.was_current);
	EXPECT_EQ(1, n->departed.cpu);

	/* The CPU is as before: no chain is left. */
	gt_tell(&self->t[1], GT_BLOCK);
	ASSERT_TRUE(gt_asleep(&self->t[1]));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t[2], NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t[2], NULL));
	from = log_end(&self->e);
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->t[2], 0));
	ASSERT_TRUE(gt_runs(&agent, 1, &self->t[2]));
	ASSERT_EQ(0, gt_ping(&self->e, 1));
	n = first_after(&self->e, from, self->t[2].gtid);
	ASSERT_NE(NULL, n);
	EXPECT_EQ(MSG_TASK_PREEMPT, n->type);
	EXPECT_EQ(0, n->preempt.from_switchto);
}

TEST_F(switchto, ends_with_death)
{
	struct gt_msg *m, *n = NULL;
	int from;

	JOIN_ALL(2);
	CHAIN_OF_TWO(from, m, 0, { SPIN });
	kill(self->t[1].pid, SIGKILL);
	ASSERT_TRUE(gt_wait_for((n = first_after(&self->e, from,
						 self->t[1].gtid))));
	EXPECT_TRUE(n->type == MSG_TASK_PREEMPT || n->type == MSG_TASK_BLOCKED);
	EXPECT_EQ(1, n->type == MSG_TASK_PREEMPT ? n->preempt.from_switchto :
						   n->blocked.from_switchto);
	/* Who was preempted must be scheduled once more, to die. */
	if (n->type == MSG_TASK_PREEMPT) {
		ASSERT_EQ(0, gt_drive(&agent, 1, &self->t[1], MSG_TASK_DEAD, NULL));
	} else {
		ASSERT_EQ(0, gt_next_type(&self->e.q, self->t[1].gtid,
					  MSG_TASK_DEAD, NULL));
	}
	gt_task_end(&self->t[1]);
	/* Who waits for the dead waits. */
	EXPECT_TRUE(gt_asleep(&self->t[0]));
}

TEST_F(switchto, ends_with_a_commit)
{
	struct gt_agent other;
	struct gt_msg *m, *n;
	int from;

	/* Although the first commit said that PREEMPT is not wanted. */
	if (gt_ncpus() < 3)
		SKIP(return, "needs a second agent: 3 CPUs");
	ASSERT_EQ(0, gt_set_cpus(&self->e, "1-2"));
	ASSERT_EQ(0, gt_agent_start(&other, &self->e, 2, -1));
	JOIN_ALL(3);
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t[2], NULL));
	CHAIN_OF_TWO(from, m, ELIDE_PREEMPT, { SPIN });
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&other, 1, &self->t[2], 0));
	n = first_after(&self->e, from, self->t[1].gtid);
	ASSERT_NE(NULL, n);
	EXPECT_EQ(MSG_TASK_PREEMPT, n->type);
	EXPECT_EQ(1, n->preempt.from_switchto);
	EXPECT_EQ(0, n->preempt.was_latched);
	EXPECT_TRUE(gt_runs(&other, 1, &self->t[2]));
	EXPECT_EQ(0, gt_agent_stop(&other));
}

TEST_F(switchto, wakes_of_the_first_are_told)
{
	struct gt_msg *m, *n;
	int from;

	JOIN_ALL(2);
	CHAIN_OF_TWO(from, m, 0, { SPIN });
	from = m - self->e.q.log + 1;
	store(&actors[0].seat, 1);
	EXPECT_EQ(1, wake_actor(0));
	n = first_after(&self->e, from, self->t[0].gtid);
	ASSERT_NE(NULL, n);
	EXPECT_EQ(MSG_TASK_WAKEUP, n->type);
	EXPECT_EQ(m->seqnum + 1, n->seqnum);
}

/* ---- transactions and discovery ---- */

static int commit_at(struct gt_enclave *e, struct gt_task *t, uint32_t barrier)
{
	return gt_commit(&agent, 1, &(struct gt_txn){
		.gtid = t->gtid,
		.task_barrier = barrier,
		.agent_barrier = GT_NOW,
		.commit_flags = COMMIT_AT_TXN_COMMIT,
	});
}

TEST_F(switchto, sleeper_is_not_runnable)
{
	struct gt_msg *m;
	int from;

	JOIN_ALL(2);
	CHAIN_OF_TWO(from, m, 0, { SPIN });
	EXPECT_STATE(GHOST_TXN_TARGET_NOT_RUNNABLE,
		     commit_at(&self->e, &self->t[0], m->seqnum));
	EXPECT_STATE(GHOST_TXN_TARGET_STALE,
		     commit_at(&self->e, &self->t[0], m->seqnum - 1));
}

TEST_F(switchto, holder_is_on_its_cpu)
{
	struct ghost_status_word *b;
	struct gt_agent other;
	struct gt_msg *m;
	uint32_t barrier;
	int from, state, try;

	if (gt_ncpus() < 3)
		SKIP(return, "needs a second agent: 3 CPUs");
	ASSERT_EQ(0, gt_set_cpus(&self->e, "1-2"));
	ASSERT_EQ(0, gt_agent_start(&other, &self->e, 2, -1));
	JOIN_ALL(2);
	b = gt_sw(&self->e, self->t[1].gtid);
	for (try = 0; try < TRIES; try++) {
		CHAIN_OF_TWO(from, m, 0, { SPIN });
		barrier = gt_barrier(b);
		state = gt_commit(&other, 2, &(struct gt_txn){
			.gtid = self->t[1].gtid,
			.task_barrier = barrier,
			.agent_barrier = GT_NOW,
			.commit_flags = COMMIT_AT_TXN_COMMIT,
		});
		if (!count_msgs(&self->e, from, self->t[1].gtid, 0))
			break;
	}
	EXPECT_GT(TRIES, try);
	EXPECT_STATE(GHOST_TXN_TARGET_ONCPU, state);
	EXPECT_EQ(0, gt_agent_stop(&other));
}

TEST_F(switchto, discovered_as_blocked)
{
	struct gt_msg *m, *n = NULL;
	uint64_t b = self->t[1].gtid;
	int from, try;

	JOIN_ALL(2);
	for (try = 0; try < TRIES; try++) {
		CHAIN_OF_TWO(from, m, 0, { SPIN });
		ASSERT_LT(0, gt_put(self->e.ctl, "discover tasks"));
		n = find_msg(&self->e, from, b, MSG_TASK_NEW);
		ASSERT_NE(NULL, n);
		if (!count_msgs(&self->e, from, b, MSG_TASK_PREEMPT))
			break;
	}
	EXPECT_GT(TRIES, try);
	EXPECT_EQ(0, n->new_.runnable) TH_LOG("the end of the chain tells");
	ASSERT_EQ(0, gt_ping(&self->e, 1));
	n = first_after(&self->e, from, b);
	ASSERT_NE(NULL, n);
	EXPECT_EQ(MSG_TASK_PREEMPT, n->type);
	EXPECT_EQ(1, n->preempt.from_switchto);
}

TEST_HARNESS_MAIN
