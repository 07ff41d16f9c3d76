// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* What an enclave can be asked, and what can be changed while it lives. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static const struct ghost_tunable tunables[] = {
	{ "commit_at_tick", GHOST_UNIT_SWITCH,
	  "ticks commit greedy transactions, too" },
	{ "deliver_agent_runnability", GHOST_UNIT_SWITCH,
	  "messages when an agent blocks or wakes" },
	{ "deliver_cpu_availability", GHOST_UNIT_SWITCH,
	  "messages when other classes want a CPU, or no more" },
	{ "deliver_ticks", GHOST_UNIT_SWITCH,
	  "a message a tick that hits a task or an agent" },
	{ "fallback", GHOST_UNIT_SWITCH,
	  "tasks run as normal threads while no agent can run" },
	{ "honor_affinity", GHOST_UNIT_SWITCH,
	  "no task runs where its affinity forbids it" },
	{ "live_dangerously", GHOST_UNIT_SWITCH,
	  "agents may open files of the enclave" },
	{ "max_tasks", GHOST_UNIT_COUNT,
	  "so many tasks may join, 0 = any number" },
	{ "runnable_timeout", GHOST_UNIT_MS,
	  "a task waiting so long ends the enclave, 0 = never" },
	{ "switchto_disabled", GHOST_UNIT_SWITCH,
	  "tasks may not hand their CPU to each other" },
	{ "wake_on_waker_cpu", GHOST_UNIT_SWITCH,
	  "tasks wake up on the CPU of their waker" },
};

#define NR_TUNABLES	((int)(sizeof(tunables) / sizeof(tunables[0])))

const struct ghost_tunable *ghost_tunable_at(int i)
{
	return i >= 0 && i < NR_TUNABLES ? &tunables[i] : NULL;
}

const struct ghost_tunable *ghost_tunable_find(const char *name)
{
	int i;

	for (i = 0; i < NR_TUNABLES; i++)
		if (!strcmp(tunables[i].name, name))
			return &tunables[i];
	return NULL;
}

int ghost_enclave_get_tunable(const struct ghost_enclave *e, const char *name,
			      unsigned long *value)
{
	return ghost_fs_get_tunable(e->dir, name, value);
}

int ghost_enclave_set_tunable(const struct ghost_enclave *e, const char *name,
			      unsigned long value)
{
	return ghost_fs_set_tunable(e->dir, name, value);
}

int ghost_enclave_has_feature(const struct ghost_enclave *e, const char *name)
{
	return ghost_fs_has_feature(e->dir, name);
}

int ghost_enclave_status(const struct ghost_enclave *e,
			 struct ghost_status *status)
{
	return ghost_fs_status(e->dir, status);
}

int ghost_enclave_online(const struct ghost_enclave *e)
{
	return ghost_fs_online(e->dir);
}

int ghost_enclave_wait_online(const struct ghost_enclave *e, bool online,
			      int timeout_ms)
{
	return ghost_fs_wait_online(e->dir, online, timeout_ms);
}

int ghost_enclave_add_task(const struct ghost_enclave *e, int64_t id)
{
	return ghost_fs_add_task(e->dir, id);
}

int ghost_enclave_members(const struct ghost_enclave *e, int *tids, int max)
{
	return ghost_fs_tasks(e->dir, tids, max);
}

int ghost_enclave_discover(const struct ghost_enclave *e)
{
	return ghost_fs_discover_tasks(e->ctl);
}

int ghost_enclave_set_cpus(struct ghost_enclave *e, const char *cpus)
{
	int err = ghost_fs_set_cpus(e->dir, cpus);

	return err ? err : enclave_read_cpus(e);
}

int ghost_enclave_set_default_queue(struct ghost_enclave *e,
				    struct ghost_queue *q)
{
	return ghost_sys_set_default_queue(e->ctl, q->fd);
}

int ghost_enclave_ban_bpf_load(const struct ghost_enclave *e)
{
	return ghost_fs_ban_bpf_load(e->ctl);
}
