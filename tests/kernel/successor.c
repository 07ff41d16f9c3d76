// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * What a new agent process finds of its predecessor, and how it takes over: the
 * walk over the status words that ABI.md describes for discovery.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"

static struct gt_agent agent;

FIXTURE(successor) {
	struct gt_enclave e;
	struct gt_queue q;		/* the successor's */
};

FIXTURE_SETUP(successor)
{
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
}

FIXTURE_TEARDOWN(successor)
{
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	gt_queue_close(&self->q);
	gt_enclave_close(&self->e);
}

static int set_default(struct gt_enclave *e, struct gt_queue *q)
{
	struct ghost_ioc_set_default_queue def = { q->fd };

	return gt_ioctl(e->ctl, GHOST_IOC_SET_DEFAULT_QUEUE, &def);
}

static int leave(pid_t pid)
{
	struct sched_param sp = { 0 };

	return sched_setscheduler(pid, SCHED_OTHER, &sp) ? -errno : 0;
}

/* What the walk made of the word of a task. */
enum find { NOTHING, MOVED, ALREADY, BRAND_NEW, ORPHAN, FATAL };

struct found {
	uint64_t gtid;
	enum find what;
};

/* The walk: every word in use that is no agent's. Returns how many it met. */
static int walk(struct gt_enclave *e, struct gt_queue *q, struct found *f,
		int max)
{
	int i, ret, n = 0, tries;

	for (i = 0; i < e->region->capacity && n < max; i++) {
		struct ghost_sw_info info = { 0, i };
		struct ghost_status_word *sw = gt_sw_at(e, info);
		uint32_t flags = gt_flags(sw);
		uint64_t gtid = sw->gtid;

		if (!(flags & GHOST_SW_F_INUSE) ||
		    (flags & GHOST_SW_TASK_IS_AGENT))
			continue;
		f[n].gtid = gtid;
		f[n].what = FATAL;
		for (tries = 0; tries < 2 && f[n].what == FATAL; tries++) {
			ret = gt_assoc(e, q->fd, gtid, gt_barrier(sw));
			if (ret == 0)
				f[n].what = MOVED;
			else if (ret > 0 && (ret & GHOST_ASSOC_SF_BRAND_NEW))
				f[n].what = BRAND_NEW;
			else if (ret > 0)
				f[n].what = ALREADY;
			else if (ret == -ENOENT ||
				 (ret == -ESTALE && (gt_flags(sw) &
						     GHOST_SW_F_CANFREE)))
				f[n].what = gt_sw_free(e, info) ? FATAL : ORPHAN;
		}
		n++;
	}
	return n;
}

static enum find of(struct found *f, int n, uint64_t gtid)
{
	while (n--)
		if (f[n].gtid == gtid)
			return f[n].what;
	return NOTHING;
}

TEST_F(successor, walk_over_the_words)
{
	enum { ASLEEP, QUEUED, UNHEARD, DEPARTED, REJOINED, DEAD, LATE, N };
	struct gt_task t[N] = { 0 };
	struct ghost_sw_info old;
	struct found f[16];
	struct gt_msg m;
	int i, n;

	for (i = 0; i < N; i++) {
		ASSERT_EQ(0, gt_task_start(&t[i]));
	}
	for (i = 0; i < N; i++) {
		if (i == UNHEARD || i == LATE)
			continue;
		ASSERT_EQ(0, gt_join_asleep(&self->e, &t[i], NULL));
	}
	/* What happened to them, as the predecessor knew or did not. */
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &t[QUEUED], NULL));
	ASSERT_EQ(0, leave(t[DEPARTED].pid));
	ASSERT_EQ(0, gt_sw_info(&self->e, GHOST_TASK, t[REJOINED].gtid, &old));
	ASSERT_EQ(0, leave(t[REJOINED].pid));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	kill(t[DEAD].pid, SIGKILL);
	ASSERT_EQ(0, gt_drive(&agent, 1, &t[DEAD], MSG_TASK_DEAD, NULL));
	ASSERT_EQ(0, gt_agent_stop(&agent));
	/* The predecessor ends; its queue lives on in children that hold it. */
	gt_queue_close(&self->e.q);
	ASSERT_EQ(0, gt_join(&self->e, t[UNHEARD].pid));
	ASSERT_EQ(0, gt_join(&self->e, t[REJOINED].pid));

	/* The successor: first its queue, then the walk. */
	ASSERT_EQ(0, gt_queue_create(self->e.ctl, GT_QUEUE_ELEMS, &self->q));
	ASSERT_EQ(0, set_default(&self->e, &self->q));
	ASSERT_EQ(0, gt_join(&self->e, t[LATE].pid));
	ASSERT_EQ(0, gt_next(&self->q, t[LATE].gtid, GT_WAIT_MS, &m));
	EXPECT_EQ(MSG_TASK_NEW, m.type);

	n = walk(&self->e, &self->q, f, ARRAY_SIZE(f));
	EXPECT_EQ(N + 1, n) TH_LOG("REJOINED has two words");
	EXPECT_EQ(MOVED, of(f, n, t[ASLEEP].gtid));
	EXPECT_EQ(MOVED, of(f, n, t[QUEUED].gtid));
	EXPECT_EQ(MOVED, of(f, n, t[UNHEARD].gtid));
	EXPECT_EQ(ORPHAN, of(f, n, t[DEPARTED].gtid));
	EXPECT_EQ(ORPHAN, of(f, n, t[DEAD].gtid));
	EXPECT_EQ(ALREADY, of(f, n, t[LATE].gtid));
	/* Its old word came first and was freed, so it is not gated. */
	for (i = 0; i < n; i++) {
		if (f[i].gtid == t[REJOINED].gtid)
			break;
	}
	ASSERT_GT(n, i);
	EXPECT_EQ(ORPHAN, f[i].what);
	EXPECT_NE(FATAL, of(f, n, t[REJOINED].gtid));
	EXPECT_EQ(GHOST_SW_REGION_CAPACITY - 5, self->e.region->available);

	/* From here on every event of a member comes to the new queue. */
	for (i = 0; i < N; i++) {
		if (i == DEPARTED || i == DEAD || i == QUEUED)
			continue;
		gt_tell(&t[i], GT_SPIN);
		EXPECT_EQ(0, gt_next_type(&self->q, t[i].gtid,
					  MSG_TASK_WAKEUP, &m))
			TH_LOG("task %d", i);
		EXPECT_EQ(gt_barrier(gt_sw(&self->e, t[i].gtid)), m.seqnum);
	}
	gt_destroy(&self->e);
	for (i = 0; i < N; i++)
		gt_task_end(&t[i]);
}

/* Messages of the present are cut exactly: none is lost, none comes twice. */
TEST_F(successor, takes_over_a_live_task)
{
	struct gt_task t = { 0 };
	struct gt_msg m;
	struct found f[2];
	int i;

	ASSERT_EQ(0, gt_task_start(&t));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &t, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &t, NULL));
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &t, 0));
	ASSERT_TRUE(gt_runs(&agent, 1, &t));
	ASSERT_EQ(0, gt_queue_create(self->e.ctl, GT_QUEUE_ELEMS, &self->q));
	ASSERT_EQ(0, set_default(&self->e, &self->q));
	ASSERT_EQ(1, walk(&self->e, &self->q, f, 2));
	EXPECT_EQ(MOVED, f[0].what) TH_LOG("while it runs");
	/* The last message of the old queue is the one before the first. */
	gt_queue_consume(&self->e.q);
	ASSERT_EQ(0, setpriority(PRIO_PROCESS, t.pid, 1));
	ASSERT_EQ(0, gt_next(&self->q, t.gtid, GT_WAIT_MS, &m));
	for (i = self->e.q.logged - 1; i >= 0; i--) {
		if (self->e.q.log[i].gtid == t.gtid)
			break;
	}
	ASSERT_LE(0, i);
	EXPECT_EQ(self->e.q.log[i].seqnum + 1, m.seqnum);
	EXPECT_EQ(0, self->e.q.gaps);
	EXPECT_EQ(0, self->q.gaps);
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	gt_task_end(&t);
}

static long waiting, done;

static long hold(struct gt_agent *a, void *arg)
{
	__atomic_store_n(&waiting, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE))
		;
	return 0;
}

TEST_F(successor, agent_is_found_by_its_flag)
{
	struct found f[2];
	uint32_t flags;

	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	ASSERT_EQ(0, gt_post(&agent, hold, NULL));
	ASSERT_TRUE(gt_wait_for(__atomic_load_n(&waiting, __ATOMIC_ACQUIRE)));
	flags = gt_flags(agent.sw);
	__atomic_store_n(&done, 1, __ATOMIC_RELEASE);
	EXPECT_EQ(GHOST_SW_F_INUSE | GHOST_SW_F_ALLOCATED |
		  GHOST_SW_TASK_IS_AGENT | GHOST_SW_TASK_ONCPU |
		  GHOST_SW_TASK_RUNNABLE,
		  flags & ~(GHOST_SW_CPU_AVAIL | GHOST_SW_BOOST_PRIO));
	EXPECT_EQ(0, walk(&self->e, &self->e.q, f, 2));
}

TEST_HARNESS_MAIN
