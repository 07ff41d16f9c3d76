// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Core dumps: whoever dumps waits until each thread of the process is on its
 * way out, and members need a CPU for that. A policy may dump core, too.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"
#include "gt_policy.h"

#define load(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)

#define PATTERN		"/proc/sys/kernel/core_pattern"
#define FILTER		"/proc/self/coredump_filter"
#define CORE		"/tmp/ghost-core"
#define HANDLER		"/tmp/ghost-core-handler"
#define GO		"/tmp/ghost-core-go"
#define THREADS		3

static struct gt_agent agent;

/* Shared with a process of several threads, which crashes when it is told to. */
static struct victim {
	int by_leader, by_thread;
	struct gt_task_ctl thread[THREADS];
	pid_t tid[THREADS];
} *victim;

static void crash(void)
{
	*(volatile int *)NULL = 0;
}

/* The first crashes if it runs, the second one spins, the last one sleeps. */
static void *victim_thread(void *arg)
{
	long i = (long)arg;

	store(&victim->tid[i], gettid());
	while (i < THREADS - 1) {
		__atomic_add_fetch(&victim->thread[i].count, 1, __ATOMIC_RELAXED);
		if (!i && load(&victim->by_thread))
			crash();
	}
	for (;;)
		pause();
	return NULL;
}

static void victim_main(void)
{
	pthread_attr_t attr;
	pthread_t thread;
	long i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	gt_pin(0, -1);
	/* A pipe gets all of it, holes and all. */
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	for (i = 0; i < THREADS; i++)
		if (pthread_create(&thread, &attr, victim_thread, (void *)i))
			_exit(1);
	while (!load(&victim->by_leader))
		gt_sleep_ms(1);
	crash();
}

/* Where cores go: to a file, to a program, to one that waits for a file first. */
#define SHELL	"#!/bin/busybox sh\nPATH=/bin\n"

static const char to_file[] = "", to_pipe[] = SHELL "busybox cat >" CORE "\n",
	to_slow_pipe[] = SHELL
	"until [ -e " GO " ]; do busybox sleep 0.1; done\n"
	"busybox cat >" CORE "\n";

static char old_pattern[128];

static int make_file(const char *path, const char *text)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0755);
	int ret = fd < 0 ? -errno : gt_put(fd, text);

	close(fd);
	return ret;
}

static bool can_dump(void)
{
	return gt_read_file(PATTERN, old_pattern, sizeof(old_pattern)) > 0 &&
		!access(FILTER, F_OK);
}

static int begin_dumps(const char *handler)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	int ret;

	unlink(CORE);
	unlink(GO);
	ret = make_file(HANDLER, handler);
	if (ret >= 0)
		ret = gt_write_file(PATTERN, *handler ? "|" HANDLER : CORE);
	/* All kinds of mappings, those of an enclave among them. */
	if (ret >= 0)
		ret = gt_write_file(FILTER, "0x7f");
	if (ret >= 0 && setrlimit(RLIMIT_CORE, &unlimited))
		ret = -errno;
	victim = mmap(NULL, sizeof(*victim), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return victim == MAP_FAILED ? -errno : ret;
}

static void end_dumps(void)
{
	gt_write_file(PATTERN, old_pattern);
	unlink(CORE);
	unlink(HANDLER);
	unlink(GO);
}

static bool core_is_there(void)
{
	char head[SELFMAG + 1];
	struct stat st;

	return gt_wait_for(gt_read_file(CORE, head, sizeof(head)) == SELFMAG &&
			   !memcmp(head, ELFMAG, SELFMAG) &&
			   !stat(CORE, &st) && st.st_size > 8192);
}

#define EXPECT_CORE(status) do {					\
	EXPECT_EQ(SIGSEGV | 0x80, (status) & 0xff);			\
	EXPECT_TRUE(core_is_there());					\
} while (0)

/* ---- members of the process that dumps ---- */

FIXTURE(members) {
	struct gt_enclave e;
	struct gt_task t[THREADS];
	pid_t pid, host;
};

FIXTURE_VARIANT(members) {
	const char *handler;
};

FIXTURE_VARIANT_ADD(members, to_a_file) { .handler = to_file };
FIXTURE_VARIANT_ADD(members, through_a_pipe) { .handler = to_pipe };

FIXTURE_SETUP(members)
{
	if (!can_dump())
		SKIP(return, "needs CONFIG_COREDUMP and CONFIG_ELF_CORE");
	ASSERT_LE(0, begin_dumps(variant->handler));
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
}

static void end_process(pid_t pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

FIXTURE_TEARDOWN(members)
{
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	end_process(self->host);
	end_process(self->pid);
	EXPECT_EQ(0, self->e.q.gaps);
	gt_enclave_close(&self->e);
	end_dumps();
}

/* Starts it; its threads become members, but not the leader. */
static bool start_members(FIXTURE_DATA(members) *self)
{
	int i;

	self->pid = fork();
	if (!self->pid) {
		victim_main();
		_exit(1);
	}
	for (i = 0; i < THREADS; i++) {
		if (!gt_wait_for(load(&victim->tid[i])))
			return false;
		self->t[i] = (struct gt_task){
			.pid = victim->tid[i], .ctl = &victim->thread[i],
			.gtid = gt_gtid_of(victim->tid[i]),
		};
		if (i == THREADS - 1 && !gt_asleep(&self->t[i]))
			return false;
		if (gt_join(&self->e, victim->tid[i]))
			return false;
	}
	return true;
}

/* One runs, one waits and was never picked, one sleeps. */
#define START_IN_ALL_STATES() do {					\
	int __i;							\
									\
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));		\
	ASSERT_TRUE(start_members(self));				\
	for (__i = 0; __i < THREADS; __i++)				\
		ASSERT_EQ(0, gt_next_type(&self->e.q, self->t[__i].gtid, \
					  MSG_TASK_NEW, NULL));		\
	ASSERT_EQ(GHOST_TXN_COMPLETE,					\
		  gt_schedule(&agent, 1, &self->t[0], 0));		\
	ASSERT_TRUE(gt_runs(&agent, 1, &self->t[0]));			\
	ASSERT_TRUE(gt_stands(&self->t[1]));				\
} while (0)

/* Does everybody get a CPU in turn until the process is gone? */
static bool driven_to_its_end(FIXTURE_DATA(members) *self, int *status)
{
	pid_t pid = 0;

	gt_wait_for(({
		int i;

		for (i = 0; i < THREADS; i++)
			gt_put_back(&agent, 1, &self->t[i]);
		pid = waitpid(self->pid, status, WNOHANG);
	}));
	if (pid == self->pid)
		self->pid = 0;
	return pid > 0;
}

static bool ended(FIXTURE_DATA(members) *self, int *status)
{
	pid_t pid = 0;
	int i;

	for (i = 0; i < 4 && !pid; i++)
		gt_wait_for((pid = waitpid(self->pid, status, WNOHANG)));
	if (pid != self->pid)
		return false;
	self->pid = 0;
	return true;
}

/* The others are brought to their end before anything is written. */
TEST_F(members, waits_for_the_policy)
{
	int i, status = 0;

	START_IN_ALL_STATES();
	store(&victim->by_leader, 1);
	EXPECT_EQ(0, gt_next_type(&self->e.q, self->t[2].gtid, MSG_TASK_WAKEUP, NULL));
	EXPECT_TRUE(gt_wait_for(gt_proc_state(self->pid) == 'D'));
	EXPECT_TRUE(gt_stands(&self->t[1]));
	EXPECT_EQ('D', gt_proc_state(self->pid));
	EXPECT_NE(0, access(CORE, F_OK));
	ASSERT_TRUE(driven_to_its_end(self, &status));
	EXPECT_CORE(status);
	for (i = 0; i < THREADS; i++)
		EXPECT_EQ(0, gt_next_type(&self->e.q, self->t[i].gtid,
					  MSG_TASK_DEAD, NULL));
}

/* A member that dumps is blocked as long as it waits for the others. */
TEST_F(members, by_a_member)
{
	int i, status = 0;

	START_IN_ALL_STATES();
	store(&victim->by_thread, 1);
	EXPECT_EQ(0, gt_drive(&agent, 1, &self->t[0], MSG_TASK_BLOCKED, NULL));
	ASSERT_TRUE(driven_to_its_end(self, &status));
	EXPECT_CORE(status);
	for (i = 0; i < THREADS; i++)
		EXPECT_EQ(0, gt_next_type(&self->e.q, self->t[i].gtid,
					  MSG_TASK_DEAD, NULL));
}

/* A policy that does not run them holds the dump up, but not beyond its limit. */
TEST_F_TIMEOUT(members, limit_strikes, 60)
{
	int status = 0;

	self->host = gt_host_start(&self->e, 1, NULL, NULL);
	ASSERT_LT(0, self->host);
	ASSERT_TRUE(start_members(self));
	ASSERT_TRUE(gt_stands(&self->t[0]));
	store(&victim->by_leader, 1);
	EXPECT_TRUE(gt_wait_for(gt_proc_state(self->pid) == 'D'));
	ASSERT_EQ(4, gt_file_put(&self->e, "runnable_timeout", "1000"));
	EXPECT_TRUE(gt_gone(&self->e));
	ASSERT_TRUE(ended(self, &status));
	EXPECT_CORE(status);
}

TEST_F_TIMEOUT(members, without_an_agent, 60)
{
	int i, status = 0;

	ASSERT_EQ(1, gt_file_put(&self->e, "fallback", "1"));
	ASSERT_TRUE(start_members(self));
	ASSERT_TRUE(gt_spins(&self->t[0]));
	store(&victim->by_thread, 1);
	ASSERT_TRUE(ended(self, &status));
	EXPECT_CORE(status);
	for (i = 0; i < THREADS; i++)
		EXPECT_EQ(0, gt_next_type(&self->e.q, self->t[i].gtid,
					  MSG_TASK_DEAD, NULL));
}

TEST_F_TIMEOUT(members, under_a_policy, 60)
{
	int status = 0;

	self->host = gt_policy_start(&self->e, 1);
	ASSERT_LT(0, self->host);
	ASSERT_TRUE(start_members(self));
	/* It gives the CPU to one of the spinners, for good. */
	ASSERT_TRUE(gt_wait_for(gt_flags(gt_sw(&self->e, self->t[0].gtid)) &
				GHOST_SW_TASK_ONCPU ||
				gt_flags(gt_sw(&self->e, self->t[1].gtid)) &
				GHOST_SW_TASK_ONCPU));
	store(&victim->by_leader, 1);
	ASSERT_TRUE(ended(self, &status));
	EXPECT_CORE(status);
}

/* ---- the process of an agent dumps ---- */

FIXTURE(agents) {
	struct gt_enclave e;
	struct gt_task t;
	pid_t host;
};

FIXTURE_VARIANT(agents) {
	const char *handler;
};

FIXTURE_VARIANT_ADD(agents, to_a_file) { .handler = to_file };
FIXTURE_VARIANT_ADD(agents, through_a_pipe) { .handler = to_pipe };
FIXTURE_VARIANT_ADD(agents, through_a_slow_pipe) { .handler = to_slow_pipe };

FIXTURE_SETUP(agents)
{
	if (!can_dump())
		SKIP(return, "needs CONFIG_COREDUMP and CONFIG_ELF_CORE");
	ASSERT_LE(0, begin_dumps(variant->handler));
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->t));
}

FIXTURE_TEARDOWN(agents)
{
	make_file(GO, "");
	gt_destroy(&self->e);
	end_process(self->host);
	gt_task_end(&self->t);
	EXPECT_EQ(0, self->e.q.gaps);
	gt_enclave_close(&self->e);
	end_dumps();
}

static long spin_for_ever(struct gt_agent *a, void *unused)
{
	for (;;)
		;
	return 0;
}

/* A member that waits, and an agent that will never look at it. */
#define START_HOST(fn) do {						\
	self->host = gt_host_start(&self->e, 1, fn, NULL);		\
	ASSERT_LT(0, self->host);					\
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));	\
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));	\
	ASSERT_TRUE(gt_stands(&self->t));				\
} while (0)

/*
 * A slow dump is as good as the end of the agent: it will never schedule again,
 * and its tasks must not wait for whoever reads the core.
 */
TEST_F(agents, parked)
{
	int status;

	ASSERT_EQ(1, gt_file_put(&self->e, "fallback", "1"));
	START_HOST(NULL);
	ASSERT_EQ(0, kill(self->host, SIGSEGV));
	EXPECT_EQ(0, gt_next_type(&self->e.q, self->t.gtid,
				  MSG_TASK_BLOCKED, NULL));
	EXPECT_TRUE(gt_spins(&self->t));
	ASSERT_LE(0, make_file(GO, ""));
	ASSERT_EQ(self->host, waitpid(self->host, &status, 0));
	self->host = 0;
	EXPECT_CORE(status);
	EXPECT_EQ(-ETIMEDOUT, gt_next(&self->e.q, self->t.gtid, GT_QUIET_MS, NULL));
}

TEST_F(agents, running)
{
	int status;

	ASSERT_EQ(1, gt_file_put(&self->e, "fallback", "1"));
	START_HOST(spin_for_ever);
	ASSERT_EQ(0, kill(self->host, SIGSEGV));
	EXPECT_EQ(0, gt_next_type(&self->e.q, self->t.gtid,
				  MSG_TASK_BLOCKED, NULL));
	EXPECT_TRUE(gt_spins(&self->t));
	ASSERT_LE(0, make_file(GO, ""));
	ASSERT_EQ(self->host, waitpid(self->host, &status, 0));
	self->host = 0;
	EXPECT_CORE(status);
}

static long crash_in_agent(struct gt_agent *a, void *unused)
{
	while (!load(&victim->by_thread))
		;
	crash();
	return 0;
}

/* It writes the core itself. */
TEST_F(agents, writes_it_itself)
{
	int status;

	ASSERT_EQ(1, gt_file_put(&self->e, "fallback", "1"));
	START_HOST(crash_in_agent);
	store(&victim->by_thread, 1);
	EXPECT_EQ(0, gt_next_type(&self->e.q, self->t.gtid,
				  MSG_TASK_BLOCKED, NULL));
	EXPECT_TRUE(gt_spins(&self->t));
	ASSERT_LE(0, make_file(GO, ""));
	ASSERT_EQ(self->host, waitpid(self->host, &status, 0));
	self->host = 0;
	EXPECT_CORE(status);
}

/* Without fallback the limit ends the enclave, and a dump that is not done. */
TEST_F(agents, limit_strikes)
{
	int status;

	START_HOST(NULL);
	ASSERT_EQ(0, kill(self->host, SIGSEGV));
	ASSERT_EQ(3, gt_file_put(&self->e, "runnable_timeout", "500"));
	EXPECT_TRUE(gt_gone(&self->e));
	EXPECT_TRUE(gt_spins(&self->t));
	EXPECT_EQ(SCHED_OTHER, gt_policy(self->t.pid));
	ASSERT_EQ(self->host, waitpid(self->host, &status, 0));
	self->host = 0;
}

TEST_HARNESS_MAIN
