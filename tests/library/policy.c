// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* libghost-bpf on the real kernel: attach, replace, hand over. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <ghost/policy.h>

#include "kselftest_harness.h"
#include "slots.h"

#define CPU		1
#define TRIES		200	/* 10 ms apart */

static struct bpf_object *open_object(void)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "slots");

	return bpf_object__open_mem(_binary_slots_bpf_o_start,
				    _binary_slots_bpf_o_end -
				    _binary_slots_bpf_o_start, &opts);
}

static void leave_out(struct bpf_object *object, const char *name)
{
	bpf_program__set_autoload(bpf_object__find_program_by_name(object, name),
				  false);
}

/* The programs msg and sched, or only one of them. */
static struct bpf_object *load_object(const char *without)
{
	struct bpf_object *object = open_object();

	if (!object)
		return NULL;
	leave_out(object, "second");
	if (without)
		leave_out(object, without);
	if (!ghost_policy_prepare(object) && !bpf_object__load(object))
		return object;
	bpf_object__close(object);
	return NULL;
}

static int read_counts(struct bpf_object *object, struct slots *slots)
{
	struct bpf_map *map = bpf_object__find_map_by_name(object, ".bss");
	int zero = 0;

	return bpf_map__lookup_elem(map, &zero, sizeof(zero), slots,
				    sizeof(*slots), 0);
}

/* The CPU schedules all the time: is it this object that sees it? */
static bool counts(struct bpf_object *object)
{
	const struct timespec pause = { .tv_nsec = 10000000 };
	struct slots then, now;
	int tries;

	if (read_counts(object, &then))
		return false;
	for (tries = 0; tries < TRIES; tries++) {
		nanosleep(&pause, NULL);
		if (read_counts(object, &now))
			return false;
		if (now.schedules != then.schedules)
			return true;
	}
	return false;
}

static bool stands_still(struct bpf_object *object)
{
	const struct timespec pause = { .tv_nsec = 10000000 };
	struct slots then, now;
	int tries;

	/* What runs when it is taken out may end a moment later. */
	nanosleep(&pause, NULL);
	if (read_counts(object, &then))
		return false;
	for (tries = 0; tries < 10; tries++)
		nanosleep(&pause, NULL);
	return !read_counts(object, &now) && now.schedules == then.schedules;
}

FIXTURE(policy) {
	struct ghost_enclave *e;
	struct ghost_policy *p;
	struct bpf_object *a, *b;
};

FIXTURE_SETUP(policy)
{
	struct ghost_enclave_options o = { .cpus = "1" };
	const char *problem = ghost_fs_problem(NULL);
	cpu_set_t cpu;
	int err;

	if (problem)
		SKIP(return, "%s", problem);
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "needs 2 CPUs");
	CPU_ZERO(&cpu);
	CPU_SET(CPU, &cpu);
	ASSERT_EQ(sched_setaffinity(0, sizeof(cpu), &cpu), 0);
	err = ghost_enclave_create(&self->e, &o);
	ASSERT_EQ(err, 0) TH_LOG("%s: %s", o.failed, strerror(-err));
	self->a = load_object(NULL);
	ASSERT_NE(self->a, NULL);
	self->b = load_object(NULL);
	ASSERT_NE(self->b, NULL);
}

FIXTURE_TEARDOWN(policy)
{
	ghost_policy_close(self->p);
	bpf_object__close(self->a);
	bpf_object__close(self->b);
	if (!self->e)
		return;
	ghost_policy_undir(self->e, NULL);
	ghost_enclave_destroy(self->e);
	ghost_enclave_close(self->e);
}

TEST(prepare)
{
	struct bpf_object *object = open_object();

	ASSERT_NE(object, NULL);
	EXPECT_EQ(ghost_policy_prepare(object), -EEXIST);
	leave_out(object, "second");
	EXPECT_EQ(ghost_policy_prepare(object), 0);
	leave_out(object, "sched");
	leave_out(object, "msg");
	EXPECT_EQ(ghost_policy_prepare(object), -ENOENT);
	bpf_object__close(object);
}

TEST_F(policy, attach_and_detach)
{
	struct ghost_policy *other = NULL;

	ASSERT_EQ(ghost_policy_attach(&self->p, self->e, self->a), 0);
	EXPECT_TRUE(counts(self->a));
	EXPECT_EQ(ghost_policy_attach(&other, self->e, self->b), -EBUSY);
	EXPECT_EQ(other, NULL);
	EXPECT_TRUE(counts(self->a));

	ghost_policy_close(self->p);
	self->p = NULL;
	EXPECT_TRUE(stands_still(self->a));
	ASSERT_EQ(ghost_policy_attach(&self->p, self->e, self->b), 0);
	EXPECT_TRUE(counts(self->b));
}

TEST_F(policy, replace)
{
	ASSERT_EQ(ghost_policy_attach(&self->p, self->e, self->a), 0);
	ASSERT_EQ(ghost_policy_replace(self->p, self->b), 0);
	EXPECT_TRUE(counts(self->b));
	EXPECT_TRUE(stands_still(self->a));
	ASSERT_EQ(ghost_policy_replace(self->p, self->a), 0);
	EXPECT_TRUE(counts(self->a));
}

TEST_F(policy, replace_with_fewer_and_more)
{
	struct bpf_object *less = load_object("msg");
	struct bpf_object *msg = load_object("sched");
	struct ghost_policy *other = NULL;

	ASSERT_NE(less, NULL);
	ASSERT_NE(msg, NULL);
	ASSERT_EQ(ghost_policy_attach(&self->p, self->e, self->a), 0);
	EXPECT_EQ(ghost_policy_attach(&other, self->e, msg), -EBUSY);
	ASSERT_EQ(ghost_policy_replace(self->p, less), 0);
	EXPECT_EQ(ghost_policy_attach(&other, self->e, msg), 0);
	ghost_policy_close(other);
	ASSERT_EQ(ghost_policy_replace(self->p, self->b), 0);
	EXPECT_EQ(ghost_policy_attach(&other, self->e, msg), -EBUSY);
	bpf_object__close(less);
	bpf_object__close(msg);
}

TEST_F(policy, pins_outlive_the_process)
{
	struct ghost_policy *other = NULL;

	EXPECT_EQ(ghost_policy_open(&other, self->e), -ENOENT);
	ASSERT_EQ(ghost_policy_attach(&self->p, self->e, self->a), 0);
	ASSERT_EQ(ghost_policy_pin(self->p), 0);
	EXPECT_EQ(ghost_policy_pin(self->p), 0);
	ghost_policy_close(self->p);
	self->p = NULL;
	EXPECT_TRUE(counts(self->a));
	EXPECT_EQ(ghost_policy_attach(&other, self->e, self->b), -EBUSY);

	ASSERT_EQ(ghost_policy_open(&self->p, self->e), 0);
	ASSERT_EQ(ghost_policy_replace(self->p, self->b), 0);
	EXPECT_TRUE(counts(self->b));
	EXPECT_EQ(ghost_policy_undir(self->e, NULL), 0);
	EXPECT_TRUE(counts(self->b));
	ghost_policy_close(self->p);
	self->p = NULL;
	EXPECT_TRUE(stands_still(self->b));
}

TEST_F(policy, maps_are_shared)
{
	struct slots slots = { .messages = 42 };
	struct bpf_object *first = open_object(), *second = open_object();
	struct bpf_map *map;
	int zero = 0;

	ASSERT_NE(first, NULL);
	ASSERT_NE(second, NULL);
	leave_out(first, "second");
	leave_out(second, "second");
	ASSERT_EQ(ghost_policy_prepare(first), 0);
	ASSERT_EQ(ghost_policy_prepare(second), 0);

	EXPECT_EQ(ghost_policy_share_maps(first, self->e, "slots"), 0);
	ASSERT_EQ(bpf_object__load(first), 0);
	map = bpf_object__find_map_by_name(first, ".bss");
	ASSERT_EQ(bpf_map__update_elem(map, &zero, sizeof(zero), &slots,
				       sizeof(slots), 0), 0);
	EXPECT_EQ(ghost_policy_share_maps(second, self->e, "slots"), 1);
	ASSERT_EQ(bpf_object__load(second), 0);
	ASSERT_EQ(read_counts(second, &slots), 0);
	EXPECT_EQ(slots.messages, 42);

	EXPECT_EQ(ghost_policy_undir(self->e, "slots"), 0);
	EXPECT_EQ(ghost_policy_undir(self->e, "slots"), -ENOENT);
	bpf_object__close(first);
	bpf_object__close(second);
}

TEST_HARNESS_MAIN
