/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * What the tests and the programs in probe.bpf.c share: the programs record
 * what they see and do what they are told.
 */
#ifndef PROBE_H
#define PROBE_H

#include <linux/ghost.h>

#define PROBE_CPUS	8
#define PROBE_TYPES	256
#define PROBE_COMM	20
#define PROBE_MASK	16
#define PROBE_WHY	"the probe was told to"

enum probe_op {
	PROBE_RUN_GTID,			/* gtid, barrier, flags */
	PROBE_RUN_GTID_AGAIN,		/* the same, after one with a wrong barrier */
	PROBE_WAKE_AGENT,		/* cpu */
	PROBE_RESCHED_CPU2,		/* cpu, flags */
	PROBE_SYNC_COMMIT,		/* probe.sync */
	PROBE_GET_AFFINITY,		/* gtid, size 4 or PROBE_MASK */
	PROBE_GET_COMM,			/* gtid */
	PROBE_STATUS_WORD,		/* gtid; needs BTF */
	PROBE_DESTROY,			/* code; needs BTF */
	PROBE_RUN_GTID_AND_LOOK,	/* gtid; needs BTF */
	PROBE_TRY_RUN,			/* gtid, barrier, flags; needs BTF */
	PROBE_TRY_RUN_AFTER,		/* gtid and barrier latched before, gtid; same */
	PROBE_RUN_GTID_AFTER,		/* the same, with DO_NOT_PREEMPT */
};

/* Done by the GHOST_SCHED program of a CPU, once, when its agent is parked. */
struct probe_call {
	__u32 armed;
	__u32 op;
	__s64 arg[3];
	__s64 ret;
};

struct probe_msg {
	__u32 count;
	__u32 drop;
	__s32 pref_cpu;			/* if not 0 */
	__u16 new_type;			/* if not 0 */
	__u64 new_gtid;			/* if not 0 */
	__u32 new_seqnum;		/* if not 0 */
	__u32 wake;			/* the agent of this CPU */
	__s32 destroy;			/* if not 0, a code; needs BTF */
	struct bpf_ghost_msg last;	/* as it came */
};

struct probe {
	__u32 passes[PROBE_CPUS];
	__u32 idle_passes[PROBE_CPUS];	/* with nothing to run */
	struct bpf_ghost_sched sched[PROBE_CPUS];
	struct bpf_ghost_sched with_agent[PROBE_CPUS];	/* the last that was runnable */
	__u32 watched;			/* PID of a thread */
	__u32 not_kept;			/* passes of that thread without next_gtid */
	__u64 next[PROBE_CPUS];		/* next_gtid after it, or the idle one */
	__u8 must_resched[PROBE_CPUS];
	__u8 dont_idle[PROBE_CPUS];
	__u8 scribble;			/* over what is only to be read */
	struct probe_call call[PROBE_CPUS];
	struct bpf_sync_commit_args sync;
	char comm[PROBE_COMM];
	__u8 mask[PROBE_MASK];
	struct ghost_status_word sw;
	__u32 interleaved;		/* messages between a latch and the end */

	struct probe_msg msg[PROBE_TYPES];
	__u8 lock_in_messages;		/* that of PROBE_TRY_RUN; needs BTF */
	__u32 total;
	__u32 nested;			/* messages inside of a helper */

	__u32 selected;
	__u32 selected_for[16];		/* by sd_flag */
	__s32 choice;
	__u32 choice_for;		/* if not 0: this sd_flag only */
	__u8 skip_ttwu_queue;
	__u8 select_calls;		/* of helpers, with these results */
	__s64 selects_ret[4];
	__s32 select_destroys;		/* if not 0, a code; needs BTF */
	struct bpf_ghost_select_rq select;
};

#endif /* PROBE_H */
