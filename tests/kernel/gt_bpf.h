/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * BPF programs in the ABI tests: raw ones through bpf(2), and objects through
 * libbpf. As in gt.h, functions return 0 (or a value that is not negative) or
 * -errno.
 */
#ifndef GT_BPF_H
#define GT_BPF_H

#include <linux/bpf.h>
#include "gt.h"

enum gt_slot { GT_SCHED, GT_MSG, GT_SELECT_RQ, GT_HALT_POLL, GT_NSLOTS };

#define GT_PROG_TYPE(slot)	(BPF_PROG_TYPE_GHOST_SCHED + (slot))
#define GT_ATTACH(abi, slot)	\
	((unsigned int)GHOST_BPF_ATTACH(abi, BPF_GHOST_SCHED_PNT + (slot)))

/* ---- raw programs ---- */

#define I_MOV(dst, val) \
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = (dst), .imm = (val) }
#define I_COPY(dst, src) \
	{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = (dst), .src_reg = (src) }
#define I_ADD(dst, val) \
	{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = (dst), .imm = (val) }
#define I_LOAD(size, dst, src, offset) \
	{ .code = BPF_LDX | BPF_MEM | (size), .dst_reg = (dst), \
	  .src_reg = (src), .off = (offset) }
#define I_STORE(size, dst, offset, src) \
	{ .code = BPF_STX | BPF_MEM | (size), .dst_reg = (dst), \
	  .src_reg = (src), .off = (offset) }
#define I_CALL(id)	{ .code = BPF_JMP | BPF_CALL, .imm = (id) }
#define I_KFUNC(id) \
	{ .code = BPF_JMP | BPF_CALL, .src_reg = BPF_PSEUDO_KFUNC_CALL, .imm = (id) }
#define I_MAP_FD(dst, fd) \
	{ .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = (dst), \
	  .src_reg = BPF_PSEUDO_MAP_FD, .imm = (fd) }, { 0 }
#define I_EXIT		{ .code = BPF_JMP | BPF_EXIT }

struct gt_prog {
	unsigned int type;
	unsigned int attach;
	const struct bpf_insn *insns;
	int n;
	const char *license;		/* NULL: GPL */
	unsigned int flags;
};

/* The verifier's words of the last gt_prog_load(). */
extern char gt_log[65536];

int gt_prog_load(const struct gt_prog *p);

/* A program for @slot that returns 0. */
int gt_prog_zero(enum gt_slot slot, unsigned int abi);

int gt_prog_info(int fd, struct bpf_prog_info *info);
int gt_link_info(int fd, struct bpf_link_info *info);
int gt_link_create(int prog, int target, unsigned int attach, unsigned int flags);
int gt_link_update(int link, int prog, int old, unsigned int flags);
int gt_link_detach(int link);
int gt_map_create(unsigned int type, int key, int value, int max, unsigned int flags);

/* ---- objects ---- */

/* Without BTF a kernel runs what needs the ABI's types only: no kfuncs. */
bool gt_has_btf(void);

/* The BTF id of the kernel's function @name, for I_KFUNC(); or an error. */
int gt_kfunc(const char *name);

struct bpf_link;
struct bpf_object;

struct gt_bpf {
	struct bpf_object *obj;
	int prog[GT_NSLOTS];
	int link[GT_NSLOTS];
	void *shared;			/* the object's .bss */
	size_t size;
};

/* Load an object of bpf/, with the maps of @old if there is one. */
int gt_bpf_probe(struct gt_bpf *b);
int gt_bpf_fifo(struct gt_bpf *b, struct gt_bpf *old);
int gt_bpf_small_fifo(struct gt_bpf *b, struct gt_bpf *old);	/* room for 4 tasks */
int gt_bpf_tree(struct gt_bpf *b, struct gt_bpf *old);
int gt_bpf_kit(struct gt_bpf *b);

/* Load program @name of bpf/@object.bpf.c for @slot; gt_log has what was said. */
int gt_bpf_misuse(const char *object, const char *name, enum gt_slot slot);

int gt_bpf_attach(struct gt_bpf *b, struct gt_enclave *e, enum gt_slot slot);

/* A program with a function, and whether @name may be loaded to replace it. */
int gt_bpf_replace(struct gt_bpf *b);
int gt_bpf_replacement(const struct gt_bpf *b, const char *name);
void gt_bpf_detach(struct gt_bpf *b, enum gt_slot slot);
void gt_bpf_close(struct gt_bpf *b);

/*
 * bpf/hold.bpf.c: the program before_sched() is attached, @stay is to be called by
 * gt_bpf_call(). The link must outlive what it has to do with.
 */
int gt_bpf_hold(struct gt_bpf *b, struct bpf_link **link, int *stay);
long gt_bpf_call(long prog);

/* A sched_ext scheduler, to attach by its map of this name; NULL: an error. */
struct bpf_object *gt_bpf_minimal(void);

/* The number after @word in the line of @slot in the enclave's file bpf. */
long gt_bpf_stat(struct gt_enclave *e, enum gt_slot slot, const char *word);

#endif /* GT_BPF_H */
