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

bool ghost_agent_available(const struct ghost_agent *a)
{
	return ghost_sw_flags(a->sw) & GHOST_SW_CPU_AVAIL;
}

int ghost_agent_set_queue(struct ghost_agent *a, struct ghost_queue *q)
{
	int ret;

	do {
		ret = ghost_sys_assoc_queue(a->enclave->ctl, q->fd,
					    ghost_sw_gtid(a->sw),
					    ghost_sw_barrier(a->sw));
	} while (ret == -ESTALE);
	return ret < 0 ? ret : 0;
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
	struct ghost_request r;
	int err;

	ghost_request_init(&r, a->cpu, task->gtid, task->barrier);
	r.agent_barrier = barrier;
	r.run_flags = run_flags;
	err = ghost_agent_commit(a, &r, 1);
	if (err)
		return err;
	if (r.state == GHOST_TXN_ABORTED)
		return -EBUSY;
	*state = r.state;
	if (*state == GHOST_TXN_COMPLETE)
		task->state = GHOST_TASK_ON_CPU;
	return 0;
}

int64_t ghost_agent_commit_time(const struct ghost_agent *a)
{
	return a->txn->commit_time;
}
