// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * prio: who has the smaller nice value runs first, and waiting makes up for it.
 *
 * A task that waits stands for the time at which it began to, plus AGE_NS for
 * each level of nice; the smallest of all runs next. A tree keeps them in this
 * order, one for all CPUs and one for each.
 */
#include <ghost/bpf_rbtree.h>
#define FRAME_LATCHES	1
#include "../frame/frame.bpf.h"

#define AGE_NS		10000000ULL	/* wait that is worth a level */
#define EVERYWHERE	FRAME_CPUS	/* number of the queue for all CPUs */
#define NR_QUEUES	(FRAME_CPUS + 1)

char _license[] SEC("license") = "Dual BSD/GPL";

/**
 * struct prio_node - a task in a queue (struct node is one of the kernel's)
 * @rb: place in the tree
 * @refs: of the tree and of the place of the task
 * @key: the smallest is next
 * @idx: of the task
 */
struct prio_node {
	struct bpf_rb_node rb;
	struct bpf_refcount refs;
	__u64 key;
	__u32 idx;
};

/**
 * struct queue - tasks that wait, and a lock, which is never waited with
 * @first: key of the first, 0 when there is none; read without the lock, as a guess
 */
struct queue {
	struct bpf_spin_lock lock;
	struct bpf_rb_root root __contains(prio_node, rb);
	__u64 first;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, NR_QUEUES);
	__type(key, __u32);
	__type(value, struct queue);
} queues SEC(".maps");

/* For a typedef, because clang 14 drops the tag of a pointer to a struct. */
typedef struct prio_node prio_node_t;

/* A task's node, also while it is in no tree: it is needed again soon. */
struct place {
	prio_node_t __kptr *node;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FRAME_TASKS);
	__type(key, __u32);
	__type(value, struct place);
} places SEC(".maps");

/*
 * Number of the queue that a task is in, plus one, or 0. It is set under the lock of
 * the task's run queue, and becomes 0 under that of its queue.
 */
__u32 queued[FRAME_TASKS] SEC(".data.queued");

static __always_inline struct prio_node *node_of(const struct bpf_rb_node *rb)
{
	return (void *)rb - __builtin_offsetof(struct prio_node, rb);
}

static bool less(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	return node_of(a)->key < node_of(b)->key;
}

static __always_inline struct queue *queue_at(__u32 where)
{
	return bpf_map_lookup_elem(&queues, &where);
}

static __always_inline __u64 level(__u32 idx)
{
	return (__u64)(task_at(idx)->nice + 20) * AGE_NS;
}

/* A reference to the node of a task, or NULL. Its run queue is locked. */
static __always_inline struct prio_node *get_node(__u32 idx)
{
	struct place *place = bpf_map_lookup_elem(&places, &idx);
	struct prio_node *node, *ref;

	if (!place)
		return NULL;
	node = bpf_kptr_xchg(&place->node, NULL);
	if (!node)
		node = bpf_obj_new(struct prio_node);
	if (!node)
		return NULL;
	ref = bpf_refcount_acquire(node);
	node = bpf_kptr_xchg(&place->node, node);
	if (node)
		bpf_obj_drop(node);
	return ref;
}

/* Global functions: the verifier looks at each once. */

/* Where many wake up at once there may be no memory: a new task comes alone. */
__noinline int prio_admit(__u32 idx)
{
	struct prio_node *node = get_node(idx);

	if (!node)
		return 0;
	bpf_obj_drop(node);
	return 1;
}

__noinline int prio_push(__u32 idx, __u32 where)
{
	struct queue *q = queue_at(where);
	struct prio_node *node;
	__u64 key;
	int err;

	if (!q)
		return -ENOENT;
	node = get_node(idx);
	if (!node)
		return -ENOMEM;
	key = task_at(idx)->queued_at + level(idx);
	node->key = key;
	node->idx = idx;
	bpf_spin_lock(&q->lock);
	err = bpf_rbtree_add(&q->root, &node->rb, less);
	if (!err) {
		queued[idx & (FRAME_TASKS - 1)] = where + 1;
		if (!q->first || key < q->first)
			q->first = key;
	}
	bpf_spin_unlock(&q->lock);
	return err;
}

/*
 * Out of the queue that it is in, or was: a pick may be faster. A node is named by
 * adding it, which does nothing while it is in the tree.
 */
__noinline int prio_leave(__u32 idx)
{
	struct queue *q = queue_at(queued[idx & (FRAME_TASKS - 1)] - 1);
	struct bpf_rb_node *rb;
	struct prio_node *node;

	if (!q)
		return 0;
	node = get_node(idx);
	if (!node)
		return 0;
	bpf_spin_lock(&q->lock);
	bpf_rbtree_add(&q->root, &node->rb, less);
	rb = bpf_rbtree_remove(&q->root, &node->rb);
	queued[idx & (FRAME_TASKS - 1)] = 0;
	node = NULL;
	if (rb)
		node = node_of(rb);
	rb = bpf_rbtree_first(&q->root);
	q->first = rb ? node_of(rb)->key : 0;
	bpf_spin_unlock(&q->lock);
	if (node)
		bpf_obj_drop(node);
	return 0;
}

/*
 * The first of a queue, as policy_pick() has it. While it is latched it is in the
 * tree yet: who is still on its way off a CPU stays the first. What cannot be
 * latched under this lock is taken out, and run_gtid() waits for other locks, or
 * tells why not.
 */
__noinline __u32 prio_pop(__u32 where)
{
	struct queue *q = queue_at(where);
	struct bpf_rb_node *rb;
	struct prio_node *node;
	struct frame_task *t;
	__u32 idx;
	int err;

	if (!q)
		return FRAME_NONE;
	bpf_spin_lock(&q->lock);
	rb = bpf_rbtree_first(&q->root);
	if (!rb) {
		bpf_spin_unlock(&q->lock);
		return FRAME_NONE;
	}
	idx = node_of(rb)->idx & (FRAME_TASKS - 1);
	t = task_at(idx);
	err = bpf_ghost_try_run(t->gtid, t->barrier, 0);
	if (err == -EBUSY && !t->running) {
		bpf_spin_unlock(&q->lock);
		return FRAME_BUSY;
	}
	rb = bpf_rbtree_remove(&q->root, rb);
	if (!rb) {
		bpf_spin_unlock(&q->lock);
		return FRAME_NONE;
	}
	node = node_of(rb);
	/* A full barrier: whoever sees it may put the node into another tree. */
	__sync_lock_test_and_set(&queued[idx], 0);
	rb = bpf_rbtree_first(&q->root);
	q->first = rb ? node_of(rb)->key : 0;
	bpf_spin_unlock(&q->lock);
	bpf_obj_drop(node);
	return err ? idx : idx | FRAME_LATCHED;
}

/* A guess at what comes first of a queue; the largest number if nothing does. */
static __always_inline __u64 first_key(__u32 where)
{
	const struct queue *q = queue_at(where);

	return q && q->first ? q->first : ~0ULL;
}

static __always_inline bool policy_admit(__u32 idx)
{
	return prio_admit(idx);
}

static __always_inline __u32 policy_enqueue(__u32 idx, struct frame_task *t, __u32 cpu,
					    __u16 type, __u64 now)
{
	__u32 where = cpu == FRAME_NONE ? EVERYWHERE : cpu & (FRAME_CPUS - 1);

	return prio_push(idx, where) ? FRAME_NO_ROOM : cpu;
}

static __always_inline void policy_dequeue(__u32 idx, struct frame_task *t)
{
	if (queued[idx & (FRAME_TASKS - 1)])
		prio_leave(idx);
}

/* Only under their locks it is sure that both queues are empty. */
static __always_inline __u32 policy_pick(__u32 cpu)
{
	bool own = first_key(cpu) < first_key(EVERYWHERE);
	__u32 idx = prio_pop(own ? cpu : EVERYWHERE);

	return idx == FRAME_NONE ? prio_pop(own ? EVERYWHERE : cpu) : idx;
}

static __always_inline void policy_run(__u32 idx, struct frame_task *t,
				       struct frame_cpu *c, __u64 now)
{
	/* There was news, and it was queued again, when this CPU had taken it already. */
	policy_dequeue(idx, t);
	c->slice_end = now + slice_ns;
}

static __always_inline void policy_stop(__u32 idx, struct frame_task *t, __u64 now)
{
}

/* Would anybody come before it, if it waited now? */
static __always_inline bool policy_waiting(__u32 cpu, struct frame_cpu *c)
{
	__u64 key = bpf_ktime_get_ns() + level(c->curr);

	return first_key(EVERYWHERE) < key || first_key(cpu) < key;
}

static __always_inline bool policy_surplus(__u32 cpu)
{
	return first_key(EVERYWHERE) != ~0ULL;
}

static __always_inline bool policy_preempts(__u32 idx, __u32 curr)
{
	return level(idx) < level(curr);
}
