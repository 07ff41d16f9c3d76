// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Rows in which this program is the agent. Its tasks do nothing but yield, and
 * stamp the moments at which they leave the CPU and get it back.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <ghost/ghost.h>

#include "bench.h"

#define QUEUE_SLOTS	1024
#define START_MS	10000
#define KILL_WAIT_MS	10000
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

struct stage {
	const struct bench *b;
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

static struct stage stage;

/* ---- tasks ---- */

static void play(struct player *p)
{
	for (;;) {
		p->left = stamp();
		sched_yield();
		p->resumed = stamp();
		SET(p->turns, p->turns + 1);
	}
}

static void spin(struct player *p)
{
	for (;;) {
		if (!sched_getscheduler(0) && !p->on_cfs)
			SET(p->on_cfs, stamp());
		SET(p->turns, p->turns + 1);
	}
}

static int start_actor(struct actor *a, void (*act)(struct player *p), int cpu)
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

static void end_actor(struct actor *a)
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

/*
 * An event about an actor brings the table up to date. A YIELD ends what was
 * measured; anything else, a PREEMPT by a normal thread, spoils it.
 */
static int take(struct stage *s, const struct ghost_event *ev, int64_t now)
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

static bool repetition_over(struct stage *s, int rounds, int *rep)
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

/* The work of the measuring agent is done: wait for the end. */
static int rest(struct ghost_agent *agent)
{
	int err = 0;

	while (!err && !ghost_agent_stopping(agent))
		err = ghost_agent_wait(agent, ghost_agent_barrier(agent), 0);
	return err;
}

static int local_rounds(struct stage *s, struct ghost_agent *agent)
{
	struct ghost_queue *q = ghost_agent_queue(agent);
	struct actor *a = &s->actors[0];
	int rounds = s->b->rounds ? s->b->rounds : 1000;
	int rep = 0, err = 0;

	while (!err && !ghost_agent_stopping(agent)) {
		uint32_t barrier = ghost_agent_barrier(agent);
		struct ghost_event ev;
		int32_t state;

		while (!err && ghost_queue_next(q, &ev))
			err = take(s, &ev, stamp());
		if (err || repetition_over(s, rounds, &rep))
			break;
		if (!a->task || a->task->state != GHOST_TASK_RUNNABLE) {
			err = ghost_agent_wait(agent, barrier, 0);
			continue;
		}
		/* A normal thread goes first: back when it is done. */
		if (ghost_agent_boosted(agent)) {
			err = ghost_agent_wait(agent, barrier, RTLA_ON_IDLE);
			continue;
		}
		a->committed = stamp();
		err = ghost_agent_run_task(agent, a->task, barrier, 0, &state);
		if (err || state != GHOST_TXN_COMPLETE)
			a->committed = 0;
	}
	return err;
}

static int local_body(struct ghost_agent *agent, void *arg)
{
	struct stage *s = arg;
	int err = local_rounds(s, agent);

	s->err = err;
	sem_post(&s->done);
	return err ? err : rest(agent);
}

/* Reads messages for at least @duration, until all actors are runnable. */
static int poll_all(struct stage *s, struct ghost_agent *agent,
		    int64_t duration)
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

/*
 * Send each actor to its CPU with one call. Returns the stamp before, 0 if the
 * kernel refused one of them: its next message, or time, mends that.
 */
static int64_t commit_all(struct stage *s, int64_t *took)
{
	int64_t start = stamp();
	unsigned long mask = 0;
	int i, failed = 0;

	for (i = 0; i < s->batch; i++) {
		struct ghost_task *task = s->actors[i].task;
		int cpu = s->b->cpus[i + 1];

		ghost_txn_prepare(ghost_enclave_txn(s->enclave, cpu),
				  task->gtid, task->barrier, 0, 0,
				  COMMIT_AT_TXN_COMMIT);
		mask |= 1UL << cpu;
	}
	s->err = ghost_sys_commit_txn(ghost_enclave_ctl(s->enclave), &mask,
				      sizeof(mask));
	*took = stamp() - start;
	for (i = 0; i < s->batch; i++) {
		struct actor *a = &s->actors[i];
		struct ghost_txn *txn;

		txn = ghost_enclave_txn(s->enclave, s->b->cpus[i + 1]);
		if (ghost_txn_state_get(txn) != GHOST_TXN_COMPLETE) {
			failed++;
			continue;
		}
		a->task->state = GHOST_TASK_ON_CPU;
		a->committed = start;
	}
	if (!failed)
		return start;
	for (i = 0; i < s->batch; i++)
		s->actors[i].committed = 0;
	return 0;
}

static int remote_rounds(struct stage *s, struct ghost_agent *agent)
{
	int rounds = s->b->rounds ? s->b->rounds : 500;
	int rep = 0, err;
	int64_t took;

	do {
		err = poll_all(s, agent, SETTLE);
		if (!err && !ghost_agent_stopping(agent)) {
			commit_all(s, &took);
			err = s->err;
		}
	} while (!err && !ghost_agent_stopping(agent) &&
		 !repetition_over(s, rounds, &rep));
	return err;
}

/* Only what the agent spends: the events just reset the table. */
static int batch_rounds(struct stage *s, struct ghost_agent *agent)
{
	int rounds = s->b->rounds ? s->b->rounds : 200;
	struct samples *agent_side = calloc(1, sizeof(*agent_side));
	int rep = 0, err = agent_side ? 0 : -ENOMEM;
	int64_t took;

	while (!err && rep <= s->b->reps && !ghost_agent_stopping(agent)) {
		err = poll_all(s, agent, SETTLE);
		if (err || ghost_agent_stopping(agent))
			break;
		if (commit_all(s, &took))
			add_sample(agent_side, took);
		err = s->err;
		s->schedule.n = 0;
		s->delivery.n = 0;
		if (agent_side->n < rounds)
			continue;
		if (!rep++)
			agent_side->n = 0;
		end_repetition(agent_side, &s->scheduled);
	}
	free(agent_side);
	return err;
}

static int polling_agent(struct ghost_agent *agent, struct stage *s,
			 int (*rounds)(struct stage *, struct ghost_agent *))
{
	int err;

	if (ghost_agent_cpu(agent) != s->b->cpus[0])
		return rest(agent);
	err = rounds(s, agent);
	s->err = err;
	sem_post(&s->done);
	return err ? err : rest(agent);
}

static int remote_body(struct ghost_agent *agent, void *arg)
{
	return polling_agent(agent, arg, remote_rounds);
}

static int batch_body(struct ghost_agent *agent, void *arg)
{
	return polling_agent(agent, arg, batch_rounds);
}

/* ---- setting the stage ---- */

static int open_stage(struct stage *s, const struct bench *b, int nr_cpus)
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

static int start_crew(struct stage *s, const struct ghost_crew_ops *ops,
		      bool polling)
{
	struct ghost_handoff handoff;
	int err;

	mlockall(MCL_CURRENT | MCL_FUTURE);
	err = ghost_crew_create(&s->crew, s->enclave, QUEUE_SLOTS, ops, s);
	if (!err && polling)
		err = ghost_sys_config_queue_wakeup(ghost_enclave_ctl(s->enclave),
						    ghost_queue_fd(ghost_crew_queue(s->crew, 0)),
						    -1);
	if (!err)
		err = ghost_crew_start(s->crew, GHOST_START_ALONE, START_MS,
				       &handoff);
	return err ? fail("cannot start the agents", err) : 0;
}

static void close_stage(struct stage *s)
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

/* Has the agents of @ops measure, with @actors tasks that yield. */
static int perform(const struct bench *b, const struct ghost_crew_ops *ops,
		   int actors, int nr_cpus)
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
		if (start_actor(&s->actors[i], play, -1))
			return 1;
	}
	if (start_crew(s, ops, nr_cpus > 1))
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

int bench_local(const struct bench *b)
{
	static const struct ghost_crew_ops ops = { .run = local_body };
	int ret = perform(b, &ops, 1, 1);

	stage.delivered.row = "message-local";
	stage.scheduled.row = "schedule-local";
	if (!ret) {
		print_result(b, &stage.delivered);
		print_result(b, &stage.scheduled);
	}
	close_stage(&stage);
	return ret;
}

int bench_remote(const struct bench *b)
{
	static const struct ghost_crew_ops ops = { .run = remote_body };
	int ret;

	if (b->nr_cpus < 2)
		return fail("remote wants --cpus of 2 CPUs", -EINVAL);
	ret = perform(b, &ops, 1, 2);
	stage.delivered.row = "message-poll";
	stage.scheduled.row = "schedule-remote";
	if (!ret) {
		print_result(b, &stage.delivered);
		print_result(b, &stage.scheduled);
	}
	close_stage(&stage);
	return ret;
}

int bench_batch(const struct bench *b)
{
	static const struct ghost_crew_ops ops = { .run = batch_body };
	int batch, ret = 0;

	if (b->nr_cpus < 2)
		return fail("batch wants --cpus of 2 CPUs or more", -EINVAL);
	for (batch = 1; !ret && batch < b->nr_cpus; batch *= 2) {
		char row[24];

		snprintf(row, sizeof(row), "batch-%d", batch);
		stage.scheduled.per = batch;
		ret = perform(b, &ops, batch, batch + 1);
		stage.scheduled.row = row;
		if (!ret)
			print_result(b, &stage.scheduled);
		close_stage(&stage);
	}
	return ret;
}

/* ---- kill ---- */

static void doze(void)
{
	const struct timespec ts = { .tv_nsec = 1000000 };

	nanosleep(&ts, NULL);
}

#define wait_until(cond) ({						\
	int __ms = KILL_WAIT_MS;					\
									\
	while (!(cond) && __ms-- > 0)					\
		doze();							\
	__ms > 0;							\
})

/* An agent process that schedules until it is killed. */
static pid_t start_victim(struct stage *s, int *ready)
{
	static const struct ghost_crew_ops ops = { .run = local_body };
	unsigned long id = ghost_enclave_id(s->enclave);
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (ghost_enclave_open(&s->enclave, NULL, id) ||
	    ghost_tasks_create(&s->tasks, s->enclave, 0) ||
	    start_crew(s, &ops, false))
		_exit(1);
	SET(*ready, 1);
	for (;;)
		pause();
}

static int kill_once(const struct bench *b, struct samples *times, int *ready)
{
	struct stage *s = &stage;
	struct actor *a = &s->actors[0];
	uint64_t turns;
	int64_t start;
	pid_t victim;
	int err;

	s->b = b;
	s->nr_actors = 1;
	sem_init(&s->done, 0, 0);
	SET(*ready, 0);
	if (open_stage(s, b, 1) || start_actor(a, spin, b->cpus[0]))
		return 1;
	victim = start_victim(s, ready);
	if (victim < 0)
		return fail("no agent process", -errno);
	if (!wait_until(LOOK(*ready)))
		return fail("the agent process did not start", -ETIMEDOUT);
	err = ghost_fs_add_task(ghost_enclave_dir(s->enclave), a->pid);
	if (err)
		return fail("the task cannot join", err);
	/* What it said last it may have found out before it joined. */
	turns = LOOK(a->player->turns);
	if (!wait_until(LOOK(a->player->turns) > turns + 10))
		return fail("the agent did not run its task", -ETIMEDOUT);
	SET(a->player->on_cfs, 0);
	turns = LOOK(a->player->turns);
	if (!wait_until(LOOK(a->player->turns) > turns + 10) ||
	    LOOK(a->player->on_cfs))
		return fail("the task is none of the agent's", -EINVAL);

	start = stamp();
	kill(victim, SIGKILL);
	err = ghost_enclave_destroy(s->enclave);
	if (err)
		return fail("cannot destroy the enclave", err);
	if (!wait_until(LOOK(a->player->on_cfs)))
		return fail("the task did not come back", -ETIMEDOUT);
	add_sample(times, a->player->on_cfs - start);
	waitpid(victim, NULL, 0);
	return 0;
}

int bench_kill(const struct bench *b)
{
	static struct samples times;
	struct result r = { .row = "kill-to-cfs" };
	int *ready = shared(sizeof(*ready));
	int rep, i, ret = ready ? 0 : fail("no shared memory", -ENOMEM);

	for (rep = 0; !ret && rep <= b->reps; rep++) {
		for (i = 0; !ret && i < (b->rounds ? b->rounds : 3); i++) {
			ret = kill_once(b, &times, ready);
			close_stage(&stage);
		}
		if (!rep)
			times.n = 0;
		end_repetition(&times, &r);
	}
	if (!ret)
		print_result(b, &r);
	return ret;
}
