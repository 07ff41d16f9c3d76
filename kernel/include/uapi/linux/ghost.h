/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * SCHED_GHOST: the binary interface, ABI number 91 (90 has the same bytes).
 *
 * Every offset, size and value here is fixed: programs that were built
 * against this ABI run unmodified. Extensions go into new ioctl numbers,
 * files or flag bits and are named in /sys/fs/ghost/ENCLAVE/features.
 */
#ifndef _UAPI_LINUX_GHOST_H
#define _UAPI_LINUX_GHOST_H

#include <linux/types.h>
#include <linux/ioctl.h>

#define GHOST_VERSION			91
#define GHOST_VERSION_MIN		90

#ifndef SCHED_GHOST
#define SCHED_GHOST			18
#endif

#define GHOST_FS_NAME			"ghost"
#define GHOST_FS_MAGIC			0xBAD1DEA2

/* Task ids: bit 63 zero, 22 bits of thread id, 41 bits of sequence. */
#define GHOST_GTID_SEQNUM_BITS		41
#define GHOST_GTID_PID_BITS		22

#define GHOST_NULL_GTID			0
#define GHOST_AGENT_GTID		(-1)
#define GHOST_IDLE_GTID			(-2)

/* ---- status words ---- */

/**
 * struct ghost_status_word - what user space may read of one thread
 * @barrier: sequence number of the last message, written last (release)
 * @flags: GHOST_SW_*
 * @gtid: owner
 * @switch_time: monotonic ns at which the owner last got on a CPU
 * @runtime: cumulative CPU time of the owner, ns
 */
struct ghost_status_word {
	__u32 barrier;
	__u32 flags;
	__u64 gtid;
	__s64 switch_time;
	__u64 runtime;
} __attribute__((aligned(32)));

#define GHOST_SW_F_INUSE		(1U << 0)
#define GHOST_SW_F_CANFREE		(1U << 1)
#define GHOST_SW_F_ALLOCATED		(1U << 2)
#define GHOST_SW_CPU_AVAIL		(1U << 8)
#define GHOST_SW_BOOST_PRIO		(1U << 9)
#define GHOST_SW_TASK_ONCPU		(1U << 16)
#define GHOST_SW_TASK_RUNNABLE		(1U << 17)
#define GHOST_SW_TASK_IS_AGENT		(1U << 18)
#define GHOST_SW_TASK_MSG_GATED		(1U << 19)

/**
 * struct ghost_sw_region_header - head of a sw_<id> mapping
 * @version: layout version, 0
 * @id: region id
 * @numa_node: node that the memory is on
 * @start: offset of the first status word, bytes
 * @capacity: number of status words
 * @available: number of free status words
 */
struct ghost_sw_region_header {
	__u32 version;
	__u32 id;
	__u32 numa_node;
	__u32 start;
	__u32 capacity;
	__u32 available;
} __attribute__((aligned(64)));

#define GHOST_SW_REGION_VERSION		0
#define GHOST_SW_REGION_SIZE		(2U << 20)
#define GHOST_SW_REGION_CAPACITY	65534U

/* ---- message queues ---- */

/**
 * struct ghost_queue_header - head of a queue mapping
 * @version: layout version, 0
 * @start: offset of struct ghost_ring, bytes
 * @nelems: number of slots in the ring
 */
struct ghost_queue_header {
	__u32 version;
	__u32 start;
	__u32 nelems;
} __attribute__((aligned(64)));

/**
 * struct ghost_msg - one message; occupies DIV_ROUND_UP(length, 8) slots
 * @type: MSG_*
 * @length: bytes, header and payload
 * @seqnum: barrier of the source after this message
 * @payload: struct ghost_msg_payload_*
 */
struct ghost_msg {
	__u16 type;
	__u16 length;
	__u32 seqnum;
	__u32 payload[];
};

#define GHOST_MSG_SLOT_SIZE		8

/**
 * struct ghost_ring - the ring in a queue mapping
 * @head: free running, written by the kernel (release)
 * @tail: free running, written by the consumer (release)
 * @overflow: messages that found no room, written by the kernel
 * @msgs: slots of GHOST_MSG_SLOT_SIZE bytes
 */
struct ghost_ring {
	__u32 head;
	__u32 tail;
	__u32 overflow;
	__u32 msgs[];
};

#define GHOST_QUEUE_VERSION		0
#define GHOST_MAX_QUEUE_ELEMS		65536
#define GHOST_MAX_WINFO			2

enum ghost_msg_type {
	MSG_NOP				= 0,

	MSG_TASK_DEAD			= 64,
	MSG_TASK_BLOCKED		= 65,
	MSG_TASK_WAKEUP			= 66,
	MSG_TASK_NEW			= 67,
	MSG_TASK_PREEMPT		= 68,
	MSG_TASK_YIELD			= 69,
	MSG_TASK_DEPARTED		= 70,
	MSG_TASK_SWITCHTO		= 71,
	MSG_TASK_AFFINITY_CHANGED	= 72,
	MSG_TASK_ON_CPU			= 73,
	MSG_TASK_PRIORITY_CHANGED	= 74,
	MSG_TASK_LATCH_FAILURE		= 75,

	MSG_CPU_TICK			= 128,
	MSG_CPU_TIMER_EXPIRED		= 129,
	MSG_CPU_NOT_IDLE		= 130,
	MSG_CPU_AVAILABLE		= 131,
	MSG_CPU_BUSY			= 132,
	MSG_CPU_AGENT_BLOCKED		= 133,
	MSG_CPU_AGENT_WAKEUP		= 134,
};

#define GHOST_TASK_MSG_FIRST		64
#define GHOST_TASK_MSG_LAST		127
#define GHOST_CPU_MSG_FIRST		128
#define GHOST_CPU_MSG_LAST		191

/**
 * struct ghost_sw_info - names one status word
 * @id: region
 * @index: status word in the region
 */
struct ghost_sw_info {
	__u32 id;
	__u32 index;
};

struct ghost_msg_payload_task_dead {
	__u64 gtid;
	__s32 cpu;
};

struct ghost_msg_payload_task_blocked {
	__u64 gtid;
	__u64 runtime;
	__u64 cpu_seqnum;
	__s32 cpu;
	__s8 from_switchto;
};

struct ghost_msg_payload_task_wakeup {
	__u64 gtid;
	__u64 agent_data;
	__s8 deferrable;
	__s32 last_ran_cpu;
	__s32 wake_up_cpu;
	__s32 waker_cpu;
};

struct ghost_msg_payload_task_new {
	__u64 gtid;
	__u64 parent_gtid;
	__u64 runtime;
	__u16 runnable;
	__s32 nice;
	struct ghost_sw_info sw_info;
	__u64 agent_data;
};

struct ghost_msg_payload_task_preempt {
	__u64 gtid;
	__u64 runtime;
	__u64 cpu_seqnum;
	__u64 agent_data;
	__s32 cpu;
	__s8 from_switchto;
	__s8 was_latched;
};

struct ghost_msg_payload_task_yield {
	__u64 gtid;
	__u64 runtime;
	__u64 cpu_seqnum;
	__u64 agent_data;
	__s32 cpu;
	__s8 from_switchto;
};

struct ghost_msg_payload_task_departed {
	__u64 gtid;
	__u64 cpu_seqnum;
	__s32 cpu;
	__s8 from_switchto;
	__s8 was_current;
};

struct ghost_msg_payload_task_switchto {
	__u64 gtid;
	__u64 runtime;
	__u64 cpu_seqnum;
	__s32 cpu;
};

struct ghost_msg_payload_task_affinity_changed {
	__u64 gtid;
};

struct ghost_msg_payload_task_on_cpu {
	__u64 gtid;
	__u64 commit_time;
	__u64 cpu_seqnum;
	__s32 cpu;
};

struct ghost_msg_payload_task_priority_changed {
	__u64 gtid;
	__s32 nice;
};

struct ghost_msg_payload_task_latch_failure {
	__u64 gtid;
	__s32 error;
};

struct ghost_msg_payload_cpu_tick {
	__s32 cpu;
	__s32 is_agent;
};

struct ghost_msg_payload_timer {
	__s32 cpu;
	__u64 type;
	__u64 cookie;
};

struct ghost_msg_payload_cpu_not_idle {
	__s32 cpu;
	__u64 next_gtid;
};

/* AVAILABLE, BUSY, AGENT_BLOCKED and AGENT_WAKEUP */
struct ghost_msg_payload_cpu {
	__s32 cpu;
};

/* ---- transactions ---- */

/**
 * struct ghost_txn - one scheduling decision for one CPU
 * @version: layout version, written by the kernel, 0
 * @cpu: target CPU, written by the kernel
 * @state: enum ghost_txn_state, or the CPU that has claimed it
 * @agent_barrier: barrier of the agent of @cpu that the decision rests on
 * @task_barrier: barrier of the task that the decision rests on
 * @run_flags: RTLA_* and friends
 * @commit_flags: COMMIT_* and friends
 * @unused: keep 0
 * @gtid: what to run: a task, or GHOST_{NULL,AGENT,IDLE}_GTID
 * @commit_time: monotonic ns of the result, written by the kernel
 * @cpu_seqnum: history counter of @cpu at success, written by the kernel
 * @u: of sync groups only
 * @u.sync_group_owner: who fills the transaction in, a number that user space
 *	chooses, or -1; the kernel stores -1 when the group is committed
 */
struct ghost_txn {
	__s32 version;
	__s32 cpu;
	__s32 state;
	__u32 agent_barrier;
	__u32 task_barrier;
	__u16 run_flags;
	__u8 commit_flags;
	__u8 unused;
	__s64 gtid;
	__s64 commit_time;
	__u64 cpu_seqnum;
	union {
		__s32 sync_group_owner;
	} u;
} __attribute__((aligned(64)));

#define GHOST_TXN_VERSION		0

/* One page a possible CPU in the cpu_data mapping. */
struct ghost_cpu_data {
	struct ghost_txn txn;
} __attribute__((aligned(4096)));

#define GHOST_TXN_STATE_BASE		(-2147483647 - 1)
enum ghost_txn_state {
	GHOST_TXN_COMPLETE		= GHOST_TXN_STATE_BASE + 0,
	GHOST_TXN_ABORTED		= GHOST_TXN_STATE_BASE + 1,
	GHOST_TXN_TARGET_ONCPU		= GHOST_TXN_STATE_BASE + 2,
	GHOST_TXN_TARGET_STALE		= GHOST_TXN_STATE_BASE + 3,
	GHOST_TXN_TARGET_NOT_FOUND	= GHOST_TXN_STATE_BASE + 4,
	GHOST_TXN_TARGET_NOT_RUNNABLE	= GHOST_TXN_STATE_BASE + 5,
	GHOST_TXN_AGENT_STALE		= GHOST_TXN_STATE_BASE + 6,
	GHOST_TXN_CPU_OFFLINE		= GHOST_TXN_STATE_BASE + 7,
	GHOST_TXN_CPU_UNAVAIL		= GHOST_TXN_STATE_BASE + 8,
	GHOST_TXN_INVALID_FLAGS		= GHOST_TXN_STATE_BASE + 9,
	GHOST_TXN_INVALID_TARGET	= GHOST_TXN_STATE_BASE + 10,
	GHOST_TXN_NOT_PERMITTED		= GHOST_TXN_STATE_BASE + 11,
	GHOST_TXN_INVALID_CPU		= GHOST_TXN_STATE_BASE + 12,
	GHOST_TXN_NO_AGENT		= GHOST_TXN_STATE_BASE + 13,
	GHOST_TXN_UNSUPPORTED_VERSION	= GHOST_TXN_STATE_BASE + 14,
	GHOST_TXN_POISONED		= GHOST_TXN_STATE_BASE + 15,
	GHOST_TXN_READY			= 2147483647,
};

/* run flags */
#define RTLA_ON_PREEMPT			0x0001
#define RTLA_ON_BLOCKED			0x0002
#define RTLA_ON_YIELD			0x0004
#define RTLA_ON_IDLE			0x0020
#define NEED_L1D_FLUSH			0x0040
#define NEED_CPU_NOT_IDLE		0x0080
#define ELIDE_PREEMPT			0x0200
#define SEND_TASK_ON_CPU		0x0400
#define DEFER_LATCHED_PREEMPTION_BY_AGENT 0x0800
#define DO_NOT_PREEMPT			0x1000

/* commit flags */
#define COMMIT_AT_SCHEDULE		0x01
#define COMMIT_AT_TXN_COMMIT		0x02
#define ALLOW_TASK_ONCPU		0x04
#define ELIDE_AGENT_BARRIER_INC		0x08
#define INC_AGENT_BARRIER_ON_FAILURE	0x10

/* ---- ioctls on an enclave's ctl ---- */

enum ghost_type {
	GHOST_AGENT,
	GHOST_TASK,
};

struct ghost_msg_src {
	__u32 type;
	__u64 arg;
};

struct ghost_agent_wakeup {
	__s32 cpu;
	__s32 prio;
};

struct timerfd_ghost {
	__s32 cpu;
	__s32 flags;
	__u64 type;
	__u64 cookie;
};

#define TIMERFD_GHOST_ENABLED		1

struct ghost_ioc_sw_get_info {
	struct ghost_msg_src request;
	struct ghost_sw_info response;
};

struct ghost_ioc_create_queue {
	__s32 elems;
	__s32 node;
	__s32 flags;
	__u64 mapsize;
};

struct ghost_ioc_assoc_queue {
	__s32 fd;
	struct ghost_msg_src src;
	__u32 barrier;
	__s32 flags;
};

/* ASSOC_QUEUE return bits */
#define GHOST_ASSOC_SF_ALREADY		1
#define GHOST_ASSOC_SF_BRAND_NEW	2

struct ghost_ioc_set_default_queue {
	__s32 fd;
};

struct ghost_ioc_config_queue_wakeup {
	__s32 qfd;
	struct ghost_agent_wakeup *w;
	__s32 ninfo;
	__s32 flags;
};

struct ghost_ioc_get_cpu_time {
	__s64 gtid;
	__u64 runtime;
};

struct ghost_ioc_commit_txn {
	__u64 *mask_ptr;
	__u32 mask_len;
	__s32 flags;
};

struct ghost_ioc_timerfd_settime {
	__s32 timerfd;
	__s32 flags;
	const void *in_tmr;
	void *out_tmr;
	struct timerfd_ghost timerfd_ghost;
};

struct ghost_ioc_run {
	__s64 gtid;
	__u32 agent_barrier;
	__u32 task_barrier;
	__s32 run_cpu;
	__s32 run_flags;
};

#define GHOST_IOC_NULL			_IO('g', 0)
#define GHOST_IOC_SW_GET_INFO		_IOWR('g', 1, struct ghost_ioc_sw_get_info)
#define GHOST_IOC_SW_FREE		_IOW('g', 2, struct ghost_sw_info)
#define GHOST_IOC_CREATE_QUEUE		_IOWR('g', 3, struct ghost_ioc_create_queue)
#define GHOST_IOC_ASSOC_QUEUE		_IOW('g', 4, struct ghost_ioc_assoc_queue)
#define GHOST_IOC_SET_DEFAULT_QUEUE	_IOW('g', 5, struct ghost_ioc_set_default_queue)
#define GHOST_IOC_CONFIG_QUEUE_WAKEUP	_IOW('g', 6, struct ghost_ioc_config_queue_wakeup)
#define GHOST_IOC_GET_CPU_TIME		_IOWR('g', 7, struct ghost_ioc_get_cpu_time)
#define GHOST_IOC_COMMIT_TXN		_IOW('g', 8, struct ghost_ioc_commit_txn)
#define GHOST_IOC_SYNC_GROUP_TXN	_IOW('g', 9, struct ghost_ioc_commit_txn)
#define GHOST_IOC_TIMERFD_SETTIME	_IOWR('g', 10, struct ghost_ioc_timerfd_settime)
#define GHOST_IOC_RUN			_IOW('g', 11, struct ghost_ioc_run)

/* ---- BPF programs ---- */

/*
 * A program is loaded with one of the types and, as its expected attach type,
 * GHOST_BPF_ATTACH() of the matching attach type; it is attached by a link
 * whose target is the ctl of an enclave, opened for writing. All of a context
 * may be read and written.
 */
#define BPF_PROG_TYPE_GHOST_SCHED	1000
#define BPF_PROG_TYPE_GHOST_MSG		1001
#define BPF_PROG_TYPE_GHOST_SELECT_RQ	1002
#define BPF_PROG_TYPE_GHOST_HALT_POLL	1003

#define BPF_GHOST_SCHED_PNT		2000
#define BPF_GHOST_MSG_SEND		2001
#define BPF_GHOST_SELECT_RQ		2002
#define BPF_GHOST_HALT_POLL		2003

#define GHOST_BPF_ATTACH(abi, type)	(((abi) << 16) | (type))

/* Numbers of the helpers; 3002 is no longer used. */
#define BPF_FUNC_ghost_wake_agent	3000
#define BPF_FUNC_ghost_run_gtid		3001
#define BPF_FUNC_ghost_resched_cpu2	3003
#define BPF_FUNC_ghost_sync_commit	3004
#define BPF_FUNC_ghost_get_affinity	3005
#define BPF_FUNC_ghost_get_comm		3006

/* flags of resched_cpu2: what must run there, and what else is to happen */
#define RESCHED_ANY_CLASS		0x01
#define RESCHED_GHOST_CLASS		0x02
#define RESCHED_IDLE_CLASS		0x04
#define RESCHED_OTHER_CLASS		0x08
#define SET_MUST_RESCHED		0x10
#define WAKE_AGENT			0x20

/* bpf_ghost_msg.pref_cpu, when it is no CPU */
#define GHOST_PREF_CPU_NONE		(-1)
#define GHOST_PREF_CPU_NO_WAKEUP	(-2)

/**
 * struct bpf_ghost_sched - context of a GHOST_SCHED program: a CPU schedules
 * @agent_on_rq: the CPU has an agent, which is queued
 * @agent_runnable: ... and will run
 * @might_yield: a thread of another class wants the CPU
 * @dont_idle: out: if the CPU would go idle, it schedules again at once
 * @must_resched: out: what runs is not kept
 * @next_gtid: what would run: latched, or going on; 0 is nothing
 */
struct bpf_ghost_sched {
	__u8 agent_on_rq;
	__u8 agent_runnable;
	__u8 might_yield;
	__u8 dont_idle;
	__u8 must_resched;
	__u64 next_gtid;
};

/*
 * Context of a GHOST_MSG program: a message is due. Type and payload may be
 * changed; pref_cpu says whose agent to wake, or GHOST_PREF_CPU_*. The program
 * returns 0 to have the message queued.
 */
struct bpf_ghost_msg {
	union {
		struct ghost_msg_payload_task_dead dead;
		struct ghost_msg_payload_task_blocked blocked;
		struct ghost_msg_payload_task_wakeup wakeup;
		struct ghost_msg_payload_task_new newt;
		struct ghost_msg_payload_task_preempt preempt;
		struct ghost_msg_payload_task_yield yield;
		struct ghost_msg_payload_task_departed departed;
		struct ghost_msg_payload_task_switchto switchto;
		struct ghost_msg_payload_task_affinity_changed affinity;
		struct ghost_msg_payload_task_on_cpu on_cpu;
		struct ghost_msg_payload_task_priority_changed priority;
		struct ghost_msg_payload_task_latch_failure latch_failure;
		struct ghost_msg_payload_cpu_tick cpu_tick;
		struct ghost_msg_payload_timer timer;
		struct ghost_msg_payload_cpu_not_idle cpu_not_idle;
		struct ghost_msg_payload_cpu cpu;
	};
	__u16 type;
	__u32 seqnum;
	__s32 pref_cpu;
};

/**
 * struct bpf_ghost_select_rq - context of a GHOST_SELECT_RQ program: a task
 * wakes up, was forked or calls exec
 * @gtid: which task
 * @task_cpu: its last CPU
 * @waker_cpu: the CPU that this happens on
 * @sd_flag: why: exec 2, fork 4, wake-up 8
 * @wake_flags: the kernel's own wake-up flags
 * @skip_ttwu_queue: out: not through the list of wake-ups of the other CPU
 *
 * The program returns a CPU, or a negative number.
 */
struct bpf_ghost_select_rq {
	__u64 gtid;
	__u32 task_cpu;
	__u32 waker_cpu;
	__u32 sd_flag;
	__u32 wake_flags;
	__u8 skip_ttwu_queue;
};

/**
 * struct bpf_ghost_halt_poll - context of a GHOST_HALT_POLL program
 * @type: GHOST_HALT_POLL_*
 */
struct bpf_ghost_halt_poll {
	__u32 type;
};

#define GHOST_HALT_POLL_PREPARE		0
#define GHOST_HALT_POLL_CONTINUE	1
#define GHOST_HALT_POLL_END		2

#define BPF_SYNC_COMMIT_MAX_CPUS	2

/**
 * struct bpf_sync_commit_args - what bpf_ghost_sync_commit() commits, all or
 * none
 * @cpus: targets; -1 is an entry that is not used
 * @gtids: as in struct ghost_txn
 * @task_barriers: as in struct ghost_txn
 * @run_flags: as in struct ghost_txn
 * @commit_flags: as in struct ghost_txn
 */
struct bpf_sync_commit_args {
	__s32 cpus[BPF_SYNC_COMMIT_MAX_CPUS];
	__u64 gtids[BPF_SYNC_COMMIT_MAX_CPUS];
	__u32 task_barriers[BPF_SYNC_COMMIT_MAX_CPUS];
	__s32 run_flags[BPF_SYNC_COMMIT_MAX_CPUS];
	__s32 commit_flags[BPF_SYNC_COMMIT_MAX_CPUS];
};

#endif /* _UAPI_LINUX_GHOST_H */
