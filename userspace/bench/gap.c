// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * How long a thread that is always runnable stands still: the longest time from
 * one look at the clock to the next. SIGUSR1 ends a sample and begins another,
 * SIGTERM ends them all. Under any scheduler.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "bench.h"

static volatile sig_atomic_t next, done;

static void on_signal(int sig)
{
	if (sig == SIGTERM)
		done = 1;
	else
		next = 1;
}

int bench_gap(const struct bench *b)
{
	struct result r = { .row = "gap" };
	struct sigaction sa = { .sa_handler = on_signal };
	int64_t last, now, longest = 0;

	if (sigaction(SIGUSR1, &sa, NULL) || sigaction(SIGTERM, &sa, NULL))
		return fail("no signal handler", -errno);
	puts("ready");
	fflush(stdout);
	for (last = stamp(); !done; last = now) {
		now = stamp();
		if (now - last > longest)
			longest = now - last;
		if (next && r.n < MAX_REPS) {
			next = 0;
			r.value[r.n++] = (double)longest;
			longest = 0;
			now = stamp();
		}
	}
	print_result(b, &r);
	return 0;
}
