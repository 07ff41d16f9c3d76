// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* ghostfs: mounts, versions, owners, options, opening, agent_online. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"

#define ELSEWHERE	"/tmp/ghost-elsewhere"
#define NOBODY		65534

static struct gt_agent agent;

FIXTURE(tree) {
	struct gt_enclave e;
};

FIXTURE_SETUP(tree)
{
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
}

FIXTURE_TEARDOWN(tree)
{
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	gt_enclave_close(&self->e);
}

static int make(const char *cmd)
{
	return gt_write_file(GT_ROOT "/ctl", cmd);
}

static int destroy(int id)
{
	char path[64];

	snprintf(path, sizeof(path), GT_ROOT "/enclave_%d/ctl", id);
	return gt_write_file(path, "destroy");
}

/* ---- the file system ---- */

TEST_F(tree, type_and_magic)
{
	char buf[4096];
	struct statfs st;

	ASSERT_LT(0, gt_read_file("/proc/filesystems", buf, sizeof(buf)));
	EXPECT_NE(NULL, strstr(buf, "nodev\tghost\n"));
	ASSERT_EQ(0, statfs(GT_ROOT, &st));
	EXPECT_EQ(0xBAD1DEA2, st.f_type);
}

TEST_F(tree, mounts_show_one_tree)
{
	struct stat here, there;
	char path[128];

	mkdir(ELSEWHERE, 0755);
	ASSERT_EQ(0, mount("ghost", ELSEWHERE, "ghost", 0, NULL));
	snprintf(path, sizeof(path), ELSEWHERE "/enclave_%d/ctl", self->e.id);
	EXPECT_EQ(0, stat(path, &there));
	snprintf(path, sizeof(path), "%s/ctl", self->e.dir);
	ASSERT_EQ(0, stat(path, &here));
	EXPECT_EQ(here.st_ino, there.st_ino);
	EXPECT_EQ(here.st_dev, there.st_dev);
	/* What is made or removed in one is so in both. */
	EXPECT_EQ(14, gt_write_file(ELSEWHERE "/ctl", "create 5200 91"));
	EXPECT_EQ(0, access(GT_ROOT "/enclave_5200/status", F_OK));
	EXPECT_EQ(7, destroy(5200));
	EXPECT_TRUE(gt_wait_for(access(ELSEWHERE "/enclave_5200", F_OK)));
	EXPECT_EQ(0, umount(ELSEWHERE));
	EXPECT_EQ(0, access(path, F_OK));
}

TEST_F(tree, mount_is_for_the_initial_user_namespace)
{
	int status;
	pid_t pid;

	pid = fork();
	if (!pid) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNS))
			_exit(errno == EINVAL ? 77 : 1);
		mkdir(ELSEWHERE, 0755);
		_exit(!mount("ghost", ELSEWHERE, "ghost", 0, NULL) ||
		      errno != EPERM);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	if (WEXITSTATUS(status) == 77)
		SKIP(return, "a kernel without user namespaces");
	EXPECT_EQ(0, status);
}

/* ---- versions, names, owners ---- */

TEST_F(tree, version_lists_every_abi)
{
	char buf[64];

	ASSERT_LT(0, gt_read_file(GT_ROOT "/version", buf, sizeof(buf)));
	EXPECT_STREQ("90\n91\n", buf);
}

TEST_F(tree, enclave_of_abi_90)
{
	char buf[64];

	ASSERT_EQ(14, make("create 5200 90"));
	gt_read_file(GT_ROOT "/enclave_5200/abi_version", buf, sizeof(buf));
	EXPECT_STREQ("90\n", buf);
	gt_read_file(GT_ROOT "/enclave_5200/status", buf, sizeof(buf));
	EXPECT_STREQ("version 90\nactive no\nnr_tasks 0\n", buf);
	gt_read_file(GT_ROOT "/enclave_5200/ctl", buf, sizeof(buf));
	EXPECT_STREQ("5200", buf);
	EXPECT_EQ(7, destroy(5200));
}

TEST_F(tree, name_is_taken_before_options_are_read)
{
	char cmd[64];

	snprintf(cmd, sizeof(cmd), "create %d 91 gid=x", self->e.id);
	EXPECT_EQ(-EEXIST, make(cmd));
	snprintf(cmd, sizeof(cmd), "create %d 91 colour", self->e.id);
	EXPECT_EQ(-EEXIST, make(cmd));
}

TEST_F(tree, options_are_separated_by_spaces)
{
	char buf[128];
	struct stat st;

	ASSERT_LT(0, make("create 5200 91  gid=78   ephemeral "));
	ASSERT_EQ(0, stat(GT_ROOT "/enclave_5200", &st));
	EXPECT_EQ(78, st.st_gid);
	gt_read_file(GT_ROOT "/enclave_5200/status", buf, sizeof(buf));
	EXPECT_NE(NULL, strstr(buf, "\nephemeral "));
	EXPECT_EQ(7, destroy(5200));
}

TEST_F(tree, owner_is_the_effective_user)
{
	DIR *d;
	struct dirent *ent;
	struct stat st;
	int ret, n = 0;

	/* The group root may write to ctl. */
	ASSERT_EQ(0, seteuid(NOBODY));
	ret = make("create 5200 91");
	ASSERT_EQ(0, seteuid(0));
	ASSERT_EQ(14, ret);
	d = opendir(GT_ROOT "/enclave_5200");
	ASSERT_NE(NULL, d);
	while ((ent = readdir(d))) {
		if (!strcmp(ent->d_name, ".."))
			continue;
		ASSERT_EQ(0, fstatat(dirfd(d), ent->d_name, &st, 0));
		EXPECT_EQ(NOBODY, st.st_uid) TH_LOG("%s", ent->d_name);
		EXPECT_EQ(0, st.st_gid) TH_LOG("%s", ent->d_name);
		n++;
	}
	closedir(d);
	EXPECT_LE(20, n);
	EXPECT_EQ(7, destroy(5200));
}

TEST_F(tree, tasks_can_be_closed)
{
	struct stat st;
	char path[128];

	snprintf(path, sizeof(path), "%s/tasks", self->e.dir);
	ASSERT_EQ(0, chmod(path, 0600));
	ASSERT_EQ(0, stat(path, &st));
	EXPECT_EQ(S_IFREG | 0600, st.st_mode);
	ASSERT_EQ(0, seteuid(NOBODY));
	EXPECT_EQ(-EACCES, gt_open(path, O_WRONLY));
	ASSERT_EQ(0, seteuid(0));
	ASSERT_EQ(0, chown(path, 1, 2));
	ASSERT_EQ(0, stat(path, &st));
	EXPECT_EQ(1, st.st_uid);
	EXPECT_EQ(2, st.st_gid);
}

/* ---- opening ---- */

static long try_open(struct gt_agent *a, void *name)
{
	int fd = gt_file(a->e, name, O_RDONLY);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 0;
}

TEST_F(tree, agents_that_live_dangerously_may_open)
{
	static const char * const names[] = {
		"status", "ctl", "tasks", "cpulist", "cpu_data",
		"sw_regions/sw_0", "agent_online",
	};
	int i;

	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		EXPECT_EQ(i == ARRAY_SIZE(names) - 1 ? 0 : -EDEADLK,
			  gt_call(&agent, try_open, (void *)names[i]))
			TH_LOG("%s", names[i]);
	}
	ASSERT_EQ(1, gt_file_put(&self->e, "live_dangerously", "1"));
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		EXPECT_EQ(0, gt_call(&agent, try_open, (void *)names[i]))
			TH_LOG("%s", names[i]);
	}
}

/* ---- agent_online ---- */

#define NEWS	(EPOLLERR | EPOLLPRI)

TEST_F(tree, online_is_news_until_read)
{
	struct epoll_event ev = { .events = EPOLLET | EPOLLIN | EPOLLPRI };
	struct pollfd p = { .events = POLLIN | POLLOUT | POLLPRI };
	int reader, fd, ep = epoll_create1(0);
	char c;

	reader = gt_file(&self->e, "agent_online", O_RDONLY);
	ASSERT_LE(0, reader);
	ASSERT_EQ(1, read(reader, &c, 1));
	p.fd = reader;
	ASSERT_EQ(1, poll(&p, 1, 0));
	EXPECT_EQ(POLLIN | POLLOUT, p.revents);
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, reader, &ev));
	/* The first wait returns at once, the next one after a change. */
	ASSERT_EQ(1, epoll_wait(ep, &ev, 1, 0));
	EXPECT_EQ(EPOLLIN, ev.events);
	EXPECT_EQ(0, epoll_wait(ep, &ev, 1, GT_QUIET_MS));

	fd = gt_file(&self->e, "agent_online", O_RDWR);
	ASSERT_LE(0, fd);
	ASSERT_EQ(1, epoll_wait(ep, &ev, 1, GT_WAIT_MS));
	EXPECT_EQ(NEWS, ev.events & NEWS);
	ASSERT_EQ(1, poll(&p, 1, 0));
	EXPECT_EQ(NEWS, p.revents & NEWS) TH_LOG("not read yet");
	EXPECT_EQ(1, pread(reader, &c, 1, 0));
	EXPECT_EQ('1', c);
	ASSERT_EQ(1, poll(&p, 1, 0));
	EXPECT_EQ(POLLIN | POLLOUT, p.revents);

	close(fd);
	ASSERT_EQ(1, epoll_wait(ep, &ev, 1, GT_WAIT_MS));
	EXPECT_EQ(NEWS, ev.events & NEWS);
	EXPECT_EQ(1, pread(reader, &c, 1, 0));
	EXPECT_EQ('0', c);
	close(ep);
	close(reader);
}

/* Does a watch of the file itself tell of a change? */
static bool modified(int in)
{
	struct pollfd p = { .fd = in, .events = POLLIN };
	struct inotify_event ev;

	return poll(&p, 1, GT_WAIT_MS) == 1 &&
		read(in, &ev, sizeof(ev)) == sizeof(ev) && ev.mask == IN_MODIFY;
}

TEST_F(tree, online_is_a_modification)
{
	char path[128];
	int in, fd;

	in = inotify_init1(0);
	ASSERT_LE(0, in);
	snprintf(path, sizeof(path), "%s/agent_online", self->e.dir);
	ASSERT_LE(0, inotify_add_watch(in, path, IN_MODIFY));
	fd = gt_file(&self->e, "agent_online", O_RDWR);
	ASSERT_LE(0, fd);
	EXPECT_TRUE(modified(in));
	close(fd);
	EXPECT_TRUE(modified(in));
	close(in);
}

TEST_F(tree, online_has_many_readers)
{
	int fds[32], i;

	for (i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = gt_file(&self->e, "agent_online",
				 i == 16 ? O_RDWR : O_RDONLY);
		EXPECT_LE(0, fds[i]);
	}
	EXPECT_EQ(-EBUSY, gt_file(&self->e, "agent_online", O_WRONLY));
	for (i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
}

TEST_F(tree, online_ends_with_the_process)
{
	char buf[8] = "";
	int to[2];
	pid_t pid;
	char c;

	ASSERT_EQ(0, pipe(to));
	pid = fork();
	if (!pid) {
		if (gt_file(&self->e, "agent_online", O_RDWR) < 0)
			_exit(1);
		if (write(to[1], "x", 1) == 1)
			pause();
		_exit(2);
	}
	ASSERT_EQ(1, read(to[0], &c, 1));
	gt_file_get(&self->e, "agent_online", buf, sizeof(buf));
	EXPECT_STREQ("1", buf);
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	EXPECT_TRUE(gt_wait_for(gt_file_get(&self->e, "agent_online", buf,
					    sizeof(buf)) == 1 &&
				buf[0] == '0'));
}

TEST_F(tree, offline_changes_nothing_else)
{
	struct gt_task t = { 0 };
	char buf[128], want[128];
	int fd;

	/* A child has its own descriptors, and this one would be among them. */
	ASSERT_EQ(0, gt_task_start(&t));
	fd = gt_file(&self->e, "agent_online", O_RDWR);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, gt_join_asleep(&self->e, &t, NULL));
	close(fd);
	gt_sleep_ms(GT_QUIET_MS);
	EXPECT_EQ(SCHED_GHOST, gt_policy(t.pid));
	gt_file_get(&self->e, "status", buf, sizeof(buf));
	EXPECT_STREQ("version 91\nactive no\nnr_tasks 1\n", buf);
	snprintf(want, sizeof(want), "%d\n", t.pid);
	gt_file_get(&self->e, "tasks", buf, sizeof(buf));
	EXPECT_STREQ(want, buf);
	EXPECT_EQ(-ETIMEDOUT, gt_next(&self->e.q, GT_ANY, 0, NULL));
	gt_destroy(&self->e);
	gt_task_end(&t);
}

TEST_F(tree, destroy_is_news_for_readers_of_online)
{
	struct pollfd p = { .events = POLLIN | POLLPRI };
	int fd = gt_file(&self->e, "agent_online", O_RDWR);
	char c;

	ASSERT_LE(0, fd);
	p.fd = gt_file(&self->e, "agent_online", O_RDONLY);
	ASSERT_EQ(1, read(p.fd, &c, 1));
	ASSERT_EQ(0, gt_destroy(&self->e));
	ASSERT_TRUE(gt_gone(&self->e));
	ASSERT_EQ(1, poll(&p, 1, 0));
	EXPECT_EQ(NEWS, p.revents & NEWS);
	EXPECT_EQ(-1, pread(p.fd, &c, 1, 0));
	EXPECT_EQ(ENODEV, errno);
	close(fd);
	close(p.fd);
}

TEST_HARNESS_MAIN
