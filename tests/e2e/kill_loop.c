// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * kill -9 of the agent, fifty times, at random moments of start-up,
 * scheduling and handoff, under load. Afterwards a successor takes the
 * enclave or it is destroyed. No task is ever lost: who was created is alive
 * and makes progress, or has finished.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"

#define WORKERS		8
#define KILLS		50

struct worker {
	pid_t pid;
	uint64_t rounds;
};

static struct worker *workers;
static int *stop;

static void work(struct worker *w)
{
	volatile int i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (!__atomic_load_n(stop, __ATOMIC_ACQUIRE)) {
		for (i = 0; i < 20000; i++)
			;
		if (w - workers < WORKERS / 2)
			gt_sleep_ms(1 + (w - workers));
		else
			sched_yield();
		__atomic_add_fetch(&w->rounds, 1, __ATOMIC_RELEASE);
	}
	_exit(0);
}

/* An agent of the enclave; a take-over when @takeover. */
static pid_t start_agent(int id, bool takeover)
{
	char number[16];
	pid_t pid;

	snprintf(number, sizeof(number), "%d", id);
	pid = fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(1);
	open("/dev/null", O_WRONLY);
	execlp("ghost-fifo", "ghost-fifo",
	       takeover ? "--take-over" : "--enclave", number, NULL);
	_exit(127);
}

static void kill_agent(pid_t pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static int join_all(struct gt_enclave *e)
{
	int i, ret;

	for (i = 0; i < WORKERS; i++) {
		ret = gt_join(e, workers[i].pid);
		if (ret)
			return ret;
	}
	return 0;
}

/* Everybody gets further; else the number of who does not. */
static int stands_still(void)
{
	uint64_t before;
	int i;

	for (i = 0; i < WORKERS; i++) {
		before = __atomic_load_n(&workers[i].rounds, __ATOMIC_ACQUIRE);
		if (!gt_wait_for(__atomic_load_n(&workers[i].rounds,
						 __ATOMIC_ACQUIRE) != before))
			return i;
	}
	return -1;
}

static int new_enclave(struct gt_enclave *e, const char *cpus)
{
	int ret = gt_enclave_bare(e);

	if (!ret)
		ret = gt_set_cpus(e, cpus);
	if (!ret)
		ret = gt_put(e->ctl, "create sw_region 0 0");
	if (ret < 0)
		return ret;
	e->tasks = gt_file(e, "tasks", O_RDWR);
	return e->tasks < 0 ? e->tasks : join_all(e);
}

FIXTURE(kill_loop) {
	struct gt_enclave e;
	pid_t agent, successor;
};

FIXTURE_SETUP(kill_loop)
{
	pid_t pid;
	int i;

	ASSERT_EQ(0, gt_begin());
	workers = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)workers);
	stop = (int *)(workers + WORKERS);
	for (i = 0; i < WORKERS; i++) {
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			gt_pin(0, -1);
			work(&workers[i]);
		}
		workers[i].pid = pid;	/* not in the child: it is shared */
	}
	ASSERT_EQ(0, new_enclave(&self->e, gt_ncpus() > 2 ? "1-2" : "1"));
}

FIXTURE_TEARDOWN(kill_loop)
{
	int i;

	kill_agent(self->agent);
	kill_agent(self->successor);
	gt_destroy(&self->e);
	gt_enclave_close(&self->e);
	for (i = 0; i < WORKERS; i++) {
		kill(workers[i].pid, SIGKILL);
		waitpid(workers[i].pid, NULL, 0);
	}
}

TEST_F_TIMEOUT(kill_loop, no_task_is_lost, 100)
{
	const char *cpus = gt_ncpus() > 2 ? "1-2" : "1";
	unsigned int seed = getpid();
	int i, n, still, status, finished = 0;

	TH_LOG("seed %u", seed);
	for (n = 0; n < KILLS; n++) {
		/* Dies anywhere between exec and scheduling for a while. */
		self->agent = start_agent(self->e.id, false);
		ASSERT_LT(0, self->agent);
		gt_sleep_ms(rand_r(&seed) % 400);
		if (n % 3 == 1) {
			/* Or in the middle of a handoff, one or the other. */
			self->successor = start_agent(self->e.id, true);
			gt_sleep_ms(rand_r(&seed) % 400);
			if (rand_r(&seed) % 2)
				kill_agent(self->successor);
		}
		kill_agent(self->agent);
		kill_agent(self->successor);
		self->agent = 0;
		self->successor = 0;
		if (n % 5 == 4) {
			/* No successor: the owner ends the enclave. */
			gt_destroy(&self->e);
			ASSERT_TRUE(gt_gone(&self->e)) TH_LOG("kill %d", n);
			still = stands_still();
			ASSERT_EQ(-1, still)
				TH_LOG("kill %d: worker %d is lost", n, still);
			gt_enclave_close(&self->e);
			ASSERT_EQ(0, new_enclave(&self->e, cpus));
		}
		for (i = 0; i < WORKERS; i++) {
			ASSERT_EQ(0, kill(workers[i].pid, 0))
				TH_LOG("kill %d: worker %d is dead", n, i);
		}
	}

	/* A last successor finds them all and brings them to their end. */
	self->agent = start_agent(self->e.id, false);
	still = stands_still();
	EXPECT_EQ(-1, still) TH_LOG("worker %d is lost", still);
	__atomic_store_n(stop, 1, __ATOMIC_RELEASE);
	for (i = 0; i < WORKERS; i++) {
		if (gt_wait_for(gt_proc_state(workers[i].pid) == 'Z') &&
		    waitpid(workers[i].pid, &status, 0) == workers[i].pid &&
		    WIFEXITED(status) && !WEXITSTATUS(status))
			finished++;
	}
	EXPECT_EQ(WORKERS, finished);
}

TEST_HARNESS_MAIN
