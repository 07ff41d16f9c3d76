// SPDX-License-Identifier: GPL-2.0-only
/*
 * SCHED_GHOST: message rings.
 *
 * One producer at a time (q->lock), one consumer in user space. The kernel
 * owns head and overflow and keeps its own copies: what user space writes
 * over them is overwritten by the next message and never read. tail is read
 * once a message with acquire, pairing with the consumer's release store
 * after it has read the slots; a tail that makes the ring look more than full
 * counts as full. head is stored with release after the slots, pairing with
 * the consumer's acquire load.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/vmalloc.h>
#include "ghost.h"

size_t ghost_queue_size(u32 elems)
{
	return PAGE_ALIGN(sizeof(struct ghost_queue_header) +
			  sizeof(struct ghost_ring) +
			  (size_t)elems * GHOST_MSG_SLOT_SIZE);
}

static void queue_free_work(struct work_struct *work)
{
	struct ghost_queue *q = container_of(work, struct ghost_queue, free_work);

	irq_work_sync(&q->irq_work);
	kfree(rcu_access_pointer(q->wakeup));
	vfree(q->mem);
	kfree(q);
}

static void queue_irq_work(struct irq_work *work)
{
	struct ghost_queue *q = container_of(work, struct ghost_queue, irq_work);

	queue_work(system_unbound_wq, &q->free_work);
}

/* Any context, also under a rq lock. */
void ghost_queue_put(struct ghost_queue *q)
{
	if (q && refcount_dec_and_test(&q->ref))
		irq_work_queue(&q->irq_work);
}

static void queue_close(struct ghost_queue *q)
{
	struct ghost_enclave *e = q->enclave;

	raw_spin_lock_irq(&e->lock);
	if (e->default_queue == q)
		e->default_queue = NULL;
	list_del(&q->node);
	q->enclave = NULL;
	raw_spin_unlock_irq(&e->lock);

	ghost_enclave_unpin(e);
	ghost_queue_put(q);
}

static int queue_release(struct inode *inode, struct file *file)
{
	queue_close(file->private_data);
	return 0;
}

static int queue_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct ghost_queue *q = file->private_data;

	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	if (vma->vm_flags & VM_EXEC)
		return -EACCES;
	if (vma->vm_pgoff || vma->vm_end - vma->vm_start != q->size)
		return -EINVAL;

	vm_flags_mod(vma, VM_DONTCOPY, VM_MAYEXEC);
	return remap_vmalloc_range(vma, q->mem, 0);
}

static const struct file_operations queue_fops = {
	.owner		= THIS_MODULE,
	.release	= queue_release,
	.mmap		= queue_mmap,
	.llseek		= noop_llseek,
};

int ghost_queue_create(struct ghost_enclave *e, u32 elems, int node)
{
	struct ghost_queue_header *h;
	struct ghost_queue *q;
	int fd;

	q = kzalloc_node(sizeof(*q), GFP_KERNEL_ACCOUNT, node);
	if (!q)
		return -ENOMEM;

	q->size = ghost_queue_size(elems);
	q->mem = ghost_alloc_shared(q->size, node);
	if (!q->mem) {
		kfree(q);
		return -ENOMEM;
	}
	refcount_set(&q->ref, 1);
	raw_spin_lock_init(&q->lock);
	q->nelems = elems;
	q->ring = q->mem + sizeof(*h);
	q->irq_work = IRQ_WORK_INIT_HARD(queue_irq_work);
	INIT_WORK(&q->free_work, queue_free_work);

	h = q->mem;
	h->version = GHOST_QUEUE_VERSION;
	h->start = sizeof(*h);
	h->nelems = elems;

	ghost_enclave_pin(e);
	q->enclave = e;
	raw_spin_lock_irq(&e->lock);
	list_add_tail(&q->node, &e->queues);
	raw_spin_unlock_irq(&e->lock);

	fd = anon_inode_getfd("[ghost_queue]", &queue_fops, q, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		queue_close(q);
	return fd;
}
ALLOW_ERROR_INJECTION(ghost_queue_create, ERRNO);

/* Returns the queue behind @fd with a reference, or NULL. */
struct ghost_queue *ghost_queue_fdget(int fd)
{
	struct fd f = fdget(fd);
	struct ghost_queue *q = NULL;

	if (fd_file(f) && fd_file(f)->f_op == &queue_fops) {
		q = fd_file(f)->private_data;
		refcount_inc(&q->ref);
	}
	fdput(f);
	return q;
}

/*
 * Is there room for @need slots in one piece? @skip of them go unused, because
 * a message does not wrap. q->lock held.
 */
static bool has_room(struct ghost_queue *q, u32 need, u32 *skip)
{
	u32 to_end = q->nelems - (q->head & (q->nelems - 1));
	/* Pairs with the consumer's release store of tail. */
	u32 used = q->head - smp_load_acquire(&q->ring->tail);

	*skip = to_end < need ? to_end : 0;
	return min(used, q->nelems) + *skip + need <= q->nelems;
}

static u32 slots_of(u16 size)
{
	return DIV_ROUND_UP(sizeof(struct ghost_msg) + size, GHOST_MSG_SLOT_SIZE);
}

/* Would a message with a payload of @size bytes find room now? */
bool ghost_queue_has_room(struct ghost_queue *q, u16 size)
{
	bool room;
	u32 skip;

	raw_spin_lock(&q->lock);
	room = has_room(q, slots_of(size), &skip);
	raw_spin_unlock(&q->lock);
	return room;
}

/**
 * ghost_queue_produce - append one message
 * @q: where to
 * @type: MSG_*
 * @seqnum: barrier of the source
 * @payload: what follows the header
 * @size: its bytes, a multiple of 4
 *
 * Context: a rq lock is held, interrupts are off.
 * Return: false when there is no room; ring->overflow says how often.
 */
bool ghost_queue_produce(struct ghost_queue *q, u16 type, u32 seqnum,
			 const void *payload, u16 size)
{
	struct ghost_ring *ring = q->ring;
	u32 need = slots_of(size), skip;
	struct ghost_msg *msg;
	bool ok = false;

	raw_spin_lock(&q->lock);
	if (!has_room(q, need, &skip)) {
		WRITE_ONCE(ring->overflow, ++q->overflow);
		goto unlock;
	}

	msg = (void *)ring->msgs +
		(size_t)(q->head & (q->nelems - 1)) * GHOST_MSG_SLOT_SIZE;
	if (skip) {
		msg->type = MSG_NOP;
		msg->length = skip * GHOST_MSG_SLOT_SIZE;
		msg->seqnum = 0;
		msg = (void *)ring->msgs;
	}
	msg->type = type;
	msg->length = sizeof(*msg) + size;
	msg->seqnum = seqnum;
	memcpy(msg->payload, payload, size);

	q->head += skip + need;
	/* Pairs with the consumer's acquire load of head. */
	smp_store_release(&ring->head, q->head);
	ok = true;
unlock:
	raw_spin_unlock(&q->lock);
	return ok;
}

int ghost_queue_set_wakeup(struct ghost_enclave *e, struct ghost_queue *q,
			   const struct ghost_agent_wakeup *w, int nr)
{
	struct ghost_wakeup *new = NULL, *old;
	int i;

	if (nr) {
		new = kzalloc(sizeof(*new), GFP_KERNEL_ACCOUNT);
		if (!new)
			return -ENOMEM;
		new->nr = nr;
		for (i = 0; i < nr; i++)
			new->cpu[i] = w[i].cpu;
	}
	old = unrcu_pointer(xchg(&q->wakeup, RCU_INITIALIZER(new)));
	kfree_rcu(old, rcu);

	local_irq_disable();
	for (i = 0; i < nr; i++)
		if (rcu_access_pointer(cpu_rq(w[i].cpu)->ghost.enclave) == e)
			ghost_wake_agent(w[i].cpu);
	local_irq_enable();
	return 0;
}
ALLOW_ERROR_INJECTION(ghost_queue_set_wakeup, ERRNO);
