// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Messages of one CPU: their order, their numbers, and whom they wake. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"

#define load(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)

static struct gt_agent agent;		/* of CPU 1 */

FIXTURE(msg_order) {
	struct gt_enclave e;
	struct gt_task a, b, cfs;
	bool gaps;		/* messages find no room on purpose */
};

FIXTURE_SETUP(msg_order)
{
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->a));
	ASSERT_EQ(0, gt_task_start(&self->b));
	ASSERT_EQ(0, gt_task_start(&self->cfs));
	ASSERT_EQ(0, gt_pin(self->cfs.pid, 1));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->a, NULL));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->b, NULL));
}

FIXTURE_TEARDOWN(msg_order)
{
	gt_task_end(&self->cfs);
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	gt_task_end(&self->a);
	gt_task_end(&self->b);
	if (!self->gaps)
		EXPECT_EQ(0, self->e.q.gaps);
	gt_enclave_close(&self->e);
}

static int wake_list(struct gt_enclave *e, int qfd)
{
	struct ghost_agent_wakeup w = { .cpu = 1 };
	struct ghost_ioc_config_queue_wakeup list = {
		.qfd = qfd, .w = &w, .ninfo = 1,
	};
	int ret = gt_ioctl(e->ctl, GHOST_IOC_CONFIG_QUEUE_WAKEUP, &list);

	/* Installing it wakes: let that pass. */
	gt_sleep_ms(GT_QUIET_MS);
	return ret;
}

/* Number in the log of the message of @gtid of @type, -1: none. */
static int find(struct gt_queue *q, uint64_t gtid, int type)
{
	int i;

	gt_queue_consume(q);
	for (i = q->logged - 1; i >= 0; i--)
		if (q->log[i].type == type &&
		    (gtid == GT_ANY || q->log[i].gtid == gtid))
			return i;
	return -1;
}

static int times_on_cpu(struct gt_queue *q)
{
	int i, n = 0;

	gt_queue_consume(q);
	for (i = 0; i < q->logged; i++)
		n += q->log[i].type == MSG_TASK_ON_CPU;
	return n;
}

/* b replaces a: what a had to tell comes first, and calls nobody here. */
TEST_F(msg_order, on_cpu_comes_last)
{
	struct gt_queue *q = &self->e.q, qb;
	int gone, here, i, state = GHOST_TXN_READY;
	uint32_t barrier = 0;
	uint64_t turns;

	ASSERT_EQ(0, gt_queue_create(self->e.ctl, 256, &qb));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->a, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->b, NULL));
	ASSERT_EQ(0, gt_assoc(&self->e, qb.fd, self->b.gtid,
			      gt_barrier(gt_sw(&self->e, self->b.gtid))));
	ASSERT_EQ(0, wake_list(&self->e, qb.fd));
	for (i = 0; i < 20; i++) {
		ASSERT_EQ(GHOST_TXN_COMPLETE,
			  gt_schedule(&agent, 1, &self->a, 0));
		ASSERT_TRUE(gt_runs(&agent, 1, &self->a));
		barrier = gt_barrier(agent.sw);
		gt_txn_fill(&self->e, 1, &(struct gt_txn){
			.gtid = self->b.gtid,
			.task_barrier = gt_barrier(gt_sw(&self->e, self->b.gtid)),
			.run_flags = SEND_TASK_ON_CPU,
			.commit_flags = ELIDE_AGENT_BARRIER_INC,
		});
		ASSERT_EQ(0, gt_txn_ioctl(&self->e, 2));
		state = gt_txn_wait(&self->e, 1);
		if (state == GHOST_TXN_COMPLETE &&
		    gt_wait_for(times_on_cpu(&qb)))
			break;
	}
	ASSERT_STATE(GHOST_TXN_COMPLETE, state);
	here = find(&qb, self->b.gtid, MSG_TASK_ON_CPU);
	gone = find(q, self->a.gtid, MSG_TASK_PREEMPT);
	ASSERT_LE(0, here);
	ASSERT_LE(0, gone);
	EXPECT_LT(q->log[gone].preempt.cpu_seqnum, qb.log[here].on_cpu.cpu_seqnum);
	gt_sleep_ms(GT_QUIET_MS);
	if (find(&qb, self->b.gtid, MSG_TASK_PREEMPT) < here)
		EXPECT_EQ(barrier, gt_barrier(agent.sw));
	/* Told once: the next turn of b was not asked for. */
	turns = self->b.ctl->count;
	EXPECT_TRUE(gt_wait_for((gt_schedule(&agent, 1, &self->b, 0),
				 self->b.ctl->count != turns)));
	EXPECT_EQ(1, times_on_cpu(&qb));
	gt_queue_close(&qb);
}

/* Of all messages that have one, in the order in which they came. */
static bool cpu_seqnum(const struct gt_msg *m, uint64_t *seqnum)
{
	switch (m->type) {
	case MSG_TASK_BLOCKED:
		*seqnum = m->blocked.cpu_seqnum;
		return m->blocked.cpu == 1;
	case MSG_TASK_PREEMPT:
		*seqnum = m->preempt.cpu_seqnum;
		return m->preempt.cpu == 1;
	case MSG_TASK_YIELD:
		*seqnum = m->yield.cpu_seqnum;
		return m->yield.cpu == 1;
	case MSG_TASK_DEPARTED:
		*seqnum = m->departed.cpu_seqnum;
		return m->departed.cpu == 1;
	case MSG_TASK_ON_CPU:
		*seqnum = m->on_cpu.cpu_seqnum;
		return m->on_cpu.cpu == 1;
	}
	return false;
}

TEST_F(msg_order, cpu_seqnum_orders)
{
	struct sched_param sp = { 0 };
	uint64_t last = 0, now;
	int i, seen = 0;

	for (i = 0; i < 5; i++) {
		gt_tell(&self->a, GT_YIELD);
		gt_tell(&self->b, GT_BLOCK);
		ASSERT_EQ(0, gt_drive(&agent, 1, &self->a, MSG_TASK_YIELD, NULL));
		ASSERT_EQ(0, gt_drive(&agent, 1, &self->b, MSG_TASK_BLOCKED,
				      NULL));
		gt_schedule(&agent, 1, &self->a, SEND_TASK_ON_CPU);
		gt_tell(&self->a, GT_BLOCK);
		ASSERT_EQ(0, gt_drive(&agent, 1, &self->a, MSG_TASK_BLOCKED,
				      NULL));
	}
	ASSERT_EQ(0, sched_setscheduler(self->a.pid, SCHED_OTHER, &sp));
	gt_queue_consume(&self->e.q);
	for (i = 0; i < self->e.q.logged; i++) {
		if (!cpu_seqnum(&self->e.q.log[i], &now))
			continue;
		EXPECT_LT(last, now)
			TH_LOG("%s", gt_msg_name(self->e.q.log[i].type));
		last = now;
		seen++;
	}
	EXPECT_LE(16, seen);
	/* The same count is in the transactions. */
	EXPECT_LT(0, self->e.cpu[1].txn.cpu_seqnum);
	EXPECT_GE(last, self->e.cpu[1].txn.cpu_seqnum);
}

TEST_F(msg_order, cpu_seqnum_outlives_the_enclave)
{
	struct sched_param sp = { 0 };
	struct ghost_sw_info info;
	struct gt_enclave next;
	struct gt_msg m;
	uint64_t before;

	gt_tell(&self->a, GT_BLOCK);
	ASSERT_EQ(0, gt_drive(&agent, 1, &self->a, MSG_TASK_BLOCKED, &m));
	before = m.blocked.cpu_seqnum;
	ASSERT_EQ(0, gt_sw_info(&self->e, GHOST_TASK, self->a.gtid, &info));
	ASSERT_EQ(0, sched_setscheduler(self->a.pid, SCHED_OTHER, &sp));
	ASSERT_EQ(0, gt_sw_free(&self->e, info));
	ASSERT_EQ(0, gt_agent_stop(&agent));
	ASSERT_EQ(0, gt_destroy(&self->e));
	ASSERT_EQ(0, gt_enclave_create(&next, "1")) TH_LOG("%s", next.step);
	ASSERT_EQ(0, gt_agent_start(&agent, &next, 1, -1));
	ASSERT_EQ(0, gt_join_asleep(&next, &self->a, NULL));
	gt_tell(&self->a, GT_BLOCK);
	ASSERT_EQ(0, gt_drive(&agent, 1, &self->a, MSG_TASK_BLOCKED, &m));
	EXPECT_LT(before, m.blocked.cpu_seqnum);
	ASSERT_EQ(0, gt_agent_stop(&agent));
	ASSERT_EQ(0, gt_destroy(&next));
	gt_enclave_close(&next);
}

/* Latched beside a thread of another class, which comes at the same time. */
TEST_F(msg_order, cfs_takes_the_latch)
{
	struct gt_msg m;
	int i, lost = 0, state;

	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->a, NULL));
	for (i = 0; i < 400 && !lost; i++) {
		gt_txn_fill(&self->e, 1, &(struct gt_txn){
			.gtid = self->a.gtid,
			.task_barrier = gt_barrier(gt_sw(&self->e, self->a.gtid)),
		});
		ASSERT_EQ(0, gt_txn_ioctl(&self->e, 2));
		gt_tell(&self->cfs, GT_BLOCK);
		state = gt_txn_wait(&self->e, 1);
		ASSERT_GT(0, state);
		ASSERT_TRUE(gt_wait_for(load(&self->cfs.ctl->done) ==
					self->cfs.ctl->seq));
		gt_ping(&self->e, 1);
		gt_sleep_ms(1);
		while (!gt_next(&self->e.q, self->a.gtid, 0, &m))
			lost += m.type == MSG_TASK_PREEMPT &&
				m.preempt.was_latched;
	}
	if (!lost)
		SKIP(return, "no thread came between commit and pick in %d rounds", i);
	EXPECT_STATE(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->a, 0));
	EXPECT_TRUE(gt_runs(&agent, 1, &self->a));
}

/* The agent's queue, not the default one, nor that of some task. */
TEST_F(msg_order, cpu_messages_go_to_the_agents_queue)
{
	struct gt_queue q;
	struct gt_msg m;

	ASSERT_EQ(0, gt_queue_create(self->e.ctl, 256, &q));
	ASSERT_TRUE(gt_wait_for(gt_assoc(&self->e, q.fd, agent.sw->gtid,
					 gt_barrier(agent.sw)) == 0));
	ASSERT_EQ(1, gt_file_put(&self->e, "deliver_cpu_availability", "1"));
	ASSERT_TRUE(gt_wait_for(gt_flags(agent.sw) & GHOST_SW_CPU_AVAIL));
	gt_tell(&self->cfs, GT_SPIN);
	do {
		ASSERT_EQ(0, gt_next(&q, GT_ANY, GT_WAIT_MS, &m));
	} while (m.type != MSG_CPU_BUSY);
	EXPECT_EQ(1, m.cpu.cpu);
	EXPECT_EQ(-1, find(&self->e.q, GT_ANY, MSG_CPU_BUSY));
	gt_queue_close(&q);
}

static bool preempted_by_tick(struct gt_queue *q)
{
	int i;

	gt_queue_consume(q);
	for (i = 1; i < q->logged; i++)
		if (q->log[i].type == MSG_TASK_PREEMPT &&
		    q->log[i - 1].type == MSG_CPU_TICK &&
		    !q->log[i - 1].tick.is_agent)
			return true;
	return false;
}

/* TICK, NOT_IDLE and TIMER_EXPIRED call the agent; AVAILABLE and BUSY do not. */
static int idle_until_wanted(void)
{
	return gt_commit(&agent, 1, &(struct gt_txn){
		.gtid = GHOST_IDLE_GTID, .agent_barrier = GT_NOW,
		.run_flags = NEED_CPU_NOT_IDLE,
		.commit_flags = COMMIT_AT_TXN_COMMIT | ALLOW_TASK_ONCPU });
}

TEST_F(msg_order, cpu_messages_wake)
{
	struct itimerspec in = { .it_value.tv_nsec = 20 * 1000000 };
	struct ghost_ioc_timerfd_settime timer = {
		.in_tmr = &in,
		.timerfd_ghost = { .cpu = 1, .flags = TIMERFD_GHOST_ENABLED },
	};
	uint32_t before;
	int i, tries;

	ASSERT_EQ(0, wake_list(&self->e, self->e.q.fd));
	timer.timerfd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	ASSERT_LE(0, timer.timerfd);
	before = gt_barrier(agent.sw);
	ASSERT_EQ(0, gt_ioctl(self->e.ctl, GHOST_IOC_TIMERFD_SETTIME, &timer));
	/* One for the message, one for the wake-up. */
	EXPECT_TRUE(gt_wait_for(gt_barrier(agent.sw) == before + 2));
	close(timer.timerfd);

	/*
	 * A kernel thread may be the first that wants the idle CPU, or have it
	 * at the commit, which is lost then.
	 */
	for (tries = 0; tries < 10; tries++) {
		gt_queue_consume(&self->e.q);
		i = self->e.q.logged;
		ASSERT_EQ(GHOST_TXN_COMPLETE, idle_until_wanted());
		gt_sleep_ms(20);
		before = gt_barrier(agent.sw);
		if (find(&self->e.q, GT_ANY, MSG_CPU_NOT_IDLE) >= i)
			continue;
		gt_tell(&self->cfs, GT_BLOCK);
		ASSERT_TRUE(gt_asleep(&self->cfs));
		gt_sleep_ms(20);
		if (find(&self->e.q, GT_ANY, MSG_CPU_NOT_IDLE) >= i)
			break;
	}
	EXPECT_GT(10, tries);
	EXPECT_TRUE(gt_wait_for(gt_barrier(agent.sw) == before + 2));
	ASSERT_EQ(0, gt_finish(&agent, NULL));

	ASSERT_EQ(1, gt_file_put(&self->e, "deliver_cpu_availability", "1"));
	gt_sleep_ms(GT_QUIET_MS);
	/* Each is told and counted; more would be a wake-up. */
	gt_queue_consume(&self->e.q);
	i = self->e.q.logged;
	before = gt_barrier(agent.sw);
	gt_tell(&self->cfs, GT_SPIN);
	ASSERT_TRUE(gt_wait_for(find(&self->e.q, GT_ANY, MSG_CPU_BUSY) >= 0));
	gt_tell(&self->cfs, GT_BLOCK);
	ASSERT_TRUE(gt_wait_for(find(&self->e.q, GT_ANY, MSG_CPU_AVAILABLE) >
				find(&self->e.q, GT_ANY, MSG_CPU_BUSY)));
	gt_sleep_ms(GT_QUIET_MS);
	/* Of kernel threads, too, which may come in between. */
	EXPECT_TRUE(gt_wait_for((gt_queue_consume(&self->e.q),
				 before + self->e.q.logged - i ==
				 gt_barrier(agent.sw))));
	ASSERT_EQ(1, gt_file_put(&self->e, "deliver_cpu_availability", "0"));

	/* The tick of the task brings the agent, which takes the CPU from it. */
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->a, NULL));
	ASSERT_EQ(1, gt_file_put(&self->e, "deliver_ticks", "1"));
	for (i = 0; i < 20 && !preempted_by_tick(&self->e.q); i++) {
		gt_schedule(&agent, 1, &self->a, 0);
		gt_sleep_ms(100);
	}
	EXPECT_GT(20, i);
}

/* Nobody is told, so nobody is called, and the kernel frees the word. */
TEST_F(msg_order, death_in_a_full_queue)
{
	uint32_t words = self->e.region->available, before, step;
	struct gt_queue q;

	self->gaps = true;
	ASSERT_EQ(0, gt_queue_create(self->e.ctl, 1, &q));
	ASSERT_EQ(0, gt_assoc(&self->e, q.fd, self->a.gtid,
			      gt_barrier(gt_sw(&self->e, self->a.gtid))));
	ASSERT_EQ(0, wake_list(&self->e, q.fd));
	kill(self->a.pid, SIGKILL);
	/* Every message of the way out is lost, and most call the agent. */
	while (gt_proc_state(self->a.pid) != 'Z') {
		struct ghost_status_word *sw = gt_sw(&self->e, self->a.gtid);

		if (!sw)
			break;
		gt_schedule(&agent, 1, &self->a, 0);
		gt_sleep_ms(1);
	}
	EXPECT_TRUE(gt_wait_for(self->e.region->available == words + 1));
	EXPECT_EQ(0, q.ring->head);
	before = gt_barrier(agent.sw);
	gt_sleep_ms(GT_QUIET_MS);
	step = gt_barrier(agent.sw) - before;
	EXPECT_EQ(0, step);
	gt_queue_close(&q);
}

/* The messages before are in the old queue, those after in the new one. */
TEST_F(msg_order, association_cuts_between_messages)
{
	uint32_t last = 0, barrier;
	struct gt_queue q[2], *old;
	pid_t child;
	int i, k, ret, moved = 0;

	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, gt_queue_create(self->e.ctl, 16384, &q[i]));
	ASSERT_EQ(0, gt_assoc(&self->e, q[1].fd, self->a.gtid,
			      gt_barrier(gt_sw(&self->e, self->a.gtid))));
	child = fork();
	if (!child) {
		gt_pin(0, 1);
		for (i = 0; i < 5000; i++)
			setpriority(PRIO_PROCESS, self->a.pid, i % 2);
		_exit(0);
	}
	/* From one queue to the other, as often as the barrier stands still. */
	for (i = 0; waitpid(child, NULL, WNOHANG) == 0; ) {
		barrier = gt_barrier(gt_sw(&self->e, self->a.gtid));
		ret = gt_assoc(&self->e, q[i % 2].fd, self->a.gtid, barrier);
		if (ret == -ESTALE)
			continue;
		ASSERT_EQ(0, ret);
		moved++;
		gt_queue_consume(&self->e.q);
		/* All up to this number is elsewhere, the rest comes here. */
		old = &q[!(i % 2)];
		do {
			old->logged = 0;
			gt_queue_consume(old);
			for (k = 0; k < old->logged; k++) {
				if (last)
					EXPECT_EQ(last + 1, old->log[k].seqnum);
				last = old->log[k].seqnum;
			}
		} while (old->logged == GT_LOG_SIZE);
		if (last)
			EXPECT_EQ(barrier, last);
		last = barrier;
		i++;
	}
	EXPECT_LE(20, moved);
	ASSERT_EQ(0, gt_agent_stop(&agent));
	ASSERT_EQ(0, gt_destroy(&self->e));
	gt_queue_close(&q[0]);
	gt_queue_close(&q[1]);
}

TEST_HARNESS_MAIN
