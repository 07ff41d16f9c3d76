// SPDX-License-Identifier: GPL-2.0-only
/*
 * SCHED_GHOST: status words, the table of threads that user space maps
 * read-only.
 */
#include <linux/vmalloc.h>
#include "ghost.h"

static_assert(sizeof(struct ghost_status_word) == 32);
static_assert(sizeof(struct ghost_sw_region_header) +
	      GHOST_SW_REGION_CAPACITY * sizeof(struct ghost_status_word) ==
	      GHOST_SW_REGION_SIZE);

struct ghost_sw_region *ghost_region_find(struct ghost_enclave *e, u32 id)
{
	struct ghost_sw_region *r;

	lockdep_assert_held(&e->lock);
	list_for_each_entry(r, &e->regions, list)
		if (r->mem->id == id)
			return r;
	return NULL;
}

/*
 * Zeroed memory that user space may map, charged to the caller's memory cgroup.
 * At its limit the caller gets an error; nobody is killed, nothing is logged.
 */
void *ghost_alloc_shared(size_t size, int node)
{
	gfp_t gfp = GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_RETRY_MAYFAIL |
		    __GFP_NOWARN;

	return __vmalloc_node_range(size, SHMLBA, VMALLOC_START, VMALLOC_END, gfp,
				    PAGE_KERNEL, VM_USERMAP, node,
				    __builtin_return_address(0));
}

int ghost_region_create(struct ghost_enclave *e, u32 id, int node)
{
	struct ghost_sw_region *r;
	bool taken;
	int ret;

	if (node < 0 || node >= MAX_NUMNODES || !node_online(node))
		return -ENODEV;

	raw_spin_lock_irq(&e->lock);
	taken = ghost_region_find(e, id);
	raw_spin_unlock_irq(&e->lock);
	if (taken)
		return -EEXIST;

	r = kzalloc_node(sizeof(*r), GFP_KERNEL_ACCOUNT, node);
	if (!r)
		return -ENOMEM;
	r->taken = bitmap_zalloc_node(GHOST_SW_REGION_CAPACITY,
				      GFP_KERNEL_ACCOUNT, node);
	r->mem = ghost_alloc_shared(GHOST_SW_REGION_SIZE, node);
	if (!r->mem || !r->taken) {
		ghost_region_free(r);
		return -ENOMEM;
	}
	/* Behind the last slot there is none. */
	bitmap_set(r->taken, GHOST_SW_REGION_CAPACITY,
		   GHOST_SW_TAKEN_WORDS * BITS_PER_LONG - GHOST_SW_REGION_CAPACITY);
	r->words = (void *)(r->mem + 1);
	*r->mem = (struct ghost_sw_region_header) {
		.version	= GHOST_SW_REGION_VERSION,
		.id		= id,
		.numa_node	= node,
		.start		= sizeof(*r->mem),
		.capacity	= GHOST_SW_REGION_CAPACITY,
		.available	= GHOST_SW_REGION_CAPACITY,
	};

	ret = ghost_fs_add_region(e, r);
	if (ret)
		ghost_region_free(r);
	return ret;
}

void ghost_region_free(struct ghost_sw_region *r)
{
	vfree(r->mem);
	bitmap_free(r->taken);
	kfree(r);
}

/*
 * The next free slot, so that one which was just freed rests. There is one.
 * Two steps, however many are taken: under the rq lock of a task that joins.
 */
static u32 take_slot(struct ghost_sw_region *r)
{
	u32 word = r->next / BITS_PER_LONG, slot;
	unsigned long room;

	room = ~r->taken[word] & (~0UL << (r->next % BITS_PER_LONG));
	if (!room) {
		word = find_next_zero_bit(r->full, GHOST_SW_TAKEN_WORDS, word + 1);
		if (word == GHOST_SW_TAKEN_WORDS)
			word = find_first_zero_bit(r->full, GHOST_SW_TAKEN_WORDS);
		room = ~r->taken[word];
	}
	slot = word * BITS_PER_LONG + __ffs(room);
	__set_bit(slot, r->taken);
	if (!~r->taken[word])
		__set_bit(word, r->full);
	r->next = (slot + 1) % GHOST_SW_REGION_CAPACITY;
	WRITE_ONCE(r->mem->available, r->mem->available - 1);
	return slot;
}

/* Take a slot for @p; INUSE comes later. Enclave lock held. */
int ghost_sw_alloc(struct ghost_enclave *e, struct task_struct *p)
{
	struct ghost_sw_region *r;

	lockdep_assert_held(&e->lock);
	list_for_each_entry(r, &e->regions, list) {
		if (!r->mem->available)
			continue;
		p->ghost.region = r;
		p->ghost.sw = &r->words[take_slot(r)];
		WRITE_ONCE(p->ghost.sw->flags, GHOST_SW_F_ALLOCATED);
		return 0;
	}
	return -ENOMEM;
}
ALLOW_ERROR_INJECTION(ghost_sw_alloc, ERRNO);

static void free_slot(struct ghost_sw_region *r, struct ghost_status_word *sw)
{
	u32 slot = sw - r->words;

	memset(sw, 0, sizeof(*sw));
	__clear_bit(slot, r->taken);
	__clear_bit(slot / BITS_PER_LONG, r->full);
	WRITE_ONCE(r->mem->available, r->mem->available + 1);
}

/* Give @p's slot back without user space's consent. Enclave lock held. */
void ghost_sw_free_locked(struct ghost_enclave *e, struct task_struct *p)
{
	lockdep_assert_held(&e->lock);
	free_slot(p->ghost.region, p->ghost.sw);
	p->ghost.sw = NULL;
}

void ghost_sw_free(struct ghost_enclave *e, struct task_struct *p)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&e->lock, flags);
	ghost_sw_free_locked(e, p);
	raw_spin_unlock_irqrestore(&e->lock, flags);
}

static struct task_struct *find_gated(struct ghost_enclave *e, u64 gtid)
{
	struct task_struct *p;

	hash_for_each_possible(e->gated, p, ghost.gate_node, gtid)
		if (ghost_gtid(p) == gtid)
			return p;
	return NULL;
}

int ghost_sw_user_free(struct ghost_enclave *e, struct ghost_sw_info *info)
{
	struct ghost_status_word *sw;
	struct ghost_sw_region *r;
	struct task_struct *p = NULL;
	int ret = 0;

	raw_spin_lock_irq(&e->lock);
	r = ghost_region_find(e, info->id);
	if (!r || info->index >= GHOST_SW_REGION_CAPACITY) {
		ret = -ENOENT;
		goto unlock;
	}
	sw = &r->words[array_index_nospec(info->index, GHOST_SW_REGION_CAPACITY)];
	if (!(READ_ONCE(sw->flags) & GHOST_SW_F_CANFREE)) {
		ret = -EINVAL;
		goto unlock;
	}
	if (sw->flags & GHOST_SW_TASK_MSG_GATED) {
		p = find_gated(e, sw->gtid);
		if (p)
			hash_del(&p->ghost.gate_node);
	}
	free_slot(r, sw);
unlock:
	raw_spin_unlock_irq(&e->lock);
	if (p)
		ghost_ungate(p);
	return ret;
}

void ghost_sw_runtime(struct task_struct *p)
{
	WRITE_ONCE(p->ghost.sw->runtime, p->se.sum_exec_runtime);
}
