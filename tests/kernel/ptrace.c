// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * ptrace: a member stops when its policy runs it, as it would anywhere else; an
 * agent that stands still is as good as none.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"
#include "gt_policy.h"

#define STEPS	20

static struct gt_agent agent;

static int trace(int request, pid_t pid, unsigned long addr, unsigned long data)
{
	return ptrace(request, pid, addr, data) ? -errno : 0;
}

/* What waitpid() says of the tracee, 0: nothing. */
static int news(pid_t pid)
{
	int status;

	return waitpid(pid, &status, __WALL | WNOHANG) == pid ? status : 0;
}

static bool is_event_stop(int status)
{
	return WIFSTOPPED(status) && status >> 16 == PTRACE_EVENT_STOP;
}

/*
 * Another process that stops the tracee, and holds it as long as it lives. @t is
 * the tracee if it is a member: it gets the CPU that it needs to stop.
 */
static pid_t tracer_start(pid_t tracee, struct gt_task *t)
{
	int to[2], ret = -ETIMEDOUT;
	pid_t pid;

	if (pipe2(to, O_NONBLOCK))
		return -errno;
	pid = fork();
	if (!pid) {
		ret = trace(PTRACE_SEIZE, tracee, 0, 0);
		if (!ret)
			ret = trace(PTRACE_INTERRUPT, tracee, 0, 0);
		if (!ret && waitpid(tracee, &ret, __WALL) == tracee)
			ret = is_event_stop(ret) ? 0 : -ECHILD;
		if (write(to[1], &ret, sizeof(ret)) == sizeof(ret))
			pause();
		_exit(1);
	}
	if (pid > 0)
		gt_wait_for((t ? gt_put_back(&agent, 1, t) : (void)0,
			     read(to[0], &ret, sizeof(ret))) > 0);
	close(to[0]);
	close(to[1]);
	return ret ? ret : pid;
}

static void tracer_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* The next message of the task that is no PREEMPT by a thread of the kernel. */
static const char *next_name(struct gt_enclave *e, struct gt_task *t)
{
	struct gt_msg m = { 0 };
	int ret;

	do {
		ret = gt_next(&e->q, t->gtid, GT_WAIT_MS, &m);
	} while (!ret && m.type == MSG_TASK_PREEMPT);
	return ret ? "none" : gt_msg_name(m.type);
}

#define EXPECT_NEXT(want)	\
	EXPECT_STREQ(gt_msg_name(want), next_name(&self->e, &self->t))

#define EXPECT_NO_MORE()	\
	EXPECT_EQ(-ETIMEDOUT, gt_next(&self->e.q, self->t.gtid, GT_QUIET_MS, NULL))

/* ---- a member is traced ---- */

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

/* Counts until somebody changes its register. */
static long spin_on_register(long ctl)
{
	struct gt_task_ctl *c = (void *)ctl;
	register long r asm("r12") = 0;

	asm volatile("1:	incq	%1\n"
		     "	testq	%0, %0\n"
		     "	jz	1b" : "+r" (r), "+m" (c->count));
	return r;
}

FIXTURE_SETUP(member)
{
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->t));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	if (variant->state == ASLEEP)
		return;
	gt_tell_call(&self->t, spin_on_register, (long)self->t.ctl);
	ASSERT_EQ(0, gt_next_type(&self->e.q, self->t.gtid, MSG_TASK_WAKEUP, NULL));
	if (variant->state == QUEUED)
		return;
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->t, 0));
	ASSERT_TRUE(gt_runs(&agent, 1, &self->t));
}

FIXTURE_TEARDOWN(member)
{
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	gt_task_end(&self->t);
	EXPECT_EQ(0, self->e.q.gaps);
	gt_enclave_close(&self->e);
}

/* Has the task run until the tracer is told something. */
static int driven(struct gt_task *t)
{
	int status = 0;

	gt_wait_for((gt_put_back(&agent, 1, t), status = news(t->pid)));
	return status;
}

/* Stopped, blocked, and not to be committed. */
#define EXPECT_TRACED() do {						\
	struct ghost_status_word *__sw = gt_sw(&self->e, self->t.gtid);	\
									\
	ASSERT_NE(NULL, __sw);						\
	EXPECT_TRUE(gt_wait_for(gt_proc_state(self->t.pid) == 't'));	\
	EXPECT_FALSE(gt_flags(__sw) & GHOST_SW_TASK_RUNNABLE);		\
	EXPECT_STATE(GHOST_TXN_TARGET_NOT_RUNNABLE,			\
		     gt_commit(&agent, 1, &(struct gt_txn){		\
			.gtid = self->t.gtid,				\
			.task_barrier = gt_barrier(__sw),		\
			.agent_barrier = GT_NOW,			\
			.commit_flags = COMMIT_AT_TXN_COMMIT }));	\
} while (0)

TEST_F(member, stops_when_the_policy_runs_it)
{
	struct user_regs_struct regs;
	pid_t pid = self->t.pid;
	int i;

	ASSERT_EQ(0, trace(PTRACE_SEIZE, pid, 0, 0));
	ASSERT_EQ(0, trace(PTRACE_INTERRUPT, pid, 0, 0));
	if (variant->state == ASLEEP)
		EXPECT_NEXT(MSG_TASK_WAKEUP);
	if (variant->state != RUNNING) {
		gt_sleep_ms(GT_QUIET_MS);
		EXPECT_EQ(0, news(pid)) TH_LOG("stopped without a CPU");
		EXPECT_EQ(-ESRCH, trace(PTRACE_GETREGS, pid, 0, (long)&regs));
	}
	ASSERT_TRUE(is_event_stop(driven(&self->t)));
	EXPECT_NEXT(MSG_TASK_BLOCKED);
	EXPECT_TRACED();

	/* Who slept would go back to sleep before a step is done. */
	if (variant->state != ASLEEP) {
		for (i = 0; i < STEPS; i++) {
			ASSERT_EQ(0, trace(PTRACE_SINGLESTEP, pid, 0, 0));
			EXPECT_NEXT(MSG_TASK_WAKEUP);
			ASSERT_EQ(SIGTRAP << 8 | 0x7f, driven(&self->t))
				TH_LOG("step %d", i);
			EXPECT_NEXT(MSG_TASK_BLOCKED);
		}
		EXPECT_TRACED();
		ASSERT_EQ(0, trace(PTRACE_GETREGS, pid, 0, (long)&regs));
		regs.r12 = 42;
		ASSERT_EQ(0, trace(PTRACE_SETREGS, pid, 0, (long)&regs));
		ASSERT_EQ(0, trace(PTRACE_POKEDATA, pid,
				   (long)&self->t.ctl->count, 4242));
		EXPECT_EQ(4242, ptrace(PTRACE_PEEKDATA, pid, &self->t.ctl->count, 0));
	}
	EXPECT_NO_MORE();
	ASSERT_EQ(0, trace(PTRACE_DETACH, pid, 0, 0));
	EXPECT_NEXT(MSG_TASK_WAKEUP);
	EXPECT_EQ(0, gt_drive(&agent, 1, &self->t, MSG_TASK_BLOCKED, NULL));
	if (variant->state != ASLEEP) {
		EXPECT_EQ(42, self->t.ctl->result);
		EXPECT_LE(4242, self->t.ctl->count);
	}
	/* A member like any other. */
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->t, 0));
	EXPECT_TRUE(gt_runs(&agent, 1, &self->t));
}

/* The old way, by SIGSTOP; the tracer has to wait for it. */
TEST_F(member, attached)
{
	ASSERT_EQ(0, trace(PTRACE_ATTACH, self->t.pid, 0, 0));
	if (variant->state == ASLEEP)
		EXPECT_NEXT(MSG_TASK_WAKEUP);
	if (variant->state != RUNNING) {
		EXPECT_NO_MORE();
		EXPECT_EQ(-ESRCH, trace(PTRACE_DETACH, self->t.pid, 0, 0));
	}
	ASSERT_EQ(SIGSTOP << 8 | 0x7f, driven(&self->t));
	EXPECT_NEXT(MSG_TASK_BLOCKED);
	EXPECT_TRACED();
	EXPECT_EQ(0, trace(PTRACE_DETACH, self->t.pid, 0, 0));
	EXPECT_NEXT(MSG_TASK_WAKEUP);
}

/* The end of the tracer lets the task go on. */
TEST_F(member, tracer_is_killed)
{
	struct gt_task *t = &self->t;
	pid_t tracer;

	tracer = tracer_start(t->pid, t);
	ASSERT_LT(0, tracer);
	EXPECT_EQ(0, gt_next_type(&self->e.q, t->gtid, MSG_TASK_BLOCKED, NULL));
	EXPECT_TRACED();
	EXPECT_NO_MORE();
	tracer_kill(tracer);
	EXPECT_NEXT(MSG_TASK_WAKEUP);
	if (variant->state == ASLEEP) {
		ASSERT_EQ(0, gt_drive(&agent, 1, t, MSG_TASK_BLOCKED, NULL));
		ASSERT_EQ(0, gt_wake_spinner(&self->e, t, NULL));
	}
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, t, 0));
	EXPECT_TRUE(gt_runs(&agent, 1, t));
}

/* Killed while it is stopped: its exit needs the CPU, nothing else. */
TEST_F(member, killed_while_stopped)
{
	ASSERT_EQ(0, trace(PTRACE_SEIZE, self->t.pid, 0, 0));
	ASSERT_EQ(0, trace(PTRACE_INTERRUPT, self->t.pid, 0, 0));
	ASSERT_TRUE(is_event_stop(driven(&self->t)));
	ASSERT_EQ(0, kill(self->t.pid, SIGKILL));
	EXPECT_EQ(0, gt_drive(&agent, 1, &self->t, MSG_TASK_DEAD, NULL));
}

/* ---- a member that sleeps at first ---- */

FIXTURE(sleeper) {
	struct gt_enclave e;
	struct gt_task t;
};

FIXTURE_SETUP(sleeper)
{
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->t));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
}

FIXTURE_TEARDOWN(sleeper)
{
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	gt_task_end(&self->t);
	EXPECT_EQ(0, self->e.q.gaps);
	gt_enclave_close(&self->e);
}

/* Traced but not stopped it blocks and wakes as ever. */
TEST_F(sleeper, blocks_and_wakes)
{
	ASSERT_EQ(0, trace(PTRACE_SEIZE, self->t.pid, 0, 0));
	EXPECT_NO_MORE();
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->t, 0));
	ASSERT_TRUE(gt_runs(&agent, 1, &self->t));
	/* A signal stops it on its way, and the tracer lets it through. */
	ASSERT_EQ(0, kill(self->t.pid, SIGURG));
	ASSERT_EQ(SIGURG << 8 | 0x7f, driven(&self->t));
	EXPECT_NEXT(MSG_TASK_BLOCKED);
	EXPECT_TRACED();
	ASSERT_EQ(0, trace(PTRACE_CONT, self->t.pid, 0, SIGURG));
	EXPECT_NEXT(MSG_TASK_WAKEUP);
	gt_tell(&self->t, GT_BLOCK);
	EXPECT_EQ(0, gt_drive(&agent, 1, &self->t, MSG_TASK_BLOCKED, NULL));
	EXPECT_TRUE(gt_asleep(&self->t));
}

#define EXEC_CHILD	"--exec-child"

/* What is executed: this program, which then ends at once. */
static __attribute__((constructor)) void exec_child(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], EXEC_CHILD))
		_exit(sched_getscheduler(0));
}

static long do_exec(long unused)
{
	char * const argv[] = { "x", EXEC_CHILD, NULL };

	execv("/proc/self/exe", argv);
	return -errno;
}

TEST_F(sleeper, syscalls_are_traced_over_an_exec)
{
	int status, calls = 0, execs = 0, others = 0;
	pid_t pid = self->t.pid;

	ASSERT_EQ(0, trace(PTRACE_SEIZE, pid, 0,
			   PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC));
	ASSERT_EQ(0, trace(PTRACE_INTERRUPT, pid, 0, 0));
	ASSERT_TRUE(is_event_stop(driven(&self->t)));
	gt_tell_call(&self->t, do_exec, 0);
	do {
		ASSERT_EQ(0, trace(PTRACE_SYSCALL, pid, 0, 0));
		status = driven(&self->t);
		if (status >> 8 == (SIGTRAP | 0x80))
			calls++;
		else if (status >> 8 == (SIGTRAP | PTRACE_EVENT_EXEC << 8))
			execs++;
		else
			others++;
	} while (WIFSTOPPED(status));
	ASSERT_TRUE(WIFEXITED(status));
	EXPECT_EQ(SCHED_GHOST, WEXITSTATUS(status));
	EXPECT_EQ(1, execs);
	EXPECT_EQ(1, others) TH_LOG("its end is the one other news");
	/* The exec, what is behind it, and the exit, which has no end. */
	EXPECT_LE(5, calls);
	EXPECT_EQ(0, gt_next_type(&self->e.q, self->t.gtid, MSG_TASK_DEAD, NULL));
	self->t.pid = 0;
}

/* ---- an agent is traced ---- */

FIXTURE(of_agent) {
	struct gt_enclave e;
	struct gt_task t;
	pid_t host, tid;
};

FIXTURE_SETUP(of_agent)
{
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->t));
}

FIXTURE_TEARDOWN(of_agent)
{
	gt_destroy(&self->e);
	/* A tracee is its tracer's to bury, before the process is gone. */
	if (self->host > 0) {
		kill(self->host, SIGKILL);
		gt_wait_for((news(self->tid),
			     waitpid(self->host, NULL, WNOHANG) == self->host));
	}
	gt_task_end(&self->t);
	EXPECT_EQ(0, self->e.q.gaps);
	gt_enclave_close(&self->e);
}

/* The thread of a process that is not its first. */
static pid_t other_thread(pid_t pid)
{
	struct dirent *ent;
	char path[64];
	pid_t tid = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	d = opendir(path);
	while (d && (ent = readdir(d)))
		if (atoi(ent->d_name) && atoi(ent->d_name) != pid)
			tid = atoi(ent->d_name);
	if (d)
		closedir(d);
	return tid;
}

#define START_HOST(start) do {						\
	self->host = start;						\
	ASSERT_LT(0, self->host);					\
	self->tid = other_thread(self->host);				\
	ASSERT_LT(0, self->tid);					\
} while (0)

TEST_F(of_agent, stopped_it_is_unable_to_run)
{
	int status = 0;

	ASSERT_EQ(1, gt_file_put(&self->e, "fallback", "1"));
	START_HOST(gt_host_start(&self->e, 1, NULL, NULL));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	ASSERT_EQ(0, trace(PTRACE_SEIZE, self->tid, 0, 0));
	EXPECT_TRUE(gt_stands(&self->t)) TH_LOG("traced, but not stopped");
	ASSERT_EQ(0, trace(PTRACE_INTERRUPT, self->tid, 0, 0));
	ASSERT_TRUE(gt_wait_for((status = news(self->tid))));
	EXPECT_TRUE(is_event_stop(status));
	EXPECT_NEXT(MSG_TASK_BLOCKED);
	EXPECT_TRUE(gt_spins(&self->t));
	ASSERT_EQ(0, trace(PTRACE_CONT, self->tid, 0, 0));
	EXPECT_NEXT(MSG_TASK_WAKEUP);
	EXPECT_TRUE(gt_stands(&self->t));
	EXPECT_NO_MORE();
}

TEST_F(of_agent, tracer_is_killed)
{
	pid_t tracer;

	ASSERT_EQ(1, gt_file_put(&self->e, "fallback", "1"));
	START_HOST(gt_host_start(&self->e, 1, NULL, NULL));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	tracer = tracer_start(self->tid, NULL);
	ASSERT_LT(0, tracer);
	EXPECT_NEXT(MSG_TASK_BLOCKED);
	EXPECT_TRUE(gt_spins(&self->t));
	tracer_kill(tracer);
	EXPECT_NEXT(MSG_TASK_WAKEUP);
	EXPECT_TRUE(gt_stands(&self->t));
}

/* Without the tunable a limit ends the enclave, and the agent, traced or not. */
TEST_F(of_agent, limit_strikes)
{
	pid_t tracer;
	int status;

	START_HOST(gt_host_start(&self->e, 1, NULL, NULL));
	ASSERT_EQ(3, gt_file_put(&self->e, "runnable_timeout", "500"));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	tracer = tracer_start(self->tid, NULL);
	ASSERT_LT(0, tracer);
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	EXPECT_TRUE(gt_gone(&self->e));
	EXPECT_TRUE(gt_spins(&self->t));
	EXPECT_TRUE(gt_wait_for(gt_policy(self->t.pid) == SCHED_OTHER));
	tracer_kill(tracer);
	ASSERT_EQ(self->host, waitpid(self->host, &status, 0));
	EXPECT_EQ(SIGKILL, status);
	self->host = 0;
}

static bool has_signal(pid_t tid)
{
	struct __ptrace_peeksiginfo_args first = { .nr = 1 };
	siginfo_t info;

	return ptrace(PTRACE_PEEKSIGINFO, tid, &first, &info) == 1;
}

/* A policy under a debugger, instruction by instruction: the task gets on. */
TEST_F(of_agent, steps)
{
	int i, status = 0;

	ASSERT_EQ(1, gt_file_put(&self->e, "fallback", "1"));
	START_HOST(gt_policy_start(&self->e, 1));
	ASSERT_EQ(0, gt_join(&self->e, self->t.pid));
	gt_tell(&self->t, GT_SPIN);
	ASSERT_TRUE(gt_spins(&self->t));
	ASSERT_EQ(0, trace(PTRACE_SEIZE, self->tid, 0, 0));
	for (i = 0; i < STEPS; i++) {
		/* It may step into a park, out of which nobody wakes it. */
		ASSERT_EQ(0, trace(PTRACE_INTERRUPT, self->tid, 0, 0));
		ASSERT_TRUE(gt_wait_for((status = news(self->tid))));
		ASSERT_TRUE(WIFSTOPPED(status));
		EXPECT_TRUE(gt_spins(&self->t)) TH_LOG("step %d", i);
		ASSERT_EQ(0, trace(PTRACE_SINGLESTEP, self->tid, 0, 0));
	}
	ASSERT_EQ(0, trace(PTRACE_INTERRUPT, self->tid, 0, 0));
	ASSERT_TRUE(gt_wait_for((status = news(self->tid))));
	/* The last step's SIGTRAP would kill an agent that nobody traces. */
	if (has_signal(self->tid)) {
		ASSERT_EQ(0, trace(PTRACE_CONT, self->tid, 0, 0));
		ASSERT_TRUE(gt_wait_for((status = news(self->tid))));
	}
	ASSERT_EQ(0, trace(PTRACE_DETACH, self->tid, 0, 0));
	EXPECT_TRUE(gt_wait_for(gt_flags(gt_sw(&self->e, self->t.gtid)) &
				GHOST_SW_TASK_ONCPU));
	EXPECT_TRUE(gt_spins(&self->t));
	EXPECT_EQ(SCHED_GHOST, gt_policy(self->t.pid));
}

TEST_HARNESS_MAIN
