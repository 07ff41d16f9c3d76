// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Commands of an enclave's ctl: what may follow a command, what it leaves. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"

FIXTURE(ctl) {
	struct gt_enclave e;
};

FIXTURE_SETUP(ctl)
{
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
}

FIXTURE_TEARDOWN(ctl)
{
	gt_destroy(&self->e);
	gt_enclave_close(&self->e);
}

/* ---- what may follow ---- */

struct becoming {
	int ctl;
	const char *cmd;
	int ret, policy;
};

static void *become(void *arg)
{
	struct becoming *b = arg;

	b->ret = gt_put(b->ctl, b->cmd);
	b->policy = sched_getscheduler(0);
	return NULL;
}

TEST_F(ctl, trailing_words)
{
	struct becoming b = { self->e.ctl, "become agent 1 -1 please" };
	const char *cmd = "create sw_region 3 0 and more";
	pthread_t thread;

	EXPECT_EQ((int)strlen(cmd), gt_put(self->e.ctl, cmd));
	EXPECT_LE(0, gt_file(&self->e, "sw_regions/sw_3", O_RDONLY));
	ASSERT_EQ(0, pthread_create(&thread, NULL, become, &b));
	pthread_join(thread, NULL);
	EXPECT_EQ((int)strlen(b.cmd), b.ret);
	EXPECT_EQ(SCHED_GHOST | GT_RESET_ON_FORK, b.policy);
	/* The end of an enclave kills the process of an agent that is left. */
	ASSERT_TRUE(gt_wait_for(gt_sw_info(&self->e, GHOST_AGENT, 1, NULL) ==
				-EINVAL));
}

TEST_F(ctl, whole_words_only)
{
	static const char * const cmds[] = {
		"destroy now", "discover tasks ", "disable my bpf_prog_load\t",
		"create sw_regions 3 0", "become agents 1 -1",
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(cmds); i++) {
		EXPECT_EQ(-EINVAL, gt_put(self->e.ctl, cmds[i]))
			TH_LOG("'%s'", cmds[i]);
	}
}

TEST_F(ctl, line_ends_a_command)
{
	const char *cmd = "destroy\nwhatever";

	EXPECT_EQ(15, gt_put(self->e.ctl, "discover tasks\n"));
	EXPECT_EQ((int)strlen(cmd), gt_put(self->e.ctl, cmd));
	EXPECT_TRUE(gt_gone(&self->e));
}

/* ---- the ban on loading BPF programs ---- */

#define EXEC_CHILD	"--load-a-program"

static int load_program(void)
{
	struct bpf_insn insn[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
		.insns = (uintptr_t)insn,
		.insn_cnt = 2,
		.license = (uintptr_t)"GPL",
	};
	int fd = syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

/* What is executed under a ban: this program, which then ends at once. */
static __attribute__((constructor)) void exec_child(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], EXEC_CHILD))
		_exit(-load_program());
}

static void *execute(void *unused)
{
	char * const argv[] = { "x", EXEC_CHILD, NULL };

	execv("/proc/self/exe", argv);
	return NULL;
}

static int load_after_exec(int ctl, bool by_thread)
{
	pthread_t thread;
	int status;
	pid_t pid;

	pid = fork();
	if (!pid) {
		if (ctl >= 0 && gt_put(ctl, "disable my bpf_prog_load") < 0)
			_exit(101);
		if (!by_thread)
			execute(NULL);
		else if (!pthread_create(&thread, NULL, execute, NULL))
			pthread_join(thread, NULL);
		_exit(102);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -1000;
}

TEST_F(ctl, load_ban_survives_exec)
{
	EXPECT_EQ(0, load_after_exec(-1, false));
	EXPECT_EQ(0, load_after_exec(-1, true));
	EXPECT_EQ(-EPERM, load_after_exec(self->e.ctl, false));
	EXPECT_EQ(-EPERM, load_after_exec(self->e.ctl, true));
	EXPECT_EQ(0, load_program()) TH_LOG("the ban is the child's");
}

TEST_HARNESS_MAIN
