// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Who was born, who ended, who lives. Any process may be killed between any two
 * instructions, so that a birth and an end are each one store: a seat holds
 * births, ends and the pid in one word. Who is killed before it has taken a
 * seat was never there.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "torture.h"

#define PID_BITS	22
#define COUNT_BITS	21
#define COUNT_MASK	((1ULL << COUNT_BITS) - 1)

static pid_t sitter(uint64_t seat)
{
	return seat & ((1U << PID_BITS) - 1);
}

static uint64_t births(uint64_t seat)
{
	return seat >> PID_BITS & COUNT_MASK;
}

static uint64_t ends(uint64_t seat)
{
	return seat >> (PID_BITS + COUNT_BITS);
}

void census_enter(void)
{
	uint64_t old, pid = getpid();
	int i;

	for (i = 0; ; i = (i + 1) % SEATS) {
		old = load(&shared->seats[i]);
		if (!sitter(old) &&
		    __sync_bool_compare_and_swap(&shared->seats[i], old,
						 (old + (1ULL << PID_BITS)) | pid))
			return;
	}
}

void census_leave(pid_t pid)
{
	uint64_t old;
	int i;

	for (i = 0; i < SEATS; i++) {
		old = load(&shared->seats[i]);
		if (sitter(old) != pid)
			continue;
		__sync_bool_compare_and_swap(&shared->seats[i], old,
					     (old - pid) +
					     (1ULL << (PID_BITS + COUNT_BITS)));
		return;
	}
}

struct census census_take(void)
{
	struct census c = { 0 };
	uint64_t seat;
	int i;

	for (i = 0; i < SEATS; i++) {
		seat = load(&shared->seats[i]);
		c.created += births(seat);
		c.finished += ends(seat);
		if (!sitter(seat))
			continue;
		if (kill(sitter(seat), 0) && load(&shared->seats[i]) == seat)
			fail("process %d is lost: nobody saw it end", sitter(seat));
		else
			c.alive++;
	}
	return c;
}

/* The seat is empty before the number can be given to another process. */
int reap(pid_t pid)
{
	int status = -1;
	siginfo_t info;

	while (waitid(P_PID, pid, &info, WEXITED | WNOWAIT) && errno == EINTR)
		;
	census_leave(pid);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}
