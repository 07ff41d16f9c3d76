// SPDX-License-Identifier: GPL-2.0-only
/*
 * SCHED_GHOST: how threads come into an enclave and leave it: setscheduler,
 * fork, death. Membership follows p->policy, never the class, which priority
 * inheritance changes under a member's feet.
 */
#include <linux/hashtable.h>
#include <linux/proc_fs.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <trace/events/ghost.h>
#include "ghost.h"

/*
 * gtid -> member or agent. The buckets are written under the lock and read
 * under RCU; the table is made before the first enclave, and stays.
 */
static struct hlist_head *members;
static unsigned int members_bits;
static DEFINE_RAW_SPINLOCK(members_lock);

static atomic64_t gtid_seq;

/**
 * ghost_members_init - make the table of members
 *
 * By the size of the machine's memory, a bucket for 16 pages: so many threads
 * that its chains grow long find no room in it.
 *
 * Context: process; serialised by the creation of enclaves.
 * Return: 0 or -ENOMEM.
 */
int ghost_members_init(void)
{
	if (members)
		return 0;
	members_bits = clamp(order_base_2(totalram_pages() / 16), 10, 18);
	members = kvcalloc(1UL << members_bits, sizeof(*members), GFP_KERNEL);
	return members ? 0 : -ENOMEM;
}
ALLOW_ERROR_INJECTION(ghost_members_init, ERRNO);

static struct hlist_head *bucket_of(s64 gtid)
{
	return &members[hash_64(gtid, members_bits)];
}

/* The task has none yet. */
s64 ghost_new_gtid(struct task_struct *p)
{
	s64 gtid, old, seq;

	do {
		seq = atomic64_inc_return(&gtid_seq) &
			((1LL << GHOST_GTID_SEQNUM_BITS) - 1);
	} while (!seq);
	gtid = ((s64)p->pid << GHOST_GTID_SEQNUM_BITS) | seq;
	old = atomic64_cmpxchg(&p->ghost.gtid, 0, gtid);
	return old ?: gtid;
}

int ghost_proc_gtid(struct seq_file *m, struct pid_namespace *ns,
		    struct pid *pid, struct task_struct *p)
{
	seq_printf(m, "%lld\n", ghost_gtid(p));
	return 0;
}

/* Member or agent of any enclave. */
static struct task_struct *member_by_gtid(s64 gtid)
{
	struct sched_ghost_entity *se;

	hlist_for_each_entry_rcu(se, bucket_of(gtid), hash_node) {
		if (atomic64_read(&se->gtid) == gtid)
			return container_of(se, struct task_struct, ghost);
	}
	return NULL;
}

/* Any thread of the machine; 0 is the caller. Caller is in a RCU section. */
struct task_struct *ghost_any_task_by_gtid(s64 gtid)
{
	struct task_struct *p;

	if (gtid < 0)
		return NULL;
	if (!gtid)
		return current;
	p = member_by_gtid(gtid);
	if (p)
		return p;
	p = find_task_by_pid_ns(gtid >> GHOST_GTID_SEQNUM_BITS, &init_pid_ns);
	return p && ghost_gtid(p) == gtid ? p : NULL;
}

static void hash_member(struct task_struct *p)
{
	raw_spin_lock(&members_lock);
	hlist_add_head_rcu(&p->ghost.hash_node, bucket_of(ghost_gtid(p)));
	raw_spin_unlock(&members_lock);
}

/**
 * ghost_bpf_load_banned - may the caller load no BPF program any more?
 *
 * The mark is on every thread, so that it survives an exec by any of them.
 */
bool ghost_bpf_load_banned(void)
{
	return READ_ONCE(current->ghost.no_bpf_load);
}

/* "disable my bpf_prog_load": for all threads of the caller, for good. */
int ghost_ban_bpf_load(void)
{
	struct task_struct *t;

	rcu_read_lock();
	for_each_thread(current, t)
		WRITE_ONCE(t->ghost.no_bpf_load, true);
	rcu_read_unlock();
	return 0;
}

/* What fork leaves alone, for a task that is about to become a member. */
static void init_member(struct task_struct *p)
{
	struct sched_ghost_entity *se = &p->ghost;

	se->view = GHOST_VIEW_NONE;
	se->pending = 0;
	se->psi_asleep = false;
	se->last_ran_cpu = task_cpu(p);
	se->wake_up_cpu = task_cpu(p);
	se->waker_cpu = task_cpu(p);
	se->last_runnable = 0;
	se->excused = 0;
	se->pref_cpu = GHOST_PREF_CPU_NONE;
	INIT_LIST_HEAD(&se->run_node);
	INIT_LIST_HEAD(&se->task_node);
	INIT_LIST_HEAD(&se->lost_node);
}

/**
 * struct walk - a walk over the members that are announced when it begins
 * @node: in the enclave's walks
 * @next: whom to visit next, or NULL
 * @last: whom to visit last; behind it are newcomers
 *
 * Enclave lock. Whoever leaves takes care that both are still members.
 */
struct walk {
	struct list_head	node;
	struct task_struct	*next;
	struct task_struct	*last;
};

static void step(struct walk *w)
{
	w->next = w->next == w->last ? NULL :
		list_next_entry(w->next, ghost.task_node);
}

/* Members that are visited before others may have the lock. */
#define WALK_BATCH	128

/**
 * struct visit - arguments of a walk
 * @e: enclave
 * @fn: called for each member
 * @arg: handed to @fn
 */
struct visit {
	struct ghost_enclave	*e;
	void			(*fn)(struct task_struct *p, void *arg);
	void			*arg;
};

static void visit_members(void *arg)
{
	struct visit *v = arg;
	struct ghost_enclave *e = v->e;
	struct task_struct *p;
	struct walk w;
	int n = 0;

	mutex_lock(&e->sweep_lock);
	raw_spin_lock_irq(&e->lock);
	w.next = list_first_entry_or_null(&e->tasks, struct task_struct,
					  ghost.task_node);
	w.last = list_last_entry(&e->tasks, struct task_struct, ghost.task_node);
	list_add(&w.node, &e->walks);
	while (w.next) {
		p = w.next;
		step(&w);
		v->fn(p, v->arg);
		if (++n % WALK_BATCH)
			continue;
		raw_spin_unlock_irq(&e->lock);
		cond_resched();
		raw_spin_lock_irq(&e->lock);
	}
	list_del(&w.node);
	raw_spin_unlock_irq(&e->lock);
	mutex_unlock(&e->sweep_lock);
}

/**
 * ghost_for_members - visit every announced member, once
 * @e: enclave
 * @fn: called for each, under the enclave lock
 * @arg: handed to @fn
 *
 * The lock is dropped now and then. Who leaves meanwhile may be left out, and who is
 * moved to the front, see @arrivals of struct ghost_enclave; who joins is.
 *
 * Context: process; no locks held. It makes leaving the enclave dearer as long
 * as it takes, so the callers see to it that they are few at a time.
 */
void ghost_for_members(struct ghost_enclave *e,
		       void (*fn)(struct task_struct *p, void *arg), void *arg)
{
	struct visit v = { .e = e, .fn = fn, .arg = arg };

	ghost_by_worker(visit_members, &v);
}

/* @p is taken out of its place in the list: no walk may stand there. */
static void pass(struct ghost_enclave *e, struct task_struct *p)
{
	struct walk *w;

	lockdep_assert_held(&e->lock);
	list_for_each_entry(w, &e->walks, node) {
		if (w->next == p)
			step(w);
		else if (w->last == p)
			w->last = list_prev_entry(p, ghost.task_node);
	}
}

/* To the front of the list of announced members, or the end. */
void ghost_move_member(struct ghost_enclave *e, struct task_struct *p, bool front)
{
	pass(e, p);
	if (front)
		list_move(&p->ghost.task_node, &e->tasks);
	else
		list_move_tail(&p->ghost.task_node, &e->tasks);
}

static void leave_list(struct ghost_enclave *e, struct task_struct *p)
{
	if (list_empty(&p->ghost.task_node))
		return;
	pass(e, p);
	list_del_init(&p->ghost.task_node);
	e->nr_tasks--;
}

/* Status word, queue, references. Nothing to undo on failure. */
static int prepare_task(struct ghost_enclave *e, struct task_struct *p)
{
	int ret;

	lockdep_assert_held(&e->lock);
	if (e->dying)
		return -EXDEV;
	if (p->ghost.gate && p->ghost.gate->abi != e->abi)
		return -EINVAL;
	if (e->max_tasks && e->nr_members >= e->max_tasks)
		return -EDQUOT;
	ret = ghost_sw_alloc(e, p);
	if (ret)
		return ret;
	e->nr_members++;

	p->ghost.queue = e->default_queue;
	if (p->ghost.queue)
		refcount_inc(&p->ghost.queue->ref);
	p->ghost.enclave = e;
	ghost_enclave_get(e);
	return 0;
}

/* The task can be found from here on; INUSE last. rq lock held. */
static void publish(struct task_struct *p)
{
	struct ghost_enclave *e = p->ghost.enclave;
	struct ghost_status_word *sw = p->ghost.sw;
	struct ghost_queue *old = NULL;
	u32 flags = sw->flags | GHOST_SW_F_INUSE;

	if (p->ghost.flags & GHOST_TF_AGENT)
		flags |= GHOST_SW_TASK_IS_AGENT;
	p->ghost.flags |= GHOST_TF_PUBLISHED;
	p->ghost.barrier = p->ghost.saved_barrier;
	sw->gtid = ghost_gtid(p);
	sw->runtime = p->se.sum_exec_runtime;
	sw->barrier = p->ghost.barrier;

	/*
	 * A successor agent sets its default queue, then scans for INUSE. Under
	 * this lock either the scan finds the word or the task the new queue.
	 */
	raw_spin_lock(&e->lock);
	if (!(p->ghost.flags & GHOST_TF_AGENT)) {
		old = p->ghost.queue;
		p->ghost.queue = e->default_queue;
		if (p->ghost.queue)
			refcount_inc(&p->ghost.queue->ref);
	}
	hash_member(p);
	/* Release: the scan that sees INUSE sees the rest. */
	smp_store_release(&sw->flags, flags);
	raw_spin_unlock(&e->lock);
	ghost_queue_put(old);
	trace_ghost_join(p, sw->gtid, e->id, flags & GHOST_SW_TASK_IS_AGENT);
}

/* pi and rq lock held: may @p get @policy? */
int __ghost_check_setscheduler(struct task_struct *p, int policy,
			       int reset_on_fork)
{
	struct ghost_join *join = current->ghost.join;

	if (READ_ONCE(p->__state) == TASK_DEAD)
		return -ESRCH;
	/* It may have left, or be in another enclave by now. */
	if (join && join->cpu == GHOST_JOIN_REAP && in_task())
		return p->ghost.sw && p->ghost.enclave == join->enclave ? 0 : -ESRCH;
	if (!ghost_policy(policy))
		return ghost_agent(p) && !(join && join->cpu == GHOST_JOIN_EVICT) ?
			-EPERM : 0;
	if (!ghost_policy(p->policy)) {
		if (!join)
			return -EBADF;
		/* No policy is to be asked for the last steps of a zombie. */
		if (READ_ONCE(p->exit_state))
			return -ESRCH;
		return p->flags & PF_KTHREAD ? -EINVAL : 0;
	}
	if (ghost_agent(p) && (!reset_on_fork || (join && join->cpu < 0)))
		return -EPERM;
	if (join)
		return p->ghost.enclave == join->enclave ? -EALREADY : -EPERM;
	return 0;
}

/* pi and rq lock held, nothing can fail after: enter current's target. */
int __ghost_prepare_setscheduler(struct rq *rq, struct task_struct *p,
				 int policy, u64 sched_flags)
{
	struct ghost_join *join = current->ghost.join;
	struct ghost_enclave *e = join->enclave;
	int ret;

	if (sched_flags & SCHED_FLAG_KEEP_PARAMS)
		return -EINVAL;

	init_member(p);
	if (join->cpu >= 0) {
		ret = ghost_agent_register(rq, p, join);
		if (ret)
			return ret;
		p->ghost.flags = GHOST_TF_JOINING | GHOST_TF_AGENT;
	} else {
		raw_spin_lock(&e->lock);
		ret = prepare_task(e, p);
		raw_spin_unlock(&e->lock);
		if (ret)
			return ret;
		p->ghost.flags = GHOST_TF_JOINING;
	}
	return 0;
}

/* Give back what a member holds; its status word is dealt with. */
void ghost_member_teardown(struct task_struct *p)
{
	struct ghost_enclave *e = p->ghost.enclave;
	struct ghost_queue *q = p->ghost.queue;

	raw_spin_lock(&e->lock);
	leave_list(e, p);
	if (!(p->ghost.flags & GHOST_TF_AGENT))
		e->nr_members--;
	list_del_init(&p->ghost.lost_node);
	raw_spin_unlock(&e->lock);

	if (p->ghost.flags & GHOST_TF_PUBLISHED) {
		trace_ghost_leave(p, ghost_gtid(p), e->id,
				  p->ghost.flags & GHOST_TF_AGENT);
		raw_spin_lock(&members_lock);
		hash_del_rcu(&p->ghost.hash_node);
		raw_spin_unlock(&members_lock);
	}

	WRITE_ONCE(p->ghost.last_runnable, 0);
	p->ghost.sw = NULL;
	p->ghost.region = NULL;
	p->ghost.queue = NULL;
	p->ghost.enclave = NULL;
	p->ghost.view = GHOST_VIEW_NONE;
	p->ghost.pending = 0;
	p->ghost.flags = 0;
	ghost_queue_put(q);
	ghost_enclave_put_locked(e);
}

/* The policy is no longer ours. pi and rq lock held. */
static void leave(struct rq *rq, struct task_struct *p)
{
	struct ghost_enclave *e = p->ghost.enclave;
	bool sent;

	if (!(p->ghost.flags & GHOST_TF_PUBLISHED)) {
		/* A child that is not out of fork yet. */
		ghost_sw_free(e, p);
		ghost_member_teardown(p);
		return;
	}
	if (p->ghost.pending & GHOST_PEND_NEW) {
		p->ghost.pending = 0;
		ghost_announce(rq, p, false);
	}
	if (p->ghost.gate) {
		ghost_sw_free(e, p);
		p->ghost.saved_barrier = p->ghost.barrier;
		ghost_member_teardown(p);
		return;
	}

	/* One section: from CANFREE on user space may free the slot. */
	raw_spin_lock(&e->lock);
	ghost_sw_set(p, GHOST_SW_F_CANFREE | GHOST_SW_TASK_MSG_GATED, 0);
	sent = ghost_msg_departed(rq, p);
	if (sent) {
		get_task_struct(p);
		p->ghost.gate = e;
		hash_add(e->gated, &p->ghost.gate_node, (u64)ghost_gtid(p));
	} else {
		ghost_sw_free_locked(e, p);
	}
	raw_spin_unlock(&e->lock);
	if (sent)
		ghost_wake_for(p);
	p->ghost.saved_barrier = p->ghost.barrier;
	ghost_member_teardown(p);
}

/* The policy is stored and the task is queued again. pi and rq lock held. */
void __ghost_finish_setscheduler(struct rq *rq, struct task_struct *p)
{
	if (!ghost_policy(p->policy)) {
		if (p->ghost.flags & GHOST_TF_AGENT) {
			ghost_agent_exit(rq, p);
			ghost_member_teardown(p);
			/* The evicting caller holds a reference, too. */
			put_task_struct(p);
		} else {
			leave(rq, p);
			ghost_check_home(rq, p);
		}
		return;
	}
	if (!(p->ghost.flags & GHOST_TF_JOINING))
		return;

	p->ghost.flags &= ~GHOST_TF_JOINING;
	if (p->ghost.flags & GHOST_TF_AGENT) {
		publish(p);
		WRITE_ONCE(p->ghost.sw->switch_time, ktime_get_mono_fast_ns());
		ghost_sw_set(p, GHOST_SW_TASK_RUNNABLE | GHOST_SW_TASK_ONCPU, 0);
		return;
	}

	if (ghost_runnable(p))
		ghost_sw_set(p, GHOST_SW_TASK_RUNNABLE, 0);
	publish(p);
	if (task_current(rq, p) && ghost_runnable(p)) {
		WRITE_ONCE(p->ghost.sw->switch_time, ktime_get_mono_fast_ns());
		ghost_sw_set(p, GHOST_SW_TASK_ONCPU, 0);
		p->ghost.pending = GHOST_PEND_NEW;
		rq->ghost.kick = true;
		resched_curr(rq);
	} else {
		ghost_announce(rq, p, ghost_runnable(p));
	}
}

/* Move @p, by the rules of setscheduler for the caller, into @e. */
int ghost_join_enclave(struct ghost_enclave *e, struct task_struct *p)
{
	struct sched_param param = { .sched_priority = 0 };
	struct ghost_join join = { .enclave = e, .cpu = -1 };
	int ret;

	current->ghost.join = &join;
	ret = sched_setscheduler(p, SCHED_GHOST, &param);
	current->ghost.join = NULL;
	return ret == -EALREADY ? 0 : ret;
}

/* The departed status word is freed: messages flow again. */
void ghost_ungate(struct task_struct *p)
{
	struct rq_flags rf;
	struct rq *rq;

	rq = task_rq_lock(p, &rf);
	update_rq_clock(rq);
	p->ghost.gate = NULL;
	if (p->ghost.sw && (p->ghost.flags & GHOST_TF_ANNOUNCED)) {
		ghost_msg_new(p, ghost_runnable(p));
		ghost_wake_for(p);
	}
	task_rq_unlock(rq, p, &rf);
	put_task_struct(p);
}

/* A member forks: the child is one too. */
int __ghost_fork(struct task_struct *p)
{
	struct ghost_enclave *e;
	struct rq_flags rf;
	struct rq *rq;
	int ret = -ECHILD;

	init_member(p);
	rq = this_rq_lock_irq(&rf);
	e = current->ghost.enclave;
	if (ghost_policy(current->policy) && e) {
		raw_spin_lock(&e->lock);
		ret = prepare_task(e, p);
		raw_spin_unlock(&e->lock);
	}
	rq_unlock_irq(rq, &rf);
	if (!ret)
		p->ghost.pending = GHOST_PEND_NEW;
	return ret;
}
ALLOW_ERROR_INJECTION(__ghost_fork, ERRNO);

void __ghost_cancel_fork(struct task_struct *p)
{
	unsigned long flags;

	local_irq_save(flags);
	ghost_sw_free(p->ghost.enclave, p);
	ghost_member_teardown(p);
	local_irq_restore(flags);
}

void __ghost_post_fork(struct task_struct *p)
{
	struct rq_flags rf;
	struct rq *rq;

	/* The child can be found now: a ban before that has missed it. */
	if (READ_ONCE(current->ghost.no_bpf_load))
		WRITE_ONCE(p->ghost.no_bpf_load, true);
	if (!p->ghost.sw)
		return;

	rq = task_rq_lock(p, &rf);
	/* Somebody may have moved the child out and in again already. */
	if (p->ghost.sw && !(p->ghost.flags & GHOST_TF_PUBLISHED))
		publish(p);
	task_rq_unlock(rq, p, &rf);
}

/* Off the CPU for ever; no locks held. */
void ghost_task_dead(struct task_struct *p)
{
	struct ghost_enclave *e;
	bool sent;
	struct rq_flags rf;
	struct rq *rq;

	rq = task_rq_lock(p, &rf);
	update_rq_clock(rq);
	if (!p->ghost.sw)
		goto unlock;

	if (p->ghost.flags & GHOST_TF_AGENT) {
		ghost_agent_exit(rq, p);
		ghost_member_teardown(p);
		task_rq_unlock(rq, p, &rf);
		put_task_struct(p);
		return;
	}

	/* One section: from CANFREE on user space may free the slot. */
	e = p->ghost.enclave;
	raw_spin_lock(&e->lock);
	ghost_sw_set(p, GHOST_SW_F_CANFREE, 0);
	sent = !p->ghost.gate && ghost_msg_dead(rq, p);
	if (!sent)
		ghost_sw_free_locked(e, p);
	raw_spin_unlock(&e->lock);
	if (sent)
		ghost_wake_for(p);
	ghost_member_teardown(p);
unlock:
	task_rq_unlock(rq, p, &rf);
}
