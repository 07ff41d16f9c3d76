/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * The stage on which ghost-bench is the agent: an enclave, its crew, and a few
 * tasks that say in shared memory when they left the CPU and got it back.
 */
#ifndef BENCH_STAGE_H
#define BENCH_STAGE_H

#include <semaphore.h>
#include <sys/types.h>
#include <ghost/ghost.h>

#include "bench.h"

#define SETTLE		50000	/* ns until a CPU that has yielded is idle */

#define LOOK(what)	__atomic_load_n(&(what), __ATOMIC_ACQUIRE)
#define SET(what, v)	__atomic_store_n(&(what), v, __ATOMIC_RELEASE)

/**
 * struct player - what a task says of itself, in shared memory
 * @left: just before it gave the CPU up
 * @resumed: just after it got the CPU back
 * @turns: how often that was
 * @on_cfs: stamp of the first look at which it was a normal task
 */
struct player {
	int64_t left;
	int64_t resumed;
	uint64_t turns;
	int64_t on_cfs;
} __attribute__((aligned(64)));

struct actor {
	pid_t pid;
	struct player *player;
	struct ghost_task *task;
	int64_t committed;	/* stamp; 0: nothing is being measured */
};

/**
 * struct stage - what a performance has
 * @b: what to measure
 * @polling: no message wakes an agent; set before perform()
 * @batch: actors that perform at a time
 * @done: the measuring agent has seen enough
 * @err: what it failed with
 * @delivery: from leaving the CPU to the message
 * @schedule: from the decision to getting the CPU back
 * @delivered: medians of @delivery
 * @scheduled: medians of @schedule
 */
struct stage {
	const struct bench *b;
	bool polling;
	struct ghost_enclave *enclave;
	struct ghost_crew *crew;
	struct ghost_tasks *tasks;
	int batch;
	int nr_actors;
	struct actor actors[MAX_BATCH];
	sem_t done;
	int err;
	struct samples delivery;
	struct samples schedule;
	struct result delivered;
	struct result scheduled;
};

extern struct stage stage;

/* What a task does: yield, or say that it runs and of which class it is. */
void play(struct player *p);
void spin(struct player *p);
int start_actor(struct actor *a, void (*act)(struct player *p), int cpu);
void end_actor(struct actor *a);

/*
 * An event about an actor brings the table up to date. A YIELD ends what was
 * measured; anything else, a PREEMPT by a normal thread, spoils it.
 */
int take(struct stage *s, const struct ghost_event *ev, int64_t now);

/* Reads messages for at least @duration, until all actors are runnable. */
int poll_all(struct stage *s, struct ghost_agent *agent, int64_t duration);

/* Ends a repetition after @rounds events; true after the last one. */
bool repetition_over(struct stage *s, int rounds, int *rep);

/* The work of the measuring agent is done: wait for the end. */
int rest(struct ghost_agent *agent);

/* Has @rounds run on the first CPU's agent; the others rest. */
int measuring_agent(struct ghost_agent *agent, struct stage *s,
		    int (*rounds)(struct stage *s, struct ghost_agent *agent));

int open_stage(struct stage *s, const struct bench *b, int nr_cpus);
int start_crew(struct stage *s, const struct ghost_crew_ops *ops);
void close_stage(struct stage *s);

/* Schedules the first actor here, over and over: delivery and schedule. */
int local_rounds(struct stage *s, struct ghost_agent *agent);

/*
 * Sends each actor to its CPU. Returns the stamp before, and what it @took; or
 * 0 if the kernel refused one of them: its next message, or time, mends that.
 */
typedef int64_t (*commit_fn)(struct stage *s, int64_t *took);

/* Rounds of @commit: only what the agent spends is measured. */
int agent_side(struct stage *s, struct ghost_agent *agent, commit_fn commit);

/* Performs with @size, twice as many, ... actors, each on a CPU of its own. */
int bench_sizes(const struct bench *b, const struct ghost_crew_ops *ops,
		const char *name, int size);

/* Has the agents of @ops measure, with @actors tasks that @act. */
int perform(const struct bench *b, const struct ghost_crew_ops *ops,
	    void (*act)(struct player *p), int actors, int nr_cpus);

#endif /* BENCH_STAGE_H */
