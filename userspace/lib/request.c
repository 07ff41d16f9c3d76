// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * What an agent wants to run on any CPUs: claim their transactions, fill them
 * in, have the kernel look at them, read the answers, give them back.
 *
 * A transaction is written by its owner only, and only while it is not busy.
 */
#include <errno.h>

#include "crew.h"

static struct ghost_txn *txn_of(const struct ghost_agent *a,
				const struct ghost_request *r)
{
	return ghost_enclave_txn(a->enclave, r->cpu);
}

/* GHOST_TXN_READY: it is ours. Else why not. */
static int32_t claim(const struct ghost_agent *a, const struct ghost_request *r)
{
	struct ghost_txn *txn = txn_of(a, r);

	/* That of a CPU which was never in the enclave is all zeroes. */
	if (!txn || (r->cpu != a->cpu && !enclave_has_cpu(a->enclave, r->cpu)))
		return GHOST_TXN_INVALID_CPU;
	if (!ghost_txn_own(txn, a->cpu))
		return GHOST_TXN_ABORTED;
	if (!ghost_txn_busy(txn))
		return GHOST_TXN_READY;
	ghost_txn_disown(txn);
	return GHOST_TXN_ABORTED;
}

static void fill(const struct ghost_agent *a, const struct ghost_request *r)
{
	ghost_txn_prepare(txn_of(a, r), r->gtid, r->task_barrier,
			  r->agent_barrier, r->run_flags, r->commit_flags);
}

int ghost_agent_submit(struct ghost_agent *a, struct ghost_request *r, int nr)
{
	int i, pending = 0;

	for (i = 0; i < nr; i++) {
		r[i].state = claim(a, &r[i]);
		if (!ghost_request_pending(&r[i]))
			continue;
		fill(a, &r[i]);
		pending++;
	}
	return pending;
}

/* The CPUs of pending requests; returns the length of the mask, bytes. */
static size_t cpus_of(const struct ghost_request *r, int nr,
		      unsigned long *mask)
{
	int i, word, words = 0;

	for (i = 0; i < nr; i++) {
		if (!ghost_request_pending(&r[i]))
			continue;
		word = r[i].cpu / BITS_PER_LONG;
		while (words <= word)
			mask[words++] = 0;
		mask[word] |= 1UL << (r[i].cpu % BITS_PER_LONG);
	}
	return (size_t)words * sizeof(*mask);
}

/* Without an answer: the kernel has not looked at it. */
static void read_answer(struct ghost_request *r, const struct ghost_txn *txn)
{
	r->state = ghost_txn_state_get(txn);
	if (ghost_request_pending(r))
		return;
	r->commit_time = txn->commit_time;
	r->cpu_seqnum = txn->cpu_seqnum;
}

int ghost_agent_collect(struct ghost_agent *a, struct ghost_request *r, int nr)
{
	int i, pending = 0;

	for (i = 0; i < nr; i++) {
		struct ghost_txn *txn = txn_of(a, &r[i]);

		if (!ghost_request_pending(&r[i]))
			continue;
		read_answer(&r[i], txn);
		if (ghost_request_pending(&r[i]))
			pending++;
		else
			ghost_txn_disown(txn);
	}
	return pending;
}

int ghost_agent_cancel(struct ghost_agent *a, struct ghost_request *r, int nr)
{
	int i;

	for (i = 0; i < nr; i++)
		if (ghost_request_pending(&r[i]))
			ghost_txn_abort(txn_of(a, &r[i]));
	return ghost_agent_collect(a, r, nr);
}

/* Would COMMIT_TXN by @a have committed it? */
static bool at_once(const struct ghost_agent *a, const struct ghost_request *r)
{
	return r->cpu == a->cpu || r->commit_flags & COMMIT_AT_TXN_COMMIT;
}

int ghost_agent_commit(struct ghost_agent *a, struct ghost_request *r, int nr)
{
	unsigned long mask[MAX_CPUS / BITS_PER_LONG];
	size_t bytes;
	int i, err;

	if (!ghost_agent_submit(a, r, nr))
		return 0;
	bytes = cpus_of(r, nr, mask);
	err = ghost_sys_commit_txn(a->enclave->ctl, mask, bytes);
	if (err) {
		ghost_agent_cancel(a, r, nr);
		return err;
	}
	if (!ghost_agent_collect(a, r, nr))
		return 0;
	for (i = 0; i < nr; i++) {
		if (!ghost_request_pending(&r[i]) || !at_once(a, &r[i]))
			continue;
		/* Not looked at: the CPU has just left the enclave. */
		if (!ghost_agent_cancel(a, &r[i], 1) &&
		    r[i].state == GHOST_TXN_ABORTED)
			r[i].state = GHOST_TXN_INVALID_CPU;
	}
	return 0;
}

/* None of the group is committed: give it back, say why. */
static void group_failed(struct ghost_agent *a, struct ghost_request *r, int nr)
{
	int i;

	/* Somebody may be committing one by itself: that does not take long. */
	while (ghost_agent_cancel(a, r, nr))
		;
	for (i = 0; i < nr; i++) {
		/* Not looked at: the CPU has just left the enclave. */
		if (r[i].state == GHOST_TXN_ABORTED)
			r[i].state = GHOST_TXN_INVALID_CPU;
		/* Committed before another one failed, then taken off again. */
		if (r[i].state == GHOST_TXN_COMPLETE)
			r[i].state = GHOST_TXN_POISONED;
	}
}

/* All transactions of the group are ours, or none is. */
static bool claim_group(struct ghost_agent *a, struct ghost_request *r, int nr)
{
	int i, n;

	for (n = 0; n < nr; n++) {
		r[n].state = claim(a, &r[n]);
		if (!ghost_request_pending(&r[n]))
			break;
	}
	if (n == nr)
		return true;
	for (i = 0; i < nr; i++) {
		if (i == n)
			continue;
		if (i < n)
			ghost_txn_disown(txn_of(a, &r[i]));
		r[i].state = GHOST_TXN_POISONED;
	}
	return false;
}

int ghost_agent_commit_group(struct ghost_agent *a, struct ghost_request *r,
			     int nr)
{
	unsigned long mask[MAX_CPUS / BITS_PER_LONG];
	size_t bytes;
	int i, ret;

	if (!claim_group(a, r, nr))
		return 0;
	for (i = 0; i < nr; i++) {
		/* No other commit point is to find it. */
		r[i].commit_flags |= COMMIT_AT_TXN_COMMIT;
		fill(a, &r[i]);
	}
	bytes = cpus_of(r, nr, mask);
	ret = ghost_sys_sync_group_txn(a->enclave->ctl, mask, bytes);
	if (ret < 0)
		ghost_agent_cancel(a, r, nr);
	else if (!ret)
		group_failed(a, r, nr);
	if (ret <= 0)
		return ret;
	/* They may be others' already: do not look at them. */
	for (i = 0; i < nr; i++) {
		r[i].state = GHOST_TXN_COMPLETE;
		r[i].commit_time = 0;
		r[i].cpu_seqnum = 0;
	}
	return ret;
}
