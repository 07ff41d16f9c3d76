/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The part of SCHED_GHOST that struct rq and the class order need.
 */
#ifndef _KERNEL_SCHED_GHOST_RQ_H
#define _KERNEL_SCHED_GHOST_RQ_H

#include <linux/irq_work.h>
#include <linux/jump_label_ratelimit.h>
#include <linux/stop_machine.h>

#ifdef CONFIG_SCHED_CLASS_GHOST

struct ghost_txn;
struct sched_class;

/**
 * struct ghost_rq - the per-CPU record
 * @enclave: enclave that the CPU belongs to; written under the enclave lock,
 *	read under RCU (a rq lock is enough)
 * @txn: the CPU's transaction in the enclave's shared memory, as @enclave
 * @agent: agent of the CPU, counted; written under both rq lock and enclave
 *	lock, read under either
 * @abarrier: agent barrier; incremented by anybody
 * @wakereq: the agent is to be un-parked at the next decision; lockless,
 *	set after @abarrier was incremented
 * @claim: 1 while @txn is being committed; the kernel's own copy of the
 *	claim, user space can forge the other
 * @concerned: the schedules of this CPU may concern us; set with what makes
 *	them so, cleared by the first that finds nothing; written under the rq
 *	lock
 * @parked: the agent has given up its CPU and waits; read locklessly by
 *	wakers, who increment @abarrier first
 * @kick: the running ghost task must not be kept
 * @check_preempt: inside one pass: prev may still need a PREEMPT message
 * @voluntary: inside one pass: prev has told that it gives up the CPU
 * @kill: the agent hogs the CPU, @work sends SIGKILL
 * @run_flags: run flags of the last latch or yield
 * @cpu_seqnum: history counter, never reset
 * @hog_since: rq clock at which the agent began to keep others waiting, or 0
 * @hog_seen: rq clock of the last tick in which it did
 * @tasks: queued ghost tasks, longest waiting first
 * @latched: task (or idle task) to run next, or NULL
 * @offered: the running task is about to give the CPU to @latched
 * @sw_chain: task that got the CPU, or is @latched, by a direct switch, or
 *	NULL; only compared
 * @switch_to: the running task is waking this one to give it the CPU; written
 *	by the CPU with interrupts off, read there or under the rq lock; only
 *	compared
 * @rendezvous: of the sync group of the last commit; stored with release,
 *	read with acquire
 * @kick_remote: a BPF program wants @kick; lockless
 * @resched: a BPF program wants this CPU to schedule; lockless
 * @dont_idle: a BPF program wants the CPU to schedule again when it goes idle
 * @mute_preempt: prev is taken off by a failed sync group, without PREEMPT
 * @homeless: there may be threads to be sent home, by @work
 * @homing: @stop is on its way; cleared by it
 * @stop: sends home
 * @work: carries out what may not be done under a rq lock
 *
 * Protected by the rq lock where not stated otherwise.
 */
struct ghost_rq {
	struct ghost_enclave __rcu	*enclave;
	struct ghost_txn		*txn;
	struct task_struct		*agent;
	atomic_t			abarrier;
	int				wakereq;
	int				claim;
	bool				concerned;
	bool				parked;
	bool				kick;
	bool				check_preempt;
	bool				voluntary;
	bool				kill;
	u16				run_flags;
	u64				cpu_seqnum;
	u64				hog_since;
	u64				hog_seen;
	struct list_head		tasks;
	struct task_struct		*latched;
	bool				offered;
	struct task_struct		*sw_chain;
	struct task_struct		*switch_to;
	s64				rendezvous;
	int				kick_remote;
	int				resched;
	bool				dont_idle;
	bool				mute_preempt;
	bool				homeless;
	bool				homing;
	struct cpu_stop_work		stop;
	struct irq_work			work;
};

extern const struct sched_class ghost_agent_sched_class;
extern const struct sched_class ghost_sched_class;

extern struct static_key_false_deferred ghost_key;
#define ghost_enabled()		static_branch_unlikely(&ghost_key.key)

static __always_inline bool ghost_policy(int policy)
{
	return policy == SCHED_GHOST;
}

/* Both classes are skipped while there is no enclave. */
#define ghost_skip_inactive(class)					\
({									\
	const struct sched_class *__c = (class);			\
									\
	if (!ghost_enabled() && (__c == &ghost_agent_sched_class ||	\
				 __c == &ghost_sched_class))		\
		__c++;							\
	__c;								\
})

#else /* !CONFIG_SCHED_CLASS_GHOST */

#define ghost_enabled()			false
#define ghost_skip_inactive(class)	(class)

#define ghost_policy(...)		false

#endif /* CONFIG_SCHED_CLASS_GHOST */
#endif /* _KERNEL_SCHED_GHOST_RQ_H */
