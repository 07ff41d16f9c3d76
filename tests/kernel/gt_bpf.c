// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* BPF programs in the ABI tests. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "gt_bpf.h"

/* The objects, linked in as they are. */
extern const char _binary_probe_bpf_o_start[], _binary_probe_bpf_o_end[];
extern const char _binary_probe_abi_bpf_o_start[], _binary_probe_abi_bpf_o_end[];
extern const char _binary_fifo_bpf_o_start[], _binary_fifo_bpf_o_end[];
extern const char _binary_tree_bpf_o_start[], _binary_tree_bpf_o_end[];
extern const char _binary_minimal_bpf_o_start[], _binary_minimal_bpf_o_end[];
extern const char _binary_kit_bpf_o_start[], _binary_kit_bpf_o_end[];
extern const char _binary_misuse_bpf_o_start[], _binary_misuse_bpf_o_end[];
extern const char _binary_misuse_kfunc_bpf_o_start[], _binary_misuse_kfunc_bpf_o_end[];
extern const char _binary_hold_bpf_o_start[], _binary_hold_bpf_o_end[];
extern const char _binary_replace_bpf_o_start[], _binary_replace_bpf_o_end[];

char gt_log[65536];

static const char * const slot_name[GT_NSLOTS] = {
	"sched", "msg", "select_rq", "halt_poll",
};

static int sys_bpf(int cmd, union bpf_attr *attr)
{
	int ret = syscall(SYS_bpf, cmd, attr, sizeof(*attr));

	return ret < 0 ? -errno : ret;
}

int gt_prog_load(const struct gt_prog *p)
{
	union bpf_attr attr = {
		.prog_type		= p->type,
		.expected_attach_type	= p->attach,
		.insns			= (uintptr_t)p->insns,
		.insn_cnt		= p->n,
		.license		= (uintptr_t)(p->license ? p->license : "GPL"),
		.prog_flags		= p->flags,
		.log_level		= 1,
		.log_buf		= (uintptr_t)gt_log,
		.log_size		= sizeof(gt_log),
	};

	gt_log[0] = '\0';
	return sys_bpf(BPF_PROG_LOAD, &attr);
}

int gt_prog_zero(enum gt_slot slot, unsigned int abi)
{
	static const struct bpf_insn insns[] = { I_MOV(0, 0), I_EXIT };
	struct gt_prog p = {
		.type	= GT_PROG_TYPE(slot),
		.attach	= GT_ATTACH(abi, slot),
		.insns	= insns,
		.n	= 2,
	};

	return gt_prog_load(&p);
}

static int object_info(int fd, void *info, size_t size)
{
	union bpf_attr attr = {
		.info.bpf_fd	= fd,
		.info.info_len	= size,
		.info.info	= (uintptr_t)info,
	};

	memset(info, 0, size);
	return sys_bpf(BPF_OBJ_GET_INFO_BY_FD, &attr);
}

int gt_prog_info(int fd, struct bpf_prog_info *info)
{
	return object_info(fd, info, sizeof(*info));
}

int gt_link_info(int fd, struct bpf_link_info *info)
{
	return object_info(fd, info, sizeof(*info));
}

int gt_link_create(int prog, int target, unsigned int attach, unsigned int flags)
{
	union bpf_attr attr = {
		.link_create.prog_fd		= prog,
		.link_create.target_fd		= target,
		.link_create.attach_type	= attach,
		.link_create.flags		= flags,
	};

	return sys_bpf(BPF_LINK_CREATE, &attr);
}

int gt_link_update(int link, int prog, int old, unsigned int flags)
{
	union bpf_attr attr = {
		.link_update.link_fd		= link,
		.link_update.new_prog_fd	= prog,
		.link_update.old_prog_fd	= old,
		.link_update.flags		= flags,
	};

	return sys_bpf(BPF_LINK_UPDATE, &attr);
}

int gt_link_detach(int link)
{
	union bpf_attr attr = { .link_detach.link_fd = link };

	return sys_bpf(BPF_LINK_DETACH, &attr);
}

int gt_map_create(unsigned int type, int key, int value, int max, unsigned int flags)
{
	union bpf_attr attr = {
		.map_type	= type,
		.key_size	= key,
		.value_size	= value,
		.max_entries	= max,
		.map_flags	= flags,
	};

	return sys_bpf(BPF_MAP_CREATE, &attr);
}

/* The maps of @old go on in the new object. */
static int share_maps(struct gt_bpf *b, struct gt_bpf *old)
{
	struct bpf_map *map, *from;
	int ret = 0;

	bpf_object__for_each_map(map, b->obj) {
		from = bpf_object__find_map_by_name(old->obj, bpf_map__name(map));
		if (from && !ret)
			ret = bpf_map__reuse_fd(map, bpf_map__fd(from));
	}
	return ret;
}

static int map_shared(struct gt_bpf *b)
{
	struct bpf_map *map;
	int ret = -ENOENT;

	bpf_object__for_each_map(map, b->obj) {
		if (!strstr(bpf_map__name(map), ".bss"))
			continue;
		b->size = bpf_map__value_size(map);
		b->shared = gt_map(bpf_map__fd(map), b->size,
				   PROT_READ | PROT_WRITE, &ret);
	}
	return b->shared ? 0 : ret;
}

/* With @room, its map "queue" holds so many. */
static int open_object(struct gt_bpf *b, struct gt_bpf *old, const char *start,
		       const char *end, const char *name, unsigned int room)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = name);
	struct bpf_program *prog;
	struct bpf_map *queue;
	int i, ret = 0;

	memset(b, 0, sizeof(*b));
	for (i = 0; i < GT_NSLOTS; i++) {
		b->prog[i] = -1;
		b->link[i] = -1;
	}
	b->obj = bpf_object__open_mem(start, end - start, &opts);
	if (!b->obj)
		return -errno;
	for (i = 0; i < GT_NSLOTS; i++) {
		prog = bpf_object__find_program_by_name(b->obj, slot_name[i]);
		if (!prog)
			continue;
		bpf_program__set_type(prog, GT_PROG_TYPE(i));
		bpf_program__set_expected_attach_type(prog,
						      GT_ATTACH(GHOST_VERSION, i));
	}
	if (room) {
		queue = bpf_object__find_map_by_name(b->obj, "queue");
		ret = bpf_map__set_max_entries(queue, room);
	}
	if (!ret && old)
		ret = share_maps(b, old);
	if (!ret)
		ret = bpf_object__load(b->obj);
	if (!ret)
		ret = map_shared(b);
	if (ret)
		goto fail;
	for (i = 0; i < GT_NSLOTS; i++) {
		prog = bpf_object__find_program_by_name(b->obj, slot_name[i]);
		if (prog)
			b->prog[i] = bpf_program__fd(prog);
	}
	return 0;
fail:
	bpf_object__close(b->obj);
	b->obj = NULL;
	return ret;
}

bool gt_has_btf(void)
{
	return !access("/sys/kernel/btf/vmlinux", F_OK);
}

int gt_kfunc(const char *name)
{
	return libbpf_find_vmlinux_btf_id(name, BPF_TRACE_FENTRY);
}

int gt_bpf_probe(struct gt_bpf *b)
{
	if (!gt_has_btf())
		return open_object(b, NULL, _binary_probe_abi_bpf_o_start,
				   _binary_probe_abi_bpf_o_end, "probe", 0);
	return open_object(b, NULL, _binary_probe_bpf_o_start,
			   _binary_probe_bpf_o_end, "probe", 0);
}

int gt_bpf_fifo(struct gt_bpf *b, struct gt_bpf *old)
{
	return open_object(b, old, _binary_fifo_bpf_o_start,
			   _binary_fifo_bpf_o_end, "fifo", 0);
}

int gt_bpf_small_fifo(struct gt_bpf *b, struct gt_bpf *old)
{
	return open_object(b, old, _binary_fifo_bpf_o_start,
			   _binary_fifo_bpf_o_end, "fifo", 4);
}

int gt_bpf_tree(struct gt_bpf *b, struct gt_bpf *old)
{
	return open_object(b, old, _binary_tree_bpf_o_start,
			   _binary_tree_bpf_o_end, "tree", 0);
}

int gt_bpf_kit(struct gt_bpf *b)
{
	return open_object(b, NULL, _binary_kit_bpf_o_start, _binary_kit_bpf_o_end,
			   "kit", 0);
}

int gt_bpf_hold(struct gt_bpf *b, struct bpf_link **link, int *stay)
{
	int ret = open_object(b, NULL, _binary_hold_bpf_o_start,
			      _binary_hold_bpf_o_end, "hold", 0);

	if (ret)
		return ret;
	*stay = bpf_program__fd(bpf_object__find_program_by_name(b->obj, "stay"));
	*link = bpf_program__attach(bpf_object__find_program_by_name(b->obj,
								     "before_sched"));
	return *link ? 0 : -errno;
}

long gt_bpf_call(long prog)
{
	union bpf_attr attr = { .test.prog_fd = prog };

	return sys_bpf(BPF_PROG_TEST_RUN, &attr);
}

int gt_bpf_replace(struct gt_bpf *b)
{
	return open_object(b, NULL, _binary_replace_bpf_o_start,
			   _binary_replace_bpf_o_end, "replace", 0);
}

int gt_bpf_replacement(const struct gt_bpf *b, const char *name)
{
	struct bpf_program *prog, *target;
	struct bpf_object *obj;
	int ret = -ENOENT;

	obj = bpf_object__open_mem(_binary_replace_bpf_o_start,
				   _binary_replace_bpf_o_end -
				   _binary_replace_bpf_o_start, NULL);
	if (!obj)
		return -errno;
	gt_log[0] = '\0';
	target = bpf_object__find_program_by_name(obj, "sched");
	prog = bpf_object__find_program_by_name(obj, name);
	if (target && prog) {
		bpf_program__set_autoload(target, false);
		bpf_program__set_autoload(prog, true);
		bpf_program__set_log_buf(prog, gt_log, sizeof(gt_log));
		bpf_program__set_log_level(prog, 1);
		ret = bpf_program__set_attach_target(prog, b->prog[GT_SCHED], "part");
	}
	if (!ret)
		ret = bpf_object__load(obj);
	bpf_object__close(obj);
	return ret;
}

static int silent(enum libbpf_print_level level, const char *format, va_list args)
{
	return 0;
}

int gt_bpf_misuse(const char *object, const char *name, enum gt_slot slot)
{
	const char *start = _binary_misuse_bpf_o_start, *end = _binary_misuse_bpf_o_end;
	struct bpf_object *obj;
	struct bpf_program *prog;
	libbpf_print_fn_t print;
	int ret = -ENOENT;

	if (!strcmp(object, "misuse_kfunc")) {
		start = _binary_misuse_kfunc_bpf_o_start;
		end = _binary_misuse_kfunc_bpf_o_end;
	}
	obj = bpf_object__open_mem(start, end - start, NULL);
	if (!obj)
		return -errno;
	print = libbpf_set_print(silent);
	gt_log[0] = '\0';
	prog = bpf_object__find_program_by_name(obj, name);
	if (prog) {
		bpf_program__set_autoload(prog, true);
		bpf_program__set_type(prog, GT_PROG_TYPE(slot));
		bpf_program__set_expected_attach_type(prog,
						      GT_ATTACH(GHOST_VERSION, slot));
		bpf_program__set_log_buf(prog, gt_log, sizeof(gt_log));
		bpf_program__set_log_level(prog, 1);
		ret = bpf_object__load(obj);
	}
	libbpf_set_print(print);
	bpf_object__close(obj);
	return ret;
}

int gt_bpf_attach(struct gt_bpf *b, struct gt_enclave *e, enum gt_slot slot)
{
	int fd = gt_link_create(b->prog[slot], e->ctl,
				GT_ATTACH(GHOST_VERSION, slot), 0);

	if (fd < 0)
		return fd;
	b->link[slot] = fd;
	return 0;
}

void gt_bpf_detach(struct gt_bpf *b, enum gt_slot slot)
{
	if (b->link[slot] >= 0)
		close(b->link[slot]);
	b->link[slot] = -1;
}

void gt_bpf_close(struct gt_bpf *b)
{
	int i;

	if (!b->obj)
		return;
	for (i = 0; i < GT_NSLOTS; i++)
		gt_bpf_detach(b, i);
	bpf_object__close(b->obj);
	munmap(b->shared, b->size);
	memset(b, 0, sizeof(*b));
}

struct bpf_object *gt_bpf_minimal(void)
{
	const char *start = _binary_minimal_bpf_o_start;
	struct bpf_object *obj;

	obj = bpf_object__open_mem(start, _binary_minimal_bpf_o_end - start, NULL);
	if (!obj || !bpf_object__load(obj))
		return obj;
	bpf_object__close(obj);
	return NULL;
}

long gt_bpf_stat(struct gt_enclave *e, enum gt_slot slot, const char *word)
{
	char buf[1024], *line, *end, *at;

	if (gt_file_get(e, "bpf", buf, sizeof(buf)) < 0)
		return -EIO;
	line = strstr(buf, slot_name[slot]);
	if (!line)
		return -ENOENT;
	end = strchrnul(line, '\n');
	*end = '\0';
	at = strstr(line, word);
	return at ? strtol(at + strlen(word), NULL, 10) : -ENOENT;
}
