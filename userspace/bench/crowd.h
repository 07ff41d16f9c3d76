/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/* Many threads that sleep, for rows in which only their number counts. */
#ifndef BENCH_CROWD_H
#define BENCH_CROWD_H

#include <signal.h>
#include <sys/types.h>

#define MAX_CROWD	100000

/* Wakes a thread, which goes back to sleep. */
#define CROWD_SIGNAL	SIGUSR1

/**
 * struct crowd - threads of some child processes
 * @n: number of threads
 * @tid: their ids, in memory shared with them
 */
struct crowd {
	int n;
	pid_t *tid;
};

/* Returns when all @n sleep; they end with the caller. */
int start_crowd(struct crowd *c, int n);

#endif /* BENCH_CROWD_H */
