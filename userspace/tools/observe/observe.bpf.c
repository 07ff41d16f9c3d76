// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * ghostctl observe: counts the trace events of one enclave. Nothing is changed by
 * it, and nothing can be lost but a count.
 */
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "observe.h"

char _license[] SEC("license") = "Dual BSD/GPL";

/* Set before the programs are loaded. */
const volatile __u64 enclave_id;
const volatile __u64 enclave_cpus[OBSERVE_CPU_WORDS];

/* Of the kernel's types, what is read here; its BTF tells where that is. */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct ghost_enclave {
	unsigned long id;
};

struct sched_ghost_entity {
	struct ghost_enclave *enclave;
};

struct thread_info {
	__u32 cpu;
};

struct task_struct {
	struct thread_info thread_info;
	int pid;
	struct sched_ghost_entity ghost;
};

#pragma clang attribute pop

struct observed observed;
__u64 idle_since[OBSERVE_CPUS];

/* tid to ns of the wake-up; full of those that never ran, the oldest goes */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, OBSERVE_SLEEPERS);
	__type(key, __u32);
	__type(value, __u64);
} woken SEC(".maps");

static __always_inline void count(__u64 *counter)
{
	__sync_fetch_and_add(counter, 1);
}

static __always_inline void note(__u64 *buckets, __u64 since)
{
	__u64 us = (bpf_ktime_get_ns() - since) / 1000;
	__u32 bucket = 0;

	while (us && bucket < OBSERVE_BUCKETS - 1) {
		us >>= 1;
		bucket++;
	}
	count(&buckets[bucket & (OBSERVE_BUCKETS - 1)]);
}

/* A task of the enclave, or an agent. */
static __always_inline bool is_member(const struct task_struct *p)
{
	const struct ghost_enclave *e = p->ghost.enclave;

	return e && e->id == enclave_id;
}

static __always_inline bool is_cpu(__u32 cpu)
{
	return enclave_cpus[(cpu / 64) & (OBSERVE_CPU_WORDS - 1)] >> (cpu & 63) & 1;
}

SEC("tp_btf/ghost_message")
int BPF_PROG(message, struct task_struct *p, __s64 gtid, __u16 type, __u32 barrier,
	     bool delivered)
{
	__u32 i = type & (OBSERVE_TYPES - 1);
	__u64 now = bpf_ktime_get_ns();
	__u32 tid = p->pid;

	if (!is_member(p))
		return 0;
	if (type >= GHOST_CPU_MSG_FIRST)
		i += OBSERVE_TYPES;
	count(&observed.messages[i]);
	if (delivered)
		count(&observed.rung[i]);
	if (type == MSG_TASK_WAKEUP)
		bpf_map_update_elem(&woken, &tid, &now, BPF_ANY);
	return 0;
}

SEC("tp_btf/ghost_commit")
int BPF_PROG(commit, int cpu, __s64 gtid, __u32 barrier, __s32 state)
{
	if (is_cpu(cpu))
		count(&observed.commits[(state - GHOST_TXN_STATE_BASE) &
					(OBSERVE_STATES - 1)]);
	return 0;
}

SEC("tp_btf/sched_ghost_latched")
int BPF_PROG(latched, struct task_struct *old, struct task_struct *new, __u16 run_flags)
{
	__u64 *since;
	__u32 cpu;

	if (!new)
		return 0;
	cpu = new->thread_info.cpu;
	if (!is_cpu(cpu))
		return 0;
	if (!new->pid) {
		count(&observed.idles);
		return 0;
	}
	count(&observed.picks);
	since = &idle_since[cpu & (OBSERVE_CPUS - 1)];
	if (*since)
		note(observed.to_latch, *since);
	*since = 0;
	return 0;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(switched, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	__u32 tid = next->pid, cpu = bpf_get_smp_processor_id();
	__u64 *since = &idle_since[cpu & (OBSERVE_CPUS - 1)];
	__u64 *when;

	if (!tid) {
		if (!*since && is_cpu(cpu))
			*since = bpf_ktime_get_ns();
		return 0;
	}
	/* That an agent runs in between is part of the time. */
	if (!is_member(next)) {
		*since = 0;
		return 0;
	}
	when = bpf_map_lookup_elem(&woken, &tid);
	if (!when)
		return 0;
	note(observed.to_run, *when);
	bpf_map_delete_elem(&woken, &tid);
	return 0;
}
