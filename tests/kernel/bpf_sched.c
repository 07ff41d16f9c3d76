// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* GHOST_SCHED programs: their context, run_gtid and the other helpers. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt_bpf.h"
#include "gt_probe.h"

/* The program acts on CPU 1, whose agent is agents[1] and parks. */
static struct gt_agent agents[4];

FIXTURE(sched) {
	struct gt_enclave e;
	struct gt_task t, u;
	struct gt_bpf b;
	struct probe *p;
	int last;			/* CPUs are 1..last */
};

FIXTURE_SETUP(sched)
{
	char cpus[16];
	int cpu;

	ASSERT_EQ(0, gt_begin());
	ASSERT_LE(2, gt_ncpus()) TH_LOG("2 CPUs are needed");
	self->last = gt_ncpus() > 3 ? 3 : gt_ncpus() - 1;
	snprintf(cpus, sizeof(cpus), "1-%d", self->last);
	ASSERT_EQ(0, gt_enclave_create(&self->e, cpus))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_bpf_probe(&self->b));
	self->p = self->b.shared;
	ASSERT_EQ(0, gt_task_start(&self->t));
	ASSERT_EQ(0, gt_task_start(&self->u));
	for (cpu = 1; cpu <= self->last; cpu++)
		ASSERT_EQ(0, gt_agent_start(&agents[cpu], &self->e, cpu, -1)) { }
	ASSERT_EQ(0, gt_bpf_attach(&self->b, &self->e, GT_MSG));
	ASSERT_EQ(0, gt_bpf_attach(&self->b, &self->e, GT_SCHED));
}

FIXTURE_TEARDOWN(sched)
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

static bool runs(struct probe *p, struct gt_enclave *e, int cpu, struct gt_task *t)
{
	uint64_t count = t->ctl->count;
	int i;

	for (i = 0; i < 20; i++) {
		if (gt_wait_for(__atomic_load_n(&t->ctl->count, __ATOMIC_RELAXED) !=
				count ||
				!(gt_flags(gt_sw(e, t->gtid)) & GHOST_SW_TASK_ONCPU)) &&
		    t->ctl->count != count)
			return true;
		run_task(p, e, cpu, t, 0);
	}
	return false;
}

/* A member that spins as soon as it is picked. */
static int ready(FIXTURE_DATA(sched) *self, struct gt_task *t)
{
	int ret = gt_join_asleep(&self->e, t, NULL);

	return ret ? ret : gt_wake_spinner(&self->e, t, NULL);
}

TEST_F(sched, passes)
{
	uint32_t passes = load32(&self->p->passes[1]);

	EXPECT_EQ(0, gt_ping(&self->e, 1));
	EXPECT_TRUE(gt_wait_for(load32(&self->p->passes[1]) > passes));
	EXPECT_TRUE(gt_wait_for(self->p->sched[1].agent_on_rq &&
				!self->p->sched[1].agent_runnable));
	/* Without being woken it does not run. */
	EXPECT_EQ(1, self->p->with_agent[1].agent_on_rq);
	EXPECT_EQ(1, self->p->with_agent[1].agent_runnable);
	EXPECT_LT(0, gt_bpf_stat(&self->e, GT_SCHED, "runs "));
	/* Not on CPUs of no enclave. */
	EXPECT_EQ(0, load32(&self->p->passes[0]));
}

/* ABI: with or without an agent. */
TEST_F(sched, passes_without_an_agent)
{
	struct gt_task other;
	uint32_t passes;

	ASSERT_EQ(0, gt_agent_stop(&agents[1]));
	passes = load32(&self->p->passes[1]);
	ASSERT_EQ(0, gt_task_start(&other));
	ASSERT_EQ(0, gt_pin(other.pid, 1));
	gt_tell(&other, GT_SPIN);
	gt_tell(&other, GT_BLOCK);
	EXPECT_TRUE(gt_wait_for(load32(&self->p->passes[1]) > passes));
	EXPECT_TRUE(gt_wait_for(!self->p->sched[1].agent_on_rq));
	EXPECT_EQ(0, self->p->sched[1].agent_runnable);
	gt_task_end(&other);
}

TEST_F(sched, run_gtid)
{
	struct gt_msg m = { 0 };
	int i;

	ASSERT_EQ(0, ready(self, &self->t));
	EXPECT_TRUE(gt_stands(&self->t));
	ASSERT_EQ(0, run_task(self->p, &self->e, 1, &self->t, SEND_TASK_ON_CPU));
	/* A kernel thread may take the latch, and the flag goes with it. */
	for (i = 0; i < 20 && m.type != MSG_TASK_ON_CPU; i++)
		if (gt_next(&self->e.q, self->t.gtid, 1000, &m) ||
		    m.type == MSG_TASK_PREEMPT)
			run_task(self->p, &self->e, 1, &self->t, SEND_TASK_ON_CPU);
	EXPECT_EQ(MSG_TASK_ON_CPU, m.type);
	EXPECT_EQ(1, m.on_cpu.cpu);
	EXPECT_TRUE(runs(self->p, &self->e, 1, &self->t));
	EXPECT_LT(0, gt_bpf_stat(&self->e, GT_SCHED, "latched "));
}

/* What a program writes where it should only read changes nothing. */
TEST_F(sched, scribbles)
{
	struct gt_task other;
	struct gt_msg m;

	self->p->scribble = 1;
	ASSERT_EQ(0, ready(self, &self->t));
	EXPECT_EQ(0, run_task(self->p, &self->e, 1, &self->t, 0));
	EXPECT_TRUE(runs(self->p, &self->e, 1, &self->t));
	/* An agent runs when it is woken, and another class when it has work. */
	ASSERT_EQ(0, gt_ping(&self->e, 1));
	EXPECT_EQ(0, gt_next_type(&self->e.q, self->t.gtid, MSG_TASK_PREEMPT, &m));
	EXPECT_EQ(self->t.gtid, m.preempt.gtid);
	ASSERT_EQ(0, gt_task_start(&other));
	ASSERT_EQ(0, gt_pin(other.pid, 1));
	gt_tell(&other, GT_SPIN);
	EXPECT_TRUE(gt_spins(&other));
	gt_task_end(&other);
}

/* The message about the first try is shown to the other program in between. */
TEST_F(sched, run_gtid_after_a_nested_program)
{
	int64_t ret = -ESTALE;
	int i;

	ASSERT_EQ(0, ready(self, &self->t));
	/* A kernel thread may have had the latch: the PREEMPT is news. */
	for (i = 0; i < 100 && ret == -ESTALE; i++)
		ret = CALL(1, PROBE_RUN_GTID_AGAIN, self->t.gtid,
			   barrier_of(&self->e, &self->t), 0);
	EXPECT_EQ(0, ret);
	EXPECT_LT(0, load32(&self->p->nested));
	EXPECT_TRUE(runs(self->p, &self->e, 1, &self->t));
	EXPECT_LT(0, gt_bpf_stat(&self->e, GT_SCHED, "failed "));
	EXPECT_LT(0, gt_bpf_stat(&self->e, GT_SCHED, "latched "));
	EXPECT_EQ(0, gt_bpf_stat(&self->e, GT_MSG, "failed "));
}

/* What another CPU's agent has latched here: a task, or the idle task. */
TEST_F(sched, next_gtid_of_a_latch)
{
	static const struct gt_txn idle = {
		.gtid = GHOST_IDLE_GTID, .agent_barrier = GT_NOW,
		.commit_flags = COMMIT_AT_TXN_COMMIT,
	};
	struct gt_txn txn = idle;
	int i;

	if (self->last < 2)
		SKIP(return, "to latch from afar needs a third CPU");
	ASSERT_EQ(0, ready(self, &self->t));
	/* The CPU may not be idle just then. */
	for (i = 0; i < 20 && self->p->next[1] != self->t.gtid; i++)
		gt_schedule(&agents[2], 1, &self->t, 0);
	EXPECT_EQ(self->t.gtid, self->p->next[1]);
	EXPECT_TRUE(runs(self->p, &self->e, 1, &self->t));
	self->p->watched = self->t.pid;
	for (i = 0; i < 20 && self->p->next[1] != (uint64_t)GHOST_IDLE_GTID; i++) {
		EXPECT_TRUE(runs(self->p, &self->e, 1, &self->t));
		txn = idle;
		gt_commit(&agents[2], 1, &txn);
		EXPECT_TRUE(gt_stands(&self->t));
	}
	EXPECT_EQ((uint64_t)GHOST_IDLE_GTID, self->p->next[1]);
}

/* It goes on, and next_gtid says so, until must_resched. */
TEST_F(sched, next_gtid_and_must_resched)
{
	struct gt_msg m;
	int64_t ret;
	int left = 20;

	if (self->last < 2)
		SKIP(return, "to make CPU 1 schedule needs a third CPU");
	ASSERT_EQ(0, ready(self, &self->t));
	ASSERT_EQ(0, run_task(self->p, &self->e, 1, &self->t, 0));
	ASSERT_TRUE(runs(self->p, &self->e, 1, &self->t));

	/*
	 * A pass of CPU 1 that nothing asks anything of. A kernel thread may
	 * have been there first.
	 */
	EXPECT_TRUE(gt_wait_for(self->p->sched[1].next_gtid == self->t.gtid ||
				!runs(self->p, &self->e, 1, &self->t) ||
				(CALL(2, PROBE_RESCHED_CPU2, 1,
				      RESCHED_ANY_CLASS, 0), false)));
	EXPECT_EQ(self->t.gtid, self->p->sched[1].next_gtid);
	EXPECT_TRUE(runs(self->p, &self->e, 1, &self->t));
	while (!gt_next(&self->e.q, GT_ANY, 0, &m))
		;

	/* One that the program says must_resched in: prev is not kept. */
	self->p->must_resched[1] = 1;
	ASSERT_EQ(0, CALL(2, PROBE_RESCHED_CPU2, 1, RESCHED_ANY_CLASS, 0));
	EXPECT_EQ(0, gt_next_type(&self->e.q, self->t.gtid, MSG_TASK_PREEMPT, &m));
	EXPECT_TRUE(gt_stands(&self->t));

	/* The same, asked for from afar; a kernel thread is no ghost task. */
	self->p->watched = self->t.pid;
	do {
		ASSERT_EQ(0, run_task(self->p, &self->e, 1, &self->t, 0));
		ASSERT_TRUE(runs(self->p, &self->e, 1, &self->t));
		while (!gt_next(&self->e.q, GT_ANY, 0, &m))
			;
		ret = CALL(2, PROBE_RESCHED_CPU2, 1,
			   RESCHED_GHOST_CLASS | SET_MUST_RESCHED, 0);
	} while (ret == -EPERM && left--);
	EXPECT_EQ(0, ret);
	EXPECT_EQ(0, gt_next_type(&self->e.q, self->t.gtid, MSG_TASK_PREEMPT, &m));
	/* Who is kicked is not next. */
	EXPECT_LT(0, self->p->not_kept);
	EXPECT_TRUE(gt_stands(&self->t));
}

TEST_F(sched, might_yield)
{
	struct gt_task other;

	ASSERT_EQ(0, gt_task_start(&other));
	ASSERT_EQ(0, gt_pin(other.pid, 1));
	gt_tell(&other, GT_SPIN);
	ASSERT_TRUE(gt_spins(&other));
	EXPECT_TRUE(gt_wait_for(self->p->sched[1].might_yield ||
				(gt_ping(&self->e, 1), false)));
	gt_tell(&other, GT_BLOCK);
	ASSERT_TRUE(gt_asleep(&other));
	EXPECT_TRUE(gt_wait_for((gt_ping(&self->e, 1),
				 !self->p->sched[1].might_yield)));
	gt_task_end(&other);
}

/* An idle CPU passes again and again, and stops when told. */
TEST_F(sched, dont_idle)
{
	uint32_t passes;

	self->p->dont_idle[1] = 1;
	ASSERT_EQ(0, gt_ping(&self->e, 1));
	passes = load32(&self->p->passes[1]);
	EXPECT_TRUE(gt_wait_for(load32(&self->p->passes[1]) - passes > 1000));
	self->p->dont_idle[1] = 0;
	EXPECT_TRUE(gt_wait_for(({
		passes = load32(&self->p->passes[1]);
		gt_sleep_ms(50);
		load32(&self->p->passes[1]) - passes < 100;
	})));
}

TEST_F(sched, run_gtid_errors)
{
	struct probe_msg *failed = &self->p->msg[MSG_TASK_LATCH_FAILURE];
	uint32_t barrier, count;

	/* Nobody, and agents: no LATCH_FAILURE. */
	EXPECT_EQ(-ENOENT, CALL(1, PROBE_RUN_GTID, 12345, 0, 0));
	EXPECT_EQ(-ENOENT, CALL(1, PROBE_RUN_GTID, -1, 0, 0));
	EXPECT_EQ(-ENOENT, CALL(1, PROBE_RUN_GTID, self->t.gtid ^ 1, 0, 0));
	EXPECT_EQ(-ENOENT, CALL(1, PROBE_RUN_GTID, agents[1].sw->gtid, 0, 0));
	EXPECT_EQ(0, load32(&failed->count));

	/* No member: no status word, so none either. */
	EXPECT_EQ(-ESTALE, CALL(1, PROBE_RUN_GTID, self->t.gtid, 0, 0));
	EXPECT_EQ(0, load32(&failed->count));

	/* Asleep; the order: flags, barrier, sleep. */
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	barrier = barrier_of(&self->e, &self->t);
	EXPECT_EQ(-EINVAL, CALL(1, PROBE_RUN_GTID, self->t.gtid, barrier + 1, 0x8));
	EXPECT_EQ(EINVAL, failed->last.latch_failure.error);
	EXPECT_EQ(-ESTALE, CALL(1, PROBE_RUN_GTID, self->t.gtid, barrier + 1, 0));
	EXPECT_EQ(ESTALE, failed->last.latch_failure.error);
	EXPECT_EQ(self->t.gtid, failed->last.latch_failure.gtid);
	EXPECT_EQ(barrier, failed->last.seqnum);
	EXPECT_EQ(-1, failed->last.pref_cpu);
	EXPECT_EQ(barrier, barrier_of(&self->e, &self->t));
	count = load32(&failed->count);
	EXPECT_EQ(2, count);
	EXPECT_EQ(2, self->p->nested);
	EXPECT_EQ(-EINVAL, CALL(1, PROBE_RUN_GTID, self->t.gtid, barrier, 0));
	EXPECT_EQ(EINVAL, failed->last.latch_failure.error);
	EXPECT_EQ(3, load32(&failed->count));
	/* What the program returns about it is nothing. */
	failed->drop = 1;
	EXPECT_EQ(-EINVAL, CALL(1, PROBE_RUN_GTID, self->t.gtid, barrier, 0));
	EXPECT_EQ(4, load32(&failed->count));
	EXPECT_EQ(0, gt_bpf_stat(&self->e, GT_MSG, "dropped "));
	EXPECT_LE(3, gt_bpf_stat(&self->e, GT_SCHED, "failed "));
	/* Never queued. */
	EXPECT_EQ(-ETIMEDOUT, gt_next(&self->e.q, self->t.gtid, GT_QUIET_MS,
				      &(struct gt_msg){}));
}

TEST_F(sched, run_gtid_flags)
{
	static const int bad[] = {
		0x8, 0x10, RTLA_ON_IDLE, NEED_CPU_NOT_IDLE, 0x100,
		DEFER_LATCHED_PREEMPTION_BY_AGENT, 0x2000, 0x10000, 0x40000000,
	};
	static const int good[] = {
		RTLA_ON_PREEMPT, RTLA_ON_BLOCKED, RTLA_ON_YIELD, NEED_L1D_FLUSH,
		ELIDE_PREEMPT, SEND_TASK_ON_CPU, DO_NOT_PREEMPT,
	};
	int i;

	ASSERT_EQ(0, ready(self, &self->t));
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		EXPECT_EQ(-EINVAL, run_task(self->p, &self->e, 1, &self->t, bad[i]))
			TH_LOG("flags %x", bad[i]);
	for (i = 0; i < ARRAY_SIZE(good); i++) {
		EXPECT_EQ(0, run_task(self->p, &self->e, 1, &self->t, good[i]))
			TH_LOG("flags %x", good[i]);
		EXPECT_TRUE(runs(self->p, &self->e, 1, &self->t));
	}
}

/* Running elsewhere: busy. Standing elsewhere: it is fetched. */
TEST_F(sched, run_gtid_elsewhere)
{
	int64_t ret;

	if (self->last < 2)
		SKIP(return, "another CPU of the enclave is needed: 3 CPUs");
	ASSERT_EQ(0, ready(self, &self->t));
	ASSERT_EQ(0, run_task(self->p, &self->e, 2, &self->t, 0));
	ASSERT_TRUE(runs(self->p, &self->e, 2, &self->t));
	ret = run_task(self->p, &self->e, 1, &self->t, 0);
	if (ret) {
		EXPECT_EQ(-EBUSY, ret);
		EXPECT_LE(1, self->p->msg[MSG_TASK_LATCH_FAILURE].count);
	} else {
		TH_LOG("it was off CPU 2 at the moment");
	}
	/* Off CPU 2 by its agent, to CPU 1. */
	do {
		gt_ping(&self->e, 2);
		ret = run_task(self->p, &self->e, 1, &self->t, 0);
	} while (ret == -EBUSY);
	EXPECT_EQ(0, ret);
	EXPECT_TRUE(runs(self->p, &self->e, 1, &self->t));
}

TEST_F(sched, run_gtid_without_an_agent)
{
	struct gt_task other;
	struct probe_call *c = &self->p->call[1];

	ASSERT_EQ(0, ready(self, &self->t));
	ASSERT_EQ(0, gt_agent_stop(&agents[1]));
	c->op = PROBE_RUN_GTID;
	c->arg[0] = self->t.gtid;
	c->arg[1] = barrier_of(&self->e, &self->t);
	c->arg[2] = 0;
	__atomic_store_n(&c->armed, 1, __ATOMIC_RELEASE);
	/* Somebody who sleeps and wakes makes the CPU pass. */
	ASSERT_EQ(0, gt_task_start(&other));
	ASSERT_EQ(0, gt_pin(other.pid, 1));
	EXPECT_TRUE(gt_wait_for(({
		gt_tell(&other, GT_SPIN);
		gt_tell(&other, GT_BLOCK);
		!load32(&c->armed);
	})));
	EXPECT_EQ(-EINVAL, c->ret);
	EXPECT_EQ(EINVAL,
		  self->p->msg[MSG_TASK_LATCH_FAILURE].last.latch_failure.error);
	EXPECT_TRUE(gt_stands(&self->t));
	gt_task_end(&other);
}

/* With honor_affinity, a CPU that the task may not run on is refused. */
TEST_F(sched, run_gtid_of_a_pinned_task)
{
	ASSERT_EQ(1, gt_file_put(&self->e, "honor_affinity", "1"));
	ASSERT_EQ(0, gt_pin(self->t.pid, 0));
	ASSERT_EQ(0, ready(self, &self->t));
	EXPECT_EQ(-ESTALE, CALL(1, PROBE_RUN_GTID, self->t.gtid,
				barrier_of(&self->e, &self->t), 0));
	EXPECT_EQ(ESTALE,
		  self->p->msg[MSG_TASK_LATCH_FAILURE].last.latch_failure.error);
	EXPECT_TRUE(gt_stands(&self->t));
	ASSERT_EQ(0, gt_pin(self->t.pid, 1));
	EXPECT_EQ(0, run_task(self->p, &self->e, 1, &self->t, 0));
	EXPECT_TRUE(runs(self->p, &self->e, 1, &self->t));
}

/*
 * From a latch to the end of the program the messages of the task wait, whether
 * it was queued on this CPU or is fetched from another.
 */
TEST_F(sched, nothing_between_a_latch_and_the_end)
{
	int64_t end = gt_now_ms() + GT_WAIT_MS;
	int cpu = 1, tries = 0, latched[4] = { 0 };
	pid_t child;

	if (!gt_has_btf())
		SKIP(return, "kfuncs need BTF");
	ASSERT_EQ(0, ready(self, &self->t));
	child = start_renicing(self->t.pid);
	ASSERT_LT(0, child);
	while (gt_now_ms() < end && latched[self->last] < 100) {
		gt_queue_consume(&self->e.q);
		latched[cpu] += !CALL(cpu, PROBE_RUN_GTID_AND_LOOK, self->t.gtid, 0, 0);
		/* Its agent takes the CPU from it: it waits there. */
		gt_ping(&self->e, cpu);
		cpu = 1 + ++tries % self->last;
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	printf("# counted: latched %d %d %d of %d\n", latched[1], latched[2],
	       latched[3], tries);
	for (cpu = 1; cpu <= self->last; cpu++)
		EXPECT_LT(0, latched[cpu]);
	EXPECT_EQ(0, self->p->interleaved);
}

TEST_F(sched, do_not_preempt)
{
	ASSERT_EQ(0, ready(self, &self->t));
	ASSERT_EQ(0, ready(self, &self->u));
	/* Nothing is latched. */
	EXPECT_EQ(0, run_task(self->p, &self->e, 1, &self->t, DO_NOT_PREEMPT));
	EXPECT_TRUE(runs(self->p, &self->e, 1, &self->t));
}

/* Something else is, by the same pass: it stays. */
TEST_F(sched, do_not_preempt_who_is_latched)
{
	struct probe_msg *failed = &self->p->msg[MSG_TASK_LATCH_FAILURE];
	int64_t ret;
	int i;

	if (!gt_has_btf())
		SKIP(return, "kfuncs need BTF");
	ASSERT_EQ(0, ready(self, &self->t));
	ASSERT_EQ(0, ready(self, &self->u));
	/* Where the first fails, a kernel thread has had its latch. */
	for (i = 0; i < 100; i++) {
		ret = CALL(1, PROBE_RUN_GTID_AFTER, self->t.gtid,
			   barrier_of(&self->e, &self->t), self->u.gtid);
		if (ret != -ESTALE || failed->last.latch_failure.gtid == self->u.gtid)
			break;
	}
	EXPECT_EQ(-ESTALE, ret);
	EXPECT_EQ(self->u.gtid, failed->last.latch_failure.gtid);
	EXPECT_TRUE(runs(self->p, &self->e, 1, &self->t));
	EXPECT_TRUE(gt_stands(&self->u));
}

/* A pass that another CPU asks for, while a task runs and the agent does not. */
TEST_F(sched, do_not_preempt_who_runs)
{
	struct probe_call *c = &self->p->call[1];
	int i;

	if (self->last < 2)
		SKIP(return, "to make CPU 1 schedule needs a third CPU");
	ASSERT_EQ(0, ready(self, &self->t));
	ASSERT_EQ(0, ready(self, &self->u));
	/* A kernel thread may have preempted it just then. */
	for (i = 0; i < 20; i++) {
		ASSERT_EQ(0, run_task(self->p, &self->e, 1, &self->t, 0));
		ASSERT_TRUE(runs(self->p, &self->e, 1, &self->t));
		c->op = PROBE_RUN_GTID;
		c->arg[0] = self->u.gtid;
		c->arg[1] = barrier_of(&self->e, &self->u);
		c->arg[2] = DO_NOT_PREEMPT;
		__atomic_store_n(&c->armed, 1, __ATOMIC_RELEASE);
		ASSERT_EQ(0, CALL(2, PROBE_RESCHED_CPU2, 1, RESCHED_ANY_CLASS, 0));
		ASSERT_TRUE(gt_wait_for(!load32(&c->armed)));
		if (c->ret == -ESTALE)
			break;
	}
	EXPECT_EQ(-ESTALE, c->ret);
	EXPECT_TRUE(gt_stands(&self->u));
}

TEST_F(sched, run_gtid_of_another_enclave)
{
	struct gt_enclave other;

	ASSERT_EQ(0, gt_enclave_create(&other, "\n")) TH_LOG("%s", other.step);
	ASSERT_EQ(0, gt_join_asleep(&other, &self->u, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&other, &self->u, NULL));
	EXPECT_EQ(-EPERM, CALL(1, PROBE_RUN_GTID, self->u.gtid,
			       barrier_of(&other, &self->u), 0));
	/* It is the enclave of the program that hears of it. */
	EXPECT_EQ(EPERM,
		  self->p->msg[MSG_TASK_LATCH_FAILURE].last.latch_failure.error);
	EXPECT_EQ(self->u.gtid,
		  self->p->msg[MSG_TASK_LATCH_FAILURE].last.latch_failure.gtid);
	if (gt_has_btf())
		EXPECT_EQ(-ENOENT, CALL(1, PROBE_STATUS_WORD, self->u.gtid, 0, 0));
	EXPECT_TRUE(gt_stands(&self->u));
	EXPECT_EQ(0, gt_destroy(&other));
	gt_enclave_close(&other);
}

TEST_F(sched, wake_agent)
{
	uint32_t before;

	EXPECT_EQ(-EINVAL, CALL(1, PROBE_WAKE_AGENT, -1, 0, 0));
	EXPECT_EQ(-EINVAL, CALL(1, PROBE_WAKE_AGENT, 0x80000000, 0, 0));
	EXPECT_EQ(-ERANGE, CALL(1, PROBE_WAKE_AGENT, gt_npossible() + 1000, 0, 0));
	EXPECT_EQ(-EXDEV, CALL(1, PROBE_WAKE_AGENT, 0, 0, 0));
	before = gt_barrier(agents[self->last].sw);
	EXPECT_EQ(0, CALL(1, PROBE_WAKE_AGENT, self->last, 0, 0));
	EXPECT_TRUE(gt_wait_for(gt_barrier(agents[self->last].sw) != before));
}

TEST_F(sched, resched_cpu2)
{
	int cpu = self->last;
	uint32_t passes;

	EXPECT_EQ(-EINVAL, CALL(1, PROBE_RESCHED_CPU2, -1, RESCHED_ANY_CLASS, 0));
	EXPECT_EQ(-ERANGE, CALL(1, PROBE_RESCHED_CPU2, gt_npossible() + 1000,
				RESCHED_ANY_CLASS, 0));
	EXPECT_EQ(-EINVAL, CALL(1, PROBE_RESCHED_CPU2, cpu, 0x40, 0));
	EXPECT_EQ(-EINVAL, CALL(1, PROBE_RESCHED_CPU2, 0, 0x80000000, 0));
	EXPECT_EQ(-EXDEV, CALL(1, PROBE_RESCHED_CPU2, 0, RESCHED_ANY_CLASS, 0));
	EXPECT_EQ(-EPERM, CALL(1, PROBE_RESCHED_CPU2, cpu, 0, 0));
	EXPECT_EQ(-EPERM, CALL(1, PROBE_RESCHED_CPU2, cpu,
			       SET_MUST_RESCHED | WAKE_AGENT, 0));
	if (cpu == 1)
		return;
	/* CPU @cpu idles: its agent is parked. A kthread may run there. */
	EXPECT_TRUE(gt_wait_for(CALL(1, PROBE_RESCHED_CPU2, cpu,
				     RESCHED_IDLE_CLASS, 0) == 0));
	EXPECT_TRUE(gt_wait_for(CALL(1, PROBE_RESCHED_CPU2, cpu,
				     RESCHED_GHOST_CLASS | RESCHED_OTHER_CLASS, 0) ==
				-EPERM));
	passes = load32(&self->p->passes[cpu]);
	EXPECT_EQ(0, CALL(1, PROBE_RESCHED_CPU2, cpu, RESCHED_ANY_CLASS, 0));
	EXPECT_TRUE(gt_wait_for(load32(&self->p->passes[cpu]) > passes));
	passes = gt_barrier(agents[cpu].sw);
	EXPECT_EQ(0, CALL(1, PROBE_RESCHED_CPU2, cpu,
			  RESCHED_ANY_CLASS | WAKE_AGENT, 0));
	EXPECT_TRUE(gt_wait_for(gt_barrier(agents[cpu].sw) != passes));
}

TEST_F(sched, cpu_that_is_offline)
{
	if (gt_ncpus() < 4)
		SKIP(return, "4 CPUs are needed");
	ASSERT_EQ(0, gt_set_online(3, false));
	EXPECT_EQ(-ERANGE, CALL(1, PROBE_WAKE_AGENT, 3, 0, 0));
	EXPECT_EQ(-ERANGE, CALL(1, PROBE_RESCHED_CPU2, 3, RESCHED_ANY_CLASS, 0));
	ASSERT_EQ(0, gt_set_online(3, true));
	/* It has left the enclave. */
	EXPECT_EQ(-EXDEV, CALL(1, PROBE_WAKE_AGENT, 3, 0, 0));
}

TEST_F(sched, get_affinity)
{
	int ncpus, i;
	uint64_t mask;

	ASSERT_EQ(0, gt_pin(self->t.pid, 1));
	memset(self->p->mask, 0xff, PROBE_MASK);
	ncpus = CALL(1, PROBE_GET_AFFINITY, self->t.gtid, PROBE_MASK, 0);
	EXPECT_LE(gt_npossible(), ncpus);
	memcpy(&mask, self->p->mask, sizeof(mask));
	EXPECT_EQ(2, mask);
	for (i = 8; i < PROBE_MASK; i++)
		EXPECT_EQ(0, self->p->mask[i]);
	memset(self->p->mask, 0xff, PROBE_MASK);
	EXPECT_EQ(-E2BIG, CALL(1, PROBE_GET_AFFINITY, self->t.gtid, 4, 0));
	EXPECT_EQ(0, memcmp(self->p->mask, "\0\0\0\0", 4));
	memset(self->p->mask, 0xff, PROBE_MASK);
	EXPECT_EQ(-ENOENT, CALL(1, PROBE_GET_AFFINITY, 12345, PROBE_MASK, 0));
	for (i = 0; i < PROBE_MASK; i++)
		EXPECT_EQ(0, self->p->mask[i]);
}

static long set_name(long arg)
{
	return prctl(PR_SET_NAME, "a name of 15 ch");
}

TEST_F(sched, get_comm)
{
	char zero[PROBE_COMM] = {}, want[PROBE_COMM] = "a name of 15 ch";

	gt_tell_call(&self->t, set_name, 0);
	ASSERT_TRUE(gt_asleep(&self->t));
	memset(self->p->comm, 0xff, PROBE_COMM);
	EXPECT_EQ(0, CALL(1, PROBE_GET_COMM, self->t.gtid, 0, 0));
	EXPECT_EQ(0, memcmp(want, self->p->comm, PROBE_COMM));
	memset(self->p->comm, 0xff, PROBE_COMM);
	EXPECT_EQ(-ENOENT, CALL(1, PROBE_GET_COMM, 12345, 0, 0));
	EXPECT_EQ(0, memcmp(zero, self->p->comm, PROBE_COMM));
}

TEST_F(sched, status_word)
{
	struct ghost_status_word *sw;

	if (!gt_has_btf())
		SKIP(return, "kfuncs need BTF");
	EXPECT_EQ(-ENOENT, CALL(1, PROBE_STATUS_WORD, self->t.gtid, 0, 0));
	EXPECT_EQ(-ENOENT, CALL(1, PROBE_STATUS_WORD, 12345, 0, 0));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	sw = gt_sw(&self->e, self->t.gtid);
	EXPECT_EQ(0, CALL(1, PROBE_STATUS_WORD, self->t.gtid, 0, 0));
	EXPECT_EQ(0, memcmp(sw, &self->p->sw, sizeof(*sw)));
}

TEST_F(sched, sync_commit)
{
	struct bpf_sync_commit_args *s = &self->p->sync;
	int64_t ret = -1;
	int i;

	ASSERT_EQ(0, ready(self, &self->t));
	*s = (struct bpf_sync_commit_args){
		.cpus = { -1, -1 },
	};
	EXPECT_EQ(0, CALL(1, PROBE_SYNC_COMMIT, 0, 0, 0));
	s->cpus[0] = -2;
	EXPECT_EQ(-EINVAL, CALL(1, PROBE_SYNC_COMMIT, 0, 0, 0));
	s->cpus[0] = 100000;
	EXPECT_EQ(-EINVAL, CALL(1, PROBE_SYNC_COMMIT, 0, 0, 0));
	s->cpus[0] = 0;
	EXPECT_EQ(-EXDEV, CALL(1, PROBE_SYNC_COMMIT, 0, 0, 0));
	s->cpus[0] = 1;
	s->cpus[1] = 1;
	EXPECT_EQ(-EINVAL, CALL(1, PROBE_SYNC_COMMIT, 0, 0, 0));
	s->cpus[0] = -1;
	s->gtids[1] = 12345;
	EXPECT_EQ(-ENOENT, CALL(1, PROBE_SYNC_COMMIT, 0, 0, 0));
	s->gtids[1] = self->t.gtid;
	s->task_barriers[1] = barrier_of(&self->e, &self->t) + 1;
	EXPECT_EQ(-ESTALE, CALL(1, PROBE_SYNC_COMMIT, 0, 0, 0));
	s->run_flags[1] = 0x8;
	EXPECT_EQ(-EINVAL, CALL(1, PROBE_SYNC_COMMIT, 0, 0, 0));
	s->run_flags[1] = 0;
	for (i = 0; i < 100 && ret; i++) {
		s->task_barriers[1] = barrier_of(&self->e, &self->t);
		ret = CALL(1, PROBE_SYNC_COMMIT, 0, 0, 0);
	}
	EXPECT_EQ(0, ret);
	EXPECT_TRUE(runs(self->p, &self->e, 1, &self->t));
}

/* Two CPUs: both or none. */
TEST_F(sched, sync_commit_of_two)
{
	struct bpf_sync_commit_args *s = &self->p->sync;
	int64_t ret = -1;
	int i, stale = 0;

	if (self->last < 2)
		SKIP(return, "two CPUs of the enclave are needed: 3 CPUs");
	ASSERT_EQ(0, ready(self, &self->t));
	ASSERT_EQ(0, ready(self, &self->u));
	for (i = 0; i < 20; i++) {
		*s = (struct bpf_sync_commit_args){
			.cpus = { 1, 2 },
			.gtids = { self->t.gtid, self->u.gtid },
			.task_barriers = { barrier_of(&self->e, &self->t),
					   barrier_of(&self->e, &self->u) + 1 },
		};
		ret = CALL(1, PROBE_SYNC_COMMIT, 0, 0, 0);
		stale += ret == -ESTALE;
		/* A kernel thread may have CPU 2. */
		EXPECT_TRUE(ret == -ESTALE || ret == -EBUSY)
			TH_LOG("%ld", (long)ret);
	}
	EXPECT_LE(10, stale);
	EXPECT_TRUE(gt_stands(&self->u));
	EXPECT_TRUE(gt_stands(&self->t));
	for (i = 0; i < 200 && ret; i++) {
		s->task_barriers[0] = barrier_of(&self->e, &self->t);
		s->task_barriers[1] = barrier_of(&self->e, &self->u);
		ret = CALL(1, PROBE_SYNC_COMMIT, 0, 0, 0);
	}
	EXPECT_EQ(0, ret);
	EXPECT_TRUE(runs(self->p, &self->e, 1, &self->t));
	EXPECT_TRUE(runs(self->p, &self->e, 2, &self->u));
}

/* Of CPU 1 and CPU 2, committed by the agent of CPU 3. */
struct group {
	struct gt_txn txn[2];
	int ret;
};

static long commit_group(struct gt_agent *a, void *arg)
{
	struct group *g = arg;
	int i;

	for (i = 0; i < 2; i++)
		gt_txn_fill(a->e, i + 1, &g->txn[i]);
	g->ret = gt_sync_ioctl(a->e, 6);
	return 0;
}

/* What groups left behind at a CPU holds up nothing that a program latches. */
TEST_F(sched, after_groups_of_agents)
{
	struct group g;
	int i;

	if (self->last < 3)
		SKIP(return, "a group and its committer need 4 CPUs");
	ASSERT_EQ(0, ready(self, &self->t));
	ASSERT_EQ(0, ready(self, &self->u));
	/* CPU 1 takes its task, and loses it as CPU 2 may not take its own. */
	for (i = 0; i < 100; i++) {
		g.txn[0] = (struct gt_txn){
			.gtid = self->t.gtid,
			.task_barrier = barrier_of(&self->e, &self->t),
			.commit_flags = COMMIT_AT_TXN_COMMIT,
		};
		g.txn[1] = g.txn[0];
		g.txn[1].gtid = self->u.gtid;
		g.txn[1].task_barrier = barrier_of(&self->e, &self->u) + 100;
		ASSERT_EQ(0, gt_post(&agents[3], commit_group, &g));
		ASSERT_EQ(0, gt_finish(&agents[3], NULL));
		ASSERT_EQ(0, g.ret);
		if (gt_txn_state(&self->e, 1) == GHOST_TXN_COMPLETE)
			break;
	}
	ASSERT_LT(i, 100) TH_LOG("CPU 1 has never been free");
	EXPECT_TRUE(gt_stands(&self->t));
	/* CPU 1 is to do what it does already: nothing. */
	for (i = 0; i < 100; i++) {
		g.txn[0].gtid = GHOST_IDLE_GTID;
		g.txn[0].commit_flags |= ALLOW_TASK_ONCPU;
		g.txn[1].task_barrier = barrier_of(&self->e, &self->u);
		ASSERT_EQ(0, gt_post(&agents[3], commit_group, &g));
		ASSERT_EQ(0, gt_finish(&agents[3], NULL));
		if (g.ret == 1)
			break;
	}
	ASSERT_EQ(1, g.ret)
		TH_LOG("%s, %s", gt_txn_name(gt_txn_state(&self->e, 1)),
		       gt_txn_name(gt_txn_state(&self->e, 2)));
	EXPECT_EQ(0, run_task(self->p, &self->e, 1, &self->t, 0));
	EXPECT_TRUE(runs(self->p, &self->e, 1, &self->t));
}

TEST_F(sched, destroy_enclave)
{
	struct probe_call *c = &self->p->call[1];
	struct gt_task other;
	int cpu;

	if (!gt_has_btf())
		SKIP(return, "kfuncs need BTF");
	/* The end of an enclave is that of its agents, and they are here. */
	ASSERT_EQ(0, ready(self, &self->t));
	for (cpu = 1; cpu <= self->last; cpu++)
		ASSERT_EQ(0, gt_agent_stop(&agents[cpu])) { }
	ASSERT_EQ(0, gt_task_start(&other));
	ASSERT_EQ(0, gt_pin(other.pid, 1));
	c->op = PROBE_DESTROY;
	c->arg[0] = -42;
	__atomic_store_n(&c->armed, 1, __ATOMIC_RELEASE);
	EXPECT_TRUE(gt_wait_for(({
		gt_tell(&other, GT_SPIN);
		gt_tell(&other, GT_BLOCK);
		!load32(&c->armed);
	})));
	EXPECT_EQ(0, c->ret);
	EXPECT_TRUE(gt_gone(&self->e));
	gt_task_end(&other);
	EXPECT_TRUE(gt_wait_for(gt_policy(self->t.pid) == SCHED_OTHER));
	EXPECT_TRUE(gt_spins(&self->t));
}

TEST_HARNESS_MAIN
