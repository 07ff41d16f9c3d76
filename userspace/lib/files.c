// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* The low layer: files of an enclave whose content means something. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

/* The value in a line "key value", or NULL. */
static const char *line_value(const char *text, const char *key)
{
	size_t len = strlen(key);

	while (text) {
		if (!strncmp(text, key, len) && text[len] == ' ')
			return text + len + 1;
		text = strchr(text, '\n');
		if (text)
			text++;
	}
	return NULL;
}

int ghost_fs_status(int dirfd, struct ghost_status *status)
{
	const char *abi, *active, *tasks, *owner;
	char *text;
	int err;

	err = ghost_fs_read_all(dirfd, "status", &text);
	if (err)
		return err;
	abi = line_value(text, "version");
	active = line_value(text, "active");
	tasks = line_value(text, "nr_tasks");
	owner = line_value(text, "ephemeral");
	if (abi && active && tasks)
		*status = (struct ghost_status){
			.abi = (unsigned int)strtoul(abi, NULL, 10),
			.active = *active == 'y',
			.nr_tasks = (unsigned int)strtoul(tasks, NULL, 10),
			.owner = owner ? (int)strtol(owner, NULL, 10) : 0,
		};
	else
		err = -EPROTO;
	free(text);
	return err;
}

int ghost_fs_tasks(int dirfd, int *tids, int max)
{
	char *text, *p, *end;
	int n = 0, err;

	err = ghost_fs_read_all(dirfd, "tasks", &text);
	if (err)
		return err;
	for (p = text; ; p = end, n++) {
		long tid = strtol(p, &end, 10);

		if (end == p)
			break;
		if (n < max)
			tids[n] = (int)tid;
	}
	free(text);
	return n;
}

/* A number, and nothing else. */
static int read_number(int dirfd, const char *file, unsigned long *value)
{
	char text[32], *end;
	int len;

	len = ghost_fs_read(dirfd, file, text, sizeof(text));
	if (len == -EOVERFLOW || len == -EACCES)
		return -EINVAL;
	if (len < 0)
		return len;
	errno = 0;
	*value = strtoul(text, &end, 10);
	return !len || *end || errno ? -EINVAL : 0;
}

/* These can be written and may hold a number, too. */
static bool may_tune(int dirfd, const char *name)
{
	static const char * const others[] = {
		"agent_online", "cpulist", "cpumask", "ctl", "tasks",
	};
	struct stat st;
	size_t i;

	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (!strcmp(name, others[i]))
			return false;
	if (strchr(name, '/'))
		return false;
	return fstatat(dirfd, name, &st, 0) ||
	       (S_ISREG(st.st_mode) && st.st_mode & 0222);
}

int ghost_fs_get_tunable(int dirfd, const char *name, unsigned long *value)
{
	return may_tune(dirfd, name) ? read_number(dirfd, name, value) :
				       -EINVAL;
}

int ghost_fs_set_tunable(int dirfd, const char *name, unsigned long value)
{
	char text[32];

	if (!may_tune(dirfd, name))
		return -EINVAL;
	snprintf(text, sizeof(text), "%lu", value);
	return ghost_fs_write(dirfd, name, text);
}

int ghost_fs_has_feature(int dirfd, const char *name)
{
	char *text, *line, *save = NULL;
	bool found = false;
	int err;

	err = ghost_fs_read_all(dirfd, "features", &text);
	if (err)
		return err == -ENOENT ? 0 : err;
	for (line = strtok_r(text, "\n", &save); line && !found;
	     line = strtok_r(NULL, "\n", &save))
		found = !strcmp(line, name);
	free(text);
	return found;
}

/* ---- agent_online ---- */

int ghost_fs_online(int dirfd)
{
	char text[8];
	int err = ghost_fs_read(dirfd, "agent_online", text, sizeof(text));

	return err < 0 ? err : text[0] == '1';
}

int ghost_fs_go_online(int dirfd)
{
	return ghost_fs_open(dirfd, "agent_online", O_RDWR);
}

/* Time left of a timeout, for poll(): -1 = for ever. */
static int ms_left(int64_t deadline)
{
	int64_t left;

	if (!deadline)
		return -1;
	left = (deadline - now_ns() + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC;
	return left > 0 ? (int)left : 0;
}

/* poll() reports every change until it is read. */
int ghost_fs_wait_online(int dirfd, bool online, int timeout_ms)
{
	int64_t deadline = timeout_ms < 0 ? 0 :
			   now_ns() + timeout_ms * NSEC_PER_MSEC;
	struct pollfd p = { .events = POLLPRI };
	int err = 0;

	p.fd = ghost_fs_open(dirfd, "agent_online", O_RDONLY);
	if (p.fd < 0)
		return p.fd;
	while (!err) {
		char now = '0';

		if (pread(p.fd, &now, 1, 0) < 0)
			err = -errno;
		else if ((now == '1') == online)
			break;
		else if (ms_left(deadline) == 0)
			err = -ETIMEDOUT;
		else if (poll(&p, 1, ms_left(deadline)) < 0)
			err = -errno;
	}
	close(p.fd);
	return err;
}

/* ---- mappings ---- */

static int map_file(int dirfd, const char *file, int flags, int prot,
		    int map_flags, size_t size, void **p)
{
	int fd = ghost_fs_open(dirfd, file, flags), err = 0;

	if (fd < 0)
		return fd;
	*p = mmap(NULL, size, prot, MAP_SHARED | map_flags, fd, 0);
	if (*p == MAP_FAILED)
		err = -errno;
	close(fd);
	return err;
}

int ghost_fs_map_cpu_data(int dirfd, struct ghost_cpu_data **data, int *nr)
{
	struct stat st;
	void *p;
	int err;

	if (fstatat(dirfd, "cpu_data", &st, 0))
		return -errno;
	err = map_file(dirfd, "cpu_data", O_RDWR, PROT_READ | PROT_WRITE, 0,
		       (size_t)st.st_size, &p);
	if (err)
		return err;
	*data = p;
	*nr = (int)((size_t)st.st_size / sizeof(**data));
	return 0;
}

int ghost_fs_map_sw_region(int dirfd, uint32_t id,
			   const struct ghost_sw_region_header **region)
{
	char name[64];
	void *p;
	int err;

	snprintf(name, sizeof(name), "sw_regions/sw_%u", id);
	/* Populated: a successor looks at every word while tasks wait. */
	err = map_file(dirfd, name, O_RDONLY, PROT_READ, MAP_POPULATE,
		       GHOST_SW_REGION_SIZE, &p);
	if (!err)
		*region = p;
	return err;
}
