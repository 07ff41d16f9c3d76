/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * Trees of objects, for policies in BPF: kfuncs and types of Linux 6.12, which
 * the headers of older systems are without. They are made known by the kernel's
 * BTF: without that such a program is not loaded.
 *
 * Include it before everything that includes <linux/bpf.h>.
 *
 * A map that has a root, or a pointer to an object, fits the programs of one
 * object file, once loaded. A successor's cannot go on with it: let it begin with an
 * empty one, and have the tasks announced again.
 */
#ifndef GHOST_BPF_RBTREE_H
#define GHOST_BPF_RBTREE_H

#ifdef __bpf__

#if defined(__LINUX_BPF_H__) || defined(_UAPI__LINUX_BPF_H__)
#error "<ghost/bpf_rbtree.h> comes before <linux/bpf.h>"
#endif

/* The verifier goes by these names: those of the header make room, if it has them. */
#define bpf_rb_root	header_bpf_rb_root
#define bpf_rb_node	header_bpf_rb_node
#define bpf_refcount	header_bpf_refcount
#include <linux/bpf.h>
#undef bpf_rb_root
#undef bpf_rb_node
#undef bpf_refcount
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

struct bpf_rb_root {
	__u64 opaque[2];
} __attribute__((aligned(8)));

struct bpf_rb_node {
	__u64 opaque[4];
} __attribute__((aligned(8)));

struct bpf_refcount {
	__u32 opaque[1];
} __attribute__((aligned(4)));

extern void *bpf_obj_new_impl(__u64 type_id, void *meta) __ksym;
extern void bpf_obj_drop_impl(void *object, void *meta) __ksym;
extern void *bpf_refcount_acquire_impl(void *object, void *meta) __ksym;
extern int bpf_rbtree_add_impl(struct bpf_rb_root *root, struct bpf_rb_node *node,
			       bool (*less)(struct bpf_rb_node *a,
					    const struct bpf_rb_node *b),
			       void *meta, __u64 off) __ksym;
extern struct bpf_rb_node *bpf_rbtree_remove(struct bpf_rb_root *root,
					     struct bpf_rb_node *node) __ksym;
extern struct bpf_rb_node *bpf_rbtree_first(struct bpf_rb_root *root) __ksym;

/* After a root: @member of a struct @type is its node. */
#define __contains(type, member) \
	__attribute__((btf_decl_tag("contains:" #type ":" #member)))

/* An object, or NULL when there is no memory. */
#define bpf_obj_new(type) \
	((type *)bpf_obj_new_impl(bpf_core_type_id_local(type), NULL))

/* Give a reference back; the last one frees the object. */
#define bpf_obj_drop(object)	bpf_obj_drop_impl(object, NULL)

/* One more reference, of a type with a struct bpf_refcount. */
#define bpf_refcount_acquire(object) \
	((typeof(object))bpf_refcount_acquire_impl(object, NULL))

/*
 * The lock beside @root is held. The tree takes the reference over; if the node is
 * in a tree already, it is dropped, and the result is not 0. Until the lock is
 * released the program can still name the node, to bpf_rbtree_remove().
 */
#define bpf_rbtree_add(root, node, less) \
	bpf_rbtree_add_impl(root, node, less, NULL, 0)

#endif /* __bpf__ */
#endif /* GHOST_BPF_RBTREE_H */
