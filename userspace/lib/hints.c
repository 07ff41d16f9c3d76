// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Hints, the application's side. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "hints.h"

#define TIMEOUT_S	60

/**
 * struct ghost_hints
 * @pid: process that opened it
 * @lock: one thread writes at a time
 */
struct ghost_hints {
	int sock;
	pid_t pid;
	pthread_mutex_t lock;
	struct ghost_hint_slot *slots;
};

int hint_check(const struct ghost_hint *hint)
{
	if (hint->weight > GHOST_HINT_MAX_WEIGHT ||
	    hint->latency > GHOST_LATENCY_BATCH)
		return -EINVAL;
	if (hint->deadline_ns && (hint->deadline_ns < GHOST_HINT_MIN_DEADLINE ||
				  hint->deadline_ns > GHOST_HINT_MAX_DEADLINE))
		return -EINVAL;
	return 0;
}

int hint_address(struct sockaddr_un *address, const char *path)
{
	size_t len = strlen(path);

	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	if (len >= sizeof(address->sun_path))
		return -ENAMETOOLONG;
	memcpy(address->sun_path, path, len);
	return 0;
}

static int connect_to(const char *path)
{
	const struct timeval limit = { .tv_sec = TIMEOUT_S };
	struct sockaddr_un address;
	int sock, err = hint_address(&address, path);

	if (err)
		return err;
	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return -errno;
	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(sock, (struct sockaddr *)&address, sizeof(address))) {
		err = errno == EAGAIN ? -ETIMEDOUT : -errno;
		close(sock);
		return err;
	}
	return sock;
}

/* The descriptor of the map, or -errno. */
static int receive(int sock)
{
	union hint_control control;
	struct ghost_hints_reply reply;
	struct iovec iov = { &reply, sizeof(reply) };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	struct cmsghdr *c;
	ssize_t len;
	int fd = -1;

	do
		len = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (len < 0 && errno == EINTR);
	if (len < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
	    c->cmsg_len == CMSG_LEN(sizeof(fd)))
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	if (len == sizeof(reply) && reply.version == GHOST_HINTS_VERSION) {
		if (reply.error < 0 && fd < 0)
			return reply.error;
		if (!reply.error && fd >= 0)
			return fd;
	}
	if (fd >= 0)
		close(fd);
	return len ? -EPROTO : -ECONNRESET;
}

static int map_slots(struct ghost_hints *h)
{
	void *slots;
	int fd, err;

	fd = receive(h->sock);
	if (fd < 0)
		return fd;
	slots = mmap(NULL, HINTS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	err = slots == MAP_FAILED ? -errno : 0;
	close(fd);
	if (err)
		return err;
	h->slots = slots;
	return madvise(slots, HINTS_SIZE, MADV_DONTFORK) ? -errno : 0;
}

int ghost_hints_open(struct ghost_hints **hints, const char *path)
{
	struct ghost_hints *h = calloc(1, sizeof(*h));
	int err;

	if (!h)
		return -ENOMEM;
	h->pid = getpid();
	pthread_mutex_init(&h->lock, NULL);
	h->sock = connect_to(path);
	err = h->sock < 0 ? h->sock : map_slots(h);
	if (err) {
		ghost_hints_close(h);
		return err;
	}
	*hints = h;
	return 0;
}

void ghost_hints_close(struct ghost_hints *h)
{
	if (!h)
		return;
	/* A child has a copy of the socket, and not of the memory. */
	if (h->slots && h->pid == getpid())
		munmap(h->slots, HINTS_SIZE);
	if (h->sock >= 0)
		close(h->sock);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

static struct ghost_hint_slot *find(struct ghost_hints *h, int tid)
{
	int i;

	for (i = 0; i < GHOST_HINTS_SLOTS; i++)
		if (h->slots[i].tid == tid)
			return &h->slots[i];
	return NULL;
}

/* 0, or what the policy thinks of what is in a slot. */
static int result(const struct ghost_hint_slot *slot)
{
	if (__atomic_load_n(&slot->seen, __ATOMIC_ACQUIRE) != slot->seq)
		return -EAGAIN;
	return __atomic_load_n(&slot->result, __ATOMIC_RELAXED);
}

/* A slot for a new thread: free, or of one that has gone. */
static struct ghost_hint_slot *find_room(struct ghost_hints *h)
{
	struct ghost_hint_slot *slot = find(h, 0);
	int i;

	for (i = 0; !slot && i < GHOST_HINTS_SLOTS; i++)
		if (result(&h->slots[i]) == -ESRCH)
			slot = &h->slots[i];
	return slot;
}

static void write_slot(struct ghost_hint_slot *slot, int tid,
		       const struct ghost_hint *hint)
{
	uint32_t seq = slot->seq;

	__atomic_store_n(&slot->seq, seq + 1, __ATOMIC_RELAXED);
	/* Pairs with the acquire fence in read_slot(). */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	slot->tid = tid;
	slot->hint = *hint;
	__atomic_store_n(&slot->seq, seq + 2, __ATOMIC_RELEASE);
}

int ghost_hints_set(struct ghost_hints *h, int tid, const struct ghost_hint *hint)
{
	static const struct ghost_hint none;
	struct ghost_hint_slot *slot;
	int err = hint ? hint_check(hint) : 0;

	if (err)
		return err;
	if (h->pid != getpid())
		return -EPERM;
	if (!tid)
		tid = gettid();
	pthread_mutex_lock(&h->lock);
	slot = find(h, tid);
	if (!slot && hint) {
		slot = find_room(h);
		err = slot ? 0 : -ENOSPC;
	}
	if (slot)
		write_slot(slot, hint ? tid : 0, hint ? hint : &none);
	pthread_mutex_unlock(&h->lock);
	return err;
}

/* The policy sends no more than the reply: what can be read is the end. */
static bool gone(const struct ghost_hints *h)
{
	char c;

	return recv(h->sock, &c, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 ||
		errno != EAGAIN;
}

int ghost_hints_result(struct ghost_hints *h, int tid)
{
	const struct ghost_hint_slot *slot;
	int ret;

	if (h->pid != getpid())
		return -EPERM;
	if (gone(h))
		return -ENOTCONN;
	if (!tid)
		tid = gettid();
	pthread_mutex_lock(&h->lock);
	slot = find(h, tid);
	ret = slot ? result(slot) : -ENOENT;
	pthread_mutex_unlock(&h->lock);
	return ret;
}
