// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* ghost-fuzz: options, the parent that watches, and the figures. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz.h"
#include "gt_bpf.h"

#define LINE_MS		10000
#define HANG_MS		120000
#define STALL_MAX	"/proc/sys/kernel/ghost_stall_max_ms"
#define STALL_MS	"2000"

static const char usage[] =
"usage: ghost-fuzz [OPTION]...\n"
"Calls the interface of SCHED_GHOST at random; figures come at the end.\n"
"  --operations N  how many calls (100000)\n"
"  --seconds N     end after that time, too\n"
"  --seed N        draw the same again; else a seed is drawn, and printed\n"
"  --json          figures for programs\n"
"The exit status is 0 if the kernel did not complain and all could be ended.\n";

struct shared *shared;
static char why[512];			/* the first failure */

/* What the kernel said last: the trace of a complaint is not on the console. */
static void print_log(void)
{
	static char log[16384];
	int n = klogctl(3 /* SYSLOG_ACTION_READ_ALL */, log, sizeof(log));

	fprintf(stderr, "The last of the kernel's log:\n%.*s\n", n < 0 ? 0 : n, log);
}

static void fail(const char *text)
{
	if (why[0])
		return;
	snprintf(why, sizeof(why), "%s", text);
	fprintf(stderr, "FAILED: %s\n  in operation '%s', seed %u\n", why,
		ops[shared->now.op].name, shared->now.seed);
	print_log();
}

static void check_log(void)
{
	const char *text;

	while ((text = gt_complaint()))
		fail(text);
}

/* ---- one child after the other ---- */

static void destroy_all(void)
{
	char ctl[64];
	int i;

	for (i = 0; i < NR_IDS; i++) {
		snprintf(ctl, sizeof(ctl), GT_ROOT "/enclave_%d/ctl", FIRST_ID + i);
		gt_write_file(ctl, "destroy");
	}
}

static bool all_gone(void)
{
	char dir[64];
	int i;

	for (i = 0; i < NR_IDS; i++) {
		snprintf(dir, sizeof(dir), GT_ROOT "/enclave_%d", FIRST_ID + i);
		if (!access(dir, F_OK))
			return false;
	}
	return true;
}

/* It ends by itself, or by the end of an enclave whose agent it is. */
static bool ended(pid_t pid)
{
	static char text[64];
	int status;

	if (waitpid(pid, &status, WNOHANG) != pid)
		return false;
	if (WIFEXITED(status) && WEXITSTATUS(status) == CHILD_NO_COVER) {
		fail("the kernel has KCOV, and it cannot be used");
	} else if (status && !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)) {
		snprintf(text, sizeof(text), "a process has died with status %#x", status);
		fail(text);
	}
	return true;
}

static void tell(int64_t begin)
{
	printf("%5.0f s  %llu calls, %llu sequences, %llu processes",
	       (gt_now_ms() - begin) / 1000.0,
	       (unsigned long long)shared->operations,
	       (unsigned long long)shared->sequences,
	       (unsigned long long)shared->children);
	if (shared->cover)
		printf(", %llu places, %u kept",
		       (unsigned long long)shared->places, shared->nr_corpus);
	putchar('\n');
	fflush(stdout);
}

/* Returns when the child has ended by itself, or shall be. */
static void watch(pid_t pid, int64_t begin, int64_t end)
{
	static int64_t told;
	uint64_t seen = shared->operations;
	int64_t since = gt_now_ms(), now;
	bool over;

	while (!(over = ended(pid))) {
		gt_sleep_ms(10);
		now = gt_now_ms();
		check_log();
		if (now - told >= LINE_MS) {
			told = now;
			tell(begin);
		}
		if (shared->operations != seen) {
			seen = shared->operations;
			since = now;
		}
		if (now - since > HANG_MS)
			fail("an operation does not return");
		if (why[0] || now >= end)
			break;
	}
	destroy_all();
	if (!over) {
		kill(pid, SIGKILL);
		if (!gt_wait_for(ended(pid)))
			fail("the process cannot be ended");
	}
	if (!gt_wait_for((destroy_all(), all_gone())))
		fail("an enclave cannot be destroyed");
}

/*
 * The fuzzer is a member without a policy now and then, which sets its own
 * runnable_timeout: the kernel's limit is what gets it out of there.
 */
static void fuzz(int64_t begin, int64_t end)
{
	char limit[32] = "";
	pid_t pid;

	gt_read_file(STALL_MAX, limit, sizeof(limit));
	if (gt_write_file(STALL_MAX, STALL_MS) < 0)
		fail("cannot write " STALL_MAX);
	while (!why[0] && gt_now_ms() < end && shared->operations < shared->limit) {
		fflush(NULL);
		pid = fork();
		if (pid < 0) {
			fail("cannot fork");
			break;
		}
		if (!pid)
			_exit(child_main(shared->children));
		shared->children++;
		watch(pid, begin, end);
	}
	gt_write_file(STALL_MAX, limit);
}

/* ---- figures ---- */

static void as_text(void)
{
	unsigned int op, e;
	uint64_t sum;
	int column;

	printf("%-16s %9s  %9s  %s\n", "operation", "calls", "succeeded", "errors");
	for (op = 0; op < NR_OPS; op++) {
		for (sum = 0, e = 0; e < ERRNOS; e++)
			sum += shared->count[op][e];
		column = printf("%-16s %9llu  %9llu ", ops[op].name,
				(unsigned long long)sum,
				(unsigned long long)shared->count[op][0]);
		for (e = 1; e < ERRNOS; e++) {
			if (!shared->count[op][e])
				continue;
			if (column > 60)
				column = printf("\n%38s", "") - 1;
			column += printf(" %s %llu", strerrorname_np(e) ?: "other",
					 (unsigned long long)shared->count[op][e]);
		}
		putchar('\n');
	}
	printf("%llu operations by %llu processes\n",
	       (unsigned long long)shared->operations,
	       (unsigned long long)shared->children);
	if (shared->cover)
		printf("%llu places of code reached, %u sequences kept\n",
		       (unsigned long long)shared->places, shared->nr_corpus);
	else
		printf("not guided by coverage: the kernel has no KCOV\n");
	printf("seed %llu: %s\n", (unsigned long long)shared->seed,
	       why[0] ? why : "the kernel did not complain");
}

static void as_json(void)
{
	unsigned int op, e;
	bool first;

	printf("{\"seed\": %llu, \"operations\": %llu, \"processes\": %llu, \"places\": %llu,\n",
	       (unsigned long long)shared->seed,
	       (unsigned long long)shared->operations,
	       (unsigned long long)shared->children,
	       (unsigned long long)shared->places);
	printf(" \"failed\": %s", why[0] ? "true" : "false");
	for (op = 0; op < NR_OPS; op++) {
		printf(",\n \"%s\": {", ops[op].name);
		for (first = true, e = 0; e < ERRNOS; e++) {
			if (!shared->count[op][e])
				continue;
			printf("%s\"%s\": %llu", first ? "" : ", ",
			       e ? strerrorname_np(e) ?: "other" : "ok",
			       (unsigned long long)shared->count[op][e]);
			first = false;
		}
		putchar('}');
	}
	printf("}\n");
}

static uint64_t parse_number(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 0);

	if (!*text || *end) {
		fprintf(stderr, "ghost-fuzz: '%s' is no number\n%s", text, usage);
		exit(2);
	}
	return n;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "operations", required_argument, NULL, 'o' },
		{ "seconds", required_argument, NULL, 't' },
		{ "seed", required_argument, NULL, 's' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 }
	};
	int64_t begin = gt_now_ms(), seconds = 1000000;
	bool json = false;
	int opt, ret;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED || getrandom(&shared->seed, 4, 0) != 4)
		return 1;
	shared->limit = 100000;
	while ((opt = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (opt) {
		case 'o':
			shared->limit = parse_number(optarg);
			break;
		case 't':
			seconds = parse_number(optarg);
			break;
		case 's':
			shared->seed = parse_number(optarg);
			break;
		case 'j':
			json = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			fputs(usage, stderr);
			return 2;
		}
	}
	shared->ncpus = gt_ncpus();
	shared->try_run = gt_kfunc("bpf_ghost_try_run");
	if (shared->ncpus < 2 || shared->ncpus > 30) {
		fputs("ghost-fuzz: 2 to 30 CPUs are needed\n", stderr);
		return 2;
	}
	ret = gt_begin();
	if (!ret)
		ret = gt_complaints_begin();
	if (ret) {
		fprintf(stderr, "ghost-fuzz: cannot start: %s\n", strerror(-ret));
		return 1;
	}
	printf("seed %llu, %d CPUs\n", (unsigned long long)shared->seed, shared->ncpus);
	fuzz(begin, begin + seconds * 1000);
	check_log();
	if (!shared->operations)
		fail("nothing was called");
	if (json)
		as_json();
	else
		as_text();
	return why[0] ? 1 : 0;
}
