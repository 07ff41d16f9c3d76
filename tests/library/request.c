// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Requests and who owns the transactions, without a kernel: its part is played
 * by answer(). "ctl" is an ordinary file, so that every ioctl fails.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include "../../userspace/lib/crew.h"
#include "fake.h"
#include "kselftest_harness.h"

#define ROUNDS	20000

FIXTURE(request) {
	struct fake fake;
	struct ghost_enclave *e;
	struct ghost_agent agent[2];	/* of CPU 1 and CPU 2 */
};

FIXTURE_SETUP(request)
{
	int i;

	ASSERT_EQ(fake_setup(&self->fake), 0);
	close(fake_file(&self->fake, "cpulist", "1-7\n"));
	ASSERT_EQ(ghost_enclave_open(&self->e, self->fake.root, FAKE_ID), 0);
	for (i = 0; i < FAKE_CPUS; i++) {
		struct ghost_txn *txn = ghost_enclave_txn(self->e, i);

		txn->state = GHOST_TXN_COMPLETE;
		txn->u.sync_group_owner = GHOST_NO_OWNER;
	}
	for (i = 0; i < 2; i++) {
		self->agent[i].enclave = self->e;
		self->agent[i].cpu = i + 1;
		self->agent[i].txn = ghost_enclave_txn(self->e, i + 1);
	}
}

FIXTURE_TEARDOWN(request)
{
	ghost_enclave_close(self->e);
	fake_teardown(&self->fake);
}

static void answer(struct ghost_txn *txn, int32_t state)
{
	txn->commit_time = 1234;
	txn->cpu_seqnum = 56;
	__atomic_store_n(&txn->state, state, __ATOMIC_RELEASE);
}

static int nobody_owns(struct ghost_enclave *e)
{
	int cpu;

	for (cpu = 0; cpu < FAKE_CPUS; cpu++)
		if (ghost_txn_owner(ghost_enclave_txn(e, cpu)) !=
		    GHOST_NO_OWNER)
			return 0;
	return 1;
}

TEST_F(request, is_filled_in)
{
	struct ghost_txn *txn = ghost_enclave_txn(self->e, 5);
	struct ghost_request r;

	ghost_request_init(&r, 5, 4711, 3);
	EXPECT_EQ(r.commit_flags, COMMIT_AT_TXN_COMMIT);
	EXPECT_FALSE(ghost_request_pending(&r));
	r.agent_barrier = 9;
	r.run_flags = RTLA_ON_BLOCKED;
	r.commit_flags = COMMIT_AT_SCHEDULE;
	EXPECT_EQ(ghost_agent_submit(&self->agent[0], &r, 1), 1);
	EXPECT_TRUE(ghost_request_pending(&r));
	EXPECT_EQ(txn->state, GHOST_TXN_READY);
	EXPECT_EQ(txn->gtid, 4711);
	EXPECT_EQ(txn->task_barrier, 3);
	EXPECT_EQ(txn->agent_barrier, 9);
	EXPECT_EQ(txn->run_flags, RTLA_ON_BLOCKED);
	EXPECT_EQ(txn->commit_flags, COMMIT_AT_SCHEDULE);
	EXPECT_EQ(ghost_txn_owner(txn), 1);
}

TEST_F(request, is_answered)
{
	struct ghost_txn *txn = ghost_enclave_txn(self->e, 5);
	struct ghost_request r;

	ghost_request_init(&r, 5, 4711, 3);
	ASSERT_EQ(ghost_agent_submit(&self->agent[0], &r, 1), 1);
	EXPECT_EQ(ghost_agent_collect(&self->agent[0], &r, 1), 1);
	answer(txn, 5);		/* claimed by CPU 5 */
	EXPECT_EQ(ghost_agent_collect(&self->agent[0], &r, 1), 1);
	EXPECT_EQ(ghost_agent_cancel(&self->agent[0], &r, 1), 1);
	EXPECT_TRUE(ghost_request_pending(&r));
	answer(txn, GHOST_TXN_TARGET_STALE);
	EXPECT_EQ(ghost_agent_collect(&self->agent[0], &r, 1), 0);
	EXPECT_EQ(r.state, GHOST_TXN_TARGET_STALE);
	EXPECT_EQ(r.commit_time, 1234);
	EXPECT_EQ(r.cpu_seqnum, 56);
	EXPECT_TRUE(nobody_owns(self->e));
	/* The answer stays when the transaction is somebody else's. */
	answer(txn, GHOST_TXN_COMPLETE);
	EXPECT_EQ(ghost_agent_collect(&self->agent[0], &r, 1), 0);
	EXPECT_EQ(r.state, GHOST_TXN_TARGET_STALE);
}

TEST_F(request, is_taken_back)
{
	struct ghost_request r[2];

	ghost_request_init(&r[0], 5, 4711, 3);
	ghost_request_init(&r[1], 6, 4712, 3);
	ASSERT_EQ(ghost_agent_submit(&self->agent[0], r, 2), 2);
	answer(ghost_enclave_txn(self->e, 6), GHOST_TXN_COMPLETE);
	EXPECT_EQ(ghost_agent_cancel(&self->agent[0], r, 2), 0);
	EXPECT_EQ(r[0].state, GHOST_TXN_ABORTED);
	EXPECT_EQ(r[1].state, GHOST_TXN_COMPLETE);
	EXPECT_TRUE(nobody_owns(self->e));
}

TEST_F(request, of_another_agent_is_in_the_way)
{
	struct ghost_request r[4], other;

	ghost_request_init(&other, 5, 4711, 3);
	ASSERT_EQ(ghost_agent_submit(&self->agent[1], &other, 1), 1);
	ghost_request_init(&r[0], 4, 1, 1);
	ghost_request_init(&r[1], 5, 2, 1);
	ghost_request_init(&r[2], FAKE_CPUS, 3, 1);
	ghost_request_init(&r[3], 0, 3, 1);
	EXPECT_EQ(ghost_agent_submit(&self->agent[0], r, 4), 1);
	EXPECT_EQ(r[0].state, GHOST_TXN_READY);
	EXPECT_EQ(r[1].state, GHOST_TXN_ABORTED);
	EXPECT_EQ(r[2].state, GHOST_TXN_INVALID_CPU);
	EXPECT_EQ(r[3].state, GHOST_TXN_INVALID_CPU);
	EXPECT_EQ(ghost_enclave_txn(self->e, 5)->gtid, 4711);
	/* Nor may one agent ask twice. */
	ghost_request_init(&r[1], 4, 2, 1);
	EXPECT_EQ(ghost_agent_submit(&self->agent[0], &r[1], 1), 0);
	EXPECT_EQ(r[1].state, GHOST_TXN_ABORTED);
	EXPECT_EQ(ghost_agent_cancel(&self->agent[0], r, 1), 0);
	EXPECT_EQ(ghost_agent_cancel(&self->agent[1], &other, 1), 0);
	EXPECT_TRUE(nobody_owns(self->e));
}

/* Who fills transactions in without owning them is respected, too. */
TEST_F(request, busy_without_an_owner)
{
	struct ghost_task task = { .gtid = 4711, .barrier = 1 };
	struct ghost_request r;
	int32_t state;

	ghost_enclave_txn(self->e, 1)->state = GHOST_TXN_READY;
	ghost_request_init(&r, 1, 4711, 3);
	EXPECT_EQ(ghost_agent_submit(&self->agent[0], &r, 1), 0);
	EXPECT_EQ(r.state, GHOST_TXN_ABORTED);
	EXPECT_EQ(ghost_agent_run_task(&self->agent[0], &task, 0, 0, &state),
		  -EBUSY);
	EXPECT_TRUE(nobody_owns(self->e));
}

TEST_F(request, leaves_nothing_when_the_call_fails)
{
	struct ghost_task task = { .gtid = 4711, .barrier = 1 };
	struct ghost_request r[2];
	int32_t state;
	int i;

	for (i = 0; i < 2; i++)
		ghost_request_init(&r[i], 5 + i, 4711 + i, 1);
	EXPECT_EQ(ghost_agent_commit(&self->agent[0], r, 2), -ENOTTY);
	EXPECT_EQ(r[0].state, GHOST_TXN_ABORTED);
	EXPECT_EQ(r[1].state, GHOST_TXN_ABORTED);
	EXPECT_TRUE(nobody_owns(self->e));
	EXPECT_EQ(ghost_agent_commit_group(&self->agent[0], r, 2), -ENOTTY);
	EXPECT_EQ(r[0].state, GHOST_TXN_ABORTED);
	EXPECT_EQ(r[1].state, GHOST_TXN_ABORTED);
	EXPECT_TRUE(nobody_owns(self->e));
	EXPECT_EQ(ghost_agent_run_task(&self->agent[0], &task, 0, 0, &state),
		  -ENOTTY);
	EXPECT_TRUE(nobody_owns(self->e));
	EXPECT_EQ(ghost_agent_commit(&self->agent[0], r, 0), 0);
}

TEST_F(request, group_is_claimed_as_a_whole)
{
	struct ghost_txn *txn = ghost_enclave_txn(self->e, 6);
	struct ghost_request r[3];
	int i;

	for (i = 0; i < 3; i++)
		ghost_request_init(&r[i], 5 + i, 4711 + i, 1);
	ASSERT_TRUE(ghost_txn_own(txn, 2));
	EXPECT_FALSE(ghost_txn_own(txn, 2));
	EXPECT_EQ(ghost_agent_commit_group(&self->agent[0], r, 3), 0);
	EXPECT_EQ(r[0].state, GHOST_TXN_POISONED);
	EXPECT_EQ(r[1].state, GHOST_TXN_ABORTED);
	EXPECT_EQ(r[2].state, GHOST_TXN_POISONED);
	EXPECT_EQ(ghost_txn_owner(txn), 2);
	ghost_txn_disown(txn);
	EXPECT_TRUE(nobody_owns(self->e));
	for (i = 0; i < 3; i++)
		EXPECT_FALSE(ghost_txn_busy(ghost_enclave_txn(self->e, 5 + i)));
}

struct contender {
	struct ghost_agent *agent;
	int won;
	int lost;
	int torn;
};

/* Each fills in its own number twice: both must be there. */
static void *contend(void *arg)
{
	struct contender *c = arg;
	struct ghost_request r;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		struct ghost_txn *txn = ghost_enclave_txn(c->agent->enclave, 5);

		ghost_request_init(&r, 5, c->agent->cpu,
				   (uint32_t)c->agent->cpu);
		if (!ghost_agent_submit(c->agent, &r, 1)) {
			c->lost++;
			sched_yield();
			continue;
		}
		c->won++;
		c->torn += txn->gtid != c->agent->cpu ||
			   (int)txn->task_barrier != c->agent->cpu;
		if (i & 1)
			answer(txn, GHOST_TXN_COMPLETE);
		c->torn += ghost_agent_cancel(c->agent, &r, 1) != 0;
	}
	return NULL;
}

TEST_F(request, agents_contend)
{
	struct contender c[2] = {
		{ .agent = &self->agent[0] },
		{ .agent = &self->agent[1] },
	};
	pthread_t thread[2];
	int i;

	for (i = 0; i < 2; i++)
		ASSERT_EQ(pthread_create(&thread[i], NULL, contend, &c[i]), 0);
	for (i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	for (i = 0; i < 2; i++) {
		EXPECT_GT(c[i].won, 0);
		EXPECT_EQ(c[i].won + c[i].lost, ROUNDS);
		EXPECT_EQ(c[i].torn, 0);
	}
	EXPECT_TRUE(nobody_owns(self->e));
}

TEST_HARNESS_MAIN
