// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* ghost-hybrid: plans the levels by which hybrid.bpf.c picks. */
#include <time.h>
#include <bpf/libbpf.h>

#include "../frame/host.h"
#include "levels.h"
#include "hybrid.skel.h"

#define PERIOD_NS	200000000ULL

/* What the plan of a task rests on. */
struct record {
	__u64 gtid;
	__u64 ran;
};

static struct record records[FRAME_TASKS];

static void plan(void);

HOST_POLICY(hybrid, "hybrid", "who used little goes first, by a plan", 4,
	    .plan = plan);

static __u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (__u64)ts.tv_sec * 1000000000ULL + (__u64)ts.tv_nsec;
}

/*
 * The share of a CPU that it had since the last time is its level; half of that,
 * and half of what it was, so that one burst does not decide. The programs may
 * write @t meanwhile: a plan may be a little wrong once.
 */
static void plan_task(unsigned int idx, __u64 period, __u64 now)
{
	const volatile struct frame_task *t = &skel->bss->tasks[idx];
	struct record *r = &records[idx];
	__u8 *level = &skel->bss->plan[idx];
	__u64 ran = t->ran, started = t->started;

	if (t->running && now > started)
		ran += now - started;
	if (r->gtid != t->gtid || ran < r->ran) {
		r->gtid = t->gtid;
		*level = 0;
	} else {
		__u64 share = (ran - r->ran) * (LEVELS - 1) / period;

		if (share > LEVELS - 1)
			share = LEVELS - 1;
		*level = (__u8)((*level + share + 1) / 2);
	}
	r->ran = ran;
}

static void plan(void)
{
	static __u64 last;
	__u64 now = now_ns();
	unsigned int i;

	if (now - last < PERIOD_NS)
		return;
	for (i = 0; i < FRAME_TASKS; i++)
		if (skel->bss->tasks[i].gtid)
			plan_task(i, now - last, now);
	last = now;
}

int main(int argc, char **argv)
{
	return host_main(&policy, argc, argv);
}
