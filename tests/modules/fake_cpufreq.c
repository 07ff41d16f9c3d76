// SPDX-License-Identifier: GPL-2.0-only
/* A cpufreq driver without hardware: shows what a governor asks for. */
#include <linux/cpufreq.h>
#include <linux/module.h>

static struct cpufreq_frequency_table frequencies[] = {
	{ .frequency = 1000000 },
	{ .frequency = 2000000 },
	{ .frequency = 3000000 },
	{ .frequency = CPUFREQ_TABLE_END },
};

static int fake_init(struct cpufreq_policy *policy)
{
	policy->freq_table = frequencies;
	policy->cpuinfo.transition_latency = 1000;
	policy->cur = frequencies[0].frequency;
	return 0;
}

/*
 * The core has looked @target up in the table. It notifies nobody of ->target():
 * the TSC of the guest would be scaled along.
 */
static int fake_target(struct cpufreq_policy *policy, unsigned int target,
		       unsigned int relation)
{
	policy->cur = target;
	return 0;
}

static struct cpufreq_driver fake_driver = {
	.name		= "fake",
	.init		= fake_init,
	.verify		= cpufreq_generic_frequency_table_verify,
	.target		= fake_target,
};

static int __init fake_cpufreq_init(void)
{
	return cpufreq_register_driver(&fake_driver);
}
module_init(fake_cpufreq_init);

static void __exit fake_cpufreq_exit(void)
{
	cpufreq_unregister_driver(&fake_driver);
}
module_exit(fake_cpufreq_exit);

MODULE_DESCRIPTION("cpufreq driver without hardware");
MODULE_LICENSE("GPL");
