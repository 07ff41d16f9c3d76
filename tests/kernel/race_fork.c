// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Fork against destroy: a member forks without a pause while its enclave is
 * destroyed. Each fork gives a child or says why not, and nobody is lost: who
 * was born a member goes on in the fair class.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt_policy.h"
#include "race.h"

#define load(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)

#define SLEEPERS	30
#define OFTEN		5

/* What the forking task has met, in shared memory. */
struct forks {
	pthread_mutex_t lock;		/* hands priority on */
	uint32_t locked, stop;
	long born;
	long dying, moved;		/* EXDEV, ECHILD */
	int other;			/* an errno that nothing explains */
	long ended;			/* children that were waited for */
};

static struct forks *forks;

FIXTURE(race_fork) {
	struct gt_task t[SLEEPERS], parent, waiter;
	struct race r;
};

FIXTURE_SETUP(race_fork)
{
	pthread_mutexattr_t attr;
	int i;

	ASSERT_EQ(0, gt_begin());
	forks = mmap(NULL, sizeof(*forks), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, forks);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	ASSERT_EQ(0, pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT));
	ASSERT_EQ(0, pthread_mutex_init(&forks->lock, &attr));
	for (i = 0; i < SLEEPERS; i++)
		ASSERT_EQ(0, gt_task_start(&self->t[i]));
	ASSERT_EQ(0, gt_task_start(&self->parent));
	ASSERT_EQ(0, gt_task_start(&self->waiter));
}

FIXTURE_TEARDOWN(race_fork)
{
	int i;

	gt_task_end(&self->parent);
	gt_task_end(&self->waiter);
	for (i = 0; i < SLEEPERS; i++)
		gt_task_end(&self->t[i]);
}

/* In the parent: forks until it is told to stop. */
static long fork_on(long boosted)
{
	pid_t pid;

	if (boosted)
		pthread_mutex_lock(&forks->lock);
	store(&forks->locked, 1);
	while (!load(&forks->stop)) {
		pid = fork();
		if (!pid)
			_exit(0);
		if (pid > 0) {
			forks->born++;
			/* Nobody schedules the children of the boosted. */
			if (!boosted && waitpid(pid, NULL, 0) == pid)
				forks->ended++;
			continue;
		}
		if (errno == EXDEV)
			forks->dying++;
		else if (errno == ECHILD)
			forks->moved++;
		else
			forks->other = errno;
	}
	if (boosted)
		pthread_mutex_unlock(&forks->lock);
	while (waitpid(-1, NULL, 0) > 0)
		forks->ended++;
	return 0;
}

/* In the waiter: a real-time thread that wants what the parent holds. */
static long want_lock(long unused)
{
	pthread_mutex_lock(&forks->lock);
	pthread_mutex_unlock(&forks->lock);
	return 0;
}

/* How many children did the queue see come and leave? */
static long rescued(struct gt_queue *q, uint64_t parent)
{
	uint64_t child = 0;
	long n = 0;
	int i;

	gt_queue_consume(q);
	for (i = 0; i < q->logged; i++) {
		if (q->log[i].type == MSG_TASK_NEW &&
		    q->log[i].new_.parent_gtid == parent)
			child = q->log[i].gtid;
		else if (q->log[i].type == MSG_TASK_DEPARTED)
			n += q->log[i].gtid == child;
	}
	return n;
}

/* Everybody is in the fair class and goes on. */
static bool all_well(struct gt_task *t, int nr)
{
	int i;

	for (i = 0; i < nr; i++) {
		if (!gt_wait_for(gt_policy(t[i].pid) == SCHED_OTHER))
			return false;
		gt_tell(&t[i], GT_BLOCK);
	}
	for (i = 0; i < nr; i++)
		if (!gt_wait_for(load(&t[i].ctl->done) == t[i].ctl->seq))
			return false;
	return true;
}

/*
 * The children run only when the agent's process schedules them, and it is
 * killed in the middle: some are rescued.
 */
TEST_F(race_fork, scheduled_by_an_agent)
{
	struct race_window w[] = {
		{ .name = "forked", .wanted = 10 * OFTEN },
		{ .name = "children rescued", .wanted = OFTEN },
		{ .name = "refused", .wanted = 0 },
	};
	unsigned int seed;
	pid_t host;

	race_start(&self->r, 100, RACE_MS);
	seed = self->r.seed;
	while (race_goes_on(&self->r)) {
		struct gt_enclave e;
		struct gt_queue q;
		struct ghost_ioc_set_default_queue def;

		ASSERT_EQ(0, gt_enclave_create(&e, "1"))
			TH_LOG("enclave: %s", e.step);
		host = gt_host_start(&e, 1, gt_schedule_all, NULL);
		ASSERT_LT(0, host);
		ASSERT_EQ(0, gt_join(&e, self->parent.pid));
		store(&forks->stop, 0);
		gt_tell_call(&self->parent, fork_on, 0);
		gt_sleep_ms(1 + rand_r(&seed) % 20);
		/* From here on the children are told to this process. */
		ASSERT_EQ(0, gt_queue_create(e.ctl, GT_QUEUE_ELEMS, &q));
		def.fd = q.fd;
		ASSERT_EQ(0, gt_ioctl(e.ctl, GHOST_IOC_SET_DEFAULT_QUEUE, &def));
		race_delay(&seed);
		ASSERT_EQ(0, gt_destroy(&e));
		ASSERT_EQ(host, waitpid(host, NULL, 0));
		ASSERT_TRUE(gt_gone(&e));
		ASSERT_TRUE(gt_wait_for(gt_policy(self->parent.pid) ==
					SCHED_OTHER));
		store(&forks->stop, 1);
		ASSERT_TRUE(all_well(&self->parent, 1))
			TH_LOG("the parent hangs in round %ld", self->r.rounds);
		w[1].seen += rescued(&q, self->parent.gtid);
		gt_queue_close(&q);
		gt_enclave_close(&e);
	}
	EXPECT_EQ(0, forks->other);
	EXPECT_EQ(forks->born, forks->ended);
	w[0].seen = forks->born;
	w[2].seen = forks->dying + forks->moved;
	RACE_VERDICT(&self->r, w);
}

/*
 * A member that is boosted needs no agent, and so forks on until it is moved,
 * the last of many: its forks are refused meanwhile.
 */
TEST_F(race_fork, boosted)
{
	struct race_window w[] = {
		{ .name = "forked", .wanted = 10 * OFTEN },
		{ .name = "refused, dying", .wanted = OFTEN },
		{ .name = "refused, moved", .wanted = 0 },
	};
	struct sched_param fifo = { .sched_priority = 1 };
	unsigned int seed;
	int i;

	ASSERT_EQ(0, sched_setscheduler(self->waiter.pid, SCHED_FIFO, &fifo));
	ASSERT_EQ(0, gt_pin(self->parent.pid, 1));
	ASSERT_EQ(0, gt_pin(self->waiter.pid, 1));
	race_start(&self->r, 100, RACE_MS);
	seed = self->r.seed;
	while (race_goes_on(&self->r)) {
		struct gt_enclave e;
		struct gt_queue q;
		struct ghost_ioc_set_default_queue def;

		ASSERT_EQ(0, gt_enclave_create(&e, "1"))
			TH_LOG("enclave: %s", e.step);
		store(&forks->stop, 0);
		store(&forks->locked, 0);
		gt_tell_call(&self->parent, fork_on, 1);
		ASSERT_TRUE(gt_wait_for(load(&forks->locked)));
		gt_tell_call(&self->waiter, want_lock, 0);
		ASSERT_TRUE(gt_asleep(&self->waiter));
		for (i = 0; i < SLEEPERS; i++)
			ASSERT_EQ(0, gt_join(&e, self->t[i].pid));
		ASSERT_EQ(0, gt_join(&e, self->parent.pid));
		/* Children are born with this queue, or with none. */
		ASSERT_EQ(0, gt_queue_create(e.ctl, 64, &q));
		def.fd = q.fd;
		ASSERT_EQ(0, gt_ioctl(e.ctl, GHOST_IOC_SET_DEFAULT_QUEUE, &def));
		gt_sleep_ms(1 + rand_r(&seed) % 5);
		gt_queue_close(&q);
		gt_sleep_ms(1 + rand_r(&seed) % 5);
		ASSERT_EQ(0, gt_destroy(&e));
		ASSERT_TRUE(gt_gone(&e));
		store(&forks->stop, 1);
		ASSERT_TRUE(all_well(&self->parent, 1))
			TH_LOG("the parent hangs in round %ld", self->r.rounds);
		ASSERT_TRUE(all_well(self->t, SLEEPERS));
		ASSERT_TRUE(gt_wait_for(load(&self->waiter.ctl->done) ==
					self->waiter.ctl->seq));
		gt_enclave_close(&e);
	}
	EXPECT_EQ(0, forks->other);
	EXPECT_EQ(forks->born, forks->ended);
	w[0].seen = forks->born;
	w[1].seen = forks->dying;
	w[2].seen = forks->moved;
	RACE_VERDICT(&self->r, w);
}

TEST_HARNESS_MAIN
