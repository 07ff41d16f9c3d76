// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Queues: messages of the kernel, and notes of tasks that were moved here. */
#include <errno.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "internal.h"

/* A queue is best near its reader. */
static int node_of(int cpu)
{
	char path[80];
	int node;

	for (node = 0; cpu >= 0 && node < MAX_NODES; node++) {
		snprintf(path, sizeof(path),
			 "/sys/devices/system/cpu/cpu%d/node%d", cpu, node);
		if (!access(path, F_OK))
			return node;
	}
	return 0;
}

int ghost_queue_create(struct ghost_queue **queue, struct ghost_enclave *e,
		       int elems, int cpu)
{
	struct ghost_queue *q = calloc(1, sizeof(*q));
	uint64_t mapsize;
	void *p;
	int err;

	if (!q)
		return -ENOMEM;
	q->enclave = e;
	q->cpu = -1;
	q->last = &q->first;
	pthread_mutex_init(&q->lock, NULL);
	q->fd = ghost_sys_create_queue(e->ctl, elems, node_of(cpu), &mapsize);
	err = q->fd;
	if (err < 0)
		goto fail;
	p = mmap(NULL, mapsize, PROT_READ | PROT_WRITE, MAP_SHARED, q->fd, 0);
	err = -errno;
	if (p == MAP_FAILED)
		goto fail;
	q->header = p;
	q->mapsize = mapsize;
	q->ring = ghost_queue_ring(q->header);
	q->nelems = (uint32_t)elems;
	if (cpu >= 0) {
		err = ghost_queue_set_wakeup(q, &cpu, 1);
		if (err)
			goto fail;
	}
	*queue = q;
	return 0;
fail:
	ghost_queue_close(q);
	return err;
}

void ghost_queue_close(struct ghost_queue *q)
{
	if (!q)
		return;
	while (q->first) {
		struct note *note = q->first;

		q->first = note->next;
		free(note);
	}
	if (q->header)
		munmap(q->header, q->mapsize);
	if (q->fd >= 0)
		close(q->fd);
	pthread_mutex_destroy(&q->lock);
	free(q);
}

int ghost_queue_fd(const struct ghost_queue *q)
{
	return q->fd;
}

int ghost_queue_set_wakeup(struct ghost_queue *q, const int *cpus, int nr)
{
	int err = ghost_sys_config_queue_wakeups(q->enclave->ctl, q->fd, cpus,
						 nr);

	if (!err)
		__atomic_store_n(&q->cpu, nr ? cpus[0] : -1, __ATOMIC_RELAXED);
	return err;
}

uint32_t ghost_queue_overflow(const struct ghost_queue *q)
{
	return ghost_ring_overflow(q->ring);
}

static bool next_note(struct ghost_queue *q, struct ghost_event *event)
{
	struct note *note;

	pthread_mutex_lock(&q->lock);
	note = q->first;
	if (note) {
		*event = note->event;
		q->first = note->next;
		if (!q->first)
			q->last = &q->first;
		__atomic_sub_fetch(&q->nr_notes, 1, __ATOMIC_RELAXED);
	}
	pthread_mutex_unlock(&q->lock);
	free(note);
	return note;
}

bool ghost_queue_next(struct ghost_queue *q, struct ghost_event *event)
{
	const struct ghost_msg *msg = ghost_ring_peek(q->ring, q->nelems);
	size_t len;

	/*
	 * Look for notes after the ring: a message about a moved task is in
	 * the ring only after its association, and nr_notes was raised before
	 * that (queue_take_task()).
	 */
	if (__atomic_load_n(&q->nr_notes, __ATOMIC_ACQUIRE) &&
	    next_note(q, event))
		return true;
	if (!msg)
		return false;

	memset(event, 0, sizeof(*event));
	event->type = msg->type;
	event->seqnum = msg->seqnum;
	len = msg->length - sizeof(*msg);
	if (len > sizeof(event->task_new))
		len = sizeof(event->task_new);	/* of a later ABI */
	memcpy(&event->gtid, msg->payload, len);
	ghost_ring_consume(q->ring, msg);
	return true;
}

int queue_take_task(struct ghost_queue *q, const struct ghost_event *event)
{
	struct note *note = malloc(sizeof(*note));
	int ret;

	if (!note)
		return -ENOMEM;
	note->event = *event;
	note->next = NULL;

	pthread_mutex_lock(&q->lock);
	__atomic_add_fetch(&q->nr_notes, 1, __ATOMIC_SEQ_CST);
	ret = ghost_sys_assoc_queue(q->enclave->ctl, q->fd,
				    (int64_t)event->gtid, event->seqnum);
	if (ret == 0) {
		*q->last = note;
		q->last = &note->next;
		note = NULL;
	} else {
		__atomic_sub_fetch(&q->nr_notes, 1, __ATOMIC_RELAXED);
	}
	pthread_mutex_unlock(&q->lock);
	free(note);
	return ret;
}
