// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * What eevdf-bpf does with the deadline or latency class of a hint: who asks for much
 * at once keeps the CPU long. Measured by what threads do in a turn, not in time, of
 * which an emulated guest has more or less as the host likes.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <ghost/ghost.h>

#include "kselftest_harness.h"
#include "gt.h"

#define POLICY		"/usr/bin/ghost-eevdf-bpf"
#define TIMEOUT		240		/* s */
#define TRIES		5		/* the host may disturb a single look */
#define TIMES		2		/* as much, at least; it is about 6 */
#define TURNS		20

/* A thread of the enclave, with a hint. */
struct thread {
	const struct ghost_hint *hint;
	pthread_t thread;
	int tid;
	bool stop;
	uint64_t rounds;
	long switches;			/* that it did not ask for */
};

FIXTURE(hints) {
	pid_t policy;
	char socket[32];
	char tasks[64];
	struct ghost_hints *hints;
};

FIXTURE_VARIANT(hints) {
	struct ghost_hint little, much;
};

FIXTURE_VARIANT_ADD(hints, latency) {
	.little = { .latency = GHOST_LATENCY_URGENT },
	.much = { .latency = GHOST_LATENCY_BATCH },
};

FIXTURE_VARIANT_ADD(hints, deadline) {
	.little = { .deadline_ns = 200000 },
	.much = { .deadline_ns = 30000000 },
};

/* Start the policy and wait until it says that it is ready. */
static int start_policy(FIXTURE_DATA(hints) *self)
{
	char cpu[8], line[128];
	unsigned long id = 0;
	int out[2];
	FILE *f;

	if (pipe(out))
		return -1;
	snprintf(cpu, sizeof(cpu), "%d", gt_ncpus() > 1);
	self->policy = fork();
	if (!self->policy) {
		dup2(out[1], STDOUT_FILENO);
		execl(POLICY, POLICY, "--cpus", cpu, "--hints", self->socket, NULL);
		_exit(127);
	}
	close(out[1]);
	f = fdopen(out[0], "r");
	while (f && !id && fgets(line, sizeof(line), f))
		sscanf(line, "ready enclave=%lu", &id);
	snprintf(self->tasks, sizeof(self->tasks), GT_ROOT "/enclave_%lu/tasks", id);
	return id ? 0 : -1;
}

FIXTURE_SETUP(hints)
{
	if (access(POLICY, X_OK))
		SKIP(return, "built without the policies in BPF");
	snprintf(self->socket, sizeof(self->socket), "/tmp/hints-%d", getpid());
	ASSERT_EQ(0, start_policy(self));
	ASSERT_EQ(0, ghost_hints_open(&self->hints, self->socket));
}

FIXTURE_TEARDOWN(hints)
{
	ghost_hints_close(self->hints);
	if (self->policy > 0) {
		kill(self->policy, SIGTERM);
		waitpid(self->policy, NULL, 0);
	}
}

static void *compute(void *arg)
{
	struct thread *t = arg;
	struct rusage u;

	__atomic_store_n(&t->tid, gettid(), __ATOMIC_RELEASE);
	while (!__atomic_load_n(&t->stop, __ATOMIC_RELAXED)) {
		__atomic_store_n(&t->rounds, t->rounds + 1, __ATOMIC_RELAXED);
		if (t->rounds % 1024)
			continue;
		getrusage(RUSAGE_THREAD, &u);
		__atomic_store_n(&t->switches, u.ru_nivcsw, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* In the enclave, and the policy has its hint. */
static int start(FIXTURE_DATA(hints) *self, struct thread *t)
{
	char tid[16];
	int ret;

	if (pthread_create(&t->thread, NULL, compute, t))
		return -1;
	if (!gt_wait_for(__atomic_load_n(&t->tid, __ATOMIC_ACQUIRE)))
		return -1;
	snprintf(tid, sizeof(tid), "%d", t->tid);
	ret = gt_write_file(self->tasks, tid);
	if (ret < 0)
		return ret;
	ret = ghost_hints_set(self->hints, t->tid, t->hint);
	if (ret)
		return ret;
	return gt_wait_for(!(ret = ghost_hints_result(self->hints, t->tid))) ? 0 : ret;
}

static void stop(struct thread *t)
{
	__atomic_store_n(&t->stop, true, __ATOMIC_RELAXED);
	if (t->thread)
		pthread_join(t->thread, NULL);
}

static long switches(struct thread *t)
{
	return __atomic_load_n(&t->switches, __ATOMIC_RELAXED);
}

/* Two threads with @hint share the CPU: rounds in a turn; 0: none was seen. */
static uint64_t turn(FIXTURE_DATA(hints) *self, const struct ghost_hint *hint)
{
	struct thread t = { .hint = hint }, u = { .hint = hint };
	uint64_t rounds = 0;
	long before = 0;

	if (!start(self, &t) && !start(self, &u)) {
		before = switches(&t);
		rounds = __atomic_load_n(&t.rounds, __ATOMIC_RELAXED);
		gt_wait_for(switches(&t) >= before + TURNS);
		rounds = __atomic_load_n(&t.rounds, __ATOMIC_RELAXED) - rounds;
		before = switches(&t) - before;
	}
	stop(&t);
	stop(&u);
	return before ? rounds / before : 0;
}

TEST_F_TIMEOUT(hints, turns, TIMEOUT)
{
	uint64_t little, much;
	bool longer = false;
	int i;

	for (i = 0; i < TRIES && !longer; i++) {
		little = turn(self, &variant->little);
		much = turn(self, &variant->much);
		longer = little && much > TIMES * little;
		TH_LOG("rounds: %llu and %llu", (unsigned long long)little,
		       (unsigned long long)much);
	}
	EXPECT_TRUE(longer);
}

TEST_HARNESS_MAIN
