// SPDX-License-Identifier: GPL-2.0-only
/* The programs of probe.bpf.c, for a kernel without BTF. */
#define ABI_ONLY
#include "probe.bpf.c"
