/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * An enclave made of ordinary files: enough for all of the library that does
 * not need an ioctl, so that these tests run on any kernel.
 */
#ifndef FAKE_H
#define FAKE_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <ghost/ghost.h>

#define FAKE_ID		7
#define FAKE_CPUS	8

struct fake {
	char root[64];
	char dir[96];
	struct ghost_sw_region_header *region;
};

static inline int fake_file(struct fake *f, const char *name, const char *text)
{
	char path[160];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd >= 0 && write(fd, text, strlen(text)) < 0)
		perror(path);
	return fd;
}

static inline int fake_setup(struct fake *f)
{
	char path[160];
	int fd;

	snprintf(f->root, sizeof(f->root), "/tmp/ghost-fake-XXXXXX");
	if (!mkdtemp(f->root))
		return -1;
	snprintf(f->dir, sizeof(f->dir), "%s/enclave_%d", f->root, FAKE_ID);
	if (mkdir(f->dir, 0700))
		return -1;
	close(fake_file(f, "ctl", "7"));
	close(fake_file(f, "cpulist", "1-2,5\n"));
	close(fake_file(f, "agent_online", "0"));
	close(fake_file(f, "tasks", ""));
	fd = fake_file(f, "cpu_data", "");
	if (ftruncate(fd, FAKE_CPUS * sizeof(struct ghost_cpu_data)))
		return -1;
	close(fd);
	snprintf(path, sizeof(path), "%s/sw_regions", f->dir);
	if (mkdir(path, 0700))
		return -1;
	fd = fake_file(f, "sw_regions/sw_0", "");
	if (ftruncate(fd, GHOST_SW_REGION_SIZE))
		return -1;
	f->region = mmap(NULL, GHOST_SW_REGION_SIZE, PROT_READ | PROT_WRITE,
			 MAP_SHARED, fd, 0);
	close(fd);
	if (f->region == MAP_FAILED)
		return -1;
	f->region->start = sizeof(*f->region);
	f->region->capacity = GHOST_SW_REGION_CAPACITY;
	f->region->available = GHOST_SW_REGION_CAPACITY;
	return 0;
}

static inline struct ghost_status_word *fake_sw(struct fake *f, uint32_t index)
{
	return (struct ghost_status_word *)((char *)f->region +
					    f->region->start) + index;
}

static inline void fake_teardown(struct fake *f)
{
	static const char * const names[] = {
		"sw_regions/sw_0", "sw_regions", "ctl", "cpulist",
		"agent_online", "tasks", "cpu_data", "honor_affinity",
		"features", "max_tasks", "status", "",
	};
	char path[160];
	size_t i;

	munmap(f->region, GHOST_SW_REGION_SIZE);
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", f->dir, names[i]);
		remove(path);
	}
	remove(f->root);
}

#endif /* FAKE_H */
