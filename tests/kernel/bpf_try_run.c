// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* bpf_ghost_try_run(): to latch a task with a bpf_spin_lock held. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt_bpf.h"
#include "gt_probe.h"

static struct gt_agent agents[3];

FIXTURE(try_run) {
	struct gt_enclave e;
	struct gt_task t, u;
	struct gt_bpf b;
	struct probe *p;
	int last;			/* CPUs are 1..last */
};

FIXTURE_SETUP(try_run)
{
	char cpus[16];
	int cpu;

	if (!gt_has_btf())
		SKIP(return, "kfuncs need BTF");
	ASSERT_EQ(0, gt_begin());
	ASSERT_LE(2, gt_ncpus()) TH_LOG("2 CPUs are needed");
	self->last = gt_ncpus() > 2 ? 2 : 1;
	snprintf(cpus, sizeof(cpus), "1-%d", self->last);
	ASSERT_EQ(0, gt_enclave_create(&self->e, cpus))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_bpf_probe(&self->b));
	self->p = self->b.shared;
	self->p->lock_in_messages = 1;
	ASSERT_EQ(0, gt_task_start(&self->t));
	ASSERT_EQ(0, gt_task_start(&self->u));
	for (cpu = 1; cpu <= self->last; cpu++)
		ASSERT_EQ(0, gt_agent_start(&agents[cpu], &self->e, cpu, -1)) { }
	ASSERT_EQ(0, gt_bpf_attach(&self->b, &self->e, GT_MSG));
	ASSERT_EQ(0, gt_bpf_attach(&self->b, &self->e, GT_SCHED));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->u, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
}

FIXTURE_TEARDOWN(try_run)
{
	int cpu;

	for (cpu = 1; cpu <= self->last; cpu++)
		gt_agent_stop(&agents[cpu]);
	gt_destroy(&self->e);
	gt_task_end(&self->t);
	gt_task_end(&self->u);
	gt_bpf_close(&self->b);
	gt_enclave_close(&self->e);
}

#define CALL(cpu, op, a, b, c) call(self->p, &self->e, cpu, op, a, b, c)
#define FAILURES() load32(&self->p->msg[MSG_TASK_LATCH_FAILURE].count)

/* Until no lock is in the way. */
static int64_t try_with(FIXTURE_DATA(try_run) *self, int cpu, uint64_t gtid,
			uint32_t barrier, int flags)
{
	int64_t ret = -EAGAIN;
	int i;

	for (i = 0; i < 100 && ret == -EAGAIN; i++)
		ret = CALL(cpu, PROBE_TRY_RUN, gtid, barrier, flags);
	return ret;
}

/* With the barrier of the moment. */
static int64_t try_task(FIXTURE_DATA(try_run) *self, int cpu, struct gt_task *t)
{
	int64_t ret = -ESTALE;
	int i;

	for (i = 0; i < 100 && ret == -ESTALE; i++)
		ret = try_with(self, cpu, t->gtid, barrier_of(&self->e, t), 0);
	return ret;
}

static bool gets_on(FIXTURE_DATA(try_run) *self, int cpu, struct gt_task *t)
{
	uint64_t count = t->ctl->count;
	int i;

	/* A kernel thread may have taken the latch. */
	for (i = 0; i < 20; i++) {
		if (gt_wait_for(__atomic_load_n(&t->ctl->count, __ATOMIC_RELAXED) !=
				count ||
				!(gt_flags(gt_sw(&self->e, t->gtid)) &
				  GHOST_SW_TASK_ONCPU)) &&
		    t->ctl->count != count)
			return true;
		try_task(self, cpu, t);
	}
	return false;
}

TEST_F(try_run, latches)
{
	int cpu;

	for (cpu = 1; cpu <= self->last; cpu++) {
		EXPECT_EQ(0, try_task(self, cpu, &self->t)) TH_LOG("CPU %d", cpu);
		EXPECT_TRUE(gets_on(self, cpu, &self->t)) TH_LOG("CPU %d", cpu);
		/* Off it again. */
		ASSERT_EQ(0, gt_ping(&self->e, cpu));
		ASSERT_TRUE(gt_stands(&self->t));
	}
	EXPECT_EQ(0, FAILURES());
	EXPECT_LE(self->last, gt_bpf_stat(&self->e, GT_SCHED, "latched "));
}

/* The errnos of run_gtid, but nobody is told. */
TEST_F(try_run, errors)
{
	struct gt_task other;
	uint32_t barrier;

	EXPECT_EQ(-ENOENT, try_with(self, 1, 12345, 0, 0));
	EXPECT_EQ(-ENOENT, try_with(self, 1, -1, 0, 0));
	EXPECT_EQ(-ENOENT, try_with(self, 1, agents[1].sw->gtid, 0, 0));
	barrier = barrier_of(&self->e, &self->u);
	EXPECT_EQ(-EINVAL, try_with(self, 1, self->u.gtid, barrier + 1, 0x8));
	EXPECT_EQ(-ESTALE, try_with(self, 1, self->u.gtid, barrier + 1, 0));
	EXPECT_EQ(-EINVAL, try_with(self, 1, self->u.gtid, barrier, 0));
	ASSERT_EQ(0, gt_task_start(&other));
	EXPECT_EQ(-ESTALE, try_with(self, 1, other.gtid, 0, 0));
	gt_task_end(&other);
	EXPECT_EQ(0, FAILURES());
	EXPECT_EQ(7, gt_bpf_stat(&self->e, GT_SCHED, "failed "));
	EXPECT_EQ(0, gt_bpf_stat(&self->e, GT_SCHED, "latched "));
}

TEST_F(try_run, of_one_that_runs)
{
	int64_t ret = 0;
	int i;

	if (self->last < 2)
		SKIP(return, "another CPU of the enclave is needed: 3 CPUs");
	for (i = 0; i < 20 && ret != -EBUSY; i++) {
		gt_ping(&self->e, 1);
		ASSERT_TRUE(gt_stands(&self->t));
		ASSERT_EQ(0, try_task(self, 2, &self->t));
		ASSERT_TRUE(gets_on(self, 2, &self->t));
		ret = try_task(self, 1, &self->t);
	}
	EXPECT_EQ(-EBUSY, ret);
	EXPECT_EQ(0, FAILURES());
}

/* Who is latched here would have to be told: only run_gtid does that. */
TEST_F(try_run, takes_no_latch_away)
{
	int64_t ret = -ESTALE;
	int i;

	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->u, NULL));
	/* Both wait on that CPU, whose lock is held. */
	for (i = 0; i < 20 && gt_cpu_of(self->u.pid) != 1; i++) {
		ASSERT_EQ(0, try_task(self, 1, &self->u));
		gt_ping(&self->e, 1);
		ASSERT_TRUE(gt_stands(&self->u));
	}
	ASSERT_EQ(1, gt_cpu_of(self->u.pid));
	/* A kernel thread may have had the latch: the PREEMPT is news. */
	for (i = 0; i < 100 && ret == -ESTALE; i++)
		ret = CALL(1, PROBE_TRY_RUN_AFTER, self->t.gtid,
			   barrier_of(&self->e, &self->t), self->u.gtid);
	EXPECT_EQ(-EAGAIN, ret);
	EXPECT_TRUE(gets_on(self, 1, &self->t));
	EXPECT_TRUE(gt_stands(&self->u));
}

/*
 * Messages of the task wait for the lock on one CPU, under that of its run queue,
 * while another has it and wants the run queue.
 */
TEST_F(try_run, against_messages)
{
	int64_t end = gt_now_ms() + GT_WAIT_MS, ret;
	int cpu = 1, tries = 0, again = 0, latched[3] = { 0 };
	pid_t child = start_renicing(self->t.pid);

	ASSERT_LT(0, child);
	while (gt_now_ms() < end && (latched[self->last] < 100 || tries < 1000)) {
		gt_queue_consume(&self->e.q);
		ret = CALL(cpu, PROBE_TRY_RUN, self->t.gtid,
			   barrier_of(&self->e, &self->t), 0);
		EXPECT_TRUE(!ret || ret == -EAGAIN || ret == -ESTALE || ret == -EBUSY)
			TH_LOG("%lld", (long long)ret);
		latched[cpu] += !ret;
		again += ret == -EAGAIN;
		/* Its agent takes the CPU from it: it waits there. */
		gt_ping(&self->e, cpu);
		cpu = 1 + ++tries % self->last;
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	printf("# counted: latched %d %d, again %d, of %d\n", latched[1], latched[2],
	       again, tries);
	EXPECT_LT(0, latched[1] + latched[2]);
	EXPECT_EQ(0, FAILURES());
}

TEST_HARNESS_MAIN
