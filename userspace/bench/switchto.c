// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Two processes that take turns through futexes: by a wake-up and then a wait,
 * and by the one call that does both. Under any scheduler; only in an enclave
 * the second one hands over the CPU.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <ghost/switchto.h>

#include "bench.h"

static struct samples samples;

typedef int pass_fn(uint32_t *self, uint32_t *other);

static int sleep_until_set(uint32_t *word)
{
	while (!__atomic_load_n(word, __ATOMIC_ACQUIRE))
		if (syscall(SYS_futex, word, FUTEX_WAIT, 0, NULL, NULL, 0) &&
		    errno != EAGAIN && errno != EINTR)
			return -errno;
	__atomic_store_n(word, 0, __ATOMIC_RELEASE);
	return 0;
}

static int wake_and_wait(uint32_t *self, uint32_t *other)
{
	__atomic_store_n(other, 1, __ATOMIC_RELEASE);
	if (syscall(SYS_futex, other, FUTEX_WAKE, 1, NULL, NULL, 0) < 0)
		return -errno;
	return sleep_until_set(self);
}

static int switch_to(uint32_t *self, uint32_t *other)
{
	int err;

	__atomic_store_n(other, 1, __ATOMIC_RELEASE);
	err = ghost_sys_switch_to(self, 0, other, 0, NULL);
	if (err && err != -EAGAIN && err != -EINTR)
		return err;
	return sleep_until_set(self);
}

static pid_t start_other(uint32_t *self, uint32_t *other, pass_fn *pass)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!sleep_until_set(self))
		while (!pass(self, other))
			;
	_exit(1);
}

static int take_turns(const struct bench *b, struct result *r, pass_fn *pass)
{
	uint32_t *words = shared(2 * sizeof(*words));
	int rounds = b->rounds ? b->rounds : 2000;
	int rep, i, err = 0;
	pid_t pid;

	if (!words)
		return fail("no shared memory", -ENOMEM);
	if (pin(0, b->cpus[0]))
		return 1;
	pid = start_other(&words[1], &words[0], pass);
	if (pid < 0)
		return fail("no second process", -errno);
	for (rep = 0; !err && rep <= b->reps; rep++) {
		for (i = 0; !err && i < rounds; i++) {
			int64_t start = stamp();

			err = pass(&words[0], &words[1]);
			add_sample(&samples, stamp() - start);
		}
		if (!rep)
			samples.n = 0;
		end_repetition(&samples, r);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	if (err)
		return fail("cannot take turns", err);
	print_result(b, r);
	return 0;
}

int bench_futex(const struct bench *b)
{
	struct result r = { .row = "futex", .per = 2 };

	return take_turns(b, &r, wake_and_wait);
}

int bench_switchto(const struct bench *b)
{
	struct result r = { .row = "switchto", .per = 2 };

	return take_turns(b, &r, switch_to);
}
