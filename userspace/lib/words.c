// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Names, hints and CPU lists. */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ghost/ghost.h>

#define NR_OF(names)	((int)(sizeof(names) / sizeof((names)[0])))

static const char * const state_names[] = {
	"COMPLETE", "ABORTED", "TARGET_ONCPU", "TARGET_STALE",
	"TARGET_NOT_FOUND", "TARGET_NOT_RUNNABLE", "AGENT_STALE",
	"CPU_OFFLINE", "CPU_UNAVAIL", "INVALID_FLAGS", "INVALID_TARGET",
	"NOT_PERMITTED", "INVALID_CPU", "NO_AGENT", "UNSUPPORTED_VERSION",
	"POISONED",
};

const char *ghost_txn_state_name(int32_t state)
{
	int64_t i = (int64_t)state - GHOST_TXN_STATE_BASE;

	if (state == GHOST_TXN_READY)
		return "READY";
	if (state >= 0)
		return "CLAIMED";
	if (i < NR_OF(state_names))
		return state_names[i];
	return "UNKNOWN";
}

const char *ghost_txn_state_hint(int32_t state)
{
	switch (state) {
	case GHOST_TXN_ABORTED:
		return "taken back, or another agent asks for this CPU: try again";
	case GHOST_TXN_TARGET_ONCPU:
		return "it is on a CPU, or just leaving one: try again";
	case GHOST_TXN_TARGET_STALE:
		return "a message about it is on its way: read the queue";
	case GHOST_TXN_TARGET_NOT_FOUND:
		return "there is no such task any more: forget it";
	case GHOST_TXN_TARGET_NOT_RUNNABLE:
		return "it sleeps: a message has said so";
	case GHOST_TXN_AGENT_STALE:
		return "a message has come: read the queue";
	case GHOST_TXN_CPU_OFFLINE:
		return "the CPU is offline: choose another";
	case GHOST_TXN_CPU_UNAVAIL:
		return "threads of other classes use the CPU: wait, RTLA_ON_IDLE";
	case GHOST_TXN_INVALID_FLAGS:
		return "run flags and commit flags do not go together";
	case GHOST_TXN_INVALID_TARGET:
		return "the gtid is that of an agent, or of nothing";
	case GHOST_TXN_NOT_PERMITTED:
		return "task or CPU belong to another enclave, or to no agent here";
	case GHOST_TXN_INVALID_CPU:
		return "the CPU is not in the enclave, or has just left it";
	case GHOST_TXN_NO_AGENT:
		return "the CPU has no agent";
	case GHOST_TXN_UNSUPPORTED_VERSION:
		return "the transaction was overwritten";
	case GHOST_TXN_POISONED:
		return "another one of the same commit was refused: look at that";
	default:
		return NULL;
	}
}

static const char * const task_msg_names[] = {
	"TASK_DEAD", "TASK_BLOCKED", "TASK_WAKEUP", "TASK_NEW",
	"TASK_PREEMPT", "TASK_YIELD", "TASK_DEPARTED", "TASK_SWITCHTO",
	"TASK_AFFINITY_CHANGED", "TASK_ON_CPU", "TASK_PRIORITY_CHANGED",
	"TASK_LATCH_FAILURE",
};

static const char * const cpu_msg_names[] = {
	"CPU_TICK", "CPU_TIMER_EXPIRED", "CPU_NOT_IDLE", "CPU_AVAILABLE",
	"CPU_BUSY", "CPU_AGENT_BLOCKED", "CPU_AGENT_WAKEUP",
};

const char *ghost_msg_name(int type)
{
	int i = type - GHOST_CPU_MSG_FIRST;

	if (type == MSG_NOP)
		return "NOP";
	if (i >= 0 && i < NR_OF(cpu_msg_names))
		return cpu_msg_names[i];
	i = type - GHOST_TASK_MSG_FIRST;
	if (i >= 0 && i < NR_OF(task_msg_names))
		return task_msg_names[i];
	return "UNKNOWN";
}

const char *ghost_hint(int err)
{
	switch (-err) {
	case ENOENT:
		return "no such enclave: ghostctl list";
	case EACCES:
	case EPERM:
		return "permission is missing, or it is in another enclave: be root";
	case EBUSY:
		return "in use by another enclave or agent: ghostctl list";
	case EEXIST:
		return "exists already: choose another number";
	case ENODEV:
		return "enclave destroyed, or CPU offline or not in the enclave";
	case EXDEV:
		return "the enclave is being destroyed: create a new one";
	case ESRCH:
		return "no such process or agent, or the kernel speaks another ABI";
	case ENOMEM:
		return "no status words or memory left: start an agent, or fewer tasks";
	case ENXIO:
		return "the enclave has no default queue: start an agent first";
	case EDEADLK:
		return "agents may not open files of their enclave";
	case ETIMEDOUT:
		return "the old agent did not leave: kill -9 it, then try again";
	case ERANGE:
		return "a number is too large: compare /sys/devices/system/cpu/possible";
	case EINVAL:
		return "a value does not parse or does not fit: see --help";
	case EDQUOT:
		return "the enclave has max_tasks members already";
	case ESTALE:
		return "something has happened meanwhile: read the queue";
	case EALREADY:
		return "it is a task of this enclave: agents must not be tasks";
	case ECANCELED:
		return "an agent has left without being asked to";
	case ENOSPC:
		return "too many regions of status words, or too long a number";
	default:
		return NULL;
	}
}

static bool kernel_knows_ghost(void)
{
	FILE *f = fopen("/proc/filesystems", "re");
	char line[80];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = !strcmp(line, "nodev\t" GHOST_FS_NAME "\n");
	if (f)
		fclose(f);
	return found;
}

const char *ghost_fs_problem(const char *root)
{
	unsigned int versions[16];
	int i, n;

	n = ghost_fs_versions(root, versions, 16);
	for (i = 0; i < n; i++)
		if (versions[i] == GHOST_VERSION)
			return NULL;
	if (n >= 0)
		return "the kernel does not speak this ABI: rebuild for that kernel";
	if (!kernel_knows_ghost())
		return "this kernel has no SCHED_GHOST: boot a patched one";
	return "ghostfs is not mounted: mount -t ghost ghost /sys/fs/ghost";
}

int ghost_parse_cpus(const char *list, int *cpus, int max)
{
	const char *p = list;
	char *end;
	int n = 0;

	while (*p && *p != '\n') {
		unsigned long first, last;

		if (*p < '0' || *p > '9')
			return -EINVAL;
		first = strtoul(p, &end, 10);
		last = first;
		if (*end == '-') {
			p = end + 1;
			if (*p < '0' || *p > '9')
				return -EINVAL;
			last = strtoul(p, &end, 10);
		}
		if (last < first || (*end && *end != ',' && *end != '\n'))
			return -EINVAL;
		if (last >= INT_MAX)
			return -ERANGE;
		/* Ascending, so that no CPU comes twice. */
		if (n && first <= (unsigned long)cpus[n - 1])
			return -EINVAL;
		for (; first <= last; first++) {
			if (n == max)
				return -ERANGE;
			cpus[n++] = (int)first;
		}
		p = *end == ',' ? end + 1 : end;
	}
	return n;
}
