// SPDX-License-Identifier: GPL-2.0-only
/*
 * SCHED_GHOST: the two classes and the hooks of __schedule().
 *
 * Agents and tasks both have ghost_sched_class. ghost_agent_sched_class sits
 * below stop and only picks the agent. A schedule on a CPU of an enclave runs
 * in this order:
 *
 *	__ghost_prologue()	messages owed by prev, the BPF program, pending
 *				transaction; may drop the rq lock
 *	prev_balance()		the other classes; may drop the rq lock
 *	__ghost_decide()	agent or not, PREEMPT; never drops the lock
 *	pick_task()		both classes; only reads
 *	__ghost_switch()	what is left to say when prev != next
 */
#include <trace/events/ghost.h>
#include "ghost.h"

/*
 * On while there is an enclave, and a minute longer: to switch it patches code
 * under the feet of all CPUs, and where one enclave ends another often begins.
 */
DEFINE_STATIC_KEY_DEFERRED_FALSE(ghost_key, 60 * HZ);

/* Core scheduling keeps its picks while this number stands. rq lock held. */
static __always_inline void core_pick_again(struct rq *rq)
{
#ifdef CONFIG_SCHED_CORE
	if (static_branch_unlikely(&__sched_core_enabled) && rq->core_enabled)
		rq->core->core_task_seq++;
#endif
}

/* A pick that it has kept knows nothing of a wake-up of the agent. */
static __always_inline void core_note_agent(struct rq *rq)
{
	struct ghost_rq *g = &rq->ghost;

	if (!sched_core_disabled() && g->parked &&
	    (READ_ONCE(g->wakereq) || signal_pending(g->agent)))
		core_pick_again(rq);
}

void __ghost_count(struct rq *rq, struct task_struct *p, bool on)
{
	p->ghost.flags ^= GHOST_TF_COUNTED;
	core_pick_again(rq);
	if (on)
		add_nr_running(rq, 1);
	else
		sub_nr_running(rq, 1);
}

/*
 * Does a thread of another class really want this CPU? Delayed-dequeue fair
 * tasks, the fair server's own entity and sched_ext tasks that wait in a
 * shared queue are counted by nr_running, but would not be picked here.
 */
bool ghost_others(struct rq *rq)
{
	if (sched_stop_runnable(rq) || sched_rt_runnable(rq) ||
	    rq->cfs.h_nr_runnable)
		return true;
	if (rq->dl.dl_nr_running > !RB_EMPTY_NODE(&rq->fair_server.rb_node))
		return true;
#ifdef CONFIG_SCHED_CLASS_EXT
	if (scx_enabled() && (rq->scx.local_dsq.nr ||
			      (rq->scx.flags & SCX_RQ_BAL_KEEP)))
		return true;
#endif
	return false;
}

/* Core scheduling: has what runs here forced another thread of the core to idle? */
static bool keeps_core(struct rq *rq)
{
#ifdef CONFIG_SCHED_CORE
	struct rq *sibling;
	int cpu;

	if (!sched_core_enabled(rq) || !rq->core->core_forceidle_count)
		return false;
	for_each_cpu(cpu, cpu_smt_mask(cpu_of(rq))) {
		sibling = cpu_rq(cpu);
		/* A CPU that comes online is not of the core yet. */
		if (sibling == rq || sibling->core != rq->core)
			continue;
		if (ghost_curr(sibling) == sibling->idle && ghost_others(sibling))
			return true;
	}
#endif
	return false;
}

/* Does the agent, which runs, keep other classes waiting? rq lock held. */
bool ghost_keeps_waiting(struct rq *rq)
{
	return ghost_others(rq) || keeps_core(rq);
}

unsigned long sysctl_ghost_cfs_load_added = 1024;

/* Is the CPU busy with us? Any context, a guess: nothing is locked. */
bool __ghost_busy(struct rq *rq)
{
	struct ghost_rq *g = &rq->ghost;
	bool busy;

	rcu_read_lock();
	busy = (READ_ONCE(g->agent) && !READ_ONCE(g->parked)) ||
		READ_ONCE(g->latched) || ghost_class(rcu_dereference(rq->curr));
	rcu_read_unlock();
	return busy;
}

/* Both rq locks held; neither a pi_lock nor the affinity matters. */
void ghost_move_task(struct rq *src, struct rq *dst, struct task_struct *p)
{
	deactivate_task(src, p, 0);
	set_task_cpu(p, cpu_of(dst));
	activate_task(dst, p, 0);
}

/* Take the latch away and tell the policy. rq lock held. */
void ghost_unlatch(struct rq *rq)
{
	struct ghost_rq *g = &rq->ghost;
	struct task_struct *p = g->latched;

	if (!p)
		return;

	g->latched = NULL;
	if (g->offered) {
		g->offered = false;
		ghost_count(rq, p, false);
		ghost_msg_wakeup(p);
		ghost_wake_for(p);
		return;
	}

	g->run_flags &= ~(ELIDE_PREEMPT | SEND_TASK_ON_CPU);
	if (p == rq->idle)
		return;

	ghost_count(rq, p, false);
	ghost_msg_preempt(rq, p, g->sw_chain != p);
	ghost_wake_for(p);
	if (g->run_flags & RTLA_ON_PREEMPT)
		ghost_agent_schedule(rq);
}

/* Make @p (NULL: nothing) the next to run here. rq lock held. */
void ghost_latch(struct rq *rq, struct task_struct *p, u16 run_flags)
{
	trace_sched_ghost_latched(rq->ghost.latched, p, run_flags);
	if (rq->ghost.latched != p)
		ghost_unlatch(rq);

	core_pick_again(rq);
	rq->ghost.latched = p;
	rq->ghost.kick = false;
	rq->ghost.run_flags = run_flags;
	rq->ghost.cpu_seqnum++;
	if (p && p != rq->idle)
		ghost_count(rq, p, true);
}

/* prev loses the CPU: tell. */
static void preempt_prev(struct rq *rq, struct task_struct *prev)
{
	rq->ghost.check_preempt = false;
	ghost_msg_preempt(rq, prev, false);
	ghost_wake_for(prev);
	if (rq->ghost.run_flags & RTLA_ON_PREEMPT)
		ghost_agent_schedule(rq);
}

static void send_pending(struct rq *rq, struct task_struct *p)
{
	u8 pending = p->ghost.pending;

	p->ghost.pending = 0;
	if (pending & GHOST_PEND_NEW) {
		ghost_announce(rq, p, task_on_rq_queued(p));
		return;
	}
	if (pending & GHOST_PEND_WAKEUP)
		ghost_msg_wakeup(p);
	if (pending & GHOST_PEND_BLOCKED)
		ghost_msg_blocked(rq, p);
	else if (pending & GHOST_PEND_YIELD)
		ghost_msg_yield(rq, p);
	ghost_wake_for(p);
}

/* Could prev go on running? rq lock held. */
static bool keep_prev(struct rq *rq)
{
	struct task_struct *prev = ghost_curr(rq);

	return ghost_task(prev) && !rq->ghost.kick && !rq->ghost.voluntary &&
		!rq->ghost.sw_chain && !prev->ghost.pending &&
		task_on_rq_queued(prev) &&
		READ_ONCE(prev->__state) == TASK_RUNNING;
}

/* Publish whether ghost tasks could run here, on change only. */
static __always_inline void set_avail(struct rq *rq, bool avail)
{
	struct task_struct *agent = rq->ghost.agent;

	if (!agent || avail == !!(agent->ghost.sw->flags & GHOST_SW_CPU_AVAIL))
		return;
	ghost_sw_set(agent, avail ? GHOST_SW_CPU_AVAIL : 0, GHOST_SW_CPU_AVAIL);
	ghost_cpu_available(rq, avail);
}

/* What runs here if nobody says otherwise, for the BPF program. */
static s64 next_gtid(struct rq *rq)
{
	if (rq->ghost.latched)
		return rq->ghost.latched == rq->idle ? GHOST_IDLE_GTID :
			ghost_gtid(rq->ghost.latched);
	return keep_prev(rq) ? ghost_gtid(ghost_curr(rq)) : 0;
}

/* Let the enclave's program pick. rq lock held, may be dropped. */
static void bpf_pick(struct rq *rq, struct rq_flags *rf)
{
	struct ghost_enclave *e = rcu_dereference_sched(rq->ghost.enclave);
	struct ghost_rq *g = &rq->ghost;
	struct bpf_ghost_sched ctx = {};
	struct bpf_prog *prog;

	prog = e ? ghost_bpf_prog(e, GHOST_SLOT_SCHED) : NULL;
	if (!prog)
		return;

	ctx.might_yield = ghost_others(rq);
	set_avail(rq, !ctx.might_yield);
	if (g->agent && task_on_rq_queued(g->agent)) {
		ctx.agent_on_rq = true;
		ctx.agent_runnable = !g->parked || READ_ONCE(g->wakereq) ||
			signal_pending(g->agent);
	}
	ctx.next_gtid = next_gtid(rq);
	ghost_bpf_sched(rq, rf, e, prog, &ctx);
	g->dont_idle = ctx.dont_idle;
	if (ctx.must_resched)
		g->kick = true;
}

static DEFINE_PER_CPU(struct balance_callback, resched_head);

/*
 * need_resched was cleared after the decision: only now can it be set. Other
 * classes are left alone, or they would never come to run.
 */
static void resched_again(struct rq *rq)
{
	struct task_struct *curr = ghost_curr(rq);

	if ((rq->ghost.dont_idle && curr == rq->idle) ||
	    (READ_ONCE(rq->ghost.resched) &&
	     (curr == rq->idle || ghost_task(curr))))
		resched_curr(rq);
}

void __ghost_prologue(struct rq *rq, struct rq_flags *rf)
{
	struct ghost_rq *g = &rq->ghost;
	struct task_struct *prev = ghost_curr(rq);

	g->check_preempt = false;
	g->voluntary = false;
	/* Who was to give the CPU away goes on instead. */
	if (g->offered)
		ghost_unlatch(rq);
	if (ghost_task(prev) && prev->ghost.sw) {
		update_curr_common(rq);
		if (prev->ghost.pending) {
			send_pending(rq, prev);
			g->voluntary = true;
		} else {
			g->check_preempt = task_on_rq_queued(prev) &&
				!g->mute_preempt;
		}
	}
	g->mute_preempt = false;

	g->dont_idle = false;
	WRITE_ONCE(g->resched, 0);
	if (READ_ONCE(g->kick_remote) && xchg(&g->kick_remote, 0))
		g->kick = true;
	bpf_pick(rq, rf);

	core_note_agent(rq);

	if (!g->latched && g->parked && !ghost_others(rq))
		ghost_txn_prologue(rq, rf);
}

/*
 * Nobody else wants the CPU: the classes above are asked only where that makes
 * them put something in order, as a fair task whose dequeue was put off.
 */
static const struct sched_class *first_class(struct rq *rq)
{
	if (rq->cfs.h_nr_queued || rq->dl.dl_nr_running || scx_enabled())
		return __sched_class_highest;
	return &ghost_sched_class;
}

const struct sched_class *__ghost_decide(struct rq *rq)
{
	struct ghost_rq *g = &rq->ghost;
	struct task_struct *prev = ghost_curr(rq);
	bool others = ghost_others(rq);
	bool agent;

	/* A program that is told may wake the agent: that comes first. */
	set_avail(rq, !others);
	agent = ghost_agent_ready(rq);
	if (g->dont_idle || READ_ONCE(g->resched))
		queue_balance_callback(rq, &per_cpu(resched_head, cpu_of(rq)),
				       resched_again);

	/* The lock was dropped since the prologue: prev may have left. */
	if (g->check_preempt && !(ghost_task(prev) && prev->ghost.sw &&
				  task_on_rq_queued(prev) &&
				  !prev->ghost.pending))
		g->check_preempt = false;

	if (agent || others) {
		if (g->check_preempt) {
			g->kick = true;
			preempt_prev(rq, prev);
		}
		if (others || !(g->run_flags & DEFER_LATCHED_PREEMPTION_BY_AGENT))
			ghost_unlatch(rq);
		if (!agent)
			agent = ghost_agent_ready(rq);
	}

	if (!agent && !others) {
		if ((g->run_flags & ELIDE_PREEMPT) && !g->sw_chain) {
			g->run_flags &= ~ELIDE_PREEMPT;
			g->check_preempt = false;
		}
		if (g->latched)
			return first_class(rq);
		if (g->agent && keep_prev(rq)) {
			g->check_preempt = false;
			/* Somebody wanted the CPU while it waited: it goes on to. */
			if (READ_ONCE(g->rendezvous))
				ghost_rendezvous_wait(rq);
			return first_class(rq);
		}
		if ((g->run_flags & RTLA_ON_IDLE) && g->agent &&
		    task_on_rq_queued(g->agent)) {
			ghost_agent_schedule(rq);
			if (g->check_preempt) {
				g->kick = true;
				preempt_prev(rq, prev);
			}
			agent = true;
		}
	}

	if (agent) {
		u32 boost = others ? GHOST_SW_BOOST_PRIO : 0;

		/* What this pass has told stepped the barrier after it woke. */
		ghost_agent_sync(rq);
		if ((g->agent->ghost.sw->flags & GHOST_SW_BOOST_PRIO) != boost)
			ghost_sw_set(g->agent, boost, GHOST_SW_BOOST_PRIO);
	}
	if (!agent || !(others || keeps_core(rq)))
		g->hog_since = 0;
	return __sched_class_highest;
}

bool __ghost_switch(struct rq *rq, struct task_struct *prev,
		    struct task_struct *next)
{
	struct ghost_rq *g = &rq->ghost;
	bool asleep;

	if (ghost_class(prev) && prev->ghost.sw) {
		if (ghost_task(prev)) {
			if (prev->ghost.pending)
				send_pending(rq, prev);
			else if (g->check_preempt)
				preempt_prev(rq, prev);
		}
		ghost_sw_set(prev, 0, GHOST_SW_TASK_ONCPU);
	}
	g->check_preempt = false;
	g->voluntary = false;
	set_avail(rq, ghost_class(next) || next == rq->idle);

	if (g->latched == rq->idle && next == rq->idle)
		g->latched = NULL;
	if (g->latched && !(next == g->agent &&
			    (g->run_flags & DEFER_LATCHED_PREEMPTION_BY_AGENT)))
		ghost_unlatch(rq);

	if (next != g->sw_chain)
		g->sw_chain = NULL;

	if (READ_ONCE(g->rendezvous) && ghost_task(next))
		ghost_rendezvous_wait(rq);

	if ((g->run_flags & NEED_CPU_NOT_IDLE) && !ghost_policy(next->policy) &&
	    next != rq->idle) {
		g->run_flags &= ~NEED_CPU_NOT_IDLE;
		ghost_cpu_not_idle(rq, next);
	}

	if ((g->run_flags & SEND_TASK_ON_CPU) && ghost_task(next) && !g->sw_chain) {
		g->run_flags &= ~SEND_TASK_ON_CPU;
		ghost_msg_on_cpu(rq, next);
	}

	if (!rcu_access_pointer(g->enclave) && !g->agent && !ghost_class(next) &&
	    list_empty(&g->tasks))
		WRITE_ONCE(g->concerned, false);

	asleep = prev == g->agent && g->parked && task_on_rq_queued(prev);
	if (asleep)
		prev->ghost.psi_asleep = true;
	return asleep;
}

static struct task_struct *pick_task_ghost_agent(struct rq *rq)
{
	struct ghost_rq *g = &rq->ghost;

	if (g->agent && !g->parked && task_on_rq_queued(g->agent))
		return g->agent;
	return NULL;
}

static struct task_struct *pick_task_ghost(struct rq *rq)
{
	if (!rq->ghost.agent)
		return NULL;
	if (rq->ghost.latched)
		return rq->ghost.latched;
	return keep_prev(rq) ? ghost_curr(rq) : NULL;
}

static void start_waiting(struct task_struct *p)
{
	struct ghost_enclave *e = p->ghost.enclave;
	/* Below 0: look_at() took it for a sum that was the same. */
	long owed = max_t(long, READ_ONCE(p->ghost.excused), 0);

	/* Limits are in ticks at best, and a clock costs as much as all else here. */
	WRITE_ONCE(p->ghost.last_runnable, (jiffies - owed) ?: 1);
	/* What is excused is never of a later wait: pairs with look_at(). */
	smp_wmb();
	WRITE_ONCE(p->ghost.excused, e ? READ_ONCE(e->sample.excused) : 0);
}

/* The next wait seems to have begun @owed jiffies earlier. */
static void stop_waiting(struct task_struct *p, unsigned long owed)
{
	WRITE_ONCE(p->ghost.last_runnable, 0);
	/* As above: look_at() takes this for a sum of a wait that is none. */
	smp_wmb();
	WRITE_ONCE(p->ghost.excused, owed);
}

/*
 * A rescue is not the policy's doing: a wait goes on where it was, without what was
 * excused, if the task still wants a CPU when it is taken back. Where all are lent it
 * is over.
 */
static unsigned long owed(struct task_struct *p)
{
	unsigned long since = READ_ONCE(p->ghost.last_runnable);
	struct ghost_enclave *e = p->ghost.enclave;
	long owed;

	if (!since || (p->ghost.flags & (GHOST_TF_RESCUED | GHOST_TF_LENT)) !=
		      GHOST_TF_RESCUED)
		return 0;
	/* By the last sample: nobody knows yet of what comes behind it. */
	raw_spin_lock(&e->lock);
	owed = e->sample.at - since - (e->sample.excused - READ_ONCE(p->ghost.excused));
	raw_spin_unlock(&e->lock);
	return max(owed, 0);
}

/* No agent schedules on a CPU that goes offline: the work moves what is there. */
static void move_strays(struct rq *rq)
{
	int cpu = cpu_of(rq);

	if (unlikely(!cpu_active(cpu)) && cpu_online(cpu))
		irq_work_queue_on(&rq->ghost.work, cpu);
}

static void enqueue_task_ghost(struct rq *rq, struct task_struct *p, int flags)
{
	if (p->ghost.flags & GHOST_TF_AGENT) {
		if (flags & ENQUEUE_WAKEUP) {
			ghost_agent_unpark(rq);
			ghost_fallback_agent(p, true);
		}
		ghost_count(rq, p, !rq->ghost.parked);
		if (!rq->ghost.parked && ghost_curr(rq) != p)
			resched_curr(rq);
		return;
	}

	/* The CPU before on_rq, which our caller sets: see ghost_queued_on(). */
	smp_wmb();
	list_add_tail(&p->ghost.run_node, &rq->ghost.tasks);
	WRITE_ONCE(rq->ghost.concerned, true);
	move_strays(rq);
	ghost_fallback_arrived(rq, p);
	/* It slept: nothing is owed of a wait before. */
	if (flags & ENQUEUE_WAKEUP)
		WRITE_ONCE(p->ghost.excused, 0);
	if (!task_current(rq, p) && !READ_ONCE(p->ghost.last_runnable))
		start_waiting(p);
	if ((flags & (ENQUEUE_WAKEUP | ENQUEUE_INITIAL)) && p->ghost.sw)
		ghost_sw_set(p, GHOST_SW_TASK_RUNNABLE, 0);
}

/*
 * Deferrable are the waits that the freezer may freeze, as those for a futex or
 * for a time: user space asked for them, and nobody waits for the sleeper. The
 * state is stable: no wake-up changes it while we hold the rq lock and the task
 * is on it, or its pi_lock.
 */
static void note_wait(struct task_struct *p)
{
	p->ghost.deferrable = READ_ONCE(p->__state) & TASK_FREEZABLE;
}

static bool dequeue_task_ghost(struct rq *rq, struct task_struct *p, int flags)
{
	if (p->ghost.flags & GHOST_TF_AGENT) {
		ghost_count(rq, p, false);
		if (flags & DEQUEUE_SLEEP) {
			ghost_agent_runnable(rq, false);
			ghost_fallback_agent(p, false);
		}
		return true;
	}

	if (task_current(rq, p))
		update_curr_common(rq);
	if (rq->ghost.latched == p)
		ghost_unlatch(rq);
	list_del_init(&p->ghost.run_node);
	ghost_count(rq, p, false);
	/* A wait goes on over a move and over a change of nice or affinity. */
	if (flags & DEQUEUE_SLEEP)
		stop_waiting(p, 0);

	if ((flags & DEQUEUE_SLEEP) && p->ghost.sw) {
		note_wait(p);
		ghost_sw_set(p, 0, GHOST_SW_TASK_RUNNABLE);
		if (rq->ghost.offered && ghost_switch_give(rq, p))
			return true;
		p->ghost.pending |= GHOST_PEND_BLOCKED;
		if (rq->ghost.run_flags & RTLA_ON_BLOCKED)
			ghost_agent_schedule(rq);
	}
	return true;
}

static void yield_task_ghost(struct rq *rq)
{
	struct task_struct *p = ghost_curr(rq);

	if (p->ghost.flags & GHOST_TF_AGENT)
		return;

	rq->ghost.kick = true;
	p->ghost.pending |= GHOST_PEND_YIELD;
	if (rq->ghost.run_flags & RTLA_ON_YIELD)
		ghost_agent_schedule(rq);
}

static void wakeup_preempt_ghost(struct rq *rq, struct task_struct *p, int flags)
{
}

static void set_next_task_ghost(struct rq *rq, struct task_struct *p, bool first)
{
	struct ghost_rq *g = &rq->ghost;

	p->se.exec_start = rq_clock_task(rq);
	WRITE_ONCE(g->concerned, true);
	if (first)
		cpufreq_update_util(rq, 0);
	if (!(p->ghost.flags & GHOST_TF_AGENT)) {
		/* Who is put back where it ran for another class has not been picked. */
		if (first)
			stop_waiting(p, 0);
		if (g->latched == p)
			g->latched = NULL;
		if (first)
			g->kick = false;
		if (task_on_rq_queued(p) || !first)
			ghost_count(rq, p, true);
	}
	if (p->ghost.sw && !(p->ghost.sw->flags & GHOST_SW_TASK_ONCPU)) {
		WRITE_ONCE(p->ghost.sw->switch_time, ktime_get_mono_fast_ns());
		ghost_sw_set(p, GHOST_SW_TASK_ONCPU, 0);
	}
}

static void put_prev_task_ghost(struct rq *rq, struct task_struct *p,
				struct task_struct *next)
{
	update_curr_common(rq);
	if (p->ghost.sw)
		ghost_sw_runtime(p);
	if (p->ghost.flags & GHOST_TF_AGENT)
		return;

	ghost_count(rq, p, false);
	if (next && !list_empty(&p->ghost.run_node)) {
		list_move_tail(&p->ghost.run_node, &rq->ghost.tasks);
		start_waiting(p);
		if (ghost_stuck(rq, p))
			__ghost_fallback_arrived(p);
	}
}

/* Where the enclave wants @p queued. pi_lock held. */
static int choose_cpu(struct ghost_enclave *e, struct task_struct *p, int cpu,
		      int flags)
{
	struct bpf_prog *prog;
	int choice;

	/* No choice: nor is another class asked then. */
	if (p->nr_cpus_allowed == 1 && READ_ONCE(e->honor_affinity))
		return cpumask_first(p->cpus_ptr);

	prog = ghost_bpf_prog(e, GHOST_SLOT_SELECT_RQ);
	choice = prog ? ghost_bpf_select_rq(e, prog, p, cpu, flags) : -1;
	if (choice >= 0)
		return choice;
	if (READ_ONCE(e->wake_on_waker_cpu) && !(flags & WF_EXEC) &&
	    !is_migration_disabled(p))
		return smp_processor_id();
	return cpu;
}

static int select_task_rq_ghost(struct task_struct *p, int cpu, int flags)
{
	struct ghost_enclave *e = p->ghost.enclave;

	if (p->ghost.flags & GHOST_TF_AGENT)
		return cpu;

	p->ghost.last_ran_cpu = cpu;
	if (ghost_switch_asked(p))
		cpu = smp_processor_id();
	else if (e)
		cpu = choose_cpu(e, p, cpu, flags);
	if (!cpu_active(cpu) && !is_migration_disabled(p))
		cpu = smp_processor_id();
	if (!cpu_active(cpu) && !is_migration_disabled(p))
		cpu = cpumask_any(cpu_active_mask);
	p->ghost.wake_up_cpu = cpu;
	p->ghost.waker_cpu = smp_processor_id();
	return cpu;
}

static void task_woken_ghost(struct rq *rq, struct task_struct *p)
{
	if (p->ghost.flags & GHOST_TF_AGENT) {
		ghost_agent_runnable(rq, true);
		return;
	}
	if (!p->ghost.sw)
		return;

	if (p->ghost.pending & GHOST_PEND_NEW) {
		p->ghost.pending = 0;
		ghost_announce(rq, p, true);
		return;
	}
	if (ghost_switch_offer(rq, p))
		return;
	ghost_msg_wakeup(p);
	ghost_wake_for(p);
}

static bool announced(struct task_struct *p)
{
	return !(p->ghost.flags & (GHOST_TF_AGENT | GHOST_TF_JOINING)) &&
		p->ghost.sw && !(p->ghost.pending & GHOST_PEND_NEW);
}

static void set_cpus_allowed_ghost(struct task_struct *p,
				   struct affinity_context *ctx)
{
	set_cpus_allowed_common(p, ctx);

	/*
	 * Nothing for migrate_disable()'s bookkeeping, nor for the forced
	 * resets of do_set_cpus_allowed(), which hold no rq lock.
	 */
	if ((ctx->flags & (SCA_MIGRATE_DISABLE | SCA_MIGRATE_ENABLE)) ||
	    ctx->flags == SCA_USER || !announced(p))
		return;
	ghost_msg_affinity(p);
}

static void prio_changed_ghost(struct rq *rq, struct task_struct *p, int oldprio)
{
	if (!announced(p))
		return;
	ghost_msg_priority(p);
	ghost_wake_for(p);
}

/* A member whose class changes but not its policy is boosted: it blocks. */
static void switched_from_ghost(struct rq *rq, struct task_struct *p)
{
	if (!ghost_policy(p->policy))
		return;
	stop_waiting(p, owed(p));
	/* The switch hook does not see it while it is boosted. */
	if (p->ghost.sw)
		ghost_sw_set(p, 0, GHOST_SW_TASK_ONCPU);
	if (!announced(p) || !(p->ghost.sw->flags & GHOST_SW_TASK_RUNNABLE))
		return;

	ghost_sw_set(p, 0, GHOST_SW_TASK_RUNNABLE);
	if (p->ghost.pending & GHOST_PEND_WAKEUP) {
		/* Boosted again before the end of the last one was told. */
		p->ghost.pending = 0;
		return;
	}
	p->ghost.pending = 0;
	ghost_msg_blocked(rq, p);
	ghost_wake_for(p);
}

/* ... and wakes up when the boost ends. A join is finished elsewhere. */
static void switched_to_ghost(struct rq *rq, struct task_struct *p)
{
	note_wait(p);
	if ((p->ghost.flags & (GHOST_TF_AGENT | GHOST_TF_JOINING)) ||
	    !p->ghost.sw || !task_on_rq_queued(p))
		return;

	ghost_sw_set(p, GHOST_SW_TASK_RUNNABLE, 0);
	/* Another class has woken or moved it since. */
	p->ghost.last_ran_cpu = cpu_of(rq);
	p->ghost.wake_up_cpu = cpu_of(rq);
	if (task_current(rq, p)) {
		if (!(p->ghost.pending & GHOST_PEND_NEW))
			p->ghost.pending |= GHOST_PEND_WAKEUP;
		rq->ghost.kick = true;
		resched_curr(rq);
	} else if (p->ghost.pending & GHOST_PEND_NEW) {
		p->ghost.pending = 0;
		ghost_announce(rq, p, true);
	} else {
		ghost_msg_wakeup(p);
		ghost_wake_for(p);
	}
}

static void task_tick_ghost(struct rq *rq, struct task_struct *p, int queued)
{
	update_curr_common(rq);
	cpufreq_update_util(rq, 0);
	if (!rq->ghost.agent)
		return;
	if (p == rq->ghost.agent) {
		ghost_unlatch(rq);
		ghost_hog_tick(rq);
	}
	ghost_cpu_tick(rq, p == rq->ghost.agent);
}

/* Comes after the last wake-up that could choose a CPU which goes offline. */
static void rq_offline_ghost(struct rq *rq)
{
	if (!list_empty(&rq->ghost.tasks))
		move_strays(rq);
}

static void update_curr_ghost(struct rq *rq)
{
	update_curr_common(rq);
}

#ifdef CONFIG_SCHED_CORE
static int task_is_throttled_ghost(struct task_struct *p, int cpu)
{
	return !(p->ghost.flags & GHOST_TF_COUNTED);
}
#endif

DEFINE_SCHED_CLASS(ghost_agent) = {
	.pick_task		= pick_task_ghost_agent,
};

DEFINE_SCHED_CLASS(ghost) = {
	.enqueue_task		= enqueue_task_ghost,
	.dequeue_task		= dequeue_task_ghost,
	.yield_task		= yield_task_ghost,
	.wakeup_preempt		= wakeup_preempt_ghost,
	.pick_task		= pick_task_ghost,
	.put_prev_task		= put_prev_task_ghost,
	.set_next_task		= set_next_task_ghost,
	.select_task_rq		= select_task_rq_ghost,
	.task_woken		= task_woken_ghost,
	.set_cpus_allowed	= set_cpus_allowed_ghost,
	.task_tick		= task_tick_ghost,
	.switched_from		= switched_from_ghost,
	.switched_to		= switched_to_ghost,
	.prio_changed		= prio_changed_ghost,
	.update_curr		= update_curr_ghost,
	.rq_offline		= rq_offline_ghost,
#ifdef CONFIG_SCHED_CORE
	.task_is_throttled	= task_is_throttled_ghost,
#endif
};
