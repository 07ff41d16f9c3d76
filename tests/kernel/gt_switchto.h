/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * Tasks that switch directly to each other, for the tests of that.
 *
 * Actors are tasks that follow a script of steps. Each has a seat, a futex that
 * it waits for; who wakes it stores 1 there first. A thread of another class
 * may want the CPU just when one actor switches to the other; then the switch
 * is an ordinary wake-up and wait, and the test tries again.
 */
#ifndef GT_SWITCHTO_H
#define GT_SWITCHTO_H

#include <time.h>

#include "gt.h"

#define ACTORS		4
#define STEPS		64
#define TRIES		20

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

extern struct actor *actors;		/* shared with all tasks */
extern struct gt_agent agent;		/* of CPU 1, the enclave's */

/* Is the kernel built with it? */
bool have_switchto(void);

/* All actors, an enclave of CPU 1 and its agent; -errno. */
int actors_start(struct gt_enclave *e, struct gt_task *t);
void actors_stop(struct gt_enclave *e, struct gt_task *t);

/* Let actor @i do @script, up to END. */
void start_script(struct gt_task *t, int i, const struct step *script);

/* FUTEX_WAKE of actor @i; how many were woken. */
long wake_actor(int i);

/* The last message of @gtid, or NULL; takes nothing. */
struct gt_msg *last_msg(struct gt_enclave *e, uint64_t gtid);

/* How many messages of @type since log entry @from; 0: of any type. */
int count_msgs(struct gt_enclave *e, int from, uint64_t gtid, int type);

/* The first one of @type since log entry @from, or NULL. */
struct gt_msg *find_msg(struct gt_enclave *e, int from, uint64_t gtid, int type);

int log_end(struct gt_enclave *e);

/* Waits for what comes first of @gtid since @from, of what changes its state. */
struct gt_msg *first_after(struct gt_enclave *e, int from, uint64_t gtid);

/* Schedule @t until it has blocked with nothing to do. */
bool run_dry(struct gt_enclave *e, struct gt_task *t);

/* The first @nr actors, members, leave their scripts and sleep. */
bool calm(struct gt_enclave *e, struct gt_task *t, int nr);

/* Actor @i runs @script until it waits in its seat, or at its first switch. */
bool seat(struct gt_enclave *e, struct gt_task *t, int i,
	  const struct step *script);

/*
 * Schedule actor 0, who switches to others, until it has done so. Returns the
 * log entry of its TASK_SWITCHTO; NULL if it blocked in the ordinary way.
 */
struct gt_msg *start_chain(struct gt_enclave *e, struct gt_task *t, int from,
			   uint16_t run_flags);

/* ---- for tests whose fixture has the enclave e and the tasks t ---- */

#define SCRIPT(i, ...) \
	start_script(self->t, i, (struct step[]){ __VA_ARGS__, { END } })

#define SEAT(i, ...) \
	seat(&self->e, self->t, i, (struct step[]){ __VA_ARGS__, { END } })

#define JOIN_ALL(nr) do {						\
	int __i;							\
									\
	for (__i = 0; __i < (nr); __i++)				\
		ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t[__i], NULL)); \
} while (0)

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

#endif /* GT_SWITCHTO_H */
