// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* ghost-prio: the policy is prio.bpf.c. */
#include "../frame/host.h"
#include "../frame/levels.h"
#include "prio.skel.h"

HOST_POLICY(prio, "prio", "by nice value, with aging", 4);

int main(int argc, char **argv)
{
	return host_main(&policy, argc, argv);
}
