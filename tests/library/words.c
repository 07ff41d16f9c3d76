// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Names, hints, CPU lists, and what the library says when there is nothing. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fake.h"
#include "kselftest_harness.h"

TEST(state_names)
{
	EXPECT_STREQ(ghost_txn_state_name(GHOST_TXN_COMPLETE), "COMPLETE");
	EXPECT_STREQ(ghost_txn_state_name(GHOST_TXN_TARGET_STALE),
		     "TARGET_STALE");
	EXPECT_STREQ(ghost_txn_state_name(GHOST_TXN_CPU_UNAVAIL),
		     "CPU_UNAVAIL");
	EXPECT_STREQ(ghost_txn_state_name(GHOST_TXN_POISONED), "POISONED");
	EXPECT_STREQ(ghost_txn_state_name(GHOST_TXN_POISONED + 1), "UNKNOWN");
	EXPECT_STREQ(ghost_txn_state_name(-1), "UNKNOWN");
	EXPECT_STREQ(ghost_txn_state_name(GHOST_TXN_READY), "READY");
	EXPECT_STREQ(ghost_txn_state_name(0), "CLAIMED");
}

TEST(every_refusal_has_a_hint)
{
	int32_t state;

	EXPECT_EQ(ghost_txn_state_hint(GHOST_TXN_COMPLETE), NULL);
	EXPECT_EQ(ghost_txn_state_hint(GHOST_TXN_READY), NULL);
	EXPECT_EQ(ghost_txn_state_hint(0), NULL);
	for (state = GHOST_TXN_ABORTED; state <= GHOST_TXN_POISONED; state++)
		EXPECT_NE(ghost_txn_state_hint(state), NULL)
			TH_LOG("%s", ghost_txn_state_name(state));
}

TEST(message_names)
{
	int type;

	EXPECT_STREQ(ghost_msg_name(MSG_NOP), "NOP");
	EXPECT_STREQ(ghost_msg_name(MSG_TASK_DEAD), "TASK_DEAD");
	EXPECT_STREQ(ghost_msg_name(MSG_TASK_PREEMPT), "TASK_PREEMPT");
	EXPECT_STREQ(ghost_msg_name(MSG_TASK_LATCH_FAILURE),
		     "TASK_LATCH_FAILURE");
	EXPECT_STREQ(ghost_msg_name(MSG_CPU_TICK), "CPU_TICK");
	EXPECT_STREQ(ghost_msg_name(MSG_CPU_AGENT_WAKEUP), "CPU_AGENT_WAKEUP");
	EXPECT_STREQ(ghost_msg_name(1), "UNKNOWN");
	EXPECT_STREQ(ghost_msg_name(-1), "UNKNOWN");
	EXPECT_STREQ(ghost_msg_name(GHOST_TASK_MSG_LAST), "UNKNOWN");
	EXPECT_STREQ(ghost_msg_name(GHOST_CPU_MSG_LAST), "UNKNOWN");
	for (type = MSG_TASK_DEAD; type <= MSG_TASK_LATCH_FAILURE; type++)
		EXPECT_STRNE(ghost_msg_name(type), "UNKNOWN");
	for (type = MSG_CPU_TICK; type <= MSG_CPU_AGENT_WAKEUP; type++)
		EXPECT_STRNE(ghost_msg_name(type), "UNKNOWN");
}

TEST(hints)
{
	EXPECT_NE(ghost_hint(-EBUSY), NULL);
	EXPECT_NE(ghost_hint(-EXDEV), NULL);
	EXPECT_NE(ghost_hint(-ESTALE), NULL);
	EXPECT_NE(ghost_hint(-ECANCELED), NULL);
	EXPECT_EQ(ghost_hint(0), NULL);
	EXPECT_EQ(ghost_hint(-ENOTTY), NULL);
}

TEST(cpu_lists)
{
	int cpus[4];

	EXPECT_EQ(ghost_parse_cpus("", cpus, 4), 0);
	EXPECT_EQ(ghost_parse_cpus("\n", cpus, 4), 0);
	EXPECT_EQ(ghost_parse_cpus("3", cpus, 4), 1);
	EXPECT_EQ(cpus[0], 3);
	ASSERT_EQ(ghost_parse_cpus("0-2,7\n", cpus, 4), 4);
	EXPECT_EQ(cpus[0], 0);
	EXPECT_EQ(cpus[2], 2);
	EXPECT_EQ(cpus[3], 7);
	EXPECT_EQ(ghost_parse_cpus("0-4", cpus, 4), -ERANGE);
	EXPECT_EQ(ghost_parse_cpus("99999999999", cpus, 4), -ERANGE);
	EXPECT_EQ(ghost_parse_cpus("2-1", cpus, 4), -EINVAL);
	EXPECT_EQ(ghost_parse_cpus("1,1", cpus, 4), -EINVAL);
	EXPECT_EQ(ghost_parse_cpus("a", cpus, 4), -EINVAL);
	EXPECT_EQ(ghost_parse_cpus("1-", cpus, 4), -EINVAL);
	EXPECT_EQ(ghost_parse_cpus("-1", cpus, 4), -EINVAL);
	EXPECT_EQ(ghost_parse_cpus("1 2", cpus, 4), -EINVAL);
}

TEST(root_comes_from_argument_then_environment)
{
	unsetenv("GHOST_ROOT");
	EXPECT_STREQ(ghost_fs_root(NULL), GHOST_FS_DEFAULT_ROOT);
	setenv("GHOST_ROOT", "/nowhere", 1);
	EXPECT_STREQ(ghost_fs_root(NULL), "/nowhere");
	EXPECT_STREQ(ghost_fs_root("/there"), "/there");
}

TEST(nothing_mounted)
{
	struct ghost_enclave *e;
	unsigned int versions[4];
	unsigned long ids[4];

	EXPECT_EQ(ghost_fs_versions("/nowhere", versions, 4), -ENOENT);
	EXPECT_NE(ghost_fs_problem("/nowhere"), NULL);
	EXPECT_EQ(ghost_fs_list("/nowhere", ids, 4), -ENOENT);
	EXPECT_EQ(ghost_enclave_open(&e, "/nowhere", 1), -ENOENT);
}

FIXTURE(files) {
	struct fake fake;
	struct ghost_enclave *e;
};

FIXTURE_SETUP(files)
{
	ASSERT_EQ(fake_setup(&self->fake), 0);
	ASSERT_EQ(ghost_enclave_open(&self->e, self->fake.root, FAKE_ID), 0);
}

FIXTURE_TEARDOWN(files)
{
	ghost_enclave_close(self->e);
	fake_teardown(&self->fake);
}

TEST_F(files, opens)
{
	unsigned long ids[4];

	EXPECT_EQ(ghost_fs_list(self->fake.root, ids, 4), 1);
	EXPECT_EQ(ids[0], FAKE_ID);
	EXPECT_EQ(ghost_enclave_id(self->e), FAKE_ID);
	ASSERT_EQ(ghost_enclave_nr_cpus(self->e), 3);
	EXPECT_EQ(ghost_enclave_cpu(self->e, 0), 1);
	EXPECT_EQ(ghost_enclave_cpu(self->e, 2), 5);
	EXPECT_EQ(ghost_enclave_cpu(self->e, 3), -EINVAL);
	EXPECT_EQ(ghost_enclave_online(self->e), 0);
	EXPECT_NE(ghost_enclave_txn(self->e, FAKE_CPUS - 1), NULL);
	EXPECT_EQ(ghost_enclave_txn(self->e, FAKE_CPUS), NULL);
	EXPECT_EQ(ghost_enclave_txn(self->e, -1), NULL);
}

TEST_F(files, finds_status_words)
{
	struct ghost_sw_info info = { .id = 0, .index = 3 };
	const struct ghost_status_word *sw;

	fake_sw(&self->fake, 3)->gtid = 42;
	sw = ghost_enclave_sw(self->e, &info);
	ASSERT_NE(sw, NULL);
	EXPECT_EQ(ghost_sw_gtid(sw), 42);
	info.index = GHOST_SW_REGION_CAPACITY;
	EXPECT_EQ(ghost_enclave_sw(self->e, &info), NULL);
	info.index = 0;
	info.id = 1;
	EXPECT_EQ(ghost_enclave_sw(self->e, &info), NULL);
	info.id = GHOST_NO_SW;
	EXPECT_EQ(ghost_enclave_sw(self->e, &info), NULL);
}

/* "ctl" is a file here, so the command can be read back. */
TEST_F(files, makes_room_when_words_get_few)
{
	char text[64];

	EXPECT_EQ(ghost_enclave_make_room(self->e), 0);
	self->fake.region->available = 10;
	/* No kernel creates the region: the command is right, the map fails. */
	EXPECT_EQ(ghost_enclave_make_room(self->e), -ENOENT);
	ASSERT_GT(ghost_fs_read(ghost_enclave_dir(self->e), "ctl", text,
				sizeof(text)), 0);
	EXPECT_STREQ(text, "create sw_region 1 0");
}

TEST_F(files, reads_and_writes_files)
{
	int dir = ghost_enclave_dir(self->e);
	char text[8];

	EXPECT_EQ(ghost_fs_add_task(dir, 1234), 0);
	EXPECT_EQ(ghost_fs_read(dir, "tasks", text, sizeof(text)), 4);
	EXPECT_STREQ(text, "1234");
	EXPECT_EQ(ghost_fs_read(dir, "tasks", text, 4), -EOVERFLOW);
	EXPECT_EQ(ghost_fs_set_cpus(dir, "4-5"), 0);
	EXPECT_EQ(ghost_fs_read(dir, "nothing", text, sizeof(text)), -ENOENT);
	/* An ordinary file knows no ioctl: the errno comes through. */
	EXPECT_EQ(ghost_sys_null(ghost_enclave_ctl(self->e)), -ENOTTY);
}

TEST_HARNESS_MAIN
