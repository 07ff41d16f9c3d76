// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Settings, state and members of an enclave of the real kernel. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "live.h"
#include "kselftest_harness.h"

FIXTURE(settings) {
	struct live l;
};

FIXTURE_SETUP(settings)
{
	struct ghost_enclave_options o = { .max_tasks = 2, .gid = 77 };
	const char *why;
	int err = live_setup(&self->l, &o, 1, &why);

	if (err > 0)
		SKIP(return, "%s", why);
	ASSERT_EQ(err, 0) TH_LOG("%s", o.failed);
}

FIXTURE_TEARDOWN(settings)
{
	live_teardown(&self->l);
}

/* What the library says of tunables is what the kernel has. */
TEST_F(settings, every_tunable)
{
	const struct ghost_tunable *t;
	unsigned long value;
	int i;

	for (i = 0; (t = ghost_tunable_at(i)); i++) {
		unsigned long old, most = t->unit == GHOST_UNIT_SWITCH ? 1 : 9;

		ASSERT_EQ(ghost_enclave_get_tunable(self->l.e, t->name, &old),
			  0) TH_LOG("%s", t->name);
		EXPECT_EQ(ghost_enclave_set_tunable(self->l.e, t->name, 9), 0);
		EXPECT_EQ(ghost_enclave_get_tunable(self->l.e, t->name,
						    &value), 0);
		EXPECT_EQ(value, most) TH_LOG("%s", t->name);
		EXPECT_EQ(ghost_enclave_set_tunable(self->l.e, t->name, old),
			  0);
	}
	/* Ours on purpose: see struct ghost_enclave_options. */
	EXPECT_EQ(ghost_enclave_get_tunable(self->l.e, "honor_affinity",
					    &value), 0);
	EXPECT_EQ(value, 1);
	EXPECT_EQ(ghost_enclave_get_tunable(self->l.e, "none", &value),
		  -ENOENT);
	EXPECT_EQ(ghost_enclave_set_tunable(self->l.e, "max_tasks", 1UL << 40),
		  -EINVAL);
	EXPECT_EQ(ghost_enclave_set_tunable(self->l.e, "status", 1), -EINVAL);
}

TEST_F(settings, no_tunable_is_missing)
{
	DIR *dir = fdopendir(dup(ghost_enclave_dir(self->l.e)));
	struct dirent *d;
	unsigned long value;

	ASSERT_NE(dir, NULL);
	while ((d = readdir(dir)))
		if (!ghost_enclave_get_tunable(self->l.e, d->d_name, &value))
			EXPECT_NE(ghost_tunable_find(d->d_name), NULL)
				TH_LOG("%s", d->d_name);
	closedir(dir);
}

TEST_F(settings, features)
{
	EXPECT_EQ(ghost_enclave_has_feature(self->l.e, "max_tasks"), 1);
	EXPECT_EQ(ghost_enclave_has_feature(self->l.e, "honor_affinity"), 1);
	EXPECT_EQ(ghost_enclave_has_feature(self->l.e, "time_travel"), 0);
}

TEST_F(settings, options)
{
	struct stat st;

	ASSERT_EQ(fstatat(ghost_enclave_dir(self->l.e), "tasks", &st, 0), 0);
	EXPECT_EQ(st.st_gid, 77);
}

TEST_F(settings, other_abi)
{
	struct ghost_enclave_options o = { .cpus = "", .abi = 90 };
	struct ghost_status st;
	struct ghost_enclave *e;

	ASSERT_EQ(ghost_enclave_create(&e, &o), 0) TH_LOG("%s", o.failed);
	EXPECT_EQ(ghost_enclave_status(e, &st), 0);
	EXPECT_EQ(st.abi, 90);
	EXPECT_EQ(ghost_enclave_destroy(e), 0);
	ghost_enclave_close(e);
	o.abi = 5;
	EXPECT_EQ(ghost_enclave_create(&e, &o), -ESRCH);
	EXPECT_STREQ(o.failed, "create");
}

TEST_F(settings, members)
{
	struct live *l = &self->l;
	struct ghost_status st;
	uint64_t ns = 0;
	int tids[4];
	pid_t pid;

	EXPECT_EQ(ghost_enclave_members(l->e, tids, 4), 0);
	ASSERT_EQ(live_spawn(l), 0);
	ASSERT_EQ(live_spawn(l), 0);
	ASSERT_TRUE(live_wait(ghost_enclave_members(l->e, tids, 4) == 2));
	EXPECT_TRUE(tids[0] == l->task[0].pid || tids[1] == l->task[0].pid);
	EXPECT_EQ(ghost_enclave_status(l->e, &st), 0);
	EXPECT_EQ(st.abi, GHOST_VERSION);
	EXPECT_TRUE(st.active);
	EXPECT_EQ(st.nr_tasks, 2);
	EXPECT_EQ(st.owner, 0);
	/* max_tasks is 2. */
	pid = fork();
	if (!pid)
		for (;;)
			pause();
	EXPECT_EQ(ghost_enclave_add_task(l->e, pid), -EDQUOT);
	EXPECT_EQ(ghost_enclave_set_tunable(l->e, "max_tasks", 0), 0);
	EXPECT_EQ(ghost_enclave_add_task(l->e, pid), 0);
	EXPECT_EQ(ghost_enclave_members(l->e, tids, 0), 3);
	EXPECT_EQ(ghost_enclave_add_task(l->e, 1LL << 41 | 1), -ESRCH);
	kill(pid, SIGKILL);
	EXPECT_EQ(ghost_task_cpu_time(l->e, l->task[0].gtid, &ns), 0);
	EXPECT_GT(ns, 0);
	EXPECT_EQ(ghost_task_cpu_time(l->e, 1LL << 41 | 1, &ns), -ESRCH);
	l->task[l->nr_tasks++].pid = pid;
}

TEST_F(settings, discovery)
{
	struct live *l = &self->l;
	struct ghost_event ev;
	int found = 0;

	ASSERT_EQ(live_spawn(l), 0);
	ASSERT_EQ(live_spawn(l), 0);
	ASSERT_EQ(live_read(l), 0);
	EXPECT_EQ(ghost_enclave_discover(l->e), 0);
	while (ghost_queue_next(l->q, &ev))
		found += ev.type == MSG_TASK_NEW;
	EXPECT_EQ(found, 2);
}

TEST_F(settings, default_queue)
{
	struct live *l = &self->l;
	struct ghost_queue *q;
	struct ghost_event ev;
	pid_t pid;

	ASSERT_EQ(ghost_queue_create(&q, l->e, 64, -1), 0);
	EXPECT_EQ(ghost_enclave_set_default_queue(l->e, q), 0);
	pid = fork();
	if (!pid)
		for (;;)
			pause();
	EXPECT_EQ(ghost_enclave_add_task(l->e, pid), 0);
	EXPECT_TRUE(live_wait(ghost_queue_next(q, &ev)));
	EXPECT_EQ(ev.type, MSG_TASK_NEW);
	EXPECT_FALSE(ghost_queue_next(l->q, &ev));
	ghost_queue_close(q);
	l->task[l->nr_tasks++].pid = pid;
}

TEST_F(settings, wake_up_list)
{
	int cpus[3] = { 1, 0, 1 };
	struct ghost_queue *q;

	ASSERT_EQ(ghost_queue_create(&q, self->l.e, 64, -1), 0);
	EXPECT_EQ(ghost_queue_set_wakeup(q, cpus, 2), 0);
	EXPECT_EQ(ghost_queue_set_wakeup(q, cpus, 0), 0);
	EXPECT_EQ(ghost_queue_set_wakeup(q, cpus, 3), -EINVAL);
	EXPECT_EQ(ghost_queue_set_wakeup(q, cpus, -1), -EINVAL);
	cpus[0] = 8000;
	EXPECT_EQ(ghost_queue_set_wakeup(q, cpus, 1), -EINVAL);
	ghost_queue_close(q);
}

TEST_F(settings, regions)
{
	struct ghost_sw_info info = { .id = 1 };

	EXPECT_EQ(ghost_enclave_sw(self->l.e, &info), NULL);
	EXPECT_EQ(ghost_enclave_add_region(self->l.e, 0), 0);
	EXPECT_NE(ghost_enclave_sw(self->l.e, &info), NULL);
	EXPECT_EQ(ghost_enclave_add_region(self->l.e, 1000), -ENODEV);
}

TEST_F(settings, cpus)
{
	EXPECT_EQ(ghost_enclave_set_cpus(self->l.e, ""), -EEXIST);
	EXPECT_EQ(ghost_enclave_set_cpus(self->l.e, "x"), -EINVAL);
	EXPECT_EQ(ghost_enclave_nr_cpus(self->l.e), 1);
	EXPECT_EQ(ghost_crew_stop(self->l.crew), 0);
	EXPECT_EQ(ghost_enclave_set_cpus(self->l.e, "0"), 0);
	ASSERT_EQ(ghost_enclave_nr_cpus(self->l.e), 1);
	EXPECT_EQ(ghost_enclave_cpu(self->l.e, 0), 0);
}

static long open_file(struct ghost_agent *agent, void *arg)
{
	struct live *l = arg;
	unsigned long value;

	return ghost_enclave_get_tunable(l->e, "max_tasks", &value);
}

TEST_F(settings, agents_open_no_files)
{
	struct live *l = &self->l;

	EXPECT_EQ(live_call(l, 0, open_file, l), -EDEADLK);
	EXPECT_EQ(ghost_enclave_set_tunable(l->e, "live_dangerously", 1), 0);
	EXPECT_EQ(live_call(l, 0, open_file, l), 0);
}

TEST_F(settings, waiting_for_agents)
{
	struct live *l = &self->l;
	int dir = ghost_enclave_dir(l->e), fd;

	EXPECT_EQ(ghost_enclave_online(l->e), 1);
	EXPECT_EQ(ghost_fs_go_online(dir), -EBUSY);
	EXPECT_EQ(ghost_enclave_wait_online(l->e, true, 0), 0);
	EXPECT_EQ(ghost_enclave_wait_online(l->e, false, 50), -ETIMEDOUT);
	EXPECT_EQ(ghost_crew_stop(l->crew), 0);
	EXPECT_EQ(ghost_enclave_wait_online(l->e, false, 0), 0);
	EXPECT_EQ(ghost_enclave_wait_online(l->e, true, 50), -ETIMEDOUT);
	fd = ghost_fs_go_online(dir);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(ghost_enclave_wait_online(l->e, true, LIVE_WAIT_MS), 0);
	close(fd);
	EXPECT_EQ(ghost_enclave_online(l->e), 0);
}

static void *go_offline(void *arg)
{
	struct live *l = arg;

	usleep(LIVE_QUIET_MS * 1000);
	ghost_crew_stop(l->crew);
	return NULL;
}

TEST_F(settings, woken_when_agents_go)
{
	pthread_t thread;

	ASSERT_EQ(pthread_create(&thread, NULL, go_offline, &self->l), 0);
	EXPECT_EQ(ghost_enclave_wait_online(self->l.e, false, LIVE_WAIT_MS), 0);
	pthread_join(thread, NULL);
}

static void *destroy(void *arg)
{
	usleep(LIVE_QUIET_MS * 1000);
	ghost_enclave_destroy(arg);
	return NULL;
}

TEST_F(settings, woken_when_it_is_destroyed)
{
	pthread_t thread;

	EXPECT_EQ(ghost_crew_stop(self->l.crew), 0);
	ASSERT_EQ(pthread_create(&thread, NULL, destroy, self->l.e), 0);
	EXPECT_EQ(ghost_enclave_wait_online(self->l.e, true, LIVE_WAIT_MS),
		  -ENODEV);
	pthread_join(thread, NULL);
}

static int load_nothing(void)
{
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_SOCKET_FILTER };

	return syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr)) ? -errno :
								      0;
}

/* In a child: there is no way back. */
TEST_F(settings, bpf_ban)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		int before = load_nothing(), after;

		if (ghost_enclave_ban_bpf_load(self->l.e))
			_exit(1);
		after = load_nothing();
		_exit(before != -EPERM && after == -EPERM ? 0 : 2);
	}
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
	EXPECT_NE(load_nothing(), -EPERM);
}

TEST(ephemeral)
{
	struct ghost_enclave_options o = {
		.cpus = "1",
		.flags = GHOST_ENCLAVE_EPHEMERAL,
	};
	const char *problem = ghost_fs_problem(NULL);
	struct ghost_status st;
	struct ghost_enclave *e;
	unsigned long id = 0;
	int pipefd[2], status;
	pid_t pid;

	if (problem)
		SKIP(return, "%s", problem);
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "needs 2 CPUs");
	ASSERT_EQ(pipe(pipefd), 0);
	pid = fork();
	if (!pid) {
		if (ghost_enclave_create(&e, &o) ||
		    ghost_enclave_status(e, &st) || st.owner != getpid())
			_exit(1);
		id = ghost_enclave_id(e);
		_exit(write(pipefd[1], &id, sizeof(id)) != sizeof(id));
	}
	close(pipefd[1]);
	EXPECT_EQ(read(pipefd[0], &id, sizeof(id)), sizeof(id));
	close(pipefd[0]);
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
	EXPECT_TRUE(live_wait(ghost_fs_open_dir(NULL, id) == -ENOENT));
}

TEST_HARNESS_MAIN
