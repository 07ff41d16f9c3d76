// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Tasks that switch directly to each other, and what is told of them. */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "gt_switchto.h"

#ifndef FUTEX_SWITCHTO
#define FUTEX_SWITCHTO	71
#endif

#define load(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)

struct actor *actors;
struct gt_agent agent;

static long futex(uint32_t *word, int op, uint32_t value,
		  const struct timespec *to, uint32_t *word2)
{
	long ret = syscall(SYS_futex, word, op, value, to, word2, 0);

	return ret < 0 ? -errno : ret;
}

bool have_switchto(void)
{
	uint32_t word = 0;

	return futex(&word, FUTEX_SWITCHTO, 1, NULL, &word) != -ENOSYS;
}

int actors_start(struct gt_enclave *e, struct gt_task *t)
{
	int i, ret;

	ret = gt_begin();
	if (ret)
		return ret;
	actors = mmap(NULL, ACTORS * sizeof(*actors), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (actors == MAP_FAILED)
		return -errno;
	ret = gt_enclave_create(e, "1");
	for (i = 0; !ret && i < ACTORS; i++) {
		ret = gt_task_start(&t[i]);
		actors[i].ctl = t[i].ctl;
	}
	return ret ? ret : gt_agent_start(&agent, e, 1, -1);
}

void actors_stop(struct gt_enclave *e, struct gt_task *t)
{
	int i;

	gt_agent_stop(&agent);
	gt_destroy(e);
	for (i = 0; i < ACTORS; i++)
		gt_task_end(&t[i]);
}

/* ---- what the actors do ---- */

static struct timespec in_ms(int64_t ms)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += ms / 1000;
	ts.tv_nsec += ms % 1000 * 1000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000;
	}
	return ts;
}

static void sit(struct actor *a)
{
	while (!load(&a->seat))
		futex(&a->seat, FUTEX_WAIT, 0, NULL, NULL);
	store(&a->seat, 0);
}

static void switch_to(struct actor *a, struct actor *b)
{
	struct timespec ts = in_ms(a->timeout_ms);

	store(&b->seat, 1);
	a->ret = futex(&a->seat, FUTEX_SWITCHTO, 0,
		       a->timeout_ms ? &ts : NULL, &b->seat);
	store(&a->seat, 0);
}

static long act(long arg)
{
	struct actor *a = (struct actor *)arg;
	uint32_t seq = load(&a->ctl->seq);
	struct step *s;

	for (s = a->script; s->op != END; s++) {
		switch (s->op) {
		case WAIT:
			sit(a);
			break;
		case SWITCH:
			switch_to(a, &actors[s->to]);
			break;
		case YIELD:
			sched_yield();
			break;
		case SPIN:
			while (load(&a->ctl->seq) == seq)
				__atomic_add_fetch(&a->ctl->count, 1,
						   __ATOMIC_RELAXED);
			break;
		}
	}
	return 0;
}

void start_script(struct gt_task *t, int i, const struct step *script)
{
	int n = 0;

	do {
		actors[i].script[n] = script[n];
	} while (script[n++].op != END);
	gt_tell_call(&t[i], act, (long)&actors[i]);
}

long wake_actor(int i)
{
	return futex(&actors[i].seat, FUTEX_WAKE, INT_MAX, NULL, NULL);
}

/* ---- what the tests look at ---- */

struct gt_msg *last_msg(struct gt_enclave *e, uint64_t gtid)
{
	int i;

	gt_queue_consume(&e->q);
	for (i = e->q.logged - 1; i >= 0; i--)
		if (e->q.log[i].gtid == gtid)
			return &e->q.log[i];
	return NULL;
}

int count_msgs(struct gt_enclave *e, int from, uint64_t gtid, int type)
{
	int i, n = 0;

	gt_queue_consume(&e->q);
	for (i = from; i < e->q.logged; i++)
		n += e->q.log[i].gtid == gtid &&
			(!type || e->q.log[i].type == type);
	return n;
}

int log_end(struct gt_enclave *e)
{
	gt_queue_consume(&e->q);
	return e->q.logged;
}

struct gt_msg *find_msg(struct gt_enclave *e, int from, uint64_t gtid, int type)
{
	int i;

	gt_queue_consume(&e->q);
	for (i = from; i < e->q.logged; i++)
		if (e->q.log[i].gtid == gtid && e->q.log[i].type == type)
			return &e->q.log[i];
	return NULL;
}

bool run_dry(struct gt_enclave *e, struct gt_task *t)
{
	struct ghost_status_word *sw = gt_sw(e, t->gtid);
	int64_t end = gt_now_ms() + GT_WAIT_MS;
	uint32_t flags;

	while (sw && gt_now_ms() < end) {
		flags = gt_flags(sw);
		if (!(flags & (GHOST_SW_TASK_RUNNABLE | GHOST_SW_TASK_ONCPU)) &&
		    gt_asleep(t))
			return true;
		if (!(flags & GHOST_SW_TASK_ONCPU))
			gt_schedule(&agent, 1, t, 0);
		gt_sleep_ms(1);
	}
	return false;
}

bool calm(struct gt_enclave *e, struct gt_task *t, int nr)
{
	int i, s;

	for (i = 0; i < nr; i++) {
		for (s = 0; s < STEPS; s++)
			store(&actors[i].script[s].op, END);
		do {
			store(&actors[i].seat, 1);
			wake_actor(i);
			gt_tell(&t[i], GT_BLOCK);
			if (!run_dry(e, &t[i]))
				return false;
		} while (load(&t[i].ctl->done) != t[i].ctl->seq);
	}
	for (i = 0; i < nr; i++)
		store(&actors[i].seat, 0);
	return true;
}

bool seat(struct gt_enclave *e, struct gt_task *t, int i,
	  const struct step *script)
{
	start_script(t, i, script);
	return run_dry(e, &t[i]);
}

struct gt_msg *start_chain(struct gt_enclave *e, struct gt_task *t, int from,
			   uint16_t run_flags)
{
	int64_t end = gt_now_ms() + GT_WAIT_MS;
	struct gt_msg *m;
	bool first = true;
	int i;

	while (gt_now_ms() < end) {
		m = last_msg(e, t->gtid);
		if (m && m >= &e->q.log[from]) {
			/* A short one may have come to its end by now. */
			for (i = from; i < e->q.logged; i++)
				if (e->q.log[i].gtid == t->gtid &&
				    e->q.log[i].type == MSG_TASK_SWITCHTO)
					return &e->q.log[i];
			if (m->type == MSG_TASK_BLOCKED)
				return NULL;
			if (first || m->type == MSG_TASK_PREEMPT)
				gt_schedule(&agent, 1, t, run_flags);
			first = false;
		}
		gt_sleep_ms(1);
	}
	return NULL;
}

struct gt_msg *first_after(struct gt_enclave *e, int from, uint64_t gtid)
{
	int64_t end = gt_now_ms() + GT_WAIT_MS;
	int i;

	do {
		gt_queue_consume(&e->q);
		for (i = from; i < e->q.logged; i++) {
			struct gt_msg *m = &e->q.log[i];

			if (m->gtid == gtid && m->type != MSG_TASK_NEW &&
			    m->type != MSG_TASK_AFFINITY_CHANGED)
				return m;
		}
		gt_sleep_ms(1);
	} while (gt_now_ms() < end);
	return NULL;
}
