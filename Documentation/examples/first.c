// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * The smallest policy: each CPU runs its tasks in turn, and a task stays where
 * it was placed first. Documentation/guide.md explains it.
 *
 *	first ENCLAVE
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ghost/ghost.h>

#define QUEUE_SLOTS	4096

static struct ghost_enclave *enclave;
static struct ghost_crew *crew;

/* Who comes first to the agent of the first CPU is placed, in turn. */
static int next_cpu(void)
{
	static int turn;

	return turn++ % ghost_enclave_nr_cpus(enclave);
}

/* The first task of the table behind @last that wants a CPU, or NULL. */
static struct ghost_task *choose(struct ghost_tasks *tasks, int64_t last)
{
	struct ghost_task *first = NULL, *after = NULL, *t;

	for (t = ghost_tasks_next(tasks, NULL); t; t = ghost_tasks_next(tasks, t)) {
		if (t->state != GHOST_TASK_RUNNABLE)
			continue;
		if (!first || t->gtid < first->gtid)
			first = t;
		if (t->gtid > last && (!after || t->gtid < after->gtid))
			after = t;
	}
	return after ? after : first;
}

static int handle(struct ghost_tasks *tasks, struct ghost_agent *agent,
		  const struct ghost_event *event)
{
	struct ghost_task *task;
	int err, i;

	err = ghost_tasks_apply(tasks, event, &task);
	if (err || !task)
		return err == -ENOMEM ? err : 0;
	if (task->state == GHOST_TASK_GONE) {
		ghost_tasks_forget(tasks, task);
		return 0;
	}
	/* The kernel announces to the first queue; a move announces again. */
	if (event->type != MSG_TASK_NEW || event->moved)
		return 0;
	i = next_cpu();
	if (i != ghost_agent_index(agent))
		ghost_tasks_move(tasks, task, ghost_crew_queue(crew, i));
	return 0;
}

static int run(struct ghost_agent *agent, void *arg)
{
	struct ghost_queue *queue = ghost_agent_queue(agent);
	unsigned long *commits = arg;
	struct ghost_tasks *tasks;
	struct ghost_event event;
	int64_t last = 0;
	int err;

	err = ghost_tasks_create(&tasks, enclave, 0);
	while (!err) {
		uint32_t barrier = ghost_agent_barrier(agent);
		struct ghost_task *task;
		int32_t state;

		if (ghost_agent_stopping(agent))
			break;
		while (!err && ghost_queue_next(queue, &event))
			err = handle(tasks, agent, &event);
		if (err)
			break;
		task = choose(tasks, last);
		if (!task || ghost_agent_boosted(agent)) {
			err = ghost_agent_wait(agent, barrier,
					       task ? RTLA_ON_IDLE : 0);
			continue;
		}
		last = task->gtid;
		err = ghost_agent_run_task(agent, task, barrier, 0, &state);
		if (!err && state == GHOST_TXN_COMPLETE)
			__atomic_add_fetch(commits, 1, __ATOMIC_RELAXED);
		else if (!err)
			/* Refused: others first, then look again. */
			err = ghost_agent_wait(agent, barrier, RTLA_ON_IDLE);
	}
	ghost_tasks_destroy(tasks);
	if (err)
		kill(getpid(), SIGTERM);	/* main() tells */
	return err;
}

static int fail(const char *what, int err)
{
	const char *hint = ghost_hint(err);

	fprintf(stderr, "first: %s: %s\n", what, strerror(-err));
	if (hint)
		fprintf(stderr, "  %s\n", hint);
	return 1;
}

int main(int argc, char **argv)
{
	static const struct ghost_crew_ops ops = { .run = run };
	struct ghost_handoff handoff;
	unsigned long commits = 0;
	sigset_t stop;
	int err, sig;

	if (argc != 2) {
		fputs("usage: first ENCLAVE\n", stderr);
		return 2;
	}
	/* Before any thread is there: the agents block them, too. */
	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGINT);
	sigprocmask(SIG_BLOCK, &stop, NULL);

	err = ghost_enclave_open(&enclave, NULL, strtoul(argv[1], NULL, 10));
	if (err)
		return fail("cannot open the enclave", err);
	err = ghost_crew_create(&crew, enclave, QUEUE_SLOTS, &ops,
				&commits);
	if (err)
		return fail("cannot create the agents", err);
	err = ghost_crew_start(crew, GHOST_START_ASK, 10000, &handoff);
	if (err)
		return fail("cannot start", err);
	printf("scheduling %d CPUs, %u tasks found\n",
	       ghost_enclave_nr_cpus(enclave), handoff.tasks);
	fflush(stdout);

	sigwait(&stop, &sig);
	err = ghost_crew_stop(crew);
	printf("%lu commits\n", commits);
	ghost_crew_destroy(crew);
	ghost_enclave_close(enclave);
	return err ? fail("an agent stopped", err) : 0;
}
