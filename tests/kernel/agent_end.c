// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Agents: what they keep, what they may, and what RUN changes. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"

#define load(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)

static struct gt_agent agent;		/* of CPU 1 */
static struct gt_enclave *goal;		/* for what the task does */

FIXTURE(agent_end) {
	struct gt_enclave e;
	struct gt_task t;
};

FIXTURE_SETUP(agent_end)
{
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	goal = &self->e;
	ASSERT_EQ(0, gt_task_start(&self->t));
}

FIXTURE_TEARDOWN(agent_end)
{
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	gt_task_end(&self->t);
	gt_enclave_close(&self->e);
}

/* ---- becoming, gated ---- */

static long try_to_become(long unused)
{
	return gt_put(goal->ctl, "become agent 1 -1");
}

/* A thread that left an enclave of ABI 90 and whose word there is not freed. */
TEST_F(agent_end, gated_by_the_other_abi)
{
	const char *dir = GT_ROOT "/enclave_5200";
	struct ghost_ioc_set_default_queue def;
	struct sched_param sp = { 0 };
	struct gt_queue q;
	struct gt_msg m;
	int ctl, tasks;
	char pid[16];

	ASSERT_LT(0, gt_write_file(GT_ROOT "/ctl", "create 5200 90"));
	ctl = gt_open_at(dir, "ctl", O_RDWR);
	tasks = gt_open_at(dir, "tasks", O_RDWR);
	ASSERT_LE(0, ctl);
	ASSERT_LE(0, tasks);
	ASSERT_LT(0, gt_put(ctl, "create sw_region 0 0"));
	ASSERT_EQ(0, gt_queue_create(ctl, 64, &q));
	def.fd = q.fd;
	ASSERT_EQ(0, gt_ioctl(ctl, GHOST_IOC_SET_DEFAULT_QUEUE, &def));
	snprintf(pid, sizeof(pid), "%d", self->t.pid);
	ASSERT_LT(0, gt_put(tasks, pid));
	ASSERT_EQ(0, sched_setscheduler(self->t.pid, SCHED_OTHER, &sp));
	ASSERT_EQ(0, gt_next_type(&q, self->t.gtid, MSG_TASK_DEPARTED, &m));

	EXPECT_EQ(-EINVAL, gt_join(&self->e, self->t.pid));
	gt_tell_call(&self->t, try_to_become, 0);
	ASSERT_TRUE(gt_wait_for(load(&self->t.ctl->done) == self->t.ctl->seq));
	EXPECT_EQ(-EINVAL, self->t.ctl->result);
	/* The end of that enclave frees it. */
	EXPECT_EQ(7, gt_put(ctl, "destroy"));
	close(ctl);
	close(tasks);
	gt_queue_close(&q);
	EXPECT_TRUE(gt_wait_for(gt_join(&self->e, self->t.pid) == 0));
}

/* ---- being ---- */

static long spin_200_ms(struct gt_agent *a, void *cfs)
{
	uint64_t before = load(&((struct gt_task *)cfs)->ctl->count);
	int64_t end = gt_now_ms() + 200;

	while (gt_now_ms() < end)
		;
	return load(&((struct gt_task *)cfs)->ctl->count) - before;
}

TEST_F(agent_end, keeps_the_cpu)
{
	ASSERT_EQ(0, gt_pin(self->t.pid, 1));
	gt_tell(&self->t, GT_SPIN);
	ASSERT_TRUE(gt_spins(&self->t));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	EXPECT_EQ(0, gt_call(&agent, spin_200_ms, &self->t))
		TH_LOG("another thread has had a slice");
	EXPECT_TRUE(gt_spins(&self->t));
}

/* ---- RUN ---- */

static int park(struct gt_agent *a, int run_flags)
{
	struct ghost_ioc_run run = { .run_cpu = a->cpu, .run_flags = run_flags };
	int ret;

	do {
		run.agent_barrier = gt_barrier(a->sw);
		ret = gt_run(a->e, &run);
	} while (ret == -ESTALE);
	return ret;
}

static int commit_null(struct gt_agent *a, uint16_t run_flags)
{
	do {
		gt_txn_fill(a->e, a->cpu, &(struct gt_txn){
			.agent_barrier = gt_barrier(a->sw),
			.run_flags = run_flags,
			.commit_flags = COMMIT_AT_TXN_COMMIT,
		});
		gt_txn_ioctl(a->e, 1ULL << a->cpu);
	} while (gt_txn_state(a->e, a->cpu) == GHOST_TXN_AGENT_STALE);
	return gt_txn_state(a->e, a->cpu);
}

static int came_back;

/* The commit wants the agent when nothing is left, RUN does not. */
static long park_for_good(struct gt_agent *a, void *unused)
{
	int state = commit_null(a, RTLA_ON_IDLE);

	if (state != GHOST_TXN_COMPLETE)
		return state;
	__atomic_store_n(&came_back, 1, __ATOMIC_RELEASE);
	return park(a, 0);
}

TEST_F(agent_end, yield_replaces_the_run_flags)
{
	long ret = -1;

	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	ASSERT_EQ(0, gt_post(&agent, park_for_good, NULL));
	ASSERT_TRUE(gt_wait_for(load(&came_back)));
	gt_sleep_ms(GT_QUIET_MS);
	EXPECT_NE(agent.posted, load(&agent.done));
	ASSERT_EQ(0, gt_finish(&agent, &ret));
	EXPECT_EQ(0, ret);
}

/* How far does the counter go over three parks and a commit? */
static long count_parks(struct gt_agent *a, void *unused)
{
	uint64_t before;
	int i;

	if (commit_null(a, RTLA_ON_IDLE) != GHOST_TXN_COMPLETE)
		return -1;
	before = a->e->cpu[a->cpu].txn.cpu_seqnum;
	for (i = 0; i < 3; i++)
		if (park(a, RTLA_ON_IDLE))
			return -2;
	if (commit_null(a, RTLA_ON_IDLE) != GHOST_TXN_COMPLETE)
		return -3;
	return a->e->cpu[a->cpu].txn.cpu_seqnum - before;
}

TEST_F(agent_end, yield_steps_cpu_seqnum)
{
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	/* Three parks, the latch and the transaction. */
	EXPECT_EQ(5, gt_call(&agent, count_parks, NULL));
}

/* ---- without CAP_SYS_NICE ---- */

static long as_nobody(long unused)
{
	struct ghost_ioc_create_queue q = { .elems = 16 };
	struct ghost_ioc_get_cpu_time time = { 0 };
	int tasks;

	if (setgid(65534) || setuid(65534))
		return -1;
	if (gt_ioctl(goal->ctl, GHOST_IOC_NULL, NULL))
		return -2;
	if (gt_ioctl(goal->ctl, GHOST_IOC_CREATE_QUEUE, &q) < 0)
		return -3;
	if (gt_ioctl(goal->ctl, GHOST_IOC_GET_CPU_TIME, &time))
		return -4;
	if (gt_txn_ioctl(goal, 2) || gt_sync_ioctl(goal, 0) != 1)
		return -5;
	tasks = gt_file(goal, "tasks", O_RDWR);
	if (tasks < 0)
		return tasks;
	return gt_put(tasks, "0");
}

TEST_F(agent_end, what_needs_no_capability)
{
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	gt_tell_call(&self->t, as_nobody, 0);
	/* Its last step makes it a member, which the agent has to run. */
	if (!gt_wait_for(gt_sw(&self->e, self->t.gtid))) {
		EXPECT_EQ(1, self->t.ctl->result);
		return;
	}
	ASSERT_EQ(0, gt_drive(&agent, 1, &self->t, MSG_TASK_BLOCKED, NULL));
	EXPECT_EQ(1, self->t.ctl->result);
	EXPECT_EQ(SCHED_GHOST, gt_policy(self->t.pid));
}

TEST_HARNESS_MAIN
