// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* ghostfs: files, modes, formats, commands, CPU sets, mappings, removal. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"

static struct gt_agent agent;

FIXTURE(fs) {
	struct gt_enclave e;
};

FIXTURE_SETUP(fs)
{
	ASSERT_EQ(0, gt_begin())
		TH_LOG("no ghostfs: is this a kernel with SCHED_GHOST?");
	ASSERT_LE(2, gt_ncpus()) TH_LOG("2 CPUs are needed");
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
}

FIXTURE_TEARDOWN(fs)
{
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	gt_enclave_close(&self->e);
}

static int top_put(const char *text)
{
	return gt_write_file(GT_ROOT "/ctl", text);
}

TEST_F(fs, top_directory)
{
	struct stat st;
	char buf[256];

	ASSERT_EQ(0, stat(GT_ROOT "/ctl", &st));
	EXPECT_EQ(S_IFREG | 0660, st.st_mode);
	EXPECT_EQ(0, st.st_uid);
	EXPECT_EQ(0, st.st_gid);
	ASSERT_EQ(0, stat(GT_ROOT "/version", &st));
	EXPECT_EQ(S_IFREG | 0444, st.st_mode);
	EXPECT_EQ(-EACCES, gt_open(GT_ROOT "/ctl", O_RDONLY));
	EXPECT_EQ(-EACCES, gt_open(GT_ROOT "/version", O_WRONLY));
	ASSERT_LT(0, gt_read_file(GT_ROOT "/version", buf, sizeof(buf)));
	EXPECT_EQ('\n', buf[strlen(buf) - 1]);
	EXPECT_TRUE(!strncmp(buf, "91\n", 3) || strstr(buf, "\n91\n"));
}

TEST_F(fs, second_mount_is_busy)
{
	EXPECT_EQ(-1, mount("ghost", GT_ROOT, "ghost", 0, NULL));
	EXPECT_EQ(EBUSY, errno);
}

TEST_F(fs, create_errors)
{
	static const struct {
		const char *cmd;
		int err;
	} t[] = {
		{ "", EINVAL },
		{ "\n", EINVAL },
		{ "nonsense", EINVAL },
		{ "create", EINVAL },
		{ "create 5000", EINVAL },
		{ "create x 91", EINVAL },
		{ "create 5000 x", EINVAL },
		{ "create 5000\n91", EINVAL },
		{ "create 5000 1", ESRCH },
		{ "create 5000 92", ESRCH },
		{ "create 5000 4294967295", ESRCH },
		{ "create 5000 91 colour=red", ENOENT },
		{ "create 5000 91 gid", EINVAL },
		{ "create 5000 91 gid=", EINVAL },
		{ "create 5000 91 gid=x", EINVAL },
		{ "create 5000 91 gid=-1", EINVAL },
		{ "create 5000 91 gid=4294967295", EINVAL },
		{ "create 5000 91 ephemeral=1", EINVAL },
		{ "create 5000 91 gid=1 colour=red", ENOENT },
	};
	char cmd[64];
	int i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		EXPECT_EQ(-t[i].err, top_put(t[i].cmd))
			TH_LOG("'%s'", t[i].cmd);
	}
	EXPECT_EQ(-ENOENT, gt_open(GT_ROOT "/enclave_5000", O_RDONLY));

	snprintf(cmd, sizeof(cmd), "create %d %d", self->e.id, GHOST_VERSION);
	EXPECT_EQ(-EEXIST, top_put(cmd));
	/* ESRCH comes before EEXIST. */
	snprintf(cmd, sizeof(cmd), "create %d 1", self->e.id);
	EXPECT_EQ(-ESRCH, top_put(cmd));
}

TEST_F(fs, create_takes_everything_up_to_the_newline)
{
	const char *cmd = "create 5001 91\nand what follows";

	EXPECT_EQ((int)strlen(cmd), top_put(cmd));
	EXPECT_EQ(7, gt_write_file(GT_ROOT "/enclave_5001/ctl", "destroy"));
}

TEST_F(fs, longest_name)
{
	/* enclave_ and 20 digits are 28 characters: every number fits. */
	const char *cmd = "create 18446744073709551615 91";
	const char *ctl = GT_ROOT "/enclave_18446744073709551615/ctl";

	EXPECT_EQ((int)strlen(cmd), top_put(cmd));
	EXPECT_EQ(7, gt_write_file(ctl, "destroy"));
	EXPECT_EQ(-EINVAL, top_put("create 18446744073709551616 91"));
}

TEST_F(fs, enclave_files)
{
	static const struct {
		const char *name;
		int mode;
		const char *text;	/* NULL: cannot be read */
	} t[] = {
		{ "abi_version", 0444, "91\n" },
		{ "agent_online", 0664, "0" },
		{ "commit_at_tick", 0664, "0" },
		{ "cpu_data", 0660, NULL },
		{ "cpulist", 0664, "1\n" },
		{ "ctl", 0664, "" },
		{ "deliver_agent_runnability", 0664, "0" },
		{ "deliver_cpu_availability", 0664, "0" },
		{ "deliver_ticks", 0664, "0" },
		{ "honor_affinity", 0664, "0" },
		{ "live_dangerously", 0664, "0" },
		{ "max_tasks", 0664, "0" },
		{ "runnable_timeout", 0664, "0" },
		{ "status", 0444, "version 91\nactive no\nnr_tasks 0\n" },
		{ "switchto_disabled", 0664, "0" },
		{ "tasks", 0666, "" },
		{ "wake_on_waker_cpu", 0664, "0" },
	};
	char path[128], buf[256], id[32];
	struct stat st;
	int i, fd;

	ASSERT_EQ(0, stat(self->e.dir, &st));
	EXPECT_EQ(S_IFDIR | 0555, st.st_mode);
	snprintf(path, sizeof(path), "%s/sw_regions", self->e.dir);
	ASSERT_EQ(0, stat(path, &st));
	EXPECT_EQ(S_IFDIR | 0555, st.st_mode);
	snprintf(path, sizeof(path), "%s/sw_regions/sw_0", self->e.dir);
	ASSERT_EQ(0, stat(path, &st));
	EXPECT_EQ(S_IFREG | 0440, st.st_mode);
	EXPECT_EQ(GHOST_SW_REGION_SIZE, st.st_size);
	snprintf(id, sizeof(id), "%d", self->e.id);

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		snprintf(path, sizeof(path), "%s/%s", self->e.dir, t[i].name);
		ASSERT_EQ(0, stat(path, &st)) TH_LOG("%s", t[i].name);
		EXPECT_EQ(S_IFREG | t[i].mode, st.st_mode)
			TH_LOG("%s", t[i].name);
		EXPECT_EQ(t[i].text ? 0 : gt_npossible() * 4096, st.st_size)
			TH_LOG("%s", t[i].name);
		if (!t[i].text)
			continue;
		ASSERT_LE(0, gt_read_file(path, buf, sizeof(buf)));
		EXPECT_STREQ(strcmp(t[i].name, "ctl") ? t[i].text : id, buf)
			TH_LOG("%s", t[i].name);
	}
	fd = gt_file(&self->e, "cpumask", O_RDWR);
	EXPECT_LE(0, fd);
	ASSERT_LT(0, gt_file_get(&self->e, "cpumask", buf, sizeof(buf)));
	/* In words of 32 CPUs, with commas between them. */
	EXPECT_STREQ("2\n", buf + strspn(buf, "0,"));
}

TEST_F(fs, open_needs_an_operation)
{
	static const struct {
		const char *name;
		int flags;
		int err;
	} t[] = {
		{ "abi_version", O_WRONLY, EACCES },
		{ "abi_version", O_RDWR, EACCES },
		{ "status", O_WRONLY, EACCES },
		{ "sw_regions/sw_0", O_WRONLY, EACCES },
		{ "sw_regions/sw_0", O_RDWR, EACCES },
		{ "nothing", O_RDONLY, ENOENT },
		{ "sw_regions/sw_1", O_RDONLY, ENOENT },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		EXPECT_EQ(-t[i].err, gt_file(&self->e, t[i].name, t[i].flags))
			TH_LOG("%s", t[i].name);
	}
}

TEST_F(fs, ctl_commands)
{
	static const struct {
		const char *cmd;
		int err;
	} t[] = {
		{ "", EINVAL },
		{ "destroyed", EINVAL },
		{ " destroy", EINVAL },
		{ "nonsense", EINVAL },
		{ "create sw_region", EINVAL },
		{ "create sw_region 0 0", EEXIST },
		{ "create sw_region 7 4096", ENODEV },
		{ "create sw_region 7 -1", ENODEV },
		{ "become agent", EINVAL },
		{ "become agent 1", EINVAL },
	};
	struct ghost_sw_region_header *h = self->e.region, *h7;
	int i, fd, err;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		EXPECT_EQ(-t[i].err, gt_put(self->e.ctl, t[i].cmd))
			TH_LOG("'%s'", t[i].cmd);
	}
	EXPECT_EQ(0, h->version);
	EXPECT_EQ(0, h->id);
	EXPECT_EQ(64, h->start);
	EXPECT_EQ(GHOST_SW_REGION_CAPACITY, h->capacity);
	EXPECT_EQ(GHOST_SW_REGION_CAPACITY, h->available);

	EXPECT_EQ(21, gt_put(self->e.ctl, "create sw_region 7 0\n"));
	fd = gt_file(&self->e, "sw_regions/sw_7", O_RDONLY);
	ASSERT_LE(0, fd);
	h7 = gt_map(fd, GHOST_SW_REGION_SIZE, PROT_READ, &err);
	ASSERT_NE(NULL, h7);
	EXPECT_EQ(7, h7->id);
}

/* Of 2 MiB each, which nobody has to have open: not more than threads can need. */
TEST_F(fs, number_of_regions)
{
	char cmd[64];
	int i, ret;

	for (i = 1; i < 64; i++) {
		snprintf(cmd, sizeof(cmd), "create sw_region %d 0", i);
		ret = gt_put(self->e.ctl, cmd);
		if (ret == -ENOMEM)
			SKIP(return, "needs 128 MiB");
		ASSERT_LT(0, ret) TH_LOG("region %d", i);
	}
	EXPECT_EQ(-ENOSPC, gt_put(self->e.ctl, "create sw_region 64 0"));
	EXPECT_EQ(-EEXIST, gt_put(self->e.ctl, "create sw_region 63 0"));
}

TEST_F(fs, ctl_opened_for_reading)
{
	int fd = gt_file(&self->e, "ctl", O_RDONLY);

	ASSERT_LE(0, fd);
	EXPECT_EQ(-EACCES, gt_ioctl(fd, GHOST_IOC_NULL, NULL));
	EXPECT_EQ(-EACCES, gt_ioctl(fd, 0x67ff, NULL));
	EXPECT_EQ(-EBADF, gt_put(fd, "destroy"));
	EXPECT_EQ(0, gt_ioctl(self->e.ctl, GHOST_IOC_NULL, NULL));
	EXPECT_EQ(-ENOTTY, gt_ioctl(self->e.ctl, 0x67ff, NULL));
	EXPECT_EQ(-ENOTTY, gt_ioctl(self->e.ctl, _IO('x', 0), NULL));
}

TEST_F(fs, ioctl_bad_pointers)
{
	static const unsigned long t[] = {
		GHOST_IOC_SW_GET_INFO, GHOST_IOC_SW_FREE,
		GHOST_IOC_CREATE_QUEUE, GHOST_IOC_ASSOC_QUEUE,
		GHOST_IOC_SET_DEFAULT_QUEUE, GHOST_IOC_CONFIG_QUEUE_WAKEUP,
		GHOST_IOC_GET_CPU_TIME, GHOST_IOC_COMMIT_TXN, GHOST_IOC_RUN,
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		EXPECT_EQ(-EFAULT, gt_ioctl(self->e.ctl, t[i], NULL))
			TH_LOG("ioctl %lx", t[i]);
	}
}

TEST_F(fs, boolean_tunables)
{
	static const struct {
		const char *text;
		int ret;
		const char *value;
	} t[] = {
		{ "1", 1, "1" }, { "0", 1, "0" }, { "1\n", 2, "1" },
		{ "0x0", 3, "0" }, { "0x10", 4, "1" }, { "00", 2, "0" },
		{ "-3", 2, "1" }, { "017", 3, "1" }, { "0\n", 2, "0" },
		{ "", -EINVAL, "0" }, { "x", -EINVAL, "0" },
		{ "1 1", -EINVAL, "0" }, { "1\n\n", -EINVAL, "0" },
	};
	static const char * const names[] = {
		"commit_at_tick", "deliver_agent_runnability",
		"deliver_cpu_availability", "deliver_ticks", "honor_affinity",
		"live_dangerously", "switchto_disabled", "wake_on_waker_cpu",
	};
	char buf[16];
	int i, k;

	for (k = 0; k < ARRAY_SIZE(names); k++) {
		for (i = 0; i < ARRAY_SIZE(t); i++) {
			EXPECT_EQ(t[i].ret,
				  gt_file_put(&self->e, names[k], t[i].text))
				TH_LOG("%s: '%s'", names[k], t[i].text);
			gt_file_get(&self->e, names[k], buf, sizeof(buf));
			EXPECT_STREQ(t[i].value, buf)
				TH_LOG("%s: '%s'", names[k], t[i].text);
		}
	}
}

TEST_F(fs, runnable_timeout_tunable)
{
	static const struct {
		const char *text;
		int ret;
		const char *value;
	} t[] = {
		{ "5000", 4, "5000" }, { "60000\n", 6, "60000" },
		{ "0x2000", 6, "8192" }, { "x", -EINVAL, "8192" },
		{ "-1", -EINVAL, "8192" }, { "0", 1, "0" },
	};
	char buf[32];
	int i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		EXPECT_EQ(t[i].ret, gt_file_put(&self->e, "runnable_timeout",
						t[i].text))
			TH_LOG("'%s'", t[i].text);
		gt_file_get(&self->e, "runnable_timeout", buf, sizeof(buf));
		EXPECT_STREQ(t[i].value, buf);
	}
}

TEST_F(fs, agent_online)
{
	struct pollfd p = { .events = POLLIN | POLLPRI };
	char buf[128];
	int reader, fd, dup_fd;

	EXPECT_EQ(-EINVAL, gt_file_put(&self->e, "agent_online", "1"));
	reader = gt_file(&self->e, "agent_online", O_RDONLY);
	ASSERT_LE(0, reader);
	ASSERT_EQ(1, read(reader, buf, sizeof(buf)));
	EXPECT_EQ('0', buf[0]);

	fd = gt_file(&self->e, "agent_online", O_RDWR);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-EBUSY, gt_file(&self->e, "agent_online", O_RDWR));
	EXPECT_EQ(-EBUSY, gt_file(&self->e, "agent_online", O_WRONLY));
	p.fd = reader;
	ASSERT_EQ(1, poll(&p, 1, GT_WAIT_MS));
	EXPECT_TRUE(p.revents & POLLPRI);
	EXPECT_EQ(1, pread(reader, buf, sizeof(buf), 0));
	EXPECT_EQ('1', buf[0]);
	gt_file_get(&self->e, "status", buf, sizeof(buf));
	EXPECT_STREQ("version 91\nactive yes\nnr_tasks 0\n", buf);

	dup_fd = dup(fd);
	close(fd);
	gt_file_get(&self->e, "agent_online", buf, sizeof(buf));
	EXPECT_STREQ("1", buf);
	close(dup_fd);
	EXPECT_TRUE(gt_wait_for(gt_file_get(&self->e, "agent_online", buf,
					    sizeof(buf)) == 1 &&
				buf[0] == '0'));
	fd = gt_file(&self->e, "agent_online", O_RDWR);
	EXPECT_LE(0, fd);
}

TEST_F(fs, cpulist_errors)
{
	static const struct {
		const char *text;
		int ret;
	} t[] = {
		{ "x", -EINVAL }, { "1-", -EINVAL }, { "2-1", -EINVAL },
		{ "99999", -ERANGE }, { "0-99999", -ERANGE },
	};
	char buf[64];
	int i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		EXPECT_EQ(t[i].ret, gt_file_put(&self->e, "cpulist", t[i].text))
			TH_LOG("'%s'", t[i].text);
		gt_file_get(&self->e, "cpulist", buf, sizeof(buf));
		EXPECT_STREQ("1\n", buf);
	}
	EXPECT_EQ(-EINVAL, gt_file_put(&self->e, "cpumask", "g"));
	EXPECT_EQ(-EOVERFLOW,
		  gt_file_put(&self->e, "cpumask",
			      "1,00000000,00000000,00000000,00000000,"
			      "00000000,00000000,00000000,00000000,"
			      "00000000,00000000,00000000,00000000,"
			      "00000000,00000000,00000000,00000000,"
			      "00000000,00000000,00000000,00000000,"
			      "00000000,00000000,00000000,00000000,"
			      "00000000,00000000,00000000,00000000,"
			      "00000000,00000000,00000000,00000000,"
			      "00000000,00000000,00000000,00000000"));
}

TEST_F(fs, cpulist_replaces)
{
	struct ghost_txn *txn = &self->e.cpu[1].txn;
	char buf[64];

	EXPECT_EQ(1, txn->cpu);
	EXPECT_EQ(0, txn->version);
	EXPECT_EQ(GHOST_TXN_COMPLETE, txn->state);
	EXPECT_EQ(-1, txn->u.sync_group_owner);
	txn->state = GHOST_TXN_POISONED;
	txn->cpu = 77;
	/* A removed CPU's page stays, an added one is set up afresh. */
	EXPECT_LE(0, gt_file_put(&self->e, "cpulist", "\n"));
	gt_file_get(&self->e, "cpulist", buf, sizeof(buf));
	EXPECT_STREQ("\n", buf);
	EXPECT_EQ(77, txn->cpu);
	EXPECT_EQ(0, gt_set_cpus(&self->e, "1"));
	EXPECT_EQ(1, txn->cpu);
	EXPECT_EQ(GHOST_TXN_COMPLETE, txn->state);
	EXPECT_EQ(1, gt_file_put(&self->e, "cpumask", "2"));
	gt_file_get(&self->e, "cpulist", buf, sizeof(buf));
	EXPECT_STREQ("1\n", buf);
}

TEST_F(fs, cpu_of_another_enclave_is_busy)
{
	struct gt_enclave other;
	char buf[64];

	ASSERT_EQ(0, gt_enclave_bare(&other));
	EXPECT_EQ(-EBUSY, gt_file_put(&other, "cpulist", "1"));
	EXPECT_EQ(-EBUSY, gt_file_put(&other, "cpulist", "0-1"));
	gt_file_get(&other, "cpulist", buf, sizeof(buf));
	EXPECT_STREQ("\n", buf);
	/* Free at once when it was given back. */
	EXPECT_LE(0, gt_file_put(&self->e, "cpulist", "\n"));
	EXPECT_EQ(0, gt_set_cpus(&other, "1"));
	EXPECT_EQ(-EBUSY, gt_file_put(&self->e, "cpulist", "1"));
	gt_destroy(&other);
	gt_enclave_close(&other);
}

TEST_F(fs, cpu_with_an_agent_stays)
{
	char buf[64];

	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	EXPECT_EQ(-EEXIST, gt_file_put(&self->e, "cpulist", "\n"));
	EXPECT_EQ(-EEXIST, gt_file_put(&self->e, "cpumask", "1"));
	gt_file_get(&self->e, "cpulist", buf, sizeof(buf));
	EXPECT_STREQ("1\n", buf);
	EXPECT_EQ(1, gt_file_put(&self->e, "cpulist", "1"));
	ASSERT_EQ(0, gt_agent_stop(&agent));
	EXPECT_LE(0, gt_file_put(&self->e, "cpulist", "\n"));
}

TEST_F(fs, offline_cpu_is_no_device)
{
	const char *online = "/sys/devices/system/cpu/cpu%d/online";
	int last = gt_ncpus() - 1, ret;
	char path[128], list[16];

	snprintf(path, sizeof(path), online, last);
	if (last < 2 || access(path, W_OK))
		SKIP(return, "needs 3 CPUs and CPU hotplug");
	ASSERT_EQ(1, gt_write_file(path, "0"));
	snprintf(list, sizeof(list), "1,%d", last);
	ret = gt_file_put(&self->e, "cpulist", list);
	EXPECT_EQ(1, gt_write_file(path, "1"));
	EXPECT_EQ(-ENODEV, ret);
}

TEST_F(fs, mmap_rules)
{
	size_t cpu_size = gt_npossible() * 4096;
	int cpu = gt_file(&self->e, "cpu_data", O_RDWR);
	int sw = gt_file(&self->e, "sw_regions/sw_0", O_RDONLY);
	int q = self->e.q.fd;
	struct {
		int fd;
		size_t size;
		int prot, flags;
		off_t off;
		int err;
		const char *what;
	} t[] = {
#define RW (PROT_READ | PROT_WRITE)
		{ cpu, cpu_size, RW, MAP_PRIVATE, 0, EINVAL, "private" },
		{ cpu, cpu_size, RW | PROT_EXEC, MAP_SHARED, 0, EACCES, "x" },
		{ cpu, cpu_size, RW, MAP_SHARED, 4096, EINVAL, "offset" },
		{ cpu, cpu_size + 4096, RW, MAP_SHARED, 0, EINVAL, "long" },
		{ q, 4096, RW, MAP_SHARED, 0, EINVAL, "short" },
		{ q, self->e.q.size, RW, MAP_PRIVATE, 0, EINVAL, "private" },
		{ q, self->e.q.size, RW | PROT_EXEC, MAP_SHARED, 0, EACCES,
		  "x" },
		{ q, self->e.q.size, RW, MAP_SHARED, 4096, EINVAL, "offset" },
		{ sw, GHOST_SW_REGION_SIZE, PROT_READ, MAP_PRIVATE, 0, EINVAL,
		  "private" },
		{ sw, GHOST_SW_REGION_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED,
		  0, EACCES, "x" },
		{ sw, 4096, PROT_READ, MAP_SHARED, 0, EINVAL, "short" },
		{ sw, GHOST_SW_REGION_SIZE, PROT_READ, MAP_SHARED, 4096,
		  EINVAL, "offset" },
#undef RW
	};
	void *p;
	int i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		p = mmap(NULL, t[i].size, t[i].prot, t[i].flags, t[i].fd,
			 t[i].off);
		EXPECT_EQ(MAP_FAILED, p) TH_LOG("row %d %s", i, t[i].what);
		EXPECT_EQ(t[i].err, errno) TH_LOG("row %d %s", i, t[i].what);
	}
	/* The descriptor is read-only: the VFS says EACCES before us. */
	p = mmap(NULL, GHOST_SW_REGION_SIZE, PROT_READ | PROT_WRITE,
		 MAP_SHARED, sw, 0);
	EXPECT_EQ(MAP_FAILED, p);
	EXPECT_TRUE(errno == EINVAL || errno == EACCES);

	EXPECT_NE(0, mprotect(self->e.region, GHOST_SW_REGION_SIZE,
			      PROT_READ | PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
	EXPECT_NE(0, mprotect(self->e.region, GHOST_SW_REGION_SIZE,
			      PROT_READ | PROT_EXEC));
	EXPECT_EQ(EACCES, errno);
	EXPECT_NE(0, mprotect(self->e.cpu, cpu_size, PROT_READ | PROT_EXEC));
	EXPECT_EQ(EACCES, errno);
	EXPECT_NE(0, mprotect(self->e.q.hdr, self->e.q.size,
			      PROT_READ | PROT_EXEC));
	EXPECT_EQ(EACCES, errno);
}

static int status_of(pid_t pid)
{
	int status = -1;

	waitpid(pid, &status, 0);
	return status;
}

TEST_F(fs, mappings_are_not_inherited)
{
	volatile uint32_t *words[] = {
		&self->e.region->capacity, &self->e.q.hdr->nelems,
		(uint32_t *)&self->e.cpu[1].txn.cpu,
	};
	int i, status;
	pid_t pid;

	for (i = 0; i < ARRAY_SIZE(words); i++) {
		pid = fork();
		if (!pid)
			_exit(*words[i] == 12345);
		status = status_of(pid);
		EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV)
			TH_LOG("mapping %d: status %x", i, status);
	}
}

TEST_F(fs, tasks_parse)
{
	static const struct {
		const char *text;
		int err;
	} t[] = {
		{ "", EINVAL }, { "x", EINVAL }, { "1x", EINVAL },
		{ "1 2", EINVAL }, { "99999999999999999999", ERANGE },
		{ "4194303", ESRCH }, { "-1", ESRCH }, { "-5", ESRCH },
		{ "9223372036854775807", ESRCH },
		{ "2199023255553", ESRCH },	/* pid 1, sequence 1 */
	};
	char buf[64];
	int i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		EXPECT_EQ(-t[i].err, gt_put(self->e.tasks, t[i].text))
			TH_LOG("'%s'", t[i].text);
	}
	EXPECT_EQ(0, gt_file_get(&self->e, "tasks", buf, sizeof(buf)));
}

TEST_F(fs, tasks_takes_pid_and_gtid)
{
	struct gt_task a = { 0 }, b = { 0 };
	char buf[128], want[128];

	ASSERT_EQ(0, gt_task_start(&a));
	ASSERT_EQ(0, gt_task_start(&b));
	snprintf(buf, sizeof(buf), "%d\n", a.pid);
	EXPECT_EQ((int)strlen(buf), gt_put(self->e.tasks, buf));
	/* A member already: success. */
	EXPECT_EQ((int)strlen(buf), gt_put(self->e.tasks, buf));
	snprintf(buf, sizeof(buf), "%llu", (unsigned long long)b.gtid);
	EXPECT_EQ((int)strlen(buf), gt_put(self->e.tasks, buf));
	EXPECT_EQ(SCHED_GHOST, gt_policy(a.pid));
	EXPECT_EQ(SCHED_GHOST, gt_policy(b.pid));

	gt_file_get(&self->e, "tasks", buf, sizeof(buf));
	snprintf(want, sizeof(want), "%d\n%d\n", a.pid, b.pid);
	if (strcmp(want, buf))
		snprintf(want, sizeof(want), "%d\n%d\n", b.pid, a.pid);
	EXPECT_STREQ(want, buf);
	gt_file_get(&self->e, "status", buf, sizeof(buf));
	EXPECT_STREQ("version 91\nactive no\nnr_tasks 2\n", buf);

	gt_destroy(&self->e);
	EXPECT_TRUE(gt_wait_for(gt_policy(a.pid) == SCHED_OTHER));
	EXPECT_TRUE(gt_wait_for(gt_policy(b.pid) == SCHED_OTHER));
	gt_task_end(&a);
	gt_task_end(&b);
}

TEST_F(fs, tasks_permissions)
{
	struct gt_task t = { 0 };
	int status;
	pid_t pid;

	ASSERT_EQ(0, gt_task_start(&t));
	pid = fork();
	if (!pid) {
		int fd, ret;

		if (setgid(65534) || setuid(65534))
			_exit(100);
		fd = gt_file(&self->e, "tasks", O_WRONLY);
		if (fd < 0)
			_exit(101);
		self->e.tasks = fd;
		ret = gt_join(&self->e, t.pid);
		_exit(-ret);
	}
	status = status_of(pid);
	ASSERT_TRUE(WIFEXITED(status));
	EXPECT_EQ(EPERM, WEXITSTATUS(status));
	EXPECT_EQ(SCHED_OTHER, gt_policy(t.pid));
	gt_task_end(&t);
}

TEST_F(fs, tasks_without_a_region)
{
	struct gt_enclave other;
	struct gt_task t = { 0 };

	ASSERT_EQ(0, gt_task_start(&t));
	ASSERT_EQ(0, gt_enclave_bare(&other));
	other.tasks = gt_file(&other, "tasks", O_RDWR);
	ASSERT_LE(0, other.tasks);
	EXPECT_EQ(-ENOMEM, gt_join(&other, t.pid));
	EXPECT_EQ(SCHED_OTHER, gt_policy(t.pid));
	gt_destroy(&other);
	gt_enclave_close(&other);
	gt_task_end(&t);
}

TEST_F(fs, kernel_threads_are_refused)
{
	EXPECT_EQ(-EINVAL, gt_join(&self->e, 2)) TH_LOG("pid 2: kthreadd");
}

static sigjmp_buf bus;

static void on_bus(int sig)
{
	siglongjmp(bus, 1);
}

static bool faults(volatile uint32_t *word)
{
	if (sigsetjmp(bus, 1))
		return true;
	(void)*word;
	return false;
}

TEST_F(fs, destroyed)
{
	int fds[] = {
		gt_file(&self->e, "status", O_RDONLY),
		gt_file(&self->e, "cpulist", O_RDWR),
		gt_file(&self->e, "runnable_timeout", O_RDWR),
		gt_file(&self->e, "agent_online", O_RDWR),
		gt_file(&self->e, "tasks", O_RDWR),
		self->e.ctl,
	};
	int sw = gt_file(&self->e, "sw_regions/sw_0", O_RDONLY);
	char buf[64];
	int i, err;

	ASSERT_EQ(0, gt_destroy(&self->e));
	ASSERT_TRUE(gt_gone(&self->e));
	for (i = 0; i < ARRAY_SIZE(fds); i++) {
		ASSERT_LE(0, fds[i]);
		EXPECT_EQ(-1, pread(fds[i], buf, sizeof(buf), 0));
		EXPECT_EQ(ENODEV, errno) TH_LOG("read of file %d", i);
		if (!i)
			continue;
		EXPECT_EQ(-ENODEV, gt_put(fds[i], "0"))
			TH_LOG("write of file %d", i);
	}
	EXPECT_EQ(-ENODEV, gt_ioctl(self->e.ctl, GHOST_IOC_NULL, NULL));
	EXPECT_EQ(-ENODEV, gt_put(self->e.ctl, "destroy"));
	EXPECT_EQ(NULL, gt_map(sw, GHOST_SW_REGION_SIZE, PROT_READ, &err));
	EXPECT_EQ(-ENODEV, err);

	signal(SIGBUS, on_bus);
	EXPECT_TRUE(faults(&self->e.region->capacity));
	EXPECT_TRUE(faults((uint32_t *)&self->e.cpu[1].txn.cpu));
	EXPECT_FALSE(faults(&self->e.q.hdr->nelems));
	EXPECT_EQ(GT_QUEUE_ELEMS, self->e.q.hdr->nelems);
}

TEST_F(fs, create_after_destroy_works_at_once)
{
	struct gt_enclave e[8] = { 0 };
	int i;

	gt_destroy(&self->e);
	for (i = 0; i < ARRAY_SIZE(e); i++) {
		ASSERT_EQ(0, gt_enclave_bare(&e[i]));
		/* Without a retry: see difference 1. */
		EXPECT_EQ(1, gt_file_put(&e[i], "cpulist", "1"));
		EXPECT_EQ(0, gt_destroy(&e[i]));
		gt_enclave_close(&e[i]);
	}
}

static long try_open(struct gt_agent *a, void *name)
{
	int fd = gt_file(a->e, name, O_RDONLY);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 0;
}

TEST_F(fs, agents_may_not_open)
{
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	EXPECT_EQ(-EDEADLK, gt_call(&agent, try_open, "ctl"));
	EXPECT_EQ(-EDEADLK, gt_call(&agent, try_open, "status"));
	EXPECT_EQ(-EDEADLK, gt_call(&agent, try_open, "tasks"));
	EXPECT_EQ(-EDEADLK, gt_call(&agent, try_open, "sw_regions/sw_0"));
	EXPECT_EQ(0, gt_call(&agent, try_open, "agent_online"));
}

TEST_HARNESS_MAIN
