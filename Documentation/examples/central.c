// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * One agent decides for all CPUs: the first CPU of the enclave runs it and no
 * tasks, the others run tasks in turn, each for a slice. There is one queue and
 * one table, so any task may run anywhere without being handed over.
 *
 *	central ENCLAVE
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <ghost/ghost.h>

#define QUEUE_SLOTS	16384
#define SLICE_NS	10000000LL

struct job {
	int cpu;		/* where it runs or is asked to, or 0 */
	cpu_set_t allowed;
};

static struct ghost_enclave *enclave;
static struct ghost_crew *crew;
static struct ghost_tasks *tasks;
static int64_t running[CPU_SETSIZE];	/* on each CPU, 0 = nothing */
static int64_t last;			/* whose turn it was */
static unsigned long commits;

static struct job *job_of(struct ghost_task *task)
{
	return ghost_task_data(task);
}

static void leave_cpu(struct ghost_task *task)
{
	struct job *job = job_of(task);

	if (running[job->cpu] == task->gtid)
		running[job->cpu] = 0;
	job->cpu = 0;
}

static int handle(const struct ghost_event *event)
{
	struct ghost_task *task;
	int err;

	err = ghost_tasks_apply(tasks, event, &task);
	if (err || !task)
		return err == -ENOMEM ? err : 0;
	if (task->state != GHOST_TASK_ON_CPU)
		leave_cpu(task);
	if (task->state == GHOST_TASK_GONE)
		ghost_tasks_forget(tasks, task);
	else if (event->type == MSG_TASK_NEW ||
		 event->type == MSG_TASK_AFFINITY_CHANGED)
		ghost_task_affinity(task->gtid,
				    (unsigned long *)&job_of(task)->allowed,
				    sizeof(cpu_set_t));
	return 0;
}

/* Whose turn it is on a CPU: by gtid, who wants one and may run there. */
static struct ghost_task *choose(int cpu)
{
	struct ghost_task *first = NULL, *after = NULL, *t;

	for (t = ghost_tasks_next(tasks, NULL); t; t = ghost_tasks_next(tasks, t)) {
		struct job *job = job_of(t);

		if (t->state != GHOST_TASK_RUNNABLE || job->cpu ||
		    !CPU_ISSET(cpu, &job->allowed))
			continue;
		if (!first || t->gtid < first->gtid)
			first = t;
		if (t->gtid > last && (!after || t->gtid < after->gtid))
			after = t;
	}
	return after ? after : first;
}

/* One system call for all CPUs. Who is replaced gets a MSG_TASK_PREEMPT. */
static int schedule(struct ghost_agent *agent, bool slice_over)
{
	struct ghost_request requests[CPU_SETSIZE];
	int i, n = 0, err;

	for (i = 1; i < ghost_enclave_nr_cpus(enclave); i++) {
		int cpu = ghost_enclave_cpu(enclave, i);
		struct ghost_task *task;

		if (running[cpu] && !slice_over)
			continue;
		task = choose(cpu);
		if (!task)
			continue;
		job_of(task)->cpu = cpu;
		last = task->gtid;
		ghost_request_init(&requests[n++], cpu, task->gtid,
				   task->barrier);
	}
	err = ghost_agent_commit(agent, requests, n);
	for (i = 0; i < n; i++) {
		struct ghost_task *task = ghost_tasks_find(tasks,
							   requests[i].gtid);

		if (requests[i].state == GHOST_TXN_COMPLETE) {
			task->state = GHOST_TASK_ON_CPU;
			running[requests[i].cpu] = task->gtid;
			commits++;
		} else {
			/* A message explains it, or the next tick tries again. */
			job_of(task)->cpu = 0;
		}
	}
	return err;
}

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static int decide(struct ghost_agent *agent)
{
	struct ghost_timer *timer;
	int err;

	err = ghost_timer_create(&timer, enclave, ghost_agent_cpu(agent));
	if (err)
		return err;
	err = ghost_timer_set(timer, now_ns(), SLICE_NS, 0, 0);
	while (!err) {
		uint32_t barrier = ghost_agent_barrier(agent);
		struct ghost_event event;

		if (ghost_agent_stopping(agent))
			break;
		while (!err && ghost_queue_next(ghost_agent_queue(agent), &event))
			err = handle(&event);
		if (!err)
			err = schedule(agent, !ghost_timer_rearm(timer, NULL));
		if (!err)
			err = ghost_agent_wait(agent, barrier, 0);
	}
	ghost_timer_close(timer);
	return err;
}

static int run(struct ghost_agent *agent, void *arg)
{
	int err = 0;

	(void)arg;
	if (ghost_agent_index(agent) == 0) {
		err = decide(agent);
	} else {
		while (!err) {
			uint32_t barrier = ghost_agent_barrier(agent);

			if (ghost_agent_stopping(agent))
				break;
			err = ghost_agent_wait(agent, barrier, 0);
		}
	}
	if (err)
		kill(getpid(), SIGTERM);	/* main() tells */
	return err;
}

static int fail(const char *what, int err)
{
	const char *hint = ghost_hint(err);

	fprintf(stderr, "central: %s: %s\n", what, strerror(-err));
	if (hint)
		fprintf(stderr, "  %s\n", hint);
	return 1;
}

int main(int argc, char **argv)
{
	static const struct ghost_crew_ops ops = { .run = run };
	struct ghost_handoff handoff;
	sigset_t stop;
	int err, sig, n;

	if (argc != 2) {
		fputs("usage: central ENCLAVE\n", stderr);
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
	n = ghost_enclave_nr_cpus(enclave);
	if (n < 2 || ghost_enclave_cpu(enclave, n - 1) >= CPU_SETSIZE)
		return fail("needs 2 CPUs or more", -EINVAL);
	err = ghost_tasks_create(&tasks, enclave, sizeof(struct job));
	if (!err)
		err = ghost_crew_create(&crew, enclave, QUEUE_SLOTS, &ops, NULL);
	if (err)
		return fail("cannot create the agents", err);
	err = ghost_crew_start(crew, GHOST_START_ASK, 10000, &handoff);
	if (err)
		return fail("cannot start", err);
	printf("scheduling %d CPUs, %u tasks found\n", n - 1, handoff.tasks);
	fflush(stdout);

	sigwait(&stop, &sig);
	err = ghost_crew_stop(crew);
	printf("%lu commits\n", commits);
	ghost_crew_destroy(crew);
	ghost_tasks_destroy(tasks);
	ghost_enclave_close(enclave);
	return err ? fail("an agent stopped", err) : 0;
}
