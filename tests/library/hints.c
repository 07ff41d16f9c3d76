// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Hints: what a process says of its own threads arrives, and nothing that it does
 * touches others. The policy is a thread of the test.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <ghost/ghost.h>

#include "kselftest_harness.h"

#define TIMEOUT		300	/* s; an emulated guest is slow */
#define STEP_NS		10000000L
#define STEPS		10000	/* until a wait is given up */
#define NOBODY		65534
#define SOMEBODY	65533
#define RECORDS		256
#define MAP_SIZE	(GHOST_HINTS_SLOTS * sizeof(struct ghost_hint_slot))

#define HINTS_TEST(name) TEST_F_TIMEOUT(hints, name, TIMEOUT)

/* What the policy has of a thread; @gtid 0 is the end. */
struct record {
	int64_t gtid;
	struct ghost_hint hint;
	bool stands;
};

FIXTURE(hints) {
	char dir[32];
	char path[48];
	struct ghost_hint_server *server;
	pthread_t thread;
	pthread_mutex_t lock;
	bool stop;
	bool no_task;		/* the policy knows none of the threads */
	unsigned long looks;
	struct record records[RECORDS];
};

static void step(void)
{
	const struct timespec ts = { .tv_nsec = STEP_NS };

	nanosleep(&ts, NULL);
}

/* Until a condition holds, or for very long. */
#define WAIT_FOR(condition) ({						\
	int tries_;							\
									\
	for (tries_ = 0; tries_ < STEPS && !(condition); tries_++)	\
		step();							\
	(condition);							\
})

/* ---- the policy ---- */

static struct record *record_of(FIXTURE_DATA(hints) *self, int64_t gtid)
{
	struct record *r = self->records;

	while (r->gtid && r->gtid != gtid)
		r++;
	return r;
}

static int take(void *arg, int64_t gtid, const struct ghost_hint *hint)
{
	FIXTURE_DATA(hints) *self = arg;
	struct record *r = record_of(self, gtid);

	if (self->no_task)
		return -ENOENT;
	r->gtid = gtid;
	r->stands = hint;
	if (hint)
		r->hint = *hint;
	return 0;
}

static void *policy(void *arg)
{
	FIXTURE_DATA(hints) *self = arg;
	bool stop = false;

	while (!stop) {
		pthread_mutex_lock(&self->lock);
		stop = self->stop;
		ghost_hint_server_work(self->server);
		self->looks++;
		pthread_mutex_unlock(&self->lock);
		step();
	}
	return NULL;
}

static void stop_policy(FIXTURE_DATA(hints) *self)
{
	if (!self->server)
		return;
	pthread_mutex_lock(&self->lock);
	self->stop = true;
	pthread_mutex_unlock(&self->lock);
	pthread_join(self->thread, NULL);
	ghost_hint_server_destroy(self->server);
	self->server = NULL;
}

static struct record record(FIXTURE_DATA(hints) *self, int64_t gtid)
{
	struct record r;

	pthread_mutex_lock(&self->lock);
	r = *record_of(self, gtid);
	pthread_mutex_unlock(&self->lock);
	return r;
}

static struct ghost_hint_counts counts(FIXTURE_DATA(hints) *self)
{
	struct ghost_hint_counts c;

	pthread_mutex_lock(&self->lock);
	ghost_hint_server_counts(self->server, &c);
	pthread_mutex_unlock(&self->lock);
	return c;
}

static unsigned long looks(FIXTURE_DATA(hints) *self)
{
	unsigned long n;

	pthread_mutex_lock(&self->lock);
	n = self->looks;
	pthread_mutex_unlock(&self->lock);
	return n;
}

static void set_no_task(FIXTURE_DATA(hints) *self, bool no_task)
{
	pthread_mutex_lock(&self->lock);
	self->no_task = no_task;
	pthread_mutex_unlock(&self->lock);
}

FIXTURE_SETUP(hints)
{
	int64_t gtid;

	if (geteuid() || ghost_proc_gtid(getpid(), &gtid))
		SKIP(return, "needs root, and a kernel with gtids");
	snprintf(self->dir, sizeof(self->dir), "/tmp/ghost-hints-XXXXXX");
	ASSERT_NE(mkdtemp(self->dir), NULL);
	ASSERT_EQ(chmod(self->dir, 0755), 0);
	snprintf(self->path, sizeof(self->path), "%s/socket", self->dir);
	pthread_mutex_init(&self->lock, NULL);
	ASSERT_EQ(ghost_hint_server_create(&self->server, self->path, take, self), 0);
	ASSERT_EQ(pthread_create(&self->thread, NULL, policy, self), 0);
}

FIXTURE_TEARDOWN(hints)
{
	stop_policy(self);
	unlink(self->path);
	rmdir(self->dir);
}

/* ---- the application ---- */

static int settled(struct ghost_hints *h, int tid)
{
	int result;

	WAIT_FOR((result = ghost_hints_result(h, tid)) != -EAGAIN);
	return result;
}

/* A process that ends with its parent; all others are waited for. */
static pid_t start(unsigned int uid)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (uid && (setgid(uid) || setuid(uid)))
		_exit(127);
	return 0;
}

/* The line at which a child found something wrong, 0 if all was right. */
#define CHILD_EXPECT(condition) do {					\
	if (!(condition))						\
		_exit(__LINE__ % 255 ?: 1);				\
} while (0)

static int status_of(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int raw_connect(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (connect(sock, (struct sockaddr *)&address, sizeof(address))) {
		close(sock);
		return -1;
	}
	return sock;
}

/* The answer of the policy; the descriptor in @map, or -1. */
static int raw_reply(int sock, int *map)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct ghost_hints_reply reply;
	struct iovec iov = { &reply, sizeof(reply) };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	struct cmsghdr *c;

	*map = -1;
	if (recvmsg(sock, &msg, 0) != sizeof(reply))
		return -EIO;
	c = CMSG_FIRSTHDR(&msg);
	if (c)
		memcpy(map, CMSG_DATA(c), sizeof(*map));
	return reply.error;
}

static struct ghost_hint_slot *raw_open(const char *path, int *map)
{
	int sock = raw_connect(path);
	void *slots;

	if (sock < 0 || raw_reply(sock, map) || *map < 0)
		return NULL;
	slots = mmap(NULL, MAP_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, *map, 0);
	return slots == MAP_FAILED ? NULL : slots;
}

static int raw_settled(struct ghost_hint_slot *slot)
{
	if (!WAIT_FOR(__atomic_load_n(&slot->seen, __ATOMIC_ACQUIRE) == slot->seq))
		return -EAGAIN;
	return slot->result;
}

static int raw_set(struct ghost_hint_slot *slot, int tid, struct ghost_hint hint)
{
	slot->tid = tid;
	slot->hint = hint;
	__atomic_store_n(&slot->seq, slot->seq + 2, __ATOMIC_RELEASE);
	return raw_settled(slot);
}

/* ---- what works ---- */

HINTS_TEST(own)
{
	struct ghost_hint hint = { 300, GHOST_LATENCY_URGENT, 5000000 };
	struct ghost_hints *h;
	struct record r;
	int64_t gtid;

	ASSERT_EQ(ghost_proc_gtid(gettid(), &gtid), 0);
	ASSERT_EQ(ghost_hints_open(&h, self->path), 0);
	EXPECT_EQ(ghost_hints_result(h, 0), -ENOENT);
	ASSERT_EQ(ghost_hints_set(h, 0, &hint), 0);
	EXPECT_EQ(settled(h, 0), 0);
	r = record(self, gtid);
	EXPECT_TRUE(r.stands);
	EXPECT_EQ(memcmp(&r.hint, &hint, sizeof(hint)), 0);

	hint.weight = 50;
	ASSERT_EQ(ghost_hints_set(h, gettid(), &hint), 0);
	EXPECT_EQ(settled(h, 0), 0);
	EXPECT_EQ(record(self, gtid).hint.weight, 50);

	ASSERT_EQ(ghost_hints_set(h, 0, NULL), 0);
	EXPECT_TRUE(WAIT_FOR(!record(self, gtid).stands));
	EXPECT_EQ(ghost_hints_result(h, 0), -ENOENT);

	ASSERT_EQ(ghost_hints_set(h, 0, &hint), 0);
	EXPECT_EQ(settled(h, 0), 0);
	ghost_hints_close(h);
	EXPECT_TRUE(WAIT_FOR(!record(self, gtid).stands));
}

HINTS_TEST(without_capability)
{
	const struct ghost_hint hint = { .latency = GHOST_LATENCY_BATCH };
	pid_t pid = start(NOBODY);

	if (!pid) {
		struct ghost_hints *h;

		CHILD_EXPECT(!ghost_hints_open(&h, self->path));
		CHILD_EXPECT(!ghost_hints_set(h, 0, &hint));
		CHILD_EXPECT(!settled(h, 0));
		_exit(0);
	}
	EXPECT_EQ(status_of(pid), 0);
	EXPECT_EQ(counts(self).taken, 1);
}

struct worker {
	int tid;
	bool stop;
};

static void *work(void *arg)
{
	struct worker *w = arg;

	__atomic_store_n(&w->tid, gettid(), __ATOMIC_RELEASE);
	while (!__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE))
		step();
	return NULL;
}

HINTS_TEST(thread_that_ends)
{
	const struct ghost_hint hint = { .weight = 7 };
	struct worker w = { 0 };
	struct ghost_hints *h;
	pthread_t thread;
	int64_t gtid;

	ASSERT_EQ(ghost_hints_open(&h, self->path), 0);
	ASSERT_EQ(pthread_create(&thread, NULL, work, &w), 0);
	ASSERT_TRUE(WAIT_FOR(__atomic_load_n(&w.tid, __ATOMIC_ACQUIRE)));
	ASSERT_EQ(ghost_proc_gtid(w.tid, &gtid), 0);
	ASSERT_EQ(ghost_hints_set(h, w.tid, &hint), 0);
	EXPECT_EQ(settled(h, w.tid), 0);
	EXPECT_EQ(record(self, gtid).hint.weight, 7);

	/* It leaves the enclave, and comes back. */
	set_no_task(self, true);
	EXPECT_TRUE(WAIT_FOR(ghost_hints_result(h, w.tid) == -ENOENT));
	set_no_task(self, false);
	EXPECT_TRUE(WAIT_FOR(!ghost_hints_result(h, w.tid)));

	__atomic_store_n(&w.stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	set_no_task(self, true);
	EXPECT_TRUE(WAIT_FOR(ghost_hints_result(h, w.tid) == -ESRCH));
	ghost_hints_close(h);
}

HINTS_TEST(slots_are_used_again)
{
	const struct ghost_hint hint = { .weight = 1 };
	struct ghost_hints *h;
	int i;

	ASSERT_EQ(ghost_hints_open(&h, self->path), 0);
	/* No look in between. */
	pthread_mutex_lock(&self->lock);
	for (i = 0; i < GHOST_HINTS_SLOTS; i++)
		EXPECT_EQ(ghost_hints_set(h, 5000000 + i, &hint), 0);
	EXPECT_EQ(ghost_hints_set(h, 0, &hint), -ENOSPC);
	pthread_mutex_unlock(&self->lock);
	EXPECT_TRUE(WAIT_FOR(!ghost_hints_set(h, 0, &hint)));
	EXPECT_EQ(settled(h, 0), 0);
	ghost_hints_close(h);
}

/* ---- what does not ---- */

HINTS_TEST(threads_of_others)
{
	const struct ghost_hint mine = { .weight = 300 }, forged = { .weight = 1 };
	struct ghost_hints *h;
	int64_t gtid;
	pid_t pid;

	ASSERT_EQ(ghost_proc_gtid(gettid(), &gtid), 0);
	ASSERT_EQ(ghost_hints_open(&h, self->path), 0);
	ASSERT_EQ(ghost_hints_set(h, 0, &mine), 0);
	ASSERT_EQ(settled(h, 0), 0);
	pid = start(NOBODY);
	if (!pid) {
		struct ghost_hint_slot *slots;
		int map;

		slots = raw_open(self->path, &map);
		CHILD_EXPECT(slots);
		CHILD_EXPECT(raw_set(&slots[0], getppid(), forged) == -ESRCH);
		CHILD_EXPECT(raw_set(&slots[1], 1, forged) == -ESRCH);
		CHILD_EXPECT(raw_set(&slots[2], -1, forged) == -ESRCH);
		CHILD_EXPECT(raw_set(&slots[3], 0x7fffffff, forged) == -ESRCH);
		CHILD_EXPECT(raw_set(&slots[4], getpid(), forged) == 0);
		_exit(0);
	}
	EXPECT_EQ(status_of(pid), 0);
	EXPECT_EQ(counts(self).foreign, 4);
	EXPECT_EQ(counts(self).taken, 2);
	EXPECT_EQ(record(self, gtid).hint.weight, 300);
	EXPECT_EQ(ghost_hints_result(h, 0), 0);
	ghost_hints_close(h);
}

HINTS_TEST(memory_of_others)
{
	struct ghost_hint_slot *slots, before[GHOST_HINTS_SLOTS];
	int map, i;
	pid_t pid;

	slots = raw_open(self->path, &map);
	ASSERT_NE(slots, NULL);
	for (i = 0; i < GHOST_HINTS_SLOTS; i++)
		ASSERT_EQ(raw_set(&slots[i], getpid(), (struct ghost_hint){
				  .weight = 1 + i }), 0);
	memcpy(before, slots, sizeof(before));
	pid = start(NOBODY);
	if (!pid) {
		void *bytes;

		/* What it inherits is in its hands: that of its own it asks for. */
		munmap(slots, MAP_SIZE);
		close(map);
		bytes = raw_open(self->path, &map);
		CHILD_EXPECT(bytes);
		CHILD_EXPECT(mmap(NULL, 2 * MAP_SIZE, PROT_READ | PROT_WRITE,
				  MAP_SHARED, map, 0) == MAP_FAILED);
		CHILD_EXPECT(mmap(NULL, MAP_SIZE, PROT_READ | PROT_WRITE,
				  MAP_SHARED, map, MAP_SIZE) == MAP_FAILED);
		memset(bytes, 0xaa, MAP_SIZE);
		_exit(0);
	}
	EXPECT_EQ(status_of(pid), 0);
	EXPECT_TRUE(WAIT_FOR(counts(self).clients == 1));
	EXPECT_EQ(memcmp(before, slots, sizeof(before)), 0);
}

HINTS_TEST(values_out_of_range)
{
	const struct ghost_hint bad[] = {
		{ .weight = GHOST_HINT_MAX_WEIGHT + 1 },
		{ .latency = GHOST_LATENCY_BATCH + 1 },
		{ .deadline_ns = GHOST_HINT_MIN_DEADLINE - 1 },
		{ .deadline_ns = GHOST_HINT_MAX_DEADLINE + 1 },
	};
	struct ghost_hint_slot *slots;
	struct ghost_hints *h;
	int64_t gtid;
	int i, map;

	ASSERT_EQ(ghost_proc_gtid(gettid(), &gtid), 0);
	ASSERT_EQ(ghost_hints_open(&h, self->path), 0);
	for (i = 0; i < 4; i++)
		EXPECT_EQ(ghost_hints_set(h, 0, &bad[i]), -EINVAL);
	ghost_hints_close(h);
	slots = raw_open(self->path, &map);
	ASSERT_NE(slots, NULL);
	for (i = 0; i < 4; i++)
		EXPECT_EQ(raw_set(&slots[i], getpid(), bad[i]), -EINVAL);
	EXPECT_EQ(counts(self).bad, 4);
	EXPECT_EQ(counts(self).taken, 0);
	EXPECT_FALSE(record(self, gtid).stands);
	/* A good one that turns bad stands no more. */
	EXPECT_EQ(raw_set(&slots[0], getpid(), (struct ghost_hint){ 5 }), 0);
	EXPECT_TRUE(record(self, gtid).stands);
	EXPECT_EQ(raw_set(&slots[0], getpid(), bad[0]), -EINVAL);
	EXPECT_FALSE(record(self, gtid).stands);
}

HINTS_TEST(half_written)
{
	struct ghost_hint_slot *slots;
	unsigned long then;
	int map;

	slots = raw_open(self->path, &map);
	ASSERT_NE(slots, NULL);
	slots[0].tid = getpid();
	__atomic_store_n(&slots[0].seq, 1, __ATOMIC_RELEASE);
	then = looks(self);
	EXPECT_TRUE(WAIT_FOR(looks(self) > then + 2));
	EXPECT_EQ(counts(self).taken, 0);
	__atomic_store_n(&slots[0].seq, 2, __ATOMIC_RELEASE);
	EXPECT_EQ(raw_settled(&slots[0]), 0);
	EXPECT_EQ(counts(self).taken, 1);
}

HINTS_TEST(one_for_each_process)
{
	struct ghost_hints *h, *second;

	ASSERT_EQ(ghost_hints_open(&h, self->path), 0);
	EXPECT_EQ(ghost_hints_open(&second, self->path), -EBUSY);
	EXPECT_EQ(counts(self).refused, 1);
	ghost_hints_close(h);
	ASSERT_EQ(ghost_hints_open(&h, self->path), 0);
	ghost_hints_close(h);
}

HINTS_TEST(child_of_an_application)
{
	const struct ghost_hint hint = { .weight = 1 };
	struct ghost_hints *h;
	pid_t pid;

	ASSERT_EQ(ghost_hints_open(&h, self->path), 0);
	pid = start(0);
	if (!pid) {
		CHILD_EXPECT(ghost_hints_set(h, 0, &hint) == -EPERM);
		CHILD_EXPECT(ghost_hints_result(h, 0) == -EPERM);
		ghost_hints_close(h);
		CHILD_EXPECT(!ghost_hints_open(&h, self->path));
		CHILD_EXPECT(!ghost_hints_set(h, 0, &hint));
		CHILD_EXPECT(!settled(h, 0));
		_exit(0);
	}
	EXPECT_EQ(status_of(pid), 0);
	EXPECT_EQ(counts(self).foreign, 0);
	ghost_hints_close(h);
}

/* Connects, says how that went, and stays until it is killed. */
static pid_t start_and_stay(const char *path, unsigned int uid, int *result)
{
	int fds[2];
	pid_t pid;

	if (pipe(fds))
		return -1;
	pid = start(uid);
	if (!pid) {
		struct ghost_hints *h;
		int err = ghost_hints_open(&h, path);

		if (write(fds[1], &err, sizeof(err)) == sizeof(err))
			pause();
		_exit(1);
	}
	close(fds[1]);
	if (read(fds[0], result, sizeof(*result)) != sizeof(*result))
		*result = -EIO;
	close(fds[0]);
	return pid;
}

HINTS_TEST(too_many)
{
	pid_t pids[GHOST_HINTS_USER_CLIENTS], last, other;
	int i, result;

	for (i = 0; i < GHOST_HINTS_USER_CLIENTS; i++) {
		pids[i] = start_and_stay(self->path, NOBODY, &result);
		EXPECT_EQ(result, 0);
	}
	last = start_and_stay(self->path, NOBODY, &result);
	EXPECT_EQ(result, -EDQUOT);
	other = start_and_stay(self->path, SOMEBODY, &result);
	EXPECT_EQ(result, 0);
	EXPECT_EQ(counts(self).clients, GHOST_HINTS_USER_CLIENTS + 1);
	EXPECT_EQ(counts(self).refused, 1);
	for (i = 0; i < GHOST_HINTS_USER_CLIENTS; i++)
		kill(pids[i], SIGKILL);
	kill(last, SIGKILL);
	kill(other, SIGKILL);
	while (wait(NULL) > 0)
		;
	EXPECT_TRUE(WAIT_FOR(!counts(self).clients));
}

/* What a process leaves to its child does not keep its hints alive. */
HINTS_TEST(process_that_ends)
{
	const struct ghost_hint hint = { .weight = 9 };
	int fds[2];
	pid_t pid;
	char c;

	ASSERT_EQ(pipe(fds), 0);
	pid = start(NOBODY);
	if (!pid) {
		struct pollfd reader = { .fd = fds[1] };
		struct ghost_hints *h;

		close(fds[0]);
		CHILD_EXPECT(!ghost_hints_open(&h, self->path));
		CHILD_EXPECT(!ghost_hints_set(h, 0, &hint));
		CHILD_EXPECT(!settled(h, 0));
		pid = fork();
		if (!pid) {
			CHILD_EXPECT(write(fds[1], "", 1) == 1);
			poll(&reader, 1, TIMEOUT * 1000);
			_exit(0);
		}
		_exit(0);
	}
	close(fds[1]);
	EXPECT_EQ(read(fds[0], &c, 1), 1);
	EXPECT_EQ(status_of(pid), 0);
	EXPECT_TRUE(WAIT_FOR(!counts(self).clients));
	EXPECT_EQ(self->records[0].hint.weight, 9);
	EXPECT_FALSE(record(self, self->records[0].gtid).stands);
	/* The grandchild is still there: the pipe has no end yet. */
	EXPECT_EQ(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	EXPECT_EQ(read(fds[0], &c, 1), -1);
	EXPECT_EQ(errno, EAGAIN);
}

/* Neither reads nor closes, and writes what nobody asked for. */
HINTS_TEST(crowd_of_connections)
{
	struct ghost_hints *h;
	int fds[2];
	pid_t pid;
	char c;

	ASSERT_EQ(pipe(fds), 0);
	pid = start(NOBODY);
	if (!pid) {
		static char garbage[4096];
		int i, sock;

		for (i = 0; i < 200; i++) {
			sock = raw_connect(self->path);
			CHILD_EXPECT(sock >= 0);
			send(sock, garbage, sizeof(garbage),
			     MSG_DONTWAIT | MSG_NOSIGNAL);
		}
		CHILD_EXPECT(write(fds[1], "", 1) == 1);
		pause();
	}
	close(fds[1]);
	ASSERT_EQ(read(fds[0], &c, 1), 1);
	ASSERT_EQ(ghost_hints_open(&h, self->path), 0);
	EXPECT_EQ(counts(self).clients, 2);
	EXPECT_EQ(counts(self).refused, 199);
	ghost_hints_close(h);
	kill(pid, SIGKILL);
	EXPECT_EQ(status_of(pid), -1);
	EXPECT_TRUE(WAIT_FOR(!counts(self).clients));
}

HINTS_TEST(policy_that_ends)
{
	const struct ghost_hint hint = { .weight = 9 };
	struct ghost_hints *h;

	ASSERT_EQ(ghost_hints_open(&h, self->path), 0);
	ASSERT_EQ(ghost_hints_set(h, 0, &hint), 0);
	EXPECT_EQ(settled(h, 0), 0);
	stop_policy(self);
	EXPECT_EQ(ghost_hints_result(h, 0), -ENOTCONN);
	EXPECT_FALSE(self->records[0].stands);
	EXPECT_NE(access(self->path, F_OK), 0);
	ghost_hints_close(h);
	EXPECT_EQ(ghost_hints_open(&h, self->path), -ENOENT);
}

HINTS_TEST(place_of_the_socket)
{
	struct ghost_hint_server *successor, *none;
	struct ghost_hints *h;
	char path[64], text[200];
	int fd;

	/* A successor takes the name, and its predecessor leaves it alone. */
	ASSERT_EQ(ghost_hint_server_create(&successor, self->path, take, self), 0);
	stop_policy(self);
	EXPECT_EQ(access(self->path, F_OK), 0);
	self->server = successor;
	self->stop = false;
	ASSERT_EQ(pthread_create(&self->thread, NULL, policy, self), 0);
	EXPECT_EQ(ghost_hints_open(&h, self->path), 0);
	ghost_hints_close(h);

	/* What is no socket stays. */
	snprintf(path, sizeof(path), "%s/file", self->dir);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	ASSERT_GE(fd, 0);
	close(fd);
	EXPECT_EQ(ghost_hint_server_create(&none, path, take, self), -EEXIST);
	EXPECT_EQ(access(path, F_OK), 0);
	unlink(path);

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	EXPECT_EQ(ghost_hint_server_create(&none, text, take, self),
		  -ENAMETOOLONG);
	EXPECT_EQ(ghost_hints_open(&h, text), -ENAMETOOLONG);
	snprintf(path, sizeof(path), "%s/none/socket", self->dir);
	EXPECT_EQ(ghost_hint_server_create(&none, path, take, self), -ENOENT);
}

TEST_HARNESS_MAIN
