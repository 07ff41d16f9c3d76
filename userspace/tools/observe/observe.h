/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What ghostctl observe and its programs share. */
#ifndef OBSERVE_H
#define OBSERVE_H

#include <linux/types.h>
#include <linux/ghost.h>

#define OBSERVE_CPUS		8192
#define OBSERVE_CPU_WORDS	(OBSERVE_CPUS / 64)
#define OBSERVE_STATES		16	/* a power of two */
#define OBSERVE_TYPES		16	/* a power of two, of tasks' messages, and CPUs' */
#define OBSERVE_BUCKETS		32	/* a power of two */
#define OBSERVE_SLEEPERS	65536

/**
 * struct observed - what happened in the enclave
 * @messages: of tasks, by type from GHOST_TASK_MSG_FIRST, then of CPUs
 * @rung: those of them that went into a ring
 * @picks: tasks that were latched
 * @idles: times that the idle task was, on purpose
 * @commits: transactions with a result, by state from GHOST_TXN_STATE_BASE
 * @to_run: us from a wake-up until the task ran, by power of two
 * @to_latch: us from a CPU's becoming idle until a task was latched there
 *
 * Bucket 0 has what took less than 1 us, bucket N what took less than 2^N.
 */
struct observed {
	__u64 messages[2 * OBSERVE_TYPES];
	__u64 rung[2 * OBSERVE_TYPES];
	__u64 picks;
	__u64 idles;
	__u64 commits[OBSERVE_STATES];
	__u64 to_run[OBSERVE_BUCKETS];
	__u64 to_latch[OBSERVE_BUCKETS];
};

#endif /* OBSERVE_H */
