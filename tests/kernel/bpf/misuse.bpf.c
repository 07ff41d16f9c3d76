// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs that are to be refused, all but "right"; bpf_misuse.c says why. They need
 * the ABI's types only.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <ghost/bpf.h>

char _license[] SEC("license") = "GPL";

const volatile char read_only[32] = "x";

static char buffer[32];
struct bpf_spin_lock lock SEC(".data.lock") __hidden;
struct bpf_spin_lock other_lock SEC(".data.other") __hidden;

#define PROGRAM(name) SEC("?ghost_sched") int name(struct bpf_ghost_sched *ctx)

PROGRAM(right)
{
	char comm[16];

	*(volatile __u8 *)ctx = 1;	/* all contexts have that */
	bpf_ghost_get_comm(1, comm, sizeof(comm));
	bpf_spin_lock(&lock);
	bpf_spin_unlock(&lock);
	return 0;
}

/* ---- the context ---- */

PROGRAM(context_at_a_variable_offset)
{
	__u32 i = bpf_get_prandom_u32() & 8;

	return *(volatile __u32 *)((void *)ctx + i);
}

PROGRAM(context_is_an_atomic)
{
	__sync_fetch_and_add(&ctx->next_gtid, 1);
	return 0;
}

PROGRAM(context_is_an_output)
{
	return bpf_ghost_get_comm(0, (void *)ctx, sizeof(*ctx));
}

/* ---- memory ---- */

PROGRAM(comm_of_unknown_size)
{
	char comm[16];

	return bpf_ghost_get_comm(0, comm, bpf_get_prandom_u32());
}

PROGRAM(comm_into_read_only)
{
	return bpf_ghost_get_comm(0, (char *)read_only, sizeof(read_only));
}

PROGRAM(affinity_into_read_only)
{
	return bpf_ghost_get_affinity(0, (__u8 *)read_only, sizeof(read_only));
}

PROGRAM(affinity_into_a_number)
{
	return bpf_ghost_get_affinity(0, (__u8 *)(long)ctx->next_gtid, 8);
}

PROGRAM(sync_commit_of_no_dynptr)
{
	struct bpf_dynptr ptr;

	return bpf_ghost_sync_commit(&ptr);
}

/* ---- under a lock, run queues cannot be locked ---- */

#define LOCKED(name, call)			\
PROGRAM(name)					\
{						\
	bpf_spin_lock(&lock);		\
	call;					\
	bpf_spin_unlock(&lock);		\
	return 0;				\
}

LOCKED(locked_run_gtid, bpf_ghost_run_gtid(1, 2, 0))
LOCKED(locked_wake_agent, bpf_ghost_wake_agent(1))
LOCKED(locked_resched_cpu2, bpf_ghost_resched_cpu2(1, 0))
LOCKED(locked_get_affinity, bpf_ghost_get_affinity(1, (__u8 *)buffer, 32))
LOCKED(locked_get_comm, bpf_ghost_get_comm(1, buffer, 32))

PROGRAM(locked_sync_commit)
{
	struct bpf_dynptr ptr;

	bpf_dynptr_from_mem(buffer, sizeof(buffer), 0, &ptr);
	bpf_spin_lock(&lock);
	bpf_ghost_sync_commit(&ptr);
	bpf_spin_unlock(&lock);
	return 0;
}

LOCKED(locked_twice, bpf_spin_lock(&other_lock))

PROGRAM(lock_is_kept)
{
	bpf_spin_lock(&lock);
	return 0;
}
