/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * SCHED_GHOST: what the tree (fs.c) and the files in it (files.c) share.
 */
#ifndef _KERNEL_SCHED_GHOST_FS_H
#define _KERNEL_SCHED_GHOST_FS_H

#include <linux/fs.h>
#include "ghost.h"

struct ghost_file;

/* What an inode stands for. */
struct ghost_node {
	struct ghost_enclave	*e;		/* pinned; NULL at the top */
	const struct ghost_file	*file;
	struct ghost_sw_region	*region;	/* until e->ended */
};

/* One row of the file tables. */
struct ghost_file {
	const char	*name;
	umode_t		mode;
	ssize_t		(*show)(struct ghost_enclave *e, char *buf);
	ssize_t		(*store)(struct ghost_enclave *e, char *buf, size_t len);
	const struct file_operations *fops;	/* instead of show and store */
	u16		tunable;		/* offset of a bool: 0 or 1 */
	bool		agent_ok;		/* agents may open it */
	bool		check_cred;		/* the writer must be the opener */
};

extern const struct ghost_file ghost_enclave_files[];
extern const unsigned int ghost_nr_enclave_files;
extern const struct ghost_file ghost_region_file;
extern const struct file_operations ghost_exits_fops;

static inline struct ghost_node *ghost_node_of(struct file *file)
{
	return file_inode(file)->i_private;
}

/* NULL once the enclave's files are removed. */
static inline struct ghost_enclave *ghost_live_enclave(struct file *file)
{
	struct ghost_enclave *e = ghost_node_of(file)->e;

	return e && READ_ONCE(e->removed) ? NULL : e;
}

int ghost_fs_open(struct inode *inode, struct file *file);
ssize_t ghost_fs_read(struct file *file, char __user *ubuf, size_t count,
		      loff_t *ppos);
ssize_t ghost_fs_write(struct file *file, const char __user *ubuf,
		       size_t count, loff_t *ppos);
void ghost_set_online(struct ghost_enclave *e, bool online);
loff_t ghost_file_size(const struct ghost_file *f);

#endif /* _KERNEL_SCHED_GHOST_FS_H */
