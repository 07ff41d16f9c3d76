/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/* Part of <ghost/ghost.h>: words for numbers, and numbers for words. */
#ifndef GHOST_WORDS_H
#define GHOST_WORDS_H

#include <stdint.h>
#include <linux/ghost.h>
#include <ghost/api.h>

GHOST_BEGIN_DECLS

/**
 * ghost_txn_state_name() - "COMPLETE", "TARGET_STALE", ...
 * @state: enum ghost_txn_state, or what else can be in a transaction
 *
 * Return: "READY" and "CLAIMED" for those that have no answer, "UNKNOWN" for a
 * number that is none; never NULL.
 */
GHOST_API const char *ghost_txn_state_name(int32_t state);

/**
 * ghost_txn_state_hint() - what a refused commit means
 * @state: enum ghost_txn_state
 *
 * Return: half a sentence with the cause or the next step, or NULL.
 */
GHOST_API const char *ghost_txn_state_hint(int32_t state);

/**
 * ghost_msg_name() - "TASK_NEW", "CPU_TICK", ...
 * @type: enum ghost_msg_type
 *
 * Return: "UNKNOWN" for a number that is none; never NULL.
 */
GHOST_API const char *ghost_msg_name(int type);

/**
 * ghost_hint() - what a person can do about an error
 * @err: -errno from this library
 *
 * Return: half a sentence with the usual cause and the next step, or NULL.
 */
GHOST_API const char *ghost_hint(int err);

/**
 * ghost_fs_problem() - why ghostfs cannot be used
 * @root: mount point, or NULL
 *
 * Return: the reason and the next step, or NULL if it can.
 */
GHOST_API const char *ghost_fs_problem(const char *root);

/**
 * ghost_parse_cpus() - parse a CPU list such as "0-3,7"
 * @list: text; an empty one is an empty set
 * @cpus: receives the CPUs, ascending
 * @max: room in @cpus
 *
 * Return: number of CPUs, or -EINVAL, -ERANGE (more than @max).
 */
GHOST_API int ghost_parse_cpus(const char *list, int *cpus, int max);

GHOST_END_DECLS

#endif /* GHOST_WORDS_H */
