// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Exit records, and the SysRq keys. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "gt.h"

#define STRING_OF(x)	#x
#define STRING(x)	STRING_OF(x)
#define SLOTS		STRING(GT_QUEUE_ELEMS)

#define EXITS		GT_ROOT "/exits"
#define HOG_MAX		"/proc/sys/kernel/ghost_agent_hog_ms"
#define STALL_MAX	"/proc/sys/kernel/ghost_stall_max_ms"
#define SYSRQ		"/proc/sysrq-trigger"
#define KEPT		8
#define RECORD_MAX	(32768 + 64)

static struct gt_agent agent;
static char text[KEPT * RECORD_MAX + 1];

FIXTURE(exits) {
	struct gt_enclave e;
	struct gt_task t;
};

FIXTURE_SETUP(exits)
{
	ASSERT_EQ(0, gt_begin());
	ASSERT_EQ(0, gt_enclave_create(&self->e, "1"))
		TH_LOG("enclave: %s", self->e.step);
	ASSERT_EQ(0, gt_task_start(&self->t));
}

FIXTURE_TEARDOWN(exits)
{
	gt_agent_stop(&agent);
	gt_destroy(&self->e);
	gt_task_end(&self->t);
	gt_enclave_close(&self->e);
}

/* The last record of this enclave, which is the last of all; else "". */
static const char *record_of(int id)
{
	char head[64], *rec = NULL, *next = text;

	if (gt_read_file(EXITS, text, sizeof(text)) < 0)
		return "";
	while ((next = strstr(next, "record "))) {
		if (next == text || next[-1] == '\n')
			rec = next;
		next++;
	}
	snprintf(head, sizeof(head), ": enclave_%d: destroyed by ", id);
	return rec && strstr(rec, head) ? rec : "";
}

/* What the record should say and does not. */
static const char *missing(int id, const char *what)
{
	if (strstr(record_of(id), what))
		return "";
	printf("# %s\n", text);
	return what;
}

#define EXPECT_SAYS(what)	EXPECT_STREQ("", missing(self->e.id, what))

TEST_F(exits, file)
{
	struct stat st;

	ASSERT_EQ(0, stat(EXITS, &st));
	EXPECT_EQ(S_IFREG | 0444, st.st_mode);
	EXPECT_EQ(-EACCES, gt_open(EXITS, O_WRONLY));
	EXPECT_EQ(-EACCES, gt_open(EXITS, O_RDWR));
}

TEST_F(exits, request)
{
	char line[64];

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_destroy(&self->e));
	ASSERT_TRUE(gt_gone(&self->e));
	EXPECT_SAYS("destroyed by request of its owner, ");
	EXPECT_SAYS("members 1, announced 1");
	snprintf(line, sizeof(line), "task %d (", self->t.pid);
	EXPECT_SAYS(line);
	EXPECT_SAYS("default queue of " SLOTS " slots, head ");
	EXPECT_SAYS("cpu 1: runs ");
	EXPECT_SAYS("no agent");
	EXPECT_SAYS("sw_region 0: ");
}

TEST_F(exits, transactions)
{
	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	EXPECT_STATE(GHOST_TXN_TARGET_NOT_FOUND,
		     gt_commit(&agent, 1, &(struct gt_txn){
			.gtid = 12345, .agent_barrier = GT_NOW,
			.commit_flags = COMMIT_AT_TXN_COMMIT }));
	ASSERT_EQ(0, gt_agent_stop(&agent));
	ASSERT_EQ(0, gt_destroy(&self->e));
	EXPECT_SAYS("cpu 1: last transaction TARGET_NOT_FOUND, gtid 12345, ");
}

/* Each that has a descriptor, and whose message found no room in it. */
TEST_F(exits, queues)
{
	struct gt_queue small;
	char line[64];
	int i;

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_queue_create(self->e.ctl, 64, &small));
	ASSERT_EQ(0, gt_assoc(&self->e, small.fd, self->t.gtid, 1));
	for (i = 0; i < 24; i++)
		ASSERT_EQ(0, setpriority(PRIO_PROCESS, self->t.pid, !(i & 1)));
	ASSERT_EQ(0, gt_destroy(&self->e));
	ASSERT_TRUE(gt_gone(&self->e));
	EXPECT_SAYS("\ndefault queue of " SLOTS " slots, head ");
	EXPECT_SAYS("\nqueue of 64 slots, head 63, tail 0, overflow ");
	snprintf(line, sizeof(line), "task %d (exits) S on cpu ", self->t.pid);
	EXPECT_SAYS(line);
	EXPECT_SAYS(", a message of it found no room\n");
	gt_queue_close(&small);
}

TEST_F(exits, many_queues)
{
	int fd[80], i;

	for (i = 0; i < 80; i++) {
		struct ghost_ioc_create_queue arg = { .elems = 16 };

		fd[i] = gt_ioctl(self->e.ctl, GHOST_IOC_CREATE_QUEUE, &arg);
		ASSERT_LE(0, fd[i]);
	}
	ASSERT_EQ(0, gt_destroy(&self->e));
	ASSERT_TRUE(gt_gone(&self->e));
	EXPECT_SAYS("\nand queues more\n");
	for (i = 0; i < 80; i++)
		close(fd[i]);
}

/* The agent has died, and nobody has come in its place. */
TEST_F(exits, stall_names_the_task)
{
	pid_t host = gt_host_start(&self->e, 1, NULL, NULL);
	char line[64], was[32];
	bool gone;

	ASSERT_LT(0, host);
	kill(host, SIGKILL);
	ASSERT_EQ(host, waitpid(host, NULL, 0));
	ASSERT_LT(0, gt_read_file(STALL_MAX, was, sizeof(was)));
	ASSERT_EQ(1, gt_file_put(&self->e, "runnable_timeout", "0"));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(4, gt_write_file(STALL_MAX, "1000"));
	gt_tell(&self->t, GT_SPIN);
	gone = gt_gone(&self->e);
	gt_write_file(STALL_MAX, was);
	ASSERT_TRUE(gone);
	EXPECT_SAYS("destroyed by ghost_stall_max_ms, ");
	snprintf(line, sizeof(line), "task %d (exits) waited for ", self->t.pid);
	EXPECT_SAYS(line);
	EXPECT_SAYS(" ms on cpu ");
	EXPECT_SAYS("\nno agent was able to run\n");
}

TEST_F(exits, timeout_names_the_task)
{
	char line[64];
	const char *ms;
	pid_t host = gt_host_start(&self->e, 1, NULL, NULL);

	ASSERT_LT(0, host);
	ASSERT_EQ(3, gt_file_put(&self->e, "runnable_timeout", "500"));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	ASSERT_TRUE(gt_gone(&self->e));
	EXPECT_EQ(host, waitpid(host, NULL, 0));
	EXPECT_SAYS("destroyed by runnable_timeout, ");
	snprintf(line, sizeof(line), "task %d (exits) waited for ", self->t.pid);
	EXPECT_SAYS(line);
	EXPECT_SAYS(" ms on cpu ");
	EXPECT_STRNE("", missing(self->e.id, "\nno agent was able to run\n"));
	ms = strstr(text, line);
	if (ms)
		EXPECT_LE(500, atoi(ms + strlen(line)));
	EXPECT_SAYS(", waits for ");
	EXPECT_SAYS(" parked, barrier ");
	EXPECT_SAYS("cpu 1: queue of " SLOTS " slots, ");
}

static long spin_for_ever(struct gt_agent *a, void *arg)
{
	for (;;)
		;
	return 0;
}

TEST_F(exits, hog)
{
	struct gt_task cfs = { 0 };
	char hog[32];
	pid_t host;

	ASSERT_LT(0, gt_read_file(HOG_MAX, hog, sizeof(hog)));
	ASSERT_EQ(4, gt_write_file(HOG_MAX, "1000"));
	ASSERT_EQ(0, gt_task_start(&cfs));
	ASSERT_EQ(0, gt_pin(cfs.pid, 1));
	gt_tell(&cfs, GT_SPIN);
	ASSERT_TRUE(gt_spins(&cfs));
	host = gt_host_start(&self->e, 1, spin_for_ever, NULL);
	EXPECT_LT(0, host);
	EXPECT_TRUE(gt_gone(&self->e));
	gt_write_file(HOG_MAX, hog);
	EXPECT_EQ(host, waitpid(host, NULL, 0));
	gt_task_end(&cfs);
	EXPECT_SAYS("destroyed by ghost_agent_hog_ms, ");
	EXPECT_SAYS(" kept others waiting for ");
	EXPECT_SAYS(" on cpu 1\n");
}

TEST_F(exits, owner)
{
	pid_t child = fork();

	ASSERT_LE(0, child);
	if (!child) {
		gt_write_file(GT_ROOT "/ctl", "create 5002 91 ephemeral");
		_exit(0);
	}
	ASSERT_EQ(child, waitpid(child, NULL, 0));
	ASSERT_TRUE(gt_wait_for(access(GT_ROOT "/enclave_5002", F_OK)));
	EXPECT_NE(NULL, strstr(record_of(5002), "destroyed by the end of its owner"))
		TH_LOG("%s", text);
}

/* Only the last ones are kept, and they are numbered. */
TEST_F(exits, kept)
{
	unsigned long nr, last = 0;
	char *line = text;
	int i, n = 0;

	for (i = 0; i < KEPT + 4; i++) {
		struct gt_enclave e;

		ASSERT_EQ(0, gt_enclave_bare(&e));
		ASSERT_EQ(0, gt_destroy(&e));
		ASSERT_TRUE(gt_gone(&e));
		gt_enclave_close(&e);
	}
	ASSERT_LT(0, gt_read_file(EXITS, text, sizeof(text)));
	for (; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		if (sscanf(line, "record %lu: enclave_", &nr) != 1)
			continue;
		if (n++)
			EXPECT_EQ(last + 1, nr);
		last = nr;
	}
	EXPECT_EQ(KEPT, n);
}

/* However much there is to tell. */
TEST_F(exits, bounded)
{
	struct gt_task t[48];
	int i, n = 0;
	char *p;

	for (i = 0; i < 48; i++) {
		ASSERT_EQ(0, gt_task_start(&t[i]));
		ASSERT_EQ(0, gt_join_asleep(&self->e, &t[i], NULL));
	}
	ASSERT_EQ(0, gt_destroy(&self->e));
	ASSERT_TRUE(gt_gone(&self->e));
	EXPECT_SAYS("\nand 16 tasks more\n");
	for (p = (char *)record_of(self->e.id); (p = strstr(p, "\ntask ")); p++)
		n++;
	EXPECT_EQ(32, n);
	for (i = 0; i < 48; i++)
		gt_task_end(&t[i]);
}

TEST_F(exits, sysrq_destroys)
{
	struct gt_enclave other;
	pid_t host;

	ASSERT_EQ(0, gt_enclave_bare(&other));
	host = gt_host_start(&self->e, 1, NULL, NULL);
	ASSERT_LT(0, host);
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	ASSERT_EQ(1, gt_write_file(SYSRQ, "G"));
	EXPECT_TRUE(gt_gone(&self->e));
	EXPECT_TRUE(gt_gone(&other));
	EXPECT_EQ(host, waitpid(host, NULL, 0));
	EXPECT_TRUE(gt_wait_for(gt_policy(self->t.pid) == SCHED_OTHER));
	EXPECT_TRUE(gt_spins(&self->t));
	ASSERT_LT(0, gt_read_file(EXITS, text, sizeof(text)));
	EXPECT_NE(NULL, strstr(text, "destroyed by SysRq, "));
	gt_enclave_close(&other);
}

/* Which of @want are in what the kernel says of the SysRq @key, as bits. */
static unsigned int says(const char *key, const char want[][64], int nr)
{
	int kmsg = gt_open("/dev/kmsg", O_RDONLY | O_NONBLOCK), i;
	unsigned int found = 0;
	char line[2048];
	ssize_t n;

	lseek(kmsg, 0, SEEK_END);
	gt_write_file(SYSRQ, key);
	while ((n = read(kmsg, line, sizeof(line) - 1)) > 0) {
		line[n] = '\0';
		for (i = 0; i < nr; i++)
			found |= strstr(line, want[i]) ? 1U << i : 0;
	}
	close(kmsg);
	return found;
}

TEST_F(exits, sysrq_shows)
{
	char want[2][64];

	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	snprintf(want[0], 64, "ghost: enclave_%d:", self->e.id);
	snprintf(want[1], 64, "task %d (exits) S on cpu ", self->t.pid);
	EXPECT_EQ(0x3, says("E", want, 2));
	EXPECT_EQ(0, access(self->e.dir, F_OK));
}

TEST_F(exits, task_headers)
{
	char want[3][64];

	ASSERT_EQ(0, gt_agent_start(&agent, &self->e, 1, -1));
	ASSERT_EQ(0, gt_join_asleep(&self->e, &self->t, NULL));
	snprintf(want[0], 64, "Sched_ghost: agent of enclave_%d, barrier ", self->e.id);
	snprintf(want[1], 64, "Sched_ghost: task of enclave_%d, barrier ", self->e.id);
	snprintf(want[2], 64, "Sched_ghost: cpu of enclave_%d, ", self->e.id);
	EXPECT_EQ(0x3, says("t", want, 3));
	/* A busy CPU shows its own registers, as in a warning or an oops. */
	ASSERT_EQ(0, gt_wake_spinner(&self->e, &self->t, NULL));
	ASSERT_EQ(GHOST_TXN_COMPLETE, gt_schedule(&agent, 1, &self->t, 0));
	ASSERT_TRUE(gt_runs(&agent, 1, &self->t));
	EXPECT_TRUE(gt_wait_for((gt_put_back(&agent, 1, &self->t),
				 says("l", want, 3) & 0x4)));
}

TEST_HARNESS_MAIN
