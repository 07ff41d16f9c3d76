// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Enclaves: create, open, map, find out who schedules them. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "internal.h"

/* Status words in store, below which another region is created. */
#define SW_LOW		8192

static int map_region(struct ghost_enclave *e, uint32_t id)
{
	const struct ghost_sw_region_header *region;
	int err = ghost_fs_map_sw_region(e->dir, id, &region);

	if (!err)
		/* Pairs with the acquire in enclave_region(). */
		__atomic_store_n(&e->regions[id], region, __ATOMIC_RELEASE);
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

static int add_region_locked(struct ghost_enclave *e, int node)
{
	uint32_t id;
	int err;

	for (id = 0; id < MAX_REGIONS; id++) {
		if (e->regions[id])
			continue;
		err = ghost_fs_create_sw_region(e->ctl, id, node);
		/* -EEXIST: somebody else has just taken this number. */
		if (err != -EEXIST)
			return err ? err : map_region(e, id);
	}
	return -ENOSPC;
}

static int make_room_locked(struct ghost_enclave *e)
{
	uint32_t id, available = 0;
	int err;

	err = map_regions_locked(e);
	if (err)
		return err;
	for (id = 0; id < MAX_REGIONS; id++) {
		const struct ghost_sw_region_header *h = e->regions[id];

		if (h)
			available += __atomic_load_n(&h->available,
						     __ATOMIC_RELAXED);
	}
	return available < SW_LOW ? add_region_locked(e, 0) : 0;
}

int ghost_enclave_make_room(struct ghost_enclave *e)
{
	int err;

	pthread_mutex_lock(&e->grow);
	err = make_room_locked(e);
	pthread_mutex_unlock(&e->grow);
	return err;
}

int ghost_enclave_add_region(struct ghost_enclave *e, int node)
{
	int err;

	pthread_mutex_lock(&e->grow);
	err = map_regions_locked(e);
	if (!err)
		err = add_region_locked(e, node);
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
	h = enclave_region(e, info->id);
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

int enclave_read_cpus(struct ghost_enclave *e)
{
	int err, n = -ENOMEM, *cpus;
	char *text;

	err = ghost_fs_read_all(e->dir, "cpulist", &text);
	if (err)
		return err;
	cpus = calloc(MAX_CPUS, sizeof(*cpus));
	if (cpus)
		n = ghost_parse_cpus(text, cpus, MAX_CPUS);
	free(text);
	if (n < 0) {
		free(cpus);
		return n;
	}
	free(e->cpus);
	e->cpus = cpus;
	e->nr_cpus = n;
	return 0;
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
	err = enclave_read_cpus(e);
	if (!err)
		err = ghost_fs_map_cpu_data(e->dir, &e->cpu_data,
					    &e->nr_possible);
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
	bool ephemeral = o->flags & GHOST_ENCLAVE_EPHEMERAL;
	char options[64] = "";
	int err;

	if (o->gid)
		snprintf(options, sizeof(options), "gid=%u", o->gid);
	if (ephemeral)
		strcat(options, " ephemeral");
	*id = o->id ? o->id : 1;
	do {
		err = ghost_fs_create_abi(o->root, *id,
					  o->abi ? o->abi : GHOST_VERSION,
					  options);
	} while (err == -EEXIST && !o->id && ++*id);
	return err;
}

/* Older kernels may lack the tunable. */
static int turn_on(int dir, const char *tunable)
{
	int err = ghost_fs_set_tunable(dir, tunable, 1);

	return err == -ENOENT ? 0 : err;
}

/* Everything that tasks need to join, in the new directory. */
static int furnish(int dir, int ctl, struct ghost_enclave_options *o)
{
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
	err = ghost_fs_set_tunable(dir, "runnable_timeout",
				   o->runnable_timeout_ms);
	if (!err && o->max_tasks) {
		o->failed = "max_tasks";
		err = ghost_fs_set_tunable(dir, o->failed, o->max_tasks);
	}
	if (!err && !(o->flags & GHOST_ENCLAVE_ANY_AFFINITY)) {
		o->failed = "honor_affinity";
		err = turn_on(dir, o->failed);
	}
	if (!err && !(o->flags & GHOST_ENCLAVE_NO_FALLBACK)) {
		o->failed = "fallback";
		err = turn_on(dir, o->failed);
	}
	return err;
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

bool enclave_has_cpu(const struct ghost_enclave *e, int cpu)
{
	int low = 0, high = e->nr_cpus;

	while (low < high) {
		int mid = (low + high) / 2;

		if (e->cpus[mid] < cpu)
			low = mid + 1;
		else
			high = mid;
	}
	return low < e->nr_cpus && e->cpus[low] == cpu;
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
