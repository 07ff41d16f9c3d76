// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* The low layer: direct switch. */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <ghost/switchto.h>

int ghost_sys_switch_to(uint32_t *self, uint32_t val, uint32_t *other,
			int flags, const struct timespec *deadline)
{
	return syscall(SYS_futex, self, GHOST_FUTEX_SWITCHTO | flags, val,
		       deadline, other, 0) < 0 ? -errno : 0;
}
