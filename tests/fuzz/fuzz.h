/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * ghost-fuzz: random but well-formed calls of the whole interface of
 * SCHED_GHOST, in sequences. Each step of a sequence is an operation and a seed,
 * from which its arguments are drawn; sequences that reach code of the kernel
 * that none has reached before are kept, and varied. A second thread writes into
 * whatever shared memory there is.
 *
 * The parent starts a child that fuzzes, and another one when it has ended,
 * since the kernel kills agents. What must hold: the kernel does not complain,
 * the child can be ended, and every enclave can be destroyed.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "gt.h"

#define MAX_STEPS	16
#define CORPUS		4096
#define COVER_BITS	16
#define ERRNOS		140
#define FIRST_ID	2000		/* of the enclaves */
#define NR_IDS		3

#define load(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)

struct rng {
	uint64_t state;
};

uint64_t rng_next(struct rng *r);
struct rng rng_at(uint64_t seed, uint64_t n);
unsigned int below(struct rng *r, unsigned int n);
#define one_in(r, n)	(!below(r, n))
#define PICK(r, array)	((array)[below(r, sizeof(array) / sizeof((array)[0]))])

/* A number that may matter somewhere. */
uint64_t value(struct rng *r);

/* ---- operations: 0 or more, or -errno ---- */

typedef long (*op_fn)(struct rng *r);

enum {
	OP_CREATE, OP_ENCLAVE, OP_OPEN, OP_CLOSE, OP_READ, OP_CTL, OP_CPUS,
	OP_TUNABLE, OP_TASKS, OP_IOCTL, OP_COMMIT, OP_RUN, OP_QUEUE, OP_SWITCHTO,
	OP_TIMER, OP_MAP, OP_UNMAP, OP_TOUCH, OP_FORGE, OP_PROG, OP_LINK,
	OP_LINK_UPDATE, OP_AGENT, OP_HELPER, OP_SCHED, NR_OPS
};

struct op {
	const char *name;
	op_fn fn;
	unsigned int weight;
};

extern const struct op ops[NR_OPS];

long op_create(struct rng *r);
long op_enclave(struct rng *r);
long op_open(struct rng *r);
long op_close(struct rng *r);
long op_read(struct rng *r);
long op_ctl(struct rng *r);
long op_cpus(struct rng *r);
long op_tunable(struct rng *r);
long op_tasks(struct rng *r);
long op_ioctl(struct rng *r);
long op_commit(struct rng *r);
long op_run(struct rng *r);
long op_queue(struct rng *r);
long op_switchto(struct rng *r);
long op_timer(struct rng *r);
long op_map(struct rng *r);
long op_unmap(struct rng *r);
long op_touch(struct rng *r);
long op_forge(struct rng *r);
long op_prog(struct rng *r);
long op_link(struct rng *r);
long op_link_update(struct rng *r);
long op_agent(struct rng *r);
long op_helper(struct rng *r);
long op_sched(struct rng *r);

/* ---- what the child has: objects.c ---- */

enum kind { K_CTL, K_TASKS, K_CPU_DATA, K_WORDS, K_QUEUE, K_PROG, K_LINK, K_TIMER,
	    K_FILE, NR_KINDS };

void keep(enum kind k, int fd);		/* closes another one for it */
int some_fd(struct rng *r, enum kind k);	/* mostly of that kind, or -1 */
void drop(struct rng *r);
int64_t some_gtid(struct rng *r);
pid_t some_pid(struct rng *r);
int some_cpu(struct rng *r);
int some_id(struct rng *r);
void *some_address(struct rng *r);	/* readable or not */
void helpers_start(void);

/* memory.c */
void memory_start(uint64_t seed);	/* the second thread */
uint32_t some_barrier(struct rng *r);

/* A fault of the caller between these is an error, no end of the process. */
extern __thread sigjmp_buf *on_fault;
void catch_faults(void);

/* ---- sequences ---- */

struct step {
	uint32_t op;
	uint32_t seed;
};

struct sequence {
	uint32_t n;
	struct step step[MAX_STEPS];
};

struct shared {
	uint64_t seed;
	uint64_t limit;			/* operations */
	int ncpus;
	int try_run;			/* the BTF id of bpf_ghost_try_run(), or an error */
	uint64_t operations;
	uint64_t sequences;
	uint64_t children;
	uint64_t count[NR_OPS][ERRNOS];	/* 0: success, else by errno */
	bool cover;			/* KCOV guides */
	uint64_t places;		/* of code that were reached */
	uint8_t seen[1 << COVER_BITS];
	uint32_t nr_corpus;
	struct sequence corpus[CORPUS];
	struct step now;
};

extern struct shared *shared;

#define CHILD_NO_COVER	3
int child_main(uint64_t n);		/* fuzzes; returns 0, or what is wrong */
void run_op(unsigned int op, struct rng *r);

/* cover.c */
bool kernel_has_kcov(void);
bool cover_open(void);
void cover_begin(void);
bool cover_end(void);			/* something new */

#endif /* FUZZ_H */
