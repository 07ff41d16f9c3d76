// SPDX-License-Identifier: GPL-2.0-only
/* As misuse.bpf.c, of kfuncs. */
#include "objects.h"

char _license[] SEC("license") = "GPL";

const volatile char read_only[32] = "x";
static struct ghost_status_word sw;

struct task_struct {
	struct cpumask *cpus_ptr;
} __attribute__((preserve_access_index));

#define PROGRAM(name) SEC("?ghost_sched") int name(struct bpf_ghost_sched *ctx)

PROGRAM(right)
{
	struct bpf_cpumask *mask = bpf_cpumask_create();

	if (!mask)
		return 0;
	bpf_cpumask_set_cpu(1, mask);
	bpf_cpumask_release(mask);
	bpf_spin_lock(&list_lock);
	bpf_ghost_try_run(1, 0, 0);
	bpf_spin_unlock(&list_lock);
	return 0;
}

/* ---- our own ---- */

PROGRAM(status_word_into_nothing)
{
	return bpf_ghost_status_word(0, NULL);
}

PROGRAM(status_word_into_read_only)
{
	return bpf_ghost_status_word(0, (struct ghost_status_word *)read_only);
}

PROGRAM(status_word_into_a_number)
{
	return bpf_ghost_status_word(0, (void *)(long)ctx->next_gtid);
}

PROGRAM(status_word_under_a_lock)
{
	bpf_spin_lock(&list_lock);
	bpf_ghost_status_word(1, &sw);
	bpf_spin_unlock(&list_lock);
	return 0;
}

PROGRAM(destroy_under_a_lock)
{
	bpf_spin_lock(&list_lock);
	bpf_ghost_destroy_enclave(1, "a constant");
	bpf_spin_unlock(&list_lock);
	return 0;
}

/* ---- CPU masks ---- */

PROGRAM(mask_is_kept)
{
	return !bpf_cpumask_create();
}

PROGRAM(mask_may_be_none)
{
	struct bpf_cpumask *mask = bpf_cpumask_create();

	bpf_cpumask_release(mask);
	return 0;
}

PROGRAM(mask_was_released)
{
	struct bpf_cpumask *mask = bpf_cpumask_create();

	if (!mask)
		return 0;
	bpf_cpumask_release(mask);
	bpf_cpumask_set_cpu(1, mask);
	return 0;
}

PROGRAM(mask_of_the_kernel)
{
	struct task_struct *p = (void *)bpf_get_current_task_btf();

	bpf_cpumask_set_cpu(1, (struct bpf_cpumask *)p->cpus_ptr);
	return 0;
}

/* ---- iterators ---- */

PROGRAM(iterator_is_kept)
{
	struct bpf_iter_num it;

	bpf_iter_num_new(&it, 0, 3);
	return 0;
}

PROGRAM(iterator_is_none)
{
	struct bpf_iter_num it;

	return !!bpf_iter_num_next(&it);
}

/* ---- lists and trees ---- */

static bool less(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	return LEAF_OF(a)->value < LEAF_OF(b)->value;
}

static bool less_that_calls(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	return bpf_ghost_wake_agent(1);
}

PROGRAM(object_is_kept)
{
	struct item *i = NEW(struct item);

	return !i;
}

PROGRAM(object_may_be_none)
{
	struct item *i = NEW(struct item);

	i->value = 1;
	bpf_obj_drop_impl(i, NULL);
	return 0;
}

PROGRAM(list_without_its_lock)
{
	struct item *i = NEW(struct item);

	if (i)
		bpf_list_push_back_impl(&list, &i->node, NULL, 0);
	return 0;
}

PROGRAM(list_with_another_lock)
{
	struct item *i = NEW(struct item);

	if (!i)
		return 0;
	bpf_spin_lock(&tree_lock);
	bpf_list_push_back_impl(&list, &i->node, NULL, 0);
	bpf_spin_unlock(&tree_lock);
	return 0;
}

PROGRAM(listed_twice)
{
	struct item *i = NEW(struct item);

	if (!i)
		return 0;
	bpf_spin_lock(&list_lock);
	bpf_list_push_back_impl(&list, &i->node, NULL, 0);
	bpf_list_push_back_impl(&list, &i->node, NULL, 0);
	bpf_spin_unlock(&list_lock);
	return 0;
}

PROGRAM(taken_and_kept)
{
	struct bpf_list_node *node;

	bpf_spin_lock(&list_lock);
	node = bpf_list_pop_front(&list);
	bpf_spin_unlock(&list_lock);
	return !node;
}

PROGRAM(tree_without_its_lock)
{
	struct leaf *l = NEW(struct leaf);

	if (l)
		bpf_rbtree_add_impl(&root, &l->node, less, NULL, 0);
	return 0;
}

static bool less_that_picks(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	return bpf_ghost_try_run(LEAF_OF(a)->value, 0, 0);
}

PROGRAM(order_that_picks)
{
	struct leaf *l = NEW(struct leaf);

	if (!l)
		return 0;
	bpf_spin_lock(&tree_lock);
	bpf_rbtree_add_impl(&root, &l->node, less_that_picks, NULL, 0);
	bpf_spin_unlock(&tree_lock);
	return 0;
}

PROGRAM(order_that_calls)
{
	struct leaf *l = NEW(struct leaf);

	if (!l)
		return 0;
	bpf_spin_lock(&tree_lock);
	bpf_rbtree_add_impl(&root, &l->node, less_that_calls, NULL, 0);
	bpf_spin_unlock(&tree_lock);
	return 0;
}

PROGRAM(dropped_in_the_tree)
{
	struct leaf *l = NEW(struct leaf);

	if (!l)
		return 0;
	bpf_spin_lock(&tree_lock);
	bpf_rbtree_add_impl(&root, &l->node, less, NULL, 0);
	bpf_spin_unlock(&tree_lock);
	bpf_obj_drop_impl(l, NULL);
	return 0;
}

PROGRAM(first_after_the_lock)
{
	struct bpf_rb_node *node;

	bpf_spin_lock(&tree_lock);
	node = bpf_rbtree_first(&root);
	bpf_spin_unlock(&tree_lock);
	return node ? LEAF_OF(node)->value : 0;
}

PROGRAM(first_without_the_lock)
{
	return !!bpf_rbtree_first(&root);
}

PROGRAM(removed_after_the_lock)
{
	struct bpf_rb_node *node;

	bpf_spin_lock(&tree_lock);
	node = bpf_rbtree_first(&root);
	bpf_spin_unlock(&tree_lock);
	if (!node)
		return 0;
	bpf_spin_lock(&tree_lock);
	node = bpf_rbtree_remove(&root, node);
	bpf_spin_unlock(&tree_lock);
	if (node)
		bpf_obj_drop_impl(LEAF_OF(node), NULL);
	return 0;
}

PROGRAM(removed_and_kept)
{
	struct bpf_rb_node *node;

	bpf_spin_lock(&tree_lock);
	node = bpf_rbtree_first(&root);
	if (node)
		node = bpf_rbtree_remove(&root, node);
	bpf_spin_unlock(&tree_lock);
	return !node;
}

PROGRAM(taken_without_the_lock)
{
	struct bpf_list_node *node = bpf_list_pop_front(&list);

	if (node)
		bpf_obj_drop_impl(ITEM_OF(node), NULL);
	return 0;
}

PROGRAM(shared_without_a_count)
{
	struct leaf *l = NEW(struct leaf), *other;

	if (!l)
		return 0;
	other = bpf_refcount_acquire_impl(l, NULL);
	bpf_obj_drop_impl(l, NULL);
	bpf_obj_drop_impl(other, NULL);
	return 0;
}

PROGRAM(words_that_may_change)
{
	bpf_ghost_destroy_enclave(1, (const char *)&sw);
	return 0;
}
