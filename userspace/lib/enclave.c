// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Enclaves: create, open, map, find out who schedules them. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

/* Status words in store, below which another region is created. */
#define SW_LOW		8192

static int map_region(struct ghost_enclave *e, uint32_t id)
{
	char name[64];
	void *p;
	int fd, err = 0;

	snprintf(name, sizeof(name), "sw_regions/sw_%u", id);
	fd = ghost_fs_open(e->dir, name, O_RDONLY);
	if (fd < 0)
		return fd;
	p = mmap(NULL, GHOST_SW_REGION_SIZE, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		err = -errno;
	else
		/* Pairs with the acquire in ghost_enclave_sw(). */
		__atomic_store_n(&e->regions[id], p, __ATOMIC_RELEASE);
	close(fd);
	return err;
}

static int map_regions_locked(struct ghost_enclave *e)
{
	int fd, err = 0;
	struct dirent *d;
	DIR *dir;

	fd = ghost_fs_open(e->dir, "sw_regions", O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return fd;
	dir = fdopendir(fd);
	if (!dir) {
		err = -errno;
		close(fd);
		return err;
	}
	while (!err && (d = readdir(dir))) {
		unsigned int id;

		if (sscanf(d->d_name, "sw_%u", &id) == 1 && id < MAX_REGIONS &&
		    !e->regions[id])
			err = map_region(e, id);
	}
	closedir(dir);
	return err;
}

int enclave_map_regions(struct ghost_enclave *e)
{
	int err;

	pthread_mutex_lock(&e->grow);
	err = map_regions_locked(e);
	pthread_mutex_unlock(&e->grow);
	return err;
}

static int make_room_locked(struct ghost_enclave *e)
{
	uint32_t id, available = 0, unused = MAX_REGIONS;
	int err;

	err = map_regions_locked(e);
	if (err)
		return err;
	for (id = 0; id < MAX_REGIONS; id++) {
		const struct ghost_sw_region_header *h = e->regions[id];

		if (h)
			available += __atomic_load_n(&h->available,
						     __ATOMIC_RELAXED);
		else if (unused == MAX_REGIONS)
			unused = id;
	}
	if (available >= SW_LOW)
		return 0;
	if (unused == MAX_REGIONS)
		return -ENOSPC;
	err = ghost_fs_create_sw_region(e->ctl, unused, 0);
	if (err && err != -EEXIST)
		return err;
	return map_region(e, unused);
}

int ghost_enclave_make_room(struct ghost_enclave *e)
{
	int err;

	pthread_mutex_lock(&e->grow);
	err = make_room_locked(e);
	pthread_mutex_unlock(&e->grow);
	return err;
}

const struct ghost_status_word *
ghost_enclave_sw(const struct ghost_enclave *e,
		 const struct ghost_sw_info *info)
{
	const struct ghost_sw_region_header *h;

	if (info->id >= MAX_REGIONS)
		return NULL;
	h = __atomic_load_n(&e->regions[info->id], __ATOMIC_ACQUIRE);
	if (!h || info->index >= h->capacity)
		return NULL;
	return ghost_sw_at(h, info->index);
}

/* For the few tasks whose word no message named: look at all of them. */
void enclave_find_sw(struct ghost_enclave *e, int64_t gtid,
		     struct ghost_sw_info *info)
{
	struct ghost_sw_info i;

	for (i.id = 0; i.id < MAX_REGIONS; i.id++) {
		const struct ghost_status_word *sw;

		for (i.index = 0; (sw = ghost_enclave_sw(e, &i)); i.index++) {
			if (ghost_sw_gtid(sw) != gtid)
				continue;
			*info = i;
			return;
		}
	}
}

static int read_cpus(struct ghost_enclave *e)
{
	char *text;
	int err;

	err = ghost_fs_read_all(e->dir, "cpulist", &text);
	if (err)
		return err;
	e->cpus = calloc(MAX_CPUS, sizeof(*e->cpus));
	if (e->cpus)
		e->nr_cpus = ghost_parse_cpus(text, e->cpus, MAX_CPUS);
	else
		e->nr_cpus = -ENOMEM;
	free(text);
	return e->nr_cpus < 0 ? e->nr_cpus : 0;
}

static int map_cpu_data(struct ghost_enclave *e)
{
	struct stat st;
	int fd, err = 0;
	void *p;

	fd = ghost_fs_open(e->dir, "cpu_data", O_RDWR);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st)) {
		err = -errno;
		goto out;
	}
	p = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED,
		 fd, 0);
	if (p == MAP_FAILED) {
		err = -errno;
		goto out;
	}
	e->cpu_data = p;
	e->nr_possible = (int)((size_t)st.st_size / sizeof(*e->cpu_data));
out:
	close(fd);
	return err;
}

int ghost_enclave_open(struct ghost_enclave **enclave, const char *root,
		       unsigned long id)
{
	struct ghost_enclave *e = calloc(1, sizeof(*e));
	int err;

	if (!e)
		return -ENOMEM;
	e->id = id;
	e->ctl = -1;
	pthread_mutex_init(&e->grow, NULL);
	e->dir = ghost_fs_open_dir(root, id);
	err = e->dir;
	if (err < 0)
		goto fail;
	e->ctl = ghost_fs_open(e->dir, "ctl", O_RDWR);
	err = e->ctl;
	if (err < 0)
		goto fail;
	err = read_cpus(e);
	if (!err)
		err = map_cpu_data(e);
	if (!err)
		err = ghost_enclave_make_room(e);
	if (err)
		goto fail;
	*enclave = e;
	return 0;
fail:
	ghost_enclave_close(e);
	return err;
}

static int create_directory(struct ghost_enclave_options *o, unsigned long *id)
{
	int err;

	*id = o->id ? o->id : 1;
	do {
		err = ghost_fs_create(o->root, *id, NULL);
	} while (err == -EEXIST && !o->id && ++*id);
	return err;
}

/* Everything that tasks need to join, in the new directory. */
static int furnish(int dir, int ctl, struct ghost_enclave_options *o)
{
	char text[32];
	int err;

	o->failed = "cpulist";
	err = ghost_fs_set_cpus(dir, o->cpus);
	if (err)
		return err;
	o->failed = "sw_region";
	err = ghost_fs_create_sw_region(ctl, 0, 0);
	if (err && err != -EEXIST)
		return err;
	o->failed = "runnable_timeout";
	snprintf(text, sizeof(text), "%lu", o->runnable_timeout_ms);
	err = ghost_fs_write(dir, "runnable_timeout", text);
	if (err || o->flags & GHOST_ENCLAVE_ANY_AFFINITY)
		return err;
	o->failed = "honor_affinity";
	err = ghost_fs_write(dir, "honor_affinity", "1");
	return err == -ENOENT ? 0 : err;	/* kernels may lack it */
}

int ghost_enclave_create(struct ghost_enclave **enclave,
			 struct ghost_enclave_options *o)
{
	int dir, ctl, err;
	unsigned long id;

	o->failed = "create";
	err = create_directory(o, &id);
	if (err)
		return err;
	o->failed = "open";
	dir = ghost_fs_open_dir(o->root, id);
	if (dir < 0)
		return dir;
	ctl = ghost_fs_open(dir, "ctl", O_RDWR);
	err = ctl < 0 ? ctl : furnish(dir, ctl, o);
	if (!err) {
		o->failed = "open";
		err = ghost_enclave_open(enclave, o->root, id);
	}
	if (!err)
		o->failed = NULL;
	else if (ctl >= 0)
		ghost_fs_destroy(ctl);
	if (ctl >= 0)
		close(ctl);
	close(dir);
	return err;
}

void ghost_enclave_close(struct ghost_enclave *e)
{
	int i;

	if (!e)
		return;
	for (i = 0; i < MAX_REGIONS; i++)
		if (e->regions[i])
			munmap((void *)(uintptr_t)e->regions[i],
			       GHOST_SW_REGION_SIZE);
	if (e->cpu_data)
		munmap(e->cpu_data, (size_t)e->nr_possible *
		       sizeof(*e->cpu_data));
	if (e->ctl >= 0)
		close(e->ctl);
	if (e->dir >= 0)
		close(e->dir);
	pthread_mutex_destroy(&e->grow);
	free(e->cpus);
	free(e);
}

int ghost_enclave_destroy(struct ghost_enclave *e)
{
	return ghost_fs_destroy(e->ctl);
}

unsigned long ghost_enclave_id(const struct ghost_enclave *e)
{
	return e->id;
}

int ghost_enclave_nr_cpus(const struct ghost_enclave *e)
{
	return e->nr_cpus;
}

int ghost_enclave_cpu(const struct ghost_enclave *e, int i)
{
	return i >= 0 && i < e->nr_cpus ? e->cpus[i] : -EINVAL;
}

int ghost_enclave_ctl(const struct ghost_enclave *e)
{
	return e->ctl;
}

int ghost_enclave_dir(const struct ghost_enclave *e)
{
	return e->dir;
}

struct ghost_txn *ghost_enclave_txn(const struct ghost_enclave *e, int cpu)
{
	return cpu >= 0 && cpu < e->nr_possible ? &e->cpu_data[cpu].txn : NULL;
}

int ghost_enclave_online(const struct ghost_enclave *e)
{
	char text[8];
	int err = ghost_fs_read(e->dir, "agent_online", text, sizeof(text));

	return err < 0 ? err : text[0] == '1';
}

int enclave_find_agent(struct ghost_enclave *e, int cpu,
		       struct ghost_sw_info *info,
		       const struct ghost_status_word **sw)
{
	int err;

	err = ghost_sys_agent_sw(e->ctl, cpu, info);
	if (err)
		return err;
	*sw = ghost_enclave_sw(e, info);
	if (*sw)
		return 0;
	/* Its word is in a region that somebody else has just created. */
	err = enclave_map_regions(e);
	if (err)
		return err;
	*sw = ghost_enclave_sw(e, info);
	return *sw ? 0 : -ENOENT;
}

int ghost_enclave_incumbent(struct ghost_enclave *e)
{
	const struct ghost_status_word *sw;
	struct ghost_sw_info info;
	int i;

	for (i = 0; i < e->nr_cpus; i++) {
		int64_t gtid, check;
		int tid, tgid;

		if (enclave_find_agent(e, e->cpus[i], &info, &sw))
			continue;
		gtid = ghost_sw_gtid(sw);
		tid = ghost_gtid_tid(gtid);
		tgid = ghost_proc_tgid(tid);
		/* The gtid tells the agent from a later thread of that id. */
		if (tgid > 0 && !ghost_proc_gtid(tid, &check) && check == gtid)
			return tgid;
	}
	return -ESRCH;
}
