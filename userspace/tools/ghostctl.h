/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
#ifndef GHOSTCTL_H
#define GHOSTCTL_H

#include <stdbool.h>
#include <stdio.h>
#include <ghost/ghost.h>

#define EXIT_USAGE	2

/* Say what went wrong and what to do next; returns 1, an exit status. */
int complain(const char *what, unsigned long id, int err);

/* The parts of the program; @json as in --json. */
int list_enclaves(bool json);
int show_enclave(unsigned long id, bool json);
int show_features(unsigned long id, bool json);
int show_exits(bool json);
int add_processes(unsigned long id, int nr, char **pids, bool json);
int run_command(unsigned long id, char **argv);

int get_tunable(unsigned long id, const char *name, bool json);
int set_tunable(unsigned long id, const char *name, const char *text);
int set_cpus(unsigned long id, const char *cpus);

#ifdef HAVE_OBSERVE
int observe_enclave(unsigned long id, unsigned long seconds, bool json);
#else
static inline int observe_enclave(unsigned long id, unsigned long seconds, bool json)
{
	(void)id;
	(void)seconds;
	(void)json;
	fputs("ghostctl: built without libbpf, it cannot observe\n"
	      "  install libbpf-dev and bpftool, and build it again\n", stderr);
	return 1;
}
#endif

/* A line for each. */
void explain_tunables(void);

/* Digits only, and no more than fit. */
bool parse_number(const char *text, unsigned long *n);

/* A string in JSON, quotes included. */
void json_string(const char *text);

#endif /* GHOSTCTL_H */
