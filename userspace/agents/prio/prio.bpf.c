// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* prio: who has the smaller nice value runs first, and waiting makes up for it. */
#include "../frame/levels.bpf.h"

char _license[] SEC("license") = "Dual BSD/GPL";

static __always_inline __u32 level_of(__u32 idx, const struct frame_task *t)
{
	return (__u32)(t->nice + 20) & 63;
}
