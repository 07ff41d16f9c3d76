// SPDX-License-Identifier: GPL-2.0-only
/* The policy of fifo.bpf.c, on a tree of objects. */
#include <ghost/bpf_rbtree.h>

#define LEAST_RUN
#include "fifo.bpf.c"
