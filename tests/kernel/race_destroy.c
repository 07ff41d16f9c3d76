// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Destroy against everything: threads that use each part of the interface
 * without a pause, a policy that commits, tasks that come, go, sleep and wake,
 * and in the middle of it the enclave is destroyed. Every call either works or
 * says that the enclave is gone, every task lives on in the fair class, and the
 * CPUs can be had again. A thread has met the window when its calls worked
 * before and failed for this reason after, in one round.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt_policy.h"
#include "race.h"

#define load(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)

#define TASKS	4
#define OFTEN	5

/* One thread that uses one part, as long as the enclave is there. */
struct user {
	const char *name;
	/* One use. 0: worked; 1: the enclave is gone; else what was wrong. */
	int (*use)(struct user *u);
	struct gt_enclave *e;
	struct gt_task *t;
	pthread_t thread;
	unsigned int seed;
	long worked, gone;
	int wrong;
};

/* What a call may say that has worked or was refused for good reasons. */
static int verdict(int ret)
{
	if (ret >= 0)
		return 0;
	return ret == -ENODEV || ret == -ENOENT || ret == -EXDEV ? 1 : ret;
}

static int use_join(struct user *u)
{
	struct sched_param sp = { 0 };
	int ret = verdict(gt_join(u->e, u->t->pid));

	race_delay(&u->seed);
	sched_setscheduler(u->t->pid, SCHED_OTHER, &sp);
	/* The last word may not be free: then it is gated, and in. */
	return ret;
}

static int use_queue(struct user *u)
{
	struct ghost_agent_wakeup w[2] = { { 1 }, { 0 } };
	struct ghost_ioc_config_queue_wakeup list = { .w = w, .ninfo = 2 };
	struct gt_queue q;
	int ret = gt_queue_create(u->e->ctl, 64, &q);

	if (ret)
		return verdict(ret);
	list.qfd = q.fd;
	ret = verdict(gt_ioctl(u->e->ctl, GHOST_IOC_CONFIG_QUEUE_WAKEUP, &list));
	/* Unknown barrier, no member any more: the answer is an errno. */
	gt_assoc(u->e, q.fd, u->t->gtid, rand_r(&u->seed) % 16);
	race_delay(&u->seed);
	gt_queue_close(&q);
	return ret;
}

static int use_words(struct user *u)
{
	struct ghost_sw_info info = { .index = rand_r(&u->seed) % 16 };
	int ret = gt_sw_free(u->e, info);

	if (ret == -ENODEV)
		return 1;
	if (ret && ret != -EINVAL)
		return ret;
	ret = gt_sw_info(u->e, GHOST_TASK, u->t->gtid, &info);
	if (ret == -ENOENT)
		ret = 0;
	return verdict(ret);
}

static int use_commit(struct user *u)
{
	int ret = rand_r(&u->seed) % 2 ? gt_txn_ioctl(u->e, ~0ULL) :
					 gt_sync_ioctl(u->e, ~0ULL);

	return verdict(ret);
}

static int use_files(struct user *u)
{
	static const char * const names[] = {
		"tasks", "status", "cpulist", "cpumask", "ctl", "features",
		"agent_online", "deliver_ticks", "runnable_timeout",
	};
	char buf[4096];
	int ret;

	ret = gt_file_get(u->e, names[rand_r(&u->seed) % ARRAY_SIZE(names)],
			  buf, sizeof(buf));
	if (ret < 0)
		return verdict(ret);
	ret = gt_file_put(u->e, "deliver_ticks", rand_r(&u->seed) % 2 ? "1" : "0");
	return verdict(ret);
}

static int use_commands(struct user *u)
{
	char cmd[64];
	int ret;

	if (rand_r(&u->seed) % 2)
		return verdict(gt_put(u->e->ctl, "discover tasks"));
	/* The CPU has its agent, and there is a region of that number. */
	snprintf(cmd, sizeof(cmd), "create sw_region %d 0", rand_r(&u->seed) % 2);
	ret = gt_put(u->e->ctl, cmd);
	/* EINVAL: the directory of the regions goes first. */
	return ret == -EEXIST ? 0 : ret == -EINVAL ? 1 : verdict(ret);
}

struct way_out {
	sigjmp_buf env;
};

static __thread struct way_out *volatile on_bus;

static void bus_error(int sig)
{
	if (!on_bus)
		_exit(99);
	siglongjmp(on_bus->env, 1);
}

static int touch(volatile char *p, size_t size, bool write)
{
	struct way_out here;
	size_t i;
	char c;

	if (sigsetjmp(here.env, 1)) {
		on_bus = NULL;
		return 1;
	}
	on_bus = &here;
	for (i = 0; i < size; i += 4096) {
		c = p[i + 2048];
		if (write)
			p[i + 2048] = c;
	}
	on_bus = NULL;
	return 0;
}

static int use_mapping(struct user *u)
{
	bool words = rand_r(&u->seed) % 2;
	size_t size = words ? GHOST_SW_REGION_SIZE : u->e->cpu_size;
	int fd, err, ret;
	char *p;

	fd = gt_file(u->e, words ? "sw_regions/sw_0" : "cpu_data",
		     words ? O_RDONLY : O_RDWR);
	if (fd < 0)
		return verdict(fd);
	p = gt_map(fd, size, words ? PROT_READ : PROT_READ | PROT_WRITE, &err);
	close(fd);
	if (!p)
		return verdict(err);
	ret = touch(p, words ? 65536 : size, !words);
	munmap(p, size);
	return ret;
}

static void *use_on(void *arg)
{
	struct user *u = arg;
	int ret;

	do {
		ret = u->use(u);
		if (!ret)
			store(&u->worked, u->worked + 1);
	} while (!ret);
	u->gone += ret == 1;
	u->wrong = ret == 1 ? 0 : ret;
	return NULL;
}

static uint32_t *stop;		/* shared with the tasks */

FIXTURE(race_destroy) {
	struct gt_task t[TASKS], comer;
	struct race r;
};

FIXTURE_SETUP(race_destroy)
{
	int i;

	ASSERT_EQ(0, gt_begin());
	/* Mappings of the test are faulted in one by one. */
	ASSERT_EQ(0, munlockall());
	signal(SIGBUS, bus_error);
	stop = mmap(NULL, sizeof(*stop), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, stop);
	for (i = 0; i < TASKS; i++)
		ASSERT_EQ(0, gt_task_start(&self->t[i]));
	ASSERT_EQ(0, gt_task_start(&self->comer));
}

FIXTURE_TEARDOWN(race_destroy)
{
	int i;

	for (i = 0; i < TASKS; i++)
		gt_task_end(&self->t[i]);
	gt_task_end(&self->comer);
}

/* Sleeps and wakes for ever: half of it by itself. */
static long doze(long stop)
{
	while (!load((uint32_t *)stop))
		usleep(100);
	return 0;
}

static bool goes_on(struct gt_task *t)
{
	gt_tell(t, GT_BLOCK);
	return gt_wait_for(load(&t->ctl->done) == t->ctl->seq);
}

TEST_F(race_destroy, against_everything)
{
	struct user users[] = {
		{ "join", use_join }, { "queue", use_queue },
		{ "word", use_words }, { "commit", use_commit },
		{ "file", use_files }, { "command", use_commands },
		{ "mapping", use_mapping },
	};
	struct race_window w[ARRAY_SIZE(users) + 1] = {
		[ARRAY_SIZE(users)] = { .name = "policy at work", .wanted = OFTEN },
	};
	struct gt_enclave e;
	uint32_t done;
	pid_t host;
	int i;

	race_start(&self->r, 60, RACE_MS);
	while (race_goes_on(&self->r)) {
		ASSERT_EQ(0, gt_enclave_create(&e, "1"))
			TH_LOG("enclave: %s", e.step);
		host = gt_host_start(&e, 1, gt_schedule_all, NULL);
		ASSERT_LT(0, host);
		store(stop, 0);
		for (i = 0; i < TASKS; i++) {
			ASSERT_EQ(0, gt_join(&e, self->t[i].pid));
			if (i)
				gt_tell_call(&self->t[i], doze, (long)stop);
		}
		for (i = 0; i < ARRAY_SIZE(users); i++) {
			users[i].e = &e;
			users[i].t = &self->comer;
			users[i].seed = self->r.seed + i;
			users[i].worked = 0;
			users[i].wrong = 0;
			ASSERT_EQ(0, pthread_create(&users[i].thread, NULL,
						    use_on, &users[i]));
		}
		/* The first task is woken again and again. */
		done = self->t[0].ctl->done;
		for (i = rand_r(&self->r.seed) % 20; i >= 0; i--) {
			gt_tell(&self->t[0], GT_BLOCK);
			gt_sleep_ms(1);
		}
		ASSERT_EQ(0, gt_destroy(&e));
		for (i = 0; i < ARRAY_SIZE(users); i++) {
			pthread_join(users[i].thread, NULL);
			EXPECT_EQ(0, users[i].wrong)
				TH_LOG("%s: %s", users[i].name,
				       strerror(-users[i].wrong));
			w[i].name = users[i].name;
			w[i].wanted = OFTEN;
			w[i].seen += users[i].worked && !users[i].wrong;
		}
		w[i].seen += self->t[0].ctl->done != done;
		ASSERT_TRUE(__test_passed(_metadata));
		ASSERT_EQ(host, waitpid(host, NULL, 0));
		ASSERT_TRUE(gt_gone(&e));
		store(stop, 1);
		for (i = 0; i < TASKS; i++) {
			ASSERT_TRUE(gt_wait_for(gt_policy(self->t[i].pid) ==
						SCHED_OTHER));
			ASSERT_TRUE(goes_on(&self->t[i]))
				TH_LOG("task %d is lost", i);
		}
		ASSERT_TRUE(gt_wait_for(gt_policy(self->comer.pid) ==
					SCHED_OTHER));
		ASSERT_TRUE(goes_on(&self->comer));
		gt_enclave_close(&e);
	}
	RACE_VERDICT(&self->r, w);
}

TEST_HARNESS_MAIN
