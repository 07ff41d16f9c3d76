/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * Inline accessors of the memory that is shared with the kernel: message
 * rings, transactions, status words. No system calls, no state.
 */
#ifndef GHOST_SHM_H
#define GHOST_SHM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/ghost.h>
#include <ghost/api.h>

GHOST_BEGIN_DECLS

/* ---- rings: the kernel produces, one thread consumes ---- */

/**
 * ghost_queue_ring() - the ring in a queue mapping
 * @h: the mapping
 */
static inline struct ghost_ring *ghost_queue_ring(struct ghost_queue_header *h)
{
	return (struct ghost_ring *)((char *)h + h->start);
}

/**
 * ghost_msg_slots() - slots that a message occupies
 * @msg: message in a ring
 */
static inline uint32_t ghost_msg_slots(const struct ghost_msg *msg)
{
	return ((uint32_t)msg->length + GHOST_MSG_SLOT_SIZE - 1) /
	       GHOST_MSG_SLOT_SIZE;
}

/**
 * ghost_ring_consume() - give the slots of the oldest message back
 * @ring: ring
 * @msg: from ghost_ring_peek(); not to be looked at any more
 */
static inline void ghost_ring_consume(struct ghost_ring *ring,
				      const struct ghost_msg *msg)
{
	uint32_t tail = ring->tail + ghost_msg_slots(msg);

	/* The kernel may overwrite the slots once it sees the new tail. */
	__atomic_store_n(&ring->tail, tail, __ATOMIC_RELEASE);
}

/**
 * ghost_ring_peek() - the oldest message, fillers skipped
 * @ring: ring
 * @nelems: slots in it, a power of two
 *
 * The payload is aligned to 4 bytes only: copy it out.
 *
 * Return: message, valid until ghost_ring_consume(), or NULL.
 */
static inline const struct ghost_msg *ghost_ring_peek(struct ghost_ring *ring,
						      uint32_t nelems)
{
	/* Pairs with the barrier before the kernel advances head. */
	while (__atomic_load_n(&ring->head, __ATOMIC_ACQUIRE) != ring->tail) {
		const struct ghost_msg *msg = (const struct ghost_msg *)
			((const char *)ring->msgs +
			 (size_t)(ring->tail & (nelems - 1)) *
			 GHOST_MSG_SLOT_SIZE);

		if (msg->type != MSG_NOP)
			return msg;
		ghost_ring_consume(ring, msg);
	}
	return NULL;
}

/**
 * ghost_ring_overflow() - messages that found no room so far
 * @ring: ring
 */
static inline uint32_t ghost_ring_overflow(const struct ghost_ring *ring)
{
	return __atomic_load_n(&ring->overflow, __ATOMIC_RELAXED);
}

/* ---- transactions ---- */

/**
 * ghost_txn_state_get() - state, with acquire
 * @txn: slot
 *
 * Return: enum ghost_txn_state, or the number of the CPU that is committing it.
 * What the kernel has written before an answer can be read after it.
 */
static inline int32_t ghost_txn_state_get(const struct ghost_txn *txn)
{
	return __atomic_load_n(&txn->state, __ATOMIC_ACQUIRE);
}

/**
 * ghost_txn_busy() - may the kernel look at it, or is it doing so
 * @txn: slot
 *
 * Return: true if so: it must not be written.
 */
static inline bool ghost_txn_busy(const struct ghost_txn *txn)
{
	return ghost_txn_state_get(txn) >= 0;
}

/**
 * ghost_txn_prepare() - fill a transaction and make it ready
 * @txn: slot of the target CPU, not busy
 * @gtid: what to run there
 * @task_barrier: barrier of the last message seen of that task
 * @agent_barrier: barrier that the deciding agent read before it looked
 * @run_flags: RTLA_* and friends
 * @commit_flags: COMMIT_AT_* and friends
 */
static inline void ghost_txn_prepare(struct ghost_txn *txn, int64_t gtid,
				     uint32_t task_barrier,
				     uint32_t agent_barrier,
				     uint16_t run_flags, uint8_t commit_flags)
{
	txn->agent_barrier = agent_barrier;
	txn->task_barrier = task_barrier;
	txn->run_flags = run_flags;
	txn->commit_flags = commit_flags;
	txn->gtid = gtid;
	/* Pairs with the kernel's claim (acquire). */
	__atomic_store_n(&txn->state, GHOST_TXN_READY, __ATOMIC_RELEASE);
}

/**
 * ghost_txn_abort() - take a ready transaction back
 * @txn: slot
 *
 * Return: false if it is too late: the kernel looks at it, or has.
 */
static inline bool ghost_txn_abort(struct ghost_txn *txn)
{
	int32_t ready = GHOST_TXN_READY;

	return __atomic_compare_exchange_n(&txn->state, &ready,
					   (int32_t)GHOST_TXN_ABORTED, false,
					   __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/*
 * A transaction has an owner: who may fill it in. It is a number that the
 * agents agree on, -1 is nobody. The kernel looks at it only to give it up when
 * a sync group is committed.
 */
#define GHOST_NO_OWNER	(-1)

/**
 * ghost_txn_own() - become the owner of a transaction
 * @txn: slot
 * @owner: a number of the caller's that is not negative
 *
 * Return: false if it has an owner, the caller included.
 */
static inline bool ghost_txn_own(struct ghost_txn *txn, int32_t owner)
{
	int32_t nobody = GHOST_NO_OWNER;

	/* Pairs with the release of who gives it up: us, or the kernel. */
	return __atomic_compare_exchange_n(&txn->u.sync_group_owner, &nobody,
					   owner, false, __ATOMIC_ACQUIRE,
					   __ATOMIC_RELAXED);
}

/**
 * ghost_txn_owner() - who owns a transaction
 * @txn: slot
 *
 * Return: the number it was owned with, or GHOST_NO_OWNER.
 */
static inline int32_t ghost_txn_owner(const struct ghost_txn *txn)
{
	return __atomic_load_n(&txn->u.sync_group_owner, __ATOMIC_RELAXED);
}

/**
 * ghost_txn_disown() - give up a transaction
 * @txn: slot that the caller owns
 */
static inline void ghost_txn_disown(struct ghost_txn *txn)
{
	/* Pairs with the acquire of the next owner. */
	__atomic_store_n(&txn->u.sync_group_owner, GHOST_NO_OWNER,
			 __ATOMIC_RELEASE);
}

/* ---- status words ---- */

/**
 * ghost_sw_barrier() - barrier, with acquire
 * @sw: status word
 *
 * The flags of the same event can be read after it.
 */
static inline uint32_t ghost_sw_barrier(const struct ghost_status_word *sw)
{
	return __atomic_load_n(&sw->barrier, __ATOMIC_ACQUIRE);
}

/**
 * ghost_sw_flags() - GHOST_SW_* bits, with acquire
 * @sw: status word
 */
static inline uint32_t ghost_sw_flags(const struct ghost_status_word *sw)
{
	return __atomic_load_n(&sw->flags, __ATOMIC_ACQUIRE);
}

/**
 * ghost_sw_gtid() - whose it is
 * @sw: status word
 */
static inline int64_t ghost_sw_gtid(const struct ghost_status_word *sw)
{
	return (int64_t)__atomic_load_n(&sw->gtid, __ATOMIC_RELAXED);
}

/**
 * ghost_sw_at() - a status word of a region
 * @region: mapping
 * @index: less than @region->capacity
 */
static inline const struct ghost_status_word *
ghost_sw_at(const struct ghost_sw_region_header *region, uint32_t index)
{
	return (const struct ghost_status_word *)
		((const char *)region + region->start) + index;
}

/**
 * ghost_barrier_after() - compare barriers, which wrap around
 * @a: a barrier
 * @b: one of the same thread
 *
 * Return: true if @a is the younger one.
 */
static inline bool ghost_barrier_after(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

GHOST_END_DECLS

#endif /* GHOST_SHM_H */
