// SPDX-License-Identifier: GPL-2.0-only
/*
 * SCHED_GHOST: direct switch. FUTEX_SWITCHTO wakes a thread that waits for one
 * futex and waits for another. If both threads are tasks of one enclave, the
 * woken one gets the caller's CPU, and the policy takes no part:
 *
 *	ask	the caller names the task in rq->ghost.switch_to and wakes it,
 *		with interrupts off until it is in __schedule()
 *	offer	the wake-up places the task on this CPU, latches it there and
 *		tells nobody
 *	give	the caller goes to sleep; at the start of a chain of switches
 *		this is a TASK_SWITCHTO. The pick finds the latch
 *
 * An offer that is not given, because the caller does not sleep, or the agent,
 * another class or a commit wants the CPU, or the task is moved, becomes an
 * ordinary wake-up when it is un-latched. What was given and is un-latched
 * before the switch ends the chain with a PREEMPT.
 *
 * No pi_lock is held while the CPU is handed over: the task is awake and queued
 * here before the caller enters __schedule().
 */
#include "ghost.h"
#include "../../futex/futex.h"

/* Is @p woken to get this CPU? Its pi_lock is held, interrupts are off. */
bool ghost_switch_asked(struct task_struct *p)
{
	/* Of who is bound by migrate_disable() the mask is that one CPU. */
	return READ_ONCE(this_rq()->ghost.switch_to) == p &&
		cpumask_test_cpu(smp_processor_id(), p->cpus_ptr);
}

/* @p was woken here: may it get the CPU from the running task? rq lock held. */
bool ghost_switch_offer(struct rq *rq, struct task_struct *p)
{
	struct task_struct *curr = ghost_curr(rq);
	struct ghost_enclave *e = p->ghost.enclave;
	struct ghost_rq *g = &rq->ghost;

	if (READ_ONCE(g->switch_to) != p)
		return false;
	/* The policy takes the one for blocked; the other is about to block. */
	if (p->ghost.view != GHOST_VIEW_BLOCKED)
		return false;
	if (!ghost_task(curr) || !curr->ghost.sw || curr->ghost.pending ||
	    curr->ghost.enclave != e || READ_ONCE(curr->__state) == TASK_RUNNING)
		return false;
	if (rcu_access_pointer(g->enclave) != e || !g->agent || g->latched ||
	    g->kick || READ_ONCE(e->switchto_disabled) ||
	    !cpumask_test_cpu(cpu_of(rq), p->cpus_ptr))
		return false;

	g->latched = p;
	g->offered = true;
	/* It was said of the latch that is used up. */
	g->run_flags &= ~DEFER_LATCHED_PREEMPTION_BY_AGENT;
	ghost_count(rq, p, true);
	return true;
}

/*
 * @p goes to sleep where an offer stands: does it hand over the CPU? rq lock held,
 * no pi_lock.
 */
bool ghost_switch_give(struct rq *rq, struct task_struct *p)
{
	struct ghost_rq *g = &rq->ghost;

	if (ghost_curr(rq) != p)
		return false;
	if (g->kick || ghost_rendezvous_due(rq) || ghost_agent_ready(rq) ||
	    ghost_others(rq)) {
		ghost_unlatch(rq);
		return false;
	}

	g->offered = false;
	if (!g->sw_chain)
		ghost_msg_switchto(rq, p);
	g->sw_chain = g->latched;
	return true;
}

/* Take one waiter off the futex, as futex_wake() does. */
static int take_waiter(union futex_key *key, struct wake_q_head *wake_q)
{
	struct futex_hash_bucket *hb = futex_hash(key);
	struct futex_q *q;
	int ret = 0;

	if (!futex_hb_waiters_pending(hb))
		return 0;

	spin_lock(&hb->lock);
	q = futex_top_waiter(hb, key);
	if (q && (q->pi_state || q->rt_waiter))
		ret = -EINVAL;
	else if (q)
		q->wake(wake_q, q);
	spin_unlock(&hb->lock);
	return ret;
}

/* Wake who is in @wake_q and sleep, unless the caller has been woken itself. */
static void wake_and_sleep(struct wake_q_head *wake_q)
{
	struct task_struct *p;

	if (!ghost_task(current) || wake_q_empty(wake_q)) {
		wake_up_q(wake_q);
		schedule();
		return;
	}

	p = container_of(wake_q->first, struct task_struct, wake_q);
	local_irq_disable();
	WRITE_ONCE(this_rq()->ghost.switch_to, p);
	wake_up_q(wake_q);
	WRITE_ONCE(this_rq()->ghost.switch_to, NULL);
	/* Comes back with interrupts on. */
	schedule();
}

static int wake_and_wait(u32 __user *uaddr, unsigned int flags, u32 val,
			 struct hrtimer_sleeper *to, u32 __user *uaddr2)
{
	union futex_key key2 = FUTEX_KEY_INIT;
	struct futex_q q = futex_q_init;
	struct futex_hash_bucket *hb;
	DEFINE_WAKE_Q(wake_q);
	int ret;

	/* All that can fault comes first. */
	ret = get_futex_key(uaddr2, flags, &key2, FUTEX_READ);
	if (ret)
		return ret;
	ret = futex_wait_setup(uaddr, val, flags, &q, &hb);
	if (ret)
		return ret;

	/* Queued before the other is woken, whose answer may come at once. */
	set_current_state(TASK_INTERRUPTIBLE | TASK_FREEZABLE);
	futex_queue(&q, hb, current);
	if (to)
		hrtimer_sleeper_start_expires(to, HRTIMER_MODE_ABS);

	ret = take_waiter(&key2, &wake_q);
	if (!ret && !plist_node_empty(&q.list) && (!to || to->task))
		wake_and_sleep(&wake_q);
	else
		wake_up_q(&wake_q);
	__set_current_state(TASK_RUNNING);

	/* A wake-up that was received must not be lost by an error. */
	if (!futex_unqueue(&q))
		return 0;
	if (ret)
		return ret;
	if (to && !to->task)
		return -ETIMEDOUT;
	if (signal_pending(current))
		return -ERESTARTSYS;
	return __futex_wait(uaddr, flags, val, to, FUTEX_BITSET_MATCH_ANY);
}

static long restart_wait(struct restart_block *restart);

/* Interrupted after the other was woken: what is left is to wait. */
static long wait_again(u32 __user *uaddr, unsigned int flags, u32 val,
		       ktime_t *abs_time)
{
	struct restart_block *restart = &current->restart_block;

	restart->futex.uaddr = uaddr;
	restart->futex.val = val;
	restart->futex.flags = flags;
	if (abs_time) {
		restart->futex.time = *abs_time;
		restart->futex.flags |= FLAGS_HAS_TIMEOUT;
	}
	return set_restart_fn(restart, restart_wait);
}

static long restart_wait(struct restart_block *restart)
{
	u32 __user *uaddr = restart->futex.uaddr;
	u32 flags = restart->futex.flags, val = restart->futex.val;
	ktime_t t = restart->futex.time;
	long ret;

	ret = futex_wait(uaddr, flags, val,
			 flags & FLAGS_HAS_TIMEOUT ? &t : NULL,
			 FUTEX_BITSET_MATCH_ANY);
	return ret == -ERESTARTSYS ? wait_again(uaddr, flags, val, NULL) : ret;
}

/**
 * futex_switchto - FUTEX_SWITCHTO: wake one thread and wait
 * @uaddr: futex to wait for, if it holds @val
 * @flags: FLAGS_*, for both futexes
 * @val: the expected value
 * @abs_time: when to give up, or NULL
 * @uaddr2: futex whose first waiter is woken
 * @val3: must be 0
 *
 * If @uaddr does not hold @val nobody is woken. That nobody waits for @uaddr2
 * is no error.
 *
 * Return: 0 when woken, or -EAGAIN, -EFAULT, -EINVAL, -ETIMEDOUT. A signal
 * restarts the wait only.
 */
long futex_switchto(u32 __user *uaddr, unsigned int flags, u32 val,
		    ktime_t *abs_time, u32 __user *uaddr2, u32 val3)
{
	struct hrtimer_sleeper timeout, *to;
	long ret;

	if (val3)
		return -EINVAL;

	to = futex_setup_timer(abs_time, &timeout, flags,
			       current->timer_slack_ns);
	ret = wake_and_wait(uaddr, flags, val, to, uaddr2);
	if (to) {
		hrtimer_cancel(&to->timer);
		destroy_hrtimer_on_stack(&to->timer);
	}
	return ret == -ERESTARTSYS ? wait_again(uaddr, flags, val, abs_time) : ret;
}
