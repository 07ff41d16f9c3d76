// SPDX-License-Identifier: GPL-2.0-only
/*
 * A pick on CPU 1 stops for a while before its program is called; and a thread that
 * may not be moved, as none may while it runs a program, but may be preempted.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "hold.h"

char _license[] SEC("license") = "GPL";

struct hold hold;

static long is_over(__u32 i, __u64 *until)
{
	return bpf_ktime_get_ns() >= *until;
}

SEC("fentry/ghost_bpf_sched")
int before_sched(void *ctx)
{
	__u64 until = bpf_ktime_get_ns() + hold.ns;

	if (bpf_get_smp_processor_id() != 1 || !hold.ns)
		return 0;
	hold.ns = 0;
	hold.held = 1;
	bpf_loop(1 << 23, is_over, &until, 0);
	return 0;
}

static long may_go(__u32 i, void *unused)
{
	return !*(volatile __u32 *)&hold.stay;
}

static long for_a_while(__u32 i, void *unused)
{
	bpf_loop(1 << 20, may_go, NULL, 0);
	return may_go(i, unused);
}

SEC("syscall")
int stay(void *ctx)
{
	hold.staying = 1;
	bpf_loop(200, for_a_while, NULL, 0);
	return 0;
}
