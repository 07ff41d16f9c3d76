// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* ghost-biff: the policy is biff.bpf.c. */
#include "../frame/fifo.h"
#include "../frame/host.h"
#include "biff.skel.h"

HOST_POLICY(biff, "biff", "first come, first served, one queue for all CPUs", 4);

int main(int argc, char **argv)
{
	return host_main(&policy, argc, argv);
}
