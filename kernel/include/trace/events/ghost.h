/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * SCHED_GHOST: what passes between an enclave and its policy.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM ghost

#if !defined(_TRACE_GHOST_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_GHOST_H

#include <linux/sched.h>
#include <linux/tracepoint.h>
#include <uapi/linux/ghost.h>

#define ghost_msg_names						\
	{ MSG_TASK_DEAD,		"DEAD" },		\
	{ MSG_TASK_BLOCKED,		"BLOCKED" },		\
	{ MSG_TASK_WAKEUP,		"WAKEUP" },		\
	{ MSG_TASK_NEW,			"NEW" },		\
	{ MSG_TASK_PREEMPT,		"PREEMPT" },		\
	{ MSG_TASK_YIELD,		"YIELD" },		\
	{ MSG_TASK_DEPARTED,		"DEPARTED" },		\
	{ MSG_TASK_SWITCHTO,		"SWITCHTO" },		\
	{ MSG_TASK_AFFINITY_CHANGED,	"AFFINITY_CHANGED" },	\
	{ MSG_TASK_ON_CPU,		"ON_CPU" },		\
	{ MSG_TASK_PRIORITY_CHANGED,	"PRIORITY_CHANGED" },	\
	{ MSG_CPU_TICK,			"CPU_TICK" },		\
	{ MSG_CPU_TIMER_EXPIRED,	"CPU_TIMER_EXPIRED" },	\
	{ MSG_CPU_NOT_IDLE,		"CPU_NOT_IDLE" },	\
	{ MSG_CPU_AVAILABLE,		"CPU_AVAILABLE" },	\
	{ MSG_CPU_BUSY,			"CPU_BUSY" },		\
	{ MSG_CPU_AGENT_BLOCKED,	"CPU_AGENT_BLOCKED" },	\
	{ MSG_CPU_AGENT_WAKEUP,		"CPU_AGENT_WAKEUP" }

#define ghost_txn_names							\
	{ GHOST_TXN_COMPLETE,			"COMPLETE" },		\
	{ GHOST_TXN_ABORTED,			"ABORTED" },		\
	{ GHOST_TXN_TARGET_ONCPU,		"TARGET_ONCPU" },	\
	{ GHOST_TXN_TARGET_STALE,		"TARGET_STALE" },	\
	{ GHOST_TXN_TARGET_NOT_FOUND,		"TARGET_NOT_FOUND" },	\
	{ GHOST_TXN_TARGET_NOT_RUNNABLE,	"TARGET_NOT_RUNNABLE" }, \
	{ GHOST_TXN_AGENT_STALE,		"AGENT_STALE" },	\
	{ GHOST_TXN_CPU_OFFLINE,		"CPU_OFFLINE" },	\
	{ GHOST_TXN_CPU_UNAVAIL,		"CPU_UNAVAIL" },	\
	{ GHOST_TXN_INVALID_FLAGS,		"INVALID_FLAGS" },	\
	{ GHOST_TXN_INVALID_TARGET,		"INVALID_TARGET" },	\
	{ GHOST_TXN_NOT_PERMITTED,		"NOT_PERMITTED" },	\
	{ GHOST_TXN_INVALID_CPU,		"INVALID_CPU" },	\
	{ GHOST_TXN_NO_AGENT,			"NO_AGENT" },		\
	{ GHOST_TXN_UNSUPPORTED_VERSION,	"UNSUPPORTED_VERSION" }, \
	{ GHOST_TXN_POISONED,			"POISONED" }

/**
 * ghost_message - a message was due
 * @p: task it is about; of one about a CPU the agent
 * @gtid: its id
 * @type: MSG_TASK_* or MSG_CPU_*
 * @barrier: of @p, which the event has stepped
 * @delivered: it went into the ring; if not, the task has no queue or is gated,
 *	the ring is full, or a program has dropped it
 */
TRACE_EVENT(ghost_message,
	TP_PROTO(struct task_struct *p, s64 gtid, u16 type, u32 barrier,
		 bool delivered),
	TP_ARGS(p, gtid, type, barrier, delivered),

	TP_STRUCT__entry(
		__field(s64, gtid)
		__field(pid_t, pid)
		__field(u32, barrier)
		__field(u16, type)
		__field(bool, delivered)
	),
	TP_fast_assign(
		__entry->gtid = gtid;
		__entry->pid = p->pid;
		__entry->barrier = barrier;
		__entry->type = type;
		__entry->delivered = delivered;
	),
	TP_printk("pid=%d gtid=%lld type=%s barrier=%u delivered=%d",
		  __entry->pid, __entry->gtid,
		  __print_symbolic(__entry->type, ghost_msg_names),
		  __entry->barrier, __entry->delivered)
);

/**
 * ghost_commit - a transaction has its result
 * @cpu: CPU of the transaction
 * @gtid: target, also GHOST_NULL_GTID, GHOST_AGENT_GTID, GHOST_IDLE_GTID
 * @barrier: task barrier that the transaction named
 * @state: GHOST_TXN_*
 */
TRACE_EVENT(ghost_commit,
	TP_PROTO(int cpu, s64 gtid, u32 barrier, s32 state),
	TP_ARGS(cpu, gtid, barrier, state),

	TP_STRUCT__entry(
		__field(s64, gtid)
		__field(int, cpu)
		__field(u32, barrier)
		__field(s32, state)
	),
	TP_fast_assign(
		__entry->gtid = gtid;
		__entry->cpu = cpu;
		__entry->barrier = barrier;
		__entry->state = state;
	),
	TP_printk("cpu=%d gtid=%lld barrier=%u state=%s",
		  __entry->cpu, __entry->gtid, __entry->barrier,
		  __print_symbolic(__entry->state, ghost_txn_names))
);

/**
 * sched_ghost_latched - what a CPU is to run next has been chosen
 * @old: task that was latched before, or NULL
 * @new: task (or idle task) that is latched now, or NULL
 * @run_flags: of the transaction
 */
TRACE_EVENT(sched_ghost_latched,
	TP_PROTO(struct task_struct *old, struct task_struct *new,
		 u16 run_flags),
	TP_ARGS(old, new, run_flags),

	TP_STRUCT__entry(
		__field(pid_t, old_pid)
		__field(pid_t, new_pid)
		__field(u16, run_flags)
	),
	TP_fast_assign(
		__entry->old_pid = old ? old->pid : 0;
		__entry->new_pid = new ? new->pid : 0;
		__entry->run_flags = run_flags;
	),
	TP_printk("old_pid=%d new_pid=%d run_flags=%#x",
		  __entry->old_pid, __entry->new_pid, __entry->run_flags)
);

DECLARE_EVENT_CLASS(ghost_member,
	TP_PROTO(struct task_struct *p, s64 gtid, unsigned long enclave,
		 bool agent),
	TP_ARGS(p, gtid, enclave, agent),

	TP_STRUCT__entry(
		__field(s64, gtid)
		__field(unsigned long, enclave)
		__field(pid_t, pid)
		__field(bool, agent)
	),
	TP_fast_assign(
		__entry->gtid = gtid;
		__entry->enclave = enclave;
		__entry->pid = p->pid;
		__entry->agent = agent;
	),
	TP_printk("pid=%d gtid=%lld enclave=%lu agent=%d",
		  __entry->pid, __entry->gtid, __entry->enclave,
		  __entry->agent)
);

/**
 * ghost_join - a thread is a member of an enclave, or an agent
 * @p: thread
 * @gtid: its id
 * @enclave: number of the enclave
 * @agent: whether it is an agent
 */
DEFINE_EVENT(ghost_member, ghost_join,
	TP_PROTO(struct task_struct *p, s64 gtid, unsigned long enclave,
		 bool agent),
	TP_ARGS(p, gtid, enclave, agent)
);

/**
 * ghost_leave - a thread is no longer in the enclave: policy change or death
 * @p: thread
 * @gtid: its id
 * @enclave: number of the enclave
 * @agent: whether it was an agent
 */
DEFINE_EVENT(ghost_member, ghost_leave,
	TP_PROTO(struct task_struct *p, s64 gtid, unsigned long enclave,
		 bool agent),
	TP_ARGS(p, gtid, enclave, agent)
);

DECLARE_EVENT_CLASS(ghost_agent,
	TP_PROTO(int cpu, u32 barrier),
	TP_ARGS(cpu, barrier),

	TP_STRUCT__entry(
		__field(int, cpu)
		__field(u32, barrier)
	),
	TP_fast_assign(
		__entry->cpu = cpu;
		__entry->barrier = barrier;
	),
	TP_printk("cpu=%d barrier=%u", __entry->cpu, __entry->barrier)
);

/**
 * ghost_agent_park - the agent gives up its CPU
 * @cpu: CPU of the agent
 * @barrier: agent barrier
 */
DEFINE_EVENT(ghost_agent, ghost_agent_park,
	TP_PROTO(int cpu, u32 barrier),
	TP_ARGS(cpu, barrier)
);

/**
 * ghost_agent_unpark - the agent may run again
 * @cpu: CPU of the agent
 * @barrier: agent barrier
 */
DEFINE_EVENT(ghost_agent, ghost_agent_unpark,
	TP_PROTO(int cpu, u32 barrier),
	TP_ARGS(cpu, barrier)
);

/**
 * ghost_enclave_create - an enclave exists
 * @enclave: its number
 * @abi: version of its binary interface
 */
TRACE_EVENT(ghost_enclave_create,
	TP_PROTO(unsigned long enclave, u32 abi),
	TP_ARGS(enclave, abi),

	TP_STRUCT__entry(
		__field(unsigned long, enclave)
		__field(u32, abi)
	),
	TP_fast_assign(
		__entry->enclave = enclave;
		__entry->abi = abi;
	),
	TP_printk("enclave=%lu abi=%u", __entry->enclave, __entry->abi)
);

/**
 * ghost_enclave_destroy - the destruction of an enclave begins
 * @enclave: its number
 * @reason: why, in words
 */
TRACE_EVENT(ghost_enclave_destroy,
	TP_PROTO(unsigned long enclave, const char *reason),
	TP_ARGS(enclave, reason),

	TP_STRUCT__entry(
		__field(unsigned long, enclave)
		__string(reason, reason)
	),
	TP_fast_assign(
		__entry->enclave = enclave;
		__assign_str(reason);
	),
	TP_printk("enclave=%lu reason=\"%s\"", __entry->enclave,
		  __get_str(reason))
);

#endif /* _TRACE_GHOST_H */

#include <trace/define_trace.h>
