/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/* What the tests and the policy in fifo.bpf.c share. */
#ifndef FIFO_H
#define FIFO_H

#include <linux/ghost.h>

#define FIFO_CPUS	8
#define FIFO_TASKS	4096

struct fifo {
	__u64 attempt[FIFO_CPUS];	/* barrier of the last run_gtid */
	__u64 pushed;
	__u64 popped;
	__u64 latched;
	__u64 again;			/* put back after a failure */
	__u64 full;			/* the queue had no room */
	__u64 ticks;
	__u32 idle[FIFO_CPUS];		/* found nothing to run */
};

#endif /* FIFO_H */
