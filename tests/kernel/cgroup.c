// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Control groups: what of them applies to members and agents. The freezer and
 * cpuset do, with the help of the policy; cpu.max and cpu.weight do only while
 * a member is lent.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"
#include "gt_policy.h"

#define ROOT	"/sys/fs/cgroup"
#define A	ROOT "/ghost_a"
#define B	ROOT "/ghost_b"
#define MS	1000000ULL

/* 1 ms in a second: who has that cannot run long by chance. */
#define CPU_MAX	"1000 1000000"

static struct gt_agent agent;

/* ---- groups ---- */

static int begin_groups(void)
{
	int ret = gt_write_file(ROOT "/cgroup.subtree_control", "+cpu +cpuset");

	if (ret < 0)
		return ret;
	return (mkdir(A, 0755) || mkdir(B, 0755)) && errno != EEXIST ? -errno : 0;
}

/* Whoever was in one has ended, but may not be gone yet. */
static void end_groups(void)
{
	gt_wait_for(!rmdir(A) || errno == ENOENT);
	gt_wait_for(!rmdir(B) || errno == ENOENT);
	gt_write_file(ROOT "/cgroup.subtree_control", "-cpu -cpuset");
}

static int move(pid_t pid, const char *group)
{
	char path[64], buf[16];
	int ret;

	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	snprintf(buf, sizeof(buf), "%d", pid);
	ret = gt_write_file(path, buf);
	return ret < 0 ? ret : 0;
}

/* The number that stands behind @word in @file. */
static uint64_t number(const char *file, const char *word)
{
	char buf[1024], *found;

	if (gt_read_file(file, buf, sizeof(buf)) <= 0)
		return 0;
	found = strstr(buf, word);
	return found ? strtoull(found + strlen(word), NULL, 10) : 0;
}

static bool frozen(void)
{
	return number(A "/cgroup.events", "\nfrozen ");
}

static uint64_t runtime_of(pid_t pid)
{
	char path[64], buf[128];

	snprintf(path, sizeof(path), "/proc/%d/schedstat", pid);
	return gt_read_file(path, buf, sizeof(buf)) > 0 ?
		strtoull(buf, NULL, 10) : 0;
}

/* Scheduled again and again, does it run for so long, in time? */
static bool gets(struct gt_task *t, uint64_t ns)
{
	uint64_t end = runtime_of(t->pid) + ns;

	return gt_wait_for((gt_put_back(&agent, 1, t), runtime_of(t->pid) >= end));
}

static bool runs_again(struct gt_task *t)
{
	uint64_t before = __atomic_load_n(&t->ctl->count, __ATOMIC_RELAXED);

	return gt_wait_for((gt_put_back(&agent, 1, t),
			    __atomic_load_n(&t->ctl->count, __ATOMIC_RELAXED) != before));
}

/* The next message that is no PREEMPT by a thread of the kernel. */
static const char *next_name(struct gt_enclave *e, struct gt_task *t, int ms)
{
	struct gt_msg m = { 0 };
	int ret;

	do {
		ret = gt_next(&e->q, t->gtid, ms, &m);
	} while (!ret && m.type == MSG_TASK_PREEMPT);
	return ret ? "none" : gt_msg_name(m.type);
}

#define EXPECT_NEXT(want)	\
	EXPECT_STREQ(gt_msg_name(want),	\
		     next_name(&self->e, &self->t, GT_WAIT_MS))

#define EXPECT_NO_MORE()	\
	EXPECT_STREQ("none", next_name(&self->e, &self->t, GT_QUIET_MS))

/* ---- a member in each state ---- */

enum state { ASLEEP, QUEUED, RUNNING };

FIXTURE(member) {
	struct gt_enclave e;
	struct gt_task t;
};

FIXTURE_VARIANT(member) {
	enum state state;
};

FIXTURE_VARIANT_ADD(member, asleep) { .state = ASLEEP };
FIXTURE_VARIANT_ADD(member, queued) { .state = QUEUED };
FIXTURE_VARIANT_ADD(member, running) { .state = RUNNING };

FIXTURE_SETUP(member)
{
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, begin_groups());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->t));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	ASSERT_EQ(0, move(self->t.pid, A));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	if (variant->state == ASLEEP)
		return;
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	if (variant->state == QUEUED)
		return;
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->t, 0));
	ASSERT_TRUE(gt_runs(&agent, 1, &self->t));
}

FIXTURE_TEARDOWN(member)
{
	gt_write_file(A "/cgroup.freeze", "0");
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	gt_task_end(&self->t);
	EXPECT_EQ(0, self->e.q.gaps);
	gt_enclave_close(&self->e);
	end_groups();
}

/* Nobody is told, and who runs goes on; the new group pays. */
TEST_F(member, moves)
{
	uint64_t paid;

	ASSERT_EQ(0, move(self->t.pid, B));
	EXPECT_NO_MORE();
	ASSERT_EQ(0, move(self->t.pid, ROOT));
	ASSERT_EQ(0, move(self->t.pid, B));
	EXPECT_NO_MORE();
	EXPECT_EQ(SCHED_GHOST, gt_policy(self->t.pid));
	if (variant->state == ASLEEP)
		ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	paid = number(B "/cpu.stat", "usage_usec ");
	EXPECT_TRUE(gets(&self->t, 50 * MS));
	EXPECT_LT(paid, number(B "/cpu.stat", "usage_usec "));
}

TEST_F(member, freezes_when_the_policy_runs_it)
{
	ASSERT_EQ(1, gt_write_file(A "/cgroup.freeze", "1"));
	if (variant->state == ASLEEP)
		EXPECT_NEXT(MSG_TASK_WAKEUP);
	if (variant->state != RUNNING) {
		gt_sleep_ms(GT_QUIET_MS);
		EXPECT_FALSE(frozen()) TH_LOG("without a CPU");
	}
	ASSERT_TRUE(gt_wait_for((gt_put_back(&agent, 1, &self->t), frozen())));
	/* It may have lost the CPU between saying so and going to sleep. */
	EXPECT_EQ(0, gt_drive(&agent, 1, &self->t, MSG_TASK_BLOCKED, NULL));
	EXPECT_FALSE(gt_flags(gt_sw(&self->e, self->t.gtid)) & GHOST_SW_TASK_RUNNABLE);
	EXPECT_NO_MORE();
	EXPECT_TRUE(gt_stands(&self->t));
	ASSERT_EQ(1, gt_write_file(A "/cgroup.freeze", "0"));
	EXPECT_NEXT(MSG_TASK_WAKEUP);
	if (variant->state != ASLEEP) {
		EXPECT_TRUE(runs_again(&self->t));
		return;
	}
	EXPECT_EQ(0, gt_drive(&agent, 1, &self->t, MSG_TASK_BLOCKED, NULL));
	EXPECT_TRUE(gt_asleep(&self->t));
}

TEST_F(member, thawed_before_it_ran)
{
	ASSERT_EQ(1, gt_write_file(A "/cgroup.freeze", "1"));
	ASSERT_EQ(1, gt_write_file(A "/cgroup.freeze", "0"));
	if (variant->state == ASLEEP) {
		EXPECT_EQ(0, gt_drive(&agent, 1, &self->t, MSG_TASK_BLOCKED, NULL));
		EXPECT_TRUE(gt_asleep(&self->t));
		ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	}
	EXPECT_TRUE(runs_again(&self->t));
	EXPECT_FALSE(frozen());
}

TEST_F(member, killed_while_frozen)
{
	ASSERT_EQ(1, gt_write_file(A "/cgroup.freeze", "1"));
	ASSERT_TRUE(gt_wait_for((gt_put_back(&agent, 1, &self->t), frozen())));
	ASSERT_EQ(0, kill(self->t.pid, SIGKILL));
	EXPECT_EQ(0, gt_drive(&agent, 1, &self->t, MSG_TASK_DEAD, NULL));
}

/* A change of cpuset is a change of affinity. */
TEST_F(member, cpuset_without_the_cpus_of_the_enclave)
{
	ASSERT_EQ(1, gt_write_file(A "/cpuset.cpus", "0"));
	EXPECT_EQ(0, gt_next_type(&self->e.q, self->t.gtid,
				  MSG_TASK_AFFINITY_CHANGED, NULL));
	if (variant->state == ASLEEP)
		ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	EXPECT_TRUE(gt_wait_for(!(gt_flags(gt_sw(&self->e, self->t.gtid)) &
				  GHOST_SW_TASK_ONCPU)));
	EXPECT_TRUE(gt_stands(&self->t));
	/* Whether the policy keeps to it is its own choice. */
	ASSERT_EQ(1, gt_file_put(&self->e, "honor_affinity", "1"));
	EXPECT_STATE(GHOST_TXN_TARGET_STALE, gt_commit(&agent, 1, &(struct gt_txn){
		.gtid = self->t.gtid,
		.task_barrier = gt_barrier(gt_sw(&self->e, self->t.gtid)),
		.agent_barrier = GT_NOW,
		.commit_flags = COMMIT_AT_TXN_COMMIT }));
	ASSERT_EQ(1, gt_file_put(&self->e, "honor_affinity", "0"));
	EXPECT_TRUE(runs_again(&self->t));

	ASSERT_EQ(3, gt_write_file(A "/cpuset.cpus", "0-1"));
	EXPECT_EQ(0, gt_next_type(&self->e.q, self->t.gtid,
				  MSG_TASK_AFFINITY_CHANGED, NULL));
	ASSERT_EQ(1, gt_file_put(&self->e, "honor_affinity", "1"));
	EXPECT_TRUE(runs_again(&self->t));
}

TEST_F(member, moved_to_such_a_cpuset)
{
	ASSERT_EQ(1, gt_write_file(B "/cpuset.cpus", "0"));
	ASSERT_EQ(0, move(self->t.pid, B));
	EXPECT_EQ(0, gt_next_type(&self->e.q, self->t.gtid,
				  MSG_TASK_AFFINITY_CHANGED, NULL));
	if (variant->state == ASLEEP)
		ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	EXPECT_TRUE(gt_stands(&self->t));
	EXPECT_TRUE(runs_again(&self->t));
	ASSERT_EQ(0, move(self->t.pid, A));
	EXPECT_EQ(0, gt_next_type(&self->e.q, self->t.gtid,
				  MSG_TASK_AFFINITY_CHANGED, NULL));
}

/* Weights are for the fair class: nobody is told, nothing changes. */
TEST_F(member, weight)
{
	ASSERT_EQ(1, gt_write_file(A "/cpu.weight", "1"));
	ASSERT_EQ(5, gt_write_file(A "/cpu.weight", "10000"));
	ASSERT_EQ(1, gt_write_file(A "/cpu.idle", "1"));
	EXPECT_NO_MORE();
	if (variant->state == ASLEEP)
		ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	EXPECT_TRUE(runs_again(&self->t));
}

/* ---- cpu.max, and groups of agents ---- */

FIXTURE(group) {
	struct gt_enclave e;
	struct gt_task t;
	pid_t host;
};

FIXTURE_SETUP(group)
{
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, begin_groups());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->t));
	ASSERT_EQ(0, gt_pin(self->t.pid, 1));
	ASSERT_EQ(0, move(self->t.pid, A));
}

FIXTURE_TEARDOWN(group)
{
	gt_write_file(A "/cgroup.freeze", "0");
	/* Even to exit takes seconds when one has a thousandth of the time. */
	gt_write_file(A "/cpu.max", "max");
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	if (self->host > 0) {
		kill(self->host, SIGKILL);
		waitpid(self->host, NULL, 0);
	}
	gt_task_end(&self->t);
	EXPECT_EQ(0, self->e.q.gaps);
	gt_enclave_close(&self->e);
	end_groups();
}

static uint64_t throttled(void)
{
	return number(A "/cpu.stat", "nr_throttled ");
}

TEST_F(group, cpu_max_is_not_for_members)
{
	ASSERT_LT(0, gt_write_file(A "/cpu.max", CPU_MAX));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	/* At its limit that would take minutes. */
	EXPECT_TRUE(gets(&self->t, 300 * MS));
	EXPECT_EQ(0, throttled());
	EXPECT_LE(250000, number(A "/cpu.stat", "usage_usec ")) TH_LOG("nobody pays");
}

TEST_F(group, cpu_max_is_for_the_lent)
{
	ASSERT_LT(0, gt_write_file(A "/cpu.max", CPU_MAX));
	ASSERT_EQ(1, gt_file_put(&self->e, "fallback", "1"));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	gt_tell(&self->t, GT_SPIN);
	EXPECT_TRUE(gt_wait_for(throttled()));
	/* In the middle of it the policy comes back. */
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	EXPECT_EQ(0, gt_next_type(&self->e.q, self->t.gtid, MSG_TASK_WAKEUP, NULL));
	EXPECT_TRUE(gets(&self->t, 100 * MS));
}

/* Out of the limit with one foot, and back into it. */
TEST_F(group, throttled_thread_joins)
{
	struct sched_param sp = { 0 };
	uint64_t before;
	struct gt_msg m;

	ASSERT_LT(0, gt_write_file(A "/cpu.max", CPU_MAX));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	gt_tell(&self->t, GT_SPIN);
	ASSERT_TRUE(gt_wait_for(throttled()));
	ASSERT_EQ(0, gt_join(&self->e, self->t.pid));
	ASSERT_EQ(0, gt_next_type(&self->e.q, self->t.gtid, MSG_TASK_NEW, &m));
	EXPECT_EQ(1, m.new_.runnable);
	EXPECT_TRUE(gets(&self->t, 100 * MS));
	before = throttled();
	ASSERT_EQ(0, sched_setscheduler(self->t.pid, SCHED_OTHER, &sp));
	EXPECT_EQ(0, gt_next_type(&self->e.q, self->t.gtid, MSG_TASK_DEPARTED, NULL));
	EXPECT_TRUE(gt_wait_for(throttled() > before));
}

/* Lent they freeze and thaw by themselves, and nobody is told. */
TEST_F(group, lent_members_freeze)
{
	ASSERT_EQ(1, gt_file_put(&self->e, "fallback", "1"));
	gt_tell(&self->t, GT_SPIN);
	ASSERT_TRUE(gt_spins(&self->t));
	ASSERT_EQ(0, gt_join(&self->e, self->t.pid));
	EXPECT_NEXT(MSG_TASK_NEW);
	EXPECT_NEXT(MSG_TASK_BLOCKED);
	ASSERT_EQ(1, gt_write_file(A "/cgroup.freeze", "1"));
	EXPECT_TRUE(gt_wait_for(frozen()));
	/* A policy that comes meanwhile finds it blocked. */
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	EXPECT_NO_MORE();
	ASSERT_EQ(1, gt_write_file(A "/cgroup.freeze", "0"));
	EXPECT_NEXT(MSG_TASK_WAKEUP);
	EXPECT_TRUE(runs_again(&self->t));
}

/* An agent keeps its CPU, whatever its cpuset says. */
TEST_F(group, cpuset_of_an_agent)
{
	cpu_set_t want, set;
	int i;

	ASSERT_EQ(0, move(self->t.pid, ROOT));
	self->host = gt_policy_start(&self->e, 1);
	ASSERT_LT(0, self->host);
	ASSERT_EQ(0, gt_join(&self->e, self->t.pid));
	gt_tell(&self->t, GT_SPIN);
	ASSERT_TRUE(gt_spins(&self->t));
	ASSERT_EQ(0, move(self->host, A));
	ASSERT_EQ(1, gt_write_file(A "/cpuset.cpus", "0"));
	ASSERT_EQ(1, gt_write_file(B "/cpuset.cpus", "0"));
	ASSERT_EQ(0, move(self->host, B));
	/* The thread that is no agent keeps to it. */
	CPU_ZERO(&want);
	CPU_SET(0, &want);
	ASSERT_EQ(0, sched_getaffinity(self->host, sizeof(set), &set));
	EXPECT_TRUE(CPU_EQUAL(&want, &set));
	for (i = 0; i < 20; i++) {
		gt_tell(&self->t, GT_BLOCK);
		ASSERT_TRUE(gt_wait_for(self->t.ctl->done == self->t.ctl->seq));
		gt_tell(&self->t, GT_SPIN);
		ASSERT_TRUE(gt_spins(&self->t)) TH_LOG("round %d", i);
	}
	EXPECT_EQ(SCHED_GHOST, gt_policy(self->t.pid));
}

TEST_HARNESS_MAIN
