/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef EEVDF_H
#define EEVDF_H

#include "../frame/fifo.h"

/**
 * struct fair_task - a task
 * @vruntime: ns that it ran, by its weight; of the run queue that counts it
 * @deadline: vruntime at which it has had what it asked for
 * @lag: while no run queue counts it: by how much it was behind
 * @left: while no run queue counts it: from vruntime to deadline
 * @weight: of its nice value when it was queued
 * @rq: CPU whose run queue counts it, plus one, or 0
 * @heap: which heap it is in, if @waits
 * @pos: where in the heap
 * @waits: it is in a heap
 *
 * Written under the lock of the run queue @rq; @rq itself under the lock of the
 * kernel's run queue that the task is on, by its messages and when it is
 * latched.
 */
struct fair_task {
	__u64 vruntime;
	__u64 deadline;
	__s64 lag;
	__s64 left;
	__u32 weight;
	__u32 rq;
	__u32 heap;
	__u32 pos;
	__u32 waits;
};

#endif /* EEVDF_H */
