/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Lists of tasks, as they lie in the memory that the process maps, too. */
#ifndef FIFO_H
#define FIFO_H

#include "frame.h"

/* How many lists a policy has, a power of two. */
#ifndef FIFO_LISTS
#define FIFO_LISTS	(2 * FRAME_CPUS)
#endif

/**
 * struct fifo_link - place of a task
 * @next: node, as below
 * @prev: node
 * @list: plus one, 0 = on none
 *
 * A node is an index plus one: 0 is none. So memory that is zero is empty.
 */
struct fifo_link {
	__u32 next;
	__u32 prev;
	__u32 list;
};

/**
 * struct fifo_list - first in, first out
 * @first: node
 * @last: node
 * @length: nodes on it
 */
struct fifo_list {
	__u32 first;
	__u32 last;
	__u32 length;
};

#endif /* FIFO_H */
