// SPDX-License-Identifier: GPL-2.0-only
/*
 * One queue for all CPUs, with time slices of a tick: a policy that never leaves
 * the kernel. First come first served; with LEAST_RUN, who has run least is
 * first (tree.bpf.c).
 */
#include <asm/errno.h>
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <ghost/bpf.h>
#include "fifo.h"

char _license[] SEC("license") = "GPL";

struct fifo fifo;

#ifdef LEAST_RUN
#include "tree.h"
#else
struct entry {
	__u64 gtid;
	__u64 barrier;
};

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, FIFO_TASKS);
	__type(value, struct entry);
} queue SEC(".maps");

static long put(struct entry *e)
{
	return bpf_map_push_elem(&queue, e, 0);
}

static long take(struct entry *e)
{
	return bpf_map_pop_elem(&queue, e);
}

static bool empty(void)
{
	struct entry e;

	return bpf_map_peek_elem(&queue, &e);
}
#endif

/* Returns what the MSG program is to return: what has no room goes to the ring. */
static int push(__u64 gtid, __u32 barrier)
{
	struct entry e = { .gtid = gtid, .barrier = barrier };

	if (put(&e)) {
		__sync_fetch_and_add(&fifo.full, 1);
		return 0;
	}
	__sync_fetch_and_add(&fifo.pushed, 1);
	return 1;
}

/*
 * Make a CPU that found nothing look at the queue again, the task's own if it
 * is one. Such a CPU says so before it looks, so one of the two sees the other.
 */
static void kick(__u32 first)
{
	__u32 i, cpu;

	for (i = 0; i < FIFO_CPUS; i++) {
		cpu = (first + i) % FIFO_CPUS;
		if (fifo.idle[cpu] &&
		    __sync_lock_test_and_set(&fifo.idle[cpu], 0) &&
		    !bpf_ghost_resched_cpu2(cpu, RESCHED_ANY_CLASS))
			return;
	}
}

SEC("ghost_msg")
int msg(struct bpf_ghost_msg *m)
{
	__u32 cpu = bpf_get_smp_processor_id();
	int ret = 1;

	m->pref_cpu = GHOST_PREF_CPU_NO_WAKEUP;
	switch (m->type) {
	case MSG_TASK_NEW:
		if (m->newt.runnable) {
			ret = push(m->newt.gtid, m->seqnum);
			kick(cpu);
		}
		break;
	case MSG_TASK_WAKEUP:
		ret = push(m->wakeup.gtid, m->seqnum);
		kick(m->wakeup.wake_up_cpu);
		break;
	case MSG_TASK_PREEMPT:
		ret = push(m->preempt.gtid, m->seqnum);
		kick(m->preempt.cpu);
		break;
	case MSG_TASK_YIELD:
		ret = push(m->yield.gtid, m->seqnum);
		break;
	case MSG_TASK_LATCH_FAILURE:
		/* Nothing new has happened, so no other message will come. */
		if (cpu < FIFO_CPUS && fifo.attempt[cpu] == m->seqnum) {
			push(m->latch_failure.gtid, m->seqnum);
			__sync_fetch_and_add(&fifo.again, 1);
			/* Perhaps it may run on another CPU only. */
			if (m->latch_failure.error == ESTALE)
				kick(cpu + 1);
		}
		break;
	case MSG_CPU_TICK:
		__sync_fetch_and_add(&fifo.ticks, 1);
		bpf_ghost_resched_cpu2(m->cpu_tick.cpu,
				       RESCHED_GHOST_CLASS | SET_MUST_RESCHED);
		break;
	}
	return ret;
}

SEC("ghost_sched")
int sched(struct bpf_ghost_sched *ctx)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct entry e;
	int i;

	if (cpu >= FIFO_CPUS)
		return 0;
	if (fifo.idle[cpu])
		fifo.idle[cpu] = 0;
	if (!ctx->agent_on_rq || ctx->agent_runnable || ctx->might_yield) {
		/* Perhaps it was this CPU that was kicked. */
		if (!empty())
			kick(cpu + 1);
		return 0;
	}
	if (ctx->next_gtid)
		return 0;

	/* A full barrier: before the queue is looked at. */
	__sync_lock_test_and_set(&fifo.idle[cpu], 1);
	for (i = 0; i < 4; i++) {
		if (take(&e))
			return 0;
		fifo.idle[cpu] = 0;
		__sync_fetch_and_add(&fifo.popped, 1);
		fifo.attempt[cpu] = e.barrier;
		if (!bpf_ghost_run_gtid(e.gtid, e.barrier, 0)) {
			__sync_fetch_and_add(&fifo.latched, 1);
			return 0;
		}
	}
	/* Who was put back may be free by now. */
	ctx->dont_idle = 1;
	return 0;
}
