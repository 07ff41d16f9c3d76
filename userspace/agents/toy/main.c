// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * ghost-toy: decides in what order the tasks run that toy.bpf.c hands up.
 *
 * Who wants a CPU first goes first, but the time that a task ran so far counts
 * as time by which it came later.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <bpf/libbpf.h>

#include "toy.h"
#include "../frame/host.h"
#include "toy.skel.h"

struct choice {
	__u64 key;
	struct toy_item item;
};

static struct choice choices[2 * TOY_QUEUE];
static unsigned int nr_choices;

static void decide(void);
static void stats(void);
static void configure(int first_cpu);

HOST_POLICY(toy, "toy", "all decisions in a user process", 4,
	    .decide = decide, .stats = stats, .configure = configure);

static void configure(int first_cpu)
{
	skel->rodata->decider = (__u32)first_cpu;
}

static int by_key(const void *a, const void *b)
{
	const struct choice *x = a, *y = b;

	return x->key < y->key ? -1 : x->key > y->key;
}

static void take_all(void)
{
	struct toy_item item;

	while (nr_choices < 2 * TOY_QUEUE &&
	       !bpf_map__lookup_and_delete_elem(skel->maps.to_process, NULL, 0,
						&item, sizeof(item), 0)) {
		const struct frame_task *t;

		t = &skel->bss->tasks[item.idx % FRAME_TASKS];
		choices[nr_choices].item = item;
		choices[nr_choices++].key = t->queued_at + t->ran;
	}
}

/* By the agent of the first CPU, alone. */
static void decide(void)
{
	struct toy_shared *shared = &skel->bss->shared;
	unsigned int i, j;

	take_all();
	qsort(choices, nr_choices, sizeof(choices[0]), by_key);
	for (i = 0; i < nr_choices; i++) {
		/* Counted first: who takes it must not be ahead. */
		__atomic_add_fetch(&shared->down, 1, __ATOMIC_SEQ_CST);
		if (!bpf_map__update_elem(skel->maps.to_cpus, NULL, 0,
					  &choices[i].item,
					  sizeof(choices[i].item), 0))
			continue;
		__atomic_sub_fetch(&shared->down, 1, __ATOMIC_SEQ_CST);
		__atomic_add_fetch(&shared->failed, 1, __ATOMIC_RELAXED);
		break;
	}
	for (j = 0; i < nr_choices; i++, j++)
		choices[j] = choices[i];
	nr_choices = j;
	__atomic_store_n(&shared->held, nr_choices, __ATOMIC_SEQ_CST);
}

static void stats(void)
{
	const struct toy_shared *s = &skel->bss->shared;

	printf(" user=%llu kernel=%llu full=%llu failed=%llu stale=%llu",
	       (unsigned long long)s->up, (unsigned long long)s->direct,
	       (unsigned long long)s->full, (unsigned long long)s->failed,
	       (unsigned long long)s->stale);
}

int main(int argc, char **argv)
{
	return host_main(&policy, argc, argv);
}
