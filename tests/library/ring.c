// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Rings as the consumer sees them; the kernel's part is played by produce(). */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <ghost/ghost.h>

#include "kselftest_harness.h"

#define NELEMS 16

static void *slot(struct ghost_ring *ring, uint32_t i)
{
	return (char *)ring->msgs + (i & (NELEMS - 1)) * GHOST_MSG_SLOT_SIZE;
}

/* As the kernel does it: never across the end, a filler before that. */
static bool produce(struct ghost_ring *ring, uint16_t type, uint32_t seq,
		    const void *payload, uint16_t size)
{
	struct ghost_msg msg = {
		.type = type,
		.length = sizeof(struct ghost_msg) + size,
		.seqnum = seq,
	};
	uint32_t need = ghost_msg_slots(&msg), head = ring->head;
	uint32_t space = NELEMS - (head - __atomic_load_n(&ring->tail,
							  __ATOMIC_ACQUIRE));
	uint32_t to_end = NELEMS - (head & (NELEMS - 1));

	if (need > to_end) {
		struct ghost_msg nop = {
			.type = MSG_NOP,
			.length = to_end * GHOST_MSG_SLOT_SIZE,
		};

		if (space < to_end + need)
			goto full;
		memcpy(slot(ring, head), &nop, sizeof(nop));
		head += to_end;
	} else if (space < need) {
		goto full;
	}
	memcpy(slot(ring, head), &msg, sizeof(msg));
	memcpy((char *)slot(ring, head) + sizeof(msg), payload, size);
	__atomic_store_n(&ring->head, head + need, __ATOMIC_RELEASE);
	return true;
full:
	ring->overflow++;
	return false;
}

FIXTURE(ring) {
	struct ghost_ring *ring;
};

FIXTURE_SETUP(ring)
{
	self->ring = calloc(1, sizeof(struct ghost_ring) +
			    NELEMS * GHOST_MSG_SLOT_SIZE);
	ASSERT_NE(self->ring, NULL);
}

FIXTURE_TEARDOWN(ring)
{
	free(self->ring);
}

TEST_F(ring, empty)
{
	EXPECT_EQ(ghost_ring_peek(self->ring, NELEMS), NULL);
	EXPECT_EQ(ghost_ring_overflow(self->ring), 0);
}

TEST_F(ring, one_message)
{
	struct ghost_msg_payload_task_preempt in = {
		.gtid = 0x123456789abc, .cpu = 3, .was_latched = 1,
	}, out;
	const struct ghost_msg *msg;

	ASSERT_TRUE(produce(self->ring, MSG_TASK_PREEMPT, 17, &in, sizeof(in)));
	msg = ghost_ring_peek(self->ring, NELEMS);
	ASSERT_NE(msg, NULL);
	EXPECT_EQ(msg->type, MSG_TASK_PREEMPT);
	EXPECT_EQ(msg->seqnum, 17);
	EXPECT_EQ(msg->length, 48);
	EXPECT_EQ(ghost_msg_slots(msg), 6);
	memcpy(&out, msg->payload, sizeof(out));
	EXPECT_EQ(memcmp(&in, &out, sizeof(in)), 0);
	/* A look does not take it away. */
	EXPECT_EQ(ghost_ring_peek(self->ring, NELEMS), msg);
	ghost_ring_consume(self->ring, msg);
	EXPECT_EQ(self->ring->tail, 6);
	EXPECT_EQ(ghost_ring_peek(self->ring, NELEMS), NULL);
}

TEST_F(ring, lengths_round_up)
{
	struct ghost_msg msg = { .length = 8 };

	EXPECT_EQ(ghost_msg_slots(&msg), 1);
	msg.length = 9;
	EXPECT_EQ(ghost_msg_slots(&msg), 2);
	msg.length = 12;
	EXPECT_EQ(ghost_msg_slots(&msg), 2);
	msg.length = 16;
	EXPECT_EQ(ghost_msg_slots(&msg), 2);
	msg.length = 65535;
	EXPECT_EQ(ghost_msg_slots(&msg), 8192);
}

/* Counters run freely through 2^32, over the end of the array many times. */
TEST_F(ring, order_over_the_end_and_counter_wrap)
{
	uint32_t in = 0, out = 0;

	self->ring->head = (uint32_t)-40;
	self->ring->tail = (uint32_t)-40;
	while (out < 1000) {
		const struct ghost_msg *msg;
		uint64_t payload[4];

		memset(payload, (int)(in & 0xff), sizeof(payload));
		while (produce(self->ring, MSG_TASK_WAKEUP, in, payload,
			       (uint16_t)(8 + in % 4 * 8))) {
			in++;
			memset(payload, (int)(in & 0xff), sizeof(payload));
		}
		msg = ghost_ring_peek(self->ring, NELEMS);
		ASSERT_NE(msg, NULL);
		ASSERT_EQ(msg->type, MSG_TASK_WAKEUP);
		ASSERT_EQ(msg->seqnum, out);
		ASSERT_EQ(msg->length, 16 + out % 4 * 8);
		ASSERT_EQ(*(const uint8_t *)msg->payload, (out & 0xff));
		ghost_ring_consume(self->ring, msg);
		out++;
	}
	EXPECT_GT(ghost_ring_overflow(self->ring), 0);
}

#define STREAM 20000

static void *producer(void *arg)
{
	uint32_t seq;

	for (seq = 0; seq < STREAM; seq++) {
		uint64_t payload[3] = { seq, ~(uint64_t)seq, seq };

		while (!produce(arg, MSG_TASK_NEW, seq, payload,
				(uint16_t)(8 + seq % 3 * 8)))
			sched_yield();
	}
	return NULL;
}

TEST_F(ring, two_threads)
{
	pthread_t thread;
	uint32_t seq = 0;

	ASSERT_EQ(pthread_create(&thread, NULL, producer, self->ring), 0);
	while (seq < STREAM) {
		const struct ghost_msg *msg;
		uint64_t payload[3];

		msg = ghost_ring_peek(self->ring, NELEMS);
		if (!msg) {
			sched_yield();
			continue;
		}
		ASSERT_EQ(msg->seqnum, seq);
		memcpy(payload, msg->payload, msg->length - sizeof(*msg));
		ASSERT_EQ(payload[0], seq);
		if (seq % 3)
			ASSERT_EQ(payload[1], ~(uint64_t)seq);
		ghost_ring_consume(self->ring, msg);
		seq++;
	}
	pthread_join(thread, NULL);
	EXPECT_EQ(ghost_ring_peek(self->ring, NELEMS), NULL);
}

TEST(queue_header_leads_to_ring)
{
	union {
		struct ghost_queue_header header;
		char bytes[128];
	} map = { .header = { .start = 64, .nelems = 4 } };

	EXPECT_EQ((char *)ghost_queue_ring(&map.header), map.bytes + 64);
}

TEST(txn_ready_abort_busy)
{
	struct ghost_txn txn = { .state = GHOST_TXN_COMPLETE };

	EXPECT_FALSE(ghost_txn_busy(&txn));
	EXPECT_FALSE(ghost_txn_abort(&txn));
	EXPECT_EQ(txn.state, GHOST_TXN_COMPLETE);
	ghost_txn_prepare(&txn, 5, 6, 7, RTLA_ON_IDLE, COMMIT_AT_TXN_COMMIT);
	EXPECT_EQ(txn.gtid, 5);
	EXPECT_EQ(txn.task_barrier, 6);
	EXPECT_EQ(txn.agent_barrier, 7);
	EXPECT_EQ(txn.run_flags, RTLA_ON_IDLE);
	EXPECT_EQ(txn.commit_flags, COMMIT_AT_TXN_COMMIT);
	EXPECT_EQ(ghost_txn_state_get(&txn), GHOST_TXN_READY);
	EXPECT_TRUE(ghost_txn_busy(&txn));
	EXPECT_TRUE(ghost_txn_abort(&txn));
	EXPECT_EQ(ghost_txn_state_get(&txn), GHOST_TXN_ABORTED);
	EXPECT_FALSE(ghost_txn_busy(&txn));
	/* The kernel has claimed it: too late. */
	txn.state = 3;
	EXPECT_TRUE(ghost_txn_busy(&txn));
	EXPECT_FALSE(ghost_txn_abort(&txn));
	EXPECT_EQ(txn.state, 3);
}

TEST(barriers_wrap)
{
	EXPECT_TRUE(ghost_barrier_after(2, 1));
	EXPECT_FALSE(ghost_barrier_after(1, 1));
	EXPECT_FALSE(ghost_barrier_after(1, 2));
	EXPECT_TRUE(ghost_barrier_after(0, UINT32_MAX));
	EXPECT_FALSE(ghost_barrier_after(UINT32_MAX, 0));
}

TEST(gtid_has_the_thread_id)
{
	EXPECT_EQ(ghost_gtid_tid(((int64_t)4194303 << 41) | 99), 4194303);
	EXPECT_EQ(ghost_gtid_tid(((int64_t)1 << 41) | 1), 1);
}

TEST_HARNESS_MAIN
