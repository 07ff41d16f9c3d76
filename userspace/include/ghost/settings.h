/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * Part of <ghost/ghost.h>: what an enclave can be asked, and what can be
 * changed in it while it lives. These functions open files, which agents may
 * not do (-EDEADLK).
 */
#ifndef GHOST_SETTINGS_H
#define GHOST_SETTINGS_H

#include <ghost/sys.h>

GHOST_BEGIN_DECLS

struct ghost_enclave;
struct ghost_queue;

/* ---- tunables ---- */

/**
 * enum ghost_unit - what the number in a tunable is
 * @GHOST_UNIT_SWITCH: 0 or 1
 * @GHOST_UNIT_MS: milliseconds
 * @GHOST_UNIT_COUNT: a number of something
 */
enum ghost_unit {
	GHOST_UNIT_SWITCH,
	GHOST_UNIT_MS,
	GHOST_UNIT_COUNT,
};

/**
 * struct ghost_tunable - a tunable that this library knows
 * @name: of the file
 * @unit: of the value
 * @help: what it does, half a line
 */
struct ghost_tunable {
	const char *name;
	enum ghost_unit unit;
	const char *help;
};

/**
 * ghost_tunable_at() - go through the tunables
 * @i: from 0
 *
 * The kernel may have more, or fewer.
 *
 * Return: the @i-th by name, or NULL behind the last.
 */
GHOST_API const struct ghost_tunable *ghost_tunable_at(int i);

/**
 * ghost_tunable_find() - look a tunable up
 * @name: of the file
 *
 * Return: what is known of it, or NULL.
 */
GHOST_API const struct ghost_tunable *ghost_tunable_find(const char *name);

/**
 * ghost_enclave_get_tunable() - read a tunable
 * @enclave: enclave
 * @name: for instance "deliver_ticks"
 * @value: result; see enum ghost_unit
 *
 * Return: 0; -ENOENT: this kernel has no such tunable; -EINVAL: that is no
 * tunable.
 */
GHOST_API int ghost_enclave_get_tunable(const struct ghost_enclave *enclave,
					const char *name, unsigned long *value);

/**
 * ghost_enclave_set_tunable() - set a tunable
 * @enclave: enclave
 * @name: for instance "deliver_ticks"
 * @value: see enum ghost_unit
 *
 * Return: 0; -ENOENT: this kernel has no such tunable; -EINVAL: that is no
 * tunable, or the value is too large; -EACCES.
 */
GHOST_API int ghost_enclave_set_tunable(const struct ghost_enclave *enclave,
					const char *name, unsigned long value);

/**
 * ghost_enclave_has_feature() - does the kernel have something beyond the ABI
 * @enclave: enclave
 * @name: a line of the file "features", for instance "max_tasks"
 *
 * Return: 1, 0 or -errno.
 */
GHOST_API int ghost_enclave_has_feature(const struct ghost_enclave *enclave,
					const char *name);

/* ---- state ---- */

/**
 * ghost_enclave_status() - what the kernel says of it now
 * @enclave: enclave
 * @status: result
 */
GHOST_API int ghost_enclave_status(const struct ghost_enclave *enclave,
				   struct ghost_status *status);

/**
 * ghost_enclave_wait_online() - wait until agents come or go
 * @enclave: enclave
 * @online: what to wait for
 * @timeout_ms: -1 = for ever
 *
 * Return: 0; -ETIMEDOUT; -EINTR; -ENODEV: the enclave has been destroyed.
 */
GHOST_API int ghost_enclave_wait_online(const struct ghost_enclave *enclave,
					bool online, int timeout_ms);

/* ---- members ---- */

/**
 * ghost_enclave_add_task() - move a thread into the enclave
 * @enclave: enclave
 * @id: thread id in the caller's pid namespace, a gtid, or 0 for the caller
 *
 * Return: as ghost_fs_add_task().
 */
GHOST_API int ghost_enclave_add_task(const struct ghost_enclave *enclave,
				     int64_t id);

/**
 * ghost_enclave_members() - the threads in the enclave, agents left out
 * @enclave: enclave
 * @tids: filled with at most @max ids, of the initial pid namespace
 * @max: room in @tids
 *
 * Return: how many there are (may exceed @max), or -errno.
 */
GHOST_API int ghost_enclave_members(const struct ghost_enclave *enclave,
				    int *tids, int max);

/**
 * ghost_enclave_discover() - have MSG_TASK_NEW sent again for every member
 * @enclave: enclave
 *
 * For policies that do not start by a crew, which finds the members itself.
 *
 * Return: 0 or -ENOMEM. Agents may call it.
 */
GHOST_API int ghost_enclave_discover(const struct ghost_enclave *enclave);

/* ---- changes ---- */

/**
 * ghost_enclave_set_cpus() - replace the CPUs of the enclave
 * @enclave: enclave; no other thread may be using it
 * @cpus: CPU list
 *
 * A crew keeps the CPUs that it was created with.
 *
 * Return: as ghost_fs_set_cpus(); -EEXIST: a CPU that is to go has an agent.
 */
GHOST_API int ghost_enclave_set_cpus(struct ghost_enclave *enclave,
				     const char *cpus);

/**
 * ghost_enclave_set_default_queue() - queue of tasks that join from now on
 * @enclave: enclave
 * @queue: of this enclave; closing it unsets it
 *
 * A crew sets its first queue. Agents may call it.
 *
 * Return: 0; -EINVAL: it is of another enclave.
 */
GHOST_API int ghost_enclave_set_default_queue(struct ghost_enclave *enclave,
					      struct ghost_queue *queue);

/**
 * ghost_enclave_add_region() - make room for more status words on a node
 * @enclave: enclave
 * @node: NUMA node
 *
 * ghost_enclave_make_room() does that as needed, on node 0.
 *
 * Return: 0; -ENODEV: no such node; -ENOSPC: there are 256 regions; -ENOMEM.
 */
GHOST_API int ghost_enclave_add_region(struct ghost_enclave *enclave, int node);

/**
 * ghost_enclave_ban_bpf_load() - the calling process loads no BPF any more
 * @enclave: any enclave
 *
 * Nor do the children that it has from now on. There is no way back. Agents
 * may call it.
 */
GHOST_API int ghost_enclave_ban_bpf_load(const struct ghost_enclave *enclave);

GHOST_END_DECLS

#endif /* GHOST_SETTINGS_H */
