// SPDX-License-Identifier: GPL-2.0-only
/*
 * SCHED_GHOST: the ioctls of an enclave's ctl: copy in, check, call, copy out.
 */
#include <linux/sched/cputime.h>
#include <linux/uaccess.h>
#include "ghost.h"

static int sw_info_of_agent(struct ghost_enclave *e, int cpu,
			    struct ghost_sw_info *info)
{
	struct task_struct *p;
	int ret = -EINVAL;

	if (cpu < 0 || cpu >= nr_cpu_ids || !cpu_online(cpu))
		return -EINVAL;

	raw_spin_lock_irq(&e->lock);
	p = cpu_rq(cpu)->ghost.agent;
	if (rcu_access_pointer(cpu_rq(cpu)->ghost.enclave) != e) {
		ret = -ENODEV;
	} else if (p && p->ghost.sw) {
		info->id = p->ghost.region->mem->id;
		info->index = p->ghost.sw - p->ghost.region->words;
		ret = 0;
	}
	raw_spin_unlock_irq(&e->lock);
	return ret;
}

/* Returns the task with a reference, or NULL. */
static struct task_struct *get_task(s64 gtid)
{
	struct task_struct *p;

	rcu_read_lock();
	p = ghost_any_task_by_gtid(gtid);
	if (p)
		p = tryget_task_struct(p);
	rcu_read_unlock();
	return p;
}

static int sw_info_of_task(struct ghost_enclave *e, s64 gtid,
			   struct ghost_sw_info *info)
{
	struct task_struct *p = get_task(gtid);
	struct rq_flags rf;
	struct rq *rq;
	int ret = -ENOENT;

	if (!p)
		return -ENOENT;
	rq = task_rq_lock(p, &rf);
	if (p->ghost.sw && p->ghost.enclave == e) {
		info->id = p->ghost.region->mem->id;
		info->index = p->ghost.sw - p->ghost.region->words;
		ret = 0;
	}
	task_rq_unlock(rq, p, &rf);
	put_task_struct(p);
	return ret;
}

static int ioc_sw_get_info(struct ghost_enclave *e,
			   struct ghost_ioc_sw_get_info __user *uarg)
{
	struct ghost_sw_info info = {};
	struct ghost_msg_src src;
	int ret;

	if (copy_from_user(&src, &uarg->request, sizeof(src)))
		return -EFAULT;
	if (src.type == GHOST_AGENT)
		ret = sw_info_of_agent(e, (int)src.arg, &info);
	else if (src.type == GHOST_TASK)
		ret = sw_info_of_task(e, src.arg, &info);
	else
		ret = -EINVAL;
	if (!ret && copy_to_user(&uarg->response, &info, sizeof(info)))
		ret = -EFAULT;
	return ret;
}

static int ioc_sw_free(struct ghost_enclave *e, struct ghost_sw_info __user *uarg)
{
	struct ghost_sw_info info;

	if (copy_from_user(&info, uarg, sizeof(info)))
		return -EFAULT;
	return ghost_sw_user_free(e, &info);
}

static int ioc_create_queue(struct ghost_enclave *e,
			    struct ghost_ioc_create_queue __user *uarg)
{
	struct ghost_ioc_create_queue arg;
	u64 size;

	if (copy_from_user(&arg, uarg, sizeof(arg)))
		return -EFAULT;
	if (arg.elems < 1 || arg.elems > GHOST_MAX_QUEUE_ELEMS ||
	    !is_power_of_2(arg.elems) || arg.flags ||
	    arg.node < 0 || arg.node >= MAX_NUMNODES || !node_online(arg.node))
		return -EINVAL;
	size = ghost_queue_size(arg.elems);
	if (put_user(size, &uarg->mapsize))
		return -EFAULT;
	return ghost_queue_create(e, arg.elems, arg.node);
}

static int assoc_queue(struct ghost_enclave *e, struct task_struct *p,
		       struct ghost_queue *q, u32 barrier)
{
	struct ghost_queue *old = q;
	struct rq_flags rf;
	struct rq *rq;
	u32 now;
	int ret = 0;

	rq = task_rq_lock(p, &rf);
	if (!p->ghost.sw || p->ghost.enclave != e) {
		ret = -ENOENT;
		goto unlock;
	}
	if (p->ghost.flags & GHOST_TF_AGENT)
		ghost_agent_sync(rq);
	now = p->ghost.barrier;
	if (now != barrier) {
		ret = -ESTALE;
		goto unlock;
	}
	if (p->ghost.queue == q)
		ret |= GHOST_ASSOC_SF_ALREADY;
	if (!(p->ghost.flags & GHOST_TF_AGENT) &&
	    (p->ghost.gate || (p->ghost.pending & GHOST_PEND_NEW)))
		ret |= GHOST_ASSOC_SF_BRAND_NEW;
	old = p->ghost.queue;
	p->ghost.queue = q;
	/* Who knows the barrier knows the status word: nothing is owed. */
	if (!(p->ghost.flags & GHOST_TF_AGENT) && !ret) {
		p->ghost.view = p->ghost.sw->flags & GHOST_SW_TASK_RUNNABLE ?
			GHOST_VIEW_RUNNABLE : GHOST_VIEW_BLOCKED;
		p->ghost.flags &= ~GHOST_TF_LOST;
	}
unlock:
	task_rq_unlock(rq, p, &rf);
	/* The reference that is left over: of @q on failure, else the old. */
	ghost_queue_put(old);
	return ret;
}

static int ioc_assoc_queue(struct ghost_enclave *e,
			   struct ghost_ioc_assoc_queue __user *uarg)
{
	struct ghost_ioc_assoc_queue arg;
	struct task_struct *p;
	struct ghost_queue *q;
	int ret;

	if (copy_from_user(&arg, uarg, sizeof(arg)))
		return -EFAULT;
	if (arg.flags || arg.src.type != GHOST_TASK)
		return -EINVAL;
	q = ghost_queue_fdget(arg.fd);
	if (!q)
		return -EBADF;
	if (READ_ONCE(q->enclave) != e) {
		ghost_queue_put(q);
		return -EINVAL;
	}
	p = get_task(arg.src.arg);
	if (!p) {
		ghost_queue_put(q);
		return -ENOENT;
	}
	ret = assoc_queue(e, p, q, arg.barrier);
	put_task_struct(p);
	return ret;
}

static int ioc_set_default_queue(struct ghost_enclave *e,
				 struct ghost_ioc_set_default_queue __user *uarg)
{
	struct ghost_ioc_set_default_queue arg;
	struct ghost_queue *q;
	int ret = 0;

	if (copy_from_user(&arg, uarg, sizeof(arg)))
		return -EFAULT;
	q = ghost_queue_fdget(arg.fd);
	if (!q)
		return -EBADF;

	raw_spin_lock_irq(&e->lock);
	if (q->enclave == e)
		e->default_queue = q;	/* weak: closing the queue clears it */
	else
		ret = -EINVAL;
	raw_spin_unlock_irq(&e->lock);
	ghost_queue_put(q);
	return ret;
}

static int ioc_config_queue_wakeup(struct ghost_enclave *e,
				   struct ghost_ioc_config_queue_wakeup __user *uarg)
{
	struct ghost_agent_wakeup w[GHOST_MAX_WINFO] = {};
	struct ghost_ioc_config_queue_wakeup arg;
	struct ghost_queue *q;
	int i, ret;

	if (copy_from_user(&arg, uarg, sizeof(arg)))
		return -EFAULT;
	if (arg.ninfo < 0 || arg.ninfo > GHOST_MAX_WINFO || arg.flags)
		return -EINVAL;
	q = ghost_queue_fdget(arg.qfd);
	if (!q)
		return -EBADF;

	ret = -EINVAL;
	if (READ_ONCE(q->enclave) != e)
		goto put;
	ret = -EFAULT;
	if (copy_from_user(w, (void __user *)arg.w, arg.ninfo * sizeof(*w)))
		goto put;
	ret = -EINVAL;
	for (i = 0; i < arg.ninfo; i++)
		if (w[i].prio || w[i].cpu < 0 || w[i].cpu >= nr_cpu_ids ||
		    !cpu_online(w[i].cpu))
			goto put;
	ret = ghost_queue_set_wakeup(e, q, w, arg.ninfo);
put:
	ghost_queue_put(q);
	return ret;
}

static int ioc_get_cpu_time(struct ghost_ioc_get_cpu_time __user *uarg)
{
	struct ghost_ioc_get_cpu_time arg;
	struct task_struct *p;

	if (copy_from_user(&arg, uarg, sizeof(arg)))
		return -EFAULT;
	p = get_task(arg.gtid);
	if (!p)
		return -ESRCH;
	arg.runtime = task_sched_runtime(p);
	put_task_struct(p);
	return put_user(arg.runtime, &uarg->runtime);
}

static int ioc_commit_txn(struct ghost_enclave *e,
			  struct ghost_ioc_commit_txn __user *uarg)
{
	struct ghost_ioc_commit_txn arg;

	if (copy_from_user(&arg, uarg, sizeof(arg)))
		return -EFAULT;
	return ghost_commit_ioctl(e, &arg);
}

static int ioc_run(struct ghost_ioc_run __user *uarg)
{
	struct ghost_ioc_run arg;

	if (!capable(CAP_SYS_NICE))
		return -EPERM;
	if (copy_from_user(&arg, uarg, sizeof(arg)))
		return -EFAULT;
	return ghost_run(&arg);
}

/* The caller has a file of @e open. */
long ghost_ioctl(struct ghost_enclave *e, unsigned int cmd, unsigned long arg)
{
	void __user *uarg = (void __user *)arg;

	switch (cmd) {
	case GHOST_IOC_NULL:
		return 0;
	case GHOST_IOC_SW_GET_INFO:
		return ioc_sw_get_info(e, uarg);
	case GHOST_IOC_SW_FREE:
		return ioc_sw_free(e, uarg);
	case GHOST_IOC_CREATE_QUEUE:
		return ioc_create_queue(e, uarg);
	case GHOST_IOC_ASSOC_QUEUE:
		return ioc_assoc_queue(e, uarg);
	case GHOST_IOC_SET_DEFAULT_QUEUE:
		return ioc_set_default_queue(e, uarg);
	case GHOST_IOC_CONFIG_QUEUE_WAKEUP:
		return ioc_config_queue_wakeup(e, uarg);
	case GHOST_IOC_GET_CPU_TIME:
		return ioc_get_cpu_time(uarg);
	case GHOST_IOC_COMMIT_TXN:
		return ioc_commit_txn(e, uarg);
	case GHOST_IOC_SYNC_GROUP_TXN:
		return ghost_sync_group_ioctl(e, uarg);
	case GHOST_IOC_TIMERFD_SETTIME:
		return ghost_timerfd_settime(e, uarg);
	case GHOST_IOC_RUN:
		return ioc_run(uarg);
	default:
		return -ENOTTY;
	}
}
