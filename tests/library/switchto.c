// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* ghost_sys_switch_to() between threads of the normal scheduler. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <ghost/switchto.h>
#include "kselftest_harness.h"

#define ROUNDS	200

struct side {
	uint32_t turn;
	struct side *other;
	int rounds;
	int err;
};

static uint32_t over;

/* Give the turn away and wait to have it back. */
static void pass(struct side *s)
{
	int err;

	__atomic_store_n(&s->other->turn, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&s->turn, __ATOMIC_ACQUIRE)) {
		err = ghost_sys_switch_to(&s->turn, 0, &s->other->turn,
					  FUTEX_PRIVATE_FLAG, NULL);
		if (err && err != -EAGAIN && err != -EINTR) {
			s->err = err;
			return;
		}
	}
	__atomic_store_n(&s->turn, 0, __ATOMIC_RELEASE);
	s->rounds++;
}

static void *second(void *arg)
{
	struct side *s = arg;

	while (!__atomic_load_n(&s->turn, __ATOMIC_ACQUIRE))
		syscall(SYS_futex, &s->turn, FUTEX_WAIT_PRIVATE, 0, NULL);
	__atomic_store_n(&s->turn, 0, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE) && !s->err)
		pass(s);
	return NULL;
}

TEST(take_turns)
{
	struct side a = { 0 }, b = { 0 };
	pthread_t thread;

	if (ghost_sys_switch_to(&a.turn, 1, &b.turn, 0, NULL) == -ENOSYS)
		SKIP(return, "a kernel without CONFIG_GHOST_SWITCHTO");
	a.other = &b;
	b.other = &a;
	ASSERT_EQ(0, pthread_create(&thread, NULL, second, &b));
	while (a.rounds < ROUNDS && !a.err && !b.err)
		pass(&a);
	__atomic_store_n(&over, 1, __ATOMIC_RELEASE);
	__atomic_store_n(&b.turn, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, &b.turn, FUTEX_WAKE_PRIVATE, 1);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, a.err);
	EXPECT_EQ(0, b.err);
	EXPECT_EQ(ROUNDS, b.rounds);
}

TEST(errors)
{
	uint32_t self = 0, other = 0;
	struct timespec past = { 0 };

	if (ghost_sys_switch_to(&self, 1, &other, 0, NULL) == -ENOSYS)
		SKIP(return, "a kernel without CONFIG_GHOST_SWITCHTO");
	EXPECT_EQ(-EAGAIN, ghost_sys_switch_to(&self, 1, &other, 0, NULL));
	EXPECT_EQ(-ETIMEDOUT, ghost_sys_switch_to(&self, 0, &other, 0, &past));
	EXPECT_EQ(-EFAULT, ghost_sys_switch_to(NULL, 0, &other, 0, NULL));
	EXPECT_EQ(-EFAULT, ghost_sys_switch_to(&self, 0, NULL, 0, NULL));
}

TEST_HARNESS_MAIN
