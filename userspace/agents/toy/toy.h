/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the programs and the process of toy tell each other. */
#ifndef TOY_H
#define TOY_H

#include "../frame/fifo.h"

#define TOY_QUEUE	4096	/* room in each of the two maps */

/**
 * struct toy_item - a task that wants a CPU
 * @idx: its index
 * @ticket: how often it has begun to wait; an item of old is of no use
 */
struct toy_item {
	__u32 idx;
	__u32 ticket;
};

/**
 * struct toy_shared - counters, each written by one side or atomically
 * @up: items handed to the process
 * @direct: tasks that the programs queued themselves: of one CPU only, or
 *	because there was no room
 * @full: of these, those for which there was no room
 * @stale: items that were of no use when a CPU took them
 * @down: items handed to the programs
 * @taken: of these, those that a CPU took
 * @held: items that the process holds, for want of room
 * @failed: attempts to hand an item to the programs without room for it
 */
struct toy_shared {
	__u64 up;
	__u64 direct;
	__u64 full;
	__u64 stale;
	__u64 down;
	__u64 taken;
	__u64 held;
	__u64 failed;
};

#endif /* TOY_H */
