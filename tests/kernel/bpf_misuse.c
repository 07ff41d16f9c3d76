// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* What programs of ours must not do, and what must not be done with them. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/perf_event.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>

#include "kselftest_harness.h"
#include "gt_bpf.h"

#define V		GHOST_VERSION
#define LEN(insns)	((int)(sizeof(insns) / sizeof((insns)[0])))
#define TIMEOUT		110		/* s */
#define KERNEL_ENOTSUPP	524		/* no number of user space */

static const char * const slot_name[GT_NSLOTS] = {
	"SCHED", "MSG", "SELECT_RQ", "HALT_POLL",
};

/* ---- what the verifier refuses ---- */

struct misuse {
	const char *name, *words;	/* of the verifier, in slot SCHED */
};

static const struct misuse misuses[] = {
	{ "context_at_a_variable_offset", "variable ctx access" },
	{ "context_is_an_atomic", "ctx is not allowed" },
	{ "context_is_an_output", "type=ctx expected" },
	{ "comm_of_unknown_size", "R3" },
	{ "comm_into_read_only", "write into map forbidden" },
	{ "affinity_into_read_only", "write into map forbidden" },
	{ "affinity_into_a_number", "type=scalar expected" },
	{ "sync_commit_of_no_dynptr", "Expected an initialized dynptr" },
	{ "locked_run_gtid", "while holding a lock" },
	{ "locked_wake_agent", "while holding a lock" },
	{ "locked_resched_cpu2", "while holding a lock" },
	{ "locked_sync_commit", "while holding a lock" },
	{ "locked_get_affinity", "while holding a lock" },
	{ "locked_get_comm", "while holding a lock" },
	{ "locked_twice", "bpf_spin_lock" },
	{ "lock_is_kept", "bpf_spin_lock" },
};

static const struct misuse misuses_of_kfuncs[] = {
	{ "status_word_into_nothing", "NULL pointer passed to" },
	{ "status_word_into_read_only", "write into map forbidden" },
	{ "status_word_into_a_number", "R2 type=scalar" },
	{ "status_word_under_a_lock", "while holding a lock" },
	{ "destroy_under_a_lock", "while holding a lock" },
	{ "mask_is_kept", "Unreleased reference" },
	{ "mask_may_be_none", "NULL pointer passed to" },
	{ "mask_was_released", "R2" },
	{ "mask_of_the_kernel", "STRUCT bpf_cpumask" },
	{ "iterator_is_kept", "Unreleased reference" },
	{ "iterator_is_none", "expected an initialized iter_num" },
	{ "object_is_kept", "Unreleased reference" },
	{ "object_may_be_none", "invalid mem access" },
	{ "list_without_its_lock", "must be held" },
	{ "list_with_another_lock", "must be held" },
	{ "listed_twice", "arg#1" },
	{ "taken_and_kept", "Unreleased reference" },
	{ "tree_without_its_lock", "must be held" },
	{ "order_that_calls", "not allowed" },
	{ "order_that_picks", "not allowed" },
	{ "dropped_in_the_tree", "must be referenced or trusted" },
	{ "first_after_the_lock", "invalid mem access" },
	{ "first_without_the_lock", "must be held" },
	{ "removed_after_the_lock", "must be non-owning ref" },
	{ "removed_and_kept", "Unreleased reference" },
	{ "taken_without_the_lock", "must be held" },
	{ "shared_without_a_count", "bpf_refcount field" },
	{ "words_that_may_change", "readonly map" },
};

static void expect_refused(struct __test_metadata *_metadata, const char *object,
			   const struct misuse *m, enum gt_slot slot)
{
	int ret = gt_bpf_misuse(object, m->name, slot);

	EXPECT_TRUE(ret == -EINVAL || ret == -EACCES)
		TH_LOG("%s in %s: %d: %s", m->name, slot_name[slot], ret, gt_log);
	EXPECT_TRUE(slot != GT_SCHED || strstr(gt_log, m->words))
		TH_LOG("%s: not '%s': %s", m->name, m->words, gt_log);
}

FIXTURE(verifier) { };

FIXTURE_SETUP(verifier)
{
}

FIXTURE_TEARDOWN(verifier)
{
}

TEST_F_TIMEOUT(verifier, refuses, TIMEOUT)
{
	int i, slot;

	for (slot = 0; slot < GT_NSLOTS; slot++) {
		EXPECT_EQ(0, gt_bpf_misuse("misuse", "right", slot))
			TH_LOG("%s", gt_log);
		for (i = 0; i < LEN(misuses); i++)
			expect_refused(_metadata, "misuse", &misuses[i], slot);
	}
}

/* In one slot: to look up kfuncs takes time, and they are the same in all. */
TEST_F_TIMEOUT(verifier, refuses_kfuncs, TIMEOUT)
{
	int i;

	if (!gt_has_btf())
		SKIP(return, "kfuncs need BTF");
	EXPECT_EQ(0, gt_bpf_misuse("misuse_kfunc", "right", GT_SCHED))
		TH_LOG("%s", gt_log);
	for (i = 0; i < LEN(misuses_of_kfuncs); i++)
		expect_refused(_metadata, "misuse_kfunc", &misuses_of_kfuncs[i],
			       GT_SCHED);
}

/* run_gtid and sync_commit drop the lock of a run queue, which only SCHED holds. */
TEST(helpers_of_sched_elsewhere)
{
	static const int id[] = {
		BPF_FUNC_ghost_run_gtid, BPF_FUNC_ghost_sync_commit,
	};
	int slot, i;

	for (slot = 0; slot < GT_NSLOTS; slot++)
		for (i = 0; i < LEN(id); i++) {
			struct bpf_insn insns[] = {
				I_MOV(1, 0), I_MOV(2, 0), I_MOV(3, 0), I_CALL(id[i]),
				I_MOV(0, 0), I_EXIT,
			};
			struct gt_prog p = {
				.type = GT_PROG_TYPE(slot),
				.attach = GT_ATTACH(V, slot),
				.insns = insns, .n = LEN(insns),
			};
			int fd = gt_prog_load(&p);

			EXPECT_EQ(slot != GT_SCHED,
				  !!strstr(gt_log, "cannot use helper"))
				TH_LOG("%s %d: %s", slot_name[slot], id[i], gt_log);
			if (fd >= 0)
				close(fd);
		}
}

TEST(no_sleeping_programs)
{
	static const struct bpf_insn insns[] = { I_MOV(0, 0), I_EXIT };
	struct gt_prog p = {
		.insns = insns, .n = LEN(insns), .flags = BPF_F_SLEEPABLE,
	};
	int slot;

	for (slot = 0; slot < GT_NSLOTS; slot++) {
		p.type = GT_PROG_TYPE(slot);
		p.attach = GT_ATTACH(V, slot);
		EXPECT_EQ(-EINVAL, gt_prog_load(&p)) TH_LOG("%s", gt_log);
	}
}

/* ---- maps with what wakes somebody ---- */

/* A hash whose values are 16 bytes of what @add_field adds to @btf, a type. */
static int map_with(int (*add_field)(struct btf *btf, const char *name),
		    const char *name)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts);
	struct btf *btf = btf__new_empty();
	int key, field, value, map = -EINVAL, fd;
	const void *data;
	__u32 size;

	key = btf__add_int(btf, "unsigned long", 8, 0);
	field = add_field(btf, name);
	value = btf__add_struct(btf, "value", 16);
	btf__add_field(btf, "field", field, 0, 0);
	data = btf__raw_data(btf, &size);
	fd = data ? bpf_btf_load(data, size, NULL) : -EINVAL;
	if (fd >= 0) {
		opts.btf_fd = fd;
		opts.btf_key_type_id = key;
		opts.btf_value_type_id = value;
		map = bpf_map_create(BPF_MAP_TYPE_HASH, "map", 8, 16, 1, &opts);
		close(fd);
	}
	btf__free(btf);
	return map;
}

/* A struct @name of 16 bytes. */
static int add_struct(struct btf *btf, const char *name)
{
	int word = btf__add_int(btf, "long", 8, 0);
	int type = btf__add_struct(btf, name, 16);

	btf__add_field(btf, "first", word, 0, 0);
	btf__add_field(btf, "second", word, 64, 0);
	return type;
}

/* A reference to a struct @name of the kernel. */
static int add_reference(struct btf *btf, const char *name)
{
	int type = btf__add_struct(btf, name, 8);

	return btf__add_ptr(btf, btf__add_type_tag(btf, "kptr", type));
}

/* Do programs load that delete an element of @map? */
static void expect_deleter(struct __test_metadata *_metadata, const char *name,
			   int map, bool ok)
{
	struct bpf_insn insns[] = {
		I_MAP_FD(1, map),
		{ .code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = 10, .off = -8 },
		I_COPY(2, 10), I_ADD(2, -8), I_CALL(BPF_FUNC_map_delete_elem),
		I_MOV(0, 0), I_EXIT,
	};
	struct gt_prog p = { .insns = insns, .n = LEN(insns) };
	int slot, fd;

	ASSERT_LE(0, map) TH_LOG("%s", name);
	for (slot = 0; slot < GT_NSLOTS; slot++) {
		p.type = GT_PROG_TYPE(slot);
		p.attach = GT_ATTACH(V, slot);
		fd = gt_prog_load(&p);
		EXPECT_EQ(ok ? 0 : -EINVAL, fd < 0 ? fd : 0)
			TH_LOG("%s in %s: %s", name, slot_name[slot], gt_log);
		EXPECT_EQ(!ok, !!strstr(gt_log, "ghost programs cannot use map"))
			TH_LOG("%s", gt_log);
		if (fd >= 0)
			close(fd);
	}
	close(map);
}

/*
 * An element that goes takes its timer or work with it: that waits for the timer's
 * function, or wakes a worker, under the lock of a run queue.
 */
TEST(no_maps_with_timers_or_work)
{
	expect_deleter(_metadata, "anything", map_with(add_struct, "anything"), true);
	expect_deleter(_metadata, "timer", map_with(add_struct, "bpf_timer"), false);
	expect_deleter(_metadata, "work", map_with(add_struct, "bpf_wq"), false);
}

/* The last reference to a cgroup, for one, wakes a worker. */
TEST(no_maps_with_objects_of_the_kernel)
{
	if (!gt_has_btf())
		SKIP(return, "references need BTF");
	expect_deleter(_metadata, "mask", map_with(add_reference, "bpf_cpumask"), true);
	expect_deleter(_metadata, "cgroup", map_with(add_reference, "cgroup"), false);
	expect_deleter(_metadata, "task", map_with(add_reference, "task_struct"), false);
}

/* A function that replaces one of a program is held to the program's rules. */
TEST(no_other_maps_in_a_replaced_function)
{
	struct gt_bpf b;

	if (!gt_has_btf())
		SKIP(return, "to replace functions needs BTF");
	ASSERT_EQ(0, gt_bpf_replace(&b));
	EXPECT_EQ(0, gt_bpf_replacement(&b, "part_without_a_map"))
		TH_LOG("%s", gt_log);
	EXPECT_EQ(-EINVAL, gt_bpf_replacement(&b, "part_with_a_trie"));
	EXPECT_NE(NULL, strstr(gt_log, "ghost programs cannot use map 'trie'"))
		TH_LOG("%s", gt_log);
	gt_bpf_close(&b);
}

/* ---- what is refused for programs that are loaded ---- */

/* A program of one type is no part of another: it has other helpers and locks. */
TEST(no_tail_calls_between_types)
{
	int slot, other, map, user, prog[GT_NSLOTS];
	__u32 zero = 0;

	for (slot = 0; slot < GT_NSLOTS; slot++) {
		prog[slot] = gt_prog_zero(slot, V);
		ASSERT_LE(0, prog[slot]);
	}
	for (slot = 0; slot < GT_NSLOTS; slot++) {
		map = gt_map_create(BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 1, 0);
		ASSERT_LE(0, map);
		struct bpf_insn insns[] = {
			I_MAP_FD(2, map), I_MOV(3, 0), I_CALL(BPF_FUNC_tail_call),
			I_MOV(0, 0), I_EXIT,
		};
		struct gt_prog p = {
			.type = GT_PROG_TYPE(slot), .attach = GT_ATTACH(V, slot),
			.insns = insns, .n = LEN(insns),
		};

		user = gt_prog_load(&p);
		ASSERT_LE(0, user) TH_LOG("%s", gt_log);
		for (other = 0; other < GT_NSLOTS; other++)
			EXPECT_EQ(other == slot ? 0 : -EINVAL,
				  bpf_map_update_elem(map, &zero, &prog[other], 0))
				TH_LOG("%s in %s", slot_name[other], slot_name[slot]);
		close(user);
		close(map);
	}
	for (slot = 0; slot < GT_NSLOTS; slot++)
		close(prog[slot]);
}

/* Without an enclave, and without the locks: not even for a try. */
TEST(no_test_runs)
{
	char data[64] = "", out[64];
	LIBBPF_OPTS(bpf_test_run_opts, opts,
		    .data_in = data, .data_size_in = sizeof(data),
		    .data_out = out, .data_size_out = sizeof(out), .repeat = 1);
	int slot, prog;

	for (slot = 0; slot < GT_NSLOTS; slot++) {
		prog = gt_prog_zero(slot, V);
		ASSERT_LE(0, prog);
		EXPECT_EQ(-KERNEL_ENOTSUPP, bpf_prog_test_run_opts(prog, &opts));
		close(prog);
	}
}

static int attach_to_perf(int prog)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = 1000000,
	};
	int fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
	int ret;

	if (fd < 0)
		return -errno;
	ret = ioctl(fd, PERF_EVENT_IOC_SET_BPF, prog) ? -errno : 0;
	close(fd);
	return ret;
}

static int attach_to_socket(int prog)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	int ret;

	if (fd < 0)
		return -errno;
	ret = setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &prog, sizeof(prog)) ?
		-errno : 0;
	close(fd);
	return ret;
}

TEST(attached_to_nothing_else)
{
	int slot, prog, root = open("/", O_RDONLY | O_DIRECTORY);

	for (slot = 0; slot < GT_NSLOTS; slot++) {
		prog = gt_prog_zero(slot, V);
		ASSERT_LE(0, prog);
		EXPECT_EQ(-EINVAL, attach_to_perf(prog));
		EXPECT_EQ(-EINVAL, attach_to_socket(prog));
		EXPECT_EQ(-EINVAL, bpf_raw_tracepoint_open("sched_switch", prog));
		EXPECT_EQ(-EINVAL, bpf_prog_attach(prog, root, GT_ATTACH(V, slot), 0));
		EXPECT_EQ(-EINVAL, bpf_prog_attach(prog, root,
						   BPF_CGROUP_INET_INGRESS, 0));
		close(prog);
	}
	close(root);
}

TEST_HARNESS_MAIN
