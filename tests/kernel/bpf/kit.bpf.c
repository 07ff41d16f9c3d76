// SPDX-License-Identifier: GPL-2.0-only
/* Programs that use what BPF has for policies, and say whether it works. */
#include "objects.h"
#include "kit.h"

#define CPU	1
#define ROUNDS	10

char _license[] SEC("license") = "GPL";

struct kits kits;

struct {
	__uint(type, BPF_MAP_TYPE_ARENA);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
} arena SEC(".maps");

struct kit_arena shared SEC(".addr_space.1");

struct counter {
	struct bpf_spin_lock lock;
	__u32 first;
	__u32 second;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct counter);
} counters SEC(".maps");

static __always_inline void note(struct kit *kit, enum kit_tool tool, bool right)
{
	__sync_fetch_and_add(right ? &kit->right[tool] : &kit->wrong[tool], 1);
}

static __always_inline void use_iterator(struct kit *kit)
{
	struct bpf_iter_num it;
	int *i, sum = 0;

	bpf_iter_num_new(&it, 0, ROUNDS);
	while ((i = bpf_iter_num_next(&it)))
		sum += *i;
	bpf_iter_num_destroy(&it);
	note(kit, KIT_ITERATOR, sum == ROUNDS * (ROUNDS - 1) / 2);
}

/* Without memory nothing is right, and nothing wrong. */

static __always_inline void use_mask(struct kit *kit)
{
	struct bpf_cpumask *mask = bpf_cpumask_create();
	const struct cpumask *m = (void *)mask;
	bool right;

	if (!mask)
		return;
	bpf_cpumask_set_cpu(CPU, mask);
	right = bpf_cpumask_test_cpu(CPU, m) && bpf_cpumask_first(m) == CPU &&
		bpf_cpumask_weight(m) == 1;
	bpf_cpumask_clear_cpu(CPU, mask);
	right = right && !bpf_cpumask_weight(m);
	bpf_cpumask_release(mask);
	note(kit, KIT_MASK, right);
}

/* One in; if others did so at the same time, it is one of theirs that comes out. */
static __always_inline void use_list(struct kit *kit)
{
	struct item *i = NEW(struct item);
	struct bpf_list_node *node;

	if (!i)
		return;
	i->value = CPU;
	bpf_spin_lock(&list_lock);
	bpf_list_push_back_impl(&list, &i->node, NULL, 0);
	bpf_spin_unlock(&list_lock);
	bpf_spin_lock(&list_lock);
	node = bpf_list_pop_front(&list);
	bpf_spin_unlock(&list_lock);
	if (!node) {
		note(kit, KIT_LIST, false);
		return;
	}
	i = ITEM_OF(node);
	note(kit, KIT_LIST, i->value == CPU);
	bpf_obj_drop_impl(i, NULL);
}

static bool less(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	return LEAF_OF(a)->value < LEAF_OF(b)->value;
}

static __always_inline bool grow(__u64 value)
{
	struct leaf *l = NEW(struct leaf);

	if (!l)
		return false;
	l->value = value;
	bpf_spin_lock(&tree_lock);
	bpf_rbtree_add_impl(&root, &l->node, less, NULL, 0);
	bpf_spin_unlock(&tree_lock);
	return true;
}

/* Whoever takes two has put two in, so two are there, perhaps of others. */
static __always_inline void use_tree(struct kit *kit)
{
	struct bpf_rb_node *first, *second = NULL;
	bool right;

	if (!grow(2) || !grow(1))
		return;
	bpf_spin_lock(&tree_lock);
	first = bpf_rbtree_first(&root);
	if (first)
		first = bpf_rbtree_remove(&root, first);
	if (first) {
		second = bpf_rbtree_first(&root);
		if (second)
			second = bpf_rbtree_remove(&root, second);
	}
	bpf_spin_unlock(&tree_lock);
	right = first && second && LEAF_OF(first)->value <= LEAF_OF(second)->value;
	if (first)
		bpf_obj_drop_impl(LEAF_OF(first), NULL);
	if (second)
		bpf_obj_drop_impl(LEAF_OF(second), NULL);
	note(kit, KIT_TREE, right);
}

static __always_inline void use_lock(struct kit *kit)
{
	struct counter *c;
	__u32 zero = 0;
	bool right;

	c = bpf_map_lookup_elem(&counters, &zero);
	if (!c)
		return;
	bpf_spin_lock(&c->lock);
	right = c->first == c->second;
	c->first++;
	c->second++;
	bpf_spin_unlock(&c->lock);
	note(kit, KIT_LOCK, right);
}

/* The instruction addr_space_cast, which clang has from 19 on. */
static __always_inline struct kit_arena *in_arena(struct kit_arena *a)
{
	asm volatile("r1 = %0; .8byte 0x1000111bf; %0 = r1" : "+r"(a) :: "r1");
	return a;
}

static __always_inline void use_arena(struct kit *kit)
{
	volatile struct kit_arena *a = in_arena(&shared);

	a->seen = a->value;
	a->rounds++;
	note(kit, KIT_ARENA, a->rounds);
}

static __always_inline void use_all(struct kit *kit)
{
	use_iterator(kit);
	use_mask(kit);
	use_list(kit);
	use_tree(kit);
	use_lock(kit);
	use_arena(kit);
}

SEC("ghost_sched")
int sched(struct bpf_ghost_sched *ctx)
{
	use_all(&kits.sched);
	return 0;
}

SEC("ghost_msg")
int msg(struct bpf_ghost_msg *ctx)
{
	use_all(&kits.msg);
	return 0;
}
