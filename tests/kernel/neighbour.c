// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Users who are not root: what one of them may do with an enclave of its own
 * neither reaches nor starves that of another; and a descriptor that one of them
 * has opened gives no orders in the name of a process with more rights.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"
#include "gt_policy.h"

#define load(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)

#define NOBODY		65534
#define TOP_CTL		GT_ROOT "/ctl"
#define SUID		"/tmp/ghost-suid"
#define ROUNDS		100
#define CHURNERS	2

/* ---- an enclave beside that of another user ---- */

static struct {
	int stop;
	uint32_t steps;
} *churn;

FIXTURE(neighbour) {
	struct gt_enclave e;
	struct gt_task t;
	pid_t host;
};

FIXTURE_SETUP(neighbour)
{
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->t));
	self->host = gt_policy_start(&self->e, 1);
	ASSERT_LT(0, self->host);
	ASSERT_EQ(0, gt_join(&self->e, self->t.pid));
	/* Root's own group may write to it; now everybody may. */
	ASSERT_EQ(0, chmod(TOP_CTL, 0666));
	churn = mmap(NULL, sizeof(*churn), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)churn);
}

FIXTURE_TEARDOWN(neighbour)
{
	chmod(TOP_CTL, 0660);
	gt_destroy(&self->e);
	if (self->host > 0) {
		kill(self->host, SIGKILL);
		waitpid(self->host, NULL, 0);
	}
	gt_task_end(&self->t);
	gt_enclave_close(&self->e);
}

static int become_nobody(void)
{
	return setgid(NOBODY) || setuid(NOBODY) ? -errno : 0;
}

/* A CPU that is free, if there is one. */
static const char *free_cpus(void)
{
	return gt_ncpus() > 2 ? "2" : "";
}

/* An owner without privileges tries everything on @e; 0, or the line that failed. */
static int attack(struct gt_enclave *e, struct gt_task *t, pid_t host)
{
	static const char * const files[] = {
		"ctl", "cpu_data", "cpulist", "agent_online", "runnable_timeout",
		"fallback", "sw_regions/sw_0",
	};
	struct ghost_ioc_timerfd_settime timer = {
		.timerfd_ghost = { .cpu = 1, .flags = TIMERFD_GHOST_ENABLED },
	};
	struct ghost_sw_info info;
	struct gt_enclave own;
	struct sched_param sp = { 0 };
	int i;

#define MUST(cond) do { if (!(cond)) return __LINE__; } while (0)
	MUST(!become_nobody());
	MUST(!gt_enclave_create(&own, free_cpus()));
	MUST(gt_file_put(&own, "cpulist", "1") == -EBUSY);
	MUST(gt_put(own.ctl, "become agent 1 -1") == -EPERM);
	MUST(gt_put(own.ctl, "become agent 2 -1") < 0);
	MUST(gt_ping(&own, 1) == -EPERM);
	MUST(gt_run(&own, &(struct ghost_ioc_run){ .run_cpu = 1 }) == -EPERM);
	for (i = 0; i < 3 && i < gt_npossible(); i++) {
		gt_txn_fill(&own, i, &(struct gt_txn){
			.gtid = i == 2 ? GHOST_AGENT_GTID : (int64_t)t->gtid,
			.commit_flags = COMMIT_AT_TXN_COMMIT });
		gt_txn_ioctl(&own, 1ULL << i);
		MUST(gt_txn_state(&own, i) != GHOST_TXN_COMPLETE);
		gt_sync_ioctl(&own, 1ULL << i);
		MUST(gt_txn_state(&own, i) != GHOST_TXN_COMPLETE);
	}
	MUST(gt_join(&own, t->pid) == -EPERM);
	MUST(gt_join(&own, host) == -EPERM);
	MUST(gt_join(&own, 1) == -EPERM);
	MUST(gt_sw_info(&own, GHOST_TASK, t->gtid, &info) == -ENOENT);
	MUST(gt_sw_info(&own, GHOST_AGENT, 1, &info) == -ENODEV);
	MUST(gt_assoc(&own, own.q.fd, t->gtid, 0) < 0);
	MUST(gt_ioctl(own.ctl, GHOST_IOC_TIMERFD_SETTIME, &timer) < 0);
	for (i = 0; i < ARRAY_SIZE(files); i++) {
		MUST(gt_file(e, files[i], O_RDWR) == -EACCES);
		MUST(gt_file_put(e, files[i], "1") == -EACCES);
	}
	MUST(sched_setscheduler(t->pid, SCHED_OTHER, &sp) && errno == EPERM);
	MUST(gt_pin(t->pid, 0) == -EPERM);
	MUST(kill(host, SIGSTOP) && errno == EPERM);
	MUST(!gt_destroy(&own));
#undef MUST
	return 0;
}

TEST_F(neighbour, is_out_of_reach)
{
	int status;
	pid_t pid;

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		int line = attack(&self->e, &self->t, self->host);

		if (line)
			printf("# line %d\n", line);
		fflush(stdout);
		_exit(line != 0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	gt_tell(&self->t, GT_SPIN);
	EXPECT_TRUE(gt_spins(&self->t));
	EXPECT_EQ(SCHED_GHOST, gt_policy(self->t.pid));
}

/* All that takes locks, sends interrupts or waits for others, for ever. */
static void churn_on(void)
{
	struct gt_enclave own;
	struct gt_queue q;
	pid_t child;
	int i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (gt_pin(0, 0) || become_nobody())
		_exit(1);
	while (!load(&churn->stop)) {
		/* The other one may have the CPU: it is tried without, too. */
		if (!gt_enclave_bare(&own)) {
			gt_put(own.ctl, "create sw_region 0 0");
			gt_file_put(&own, "cpulist", free_cpus());
			if (!gt_queue_create(own.ctl, 64, &q))
				gt_queue_close(&q);
			own.tasks = gt_file(&own, "tasks", O_RDWR);
			child = fork();
			if (!child) {
				/* Nobody will ever run it. */
				gt_put(own.tasks, "0");
				_exit(0);
			}
			for (i = 0; i < 8; i++) {
				gt_put(own.ctl, "discover tasks");
				gt_txn_ioctl(&own, ~0ULL);
				gt_ping(&own, 1);
				gt_file_put(&own, "fallback", i & 1 ? "1" : "0");
				gt_file_put(&own, "cpulist", i & 1 ? "" : free_cpus());
			}
			gt_destroy(&own);
			waitpid(child, NULL, 0);
		}
		gt_enclave_close(&own);
		__atomic_add_fetch(&churn->steps, 1, __ATOMIC_RELAXED);
	}
	_exit(0);
}

/* Meanwhile its task blocks, wakes up and is scheduled again, each time. */
TEST_F_TIMEOUT(neighbour, does_not_starve, 100)
{
	struct gt_task *t = &self->t;
	pid_t pid[CHURNERS];
	int i, status;

	for (i = 0; i < CHURNERS; i++) {
		pid[i] = fork();
		ASSERT_LE(0, pid[i]);
		if (!pid[i])
			churn_on();
	}
	for (i = 0; i < ROUNDS || load(&churn->steps) < ROUNDS; i++) {
		gt_tell(t, GT_SPIN);
		ASSERT_TRUE(gt_spins(t)) TH_LOG("round %d", i);
		gt_tell(t, GT_BLOCK);
		ASSERT_TRUE(gt_wait_for(load(&t->ctl->done) == t->ctl->seq))
			TH_LOG("round %d", i);
	}
	store(&churn->stop, 1);
	for (i = 0; i < CHURNERS; i++) {
		ASSERT_EQ(pid[i], waitpid(pid[i], &status, 0));
		EXPECT_EQ(0, status);
	}
	EXPECT_EQ(SCHED_GHOST, gt_policy(t->pid));
	EXPECT_EQ(0, access(self->e.dir, F_OK));
}

/* ---- a process that is tricked into a write ---- */

FIXTURE(tricked) {
	struct gt_enclave e;		/* of nobody */
	struct gt_task t;		/* of root */
};

FIXTURE_SETUP(tricked)
{
	ASSERT_EQ(0, gt_begin());
	/* By way of its group: owner is the effective user. */
	ASSERT_EQ(0, seteuid(NOBODY));
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, seteuid(0));
	ASSERT_EQ(0, gt_task_start(&self->t));
}

FIXTURE_TEARDOWN(tricked)
{
	seteuid(NOBODY);
	gt_destroy(&self->e);
	seteuid(0);
	gt_task_end(&self->t);
	gt_enclave_close(&self->e);
	unlink(SUID);
}

/* @e was opened by nobody, and the caller is root. */
TEST_F(tricked, root)
{
	EXPECT_EQ(-EPERM, gt_join(&self->e, self->t.pid));
	EXPECT_EQ(-EPERM, gt_put(self->e.tasks, "0"));
	EXPECT_EQ(-EPERM, gt_put(self->e.ctl, "destroy"));
	EXPECT_EQ(-EPERM, gt_put(self->e.ctl, "become agent 1 -1"));
	EXPECT_EQ(-EPERM, gt_put(self->e.ctl, "disable my bpf_prog_load"));
	EXPECT_EQ(SCHED_OTHER, gt_policy(self->t.pid));
	EXPECT_EQ(0, access(self->e.dir, F_OK));
	/* Who opens it himself means it. */
	self->e.tasks = gt_file(&self->e, "tasks", O_RDWR);
	EXPECT_EQ(0, gt_join(&self->e, self->t.pid));
}

#define TRICKED	"--tricked"

/* This program with the set-uid bit: it says on its standard output what it got. */
static __attribute__((constructor)) void suid_program(int argc, char **argv)
{
	if (argc != 3 || strcmp(argv[1], TRICKED))
		return;
	if (geteuid())
		_exit(200);
	_exit(write(1, argv[2], strlen(argv[2])) < 0 ? errno : 0);
}

static int copy_of_this_program(const char *to)
{
	char buf[4096];
	int in, out;
	ssize_t n;

	in = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	out = open(to, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0755);
	while ((n = read(in, buf, sizeof(buf))) > 0)
		if (write(out, buf, n) != n)
			break;
	close(in);
	close(out);
	return n ? -EIO : chmod(to, 04755);
}

static int run_suid_on(struct gt_enclave *e, const char *file, const char *word)
{
	int status;
	pid_t pid;

	pid = fork();
	if (!pid) {
		int fd;

		if (become_nobody())
			_exit(201);
		fd = gt_file(e, file, O_WRONLY);
		if (dup2(fd, 1) != 1)
			_exit(202);
		execl(SUID, SUID, TRICKED, word, NULL);
		_exit(203);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

TEST_F(tricked, set_uid_program)
{
	char pid[16];

	ASSERT_EQ(0, copy_of_this_program(SUID));
	snprintf(pid, sizeof(pid), "%d", self->t.pid);
	EXPECT_EQ(EPERM, run_suid_on(&self->e, "tasks", pid));
	EXPECT_EQ(EPERM, run_suid_on(&self->e, "tasks", "0"));
	EXPECT_EQ(EPERM, run_suid_on(&self->e, "ctl", "destroy"));
	EXPECT_EQ(EPERM, run_suid_on(&self->e, "ctl", "become agent 1 -1"));
	EXPECT_EQ(SCHED_OTHER, gt_policy(self->t.pid));
	EXPECT_EQ(0, access(self->e.dir, F_OK));
}

static int raise_sys_nice(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct caps[2] = {
		{ .effective = 1 << CAP_SYS_NICE, .permitted = 1 << CAP_SYS_NICE },
	};

	return syscall(SYS_capset, &head, caps) ? -errno : 0;
}

/*
 * What a program with file capabilities is: the same user as whoever opened the
 * descriptor, with CAP_SYS_NICE, which moves threads of others.
 */
static int write_with_capability(struct gt_enclave *e, const char *file,
				 const char *word)
{
	int status;
	pid_t pid;

	pid = fork();
	if (!pid) {
		int fd, ret;

		if (prctl(PR_SET_KEEPCAPS, 1) || become_nobody())
			_exit(201);
		fd = gt_file(e, file, O_WRONLY);
		if (fd < 0 || raise_sys_nice())
			_exit(202);
		ret = gt_put(fd, word);
		_exit(ret < 0 ? -ret : 0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

TEST_F(tricked, program_with_capabilities)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", self->t.pid);
	EXPECT_EQ(EPERM, write_with_capability(&self->e, "tasks", pid));
	EXPECT_EQ(SCHED_OTHER, gt_policy(self->t.pid));
	EXPECT_EQ(EPERM, write_with_capability(&self->e, "ctl", "become agent 1 -1"));
}

TEST_HARNESS_MAIN
