/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/* What the files of libghost know of each other. */
#ifndef GHOST_INTERNAL_H
#define GHOST_INTERNAL_H

#include <pthread.h>
#include <time.h>
#include <ghost/ghost.h>

#define MAX_CPUS	8192
#define MAX_NODES	64
#define MAX_REGIONS	256
#define BITS_PER_LONG	(8 * (int)sizeof(long))
#define NSEC_PER_SEC	1000000000LL
#define NSEC_PER_MSEC	1000000LL

/**
 * struct ghost_enclave
 * @regions: by region id; written by one thread at a time (@grow), read by
 *	all: a pointer appears once (release) and stays until close
 */
struct ghost_enclave {
	unsigned long id;
	int dir;
	int ctl;
	int nr_cpus;
	int *cpus;
	struct ghost_cpu_data *cpu_data;
	int nr_possible;
	pthread_mutex_t grow;
	const struct ghost_sw_region_header *regions[MAX_REGIONS];
};

/* A region that is mapped, or NULL. */
static inline const struct ghost_sw_region_header *
enclave_region(const struct ghost_enclave *e, uint32_t id)
{
	return __atomic_load_n(&e->regions[id], __ATOMIC_ACQUIRE);
}

/* An event that this process sent, see ghost_tasks_move(). */
struct note {
	struct note *next;
	struct ghost_event event;
};

/**
 * struct ghost_queue
 * @cpu: agent that a message wakes first, or -1; read and written by all
 * @lock: protects the notes; held over the association of a task, so that
 *	its note is in before its reader can look for it
 * @nr_notes: notes there are or are about to be; read without the lock
 */
struct ghost_queue {
	struct ghost_enclave *enclave;
	int fd;
	int cpu;
	struct ghost_queue_header *header;
	size_t mapsize;
	struct ghost_ring *ring;
	uint32_t nelems;
	pthread_mutex_t lock;
	unsigned int nr_notes;
	struct note *first;
	struct note **last;
};

static inline int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

static inline void sleep_ns(long ns)
{
	const struct timespec ts = { .tv_nsec = ns };

	nanosleep(&ts, NULL);
}

int enclave_read_cpus(struct ghost_enclave *e);
bool enclave_has_cpu(const struct ghost_enclave *e, int cpu);
int enclave_map_regions(struct ghost_enclave *e);
void enclave_find_sw(struct ghost_enclave *e, int64_t gtid,
		     struct ghost_sw_info *info);
int enclave_find_agent(struct ghost_enclave *e, int cpu,
		       struct ghost_sw_info *info,
		       const struct ghost_status_word **sw);

/*
 * Send the messages of a task to @q and, unless the kernel will announce it
 * itself, note a MSG_TASK_NEW there. Returns the bits of ASSOC_QUEUE.
 */
int queue_take_task(struct ghost_queue *q, const struct ghost_event *event);

/* Take over all tasks; who waits does so since @since, or later. */
int discover(struct ghost_enclave *e, struct ghost_queue *q,
	     struct ghost_handoff *handoff, int64_t since);

#endif /* GHOST_INTERNAL_H */
