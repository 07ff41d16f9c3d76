/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * Part of <ghost/ghost.h>: timers whose expiry is a message to the agent of a
 * CPU, which it wakes.
 */
#ifndef GHOST_TIMER_H
#define GHOST_TIMER_H

#include <ghost/sys.h>

GHOST_BEGIN_DECLS

struct ghost_enclave;
struct ghost_timer;

/**
 * ghost_timer_create() - create a timer, not set
 * @timer: result
 * @enclave: enclave
 * @cpu: CPU whose agent gets the messages
 *
 * Return: 0; -ENOMEM, -EMFILE. Agents may call it.
 */
GHOST_API int ghost_timer_create(struct ghost_timer **timer,
				 struct ghost_enclave *enclave, int cpu);

/**
 * ghost_timer_close() - unset and free
 * @timer: timer, or NULL
 */
GHOST_API void ghost_timer_close(struct ghost_timer *timer);

/**
 * ghost_timer_fd() - its timerfd, which can be polled, too
 * @timer: timer; it keeps the descriptor
 */
GHOST_API int ghost_timer_fd(const struct ghost_timer *timer);

/**
 * ghost_timer_set() - have one message, or one a period
 * @timer: timer; what was set before is forgotten
 * @when_ns: monotonic ns of the first expiry; if that is over, at once
 * @period_ns: time between further ones, 0 = there are none
 * @type: handed to the message
 * @cookie: handed to the message
 *
 * The message is a MSG_CPU_TIMER_EXPIRED: see @timer in struct ghost_event. A
 * periodic timer sends the next one only after ghost_timer_rearm().
 *
 * Return: 0; -EINVAL: no agent of the calling process has the CPU, or a time
 * is negative. Agents may call it.
 */
GHOST_API int ghost_timer_set(struct ghost_timer *timer, int64_t when_ns,
			      int64_t period_ns, uint64_t type,
			      uint64_t cookie);

/**
 * ghost_timer_unset() - no message from now on
 * @timer: timer
 *
 * One may be in the queue already. Return: 0 or -errno.
 */
GHOST_API int ghost_timer_unset(struct ghost_timer *timer);

/**
 * ghost_timer_rearm() - let a periodic timer go on after its message
 * @timer: timer
 * @expiries: how many there were since the last call, or NULL
 *
 * Return: 0; -EAGAIN: there was none.
 */
GHOST_API int ghost_timer_rearm(struct ghost_timer *timer, uint64_t *expiries);

GHOST_END_DECLS

#endif /* GHOST_TIMER_H */
