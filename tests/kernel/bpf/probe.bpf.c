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

static void use_lock(void)
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

struct guard {
	struct bpf_spin_lock lock;
	__u32 used;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct guard);
} guards SEC(".maps");

static void use_lock(void)
{
	__u32 key = 0;
	struct guard *g = bpf_map_lookup_elem(&guards, &key);

	if (!g)
		return;
	bpf_spin_lock(&g->lock);
	g->used++;
	bpf_spin_unlock(&g->lock);
}

static long try_run(__s64 gtid, __u32 barrier, __s32 flags)
{
	__u32 key = 0;
	struct guard *g = bpf_map_lookup_elem(&guards, &key);
	long ret;

	if (!g)
		return -1;
	bpf_spin_lock(&g->lock);
	ret = bpf_ghost_try_run(gtid, barrier, flags);
	bpf_spin_unlock(&g->lock);
	return ret;
}

/* What comes of another one, when one is latched. */
static long after_a_latch(struct probe_call *c)
{
	struct ghost_status_word sw;
	long ret = bpf_ghost_run_gtid(c->arg[0], c->arg[1], 0);

	if (ret)
		return ret;
	bpf_ghost_status_word(c->arg[2], &sw);
	if (c->op == PROBE_RUN_GTID_AFTER)
		return bpf_ghost_run_gtid(c->arg[2], sw.barrier, DO_NOT_PREEMPT);
	ret = try_run(c->arg[2], sw.barrier, 0);
	/* It is latched yet. */
	return try_run(c->arg[0], c->arg[1], 0) ? -1 : ret;
}

static long call_kfunc(struct probe_call *c)
{
	switch (c->op) {
	case PROBE_STATUS_WORD:
		return status_word(c->arg[0]);
	case PROBE_RUN_GTID_AND_LOOK:
		return run_and_look(c);
	case PROBE_TRY_RUN:
		return try_run(c->arg[0], c->arg[1], c->arg[2]);
	case PROBE_TRY_RUN_AFTER:
	case PROBE_RUN_GTID_AFTER:
		return after_a_latch(c);
	default:
		destroy(c->arg[0]);
		return 0;
	}
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

/* Of who left the CPU. */
static void note_next(__u64 next, __u32 cpu)
{
	__u32 pid = bpf_get_current_pid_tgid();

	if (next && (!pid || pid == probe.watched))
		probe.next[cpu] = next;
	if (pid && pid == probe.watched && !next)
		__sync_fetch_and_add(&probe.not_kept, 1);
}

SEC("ghost_sched")
int sched(struct bpf_ghost_sched *ctx)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct probe_call *c;

	if (cpu >= PROBE_CPUS)
		return 0;

	probe.sched[cpu] = *ctx;
	if (ctx->agent_runnable)
		probe.with_agent[cpu] = *ctx;
	note_next(ctx->next_gtid, cpu);
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
	if (probe.lock_in_messages)
		use_lock();
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
	if (probe.select_calls) {
		probe.selects_ret[0] = bpf_ghost_wake_agent(1);
		probe.selects_ret[1] = bpf_ghost_resched_cpu2(1, RESCHED_ANY_CLASS);
		probe.selects_ret[2] = get_affinity(ctx->gtid, PROBE_MASK);
		probe.selects_ret[3] = get_comm(ctx->gtid);
	}
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
