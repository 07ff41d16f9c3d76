// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* A ghost task: its id, joining, its messages, leaving, gating. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"

static struct gt_agent agent;

FIXTURE(task) {
	struct gt_enclave e;
	struct gt_task t;
	bool gaps;		/* the test holds messages back on purpose */
};

FIXTURE_SETUP(task)
{
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->t));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
}

FIXTURE_TEARDOWN(task)
{
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	gt_task_end(&self->t);
	if (!self->gaps) {
		EXPECT_EQ(0, self->e.q.gaps)
			TH_LOG("sequence numbers with gaps");
	}
	gt_enclave_close(&self->e);
}

static int leave(pid_t pid)
{
	struct sched_param sp = { 0 };

	return sched_setscheduler(pid, SCHED_OTHER, &sp) ? -errno : 0;
}

/* The next message of the fixture's task is of @type; @m holds it. */
#define EXPECT_NEXT(name, m) do {					\
	ASSERT_EQ(0, gt_next(&self->e.q, self->t.gtid, GT_WAIT_MS, m))	\
		TH_LOG("no %s came", gt_msg_name(name));		\
	EXPECT_EQ(name, (m)->type)					\
		TH_LOG("%s instead of %s", gt_msg_name((m)->type),	\
		       gt_msg_name(name));				\
} while (0)

#define EXPECT_SILENCE() do {						\
	struct gt_msg __m = { 0 };					\
	EXPECT_EQ(-ETIMEDOUT, gt_next(&self->e.q, self->t.gtid,		\
				      GT_QUIET_MS, &__m))		\
		TH_LOG("unexpected %s", gt_msg_name(__m.type));		\
} while (0)

/* Joined, awake and running on the enclave's CPU. */
#define START_SPINNER() do {						\
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));		\
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));	\
	ASSERT_EQ(GHOST_TXN_COMPLETE,					\
		  gt_schedule(&agent, 1, &self->t, 0));			\
	ASSERT_TRUE(gt_runs(&agent, 1, &self->t));			\
} while (0)

/* ---- gtid and policy ---- */

TEST_F(task, gtid_file)
{
	char path[64], buf[64], want[64];
	uint64_t gtid, other;
	struct stat st;

	gtid = gt_gtid_of(getpid());
	EXPECT_EQ(getpid(), gtid >> GHOST_GTID_SEQNUM_BITS);
	EXPECT_NE(0, gtid & ((1ULL << GHOST_GTID_SEQNUM_BITS) - 1));
	EXPECT_EQ(0, gtid >> 63);
	EXPECT_EQ(gtid, gt_gtid_of(getpid())) TH_LOG("it never changes");
	other = self->t.gtid;
	EXPECT_EQ(self->t.pid, other >> GHOST_GTID_SEQNUM_BITS);
	EXPECT_NE(0, gt_gtid_of(1));
	/* Through any thread id, but not below task/. */
	EXPECT_EQ(agent.tid, gt_gtid_of(agent.tid) >> GHOST_GTID_SEQNUM_BITS);
	snprintf(path, sizeof(path), "/proc/self/task/%d/ghost", getpid());
	EXPECT_EQ(-ENOENT, gt_open(path, O_RDONLY));
	ASSERT_EQ(0, stat("/proc/self/ghost/gtid", &st));
	EXPECT_EQ(S_IFREG | 0444, st.st_mode);
	ASSERT_LT(0, gt_read_file("/proc/self/ghost/gtid", buf, sizeof(buf)));
	snprintf(want, sizeof(want), "%llu\n", (unsigned long long)gtid);
	EXPECT_STREQ(want, buf);
}

TEST_F(task, gtid_of_the_gone)
{
	char path[64], buf[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/ghost/gtid", self->t.pid);
	fd = gt_open(path, O_RDONLY);
	ASSERT_LE(0, fd);
	gt_task_end(&self->t);
	EXPECT_EQ(-1, read(fd, buf, sizeof(buf)));
	EXPECT_EQ(ESRCH, errno);
}

TEST_F(task, policy_needs_ghostfs)
{
	struct sched_param sp = { 0 };

	EXPECT_EQ(-1, sched_setscheduler(0, SCHED_GHOST, &sp));
	EXPECT_EQ(EBADF, errno);
	EXPECT_EQ(-1, sched_setscheduler(self->t.pid, SCHED_GHOST, &sp));
	EXPECT_EQ(EBADF, errno);
	EXPECT_EQ(SCHED_OTHER, gt_policy(self->t.pid));
	EXPECT_EQ(-1, sched_get_priority_max(SCHED_GHOST));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, sched_get_priority_min(SCHED_GHOST));
	EXPECT_EQ(EINVAL, errno);
	/* A member may name its own policy. */
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	EXPECT_EQ(0, sched_setscheduler(self->t.pid, SCHED_GHOST, &sp));
	EXPECT_EQ(SCHED_GHOST, gt_policy(self->t.pid));
	EXPECT_SILENCE();
}

/* ---- joining ---- */

TEST_F(task, join_asleep)
{
	struct ghost_sw_info info;
	struct gt_msg m;

	ASSERT_EQ(0, setpriority(PRIO_PROCESS, self->t.pid, 7));
	ASSERT_EQ(0, gt_join(&self->e, self->t.pid));
	EXPECT_NEXT(MSG_TASK_NEW, &m);
	EXPECT_EQ(56, m.length);
	EXPECT_EQ(1, m.seqnum);
	EXPECT_EQ(self->t.gtid, m.new_.gtid);
	EXPECT_EQ(gt_gtid_of(getpid()), m.new_.parent_gtid);
	EXPECT_LT(0, m.new_.runtime);
	EXPECT_EQ(0, m.new_.runnable);
	EXPECT_EQ(7, m.new_.nice);
	EXPECT_EQ(0, m.new_.agent_data);
	ASSERT_EQ(0, gt_sw_info(&self->e, GHOST_TASK, self->t.gtid, &info));
	EXPECT_EQ(info.id, m.new_.sw_info.id);
	EXPECT_EQ(info.index, m.new_.sw_info.index);
	EXPECT_SILENCE();
}

TEST_F(task, join_queued)
{
	struct gt_msg m;

	/* The test thread runs on its CPU, hence the spinner does not. */
	ASSERT_EQ(0, gt_pin(self->t.pid, 0));
	gt_tell(&self->t, GT_SPIN);
	ASSERT_TRUE(gt_spins(&self->t));
	ASSERT_EQ(0, gt_join(&self->e, self->t.pid));
	EXPECT_NEXT(MSG_TASK_NEW, &m);
	EXPECT_EQ(1, m.new_.runnable);
	EXPECT_EQ(1, m.seqnum);
	EXPECT_TRUE(gt_stands(&self->t)) TH_LOG("runs without a commit");
	EXPECT_SILENCE();
}

TEST_F(task, join_running)
{
	struct gt_msg m;

	ASSERT_EQ(0, gt_pin(self->t.pid, 1));
	gt_tell(&self->t, GT_SPIN);
	ASSERT_TRUE(gt_spins(&self->t));
	ASSERT_EQ(0, gt_join(&self->e, self->t.pid));
	/* It is forced off its CPU, then announced. */
	EXPECT_NEXT(MSG_TASK_NEW, &m);
	EXPECT_EQ(1, m.new_.runnable);
	EXPECT_EQ(1, m.seqnum);
	EXPECT_TRUE(gt_stands(&self->t)) TH_LOG("runs without a commit");
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->t, 0));
	EXPECT_TRUE(gt_runs(&agent, 1, &self->t));
}

TEST_F(task, join_running_outside)
{
	struct gt_msg m;

	if (gt_ncpus() < 3)
		SKIP(return, "needs a CPU outside the enclave: 3 CPUs");
	ASSERT_EQ(0, gt_pin(self->t.pid, 2));
	gt_tell(&self->t, GT_SPIN);
	ASSERT_TRUE(gt_spins(&self->t));
	ASSERT_EQ(0, gt_join(&self->e, self->t.pid));
	EXPECT_NEXT(MSG_TASK_NEW, &m);
	EXPECT_EQ(1, m.new_.runnable);
	EXPECT_TRUE(gt_stands(&self->t));
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->t, 0));
	EXPECT_TRUE(gt_runs(&agent, 1, &self->t));
}

static int tasks_fd;

static long join_self(long arg)
{
	return write(tasks_fd, "0", 1);
}

TEST_F(task, join_self)
{
	struct gt_msg m;

	tasks_fd = self->e.tasks;
	gt_task_end(&self->t);
	ASSERT_EQ(0, gt_task_start(&self->t));
	gt_tell_call(&self->t, join_self, 0);
	EXPECT_NEXT(MSG_TASK_NEW, &m);
	EXPECT_EQ(1, m.new_.runnable);
	EXPECT_EQ(0, self->t.ctl->done) TH_LOG("it went on without a commit");
	ASSERT_EQ(0, gt_drive(&agent, 1, &self->t, MSG_TASK_BLOCKED, NULL));
	EXPECT_EQ(1, self->t.ctl->result);
}

TEST_F(task, join_twice_and_elsewhere)
{
	struct gt_enclave other;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	EXPECT_EQ(0, gt_join(&self->e, self->t.pid));
	EXPECT_SILENCE();
	ASSERT_EQ(0, gt_enclave_bare(&other));
	EXPECT_LE(0, gt_put(other.ctl, "create sw_region 0 0"));
	other.tasks = gt_file(&other, "tasks", O_RDWR);
	EXPECT_EQ(-EPERM, gt_join(&other, self->t.pid));
	gt_destroy(&other);
	gt_enclave_close(&other);
}

TEST_F(task, join_the_dead)
{
	char state;

	kill(self->t.pid, SIGKILL);
	ASSERT_TRUE(gt_wait_for((state = gt_proc_state(self->t.pid)) == 'Z'));
	EXPECT_EQ(-ESRCH, gt_join(&self->e, self->t.pid));
}

/* ---- messages ---- */

TEST_F(task, wakeup_and_blocked)
{
	struct gt_msg m;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	gt_tell(&self->t, GT_SPIN);
	EXPECT_NEXT(MSG_TASK_WAKEUP, &m);
	EXPECT_EQ(40, m.length);
	EXPECT_EQ(2, m.seqnum);
	EXPECT_EQ(0, m.wakeup.agent_data);
	EXPECT_EQ(0, m.wakeup.waker_cpu);
	EXPECT_TRUE(m.wakeup.last_ran_cpu >= 0 &&
		    m.wakeup.last_ran_cpu < gt_ncpus());
	EXPECT_TRUE(m.wakeup.wake_up_cpu >= 0 &&
		    m.wakeup.wake_up_cpu < gt_ncpus());
	EXPECT_TRUE(gt_stands(&self->t));

	gt_tell(&self->t, GT_BLOCK);
	ASSERT_EQ(0, gt_drive(&agent, 1, &self->t, MSG_TASK_BLOCKED, &m));
	EXPECT_EQ(40, m.length);
	EXPECT_EQ(1, m.blocked.cpu);
	EXPECT_LT(0, m.blocked.runtime);
	EXPECT_LT(0, m.blocked.cpu_seqnum);
	EXPECT_EQ(0, m.blocked.from_switchto);
	gt_tell(&self->t, GT_SPIN);
	EXPECT_NEXT(MSG_TASK_WAKEUP, &m);
	EXPECT_EQ(1, m.wakeup.last_ran_cpu);
}

TEST_F(task, wake_on_waker_cpu)
{
	struct gt_msg m;

	ASSERT_EQ(1, gt_file_put(&self->e, "wake_on_waker_cpu", "1"));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	gt_tell(&self->t, GT_BLOCK);
	ASSERT_EQ(0, gt_drive(&agent, 1, &self->t, MSG_TASK_BLOCKED, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, &m));
	EXPECT_EQ(1, m.wakeup.last_ran_cpu);
	EXPECT_EQ(0, m.wakeup.waker_cpu);
	EXPECT_EQ(0, m.wakeup.wake_up_cpu);
}

TEST_F(task, yield)
{
	struct gt_msg m;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	gt_tell(&self->t, GT_YIELD);
	ASSERT_EQ(0, gt_drive(&agent, 1, &self->t, MSG_TASK_YIELD, &m));
	EXPECT_EQ(48, m.length);
	EXPECT_EQ(1, m.yield.cpu);
	EXPECT_LT(0, m.yield.runtime);
	EXPECT_LT(0, m.yield.cpu_seqnum);
	EXPECT_EQ(0, m.yield.agent_data);
	EXPECT_EQ(0, m.yield.from_switchto);
	EXPECT_TRUE(gt_stands(&self->t)) TH_LOG("runs on after a yield");
}

TEST_F(task, preempt_by_the_agent)
{
	struct gt_msg m;

	START_SPINNER();
	ASSERT_EQ(0, gt_ping(&self->e, 1));
	ASSERT_EQ(0, gt_next_type(&self->e.q, self->t.gtid, MSG_TASK_PREEMPT,
				  &m));
	EXPECT_EQ(48, m.length);
	EXPECT_EQ(1, m.preempt.cpu);
	EXPECT_LT(0, m.preempt.runtime);
	EXPECT_LT(0, m.preempt.cpu_seqnum);
	EXPECT_EQ(0, m.preempt.was_latched);
	EXPECT_EQ(0, m.preempt.from_switchto);
	EXPECT_TRUE(gt_stands(&self->t));
}

TEST_F(task, preempt_by_cfs)
{
	struct gt_task cfs = { 0 };
	struct gt_msg m;

	ASSERT_EQ(0, gt_task_start(&cfs));
	ASSERT_EQ(0, gt_pin(cfs.pid, 1));
	START_SPINNER();
	gt_tell(&cfs, GT_SPIN);
	EXPECT_TRUE(gt_spins(&cfs));
	ASSERT_EQ(0, gt_next_type(&self->e.q, self->t.gtid, MSG_TASK_PREEMPT,
				  &m));
	EXPECT_EQ(0, m.preempt.was_latched);
	EXPECT_TRUE(gt_stands(&self->t)) TH_LOG("runs beside CFS");
	EXPECT_TRUE(gt_spins(&cfs));
	gt_task_end(&cfs);
}

TEST_F(task, affinity_changed)
{
	struct gt_msg m;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_pin(self->t.pid, 1));
	EXPECT_NEXT(MSG_TASK_AFFINITY_CHANGED, &m);
	EXPECT_EQ(16, m.length);
	EXPECT_EQ(2, m.seqnum);
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->t, 0));
	ASSERT_TRUE(gt_runs(&agent, 1, &self->t));
	ASSERT_EQ(0, gt_pin(self->t.pid, -1));
	EXPECT_EQ(0, gt_next_type(&self->e.q, self->t.gtid,
				  MSG_TASK_AFFINITY_CHANGED, NULL));
}

TEST_F(task, affinity_forbids_the_cpu)
{
	struct gt_msg m;

	START_SPINNER();
	ASSERT_EQ(0, gt_pin(self->t.pid, 0));
	/* Stopped, moved, reported; the order of the two is free. */
	EXPECT_EQ(0, gt_next_type(&self->e.q, self->t.gtid,
				  MSG_TASK_AFFINITY_CHANGED, &m));
	EXPECT_TRUE(gt_stands(&self->t));
	EXPECT_TRUE(gt_wait_for(!(gt_flags(gt_sw(&self->e, self->t.gtid)) &
				  GHOST_SW_TASK_ONCPU)));
}

TEST_F(task, priority_changed)
{
	struct gt_msg m;
	int nice;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, setpriority(PRIO_PROCESS, self->t.pid, -5));
	EXPECT_NEXT(MSG_TASK_PRIORITY_CHANGED, &m);
	EXPECT_EQ(24, m.length);
	EXPECT_EQ(2, m.seqnum);
	EXPECT_EQ(-5, m.priority.nice);
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->t, 0));
	/* A kernel thread may force it off, but not at each change. */
	for (nice = 0; nice < 10; nice++) {
		gt_put_back(&agent, 1, &self->t);
		ASSERT_TRUE(gt_runs(&agent, 1, &self->t));
		ASSERT_EQ(0, setpriority(PRIO_PROCESS, self->t.pid, nice));
		ASSERT_EQ(0, gt_next_type(&self->e.q, self->t.gtid,
					  MSG_TASK_PRIORITY_CHANGED, &m));
		EXPECT_EQ(nice, m.priority.nice);
		if (gt_next(&self->e.q, self->t.gtid, 20, NULL))
			break;
	}
	EXPECT_GT(10, nice) TH_LOG("nice forces it off");
	EXPECT_TRUE(gt_runs(&agent, 1, &self->t));
}

TEST_F(task, on_cpu)
{
	struct ghost_txn *txn = &self->e.cpu[1].txn;
	struct gt_msg m;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	ASSERT_EQ(GHOST_TXN_COMPLETE,
		  gt_schedule(&agent, 1, &self->t, SEND_TASK_ON_CPU));
	/* After those of latches that kernel threads took. */
	ASSERT_EQ(0, gt_next_type(&self->e.q, self->t.gtid, MSG_TASK_ON_CPU, &m));
	EXPECT_EQ(40, m.length);
	EXPECT_EQ(1, m.on_cpu.cpu);
	EXPECT_LT(txn->cpu_seqnum, m.on_cpu.cpu_seqnum);
	EXPECT_LE(txn->commit_time, m.on_cpu.commit_time);
	EXPECT_TRUE(gt_runs(&agent, 1, &self->t));
}

TEST_F(task, stop_and_continue)
{
	START_SPINNER();
	ASSERT_EQ(0, kill(self->t.pid, SIGSTOP));
	ASSERT_EQ(0, gt_drive(&agent, 1, &self->t, MSG_TASK_BLOCKED, NULL));
	EXPECT_TRUE(gt_wait_for(gt_proc_state(self->t.pid) == 'T'));
	ASSERT_EQ(0, kill(self->t.pid, SIGCONT));
	EXPECT_EQ(0, gt_next_type(&self->e.q, self->t.gtid, MSG_TASK_WAKEUP,
				  NULL));
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->t, 0));
	EXPECT_TRUE(gt_runs(&agent, 1, &self->t));
}

TEST_F(task, cpu_seqnum_grows)
{
	struct gt_msg m;
	uint64_t last = 0;
	int i;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	for (i = 0; i < 5; i++) {
		gt_tell(&self->t, GT_BLOCK);
		ASSERT_EQ(0, gt_drive(&agent, 1, &self->t, MSG_TASK_BLOCKED,
				      &m));
		EXPECT_LT(last, m.blocked.cpu_seqnum);
		last = m.blocked.cpu_seqnum;
	}
}

/* ---- leaving ---- */

TEST_F(task, leave_asleep)
{
	struct ghost_status_word *sw;
	struct ghost_sw_info info;
	struct gt_msg m;
	char buf[64];

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_sw_info(&self->e, GHOST_TASK, self->t.gtid, &info));
	sw = gt_sw_at(&self->e, info);
	ASSERT_EQ(0, leave(self->t.pid));
	EXPECT_NEXT(MSG_TASK_DEPARTED, &m);
	EXPECT_EQ(32, m.length);
	EXPECT_EQ(2, m.seqnum);
	EXPECT_EQ(0, m.departed.was_current);
	EXPECT_EQ(0, m.departed.from_switchto);
	EXPECT_TRUE(gt_flags(sw) & GHOST_SW_F_CANFREE);
	EXPECT_TRUE(gt_flags(sw) & GHOST_SW_TASK_MSG_GATED);
	EXPECT_EQ(2, gt_barrier(sw));
	EXPECT_EQ(-ENOENT, gt_sw_info(&self->e, GHOST_TASK, self->t.gtid,
				      NULL));
	EXPECT_EQ(0, gt_file_get(&self->e, "tasks", buf, sizeof(buf)));
	EXPECT_EQ(SCHED_OTHER, gt_policy(self->t.pid));
	gt_tell(&self->t, GT_SPIN);
	EXPECT_TRUE(gt_spins(&self->t)) TH_LOG("does not run under CFS");
	EXPECT_SILENCE();
}

TEST_F(task, leave_queued)
{
	struct gt_msg m;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	ASSERT_EQ(0, leave(self->t.pid));
	EXPECT_NEXT(MSG_TASK_DEPARTED, &m);
	EXPECT_EQ(0, m.departed.was_current);
	EXPECT_TRUE(gt_spins(&self->t));
}

TEST_F(task, leave_running)
{
	int preempted, tries = 0;
	struct ghost_sw_info info;
	struct gt_msg m;

	for (;;) {
		START_SPINNER();
		ASSERT_EQ(0, gt_sw_info(&self->e, GHOST_TASK, self->t.gtid, &info));
		ASSERT_EQ(0, leave(self->t.pid));
		for (preempted = 0;; preempted++) {
			ASSERT_EQ(0, gt_next(&self->e.q, self->t.gtid, GT_WAIT_MS, &m));
			if (m.type == MSG_TASK_DEPARTED)
				break;
			EXPECT_EQ(MSG_TASK_PREEMPT, m.type);
		}
		/* Unless a kernel thread was faster. */
		if (!preempted || m.departed.was_current)
			break;
		ASSERT_GT(10, ++tries);
		gt_tell(&self->t, GT_BLOCK);
		ASSERT_EQ(0, gt_sw_free(&self->e, info));
	}
	EXPECT_EQ(1, m.departed.cpu);
	EXPECT_EQ(1, m.departed.was_current);
	EXPECT_TRUE(gt_spins(&self->t));
}

TEST_F(task, leave_for_fifo)
{
	struct sched_param sp = { .sched_priority = 1 };

	START_SPINNER();
	ASSERT_EQ(0, sched_setscheduler(self->t.pid, SCHED_FIFO, &sp));
	EXPECT_EQ(0, gt_next_type(&self->e.q, self->t.gtid, MSG_TASK_DEPARTED,
				  NULL));
	EXPECT_TRUE(gt_spins(&self->t));
	gt_tell(&self->t, GT_BLOCK);
}

static int hold;

static long hold_cpu(struct gt_agent *a, void *arg)
{
	__atomic_store_n(&hold, 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(&hold, __ATOMIC_ACQUIRE))
		;
	return 0;
}

TEST_F(task, leave_latched)
{
	struct gt_msg m;
	int state;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_post(&agent, hold_cpu, NULL));
	ASSERT_TRUE(gt_wait_for(__atomic_load_n(&hold, __ATOMIC_ACQUIRE)));
	/* A greedy transaction latches while the agent runs. */
	gt_txn_fill(&self->e, 1, &(struct gt_txn){
		.gtid = self->t.gtid, .task_barrier = 2 });
	EXPECT_EQ(0, gt_txn_ioctl(&self->e, 2));
	state = gt_txn_wait(&self->e, 1);
	EXPECT_EQ(0, leave(self->t.pid));
	__atomic_store_n(&hold, 0, __ATOMIC_RELEASE);
	EXPECT_EQ(GHOST_TXN_COMPLETE, state) TH_LOG("%s", gt_txn_name(state));
	EXPECT_NEXT(MSG_TASK_PREEMPT, &m);
	EXPECT_EQ(1, m.preempt.was_latched);
	EXPECT_NEXT(MSG_TASK_DEPARTED, &m);
	EXPECT_EQ(0, m.departed.was_current);
	EXPECT_TRUE(gt_spins(&self->t));
}

TEST_F(task, leave_unheard)
{
	uint32_t free_words = self->e.region->available;

	struct ghost_ioc_set_default_queue def;
	struct gt_queue q = { 0 };

	/* A default queue that nobody else has open, closed: there is none. */
	ASSERT_EQ(0, gt_agent_stop(&agent));
	ASSERT_EQ(0, gt_queue_create(self->e.ctl, 64, &q));
	def.fd = q.fd;
	ASSERT_EQ(0, gt_ioctl(self->e.ctl, GHOST_IOC_SET_DEFAULT_QUEUE, &def));
	gt_queue_close(&q);
	ASSERT_EQ(0, gt_join(&self->e, self->t.pid));
	EXPECT_EQ(free_words, self->e.region->available);
	ASSERT_EQ(0, leave(self->t.pid));
	/* The kernel frees the word itself: one less than the agent's. */
	EXPECT_EQ(free_words + 1, self->e.region->available);
	EXPECT_EQ(0, gt_join(&self->e, self->t.pid));
}

/* ---- gating ---- */

TEST_F(task, rejoin_after_free)
{
	struct ghost_sw_info info;
	struct gt_msg m;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_sw_info(&self->e, GHOST_TASK, self->t.gtid, &info));
	ASSERT_EQ(0, leave(self->t.pid));
	EXPECT_NEXT(MSG_TASK_DEPARTED, &m);
	ASSERT_EQ(0, gt_sw_free(&self->e, info));
	EXPECT_SILENCE();
	ASSERT_EQ(0, gt_join(&self->e, self->t.pid));
	/* The barrier of the first life is saved. */
	EXPECT_NEXT(MSG_TASK_NEW, &m);
	EXPECT_EQ(3, m.seqnum);
}

TEST_F(task, rejoin_gated)
{
	struct ghost_sw_info info;
	struct gt_msg m;
	int state;

	self->gaps = true;
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_sw_info(&self->e, GHOST_TASK, self->t.gtid, &info));
	ASSERT_EQ(0, leave(self->t.pid));
	EXPECT_NEXT(MSG_TASK_DEPARTED, &m);
	ASSERT_EQ(0, gt_join(&self->e, self->t.pid));
	gt_tell(&self->t, GT_SPIN);
	EXPECT_SILENCE();
	state = gt_commit(&agent, 1, &(struct gt_txn){
		.gtid = self->t.gtid,
		.task_barrier = gt_barrier(gt_sw(&self->e, self->t.gtid)),
		.agent_barrier = GT_NOW,
		.commit_flags = COMMIT_AT_TXN_COMMIT });
	EXPECT_EQ(GHOST_TXN_TARGET_STALE, state)
		TH_LOG("%s", gt_txn_name(state));
	ASSERT_EQ(0, gt_sw_free(&self->e, info));
	EXPECT_NEXT(MSG_TASK_NEW, &m);
	EXPECT_EQ(1, m.new_.runnable);
	EXPECT_LT(3, m.seqnum);
	EXPECT_EQ(gt_barrier(gt_sw(&self->e, self->t.gtid)), m.seqnum);
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->t, 0));
	EXPECT_TRUE(gt_runs(&agent, 1, &self->t));
}

TEST_F(task, leave_gated)
{
	uint32_t free_words = self->e.region->available;
	struct ghost_sw_info info;
	struct gt_msg m;

	self->gaps = true;
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_sw_info(&self->e, GHOST_TASK, self->t.gtid, &info));
	ASSERT_EQ(0, leave(self->t.pid));
	EXPECT_NEXT(MSG_TASK_DEPARTED, &m);
	ASSERT_EQ(0, gt_join(&self->e, self->t.pid));
	EXPECT_EQ(free_words - 2, self->e.region->available);
	ASSERT_EQ(0, leave(self->t.pid));
	/* The second word is freed without a word. */
	EXPECT_EQ(free_words - 1, self->e.region->available);
	EXPECT_SILENCE();
	ASSERT_EQ(0, gt_sw_free(&self->e, info));
	EXPECT_SILENCE();
	EXPECT_EQ(free_words, self->e.region->available);
	ASSERT_EQ(0, gt_join(&self->e, self->t.pid));
	EXPECT_NEXT(MSG_TASK_NEW, &m);
}

TEST_F(task, die_gated)
{
	struct ghost_sw_info info;
	struct gt_msg m;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_sw_info(&self->e, GHOST_TASK, self->t.gtid, &info));
	ASSERT_EQ(0, leave(self->t.pid));
	EXPECT_NEXT(MSG_TASK_DEPARTED, &m);
	gt_task_end(&self->t);
	EXPECT_SILENCE();
	EXPECT_EQ(0, gt_sw_free(&self->e, info));
	EXPECT_SILENCE();
}

TEST_F(task, die_gated_after_rejoin)
{
	struct ghost_sw_info info;
	struct gt_msg m;

	self->gaps = true;
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_sw_info(&self->e, GHOST_TASK, self->t.gtid, &info));
	ASSERT_EQ(0, leave(self->t.pid));
	EXPECT_NEXT(MSG_TASK_DEPARTED, &m);
	ASSERT_EQ(0, gt_join(&self->e, self->t.pid));
	ASSERT_EQ(0, kill(self->t.pid, SIGKILL));
	EXPECT_SILENCE();
	ASSERT_EQ(0, gt_sw_free(&self->e, info));
	EXPECT_NEXT(MSG_TASK_NEW, &m);
	EXPECT_EQ(0, gt_drive(&agent, 1, &self->t, MSG_TASK_DEAD, NULL));
}

TEST_HARNESS_MAIN
