// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* ghost-eevdf-bpf: the policy is eevdf-bpf.bpf.c. */
#include <ghost/hints.h>

#include "eevdf.h"
#include "../frame/host.h"
#include "eevdf-bpf.skel.h"

static void take_hint(uint32_t index, int64_t gtid, const struct ghost_hint *hint);

HOST_POLICY(eevdf_bpf, "eevdf-bpf",
	    "fair shares by weight, earliest deadline first", 3,
	    .hint = take_hint);

static uint64_t slice_of(const struct ghost_hint *hint)
{
	if (hint->deadline_ns)
		return hint->deadline_ns;
	switch (hint->latency) {
	case GHOST_LATENCY_URGENT:
		return skel->rodata->slice_ns / 8;
	case GHOST_LATENCY_BATCH:
		return skel->rodata->slice_ns * 8;
	default:
		return 0;
	}
}

/* In effect when the task is queued the next time. */
static void take_hint(uint32_t index, int64_t gtid, const struct ghost_hint *hint)
{
	struct fair_hint *h = &skel->bss->fair_hints[index % FRAME_TASKS];

	if (hint) {
		h->percent = hint->weight ?: GHOST_HINT_WEIGHT;
		h->slice = slice_of(hint);
	}
	__atomic_store_n(&h->gtid, hint ? (uint64_t)gtid : 0, __ATOMIC_RELEASE);
}

int main(int argc, char **argv)
{
	return host_main(&policy, argc, argv);
}
