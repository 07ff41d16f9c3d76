// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Policies wholly in BPF (bpf/fifo.bpf.c) schedule many tasks; their programs
 * are replaced, detached and attached while they do, and agents come and go.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt_bpf.h"
#include "bpf/fifo.h"

#define NTASKS	12
#define ROUNDS	20
#define END_MS	40000			/* by then all tasks have ended */

static struct gt_agent agents[9];

FIXTURE(policy) {
	struct gt_enclave e;
	struct gt_bpf b;
	struct fifo *f;
	uint32_t *rounds;		/* of each task, shared */
	pid_t pid[NTASKS];
	int last;			/* CPUs are 1..last */
};

FIXTURE_VARIANT(policy) {
	int (*load)(struct gt_bpf *b, struct gt_bpf *old);
};

FIXTURE_VARIANT_ADD(policy, fifo) { .load = gt_bpf_fifo };
FIXTURE_VARIANT_ADD(policy, tree) { .load = gt_bpf_tree };

FIXTURE_SETUP(policy)
{
	char cpus[16];
	int cpu;

	ASSERT_EQ(0, gt_begin());
	ASSERT_LE(2, gt_ncpus()) TH_LOG("2 CPUs are needed");
	self->last = gt_ncpus() > FIFO_CPUS ? FIFO_CPUS - 1 : gt_ncpus() - 1;
	snprintf(cpus, sizeof(cpus), "1-%d", self->last);
	ASSERT_EQ(0, gt_enclave_create(&self->e, cpus))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, variant->load(&self->b, NULL));
	self->f = self->b.shared;
	self->rounds = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->rounds);
	for (cpu = 1; cpu <= self->last; cpu++)
		ASSERT_EQ(0, gt_agent_start(&agents[cpu], &self->e, cpu, -1)) { }
	ASSERT_EQ(1, gt_file_put(&self->e, "deliver_ticks", "1"));
	ASSERT_EQ(0, gt_bpf_attach(&self->b, &self->e, GT_MSG));
	ASSERT_EQ(0, gt_bpf_attach(&self->b, &self->e, GT_SCHED));
}

FIXTURE_TEARDOWN(policy)
{
	int cpu, i;

	for (cpu = 1; cpu <= self->last; cpu++)
		gt_agent_stop(&agents[cpu]);
	gt_destroy(&self->e);
	for (i = 0; i < NTASKS; i++)
		if (self->pid[i] > 0) {
			kill(self->pid[i], SIGKILL);
			waitpid(self->pid[i], NULL, 0);
		}
	gt_bpf_close(&self->b);
	gt_enclave_close(&self->e);
	munmap(self->rounds, 4096);
}

/* Sleeps, yields, computes, talks to a child of its own that does the same. */
static void work(struct gt_enclave *e, uint32_t *rounds, int n)
{
	int ping[2], pong[2], i;
	volatile int spin;
	pid_t child;
	char c = 0;
	int ret;

	/* Late for an enclave that is destroyed it goes on as it is. */
	ret = gt_put(e->tasks, "0");
	if ((ret < 0 && ret != -ENODEV && ret != -EXDEV) || pipe(ping) ||
	    pipe(pong))
		_exit(1);
	child = fork();
	if (child < 0)
		_exit(2);
	if (!child) {
		for (i = 0; i < n; i++)
			if (read(ping[0], &c, 1) != 1 || write(pong[1], &c, 1) != 1)
				_exit(3);
		_exit(0);
	}
	for (i = 0; i < n; i++) {
		for (spin = 0; spin < 20000; spin++)
			;
		sched_yield();
		if (write(ping[1], &c, 1) != 1 || read(pong[0], &c, 1) != 1)
			_exit(4);
		if (i % 4 == 0)
			usleep(1000);
		__atomic_store_n(rounds, i + 1, __ATOMIC_RELAXED);
	}
	waitpid(child, NULL, 0);
	_exit(0);
}

static int start(FIXTURE_DATA(policy) *self, int n)
{
	int i;

	for (i = 0; i < NTASKS; i++) {
		self->rounds[i] = 0;
		self->pid[i] = fork();
		if (self->pid[i] < 0)
			return -errno;
		if (!self->pid[i]) {
			/* A link ends with its last descriptor. */
			close(self->b.link[GT_SCHED]);
			close(self->b.link[GT_MSG]);
			work(&self->e, &self->rounds[i], n);
		}
	}
	return 0;
}

/* All end well within @ms; returns how many do not. */
static int finish(FIXTURE_DATA(policy) *self, int ms)
{
	int64_t end = gt_now_ms() + ms;
	int i, status, left = NTASKS;
	uint64_t full = 0;

	while (left && gt_now_ms() < end) {
		gt_sleep_ms(10);
		/* What the program had no room for: have it announced again. */
		if (self->f->full != full) {
			full = self->f->full;
			gt_queue_consume(&self->e.q);
			gt_put(self->e.ctl, "discover tasks");
		}
		for (i = 0; i < NTASKS; i++) {
			if (self->pid[i] <= 0 ||
			    waitpid(self->pid[i], &status, WNOHANG) != self->pid[i])
				continue;
			self->pid[i] = 0;
			if (!status)
				left--;
		}
	}
	return left;
}

static uint64_t progress(FIXTURE_DATA(policy) *self)
{
	uint64_t sum = 0;
	int i;

	for (i = 0; i < NTASKS; i++)
		sum += __atomic_load_n(&self->rounds[i], __ATOMIC_RELAXED);
	return sum;
}

static void say(struct __test_metadata *_metadata, FIXTURE_DATA(policy) *self)
{
	struct fifo *f = self->f;
	char buf[1024] = "";

	gt_file_get(&self->e, "bpf", buf, sizeof(buf) - 1);
	TH_LOG("pushed %llu popped %llu latched %llu again %llu full %llu ticks %llu",
	       (unsigned long long)f->pushed, (unsigned long long)f->popped,
	       (unsigned long long)f->latched, (unsigned long long)f->again,
	       (unsigned long long)f->full, (unsigned long long)f->ticks);
	TH_LOG("%s", buf);
}

TEST_F_TIMEOUT(policy, storm, 120)
{
	ASSERT_EQ(0, start(self, ROUNDS));
	EXPECT_EQ(0, finish(self, END_MS));
	EXPECT_EQ(NTASKS * ROUNDS, progress(self));
	if (variant->load == gt_bpf_fifo)
		EXPECT_EQ(0, self->f->full);
	EXPECT_LT(0, self->f->latched);
	say(_metadata, self);
}

/* Who takes over gets the tasks as they are: the map of the old program goes on. */
TEST_F_TIMEOUT(policy, replaced_under_load, 120)
{
	struct gt_bpf next, *now = &self->b, *then = &next;
	uint64_t before;
	int i, slot;

	/* To the verifier the objects in a tree are of their program's type. */
	if (variant->load == gt_bpf_tree)
		SKIP(return, "another program cannot use the tree");
	ASSERT_EQ(0, variant->load(&next, &self->b));
	ASSERT_EQ(0, start(self, ROUNDS));
	for (i = 0; i < 50; i++) {
		before = progress(self);
		for (slot = GT_SCHED; slot <= GT_MSG; slot++)
			EXPECT_EQ(0, gt_link_update(self->b.link[slot],
						    then->prog[slot],
						    now->prog[slot],
						    BPF_F_REPLACE));
		now = then;
		then = now == &next ? &self->b : &next;
		if (before < NTASKS * ROUNDS) {
			EXPECT_TRUE(gt_wait_for(progress(self) > before));
		}
	}
	EXPECT_EQ(0, finish(self, END_MS));
	say(_metadata, self);
	gt_bpf_close(&next);
}

/* Without the programs tasks wait; discovery gives all of them to the next. */
TEST_F_TIMEOUT(policy, detached_under_load, 120)
{
	int i, slot;

	ASSERT_EQ(0, start(self, ROUNDS));
	for (i = 0; i < 20; i++) {
		gt_sleep_ms(20);
		for (slot = GT_SCHED; slot <= GT_MSG; slot++)
			gt_bpf_detach(&self->b, slot);
		gt_queue_consume(&self->e.q);
		for (slot = GT_SCHED; slot <= GT_MSG; slot++)
			ASSERT_EQ(0, gt_bpf_attach(&self->b, &self->e, slot)) { }
		ASSERT_LT(0, gt_put(self->e.ctl, "discover tasks"));
	}
	EXPECT_EQ(0, finish(self, END_MS));
	say(_metadata, self);
}

/* Agents in processes of their own, for those who do not survive. */
static int start_hosts(FIXTURE_DATA(policy) *self, pid_t *host)
{
	int cpu, ret;

	for (cpu = 1; cpu <= self->last; cpu++) {
		ret = gt_agent_stop(&agents[cpu]);
		if (ret)
			return ret;
		host[cpu] = gt_host_start(&self->e, cpu, NULL, NULL);
		if (host[cpu] < 0)
			return host[cpu];
	}
	return 0;
}

static void end_hosts(FIXTURE_DATA(policy) *self, pid_t *host)
{
	int cpu;

	for (cpu = 1; cpu <= self->last; cpu++) {
		kill(host[cpu], SIGKILL);
		waitpid(host[cpu], NULL, 0);
	}
}

/* The enclave goes in the middle: all go on under the fair class. */
TEST_F_TIMEOUT(policy, destroyed_under_load, 120)
{
	uint64_t before;
	pid_t host[9];

	ASSERT_EQ(0, start_hosts(self, host));
	ASSERT_EQ(0, start(self, ROUNDS));
	before = progress(self);
	EXPECT_TRUE(gt_wait_for(progress(self) > before + NTASKS));
	EXPECT_LE(0, gt_put(self->e.ctl, "destroy"));
	EXPECT_EQ(0, finish(self, END_MS));
	end_hosts(self, host);
}

/* The links are held: the programs are there for the next agents. */
TEST_F_TIMEOUT(policy, death_of_the_agents, 120)
{
	uint64_t before;
	pid_t host[9];
	int cpu, i;

	ASSERT_EQ(0, start_hosts(self, host));
	ASSERT_EQ(0, start(self, ROUNDS));
	for (i = 0; i < 3; i++) {
		before = progress(self);
		EXPECT_TRUE(gt_wait_for(progress(self) > before ||
					before == NTASKS * ROUNDS));
		end_hosts(self, host);
		for (cpu = 1; cpu <= self->last; cpu++) {
			host[cpu] = gt_host_start(&self->e, cpu, NULL, NULL);
			ASSERT_LT(0, host[cpu]);
		}
	}
	EXPECT_EQ(0, finish(self, END_MS));
	end_hosts(self, host);
	say(_metadata, self);
}

/* No agent: nobody runs, and nobody is lost. */
TEST_F_TIMEOUT(policy, agents_come_and_go, 120)
{
	int cpu, i;

	ASSERT_EQ(0, start(self, ROUNDS));
	for (i = 0; i < 5; i++) {
		gt_sleep_ms(50);
		for (cpu = 1; cpu <= self->last; cpu++)
			ASSERT_EQ(0, gt_agent_stop(&agents[cpu])) { }
		for (cpu = 1; cpu <= self->last; cpu++)
			ASSERT_EQ(0, gt_agent_start(&agents[cpu], &self->e, cpu,
						    -1)) { }
	}
	EXPECT_EQ(0, finish(self, END_MS));
	say(_metadata, self);
}

TEST_HARNESS_MAIN
