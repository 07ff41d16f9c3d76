// SPDX-License-Identifier: GPL-2.0-only
/*
 * SCHED_GHOST: the file tree at /sys/fs/ghost. It parses and prints, and
 * decides nothing. One tree for all mounts, pinned by an internal one.
 *
 * Each inode of an enclave holds a reference of it, so that an open file
 * needs none. After removal every operation answers ENODEV.
 */
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/kobject.h>
#include <linux/mm.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/pagemap.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include "ghost.h"

struct ghost_file;

/* What an inode stands for. */
struct ghost_node {
	struct ghost_enclave	*e;		/* counted; NULL at the top */
	const struct ghost_file	*file;
	struct ghost_sw_region	*region;
};

/* One row of the file tables below. */
struct ghost_file {
	const char	*name;
	umode_t		mode;
	ssize_t		(*show)(struct ghost_enclave *e, char *buf);
	ssize_t		(*store)(struct ghost_enclave *e, char *buf, size_t len);
	const struct file_operations *fops;	/* instead of show and store */
	bool		agent_ok;		/* agents may open it */
	bool		check_cred;		/* the writer must be the opener */
};

static struct vfsmount *ghost_mnt;

static struct ghost_node *node_of(struct file *file)
{
	return file_inode(file)->i_private;
}

static struct ghost_enclave *live_enclave(struct file *file)
{
	struct ghost_enclave *e = node_of(file)->e;

	return e && READ_ONCE(e->removed) ? NULL : e;
}

static int ghost_open(struct inode *inode, struct file *file)
{
	const struct ghost_file *f = ((struct ghost_node *)inode->i_private)->file;
	struct ghost_enclave *e = ((struct ghost_node *)inode->i_private)->e;

	/* The mode says what the file can do; this holds for root, too. */
	if ((file->f_mode & FMODE_WRITE) && !(f->mode & 0222))
		return -EACCES;
	if ((file->f_mode & FMODE_READ) &&
	    (!(f->mode & 0444) || !(f->show || f->fops)))
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

static ssize_t ghost_read(struct file *file, char __user *ubuf, size_t count,
			  loff_t *ppos)
{
	const struct ghost_file *f = node_of(file)->file;
	struct ghost_enclave *e = live_enclave(file);
	ssize_t len;
	char *buf;

	if (node_of(file)->e && !e)
		return -ENODEV;
	buf = (char *)get_zeroed_page(GFP_KERNEL);
	if (!buf)
		return -ENOMEM;
	len = f->show(e, buf);
	if (len >= 0)
		len = simple_read_from_buffer(ubuf, count, ppos, buf, len);
	free_page((unsigned long)buf);
	return len;
}

static ssize_t ghost_write(struct file *file, const char __user *ubuf,
			   size_t count, loff_t *ppos)
{
	const struct ghost_file *f = node_of(file)->file;
	struct ghost_enclave *e = live_enclave(file);
	ssize_t ret;
	char *buf;

	if (node_of(file)->e && !e)
		return -ENODEV;
	/* A descriptor handed to a set-uid program gives it no orders. */
	if (f->check_cred && !uid_eq(file->f_cred->euid, current_euid()))
		return -EPERM;
	count = min_t(size_t, count, PAGE_SIZE);
	buf = memdup_user_nul(ubuf, count);
	if (IS_ERR(buf))
		return PTR_ERR(buf);
	ret = f->store(e, buf, count);
	kfree(buf);
	return ret;
}

static const struct file_operations text_fops = {
	.owner		= THIS_MODULE,
	.open		= ghost_open,
	.read		= ghost_read,
	.write		= ghost_write,
	.llseek		= generic_file_llseek,
};

/* ---- the enclave's ctl ---- */

static ssize_t ctl_show(struct ghost_enclave *e, char *buf)
{
	return sysfs_emit(buf, "%lu", e->id);
}

static ssize_t ctl_store(struct ghost_enclave *e, char *buf, size_t len)
{
	int cpu, qfd, node, ret;
	u32 id;

	buf[strcspn(buf, "\n")] = '\0';
	if (!strcmp(buf, "destroy")) {
		ghost_enclave_destroy(e, GHOST_EXIT_USER);
		ghost_enclave_wait_free(e);
		return len;
	}
	if (sscanf(buf, "create sw_region %u %d", &id, &node) == 2)
		ret = ghost_region_create(e, id, node);
	else if (sscanf(buf, "become agent %d %d", &cpu, &qfd) == 2)
		ret = ghost_become_agent(e, cpu, qfd);
	else
		ret = -EINVAL;
	return ret ?: len;
}

static long ctl_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct ghost_enclave *e = live_enclave(file);

	if (!(file->f_mode & FMODE_WRITE))
		return -EACCES;
	return e ? ghost_ioctl(e, cmd, arg) : -ENODEV;
}

static const struct file_operations ctl_fops = {
	.owner		= THIS_MODULE,
	.open		= ghost_open,
	.read		= ghost_read,
	.write		= ghost_write,
	.unlocked_ioctl	= ctl_ioctl,
	.llseek		= generic_file_llseek,
};

/* ---- CPU lists ---- */

static ssize_t cpus_show(struct ghost_enclave *e, char *buf, bool list)
{
	cpumask_var_t cpus;

	if (!alloc_cpumask_var(&cpus, GFP_KERNEL))
		return -ENOMEM;
	raw_spin_lock_irq(&e->lock);
	cpumask_copy(cpus, e->cpus);
	raw_spin_unlock_irq(&e->lock);
	cpumap_print_to_pagebuf(list, buf, cpus);
	free_cpumask_var(cpus);
	return strlen(buf);
}

static ssize_t cpus_store(struct ghost_enclave *e, char *buf, size_t len, bool list)
{
	cpumask_var_t cpus;
	int ret;

	if (!alloc_cpumask_var(&cpus, GFP_KERNEL))
		return -ENOMEM;
	ret = list ? cpulist_parse(buf, cpus) : cpumask_parse(buf, cpus);
	if (!ret)
		ret = ghost_enclave_set_cpus(e, cpus);
	free_cpumask_var(cpus);
	return ret ?: len;
}

static ssize_t cpulist_show(struct ghost_enclave *e, char *buf)
{
	return cpus_show(e, buf, true);
}

static ssize_t cpulist_store(struct ghost_enclave *e, char *buf, size_t len)
{
	return cpus_store(e, buf, len, true);
}

static ssize_t cpumask_show(struct ghost_enclave *e, char *buf)
{
	return cpus_show(e, buf, false);
}

static ssize_t cpumask_store(struct ghost_enclave *e, char *buf, size_t len)
{
	return cpus_store(e, buf, len, false);
}

/* ---- small files ---- */

static ssize_t abi_version_show(struct ghost_enclave *e, char *buf)
{
	return sysfs_emit(buf, "%u\n", e->abi);
}

static ssize_t status_show(struct ghost_enclave *e, char *buf)
{
	return sysfs_emit(buf, "version %u\nactive %s\nnr_tasks %u\n", e->abi,
			  READ_ONCE(e->online) ? "yes" : "no",
			  READ_ONCE(e->nr_tasks));
}

static ssize_t runnable_timeout_show(struct ghost_enclave *e, char *buf)
{
	return sysfs_emit(buf, "%lu", READ_ONCE(e->runnable_timeout_ms));
}

static ssize_t runnable_timeout_store(struct ghost_enclave *e, char *buf, size_t len)
{
	unsigned long ms;

	if (kstrtoul(buf, 0, &ms))
		return -EINVAL;
	WRITE_ONCE(e->runnable_timeout_ms, ms);
	ghost_watchdog_look(e);
	return len;
}

static ssize_t store_bool(bool *what, char *buf, size_t len)
{
	int val;

	if (kstrtoint(buf, 0, &val))
		return -EINVAL;
	WRITE_ONCE(*what, !!val);
	return len;
}

static ssize_t wake_on_waker_cpu_show(struct ghost_enclave *e, char *buf)
{
	return sysfs_emit(buf, "%d", READ_ONCE(e->wake_on_waker_cpu));
}

static ssize_t wake_on_waker_cpu_store(struct ghost_enclave *e, char *buf, size_t len)
{
	return store_bool(&e->wake_on_waker_cpu, buf, len);
}

static ssize_t live_dangerously_show(struct ghost_enclave *e, char *buf)
{
	return sysfs_emit(buf, "%d", READ_ONCE(e->live_dangerously));
}

static ssize_t live_dangerously_store(struct ghost_enclave *e, char *buf, size_t len)
{
	return store_bool(&e->live_dangerously, buf, len);
}

/* ---- tasks ---- */

static ssize_t tasks_read(struct file *file, char __user *ubuf, size_t count,
			  loff_t *ppos)
{
	struct ghost_enclave *e = live_enclave(file);
	struct task_struct *p;
	size_t len = 0, max;
	ssize_t ret;
	pid_t *pids;
	char *buf;
	u32 nr = 0, i;

	if (!e)
		return -ENODEV;
	/* Whoever joins between the two is left out. */
	max = READ_ONCE(e->nr_tasks) + 64;
	pids = kvmalloc_array(max, sizeof(*pids), GFP_KERNEL);
	buf = kvmalloc_array(max, 12, GFP_KERNEL);
	ret = -ENOMEM;
	if (!pids || !buf)
		goto out;

	raw_spin_lock_irq(&e->lock);
	list_for_each_entry(p, &e->tasks, ghost.task_node) {
		if (nr == max)
			break;
		pids[nr++] = p->pid;
	}
	raw_spin_unlock_irq(&e->lock);

	for (i = 0; i < nr; i++)
		len += sprintf(buf + len, "%d\n", pids[i]);
	ret = simple_read_from_buffer(ubuf, count, ppos, buf, len);
out:
	kvfree(pids);
	kvfree(buf);
	return ret;
}

static struct task_struct *find_target(s64 id)
{
	struct task_struct *p;

	rcu_read_lock();
	if (!id)
		p = current;
	else if (id < 0)
		p = NULL;
	else if (id >> GHOST_GTID_SEQNUM_BITS)
		p = ghost_any_task_by_gtid(id);
	else
		p = id > PID_MAX_LIMIT ? NULL : find_task_by_vpid(id);
	if (p)
		p = tryget_task_struct(p);
	rcu_read_unlock();
	return p;
}

static ssize_t tasks_store(struct ghost_enclave *e, char *buf, size_t len)
{
	struct task_struct *p;
	s64 id;
	int ret;

	ret = kstrtos64(buf, 0, &id);
	if (ret)
		return ret;
	p = find_target(id);
	if (!p)
		return -ESRCH;
	ret = ghost_join_enclave(e, p);
	put_task_struct(p);
	return ret ?: len;
}

static const struct file_operations tasks_fops = {
	.owner		= THIS_MODULE,
	.open		= ghost_open,
	.read		= tasks_read,
	.write		= ghost_write,
	.llseek		= generic_file_llseek,
};

/* ---- agent_online ---- */

static void set_online(struct ghost_enclave *e, bool online)
{
	WRITE_ONCE(e->online, online);
	WRITE_ONCE(e->event, e->event + 1);
	wake_up_all(&e->wait);
}

static int online_open(struct inode *inode, struct file *file)
{
	struct ghost_enclave *e = ((struct ghost_node *)inode->i_private)->e;
	int ret = ghost_open(inode, file);

	if (ret || !(file->f_mode & FMODE_WRITE))
		return ret;
	inode_lock(inode);
	if (e->online)
		ret = -EBUSY;
	else
		set_online(e, true);
	inode_unlock(inode);
	return ret;
}

static int online_release(struct inode *inode, struct file *file)
{
	struct ghost_enclave *e = ((struct ghost_node *)inode->i_private)->e;

	if (file->f_mode & FMODE_WRITE) {
		inode_lock(inode);
		set_online(e, false);
		inode_unlock(inode);
	}
	return 0;
}

/* file->private_data is the event that the description has seen. */
static ssize_t online_read(struct file *file, char __user *ubuf, size_t count,
			   loff_t *ppos)
{
	struct ghost_enclave *e = live_enclave(file);

	if (!e)
		return -ENODEV;
	file->private_data = (void *)(unsigned long)READ_ONCE(e->event);
	return simple_read_from_buffer(ubuf, count, ppos,
				       READ_ONCE(e->online) ? "1" : "0", 1);
}

static ssize_t online_write(struct file *file, const char __user *ubuf,
			    size_t count, loff_t *ppos)
{
	return live_enclave(file) ? -EINVAL : -ENODEV;
}

static __poll_t online_poll(struct file *file, poll_table *wait)
{
	struct ghost_enclave *e = node_of(file)->e;
	__poll_t mask = EPOLLIN | EPOLLRDNORM | EPOLLOUT | EPOLLWRNORM;

	poll_wait(file, &e->wait, wait);
	if (READ_ONCE(e->removed) ||
	    (u32)(unsigned long)file->private_data != READ_ONCE(e->event))
		mask |= EPOLLERR | EPOLLPRI;
	return mask;
}

static const struct file_operations online_fops = {
	.owner		= THIS_MODULE,
	.open		= online_open,
	.release	= online_release,
	.read		= online_read,
	.write		= online_write,
	.poll		= online_poll,
	.llseek		= generic_file_llseek,
};

/* ---- mappings ---- */

static int check_mmap(struct file *file, struct vm_area_struct *vma, bool write)
{
	if (!live_enclave(file))
		return -ENODEV;
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	if (vma->vm_flags & VM_EXEC)
		return -EACCES;
	if (vma->vm_pgoff ||
	    vma->vm_end - vma->vm_start != i_size_read(file_inode(file)))
		return -EINVAL;
	if (!write && (vma->vm_flags & VM_WRITE))
		return -EINVAL;
	vm_flags_mod(vma, VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP,
		     VM_MAYEXEC | (write ? 0 : VM_MAYWRITE));
	return 0;
}

static vm_fault_t map_page(struct vm_fault *vmf, struct page *page)
{
	get_page(page);
	vmf->page = page;
	return 0;
}

static vm_fault_t cpu_data_fault(struct vm_fault *vmf)
{
	struct ghost_enclave *e = live_enclave(vmf->vma->vm_file);

	if (!e || vmf->pgoff >= nr_cpu_ids || !e->txn_page[vmf->pgoff])
		return VM_FAULT_SIGBUS;
	return map_page(vmf, e->txn_page[vmf->pgoff]);
}

static const struct vm_operations_struct cpu_data_vm_ops = {
	.fault = cpu_data_fault,
};

static int cpu_data_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_ops = &cpu_data_vm_ops;
	return check_mmap(file, vma, true);
}

static const struct file_operations cpu_data_fops = {
	.owner		= THIS_MODULE,
	.open		= ghost_open,
	.mmap		= cpu_data_mmap,
};

static vm_fault_t region_fault(struct vm_fault *vmf)
{
	struct file *file = vmf->vma->vm_file;

	if (!live_enclave(file) || vmf->pgoff >= GHOST_SW_REGION_SIZE / PAGE_SIZE)
		return VM_FAULT_SIGBUS;
	return map_page(vmf, vmalloc_to_page((void *)node_of(file)->region->mem +
					     vmf->pgoff * PAGE_SIZE));
}

static const struct vm_operations_struct region_vm_ops = {
	.fault = region_fault,
};

static int region_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_ops = &region_vm_ops;
	return check_mmap(file, vma, false);
}

static const struct file_operations region_fops = {
	.owner		= THIS_MODULE,
	.open		= ghost_open,
	.mmap		= region_mmap,
};

static const struct ghost_file enclave_files[] = {
	{ "abi_version", 0444, abi_version_show },
	{ "agent_online", 0664, .fops = &online_fops, .agent_ok = true },
	{ "cpu_data", 0660, .fops = &cpu_data_fops },
	{ "cpulist", 0664, cpulist_show, cpulist_store },
	{ "cpumask", 0664, cpumask_show, cpumask_store },
	{ "ctl", 0664, ctl_show, ctl_store, &ctl_fops, .check_cred = true },
	{ "live_dangerously", 0664, live_dangerously_show, live_dangerously_store },
	{ "runnable_timeout", 0664, runnable_timeout_show, runnable_timeout_store },
	{ "status", 0444, status_show },
	{ "tasks", 0666, NULL, tasks_store, &tasks_fops, .check_cred = true },
	{ "wake_on_waker_cpu", 0664, wake_on_waker_cpu_show,
	  wake_on_waker_cpu_store },
};

static const struct ghost_file region_file = {
	.mode = 0440, .fops = &region_fops,
};

/* ---- the tree ---- */

static const struct inode_operations file_iops = {
	.setattr	= simple_setattr,
	.getattr	= simple_getattr,
};

static const struct inode_operations dir_iops = {
	.lookup		= simple_lookup,
	.setattr	= simple_setattr,
	.getattr	= simple_getattr,
};

static struct inode *new_node(struct super_block *sb, umode_t mode)
{
	struct inode *inode = new_inode(sb);

	if (!inode)
		return NULL;
	inode->i_ino = get_next_ino();
	inode->i_mode = mode;
	inode->i_uid = current_euid();
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
static struct dentry *add_dir(struct dentry *parent, const char *name, bool hidden)
{
	struct dentry *dentry = d_alloc_name(parent, name);
	struct inode *inode;

	if (!dentry)
		return NULL;
	inode = new_node(parent->d_sb, S_IFDIR | 0555);
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
		inode = new_node(parent->d_sb, S_IFREG | f->mode);
	if (!inode) {
		kfree(node);
		dput(dentry);
		return NULL;
	}
	if (e)
		ghost_enclave_get(e);
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
		ghost_enclave_put(node->e);
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

/* The enclave's files go; what is open answers ENODEV from here on. */
void ghost_fs_remove(struct ghost_enclave *e)
{
	WRITE_ONCE(e->removed, true);
	set_online(e, false);
	remove_dir(e->dir);
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

	ret = -ENOMEM;
	if (!add_file(e->sw_dir, name, &region_file, e, r, GHOST_SW_REGION_SIZE))
		goto unlock;
	raw_spin_lock_irq(&e->lock);
	list_add_tail(&r->list, &e->regions);
	raw_spin_unlock_irq(&e->lock);
	ret = 0;
unlock:
	inode_unlock(dir);
	return ret;
}

static int build_dir(struct ghost_enclave *e)
{
	loff_t size;
	int i;

	for (i = 0; i < ARRAY_SIZE(enclave_files); i++) {
		const struct ghost_file *f = &enclave_files[i];

		size = f->fops == &cpu_data_fops ? (loff_t)nr_cpu_ids * PAGE_SIZE : 0;
		if (!add_file(e->dir, f->name, f, e, NULL, size))
			return -ENOMEM;
	}
	/* Held until the enclave is freed: a writer may be on its way in. */
	e->sw_dir = dget(add_dir(e->dir, "sw_regions", false));
	return e->sw_dir ? 0 : -ENOMEM;
}

static int create_enclave(unsigned long id, u32 abi)
{
	struct dentry *root = ghost_mnt->mnt_root, *old;
	struct ghost_enclave *e;
	char name[31];
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
	if (ret)
		goto unlock;

	ret = -ENOMEM;
	e = ghost_enclave_create(id, abi);
	if (!e)
		goto unlock;
	e->event = 1;
	e->dir = add_dir(root, name, true);
	ret = e->dir ? build_dir(e) : -ENOMEM;
	if (ret) {
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
	if (rest && *skip_spaces(rest))
		return -ENOENT;
	ret = create_enclave(id, abi);
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
	inode = new_node(sb, S_IFDIR | 0755);
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
