// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* What one agent does on its CPU: wait, or commit. */
#include <errno.h>

#include "crew.h"

int ghost_agent_cpu(const struct ghost_agent *a)
{
	return a->cpu;
}

int ghost_agent_index(const struct ghost_agent *a)
{
	return a->index;
}

struct ghost_queue *ghost_agent_queue(const struct ghost_agent *a)
{
	return a->queue;
}

uint32_t ghost_agent_barrier(const struct ghost_agent *a)
{
	return ghost_sw_barrier(a->sw);
}

bool ghost_agent_boosted(const struct ghost_agent *a)
{
	return ghost_sw_flags(a->sw) & GHOST_SW_BOOST_PRIO;
}

int ghost_agent_wait(struct ghost_agent *a, uint32_t barrier, int run_flags)
{
	int err = ghost_sys_run(a->enclave->ctl, GHOST_NULL_GTID, a->cpu,
				barrier, run_flags);

	return err == -ESTALE ? 0 : err;
}

int ghost_agent_run_task(struct ghost_agent *a, struct ghost_task *task,
			 uint32_t barrier, uint16_t run_flags, int32_t *state)
{
	unsigned long mask[MAX_CPUS / BITS_PER_LONG];
	int word = a->cpu / BITS_PER_LONG, i, err;

	if (ghost_txn_busy(a->txn))
		return -EBUSY;
	ghost_txn_prepare(a->txn, task->gtid, task->barrier, barrier,
			  run_flags, COMMIT_AT_TXN_COMMIT);
	for (i = 0; i < word; i++)
		mask[i] = 0;
	mask[word] = 1UL << (a->cpu % BITS_PER_LONG);
	err = ghost_sys_commit_txn(a->enclave->ctl, mask,
				   (size_t)(word + 1) * sizeof(long));
	if (err) {
		ghost_txn_abort(a->txn);
		return err;
	}
	*state = ghost_txn_state_get(a->txn);
	if (*state >= 0) {
		/* Not looked at: the CPU has just left the enclave. */
		ghost_txn_abort(a->txn);
		*state = GHOST_TXN_INVALID_CPU;
	}
	if (*state == GHOST_TXN_COMPLETE)
		task->state = GHOST_TASK_ON_CPU;
	return 0;
}

int64_t ghost_agent_commit_time(const struct ghost_agent *a)
{
	return a->txn->commit_time;
}
