// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Many threads that sleep. */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "crowd.h"

#define PROCESS_THREADS	5000	/* mappings of a process are limited */
#define START_SECONDS	600

static void *sleeper(void *arg)
{
	sigset_t set;
	int sig;

	sigemptyset(&set);
	sigaddset(&set, CROWD_SIGNAL);
	__atomic_store_n((pid_t *)arg, gettid(), __ATOMIC_RELEASE);
	for (;;)
		sigwait(&set, &sig);
	return NULL;
}

/* A child's main thread is none of the crowd. */
static void host(pid_t *tid, int n)
{
	pthread_attr_t attr;
	pthread_t thread;
	int i, err = 0;
	sigset_t set;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigemptyset(&set);
	sigaddset(&set, CROWD_SIGNAL);
	sigprocmask(SIG_BLOCK, &set, NULL);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, PTHREAD_STACK_MIN);
	pthread_attr_setguardsize(&attr, 0);
	for (i = 0; i < n && !err; i++)
		err = pthread_create(&thread, &attr, sleeper, &tid[i]);
	if (err)
		_exit(fail("not enough threads", -err));
	for (;;)
		pause();
}

/* A thread that has told its id still has a few steps to its sleep. */
static int wait_asleep(const struct crowd *c, pid_t last)
{
	const struct timespec ts = { .tv_nsec = 10000000 };
	int i = 0, tries = START_SECONDS * 100;

	while (i < c->n) {
		if (__atomic_load_n(&c->tid[i], __ATOMIC_ACQUIRE)) {
			i++;
			continue;
		}
		if (!tries-- || waitpid(last, NULL, WNOHANG) == last)
			return fail("the threads do not start", -ETIMEDOUT);
		nanosleep(&ts, NULL);
	}
	nanosleep(&ts, NULL);
	return 0;
}

int start_crowd(struct crowd *c, int n)
{
	pid_t pid = 0;
	int i;

	c->n = n;
	c->tid = shared((unsigned long)n * sizeof(*c->tid));
	if (!c->tid)
		return fail("no shared memory", -ENOMEM);
	fflush(stdout);
	for (i = 0; i < n; i += PROCESS_THREADS) {
		int left = n - i;

		pid = fork();
		if (pid < 0)
			return fail("no process for threads", -errno);
		if (!pid)
			host(c->tid + i, left < PROCESS_THREADS ?
			     left : PROCESS_THREADS);
	}
	return wait_asleep(c, pid);
}
