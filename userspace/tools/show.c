// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* ghostctl list and show. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ghostctl.h"

#define MAX_ENCLAVES	4096
#define VALUE_SIZE	4096

/* What /proc says of a thread. */
struct thread {
	int tid;
	int tgid;
	int cpu;
	char state;
	char comm[64];
};

static void value(int dir, const char *file, char *text)
{
	int err = ghost_fs_read(dir, file, text, VALUE_SIZE);

	if (err < 0)
		snprintf(text, VALUE_SIZE, "? (%s)", strerror(-err));
}

/* A line "key value" of the status file. */
static void status_value(const char *status, const char *key, char *text,
			 size_t size)
{
	size_t len = strlen(key);
	const char *line = status;

	text[0] = '\0';
	while (line) {
		if (!strncmp(line, key, len) && line[len] == ' ') {
			snprintf(text, size, "%.*s",
				 (int)strcspn(line + len + 1, "\n"),
				 line + len + 1);
			return;
		}
		line = strchr(line, '\n');
		if (line)
			line++;
	}
}

static bool read_thread(int tid, struct thread *t)
{
	char path[64], text[1024], *open_paren, *close_paren;
	size_t len;
	FILE *f;

	memset(t, 0, sizeof(*t));
	t->tid = tid;
	snprintf(path, sizeof(path), "/proc/%d/stat", tid);
	f = fopen(path, "re");
	if (!f)
		return false;
	len = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[len] = '\0';
	/* The name is in parentheses and may itself contain some. */
	open_paren = strchr(text, '(');
	close_paren = strrchr(text, ')');
	if (!open_paren || !close_paren)
		return false;
	snprintf(t->comm, sizeof(t->comm), "%.*s",
		 (int)(close_paren - open_paren - 1), open_paren + 1);
	/* Field 3 is the state, field 39 the CPU. */
	if (sscanf(close_paren + 1,
		   " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s"
		   " %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s"
		   " %*s %*s %*s %*s %*s %*s %*s %*s %d",
		   &t->state, &t->cpu) != 2)
		return false;
	t->tgid = ghost_proc_tgid(tid);
	return true;
}

static const char *state_word(char state)
{
	switch (state) {
	case 'R':
		return "runnable";
	case 'S':
		return "sleeping";
	case 'D':
		return "waiting";
	case 'T':
	case 't':
		return "stopped";
	case 'Z':
	case 'X':
		return "dead";
	default:
		return "other";
	}
}

/* ---- list ---- */

/* False if the enclave has been destroyed meanwhile. */
static bool list_one(unsigned long id, bool json, bool first)
{
	static char status[VALUE_SIZE], cpus[VALUE_SIZE], abi[VALUE_SIZE];
	char tasks[32], active[8];
	int dir = ghost_fs_open_dir(NULL, id);

	bool read;

	if (dir < 0)
		return false;
	read = ghost_fs_read(dir, "status", status, VALUE_SIZE) >= 0 &&
	       ghost_fs_read(dir, "cpulist", cpus, VALUE_SIZE) >= 0 &&
	       ghost_fs_read(dir, "abi_version", abi, VALUE_SIZE) >= 0;
	close(dir);
	if (!read)
		return false;
	status_value(status, "nr_tasks", tasks, sizeof(tasks));
	status_value(status, "active", active, sizeof(active));
	if (!json) {
		printf("%6lu  %-20s %8s  %-6s %4s\n", id, cpus, tasks, active,
		       abi);
		return true;
	}
	printf("%s{\"id\":%lu,\"cpus\":", first ? "" : ",", id);
	json_string(cpus);
	printf(",\"tasks\":%s,\"online\":%s,\"abi\":%s}",
	       tasks[0] ? tasks : "null",
	       strcmp(active, "yes") ? "false" : "true", abi);
	return true;
}

int list_enclaves(bool json)
{
	static unsigned long ids[MAX_ENCLAVES];
	int i, n = ghost_fs_list(NULL, ids, MAX_ENCLAVES);
	bool first = true;

	if (n < 0) {
		fprintf(stderr, "ghostctl: cannot read %s: %s\n",
			ghost_fs_root(NULL), strerror(-n));
		return 1;
	}
	if (n > MAX_ENCLAVES)
		n = MAX_ENCLAVES;
	if (json)
		putchar('[');
	else if (n)
		printf("%6s  %-20s %8s  %-6s %4s\n", "ID", "CPUS", "TASKS",
		       "AGENT", "ABI");
	else
		puts("no enclave; next: ghostctl create --cpus LIST");
	for (i = 0; i < n; i++)
		if (list_one(ids[i], json, first))
			first = false;
	if (json)
		puts("]");
	return 0;
}

/* ---- show ---- */

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* All that the kernel has, also those that the library does not know. */
static void show_tunables(int dir, bool json)
{
	struct dirent **names;
	int i, nr = 0, n = scandirat(dir, ".", &names, NULL, by_name);

	printf(json ? ",\"tunables\":{" : "tunables:\n");
	for (i = 0; i < n; i++) {
		const char *name = names[i]->d_name;
		unsigned long number;

		if (!ghost_fs_get_tunable(dir, name, &number)) {
			if (json)
				printf("%s\"%s\":\"%lu\"", nr ? "," : "",
				       name, number);
			else
				printf("  %-28s %lu\n", name, number);
			nr++;
		}
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	if (json)
		putchar('}');
}

static void show_thread(const struct thread *t, bool json, bool first)
{
	if (!json) {
		printf("  %7d %7d %3d  %-8s  %s\n", t->tid, t->tgid, t->cpu,
		       state_word(t->state), t->comm);
		return;
	}
	printf("%s{\"tid\":%d,\"pid\":%d,\"cpu\":%d,\"state\":\"%s\",\"comm\":",
	       first ? "" : ",", t->tid, t->tgid, t->cpu,
	       state_word(t->state));
	json_string(t->comm);
	putchar('}');
}

static void show_agents(struct ghost_enclave *e, bool json)
{
	int i, nr = 0;

	printf(json ? ",\"agents\":[" : "agents:\n");
	for (i = 0; i < ghost_enclave_nr_cpus(e); i++) {
		const struct ghost_status_word *sw;
		struct ghost_sw_info info;
		struct thread t;

		if (ghost_sys_agent_sw(ghost_enclave_ctl(e),
				       ghost_enclave_cpu(e, i), &info))
			continue;
		sw = ghost_enclave_sw(e, &info);
		if (!sw || !read_thread(ghost_gtid_tid(ghost_sw_gtid(sw)), &t))
			continue;
		show_thread(&t, json, nr++ == 0);
	}
	if (json)
		putchar(']');
	else if (!nr)
		printf("  none; next: ghost-fifo --enclave %lu\n",
		       ghost_enclave_id(e));
}

static void show_tasks(int dir, bool json)
{
	char *text = NULL, *line, *save = NULL;
	struct thread t;
	int nr = 0;

	printf(json ? ",\"tasks\":[" : "tasks:\n");
	if (!ghost_fs_read_all(dir, "tasks", &text)) {
		for (line = strtok_r(text, "\n", &save); line;
		     line = strtok_r(NULL, "\n", &save))
			if (read_thread(atoi(line), &t))
				show_thread(&t, json, nr++ == 0);
		free(text);
	}
	if (json)
		putchar(']');
	else if (!nr)
		puts("  none");
}

int show_enclave(unsigned long id, bool json)
{
	static char status[VALUE_SIZE], cpus[VALUE_SIZE];
	struct ghost_enclave *e;
	char text[64];
	int dir, err;

	err = ghost_enclave_open(&e, NULL, id);
	if (err)
		return complain("cannot open it", id, err);
	dir = ghost_enclave_dir(e);
	value(dir, "status", status);
	value(dir, "cpulist", cpus);
	if (json) {
		printf("{\"id\":%lu,\"cpus\":", id);
		json_string(cpus);
		status_value(status, "active", text, sizeof(text));
		printf(",\"online\":%s",
		       strcmp(text, "yes") ? "false" : "true");
		status_value(status, "nr_tasks", text, sizeof(text));
		printf(",\"nr_tasks\":%s", text[0] ? text : "null");
		status_value(status, "version", text, sizeof(text));
		printf(",\"abi\":%s", text[0] ? text : "null");
	} else {
		printf("enclave %lu\ncpus %s\n%s\n", id, cpus, status);
	}
	show_tunables(dir, json);
	if (!json)
		printf("  %7s %7s %3s  %-8s  %s\n", "TID", "PID", "CPU",
		       "STATE", "NAME");
	show_agents(e, json);
	show_tasks(dir, json);
	if (json)
		puts("}");
	ghost_enclave_close(e);
	return 0;
}

int show_features(unsigned long id, bool json)
{
	char *text, *line, *save = NULL;
	int dir, err, nr = 0;

	dir = ghost_fs_open_dir(NULL, id);
	if (dir < 0)
		return complain("cannot open it", id, dir);
	err = ghost_fs_read_all(dir, "features", &text);
	close(dir);
	if (err)
		return complain("features", id, err);
	if (json)
		putchar('[');
	for (line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		if (json) {
			printf(nr++ ? "," : "");
			json_string(line);
		} else {
			puts(line);
		}
	}
	if (json)
		puts("]");
	free(text);
	return 0;
}

/* ---- exits ---- */

/* A blank line ends a record. */
static void json_records(char *text)
{
	const char *comma = "";
	char *end;

	putchar('[');
	while ((end = strstr(text, "\n\n"))) {
		*end = '\0';
		fputs(comma, stdout);
		json_string(text);
		comma = ",";
		text = end + 2;
	}
	puts("]");
}

/* Lines of over 80 columns go on, indented, behind a comma. */
static void put_folded(const char *text)
{
	const char *indent = "";

	while (*text) {
		int len = strcspn(text, "\n"), room = 80 - strlen(indent), at;

		for (at = room; len > room && at; at--)
			if (text[at] == ' ' && text[at - 1] == ',')
				break;
		if (len <= room || !at) {
			printf("%s%.*s\n", indent, len, text);
			text += len + !!text[len];
			indent = "";
		} else {
			printf("%s%.*s\n", indent, at, text);
			text += at + 1;
			indent = "    ";
		}
	}
}

int show_exits(bool json)
{
	int dir = open(ghost_fs_root(NULL), O_PATH | O_DIRECTORY | O_CLOEXEC);
	int err = dir < 0 ? -errno : 0;
	char *text;

	if (!err) {
		err = ghost_fs_read_all(dir, "exits", &text);
		close(dir);
	}
	if (err) {
		fprintf(stderr, "ghostctl: cannot read %s/exits: %s\n",
			ghost_fs_root(NULL), strerror(-err));
		if (err == -ENOENT)
			fprintf(stderr, "  this kernel keeps no records, or ghostfs "
				"is not mounted there\n");
		return 1;
	}
	if (json)
		json_records(text);
	else
		put_folded(text);
	free(text);
	return 0;
}
