// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Two threads that compute, and tell the policy which of them matters:
 *
 *	ghost-eevdf-bpf --cpus 1 --hints /run/ghost-hints &
 *	ghostctl run 1 -- hints /run/ghost-hints
 *
 * Without an argument they say nothing, and share the CPU equally. With a second
 * one it gives a hint about thread TID, which is refused: it is none of its own.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <ghost/ghost.h>

#define MEASURE_NS	1000000000LL
#define PATIENCE	2000		/* of 10 ms */

struct computer {
	const char *name;
	struct ghost_hint hint;
	struct ghost_hints *hints;
	pthread_t thread;
	int tid;
	long long begin;
	volatile int stop;
};

static struct computer computers[] = {
	{
		.name = "foreground",
		.hint = { .weight = 400, .latency = GHOST_LATENCY_URGENT },
	}, {
		.name = "background",
		.hint = { .weight = 40, .latency = GHOST_LATENCY_BATCH },
	},
};

static void pause_10ms(void)
{
	const struct timespec ts = { .tv_nsec = 10000000 };

	nanosleep(&ts, NULL);
}

static void check(const char *what, int err)
{
	if (!err)
		return;
	fprintf(stderr, "hints: %s: %s\n", what, strerror(-err));
	exit(1);
}

/* Until the policy has taken it, or says what is wrong with it. */
static int result(struct ghost_hints *hints, int tid)
{
	int tries, err = -EAGAIN;

	for (tries = 0; tries < PATIENCE && (err == -EAGAIN || err == -ENOENT);
	     tries++) {
		pause_10ms();
		err = ghost_hints_result(hints, tid);
	}
	return err;
}

static void *compute(void *arg)
{
	struct computer *c = arg;

	if (c->hints)
		check(c->name, ghost_hints_set(c->hints, 0, &c->hint));
	__atomic_store_n(&c->tid, gettid(), __ATOMIC_RELEASE);
	while (!c->stop)
		;
	return NULL;
}

static long long used(struct computer *c)
{
	struct timespec ts;
	clockid_t clock;

	pthread_getcpuclockid(c->thread, &clock);
	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec - c->begin;
}

static void run(struct ghost_hints *hints)
{
	long long all = 0;
	struct computer *c;

	for (c = computers; c < computers + 2; c++) {
		c->hints = hints;
		check(c->name, -pthread_create(&c->thread, NULL, compute, c));
	}
	for (c = computers; c < computers + 2; c++) {
		while (!__atomic_load_n(&c->tid, __ATOMIC_ACQUIRE))
			pause_10ms();
		if (hints)
			check(c->name, result(hints, c->tid));
	}
	for (c = computers; c < computers + 2; c++)
		c->begin = used(c);
	while (all < MEASURE_NS) {
		pause_10ms();
		all = used(&computers[0]) + used(&computers[1]);
	}
	for (c = computers; c < computers + 2; c++)
		printf("%s %lld %%\n", c->name, 100 * used(c) / all);
	for (c = computers; c < computers + 2; c++) {
		c->stop = 1;
		pthread_join(c->thread, NULL);
	}
}

int main(int argc, char **argv)
{
	struct ghost_hints *hints = NULL;

	if (argc > 1)
		check(argv[1], ghost_hints_open(&hints, argv[1]));
	if (argc > 2) {
		check(argv[2], ghost_hints_set(hints, atoi(argv[2]),
					       &computers[0].hint));
		check(argv[2], result(hints, atoi(argv[2])));
	}
	run(hints);
	ghost_hints_close(hints);
	return 0;
}
