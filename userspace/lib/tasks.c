// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* A table of tasks by gtid, kept up to date with what the messages say. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "internal.h"

#define FIRST_BUCKETS	64	/* a power of two */

/* Followed by the caller's data, which ghost_task_data() finds. */
struct entry {
	struct entry *next;
	struct ghost_task task;
};

struct ghost_tasks {
	struct ghost_enclave *enclave;
	size_t data_size;
	struct entry **buckets;
	unsigned int nr_buckets;
	unsigned int count;
};

static struct entry *entry_of(struct ghost_task *task)
{
	return (struct entry *)((char *)task - offsetof(struct entry, task));
}

/* Thread ids are dense, so their low bits spread well. */
static unsigned int bucket_of(const struct ghost_tasks *t, int64_t gtid)
{
	return (unsigned int)ghost_gtid_tid(gtid) & (t->nr_buckets - 1);
}

int ghost_tasks_create(struct ghost_tasks **tasks, struct ghost_enclave *e,
		       size_t data_size)
{
	struct ghost_tasks *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->enclave = e;
	t->data_size = data_size;
	t->nr_buckets = FIRST_BUCKETS;
	t->buckets = calloc(t->nr_buckets, sizeof(struct entry *));
	if (!t->buckets) {
		free(t);
		return -ENOMEM;
	}
	*tasks = t;
	return 0;
}

void ghost_tasks_destroy(struct ghost_tasks *t)
{
	unsigned int i;

	if (!t)
		return;
	for (i = 0; i < t->nr_buckets; i++) {
		struct entry *entry, *next;

		for (entry = t->buckets[i]; entry; entry = next) {
			next = entry->next;
			free(entry);
		}
	}
	free(t->buckets);
	free(t);
}

static void grow(struct ghost_tasks *t)
{
	struct entry **old = t->buckets;
	unsigned int i, n = t->nr_buckets;
	struct entry **bigger = calloc(2 * (size_t)n, sizeof(*bigger));

	if (!bigger)
		return;		/* longer chains are slow, not wrong */
	t->buckets = bigger;
	t->nr_buckets = 2 * n;
	for (i = 0; i < n; i++) {
		struct entry *entry, *next;

		for (entry = old[i]; entry; entry = next) {
			unsigned int b = bucket_of(t, entry->task.gtid);

			next = entry->next;
			entry->next = bigger[b];
			bigger[b] = entry;
		}
	}
	free(old);
}

struct ghost_task *ghost_tasks_find(struct ghost_tasks *t, int64_t gtid)
{
	struct entry *entry = t->buckets[bucket_of(t, gtid)];

	while (entry && entry->task.gtid != gtid)
		entry = entry->next;
	return entry ? &entry->task : NULL;
}

struct ghost_task *ghost_tasks_next(struct ghost_tasks *t,
				    struct ghost_task *task)
{
	unsigned int b = 0;

	if (task) {
		if (entry_of(task)->next)
			return &entry_of(task)->next->task;
		b = bucket_of(t, task->gtid) + 1;
	}
	for (; b < t->nr_buckets; b++)
		if (t->buckets[b])
			return &t->buckets[b]->task;
	return NULL;
}

unsigned int ghost_tasks_count(const struct ghost_tasks *t)
{
	return t->count;
}

static struct ghost_task *add(struct ghost_tasks *t,
			      const struct ghost_event *event)
{
	struct entry *entry = calloc(1, sizeof(*entry) + t->data_size);
	unsigned int b;

	if (!entry)
		return NULL;
	if (t->count >= t->nr_buckets)
		grow(t);
	entry->task.gtid = (int64_t)event->gtid;
	entry->task.barrier = event->seqnum;
	entry->task.last_cpu = -1;
	entry->task.sw.id = GHOST_NO_SW;
	b = bucket_of(t, entry->task.gtid);
	entry->next = t->buckets[b];
	t->buckets[b] = entry;
	t->count++;
	return &entry->task;
}

static void drop(struct ghost_tasks *t, struct ghost_task *task)
{
	struct entry **p = &t->buckets[bucket_of(t, task->gtid)];

	while (*p != entry_of(task))
		p = &(*p)->next;
	*p = entry_of(task)->next;
	t->count--;
	free(entry_of(task));
}

static void update(struct ghost_task *task, const struct ghost_event *ev)
{
	switch (ev->type) {
	case MSG_TASK_NEW:
		task->state = ev->task_new.runnable ? GHOST_TASK_RUNNABLE :
						      GHOST_TASK_BLOCKED;
		task->waiting_since = ev->waiting_since;
		break;
	case MSG_TASK_WAKEUP:
		task->state = GHOST_TASK_RUNNABLE;
		task->last_cpu = ev->wakeup.wake_up_cpu;
		break;
	case MSG_TASK_PREEMPT:
		task->state = GHOST_TASK_RUNNABLE;
		task->last_cpu = ev->preempt.cpu;
		break;
	case MSG_TASK_YIELD:
		task->state = GHOST_TASK_RUNNABLE;
		task->last_cpu = ev->yield.cpu;
		break;
	case MSG_TASK_BLOCKED:
		task->state = GHOST_TASK_BLOCKED;
		task->last_cpu = ev->blocked.cpu;
		break;
	case MSG_TASK_SWITCHTO:
		task->state = GHOST_TASK_BLOCKED;
		task->last_cpu = ev->switchto.cpu;
		break;
	case MSG_TASK_ON_CPU:
		task->state = GHOST_TASK_ON_CPU;
		task->last_cpu = ev->on_cpu.cpu;
		break;
	case MSG_TASK_DEPARTED:
	case MSG_TASK_DEAD:
		task->state = GHOST_TASK_GONE;
		break;
	default:
		break;		/* a new barrier, the same state */
	}
}

int ghost_tasks_apply(struct ghost_tasks *t, const struct ghost_event *ev,
		      struct ghost_task **result)
{
	struct ghost_task *task;

	*result = NULL;
	if (ev->type < GHOST_TASK_MSG_FIRST || ev->type > GHOST_TASK_MSG_LAST)
		return 0;
	task = ghost_tasks_find(t, (int64_t)ev->gtid);
	if (!task)
		task = add(t, ev);
	if (!task)
		return -ENOMEM;
	*result = task;
	if (ghost_barrier_after(task->barrier, ev->seqnum))
		return -ESTALE;
	if (ev->type == MSG_TASK_NEW)
		task->sw = ev->task_new.sw_info;
	else if (task->sw.id == GHOST_NO_SW)
		enclave_find_sw(t->enclave, task->gtid, &task->sw);
	task->barrier = ev->seqnum;
	update(task, ev);
	return 0;
}

void ghost_tasks_forget(struct ghost_tasks *t, struct ghost_task *task)
{
	if (task->state == GHOST_TASK_GONE)
		ghost_sys_sw_free(t->enclave->ctl, &task->sw);
	drop(t, task);
}

int ghost_tasks_move(struct ghost_tasks *t, struct ghost_task *task,
		     struct ghost_queue *q)
{
	struct ghost_event ev = {
		.type = MSG_TASK_NEW,
		.moved = true,
		.seqnum = task->barrier,
		.waiting_since = task->waiting_since,
		.task_new = {
			.gtid = (uint64_t)task->gtid,
			.runnable = task->state == GHOST_TASK_RUNNABLE,
			.sw_info = task->sw,
		},
	};
	int ret;

	ret = queue_take_task(q, &ev);
	if (ret < 0)
		return ret;
	drop(t, task);
	/* An agent that is not there yet looks when it comes. */
	ghost_sys_run(q->enclave->ctl, GHOST_AGENT_GTID,
		      __atomic_load_n(&q->cpu, __ATOMIC_RELAXED), 0, 0);
	return 0;
}

bool ghost_tasks_vanished(const struct ghost_tasks *t,
			  const struct ghost_task *task)
{
	const struct ghost_status_word *sw;

	sw = ghost_enclave_sw(t->enclave, &task->sw);
	return sw && ghost_sw_gtid(sw) != task->gtid;
}

bool ghost_tasks_current(const struct ghost_tasks *t,
			 const struct ghost_task *task)
{
	const struct ghost_status_word *sw;

	sw = ghost_enclave_sw(t->enclave, &task->sw);
	return !sw || (ghost_sw_gtid(sw) == task->gtid &&
		       ghost_sw_barrier(sw) == task->barrier);
}

int ghost_tasks_retry_cpu(const struct ghost_tasks *t,
			  const struct ghost_task *task)
{
	return ghost_tasks_current(t, task) ? task->last_cpu : -1;
}

int ghost_task_cpu_time(const struct ghost_enclave *e, int64_t gtid,
			uint64_t *ns)
{
	return ghost_sys_get_cpu_time(e->ctl, gtid, ns);
}

int ghost_task_affinity(int64_t gtid, unsigned long *mask, size_t bytes)
{
	/* The system call itself, to have masks of any length. */
	long len;

	memset(mask, 0, bytes);
	len = syscall(SYS_sched_getaffinity, ghost_gtid_tid(gtid), bytes, mask);
	return len < 0 ? -errno : 0;
}

int ghost_task_release(int64_t gtid)
{
	const struct sched_param param = { 0 };

	return sched_setscheduler(ghost_gtid_tid(gtid), SCHED_OTHER, &param) ?
	       -errno : 0;
}
