/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/* The process of a policy that is all in BPF: options, start, statistics. */
#ifndef HOST_H
#define HOST_H

#include <stdint.h>
#include "frame.h"

struct bpf_map;
struct bpf_object;
struct ghost_hint;

/**
 * struct host_view - the memory that the process shares with the programs
 * @enclave_cpus: constant, FRAME_CPU_WORDS of them
 * @slice_ns: constant
 * @lookup: the map of all tasks
 * @cpus: by CPU; NULL before the programs are loaded
 * @tasks: by index; NULL before the programs are loaded
 */
struct host_view {
	__u64 *enclave_cpus;
	__u64 *slice_ns;
	struct bpf_map *lookup;
	struct frame_cpu *cpus;
	struct frame_task *tasks;
};

/**
 * struct host_policy - a skeleton, see HOST_POLICY()
 * @name: of the policy
 * @about: what it does, half a sentence
 * @slice_ms: default
 * @open: returns the object, or NULL with errno set
 * @load: returns 0 or -errno
 * @view: fills the view in, after @open and again after @load
 * @close: frees the skeleton
 *
 * And what a policy may have besides, or NULL:
 *
 * @configure: sets constants of its own, after @open
 * @unshare: bpf_map__set_pin_path(map, NULL) for maps that a successor's programs
 *	cannot go on with: those begin with empty ones, and hear of all tasks anew
 * @plan: called by the process, every 50 ms
 * @decide: called by the agent of the first CPU, whenever it is woken
 * @stats: prints more in a line of statistics
 * @hint: of an application, checked, about the task at an index; NULL when it is
 *	withdrawn
 */
struct host_policy {
	const char *name;
	const char *about;
	long slice_ms;
	struct bpf_object *(*open)(void);
	int (*load)(void);
	void (*view)(struct host_view *v);
	void (*close)(void);
	void (*configure)(int first_cpu);
	void (*unshare)(void);
	void (*plan)(void);
	void (*decide)(void);
	void (*stats)(void);
	void (*hint)(uint32_t index, int64_t gtid, const struct ghost_hint *hint);
};

/* Defines struct host_policy policy; NAME is what the skeleton is called by. */
#define HOST_POLICY(NAME, TITLE, ABOUT, SLICE_MS, ...)			\
static struct NAME##_bpf *skel;						\
									\
static struct bpf_object *NAME##_open(void)				\
{									\
	skel = NAME##_bpf__open();					\
	return skel ? skel->obj : NULL;					\
}									\
									\
static int NAME##_load(void)						\
{									\
	return NAME##_bpf__load(skel);					\
}									\
									\
static void NAME##_view(struct host_view *v)				\
{									\
	v->enclave_cpus = skel->rodata->enclave_cpus;			\
	v->slice_ns = &skel->rodata->slice_ns;				\
	v->lookup = skel->maps.lookup;					\
	v->cpus = skel->bss->cpus;					\
	v->tasks = skel->bss->tasks;					\
}									\
									\
static void NAME##_close(void)						\
{									\
	NAME##_bpf__destroy(skel);					\
	skel = NULL;							\
}									\
									\
static const struct host_policy policy = {				\
	.name = TITLE,							\
	.about = ABOUT,							\
	.slice_ms = SLICE_MS,						\
	.open = NAME##_open,						\
	.load = NAME##_load,						\
	.view = NAME##_view,						\
	.close = NAME##_close,						\
	__VA_ARGS__							\
}

int host_main(const struct host_policy *policy, int argc, char **argv);

#endif /* HOST_H */
