// SPDX-License-Identifier: GPL-2.0-only
/*
 * SCHED_GHOST: the files of an enclave: they parse and print, and decide
 * nothing.
 */
#include <linux/file.h>
#include <linux/fsnotify.h>
#include <linux/mm.h>
#include <linux/poll.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include "fs.h"

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
	else if (!strcmp(buf, "discover tasks"))
		ret = ghost_discover_tasks(e);
	else if (!strcmp(buf, "disable my bpf_prog_load"))
		ret = ghost_ban_bpf_load();
	else
		ret = -EINVAL;
	return ret ?: len;
}

static long ctl_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct ghost_enclave *e = ghost_live_enclave(file);

	if (!(file->f_mode & FMODE_WRITE))
		return -EACCES;
	return e ? ghost_ioctl(e, cmd, arg) : -ENODEV;
}

static const struct file_operations ctl_fops = {
	.owner		= THIS_MODULE,
	.open		= ghost_fs_open,
	.read		= ghost_fs_read,
	.write		= ghost_fs_write,
	.unlocked_ioctl	= ctl_ioctl,
	.llseek		= generic_file_llseek,
};

/**
 * ghost_fs_ctl_fdget - the enclave that a descriptor commands
 * @fd: of an enclave's ctl, open for writing
 *
 * Return: the enclave, pinned, or -EBADF or -EACCES.
 */
struct ghost_enclave *ghost_fs_ctl_fdget(int fd)
{
	struct ghost_enclave *e = NULL;
	struct fd f = fdget(fd);

	if (fd_file(f) && fd_file(f)->f_op == &ctl_fops)
		e = ghost_live_enclave(fd_file(f));
	if (!e)
		e = ERR_PTR(-EBADF);
	else if (!(fd_file(f)->f_mode & FMODE_WRITE))
		e = ERR_PTR(-EACCES);
	else
		ghost_enclave_pin(e);
	fdput(f);
	return e;
}

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

static ssize_t cpulist_read(struct file *file, char __user *ubuf, size_t count,
			    loff_t *ppos)
{
	return *ppos > PAGE_SIZE ? -EINVAL : ghost_fs_read(file, ubuf, count, ppos);
}

static const struct file_operations cpulist_fops = {
	.owner		= THIS_MODULE,
	.open		= ghost_fs_open,
	.read		= cpulist_read,
	.write		= ghost_fs_write,
	.llseek		= generic_file_llseek,
};

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
	ssize_t len;

	len = sysfs_emit(buf, "version %u\nactive %s\nnr_tasks %u\n", e->abi,
			 READ_ONCE(e->online) ? "yes" : "no",
			 READ_ONCE(e->nr_tasks));
	if (e->owner)
		len += sysfs_emit_at(buf, len, "ephemeral %d\n",
				     pid_nr(e->owner));
	return len;
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

static ssize_t fallback_show(struct ghost_enclave *e, char *buf)
{
	return sysfs_emit(buf, "%d", READ_ONCE(e->fallback));
}

static ssize_t fallback_store(struct ghost_enclave *e, char *buf, size_t len)
{
	int val;

	if (kstrtoint(buf, 0, &val))
		return -EINVAL;
	WRITE_ONCE(e->fallback, !!val);
	ghost_fallback_update(e);
	return len;
}

static ssize_t max_tasks_show(struct ghost_enclave *e, char *buf)
{
	return sysfs_emit(buf, "%u", READ_ONCE(e->max_tasks));
}

static ssize_t max_tasks_store(struct ghost_enclave *e, char *buf, size_t len)
{
	u32 max;

	if (kstrtou32(buf, 0, &max))
		return -EINVAL;
	WRITE_ONCE(e->max_tasks, max);
	return len;
}

/* What goes beyond the ABI: one name a line. Documentation/abi.md explains. */
static ssize_t features_show(struct ghost_enclave *e, char *buf)
{
	return sysfs_emit(buf, "%s%s",
			  "agent_hog_limit\n"
			  "bpf\n"
			  "bpf_link_replace\n"
			  "cpu_hotplug\n"
			  "destroy_waits\n"
			  "exit_records\n"
			  "fallback\n"
			  "honor_affinity\n"
			  "max_tasks\n"
			  "overflow_resend\n"
			  "pi_boost_blocks\n"
			  "stall_limit\n"
			  "suspend\n"
			  "sysrq_keys\n",
			  IS_ENABLED(CONFIG_GHOST_SWITCHTO) ? "switchto\n" : "");
}

/* ---- tasks ---- */

static void show_pid(struct task_struct *p, void *arg)
{
	struct seq_file *m = arg;

	seq_put_decimal_ll(m, NULL, p->pid);
	seq_putc(m, '\n');
}

static int tasks_show(struct seq_file *m, void *unused)
{
	struct ghost_enclave *e = m->private;

	/* Anybody may read, one at a time, and keeps nobody but other readers. */
	if (mutex_lock_killable(&e->read_lock))
		return -EINTR;
	ghost_for_members(e, show_pid, m);
	mutex_unlock(&e->read_lock);
	return 0;
}

/* The text is made at the first read, in one piece. */
static int tasks_open(struct inode *inode, struct file *file)
{
	struct ghost_enclave *e = ((struct ghost_node *)inode->i_private)->e;
	int ret = ghost_fs_open(inode, file);

	if (ret || !(file->f_mode & FMODE_READ))
		return ret;
	ret = single_open_size(file, tasks_show, e,
			       (READ_ONCE(e->nr_tasks) + 64) * sizeof("4194304"));
	/* Who may write may do so at any offset, whatever seq_open() thinks. */
	if (!ret && (file->f_mode & FMODE_WRITE))
		file->f_mode |= FMODE_PWRITE;
	return ret;
}

static int tasks_release(struct inode *inode, struct file *file)
{
	return file->private_data ? single_release(inode, file) : 0;
}

static ssize_t tasks_read(struct file *file, char __user *ubuf, size_t count,
			  loff_t *ppos)
{
	return ghost_live_enclave(file) ? seq_read(file, ubuf, count, ppos) :
		-ENODEV;
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
	.open		= tasks_open,
	.release	= tasks_release,
	.read		= tasks_read,
	.write		= ghost_fs_write,
	.llseek		= generic_file_llseek,
};

/* ---- agent_online ---- */

void ghost_set_online(struct ghost_enclave *e, bool online)
{
	WRITE_ONCE(e->online, online);
	WRITE_ONCE(e->event, e->event + 1);
	wake_up_all(&e->wait);
}

static int online_open(struct inode *inode, struct file *file)
{
	struct ghost_enclave *e = ((struct ghost_node *)inode->i_private)->e;
	int ret = ghost_fs_open(inode, file);

	if (ret || !(file->f_mode & FMODE_WRITE))
		return ret;
	inode_lock(inode);
	if (e->online)
		ret = -EBUSY;
	else
		ghost_set_online(e, true);
	inode_unlock(inode);
	if (!ret)
		fsnotify_modify(file);
	return ret;
}

static int online_release(struct inode *inode, struct file *file)
{
	struct ghost_enclave *e = ((struct ghost_node *)inode->i_private)->e;

	if (file->f_mode & FMODE_WRITE) {
		inode_lock(inode);
		ghost_set_online(e, false);
		inode_unlock(inode);
		fsnotify_modify(file);
	}
	return 0;
}

/* file->private_data is the event that the description has seen. */
static ssize_t online_read(struct file *file, char __user *ubuf, size_t count,
			   loff_t *ppos)
{
	struct ghost_enclave *e = ghost_live_enclave(file);

	if (!e)
		return -ENODEV;
	file->private_data = (void *)(unsigned long)READ_ONCE(e->event);
	return simple_read_from_buffer(ubuf, count, ppos,
				       READ_ONCE(e->online) ? "1" : "0", 1);
}

static ssize_t online_write(struct file *file, const char __user *ubuf,
			    size_t count, loff_t *ppos)
{
	return ghost_live_enclave(file) ? -EINVAL : -ENODEV;
}

static __poll_t online_poll(struct file *file, poll_table *wait)
{
	struct ghost_enclave *e = ghost_node_of(file)->e;
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
	if (!ghost_live_enclave(file))
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

static struct page *cpu_data_page(struct ghost_node *node, pgoff_t pgoff)
{
	return pgoff < nr_cpu_ids ? node->e->txn_page[pgoff] : NULL;
}

static struct page *region_page(struct ghost_node *node, pgoff_t pgoff)
{
	if (pgoff >= GHOST_SW_REGION_SIZE / PAGE_SIZE)
		return NULL;
	return vmalloc_to_page((void *)node->region->mem + pgoff * PAGE_SIZE);
}

/* What is mapped once stays until it is unmapped, whatever the enclave frees. */
static vm_fault_t map_page(struct vm_fault *vmf,
			   struct page *(*find)(struct ghost_node *node, pgoff_t pgoff))
{
	struct ghost_enclave *e = ghost_live_enclave(vmf->vma->vm_file);
	struct page *page = NULL;

	if (!e)
		return VM_FAULT_SIGBUS;
	raw_spin_lock_irq(&e->lock);
	if (!e->ended)
		page = find(ghost_node_of(vmf->vma->vm_file), vmf->pgoff);
	if (page)
		get_page(page);
	raw_spin_unlock_irq(&e->lock);
	vmf->page = page;
	return page ? 0 : VM_FAULT_SIGBUS;
}

static vm_fault_t cpu_data_fault(struct vm_fault *vmf)
{
	return map_page(vmf, cpu_data_page);
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
	.open		= ghost_fs_open,
	.mmap		= cpu_data_mmap,
};

static vm_fault_t region_fault(struct vm_fault *vmf)
{
	return map_page(vmf, region_page);
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
	.open		= ghost_fs_open,
	.mmap		= region_mmap,
};

#define TUNABLE(field)							\
	{ #field, 0664, .tunable = offsetof(struct ghost_enclave, field) }

const struct ghost_file ghost_enclave_files[] = {
	{ "abi_version", 0444, abi_version_show },
	{ "agent_online", 0664, .fops = &online_fops, .agent_ok = true },
	{ "bpf", 0444, ghost_bpf_show },
	TUNABLE(commit_at_tick),
	{ "cpu_data", 0660, .fops = &cpu_data_fops },
	{ "cpulist", 0664, cpulist_show, cpulist_store, &cpulist_fops },
	{ "cpumask", 0664, cpumask_show, cpumask_store },
	{ "ctl", 0664, ctl_show, ctl_store, &ctl_fops, .check_cred = true },
	TUNABLE(deliver_agent_runnability),
	TUNABLE(deliver_cpu_availability),
	TUNABLE(deliver_ticks),
	{ "fallback", 0664, fallback_show, fallback_store },
	{ "features", 0444, features_show },
	TUNABLE(honor_affinity),
	TUNABLE(live_dangerously),
	{ "max_tasks", 0664, max_tasks_show, max_tasks_store },
	{ "runnable_timeout", 0664, runnable_timeout_show, runnable_timeout_store },
	{ "status", 0444, status_show },
	TUNABLE(switchto_disabled),
	{ "tasks", 0666, NULL, tasks_store, &tasks_fops, .check_cred = true },
	TUNABLE(wake_on_waker_cpu),
};

const unsigned int ghost_nr_enclave_files = ARRAY_SIZE(ghost_enclave_files);

const struct ghost_file ghost_region_file = {
	.mode = 0440, .fops = &region_fops,
};

/* As stat shows it. */
loff_t ghost_file_size(const struct ghost_file *f)
{
	return f->fops == &cpu_data_fops ? (loff_t)nr_cpu_ids * PAGE_SIZE : 0;
}
