// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Setting the stage, and what the agents of all rows do the same. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stage.h"

#define QUEUE_SLOTS	1024
#define START_MS	10000

struct stage stage;

/* ---- tasks ---- */

void play(struct player *p)
{
	for (;;) {
		p->left = stamp();
		sched_yield();
		p->resumed = stamp();
		SET(p->turns, p->turns + 1);
	}
}

void spin(struct player *p)
{
	for (;;) {
		if (!sched_getscheduler(0) && !p->on_cfs)
			SET(p->on_cfs, stamp());
		SET(p->turns, p->turns + 1);
	}
}

int start_actor(struct actor *a, void (*act)(struct player *p), int cpu)
{
	a->player = shared(sizeof(*a->player));
	if (!a->player)
		return fail("no shared memory", -ENOMEM);
	fflush(stdout);
	a->pid = fork();
	if (a->pid < 0)
		return fail("no second process", -errno);
	if (!a->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		mlockall(MCL_CURRENT | MCL_FUTURE);
		if (cpu >= 0 && pin(0, cpu))
			_exit(1);
		act(a->player);
	}
	return 0;
}

void end_actor(struct actor *a)
{
	if (a->pid <= 0)
		return;
	kill(a->pid, SIGKILL);
	waitpid(a->pid, NULL, 0);
	munmap(a->player, sizeof(*a->player));
	memset(a, 0, sizeof(*a));
}

/* ---- the agent ---- */

static struct actor *actor_of(struct stage *s, const struct ghost_task *task)
{
	int i;

	for (i = 0; i < s->nr_actors; i++)
		if (ghost_gtid_tid(task->gtid) == s->actors[i].pid)
			return &s->actors[i];
	return NULL;
}

int take(struct stage *s, const struct ghost_event *ev, int64_t now)
{
	struct ghost_task *task;
	struct actor *a;
	int err = ghost_tasks_apply(s->tasks, ev, &task);

	if (err == -ESTALE || (!err && !task))
		return 0;
	a = err ? NULL : actor_of(s, task);
	if (!a)
		return err;
	a->task = task;
	if (ev->type == MSG_TASK_YIELD && a->committed) {
		add_sample(&s->delivery, now - a->player->left);
		add_sample(&s->schedule, a->player->resumed - a->committed);
	}
	a->committed = 0;
	return 0;
}

bool repetition_over(struct stage *s, int rounds, int *rep)
{
	if (s->schedule.n < rounds)
		return false;
	if (!*rep) {
		s->schedule.n = 0;
		s->delivery.n = 0;
	}
	end_repetition(&s->schedule, &s->scheduled);
	end_repetition(&s->delivery, &s->delivered);
	return ++*rep > s->b->reps;
}

int rest(struct ghost_agent *agent)
{
	int err = 0;

	while (!err && !ghost_agent_stopping(agent))
		err = ghost_agent_wait(agent, ghost_agent_barrier(agent), 0);
	return err;
}

int measuring_agent(struct ghost_agent *agent, struct stage *s,
		    int (*rounds)(struct stage *s, struct ghost_agent *agent))
{
	int err;

	if (ghost_agent_cpu(agent) != s->b->cpus[0])
		return rest(agent);
	err = rounds(s, agent);
	s->err = err;
	sem_post(&s->done);
	return err ? err : rest(agent);
}

int poll_all(struct stage *s, struct ghost_agent *agent, int64_t duration)
{
	struct ghost_queue *q = ghost_agent_queue(agent);
	int64_t end = stamp() + duration;
	int i, err = 0;

	for (;;) {
		struct ghost_event ev;

		while (!err && ghost_queue_next(q, &ev))
			err = take(s, &ev, stamp());
		if (err || ghost_agent_stopping(agent))
			return err;
		for (i = 0; i < s->batch; i++) {
			struct ghost_task *task = s->actors[i].task;

			if (!task || task->state != GHOST_TASK_RUNNABLE)
				break;
		}
		if (i == s->batch && stamp() >= end)
			return 0;
	}
}

/* ---- setting the stage ---- */

int open_stage(struct stage *s, const struct bench *b, int nr_cpus)
{
	struct ghost_enclave_options eo = { 0 };
	char cpus[16 * (MAX_BATCH + 1)];
	int i, n = 0, err;

	for (i = 0; i < nr_cpus; i++)
		n += snprintf(cpus + n, sizeof(cpus) - (size_t)n, "%s%d",
			      i ? "," : "", b->cpus[i]);
	eo.cpus = cpus;
	err = ghost_enclave_create(&s->enclave, &eo);
	if (err) {
		fprintf(stderr, "ghost-bench: enclave on CPUs %s, step %s\n",
			cpus, eo.failed);
		return fail("cannot create it", err);
	}
	err = ghost_tasks_create(&s->tasks, s->enclave, 0);
	return err ? fail("no table of tasks", err) : 0;
}

int start_crew(struct stage *s, const struct ghost_crew_ops *ops)
{
	struct ghost_handoff handoff;
	int err;

	mlockall(MCL_CURRENT | MCL_FUTURE);
	err = ghost_crew_create(&s->crew, s->enclave, QUEUE_SLOTS, ops, s);
	if (!err && s->polling)
		err = ghost_sys_config_queue_wakeup(ghost_enclave_ctl(s->enclave),
						    ghost_queue_fd(ghost_crew_queue(s->crew, 0)),
						    -1);
	if (!err)
		err = ghost_crew_start(s->crew, GHOST_START_ALONE, START_MS,
				       &handoff);
	return err ? fail("cannot start the agents", err) : 0;
}

void close_stage(struct stage *s)
{
	int i;

	ghost_crew_destroy(s->crew);
	if (s->enclave)
		ghost_enclave_destroy(s->enclave);
	/* They need a CPU to die: the normal scheduler gives it to them. */
	for (i = 0; i < s->nr_actors; i++)
		end_actor(&s->actors[i]);
	if (s->tasks)
		ghost_tasks_destroy(s->tasks);
	ghost_enclave_close(s->enclave);
	memset(s, 0, sizeof(*s));
}

int perform(const struct bench *b, const struct ghost_crew_ops *ops,
	    void (*act)(struct player *p), int actors, int nr_cpus)
{
	struct stage *s = &stage;
	int i, err;

	s->b = b;
	s->batch = actors;
	sem_init(&s->done, 0, 0);
	if (open_stage(s, b, nr_cpus))
		return 1;
	for (i = 0; i < actors; i++) {
		s->nr_actors = i + 1;
		if (start_actor(&s->actors[i], act, -1))
			return 1;
	}
	if (start_crew(s, ops))
		return 1;
	for (i = 0; i < actors; i++) {
		err = ghost_fs_add_task(ghost_enclave_dir(s->enclave),
					s->actors[i].pid);
		if (err)
			return fail("a task cannot join", err);
	}
	while (sem_wait(&s->done) && errno == EINTR)
		;
	if (s->err)
		return fail("the agent stopped", s->err);
	return 0;
}

