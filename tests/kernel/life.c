// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Death of ghost tasks in every state; fork and exec. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"

static struct gt_agent agent;

/* ---- death ---- */

enum state { ASLEEP, QUEUED, RUNNING, STOPPED, BY_ITSELF };

FIXTURE(death) {
	struct gt_enclave e;
	struct gt_task t;
};

FIXTURE_VARIANT(death) {
	enum state state;
};

FIXTURE_VARIANT_ADD(death, asleep) { .state = ASLEEP };
FIXTURE_VARIANT_ADD(death, queued) { .state = QUEUED };
FIXTURE_VARIANT_ADD(death, running) { .state = RUNNING };
FIXTURE_VARIANT_ADD(death, stopped) { .state = STOPPED };
FIXTURE_VARIANT_ADD(death, by_itself) { .state = BY_ITSELF };

FIXTURE_SETUP(death)
{
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->t));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
}

FIXTURE_TEARDOWN(death)
{
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	gt_task_end(&self->t);
	EXPECT_EQ(0, self->e.q.gaps);
	gt_enclave_close(&self->e);
}

TEST_F(death, tells_blocked_then_dead)
{
	struct gt_msg m, blocked;
	struct ghost_sw_info info;
	uint32_t available;
	siginfo_t si;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_sw_info(&self->e, GHOST_TASK, self->t.gtid, &info));
	if (variant->state == QUEUED || variant->state == RUNNING) {
		ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	}
	if (variant->state == RUNNING) {
		ASSERT_EQ(GHOST_TXN_COMPLETE,
			  gt_schedule(&agent, 1, &self->t, 0));
		ASSERT_TRUE(gt_runs(&agent, 1, &self->t));
	}
	if (variant->state == STOPPED) {
		kill(self->t.pid, SIGSTOP);
		ASSERT_EQ(0, gt_drive(&agent, 1, &self->t, MSG_TASK_BLOCKED,
				      NULL));
	}
	if (variant->state == BY_ITSELF)
		gt_tell(&self->t, GT_EXIT);
	else
		kill(self->t.pid, SIGKILL);
	/* An exit may sleep on the way: take the last BLOCKED before DEAD. */
	do {
		ASSERT_EQ(0, gt_drive(&agent, 1, &self->t, MSG_TASK_BLOCKED,
				      &blocked));
	} while (gt_next(&self->e.q, self->t.gtid, 1000, &m) ||
		 m.type != MSG_TASK_DEAD);
	EXPECT_EQ(24, m.length);
	EXPECT_EQ(blocked.seqnum + 1, m.seqnum);
	EXPECT_EQ(1, m.dead.cpu);
	EXPECT_TRUE(gt_flags(gt_sw_at(&self->e, info)) & GHOST_SW_F_CANFREE);
	available = self->e.region->available;
	EXPECT_EQ(0, gt_sw_free(&self->e, info));
	EXPECT_EQ(available + 1, self->e.region->available);
	ASSERT_EQ(0, waitid(P_PID, self->t.pid, &si, WEXITED | WNOWAIT));
	EXPECT_EQ(variant->state == BY_ITSELF ? CLD_EXITED : CLD_KILLED,
		  si.si_code);
}

/* ---- fork and exec ---- */

FIXTURE(family) {
	struct gt_enclave e;
	struct gt_task t;
};

FIXTURE_SETUP(family)
{
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->t));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
}

FIXTURE_TEARDOWN(family)
{
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	gt_task_end(&self->t);
	EXPECT_EQ(0, self->e.q.gaps);
	gt_enclave_close(&self->e);
}

/*
 * A minimal policy: gives every runnable member the CPU in turn, until none
 * is left and no message came for a while. Fills the log of the queue.
 */
static void run_all(struct gt_enclave *e)
{
	int64_t end = gt_now_ms() + 2 * GT_WAIT_MS;
	int quiet = 0, known, i;

	for (; quiet < 20 && gt_now_ms() < end; quiet++) {
		known = e->q.logged;
		gt_queue_consume(&e->q);
		if (known != e->q.logged)
			quiet = 0;
		for (i = 0; i < e->q.logged; i++) {
			const struct gt_msg *m = &e->q.log[i];
			struct ghost_status_word *sw;

			if (m->type != MSG_TASK_NEW)
				continue;
			/* By its word: an exec may have hidden the gtid. */
			sw = gt_sw_at(e, m->new_.sw_info);
			if (sw->gtid != m->gtid ||
			    (gt_flags(sw) & GHOST_SW_F_CANFREE) ||
			    !(gt_flags(sw) & GHOST_SW_TASK_RUNNABLE))
				continue;
			gt_commit(&agent, 1, &(struct gt_txn){
				.gtid = m->gtid,
				.task_barrier = gt_barrier(sw),
				.agent_barrier = GT_NOW,
				.commit_flags = COMMIT_AT_TXN_COMMIT,
			});
			quiet = 0;
			gt_sleep_ms(10);
		}
		gt_sleep_ms(10);
	}
}

static struct gt_msg *find(struct gt_enclave *e, uint64_t gtid, int type)
{
	int i;

	for (i = 0; i < e->q.logged; i++)
		if (e->q.log[i].gtid == gtid && e->q.log[i].type == type)
			return &e->q.log[i];
	return NULL;
}

/* NEW of a child of @parent, other than @not. */
static struct gt_msg *find_child(struct gt_enclave *e, uint64_t parent,
				 uint64_t not)
{
	int i;

	for (i = 0; i < e->q.logged; i++)
		if (e->q.log[i].type == MSG_TASK_NEW &&
		    e->q.log[i].gtid != not &&
		    e->q.log[i].new_.parent_gtid == parent)
			return &e->q.log[i];
	return NULL;
}

static long do_fork(long arg)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(sched_getscheduler(0));
	if (pid < 0)
		return -errno;
	waitpid(pid, &status, 0);
	return status;
}

TEST_F(family, child_is_born_a_member)
{
	struct gt_msg *new;

	gt_tell_call(&self->t, do_fork, 0);
	run_all(&self->e);
	EXPECT_EQ(1, self->t.ctl->done);
	ASSERT_TRUE(WIFEXITED(self->t.ctl->result));
	EXPECT_EQ(SCHED_GHOST, WEXITSTATUS(self->t.ctl->result));
	new = find_child(&self->e, self->t.gtid, 0);
	ASSERT_NE(NULL, new);
	EXPECT_EQ(1, new->seqnum);
	EXPECT_EQ(1, new->new_.runnable);
	EXPECT_NE(NULL, find(&self->e, new->gtid, MSG_TASK_BLOCKED));
	EXPECT_NE(NULL, find(&self->e, new->gtid, MSG_TASK_DEAD));
}

TEST_F(family, reset_on_fork)
{
	struct sched_param sp = { 0 };

	ASSERT_EQ(0, sched_setscheduler(self->t.pid,
					SCHED_GHOST | GT_RESET_ON_FORK, &sp));
	gt_tell_call(&self->t, do_fork, 0);
	/* The child is the fair class's. */
	EXPECT_TRUE(gt_wait_for((run_all(&self->e), self->t.ctl->done == 1)));
	ASSERT_TRUE(WIFEXITED(self->t.ctl->result));
	EXPECT_EQ(SCHED_OTHER, WEXITSTATUS(self->t.ctl->result));
	EXPECT_EQ(NULL, find_child(&self->e, self->t.gtid, 0));
}

static long agent_fork(struct gt_agent *a, void *arg)
{
	pid_t pid = fork();

	if (!pid)
		_exit(sched_getscheduler(0));
	return pid < 0 ? -errno : pid;
}

TEST_F(family, child_of_an_agent)
{
	int status;
	pid_t pid;

	pid = gt_call(&agent, agent_fork, NULL);
	ASSERT_LT(0, pid);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFEXITED(status));
	EXPECT_EQ(SCHED_OTHER, WEXITSTATUS(status));
}

static long fork_full(long arg)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	return pid < 0 ? -errno : pid;
}

TEST_F(family, fork_in_a_dying_enclave_loses_nobody)
{
	int i;

	/* The destroy falls anywhere into a fork; afterwards it is CFS. */
	gt_tell_call(&self->t, fork_full, 0);
	gt_schedule(&agent, 1, &self->t, 0);
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	EXPECT_TRUE(gt_wait_for(self->t.ctl->done == 1));
	EXPECT_EQ(SCHED_OTHER, gt_policy(self->t.pid));
	for (i = 2; i < 5; i++) {
		gt_tell_call(&self->t, fork_full, 0);
		EXPECT_TRUE(gt_wait_for(self->t.ctl->done == i));
		EXPECT_LT(0, self->t.ctl->result);
	}
}

#define EXEC_CHILD	"--exec-child"

/* What the exec tests execute: this program, which then ends at once. */
static __attribute__((constructor)) void exec_child(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], EXEC_CHILD))
		_exit(sched_getscheduler(0));
}

static long do_exec(long arg)
{
	char * const argv[] = { "x", EXEC_CHILD, NULL };

	execv("/proc/self/exe", argv);
	return -errno;
}

TEST_F(family, exec_keeps_the_gtid)
{
	int status;

	gt_tell_call(&self->t, do_exec, 0);
	run_all(&self->e);
	EXPECT_NE(NULL, find(&self->e, self->t.gtid, MSG_TASK_DEAD));
	ASSERT_EQ(self->t.pid, waitpid(self->t.pid, &status, 0));
	self->t.pid = 0;
	ASSERT_TRUE(WIFEXITED(status));
	EXPECT_EQ(SCHED_GHOST, WEXITSTATUS(status));
}

static void *exec_thread(void *arg)
{
	do_exec(0);
	return NULL;
}

static long exec_in_thread(long arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, exec_thread, NULL))
		return -1;
	pthread_join(thread, NULL);
	return -1;
}

TEST_F(family, exec_by_a_thread)
{
	struct gt_msg *new;
	int status;

	gt_tell_call(&self->t, exec_in_thread, 0);
	run_all(&self->e);
	/* The leader dies, the thread goes on under its own gtid. */
	EXPECT_NE(NULL, find(&self->e, self->t.gtid, MSG_TASK_DEAD));
	new = find_child(&self->e, gt_gtid_of(getpid()), self->t.gtid);
	ASSERT_NE(NULL, new);
	EXPECT_NE(NULL, find(&self->e, new->gtid, MSG_TASK_DEAD));
	ASSERT_EQ(self->t.pid, waitpid(self->t.pid, &status, 0));
	self->t.pid = 0;
	ASSERT_TRUE(WIFEXITED(status));
	EXPECT_EQ(SCHED_GHOST, WEXITSTATUS(status));
}

TEST_F(family, many_sleepers_lose_nothing)
{
	struct gt_task t[12] = { 0 };
	int i, round;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		ASSERT_EQ(0, gt_task_start(&t[i]));
		ASSERT_EQ(0, gt_join(&self->e, t[i].pid));
	}
	for (round = 1; round <= 3; round++) {
		for (i = 0; i < ARRAY_SIZE(t); i++)
			gt_tell(&t[i], GT_BLOCK);
		run_all(&self->e);
		for (i = 0; i < ARRAY_SIZE(t); i++) {
			EXPECT_EQ(round, t[i].ctl->done)
				TH_LOG("task %d was lost", i);
		}
	}
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	for (i = 0; i < ARRAY_SIZE(t); i++)
		gt_task_end(&t[i]);
}

TEST_HARNESS_MAIN
