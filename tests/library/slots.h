/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/* What policy.c and its programs in slots.bpf.c share. */
#ifndef SLOTS_H
#define SLOTS_H

struct slots {
	unsigned long long messages;
	unsigned long long schedules;
};

/* The object, as the linker has put it in. */
extern const char _binary_slots_bpf_o_start[], _binary_slots_bpf_o_end[];

#endif /* SLOTS_H */
