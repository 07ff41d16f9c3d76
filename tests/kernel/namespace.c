// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Namespaces: to be root in another user namespace is to be its user outside; the end
 * of a PID namespace takes its members along.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"
#include "gt_policy.h"

#define NOBODY		65534
#define CHILDREN	8

/* ---- user namespaces ---- */

FIXTURE(user) {
	struct gt_enclave e;
	struct gt_task t;
};

FIXTURE_SETUP(user)
{
	if (access("/proc/self/ns/user", F_OK))
		SKIP(return, "a kernel without user namespaces");
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	/* Whoever joins needs a CPU to end. */
	ASSERT_EQ(1, gt_file_put(&self->e, "fallback", "1"));
	ASSERT_EQ(0, gt_task_start(&self->t));
}

FIXTURE_TEARDOWN(user)
{
	gt_destroy(&self->e);
	gt_task_end(&self->t);
	gt_enclave_close(&self->e);
}

/* Become root of a user namespace, which is @id outside. */
static int become_root(int id)
{
	char map[32];

	if (id && (setgid(id) || setuid(id)))
		return -errno;
	/* What setuid() takes, or the files below were root's. */
	prctl(PR_SET_DUMPABLE, 1);
	if (unshare(CLONE_NEWUSER))
		return -errno;
	snprintf(map, sizeof(map), "0 %d 1", id);
	if (gt_write_file("/proc/self/setgroups", "deny") < 0 ||
	    gt_write_file("/proc/self/uid_map", map) < 0 ||
	    gt_write_file("/proc/self/gid_map", map) < 0)
		return -EIO;
	return getuid() || getgid() ? -EIO : 0;
}

/*
 * As root of a namespace, @id outside, in a child: what @fn returns, 0 or -errno.
 */
static int as_root(int id, int (*fn)(FIXTURE_DATA(user) *self),
		   FIXTURE_DATA(user) *self)
{
	int status, ret;
	pid_t pid;

	pid = fork();
	if (!pid) {
		if (become_root(id))
			_exit(255);
		ret = fn(self);
		_exit(ret < 0 ? -ret : 0);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1000;
	return -WEXITSTATUS(status);
}

static int destroy_by_inherited(FIXTURE_DATA(user) *self)
{
	return gt_put(self->e.ctl, "destroy");
}

static int join_by_inherited(FIXTURE_DATA(user) *self)
{
	return gt_put(self->e.tasks, "0");
}

static int join_by_own(FIXTURE_DATA(user) *self)
{
	return gt_file_put(&self->e, "tasks", "0");
}

static int join_thread_of_root(FIXTURE_DATA(user) *self)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", self->t.pid);
	return gt_file_put(&self->e, "tasks", pid);
}

static int open_ctl(FIXTURE_DATA(user) *self)
{
	return gt_file(&self->e, "ctl", O_RDWR);
}

static int become_agent(FIXTURE_DATA(user) *self)
{
	return gt_file_put(&self->e, "ctl", "become agent 1 -1");
}

static int run(FIXTURE_DATA(user) *self)
{
	self->e.ctl = open_ctl(self);
	return self->e.ctl < 0 ? -EIO : gt_ping(&self->e, 1);
}

static int top_ctl(FIXTURE_DATA(user) *self)
{
	return gt_write_file(GT_ROOT "/ctl", "create 5400 91");
}

static int gid_not_mapped(FIXTURE_DATA(user) *self)
{
	return gt_write_file(GT_ROOT "/ctl", "create 5400 91 gid=78");
}

static int destroy_by_own(FIXTURE_DATA(user) *self)
{
	return gt_file_put(&self->e, "ctl", "destroy");
}

TEST_F(user, root_elsewhere_who_is_nobody_here)
{
	EXPECT_EQ(0, as_root(NOBODY, join_by_own, self)) TH_LOG("tasks is open to all");
	EXPECT_EQ(-EPERM, as_root(NOBODY, join_by_inherited, self));
	EXPECT_EQ(-EPERM, as_root(NOBODY, join_thread_of_root, self));
	EXPECT_EQ(SCHED_OTHER, gt_policy(self->t.pid));
	EXPECT_EQ(-EACCES, as_root(NOBODY, open_ctl, self));
	EXPECT_EQ(-EACCES, as_root(NOBODY, top_ctl, self));
	EXPECT_EQ(-EPERM, as_root(NOBODY, destroy_by_inherited, self));
	EXPECT_EQ(0, access(self->e.dir, F_OK));
}

/* The files are the user's, but no capability is. */
TEST_F(user, root_elsewhere_who_is_root_here)
{
	EXPECT_EQ(-EPERM, as_root(0, destroy_by_inherited, self));
	EXPECT_EQ(-EPERM, as_root(0, join_by_inherited, self));
	EXPECT_EQ(-EPERM, as_root(0, become_agent, self));
	EXPECT_EQ(-EPERM, as_root(0, run, self));
	EXPECT_EQ(-EINVAL, as_root(0, gid_not_mapped, self));
	EXPECT_NE(0, access(GT_ROOT "/enclave_5400", F_OK));
	EXPECT_EQ(0, access(self->e.dir, F_OK));
	EXPECT_EQ(0, as_root(0, destroy_by_own, self));
	EXPECT_TRUE(gt_gone(&self->e));
}

/* ---- PID namespaces ---- */

FIXTURE(pid) {
	struct gt_enclave e;
	pid_t host, outer;
	int *init;			/* of the namespace, shared */
};

FIXTURE_VARIANT(pid) {
	bool policy;
};

/* A policy runs who is to die; without one the tunable has them run. */
FIXTURE_VARIANT_ADD(pid, policy) { .policy = true };
FIXTURE_VARIANT_ADD(pid, fallback) { .policy = false };

FIXTURE_SETUP(pid)
{
	if (access("/proc/self/ns/pid", F_OK))
		SKIP(return, "a kernel without PID namespaces");
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	self->init = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->init);
	if (variant->policy) {
		self->host = gt_policy_start(&self->e, 1);
		ASSERT_LT(0, self->host);
	}
}

FIXTURE_TEARDOWN(pid)
{
	gt_destroy(&self->e);
	if (self->host > 0) {
		kill(self->host, SIGKILL);
		waitpid(self->host, NULL, 0);
	}
	if (self->outer > 0) {
		kill(self->outer, SIGKILL);
		waitpid(self->outer, NULL, 0);
	}
	gt_enclave_close(&self->e);
	munmap(self->init, 4096);
}

/* Half of its children sleep, all are members; so is it, if asked. */
static void init_main(FIXTURE_DATA(pid) *self, bool joins)
{
	int i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (i = 0; i < CHILDREN; i++) {
		if (fork())
			continue;
		if (gt_put(self->e.tasks, "0") < 0)
			_exit(1);
		__atomic_add_fetch(&self->init[1], 1, __ATOMIC_RELEASE);
		for (;;)
			if (i & 1)
				pause();
			else
				sched_yield();
	}
	if (joins && gt_put(self->e.tasks, "0") < 0)
		_exit(1);
	for (;;)
		pause();
}

/* A child in the end of whose namespace we are interested; its number is in @init. */
static pid_t start_namespace(FIXTURE_DATA(pid) *self, bool joins)
{
	pid_t pid;

	self->init[0] = 0;
	self->init[1] = 0;
	pid = fork();
	if (!pid) {
		pid_t init;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (unshare(CLONE_NEWPID))
			_exit(1);
		init = fork();
		if (!init)
			init_main(self, joins);
		__atomic_store_n(&self->init[0], init, __ATOMIC_RELEASE);
		/* It has ended when all others of its namespace have. */
		_exit(waitpid(init, NULL, 0) != init);
	}
	return pid;
}

static void ends(struct __test_metadata *_metadata, FIXTURE_DATA(pid) *self,
		 const FIXTURE_VARIANT(pid) *variant, bool joins)
{
	char buf[256];
	int status;

	if (!variant->policy)
		ASSERT_EQ(1, gt_file_put(&self->e, "fallback", "1"));
	self->outer = start_namespace(self, joins);
	ASSERT_TRUE(gt_wait_for(__atomic_load_n(&self->init[1], __ATOMIC_ACQUIRE) ==
				CHILDREN))
		TH_LOG("%d joined", self->init[1]);
	if (joins)
		ASSERT_TRUE(gt_wait_for(gt_policy(self->init[0]) == SCHED_GHOST));
	ASSERT_LT(0, gt_file_get(&self->e, "tasks", buf, sizeof(buf)));
	ASSERT_EQ(0, kill(self->init[0], SIGKILL));
	ASSERT_TRUE(gt_wait_for(waitpid(self->outer, &status, WNOHANG) == self->outer));
	self->outer = 0;
	EXPECT_EQ(0, status);
	EXPECT_TRUE(gt_wait_for(gt_file_get(&self->e, "tasks", buf, sizeof(buf)) <= 0 ||
				!buf[0]))
		TH_LOG("still members: %s", buf);
	EXPECT_EQ(0, access(self->e.dir, F_OK));
}

TEST_F_TIMEOUT(pid, ends_with_members, 100)
{
	ends(_metadata, self, variant, false);
}

TEST_F_TIMEOUT(pid, ends_with_a_member_as_init, 100)
{
	ends(_metadata, self, variant, true);
}

TEST_HARNESS_MAIN
