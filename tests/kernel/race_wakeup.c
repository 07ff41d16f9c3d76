// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * A wake-up that gives a sleeping task another CPU, against a commit of the same
 * task: it was found on the CPU that it slept on.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "race.h"

#define OFTEN	50
#define WAKERS	2

static struct gt_agent agents[3];

FIXTURE(race_wakeup) {
	struct gt_enclave e;
	struct gt_task t;
	struct race r;
	pid_t waker[WAKERS];
};

static int pipefd[2];

static void wake(int cpu)
{
	unsigned int seed = cpu;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	gt_pin(0, cpu);
	for (;;) {
		if (write(pipefd[1], "", 1) != 1)
			_exit(1);
		race_delay(&seed);
		/* The task sleeps in between. */
		usleep(100);
	}
}

static long read_for_ever(long arg)
{
	char c;

	while (read(pipefd[0], &c, 1) == 1 && c != 'e')
		arg++;
	return arg;
}

FIXTURE_SETUP(race_wakeup)
{
	int cpu;

	if (gt_ncpus() < 3)
		SKIP(return, "a remote agent needs 3 CPUs");
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, pipe(pipefd));
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1-2"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(1, gt_file_put(&self->e, "wake_on_waker_cpu", "1"));
	ASSERT_EQ(0, gt_task_start(&self->t));
	for (cpu = 1; cpu <= 2; cpu++)
		ASSERT_EQ(0, gt_agent_start(&agents[cpu], &self->e, cpu, -1)) { }
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
}

FIXTURE_TEARDOWN(race_wakeup)
{
	int cpu;

	for (cpu = 1; cpu <= 2; cpu++)
		gt_agent_stop(&agents[cpu]);
	gt_destroy(&self->e);
	gt_task_end(&self->t);
	gt_enclave_close(&self->e);
	close(pipefd[0]);
	close(pipefd[1]);
}

TEST_F(race_wakeup, found_elsewhere)
{
	struct race_window w[] = {
		{ .name = "committed", .wanted = OFTEN },
		{ .name = "asleep, stale or running", .wanted = OFTEN },
	};
	struct ghost_status_word *sw = gt_sw(&self->e, self->t.gtid);
	char counts[200];
	int i, cpu = 1, state;
	bool met;

	gt_tell_call(&self->t, read_for_ever, 0);
	for (i = 0; i < WAKERS; i++) {
		self->waker[i] = fork();
		ASSERT_LE(0, self->waker[i]);
		if (!self->waker[i])
			wake(2 * i);
	}
	race_start(&self->r, 10 * RACE_ROUNDS, RACE_MS / 2);
	while (race_goes_on(&self->r)) {
		gt_queue_consume(&self->e.q);
		self->e.q.logged = 0;
		/* Greedy: the CPU commits it in an interrupt. */
		gt_txn_fill(&self->e, cpu, &(struct gt_txn){
			.gtid = self->t.gtid,
			.task_barrier = gt_barrier(sw),
		});
		ASSERT_EQ(0, gt_txn_ioctl(&self->e, 1 << cpu));
		state = gt_txn_wait(&self->e, cpu);
		ASSERT_NE(GHOST_TXN_READY, state);
		w[state != GHOST_TXN_COMPLETE].seen++;
		cpu = 3 - cpu;
	}
	for (i = 0; i < WAKERS; i++) {
		kill(self->waker[i], SIGKILL);
		waitpid(self->waker[i], NULL, 0);
	}
	met = race_met(&self->r, w, ARRAY_SIZE(w), counts, sizeof(counts));
	printf("# counted: %s\n", counts);
	if (!met)
		SKIP(return, "windows were missed: %s", counts);
}

TEST_HARNESS_MAIN
