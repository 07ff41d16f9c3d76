// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Transactions: every state of validation, local, remote, greedy, forged. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"

/* Transactions are for CPU 1; its own agent is agents[1]. */
static struct gt_agent agents[3];

FIXTURE(txn) {
	struct gt_enclave e;
	struct gt_task t;
	struct gt_agent *by;		/* who commits */
};

FIXTURE_VARIANT(txn) {
	int by;
};

FIXTURE_VARIANT_ADD(txn, local) { .by = 1 };
FIXTURE_VARIANT_ADD(txn, remote) { .by = 2 };

FIXTURE_SETUP(txn)
{
	if (variant->by >= gt_ncpus())
		SKIP(return, "a remote agent needs 3 CPUs");
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, variant->by == 1 ? "1" : "1-2"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->t));
	ASSERT_EQ(0, gt_agent_start(&agents[1], &self->e, 1, -1));
	if (variant->by == 2) {
		ASSERT_EQ(0, gt_agent_start(&agents[2], &self->e, 2, -1));
	}
	self->by = &agents[variant->by];
}

FIXTURE_TEARDOWN(txn)
{
	gt_agent_stop(&agents[1]);
	gt_agent_stop(&agents[2]);
	gt_destroy(&self->e);
	gt_task_end(&self->t);
	EXPECT_EQ(0, self->e.q.gaps);
	gt_enclave_close(&self->e);
}

static struct gt_txn for_task(struct gt_enclave *e, struct gt_task *t)
{
	struct ghost_status_word *sw = gt_sw(e, t->gtid);

	return (struct gt_txn){
		.gtid = t->gtid,
		.task_barrier = sw ? gt_barrier(sw) : 0,
		.agent_barrier = GT_NOW,
		.commit_flags = COMMIT_AT_TXN_COMMIT,
	};
}

/* ---- what is wrong with the transaction itself ---- */

TEST_F(txn, flags_and_targets)
{
	const uint64_t nobody = 12345, task = self->t.gtid;
	const struct {
		int64_t gtid;
		uint16_t run;
		uint8_t commit;
		int state;
	} t[] = {
		{ nobody, 0x0008, 0, GHOST_TXN_INVALID_FLAGS },
		{ nobody, 0x0010, 0, GHOST_TXN_INVALID_FLAGS },
		{ nobody, 0x0100, 0, GHOST_TXN_INVALID_FLAGS },
		{ nobody, 0x2000, 0, GHOST_TXN_INVALID_FLAGS },
		{ nobody, 0x8000, 0, GHOST_TXN_INVALID_FLAGS },
		{ -1, RTLA_ON_IDLE, 0, GHOST_TXN_INVALID_FLAGS },
		{ -2, RTLA_ON_IDLE, 0, GHOST_TXN_INVALID_FLAGS },
		{ task, NEED_CPU_NOT_IDLE, 0, GHOST_TXN_INVALID_FLAGS },
		{ 0, NEED_CPU_NOT_IDLE, 0, GHOST_TXN_INVALID_FLAGS },
		{ -1, RTLA_ON_BLOCKED, 0, GHOST_TXN_INVALID_FLAGS },
		{ -1, DO_NOT_PREEMPT, 0, GHOST_TXN_INVALID_FLAGS },
		{ nobody, 0, 0x20, GHOST_TXN_INVALID_FLAGS },
		{ nobody, 0, 0x40, GHOST_TXN_INVALID_FLAGS },
		{ nobody, 0, 0x80, GHOST_TXN_INVALID_FLAGS },
		{ nobody, 0, COMMIT_AT_SCHEDULE, GHOST_TXN_INVALID_FLAGS },
		{ nobody, 0, ELIDE_AGENT_BARRIER_INC |
			     INC_AGENT_BARRIER_ON_FAILURE,
		  GHOST_TXN_INVALID_FLAGS },
		{ nobody, 0, 0, GHOST_TXN_TARGET_NOT_FOUND },
		{ task ^ 1, 0, 0, GHOST_TXN_TARGET_NOT_FOUND },
		{ 0x7fffffffffffffff, 0, 0, GHOST_TXN_TARGET_NOT_FOUND },
		{ agents[1].sw->gtid, 0, 0, GHOST_TXN_INVALID_TARGET },
		{ -3, 0, 0, GHOST_TXN_INVALID_TARGET },
		{ -0x7fffffffffffffff, 0, 0, GHOST_TXN_INVALID_TARGET },
		{ task, 0, 0, GHOST_TXN_TARGET_STALE },	/* it is on CFS */
	};
	struct gt_txn txn;
	int i, state;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		txn = (struct gt_txn){
			.gtid = t[i].gtid,
			.agent_barrier = GT_NOW,
			.run_flags = t[i].run,
			.commit_flags = t[i].commit | COMMIT_AT_TXN_COMMIT,
		};
		state = gt_commit(self->by, 1, &txn);
		EXPECT_EQ(t[i].state, state)
			TH_LOG("row %d: %s", i, gt_txn_name(state));
	}
}

TEST_F(txn, version_and_cpu)
{
	struct ghost_txn *txn = &self->e.cpu[1].txn;
	struct gt_txn bad = {
		.gtid = 12345, .agent_barrier = GT_NOW, .run_flags = 0x8,
		.commit_flags = COMMIT_AT_TXN_COMMIT | 0x80,
	};

	/* Everything is wrong; the first rule wins, then the next. */
	txn->version = 1;
	txn->cpu = 0;
	EXPECT_STATE(GHOST_TXN_UNSUPPORTED_VERSION,
		     gt_commit(self->by, 1, &bad));
	txn->version = 0;
	EXPECT_STATE(GHOST_TXN_INVALID_CPU, gt_commit(self->by, 1, &bad));
	txn->cpu = -1;
	EXPECT_STATE(GHOST_TXN_INVALID_CPU, gt_commit(self->by, 1, &bad));
	txn->cpu = 1;
	EXPECT_STATE(GHOST_TXN_INVALID_FLAGS, gt_commit(self->by, 1, &bad));
	bad.run_flags = 0;
	EXPECT_STATE(GHOST_TXN_INVALID_FLAGS, gt_commit(self->by, 1, &bad));
	bad.commit_flags = COMMIT_AT_TXN_COMMIT;
	EXPECT_STATE(GHOST_TXN_TARGET_NOT_FOUND, gt_commit(self->by, 1, &bad));
}

/* ---- what is wrong with the task ---- */

TEST_F(txn, task_states)
{
	struct gt_txn txn;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	txn = for_task(&self->e, &self->t);
	EXPECT_STATE(GHOST_TXN_TARGET_NOT_RUNNABLE,
		     gt_commit(self->by, 1, &txn));
	txn.task_barrier++;
	EXPECT_STATE(GHOST_TXN_TARGET_STALE, gt_commit(self->by, 1, &txn))
		TH_LOG("the barrier is tested first");
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	txn = for_task(&self->e, &self->t);
	txn.task_barrier--;
	EXPECT_STATE(GHOST_TXN_TARGET_STALE, gt_commit(self->by, 1, &txn));
	EXPECT_TRUE(gt_stands(&self->t));
	txn.task_barrier++;
	EXPECT_STATE(GHOST_TXN_COMPLETE, gt_commit_free(self->by, 1, &txn));
	EXPECT_TRUE(gt_runs(self->by, 1, &self->t));
}

TEST_F(txn, task_of_another_enclave)
{
	struct gt_enclave other;
	struct gt_txn txn;

	ASSERT_EQ(0, gt_enclave_bare(&other));
	ASSERT_LE(0, gt_put(other.ctl, "create sw_region 0 0"));
	other.tasks = gt_file(&other, "tasks", O_RDWR);
	ASSERT_EQ(0, gt_join(&other, self->t.pid));
	gt_tell(&self->t, GT_SPIN);
	ASSERT_TRUE(gt_wait_for(gt_proc_state(self->t.pid) == 'R'));
	txn = for_task(&self->e, &self->t);
	txn.task_barrier = 2;	/* NEW and WAKEUP, heard by nobody */
	EXPECT_STATE(GHOST_TXN_NOT_PERMITTED, gt_commit(self->by, 1, &txn));
	EXPECT_TRUE(gt_stands(&self->t));
	gt_destroy(&other);
	gt_enclave_close(&other);
	EXPECT_TRUE(gt_spins(&self->t));
}

TEST_F(txn, dead_task)
{
	struct gt_txn txn;
	int state;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	kill(self->t.pid, SIGKILL);
	ASSERT_EQ(0, gt_drive(&agents[1], 1, &self->t, MSG_TASK_DEAD, NULL));
	txn = for_task(&self->e, &self->t);
	state = gt_commit(self->by, 1, &txn);
	EXPECT_TRUE(state == GHOST_TXN_TARGET_STALE ||
		    state == GHOST_TXN_TARGET_NOT_FOUND)
		TH_LOG("a zombie: %s", gt_txn_name(state));
	gt_task_end(&self->t);
	state = gt_commit(self->by, 1, &txn);
	EXPECT_STATE(GHOST_TXN_TARGET_NOT_FOUND, state);
}

TEST_F(txn, affinity_is_not_checked)
{
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_pin(self->t.pid, 0));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	EXPECT_STATE(GHOST_TXN_COMPLETE,
		     gt_schedule(self->by, 1, &self->t, 0));
	EXPECT_TRUE(gt_runs(self->by, 1, &self->t));
}

/* ---- success ---- */

TEST_F(txn, result_fields)
{
	struct ghost_txn *txn = &self->e.cpu[1].txn;
	uint64_t seqnum;
	int64_t before;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	before = gt_now_ms();
	EXPECT_STATE(GHOST_TXN_COMPLETE,
		     gt_schedule(self->by, 1, &self->t, 0));
	EXPECT_LE(before - 1, txn->commit_time / 1000000);
	EXPECT_GE(gt_now_ms() + 1, txn->commit_time / 1000000);
	seqnum = txn->cpu_seqnum;
	EXPECT_LT(0, seqnum);
	before = txn->commit_time;
	gt_sleep_ms(5);
	EXPECT_STATE(GHOST_TXN_TARGET_NOT_FOUND,
		     gt_commit(self->by, 1, &(struct gt_txn){
			.gtid = 12345, .commit_flags = COMMIT_AT_TXN_COMMIT }));
	EXPECT_LT(before, txn->commit_time) TH_LOG("written at failure too");
	EXPECT_EQ(seqnum, txn->cpu_seqnum) TH_LOG("written at success only");
}

TEST_F(txn, null_kicks_and_idles)
{
	struct gt_txn txn = {
		.agent_barrier = GT_NOW, .commit_flags = COMMIT_AT_TXN_COMMIT,
	};

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(self->by, 1, &self->t, 0));
	ASSERT_TRUE(gt_runs(self->by, 1, &self->t));
	EXPECT_STATE(GHOST_TXN_COMPLETE, gt_commit(self->by, 1, &txn));
	EXPECT_EQ(0, gt_next_type(&self->e.q, self->t.gtid, MSG_TASK_PREEMPT,
				  NULL));
	EXPECT_TRUE(gt_stands(&self->t));
}

TEST_F(txn, agent_gtid)
{
	struct gt_txn txn = {
		.gtid = GHOST_AGENT_GTID, .agent_barrier = 4711,
		.commit_flags = COMMIT_AT_TXN_COMMIT,
	};
	long result = -1;

	/* Its barrier is not compared, and a self-ping does not park. */
	EXPECT_STATE(GHOST_TXN_COMPLETE, gt_commit(self->by, 1, &txn));
	EXPECT_TRUE(gt_wait_for(self->by->posted == self->by->done));
	EXPECT_EQ(0, gt_finish(self->by, &result));
	EXPECT_EQ(0, result);
}

TEST_F(txn, run_flags_wake_the_agent)
{
	static const struct {
		uint16_t flag;
		enum gt_cmd cmd;
		int type;
	} t[] = {
		{ RTLA_ON_BLOCKED, GT_BLOCK, MSG_TASK_BLOCKED },
		{ RTLA_ON_YIELD, GT_YIELD, MSG_TASK_YIELD },
	};
	uint32_t before = 0;
	struct gt_msg m;
	int i;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		gt_tell(&self->t, t[i].cmd);
		ASSERT_EQ(0, gt_next_type(&self->e.q, self->t.gtid,
					  MSG_TASK_WAKEUP, &m));
		/*
		 * A kernel thread may preempt it before. If that is no news gt_schedule()
		 * has put it back, and it has run to the end since.
		 */
		do {
			if (m.seqnum == gt_barrier(gt_sw(&self->e, self->t.gtid))) {
				before = gt_barrier(agents[1].sw);
				ASSERT_EQ(GHOST_TXN_COMPLETE,
					  gt_schedule(self->by, 1, &self->t, t[i].flag));
			}
			ASSERT_EQ(0, gt_next(&self->e.q, self->t.gtid, GT_WAIT_MS, &m));
		} while (m.type == MSG_TASK_PREEMPT);
		EXPECT_EQ(t[i].type, m.type);
		/* Nobody pings it: the edge brings it back. */
		EXPECT_TRUE(gt_wait_for(self->by->posted == self->by->done));
		EXPECT_TRUE(gt_wait_for(gt_barrier(agents[1].sw) >= before + 2));
	}
}

/* ---- the ioctl ---- */

TEST_F(txn, ioctl_errors)
{
	uint64_t mask[64] = { 1ULL << 1 };
	struct {
		struct ghost_ioc_commit_txn arg;
		int err;
	} t[] = {
		{ { NULL, 8, 0 }, EFAULT },
		{ { NULL, 8, 1 }, EINVAL },
		{ { (void *)mask, 8, 1 }, EINVAL },
		{ { (void *)mask, 8, -1 }, EINVAL },
		{ { (void *)mask, 0, 0 }, 0 },
		{ { (void *)mask, 1, 0 }, 0 },
		{ { (void *)mask, 8, 0 }, 0 },
		{ { (void *)mask, sizeof(mask), 0 }, 0 },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		EXPECT_EQ(-t[i].err, gt_ioctl(self->e.ctl,
					      GHOST_IOC_COMMIT_TXN, &t[i].arg))
			TH_LOG("row %d", i);
	}
}

TEST_F(txn, foreign_pages_are_left_alone)
{
	gt_txn_fill(&self->e, 0, &(struct gt_txn){
		.gtid = 12345, .commit_flags = COMMIT_AT_TXN_COMMIT });
	EXPECT_EQ(0, gt_txn_ioctl(&self->e, ~0ULL));
	EXPECT_EQ(GHOST_TXN_READY, gt_txn_state(&self->e, 0))
		TH_LOG("CPU 0 is in no enclave");
}

TEST_F(txn, aborted_by_user)
{
	struct ghost_txn *txn = &self->e.cpu[1].txn;

	gt_txn_fill(&self->e, 1, &(struct gt_txn){
		.gtid = 12345, .commit_flags = COMMIT_AT_TXN_COMMIT });
	txn->state = GHOST_TXN_ABORTED;
	EXPECT_EQ(0, gt_txn_ioctl(&self->e, 2));
	EXPECT_STATE(GHOST_TXN_ABORTED, txn->state);
}

/* ---- who may commit ---- */

TEST_F(txn, only_agents_commit_tasks)
{
	struct gt_txn txn;
	pid_t pid;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	txn = for_task(&self->e, &self->t);
	gt_txn_fill(&self->e, 1, &txn);
	EXPECT_EQ(0, gt_txn_ioctl(&self->e, 2));
	EXPECT_STATE(GHOST_TXN_NOT_PERMITTED, gt_txn_wait(&self->e, 1));
	EXPECT_TRUE(gt_stands(&self->t));

	/* The agent's process may call the agent, another one may not. */
	txn.gtid = GHOST_AGENT_GTID;
	gt_txn_fill(&self->e, 1, &txn);
	EXPECT_EQ(0, gt_txn_ioctl(&self->e, 2));
	EXPECT_STATE(GHOST_TXN_COMPLETE, gt_txn_wait(&self->e, 1));
	gt_txn_fill(&self->e, 1, &txn);
	pid = fork();
	if (!pid)
		_exit(-gt_txn_ioctl(&self->e, 2));
	waitpid(pid, NULL, 0);
	EXPECT_STATE(GHOST_TXN_NOT_PERMITTED, gt_txn_wait(&self->e, 1));
}

/* ---- greedy and at-schedule ---- */

TEST_F(txn, greedy_on_an_idle_cpu)
{
	int64_t end = gt_now_ms() + GT_WAIT_MS;
	struct gt_txn txn;
	int state;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	txn = for_task(&self->e, &self->t);
	txn.commit_flags = 0;
	/* From the test thread: asynchronous, hence everybody may ask. */
	do {
		gt_txn_fill(&self->e, 1, &txn);
		EXPECT_EQ(0, gt_txn_ioctl(&self->e, 2));
		state = gt_txn_wait(&self->e, 1);
	} while (state == GHOST_TXN_CPU_UNAVAIL && gt_now_ms() < end);
	EXPECT_STATE(GHOST_TXN_COMPLETE, state);
	EXPECT_TRUE(gt_runs(self->by, 1, &self->t));
}

TEST_F(txn, greedy_failure)
{
	gt_txn_fill(&self->e, 1, &(struct gt_txn){ .gtid = 12345 });
	EXPECT_EQ(0, gt_txn_ioctl(&self->e, 2));
	EXPECT_STATE(GHOST_TXN_TARGET_NOT_FOUND, gt_txn_wait(&self->e, 1));
}

TEST_F(txn, greedy_beside_cfs)
{
	struct gt_task cfs = { 0 };
	struct gt_txn txn;

	ASSERT_EQ(0, gt_task_start(&cfs));
	ASSERT_EQ(0, gt_pin(cfs.pid, 1));
	gt_tell(&cfs, GT_SPIN);
	ASSERT_TRUE(gt_spins(&cfs));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	txn = for_task(&self->e, &self->t);
	txn.commit_flags = 0;
	gt_txn_fill(&self->e, 1, &txn);
	EXPECT_EQ(0, gt_txn_ioctl(&self->e, 2));
	EXPECT_STATE(GHOST_TXN_CPU_UNAVAIL, gt_txn_wait(&self->e, 1));
	EXPECT_TRUE(gt_stands(&self->t));
	gt_task_end(&cfs);
	EXPECT_STATE(GHOST_TXN_COMPLETE,
		     gt_schedule(self->by, 1, &self->t, 0));
}

TEST_F(txn, at_schedule)
{
	struct gt_txn txn;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	txn = for_task(&self->e, &self->t);
	txn.commit_flags = COMMIT_AT_SCHEDULE;
	gt_txn_fill(&self->e, 1, &txn);
	EXPECT_EQ(0, gt_txn_ioctl(&self->e, 2)) TH_LOG("not for the ioctl");
	EXPECT_EQ(GHOST_TXN_READY, gt_txn_state(&self->e, 1));
	/* The agent comes and parks: that is the schedule. */
	ASSERT_EQ(0, gt_ping(&self->e, 1));
	EXPECT_STATE(GHOST_TXN_COMPLETE, gt_txn_wait(&self->e, 1));
	EXPECT_TRUE(gt_runs(self->by, 1, &self->t));
}

/* ---- forgery ---- */

static int stop_forging;

static long commit_garbage(struct gt_agent *a, void *arg)
{
	long n = 0;

	while (!__atomic_load_n(&stop_forging, __ATOMIC_ACQUIRE)) {
		gt_txn_ioctl(a->e, ~1ULL);
		n++;
	}
	return n;
}

TEST_F(txn, forged_slots)
{
	int64_t end = gt_now_ms() + 3000;
	int cpus = variant->by == 1 ? 1 : 2, cpu, i;
	struct ghost_txn *txn;
	unsigned int seed = 1;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_post(self->by, commit_garbage, NULL));
	while (gt_now_ms() < end) {
		for (cpu = 1; cpu <= cpus; cpu++) {
			char *p = (char *)&self->e.cpu[cpu];

			txn = &self->e.cpu[cpu].txn;
			for (i = 0; i < sizeof(*txn); i++)
				p[i] = rand_r(&seed);
			txn->version = rand_r(&seed) % 8 ? 0 : txn->version;
			txn->cpu = rand_r(&seed) % 8 ? cpu : txn->cpu;
			txn->run_flags &= rand_r(&seed) % 4 ? 0x1ee7 : ~0;
			txn->commit_flags &= rand_r(&seed) % 4 ? 0x1f : ~0;
			if (rand_r(&seed) % 2)
				txn->gtid = self->t.gtid;
			else if (rand_r(&seed) % 2)
				txn->gtid = -(rand_r(&seed) % 4);
			if (rand_r(&seed) % 2)
				txn->task_barrier = 2 + rand_r(&seed) % 8;
			txn->state = rand_r(&seed) % 4 ? GHOST_TXN_READY :
							 rand_r(&seed) % 4;
		}
		gt_txn_ioctl(&self->e, ~0ULL);
		gt_ping(&self->e, 1);
		gt_ping(&self->e, variant->by);
		gt_queue_consume(&self->e.q);
	}
	__atomic_store_n(&stop_forging, 1, __ATOMIC_RELEASE);
	for (cpu = 1; cpu <= cpus; cpu++) {
		txn = &self->e.cpu[cpu].txn;
		memset(txn, 0, sizeof(*txn));
		txn->cpu = cpu;
		txn->state = GHOST_TXN_COMPLETE;
		txn->u.sync_group_owner = -1;
	}
	ASSERT_EQ(0, gt_finish(self->by, NULL));
	/* No harm was done: all goes on as before. */
	EXPECT_STATE(GHOST_TXN_COMPLETE,
		     gt_schedule(self->by, 1, &self->t, 0));
	EXPECT_TRUE(gt_runs(self->by, 1, &self->t));
}

TEST_HARNESS_MAIN
