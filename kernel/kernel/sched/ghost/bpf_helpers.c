// SPDX-License-Identifier: GPL-2.0-only
/*
 * SCHED_GHOST: what BPF programs may call: the helpers of the ABI, a choice of
 * BPF's own, and kfuncs.
 */
#include <linux/bpf.h>
#include <linux/bpf_verifier.h>
#include <linux/btf.h>
#include <linux/btf_ids.h>
#include <linux/filter.h>
#include <trace/events/ghost.h>
#include "ghost.h"

#define RUN_GTID_FLAGS	(RTLA_ON_PREEMPT | RTLA_ON_BLOCKED | RTLA_ON_YIELD |	\
			 NEED_L1D_FLUSH | ELIDE_PREEMPT | SEND_TASK_ON_CPU |	\
			 DO_NOT_PREEMPT)
#define RESCHED_CLASSES	(RESCHED_GHOST_CLASS | RESCHED_IDLE_CLASS |		\
			 RESCHED_OTHER_CLASS)
#define RESCHED_FLAGS	(RESCHED_ANY_CLASS | RESCHED_CLASSES |			\
			 SET_MUST_RESCHED | WAKE_AGENT)

/* Count the helper that returns @ret, if it has failed. */
static int counted(int ret)
{
	struct ghost_bpf_run *r = __this_cpu_read(ghost_bpf_running);

	if (ret < 0)
		ghost_bpf_count(&r->e->bpf_stats->failed[r->slot]);
	return ret;
}

/* ---- run_gtid ---- */

/*
 * Lock the rq that @p is on and return it. If it is not this CPU's, that one
 * is unlocked in between; nothing but a rq lock is waited for.
 */
static struct rq *lock_rq_of(struct ghost_bpf_run *r, struct task_struct *p)
{
	struct rq *rq = r->rq, *src;

	while ((src = task_rq(p)) != rq) {
		rq_unpin_lock(rq, r->rf);
		double_lock_balance(rq, src);
		update_rq_clock(rq);
		if (task_rq(p) == src) {
			update_rq_clock(src);
			break;
		}
		double_unlock_balance(rq, src);
		rq_repin_lock(rq, r->rf);
	}
	return src;
}

static void unlock_rq_of(struct ghost_bpf_run *r, struct rq *src)
{
	if (src == r->rq)
		return;
	double_unlock_balance(r->rq, src);
	rq_repin_lock(r->rq, r->rf);
}

/* @p was seen on @src; its lock and ours are held. */
static __always_inline int
check_run(struct ghost_bpf_run *r, struct rq *src, struct task_struct *p, u32 barrier,
	  u32 run_flags)
{
	struct task_struct *curr = ghost_curr(r->rq);
	struct ghost_rq *g = &r->rq->ghost;

	if (run_flags & ~RUN_GTID_FLAGS)
		return -EINVAL;
	if (rcu_access_pointer(g->enclave) != r->e)
		return -EXDEV;
	if (p->ghost.gate || !ghost_class(p) || !p->ghost.sw ||
	    (p->ghost.pending & GHOST_PEND_NEW) || p->ghost.barrier != barrier ||
	    task_on_rq_migrating(p))
		return -ESTALE;
	if (!task_on_rq_queued(p))
		return -EINVAL;
	/* It woke up on another CPU meanwhile, which will be news. */
	if (!ghost_queued_on(src, p))
		return -ESTALE;
	if (p->ghost.enclave != r->e)
		return -EPERM;
	if (p->on_cpu || ghost_switched_to(src, p))
		return -EBUSY;
	if (src != r->rq && is_migration_disabled(p))
		return -ESTALE;
	if (READ_ONCE(r->e->honor_affinity) &&
	    !cpumask_test_cpu(cpu_of(r->rq), p->cpus_ptr))
		return -ESTALE;
	if (!g->agent)
		return -EINVAL;
	if ((run_flags & DO_NOT_PREEMPT) &&
	    ((curr != r->rq->idle && curr != g->agent) ||
	     (g->latched && g->latched != p)))
		return -ESTALE;
	return 0;
}

/* All is checked; both rq locks are held. */
static __always_inline void
run_here(struct ghost_bpf_run *r, struct rq *src, struct task_struct *p, u32 run_flags)
{
	ghost_take_task(r->rq, src, p);
	ghost_latch(r->rq, p, run_flags);
	/*
	 * A sync group, whether it has failed or its outcome is to come, is not the
	 * business of this task: tell_outcome() finds the word taken.
	 */
	if (READ_ONCE(r->rq->ghost.rendezvous))
		WRITE_ONCE(r->rq->ghost.rendezvous, 0);
	ghost_bpf_count(&r->e->bpf_stats->latched);
}

/*
 * Tell that @p could not be latched, unless it sleeps and somebody is about to wake
 * it up: WAKEUP is news, and might be sent at the same time.
 */
static void tell_failure(struct ghost_bpf_run *r, struct rq *src, struct task_struct *p,
			 int error)
{
	if (task_on_rq_migrating(p) || ghost_queued_on(src, p)) {
		ghost_bpf_latch_failure(r->e, p, error);
	} else if (raw_spin_trylock(&p->pi_lock)) {
		if (task_rq(p) == src)
			ghost_bpf_latch_failure(r->e, p, error);
		raw_spin_unlock(&p->pi_lock);
	}
}

BPF_CALL_3(bpf_ghost_run_gtid, s64, gtid, u32, barrier, s32, run_flags)
{
	struct ghost_bpf_run *r = __this_cpu_read(ghost_bpf_running);
	struct task_struct *p = ghost_any_task_by_gtid(gtid);
	struct rq *src;
	int ret;

	if (!p)
		return counted(-ENOENT);

	src = lock_rq_of(r, p);
	if (p->ghost.flags & GHOST_TF_AGENT) {
		ret = -ENOENT;
		goto unlock;
	}
	ret = check_run(r, src, p, barrier, run_flags);
	if (ret) {
		tell_failure(r, src, p, -ret);
		goto unlock;
	}
	run_here(r, src, p, run_flags);
unlock:
	unlock_rq_of(r, src);
	return counted(ret);
}

static const struct bpf_func_proto run_gtid_proto = {
	.func		= bpf_ghost_run_gtid,
	.gpl_only	= true,
	.ret_type	= RET_INTEGER,
	.arg1_type	= ARG_ANYTHING,
	.arg2_type	= ARG_ANYTHING,
	.arg3_type	= ARG_ANYTHING,
};

/* ---- other helpers ---- */

static int check_cpu(u32 cpu)
{
	if ((int)cpu < 0)
		return -EINVAL;
	return cpu < nr_cpu_ids && cpu_online(cpu) ? 0 : -ERANGE;
}

/* Is @cpu of the enclave whose program runs? */
static bool our_cpu(u32 cpu)
{
	return rcu_access_pointer(cpu_rq(cpu)->ghost.enclave) ==
		__this_cpu_read(ghost_bpf_running)->e;
}

BPF_CALL_1(bpf_ghost_wake_agent, u32, cpu)
{
	int ret = check_cpu(cpu);

	if (!ret && !our_cpu(cpu))
		ret = -EXDEV;
	if (!ret)
		ghost_wake_agent(cpu);
	return counted(ret);
}

static const struct bpf_func_proto wake_agent_proto = {
	.func		= bpf_ghost_wake_agent,
	.gpl_only	= true,
	.ret_type	= RET_INTEGER,
	.arg1_type	= ARG_ANYTHING,
};

/* What runs on @cpu, in terms of RESCHED_*_CLASS; a guess. */
static u32 running_class(u32 cpu)
{
	struct task_struct *curr = rcu_dereference(cpu_rq(cpu)->curr);

	if (is_idle_task(curr))
		return RESCHED_IDLE_CLASS;
	return ghost_class(curr) ? RESCHED_GHOST_CLASS : RESCHED_OTHER_CLASS;
}

BPF_CALL_2(bpf_ghost_resched_cpu2, u32, cpu, u32, flags)
{
	struct ghost_rq *g;
	int ret = check_cpu(cpu);

	if (!ret && (flags & ~RESCHED_FLAGS))
		ret = -EINVAL;
	if (!ret && !our_cpu(cpu))
		ret = -EXDEV;
	/* Asked for, and so not counted: the class was a condition. */
	if (!ret && !(flags & RESCHED_ANY_CLASS) && !(flags & running_class(cpu)))
		return -EPERM;
	if (ret)
		return counted(ret);

	g = &cpu_rq(cpu)->ghost;
	if (flags & SET_MUST_RESCHED)
		WRITE_ONCE(g->kick_remote, 1);
	if (flags & WAKE_AGENT)
		ghost_wake_agent(cpu);
	WRITE_ONCE(g->resched, 1);
	ghost_kick_cpu(cpu);
	return 0;
}

static const struct bpf_func_proto resched_cpu2_proto = {
	.func		= bpf_ghost_resched_cpu2,
	.gpl_only	= true,
	.ret_type	= RET_INTEGER,
	.arg1_type	= ARG_ANYTHING,
	.arg2_type	= ARG_ANYTHING,
};

BPF_CALL_1(bpf_ghost_sync_commit, const struct bpf_dynptr_kern *, ptr)
{
	struct ghost_bpf_run *r = __this_cpu_read(ghost_bpf_running);
	struct bpf_sync_commit_args args;
	const void *data;
	int ret;

	data = __bpf_dynptr_data(ptr, sizeof(args));
	if (!data)
		return counted(-EINVAL);
	memcpy(&args, data, sizeof(args));

	rq_unpin_lock(r->rq, r->rf);
	raw_spin_rq_unlock(r->rq);
	ret = ghost_sync_group_bpf(r->e, &args);
	raw_spin_rq_lock(r->rq);
	rq_repin_lock(r->rq, r->rf);
	update_rq_clock(r->rq);
	return counted(ret);
}

static const struct bpf_func_proto sync_commit_proto = {
	.func		= bpf_ghost_sync_commit,
	.gpl_only	= true,
	.ret_type	= RET_INTEGER,
	.arg1_type	= ARG_PTR_TO_DYNPTR | MEM_RDONLY,
};

/* The mask can change meanwhile: a program that must know waits for messages. */
BPF_CALL_3(bpf_ghost_get_affinity, s64, gtid, u8 *, mask, u32, size)
{
	struct task_struct *p = ghost_any_task_by_gtid(gtid);

	memset(mask, 0, size);
	if (!p)
		return counted(-ENOENT);
	if (size < cpumask_size())
		return counted(-E2BIG);
	/* Not cpus_ptr: nobody is told when migrate_enable() widens that. */
	memcpy(mask, cpumask_bits(&p->cpus_mask), cpumask_size());
	return nr_cpu_ids;
}

static const struct bpf_func_proto get_affinity_proto = {
	.func		= bpf_ghost_get_affinity,
	.gpl_only	= true,
	.ret_type	= RET_INTEGER,
	.arg1_type	= ARG_ANYTHING,
	.arg2_type	= ARG_PTR_TO_UNINIT_MEM,
	.arg3_type	= ARG_CONST_SIZE,
};

BPF_CALL_3(bpf_ghost_get_comm, s64, gtid, char *, buf, u32, size)
{
	struct task_struct *p = ghost_any_task_by_gtid(gtid);

	if (!p) {
		memset(buf, 0, size);
		return counted(-ENOENT);
	}
	strscpy_pad(buf, p->comm, size);
	return 0;
}

static const struct bpf_func_proto get_comm_proto = {
	.func		= bpf_ghost_get_comm,
	.gpl_only	= true,
	.ret_type	= RET_INTEGER,
	.arg1_type	= ARG_ANYTHING,
	.arg2_type	= ARG_PTR_TO_UNINIT_MEM,
	.arg3_type	= ARG_CONST_SIZE,
};

bool ghost_bpf_helper(int id)
{
	return id >= BPF_FUNC_ghost_wake_agent && id <= BPF_FUNC_ghost_get_comm;
}

static const struct bpf_func_proto *own_proto(int id, bool sched)
{
	switch (id) {
	case BPF_FUNC_ghost_wake_agent:
		return &wake_agent_proto;
	case BPF_FUNC_ghost_run_gtid:
		return sched ? &run_gtid_proto : NULL;
	case BPF_FUNC_ghost_resched_cpu2:
		return &resched_cpu2_proto;
	case BPF_FUNC_ghost_sync_commit:
		return sched ? &sync_commit_proto : NULL;
	case BPF_FUNC_ghost_get_affinity:
		return &get_affinity_proto;
	case BPF_FUNC_ghost_get_comm:
		return &get_comm_proto;
	default:
		return NULL;
	}
}

/**
 * ghost_bpf_func_proto - which helpers may a program call?
 * @id: number of the helper
 * @prog: of one of the types
 *
 * BPF's own are listed, so that one that Linux adds is thought about: timers,
 * for one, wake under the locks that are held.
 *
 * Return: prototype, NULL is a refusal.
 */
const struct bpf_func_proto *
ghost_bpf_func_proto(enum bpf_func_id id, const struct bpf_prog *prog)
{
	if (ghost_bpf_helper(id))
		return own_proto(id, resolve_prog_type(prog) == GHOST_BPF_SCHED);

	switch (id) {
	case BPF_FUNC_map_lookup_elem:
	case BPF_FUNC_map_update_elem:
	case BPF_FUNC_map_delete_elem:
	case BPF_FUNC_map_push_elem:
	case BPF_FUNC_map_pop_elem:
	case BPF_FUNC_map_peek_elem:
	case BPF_FUNC_map_lookup_percpu_elem:
	case BPF_FUNC_for_each_map_elem:
	case BPF_FUNC_loop:
	case BPF_FUNC_tail_call:
	case BPF_FUNC_spin_lock:
	case BPF_FUNC_spin_unlock:
	case BPF_FUNC_kptr_xchg:
	case BPF_FUNC_per_cpu_ptr:
	case BPF_FUNC_this_cpu_ptr:
	case BPF_FUNC_get_prandom_u32:
	case BPF_FUNC_get_smp_processor_id:
	case BPF_FUNC_get_numa_node_id:
	case BPF_FUNC_jiffies64:
	case BPF_FUNC_ktime_get_ns:
	case BPF_FUNC_ktime_get_boot_ns:
	case BPF_FUNC_ktime_get_tai_ns:
	case BPF_FUNC_ringbuf_output:
	case BPF_FUNC_ringbuf_reserve:
	case BPF_FUNC_ringbuf_submit:
	case BPF_FUNC_ringbuf_discard:
	case BPF_FUNC_ringbuf_query:
	case BPF_FUNC_ringbuf_reserve_dynptr:
	case BPF_FUNC_ringbuf_submit_dynptr:
	case BPF_FUNC_ringbuf_discard_dynptr:
	case BPF_FUNC_user_ringbuf_drain:
	case BPF_FUNC_dynptr_from_mem:
	case BPF_FUNC_dynptr_read:
	case BPF_FUNC_dynptr_write:
	case BPF_FUNC_dynptr_data:
	case BPF_FUNC_strncmp:
	case BPF_FUNC_strtol:
	case BPF_FUNC_strtoul:
	case BPF_FUNC_snprintf:
	case BPF_FUNC_snprintf_btf:
	case BPF_FUNC_trace_printk:
	case BPF_FUNC_trace_vprintk:
	case BPF_FUNC_get_current_pid_tgid:
	case BPF_FUNC_get_ns_current_pid_tgid:
	case BPF_FUNC_get_current_task:
	case BPF_FUNC_get_current_task_btf:
	case BPF_FUNC_probe_read_kernel:
	case BPF_FUNC_probe_read_kernel_str:
		return bpf_base_func_proto(id, prog);
	default:
		return NULL;
	}
}

/* ---- kfuncs ---- */

__bpf_kfunc_start_defs();

/**
 * bpf_ghost_destroy_enclave - give everything back
 * @code: why
 * @why__str: the same in words, a constant
 *
 * The enclave of the program is destroyed soon after: its tasks go on in the
 * fair class. Code and words of the first call are shown in the exit record.
 */
__bpf_kfunc void bpf_ghost_destroy_enclave(int code, const char *why__str)
{
	struct ghost_enclave *e = __this_cpu_read(ghost_bpf_running)->e;

	if (xchg(&e->bpf_exit.said, 1))
		return;
	e->bpf_exit.code = code;
	strscpy(e->bpf_exit.why, why__str);
	/* The enclave lock is held around some messages: not here. */
	ghost_enclave_todo(e, GHOST_TODO_BPF_EXIT);
}

/**
 * bpf_ghost_status_word - read the status word of a member of the enclave
 * @gtid: which task
 * @out: copy; its barrier is not newer than the rest
 *
 * Return: 0, -ENOENT when no member has this @gtid.
 */
__bpf_kfunc int bpf_ghost_status_word(s64 gtid, struct ghost_status_word *out)
{
	struct ghost_enclave *e = __this_cpu_read(ghost_bpf_running)->e;
	struct task_struct *p = ghost_any_task_by_gtid(gtid);
	struct ghost_status_word *sw;

	memset(out, 0, sizeof(*out));
	if (!p || READ_ONCE(p->ghost.enclave) != e)
		return -ENOENT;
	/* Its memory is there for a grace period after the last member. */
	sw = READ_ONCE(p->ghost.sw);
	if (!sw)
		return -ENOENT;
	/* Pairs with the release of the barrier, after the flags. */
	out->barrier = smp_load_acquire(&sw->barrier);
	out->flags = READ_ONCE(sw->flags);
	out->gtid = READ_ONCE(sw->gtid);
	out->switch_time = READ_ONCE(sw->switch_time);
	out->runtime = READ_ONCE(sw->runtime);
	return out->gtid == ghost_gtid(p) ? 0 : -ENOENT;
}

/*
 * As lock_rq_of(), but nothing is waited for and no lock is dropped: NULL if that
 * would be needed. SMT siblings may have one lock.
 */
static struct rq *try_lock_rq_of(struct rq *rq, struct task_struct *p)
{
	struct rq *src = task_rq(p);

	if (src == rq)
		return src;
	if (__rq_lockp(src) != __rq_lockp(rq) && !raw_spin_rq_trylock(src))
		return NULL;
	if (task_rq(p) == src) {
		update_rq_clock(src);
		return src;
	}
	if (__rq_lockp(src) != __rq_lockp(rq))
		raw_spin_rq_unlock(src);
	return NULL;
}

/**
 * bpf_ghost_try_run - run_gtid that may be called with a bpf_spin_lock held
 * @gtid: which task
 * @barrier: of its last message
 * @run_flags: as of run_gtid
 *
 * For a program that keeps its tasks in a tree or a list: it looks at the first,
 * and takes it out only when it is latched. No lock is dropped, so the task stays
 * the first meanwhile; and no message is sent, as the program that is told might
 * want the same lock. LATCH_FAILURE is a message: what this returns is all that
 * is said. All errors but EAGAIN count as failures of the slot.
 *
 * Context: GHOST_SCHED programs.
 * Return: 0 or the errno of run_gtid. -EAGAIN: somebody holds the lock of the run
 * queue that the task is on, or another task is latched here and would have to be
 * told; run_gtid, without the lock, can do that.
 */
__bpf_kfunc int bpf_ghost_try_run(s64 gtid, u32 barrier, s32 run_flags)
{
	struct ghost_bpf_run *r = __this_cpu_read(ghost_bpf_running);
	struct task_struct *p = ghost_any_task_by_gtid(gtid);
	struct rq *src;
	int ret;

	if (!p)
		return counted(-ENOENT);
	src = try_lock_rq_of(r->rq, p);
	if (!src)
		return -EAGAIN;
	if (p->ghost.flags & GHOST_TF_AGENT)
		ret = -ENOENT;
	else
		ret = check_run(r, src, p, barrier, run_flags);
	if (!ret && r->rq->ghost.latched && r->rq->ghost.latched != p)
		ret = -EAGAIN;
	if (!ret)
		run_here(r, src, p, run_flags);
	if (__rq_lockp(src) != __rq_lockp(r->rq))
		raw_spin_rq_unlock(src);
	return ret == -EAGAIN ? ret : counted(ret);
}

__bpf_kfunc_end_defs();

BTF_ID_LIST_SINGLE(try_run_id, func, bpf_ghost_try_run)

/**
 * ghost_bpf_under_lock - may programs call this with a bpf_spin_lock held?
 * @kfunc: its BTF id, in vmlinux
 */
bool ghost_bpf_under_lock(u32 kfunc)
{
	return kfunc == try_run_id[0];
}

/* For programs of our types only. */
BTF_KFUNCS_START(ghost_kfunc_ids)
BTF_ID_FLAGS(func, bpf_ghost_destroy_enclave)
BTF_ID_FLAGS(func, bpf_ghost_status_word, KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, bpf_ghost_try_run)
BTF_ID_FLAGS(func, bpf_obj_new_impl, KF_ACQUIRE | KF_RET_NULL)
BTF_ID_FLAGS(func, bpf_obj_drop_impl, KF_RELEASE)
BTF_ID_FLAGS(func, bpf_refcount_acquire_impl, KF_ACQUIRE | KF_RET_NULL | KF_RCU)
BTF_ID_FLAGS(func, bpf_list_push_front_impl)
BTF_ID_FLAGS(func, bpf_list_push_back_impl)
BTF_ID_FLAGS(func, bpf_list_pop_front, KF_ACQUIRE | KF_RET_NULL)
BTF_ID_FLAGS(func, bpf_list_pop_back, KF_ACQUIRE | KF_RET_NULL)
BTF_ID_FLAGS(func, bpf_rbtree_remove, KF_ACQUIRE | KF_RET_NULL)
BTF_ID_FLAGS(func, bpf_rbtree_add_impl)
BTF_ID_FLAGS(func, bpf_rbtree_first, KF_RET_NULL)
BTF_ID_FLAGS(func, bpf_cpumask_create, KF_ACQUIRE | KF_RET_NULL)
BTF_ID_FLAGS(func, bpf_cpumask_release, KF_RELEASE)
BTF_ID_FLAGS(func, bpf_cpumask_acquire, KF_ACQUIRE | KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, bpf_cpumask_first, KF_RCU)
BTF_ID_FLAGS(func, bpf_cpumask_first_zero, KF_RCU)
BTF_ID_FLAGS(func, bpf_cpumask_first_and, KF_RCU)
BTF_ID_FLAGS(func, bpf_cpumask_set_cpu, KF_RCU)
BTF_ID_FLAGS(func, bpf_cpumask_clear_cpu, KF_RCU)
BTF_ID_FLAGS(func, bpf_cpumask_test_cpu, KF_RCU)
BTF_ID_FLAGS(func, bpf_cpumask_test_and_set_cpu, KF_RCU)
BTF_ID_FLAGS(func, bpf_cpumask_test_and_clear_cpu, KF_RCU)
BTF_ID_FLAGS(func, bpf_cpumask_setall, KF_RCU)
BTF_ID_FLAGS(func, bpf_cpumask_clear, KF_RCU)
BTF_ID_FLAGS(func, bpf_cpumask_and, KF_RCU)
BTF_ID_FLAGS(func, bpf_cpumask_or, KF_RCU)
BTF_ID_FLAGS(func, bpf_cpumask_xor, KF_RCU)
BTF_ID_FLAGS(func, bpf_cpumask_equal, KF_RCU)
BTF_ID_FLAGS(func, bpf_cpumask_intersects, KF_RCU)
BTF_ID_FLAGS(func, bpf_cpumask_subset, KF_RCU)
BTF_ID_FLAGS(func, bpf_cpumask_empty, KF_RCU)
BTF_ID_FLAGS(func, bpf_cpumask_full, KF_RCU)
BTF_ID_FLAGS(func, bpf_cpumask_copy, KF_RCU)
BTF_ID_FLAGS(func, bpf_cpumask_any_distribute, KF_RCU)
BTF_ID_FLAGS(func, bpf_cpumask_any_and_distribute, KF_RCU)
BTF_ID_FLAGS(func, bpf_cpumask_weight, KF_RCU)
BTF_KFUNCS_END(ghost_kfunc_ids)

/* What programs of our types may call of what BPF has for all types. */
BTF_SET_START(common_kfunc_ids)
BTF_ID(func, bpf_cast_to_kern_ctx)
BTF_ID(func, bpf_rdonly_cast)
BTF_ID(func, bpf_rcu_read_lock)
BTF_ID(func, bpf_rcu_read_unlock)
BTF_ID(func, bpf_dynptr_slice)
BTF_ID(func, bpf_dynptr_adjust)
BTF_ID(func, bpf_dynptr_is_null)
BTF_ID(func, bpf_dynptr_is_rdonly)
BTF_ID(func, bpf_dynptr_size)
BTF_ID(func, bpf_dynptr_clone)
BTF_ID(func, bpf_iter_num_new)
BTF_ID(func, bpf_iter_num_next)
BTF_ID(func, bpf_iter_num_destroy)
BTF_ID(func, bpf_iter_bits_new)
BTF_ID(func, bpf_iter_bits_next)
BTF_ID(func, bpf_iter_bits_destroy)
BTF_SET_END(common_kfunc_ids)

/* Returns whether @id is to be refused to @prog, of any type. */
static int kfunc_filter(const struct bpf_prog *prog, u32 id)
{
	enum bpf_prog_type type = resolve_prog_type(prog);
	bool ours = btf_id_set8_contains(&ghost_kfunc_ids, id);

	if (!ghost_bpf_type(type))
		return ours;
	/* It needs the rq lock of a pick. */
	if (ghost_bpf_under_lock(id) && type != GHOST_BPF_SCHED)
		return true;
	return !ours && !btf_id_set_contains(&common_kfunc_ids, id);
}

static const struct btf_kfunc_id_set ghost_kfunc_set = {
	.owner	= THIS_MODULE,
	.set	= &ghost_kfunc_ids,
	.filter	= kfunc_filter,
};

/*
 * In the set for all types, with a filter: it refuses work queues and other
 * kfuncs of that set to our types, and ours to the other types, which find
 * those of the list above that BPF gives them in sets of their own.
 */
static int __init ghost_kfunc_init(void)
{
	return register_btf_kfunc_id_set(BPF_PROG_TYPE_UNSPEC, &ghost_kfunc_set);
}
late_initcall(ghost_kfunc_init);
