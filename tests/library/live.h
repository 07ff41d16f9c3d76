/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * Support for the tests of the library that need the real kernel. The test
 * thread stays on CPU 0 and is the only reader of the queue and the table. The
 * agents, of CPU 1 and those that follow, wait, and do the jobs that it posts.
 */
#ifndef LIVE_H
#define LIVE_H

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <ghost/ghost.h>

#define LIVE_AGENTS	3
#define LIVE_TASKS	4
#define LIVE_WAIT_MS	10000
#define LIVE_QUIET_MS	200

struct live;
typedef long (*live_job)(struct ghost_agent *agent, void *arg);

/* One at a time for each agent; @posted and @done count them. */
struct live_slot {
	live_job fn;
	void *arg;
	long result;
	uint32_t posted;
	uint32_t done;
	uint32_t turns;
};

struct live_task {
	pid_t pid;
	int64_t gtid;
};

struct live {
	struct ghost_enclave *e;
	struct ghost_crew *crew;
	struct ghost_queue *q;
	struct ghost_tasks *tasks;
	struct live_slot slot[LIVE_AGENTS];
	struct live_task task[LIVE_TASKS];
	int nr_tasks;
	volatile uint64_t *counts;	/* of each task, while it spins */
	struct ghost_event last;	/* the message about a CPU read last */
	int cpu_messages;
};

static inline int64_t live_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

/* Wait until @cond holds; false when LIVE_WAIT_MS have passed. */
#define live_wait(cond) ({						\
	int64_t __end = live_ms() + LIVE_WAIT_MS;			\
	bool __ok;							\
									\
	while (!(__ok = !!(cond)) && live_ms() < __end)			\
		usleep(1000);						\
	__ok;								\
})

static inline int live_run(struct ghost_agent *agent, void *arg)
{
	struct live *l = arg;
	struct live_slot *s = &l->slot[ghost_agent_index(agent)];
	int err = 0;

	while (!err) {
		uint32_t barrier = ghost_agent_barrier(agent);

		if (ghost_agent_stopping(agent))
			return 0;
		__atomic_add_fetch(&s->turns, 1, __ATOMIC_RELAXED);
		if (__atomic_load_n(&s->posted, __ATOMIC_ACQUIRE) == s->done) {
			err = ghost_agent_wait(agent, barrier, 0);
			continue;
		}
		s->result = s->fn(agent, s->arg);
		__atomic_store_n(&s->done, s->done + 1, __ATOMIC_RELEASE);
	}
	return err;
}

static inline void live_post(struct live *l, int i, live_job fn, void *arg)
{
	struct live_slot *s = &l->slot[i];

	s->fn = fn;
	s->arg = arg;
	__atomic_store_n(&s->posted, s->posted + 1, __ATOMIC_RELEASE);
	ghost_crew_wake(l->crew, i);
}

static inline bool live_done(struct live *l, int i)
{
	struct live_slot *s = &l->slot[i];

	return __atomic_load_n(&s->done, __ATOMIC_ACQUIRE) == s->posted;
}

/* The job's result, or -ETIMEDOUT: then no other can be posted. */
static inline long live_call(struct live *l, int i, live_job fn, void *arg)
{
	live_post(l, i, fn, arg);
	return live_wait(live_done(l, i)) ? l->slot[i].result : -ETIMEDOUT;
}

/*
 * Enclave, crew and table. 0, -errno, or 1: *why says why this kernel or machine
 * cannot.
 */
static inline int live_setup(struct live *l, struct ghost_enclave_options *o,
			     int nr_agents, const char **why)
{
	static const struct ghost_crew_ops ops = { .run = live_run };
	struct ghost_handoff h;
	cpu_set_t zero;
	char cpus[8];
	int err;

	*why = ghost_fs_problem(NULL);
	if (*why)
		return 1;
	if (sysconf(_SC_NPROCESSORS_ONLN) <= nr_agents) {
		*why = "needs more CPUs";
		return 1;
	}
	CPU_ZERO(&zero);
	CPU_SET(0, &zero);
	sched_setaffinity(0, sizeof(zero), &zero);
	snprintf(cpus, sizeof(cpus), "1-%d", nr_agents);
	o->cpus = cpus;
	l->counts = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	err = ghost_enclave_create(&l->e, o);
	if (!err)
		err = ghost_tasks_create(&l->tasks, l->e, 0);
	if (!err)
		err = ghost_crew_create(&l->crew, l->e, 1024, &ops, l);
	if (!err)
		err = ghost_crew_start(l->crew, GHOST_START_ALONE,
				       LIVE_WAIT_MS, &h);
	if (!err)
		l->q = ghost_crew_queue(l->crew, 0);
	return err;
}

static inline void live_teardown(struct live *l)
{
	int i;

	for (i = 0; i < l->nr_tasks; i++)
		kill(l->task[i].pid, SIGKILL);
	if (!l->e)
		return;
	ghost_crew_destroy(l->crew);
	ghost_enclave_destroy(l->e);
	for (i = 0; i < l->nr_tasks; i++)
		waitpid(l->task[i].pid, NULL, 0);
	ghost_tasks_destroy(l->tasks);
	ghost_enclave_close(l->e);
}

/* Read the queue until it is empty. */
static inline int live_read(struct live *l)
{
	struct ghost_task *task;
	struct ghost_event ev;
	int err;

	while (ghost_queue_next(l->q, &ev)) {
		err = ghost_tasks_apply(l->tasks, &ev, &task);
		if (err && err != -ESTALE)
			return err;
		if (ghost_event_cpu(&ev) >= 0) {
			l->last = ev;
			l->cpu_messages++;
		}
		if (task && task->state == GHOST_TASK_GONE)
			ghost_tasks_forget(l->tasks, task);
	}
	return 0;
}

/* What the messages say of the @i-th task now, or NULL. */
static inline struct ghost_task *live_task(struct live *l, int i)
{
	return live_read(l) ? NULL : ghost_tasks_find(l->tasks,
						      l->task[i].gtid);
}

/* A task that spins; it waits for its first CPU when this returns. */
static inline int live_spawn(struct live *l)
{
	struct live_task *t = &l->task[l->nr_tasks];
	volatile uint64_t *count = &l->counts[l->nr_tasks];
	cpu_set_t all;
	int i, err;

	CPU_ZERO(&all);
	for (i = 0; i < CPU_SETSIZE; i++)
		CPU_SET(i, &all);
	*count = 0;
	t->pid = fork();
	if (t->pid < 0)
		return -errno;
	if (!t->pid) {
		const int dir = STDERR_FILENO + 1;

		/* The crew is online as long as anybody has its file. */
		dup2(ghost_enclave_dir(l->e), dir);
		close_range(dir + 1, ~0U, 0);
		sched_setaffinity(0, sizeof(all), &all);
		if (ghost_fs_add_task(dir, 0))
			_exit(1);
		for (;;)
			(*count)++;
	}
	l->nr_tasks++;
	err = ghost_proc_gtid(t->pid, &t->gtid);
	if (err)
		return err;
	return live_wait(live_task(l, l->nr_tasks - 1)) ? 0 : -ETIMEDOUT;
}

/* Does its count grow? */
static inline bool live_advances(struct live *l, int i)
{
	uint64_t before = l->counts[i];
	int64_t end = live_ms() + LIVE_QUIET_MS;

	while (l->counts[i] == before && live_ms() < end)
		usleep(1000);
	return l->counts[i] != before;
}

/* States that ask for another try: the CPU or the task has just been busy. */
static inline bool live_again(int32_t state)
{
	return state == GHOST_TXN_CPU_UNAVAIL ||
	       state == GHOST_TXN_TARGET_STALE ||
	       state == GHOST_TXN_TARGET_ONCPU ||
	       state == GHOST_TXN_AGENT_STALE;
}

#endif /* LIVE_H */
