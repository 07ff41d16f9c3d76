// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* A thread that looks at the invariants, and says how far the walk is. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "torture.h"

#define LOOK_MS		300
#define LINE_MS		10000
#define HANG_MS		30000		/* to end after a failure */

uint64_t director_ops;
uint64_t director_done;
const char *director_op = "start";
static const char *phase = "start";

static pthread_t thread;
static int64_t bound, began;
static bool end;

static void check_log(void)
{
	const char *text;

	while ((text = gt_complaint()))
		fail("the kernel says: %.200s", text);
}

static void describe(int place, pid_t pid)
{
	char path[64], buf[2048];

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	if (gt_read_file(path, buf, sizeof(buf)) > 0)
		fprintf(stderr, "worker %d: state %c, policy %d\n%s", place,
			gt_proc_state(pid), gt_policy(pid), buf);
	snprintf(path, sizeof(path), "/proc/%d/stack", pid);
	if (gt_read_file(path, buf, sizeof(buf)) > 0)
		fprintf(stderr, "%s", buf);
}

static void check_workers(void)
{
	int64_t now = gt_now_ms(), waits;
	int i;

	for (i = 0; i < shared->nr_workers; i++) {
		struct worker *w = &shared->workers[i];
		pid_t pid = load(&w->pid);

		waits = now - load(&w->last_ms);
		if (pid <= 0 || load(&w->excused) || waits < bound)
			continue;
		fail("worker %d stands still for %lld ms, operation '%s', policy %d",
		     i, (long long)waits, figure_name(w->op), gt_policy(pid));
		describe(i, pid);
		return;
	}
}

/* The director itself waits for the kernel in some of its operations. */
static void check_director(void)
{
	static uint64_t seen;
	static int64_t since;
	int64_t now = gt_now_ms();

	if (director_ops != seen || !since) {
		seen = director_ops;
		since = now;
	} else if (now - since > bound) {
		fail("operation %s has not come back for %lld ms", director_op,
		     (long long)(now - since));
	}
}

static int64_t longest_wait(void)
{
	int64_t longest = 0;
	int i;

	for (i = 0; i < shared->nr_workers; i++)
		if (shared->workers[i].longest_ms > longest)
			longest = shared->workers[i].longest_ms;
	return longest;
}

static void tell(void)
{
	struct census c = census_take();

	printf("%5.0f s  %s, %llu operations, %llu of %llu tasks live, waited %lld ms\n",
	       (gt_now_ms() - began) / 1000.0, phase,
	       (unsigned long long)director_done, (unsigned long long)c.alive,
	       (unsigned long long)c.created, (long long)longest_wait());
	fflush(stdout);
}

void watch_tell(const char *name)
{
	phase = name;
	tell();
}

/* State of enclaves and blocked tasks to the kernel log, then the end. */
static void give_up(void)
{
	int64_t until = gt_now_ms() + HANG_MS;

	gt_write_file("/proc/sysrq-trigger", "8");
	gt_write_file("/proc/sysrq-trigger", "E");
	gt_write_file("/proc/sysrq-trigger", "w");
	while (!load(&end) && gt_now_ms() < until)
		gt_sleep_ms(LOOK_MS);
	if (load(&end))
		return;
	fprintf(stderr, "the walk does not end after its failure: %s\n",
		director_op);
	fflush(NULL);
	_exit(1);
}

static void *look(void *unused)
{
	int64_t told = gt_now_ms();

	while (!load(&end)) {
		check_log();
		check_workers();
		check_director();
		bystander_check();
		census_take();
		if (load(&shared->failed)) {
			give_up();
			break;
		}
		if (gt_now_ms() - told >= LINE_MS) {
			told = gt_now_ms();
			tell();
		}
		gt_sleep_ms(LOOK_MS);
	}
	return NULL;
}

int watch_start(int64_t bound_ms)
{
	int ret = gt_complaints_begin();

	bound = bound_ms;
	began = gt_now_ms();
	return ret ? ret : -pthread_create(&thread, NULL, look, NULL);
}

void watch_end(void)
{
	store(&end, true);
	pthread_join(thread, NULL);
	check_log();
}
