// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* The memory that all processes share, and chance. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "torture.h"

struct shared *shared;
static int shared_fd;

int share_attach(int fd)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED,
		      fd, 0);
	shared_fd = fd;
	return shared == MAP_FAILED ? -errno : 0;
}

int share_create(void)
{
	/* Those that are executed inherit it. */
	int fd = memfd_create("torture", 0), ret;
	pthread_mutexattr_t attr;

	if (fd < 0 || ftruncate(fd, sizeof(*shared)))
		return -errno;
	ret = share_attach(fd);
	if (ret)
		return ret;
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&shared->pi, &attr);
	return 0;
}

void count_many(enum figure f, uint64_t n)
{
	__atomic_add_fetch(&shared->figures[f].done, n, __ATOMIC_RELAXED);
}

void count(enum figure f, bool done)
{
	struct figure_count *c = &shared->figures[f];

	__atomic_add_fetch(done ? &c->done : &c->refused, 1, __ATOMIC_RELAXED);
}

void fail(const char *fmt, ...)
{
	char text[sizeof(shared->why)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fprintf(stderr, "FAILED: %s\n", text);
	/* 1: being written, 2: there */
	if (__sync_bool_compare_and_swap(&shared->failed, 0, 1)) {
		memcpy(shared->why, text, sizeof(text));
		store(&shared->failed, 2);
	}
}

/* ---- chance: splitmix64 ---- */

static uint64_t mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

uint64_t rng_next(struct rng *r)
{
	r->state += 0x9e3779b97f4a7c15ULL;
	return mix(r->state);
}

struct rng rng_at(uint64_t stream, uint64_t n)
{
	return (struct rng){ mix(mix(shared->seed + 1) ^ mix(stream + 1)) + mix(n + 1) };
}

unsigned int below(struct rng *r, unsigned int n)
{
	return n ? rng_next(r) % n : 0;
}

/* ---- processes ---- */

/*
 * This program again, as worker or host @n, which dies with its parent. Each is
 * a group of its own, so that signals reach what it starts.
 */
pid_t spawn(const char *role, int n, const char *more)
{
	char place[16], fd[16];
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid)
		return pid;
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(place, sizeof(place), "%d", n);
	snprintf(fd, sizeof(fd), "%d", shared_fd);
	if (!strcmp(role, "worker"))
		census_enter();
	execl("/proc/self/exe", "ghost-torture", role, place, fd, more, NULL);
	_exit(99);
}

void become_again(void)
{
	char place[16], fd[16];

	snprintf(place, sizeof(place), "%d", worker_place);
	snprintf(fd, sizeof(fd), "%d", shared_fd);
	execl("/proc/self/exe", "ghost-torture", "worker", place, fd, "again", NULL);
	_exit(99);
}
