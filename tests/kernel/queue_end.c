// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Queues that are closed while they are used, and producers on many CPUs. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"

#define load(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)

#define PRODUCERS	4
#define EACH		500

FIXTURE(queue_end) {
	struct gt_enclave e;
	struct gt_task t[PRODUCERS];
};

FIXTURE_SETUP(queue_end)
{
	int i;

	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	for (i = 0; i < PRODUCERS; i++) {
		ASSERT_EQ(0, gt_task_start(&self->t[i]));
		ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t[i], NULL));
	}
}

FIXTURE_TEARDOWN(queue_end)
{
	int i;

	gt_destroy(&self->e);
	for (i = 0; i < PRODUCERS; i++)
		gt_task_end(&self->t[i]);
	gt_enclave_close(&self->e);
}

/* The descriptor is closed; mapping and task go on. */
TEST_F(queue_end, closed_while_in_use)
{
	struct gt_task *t = &self->t[0];
	struct ghost_status_word *sw = gt_sw(&self->e, t->gtid);
	struct gt_queue q;
	int i, fd;

	ASSERT_EQ(0, gt_queue_create(self->e.ctl, 8, &q));
	ASSERT_EQ(0, gt_assoc(&self->e, q.fd, t->gtid, gt_barrier(sw)));
	fd = q.fd;
	ASSERT_EQ(0, close(fd));
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, setpriority(PRIO_PROCESS, t->pid, 1 + i % 2));
	/* Two fit, two do not. */
	EXPECT_EQ(6, load(&q.ring->head));
	EXPECT_EQ(2, load(&q.ring->overflow));
	EXPECT_EQ(-EBADF, gt_assoc(&self->e, fd, t->gtid, gt_barrier(sw)));
	/* The last user goes, the mapping is still there. */
	ASSERT_EQ(0, gt_assoc(&self->e, self->e.q.fd, t->gtid, gt_barrier(sw)));
	gt_sleep_ms(GT_QUIET_MS);
	EXPECT_EQ(6, load(&q.ring->head));
	ASSERT_EQ(0, munmap(q.hdr, q.size));
	free(q.log);
	/* The enclave can go although the queue was its own. */
	ASSERT_EQ(0, gt_destroy(&self->e));
	EXPECT_TRUE(gt_gone(&self->e));
}

struct producer {
	struct gt_task *t;
	pthread_t thread;
	int cpu;
	int error;
};

static void *produce(void *arg)
{
	struct producer *p = arg;
	int i;

	gt_pin(0, p->cpu);
	for (i = 0; i < EACH && !p->error; i++)
		if (setpriority(PRIO_PROCESS, p->t->pid, 1 + i % 2))
			p->error = errno;
	return NULL;
}

/* Nothing is lost, nothing half written, each task's numbers are in order. */
TEST_F(queue_end, producers_of_many_cpus)
{
	struct producer p[PRODUCERS] = { 0 };
	struct gt_queue big, *q = &big;
	long seen[PRODUCERS] = { 0 }, all = 0;
	uint32_t next[PRODUCERS];
	int64_t end;
	int i, k;

	/* Room for all, should the consumer be late. */
	ASSERT_EQ(0, gt_queue_create(self->e.ctl, 16384, q));
	for (i = 0; i < PRODUCERS; i++) {
		next[i] = gt_barrier(gt_sw(&self->e, self->t[i].gtid)) + 1;
		ASSERT_EQ(0, gt_assoc(&self->e, q->fd, self->t[i].gtid,
				      next[i] - 1));
		p[i].t = &self->t[i];
		p[i].cpu = (i + 1) % gt_ncpus();
	}
	for (i = 0; i < PRODUCERS; i++)
		ASSERT_EQ(0, pthread_create(&p[i].thread, NULL, produce, &p[i]));
	end = gt_now_ms() + 2 * GT_WAIT_MS;
	while (all < PRODUCERS * EACH && gt_now_ms() < end) {
		gt_queue_consume(q);
		for (k = 0; k < q->logged; k++) {
			const struct gt_msg *m = &q->log[k];

			ASSERT_EQ(MSG_TASK_PRIORITY_CHANGED, m->type);
			for (i = 0; i < PRODUCERS; i++)
				if (self->t[i].gtid == m->gtid)
					break;
			ASSERT_GT(PRODUCERS, i) TH_LOG("of nobody");
			ASSERT_EQ(next[i]++, m->seqnum);
			ASSERT_EQ(1 + seen[i]++ % 2, m->priority.nice);
			all++;
		}
		q->logged = 0;
	}
	for (i = 0; i < PRODUCERS; i++) {
		pthread_join(p[i].thread, NULL);
		EXPECT_EQ(0, p[i].error);
		EXPECT_EQ(EACH, seen[i]);
	}
	EXPECT_EQ(0, q->ring->overflow);
	gt_queue_close(q);
}

TEST_HARNESS_MAIN
