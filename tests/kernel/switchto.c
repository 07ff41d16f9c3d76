// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Direct switch: TASK_SWITCHTO, from_switchto, and when there is none.
 *
 * Actors are tasks that follow a script of steps. Each has a seat, a futex that
 * it waits for; who wakes it stores 1 there first. A thread of another class
 * may want the CPU just when one actor switches to the other; then the switch
 * is an ordinary wake-up and wait, and the test tries again.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"

#ifndef FUTEX_SWITCHTO
#define FUTEX_SWITCHTO	71
#endif

#define ACTORS		4
#define STEPS		64
#define TRIES		20

#define load(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)

enum op {
	END,		/* the script ends, the task sleeps in its own loop */
	WAIT,		/* FUTEX_WAIT for the own seat */
	SWITCH,		/* FUTEX_SWITCHTO to the seat of @to */
	SPIN,		/* until the next command */
	YIELD,
};

struct step {
	uint8_t op;
	uint8_t to;
};

struct actor {
	struct gt_task_ctl *ctl;
	uint32_t seat;
	long ret;			/* of the last SWITCH, -errno */
	int64_t timeout_ms;		/* of each SWITCH, 0: none */
	struct step script[STEPS];
};

static struct actor *actors;		/* shared with all tasks */
static struct gt_agent agent;

static long futex(uint32_t *word, int op, uint32_t value,
		  const struct timespec *to, uint32_t *word2, uint32_t value3)
{
	long ret = syscall(SYS_futex, word, op, value, to, word2, value3);

	return ret < 0 ? -errno : ret;
}

/* Is the kernel built with it? */
static bool have_switchto(void)
{
	uint32_t word = 0;

	return futex(&word, FUTEX_SWITCHTO, 1, NULL, &word, 0) != -ENOSYS;
}

FIXTURE(switchto) {
	struct gt_enclave e;
	struct gt_task t[ACTORS];
};

FIXTURE_SETUP(switchto)
{
	int i;

	if (!have_switchto())
		SKIP(return, "a kernel without CONFIG_GHOST_SWITCHTO");
	ASSERT_EQ(0, gt_begin());
	actors = mmap(NULL, ACTORS * sizeof(*actors), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, actors);
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	for (i = 0; i < ACTORS; i++) {
		ASSERT_EQ(0, gt_task_start(&self->t[i]));
		actors[i].ctl = self->t[i].ctl;
	}
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
}

FIXTURE_TEARDOWN(switchto)
{
	int i;

	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	for (i = 0; i < ACTORS; i++)
		gt_task_end(&self->t[i]);
	EXPECT_EQ(0, self->e.q.gaps) TH_LOG("sequence numbers with gaps");
	gt_enclave_close(&self->e);
}

/* ---- what the actors do ---- */

static struct timespec in_ms(int64_t ms)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += ms / 1000;
	ts.tv_nsec += ms % 1000 * 1000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000;
	}
	return ts;
}

static void sit(struct actor *a)
{
	while (!load(&a->seat))
		futex(&a->seat, FUTEX_WAIT, 0, NULL, NULL, 0);
	store(&a->seat, 0);
}

static void switch_to(struct actor *a, struct actor *b)
{
	struct timespec ts = in_ms(a->timeout_ms);

	store(&b->seat, 1);
	a->ret = futex(&a->seat, FUTEX_SWITCHTO, 0,
		       a->timeout_ms ? &ts : NULL, &b->seat, 0);
	store(&a->seat, 0);
}

static long act(long arg)
{
	struct actor *a = (struct actor *)arg;
	uint32_t seq = load(&a->ctl->seq);
	struct step *s;

	for (s = a->script; s->op != END; s++) {
		switch (s->op) {
		case WAIT:
			sit(a);
			break;
		case SWITCH:
			switch_to(a, &actors[s->to]);
			break;
		case YIELD:
			sched_yield();
			break;
		case SPIN:
			while (load(&a->ctl->seq) == seq)
				__atomic_add_fetch(&a->ctl->count, 1,
						   __ATOMIC_RELAXED);
			break;
		}
	}
	return 0;
}

static void start_script(struct gt_task *t, int i, const struct step *script)
{
	int n = 0;

	do {
		actors[i].script[n] = script[n];
	} while (script[n++].op != END);
	gt_tell_call(&t[i], act, (long)&actors[i]);
}

#define SCRIPT(i, ...) \
	start_script(self->t, i, (struct step[]){ __VA_ARGS__, { END } })

/* ---- what the tests look at ---- */

/* The last message of @gtid, or NULL; takes nothing. */
static struct gt_msg *last_msg(struct gt_enclave *e, uint64_t gtid)
{
	int i;

	gt_queue_consume(&e->q);
	for (i = e->q.logged - 1; i >= 0; i--)
		if (e->q.log[i].gtid == gtid)
			return &e->q.log[i];
	return NULL;
}

/* How many messages of @type since log entry @from; 0: of any type. */
static int count_msgs(struct gt_enclave *e, int from, uint64_t gtid, int type)
{
	int i, n = 0;

	gt_queue_consume(&e->q);
	for (i = from; i < e->q.logged; i++)
		n += e->q.log[i].gtid == gtid &&
			(!type || e->q.log[i].type == type);
	return n;
}

static int log_end(struct gt_enclave *e)
{
	gt_queue_consume(&e->q);
	return e->q.logged;
}

static struct gt_msg *find_msg(struct gt_enclave *e, int from, uint64_t gtid,
			       int type)
{
	int i;

	gt_queue_consume(&e->q);
	for (i = from; i < e->q.logged; i++)
		if (e->q.log[i].gtid == gtid && e->q.log[i].type == type)
			return &e->q.log[i];
	return NULL;
}

/* Schedule @t until it has blocked with nothing to do. */
static bool run_dry(struct gt_enclave *e, struct gt_task *t)
{
	struct ghost_status_word *sw = gt_sw(e, t->gtid);
	int64_t end = gt_now_ms() + GT_WAIT_MS;
	uint32_t flags;

	while (sw && gt_now_ms() < end) {
		flags = gt_flags(sw);
		if (!(flags & (GHOST_SW_TASK_RUNNABLE | GHOST_SW_TASK_ONCPU)) &&
		    gt_asleep(t))
			return true;
		if (!(flags & GHOST_SW_TASK_ONCPU))
			gt_schedule(&agent, 1, t, 0);
		gt_sleep_ms(1);
	}
	return false;
}

/* The first @nr actors, members, leave their scripts and sleep. */
static bool calm(struct gt_enclave *e, struct gt_task *t, int nr)
{
	int i, s;

	for (i = 0; i < nr; i++) {
		for (s = 0; s < STEPS; s++)
			store(&actors[i].script[s].op, END);
		do {
			store(&actors[i].seat, 1);
			futex(&actors[i].seat, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
			gt_tell(&t[i], GT_BLOCK);
			if (!run_dry(e, &t[i]))
				return false;
		} while (load(&t[i].ctl->done) != t[i].ctl->seq);
	}
	for (i = 0; i < nr; i++)
		store(&actors[i].seat, 0);
	return true;
}

/* Actor @i runs @script until it waits in its seat, or at its first switch. */
static bool seat(struct gt_enclave *e, struct gt_task *t, int i,
		 const struct step *script)
{
	start_script(t, i, script);
	return run_dry(e, &t[i]);
}

#define SEAT(i, ...) \
	seat(&self->e, self->t, i, (struct step[]){ __VA_ARGS__, { END } })

#define JOIN_ALL(nr) do {						\
	int __i;							\
									\
	for (__i = 0; __i < (nr); __i++)				\
		ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t[__i], NULL)); \
} while (0)

/*
 * Schedule actor 0, who switches to others, until it has done so. Returns the
 * log entry of its TASK_SWITCHTO; NULL if it blocked in the ordinary way.
 */
static struct gt_msg *start_chain(struct gt_enclave *e, struct gt_task *t,
				  int from, uint16_t run_flags)
{
	int64_t end = gt_now_ms() + GT_WAIT_MS;
	struct gt_msg *m;
	bool first = true;

	while (gt_now_ms() < end) {
		m = last_msg(e, t->gtid);
		if (m && m >= &e->q.log[from]) {
			if (m->type == MSG_TASK_SWITCHTO)
				return m;
			if (m->type == MSG_TASK_BLOCKED)
				return NULL;
			if (first || m->type == MSG_TASK_PREEMPT)
				gt_schedule(&agent, 1, t, run_flags);
			first = false;
		}
		gt_sleep_ms(1);
	}
	return NULL;
}

/*
 * Begin a chain: actor 0 has the script of one SWITCH to 1, which goes on with
 * @then. Sets @from to where the log began, @m to the TASK_SWITCHTO.
 */
#define CHAIN_OF_TWO(from, m, flags, ...) do {				\
	int __try;							\
									\
	m = NULL;							\
	for (__try = 0; !m && __try < TRIES; __try++) {			\
		ASSERT_TRUE(calm(&self->e, self->t, 2));		\
		ASSERT_TRUE(SEAT(1, { WAIT }, __VA_ARGS__));		\
		from = log_end(&self->e);				\
		SCRIPT(0, { SWITCH, 1 });				\
		m = start_chain(&self->e, self->t, from, flags);	\
	}								\
	ASSERT_NE(NULL, m) TH_LOG("no direct switch in %d tries", TRIES); \
} while (0)

/* Waits for what comes first of @gtid since @from, of what changes its state. */
static struct gt_msg *first_after(struct gt_enclave *e, int from, uint64_t gtid)
{
	int64_t end = gt_now_ms() + GT_WAIT_MS;
	int i;

	do {
		gt_queue_consume(&e->q);
		for (i = from; i < e->q.logged; i++) {
			struct gt_msg *m = &e->q.log[i];

			if (m->gtid == gtid && m->type != MSG_TASK_NEW &&
			    m->type != MSG_TASK_AFFINITY_CHANGED)
				return m;
		}
		gt_sleep_ms(1);
	} while (gt_now_ms() < end);
	return NULL;
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
	EXPECT_FALSE(gt_flags(a) &
		     (GHOST_SW_TASK_RUNNABLE | GHOST_SW_TASK_ONCPU));
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
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->t[1], 0));
	ASSERT_TRUE(gt_runs(&agent, 1, &self->t[1]));
	from = log_end(&self->e);
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
		flags = gt_flags(b);
		if (m && gt_barrier(b) == barrier)
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
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->t[2], 0));
	ASSERT_TRUE(gt_runs(&agent, 1, &self->t[2]));
	from = log_end(&self->e);
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
	EXPECT_EQ(1, futex(&actors[0].seat, FUTEX_WAKE, 1, NULL, NULL, 0));
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
	futex(&actors[0].seat, FUTEX_WAKE, 1, NULL, NULL, 0);
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
