// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* ghostctl get, set and cpus: what can be changed in an enclave that lives. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ghostctl.h"

static const char *unit_words(const struct ghost_tunable *t)
{
	if (!t)
		return "a number";
	switch (t->unit) {
	case GHOST_UNIT_SWITCH:
		return "0 or 1";
	case GHOST_UNIT_MS:
		return "milliseconds";
	case GHOST_UNIT_COUNT:
	default:
		return "a number";
	}
}

void explain_tunables(void)
{
	const struct ghost_tunable *t;
	int i;

	for (i = 0; (t = ghost_tunable_at(i)); i++)
		printf("  %-26s %s\n", t->name, t->help);
}

/* Its value; or says why not. */
static int read_tunable(int dir, unsigned long id, const char *name,
			unsigned long *value)
{
	int err = ghost_fs_get_tunable(dir, name, value);

	if (err == -ENOENT && ghost_tunable_find(name))
		fprintf(stderr, "ghostctl: this kernel does not have %s\n",
			name);
	else if (err == -ENOENT || err == -EINVAL)
		fprintf(stderr, "ghostctl: '%s' is not a tunable\n"
			"  ghostctl show %lu lists them\n", name, id);
	else if (err)
		complain(name, id, err);
	return err;
}

int get_tunable(unsigned long id, const char *name, bool json)
{
	unsigned long value;
	int dir, err;

	dir = ghost_fs_open_dir(NULL, id);
	if (dir < 0)
		return complain("cannot open it", id, dir);
	err = read_tunable(dir, id, name, &value);
	close(dir);
	if (err)
		return 1;
	if (json) {
		printf("{\"id\":%lu,\"name\":", id);
		json_string(name);
		printf(",\"value\":%lu}\n", value);
	} else {
		printf("%lu\n", value);
	}
	return 0;
}

int set_tunable(unsigned long id, const char *name, const char *text)
{
	const struct ghost_tunable *t = ghost_tunable_find(name);
	unsigned long value, old;
	int dir, err;

	if (!parse_number(text, &value) ||
	    (t && t->unit == GHOST_UNIT_SWITCH && value > 1)) {
		fprintf(stderr, "ghostctl: '%s' is no value: %s is %s\n", text,
			name, unit_words(t));
		return EXIT_USAGE;
	}
	dir = ghost_fs_open_dir(NULL, id);
	if (dir < 0)
		return complain("cannot open it", id, dir);
	err = read_tunable(dir, id, name, &old);
	if (!err) {
		err = ghost_fs_set_tunable(dir, name, value);
		if (err == -EINVAL)
			fprintf(stderr, "ghostctl: %s is too large for %s\n",
				text, name);
		else if (err)
			complain(name, id, err);
	}
	close(dir);
	return err ? 1 : 0;
}

int set_cpus(unsigned long id, const char *cpus)
{
	int dir, err;

	dir = ghost_fs_open_dir(NULL, id);
	if (dir < 0)
		return complain("cannot open it", id, dir);
	err = ghost_fs_set_cpus(dir, cpus);
	close(dir);
	if (err != -EEXIST)
		return err ? complain(cpus, id, err) : 0;
	fprintf(stderr, "ghostctl: enclave %lu: %s: a CPU that is to go has an agent\n"
		"  stop the policy first, and start it again afterwards\n",
		id, cpus);
	return 1;
}
