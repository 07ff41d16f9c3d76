// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* GHOST_MSG programs: what they see, drop, change, and whom they wake. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt_bpf.h"
#include "bpf/probe.h"

static struct gt_agent agents[4];

FIXTURE(msg) {
	struct gt_enclave e;
	struct gt_task t;
	struct gt_bpf b;
	struct probe *p;
	int last;			/* CPUs are 1..last */
};

FIXTURE_SETUP(msg)
{
	char cpus[16];
	int cpu;

	ASSERT_EQ(0, gt_begin());
	ASSERT_LE(2, gt_ncpus()) TH_LOG("2 CPUs are needed");
	self->last = gt_ncpus() > 2 ? 2 : 1;
	snprintf(cpus, sizeof(cpus), "1-%d", self->last);
	ASSERT_EQ(0, gt_enclave_create(&self->e, cpus))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_bpf_probe(&self->b));
	self->p = self->b.shared;
	ASSERT_EQ(0, gt_task_start(&self->t));
	for (cpu = 1; cpu <= self->last; cpu++)
		ASSERT_EQ(0, gt_agent_start(&agents[cpu], &self->e, cpu, -1)) { }
	ASSERT_EQ(0, gt_bpf_attach(&self->b, &self->e, GT_MSG));
}

FIXTURE_TEARDOWN(msg)
{
	int cpu;

	for (cpu = 1; cpu <= self->last; cpu++)
		gt_agent_stop(&agents[cpu]);
	gt_destroy(&self->e);
	gt_task_end(&self->t);
	gt_bpf_close(&self->b);
	gt_enclave_close(&self->e);
}

static uint32_t count_of(struct probe *p, int type)
{
	return __atomic_load_n(&p->msg[type].count, __ATOMIC_ACQUIRE);
}

/* What the ring has is what the program saw. */
TEST_F(msg, sees_all)
{
	struct bpf_ghost_msg *last;
	struct gt_msg m;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, &m));
	last = &self->p->msg[MSG_TASK_NEW].last;
	EXPECT_EQ(1, count_of(self->p, MSG_TASK_NEW));
	EXPECT_EQ(MSG_TASK_NEW, last->type);
	EXPECT_EQ(m.seqnum, last->seqnum);
	EXPECT_EQ(-1, last->pref_cpu);
	EXPECT_EQ(0, memcmp(&m.new_, &last->newt, sizeof(m.new_)));

	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, &m));
	last = &self->p->msg[MSG_TASK_WAKEUP].last;
	EXPECT_EQ(m.seqnum, last->seqnum);
	EXPECT_EQ(0, memcmp(&m.wakeup, &last->wakeup, sizeof(m.wakeup)));

	gt_tell(&self->t, GT_YIELD);
	ASSERT_EQ(0, gt_drive(&agents[1], 1, &self->t, MSG_TASK_YIELD, &m));
	last = &self->p->msg[MSG_TASK_YIELD].last;
	EXPECT_EQ(m.seqnum, last->seqnum);
	EXPECT_EQ(0, memcmp(&m.yield, &last->yield, sizeof(m.yield)));

	gt_tell(&self->t, GT_BLOCK);
	ASSERT_EQ(0, gt_drive(&agents[1], 1, &self->t, MSG_TASK_BLOCKED, &m));
	last = &self->p->msg[MSG_TASK_BLOCKED].last;
	EXPECT_EQ(m.seqnum, last->seqnum);
	EXPECT_EQ(0, memcmp(&m.blocked, &last->blocked, sizeof(m.blocked)));
	EXPECT_EQ(self->p->total, gt_bpf_stat(&self->e, GT_MSG, "runs "));
	EXPECT_EQ(0, gt_bpf_stat(&self->e, GT_MSG, "dropped "));
	EXPECT_EQ(self->p->total, gt_bpf_stat(&self->e, GT_MSG, "passed "));
}

/* Of this slot, not of that which mostly calls helpers. */
TEST_F(msg, failed_helpers)
{
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	/* The agent of the CPU that wakes, which is not of the enclave. */
	self->p->msg[MSG_TASK_WAKEUP].wake = 1;
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	EXPECT_EQ(1, gt_bpf_stat(&self->e, GT_MSG, "failed "));
	EXPECT_EQ(0, gt_bpf_stat(&self->e, GT_SCHED, "failed "));
	EXPECT_EQ(0, gt_bpf_stat(&self->e, GT_SELECT_RQ, "failed "));
}

/* The barrier steps, the ring is silent, and it is counted. */
TEST_F(msg, drop)
{
	struct ghost_status_word *sw;
	uint32_t before;
	struct gt_msg m;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	sw = gt_sw(&self->e, self->t.gtid);
	before = gt_barrier(sw);
	self->p->msg[MSG_TASK_WAKEUP].drop = 1;
	gt_tell(&self->t, GT_SPIN);
	EXPECT_TRUE(gt_wait_for(count_of(self->p, MSG_TASK_WAKEUP) == 1));
	EXPECT_EQ(before + 1, gt_barrier(sw));
	EXPECT_EQ(before + 1, self->p->msg[MSG_TASK_WAKEUP].last.seqnum);
	EXPECT_EQ(-ETIMEDOUT, gt_next(&self->e.q, self->t.gtid, GT_QUIET_MS, &m));
	EXPECT_EQ(1, gt_bpf_stat(&self->e, GT_MSG, "dropped "));
	/* It can be scheduled all the same. */
	EXPECT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agents[1], 1, &self->t, 0));
	EXPECT_TRUE(gt_runs(&agents[1], 1, &self->t));
}

/* Nobody else would free the status word. */
TEST_F(msg, dropped_departure)
{
	self->p->msg[MSG_TASK_DEPARTED].drop = 1;
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	EXPECT_EQ(0, sched_setscheduler(self->t.pid, SCHED_OTHER,
					&(struct sched_param){}));
	EXPECT_EQ(1, count_of(self->p, MSG_TASK_DEPARTED));
	EXPECT_EQ(NULL, gt_sw(&self->e, self->t.gtid));
	/* Not gated: it is announced at once when it comes back. */
	EXPECT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	self->p->msg[MSG_TASK_DEPARTED].drop = 0;
}

TEST_F(msg, dropped_new)
{
	struct gt_msg m;

	self->p->msg[MSG_TASK_NEW].drop = 1;
	ASSERT_EQ(0, gt_join(&self->e, self->t.pid));
	EXPECT_EQ(1, count_of(self->p, MSG_TASK_NEW));
	/* The program has it: the rest is not held back. */
	gt_tell(&self->t, GT_SPIN);
	EXPECT_EQ(0, gt_next(&self->e.q, self->t.gtid, GT_WAIT_MS, &m));
	EXPECT_EQ(MSG_TASK_WAKEUP, m.type);
	EXPECT_EQ(self->p->msg[MSG_TASK_NEW].last.seqnum + 1, m.seqnum);
}

/* Type and payload as the program left them; length and number as they were. */
TEST_F(msg, rewrite)
{
	struct gt_msg m;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	self->p->msg[MSG_TASK_WAKEUP].new_type = 99;
	self->p->msg[MSG_TASK_WAKEUP].new_gtid = 0x1234567890;
	self->p->msg[MSG_TASK_WAKEUP].new_seqnum = 12345;
	gt_tell(&self->t, GT_SPIN);
	ASSERT_EQ(0, gt_next(&self->e.q, 0x1234567890, GT_WAIT_MS, &m));
	EXPECT_EQ(99, m.type);
	EXPECT_EQ(8 + sizeof(struct ghost_msg_payload_task_wakeup), m.length);
	EXPECT_EQ(gt_barrier(gt_sw(&self->e, self->t.gtid)), m.seqnum);
}

/* -2 wakes nobody; a CPU wakes its agent, once. */
TEST_F(msg, pref_cpu)
{
	struct ghost_agent_wakeup w = { .cpu = 1 };
	struct ghost_ioc_config_queue_wakeup arg = {
		.qfd = self->e.q.fd, .w = &w, .ninfo = 1,
	};
	uint32_t first, last;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_ioctl(self->e.ctl, GHOST_IOC_CONFIG_QUEUE_WAKEUP, &arg));
	gt_sleep_ms(GT_QUIET_MS);

	/* The list: agent of CPU 1. */
	first = gt_barrier(agents[1].sw);
	gt_tell(&self->t, GT_SPIN);
	EXPECT_TRUE(gt_wait_for(gt_barrier(agents[1].sw) != first));
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agents[1], 1, &self->t, 0));
	gt_tell(&self->t, GT_BLOCK);
	ASSERT_EQ(0, gt_drive(&agents[1], 1, &self->t, MSG_TASK_BLOCKED,
			      &(struct gt_msg){}));
	gt_sleep_ms(GT_QUIET_MS);

	/* Nobody, though the message is queued. */
	self->p->msg[MSG_TASK_WAKEUP].pref_cpu = GHOST_PREF_CPU_NO_WAKEUP;
	first = gt_barrier(agents[1].sw);
	gt_tell(&self->t, GT_SPIN);
	EXPECT_EQ(0, gt_next_type(&self->e.q, self->t.gtid, MSG_TASK_WAKEUP,
				  &(struct gt_msg){}));
	gt_sleep_ms(GT_QUIET_MS);
	EXPECT_EQ(first, gt_barrier(agents[1].sw));

	if (self->last < 2)
		SKIP(return, "to wake another agent needs a third CPU");
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agents[1], 1, &self->t, 0));
	gt_tell(&self->t, GT_BLOCK);
	ASSERT_EQ(0, gt_drive(&agents[1], 1, &self->t, MSG_TASK_BLOCKED,
			      &(struct gt_msg){}));
	gt_sleep_ms(GT_QUIET_MS);

	/* One that the list does not name, also when the message is dropped. */
	self->p->msg[MSG_TASK_WAKEUP].pref_cpu = 2;
	self->p->msg[MSG_TASK_WAKEUP].drop = 1;
	first = gt_barrier(agents[1].sw);
	last = gt_barrier(agents[2].sw);
	gt_tell(&self->t, GT_SPIN);
	EXPECT_TRUE(gt_wait_for(gt_barrier(agents[2].sw) != last));
	EXPECT_EQ(first, gt_barrier(agents[1].sw));
}

/* A CPU of no enclave is no preference. */
TEST_F(msg, pref_cpu_elsewhere)
{
	static const int cpus[] = { 0, -3, 100000 };
	struct ghost_agent_wakeup w = { .cpu = 1 };
	struct ghost_ioc_config_queue_wakeup arg = {
		.qfd = self->e.q.fd, .w = &w, .ninfo = 1,
	};
	uint32_t first;
	int i;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_ioctl(self->e.ctl, GHOST_IOC_CONFIG_QUEUE_WAKEUP, &arg));
	for (i = 0; i < ARRAY_SIZE(cpus); i++) {
		self->p->msg[MSG_TASK_PRIORITY_CHANGED].pref_cpu = cpus[i];
		gt_sleep_ms(50);
		first = gt_barrier(agents[1].sw);
		ASSERT_EQ(0, setpriority(PRIO_PROCESS, self->t.pid, i + 1));
		EXPECT_TRUE(gt_wait_for(gt_barrier(agents[1].sw) != first))
			TH_LOG("pref_cpu %d", cpus[i]);
	}
}

/* Messages about CPUs pass it, too. */
TEST_F(msg, of_cpus)
{
	struct gt_msg m;
	uint32_t ticks;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	ASSERT_EQ(1, gt_file_put(&self->e, "deliver_ticks", "1"));
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agents[1], 1, &self->t, 0));
	ASSERT_TRUE(gt_runs(&agents[1], 1, &self->t));
	ASSERT_TRUE(gt_wait_for(count_of(self->p, MSG_CPU_TICK) > 3 ||
				(gt_put_back(&agents[1], 1, &self->t), false)));
	EXPECT_LE(1, self->p->msg[MSG_CPU_TICK].last.cpu_tick.cpu);
	EXPECT_GE(self->last, self->p->msg[MSG_CPU_TICK].last.cpu_tick.cpu);
	EXPECT_EQ(0, gt_next_type(&self->e.q, GT_ANY, MSG_CPU_TICK, &m));
	self->p->msg[MSG_CPU_TICK].drop = 1;
	gt_sleep_ms(50);
	while (!gt_next(&self->e.q, GT_ANY, 0, &m))
		;
	ticks = count_of(self->p, MSG_CPU_TICK);
	EXPECT_TRUE(gt_wait_for(count_of(self->p, MSG_CPU_TICK) > ticks + 3 ||
				(gt_put_back(&agents[1], 1, &self->t), false)));
	while (!gt_next(&self->e.q, GT_ANY, 0, &m))
		EXPECT_NE(MSG_CPU_TICK, m.type);
}

/* A full ring is not the program's choice: it is made good. */
TEST_F(msg, overflow)
{
	struct gt_queue small;
	struct ghost_ioc_set_default_queue arg;
	struct gt_msg m;
	int i;

	ASSERT_EQ(0, gt_queue_create(self->e.ctl, 16, &small));
	arg.fd = small.fd;
	ASSERT_EQ(0, gt_ioctl(self->e.ctl, GHOST_IOC_SET_DEFAULT_QUEUE, &arg));
	ASSERT_EQ(0, gt_join(&self->e, self->t.pid));
	for (i = 1; i <= 10; i++)
		ASSERT_EQ(0, setpriority(PRIO_PROCESS, self->t.pid, i)) { }
	EXPECT_EQ(10, count_of(self->p, MSG_TASK_PRIORITY_CHANGED));
	EXPECT_LT(0, gt_bpf_stat(&self->e, GT_MSG, "overflow "));
	gt_tell(&self->t, GT_SPIN);
	ASSERT_TRUE(gt_wait_for(count_of(self->p, MSG_TASK_WAKEUP) == 1));
	/* All of it read, the WAKEUP comes after all, and the program sees it. */
	EXPECT_EQ(0, gt_next_type(&small, self->t.gtid, MSG_TASK_WAKEUP, &m));
	EXPECT_LE(2, count_of(self->p, MSG_TASK_WAKEUP));
	EXPECT_EQ(0, gt_assoc(&self->e, self->e.q.fd, self->t.gtid,
			      gt_barrier(gt_sw(&self->e, self->t.gtid))));
	gt_queue_close(&small);
}

/* No queue, no program; but it is counted. */
TEST_F(msg, no_queue)
{
	struct gt_queue q = self->e.q;
	struct gt_queue other;
	struct ghost_ioc_set_default_queue arg;

	ASSERT_EQ(0, gt_queue_create(self->e.ctl, 64, &other));
	arg.fd = other.fd;
	ASSERT_EQ(0, gt_ioctl(self->e.ctl, GHOST_IOC_SET_DEFAULT_QUEUE, &arg));
	gt_queue_close(&other);
	ASSERT_EQ(0, gt_join(&self->e, self->t.pid));
	EXPECT_EQ(0, count_of(self->p, MSG_TASK_NEW));
	EXPECT_EQ(1, gt_bpf_stat(&self->e, GT_MSG, "unqueued "));
	arg.fd = q.fd;
	EXPECT_EQ(0, gt_ioctl(self->e.ctl, GHOST_IOC_SET_DEFAULT_QUEUE, &arg));
}

/* Each enclave has programs of its own. */
TEST_F(msg, two_enclaves)
{
	struct gt_enclave e2;
	struct gt_task u;
	struct gt_bpf b2;
	struct probe *p2;

	ASSERT_EQ(0, gt_enclave_create(&e2, "0")) TH_LOG("%s", e2.step);
	ASSERT_EQ(0, gt_bpf_probe(&b2));
	p2 = b2.shared;
	ASSERT_EQ(0, gt_bpf_attach(&b2, &e2, GT_MSG));
	ASSERT_EQ(0, gt_task_start(&u));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	EXPECT_EQ(1, self->p->total);
	EXPECT_EQ(0, p2->total);
	p2->msg[MSG_TASK_NEW].drop = 1;
	ASSERT_EQ(0, gt_join(&e2, u.pid));
	EXPECT_TRUE(gt_wait_for(count_of(p2, MSG_TASK_NEW) == 1));
	EXPECT_EQ(1, self->p->total);
	EXPECT_EQ(u.gtid, p2->msg[MSG_TASK_NEW].last.newt.gtid);
	EXPECT_EQ(1, gt_bpf_stat(&e2, GT_MSG, "dropped "));
	EXPECT_EQ(0, gt_bpf_stat(&self->e, GT_MSG, "dropped "));
	gt_destroy(&e2);
	gt_task_end(&u);
	gt_bpf_close(&b2);
	gt_enclave_close(&e2);
}

/* ---- where a task is queued ---- */

/* Wake it; the WAKEUP says where. */
static int woken_on(FIXTURE_DATA(msg) *self, struct gt_msg *m)
{
	int ret;

	gt_tell(&self->t, GT_SPIN);
	ret = gt_next_type(&self->e.q, self->t.gtid, MSG_TASK_WAKEUP, m);
	return ret ? ret : m->wakeup.wake_up_cpu;
}

static int back_to_sleep(FIXTURE_DATA(msg) *self)
{
	struct gt_msg m;

	gt_tell(&self->t, GT_BLOCK);
	return gt_drive(&agents[1], 1, &self->t, MSG_TASK_BLOCKED, &m);
}

TEST_F(msg, select_rq)
{
	const int n = gt_ncpus();
	struct gt_msg m;
	int cpu;

	ASSERT_EQ(0, gt_bpf_attach(&self->b, &self->e, GT_SELECT_RQ));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	/* Inside of the enclave and outside of it. */
	for (cpu = 0; cpu < n; cpu++) {
		self->p->choice = cpu;
		self->p->skip_ttwu_queue = cpu & 1;
		EXPECT_EQ(cpu, woken_on(self, &m));
		EXPECT_EQ(self->t.gtid, self->p->select.gtid);
		EXPECT_EQ(m.wakeup.last_ran_cpu, self->p->select.task_cpu);
		EXPECT_EQ(m.wakeup.waker_cpu, self->p->select.waker_cpu);
		EXPECT_EQ(8, self->p->select.sd_flag);
		EXPECT_EQ(8, self->p->select.wake_flags & 0xf);
		EXPECT_LE(cpu + 1, self->p->selected);
		ASSERT_EQ(0, back_to_sleep(self));
	}
	EXPECT_EQ(0, gt_bpf_stat(&self->e, GT_SELECT_RQ, "refused "));
	EXPECT_LE(n, gt_bpf_stat(&self->e, GT_SELECT_RQ, "runs "));

	/* No choice: its last CPU, or the waker's. */
	self->p->choice = -1;
	EXPECT_EQ(woken_on(self, &m), m.wakeup.last_ran_cpu);
	ASSERT_EQ(0, back_to_sleep(self));
	EXPECT_EQ(0, gt_bpf_stat(&self->e, GT_SELECT_RQ, "refused "));
	self->p->choice = 100000;
	EXPECT_EQ(woken_on(self, &m), m.wakeup.last_ran_cpu);
	ASSERT_EQ(0, back_to_sleep(self));
	EXPECT_EQ(1, gt_bpf_stat(&self->e, GT_SELECT_RQ, "refused "));
	ASSERT_EQ(1, gt_file_put(&self->e, "wake_on_waker_cpu", "1"));
	EXPECT_EQ(woken_on(self, &m), m.wakeup.waker_cpu);
	ASSERT_EQ(0, back_to_sleep(self));

	/* Without the program as before. */
	ASSERT_EQ(1, gt_file_put(&self->e, "wake_on_waker_cpu", "0"));
	self->p->choice = 0;
	gt_bpf_detach(&self->b, GT_SELECT_RQ);
	EXPECT_EQ(woken_on(self, &m), m.wakeup.last_ran_cpu);
	EXPECT_EQ(1, m.wakeup.last_ran_cpu);
	ASSERT_EQ(0, back_to_sleep(self));
}

TEST_F(msg, select_rq_of_a_cpu_that_is_offline)
{
	struct gt_msg m;

	if (gt_ncpus() < 4)
		SKIP(return, "4 CPUs are needed");
	ASSERT_EQ(0, gt_bpf_attach(&self->b, &self->e, GT_SELECT_RQ));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	self->p->choice = 3;
	ASSERT_EQ(0, gt_set_online(3, false));
	EXPECT_EQ(woken_on(self, &m), m.wakeup.last_ran_cpu);
	EXPECT_EQ(1, gt_bpf_stat(&self->e, GT_SELECT_RQ, "refused "));
	ASSERT_EQ(0, back_to_sleep(self));
	ASSERT_EQ(0, gt_set_online(3, true));
	EXPECT_EQ(3, woken_on(self, &m));
	ASSERT_EQ(0, back_to_sleep(self));
}

/* Where affinity counts there is nothing to choose for who has one CPU. */
TEST_F(msg, select_rq_of_a_pinned_task)
{
	struct gt_msg m;
	uint32_t asked;

	ASSERT_EQ(0, gt_bpf_attach(&self->b, &self->e, GT_SELECT_RQ));
	self->p->choice = 0;
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_pin(self->t.pid, 1));
	EXPECT_EQ(0, woken_on(self, &m));
	ASSERT_EQ(0, back_to_sleep(self));

	ASSERT_EQ(1, gt_file_put(&self->e, "honor_affinity", "1"));
	asked = self->p->selected;
	EXPECT_EQ(1, woken_on(self, &m));
	EXPECT_EQ(asked, self->p->selected);
	ASSERT_EQ(0, back_to_sleep(self));

	ASSERT_EQ(0, gt_pin(self->t.pid, -1));
	EXPECT_EQ(0, woken_on(self, &m));
	EXPECT_LT(asked, self->p->selected);
	ASSERT_EQ(0, back_to_sleep(self));
}

static long fork_child(long arg)
{
	long pid = fork();

	return pid ? pid : (_exit(0), 0);
}

/* The child waits where it was queued. */
TEST_F(msg, select_rq_of_a_fork)
{
	struct gt_msg m;
	uint32_t before;
	int cpu, want;

	ASSERT_EQ(0, gt_bpf_attach(&self->b, &self->e, GT_SELECT_RQ));
	self->p->choice_for = 4;	/* WF_FORK */
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	/* No choice, outside of the enclave, inside, and none that there is. */
	for (cpu = -1; cpu <= self->last + 1; cpu++) {
		self->p->choice = cpu <= self->last ? cpu : 100000;
		before = self->p->selected_for[4];
		gt_tell_call(&self->t, fork_child, 0);
		ASSERT_EQ(0, gt_drive(&agents[1], 1, &self->t, MSG_TASK_BLOCKED, &m));
		EXPECT_EQ(before + 1, self->p->selected_for[4]);
		ASSERT_LT(0, self->t.ctl->result);
		EXPECT_EQ(gt_gtid_of(self->t.ctl->result), self->p->select.gtid);
		want = cpu >= 0 && cpu <= self->last ? cpu :
						       self->p->select.task_cpu;
		EXPECT_EQ(want, gt_cpu_of(self->t.ctl->result));
	}
	EXPECT_EQ(1, gt_bpf_stat(&self->e, GT_SELECT_RQ, "refused "));
}

/* Under the lock of the task, and no other. */
TEST_F(msg, helpers_in_select_rq)
{
	uint32_t barrier = gt_barrier(agents[1].sw);
	struct gt_msg m;
	uint64_t mask;

	self->p->select_calls = 1;
	self->p->choice = -1;
	ASSERT_EQ(0, gt_bpf_attach(&self->b, &self->e, GT_SELECT_RQ));
	ASSERT_EQ(0, gt_pin(self->t.pid, 1));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	EXPECT_LE(0, woken_on(self, &m));
	EXPECT_EQ(0, self->p->selects_ret[0]);
	EXPECT_TRUE(gt_wait_for(gt_barrier(agents[1].sw) != barrier));
	EXPECT_EQ(0, self->p->selects_ret[1]);
	EXPECT_LE(gt_npossible(), self->p->selects_ret[2]);
	memcpy(&mask, self->p->mask, sizeof(mask));
	EXPECT_EQ(2, mask);
	EXPECT_EQ(0, self->p->selects_ret[3]);
	EXPECT_NE('\0', self->p->comm[0]);
	EXPECT_EQ(0, gt_bpf_stat(&self->e, GT_SELECT_RQ, "failed "));
}

/* What a program writes where it should only read changes nothing. */
TEST_F(msg, select_rq_that_scribbles)
{
	struct gt_msg m;

	self->p->scribble = 1;
	self->p->choice = 0;
	ASSERT_EQ(0, gt_bpf_attach(&self->b, &self->e, GT_SELECT_RQ));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	EXPECT_EQ(0, woken_on(self, &m));
	EXPECT_LT(0, self->p->selected);
	ASSERT_EQ(0, back_to_sleep(self));
	self->p->choice = -1;
	EXPECT_EQ(woken_on(self, &m), m.wakeup.last_ran_cpu);
	EXPECT_EQ(self->t.gtid, m.wakeup.gtid);
	ASSERT_EQ(0, back_to_sleep(self));
}

#define NO_PROGRAM	"/tmp/no-program"

static long exec_no_program(long arg)
{
	return execl(NO_PROGRAM, NO_PROGRAM, NULL) ? -errno : 0;
}

/*
 * A task that calls exec is asked for while it runs, and moved to the CPU of the
 * choice; a file that cannot be run will do.
 */
TEST_F(msg, select_rq_of_an_exec)
{
	struct gt_task *t = &self->t;
	uint32_t before;
	int i, cpu, fd;
	bool moved;

	fd = open(NO_PROGRAM, O_WRONLY | O_CREAT | O_TRUNC, 0755);
	ASSERT_LE(0, fd);
	ASSERT_EQ(1, write(fd, "?", 1));
	close(fd);
	ASSERT_EQ(0, gt_bpf_attach(&self->b, &self->e, GT_SELECT_RQ));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	self->p->choice_for = 2;	/* WF_EXEC */
	/* No choice, outside of the enclave, and inside. */
	for (cpu = -1; cpu <= self->last; cpu++) {
		self->p->choice = cpu;
		moved = cpu < 0;
		/* Who puts it back moves it again, perhaps before anybody has looked. */
		for (i = 0; i < 20 && (!i || !moved); i++) {
			before = self->p->selected_for[2];
			t->ctl->result = 0;
			gt_tell_call(t, exec_no_program, 0);
			/* It sleeps also while it is moved. */
			ASSERT_TRUE(gt_wait_for(({
				moved |= gt_cpu_of(t->pid) == cpu;
				(t->ctl->result && gt_proc_state(t->pid) == 'S') ||
					(gt_put_back(&agents[1], 1, t), false);
			}))) TH_LOG("choice %d", cpu);
			EXPECT_EQ(-ENOEXEC, t->ctl->result);
			EXPECT_EQ(before + 1, self->p->selected_for[2])
				TH_LOG("choice %d", cpu);
			EXPECT_EQ(t->gtid, self->p->select.gtid);
		}
		EXPECT_TRUE(moved) TH_LOG("choice %d", cpu);
	}
	unlink(NO_PROGRAM);
}

/* ---- programs that give everything back ---- */

/* The newest exit record. */
static const char *newest_record(void)
{
	static char buf[1 << 18];
	char *at, *last = buf;

	if (gt_read_file("/sys/fs/ghost/exits", buf, sizeof(buf)) <= 0)
		return "";
	for (at = buf; (at = strstr(at, "record ")); at++)
		last = at;
	return last;
}

/* In the middle of a message, under whatever lock it is sent. */
#define EXPECT_GIVEN_BACK(code) do {					\
	const char *__r;						\
									\
	EXPECT_TRUE(gt_gone(&self->e));					\
	__r = newest_record();						\
	EXPECT_NE(NULL, strstr(__r, "the program says " #code ": " PROBE_WHY)) \
		TH_LOG("%s", __r);					\
	EXPECT_NE(NULL, strstr(__r, "its BPF program"));		\
	EXPECT_NE(NULL, strstr(__r, "\nmsg prog "));			\
} while (0)

static long end_of_thread(long arg)
{
	_exit(0);
}

FIXTURE(last_words) {
	struct gt_enclave e;
	struct gt_task t, other;
	struct gt_bpf b;
	struct probe *p;
};

FIXTURE_SETUP(last_words)
{
	if (!gt_has_btf())
		SKIP(return, "kfuncs need BTF");
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(1, gt_file_put(&self->e, "fallback", "1"));
	ASSERT_EQ(0, gt_bpf_probe(&self->b));
	self->p = self->b.shared;
	ASSERT_EQ(0, gt_task_start(&self->t));
	ASSERT_EQ(0, gt_task_start(&self->other));
	ASSERT_EQ(0, gt_bpf_attach(&self->b, &self->e, GT_MSG));
	ASSERT_EQ(0, gt_bpf_attach(&self->b, &self->e, GT_SELECT_RQ));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->other, NULL));
}

FIXTURE_TEARDOWN(last_words)
{
	gt_destroy(&self->e);
	gt_task_end(&self->t);
	gt_task_end(&self->other);
	gt_bpf_close(&self->b);
	gt_enclave_close(&self->e);
}

TEST_F(last_words, of_a_departure)
{
	self->p->msg[MSG_TASK_DEPARTED].destroy = -42;
	ASSERT_EQ(0, sched_setscheduler(self->t.pid, SCHED_OTHER,
					&(struct sched_param){}));
	EXPECT_GIVEN_BACK(-42);
	EXPECT_TRUE(gt_wait_for(gt_policy(self->other.pid) == SCHED_OTHER));
	gt_tell(&self->other, GT_SPIN);
	EXPECT_TRUE(gt_spins(&self->other));
}

TEST_F(last_words, of_a_death)
{
	self->p->msg[MSG_TASK_DEAD].destroy = 7;
	gt_tell_call(&self->t, end_of_thread, 0);
	EXPECT_GIVEN_BACK(7);
	EXPECT_TRUE(gt_wait_for(gt_policy(self->other.pid) == SCHED_OTHER));
	gt_tell(&self->other, GT_SPIN);
	EXPECT_TRUE(gt_spins(&self->other));
}

TEST_F(last_words, of_a_choice_of_a_cpu)
{
	/* Lent it would be none of the program's business. */
	ASSERT_EQ(1, gt_file_put(&self->e, "fallback", "0"));
	self->p->select_destroys = 1;
	gt_tell(&self->t, GT_SPIN);
	EXPECT_GIVEN_BACK(1);
	EXPECT_TRUE(gt_spins(&self->t));
}

/* What the kernel tells of a CPU may be all that its agent waits for. */
TEST_F(msg, wakes_at_the_end_of_others)
{
	struct ghost_status_word *sw = agents[1].sw;
	struct gt_task other;
	int64_t ran, begin;
	int i, late = 0;

	ASSERT_EQ(1, gt_file_put(&self->e, "deliver_cpu_availability", "1"));
	ASSERT_EQ(0, gt_task_start(&other));
	ASSERT_EQ(0, gt_pin(other.pid, 1));
	self->p->msg[MSG_CPU_AVAILABLE].wake = 1;
	for (i = 0; i < 20; i++) {
		gt_tell(&other, GT_SPIN);
		EXPECT_TRUE(gt_spins(&other));
		ran = __atomic_load_n(&sw->switch_time, __ATOMIC_ACQUIRE);
		begin = gt_now_ms();
		gt_tell(&other, GT_BLOCK);
		ASSERT_TRUE(gt_wait_for(__atomic_load_n(&sw->switch_time,
							__ATOMIC_ACQUIRE) != ran))
			TH_LOG("round %d", i);
		late += gt_now_ms() - begin > 500;
	}
	EXPECT_LT(late, 5);
	self->p->msg[MSG_CPU_AVAILABLE].wake = 0;
	gt_task_end(&other);
}

TEST_HARNESS_MAIN
