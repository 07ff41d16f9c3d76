/* SPDX-License-Identifier: GPL-2.0-only */
/* Of the kernel's kfuncs, those that the programs here use beside trees; and locks. */
#ifndef OBJECTS_H
#define OBJECTS_H

#include <ghost/bpf_rbtree.h>
#include <ghost/bpf.h>

struct cpumask {
	unsigned long bits[1];
};

struct bpf_cpumask {
	struct cpumask cpumask;
};

extern struct bpf_cpumask *bpf_cpumask_create(void) __ksym;
extern void bpf_cpumask_release(struct bpf_cpumask *mask) __ksym;
extern void bpf_cpumask_set_cpu(__u32 cpu, struct bpf_cpumask *mask) __ksym;
extern struct bpf_cpumask *bpf_cpumask_acquire(struct bpf_cpumask *mask) __ksym;
extern void bpf_cpumask_clear_cpu(__u32 cpu, struct bpf_cpumask *mask) __ksym;
extern int bpf_cpumask_test_cpu(__u32 cpu, const struct cpumask *mask) __ksym;
extern int bpf_cpumask_test_and_set_cpu(__u32 cpu, struct bpf_cpumask *mask) __ksym;
extern int bpf_cpumask_test_and_clear_cpu(__u32 cpu,
					  struct bpf_cpumask *mask) __ksym;
extern void bpf_cpumask_setall(struct bpf_cpumask *mask) __ksym;
extern void bpf_cpumask_clear(struct bpf_cpumask *mask) __ksym;
extern int bpf_cpumask_and(struct bpf_cpumask *to, const struct cpumask *a,
			   const struct cpumask *b) __ksym;
extern void bpf_cpumask_or(struct bpf_cpumask *to, const struct cpumask *a,
			   const struct cpumask *b) __ksym;
extern void bpf_cpumask_xor(struct bpf_cpumask *to, const struct cpumask *a,
			    const struct cpumask *b) __ksym;
extern void bpf_cpumask_copy(struct bpf_cpumask *to, const struct cpumask *from) __ksym;
extern int bpf_cpumask_equal(const struct cpumask *a, const struct cpumask *b) __ksym;
extern int bpf_cpumask_intersects(const struct cpumask *a,
				  const struct cpumask *b) __ksym;
extern int bpf_cpumask_subset(const struct cpumask *a, const struct cpumask *b) __ksym;
extern int bpf_cpumask_empty(const struct cpumask *mask) __ksym;
extern int bpf_cpumask_full(const struct cpumask *mask) __ksym;
extern __u32 bpf_cpumask_first(const struct cpumask *mask) __ksym;
extern __u32 bpf_cpumask_first_zero(const struct cpumask *mask) __ksym;
extern __u32 bpf_cpumask_first_and(const struct cpumask *a,
				   const struct cpumask *b) __ksym;
extern __u32 bpf_cpumask_any_distribute(const struct cpumask *mask) __ksym;
extern __u32 bpf_cpumask_any_and_distribute(const struct cpumask *a,
					    const struct cpumask *b) __ksym;
extern __u32 bpf_cpumask_weight(const struct cpumask *mask) __ksym;

extern int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __ksym;
extern int *bpf_iter_num_next(struct bpf_iter_num *it) __ksym;
extern void bpf_iter_num_destroy(struct bpf_iter_num *it) __ksym;

struct bpf_iter_bits {
	__u64 __opaque[2];
};

extern int bpf_iter_bits_new(struct bpf_iter_bits *it, const __u64 *words,
			     __u32 nr) __ksym;
extern int *bpf_iter_bits_next(struct bpf_iter_bits *it) __ksym;
extern void bpf_iter_bits_destroy(struct bpf_iter_bits *it) __ksym;

extern void *bpf_dynptr_slice(const struct bpf_dynptr *p, __u32 offset, void *buf,
			      __u32 size) __ksym;
extern int bpf_dynptr_adjust(const struct bpf_dynptr *p, __u32 start,
			     __u32 end) __ksym;
extern int bpf_dynptr_is_null(const struct bpf_dynptr *p) __ksym;
extern int bpf_dynptr_is_rdonly(const struct bpf_dynptr *p) __ksym;
extern __u32 bpf_dynptr_size(const struct bpf_dynptr *p) __ksym;
extern int bpf_dynptr_clone(const struct bpf_dynptr *p,
			    struct bpf_dynptr *clone) __ksym;

extern void *bpf_cast_to_kern_ctx(void *ctx) __ksym;

extern int bpf_list_push_back_impl(struct bpf_list_head *head,
				   struct bpf_list_node *node, void *meta,
				   __u64 off) __ksym;
extern int bpf_list_push_front_impl(struct bpf_list_head *head,
				    struct bpf_list_node *node, void *meta,
				    __u64 off) __ksym;
extern struct bpf_list_node *bpf_list_pop_front(struct bpf_list_head *head) __ksym;
extern struct bpf_list_node *bpf_list_pop_back(struct bpf_list_head *head) __ksym;

/* Of a bool, x86 returns 8 bits, and clang would look at 32: so they are no bool. */
#define bpf_cpumask_test_cpu(...) \
	(bpf_cpumask_test_cpu(__VA_ARGS__) & 1)
#define bpf_cpumask_test_and_set_cpu(...) \
	(bpf_cpumask_test_and_set_cpu(__VA_ARGS__) & 1)
#define bpf_cpumask_test_and_clear_cpu(...) \
	(bpf_cpumask_test_and_clear_cpu(__VA_ARGS__) & 1)
#define bpf_cpumask_and(...) \
	(bpf_cpumask_and(__VA_ARGS__) & 1)
#define bpf_cpumask_equal(...) \
	(bpf_cpumask_equal(__VA_ARGS__) & 1)
#define bpf_cpumask_intersects(...) \
	(bpf_cpumask_intersects(__VA_ARGS__) & 1)
#define bpf_cpumask_subset(...) \
	(bpf_cpumask_subset(__VA_ARGS__) & 1)
#define bpf_cpumask_empty(...) \
	(bpf_cpumask_empty(__VA_ARGS__) & 1)
#define bpf_cpumask_full(...) \
	(bpf_cpumask_full(__VA_ARGS__) & 1)
#define bpf_dynptr_is_null(...) \
	(bpf_dynptr_is_null(__VA_ARGS__) & 1)
#define bpf_dynptr_is_rdonly(...) \
	(bpf_dynptr_is_rdonly(__VA_ARGS__) & 1)

struct item {
	struct bpf_list_node node;
	__u64 value;
};

struct leaf {
	struct bpf_rb_node node;
	__u64 value;
};

#define ITEM_OF(ptr) \
	((struct item *)((void *)(ptr) - __builtin_offsetof(struct item, node)))
#define LEAF_OF(ptr) \
	((struct leaf *)((void *)(ptr) - __builtin_offsetof(struct leaf, node)))
#define NEW(type)	bpf_obj_new_impl(bpf_core_type_id_local(type), NULL)

#define GUARDED(section) \
	SEC(section) __attribute__((visibility("hidden"), aligned(8)))

/* Each lock in a section with what it guards, so the verifier knows. */
struct bpf_spin_lock list_lock GUARDED(".data.list");
struct bpf_list_head list GUARDED(".data.list")
	__contains(item, node);
struct bpf_spin_lock tree_lock GUARDED(".data.tree");
struct bpf_rb_root root GUARDED(".data.tree")
	__contains(leaf, node);

#endif /* OBJECTS_H */
