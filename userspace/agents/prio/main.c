// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* ghost-prio: the policy is prio.bpf.c. */
#include <bpf/libbpf.h>

#include "../frame/host.h"
#include "prio.skel.h"

static void unshare(void);

HOST_POLICY(prio, "prio", "by nice value, with aging", 4, .unshare = unshare);

/* What has to do with the trees. */
static void unshare(void)
{
	bpf_map__set_pin_path(skel->maps.queues, NULL);
	bpf_map__set_pin_path(skel->maps.places, NULL);
	bpf_map__set_pin_path(skel->maps.data_queued, NULL);
}

int main(int argc, char **argv)
{
	return host_main(&policy, argc, argv);
}
