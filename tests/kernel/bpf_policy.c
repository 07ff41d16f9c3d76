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
#include <sys/prctl.h>
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
	pid_t keeper;
	int first, last;		/* CPUs */
};

FIXTURE_VARIANT(policy) {
	int (*load)(struct gt_bpf *b, struct gt_bpf *old);
};

FIXTURE_VARIANT_ADD(policy, fifo) { .load = gt_bpf_fifo };
FIXTURE_VARIANT_ADD(policy, small) { .load = gt_bpf_small_fifo };
FIXTURE_VARIANT_ADD(policy, tree) { .load = gt_bpf_tree };

static int attach(FIXTURE_DATA(policy) *self)
{
	int ret = gt_bpf_attach(&self->b, &self->e, GT_MSG);

	return ret ? ret : gt_bpf_attach(&self->b, &self->e, GT_SCHED);
}

static int start_agents(FIXTURE_DATA(policy) *self)
{
	int cpu, ret = 0;

	for (cpu = self->first; cpu <= self->last && !ret; cpu++)
		ret = gt_agent_start(&agents[cpu], &self->e, cpu, -1);
	return ret;
}

static int stop_agents(FIXTURE_DATA(policy) *self)
{
	int cpu, ret = 0;

	for (cpu = self->first; cpu <= self->last && !ret; cpu++)
		ret = gt_agent_stop(&agents[cpu]);
	return ret;
}

/*
 * Has announced again what the program had no room for, in a process of its own that
 * waits for nobody: who else would fork or wait may need a lock that just such a task
 * has.
 */
static pid_t start_keeper(FIXTURE_DATA(policy) *self)
{
	uint32_t *ready = &self->rounds[NTASKS + 1];
	uint64_t full, good = 0;
	pid_t pid;

	pid = fork();
	if (pid > 0 && !gt_wait_for(__atomic_load_n(ready, __ATOMIC_ACQUIRE)))
		return -1;
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* A link ends with its last descriptor. */
	close(self->b.link[GT_SCHED]);
	close(self->b.link[GT_MSG]);
	mlockall(MCL_CURRENT);
	__atomic_store_n(ready, 1, __ATOMIC_RELEASE);
	for (;;) {
		full = __atomic_load_n(&self->f->full, __ATOMIC_RELAXED);
		if (full != good) {
			good = full;
			gt_put(self->e.ctl, "discover tasks");
		}
		gt_sleep_ms(10);
	}
}

/* An enclave with the policy that @load loads. */
static int set_up(FIXTURE_DATA(policy) *self,
		  int (*load)(struct gt_bpf *b, struct gt_bpf *old),
		  int first, int last)
{
	char cpus[16];
	int ret;

	self->first = first;
	self->last = last;
	snprintf(cpus, sizeof(cpus), "%d-%d", first, last);
	ret = gt_enclave_create(&self->e, cpus);
	if (!ret)
		ret = load(&self->b, NULL);
	if (ret)
		return ret;
	self->f = self->b.shared;
	self->rounds = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (self->rounds == MAP_FAILED)
		return -errno;
	ret = start_agents(self);
	if (!ret)
		ret = gt_file_put(&self->e, "deliver_ticks", "1");
	if (ret >= 0)
		ret = attach(self);
	if (ret)
		return ret;
	self->keeper = start_keeper(self);
	return self->keeper < 0 ? -ECHILD : 0;
}

static void tear_down(FIXTURE_DATA(policy) *self)
{
	int i;

	if (self->keeper > 0) {
		kill(self->keeper, SIGKILL);
		waitpid(self->keeper, NULL, 0);
	}
	gt_set_online(self->last, true);
	stop_agents(self);
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

FIXTURE_SETUP(policy)
{
	if (variant->load == gt_bpf_tree && !gt_has_btf())
		SKIP(return, "the tree needs kfuncs, and they BTF");
	ASSERT_EQ(0, gt_begin());
	ASSERT_LE(2, gt_ncpus()) TH_LOG("2 CPUs are needed");
	ASSERT_EQ(0, set_up(self, variant->load, 1,
			    gt_ncpus() > FIFO_CPUS ? FIFO_CPUS - 1 :
			    gt_ncpus() - 1))
		TH_LOG("enclave: %s", self->e.step);
}

/* Why the enclave is gone, if it is, the kernel keeps. */
FIXTURE_TEARDOWN(policy)
{
	static char exits[65536];

	if (!__test_passed(_metadata) &&
	    gt_read_file(GT_ROOT "/exits", exits, sizeof(exits)) > 0)
		TH_LOG("%s", exits);
	tear_down(self);
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
	/* Members cannot while their enclave is destroyed. */
	while ((child = fork()) < 0 && (errno == EXDEV || errno == ECHILD))
		usleep(1000);
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

/* Until then a task may still have the descriptors that it was forked with. */
static bool all_began(FIXTURE_DATA(policy) *self)
{
	int i;

	for (i = 0; i < NTASKS; i++)
		if (!__atomic_load_n(&self->rounds[i], __ATOMIC_RELAXED))
			return false;
	return true;
}

/* All end well within @ms; returns how many do not. */
static int finish(FIXTURE_DATA(policy) *self, int ms)
{
	int64_t end = gt_now_ms() + ms;
	int i, status, left = NTASKS;

	while (left && gt_now_ms() < end) {
		gt_sleep_ms(10);
		for (i = 0; i < NTASKS; i++) {
			if (self->pid[i] <= 0 ||
			    waitpid(self->pid[i], &status, WNOHANG) != self->pid[i])
				continue;
			self->pid[i] = 0;
			if (status)
				printf("# task %d: status %#x\n", i, status);
			else
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

static bool gets_on(FIXTURE_DATA(policy) *self, uint64_t before)
{
	return gt_wait_for(progress(self) > before);
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
	/* What a full queue did not take is in the ring, and announced again. */
	if (variant->load == gt_bpf_fifo)
		EXPECT_EQ(0, self->f->full);
	if (variant->load == gt_bpf_small_fifo)
		EXPECT_LT(0, self->f->full);
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
		EXPECT_TRUE(before == NTASKS * ROUNDS || gets_on(self, before));
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
	ASSERT_TRUE(gt_wait_for(all_began(self)));
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

/*
 * Agents in processes of their own, for those who do not survive. Where the kernel
 * is preempted, a member may have lost its CPU under a lock that the exit of a
 * process takes that has the same parent: somebody has to run it then.
 */
static int start_hosts(FIXTURE_DATA(policy) *self, pid_t *host)
{
	int cpu, ret;

	ret = stop_agents(self);
	if (!ret && gt_file_put(&self->e, "fallback", "1") != 1)
		ret = -EIO;
	if (ret)
		return ret;
	for (cpu = self->first; cpu <= self->last; cpu++) {
		host[cpu] = gt_host_start(&self->e, cpu, NULL, NULL);
		if (host[cpu] < 0)
			return host[cpu];
	}
	return 0;
}

static void end_hosts(FIXTURE_DATA(policy) *self, pid_t *host)
{
	int cpu;

	/* Together: while one is left that is able to, nobody is lent. */
	for (cpu = self->first; cpu <= self->last; cpu++)
		kill(host[cpu], SIGKILL);
	for (cpu = self->first; cpu <= self->last; cpu++)
		waitpid(host[cpu], NULL, 0);
}

/* The enclave goes in the middle: all go on under the fair class. */
TEST_F_TIMEOUT(policy, destroyed_under_load, 120)
{
	pid_t host[9];

	ASSERT_EQ(0, start_hosts(self, host));
	ASSERT_EQ(0, start(self, ROUNDS));
	EXPECT_TRUE(gets_on(self, NTASKS));
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
		EXPECT_TRUE(before == NTASKS * ROUNDS || gets_on(self, before));
		end_hosts(self, host);
		for (cpu = self->first; cpu <= self->last; cpu++) {
			host[cpu] = gt_host_start(&self->e, cpu, NULL, NULL);
			ASSERT_LT(0, host[cpu]);
		}
	}
	EXPECT_EQ(0, finish(self, END_MS));
	end_hosts(self, host);
	say(_metadata, self);
}

/* Of a CPU that goes its agent goes, too; on the others the programs go on. */
TEST_F_TIMEOUT(policy, cpus_go_and_come, 120)
{
	int cpu = self->last, i;
	uint64_t before;
	char cpus[16];

	if (self->last == self->first)
		SKIP(return, "two CPUs of the enclave are needed: 3 CPUs");
	snprintf(cpus, sizeof(cpus), "%d-%d", self->first, self->last);
	ASSERT_EQ(0, start(self, ROUNDS));
	for (i = 0; i < 8; i++) {
		if (gt_set_online(cpu, false))
			SKIP(return, "needs CPU hotplug");
		before = progress(self);
		EXPECT_TRUE(before == NTASKS * ROUNDS || gets_on(self, before))
			TH_LOG("round %d", i);
		EXPECT_NE(0, gt_agent_stop(&agents[cpu])) TH_LOG("still an agent");
		ASSERT_EQ(0, gt_set_online(cpu, true));
		ASSERT_EQ(0, gt_set_cpus(&self->e, cpus));
		ASSERT_EQ(0, gt_agent_start(&agents[cpu], &self->e, cpu, -1));
	}
	EXPECT_EQ(0, finish(self, END_MS));
	EXPECT_EQ(NTASKS * ROUNDS, progress(self));
	say(_metadata, self);
}

/* A process with the agents and the only links. */
static pid_t start_owner(FIXTURE_DATA(policy) *self)
{
	uint32_t *state = &self->rounds[NTASKS];	/* 1: it is ready */
	pid_t pid;

	*state = 0;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		mlockall(MCL_CURRENT | MCL_FUTURE);
		/* What is mapped of an enclave is not inherited. */
		if (gt_enclave_attach(&self->e, self->e.id) || attach(self) ||
		    start_agents(self))
			_exit(1);
		__atomic_store_n(state, 1, __ATOMIC_RELEASE);
		for (;;)
			pause();
	}
	return gt_wait_for(__atomic_load_n(state, __ATOMIC_ACQUIRE)) ? pid : -1;
}

static bool programs_gone(struct gt_enclave *e)
{
	return gt_wait_for(!gt_bpf_stat(e, GT_MSG, "prog ") &&
			   !gt_bpf_stat(e, GT_SCHED, "prog "));
}

/* The links go with the agents; the next ones are told of the tasks anew. */
TEST_F_TIMEOUT(policy, death_of_the_owner, 120)
{
	uint64_t before;
	pid_t owner;
	int i, slot;

	ASSERT_EQ(0, stop_agents(self));
	/* As in start_hosts(). */
	ASSERT_EQ(1, gt_file_put(&self->e, "fallback", "1"));
	for (slot = GT_SCHED; slot <= GT_MSG; slot++)
		gt_bpf_detach(&self->b, slot);
	ASSERT_EQ(0, start(self, ROUNDS));
	for (i = 0; i < 4; i++) {
		owner = start_owner(self);
		ASSERT_LT(0, owner);
		gt_queue_consume(&self->e.q);
		ASSERT_LT(0, gt_put(self->e.ctl, "discover tasks"));
		if (i == 3)
			break;
		before = progress(self);
		EXPECT_TRUE(before == NTASKS * ROUNDS || gets_on(self, before));
		kill(owner, SIGKILL);
		ASSERT_EQ(owner, waitpid(owner, NULL, 0));
		ASSERT_TRUE(programs_gone(&self->e));
	}
	EXPECT_EQ(0, finish(self, END_MS));
	kill(owner, SIGKILL);
	waitpid(owner, NULL, 0);
	say(_metadata, self);
}

/* Two enclaves, each with a policy and tasks of its own. */
TEST_F_TIMEOUT(policy, beside_another, 120)
{
	static FIXTURE_DATA(policy) other;

	if (self->last < 2)
		SKIP(return, "two enclaves need 3 CPUs");
	if (!gt_has_btf())
		SKIP(return, "the tree needs kfuncs, and they BTF");
	memset(&other, 0, sizeof(other));
	ASSERT_EQ(0, stop_agents(self));
	ASSERT_LE(0, gt_set_cpus(&self->e, "1"));
	self->last = 1;
	ASSERT_EQ(0, start_agents(self));
	ASSERT_EQ(0, set_up(&other, variant->load == gt_bpf_tree ? gt_bpf_fifo :
			    gt_bpf_tree, 2, 2)) TH_LOG("%s", other.e.step);
	ASSERT_EQ(0, start(self, ROUNDS));
	ASSERT_EQ(0, start(&other, ROUNDS));
	EXPECT_EQ(0, finish(self, END_MS));
	EXPECT_EQ(0, finish(&other, END_MS));
	EXPECT_EQ(NTASKS * ROUNDS, progress(self));
	EXPECT_EQ(NTASKS * ROUNDS, progress(&other));
	EXPECT_LT(0, self->f->latched);
	EXPECT_LT(0, other.f->latched);
	say(_metadata, self);
	say(_metadata, &other);
	tear_down(&other);
}

/* No agent: nobody runs, and nobody is lost. */
TEST_F_TIMEOUT(policy, agents_come_and_go, 120)
{
	int i;

	ASSERT_EQ(0, start(self, ROUNDS));
	for (i = 0; i < 5; i++) {
		gt_sleep_ms(50);
		ASSERT_EQ(0, stop_agents(self));
		ASSERT_EQ(0, start_agents(self));
	}
	EXPECT_EQ(0, finish(self, END_MS));
	say(_metadata, self);
}

TEST_HARNESS_MAIN
