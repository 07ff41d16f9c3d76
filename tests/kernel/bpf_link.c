// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Attaching BPF programs to an enclave: links, slots, replacement, ends. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt_bpf.h"

#define V	GHOST_VERSION

FIXTURE(link) {
	struct gt_enclave e;
	int prog[GT_NSLOTS];
};

FIXTURE_SETUP(link)
{
	int slot;

	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_bare(&self->e));
	for (slot = 0; slot < GT_NSLOTS; slot++) {
		self->prog[slot] = gt_prog_zero(slot, V);
		ASSERT_LE(0, self->prog[slot]) TH_LOG("%s", gt_log);
	}
}

FIXTURE_TEARDOWN(link)
{
	int slot;

	for (slot = 0; slot < GT_NSLOTS; slot++)
		close(self->prog[slot]);
	gt_destroy(&self->e);
	gt_enclave_close(&self->e);
}

static int attach(FIXTURE_DATA(link) *self, int slot)
{
	return gt_link_create(self->prog[slot], self->e.ctl, GT_ATTACH(V, slot), 0);
}

TEST_F(link, all_slots)
{
	struct bpf_prog_info info;
	int slot, link[GT_NSLOTS], other;

	for (slot = 0; slot < GT_NSLOTS; slot++) {
		EXPECT_EQ(0, gt_bpf_stat(&self->e, slot, "prog "));
		link[slot] = attach(self, slot);
		ASSERT_LE(0, link[slot]);
		ASSERT_EQ(0, gt_prog_info(self->prog[slot], &info));
		EXPECT_EQ(info.id, gt_bpf_stat(&self->e, slot, "prog "));
	}
	/* Each slot holds one, be it the same program or another. */
	for (slot = 0; slot < GT_NSLOTS; slot++) {
		EXPECT_EQ(-EBUSY, attach(self, slot));
		other = gt_prog_zero(slot, V);
		EXPECT_EQ(-EBUSY, gt_link_create(other, self->e.ctl,
						 GT_ATTACH(V, slot), 0));
		close(other);
	}
	/* The last close detaches. */
	for (slot = 0; slot < GT_NSLOTS; slot++) {
		other = dup(link[slot]);
		close(link[slot]);
		EXPECT_EQ(-EBUSY, attach(self, slot));
		close(other);
		EXPECT_EQ(0, gt_bpf_stat(&self->e, slot, "prog "));
		link[slot] = attach(self, slot);
		EXPECT_LE(0, link[slot]);
		close(link[slot]);
	}
}

/* What bpftool and others show of a link: which program, where, of which type. */
TEST_F(link, shown)
{
	struct bpf_prog_info prog;
	struct bpf_link_info info;
	char path[64], buf[512], want[4][32];
	int slot, link, i;

	for (slot = 0; slot < GT_NSLOTS; slot++) {
		link = attach(self, slot);
		ASSERT_LE(0, link);
		ASSERT_EQ(0, gt_prog_info(self->prog[slot], &prog));
		ASSERT_EQ(0, gt_link_info(link, &info));
		EXPECT_EQ(BPF_LINK_TYPE_UNSPEC, info.type);
		EXPECT_LT(0, info.id);
		EXPECT_EQ(prog.id, info.prog_id);
		snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", link);
		ASSERT_LT(0, gt_read_file(path, buf, sizeof(buf)));
		snprintf(want[0], sizeof(want[0]), "link_id:\t%u\n", info.id);
		snprintf(want[1], sizeof(want[1]), "prog_id:\t%u\n", prog.id);
		snprintf(want[2], sizeof(want[2]), "enclave:\t%d\n", self->e.id);
		snprintf(want[3], sizeof(want[3]), "prog_type:\t%u\n",
			 GT_PROG_TYPE(slot));
		for (i = 0; i < 4; i++)
			EXPECT_NE(NULL, strstr(buf, want[i]))
				TH_LOG("no %sin %s", want[i], buf);
		close(link);
	}
}

TEST_F(link, refused)
{
	int slot, abi90, abi12, ro, status;

	for (slot = 0; slot < GT_NSLOTS; slot++) {
		int prog = self->prog[slot], ctl = self->e.ctl;
		int next = (slot + 1) % GT_NSLOTS;

		/* In the order of the rules: flags first... */
		EXPECT_EQ(-EINVAL, gt_link_create(prog, -1, GT_ATTACH(V, slot), 1));
		EXPECT_EQ(-EINVAL, gt_link_create(prog, ctl, GT_ATTACH(V, slot),
						  BPF_F_REPLACE));
		/* ... the attach type, all of it... */
		EXPECT_EQ(-EINVAL, gt_link_create(prog, -1, GT_ATTACH(V, next), 0));
		EXPECT_EQ(-EINVAL, gt_link_create(prog, -1, GT_ATTACH(90, slot), 0));
		EXPECT_EQ(-EINVAL, gt_link_create(prog, -1,
						  BPF_GHOST_SCHED_PNT + slot, 0));
		EXPECT_EQ(-EINVAL, gt_link_create(prog, -1, 0, 0));
		/* ... an ABI that nobody knows... */
		abi12 = gt_prog_zero(slot, 12);
		EXPECT_EQ(-EBADF, gt_link_create(abi12, ctl, GT_ATTACH(12, slot), 0));
		close(abi12);
		/* ... no ctl... */
		EXPECT_EQ(-EBADF, gt_link_create(prog, -1, GT_ATTACH(V, slot), 0));
		EXPECT_EQ(-EBADF, gt_link_create(prog, prog, GT_ATTACH(V, slot), 0));
		status = gt_file(&self->e, "status", O_RDONLY);
		EXPECT_EQ(-EBADF, gt_link_create(prog, status, GT_ATTACH(V, slot), 0));
		close(status);
		/* ... one that is open for reading only... */
		ro = gt_file(&self->e, "ctl", O_RDONLY);
		ASSERT_LE(0, ro);
		EXPECT_EQ(-EACCES, gt_link_create(prog, ro, GT_ATTACH(V, slot), 0));
		close(ro);
		/* ... and another ABI than the enclave's. */
		abi90 = gt_prog_zero(slot, 90);
		EXPECT_EQ(-EBADF, gt_link_create(abi90, ctl, GT_ATTACH(90, slot), 0));
		close(abi90);
		EXPECT_EQ(0, gt_bpf_stat(&self->e, slot, "prog "));
	}
	/* The ctl at the top is none of an enclave. */
	ro = gt_open(GT_ROOT "/ctl", O_WRONLY);
	ASSERT_LE(0, ro);
	EXPECT_EQ(-EBADF, gt_link_create(self->prog[0], ro, GT_ATTACH(V, 0), 0));
	close(ro);
}

TEST_F(link, cannot_be_detached)
{
	int slot, link;

	for (slot = 0; slot < GT_NSLOTS; slot++) {
		link = attach(self, slot);
		ASSERT_LE(0, link);
		EXPECT_EQ(-EOPNOTSUPP, gt_link_detach(link));
		close(link);
	}
}

TEST_F(link, replace)
{
	struct bpf_prog_info info;
	int slot, link, new, abi90;

	for (slot = 0; slot < GT_NSLOTS; slot++) {
		int old = self->prog[slot];
		int other = self->prog[(slot + 1) % GT_NSLOTS];

		link = attach(self, slot);
		ASSERT_LE(0, link);
		new = gt_prog_zero(slot, V);
		abi90 = gt_prog_zero(slot, 90);
		ASSERT_LE(0, new);

		EXPECT_EQ(-EINVAL, gt_link_update(link, new, 0, 0));
		EXPECT_EQ(-EINVAL, gt_link_update(link, new, old, 0));
		EXPECT_EQ(-EINVAL, gt_link_update(link, new, old, BPF_F_REPLACE | 1));
		EXPECT_EQ(-EPERM, gt_link_update(link, new, new, BPF_F_REPLACE));
		EXPECT_EQ(-EPERM, gt_link_update(link, new, other, BPF_F_REPLACE));
		EXPECT_EQ(-EINVAL, gt_link_update(link, other, old, BPF_F_REPLACE));
		EXPECT_EQ(-EINVAL, gt_link_update(link, abi90, old, BPF_F_REPLACE));
		ASSERT_EQ(0, gt_prog_info(old, &info));
		EXPECT_EQ(info.id, gt_bpf_stat(&self->e, slot, "prog "));

		EXPECT_EQ(0, gt_link_update(link, new, old, BPF_F_REPLACE));
		ASSERT_EQ(0, gt_prog_info(new, &info));
		EXPECT_EQ(info.id, gt_bpf_stat(&self->e, slot, "prog "));
		EXPECT_EQ(-EPERM, gt_link_update(link, old, old, BPF_F_REPLACE));
		EXPECT_EQ(0, gt_link_update(link, old, new, BPF_F_REPLACE));
		close(new);
		close(abi90);
		close(link);
	}
}

/* The enclave goes, the link stays, and what it refers to is there. */
TEST_F(link, outlives_the_enclave)
{
	int slot, link[GT_NSLOTS], ctl;
	char path[64], buf[512];

	for (slot = 0; slot < GT_NSLOTS; slot++) {
		link[slot] = attach(self, slot);
		ASSERT_LE(0, link[slot]);
	}
	ctl = dup(self->e.ctl);
	gt_destroy(&self->e);
	ASSERT_TRUE(gt_gone(&self->e));
	for (slot = 0; slot < GT_NSLOTS; slot++) {
		/* Dead ctl. */
		EXPECT_EQ(-EBADF, gt_link_create(self->prog[slot], ctl,
						 GT_ATTACH(V, slot), 0));
		snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", link[slot]);
		EXPECT_LT(0, gt_read_file(path, buf, sizeof(buf)));
		close(link[slot]);
	}
	close(ctl);
}

/* A process dies: its links go, unless another has them. */
TEST_F(link, death_of_the_holder)
{
	int go[2], status, keep;
	char c;
	pid_t pid;

	keep = attach(self, GT_MSG);
	ASSERT_LE(0, keep);
	ASSERT_EQ(0, pipe(go));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (attach(self, GT_SCHED) < 0)
			_exit(1);
		if (write(go[1], "x", 1) != 1)
			_exit(2);
		pause();
	}
	ASSERT_EQ(1, read(go[0], &c, 1));
	EXPECT_EQ(-EBUSY, attach(self, GT_SCHED));
	EXPECT_EQ(-EBUSY, attach(self, GT_MSG));
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(gt_wait_for(!gt_bpf_stat(&self->e, GT_SCHED, "prog ")));
	EXPECT_EQ(-EBUSY, attach(self, GT_MSG));
	close(keep);
	close(go[0]);
	close(go[1]);
}

TEST_F(link, features)
{
	char buf[1024];

	ASSERT_LT(0, gt_file_get(&self->e, "features", buf, sizeof(buf)));
	EXPECT_NE(NULL, strstr(buf, "bpf\n"));
	EXPECT_NE(NULL, strstr(buf, "bpf_link_replace\n"));
}

TEST_HARNESS_MAIN
