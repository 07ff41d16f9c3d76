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
 * @weight: of its nice value and its hint when it was queued
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

/**
 * struct fair_hint - what the application said of a task, written by the process
 * @gtid: task that it is about: the index may be another one's by now
 * @slice: ns that it asks for at once, 0 = as all do
 * @percent: of the weight of its nice value
 */
struct fair_hint {
	__u64 gtid;
	__u64 slice;
	__u32 percent;
};

#endif /* EEVDF_H */
