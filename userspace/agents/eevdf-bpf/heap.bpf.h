/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Binary heaps of tasks; the lock of the run queue that they are in is held. */
#ifndef HEAP_BPF_H
#define HEAP_BPF_H

#include "eevdf.h"
#include "../frame/fifo.bpf.h"

/* A test makes them smaller. */
#ifndef HEAP_SIZE
#define HEAP_SIZE	1024	/* a power of two */
#define HEAP_DEPTH	10
#endif
#define FAIR_WAITING	0	/* not eligible yet: by vruntime */
#define FAIR_ELIGIBLE	1	/* by deadline */

struct heap_entry {
	__u64 key;
	__u32 idx;
	__u32 unused;
};

struct heap {
	__u32 length;
	__u32 scratch;
	struct heap_entry entries[HEAP_SIZE];
};

struct fair_task fair_tasks[FRAME_TASKS];
struct fair_hint fair_hints[FRAME_TASKS];

static __always_inline struct fair_task *fair_at(__u32 idx)
{
	struct fair_task *f = &fair_tasks[idx & (FRAME_TASKS - 1)];

	barrier_var(f);
	return f;
}

/* Virtual times go round. */
static __always_inline bool before(__u64 a, __u64 b)
{
	return (__s64)(a - b) < 0;
}

static __always_inline struct heap_entry *entry_at(struct heap *h, __u32 pos)
{
	return &h->entries[pos & (HEAP_SIZE - 1)];
}

static __always_inline void heap_put(struct heap *h, __u32 pos, __u64 key, __u32 idx)
{
	struct heap_entry *e = entry_at(h, pos);

	e->key = key;
	e->idx = idx;
	fair_at(idx)->pos = pos;
}

/*
 * A number that the verifier knows nothing of, or it would follow every way
 * through the loops for every range that a position may be in.
 */
static __always_inline __u32 unknown(volatile __u32 *scratch, __u32 value)
{
	*scratch = value;
	return *scratch;
}

/* Move what has @key to where it belongs between @pos and the top. */
static __always_inline void heap_up(struct heap *h, __u32 pos, __u64 key, __u32 idx)
{
	__u32 i;

	for (i = 0; i < HEAP_DEPTH && pos; i++) {
		__u32 up = (pos - 1) / 2;
		struct heap_entry *e = entry_at(h, up);

		if (!before(key, e->key))
			break;
		heap_put(h, pos, e->key, e->idx);
		pos = unknown(&h->scratch, up);
	}
	heap_put(h, pos, key, idx);
}

/* The same, between @pos and the bottom; then up, if it did not move. */
static __always_inline void heap_down(struct heap *h, __u32 pos, __u64 key, __u32 idx)
{
	__u32 i;

	for (i = 0; i < HEAP_DEPTH; i++) {
		__u32 down = 2 * pos + 1;

		if (down >= h->length)
			break;
		if (down + 1 < h->length)
			down += before(entry_at(h, down + 1)->key,
				       entry_at(h, down)->key);
		if (!before(entry_at(h, down)->key, key))
			break;
		heap_put(h, pos, entry_at(h, down)->key,
			 entry_at(h, down)->idx);
		pos = unknown(&h->scratch, down);
	}
	heap_up(h, unknown(&h->scratch, pos), key, idx);
}

static __always_inline bool heap_insert(struct heap *h, __u64 key, __u32 idx)
{
	if (h->length >= HEAP_SIZE)
		return false;
	h->length++;
	heap_up(h, h->length - 1, key, idx);
	return true;
}

static __always_inline void heap_remove(struct heap *h, __u32 pos)
{
	struct heap_entry *last;

	if (!h->length)
		return;
	h->length--;
	last = entry_at(h, h->length);
	if (pos < h->length)
		heap_down(h, pos, last->key, last->idx);
}

#endif /* HEAP_BPF_H */
