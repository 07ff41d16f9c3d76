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

struct words {
	__u32 first;
	__u32 second;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct words);
} memory SEC(".maps");

/*
 * Each tool is used by a function that the verifier looks at once. It returns 1 if
 * the tool did what it should, 0 if not, and -1 if there was no memory.
 */

__noinline int use_iterator(void)
{
	struct bpf_iter_num it;
	int *i, sum = 0;

	bpf_iter_num_new(&it, 0, ROUNDS);
	while ((i = bpf_iter_num_next(&it)))
		sum += *i;
	bpf_iter_num_destroy(&it);
	return sum == ROUNDS * (ROUNDS - 1) / 2;
}

__noinline int use_bits(void)
{
	struct bpf_iter_bits it;
	__u64 words[2] = { 1 << 3, 1ULL << 63 };
	int *bit, sum = 0;

	/* More than one word is copied into memory of the iterator's own. */
	bpf_iter_bits_new(&it, &words[0], 2);
	while ((bit = bpf_iter_bits_next(&it)))
		sum += *bit;
	bpf_iter_bits_destroy(&it);
	return sum ? sum == 3 + 64 + 63 : -1;
}

__noinline int use_dynptr(void)
{
	struct bpf_dynptr ptr, part;
	__u32 zero = 0, value = CPU, *second;
	struct words *w;
	bool good;

	w = bpf_map_lookup_elem(&memory, &zero);
	if (!w)
		return -1;
	bpf_dynptr_from_mem(w, sizeof(*w), 0, &ptr);
	bpf_dynptr_clone(&ptr, &part);
	good = !bpf_dynptr_is_null(&ptr) && !bpf_dynptr_is_rdonly(&ptr) &&
		bpf_dynptr_size(&ptr) == sizeof(*w) &&
		!bpf_dynptr_adjust(&part, 4, 8) && bpf_dynptr_size(&part) == 4 &&
		bpf_dynptr_adjust(&part, 0, 5);
	bpf_dynptr_write(&part, 0, &value, sizeof(value), 0);
	second = bpf_dynptr_slice(&ptr, 4, NULL, 4);
	return good && second && *second == CPU && !bpf_dynptr_slice(&part, 1, NULL, 4);
}

__noinline int use_mask(void)
{
	struct bpf_cpumask *mask = bpf_cpumask_create(), *again;
	const struct cpumask *m = (void *)mask;
	bool right;

	if (!mask)
		return -1;
	bpf_cpumask_set_cpu(CPU, mask);
	right = bpf_cpumask_test_cpu(CPU, m) && bpf_cpumask_first(m) == CPU &&
		bpf_cpumask_any_distribute(m) == CPU &&
		bpf_cpumask_first_zero(m) == 0 && bpf_cpumask_weight(m) == 1 &&
		bpf_cpumask_test_and_set_cpu(CPU, mask) &&
		!bpf_cpumask_test_and_set_cpu(0, mask) &&
		bpf_cpumask_test_and_clear_cpu(0, mask);
	again = bpf_cpumask_acquire(mask);
	bpf_cpumask_clear_cpu(CPU, mask);
	bpf_cpumask_release(again);
	right = right && !bpf_cpumask_weight(m) && bpf_cpumask_empty(m);
	bpf_cpumask_setall(mask);
	right = right && bpf_cpumask_full(m);
	bpf_cpumask_clear(mask);
	right = right && !bpf_cpumask_full(m) && bpf_cpumask_empty(m);
	bpf_cpumask_release(mask);
	return right;
}

/* CPU and 0 are in @a, CPU alone in @b. */
static __always_inline bool masks_right(struct bpf_cpumask *a, struct bpf_cpumask *b,
					struct bpf_cpumask *c)
{
	const struct cpumask *ma = (void *)a, *mb = (void *)b, *mc = (void *)c;
	bool right;

	bpf_cpumask_set_cpu(0, a);
	bpf_cpumask_set_cpu(CPU, a);
	bpf_cpumask_set_cpu(CPU, b);
	right = bpf_cpumask_intersects(ma, mb) && bpf_cpumask_subset(mb, ma) &&
		!bpf_cpumask_subset(ma, mb) && !bpf_cpumask_equal(ma, mb) &&
		bpf_cpumask_first_and(ma, mb) == CPU &&
		bpf_cpumask_any_and_distribute(ma, mb) == CPU &&
		bpf_cpumask_and(c, ma, mb) && bpf_cpumask_equal(mc, mb);
	bpf_cpumask_xor(c, ma, mb);
	right = right && bpf_cpumask_weight(mc) == 1 && bpf_cpumask_first(mc) == 0;
	bpf_cpumask_or(c, mc, mb);
	right = right && bpf_cpumask_equal(mc, ma);
	bpf_cpumask_copy(c, mb);
	return right && bpf_cpumask_equal(mc, mb);
}

__noinline int use_masks(void)
{
	struct bpf_cpumask *a, *b, *c;
	int ret = -1;

	a = bpf_cpumask_create();
	b = bpf_cpumask_create();
	c = bpf_cpumask_create();
	if (a && b && c)
		ret = masks_right(a, b, c);
	if (a)
		bpf_cpumask_release(a);
	if (b)
		bpf_cpumask_release(b);
	if (c)
		bpf_cpumask_release(c);
	return ret;
}

/* One in; if others did so at the same time, it is one of theirs that comes out. */
__noinline int use_list(bool at_front)
{
	struct item *i = NEW(struct item);
	struct bpf_list_node *node;
	bool right;

	if (!i)
		return -1;
	i->value = CPU;
	bpf_spin_lock(&list_lock);
	if (at_front)
		bpf_list_push_front_impl(&list, &i->node, NULL, 0);
	else
		bpf_list_push_back_impl(&list, &i->node, NULL, 0);
	bpf_spin_unlock(&list_lock);
	bpf_spin_lock(&list_lock);
	if (at_front)
		node = bpf_list_pop_back(&list);
	else
		node = bpf_list_pop_front(&list);
	bpf_spin_unlock(&list_lock);
	if (!node)
		return 0;
	i = ITEM_OF(node);
	right = i->value == CPU;
	bpf_obj_drop_impl(i, NULL);
	return right;
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
__noinline int use_tree(void)
{
	struct bpf_rb_node *first, *second = NULL;
	bool right;

	if (!grow(2) || !grow(1))
		return -1;
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
	return right;
}

__noinline int use_lock(void)
{
	struct counter *c;
	__u32 zero = 0;
	bool right;

	c = bpf_map_lookup_elem(&counters, &zero);
	if (!c)
		return -1;
	bpf_spin_lock(&c->lock);
	right = c->first == c->second;
	c->first++;
	c->second++;
	bpf_spin_unlock(&c->lock);
	return right;
}

/* The instruction addr_space_cast, which clang has from 19 on. */
static __always_inline struct kit_arena *in_arena(struct kit_arena *a)
{
	asm volatile("r1 = %0; .8byte 0x1000111bf; %0 = r1" : "+r"(a) :: "r1");
	return a;
}

__noinline int use_arena(void)
{
	volatile struct kit_arena *a = in_arena(&shared);

	a->seen = a->value;
	a->rounds++;
	return a->rounds > 0;
}

static __always_inline void note(struct kit *kit, enum kit_tool tool, int verdict)
{
	if (verdict >= 0)
		__sync_fetch_and_add(verdict ? &kit->right[tool] : &kit->wrong[tool], 1);
}

static __always_inline void use_all(struct kit *kit)
{
	note(kit, KIT_ITERATOR, use_iterator());
	note(kit, KIT_BITS, use_bits());
	note(kit, KIT_DYNPTR, use_dynptr());
	note(kit, KIT_MASK, use_mask());
	note(kit, KIT_MASKS, use_masks());
	note(kit, KIT_LIST, use_list(false));
	note(kit, KIT_LIST, use_list(true));
	note(kit, KIT_TREE, use_tree());
	note(kit, KIT_LOCK, use_lock());
	note(kit, KIT_ARENA, use_arena());
}

/* What a program knows of its context by its type is what the kernel has. */

SEC("ghost_sched")
int sched(struct bpf_ghost_sched *ctx)
{
	const struct bpf_ghost_sched *kern = bpf_cast_to_kern_ctx(ctx);

	note(&kits.sched, KIT_CONTEXT, ctx->next_gtid == kern->next_gtid);
	use_all(&kits.sched);
	return 0;
}

SEC("ghost_msg")
int msg(struct bpf_ghost_msg *ctx)
{
	const struct bpf_ghost_msg *kern = bpf_cast_to_kern_ctx(ctx);

	note(&kits.msg, KIT_CONTEXT, ctx->type == kern->type);
	use_all(&kits.msg);
	return 0;
}
