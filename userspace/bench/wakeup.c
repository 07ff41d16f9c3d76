// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * How late a thread wakes up that slept until a point in time, on a CPU where
 * nobody else wants to run, and beside a process that always does. Under any
 * scheduler. Not the median is what one wants to know of this, but the tail.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

#define NSEC_PER_SEC	1000000000LL
#define LEAST_NS	300000	/* a sleep, and up to twice as much again */
#define STEP_NS		7919	/* never in step with the tick */

static struct samples samples;

static int start_busy(const struct bench *b, pid_t *pid)
{
	fflush(stdout);
	*pid = fork();
	if (*pid < 0)
		return fail("no second process", -errno);
	if (*pid)
		return 0;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (pin(0, b->cpus[0]))
		_exit(1);
	for (;;)
		__asm__ volatile("");
}

static void sleep_late(int i)
{
	int64_t when = bench_clock_ns() + LEAST_NS +
		(int64_t)i * STEP_NS % (2 * LEAST_NS);
	const struct timespec ts = {
		.tv_sec = when / NSEC_PER_SEC,
		.tv_nsec = when % NSEC_PER_SEC,
	};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) ==
	       EINTR)
		;
	add_sample(&samples, bench_clock_ns() - when);
}

static int wakeups(const struct bench *b, struct result r[4], bool busy)
{
	static const int percents[4] = { 50, 95, 99, 100 };
	pid_t pid = 0;
	int rep, i;

	if (pin(0, b->cpus[0]) || (busy && start_busy(b, &pid)))
		return 1;
	/* Or timers are late on purpose, up to 50 us. */
	prctl(PR_SET_TIMERSLACK, 1);
	for (rep = 0; rep <= b->reps; rep++) {
		for (i = 0; i < (b->rounds ? b->rounds : 500); i++)
			sleep_late(i);
		for (i = 0; rep && i < 4; i++)
			add_percentile(&samples, percents[i], &r[i]);
		samples.n = 0;
	}
	if (busy) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	for (i = 0; i < 4; i++)
		print_result(b, &r[i]);
	return 0;
}

int bench_wakeup(const struct bench *b)
{
	struct result r[4] = {
		{ .row = "wakeup-50" }, { .row = "wakeup-95" },
		{ .row = "wakeup-99" }, { .row = "wakeup-max" },
	};

	return wakeups(b, r, false);
}

int bench_wakeup_busy(const struct bench *b)
{
	struct result r[4] = {
		{ .row = "wakeup-busy-50" }, { .row = "wakeup-busy-95" },
		{ .row = "wakeup-busy-99" }, { .row = "wakeup-busy-max" },
	};

	return wakeups(b, r, true);
}
