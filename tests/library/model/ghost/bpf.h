/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * In place of <ghost/bpf.h>: helpers on the kernel in miniature. With them a
 * policy is a program of a type that bpf(2) can run by itself.
 */
#ifndef GHOST_BPF_H
#define GHOST_BPF_H

#include <linux/bpf.h>
#include <linux/errno.h>
#include <bpf/bpf_helpers.h>
#include <linux/ghost.h>
#include "../model.h"

struct model model SEC(".data.model");

static __always_inline long bpf_ghost_wake_agent(__u32 cpu)
{
	model.agent_woken = 1;
	return 0;
}

static __always_inline long model_check(__s64 gtid, __u32 barrier)
{
	__u32 i = (gtid - MODEL_GTID) & (MODEL_TASKS - 1);
	__u32 cpu = model.cpu;

	if (gtid < MODEL_GTID || model.state[i] == MODEL_GONE)
		return -ENOENT;
	if (model.barrier[i] != barrier || !(model.mask[i] >> cpu & 1) ||
	    (model.bound[i] && model.bound[i] != cpu + 1))
		return -ESTALE;
	if (model.state[i] == MODEL_ASLEEP)
		return -EINVAL;
	return model.state[i] == MODEL_ON_CPU ? -EBUSY : 0;
}

static __always_inline void model_note(__s64 gtid, long ret)
{
	__u32 n = model.nr_attempts++ & (MODEL_ATTEMPTS - 1);

	model.attempt[n].gtid = gtid;
	model.attempt[n].result = ret;
	if (!ret)
		model.state[(gtid - MODEL_GTID) & (MODEL_TASKS - 1)] = MODEL_ON_CPU;
}

static __always_inline long bpf_ghost_run_gtid(__s64 gtid, __u32 barrier, __s32 flags)
{
	long ret = model_check(gtid, barrier);

	model_note(gtid, ret);
	return ret;
}

/* No message says that it failed. */
static __always_inline int bpf_ghost_try_run(__s64 gtid, __u32 barrier, __s32 flags)
{
	long ret = model.locked ? -EAGAIN : model_check(gtid, barrier);

	if (!ret)
		model_note(gtid, 0);
	return ret;
}

static __always_inline long bpf_ghost_resched_cpu2(__u32 cpu, __u32 flags)
{
	__u32 second = cpu == 1;

	if (cpu >= MODEL_CPUS)
		return -ERANGE;
	model.kicked[second] = 1;
	if (flags & SET_MUST_RESCHED)
		model.must[second] = 1;
	return 0;
}

static __always_inline long bpf_ghost_get_affinity(__s64 gtid, __u8 *mask, __u32 size)
{
	__u64 *words = (__u64 *)mask;

	words[0] = model.mask[(gtid - MODEL_GTID) & (MODEL_TASKS - 1)];
	return MODEL_CPUS;
}

#endif /* GHOST_BPF_H */
