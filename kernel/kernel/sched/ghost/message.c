// SPDX-License-Identifier: GPL-2.0-only
/*
 * SCHED_GHOST: which event makes which message. The caller holds the rq lock
 * of the task, so that per task the order of messages, barrier steps and
 * status word changes is one.
 */
#include <trace/events/ghost.h>
#include "ghost.h"

static void note_lost(struct task_struct *p)
{
	struct ghost_enclave *e = p->ghost.enclave;

	p->ghost.flags |= GHOST_TF_LOST;
	raw_spin_lock(&e->lock);
	if (list_empty(&p->ghost.lost_node))
		list_add_tail(&p->ghost.lost_node, &e->lost);
	raw_spin_unlock(&e->lock);
}

/*
 * Show the message to the program, and append it. What found no room is
 * remembered by the difference between p->ghost.view and the task's state, and
 * made good by ghost_resend_lost().
 */
static bool deliver(struct task_struct *p, struct bpf_ghost_msg *m, u16 size,
		    enum ghost_view view)
{
	const u16 new_size = sizeof(struct ghost_msg_payload_task_new);
	struct ghost_enclave *e = p->ghost.enclave;
	struct bpf_prog *prog = ghost_bpf_prog(e, GHOST_SLOT_MSG);
	const u16 type = m->type;	/* the program may change it */

	if (!p->ghost.queue || p->ghost.gate) {
		if (prog && !p->ghost.gate)
			ghost_bpf_count(&e->bpf_stats->unqueued);
		return false;
	}
	if (prog && ghost_bpf_msg(e, prog, p, m)) {
		/* The policy has it, if not from the queue. */
		if (p->ghost.view != GHOST_VIEW_NONE || type == MSG_TASK_NEW)
			p->ghost.view = view;
		return false;
	}

	/* Nothing may precede the TASK_NEW that found no room. */
	if (p->ghost.view == GHOST_VIEW_NONE && type != MSG_TASK_NEW) {
		if (!(p->ghost.flags & GHOST_TF_LOST) || view == GHOST_VIEW_GONE)
			return false;
		/* The program sees this one, too: only if it does not fail again. */
		if (prog && !ghost_queue_has_room(p->ghost.queue, new_size))
			return false;
		if (type != MSG_TASK_ON_CPU &&
		    ghost_msg_new(p, view != GHOST_VIEW_BLOCKED &&
				  ghost_runnable(p)))
			p->ghost.flags &= ~GHOST_TF_LOST;
		return false;
	}

	if (!ghost_queue_produce(p->ghost.queue, m->type, p->ghost.barrier, m,
				 size)) {
		if (prog)
			ghost_bpf_count(&e->bpf_stats->overflow);
		if (view != GHOST_VIEW_GONE)
			note_lost(p);
		return false;
	}
	p->ghost.view = view;
	return true;
}

/* Step the barrier and append the message. */
static bool send(struct task_struct *p, struct bpf_ghost_msg *m, u16 size,
		 enum ghost_view view)
{
	struct ghost_status_word *sw = p->ghost.sw;
	const u16 type = m->type;
	u32 barrier;
	bool sent;

	if (!sw)
		return false;

	barrier = ++p->ghost.barrier;
	/* Release: whoever sees the barrier sees the flags of the event. */
	smp_store_release(&sw->barrier, barrier);
	sent = deliver(p, m, size, view);
	if (trace_ghost_message_enabled())
		trace_ghost_message(p, ghost_gtid(p), type, barrier, sent);
	return sent;
}

bool ghost_msg_new(struct task_struct *p, bool runnable)
{
	struct bpf_ghost_msg m = {
		.type			= MSG_TASK_NEW,
		.newt.gtid		= ghost_gtid(p),
		.newt.runtime		= p->se.sum_exec_runtime,
		.newt.runnable		= runnable,
		.newt.nice		= task_nice(p),
		.newt.sw_info.id	= p->ghost.region->mem->id,
		.newt.sw_info.index	= p->ghost.sw - p->ghost.region->words,
	};

	/* A thread that is released is no child any more: nobody keeps its parent. */
	rcu_read_lock();
	m.newt.parent_gtid = pid_alive(p) ?
		ghost_gtid(rcu_dereference(p->real_parent)) : 0;
	rcu_read_unlock();
	ghost_sw_runtime(p);
	return send(p, &m, sizeof(m.newt), runnable ?
		    GHOST_VIEW_RUNNABLE : GHOST_VIEW_BLOCKED);
}

bool ghost_msg_blocked(struct rq *rq, struct task_struct *p)
{
	struct bpf_ghost_msg m = {
		.type			= MSG_TASK_BLOCKED,
		.blocked.gtid		= ghost_gtid(p),
		.blocked.runtime	= p->se.sum_exec_runtime,
		.blocked.cpu_seqnum	= ++rq->ghost.cpu_seqnum,
		.blocked.cpu		= cpu_of(rq),
		.blocked.from_switchto	= ghost_end_chain(rq, p),
	};

	return send(p, &m, sizeof(m.blocked), GHOST_VIEW_BLOCKED);
}

bool ghost_msg_wakeup(struct task_struct *p)
{
	struct bpf_ghost_msg m = {
		.type			= MSG_TASK_WAKEUP,
		.wakeup.gtid		= ghost_gtid(p),
		.wakeup.deferrable	= p->ghost.deferrable,
		.wakeup.last_ran_cpu	= p->ghost.last_ran_cpu,
		.wakeup.wake_up_cpu	= p->ghost.wake_up_cpu,
		.wakeup.waker_cpu	= p->ghost.waker_cpu,
	};

	return send(p, &m, sizeof(m.wakeup), GHOST_VIEW_RUNNABLE);
}

bool ghost_msg_yield(struct rq *rq, struct task_struct *p)
{
	struct bpf_ghost_msg m = {
		.type			= MSG_TASK_YIELD,
		.yield.gtid		= ghost_gtid(p),
		.yield.runtime		= p->se.sum_exec_runtime,
		.yield.cpu_seqnum	= ++rq->ghost.cpu_seqnum,
		.yield.cpu		= cpu_of(rq),
		.yield.from_switchto	= ghost_end_chain(rq, p),
	};

	if (p->ghost.sw)
		ghost_sw_runtime(p);
	return send(p, &m, sizeof(m.yield), GHOST_VIEW_RUNNABLE);
}

bool ghost_msg_preempt(struct rq *rq, struct task_struct *p, bool was_latched)
{
	struct bpf_ghost_msg m = {
		.type			= MSG_TASK_PREEMPT,
		.preempt.gtid		= ghost_gtid(p),
		.preempt.runtime	= p->se.sum_exec_runtime,
		.preempt.cpu_seqnum	= ++rq->ghost.cpu_seqnum,
		.preempt.cpu		= cpu_of(rq),
		.preempt.from_switchto	= ghost_end_chain(rq, p),
		.preempt.was_latched	= was_latched,
	};

	if (p->ghost.sw)
		ghost_sw_runtime(p);
	return send(p, &m, sizeof(m.preempt), GHOST_VIEW_RUNNABLE);
}

bool ghost_msg_departed(struct rq *rq, struct task_struct *p)
{
	struct bpf_ghost_msg m = {
		.type			= MSG_TASK_DEPARTED,
		.departed.gtid		= ghost_gtid(p),
		.departed.cpu_seqnum	= ++rq->ghost.cpu_seqnum,
		.departed.cpu		= cpu_of(rq),
		.departed.from_switchto	= ghost_end_chain(rq, p),
		.departed.was_current	= task_current(rq, p),
	};

	return send(p, &m, sizeof(m.departed), GHOST_VIEW_GONE);
}

bool ghost_msg_dead(struct rq *rq, struct task_struct *p)
{
	struct bpf_ghost_msg m = {
		.type		= MSG_TASK_DEAD,
		.dead.gtid	= ghost_gtid(p),
		.dead.cpu	= cpu_of(rq),
	};

	return send(p, &m, sizeof(m.dead), GHOST_VIEW_GONE);
}

bool ghost_msg_affinity(struct task_struct *p)
{
	struct bpf_ghost_msg m = {
		.type		= MSG_TASK_AFFINITY_CHANGED,
		.affinity.gtid	= ghost_gtid(p),
	};

	return send(p, &m, sizeof(m.affinity), p->ghost.view);
}

bool ghost_msg_priority(struct task_struct *p)
{
	struct bpf_ghost_msg m = {
		.type		= MSG_TASK_PRIORITY_CHANGED,
		.priority.gtid	= ghost_gtid(p),
		.priority.nice	= task_nice(p),
	};

	return send(p, &m, sizeof(m.priority), p->ghost.view);
}

bool ghost_msg_on_cpu(struct rq *rq, struct task_struct *p)
{
	struct bpf_ghost_msg m = {
		.type			= MSG_TASK_ON_CPU,
		.on_cpu.gtid		= ghost_gtid(p),
		.on_cpu.commit_time	= ktime_get_mono_fast_ns(),
		.on_cpu.cpu_seqnum	= ++rq->ghost.cpu_seqnum,
		.on_cpu.cpu		= cpu_of(rq),
	};

	return send(p, &m, sizeof(m.on_cpu), GHOST_VIEW_RUNNING);
}

/* @p has given the CPU to another task: a chain of switches begins. */
bool ghost_msg_switchto(struct rq *rq, struct task_struct *p)
{
	struct bpf_ghost_msg m = {
		.type			= MSG_TASK_SWITCHTO,
		.switchto.gtid		= ghost_gtid(p),
		.switchto.runtime	= p->se.sum_exec_runtime,
		.switchto.cpu_seqnum	= ++rq->ghost.cpu_seqnum,
		.switchto.cpu		= cpu_of(rq),
	};

	return send(p, &m, sizeof(m.switchto), GHOST_VIEW_BLOCKED);
}

/*
 * A message about the CPU, to the queue of its agent. Steps the agent barrier.
 * rq lock held.
 */
static bool send_cpu(struct rq *rq, struct bpf_ghost_msg *m, u16 size)
{
	struct task_struct *agent = rq->ghost.agent;
	struct ghost_enclave *e = agent->ghost.enclave;
	struct bpf_prog *prog = ghost_bpf_prog(e, GHOST_SLOT_MSG);
	const u16 type = m->type;
	bool sent;

	atomic_inc(&rq->ghost.abarrier);
	ghost_agent_sync(rq);
	sent = !(prog && ghost_bpf_msg(e, prog, agent, m)) &&
		ghost_queue_produce(agent->ghost.queue, m->type,
				    agent->ghost.barrier, m, size);
	if (trace_ghost_message_enabled())
		trace_ghost_message(agent, ghost_gtid(agent), type,
				    agent->ghost.barrier, sent);
	return sent;
}

/* May messages about the CPU go out that the enclave's @tunable allows? */
static bool wanted(struct rq *rq, size_t tunable)
{
	struct task_struct *agent = rq->ghost.agent;

	return agent && agent->ghost.queue &&
		READ_ONCE(*(bool *)((void *)agent->ghost.enclave + tunable));
}

#define WANTED(rq, tunable) \
	wanted(rq, offsetof(struct ghost_enclave, tunable))

/* The tick has hit a ghost task or the agent. */
void ghost_cpu_tick(struct rq *rq, bool is_agent)
{
	struct bpf_ghost_msg m = {
		.type			= MSG_CPU_TICK,
		.cpu_tick.cpu		= cpu_of(rq),
		.cpu_tick.is_agent	= is_agent,
	};

	if (WANTED(rq, deliver_ticks) &&
	    send_cpu(rq, &m, sizeof(m.cpu_tick)))
		ghost_wake_for(rq->ghost.agent);
}

/* The idle task gives way to @next, of another class. */
void ghost_cpu_not_idle(struct rq *rq, struct task_struct *next)
{
	struct bpf_ghost_msg m = {
		.type			= MSG_CPU_NOT_IDLE,
		.cpu_not_idle.cpu	= cpu_of(rq),
		.cpu_not_idle.next_gtid	= ghost_gtid(next),
	};

	if (rq->ghost.agent && rq->ghost.agent->ghost.queue &&
	    send_cpu(rq, &m, sizeof(m.cpu_not_idle)))
		ghost_wake_for(rq->ghost.agent);
}

/* A timer that was bound to the CPU has expired. */
void ghost_cpu_timer(struct rq *rq, u64 type, u64 cookie)
{
	struct bpf_ghost_msg m = {
		.type		= MSG_CPU_TIMER_EXPIRED,
		.timer.cpu	= cpu_of(rq),
		.timer.type	= type,
		.timer.cookie	= cookie,
	};

	if (rq->ghost.agent && rq->ghost.agent->ghost.queue &&
	    send_cpu(rq, &m, sizeof(m.timer)))
		ghost_wake_for(rq->ghost.agent);
}

/* Ghost tasks can, or can no longer, run on the CPU. */
void ghost_cpu_available(struct rq *rq, bool avail)
{
	struct bpf_ghost_msg m = {
		.type		= avail ? MSG_CPU_AVAILABLE : MSG_CPU_BUSY,
		.cpu.cpu	= cpu_of(rq),
	};

	if (WANTED(rq, deliver_cpu_availability))
		send_cpu(rq, &m, sizeof(m.cpu));
}

/* The agent sleeps in the kernel, or wakes; parking is neither. */
void ghost_agent_runnable(struct rq *rq, bool runnable)
{
	struct bpf_ghost_msg m = {
		.type		= runnable ? MSG_CPU_AGENT_WAKEUP :
				  MSG_CPU_AGENT_BLOCKED,
		.cpu.cpu	= cpu_of(rq),
	};

	if (WANTED(rq, deliver_agent_runnability))
		send_cpu(rq, &m, sizeof(m.cpu));
}

/* TASK_NEW is due: the task shows in the enclave's files from here on. */
void ghost_announce(struct rq *rq, struct task_struct *p, bool runnable)
{
	struct ghost_enclave *e = p->ghost.enclave;
	bool dying;

	lockdep_assert_rq_held(rq);
	raw_spin_lock(&e->lock);
	list_add_tail(&p->ghost.task_node, &e->tasks);
	e->nr_tasks++;
	dying = e->dying;
	raw_spin_unlock(&e->lock);

	p->ghost.flags |= GHOST_TF_ANNOUNCED;
	ghost_msg_new(p, runnable);
	ghost_wake_for(p);
	ghost_fallback_arrived(rq, p);
	if (dying)
		ghost_enclave_todo(e, GHOST_TODO_REAP);
}

/* Has a BPF program said whom to wake for the last message? Said once. */
static bool prefers(struct task_struct *p)
{
	s32 cpu = p->ghost.pref_cpu;

	if (cpu == GHOST_PREF_CPU_NONE)
		return false;
	p->ghost.pref_cpu = GHOST_PREF_CPU_NONE;
	if (p->ghost.pref_seqnum != p->ghost.barrier)
		return false;
	if (cpu == GHOST_PREF_CPU_NO_WAKEUP)
		return true;
	if (cpu < 0 || cpu >= nr_cpu_ids || !cpu_online(cpu) ||
	    rcu_access_pointer(cpu_rq(cpu)->ghost.enclave) != p->ghost.enclave)
		return false;
	ghost_wake_agent(cpu);
	return true;
}

/**
 * ghost_wake_for - wake the agent that the task's queue names
 * @p: the task a message was about
 *
 * The one that a BPF program has named with the last message of the task; else
 * the agent of the task's own CPU if the queue names it; else the first. An
 * agent of another enclave is left alone.
 *
 * Context: the task's rq lock is held.
 */
void ghost_wake_for(struct task_struct *p)
{
	struct ghost_queue *q = p->ghost.queue;
	struct ghost_wakeup *w;
	int cpu, i;

	if (!q || prefers(p))
		return;

	rcu_read_lock();
	w = rcu_dereference(q->wakeup);
	if (w) {
		cpu = w->cpu[0];
		for (i = 1; i < w->nr; i++)
			if (w->cpu[i] == task_cpu(p))
				cpu = w->cpu[i];
		if (rcu_access_pointer(cpu_rq(cpu)->ghost.enclave) ==
		    p->ghost.enclave)
			ghost_wake_agent(cpu);
	}
	rcu_read_unlock();
}

/* What takes the queue's view of @p to the present, and its payload's size. */
static u16 missing(struct rq *rq, struct task_struct *p, bool runnable, u16 *size)
{
	if (p->ghost.view == GHOST_VIEW_NONE) {
		*size = sizeof(struct ghost_msg_payload_task_new);
		return MSG_TASK_NEW;
	}
	/* The message at the end of the chain tells all. */
	if (ghost_switched_to(rq, p))
		return MSG_NOP;
	if (!runnable && p->ghost.view != GHOST_VIEW_BLOCKED) {
		*size = sizeof(struct ghost_msg_payload_task_blocked);
		return MSG_TASK_BLOCKED;
	}
	if (runnable && p->ghost.view == GHOST_VIEW_BLOCKED) {
		*size = sizeof(struct ghost_msg_payload_task_wakeup);
		return MSG_TASK_WAKEUP;
	}
	if (runnable && !task_current(rq, p) && rq->ghost.latched != p) {
		*size = sizeof(struct ghost_msg_payload_task_preempt);
		return MSG_TASK_PREEMPT;
	}
	return MSG_NOP;
}

/*
 * Make good what @p's queue had no room for. Where there still is none nothing
 * happens: a step of the barrier, or a wake-up, would make every commit of an
 * agent stale, and every attempt to park. rq lock held.
 */
static bool resend(struct rq *rq, struct task_struct *p)
{
	bool runnable = p->ghost.sw->flags & GHOST_SW_TASK_RUNNABLE;
	u16 type = MSG_NOP, size = 0;

	/* What is owed at the next schedule is still to come. */
	if (!(p->ghost.pending & GHOST_PEND_NEW))
		type = missing(rq, p, runnable, &size);
	if (type != MSG_NOP && p->ghost.queue &&
	    !ghost_queue_has_room(p->ghost.queue, size)) {
		note_lost(p);
		return false;
	}

	p->ghost.flags &= ~GHOST_TF_LOST;
	switch (type) {
	case MSG_TASK_NEW:
		ghost_msg_new(p, runnable);
		break;
	case MSG_TASK_BLOCKED:
		ghost_msg_blocked(rq, p);
		break;
	case MSG_TASK_WAKEUP:
		ghost_msg_wakeup(p);
		break;
	case MSG_TASK_PREEMPT:
		ghost_msg_preempt(rq, p, false);
		break;
	default:
		return true;
	}
	/* Another producer may have been faster. */
	if (p->ghost.flags & GHOST_TF_LOST)
		return false;
	ghost_wake_for(p);
	return true;
}

static struct task_struct *first_lost(struct ghost_enclave *e)
{
	struct task_struct *p;

	raw_spin_lock_irq(&e->lock);
	p = list_first_entry_or_null(&e->lost, struct task_struct,
				     ghost.lost_node);
	if (p) {
		list_del_init(&p->ghost.lost_node);
		get_task_struct(p);
	}
	raw_spin_unlock_irq(&e->lock);
	return p;
}

/**
 * ghost_resend_lost - make good what found no room
 * @e: enclave whose agent has, perhaps, emptied its queue
 *
 * Stops at the first that still finds none, and when there may be none left of
 * those that were lost at first: others lose as fast as this goes.
 *
 * Context: process; no locks held.
 */
void ghost_resend_lost(struct ghost_enclave *e)
{
	u32 left = READ_ONCE(e->nr_tasks) + 1;
	struct task_struct *p;
	struct rq_flags rf;
	struct rq *rq;
	bool ok = true;

	while (ok && left-- && !list_empty_careful(&e->lost) && (p = first_lost(e))) {
		rq = task_rq_lock(p, &rf);
		update_rq_clock(rq);
		if (p->ghost.sw && p->ghost.enclave == e &&
		    (p->ghost.flags & GHOST_TF_LOST))
			ok = resend(rq, p);
		task_rq_unlock(rq, p, &rf);
		put_task_struct(p);
		cond_resched();
	}
}

/**
 * struct members - a list of counted tasks
 * @max: room in @task
 * @nr: used
 * @task: the list
 */
struct members {
	size_t			max;
	size_t			nr;
	struct task_struct	**task;
};

static void collect(struct task_struct *p, void *arg)
{
	struct members *m = arg;

	if (m->nr < m->max)
		m->task[m->nr++] = get_task_struct(p);
}

static void forget(struct members *m)
{
	while (m->nr)
		put_task_struct(m->task[--m->nr]);
}

#define DISCOVER_TRIES	10

/**
 * ghost_discover_tasks - announce every member afresh
 * @e: enclave
 *
 * A policy that does not scan the status words learns so of the tasks that it
 * inherits. Who joins meanwhile is announced anyway.
 *
 * Context: process; no locks held.
 * Return: 0 or -ENOMEM.
 */
int ghost_discover_tasks(struct ghost_enclave *e)
{
	int tries = DISCOVER_TRIES;
	struct members m = { 0 };
	struct task_struct *p;
	struct rq_flags rf;
	struct rq *rq;
	u32 arrivals;
	size_t i;

	do {
		forget(&m);
		kvfree(m.task);
		m.max = READ_ONCE(e->nr_tasks) + 64;
		m.task = kvmalloc_array(m.max, sizeof(*m.task), GFP_KERNEL);
		if (!m.task)
			return -ENOMEM;
		arrivals = READ_ONCE(e->arrivals);
		ghost_for_members(e, collect, &m);
		/* Who was moved to the front meanwhile may have been left out. */
	} while ((READ_ONCE(e->arrivals) != arrivals || m.nr == m.max) && --tries);

	for (i = 0; i < m.nr; i++) {
		p = m.task[i];
		rq = task_rq_lock(p, &rf);
		update_rq_clock(rq);
		if (p->ghost.sw && p->ghost.enclave == e &&
		    (p->ghost.flags & GHOST_TF_ANNOUNCED)) {
			ghost_msg_new(p, ghost_runnable(p) &&
				      !ghost_switched_to(rq, p));
			ghost_wake_for(p);
		}
		task_rq_unlock(rq, p, &rf);
	}
	forget(&m);
	kvfree(m.task);
	return 0;
}
