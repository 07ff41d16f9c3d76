// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Rows of sync groups: transactions of several CPUs, committed all or none. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "stage.h"

#define OWNER	1	/* any number that is not -1: there is one agent */

static int sync_group(int ctl, const unsigned long *mask)
{
	struct ghost_ioc_commit_txn arg = {
		.mask_ptr = (void *)(uintptr_t)mask,
		.mask_len = sizeof(*mask),
	};
	int ret = ioctl(ctl, GHOST_IOC_SYNC_GROUP_TXN, &arg);

	return ret < 0 ? -errno : ret;
}

static bool own(struct ghost_txn *txn)
{
	int32_t nobody = -1;

	return __atomic_compare_exchange_n(&txn->u.sync_group_owner, &nobody,
					   OWNER, false, __ATOMIC_ACQUIRE,
					   __ATOMIC_RELAXED);
}

static void disown(struct ghost_txn *txn)
{
	__atomic_store_n(&txn->u.sync_group_owner, -1, __ATOMIC_RELEASE);
}

/*
 * The i-th actor goes to the CPU @first + i of the list. A member on the
 * agent's own CPU needs @barrier, and calls the agent back when it has run.
 */
static int64_t commit_group(struct stage *s, int first, uint32_t barrier,
			    int64_t *took)
{
	const int *cpus = s->b->cpus + first;
	int64_t start = stamp();
	unsigned long mask = 0;
	int i, committed;

	for (i = 0; i < s->batch; i++) {
		struct ghost_txn *txn = ghost_enclave_txn(s->enclave, cpus[i]);
		struct ghost_task *task = s->actors[i].task;

		if (!own(txn)) {
			s->err = -EBUSY;
			return 0;
		}
		ghost_txn_prepare(txn, task->gtid, task->barrier, barrier,
				  first ? 0 : RTLA_ON_IDLE,
				  COMMIT_AT_TXN_COMMIT);
		mask |= 1UL << cpus[i];
	}
	committed = sync_group(ghost_enclave_ctl(s->enclave), &mask);
	*took = stamp() - start;
	if (committed > 0) {
		for (i = 0; i < s->batch; i++) {
			s->actors[i].task->state = GHOST_TASK_ON_CPU;
			s->actors[i].committed = start;
		}
		return start;
	}
	if (committed < 0)
		s->err = committed;
	for (i = 0; i < s->batch; i++)
		disown(ghost_enclave_txn(s->enclave, cpus[i]));
	return 0;
}

/* ---- what the agent spends on CPUs that are not its own ---- */

static int64_t commit_others(struct stage *s, int64_t *took)
{
	return commit_group(s, 1, 0, took);
}

static int others_rounds(struct stage *s, struct ghost_agent *agent)
{
	return agent_side(s, agent, commit_others);
}

static int others_body(struct ghost_agent *agent, void *arg)
{
	return measuring_agent(agent, arg, others_rounds);
}

int bench_group(const struct bench *b)
{
	static const struct ghost_crew_ops ops = { .run = others_body };

	if (b->nr_cpus < 3)
		return fail("group wants --cpus of 3 CPUs or more", -EINVAL);
	return bench_sizes(b, &ops, "group", 2);
}

/* ---- until the tasks of the agent's CPU and another one both run ---- */

static void add_both(struct stage *s, struct samples *both, int64_t start)
{
	int64_t first = s->actors[0].player->resumed;
	int64_t second = s->actors[1].player->resumed;

	/* Both yielded, and nothing else befell them. */
	if (s->schedule.n == 2)
		add_sample(both, (first > second ? first : second) - start);
}

static int both_rounds(struct stage *s, struct ghost_agent *agent)
{
	int rounds = s->b->rounds ? s->b->rounds : 500;
	static struct samples both;
	int64_t start = 0, took;
	int rep = 0, err;

	for (;;) {
		uint32_t barrier = ghost_agent_barrier(agent);

		err = poll_all(s, agent, SETTLE);
		if (err || ghost_agent_stopping(agent))
			return err;
		if (start)
			add_both(s, &both, start);
		s->schedule.n = 0;
		s->delivery.n = 0;
		if (both.n >= rounds) {
			if (!rep++)
				both.n = 0;
			end_repetition(&both, &s->scheduled);
			if (rep > s->b->reps)
				return 0;
		}
		if (ghost_agent_boosted(agent)) {
			start = 0;
			err = ghost_agent_wait(agent, barrier, RTLA_ON_IDLE);
		} else {
			start = commit_group(s, 0, barrier, &took);
			err = s->err;
		}
		if (err)
			return err;
	}
}

static int both_body(struct ghost_agent *agent, void *arg)
{
	return measuring_agent(agent, arg, both_rounds);
}

int bench_both(const struct bench *b)
{
	static const struct ghost_crew_ops ops = { .run = both_body };
	int ret;

	if (b->nr_cpus < 2)
		return fail("both wants --cpus of 2 CPUs", -EINVAL);
	stage.polling = true;
	ret = perform(b, &ops, play, 2, 2);
	stage.scheduled.row = "group-both";
	if (!ret)
		print_result(b, &stage.scheduled);
	close_stage(&stage);
	return ret;
}
