/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * Races on purpose: random delays, bounded rounds, and counts of how often a
 * window was met. A race that has not met each of its windows often enough
 * proves nothing: it says so, with the counts, and is not counted as passed.
 */
#ifndef RACE_H
#define RACE_H

#include <stdio.h>
#include <stdlib.h>

#include "gt.h"

#define RACE_ROUNDS	4000	/* at most, and: */
#define RACE_MS		15000

struct race_window {
	const char *name;
	long seen;
	long wanted;
};

struct race {
	unsigned int seed;
	int64_t end;
	long rounds, max;
};

static inline void race_start(struct race *r, long max, int ms)
{
	r->seed = gt_now_ms();
	r->end = gt_now_ms() + ms;
	r->rounds = 0;
	r->max = max;
}

static inline bool race_goes_on(struct race *r)
{
	return r->rounds < r->max && gt_now_ms() < r->end && ++r->rounds;
}

/* From nothing to many system calls, each magnitude equally often. */
static inline void race_delay(unsigned int *seed)
{
	unsigned int magnitude = rand_r(seed) % 20, n;

	for (n = rand_r(seed) % (1U << magnitude); n; n--)
		__asm__ volatile("" ::: "memory");
}

/* Prints the counts into @buf; false if a window was not met often enough. */
static inline bool race_met(const struct race *r, const struct race_window *w,
			    int nr, char *buf, size_t size)
{
	bool met = true;
	int n, i;

	n = snprintf(buf, size, "%ld rounds", r->rounds);
	for (i = 0; i < nr && n < size; i++) {
		n += snprintf(buf + n, size - n, ", %s %ld", w[i].name,
			      w[i].seen);
		if (w[i].seen >= w[i].wanted)
			continue;
		met = false;
		if (n < size)
			n += snprintf(buf + n, size - n, " of %ld", w[i].wanted);
	}
	return met;
}

/* The end of a test; a failure before it stays one. */
#define RACE_VERDICT(r, windows) do {					\
	char __counts[256];						\
	bool __met = race_met(r, windows, ARRAY_SIZE(windows), __counts,\
			      sizeof(__counts));			\
									\
	printf("# counted: %s: %s\n", _metadata->name, __counts);	\
	if (!__met && __test_passed(_metadata))				\
		SKIP(break, "windows were missed: %s", __counts);	\
} while (0)

#endif /* RACE_H */
