/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/* What the tests and the program in hold.bpf.c share. */
#ifndef HOLD_H
#define HOLD_H

#include <linux/types.h>

struct hold {
	__u64 ns;		/* the next pick stops so long ... */
	__u32 held;		/* ... from here on */
};

#endif /* HOLD_H */
