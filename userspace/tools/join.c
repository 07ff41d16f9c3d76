// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* ghostctl add and run: threads into an enclave. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ghostctl.h"

#define MAX_PASSES	100

/* Threads of a process, ascending; returns their number or -errno. */
static int read_threads(int pid, int **tids)
{
	char path[64];
	struct dirent *d;
	int n = 0, room = 0;
	DIR *dir;

	*tids = NULL;
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	if (!dir)
		return errno == ENOENT ? -ESRCH : -errno;
	while ((d = readdir(dir))) {
		int tid = atoi(d->d_name);

		if (tid <= 0)
			continue;
		if (n == room) {
			int *more;

			room = room ? 2 * room : 64;
			more = realloc(*tids, (size_t)room * sizeof(**tids));
			if (!more) {
				free(*tids);
				closedir(dir);
				return -ENOMEM;
			}
			*tids = more;
		}
		(*tids)[n++] = tid;
	}
	closedir(dir);
	return n;
}

/*
 * Threads that are not moved yet may create threads that are not moved. Go
 * over them until a pass finds as many as the one before, and no new number.
 */
static int add_process(int dir, int pid, int *moved)
{
	int pass, n, i, err = 0, last_n = -1, last_tid = -1;

	for (pass = 0; pass < MAX_PASSES; pass++) {
		int *tids, done = 0, max_tid = 0;

		n = read_threads(pid, &tids);
		if (n < 0)
			return n;
		for (i = 0; i < n && !err; i++) {
			err = ghost_fs_add_task(dir, tids[i]);
			if (err == -ESRCH)
				err = 0;	/* it has exited meanwhile */
			else
				done++;
			if (tids[i] > max_tid)
				max_tid = tids[i];
		}
		free(tids);
		if (err)
			return err;
		if (n == last_n && max_tid == last_tid) {
			*moved += done;
			return done ? 0 : -ESRCH;
		}
		last_n = n;
		last_tid = max_tid;
	}
	return -EAGAIN;
}

static void warn_if_offline(int dir, unsigned long id)
{
	char online[8], fallback[8];

	if (ghost_fs_read(dir, "agent_online", online, sizeof(online)) <= 0 ||
	    online[0] != '0')
		return;
	if (ghost_fs_read(dir, "fallback", fallback, sizeof(fallback)) <= 0)
		fallback[0] = '0';
	fprintf(stderr,
		"ghostctl: enclave %lu has no agent: until one comes its tasks %s; next:\n"
		"  ghost-fifo --enclave %lu\n", id,
		fallback[0] == '1' ? "run as normal threads" : "wait", id);
}

int add_processes(unsigned long id, int nr, char **pids, bool json)
{
	int dir, i, moved = 0, ret = 0;

	dir = ghost_fs_open_dir(NULL, id);
	if (dir < 0)
		return complain("cannot open it", id, dir);
	for (i = 0; i < nr; i++) {
		char what[80];
		int pid = atoi(pids[i]), err;

		err = pid > 0 ? add_process(dir, pid, &moved) : -EINVAL;
		snprintf(what, sizeof(what), "cannot add process %.20s",
			 pids[i]);
		if (err)
			ret = complain(what, id, err);
	}
	if (json)
		printf("{\"id\":%lu,\"moved\":%d}\n", id, moved);
	else
		printf("moved %d threads into enclave %lu\n", moved, id);
	warn_if_offline(dir, id);
	close(dir);
	return ret;
}

int run_command(unsigned long id, char **argv)
{
	int dir, err;

	dir = ghost_fs_open_dir(NULL, id);
	if (dir < 0)
		return complain("cannot open it", id, dir);
	warn_if_offline(dir, id);
	err = ghost_fs_add_task(dir, 0);
	if (err)
		return complain("cannot join", id, err);
	execvp(argv[0], argv);
	err = errno;
	fprintf(stderr, "ghostctl: cannot run %s: %s\n", argv[0],
		strerror(err));
	return err == ENOENT ? 127 : 126;
}
