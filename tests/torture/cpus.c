// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* CPUs go off and on. CPU 0 is the director's, the last one the bystander's. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "torture.h"

static uint64_t offline;

uint64_t cpus_online(void)
{
	uint64_t cpus = (1ULL << shared->ncpus) - 2;

	if (shared->quiet_cpu >= 0)
		cpus &= ~(1ULL << shared->quiet_cpu);
	return cpus & ~offline;
}

void cpus_text(uint64_t cpus, char *buf, size_t size)
{
	size_t n = 0;
	int cpu;

	buf[0] = '\0';
	for (cpu = 0; cpu < 64 && n < size; cpu++)
		if (cpus & 1ULL << cpu)
			n += snprintf(buf + n, size - n, "%s%d", n ? "," : "", cpu);
}

static int set_online(int cpu, bool online)
{
	char path[64];
	int ret;

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/online", cpu);
	/* EBUSY while another change, of cpusets for one, is going on. */
	gt_wait_for((ret = gt_write_file(path, online ? "1" : "0")) != -EBUSY);
	return ret < 0 ? ret : 0;
}

static int some(struct rng *r, uint64_t cpus)
{
	int n = cpus ? below(r, __builtin_popcountll(cpus)) : -1, cpu;

	for (cpu = 0; cpu < 64; cpu++)
		if (cpus & 1ULL << cpu && !n--)
			return cpu;
	return -1;
}

/* The last one seldom: without a CPU nothing else happens to enclaves. */
bool op_cpu_off(struct rng *r)
{
	uint64_t cpus = cpus_online();
	int cpu = some(r, cpus);
	bool last = !(cpus & (cpus - 1)), seldom = one_in(r, 8);

	if (cpu < 0 || (last && !seldom) || set_online(cpu, false))
		return false;
	offline |= 1ULL << cpu;
	return true;
}

static bool on(int cpu)
{
	int ret = set_online(cpu, true);

	if (ret)
		fail("CPU %d does not come back: %s", cpu, strerror(-ret));
	else
		offline &= ~(1ULL << cpu);
	return !ret;
}

bool op_cpu_on(struct rng *r)
{
	int cpu = some(r, offline);

	return cpu >= 0 && on(cpu);
}

void cpus_end(void)
{
	int cpu;

	for (cpu = 0; cpu < 64; cpu++)
		if (offline & 1ULL << cpu)
			on(cpu);
}
