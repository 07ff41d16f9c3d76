// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * A commit at schedule: two tasks hand a CPU to one another. Each prepares the
 * transaction that runs the other, as an agent elsewhere would, and yields; its
 * CPU commits what it finds on the way. No agent runs in between.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <unistd.h>

#include "stage.h"

/* Then the agent reads the messages; the queue has room for twice as many. */
#define TURNS	80

/*
 * In shared memory; one CPU, so one at a time writes.
 * @left: stamp before the transaction was prepared
 * @from: who has handed over, or -1
 * @turns: hand-overs since the agent ran
 * @gtid: the two tasks, once the agent knows them
 * @sw: their status words
 */
struct relay {
	int64_t left;
	int from;
	int turns;
	int64_t gtid[2];
	struct ghost_sw_info sw[2];
	struct samples samples;
};

static struct relay *relay;

static void hand_over(const struct ghost_enclave *e, struct ghost_txn *txn,
		      int me)
{
	const struct ghost_status_word *sw;
	struct relay *r = relay;
	int other = 1 - me;

	if (!LOOK(r->gtid[other]) || r->turns >= TURNS)
		return;
	sw = ghost_enclave_sw(e, &r->sw[other]);
	if (!sw || ghost_txn_busy(txn))
		return;
	r->turns++;
	r->from = me;
	r->left = stamp();
	ghost_txn_prepare(txn, r->gtid[other], ghost_sw_barrier(sw), 0,
			  RTLA_ON_IDLE, COMMIT_AT_SCHEDULE);
}

static void take_turns(struct player *p)
{
	unsigned long id = ghost_enclave_id(stage.enclave);
	int me = stage.nr_actors - 1, cpu = stage.b->cpus[0];
	struct ghost_enclave *e;

	/* The mappings do not survive a fork. */
	if (ghost_enclave_open(&e, NULL, id))
		_exit(1);
	for (;;) {
		int64_t now = stamp();

		if (relay->from == 1 - me)
			add_sample(&relay->samples, now - relay->left);
		relay->from = -1;
		SET(p->turns, p->turns + 1);
		hand_over(e, ghost_enclave_txn(e, cpu), me);
		sched_yield();
	}
}

/* The tasks may begin once the agent knows both. */
static bool introduce(struct stage *s)
{
	int i;

	for (i = 0; i < 2; i++) {
		struct ghost_task *task = s->actors[i].task;

		if (!task || task->state != GHOST_TASK_RUNNABLE)
			return false;
		relay->sw[i] = task->sw;
	}
	for (i = 0; i < 2; i++)
		SET(relay->gtid[i], s->actors[i].task->gtid);
	return true;
}

static bool relay_over(struct stage *s, int rounds, int *rep)
{
	if (relay->samples.n < rounds)
		return false;
	if (!*rep)
		relay->samples.n = 0;
	end_repetition(&relay->samples, &s->scheduled);
	return ++*rep > s->b->reps;
}

/* Starts the relay, and again each time that both have stopped. */
static int relay_rounds(struct stage *s, struct ghost_agent *agent)
{
	int cpu = ghost_agent_cpu(agent), rep = 0, err = 0;
	int rounds = s->b->rounds ? s->b->rounds : 1000;

	while (!err && !ghost_agent_stopping(agent)) {
		uint32_t barrier = ghost_agent_barrier(agent);
		struct ghost_event ev;
		int32_t state;

		while (!err && ghost_queue_next(ghost_agent_queue(agent), &ev))
			err = take(s, &ev, stamp());
		if (err || relay_over(s, rounds, &rep))
			break;
		ghost_txn_abort(ghost_enclave_txn(s->enclave, cpu));
		relay->turns = 0;
		relay->from = -1;
		/* Nothing wakes the agent, so it comes back when it is idle. */
		if (!introduce(s) || ghost_agent_boosted(agent))
			err = ghost_agent_wait(agent, barrier, RTLA_ON_IDLE);
		else
			err = ghost_agent_run_task(agent, s->actors[0].task,
						   barrier, RTLA_ON_IDLE,
						   &state);
	}
	return err;
}

static int relay_body(struct ghost_agent *agent, void *arg)
{
	return measuring_agent(agent, arg, relay_rounds);
}

int bench_at_schedule(const struct bench *b)
{
	static const struct ghost_crew_ops ops = { .run = relay_body };
	int ret;

	relay = shared(sizeof(*relay));
	if (!relay)
		return fail("no shared memory", -ENOMEM);
	relay->from = -1;
	stage.polling = true;
	ret = perform(b, &ops, take_turns, 2, 1);
	stage.scheduled.row = "at-schedule";
	if (!ret)
		print_result(b, &stage.scheduled);
	close_stage(&stage);
	return ret;
}
