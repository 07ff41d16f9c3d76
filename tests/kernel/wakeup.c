// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Which message wakes which agent. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"

static struct gt_agent agents[2];	/* of CPU 1 and 2 */

FIXTURE(wakeup) {
	struct gt_enclave e;
	struct gt_task t;
	bool gaps;		/* messages find no room on purpose */
};

FIXTURE_SETUP(wakeup)
{
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, gt_ncpus() > 2 ? "1-2" : "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->t));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_agent_start(&agents[0], &self->e, 1, -1));
}

FIXTURE_TEARDOWN(wakeup)
{
	gt_agent_stop(&agents[0]);
	gt_agent_stop(&agents[1]);
	gt_destroy(&self->e);
	gt_task_end(&self->t);
	if (!self->gaps)
		EXPECT_EQ(0, self->e.q.gaps);
	gt_enclave_close(&self->e);
}

static int renice(struct gt_task *t)
{
	int now = getpriority(PRIO_PROCESS, t->pid);

	return setpriority(PRIO_PROCESS, t->pid, !now) ? -errno : 0;
}

static int wake_list(struct gt_enclave *e, int qfd, int first, int second)
{
	struct ghost_agent_wakeup w[2] = { { first }, { second } };
	struct ghost_ioc_config_queue_wakeup list = {
		.qfd = qfd, .w = w, .ninfo = second < 0 ? 1 : 2,
	};
	int ret = gt_ioctl(e->ctl, GHOST_IOC_CONFIG_QUEUE_WAKEUP, &list);

	/* Installing it wakes: let that pass. */
	gt_sleep_ms(GT_QUIET_MS);
	return ret;
}

static int leave(struct gt_task *t)
{
	struct sched_param sp = { 0 };

	return sched_setscheduler(t->pid, SCHED_OTHER, &sp) ? -errno : 0;
}

/* Does what is done wake the parked agent, which shows in its barrier? */
#define EXPECT_WOKEN(a, act) do {					\
	uint32_t __at = gt_barrier((a)->sw);				\
									\
	act;								\
	EXPECT_TRUE(gt_wait_for(gt_barrier((a)->sw) == __at + 1));	\
} while (0)

#define EXPECT_NOT_WOKEN(a, act) do {					\
	uint32_t __at = gt_barrier((a)->sw);				\
									\
	act;								\
	gt_sleep_ms(GT_QUIET_MS);					\
	EXPECT_EQ(__at, gt_barrier((a)->sw));				\
} while (0)

TEST_F(wakeup, by_most_messages)
{
	ASSERT_EQ(0, wake_list(&self->e, self->e.q.fd, 1, -1));
	EXPECT_WOKEN(&agents[0], ASSERT_EQ(0, renice(&self->t)));
	EXPECT_WOKEN(&agents[0], gt_tell(&self->t, GT_SPIN));
	EXPECT_WOKEN(&agents[0], ASSERT_LT(0, gt_put(self->e.ctl,
						     "discover tasks")));
	EXPECT_WOKEN(&agents[0], ASSERT_EQ(0, leave(&self->t)));
}

TEST_F(wakeup, not_by_a_change_of_affinity)
{
	ASSERT_EQ(0, wake_list(&self->e, self->e.q.fd, 1, -1));
	EXPECT_NOT_WOKEN(&agents[0], ASSERT_EQ(0, gt_pin(self->t.pid, 0)));
	EXPECT_EQ(0, gt_next_type(&self->e.q, self->t.gtid,
				  MSG_TASK_AFFINITY_CHANGED, NULL));
}

static int fds[2];	/* of a pipe */

/* So long that it sleeps, though it may lose the CPU on its way to that. */
static long wait_for_time(long unused)
{
	return usleep(500000);
}

static long wait_for_pipe(long unused)
{
	char c;

	return read(fds[0], &c, 1);
}

static long wait_for_epoll(long epfd)
{
	struct epoll_event event;

	return epoll_wait(epfd, &event, 1, -1);
}

TEST_F(wakeup, deferrable_by_kind_of_wait)
{
	struct epoll_event event = { .events = EPOLLIN };
	struct {
		long (*fn)(long arg);
		int deferrable;
	} waits[] = {
		{ wait_for_time, 1 }, { wait_for_pipe, 0 }, { wait_for_epoll, 0 },
	};
	int epfd = epoll_create1(0);
	struct gt_task t = { 0 };
	struct gt_msg m;
	unsigned int i;

	ASSERT_EQ(0, pipe(fds));
	ASSERT_EQ(0, epoll_ctl(epfd, EPOLL_CTL_ADD, fds[0], &event));
	ASSERT_EQ(0, gt_task_start(&t));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &t, NULL));
	for (i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
		/* It waits for orders at a futex. */
		gt_tell_call(&t, waits[i].fn, epfd);
		ASSERT_EQ(0, gt_next_type(&self->e.q, t.gtid, MSG_TASK_WAKEUP,
					  &m));
		EXPECT_EQ(1, m.wakeup.deferrable) TH_LOG("futex, before %u", i);
		ASSERT_EQ(0, gt_drive(&agents[0], 1, &t, MSG_TASK_BLOCKED, NULL));
		if (waits[i].fn != wait_for_time)
			ASSERT_EQ(1, write(fds[1], "x", 1));
		ASSERT_EQ(0, gt_next_type(&self->e.q, t.gtid, MSG_TASK_WAKEUP,
					  &m));
		EXPECT_EQ(waits[i].deferrable, m.wakeup.deferrable)
			TH_LOG("wait %u", i);
		ASSERT_EQ(0, gt_drive(&agents[0], 1, &t, MSG_TASK_BLOCKED, NULL));
	}
	ASSERT_EQ(0, leave(&t));
	gt_task_end(&t);
	close(epfd);
	close(fds[0]);
	close(fds[1]);
}

TEST_F(wakeup, deferrable_of_a_sleeper_that_joins)
{
	struct gt_msg m;

	gt_tell(&self->t, GT_BLOCK);
	ASSERT_EQ(0, gt_next_type(&self->e.q, self->t.gtid, MSG_TASK_WAKEUP, &m));
	EXPECT_EQ(1, m.wakeup.deferrable);
}

TEST_F(wakeup, not_without_a_list)
{
	EXPECT_NOT_WOKEN(&agents[0], ASSERT_EQ(0, renice(&self->t)));
	EXPECT_EQ(0, gt_next_type(&self->e.q, self->t.gtid,
				  MSG_TASK_PRIORITY_CHANGED, NULL));
}

/* The message is lost, the wake-up is not; but nobody is told of a departure. */
TEST_F(wakeup, undelivered)
{
	struct gt_queue q;

	self->gaps = true;
	ASSERT_EQ(0, gt_queue_create(self->e.ctl, 1, &q));
	ASSERT_EQ(0, gt_assoc(&self->e, q.fd, self->t.gtid, 1));
	ASSERT_EQ(0, wake_list(&self->e, q.fd, 1, -1));
	EXPECT_WOKEN(&agents[0], ASSERT_EQ(0, renice(&self->t)));
	EXPECT_EQ(1, q.ring->overflow);
	EXPECT_NOT_WOKEN(&agents[0], ASSERT_EQ(0, leave(&self->t)));
	EXPECT_EQ(2, q.ring->overflow);
	gt_queue_close(&q);
}

TEST_F(wakeup, agent_of_the_tasks_cpu_or_the_first)
{
	if (gt_ncpus() < 3)
		SKIP(return, "two agents need 3 CPUs");
	ASSERT_EQ(0, gt_agent_start(&agents[1], &self->e, 2, -1));
	/* The task is queued on CPU 0, which no list names. */
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_pin(self->t.pid, 0));
	ASSERT_EQ(0, wake_list(&self->e, self->e.q.fd, 2, 1));
	EXPECT_WOKEN(&agents[1], ASSERT_EQ(0, renice(&self->t)));
	ASSERT_EQ(0, wake_list(&self->e, self->e.q.fd, 1, 2));
	EXPECT_WOKEN(&agents[0], ASSERT_EQ(0, renice(&self->t)));
	EXPECT_NOT_WOKEN(&agents[1], ASSERT_EQ(0, renice(&self->t)));
	/* It runs on CPU 2, which is named second. */
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agents[1], 2, &self->t, 0));
	ASSERT_TRUE(gt_runs(&agents[1], 2, &self->t));
	EXPECT_NOT_WOKEN(&agents[0], ASSERT_EQ(0, renice(&self->t)));
	EXPECT_EQ(0, gt_next_type(&self->e.q, self->t.gtid, MSG_TASK_PREEMPT,
				  NULL)) TH_LOG("its agent was not woken");
}

/* Not only the last: section 14.15. */
TEST_F(wakeup, new_list_wakes_everybody_on_it)
{
	struct ghost_agent_wakeup w[2] = { { 1 }, { 2 } };
	struct ghost_ioc_config_queue_wakeup list = {
		.qfd = self->e.q.fd, .w = w, .ninfo = 2,
	};
	uint32_t at[2];

	if (gt_ncpus() < 3)
		SKIP(return, "two agents need 3 CPUs");
	ASSERT_EQ(0, gt_agent_start(&agents[1], &self->e, 2, -1));
	gt_sleep_ms(GT_QUIET_MS);
	at[0] = gt_barrier(agents[0].sw);
	at[1] = gt_barrier(agents[1].sw);
	ASSERT_EQ(0, gt_ioctl(self->e.ctl, GHOST_IOC_CONFIG_QUEUE_WAKEUP,
			      &list));
	EXPECT_TRUE(gt_wait_for(gt_barrier(agents[0].sw) == at[0] + 1));
	EXPECT_TRUE(gt_wait_for(gt_barrier(agents[1].sw) == at[1] + 1));
}

TEST_F(wakeup, list_of_a_foreign_queue)
{
	struct gt_enclave other;
	struct gt_queue q;

	ASSERT_EQ(0, gt_enclave_bare(&other));
	ASSERT_EQ(0, gt_queue_create(other.ctl, 64, &q));
	EXPECT_GT(0, wake_list(&self->e, q.fd, 1, -1));
	/* Of its own enclave it is, and does not reach our agent. */
	EXPECT_NOT_WOKEN(&agents[0], ASSERT_EQ(0, wake_list(&other, q.fd, 1, -1)));
	gt_queue_close(&q);
	gt_destroy(&other);
	gt_enclave_close(&other);
}

TEST_HARNESS_MAIN
