/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A kernel in miniature: what model.c and the helpers in ghost/bpf.h share. */
#ifndef MODEL_H
#define MODEL_H

#include <linux/types.h>

#define MODEL_CPUS	2
#define MODEL_TASKS	16	/* a power of two */
#define MODEL_ATTEMPTS	16	/* a power of two */
#define MODEL_GTID	1000	/* of task 0 */

enum model_state {
	MODEL_GONE,
	MODEL_ASLEEP,
	MODEL_READY,
	MODEL_ON_CPU,
};

/**
 * struct model - all that the helpers see and do
 * @state: of each task, enum model_state
 * @barrier: of each task
 * @mask: CPUs that each task may run on
 * @bound: CPU, plus one, off which each task may not be moved now, or 0
 * @attempt: gtid and result of each run_gtid() of a pick
 * @nr_attempts: of these
 * @kicked: by CPU, resched_cpu2()
 * @must: the same, with SET_MUST_RESCHED
 * @agent_woken: wake_agent()
 * @no_memory: bpf_obj_new() fails
 * @cpu: that picks
 * @locked: no run queue can be had by try_run()
 */
struct model {
	__u32 state[MODEL_TASKS];
	__u32 barrier[MODEL_TASKS];
	__u64 mask[MODEL_TASKS];
	__u32 bound[MODEL_TASKS];
	struct {
		__s64 gtid;
		__s64 result;
	} attempt[MODEL_ATTEMPTS];
	__u32 nr_attempts;
	__u32 kicked[MODEL_CPUS];
	__u32 must[MODEL_CPUS];
	__u32 agent_woken;
	__u32 no_memory;
	__u32 cpu;
	__u32 locked;
};

/* The policies, as the linker has put them in. */
#define MODEL_OBJECT(name)						\
	extern const char _binary_model_##name##_bpf_o_start[];		\
	extern const char _binary_model_##name##_bpf_o_end[]

MODEL_OBJECT(biff);
MODEL_OBJECT(prio);
MODEL_OBJECT(eevdf_bpf);
MODEL_OBJECT(eevdf_small);
MODEL_OBJECT(toy);
MODEL_OBJECT(hybrid);

#endif /* MODEL_H */
