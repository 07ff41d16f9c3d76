// SPDX-License-Identifier: GPL-2.0-only
/*
 * SCHED_GHOST: while an enclave has no agent able to run, its members do.
 *
 * They are lent to the class that threads of SCHED_NORMAL have, as priority
 * inheritance lends them to another: the policy stays, so they stay members,
 * and their agent is told BLOCKED and, in the end, WAKEUP. One sweep over the
 * announced members changes their class. Whoever comes into ghost_sched_class
 * meanwhile (a new member, the end of a boost, sched_ext that comes or goes)
 * is put to the front of e->tasks and swept again, so that a sweep ends at the
 * first that is lent already.
 *
 * That is so, with the tunable fallback, while every agent is gone, stopped,
 * traced, frozen or waits for the core dump of its process to end; and without
 * it from before the freezer to after the thaw: the agent freezes first, and its
 * tasks need a CPU to get to the refrigerator.
 *
 * The watchdog lends those that higher classes have starved for too long, for a
 * second. At any time it is so for one who is bound by migrate_disable() to a CPU
 * that has no agent of the enclave: it joined there, was taken back there, or the
 * agent has gone. The watchdog takes it back once it is bound no longer.
 */
#include <linux/cgroup.h>
#include <linux/freezer.h>
#include <linux/sched/signal.h>
#include <linux/suspend.h>
#include "ghost.h"

/* Between the two notifications of a suspend. */
static bool suspending;

/* Its process dumps core or exits: it schedules nobody any more. */
static bool ends(struct task_struct *p)
{
	/* data_race: of another thread a guess, which it corrects itself. */
	return data_race(p->flags) & (PF_DUMPCORE | PF_POSTCOREDUMP);
}

static bool stopped(struct task_struct *p)
{
	unsigned int state = READ_ONCE(p->__state);

	if (state & (__TASK_STOPPED | __TASK_TRACED | TASK_FROZEN))
		return true;
	/*
	 * data_race: as above. Who waits for the child of a vfork() counts as
	 * frozen as well, and nobody wants it to be.
	 */
	return ends(p) || data_race(cgroup_task_frozen(p) &&
				    (p->jobctl & JOBCTL_TRAP_FREEZE));
}

/* Has it an agent that is not stopped, frozen or at its end? e->lock held. */
bool ghost_has_able_agent(struct ghost_enclave *e)
{
	struct task_struct *agent;
	int cpu;

	lockdep_assert_held(&e->lock);
	for_each_cpu(cpu, e->cpus) {
		agent = cpu_rq(cpu)->ghost.agent;
		if (agent && agent->ghost.enclave == e &&
		    (READ_ONCE(agent->on_rq) ? !ends(agent) : !stopped(agent)))
			return true;
	}
	return false;
}

/*
 * @p shall have the class that @lend, @starved and its CPU say; what it owes it is
 * told.
 */
static void set_class(struct ghost_enclave *e, struct task_struct *p, bool lend,
		      bool starved)
{
	int flags = DEQUEUE_SAVE | DEQUEUE_MOVE | DEQUEUE_NOCLOCK;
	const struct sched_class *prev_class, *next_class;
	bool queued, running, alone;
	struct rq_flags rf;
	struct rq *rq;

	rq = task_rq_lock(p, &rf);
	update_rq_clock(rq);
	if (!p->ghost.sw || p->ghost.enclave != e || list_empty(&p->ghost.task_node))
		goto unlock;
	alone = ghost_stuck(rq, p);
	/* In one section, so that nobody is lent in front of one who is not. */
	raw_spin_lock(&e->lock);
	/* It may have run since it was looked at. */
	if (starved && READ_ONCE(p->ghost.last_runnable) &&
	    ghost_excused(e, READ_ONCE(p->ghost.excused))) {
		p->ghost.flags |= GHOST_TF_RESCUED;
		e->rescue_until = jiffies + HZ;
	}
	if (time_after_eq(jiffies, e->rescue_until))
		p->ghost.flags &= ~GHOST_TF_RESCUED;
	alone |= p->ghost.flags & GHOST_TF_RESCUED;
	e->stuck |= alone;
	ghost_move_member(e, p, false);
	if (lend) {
		p->ghost.flags |= GHOST_TF_LENT;
		/* Nor does a successor answer for a wait before a rescue. */
		if (!READ_ONCE(p->ghost.last_runnable))
			WRITE_ONCE(p->ghost.excused, 0);
	} else {
		p->ghost.flags &= ~GHOST_TF_LENT;
	}
	raw_spin_unlock(&e->lock);

	prev_class = p->sched_class;
	next_class = __setscheduler_class(lend || alone ? SCHED_NORMAL : p->policy,
					  p->prio);
	if (prev_class == next_class)
		goto unlock;

	if (p->se.sched_delayed)
		dequeue_task(rq, p, DEQUEUE_SLEEP | DEQUEUE_DELAYED | DEQUEUE_NOCLOCK);
	queued = task_on_rq_queued(p);
	running = task_current(rq, p);
	if (queued)
		dequeue_task(rq, p, flags);
	if (running)
		put_prev_task(rq, p);

	p->sched_class = next_class;
	check_class_changing(rq, p, prev_class);

	if (queued)
		enqueue_task(rq, p, flags);
	if (running)
		set_next_task(rq, p);
	check_class_changed(rq, p, prev_class, p->prio);
	if (lend || alone)
		ghost_check_home(rq, p);
unlock:
	task_rq_unlock(rq, p, &rf);
}

/* The next member to be swept; set_class() moves it to the end. */
static struct task_struct *first_task(struct ghost_enclave *e, bool lend)
{
	struct task_struct *p = NULL;

	raw_spin_lock_irq(&e->lock);
	if (e->sweep_left) {
		e->sweep_left--;
		p = list_first_entry_or_null(&e->tasks, struct task_struct,
					     ghost.task_node);
	}
	if (p && lend && (READ_ONCE(p->ghost.flags) & GHOST_TF_LENT))
		p = NULL;
	if (p)
		get_task_struct(p);
	raw_spin_unlock_irq(&e->lock);
	return p;
}

static bool shall_lend(struct ghost_enclave *e)
{
	return READ_ONCE(suspending) ||
		(READ_ONCE(e->fallback) && !ghost_has_able_agent(e));
}

static void update(void *arg)
{
	struct ghost_enclave *e = arg;
	struct task_struct *p;
	bool lend, sweep;

	mutex_lock(&e->sweep_lock);
	raw_spin_lock_irq(&e->lock);
	lend = shall_lend(e);
	if (lend && !e->lent) {
		/* An agent that wakes sees it, or is seen. */
		smp_store_mb(e->lent, true);
		lend = shall_lend(e);
		sweep = lend || e->stuck;
	} else {
		sweep = lend || e->lent || e->stuck;
	}
	/* The reaper takes lent members as they are. */
	sweep &= !e->dying;
	WRITE_ONCE(e->lent, lend && !e->dying);
	e->stuck = false;
	e->sweep_left = e->nr_tasks;
	e->sweep_arrived = 0;
	raw_spin_unlock_irq(&e->lock);

	/* Who is appended meanwhile has seen e->lent. */
	while (sweep && (p = first_task(e, lend))) {
		set_class(e, p, lend, false);
		put_task_struct(p);
		cond_resched();
	}
	mutex_unlock(&e->sweep_lock);
}

/**
 * ghost_fallback_update - lend the members out, or take them back
 * @e: enclave
 *
 * When it returns every member has the class that the agents' state asks for,
 * but for those that running threads have changed since. A running member
 * gives its WAKEUP at its next pass through the scheduler.
 *
 * Context: process; no locks held.
 */
void ghost_fallback_update(struct ghost_enclave *e)
{
	ghost_by_worker(update, e);
}

/**
 * ghost_fallback_rescue - lend one member for a second, and as long as others follow
 * @e: enclave
 * @p: may be none of its members any more
 *
 * Context: the watchdog's work; no locks held.
 */
void ghost_fallback_rescue(struct ghost_enclave *e, struct task_struct *p)
{
	mutex_lock(&e->sweep_lock);
	set_class(e, p, READ_ONCE(e->lent), true);
	mutex_unlock(&e->sweep_lock);
}

/* A member has come into our class, and is to leave it again. rq lock held. */
void __ghost_fallback_arrived(struct task_struct *p)
{
	struct ghost_enclave *e = p->ghost.enclave;

	/* Moved: it is not new, and try_run() has a lock that is under e->lock. */
	if (task_on_rq_migrating(p))
		return;
	raw_spin_lock(&e->lock);
	e->stuck |= !e->lent;
	p->ghost.flags &= ~GHOST_TF_LENT;
	if (!list_empty(&p->ghost.task_node)) {
		ghost_move_member(e, p, true);
		WRITE_ONCE(e->arrivals, e->arrivals + 1);
		/* In front of those that a sweep under way has still to see. */
		if (e->sweep_arrived < e->nr_tasks) {
			e->sweep_arrived++;
			e->sweep_left++;
		}
		ghost_enclave_todo(e, GHOST_TODO_FALLBACK);
	}
	raw_spin_unlock(&e->lock);
}

/* @agent goes to sleep or wakes: may it be stopped, or go on? rq lock held. */
void ghost_fallback_agent(struct task_struct *agent, bool wakes)
{
	struct ghost_enclave *e = agent->ghost.enclave;

	/* Pairs with update(): its state before what that has decided. */
	smp_mb();
	if (wakes ? READ_ONCE(e->lent) : (READ_ONCE(e->fallback) && stopped(agent)))
		ghost_enclave_todo(e, GHOST_TODO_FALLBACK);
}

/* It may have been the last, and somebody bound to its CPU. e->lock held. */
void ghost_fallback_agent_left(struct ghost_enclave *e)
{
	lockdep_assert_held(&e->lock);
	e->stuck = true;
	ghost_enclave_todo(e, GHOST_TODO_FALLBACK);
}

static int ghost_pm(struct notifier_block *nb, unsigned long action, void *unused)
{
	struct ghost_enclave *e;

	switch (action) {
	case PM_SUSPEND_PREPARE:
	case PM_HIBERNATION_PREPARE:
	case PM_RESTORE_PREPARE:
		WRITE_ONCE(suspending, true);
		break;
	case PM_POST_SUSPEND:
	case PM_POST_HIBERNATION:
	case PM_POST_RESTORE:
		WRITE_ONCE(suspending, false);
		break;
	default:
		return NOTIFY_DONE;
	}
	for (e = ghost_enclave_next(NULL); e; e = ghost_enclave_next(e))
		ghost_fallback_update(e);
	return NOTIFY_OK;
}

static int __init ghost_fallback_init(void)
{
	pm_notifier(ghost_pm, 0);
	return 0;
}
late_initcall(ghost_fallback_init);
