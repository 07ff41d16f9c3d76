/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * Direct switch, for threads that take turns: one wakes the other and waits,
 * in one system call. Between two tasks of one enclave the other gets the CPU
 * at once, and the policy is not asked. See ghost_switch_to(3).
 */
#ifndef GHOST_SWITCHTO_H
#define GHOST_SWITCHTO_H

#include <stdint.h>
#include <ghost/api.h>

GHOST_BEGIN_DECLS

struct timespec;

/* The futex operation; linux/futex.h has it only with the patched kernel. */
#define GHOST_FUTEX_SWITCHTO	71

/**
 * ghost_sys_switch_to() - wake a thread that waits for one futex, wait for another
 * @self: futex that the caller waits for while it holds @val
 * @val: value that @self is expected to hold
 * @other: futex whose first waiter is woken; no waiter is no error
 * @flags: 0, or FUTEX_PRIVATE_FLAG if both belong to this process only
 * @deadline: of CLOCK_MONOTONIC, or NULL
 *
 * Return: 0 when woken; -EAGAIN: @self did not hold @val, and nobody was woken;
 * -ETIMEDOUT; -EINTR; -EFAULT or -EINVAL for a bad address; -EINVAL if @other is
 * a lock with priority inheritance; -ENOSYS: the kernel was built without it.
 */
GHOST_API int ghost_sys_switch_to(uint32_t *self, uint32_t val, uint32_t *other,
				  int flags, const struct timespec *deadline);

GHOST_END_DECLS

#endif /* GHOST_SWITCHTO_H */
