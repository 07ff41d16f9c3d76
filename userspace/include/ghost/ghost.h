/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * libghost: user-space schedulers on SCHED_GHOST.
 *
 * The high layer, in the order in which a scheduler uses it:
 *
 *	ghost_enclave	a set of CPUs and the tasks scheduled on them
 *	ghost_crew	one agent thread and one queue for each of these CPUs;
 *			starts, takes over from another process, leaves
 *	ghost_queue	where the messages about tasks arrive
 *	ghost_tasks	a table of what the messages said of each task
 *	ghost_agent	waits, or commits a decision for its CPU
 *	ghost_request	a decision for any CPU; several, all or none; for later
 *	ghost_timer	a message at some time
 *
 * Functions return 0 or -errno unless they say otherwise. They never print,
 * never abort, and keep no global state. -ENODEV and -EXDEV from any of them
 * mean that the enclave is being destroyed: stop, there is nothing to repair.
 */
#ifndef GHOST_GHOST_H
#define GHOST_GHOST_H

#include <ghost/hints.h>
#include <ghost/request.h>
#include <ghost/settings.h>
#include <ghost/shm.h>
#include <ghost/sys.h>
#include <ghost/switchto.h>
#include <ghost/timer.h>
#include <ghost/words.h>

GHOST_BEGIN_DECLS

struct ghost_enclave;
struct ghost_queue;
struct ghost_tasks;
struct ghost_agent;
struct ghost_crew;

/* ---- enclave ---- */

/* Leave the tunable honor_affinity alone; by default it is turned on. */
#define GHOST_ENCLAVE_ANY_AFFINITY	0x1
/* The kernel destroys it when the calling process ends. */
#define GHOST_ENCLAVE_EPHEMERAL		0x2

/*
 * Leave the tunable fallback alone; by default it is turned on, and tasks run
 * as normal threads while no agent is able to run.
 */
#define GHOST_ENCLAVE_NO_FALLBACK	0x4

/**
 * struct ghost_enclave_options - what ghost_enclave_create() makes
 * @root: mount point of ghostfs, or NULL
 * @id: number, or 0 for the first free one
 * @cpus: CPU list
 * @runnable_timeout_ms: watchdog, 0 = off
 * @flags: GHOST_ENCLAVE_*
 * @failed: out: on failure the file or step that refused
 * @abi: which ABI it speaks, or 0 for GHOST_VERSION
 * @gid: group of its files, in the caller's user namespace
 * @max_tasks: how many tasks may join, 0 = any number
 */
struct ghost_enclave_options {
	const char *root;
	unsigned long id;
	const char *cpus;
	unsigned long runnable_timeout_ms;
	unsigned int flags;
	const char *failed;
	unsigned int abi;
	unsigned int gid;
	unsigned int max_tasks;
};

/**
 * ghost_enclave_create() - create an enclave, ready for tasks, and open it
 * @enclave: result
 * @options: what to make
 *
 * A half-made enclave is destroyed again. A finished one stays until
 * ghost_enclave_destroy(), also after ghost_enclave_close().
 *
 * Return: 0; -EEXIST: there is one of this number; -EBUSY: another enclave has
 * one of the CPUs; -ENODEV: one is offline; -EINVAL, -ERANGE: the CPU list does
 * not parse; -ESRCH: the kernel does not speak this ABI; -ENOENT: no ghostfs;
 * -EACCES, -ENOMEM.
 */
GHOST_API int ghost_enclave_create(struct ghost_enclave **enclave,
				   struct ghost_enclave_options *options);

/**
 * ghost_enclave_open() - open an existing enclave
 * @enclave: result
 * @root: mount point of ghostfs, or NULL
 * @id: its number
 *
 * Return: 0; -ENOENT: there is none, or no ghostfs; -ENODEV: it is being
 * destroyed; -EACCES, -ENOMEM, -EMFILE.
 */
GHOST_API int ghost_enclave_open(struct ghost_enclave **enclave,
				 const char *root, unsigned long id);

/**
 * ghost_enclave_close() - unmap and close; the enclave lives on
 * @enclave: enclave without a crew, queues, tasks or timers, or NULL
 */
GHOST_API void ghost_enclave_close(struct ghost_enclave *enclave);

/**
 * ghost_enclave_destroy() - destroy; tasks go back to the normal scheduler
 * @enclave: enclave; still to be closed
 *
 * Return: 0; -ENODEV: it is gone already.
 */
GHOST_API int ghost_enclave_destroy(struct ghost_enclave *enclave);

/**
 * ghost_enclave_id() - its number
 * @enclave: enclave
 */
GHOST_API unsigned long ghost_enclave_id(const struct ghost_enclave *enclave);

/**
 * ghost_enclave_nr_cpus() - number of its CPUs
 * @enclave: enclave
 *
 * As they were when it was opened, or since ghost_enclave_set_cpus().
 */
GHOST_API int ghost_enclave_nr_cpus(const struct ghost_enclave *enclave);

/**
 * ghost_enclave_cpu() - one of its CPUs
 * @enclave: enclave
 * @i: from 0, ascending
 *
 * Return: CPU; -EINVAL: there are not so many.
 */
GHOST_API int ghost_enclave_cpu(const struct ghost_enclave *enclave, int i);

/**
 * ghost_enclave_ctl() - descriptor for the low layer
 * @enclave: enclave; it keeps the descriptor
 */
GHOST_API int ghost_enclave_ctl(const struct ghost_enclave *enclave);

/**
 * ghost_enclave_dir() - directory descriptor for the low layer
 * @enclave: enclave; it keeps the descriptor
 */
GHOST_API int ghost_enclave_dir(const struct ghost_enclave *enclave);

/**
 * ghost_enclave_txn() - transaction of a CPU
 * @enclave: enclave
 * @cpu: any possible CPU
 *
 * Return: valid until the enclave is closed, or NULL.
 */
GHOST_API struct ghost_txn *
ghost_enclave_txn(const struct ghost_enclave *enclave, int cpu);

/**
 * ghost_enclave_sw() - a status word
 * @enclave: enclave
 * @info: which
 *
 * Return: valid until the enclave is closed; NULL if its region is not mapped.
 */
GHOST_API const struct ghost_status_word *
ghost_enclave_sw(const struct ghost_enclave *enclave,
		 const struct ghost_sw_info *info);

/**
 * ghost_enclave_make_room() - keep status words in store for new tasks
 * @enclave: enclave
 *
 * Maps regions that others have created; creates one more when few words are
 * left. Call it now and then, not from an agent (agents may not open files).
 *
 * Return: 0; -ENOSPC: there are 256 regions; -EDEADLK: called by an agent;
 * -ENOMEM.
 */
GHOST_API int ghost_enclave_make_room(struct ghost_enclave *enclave);

/**
 * ghost_enclave_online() - are some process's agents online
 * @enclave: enclave
 *
 * Return: 1, 0 or -errno.
 */
GHOST_API int ghost_enclave_online(const struct ghost_enclave *enclave);

/**
 * ghost_enclave_incumbent() - process whose agents hold the enclave now
 * @enclave: enclave
 *
 * Return: process id, or -errno; -ESRCH if no CPU has an agent.
 */
GHOST_API int ghost_enclave_incumbent(struct ghost_enclave *enclave);

/* ---- events and queues ---- */

/**
 * struct ghost_event - a message, copied out of the ring
 * @type: MSG_*
 * @seqnum: barrier of the task (or of the agent) after it
 * @waiting_since: in a MSG_TASK_NEW that comes from discovery after a handoff
 *	or from ghost_tasks_move(): monotonic ns from which on the task may have
 *	been waiting for a CPU; else 0
 * @moved: a MSG_TASK_NEW that comes from ghost_tasks_move()
 * @gtid: the task of any task message
 * @task_new: payload of MSG_TASK_NEW
 * @blocked: payload of MSG_TASK_BLOCKED
 * @wakeup: payload of MSG_TASK_WAKEUP
 * @preempt: payload of MSG_TASK_PREEMPT
 * @yield: payload of MSG_TASK_YIELD
 * @departed: payload of MSG_TASK_DEPARTED
 * @dead: payload of MSG_TASK_DEAD
 * @switchto: payload of MSG_TASK_SWITCHTO
 * @affinity: payload of MSG_TASK_AFFINITY_CHANGED
 * @on_cpu: payload of MSG_TASK_ON_CPU
 * @priority: payload of MSG_TASK_PRIORITY_CHANGED
 * @tick: payload of MSG_CPU_TICK
 * @timer: payload of MSG_CPU_TIMER_EXPIRED
 * @not_idle: payload of MSG_CPU_NOT_IDLE
 * @cpu: payload of the other messages about CPUs
 */
struct ghost_event {
	uint16_t type;
	bool moved;
	uint32_t seqnum;
	int64_t waiting_since;
	union {
		uint64_t gtid;
		struct ghost_msg_payload_task_new task_new;
		struct ghost_msg_payload_task_blocked blocked;
		struct ghost_msg_payload_task_wakeup wakeup;
		struct ghost_msg_payload_task_preempt preempt;
		struct ghost_msg_payload_task_yield yield;
		struct ghost_msg_payload_task_departed departed;
		struct ghost_msg_payload_task_dead dead;
		struct ghost_msg_payload_task_switchto switchto;
		struct ghost_msg_payload_task_affinity_changed affinity;
		struct ghost_msg_payload_task_on_cpu on_cpu;
		struct ghost_msg_payload_task_priority_changed priority;
		struct ghost_msg_payload_cpu_tick tick;
		struct ghost_msg_payload_timer timer;
		struct ghost_msg_payload_cpu_not_idle not_idle;
		struct ghost_msg_payload_cpu cpu;
	};
};

/**
 * ghost_event_cpu() - CPU of a message about a CPU
 * @event: event
 *
 * Return: CPU, or -1 if it is about a task.
 */
static inline int ghost_event_cpu(const struct ghost_event *event)
{
	return event->type < GHOST_CPU_MSG_FIRST ? -1 : event->cpu.cpu;
}

/**
 * ghost_queue_create() - create and map a message queue
 * @queue: result
 * @enclave: enclave
 * @elems: slots of 8 bytes, a power of two up to GHOST_MAX_QUEUE_ELEMS
 * @cpu: agent that a message wakes, or -1; the queue is on its NUMA node
 *
 * Return: 0; -EINVAL: @elems, or @cpu is not online; -ENOMEM, -EMFILE.
 */
GHOST_API int ghost_queue_create(struct ghost_queue **queue,
				 struct ghost_enclave *enclave, int elems,
				 int cpu);

/**
 * ghost_queue_close() - close and unmap
 * @queue: queue, or NULL; nobody reads it any more
 *
 * Tasks whose messages go there keep it until they get another one.
 */
GHOST_API void ghost_queue_close(struct ghost_queue *queue);

/**
 * ghost_queue_fd() - descriptor for the low layer
 * @queue: queue; it keeps the descriptor
 */
GHOST_API int ghost_queue_fd(const struct ghost_queue *queue);

/**
 * ghost_queue_next() - take the next event; one thread per queue
 * @queue: queue
 * @event: result
 *
 * Events about tasks that were moved here (see ghost_tasks_move()) come before
 * any message that the kernel sent about them afterwards.
 *
 * Return: whether there was one.
 */
GHOST_API bool ghost_queue_next(struct ghost_queue *queue,
				struct ghost_event *event);

/**
 * ghost_queue_set_wakeup() - which agents a message may wake
 * @queue: queue
 * @cpus: CPUs of these agents
 * @nr: how many, 0 to GHOST_MAX_WINFO
 *
 * A message wakes the agent of the CPU that it is about if that is among them,
 * else that of the first. With none the queue has to be polled.
 *
 * Return: 0; -EINVAL: @nr, or a CPU is not online; -ENOMEM.
 */
GHOST_API int ghost_queue_set_wakeup(struct ghost_queue *queue,
				     const int *cpus, int nr);

/**
 * ghost_queue_overflow() - messages that found no room so far
 * @queue: queue
 *
 * Nothing is lost for good: once there is room the kernel sends, for each task
 * concerned, the one message that takes its reader to the present. A task that
 * died meanwhile sends none: see ghost_tasks_vanished().
 */
GHOST_API uint32_t ghost_queue_overflow(const struct ghost_queue *queue);

/* ---- tasks ---- */

#define GHOST_NO_SW	UINT32_MAX

enum ghost_task_state {
	GHOST_TASK_BLOCKED,
	GHOST_TASK_RUNNABLE,	/* wants a CPU */
	GHOST_TASK_ON_CPU,	/* a commit succeeded */
	GHOST_TASK_GONE,	/* departed or dead: ghost_tasks_forget() it */
};

/**
 * struct ghost_task - what the messages said of a task
 * @gtid: task id
 * @barrier: of the last message; what a commit must carry
 * @state: as of that message; the caller sets GHOST_TASK_ON_CPU
 * @last_cpu: CPU of the last message that named one, or -1
 * @sw: its status word; @sw.id is GHOST_NO_SW if that is not known
 * @waiting_since: see struct ghost_event
 */
struct ghost_task {
	int64_t gtid;
	uint32_t barrier;
	enum ghost_task_state state;
	int last_cpu;
	struct ghost_sw_info sw;
	int64_t waiting_since;
};

/**
 * ghost_tasks_create() - create a table of tasks; for one thread
 * @tasks: result
 * @enclave: enclave
 * @data_size: bytes of the caller's own that each task carries, zeroed
 *
 * Return: 0 or -ENOMEM.
 */
GHOST_API int ghost_tasks_create(struct ghost_tasks **tasks,
				 struct ghost_enclave *enclave,
				 size_t data_size);

/**
 * ghost_tasks_destroy() - forget all tasks and free the table
 * @tasks: table, or NULL
 */
GHOST_API void ghost_tasks_destroy(struct ghost_tasks *tasks);

/**
 * ghost_task_data() - the caller's own bytes of a task
 * @task: task in a table
 */
static inline void *ghost_task_data(struct ghost_task *task)
{
	return task + 1;
}

/**
 * ghost_tasks_apply() - bring the table up to date with an event
 * @tasks: table
 * @event: event
 * @task: the task it is about, made if it was unknown; NULL for CPU messages
 *
 * Any task event is accepted in any state, so that what the kernel sends again
 * after an overflow is right too.
 *
 * Return: 0; -ESTALE if the event is older than what the table knows (@task is
 * set and unchanged); -ENOMEM.
 */
GHOST_API int ghost_tasks_apply(struct ghost_tasks *tasks,
				const struct ghost_event *event,
				struct ghost_task **task);

/**
 * ghost_tasks_find() - look a task up
 * @tasks: table
 * @gtid: its id
 *
 * Return: task, valid until it is forgotten or moved, or NULL.
 */
GHOST_API struct ghost_task *ghost_tasks_find(struct ghost_tasks *tasks,
					      int64_t gtid);

/**
 * ghost_tasks_next() - go through the table, in no order
 * @tasks: table; no task may be added meanwhile
 * @task: where to go on, or NULL to begin
 *
 * Return: the task after @task, or NULL behind the last.
 */
GHOST_API struct ghost_task *ghost_tasks_next(struct ghost_tasks *tasks,
					      struct ghost_task *task);

/**
 * ghost_tasks_count() - number of tasks in the table
 * @tasks: table
 */
GHOST_API unsigned int ghost_tasks_count(const struct ghost_tasks *tasks);

/**
 * ghost_tasks_forget() - drop a task
 * @tasks: table
 * @task: task; if it is GHOST_TASK_GONE, its status word is given back
 */
GHOST_API void ghost_tasks_forget(struct ghost_tasks *tasks,
				  struct ghost_task *task);

/**
 * ghost_tasks_move() - hand a task over to the reader of another queue
 * @tasks: table
 * @task: task; on success it is dropped from @tasks
 * @queue: its messages go there from now on, led by a MSG_TASK_NEW that says
 *	what this table knows; the agent of @queue is woken
 *
 * Return: 0; -ESTALE if a message on the old queue is newer than the table:
 * read it and try again; -ENOENT if the task is gone; -ENOMEM.
 */
GHOST_API int ghost_tasks_move(struct ghost_tasks *tasks,
			       struct ghost_task *task,
			       struct ghost_queue *queue);

/**
 * ghost_tasks_current() - is the barrier in the table the task's present one
 * @tasks: table
 * @task: task
 *
 * If so after a commit failed with GHOST_TXN_TARGET_STALE, no message is on
 * its way and the commit must be tried again, best on the CPU of the last
 * message (@last_cpu): the task may not be moved just now.
 */
GHOST_API bool ghost_tasks_current(const struct ghost_tasks *tasks,
				   const struct ghost_task *task);

/**
 * ghost_tasks_retry_cpu() - where to try a commit again that was TARGET_STALE
 * @tasks: table
 * @task: task
 *
 * Return: CPU of the last message, if the barrier in the table is the present
 * one: nothing has happened to the task, it just could not be moved; -1: a
 * message is on its way, or no message has named a CPU.
 */
GHOST_API int ghost_tasks_retry_cpu(const struct ghost_tasks *tasks,
				    const struct ghost_task *task);

/**
 * ghost_tasks_vanished() - has a task left without a message
 * @tasks: table
 * @task: task
 *
 * That happens after an overflow. Return: true if so: forget it.
 */
GHOST_API bool ghost_tasks_vanished(const struct ghost_tasks *tasks,
				    const struct ghost_task *task);

/**
 * ghost_task_affinity() - CPUs on which a task may run
 * @gtid: task
 * @mask: CPU bitmap, rest zeroed
 * @bytes: its length
 *
 * Return: 0; -ESRCH: it is gone; -EINVAL: the kernel has more CPUs.
 */
GHOST_API int ghost_task_affinity(int64_t gtid, unsigned long *mask,
				  size_t bytes);

/**
 * ghost_task_cpu_time() - CPU time of any thread, to the ns
 * @enclave: any enclave
 * @gtid: thread, 0 = caller
 * @ns: result
 *
 * Return: 0; -ESRCH: it is gone.
 */
GHOST_API int ghost_task_cpu_time(const struct ghost_enclave *enclave,
				  int64_t gtid, uint64_t *ns);

/**
 * ghost_task_release() - give a task back to the normal scheduler
 * @gtid: task
 *
 * Return: 0; -ESRCH: it is gone; -EPERM.
 */
GHOST_API int ghost_task_release(int64_t gtid);

/* ---- agents ---- */

/**
 * ghost_agent_cpu() - CPU of the agent
 * @agent: agent
 */
GHOST_API int ghost_agent_cpu(const struct ghost_agent *agent);

/**
 * ghost_agent_index() - which of the crew's CPUs that is
 * @agent: agent
 *
 * Return: from 0, ascending by CPU.
 */
GHOST_API int ghost_agent_index(const struct ghost_agent *agent);

/**
 * ghost_agent_queue() - the crew's queue for this agent, which wakes it
 * @agent: agent
 */
GHOST_API struct ghost_queue *
ghost_agent_queue(const struct ghost_agent *agent);

/**
 * ghost_agent_set_queue() - send the messages about its CPU to another queue
 * @agent: agent
 * @queue: of the same enclave; it must stay open until the crew has stopped
 *
 * They go to ghost_agent_queue() by default.
 *
 * Return: 0 or -errno.
 */
GHOST_API int ghost_agent_set_queue(struct ghost_agent *agent,
				    struct ghost_queue *queue);

/**
 * ghost_agent_barrier() - read this, then the queue, then decide
 * @agent: agent
 *
 * Carried by the wait or commit that follows, it makes the kernel refuse the
 * decision if a message has come since.
 */
GHOST_API uint32_t ghost_agent_barrier(const struct ghost_agent *agent);

/**
 * ghost_agent_available() - is a CPU free of threads of other classes
 * @agent: agent of any CPU; of the caller's own it is true, since it runs there
 *
 * Return: false while one runs there: a commit would be GHOST_TXN_CPU_UNAVAIL.
 */
GHOST_API bool ghost_agent_available(const struct ghost_agent *agent);

/**
 * ghost_agent_boosted() - do threads of higher classes wait for this CPU
 * @agent: the calling thread
 *
 * Return: true if so: wait, with RTLA_ON_IDLE to be called when they are done.
 */
GHOST_API bool ghost_agent_boosted(const struct ghost_agent *agent);

/**
 * ghost_agent_stopping() - is the crew leaving
 * @agent: agent
 *
 * Return: true if so: return 0 from run().
 */
GHOST_API bool ghost_agent_stopping(const struct ghost_agent *agent);

/**
 * ghost_agent_wait() - give up the CPU until woken
 * @agent: the calling thread
 * @barrier: from ghost_agent_barrier()
 * @run_flags: RTLA_ON_IDLE to be woken when the CPU would idle, else 0
 *
 * Return: 0 when woken or when @barrier was out of date: look at the queue
 * again; or -errno.
 */
GHOST_API int ghost_agent_wait(struct ghost_agent *agent, uint32_t barrier,
			       int run_flags);

/**
 * ghost_agent_run_task() - run a task on the agent's own CPU
 * @agent: the calling thread
 * @task: what to run, its barrier in it
 * @barrier: from ghost_agent_barrier()
 * @run_flags: RTLA_* and friends
 * @state: becomes the enum ghost_txn_state of the decision
 *
 * When the commit succeeds, @task->state is GHOST_TASK_ON_CPU and the call
 * returns when the agent is woken again. Other CPUs: ghost_agent_commit().
 *
 * Return: 0 if there was a decision, good or bad; or -errno; -EBUSY: another
 * agent is just asking for this CPU.
 */
GHOST_API int ghost_agent_run_task(struct ghost_agent *agent,
				   struct ghost_task *task, uint32_t barrier,
				   uint16_t run_flags, int32_t *state);

/**
 * ghost_agent_commit_time() - when the last decision for its CPU was taken
 * @agent: agent
 *
 * Return: monotonic ns.
 */
GHOST_API int64_t ghost_agent_commit_time(const struct ghost_agent *agent);

/* ---- crew ---- */

/**
 * struct ghost_crew_ops - a policy
 * @run: body of each agent, called in its own thread when all agents are in
 *	their places; returns 0 after ghost_agent_stopping(), or -errno
 * @at_once: do not wait for the others, nor for the tasks to be announced: BPF
 *	programs schedule, and do so as soon as the agent of a CPU is there
 */
struct ghost_crew_ops {
	int (*run)(struct ghost_agent *agent, void *arg);
	bool at_once;
};

/**
 * enum ghost_crew_start - what to do about agents that are there already
 * @GHOST_START_ALONE: fail with -EBUSY
 * @GHOST_START_WAIT: wait until they leave
 * @GHOST_START_ASK: send their process SIGTERM, then wait
 */
enum ghost_crew_start {
	GHOST_START_ALONE,
	GHOST_START_WAIT,
	GHOST_START_ASK,
};

/**
 * struct ghost_handoff - how a start went
 * @incumbent: process that was asked to go, or 0
 * @offline_ns: monotonic time at which the enclave was seen without agents
 * @online_ns: monotonic time at which the new ones were let go
 * @tasks: tasks found in the enclave
 * @waiting: those of them that wanted a CPU; they carry waiting_since, which
 *	with the tunable fallback is no earlier than the first agent
 * @orphans: status words of gone threads that were given back
 */
struct ghost_handoff {
	int incumbent;
	int64_t offline_ns;
	int64_t online_ns;
	unsigned int tasks;
	unsigned int waiting;
	unsigned int orphans;
};

/**
 * ghost_crew_create() - prepare agents for all CPUs of an enclave
 * @crew: result
 * @enclave: enclave
 * @queue_elems: slots of each agent's queue, a power of two
 * @ops: policy
 * @arg: handed to @ops
 *
 * Creates a queue and a thread for each CPU; the threads wait. All this may
 * happen while another process schedules the enclave. Signals are blocked in
 * the threads.
 *
 * Return: 0; -ENODEV: the enclave has no CPU, or is gone; -EINVAL: @queue_elems;
 * -ENOMEM, -EMFILE, -EAGAIN.
 */
GHOST_API int ghost_crew_create(struct ghost_crew **crew,
				struct ghost_enclave *enclave, int queue_elems,
				const struct ghost_crew_ops *ops, void *arg);

/**
 * ghost_crew_queue() - queue of an agent
 * @crew: crew
 * @i: its index; 0 has the default queue
 *
 * Return: queue, valid until the crew is destroyed; NULL: there are not so many.
 */
GHOST_API struct ghost_queue *ghost_crew_queue(const struct ghost_crew *crew,
					       int i);

/**
 * ghost_crew_start() - take the enclave and begin to schedule
 * @crew: prepared crew
 * @how: what to do about agents that are there already
 * @timeout_ms: give up with -ETIMEDOUT after so long, -1 = never
 * @handoff: how it went
 *
 * On failure the agents have left again; only ghost_crew_destroy() is useful.
 *
 * The enclave counts as online as long as any process has the crew's open file
 * of agent_online: a child that is forked later and does not exec must close
 * what it inherits (close_range()), or no successor can start.
 *
 * Return: 0; -EBUSY: other agents are online; -ETIMEDOUT; -EPERM: CAP_SYS_NICE
 * is missing; -ENODEV, -EXDEV: the enclave is being destroyed; -ENOMEM.
 */
GHOST_API int ghost_crew_start(struct ghost_crew *crew,
			       enum ghost_crew_start how, int timeout_ms,
			       struct ghost_handoff *handoff);

/**
 * ghost_crew_wake() - wake an agent
 * @crew: running crew
 * @i: its index
 *
 * Return: 0; -EINVAL: there is none.
 */
GHOST_API int ghost_crew_wake(struct ghost_crew *crew, int i);

/**
 * ghost_crew_error() - 0 while all agents are in their places
 * @crew: crew
 *
 * Return: 0, or what the first agent that fell out returned from run().
 */
GHOST_API int ghost_crew_error(struct ghost_crew *crew);

/**
 * ghost_crew_stop() - leave in order
 * @crew: running crew
 *
 * Goes offline, has the agents return, waits until the kernel has let go of
 * them and gives their status words back. The tasks stay where they are, for
 * the next crew.
 *
 * Return: 0, or what ghost_crew_error() would.
 */
GHOST_API int ghost_crew_stop(struct ghost_crew *crew);

/**
 * ghost_crew_destroy() - stop if running; free threads and queues
 * @crew: crew, or NULL
 */
GHOST_API void ghost_crew_destroy(struct ghost_crew *crew);

GHOST_END_DECLS

#endif /* GHOST_GHOST_H */
