// SPDX-License-Identifier: GPL-2.0-only
/*
 * SCHED_GHOST: what is done on and for one CPU outside a pass through the
 * scheduler: it goes offline, members go home from where their affinity forbids, and
 * its irq_work does what cannot be done under the rq lock.
 */
#include <linux/sched/signal.h>
#include "ghost.h"

/* Members that are moved before others may have the locks. */
#define MOVE_BATCH	32

/*
 * Nobody schedules a member on @rq's CPU any more. Who is bound to it is lent, see
 * ghost_stuck(). Returns whether there may be more.
 */
static bool move_queued(struct rq *rq, int dst_cpu)
{
	struct rq *dst = cpu_rq(dst_cpu);
	struct task_struct *p, *tmp;
	unsigned long flags;
	int moved = 0;

	local_irq_save(flags);
	double_rq_lock(rq, dst);
	update_rq_clock(rq);
	update_rq_clock(dst);
	list_for_each_entry_safe(p, tmp, &rq->ghost.tasks, ghost.run_node) {
		if (task_on_cpu(rq, p) || is_migration_disabled(p))
			continue;
		ghost_move_task(rq, dst, p);
		if (++moved == MOVE_BATCH)
			break;
	}
	double_rq_unlock(rq, dst);
	local_irq_restore(flags);
	return moved == MOVE_BATCH;
}

/*
 * A CPU goes offline: it leaves its enclave, its agent becomes a normal
 * thread whose RUN fails, and the members queued here move on. Runs on that
 * CPU, so none of them is running.
 */
void __ghost_cpu_deactivate(int cpu)
{
	struct rq *rq = cpu_rq(cpu);
	struct ghost_enclave *e;
	struct task_struct *agent = NULL;
	int dst;

	rcu_read_lock();
	e = rcu_dereference(rq->ghost.enclave);
	if (e && !kref_get_unless_zero(&e->ref))
		e = NULL;
	rcu_read_unlock();
	if (e) {
		/* In this order: nobody registers on a CPU that is not published. */
		ghost_enclave_unpublish(e, cpu);
		raw_spin_lock_irq(&e->lock);
		cpumask_set_cpu(cpu, e->unplugged);
		raw_spin_unlock_irq(&e->lock);
		agent = ghost_enclave_agent(e, cpu);
	}
	if (agent) {
		ghost_agent_evict(agent);
		put_task_struct(agent);
	}
	/* After what unpublish() wants done. */
	if (e)
		ghost_enclave_put_locked(e);

	dst = cpumask_any_but(cpu_active_mask, cpu);
	while (dst < nr_cpu_ids && move_queued(rq, dst))
		cond_resched();
}

/* A member of old in the fair class that may run on @cpu, and not here. */
static struct task_struct *next_homeless(struct rq *rq, int *cpu)
{
	struct task_struct *p;

	list_for_each_entry(p, &rq->cfs_tasks, se.group_node) {
		if (!ghost_was_member(p) || p->se.sched_delayed ||
		    is_migration_disabled(p) ||
		    cpumask_test_cpu(cpu_of(rq), p->cpus_ptr))
			continue;
		*cpu = cpumask_any_and_distribute(p->cpus_ptr, cpu_active_mask);
		if (*cpu < nr_cpu_ids)
			return get_task_struct(p);
	}
	return NULL;
}

/* Move @p from @rq, where it was seen, if that may be; interrupts are off. */
static void move_home(struct rq *rq, struct rq *dst, struct task_struct *p)
{
	/* Without this lock it could wake up on a third CPU. */
	raw_spin_lock(&p->pi_lock);
	double_rq_lock(rq, dst);
	update_rq_clock(rq);
	update_rq_clock(dst);
	if (task_rq(p) == rq && task_on_rq_queued(p) &&
	    !is_migration_disabled(p) && cpu_active(cpu_of(dst)) &&
	    cpumask_test_cpu(cpu_of(dst), p->cpus_ptr)) {
		ghost_move_task(rq, dst, p);
		wakeup_preempt(dst, p, 0);
	}
	double_rq_unlock(rq, dst);
	raw_spin_unlock(&p->pi_lock);
}

/* In the stopper of @arg's CPU, so that none of them is running. */
static int send_home(void *arg)
{
	struct task_struct *p;
	struct rq *rq = arg;
	struct rq_flags rf;
	int cpu;

	/* Who comes from here on asks for another round. */
	rq_lock_irq(rq, &rf);
	rq->ghost.homing = false;
	rq_unlock_irq(rq, &rf);
	do {
		local_irq_disable();
		rq_lock(rq, &rf);
		p = next_homeless(rq, &cpu);
		rq_unlock(rq, &rf);
		if (p)
			move_home(rq, cpu_rq(cpu), p);
		local_irq_enable();
		if (p)
			put_task_struct(p);
	} while (p);
	return 0;
}

/**
 * ghost_check_home - a member runs in the fair class from here on
 * @rq: where it is; locked
 * @p: member that is lent, or has left
 *
 * A transaction may have put it on a CPU that its affinity forbids. The fair class
 * would leave it there until it sleeps.
 */
void ghost_check_home(struct rq *rq, struct task_struct *p)
{
	if (!task_on_rq_queued(p) || cpumask_test_cpu(cpu_of(rq), p->cpus_ptr) ||
	    !cpu_online(cpu_of(rq)))
		return;
	rq->ghost.homeless = true;
	irq_work_queue_on(&rq->ghost.work, cpu_of(rq));
}

static void rq_irq_work(struct irq_work *work)
{
	struct rq *rq = container_of(work, struct rq, ghost.work);
	struct task_struct *victim = NULL;
	struct rq_flags rf;
	bool stray, home;

	rq_lock(rq, &rf);
	if (READ_ONCE(rq->ghost.resched) && xchg(&rq->ghost.resched, 0))
		resched_curr(rq);
	if (rq->ghost.agent) {
		if (READ_ONCE(rq->ghost.wakereq))
			resched_curr(rq);
		if (rq->ghost.kill)
			victim = get_task_struct(rq->ghost.agent);
	}
	rq->ghost.kill = false;
	home = rq->ghost.homeless && !rq->ghost.homing;
	rq->ghost.homing |= home;
	rq->ghost.homeless = false;
	stray = !cpu_active(cpu_of(rq)) && !list_empty(&rq->ghost.tasks);
	rq_unlock(rq, &rf);

	/* The stopper is disabled on a CPU from which all threads are moved. */
	if (home && !stop_one_cpu_nowait(cpu_of(rq), send_home, rq, &rq->ghost.stop))
		rq->ghost.homing = false;
	if (stray && move_queued(rq, cpumask_any(cpu_active_mask)))
		irq_work_queue(&rq->ghost.work);

	if (victim) {
		do_send_sig_info(SIGKILL, SEND_SIG_PRIV, victim, PIDTYPE_TGID);
		put_task_struct(victim);
	}
	ghost_txn_commit_self(rq, false);
}

void __init ghost_sched_init(void)
{
	int cpu;

	BUILD_BUG_ON(PID_MAX_LIMIT > (1 << GHOST_GTID_PID_BITS));
	WARN_ON_ONCE(!sched_class_above(&stop_sched_class, &ghost_agent_sched_class));
	WARN_ON_ONCE(!sched_class_above(&ghost_agent_sched_class, &dl_sched_class));
	WARN_ON_ONCE(!sched_class_above(&fair_sched_class, &ghost_sched_class));
	WARN_ON_ONCE(!sched_class_above(&ghost_sched_class, &idle_sched_class));

	for_each_possible_cpu(cpu) {
		struct ghost_rq *g = &cpu_rq(cpu)->ghost;

		INIT_LIST_HEAD(&g->tasks);
		g->work = IRQ_WORK_INIT_HARD(rq_irq_work);
	}
}
