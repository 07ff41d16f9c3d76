// SPDX-License-Identifier: GPL-2.0-only
/* Programs that only count. */
#include <ghost/bpf.h>
#include "slots.h"

char _license[] SEC("license") = "GPL";

struct slots slots;

SEC("ghost/msg")
int msg(struct bpf_ghost_msg *m)
{
	__sync_fetch_and_add(&slots.messages, 1);
	return 0;
}

SEC("ghost/sched")
int sched(struct bpf_ghost_sched *ctx)
{
	__sync_fetch_and_add(&slots.schedules, 1);
	return 0;
}

/* One too many for its slot. */
SEC("ghost/sched")
int second(struct bpf_ghost_sched *ctx)
{
	return 0;
}
