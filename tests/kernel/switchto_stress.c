// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Direct switches while other CPUs wake, kill, move and preempt the same tasks.
 *
 * Actors in pairs switch to each other for ever. The agent of CPU 1 schedules
 * them on all CPUs of the enclave, and holds each message against what it knows
 * of the task: who is told that a chain has ended must have taken the task for
 * blocked, and so on. The test thread disturbs. It passes only when chains have
 * ended in each way often enough, and when all pairs go on afterwards.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"

#ifndef FUTEX_SWITCHTO
#define FUTEX_SWITCHTO	71
#endif

#define ACTORS		4
#define MODELS		64
#define MAX_CPUS	8
#define LIMIT_MS	60000
#define ENOUGH		20

#define load(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)

/* ---- the pairs ---- */

struct actor {
	uint32_t seat;
	uint32_t rounds;
	uint32_t peer;
};

static struct {
	uint32_t stop;
	struct actor actors[ACTORS];
} *shared;

static long futex(uint32_t *word, int op, uint32_t value,
		  const struct timespec *to, uint32_t *word2)
{
	long ret = syscall(SYS_futex, word, op, value, to, word2, 0);

	return ret < 0 ? -errno : ret;
}

static long rally(long i)
{
	struct actor *a = &shared->actors[i], *b = &shared->actors[a->peer];
	struct timespec to;

	while (!load(&shared->stop)) {
		clock_gettime(CLOCK_MONOTONIC, &to);
		store(&b->seat, 1);
		futex(&a->seat, FUTEX_SWITCHTO, 0, a->rounds % 16 ? NULL : &to,
		      &b->seat);
		store(&a->seat, 0);
		store(&a->rounds, a->rounds + 1);
	}
	return 0;
}

/* ---- the policy, which runs in the agent of CPU 1 ---- */

enum state { GONE, BLOCKED, RUNNABLE, ONCPU };

struct model {
	uint64_t gtid;
	struct ghost_sw_info info;
	uint32_t barrier;
	enum state state;
	int cpu;
};

static struct policy {
	struct gt_enclave *e;
	int cpus;
	uint32_t stop;
	struct model models[MODELS];
	int nr;
	bool chain[MAX_CPUS];
	/* what happened */
	int chains, blocked, preempted, departed, commits;
	int errors;
	char error[200];	/* the first */
} policy;

static struct model *find(struct policy *p, uint64_t gtid)
{
	int i;

	for (i = p->nr - 1; i >= 0; i--)
		if (p->models[i].gtid == gtid && p->models[i].state != GONE)
			return &p->models[i];
	return NULL;
}

/* There are fewer tasks than models. */
static struct model *unused_model(struct policy *p)
{
	int i;

	for (i = 0; i < p->nr; i++)
		if (p->models[i].state == GONE)
			return &p->models[i];
	return &p->models[p->nr++];
}

static void complain(struct policy *p, const struct model *t,
		     const struct gt_msg *m, const char *what)
{
	static const char * const states[] = {
		"gone", "blocked", "runnable", "on a CPU",
	};

	if (!p->errors++)
		snprintf(p->error, sizeof(p->error),
			 "%s: %s %u of %llu, which is %s with barrier %u", what,
			 m ? gt_msg_name(m->type) : "commit",
			 m ? m->seqnum : 0, (unsigned long long)t->gtid,
			 states[t->state], t->barrier);
}

/* The task @t lost CPU @cpu, by a message that says whether a chain ended. */
static void lost_cpu(struct policy *p, struct model *t, const struct gt_msg *m,
		     int cpu, bool from_switchto, int *count)
{
	if (from_switchto) {
		if (t->state != BLOCKED || !p->chain[cpu])
			complain(p, t, m, "no chain");
		p->chain[cpu] = false;
		++*count;
	} else if (t->state != ONCPU) {
		complain(p, t, m, "not on a CPU");
	}
}

static void handle(struct policy *p, const struct gt_msg *m)
{
	struct model *t = find(p, m->gtid);
	static int others;

	if (m->type == MSG_TASK_NEW) {
		if (t) {
			complain(p, t, m, "known");
			return;
		}
		t = unused_model(p);
		*t = (struct model){
			.gtid = m->gtid,
			.info = m->new_.sw_info,
			.barrier = m->seqnum,
			.state = m->new_.runnable ? RUNNABLE : BLOCKED,
		};
		return;
	}
	if (!t)
		return;
	if (m->seqnum != t->barrier + 1)
		complain(p, t, m, "gap");
	t->barrier = m->seqnum;
	switch (m->type) {
	case MSG_TASK_WAKEUP:
		if (t->state != BLOCKED)
			complain(p, t, m, "not blocked");
		t->state = RUNNABLE;
		break;
	case MSG_TASK_BLOCKED:
		lost_cpu(p, t, m, m->blocked.cpu, m->blocked.from_switchto,
			 &p->blocked);
		t->state = BLOCKED;
		break;
	case MSG_TASK_PREEMPT:
		if (m->preempt.from_switchto && m->preempt.was_latched)
			complain(p, t, m, "latched by a switch");
		lost_cpu(p, t, m, m->preempt.cpu, m->preempt.from_switchto,
			 &p->preempted);
		t->state = RUNNABLE;
		break;
	case MSG_TASK_YIELD:
		lost_cpu(p, t, m, m->yield.cpu, m->yield.from_switchto, &others);
		t->state = RUNNABLE;
		break;
	case MSG_TASK_SWITCHTO:
		if (t->state != ONCPU || p->chain[m->switchto.cpu])
			complain(p, t, m, "cannot give a CPU");
		p->chain[m->switchto.cpu] = true;
		p->chains++;
		t->state = BLOCKED;
		break;
	case MSG_TASK_DEPARTED:
		if (m->departed.from_switchto) {
			if (!m->departed.was_current)
				complain(p, t, m, "not current");
			lost_cpu(p, t, m, m->departed.cpu, true, &p->departed);
		}
		t->state = GONE;
		gt_sw_free(p->e, t->info);
		break;
	case MSG_TASK_DEAD:
		if (t->state != BLOCKED)
			complain(p, t, m, "not blocked");
		t->state = GONE;
		gt_sw_free(p->e, t->info);
		break;
	}
}

static void drain(struct policy *p)
{
	struct gt_queue *q = &p->e->q;
	int i;

	gt_queue_consume(q);
	for (i = 0; i < q->logged; i++)
		handle(p, &q->log[i]);
	q->logged = 0;
}

static bool busy(struct policy *p, int cpu)
{
	int i;

	for (i = 0; i < p->nr; i++)
		if (p->models[i].state == ONCPU && p->models[i].cpu == cpu)
			return true;
	/* Once in a while, a chain must make room. */
	return p->chain[cpu] && rand() % 16;
}

/* The one that waits longest is not worth the lines: any. */
static struct model *any_runnable(struct policy *p)
{
	int i, start = p->nr ? rand() % p->nr : 0;

	for (i = 0; i < p->nr; i++) {
		struct model *t = &p->models[(start + i) % p->nr];

		if (t->state == RUNNABLE)
			return t;
	}
	return NULL;
}

/* Commit @t on @cpu; the agent parks inside if it is its own. */
static bool run_on(struct policy *p, struct model *t, int cpu, uint32_t barrier)
{
	int state;

	t->state = ONCPU;
	t->cpu = cpu;
	gt_txn_fill(p->e, cpu, &(struct gt_txn){
		.gtid = t->gtid,
		.task_barrier = t->barrier,
		.agent_barrier = barrier,
		.run_flags = rand() % 4 ? 0 : ELIDE_PREEMPT,
		.commit_flags = COMMIT_AT_TXN_COMMIT,
	});
	gt_txn_ioctl(p->e, 1ULL << cpu);
	state = gt_txn_state(p->e, cpu);
	if (state == GHOST_TXN_COMPLETE) {
		p->commits++;
		return true;
	}
	t->state = RUNNABLE;
	if (state == GHOST_TXN_TARGET_NOT_RUNNABLE ||
	    state == GHOST_TXN_TARGET_NOT_FOUND)
		complain(p, t, NULL, gt_txn_name(state));
	return false;
}

static long schedule_all(struct gt_agent *a, void *arg)
{
	struct ghost_ioc_run run = { .run_cpu = a->cpu };
	struct policy *p = arg;
	struct model *t;
	int cpu;

	while (!load(&p->stop)) {
		run.agent_barrier = gt_barrier(a->sw);
		drain(p);
		for (cpu = a->cpu + 1; cpu < p->cpus; cpu++) {
			t = any_runnable(p);
			if (t && !busy(p, cpu))
				run_on(p, t, cpu, 0);
		}
		t = any_runnable(p);
		run.run_flags = t ? RTLA_ON_IDLE : 0;
		/* Who does not give way to others is destroyed as a hog. */
		if (!t || gt_flags(a->sw) & GHOST_SW_BOOST_PRIO)
			gt_run(p->e, &run);
		else if (!busy(p, a->cpu))
			run_on(p, t, a->cpu, run.agent_barrier);
	}
	return 0;
}

/* ---- the test ---- */

FIXTURE(switchto_stress) {
	struct gt_enclave e;
	struct gt_task t[ACTORS];
	struct gt_agent agents[MAX_CPUS];
	int cpus;		/* 1 ... cpus - 1 are the enclave's */
};

FIXTURE_SETUP(switchto_stress)
{
	uint32_t word = 0;
	char cpus[16];
	int i;

	if (futex(&word, FUTEX_SWITCHTO, 1, NULL, &word) == -ENOSYS)
		SKIP(return, "a kernel without CONFIG_GHOST_SWITCHTO");
	ASSERT_EQ(0, gt_begin());
	self->cpus = gt_ncpus() < MAX_CPUS ? gt_ncpus() : MAX_CPUS;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, shared);
	snprintf(cpus, sizeof(cpus), "1-%d", self->cpus - 1);
	ASSERT_EQ(0, gt_enclave_create(&self->e, cpus))
		TH_LOG("enclave: %s", self->e.step);
	for (i = 0; i < ACTORS; i++) {
		shared->actors[i].peer = i ^ 1;
		ASSERT_EQ(0, gt_task_start(&self->t[i]));
	}
	for (i = 1; i < self->cpus; i++)
		ASSERT_EQ(0, gt_agent_start(&self->agents[i], &self->e, i, -1));
}

FIXTURE_TEARDOWN(switchto_stress)
{
	int i;

	store(&policy.stop, 1);
	for (i = 1; i < self->cpus; i++)
		gt_agent_stop(&self->agents[i]);
	gt_destroy(&self->e);
	for (i = 0; i < ACTORS; i++)
		gt_task_end(&self->t[i]);
	gt_enclave_close(&self->e);
}

static int enter(struct gt_enclave *e, struct gt_task *t, int i)
{
	int ret = gt_join(e, t->pid);

	if (!ret)
		gt_tell_call(t, rally, i);
	return ret;
}

static void wake(int i)
{
	store(&shared->actors[i].seat, 1);
	futex(&shared->actors[i].seat, FUTEX_WAKE, 1, NULL, NULL);
}

static void disturb(struct gt_enclave *e, struct gt_task *t, int ncpus)
{
	struct sched_param sp = { 0 };
	int i = rand() % ACTORS;

	switch (rand() % 16) {
	case 0 ... 4:
		gt_ping(e, 1 + rand() % (ncpus - 1));
		break;
	case 5 ... 7:
		wake(i);
		break;
	case 8:
		gt_file_put(e, "switchto_disabled", rand() % 4 ? "0" : "1");
		break;
	case 9:
		gt_pin(t[i].pid, rand() % 2 ? -1 : rand() % ncpus);
		break;
	case 10:
		setpriority(PRIO_PROCESS, t[i].pid, rand() % 20);
		break;
	case 11 ... 13:
		/* Out, and in again: its rally goes on meanwhile. */
		if (!sched_setscheduler(t[i].pid, SCHED_OTHER, &sp))
			gt_join(e, t[i].pid);
		break;
	case 14:
		if (rand() % 4)
			break;
		gt_task_end(&t[i]);
		if (!gt_task_start(&t[i]))
			enter(e, &t[i], i);
		break;
	}
}

static bool enough(struct policy *p)
{
	return load(&p->chains) >= 10 * ENOUGH && load(&p->blocked) >= ENOUGH &&
		load(&p->preempted) >= ENOUGH && load(&p->departed) >= 1;
}

TEST_F_TIMEOUT(switchto_stress, messages_are_consistent, 110)
{
	struct ghost_agent_wakeup w = { 1, 0 };
	struct ghost_ioc_config_queue_wakeup arg = {
		.qfd = self->e.q.fd, .w = &w, .ninfo = 1,
	};
	int64_t end = gt_now_ms() + LIMIT_MS;
	uint32_t before;
	int i;

	policy.e = &self->e;
	policy.cpus = self->cpus;
	ASSERT_EQ(0, gt_ioctl(self->e.ctl, GHOST_IOC_CONFIG_QUEUE_WAKEUP, &arg));
	ASSERT_EQ(0, gt_post(&self->agents[1], schedule_all, &policy));
	for (i = 0; i < ACTORS; i++)
		ASSERT_EQ(0, enter(&self->e, &self->t[i], i));

	while (!enough(&policy) && !load(&policy.errors) && gt_now_ms() < end) {
		disturb(&self->e, self->t, self->cpus);
		gt_sleep_ms(rand() % 4);
	}
	ASSERT_EQ(1, gt_file_put(&self->e, "switchto_disabled", "0"));
	EXPECT_EQ(0, policy.errors) TH_LOG("%s", policy.error);

	/* Nobody is lost: each pair goes on. */
	for (i = 0; i < ACTORS; i++) {
		before = load(&shared->actors[i].rounds);
		EXPECT_TRUE(gt_wait_for(load(&shared->actors[i].rounds) != before))
			TH_LOG("actor %d stands still", i);
	}
	TH_LOG("%d chains: %d ended blocked, %d preempted, %d departed; %d commits",
	       policy.chains, policy.blocked, policy.preempted, policy.departed,
	       policy.commits);
	if (!enough(&policy))
		TH_LOG("the windows were not met often enough");
	EXPECT_TRUE(enough(&policy));
}

TEST_HARNESS_MAIN
