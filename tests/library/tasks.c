// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* The task table: any event in any state, as after a ring overflow. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "fake.h"
#include "kselftest_harness.h"

#define GTID(n) (((int64_t)(n) << GHOST_GTID_SEQNUM_BITS) | (n))

FIXTURE(table) {
	struct fake fake;
	struct ghost_enclave *e;
	struct ghost_tasks *t;
};

FIXTURE_SETUP(table)
{
	ASSERT_EQ(fake_setup(&self->fake), 0);
	ASSERT_EQ(ghost_enclave_open(&self->e, self->fake.root, FAKE_ID), 0);
	ASSERT_EQ(ghost_tasks_create(&self->t, self->e, 16), 0);
}

FIXTURE_TEARDOWN(table)
{
	ghost_tasks_destroy(self->t);
	ghost_enclave_close(self->e);
	fake_teardown(&self->fake);
}

static struct ghost_event event(uint16_t type, int64_t gtid, uint32_t seq)
{
	struct ghost_event ev = { .type = type, .seqnum = seq };

	ev.gtid = (uint64_t)gtid;
	if (type == MSG_TASK_NEW)
		ev.task_new.runnable = 1;
	return ev;
}

static int apply(struct ghost_tasks *t, uint16_t type, int64_t gtid,
		 uint32_t seq, struct ghost_task **task)
{
	struct ghost_event ev = event(type, gtid, seq);

	return ghost_tasks_apply(t, &ev, task);
}

TEST_F(table, life_of_a_task)
{
	struct ghost_task *task;

	ASSERT_EQ(apply(self->t, MSG_TASK_NEW, GTID(5), 1, &task), 0);
	EXPECT_EQ(task->gtid, GTID(5));
	EXPECT_EQ(task->state, GHOST_TASK_RUNNABLE);
	EXPECT_EQ(task->barrier, 1);
	EXPECT_EQ(apply(self->t, MSG_TASK_BLOCKED, GTID(5), 2, &task), 0);
	EXPECT_EQ(task->state, GHOST_TASK_BLOCKED);
	EXPECT_EQ(apply(self->t, MSG_TASK_WAKEUP, GTID(5), 3, &task), 0);
	EXPECT_EQ(task->state, GHOST_TASK_RUNNABLE);
	task->state = GHOST_TASK_ON_CPU;
	EXPECT_EQ(apply(self->t, MSG_TASK_AFFINITY_CHANGED, GTID(5), 4, &task),
		  0);
	EXPECT_EQ(task->state, GHOST_TASK_ON_CPU);
	EXPECT_EQ(task->barrier, 4);
	EXPECT_EQ(apply(self->t, MSG_TASK_YIELD, GTID(5), 5, &task), 0);
	EXPECT_EQ(task->state, GHOST_TASK_RUNNABLE);
	EXPECT_EQ(apply(self->t, MSG_TASK_DEAD, GTID(5), 6, &task), 0);
	EXPECT_EQ(task->state, GHOST_TASK_GONE);
	EXPECT_EQ(ghost_tasks_count(self->t), 1);
	ghost_tasks_forget(self->t, task);
	EXPECT_EQ(ghost_tasks_count(self->t), 0);
	EXPECT_EQ(ghost_tasks_find(self->t, GTID(5)), NULL);
}

TEST_F(table, every_event_in_every_state)
{
	static const struct {
		uint16_t type;
		enum ghost_task_state after;
	} kinds[] = {
		{ MSG_TASK_NEW, GHOST_TASK_RUNNABLE },
		{ MSG_TASK_WAKEUP, GHOST_TASK_RUNNABLE },
		{ MSG_TASK_PREEMPT, GHOST_TASK_RUNNABLE },
		{ MSG_TASK_YIELD, GHOST_TASK_RUNNABLE },
		{ MSG_TASK_BLOCKED, GHOST_TASK_BLOCKED },
		{ MSG_TASK_ON_CPU, GHOST_TASK_ON_CPU },
		{ MSG_TASK_DEPARTED, GHOST_TASK_GONE },
		{ MSG_TASK_DEAD, GHOST_TASK_GONE },
	};
	int n = sizeof(kinds) / sizeof(kinds[0]), i, j;
	struct ghost_task *task;
	uint32_t seq = 0;

	for (i = 0; i < n; i++)
		for (j = 0; j < n; j++) {
			ASSERT_EQ(apply(self->t, kinds[i].type, GTID(9), ++seq,
					&task), 0);
			ASSERT_EQ(apply(self->t, kinds[j].type, GTID(9), ++seq,
					&task), 0);
			ASSERT_EQ(task->state, kinds[j].after);
			/* Twice the same is the same. */
			ASSERT_EQ(apply(self->t, kinds[j].type, GTID(9), seq,
					&task), 0);
			ASSERT_EQ(task->state, kinds[j].after);
		}
	EXPECT_EQ(ghost_tasks_count(self->t), 1);
}

TEST_F(table, older_news_change_nothing)
{
	struct ghost_task *task;

	ASSERT_EQ(apply(self->t, MSG_TASK_WAKEUP, GTID(3), 1, &task), 0);
	EXPECT_EQ(apply(self->t, MSG_TASK_BLOCKED, GTID(3), 0, &task), -ESTALE);
	EXPECT_EQ(task->state, GHOST_TASK_RUNNABLE);
	EXPECT_EQ(task->barrier, 1);
	EXPECT_EQ(apply(self->t, MSG_TASK_BLOCKED, GTID(3), UINT32_MAX, &task),
		  -ESTALE);
	EXPECT_EQ(apply(self->t, MSG_TASK_BLOCKED, GTID(3), 2, &task), 0);
	EXPECT_EQ(task->state, GHOST_TASK_BLOCKED);
}

TEST_F(table, last_cpu)
{
	struct ghost_event ev = event(MSG_TASK_PREEMPT, GTID(4), 1);
	struct ghost_task *task;

	ev.preempt.cpu = 5;
	ASSERT_EQ(ghost_tasks_apply(self->t, &ev, &task), 0);
	EXPECT_EQ(task->last_cpu, 5);
	ev = event(MSG_TASK_WAKEUP, GTID(4), 2);
	ev.wakeup.wake_up_cpu = 2;
	ev.wakeup.waker_cpu = 7;
	ASSERT_EQ(ghost_tasks_apply(self->t, &ev, &task), 0);
	EXPECT_EQ(task->last_cpu, 2);
	ASSERT_EQ(apply(self->t, MSG_TASK_PRIORITY_CHANGED, GTID(4), 3, &task),
		  0);
	EXPECT_EQ(task->last_cpu, 2);
}

TEST_F(table, cpu_messages_are_about_no_task)
{
	struct ghost_task *task = (void *)1;

	EXPECT_EQ(apply(self->t, MSG_CPU_TICK, GTID(4), 1, &task), 0);
	EXPECT_EQ(task, NULL);
	EXPECT_EQ(ghost_tasks_count(self->t), 0);
}

TEST_F(table, finds_the_word_of_a_task_that_was_never_announced)
{
	struct ghost_task *task;

	fake_sw(&self->fake, 11)->gtid = (uint64_t)GTID(6);
	ASSERT_EQ(apply(self->t, MSG_TASK_WAKEUP, GTID(6), 1, &task), 0);
	EXPECT_EQ(task->sw.id, 0);
	EXPECT_EQ(task->sw.index, 11);
	ASSERT_EQ(apply(self->t, MSG_TASK_WAKEUP, GTID(8), 1, &task), 0);
	EXPECT_EQ(task->sw.id, GHOST_NO_SW);
}

TEST_F(table, stale_commits_tell_from_vanished_tasks)
{
	struct ghost_event ev = event(MSG_TASK_NEW, GTID(2), 3);
	struct ghost_status_word *sw = fake_sw(&self->fake, 1);
	struct ghost_task *task;

	sw->gtid = (uint64_t)GTID(2);
	sw->barrier = 3;
	ev.task_new.sw_info.index = 1;
	ASSERT_EQ(ghost_tasks_apply(self->t, &ev, &task), 0);
	EXPECT_TRUE(ghost_tasks_current(self->t, task));
	EXPECT_FALSE(ghost_tasks_vanished(self->t, task));
	sw->barrier = 4;
	EXPECT_FALSE(ghost_tasks_current(self->t, task));
	EXPECT_FALSE(ghost_tasks_vanished(self->t, task));
	memset(sw, 0, sizeof(*sw));
	EXPECT_FALSE(ghost_tasks_current(self->t, task));
	EXPECT_TRUE(ghost_tasks_vanished(self->t, task));
}

/* TARGET_STALE: a message is on its way, or the CPU was the wrong one. */
TEST_F(table, stale_commits_are_tried_on_the_last_cpu)
{
	struct ghost_event ev = event(MSG_TASK_NEW, GTID(2), 3);
	struct ghost_status_word *sw = fake_sw(&self->fake, 1);
	struct ghost_task *task;

	sw->gtid = (uint64_t)GTID(2);
	sw->barrier = 3;
	ev.task_new.sw_info.index = 1;
	ASSERT_EQ(ghost_tasks_apply(self->t, &ev, &task), 0);
	EXPECT_EQ(ghost_tasks_retry_cpu(self->t, task), -1);
	ev = event(MSG_TASK_PREEMPT, GTID(2), 4);
	ev.preempt.cpu = 5;
	ASSERT_EQ(ghost_tasks_apply(self->t, &ev, &task), 0);
	EXPECT_EQ(ghost_tasks_retry_cpu(self->t, task), -1);
	sw->barrier = 4;
	EXPECT_EQ(ghost_tasks_retry_cpu(self->t, task), 5);
	sw->barrier = 5;
	EXPECT_EQ(ghost_tasks_retry_cpu(self->t, task), -1);
	memset(sw, 0, sizeof(*sw));
	EXPECT_EQ(ghost_tasks_retry_cpu(self->t, task), -1);
}

TEST_F(table, a_queue_needs_the_kernel)
{
	struct ghost_queue *q = NULL;

	EXPECT_EQ(ghost_queue_create(&q, self->e, 16, 1), -ENOTTY);
	EXPECT_EQ(q, NULL);
}

TEST_F(table, thousands)
{
	struct ghost_task *task;
	int i, seen = 0;

	for (i = 1; i <= 5000; i++) {
		ASSERT_EQ(apply(self->t, MSG_TASK_NEW, GTID(i), 1, &task), 0);
		memcpy(ghost_task_data(task), &i, sizeof(i));
	}
	EXPECT_EQ(ghost_tasks_count(self->t), 5000);
	for (task = ghost_tasks_next(self->t, NULL); task;
	     task = ghost_tasks_next(self->t, task)) {
		int n;

		memcpy(&n, ghost_task_data(task), sizeof(n));
		ASSERT_EQ(task->gtid, GTID(n));
		seen++;
	}
	EXPECT_EQ(seen, 5000);
	for (i = 1; i <= 5000; i++)
		ghost_tasks_forget(self->t, ghost_tasks_find(self->t, GTID(i)));
	EXPECT_EQ(ghost_tasks_count(self->t), 0);
	EXPECT_EQ(ghost_tasks_next(self->t, NULL), NULL);
}

TEST(affinity_of_this_thread)
{
	unsigned long mask[128];
	int64_t self_gtid = ((int64_t)gettid() << GHOST_GTID_SEQNUM_BITS) | 1;
	cpu_set_t set;
	int cpu;

	ASSERT_EQ(sched_getaffinity(0, sizeof(set), &set), 0);
	ASSERT_EQ(ghost_task_affinity(self_gtid, mask, sizeof(mask)), 0);
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		EXPECT_EQ(!!CPU_ISSET(cpu, &set),
			  mask[cpu / 64] >> (cpu % 64) & 1);
	EXPECT_EQ(ghost_task_affinity(GTID(4194303), mask, sizeof(mask)),
		  -ESRCH);
}

TEST_HARNESS_MAIN
