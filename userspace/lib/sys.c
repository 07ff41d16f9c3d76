// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* The low layer: files of ghostfs, /proc, ioctls. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <ghost/sys.h>

#define CPUS_TRIES	10
#define CPUS_PAUSE_NS	50000000L

static int result(int ret)
{
	return ret < 0 ? -errno : ret;
}

const char *ghost_fs_root(const char *root)
{
	if (!root)
		root = getenv("GHOST_ROOT");
	return root ? root : GHOST_FS_DEFAULT_ROOT;
}

int ghost_fs_mount(const char *root)
{
	int err = result(mount("ghost", ghost_fs_root(root), GHOST_FS_NAME,
			       0, NULL));

	return err == -EBUSY ? 0 : err;
}

/* One write() is one command, so short writes do not happen. */
static int write_fd(int fd, const char *text)
{
	ssize_t len = write(fd, text, strlen(text));

	return len < 0 ? -errno : 0;
}

static int read_all(int fd, char **text)
{
	size_t size = 4096, len = 0;
	char *buf = malloc(size);

	while (buf) {
		ssize_t n = read(fd, buf + len, size - len - 1);
		char *bigger;

		if (n < 0) {
			int err = -errno;

			free(buf);
			return err;
		}
		len += (size_t)n;
		if (n == 0) {
			buf[len] = '\0';
			*text = buf;
			return 0;
		}
		if (len < size - 1)
			continue;
		size *= 2;
		bigger = realloc(buf, size);
		if (!bigger)
			free(buf);
		buf = bigger;
	}
	return -ENOMEM;
}

static int top_path(const char *root, const char *file, char *path)
{
	int len = snprintf(path, PATH_MAX, "%s/%s", ghost_fs_root(root), file);

	return len >= PATH_MAX ? -ENAMETOOLONG : 0;
}

int ghost_fs_versions(const char *root, unsigned int *versions, int max)
{
	char path[PATH_MAX], *text, *p, *end;
	int fd, n = 0, err;

	err = top_path(root, "version", path);
	if (err)
		return err;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = read_all(fd, &text);
	close(fd);
	if (err)
		return err;
	for (p = text; n < max; p = end) {
		unsigned long v = strtoul(p, &end, 10);

		if (end == p)
			break;
		versions[n++] = (unsigned int)v;
	}
	free(text);
	return n;
}

int ghost_fs_create(const char *root, unsigned long id, const char *options)
{
	return ghost_fs_create_abi(root, id, GHOST_VERSION, options);
}

int ghost_fs_create_abi(const char *root, unsigned long id, unsigned int abi,
			const char *options)
{
	char path[PATH_MAX], cmd[256];
	int fd, err, len;

	len = snprintf(cmd, sizeof(cmd), "create %lu %u%s%s", id, abi,
		       options ? " " : "", options ? options : "");
	if (len >= (int)sizeof(cmd))
		return -EINVAL;
	err = top_path(root, "ctl", path);
	if (err)
		return err;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = write_fd(fd, cmd);
	close(fd);
	return err;
}

static int compare_ids(const void *a, const void *b)
{
	unsigned long x = *(const unsigned long *)a;
	unsigned long y = *(const unsigned long *)b;

	return (x > y) - (x < y);
}

int ghost_fs_list(const char *root, unsigned long *ids, int max)
{
	DIR *dir = opendir(ghost_fs_root(root));
	struct dirent *d;
	int n = 0;

	if (!dir)
		return -errno;
	while ((d = readdir(dir))) {
		unsigned long id;
		char rest;

		if (sscanf(d->d_name, "enclave_%lu%c", &id, &rest) != 1)
			continue;
		if (n < max)
			ids[n] = id;
		n++;
	}
	closedir(dir);
	qsort(ids, (size_t)(n < max ? n : max), sizeof(*ids), compare_ids);
	return n;
}

int ghost_fs_open_dir(const char *root, unsigned long id)
{
	char path[PATH_MAX];
	int len;

	len = snprintf(path, sizeof(path), "%s/enclave_%lu",
		       ghost_fs_root(root), id);
	if (len >= (int)sizeof(path))
		return -ENAMETOOLONG;
	return result(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

int ghost_fs_open(int dirfd, const char *file, int flags)
{
	return result(openat(dirfd, file, flags | O_CLOEXEC));
}

int ghost_fs_read_all(int dirfd, const char *file, char **text)
{
	int fd, err;

	fd = ghost_fs_open(dirfd, file, O_RDONLY);
	if (fd < 0)
		return fd;
	err = read_all(fd, text);
	close(fd);
	return err;
}

int ghost_fs_read(int dirfd, const char *file, char *buf, size_t size)
{
	char *text;
	size_t len;
	int err;

	err = ghost_fs_read_all(dirfd, file, &text);
	if (err)
		return err;
	len = strlen(text);
	if (len && text[len - 1] == '\n')
		len--;
	if (len >= size || len > INT_MAX) {
		free(text);
		return -EOVERFLOW;
	}
	memcpy(buf, text, len);
	buf[len] = '\0';
	free(text);
	return (int)len;
}

int ghost_fs_write(int dirfd, const char *file, const char *text)
{
	int fd, err;

	fd = ghost_fs_open(dirfd, file, O_WRONLY);
	if (fd < 0)
		return fd;
	err = write_fd(fd, text);
	close(fd);
	return err;
}

int ghost_fs_set_cpus(int dirfd, const char *cpus)
{
	const struct timespec pause = { .tv_nsec = CPUS_PAUSE_NS };
	int err, tries;

	for (tries = 0; ; tries++) {
		err = ghost_fs_write(dirfd, "cpulist", cpus);
		if (err != -EBUSY || tries == CPUS_TRIES)
			return err;
		nanosleep(&pause, NULL);
	}
}

int ghost_fs_add_task(int dirfd, int64_t id)
{
	char text[32];

	snprintf(text, sizeof(text), "%lld", (long long)id);
	return ghost_fs_write(dirfd, "tasks", text);
}

int ghost_fs_destroy(int ctl)
{
	return write_fd(ctl, "destroy");
}

int ghost_fs_create_sw_region(int ctl, uint32_t id, int node)
{
	char cmd[64];

	snprintf(cmd, sizeof(cmd), "create sw_region %u %d", id, node);
	return write_fd(ctl, cmd);
}

int ghost_fs_become_agent(int ctl, int cpu, int qfd)
{
	char cmd[64];

	snprintf(cmd, sizeof(cmd), "become agent %d %d", cpu, qfd);
	return write_fd(ctl, cmd);
}

int ghost_fs_discover_tasks(int ctl)
{
	return write_fd(ctl, "discover tasks");
}

int ghost_fs_ban_bpf_load(int ctl)
{
	return write_fd(ctl, "disable my bpf_prog_load");
}

int ghost_proc_gtid(int tid, int64_t *gtid)
{
	char path[64], text[32];
	ssize_t len;
	int fd, err;

	snprintf(path, sizeof(path), "/proc/%d/ghost/gtid", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	len = read(fd, text, sizeof(text) - 1);
	err = len < 0 ? -errno : 0;
	close(fd);
	if (err)
		return err;
	text[len] = '\0';
	*gtid = strtoll(text, NULL, 10);
	return 0;
}

int ghost_proc_tgid(int tid)
{
	char path[64], *text, *p;
	int fd, err, tgid;

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	err = read_all(fd, &text);
	close(fd);
	if (err)
		return err;
	p = strstr(text, "\nTgid:");
	if (!p || sscanf(p, "\nTgid: %d", &tgid) != 1)
		tgid = -ESRCH;
	free(text);
	return tgid;
}

int ghost_sys_null(int ctl)
{
	return result(ioctl(ctl, GHOST_IOC_NULL));
}

static int sw_get_info(int ctl, uint32_t type, uint64_t arg,
		       struct ghost_sw_info *info)
{
	struct ghost_ioc_sw_get_info data = {
		.request = { .type = type, .arg = arg },
	};
	int err = result(ioctl(ctl, GHOST_IOC_SW_GET_INFO, &data));

	if (!err)
		*info = data.response;
	return err;
}

int ghost_sys_agent_sw(int ctl, int cpu, struct ghost_sw_info *info)
{
	return sw_get_info(ctl, GHOST_AGENT, (uint64_t)cpu, info);
}

int ghost_sys_task_sw(int ctl, int64_t gtid, struct ghost_sw_info *info)
{
	return sw_get_info(ctl, GHOST_TASK, (uint64_t)gtid, info);
}

int ghost_sys_sw_free(int ctl, const struct ghost_sw_info *info)
{
	return result(ioctl(ctl, GHOST_IOC_SW_FREE, info));
}

int ghost_sys_create_queue(int ctl, int elems, int node, uint64_t *mapsize)
{
	struct ghost_ioc_create_queue data = { .elems = elems, .node = node };
	int fd = result(ioctl(ctl, GHOST_IOC_CREATE_QUEUE, &data));

	*mapsize = data.mapsize;
	return fd;
}

int ghost_sys_assoc_queue(int ctl, int qfd, int64_t gtid, uint32_t barrier)
{
	struct ghost_ioc_assoc_queue data = {
		.fd = qfd,
		.src = { .type = GHOST_TASK, .arg = (uint64_t)gtid },
		.barrier = barrier,
	};

	return result(ioctl(ctl, GHOST_IOC_ASSOC_QUEUE, &data));
}

int ghost_sys_set_default_queue(int ctl, int qfd)
{
	struct ghost_ioc_set_default_queue data = { .fd = qfd };

	return result(ioctl(ctl, GHOST_IOC_SET_DEFAULT_QUEUE, &data));
}

int ghost_sys_config_queue_wakeup(int ctl, int qfd, int cpu)
{
	return ghost_sys_config_queue_wakeups(ctl, qfd, &cpu, cpu >= 0);
}

int ghost_sys_config_queue_wakeups(int ctl, int qfd, const int *cpus, int nr)
{
	struct ghost_agent_wakeup wakeups[GHOST_MAX_WINFO] = { { 0 } };
	struct ghost_ioc_config_queue_wakeup data = {
		.qfd = qfd,
		.w = wakeups,
		.ninfo = nr,
	};
	int i;

	if (nr < 0 || nr > GHOST_MAX_WINFO)
		return -EINVAL;
	for (i = 0; i < nr; i++)
		wakeups[i].cpu = cpus[i];
	return result(ioctl(ctl, GHOST_IOC_CONFIG_QUEUE_WAKEUP, &data));
}

int ghost_sys_get_cpu_time(int ctl, int64_t gtid, uint64_t *ns)
{
	struct ghost_ioc_get_cpu_time data = { .gtid = gtid };
	int err = result(ioctl(ctl, GHOST_IOC_GET_CPU_TIME, &data));

	if (!err)
		*ns = data.runtime;
	return err;
}

static int commit(int ctl, unsigned long cmd, const unsigned long *mask,
		  size_t bytes)
{
	struct ghost_ioc_commit_txn data = {
		.mask_ptr = (__u64 *)(uintptr_t)mask,
		.mask_len = (uint32_t)bytes,
	};

	return result(ioctl(ctl, cmd, &data));
}

int ghost_sys_commit_txn(int ctl, const unsigned long *mask, size_t bytes)
{
	return commit(ctl, GHOST_IOC_COMMIT_TXN, mask, bytes);
}

int ghost_sys_sync_group_txn(int ctl, const unsigned long *mask, size_t bytes)
{
	return commit(ctl, GHOST_IOC_SYNC_GROUP_TXN, mask, bytes);
}

int ghost_sys_timerfd_settime(int ctl, int timerfd, int flags,
			      const struct timerfd_ghost *to,
			      const struct itimerspec *value,
			      struct itimerspec *old)
{
	struct ghost_ioc_timerfd_settime data = {
		.timerfd = timerfd,
		.flags = flags,
		.in_tmr = value,
		.out_tmr = old,
		.timerfd_ghost = *to,
	};

	return result(ioctl(ctl, GHOST_IOC_TIMERFD_SETTIME, &data));
}

int ghost_sys_run(int ctl, int64_t gtid, int cpu, uint32_t agent_barrier,
		  int run_flags)
{
	struct ghost_ioc_run data = {
		.gtid = gtid,
		.agent_barrier = agent_barrier,
		.run_cpu = cpu,
		.run_flags = run_flags,
	};

	return result(ioctl(ctl, GHOST_IOC_RUN, &data));
}
