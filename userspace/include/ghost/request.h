/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * Part of <ghost/ghost.h>: what an agent wants to run on several CPUs, or on
 * another one, or later.
 *
 * Each CPU of the enclave has one transaction. An agent that asks for a CPU
 * owns its transaction until the answer is there, so agents may ask for the
 * same CPUs: who comes second is told so. The owner in the transaction is the
 * agent's CPU.
 */
#ifndef GHOST_REQUEST_H
#define GHOST_REQUEST_H

#include <string.h>
#include <ghost/sys.h>

GHOST_BEGIN_DECLS

struct ghost_agent;

/**
 * struct ghost_request - what is to run on a CPU
 * @cpu: CPU of the enclave
 * @commit_flags: COMMIT_AT_* and friends
 * @run_flags: RTLA_* and friends
 * @gtid: a task; GHOST_NULL_GTID: nothing, whatever runs there stops;
 *	GHOST_IDLE_GTID: keep the CPU idle; GHOST_AGENT_GTID: its agent
 * @task_barrier: of the last message about the task
 * @agent_barrier: from ghost_agent_barrier(); counts when @cpu is the CPU of
 *	the agent that asks
 * @state: out: enum ghost_txn_state; not negative while there is no answer
 * @commit_time: out: monotonic ns of the answer
 * @cpu_seqnum: out: history counter of @cpu, if the answer is
 *	GHOST_TXN_COMPLETE; messages from @cpu that are later have greater ones
 *
 * Out of a group that was committed @commit_time and @cpu_seqnum are 0.
 */
struct ghost_request {
	int cpu;
	uint8_t commit_flags;
	uint16_t run_flags;
	int64_t gtid;
	uint32_t task_barrier;
	uint32_t agent_barrier;
	int32_t state;
	int64_t commit_time;
	uint64_t cpu_seqnum;
};

/**
 * ghost_request_init() - fill a request, to be committed at once
 * @request: what to fill
 * @cpu: CPU of the enclave
 * @gtid: what to run there
 * @task_barrier: of the last message about it, 0 if it is no task
 */
static inline void ghost_request_init(struct ghost_request *request, int cpu,
				      int64_t gtid, uint32_t task_barrier)
{
	memset(request, 0, sizeof(*request));
	request->cpu = cpu;
	request->gtid = gtid;
	request->task_barrier = task_barrier;
	request->commit_flags = COMMIT_AT_TXN_COMMIT;
	request->state = GHOST_TXN_ABORTED;
}

/**
 * ghost_request_pending() - is there no answer yet
 * @request: request that was submitted
 */
static inline bool ghost_request_pending(const struct ghost_request *request)
{
	return request->state >= 0;
}

/**
 * ghost_agent_commit() - ask for several CPUs, each by itself
 * @agent: the calling thread
 * @requests: what to run
 * @nr: how many
 *
 * Answers come in @state: GHOST_TXN_ABORTED if somebody else is just asking for
 * this CPU, so that nothing was done; else what the kernel says. The agent's
 * own CPU comes last, and is GHOST_TXN_POISONED if another one was refused, so
 * that the agent sees that before it parks. A request
 * without COMMIT_AT_TXN_COMMIT for another CPU stays pending:
 * ghost_agent_collect() it.
 *
 * When a commit for the agent's own CPU succeeds, the call returns when the
 * agent is woken again. Until then it owns all of these transactions; if other
 * agents are to ask for these CPUs meanwhile, commit a group.
 *
 * Return: 0; or -errno: nothing was committed.
 */
GHOST_API int ghost_agent_commit(struct ghost_agent *agent,
				 struct ghost_request *requests, int nr);

/**
 * ghost_agent_commit_group() - ask for several CPUs, all or none
 * @agent: the calling thread
 * @requests: what to run, CPUs ascending, so that of several agents that ask
 *	for overlapping sets one gets on
 * @nr: how many
 *
 * They get the flag COMMIT_AT_TXN_COMMIT.
 *
 * When the group is committed the kernel gives the transactions back at once,
 * before the agent parks. A group of one is the way to commit for a CPU that
 * others commit for, too.
 *
 * Return: 1 if all were committed; 0 if none was: @state says why,
 * GHOST_TXN_POISONED that it was another one's fault; or -errno.
 */
GHOST_API int ghost_agent_commit_group(struct ghost_agent *agent,
				       struct ghost_request *requests, int nr);

/**
 * ghost_agent_submit() - leave requests for the kernel to find
 * @agent: the calling thread
 * @requests: what to run
 * @nr: how many
 *
 * No system call. A request with COMMIT_AT_SCHEDULE, or with neither
 * COMMIT_AT_* flag, is committed when its CPU schedules next while its agent
 * waits and nobody else wants it; the latter also at a tick, if commit_at_tick
 * is on.
 *
 * Return: how many are pending now; the others are GHOST_TXN_ABORTED, since
 * somebody is just asking for these CPUs.
 */
GHOST_API int ghost_agent_submit(struct ghost_agent *agent,
				 struct ghost_request *requests, int nr);

/**
 * ghost_agent_collect() - look for answers
 * @agent: the thread that asked
 * @requests: its requests; those that are not pending are left alone
 * @nr: how many
 *
 * Return: how many are still pending.
 */
GHOST_API int ghost_agent_collect(struct ghost_agent *agent,
				  struct ghost_request *requests, int nr);

/**
 * ghost_agent_cancel() - take pending requests back
 * @agent: the thread that asked
 * @requests: its requests; those that are not pending are left alone
 * @nr: how many
 *
 * @state is GHOST_TXN_ABORTED then, or the answer, if that came first.
 *
 * Return: how many the kernel is just looking at: collect them in a moment.
 */
GHOST_API int ghost_agent_cancel(struct ghost_agent *agent,
				 struct ghost_request *requests, int nr);

GHOST_END_DECLS

#endif /* GHOST_REQUEST_H */
