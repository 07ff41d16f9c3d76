// SPDX-License-Identifier: GPL-2.0-only
/*
 * SCHED_GHOST: agents: becoming one, parking in RUN, being woken, leaving.
 *
 * The handshake that loses no wake-up. Parker: store parked, full barrier,
 * compare the agent barrier. Waker: increment the agent barrier (full
 * barrier), test parked. Either the comparison sees the increment, or the
 * waker sees parked and leaves a wakereq, which the next __ghost_decide() of
 * that CPU consumes.
 */
#include <linux/file.h>
#include <linux/security.h>
#include <trace/events/ghost.h>
#include "ghost.h"

static void psi_agent_wakes(struct task_struct *agent)
{
#ifdef CONFIG_PSI
	if (!static_branch_likely(&psi_disabled))
		psi_task_change(agent, 0, TSK_RUNNING);
#endif
}

/* Copy the agent barrier to the status word. rq lock held. */
void ghost_agent_sync(struct rq *rq)
{
	struct task_struct *agent = rq->ghost.agent;

	agent->ghost.barrier = atomic_read(&rq->ghost.abarrier);
	/* Pairs with user space's acquire: the flags of the event are there. */
	smp_store_release(&agent->ghost.sw->barrier, agent->ghost.barrier);
}

/*
 * The caller keeps interrupts off until it is in schedule(): a parked agent
 * that is off its CPU went there by itself, see ghost_agent_parked().
 */
void ghost_agent_park(struct rq *rq)
{
	WRITE_ONCE(rq->ghost.parked, true);
	ghost_count(rq, rq->ghost.agent, false);
	/* Pairs with the atomic increment in ghost_wake_agent(). */
	smp_mb();
	trace_ghost_agent_park(cpu_of(rq), atomic_read(&rq->ghost.abarrier));
}

void ghost_agent_unpark(struct rq *rq)
{
	struct task_struct *agent = rq->ghost.agent;

	if (!rq->ghost.parked)
		return;

	WRITE_ONCE(rq->ghost.parked, false);
	if (task_on_rq_queued(agent))
		ghost_count(rq, agent, true);
	if (agent->ghost.psi_asleep) {
		agent->ghost.psi_asleep = false;
		psi_agent_wakes(agent);
	}
	ghost_agent_sync(rq);
	trace_ghost_agent_unpark(cpu_of(rq), agent->ghost.barrier);
}

/* Consume wake requests; will the agent run? rq lock held. */
bool ghost_agent_ready(struct rq *rq)
{
	struct ghost_rq *g = &rq->ghost;

	if (!g->agent || !task_on_rq_queued(g->agent))
		return false;
	if (g->parked && ((READ_ONCE(g->wakereq) && xchg(&g->wakereq, 0)) ||
			  signal_pending(g->agent)))
		ghost_agent_unpark(rq);
	return !g->parked;
}

/* Run the agent: an edge asked for by run flags, AGENT gtid or ping. */
void ghost_agent_schedule(struct rq *rq)
{
	if (!rq->ghost.agent)
		return;

	atomic_inc(&rq->ghost.abarrier);
	ghost_agent_sync(rq);
	ghost_agent_unpark(rq);
	resched_curr(rq);
}

/* Make @cpu pass __schedule(), or look at its wakereq and transaction. */
void ghost_kick_cpu(int cpu)
{
	if (cpu == smp_processor_id()) {
		set_tsk_need_resched(rcu_dereference_raw(this_rq()->curr));
		set_preempt_need_resched();
		return;
	}
	if (cpu_online(cpu))
		irq_work_queue_on(&cpu_rq(cpu)->ghost.work, cpu);
}

/**
 * ghost_wake_agent - un-park the agent of a CPU
 * @cpu: which
 *
 * Context: interrupts off; any rq lock may be held.
 */
void ghost_wake_agent(int cpu)
{
	struct ghost_rq *g = &cpu_rq(cpu)->ghost;

	/* Full barrier, pairs with ghost_agent_park(). */
	atomic_inc_return(&g->abarrier);
	if (!READ_ONCE(g->parked) || cmpxchg(&g->wakereq, 0, 1))
		return;
	ghost_kick_cpu(cpu);
}

/* A signal for an agent: parked it is TASK_RUNNING and sees no wake-up. */
void __ghost_kick_agent(struct task_struct *p)
{
	unsigned long flags;
	int cpu = task_cpu(p);

	if (!READ_ONCE(cpu_rq(cpu)->ghost.parked))
		return;
	local_irq_save(flags);
	cmpxchg(&cpu_rq(cpu)->ghost.wakereq, 0, 1);
	ghost_kick_cpu(cpu);
	local_irq_restore(flags);
}

/* The setscheduler path of a new agent. pi and rq lock held, p is current. */
int ghost_agent_register(struct rq *rq, struct task_struct *p,
			 struct ghost_join *join)
{
	struct ghost_enclave *e = join->enclave;
	struct ghost_queue *q;
	int ret;

	if (cpu_of(rq) != join->cpu || p->pi_top_task)
		return -EINVAL;
	/* Somebody may have changed the mask meanwhile; from here none can. */
	if (!cpumask_equal(p->cpus_ptr, cpumask_of(join->cpu)) ||
	    is_migration_disabled(p))
		return -EINVAL;
	if (rq->ghost.agent)
		return -EBUSY;

	raw_spin_lock(&e->lock);
	ret = -ENODEV;
	if (rcu_access_pointer(rq->ghost.enclave) != e)
		goto unlock;
	q = join->queue ?: e->default_queue;
	ret = -ENXIO;
	if (!q)
		goto unlock;
	ret = -EXDEV;
	if (e->dying)
		goto unlock;
	ret = -EINVAL;
	if (p->ghost.gate && p->ghost.gate->abi != e->abi)
		goto unlock;
	ret = ghost_sw_alloc(e, p);
	if (ret)
		goto unlock;

	refcount_inc(&q->ref);
	p->ghost.queue = q;
	p->ghost.enclave = e;
	ghost_enclave_get(e);
	get_task_struct(p);
	rq->ghost.parked = false;
	WRITE_ONCE(rq->ghost.concerned, true);
	WRITE_ONCE(rq->ghost.agent, p);
unlock:
	raw_spin_unlock(&e->lock);
	if (!ret)
		ghost_txn_kill(rq);
	return ret;
}

/* The agent is dead or evicted: leave the CPU. pi and rq lock held. */
void ghost_agent_exit(struct rq *rq, struct task_struct *p)
{
	struct ghost_enclave *e = p->ghost.enclave;
	struct ghost_rq *g = &rq->ghost;

	ghost_unlatch(rq);
	if (p->ghost.psi_asleep) {
		p->ghost.psi_asleep = false;
		psi_agent_wakes(p);
	}

	raw_spin_lock(&e->lock);
	WRITE_ONCE(g->agent, NULL);
	ghost_fallback_agent_left(e);
	WRITE_ONCE(g->parked, false);
	WRITE_ONCE(g->wakereq, 0);
	g->run_flags = 0;
	g->hog_since = 0;
	atomic_set(&g->abarrier, 0);
	/* Last: from here on user space may free the slot. */
	ghost_sw_set(p, GHOST_SW_F_CANFREE, GHOST_SW_TASK_ONCPU);
	raw_spin_unlock(&e->lock);
	ghost_txn_kill(rq);
	if (READ_ONCE(e->dying))
		ghost_enclave_unpublish(e, cpu_of(rq));
}

/* The CPU goes offline: the agent becomes a normal thread. */
void ghost_agent_evict(struct task_struct *p)
{
	struct ghost_join join = { .cpu = GHOST_JOIN_EVICT };

	current->ghost.join = &join;
	ghost_make_normal(p);
	current->ghost.join = NULL;
}

static void restore_affinity(const struct cpumask *old)
{
	cpumask_var_t allowed;

	if (!alloc_cpumask_var(&allowed, GFP_KERNEL))
		return;
	cpuset_cpus_allowed(current, allowed);
	if (cpumask_and(allowed, allowed, old))
		set_cpus_allowed_ptr(current, allowed);
	else
		set_cpus_allowed_ptr(current, old);
	free_cpumask_var(allowed);
}

/**
 * ghost_become_agent - make the calling thread the agent of a CPU
 * @e: enclave
 * @cpu: CPU of the enclave
 * @qfd: queue for the CPU's messages, -1 for the enclave's default queue
 *
 * Context: process.
 * Return: 0 or a negative errno, see the table of "become agent".
 */
int ghost_become_agent(struct ghost_enclave *e, int cpu, int qfd)
{
	struct sched_param param = { .sched_priority = 0 };
	struct ghost_join join = { .enclave = e, .cpu = cpu };
	cpumask_var_t old;
	int ret;

	if (qfd < -1)
		return -EBADF;
	if (cpu < 0 || cpu >= nr_cpu_ids)
		return -EINVAL;
	if (ghost_agent(current))
		return -EINVAL;
	if (!alloc_cpumask_var(&old, GFP_KERNEL))
		return -ENOMEM;

	cpumask_copy(old, current->cpus_ptr);
	ret = cpu_active(cpu) ? set_cpus_allowed_ptr(current, cpumask_of(cpu)) :
		-EINVAL;
	if (ret)
		goto out;

	ret = current->ghost.enclave == e ? -EALREADY : -EPERM;
	if (ghost_policy(current->policy))
		goto restore;
	ret = -EPERM;
	if (!capable(CAP_SYS_NICE))
		goto restore;
	ret = security_task_setscheduler(current);
	if (ret)
		goto restore;
	if (qfd >= 0) {
		ret = -EBADF;
		join.queue = ghost_queue_fdget(qfd);
		if (!join.queue)
			goto restore;
		ret = -EINVAL;
		if (READ_ONCE(join.queue->enclave) != e)
			goto restore;
	}

	current->ghost.join = &join;
	ret = sched_setscheduler_nocheck(current, SCHED_GHOST | SCHED_RESET_ON_FORK,
					 &param);
	current->ghost.join = NULL;
	/* Before its discovery: from here on barriers stand still. */
	if (!ret && READ_ONCE(e->lent))
		ghost_fallback_update(e);
restore:
	ghost_queue_put(join.queue);
	/*
	 * While another agent leaves the CPU, the successor tries again and
	 * again: it stays where it is.
	 */
	if (ret && !(ret == -EBUSY && !READ_ONCE(e->online)))
		restore_affinity(old);
out:
	free_cpumask_var(old);
	return ret;
}

static int ping(struct ghost_ioc_run *arg)
{
	struct rq *rq = cpu_rq(arg->run_cpu);
	struct rq_flags rf;
	int ret = -EINVAL;

	rq_lock_irqsave(rq, &rf);
	update_rq_clock(rq);
	if (rq->ghost.agent && same_thread_group(rq->ghost.agent, current)) {
		atomic_inc(&rq->ghost.abarrier);
		ghost_agent_schedule(rq);
		ret = 0;
	}
	rq_unlock_irqrestore(rq, &rf);
	return ret;
}

static int yield_cpu(struct ghost_ioc_run *arg)
{
	struct rq_flags rf;
	struct rq *rq;

	if (!ghost_agent(current) || arg->run_cpu != task_cpu(current))
		return -EINVAL;

	ghost_resend_lost(current->ghost.enclave);

	rq = this_rq_lock_irq(&rf);
	update_rq_clock(rq);
	ghost_agent_park(rq);
	if ((u32)atomic_read(&rq->ghost.abarrier) != arg->agent_barrier) {
		ghost_agent_unpark(rq);
		rq_unlock_irq(rq, &rf);
		return -ESTALE;
	}
	rq->ghost.run_flags = arg->run_flags;
	rq->ghost.kick = false;
	rq->ghost.cpu_seqnum++;
	rq_unlock(rq, &rf);

	/* Interrupts are off, see ghost_agent_park(); they are on after it. */
	schedule();
	return ghost_agent(current) ? 0 : -ENODEV;
}

int ghost_run(struct ghost_ioc_run *arg)
{
	if (arg->run_cpu < 0 || arg->run_cpu >= nr_cpu_ids ||
	    !cpu_online(arg->run_cpu))
		return -EINVAL;
	if ((arg->run_flags & ~RTLA_ON_IDLE) || (arg->run_flags && arg->gtid < 0))
		return -EINVAL;

	if (arg->gtid == GHOST_AGENT_GTID)
		return ping(arg);
	if (arg->gtid == GHOST_NULL_GTID)
		return yield_cpu(arg);
	return -EINVAL;
}

/**
 * ghost_agent_parked - does this agent sleep as far as RCU-tasks cares?
 * @p: any task
 *
 * Context: no rq lock is held.
 * Return: true if it is a parked agent and off its CPU. It can only have left
 * it in schedule() then, a quiescent state.
 */
bool ghost_agent_parked(struct task_struct *p)
{
	struct rq_flags rf;
	struct rq *rq;
	bool parked;

	if (!ghost_agent(p))
		return false;

	rq = task_rq_lock(p, &rf);
	parked = rq->ghost.agent == p && rq->ghost.parked && !task_on_cpu(rq, p);
	task_rq_unlock(rq, p, &rf);
	return parked;
}
