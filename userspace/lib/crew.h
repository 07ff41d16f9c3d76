/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
#ifndef GHOST_CREW_H
#define GHOST_CREW_H

#include "internal.h"

/* What the threads of a crew are to do next; only ever moves forward. */
enum phase {
	PHASE_PREPARE,		/* wait: another crew may be at work */
	PHASE_JOIN,		/* become agents, then wait */
	PHASE_RUN,
	PHASE_STOP,
};

/**
 * struct ghost_agent - one CPU's place in a crew
 * @joined: 0 not yet, 1 is an agent, or -errno; under the crew's lock
 * @sw: its status word, set before PHASE_RUN
 */
struct ghost_agent {
	struct ghost_crew *crew;
	struct ghost_enclave *enclave;
	struct ghost_queue *queue;
	int index;
	int cpu;
	struct ghost_txn *txn;
	const struct ghost_status_word *sw;
	struct ghost_sw_info sw_info;
	pthread_t thread;
	bool started;
	int joined;
};

/**
 * struct ghost_crew
 * @online: descriptor that says that these agents are online, or -1
 * @lock: protects @phase, @error, @joined_ns and the agents' @joined
 * @changed: signalled when any of them changes
 * @joined_ns: when the first of them became an agent; complete when all have
 * @phase: read without the lock by working agents
 */
struct ghost_crew {
	struct ghost_enclave *enclave;
	struct ghost_crew_ops ops;
	void *arg;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int64_t joined_ns;
	int phase;
	int error;
	int online;
	int nr_agents;
	struct ghost_agent agents[];
};

#endif /* GHOST_CREW_H */
