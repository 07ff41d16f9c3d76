// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Files of an enclave, read and written; they are ordinary ones here. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>

#include "fake.h"
#include "kselftest_harness.h"

FIXTURE(settings) {
	struct fake fake;
	struct ghost_enclave *e;
	int dir;
};

FIXTURE_SETUP(settings)
{
	ASSERT_EQ(fake_setup(&self->fake), 0);
	ASSERT_EQ(ghost_enclave_open(&self->e, self->fake.root, FAKE_ID), 0);
	self->dir = ghost_enclave_dir(self->e);
}

FIXTURE_TEARDOWN(settings)
{
	ghost_enclave_close(self->e);
	fake_teardown(&self->fake);
}

TEST_F(settings, status)
{
	struct ghost_status st;

	EXPECT_EQ(ghost_enclave_status(self->e, &st), -ENOENT);
	close(fake_file(&self->fake, "status",
			"version 91\nactive yes\nnr_tasks 12\n"));
	ASSERT_EQ(ghost_enclave_status(self->e, &st), 0);
	EXPECT_EQ(st.abi, 91);
	EXPECT_TRUE(st.active);
	EXPECT_EQ(st.nr_tasks, 12);
	EXPECT_EQ(st.owner, 0);
	/* Lines that are not known yet may come in between. */
	close(fake_file(&self->fake, "status",
			"version 90\nactive no\nx\nnr_tasks 0\nephemeral 77\n"));
	ASSERT_EQ(ghost_enclave_status(self->e, &st), 0);
	EXPECT_EQ(st.abi, 90);
	EXPECT_FALSE(st.active);
	EXPECT_EQ(st.owner, 77);
	close(fake_file(&self->fake, "status", "active no\nnr_tasks 0\n"));
	EXPECT_EQ(ghost_enclave_status(self->e, &st), -EPROTO);
}

TEST_F(settings, members)
{
	int tids[2] = { 0, 0 };

	EXPECT_EQ(ghost_enclave_members(self->e, tids, 2), 0);
	close(fake_file(&self->fake, "tasks", "11\n12\n13\n"));
	EXPECT_EQ(ghost_enclave_members(self->e, tids, 2), 3);
	EXPECT_EQ(tids[0], 11);
	EXPECT_EQ(tids[1], 12);
	EXPECT_EQ(ghost_enclave_members(self->e, NULL, 0), 3);
}

TEST_F(settings, tunables)
{
	unsigned long value = 0;
	char text[64];

	EXPECT_EQ(ghost_enclave_get_tunable(self->e, "max_tasks", &value),
		  -ENOENT);
	EXPECT_EQ(ghost_enclave_set_tunable(self->e, "max_tasks", 5), -ENOENT);
	close(fake_file(&self->fake, "max_tasks", "17"));
	ASSERT_EQ(ghost_enclave_get_tunable(self->e, "max_tasks", &value), 0);
	EXPECT_EQ(value, 17);
	ASSERT_EQ(ghost_enclave_set_tunable(self->e, "max_tasks", 23), 0);
	ASSERT_EQ(ghost_fs_read(self->dir, "max_tasks", text, sizeof(text)), 2);
	EXPECT_STREQ(text, "23");
	close(fake_file(&self->fake, "max_tasks", "many"));
	EXPECT_EQ(ghost_enclave_get_tunable(self->e, "max_tasks", &value),
		  -EINVAL);
	close(fake_file(&self->fake, "max_tasks", ""));
	EXPECT_EQ(ghost_enclave_get_tunable(self->e, "max_tasks", &value),
		  -EINVAL);
}

TEST_F(settings, not_a_tunable)
{
	static const char * const names[] = {
		"ctl", "cpulist", "agent_online", "tasks", "sw_regions",
		"../enclave_7/max_tasks",
	};
	unsigned long value;
	char text[64];
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		EXPECT_EQ(ghost_enclave_get_tunable(self->e, names[i], &value),
			  -EINVAL) TH_LOG("%s", names[i]);
		if (strcmp(names[i], "sw_regions"))
			EXPECT_EQ(ghost_enclave_set_tunable(self->e, names[i],
							    1), -EINVAL);
	}
	ASSERT_GT(ghost_fs_read(self->dir, "ctl", text, sizeof(text)), 0);
	EXPECT_STREQ(text, "7");
}

TEST_F(settings, tunables_are_listed)
{
	const struct ghost_tunable *t, *last = NULL;
	int i;

	for (i = 0; (t = ghost_tunable_at(i)); i++) {
		EXPECT_EQ(ghost_tunable_find(t->name), t);
		EXPECT_LE(strlen(t->help), 50) TH_LOG("%s", t->name);
		if (last)
			EXPECT_LT(strcmp(last->name, t->name), 0);
		last = t;
	}
	EXPECT_EQ(i, 11);
	EXPECT_EQ(ghost_tunable_at(-1), NULL);
	EXPECT_EQ(ghost_tunable_find("ctl"), NULL);
	EXPECT_EQ(ghost_tunable_find("runnable_timeout")->unit, GHOST_UNIT_MS);
	EXPECT_EQ(ghost_tunable_find("deliver_ticks")->unit,
		  GHOST_UNIT_SWITCH);
}

TEST_F(settings, features)
{
	/* A kernel without the file has none. */
	EXPECT_EQ(ghost_enclave_has_feature(self->e, "max_tasks"), 0);
	close(fake_file(&self->fake, "features", "max_tasks\nstall_limit\n"));
	EXPECT_EQ(ghost_enclave_has_feature(self->e, "max_tasks"), 1);
	EXPECT_EQ(ghost_enclave_has_feature(self->e, "stall_limit"), 1);
	EXPECT_EQ(ghost_enclave_has_feature(self->e, "max"), 0);
	EXPECT_EQ(ghost_enclave_has_feature(self->e, ""), 0);
}

TEST_F(settings, cpus)
{
	/* A file keeps what is not written over: as long as it was. */
	EXPECT_EQ(ghost_enclave_set_cpus(self->e, "4-5,6"), 0);
	ASSERT_EQ(ghost_enclave_nr_cpus(self->e), 3);
	EXPECT_EQ(ghost_enclave_cpu(self->e, 0), 4);
	EXPECT_EQ(ghost_enclave_cpu(self->e, 2), 6);
}

/*
 * "ctl" is a file, so the last command can be read back. The next one comes
 * behind it.
 */
static const char *last_command(struct ghost_enclave *e)
{
	static char text[128];
	static int seen;
	int len = ghost_fs_read(ghost_enclave_dir(e), "ctl", text, sizeof(text));
	int start = seen;

	if (len < start)
		return "";
	seen = len;
	return text + start;
}

TEST_F(settings, commands)
{
	EXPECT_EQ(ghost_enclave_discover(self->e), 0);
	EXPECT_STREQ(last_command(self->e), "discover tasks");
	EXPECT_EQ(ghost_enclave_ban_bpf_load(self->e), 0);
	EXPECT_STREQ(last_command(self->e), "disable my bpf_prog_load");
	/* No kernel creates the region, so that it cannot be mapped. */
	EXPECT_EQ(ghost_enclave_add_region(self->e, 3), -ENOENT);
	EXPECT_STREQ(last_command(self->e), "create sw_region 1 3");
}

TEST_F(settings, waits_for_agents)
{
	EXPECT_EQ(ghost_enclave_wait_online(self->e, false, 0), 0);
	EXPECT_EQ(ghost_enclave_wait_online(self->e, true, 0), -ETIMEDOUT);
	close(fake_file(&self->fake, "agent_online", "1"));
	EXPECT_EQ(ghost_enclave_online(self->e), 1);
	EXPECT_EQ(ghost_enclave_wait_online(self->e, true, -1), 0);
	EXPECT_EQ(ghost_enclave_wait_online(self->e, false, 20), -ETIMEDOUT);
}

TEST_HARNESS_MAIN
