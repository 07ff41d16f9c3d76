/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The queue of fifo.bpf.c as a tree that is sorted by the time that tasks have
 * run, which their status words say.
 */
#ifndef TREE_H
#define TREE_H

struct entry {
	__u64 gtid;
	__u64 barrier;
};

struct node {
	struct bpf_rb_node rb;
	__u64 gtid;
	__u64 barrier;
	__u64 runtime;
};

#define node_of(ptr) \
	((struct node *)((void *)(ptr) - __builtin_offsetof(struct node, rb)))

/* In one section, so the verifier takes the lock for that of the tree. */
struct bpf_spin_lock lock SEC(".data.tree")
	__attribute__((visibility("hidden"), aligned(8)));
struct bpf_rb_root root SEC(".data.tree")
	__attribute__((visibility("hidden"), aligned(8))) __contains(node, rb);

static bool less(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	return node_of(a)->runtime < node_of(b)->runtime;
}

static long put(struct entry *e)
{
	struct ghost_status_word sw = {};
	struct node *n;

	n = bpf_obj_new(struct node);
	if (!n)
		return -1;
	bpf_ghost_status_word(e->gtid, &sw);
	n->gtid = e->gtid;
	n->barrier = e->barrier;
	n->runtime = sw.runtime;
	bpf_spin_lock(&lock);
	bpf_rbtree_add(&root, &n->rb, less);
	bpf_spin_unlock(&lock);
	return 0;
}

static long take(struct entry *e)
{
	struct bpf_rb_node *rb;
	struct node *n;

	bpf_spin_lock(&lock);
	rb = bpf_rbtree_first(&root);
	if (!rb) {
		bpf_spin_unlock(&lock);
		return -1;
	}
	rb = bpf_rbtree_remove(&root, rb);
	bpf_spin_unlock(&lock);
	if (!rb)
		return -1;
	n = node_of(rb);
	e->gtid = n->gtid;
	e->barrier = n->barrier;
	bpf_obj_drop(n);
	return 0;
}

static bool empty(void)
{
	struct bpf_rb_node *rb;

	bpf_spin_lock(&lock);
	rb = bpf_rbtree_first(&root);
	if (!rb) {
		bpf_spin_unlock(&lock);
		return true;
	}
	bpf_spin_unlock(&lock);
	return false;
}

#endif /* TREE_H */
