// SPDX-License-Identifier: GPL-2.0-only
/*
 * SCHED_GHOST: limits on trust.
 *
 * runnable_timeout and kernel.ghost_stall_max_ms bound how long a runnable
 * member waits; a work looks at every announced member, wherever it is
 * queued. Time in which a higher class ran on all CPUs that have an agent of the
 * enclave is not the agent's fault, if one was able to run: it is summed in
 * e->sample.excused, and what was added since a task began to wait does not count. A
 * task that may not use all of them is waited for in the same way where it may: that is
 * taken from the value that it has kept. A timer samples the CPUs, as the work may be
 * kept waiting. If the timer is much too late the machine stood still, as for its
 * stopper or as a guest that is paused: so much later all waits begin.
 * Who was excused for as long as the limit may hold a lock that others want: it is
 * lent to the fair class, alone and for a second. What was not excused of its wait
 * counts for the next one, if it wants a CPU when it is taken back.
 *
 * kernel.ghost_agent_hog_ms bounds how long an agent that does not park keeps
 * runnable threads of other classes waiting; the agent's own tick looks. Nor is it
 * blamed for a time in which its CPU had no ticks.
 */
#include <linux/sysctl.h>
#include "ghost.h"

/* Milliseconds. The stall limit of sched_ext is 30 s as well. */
unsigned long sysctl_ghost_stall_max_ms = 30000;
/* Below the soft lockup (20 s) and hung task (120 s) limits. */
unsigned long sysctl_ghost_agent_hog_ms = 10000;

/* A CPU that has switched its tick off gets one in a second (sched_tick_remote()). */
#define GHOST_TICK_MAX_NS	(2 * NSEC_PER_SEC)
/* So much the timer may be late for no other reason than load. */
#define GHOST_LATE		(HZ / 50)
/* However short the limit is, it takes so long until who is starved is lent. */
#define GHOST_RESCUE_MIN_MS	1000UL
/* So many are lent in one look. */
#define GHOST_STARVED		16

static unsigned long limit_ms(struct ghost_enclave *e)
{
	unsigned long stall = READ_ONCE(sysctl_ghost_stall_max_ms);
	unsigned long timeout = READ_ONCE(e->runnable_timeout_ms);

	return min_not_zero(stall, timeout);
}

/* Half of the limit, so that it is overrun by half at most. */
static unsigned long period(struct ghost_enclave *e)
{
	unsigned long ms = limit_ms(e);

	return msecs_to_jiffies(ms ? clamp(ms / 2, 10UL, 1000UL) : 1000UL);
}

/* Is it who looks, in the place of what it has pushed aside? */
static bool looks(struct task_struct *curr)
{
	return curr == current && (in_task() || curr == this_cpu_ksoftirqd());
}

/* Threads in the run queues of the fair class and of sched_ext. */
static unsigned int normal_threads(struct rq *rq)
{
	unsigned int nr = READ_ONCE(rq->cfs.h_nr_runnable);

#ifdef CONFIG_SCHED_CLASS_EXT
	if (scx_enabled())
		nr += READ_ONCE(rq->scx.nr_running);
#endif
	return nr;
}

/* Do others than @ours want the CPU? */
static bool others(struct rq *rq, unsigned int ours)
{
	return normal_threads(rq) > ours || READ_ONCE(rq->rt.rt_queued);
}

/* What a CPU says of whether a policy could have given it to a task. */
enum verdict { FREE, TAKEN, NOTHING };

/*
 * An idle CPU is not free if it is idle because of what runs on its core: that has kept
 * others out, too; or it has not the cookie of @p.
 */
static enum verdict idle_verdict(struct ghost_enclave *e, struct rq *rq,
				 struct task_struct *p)
{
	enum verdict verdict = FREE;
#ifdef CONFIG_SCHED_CORE
	struct task_struct *curr;
	bool ours;
	int cpu;

	/* A guess, as all here. */
	if (!data_race(sched_core_enabled(rq)))
		return FREE;
	for_each_cpu(cpu, cpu_smt_mask(cpu_of(rq))) {
		curr = rcu_dereference(cpu_rq(cpu)->curr);
		ours = ghost_class(curr) && READ_ONCE(curr->ghost.enclave) == e;
		if (is_idle_task(curr) || looks(curr) ||
		    (ours && !(READ_ONCE(curr->ghost.flags) & GHOST_TF_AGENT)))
			continue;
		if (!others(rq, 0) &&
		    (!p || READ_ONCE(curr->core_cookie) == READ_ONCE(p->core_cookie)))
			continue;
		if (ours)
			return NOTHING;
		verdict = TAKEN;
	}
#endif
	return verdict;
}

/* No run queue is locked: a sample. */
static enum verdict cpu_verdict(struct ghost_enclave *e, struct rq *rq,
				struct task_struct *p)
{
	struct task_struct *curr = rcu_dereference(rq->curr);

	/* It may be busy for all. */
	if (curr == READ_ONCE(rq->ghost.agent))
		return NOTHING;
	if (looks(curr))
		return others(rq, 1) ? TAKEN : FREE;
	if (is_idle_task(curr))
		return idle_verdict(e, rq, p);
	return ghost_class(curr) ? FREE : TAKEN;
}

/*
 * Are those of the enclave that are in @mask and have an agent taken, but for such as
 * an agent keeps? False if there is no other. For @p, or for any member if it is NULL.
 * e->lock held.
 */
static bool cpus_taken(struct ghost_enclave *e, const struct cpumask *mask,
		       struct task_struct *p)
{
	enum verdict verdict = NOTHING;
	bool taken = false;
	struct rq *rq;
	int cpu;

	rcu_read_lock();
	for_each_cpu_and(cpu, e->cpus, mask) {
		rq = cpu_rq(cpu);
		if (!READ_ONCE(rq->ghost.agent))
			continue;
		verdict = cpu_verdict(e, rq, p);
		if (verdict == FREE)
			break;
		taken |= verdict == TAKEN;
	}
	rcu_read_unlock();
	return taken && verdict != FREE;
}

static void sample(struct timer_list *t)
{
	struct ghost_enclave *e = from_timer(e, t, sampler);
	unsigned long now = jiffies, since = now - e->sample.at, due = e->sample.due;
	unsigned long most = due + due / 4 + GHOST_LATE, excused = 0, paused = 0;
	unsigned long flags;

	raw_spin_lock_irqsave(&e->lock, flags);
	if (cpus_taken(e, cpu_possible_mask, NULL) && ghost_has_able_agent(e)) {
		excused = min(since, most);
		paused = since - excused;
	} else if (since > most) {
		paused = since - due;
	}
	due = period(e);
	e->sample.at = now;
	e->sample.due = due;
	WRITE_ONCE(e->sample.excused, e->sample.excused + excused);
	e->sample.paused += paused;
	raw_spin_unlock_irqrestore(&e->lock, flags);

	queue_work(system_unbound_wq, &e->watchdog);
	/*
	 * On this CPU again, unless the work wants it sooner. At no regular time: what
	 * runs in step with it is not to be all that it sees.
	 */
	timer_reduce(t, now + due / 2 + get_random_u32_below(due / 2 + 1));
}

/**
 * struct longest - the member that has waited the longest
 * @now: when the CPUs were sampled, jiffies: what comes behind it is for the next look
 * @skip: jiffies since the last look in which the machine stood still
 * @unexcused: those that nothing has excused so far
 * @wait: how long, jiffies
 * @who: which one
 * @nr: used of @starved
 * @starved: were excused for as long as the limit; counted
 */
struct longest {
	unsigned long		now;
	unsigned long		skip;
	unsigned long		unexcused;
	unsigned long		wait;
	struct ghost_blame	who;
	unsigned int		nr;
	struct task_struct	*starved[GHOST_STARVED];
};

/* Has a wait that began at @excused been excused for as long as the limit? */
bool ghost_excused(struct ghost_enclave *e, unsigned long excused)
{
	unsigned long ms = min(limit_ms(e), INT_MAX);

	return ms && READ_ONCE(e->sample.excused) - excused >=
			msecs_to_jiffies(max(ms, GHOST_RESCUE_MIN_MS));
}

/* Can there be a CPU that the policy may not give to @p, but to others? e->lock held. */
static bool restricted(struct ghost_enclave *e, struct task_struct *p)
{
	if (!sched_core_disabled())
		return true;
	/* Of the task nothing is locked; if it changes the next look sees it. */
	return data_race((READ_ONCE(e->honor_affinity) || is_migration_disabled(p)) &&
			 !cpumask_subset(e->cpus, READ_ONCE(p->cpus_ptr)));
}

/* Its wait began l->skip later, if it is the same still. Returns when it began. */
static unsigned long begin_later(struct task_struct *p, unsigned long since,
				 const struct longest *l)
{
	unsigned long later = since + l->skip;

	if (!since || time_after(since, l->now))
		return since;
	if (time_after(later, l->now))
		later = l->now;
	later = later ?: 1;
	return try_cmpxchg_relaxed(&p->ghost.last_runnable, &since, later) ? later : since;
}

static void look_at(struct task_struct *p, void *arg)
{
	unsigned long excused = READ_ONCE(p->ghost.excused), since;
	struct ghost_enclave *e = p->ghost.enclave;
	struct longest *l = arg;

	/* If another wait begins meanwhile it seems to be shorter, not longer. */
	smp_rmb();
	since = READ_ONCE(p->ghost.last_runnable);
	/* What it owed before the wait. */
	if ((long)(READ_ONCE(e->sample.excused) - excused) < 0)
		return;
	if (l->skip)
		since = begin_later(p, since, l);
	if (!since)
		return;
	/* If it has begun another wait by now, that is excused in part at most. */
	if (l->unexcused && restricted(e, p) &&
	    cpus_taken(e, READ_ONCE(p->cpus_ptr), p) &&
	    try_cmpxchg_relaxed(&p->ghost.excused, &excused, excused - l->unexcused))
		excused -= l->unexcused;
	if (l->nr < GHOST_STARVED && ghost_excused(e, excused))
		l->starved[l->nr++] = get_task_struct(p);
	since += READ_ONCE(e->sample.excused) - excused;
	if (time_after(l->now, since + l->wait)) {
		l->wait = l->now - since;
		l->who.pid = task_pid_nr(p);
		l->who.cpu = task_cpu(p);
		strscpy(l->who.comm, p->comm);
	}
}

static void look(struct work_struct *work)
{
	struct ghost_enclave *e = container_of(work, struct ghost_enclave, watchdog);
	unsigned long limit = limit_ms(e);
	struct longest l = {};
	struct ghost_sample now;
	bool able, over;

	if (READ_ONCE(e->dying))
		return;
	/* The first time, or sooner; here, as workers keep off isolated CPUs. */
	timer_reduce(&e->sampler, jiffies + period(e));

	raw_spin_lock_irq(&e->lock);
	now = e->sample;
	able = ghost_has_able_agent(e);
	raw_spin_unlock_irq(&e->lock);
	l.now = now.at;
	l.skip = now.paused - e->looked.paused;
	if (able)
		l.unexcused = now.at - e->looked.at - l.skip -
			      (now.excused - e->looked.excused);
	/* If the look is late this is all that what is seen now may stand for. */
	l.unexcused = min(l.unexcused, now.due);
	e->looked = now;

	/* An agent that sleeps is frozen without a word. */
	ghost_fallback_update(e);
	ghost_resend_lost(e);

	ghost_for_members(e, look_at, &l);
	l.who.waited_ms = jiffies_to_msecs(l.wait);
	/* Of a pause it is not known what was before it: look once more. */
	if (l.skip)
		l.who.waited_ms -= min(l.who.waited_ms, jiffies_to_msecs(period(e)));
	over = limit && l.who.waited_ms >= limit;
	while (l.nr--) {
		if (!over)
			ghost_fallback_rescue(e, l.starved[l.nr]);
		put_task_struct(l.starved[l.nr]);
	}
	if (over) {
		bool own = READ_ONCE(e->runnable_timeout_ms) == limit;
		enum ghost_exit reason = own ? GHOST_EXIT_TIMEOUT : GHOST_EXIT_STALL;

		pr_info_ratelimited("ghost: enclave_%lu: task %d has waited for %llu ms\n",
				    e->id, l.who.pid, l.who.waited_ms);
		ghost_exit_blame(e, reason, &l.who);
		ghost_enclave_destroy(e, reason);
	}
}

void ghost_watchdog_start(struct ghost_enclave *e)
{
	e->sample.at = jiffies;
	e->sample.due = period(e);
	e->looked = e->sample;
	INIT_WORK(&e->watchdog, look);
	timer_setup(&e->sampler, sample, 0);
	ghost_watchdog_look(e);
}

/* The limit has changed: look now, and go on with the new period. */
void ghost_watchdog_look(struct ghost_enclave *e)
{
	if (!READ_ONCE(e->dying))
		queue_work(system_unbound_wq, &e->watchdog);
}

/* For good. */
void ghost_watchdog_stop(struct ghost_enclave *e)
{
	timer_shutdown_sync(&e->sampler);
	cancel_work_sync(&e->watchdog);
}

/* Tick of the agent. rq lock held. */
void ghost_hog_tick(struct rq *rq)
{
	unsigned long limit = READ_ONCE(sysctl_ghost_agent_hog_ms);
	struct ghost_rq *g = &rq->ghost;
	struct ghost_blame who = {};
	u64 now = rq_clock(rq);

	if (!ghost_keeps_waiting(rq)) {
		g->hog_since = 0;
		return;
	}
	if (!g->hog_since) {
		g->hog_since = now;
		g->hog_seen = now;
		return;
	}
	if (now - g->hog_seen > GHOST_TICK_MAX_NS)
		g->hog_since += now - g->hog_seen;
	g->hog_seen = now;
	who.waited_ms = (now - g->hog_since) / NSEC_PER_MSEC;
	if (limit && who.waited_ms >= limit) {
		/* Not left to the destroying work: it may wait for this CPU. */
		g->kill = true;
		/* The tick of a CPU without ticks is another's. */
		irq_work_queue_on(&g->work, cpu_of(rq));
		who.pid = task_pid_nr(g->agent);
		who.cpu = cpu_of(rq);
		strscpy(who.comm, g->agent->comm);
		ghost_exit_blame(g->agent->ghost.enclave, GHOST_EXIT_HOG, &who);
		ghost_enclave_destroy(g->agent->ghost.enclave, GHOST_EXIT_HOG);
	}
}

static struct ctl_table ghost_sysctls[] = {
	{
		.procname	= "ghost_cfs_load_added",
		.data		= &sysctl_ghost_cfs_load_added,
		.maxlen		= sizeof(unsigned long),
		.mode		= 0644,
		.proc_handler	= proc_doulongvec_minmax,
	},
	{
		.procname	= "ghost_stall_max_ms",
		.data		= &sysctl_ghost_stall_max_ms,
		.maxlen		= sizeof(unsigned long),
		.mode		= 0644,
		.proc_handler	= proc_doulongvec_minmax,
	},
	{
		.procname	= "ghost_agent_hog_ms",
		.data		= &sysctl_ghost_agent_hog_ms,
		.maxlen		= sizeof(unsigned long),
		.mode		= 0644,
		.proc_handler	= proc_doulongvec_minmax,
	},
};

static int __init ghost_sysctl_init(void)
{
	register_sysctl_init("kernel", ghost_sysctls);
	return 0;
}
late_initcall(ghost_sysctl_init);
