// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * A policy that uses all that there is, at random: local, remote, greedy and
 * group commits, any flags, and if it lies, forged transactions in between. All
 * agents run it; who gets the lock schedules for every CPU of the enclave.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "torture.h"

#define TRIES	20		/* failed commits, before a task is released */

void policy_lock(struct policy *p)
{
	while (!__sync_bool_compare_and_swap(&p->lock, 0, 1))
		sched_yield();
}

static bool trylock(struct policy *p)
{
	return __sync_bool_compare_and_swap(&p->lock, 0, 1);
}

void policy_unlock(struct policy *p)
{
	store(&p->lock, 0);
}

/* ---- tasks ---- */

static struct policy_task *find(struct policy *p, uint64_t gtid)
{
	int i;

	for (i = 0; i < p->nr; i++)
		if (p->task[i].gtid == gtid)
			return &p->task[i];
	return NULL;
}

static void learn(struct policy *p, uint64_t gtid, struct ghost_sw_info info,
		  uint32_t seqnum)
{
	struct policy_task *t = find(p, gtid);

	if (!t && p->nr == POLICY_TASKS)
		return;
	if (!t)
		t = &p->task[p->nr++];
	*t = (struct policy_task){ .gtid = gtid, .info = info, .seqnum = seqnum };
}

static void forget(struct policy *p, struct policy_task *t)
{
	*t = p->task[--p->nr];
}

static void take_message(struct policy *p, const struct gt_msg *m)
{
	struct policy_task *t;

	if (m->type < GHOST_TASK_MSG_FIRST || m->type > GHOST_TASK_MSG_LAST)
		return;
	if (m->type == MSG_TASK_NEW) {
		learn(p, m->gtid, m->new_.sw_info, m->seqnum);
		return;
	}
	t = find(p, m->gtid);
	if (!t)
		return;
	if (m->seqnum != t->seqnum + 1 && !p->lost && !load(&p->q->ring->overflow))
		fail("enclave %d: %s %u of %llu after %u", p->e->id,
		     gt_msg_name(m->type), m->seqnum,
		     (unsigned long long)m->gtid, t->seqnum);
	t->seqnum = m->seqnum;
	if (m->type == MSG_TASK_DEAD || m->type == MSG_TASK_DEPARTED) {
		gt_sw_free(p->e, t->info);
		forget(p, t);
	}
}

static void take_messages(struct policy *p)
{
	struct gt_queue *q = p->q;
	int i;

	gt_queue_consume(q);
	for (i = 0; i < q->logged; i++)
		take_message(p, &q->log[i]);
	count_many(F_MESSAGES, q->logged);
	q->logged = 0;
}

/* The next in turn that wants a CPU, and has none. */
static struct policy_task *next_runnable(struct policy *p)
{
	struct ghost_status_word *sw;
	struct policy_task *t;
	uint32_t flags;
	int i;

	for (i = 0; i < p->nr; i++) {
		p->turn = (p->turn + 1) % p->nr;
		t = &p->task[p->turn];
		sw = gt_sw_at(p->e, t->info);
		/* The message of its end was lost, and the word is another's. */
		if (load(&sw->gtid) != t->gtid) {
			forget(p, t);
			if (!p->nr)
				break;
			continue;
		}
		flags = gt_flags(sw);
		if ((flags & GHOST_SW_TASK_RUNNABLE) && !t->release &&
		    !(flags & (GHOST_SW_TASK_ONCPU | GHOST_SW_F_CANFREE)))
			return t;
	}
	return NULL;
}

/* ---- transactions ---- */

static const uint16_t run_flags[] = {
	0, 0, 0, 0, ELIDE_PREEMPT, SEND_TASK_ON_CPU, NEED_CPU_NOT_IDLE,
	RTLA_ON_PREEMPT, RTLA_ON_BLOCKED, RTLA_ON_YIELD, RTLA_ON_IDLE,
	NEED_L1D_FLUSH, DO_NOT_PREEMPT, DEFER_LATCHED_PREEMPTION_BY_AGENT,
	RTLA_ON_PREEMPT | RTLA_ON_BLOCKED | RTLA_ON_YIELD | RTLA_ON_IDLE,
};

static const uint8_t commit_flags[] = {
	COMMIT_AT_TXN_COMMIT, COMMIT_AT_TXN_COMMIT, COMMIT_AT_TXN_COMMIT,
	COMMIT_AT_TXN_COMMIT | ALLOW_TASK_ONCPU,
	COMMIT_AT_TXN_COMMIT | ELIDE_AGENT_BARRIER_INC,
	COMMIT_AT_TXN_COMMIT | INC_AGENT_BARRIER_ON_FAILURE,
	0, COMMIT_AT_SCHEDULE,
};

#define PICK(r, array)	((array)[below(r, sizeof(array) / sizeof((array)[0]))])

/* Does the task of the last commit still hold the CPU, or wait there for it? */
static bool taken(struct policy *p, int cpu)
{
	struct policy_task *t = find(p, p->on_cpu[cpu]);
	struct ghost_status_word *sw;
	int state = gt_txn_state(p->e, cpu);

	if (state == GHOST_TXN_READY) {
		/* Greedy, and not committed yet: have it, or wait on. */
		if (!one_in(&p->rng, 2))
			return true;
		return !__sync_bool_compare_and_swap(&p->e->cpu[cpu].txn.state,
						     GHOST_TXN_READY,
						     GHOST_TXN_ABORTED);
	}
	if (state >= 0)
		return true;
	if (!t)
		return false;
	sw = gt_sw_at(p->e, t->info);
	if (gt_flags(sw) & GHOST_SW_TASK_ONCPU)
		return !one_in(&p->rng, 8);
	return gt_barrier(sw) == p->on_cpu_barrier[cpu] && !one_in(&p->rng, 8);
}

static void fill(struct policy *p, int cpu, struct policy_task *t,
		 uint32_t agent_barrier, bool at_once)
{
	uint32_t barrier = gt_barrier(gt_sw_at(p->e, t->info));

	p->on_cpu[cpu] = t->gtid;
	p->on_cpu_barrier[cpu] = barrier;
	gt_txn_fill(p->e, cpu, &(struct gt_txn){
		.gtid = t->gtid,
		.task_barrier = barrier,
		.agent_barrier = agent_barrier,
		.run_flags = p->honest ? 0 : PICK(&p->rng, run_flags),
		.commit_flags = at_once ? COMMIT_AT_TXN_COMMIT :
					  PICK(&p->rng, commit_flags),
	});
}

static void judge(struct policy *p, int cpu)
{
	struct policy_task *t = find(p, p->on_cpu[cpu]);
	int state = gt_txn_state(p->e, cpu);

	if (state >= 0)
		return;
	count(state == GHOST_TXN_COMPLETE ? F_COMMITTED : F_COMMIT_FAILED, true);
	if (!t)
		return;
	if (state == GHOST_TXN_COMPLETE)
		t->failures = 0;
	else if (++t->failures > TRIES && !p->honest)
		t->release = true;
	if (state != GHOST_TXN_COMPLETE)
		p->on_cpu[cpu] = 0;
}

/* Anything at all, for any CPU; what the kernel makes of it does not matter. */
static void lie(struct policy *p)
{
	struct rng *r = &p->rng;
	int64_t gtids[] = {
		GHOST_NULL_GTID, GHOST_AGENT_GTID, GHOST_IDLE_GTID, -3, 1,
		(int64_t)rng_next(r), p->nr ? (int64_t)p->task[below(r, p->nr)].gtid : 2,
	};
	uint64_t cpus = below(r, 1U << shared->ncpus);
	int cpu = below(r, shared->ncpus);

	gt_txn_fill(p->e, cpu, &(struct gt_txn){
		.gtid = PICK(r, gtids),
		.task_barrier = rng_next(r),
		.agent_barrier = one_in(r, 2) ? 0 : rng_next(r),
		.run_flags = rng_next(r),
		.commit_flags = rng_next(r),
	});
	if (one_in(r, 2))
		gt_txn_ioctl(p->e, cpus | 1ULL << cpu);
	else
		gt_sync_ioctl(p->e, cpus | 1ULL << cpu);
	if (one_in(r, 4))
		store(&p->e->cpu[cpu].txn.state, (int)rng_next(r));
	if (one_in(r, 64)) {
		store(&p->q->ring->tail, (uint32_t)rng_next(r));
		gt_sw_info(p->e, GHOST_TASK, rng_next(r), NULL);
		store(&p->q->ring->tail, load(&p->q->ring->head));
		/* Messages are lost, which costs nobody else anything. */
		p->lost = true;
		store(&p->ask_again, true);
	}
	count(F_LIES, true);
}

/* Tasks for the other CPUs of the enclave. */
static void serve_others(struct policy *p, int own)
{
	bool group = !p->honest && one_in(&p->rng, 4);
	struct policy_task *t;
	uint64_t cpus = 0;
	int cpu;

	for (cpu = 0; cpu < shared->ncpus && cpu < 64; cpu++) {
		if (cpu == own || !load(&p->agents[cpu].alive) || taken(p, cpu))
			continue;
		t = next_runnable(p);
		if (!t)
			break;
		fill(p, cpu, t, 0, group || p->honest);
		cpus |= 1ULL << cpu;
	}
	if (!cpus)
		return;
	if (group)
		gt_sync_ioctl(p->e, cpus);
	else
		gt_txn_ioctl(p->e, cpus);
	for (cpu = 0; cpu < 64; cpu++)
		if (cpus & 1ULL << cpu)
			judge(p, cpu);
}

/* ---- the agents ---- */

/* Returns true if there is to be no scheduling now. */
static bool obey(struct policy *p, struct gt_agent *a)
{
	while (load(p->order) == ORDER_SPIN && !load(&a->stop))
		;
	return load(p->order) == ORDER_FORGET;
}

long policy_run(struct gt_agent *a, void *policy)
{
	struct ghost_ioc_run run = { .run_cpu = a->cpu };
	struct policy *p = policy;
	struct policy_task *t;
	bool again, free;
	int ret = 0;

	while (!load(&a->stop) && (!ret || ret == -ESTALE)) {
		run.agent_barrier = gt_barrier(a->sw);
		again = false;
		if (!obey(p, a) && trylock(p)) {
			if (load(p->order) != ORDER_DEAF)
				take_messages(p);
			if (p->lies && one_in(&p->rng, 16))
				lie(p);
			serve_others(p, a->cpu);
			t = next_runnable(p);
			free = !(gt_flags(a->sw) & GHOST_SW_BOOST_PRIO);
			again = t;
			if (t && free)
				fill(p, a->cpu, t, run.agent_barrier, true);
			policy_unlock(p);
			if (t && free) {
				ret = gt_txn_ioctl(a->e, 1ULL << a->cpu);
				if (trylock(p)) {
					judge(p, a->cpu);
					policy_unlock(p);
				}
				if (ret || gt_txn_state(a->e, a->cpu) ==
					   GHOST_TXN_COMPLETE)
					continue;
			}
		}
		/* Others wait for the CPU, or nobody: let it go for now. */
		run.run_flags = again ? RTLA_ON_IDLE : 0;
		ret = gt_run(a->e, &run);
	}
	return ret;
}

/* ---- the main thread ---- */

static void adopt_one(struct policy *p, struct ghost_sw_info info,
		      struct ghost_status_word *sw)
{
	uint32_t barrier;
	uint64_t gtid;
	int tries, ret;

	for (tries = 0; tries < 100; tries++) {
		if (gt_flags(sw) & GHOST_SW_F_CANFREE) {
			gt_sw_free(p->e, info);
			return;
		}
		gtid = load(&sw->gtid);
		barrier = gt_barrier(sw);
		policy_lock(p);
		ret = gt_assoc(p->e, p->q->fd, gtid, barrier);
		if (ret >= 0 && !(ret & (GHOST_ASSOC_SF_BRAND_NEW |
					 GHOST_ASSOC_SF_ALREADY)))
			learn(p, gtid, info, barrier);
		policy_unlock(p);
		if (ret == -ENOENT)
			gt_sw_free(p->e, info);
		if (ret != -ESTALE)
			return;
	}
}

void policy_adopt(struct policy *p)
{
	struct ghost_status_word *sw;
	struct ghost_sw_info info = { 0 };
	uint32_t flags;

	for (; info.index < p->e->region->capacity; info.index++) {
		sw = gt_sw_at(p->e, info);
		flags = gt_flags(sw);
		if (!(flags & GHOST_SW_F_INUSE))
			continue;
		if (!(flags & GHOST_SW_TASK_IS_AGENT))
			adopt_one(p, info, sw);
		else if (flags & GHOST_SW_F_CANFREE)
			gt_sw_free(p->e, info);
	}
}

/* Whoever can be committed nowhere becomes a normal thread. */
void policy_release(struct policy *p)
{
	struct sched_param sp = { 0 };
	pid_t tids[16];
	int i, n = 0;

	policy_lock(p);
	for (i = 0; i < p->nr && n < 16; i++) {
		if (!p->task[i].release)
			continue;
		tids[n++] = p->task[i].gtid >> GHOST_GTID_SEQNUM_BITS;
		p->task[i].release = false;
		p->task[i].failures = 0;
	}
	policy_unlock(p);
	while (n--)
		count(F_RELEASED, !sched_setscheduler(tids[n], SCHED_OTHER, &sp));
}
