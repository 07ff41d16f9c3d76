// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Timers, and the other messages about CPUs, on the real kernel. */
#define _GNU_SOURCE
#include "live.h"
#include "kselftest_harness.h"

FIXTURE(timer) {
	struct live l;
	struct ghost_timer *t;
};

FIXTURE_SETUP(timer)
{
	struct ghost_enclave_options o = { 0 };
	const char *why;
	int err = live_setup(&self->l, &o, 1, &why);

	if (err > 0)
		SKIP(return, "%s", why);
	ASSERT_EQ(err, 0) TH_LOG("%s", o.failed);
	ASSERT_EQ(ghost_timer_create(&self->t, self->l.e, 1), 0);
}

FIXTURE_TEARDOWN(timer)
{
	ghost_timer_close(self->t);
	live_teardown(&self->l);
}

static int64_t in_ms(int ms)
{
	return (live_ms() + ms) * 1000000;
}

/* A message about a CPU more than @before, in time. */
static bool told(struct live *l, int before)
{
	return live_wait(!live_read(l) && l->cpu_messages > before);
}

static bool quiet(struct live *l, int before)
{
	usleep(LIVE_QUIET_MS * 1000);
	return !live_read(l) && l->cpu_messages == before;
}

TEST_F(timer, sends_a_message)
{
	struct live *l = &self->l;
	uint64_t n = 0;

	EXPECT_EQ(ghost_timer_rearm(self->t, &n), -EAGAIN);
	ASSERT_EQ(ghost_timer_set(self->t, in_ms(20), 0, 0x1122334455667788,
				  0x99aabbccddeeff00), 0);
	ASSERT_TRUE(told(l, 0));
	EXPECT_STREQ(ghost_msg_name(l->last.type), "CPU_TIMER_EXPIRED");
	EXPECT_EQ(ghost_event_cpu(&l->last), 1);
	EXPECT_EQ(l->last.timer.cpu, 1);
	EXPECT_EQ(l->last.timer.type, 0x1122334455667788);
	EXPECT_EQ(l->last.timer.cookie, 0x99aabbccddeeff00);
	EXPECT_EQ(ghost_timer_rearm(self->t, &n), 0);
	EXPECT_EQ(n, 1);
	EXPECT_TRUE(quiet(l, 1));
}

TEST_F(timer, in_the_past_is_at_once)
{
	ASSERT_EQ(ghost_timer_set(self->t, 0, 0, 1, 2), 0);
	EXPECT_TRUE(told(&self->l, 0));
}

TEST_F(timer, goes_on_when_it_is_rearmed)
{
	struct live *l = &self->l;
	int i;

	ASSERT_EQ(ghost_timer_set(self->t, in_ms(10), 10000000, 7, 8), 0);
	for (i = 0; i < 3; i++) {
		ASSERT_TRUE(told(l, i));
		EXPECT_TRUE(quiet(l, i + 1));
		EXPECT_EQ(ghost_timer_rearm(self->t, NULL), 0);
	}
	EXPECT_EQ(ghost_timer_unset(self->t), 0);
}

TEST_F(timer, can_be_unset)
{
	ASSERT_EQ(ghost_timer_set(self->t, in_ms(900), 0, 1, 2), 0);
	EXPECT_EQ(ghost_timer_unset(self->t), 0);
	usleep(900000);
	EXPECT_TRUE(quiet(&self->l, 0));
}

TEST_F(timer, refused)
{
	struct ghost_timer *t;

	/* CPU 0 is in no enclave. */
	ASSERT_EQ(ghost_timer_create(&t, self->l.e, 0), 0);
	EXPECT_EQ(ghost_timer_set(t, in_ms(10), 0, 0, 0), -EINVAL);
	ghost_timer_close(t);
	EXPECT_EQ(ghost_timer_set(self->t, -1, 0, 0, 0), -EINVAL);
	EXPECT_EQ(ghost_timer_set(self->t, in_ms(10), -1, 0, 0), -EINVAL);
	EXPECT_TRUE(quiet(&self->l, 0));
}

static long set_from_agent(struct ghost_agent *agent, void *arg)
{
	return ghost_timer_set(arg, in_ms(10), 0, 3, 4);
}

TEST_F(timer, can_be_set_by_the_agent)
{
	EXPECT_EQ(live_call(&self->l, 0, set_from_agent, self->t), 0);
	EXPECT_TRUE(told(&self->l, 0));
}

/* ---- the other messages about CPUs ---- */

static long redirect(struct ghost_agent *agent, void *arg)
{
	return ghost_agent_set_queue(agent, arg);
}

TEST_F(timer, queue_of_the_cpu)
{
	struct live *l = &self->l;
	struct ghost_queue *q;
	struct ghost_event ev;
	int cpu = 1;

	ASSERT_EQ(ghost_queue_create(&q, l->e, 64, -1), 0);
	EXPECT_EQ(ghost_queue_set_wakeup(q, &cpu, 1), 0);
	EXPECT_EQ(live_call(l, 0, redirect, q), 0);
	ASSERT_EQ(ghost_timer_set(self->t, 0, 0, 1, 2), 0);
	EXPECT_TRUE(live_wait(ghost_queue_next(q, &ev)));
	EXPECT_EQ(ev.type, MSG_CPU_TIMER_EXPIRED);
	EXPECT_TRUE(quiet(l, 0));
	EXPECT_EQ(live_call(l, 0, redirect, l->q), 0);
	ASSERT_EQ(ghost_timer_set(self->t, 0, 0, 1, 2), 0);
	EXPECT_TRUE(told(l, 0));
	EXPECT_FALSE(ghost_queue_next(q, &ev));
	ghost_queue_close(q);
}

static long tell_agent(struct ghost_agent *agent, void *arg)
{
	struct ghost_agent **whose = arg;

	*whose = agent;
	return 0;
}

/* A normal thread that spins takes the CPU, and gives it back. */
TEST_F(timer, availability)
{
	struct live *l = &self->l;
	struct ghost_agent *agent;
	cpu_set_t one;
	int before;
	pid_t pid;

	ASSERT_EQ(live_call(l, 0, tell_agent, &agent), 0);
	EXPECT_TRUE(live_wait(ghost_agent_available(agent)));
	ASSERT_EQ(ghost_enclave_set_tunable(l->e, "deliver_cpu_availability",
					    1), 0);
	pid = fork();
	if (!pid) {
		CPU_ZERO(&one);
		CPU_SET(1, &one);
		sched_setaffinity(0, sizeof(one), &one);
		for (;;)
			;
	}
	EXPECT_TRUE(live_wait(!live_read(l) && l->last.type == MSG_CPU_BUSY));
	EXPECT_EQ(ghost_event_cpu(&l->last), 1);
	EXPECT_TRUE(live_wait(!ghost_agent_available(agent)));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	EXPECT_TRUE(live_wait(!live_read(l) &&
			      l->last.type == MSG_CPU_AVAILABLE));
	EXPECT_TRUE(live_wait(ghost_agent_available(agent)));
	before = l->cpu_messages;
	EXPECT_EQ(ghost_enclave_set_tunable(l->e, "deliver_cpu_availability",
					    0), 0);
	EXPECT_GT(before, 1);
}

static long block(struct ghost_agent *agent, void *arg)
{
	usleep(1000);
	return 0;
}

TEST_F(timer, agent_that_blocks)
{
	struct live *l = &self->l;
	struct ghost_event ev[2] = { { 0 } };
	int n = 0;

	ASSERT_EQ(ghost_enclave_set_tunable(l->e, "deliver_agent_runnability",
					    1), 0);
	EXPECT_EQ(live_call(l, 0, block, NULL), 0);
	EXPECT_TRUE(live_wait(ghost_queue_next(l->q, &ev[n]) && ++n == 2));
	EXPECT_STREQ(ghost_msg_name(ev[0].type), "CPU_AGENT_BLOCKED");
	EXPECT_STREQ(ghost_msg_name(ev[1].type), "CPU_AGENT_WAKEUP");
	EXPECT_EQ(ghost_event_cpu(&ev[1]), 1);
}

static long spin(struct ghost_agent *agent, void *arg)
{
	const bool *stop = arg;

	while (!__atomic_load_n(stop, __ATOMIC_RELAXED))
		;
	return 0;
}

TEST_F(timer, ticks)
{
	struct live *l = &self->l;
	bool stop = false;

	EXPECT_TRUE(quiet(l, 0));
	ASSERT_EQ(ghost_enclave_set_tunable(l->e, "deliver_ticks", 1), 0);
	live_post(l, 0, spin, &stop);
	EXPECT_TRUE(told(l, 3));
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	EXPECT_TRUE(live_wait(live_done(l, 0)));
	EXPECT_STREQ(ghost_msg_name(l->last.type), "CPU_TICK");
	EXPECT_EQ(l->last.tick.cpu, 1);
	EXPECT_EQ(l->last.tick.is_agent, 1);
}

TEST_HARNESS_MAIN
