// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Timers and ticks: TIMER_EXPIRED, commit_at_tick; and the BPF load ban. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/bpf.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"

static struct gt_agent agent;

FIXTURE(timer) {
	struct gt_enclave e;
	struct gt_task t, u;
	int fd;
};

FIXTURE_SETUP(timer)
{
	ASSERT_EQ(0, gt_begin());
	ASSERT_LE(2, gt_ncpus()) TH_LOG("2 CPUs are needed");
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->t));
	ASSERT_EQ(0, gt_task_start(&self->u));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	self->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(timer)
{
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	gt_task_end(&self->t);
	gt_task_end(&self->u);
	close(self->fd);
	gt_enclave_close(&self->e);
}

static struct itimerspec in_ms(int ms, int interval)
{
	return (struct itimerspec){
		.it_value.tv_nsec = ms * 1000000L,
		.it_interval.tv_nsec = interval * 1000000L,
	};
}

static int settime(struct gt_enclave *e, int fd, int cpu, int flags,
		   struct itimerspec *in, struct itimerspec *out)
{
	struct ghost_ioc_timerfd_settime arg = {
		.timerfd = fd,
		.in_tmr = (void *)in,
		.out_tmr = (void *)out,
		.timerfd_ghost = {
			.cpu = cpu,
			.flags = flags,
			.type = 0x1122334455667788,
			.cookie = 0x99aabbccddeeff00,
		},
	};

	return gt_ioctl(e->ctl, GHOST_IOC_TIMERFD_SETTIME, &arg);
}

TEST_F(timer, expiry_is_a_message)
{
	struct pollfd p = { .fd = self->fd, .events = POLLIN };
	struct itimerspec in = in_ms(20, 0), out;
	uint32_t before;
	uint64_t ticks;
	struct gt_msg m;

	before = gt_barrier(agent.sw);
	ASSERT_EQ(0, settime(&self->e, self->fd, 1, TIMERFD_GHOST_ENABLED, &in,
			     &out));
	EXPECT_EQ(0, out.it_value.tv_nsec);
	ASSERT_EQ(0, gt_next(&self->e.q, GT_ANY, GT_WAIT_MS, &m));
	EXPECT_EQ(MSG_CPU_TIMER_EXPIRED, m.type);
	EXPECT_EQ(1, m.timer.cpu);
	EXPECT_EQ(0x1122334455667788, m.timer.type);
	EXPECT_EQ(0x99aabbccddeeff00, m.timer.cookie);
	EXPECT_EQ(before + 1, m.seqnum);
	/* The descriptor is ready as ever. */
	EXPECT_EQ(1, poll(&p, 1, GT_WAIT_MS));
	EXPECT_EQ(8, read(self->fd, &ticks, 8));
	EXPECT_EQ(1, ticks);
}

TEST_F(timer, periodic_tells_once_a_read)
{
	struct itimerspec in = in_ms(10, 10);
	uint64_t ticks;
	int i;

	ASSERT_EQ(0, settime(&self->e, self->fd, 1, TIMERFD_GHOST_ENABLED, &in,
			     NULL));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, gt_next(&self->e.q, GT_ANY, GT_WAIT_MS, NULL));
		EXPECT_EQ(-ETIMEDOUT, gt_next(&self->e.q, GT_ANY, 50, NULL));
		EXPECT_EQ(8, read(self->fd, &ticks, 8));
	}
}

TEST_F(timer, plain_settime_unbinds)
{
	struct itimerspec in;
	int i;

	for (i = 0; i < 2; i++) {
		in = in_ms(900, 0);
		ASSERT_EQ(0, settime(&self->e, self->fd, 1,
				     TIMERFD_GHOST_ENABLED, &in, NULL));
		in = in_ms(20, 0);
		ASSERT_EQ(0, i ? settime(&self->e, self->fd, 1, 0, &in, NULL) :
			     timerfd_settime(self->fd, 0, &in, NULL));
		EXPECT_EQ(-ETIMEDOUT, gt_next(&self->e.q, GT_ANY, GT_QUIET_MS,
					      NULL));
	}
}

TEST_F(timer, errors)
{
	struct itimerspec in = in_ms(10, 0), bad = { .it_value.tv_nsec = -1 };
	struct gt_enclave *e = &self->e, other;
	int fd = self->fd;

	EXPECT_EQ(-EFAULT, gt_ioctl(e->ctl, GHOST_IOC_TIMERFD_SETTIME, NULL));
	EXPECT_EQ(-EFAULT, settime(e, fd, 1, 0, NULL, NULL));
	EXPECT_EQ(-EINVAL, settime(e, fd, 1, 2, &in, NULL));
	EXPECT_EQ(-EINVAL, settime(e, fd, -1, 1, &in, NULL));
	EXPECT_EQ(-EINVAL, settime(e, fd, 1 << 20, 1, &in, NULL));
	EXPECT_EQ(-EINVAL, settime(e, fd, 0, 1, &in, NULL))
		TH_LOG("no agent there");
	EXPECT_EQ(-EINVAL, settime(e, fd, 1, 1, &bad, NULL));
	EXPECT_EQ(-EBADF, settime(e, -1, 1, 1, &in, NULL));
	EXPECT_EQ(-EINVAL, settime(e, e->ctl, 1, 1, &in, NULL));
	EXPECT_EQ(-EFAULT, settime(e, fd, 1, 1, &in, (void *)8));
	ASSERT_EQ(0, gt_enclave_bare(&other));
	EXPECT_EQ(-EINVAL, settime(&other, fd, 1, 1, &in, NULL))
		TH_LOG("the agent is in another enclave");
	gt_destroy(&other);
	gt_enclave_close(&other);
}

TEST_F(timer, of_a_foreign_agent)
{
	struct itimerspec in = in_ms(10, 0);
	pid_t host;

	ASSERT_EQ(0, gt_agent_stop(&agent));
	host = gt_host_start(&self->e, 1, NULL, NULL);
	ASSERT_LT(0, host);
	EXPECT_EQ(-EINVAL, settime(&self->e, self->fd, 1, 1, &in, NULL));
	kill(host, SIGKILL);
	waitpid(host, NULL, 0);
}

/* ---- commit_at_tick ---- */

static int greedy_after(struct gt_enclave *e, struct gt_task *t, int ms)
{
	gt_txn_fill(e, 1, &(struct gt_txn){
		.gtid = t->gtid,
		.task_barrier = gt_barrier(gt_sw(e, t->gtid)),
	});
	gt_sleep_ms(ms);
	return gt_txn_state(e, 1);
}

TEST_F(timer, commit_at_tick)
{
	int i, state = 0;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->u, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->u, NULL));
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->t, 0));
	ASSERT_TRUE(gt_runs(&agent, 1, &self->t));

	/* Off: nobody looks, unless something schedules there just then. */
	for (i = 0; i < 30; i++) {
		state = greedy_after(&self->e, &self->u, 20);
		if (state == GHOST_TXN_READY)
			break;
		ASSERT_EQ(GHOST_TXN_COMPLETE,
			  gt_schedule(&agent, 1, &self->t, 0));
	}
	EXPECT_STATE(GHOST_TXN_READY, state);

	ASSERT_EQ(1, gt_file_put(&self->e, "commit_at_tick", "1"));
	state = gt_txn_wait(&self->e, 1);
	for (i = 0; i < 30 && state == GHOST_TXN_CPU_UNAVAIL; i++) {
		greedy_after(&self->e, &self->u, 0);
		state = gt_txn_wait(&self->e, 1);
	}
	EXPECT_STATE(GHOST_TXN_COMPLETE, state);
	EXPECT_TRUE(gt_runs(&agent, 1, &self->u));
}

/* ---- disable my bpf_prog_load ---- */

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

static void *load_in_thread(void *unused)
{
	return (void *)(long)load_program();
}

/* Exits with the number of the step that was not as it should be. */
static int give_up_loading(int ctl)
{
	pthread_t thread;
	int status;
	void *ret;
	pid_t pid;

	if (load_program())
		return 1;
	if (gt_put(ctl, "disable my bpf_prog_load") < 0)
		return 2;
	if (load_program() != -EPERM)
		return 3;
	if (pthread_create(&thread, NULL, load_in_thread, NULL) ||
	    pthread_join(thread, &ret) || (long)ret != -EPERM)
		return 4;
	pid = fork();
	if (!pid)
		_exit(load_program() != -EPERM);
	if (waitpid(pid, &status, 0) != pid || status)
		return 5;
	return 0;
}

TEST_F(timer, bpf_load_ban)
{
	int status;
	pid_t pid;

	pid = fork();
	if (!pid)
		_exit(give_up_loading(self->e.ctl));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status) TH_LOG("step %d", WEXITSTATUS(status));
	EXPECT_EQ(0, load_program()) TH_LOG("other processes are not meant");
}

TEST_HARNESS_MAIN
