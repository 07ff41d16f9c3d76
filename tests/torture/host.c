// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* The process of a policy: an agent on each CPU of the enclave, as they come. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "torture.h"

#define STREAM		0x20000
#define LOOK_MS		20
#define ONLINE_MS	20000		/* to wait for a predecessor to leave */

static struct gt_enclave e;
static struct gt_queue queue;
static struct gt_agent agents[64];
static struct policy policy;
static int leave;

static void on_term(int sig)
{
	store(&leave, 1);
}

/* A bit a CPU of the enclave, -errno when it is gone. */
static int64_t enclave_cpus(void)
{
	char buf[256], *at = buf;
	int64_t cpus = 0;
	long first, last;
	int ret = gt_file_get(&e, "cpulist", buf, sizeof(buf));

	if (ret < 0)
		return ret;
	while (*at >= '0' && *at <= '9') {
		first = strtol(at, &at, 10);
		last = *at == '-' ? strtol(at + 1, &at, 10) : first;
		for (; first <= last; first++)
			cpus |= 1LL << first;
		at += *at == ',';
	}
	return cpus;
}

/* Messages wake the agents of up to two CPUs. */
static void config_wakeup(void)
{
	struct ghost_agent_wakeup w[GHOST_MAX_WINFO] = { 0 };
	struct ghost_ioc_config_queue_wakeup arg = { .qfd = queue.fd, .w = w };
	int cpu;

	for (cpu = 0; cpu < 64 && arg.ninfo < GHOST_MAX_WINFO; cpu++)
		if (load(&agents[cpu].alive))
			w[arg.ninfo++].cpu = cpu;
	gt_ioctl(e.ctl, GHOST_IOC_CONFIG_QUEUE_WAKEUP, &arg);
}

/* True if an agent has come or gone. */
static bool tend_agents(int64_t cpus, bool schedule)
{
	bool changed = false;
	int cpu, ret;

	for (cpu = 0; cpu < shared->ncpus; cpu++) {
		struct gt_agent *a = &agents[cpu];

		if (load(&a->alive))
			continue;
		changed |= !!a->sw;
		gt_agent_stop(a);
		if (!(cpus & 1LL << cpu))
			continue;
		ret = gt_agent_start(a, &e, cpu, queue.fd);
		/* It was stopped for so long: the thread may still come. */
		if (ret == -ETIMEDOUT)
			exit(1);
		if (ret)
			continue;
		changed = true;
		if (schedule)
			gt_post(a, policy_run, &policy);
	}
	return changed;
}

/* One process at a time is online: wait for the predecessor to leave. */
static int go_online(void)
{
	int64_t end = gt_now_ms() + ONLINE_MS;
	int fd;

	while ((fd = gt_file(&e, "agent_online", O_WRONLY)) == -EBUSY &&
	       gt_now_ms() < end && !load(&leave))
		gt_sleep_ms(10);
	return fd;
}

static void leave_in_order(int online)
{
	int cpu;

	for (cpu = 0; cpu < shared->ncpus; cpu++)
		gt_agent_stop(&agents[cpu]);
	close(online);
}

static int prepare(int slot, const char *kind)
{
	struct rng r = rng_at(STREAM + slot, shared->slots[slot].starts);
	int ret;

	policy.honest = !strcmp(kind, "honest") || !strcmp(kind, "bpf");
	policy.lies = !strcmp(kind, "liar");
	policy.rng = r;
	policy.order = &shared->slots[slot].order;
	policy.e = &e;
	policy.q = &queue;
	policy.agents = agents;
	ret = gt_enclave_attach(&e, shared->slots[slot].id);
	if (!ret)
		ret = gt_queue_create(e.ctl, policy.honest ? 4096 : 64U << below(&r, 7),
				      &queue);
	return ret;
}

/*
 * Not before the predecessor has left: it may adopt a task that was announced
 * here, and what our queue says of it is old then.
 */
static int begin(int slot, bool bpf)
{
	struct ghost_ioc_set_default_queue def = { .fd = queue.fd };

	if (!host_bpf_alone(&e) ||
	    (bpf && host_bpf_start(&e, shared->slots[slot].starts)))
		return -EBUSY;
	return gt_ioctl(e.ctl, GHOST_IOC_SET_DEFAULT_QUEUE, &def);
}

static void attend(bool bpf)
{
	int cpu;

	if (bpf)
		host_bpf_attend(&e);
	policy_release(&policy);
	if (__atomic_exchange_n(&policy.ask_again, false, __ATOMIC_ACQ_REL))
		gt_put(e.ctl, "discover tasks");
	for (cpu = 0; cpu < shared->ncpus; cpu++)
		if (load(&agents[cpu].alive))
			gt_ping(&e, cpu);
}

/* 0: it left, or its enclave went; 1: it could not begin. */
int host_main(int slot, const char *kind)
{
	bool bpf = !strcmp(kind, "bpf"), adopted = false;
	int64_t cpus;
	int online;

	signal(SIGTERM, on_term);
	gt_pin(0, 0);
	mlockall(MCL_CURRENT | MCL_FUTURE);
	if (prepare(slot, kind))
		return 1;
	online = go_online();
	if (online < 0 || begin(slot, bpf))
		return 1;
	while ((cpus = enclave_cpus()) >= 0 && !load(&leave)) {
		if (tend_agents(cpus, !bpf))
			config_wakeup();
		/* With an agent, so that the tasks stand still. */
		if (!adopted && cpus) {
			policy_adopt(&policy);
			policy.ask_again |= bpf;
			adopted = true;
		}
		attend(bpf);
		gt_sleep_ms(LOOK_MS);
	}
	count_many(F_OVERFLOW, load(&queue.ring->overflow));
	leave_in_order(online);
	return 0;
}
