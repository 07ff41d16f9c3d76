// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Finding out what an enclave holds that others have scheduled so far. */
#include <errno.h>

#include "internal.h"

/* Barrier changes that a task may make while it is being asked for. */
#define DISCOVER_TRIES	100

static void free_orphan(struct ghost_enclave *e,
			const struct ghost_sw_info *info,
			struct ghost_handoff *h)
{
	/* -EINVAL: no orphan after all; somebody who was just born. */
	if (!ghost_sys_sw_free(e->ctl, info))
		h->orphans++;
}

/* 0: @q has got the task, and a note of it. */
static int take(struct ghost_queue *q, const struct ghost_sw_info *info,
		const struct ghost_status_word *sw, struct ghost_handoff *h,
		int64_t since)
{
	struct ghost_event ev = { .type = MSG_TASK_NEW };
	uint32_t flags;
	int ret;

	ev.seqnum = ghost_sw_barrier(sw);
	flags = ghost_sw_flags(sw);
	ev.task_new.gtid = (uint64_t)ghost_sw_gtid(sw);
	ev.task_new.runtime = sw->runtime;
	ev.task_new.sw_info = *info;
	if (flags & GHOST_SW_TASK_RUNNABLE) {
		ev.task_new.runnable = 1;
		if (flags & GHOST_SW_TASK_ONCPU)
			ev.waiting_since = now_ns();
		else if (sw->switch_time > since)
			ev.waiting_since = sw->switch_time;
		else
			ev.waiting_since = since;
	}
	ret = queue_take_task(q, &ev);
	if (ret == 0) {
		h->tasks++;
		h->waiting += ev.task_new.runnable;
	}
	return ret;
}

static int discover_one(struct ghost_enclave *e, struct ghost_queue *q,
			const struct ghost_sw_info *info,
			const struct ghost_status_word *sw,
			struct ghost_handoff *h, int64_t since)
{
	int tries, ret;

	for (tries = 0; tries < DISCOVER_TRIES; tries++) {
		if (ghost_sw_flags(sw) & GHOST_SW_F_CANFREE) {
			free_orphan(e, info, h);
			return 0;
		}
		ret = take(q, info, sw, h, since);
		if (ret == -ESTALE)
			continue;
		if (ret == -ENOENT) {
			free_orphan(e, info, h);
			return 0;
		}
		/* With bits: its real MSG_TASK_NEW is there or will come. */
		return ret < 0 ? ret : 0;
	}
	return -ESTALE;
}

int discover(struct ghost_enclave *e, struct ghost_queue *q,
	     struct ghost_handoff *h, int64_t since)
{
	struct ghost_sw_info i;
	int err = enclave_map_regions(e);

	for (i.id = 0; i.id < MAX_REGIONS && !err; i.id++) {
		const struct ghost_sw_region_header *r = enclave_region(e, i.id);
		const uint32_t capacity = r ? r->capacity : 0;

		/* Tasks wait meanwhile, and most words are free: a short loop. */
		for (i.index = 0; i.index < capacity && !err; i.index++) {
			const struct ghost_status_word *sw = ghost_sw_at(r, i.index);
			uint32_t flags = ghost_sw_flags(sw);

			if (!(flags & GHOST_SW_F_INUSE))
				continue;
			if (flags & GHOST_SW_F_CANFREE)
				free_orphan(e, &i, h);
			else if (!(flags & GHOST_SW_TASK_IS_AGENT))
				err = discover_one(e, q, &i, sw, h, since);
		}
	}
	return err;
}
