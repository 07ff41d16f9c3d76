// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * toy: a task that wants a CPU is handed to the process in one queue map, and
 * what the process says is to run comes back in another. The agent of the first
 * CPU decides, whenever it is woken for that.
 */
#include "toy.h"
#include "../frame/fifo.bpf.h"

#define EVERYWHERE	FRAME_CPUS
#define TAKES		8	/* items that one pick looks at */

char _license[] SEC("license") = "Dual BSD/GPL";

/* Whose agent decides; set before the programs are loaded. */
const volatile __u32 decider;

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, TOY_QUEUE);
	__type(value, struct toy_item);
} to_process SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, TOY_QUEUE);
	__type(value, struct toy_item);
} to_cpus SEC(".maps");

struct toy_shared shared;

/* Odd while the task waits for what the process says. Under the lock of the
 * kernel's run queue that it is on; a pick compares and exchanges it.
 */
__u32 tickets[FRAME_TASKS];

static __always_inline __u32 *ticket_of(__u32 idx)
{
	return &tickets[idx & (FRAME_TASKS - 1)];
}

static __always_inline bool hand_over(__u32 idx)
{
	__u32 *ticket = ticket_of(idx);
	struct toy_item item = { .idx = idx, .ticket = *ticket + 1 };

	*ticket = item.ticket;
	if (bpf_map_push_elem(&to_process, &item, 0)) {
		*ticket = item.ticket + 1;
		__sync_fetch_and_add(&shared.full, 1);
		return false;
	}
	__sync_fetch_and_add(&shared.up, 1);
	bpf_ghost_wake_agent(decider);
	return true;
}

static __always_inline bool policy_admit(__u32 idx)
{
	return true;
}

static __always_inline __u32 policy_enqueue(__u32 idx, struct frame_task *t, __u32 cpu,
					    __u16 type, __u64 now)
{
	__u32 list = cpu == FRAME_NONE ? EVERYWHERE : cpu & (FRAME_CPUS - 1);

	if (cpu == FRAME_NONE && hand_over(idx))
		return decider;
	__sync_fetch_and_add(&shared.direct, 1);
	bpf_spin_lock(&fifo_lock);
	fifo_push(list, idx + 1);
	bpf_spin_unlock(&fifo_lock);
	return cpu;
}

static __always_inline void policy_dequeue(__u32 idx, struct frame_task *t)
{
	__u32 ticket = *ticket_of(idx);

	if (ticket & 1)
		__sync_val_compare_and_swap(ticket_of(idx), ticket, ticket + 1);
	fifo_leave(idx + 1);
}

static __always_inline __u32 take(void)
{
	struct toy_item item;
	__u32 i;

	for (i = 0; i < TAKES; i++) {
		if (bpf_map_pop_elem(&to_cpus, &item))
			return FRAME_NONE;
		__sync_fetch_and_add(&shared.taken, 1);
		if (__sync_val_compare_and_swap(ticket_of(item.idx), item.ticket,
						item.ticket + 1) == item.ticket)
			return item.idx;
		__sync_fetch_and_add(&shared.stale, 1);
	}
	/* There may be better ones behind. */
	bpf_ghost_resched_cpu2(bpf_get_smp_processor_id(), RESCHED_ANY_CLASS);
	return FRAME_NONE;
}

static __always_inline __u32 first_of(__u32 list)
{
	__u32 node;

	bpf_spin_lock(&fifo_lock);
	node = fifo_list(list)->first;
	if (node)
		fifo_remove(node);
	bpf_spin_unlock(&fifo_lock);
	return node - 1;
}

static __always_inline bool more(void)
{
	return shared.down != shared.taken || fifo_list(EVERYWHERE)->first;
}

static __always_inline __u32 policy_pick(__u32 cpu)
{
	__u32 list = cpu & (FRAME_CPUS - 1);
	__u32 idx = FRAME_NONE;

	/* By turns, so that no queue waits for another to be empty. */
	if (cpu_at(cpu)->picks & 1)
		idx = take();
	if (idx == FRAME_NONE)
		idx = first_of(list);
	if (idx == FRAME_NONE)
		idx = first_of(EVERYWHERE);
	if (idx == FRAME_NONE)
		idx = take();
	if (shared.held)
		bpf_ghost_wake_agent(decider);
	return idx;
}

static __always_inline void policy_run(__u32 idx, struct frame_task *t,
				       struct frame_cpu *c, __u64 now)
{
	c->slice_end = now + slice_ns;
}

static __always_inline void policy_stop(__u32 idx, struct frame_task *t, __u64 now)
{
}

static __always_inline bool policy_waiting(__u32 cpu, struct frame_cpu *c)
{
	return more() || fifo_list(cpu & (FRAME_CPUS - 1))->first;
}

/* The process cannot kick a CPU: each that takes a task passes it on. */
static __always_inline bool policy_surplus(__u32 cpu)
{
	return more();
}

static __always_inline bool policy_preempts(__u32 idx, __u32 curr)
{
	return false;
}
