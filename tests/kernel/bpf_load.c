// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Loading BPF programs: types, contexts, helpers, kfuncs, maps, permission. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <bpf/btf.h>

#include "kselftest_harness.h"
#include "gt_bpf.h"

#define V	GHOST_VERSION
#define LEN(insns) ((int)(sizeof(insns) / sizeof((insns)[0])))

static const size_t ctx_size[GT_NSLOTS] = {
	sizeof(struct bpf_ghost_sched), sizeof(struct bpf_ghost_msg),
	sizeof(struct bpf_ghost_select_rq), sizeof(struct bpf_ghost_halt_poll),
};

static const char * const slot_name[GT_NSLOTS] = {
	"SCHED", "MSG", "SELECT_RQ", "HALT_POLL",
};

/* Load for @slot, and close; returns 0 or -errno. */
static int try_load(enum gt_slot slot, const struct bpf_insn *insns, int n)
{
	struct gt_prog p = {
		.type	= GT_PROG_TYPE(slot),
		.attach	= GT_ATTACH(V, slot),
		.insns	= insns,
		.n	= n,
	};
	int fd = gt_prog_load(&p);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 0;
}

TEST(sizes)
{
	EXPECT_EQ(16, sizeof(struct bpf_ghost_sched));
	EXPECT_EQ(64, sizeof(struct bpf_ghost_msg));
	EXPECT_EQ(48, offsetof(struct bpf_ghost_msg, type));
	EXPECT_EQ(52, offsetof(struct bpf_ghost_msg, seqnum));
	EXPECT_EQ(56, offsetof(struct bpf_ghost_msg, pref_cpu));
	EXPECT_EQ(32, sizeof(struct bpf_ghost_select_rq));
	EXPECT_EQ(24, offsetof(struct bpf_ghost_select_rq, skip_ttwu_queue));
	EXPECT_EQ(4, sizeof(struct bpf_ghost_halt_poll));
	EXPECT_EQ(48, sizeof(struct bpf_sync_commit_args));
	EXPECT_EQ(8, offsetof(struct bpf_ghost_sched, next_gtid));
}

/* ---- types ---- */

TEST(types)
{
	struct bpf_prog_info info;
	char path[64], buf[512];
	int fd, slot;

	for (slot = 0; slot < GT_NSLOTS; slot++) {
		fd = gt_prog_zero(slot, V);
		ASSERT_LE(0, fd) TH_LOG("%s: %s", slot_name[slot], gt_log);
		EXPECT_EQ(0, gt_prog_info(fd, &info));
		EXPECT_EQ(GT_PROG_TYPE(slot), info.type);
		snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
		ASSERT_LT(0, gt_read_file(path, buf, sizeof(buf)));
		snprintf(path, sizeof(path), "prog_type:\t%u\n", GT_PROG_TYPE(slot));
		EXPECT_NE(NULL, strstr(buf, path)) TH_LOG("%s", buf);
		close(fd);
		fd = gt_prog_zero(slot, 90);
		EXPECT_LE(0, fd);
		close(fd);
	}
}

/* Neither the kernel's own numbers nor the neighbours. */
TEST(no_such_types)
{
	static const struct bpf_insn insns[] = { I_MOV(0, 0), I_EXIT };
	struct gt_prog p = { .insns = insns, .n = LEN(insns) };
	static const unsigned int far[] = {
		64, 100, 998, 999, 1004, 1005, 65536, 0x7fffffff, 0xffffffff,
	};
	int i, slot;

	for (slot = 0; slot < GT_NSLOTS; slot++) {
		p.attach = GT_ATTACH(V, slot);
		/* 32 is Linux 6.12's last. */
		for (i = 33; i < 64; i++) {
			p.type = i;
			EXPECT_EQ(-EINVAL, gt_prog_load(&p)) TH_LOG("type %d", i);
		}
		for (i = 0; i < LEN(far); i++) {
			p.type = far[i];
			EXPECT_EQ(-EINVAL, gt_prog_load(&p))
				TH_LOG("type %u", far[i]);
		}
	}
	/* What may be a type of a later ABI is refused with words. */
	p.type = 1004;
	EXPECT_EQ(-EINVAL, gt_prog_load(&p));
	EXPECT_NE(NULL, strstr(gt_log, "program type 1004 is unknown")) TH_LOG("%s", gt_log);
	p.type = 1000;
	EXPECT_EQ(-EINVAL, gt_prog_load(&p));
	EXPECT_EQ(NULL, strstr(gt_log, "unknown")) TH_LOG("%s", gt_log);
}

TEST(type_and_attach_type)
{
	static const struct bpf_insn insns[] = { I_MOV(0, 0), I_EXIT };
	struct gt_prog p = { .insns = insns, .n = LEN(insns) };
	int slot, attach, fd;

	for (slot = 0; slot < GT_NSLOTS; slot++) {
		for (attach = -1; attach <= GT_NSLOTS; attach++) {
			p.type = GT_PROG_TYPE(slot);
			p.attach = GT_ATTACH(V, attach);
			fd = gt_prog_load(&p);
			EXPECT_EQ(attach == slot ? 0 : -EINVAL, fd < 0 ? fd : 0)
				TH_LOG("%s as %d", slot_name[slot], attach);
			EXPECT_EQ(attach != slot, !!strstr(gt_log, " has attach type "))
				TH_LOG("%s", gt_log);
			close(fd);
		}
		p.attach = 0;
		EXPECT_EQ(-EINVAL, gt_prog_load(&p));
		/* Only the low 16 bits count. */
		p.attach = GT_ATTACH(12, slot);
		fd = gt_prog_load(&p);
		EXPECT_LE(0, fd);
		close(fd);
	}
}

TEST(needs_capability)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	int slot, status, fd;
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		/* CAP_BPF alone is enough... */
		memset(data, 0, sizeof(data));
		data[CAP_BPF / 32].effective = 1U << (CAP_BPF % 32);
		data[CAP_BPF / 32].permitted = 1U << (CAP_BPF % 32);
		if (syscall(SYS_capset, &head, data))
			_exit(100);
		for (slot = 0; slot < GT_NSLOTS; slot++) {
			fd = gt_prog_zero(slot, V);
			if (fd < 0)
				_exit(10 + slot);
			close(fd);
		}
		/* ... and necessary. */
		memset(data, 0, sizeof(data));
		if (syscall(SYS_capset, &head, data))
			_exit(101);
		for (slot = 0; slot < GT_NSLOTS; slot++)
			if (gt_prog_zero(slot, V) != -EPERM)
				_exit(20 + slot);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status) TH_LOG("status %x", status);
}

/* ---- contexts ---- */

static int try_access(enum gt_slot slot, bool write, int code, int off)
{
	struct bpf_insn r[] = {
		I_LOAD(code, 0, 1, off), I_MOV(0, 0), I_EXIT,
	};
	struct bpf_insn w[] = {
		I_MOV(0, 0), I_STORE(code, 1, off, 0), I_EXIT,
	};

	return try_load(slot, write ? w : r, 3);
}

static const struct { int code, size; } widths[] = {
	{ BPF_B, 1 }, { BPF_H, 2 }, { BPF_W, 4 }, { BPF_DW, 8 },
};

/* Every aligned byte, half, word and double word, padding included. */
TEST(context_access)
{
	int slot, i, write;
	size_t off;

	for (slot = 0; slot < GT_NSLOTS; slot++)
		for (write = 0; write < 2; write++)
			for (i = 0; i < LEN(widths); i++)
				for (off = 0; off + widths[i].size <= ctx_size[slot];
				     off += widths[i].size)
					EXPECT_EQ(0, try_access(slot, write,
								widths[i].code, off))
						TH_LOG("%s %d bytes at %zu: %s",
						       slot_name[slot],
						       widths[i].size, off, gt_log);
}

TEST(context_access_beyond)
{
	int slot, i, write, size, end;

	for (slot = 0; slot < GT_NSLOTS; slot++) {
		end = ctx_size[slot];
		for (write = 0; write < 2; write++)
			for (i = 0; i < LEN(widths); i++) {
				size = widths[i].size;
				EXPECT_EQ(-EACCES, try_access(slot, write,
							      widths[i].code, end));
				EXPECT_EQ(-EACCES, try_access(slot, write,
							      widths[i].code, -size));
				EXPECT_EQ(-EACCES, try_access(slot, write,
							      widths[i].code,
							      end + 4096));
				if (size == 1)
					continue;
				/* Half in, and not aligned. */
				EXPECT_EQ(-EACCES, try_access(slot, write,
							      widths[i].code,
							      end - size / 2));
				EXPECT_EQ(-EACCES, try_access(slot, write,
							      widths[i].code, 1));
			}
	}
}

/* Refused in words; what touches no context loads. */
TEST(context_of_an_unknown_abi)
{
	static const struct bpf_insn insns[] = {
		I_LOAD(BPF_W, 0, 1, 0), I_MOV(0, 0), I_EXIT,
	};
	static const unsigned int abi[] = { 0, 1, 89, 92, 65535 };
	struct gt_prog p = { .insns = insns, .n = LEN(insns) };
	int slot, i, fd;

	for (slot = 0; slot < GT_NSLOTS; slot++)
		for (i = 0; i < LEN(abi); i++) {
			p.type = GT_PROG_TYPE(slot);
			p.attach = GT_ATTACH(abi[i], slot);
			EXPECT_EQ(-EACCES, gt_prog_load(&p));
			EXPECT_NE(NULL, strstr(gt_log, "is not supported"))
				TH_LOG("%s", gt_log);
			fd = gt_prog_zero(slot, abi[i]);
			EXPECT_LE(0, fd);
			close(fd);
		}
}

/* ---- helpers ---- */

/* All arguments are plain numbers, or memory on the stack of 16 bytes. */
static int try_helper(enum gt_slot slot, int id, bool memory, const char *license)
{
	struct bpf_insn insns[] = {
		I_MOV(1, 0), I_MOV(2, 0), I_MOV(3, 0), I_MOV(4, 0), I_MOV(5, 0),
		I_CALL(id), I_MOV(0, 0), I_EXIT,
	};
	struct bpf_insn with_memory[] = {
		I_MOV(1, 0), I_COPY(2, 10), I_ADD(2, -16), I_MOV(3, 16),
		I_CALL(id), I_MOV(0, 0), I_EXIT,
	};
	struct gt_prog p = {
		.type		= GT_PROG_TYPE(slot),
		.attach		= GT_ATTACH(V, slot),
		.insns		= memory ? with_memory : insns,
		.n		= memory ? LEN(with_memory) : LEN(insns),
		.license	= license,
	};
	int fd = gt_prog_load(&p);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 0;
}

TEST(own_helpers)
{
	static const struct {
		int id;
		bool memory, sched_only;
	} t[] = {
		{ 3000 }, { 3001, .sched_only = true }, { 3003 },
		{ 3005, .memory = true }, { 3006, .memory = true },
	};
	int slot, i;

	for (slot = 0; slot < GT_NSLOTS; slot++)
		for (i = 0; i < LEN(t); i++) {
			bool ok = slot == GT_SCHED || !t[i].sched_only;

			EXPECT_EQ(ok ? 0 : -EINVAL,
				  try_helper(slot, t[i].id, t[i].memory, "GPL"))
				TH_LOG("%s %d: %s", slot_name[slot], t[i].id, gt_log);
			EXPECT_EQ(-EINVAL, try_helper(slot, t[i].id, t[i].memory,
						      "Proprietary"));
		}
}

/* Memory is checked by its size: more than is there is refused. */
TEST(memory_of_helpers)
{
	static const int id[] = { 3005, 3006 };
	int slot, i, size;

	for (slot = 0; slot < GT_NSLOTS; slot++)
		for (i = 0; i < LEN(id); i++)
			for (size = -8; size <= 32; size += 8) {
				struct bpf_insn insns[] = {
					I_MOV(1, 0), I_COPY(2, 10), I_ADD(2, -16),
					I_MOV(3, size), I_CALL(id[i]), I_MOV(0, 0),
					I_EXIT,
				};
				bool ok = size > 0 && size <= 16;

				EXPECT_EQ(ok, !try_load(slot, insns, LEN(insns)))
					TH_LOG("%d, %d bytes: %s", id[i], size,
					       gt_log);
			}
}

/* sync_commit wants a dynptr, not a number; the rest does not exist. */
TEST(helpers_refused)
{
	static const int id[] = { 2999, 3002, 3004, 3007, 65536, -1 };
	int slot, i;

	for (slot = 0; slot < GT_NSLOTS; slot++)
		for (i = 0; i < LEN(id); i++)
			EXPECT_NE(0, try_helper(slot, id[i], false, "GPL"))
				TH_LOG("%s %d", slot_name[slot], id[i]);
}

/* Other types do not get them. */
TEST(helpers_of_other_types)
{
	struct bpf_insn insns[] = {
		I_MOV(1, 0), I_MOV(2, 0), I_MOV(3, 0), I_CALL(3001), I_EXIT,
	};
	struct gt_prog p = { .insns = insns, .n = LEN(insns) };
	static const int types[] = {
		BPF_PROG_TYPE_SOCKET_FILTER, BPF_PROG_TYPE_RAW_TRACEPOINT,
		BPF_PROG_TYPE_XDP, BPF_PROG_TYPE_SCHED_CLS,
	};
	int i;

	for (i = 0; i < LEN(types); i++) {
		p.type = types[i];
		EXPECT_EQ(-EINVAL, gt_prog_load(&p)) TH_LOG("type %d", types[i]);
	}
}

TEST(helpers_of_bpf)
{
	static const struct {
		int id;
		bool ok;
	} t[] = {
		{ BPF_FUNC_ktime_get_ns, true },
		{ BPF_FUNC_get_smp_processor_id, true },
		{ BPF_FUNC_get_prandom_u32, true },
		{ BPF_FUNC_jiffies64, true },
		{ BPF_FUNC_get_current_task, true },
		{ BPF_FUNC_send_signal, false },
		{ BPF_FUNC_get_current_comm, false },
		{ BPF_FUNC_override_return, false },
	};
	int slot, i;

	for (slot = 0; slot < GT_NSLOTS; slot++)
		for (i = 0; i < LEN(t); i++)
			EXPECT_EQ(t[i].ok ? 0 : -EINVAL,
				  try_helper(slot, t[i].id, false, "GPL"))
				TH_LOG("%s %d: %s", slot_name[slot], t[i].id, gt_log);
}

/* Those that trace need CAP_PERFMON besides. */
TEST(helpers_that_trace)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { };
	int slot, status;
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		data[CAP_BPF / 32].effective = 1U << (CAP_BPF % 32);
		data[CAP_BPF / 32].permitted = 1U << (CAP_BPF % 32);
		if (syscall(SYS_capset, &head, data))
			_exit(100);
		for (slot = 0; slot < GT_NSLOTS; slot++) {
			if (try_helper(slot, BPF_FUNC_ktime_get_ns, false, "GPL"))
				_exit(10 + slot);
			if (try_helper(slot, BPF_FUNC_get_current_task, false,
				       "GPL") != -EINVAL ||
			    !strstr(gt_log, "cannot use helper"))
				_exit(20 + slot);
		}
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status) TH_LOG("status %x", status);
}

/* Timers wake under the locks that are held: refused whatever they are given. */
TEST(no_timers)
{
	static const int id[] = {
		BPF_FUNC_timer_init, BPF_FUNC_timer_set_callback,
		BPF_FUNC_timer_start, BPF_FUNC_timer_cancel,
	};
	int slot, i;

	for (slot = 0; slot < GT_NSLOTS; slot++)
		for (i = 0; i < LEN(id); i++) {
			EXPECT_EQ(-EINVAL, try_helper(slot, id[i], false, "GPL"));
			EXPECT_NE(NULL, strstr(gt_log, "cannot use helper"))
				TH_LOG("%s", gt_log);
		}
}

/* ---- kfuncs ---- */

static int try_kfunc(unsigned int type, unsigned int attach, int id)
{
	struct bpf_insn insns[] = {
		I_MOV(1, 0), I_MOV(2, 0), I_MOV(3, 0), I_MOV(4, 0), I_MOV(5, 0),
		I_KFUNC(id), I_MOV(0, 0), I_EXIT,
	};
	struct gt_prog p = {
		.type = type, .attach = attach, .insns = insns, .n = LEN(insns),
	};
	int fd = gt_prog_load(&p);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 0;
}

static bool not_allowed(void)
{
	return strstr(gt_log, "is not allowed");
}

/* What is missing is said in words. */
TEST(kfuncs_without_btf)
{
	int slot;

	if (gt_has_btf())
		SKIP(return, "this kernel has BTF");
	for (slot = 0; slot < GT_NSLOTS; slot++) {
		EXPECT_NE(0, try_kfunc(GT_PROG_TYPE(slot), GT_ATTACH(V, slot), 1));
		EXPECT_NE(NULL, strstr(gt_log,
				       "not supported without CONFIG_DEBUG_INFO_BTF"))
			TH_LOG("%s", gt_log);
	}
}

TEST(kfuncs)
{
	static const struct {
		const char *name;
		bool allowed;
		bool loads;		/* with five zeroes */
		bool sched_only;
	} t[] = {
		{ "bpf_ghost_destroy_enclave", true, false },
		{ "bpf_ghost_status_word", true, false },
		{ "bpf_ghost_try_run", true, true, true },
		{ "bpf_rbtree_first", true, false },
		{ "bpf_rbtree_add_impl", true, false },
		{ "bpf_list_push_back_impl", true, false },
		{ "bpf_obj_drop_impl", true, false },
		{ "bpf_cpumask_test_cpu", true, false },
		{ "bpf_iter_num_new", true, false },
		{ "bpf_wq_init", false, false },
		{ "bpf_wq_start", false, false },
		{ "bpf_wq_set_callback_impl", false, false },
		{ "bpf_task_from_pid", false, false },
		{ "bpf_task_acquire", false, false },
		{ "bpf_iter_task_new", false, false },
		{ "bpf_throw", false, false },
		{ "bpf_preempt_disable", false, false },
	};
	struct btf *btf = btf__load_vmlinux_btf();
	int slot, i, id, ret;
	bool here;

	if (!gt_has_btf())
		SKIP(return, "kfuncs need BTF");
	ASSERT_NE(NULL, btf);
	for (i = 0; i < LEN(t); i++) {
		id = btf__find_by_name_kind(btf, t[i].name, BTF_KIND_FUNC);
		ASSERT_LT(0, id) TH_LOG("%s", t[i].name);
		for (slot = 0; slot < GT_NSLOTS; slot++) {
			ret = try_kfunc(GT_PROG_TYPE(slot), GT_ATTACH(V, slot), id);
			here = !t[i].sched_only || slot == GT_SCHED;
			EXPECT_EQ(t[i].loads && here, ret == 0)
				TH_LOG("%s: %s", t[i].name, gt_log);
			EXPECT_EQ(t[i].allowed && here, !not_allowed())
				TH_LOG("%s %s: %s", slot_name[slot], t[i].name,
				       gt_log);
		}
	}
	/* Ours are for our types only. */
	for (i = 0; i < 3; i++) {
		id = btf__find_by_name_kind(btf, t[i].name, BTF_KIND_FUNC);
		EXPECT_NE(0, try_kfunc(BPF_PROG_TYPE_SCHED_CLS, 0, id));
		EXPECT_TRUE(not_allowed()) TH_LOG("%s", gt_log);
		EXPECT_NE(0, try_kfunc(BPF_PROG_TYPE_TRACEPOINT, 0, id));
		EXPECT_TRUE(not_allowed()) TH_LOG("%s", gt_log);
	}
	/* What BPF gives to others it still gives to them, and to no more. */
	id = btf__find_by_name_kind(btf, "bpf_rbtree_first", BTF_KIND_FUNC);
	EXPECT_NE(0, try_kfunc(BPF_PROG_TYPE_SCHED_CLS, 0, id));
	EXPECT_FALSE(not_allowed()) TH_LOG("%s", gt_log);
	EXPECT_NE(0, try_kfunc(BPF_PROG_TYPE_SOCKET_FILTER, 0, id));
	EXPECT_TRUE(not_allowed()) TH_LOG("%s", gt_log);
	id = btf__find_by_name_kind(btf, "bpf_wq_start", BTF_KIND_FUNC);
	EXPECT_NE(0, try_kfunc(BPF_PROG_TYPE_SCHED_CLS, 0, id));
	EXPECT_FALSE(not_allowed()) TH_LOG("%s", gt_log);
	btf__free(btf);
}

/* A status word needs 32 bytes of memory. */
TEST(memory_of_kfuncs)
{
	struct btf *btf = btf__load_vmlinux_btf();
	int id, size;

	if (!gt_has_btf())
		SKIP(return, "kfuncs need BTF");
	ASSERT_NE(NULL, btf);
	id = btf__find_by_name_kind(btf, "bpf_ghost_status_word", BTF_KIND_FUNC);
	ASSERT_LT(0, id);
	for (size = 8; size <= 40; size += 8) {
		struct bpf_insn insns[] = {
			I_MOV(1, 0), I_COPY(2, 10), I_ADD(2, -size),
			I_KFUNC(id), I_MOV(0, 0), I_EXIT,
		};

		EXPECT_EQ(size >= 32, !try_load(GT_SCHED, insns, LEN(insns)))
			TH_LOG("%d bytes: %s", size, gt_log);
	}
	btf__free(btf);
}

/* ---- maps ---- */

static int try_map(enum gt_slot slot, int map)
{
	struct bpf_insn insns[] = {
		I_MAP_FD(1, map),
		{ .code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = 10, .off = -8 },
		I_COPY(2, 10), I_ADD(2, -8), I_CALL(BPF_FUNC_map_lookup_elem),
		I_MOV(0, 0), I_EXIT,
	};

	return try_load(slot, insns, LEN(insns));
}

/* A LPM trie allocates with the page allocator's wake-ups. */
TEST(maps)
{
	static const struct {
		int type, key, value, max, flags;
		bool ok;
	} t[] = {
		{ BPF_MAP_TYPE_ARRAY, 4, 8, 1, 0, true },
		{ BPF_MAP_TYPE_HASH, 8, 8, 1, 0, true },
		{ BPF_MAP_TYPE_HASH, 8, 8, 1, BPF_F_NO_PREALLOC, true },
		{ BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 1, 0, true },
		{ BPF_MAP_TYPE_LRU_HASH, 8, 8, 8, 0, true },
		{ BPF_MAP_TYPE_LPM_TRIE, 8, 8, 1, BPF_F_NO_PREALLOC, false },
	};
	int slot, i, map;

	for (i = 0; i < LEN(t); i++) {
		map = gt_map_create(t[i].type, t[i].key, t[i].value, t[i].max,
				    t[i].flags);
		ASSERT_LE(0, map) TH_LOG("map type %d", t[i].type);
		for (slot = 0; slot < GT_NSLOTS; slot++)
			EXPECT_EQ(t[i].ok ? 0 : -EINVAL, try_map(slot, map))
				TH_LOG("%s map type %d: %s", slot_name[slot],
				       t[i].type, gt_log);
		close(map);
	}
}

/* ---- the ban ---- */

TEST(load_ban)
{
	struct gt_enclave e;
	int status;
	pid_t pid;

	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_bare(&e));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		int slot;

		if (gt_put(e.ctl, "disable my bpf_prog_load") < 0)
			_exit(1);
		for (slot = 0; slot < GT_NSLOTS; slot++)
			if (gt_prog_zero(slot, V) != -EPERM)
				_exit(2);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	gt_destroy(&e);
	gt_enclave_close(&e);
}

TEST_HARNESS_MAIN
