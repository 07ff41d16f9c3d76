/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * SCHED_GHOST: what the rest of the kernel knows of it.
 */
#ifndef _LINUX_GHOST_H
#define _LINUX_GHOST_H

#include <linux/atomic.h>
#include <linux/list.h>
#include <linux/types.h>

struct bpf_map;
struct bpf_prog;
struct bpf_verifier_log;
struct ghost_enclave;
struct itimerspec64;
struct ghost_join;
struct ghost_queue;
struct ghost_status_word;
struct ghost_sw_region;
struct pid;
struct pid_namespace;
struct seq_file;
struct task_struct;
union bpf_attr;

/*
 * The BPF program types, by the numbers that the kernel knows them by; user
 * space has others, see uapi/linux/ghost.h.
 */
#define GHOST_BPF_SCHED		(__MAX_BPF_PROG_TYPE + 0)
#define GHOST_BPF_MSG		(__MAX_BPF_PROG_TYPE + 1)
#define GHOST_BPF_SELECT_RQ	(__MAX_BPF_PROG_TYPE + 2)
#define GHOST_BPF_HALT_POLL	(__MAX_BPF_PROG_TYPE + 3)
#define GHOST_BPF_NR		4

#ifdef CONFIG_SCHED_CLASS_GHOST

/**
 * struct ghost_timer - what a timerfd is bound to (its own lock)
 * @serial: of the enclave, 0 is not bound
 * @cpu: CPU whose agent gets the message
 * @type: copied to the message
 * @cookie: copied to the message
 */
struct ghost_timer {
	u64	serial;
	int	cpu;
	u64	type;
	u64	cookie;
};

/**
 * struct sched_ghost_entity - what a task carries for SCHED_GHOST
 * @gtid: task id, assigned at first use and never changed (cmpxchg)
 * @join: enclave that the next setscheduler of this thread joins its target
 *	to; private to the thread
 * @timer: what the next timerfd_settime of this thread binds the timer to;
 *	private to the thread
 * @sw: status word while a member or agent, else NULL
 * @gate: enclave whose departed status word gates the messages
 * @saved_barrier: where the next incarnation goes on counting
 * @flags: GHOST_TF_*
 * @no_bpf_load: the process has given up BPF_PROG_LOAD; set for good
 * @view: what the queue last received, enum ghost_view
 * @pending: messages owed at the next schedule, GHOST_PEND_*
 * @psi_asleep: PSI was told that the parked agent sleeps
 * @deferrable: the last wait was one that MSG_TASK_WAKEUP calls deferrable
 * @last_ran_cpu: CPU before the last wake-up (p->pi_lock)
 * @wake_up_cpu: CPU chosen for it (p->pi_lock)
 * @waker_cpu: CPU that woke (p->pi_lock)
 * @pref_cpu: whose agent a BPF program wants woken, or GHOST_PREF_CPU_*
 * @pref_seqnum: message that it said so of
 * @barrier: sequence number, copied to @sw
 * @enclave: enclave of a member or agent, counted
 * @queue: where the task's messages go, counted; may be NULL
 * @region: region that holds @sw
 * @last_runnable: jiffies since when the task waits, 0 while it does not; the
 *	watchdog moves it on after a pause of the machine (cmpxchg)
 * @excused: the enclave's excused time when the wait began, jiffies (the watchdog takes
 *	what excuses this task alone, cmpxchg); between waits what the next one owes
 * @run_node: in rq->ghost.tasks while queued
 * @task_node: in the enclave's list of announced members (enclave lock)
 * @lost_node: in the enclave's list of tasks that lost a message
 *	(enclave lock)
 * @hash_node: in the gtid hash (hash lock, RCU)
 * @gate_node: in the gating enclave's hash (enclave lock)
 *
 * Unless stated otherwise the fields are written under the task's rq lock. Fork
 * clears those up to @no_bpf_load, which is inherited; the rest counts for a
 * member only and is initialised when a task becomes one.
 */
struct sched_ghost_entity {
	atomic64_t			gtid;
	struct ghost_join		*join;
	struct ghost_timer		*timer;
	struct ghost_status_word	*sw;
	struct ghost_enclave		*gate;
	u32				saved_barrier;
	u8				flags;
	bool				no_bpf_load;

	u8				view;
	u8				pending;
	bool				psi_asleep;
	bool				deferrable;
	int				last_ran_cpu;
	int				wake_up_cpu;
	int				waker_cpu;
	s32				pref_cpu;
	u32				pref_seqnum;
	u32				barrier;
	struct ghost_enclave		*enclave;
	struct ghost_queue		*queue;
	struct ghost_sw_region		*region;
	unsigned long			last_runnable;
	unsigned long			excused;
	struct list_head		run_node;
	struct list_head		task_node;
	struct list_head		lost_node;
	struct hlist_node		hash_node;
	struct hlist_node		gate_node;
};

bool ghost_agent_parked(struct task_struct *p);
bool ghost_bpf_load_banned(void);
bool ghost_bpf_type(u32 type);
bool ghost_bpf_helper(int id);
bool ghost_bpf_under_lock(u32 kfunc);
u32 ghost_bpf_from_user(const union bpf_attr *attr);
u32 ghost_bpf_to_user(u32 type);
int ghost_bpf_check_prog(const struct bpf_prog *prog, struct bpf_verifier_log *log);
int ghost_bpf_check_map(u32 type, const struct bpf_map *map,
			struct bpf_verifier_log *log);
int ghost_bpf_link_create(const union bpf_attr *attr, struct bpf_prog *prog);
void ghost_timer_bind(struct ghost_timer *t);
void ghost_timer_expired(const struct ghost_timer *t);
int ghost_proc_gtid(struct seq_file *m, struct pid_namespace *ns,
		    struct pid *pid, struct task_struct *p);
void print_ghost_info(const char *log_lvl, struct task_struct *p);

#else /* !CONFIG_SCHED_CLASS_GHOST */

struct ghost_timer { };

static inline bool ghost_agent_parked(struct task_struct *p) { return false; }
static inline bool ghost_bpf_load_banned(void) { return false; }

#define ghost_bpf_type(...)		false
#define ghost_bpf_helper(...)		false
#define ghost_bpf_under_lock(...)	false
#define ghost_bpf_from_user(attr)	((attr)->prog_type)
#define ghost_bpf_to_user(type)		(type)
#define ghost_bpf_check_prog(...)	0
#define ghost_bpf_check_map(...)	0
#define ghost_bpf_link_create(...)	(-EINVAL)

static inline void ghost_timer_bind(struct ghost_timer *t) { }
static inline void ghost_timer_expired(const struct ghost_timer *t) { }
static inline void print_ghost_info(const char *log_lvl, struct task_struct *p) { }

#endif /* CONFIG_SCHED_CLASS_GHOST */

/* kernel/sched/ghost/switchto.c, with CONFIG_GHOST_SWITCHTO */
long futex_switchto(u32 __user *uaddr, unsigned int flags, u32 val,
		    ktime_t *abs_time, u32 __user *uaddr2, u32 val3);

/* fs/timerfd.c: timerfd_settime(2) with its structures in the kernel. */
int do_timerfd_settime(int ufd, int flags, const struct itimerspec64 *new,
		       struct itimerspec64 *old);

#endif /* _LINUX_GHOST_H */
