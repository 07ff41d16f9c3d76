// SPDX-License-Identifier: GPL-2.0-only
/*
 * SCHED_GHOST: BPF programs: their types, and how they are called.
 *
 * A program runs with interrupts off: GHOST_SCHED under the rq lock of its
 * CPU, GHOST_MSG under that of the task or CPU that the message is about,
 * GHOST_SELECT_RQ under the pi_lock of the task. So what it may call and which
 * maps it may use is limited to what neither wakes nor allocates.
 *
 * The numbers of the types are translated on the way in and out, see
 * GHOST_BPF_SCHED and BPF_PROG_TYPE_GHOST_SCHED.
 */
#include <linux/bpf_verifier.h>
#include <linux/btf.h>
#include <linux/btf_ids.h>
#include <linux/filter.h>
#include "ghost.h"

/* The innermost program of the CPU; interrupts are off while there is one. */
DEFINE_PER_CPU(struct ghost_bpf_run *, ghost_bpf_running);

static_assert(sizeof(struct bpf_ghost_sched) == 16);
static_assert(sizeof(struct bpf_ghost_msg) == 64);
static_assert(sizeof(struct bpf_ghost_select_rq) == 32);
static_assert(sizeof(struct bpf_ghost_halt_poll) == 4);
static_assert(sizeof(struct bpf_sync_commit_args) == 48);

static const char * const slot_name[] = {
	[GHOST_SLOT_SCHED]	= "sched",
	[GHOST_SLOT_MSG]	= "msg",
	[GHOST_SLOT_SELECT_RQ]	= "select_rq",
	[GHOST_SLOT_HALT_POLL]	= "halt_poll",
};

/* ---- loading ---- */

bool ghost_bpf_type(u32 type)
{
	return type >= GHOST_BPF_SCHED && type < GHOST_BPF_SCHED + GHOST_BPF_NR;
}

/* The log is the verifier's, which is not called for a type that is unknown. */
static void say_unknown(const union bpf_attr *attr)
{
	struct bpf_verifier_log *log = kzalloc(sizeof(*log), GFP_KERNEL);
	u32 size;

	if (log && !bpf_vlog_init(log, attr->log_level,
				  u64_to_user_ptr(attr->log_buf), attr->log_size)) {
		bpf_log(log, "ghost program type %u is unknown, only %u to %u are known\n",
			attr->prog_type, BPF_PROG_TYPE_GHOST_SCHED,
			BPF_PROG_TYPE_GHOST_HALT_POLL);
		bpf_vlog_finalize(log, &size);
	}
	kfree(log);
}

/* The kernel's number of the type of a program to be loaded; U32_MAX is none. */
u32 ghost_bpf_from_user(const union bpf_attr *attr)
{
	u32 type = attr->prog_type;

	if (type >= BPF_PROG_TYPE_GHOST_SCHED &&
	    type <= BPF_PROG_TYPE_GHOST_HALT_POLL)
		return type - BPF_PROG_TYPE_GHOST_SCHED + GHOST_BPF_SCHED;
	if (type > BPF_PROG_TYPE_GHOST_HALT_POLL && type < BPF_GHOST_SCHED_PNT)
		say_unknown(attr);
	return ghost_bpf_type(type) ? U32_MAX : type;
}

u32 ghost_bpf_to_user(u32 type)
{
	return ghost_bpf_type(type) ?
		type - GHOST_BPF_SCHED + BPF_PROG_TYPE_GHOST_SCHED : type;
}

int ghost_bpf_check_prog(const struct bpf_prog *prog, struct bpf_verifier_log *log)
{
	u32 is = (u16)prog->expected_attach_type, expected;

	if (!ghost_bpf_type(prog->type))
		return 0;
	expected = prog->type - GHOST_BPF_SCHED + BPF_GHOST_SCHED_PNT;
	if (is == expected)
		return 0;
	bpf_log(log, "ghost program type %u has attach type %u, not %u\n",
		ghost_bpf_to_user(prog->type), expected, is);
	return -EINVAL;
}

#define RECORD_DEPTH	4

BTF_ID_LIST_SINGLE(cpumask_id, struct, bpf_cpumask)

/*
 * What goes when an element is updated or an object dropped: a timer or a work
 * queue would be waited for or wakes, as does the last reference to most of the
 * kernel's objects. Objects may hold others, in so many levels.
 */
static bool record_allowed(const struct btf_record *rec, int depth)
{
	const struct btf_struct_meta *meta;
	const struct btf_field *f;
	u32 i;

	if (IS_ERR_OR_NULL(rec))
		return true;
	if (!depth || btf_record_has_field(rec, BPF_TIMER | BPF_WORKQUEUE))
		return false;
	for (i = 0; i < rec->cnt; i++) {
		f = &rec->fields[i];
		if (f->type & (BPF_KPTR_REF | BPF_KPTR_PERCPU)) {
			if (btf_is_kernel(f->kptr.btf)) {
				if (f->kptr.btf_id != cpumask_id[0])
					return false;
				continue;
			}
			meta = btf_find_struct_meta(f->kptr.btf, f->kptr.btf_id);
			if (meta && !record_allowed(meta->record, depth - 1))
				return false;
		} else if (f->type & BPF_GRAPH_ROOT) {
			if (!record_allowed(f->graph_root.value_rec, depth - 1))
				return false;
		}
	}
	return true;
}

/* Kinds of maps that neither wake nor allocate pages when a program uses them. */
static bool map_allowed(const struct bpf_map *map)
{
	if (!record_allowed(map->record, RECORD_DEPTH))
		return false;
	switch (map->map_type) {
	case BPF_MAP_TYPE_HASH:
	case BPF_MAP_TYPE_PERCPU_HASH:
	case BPF_MAP_TYPE_LRU_HASH:
	case BPF_MAP_TYPE_LRU_PERCPU_HASH:
	case BPF_MAP_TYPE_ARRAY:
	case BPF_MAP_TYPE_PERCPU_ARRAY:
	case BPF_MAP_TYPE_PROG_ARRAY:
	case BPF_MAP_TYPE_QUEUE:
	case BPF_MAP_TYPE_STACK:
	case BPF_MAP_TYPE_BLOOM_FILTER:
	case BPF_MAP_TYPE_RINGBUF:
	case BPF_MAP_TYPE_USER_RINGBUF:
	case BPF_MAP_TYPE_ARENA:
		return true;
	case BPF_MAP_TYPE_ARRAY_OF_MAPS:
	case BPF_MAP_TYPE_HASH_OF_MAPS:
		return map_allowed(map->inner_map_meta);
	default:
		return false;
	}
}

/* @type: of the program, or of that whose function it replaces. */
int ghost_bpf_check_map(u32 type, const struct bpf_map *map,
			struct bpf_verifier_log *log)
{
	if (!ghost_bpf_type(type) || map_allowed(map))
		return 0;
	bpf_log(log, "ghost programs cannot use map '%s' (type %u): it may wake or wait\n",
		map->name, map->map_type);
	return -EINVAL;
}

/* Aligned, within the context of the ABI that the program was built for. */
static bool access_ok_ctx(int off, int size, size_t ctx_size,
			  const struct bpf_prog *prog,
			  struct bpf_insn_access_aux *info)
{
	u32 abi = (u32)prog->expected_attach_type >> 16;

	if (abi < GHOST_VERSION_MIN || abi > GHOST_VERSION) {
		bpf_log(info->log, "ghost ABI %u is not supported, only %u to %u\n",
			abi, GHOST_VERSION_MIN, GHOST_VERSION);
		return false;
	}
	return off >= 0 && off % size == 0 && off + size <= ctx_size;
}

#define GHOST_PROG_TYPE(name)						\
static bool name##_access(int off, int size, enum bpf_access_type type,	\
			  const struct bpf_prog *prog,			\
			  struct bpf_insn_access_aux *info)		\
{									\
	return access_ok_ctx(off, size, sizeof(struct bpf_ghost_##name), \
			     prog, info);				\
}									\
									\
const struct bpf_verifier_ops ghost_##name##_verifier_ops = {		\
	.get_func_proto		= ghost_bpf_func_proto,			\
	.is_valid_access	= name##_access,			\
};									\
									\
const struct bpf_prog_ops ghost_##name##_prog_ops = {			\
}

GHOST_PROG_TYPE(sched);
GHOST_PROG_TYPE(msg);
GHOST_PROG_TYPE(select_rq);
GHOST_PROG_TYPE(halt_poll);

/* ---- running ---- */

static __always_inline u32 run(struct ghost_bpf_run *r,
			       enum ghost_bpf_slot slot,
			       struct bpf_prog *prog, void *ctx)
{
	u32 ret;

	lockdep_assert_irqs_disabled();
	r->slot = slot;
	r->outer = __this_cpu_read(ghost_bpf_running);
	__this_cpu_write(ghost_bpf_running, r);
	ghost_bpf_count(&r->e->bpf_stats->runs[slot]);
	/* No interrupts: a reader already, of which lockdep has to be told. */
	rcu_lock_acquire(&rcu_lock_map);
	ret = bpf_prog_run(prog, ctx);
	rcu_lock_release(&rcu_lock_map);
	__this_cpu_write(ghost_bpf_running, r->outer);
	return ret;
}

/*
 * A CPU of @e schedules; the program may drop the rq lock, by helpers. The CPU may
 * leave the enclave at any time, and no interrupts keep @e until then.
 */
void ghost_bpf_sched(struct rq *rq, struct rq_flags *rf, struct ghost_enclave *e,
		     struct bpf_prog *prog, struct bpf_ghost_sched *ctx)
{
	struct ghost_bpf_run r = {
		.e	= e,
		.rq	= rq,
		.rf	= rf,
	};

	run(&r, GHOST_SLOT_SCHED, prog, ctx);
}

static u32 run_msg(struct ghost_enclave *e, struct bpf_prog *prog,
		   struct task_struct *p, struct bpf_ghost_msg *ctx)
{
	struct ghost_bpf_run r = { .e = e };
	u32 ret;

	ctx->seqnum = p->ghost.barrier;
	ctx->pref_cpu = GHOST_PREF_CPU_NONE;
	ret = run(&r, GHOST_SLOT_MSG, prog, ctx);
	if (ctx->pref_cpu != GHOST_PREF_CPU_NONE && p->ghost.enclave == e) {
		p->ghost.pref_cpu = ctx->pref_cpu;
		p->ghost.pref_seqnum = p->ghost.barrier;
	}
	return ret;
}

/**
 * ghost_bpf_msg - show a message to the program before it is queued
 * @e: enclave of @p
 * @prog: its program
 * @p: the task or agent whose queue the message is for
 * @m: the message; out: as the program has left it
 *
 * Context: rq lock of the source is held.
 * Return: whether the program has dropped it.
 */
bool ghost_bpf_msg(struct ghost_enclave *e, struct bpf_prog *prog,
		   struct task_struct *p, struct bpf_ghost_msg *m)
{
	bool dropped = run_msg(e, prog, p, m);

	ghost_bpf_count(dropped ? &e->bpf_stats->dropped : &e->bpf_stats->passed);
	return dropped;
}

/* run_gtid failed: tell the MSG program of the caller. rq lock of @p held. */
void ghost_bpf_latch_failure(struct ghost_enclave *e, struct task_struct *p,
			     int error)
{
	struct bpf_prog *prog = ghost_bpf_prog(e, GHOST_SLOT_MSG);
	struct bpf_ghost_msg ctx = {
		.latch_failure.gtid	= ghost_gtid(p),
		.latch_failure.error	= error,
		.type			= MSG_TASK_LATCH_FAILURE,
	};

	if (prog && p->ghost.sw)
		run_msg(e, prog, p, &ctx);
}

/**
 * ghost_bpf_select_rq - ask where a task is to be queued
 * @e: enclave of @p
 * @prog: its program
 * @p: task that wakes up, was forked or calls exec
 * @cpu: where it was
 * @flags: WF_*
 *
 * skip_ttwu_queue is heeded always: tasks of the class never go through the
 * list of remote wake-ups.
 *
 * Context: pi_lock of @p is held, no rq lock.
 * Return: CPU, or -1 when the program has made no choice that is possible.
 */
int ghost_bpf_select_rq(struct ghost_enclave *e, struct bpf_prog *prog,
			struct task_struct *p, int cpu, int flags)
{
	struct ghost_bpf_run r = { .e = e };
	struct bpf_ghost_select_rq ctx = {
		.gtid		= ghost_gtid(p),
		.task_cpu	= cpu,
		.waker_cpu	= smp_processor_id(),
		.sd_flag	= flags & (WF_EXEC | WF_FORK | WF_TTWU),
		.wake_flags	= flags,
	};
	int ret = run(&r, GHOST_SLOT_SELECT_RQ, prog, &ctx);

	if (ret >= 0 && ret < nr_cpu_ids && cpu_active(ret) &&
	    (ret == cpu || !is_migration_disabled(p)))
		return ret;
	if (ret >= 0)
		ghost_bpf_count(&e->bpf_stats->refused);
	return -1;
}

/* ---- the enclave's file "bpf" ---- */

static u64 sum(struct ghost_enclave *e, size_t offset)
{
	u64 total = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		total += READ_ONCE(*(u64 *)((void *)per_cpu_ptr(e->bpf_stats, cpu) +
					    offset));
	return total;
}

#define SUM(e, what)	sum(e, offsetof(struct ghost_bpf_stats, what))

/* A line a slot, for the file and for exit records. Any context. */
void ghost_bpf_show_slots(struct seq_buf *s, struct ghost_enclave *e)
{
	struct bpf_prog *prog;
	int i;

	for (i = 0; i < GHOST_BPF_NR; i++) {
		rcu_read_lock();
		prog = rcu_dereference(e->bpf[i]);
		seq_buf_printf(s, "%s prog %u runs %llu failed %llu", slot_name[i],
			       prog ? prog->aux->id : 0, SUM(e, runs[i]),
			       SUM(e, failed[i]));
		rcu_read_unlock();
		if (i == GHOST_SLOT_SCHED)
			seq_buf_printf(s, " latched %llu", SUM(e, latched));
		else if (i == GHOST_SLOT_MSG)
			seq_buf_printf(s, " dropped %llu passed %llu overflow %llu unqueued %llu",
				       SUM(e, dropped), SUM(e, passed),
				       SUM(e, overflow), SUM(e, unqueued));
		else if (i == GHOST_SLOT_SELECT_RQ)
			seq_buf_printf(s, " refused %llu", SUM(e, refused));
		seq_buf_putc(s, '\n');
	}
}

ssize_t ghost_bpf_show(struct ghost_enclave *e, char *buf)
{
	struct seq_buf s;

	seq_buf_init(&s, buf, PAGE_SIZE);
	ghost_bpf_show_slots(&s, e);
	return seq_buf_used(&s);
}
