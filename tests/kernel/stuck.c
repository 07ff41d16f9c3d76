// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * A member that migrate_disable() binds to a CPU where no agent of its enclave is.
 * Nobody can schedule it, so that it goes on in the fair class. It shows only in a
 * kernel that is preempted in the middle of that.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/bpf.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"

#define ROUNDS	20
#define MS	1000000ULL

static struct gt_agent agents[3];

FIXTURE(stuck) {
	struct gt_enclave e;
	struct gt_task t;
	int prog;
};

static int bpf(int cmd, union bpf_attr *attr)
{
	int ret = syscall(SYS_bpf, cmd, attr, sizeof(*attr));

	return ret < 0 ? -errno : ret;
}

static int load_nothing(void)
{
	static const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
		.insns = (uintptr_t)insns, .insn_cnt = 2,
		.license = (uintptr_t)"GPL",
	};

	return bpf(BPF_PROG_LOAD, &attr);
}

/* Has the kernel run a program for a while, which it does bound to a CPU; and again. */
static long run_bound(long prog)
{
	static char packet[64];
	union bpf_attr attr = {
		.test.prog_fd = prog, .test.repeat = 20000,
		.test.data_in = (uintptr_t)packet, .test.data_size_in = 64,
	};
	int ret;

	do {
		ret = bpf(BPF_PROG_TEST_RUN, &attr);
		usleep(500);
	} while (!ret);
	return ret;
}

static uint64_t runtime_of(pid_t pid)
{
	char path[64], buf[128];

	snprintf(path, sizeof(path), "/proc/%d/schedstat", pid);
	return gt_read_file(path, buf, sizeof(buf)) > 0 ?
		strtoull(buf, NULL, 10) : 0;
}

static int commit(FIXTURE_DATA(stuck) *self, int cpu, uint32_t barrier)
{
	return gt_commit(&agents[1], cpu, &(struct gt_txn){
			.gtid = self->t.gtid, .task_barrier = barrier,
			.agent_barrier = GT_NOW,
			.commit_flags = COMMIT_AT_TXN_COMMIT });
}

/* Once: while it is bound to another CPU that is stale. */
static void try(FIXTURE_DATA(stuck) *self, int cpu)
{
	struct ghost_status_word *sw = gt_sw(&self->e, self->t.gtid);

	if (agents[1].sw && sw)
		commit(self, cpu, gt_barrier(sw));
	gt_sleep_ms(5);
}

/* With what the agent of CPU 1 can do it gets CPU time, there or where it is. */
static bool gets_on(FIXTURE_DATA(stuck) *self)
{
	uint64_t before = runtime_of(self->t.pid);

	return gt_wait_for((try(self, 1),
			    runtime_of(self->t.pid) > before + 50 * MS));
}

FIXTURE_SETUP(stuck)
{
	if (gt_ncpus() < 3)
		SKIP(return, "3 CPUs are needed");
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(4, gt_file_put(&self->e, "runnable_timeout", "5000"));
	self->prog = load_nothing();
	ASSERT_LE(0, self->prog);
	ASSERT_EQ(0, gt_task_start(&self->t));
	ASSERT_EQ(0, gt_pin(self->t.pid, 2));
	ASSERT_EQ(0, gt_agent_start(&agents[1], &self->e, 1, -1));
	gt_tell_call(&self->t, run_bound, self->prog);
	ASSERT_TRUE(gets_on(self));
}

FIXTURE_TEARDOWN(stuck)
{
	gt_agent_stop(&agents[1]);
	gt_agent_stop(&agents[2]);
	gt_destroy(&self->e);
	gt_task_end(&self->t);
	gt_enclave_close(&self->e);
	close(self->prog);
}

/* Where it is when it joins is no CPU of the enclave. */
TEST_F_TIMEOUT(stuck, joins, 100)
{
	struct sched_param sp = { 0 };
	struct gt_msg m;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(0, gt_join(&self->e, self->t.pid));
		ASSERT_EQ(0, gt_next_type(&self->e.q, self->t.gtid, MSG_TASK_NEW, &m));
		ASSERT_TRUE(gets_on(self)) TH_LOG("round %d", i);
		ASSERT_EQ(SCHED_GHOST, gt_policy(self->t.pid));
		ASSERT_EQ(0, sched_setscheduler(self->t.pid, SCHED_OTHER, &sp));
		gt_queue_consume(&self->e.q);
		/* Before, it is kept from whoever schedules it next. */
		ASSERT_EQ(0, gt_sw_free(&self->e, m.new_.sw_info));
		ASSERT_EQ(0, gt_pin(self->t.pid, 2));
		ASSERT_TRUE(gets_on(self)) TH_LOG("round %d", i);
	}
	EXPECT_EQ(0, access(self->e.dir, F_OK)) TH_LOG("destroyed");
}

/* The agent of the CPU goes, and comes back. */
TEST_F_TIMEOUT(stuck, agent_leaves, 100)
{
	int i;

	ASSERT_EQ(0, gt_set_cpus(&self->e, "1-2"));
	ASSERT_EQ(0, gt_join(&self->e, self->t.pid));
	for (i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(0, gt_agent_start(&agents[2], &self->e, 2, -1));
		/* Let it run here, and there when it is bound no longer. */
		ASSERT_TRUE(gt_wait_for((try(self, 1), try(self, 2),
					 gt_cpu_of(self->t.pid) == 2)));
		ASSERT_EQ(0, gt_agent_stop(&agents[2]));
		ASSERT_TRUE(gets_on(self)) TH_LOG("round %d", i);
		ASSERT_EQ(SCHED_GHOST, gt_policy(self->t.pid));
		gt_queue_consume(&self->e.q);
	}
	EXPECT_EQ(0, access(self->e.dir, F_OK)) TH_LOG("destroyed");
}

/* With the tunable: lent it runs there, and then there is a policy again. */
TEST_F_TIMEOUT(stuck, taken_back, 100)
{
	int i;

	ASSERT_EQ(1, gt_file_put(&self->e, "fallback", "1"));
	ASSERT_EQ(0, gt_agent_stop(&agents[1]));
	ASSERT_EQ(0, gt_join(&self->e, self->t.pid));
	for (i = 0; i < ROUNDS; i++) {
		ASSERT_TRUE(gets_on(self)) TH_LOG("round %d: lent", i);
		ASSERT_EQ(0, gt_agent_start(&agents[1], &self->e, 1, -1));
		ASSERT_TRUE(gets_on(self)) TH_LOG("round %d: taken back", i);
		ASSERT_EQ(SCHED_GHOST, gt_policy(self->t.pid));
		ASSERT_EQ(0, gt_agent_stop(&agents[1]));
		gt_queue_consume(&self->e.q);
	}
	EXPECT_EQ(0, access(self->e.dir, F_OK)) TH_LOG("destroyed");
}

TEST_HARNESS_MAIN
