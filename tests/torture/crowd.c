// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* The workers, from outside: who comes, who goes, and what is done to them. */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "torture.h"

#define CGROUP	"/sys/fs/cgroup/torture"

static struct {
	bool stopped, killed;
	int64_t until;			/* stopped */
} told[MAX_WORKERS];

static bool ending;

static struct worker *some(struct rng *r, int *place)
{
	struct worker *w;

	*place = CALM + below(r, shared->nr_workers - CALM);
	w = &shared->workers[*place];
	return w->pid > 0 && !told[*place].stopped ? w : NULL;
}

static bool start_worker(int place)
{
	struct worker *w = &shared->workers[place];

	told[place].killed = false;
	told[place].stopped = false;
	store(&w->excused, 0);
	store(&w->last_ms, gt_now_ms());
	w->life++;
	w->pid = spawn("worker", place, NULL);
	if (w->pid < 0)
		fail("cannot start a worker: errno %d", -w->pid);
	count(F_TASK_START, w->pid > 0);
	return w->pid > 0;
}

void crowd_start(void)
{
	int i;

	mkdir(CGROUP, 0755);
	for (i = CALM; i < shared->nr_workers; i++)
		start_worker(i);
}

static void worker_gone(int place, int status)
{
	struct worker *w = &shared->workers[place];

	w->pid = 0;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && told[place].killed)
		return;
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		fail("worker %d ended with status %#x, operation '%s'", place,
		     status, figure_name(w->op));
}

static void reap_all(void)
{
	siginfo_t info;
	pid_t pid;
	int i, status;

	for (;;) {
		info.si_pid = 0;
		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) ||
		    !info.si_pid)
			return;
		pid = info.si_pid;
		status = reap(pid);
		for (i = 0; i < shared->nr_workers; i++)
			if (shared->workers[i].pid == pid)
				break;
		if (i < shared->nr_workers)
			worker_gone(i, status);
		else if (bystander_is(pid))
			fail("the bystander's policy ended: %#x", status);
		else
			enclaves_host_gone(pid, status);
	}
}

static void go_on(int place)
{
	struct worker *w = &shared->workers[place];

	store(&w->last_ms, gt_now_ms());
	kill(w->pid, SIGCONT);
	store(&w->excused, 0);
	told[place].stopped = false;
}

void crowd_attend(void)
{
	int i;

	reap_all();
	for (i = CALM; i < shared->nr_workers; i++) {
		struct worker *w = &shared->workers[i];

		if (w->pid > 0 && told[i].stopped && gt_now_ms() >= told[i].until)
			go_on(i);
		if (w->pid <= 0 && !ending)
			start_worker(i);
	}
}

/* ---- operations ---- */

bool op_task_kill(struct rng *r)
{
	int place;
	struct worker *w = some(r, &place);

	if (!w)
		return false;
	told[place].killed = true;
	return !kill(w->pid, SIGKILL);
}

bool op_task_stop(struct rng *r)
{
	int place;
	struct worker *w = some(r, &place);

	if (!w)
		return false;
	store(&w->excused, 1);
	told[place].stopped = true;
	told[place].until = gt_now_ms() + below(r, 1000);
	return !kill(w->pid, SIGSTOP);
}

bool op_task_join(struct rng *r)
{
	int id = load(&shared->slots[below(r, SLOTS)].id), place;
	struct worker *w = some(r, &place);
	char path[64], text[16];

	if (!w || !id)
		return false;
	snprintf(path, sizeof(path), GT_ROOT "/enclave_%d/tasks", id);
	snprintf(text, sizeof(text), "%d", w->pid);
	return gt_write_file(path, text) > 0;
}

bool op_task_nice(struct rng *r)
{
	int place;
	struct worker *w = some(r, &place);

	return w && !setpriority(PRIO_PROCESS, w->pid, (int)below(r, 40) - 20);
}

bool op_task_affinity(struct rng *r)
{
	bool all = one_in(r, 2);
	int place, cpu;
	struct worker *w = some(r, &place);
	cpu_set_t set;

	CPU_ZERO(&set);
	for (cpu = 0; cpu < shared->ncpus; cpu++)
		if (cpu != shared->quiet_cpu && (all || one_in(r, 2)))
			CPU_SET(cpu, &set);
	return w && !sched_setaffinity(w->pid, sizeof(set), &set);
}

/* Into a frozen cgroup, and out of it again. */
bool op_task_freeze(struct rng *r)
{
	int place, ms = below(r, 50);
	struct worker *w = some(r, &place);
	char text[16];
	bool ok;

	if (!w)
		return false;
	snprintf(text, sizeof(text), "%d", w->pid);
	ok = gt_write_file(CGROUP "/cgroup.procs", text) > 0 &&
		gt_write_file(CGROUP "/cgroup.freeze", "1") > 0;
	gt_sleep_ms(ms);
	gt_write_file(CGROUP "/cgroup.freeze", "0");
	gt_write_file("/sys/fs/cgroup/cgroup.procs", text);
	return ok;
}

/* ---- the end ---- */

static bool all_as_normal_threads(void)
{
	int i;

	crowd_attend();
	for (i = CALM; i < shared->nr_workers; i++)
		if (shared->workers[i].pid > 0 &&
		    gt_policy(shared->workers[i].pid) == SCHED_GHOST)
			return false;
	return true;
}

/* All make progress, as normal threads; then they end, and are all found. */
void crowd_end(void)
{
	uint32_t round[MAX_WORKERS];
	struct census c;
	int i, left;

	ending = true;
	for (i = CALM; i < shared->nr_workers; i++) {
		if (told[i].stopped)
			go_on(i);
		round[i] = load(&shared->workers[i].round);
	}
	if (!gt_wait_for(all_as_normal_threads()))
		fail("a worker is a ghost task, and there is no enclave");
	/* Who stands still is told by the watch, after its bound. */
	do {
		left = 0;
		crowd_attend();
		gt_sleep_ms(10);
		for (i = CALM; i < shared->nr_workers; i++)
			left += shared->workers[i].pid > 0 &&
				load(&shared->workers[i].round) == round[i];
	} while (left && !load(&shared->failed));
	for (i = CALM; i < shared->nr_workers; i++)
		store(&shared->workers[i].quit, 1);
	do {
		left = 0;
		crowd_attend();
		gt_sleep_ms(10);
		for (i = CALM; i < shared->nr_workers; i++)
			left += shared->workers[i].pid > 0;
	} while (left && !load(&shared->failed));
	gt_wait_for((reap_all(), c = census_take(), !c.alive) ||
		    load(&shared->failed));
	if (c.created != c.finished + c.alive || (c.alive && !load(&shared->failed)))
		fail("%llu processes were created, %llu finished, %llu are left",
		     (unsigned long long)c.created,
		     (unsigned long long)c.finished, (unsigned long long)c.alive);
	rmdir(CGROUP);
}
