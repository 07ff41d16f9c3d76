// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Every CPU of the machine but the first: an agent, a task, and its commits. */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/param.h>

#include "kselftest_harness.h"
#include "gt.h"

#define MAX_CPUS	64		/* that gt_txn_ioctl() can name */

static struct gt_agent agents[MAX_CPUS];
static struct gt_task tasks[MAX_CPUS];

FIXTURE(sweep) {
	struct gt_enclave e;
	int ncpus;
};

FIXTURE_SETUP(sweep)
{
	char cpus[16];
	int cpu;

	self->ncpus = gt_ncpus() < MAX_CPUS ? gt_ncpus() : MAX_CPUS;
	snprintf(cpus, sizeof(cpus), "1-%d", self->ncpus - 1);
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, cpus))
		TH_LOG("enclave: %s", self->e.step);
	/* Before the agents, whose stacks each of them would lock. */
	for (cpu = 1; cpu < self->ncpus; cpu++)
		ASSERT_EQ(0, gt_task_start(&tasks[cpu])) { }
	for (cpu = 1; cpu < self->ncpus; cpu++) {
		ASSERT_EQ(0, gt_agent_start(&agents[cpu], &self->e, cpu, -1));
		ASSERT_EQ(0, gt_join_asleep(&self->e, &tasks[cpu], NULL));
	}
}

FIXTURE_TEARDOWN(sweep)
{
	int cpu;

	for (cpu = 1; cpu < self->ncpus; cpu++)
		gt_agent_stop(&agents[cpu]);
	gt_destroy(&self->e);
	for (cpu = 1; cpu < self->ncpus; cpu++)
		gt_task_end(&tasks[cpu]);
	EXPECT_EQ(0, self->e.q.gaps);
	gt_enclave_close(&self->e);
}

static long current_cpu(long unused)
{
	return sched_getcpu();
}

/* Wakes the task of @cpu, which tells where it runs and sleeps again. */
static int wake(struct gt_enclave *e, int cpu)
{
	gt_tell_call(&tasks[cpu], current_cpu, 0);
	return gt_next_type(&e->q, tasks[cpu].gtid, MSG_TASK_WAKEUP, NULL);
}

TEST_F_TIMEOUT(sweep, one_commit_a_cpu, 300)
{
	int cpu;

	for (cpu = 1; cpu < self->ncpus; cpu++) {
		struct gt_task *t = &tasks[cpu];

		ASSERT_EQ(0, wake(&self->e, cpu));
		ASSERT_EQ(GHOST_TXN_COMPLETE,
			  gt_schedule(&agents[cpu], cpu, t, 0));
		ASSERT_EQ(0, gt_drive(&agents[cpu], cpu, t, MSG_TASK_BLOCKED,
				      NULL)) TH_LOG("CPU %d", cpu);
		EXPECT_EQ(cpu, t->ctl->result);
	}
}

static long commit_all(struct gt_agent *a, void *mask)
{
	a->e->cpu[a->cpu].txn.agent_barrier = gt_barrier(a->sw);
	return gt_txn_ioctl(a->e, *(__u64 *)mask);
}

static void fill(struct gt_enclave *e, int cpu)
{
	gt_txn_fill(e, cpu, &(struct gt_txn){
		.gtid = tasks[cpu].gtid,
		.task_barrier = gt_barrier(gt_sw(e, tasks[cpu].gtid)),
		.commit_flags = COMMIT_AT_TXN_COMMIT,
	});
}

/* One ioctl of the agent of CPU 1. */
TEST_F_TIMEOUT(sweep, all_at_once, 300)
{
	int64_t end = gt_now_ms() + GT_WAIT_MS;
	static __u64 mask, left;
	int cpu, state, best = 0;

	for (cpu = 1; cpu < self->ncpus; cpu++) {
		ASSERT_EQ(0, wake(&self->e, cpu));
		left |= 1ULL << cpu;
	}
	/* A kernel thread may have a CPU; that poisons the agent's own. */
	while ((mask = left) && gt_now_ms() < end) {
		for (cpu = 1; cpu < self->ncpus; cpu++)
			if (mask & 1ULL << cpu)
				fill(&self->e, cpu);
		ASSERT_EQ(0, gt_post(&agents[1], commit_all, &mask));
		for (cpu = self->ncpus - 1; cpu; cpu--) {
			if (!(mask & 1ULL << cpu))
				continue;
			state = gt_txn_wait(&self->e, cpu);
			if (state == GHOST_TXN_COMPLETE)
				left &= ~(1ULL << cpu);
			else
				EXPECT_EQ(cpu == 1 && left & ~2ULL ?
					  GHOST_TXN_POISONED : GHOST_TXN_CPU_UNAVAIL,
					  state)
					TH_LOG("CPU %d: %s", cpu, gt_txn_name(state));
		}
		best = MAX(best, __builtin_popcountll(mask & ~left));
		ASSERT_EQ(0, gt_finish(&agents[1], NULL));
	}
	EXPECT_EQ(0, left);
	EXPECT_LE(self->ncpus / 2, best);
	for (cpu = 1; cpu < self->ncpus; cpu++) {
		ASSERT_EQ(0, gt_drive(&agents[cpu], cpu, &tasks[cpu],
				      MSG_TASK_BLOCKED, NULL))
			TH_LOG("CPU %d", cpu);
		EXPECT_EQ(cpu, tasks[cpu].ctl->result);
	}
}

TEST_HARNESS_MAIN
