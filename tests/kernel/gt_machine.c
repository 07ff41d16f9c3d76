// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* The machine around an enclave. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gt_machine.h"

int gt_schedstat(pid_t pid, struct gt_schedstat *s)
{
	char path[64], buf[128];
	int ret;

	snprintf(path, sizeof(path), "/proc/%d/schedstat", pid);
	ret = gt_read_file(path, buf, sizeof(buf));
	if (ret < 0)
		return ret;
	return sscanf(buf, "%llu %llu %llu", &s->run_ns, &s->wait_ns,
		      &s->slices) == 3 ? 0 : -EINVAL;
}

pid_t gt_aside(int (*fn)(void))
{
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(fn());
	}
	return pid < 0 ? -errno : pid;
}

bool gt_ended(pid_t pid, int *result)
{
	int status;

	if (waitpid(pid, &status, WNOHANG) != pid)
		return false;
	*result = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	return true;
}

static void module_path(char *path, size_t size, const char *name)
{
	snprintf(path, size, "/lib/modules/%s.ko", name);
}

bool gt_has_module(const char *name)
{
	char path[128];

	module_path(path, sizeof(path), name);
	return !access(path, R_OK);
}

int gt_insmod(const char *name, const char *args)
{
	char path[128];
	int fd, ret;

	module_path(path, sizeof(path), name);
	fd = gt_open(path, O_RDONLY);
	if (fd < 0)
		return fd;
	ret = syscall(SYS_finit_module, fd, args, 0) ? -errno : 0;
	close(fd);
	return ret;
}

int gt_rmmod(const char *name)
{
	return syscall(SYS_delete_module, name, O_NONBLOCK) ? -errno : 0;
}
