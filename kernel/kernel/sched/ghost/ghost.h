/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * SCHED_GHOST: the types that the rooms of the class share, and their locks.
 *
 * Lock order, outermost first:
 *
 *	p->pi_lock -> rq lock(s) -> enclave lock -> queue lock | reserve lock
 *
 * Nothing is allocated, freed, woken or queued on a workqueue under a rq or
 * enclave lock: an irq_work carries it out. Inside __schedule() no pi_lock is
 * taken, and none is needed: a queued task is moved under the two rq locks.
 *
 * Life times: an enclave lasts as long as it has members, agents or works; files,
 * queues and BPF links only pin the structure. A task's enclave, queue and status
 * word change only under its pi_lock and its rq lock, so that either keeps
 * them stable. A CPU's enclave pointer is RCU protected and changes under the
 * enclave lock.
 */
#ifndef _KERNEL_SCHED_GHOST_H
#define _KERNEL_SCHED_GHOST_H

#include <linux/bpf.h>
#include <linux/cpumask.h>
#include <linux/cpuset.h>
#include <linux/error-injection.h>
#include <linux/hashtable.h>
#include <linux/kref.h>
#include <linux/mmu_context.h>
#include <linux/nospec.h>
#include <linux/psi.h>
#include <linux/seq_buf.h>
#include <linux/slab.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <uapi/linux/ghost.h>
#include "../sched.h"
#include "../stats.h"

/* sched_ghost_entity.pending: owed at the next schedule */
#define GHOST_PEND_NEW		0x01
#define GHOST_PEND_BLOCKED	0x02
#define GHOST_PEND_YIELD	0x04
#define GHOST_PEND_WAKEUP	0x08

/* sched_ghost_entity.view: the last that the queue received of a task */
enum ghost_view {
	GHOST_VIEW_NONE,
	GHOST_VIEW_BLOCKED,
	GHOST_VIEW_RUNNABLE,
	GHOST_VIEW_RUNNING,
	GHOST_VIEW_GONE,
};

/* How the reason of a destruction is called in words. */
enum ghost_exit {
	GHOST_EXIT_NONE,
	GHOST_EXIT_USER,
	GHOST_EXIT_TIMEOUT,
	GHOST_EXIT_STALL,
	GHOST_EXIT_HOG,
	GHOST_EXIT_OWNER,
	GHOST_EXIT_SYSRQ,
	GHOST_EXIT_BPF,
};

/* Bytes of a BPF program's last words that are kept. */
#define GHOST_BPF_WHY		128

/* The programs of an enclave, in the order of the BPF program types. */
enum ghost_bpf_slot {
	GHOST_SLOT_SCHED,
	GHOST_SLOT_MSG,
	GHOST_SLOT_SELECT_RQ,
	GHOST_SLOT_HALT_POLL,
};

/**
 * struct ghost_bpf_stats - what the programs of an enclave did, a CPU's share
 * @runs: calls, by slot
 * @failed: helpers that failed, by slot
 * @latched: run_gtid that succeeded
 * @dropped: messages that the MSG program kept from the queue
 * @passed: messages that it left to the queue
 * @overflow: of these those that found no room
 * @unqueued: messages that it did not see, for the task has no queue
 * @refused: choices of the SELECT_RQ program that were not followed
 */
struct ghost_bpf_stats {
	u64	runs[GHOST_BPF_NR];
	u64	failed[GHOST_BPF_NR];
	u64	latched;
	u64	dropped;
	u64	passed;
	u64	overflow;
	u64	unqueued;
	u64	refused;
};

/**
 * struct ghost_bpf_exit - a BPF program gives everything back
 * @said: it has; whoever sets it writes the rest
 * @code: why
 * @why: in words
 */
struct ghost_bpf_exit {
	int	said;
	int	code;
	char	why[GHOST_BPF_WHY];
};

/**
 * struct ghost_blame - the thread that a limit was about
 * @pid: its id, 0 is nobody
 * @cpu: where it waited, or let others wait
 * @waited_ms: for how long
 * @no_agent: a task waited, and none could have run
 * @comm: its name
 */
struct ghost_blame {
	pid_t	pid;
	int	cpu;
	u64	waited_ms;
	bool	no_agent;
	char	comm[TASK_COMM_LEN];
};

/* Of an enclave: words for the 4 million threads that there can be. */
#define GHOST_MAX_REGIONS	64
#define GHOST_SW_TAKEN_WORDS	BITS_TO_LONGS(GHOST_SW_REGION_CAPACITY)

/**
 * struct ghost_sw_region - a table of status words
 * @list: in the enclave's regions
 * @mem: the memory that user space maps, header first
 * @words: first status word in @mem
 * @taken: which of them are (enclave lock)
 * @full: words of @taken without a free one (enclave lock)
 * @next: where the search for a free slot begins (enclave lock)
 */
struct ghost_sw_region {
	struct list_head		list;
	struct ghost_sw_region_header	*mem;
	struct ghost_status_word	*words;
	unsigned long			*taken;
	DECLARE_BITMAP(full, GHOST_SW_TAKEN_WORDS);
	u32				next;
};

/**
 * struct ghost_wakeup - the CPUs whose agents a queue wakes
 * @rcu: frees it
 * @nr: used entries of @cpu
 * @cpu: CPU numbers
 */
struct ghost_wakeup {
	struct rcu_head	rcu;
	int		nr;
	int		cpu[GHOST_MAX_WINFO];
};

/**
 * struct ghost_queue - a message ring shared with user space
 * @ref: descriptor and each task or agent that uses it
 * @lock: serialises producers
 * @enclave: pinned while the descriptor is open; NULL after (enclave lock)
 * @node: in the list of @enclave, as long
 * @mem: start of the mapping
 * @ring: in @mem
 * @size: of the mapping, bytes
 * @nelems: slots; the kernel's own copy
 * @head: the kernel's own copy of ring->head (@lock)
 * @overflow: the kernel's own copy of ring->overflow (@lock)
 * @wakeup: whom to wake (RCU)
 * @irq_work: takes the last put out of the scheduler's locks
 * @free_work: frees
 */
struct ghost_queue {
	refcount_t			ref;
	raw_spinlock_t			lock;
	struct ghost_enclave		*enclave;
	struct list_head		node;
	void				*mem;
	struct ghost_ring		*ring;
	size_t				size;
	u32				nelems;
	u32				head;
	u32				overflow;
	struct ghost_wakeup __rcu	*wakeup;
	struct irq_work			irq_work;
	struct work_struct		free_work;
};

/**
 * struct ghost_sample - jiffies that the watchdog has counted
 * @at: when
 * @due: the next comes within so many
 * @excused: a higher class had all CPUs
 * @paused: the machine stood still
 */
struct ghost_sample {
	unsigned long	at;
	unsigned long	due;
	unsigned long	excused;
	unsigned long	paused;
};

/**
 * struct ghost_enclave - CPUs and threads under one policy
 * @ref: members, agents, works, and until the destruction is through. At 0 what is
 *	shared with user space is freed
 * @pins: inodes, queues with an open descriptor, BPF links, and one for @ref; they
 *	keep this structure, and no more
 * @node: in the list of enclaves (enclaves_lock)
 * @id: number in the name of the directory
 * @abi: version of the binary interface
 * @serial: never used again, unlike @id
 * @lock: protects what has no other rule below
 * @cpus: member CPUs
 * @unplugged: were members when they went offline; for the exit record
 * @reserved: CPUs that no other enclave may take yet
 * @dying: destruction has begun; nobody joins any more
 * @reason: why it is destroyed; set once
 * @blame: the thread that @reason is about; set with it
 * @record: taken by the destroying work; NULL after
 * @tasks: announced members; while @lent, those that are not come first
 * @nr_tasks: length of @tasks
 * @walks: walks over @tasks that are under way
 * @lost: members of which a message found no room
 * @gated: departed tasks whose status word is not freed yet, counted, by gtid
 * @regions: under @lock
 * @nr_regions: how many (inode lock of @sw_dir)
 * @queues: those with an open descriptor
 * @default_queue: of new members; not counted, closing the queue clears it
 * @txn_page: one shared page a possible CPU, fixed from creation until @ended
 * @ended: @ref is 0, and these are freed; set once, under @lock
 * @runnable_timeout_ms: tunable, 0 is off; read without a lock, as all tunables
 * @commit_at_tick: tunable
 * @deliver_agent_runnability: tunable
 * @deliver_cpu_availability: tunable
 * @deliver_ticks: tunable
 * @fallback: tunable, see fallback.c
 * @honor_affinity: tunable
 * @live_dangerously: tunable
 * @switchto_disabled: tunable
 * @wake_on_waker_cpu: tunable
 * @max_tasks: limit of @nr_members, 0 is none
 * @nr_members: tasks that are in or on their way in, agents not counted
 * @sweep_lock: one walk over @tasks, or sweep, at a time; outside of @lock and
 *	rq locks
 * @read_lock: one reader of the file tasks at a time; outside of @sweep_lock
 * @lent: members are lent to the fair class; written under @sweep_lock and
 *	@lock, read under either or, by who then takes @lock, without
 * @stuck: some member may be where only the fair class runs it, or is lent
 *	because it was, or was starved; under @lock
 * @rescue_until: jiffies until which those with GHOST_TF_RESCUED are lent; written by
 *	the watchdog work, under @lock
 * @arrivals: how often a member was moved to the front of @tasks; under @lock
 * @sweep_left: members that the sweep under way has still to see; under @lock
 * @sweep_arrived: those that were added to them; under @lock
 * @online: agent_online is open for writing
 * @event: changes of @online, for poll
 * @wait: changes of @online, @removed, @gone and @reserved
 * @bpf: programs by slot (RCU, written under the lock in bpf_link.c)
 * @bpf_stats: a CPU's share each, written with interrupts off
 * @bpf_exit: what the BPF program that destroys it has said; written by the first
 *	only, before it sets GHOST_TODO_BPF_EXIT
 * @sample: of the CPUs, see watchdog.c; written by @sampler, under @lock. Its excused
 *	is read without a lock, too
 * @looked: @sample at the last look; @watchdog only
 * @gid: group of the files
 * @dir: directory of the enclave
 * @sw_dir: its sw_regions, counted until the enclave is freed
 * @removed: the files answer ENODEV; set once
 * @gone: the directory is, too, and its name is free; set once
 * @owner: process that an ephemeral enclave ends with, else NULL
 * @owner_wait: at the pid of @owner
 * @puts: references that @irq_work is to put
 * @todo: GHOST_TODO_*, works that @irq_work is to queue
 * @irq_work: does what must not be done under a rq lock
 * @destroy_work: ends the enclave
 * @reap_work: moves members to the fair class
 * @fallback_work: lends members to it, or takes them back
 * @release_work: gives CPUs back
 * @remove_work: removes the files of an enclave that is destroyed
 * @end_work: frees what is shared after the last reference
 * @free_work: frees the rest when nothing pins it any more
 * @sampler: looks at the CPUs, see watchdog.c
 * @watchdog: looks at the members
 */
struct ghost_enclave {
	struct kref		ref;
	struct kref		pins;
	struct list_head	node;
	unsigned long		id;
	u64			serial;
	u32			abi;

	raw_spinlock_t		lock;
	cpumask_var_t		cpus;
	cpumask_var_t		unplugged;
	cpumask_var_t		reserved;
	bool			dying;
	enum ghost_exit		reason;
	struct ghost_blame	blame;
	struct ghost_exit_record *record;
	struct list_head	tasks;
	u32			nr_tasks;
	struct list_head	walks;
	struct list_head	lost;
	DECLARE_HASHTABLE(gated, 8);
	struct list_head	regions;
	unsigned int		nr_regions;
	struct list_head	queues;
	struct ghost_queue	*default_queue;
	struct page		**txn_page;
	bool			ended;

	unsigned long		runnable_timeout_ms;
	u32			max_tasks;
	u32			nr_members;
	bool			commit_at_tick;
	bool			deliver_agent_runnability;
	bool			deliver_cpu_availability;
	bool			deliver_ticks;
	bool			fallback;
	bool			honor_affinity;
	bool			live_dangerously;
	bool			switchto_disabled;
	bool			wake_on_waker_cpu;

	struct mutex		sweep_lock;	/* walks over the members */
	struct mutex		read_lock;
	bool			lent;
	bool			stuck;
	unsigned long		rescue_until;
	u32			arrivals;
	u32			sweep_left;
	u32			sweep_arrived;

	bool			online;
	u32			event;
	wait_queue_head_t	wait;

	struct bpf_prog __rcu	*bpf[GHOST_BPF_NR];
	struct ghost_bpf_stats __percpu *bpf_stats;
	struct ghost_bpf_exit	bpf_exit;

	struct ghost_sample	sample;
	struct ghost_sample	looked;

	kgid_t			gid;
	struct dentry		*dir;
	struct dentry		*sw_dir;
	bool			removed;
	bool			gone;

	struct pid		*owner;
	wait_queue_entry_t	owner_wait;

	atomic_t		puts;
	atomic_t		todo;
	struct irq_work		irq_work;
	struct work_struct	destroy_work;
	struct work_struct	reap_work;
	struct work_struct	fallback_work;
	struct work_struct	release_work;
	struct work_struct	remove_work;
	struct work_struct	end_work;
	struct work_struct	free_work;
	struct timer_list	sampler;
	struct work_struct	watchdog;
};

/* ghost_enclave.todo: what the irq_work hands to works */
#define GHOST_TODO_DESTROY	0x1
#define GHOST_TODO_REAP		0x2
#define GHOST_TODO_RELEASE	0x4
#define GHOST_TODO_FALLBACK	0x8
#define GHOST_TODO_BPF_EXIT	0x10

/**
 * struct ghost_join - how a thread enters an enclave
 * @enclave: which
 * @queue: for an agent; NULL is the default queue
 * @cpu: CPU of the agent, -1 for a task, GHOST_JOIN_EVICT for an agent that
 *	must go, GHOST_JOIN_REAP for a member of @enclave that must go
 */
struct ghost_join {
	struct ghost_enclave	*enclave;
	struct ghost_queue	*queue;
	int			cpu;
};

#define GHOST_JOIN_EVICT	(-2)
#define GHOST_JOIN_REAP		(-3)

extern unsigned long sysctl_ghost_stall_max_ms;
extern unsigned long sysctl_ghost_agent_hog_ms;

/* enclave.c */
struct ghost_enclave *ghost_enclave_create(unsigned long id, u32 abi);
void ghost_enclave_publish(struct ghost_enclave *e);
struct ghost_enclave *ghost_enclave_next(struct ghost_enclave *prev);
void ghost_by_worker(void (*fn)(void *arg), void *arg);
void ghost_enclave_put(struct ghost_enclave *e);
void ghost_enclave_unpin(struct ghost_enclave *e);
void ghost_enclave_put_locked(struct ghost_enclave *e);
int ghost_enclave_set_cpus(struct ghost_enclave *e, const struct cpumask *cpus);
void ghost_enclave_destroy(struct ghost_enclave *e, enum ghost_exit reason);
void ghost_make_normal(struct task_struct *p);
void ghost_enclave_todo(struct ghost_enclave *e, int todo);
void ghost_enclave_unpublish(struct ghost_enclave *e, int cpu);
void ghost_enclave_wait_free(struct ghost_enclave *e);
void ghost_enclave_bind(struct ghost_enclave *e);
struct task_struct *ghost_enclave_agent(struct ghost_enclave *e, int cpu);

static inline void ghost_enclave_get(struct ghost_enclave *e)
{
	kref_get(&e->ref);
}

static inline void ghost_enclave_pin(struct ghost_enclave *e)
{
	kref_get(&e->pins);
}

/* cpu.c */
void ghost_check_home(struct rq *rq, struct task_struct *p);

/* exit_record.c */
const char *ghost_exit_name(enum ghost_exit reason);
struct ghost_exit_record *ghost_exit_alloc(void);
void ghost_exit_free(struct ghost_exit_record *rec);
void ghost_exit_blame(struct ghost_enclave *e, enum ghost_exit reason,
		      const struct ghost_blame *who);
void ghost_exit_write(struct ghost_enclave *e);
void ghost_dump(struct ghost_enclave *e);

/* fallback.c */
void ghost_fallback_update(struct ghost_enclave *e);
bool ghost_has_able_agent(struct ghost_enclave *e);
void ghost_fallback_agent(struct task_struct *agent, bool wakes);
void ghost_fallback_rescue(struct ghost_enclave *e, struct task_struct *p);
void ghost_fallback_agent_left(struct ghost_enclave *e);
void __ghost_fallback_arrived(struct task_struct *p);

/*
 * Is @p, a member, bound by migrate_disable() to a CPU that has no agent of its
 * enclave? Nobody else can run it. rq lock held.
 */
static inline bool ghost_stuck(struct rq *rq, struct task_struct *p)
{
	struct task_struct *agent = rq->ghost.agent;

	/* data_race: of a thread that runs a guess, put_prev_task() asks again. */
	return unlikely(data_race(is_migration_disabled(p))) && p->ghost.enclave &&
		!(agent && agent->ghost.enclave == p->ghost.enclave);
}

/* A member is in our class: if it is stuck or others are lent, not for long. */
static inline void ghost_fallback_arrived(struct rq *rq, struct task_struct *p)
{
	if (p->ghost.enclave && (unlikely(READ_ONCE(p->ghost.enclave->lent)) ||
				 unlikely(p->ghost.flags & GHOST_TF_RESCUED) ||
				 ghost_stuck(rq, p)))
		__ghost_fallback_arrived(p);
}

/* fs.c */
struct ghost_enclave *ghost_fs_ctl_fdget(int fd);
void ghost_fs_remove(struct ghost_enclave *e);
int ghost_fs_add_region(struct ghost_enclave *e, struct ghost_sw_region *r);

/* ioctl.c */
long ghost_ioctl(struct ghost_enclave *e, unsigned int cmd, unsigned long arg);

/* status_word.c */
void *ghost_alloc_shared(size_t size, int node);
int ghost_region_create(struct ghost_enclave *e, u32 id, int node);
void ghost_region_free(struct ghost_sw_region *r);
struct ghost_sw_region *ghost_region_find(struct ghost_enclave *e, u32 id);
int ghost_sw_alloc(struct ghost_enclave *e, struct task_struct *p);
void ghost_sw_free(struct ghost_enclave *e, struct task_struct *p);
void ghost_sw_free_locked(struct ghost_enclave *e, struct task_struct *p);
int ghost_sw_user_free(struct ghost_enclave *e, struct ghost_sw_info *info);
void ghost_sw_runtime(struct task_struct *p);

static __always_inline
void ghost_sw_set(struct task_struct *p, u32 set, u32 clear)
{
	struct ghost_status_word *sw = p->ghost.sw;

	WRITE_ONCE(sw->flags, (sw->flags & ~clear) | set);
}

/* queue.c */
int ghost_queue_create(struct ghost_enclave *e, u32 elems, int node);
struct ghost_queue *ghost_queue_fdget(int fd);
void ghost_queue_put(struct ghost_queue *q);
size_t ghost_queue_size(u32 elems);
bool ghost_queue_has_room(struct ghost_queue *q, u16 size);
bool ghost_queue_produce(struct ghost_queue *q, u16 type, u32 seqnum,
			 const void *payload, u16 size);
int ghost_queue_set_wakeup(struct ghost_enclave *e, struct ghost_queue *q,
			   const struct ghost_agent_wakeup *w, int nr);

/* message.c */
void ghost_announce(struct rq *rq, struct task_struct *p, bool runnable);
bool ghost_msg_new(struct task_struct *p, bool runnable);
bool ghost_msg_blocked(struct rq *rq, struct task_struct *p);
bool ghost_msg_wakeup(struct task_struct *p);
bool ghost_msg_yield(struct rq *rq, struct task_struct *p);
bool ghost_msg_preempt(struct rq *rq, struct task_struct *p, bool was_latched);
bool ghost_msg_departed(struct rq *rq, struct task_struct *p);
bool ghost_msg_dead(struct rq *rq, struct task_struct *p);
bool ghost_msg_affinity(struct task_struct *p);
bool ghost_msg_priority(struct task_struct *p);
bool ghost_msg_on_cpu(struct rq *rq, struct task_struct *p);
bool ghost_msg_switchto(struct rq *rq, struct task_struct *p);
void ghost_cpu_tick(struct rq *rq, bool is_agent);
void ghost_cpu_not_idle(struct rq *rq, struct task_struct *next);
void ghost_cpu_available(struct rq *rq, bool avail);
void ghost_agent_runnable(struct rq *rq, bool runnable);
void ghost_cpu_timer(struct rq *rq, u64 type, u64 cookie);
int ghost_discover_tasks(struct ghost_enclave *e);
void ghost_wake_for(struct task_struct *p);
void ghost_resend_lost(struct ghost_enclave *e);

/**
 * struct ghost_bpf_run - a BPF program that runs on this CPU
 * @outer: the program whose helper has called this one, or NULL
 * @e: its enclave
 * @slot: of @e that it is in
 * @rq: of this CPU, locked; of a GHOST_SCHED program only
 * @rf: how @rq is locked
 */
struct ghost_bpf_run {
	struct ghost_bpf_run	*outer;
	struct ghost_enclave	*e;
	enum ghost_bpf_slot	slot;
	struct rq		*rq;
	struct rq_flags		*rf;
};

DECLARE_PER_CPU(struct ghost_bpf_run *, ghost_bpf_running);

/* bpf.c */
void ghost_bpf_sched(struct rq *rq, struct rq_flags *rf, struct ghost_enclave *e,
		     struct bpf_prog *prog, struct bpf_ghost_sched *ctx);
bool ghost_bpf_msg(struct ghost_enclave *e, struct bpf_prog *prog,
		   struct task_struct *p, struct bpf_ghost_msg *m);
void ghost_bpf_latch_failure(struct ghost_enclave *e, struct task_struct *p,
			     int error);
int ghost_bpf_select_rq(struct ghost_enclave *e, struct bpf_prog *prog,
			struct task_struct *p, int cpu, int flags);
void ghost_bpf_show_slots(struct seq_buf *s, struct ghost_enclave *e);
ssize_t ghost_bpf_show(struct ghost_enclave *e, char *buf);

/* The program in a slot, or NULL. Interrupts are off. */
static inline struct bpf_prog *ghost_bpf_prog(struct ghost_enclave *e,
					      enum ghost_bpf_slot slot)
{
	return rcu_dereference_sched(e->bpf[slot]);
}

/* Count in this CPU's share of a struct ghost_bpf_stats. */
static inline void ghost_bpf_count(u64 __percpu *what)
{
	this_cpu_inc(*what);
}

/* bpf_helpers.c */
const struct bpf_func_proto *
ghost_bpf_func_proto(enum bpf_func_id id, const struct bpf_prog *prog);
void bpf_ghost_destroy_enclave(int code, const char *why__str);
int bpf_ghost_status_word(s64 gtid, struct ghost_status_word *out);
int bpf_ghost_try_run(s64 gtid, u32 barrier, s32 run_flags);

/* agent.c */
int ghost_become_agent(struct ghost_enclave *e, int cpu, int qfd);
int ghost_agent_register(struct rq *rq, struct task_struct *p,
			 struct ghost_join *join);
void ghost_agent_exit(struct rq *rq, struct task_struct *p);
bool ghost_agent_ready(struct rq *rq);
void ghost_agent_park(struct rq *rq);
void ghost_agent_unpark(struct rq *rq);
void ghost_agent_sync(struct rq *rq);
void ghost_agent_schedule(struct rq *rq);
void ghost_wake_agent(int cpu);
void ghost_kick_cpu(int cpu);
int ghost_run(struct ghost_ioc_run *arg);
void ghost_agent_evict(struct task_struct *p);

/* class.c */
void __ghost_count(struct rq *rq, struct task_struct *p, bool on);
void ghost_latch(struct rq *rq, struct task_struct *p, u16 run_flags);
void ghost_unlatch(struct rq *rq);
bool ghost_others(struct rq *rq);
bool ghost_keeps_waiting(struct rq *rq);
void ghost_move_task(struct rq *src, struct rq *dst, struct task_struct *p);

/* member.c */
int ghost_members_init(void);
struct task_struct *ghost_any_task_by_gtid(s64 gtid);
s64 ghost_new_gtid(struct task_struct *p);
int ghost_join_enclave(struct ghost_enclave *e, struct task_struct *p);
void ghost_ungate(struct task_struct *p);
int ghost_ban_bpf_load(void);
void ghost_member_teardown(struct task_struct *p);
void ghost_move_member(struct ghost_enclave *e, struct task_struct *p, bool front);
void ghost_for_members(struct ghost_enclave *e,
		       void (*fn)(struct task_struct *p, void *arg), void *arg);

/**
 * struct ghost_commit - a commit in progress
 * @rq: of the target CPU
 * @src: where the task was found, or @rq; locked, too
 * @txn: the transaction as it was read, once
 * @enclave: from BPF: the enclave of the program
 * @rendezvous: for the target CPU: 0, or minus the cookie of a sync group
 * @sync: by an ioctl, so the caller must be entitled
 * @block: by the agent of the target CPU, which parks
 * @resched: out: the target must schedule
 * @waits: out: @rendezvous was stored
 * @flags_read: out: commit_flags can be trusted
 * @state: out: enum ghost_txn_state
 */
struct ghost_commit {
	struct rq	*rq;
	struct rq	*src;
	struct ghost_txn txn;
	struct ghost_enclave *enclave;
	s64		rendezvous;
	bool		sync;
	bool		block;
	bool		resched;
	bool		waits;
	bool		flags_read;
	s32		state;
};

#define GHOST_FEW_CPUS		256

/**
 * struct ghost_cpus - the CPUs of an ioctl
 * @bits: those that user space named
 * @waiting: of a sync group, those that wait for its outcome
 * @nr: bits in each
 * @few: room for them, if that is enough
 */
struct ghost_cpus {
	unsigned long	*bits;
	unsigned long	*waiting;
	unsigned int	nr;
	unsigned long	few[2][BITS_TO_LONGS(GHOST_FEW_CPUS)];
};

/* Where a walk over them begins that is to end with @cpu. */
static inline unsigned int ghost_cpus_after(const struct ghost_cpus *c, int cpu)
{
	return min_t(unsigned int, cpu + 1, c->nr);
}

/*
 * rq->ghost.rendezvous: 0 none; negative, a sync group is being committed, its
 * tasks wait; positive, the cookie of a group that is complete or, with this
 * bit, has failed.
 */
#define GHOST_RENDEZVOUS_POISON	((s64)BIT_ULL(62))

/* Negative values have the bit set, too. */
static inline bool ghost_rendezvous_poisoned(s64 value)
{
	return value > 0 && (value & GHOST_RENDEZVOUS_POISON);
}

/* txn.c */
bool ghost_txn_claim(struct rq *rq, struct ghost_txn *txn);
bool ghost_txn_commit(struct ghost_commit *c, struct ghost_txn *txn);
void ghost_txn_finish(struct rq *rq, struct ghost_txn *txn, s32 state, u64 seqnum);
void ghost_take_task(struct rq *rq, struct rq *src, struct task_struct *p);
void ghost_agent_barrier_inc(struct rq *rq);
int ghost_cpus_get(struct ghost_cpus *c, const struct ghost_ioc_commit_txn *arg);
void ghost_cpus_put(struct ghost_cpus *c);
void ghost_txn_init(struct ghost_txn *txn, int cpu);
void ghost_txn_kill(struct rq *rq);
void ghost_txn_commit_self(struct rq *rq, bool at_schedule);
int ghost_commit_ioctl(struct ghost_enclave *e, struct ghost_ioc_commit_txn *arg);
void ghost_txn_prologue(struct rq *rq, struct rq_flags *rf);

/* sync_group.c */
int ghost_sync_group_ioctl(struct ghost_enclave *e,
			   struct ghost_ioc_commit_txn __user *uarg);
bool ghost_rendezvous_due(struct rq *rq);
void ghost_rendezvous_wait(struct rq *rq);
int ghost_sync_group_bpf(struct ghost_enclave *e,
			 const struct bpf_sync_commit_args *args);

/* switchto.c */
#ifdef CONFIG_GHOST_SWITCHTO
bool ghost_switch_asked(struct task_struct *p);
bool ghost_switch_offer(struct rq *rq, struct task_struct *p);
bool ghost_switch_give(struct rq *rq, struct task_struct *p);
#else
#define ghost_switch_asked(...)		false
#define ghost_switch_offer(...)		false
#define ghost_switch_give(...)		false
#endif

/* timer.c */
int ghost_timerfd_settime(struct ghost_enclave *e,
			  struct ghost_ioc_timerfd_settime __user *uarg);

/* watchdog.c */
void ghost_watchdog_start(struct ghost_enclave *e);
void ghost_watchdog_stop(struct ghost_enclave *e);
void ghost_watchdog_look(struct ghost_enclave *e);
bool ghost_excused(struct ghost_enclave *e, unsigned long excused);
void ghost_hog_tick(struct rq *rq);

/* The task's id, assigned at first use. */
static __always_inline s64 ghost_gtid(struct task_struct *p)
{
	return atomic64_read(&p->ghost.gtid) ?: ghost_new_gtid(p);
}

/* A task that this class queues: of the policy, not boosted, no agent. */
static __always_inline bool ghost_task(struct task_struct *p)
{
	return ghost_class(p) && !(p->ghost.flags & GHOST_TF_AGENT);
}

/* Waiting to be scheduled by its enclave; a boosted member is not. */
static inline bool ghost_runnable(struct task_struct *p)
{
	return ghost_class(p) && task_on_rq_queued(p);
}

/*
 * The one place that changes the count: a task counts while latched or
 * running, an agent while queued and not parked. rq lock held.
 */
static __always_inline void ghost_count(struct rq *rq, struct task_struct *p, bool on)
{
	if (on != !!(p->ghost.flags & GHOST_TF_COUNTED))
		__ghost_count(rq, p, on);
}

/*
 * Does @p have the CPU, or is it about to get it, by a direct switch? Until it
 * loses it by other means its policy takes it for blocked. rq lock held.
 */
static inline bool ghost_switched_to(struct rq *rq, struct task_struct *p)
{
	return rq->ghost.sw_chain == p ||
		(rq->ghost.offered && rq->ghost.latched == p);
}

/*
 * Is @p, a member in our class, queued on @rq, whose lock is held? Then it stays so.
 * A wake-up, which has but the pi_lock, changes the CPU of a sleeper at any time.
 */
static inline bool ghost_queued_on(struct rq *rq, struct task_struct *p)
{
	if (!task_on_rq_queued(p))
		return false;
	/* Pairs with enqueue_task_ghost(): on_rq is set after the CPU. */
	smp_rmb();
	if (task_rq(p) != rq)
		return false;
	/* Not if it slept again in between: on_rq is set under our lock only. */
	smp_rmb();
	return task_on_rq_queued(p);
}

/* @p loses the CPU by other means: is this the end of a chain? */
static inline bool ghost_end_chain(struct rq *rq, struct task_struct *p)
{
	if (rq->ghost.sw_chain != p)
		return false;

	rq->ghost.sw_chain = NULL;
	return true;
}

#endif /* _KERNEL_SCHED_GHOST_H */
