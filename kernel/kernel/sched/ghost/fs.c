// SPDX-License-Identifier: GPL-2.0-only
/*
 * SCHED_GHOST: the file tree at /sys/fs/ghost. One tree for all mounts, pinned
 * by an internal one.
 *
 * Each inode of an enclave pins it, so that an open file need not. After removal
 * every operation answers ENODEV; one that had begun finds the structure still,
 * but perhaps no regions and transactions.
 */
#include <linux/fs_context.h>
#include <linux/kobject.h>
#include <linux/mm.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "fs.h"

static struct vfsmount *ghost_mnt;

int ghost_fs_open(struct inode *inode, struct file *file)
{
	const struct ghost_file *f = ((struct ghost_node *)inode->i_private)->file;
	struct ghost_enclave *e = ((struct ghost_node *)inode->i_private)->e;

	/* The mode says what the file can do; this holds for root, too. */
	if ((file->f_mode & FMODE_WRITE) && !(f->mode & 0222))
		return -EACCES;
	if ((file->f_mode & FMODE_READ) &&
	    (!(f->mode & 0444) || !(f->show || f->fops || f->tunable)))
		return -EACCES;
	if (!e)
		return 0;
	if (READ_ONCE(e->removed))
		return -ENODEV;
	/* An open can wait for a thread that this agent starves. */
	if (!f->agent_ok && ghost_agent(current) &&
	    !READ_ONCE(e->live_dangerously))
		return -EDEADLK;
	return 0;
}

static bool *tunable(struct ghost_enclave *e, const struct ghost_file *f)
{
	return (void *)e + f->tunable;
}

static ssize_t store_tunable(bool *what, char *buf, size_t len)
{
	int val;

	if (kstrtoint(buf, 0, &val))
		return -EINVAL;
	WRITE_ONCE(*what, !!val);
	return len;
}

ssize_t ghost_fs_read(struct file *file, char __user *ubuf, size_t count,
		      loff_t *ppos)
{
	const struct ghost_file *f = ghost_node_of(file)->file;
	struct ghost_enclave *e = ghost_live_enclave(file);
	ssize_t len;
	char *buf;

	if (ghost_node_of(file)->e && !e)
		return -ENODEV;
	buf = (char *)get_zeroed_page(GFP_KERNEL);
	if (!buf)
		return -ENOMEM;
	len = f->tunable ? sysfs_emit(buf, "%d", READ_ONCE(*tunable(e, f))) :
		f->show(e, buf);
	if (len >= 0)
		len = simple_read_from_buffer(ubuf, count, ppos, buf, len);
	free_page((unsigned long)buf);
	return len;
}

/* A descriptor handed to a program that may do more gives it no orders. */
static bool writer_is_opener(const struct file *file)
{
	const struct cred *opener = file->f_cred, *writer = current_cred();

	return uid_eq(opener->euid, writer->euid) &&
		opener->user_ns == writer->user_ns &&
		cap_issubset(writer->cap_effective, opener->cap_effective);
}

ssize_t ghost_fs_write(struct file *file, const char __user *ubuf,
		       size_t count, loff_t *ppos)
{
	const struct ghost_file *f = ghost_node_of(file)->file;
	struct ghost_enclave *e = ghost_live_enclave(file);
	ssize_t ret;
	char *buf;

	if (ghost_node_of(file)->e && !e)
		return -ENODEV;
	if (f->check_cred && !writer_is_opener(file))
		return -EPERM;
	count = min_t(size_t, count, PAGE_SIZE);
	buf = memdup_user_nul(ubuf, count);
	if (IS_ERR(buf))
		return PTR_ERR(buf);
	ret = f->tunable ? store_tunable(tunable(e, f), buf, count) :
		f->store(e, buf, count);
	kfree(buf);
	return ret;
}

static const struct file_operations text_fops = {
	.owner		= THIS_MODULE,
	.open		= ghost_fs_open,
	.read		= ghost_fs_read,
	.write		= ghost_fs_write,
	.llseek		= generic_file_llseek,
};

/* ---- the tree ---- */

/* The size is what can be mapped: truncating does not change it. */
static int file_setattr(struct mnt_idmap *idmap, struct dentry *dentry,
			struct iattr *attr)
{
	attr->ia_valid &= ~ATTR_SIZE;
	return simple_setattr(idmap, dentry, attr);
}

static const struct inode_operations file_iops = {
	.setattr	= file_setattr,
	.getattr	= simple_getattr,
};

static const struct inode_operations dir_iops = {
	.lookup		= simple_lookup,
	.setattr	= simple_setattr,
	.getattr	= simple_getattr,
};

static struct inode *new_node(struct super_block *sb, umode_t mode, kgid_t gid)
{
	struct inode *inode = new_inode(sb);

	if (!inode)
		return NULL;
	inode->i_ino = get_next_ino();
	inode->i_mode = mode;
	inode->i_uid = current_euid();
	inode->i_gid = gid;
	simple_inode_init_ts(inode);
	if (S_ISDIR(mode)) {
		inode->i_op = &dir_iops;
		inode->i_fop = &simple_dir_operations;
		set_nlink(inode, 2);
	} else {
		inode->i_op = &file_iops;
	}
	return inode;
}

/* Not hashed yet when @hidden. */
static struct dentry *add_dir(struct dentry *parent, const char *name,
			      kgid_t gid, bool hidden)
{
	struct dentry *dentry = d_alloc_name(parent, name);
	struct inode *inode;

	if (!dentry)
		return NULL;
	inode = new_node(parent->d_sb, S_IFDIR | 0555, gid);
	if (!inode) {
		dput(dentry);
		return NULL;
	}
	if (hidden)
		d_instantiate(dentry, inode);
	else
		d_add(dentry, inode);
	return dentry;
}

static struct dentry *add_file(struct dentry *parent, const char *name,
			       const struct ghost_file *f, struct ghost_enclave *e,
			       struct ghost_sw_region *region, loff_t size)
{
	struct ghost_node *node = kzalloc(sizeof(*node), GFP_KERNEL_ACCOUNT);
	struct dentry *dentry = d_alloc_name(parent, name);
	struct inode *inode = NULL;

	if (node && dentry)
		inode = new_node(parent->d_sb, S_IFREG | f->mode,
				 e ? e->gid : GLOBAL_ROOT_GID);
	if (!inode) {
		kfree(node);
		dput(dentry);
		return NULL;
	}
	if (e)
		ghost_enclave_pin(e);
	node->e = e;
	node->file = f;
	node->region = region;
	inode->i_private = node;
	inode->i_fop = f->fops ?: &text_fops;
	inode->i_size = size;
	d_add(dentry, inode);
	return dentry;
}

static void ghost_evict_inode(struct inode *inode)
{
	struct ghost_node *node = inode->i_private;

	truncate_inode_pages_final(&inode->i_data);
	clear_inode(inode);
	if (node && node->e)
		ghost_enclave_unpin(node->e);
	kfree(node);
}

static void unmap_file(struct dentry *dentry)
{
	unmap_mapping_range(d_inode(dentry)->i_mapping, 0, 0, 1);
}

static void remove_dir(struct dentry *dir)
{
	simple_recursive_removal(dir, unmap_file);
}

/* The enclave's files go, of which what is open answers ENODEV already. */
void ghost_fs_remove(struct ghost_enclave *e)
{
	ghost_set_online(e, false);
	remove_dir(e->dir);
	WRITE_ONCE(e->gone, true);
	wake_up_all(&e->wait);
}

int ghost_fs_add_region(struct ghost_enclave *e, struct ghost_sw_region *r)
{
	struct inode *dir = d_inode(e->sw_dir);
	struct dentry *dentry;
	char name[32];
	int ret = -EINVAL;

	snprintf(name, sizeof(name), "sw_%u", r->mem->id);
	inode_lock(dir);
	if (READ_ONCE(e->removed) || IS_DEADDIR(dir))
		goto unlock;
	dentry = lookup_one_len(name, e->sw_dir, strlen(name));
	if (IS_ERR(dentry)) {
		ret = PTR_ERR(dentry);
		goto unlock;
	}
	ret = d_really_is_positive(dentry) ? -EEXIST : 0;
	dput(dentry);
	if (ret)
		goto unlock;

	ret = -ENOSPC;
	if (e->nr_regions == GHOST_MAX_REGIONS)
		goto unlock;
	ret = -ENOMEM;
	if (!add_file(e->sw_dir, name, &ghost_region_file, e, r, GHOST_SW_REGION_SIZE))
		goto unlock;
	raw_spin_lock_irq(&e->lock);
	list_add_tail(&r->list, &e->regions);
	raw_spin_unlock_irq(&e->lock);
	e->nr_regions++;
	ret = 0;
unlock:
	inode_unlock(dir);
	return ret;
}
ALLOW_ERROR_INJECTION(ghost_fs_add_region, ERRNO);

static int build_dir(struct ghost_enclave *e)
{
	int i;

	for (i = 0; i < ghost_nr_enclave_files; i++) {
		const struct ghost_file *f = &ghost_enclave_files[i];

		if (!add_file(e->dir, f->name, f, e, NULL, ghost_file_size(f)))
			return -ENOMEM;
	}
	/* Held until the enclave is freed: a writer may be on its way in. */
	e->sw_dir = dget(add_dir(e->dir, "sw_regions", e->gid, false));
	return e->sw_dir ? 0 : -ENOMEM;
}

/* "gid=N" in the caller's user namespace, "ephemeral". */
static int parse_options(char *args, kgid_t *gid, bool *ephemeral)
{
	char *name, *val;
	u32 id;

	*gid = GLOBAL_ROOT_GID;
	*ephemeral = false;
	args = skip_spaces(args);
	while (*args) {
		args = next_arg(args, &name, &val);
		if (!strcmp(name, "gid")) {
			if (!val || kstrtou32(val, 10, &id))
				return -EINVAL;
			*gid = make_kgid(current_user_ns(), id);
			if (!gid_valid(*gid))
				return -EINVAL;
		} else if (!strcmp(name, "ephemeral")) {
			if (val)
				return -EINVAL;
			*ephemeral = true;
		} else {
			return -ENOENT;
		}
	}
	return 0;
}

static int create_enclave(unsigned long id, u32 abi, char *options)
{
	struct dentry *root = ghost_mnt->mnt_root, *old;
	struct ghost_enclave *e;
	char name[31];
	bool ephemeral;
	kgid_t gid;
	int ret;

	if (snprintf(name, sizeof(name), "enclave_%lu", id) >= sizeof(name))
		return -ENOSPC;

	inode_lock(d_inode(root));
	old = lookup_one_len(name, root, strlen(name));
	if (IS_ERR(old)) {
		ret = PTR_ERR(old);
		goto unlock;
	}
	ret = d_really_is_positive(old) ? -EEXIST : 0;
	dput(old);
	if (!ret)
		ret = parse_options(options, &gid, &ephemeral);
	if (ret)
		goto unlock;

	ret = -ENOMEM;
	e = ghost_enclave_create(id, abi);
	if (!e)
		goto unlock;
	e->event = 1;
	e->gid = gid;
	e->dir = add_dir(root, name, gid, true);
	ret = e->dir ? build_dir(e) : -ENOMEM;
	if (ret) {
		WRITE_ONCE(e->dying, true);
		WRITE_ONCE(e->removed, true);
		if (e->dir) {
			inc_nlink(d_inode(root));
			d_rehash(e->dir);
		}
		inode_unlock(d_inode(root));
		if (e->dir)
			remove_dir(e->dir);
		ghost_enclave_put(e);
		return ret;
	}
	if (ephemeral)
		ghost_enclave_bind(e);
	ghost_enclave_publish(e);
	inc_nlink(d_inode(root));
	d_rehash(e->dir);
unlock:
	inode_unlock(d_inode(root));
	return ret;
}

static ssize_t top_ctl_store(struct ghost_enclave *unused, char *buf, size_t len)
{
	char *word, *rest = buf;
	unsigned long id;
	int ret;
	u32 abi;

	buf[strcspn(buf, "\n")] = '\0';
	word = strsep(&rest, " ");
	if (strcmp(word, "create") || !rest)
		return -EINVAL;
	word = strsep(&rest, " ");
	if (kstrtoul(word, 10, &id) || !rest)
		return -EINVAL;
	word = strsep(&rest, " ");
	if (kstrtou32(word, 10, &abi))
		return -EINVAL;
	if (abi < GHOST_VERSION_MIN || abi > GHOST_VERSION)
		return -ESRCH;
	ret = create_enclave(id, abi, rest ?: "");
	return ret ?: len;
}

static ssize_t version_show(struct ghost_enclave *unused, char *buf)
{
	ssize_t len = 0;
	int v;

	for (v = GHOST_VERSION_MIN; v <= GHOST_VERSION; v++)
		len += sysfs_emit_at(buf, len, "%d\n", v);
	return len;
}

static const struct ghost_file top_files[] = {
	{ "ctl", 0660, NULL, top_ctl_store, .check_cred = true },
	{ "exits", 0444, .fops = &ghost_exits_fops },
	{ "version", 0444, version_show },
};

static const struct super_operations ghost_super_ops = {
	.statfs		= simple_statfs,
	.drop_inode	= generic_delete_inode,
	.evict_inode	= ghost_evict_inode,
};

static int ghost_fill_super(struct super_block *sb, struct fs_context *fc)
{
	struct inode *inode;
	int i;

	sb->s_magic = GHOST_FS_MAGIC;
	sb->s_blocksize = PAGE_SIZE;
	sb->s_blocksize_bits = PAGE_SHIFT;
	sb->s_op = &ghost_super_ops;
	sb->s_time_gran = 1;
	inode = new_node(sb, S_IFDIR | 0755, GLOBAL_ROOT_GID);
	sb->s_root = d_make_root(inode);
	if (!sb->s_root)
		return -ENOMEM;
	for (i = 0; i < ARRAY_SIZE(top_files); i++)
		if (!add_file(sb->s_root, top_files[i].name, &top_files[i], NULL,
			      NULL, 0))
			return -ENOMEM;
	return 0;
}

static int ghost_get_tree(struct fs_context *fc)
{
	return get_tree_single(fc, ghost_fill_super);
}

static const struct fs_context_operations ghost_context_ops = {
	.get_tree	= ghost_get_tree,
};

static int ghost_init_fs_context(struct fs_context *fc)
{
	put_user_ns(fc->user_ns);
	fc->user_ns = get_user_ns(&init_user_ns);
	fc->ops = &ghost_context_ops;
	fc->global = true;
	return 0;
}

static struct file_system_type ghost_fs_type = {
	.owner			= THIS_MODULE,
	.name			= GHOST_FS_NAME,
	.init_fs_context	= ghost_init_fs_context,
	.kill_sb		= kill_litter_super,
};

static int __init ghost_fs_init(void)
{
	int ret = sysfs_create_mount_point(fs_kobj, "ghost");

	if (ret)
		return ret;
	ret = register_filesystem(&ghost_fs_type);
	if (ret)
		goto remove;
	ghost_mnt = kern_mount(&ghost_fs_type);
	if (!IS_ERR(ghost_mnt))
		return 0;
	ret = PTR_ERR(ghost_mnt);
	unregister_filesystem(&ghost_fs_type);
remove:
	sysfs_remove_mount_point(fs_kobj, "ghost");
	return ret;
}
late_initcall(ghost_fs_init);
