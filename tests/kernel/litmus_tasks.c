// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * The same as litmus.c in real use: tasks are woken on other CPUs, and the
 * agent parks by committing one of them, or by RUN when there is none. A task
 * that is woken and never runs is a lost wake-up.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "race.h"

#define load(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)

#define ROUNDS		3000
#define CAP_MS		12000
#define LOST_MS		12000
#define OFTEN		20

#define TASKS		3

static struct gt_agent agent;		/* of CPU 1 */
static int stop;

static struct policy {
	struct {
		uint64_t gtid;
		uint32_t barrier;
		bool runnable;
	} task[TASKS];
	long stale_commit, stale_run, committed, parked, found;
	int bad;		/* a state that nothing here explains */
} policy;

/* ---- the agent ---- */

static bool take_messages(struct gt_queue *q)
{
	bool any = false;
	int i, k;

	gt_queue_consume(q);
	for (k = 0; k < q->logged; k++) {
		const struct gt_msg *m = &q->log[k];

		for (i = 0; i < TASKS; i++) {
			if (policy.task[i].gtid != m->gtid)
				continue;
			policy.task[i].barrier = m->seqnum;
			policy.task[i].runnable = m->type == MSG_TASK_WAKEUP ||
				m->type == MSG_TASK_PREEMPT ||
				m->type == MSG_TASK_YIELD ||
				(m->type == MSG_TASK_NEW && m->new_.runnable);
			any = true;
		}
	}
	q->logged = 0;
	return any;
}

static void commit_one(struct gt_agent *a, int i, uint32_t barrier)
{
	int state;

	gt_txn_fill(a->e, a->cpu, &(struct gt_txn){
		.gtid = policy.task[i].gtid,
		.task_barrier = policy.task[i].barrier,
		.agent_barrier = barrier,
		.commit_flags = COMMIT_AT_TXN_COMMIT,
	});
	gt_txn_ioctl(a->e, 1ULL << a->cpu);
	state = gt_txn_state(a->e, a->cpu);
	if (state == GHOST_TXN_COMPLETE) {
		policy.committed++;
		policy.task[i].runnable = false;	/* until it says so */
	} else if (state == GHOST_TXN_AGENT_STALE) {
		policy.stale_commit++;
	} else if (state != GHOST_TXN_TARGET_STALE) {
		policy.bad = state;
	}
}

static long schedule_tasks(struct gt_agent *a, void *unused)
{
	struct ghost_ioc_run run = { .run_cpu = a->cpu };
	unsigned int seed = gt_now_ms();
	int i, turn = 0, ret;

	while (!load(&stop)) {
		run.agent_barrier = gt_barrier(a->sw);
		policy.found += take_messages(&a->e->q);
		race_delay(&seed);
		for (i = 0; i < TASKS; i++) {
			turn = (turn + 1) % TASKS;
			if (policy.task[turn].runnable)
				break;
		}
		/* Others wait for the CPU: let them have it for now. */
		run.run_flags = i < TASKS ? RTLA_ON_IDLE : 0;
		if (i < TASKS && !(gt_flags(a->sw) & GHOST_SW_BOOST_PRIO)) {
			commit_one(a, turn, run.agent_barrier);
			continue;
		}
		ret = gt_run(a->e, &run);
		if (ret && ret != -ESTALE)
			return ret;
		policy.stale_run += ret == -ESTALE;
		policy.parked += !ret;
	}
	return 0;
}

/* ---- wakers ---- */

struct waker {
	struct gt_task t;
	struct race r;
	pthread_t thread;
	int cpu;
	bool lost;
};

static bool has_run(struct gt_task *t)
{
	int64_t end = gt_now_ms() + LOST_MS;
	int spins;

	do {
		for (spins = 0; spins < 4096; spins++)
			if (load(&t->ctl->done) == t->ctl->seq)
				return true;
		sched_yield();
	} while (gt_now_ms() < end);
	return false;
}

static void *wake(void *arg)
{
	struct waker *w = arg;

	gt_pin(0, w->cpu);
	while (!w->lost && race_goes_on(&w->r)) {
		race_delay(&w->r.seed);
		gt_tell(&w->t, GT_BLOCK);
		w->lost = !has_run(&w->t);
	}
	return NULL;
}

FIXTURE(litmus_tasks) {
	struct gt_enclave e;
	struct waker w[TASKS];
	struct race r;
};

FIXTURE_SETUP(litmus_tasks)
{
	struct ghost_agent_wakeup w = { .cpu = 1 };
	struct ghost_ioc_config_queue_wakeup list = { .w = &w, .ninfo = 1 };
	int i;

	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	list.qfd = self->e.q.fd;
	ASSERT_EQ(0, gt_ioctl(self->e.ctl, GHOST_IOC_CONFIG_QUEUE_WAKEUP, &list));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	for (i = 0; i < TASKS; i++) {
		ASSERT_EQ(0, gt_task_start(&self->w[i].t));
		policy.task[i].gtid = self->w[i].t.gtid;
	}
}

FIXTURE_TEARDOWN(litmus_tasks)
{
	int i;

	store(&stop, 1);
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	for (i = 0; i < TASKS; i++)
		gt_task_end(&self->w[i].t);
	gt_enclave_close(&self->e);
}

TEST_F(litmus_tasks, woken_elsewhere)
{
	struct race_window w[] = {
		{ .name = "parked by a commit", .wanted = OFTEN },
		{ .name = "commit refused as stale", .wanted = OFTEN },
		{ .name = "parked by RUN", .wanted = OFTEN },
		{ .name = "RUN refused as stale", .wanted = OFTEN },
		{ .name = "found before parking", .wanted = OFTEN },
	};
	long ret = -1;
	int i;

	ASSERT_EQ(0, gt_post(&agent, schedule_tasks, NULL));
	for (i = 0; i < TASKS; i++) {
		ASSERT_EQ(0, gt_join(&self->e, self->w[i].t.pid));
		/* One CPU is the agent's. */
		self->w[i].cpu = (i + 2) % gt_ncpus() == 1 ? 0 :
				 (i + 2) % gt_ncpus();
		race_start(&self->w[i].r, ROUNDS, CAP_MS);
		self->w[i].r.seed += i;
		ASSERT_EQ(0, pthread_create(&self->w[i].thread, NULL, wake,
					    &self->w[i]));
	}
	race_start(&self->r, 0, 0);
	for (i = 0; i < TASKS; i++) {
		pthread_join(self->w[i].thread, NULL);
		EXPECT_FALSE(self->w[i].lost)
			TH_LOG("task %d was woken in round %ld and never ran",
			       i, self->w[i].r.rounds);
		self->r.rounds += self->w[i].r.rounds;
	}
	store(&stop, 1);
	ASSERT_EQ(0, gt_finish(&agent, &ret));
	EXPECT_EQ(0, ret);
	EXPECT_EQ(0, policy.bad) TH_LOG("%s", gt_txn_name(policy.bad));
	EXPECT_EQ(0, self->e.q.gaps);
	w[0].seen = policy.committed;
	w[1].seen = policy.stale_commit;
	w[2].seen = policy.parked;
	w[3].seen = policy.stale_run;
	w[4].seen = policy.found;
	RACE_VERDICT(&self->r, w);
}

TEST_HARNESS_MAIN
