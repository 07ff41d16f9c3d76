/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/* What the files of libghost-bpf know of each other. */
#ifndef GHOST_BPF_INTERNAL_H
#define GHOST_BPF_INTERNAL_H

#include <ghost/policy.h>

#define NR_SLOTS	4
#define PATH_SIZE	256

/**
 * struct ghost_policy
 * @links: by slot, or -1
 */
struct ghost_policy {
	struct ghost_enclave *enclave;
	int links[NR_SLOTS];
};

/* Where the link of a slot is pinned. */
int link_path(struct ghost_enclave *e, const char *slot, char *path,
	      size_t size);
int unpin_link(struct ghost_policy *p, const char *slot);

#endif /* GHOST_BPF_INTERNAL_H */
