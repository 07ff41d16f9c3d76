// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * eevdf-bpf: fair shares by weight, on a run queue for each CPU.
 *
 * A run queue has a virtual time, which advances by what its CPU gives to one
 * unit of weight. A task is eligible when it has not had more than its share,
 * its vruntime being at or before that time; of those that are, the one with
 * the earliest virtual deadline runs next.
 *
 * What does not fit into the heaps of a run queue waits in a list, for all CPUs
 * if it may run on all, and gets every other pick.
 */
#include "heap.bpf.h"

#define NICE_0		1024
#define OVERFLOW	FRAME_CPUS	/* list for all CPUs */
#define MOVES		4		/* made eligible by one pick */
#define LOOKS		32		/* at tasks of another CPU, by one pick */
#define STEALS		4		/* CPUs that one pick looks at */
#define BALANCE_NS	50000000ULL
#define LONGEST_NS	100000000ULL	/* that a hint can ask for at once */

char _license[] SEC("license") = "Dual BSD/GPL";

/* What a step of nice is worth: about a quarter more or less, as everywhere. */
static const __u32 weights[64] = {
	88761, 71755, 56483, 46273, 36291, 29154, 23254, 18705, 14949, 11916,
	9548, 7620, 6100, 4904, 3906, 3121, 2501, 1991, 1586, 1277,
	1024, 820, 655, 526, 423, 335, 272, 215, 172, 137,
	110, 87, 70, 56, 45, 36, 29, 23, 18, 15,
};

/**
 * struct fair_rq - run queue of a CPU, all under @lock
 * @vtime: virtual time
 * @since: ns at which @vtime was right while a task runs; 0: none does
 * @load: weight of the tasks that it counts: that wait, or that it gave out
 */
struct fair_rq {
	struct bpf_spin_lock lock;
	__u64 vtime;
	__u64 since;
	__u64 load;
	struct heap heaps[2];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FRAME_CPUS);
	__type(key, __u32);
	__type(value, struct fair_rq);
} rqs SEC(".maps");

/* To look at without a lock: the load, and who has tasks that wait. */
__u64 loads[FRAME_CPUS];
__u64 crowded[FRAME_CPU_WORDS];
__u64 balanced[FRAME_CPUS];

static __always_inline struct fair_rq *rq_at(__u32 cpu)
{
	cpu &= FRAME_CPUS - 1;
	return bpf_map_lookup_elem(&rqs, &cpu);
}

/* ---- under the lock of the run queue ---- */

static __always_inline void advance(struct fair_rq *rq, __u64 now)
{
	if (!rq->since || before(now, rq->since))
		return;
	if (rq->load)
		rq->vtime += (now - rq->since) * NICE_0 / rq->load;
	rq->since = now;
}

static __always_inline void set_load(struct fair_rq *rq, __u32 cpu, __u64 load)
{
	rq->load = load;
	loads[cpu & (FRAME_CPUS - 1)] = load;
}

static __always_inline void note_crowd(struct fair_rq *rq, __u32 cpu)
{
	__u64 *word = &crowded[(cpu / 64) & (FRAME_CPU_WORDS - 1)];
	__u64 bit = 1ULL << (cpu & 63);
	bool some = rq->heaps[FAIR_WAITING].length || rq->heaps[FAIR_ELIGIBLE].length;

	if (some && !(*word & bit))
		__sync_fetch_and_or(word, bit);
	else if (!some && (*word & bit))
		__sync_fetch_and_and(word, ~bit);
}

static __always_inline void remove(struct fair_rq *rq, struct fair_task *f)
{
	if (f->waits)
		heap_remove(&rq->heaps[f->heap & 1], f->pos);
	f->waits = 0;
}

static __always_inline bool insert(struct fair_rq *rq, __u32 idx, struct fair_task *f)
{
	bool eligible = !before(rq->vtime, f->vruntime);

	f->heap = eligible ? FAIR_ELIGIBLE : FAIR_WAITING;
	f->waits = heap_insert(&rq->heaps[f->heap & 1],
			       eligible ? f->deadline : f->vruntime, idx);
	return f->waits;
}

/*
 * Make tasks eligible whose time has come; if there are none, the next, unless one
 * is about to be queued.
 */
static __always_inline void promote(struct fair_rq *rq, bool expects)
{
	__u32 i;

	for (i = 0; i < MOVES && rq->heaps[FAIR_WAITING].length; i++) {
		struct heap_entry first = rq->heaps[FAIR_WAITING].entries[0];

		if (before(rq->vtime, first.key)) {
			if (expects || rq->heaps[FAIR_ELIGIBLE].length)
				break;
			/* Nobody is behind: the time goes on to the next. */
			rq->vtime = first.key;
		}
		if (!heap_insert(&rq->heaps[FAIR_ELIGIBLE], fair_at(first.idx)->deadline,
				 first.idx))
			break;
		fair_at(first.idx)->heap = FAIR_ELIGIBLE;
		heap_remove(&rq->heaps[FAIR_WAITING], 0);
	}
}

/* ---- in and out ---- */

/* Those that take the lock are global functions, for the verifier's sake. */

static __always_inline __s64 clamp(__s64 value, __s64 low, __s64 high)
{
	return value > high ? high : value < low ? low : value;
}

static __always_inline __u64 virtual(__u64 ns, const struct fair_task *f)
{
	return f->weight ? ns * NICE_0 / f->weight : ns;
}

/* What the application said of it, or NULL. */
static __always_inline const struct fair_hint *hint_of(__u32 idx)
{
	const struct fair_hint *h = &fair_hints[idx & (FRAME_TASKS - 1)];

	return h->gtid && h->gtid == task_at(idx)->gtid ? h : NULL;
}

/* How much it asks for at once, ns. */
static __always_inline __u64 request(__u32 idx)
{
	const struct fair_hint *h = hint_of(idx);

	return h && h->slice ? h->slice : slice_ns;
}

static __always_inline __u32 weight_of(__u32 idx, const struct frame_task *t)
{
	const struct fair_hint *h = hint_of(idx);
	__u32 weight = weights[(t->nice + 20) & 63];

	return h ? weight * h->percent / 100 ?: 1 : weight;
}

/*
 * Out of the run queue that counts it, where it @ran until @now, or waited if
 * that is 0; it keeps what it is ahead or behind.
 */
__noinline int fair_leave(__u32 idx, __u64 ran, __u64 now)
{
	struct fair_task *f = fair_at(idx);
	__u32 cpu = f->rq - 1;
	struct fair_rq *rq;
	__s64 limit, owed;

	if (!f->rq)
		return 0;
	rq = rq_at(cpu);
	if (!rq)
		return 0;
	limit = 2 * virtual(request(idx) > slice_ns ? request(idx) : slice_ns, f);
	/* It may have waited for one that asked for more. */
	owed = task_at(idx)->runnable ? 2 * virtual(LONGEST_NS, f) : limit;
	bpf_spin_lock(&rq->lock);
	if (now)
		advance(rq, now);
	/* Who preempts it was latched before. */
	if (now && cpu_at(cpu)->curr == idx)
		rq->since = 0;
	if (f->waits) {
		remove(rq, f);
		note_crowd(rq, cpu);
	}
	f->vruntime += virtual(ran, f);
	f->lag = clamp(rq->vtime - f->vruntime, -limit, owed);
	f->left = f->deadline - f->vruntime;
	set_load(rq, cpu, rq->load > f->weight ? rq->load - f->weight : 0);
	f->rq = 0;
	bpf_spin_unlock(&rq->lock);
	return 0;
}

/*
 * Into the run queue of @cpu, to wait there or to run. Returns 0 if there is no
 * room to wait.
 */
__noinline int fair_join(__u32 idx, __u32 cpu, int wait, __u64 now)
{
	struct fair_task *f = fair_at(idx);
	struct fair_rq *rq = rq_at(cpu);
	bool ok = true;

	if (!rq)
		return false;
	if (f->left <= 0)
		f->left = virtual(request(idx), f);
	bpf_spin_lock(&rq->lock);
	advance(rq, now);
	f->vruntime = rq->vtime - f->lag;
	f->deadline = f->vruntime + f->left;
	if (wait) {
		ok = insert(rq, idx, f);
		note_crowd(rq, cpu);
	}
	set_load(rq, cpu, rq->load + f->weight);
	f->rq = cpu + 1;
	bpf_spin_unlock(&rq->lock);
	return ok;
}

static __always_inline void policy_dequeue(__u32 idx, struct frame_task *t)
{
	fifo_leave(idx + 1);
	if (!t->running && fair_at(idx)->rq)
		fair_leave(idx, 0, 0);
}

static __always_inline bool policy_admit(__u32 idx)
{
	return true;
}

static __always_inline __u32 policy_enqueue(__u32 idx, struct frame_task *t, __u32 cpu,
					    __u16 type, __u64 now)
{
	struct fair_task *f = fair_at(idx);

	if (cpu == FRAME_NONE)
		cpu = find_idle(idx);
	if (cpu == FRAME_NONE)
		cpu = frame_nearest(idx);
	cpu &= FRAME_CPUS - 1;
	if (!t->started) {		/* a new task */
		f->lag = 0;
		f->left = 0;
	}
	f->weight = weight_of(idx, t);
	/* A yield asks for a later deadline. */
	if (type == MSG_TASK_YIELD)
		f->left = (f->left > 0 ? f->left : 0) + virtual(request(idx), f);
	if (fair_join(idx, cpu, 1, now))
		return cpu;
	bpf_spin_lock(&fifo_lock);
	fifo_push(t->everywhere && !t->stuck ? OVERFLOW : cpu, idx + 1);
	bpf_spin_unlock(&fifo_lock);
	return cpu;
}

static __always_inline void policy_stop(__u32 idx, struct frame_task *t, __u64 now)
{
	fair_leave(idx, t->ran, now);
	t->ran = 0;
}

static __always_inline void policy_run(__u32 idx, struct frame_task *t,
				       struct frame_cpu *c, __u64 now)
{
	struct fair_task *f = fair_at(idx);
	struct fair_rq *rq = rq_at(t->cpu);
	__s64 left;

	/* Taken from another CPU: from now on this one counts it. */
	if (f->rq != t->cpu + 1) {
		fair_leave(idx, 0, 0);
		fair_join(idx, t->cpu, 0, now);
	}
	left = f->deadline - f->vruntime;
	c->slice_end = now + (left > 0 ? (__u64)left * f->weight / NICE_0 :
				    request(idx));
	/* No lock: only this CPU begins; others go on with what is not 0. */
	if (rq && !rq->since)
		rq->since = now;
}

/* ---- picking ---- */

/* The first of a heap of @from that may run on @cpu, or FRAME_NONE. */
static __always_inline __u32 look(struct heap *h, __u32 from, __u32 cpu)
{
	__u32 i;

	for (i = 0; i < LOOKS && i < HEAP_SIZE && i < h->length; i++) {
		__u32 idx = h->entries[i].idx;

		if (from == cpu || (!task_at(idx)->stuck &&
				    has_cpu(task_at(idx)->allowed, cpu)))
			return idx;
	}
	return FRAME_NONE;
}

/*
 * Take a task of the run queue of @from that may run on @cpu. Another CPU than
 * @from does not wait for a time that is not its own.
 */
__noinline __u32 fair_pick(__u32 from, __u32 cpu)
{
	bool expects = from == cpu && preempt_due(cpu, cpu_at(cpu));
	struct fair_rq *rq = rq_at(from);
	__u32 idx;

	if (!rq)
		return FRAME_NONE;
	bpf_spin_lock(&rq->lock);
	promote(rq, expects);
	idx = look(&rq->heaps[FAIR_ELIGIBLE], from, cpu);
	if (idx == FRAME_NONE && from != cpu)
		idx = look(&rq->heaps[FAIR_WAITING], from, cpu);
	if (idx != FRAME_NONE) {
		remove(rq, fair_at(idx));
		note_crowd(rq, from);
	}
	bpf_spin_unlock(&rq->lock);
	return idx;
}

/* For a CPU that has nothing to do. */
__noinline __u32 fair_steal(__u32 cpu)
{
	__u32 w, i, idx;

	for (w = 0; w < FRAME_CPU_WORDS; w++) {
		__u64 word = crowded[w];

		for (i = 0; word && i < STEALS; i++) {
			idx = fair_pick(w * 64 + first_bit(word), cpu);
			if (idx != FRAME_NONE)
				return idx;
			word &= word - 1;
		}
	}
	return FRAME_NONE;
}

struct search {
	__u32 cpu;
	__u32 found;
	__u64 most;
};

static long compare(__u32 i, struct search *s)
{
	if (i != s->cpu && has_cpu(crowded, i) &&
	    loads[i & (FRAME_CPUS - 1)] > s->most) {
		s->most = loads[i & (FRAME_CPUS - 1)];
		s->found = i;
	}
	return 0;
}

/* A CPU that has more to do than @cpu and one task less, or FRAME_NONE. */
__noinline __u32 fair_busiest(__u32 cpu)
{
	struct search s = {
		.cpu = cpu,
		.found = FRAME_NONE,
		.most = loads[cpu & (FRAME_CPUS - 1)] + NICE_0 - 1,
	};

	bpf_loop(FRAME_CPUS, compare, &s, 0);
	return s.found;
}

static __always_inline bool overflows(__u32 cpu)
{
	return fifo_list(cpu)->first || fifo_list(OVERFLOW)->first;
}

/* What there was no room for: that of @cpu alone and that of all, by turns. */
static __always_inline __u32 overflown(__u32 cpu)
{
	bool all = cpu_at(cpu)->picks & 2;
	__u32 node;

	if (!overflows(cpu))
		return FRAME_NONE;
	bpf_spin_lock(&fifo_lock);
	node = fifo_list(all ? OVERFLOW : cpu)->first;
	if (!node)
		node = fifo_list(all ? cpu : OVERFLOW)->first;
	if (node)
		fifo_remove(node);
	bpf_spin_unlock(&fifo_lock);
	return node - 1;
}

static __always_inline __u32 policy_pick(__u32 cpu)
{
	struct frame_cpu *c = cpu_at(cpu);
	__u64 now = c->latched_at;	/* or a little later */
	__u64 *last = &balanced[cpu & (FRAME_CPUS - 1)];
	__u32 idx, other;

	if (c->picks & 1) {
		idx = overflown(cpu);
		if (idx != FRAME_NONE)
			return idx;
	}
	if (now - *last >= BALANCE_NS) {
		*last = now;
		other = fair_busiest(cpu);
		if (other != FRAME_NONE) {
			idx = fair_pick(other, cpu);
			if (idx != FRAME_NONE)
				return idx;
		}
	}
	idx = fair_pick(cpu, cpu);
	if (idx != FRAME_NONE)
		return idx;
	idx = overflown(cpu);
	return idx == FRAME_NONE ? fair_steal(cpu) : idx;
}

/* Guesses, without the lock. */

static __always_inline bool policy_waiting(__u32 cpu, struct frame_cpu *c)
{
	if (has_cpu(crowded, cpu) || overflows(cpu))
		return true;
	return bpf_ktime_get_ns() - balanced[cpu & (FRAME_CPUS - 1)] >=
		BALANCE_NS && fair_busiest(cpu) != FRAME_NONE;
}

static __always_inline bool policy_surplus(__u32 cpu)
{
	struct fair_rq *rq = rq_at(cpu);
	__u32 next;

	if (fifo_list(OVERFLOW)->first)
		return true;
	if (!rq || !has_cpu(crowded, cpu))
		return false;
	next = rq->heaps[FAIR_ELIGIBLE].length ? FAIR_ELIGIBLE : FAIR_WAITING;
	return task_at(rq->heaps[next].entries[0].idx)->everywhere;
}

static __always_inline bool policy_preempts(__u32 idx, __u32 curr)
{
	struct fair_task *f = fair_at(idx), *g = fair_at(curr);

	return f->waits && f->heap == FAIR_ELIGIBLE && f->rq == g->rq &&
		before(f->deadline, g->deadline);
}
