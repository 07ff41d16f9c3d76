// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* ghost-torture: options, and the walk of the director. */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <unistd.h>

#include "torture.h"

static const char usage[] =
"usage: ghost-torture [OPTION]...\n"
"A random walk over enclaves, policies, tasks and CPUs; invariants are checked\n"
"meanwhile, and figures come at the end.\n"
"  --seconds N     how long to walk (60)\n"
"  --operations N  end when so many operations were carried out, too\n"
"  --workers N     tasks (4 a CPU, and the bystander's)\n"
"  --seed N        draw the same again; else a seed is drawn, and printed\n"
"  --bound MS      longest time in which a task must make progress (120000)\n"
"  --json          figures for programs\n"
"The exit status is 0 if all invariants held.\n";

static const struct {
	const char *name;
	op_fn fn;
	enum figure f;
	unsigned int weight;
} ops[] = {
	{ "create", op_create, F_CREATE, 20 },
	{ "destroy", op_destroy, F_DESTROY, 2 },
	{ "change CPUs", op_cpus, F_CPUS, 6 },
	{ "set a tunable", op_tunable, F_TUNABLE, 6 },
	{ "read back", op_read_back, F_READ_BACK, 4 },
	{ "discover", op_discover, F_DISCOVER, 2 },
	{ "start a policy", op_start, F_START, 20 },
	{ "kill a policy", op_kill, F_KILL, 3 },
	{ "stop a policy", op_stop, F_STOP, 3 },
	{ "make it spin", op_spin, F_SPIN, 1 },
	{ "make it forget", op_forget, F_FORGET, 2 },
	{ "make it deaf", op_deaf, F_DEAF, 2 },
	{ "hand over", op_handover, F_HANDOVER, 4 },
	{ "CPU off", op_cpu_off, F_CPU_OFF, 2 },
	{ "CPU on", op_cpu_on, F_CPU_ON, 6 },
	{ "kill a task", op_task_kill, F_TASK_KILL, 4 },
	{ "stop a task", op_task_stop, F_TASK_STOP, 6 },
	{ "join a task", op_task_join, F_TASK_JOIN, 20 },
	{ "nice of a task", op_task_nice, F_TASK_NICE, 6 },
	{ "affinity of a task", op_task_affinity, F_TASK_AFFINITY, 6 },
	{ "freeze a task", op_task_freeze, F_TASK_FREEZE, 2 },
};

#define NR_OPS		(sizeof(ops) / sizeof(ops[0]))
#define STREAM		0		/* of the director */

struct options {
	double seconds;
	uint64_t operations;
	int workers;
	bool json;
	int64_t bound;
};

static void step(void)
{
	struct rng r = rng_at(STREAM, director_ops);
	unsigned int i, sum = 0, n;
	bool done;

	for (i = 0; i < NR_OPS; i++)
		sum += ops[i].weight;
	n = below(&r, sum);
	for (i = 0; n >= ops[i].weight; i++)
		n -= ops[i].weight;
	director_op = ops[i].name;
	done = ops[i].fn(&r);
	count(ops[i].f, done);
	director_op = "attend";
	enclaves_attend();
	crowd_attend();
	director_ops++;
	director_done += done;
	gt_sleep_ms(done ? below(&r, 30) : 1);
}

static void walk(const struct options *o)
{
	int64_t end = gt_now_ms() + o->seconds * 1000;

	watch_tell("walk");
	while (!load(&shared->failed) && gt_now_ms() < end &&
	       (!o->operations || director_done < o->operations))
		step();
}

static void put_back(void)
{
	watch_tell("end");
	director_op = "end the enclaves";
	enclaves_end();
	cpus_end();
	bystander_end();
	director_op = "end the tasks";
	director_ops++;
	crowd_end();
}

/* Why it did not start: an enclave's end may be in the kernel's records. */
static int cannot_start(int err)
{
	char buf[8192];

	fprintf(stderr, "ghost-torture: cannot start: %s\n", strerror(err));
	if (gt_read_file("/sys/fs/ghost/exits", buf, sizeof(buf)) > 0)
		fprintf(stderr, "%s", buf);
	return 1;
}

static int run(const struct options *o)
{
	int64_t begin = gt_now_ms();
	struct gt_watch memory;
	int ret;

	shared->nr_workers = o->workers;
	/* Orphans of workers that were killed are the director's. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	ret = gt_watch_begin(&memory);
	if (!ret)
		ret = watch_start(o->bound);
	if (!ret)
		ret = bystander_start();
	if (ret)
		return cannot_start(-ret);
	crowd_start();
	walk(o);
	put_back();
	watch_end();
	if (!load(&shared->failed) && !gt_watch_freed(&memory))
		fail("memory of queues or regions was not freed");
	gt_watch_end(&memory);
	report(o->json, (gt_now_ms() - begin) / 1000.0, director_done);
	return load(&shared->failed) ? 1 : 0;
}

static uint64_t parse_number(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 0);

	if (!*text || *end) {
		fprintf(stderr, "ghost-torture: '%s' is no number\n%s", text, usage);
		exit(2);
	}
	return n;
}

static void parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "seconds", required_argument, NULL, 't' },
		{ "operations", required_argument, NULL, 'o' },
		{ "workers", required_argument, NULL, 'w' },
		{ "seed", required_argument, NULL, 's' },
		{ "bound", required_argument, NULL, 'b' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 }
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (opt) {
		case 't':
			o->seconds = parse_number(optarg);
			break;
		case 'o':
			o->operations = parse_number(optarg);
			break;
		case 'w':
			o->workers = CALM + parse_number(optarg);
			break;
		case 's':
			shared->seed = parse_number(optarg);
			break;
		case 'b':
			o->bound = parse_number(optarg);
			break;
		case 'j':
			o->json = true;
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			fputs(usage, stderr);
			exit(2);
		}
	}
	if (optind < argc) {
		fputs(usage, stderr);
		exit(2);
	}
}

/* As spawn() calls it: ROLE NUMBER DESCRIPTOR [MORE]. */
static int play(int argc, char **argv)
{
	const char *more = argc > 4 ? argv[4] : "";

	prctl(PR_SET_NAME, argv[1]);
	if (share_attach(atoi(argv[3])))
		return 99;
	if (!strcmp(argv[1], "worker"))
		return worker_main(atoi(argv[2]), *more);
	return host_main(atoi(argv[2]), more);
}

int main(int argc, char **argv)
{
	struct options o = { .seconds = 60, .bound = 120000 };
	int ret;

	if (argc >= 4 && (!strcmp(argv[1], "worker") || !strcmp(argv[1], "host")))
		return play(argc, argv);
	ret = share_create();
	if (ret) {
		fprintf(stderr, "ghost-torture: no memory: %s\n", strerror(-ret));
		return 1;
	}
	if (getrandom(&shared->seed, 4, 0) != 4)
		shared->seed = gt_now_ms();
	shared->ncpus = gt_ncpus();
	shared->quiet_cpu = shared->ncpus >= 4 ? shared->ncpus - 1 : -1;
	o.workers = CALM + 4 * shared->ncpus;
	parse(argc, argv, &o);
	if (o.workers > MAX_WORKERS || o.workers <= CALM || shared->ncpus < 2 ||
	    shared->ncpus > 30) {
		fprintf(stderr, "ghost-torture: 1 to %d workers, 2 to 30 CPUs\n",
			MAX_WORKERS - CALM);
		return 2;
	}
	ret = gt_begin();
	if (ret) {
		fprintf(stderr, "ghost-torture: no ghostfs: %s\n", strerror(-ret));
		return 1;
	}
	printf("seed %llu, %d CPUs, %d workers\n", (unsigned long long)shared->seed,
	       shared->ncpus, o.workers - CALM);
	fflush(stdout);
	return run(&o);
}
