/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
#ifndef FIFO_H
#define FIFO_H

#include <sys/queue.h>
#include <ghost/ghost.h>

#define FIFO_NR_STATES	16	/* results of a commit */

/**
 * struct fifo_stats - what happened so far; any thread may look
 * @messages: taken from the queue
 * @commits: tasks sent to the CPU
 * @failed: commits that were refused, by reason (index 0 stays 0)
 * @load: tasks placed on this CPU, asleep or not
 * @ready: tasks that wait for the CPU
 * @running: a task has the CPU, or its agent thinks so
 * @boosted: threads of other classes want the CPU
 */
struct fifo_stats {
	uint64_t messages;
	uint64_t commits;
	uint64_t failed[FIFO_NR_STATES];
	int load;
	int ready;
	bool running;
	bool boosted;
};

/* One task's place; travels in the library's table beside its ghost_task. */
struct fifo_job {
	TAILQ_ENTRY(fifo_job) link;
	struct ghost_task *task;
	bool queued;
	bool placed;		/* this CPU was chosen for it, and counts it */
};

TAILQ_HEAD(fifo_list, fifo_job);

/**
 * struct fifo_cpu - one CPU; all but @rotate, @relieve, @commits_seen and @stats
 * is its agent's alone
 * @ready: tasks that wait for the CPU, first come first served
 * @misses: commits in a row that must be tried again later
 * @overflow: overflow count of the queue when last looked at
 * @rotate: the slice is over: the task that is preempted next goes last
 * @relieve: others have had the CPU since the last look of fifo_relieve()
 * @commits_seen: commits at that look; fifo_relieve()'s alone
 */
struct fifo_cpu {
	struct fifo *fifo;
	int index;
	struct ghost_agent *agent;
	struct ghost_tasks *tasks;
	struct fifo_list ready;
	int misses;
	uint32_t overflow;
	bool rotate;
	bool relieve;
	uint64_t commits_seen;
	struct fifo_stats stats;
};

/**
 * struct fifo - the policy
 * @next: CPU at which the search for the least loaded one starts
 * @moved: tasks handed over to another CPU
 * @released: tasks given back because no CPU of the enclave is theirs
 * @unsettled: tasks found at the handoff that have not run yet
 * @longest_wait_ns: longest time that one of them had waited when it ran
 */
struct fifo {
	struct ghost_enclave *enclave;
	struct ghost_crew *crew;
	int next;
	int moved;
	int released;
	int unsettled;
	int64_t longest_wait_ns;
	int nr_cpus;
	struct fifo_cpu cpus[];
};

int fifo_create(struct fifo **fifo, struct ghost_enclave *enclave);
void fifo_destroy(struct fifo *fifo);

/* End the slice of every task that others wait behind. */
void fifo_rotate(struct fifo *fifo);

/*
 * Called in turn, a second apart or so: whoever waits for a CPU that threads of
 * other classes have had from one call to the next goes on elsewhere.
 */
void fifo_relieve(struct fifo *fifo);

#endif /* FIFO_H */
