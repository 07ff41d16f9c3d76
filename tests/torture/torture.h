/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * ghost-torture: a random walk over everything that can happen to enclaves,
 * their policies and their tasks, all at once, with invariants that are
 * checked all the time.
 *
 * One process, the director, stays on CPU 0 and draws one operation after the
 * other. Workers are the tasks, one process a place; they walk by themselves.
 * Hosts are the policies' processes. All are this program, executed again, and
 * share one memory. What is drawn depends on the seed and on the number of the
 * operation only, so that the same seed draws the same again.
 *
 * A bystander, an enclave with calm tasks that nobody touches, must not notice
 * any of it.
 */
#ifndef TORTURE_H
#define TORTURE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "gt.h"

#define SLOTS		3
#define BYSTANDER	SLOTS		/* its slot is behind the others */
#define MAX_WORKERS	128
#define CALM		3		/* the first workers are the bystander's */
#define SEATS		512

#define load(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)

/* ---- figures ---- */

enum figure {
	/* the director's, on enclaves */
	F_CREATE, F_DESTROY, F_CPUS, F_TUNABLE, F_READ_BACK,
	F_DISCOVER,
	/* faults of policies */
	F_START, F_KILL, F_STOP, F_SPIN, F_FORGET, F_DEAF, F_HANDOVER, F_TOOK_OVER,
	/* policies that got online, by their kind */
	F_HONEST, F_WILD, F_LIAR, F_BPF, F_FIFO, F_BIFF, F_PRIO,
	/* the machine */
	F_CPU_OFF, F_CPU_ON,
	/* the director's, on workers */
	F_TASK_START, F_TASK_KILL, F_TASK_STOP, F_TASK_JOIN, F_TASK_NICE,
	F_TASK_AFFINITY, F_TASK_FREEZE,
	/* the workers' own; worker_ops.c has them in the same order */
	F_W_SPIN, F_W_NAP, F_W_YIELD, F_W_NICE, F_W_AFFINITY, F_W_JOIN,
	F_W_LEAVE, F_W_REAL_TIME, F_W_FORK, F_W_EXEC, F_W_EXEC_THREAD, F_W_EXIT,
	F_W_THREAD, F_W_PING_PONG, F_W_SWITCHTO, F_W_PI, F_W_MEMORY, F_W_READ,
	/* what came of it */
	F_COMMITTED, F_COMMIT_FAILED, F_MESSAGES, F_OVERFLOW, F_LIES,
	F_RELEASED,
	F_END_OWNER, F_END_TIMEOUT, F_END_STALL, F_END_HOG, F_END_OTHER,
	NR_FIGURES
};

struct figure_count {
	uint64_t done;
	uint64_t refused;
};

/* ---- shared by all processes ---- */

/* A place of a worker: who sits there now, and how far it is. */
struct worker {
	pid_t pid;
	uint32_t life;			/* processes so far */
	uint32_t round;
	uint32_t op;			/* enum figure, for complaints */
	uint32_t quit;
	uint32_t excused;		/* somebody holds it on purpose */
	int64_t last_ms;		/* of its last progress */
	int64_t longest_ms;		/* between two steps */
};

enum order {
	ORDER_WORK,
	ORDER_SPIN,			/* neither schedule nor park */
	ORDER_FORGET,			/* park, and schedule nobody */
	ORDER_DEAF,			/* read no message */
};

struct slot_shared {
	int id;				/* of the enclave, 0: none */
	uint32_t order;
	uint32_t starts;		/* of hosts */
};

struct shared {
	uint64_t seed;
	int ncpus;			/* CPUs of the machine */
	int nr_workers;
	int quiet_cpu;			/* the bystander's, -1: it has none */
	struct figure_count figures[NR_FIGURES];
	struct slot_shared slots[SLOTS + 1];
	struct worker workers[MAX_WORKERS];
	/* Processes that were born, ended, and live: see census.c */
	uint64_t seats[SEATS];
	pthread_mutex_t pi;
	uint32_t failed;
	char why[256];			/* the first failure */
};

extern struct shared *shared;

int share_create(void);			/* returns the descriptor */
int share_attach(int fd);
void count(enum figure f, bool done);
void count_many(enum figure f, uint64_t n);

/* Something that must not happen: the first one is kept. */
void fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* ---- chance ---- */

struct rng {
	uint64_t state;
};

/* The numbers of step @n of walk @stream. */
struct rng rng_at(uint64_t stream, uint64_t n);
uint64_t rng_next(struct rng *r);
unsigned int below(struct rng *r, unsigned int n);
#define one_in(r, n)	(!below(r, n))

/* ---- census.c: created = finished + alive ---- */

struct census {
	uint64_t created;
	uint64_t finished;
	uint64_t alive;
};

void census_enter(void);		/* the caller is born */
void census_leave(pid_t pid);		/* before it is reaped */
struct census census_take(void);	/* a process that is lost is a failure */
int reap(pid_t pid);			/* a child; returns its status */

/* ---- processes ---- */

pid_t spawn(const char *role, int n, const char *more);
int worker_main(int place, bool again);
int host_main(int slot, const char *kind);

/* worker.c, worker_ops.c */
extern int worker_place;		/* the caller's */
void worker_step(struct worker *w);
void worker_run_op(struct worker *w, struct rng *r, enum figure op);
void become_again(void);		/* exec(), does not return */
void work_us(unsigned int us);		/* of CPU time, and is checked */

/* ---- policy.c: a policy that tries a lot ---- */

#define POLICY_TASKS	1024

struct policy_task {
	uint64_t gtid;
	struct ghost_sw_info info;
	uint32_t seqnum;		/* of its last message */
	int failures;
	bool release;
};

struct policy {
	struct gt_enclave *e;
	struct gt_queue *q;
	const uint32_t *order;
	const struct gt_agent *agents;
	bool lies;			/* forged transactions between others */
	bool honest;			/* a plain policy */
	bool lost;			/* messages, by its own lies */
	bool ask_again;			/* for TASK_NEW of everybody */
	uint32_t lock;
	struct rng rng;
	struct policy_task task[POLICY_TASKS];
	int nr, turn;
	uint64_t on_cpu[64];		/* gtid of the last commit */
	uint32_t on_cpu_barrier[64];
};

long policy_run(struct gt_agent *a, void *policy);
void policy_adopt(struct policy *p);	/* what a predecessor has left */
void policy_release(struct policy *p);	/* whom it cannot schedule */
void policy_lock(struct policy *p);
void policy_unlock(struct policy *p);

/* host_bpf.c: a policy wholly in BPF; the agents only park */
bool host_bpf_alone(struct gt_enclave *e);
int host_bpf_start(struct gt_enclave *e, uint32_t n);
void host_bpf_attend(struct gt_enclave *e);

/* ---- the director's ---- */

typedef bool (*op_fn)(struct rng *r);	/* false: refused, or nothing to do */

bool op_create(struct rng *r);
bool op_destroy(struct rng *r);
bool op_cpus(struct rng *r);
bool op_tunable(struct rng *r);
bool op_read_back(struct rng *r);
bool op_discover(struct rng *r);
bool op_start(struct rng *r);
bool op_kill(struct rng *r);
bool op_stop(struct rng *r);
bool op_spin(struct rng *r);
bool op_forget(struct rng *r);
bool op_deaf(struct rng *r);
bool op_handover(struct rng *r);
void enclaves_attend(void);		/* faults end, enclaves that ended */
void enclaves_host_gone(pid_t pid, int status);
void enclaves_end(void);
int enclaves_live(void);

bool op_cpu_off(struct rng *r);
bool op_cpu_on(struct rng *r);
void cpus_end(void);
uint64_t cpus_online(void);		/* those that the walk may use */
void cpus_text(uint64_t cpus, char *buf, size_t size);

bool op_task_kill(struct rng *r);
bool op_task_stop(struct rng *r);
bool op_task_join(struct rng *r);
bool op_task_nice(struct rng *r);
bool op_task_affinity(struct rng *r);
bool op_task_freeze(struct rng *r);
void crowd_start(void);
void crowd_attend(void);		/* reap, start anew, let go on */
void crowd_end(void);

int bystander_start(void);
void bystander_check(void);
void bystander_end(void);
bool bystander_is(pid_t pid);

int watch_start(int64_t bound_ms);
void watch_tell(const char *phase);	/* the line of progress begins so */
void watch_end(void);
extern uint64_t director_ops;		/* tried */
extern uint64_t director_done;		/* carried out */
extern const char *director_op;		/* for complaints */

const char *figure_name(enum figure f);
void report(bool json, double seconds, uint64_t ops);

#endif /* TORTURE_H */
