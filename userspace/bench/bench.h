/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * ghost-bench: one row of measurements a run.
 *
 * A row takes a number of repetitions. In each it stamps many single events
 * and keeps their median, or another percentile: the host of an emulated guest
 * takes its CPUs away for milliseconds, which a mean would be made of. What a
 * run prints are these, one a repetition.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stdint.h>

#define MAX_REPS	100
#define MAX_ROUNDS	10000
#define MAX_BATCH	8

/**
 * struct bench - what to measure, and where
 * @reps: repetitions, beside a first one that only warms up
 * @rounds: events a repetition, 0 = what the row thinks right
 * @cpus: CPUs to use, the agent's (or the waker's) first
 * @tasks: of the last step of "scale", 0 = what the row thinks right
 * @instructions: the guest runs under -icount: count instructions
 */
struct bench {
	int reps;
	int rounds;
	int cpus[MAX_BATCH + 1];
	int nr_cpus;
	int tasks;
	bool instructions;
};

/* The samples of one event in one repetition. */
struct samples {
	int n;
	int64_t value[MAX_ROUNDS];
};

/* The medians of all repetitions, each divided by @per; @unit NULL: of time. */
struct result {
	const char *row;
	const char *unit;
	int per;
	int n;
	double value[MAX_REPS];
};

void add_sample(struct samples *s, int64_t value);
/* The value that @percent of the samples do not exceed, one more of @r. */
void add_percentile(struct samples *s, int percent, struct result *r);
/* The median, and then no samples. */
void end_repetition(struct samples *s, struct result *r);
void print_result(const struct bench *b, const struct result *r);

/* Now, in nanoseconds, or in instructions since the guest started. */
extern bool bench_instructions;
int64_t bench_clock_ns(void);

static inline int64_t stamp(void)
{
#ifdef __x86_64__
	/* With -icount shift=0 the TSC counts the guest's instructions. */
	if (bench_instructions)
		return (int64_t)__builtin_ia32_rdtsc();
#endif
	return bench_clock_ns();
}

/* Each returns 0, or 1 after it has said why it could not measure. */
int fail(const char *what, int err);
int pin(int tid, int cpu);
void *shared(unsigned long size);

/* plain.c: rows for any scheduler */
int bench_pipe(const struct bench *b);
int bench_threads(const struct bench *b);
int bench_yield(const struct bench *b);
int bench_fork(const struct bench *b);
int bench_tick(const struct bench *b);
int bench_unit(const struct bench *b);

/* wakeup.c: too */
int bench_wakeup(const struct bench *b);
int bench_wakeup_busy(const struct bench *b);

/* gap.c: too */
int bench_gap(const struct bench *b);

/* switchto.c: rows for any scheduler, too */
int bench_futex(const struct bench *b);
int bench_switchto(const struct bench *b);

/* agent.c: rows in which this program is the agent */
int bench_local(const struct bench *b);
int bench_remote(const struct bench *b);
int bench_batch(const struct bench *b);
int bench_kill(const struct bench *b);

/* group.c: sync groups */
int bench_group(const struct bench *b);
int bench_both(const struct bench *b);

/* Each has a file of its own. */
int bench_at_schedule(const struct bench *b);
int bench_timer(const struct bench *b);
int bench_scale(const struct bench *b);
int bench_memory(const struct bench *b);

#endif /* BENCH_H */
