/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * Hints: what an application tells a policy about its own threads, through
 * memory that both map. See ghost_hints(3).
 *
 *	ghost_hints		the application's side; needs no capability
 *	ghost_hint_server	the policy's side
 *
 * The policy listens on a Unix stream socket. To each process that connects it
 * sends a struct ghost_hints_reply and, with it, the descriptor of a BPF array
 * that is for this process alone: GHOST_HINTS_SLOTS of struct ghost_hint_slot. A
 * connection that ends takes its hints with it.
 */
#ifndef GHOST_HINTS_H
#define GHOST_HINTS_H

#include <stdbool.h>
#include <stdint.h>
#include <ghost/api.h>

GHOST_BEGIN_DECLS

#define GHOST_HINTS_VERSION		1
#define GHOST_HINTS_SLOTS		128
#define GHOST_HINT_WEIGHT		100	/* what a thread has without */
#define GHOST_HINT_MAX_WEIGHT		10000
#define GHOST_HINT_MIN_DEADLINE		100000ULL	/* ns */
#define GHOST_HINT_MAX_DEADLINE		100000000ULL

/**
 * enum ghost_latency - how a thread is to wait for a CPU
 * @GHOST_LATENCY_NORMAL: as all do
 * @GHOST_LATENCY_URGENT: shortly, and it may run shortly, too
 * @GHOST_LATENCY_BATCH: long, and it would run long without being disturbed
 */
enum ghost_latency {
	GHOST_LATENCY_NORMAL,
	GHOST_LATENCY_URGENT,
	GHOST_LATENCY_BATCH,
};

/**
 * struct ghost_hint - about a thread
 * @weight: of its share, 1 to GHOST_HINT_MAX_WEIGHT in per cent of what its nice
 *	value gives, or 0 for GHOST_HINT_WEIGHT
 * @latency: enum ghost_latency
 * @deadline_ns: time from wanting a CPU to having had what it needs of it, or 0
 *	for that of @latency
 */
struct ghost_hint {
	uint32_t weight;
	uint32_t latency;
	uint64_t deadline_ns;
};

/**
 * struct ghost_hint_slot - a hint in the shared memory
 * @seq: odd while the application writes @tid and @hint, steps by 2
 * @tid: thread, 0 is a free slot
 * @hint: about it
 * @seen: @seq that @result is about
 * @result: what ghost_hints_result() returns
 */
struct ghost_hint_slot {
	uint32_t seq;
	int32_t tid;
	struct ghost_hint hint;
	uint32_t seen;
	int32_t result;
};

/**
 * struct ghost_hints_reply - what a process gets that connects
 * @version: GHOST_HINTS_VERSION
 * @error: 0, or -errno and no descriptor
 */
struct ghost_hints_reply {
	uint32_t version;
	int32_t error;
};

struct ghost_hints;

/**
 * ghost_hints_open() - get the memory for hints of this process
 * @hints: result
 * @path: socket of the policy
 *
 * Children do not inherit it. All threads of the process may use it.
 *
 * Return: 0; -EBUSY: the process has it open already; -EDQUOT: too many
 * processes of this user do; -EUSERS: too many of all users; -ETIMEDOUT: no
 * answer within a minute; -EPROTO: another version; -ESRCH: the policy does not
 * see this process; or what connect(2) says.
 */
GHOST_API int ghost_hints_open(struct ghost_hints **hints, const char *path);

/**
 * ghost_hints_set() - give a hint, or replace it
 * @hints: open
 * @tid: thread of this process, 0 is the caller
 * @hint: about it, or NULL for none
 *
 * Needs no system call but those that ask for the caller's ids. The policy looks
 * now and then; ghost_hints_result() tells what it did.
 *
 * Return: 0; -EINVAL: a value is out of range; -ENOSPC: all slots are used by
 * threads that live; -EPERM: @hints are of the parent process.
 */
GHOST_API int ghost_hints_set(struct ghost_hints *hints, int tid,
			      const struct ghost_hint *hint);

/**
 * ghost_hints_result() - what the policy made of a hint
 * @hints: open
 * @tid: thread, 0 is the caller
 *
 * Return: 0: in effect; -EAGAIN: not looked at yet; -ENOENT: not now a task of
 * the policy, or there is no hint about @tid; -ESRCH: no thread of this process,
 * or gone; -EINVAL: a value is out of range; -ENOTCONN: the policy has gone.
 */
GHOST_API int ghost_hints_result(struct ghost_hints *hints, int tid);

/**
 * ghost_hints_close() - withdraw all hints
 * @hints: open, or NULL
 */
GHOST_API void ghost_hints_close(struct ghost_hints *hints);

/* ---- the policy's side ---- */

#define GHOST_HINTS_CLIENTS		128	/* processes with hints */
#define GHOST_HINTS_USER_CLIENTS	32	/* of one user */

struct ghost_hint_server;

/**
 * typedef ghost_hint_fn - the policy takes a hint
 * @arg: from ghost_hint_server_create()
 * @gtid: thread of the process that gave it
 * @hint: checked copy, or NULL when it is withdrawn
 *
 * Is called again each second for a hint that stands.
 *
 * Return: 0, or -ENOENT if the thread is no task of the policy.
 */
typedef int (*ghost_hint_fn)(void *arg, int64_t gtid,
			     const struct ghost_hint *hint);

/**
 * struct ghost_hint_counts - what came in
 * @clients: processes that are connected
 * @refused: connections refused
 * @taken: hints passed on to the policy, each once
 * @foreign: of threads that are none of the process that wrote them
 * @bad: with a value out of range
 */
struct ghost_hint_counts {
	unsigned long clients;
	unsigned long refused;
	unsigned long taken;
	unsigned long foreign;
	unsigned long bad;
};

/**
 * ghost_hint_server_create() - listen for processes with hints
 * @server: result
 * @path: socket, which everyone may connect to who reaches it; one that is there
 *	is replaced
 * @take: is called by ghost_hint_server_work()
 * @arg: of @take
 *
 * Return: 0; -EEXIST: @path is no socket; -ENAMETOOLONG; or another -errno.
 */
GHOST_API int ghost_hint_server_create(struct ghost_hint_server **server,
				       const char *path, ghost_hint_fn take,
				       void *arg);

/**
 * ghost_hint_server_work() - serve who has connected, look at the hints
 * @server: server
 *
 * To be called some times a second. Never waits, and does a bounded amount of
 * work for each process, whatever they write or do.
 */
GHOST_API void ghost_hint_server_work(struct ghost_hint_server *server);

/**
 * ghost_hint_server_counts() - what came in since the start
 * @server: server
 * @counts: result
 */
GHOST_API void ghost_hint_server_counts(const struct ghost_hint_server *server,
					struct ghost_hint_counts *counts);

/**
 * ghost_hint_server_destroy() - withdraw all hints, remove the socket
 * @server: server, or NULL
 */
GHOST_API void ghost_hint_server_destroy(struct ghost_hint_server *server);

GHOST_END_DECLS

#endif /* GHOST_HINTS_H */
