// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Every file with wrong descriptors, buffers, offsets, words and mappings: each
 * gets its errno, nothing stays allocated and nothing above info is logged.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"

#define KERNEL_ADDRESS	((char *)0xffffffff81000000)
#define PAGE		4096
#define RW		(PROT_READ | PROT_WRITE)

/* What can be written, with a word that changes nothing. */
static const struct {
	const char *name, *same;
	bool empty_is_fine;
} files[] = {
	{ "ctl", "create sw_region 9 4095" },	/* ENODEV */
	{ "tasks", "4194303" },			/* ESRCH */
	{ "cpulist", "1", true }, { "cpumask", "2", true },
	{ "runnable_timeout", "0" }, { "max_tasks", "0" },
	{ "commit_at_tick", "0" }, { "deliver_agent_runnability", "0" },
	{ "deliver_cpu_availability", "0" }, { "deliver_ticks", "0" },
	{ "honor_affinity", "0" }, { "live_dangerously", "0" },
	{ "switchto_disabled", "0" }, { "wake_on_waker_cpu", "0" },
};

static const char * const read_only[] = { "abi_version", "features", "status" };

FIXTURE(bad) {
	struct gt_watch watch;
	struct gt_enclave e;
};

FIXTURE_SETUP(bad)
{
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_watch_begin(&self->watch));
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
}

FIXTURE_TEARDOWN(bad)
{
	const char *line;

	gt_destroy(&self->e);
	gt_enclave_close(&self->e);
	EXPECT_TRUE(gt_watch_freed(&self->watch))
		TH_LOG("memory of queues or regions was not freed");
	line = gt_watch_log(&self->watch);
	EXPECT_EQ(NULL, line) TH_LOG("the kernel said: %s", line);
	gt_watch_end(&self->watch);
}

/* The C library's declarations do not allow wrong pointers. */
static int put_bytes(int fd, const void *bytes, size_t size)
{
	ssize_t n = syscall(SYS_write, fd, bytes, size);

	return n < 0 ? -errno : (int)n;
}

static int get_bytes(int fd, void *bytes, size_t size, off_t at)
{
	ssize_t n = syscall(SYS_pread64, fd, bytes, size, at);

	return n < 0 ? -errno : (int)n;
}

TEST_F(bad, descriptor)
{
	char buf[64];
	int i, fd;

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		fd = gt_file(&self->e, files[i].name, O_RDONLY);
		ASSERT_LE(0, fd) TH_LOG("%s", files[i].name);
		EXPECT_EQ(-EBADF, gt_put(fd, files[i].same))
			TH_LOG("%s is open for reading", files[i].name);
		close(fd);
		fd = gt_file(&self->e, files[i].name, O_WRONLY);
		ASSERT_LE(0, fd) TH_LOG("%s", files[i].name);
		EXPECT_EQ(-EBADF, get_bytes(fd, buf, sizeof(buf), 0))
			TH_LOG("%s is open for writing", files[i].name);
		close(fd);
		fd = gt_file(&self->e, files[i].name, O_PATH);
		EXPECT_EQ(-EBADF, gt_put(fd, files[i].same));
		close(fd);
	}
	for (i = 0; i < ARRAY_SIZE(read_only); i++) {
		EXPECT_EQ(-EACCES, gt_file(&self->e, read_only[i], O_WRONLY));
		EXPECT_EQ(-EACCES, gt_file(&self->e, read_only[i], O_RDWR));
	}
	/* A queue is no stream. */
	EXPECT_EQ(-EINVAL, gt_put(self->e.q.fd, "0"));
	EXPECT_EQ(-1, read(self->e.q.fd, buf, sizeof(buf)));
	EXPECT_EQ(EINVAL, errno);
	/* What is only mapped is neither. */
	fd = gt_file(&self->e, "cpu_data", O_RDWR);
	EXPECT_EQ(-EINVAL, gt_put(fd, "0"));
	EXPECT_EQ(-EINVAL, get_bytes(fd, buf, sizeof(buf), 0));
	close(fd);
}

TEST_F(bad, buffer)
{
	char *page, *t[4];
	int i, k, fd;

	page = mmap(NULL, 2 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, page);
	ASSERT_EQ(0, munmap(page + PAGE, PAGE));
	memset(page, '0', PAGE);
	t[0] = NULL;
	t[1] = KERNEL_ADDRESS;
	t[2] = page + PAGE;
	t[3] = page + PAGE - 2;		/* two bytes are there, no third */

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		fd = gt_file(&self->e, files[i].name, O_RDWR);
		ASSERT_LE(0, fd);
		for (k = 0; k < ARRAY_SIZE(t); k++) {
			EXPECT_EQ(-EFAULT, put_bytes(fd, t[k], 3))
				TH_LOG("%s: write from %p", files[i].name,
				       t[k]);
		}
		/* tasks is empty: nothing is copied. */
		if (strcmp(files[i].name, "tasks")) {
			EXPECT_EQ(-EFAULT, get_bytes(fd, NULL, 8, 0))
				TH_LOG("read of %s", files[i].name);
			EXPECT_EQ(-EFAULT, get_bytes(fd, page + PAGE, 8, 0))
				TH_LOG("read of %s", files[i].name);
		}
		close(fd);
	}
	munmap(page, PAGE);
}

TEST_F(bad, length)
{
	static char big[3 * PAGE];
	char buf[64];
	int i, fd;

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		fd = gt_file(&self->e, files[i].name, O_RDWR);
		ASSERT_LE(0, fd);
		EXPECT_EQ(files[i].empty_is_fine ? 0 : -EINVAL,
			  put_bytes(fd, "", 0)) TH_LOG("%s", files[i].name);
		/* One NUL is an empty word. */
		EXPECT_EQ(files[i].empty_is_fine ? 1 : -EINVAL,
			  put_bytes(fd, "", 1)) TH_LOG("%s", files[i].name);
		memset(big, 'x', sizeof(big));
		EXPECT_EQ(-EINVAL, put_bytes(fd, big, sizeof(big)))
			TH_LOG("%s", files[i].name);
		close(fd);
	}
	/* No more than a page is looked at, and that is what is written. */
	memset(big, 0, sizeof(big));
	big[0] = '1';
	big[PAGE] = 'x';
	fd = gt_file(&self->e, "deliver_ticks", O_RDWR);
	EXPECT_EQ(PAGE, put_bytes(fd, big, sizeof(big)));
	ASSERT_EQ(1, get_bytes(fd, buf, sizeof(buf), 0));
	EXPECT_EQ('1', buf[0]);
	close(fd);
}

TEST_F(bad, offset)
{
	char buf[64];
	int i, fd;

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		fd = gt_file(&self->e, files[i].name, O_RDWR);
		ASSERT_LE(0, fd);
		EXPECT_EQ(-EINVAL, get_bytes(fd, buf, sizeof(buf), -1))
			TH_LOG("%s", files[i].name);
		EXPECT_EQ(-EINVAL, get_bytes(fd, buf, sizeof(buf), LONG_MIN))
			TH_LOG("%s", files[i].name);
		EXPECT_EQ(0, get_bytes(fd, buf, sizeof(buf), PAGE))
			TH_LOG("%s", files[i].name);
		EXPECT_EQ(strcmp(files[i].name, "cpulist") ? 0 : -EINVAL,
			  get_bytes(fd, buf, sizeof(buf), PAGE + 1))
			TH_LOG("%s", files[i].name);
		EXPECT_EQ(-1, lseek(fd, -1, SEEK_SET));
		EXPECT_EQ(EINVAL, errno) TH_LOG("%s", files[i].name);
		close(fd);
	}
	/* Where a command is written to does not matter. */
	fd = gt_file(&self->e, "max_tasks", O_RDWR);
	EXPECT_EQ(2, pwrite(fd, "77", 2, 12345));
	EXPECT_EQ(2, get_bytes(fd, buf, sizeof(buf), 0));
	EXPECT_EQ(0, memcmp(buf, "77", 2));
	close(fd);
	EXPECT_EQ(20, pwrite(self->e.ctl, "create sw_region 1 0", 20, 12345));
}

TEST_F(bad, word)
{
	static const struct {
		const char *name, *text;
		int err;
	} t[] = {
		{ "runnable_timeout", "-1", EINVAL },
		{ "runnable_timeout", "18446744073709551616", EINVAL },
		{ "runnable_timeout", "1 ms", EINVAL },
		{ "runnable_timeout", "1e3", EINVAL },
		{ "max_tasks", "-1", EINVAL },
		{ "max_tasks", "4294967296", EINVAL },
		{ "deliver_ticks", "2147483648", EINVAL },
		{ "deliver_ticks", "-2147483649", EINVAL },
		{ "deliver_ticks", "yes", EINVAL },
		{ "deliver_ticks", "0x", EINVAL },
		{ "commit_at_tick", "18446744073709551617", EINVAL },
		{ "cpulist", "-1", EINVAL },
		{ "cpulist", "1,,x", EINVAL },
		{ "cpulist", "64", ERANGE },
		{ "cpulist", "2147483647", ERANGE },
		{ "cpulist", "4294967296", EOVERFLOW },
		{ "cpulist", "99999999999999999999", EOVERFLOW },
		{ "cpulist", "0-99999999999999999999", EOVERFLOW },
		{ "cpumask", "-1", EINVAL },
		{ "cpumask", "0x2", EINVAL },
		{ "cpumask", "123456789", EOVERFLOW },
		{ "cpumask", "1,00000000,00000000,00000000", EOVERFLOW },
		{ "tasks", "9223372036854775808", ERANGE },
		{ "tasks", "-9223372036854775809", ERANGE },
		{ "tasks", "-9223372036854775808", ESRCH },
		{ "tasks", "-2147483648", ESRCH },
		{ "tasks", "2147483648", ESRCH },
		{ "tasks", "4194304", ESRCH },
		{ "tasks", "4294967296", ESRCH },
		{ "tasks", "4294967297", ESRCH },	/* not thread 1 */
		{ "tasks", "0x7fffffffffffffff", ESRCH },
		{ "agent_online", "1", EINVAL },
		{ "ctl", "destroy ", EINVAL },
		{ "ctl", "DESTROY", EINVAL },
		{ "ctl", "\ndestroy", EINVAL },
		{ "ctl", "create sw_region -1 0", EINVAL },
		{ "ctl", "create sw_region x 0", EINVAL },
		{ "ctl", "create sw_region 5", EINVAL },
		{ "ctl", "create sw_region 5\n0", EINVAL },
		{ "ctl", "create sw_region 5 -1", ENODEV },
		{ "ctl", "create sw_region 5 -2147483648", ENODEV },
		{ "ctl", "create sw_region 5 2147483647", ENODEV },
		{ "ctl", "create sw_region 5 1023", ENODEV },
		{ "ctl", "become agent x -1", EINVAL },
		{ "ctl", "become agent 1 x", EINVAL },
		{ "ctl", "become agent 2147483647 -1", EINVAL },
		{ "ctl", "become agent -2147483648 -1", EINVAL },
		{ "ctl", "become agent 64 -1", EINVAL },
		{ "ctl", "become agent 1 2147483647", EBADF },
		{ "ctl", "become agent 1 -2147483648", EBADF },
		{ "ctl", "become agent 0 -1", ENODEV },
		{ "ctl", "disable my bpf_prog_load now", EINVAL },
		{ "ctl", "discover", EINVAL },
	};
	char buf[64];
	int i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		EXPECT_EQ(-t[i].err, gt_file_put(&self->e, t[i].name,
						 t[i].text))
			TH_LOG("%s: '%s'", t[i].name, t[i].text);
	}
	/* None of it had an effect. */
	gt_file_get(&self->e, "cpulist", buf, sizeof(buf));
	EXPECT_STREQ("1\n", buf);
	gt_file_get(&self->e, "runnable_timeout", buf, sizeof(buf));
	EXPECT_STREQ("0", buf);
	gt_file_get(&self->e, "deliver_ticks", buf, sizeof(buf));
	EXPECT_STREQ("0", buf);
	EXPECT_EQ(-ENOENT, gt_file(&self->e, "sw_regions/sw_5", O_RDONLY));
	EXPECT_EQ(GHOST_SW_REGION_CAPACITY, self->e.region->available);
}

TEST_F(bad, word_for_the_top)
{
	static const struct {
		const char *text;
		int err;
	} t[] = {
		{ "create -1 91", EINVAL },
		{ "create 0x1389 91", EINVAL },
		{ "create 5001  91", EINVAL },
		{ " create 5001 91", EINVAL },
		{ "create 5001\t91", EINVAL },
		{ "create 99999999999999999999 91", EINVAL },
		{ "create 5001 -91", EINVAL },
		{ "create 5001 4294967387", EINVAL },	/* 91 + 2^32 */
		{ "create 5001 0", ESRCH },
		{ "create 5001 89", ESRCH },
		{ "create 5001 91 gid=4294967296", EINVAL },
		{ "create 5001 91 gid=0x10", EINVAL },
		{ "create 5001 91 GID=0", ENOENT },
		{ "create 5001 91 ephemeral=", EINVAL },
		{ "create 5001 91 ephemeral gid=1 x", ENOENT },
		{ "destroy 5001", EINVAL },
	};
	static char big[3 * PAGE];
	int top = gt_open(GT_ROOT "/ctl", O_WRONLY), i;

	ASSERT_LE(0, top);
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		EXPECT_EQ(-t[i].err, gt_put(top, t[i].text))
			TH_LOG("'%s'", t[i].text);
	}
	EXPECT_EQ(-EINVAL, put_bytes(top, "", 0));
	EXPECT_EQ(-EFAULT, put_bytes(top, NULL, 8));
	EXPECT_EQ(-EFAULT, put_bytes(top, KERNEL_ADDRESS, 8));
	memset(big, 'c', sizeof(big));
	EXPECT_EQ(-EINVAL, put_bytes(top, big, sizeof(big)));
	EXPECT_EQ(-ENOENT, gt_open(GT_ROOT "/enclave_5001", O_RDONLY));
	EXPECT_EQ(-EACCES, gt_open(GT_ROOT "/ctl", O_RDONLY));
	EXPECT_EQ(-EACCES, gt_open(GT_ROOT "/ctl", O_RDWR));
	EXPECT_EQ(-EACCES, gt_open(GT_ROOT "/version", O_WRONLY));
	close(top);
}

/* The tree is the kernel's: user space makes, removes and renames nothing. */
TEST_F(bad, tree)
{
	char dir[128], file[128], ctl[128];
	struct stat st;

	snprintf(dir, sizeof(dir), "%s/mine", self->e.dir);
	snprintf(file, sizeof(file), "%s/mine", GT_ROOT);
	snprintf(ctl, sizeof(ctl), "%s/ctl", self->e.dir);
	EXPECT_NE(0, mkdir(dir, 0755));
	EXPECT_EQ(EPERM, errno);
	EXPECT_NE(0, mkdir(file, 0755));
	EXPECT_EQ(EPERM, errno);
	EXPECT_EQ(-1, open(file, O_CREAT | O_WRONLY, 0644));
	EXPECT_EQ(EACCES, errno);
	EXPECT_NE(0, unlink(ctl));
	EXPECT_EQ(EPERM, errno);
	EXPECT_NE(0, rmdir(self->e.dir));
	EXPECT_EQ(EPERM, errno);
	EXPECT_NE(0, rename(ctl, dir));
	EXPECT_EQ(EPERM, errno);
	EXPECT_NE(0, link(ctl, dir));
	EXPECT_EQ(EPERM, errno);
	EXPECT_NE(0, symlink(ctl, dir));
	EXPECT_EQ(EPERM, errno);
	EXPECT_EQ(0, stat(ctl, &st));
}

/* A size is what the kernel says, whatever is truncated. */
TEST_F(bad, truncate)
{
	static const char * const names[] = {
		"cpu_data", "sw_regions/sw_0", "ctl", "cpulist",
	};
	size_t size = self->e.cpu_size;
	struct stat before, after;
	char path[128];
	int i, fd, err;
	void *p;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", self->e.dir, names[i]);
		ASSERT_EQ(0, stat(path, &before));
		truncate(path, 0);
		truncate(path, 1L << 40);
		ASSERT_EQ(0, stat(path, &after));
		EXPECT_EQ(before.st_size, after.st_size) TH_LOG("%s", names[i]);
	}
	fd = gt_file(&self->e, "cpu_data", O_RDWR | O_TRUNC);
	ASSERT_LE(0, fd);
	p = gt_map(fd, size, RW, &err);
	EXPECT_NE(NULL, p) TH_LOG("errno %d", -err);
	if (p)
		munmap(p, size);
	close(fd);
	EXPECT_EQ(1, self->e.cpu[1].txn.cpu);
	EXPECT_EQ(GHOST_SW_REGION_CAPACITY, self->e.region->capacity);
}

/* ---- mappings ---- */

TEST_F(bad, mapping)
{
	struct gt_enclave *e = &self->e;
	size_t cpu = e->cpu_size, sw = GHOST_SW_REGION_SIZE, q = e->q.size;
	struct {
		const char *what;
		int fd;
		size_t size;
		int prot, flags;
		off_t at;
		int err;
	} t[] = {
#define CPU	gt_file(e, "cpu_data", O_RDWR)
#define CPU_RO	gt_file(e, "cpu_data", O_RDONLY)
#define CPU_WO	gt_file(e, "cpu_data", O_WRONLY)
#define SW	gt_file(e, "sw_regions/sw_0", O_RDONLY)
#define QUEUE	dup(e->q.fd)
#define SHARE	MAP_SHARED
		{ "closed", -1, cpu, RW, SHARE, 0, EBADF },
		{ "negative", INT_MIN, cpu, RW, SHARE, 0, EBADF },
		{ "text", gt_file(e, "cpulist", O_RDWR), PAGE, RW, SHARE, 0,
		  ENODEV },
		{ "ctl", gt_file(e, "ctl", O_RDWR), PAGE, RW, SHARE, 0,
		  ENODEV },
		{ "directory", gt_open(e->dir, O_RDONLY), PAGE, PROT_READ,
		  SHARE, 0, ENODEV },
		{ "cpu_data for reading", CPU_RO, cpu, RW, SHARE, 0, EACCES },
		{ "cpu_data for writing", CPU_WO, cpu, RW, SHARE, 0, EACCES },
		{ "nothing", CPU, 0, RW, SHARE, 0, EINVAL },
		{ "everything", CPU, SIZE_MAX - PAGE, RW, SHARE, 0, ENOMEM },
		{ "a page less", CPU, cpu - PAGE, RW, SHARE, 0, EINVAL },
		{ "a page more", CPU, cpu + PAGE, RW, SHARE, 0, EINVAL },
		{ "offset", CPU, cpu, RW, SHARE, PAGE, EINVAL },
		{ "odd offset", CPU, cpu, RW, SHARE, 1, EINVAL },
		{ "huge offset", CPU, cpu, RW, SHARE, LONG_MAX - PAGE + 1,
		  EOVERFLOW },
		{ "private", CPU, cpu, RW, MAP_PRIVATE, 0, EINVAL },
		{ "private to read", CPU, cpu, PROT_READ, MAP_PRIVATE, 0,
		  EINVAL },
		{ "exec", CPU, cpu, RW | PROT_EXEC, SHARE, 0, EACCES },
		{ "only exec", CPU, cpu, PROT_EXEC, SHARE, 0, EACCES },
		{ "no such type", CPU, cpu, RW, 0, 0, EINVAL },
		{ "sw to write", SW, sw, RW, SHARE, 0, EACCES },
		{ "sw to copy", SW, sw, RW, MAP_PRIVATE, 0, EINVAL },
		{ "sw exec", SW, sw, PROT_READ | PROT_EXEC, SHARE, 0, EACCES },
		{ "sw page", SW, PAGE, PROT_READ, SHARE, 0, EINVAL },
		{ "sw twice", SW, 2 * sw, PROT_READ, SHARE, 0, EINVAL },
		{ "sw offset", SW, sw, PROT_READ, SHARE, PAGE, EINVAL },
		{ "queue page", QUEUE, PAGE, RW, SHARE, 0, EINVAL },
		{ "queue more", QUEUE, q + PAGE, RW, SHARE, 0, EINVAL },
		{ "queue private", QUEUE, q, RW, MAP_PRIVATE, 0, EINVAL },
		{ "queue exec", QUEUE, q, RW | PROT_EXEC, SHARE, 0, EACCES },
		{ "queue offset", QUEUE, q, RW, SHARE, q, EINVAL },
	};
	void *p;
	int i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		p = mmap(NULL, t[i].size, t[i].prot, t[i].flags, t[i].fd,
			 t[i].at);
		EXPECT_EQ(MAP_FAILED, p) TH_LOG("%s", t[i].what);
		EXPECT_EQ(t[i].err, errno) TH_LOG("%s", t[i].what);
		close(t[i].fd);
	}
}

/* What is mapped cannot become more than it is. */
TEST_F(bad, mapping_grows)
{
	struct gt_enclave *e = &self->e;
	struct {
		void *at;
		size_t size;
		bool write;
	} t[] = {
		{ e->cpu, e->cpu_size, true },
		{ e->region, GHOST_SW_REGION_SIZE, false },
		{ e->q.hdr, e->q.size, true },
	};
	int mem = gt_open("/proc/self/mem", O_RDWR), i;

	ASSERT_LE(0, mem);
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		EXPECT_EQ(MAP_FAILED, mremap(t[i].at, t[i].size,
					     t[i].size + PAGE, MREMAP_MAYMOVE));
		EXPECT_EQ(EFAULT, errno) TH_LOG("mapping %d", i);
		EXPECT_EQ(MAP_FAILED, mremap(t[i].at, 0, t[i].size,
					     MREMAP_MAYMOVE));
		EXPECT_EQ(EFAULT, errno) TH_LOG("a second of mapping %d", i);
		EXPECT_NE(0, mprotect(t[i].at, PAGE, PROT_READ | PROT_EXEC));
		EXPECT_EQ(EACCES, errno) TH_LOG("mapping %d", i);
		if (t[i].write)
			continue;
		EXPECT_NE(0, mprotect(t[i].at, PAGE, RW));
		EXPECT_EQ(EACCES, errno);
		EXPECT_EQ(-1, pwrite(mem, "x", 1, (off_t)t[i].at));
		EXPECT_EQ(EIO, errno) TH_LOG("behind the back of mapping %d", i);
	}
	close(mem);
}

/* ---- an enclave that is no more ---- */

TEST_F(bad, dead_enclave)
{
	struct gt_enclave *e = &self->e;
	int fds[ARRAY_SIZE(files)], ro[ARRAY_SIZE(read_only)];
	int cpu = gt_file(e, "cpu_data", O_RDWR), i, err;
	int sw = gt_file(e, "sw_regions/sw_0", O_RDONLY);
	int online = gt_file(e, "agent_online", O_RDWR);
	char buf[64], path[64];

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		fds[i] = gt_file(e, files[i].name, O_RDWR);
		ASSERT_LE(0, fds[i]);
	}
	for (i = 0; i < ARRAY_SIZE(read_only); i++) {
		ro[i] = gt_file(e, read_only[i], O_RDONLY);
		ASSERT_LE(0, ro[i]);
	}
	ASSERT_EQ(0, gt_destroy(e));
	ASSERT_TRUE(gt_gone(e));

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		EXPECT_EQ(-ENODEV, gt_put(fds[i], files[i].same))
			TH_LOG("write of %s", files[i].name);
		EXPECT_EQ(-ENODEV, get_bytes(fds[i], buf, sizeof(buf), 0))
			TH_LOG("read of %s", files[i].name);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[i]);
		EXPECT_EQ(-ENODEV, gt_open(path, O_RDONLY))
			TH_LOG("open of %s", files[i].name);
		close(fds[i]);
	}
	for (i = 0; i < ARRAY_SIZE(read_only); i++) {
		EXPECT_EQ(-ENODEV, get_bytes(ro[i], buf, sizeof(buf), 0));
		close(ro[i]);
	}
	EXPECT_EQ(-ENODEV, gt_put(e->ctl, "become agent 1 -1"));
	EXPECT_EQ(-ENODEV, gt_put(e->ctl, "create sw_region 1 0"));
	EXPECT_EQ(-ENODEV, gt_put(e->ctl, "discover tasks"));
	EXPECT_EQ(-ENODEV, gt_put(e->ctl, "disable my bpf_prog_load"));
	EXPECT_EQ(-ENODEV, gt_put(e->ctl, "destroy"));
	EXPECT_EQ(-ENODEV, gt_put(e->ctl, "nonsense"));
	EXPECT_EQ(-ENODEV, gt_put(online, "1"));
	EXPECT_EQ(-ENODEV, get_bytes(online, buf, sizeof(buf), 0));
	close(online);
	EXPECT_EQ(NULL, gt_map(cpu, e->cpu_size, RW, &err));
	EXPECT_EQ(-ENODEV, err);
	close(cpu);
	EXPECT_EQ(NULL, gt_map(sw, GHOST_SW_REGION_SIZE, PROT_READ, &err));
	EXPECT_EQ(-ENODEV, err);
	close(sw);
	EXPECT_EQ(-ENOENT, gt_file(e, "ctl", O_RDWR));
}

/* A descriptor that root has opened gives nobody else its rights. */
TEST_F(bad, credentials)
{
	int top = gt_open(GT_ROOT "/ctl", O_WRONLY), status;
	pid_t pid;

	pid = fork();
	if (!pid) {
		if (setgid(65534) || setuid(65534))
			_exit(1);
		if (gt_put(top, "create 5002 91") != -EPERM)
			_exit(2);
		if (gt_put(self->e.ctl, "destroy") != -EPERM)
			_exit(3);
		if (gt_put(self->e.tasks, "0") != -EPERM)
			_exit(4);
		if (gt_open(GT_ROOT "/ctl", O_WRONLY) != -EACCES)
			_exit(5);
		if (gt_file(&self->e, "ctl", O_RDWR) != -EACCES)
			_exit(6);
		if (gt_file(&self->e, "cpu_data", O_RDONLY) != -EACCES)
			_exit(7);
		if (gt_file(&self->e, "sw_regions/sw_0", O_RDONLY) != -EACCES)
			_exit(8);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status) TH_LOG("step %d", WEXITSTATUS(status));
	EXPECT_EQ(0, access(self->e.dir, F_OK));
	EXPECT_EQ(-ENOENT, gt_open(GT_ROOT "/enclave_5002", O_RDONLY));
	close(top);
}

TEST_HARNESS_MAIN
