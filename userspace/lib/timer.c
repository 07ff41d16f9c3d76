// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Timers that send messages. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "internal.h"

struct ghost_timer {
	struct ghost_enclave *enclave;
	int cpu;
	int fd;
};

int ghost_timer_create(struct ghost_timer **timer, struct ghost_enclave *e,
		       int cpu)
{
	struct ghost_timer *t = malloc(sizeof(*t));
	int err;

	if (!t)
		return -ENOMEM;
	t->enclave = e;
	t->cpu = cpu;
	t->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (t->fd < 0) {
		err = -errno;
		free(t);
		return err;
	}
	*timer = t;
	return 0;
}

void ghost_timer_close(struct ghost_timer *t)
{
	if (!t)
		return;
	close(t->fd);
	free(t);
}

int ghost_timer_fd(const struct ghost_timer *t)
{
	return t->fd;
}

static struct timespec from_ns(int64_t ns)
{
	return (struct timespec){
		.tv_sec = ns / NSEC_PER_SEC,
		.tv_nsec = ns % NSEC_PER_SEC,
	};
}

int ghost_timer_set(struct ghost_timer *t, int64_t when_ns, int64_t period_ns,
		    uint64_t type, uint64_t cookie)
{
	const struct timerfd_ghost to = {
		.cpu = t->cpu,
		.flags = TIMERFD_GHOST_ENABLED,
		.type = type,
		.cookie = cookie,
	};
	/* A time of 0 would unset it. */
	const struct itimerspec value = {
		.it_value = from_ns(when_ns ? when_ns : 1),
		.it_interval = from_ns(period_ns),
	};

	return ghost_sys_timerfd_settime(t->enclave->ctl, t->fd,
					 TFD_TIMER_ABSTIME, &to, &value, NULL);
}

int ghost_timer_unset(struct ghost_timer *t)
{
	const struct itimerspec never = { .it_value = { 0 } };

	return timerfd_settime(t->fd, 0, &never, NULL) ? -errno : 0;
}

int ghost_timer_rearm(struct ghost_timer *t, uint64_t *expiries)
{
	uint64_t n;

	if (read(t->fd, &n, sizeof(n)) < 0)
		return -errno;
	if (expiries)
		*expiries = n;
	return 0;
}
