// SPDX-License-Identifier: GPL-2.0-only
/*
 * SCHED_GHOST: timerfds whose expiry is a message to the agent of a CPU.
 */
#include <linux/time.h>
#include <linux/uaccess.h>
#include "ghost.h"

/* timerfd_settime() stores what the thread has asked for: mostly nothing. */
void ghost_timer_bind(struct ghost_timer *t)
{
	struct ghost_timer none = {};

	*t = current->ghost.timer ? *current->ghost.timer : none;
}

/**
 * ghost_timer_expired - tell the agent
 * @t: copy of what the timer is bound to
 *
 * Dropped when the CPU has left the enclave or has no agent.
 *
 * Context: hard or soft interrupt; no lock of the timer is held.
 */
void ghost_timer_expired(const struct ghost_timer *t)
{
	struct task_struct *agent;
	struct rq_flags rf;
	struct rq *rq;

	if (!ghost_enabled() || !t->serial)
		return;

	rq = cpu_rq(t->cpu);
	rq_lock_irqsave(rq, &rf);
	update_rq_clock(rq);
	agent = rq->ghost.agent;
	if (agent && agent->ghost.enclave->serial == t->serial)
		ghost_cpu_timer(rq, t->type, t->cookie);
	rq_unlock_irqrestore(rq, &rf);
}

/* May the caller bind timers to the CPU? Its process must have the agent. */
static bool owns_cpu(struct ghost_enclave *e, int cpu)
{
	struct task_struct *agent;
	bool own;

	if (cpu < 0 || cpu >= nr_cpu_ids || !cpu_online(cpu))
		return false;
	raw_spin_lock_irq(&e->lock);
	agent = cpu_rq(cpu)->ghost.agent;
	own = agent && agent->ghost.enclave == e &&
		same_thread_group(agent, current);
	raw_spin_unlock_irq(&e->lock);
	return own;
}

/* GHOST_IOC_TIMERFD_SETTIME: timerfd_settime(2) plus an association. */
int ghost_timerfd_settime(struct ghost_enclave *e,
			  struct ghost_ioc_timerfd_settime __user *uarg)
{
	struct ghost_ioc_timerfd_settime arg;
	struct itimerspec64 new, old;
	struct ghost_timer timer = {};
	int ret;

	if (copy_from_user(&arg, uarg, sizeof(arg)) ||
	    get_itimerspec64(&new, (void __user *)arg.in_tmr))
		return -EFAULT;
	if (arg.timerfd_ghost.flags & ~TIMERFD_GHOST_ENABLED)
		return -EINVAL;
	if (arg.timerfd_ghost.flags & TIMERFD_GHOST_ENABLED) {
		if (!owns_cpu(e, arg.timerfd_ghost.cpu))
			return -EINVAL;
		timer.serial = e->serial;
		timer.cpu = array_index_nospec(arg.timerfd_ghost.cpu, nr_cpu_ids);
		timer.type = arg.timerfd_ghost.type;
		timer.cookie = arg.timerfd_ghost.cookie;
	}

	current->ghost.timer = &timer;
	ret = do_timerfd_settime(arg.timerfd, arg.flags, &new, &old);
	current->ghost.timer = NULL;
	if (ret)
		return ret;
	if (arg.out_tmr && put_itimerspec64(&old, (void __user *)arg.out_tmr))
		return -EFAULT;
	return 0;
}
