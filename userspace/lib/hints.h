/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/* What both sides of the hints know of each other. */
#ifndef GHOST_LIB_HINTS_H
#define GHOST_LIB_HINTS_H

#include <sys/socket.h>
#include <sys/un.h>
#include <ghost/hints.h>

#define HINTS_SIZE	(GHOST_HINTS_SLOTS * sizeof(struct ghost_hint_slot))

/* A control message with one descriptor. */
union hint_control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int))];
};

/* 0, or -EINVAL if a value is out of range. */
int hint_check(const struct ghost_hint *hint);

int hint_address(struct sockaddr_un *address, const char *path);

#endif /* GHOST_LIB_HINTS_H */
