// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * The handshake of parking agents, tried against lost wake-ups.
 *
 * The agent reads its barrier, looks for news, and parks with that barrier. A
 * producer makes news and then wakes it, at any moment: before the agent looks
 * (it finds them), between that and the park (the park is refused as stale) or
 * after it (the agent is woken). News that lie there while the agent sleeps are
 * a lost wake-up. A test that has not seen each of the three outcomes often
 * enough proves nothing, and says so.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "race.h"

#define load(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)

#define ROUNDS		3000
#define CAP_MS		4000
#define LOST_MS		20000
#define LATE_MS		50
#define OFTEN		20

#define MAX_PRODUCERS	4

static struct gt_agent agent;		/* of CPU 1 */

/* How the agent parks. */
enum park { BY_RUN, BY_NULL, BY_IDLE };

/* How news are made; all but NICE and TIMER leave them in user memory. */
enum news { NICE, TIMER, PING, CALL, LIST, SIGNAL };

struct producer {
	enum news news;
	struct gt_enclave *e;
	struct gt_task *t;		/* of NICE */
	int timer;
	uint32_t made;
	uint32_t seen;
	int nice;
	int lost;
	long late;		/* rounds; other things wake the agent, too */
};

static struct producer producers[MAX_PRODUCERS];
static int stop;

/* What the agent has met. */
static struct outcomes {
	long found, stale, woken;
	long stuck;		/* stale twice with one barrier */
	long back;		/* the barrier went back */
} met;

/* ---- the agent ---- */

/* Marks all news as seen; were there any? */
static bool look(struct gt_agent *a)
{
	struct gt_queue *q = &a->e->q;
	uint32_t seen[MAX_PRODUCERS];
	bool any = false;
	int i, k;

	for (i = 0; i < MAX_PRODUCERS; i++)
		seen[i] = producers[i].seen;
	gt_queue_consume(q);
	for (k = 0; k < q->logged; k++) {
		for (i = 0; i < MAX_PRODUCERS; i++) {
			struct producer *p = &producers[i];

			if ((q->log[k].type == MSG_TASK_PRIORITY_CHANGED &&
			     p->t && p->t->gtid == q->log[k].gtid) ||
			    (q->log[k].type == MSG_CPU_TIMER_EXPIRED &&
			     q->log[k].timer.cookie == i))
				seen[i]++;
		}
	}
	q->logged = 0;
	for (i = 0; i < MAX_PRODUCERS; i++) {
		struct producer *p = &producers[i];

		if (p->news != NICE && p->news != TIMER)
			seen[i] = load(&p->made);
		if (seen[i] == p->seen)
			continue;
		store(&p->seen, seen[i]);
		any = true;
	}
	return any;
}

/*
 * A signal steps no barrier, so one that comes before the system call would be
 * forgotten: its handler spoils the barrier that the agent is about to park
 * with. One that comes later is the kernel's affair. Two may come in between, so
 * what spoils must be the same each time.
 */
static volatile sig_atomic_t signalled;
static uint32_t spoiled;
static struct ghost_ioc_run run;

static void on_signal(int sig)
{
	signalled = 1;
	store(&run.agent_barrier, load(&spoiled));
	store(&agent.e->cpu[1].txn.agent_barrier, load(&spoiled));
}

/* 0: it has parked and was woken; -ESTALE; else an error. */
static int park(struct gt_agent *a, enum park how, uint32_t barrier)
{
	int ret;

	run.run_cpu = a->cpu;
	store(&spoiled, ~barrier);
	store(&run.agent_barrier, barrier);
	if (how == BY_RUN)
		return signalled ? -ESTALE : gt_run(a->e, &run);
	gt_txn_fill(a->e, a->cpu, &(struct gt_txn){
		.gtid = how == BY_NULL ? GHOST_NULL_GTID : GHOST_IDLE_GTID,
		.agent_barrier = barrier,
		.commit_flags = COMMIT_AT_TXN_COMMIT | ALLOW_TASK_ONCPU,
	});
	if (signalled)
		return -ESTALE;
	ret = gt_txn_ioctl(a->e, 1ULL << a->cpu);
	if (ret)
		return ret;
	switch (gt_txn_state(a->e, a->cpu)) {
	case GHOST_TXN_COMPLETE:
		return 0;
	case GHOST_TXN_AGENT_STALE:
		return -ESTALE;
	default:
		return gt_txn_state(a->e, a->cpu);
	}
}

static long keep_parking(struct gt_agent *a, void *arg)
{
	enum park how = (long)arg;
	unsigned int seed = gt_now_ms();
	uint32_t barrier, last = gt_barrier(a->sw);
	bool was_stale = false;
	int ret;

	while (!load(&stop)) {
		barrier = gt_barrier(a->sw);
		if (was_stale && barrier == last)
			met.stuck++;
		if ((int32_t)(barrier - last) < 0)
			met.back++;
		last = barrier;
		was_stale = false;
		signalled = 0;
		if (look(a)) {
			met.found++;
			continue;
		}
		race_delay(&seed);
		ret = park(a, how, barrier);
		if (ret == -ESTALE) {
			was_stale = !signalled;
			met.stale++;
		} else if (ret) {
			return ret;
		} else if (look(a)) {
			met.woken++;
		}
	}
	return 0;
}

/* ---- producers ---- */

static int make_news(struct producer *p)
{
	struct ghost_agent_wakeup w = { .cpu = 1 };
	struct ghost_ioc_config_queue_wakeup list = {
		.qfd = p->e->q.fd, .w = &w, .ninfo = 1,
	};
	struct itimerspec soon = { .it_value.tv_nsec = 1 };
	struct ghost_ioc_timerfd_settime timer = {
		.timerfd = p->timer, .in_tmr = &soon,
		.timerfd_ghost = {
			.cpu = 1, .flags = TIMERFD_GHOST_ENABLED,
			.cookie = p - producers,
		},
	};

	store(&p->made, p->made + 1);
	switch (p->news) {
	case NICE:
		p->nice = !p->nice;
		return setpriority(PRIO_PROCESS, p->t->pid, p->nice) ? -errno : 0;
	case TIMER:
		return gt_ioctl(p->e->ctl, GHOST_IOC_TIMERFD_SETTIME, &timer);
	case PING:
		return gt_ping(p->e, 1);
	case CALL:
		gt_txn_fill(p->e, 1, &(struct gt_txn){
			.gtid = GHOST_AGENT_GTID,
			.commit_flags = COMMIT_AT_TXN_COMMIT,
		});
		return gt_txn_ioctl(p->e, 2);
	case LIST:
		return gt_ioctl(p->e->ctl, GHOST_IOC_CONFIG_QUEUE_WAKEUP, &list);
	case SIGNAL:
		return -pthread_kill(agent.thread, SIGUSR1);
	}
	return -EINVAL;
}

static bool is_seen(struct producer *p)
{
	int64_t start = gt_now_ms(), end = start + LOST_MS;
	int spins;

	do {
		for (spins = 0; spins < 4096; spins++)
			if (load(&p->seen) == p->made) {
				p->late += gt_now_ms() - start > LATE_MS;
				return true;
			}
		sched_yield();
	} while (gt_now_ms() < end);
	return false;
}

/* Returns the error of the system call that failed, or 0. */
static int produce(struct producer *p, struct race *r)
{
	int ret;

	while (!load(&stop) && !p->lost && race_goes_on(r)) {
		race_delay(&r->seed);
		ret = make_news(p);
		if (ret)
			return ret;
		p->lost = !is_seen(p);
	}
	return 0;
}

/* ---- one producer, on CPU 0 ---- */

FIXTURE(litmus) {
	struct gt_enclave e;
	struct gt_task t[MAX_PRODUCERS];
	struct race r;
};

FIXTURE_VARIANT(litmus) {
	enum park park;
};

FIXTURE_VARIANT_ADD(litmus, run) { .park = BY_RUN };
FIXTURE_VARIANT_ADD(litmus, null_commit) { .park = BY_NULL };
FIXTURE_VARIANT_ADD(litmus, idle_commit) { .park = BY_IDLE };

static int wake_list(struct gt_enclave *e)
{
	struct ghost_agent_wakeup w = { .cpu = 1 };
	struct ghost_ioc_config_queue_wakeup list = {
		.qfd = e->q.fd, .w = &w, .ninfo = 1,
	};

	return gt_ioctl(e->ctl, GHOST_IOC_CONFIG_QUEUE_WAKEUP, &list);
}

FIXTURE_SETUP(litmus)
{
	int i;

	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, wake_list(&self->e));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	for (i = 0; i < MAX_PRODUCERS; i++) {
		producers[i] = (struct producer){ .e = &self->e, .news = NICE };
		producers[i].timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
		ASSERT_LE(0, producers[i].timer);
	}
	signal(SIGUSR1, on_signal);
}

FIXTURE_TEARDOWN(litmus)
{
	int i;

	store(&stop, 1);
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	for (i = 0; i < MAX_PRODUCERS; i++)
		gt_task_end(&self->t[i]);
	gt_enclave_close(&self->e);
}

static int add_task(struct gt_enclave *e, struct gt_task *t, struct producer *p)
{
	int ret = gt_task_start(t);

	p->t = t;
	return ret ? ret : gt_join_asleep(e, t, NULL);
}

#define START_AGENT() \
	ASSERT_EQ(0, gt_post(&agent, keep_parking, (void *)(long)variant->park))

#define STOP_AGENT() do {						\
	long __ret = -1;						\
									\
	store(&stop, 1);						\
	ASSERT_EQ(0, gt_finish(&agent, &__ret));			\
	EXPECT_EQ(0, __ret);						\
	EXPECT_EQ(0, met.stuck) TH_LOG("stale, with the same barrier again"); \
	EXPECT_EQ(0, met.back) TH_LOG("the agent barrier went back");	\
} while (0)

#define VERDICT() do {							\
	struct race_window w[] = {					\
		{ "found before parking", met.found, OFTEN },		\
		{ "refused as stale", met.stale, OFTEN },		\
		{ "parked and woken", met.woken, OFTEN },		\
	};								\
									\
	RACE_VERDICT(&self->r, w);					\
} while (0)

#define ALONE(kind) do {						\
	struct producer *p = &producers[0];				\
									\
	p->news = kind;							\
	if (kind == NICE) {						\
		ASSERT_EQ(0, add_task(&self->e, &self->t[0], p));	\
	}								\
	START_AGENT();							\
	race_start(&self->r, ROUNDS, CAP_MS);				\
	EXPECT_EQ(0, produce(p, &self->r));				\
	EXPECT_EQ(0, p->lost)						\
		TH_LOG("a wake-up was lost in round %ld", self->r.rounds); \
	EXPECT_LE(4 * p->late, self->r.rounds)				\
		TH_LOG("%ld of %ld rounds are late", p->late, self->r.rounds); \
	STOP_AGENT();							\
	VERDICT();							\
} while (0)

TEST_F(litmus, message)
{
	ALONE(NICE);
}

TEST_F(litmus, timer)
{
	ALONE(TIMER);
}

TEST_F(litmus, ping)
{
	ALONE(PING);
}

/* The transaction of the CPU is one: it serves the call or the park. */
TEST_F(litmus, agent_commit)
{
	if (variant->park != BY_RUN)
		SKIP(return, "the agent parks by the same transaction");
	ALONE(CALL);
}

/* Steps the authoritative barrier only, without a lock. */
TEST_F(litmus, lockless_increment)
{
	ALONE(LIST);
}

/* ---- several producers, on all other CPUs ---- */

struct worker {
	struct producer *p;
	struct race r;
	pthread_t thread;
	int cpu;
	int error;
};

static void *work(void *arg)
{
	struct worker *w = arg;

	gt_pin(0, w->cpu);
	w->error = produce(w->p, &w->r);
	return NULL;
}

TEST_F(litmus, all_at_once)
{
	static const enum news kinds[MAX_PRODUCERS] = { NICE, TIMER, PING, LIST };
	struct worker w[MAX_PRODUCERS];
	int i, cpu = 0;

	for (i = 0; i < MAX_PRODUCERS; i++) {
		producers[i].news = kinds[i];
		if (kinds[i] == NICE) {
			ASSERT_EQ(0, add_task(&self->e, &self->t[i],
					      &producers[i]));
		}
		w[i] = (struct worker){ .p = &producers[i], .cpu = cpu };
		race_start(&w[i].r, ROUNDS, CAP_MS);
		w[i].r.seed += i;
		/* The agent's CPU is its own. */
		cpu = (cpu + 1) % gt_ncpus();
		cpu += cpu == 1;
		cpu %= gt_ncpus();
	}
	START_AGENT();
	for (i = 0; i < MAX_PRODUCERS; i++)
		ASSERT_EQ(0, pthread_create(&w[i].thread, NULL, work, &w[i]));
	race_start(&self->r, 0, 0);
	for (i = 0; i < MAX_PRODUCERS; i++) {
		pthread_join(w[i].thread, NULL);
		EXPECT_EQ(0, w[i].error) TH_LOG("producer %d", i);
		EXPECT_EQ(0, w[i].p->lost)
			TH_LOG("producer %d: a wake-up was lost", i);
		self->r.rounds += w[i].r.rounds;
	}
	STOP_AGENT();
	VERDICT();
}

TEST_F(litmus, signal)
{
	ALONE(SIGNAL);
}

TEST_HARNESS_MAIN
