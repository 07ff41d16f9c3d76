// SPDX-License-Identifier: GPL-2.0-only
/*
 * Keeps the stopper of a CPU busy, or of all of them, as code that is being patched
 * does and machines that are paused look like. That is done when it is loaded, and
 * then it refuses to stay: it can be loaded again where modules cannot be removed.
 */
#include <linux/cpu.h>
#include <linux/module.h>
#include <linux/stop_machine.h>
#include <linux/timekeeping.h>

static int cpu = -1;
module_param(cpu, int, 0);
MODULE_PARM_DESC(cpu, "which one, with its siblings; -1 (default): all");

static unsigned int ms = 1000;
module_param(ms, uint, 0);
MODULE_PARM_DESC(ms, "for so many milliseconds");

static int stop(void *unused)
{
	u64 end = ktime_get_mono_fast_ns() + ms * (u64)NSEC_PER_MSEC;

	/* Not mdelay(): its loops were counted in an emulator. */
	while (ktime_get_mono_fast_ns() < end)
		cpu_relax();
	return 0;
}

static int __init stop_hog_init(void)
{
	int ret = -EINVAL;

	if (cpu < 0)
		return stop_machine(stop, NULL, cpu_online_mask) ?: -ECANCELED;
	cpus_read_lock();
	if (cpu < nr_cpu_ids && cpu_online(cpu))
		ret = stop_core_cpuslocked(cpu, stop, NULL);
	cpus_read_unlock();
	return ret ?: -ECANCELED;
}
module_init(stop_hog_init);

MODULE_DESCRIPTION("a stopper that takes its time");
MODULE_LICENSE("GPL");
