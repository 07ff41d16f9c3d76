// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Agents: becoming one, what it may not do, RUN, pings, signals, exit. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"

static struct gt_agent agent;

FIXTURE(agent) {
	struct gt_enclave e;
};

FIXTURE_SETUP(agent)
{
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
}

FIXTURE_TEARDOWN(agent)
{
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	EXPECT_EQ(0, self->e.q.gaps);
	gt_enclave_close(&self->e);
}

/* ---- becoming ---- */

TEST_F(agent, become_errors)
{
	int ctl = self->e.ctl;
	struct {
		int cpu, qfd, err;
	} t[] = {
		{ 99999, -2, EBADF },
		{ 1, -2, EBADF },
		{ 99999, -1, EINVAL },
		{ -1, -1, EINVAL },
		{ 99999, ctl, EINVAL },
		{ 1, ctl, EBADF },
		{ 0, ctl, EBADF },
		{ 1, 9999, EBADF },
		{ 0, -1, ENODEV },
		{ 0, self->e.q.fd, ENODEV },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		EXPECT_EQ(-t[i].err, gt_agent_start(&agent, &self->e,
						    t[i].cpu, t[i].qfd))
			TH_LOG("cpu %d queue %d", t[i].cpu, t[i].qfd);
	}
}

TEST_F(agent, become_without_a_queue)
{
	gt_queue_close(&self->e.q);
	EXPECT_EQ(-ENODEV, gt_agent_start(&agent, &self->e, 0, -1))
		TH_LOG("the CPU is tested first");
	EXPECT_EQ(-ENXIO, gt_agent_start(&agent, &self->e, 1, -1));
	ASSERT_EQ(0, gt_queue_create(self->e.ctl, 64, &self->e.q));
	EXPECT_EQ(0, gt_agent_start(&agent, &self->e, 1, self->e.q.fd));
}

TEST_F(agent, become_without_a_region)
{
	struct gt_enclave other;
	struct gt_queue q;

	ASSERT_EQ(0, gt_set_cpus(&self->e, "\n"));
	ASSERT_EQ(0, gt_enclave_bare(&other));
	ASSERT_EQ(0, gt_set_cpus(&other, "1"));
	ASSERT_EQ(0, gt_queue_create(other.ctl, 64, &q));
	EXPECT_EQ(-ENOMEM, gt_agent_start(&agent, &other, 1, q.fd));
	gt_queue_close(&q);
	gt_destroy(&other);
	gt_enclave_close(&other);
}

TEST_F(agent, become_with_a_foreign_queue)
{
	struct gt_enclave other;
	struct gt_queue q;

	ASSERT_EQ(0, gt_enclave_bare(&other));
	ASSERT_EQ(0, gt_queue_create(other.ctl, 64, &q));
	/* Refused: difference 6. */
	EXPECT_GT(0, gt_agent_start(&agent, &self->e, 1, q.fd));
	gt_queue_close(&q);
	gt_destroy(&other);
	gt_enclave_close(&other);
}

TEST_F(agent, second_agent_is_busy)
{
	struct gt_agent second;

	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	EXPECT_EQ(-EBUSY, gt_agent_start(&second, &self->e, 1, -1));
	EXPECT_EQ(-EBADF, gt_agent_start(&second, &self->e, 1, self->e.ctl))
		TH_LOG("the queue is tested first");
	ASSERT_EQ(0, gt_agent_stop(&agent));
	EXPECT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
}

static int become_as_nobody(struct gt_enclave *e)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		if (setgid(65534) || setuid(65534))
			_exit(100);
		_exit(-gt_put(e->ctl, "become agent 1 -1"));
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -1000;
}

TEST_F(agent, become_needs_cap_sys_nice)
{
	EXPECT_EQ(-EPERM, become_as_nobody(&self->e));
	/* That comes before "busy". */
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	EXPECT_EQ(-EPERM, become_as_nobody(&self->e));
}

static long become_again(struct gt_agent *a, void *arg)
{
	return gt_put(a->e->ctl, "become agent 1 -1");
}

TEST_F(agent, become_twice)
{
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	EXPECT_EQ(-EINVAL, gt_call(&agent, become_again, NULL));
}

static struct gt_enclave *joined, *foreign;

static long task_becomes(long own)
{
	return gt_put(own ? joined->ctl : foreign->ctl, "become agent 1 -1");
}

TEST_F(agent, task_cannot_become)
{
	struct gt_enclave other;
	struct gt_task t = { 0 };

	joined = &self->e;
	foreign = &other;
	ASSERT_EQ(0, gt_enclave_bare(&other));
	ASSERT_EQ(0, gt_task_start(&t));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &t, NULL));
	gt_tell_call(&t, task_becomes, 1);
	EXPECT_EQ(0, gt_drive(&agent, 1, &t, MSG_TASK_BLOCKED, NULL));
	EXPECT_EQ(-EALREADY, t.ctl->result);
	gt_tell_call(&t, task_becomes, 0);
	EXPECT_EQ(0, gt_drive(&agent, 1, &t, MSG_TASK_BLOCKED, NULL));
	EXPECT_EQ(-EPERM, t.ctl->result);
	gt_agent_stop(&agent);
	gt_destroy(&other);
	gt_enclave_close(&other);
	gt_destroy(&self->e);
	gt_task_end(&t);
}

struct affinity {
	struct gt_enclave *e;
	const char *cmd;
	cpu_set_t set;
	int error;
};

static void *become_and_look(void *arg)
{
	struct affinity *a = arg;

	a->error = gt_put(a->e->ctl, a->cmd);
	sched_getaffinity(0, sizeof(a->set), &a->set);
	return NULL;
}

TEST_F(agent, affinity_after_a_failure)
{
	struct affinity a = { &self->e, "become agent 0 -1" };
	cpu_set_t before;
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, become_and_look, &a));
	pthread_join(thread, NULL);
	EXPECT_EQ(-ENODEV, a.error);
	sched_getaffinity(0, sizeof(before), &before);
	EXPECT_TRUE(CPU_EQUAL(&before, &a.set)) TH_LOG("the mask was changed");
	/* In a hand-over the successor waits where it will run. */
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	a.cmd = "become agent 1 -1";
	ASSERT_EQ(0, pthread_create(&thread, NULL, become_and_look, &a));
	pthread_join(thread, NULL);
	EXPECT_EQ(-EBUSY, a.error);
	EXPECT_EQ(1, CPU_COUNT(&a.set));
	EXPECT_TRUE(CPU_ISSET(1, &a.set));
}

/* ---- being ---- */

TEST_F(agent, restrictions)
{
	struct sched_param sp = { 0 };
	char buf[64];

	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	EXPECT_EQ(SCHED_GHOST | GT_RESET_ON_FORK, gt_policy(agent.tid));
	EXPECT_EQ(-EINVAL, gt_pin(agent.tid, 0));
	EXPECT_EQ(-EINVAL, gt_pin(agent.tid, 1));
	EXPECT_EQ(-1, sched_setscheduler(agent.tid, SCHED_OTHER, &sp));
	EXPECT_EQ(EPERM, errno);
	EXPECT_EQ(-1, sched_setscheduler(agent.tid, SCHED_GHOST, &sp));
	EXPECT_EQ(EPERM, errno) TH_LOG("clears reset-on-fork");
	EXPECT_EQ(0, sched_setscheduler(agent.tid,
					SCHED_GHOST | GT_RESET_ON_FORK, &sp));
	EXPECT_EQ(-EPERM, gt_join(&self->e, agent.tid));
	EXPECT_EQ(0, setpriority(PRIO_PROCESS, agent.tid, -1));
	EXPECT_EQ(-ETIMEDOUT, gt_next(&self->e.q, GT_ANY, GT_QUIET_MS, NULL));
	EXPECT_EQ(0, gt_file_get(&self->e, "tasks", buf, sizeof(buf)));
	gt_file_get(&self->e, "status", buf, sizeof(buf));
	EXPECT_STREQ("version 91\nactive no\nnr_tasks 0\n", buf);
}

static long where(struct gt_agent *a, void *arg)
{
	return sched_getcpu();
}

TEST_F(agent, runs_above_cfs_on_its_cpu)
{
	struct gt_task cfs = { 0 };

	ASSERT_EQ(0, gt_task_start(&cfs));
	ASSERT_EQ(0, gt_pin(cfs.pid, 1));
	gt_tell(&cfs, GT_SPIN);
	ASSERT_TRUE(gt_spins(&cfs));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	EXPECT_EQ(1, gt_call(&agent, where, NULL));
	EXPECT_TRUE(gt_spins(&cfs)) TH_LOG("a parked agent is no load");
	gt_task_end(&cfs);
}

static long own_flags(struct gt_agent *a, void *arg)
{
	return gt_flags(a->sw);
}

TEST_F(agent, availability_and_boost)
{
	struct gt_task cfs = { 0 };

	ASSERT_EQ(0, gt_task_start(&cfs));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	EXPECT_TRUE(gt_wait_for(gt_flags(agent.sw) & GHOST_SW_CPU_AVAIL));
	ASSERT_EQ(0, gt_pin(cfs.pid, 1));
	gt_tell(&cfs, GT_SPIN);
	ASSERT_TRUE(gt_spins(&cfs));
	EXPECT_TRUE(gt_wait_for(!(gt_flags(agent.sw) & GHOST_SW_CPU_AVAIL)));
	EXPECT_TRUE(gt_call(&agent, own_flags, NULL) & GHOST_SW_BOOST_PRIO);
	gt_task_end(&cfs);
	EXPECT_TRUE(gt_wait_for(gt_flags(agent.sw) & GHOST_SW_CPU_AVAIL));
	EXPECT_TRUE(gt_wait_for(!(gt_call(&agent, own_flags, NULL) &
				  GHOST_SW_BOOST_PRIO)));
}

/* ---- RUN ---- */

static long run_job(struct gt_agent *a, void *arg)
{
	struct ghost_ioc_run *run = arg;

	return gt_run(a->e, run);
}

TEST_F(agent, run_errors_of_an_agent)
{
	struct ghost_ioc_run t[] = {
		{ .gtid = 0, .run_cpu = -1 },
		{ .gtid = 0, .run_cpu = 99999 },
		{ .gtid = -1, .run_cpu = 99999 },
		{ .gtid = 0, .run_cpu = 1, .run_flags = RTLA_ON_PREEMPT },
		{ .gtid = 0, .run_cpu = 1, .run_flags = 0x10000 },
		{ .gtid = 0, .run_cpu = 1, .run_flags = -1 },
		{ .gtid = -1, .run_cpu = 1, .run_flags = RTLA_ON_IDLE },
		{ .gtid = -2, .run_cpu = 1 },
		{ .gtid = -3, .run_cpu = 1 },
		{ .gtid = 5, .run_cpu = 1 },
		{ .gtid = 0, .run_cpu = 0 },	/* not its CPU */
		{ .gtid = -1, .run_cpu = 0 },	/* no agent there */
	};
	struct ghost_ioc_run stale = { .run_cpu = 1 };
	int i;

	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		EXPECT_EQ(-EINVAL, gt_call(&agent, run_job, &t[i]))
			TH_LOG("row %d", i);
	}
	EXPECT_EQ(-EFAULT, gt_call(&agent, run_job, NULL));
	stale.agent_barrier = gt_barrier(agent.sw) + 100;
	EXPECT_EQ(-ESTALE, gt_call(&agent, run_job, &stale));
}

static int run_as_child(struct gt_enclave *e, bool nobody, void *arg)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		if (nobody && (setgid(65534) || setuid(65534)))
			_exit(100);
		_exit(-gt_ioctl(e->ctl, GHOST_IOC_RUN, arg));
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -1000;
}

TEST_F(agent, run_errors_of_others)
{
	struct ghost_ioc_run yield = { .run_cpu = 1 };
	struct ghost_ioc_run ping = { .gtid = -1, .run_cpu = 1 };

	EXPECT_EQ(-EINVAL, gt_run(&self->e, &ping)) TH_LOG("no agent yet");
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	EXPECT_EQ(-EINVAL, gt_run(&self->e, &yield)) TH_LOG("not an agent");
	EXPECT_EQ(0, gt_run(&self->e, &ping)) TH_LOG("same process");
	EXPECT_EQ(-EINVAL, run_as_child(&self->e, false, &ping));
	EXPECT_EQ(-EPERM, run_as_child(&self->e, true, &ping));
	EXPECT_EQ(-EPERM, run_as_child(&self->e, true, NULL))
		TH_LOG("the permission comes before the argument");
}

TEST_F(agent, ping_counts_two)
{
	uint32_t before;

	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	gt_sleep_ms(GT_QUIET_MS);
	before = gt_barrier(agent.sw);
	ASSERT_EQ(0, gt_ping(&self->e, 1));
	EXPECT_TRUE(gt_wait_for(gt_barrier(agent.sw) == before + 2));
	gt_sleep_ms(GT_QUIET_MS);
	EXPECT_EQ(before + 2, gt_barrier(agent.sw));
}

static long park_once(struct gt_agent *a, void *flags)
{
	struct ghost_ioc_run run = { .run_cpu = a->cpu };
	int ret;

	run.run_flags = (long)flags;
	do {
		run.agent_barrier = gt_barrier(a->sw);
		ret = gt_run(a->e, &run);
	} while (ret == -ESTALE);
	return ret;
}

TEST_F(agent, returns_on_idle)
{
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	EXPECT_EQ(0, gt_call(&agent, park_once, (void *)RTLA_ON_IDLE));
	EXPECT_EQ(0, gt_call(&agent, park_once, (void *)RTLA_ON_IDLE));
}

static volatile sig_atomic_t caught;

static void catch(int sig)
{
	caught = gettid();
}

TEST_F(agent, signal_wakes_a_parked_agent)
{
	long result;

	signal(SIGUSR1, catch);
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	ASSERT_EQ(0, gt_post(&agent, park_once, NULL));
	gt_sleep_ms(GT_QUIET_MS);
	EXPECT_NE(agent.posted, agent.done) TH_LOG("it did not park");
	ASSERT_EQ(0, pthread_kill(agent.thread, SIGUSR1));
	EXPECT_TRUE(gt_wait_for(caught == agent.tid));
	EXPECT_TRUE(gt_wait_for(agent.posted == agent.done));
	EXPECT_EQ(0, gt_finish(&agent, &result));
	EXPECT_EQ(0, result) TH_LOG("RUN is not restarted and gives 0");
}

/* ---- ending ---- */

TEST_F(agent, transaction_ready_at_start)
{
	int state;

	gt_txn_fill(&self->e, 1, &(struct gt_txn){
		.gtid = 12345, .commit_flags = COMMIT_AT_TXN_COMMIT });
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	state = gt_txn_state(&self->e, 1);
	EXPECT_EQ(GHOST_TXN_NO_AGENT, state) TH_LOG("%s", gt_txn_name(state));
}

TEST_F(agent, transaction_ready_at_exit)
{
	int state;

	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	gt_txn_fill(&self->e, 1, &(struct gt_txn){
		.gtid = 12345, .commit_flags = COMMIT_AT_TXN_COMMIT });
	ASSERT_EQ(0, gt_agent_stop(&agent));
	state = gt_txn_state(&self->e, 1);
	EXPECT_EQ(GHOST_TXN_NO_AGENT, state) TH_LOG("%s", gt_txn_name(state));
}

TEST_F(agent, exit_keeps_the_running_task_until_it_schedules)
{
	struct gt_task t = { 0 };
	struct gt_msg m;

	ASSERT_EQ(0, gt_task_start(&t));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &t, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &t, NULL));
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &t, 0));
	ASSERT_TRUE(gt_runs(&agent, 1, &t));
	/* The ping that ends the agent takes the CPU from the task. */
	ASSERT_EQ(0, gt_agent_stop(&agent));
	EXPECT_EQ(0, gt_next_type(&self->e.q, t.gtid, MSG_TASK_PREEMPT, &m));
	EXPECT_TRUE(gt_stands(&t)) TH_LOG("runs without an agent");
	/* A new agent finds it. */
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	EXPECT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &t, 0));
	EXPECT_TRUE(gt_runs(&agent, 1, &t));
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	EXPECT_TRUE(gt_spins(&t));
	gt_task_end(&t);
}

TEST_F(agent, killed_process)
{
	struct ghost_sw_info info;
	pid_t pid;

	pid = gt_host_start(&self->e, 1, NULL, NULL);
	ASSERT_LT(0, pid);
	ASSERT_EQ(0, gt_sw_info(&self->e, GHOST_AGENT, 1, &info));
	EXPECT_EQ(-EBUSY, gt_agent_start(&agent, &self->e, 1, -1));
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	ASSERT_TRUE(gt_wait_for(gt_flags(gt_sw_at(&self->e, info)) &
				GHOST_SW_F_CANFREE));
	EXPECT_EQ(0, gt_sw_free(&self->e, info));
	EXPECT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
}

TEST_F(agent, destroy_kills_the_process)
{
	int status;
	pid_t pid;

	pid = gt_host_start(&self->e, 1, NULL, NULL);
	ASSERT_LT(0, pid);
	ASSERT_EQ(0, gt_destroy(&self->e));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	EXPECT_TRUE(gt_gone(&self->e));
}

TEST_F(agent, start_and_stop_often)
{
	uint32_t free_words = self->e.region->available;
	int i;

	for (i = 0; i < 20; i++) {
		ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
		ASSERT_EQ(0, gt_agent_stop(&agent));
	}
	EXPECT_EQ(free_words, self->e.region->available);
}

TEST_HARNESS_MAIN
