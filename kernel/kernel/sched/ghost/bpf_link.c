// SPDX-License-Identifier: GPL-2.0-only
/*
 * SCHED_GHOST: attaching BPF programs: a link from a program to a slot of an
 * enclave. The link pins the enclave until it is freed, which is a grace
 * period after the program was taken out of the slot. It can be pinned itself, in
 * the file system of BPF, and keeps nothing else of an enclave that has ended.
 */
#include <linux/bpf.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include "ghost.h"

/* Who is in which slot; link->prog of the links. */
static DEFINE_MUTEX(slot_mutex);

/**
 * struct ghost_link - a program in a slot
 * @link: what BPF knows
 * @enclave: pinned; NULL while it is not attached
 * @slot: which
 */
struct ghost_link {
	struct bpf_link		link;
	struct ghost_enclave	*enclave;
	enum ghost_bpf_slot	slot;
};

static struct ghost_link *to_ghost_link(struct bpf_link *link)
{
	return container_of(link, struct ghost_link, link);
}

static void link_release(struct bpf_link *link)
{
	struct ghost_link *l = to_ghost_link(link);

	mutex_lock(&slot_mutex);
	RCU_INIT_POINTER(l->enclave->bpf[l->slot], NULL);
	mutex_unlock(&slot_mutex);
}

/* After a grace period, in softirq. */
static void link_dealloc(struct bpf_link *link)
{
	struct ghost_link *l = to_ghost_link(link);

	if (l->enclave)
		ghost_enclave_unpin(l->enclave);
	kfree(l);
}

/* BPF_LINK_UPDATE: only as a replacement of the program that the caller names. */
static int link_update(struct bpf_link *link, struct bpf_prog *new,
		       struct bpf_prog *old)
{
	struct ghost_link *l = to_ghost_link(link);
	int ret = 0;

	if (!old)
		return -EINVAL;

	mutex_lock(&slot_mutex);
	if (link->prog != old)
		ret = -EPERM;
	else if (new->type != old->type ||
		 new->expected_attach_type != old->expected_attach_type)
		ret = -EINVAL;
	if (!ret) {
		old = xchg(&link->prog, new);
		rcu_assign_pointer(l->enclave->bpf[l->slot], new);
		/* Freed after a grace period. */
		bpf_prog_put(old);
	}
	mutex_unlock(&slot_mutex);
	return ret;
}

static void link_show_fdinfo(const struct bpf_link *link, struct seq_file *m)
{
	struct ghost_link *l = container_of(link, struct ghost_link, link);

	seq_printf(m, "enclave:\t%lu\nprog_type:\t%u\n", l->enclave->id,
		   l->slot + BPF_PROG_TYPE_GHOST_SCHED);
}

static const struct bpf_link_ops link_ops = {
	.release		= link_release,
	.dealloc_deferred	= link_dealloc,
	.update_prog		= link_update,
	.show_fdinfo		= link_show_fdinfo,
};

static int attach(struct ghost_link *l, struct bpf_prog *prog, int fd, u32 abi)
{
	struct ghost_enclave *e = ghost_fs_ctl_fdget(fd);
	int ret;

	if (IS_ERR(e))
		return PTR_ERR(e);

	mutex_lock(&slot_mutex);
	if (abi != e->abi)
		ret = -EBADF;
	else if (rcu_access_pointer(e->bpf[l->slot]))
		ret = -EBUSY;
	else
		ret = 0;
	if (!ret) {
		l->enclave = e;
		rcu_assign_pointer(e->bpf[l->slot], prog);
	}
	mutex_unlock(&slot_mutex);
	if (ret)
		ghost_enclave_unpin(e);
	return ret;
}

/**
 * ghost_bpf_link_create - BPF_LINK_CREATE of a ghost program
 * @attr: of the system call
 * @prog: of one of the types; the caller's reference becomes the link's
 *
 * Context: process.
 * Return: descriptor of the link, or a negative errno.
 */
int ghost_bpf_link_create(const union bpf_attr *attr, struct bpf_prog *prog)
{
	u32 attach_type = attr->link_create.attach_type;
	u32 abi = attach_type >> 16;
	struct bpf_link_primer primer;
	struct ghost_link *l;
	int ret;

	if (attr->link_create.flags ||
	    attach_type != (u32)prog->expected_attach_type)
		return -EINVAL;
	if (abi < GHOST_VERSION_MIN || abi > GHOST_VERSION)
		return -EBADF;

	l = kzalloc(sizeof(*l), GFP_KERNEL_ACCOUNT);
	if (!l)
		return -ENOMEM;
	l->slot = prog->type - GHOST_BPF_SCHED;
	bpf_link_init(&l->link, BPF_LINK_TYPE_UNSPEC, &link_ops, prog);
	if (bpf_link_prime(&l->link, &primer)) {
		kfree(l);
		return -EINVAL;
	}

	ret = attach(l, prog, attr->link_create.target_fd, abi);
	if (ret) {
		bpf_link_cleanup(&primer);
		return ret;
	}
	return bpf_link_settle(&primer);
}
ALLOW_ERROR_INJECTION(ghost_bpf_link_create, ERRNO);
