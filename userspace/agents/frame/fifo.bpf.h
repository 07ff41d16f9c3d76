/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Lists of tasks, first in, first out. The links are in arrays beside the
 * table of tasks: a list has room for all of them and never needs memory.
 *
 * All lists share one lock. It is the innermost: no helper may be called under
 * it, the verifier sees to that.
 */
#ifndef FIFO_BPF_H
#define FIFO_BPF_H

#include "fifo.h"
#include "frame.bpf.h"

struct fifo_link fifo_links[FRAME_TASKS];
struct fifo_list fifo_lists[FIFO_LISTS];

/* In a map of its own: what holds a lock cannot be mapped by the process. */
static struct bpf_spin_lock fifo_lock SEC(".data.lock");

static __always_inline struct fifo_link *fifo_link(__u32 node)
{
	return &fifo_links[node & (FRAME_TASKS - 1)];
}

static __always_inline struct fifo_list *fifo_list(__u32 list)
{
	return &fifo_lists[list & (FIFO_LISTS - 1)];
}

/* For all of these, fifo_lock is held. */

static __always_inline void fifo_remove(__u32 node)
{
	struct fifo_link *link = fifo_link(node);
	struct fifo_list *l;

	if (!link->list)
		return;
	l = fifo_list(link->list - 1);
	if (link->prev)
		fifo_link(link->prev)->next = link->next;
	else
		l->first = link->next;
	if (link->next)
		fifo_link(link->next)->prev = link->prev;
	else
		l->last = link->prev;
	link->list = 0;
	l->length--;
}

static __always_inline void fifo_push(__u32 list, __u32 node)
{
	struct fifo_list *l = fifo_list(list);
	struct fifo_link *link = fifo_link(node);

	fifo_remove(node);
	link->list = list + 1;
	link->next = 0;
	link->prev = l->last;
	if (l->last)
		fifo_link(l->last)->next = node;
	else
		l->first = node;
	l->last = node;
	l->length++;
}

/*
 * The lock is not held, but that of the task's run queue, without which nobody
 * puts it on a list: it may only be taken off meanwhile.
 */
static __always_inline void fifo_leave(__u32 node)
{
	if (!fifo_link(node)->list)
		return;
	bpf_spin_lock(&fifo_lock);
	fifo_remove(node);
	bpf_spin_unlock(&fifo_lock);
}

#endif /* FIFO_BPF_H */
