// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Queues: create, default, associate, wake-up lists, ring, overflow, forgery. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"

static struct gt_agent agent;

FIXTURE(queue) {
	struct gt_enclave e;
	struct gt_task t;
	bool lossy;		/* the test loses messages on purpose */
};

FIXTURE_SETUP(queue)
{
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->t));
}

FIXTURE_TEARDOWN(queue)
{
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	gt_task_end(&self->t);
	if (!self->lossy) {
		EXPECT_EQ(0, self->e.q.gaps);
	}
	gt_enclave_close(&self->e);
}

TEST_F(queue, create_errors)
{
	static const struct {
		struct ghost_ioc_create_queue arg;
		const char *what;
	} t[] = {
		{ { .elems = 0 }, "no elements" },
		{ { .elems = -1 }, "negative" },
		{ { .elems = 3 }, "no power of two" },
		{ { .elems = 1000 }, "no power of two" },
		{ { .elems = 131072 }, "too many" },
		{ { .elems = -2147483647 - 1 }, "INT_MIN" },
		{ { .elems = 16, .flags = 1 }, "flags" },
		{ { .elems = 16, .node = -1 }, "node -1" },
		{ { .elems = 16, .node = 4096 }, "node 4096" },
	};
	struct ghost_ioc_create_queue arg;
	int i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		arg = t[i].arg;
		EXPECT_EQ(-EINVAL, gt_ioctl(self->e.ctl,
					    GHOST_IOC_CREATE_QUEUE, &arg))
			TH_LOG("%s", t[i].what);
	}
}

TEST_F(queue, sizes)
{
	static const struct {
		int elems;
		size_t size;
	} t[] = {
		{ 1, 4096 }, { 256, 4096 }, { 512, 8192 }, { 1024, 12288 },
		{ 65536, 528384 },
	};
	struct gt_queue q;
	char path[64], name[64] = "";
	int i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		ASSERT_EQ(0, gt_queue_create(self->e.ctl, t[i].elems, &q))
			TH_LOG("%d elements", t[i].elems);
		EXPECT_EQ(t[i].size, q.size) TH_LOG("%d", t[i].elems);
		EXPECT_EQ(0, q.hdr->version);
		EXPECT_EQ(64, q.hdr->start);
		EXPECT_EQ(t[i].elems, q.hdr->nelems);
		EXPECT_EQ(0, q.ring->head);
		EXPECT_EQ(0, q.ring->tail);
		EXPECT_EQ(0, q.ring->overflow);
		EXPECT_EQ(O_RDWR, fcntl(q.fd, F_GETFL) & O_ACCMODE);
		EXPECT_EQ(FD_CLOEXEC, fcntl(q.fd, F_GETFD));
		snprintf(path, sizeof(path), "/proc/self/fd/%d", q.fd);
		EXPECT_LT(0, readlink(path, name, sizeof(name) - 1));
		EXPECT_STREQ("anon_inode:[ghost_queue]", name);
		gt_queue_close(&q);
	}
}

TEST_F(queue, create_without_descriptors)
{
	struct ghost_ioc_create_queue arg = { .elems = 1024 };
	struct rlimit lim = { 3, 3 };

	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &lim));
	EXPECT_EQ(-EMFILE, gt_ioctl(self->e.ctl, GHOST_IOC_CREATE_QUEUE, &arg));
	EXPECT_EQ(12288, arg.mapsize) TH_LOG("stored before the failure");
}

TEST_F(queue, set_default)
{
	struct ghost_ioc_set_default_queue arg = { .fd = -1 };
	struct gt_enclave other;
	struct gt_queue q;

	EXPECT_EQ(-EBADF, gt_ioctl(self->e.ctl, GHOST_IOC_SET_DEFAULT_QUEUE,
				   &arg));
	arg.fd = self->e.ctl;
	EXPECT_EQ(-EBADF, gt_ioctl(self->e.ctl, GHOST_IOC_SET_DEFAULT_QUEUE,
				   &arg));
	ASSERT_EQ(0, gt_enclave_bare(&other));
	arg.fd = self->e.q.fd;
	EXPECT_EQ(-EINVAL, gt_ioctl(other.ctl, GHOST_IOC_SET_DEFAULT_QUEUE,
				    &arg));
	gt_destroy(&other);
	gt_enclave_close(&other);

	ASSERT_EQ(0, gt_queue_create(self->e.ctl, 64, &q));
	arg.fd = q.fd;
	EXPECT_EQ(0, gt_ioctl(self->e.ctl, GHOST_IOC_SET_DEFAULT_QUEUE, &arg));
	ASSERT_EQ(0, gt_join(&self->e, self->t.pid));
	EXPECT_EQ(0, gt_next(&q, self->t.gtid, GT_WAIT_MS, NULL));
	EXPECT_EQ(-ETIMEDOUT, gt_next(&self->e.q, self->t.gtid, 0, NULL));
	gt_queue_close(&q);
}

TEST_F(queue, closed_default_is_none)
{
	struct ghost_ioc_set_default_queue def;
	struct ghost_status_word *sw;
	struct gt_queue q;

	/* One that no child has inherited. */
	ASSERT_EQ(0, gt_queue_create(self->e.ctl, 64, &q));
	def.fd = q.fd;
	ASSERT_EQ(0, gt_ioctl(self->e.ctl, GHOST_IOC_SET_DEFAULT_QUEUE, &def));
	gt_queue_close(&q);
	/* The barrier runs although nobody listens. */
	ASSERT_EQ(0, gt_join(&self->e, self->t.pid));
	sw = gt_sw(&self->e, self->t.gtid);
	ASSERT_NE(NULL, sw);
	EXPECT_EQ(1, gt_barrier(sw));
	gt_tell(&self->t, GT_SPIN);
	EXPECT_TRUE(gt_wait_for(gt_barrier(sw) == 2));
	/* The first association is done by a successor. */
	EXPECT_EQ(0, gt_assoc(&self->e, self->e.q.fd, self->t.gtid, 2));
}

TEST_F(queue, assoc_errors)
{
	struct ghost_ioc_assoc_queue arg;
	uint32_t barrier;
	int q, i;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	barrier = gt_barrier(gt_sw(&self->e, self->t.gtid));
	q = self->e.q.fd;
	{
		/* Each row breaks one rule more than the row above. */
		const struct {
			int fd, flags;
			uint32_t type;
			uint64_t gtid;
			uint32_t barrier;
			int err;
		} t[] = {
			{ q, 0, GHOST_TASK, self->t.gtid, barrier + 1,
			  ESTALE },
			{ q, 0, GHOST_TASK, self->t.gtid, barrier - 1,
			  ESTALE },
			{ q, 0, GHOST_TASK, 0, barrier, ENOENT },
			{ q, 0, GHOST_TASK, gt_gtid_of(1), barrier, ENOENT },
			{ q, 0, GHOST_TASK, 12345, barrier + 1, ENOENT },
			{ q, 0, GHOST_TASK, -1, barrier + 1, ENOENT },
			{ -1, 0, GHOST_TASK, 12345, barrier + 1, EBADF },
			{ self->e.ctl, 0, GHOST_TASK, 12345, barrier, EBADF },
			{ -1, 0, GHOST_AGENT, 12345, barrier, EINVAL },
			{ -1, 0, 7, 12345, barrier, EINVAL },
			{ -1, 1, GHOST_TASK, 12345, barrier, EINVAL },
		};

		for (i = 0; i < ARRAY_SIZE(t); i++) {
			arg = (struct ghost_ioc_assoc_queue){
				.fd = t[i].fd,
				.src = { t[i].type, t[i].gtid },
				.barrier = t[i].barrier,
				.flags = t[i].flags,
			};
			EXPECT_EQ(-t[i].err,
				  gt_ioctl(self->e.ctl, GHOST_IOC_ASSOC_QUEUE,
					   &arg))
				TH_LOG("row %d", i);
		}
	}
	EXPECT_EQ(GHOST_ASSOC_SF_ALREADY,
		  gt_assoc(&self->e, q, self->t.gtid, barrier));
}

TEST_F(queue, assoc_moves_the_messages)
{
	struct ghost_status_word *sw;
	struct gt_queue q;
	struct gt_msg m;

	ASSERT_EQ(0, gt_queue_create(self->e.ctl, 64, &q));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	sw = gt_sw(&self->e, self->t.gtid);
	EXPECT_EQ(0, gt_assoc(&self->e, q.fd, self->t.gtid, 1));
	EXPECT_EQ(1, gt_barrier(sw)) TH_LOG("association changes no barrier");
	gt_tell(&self->t, GT_SPIN);
	ASSERT_EQ(0, gt_next(&q, self->t.gtid, GT_WAIT_MS, &m));
	EXPECT_EQ(MSG_TASK_WAKEUP, m.type);
	EXPECT_EQ(2, m.seqnum);
	EXPECT_EQ(-ETIMEDOUT, gt_next(&self->e.q, self->t.gtid, 0, NULL));
	EXPECT_EQ(GHOST_ASSOC_SF_ALREADY,
		  gt_assoc(&self->e, q.fd, self->t.gtid, 2));
	EXPECT_EQ(0, gt_assoc(&self->e, self->e.q.fd, self->t.gtid, 2));
	gt_queue_close(&q);
}

TEST_F(queue, assoc_of_a_gated_task_is_brand_new)
{
	struct sched_param sp = { 0 };
	struct ghost_sw_info old;
	struct ghost_status_word *sw;
	uint32_t barrier;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_sw_info(&self->e, GHOST_TASK, self->t.gtid, &old));
	ASSERT_EQ(0, sched_setscheduler(self->t.pid, SCHED_OTHER, &sp));
	ASSERT_EQ(0, gt_join(&self->e, self->t.pid));
	sw = gt_sw(&self->e, self->t.gtid);
	ASSERT_NE(NULL, sw);
	barrier = gt_barrier(sw);
	EXPECT_EQ(GHOST_ASSOC_SF_ALREADY | GHOST_ASSOC_SF_BRAND_NEW,
		  gt_assoc(&self->e, self->e.q.fd, self->t.gtid, barrier));
	EXPECT_EQ(0, gt_sw_free(&self->e, old));
	EXPECT_EQ(0, gt_next_type(&self->e.q, self->t.gtid, MSG_TASK_NEW,
				  NULL));
	/* The gap is the barrier of the messages that were held back. */
	self->lossy = true;
}

TEST_F(queue, assoc_of_a_foreign_queue)
{
	struct gt_enclave other;
	struct gt_queue q;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_enclave_bare(&other));
	ASSERT_EQ(0, gt_queue_create(other.ctl, 64, &q));
	/* Refused: difference 6. */
	EXPECT_GT(0, gt_assoc(&self->e, q.fd, self->t.gtid, 1));
	EXPECT_GT(0, gt_assoc(&other, q.fd, self->t.gtid, 1));
	EXPECT_EQ(GHOST_ASSOC_SF_ALREADY,
		  gt_assoc(&self->e, self->e.q.fd, self->t.gtid, 1));
	gt_queue_close(&q);
	gt_destroy(&other);
	gt_enclave_close(&other);
}

TEST_F(queue, assoc_of_an_agent)
{
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	/* It is parked, and pings aside nobody moves its barrier. */
	EXPECT_TRUE(gt_wait_for(gt_assoc(&self->e, self->e.q.fd, agent.sw->gtid,
					 gt_barrier(agent.sw)) ==
				GHOST_ASSOC_SF_ALREADY));
	EXPECT_EQ(-ESTALE, gt_assoc(&self->e, self->e.q.fd, agent.sw->gtid,
				    gt_barrier(agent.sw) + 7));
}

TEST_F(queue, wakeup_errors)
{
	struct ghost_agent_wakeup ok[2] = { { 1, 0 }, { 0, 0 } };
	struct ghost_agent_wakeup prio = { 1, 1 }, cpu = { 99999, 0 };
	struct ghost_agent_wakeup minus = { -1, 0 };
	int q = self->e.q.fd;
	struct {
		struct ghost_ioc_config_queue_wakeup arg;
		int err;
	} t[] = {
		{ { q, ok, -1, 0 }, EINVAL },
		{ { q, ok, 3, 0 }, EINVAL },
		{ { q, ok, 1, 1 }, EINVAL },
		{ { -1, ok, 1, 1 }, EINVAL },
		{ { -1, ok, 1, 0 }, EBADF },
		{ { self->e.ctl, ok, 1, 0 }, EBADF },
		{ { q, NULL, 1, 0 }, EFAULT },
		{ { q, &prio, 1, 0 }, EINVAL },
		{ { q, &cpu, 1, 0 }, EINVAL },
		{ { q, &minus, 1, 0 }, EINVAL },
		{ { q, ok, 1, 0 }, 0 },
		{ { q, ok, 2, 0 }, 0 },
		{ { q, NULL, 0, 0 }, 0 },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		EXPECT_EQ(-t[i].err,
			  gt_ioctl(self->e.ctl, GHOST_IOC_CONFIG_QUEUE_WAKEUP,
				   &t[i].arg))
			TH_LOG("row %d", i);
	}
}

/* Parks once with a fresh barrier; returns after the wake-up. */
static long park(struct gt_agent *a, void *seen)
{
	struct ghost_ioc_run run = { .run_cpu = a->cpu };

	do {
		run.agent_barrier = gt_barrier(a->sw);
		__atomic_store_n((int *)seen, 1, __ATOMIC_RELEASE);
	} while (gt_run(a->e, &run) == -ESTALE);
	__atomic_store_n((int *)seen, 2, __ATOMIC_RELEASE);
	return 0;
}

TEST_F(queue, message_wakes_the_listed_agent)
{
	struct ghost_agent_wakeup w = { 1, 0 };
	struct ghost_ioc_config_queue_wakeup arg = {
		.qfd = self->e.q.fd, .w = &w, .ninfo = 1,
	};
	static int seen;
	uint32_t barrier;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	/* Installing the list wakes the agent once. */
	ASSERT_EQ(0, gt_post(&agent, park, &seen));
	ASSERT_TRUE(gt_wait_for(seen == 1));
	gt_sleep_ms(GT_QUIET_MS);
	ASSERT_EQ(0, gt_ioctl(self->e.ctl, GHOST_IOC_CONFIG_QUEUE_WAKEUP,
			      &arg));
	EXPECT_TRUE(gt_wait_for(seen == 2));
	ASSERT_EQ(0, gt_finish(&agent, NULL));
	/* A message wakes it. */
	seen = 0;
	ASSERT_EQ(0, gt_post(&agent, park, &seen));
	ASSERT_TRUE(gt_wait_for(seen == 1));
	gt_sleep_ms(GT_QUIET_MS);
	barrier = gt_barrier(agent.sw);
	gt_tell(&self->t, GT_SPIN);
	EXPECT_TRUE(gt_wait_for(seen == 2));
	EXPECT_NE(barrier, gt_barrier(agent.sw));
	/* Without a list nobody is woken. */
	arg.ninfo = 0;
	ASSERT_EQ(0, gt_ioctl(self->e.ctl, GHOST_IOC_CONFIG_QUEUE_WAKEUP,
			      &arg));
	ASSERT_EQ(0, gt_finish(&agent, NULL));
}

/* PRIORITY_CHANGED messages: 3 slots each, one a call. */
static int make_messages(struct gt_task *t, int n)
{
	static int nice_value;
	int i;

	for (i = 0; i < n; i++) {
		nice_value = nice_value ? 0 : 1;
		if (setpriority(PRIO_PROCESS, t->pid, nice_value))
			return -errno;
	}
	return 0;
}

TEST_F(queue, wraps_with_a_filler)
{
	struct gt_queue q;
	struct gt_msg m;
	int i;

	ASSERT_EQ(0, gt_queue_create(self->e.ctl, 8, &q));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_assoc(&self->e, q.fd, self->t.gtid, 1));
	for (i = 0; i < 20; i++) {
		ASSERT_EQ(0, make_messages(&self->t, 1));
		ASSERT_EQ(0, gt_next(&q, self->t.gtid, GT_WAIT_MS, &m));
		EXPECT_EQ(MSG_TASK_PRIORITY_CHANGED, m.type);
		EXPECT_EQ(24, m.length);
		EXPECT_EQ(2 + i, m.seqnum);
		EXPECT_EQ((i + 1) % 2, m.priority.nice);
	}
	EXPECT_EQ(0, q.ring->overflow);
	/* 3 + 3 slots, 2 of filler, and so on. */
	EXPECT_EQ(20 / 2 * 8 - 2, q.ring->head);
	gt_queue_close(&q);
}

TEST_F(queue, overflow_loses_no_state)
{
	struct gt_queue q;
	struct gt_msg m;
	int i;

	self->lossy = true;
	ASSERT_EQ(0, gt_queue_create(self->e.ctl, 8, &q));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_assoc(&self->e, q.fd, self->t.gtid, 1));
	/* Two fit; the wake-up does not. */
	ASSERT_EQ(0, make_messages(&self->t, 4));
	EXPECT_LE(1, q.ring->overflow);
	gt_tell(&self->t, GT_SPIN);
	ASSERT_TRUE(gt_wait_for(gt_proc_state(self->t.pid) == 'R'));
	EXPECT_LE(2, q.ring->overflow);
	EXPECT_EQ(6, q.ring->head);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, gt_next(&q, self->t.gtid, 0, &m));
		EXPECT_EQ(MSG_TASK_PRIORITY_CHANGED, m.type);
	}
	/* Now there is room: the kernel brings the view to the present. */
	ASSERT_EQ(0, gt_next(&q, self->t.gtid, GT_WAIT_MS, &m));
	EXPECT_EQ(MSG_TASK_WAKEUP, m.type) TH_LOG("%s", gt_msg_name(m.type));
	EXPECT_EQ(m.seqnum, gt_barrier(gt_sw(&self->e, self->t.gtid)));
	gt_queue_close(&q);
}

TEST_F(queue, overflow_of_new)
{
	struct ghost_ioc_set_default_queue def;
	struct gt_task t[4] = { 0 };
	struct gt_queue q;
	struct gt_msg m;
	int i;

	self->lossy = true;
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		ASSERT_EQ(0, gt_task_start(&t[i]));
	}
	/* One NEW is 7 slots. */
	ASSERT_EQ(0, gt_queue_create(self->e.ctl, 8, &q));
	def.fd = q.fd;
	ASSERT_EQ(0, gt_ioctl(self->e.ctl, GHOST_IOC_SET_DEFAULT_QUEUE, &def));
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		ASSERT_EQ(0, gt_join(&self->e, t[i].pid));
	}
	EXPECT_EQ(3, q.ring->overflow);
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		ASSERT_EQ(0, gt_next(&q, t[i].gtid, GT_WAIT_MS, &m))
			TH_LOG("task %d was never announced", i);
		EXPECT_EQ(MSG_TASK_NEW, m.type);
		EXPECT_EQ(gt_barrier(gt_sw(&self->e, t[i].gtid)), m.seqnum);
	}
	gt_destroy(&self->e);
	for (i = 0; i < ARRAY_SIZE(t); i++)
		gt_task_end(&t[i]);
	gt_queue_close(&q);
}

TEST_F(queue, forged_ring)
{
	static const uint32_t t[] = {
		0, 1, 7, 8, 9, 1000, 0x7fffffff, 0x80000000, 0xfffffff0,
		0xffffffff,
	};
	struct ghost_status_word *sw;
	struct gt_queue q;
	uint32_t before;
	int i, j;

	ASSERT_EQ(0, gt_queue_create(self->e.ctl, 8, &q));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_assoc(&self->e, q.fd, self->t.gtid, 1));
	sw = gt_sw(&self->e, self->t.gtid);
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		for (j = 0; j < ARRAY_SIZE(t); j++) {
			q.ring->tail = t[i];
			q.ring->head = t[j];
			q.hdr->nelems = t[i];
			q.hdr->start = t[j];
			before = gt_barrier(sw);
			ASSERT_EQ(0, make_messages(&self->t, 3));
			EXPECT_EQ(before + 3, gt_barrier(sw));
		}
	}
	/* The forger's loss: the other queue works on. */
	ASSERT_EQ(0, gt_assoc(&self->e, self->e.q.fd, self->t.gtid,
			      gt_barrier(sw)));
	gt_tell(&self->t, GT_SPIN);
	EXPECT_EQ(0, gt_next_type(&self->e.q, self->t.gtid, MSG_TASK_WAKEUP,
				  NULL));
	self->lossy = true;
	gt_queue_close(&q);
}

TEST_F(queue, kernel_writes_no_forged_slot)
{
	struct gt_queue q;
	char *end;
	int i;

	/* What lies behind the last slot of the mapping stays as it is. */
	self->lossy = true;
	ASSERT_EQ(0, gt_queue_create(self->e.ctl, 8, &q));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_assoc(&self->e, q.fd, self->t.gtid, 1));
	end = (char *)q.ring->msgs + 8 * GHOST_MSG_SLOT_SIZE;
	memset(end, 0x5a, (char *)q.hdr + q.size - end);
	q.hdr->nelems = 65536;
	for (i = 0; i < 32; i++) {
		q.ring->head = 6 + i;
		q.ring->tail = 6 + i;
		ASSERT_EQ(0, make_messages(&self->t, 1));
	}
	for (; end < (char *)q.hdr + q.size; end++) {
		ASSERT_EQ(0x5a, *end);
	}
	gt_queue_close(&q);
}

TEST_F(queue, mapping_outlives_the_enclave)
{
	struct gt_queue q = self->e.q;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	gt_destroy(&self->e);
	ASSERT_TRUE(gt_gone(&self->e));
	/* The way out is announced into the orphaned ring. */
	EXPECT_EQ(0, gt_next_type(&q, self->t.gtid, MSG_TASK_DEPARTED, NULL));
	EXPECT_EQ(GT_QUEUE_ELEMS, q.hdr->nelems);
}

TEST_F(queue, cpu_time)
{
	struct ghost_ioc_get_cpu_time arg = { .gtid = self->t.gtid };
	uint64_t before;

	EXPECT_EQ(0, gt_ioctl(self->e.ctl, GHOST_IOC_GET_CPU_TIME, &arg));
	EXPECT_LT(0, arg.runtime);
	arg.gtid = 0;
	EXPECT_EQ(0, gt_ioctl(self->e.ctl, GHOST_IOC_GET_CPU_TIME, &arg));
	EXPECT_LT(0, arg.runtime);
	before = arg.runtime;
	EXPECT_EQ(0, gt_ioctl(self->e.ctl, GHOST_IOC_GET_CPU_TIME, &arg));
	EXPECT_LT(before, arg.runtime) TH_LOG("not the running slice");
	arg.gtid = 12345;
	EXPECT_EQ(-ESRCH, gt_ioctl(self->e.ctl, GHOST_IOC_GET_CPU_TIME, &arg));
	arg.gtid = -1;
	EXPECT_EQ(-ESRCH, gt_ioctl(self->e.ctl, GHOST_IOC_GET_CPU_TIME, &arg));
	arg.gtid = self->t.gtid ^ 1;
	EXPECT_EQ(-ESRCH, gt_ioctl(self->e.ctl, GHOST_IOC_GET_CPU_TIME, &arg));
}

TEST_HARNESS_MAIN
