/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/* What the tests and the program in hold.bpf.c share. */
#ifndef HOLD_H
#define HOLD_H

#include <linux/types.h>

struct hold {
	__u64 ns;		/* the next pick stops so long ... */
	__u32 held;		/* ... from here on */
	__u32 stay;		/* while it is not 0 who calls stay() does not return ... */
	__u32 staying;		/* ... which it has begun */
};

#endif /* HOLD_H */
