// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* ghost-bench: options, samples and what is printed of them. */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <time.h>
#include <unistd.h>
#include <ghost/ghost.h>

#include "bench.h"
#include "crowd.h"

bool bench_instructions;

static const struct row {
	const char *name;
	int (*run)(const struct bench *b);
	const char *text;
} rows[] = {
	{ "pipe", bench_pipe, "switch through a pipe, one way" },
	{ "threads", bench_threads, "the same between two threads" },
	{ "yield", bench_yield, "switch by sched_yield(), one CPU" },
	{ "futex", bench_futex, "switch by FUTEX_WAKE and FUTEX_WAIT, one way" },
	{ "switchto", bench_switchto, "the same by FUTEX_SWITCHTO" },
	{ "wakeup", bench_wakeup, "how late a thread wakes up that slept" },
	{ "wakeup-busy", bench_wakeup_busy, "the same beside a busy process" },
	{ "gap", bench_gap, "longest time that a busy thread stands still" },
	{ "fork", bench_fork, "fork, exit and wait" },
	{ "tick", bench_tick, "interruption of a busy thread by the tick" },
	{ "local", bench_local, "message to the waiting agent, local schedule" },
	{ "remote", bench_remote, "message to a polling agent, remote schedule" },
	{ "batch", bench_batch, "remote commits of 1, 2, 4, 8 at once" },
	{ "group", bench_group, "sync groups of 2, 4, 8 other CPUs" },
	{ "both", bench_both, "sync group of two CPUs until both tasks run" },
	{ "at-schedule", bench_at_schedule, "switch by a commit at schedule" },
	{ "timer", bench_timer, "expiry of a timer to its message" },
	{ "scale", bench_scale, "messages of one task among 1, 100, 6000 tasks" },
	{ "memory", bench_memory, "kernel memory of enclave, queue, task" },
	{ "kill", bench_kill, "agent killed until its task runs on CFS" },
	{ "unit", bench_unit, "check that --instructions counts instructions" },
};

int64_t bench_clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

int fail(const char *what, int err)
{
	const char *hint = ghost_hint(err);

	fprintf(stderr, "ghost-bench: %s: %s\n", what, strerror(-err));
	if (hint)
		fprintf(stderr, "  %s\n", hint);
	return 1;
}

int pin(int tid, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(tid, sizeof(set), &set))
		return fail("cannot run on a CPU asked for", -errno);
	return 0;
}

void *shared(unsigned long size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* ---- samples ---- */

void add_sample(struct samples *s, int64_t value)
{
	if (s->n < MAX_ROUNDS)
		s->value[s->n++] = value;
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

void add_percentile(struct samples *s, int percent, struct result *r)
{
	int at = s->n * percent / 100;

	if (!s->n || r->n == MAX_REPS)
		return;
	qsort(s->value, (size_t)s->n, sizeof(s->value[0]), compare);
	r->value[r->n++] = (double)s->value[at < s->n ? at : s->n - 1] /
			   (r->per ? r->per : 1);
}

void end_repetition(struct samples *s, struct result *r)
{
	add_percentile(s, 50, r);
	s->n = 0;
}

/* One line for the program that collects; see Documentation/measuring.md. */
void print_result(const struct bench *b, const struct result *r)
{
	const char *unit = b->instructions ? "instructions" : "ns";
	int i;

	printf("bench row=%s unit=%s samples=", r->row,
	       r->unit ? r->unit : unit);
	for (i = 0; i < r->n; i++)
		printf("%s%.1f", i ? "," : "", r->value[i]);
	putchar('\n');
	fflush(stdout);
}

/* ---- options ---- */

static void usage(FILE *out)
{
	size_t i;

	fputs("usage: ghost-bench ROW [OPTION]...\n"
	      "Measure one thing many times.\n\n", out);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		fprintf(out, "  %-14s  %s\n", rows[i].name, rows[i].text);
	fputs("\n  --cpus LIST     CPUs to use, the first for the agent or the\n"
	      "                  waker (default 0)\n"
	      "  --reps N        repetitions (default 5)\n"
	      "  --rounds N      events a repetition\n"
	      "  --tasks N       scale: as many in the last step (6000)\n"
	      "  --instructions  the guest runs under qemu -icount shift=0: count\n"
	      "                  instructions instead of nanoseconds\n"
	      "  -h, --help      this text\n\n"
	      "Prints the median of each repetition. make bench runs all of it.\n",
	      out);
}

static int number(const char *text, const char *option, int max)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(text, &end, 10);
	if (errno || *end || end == text || n < 1 || n > max) {
		fprintf(stderr,
			"ghost-bench: --%s wants a number from 1 to %d, not '%s'\n",
			option, max, text);
		exit(2);
	}
	return (int)n;
}

static void parse(int argc, char **argv, struct bench *b)
{
	static const struct option longs[] = {
		{ "cpus", required_argument, NULL, 'c' },
		{ "reps", required_argument, NULL, 'r' },
		{ "rounds", required_argument, NULL, 'n' },
		{ "tasks", required_argument, NULL, 't' },
		{ "instructions", no_argument, NULL, 'i' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 }
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (opt) {
		case 'c':
			b->nr_cpus = ghost_parse_cpus(optarg, b->cpus,
						      MAX_BATCH + 1);
			if (b->nr_cpus > 0)
				break;
			fprintf(stderr,
				"ghost-bench: --cpus wants 1 to %d CPUs, not '%s'\n",
				MAX_BATCH + 1, optarg);
			exit(2);
		case 'r':
			b->reps = number(optarg, "reps", MAX_REPS - 1);
			break;
		case 'n':
			b->rounds = number(optarg, "rounds", MAX_ROUNDS);
			break;
		case 't':
			b->tasks = number(optarg, "tasks", MAX_CROWD);
			break;
		case 'i':
			b->instructions = true;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			fputs("try: ghost-bench --help\n", stderr);
			exit(2);
		}
	}
}

/* Where stack and heap lie decides how many page tables a fork copies. */
static void same_addresses(char **argv)
{
	int now = personality(0xffffffff);

	if (now < 0 || now & ADDR_NO_RANDOMIZE)
		return;
	if (personality((unsigned long)now | ADDR_NO_RANDOMIZE) >= 0)
		execv("/proc/self/exe", argv);
	perror("ghost-bench: addresses stay random, so fork may vary");
}

int main(int argc, char **argv)
{
	struct bench b = { .reps = 5, .nr_cpus = 1 };
	size_t i;

	same_addresses(argv);
	parse(argc, argv, &b);
	bench_instructions = b.instructions;
	for (i = 0; optind == argc - 1 && i < sizeof(rows) / sizeof(rows[0]); i++)
		if (!strcmp(argv[optind], rows[i].name))
			return rows[i].run(&b);
	usage(stderr);
	return 2;
}
