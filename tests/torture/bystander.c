// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * An enclave that nobody touches: what the walk does to others must not show
 * here. It has the last CPU and calm tasks that are scheduled there, or, on a
 * machine of less than four CPUs, no CPU and tasks that sleep.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "torture.h"

static struct gt_enclave e;
static pid_t host;
static char quiet[256];			/* what its files said at first */
static bool watched;			/* false before it is destroyed */

bool bystander_is(pid_t pid)
{
	return pid == host && load(&watched);
}

static void read_files(char *text, size_t size)
{
	static const char * const names[] = {
		"cpulist", "runnable_timeout", "max_tasks", "agent_online",
		"commit_at_tick", "deliver_ticks", "deliver_cpu_availability",
		"deliver_agent_runnability", "fallback", "honor_affinity",
		"live_dangerously", "wake_on_waker_cpu", "switchto_disabled",
	};
	size_t i, n = 0;
	char buf[64];
	int ret;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		ret = gt_file_get(&e, names[i], buf, sizeof(buf));
		buf[strcspn(buf, "\n")] = '\0';
		n += snprintf(text + n, size - n, "%s%s", n ? " " : "",
			      ret < 0 ? strerror(-ret) : buf);
		if (n >= size)
			return;
	}
}

/* The members are the calm workers and nobody else, in any order. */
static bool members_stay(void)
{
	char buf[1024], *at = buf;
	int i, n = 0, ret;
	long tid;

	ret = gt_file_get(&e, "tasks", buf, sizeof(buf));
	while (ret > 0 && (tid = strtol(at, &at, 10)) > 0) {
		for (i = 0; i < CALM && shared->workers[i].pid != tid; i++)
			;
		n += i < CALM ? 1 : CALM + 1;
		at += strspn(at, "\n");
	}
	return n == CALM;
}

static int start_calm(int place)
{
	struct worker *w = &shared->workers[place];

	store(&w->last_ms, gt_now_ms());
	store(&w->excused, shared->quiet_cpu < 0);
	w->pid = spawn("worker", place, NULL);
	count(F_TASK_START, w->pid > 0);
	/* Without a CPU it must not want one any more. */
	if (shared->quiet_cpu < 0 &&
	    !gt_wait_for(load(&w->round) && gt_proc_state(w->pid) == 'S'))
		return -ETIMEDOUT;
	return gt_join(&e, w->pid);
}

int bystander_start(void)
{
	char cpu[16];
	int i, ret = gt_enclave_bare(&e);

	if (ret)
		return ret;
	snprintf(cpu, sizeof(cpu), "%d", shared->quiet_cpu);
	if (shared->quiet_cpu >= 0)
		ret = gt_set_cpus(&e, cpu);
	if (!ret && gt_put(e.ctl, "create sw_region 0 0") < 0)
		ret = -EIO;
	if (ret)
		return ret;
	e.tasks = gt_file(&e, "tasks", O_RDWR);
	store(&shared->slots[BYSTANDER].id, e.id);
	if (shared->quiet_cpu >= 0)
		host = spawn("host", BYSTANDER, "honest");
	/* A task that waits may hold what its start needs, as a page of ours. */
	if (!gt_wait_for((read_files(quiet, sizeof(quiet)),
			  shared->quiet_cpu < 0 || strstr(quiet, " 0 0 1 "))))
		return -ETIMEDOUT;
	for (i = 0; i < CALM && !ret; i++)
		ret = start_calm(i);
	if (ret)
		return ret;
	if (!gt_wait_for(members_stay()))
		return -ETIMEDOUT;
	store(&watched, true);
	return 0;
}

void bystander_check(void)
{
	char now[sizeof(quiet)];

	bool stay;

	if (!load(&watched) || load(&shared->failed))
		return;
	read_files(now, sizeof(now));
	stay = members_stay();
	/* Its end may have come while we looked. */
	if (!load(&watched))
		return;
	if (strcmp(now, quiet))
		fail("the bystander was '%s' and is '%s'", quiet, now);
	else if (!stay)
		fail("the bystander's tasks are not those that it had");
}

void bystander_end(void)
{
	int i;

	store(&watched, false);
	if (gt_destroy(&e))
		fail("the bystander cannot be destroyed");
	if (host > 0)
		kill(host, SIGKILL);
	for (i = 0; i < CALM; i++) {
		store(&shared->workers[i].quit, 1);
		if (shared->quiet_cpu < 0)
			kill(shared->workers[i].pid, SIGTERM);
	}
	if (!gt_wait_for((crowd_attend(), !shared->workers[0].pid &&
			  !shared->workers[1].pid && !shared->workers[2].pid)))
		fail("the bystander's tasks do not end");
	gt_enclave_close(&e);
}
