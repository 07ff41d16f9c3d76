// SPDX-License-Identifier: GPL-2.0-only
/*
 * SCHED_GHOST: the keys of the administrator who cannot log in any more.
 */
#include <linux/sysrq.h>
#include "ghost.h"

static void sysrq_destroy(u8 key)
{
	struct ghost_enclave *e;

	for (e = ghost_enclave_next(NULL); e; e = ghost_enclave_next(e))
		ghost_enclave_destroy(e, GHOST_EXIT_SYSRQ);
}

static const struct sysrq_key_op destroy_op = {
	.handler	= sysrq_destroy,
	.help_msg	= "destroy-ghost-enclaves(G)",
	.action_msg	= "Destroy all ghost enclaves",
	.enable_mask	= SYSRQ_ENABLE_RTNICE,
};

static void sysrq_dump(u8 key)
{
	struct ghost_enclave *e;

	for (e = ghost_enclave_next(NULL); e; e = ghost_enclave_next(e))
		ghost_dump(e);
}

static const struct sysrq_key_op dump_op = {
	.handler	= sysrq_dump,
	.help_msg	= "dump-ghost-enclaves(E)",
	.action_msg	= "Show all ghost enclaves",
	.enable_mask	= SYSRQ_ENABLE_DUMP,
};

/* Without the keys the class works as well. */
static int __init ghost_sysrq_init(void)
{
	if (register_sysrq_key('G', &destroy_op) ||
	    register_sysrq_key('E', &dump_op))
		pr_info("ghost: not all SysRq keys are there\n");
	return 0;
}
late_initcall(ghost_sysrq_init);
