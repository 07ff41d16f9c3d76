// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <ghost/ghost.h>

#include "supervise.h"

#define GONE_TRIES	20	/* 50 ms apart */

static volatile sig_atomic_t child;

static void forward(int sig)
{
	kill((pid_t)child, sig);
}

/* The directory goes a moment after the agents. */
static int enclave_gone(unsigned long id)
{
	const struct timespec pause = { .tv_nsec = 50000000 };
	int tries, fd;

	for (tries = 0; tries < GONE_TRIES; tries++) {
		fd = ghost_fs_open_dir(NULL, id);
		if (fd < 0)
			return 1;
		close(fd);
		nanosleep(&pause, NULL);
	}
	return 0;
}

/* Does the kernel schedule its tasks while no agent does? */
static int falls_back(unsigned long id)
{
	int dir = ghost_fs_open_dir(NULL, id);
	char text[8] = "";

	if (dir >= 0) {
		ghost_fs_read(dir, "fallback", text, sizeof(text));
		close(dir);
	}
	return text[0] == '1';
}

/* The last record of this enclave in @exits: what comes before its state. */
static void print_reason(const char *exits, unsigned long id)
{
	const char *at, *rec = NULL;
	char head[48];
	int len;

	snprintf(head, sizeof(head), ": enclave_%lu: destroyed by ", id);
	for (at = exits; (at = strstr(at, head)); at++)
		rec = at + strlen(": ");
	while (rec && *rec && strncmp(rec, "abi ", strlen("abi "))) {
		len = strcspn(rec, "\n");
		fprintf(stderr, "  %.*s\n", len, rec);
		rec += len + (rec[len] == '\n');
	}
}

void tell_destroyed(unsigned long id)
{
	int root = open(ghost_fs_root(NULL), O_PATH | O_DIRECTORY | O_CLOEXEC);
	char *exits;

	fprintf(stderr, "%s: enclave %lu was destroyed under its agents\n",
		program_invocation_short_name, id);
	if (root >= 0) {
		if (!ghost_fs_read_all(root, "exits", &exits)) {
			print_reason(exits, id);
			free(exits);
		}
		close(root);
	}
	fprintf(stderr, "  its tasks are back with the normal scheduler;\n"
		"  how all was then: ghostctl exits\n");
}

static int report(int status, unsigned long id)
{
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	if (!id)
		fprintf(stderr, "%s: killed by signal %d at start-up\n",
			program_invocation_short_name, WTERMSIG(status));
	else if (enclave_gone(id))
		tell_destroyed(id);
	else
		fprintf(stderr,
			"%s: killed by signal %d; enclave %lu and its tasks are\n"
			"  still there, and %s. Next:\n"
			"  %s --enclave %lu, or ghostctl destroy %lu\n",
			program_invocation_short_name, WTERMSIG(status), id,
			falls_back(id) ? "the kernel's fallback runs them" :
					 "nobody schedules them",
			program_invocation_short_name, id, id);
	return 1;
}

int supervise(int (*body)(struct supervised *told, void *arg), void *arg)
{
	struct sigaction sa = { .sa_handler = forward };
	sigset_t both, old;
	struct supervised *told;
	int status;
	pid_t pid, parent = getpid();

	told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (told == MAP_FAILED) {
		perror("supervise: no memory");
		return 1;
	}
	/* Both processes want the signals only once they are ready. */
	sigemptyset(&both);
	sigaddset(&both, SIGTERM);
	sigaddset(&both, SIGINT);
	sigprocmask(SIG_BLOCK, &both, &old);
	pid = fork();
	if (pid < 0) {
		perror("supervise: no second process");
		return 1;
	}
	if (!pid) {
		/* Who kills the watcher means us. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			return 1;
		return body(told, arg);
	}
	child = pid;
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	sigprocmask(SIG_SETMASK, &old, NULL);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 1;
	return report(status, told->enclave);
}
