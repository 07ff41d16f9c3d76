// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* The life of an enclave: what a new one has, its CPUs, what survives its end. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"

static struct gt_agent agent;

FIXTURE(enclave) {
	struct gt_enclave e;
	struct gt_task t;
	struct gt_watch watch;
};

FIXTURE_SETUP(enclave)
{
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_watch_begin(&self->watch));
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->t));
}

FIXTURE_TEARDOWN(enclave)
{
	const char *line;

	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	gt_task_end(&self->t);
	gt_enclave_close(&self->e);
	EXPECT_TRUE(gt_watch_freed(&self->watch))
		TH_LOG("memory of queues or regions was not freed");
	line = gt_watch_log(&self->watch);
	EXPECT_EQ(NULL, line) TH_LOG("the kernel said: %s", line);
	gt_watch_end(&self->watch);
}

/* ---- a new one ---- */

TEST_F(enclave, new_one_is_empty)
{
	size_t size = self->e.cpu_size, i;
	struct gt_enclave e;
	unsigned char *page;
	char buf[64];
	int fd, err;

	ASSERT_EQ(0, gt_enclave_bare(&e));
	gt_file_get(&e, "cpulist", buf, sizeof(buf));
	EXPECT_STREQ("\n", buf);
	EXPECT_EQ(0, gt_file_get(&e, "tasks", buf, sizeof(buf)));
	EXPECT_EQ(-ENOENT, gt_file(&e, "sw_regions/sw_0", O_RDONLY));
	/* A page for each possible CPU, all zero. */
	fd = gt_file(&e, "cpu_data", O_RDWR);
	page = gt_map(fd, size, PROT_READ, &err);
	ASSERT_NE(NULL, page);
	for (i = 0; i < size; i++) {
		if (page[i])
			break;
	}
	EXPECT_EQ(size, i);
	munmap(page, size);
	close(fd);
	gt_destroy(&e);
	gt_enclave_close(&e);
}

TEST_F(enclave, page_is_that_of_the_cpu_number)
{
	char list[16];
	int last = gt_ncpus() - 1;

	snprintf(list, sizeof(list), "%d", last);
	ASSERT_EQ(0, gt_set_cpus(&self->e, list));
	EXPECT_EQ(last, self->e.cpu[last].txn.cpu);
	EXPECT_EQ(0, self->e.cpu[0].txn.cpu);
	EXPECT_EQ(0, self->e.cpu[0].txn.state) TH_LOG("never was a member");
}

/* ---- its CPUs ---- */

TEST_F(enclave, reasons_to_refuse_cpus_in_order)
{
	const char *online = "/sys/devices/system/cpu/cpu%d/online";
	struct gt_enclave other;
	char path[128], list[32], buf[32];
	int last = gt_ncpus() - 1, ret[4];

	snprintf(path, sizeof(path), online, last);
	if (last < 3 || access(path, W_OK))
		SKIP(return, "needs 4 CPUs and CPU hotplug");
	ASSERT_EQ(0, gt_enclave_bare(&other));
	ASSERT_EQ(0, gt_set_cpus(&other, "2"));
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	ASSERT_EQ(1, gt_write_file(path, "0"));
	/* CPU 1 has an agent, 2 is of another enclave, the last is offline. */
	snprintf(list, sizeof(list), "2,%d", last);
	ret[0] = gt_file_put(&self->e, "cpulist", list);
	snprintf(list, sizeof(list), "1,2,%d", last);
	ret[1] = gt_file_put(&self->e, "cpulist", list);
	ret[2] = gt_file_put(&self->e, "cpulist", "1,2");
	ret[3] = gt_file_put(&self->e, "cpulist", "2");
	EXPECT_EQ(1, gt_write_file(path, "1"));
	EXPECT_EQ(-EEXIST, ret[0]);
	EXPECT_EQ(-ENODEV, ret[1]);
	EXPECT_EQ(-EBUSY, ret[2]);
	EXPECT_EQ(-EEXIST, ret[3]);
	gt_file_get(&self->e, "cpulist", buf, sizeof(buf));
	EXPECT_STREQ("1\n", buf);
	gt_file_get(&other, "cpulist", buf, sizeof(buf));
	EXPECT_STREQ("2\n", buf);
	gt_destroy(&other);
	gt_enclave_close(&other);
}

TEST_F(enclave, mask_and_list_are_one_set)
{
	char list[32], mask[128];
	int n = gt_ncpus() - 1;
	size_t len;

	snprintf(mask, sizeof(mask), "%x\n", (1 << n) - 1);
	EXPECT_EQ((int)strlen(mask), gt_file_put(&self->e, "cpumask", mask));
	gt_file_get(&self->e, "cpulist", list, sizeof(list));
	snprintf(mask, sizeof(mask), n > 1 ? "0-%d\n" : "0\n", n - 1);
	EXPECT_STREQ(mask, list);
	EXPECT_EQ(1, gt_file_put(&self->e, "cpulist", "1"));
	gt_file_get(&self->e, "cpumask", mask, sizeof(mask));
	len = strlen(mask);
	ASSERT_LT(1, len);
	EXPECT_STREQ("2\n", mask + len - 2);
	EXPECT_EQ(len - 2, strspn(mask, "0,"));
}

/* ---- its end ---- */

TEST_F(enclave, tasks_survive_as_normal_threads)
{
	struct gt_task queued = { 0 };
	struct sched_param sp;

	ASSERT_EQ(0, gt_task_start(&queued));
	ASSERT_EQ(0, setpriority(PRIO_PROCESS, queued.pid, 4));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &queued, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &queued, NULL));
	ASSERT_EQ(0, gt_destroy(&self->e));
	ASSERT_TRUE(gt_gone(&self->e));
	EXPECT_EQ(SCHED_OTHER, gt_policy(self->t.pid));
	EXPECT_EQ(SCHED_OTHER, gt_policy(queued.pid));
	EXPECT_EQ(4, getpriority(PRIO_PROCESS, queued.pid));
	ASSERT_EQ(0, sched_getparam(queued.pid, &sp));
	EXPECT_EQ(0, sp.sched_priority);
	EXPECT_TRUE(gt_spins(&queued));
	gt_tell(&self->t, GT_SPIN);
	EXPECT_TRUE(gt_spins(&self->t));
	/* The way out was announced, into the queue that is still mapped. */
	EXPECT_EQ(0, gt_next_type(&self->e.q, self->t.gtid, MSG_TASK_DEPARTED,
				  NULL));
	EXPECT_EQ(0, gt_next_type(&self->e.q, queued.gtid, MSG_TASK_DEPARTED,
				  NULL));
	gt_task_end(&queued);
}

/* Keeps the task whose gtid is @arg on the agent's CPU, but for other classes. */
static long schedule_it(struct gt_agent *a, void *arg)
{
	struct ghost_ioc_run run = { .run_cpu = a->cpu, .run_flags = RTLA_ON_IDLE };
	int64_t gtid = (int64_t)arg;
	struct ghost_status_word *sw = gt_sw(a->e, gtid);

	while (sw) {
		run.agent_barrier = gt_barrier(a->sw);
		if (gt_flags(a->sw) & GHOST_SW_BOOST_PRIO) {
			gt_run(a->e, &run);
			continue;
		}
		gt_txn_fill(a->e, a->cpu, &(struct gt_txn){
			.gtid = gtid,
			.task_barrier = gt_barrier(sw),
			.agent_barrier = run.agent_barrier,
			.run_flags = RTLA_ON_PREEMPT | RTLA_ON_BLOCKED,
			.commit_flags = COMMIT_AT_TXN_COMMIT,
		});
		gt_txn_ioctl(a->e, 1ULL << a->cpu);
	}
	return 0;
}

static int ctl;

static long destroy_it(long unused)
{
	return write(ctl, "destroy", 7);
}

TEST_F(enclave, member_may_destroy_it)
{
	int status;
	pid_t host;

	ctl = self->e.ctl;
	gt_task_end(&self->t);
	ASSERT_EQ(0, gt_task_start(&self->t));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	host = gt_host_start(&self->e, 1, schedule_it, (void *)self->t.gtid);
	ASSERT_LT(0, host);
	ASSERT_TRUE(gt_spins(&self->t));
	gt_tell_call(&self->t, destroy_it, 0);
	EXPECT_TRUE(gt_gone(&self->e));
	EXPECT_TRUE(gt_wait_for(self->t.ctl->done == 2));
	EXPECT_EQ(7, self->t.ctl->result);
	EXPECT_EQ(SCHED_OTHER, gt_policy(self->t.pid));
	ASSERT_EQ(host, waitpid(host, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static int go[2];

static long destroy_as_agent(struct gt_agent *a, void *unused)
{
	char c;

	if (read(go[0], &c, 1) == 1)
		gt_destroy(a->e);
	return 0;
}

TEST_F(enclave, agent_may_destroy_it)
{
	int status;
	pid_t host;

	ASSERT_EQ(0, pipe(go));
	host = gt_host_start(&self->e, 1, destroy_as_agent, NULL);
	ASSERT_LT(0, host);
	ASSERT_EQ(1, write(go[1], "x", 1));
	EXPECT_TRUE(gt_gone(&self->e));
	ASSERT_EQ(host, waitpid(host, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static int timer_fd;

static long bind_timer(struct gt_agent *a, void *unused)
{
	struct itimerspec in = { .it_value.tv_nsec = 500000000 };
	struct ghost_ioc_timerfd_settime arg = {
		.timerfd = timer_fd,
		.in_tmr = (void *)&in,
		.timerfd_ghost = { .cpu = a->cpu,
				   .flags = TIMERFD_GHOST_ENABLED },
	};

	return gt_ioctl(a->e->ctl, GHOST_IOC_TIMERFD_SETTIME, &arg);
}

TEST_F(enclave, timer_outlives_it)
{
	struct pollfd p = { .events = POLLIN };
	struct itimerspec left = { 0 };
	uint64_t ticks = 0;
	pid_t host;

	timer_fd = timerfd_create(CLOCK_MONOTONIC, 0);
	ASSERT_LE(0, timer_fd);
	host = gt_host_start(&self->e, 1, bind_timer, NULL);
	ASSERT_LT(0, host);
	p.fd = timer_fd;
	ASSERT_TRUE(gt_wait_for(poll(&p, 1, 0) ||
				(!timerfd_gettime(timer_fd, &left) &&
				 left.it_value.tv_nsec)));
	ASSERT_EQ(0, gt_destroy(&self->e));
	ASSERT_EQ(host, waitpid(host, NULL, 0));
	/* It goes off for its readers; the message has nowhere to go. */
	EXPECT_EQ(1, poll(&p, 1, GT_WAIT_MS));
	EXPECT_EQ(8, read(timer_fd, &ticks, 8));
	EXPECT_EQ(1, ticks);
	close(timer_fd);
}

TEST_F(enclave, references_keep_nothing_alive_but_memory)
{
	struct gt_enclave next;
	int fd, err, i;
	void *p;

	/* Queues of an enclave that is gone: memory, and nothing else. */
	ASSERT_EQ(0, gt_destroy(&self->e));
	ASSERT_TRUE(gt_gone(&self->e));
	p = gt_map(self->e.q.fd, self->e.q.size, PROT_READ, &err);
	EXPECT_NE(NULL, p) TH_LOG("errno %d", -err);
	munmap(p, self->e.q.size);
	/* Its number is free again. */
	for (i = 0; i < 3; i++) {
		char cmd[64];

		snprintf(cmd, sizeof(cmd), "create %d 91", self->e.id);
		EXPECT_LT(0, gt_write_file(GT_ROOT "/ctl", cmd));
		next = self->e;
		fd = gt_file(&next, "ctl", O_RDWR);
		ASSERT_LE(0, fd);
		EXPECT_EQ(0, gt_ioctl(fd, GHOST_IOC_NULL, NULL));
		EXPECT_EQ(-ENODEV, gt_ioctl(self->e.ctl, GHOST_IOC_NULL, NULL));
		EXPECT_EQ(7, gt_put(fd, "destroy"));
		close(fd);
	}
}

/* Whoever has a file of it open keeps neither its regions, nor tasks from others. */
TEST_F(enclave, open_files_keep_neither_memory_nor_tasks)
{
	int status = gt_file(&self->e, "status", O_RDONLY);
	int sw = gt_file(&self->e, "sw_regions/sw_0", O_RDONLY);
	struct gt_enclave next;
	struct gt_watch watch;
	struct gt_msg m;
	int err;

	ASSERT_LE(0, status);
	ASSERT_LE(0, sw);
	/* Its word is never freed, and what follows is to wait for that. */
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_watch_begin(&watch));
	watch.areas--;
	ASSERT_EQ(0, gt_destroy(&self->e));
	ASSERT_TRUE(gt_gone(&self->e));
	EXPECT_TRUE(gt_watch_freed(&watch)) TH_LOG("the region is still there");
	gt_watch_end(&watch);
	EXPECT_EQ(NULL, gt_map(sw, GHOST_SW_REGION_SIZE, PROT_READ, &err));
	EXPECT_EQ(-ENODEV, err);

	ASSERT_EQ(0, gt_enclave_create(&next, "1")) TH_LOG("enclave: %s", next.step);
	ASSERT_EQ(0, gt_agent_start(&agent, &next, 1, -1));
	ASSERT_EQ(0, gt_join(&next, self->t.pid));
	EXPECT_EQ(0, gt_next_type(&next.q, self->t.gtid, MSG_TASK_NEW, &m));
	gt_agent_stop(&agent);
	gt_destroy(&next);
	gt_enclave_close(&next);
	close(status);
	close(sw);
}

/* ---- ephemeral ---- */

TEST_F(enclave, several_end_with_their_process)
{
	char path[64], c;
	int from[2], i;
	pid_t pid;

	ASSERT_EQ(0, pipe(from));
	pid = fork();
	if (!pid) {
		for (i = 0; i < 3; i++) {
			snprintf(path, sizeof(path), "create %d 91 ephemeral",
				 5400 + i);
			if (gt_write_file(GT_ROOT "/ctl", path) < 0)
				_exit(1);
		}
		/* Descriptors are closed: that is not what counts. */
		if (write(from[1], "x", 1) == 1)
			pause();
		_exit(2);
	}
	ASSERT_EQ(1, read(from[0], &c, 1));
	gt_sleep_ms(GT_QUIET_MS);
	for (i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), GT_ROOT "/enclave_%d", 5400 + i);
		EXPECT_EQ(0, access(path, F_OK)) TH_LOG("%s", path);
	}
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	for (i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), GT_ROOT "/enclave_%d", 5400 + i);
		EXPECT_TRUE(gt_wait_for(access(path, F_OK))) TH_LOG("%s", path);
	}
}

/* A descriptor in other hands does not keep it. */
TEST_F(enclave, ephemeral_does_not_wait_for_descriptors)
{
	int from[2], fd;
	pid_t pid;
	char c;

	ASSERT_EQ(0, pipe(from));
	pid = fork();
	if (!pid) {
		if (gt_write_file(GT_ROOT "/ctl", "create 5400 91 ephemeral") < 0 ||
		    write(from[1], "x", 1) != 1)
			_exit(1);
		pause();
	}
	ASSERT_EQ(1, read(from[0], &c, 1));
	fd = gt_open(GT_ROOT "/enclave_5400/ctl", O_RDWR);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, gt_ioctl(fd, GHOST_IOC_NULL, NULL));
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	EXPECT_TRUE(gt_wait_for(gt_ioctl(fd, GHOST_IOC_NULL, NULL) == -ENODEV));
	close(fd);
}

TEST_HARNESS_MAIN
