// SPDX-License-Identifier: GPL-2.0-only
/*
 * SCHED_GHOST: sync groups: transactions of several CPUs, committed all or
 * none.
 *
 * While a group is being committed its CPUs hold minus its cookie in
 * rq->ghost.rendezvous. A CPU that switches to a task of the group waits there
 * (ghost_rendezvous(), with preemption off) until the committer stores the
 * outcome with release, or somebody wants the CPU. The committer runs with
 * interrupts off and waits for nobody. If the group has failed, each of its
 * tasks is taken off again without a PREEMPT: the agent knows.
 */
#include <linux/uaccess.h>
#include "ghost.h"

static DEFINE_PER_CPU(u64, group_count);
static DEFINE_PER_CPU(struct balance_callback, rendezvous_head);

/* Unique for as long as anybody could compare: CPU in the low bits. */
static s64 new_cookie(void)
{
	u64 count = __this_cpu_inc_return(group_count);

	return (count * nr_cpu_ids + smp_processor_id()) &
		(GHOST_RENDEZVOUS_POISON - 1);
}

/* rq lock held, dropped while it waits; this CPU has just been through schedule(). */
static void ghost_rendezvous(struct rq *rq)
{
	struct ghost_rq *g = &rq->ghost;

	if (!ghost_task(ghost_curr(rq)))
		return;

	guard(preempt)();

	/* Acquire: pairs with the release of whoever commits. */
	while (smp_load_acquire(&g->rendezvous) < 0 && !need_resched()) {
		raw_spin_rq_unlock_irq(rq);
		/* As above. */
		while (smp_load_acquire(&g->rendezvous) < 0 && !need_resched())
			cpu_relax();
		raw_spin_rq_lock_irq(rq);
	}

	if (ghost_rendezvous_poisoned(READ_ONCE(g->rendezvous))) {
		g->mute_preempt = true;
		g->kick = true;
		resched_curr(rq);
	}
}

/* Must the next task wait for the outcome of a group, or is it off at once? */
bool ghost_rendezvous_due(struct rq *rq)
{
	s64 value = READ_ONCE(rq->ghost.rendezvous);

	return value < 0 || ghost_rendezvous_poisoned(value);
}

/* The CPU switches to a ghost task, or stays with one. rq lock held. */
void ghost_rendezvous_wait(struct rq *rq)
{
	if (ghost_rendezvous_due(rq))
		queue_balance_callback(rq, &per_cpu(rendezvous_head, cpu_of(rq)),
				       ghost_rendezvous);
}

/* The group is committed, or has failed: let the CPU go on. */
static void tell_outcome(struct rq *rq, s64 cookie, bool ok)
{
	s64 mine = -cookie;

	/*
	 * Release: pairs with the acquire in ghost_rendezvous(). A later commit
	 * to the CPU may have taken its word already.
	 */
	try_cmpxchg_release(&rq->ghost.rendezvous, &mine,
			    ok ? cookie : cookie | GHOST_RENDEZVOUS_POISON);
}

/* Claim what is READY of the group's CPUs; returns whether all were. */
static bool claim_all(struct ghost_enclave *e, struct ghost_cpus *cpus)
{
	bool all = true;
	int cpu;

	for_each_set_bit(cpu, cpus->bits, cpus->nr) {
		struct ghost_txn *txn = NULL;
		struct rq *rq = cpu_rq(cpu);

		/* Another enclave's transaction is not ours to touch. */
		if (cpu_possible(cpu) && rcu_access_pointer(rq->ghost.enclave) == e)
			txn = READ_ONCE(rq->ghost.txn);
		if (txn && ghost_txn_claim(rq, txn))
			continue;
		__clear_bit(cpu, cpus->bits);
		all = false;
	}
	return all;
}

static void poison(struct rq *rq, struct ghost_txn *txn)
{
	struct rq_flags rf;

	rq_lock(rq, &rf);
	update_rq_clock(rq);
	if (READ_ONCE(txn->commit_flags) & INC_AGENT_BARRIER_ON_FAILURE)
		ghost_agent_barrier_inc(rq);
	ghost_txn_finish(rq, txn, GHOST_TXN_POISONED, 0);
	rq_unlock(rq, &rf);
}

/*
 * Interrupts off. @cpus loses what could not be claimed. Returns whether the
 * group was committed; @block says whether the caller, an agent, has parked.
 */
static bool commit_group(struct ghost_enclave *e, struct ghost_cpus *cpus,
			 bool *block)
{
	int this_cpu = smp_processor_id(), cpu;
	s64 cookie = new_cookie();
	bool ok;

	ok = claim_all(e, cpus);
	for_each_set_bit_wrap(cpu, cpus->bits, cpus->nr,
			      ghost_cpus_after(cpus, this_cpu)) {
		struct ghost_commit c = {
			.rq		= cpu_rq(cpu),
			.rendezvous	= -cookie,
			.sync		= true,
			.block		= cpu == this_cpu && ghost_agent(current),
		};
		struct ghost_txn *txn = page_address(e->txn_page[cpu]);

		if (!ok) {
			poison(c.rq, txn);
			continue;
		}
		ok = ghost_txn_commit(&c, txn);
		if (c.waits)
			__set_bit(cpu, cpus->waiting);
		if (ok && c.block)
			*block = READ_ONCE(c.rq->ghost.parked);
	}

	for_each_set_bit(cpu, cpus->waiting, cpus->nr)
		tell_outcome(cpu_rq(cpu), cookie, ok);
	if (!ok)
		return false;
	for_each_set_bit(cpu, cpus->bits, cpus->nr) {
		struct ghost_txn *txn = page_address(e->txn_page[cpu]);

		/* Pairs with the acquire of the next owner in user space. */
		smp_store_release(&txn->u.sync_group_owner, -1);
	}
	return true;
}

/* GHOST_IOC_SYNC_GROUP_TXN: 1 committed, 0 not, or a negative errno. */
int ghost_sync_group_ioctl(struct ghost_enclave *e,
			   struct ghost_ioc_commit_txn __user *uarg)
{
	struct ghost_ioc_commit_txn arg;
	struct ghost_cpus cpus;
	bool block = false;
	int ret;

	if (copy_from_user(&arg, uarg, sizeof(arg)))
		return -EFAULT;
	ret = ghost_cpus_get(&cpus, &arg);
	if (!ret && arg.flags)
		ret = -EINVAL;
	if (ret)
		goto put;

	if (ghost_agent(current))
		ghost_resend_lost(current->ghost.enclave);

	local_irq_disable();
	ret = commit_group(e, &cpus, &block);
	/* Parked it goes with interrupts off, see ghost_agent_park(). */
	if (block)
		schedule();
	else
		local_irq_enable();
put:
	ghost_cpus_put(&cpus);
	return ret;
}

static int errno_of(s32 state)
{
	switch (state) {
	case GHOST_TXN_COMPLETE:
		return 0;
	case GHOST_TXN_TARGET_NOT_FOUND:
		return -ENOENT;
	case GHOST_TXN_TARGET_STALE:
	case GHOST_TXN_AGENT_STALE:
		return -ESTALE;
	case GHOST_TXN_TARGET_ONCPU:
	case GHOST_TXN_CPU_UNAVAIL:
		return -EBUSY;
	case GHOST_TXN_NOT_PERMITTED:
		return -EPERM;
	default:
		return -EINVAL;
	}
}

/**
 * ghost_sync_group_bpf - commit what bpf_ghost_sync_commit() was given
 * @e: enclave of the program
 * @args: copy of it
 *
 * As the ioctl, but there is no agent that could park or be stale.
 *
 * Context: interrupts off, no rq lock held.
 * Return: 0, or the errno of the first that failed, and then none was committed.
 */
int ghost_sync_group_bpf(struct ghost_enclave *e,
			 const struct bpf_sync_commit_args *args)
{
	struct ghost_commit c[BPF_SYNC_COMMIT_MAX_CPUS] = {};
	s64 cookie = new_cookie();
	int i, nr = 0, ret = 0;

	for (i = 0; i < BPF_SYNC_COMMIT_MAX_CPUS; i++) {
		s32 cpu = args->cpus[i];

		if (cpu == -1)
			continue;
		if (cpu < 0 || cpu >= nr_cpu_ids || !cpu_possible(cpu) ||
		    (nr && c[0].txn.cpu == cpu) ||
		    args->run_flags[i] & ~U16_MAX || args->commit_flags[i] & ~U8_MAX)
			return -EINVAL;
		if (rcu_access_pointer(cpu_rq(cpu)->ghost.enclave) != e)
			return -EXDEV;
		c[nr++] = (struct ghost_commit) {
			.rq			= cpu_rq(cpu),
			.enclave		= e,
			.rendezvous		= -cookie,
			.txn.cpu		= cpu,
			.txn.gtid		= args->gtids[i],
			.txn.task_barrier	= args->task_barriers[i],
			.txn.run_flags		= args->run_flags[i],
			.txn.commit_flags	= args->commit_flags[i],
		};
	}

	for (i = 0; i < nr && !ret; i++) {
		ghost_txn_commit(&c[i], NULL);
		ret = errno_of(c[i].state);
	}
	for (i = 0; i < nr; i++)
		if (c[i].waits)
			tell_outcome(c[i].rq, cookie, !ret);
	return ret;
}
