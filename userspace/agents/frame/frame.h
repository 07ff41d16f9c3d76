/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the BPF programs of a policy and its process share: both map the same
 * memory.
 */
#ifndef FRAME_H
#define FRAME_H

#include <linux/types.h>

#define FRAME_CPUS		256	/* a power of two */
#define FRAME_CPU_WORDS		(FRAME_CPUS / 64)
#define FRAME_TASKS		65536	/* status words of a region, rounded up */
#define FRAME_NONE		0xffffffffU	/* no task, no CPU */
#define FRAME_NO_ROOM		0xfffffffeU	/* of policy_enqueue() */
#define FRAME_BUSY		0xfffffffdU	/* of policy_pick() */
#define FRAME_LATCHED		0x80000000U	/* the same: added to the index */
#define FRAME_ERRNOS		128	/* a power of two, above ESTALE */

/**
 * struct frame_task - a task, at the index of its status word
 * @gtid: 0 is a free slot
 * @queued_at: ns of the last enqueue, or of the latch that ended it
 * @started: ns at which it was latched
 * @ran: ns on a CPU since it was last charged by the policy
 * @max_wait: longest wait for a CPU, ns
 * @allowed: its affinity
 * @barrier: of its last message
 * @tried: barrier of the run_gtid() that failed last
 * @cpu: of its last message, or where it was latched
 * @nice: -20 to 19
 * @everywhere: it may run on all CPUs of the enclave
 * @stuck: it cannot be moved off @cpu just now
 * @runnable: wants a CPU or has one
 * @running: latched, and nothing has come since
 *
 * All of it is written under the lock of the run queue that the task is on, by
 * its messages and by what latches it. What a pick reads without it, @gtid and
 * @barrier, is checked by the kernel.
 */
struct frame_task {
	__u64 gtid;
	__u64 queued_at;
	__u64 started;
	__u64 ran;
	__u64 max_wait;
	__u64 allowed[FRAME_CPU_WORDS];
	__u32 barrier;
	__u32 tried;
	__u32 cpu;
	__s8 nice;
	__u8 everywhere;
	__u8 stuck;
	__u8 runnable;
	__u8 running;
};

/**
 * struct frame_cpu - a CPU
 * @curr: task that was latched here last
 * @latched_at: ns at which @curr was
 * @slice_end: ns at which @curr has had its turn
 *
 * The rest counts what happened on this CPU, about tasks of any.
 *
 * @messages: that the policy consumed
 * @passed: that went to the ring: of tasks that the table has no room for, or
 *	that may run on no CPU of the enclave
 * @picks: tasks that were latched
 * @kicks: idle CPUs that were woken for a task
 * @preempts: turns that were ended at a tick
 * @waited: ns that the picked tasks had waited
 * @max_wait: longest of these waits
 * @failed: run_gtid() that failed, by errno
 */
struct frame_cpu {
	__u32 curr;
	__u64 latched_at;
	__u64 slice_end;
	__u64 messages;
	__u64 passed;
	__u64 picks;
	__u64 kicks;
	__u64 preempts;
	__u64 waited;
	__u64 max_wait;
	__u64 failed[FRAME_ERRNOS];
} __attribute__((aligned(64)));

#endif /* FRAME_H */
