// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Rows in which this program is the agent. Its tasks do nothing but yield, and
 * stamp the moments at which they leave the CPU and get it back.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "stage.h"

#define KILL_WAIT_MS	10000

int local_rounds(struct stage *s, struct ghost_agent *agent)
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
	return measuring_agent(agent, arg, local_rounds);
}

/* One call for all of them. */
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

int agent_side(struct stage *s, struct ghost_agent *agent, commit_fn commit)
{
	int rounds = s->b->rounds ? s->b->rounds : 200;
	struct samples *spent = calloc(1, sizeof(*spent));
	int rep = 0, err = spent ? 0 : -ENOMEM;
	int64_t took;

	while (!err && rep <= s->b->reps && !ghost_agent_stopping(agent)) {
		err = poll_all(s, agent, SETTLE);
		if (err || ghost_agent_stopping(agent))
			break;
		if (commit(s, &took))
			add_sample(spent, took);
		err = s->err;
		s->schedule.n = 0;
		s->delivery.n = 0;
		if (spent->n < rounds)
			continue;
		if (!rep++)
			spent->n = 0;
		end_repetition(spent, &s->scheduled);
	}
	free(spent);
	return err;
}

static int batch_rounds(struct stage *s, struct ghost_agent *agent)
{
	return agent_side(s, agent, commit_all);
}

static int remote_body(struct ghost_agent *agent, void *arg)
{
	return measuring_agent(agent, arg, remote_rounds);
}

static int batch_body(struct ghost_agent *agent, void *arg)
{
	return measuring_agent(agent, arg, batch_rounds);
}

int bench_local(const struct bench *b)
{
	static const struct ghost_crew_ops ops = { .run = local_body };
	int ret = perform(b, &ops, play, 1, 1);

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
	stage.polling = true;
	ret = perform(b, &ops, play, 1, 2);
	stage.delivered.row = "message-poll";
	stage.scheduled.row = "schedule-remote";
	if (!ret) {
		print_result(b, &stage.delivered);
		print_result(b, &stage.scheduled);
	}
	close_stage(&stage);
	return ret;
}

int bench_sizes(const struct bench *b, const struct ghost_crew_ops *ops,
		const char *name, int size)
{
	int ret = 0;

	for (; !ret && size < b->nr_cpus; size *= 2) {
		char row[24];

		snprintf(row, sizeof(row), "%s-%d", name, size);
		stage.polling = true;
		stage.scheduled.per = size;
		ret = perform(b, ops, play, size, size + 1);
		stage.scheduled.row = row;
		if (!ret)
			print_result(b, &stage.scheduled);
		close_stage(&stage);
	}
	return ret;
}

int bench_batch(const struct bench *b)
{
	static const struct ghost_crew_ops ops = { .run = batch_body };

	if (b->nr_cpus < 2)
		return fail("batch wants --cpus of 2 CPUs or more", -EINVAL);
	return bench_sizes(b, &ops, "batch", 1);
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
	    start_crew(s, &ops))
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
