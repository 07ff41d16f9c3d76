// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* The process that fuzzes: sequences, drawn or varied. */
#define _GNU_SOURCE
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "fuzz.h"

#define SEQUENCES	2000		/* of one child */

const struct op ops[NR_OPS] = {
	[OP_CREATE]	= { "create", op_create, 2 },
	[OP_ENCLAVE]	= { "whole enclave", op_enclave, 3 },
	[OP_OPEN]	= { "open", op_open, 6 },
	[OP_CLOSE]	= { "close", op_close, 2 },
	[OP_READ]	= { "read, poll, ...", op_read, 10 },
	[OP_CTL]	= { "ctl", op_ctl, 4 },
	[OP_CPUS]	= { "CPUs", op_cpus, 3 },
	[OP_TUNABLE]	= { "tunables", op_tunable, 5 },
	[OP_TASKS]	= { "tasks", op_tasks, 8 },
	[OP_IOCTL]	= { "ioctl", op_ioctl, 20 },
	[OP_COMMIT]	= { "commit", op_commit, 12 },
	[OP_RUN]	= { "run", op_run, 6 },
	[OP_QUEUE]	= { "queue", op_queue, 3 },
	[OP_SWITCHTO]	= { "direct switch", op_switchto, 2 },
	[OP_TIMER]	= { "timer", op_timer, 4 },
	[OP_MAP]	= { "map", op_map, 5 },
	[OP_UNMAP]	= { "unmap", op_unmap, 1 },
	[OP_TOUCH]	= { "read memory", op_touch, 3 },
	[OP_FORGE]	= { "write memory", op_forge, 12 },
	[OP_PROG]	= { "BPF program", op_prog, 2 },
	[OP_LINK]	= { "BPF link", op_link, 3 },
	[OP_LINK_UPDATE] = { "BPF link update", op_link_update, 2 },
	[OP_AGENT]	= { "agent", op_agent, 3 },
	[OP_HELPER]	= { "new task", op_helper, 1 },
	[OP_SCHED]	= { "setscheduler ...", op_sched, 6 },
};

void run_op(unsigned int op, struct rng *r)
{
	long ret = ops[op].fn(r);
	unsigned int error = ret >= 0 ? 0 : -ret < ERRNOS ? -ret : ERRNOS - 1;

	__atomic_add_fetch(&shared->count[op][error], 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&shared->operations, 1, __ATOMIC_RELAXED);
}

static uint32_t draw_op(struct rng *r)
{
	static unsigned int sum;
	unsigned int i, n;

	if (!sum)
		for (i = 0; i < NR_OPS; i++)
			sum += ops[i].weight;
	n = below(r, sum);
	for (i = 0; n >= ops[i].weight; i++)
		n -= ops[i].weight;
	return i;
}

static struct step draw_step(struct rng *r)
{
	return (struct step){ draw_op(r), rng_next(r) };
}

/* Drawn from nothing, or one of the corpus with some of its steps changed. */
static void draw(struct rng *r, struct sequence *s)
{
	unsigned int i;

	if (!shared->nr_corpus || one_in(r, 4)) {
		s->n = 1 + below(r, MAX_STEPS);
		for (i = 0; i < s->n; i++)
			s->step[i] = draw_step(r);
		return;
	}
	*s = shared->corpus[below(r, shared->nr_corpus)];
	do {
		i = below(r, s->n);
		switch (below(r, 4)) {
		case 0:
			s->step[i].seed = rng_next(r);
			break;
		case 1:
			s->step[i] = draw_step(r);
			break;
		case 2:
			if (s->n < MAX_STEPS)
				s->step[s->n++] = draw_step(r);
			break;
		default:
			if (s->n > 1)
				s->step[i] = s->step[--s->n];
		}
	} while (!one_in(r, 3));
}

static void run(const struct sequence *s)
{
	struct rng r;
	unsigned int i;

	cover_begin();
	for (i = 0; i < s->n; i++) {
		r = rng_at(s->step[i].seed, 0);
		shared->now = s->step[i];
		run_op(s->step[i].op, &r);
	}
	if (cover_end() && shared->nr_corpus < CORPUS)
		shared->corpus[shared->nr_corpus++] = *s;
	shared->sequences++;
}

int child_main(uint64_t n)
{
	struct rng r = rng_at(shared->seed, n);
	struct sequence s;
	int i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	catch_faults();
	helpers_start();
	memory_start(rng_next(&r));
	shared->cover = cover_open();
	if (!shared->cover && kernel_has_kcov())
		return CHILD_NO_COVER;
	op_enclave(&r);
	for (i = 0; i < SEQUENCES && shared->operations < shared->limit; i++) {
		draw(&r, &s);
		run(&s);
	}
	return 0;
}
