// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Who pays for memory: the memory cgroup of who asks, and at its limit nobody. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"

#define CGROUP		"/sys/fs/cgroup"
#define GROUP		CGROUP "/ghost-memory"
#define ELEMS		65536
#define MAX_QUEUES	200
#define LIMIT		(24 << 20)
#define MANY		20

/* Bytes that @file of the group says; 0 if it says nothing. */
static long long bytes(const char *file)
{
	char path[128], buf[32] = "";

	snprintf(path, sizeof(path), GROUP "/%s", file);
	gt_read_file(path, buf, sizeof(buf));
	return atoll(buf);
}

FIXTURE(memory) {
	struct gt_enclave e;
	size_t queue_size;
};

FIXTURE_SETUP(memory)
{
	char buf[256] = "";
	struct gt_queue q;

	gt_read_file(CGROUP "/cgroup.controllers", buf, sizeof(buf));
	if (!strstr(buf, "memory"))
		SKIP(return, "a kernel without memory cgroups");
	gt_write_file(CGROUP "/cgroup.subtree_control", "+memory");
	ASSERT_TRUE(!mkdir(GROUP, 0755) || errno == EEXIST);
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_queue_create(self->e.ctl, ELEMS, &q));
	self->queue_size = q.size;
	gt_queue_close(&q);
}

FIXTURE_TEARDOWN(memory)
{
	gt_destroy(&self->e);
	gt_enclave_close(&self->e);
	/* The queues go with the last descriptor. */
	EXPECT_TRUE(gt_wait_for(bytes("memory.current") <
				(long long)self->queue_size))
		TH_LOG("%lld bytes are left", bytes("memory.current"));
	EXPECT_TRUE(gt_wait_for(!rmdir(GROUP)));
}

/* In the group, with a limit: 0, or what went wrong. */
static int charge(struct gt_enclave *e, size_t queue_size)
{
	int queues[MAX_QUEUES], n = 0, i;
	struct ghost_ioc_create_queue arg;
	long long before, full;
	char buf[64];

	if (gt_write_file(GROUP "/cgroup.procs", "0") < 0)
		return 1;
	snprintf(buf, sizeof(buf), "%d", LIMIT);
	if (gt_write_file(GROUP "/memory.max", buf) < 0)
		return 2;
	gt_write_file(GROUP "/memory.swap.max", "0");
	before = bytes("memory.current");
	do {
		arg = (struct ghost_ioc_create_queue){ .elems = ELEMS };
		queues[n] = gt_ioctl(e->ctl, GHOST_IOC_CREATE_QUEUE, &arg);
	} while (queues[n] >= 0 && ++n < MAX_QUEUES);
	if (n < 4 || n == MAX_QUEUES || queues[n] != -ENOMEM)
		return 3;
	full = bytes("memory.current");
	/* Less than a queue may have been charged ahead. */
	if (full - before < (long long)((n - 1) * queue_size) || full > LIMIT)
		return 4;
	for (i = 0; i < n; i++)
		close(queues[i]);
	if (!gt_wait_for(bytes("memory.current") <
			 before + (long long)(2 * queue_size)))
		return 5;
	/* Regions, too; and the enclave goes on. */
	for (i = 1; i < 100; i++) {
		snprintf(buf, sizeof(buf), "create sw_region %d 0", i);
		n = gt_put(e->ctl, buf);
		if (n < 0)
			break;
	}
	if (i < 3 || n != -ENOMEM)
		return 6;
	return gt_ioctl(e->ctl, GHOST_IOC_NULL, NULL) ? 7 : 0;
}

/* The limit of the group stops who is in it, with ENOMEM and alive. */
TEST_F(memory, limit_of_the_group)
{
	struct gt_queue q;
	int status;
	pid_t pid;

	pid = fork();
	if (!pid)
		_exit(charge(&self->e, self->queue_size));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status) TH_LOG("step %d, signal %d", WEXITSTATUS(status),
				    WTERMSIG(status));
	EXPECT_EQ(0, gt_queue_create(self->e.ctl, ELEMS, &q));
	gt_queue_close(&q);
}

/* Bytes of the kernel that @file "memory.stat" of the group counts. */
static long long kernel_bytes(void)
{
	char buf[8192] = "";
	char *at;

	gt_read_file(GROUP "/memory.stat", buf, sizeof(buf));
	at = strstr(buf, "\nkernel ");
	return at ? atoll(at + strlen("\nkernel ")) : -1;
}

/* In the group: enclaves that nobody gives anything are paid for, too. */
static int create_many(void)
{
	/* Of each the record of its end, 32 KiB, and the pages of transactions. */
	const long long least = MANY * (32768LL + 4096 * gt_npossible());
	static struct gt_enclave e[MANY];
	long long before, with;
	int i;

	if (gt_write_file(GROUP "/cgroup.procs", "0") < 0)
		return 1;
	before = kernel_bytes();
	if (before < 0)
		return 2;
	for (i = 0; i < MANY; i++)
		if (gt_enclave_bare(&e[i]))
			return 3;
	with = kernel_bytes();
	printf("# %d enclaves: %lld bytes\n", MANY, with - before);
	if (with - before < least)
		return 4;
	for (i = 0; i < MANY; i++) {
		if (gt_destroy(&e[i]))
			return 5;
		gt_enclave_close(&e[i]);
	}
	return gt_wait_for(kernel_bytes() < before + least / 2) ? 0 : 6;
}

TEST_F(memory, enclaves)
{
	int status;
	pid_t pid;

	pid = fork();
	if (!pid)
		_exit(create_many());
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status) TH_LOG("step %d, signal %d", WEXITSTATUS(status),
				    WTERMSIG(status));
}

TEST_HARNESS_MAIN
