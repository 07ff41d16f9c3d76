// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* ghost-eevdf-bpf: the policy is eevdf-bpf.bpf.c. */
#include "eevdf.h"
#include "../frame/host.h"
#include "eevdf-bpf.skel.h"

HOST_POLICY(eevdf_bpf, "eevdf-bpf",
	    "fair shares by weight, earliest deadline first", 3);

int main(int argc, char **argv)
{
	return host_main(&policy, argc, argv);
}
