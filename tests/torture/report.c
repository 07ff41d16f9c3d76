// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* The figures, for people and for programs. */
#include <stdio.h>
#include <string.h>

#include "torture.h"

static const struct {
	enum figure from;
	const char *title;
} groups[] = {
	{ F_CREATE, "enclaves" },
	{ F_START, "policies" },
	{ F_HONEST, "policies that got online" },
	{ F_CPU_OFF, "CPUs" },
	{ F_TASK_START, "tasks, from outside" },
	{ F_W_SPIN, "tasks, by themselves" },
	{ F_COMMITTED, "what the policies did" },
	{ F_END_OWNER, "why enclaves ended" },
	{ NR_FIGURES, NULL },
};

static const char * const names[NR_FIGURES] = {
	[F_CREATE] = "created", [F_DESTROY] = "destroyed",
	[F_CPUS] = "CPUs changed", [F_TUNABLE] = "tunable set",
	[F_READ_BACK] = "read back", [F_DISCOVER] = "tasks discovered",
	[F_START] = "started", [F_KILL] = "killed", [F_STOP] = "stopped",
	[F_SPIN] = "spun", [F_FORGET] = "forgot its tasks",
	[F_DEAF] = "read no message", [F_HANDOVER] = "asked to leave",
	[F_TOOK_OVER] = "took over",
	[F_HONEST] = "plain", [F_WILD] = "random", [F_LIAR] = "lying",
	[F_BPF] = "tests' BPF", [F_FIFO] = "ghost-fifo",
	[F_BIFF] = "ghost-biff", [F_PRIO] = "ghost-prio",
	[F_CPU_OFF] = "off", [F_CPU_ON] = "on",
	[F_TASK_START] = "started", [F_TASK_KILL] = "killed",
	[F_TASK_STOP] = "stopped", [F_TASK_JOIN] = "made to join",
	[F_TASK_NICE] = "nice", [F_TASK_AFFINITY] = "affinity",
	[F_TASK_FREEZE] = "frozen",
	[F_W_SPIN] = "spin", [F_W_NAP] = "nap", [F_W_YIELD] = "yield",
	[F_W_NICE] = "nice", [F_W_AFFINITY] = "affinity", [F_W_JOIN] = "join",
	[F_W_LEAVE] = "leave", [F_W_REAL_TIME] = "real time",
	[F_W_FORK] = "fork", [F_W_EXEC] = "exec",
	[F_W_EXEC_THREAD] = "exec by a thread", [F_W_EXIT] = "exit",
	[F_W_THREAD] = "threads", [F_W_PING_PONG] = "ping-pong",
	[F_W_SWITCHTO] = "direct switch", [F_W_PI] = "PI mutex",
	[F_W_MEMORY] = "memory", [F_W_READ] = "read files",
	[F_COMMITTED] = "committed", [F_COMMIT_FAILED] = "commit failed",
	[F_MESSAGES] = "messages read", [F_OVERFLOW] = "overflowed",
	[F_LIES] = "forged", [F_RELEASED] = "task released",
	[F_END_OWNER] = "destroy", [F_END_TIMEOUT] = "runnable_timeout",
	[F_END_STALL] = "stall limit", [F_END_HOG] = "agent hog limit",
	[F_END_OTHER] = "another reason",
};

const char *figure_name(enum figure f)
{
	return names[f];
}

static void figures(const char *title, enum figure from, enum figure to)
{
	int column = 0;
	enum figure f;

	printf("%s\n", title);
	for (f = from; f < to; f++) {
		const struct figure_count *c = &shared->figures[f];
		char refused[24] = "";

		if (c->refused)
			snprintf(refused, sizeof(refused), "(%llu)",
				 (unsigned long long)c->refused);
		printf("  %-16s %9llu %-9s%s", names[f],
		       (unsigned long long)c->done, refused,
		       ++column % 2 && f + 1 < to ? "" : "\n");
	}
}

static void as_text(double seconds, uint64_t ops, const struct census *c,
		    int64_t longest)
{
	int i;

	printf("(in brackets: refused, or there was nothing to do it to)\n");
	for (i = 0; groups[i].title; i++)
		figures(groups[i].title, groups[i].from, groups[i + 1].from);
	printf("%llu operations in %.0f s; %llu processes were created, %llu finished\n",
	       (unsigned long long)ops, seconds, (unsigned long long)c->created,
	       (unsigned long long)c->finished);
	printf("the longest wait of a task was %lld ms\n", (long long)longest);
	printf("seed %llu: %s\n", (unsigned long long)shared->seed,
	       shared->failed ? shared->why : "nothing was lost, and nobody complained");
}

static void quoted(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			putchar('\\');
		putchar((unsigned char)*text < ' ' ? ' ' : *text);
	}
	putchar('"');
}

static void as_json(double seconds, uint64_t ops, const struct census *c,
		    int64_t longest)
{
	enum figure f;
	int i = 0;

	printf("{\"seed\": %llu, \"cpus\": %d, \"seconds\": %.1f, \"operations\": %llu,\n",
	       (unsigned long long)shared->seed, shared->ncpus, seconds,
	       (unsigned long long)ops);
	printf(" \"created\": %llu, \"finished\": %llu, \"longest_wait_ms\": %lld,\n",
	       (unsigned long long)c->created, (unsigned long long)c->finished,
	       (long long)longest);
	printf(" \"failed\": ");
	if (shared->failed)
		quoted(shared->why);
	else
		printf("null");
	for (f = 0; f < NR_FIGURES; f++) {
		if (f == groups[i].from) {
			printf("%s,\n \"%s\": {", i ? "}" : "", groups[i].title);
			i++;
		} else {
			printf(", ");
		}
		printf("\"%s\": [%llu, %llu]", names[f],
		       (unsigned long long)shared->figures[f].done,
		       (unsigned long long)shared->figures[f].refused);
	}
	printf("}}\n");
}

void report(bool json, double seconds, uint64_t ops)
{
	struct census c = census_take();
	int64_t longest = 0;
	int i;

	for (i = 0; i < shared->nr_workers; i++)
		if (shared->workers[i].longest_ms > longest)
			longest = shared->workers[i].longest_ms;
	if (json)
		as_json(seconds, ops, &c, longest);
	else
		as_text(seconds, ops, &c, longest);
}
