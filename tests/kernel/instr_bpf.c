// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Tracing programs and sched_ext schedulers come and go beside an enclave.
 * Taking them away ends with an RCU-tasks grace period, which waits until every
 * task slept of its own accord or was in user space. Parked agents are asleep.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "kselftest_harness.h"
#include "gt_bpf.h"
#include "gt_machine.h"

/* Nobody calls it while its code is being changed: QEMU may not notice that. */
#define RARE		"__x64_sys_setdomainname"
#define TRACING		"/sys/kernel/tracing/instances/ghost"
#define SCX_STATE	"/sys/kernel/sched_ext/state"
#define BPF_STATS	"/proc/sys/kernel/bpf_stats_enabled"

static struct gt_agent agent;

/* Idle: the agent is parked. Busy: @t runs. @w is to wait, @normal is no member. */
FIXTURE(beside) {
	struct gt_enclave e;
	struct gt_task t, w, normal;
};

FIXTURE_SETUP(beside)
{
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->t));
	ASSERT_EQ(0, gt_task_start(&self->w));
	ASSERT_EQ(0, gt_task_start(&self->normal));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->w, NULL));
}

FIXTURE_TEARDOWN(beside)
{
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	gt_task_end(&self->t);
	gt_task_end(&self->w);
	gt_task_end(&self->normal);
	EXPECT_EQ(0, self->e.q.gaps);
	gt_enclave_close(&self->e);
}

FIXTURE_VARIANT(beside) {
	bool busy;
};

FIXTURE_VARIANT_ADD(beside, idle) {
	.busy = false,
};

FIXTURE_VARIANT_ADD(beside, busy) {
	.busy = true,
};

static int run_task(struct gt_enclave *e, struct gt_task *t)
{
	int ret = gt_wake_spinner(e, t, NULL);

	if (ret)
		return ret;
	if (gt_schedule(&agent, 1, t, 0) != GHOST_TXN_COMPLETE)
		return -EBUSY;
	return gt_runs(&agent, 1, t) ? 0 : -ETIMEDOUT;
}

/*
 * Traces RARE with an instance's function tracer and stops: that waits for the
 * grace period. Returns the line that failed.
 */
static int stop_tracing(void)
{
	if (mkdir(TRACING, 0755) && errno != EEXIST)
		return __LINE__;
	if (gt_write_file(TRACING "/set_ftrace_filter", RARE) < 0)
		return __LINE__;
	if (gt_write_file(TRACING "/current_tracer", "function") < 0)
		return __LINE__;
	if (gt_write_file(TRACING "/current_tracer", "nop") < 0)
		return __LINE__;
	return rmdir(TRACING) ? __LINE__ : 0;
}

/*
 * A tracing program of RARE comes, is called, and goes. Taking it away waits for
 * a grace period; the code that called it is freed after a further one.
 */
static int attach_and_detach(void)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts);
	static const struct bpf_insn insns[] = { I_MOV(0, 0), I_EXIT };
	struct bpf_prog_info info;
	char domain[65] = "";
	int prog, link;

	opts.expected_attach_type = BPF_TRACE_FENTRY;
	opts.attach_btf_id = libbpf_find_vmlinux_btf_id(RARE, BPF_TRACE_FENTRY);
	prog = bpf_prog_load(BPF_PROG_TYPE_TRACING, "rare", "GPL", insns, 2, &opts);
	if (prog < 0 || gt_write_file(BPF_STATS, "1") < 0)
		return __LINE__;
	link = bpf_link_create(prog, 0, BPF_TRACE_FENTRY, NULL);
	if (link < 0)
		return __LINE__;
	if (getdomainname(domain, sizeof(domain) - 1) ||
	    setdomainname(domain, strlen(domain)))
		return __LINE__;
	if (gt_prog_info(prog, &info) || info.run_cnt != 1)
		return __LINE__;
	gt_write_file(BPF_STATS, "0");
	close(link);
	close(prog);
	return stop_tracing();
}

/* Calls @fn while @t, if there is one, is kept running. 0, or what failed. */
static int beside_task(int (*fn)(void), struct gt_task *t)
{
	pid_t pid = gt_aside(fn);
	int ret = -ETIMEDOUT;

	if (pid < 0)
		return pid;
	gt_wait_long(gt_ended(pid, &ret), {
		if (t)
			gt_put_back(&agent, 1, t);
	});
	return ret;
}

TEST_F_TIMEOUT(beside, grace_period, GT_TEST_S)
{
	if (variant->busy)
		ASSERT_EQ(0, run_task(&self->e, &self->t));
	EXPECT_EQ(0, beside_task(stop_tracing, variant->busy ? &self->t : NULL));
}

TEST_F_TIMEOUT(beside, fentry, GT_TEST_S)
{
	if (access("/sys/kernel/btf/vmlinux", R_OK))
		SKIP(return, "needs CONFIG_DEBUG_INFO_BTF");
	if (variant->busy)
		ASSERT_EQ(0, run_task(&self->e, &self->t));
	EXPECT_EQ(0, beside_task(attach_and_detach,
				 variant->busy ? &self->t : NULL));
}

/* Is it a scheduler's? */
static bool scx_is(const char *state)
{
	char buf[32];

	return gt_read_file(SCX_STATE, buf, sizeof(buf)) > 0 &&
		!strncmp(buf, state, strlen(state));
}

static long add_one(struct gt_agent *a, void *arg)
{
	return (long)arg + 1;
}

/* A sched_ext scheduler comes and goes; each time the enclave works as before. */
TEST_F_TIMEOUT(beside, sched_ext, GT_TEST_S)
{
	struct bpf_object *obj;
	struct bpf_link *link;
	struct bpf_map *map;
	int round;

	if (access(SCX_STATE, R_OK))
		SKIP(return, "needs CONFIG_SCHED_CLASS_EXT");
	/* On the CPU of the enclave it would run before its tasks. */
	ASSERT_EQ(0, gt_pin(self->normal.pid, 0));
	gt_tell(&self->normal, GT_SPIN);
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->w, NULL));
	if (variant->busy)
		ASSERT_EQ(0, run_task(&self->e, &self->t));
	obj = gt_bpf_minimal();
	ASSERT_NE(NULL, obj);
	map = bpf_object__find_map_by_name(obj, "minimal");
	for (round = 0; round < 3; round++) {
		link = bpf_map__attach_struct_ops(map);
		ASSERT_NE(NULL, link);
		EXPECT_TRUE(gt_wait_long(scx_is("enabled"), { }));
		EXPECT_TRUE(gt_spins(&self->normal));
		EXPECT_EQ(5, gt_call(&agent, add_one, (void *)4L));
		gt_put_back(&agent, 1, variant->busy ? &self->t : &self->w);
		EXPECT_TRUE(gt_runs(&agent, 1,
				    variant->busy ? &self->t : &self->w));
		EXPECT_EQ(SCHED_GHOST, gt_policy(self->w.pid));
		EXPECT_EQ(0, bpf_link__destroy(link));
		EXPECT_TRUE(gt_wait_long(scx_is("disabled"), { }));
		EXPECT_TRUE(gt_spins(&self->normal));
		EXPECT_EQ(5, gt_call(&agent, add_one, (void *)4L));
		gt_put_back(&agent, 1, &self->w);
		EXPECT_TRUE(gt_runs(&agent, 1, &self->w));
	}
	bpf_object__close(obj);
}

FIXTURE(waiting) {
	struct gt_enclave e;
	struct gt_task w;
};

FIXTURE_SETUP(waiting)
{
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->w));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->w, NULL));
}

FIXTURE_TEARDOWN(waiting)
{
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	gt_task_end(&self->w);
	EXPECT_EQ(0, self->e.q.gaps);
	gt_enclave_close(&self->e);
}

/* A task that waits for its policy holds a grace period up until it is chosen. */
TEST_F_TIMEOUT(waiting, is_chosen, GT_TEST_S)
{
	int ret = -ETIMEDOUT;
	pid_t pid;

	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->w, NULL));
	pid = gt_aside(stop_tracing);
	ASSERT_LT(0, pid);
	gt_sleep_ms(1000);
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->w, 0));
	EXPECT_TRUE(gt_wait_long(gt_ended(pid, &ret),
				 gt_put_back(&agent, 1, &self->w)));
	EXPECT_EQ(0, ret) TH_LOG("stop_tracing() failed in line %d", ret);
}

/* ... or the enclave's patience is over. */
TEST_F_TIMEOUT(waiting, is_never_chosen, GT_TEST_S)
{
	pid_t host = gt_host_start(&self->e, 1, NULL, NULL);

	ASSERT_LT(0, host);
	ASSERT_LT(0, gt_file_put(&self->e, "runnable_timeout", "3000"));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->w, NULL));
	EXPECT_EQ(0, beside_task(stop_tracing, NULL));
	EXPECT_TRUE(gt_gone(&self->e));
	EXPECT_TRUE(gt_spins(&self->w));
	EXPECT_EQ(host, waitpid(host, NULL, 0));
}

TEST_HARNESS_MAIN
