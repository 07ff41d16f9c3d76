// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * hybrid: the programs pick by level, and levels are planned by a thread of the
 * process, which reads what the tasks ran and writes the plan.
 *
 * There is a queue for all CPUs and one for each. A task that waits stands for the
 * time at which it began to, plus AGE_NS for each level; the smallest of all runs
 * next. Within a level that is the first of a list, so it is enough to compare the
 * first of each.
 */
#include "levels.h"
#include "../frame/fifo.bpf.h"

#define AGE_NS		10000000ULL	/* wait that is worth a level */
#define EVERYWHERE	FRAME_CPUS	/* number of the queue for all CPUs */
#define NEVER		(~0ULL)

char _license[] SEC("license") = "Dual BSD/GPL";

struct level_queue queues[2 * FRAME_CPUS];

/* Level by index of the task; written by the process alone. */
__u8 plan[FRAME_TASKS];

static __always_inline __u32 level_of(__u32 idx, const struct frame_task *t)
{
	__u32 level = plan[idx & (FRAME_TASKS - 1)];

	return level < LEVELS ? level : LEVELS - 1;
}

static __always_inline struct level_queue *queue_at(__u32 queue)
{
	return &queues[queue & (2 * FRAME_CPUS - 1)];
}

static __always_inline void level_take(__u32 node)
{
	__u32 list = fifo_link(node)->list - 1;

	fifo_remove(node);
	if (!fifo_list(list)->first)
		queue_at(list / LEVELS)->levels &= ~(1ULL << (list % LEVELS));
}

static __always_inline bool policy_admit(__u32 idx)
{
	return true;
}

static __always_inline __u32 policy_enqueue(__u32 idx, struct frame_task *t, __u32 cpu,
					    __u16 type, __u64 now)
{
	__u32 queue = cpu == FRAME_NONE ? EVERYWHERE : cpu & (FRAME_CPUS - 1);
	__u32 level = level_of(idx, t);

	bpf_spin_lock(&fifo_lock);
	fifo_push(queue * LEVELS + level, idx + 1);
	queue_at(queue)->levels |= 1ULL << level;
	bpf_spin_unlock(&fifo_lock);
	return cpu;
}

static __always_inline void policy_dequeue(__u32 idx, struct frame_task *t)
{
	if (!fifo_link(idx + 1)->list)	/* as in fifo_leave() */
		return;
	bpf_spin_lock(&fifo_lock);
	if (fifo_link(idx + 1)->list)
		level_take(idx + 1);
	bpf_spin_unlock(&fifo_lock);
}

/* Who is next of a queue, if better than *@best. */
static __always_inline __u32 better(__u32 queue, __u64 *best, __u32 node)
{
	__u64 levels = queue_at(queue)->levels;
	__u32 i;

	for (i = 0; i < LEVELS && levels; i++) {
		__u32 level = first_bit(levels), first;
		__u64 key;

		levels &= levels - 1;
		first = fifo_list(queue * LEVELS + level)->first;
		key = task_at(first - 1)->queued_at + level * AGE_NS;
		if (first && key < *best) {
			*best = key;
			node = first;
		}
	}
	return node;
}

static __always_inline __u32 policy_pick(__u32 cpu)
{
	__u64 best = NEVER;
	__u32 node = 0;

	bpf_spin_lock(&fifo_lock);
	node = better(EVERYWHERE, &best, node);
	node = better(cpu & (FRAME_CPUS - 1), &best, node);
	if (node)
		level_take(node);
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

/* A guess, without the lock: would anybody come before it, if it waited now? */
static __always_inline bool policy_waiting(__u32 cpu, struct frame_cpu *c)
{
	__u64 best = bpf_ktime_get_ns() +
		level_of(c->curr, task_at(c->curr)) * AGE_NS;
	__u32 node = 0;

	node = better(EVERYWHERE, &best, node);
	node = better(cpu & (FRAME_CPUS - 1), &best, node);
	return node;
}

static __always_inline bool policy_surplus(__u32 cpu)
{
	return queue_at(EVERYWHERE)->levels;
}

static __always_inline bool policy_preempts(__u32 idx, __u32 curr)
{
	return level_of(idx, task_at(idx)) < level_of(curr, task_at(curr));
}
