// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Every ioctl with wrong descriptors, commands, pointers and numbers: each gets
 * its errno, nothing stays allocated and nothing above info is logged.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"

#define KERNEL_ADDRESS	((void *)0xffffffff81000000)
#define NO_ADDRESS	((void *)0x8000000000000000)
#define PAGE		4096

static const struct {
	const char *name;
	unsigned long cmd;
} ioctls[] = {
#define IOCTL(name) { #name, GHOST_IOC_##name }
	IOCTL(SW_GET_INFO), IOCTL(SW_FREE), IOCTL(CREATE_QUEUE),
	IOCTL(ASSOC_QUEUE), IOCTL(SET_DEFAULT_QUEUE),
	IOCTL(CONFIG_QUEUE_WAKEUP), IOCTL(GET_CPU_TIME), IOCTL(COMMIT_TXN),
	IOCTL(SYNC_GROUP_TXN), IOCTL(TIMERFD_SETTIME), IOCTL(RUN),
	IOCTL(NULL),
#undef IOCTL
};

FIXTURE(bad) {
	struct gt_watch watch;
	struct gt_enclave e, other, dead;
	struct gt_task t;
	char *page;		/* one that is there, before one that is not */
};

FIXTURE_SETUP(bad)
{
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_watch_begin(&self->watch));
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_enclave_bare(&self->other));
	ASSERT_EQ(0, gt_queue_create(self->other.ctl, 64, &self->other.q));
	ASSERT_EQ(0, gt_enclave_bare(&self->dead));
	ASSERT_EQ(0, gt_queue_create(self->dead.ctl, 64, &self->dead.q));
	ASSERT_EQ(0, gt_destroy(&self->dead));
	ASSERT_TRUE(gt_gone(&self->dead));
	ASSERT_EQ(0, gt_task_start(&self->t));
	self->page = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->page);
	ASSERT_EQ(0, munmap(self->page + PAGE, PAGE));
}

FIXTURE_TEARDOWN(bad)
{
	const char *line;

	gt_destroy(&self->e);
	gt_destroy(&self->other);
	gt_task_end(&self->t);
	EXPECT_EQ(0, self->e.q.gaps);
	gt_enclave_close(&self->e);
	gt_enclave_close(&self->other);
	gt_enclave_close(&self->dead);
	EXPECT_TRUE(gt_watch_freed(&self->watch))
		TH_LOG("memory of queues or regions was not freed");
	line = gt_watch_log(&self->watch);
	EXPECT_EQ(NULL, line) TH_LOG("the kernel said: %s", line);
	gt_watch_end(&self->watch);
}

static int open_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

TEST_F(bad, wrong_descriptor)
{
	struct gt_enclave *e = &self->e;
	int pipes[2];
	struct {
		const char *what;
		int fd, err;
	} t[] = {
		{ "-1", -1, EBADF },
		{ "INT_MIN", INT_MIN, EBADF },
		{ "INT_MAX", INT_MAX, EBADF },
		{ "path", gt_file(e, "ctl", O_PATH), EBADF },
		{ "null", gt_open("/dev/null", O_RDWR), ENOTTY },
		{ "pipe", pipe(pipes) ? -1 : pipes[1], ENOTTY },
		{ "top", gt_open(GT_ROOT "/ctl", O_WRONLY), ENOTTY },
		{ "directory", gt_open(e->dir, O_RDONLY), ENOTTY },
		{ "queue", e->q.fd, ENOTTY },
		{ "tasks", e->tasks, ENOTTY },
		{ "cpu_data", gt_file(e, "cpu_data", O_RDWR), ENOTTY },
		{ "cpulist", gt_file(e, "cpulist", O_RDWR), ENOTTY },
		{ "online", gt_file(e, "agent_online", O_RDONLY), ENOTTY },
		{ "region", gt_file(e, "sw_regions/sw_0", O_RDONLY), ENOTTY },
		{ "read-only", gt_file(e, "ctl", O_RDONLY), EACCES },
		{ "dead", self->dead.ctl, ENODEV },
	};
	char arg[64] = { 0 };
	int i, k;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		if (i > 2) {
			ASSERT_LE(0, t[i].fd) TH_LOG("%s", t[i].what);
		}
		for (k = 0; k < ARRAY_SIZE(ioctls); k++) {
			EXPECT_EQ(-t[i].err,
				  gt_ioctl(t[i].fd, ioctls[k].cmd, arg))
				TH_LOG("%s of %s", ioctls[k].name, t[i].what);
		}
		if (i > 2 && t[i].fd != e->q.fd && t[i].fd != e->tasks &&
		    t[i].fd != self->dead.ctl)
			close(t[i].fd);
	}
	close(pipes[0]);
}

TEST_F(bad, unknown_command)
{
	static const unsigned int shapes[] = {
		_IO(0, 0), _IOR(0, 0, int), _IOW(0, 0, int), _IOWR(0, 0, int),
		_IOW(0, 0, char[24]), _IOWR(0, 0, char[24]),
		_IOWR(0, 0, char[16383]),
	};
	char arg[64] = { 0 };
	unsigned long cmd;
	int nr, i, k;

	for (nr = 0; nr < 256; nr++) {
		for (i = 0; i < ARRAY_SIZE(shapes); i++) {
			cmd = shapes[i] | 'g' << 8 | nr;
			for (k = 0; k < ARRAY_SIZE(ioctls); k++)
				if (cmd == ioctls[k].cmd)
					break;
			if (k < ARRAY_SIZE(ioctls))
				continue;
			EXPECT_EQ(-ENOTTY, gt_ioctl(self->e.ctl, cmd, arg))
				TH_LOG("command %lx", cmd);
		}
	}
}

TEST_F(bad, pointer)
{
	char *end = self->page + PAGE;
	int before = open_descriptors(), i, k;
	struct ghost_ioc_sw_get_info info = {
		.request = { GHOST_TASK, self->t.gtid },
	};

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	for (k = 0; k < ARRAY_SIZE(ioctls); k++) {
		size_t size = _IOC_SIZE(ioctls[k].cmd);
		void *t[] = {
			NULL, (void *)1, (void *)8, end, end - 1,
			end - size + 1, KERNEL_ADDRESS, NO_ADDRESS,
			(void *)-1L, (void *)-size,
		};

		if (!size)
			continue;
		memset(self->page, 0, PAGE);
		/* Of this one the first bytes are read, the last are written. */
		if (ioctls[k].cmd == GHOST_IOC_SW_GET_INFO)
			memcpy(end - size + 1, &info, size - 1);
		for (i = 0; i < ARRAY_SIZE(t); i++) {
			EXPECT_EQ(-EFAULT, gt_ioctl(self->e.ctl, ioctls[k].cmd,
						    t[i]))
				TH_LOG("%s(%p)", ioctls[k].name, t[i]);
		}
	}
	EXPECT_EQ(before, open_descriptors());
}

/* What is only to be read cannot take the result. */
TEST_F(bad, read_only_result)
{
	struct ghost_ioc_sw_get_info info = {
		.request = { GHOST_TASK, self->t.gtid },
	};
	struct ghost_ioc_create_queue queue = { .elems = 16 };
	struct ghost_ioc_get_cpu_time time = { 0 };
	struct {
		unsigned long cmd;
		void *arg;
	} t[] = {
		{ GHOST_IOC_SW_GET_INFO, &info },
		{ GHOST_IOC_CREATE_QUEUE, &queue },
		{ GHOST_IOC_GET_CPU_TIME, &time },
	};
	int before = open_descriptors(), i;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		memcpy(self->page, t[i].arg, _IOC_SIZE(t[i].cmd));
		ASSERT_EQ(0, mprotect(self->page, PAGE, PROT_READ));
		EXPECT_EQ(-EFAULT, gt_ioctl(self->e.ctl, t[i].cmd, self->page))
			TH_LOG("row %d", i);
		ASSERT_EQ(0, mprotect(self->page, PAGE,
				      PROT_READ | PROT_WRITE));
	}
	EXPECT_EQ(before, open_descriptors());
}

TEST_F(bad, unaligned_pointer_is_none)
{
	struct ghost_ioc_get_cpu_time *time;
	struct ghost_ioc_create_queue *queue;
	struct ghost_ioc_commit_txn *txn;
	struct ghost_ioc_sw_get_info *info;
	int i, fd;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	for (i = 1; i < 8; i++) {
		char *at = self->page + i, *mask = self->page + 128 + i;

		memset(self->page, 0, PAGE);
		time = (void *)at;
		EXPECT_EQ(0, gt_ioctl(self->e.ctl, GHOST_IOC_GET_CPU_TIME, at));
		EXPECT_LT(0, time->runtime);
		queue = (void *)at;
		memset(at, 0, sizeof(*queue));
		queue->elems = 1;
		fd = gt_ioctl(self->e.ctl, GHOST_IOC_CREATE_QUEUE, at);
		EXPECT_LE(0, fd);
		EXPECT_EQ(PAGE, queue->mapsize);
		close(fd);
		info = (void *)at;
		memset(at, 0, sizeof(*info));
		info->request.type = GHOST_TASK;
		info->request.arg = self->t.gtid;
		EXPECT_EQ(0, gt_ioctl(self->e.ctl, GHOST_IOC_SW_GET_INFO, at));
		txn = (void *)at;
		memset(at, 0, sizeof(*txn));
		mask[0] = 2;
		txn->mask_ptr = (void *)mask;
		txn->mask_len = 3;
		EXPECT_EQ(0, gt_ioctl(self->e.ctl, GHOST_IOC_COMMIT_TXN, at));
	}
}

TEST_F(bad, pointer_in_the_argument)
{
	char *end = self->page + PAGE;
	void *t[] = {
		NULL, (void *)1, end, end - 1, KERNEL_ADDRESS, NO_ADDRESS,
		(void *)-1L,
	};
	struct ghost_ioc_config_queue_wakeup config = {
		.qfd = self->e.q.fd, .ninfo = 2,
	};
	struct ghost_ioc_commit_txn txn = { .mask_len = 8 };
	struct ghost_ioc_timerfd_settime timer = { 0 };
	struct itimerspec off = { 0 };
	int i, ctl = self->e.ctl;

	timer.timerfd = timerfd_create(CLOCK_MONOTONIC, 0);
	ASSERT_LE(0, timer.timerfd);
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		config.w = t[i];
		EXPECT_EQ(-EFAULT, gt_ioctl(ctl, GHOST_IOC_CONFIG_QUEUE_WAKEUP,
					    &config)) TH_LOG("%p", t[i]);
		txn.mask_ptr = t[i];
		EXPECT_EQ(-EFAULT, gt_ioctl(ctl, GHOST_IOC_COMMIT_TXN, &txn))
			TH_LOG("%p", t[i]);
		EXPECT_EQ(-EFAULT, gt_ioctl(ctl, GHOST_IOC_SYNC_GROUP_TXN,
					    &txn)) TH_LOG("%p", t[i]);
		timer.in_tmr = t[i];
		timer.out_tmr = NULL;
		EXPECT_EQ(-EFAULT, gt_ioctl(ctl, GHOST_IOC_TIMERFD_SETTIME,
					    &timer)) TH_LOG("%p", t[i]);
		timer.in_tmr = (void *)&off;
		timer.out_tmr = t[i];
		EXPECT_EQ(t[i] ? -EFAULT : 0,
			  gt_ioctl(ctl, GHOST_IOC_TIMERFD_SETTIME, &timer))
			TH_LOG("%p", t[i]);
	}
	/* Nothing is read where nothing is to be read. */
	config.w = KERNEL_ADDRESS;
	config.ninfo = 0;
	EXPECT_EQ(0, gt_ioctl(ctl, GHOST_IOC_CONFIG_QUEUE_WAKEUP, &config));
	txn.mask_ptr = KERNEL_ADDRESS;
	txn.mask_len = 0;
	EXPECT_EQ(0, gt_ioctl(ctl, GHOST_IOC_COMMIT_TXN, &txn));
	close(timer.timerfd);
}

/* ---- numbers ---- */

TEST_F(bad, number_of_a_queue)
{
	static const struct ghost_ioc_create_queue t[] = {
		{ .elems = 0 }, { .elems = -1 }, { .elems = -16 },
		{ .elems = INT_MIN }, { .elems = INT_MAX }, { .elems = 3 },
		{ .elems = 65535 }, { .elems = 65537 }, { .elems = 131072 },
		{ .elems = 1 << 30 },
		{ .elems = 16, .node = -1 }, { .elems = 16, .node = INT_MIN },
		{ .elems = 16, .node = INT_MAX }, { .elems = 16, .node = 1023 },
		{ .elems = 16, .node = 1024 }, { .elems = 16, .node = 63 },
		{ .elems = 16, .flags = 1 }, { .elems = 16, .flags = -1 },
		{ .elems = 16, .flags = INT_MIN },
	};
	struct ghost_ioc_create_queue arg;
	int before = open_descriptors(), i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		arg = t[i];
		EXPECT_EQ(-EINVAL, gt_ioctl(self->e.ctl,
					    GHOST_IOC_CREATE_QUEUE, &arg))
			TH_LOG("row %d", i);
		EXPECT_EQ(0, arg.mapsize) TH_LOG("row %d", i);
	}
	EXPECT_EQ(before, open_descriptors());
}

TEST_F(bad, number_of_a_word)
{
	struct gt_enclave *e = &self->e;
	static const struct {
		uint32_t type;
		uint64_t arg;
		int err;
	} get[] = {
		{ GHOST_AGENT, INT_MAX, EINVAL },
		{ GHOST_AGENT, (uint64_t)INT_MIN, EINVAL },
		{ GHOST_AGENT, 64, EINVAL },
		{ GHOST_AGENT, 0xffffffff, EINVAL },
		{ GHOST_TASK, 1, ENOENT },
		{ GHOST_TASK, INT64_MAX, ENOENT },
		{ GHOST_TASK, (uint64_t)INT64_MIN, ENOENT },
		{ GHOST_TASK, -2, ENOENT },
		{ 2, 1, EINVAL }, { INT_MAX, 1, EINVAL }, { -1, 1, EINVAL },
	};
	static const struct ghost_sw_info at[] = {
		{ 1, 0 }, { INT_MAX, 0 }, { -1, 0 },
		{ 0, GHOST_SW_REGION_CAPACITY }, { 0, INT_MAX }, { 0, -1 },
		{ 0, 0x80000000 }, { -1, -1 },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(get); i++) {
		EXPECT_EQ(-get[i].err, gt_sw_info(e, get[i].type, get[i].arg,
						  NULL)) TH_LOG("row %d", i);
	}
	for (i = 0; i < ARRAY_SIZE(at); i++) {
		EXPECT_EQ(-ENOENT, gt_sw_free(e, at[i])) TH_LOG("row %d", i);
		EXPECT_EQ(-ENOENT, gt_sw_free(&self->other, at[i]))
			TH_LOG("row %d", i);
	}
	/* A free slot, and the same of a region of somebody else. */
	EXPECT_EQ(-EINVAL, gt_sw_free(e, (struct ghost_sw_info){ 0, 0 }));
	EXPECT_EQ(-ENOENT, gt_sw_free(&self->other,
				      (struct ghost_sw_info){ 0, 0 }));
	EXPECT_EQ(GHOST_SW_REGION_CAPACITY, e->region->available);
}

TEST_F(bad, number_of_a_task)
{
	static const int64_t gtids[] = {
		1, -1, -2, -3, INT_MAX, INT_MIN, INT64_MAX, INT64_MIN,
		1LL << 41, (1LL << 41) + 1, 1LL << 62, (1LL << 41) - 1,
	};
	struct ghost_ioc_get_cpu_time time;
	int i;

	for (i = 0; i < ARRAY_SIZE(gtids); i++) {
		time = (struct ghost_ioc_get_cpu_time){ .gtid = gtids[i] };
		EXPECT_EQ(-ESRCH, gt_ioctl(self->e.ctl, GHOST_IOC_GET_CPU_TIME,
					   &time)) TH_LOG("row %d", i);
		EXPECT_EQ(0, time.runtime);
		EXPECT_EQ(-ENOENT, gt_assoc(&self->e, self->e.q.fd, gtids[i],
					    0)) TH_LOG("row %d", i);
	}
}

TEST_F(bad, number_in_assoc_queue)
{
	struct ghost_ioc_assoc_queue good, arg;
	int i;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	good = (struct ghost_ioc_assoc_queue){
		.fd = self->e.q.fd, .barrier = 1,
		.src = { GHOST_TASK, self->t.gtid },
	};
	{
		struct {
			int fd, flags;
			uint32_t type, barrier;
			int err;
		} t[] = {
			{ INT_MAX, 0, GHOST_TASK, 1, EBADF },
			{ INT_MIN, 0, GHOST_TASK, 1, EBADF },
			{ -1, 0, GHOST_TASK, 1, EBADF },
			{ self->e.tasks, 0, GHOST_TASK, 1, EBADF },
			{ self->e.ctl, 0, GHOST_TASK, 1, EBADF },
			{ good.fd, -1, GHOST_TASK, 1, EINVAL },
			{ good.fd, INT_MIN, GHOST_TASK, 1, EINVAL },
			{ good.fd, 0, GHOST_AGENT, 1, EINVAL },
			{ good.fd, 0, 2, 1, EINVAL },
			{ good.fd, 0, UINT_MAX, 1, EINVAL },
			{ good.fd, 0, GHOST_TASK, 0, ESTALE },
			{ good.fd, 0, GHOST_TASK, 2, ESTALE },
			{ good.fd, 0, GHOST_TASK, UINT_MAX, ESTALE },
		};

		for (i = 0; i < ARRAY_SIZE(t); i++) {
			arg = good;
			arg.fd = t[i].fd;
			arg.flags = t[i].flags;
			arg.src.type = t[i].type;
			arg.barrier = t[i].barrier;
			EXPECT_EQ(-t[i].err,
				  gt_ioctl(self->e.ctl, GHOST_IOC_ASSOC_QUEUE,
					   &arg)) TH_LOG("row %d", i);
		}
	}
	EXPECT_EQ(GHOST_ASSOC_SF_ALREADY,
		  gt_ioctl(self->e.ctl, GHOST_IOC_ASSOC_QUEUE, &good));
}

TEST_F(bad, number_in_default_and_wakeup)
{
	static struct ghost_agent_wakeup far = { INT_MAX, 0 };
	static struct ghost_agent_wakeup minus = { INT_MIN, 0 };
	static struct ghost_agent_wakeup next = { 64, 0 };
	static struct ghost_agent_wakeup prio = { 1, -1 };
	static struct ghost_agent_wakeup last[] = { { 1, 0 }, { -1, 0 } };
	static struct ghost_agent_wakeup good[] = { { 1, 0 }, { 0, 0 } };
	static const int fds[] = { -1, INT_MIN, INT_MAX, 1 << 20 };
	struct ghost_ioc_set_default_queue def;
	int q = self->e.q.fd, i;
	struct {
		struct ghost_ioc_config_queue_wakeup arg;
		int err;
	} t[] = {
		{ { q, good, INT_MIN, 0 }, EINVAL },
		{ { q, good, INT_MAX, 0 }, EINVAL },
		{ { q, good, 1, -1 }, EINVAL },
		{ { q, good, 0, INT_MIN }, EINVAL },
		{ { INT_MIN, good, 1, 0 }, EBADF },
		{ { INT_MAX, good, 1, 0 }, EBADF },
		{ { q, &far, 1, 0 }, EINVAL },
		{ { q, &minus, 1, 0 }, EINVAL },
		{ { q, &next, 1, 0 }, EINVAL },
		{ { q, &prio, 1, 0 }, EINVAL },
		{ { q, last, 2, 0 }, EINVAL },
		{ { q, last, 1, 0 }, 0 },
	};

	for (i = 0; i < ARRAY_SIZE(fds); i++) {
		def.fd = fds[i];
		EXPECT_EQ(-EBADF, gt_ioctl(self->e.ctl,
					   GHOST_IOC_SET_DEFAULT_QUEUE, &def))
			TH_LOG("descriptor %d", fds[i]);
	}
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		EXPECT_EQ(-t[i].err,
			  gt_ioctl(self->e.ctl, GHOST_IOC_CONFIG_QUEUE_WAKEUP,
				   &t[i].arg)) TH_LOG("row %d", i);
	}
}

TEST_F(bad, number_in_a_commit)
{
	static const unsigned long cmds[] = {
		GHOST_IOC_COMMIT_TXN, GHOST_IOC_SYNC_GROUP_TXN,
	};
	static const int flags[] = { 1, -1, INT_MIN, INT_MAX };
	/* Longer than the mask of any kernel; only CPUs that we have not. */
	static char mask[8192];
	struct ghost_ioc_commit_txn arg;
	int i, k;

	memset(mask, 0xff, sizeof(mask));
	mask[0] &= ~2;
	for (k = 0; k < ARRAY_SIZE(cmds); k++) {
		for (i = 0; i < ARRAY_SIZE(flags); i++) {
			arg = (struct ghost_ioc_commit_txn){
				(void *)mask, sizeof(mask), flags[i] };
			EXPECT_EQ(-EINVAL, gt_ioctl(self->e.ctl, cmds[k], &arg))
				TH_LOG("flags %x", flags[i]);
		}
		arg = (struct ghost_ioc_commit_txn){ (void *)mask, UINT_MAX, 0 };
		EXPECT_LE(0, gt_ioctl(self->e.ctl, cmds[k], &arg));
		arg.mask_len = 1;
		EXPECT_LE(0, gt_ioctl(self->e.ctl, cmds[k], &arg));
	}
	EXPECT_EQ(GHOST_TXN_COMPLETE, gt_txn_state(&self->e, 1));
}

TEST_F(bad, number_in_a_timer)
{
	struct itimerspec ok = { .it_value.tv_sec = 100 };
	struct itimerspec minus = { .it_value.tv_sec = -1 };
	struct itimerspec nsec = { .it_value.tv_nsec = 1000000000 };
	struct itimerspec every = { .it_value.tv_sec = 1,
				    .it_interval.tv_nsec = LONG_MIN };
	int fd = timerfd_create(CLOCK_MONOTONIC, 0), i;
	struct {
		int fd, flags;
		struct itimerspec *in;
		int ghost_flags, cpu, err;
	} t[] = {
		{ -1, 0, &ok, 0, 0, EBADF },
		{ INT_MIN, 0, &ok, 0, 0, EBADF },
		{ INT_MAX, 0, &ok, 0, 0, EBADF },
		{ self->e.ctl, 0, &ok, 0, 0, EINVAL },
		{ self->e.q.fd, 0, &ok, 0, 0, EINVAL },
		{ fd, INT_MIN, &ok, 0, 0, EINVAL },
		{ fd, 1 << 20, &ok, 0, 0, EINVAL },
		{ fd, 0, &minus, 0, 0, EINVAL },
		{ fd, 0, &nsec, 0, 0, EINVAL },
		{ fd, 0, &every, 0, 0, EINVAL },
		{ fd, 0, &ok, 2, 0, EINVAL },
		{ fd, 0, &ok, -1, 0, EINVAL },
		{ fd, 0, &ok, INT_MIN, 0, EINVAL },
		{ fd, 0, &ok, 1, -1, EINVAL },
		{ fd, 0, &ok, 1, INT_MIN, EINVAL },
		{ fd, 0, &ok, 1, INT_MAX, EINVAL },
		{ fd, 0, &ok, 1, 64, EINVAL },
		{ fd, 0, &ok, 1, 1, EINVAL },		/* no agent there */
		{ fd, 0, &ok, 0, INT_MIN, 0 },		/* the CPU is not read */
	};
	struct ghost_ioc_timerfd_settime arg;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		arg = (struct ghost_ioc_timerfd_settime){
			.timerfd = t[i].fd, .flags = t[i].flags,
			.in_tmr = (void *)t[i].in,
			.timerfd_ghost = { .cpu = t[i].cpu,
					   .flags = t[i].ghost_flags },
		};
		EXPECT_EQ(-t[i].err, gt_ioctl(self->e.ctl,
					      GHOST_IOC_TIMERFD_SETTIME, &arg))
			TH_LOG("row %d", i);
	}
	close(fd);
}

TEST_F(bad, number_in_run)
{
	static const struct ghost_ioc_run t[] = {
		{ .gtid = -1, .run_cpu = INT_MIN },
		{ .gtid = -1, .run_cpu = INT_MAX },
		{ .gtid = -1, .run_cpu = 64 },
		{ .gtid = -1, .run_cpu = 1 },			/* no agent */
		{ .gtid = 0, .run_cpu = 0 },			/* nor are we */
		{ .gtid = 0, .run_cpu = 1, .run_flags = INT_MIN },
		{ .gtid = INT64_MIN, .run_cpu = 1 },
		{ .gtid = INT64_MAX, .run_cpu = 1 },
		{ .gtid = -2, .run_cpu = 1 }, { .gtid = 1, .run_cpu = 1 },
		{ .gtid = 0, .run_cpu = 0, .agent_barrier = UINT_MAX },
	};
	struct ghost_ioc_run arg;
	int i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		arg = t[i];
		EXPECT_EQ(-EINVAL, gt_run(&self->e, &arg)) TH_LOG("row %d", i);
	}
}

/* ---- what belongs to another enclave, or to one that is no more ---- */

TEST_F(bad, queue_of_another_enclave)
{
	int fds[] = { self->other.q.fd, self->dead.q.fd };
	struct ghost_agent_wakeup w = { 1, 0 };
	int i;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	for (i = 0; i < ARRAY_SIZE(fds); i++) {
		struct ghost_ioc_set_default_queue def = { fds[i] };
		struct ghost_ioc_config_queue_wakeup config = { fds[i], &w, 1 };
		char cmd[64];

		EXPECT_EQ(-EINVAL, gt_assoc(&self->e, fds[i], self->t.gtid, 1));
		EXPECT_EQ(-EINVAL, gt_ioctl(self->e.ctl,
					    GHOST_IOC_SET_DEFAULT_QUEUE, &def));
		EXPECT_EQ(-EINVAL, gt_ioctl(self->e.ctl,
					    GHOST_IOC_CONFIG_QUEUE_WAKEUP,
					    &config));
		snprintf(cmd, sizeof(cmd), "become agent 1 %d", fds[i]);
		EXPECT_EQ(-EINVAL, gt_put(self->e.ctl, cmd));
	}
	/* It has kept its own. */
	EXPECT_EQ(GHOST_ASSOC_SF_ALREADY,
		  gt_assoc(&self->e, self->e.q.fd, self->t.gtid, 1));
}

TEST_F(bad, task_of_another_enclave)
{
	struct ghost_sw_info info;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_sw_info(&self->e, GHOST_TASK, self->t.gtid, &info));
	EXPECT_EQ(-ENOENT, gt_sw_info(&self->other, GHOST_TASK, self->t.gtid,
				      NULL));
	EXPECT_EQ(-ENOENT, gt_sw_free(&self->other, info));
	EXPECT_EQ(-ENOENT, gt_assoc(&self->other, self->other.q.fd,
				    self->t.gtid, 1));
	EXPECT_EQ(-ENODEV, gt_sw_info(&self->other, GHOST_AGENT, 1, NULL));
	/* The CPU time of any task is no secret. */
	EXPECT_EQ(0, gt_ioctl(self->other.ctl, GHOST_IOC_GET_CPU_TIME,
			      &(struct ghost_ioc_get_cpu_time){
				      .gtid = self->t.gtid }));
}

TEST_HARNESS_MAIN
