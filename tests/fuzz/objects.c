// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Descriptors, threads and addresses that operations draw from. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

#define EACH		6		/* descriptors of a kind */
#define HELPERS		4

static int fds[NR_KINDS][EACH];		/* 0: none */
static pid_t helpers[HELPERS];
static uint64_t gtids[HELPERS];

/* Operations run in several threads at once; a descriptor may be gone. */
void keep(enum kind k, int fd)
{
	static unsigned int turn;
	unsigned int i = __atomic_fetch_add(&turn, 1, __ATOMIC_RELAXED) % EACH;
	int old = __atomic_exchange_n(&fds[k][i], fd, __ATOMIC_ACQ_REL);

	if (old > 0)
		close(old);
}

int some_fd(struct rng *r, enum kind k)
{
	int fd, tries;

	if (one_in(r, 32))
		k = below(r, NR_KINDS);
	for (tries = 0; tries < 8; tries++) {
		fd = load(&fds[k][below(r, EACH)]);
		if (fd > 0)
			return fd;
	}
	return -1;
}

void drop(struct rng *r)
{
	int fd = __atomic_exchange_n(&fds[below(r, NR_KINDS)][below(r, EACH)], 0,
				     __ATOMIC_ACQ_REL);

	if (fd > 0)
		close(fd);
}

int some_id(struct rng *r)
{
	return FIRST_ID + below(r, NR_IDS);
}

int some_cpu(struct rng *r)
{
	return one_in(r, 16) ? (int)value(r) : 1 + (int)below(r, shared->ncpus - 1);
}

pid_t some_pid(struct rng *r)
{
	if (one_in(r, 16))
		return value(r);
	return one_in(r, 8) ? 0 : helpers[below(r, HELPERS)];
}

int64_t some_gtid(struct rng *r)
{
	static const int64_t special[] = {
		GHOST_NULL_GTID, GHOST_AGENT_GTID, GHOST_IDLE_GTID,
	};

	if (one_in(r, 8))
		return value(r);
	return one_in(r, 4) ? PICK(r, special) : (int64_t)gtids[below(r, HELPERS)];
}

void *some_address(struct rng *r)
{
	static char *page;

	if (!page) {
		/* Two pages, of which the second cannot be read. */
		page = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		mprotect(page + 4096, 4096, PROT_NONE);
	}
	switch (below(r, 6)) {
	case 0:
		return NULL;
	case 1:
		return page + 4096 - below(r, 64);
	case 2:
		return (void *)value(r);
	default:
		return page + 8 * below(r, 256);
	}
}

/* ---- threads to schedule ---- */

static void help(int n)
{
	struct timespec nap = { 0, 1000000 };
	volatile int i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	gt_pin(0, -1);
	for (;;) {
		for (i = 0; i < 1000; i++)
			;
		if (n & 1)
			sched_yield();
		nanosleep(&nap, NULL);
	}
}

static void start_one(int i)
{
	pid_t pid = fork();

	if (!pid)
		help(i);
	if (pid < 0)
		return;
	gtids[i] = gt_gtid_of(pid);
	helpers[i] = pid;
}

void helpers_start(void)
{
	int i;

	/* Nobody waits for them. */
	signal(SIGCHLD, SIG_IGN);
	for (i = 0; i < HELPERS; i++)
		start_one(i);
}

/* One ends, when it gets a CPU, and another takes its place. */
long op_helper(struct rng *r)
{
	int i = below(r, HELPERS);

	if (helpers[i] > 0 && kill(helpers[i], SIGKILL))
		return -errno;
	start_one(i);
	return 0;
}
