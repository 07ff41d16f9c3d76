/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
#ifndef GHOSTCTL_H
#define GHOSTCTL_H

#include <stdbool.h>
#include <ghost/ghost.h>

#define EXIT_USAGE	2

/* Say what went wrong and what to do next; returns 1, an exit status. */
int complain(const char *what, unsigned long id, int err);

/* The parts of the program; @json as in --json. */
int list_enclaves(bool json);
int show_enclave(unsigned long id, bool json);
int add_processes(unsigned long id, int nr, char **pids, bool json);
int run_command(unsigned long id, char **argv);

/* Is it a file of an enclave's directory that ghostctl set may write? */
bool is_tunable(const char *name);

/* A string in JSON, quotes included. */
void json_string(const char *text);

#endif /* GHOSTCTL_H */
