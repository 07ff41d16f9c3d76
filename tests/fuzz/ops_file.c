// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Operations on the files: opening, reading, and writing words. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

static const char * const names[] = {
	"ctl", "tasks", "cpu_data", "sw_regions/sw_0", "sw_regions/sw_1",
	"agent_online", "cpulist", "cpumask", "status", "features", "bpf",
	"abi_version", "runnable_timeout", "max_tasks", "commit_at_tick",
	"deliver_ticks", "deliver_cpu_availability", "deliver_agent_runnability",
	"fallback", "honor_affinity", "live_dangerously", "wake_on_waker_cpu",
	"switchto_disabled", "nothing",
};

/* A number as text, not always a well-formed one. */
static void number(struct rng *r, char *buf, size_t size, long v)
{
	static const char * const formats[] = {
		"%ld", "%ld", "%ld", "%ld", "0x%lx", "%ld ", " %ld", "%ldx",
		"+%ld", "0%lo", "%ld\n",
	};

	snprintf(buf, size, PICK(r, formats), v);
}

/* Bytes are changed, cut off, repeated: not often. */
static size_t damage(struct rng *r, char *buf, size_t size)
{
	size_t n = strlen(buf), at;

	while (one_in(r, 12) && n) {
		at = below(r, n);
		switch (below(r, 4)) {
		case 0:
			buf[at] = rng_next(r);
			break;
		case 1:
			n = at;
			break;
		case 2:
			if (2 * n < size) {
				memcpy(buf + n, buf, n);
				n *= 2;
			}
			break;
		default:
			buf[at] = "\n \t-,0"[below(r, 6)];
		}
	}
	return n;
}

static long put_damaged(struct rng *r, int fd, char *buf, size_t size)
{
	size_t n = damage(r, buf, size);
	ssize_t ret;

	if (fd < 0)
		return -EBADF;
	ret = one_in(r, 32) ? write(fd, some_address(r), below(r, 8192)) :
			      write(fd, buf, n);
	return ret < 0 ? -errno : ret;
}

static int open_file(struct rng *r, const char *name, int flags)
{
	char path[128];

	snprintf(path, sizeof(path), GT_ROOT "/enclave_%d/%s", some_id(r), name);
	return gt_open(path, flags | O_NONBLOCK);
}

static long put_to(struct rng *r, const char *name, char *buf, size_t size)
{
	int fd = open_file(r, name, O_WRONLY);
	long ret;

	if (fd < 0)
		return fd;
	ret = put_damaged(r, fd, buf, size);
	close(fd);
	return ret;
}

long op_create(struct rng *r)
{
	static const char * const options[] = {
		"", "", "", "", " ephemeral", " gid=0", " gid=65534", " gid=",
		" gid=-1", " ephemeral gid=7", " what", " ",
	};
	char buf[256];
	int fd = gt_open(GT_ROOT "/ctl", O_WRONLY);
	long abi = one_in(r, 8) ? (long)value(r) : GHOST_VERSION, ret;

	if (fd < 0)
		return fd;
	snprintf(buf, sizeof(buf), "create %d %ld%s", some_id(r), abi,
		 PICK(r, options));
	ret = put_damaged(r, fd, buf, sizeof(buf));
	close(fd);
	return ret;
}

/* An enclave with all that it takes, so that the rest has something to hit. */
long op_enclave(struct rng *r)
{
	int id = some_id(r), fd, ret;
	char buf[128], dir[64];

	snprintf(buf, sizeof(buf), "create %d %d", id, GHOST_VERSION);
	ret = gt_write_file(GT_ROOT "/ctl", buf);
	if (ret < 0)
		return ret;
	snprintf(dir, sizeof(dir), GT_ROOT "/enclave_%d", id);
	fd = gt_open_at(dir, "ctl", O_RDWR);
	if (fd < 0)
		return fd;
	keep(K_CTL, fd);
	gt_put(fd, "create sw_region 0 0");
	snprintf(buf, sizeof(buf), "%s/cpulist", dir);
	gt_write_file(buf, one_in(r, 2) ? "1" : "1-2");
	/* Who waits for this fuzzer as a policy, does not for long. */
	snprintf(buf, sizeof(buf), "%s/runnable_timeout", dir);
	gt_write_file(buf, "200");
	fd = gt_open_at(dir, "tasks", O_RDWR);
	if (fd >= 0)
		keep(K_TASKS, fd);
	fd = gt_open_at(dir, "cpu_data", O_RDWR);
	if (fd >= 0)
		keep(K_CPU_DATA, fd);
	fd = gt_open_at(dir, "sw_regions/sw_0", O_RDONLY);
	if (fd >= 0)
		keep(K_WORDS, fd);
	return 0;
}

long op_open(struct rng *r)
{
	static const int flags[] = {
		O_RDWR, O_RDWR, O_RDONLY, O_WRONLY, O_RDWR | O_TRUNC,
		O_RDONLY | O_DIRECTORY, O_PATH, O_RDWR | O_CREAT, O_RDWR | O_APPEND,
	};
	const char *name = PICK(r, names);
	int fd = open_file(r, name, PICK(r, flags));
	enum kind k = K_FILE;

	if (fd < 0)
		return fd;
	if (!strcmp(name, "ctl"))
		k = K_CTL;
	else if (!strcmp(name, "tasks"))
		k = K_TASKS;
	else if (!strcmp(name, "cpu_data"))
		k = K_CPU_DATA;
	else if (!strncmp(name, "sw_", 3))
		k = K_WORDS;
	keep(k, fd);
	return 0;
}

long op_close(struct rng *r)
{
	drop(r);
	return 0;
}

static long other_call(struct rng *r, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT | POLLPRI };
	struct stat st;

	switch (below(r, 6)) {
	case 0:
		return poll(&p, 1, 0);
	case 1:
		return ftruncate(fd, value(r));
	case 2:
		return fstat(fd, &st);
	case 3:
		return fchmod(fd, 0600 + below(r, 0200));
	case 4:
		return lseek(fd, value(r), below(r, 5));
	default:
		return fcntl(fd, F_SETFL, O_NONBLOCK | (one_in(r, 2) ? O_APPEND : 0));
	}
}

long op_read(struct rng *r)
{
	int fd = some_fd(r, below(r, NR_KINDS));
	char buf[4096];
	long ret;

	if (one_in(r, 64)) {
		ret = gt_open(GT_ROOT "/exits", O_RDONLY);
		if (ret >= 0)
			keep(K_FILE, ret);
		return ret;
	}
	if (one_in(r, 3))
		ret = other_call(r, fd);
	else if (one_in(r, 8))
		ret = pread(fd, some_address(r), below(r, 4096), value(r));
	else
		ret = read(fd, buf, below(r, sizeof(buf)));
	return ret < 0 ? -errno : ret;
}

long op_ctl(struct rng *r)
{
	char buf[256], n[2][48];

	number(r, n[0], sizeof(n[0]), one_in(r, 4) ? (long)value(r) : (long)below(r, 3));
	number(r, n[1], sizeof(n[1]), one_in(r, 4) ? (long)value(r) : 0);
	switch (below(r, 16)) {
	case 0 ... 5:
		snprintf(buf, sizeof(buf), "create sw_region %s %s", n[0], n[1]);
		break;
	case 6 ... 8:
		snprintf(buf, sizeof(buf), "%s", "discover tasks");
		break;
	case 9 ... 10:
		snprintf(buf, sizeof(buf), "%s", "destroy");
		break;
	case 11:
		/* CPU 0 is the parent's. */
		snprintf(buf, sizeof(buf), "become agent %u %s",
			 shared->ncpus + below(r, 2000), n[1]);
		break;
	case 12:
		snprintf(buf, sizeof(buf), "disable%s",
			 one_in(r, 32) ? " my bpf_prog_load" : "");
		break;
	default:
		snprintf(buf, sizeof(buf), "%s %s", n[0], n[1]);
	}
	return put_damaged(r, some_fd(r, K_CTL), buf, sizeof(buf));
}

/* Lists and masks without CPU 0, on which the parent watches. */
long op_cpus(struct rng *r)
{
	char buf[256];

	switch (below(r, 6)) {
	case 0:
		snprintf(buf, sizeof(buf), "%d", some_cpu(r));
		break;
	case 1:
		snprintf(buf, sizeof(buf), "%d-%d", some_cpu(r), some_cpu(r));
		break;
	case 2:
		snprintf(buf, sizeof(buf), "%x", below(r, 1U << shared->ncpus) & ~1U);
		return put_to(r, "cpumask", buf, sizeof(buf));
	case 3:
		snprintf(buf, sizeof(buf), "%s", "\n");
		break;
	case 4:
		snprintf(buf, sizeof(buf), "1-%u:%u/%u", below(r, 8), below(r, 4),
			 below(r, 8));
		break;
	default:
		snprintf(buf, sizeof(buf), "%d,%d", some_cpu(r), some_cpu(r));
	}
	return put_to(r, "cpulist", buf, sizeof(buf));
}

long op_tunable(struct rng *r)
{
	const char *name = names[5 + below(r, sizeof(names) / sizeof(names[0]) - 5)];
	char buf[256];

	if (!strncmp(name, "cpu", 3))
		return op_cpus(r);
	/* A long one lets nobody wait for longer than the kernel's own limit. */
	number(r, buf, sizeof(buf), strcmp(name, "runnable_timeout") ?
	       (long)value(r) : 50 + (long)below(r, 500));
	return put_to(r, name, buf, sizeof(buf));
}

long op_tasks(struct rng *r)
{
	char buf[256];
	long who = one_in(r, 3) ? (long)some_gtid(r) : some_pid(r);

	/* 0 is the caller, which nobody schedules then: seldom. */
	if (!who && !one_in(r, 64))
		who = some_pid(r);
	number(r, buf, sizeof(buf), who);
	return put_damaged(r, some_fd(r, K_TASKS), buf, sizeof(buf));
}
