// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * A security module, here a BPF program on task_setscheduler, has the last word
 * about each thread that joins, leaves or becomes an agent. It says EACCES, which
 * nothing else here does.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "kselftest_harness.h"
#include "gt_bpf.h"

static struct gt_agent agent;

/* Where task_struct has its pid, in bytes; negative: not found. */
static int pid_offset(void)
{
	struct btf *btf = btf__load_vmlinux_btf();
	const struct btf_type *task;
	const struct btf_member *m;
	int i, id, offset = -1;

	id = btf__find_by_name_kind(btf, "task_struct", BTF_KIND_STRUCT);
	task = id < 0 ? NULL : btf__type_by_id(btf, id);
	m = task ? btf_members(task) : NULL;
	for (i = 0; m && i < btf_vlen(task); i++)
		if (!strcmp(btf__name_by_offset(btf, m[i].name_off), "pid"))
			offset = btf_member_bit_offset(task, i) / 8;
	btf__free(btf);
	return offset;
}

/* No call of setscheduler about the thread @tid, until the link is closed. */
static int deny(pid_t tid)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts);
	struct bpf_insn insns[] = {
		I_LOAD(BPF_DW, 1, 1, 0),
		I_LOAD(BPF_W, 1, 1, pid_offset()),
		I_MOV(0, 0),
		{ .code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 1, .imm = tid,
		  .off = 1 },
		I_MOV(0, -EACCES),
		I_EXIT,
	};
	int prog, link;

	opts.expected_attach_type = BPF_LSM_MAC;
	opts.attach_btf_id = libbpf_find_vmlinux_btf_id("task_setscheduler",
							BPF_LSM_MAC);
	prog = bpf_prog_load(BPF_PROG_TYPE_LSM, "deny", "GPL", insns,
			     sizeof(insns) / sizeof(insns[0]), &opts);
	if (prog < 0)
		return prog;
	link = bpf_link_create(prog, 0, BPF_LSM_MAC, NULL);
	close(prog);
	return link;
}

static int set_policy(pid_t tid, int policy)
{
	struct sched_param sp = { 0 };

	return sched_setscheduler(tid, policy, &sp) ? -errno : 0;
}

FIXTURE(lsm) {
	struct gt_enclave e;
	struct gt_task t, other;
	int link;
};

FIXTURE_SETUP(lsm)
{
	if (libbpf_find_vmlinux_btf_id("task_setscheduler", BPF_LSM_MAC) < 0)
		SKIP(return, "needs CONFIG_BPF_LSM");
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->t));
	ASSERT_EQ(0, gt_task_start(&self->other));
	self->link = -1;
}

FIXTURE_TEARDOWN(lsm)
{
	if (self->link >= 0)
		close(self->link);
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	gt_task_end(&self->t);
	gt_task_end(&self->other);
	gt_enclave_close(&self->e);
}

TEST_F(lsm, joins)
{
	self->link = deny(self->t.pid);
	ASSERT_LE(0, self->link) TH_LOG("lsm=bpf at boot?");
	EXPECT_EQ(-EACCES, gt_join(&self->e, self->t.pid));
	EXPECT_EQ(SCHED_OTHER, gt_policy(self->t.pid));
	EXPECT_EQ(0, gt_join_asleep(&self->e, &self->other, NULL));
	close(self->link);
	self->link = -1;
	EXPECT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
}

TEST_F(lsm, leaves)
{
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	self->link = deny(self->t.pid);
	ASSERT_LE(0, self->link);
	EXPECT_EQ(-EACCES, set_policy(self->t.pid, SCHED_OTHER));
	EXPECT_EQ(SCHED_GHOST, gt_policy(self->t.pid));
}

/* What an enclave's end gives back nobody asked for. */
TEST_F(lsm, is_not_asked_at_the_end)
{
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	self->link = deny(self->t.pid);
	ASSERT_LE(0, self->link);
	ASSERT_EQ(0, gt_destroy(&self->e));
	EXPECT_TRUE(gt_gone(&self->e));
	EXPECT_EQ(SCHED_OTHER, gt_policy(self->t.pid));
}

TEST_F(lsm, becomes_an_agent)
{
	self->link = deny(gettid());
	ASSERT_LE(0, self->link);
	EXPECT_EQ(-EACCES, gt_put(self->e.ctl, "become agent 1 -1"));
	close(self->link);
	self->link = -1;
	EXPECT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
}

TEST_HARNESS_MAIN
