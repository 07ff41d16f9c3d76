/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * What the tests of the machine's instruments share: the machine around an
 * enclave. As in gt.h, functions return 0 (or a value that is not negative) or
 * -errno.
 */
#ifndef GT_MACHINE_H
#define GT_MACHINE_H

#include "gt.h"

/* What waits for a grace period waits for all others, too. */
#define GT_LONG_MS		60000
/* The time limit of a test that waits so: all of it, twice, and then some. */
#define GT_TEST_S		180

/* As gt_wait_for(), for what takes the kernel long; @step is done in between. */
#define gt_wait_long(cond, step) ({					\
	int64_t __end = gt_now_ms() + GT_LONG_MS;			\
	bool __ok;							\
									\
	while (!(__ok = !!(cond)) && gt_now_ms() < __end) {		\
		step;							\
		gt_sleep_ms(1);						\
	}								\
	__ok;								\
})

struct gt_schedstat {
	unsigned long long run_ns;
	unsigned long long wait_ns;
	unsigned long long slices;
};

int gt_schedstat(pid_t pid, struct gt_schedstat *s);

/*
 * Run @fn in a process of its own, which may have to wait for long. gt_ended()
 * says, once, whether it is over; its result, a small number, is in @result.
 */
pid_t gt_aside(int (*fn)(void));
bool gt_ended(pid_t pid, int *result);

/* Modules that qemu/run.sh puts into the guest. */
bool gt_has_module(const char *name);
int gt_insmod(const char *name, const char *args);
int gt_rmmod(const char *name);

#endif /* GT_MACHINE_H */
