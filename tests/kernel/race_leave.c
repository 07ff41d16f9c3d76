// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Leaving against joining: two threads move one task in and out, and free the
 * words that it leaves. Its messages must tell of whole lives, one after the
 * other, and no word may be lost.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "race.h"

#define load(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)

#define OFTEN	20

static struct gt_agent agent;		/* of CPU 1 */

FIXTURE(race_leave) {
	struct gt_enclave e;
	struct gt_task t;
	struct race r;
};

FIXTURE_SETUP(race_leave)
{
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->t));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
}

FIXTURE_TEARDOWN(race_leave)
{
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	gt_task_end(&self->t);
	gt_enclave_close(&self->e);
}

static int leave(pid_t pid)
{
	struct sched_param sp = { 0 };

	return sched_setscheduler(pid, SCHED_OTHER, &sp) ? -errno : 0;
}

static int move(struct gt_enclave *e, pid_t pid, unsigned int *seed)
{
	switch (rand_r(seed) % 5) {
	case 0 ... 1:
		return leave(pid);
	case 2 ... 3:
		return gt_join(e, pid);
	default:
		/* Told to members who are announced, to nobody before. */
		return setpriority(PRIO_PROCESS, pid, rand_r(seed) % 2) ?
			-errno : 0;
	}
}

/* ---- the second thread ---- */

static struct {
	struct gt_enclave *e;
	pid_t pid;
	int cpu;
	int stop;
	int error;
} other;

static void *move_about(void *unused)
{
	unsigned int seed = 7;
	int ret = 0;

	gt_pin(0, other.cpu);
	while (!load(&other.stop) && !ret) {
		ret = move(other.e, other.pid, &seed);
		race_delay(&seed);
	}
	other.error = ret;
	return NULL;
}

/* ---- what the messages tell ---- */

static struct life {
	bool in;
	bool wrong;
	uint32_t last;
	struct ghost_sw_info word, left;
	bool to_free;
	long lives, unannounced, gated;
} life;

/*
 * Joined while the last word was not yet free: its messages were held back,
 * which shows as a gap. Left before it was announced: NEW says "not runnable"
 * although the task never sleeps.
 */
static void take(struct gt_queue *q)
{
	int i;

	gt_queue_consume(q);
	for (i = 0; i < q->logged; i++) {
		const struct gt_msg *m = &q->log[i];

		switch (m->type) {
		case MSG_TASK_NEW:
			life.wrong |= life.in;
			life.in = true;
			life.word = m->new_.sw_info;
			life.lives++;
			if (life.last && m->seqnum != life.last + 1)
				life.gated++;
			life.unannounced += !m->new_.runnable;
			break;
		case MSG_TASK_DEPARTED:
			life.wrong |= !life.in || m->seqnum != life.last + 1;
			life.in = false;
			life.left = life.word;
			life.to_free = true;
			break;
		default:
			life.wrong |= !life.in || m->seqnum != life.last + 1;
		}
		life.wrong |= (int32_t)(m->seqnum - life.last) <= 0;
		life.last = m->seqnum;
	}
	q->logged = 0;
}

TEST_F(race_leave, whole_lives)
{
	uint32_t words = self->e.region->available;
	struct race_window w[] = {
		{ .name = "lives", .wanted = 10 * OFTEN },
		{ .name = "left before announced", .wanted = OFTEN },
		{ .name = "joined while gated", .wanted = OFTEN },
	};
	pthread_t thread;
	int ret;

	other.e = &self->e;
	other.pid = self->t.pid;
	other.cpu = gt_ncpus() > 2 ? 2 : 0;
	ASSERT_EQ(0, gt_pin(self->t.pid, gt_ncpus() > 3 ? 3 : 1));
	gt_tell(&self->t, GT_SPIN);
	ASSERT_TRUE(gt_spins(&self->t));
	ASSERT_EQ(0, pthread_create(&thread, NULL, move_about, NULL));
	race_start(&self->r, 20 * RACE_ROUNDS, RACE_MS);
	while (race_goes_on(&self->r)) {
		ret = move(&self->e, self->t.pid, &self->r.seed);
		EXPECT_EQ(0, ret);
		if (ret)
			break;
		race_delay(&self->r.seed);
		take(&self->e.q);
		if (life.to_free && rand_r(&self->r.seed) % 2) {
			life.to_free = false;
			ASSERT_EQ(0, gt_sw_free(&self->e, life.left));
		}
	}
	store(&other.stop, 1);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, other.error);

	/* Once more out, the last word freed: everything is as before. */
	EXPECT_EQ(0, leave(self->t.pid));
	do {
		take(&self->e.q);
		if (life.to_free) {
			EXPECT_EQ(0, gt_sw_free(&self->e, life.left));
		}
		ret = life.to_free;
		life.to_free = false;
	} while (ret);
	EXPECT_FALSE(life.in) TH_LOG("a life without an end");
	EXPECT_FALSE(life.wrong) TH_LOG("messages out of order");
	EXPECT_EQ(words, self->e.region->available) TH_LOG("a word was lost");
	EXPECT_EQ(SCHED_OTHER, gt_policy(self->t.pid));
	EXPECT_TRUE(gt_spins(&self->t));
	EXPECT_EQ(0, gt_join(&self->e, self->t.pid));
	EXPECT_EQ(0, gt_next_type(&self->e.q, self->t.gtid, MSG_TASK_NEW, NULL));
	EXPECT_STATE(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->t, 0));
	w[0].seen = life.lives;
	w[1].seen = life.unannounced;
	w[2].seen = life.gated;
	RACE_VERDICT(&self->r, w);
}

TEST_HARNESS_MAIN
