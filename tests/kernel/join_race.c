// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Joining against everything that the task does at that moment: leaving,
 * blocking, a change of its affinity or its nice value. Whatever comes first,
 * TASK_NEW is the first message of an incarnation, and there is one of it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"

#define RACE_MS		6000
#define ENOUGH		20

FIXTURE(race) {
	struct gt_enclave e;
	pid_t pid;
	uint64_t gtid;
};

FIXTURE_VARIANT(race) {
	bool naps;		/* the task: blocks all the time, or spins */
	bool outside;		/* on a CPU of no enclave */
};

FIXTURE_VARIANT_ADD(race, spinner) { .naps = false };
FIXTURE_VARIANT_ADD(race, napper) { .naps = true };
FIXTURE_VARIANT_ADD(race, spinner_outside) { .naps = false, .outside = true };

FIXTURE_SETUP(race)
{
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	self->pid = fork();
	if (!self->pid) {
		struct timespec nap = { 0, 1000 };

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		gt_pin(0, variant->outside ? gt_ncpus() - 1 : 1);
		for (;;)
			if (variant->naps)
				nanosleep(&nap, NULL);
	}
	self->gtid = gt_gtid_of(self->pid);
	ASSERT_NE(0, self->gtid);
}

FIXTURE_TEARDOWN(race)
{
	gt_destroy(&self->e);
	kill(self->pid, SIGKILL);
	waitpid(self->pid, NULL, 0);
	gt_enclave_close(&self->e);
}

static int leave(pid_t pid)
{
	struct sched_param sp = { 0 };

	return sched_setscheduler(pid, SCHED_OTHER, &sp) ? -errno : 0;
}

static int stop, turn;

/* What must not come before TASK_NEW; a few each turn, the queue has its end. */
static void *disturb(void *pid)
{
	int n = 0, seen = 0;

	gt_pin(0, gt_ncpus() > 2 ? 2 : 0);
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		if (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) == seen) {
			sched_yield();
			continue;
		}
		seen = __atomic_load_n(&turn, __ATOMIC_ACQUIRE);
		for (n = 0; n < 10; n++)
			setpriority(PRIO_PROCESS, (long)pid, n % 5);
	}
	return NULL;
}

TEST_F_TIMEOUT(race, leave_against_join, 60)
{
	int64_t end = gt_now_ms() + RACE_MS;
	int rounds = 0, deferred = 0, announced = 0, changed = 0, i, state;
	struct ghost_sw_info info;
	pthread_t thread;
	uint32_t seqnum;

	if (variant->outside && gt_ncpus() < 3)
		SKIP(return, "needs a CPU outside the enclave: 3 CPUs");
	stop = 0;
	ASSERT_EQ(0, pthread_create(&thread, NULL, disturb,
				    (void *)(long)self->pid));
	while (gt_now_ms() < end) {
		__atomic_add_fetch(&turn, 1, __ATOMIC_RELEASE);
		ASSERT_EQ(0, gt_join(&self->e, self->pid));
		ASSERT_EQ(0, gt_sw_info(&self->e, GHOST_TASK, self->gtid,
					&info));
		ASSERT_EQ(0, leave(self->pid));
		ASSERT_EQ(0, self->e.q.ring->overflow);
		gt_queue_consume(&self->e.q);
		/* One incarnation: NEW, anything but NEW, DEPARTED. */
		ASSERT_LE(2, self->e.q.logged);
		ASSERT_EQ(MSG_TASK_NEW, self->e.q.log[0].type);
		ASSERT_EQ(MSG_TASK_DEPARTED,
			  self->e.q.log[self->e.q.logged - 1].type);
		state = self->e.q.log[0].new_.runnable;
		seqnum = self->e.q.log[0].seqnum;
		for (i = 1; i < self->e.q.logged; i++) {
			const struct gt_msg *m = &self->e.q.log[i];

			ASSERT_EQ(self->gtid, m->gtid);
			ASSERT_NE(MSG_TASK_NEW, m->type);
			ASSERT_EQ(++seqnum, m->seqnum);
			switch (m->type) {
			case MSG_TASK_WAKEUP:
				ASSERT_EQ(0, state);
				state = 1;
				break;
			case MSG_TASK_PRIORITY_CHANGED:
				changed++;
				break;
			case MSG_TASK_DEPARTED:
				ASSERT_EQ(self->e.q.logged - 1, i);
				break;
			default:
				/* It never runs: nobody commits it. */
				ASSERT_EQ(0, m->type)
					TH_LOG("%s", gt_msg_name(m->type));
			}
		}
		deferred += self->e.q.log[0].new_.runnable == 0;
		announced += self->e.q.log[0].new_.runnable;
		self->e.q.logged = 0;
		ASSERT_EQ(0, gt_sw_free(&self->e, info));
		ASSERT_EQ(GHOST_SW_REGION_CAPACITY, self->e.region->available);
		rounds++;
		sched_yield();
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	TH_LOG("%d rounds: %d runnable, %d not, %d changes of nice", rounds,
	       announced, deferred, changed);
	if (rounds < ENOUGH || deferred < ENOUGH)
		SKIP(return, "%d of %d left before they scheduled, or slept",
		     deferred, rounds);
}

TEST_HARNESS_MAIN
