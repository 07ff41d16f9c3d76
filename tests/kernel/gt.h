/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * Support for the ABI tests: the raw interface, without libghost.
 *
 * Every function returns 0 (or a value that is not negative) or -errno.
 * Time limits are generous, because the guest is emulated.
 *
 * The test thread stays on CPU 0, enclaves use CPUs from 1 on. An agent
 * (struct gt_agent) is a thread that parks and runs the jobs that the test
 * thread posts; a task (struct gt_task) is a process that sleeps in the kernel
 * until it is told what to do.
 */
#ifndef GT_H
#define GT_H

#include <linux/ghost.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define GT_ROOT			"/sys/fs/ghost"
#define GT_FIRST_ID		1000
#define GT_WAIT_MS		10000
#define GT_QUIET_MS		300
#define GT_QUEUE_ELEMS		4096
#define GT_LOG_SIZE		4096
#define GT_RESET_ON_FORK	0x40000000
#define GT_ANY			0

/* ---- small things ---- */

int64_t gt_now_ms(void);
void gt_sleep_ms(int ms);
int gt_ncpus(void);		/* online CPUs, numbered 0..n-1 */
int gt_npossible(void);
int gt_pin(pid_t tid, int cpu);	/* cpu < 0: every CPU */
int gt_set_online(int cpu, bool online);

int gt_open(const char *path, int flags);
int gt_open_at(const char *dir, const char *name, int flags);
int gt_put(int fd, const char *text);
int gt_write_file(const char *path, const char *text);
int gt_read_file(const char *path, char *buf, size_t size);
int gt_ioctl(int fd, unsigned long cmd, void *arg);
void *gt_map(int fd, size_t size, int prot, int *err);

uint64_t gt_gtid_of(pid_t tid);
char gt_proc_state(pid_t pid);	/* as in /proc/PID/stat, 0: gone */
int gt_cpu_of(pid_t pid);	/* that it was on last */
int gt_policy(pid_t tid);

/* Wait until @cond holds; false when GT_WAIT_MS have passed. */
#define gt_wait_for(cond) ({						\
	int64_t __end = gt_now_ms() + GT_WAIT_MS;			\
	bool __ok;							\
									\
	while (!(__ok = !!(cond)) && gt_now_ms() < __end)		\
		gt_sleep_ms(1);						\
	__ok;								\
})

/* ---- queues ---- */

struct gt_msg {
	uint16_t type;
	uint16_t length;
	uint32_t seqnum;
	union {
		uint64_t gtid;
		struct ghost_msg_payload_task_dead dead;
		struct ghost_msg_payload_task_blocked blocked;
		struct ghost_msg_payload_task_wakeup wakeup;
		struct ghost_msg_payload_task_new new_;
		struct ghost_msg_payload_task_preempt preempt;
		struct ghost_msg_payload_task_yield yield;
		struct ghost_msg_payload_task_departed departed;
		struct ghost_msg_payload_task_switchto switchto;
		struct ghost_msg_payload_task_affinity_changed affinity;
		struct ghost_msg_payload_task_on_cpu on_cpu;
		struct ghost_msg_payload_task_priority_changed priority;
		struct ghost_msg_payload_cpu cpu;
		struct ghost_msg_payload_cpu_tick tick;
		struct ghost_msg_payload_cpu_not_idle not_idle;
		struct ghost_msg_payload_timer timer;
	};
	bool taken;
};

struct gt_queue {
	int fd;
	size_t size;
	uint32_t nelems;
	struct ghost_queue_header *hdr;
	struct ghost_ring *ring;
	struct gt_msg *log;		/* all that was ever consumed */
	int logged;
	int gaps;			/* breaks in a task's sequence numbers */
};

int gt_queue_create(int ctl, int elems, struct gt_queue *q);
void gt_queue_close(struct gt_queue *q);
void gt_queue_consume(struct gt_queue *q);

/*
 * The next message of @gtid (GT_ANY: of anybody) that was not taken yet.
 * -ETIMEDOUT after @ms.
 */
int gt_next(struct gt_queue *q, uint64_t gtid, int ms, struct gt_msg *m);

/* As gt_next(), but passes over what is not of @type. */
int gt_next_type(struct gt_queue *q, uint64_t gtid, int type, struct gt_msg *m);

const char *gt_msg_name(int type);

/* ---- enclaves ---- */

struct gt_enclave {
	int id;
	char dir[64];
	int ctl;
	int tasks;
	struct ghost_cpu_data *cpu;
	size_t cpu_size;
	struct ghost_sw_region_header *region;
	struct gt_queue q;		/* the default queue */
	const char *step;		/* what failed */
};

/* Mount, remove what an earlier test left over, pin the caller to CPU 0. */
int gt_begin(void);

/* A bare enclave: directory and ctl only. */
int gt_enclave_bare(struct gt_enclave *e);
int gt_enclave_bare_from(struct gt_enclave *e, int first);	/* the number, or above */

/* CPUs, region 0, cpu_data, a default queue; everything open and mapped. */
int gt_enclave_create(struct gt_enclave *e, const char *cpus);
int gt_set_cpus(struct gt_enclave *e, const char *cpus);

/* Another process's view of enclave @id: own descriptors, mappings, queue. */
int gt_enclave_attach(struct gt_enclave *e, int id);
int gt_file(struct gt_enclave *e, const char *name, int flags);
int gt_file_put(struct gt_enclave *e, const char *name, const char *text);
int gt_file_get(struct gt_enclave *e, const char *name, char *buf, size_t size);
int gt_destroy(struct gt_enclave *e);
bool gt_gone(struct gt_enclave *e);	/* the directory vanished in time */
void gt_enclave_close(struct gt_enclave *e);

int gt_sw_info(struct gt_enclave *e, uint32_t type, uint64_t arg,
	       struct ghost_sw_info *info);
struct ghost_status_word *gt_sw_at(struct gt_enclave *e,
				   struct ghost_sw_info info);
struct ghost_status_word *gt_sw(struct gt_enclave *e, uint64_t gtid);
int gt_sw_free(struct gt_enclave *e, struct ghost_sw_info info);
uint32_t gt_flags(struct ghost_status_word *sw);
uint32_t gt_barrier(struct ghost_status_word *sw);
int gt_assoc(struct gt_enclave *e, int qfd, uint64_t gtid, uint32_t barrier);
int gt_join(struct gt_enclave *e, pid_t pid);

/* ---- what must not stay behind ---- */

struct gt_watch {
	int kmsg;
	int areas;
};

int gt_watch_begin(struct gt_watch *w);
bool gt_watch_freed(struct gt_watch *w);	/* in time */
/* What the kernel said of ghost above level info since then, or NULL. */
const char *gt_watch_log(struct gt_watch *w);
void gt_watch_end(struct gt_watch *w);

/* The next line since then that is a complaint of the kernel, or NULL. */
int gt_complaints_begin(void);
const char *gt_complaint(void);

/* ---- transactions ---- */

struct gt_txn {
	int64_t gtid;
	uint32_t task_barrier;
	uint32_t agent_barrier;
	uint16_t run_flags;
	uint8_t commit_flags;
};

void gt_txn_fill(struct gt_enclave *e, int cpu, const struct gt_txn *t);
int gt_txn_ioctl(struct gt_enclave *e, __u64 cpus);
int gt_sync_ioctl(struct gt_enclave *e, __u64 cpus);
int gt_txn_state(struct gt_enclave *e, int cpu);
int gt_txn_wait(struct gt_enclave *e, int cpu);	/* a state, READY: too late */
const char *gt_txn_name(int state);

/* For use in a test of the harness; names make the log readable. */
#define EXPECT_STATE(want, got)						\
	EXPECT_STREQ(gt_txn_name(want), gt_txn_name(got))
#define ASSERT_STATE(want, got)						\
	ASSERT_STREQ(gt_txn_name(want), gt_txn_name(got))

/* ---- agents ---- */

struct gt_agent;
typedef long (*gt_job_fn)(struct gt_agent *a, void *arg);

struct gt_agent {
	struct gt_enclave *e;
	int cpu;
	int qfd;
	pthread_t thread;
	pid_t tid;
	int error;			/* of become agent */
	int run_error;			/* that ended the loop */
	struct ghost_sw_info info;
	struct ghost_status_word *sw;
	int ready;
	int alive;
	gt_job_fn fn;
	void *arg;
	long result;
	uint32_t posted;
	uint32_t done;
	int stop;
};

int gt_agent_start(struct gt_agent *a, struct gt_enclave *e, int cpu, int qfd);
int gt_agent_stop(struct gt_agent *a);	/* ends it and frees its status word */
int gt_agent_end(struct gt_agent *a);	/* ends it, leaves the status word */
int gt_ping(struct gt_enclave *e, int cpu);
int gt_run(struct gt_enclave *e, struct ghost_ioc_run *run);

/* Post without waiting, wait, both. A job that is late gives -ETIMEDOUT. */
int gt_post(struct gt_agent *a, gt_job_fn fn, void *arg);
int gt_finish(struct gt_agent *a, long *result);
long gt_call(struct gt_agent *a, gt_job_fn fn, void *arg);

/*
 * One transaction for @cpu, committed by @a: returns the state. Barriers that
 * are 0 in @t stay 0; the agent's own is read just before the commit when
 * @t->agent_barrier is GT_NOW.
 */
#define GT_NOW	0xffffffffu
int gt_commit(struct gt_agent *a, int cpu, struct gt_txn *t);

/* As gt_commit(), again while a thread of another class has the CPU. */
int gt_commit_free(struct gt_agent *a, int cpu, struct gt_txn *t);

/*
 * An agent in a process of its own, which can be killed. It runs @fn once and
 * parks for ever. Returns the process.
 */
pid_t gt_host_start(struct gt_enclave *e, int cpu, gt_job_fn fn, void *arg);

/* Waits for its end: was it SIGKILL? */
bool gt_host_killed(pid_t pid);

/* ---- tasks ---- */

enum gt_cmd {
	GT_BLOCK,			/* only finishes the last command */
	GT_SPIN,			/* until the next command */
	GT_YIELD,			/* sched_yield() once, then spin */
	GT_CALL,			/* a function, then sleep */
	GT_EXIT,
};

struct gt_task_ctl {
	uint32_t seq;
	uint32_t done;
	uint32_t ready;
	uint32_t cmd;
	long (*fn)(long arg);
	long arg;
	long result;
	uint64_t count;			/* grows while it spins */
};

struct gt_task {
	pid_t pid;
	uint64_t gtid;
	struct gt_task_ctl *ctl;
};

int gt_task_start(struct gt_task *t);
void gt_tell(struct gt_task *t, enum gt_cmd cmd);
void gt_tell_call(struct gt_task *t, long (*fn)(long), long arg);
bool gt_asleep(struct gt_task *t);	/* becomes so in time */
bool gt_spins(struct gt_task *t);	/* makes progress, in time */
bool gt_stands(struct gt_task *t);	/* makes none for GT_QUIET_MS */
void gt_task_end(struct gt_task *t);	/* needs CFS or a gone enclave */

/* Commit until it is COMPLETE; passes over the states that ask for a retry. */
int gt_schedule(struct gt_agent *a, int cpu, struct gt_task *t,
		uint16_t run_flags);

/*
 * Does the task that @a has just committed make progress? A thread of another
 * class may take the CPU from it first: its last message is a PREEMPT then, and
 * it is committed again, as an agent does. Without that message nothing helps.
 * PREEMPT messages of a lost latch, from before it ran, count as taken.
 */
bool gt_runs(struct gt_agent *a, int cpu, struct gt_task *t);

/* Commit the task, if it wants to run and does not. */
void gt_put_back(struct gt_agent *a, int cpu, struct gt_task *t);

/* Keep the task scheduled until its message @type arrives. */
int gt_drive(struct gt_agent *a, int cpu, struct gt_task *t, int type,
	     struct gt_msg *m);

/* Join a sleeping task and take its NEW. */
int gt_join_asleep(struct gt_enclave *e, struct gt_task *t, struct gt_msg *m);

/* Make a sleeping member spin (not scheduled) and take its WAKEUP. */
int gt_wake_spinner(struct gt_enclave *e, struct gt_task *t, struct gt_msg *m);

#endif /* GT_H */
