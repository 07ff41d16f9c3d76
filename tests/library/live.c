// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Enclaves, crews and handoff on the real kernel; skipped without one. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <ghost/ghost.h>

#include "kselftest_harness.h"

#define SLOTS		1024
#define NR_TASKS	8
#define TIMEOUT_MS	10000

/* The simplest policy there is: any task that wants the CPU. */
struct policy {
	struct ghost_enclave *e;
	struct ghost_tasks *tasks[2];
};

static struct ghost_task *any_runnable(struct ghost_tasks *tasks,
				       struct ghost_task *after)
{
	struct ghost_task *task = after;

	while ((task = ghost_tasks_next(tasks, task)))
		if (task->state == GHOST_TASK_RUNNABLE)
			return task;
	return after ? any_runnable(tasks, NULL) : NULL;
}

static int read_all(struct ghost_agent *agent, struct ghost_tasks *tasks)
{
	struct ghost_event ev;
	struct ghost_task *task;

	while (ghost_queue_next(ghost_agent_queue(agent), &ev)) {
		int err = ghost_tasks_apply(tasks, &ev, &task);

		if (err && err != -ESTALE)
			return err;
		if (task && task->state == GHOST_TASK_GONE)
			ghost_tasks_forget(tasks, task);
	}
	return 0;
}

static int run(struct ghost_agent *agent, void *arg)
{
	struct policy *p = arg;
	struct ghost_tasks *tasks = p->tasks[ghost_agent_index(agent)];
	int64_t last = 0;
	int err = 0;

	while (!err) {
		uint32_t barrier = ghost_agent_barrier(agent);
		struct ghost_task *task;
		int32_t state;

		if (ghost_agent_stopping(agent))
			return 0;
		err = read_all(agent, tasks);
		if (err)
			break;
		task = any_runnable(tasks, ghost_tasks_find(tasks, last));
		if (!task || ghost_agent_boosted(agent)) {
			err = ghost_agent_wait(agent, barrier,
					       task ? RTLA_ON_IDLE : 0);
			continue;
		}
		last = task->gtid;
		err = ghost_agent_run_task(agent, task, barrier, 0, &state);
	}
	return err;
}

static const struct ghost_crew_ops ops = { .run = run };

FIXTURE(live) {
	struct policy p;
	struct ghost_crew *crew;
	pid_t tasks[NR_TASKS];
	int nr_tasks;
};

FIXTURE_SETUP(live)
{
	struct ghost_enclave_options o = { .cpus = "1" };
	const char *problem = ghost_fs_problem(NULL);
	int err;

	if (problem)
		SKIP(return, "%s", problem);
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "needs 2 CPUs");
	err = ghost_enclave_create(&self->p.e, &o);
	ASSERT_EQ(err, 0) TH_LOG("%s: %s", o.failed, strerror(-err));
	ASSERT_EQ(ghost_tasks_create(&self->p.tasks[0], self->p.e, 0), 0);
}

FIXTURE_TEARDOWN(live)
{
	int i;

	for (i = 0; i < self->nr_tasks; i++)
		kill(self->tasks[i], SIGKILL);
	if (!self->p.e)
		return;
	ghost_crew_destroy(self->crew);
	ghost_enclave_destroy(self->p.e);
	for (i = 0; i < self->nr_tasks; i++)
		waitpid(self->tasks[i], NULL, 0);
	ghost_tasks_destroy(self->p.tasks[0]);
	ghost_enclave_close(self->p.e);
}

static int start(FIXTURE_DATA(live) *self, enum ghost_crew_start how,
		 struct ghost_handoff *h)
{
	int err = ghost_crew_create(&self->crew, self->p.e, SLOTS, &ops,
				    &self->p);

	return err ? err : ghost_crew_start(self->crew, how, TIMEOUT_MS, h);
}

/* Tasks that sleep and run by turns, and count how often they have. */
static int spawn(FIXTURE_DATA(live) *self, volatile uint32_t *counts, int n,
		 uint32_t turns)
{
	int i;

	for (i = 0; i < n; i++) {
		const struct timespec nap = { .tv_nsec = 1000000 };
		pid_t pid = fork();

		if (pid < 0)
			return -errno;
		if (!pid) {
			int dir = ghost_enclave_dir(self->p.e);

			if (ghost_fs_add_task(dir, 0))
				_exit(2);
			/* The crew is online as long as anybody has its file. */
			close_range(STDERR_FILENO + 1, ~0U, 0);
			while (counts[i] < turns) {
				nanosleep(&nap, NULL);
				counts[i]++;
			}
			_exit(0);
		}
		self->tasks[self->nr_tasks++] = pid;
	}
	return 0;
}

static uint32_t *shared_counts(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* Exit codes of all tasks, or'ed. */
static int reap_tasks(FIXTURE_DATA(live) *self)
{
	int i, status, all = 0;

	for (i = 0; i < self->nr_tasks; i++) {
		waitpid(self->tasks[i], &status, 0);
		all |= status;
	}
	self->nr_tasks = 0;
	return all;
}

static bool all_advance(volatile uint32_t *counts, int n)
{
	uint32_t before[NR_TASKS];
	int i, tries;

	for (i = 0; i < n; i++)
		before[i] = counts[i];
	for (tries = 0; tries < 500; tries++) {
		int moved = 0;

		usleep(10000);
		for (i = 0; i < n; i++)
			moved += counts[i] != before[i];
		if (moved == n)
			return true;
	}
	return false;
}

static int words_in_use(struct ghost_enclave *e)
{
	struct ghost_sw_info info = { 0 };
	const struct ghost_status_word *sw;
	int n = 0;

	for (; (sw = ghost_enclave_sw(e, &info)); info.index++)
		n += ghost_sw_flags(sw) != 0;
	return n;
}

TEST_F(live, tasks_run_and_end)
{
	volatile uint32_t *counts = shared_counts();
	struct ghost_handoff h;

	ASSERT_EQ(start(self, GHOST_START_ALONE, &h), 0);
	EXPECT_EQ(h.tasks, 0);
	EXPECT_EQ(ghost_enclave_online(self->p.e), 1);
	EXPECT_EQ(ghost_enclave_incumbent(self->p.e), getpid());
	ASSERT_EQ(spawn(self, counts, NR_TASKS, 20), 0);
	EXPECT_EQ(reap_tasks(self), 0);
	EXPECT_EQ(counts[0], 20);
	EXPECT_EQ(ghost_crew_error(self->crew), 0);
	usleep(50000);
	EXPECT_EQ(ghost_crew_stop(self->crew), 0);
	EXPECT_EQ(ghost_enclave_online(self->p.e), 0);
	EXPECT_EQ(ghost_enclave_incumbent(self->p.e), -ESRCH);
	/* The tasks' words and the agent's were all given back. */
	EXPECT_EQ(words_in_use(self->p.e), 0);
}

TEST_F(live, second_crew_is_refused)
{
	struct ghost_crew *second;
	struct ghost_handoff h;

	ASSERT_EQ(start(self, GHOST_START_ALONE, &h), 0);
	ASSERT_EQ(ghost_crew_create(&second, self->p.e, SLOTS, &ops, &self->p),
		  0);
	EXPECT_EQ(ghost_crew_start(second, GHOST_START_ALONE, TIMEOUT_MS, &h),
		  -EBUSY);
	EXPECT_EQ(ghost_crew_start(second, GHOST_START_WAIT, 50, &h),
		  -ETIMEDOUT);
	ghost_crew_destroy(second);
	/* And the first has not noticed. */
	EXPECT_EQ(ghost_enclave_online(self->p.e), 1);
	EXPECT_EQ(ghost_crew_error(self->crew), 0);
}

TEST_F(live, tasks_wait_for_the_next_crew)
{
	volatile uint32_t *counts = shared_counts();
	struct ghost_handoff h;

	ASSERT_EQ(start(self, GHOST_START_ALONE, &h), 0);
	ASSERT_EQ(spawn(self, counts, NR_TASKS, UINT32_MAX), 0);
	ASSERT_TRUE(all_advance(counts, NR_TASKS));
	ghost_crew_destroy(self->crew);
	ghost_tasks_destroy(self->p.tasks[0]);
	ASSERT_EQ(ghost_tasks_create(&self->p.tasks[0], self->p.e, 0), 0);
	ASSERT_EQ(start(self, GHOST_START_ALONE, &h), 0);
	EXPECT_EQ(h.tasks, NR_TASKS);
	EXPECT_EQ(h.orphans, 0);
	EXPECT_TRUE(all_advance(counts, NR_TASKS));
}

TEST_F(live, tasks_wait_for_the_first_crew)
{
	volatile uint32_t *counts = shared_counts();
	struct ghost_handoff h;
	int i, tids[NR_TASKS];

	ASSERT_EQ(spawn(self, counts, NR_TASKS, UINT32_MAX), 0);
	for (i = 0; i < 10000; i++) {
		if (ghost_enclave_members(self->p.e, tids, NR_TASKS) == NR_TASKS)
			break;
		usleep(1000);
	}
	ASSERT_EQ(start(self, GHOST_START_ALONE, &h), 0);
	EXPECT_EQ(h.tasks, NR_TASKS);
	EXPECT_TRUE(all_advance(counts, NR_TASKS));
}

/* A child that schedules until SIGTERM. */
static pid_t incumbent(FIXTURE_DATA(live) *self)
{
	struct ghost_handoff h;
	sigset_t term;
	int pipefd[2], sig;
	char c;
	pid_t pid;

	if (pipe(pipefd))
		return -1;
	pid = fork();
	if (!pid) {
		struct policy p = { 0 };

		sigemptyset(&term);
		sigaddset(&term, SIGTERM);
		sigprocmask(SIG_BLOCK, &term, NULL);
		/* Mappings are not inherited: open it again. */
		if (ghost_enclave_open(&self->p.e, NULL,
				       ghost_enclave_id(self->p.e)) ||
		    ghost_tasks_create(&p.tasks[0], self->p.e, 0))
			_exit(1);
		self->p.tasks[0] = p.tasks[0];
		if (start(self, GHOST_START_ALONE, &h) ||
		    write(pipefd[1], "k", 1) != 1)
			_exit(2);
		sigwait(&term, &sig);
		_exit(ghost_crew_stop(self->crew) ? 3 : 0);
	}
	close(pipefd[1]);
	if (read(pipefd[0], &c, 1) != 1)
		pid = -1;
	close(pipefd[0]);
	return pid;
}

TEST_F(live, incumbent_is_asked_to_go)
{
	volatile uint32_t *counts = shared_counts();
	pid_t pid = incumbent(self);
	struct ghost_handoff h;
	int status;

	ASSERT_GT(pid, 0);
	EXPECT_EQ(ghost_enclave_incumbent(self->p.e), pid);
	ASSERT_EQ(spawn(self, counts, NR_TASKS, UINT32_MAX), 0);
	ASSERT_TRUE(all_advance(counts, NR_TASKS));
	ASSERT_EQ(start(self, GHOST_START_ASK, &h), 0);
	EXPECT_EQ(h.incumbent, pid);
	EXPECT_EQ(h.tasks, NR_TASKS);
	EXPECT_GE(h.online_ns, h.offline_ns);
	EXPECT_TRUE(all_advance(counts, NR_TASKS));
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
}

TEST_F(live, incumbent_is_killed)
{
	volatile uint32_t *counts = shared_counts();
	pid_t pid = incumbent(self);
	struct ghost_handoff h;

	ASSERT_GT(pid, 0);
	ASSERT_EQ(spawn(self, counts, NR_TASKS, UINT32_MAX), 0);
	ASSERT_TRUE(all_advance(counts, NR_TASKS));
	kill(pid, SIGKILL);
	ASSERT_EQ(start(self, GHOST_START_WAIT, &h), 0);
	EXPECT_EQ(h.tasks, NR_TASKS);
	/* It could not give its agent's word back: we have. */
	EXPECT_GE(h.orphans, 1);
	EXPECT_TRUE(all_advance(counts, NR_TASKS));
	waitpid(pid, NULL, 0);
}

TEST_F(live, refused_where_the_kernel_refuses)
{
	struct ghost_enclave_options o = { .cpus = "1" };
	struct ghost_enclave *e;
	struct ghost_queue *q;

	EXPECT_EQ(ghost_enclave_create(&e, &o), -EBUSY);
	EXPECT_STREQ(o.failed, "cpulist");
	o.cpus = "none";
	EXPECT_EQ(ghost_enclave_create(&e, &o), -EINVAL);
	o.id = ghost_enclave_id(self->p.e);
	EXPECT_EQ(ghost_enclave_create(&e, &o), -EEXIST);
	EXPECT_STREQ(o.failed, "create");
	EXPECT_EQ(ghost_queue_create(&q, self->p.e, 3, 1), -EINVAL);
	EXPECT_EQ(ghost_fs_add_task(ghost_enclave_dir(self->p.e), -5), -ESRCH);
}

TEST_F(live, destroyed_enclave_says_so)
{
	struct ghost_crew *crew;

	ASSERT_EQ(ghost_enclave_destroy(self->p.e), 0);
	EXPECT_EQ(ghost_sys_null(ghost_enclave_ctl(self->p.e)), -ENODEV);
	EXPECT_EQ(ghost_crew_create(&crew, self->p.e, SLOTS, &ops, &self->p),
		  -ENODEV);
}

TEST_HARNESS_MAIN
