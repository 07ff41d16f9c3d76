// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs that record what they see and do what a test tells them; with ABI_ONLY
 * (probe_abi.bpf.c), without kfuncs.
 */
#include <asm/errno.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <ghost/bpf.h>
#include "probe.h"

char _license[] SEC("license") = "GPL";

struct probe probe;

/* bpf_dynptr_from_mem() takes memory of a map only. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bpf_sync_commit_args);
} sync_args SEC(".maps");

static long sync_commit(void)
{
	struct bpf_sync_commit_args *args;
	struct bpf_dynptr ptr;
	__u32 key = 0;

	args = bpf_map_lookup_elem(&sync_args, &key);
	if (!args)
		return -1;
	*args = probe.sync;
	bpf_dynptr_from_mem(args, sizeof(*args), 0, &ptr);
	return bpf_ghost_sync_commit(&ptr);
}

static long get_affinity(__s64 gtid, __s64 size)
{
	__u8 mask[PROBE_MASK];
	long ret;

	if (size == 4)
		ret = bpf_ghost_get_affinity(gtid, mask, 4);
	else
		ret = bpf_ghost_get_affinity(gtid, mask, sizeof(mask));
	__builtin_memcpy(probe.mask, mask, 4);
	if (size != 4)
		__builtin_memcpy(probe.mask, mask, sizeof(mask));
	return ret;
}

static long get_comm(__s64 gtid)
{
	char comm[PROBE_COMM];
	long ret = bpf_ghost_get_comm(gtid, comm, sizeof(comm));

	__builtin_memcpy(probe.comm, comm, sizeof(comm));
	return ret;
}

#ifdef ABI_ONLY
static long call_kfunc(struct probe_call *c)
{
	return -1;
}

static void destroy(__s32 code)
{
}
#else
static long status_word(__s64 gtid)
{
	struct ghost_status_word sw;
	long ret = bpf_ghost_status_word(gtid, &sw);

	probe.sw = sw;
	return ret;
}

static void destroy(__s32 code)
{
	bpf_ghost_destroy_enclave(code, PROBE_WHY);
}

static long run_and_look(struct probe_call *c)
{
	struct ghost_status_word sw;
	__u32 barrier;
	long ret;
	int i;

	ret = bpf_ghost_status_word(c->arg[0], &sw);
	barrier = sw.barrier;
	if (!ret)
		ret = bpf_ghost_run_gtid(c->arg[0], barrier, 0);
	if (ret)
		return ret;
	/* Long enough for others to queue up for the locks. */
	for (i = 0; i < 100; i++)
		if (!bpf_ghost_status_word(c->arg[0], &sw) &&
		    sw.barrier != barrier)
			probe.interleaved++;
	return 0;
}

static long call_kfunc(struct probe_call *c)
{
	if (c->op == PROBE_STATUS_WORD)
		return status_word(c->arg[0]);
	if (c->op == PROBE_RUN_GTID_AND_LOOK)
		return run_and_look(c);
	destroy(c->arg[0]);
	return 0;
}
#endif

static long call(struct probe_call *c)
{
	switch (c->op) {
	case PROBE_RUN_GTID_AGAIN:
		if (bpf_ghost_run_gtid(c->arg[0], c->arg[1] + 1, 0) != -ESTALE)
			return -1;
		return bpf_ghost_run_gtid(c->arg[0], c->arg[1], c->arg[2]);
	case PROBE_RUN_GTID:
		return bpf_ghost_run_gtid(c->arg[0], c->arg[1], c->arg[2]);
	case PROBE_WAKE_AGENT:
		return bpf_ghost_wake_agent(c->arg[0]);
	case PROBE_RESCHED_CPU2:
		return bpf_ghost_resched_cpu2(c->arg[0], c->arg[1]);
	case PROBE_SYNC_COMMIT:
		return sync_commit();
	case PROBE_GET_AFFINITY:
		return get_affinity(c->arg[0], c->arg[1]);
	case PROBE_GET_COMM:
		return get_comm(c->arg[0]);
	default:
		return call_kfunc(c);
	}
}

SEC("ghost_sched")
int sched(struct bpf_ghost_sched *ctx)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct probe_call *c;

	if (cpu >= PROBE_CPUS)
		return 0;

	probe.sched[cpu] = *ctx;
	c = &probe.call[cpu];
	if (!ctx->agent_runnable && !ctx->might_yield && c->armed) {
		c->ret = call(c);
		/* The test waits for it. */
		__sync_fetch_and_add(&c->armed, -1);
	}
	if (!ctx->next_gtid)
		probe.idle_passes[cpu]++;
	if (!ctx->agent_runnable) {
		ctx->must_resched = probe.must_resched[cpu];
		probe.must_resched[cpu] = 0;
	}
	ctx->dont_idle = probe.dont_idle[cpu];
	if (probe.scribble) {
		ctx->agent_on_rq = !ctx->agent_on_rq;
		ctx->agent_runnable = !ctx->agent_runnable;
		ctx->might_yield = !ctx->might_yield;
		ctx->next_gtid = ~ctx->next_gtid;
	}
	__sync_fetch_and_add(&probe.passes[cpu], 1);
	return 0;
}

SEC("ghost_msg")
int msg(struct bpf_ghost_msg *ctx)
{
	__u32 type = ctx->type & (PROBE_TYPES - 1);
	__u32 cpu = bpf_get_smp_processor_id();
	struct probe_msg *m = &probe.msg[type];

	m->last = *ctx;
	if (cpu < PROBE_CPUS && probe.call[cpu].armed &&
	    type == MSG_TASK_LATCH_FAILURE)
		probe.nested++;
	if (m->pref_cpu)
		ctx->pref_cpu = m->pref_cpu;
	if (m->new_type)
		ctx->type = m->new_type;
	if (m->new_gtid)
		ctx->dead.gtid = m->new_gtid;
	if (m->new_seqnum)
		ctx->seqnum = m->new_seqnum;
	if (m->wake)
		bpf_ghost_wake_agent(cpu);
	if (m->destroy)
		destroy(m->destroy);
	__sync_fetch_and_add(&m->count, 1);
	__sync_fetch_and_add(&probe.total, 1);
	return m->drop;
}

SEC("ghost_select_rq")
int select_rq(struct bpf_ghost_select_rq *ctx)
{
	probe.select = *ctx;
	if (probe.select_destroys)
		destroy(probe.select_destroys);
	ctx->skip_ttwu_queue = probe.skip_ttwu_queue;
	if (probe.scribble) {
		ctx->gtid = ~ctx->gtid;
		ctx->task_cpu = ~ctx->task_cpu;
		ctx->waker_cpu = ~ctx->waker_cpu;
	}
	__sync_fetch_and_add(&probe.selected, 1);
	__sync_fetch_and_add(&probe.selected_for[ctx->sd_flag & 15], 1);
	if (probe.choice_for && probe.choice_for != ctx->sd_flag)
		return -1;
	return probe.choice;
}

SEC("ghost_halt_poll")
int halt_poll(struct bpf_ghost_halt_poll *ctx)
{
	return ctx->type != GHOST_HALT_POLL_PREPARE;
}
