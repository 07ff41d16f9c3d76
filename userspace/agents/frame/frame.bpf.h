/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The part of a policy that does not decide: it keeps the table of tasks by
 * what the messages say, wakes idle CPUs, and puts on a CPU what the policy
 * picks. A policy includes it and supplies the policy_*() functions below.
 *
 * No task is ever lost:
 * - a task that there is no room for, or that may run on no CPU of the enclave,
 *   is passed on to the ring; the process finds it there and gives it back to the
 *   normal scheduler;
 * - a pick that fails is told by MSG_TASK_LATCH_FAILURE, under the lock of the
 *   task's run queue, and the task is queued again;
 * - a CPU says that it is idle before it looks for the last time.
 */
#ifndef FRAME_BPF_H
#define FRAME_BPF_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <linux/errno.h>
#include <bpf/bpf_helpers.h>
#include <ghost/bpf.h>
#include "frame.h"

/* A policy that latches in policy_pick() itself defines it as 1, before this. */
#ifndef FRAME_LATCHES
#define FRAME_LATCHES	0
#endif

#define PICK_TRIES	4
#define KICK_TRIES	4

/* Set before the programs are loaded. */
const volatile __u64 enclave_cpus[FRAME_CPU_WORDS];
const volatile __u64 slice_ns = 4000000;

struct frame_task tasks[FRAME_TASKS];
struct frame_cpu cpus[FRAME_CPUS];
__s64 nr_tasks;

/* gtid to index in tasks[] */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FRAME_TASKS);
	__type(key, __u64);
	__type(value, __u32);
} lookup SEC(".maps");

/* Where it was found last, by the part of the gtid that counts: a guess. */
__u32 hints[FRAME_TASKS];

/* As many bytes as any kernel's CPU mask has; too many for the stack. */
struct affinity {
	__u64 words[128];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct affinity);
} affinity_buffer SEC(".maps");

/* ---- what the policy supplies; the lock of the task's run queue is held ---- */

/* A task is new, or announced once more. Returns whether there is room for it. */
static __always_inline bool policy_admit(__u32 idx);

/*
 * Queue a task after a message of @type: @cpu is where it must run, or
 * FRAME_NONE. Returns a CPU that should take it, or FRAME_NONE for any, or
 * FRAME_NO_ROOM: then it is given back to the normal scheduler.
 */
static __always_inline __u32 policy_enqueue(__u32 idx, struct frame_task *t, __u32 cpu,
					    __u16 type, __u64 now);

/* Take it off its queue, if it is on one. */
static __always_inline void policy_dequeue(__u32 idx, struct frame_task *t);

/*
 * Take a task for @cpu off its queue: index or FRAME_NONE. Other locks held. With
 * FRAME_LATCHES: it is latched already, and the policy adds FRAME_LATCHED; or next is
 * one that is still on its way off a CPU, FRAME_BUSY.
 */
static __always_inline __u32 policy_pick(__u32 cpu);

/* The task got on @cpu: set slice_end. */
static __always_inline void policy_run(__u32 idx, struct frame_task *t,
				       struct frame_cpu *c, __u64 now);

/* It is off the CPU, after t->ran. */
static __always_inline void policy_stop(__u32 idx, struct frame_task *t, __u64 now);

/* Is somebody waiting who may take over from @c->curr, whose turn is over? */
static __always_inline bool policy_waiting(__u32 cpu, struct frame_cpu *c);

/* Is somebody waiting at @cpu, which is busy, whom another CPU could take? */
static __always_inline bool policy_surplus(__u32 cpu);

/* Must task @curr make room at once for @idx, which has just got up? */
static __always_inline bool policy_preempts(__u32 idx, __u32 curr);

/* ---- helpers ---- */

/* An address is kept: clang would add it up again for each member. */

static __always_inline struct frame_task *task_at(__u32 idx)
{
	struct frame_task *t = &tasks[idx & (FRAME_TASKS - 1)];

	barrier_var(t);
	return t;
}

static __always_inline struct frame_cpu *cpu_at(__u32 cpu)
{
	struct frame_cpu *c = &cpus[cpu & (FRAME_CPUS - 1)];

	barrier_var(c);
	return c;
}

static __always_inline struct frame_cpu *this_cpu(void)
{
	return cpu_at(bpf_get_smp_processor_id());
}

static __always_inline bool has_cpu(const __u64 *mask, __u32 cpu)
{
	return mask[(cpu / 64) & (FRAME_CPU_WORDS - 1)] >> (cpu & 63) & 1;
}

/* By the upper six bits of a product, which differ for each power of two. */
static const __u8 bit_by_product[64] = {
	0, 1, 48, 2, 57, 49, 28, 3, 61, 58, 50, 42, 38, 29, 17, 4,
	62, 55, 59, 36, 53, 51, 43, 22, 45, 39, 33, 30, 24, 18, 12, 5,
	63, 47, 56, 27, 60, 41, 37, 16, 54, 35, 52, 21, 44, 32, 23, 11,
	46, 26, 40, 15, 34, 20, 31, 10, 25, 14, 19, 9, 13, 8, 7, 6,
};

/* Without a branch, or the verifier walks every path. */
static __always_inline __u32 first_bit(__u64 word)
{
	return bit_by_product[(word & -word) * 0x03f79d71b4cb0a89ULL >> 58];
}

/* ---- idle CPUs ---- */

/* CPUs that found nothing to run; whoever takes one out must kick it. */
__u64 idle_cpus[FRAME_CPU_WORDS];

static __always_inline __u64 *idle_word(__u32 cpu)
{
	return &idle_cpus[(cpu / 64) & (FRAME_CPU_WORDS - 1)];
}

/* Returns whether it was not; a full barrier then. */
static __always_inline bool set_idle(__u32 cpu)
{
	if (has_cpu(idle_cpus, cpu))
		return false;
	__sync_fetch_and_or(idle_word(cpu), 1ULL << (cpu & 63));
	return true;
}

/* Returns whether it was idle. */
static __always_inline bool clear_idle(__u32 cpu)
{
	__u64 bit = 1ULL << (cpu & 63);

	return has_cpu(idle_cpus, cpu) &&
		(__sync_fetch_and_and(idle_word(cpu), ~bit) & bit);
}

/* Make a CPU that is idle look for a task. */
static __always_inline bool kick_cpu(__u32 cpu)
{
	if (!clear_idle(cpu) || bpf_ghost_resched_cpu2(cpu, RESCHED_ANY_CLASS))
		return false;
	this_cpu()->kicks++;
	return true;
}

/*
 * Global functions, here and below: the verifier looks at each once, by itself,
 * and not again for every way that leads there.
 */

/* An idle CPU for a task, best the one that it was on, or FRAME_NONE. */
__noinline __u32 frame_find_idle(__u32 idx)
{
	const struct frame_task *t = task_at(idx);
	__u64 word;
	__u32 w;

	if (has_cpu(idle_cpus, t->cpu) && has_cpu(t->allowed, t->cpu))
		return t->cpu;
	for (w = 0; w < FRAME_CPU_WORDS; w++) {
		word = idle_cpus[w] & t->allowed[w];
		if (word)
			return w * 64 + first_bit(word);
	}
	return FRAME_NONE;
}

static __always_inline __u32 find_idle(__u32 idx)
{
	__u64 some = 0;
	__u32 w;

	for (w = 0; w < FRAME_CPU_WORDS; w++)
		some |= idle_cpus[w];
	return some ? frame_find_idle(idx) : FRAME_NONE;
}

/* Wake @cpu if it is idle; if it is FRAME_NONE, any that may run the task. */
static __always_inline bool kick_for(__u32 idx, __u32 cpu)
{
	__u32 tries;

	if (cpu != FRAME_NONE)
		return kick_cpu(cpu);
	for (tries = 0; tries < KICK_TRIES; tries++) {
		cpu = find_idle(idx);
		if (cpu == FRAME_NONE)
			return false;
		if (kick_cpu(cpu))
			return true;
	}
	return false;
}

/* Any idle CPU but @cpu: there are tasks that one of them may be able to run. */
__noinline int frame_kick_other(__u32 cpu)
{
	__u32 w;

	for (w = 0; w < FRAME_CPU_WORDS; w++) {
		__u64 word = idle_cpus[w];

		if (w == cpu / 64)
			word &= ~(1ULL << (cpu & 63));
		if (word && kick_cpu(w * 64 + first_bit(word)))
			return 1;
	}
	return 0;
}

/* ---- tasks ---- */

/* A CPU that a task may run on, best the one that it was on, or FRAME_NONE. */
__noinline __u32 frame_nearest(__u32 idx)
{
	const struct frame_task *t = task_at(idx);
	__u32 w;

	if (has_cpu(t->allowed, t->cpu))
		return t->cpu;
	for (w = 0; w < FRAME_CPU_WORDS; w++)
		if (t->allowed[w])
			return w * 64 + first_bit(t->allowed[w]);
	return FRAME_NONE;
}

/* Where it must run: a CPU, or FRAME_NONE when it does not matter. */
static __always_inline __u32 place(__u32 idx, const struct frame_task *t)
{
	if (t->stuck && has_cpu((const __u64 *)enclave_cpus, t->cpu))
		return t->cpu;
	return t->everywhere ? FRAME_NONE : frame_nearest(idx);
}

/* Read its affinity. Returns whether any CPU of the enclave is in it. */
__noinline int frame_read_affinity(__u32 idx)
{
	struct frame_task *t = task_at(idx);
	bool some = false, all = true;
	struct affinity *a;
	__u32 zero = 0, w;

	a = bpf_map_lookup_elem(&affinity_buffer, &zero);
	if (!a || bpf_ghost_get_affinity(t->gtid, (void *)a, sizeof(*a)) < 0)
		return true;		/* it is about to end: messages will tell */
	for (w = 0; w < FRAME_CPU_WORDS; w++) {
		__u64 here = enclave_cpus[w];

		t->allowed[w] = a->words[w] & here;
		some = some || t->allowed[w];
		all = all && t->allowed[w] == here;
	}
	t->everywhere = all;
	return some;
}

/* Index of a task in the table, or FRAME_NONE. */
static __always_inline __u32 find(__u64 gtid)
{
	__u32 *hint = &hints[gtid & (FRAME_TASKS - 1)], *found;
	__u32 idx = *hint;

	if (task_at(idx)->gtid == gtid)
		return idx;
	found = bpf_map_lookup_elem(&lookup, &gtid);
	if (!found)
		return FRAME_NONE;
	*hint = *found;
	return *found;
}

/* Make a new task known. Returns whether it is. */
static __always_inline bool admit(const struct bpf_ghost_msg *m, __u32 idx)
{
	struct frame_task *t = task_at(idx);
	__u64 gtid = m->newt.gtid, old = t->gtid;

	if (m->newt.sw_info.id || idx >= FRAME_TASKS)
		return false;
	if (old == gtid)	/* it is announced once more */
		return true;
	if (bpf_map_update_elem(&lookup, &gtid, &idx, BPF_NOEXIST))
		return false;
	if (old)
		bpf_map_delete_elem(&lookup, &old);	/* its end was not seen */
	else
		__sync_fetch_and_add(&nr_tasks, 1);
	t->gtid = gtid;
	t->started = 0;
	t->ran = 0;
	t->max_wait = 0;
	t->cpu = bpf_get_smp_processor_id() & (FRAME_CPUS - 1);
	t->stuck = 0;
	t->runnable = 0;
	t->running = 0;
	return true;
}

static __always_inline void forget(__u32 idx, struct frame_task *t)
{
	__u64 gtid = t->gtid;

	t->gtid = 0;
	bpf_map_delete_elem(&lookup, &gtid);
	__sync_fetch_and_add(&nr_tasks, -1);
}

static __always_inline void set_cpu(struct frame_task *t, __s32 cpu)
{
	if (cpu >= 0 && cpu < FRAME_CPUS)
		t->cpu = cpu;
}

/* Bring the task up to date. Returns whether it is still in the table. */
static __always_inline bool update(struct bpf_ghost_msg *m, __u32 idx,
				   struct frame_task *t)
{
	t->barrier = m->seqnum;
	switch (m->type) {
	case MSG_TASK_NEW:
		t->runnable = !!m->newt.runnable;
		t->nice = m->newt.nice;
		return frame_read_affinity(idx) && policy_admit(idx);
	case MSG_TASK_WAKEUP:
		set_cpu(t, m->wakeup.wake_up_cpu);
		t->runnable = 1;
		break;
	case MSG_TASK_PREEMPT:
		set_cpu(t, m->preempt.cpu);
		t->runnable = 1;
		break;
	case MSG_TASK_YIELD:
		set_cpu(t, m->yield.cpu);
		t->runnable = 1;
		break;
	case MSG_TASK_BLOCKED:
		set_cpu(t, m->blocked.cpu);
		t->runnable = 0;
		break;
	case MSG_TASK_SWITCHTO:
		t->runnable = 0;
		break;
	case MSG_TASK_DEPARTED:
	case MSG_TASK_DEAD:
		return false;
	case MSG_TASK_AFFINITY_CHANGED:
		return frame_read_affinity(idx);
	case MSG_TASK_LATCH_FAILURE:
		/* What is done to its affinity while it is lent is not told. */
		if (m->latch_failure.error == ESTALE)
			return frame_read_affinity(idx);
		break;
	case MSG_TASK_PRIORITY_CHANGED:
		t->nice = m->priority.nice;
		break;
	}
	return true;
}

/*
 * If run_gtid() fails though there was no news, the task may not be moved just
 * now: try where it is; and if that fails, too, elsewhere again.
 */
static __always_inline bool stuck(const struct bpf_ghost_msg *m, const struct frame_task *t)
{
	return m->type == MSG_TASK_LATCH_FAILURE && !t->stuck &&
		m->latch_failure.error == ESTALE && t->tried == m->seqnum;
}

#define BIT_OF(type)	(1ULL << ((type) & 63))	/* of messages of tasks */

/* Messages after which the task is off the CPU that it was on or latched for. */
static __always_inline bool stops(__u16 type)
{
	return BIT_OF(type) &
		(BIT_OF(MSG_TASK_PREEMPT) | BIT_OF(MSG_TASK_YIELD) |
		 BIT_OF(MSG_TASK_BLOCKED) | BIT_OF(MSG_TASK_SWITCHTO) |
		 BIT_OF(MSG_TASK_DEPARTED) | BIT_OF(MSG_TASK_DEAD));
}

/*
 * After a latch that failed so, no CPU is kicked: with EBUSY who picked the task
 * tries again, with EINVAL the agent is leaving, and when there is one again,
 * all CPUs schedule.
 */
static __always_inline bool kicks_nobody(const struct bpf_ghost_msg *m)
{
	return m->type == MSG_TASK_LATCH_FAILURE &&
		(m->latch_failure.error == EBUSY ||
		 m->latch_failure.error == EINVAL);
}

/* What runs on @cpu makes room for the task, if the policy says so. */
static __always_inline void preempt_for(__u32 idx, __u32 cpu)
{
	__u32 curr = cpu_at(cpu)->curr;
	struct frame_task *t = task_at(curr);

	if (!t->running || t->cpu != cpu || !policy_preempts(idx, curr))
		return;
	this_cpu()->preempts++;
	bpf_ghost_resched_cpu2(cpu, RESCHED_GHOST_CLASS | SET_MUST_RESCHED);
}

/* Returns whether there was room for it. */
static __always_inline bool enqueue(__u32 idx, struct frame_task *t,
				    const struct bpf_ghost_msg *m, __u64 now)
{
	bool wakeup = m->type == MSG_TASK_WAKEUP || m->type == MSG_TASK_NEW;
	__u32 cpu = policy_enqueue(idx, t, place(idx, t), m->type, now);

	if (cpu == FRAME_NO_ROOM)
		return false;
	if (!kicks_nobody(m) && !kick_for(idx, cpu) && wakeup)
		preempt_for(idx, cpu == FRAME_NONE ? t->cpu : cpu);
	return true;
}

/* Returns whether the message is done with. */
static __always_inline bool task_message(struct bpf_ghost_msg *m, __u32 idx)
{
	struct frame_task *t = task_at(idx);
	bool waited = t->runnable && !t->running;
	bool ours = update(m, idx, t), off = stops(m->type);
	__u64 now = bpf_ktime_get_ns();

	t->stuck = stuck(m, t);
	if (t->running && (!ours || off)) {
		t->running = 0;
		t->ran += now - t->started;
		policy_stop(idx, t, now);
	}
	/* Announced once more, it goes on waiting. */
	if (off || m->type == MSG_TASK_WAKEUP || (m->type == MSG_TASK_NEW && !waited))
		t->queued_at = now;

	policy_dequeue(idx, t);
	if (ours && t->runnable && !t->running && !enqueue(idx, t, m, now)) {
		forget(idx, t);
		return false;
	}
	if (!ours)
		forget(idx, t);
	return ours || off;
}

static __always_inline void tick(__u32 cpu)
{
	struct frame_cpu *c = cpu_at(cpu);

	if (bpf_ktime_get_ns() < c->slice_end || !policy_waiting(cpu, c))
		return;
	this_cpu()->preempts++;
	bpf_ghost_resched_cpu2(cpu, RESCHED_GHOST_CLASS | SET_MUST_RESCHED);
}

SEC("ghost/msg")
int frame_msg(struct bpf_ghost_msg *m)
{
	struct frame_cpu *c = this_cpu();
	__u32 idx;

	/* What goes to the ring is looked at now and then, by no agent. */
	m->pref_cpu = GHOST_PREF_CPU_NO_WAKEUP;
	if (m->type >= GHOST_CPU_MSG_FIRST) {
		if (m->type == MSG_CPU_TICK && !m->cpu_tick.is_agent)
			tick(m->cpu_tick.cpu);
		c->messages++;
		return 1;
	}
	if (m->type == MSG_TASK_NEW) {
		idx = m->newt.sw_info.index;
		if (!admit(m, idx))
			goto pass;
	} else {
		idx = find(m->dead.gtid);	/* all have it there */
		if (idx == FRAME_NONE)
			goto pass;
	}
	if (!task_message(m, idx))
		goto pass;
	c->messages++;
	return 1;
pass:
	c->passed++;
	return 0;
}

/* ---- where to wake up ---- */

SEC("ghost/select_rq")
int frame_select(struct bpf_ghost_select_rq *ctx)
{
	__u32 idx = find(ctx->gtid);

	/* FRAME_NONE is negative: where the kernel would have it. */
	return idx == FRAME_NONE ? FRAME_NONE : find_idle(idx);
}

/* ---- picking ---- */

/* A task is on the CPU and was not told off it: a PREEMPT is yet to come. */
static __always_inline bool preempt_due(__u32 cpu, struct frame_cpu *c)
{
	struct frame_task *t = task_at(c->curr);

	return t->running && t->cpu == cpu;
}

/* 0 or -errno; any but -ENOENT has been told by a message, too. */
static __always_inline int run(__u32 cpu, struct frame_cpu *c, __u32 idx)
{
	struct frame_task *t = task_at(idx);
	__u64 now, waited;
	int err;

	if (!FRAME_LATCHES || !(idx & FRAME_LATCHED)) {
		t->tried = t->barrier;
		err = bpf_ghost_run_gtid(t->gtid, t->tried, 0);
		if (err) {
			c->failed[-err & (FRAME_ERRNOS - 1)]++;
			return err;
		}
	}
	if (FRAME_LATCHES)
		idx &= FRAME_TASKS - 1;

	/* This CPU's run queue has the task now, and its lock is held. */
	now = bpf_ktime_get_ns();
	waited = now - t->queued_at;
	c->picks++;
	c->waited += waited;
	if (waited > c->max_wait)
		c->max_wait = waited;
	if (waited > t->max_wait)
		t->max_wait = waited;
	t->queued_at = now;
	t->started = now;
	c->latched_at = now;
	t->running = 1;
	t->stuck = 0;
	t->cpu = cpu;
	c->curr = idx;
	policy_run(idx, t, c, now);
	return 0;
}

__noinline __u32 frame_pick(__u32 cpu)
{
	return policy_pick(cpu & (FRAME_CPUS - 1));
}

SEC("ghost/sched")
int frame_sched(struct bpf_ghost_sched *ctx)
{
	__u32 cpu = bpf_get_smp_processor_id() & (FRAME_CPUS - 1);
	struct frame_cpu *c = cpu_at(cpu);
	bool busy = false;
	__u32 idx, tries;
	int err;

	if (ctx->next_gtid) {
		clear_idle(cpu);
		return 0;
	}
	if (!ctx->agent_on_rq || ctx->agent_runnable || ctx->might_yield) {
		clear_idle(cpu);
		/* It may have been kicked for a task that it cannot run now. */
		if (policy_surplus(cpu))
			frame_kick_other(cpu);
		return 0;
	}

	for (tries = 0; tries < PICK_TRIES; tries++) {
		idx = frame_pick(cpu);
		if (idx == FRAME_NONE) {
			/*
			 * Once more, as an idle CPU. The lock of the queue orders
			 * it: either who queues a task sees that, or the pick sees
			 * the task.
			 */
			if (!set_idle(cpu))
				break;
			continue;
		}
		if (FRAME_LATCHES && idx == FRAME_BUSY) {
			c->failed[EBUSY]++;
			busy = true;
			break;
		}
		err = run(cpu, c, idx);
		if (!err) {
			clear_idle(cpu);
			/* This CPU may have been kicked for another task. */
			if (policy_surplus(cpu))
				frame_kick_other(cpu);
			return 0;
		}
		busy = busy || err == -EBUSY;
	}
	/*
	 * What is on its way off a CPU, this one perhaps, cannot be had yet;
	 * and what ran here until now will be queued in a moment.
	 */
	if (busy || tries == PICK_TRIES || preempt_due(cpu, c)) {
		clear_idle(cpu);
		ctx->must_resched = 1;
		ctx->dont_idle = 1;
	}
	return 0;
}

#endif /* FRAME_BPF_H */
