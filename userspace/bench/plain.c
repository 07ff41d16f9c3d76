// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Rows that need no SCHED_GHOST: they measure whatever scheduler the process
 * runs under.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

static struct samples samples;

static int rounds(const struct bench *b, int usual)
{
	return b->rounds ? b->rounds : usual;
}

static void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static pid_t start_child(void)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

/* ---- pipe ---- */

struct other_end {
	int from;
	int to;
	int cpu;
	pid_t pid;		/* 0: it is a thread */
	pthread_t thread;
};

static void *echo(void *arg)
{
	struct other_end *o = arg;
	char c;

	if (pin(0, o->cpu))
		return NULL;
	while (read(o->from, &c, 1) == 1)
		if (write(o->to, &c, 1) != 1)
			break;
	return NULL;
}

static int start_echo(struct other_end *o, bool thread)
{
	if (thread)
		return -pthread_create(&o->thread, NULL, echo, o);
	o->pid = start_child();
	if (!o->pid) {
		echo(o);
		_exit(0);
	}
	return o->pid < 0 ? -errno : 0;
}

/* On one CPU if only one is given, else across the first two. */
static int pipe_switches(const struct bench *b, struct result *r, bool thread)
{
	struct other_end other = { .cpu = b->cpus[b->nr_cpus > 1] };
	int there[2], back[2], rep, i, err;
	char c = 0;

	if (pipe(there) || pipe(back))
		return fail("no pipe", -errno);
	other.from = there[0];
	other.to = back[1];
	if (pin(0, b->cpus[0]))
		return 1;
	err = start_echo(&other, thread);
	if (err)
		return fail("nobody at the other end of the pipe", err);
	for (rep = 0; rep <= b->reps; rep++) {
		for (i = 0; i < rounds(b, 2000); i++) {
			int64_t start = stamp();

			if (write(there[1], &c, 1) != 1 ||
			    read(back[0], &c, 1) != 1)
				return fail("the pipe", -errno);
			add_sample(&samples, stamp() - start);
		}
		if (!rep)
			samples.n = 0;
		end_repetition(&samples, r);
	}
	if (thread) {
		close(there[1]);
		pthread_join(other.thread, NULL);
	} else {
		end_child(other.pid);
	}
	print_result(b, r);
	return 0;
}

int bench_pipe(const struct bench *b)
{
	struct result r = { .row = "pipe", .per = 2 };

	return pipe_switches(b, &r, false);
}

/* Both ends share their memory: no switch of page tables. */
int bench_threads(const struct bench *b)
{
	struct result r = { .row = "threads", .per = 2 };

	return pipe_switches(b, &r, true);
}

/* ---- yield ---- */

struct turn {
	int64_t stamp;
	int last;
};

static void take_turns(struct turn *t, int me, int n)
{
	while (n-- > 0) {
		int64_t now = stamp();

		/* Only if the other one ran since. */
		if (me && t->last != me)
			add_sample(&samples, now - t->stamp);
		t->last = me;
		t->stamp = stamp();
		sched_yield();
	}
}

int bench_yield(const struct bench *b)
{
	struct result r = { .row = "yield" };
	struct turn *t = shared(sizeof(*t));
	pid_t pid;
	int rep;

	if (!t)
		return fail("no shared memory", -ENOMEM);
	if (pin(0, b->cpus[0]))
		return 1;
	pid = start_child();
	if (pid < 0)
		return fail("no second process", -errno);
	if (!pid)
		for (;;)
			take_turns(t, 0, MAX_ROUNDS);
	for (rep = 0; rep <= b->reps; rep++) {
		take_turns(t, 1, rounds(b, 2000));
		if (!rep)
			samples.n = 0;
		end_repetition(&samples, &r);
	}
	end_child(pid);
	if (r.n != b->reps)
		return fail("the two processes did not take turns", -EAGAIN);
	print_result(b, &r);
	return 0;
}

/* ---- fork ---- */

int bench_fork(const struct bench *b)
{
	struct result r = { .row = "fork" };
	int rep, i;

	if (pin(0, b->cpus[0]))
		return 1;
	for (rep = 0; rep <= b->reps; rep++) {
		for (i = 0; i < rounds(b, 300); i++) {
			int64_t start = stamp();
			pid_t pid = fork();

			if (!pid)
				_exit(0);
			if (pid < 0 || waitpid(pid, NULL, 0) != pid)
				return fail("no second process", -errno);
			add_sample(&samples, stamp() - start);
		}
		if (!rep)
			samples.n = 0;
		end_repetition(&samples, &r);
	}
	print_result(b, &r);
	return 0;
}

/* ---- tick ---- */

static int64_t work(void)
{
	int64_t start = stamp();

	for (int i = 0; i < 200; i++)
		__asm__ volatile("");
	return stamp() - start;
}

/*
 * A thread that does the same little work over and over. Each time that it took
 * longer something interrupted it: the tick, with all that it does.
 */
int bench_tick(const struct bench *b)
{
	struct result r = { .row = "tick" };
	int64_t usual = INT64_MAX, took;
	int rep, i;

	if (pin(0, b->cpus[0]))
		return 1;
	for (i = 0; i < 1000; i++) {
		took = work();
		if (took < usual)
			usual = took;
	}
	for (rep = 0; rep <= b->reps; rep++) {
		while (samples.n < rounds(b, 25)) {
			took = work();
			/* An interrupt is hundreds of instructions. */
			if (took > usual + 500)
				add_sample(&samples, took - usual);
		}
		if (!rep)
			samples.n = 0;
		end_repetition(&samples, &r);
	}
	print_result(b, &r);
	return 0;
}

/* ---- unit ---- */

/* Is a step of stamp() an instruction? Else the other rows would lie. */
int bench_unit(const struct bench *b)
{
#ifdef __x86_64__
	struct result r = { .row = "unit" };
	int rep, i;

	for (rep = 0; rep < b->reps; rep++) {
		for (i = 0; i < 100; i++) {
			int64_t start = stamp();
			long n = 5000;

			__asm__ volatile("1: dec %0; jnz 1b" : "+r" (n));
			add_sample(&samples, stamp() - start);
		}
		end_repetition(&samples, &r);
	}
	print_result(b, &r);
	if (!b->instructions || (r.value[0] > 9990 && r.value[0] < 10060))
		return 0;
#endif
	fprintf(stderr,
		"ghost-bench: 10000 instructions do not count as such here\n"
		"  run the guest with -accel tcg,thread=single -icount shift=0,sleep=off\n");
	return 1;
}
