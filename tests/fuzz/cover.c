// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Which code of the kernel the calling thread reaches, from KCOV. */
#include <fcntl.h>
#include <linux/kcov.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"

#define ENTRIES		(64 << 10)
#define KCOV		"/sys/kernel/debug/kcov"

static uint64_t *area;

bool kernel_has_kcov(void)
{
	return !access(KCOV, F_OK);
}

bool cover_open(void)
{
	int fd = gt_open(KCOV, O_RDWR);

	if (fd < 0 || ioctl(fd, KCOV_INIT_TRACE, ENTRIES))
		return false;
	area = mmap(NULL, ENTRIES * sizeof(*area), PROT_READ | PROT_WRITE,
		    MAP_SHARED, fd, 0);
	return area != MAP_FAILED && !ioctl(fd, KCOV_ENABLE, KCOV_TRACE_PC);
}

void cover_begin(void)
{
	if (area)
		__atomic_store_n(&area[0], 0, __ATOMIC_RELAXED);
}

bool cover_end(void)
{
	uint64_t i, n, h;
	bool found = false;

	if (!area)
		return false;
	n = __atomic_load_n(&area[0], __ATOMIC_RELAXED);
	for (i = 1; i <= n && i < ENTRIES; i++) {
		h = area[i] * 0x9e3779b97f4a7c15ULL >> (64 - COVER_BITS);
		if (shared->seen[h])
			continue;
		shared->seen[h] = 1;
		shared->places++;
		found = true;
	}
	return found;
}
