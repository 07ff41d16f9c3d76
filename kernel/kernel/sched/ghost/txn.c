// SPDX-License-Identifier: GPL-2.0-only
/*
 * SCHED_GHOST: transactions: claim, validate, commit.
 *
 * A transaction lies in memory that user space writes. It is claimed twice:
 * in rq->ghost.claim, which only the kernel can touch, and by changing
 * txn->state from READY to the claiming CPU with acquire, which pairs with
 * user space's release of READY. Every field is then read once, into a copy.
 * The result is stored with release after commit_time and cpu_seqnum, while
 * the rq lock of the target is held, so that whoever sees it finds all
 * earlier messages of that CPU.
 *
 * All checks come before the first change: a failed commit moves nothing.
 */
#include <linux/uaccess.h>
#include <trace/events/ghost.h>
#include "ghost.h"

#define RUN_FLAGS	(RTLA_ON_PREEMPT | RTLA_ON_BLOCKED | RTLA_ON_YIELD |	\
			 RTLA_ON_IDLE | NEED_L1D_FLUSH | NEED_CPU_NOT_IDLE |	\
			 ELIDE_PREEMPT | SEND_TASK_ON_CPU |			\
			 DEFER_LATCHED_PREEMPTION_BY_AGENT | DO_NOT_PREEMPT)
#define COMMIT_POINTS	(COMMIT_AT_SCHEDULE | COMMIT_AT_TXN_COMMIT)
#define BARRIER_FLAGS	(ELIDE_AGENT_BARRIER_INC | INC_AGENT_BARRIER_ON_FAILURE)
#define COMMIT_FLAGS	(COMMIT_POINTS | ALLOW_TASK_ONCPU | BARRIER_FLAGS)

void ghost_txn_init(struct ghost_txn *txn, int cpu)
{
	memset(txn, 0, sizeof(*txn));
	txn->version = GHOST_TXN_VERSION;
	txn->cpu = cpu;
	txn->u.sync_group_owner = -1;
	/* Pairs with user space's acquire of the state, as in finish. */
	smp_store_release(&txn->state, GHOST_TXN_COMPLETE);
}

bool ghost_txn_claim(struct rq *rq, struct ghost_txn *txn)
{
	if (cmpxchg(&rq->ghost.claim, 0, 1))
		return false;
	/* Pairs with user space's release of READY, after the other fields. */
	if (cmpxchg_acquire(&txn->state, GHOST_TXN_READY, smp_processor_id()) ==
	    GHOST_TXN_READY)
		return true;
	/* Pairs with the cmpxchg() of the next claim. */
	smp_store_release(&rq->ghost.claim, 0);
	return false;
}

void ghost_txn_finish(struct rq *rq, struct ghost_txn *txn, s32 state, u64 seqnum)
{
	WRITE_ONCE(txn->commit_time, ktime_get_mono_fast_ns());
	if (state == GHOST_TXN_COMPLETE)
		WRITE_ONCE(txn->cpu_seqnum, seqnum);
	/* Pairs with user space's acquire of the state. */
	smp_store_release(&txn->state, state);
	/* Pairs with the cmpxchg() of the next claim. */
	smp_store_release(&rq->ghost.claim, 0);
}

/* An agent comes or goes: what it finds READY was not meant for it. */
void ghost_txn_kill(struct rq *rq)
{
	struct ghost_txn *txn = rq->ghost.txn;

	lockdep_assert_rq_held(rq);
	if (txn && ghost_txn_claim(rq, txn))
		ghost_txn_finish(rq, txn, GHOST_TXN_NO_AGENT, 0);
}

static s32 check_flags(const struct ghost_txn *t)
{
	if ((t->run_flags & ~RUN_FLAGS) ||
	    ((t->run_flags & RTLA_ON_IDLE) && t->gtid < 0) ||
	    ((t->run_flags & NEED_CPU_NOT_IDLE) && t->gtid != GHOST_IDLE_GTID) ||
	    (t->gtid == GHOST_AGENT_GTID && t->run_flags))
		return GHOST_TXN_INVALID_FLAGS;
	if ((t->commit_flags & ~COMMIT_FLAGS) ||
	    (t->commit_flags & COMMIT_POINTS) == COMMIT_POINTS ||
	    (t->commit_flags & BARRIER_FLAGS) == BARRIER_FLAGS)
		return GHOST_TXN_INVALID_FLAGS;
	return GHOST_TXN_COMPLETE;
}

static s32 check_txn(struct ghost_commit *c)
{
	struct ghost_txn *t = &c->txn;
	s32 ret;

	if (t->version != GHOST_TXN_VERSION)
		return GHOST_TXN_UNSUPPORTED_VERSION;
	if (t->cpu != cpu_of(c->rq))
		return GHOST_TXN_INVALID_CPU;
	ret = check_flags(t);
	c->flags_read = ret == GHOST_TXN_COMPLETE;
	if (c->flags_read && !cpu_online(t->cpu))
		return GHOST_TXN_CPU_OFFLINE;
	return ret;
}

/* Read the transaction, once. */
static void read_txn(struct ghost_commit *c, struct ghost_txn *txn)
{
	struct ghost_txn *t = &c->txn;

	t->version = READ_ONCE(txn->version);
	t->cpu = READ_ONCE(txn->cpu);
	t->agent_barrier = READ_ONCE(txn->agent_barrier);
	t->task_barrier = READ_ONCE(txn->task_barrier);
	t->run_flags = READ_ONCE(txn->run_flags);
	t->commit_flags = READ_ONCE(txn->commit_flags);
	t->gtid = READ_ONCE(txn->gtid);
}

/* Checks of a real task; its rq lock and the target's are held. */
static s32 check_task(struct ghost_commit *c, struct task_struct *p)
{
	struct rq *rq = c->rq;
	struct ghost_enclave *e = rcu_dereference_sched(rq->ghost.enclave);

	if (p->ghost.flags & GHOST_TF_AGENT)
		return GHOST_TXN_INVALID_TARGET;
	if (!e)
		return GHOST_TXN_CPU_UNAVAIL;
	if (p->ghost.gate || !ghost_class(p) || !p->ghost.sw ||
	    (p->ghost.pending & GHOST_PEND_NEW))
		return GHOST_TXN_TARGET_STALE;
	if (p->ghost.barrier != c->txn.task_barrier)
		return GHOST_TXN_TARGET_STALE;
	if (!task_on_rq_queued(p)) {
		/* Its BLOCKED is on the way if it has just gone to sleep. */
		return p->on_cpu || p->ghost.pending ? GHOST_TXN_TARGET_STALE :
			GHOST_TXN_TARGET_NOT_RUNNABLE;
	}
	/* It woke up on another CPU meanwhile, which will be news. */
	if (!ghost_queued_on(c->src, p))
		return GHOST_TXN_TARGET_STALE;
	if (p->ghost.enclave != e)
		return GHOST_TXN_NOT_PERMITTED;
	if (!p->on_cpu && ghost_switched_to(c->src, p))
		return GHOST_TXN_TARGET_ONCPU;
	if (p->on_cpu) {
		if (!(c->txn.commit_flags & ALLOW_TASK_ONCPU) || c->src != rq)
			return GHOST_TXN_TARGET_ONCPU;
		/* What it owes, YIELD for one, makes it stale in a moment. */
		if (p->ghost.pending ||
		    (rq->ghost.kick && test_tsk_need_resched(p)))
			return GHOST_TXN_TARGET_STALE;
	}
	if (c->src != rq && is_migration_disabled(p))
		return GHOST_TXN_TARGET_STALE;
	if (READ_ONCE(e->honor_affinity) &&
	    !cpumask_test_cpu(cpu_of(rq), p->cpus_ptr))
		return GHOST_TXN_TARGET_STALE;
	return GHOST_TXN_COMPLETE;
}

static bool entitled(struct ghost_commit *c)
{
	struct rq *rq = c->rq;

	if (!c->sync)
		return true;
	if (current->ghost.flags & GHOST_TF_AGENT)
		return rcu_access_pointer(this_rq()->ghost.enclave) ==
			rcu_access_pointer(rq->ghost.enclave);
	return c->txn.gtid == GHOST_AGENT_GTID &&
		same_thread_group(rq->ghost.agent, current);
}

/* Checks of the CPU for task or IDLE (@p), NULL and AGENT. */
static s32 check_cpu(struct ghost_commit *c, struct task_struct *p)
{
	struct rq *rq = c->rq;
	struct task_struct *curr = ghost_curr(rq);
	bool lower = ghost_class(curr) || is_idle_task(curr);

	/* In __schedule(): what has just blocked keeps nobody off. */
	if (!c->sync && curr == current &&
	    (!task_on_rq_queued(curr) || curr->se.sched_delayed))
		lower = true;
	if (!rq->ghost.agent)
		return GHOST_TXN_NO_AGENT;
	if (!entitled(c))
		return GHOST_TXN_NOT_PERMITTED;
	if (p && (c->txn.run_flags & DO_NOT_PREEMPT) &&
	    ((curr != rq->idle && curr != p && curr != rq->ghost.agent) ||
	     (rq->ghost.latched && rq->ghost.latched != p)))
		return GHOST_TXN_AGENT_STALE;
	if (p && !lower)
		return GHOST_TXN_CPU_UNAVAIL;
	if (c->block && c->txn.gtid != GHOST_AGENT_GTID) {
		ghost_agent_park(rq);
		if ((u32)atomic_read(&rq->ghost.abarrier) != c->txn.agent_barrier) {
			ghost_agent_unpark(rq);
			return GHOST_TXN_AGENT_STALE;
		}
	}
	c->resched = lower || c->txn.gtid == GHOST_AGENT_GTID;
	return GHOST_TXN_COMPLETE;
}

void ghost_agent_barrier_inc(struct rq *rq)
{
	atomic_inc(&rq->ghost.abarrier);
	if (rq->ghost.agent)
		ghost_agent_sync(rq);
}

/*
 * Bring @p to @rq from @src, if that is elsewhere; a latch that it has there goes,
 * and nothing is said of it. Both rq locks are held.
 */
void ghost_take_task(struct rq *rq, struct rq *src, struct task_struct *p)
{
	if (src == rq)
		return;
	if (src->ghost.latched == p) {
		src->ghost.latched = NULL;
		ghost_count(src, p, false);
	}
	ghost_move_task(src, rq, p);
}

/* Everything is checked; make it so. */
static void apply(struct ghost_commit *c, struct task_struct *p)
{
	struct ghost_rq *g = &c->rq->ghost;
	struct rq *rq = c->rq;

	if (p && ghost_curr(rq) == p) {
		if (ghost_rendezvous_poisoned(READ_ONCE(g->rendezvous))) {
			/* Pairs with the acquire of the waiting CPU. */
			smp_store_release(&g->rendezvous, c->rendezvous);
			c->waits = true;
		}
		c->resched = false;
		if (g->latched)
			ghost_unlatch(rq);
		g->run_flags = c->txn.run_flags;
		g->kick = false;
		g->cpu_seqnum++;
		return;
	}

	if (!(c->txn.commit_flags & ELIDE_AGENT_BARRIER_INC))
		ghost_agent_barrier_inc(rq);

	if (c->txn.gtid == GHOST_AGENT_GTID) {
		ghost_agent_schedule(rq);
		c->resched = c->resched && ghost_curr(rq) != g->agent;
	} else {
		if (p && p != rq->idle)
			ghost_take_task(rq, c->src, p);
		ghost_latch(rq, p, c->txn.run_flags);
		if (!p)
			g->kick = true;
		/* While the agent itself runs only it decides when to go. */
		if (!c->block && ghost_curr(rq) == g->agent)
			c->resched = false;
	}
	/* Release: pairs with the acquire of the waiting CPU. */
	smp_store_release(&g->rendezvous, c->rendezvous);
	c->waits = true;
	g->cpu_seqnum++;
}

/*
 * Lock the target and wherever @p is, or was a moment ago if it sleeps; both
 * clocks are up to date. Returns the other one.
 */
static struct rq *lock_rqs(struct rq *rq, struct task_struct *p)
{
	struct rq *src;

	for (;;) {
		src = p ? task_rq(p) : rq;
		double_rq_lock(rq, src);
		if (!p || (task_rq(p) == src && !task_on_rq_migrating(p)))
			break;
		double_rq_unlock(rq, src);
		cpu_relax();
	}
	update_rq_clock(rq);
	if (src != rq)
		update_rq_clock(src);
	return src;
}

/*
 * Interrupts are off, no rq lock is held, @txn is claimed. Without @txn, it is
 * from BPF, and in @c already.
 */
bool ghost_txn_commit(struct ghost_commit *c, struct ghost_txn *txn)
{
	struct task_struct *p = NULL;
	struct rq *rq = c->rq;
	u64 seqnum = 0;
	s32 state;

	rcu_read_lock();
	if (txn)
		read_txn(c, txn);
	state = check_txn(c);
	if (state == GHOST_TXN_COMPLETE && c->txn.gtid > 0) {
		p = ghost_any_task_by_gtid(c->txn.gtid);
		if (!p)
			state = GHOST_TXN_TARGET_NOT_FOUND;
	}

	c->src = lock_rqs(rq, p);
	if (txn && READ_ONCE(rq->ghost.txn) != txn)
		state = GHOST_TXN_CPU_UNAVAIL;
	if (!txn && rcu_access_pointer(rq->ghost.enclave) != c->enclave)
		state = GHOST_TXN_NOT_PERMITTED;
	if (state == GHOST_TXN_COMPLETE && p)
		state = check_task(c, p);
	if (state == GHOST_TXN_COMPLETE && c->txn.gtid == GHOST_IDLE_GTID) {
		if (ghost_curr(rq) == rq->idle &&
		    !(c->txn.commit_flags & ALLOW_TASK_ONCPU))
			state = GHOST_TXN_TARGET_ONCPU;
	} else if (state == GHOST_TXN_COMPLETE && c->txn.gtid < GHOST_IDLE_GTID) {
		state = GHOST_TXN_INVALID_TARGET;
	}
	if (c->txn.gtid == GHOST_IDLE_GTID)
		p = rq->idle;
	if (state == GHOST_TXN_COMPLETE)
		state = check_cpu(c, p);

	if (state == GHOST_TXN_COMPLETE) {
		apply(c, p);
		seqnum = rq->ghost.cpu_seqnum;
		if (c->resched && !c->block)
			resched_curr(rq);
	} else if (c->flags_read &&
		   (c->txn.commit_flags & INC_AGENT_BARRIER_ON_FAILURE)) {
		ghost_agent_barrier_inc(rq);
	}
	if (txn)
		ghost_txn_finish(rq, txn, state, seqnum);
	c->state = state;
	trace_ghost_commit(cpu_of(rq), c->txn.gtid, c->txn.task_barrier, state);
	double_rq_unlock(rq, c->src);
	rcu_read_unlock();
	return state == GHOST_TXN_COMPLETE;
}

static bool greedy(u8 commit_flags)
{
	return !(commit_flags & COMMIT_POINTS);
}

/* Interrupts off, no rq lock held: commit this CPU's own, if it may be. */
void ghost_txn_commit_self(struct rq *rq, bool at_schedule)
{
	struct ghost_commit c = { .rq = rq };
	struct ghost_txn *txn;
	u8 flags;

	rcu_read_lock();
	txn = READ_ONCE(rq->ghost.txn);
	if (txn && READ_ONCE(txn->state) == GHOST_TXN_READY) {
		flags = READ_ONCE(txn->commit_flags);
		if ((greedy(flags) || (at_schedule && (flags & COMMIT_AT_SCHEDULE))) &&
		    ghost_txn_claim(rq, txn))
			ghost_txn_commit(&c, txn);
	}
	rcu_read_unlock();
}

/* The commit point in __schedule(): nothing else is to be run here. */
void ghost_txn_prologue(struct rq *rq, struct rq_flags *rf)
{
	struct ghost_txn *txn = READ_ONCE(rq->ghost.txn);

	if (!txn || READ_ONCE(txn->state) != GHOST_TXN_READY)
		return;

	rq_unpin_lock(rq, rf);
	raw_spin_rq_unlock(rq);
	ghost_txn_commit_self(rq, true);
	raw_spin_rq_lock(rq);
	rq_repin_lock(rq, rf);
	update_rq_clock(rq);
}

/* The tick of a CPU, no rq lock held: commits what may be, here and elsewhere. */
void __ghost_tick(struct rq *rq)
{
	struct ghost_enclave *e;
	struct ghost_txn *txn;
	int cpu;

	rcu_read_lock();
	e = rcu_dereference(rq->ghost.enclave);
	if (!e || !READ_ONCE(e->commit_at_tick))
		goto unlock;
	for_each_cpu(cpu, e->cpus) {
		txn = READ_ONCE(cpu_rq(cpu)->ghost.txn);
		if (cpu == cpu_of(rq))
			ghost_txn_commit_self(rq, false);
		else if (txn && READ_ONCE(txn->state) == GHOST_TXN_READY &&
			 greedy(READ_ONCE(txn->commit_flags)))
			ghost_kick_cpu(cpu);
	}
unlock:
	rcu_read_unlock();
}

/* Returns whether the caller, an agent, has parked. */
static bool commit_cpus(struct ghost_enclave *e, const struct ghost_cpus *cpus)
{
	int this_cpu = smp_processor_id();
	int cpu, failed = 0;
	bool block = false;

	for_each_set_bit_wrap(cpu, cpus->bits, cpus->nr,
			      ghost_cpus_after(cpus, this_cpu)) {
		struct ghost_commit c = {
			.rq	= cpu_rq(cpu),
			.sync	= true,
			.block	= cpu == this_cpu && ghost_agent(current),
		};
		struct ghost_txn *txn;
		u8 flags;

		if (!cpu_possible(cpu))
			continue;
		txn = READ_ONCE(c.rq->ghost.txn);
		if (!txn || READ_ONCE(txn->state) != GHOST_TXN_READY)
			continue;
		/* Another enclave's transaction is not ours to touch. */
		if (rcu_access_pointer(c.rq->ghost.enclave) != e)
			continue;
		flags = READ_ONCE(txn->commit_flags);
		if (cpu != this_cpu && !(flags & COMMIT_AT_TXN_COMMIT)) {
			if (greedy(flags))
				ghost_kick_cpu(cpu);
			continue;
		}
		if (!ghost_txn_claim(c.rq, txn)) {
			failed++;
			continue;
		}
		if (cpu == this_cpu && failed) {
			ghost_txn_finish(c.rq, txn, GHOST_TXN_POISONED, 0);
			continue;
		}
		if (!ghost_txn_commit(&c, txn))
			failed++;
		else if (c.block)
			/* Another CPU may un-park it at once. */
			block = READ_ONCE(c.rq->ghost.parked);
	}
	return block;
}

/**
 * ghost_cpus_get - copy the CPUs that an argument names
 * @c: result
 * @arg: of COMMIT_TXN or SYNC_GROUP_TXN
 *
 * Up to GHOST_FEW_CPUS nothing is allocated.
 *
 * Return: 0, -ENOMEM or -EFAULT. ghost_cpus_put() in any case.
 */
int ghost_cpus_get(struct ghost_cpus *c, const struct ghost_ioc_commit_txn *arg)
{
	u32 len = min_t(u32, arg->mask_len, cpumask_size());

	memset(c->few, 0, sizeof(c->few));
	c->bits = c->few[0];
	c->waiting = c->few[1];
	c->nr = min_t(unsigned int, nr_cpu_ids, GHOST_FEW_CPUS);
	if (len > sizeof(c->few[0])) {
		c->nr = nr_cpu_ids;
		c->bits = kcalloc(2, cpumask_size(), GFP_KERNEL_ACCOUNT);
		if (!c->bits)
			return -ENOMEM;
		c->waiting = c->bits + cpumask_size() / sizeof(long);
	}
	return copy_from_user(c->bits, (void __user *)arg->mask_ptr, len) ?
		-EFAULT : 0;
}

void ghost_cpus_put(struct ghost_cpus *c)
{
	if (c->bits != c->few[0])
		kfree(c->bits);
}

/* GHOST_IOC_COMMIT_TXN; results are in the transactions. */
int ghost_commit_ioctl(struct ghost_enclave *e, struct ghost_ioc_commit_txn *arg)
{
	struct ghost_cpus cpus;
	bool block;
	int ret;

	if (arg->flags)
		return -EINVAL;
	ret = ghost_cpus_get(&cpus, arg);
	if (ret)
		goto put;

	if (ghost_agent(current))
		ghost_resend_lost(current->ghost.enclave);

	local_irq_disable();
	block = commit_cpus(e, &cpus);
	/* Parked it goes with interrupts off, see ghost_agent_park(). */
	if (block)
		schedule();
	else
		local_irq_enable();
put:
	ghost_cpus_put(&cpus);
	return ret;
}
