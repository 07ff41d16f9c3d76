// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * hybrid: the programs pick by level, and levels are planned by a thread of the
 * process, which reads what the tasks ran and writes the plan.
 */
#include "../frame/levels.bpf.h"

char _license[] SEC("license") = "Dual BSD/GPL";

/* Level by index of the task; written by the process alone. */
__u8 plan[FRAME_TASKS];

static __always_inline __u32 level_of(__u32 idx, const struct frame_task *t)
{
	__u32 level = plan[idx & (FRAME_TASKS - 1)];

	return level < LEVELS ? level : LEVELS - 1;
}
