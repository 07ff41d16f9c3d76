// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * First come, first served, on each CPU by itself.
 *
 * Every CPU has an agent, a message queue and a list of ready tasks. An agent
 * does the same three things for ever:
 *
 *	1. read its barrier (a number that changes with each message);
 *	2. read the messages, which move tasks on and off the ready list;
 *	3. run the first ready task, or wait if there is none. Both calls carry
 *	   the barrier: if a message has come since step 1 the kernel refuses,
 *	   and the agent starts over. So no message is ever slept through.
 *
 * When the kernel accepts the task, the agent sleeps inside that call, and the
 * next message wakes it.
 *
 * New tasks are announced to the first CPU's agent. It chooses the CPU with the
 * fewest tasks among those where the task may run, and hands it over; from then
 * on that CPU's queue gets the task's messages. A task stays on its CPU until
 * its affinity changes, or waits behind threads of other classes there for so
 * long that fifo_relieve() has it handed over to another CPU.
 *
 * Order: who wakes up or yields goes last. Who is preempted, by a normal thread
 * or because its agent had to read a message, goes first: it has not had its
 * turn to the end. Only if its slice was over (fifo_rotate()) it goes last.
 */
#include <errno.h>
#include <stdlib.h>

#include "fifo.h"

#define QUEUE_SLOTS	16384
#define MASK_LONGS	128	/* 8192 CPUs */
#define LONG_BITS	(8 * (int)sizeof(long))

#define COUNT(what, n)	__atomic_add_fetch(&(what), n, __ATOMIC_RELAXED)
#define LOOK(what)	__atomic_load_n(&(what), __ATOMIC_RELAXED)
#define SET(what, v)	__atomic_store_n(&(what), v, __ATOMIC_RELAXED)

/* ---- the ready list ---- */

static void enqueue(struct fifo_cpu *c, struct fifo_job *job, bool first)
{
	if (first)
		TAILQ_INSERT_HEAD(&c->ready, job, link);
	else
		TAILQ_INSERT_TAIL(&c->ready, job, link);
	job->queued = true;
	COUNT(c->stats.ready, 1);
}

static void dequeue(struct fifo_cpu *c, struct fifo_job *job)
{
	if (!job->queued)
		return;
	TAILQ_REMOVE(&c->ready, job, link);
	job->queued = false;
	COUNT(c->stats.ready, -1);
}

/* ---- how long tasks waited across a handoff ---- */

static void settle(struct fifo_cpu *c, struct ghost_task *task, int64_t until)
{
	struct fifo *f = c->fifo;
	int64_t wait = until - task->waiting_since;
	int64_t longest = LOOK(f->longest_wait_ns);

	if (!task->waiting_since)
		return;
	task->waiting_since = 0;
	while (wait > longest &&
	       !__atomic_compare_exchange_n(&f->longest_wait_ns, &longest, wait,
					    false, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED))
		;
	COUNT(f->unsettled, -1);
}

/* ---- which CPU ---- */

static bool allows(const unsigned long *mask, int cpu)
{
	return mask[cpu / LONG_BITS] >> (cpu % LONG_BITS) & 1;
}

/* The least loaded CPU but @not on which the task may run, or -1. */
static int choose(struct fifo *f, struct ghost_task *task, int not)
{
	unsigned long mask[MASK_LONGS];
	int start = COUNT(f->next, 1) & 0xffff;
	int best = -1, i;
	bool known;

	known = !ghost_task_affinity(task->gtid, mask, sizeof(mask));
	for (i = 0; i < f->nr_cpus; i++) {
		int n = (start + i) % f->nr_cpus;

		if (n == not ||
		    (known && !allows(mask, ghost_enclave_cpu(f->enclave, n))))
			continue;
		if (best < 0 ||
		    LOOK(f->cpus[n].stats.load) <
		    LOOK(f->cpus[best].stats.load))
			best = n;
	}
	return best;
}

static bool may_run_here(struct fifo_cpu *c, struct ghost_task *task)
{
	unsigned long mask[MASK_LONGS];

	return ghost_task_affinity(task->gtid, mask, sizeof(mask)) ||
		allows(mask, ghost_enclave_cpu(c->fifo->enclave, c->index));
}

static void leave_cpu(struct fifo_cpu *c, struct fifo_job *job)
{
	dequeue(c, job);
	if (job->placed)
		COUNT(c->stats.load, -1);
	job->placed = false;
}

/* True if the task is this CPU's now; else it will be heard of again. */
static bool put_on(struct fifo_cpu *c, struct fifo_job *job, int n)
{
	struct fifo_cpu *to = &c->fifo->cpus[n];
	int err;

	leave_cpu(c, job);
	COUNT(to->stats.load, 1);
	if (to != c) {
		err = ghost_tasks_move(c->tasks, job->task,
				       ghost_crew_queue(c->fifo->crew, n));
		if (!err)
			return false;
		COUNT(to->stats.load, -1);
		/* A newer message about it is in our queue. */
		if (err == -ESTALE || err == -ENOENT)
			return false;
		COUNT(c->stats.load, 1);
	}
	job->placed = true;
	return true;
}

static bool place(struct fifo_cpu *c, struct fifo_job *job)
{
	int n = choose(c->fifo, job->task, -1);

	if (n >= 0)
		return put_on(c, job, n);
	/* It could wait here for ever: the normal scheduler can run it. */
	if (!ghost_task_release(job->task->gtid))
		COUNT(c->fifo->released, 1);
	return false;
}

/* Others have had this CPU for long: who waits for it goes on elsewhere. */
static void hand_over(struct fifo_cpu *c)
{
	struct fifo_job *job;
	int n, to;

	for (n = LOOK(c->stats.ready); n; n--) {
		job = TAILQ_FIRST(&c->ready);
		dequeue(c, job);
		to = choose(c->fifo, job->task, c->index);
		if (to < 0 || put_on(c, job, to))
			enqueue(c, job, false);
		else
			COUNT(c->fifo->moved, 1);
	}
}

/* ---- messages ---- */

static void forget(struct fifo_cpu *c, struct fifo_job *job)
{
	leave_cpu(c, job);
	settle(c, job->task, 0);
	ghost_tasks_forget(c->tasks, job->task);
}

static int handle(struct fifo_cpu *c, const struct ghost_event *ev)
{
	struct ghost_task *task;
	struct fifo_job *job;
	bool first = false;
	int err;

	COUNT(c->stats.messages, 1);
	err = ghost_tasks_apply(c->tasks, ev, &task);
	if (err == -ESTALE || (!err && !task))
		return 0;		/* old news, or not about a task */
	if (err)
		return err;
	job = ghost_task_data(task);
	job->task = task;

	if (ev->moved)
		job->placed = true;	/* the sender chose us, and counted */
	if (ev->type == MSG_TASK_AFFINITY_CHANGED)
		leave_cpu(c, job);
	if (ev->type == MSG_TASK_PREEMPT)
		first = !__atomic_exchange_n(&c->rotate, false,
					     __ATOMIC_RELAXED);

	switch (task->state) {
	case GHOST_TASK_RUNNABLE:
		if (!job->queued && (job->placed || place(c, job)))
			enqueue(c, job, first);
		break;
	case GHOST_TASK_GONE:
		forget(c, job);
		break;
	case GHOST_TASK_BLOCKED:
	case GHOST_TASK_ON_CPU:
		settle(c, task, 0);
		dequeue(c, job);
		break;
	}
	return 0;
}

/* The kernel repeats what a full queue lost, but not for the dead. */
static void sweep(struct fifo_cpu *c)
{
	struct ghost_task *task = ghost_tasks_next(c->tasks, NULL);

	while (task) {
		struct ghost_task *next = ghost_tasks_next(c->tasks, task);

		if (ghost_tasks_vanished(c->tasks, task))
			forget(c, ghost_task_data(task));
		task = next;
	}
}

static int read_messages(struct fifo_cpu *c)
{
	struct ghost_queue *q = ghost_agent_queue(c->agent);
	struct ghost_event ev;
	uint32_t overflow;
	int err = 0;

	while (!err && ghost_queue_next(q, &ev))
		err = handle(c, &ev);
	overflow = ghost_queue_overflow(q);
	if (overflow != c->overflow) {
		SET(c->overflow, overflow);
		sweep(c);
	}
	return err;
}

/* ---- decisions ---- */

static int index_of(struct fifo *f, int cpu)
{
	int i;

	for (i = 0; i < f->nr_cpus; i++)
		if (ghost_enclave_cpu(f->enclave, i) == cpu)
			return i;
	return -1;
}

/* The kernel refused to run the task: who knows more now? */
static void refused(struct fifo_cpu *c, struct fifo_job *job, int32_t state)
{
	struct ghost_task *task = job->task;
	int last = index_of(c->fifo, task->last_cpu);

	COUNT(c->stats.failed[state - GHOST_TXN_STATE_BASE], 1);
	switch (state) {
	case GHOST_TXN_TARGET_NOT_FOUND:
		forget(c, job);
		break;
	case GHOST_TXN_TARGET_NOT_RUNNABLE:
		break;			/* its message is on the way */
	case GHOST_TXN_TARGET_STALE:
		if (ghost_tasks_vanished(c->tasks, task)) {
			forget(c, job);
			break;
		}
		if (!ghost_tasks_current(c->tasks, task))
			break;		/* its message is on the way */
		/* It may not be moved now: try where it was last. */
		if (last >= 0 && last != c->index) {
			put_on(c, job, last);
			break;
		}
		/* What is done to its affinity while it is lent is not told. */
		if (!may_run_here(c, task)) {
			leave_cpu(c, job);
			if (place(c, job))
				enqueue(c, job, false);
			break;
		}
		__attribute__((fallthrough));
	case GHOST_TXN_TARGET_ONCPU:
		enqueue(c, job, false);	/* another CPU is letting go of it */
		c->misses++;
		break;
	case GHOST_TXN_AGENT_STALE:
		enqueue(c, job, true);	/* a message first */
		break;
	default:
		enqueue(c, job, true);	/* the CPU is not ours just now */
		c->misses = LOOK(c->stats.ready);
		break;
	}
}

static int run_first(struct fifo_cpu *c, uint32_t barrier)
{
	struct fifo_job *job = TAILQ_FIRST(&c->ready);
	int32_t state;
	int err;

	dequeue(c, job);
	SET(c->stats.running, true);
	err = ghost_agent_run_task(c->agent, job->task, barrier, 0, &state);
	SET(c->stats.running, false);
	if (err)
		return err;
	if (state != GHOST_TXN_COMPLETE) {
		refused(c, job, state);
		return 0;
	}
	/* It has run since; messages say how that ended. */
	c->misses = 0;
	COUNT(c->stats.commits, 1);
	settle(c, job->task, ghost_agent_commit_time(c->agent));
	return 0;
}

static int agent_body(struct ghost_agent *agent, void *arg)
{
	struct fifo *f = arg;
	struct fifo_cpu *c = &f->cpus[ghost_agent_index(agent)];
	int err;

	c->agent = agent;
	do {
		uint32_t barrier = ghost_agent_barrier(agent);
		bool others = ghost_agent_boosted(agent);

		if (ghost_agent_stopping(agent))
			return 0;
		err = read_messages(c);
		if (err)
			return err;
		SET(c->stats.boosted, others);
		if (__atomic_exchange_n(&c->relieve, false, __ATOMIC_RELAXED) &&
		    others)
			hand_over(c);
		if (TAILQ_EMPTY(&c->ready)) {
			err = ghost_agent_wait(agent, barrier, 0);
		} else if (others || c->misses >= LOOK(c->stats.ready)) {
			/* Back as soon as nobody else wants the CPU. */
			c->misses = 0;
			err = ghost_agent_wait(agent, barrier, RTLA_ON_IDLE);
		} else {
			err = run_first(c, barrier);
		}
	} while (!err);
	return err;
}

/* ---- for main() ---- */

void fifo_rotate(struct fifo *f)
{
	int i;

	for (i = 0; i < f->nr_cpus; i++) {
		struct fifo_cpu *c = &f->cpus[i];

		if (!LOOK(c->stats.running) || !LOOK(c->stats.ready))
			continue;
		SET(c->rotate, true);
		ghost_crew_wake(f->crew, i);	/* that preempts its task */
	}
}

void fifo_relieve(struct fifo *f)
{
	int i;

	for (i = 0; i < f->nr_cpus; i++) {
		struct fifo_cpu *c = &f->cpus[i];
		uint64_t commits = LOOK(c->stats.commits);

		if (LOOK(c->stats.boosted) && LOOK(c->stats.ready) &&
		    commits == c->commits_seen) {
			SET(c->relieve, true);
			ghost_crew_wake(f->crew, i);
		}
		c->commits_seen = commits;
	}
}

int fifo_create(struct fifo **fifo, struct ghost_enclave *enclave)
{
	static const struct ghost_crew_ops ops = { .run = agent_body };
	int i, n = ghost_enclave_nr_cpus(enclave), err = 0;
	struct fifo *f;

	f = calloc(1, sizeof(*f) + (size_t)n * sizeof(f->cpus[0]));
	if (!f)
		return -ENOMEM;
	f->enclave = enclave;
	f->nr_cpus = n;
	for (i = 0; i < n && !err; i++) {
		f->cpus[i].fifo = f;
		f->cpus[i].index = i;
		TAILQ_INIT(&f->cpus[i].ready);
		err = ghost_tasks_create(&f->cpus[i].tasks, enclave,
					 sizeof(struct fifo_job));
	}
	if (!err)
		err = ghost_crew_create(&f->crew, enclave, QUEUE_SLOTS, &ops,
					f);
	if (err) {
		fifo_destroy(f);
		return err;
	}
	*fifo = f;
	return 0;
}

void fifo_destroy(struct fifo *f)
{
	int i;

	ghost_crew_destroy(f->crew);
	for (i = 0; i < f->nr_cpus; i++)
		ghost_tasks_destroy(f->cpus[i].tasks);
	free(f);
}
