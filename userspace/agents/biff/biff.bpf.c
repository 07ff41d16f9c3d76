// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * biff: one queue for all CPUs, first come, first served, in time slices.
 *
 * A task that may not run everywhere waits in a list of its CPU. A CPU serves
 * whoever waits longer, the first of that list or the first of the queue.
 */
#include "../frame/fifo.bpf.h"

#define EVERYWHERE	FRAME_CPUS	/* number of the list for all CPUs */

char _license[] SEC("license") = "Dual BSD/GPL";

static __always_inline bool policy_admit(__u32 idx)
{
	return true;
}

static __always_inline __u32 policy_enqueue(__u32 idx, struct frame_task *t, __u32 cpu,
					    __u16 type, __u64 now)
{
	__u32 list = cpu == FRAME_NONE ? EVERYWHERE : cpu & (FRAME_CPUS - 1);

	bpf_spin_lock(&fifo_lock);
	fifo_push(list, idx + 1);
	bpf_spin_unlock(&fifo_lock);
	return cpu;
}

static __always_inline void policy_dequeue(__u32 idx, struct frame_task *t)
{
	fifo_leave(idx + 1);
}

static __always_inline __u32 policy_pick(__u32 cpu)
{
	__u32 node, other;

	bpf_spin_lock(&fifo_lock);
	node = fifo_list(EVERYWHERE)->first;
	other = fifo_list(cpu & (FRAME_CPUS - 1))->first;
	if (!node || (other && task_at(other - 1)->queued_at <
			       task_at(node - 1)->queued_at))
		node = other;
	if (node)
		fifo_remove(node);
	bpf_spin_unlock(&fifo_lock);
	return node - 1;		/* FRAME_NONE when there is none */
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
	return fifo_list(EVERYWHERE)->first ||
		fifo_list(cpu & (FRAME_CPUS - 1))->first;
}

static __always_inline bool policy_surplus(__u32 cpu)
{
	return fifo_list(EVERYWHERE)->first;
}

static __always_inline bool policy_preempts(__u32 idx, __u32 curr)
{
	return false;
}
