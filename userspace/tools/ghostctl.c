// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* ghostctl: create, look at, use and destroy enclaves. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ghostctl.h"

struct args {
	bool json;
	unsigned long id;
	unsigned long timeout_ms;
	unsigned long gid;
	unsigned long max_tasks;
	unsigned long seconds;
	bool any_affinity;
	const char *cpus;
	int nr;			/* arguments that are no options */
	char **rest;
};

struct command {
	const char *name;
	const char *usage;
	const char *help;
	const char *options;	/* letters of struct option it takes */
	int (*run)(struct args *a);
};

int complain(const char *what, unsigned long id, int err)
{
	const char *hint = ghost_hint(err);

	fprintf(stderr, "ghostctl: enclave %lu: %s: %s\n", id, what,
		strerror(-err));
	if (hint)
		fprintf(stderr, "  %s\n", hint);
	return 1;
}

void json_string(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < ' ' || c > '~')
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

bool parse_number(const char *text, unsigned long *n)
{
	char *end;

	errno = 0;
	*n = strtoul(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end && !errno;
}

static int create(struct args *a)
{
	struct ghost_enclave_options o = {
		.id = a->id,
		.cpus = a->cpus,
		.runnable_timeout_ms = a->timeout_ms,
		.flags = a->any_affinity ? GHOST_ENCLAVE_ANY_AFFINITY : 0,
		.gid = (unsigned int)a->gid,
		.max_tasks = (unsigned int)a->max_tasks,
	};
	struct ghost_enclave *e;
	int err;

	if (!a->cpus || !*a->cpus) {
		fputs("ghostctl: create needs --cpus LIST, for instance 1-2\n",
		      stderr);
		return EXIT_USAGE;
	}
	err = ghost_enclave_create(&e, &o);
	if (err) {
		const char *hint = ghost_hint(err);

		fprintf(stderr, "ghostctl: cannot create: %s: %s\n", o.failed,
			strerror(-err));
		if (hint)
			fprintf(stderr, "  %s\n", hint);
		return 1;
	}
	printf(a->json ? "{\"id\":%lu}\n" : "%lu\n", ghost_enclave_id(e));
	ghost_enclave_close(e);
	return 0;
}

static int destroy(struct args *a)
{
	int dir, ctl, err;

	dir = ghost_fs_open_dir(NULL, a->id);
	ctl = dir < 0 ? dir : ghost_fs_open(dir, "ctl", O_WRONLY);
	err = ctl < 0 ? ctl : ghost_fs_destroy(ctl);
	return err ? complain("cannot destroy it", a->id, err) : 0;
}

static int list(struct args *a)
{
	return list_enclaves(a->json);
}

static int exits(struct args *a)
{
	return show_exits(a->json);
}

static int show(struct args *a)
{
	return show_enclave(a->id, a->json);
}

static int features(struct args *a)
{
	return show_features(a->id, a->json);
}

static int observe(struct args *a)
{
	return observe_enclave(a->id, a->seconds, a->json);
}

static int set(struct args *a)
{
	if (a->nr != 2) {
		fputs("ghostctl: set needs a tunable and its value, for instance\n"
		      "  ghostctl set 1 runnable_timeout 5000\n"
		      "ghostctl show ID lists the tunables.\n", stderr);
		return EXIT_USAGE;
	}
	return set_tunable(a->id, a->rest[0], a->rest[1]);
}

static int get(struct args *a)
{
	if (a->nr != 1) {
		fputs("ghostctl: get needs a tunable, for instance\n"
		      "  ghostctl get 1 runnable_timeout\n", stderr);
		return EXIT_USAGE;
	}
	return get_tunable(a->id, a->rest[0], a->json);
}

static int cpus(struct args *a)
{
	if (a->nr != 1) {
		fputs("ghostctl: cpus needs a CPU list, for instance\n"
		      "  ghostctl cpus 1 2-3\n", stderr);
		return EXIT_USAGE;
	}
	return set_cpus(a->id, a->rest[0]);
}

static int add(struct args *a)
{
	if (!a->nr) {
		fputs("ghostctl: add needs at least one PID\n", stderr);
		return EXIT_USAGE;
	}
	return add_processes(a->id, a->nr, a->rest, a->json);
}

static int run(struct args *a)
{
	if (!a->nr) {
		fputs("ghostctl: run needs a command, for instance\n"
		      "  ghostctl run 1 -- sleep 1\n", stderr);
		return EXIT_USAGE;
	}
	return run_command(a->id, a->rest);
}

/* Among the options, I: it takes an ID; M: and more arguments. */
static const struct command commands[] = {
	{ "create", "create --cpus LIST [OPTION]...",
	  "Create an enclave on these CPUs; print its number. It takes tasks\n"
	  "at once, which run as normal threads until an agent schedules it, for\n"
	  "instance ghost-fifo --enclave N.\n\n"
	  "  --id N         its number; else the first free one\n"
	  "  --timeout MS   the kernel destroys it when a task has waited so long\n"
	  "  --max-tasks N  no more tasks may join\n"
	  "  --gid N        group of its files\n"
	  "  --any-affinity the policy may run tasks where their affinity forbids",
	  "jictgma", create },
	{ "destroy", "destroy ID",
	  "Destroy an enclave. Its tasks go back to the normal scheduler, its\n"
	  "agents are killed.", "I", destroy },
	{ "list", "list", "List all enclaves.", "j", list },
	{ "exits", "exits",
	  "Show why the last enclaves were destroyed, and what they looked like\n"
	  "then: their tasks, CPUs, queues and last transactions.", "j", exits },
	{ "show", "show ID",
	  "Show status, tunables, agents and tasks of an enclave.", "jI",
	  show },
	{ "features", "features ID",
	  "List what the kernel has beyond the ABI.", "jI", features },
	{ "observe", "observe ID",
	  "Count for 10 seconds what happens in an enclave: messages and picks by\n"
	  "type, and how long it took from wake-up to run, and from idle to latch.\n"
	  "Ctrl-C ends it before.\n\n"
	  "  --seconds N    so long", "jIs", observe },
	{ "get", "get ID TUNABLE", "Print a tunable.", "jIM", get },
	{ "set", "set ID TUNABLE VALUE",
	  "Set a tunable. Most are 0 or 1, runnable_timeout is in ms, max_tasks a\n"
	  "number:\n", "IM", set },
	{ "cpus", "cpus ID LIST",
	  "Replace the CPUs of an enclave. No CPU that goes may have an agent.",
	  "IM", cpus },
	{ "add", "add ID PID...",
	  "Move all threads of these processes into an enclave. What they fork\n"
	  "later is in it too.", "jIM", add },
	{ "run", "run ID -- COMMAND [ARG]...",
	  "Join an enclave, then become COMMAND. Its exit status is ours; 127\n"
	  "and 126 mean that it was not found or could not be run.", "IM", run },
};

#define NR_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void usage(FILE *out)
{
	size_t i;

	fputs("usage: ghostctl COMMAND ...\n\n", out);
	for (i = 0; i < NR_COMMANDS; i++)
		fprintf(out, "  %s\n", commands[i].usage);
	fputs("\nID is N of /sys/fs/ghost/enclave_N. Those that print something take\n"
	      "--json. ghostctl COMMAND --help says more.\n", out);
}

static int command_usage(const struct command *c)
{
	fprintf(stderr, "usage: ghostctl %s\ntry: ghostctl %s --help\n",
		c->usage, c->name);
	return EXIT_USAGE;
}

static int bad_number(const char *text)
{
	fprintf(stderr, "ghostctl: '%s' is not a number\n", text);
	return EXIT_USAGE;
}

static unsigned long *number_of(struct args *a, int opt)
{
	switch (opt) {
	case 'i':
		return &a->id;
	case 't':
		return &a->timeout_ms;
	case 'g':
		return &a->gid;
	case 's':
		return &a->seconds;
	default:
		return &a->max_tasks;
	}
}

static int run_with_args(const struct command *c, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "id", required_argument, NULL, 'i' },
		{ "cpus", required_argument, NULL, 'c' },
		{ "timeout", required_argument, NULL, 't' },
		{ "gid", required_argument, NULL, 'g' },
		{ "max-tasks", required_argument, NULL, 'm' },
		{ "any-affinity", no_argument, NULL, 'a' },
		{ "seconds", required_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 }
	};
	struct args a = { .seconds = 10 };
	const char *problem;
	int opt;

	/* "+": options of the command of "run" are not ours. */
	while ((opt = getopt_long(argc, argv, strchr(c->options, 'M') ? "+h" : "h",
				  longs, NULL)) != -1) {
		if (opt == 'h') {
			printf("usage: ghostctl %s\n\n%s\n", c->usage, c->help);
			if (c->run == set)
				explain_tunables();
			return 0;
		}
		if (opt == '?' || !strchr(c->options, opt))
			return command_usage(c);
		if (opt == 'j')
			a.json = true;
		else if (opt == 'c')
			a.cpus = optarg;
		else if (opt == 'a')
			a.any_affinity = true;
		else if (!parse_number(optarg, number_of(&a, opt)) ||
			 a.gid > UINT32_MAX || a.max_tasks > UINT32_MAX ||
			 a.seconds > UINT32_MAX)
			return bad_number(optarg);
	}
	if (strchr(c->options, 'I')) {
		if (optind == argc)
			return command_usage(c);
		if (!parse_number(argv[optind], &a.id))
			return bad_number(argv[optind]);
		optind++;
		/* Options may follow the ID, too. */
		if (optind < argc && !strcmp(argv[optind], "--json") &&
		    strchr(c->options, 'j')) {
			a.json = true;
			optind++;
		}
		if (optind < argc && !strcmp(argv[optind], "--"))
			optind++;
	}
	a.nr = argc - optind;
	a.rest = argv + optind;
	if (a.nr && !strchr(c->options, 'M'))
		return command_usage(c);
	problem = ghost_fs_problem(NULL);
	if (problem) {
		fprintf(stderr, "ghostctl: %s\n", problem);
		return 1;
	}
	return c->run(&a);
}

int main(int argc, char **argv)
{
	size_t i;

	if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") ||
			 !strcmp(argv[1], "help"))) {
		usage(stdout);
		return 0;
	}
	for (i = 0; argc > 1 && i < NR_COMMANDS; i++)
		if (!strcmp(argv[1], commands[i].name))
			return run_with_args(&commands[i], argc - 1, argv + 1);
	if (argc > 1)
		fprintf(stderr, "ghostctl: no command '%s'\n", argv[1]);
	usage(stderr);
	return EXIT_USAGE;
}
