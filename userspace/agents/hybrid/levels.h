/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A queue of tasks by level, as it lies in the memory that the process maps. */
#ifndef LEVELS_H
#define LEVELS_H

#include "../frame/frame.h"

#define LEVELS		40	/* 0 comes first */
#define FIFO_LISTS	16384	/* LEVELS for each CPU, and for all */
#include "../frame/fifo.h"

/**
 * struct level_queue - a list for each level
 * @levels: a bit for each list that is not empty
 */
struct level_queue {
	__u64 levels;
};

#endif /* LEVELS_H */
