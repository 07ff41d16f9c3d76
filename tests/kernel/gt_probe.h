/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/* What tests let the program of bpf/probe.bpf.c that picks do. */
#ifndef GT_PROBE_H
#define GT_PROBE_H

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "gt_bpf.h"
#include "bpf/probe.h"

static inline uint32_t load32(uint32_t *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

/* Let the program on @cpu do @op; its result, or -ETIMEDOUT. */
static inline int64_t call(struct probe *p, struct gt_enclave *e, int cpu, int op,
			   int64_t a, int64_t b, int64_t c)
{
	struct probe_call *call = &p->call[cpu];

	call->op = op;
	call->arg[0] = a;
	call->arg[1] = b;
	call->arg[2] = c;
	__atomic_store_n(&call->armed, 1, __ATOMIC_RELEASE);
	/* Each ping makes the agent run and park again. */
	if (!gt_wait_for(!load32(&call->armed) || (gt_ping(e, cpu), false)))
		return -ETIMEDOUT;
	return call->ret;
}

static inline uint32_t barrier_of(struct gt_enclave *e, struct gt_task *t)
{
	return gt_barrier(gt_sw(e, t->gtid));
}

/*
 * run_gtid with the barrier of the moment. A thread of another class may take
 * the latch or the CPU: the PREEMPT that says so has stepped the barrier.
 */
static inline int64_t run_task(struct probe *p, struct gt_enclave *e, int cpu,
			       struct gt_task *t, int flags)
{
	int64_t ret;
	int i;

	for (i = 0; i < 100; i++) {
		ret = call(p, e, cpu, PROBE_RUN_GTID, t->gtid, barrier_of(e, t), flags);
		if (ret != -ESTALE)
			break;
	}
	return ret;
}

/* A process that changes the nice value of @pid all the time, until it is killed. */
static inline pid_t start_renicing(pid_t pid)
{
	pid_t child = fork();
	int i;

	if (child)
		return child;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (i = 0;; i = !i)
		setpriority(PRIO_PROCESS, pid, i);
}

#endif /* GT_PROBE_H */
