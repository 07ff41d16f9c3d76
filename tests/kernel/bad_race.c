// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Descriptors that are closed, and enclaves that are destroyed, while they are
 * used. A test counts how often it met both sides of its race, and skips when
 * that was too seldom to mean something.
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
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"

#define load(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)

#define RACE_MS		4000
#define ENOUGH		20
#define RW		(PROT_READ | PROT_WRITE)

FIXTURE(race) {
	struct gt_watch watch;
	struct gt_enclave e;
	struct gt_task t;
};

FIXTURE_SETUP(race)
{
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_watch_begin(&self->watch));
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->t));
}

FIXTURE_TEARDOWN(race)
{
	const char *line;

	gt_destroy(&self->e);
	gt_task_end(&self->t);
	gt_enclave_close(&self->e);
	EXPECT_TRUE(gt_watch_freed(&self->watch))
		TH_LOG("memory of queues or regions was not freed");
	line = gt_watch_log(&self->watch);
	EXPECT_EQ(NULL, line) TH_LOG("the kernel said: %s", line);
	gt_watch_end(&self->watch);
}

/*
 * What the threads of a test share. A worker reports the first result that is
 * neither success nor allowed.
 */
static struct {
	struct gt_enclave *e;
	int slot;		/* the descriptor that is closed and opened */
	int null;
	uint64_t gtid;
	int workers;
	int ready;		/* of them: wait for the others */
	int stop;
	int wrong;		/* an error that must not be */
	const char *where;
	int fine, late;		/* how often: success, too late */
} race;

/* @late is what a call gives that came too late, @other may be given as well. */
static void judge(const char *where, int ret, int late, int other)
{
	if (ret >= 0)
		__atomic_add_fetch(&race.fine, 1, __ATOMIC_RELAXED);
	else if (ret == -late)
		__atomic_add_fetch(&race.late, 1, __ATOMIC_RELAXED);
	else if (ret != -other && !load(&race.wrong)) {
		race.where = where;
		store(&race.wrong, -ret);
	}
}

/* What was wrong, in words. */
static const char *verdict(void)
{
	static char words[64];

	if (!race.wrong)
		return "";
	snprintf(words, sizeof(words), "%s: %s", race.where,
		 strerror(race.wrong));
	return words;
}

/* Was there a race at all? */
static bool met(void)
{
	return race.fine >= ENOUGH && race.late >= ENOUGH;
}

/* All workers at once; nobody else has to have a CPU for it. */
static void wait_for_start(void)
{
	__atomic_add_fetch(&race.ready, 1, __ATOMIC_RELEASE);
	while (load(&race.ready) < race.workers)
		;
}

static void begin_race(struct gt_enclave *e)
{
	memset(&race, 0, sizeof(race));
	race.workers = 2;
	race.e = e;
}

/* ---- descriptors ---- */

static void *swap_slot(void *unused)
{
	gt_pin(0, -1);
	while (!load(&race.stop)) {
		dup2(race.e->ctl, race.slot);
		sched_yield();
		dup2(race.e->q.fd, race.slot);
		sched_yield();
		dup2(race.null, race.slot);
		close(race.slot);
		sched_yield();
	}
	return NULL;
}

/* Never more queues than one: the slot may be this number meanwhile. */
static void create_queue(int fd)
{
	struct ghost_ioc_create_queue arg = { .elems = 1 };
	int q = gt_ioctl(fd, GHOST_IOC_CREATE_QUEUE, &arg);

	if (q >= 0 && q != race.slot)
		close(q);
	judge("CREATE_QUEUE", q, EBADF, ENOTTY);
}

static void *use_slot(void *unused)
{
	__u64 mask = 2;
	struct ghost_ioc_commit_txn txn = { (void *)&mask, sizeof(mask), 0 };
	struct ghost_agent_wakeup w = { 1, 0 };
	struct ghost_ioc_get_cpu_time time = { 0 };
	struct ghost_ioc_set_default_queue def = { race.e->q.fd };
	struct ghost_ioc_config_queue_wakeup config = { race.e->q.fd, &w, 1 };
	struct ghost_ioc_sw_get_info info = {
		.request = { GHOST_TASK, race.gtid } };
	int s = race.slot, ctl = race.e->ctl;

	gt_pin(0, -1);
	while (!load(&race.stop)) {
		/* as the descriptor of the call */
#define TRY(cmd, arg)							\
		judge(#cmd, gt_ioctl(s, GHOST_IOC_##cmd, arg), EBADF, ENOTTY)
		TRY(NULL, NULL);
		TRY(SW_GET_INFO, &info);
		TRY(GET_CPU_TIME, &time);
		TRY(SET_DEFAULT_QUEUE, &def);
		TRY(CONFIG_QUEUE_WAKEUP, &config);
		TRY(COMMIT_TXN, &txn);
		TRY(SYNC_GROUP_TXN, &txn);
#undef TRY
		create_queue(s);
		/* as a queue, in the argument; EINVAL: closed half-way */
		def.fd = s;
		judge("as default", gt_ioctl(ctl, GHOST_IOC_SET_DEFAULT_QUEUE,
					     &def), EBADF, EINVAL);
		def.fd = race.e->q.fd;
		config.qfd = s;
		judge("with wake-ups",
		      gt_ioctl(ctl, GHOST_IOC_CONFIG_QUEUE_WAKEUP, &config),
		      EBADF, EINVAL);
		config.qfd = race.e->q.fd;
		judge("associated", gt_assoc(race.e, s, race.gtid, 1), EBADF,
		      EINVAL);
	}
	return NULL;
}

TEST_F_TIMEOUT(race, close_while_used, 60)
{
	pthread_t threads[3];
	int i;

	begin_race(&self->e);
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	race.gtid = self->t.gtid;
	race.null = gt_open("/dev/null", O_RDWR);
	race.slot = dup(race.null);
	ASSERT_LE(0, race.slot);
	for (i = 0; i < ARRAY_SIZE(threads); i++) {
		ASSERT_EQ(0, pthread_create(&threads[i], NULL,
					    i ? use_slot : swap_slot, NULL));
	}
	gt_sleep_ms(RACE_MS);
	store(&race.stop, 1);
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	EXPECT_STREQ("", verdict());
	close(race.slot);
	close(race.null);
	/* Whatever happened: it is an enclave with a queue. */
	EXPECT_LE(0, gt_assoc(&self->e, self->e.q.fd, self->t.gtid, 1));
	gt_tell(&self->t, GT_SPIN);
	EXPECT_EQ(0, gt_next_type(&self->e.q, self->t.gtid, MSG_TASK_WAKEUP,
				  NULL));
	if (!met())
		SKIP(return, "only %d calls in time and %d too late",
		     race.fine, race.late);
}

static void *change_priority(void *pid)
{
	int nice_value = 0;

	gt_pin(0, -1);
	while (!load(&race.stop)) {
		nice_value = !nice_value;
		judge("nice", setpriority(PRIO_PROCESS, (long)pid, nice_value),
		      ESRCH, ESRCH);
	}
	return NULL;
}

/* A queue goes while messages are written into it. */
TEST_F_TIMEOUT(race, close_the_queue_of_a_task, 60)
{
	int64_t end = gt_now_ms() + RACE_MS;
	struct ghost_status_word *sw;
	struct gt_queue q;
	pthread_t thread;
	uint32_t before;
	int moved = 0, ret;

	begin_race(&self->e);
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	sw = gt_sw(&self->e, self->t.gtid);
	ASSERT_EQ(0, pthread_create(&thread, NULL, change_priority,
				    (void *)(long)self->t.pid));
	while (gt_now_ms() < end) {
		ASSERT_EQ(0, gt_queue_create(self->e.ctl, 8, &q));
		before = gt_barrier(sw);
		ret = gt_assoc(&self->e, q.fd, self->t.gtid, before);
		gt_queue_close(&q);
		if (ret == 0)
			moved++;
		else
			EXPECT_EQ(-ESTALE, ret);
	}
	store(&race.stop, 1);
	pthread_join(thread, NULL);
	EXPECT_STREQ("", verdict());
	EXPECT_EQ(0, gt_assoc(&self->e, self->e.q.fd, self->t.gtid,
			      gt_barrier(sw)));
	gt_tell(&self->t, GT_SPIN);
	EXPECT_EQ(0, gt_next_type(&self->e.q, self->t.gtid, MSG_TASK_WAKEUP,
				  NULL));
	if (moved < ENOUGH || race.fine < ENOUGH)
		SKIP(return, "only %d queues and %d messages", moved,
		     race.fine);
}

/* ---- enclaves ---- */

static __thread sigjmp_buf bus;
static __thread volatile bool touching;

static void on_bus(int sig)
{
	if (touching)
		siglongjmp(bus, 1);
	_exit(1);
}

/* Reads the word: -ENODEV when it is no more. */
static int touch(volatile uint32_t *word)
{
	int ret = -ENODEV;

	touching = true;
	if (!sigsetjmp(bus, 1)) {
		(void)*word;
		ret = 0;
	}
	touching = false;
	return ret;
}

static void try_map(int fd, size_t size, int prot)
{
	int err;
	volatile uint32_t *p = gt_map(fd, size, prot, &err);

	judge("mmap", err, ENODEV, ENODEV);
	if (!p)
		return;
	judge("touch", touch(p + 16), ENODEV, ENODEV);
	munmap((void *)p, size);
}

static void *use_enclave(void *unused)
{
	struct gt_enclave *e = race.e;
	int cpulist = gt_file(e, "cpulist", O_RDWR);
	int timeout = gt_file(e, "runnable_timeout", O_RDWR);
	int status = gt_file(e, "status", O_RDONLY);
	int cpu = gt_file(e, "cpu_data", O_RDWR);
	int sw = gt_file(e, "sw_regions/sw_0", O_RDONLY);
	struct ghost_ioc_sw_get_info info = {
		.request = { GHOST_TASK, race.gtid } };
	int fd, n;	/* fd: or an error */
	char buf[64];

	gt_pin(0, -1);
	wait_for_start();
	for (n = 0; !load(&race.stop) && n < 1000; n++) {
		/* The other thread may be giving the CPU back: EBUSY. */
		fd = gt_put(cpulist, n & 1 ? "1" : "");
		judge("cpulist", fd == -EBUSY ? -EXDEV : fd, ENODEV, EXDEV);
		judge("timeout", gt_put(timeout, "0"), ENODEV, 0);
		judge("status", pread(status, buf, sizeof(buf), 0) < 0 ?
		      -errno : 0, ENODEV, 0);
		judge("NULL", gt_ioctl(e->ctl, GHOST_IOC_NULL, NULL), ENODEV,
		      0);
		judge("SW_GET_INFO", gt_ioctl(e->ctl, GHOST_IOC_SW_GET_INFO,
					      &info), ENODEV, ENOENT);
		fd = gt_ioctl(e->ctl, GHOST_IOC_CREATE_QUEUE,
			      &(struct ghost_ioc_create_queue){ .elems = 1 });
		judge("CREATE_QUEUE", fd, ENODEV, 0);
		if (fd >= 0)
			close(fd);
		fd = gt_file(e, "agent_online", O_RDWR);
		judge("online", fd == -ENOENT ? -ENODEV : fd, ENODEV, EBUSY);
		if (fd >= 0)
			close(fd);
		snprintf(buf, sizeof(buf), "create sw_region %d 0", 1 + n % 3);
		fd = gt_put(e->ctl, buf);
		judge("region", fd == -EINVAL ? -ENODEV : fd, ENODEV, EEXIST);
		snprintf(buf, sizeof(buf), "%llu",
			 (unsigned long long)race.gtid);
		fd = gt_put(e->tasks, buf);
		judge("join", fd, ENODEV, EXDEV);
		try_map(cpu, e->cpu_size, RW);
		try_map(sw, GHOST_SW_REGION_SIZE, PROT_READ);
	}
	close(cpulist);
	close(timeout);
	close(status);
	close(cpu);
	close(sw);
	return NULL;
}

TEST_F_TIMEOUT(race, destroy_while_used, 90)
{
	int64_t end = gt_now_ms() + 2 * RACE_MS;
	int fine = 0, late = 0, rounds, i;
	struct gt_enclave e;
	pthread_t threads[2];

	signal(SIGBUS, on_bus);
	ASSERT_EQ(0, gt_set_cpus(&self->e, "\n"));
	for (rounds = 0; gt_now_ms() < end; rounds++) {
		ASSERT_EQ(0, gt_enclave_create(&e, "1"))
			TH_LOG("round %d: %s", rounds, e.step);
		begin_race(&e);
		race.gtid = self->t.gtid;
		for (i = 0; i < ARRAY_SIZE(threads); i++) {
			ASSERT_EQ(0, pthread_create(&threads[i], NULL,
						    use_enclave, NULL));
		}
		ASSERT_TRUE(gt_wait_for(load(&race.ready) == race.workers));
		gt_sleep_ms(1 + rounds % 50);
		EXPECT_EQ(0, gt_destroy(&e));
		gt_sleep_ms(1 + rounds % 20);
		store(&race.stop, 1);
		for (i = 0; i < ARRAY_SIZE(threads); i++)
			pthread_join(threads[i], NULL);
		EXPECT_STREQ("", verdict());
		fine += race.fine;
		late += race.late;
		EXPECT_TRUE(gt_wait_for(gt_policy(self->t.pid) == SCHED_OTHER))
			TH_LOG("the task was lost");
		gt_enclave_close(&e);
	}
	race.fine = fine;
	race.late = late;
	if (!met())
		SKIP(return, "only %d calls in time and %d too late",
		     race.fine, race.late);
}

static void *destroy_enclave(void *nr)
{
	/* One descriptor would make them take turns. */
	int ctl = gt_file(race.e, "ctl", O_RDWR);

	gt_pin(0, (1 + (long)nr) % gt_ncpus());
	wait_for_start();
	judge("destroy", ctl < 0 ? ctl : gt_put(ctl, "destroy"), ENODEV, ENODEV);
	if (ctl >= 0)
		close(ctl);
	return NULL;
}

/* One of them does it, and none of those on the way is told off. */
TEST_F_TIMEOUT(race, destroy_by_several, 60)
{
	int64_t end = gt_now_ms() + RACE_MS;
	struct gt_enclave e;
	pthread_t threads[2];
	int i, both = 0;

	while (gt_now_ms() < end) {
		ASSERT_EQ(0, gt_enclave_bare(&e));
		begin_race(&e);
		for (i = 0; i < ARRAY_SIZE(threads); i++) {
			ASSERT_EQ(0, pthread_create(&threads[i], NULL,
						    destroy_enclave,
						    (void *)(long)i));
		}
		for (i = 0; i < ARRAY_SIZE(threads); i++)
			pthread_join(threads[i], NULL);
		EXPECT_STREQ("", verdict());
		EXPECT_LE(1, race.fine);
		both += race.fine > 1;
		EXPECT_TRUE(gt_gone(&e));
		gt_enclave_close(&e);
	}
	if (!both)
		SKIP(return, "no two of them ever met");
}

/* What becoming an agent and RUN may say of an enclave that comes to its end. */
static bool is_an_end(int err)
{
	return !err || err == -ENXIO || err == -ENOMEM || err == -EBADF ||
	       err == -EXDEV || err == -ENODEV || err == -ENOENT;
}

static void become_agent(int id, int ready, int go)
{
	static struct gt_enclave own;
	static struct gt_agent a;
	int ret;
	char c;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	mlockall(MCL_CURRENT | MCL_FUTURE);
	if (gt_enclave_attach(&own, id) || write(ready, "x", 1) != 1 ||
	    read(go, &c, 1) != 1)
		_exit(200);
	ret = gt_agent_start(&a, &own, 1, own.q.fd);
	if (!ret) {
		pthread_join(a.thread, NULL);
		ret = a.run_error;
	}
	_exit(is_an_end(ret) ? 0 : -ret);
}

TEST_F_TIMEOUT(race, agents_come_while_destroyed, 60)
{
	int64_t end = gt_now_ms() + 2 * RACE_MS;
	int rounds, killed = 0, to[2], from[2], status;
	struct gt_enclave e;
	pid_t pid;
	char c;

	ASSERT_EQ(0, gt_set_cpus(&self->e, "\n"));
	ASSERT_EQ(0, pipe(to));
	ASSERT_EQ(0, pipe(from));
	for (rounds = 0; gt_now_ms() < end; rounds++) {
		ASSERT_EQ(0, gt_enclave_create(&e, "1"))
			TH_LOG("round %d: %s", rounds, e.step);
		pid = fork();
		if (!pid)
			become_agent(e.id, from[1], to[0]);
		ASSERT_EQ(1, read(from[0], &c, 1));
		ASSERT_EQ(1, write(to[1], "x", 1));
		usleep(rounds % 50 * 2000);
		EXPECT_EQ(0, gt_destroy(&e));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		if (WIFSIGNALED(status)) {
			EXPECT_EQ(SIGKILL, WTERMSIG(status));
			killed++;
		} else {
			EXPECT_EQ(0, WEXITSTATUS(status))
				TH_LOG("%s", strerror(WEXITSTATUS(status)));
		}
		EXPECT_TRUE(gt_gone(&e));
		gt_enclave_close(&e);
	}
	if (!killed || killed == rounds)
		SKIP(return, "%d of %d were agents already", killed, rounds);
}

static void *create_enclave(void *cmd)
{
	gt_pin(0, -1);
	wait_for_start();
	judge("create", gt_write_file(GT_ROOT "/ctl", cmd), EEXIST, EEXIST);
	return NULL;
}

/* One gets the name; whoever finds it finds the last of its files. */
TEST_F_TIMEOUT(race, create_by_several, 60)
{
	static const char * const last[] = { "wake_on_waker_cpu", "sw_regions" };
	int64_t end = gt_now_ms() + RACE_MS;
	char path[64];
	pthread_t threads[2];
	int i, met = 0;

	while (gt_now_ms() < end) {
		begin_race(NULL);
		for (i = 0; i < ARRAY_SIZE(threads); i++) {
			ASSERT_EQ(0, pthread_create(&threads[i], NULL,
						    create_enclave,
						    "create 5900 91"));
		}
		while (access(GT_ROOT "/enclave_5900", F_OK))
			met++;
		for (i = 0; i < ARRAY_SIZE(last); i++) {
			snprintf(path, sizeof(path), GT_ROOT "/enclave_5900/%s",
				 last[i]);
			EXPECT_EQ(0, access(path, F_OK)) TH_LOG("%s", path);
		}
		for (i = 0; i < ARRAY_SIZE(threads); i++)
			pthread_join(threads[i], NULL);
		EXPECT_STREQ("", verdict());
		EXPECT_EQ(1, race.fine);
		EXPECT_EQ(1, race.late);
		EXPECT_EQ(7, gt_write_file(GT_ROOT "/enclave_5900/ctl",
					   "destroy"));
		EXPECT_TRUE(gt_wait_for(access(GT_ROOT "/enclave_5900", F_OK)));
	}
	if (!met)
		SKIP(return, "never looked before it was there");
}

TEST_HARNESS_MAIN
