// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* A worker: a process that does one thing after the other, at random. */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "torture.h"

/* A worker's walk has this stream, plus its place and its life. */
#define STREAM	0x10000

static const struct {
	enum figure op;
	unsigned int weight;
} ops[] = {
	{ F_W_SPIN, 20 }, { F_W_NAP, 20 }, { F_W_YIELD, 10 }, { F_W_NICE, 4 },
	{ F_W_AFFINITY, 4 }, { F_W_JOIN, 8 }, { F_W_LEAVE, 3 },
	{ F_W_REAL_TIME, 2 }, { F_W_FORK, 4 }, { F_W_EXEC, 1 },
	{ F_W_EXEC_THREAD, 1 }, { F_W_EXIT, 1 }, { F_W_THREAD, 3 },
	{ F_W_PING_PONG, 4 }, { F_W_SWITCHTO, 6 }, { F_W_PI, 4 },
	{ F_W_MEMORY, 2 }, { F_W_READ, 1 },
};

int worker_place;

void worker_step(struct worker *w)
{
	int64_t now = gt_now_ms(), waited = now - load(&w->last_ms);

	if (!load(&w->excused) && waited > load(&w->longest_ms))
		store(&w->longest_ms, waited);
	store(&w->last_ms, now);
	store(&w->round, w->round + 1);
}

static int64_t cpu_us(void)
{
	struct rusage own, children;

	getrusage(RUSAGE_SELF, &own);
	getrusage(RUSAGE_CHILDREN, &children);
	return (own.ru_utime.tv_sec + own.ru_stime.tv_sec +
		children.ru_utime.tv_sec + children.ru_stime.tv_sec) * 1000000LL +
		own.ru_utime.tv_usec + own.ru_stime.tv_usec +
		children.ru_utime.tv_usec + children.ru_stime.tv_usec;
}

/*
 * Ghost tasks may wait for ever while normal threads use all CPUs. So all
 * workers together use half of the machine: who has used CPU time rests.
 */
static void rest(void)
{
	static int64_t paid;
	int64_t used = cpu_us(), due = used - paid;

	if (due < 1000)
		return;
	due *= 2 * shared->nr_workers / shared->ncpus;
	usleep(due > 200000 ? 200000 : due);
	paid = used;
}

static enum figure draw(struct rng *r)
{
	unsigned int i, sum = 0, n;

	for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		sum += ops[i].weight;
	n = below(r, sum);
	for (i = 0; n >= ops[i].weight; i++)
		n -= ops[i].weight;
	return ops[i].op;
}

/* What the bystander's tasks do: nothing that anybody could notice. */
static enum figure draw_calm(struct rng *r)
{
	static const enum figure calm[] = { F_W_SPIN, F_W_NAP, F_W_YIELD };

	return calm[below(r, 3)];
}

static void everywhere_allowed(void)
{
	cpu_set_t set;
	int cpu;

	CPU_ZERO(&set);
	for (cpu = 0; cpu < shared->ncpus; cpu++)
		if (cpu != shared->quiet_cpu)
			CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* A task of a bystander without a CPU: it must not want one. */
static int sleep_calmly(struct worker *w)
{
	sigset_t set;
	int sig;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	store(&w->round, 1);
	sigwait(&set, &sig);
	return 0;
}

int worker_main(int place, bool again)
{
	struct worker *w = &shared->workers[place];
	bool calm = place < CALM;
	enum figure op;
	struct rng r;

	worker_place = place;
	if (calm && shared->quiet_cpu < 0)
		return sleep_calmly(w);
	if (calm)
		gt_pin(0, -1);
	else if (!again)
		everywhere_allowed();
	while (!load(&w->quit)) {
		r = rng_at(STREAM + place, w->round);
		op = calm ? draw_calm(&r) : draw(&r);
		store(&w->op, op);
		worker_run_op(w, &r, op);
		worker_step(w);
		rest();
	}
	return 0;
}
