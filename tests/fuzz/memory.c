// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Mappings of the interface, which are read, written and unmapped at any time,
 * by a second thread, too. Faults are caught. All are in an area that holds
 * nothing else, so that nobody writes into what came after them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"

#define MAPS	8
#define ROOM	(64UL << 20)		/* of each */

__thread sigjmp_buf *on_fault;

static char *area;

/* Entries are replaced while others use them, which then fault. */
static struct {
	char *start;			/* NULL: nothing there */
	size_t size;
	bool writable;
} maps[MAPS];

static void fault(int sig)
{
	if (on_fault)
		siglongjmp(*on_fault, 1);
	signal(sig, SIG_DFL);
}

void catch_faults(void)
{
	struct sigaction sa = { .sa_handler = fault, .sa_flags = SA_NODEFER };

	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
}

static void *nothing(void *at, size_t size)
{
	return mmap(at, size, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (at ? MAP_FIXED : 0),
		    -1, 0);
}

static size_t size_of(enum kind k)
{
	switch (k) {
	case K_CPU_DATA:
		return gt_npossible() * sizeof(struct ghost_cpu_data);
	case K_WORDS:
		return GHOST_SW_REGION_SIZE;
	default:
		return 4096;
	}
}

long op_map(struct rng *r)
{
	static const int prots[] = {
		PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE, PROT_READ,
		PROT_READ | PROT_EXEC, PROT_NONE,
	};
	static const enum kind kinds[] = { K_CPU_DATA, K_QUEUE, K_WORDS };
	enum kind k = PICK(r, kinds);
	int i = below(r, MAPS), prot = k == K_WORDS ? PROT_READ : PICK(r, prots);
	size_t size = one_in(r, 8) ? below(r, 1U << below(r, 26)) : size_of(k);
	char *p;
	int ret;

	if (k == K_QUEUE)
		size = 4096UL * (1 + below(r, 4));
	if (one_in(r, 8))
		prot = PICK(r, prots);
	store(&maps[i].start, NULL);
	nothing(area + i * ROOM, ROOM);
	p = mmap(area + i * ROOM, size, prot,
		 MAP_FIXED | (one_in(r, 8) ? MAP_PRIVATE : MAP_SHARED), some_fd(r, k),
		 one_in(r, 8) ? (off_t)value(r) : 0);
	if (p == MAP_FAILED) {
		ret = -errno;
		nothing(area + i * ROOM, ROOM);
		return ret;
	}
	maps[i].size = size;
	maps[i].writable = prot & PROT_WRITE;
	store(&maps[i].start, p);
	return 0;
}

long op_unmap(struct rng *r)
{
	int i = below(r, MAPS), ret;
	char *p = maps[i].start;

	if (!p)
		return -ENOENT;
	if (one_in(r, 4)) {
		ret = mprotect(p, maps[i].size, below(r, 8));
	} else if (one_in(r, 4)) {
		ret = madvise(p, maps[i].size, below(r, 26));
	} else if (one_in(r, 4)) {
		ret = nothing(p, 4096) == MAP_FAILED ? -1 : 0;
	} else {
		store(&maps[i].start, NULL);
		ret = nothing(p, ROOM) == MAP_FAILED ? -1 : 0;
	}
	return ret < 0 ? -errno : 0;
}

/* A plausible transaction, or words anywhere. */
static void forge(struct rng *r)
{
	int i = below(r, MAPS);
	char *p = load(&maps[i].start);
	size_t size = maps[i].size;
	struct ghost_txn *txn;

	if (!p || !maps[i].writable || size < 4096)
		return;
	if (one_in(r, 4)) {
		/* The head of a ring, or of a transaction, is most worth it. */
		uint32_t *words = (uint32_t *)p;

		store(&words[below(r, one_in(r, 2) ? 32 : size / 4)],
		      (uint32_t)value(r));
		return;
	}
	txn = (struct ghost_txn *)(p + 4096 * below(r, size / 4096));
	txn->gtid = some_gtid(r);
	txn->task_barrier = some_barrier(r);
	txn->agent_barrier = one_in(r, 2) ? 0 : some_barrier(r);
	txn->run_flags = one_in(r, 2) ? 0 : value(r);
	txn->commit_flags = one_in(r, 2) ? COMMIT_AT_TXN_COMMIT : value(r);
	txn->u.sync_group_owner = value(r);
	store(&txn->state, one_in(r, 8) ? (int)value(r) : GHOST_TXN_READY);
}

static long guarded(void (*fn)(struct rng *r), struct rng *r)
{
	sigjmp_buf here, *outer = on_fault;

	if (sigsetjmp(here, 1)) {
		on_fault = outer;
		return -EFAULT;
	}
	on_fault = &here;
	fn(r);
	on_fault = outer;
	return 0;
}

long op_forge(struct rng *r)
{
	return guarded(forge, r);
}

static uint32_t last_barrier;

static void look(struct rng *r)
{
	int i = below(r, MAPS);
	char *p = load(&maps[i].start);
	uint32_t *words = (uint32_t *)p;

	if (p && maps[i].size >= 4)
		last_barrier = load(&words[below(r, maps[i].size / 4)]);
}

long op_touch(struct rng *r)
{
	return guarded(look, r);
}

/* Status words are in a mapping, in the first ones more than in others. */
static void find_barrier(struct rng *r)
{
	int i = below(r, MAPS);
	char *p = load(&maps[i].start);
	struct ghost_status_word *sw;

	if (!p || maps[i].size != GHOST_SW_REGION_SIZE)
		return;
	sw = (struct ghost_status_word *)(p + 64) + below(r, 8);
	last_barrier = load(&sw->barrier);
}

uint32_t some_barrier(struct rng *r)
{
	if (one_in(r, 8))
		return value(r);
	guarded(find_barrier, r);
	return load(&last_barrier);
}

static void *writer(void *seed)
{
	struct rng r = { (uintptr_t)seed };

	gt_pin(0, -1);
	for (;;) {
		guarded(forge, &r);
		if (one_in(&r, 16))
			usleep(below(&r, 500));
	}
	return NULL;
}

void memory_start(uint64_t seed)
{
	pthread_t thread;

	area = nothing(NULL, MAPS * ROOM);
	pthread_create(&thread, NULL, writer, (void *)seed);
}
