// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Allocations that fail: each one of an operation in turn, until it has no
 * further one; and steps of an operation that fail as a whole. It is refused, or
 * succeeds all the same, and leaves nothing behind that the next attempt, or the
 * end of the enclave, would stumble over. What is lost kmemleak finds after all
 * tests.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt_bpf.h"

#define FAIL_NTH	"/proc/thread-self/fail-nth"
#define DEBUG		"/sys/kernel/debug/"
#define FAIL_FUNCTION	DEBUG "fail_function/"
#define OTHER_ID	"777"

/* No operation here has as many. */
#define MOST		2000

struct env {
	struct gt_enclave e;
	struct gt_watch w;
	struct gt_task t;
	int region;			/* the next one's number */
	int prog;
	int ctl;			/* of a second enclave */
	struct ghost_sw_info sw;	/* of the last agent */
	int faults;			/* that happened */
	int refused;
	int also;			/* -errno of a refusal besides -ENOMEM */
};

typedef int (*op_fn)(struct env *f);

FIXTURE(fault) {
	struct env v;
};

FIXTURE_SETUP(fault)
{
	static const char * const files[][2] = {
		{ DEBUG "failslab/ignore-gfp-wait", "N" },
		{ DEBUG "failslab/verbose", "0" },
		{ DEBUG "fail_page_alloc/ignore-gfp-wait", "N" },
		{ DEBUG "fail_page_alloc/ignore-gfp-highmem", "N" },
		{ DEBUG "fail_page_alloc/min-order", "0" },
		{ DEBUG "fail_page_alloc/verbose", "0" },
	};
	int i;

	if (access(FAIL_NTH, W_OK))
		SKIP(return, "a kernel without fault injection");
	for (i = 0; i < ARRAY_SIZE(files); i++) {
		ASSERT_LT(0, gt_write_file(files[i][0], files[i][1]))
			TH_LOG("%s", files[i][0]);
	}
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_watch_begin(&self->v.w));
	ASSERT_EQ(0, gt_enclave_create(&self->v.e, "1"))
		TH_LOG("enclave: %s", self->v.e.step);
	/* Nobody schedules here. */
	ASSERT_LT(0, gt_file_put(&self->v.e, "runnable_timeout", "0"));
	ASSERT_LT(0, gt_file_put(&self->v.e, "fallback", "1"));
	ASSERT_EQ(0, gt_task_start(&self->v.t));
	self->v.prog = gt_prog_zero(GT_MSG, GHOST_VERSION);
	ASSERT_LE(0, self->v.prog);
	self->v.region = 1;
	self->v.ctl = -1;
}

FIXTURE_TEARDOWN(fault)
{
	close(self->v.prog);
	EXPECT_EQ(0, gt_destroy(&self->v.e));
	gt_task_end(&self->v.t);
	gt_enclave_close(&self->v.e);
	EXPECT_TRUE(gt_watch_freed(&self->v.w))
		TH_LOG("queues or regions stay behind");
	gt_watch_end(&self->v.w);
}

/* @op with the @n-th allocation of this thread failing: did it come to that? */
static bool fault(int n, op_fn op, struct env *f, int *ret)
{
	char buf[16] = "";
	int fd = open(FAIL_NTH, O_RDWR | O_CLOEXEC);

	snprintf(buf, sizeof(buf), "%d", n);
	if (fd < 0 || write(fd, buf, strlen(buf)) < 0) {
		*ret = -errno;
		return false;
	}
	*ret = op(f);
	n = pread(fd, buf, sizeof(buf) - 1, 0);
	pwrite(fd, "0", 1, 0);
	close(fd);
	return n > 0 && atoi(buf) == 0;
}

/* 0, or what was no way to answer a fault. @undo undoes what succeeded. */
static int each_fault(struct env *f, op_fn op, op_fn undo)
{
	bool hit;
	int n, ret, err;

	for (n = 1; n < MOST; n++) {
		hit = fault(n, op, f, &ret);
		f->faults += hit;
		if (hit && (ret == -ENOMEM || (ret && ret == f->also))) {
			f->refused++;
			continue;
		}
		if (ret < 0)
			return ret;
		err = undo ? undo(f) : 0;
		if (err < 0)
			return err;
		if (!hit)
			return 0;
	}
	return -EOVERFLOW;
}

#define EXPECT_UNWINDS(op, undo) do {					\
	EXPECT_EQ(0, each_fault(&self->v, op, undo))			\
		TH_LOG("after %d faults", self->v.faults);		\
	EXPECT_LT(0, self->v.faults) TH_LOG(#op " allocates nothing");	\
	TH_LOG(#op ": %d faults, %d refused", self->v.faults,		\
	       self->v.refused);					\
} while (0)

/* ---- enclaves ---- */

static int create(struct env *f)
{
	return gt_write_file(GT_ROOT "/ctl", "create " OTHER_ID " 91");
}

static int destroy_other(struct env *f)
{
	struct gt_enclave e = { .id = atoi(OTHER_ID) };
	int ret;

	snprintf(e.dir, sizeof(e.dir), GT_ROOT "/enclave_" OTHER_ID);
	e.ctl = gt_file(&e, "ctl", O_RDWR);
	if (e.ctl < 0)
		return e.ctl;
	ret = gt_destroy(&e);
	close(e.ctl);
	return ret;
}

TEST_F(fault, create)
{
	EXPECT_UNWINDS(create, destroy_other);
}

static int destroy(struct env *f)
{
	return gt_put(f->ctl, "destroy");
}

/* No lack of memory keeps an enclave from ending. */
TEST_F(fault, destroy)
{
	struct gt_enclave e;
	bool hit = true;
	int n, ret;

	for (n = 1; hit && n < MOST; n++) {
		ASSERT_EQ(0, gt_enclave_bare(&e));
		self->v.ctl = e.ctl;
		hit = fault(n, destroy, &self->v, &ret);
		/* What is written has to be copied. */
		if (hit && ret == -ENOMEM)
			ret = destroy(&self->v);
		EXPECT_LE(0, ret) TH_LOG("fault %d", n);
		ASSERT_TRUE(gt_gone(&e)) TH_LOG("fault %d", n);
		close(e.ctl);
	}
	EXPECT_GT(MOST, n);
	EXPECT_LT(1, n) TH_LOG("destroy allocates nothing");
}

static int take_cpus(struct env *f)
{
	return gt_file_put(&f->e, "cpulist", "1");
}

static int give_cpus(struct env *f)
{
	return gt_set_cpus(&f->e, "\n");
}

TEST_F(fault, cpulist)
{
	ASSERT_EQ(0, give_cpus(&self->v));
	EXPECT_UNWINDS(take_cpus, give_cpus);
}

static int create_region(struct env *f)
{
	char cmd[64];

	snprintf(cmd, sizeof(cmd), "create sw_region %d 0", f->region);
	return gt_put(f->e.ctl, cmd);
}

static int next_region(struct env *f)
{
	f->region++;
	return 0;
}

TEST_F(fault, region)
{
	EXPECT_UNWINDS(create_region, next_region);
}

static int open_files(struct env *f)
{
	static const char * const names[] = {
		"ctl", "tasks", "cpulist", "cpu_data", "status", "agent_online",
		"sw_regions/sw_0",
	};
	char buf[64];
	int i, fd, ret = 0;

	for (i = 0; i < ARRAY_SIZE(names) && !ret; i++) {
		fd = gt_file(&f->e, names[i], O_RDONLY);
		if (fd < 0)
			return fd;
		if (read(fd, buf, sizeof(buf)) < 0 && errno == ENOMEM)
			ret = -ENOMEM;
		close(fd);
	}
	return ret;
}

TEST_F(fault, files)
{
	EXPECT_UNWINDS(open_files, NULL);
}

static int map_all(struct env *f)
{
	static const char * const names[] = { "sw_regions/sw_0", "cpu_data" };
	const size_t sizes[] = { GHOST_SW_REGION_SIZE, f->e.cpu_size };
	int i, fd, ret;
	void *at;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		fd = gt_file(&f->e, names[i], O_RDONLY);
		if (fd < 0)
			return fd;
		at = gt_map(fd, sizes[i], PROT_READ, &ret);
		close(fd);
		if (!at)
			return ret;
		munmap(at, sizes[i]);
	}
	return 0;
}

TEST_F(fault, mappings)
{
	EXPECT_UNWINDS(map_all, NULL);
}

static int create_queue(struct env *f)
{
	struct gt_queue q;
	int ret = gt_queue_create(f->e.ctl, 64, &q);

	if (!ret)
		gt_queue_close(&q);
	return ret;
}

TEST_F(fault, queue)
{
	EXPECT_UNWINDS(create_queue, NULL);
}

static int config_wakeup(struct env *f)
{
	struct ghost_agent_wakeup w = { .cpu = 1 };
	struct ghost_ioc_config_queue_wakeup arg = {
		.qfd = f->e.q.fd, .w = &w, .ninfo = 1,
	};

	return gt_ioctl(f->e.ctl, GHOST_IOC_CONFIG_QUEUE_WAKEUP, &arg);
}

TEST_F(fault, wakeup)
{
	EXPECT_UNWINDS(config_wakeup, NULL);
}

static int read_exits(struct env *f)
{
	static char buf[9 * 32768];
	int ret = gt_read_file(GT_ROOT "/exits", buf, sizeof(buf));

	return ret < 0 ? ret : 0;
}

TEST_F(fault, exits)
{
	EXPECT_UNWINDS(read_exits, NULL);
}

static int announce(struct env *f)
{
	return gt_put(f->e.ctl, "discover tasks");
}

TEST_F(fault, discover)
{
	ASSERT_EQ(0, gt_join(&self->v.e, self->v.t.pid));
	EXPECT_UNWINDS(announce, NULL);
}

/* ---- tasks and agents ---- */

static int join(struct env *f)
{
	return gt_join(&f->e, f->t.pid);
}

static int leave(struct env *f)
{
	struct sched_param sp = { .sched_priority = 0 };
	struct ghost_sw_info info;
	int ret = gt_sw_info(&f->e, GHOST_TASK, f->t.gtid, &info);

	if (ret)
		return ret;
	if (sched_setscheduler(f->t.pid, SCHED_OTHER, &sp))
		return -errno;
	if (!gt_wait_for(gt_flags(gt_sw_at(&f->e, info)) & GHOST_SW_F_CANFREE))
		return -ETIMEDOUT;
	return gt_sw_free(&f->e, info);
}

TEST_F(fault, join)
{
	EXPECT_UNWINDS(join, leave);
}

static int forks(struct env *f)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (!pid)
		_exit(7);
	if (waitpid(pid, &status, 0) != pid)
		return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 7 ? 0 : -ECHILD;
}

static struct {
	struct env f;
	int ret;
} *member;

static long fork_as_member(long unused)
{
	member->ret = each_fault(&member->f, forks, NULL);
	return 0;
}

/* Some hundred forks take their time. */
static bool has_done(struct gt_task *t)
{
	int tries = 30;

	while (!gt_wait_for(t->ctl->done == t->ctl->seq) && --tries)
		;
	return tries;
}

/* Lent to the fair class, for there is no agent, it is a member still. */
TEST_F_TIMEOUT(fault, fork, 300)
{
	char buf[256];

	member = mmap(NULL, sizeof(*member), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, member);
	/* It is a child of before. */
	gt_task_end(&self->v.t);
	ASSERT_EQ(0, gt_task_start(&self->v.t));
	ASSERT_EQ(0, gt_join(&self->v.e, self->v.t.pid));
	gt_tell_call(&self->v.t, fork_as_member, 0);
	ASSERT_TRUE(has_done(&self->v.t));
	EXPECT_EQ(0, member->ret)
		TH_LOG("after %d faults", member->f.faults);
	EXPECT_LT(0, member->f.refused);
	/* No child has stayed in it. */
	EXPECT_TRUE(gt_wait_for(gt_file_get(&self->v.e, "tasks", buf, 256) > 0 &&
				atoi(buf) == self->v.t.pid &&
				strchr(buf, '\n') == strrchr(buf, '\n')));
}

static int become_agent(struct env *f)
{
	int ret = gt_put(f->e.ctl, "become agent 1 -1");

	return ret < 0 ? ret : gt_sw_info(&f->e, GHOST_AGENT, 1, &f->sw);
}

/* Of a thread that has ended. */
static int free_agent(struct env *f)
{
	if (!gt_wait_for(gt_flags(gt_sw_at(&f->e, f->sw)) & GHOST_SW_F_CANFREE))
		return -ETIMEDOUT;
	return gt_sw_free(&f->e, f->sw);
}

struct attempt {
	struct env *f;
	int n;
	int ret;
	bool hit;
};

static void *attempt(void *arg)
{
	struct attempt *a = arg;

	a->hit = fault(a->n, become_agent, a->f, &a->ret);
	return NULL;
}

TEST_F(fault, agent)
{
	struct attempt a = { .f = &self->v, .hit = true };
	pthread_t thread;

	while (a.hit && a.n < MOST) {
		a.n++;
		ASSERT_EQ(0, pthread_create(&thread, NULL, attempt, &a));
		ASSERT_EQ(0, pthread_join(thread, NULL));
		if (a.hit && a.ret == -ENOMEM) {
			self->v.refused++;
			continue;
		}
		ASSERT_LE(0, a.ret) TH_LOG("fault %d", a.n);
		ASSERT_EQ(0, free_agent(&self->v)) TH_LOG("fault %d", a.n);
	}
	EXPECT_LT(0, self->v.refused);
}

/* ---- BPF ---- */

static int attach(struct env *f)
{
	int fd = gt_link_create(f->prog, f->e.ctl,
				GT_ATTACH(GHOST_VERSION, GT_MSG), 0);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 0;
}

TEST_F(fault, bpf_attach)
{
	/* Where number and descriptor of the link find no memory. */
	self->v.also = -EINVAL;
	EXPECT_UNWINDS(attach, NULL);
}

/* ---- functions ---- */

static int wake_whom(struct env *f)
{
	struct ghost_agent_wakeup w = { .cpu = 1 };
	struct ghost_ioc_config_queue_wakeup arg = {
		.qfd = f->e.q.fd, .w = &w, .ninfo = 1,
	};

	return gt_ioctl(f->e.ctl, GHOST_IOC_CONFIG_QUEUE_WAKEUP, &arg);
}

static void *become_agent_thread(void *arg)
{
	return (void *)(long)become_agent(arg);
}

static int agent_thread(struct env *f)
{
	pthread_t thread;
	void *ret;
	int err = pthread_create(&thread, NULL, become_agent_thread, f);

	if (!err)
		err = pthread_join(thread, &ret);
	return err ? -err : (int)(long)ret;
}

static long fork_once(long unused)
{
	member->ret = forks(NULL);
	return 0;
}

static int member_forks(struct env *f)
{
	gt_tell_call(&f->t, fork_once, 0);
	return has_done(&f->t) ? member->ret : -ETIMEDOUT;
}

/* The next call of @function fails with -EIO. */
static int fail_next(const char *function)
{
	char path[128];
	int ret = gt_write_file(FAIL_FUNCTION "inject", function);

	if (ret < 0)
		return ret;
	snprintf(path, sizeof(path), FAIL_FUNCTION "%s/retval", function);
	ret = gt_write_file(path, "0xfffffffffffffffb");
	return ret < 0 ? ret : gt_write_file(FAIL_FUNCTION "times", "1");
}

/* @op is refused when @function fails, and goes through after that. */
static int fails_with(struct env *f, const char *function, op_fn op, op_fn undo,
		      int want)
{
	char left[16];
	int ret = fail_next(function);

	if (ret < 0)
		return ret;
	ret = op(f);
	if (gt_read_file(FAIL_FUNCTION "times", left, sizeof(left)) <= 0 ||
	    atoi(left))
		return -ENOTRECOVERABLE;
	gt_write_file(FAIL_FUNCTION "inject", "");
	if (ret != want)
		return ret ?: -ENODATA;
	ret = op(f);
	if (ret >= 0 && undo)
		ret = undo(f);
	return ret < 0 ? ret : 0;
}

static const struct step {
	const char *function;
	op_fn op, undo;
	int want;
} steps[] = {
	{ "ghost_members_init", create, destroy_other, -ENOMEM },
	{ "ghost_fs_add_region", create_region, next_region, -EIO },
	{ "ghost_queue_create", create_queue, NULL, -EIO },
	{ "ghost_queue_set_wakeup", wake_whom, NULL, -EIO },
	{ "ghost_bpf_link_create", attach, NULL, -EIO },
	{ "ghost_sw_alloc", agent_thread, free_agent, -EIO },
	{ "ghost_sw_alloc", join, leave, -EIO },
}, of_member[] = {
	{ "__ghost_fork", member_forks, NULL, -EIO },
	{ "ghost_sw_alloc", member_forks, NULL, -EIO },
};

/* The function of the first of @nr @steps that does not unwind, or NULL. */
static const char *first_bad(struct env *f, const struct step *s, int nr)
{
	int i, ret;

	for (i = 0; i < nr; i++) {
		ret = fails_with(f, s[i].function, s[i].op, s[i].undo, s[i].want);
		if (ret) {
			printf("# %s: %d\n", s[i].function, ret);
			return s[i].function;
		}
	}
	return NULL;
}

TEST_F(fault, functions)
{
	if (gt_write_file(FAIL_FUNCTION "probability", "100") < 0)
		SKIP(return, "a kernel without FAIL_FUNCTION");
	ASSERT_LT(0, gt_write_file(FAIL_FUNCTION "verbose", "0"));

	EXPECT_EQ(NULL, first_bad(&self->v, steps, ARRAY_SIZE(steps)));

	member = mmap(NULL, sizeof(*member), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, member);
	gt_task_end(&self->v.t);
	ASSERT_EQ(0, gt_task_start(&self->v.t));
	ASSERT_EQ(0, gt_join(&self->v.e, self->v.t.pid));
	EXPECT_EQ(NULL, first_bad(&self->v, of_member, ARRAY_SIZE(of_member)));
}

TEST_HARNESS_MAIN
