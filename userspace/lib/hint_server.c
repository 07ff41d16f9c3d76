// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Hints, the policy's side. What a process writes is read once, checked, and
 * passed on as a copy; and it is only asked of the process itself whether a
 * thread is its own:
 *
 * - /proc/PID is opened once, and the process seen alive afterwards by its pidfd:
 *   so it is that of who connected, and stays empty when the number is used again;
 * - /proc/TID is opened before TID is looked for in it, and read afterwards, which
 *   fails once the thread is gone: so both are the same thread.
 *
 * The policy is given the gtid, which no other thread ever has.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/bpf.h>

#include "hints.h"
#include "internal.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD	77
#endif

#define BACKLOG		64
#define ACCEPTS		16	/* in one look */
#define CHECKS		4	/* of new hints of one process, in one look */

/**
 * struct known - what was read from a slot
 * @seq: of that time
 * @tid: thread
 * @gtid: of the thread, 0 = the hint is not valid
 * @hint: checked
 */
struct known {
	uint32_t seq;
	int tid;
	int64_t gtid;
	struct ghost_hint hint;
};

/**
 * struct client - a process that is connected
 * @proc: its directory
 * @next: slot that is looked at first
 */
struct client {
	int sock;
	int pidfd;
	int proc;
	pid_t pid;
	uid_t uid;
	int next;
	struct ghost_hint_slot *slots;
	struct known known[GHOST_HINTS_SLOTS];
};

/**
 * struct ghost_hint_server
 * @bound: status of @path when it was made
 * @refreshed: ns at which all hints were passed on the last time
 */
struct ghost_hint_server {
	int sock;
	char *path;
	struct stat bound;
	ghost_hint_fn take;
	void *arg;
	int64_t refreshed;
	int nr;
	struct client *clients[GHOST_HINTS_CLIENTS];
	struct ghost_hint_counts counts;
};

/* ---- hints ---- */

/* A consistent copy; false if it is being written. */
static bool read_slot(const struct ghost_hint_slot *slot, uint32_t seq, int *tid,
		      struct ghost_hint *hint)
{
	*tid = __atomic_load_n(&slot->tid, __ATOMIC_RELAXED);
	hint->weight = __atomic_load_n(&slot->hint.weight, __ATOMIC_RELAXED);
	hint->latency = __atomic_load_n(&slot->hint.latency, __ATOMIC_RELAXED);
	hint->deadline_ns = __atomic_load_n(&slot->hint.deadline_ns,
					    __ATOMIC_RELAXED);
	/* Pairs with the release fence in write_slot(). */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return !(seq & 1) &&
		__atomic_load_n(&slot->seq, __ATOMIC_RELAXED) == seq;
}

static int64_t read_gtid(int thread)
{
	char text[32];
	ssize_t len;
	int fd;

	fd = openat(thread, "ghost/gtid", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (len <= 0)
		return 0;
	text[len] = '\0';
	return strtoll(text, NULL, 10);
}

/* Of a thread of that process, or 0. */
static int64_t own_gtid(const struct client *c, int tid)
{
	char path[32];
	int64_t gtid = 0;
	int thread;

	snprintf(path, sizeof(path), "/proc/%d", tid);
	thread = tid > 0 ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	if (thread < 0)
		return 0;
	snprintf(path, sizeof(path), "task/%d", tid);
	if (!faccessat(c->proc, path, F_OK, 0))
		gtid = read_gtid(thread);
	close(thread);
	return gtid;
}

/* 0 and @k->gtid, or -errno. */
static int check(struct ghost_hint_server *s, const struct client *c,
		 struct known *k)
{
	if (!k->tid)
		return 0;
	if (hint_check(&k->hint)) {
		s->counts.bad++;
		return -EINVAL;
	}
	k->gtid = own_gtid(c, k->tid);
	if (k->gtid)
		return 0;
	s->counts.foreign++;
	return -ESRCH;
}

static void withdraw(struct ghost_hint_server *s, int64_t gtid)
{
	if (gtid)
		s->take(s->arg, gtid, NULL);
}

static void answer(struct ghost_hint_slot *slot, const struct known *k, int result)
{
	__atomic_store_n(&slot->result, result, __ATOMIC_RELAXED);
	__atomic_store_n(&slot->seen, k->seq, __ATOMIC_RELEASE);
}

/* A slot has changed. Returns false if it must be looked at again. */
static bool look(struct ghost_hint_server *s, struct client *c, int i, uint32_t seq)
{
	struct ghost_hint_slot *slot = &c->slots[i];
	struct known *k = &c->known[i], old = *k;
	int err;

	*k = (struct known){ .seq = seq };
	if (!read_slot(slot, seq, &k->tid, &k->hint)) {
		*k = old;
		return false;
	}
	err = check(s, c, k);
	if (old.gtid != k->gtid)
		withdraw(s, old.gtid);
	if (k->gtid) {
		s->counts.taken++;
		err = s->take(s->arg, k->gtid, &k->hint);
	}
	answer(slot, k, err);
	return true;
}

/* The thread may have joined the enclave, left it, or ended. */
static void refresh(struct ghost_hint_server *s, struct client *c, int i)
{
	struct known *k = &c->known[i];
	int err = s->take(s->arg, k->gtid, &k->hint);

	if (err && own_gtid(c, k->tid) != k->gtid) {
		withdraw(s, k->gtid);
		k->gtid = 0;
		err = -ESRCH;
	}
	answer(&c->slots[i], k, err);
}

static void look_at_client(struct ghost_hint_server *s, struct client *c, bool again)
{
	int n, i = c->next, checks = 0;

	for (n = 0; n < GHOST_HINTS_SLOTS && checks < CHECKS; n++) {
		uint32_t seq = __atomic_load_n(&c->slots[i].seq, __ATOMIC_ACQUIRE);

		if (seq != c->known[i].seq)
			checks += look(s, c, i, seq);
		i = (i + 1) % GHOST_HINTS_SLOTS;
	}
	c->next = i;
	for (i = 0; again && i < GHOST_HINTS_SLOTS; i++)
		if (c->known[i].gtid)
			refresh(s, c, i);
}

/* ---- processes ---- */

static void free_client(struct client *c)
{
	if (c->slots)
		munmap(c->slots, HINTS_SIZE);
	if (c->proc >= 0)
		close(c->proc);
	if (c->pidfd >= 0)
		close(c->pidfd);
	close(c->sock);
	free(c);
}

static void drop(struct ghost_hint_server *s, int i)
{
	struct client *c = s->clients[i];
	int k;

	s->clients[i] = s->clients[--s->nr];
	for (k = 0; k < GHOST_HINTS_SLOTS; k++)
		withdraw(s, c->known[k].gtid);
	free_client(c);
}

/* The connection is closed, or the process has ended: a child may have both. */
static bool has_gone(const struct client *c)
{
	struct pollfd fds[2] = {
		{ .fd = c->sock },
		{ .fd = c->pidfd, .events = POLLIN },
	};

	return poll(fds, 2, 0) > 0;
}

static void drop_gone(struct ghost_hint_server *s)
{
	int i;

	for (i = s->nr - 1; i >= 0; i--)
		if (has_gone(s->clients[i]))
			drop(s, i);
}

/* Who is it? */
static int identify(struct client *c)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	char path[32];

	if (getsockopt(c->sock, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		return -errno;
	len = sizeof(c->pidfd);
	if (getsockopt(c->sock, SOL_SOCKET, SO_PEERPIDFD, &c->pidfd, &len)) {
		c->pidfd = -1;
		return -errno;
	}
	c->pid = cred.pid;
	c->uid = cred.uid;
	snprintf(path, sizeof(path), "/proc/%d", cred.pid);
	c->proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return c->proc < 0 || has_gone(c) ? -ESRCH : 0;
}

static int admit(const struct ghost_hint_server *s, const struct client *c)
{
	int i, same_user = 0;

	for (i = 0; i < s->nr; i++) {
		if (s->clients[i]->pid == c->pid)
			return -EBUSY;
		same_user += s->clients[i]->uid == c->uid;
	}
	if (same_user >= GHOST_HINTS_USER_CLIENTS)
		return -EDQUOT;
	return s->nr >= GHOST_HINTS_CLIENTS ? -EUSERS : 0;
}

static int create_map(void)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY,
		.key_size = sizeof(uint32_t),
		.value_size = sizeof(struct ghost_hint_slot),
		.max_entries = GHOST_HINTS_SLOTS,
		.map_flags = BPF_F_MMAPABLE,
		.map_name = "ghost_hints",
	};
	long fd = syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));

	return fd < 0 ? -errno : (int)fd;
}

static int map_slots(struct client *c, int map)
{
	void *slots = mmap(NULL, HINTS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			   map, 0);

	if (slots == MAP_FAILED)
		return -errno;
	c->slots = slots;
	return 0;
}

/* The first message of a connection always finds room. */
static int reply(int sock, int error, int map)
{
	struct ghost_hints_reply reply = { GHOST_HINTS_VERSION, error };
	struct iovec iov = { &reply, sizeof(reply) };
	union hint_control control = { 0 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (!error) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(map));
		memcpy(CMSG_DATA(&control.align), &map, sizeof(map));
	}
	return sendmsg(sock, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int serve(const struct ghost_hint_server *s, struct client *c)
{
	int map = -1, err;

	err = identify(c);
	if (!err)
		err = admit(s, c);
	if (!err) {
		map = create_map();
		err = map < 0 ? map : map_slots(c, map);
	}
	if (err)
		reply(c->sock, err, -1);
	else
		err = reply(c->sock, 0, map);
	if (map >= 0)
		close(map);
	return err;
}

static void accept_clients(struct ghost_hint_server *s)
{
	int i, sock;

	for (i = 0; i < ACCEPTS; i++) {
		struct client *c;

		sock = accept4(s->sock, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (sock < 0)
			return;
		c = calloc(1, sizeof(*c));
		if (!c) {
			close(sock);
			return;
		}
		c->sock = sock;
		c->pidfd = -1;
		c->proc = -1;
		/* Who reconnects has closed the other one before. */
		drop_gone(s);
		if (serve(s, c)) {
			s->counts.refused++;
			free_client(c);
		} else {
			s->clients[s->nr++] = c;
		}
	}
}

void ghost_hint_server_work(struct ghost_hint_server *s)
{
	int64_t now = now_ns();
	bool again = now - s->refreshed >= NSEC_PER_SEC;
	int i;

	drop_gone(s);
	accept_clients(s);
	if (again)
		s->refreshed = now;
	for (i = 0; i < s->nr; i++)
		look_at_client(s, s->clients[i], again);
}

void ghost_hint_server_counts(const struct ghost_hint_server *s,
			      struct ghost_hint_counts *counts)
{
	*counts = s->counts;
	counts->clients = (unsigned long)s->nr;
}

/* ---- the socket ---- */

/* Under another name first: whoever finds @path finds somebody who listens. */
static int listen_at(struct ghost_hint_server *s)
{
	struct sockaddr_un address;
	char *fresh = NULL;
	struct stat st;
	int err;

	if (!lstat(s->path, &st) && !S_ISSOCK(st.st_mode))
		return -EEXIST;
	if (asprintf(&fresh, "%s.%d", s->path, getpid()) < 0)
		return -ENOMEM;
	err = hint_address(&address, fresh);
	if (!err) {
		unlink(fresh);
		if (bind(s->sock, (struct sockaddr *)&address, sizeof(address)) ||
		    chmod(fresh, 0666) || listen(s->sock, BACKLOG) ||
		    stat(fresh, &s->bound) || rename(fresh, s->path)) {
			err = -errno;
			unlink(fresh);
		}
	}
	free(fresh);
	return err;
}

int ghost_hint_server_create(struct ghost_hint_server **server, const char *path,
			     ghost_hint_fn take, void *arg)
{
	struct ghost_hint_server *s = calloc(1, sizeof(*s));
	int err = 0;

	if (!s)
		return -ENOMEM;
	s->take = take;
	s->arg = arg;
	s->path = strdup(path);
	s->sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (!s->path || s->sock < 0)
		err = s->path ? -errno : -ENOMEM;
	if (!err)
		err = listen_at(s);
	if (err) {
		ghost_hint_server_destroy(s);
		return err;
	}
	*server = s;
	return 0;
}

void ghost_hint_server_destroy(struct ghost_hint_server *s)
{
	struct stat st;

	if (!s)
		return;
	while (s->nr)
		drop(s, s->nr - 1);
	/* A successor may have taken the name. */
	if (s->path && !lstat(s->path, &st) && st.st_ino == s->bound.st_ino &&
	    st.st_dev == s->bound.st_dev)
		unlink(s->path);
	if (s->sock >= 0)
		close(s->sock);
	free(s->path);
	free(s);
}
