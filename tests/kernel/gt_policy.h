/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/* A minimal policy for tests that need one which goes on by itself. */
#ifndef GT_POLICY_H
#define GT_POLICY_H

#include "gt.h"

/*
 * A job for gt_host_start(): gives the agent's CPU to every runnable task in
 * turn, each until it blocks or somebody wakes the agent. Messages come to the
 * agent's own queue, which becomes the default queue of the enclave; words of
 * the gone are freed. Ends when RUN fails, with its error. Who wants to know
 * that threads can join now hands over a word in shared memory, which becomes 1.
 */
long gt_schedule_all(struct gt_agent *a, void *adopted);

/* The same as a process, to which whoever joins from now on is told. */
pid_t gt_policy_start(struct gt_enclave *e, int cpu);

#endif /* GT_POLICY_H */
