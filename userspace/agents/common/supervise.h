/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
#ifndef SUPERVISE_H
#define SUPERVISE_H

/* What the scheduling process tells the one that watches over it. */
struct supervised {
	unsigned long enclave;		/* 0 = none yet */
};

/*
 * Run @body in a child and wait for it. The kernel kills the agents of an
 * enclave that is destroyed under them; somebody must be left to say so.
 * Returns the exit status for the program.
 */
int supervise(int (*body)(struct supervised *told, void *arg), void *arg);

/* Say on stderr that enclave @id was destroyed, and why, as the kernel has noted. */
void tell_destroyed(unsigned long id);

#endif /* SUPERVISE_H */
