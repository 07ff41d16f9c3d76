// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* FUTEX_SWITCHTO as a system call: arguments, errors, signals. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"

#ifndef FUTEX_SWITCHTO
#define FUTEX_SWITCHTO	71
#endif

#define load(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)

static long futex(uint32_t *word, int op, uint32_t value,
		  const struct timespec *to, uint32_t *word2, uint32_t value3)
{
	long ret = syscall(SYS_futex, word, op, value, to, word2, value3);

	return ret < 0 ? -errno : ret;
}

/* Is the kernel built with it? */
static bool have_switchto(void)
{
	uint32_t word = 0;

	return futex(&word, FUTEX_SWITCHTO, 1, NULL, &word, 0) != -ENOSYS;
}

static struct timespec in_ms(int64_t ms)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += ms / 1000;
	ts.tv_nsec += ms % 1000 * 1000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000;
	}
	return ts;
}

TEST(named_in_features)
{
	struct gt_enclave e;
	char buf[1024];

	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_bare(&e));
	ASSERT_LT(0, gt_file_get(&e, "features", buf, sizeof(buf)));
	EXPECT_EQ(have_switchto(), !!strstr(buf, "switchto\n"));
	gt_destroy(&e);
	gt_enclave_close(&e);
}

/* Where nothing else is said: a futex that holds 0 and nobody waits for. */
static uint32_t *word;

static void do_nothing(int sig)
{
}

static long wait_at_word1(long arg)
{
	return futex(&word[1], FUTEX_WAIT, 0, NULL, NULL, 0);
}

static long lock_pi_word1(long arg)
{
	return futex(&word[1], FUTEX_LOCK_PI, 0, NULL, NULL, 0);
}

TEST(bad_calls)
{
	struct timespec now = in_ms(0), bad = { 0, 2000000000 };
	struct gt_task t = { 0 };
	uint32_t *none, *ro;

	if (!have_switchto())
		SKIP(return, "a kernel without CONFIG_GHOST_SWITCHTO");
	word = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	none = mmap(NULL, 4096, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ro = mmap(NULL, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, word);
	ASSERT_NE(MAP_FAILED, none);
	ASSERT_NE(MAP_FAILED, ro);
	ASSERT_EQ(0, gt_task_start(&t));
	gt_tell_call(&t, wait_at_word1, 0);
	ASSERT_TRUE(gt_asleep(&t));

#define CALL(w, op, value, to, w2, v3) \
	futex((void *)(w), FUTEX_SWITCHTO | (op), value, to, (void *)(w2), v3)
	EXPECT_EQ(-EAGAIN, CALL(word, 0, 1, NULL, word + 1, 0));
	EXPECT_EQ(-EAGAIN, CALL(word, FUTEX_PRIVATE_FLAG, 1, NULL, word + 1, 0));
	EXPECT_EQ(-EINVAL, CALL((char *)word + 2, 0, 0, NULL, word + 1, 0));
	EXPECT_EQ(-EINVAL, CALL(word, 0, 0, NULL, (char *)word + 2, 0));
	EXPECT_EQ(-EFAULT, CALL(none, 0, 0, NULL, word + 1, 0));
	EXPECT_EQ(-EFAULT, CALL(none, FUTEX_PRIVATE_FLAG, 0, NULL, word + 1, 0));
	EXPECT_EQ(-EFAULT, CALL(NULL, 0, 0, NULL, word + 1, 0));
	EXPECT_EQ(-EFAULT, CALL(word, 0, 0, NULL, none, 0));
	EXPECT_EQ(-EFAULT, CALL(word, 0, 0, NULL, NULL, 0));
	EXPECT_EQ(-EFAULT, CALL(word, 0, 0, NULL, -4096L, 0));
	EXPECT_EQ(-EFAULT, CALL(-4096L, 0, 0, NULL, word + 1, 0));
	EXPECT_EQ(-EFAULT, CALL(word, 0, 0, (void *)none, word + 1, 0));
	EXPECT_EQ(-EINVAL, CALL(word, 0, 0, NULL, word + 1, 1));
	EXPECT_EQ(-EINVAL, CALL(word, 0, 0, &bad, word + 1, 0));
	EXPECT_EQ(-ENOSYS, CALL(word, FUTEX_CLOCK_REALTIME, 0, NULL, word + 1, 0));
	EXPECT_EQ('S', gt_proc_state(t.pid));
	EXPECT_NE(t.ctl->done, t.ctl->seq) TH_LOG("an error has woken it");

	/* Nobody waits for what is only read, which is no error. */
	EXPECT_EQ(-ETIMEDOUT, CALL(word, 0, 0, &now, ro, 0));
	/* A wait that is over already wakes nevertheless. */
	EXPECT_EQ(-ETIMEDOUT, CALL(word, 0, 0, &now, word + 1, 0));
	EXPECT_TRUE(gt_wait_for(t.ctl->done == t.ctl->seq));
	/* Who waits for itself is woken by itself. */
	EXPECT_EQ(0, CALL(word, 0, 0, NULL, word, 0));

	/* Who waits for a lock with priority inheritance is not for this. */
	store(&word[1], gettid());
	gt_tell_call(&t, lock_pi_word1, 0);
	ASSERT_TRUE(gt_wait_for(load(&word[1]) & FUTEX_WAITERS));
	EXPECT_EQ(-EINVAL, CALL(word, 0, 0, NULL, word + 1, 0));
	EXPECT_EQ(0, futex(word, FUTEX_WAKE, 1, NULL, NULL, 0))
		TH_LOG("the caller is still queued");
	EXPECT_EQ(0, futex(&word[1], FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
	EXPECT_TRUE(gt_wait_for(t.ctl->done == t.ctl->seq));
	gt_task_end(&t);
}

TEST(private_futex)
{
	static uint32_t own[2];

	if (!have_switchto())
		SKIP(return, "a kernel without CONFIG_GHOST_SWITCHTO");
	EXPECT_EQ(-EAGAIN, futex(&own[0], FUTEX_SWITCHTO | FUTEX_PRIVATE_FLAG,
				 1, NULL, &own[1], 0));
	EXPECT_EQ(0, futex(&own[0], FUTEX_SWITCHTO | FUTEX_PRIVATE_FLAG,
			   0, NULL, &own[0], 0));
}

/* A handled signal ends the wait; the wake-up has been. */
TEST(signal_is_handled)
{
	struct sigaction sa = { .sa_handler = do_nothing, .sa_flags = SA_RESTART };
	int state;
	pid_t pid;

	if (!have_switchto())
		SKIP(return, "a kernel without CONFIG_GHOST_SWITCHTO");
	word = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, word);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		sigaction(SIGUSR1, &sa, NULL);
		_exit(futex(&word[0], FUTEX_SWITCHTO, 0, NULL, &word[1], 0) ==
		      -EINTR ? 0 : 1);
	}
	ASSERT_TRUE(gt_wait_for(gt_proc_state(pid) == 'S'));
	kill(pid, SIGUSR1);
	ASSERT_EQ(pid, waitpid(pid, &state, 0));
	EXPECT_EQ(0, state);
}

/* Stopped and continued, with and without a timeout, it does not wake again. */
TEST(stop_restarts_the_wait_only)
{
	struct timespec long_time = in_ms(60000);
	struct gt_task t[2] = { };
	int state, round, i;
	pid_t pid;

	if (!have_switchto())
		SKIP(return, "a kernel without CONFIG_GHOST_SWITCHTO");
	word = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, word);
	for (round = 0; round < 2; round++) {
		for (i = 0; i < 2; i++) {
			ASSERT_EQ(0, gt_task_start(&t[i]));
			gt_tell_call(&t[i], wait_at_word1, 0);
			ASSERT_TRUE(gt_asleep(&t[i]));
		}
		store(&word[0], 0);
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid)
			_exit(-futex(&word[0], FUTEX_SWITCHTO, 0,
				     round ? &long_time : NULL, &word[1], 0));
		ASSERT_TRUE(gt_wait_for(t[0].ctl->done == t[0].ctl->seq));
		for (i = 0; i < 3; i++) {
			ASSERT_TRUE(gt_wait_for(gt_proc_state(pid) == 'S'));
			kill(pid, SIGSTOP);
			ASSERT_TRUE(gt_wait_for(gt_proc_state(pid) == 'T'));
			kill(pid, SIGCONT);
		}
		ASSERT_TRUE(gt_wait_for(gt_proc_state(pid) == 'S'));
		EXPECT_NE(t[1].ctl->done, t[1].ctl->seq)
			TH_LOG("woken by the restart");
		EXPECT_EQ(1, futex(&word[0], FUTEX_WAKE, 1, NULL, NULL, 0));
		ASSERT_EQ(pid, waitpid(pid, &state, 0));
		EXPECT_EQ(0, state);
		gt_task_end(&t[0]);
		gt_task_end(&t[1]);
	}
}

TEST_HARNESS_MAIN
