// SPDX-License-Identifier: GPL-2.0-only
/*
 * SCHED_GHOST: the life of an enclave: creation, CPUs, destruction.
 */
#include <linux/dcache.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <trace/events/ghost.h>
#include <uapi/linux/sched/types.h>
#include "ghost.h"

/* CPUs that some enclave has, or has not quite given back. */
static struct cpumask reserved;
static DEFINE_RAW_SPINLOCK(reserve_lock);

static atomic64_t serial;

/* Published and not ended, by their serial. */
static LIST_HEAD(enclaves);
static DEFINE_RAW_SPINLOCK(enclaves_lock);

static void enclave_free(struct ghost_enclave *e)
{
	int cpu;

	if (e->txn_page) {
		for_each_possible_cpu(cpu)
			if (e->txn_page[cpu])
				__free_page(e->txn_page[cpu]);
	}
	kfree(e->txn_page);
	ghost_exit_free(e->record);
	free_percpu(e->bpf_stats);
	free_cpumask_var(e->cpus);
	free_cpumask_var(e->unplugged);
	free_cpumask_var(e->reserved);
	kfree(e);
}

static void free_regions(struct list_head *regions)
{
	struct ghost_sw_region *r, *tmp;

	list_for_each_entry_safe(r, tmp, regions, list)
		ghost_region_free(r);
}

/* The last file is closed as well. */
static void free_work(struct work_struct *work)
{
	struct ghost_enclave *e = container_of(work, struct ghost_enclave, free_work);

	/* What operations on files that had begun before have asked for. */
	ghost_watchdog_stop(e);
	irq_work_sync(&e->irq_work);
	free_regions(&e->regions);
	if (e->sw_dir)
		dput(e->sw_dir);
	put_pid(e->owner);
	enclave_free(e);
}

static void enclave_unpinned(struct kref *pins)
{
	struct ghost_enclave *e = container_of(pins, struct ghost_enclave, pins);

	queue_work(system_unbound_wq, &e->free_work);
}

/* Not under a rq lock. */
void ghost_enclave_unpin(struct ghost_enclave *e)
{
	kref_put(&e->pins, enclave_unpinned);
}

static struct task_struct *take_gated(struct ghost_enclave *e)
{
	struct task_struct *p, *found = NULL;
	int bucket;

	raw_spin_lock_irq(&e->lock);
	hash_for_each(e->gated, bucket, p, ghost.gate_node) {
		hash_del(&p->ghost.gate_node);
		found = p;
		break;
	}
	raw_spin_unlock_irq(&e->lock);
	return found;
}

static void drop_gates(struct ghost_enclave *e)
{
	struct task_struct *p;

	while ((p = take_gated(e)))
		ghost_ungate(p);
}

/*
 * Nobody is left who schedules or is scheduled here. What they shared with user
 * space goes now, whoever has a file open still.
 */
static void end_work(struct work_struct *work)
{
	struct ghost_enclave *e = container_of(work, struct ghost_enclave, end_work);
	LIST_HEAD(regions);
	int cpu;

	raw_spin_lock_irq(&enclaves_lock);
	list_del(&e->node);
	raw_spin_unlock_irq(&enclaves_lock);

	/* No member is left, so none is added any more. */
	drop_gates(e);

	/* Whoever found the transactions or the enclave through a CPU. */
	synchronize_rcu();

	/* A page fault that had begun before sees all, or nothing. */
	raw_spin_lock_irq(&e->lock);
	e->ended = true;
	list_splice_init(&e->regions, &regions);
	/* If the release work found no reference any more. */
	raw_spin_lock(&reserve_lock);
	cpumask_andnot(&reserved, &reserved, e->reserved);
	raw_spin_unlock(&reserve_lock);
	cpumask_clear(e->reserved);
	raw_spin_unlock_irq(&e->lock);
	wake_up_all(&e->wait);
	free_regions(&regions);
	for_each_possible_cpu(cpu) {
		__free_page(e->txn_page[cpu]);
		e->txn_page[cpu] = NULL;
	}
	static_branch_slow_dec_deferred(&ghost_key);
	ghost_enclave_unpin(e);
}

static void enclave_release(struct kref *ref)
{
	struct ghost_enclave *e = container_of(ref, struct ghost_enclave, ref);

	queue_work(system_unbound_wq, &e->end_work);
}

/* Not under a rq lock. */
void ghost_enclave_put(struct ghost_enclave *e)
{
	kref_put(&e->ref, enclave_release);
}

/* The enclave has its files; from here on others find it. Under root's lock. */
void ghost_enclave_publish(struct ghost_enclave *e)
{
	raw_spin_lock_irq(&enclaves_lock);
	list_add_tail(&e->node, &enclaves);
	raw_spin_unlock_irq(&enclaves_lock);
}

/**
 * ghost_enclave_next - walk over all enclaves
 * @prev: the last one, whose reference is put, or NULL to begin
 *
 * Context: any, but under a rq lock.
 * Return: an enclave with a reference, or NULL.
 */
struct ghost_enclave *ghost_enclave_next(struct ghost_enclave *prev)
{
	struct ghost_enclave *e, *next = NULL;
	unsigned long flags;

	raw_spin_lock_irqsave(&enclaves_lock, flags);
	list_for_each_entry(e, &enclaves, node) {
		if (prev && e->serial <= prev->serial)
			continue;
		if (kref_get_unless_zero(&e->ref)) {
			next = e;
			break;
		}
	}
	raw_spin_unlock_irqrestore(&enclaves_lock, flags);
	if (prev)
		ghost_enclave_put(prev);
	return next;
}

/**
 * struct errand - what a kworker does for a thread
 * @work: of the kworker
 * @fn: what
 * @arg: handed to @fn
 */
struct errand {
	struct work_struct	work;
	void			(*fn)(void *arg);
	void			*arg;
};

static void do_errand(struct work_struct *work)
{
	struct errand *x = container_of(work, struct errand, work);

	x->fn(x->arg);
}

/**
 * ghost_by_worker - do something under a lock that rescuers sleep on, too
 * @fn: what to do
 * @arg: handed to @fn
 *
 * A member could lose its CPU in the middle of it and be forgotten by its policy,
 * and with it those who are to rescue it. Any thread can be made a member, but
 * kworkers and agents.
 *
 * Context: process; no lock is held that a kworker takes.
 */
void ghost_by_worker(void (*fn)(void *arg), void *arg)
{
	struct errand x = { .fn = fn, .arg = arg };

	if ((current->flags & PF_WQ_WORKER) || ghost_agent(current)) {
		fn(arg);
		return;
	}
	INIT_WORK_ONSTACK(&x.work, do_errand);
	queue_work(system_unbound_wq, &x.work);
	flush_work(&x.work);
	destroy_work_on_stack(&x.work);
}

/* Under any lock: the irq_work puts. */
void ghost_enclave_put_locked(struct ghost_enclave *e)
{
	/* Another may take the put before we are done: the grace period waits for us. */
	guard(irqsave)();
	/* Orders todo before puts, for enclave_irq_work(). */
	smp_mb__before_atomic();
	atomic_inc(&e->puts);
	irq_work_queue(&e->irq_work);
}

/* Under any lock: the irq_work starts the works for @todo. */
void ghost_enclave_todo(struct ghost_enclave *e, int todo)
{
	/* Orders what it is about before it, for enclave_irq_work(). */
	smp_mb__before_atomic();
	atomic_or(todo, &e->todo);
	irq_work_queue(&e->irq_work);
}

/*
 * Who asked for it may have put its reference since, and it was the last: all is
 * done then, and free_work() waits for the irq_work.
 */
static void start_work(struct ghost_enclave *e, struct work_struct *work)
{
	if (!kref_get_unless_zero(&e->ref))
		return;
	if (!queue_work(system_unbound_wq, work))
		ghost_enclave_put(e);
}

static void enclave_irq_work(struct irq_work *work)
{
	struct ghost_enclave *e = container_of(work, struct ghost_enclave, irq_work);
	/* puts first: who puts has said before what is to do. */
	int puts = atomic_xchg(&e->puts, 0);
	int todo = atomic_xchg(&e->todo, 0);

	if (todo & GHOST_TODO_BPF_EXIT)
		ghost_exit_blame(e, GHOST_EXIT_BPF, NULL);
	if (todo & (GHOST_TODO_DESTROY | GHOST_TODO_BPF_EXIT))
		start_work(e, &e->destroy_work);
	if (todo & GHOST_TODO_REAP)
		start_work(e, &e->reap_work);
	if (todo & GHOST_TODO_FALLBACK)
		start_work(e, &e->fallback_work);
	if (todo & GHOST_TODO_RELEASE)
		start_work(e, &e->release_work);
	while (puts--)
		ghost_enclave_put(e);
}

/* Give back the CPUs that are no longer published. */
static void release_work(struct work_struct *work)
{
	struct ghost_enclave *e = container_of(work, struct ghost_enclave, release_work);
	cpumask_var_t gone;
	int cpu;

	if (!alloc_cpumask_var(&gone, GFP_KERNEL | __GFP_NOFAIL))
		return;

	raw_spin_lock_irq(&e->lock);
	cpumask_copy(gone, e->reserved);
	for_each_cpu(cpu, e->reserved)
		if (rcu_access_pointer(cpu_rq(cpu)->ghost.enclave) == e)
			cpumask_clear_cpu(cpu, gone);
	raw_spin_unlock_irq(&e->lock);

	synchronize_rcu();

	/* Meanwhile another release may have freed, or a write re-added one. */
	raw_spin_lock_irq(&e->lock);
	cpumask_and(gone, gone, e->reserved);
	for_each_cpu(cpu, gone)
		if (rcu_access_pointer(cpu_rq(cpu)->ghost.enclave) == e)
			cpumask_clear_cpu(cpu, gone);
	cpumask_andnot(e->reserved, e->reserved, gone);
	raw_spin_lock(&reserve_lock);
	cpumask_andnot(&reserved, &reserved, gone);
	raw_spin_unlock(&reserve_lock);
	raw_spin_unlock_irq(&e->lock);

	wake_up_all(&e->wait);
	free_cpumask_var(gone);
	ghost_enclave_put(e);
}

static void unpublish_locked(struct ghost_enclave *e, int cpu)
{
	struct ghost_rq *g = &cpu_rq(cpu)->ghost;

	lockdep_assert_held(&e->lock);
	RCU_INIT_POINTER(g->enclave, NULL);
	WRITE_ONCE(g->txn, NULL);
	cpumask_clear_cpu(cpu, e->cpus);
}

/* The CPU leaves the enclave. Any context, also under a rq lock. */
void ghost_enclave_unpublish(struct ghost_enclave *e, int cpu)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&e->lock, flags);
	unpublish_locked(e, cpu);
	raw_spin_unlock_irqrestore(&e->lock, flags);
	ghost_enclave_todo(e, GHOST_TODO_RELEASE);
}

/* Whoever cleared the mark before saw no enclave, whoever does it now sees it. */
static void mark_concerned(const struct cpumask *cpus)
{
	int cpu;

	for_each_cpu(cpu, cpus) {
		guard(rq_lock_irq)(cpu_rq(cpu));
		WRITE_ONCE(cpu_rq(cpu)->ghost.concerned, true);
	}
}

/**
 * ghost_enclave_set_cpus - replace the CPUs of an enclave
 * @e: enclave
 * @cpus: the new set
 *
 * All or nothing. Returns when removed CPUs can be taken by others.
 *
 * Context: process.
 * Return: 0; -EXDEV dying; -EEXIST an agent is on a CPU to be removed;
 * -ENODEV a CPU to be added is offline; -EBUSY another enclave has it.
 */
int ghost_enclave_set_cpus(struct ghost_enclave *e, const struct cpumask *cpus)
{
	bool removed = false;
	int cpu, ret = 0;

	cpus_read_lock();
	raw_spin_lock_irq(&e->lock);
	if (e->dying)
		ret = -EXDEV;
	for_each_cpu_andnot(cpu, e->cpus, cpus)
		if (!ret && cpu_rq(cpu)->ghost.agent)
			ret = -EEXIST;
	for_each_cpu_andnot(cpu, cpus, e->cpus)
		if (!ret && !cpu_online(cpu))
			ret = -ENODEV;
	if (ret)
		goto unlock;

	raw_spin_lock(&reserve_lock);
	for_each_cpu_andnot(cpu, cpus, e->cpus)
		if (cpumask_test_cpu(cpu, &reserved))
			ret = -EBUSY;
	if (!ret)
		cpumask_or(&reserved, &reserved, cpus);
	raw_spin_unlock(&reserve_lock);
	if (ret)
		goto unlock;

	for_each_cpu_andnot(cpu, e->cpus, cpus) {
		unpublish_locked(e, cpu);
		removed = true;
	}
	for_each_cpu_andnot(cpu, cpus, e->cpus) {
		struct ghost_txn *txn = page_address(e->txn_page[cpu]);

		ghost_txn_init(txn, cpu);
		cpumask_set_cpu(cpu, e->cpus);
		cpumask_clear_cpu(cpu, e->unplugged);
		cpumask_set_cpu(cpu, e->reserved);
		WRITE_ONCE(cpu_rq(cpu)->ghost.txn, txn);
		rcu_assign_pointer(cpu_rq(cpu)->ghost.enclave, e);
	}
	/* While it is not dying this is not the first reference. */
	if (removed)
		ghost_enclave_get(e);
unlock:
	raw_spin_unlock_irq(&e->lock);
	if (!ret)
		mark_concerned(cpus);
	cpus_read_unlock();

	/* An agent must not wait for readers that only it can schedule. */
	if (removed && ghost_agent(current)) {
		ghost_enclave_todo(e, GHOST_TODO_RELEASE);
		ghost_enclave_put(e);
	} else if (removed) {
		release_work(&e->release_work);
	}
	return ret;
}

/**
 * ghost_make_normal - make a member or agent a normal thread
 * @p: keeps its nice value
 *
 * While it is boosted by a deadline thread, sched_setscheduler() would take that
 * for a reservation of its own, and refuse (EBUSY); not with the flag that
 * schedutil's threads have, of which nothing is left in a normal thread.
 *
 * Context: process; no locks held.
 */
void ghost_make_normal(struct task_struct *p)
{
	struct sched_attr attr = {
		.size		= sizeof(attr),
		.sched_policy	= SCHED_NORMAL,
		.sched_flags	= SCHED_FLAG_SUGOV,
		.sched_nice	= task_nice(p),
	};

	sched_setattr_nocheck(p, &attr);
}

static struct task_struct *next_to_reap(struct ghost_enclave *e)
{
	struct task_struct *p, *found = NULL;

	raw_spin_lock_irq(&e->lock);
	list_for_each_entry(p, &e->tasks, ghost.task_node) {
		if (READ_ONCE(p->__state) == TASK_DEAD)
			continue;
		found = get_task_struct(p);
		break;
	}
	raw_spin_unlock_irq(&e->lock);
	return found;
}

/*
 * Move the announced members to the fair class. Comes before any grace
 * period is waited for: a member that nobody schedules can be a RCU reader.
 */
static void reap(struct ghost_enclave *e)
{
	struct ghost_join join = { .enclave = e, .cpu = GHOST_JOIN_REAP };
	struct task_struct *p, *last = NULL;

	while ((p = next_to_reap(e))) {
		/* The reference kept so far makes it the same thread. */
		if (last)
			put_task_struct(last);
		if (p == last) {
			pr_warn_ratelimited("ghost: enclave_%lu: task %d does not leave\n",
					    e->id, task_pid_nr(p));
			break;
		}
		last = p;
		current->ghost.join = &join;
		ghost_make_normal(p);
		current->ghost.join = NULL;
		cond_resched();
	}
	if (last)
		put_task_struct(last);
}

static void reap_work(struct work_struct *work)
{
	struct ghost_enclave *e = container_of(work, struct ghost_enclave, reap_work);

	reap(e);
	drop_gates(e);
	ghost_enclave_put(e);
}

static void fallback_work(struct work_struct *work)
{
	struct ghost_enclave *e = container_of(work, struct ghost_enclave, fallback_work);

	ghost_fallback_update(e);
	ghost_enclave_put(e);
}

/* The agent that @e has on @cpu, or NULL; the caller puts it. */
struct task_struct *ghost_enclave_agent(struct ghost_enclave *e, int cpu)
{
	struct task_struct *p;

	raw_spin_lock_irq(&e->lock);
	p = cpu_rq(cpu)->ghost.agent;
	if (p && p->ghost.enclave == e)
		get_task_struct(p);
	else
		p = NULL;
	raw_spin_unlock_irq(&e->lock);
	return p;
}

static void destroy_work(struct work_struct *work)
{
	struct ghost_enclave *e = container_of(work, struct ghost_enclave, destroy_work);
	struct task_struct *p;
	int cpu;

	/* Only set below, and a work does not run twice at a time. */
	if (e->dying) {
		ghost_enclave_put(e);
		return;
	}

	ghost_exit_write(e);

	raw_spin_lock_irq(&e->lock);
	e->dying = true;
	for_each_cpu(cpu, e->cpus)
		if (!cpu_rq(cpu)->ghost.agent)
			unpublish_locked(e, cpu);
	raw_spin_unlock_irq(&e->lock);

	trace_ghost_enclave_destroy(e->id, ghost_exit_name(e->reason));
	if (e->reason == GHOST_EXIT_BPF)
		pr_info_ratelimited("ghost: enclave_%lu: its BPF program says %d: %s\n",
				    e->id, e->bpf_exit.code, e->bpf_exit.why);
	if (e->reason != GHOST_EXIT_USER)
		pr_info_ratelimited("ghost: enclave_%lu destroyed by %s; its tasks go back to the fair class\n",
				    e->id, ghost_exit_name(e->reason));

	for_each_possible_cpu(cpu) {
		p = ghost_enclave_agent(e, cpu);
		if (!p)
			continue;
		do_send_sig_info(SIGKILL, SEND_SIG_PRIV, p, PIDTYPE_TGID);
		put_task_struct(p);
	}
	reap(e);

	start_work(e, &e->release_work);
	if (e->owner)
		remove_wait_queue(&e->owner->wait_pidfd, &e->owner_wait);
	ghost_watchdog_stop(e);
	/* Those who have left are not to wait for an agent that is slow to die. */
	drop_gates(e);

	WRITE_ONCE(e->removed, true);
	ghost_enclave_pin(e);
	queue_work(system_unbound_wq, &e->remove_work);
	ghost_enclave_put(e);	/* the initial one */
	ghost_enclave_put(e);	/* the work's */
}

/* Who reads the directory holds this up, and nothing else. */
static void remove_work(struct work_struct *work)
{
	struct ghost_enclave *e = container_of(work, struct ghost_enclave, remove_work);

	ghost_fs_remove(e);
	ghost_enclave_unpin(e);
}

/*
 * Somebody of the owner's thread group is dead; if it was the last, so is the
 * enclave. Under tasklist_lock and the lock of the wait queue.
 */
static int owner_exits(wait_queue_entry_t *wait, unsigned int mode, int sync,
		       void *key)
{
	struct ghost_enclave *e = container_of(wait, struct ghost_enclave, owner_wait);
	struct task_struct *leader;

	rcu_read_lock();
	leader = pid_task(e->owner, PIDTYPE_TGID);
	if (!leader || (READ_ONCE(leader->exit_state) && thread_group_empty(leader)))
		ghost_enclave_destroy(e, GHOST_EXIT_OWNER);
	rcu_read_unlock();
	return 0;
}

/* The enclave ends with the calling process. */
void ghost_enclave_bind(struct ghost_enclave *e)
{
	e->owner = get_pid(task_tgid(current));
	init_waitqueue_func_entry(&e->owner_wait, owner_exits);
	add_wait_queue(&e->owner->wait_pidfd, &e->owner_wait);
}

/* Any context, also under a rq lock: begin the end. */
void ghost_enclave_destroy(struct ghost_enclave *e, enum ghost_exit reason)
{
	ghost_exit_blame(e, reason, NULL);
	ghost_enclave_todo(e, GHOST_TODO_DESTROY);
}

/* Wait until name and CPUs of a dying enclave can be taken, at most a second. */
void ghost_enclave_wait_free(struct ghost_enclave *e)
{
	if (ghost_agent(current))
		return;
	wait_event_interruptible_timeout(e->wait, READ_ONCE(e->gone) &&
					 cpumask_empty(e->reserved), HZ);
}

/**
 * ghost_enclave_create - an enclave without CPUs, tasks or files
 * @id: number in its name
 * @abi: version of the binary interface
 *
 * Context: process.
 * Return: the enclave with one reference, or NULL.
 */
struct ghost_enclave *ghost_enclave_create(unsigned long id, u32 abi)
{
	struct ghost_enclave *e;
	int cpu;

	if (ghost_members_init())
		return NULL;
	e = kzalloc(sizeof(*e), GFP_KERNEL_ACCOUNT);
	if (!e)
		return NULL;

	kref_init(&e->ref);
	kref_init(&e->pins);
	e->id = id;
	e->serial = atomic64_inc_return(&serial);
	e->abi = abi;
	INIT_LIST_HEAD(&e->node);
	raw_spin_lock_init(&e->lock);
	INIT_LIST_HEAD(&e->tasks);
	INIT_LIST_HEAD(&e->walks);
	INIT_LIST_HEAD(&e->lost);
	hash_init(e->gated);
	INIT_LIST_HEAD(&e->regions);
	INIT_LIST_HEAD(&e->queues);
	init_waitqueue_head(&e->wait);
	e->irq_work = IRQ_WORK_INIT_HARD(enclave_irq_work);
	INIT_WORK(&e->destroy_work, destroy_work);
	INIT_WORK(&e->reap_work, reap_work);
	INIT_WORK(&e->fallback_work, fallback_work);
	mutex_init(&e->sweep_lock);
	mutex_init(&e->read_lock);
	INIT_WORK(&e->release_work, release_work);
	INIT_WORK(&e->remove_work, remove_work);
	INIT_WORK(&e->end_work, end_work);
	INIT_WORK(&e->free_work, free_work);

	e->record = ghost_exit_alloc();
	e->txn_page = kcalloc(nr_cpu_ids, sizeof(*e->txn_page), GFP_KERNEL_ACCOUNT);
	e->bpf_stats = alloc_percpu_gfp(struct ghost_bpf_stats, GFP_KERNEL_ACCOUNT);
	if (!zalloc_cpumask_var(&e->cpus, GFP_KERNEL_ACCOUNT) ||
	    !zalloc_cpumask_var(&e->unplugged, GFP_KERNEL_ACCOUNT) ||
	    !zalloc_cpumask_var(&e->reserved, GFP_KERNEL_ACCOUNT) ||
	    !e->txn_page || !e->record || !e->bpf_stats)
		goto fail;
	for_each_possible_cpu(cpu) {
		e->txn_page[cpu] = alloc_pages_node(cpu_to_node(cpu),
						    GFP_KERNEL_ACCOUNT | __GFP_ZERO, 0);
		if (!e->txn_page[cpu])
			goto fail;
	}
	static_branch_deferred_inc(&ghost_key);
	ghost_watchdog_start(e);
	trace_ghost_enclave_create(id, abi);
	return e;
fail:
	enclave_free(e);
	return NULL;
}
