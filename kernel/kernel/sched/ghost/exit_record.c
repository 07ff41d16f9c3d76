// SPDX-License-Identifier: GPL-2.0-only
/*
 * SCHED_GHOST: what an enclave looked like when it was destroyed, and why.
 *
 * The text is bounded and its memory comes with the enclave, so that a record
 * is kept however little memory is left. The last records are read in
 * /sys/fs/ghost/exits. The same text of living enclaves is for SysRq.
 */
#include <linux/kdebug.h>
#include <linux/nmi.h>
#include <linux/seq_file.h>
#include <trace/events/ghost.h>
#include "fs.h"

#define RECORD_SIZE	32768
#define RECORDS_KEPT	8
#define TASKS_SHOWN	32
#define TASKS_SEEN	1024		/* looked at for them, with a lock held */
#define QUEUES_SHOWN	64

/**
 * struct ghost_exit_record - one text
 * @ref: the list's, and one for each reader
 * @node: in the list of those kept, oldest first
 * @len: bytes of @text
 * @text: not terminated
 */
struct ghost_exit_record {
	refcount_t		ref;
	struct list_head	node;
	size_t			len;
	char			text[];
};

/* The records kept, and how many there ever were. */
static LIST_HEAD(records);
static unsigned long nr_records;
static DEFINE_RAW_SPINLOCK(records_lock);

static const char * const reason_name[] = {
	[GHOST_EXIT_NONE]	= "none",
	[GHOST_EXIT_USER]	= "request of its owner",
	[GHOST_EXIT_TIMEOUT]	= "runnable_timeout",
	[GHOST_EXIT_STALL]	= "ghost_stall_max_ms",
	[GHOST_EXIT_HOG]	= "ghost_agent_hog_ms",
	[GHOST_EXIT_OWNER]	= "the end of its owner",
	[GHOST_EXIT_SYSRQ]	= "SysRq",
	[GHOST_EXIT_BPF]	= "its BPF program",
};

const char *ghost_exit_name(enum ghost_exit reason)
{
	return reason_name[reason];
}

struct ghost_exit_record *ghost_exit_alloc(void)
{
	return kvzalloc(RECORD_SIZE, GFP_KERNEL_ACCOUNT);
}

void ghost_exit_free(struct ghost_exit_record *rec)
{
	kvfree(rec);
}

/**
 * ghost_exit_blame - note why an enclave is going to be destroyed
 * @e: enclave
 * @reason: the first one stays
 * @who: thread that it is about, or NULL
 *
 * Context: any, a rq lock may be held.
 */
void ghost_exit_blame(struct ghost_enclave *e, enum ghost_exit reason,
		      const struct ghost_blame *who)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&e->lock, flags);
	if (e->reason == GHOST_EXIT_NONE) {
		e->reason = reason;
		if (who)
			e->blame = *who;
		e->blame.no_agent = (reason == GHOST_EXIT_TIMEOUT ||
				     reason == GHOST_EXIT_STALL) &&
			!ghost_has_able_agent(e);
	}
	raw_spin_unlock_irqrestore(&e->lock, flags);
}

static const char *state_name(s32 state)
{
	static const struct trace_print_flags names[] = { ghost_txn_names };
	int i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		if ((s32)names[i].mask == state)
			return names[i].name;
	return state == GHOST_TXN_READY ? "READY" : "claimed";
}

/* What user space may write while we read it, which does no harm here. */
static void show_txn(struct seq_buf *s, int cpu, const struct ghost_txn *txn)
{
	seq_buf_printf(s, "cpu %d: last transaction %s, gtid %lld, barriers %u %u, ",
		       cpu, state_name(READ_ONCE(txn->state)),
		       READ_ONCE(txn->gtid), READ_ONCE(txn->task_barrier),
		       READ_ONCE(txn->agent_barrier));
	seq_buf_printf(s, "run_flags %#x, commit_flags %#x, commit_time %lld, cpu_seqnum %llu\n",
		       READ_ONCE(txn->run_flags), READ_ONCE(txn->commit_flags),
		       READ_ONCE(txn->commit_time), READ_ONCE(txn->cpu_seqnum));
}

static void show_queue(struct seq_buf *s, const struct ghost_queue *q)
{
	seq_buf_printf(s, "queue of %u slots, head %u, tail %u, overflow %u\n",
		       q->nelems, READ_ONCE(q->head),
		       READ_ONCE(q->ring->tail), READ_ONCE(q->overflow));
}

/* e->lock held. */
static void show_queues(struct seq_buf *s, struct ghost_enclave *e)
{
	struct ghost_queue *q;
	int shown = 0;

	if (e->default_queue) {
		seq_buf_puts(s, "default ");
		show_queue(s, e->default_queue);
	}
	list_for_each_entry(q, &e->queues, node) {
		if (q == e->default_queue)
			continue;
		if (shown++ == QUEUES_SHOWN) {
			seq_buf_puts(s, "and queues more\n");
			break;
		}
		show_queue(s, q);
	}
}

/* The name of a thread is its own choice, and a record has lines. */
static void show_thread(struct seq_buf *s, const char *what, pid_t pid,
			const char *comm)
{
	seq_buf_printf(s, "%s %d (%*pE)", what, pid,
		       (int)strnlen(comm, TASK_COMM_LEN), comm);
}

static void show_cpu(struct seq_buf *s, struct ghost_enclave *e, int cpu)
{
	struct rq *rq = cpu_rq(cpu);
	struct ghost_rq *g = &rq->ghost;
	struct task_struct *curr, *agent;
	struct rq_flags rf;

	rq_lock_irqsave(rq, &rf);
	curr = ghost_curr(rq);
	agent = g->agent;
	seq_buf_printf(s, "cpu %d: ", cpu);
	show_thread(s, "runs", task_pid_nr(curr), curr->comm);
	seq_buf_puts(s, ", ");
	if (g->latched)
		seq_buf_printf(s, "latched %d, ", task_pid_nr(g->latched));
	if (agent) {
		show_thread(s, "agent", task_pid_nr(agent), agent->comm);
		seq_buf_printf(s, " %c%s, barrier %d", task_state_to_char(agent),
			       g->parked ? " parked" : "",
			       atomic_read(&g->abarrier));
	} else {
		seq_buf_puts(s, "no agent");
	}
	seq_buf_printf(s, ", run_flags %#x, cpu_seqnum %llu\n", g->run_flags,
		       g->cpu_seqnum);
	if (agent && agent->ghost.queue) {
		seq_buf_printf(s, "cpu %d: ", cpu);
		show_queue(s, agent->ghost.queue);
	}
	rq_unlock_irqrestore(rq, &rf);
	show_txn(s, cpu, page_address(e->txn_page[cpu]));
}

static unsigned int waited_ms(unsigned long since)
{
	return jiffies_to_msecs(jiffies - since);
}

/* e->lock held, which does not protect what is shown of a task: a snapshot. */
static void show_task(struct seq_buf *s, struct task_struct *p)
{
	unsigned long since = READ_ONCE(p->ghost.last_runnable);

	show_thread(s, "task", task_pid_nr(p), p->comm);
	seq_buf_printf(s, " %c on cpu %d, barrier %u", task_state_to_char(p),
		       task_cpu(p), READ_ONCE(p->ghost.barrier));
	if (since)
		seq_buf_printf(s, ", waits for %u ms", waited_ms(since));
	if (READ_ONCE(p->ghost.flags) & GHOST_TF_LOST)
		seq_buf_puts(s, ", a message of it found no room");
	seq_buf_putc(s, '\n');
}

/* Those that wait first; a thread may begin or end to wait meanwhile. */
static void show_tasks(struct seq_buf *s, struct ghost_enclave *e)
{
	struct task_struct *p;
	u32 shown = 0, seen;
	int waits;

	for (waits = 1; waits >= 0; waits--) {
		seen = 0;
		list_for_each_entry(p, &e->tasks, ghost.task_node) {
			if (shown == TASKS_SHOWN || seen++ == TASKS_SEEN)
				break;
			if (!!READ_ONCE(p->ghost.last_runnable) != waits)
				continue;
			show_task(s, p);
			shown++;
		}
	}
	if (e->nr_tasks > shown)
		seq_buf_printf(s, "and %u tasks more\n", e->nr_tasks - shown);
}

static void show_blame(struct seq_buf *s, const struct ghost_enclave *e)
{
	const struct ghost_blame *b = &e->blame;

	if (!b->pid)
		return;
	show_thread(s, e->reason == GHOST_EXIT_HOG ? "agent" : "task", b->pid,
		    b->comm);
	seq_buf_printf(s, e->reason == GHOST_EXIT_HOG ?
		       " kept others waiting for %llu ms on cpu %d\n" :
		       " waited for %llu ms on cpu %d\n", b->waited_ms, b->cpu);
	if (b->no_agent)
		seq_buf_puts(s, "no agent was able to run\n");
}

/* Any context but under a rq or enclave lock. */
static void show_enclave(struct seq_buf *s, struct ghost_enclave *e)
{
	struct ghost_sw_region *r;
	unsigned long flags;
	int cpu;

	raw_spin_lock_irqsave(&e->lock, flags);
	seq_buf_printf(s, "abi %u, agent_online %d, members %u, announced %u\n",
		       e->abi, READ_ONCE(e->online), e->nr_members, e->nr_tasks);
	if (!cpumask_empty(e->unplugged))
		seq_buf_printf(s, "cpus that went offline: %*pbl%s\n",
			       cpumask_pr_args(e->unplugged),
			       cpumask_empty(e->cpus) ? "; no cpu is left" : "");
	show_queues(s, e);
	list_for_each_entry(r, &e->regions, list)
		seq_buf_printf(s, "sw_region %u: %u words available\n",
			       r->mem->id, READ_ONCE(r->mem->available));
	show_tasks(s, e);
	raw_spin_unlock_irqrestore(&e->lock, flags);

	ghost_bpf_show_slots(s, e);
	/* The sets may change meanwhile: each possible CPU can be shown. */
	for_each_cpu(cpu, e->cpus)
		show_cpu(s, e, cpu);
	for_each_cpu(cpu, e->unplugged)
		show_txn(s, cpu, page_address(e->txn_page[cpu]));
}

static void put_record(struct ghost_exit_record *rec)
{
	if (rec && refcount_dec_and_test(&rec->ref))
		ghost_exit_free(rec);
}

/* Drop the oldest while there are too many. */
static void keep(struct ghost_exit_record *rec)
{
	static unsigned int kept;
	struct ghost_exit_record *old = NULL;

	refcount_set(&rec->ref, 1);
	raw_spin_lock(&records_lock);
	list_add_tail(&rec->node, &records);
	nr_records++;
	if (kept == RECORDS_KEPT) {
		old = list_first_entry(&records, struct ghost_exit_record, node);
		list_del(&old->node);
	} else {
		kept++;
	}
	raw_spin_unlock(&records_lock);
	put_record(old);
}

/**
 * ghost_exit_write - write the record of an enclave
 * @e: is going to be destroyed, and still complete
 *
 * Context: process; called once.
 */
void ghost_exit_write(struct ghost_enclave *e)
{
	struct ghost_exit_record *rec = e->record;
	u64 ms = ktime_get_boottime_ns() / NSEC_PER_MSEC;
	struct seq_buf s;

	e->record = NULL;
	seq_buf_init(&s, rec->text, RECORD_SIZE - sizeof(*rec));
	seq_buf_printf(&s, "enclave_%lu: destroyed by %s, %llu.%03llu s after boot\n",
		       e->id, ghost_exit_name(e->reason), ms / MSEC_PER_SEC,
		       ms % MSEC_PER_SEC);
	if (e->reason == GHOST_EXIT_BPF)
		seq_buf_printf(&s, "the program says %d: %s\n", e->bpf_exit.code,
			       e->bpf_exit.why);
	show_blame(&s, e);
	show_enclave(&s, e);
	rec->len = seq_buf_used(&s);
	/* What found no room is cut, with what has begun of it. */
	while (rec->len && rec->text[rec->len - 1] != '\n')
		rec->len--;
	keep(rec);
}

static int exits_show(struct seq_file *m, void *unused)
{
	struct ghost_exit_record *rec, *shown[RECORDS_KEPT];
	unsigned long last;
	int i, nr = 0;

	/* Members read, too: they hold no lock that a destruction waits for. */
	raw_spin_lock(&records_lock);
	list_for_each_entry(rec, &records, node) {
		refcount_inc(&rec->ref);
		shown[nr++] = rec;
	}
	last = nr_records;
	raw_spin_unlock(&records_lock);

	for (i = 0; i < nr; i++) {
		seq_printf(m, "record %lu: ", last - (nr - 1 - i));
		seq_write(m, shown[i]->text, shown[i]->len);
		seq_putc(m, '\n');
		put_record(shown[i]);
	}
	return 0;
}

/* All of it is taken when a reader begins: records do not move under it. */
static int exits_open(struct inode *inode, struct file *file)
{
	return ghost_fs_open(inode, file) ?: single_open(file, exits_show, NULL);
}

const struct file_operations ghost_exits_fops = {
	.owner		= THIS_MODULE,
	.open		= exits_open,
	.read		= seq_read,
	.llseek		= seq_lseek,
	.release	= single_release,
};

/**
 * ghost_dump - print the state of an enclave
 * @e: enclave
 *
 * Context: any but under a rq or enclave lock.
 */
void ghost_dump(struct ghost_enclave *e)
{
	static char text[RECORD_SIZE];
	static DEFINE_RAW_SPINLOCK(lock);
	unsigned long flags;
	struct seq_buf s;

	raw_spin_lock_irqsave(&lock, flags);
	seq_buf_init(&s, text, sizeof(text));
	seq_buf_printf(&s, "ghost: enclave_%lu:\n", e->id);
	show_enclave(&s, e);
	/* A serial console takes seconds for it, with interrupts off. */
	touch_nmi_watchdog();
	seq_buf_do_printk(&s, KERN_INFO);
	touch_all_softlockup_watchdogs();
	raw_spin_unlock_irqrestore(&lock, flags);
}

/**
 * print_ghost_info - the line of a member or agent in a task header
 * @log_lvl: log level
 * @p: whose header it is
 *
 * That of the current thread also tells of the enclave of its CPU.
 *
 * Context: any, an oops, too: nothing is locked, and nothing is believed.
 */
void print_ghost_info(const char *log_lvl, struct task_struct *p)
{
	const struct ghost_rq *g = &cpu_rq(raw_smp_processor_id())->ghost;
	struct sched_ghost_entity t;
	struct ghost_enclave *e;
	unsigned long id;

	if (!ghost_enabled())
		return;

	if (!copy_from_kernel_nofault(&t, &p->ghost, sizeof(t)) && t.sw &&
	    !copy_from_kernel_nofault(&id, &t.enclave->id, sizeof(id))) {
		if (t.flags & GHOST_TF_AGENT)
			printk("%sSched_ghost: agent of enclave_%lu, barrier %u\n",
			       log_lvl, id, t.barrier);
		else
			printk("%sSched_ghost: task of enclave_%lu, barrier %u, waits for %u ms\n",
			       log_lvl, id, t.barrier,
			       t.last_runnable ? waited_ms(t.last_runnable) : 0);
	}

	e = rcu_dereference_raw(g->enclave);
	if (p == current && e && !copy_from_kernel_nofault(&id, &e->id, sizeof(id)))
		printk("%sSched_ghost: cpu of enclave_%lu, %s\n", log_lvl, id,
		       !READ_ONCE(g->agent) ? "no agent" :
		       READ_ONCE(g->parked) ? "agent parked" : "agent runnable");
}
