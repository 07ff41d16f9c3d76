// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * What kernel memory an object takes: the pages that are no longer free after
 * a number of them was made, whatever they were allocated for (slabs, vmalloc,
 * page tables, inodes), divided by that number. All are kept to the end, so
 * that none finds room that another one left.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "crowd.h"
#include "stage.h"

#define FIRST_ENCLAVE	1000

/**
 * struct object - what is counted
 * @row: name of the row
 * @n: how many a repetition makes
 * @slots: of a queue
 * @make: makes one, of @slots slots or, if that is 0, the i-th of all
 */
struct object {
	const char *row;
	int n;
	int slots;
	int (*make)(int i);
};

static struct crowd crowd;

/* Pages that are free, with those that CPUs keep for themselves; -1: unknown. */
static long free_pages(void)
{
	static char text[1 << 20];
	int fd = open("/proc/zoneinfo", O_RDONLY | O_CLOEXEC);
	long n, pages = 0;
	size_t len = 0;
	ssize_t got;
	char *line;

	if (fd < 0)
		return -1;
	while ((got = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)got;
	close(fd);
	text[len] = '\0';
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		if (sscanf(line, " pages free %ld", &n) == 1 ||
		    sscanf(line, " count: %ld", &n) == 1)
			pages += n;
	return pages ? pages : -1;
}

static int make_enclave(int i)
{
	return ghost_fs_create(NULL, FIRST_ENCLAVE + (unsigned long)i, NULL);
}

static int make_region(int i)
{
	return ghost_fs_create_sw_region(ghost_enclave_ctl(stage.enclave),
					 100 + (uint32_t)i, 0);
}

static int make_queue(int slots)
{
	uint64_t mapsize;
	int fd = ghost_sys_create_queue(ghost_enclave_ctl(stage.enclave), slots,
					0, &mapsize);

	return fd < 0 ? fd : 0;
}

static int make_task(int i)
{
	return ghost_fs_add_task(ghost_enclave_dir(stage.enclave),
				 crowd.tid[i]);
}

static int measure_object(const struct bench *b, const struct object *o)
{
	struct result r = { .row = o->row, .unit = "bytes", .per = o->n };
	static struct samples bytes;
	int rep, i, made = 0, err = 0;

	for (rep = 0; rep <= b->reps; rep++) {
		long before = free_pages(), after;

		for (i = 0; i < o->n && !err; i++, made++)
			err = o->make(o->slots ? o->slots : made);
		if (err)
			return fail(o->row, err);
		after = free_pages();
		if (before < 0 || after < 0)
			return fail("/proc/zoneinfo", -EINVAL);
		/* The first ones also fill what was begun before. */
		if (!rep)
			continue;
		add_sample(&bytes, (before - after) * sysconf(_SC_PAGESIZE));
		end_repetition(&bytes, &r);
	}
	print_result(b, &r);
	return 0;
}

int bench_memory(const struct bench *b)
{
	static const struct object objects[] = {
		{ "memory-enclave", 256, 0, make_enclave },
		{ "memory-region", 8, 0, make_region },
		{ "memory-queue-256", 256, 256, make_queue },
		{ "memory-queue-1024", 256, 1024, make_queue },
		{ "memory-queue-65536", 16, 65536, make_queue },
		{ "memory-task", 128, 0, make_task },
	};
	const size_t nr = sizeof(objects) / sizeof(objects[0]);
	const struct rlimit files = { 65536, 65536 };
	size_t i;
	int ret;

	if (setrlimit(RLIMIT_NOFILE, &files))
		return fail("no descriptors for queues", -errno);
	ret = start_crowd(&crowd, 128 * (b->reps + 1)) ||
	      open_stage(&stage, b, 1);
	mlockall(MCL_CURRENT | MCL_FUTURE);
	for (i = 0; i < nr && !ret; i++)
		ret = measure_object(b, &objects[i]);
	close_stage(&stage);
	return ret;
}
