/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the scheduler core calls. Each hook is a not-taken static branch while
 * no enclave exists, and nothing at all without CONFIG_SCHED_CLASS_GHOST.
 * __always_inline: with -Os gcc makes a call of a branch that is not taken.
 */
#ifndef _KERNEL_SCHED_GHOST_HOOKS_H
#define _KERNEL_SCHED_GHOST_HOOKS_H

#ifdef CONFIG_SCHED_CLASS_GHOST

#define GHOST_TF_AGENT		0x01	/* an agent */
#define GHOST_TF_ANNOUNCED	0x02	/* TASK_NEW was due or sent */
#define GHOST_TF_PUBLISHED	0x04	/* the status word is INUSE */
#define GHOST_TF_COUNTED	0x08	/* counted in rq->nr_running */
#define GHOST_TF_LOST		0x10	/* a message found no room */
#define GHOST_TF_JOINING	0x20	/* prepared, not yet of the policy */
#define GHOST_TF_LENT		0x40	/* see fallback.c */
#define GHOST_TF_RESCUED	0x80	/* lent until e->rescue_until */

void __ghost_prologue(struct rq *rq, struct rq_flags *rf);
const struct sched_class *__ghost_decide(struct rq *rq);
bool __ghost_switch(struct rq *rq, struct task_struct *prev,
		    struct task_struct *next);
bool __ghost_busy(struct rq *rq);
void __ghost_tick(struct rq *rq);
void __ghost_kick_agent(struct task_struct *p);
int __ghost_fork(struct task_struct *p);
void __ghost_cancel_fork(struct task_struct *p);
void __ghost_post_fork(struct task_struct *p);
int __ghost_check_setscheduler(struct task_struct *p, int policy,
			       int reset_on_fork);
int __ghost_prepare_setscheduler(struct rq *rq, struct task_struct *p,
				 int policy, u64 sched_flags);
void __ghost_finish_setscheduler(struct rq *rq, struct task_struct *p);
void __ghost_cpu_deactivate(int cpu);
void ghost_task_dead(struct task_struct *p);
void ghost_sched_init(void);

extern unsigned long sysctl_ghost_cfs_load_added;

/* No task has the class while there is no enclave. */
static __always_inline bool ghost_class(const struct task_struct *p)
{
	return ghost_enabled() && p->sched_class == &ghost_sched_class;
}

/* Core scheduling: rank in the terms of __task_prio(), less is more. */
static __always_inline int ghost_core_prio(const struct task_struct *p)
{
	return p->ghost.flags & GHOST_TF_AGENT ? -2 : MAX_RT_PRIO + MAX_NICE + 2;
}

static __always_inline const struct sched_class *ghost_class_of_policy(void)
{
	return &ghost_sched_class;
}

static __always_inline bool ghost_agent(struct task_struct *p)
{
	return ghost_enabled() && (p->ghost.flags & GHOST_TF_AGENT);
}

/* The class that a pick of @p was made by: agents rank above deadline. */
static __always_inline const struct sched_class *ghost_pick_class(struct task_struct *p)
{
	return ghost_agent(p) ? &ghost_agent_sched_class : p->sched_class;
}

/* What runs on the CPU. rq lock held. */
static __always_inline struct task_struct *ghost_curr(struct rq *rq)
{
	return rcu_dereference_protected(rq->curr,
					 lockdep_is_held(__rq_lockp(rq)));
}

/*
 * May a schedule on @rq concern us? A CPU that is nobody's pays this one load.
 * rq lock held, but where the CPU looks at itself.
 */
static __always_inline bool ghost_cpu(struct rq *rq)
{
	return ghost_enabled() && READ_ONCE(rq->ghost.concerned);
}

/*
 * Before a pick; may drop the rq lock. Returns whether the pick concerns us and
 * must go through the classes.
 */
static __always_inline bool ghost_prologue(struct rq *rq, struct rq_flags *rf)
{
	if (!ghost_cpu(rq))
		return false;

	__ghost_prologue(rq, rf);
	return true;
}

/* This CPU is idle: must each of its schedules reach the prologue? */
static __always_inline bool ghost_idle_cpu(void)
{
	return ghost_cpu(this_rq());
}

/* Returns the first class that is to be asked for a task. */
static __always_inline const struct sched_class *ghost_decide(struct rq *rq)
{
	return ghost_cpu(rq) ? __ghost_decide(rq) : __sched_class_highest;
}

/*
 * Between the pick and the switch; rq->curr is @next already. Returns whether
 * PSI is to see prev go to sleep: a parked agent does, although it stays queued.
 */
static __always_inline bool ghost_switch(struct rq *rq, struct task_struct *prev,
					 struct task_struct *next)
{
	return ghost_cpu(rq) && __ghost_switch(rq, prev, next);
}

static __always_inline bool ghost_busy(struct rq *rq)
{
	return ghost_enabled() && rcu_access_pointer(rq->ghost.enclave) &&
		__ghost_busy(rq);
}

/*
 * What the fair class should add to the load of the CPU: members have none, so
 * it would look free to its balancing.
 */
static __always_inline unsigned long ghost_cfs_load(struct rq *rq)
{
	return ghost_busy(rq) ? READ_ONCE(sysctl_ghost_cfs_load_added) : 0;
}

/* How fast the CPU should be for us: like a real-time task we do not say. */
static __always_inline unsigned long ghost_cpuperf_target(int cpu)
{
	return ghost_busy(cpu_rq(cpu)) ? arch_scale_cpu_capacity(cpu) : 0;
}

/* Interrupts off, no rq lock held. */
static __always_inline void ghost_tick(struct rq *rq)
{
	if (ghost_enabled() && rcu_access_pointer(rq->ghost.enclave))
		__ghost_tick(rq);
}

static __always_inline void ghost_kick_process(struct task_struct *p)
{
	if (ghost_agent(p))
		__ghost_kick_agent(p);
}

/* Was it ever in an enclave, and so perhaps committed off its mask? */
static __always_inline bool ghost_was_member(struct task_struct *p)
{
	return atomic64_read(&p->ghost.gtid) != 0;
}

/*
 * Affinity of an agent is fixed, except for migrate_disable()'s bookkeeping.
 * Who asks is told, a cpuset that changes its CPUs is not: it would warn.
 */
static __always_inline bool ghost_pinned(struct task_struct *p, u32 sca_flags)
{
	return ghost_agent(p) &&
		!(sca_flags & (SCA_MIGRATE_DISABLE | SCA_MIGRATE_ENABLE));
}

/*
 * What counts for a task in no enclave, too. The child is a copy of the parent,
 * which may have been moved into one meanwhile; no_bpf_load is inherited.
 */
static __always_inline void ghost_init_entity(struct task_struct *p)
{
	atomic64_set(&p->ghost.gtid, 0);
	p->ghost.join = NULL;
	p->ghost.timer = NULL;
	p->ghost.sw = NULL;
	p->ghost.gate = NULL;
	p->ghost.saved_barrier = 0;
	p->ghost.flags = 0;
}

static __always_inline int ghost_fork(struct task_struct *p)
{
	return ghost_policy(p->policy) ? __ghost_fork(p) : 0;
}

static __always_inline void ghost_cancel_fork(struct task_struct *p)
{
	if (ghost_enabled() && p->ghost.sw)
		__ghost_cancel_fork(p);
}

static __always_inline void ghost_post_fork(struct task_struct *p)
{
	if (ghost_enabled())
		__ghost_post_fork(p);
}

static __always_inline int ghost_check_setscheduler(struct task_struct *p, int policy,
						    int reset_on_fork)
{
	if (!ghost_policy(policy) && !ghost_policy(p->policy) &&
	    likely(!current->ghost.join))
		return 0;
	return __ghost_check_setscheduler(p, policy, reset_on_fork);
}

static __always_inline int ghost_prepare_setscheduler(struct rq *rq,
						      struct task_struct *p, int policy,
						      u64 sched_flags)
{
	if (!ghost_policy(policy) || ghost_policy(p->policy))
		return 0;
	return __ghost_prepare_setscheduler(rq, p, policy, sched_flags);
}

static __always_inline void ghost_finish_setscheduler(struct rq *rq,
						      struct task_struct *p)
{
	if (ghost_enabled() && p->ghost.sw)
		__ghost_finish_setscheduler(rq, p);
}

/* Off the CPU for ever, in whatever class; no locks held. */
static __always_inline void ghost_dead(struct task_struct *p)
{
	if (ghost_enabled() && p->ghost.sw)
		ghost_task_dead(p);
}

static __always_inline void ghost_cpu_deactivate(int cpu)
{
	if (ghost_enabled())
		__ghost_cpu_deactivate(cpu);
}

#else /* !CONFIG_SCHED_CLASS_GHOST */

/*
 * Macros, no inlines: gcc compiles rt_mutex_setprio(), sched_fork() and
 * __sched_setscheduler() otherwise when they call even an empty inline, and
 * with the option off not an instruction is to change.
 */
#define ghost_class(...)		false
#define ghost_core_prio(...)		0
#define ghost_class_of_policy(...)	(&fair_sched_class)
#define ghost_agent(...)		false
#define ghost_pick_class(p)		((p)->sched_class)
#define ghost_cpu(...)			false
#define ghost_prologue(...)		({ false; })
#define ghost_idle_cpu(...)		false
#define ghost_decide(...)		({ __sched_class_highest; })
#define ghost_switch(...)		false
#define ghost_cfs_load(...)		0UL
#define ghost_cpuperf_target(...)	0UL
#define ghost_tick(...)			do { } while (0)
#define ghost_kick_process(...)		do { } while (0)
#define ghost_was_member(...)		false
#define ghost_pinned(...)		false
#define ghost_init_entity(...)		do { } while (0)
#define ghost_fork(...)			0
#define ghost_cancel_fork(...)		do { } while (0)
#define ghost_post_fork(...)		do { } while (0)
#define ghost_check_setscheduler(...)	0
#define ghost_prepare_setscheduler(...)	0
#define ghost_finish_setscheduler(...)	do { } while (0)
#define ghost_dead(...)			do { } while (0)
#define ghost_cpu_deactivate(...)	do { } while (0)
#define ghost_sched_init(...)		do { } while (0)
#endif /* CONFIG_SCHED_CLASS_GHOST */
#endif /* _KERNEL_SCHED_GHOST_HOOKS_H */
