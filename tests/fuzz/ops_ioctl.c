// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* The ioctls, transactions, timers, direct switches. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

#ifndef FUTEX_SWITCHTO
#define FUTEX_SWITCHTO	71
#endif

static const unsigned int commands[] = {
	GHOST_IOC_NULL, GHOST_IOC_SW_GET_INFO, GHOST_IOC_SW_FREE,
	GHOST_IOC_CREATE_QUEUE, GHOST_IOC_ASSOC_QUEUE,
	GHOST_IOC_SET_DEFAULT_QUEUE, GHOST_IOC_CONFIG_QUEUE_WAKEUP,
	GHOST_IOC_GET_CPU_TIME, GHOST_IOC_COMMIT_TXN, GHOST_IOC_SYNC_GROUP_TXN,
	GHOST_IOC_TIMERFD_SETTIME, GHOST_IOC_RUN,
};

union arg {
	struct ghost_ioc_sw_get_info get_info;
	struct ghost_sw_info sw_free;
	struct ghost_ioc_create_queue create_queue;
	struct ghost_ioc_assoc_queue assoc;
	struct ghost_ioc_set_default_queue def;
	struct ghost_ioc_config_queue_wakeup wakeup;
	struct ghost_ioc_get_cpu_time time;
	struct ghost_ioc_commit_txn commit;
	struct ghost_ioc_timerfd_settime timer;
	struct ghost_ioc_run run;
	uint64_t words[16];
};

static struct ghost_agent_wakeup wakeups[GHOST_MAX_WINFO];
static __u64 mask[16];

static void fill(struct rng *r, unsigned int cmd, union arg *a)
{
	switch (cmd) {
	case GHOST_IOC_SW_GET_INFO:
		a->get_info.request.type = below(r, 3);
		a->get_info.request.arg = one_in(r, 2) ? (uint64_t)some_gtid(r) :
							  (uint64_t)some_cpu(r);
		break;
	case GHOST_IOC_SW_FREE:
		a->sw_free.id = below(r, 2);
		a->sw_free.index = below(r, 32);
		break;
	case GHOST_IOC_CREATE_QUEUE:
		a->create_queue.elems = 1 << below(r, 18);
		break;
	case GHOST_IOC_ASSOC_QUEUE:
		a->assoc.fd = some_fd(r, K_QUEUE);
		a->assoc.src.type = one_in(r, 8) ? value(r) : GHOST_TASK;
		a->assoc.src.arg = some_gtid(r);
		a->assoc.barrier = some_barrier(r);
		break;
	case GHOST_IOC_SET_DEFAULT_QUEUE:
		a->def.fd = some_fd(r, K_QUEUE);
		break;
	case GHOST_IOC_CONFIG_QUEUE_WAKEUP:
		wakeups[0].cpu = some_cpu(r);
		wakeups[1].cpu = some_cpu(r);
		a->wakeup.qfd = some_fd(r, K_QUEUE);
		a->wakeup.w = wakeups;
		a->wakeup.ninfo = below(r, 4);
		break;
	case GHOST_IOC_GET_CPU_TIME:
		a->time.gtid = some_gtid(r);
		break;
	case GHOST_IOC_COMMIT_TXN:
	case GHOST_IOC_SYNC_GROUP_TXN:
		mask[0] = one_in(r, 8) ? value(r) : below(r, 1U << shared->ncpus);
		mask[1] = one_in(r, 8) ? value(r) : 0;
		a->commit.mask_ptr = mask;
		a->commit.mask_len = one_in(r, 8) ? value(r) : 8;
		break;
	case GHOST_IOC_RUN:
		a->run.gtid = some_gtid(r);
		a->run.run_cpu = some_cpu(r);
		a->run.agent_barrier = some_barrier(r);
		a->run.run_flags = one_in(r, 4) ? value(r) : 0;
		break;
	}
}

long op_ioctl(struct rng *r)
{
	unsigned int cmd = PICK(r, commands);
	union arg a = { 0 };
	int ret;

	fill(r, cmd, &a);
	while (one_in(r, 8))
		a.words[below(r, 5)] = value(r);
	if (one_in(r, 32))
		cmd = one_in(r, 2) ? _IOWR('g', below(r, 16), union arg) : value(r);
	ret = gt_ioctl(some_fd(r, K_CTL), cmd, one_in(r, 32) ? some_address(r) : &a);
	if (ret > 0 && cmd == GHOST_IOC_CREATE_QUEUE)
		keep(K_QUEUE, ret);
	return ret;
}

long op_queue(struct rng *r)
{
	union arg a = { .create_queue.elems = 1 << below(r, 12) };
	int ctl = some_fd(r, K_CTL), fd;

	fd = gt_ioctl(ctl, GHOST_IOC_CREATE_QUEUE, &a);
	if (fd < 0)
		return fd;
	keep(K_QUEUE, fd);
	a.def.fd = fd;
	return gt_ioctl(ctl, GHOST_IOC_SET_DEFAULT_QUEUE, &a);
}

long op_run(struct rng *r)
{
	struct ghost_ioc_run run = {
		.gtid = one_in(r, 2) ? GHOST_AGENT_GTID : GHOST_NULL_GTID,
		.run_cpu = some_cpu(r),
		.agent_barrier = some_barrier(r),
		.run_flags = one_in(r, 4) ? RTLA_ON_IDLE : 0,
	};

	return gt_ioctl(some_fd(r, K_CTL), GHOST_IOC_RUN, &run);
}

long op_commit(struct rng *r)
{
	struct ghost_ioc_commit_txn arg = {
		.mask_ptr = mask, .mask_len = sizeof(mask[0]),
	};

	mask[0] = below(r, 1U << shared->ncpus);
	return gt_ioctl(some_fd(r, K_CTL), one_in(r, 4) ? GHOST_IOC_SYNC_GROUP_TXN :
							    GHOST_IOC_COMMIT_TXN, &arg);
}

long op_switchto(struct rng *r)
{
	static uint32_t words[4];
	struct timespec to;
	long ret;

	/* An absolute time, and a near one. */
	clock_gettime(CLOCK_MONOTONIC, &to);
	to.tv_nsec = one_in(r, 8) ? (long)value(r) : (to.tv_nsec + 200000) % 1000000000;
	ret = syscall(SYS_futex, one_in(r, 8) ? some_address(r) : &words[below(r, 4)],
		      FUTEX_SWITCHTO | (one_in(r, 4) ? below(r, 1024) & ~127U : 0),
		      below(r, 2), &to,
		      one_in(r, 8) ? some_address(r) : &words[below(r, 4)],
		      one_in(r, 16) ? value(r) : 0);
	return ret < 0 ? -errno : ret;
}

long op_timer(struct rng *r)
{
	struct itimerspec it = { .it_value.tv_nsec = below(r, 2000000) };
	struct ghost_ioc_timerfd_settime arg = {
		.timerfd = some_fd(r, K_TIMER),
		.flags = one_in(r, 8) ? value(r) : 0,
		.in_tmr = one_in(r, 16) ? some_address(r) : &it,
		.timerfd_ghost = {
			.cpu = some_cpu(r),
			.flags = one_in(r, 8) ? value(r) : TIMERFD_GHOST_ENABLED,
			.type = value(r),
			.cookie = value(r),
		},
	};
	int fd;

	if (one_in(r, 4)) {
		fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
		if (fd < 0)
			return -errno;
		keep(K_TIMER, fd);
	}
	if (one_in(r, 4))
		it.it_interval.tv_nsec = 1000000 + below(r, 1000000);
	return gt_ioctl(some_fd(r, K_CTL), GHOST_IOC_TIMERFD_SETTIME, &arg);
}

/* ---- agents ---- */

#define AGENT_STEPS	200
#define MAX_AGENTS	3

static int agents;

/* What an agent does; the rest would wait for somebody whom it starves. */
static void *agent_main(void *seed)
{
	static const unsigned int what[] = {
		OP_IOCTL, OP_COMMIT, OP_COMMIT, OP_RUN, OP_RUN, OP_FORGE, OP_FORGE,
		OP_TOUCH, OP_CTL, OP_TASKS, OP_QUEUE,
	};
	struct rng r = { (uintptr_t)seed };
	sigjmp_buf fault;
	char cmd[64];
	int n;

	snprintf(cmd, sizeof(cmd), "become agent %u %d", 1 + below(&r, shared->ncpus - 1),
		 one_in(&r, 2) ? -1 : some_fd(&r, K_QUEUE));
	if (gt_put(some_fd(&r, K_CTL), cmd) > 0) {
		n = AGENT_STEPS;
		if (sigsetjmp(fault, 1))
			n = 0;
		on_fault = &fault;
		while (n-- > 0)
			run_op(PICK(&r, what), &r);
		on_fault = NULL;
	}
	__atomic_sub_fetch(&agents, 1, __ATOMIC_ACQ_REL);
	return NULL;
}

long op_agent(struct rng *r)
{
	pthread_t thread;
	int ret;

	if (__atomic_add_fetch(&agents, 1, __ATOMIC_ACQ_REL) > MAX_AGENTS) {
		__atomic_sub_fetch(&agents, 1, __ATOMIC_ACQ_REL);
		return -EAGAIN;
	}
	ret = pthread_create(&thread, NULL, agent_main, (void *)rng_next(r));
	if (ret) {
		__atomic_sub_fetch(&agents, 1, __ATOMIC_ACQ_REL);
		return -ret;
	}
	pthread_detach(thread);
	return 0;
}

/* ---- what the scheduler's own calls do to members ---- */

long op_sched(struct rng *r)
{
	static const int policies[] = { SCHED_OTHER, SCHED_OTHER, SCHED_BATCH, SCHED_GHOST };
	struct sched_param sp = { 0 };
	pid_t pid = some_pid(r);
	cpu_set_t set;
	int cpu, ret;

	switch (below(r, 4)) {
	case 0:
		ret = setpriority(PRIO_PROCESS, pid, (int)below(r, 48) - 24);
		break;
	case 1:
		CPU_ZERO(&set);
		for (cpu = 0; cpu < shared->ncpus; cpu++)
			if (one_in(r, 2))
				CPU_SET(cpu, &set);
		ret = sched_setaffinity(pid, sizeof(set), &set);
		break;
	case 2:
		ret = sched_getscheduler(pid);
		break;
	default:
		ret = sched_setscheduler(pid, PICK(r, policies), &sp);
	}
	return ret < 0 ? -errno : ret;
}
