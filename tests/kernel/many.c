// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Many members: the file tasks while they come and go, and their slots. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"

#define STALL_MAX	"/proc/sys/kernel/ghost_stall_max_ms"
#define MEMBERS		600
#define READS		200
#define TEXT_SIZE	(MEMBERS * 12)

static sem_t end;

struct sleeper {
	pthread_t thread;
	pid_t tid;
};

FIXTURE(many) {
	struct gt_enclave e;
	struct sleeper s[MEMBERS];
	char stall[32];			/* as it was */
};

static void *sleeper_main(void *arg)
{
	__atomic_store_n((pid_t *)arg, gettid(), __ATOMIC_RELEASE);
	while (sem_wait(&end) && errno == EINTR)
		;
	return NULL;
}

FIXTURE_SETUP(many)
{
	pthread_attr_t attr;
	int i;

	/* Who joins on its way to sleep waits: nobody schedules here. */
	ASSERT_LT(0, gt_read_file(STALL_MAX, self->stall, 32));
	ASSERT_EQ(1, gt_write_file(STALL_MAX, "0"));
	ASSERT_EQ(0, gt_begin());
	ASSERT_LE(2, gt_ncpus()) TH_LOG("2 CPUs are needed");
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	/* Without a queue no status word waits to be freed. */
	gt_queue_close(&self->e.q);
	ASSERT_EQ(0, sem_init(&end, 0, 0));
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	for (i = 0; i < MEMBERS; i++) {
		ASSERT_EQ(0, pthread_create(&self->s[i].thread, &attr,
					    sleeper_main, &self->s[i].tid));
		ASSERT_TRUE(gt_wait_for(__atomic_load_n(&self->s[i].tid,
							__ATOMIC_ACQUIRE)));
		ASSERT_EQ(0, gt_join(&self->e, self->s[i].tid));
	}
}

FIXTURE_TEARDOWN(many)
{
	int i;

	gt_write_file(STALL_MAX, self->stall);
	gt_destroy(&self->e);
	for (i = 0; i < MEMBERS; i++)
		sem_post(&end);
	for (i = 0; i < MEMBERS; i++)
		pthread_join(self->s[i].thread, NULL);
	gt_enclave_close(&self->e);
}

static int leave(pid_t tid)
{
	const struct sched_param param = { 0 };

	return sched_setscheduler(tid, SCHED_OTHER, &param) ? -errno : 0;
}

static int read_all(int fd, char *text, size_t piece)
{
	size_t len = 0;
	ssize_t n;

	do {
		n = read(fd, text + len, piece);
		if (n < 0)
			return -errno;
		len += n;
	} while (n && len + piece < TEXT_SIZE);
	text[len] = '\0';
	return 0;
}

/* How often @tid is a line of @text. */
static int listed(const char *text, pid_t tid)
{
	char line[16];
	int n = 0, len = snprintf(line, sizeof(line), "%d\n", tid);
	const char *p;

	for (p = text; (p = strstr(p, line)); p += len)
		n += p == text || p[-1] == '\n';
	return n;
}

static int lines(const char *text)
{
	int n = 0;

	while ((text = strchr(text, '\n'))) {
		text++;
		n++;
	}
	return n;
}

/* What is read in pieces is what the first of them found. */
TEST_F(many, pieces_fit)
{
	static char text[TEXT_SIZE], again[TEXT_SIZE];
	int fd = gt_file(&self->e, "tasks", O_RDONLY), i;

	ASSERT_LE(0, fd);
	ASSERT_EQ(5, read(fd, text, 5));
	/* All that come before shift, or so it would be. */
	for (i = 0; i < MEMBERS / 2; i++)
		ASSERT_EQ(0, leave(self->s[i].tid));
	ASSERT_EQ(0, read_all(fd, text + 5, 7));
	EXPECT_EQ(MEMBERS, lines(text));
	for (i = 0; i < MEMBERS; i++)
		EXPECT_EQ(1, listed(text, self->s[i].tid));
	/* From the start it is made afresh. */
	ASSERT_EQ(0, lseek(fd, 0, SEEK_SET));
	ASSERT_EQ(0, read_all(fd, again, 4096));
	EXPECT_EQ(MEMBERS / 2, lines(again));
	for (i = 0; i < MEMBERS; i++)
		EXPECT_EQ(i >= MEMBERS / 2, listed(again, self->s[i].tid));
	close(fd);
}

struct churn {
	struct gt_enclave *e;
	struct sleeper *s;
	unsigned int changes;
	int failed;
	bool stop;
};

/* All but the staying ones leave and join again, over and over. */
static void *churn_main(void *arg)
{
	struct churn *c = arg;
	int i;

	gt_pin(0, 1);
	while (!__atomic_load_n(&c->stop, __ATOMIC_RELAXED)) {
		for (i = 1; i < MEMBERS; i += 3) {
			if (leave(c->s[i].tid) || gt_join(c->e, c->s[i].tid))
				c->failed++;
			__atomic_add_fetch(&c->changes, 1, __ATOMIC_RELAXED);
		}
	}
	return NULL;
}

TEST_F_TIMEOUT(many, who_stays_is_listed_once, 300)
{
	struct churn c = { .e = &self->e, .s = self->s };
	static char text[TEXT_SIZE];
	int i, k, met = 0;
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, churn_main, &c));
	for (k = 0; k < READS; k++) {
		unsigned int before = __atomic_load_n(&c.changes,
						      __ATOMIC_RELAXED);
		int fd = gt_file(&self->e, "tasks", O_RDONLY);

		ASSERT_LE(0, fd);
		ASSERT_EQ(0, read_all(fd, text, 4096));
		close(fd);
		met += before != __atomic_load_n(&c.changes, __ATOMIC_RELAXED);
		for (i = 0; i < MEMBERS; i++) {
			int n = listed(text, self->s[i].tid);

			ASSERT_TRUE(n == 1 || (i % 3 == 1 && !n))
				TH_LOG("member %d is listed %d times", i, n);
		}
	}
	__atomic_store_n(&c.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, c.failed);
	EXPECT_LE(READS / 10, met)
		TH_LOG("%d of %d reads met a change", met, READS);
}

/* A slot that was freed rests until all others have had their turn. */
TEST_F_TIMEOUT(many, slots_in_turn, 300)
{
	const uint32_t first = MEMBERS - 1;
	const uint32_t turns = GHOST_SW_REGION_CAPACITY - first;
	pid_t tid = self->s[first].tid;
	uint64_t gtid = gt_gtid_of(tid);
	struct ghost_sw_info info;
	uint32_t i;

	ASSERT_EQ(0, gt_sw_info(&self->e, GHOST_TASK, gtid, &info));
	ASSERT_EQ(first, info.index) TH_LOG("the others have those before");
	for (i = 1; i < turns + 100; i++) {
		ASSERT_EQ(0, leave(tid));
		ASSERT_EQ(0, gt_join(&self->e, tid));
		ASSERT_EQ(0, gt_sw_info(&self->e, GHOST_TASK, gtid, &info));
		ASSERT_EQ(first + i % turns, info.index);
	}
	EXPECT_EQ(GHOST_SW_REGION_CAPACITY - MEMBERS,
		  self->e.region->available);
}

TEST_HARNESS_MAIN
