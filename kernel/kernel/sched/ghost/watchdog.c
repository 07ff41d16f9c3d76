// SPDX-License-Identifier: GPL-2.0-only
/*
 * SCHED_GHOST: limits on trust.
 *
 * runnable_timeout and kernel.ghost_stall_max_ms bound how long a runnable
 * member waits; a work looks at every announced member, wherever it is
 * queued. Time in which a higher class ran on all CPUs of the enclave is not
 * the agent's fault: it is summed in e->excused, and what was added since a
 * task began to wait does not count. A task that may not use all of them is
 * waited for in the same way where it may: that is taken from the value of
 * e->excused that it has kept. A look that is much too late skips what it is late,
 * and waits begin so much later: the machine stood still, as for its stopper or as a
 * guest that is paused.
 * Who was excused for as long as the limit may hold a lock that others want: it is
 * lent to the fair class, alone and for a second.
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
/* So much a look may be late with no other reason than load, at least. */
#define GHOST_LOOK_LATE		(HZ / 10)
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

/* Idle because of what others run on its core. */
static bool forced_idle(struct ghost_enclave *e, struct rq *rq)
{
#ifdef CONFIG_SCHED_CORE
	struct task_struct *curr;
	int cpu;

	if (!sched_core_enabled(rq) || !READ_ONCE(rq->core->core_forceidle_count))
		return false;
	for_each_cpu(cpu, cpu_smt_mask(cpu_of(rq))) {
		curr = rcu_dereference(cpu_rq(cpu)->curr);
		if (!is_idle_task(curr) && curr != current &&
		    !(ghost_class(curr) && READ_ONCE(curr->ghost.enclave) == e))
			return true;
	}
#endif
	return false;
}

/* Nothing is locked: a sample. */
static bool cpu_taken(struct ghost_enclave *e, struct rq *rq)
{
	struct task_struct *curr = rcu_dereference(rq->curr);

	/* The work that looks is no reason: it has pushed aside what ran. */
	if (curr == current)
		return READ_ONCE(rq->cfs.h_nr_runnable) > 1 || READ_ONCE(rq->rt.rt_queued);
	if (is_idle_task(curr))
		return forced_idle(e, rq);
	return !ghost_class(curr);
}

/*
 * Those of the enclave that are in @mask; false if there is none. One without an
 * agent can be given to nobody, and does not count beside one with.
 */
static bool cpus_taken(struct ghost_enclave *e, const struct cpumask *mask)
{
	int cpu, nr[2] = {}, free[2] = {};
	bool agent;

	rcu_read_lock();
	for_each_cpu_and(cpu, e->cpus, mask) {
		agent = READ_ONCE(cpu_rq(cpu)->ghost.agent);
		nr[agent]++;
		free[agent] += !cpu_taken(e, cpu_rq(cpu));
		if (free[true])
			break;
	}
	rcu_read_unlock();
	agent = nr[true];
	return nr[agent] && !free[agent];
}

void ghost_watchdog_start(struct ghost_enclave *e)
{
	e->sampled = jiffies;
	queue_delayed_work(system_unbound_wq, &e->watchdog, period(e));
}

/* The limit has changed: look now, and go on with the new period. */
void ghost_watchdog_look(struct ghost_enclave *e)
{
	if (!READ_ONCE(e->dying))
		mod_delayed_work(system_unbound_wq, &e->watchdog, 0);
}

/**
 * struct longest - the member that has waited the longest
 * @now: jiffies at which the look began
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

	return ms && e->excused - excused >= msecs_to_jiffies(max(ms, GHOST_RESCUE_MIN_MS));
}

/* Is there a CPU of the enclave that the policy may not give to @p? */
static bool restricted(struct ghost_enclave *e, struct task_struct *p)
{
	return READ_ONCE(e->honor_affinity) || is_migration_disabled(p);
}

/* Its wait began l->skip later, if it is the same still. Returns when it began. */
static unsigned long begin_later(struct task_struct *p, unsigned long since,
				 const struct longest *l)
{
	unsigned long later = since + l->skip;

	if (!since)
		return 0;
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
	if (l->skip)
		since = begin_later(p, since, l);
	if (!since)
		return;
	/* If it has begun another wait by now, that is excused in part at most. */
	if (l->unexcused && restricted(e, p) &&
	    cpus_taken(e, READ_ONCE(p->cpus_ptr)) &&
	    try_cmpxchg_relaxed(&p->ghost.excused, &excused, excused - l->unexcused))
		excused -= l->unexcused;
	if (l->nr < GHOST_STARVED && ghost_excused(e, excused))
		l->starved[l->nr++] = get_task_struct(p);
	since += e->excused - excused;
	if (time_after(l->now, since + l->wait)) {
		l->wait = l->now - since;
		l->who.pid = task_pid_nr(p);
		l->who.cpu = task_cpu(p);
		strscpy(l->who.comm, p->comm);
	}
}

void ghost_watchdog_fn(struct work_struct *work)
{
	struct ghost_enclave *e = container_of(to_delayed_work(work),
					       struct ghost_enclave, watchdog);
	unsigned long limit = limit_ms(e), since, due, most, excused = 0;
	struct longest l = { .now = jiffies };
	bool late, over;

	if (READ_ONCE(e->dying))
		return;
	since = l.now - e->sampled;
	due = period(e);
	most = due + max(due, GHOST_LOOK_LATE);
	late = since > most;
	if (cpus_taken(e, cpu_possible_mask)) {
		excused = min(since, most);
		l.skip = since - excused;
		WRITE_ONCE(e->excused, e->excused + excused);
	} else if (late) {
		l.skip = since - due;
	}
	l.unexcused = since - excused - l.skip;
	e->sampled = l.now;

	/* An agent that sleeps is frozen without a word. */
	ghost_fallback_update(e);
	ghost_resend_lost(e);

	ghost_for_members(e, look_at, &l);
	l.who.waited_ms = jiffies_to_msecs(l.wait);
	/* Of a late look it is not known what was before it: look once more. */
	if (late)
		l.who.waited_ms -= min(l.who.waited_ms, jiffies_to_msecs(due));
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
		return;
	}
	if (!READ_ONCE(e->dying))
		queue_delayed_work(system_unbound_wq, &e->watchdog, period(e));
}

/* Tick of the agent. rq lock held. */
void ghost_hog_tick(struct rq *rq)
{
	unsigned long limit = READ_ONCE(sysctl_ghost_agent_hog_ms);
	struct ghost_rq *g = &rq->ghost;
	struct ghost_blame who = {};
	u64 now = rq_clock(rq);

	if (!ghost_others(rq)) {
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
