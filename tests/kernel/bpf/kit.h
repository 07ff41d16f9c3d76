/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/* What the test and the programs in kit.bpf.c share. */
#ifndef KIT_H
#define KIT_H

#include <linux/types.h>

enum kit_tool {
	KIT_ITERATOR,
	KIT_BITS,
	KIT_DYNPTR,
	KIT_CONTEXT,
	KIT_MASK,
	KIT_MASKS,
	KIT_LIST,
	KIT_TREE,
	KIT_LOCK,
	KIT_ARENA,
	KIT_NTOOLS,
};

/* Of each tool, how often it did what it should, and how often not. */
struct kit {
	__u32 right[KIT_NTOOLS];
	__u32 wrong[KIT_NTOOLS];
};

struct kits {
	struct kit sched;
	struct kit msg;
};

/* In the arena; @value is the user's. */
struct kit_arena {
	__u64 value;
	__u64 seen;
	__u64 rounds;
};

#endif /* KIT_H */
