// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Requests on the real kernel: other CPUs, groups, targets, for later. */
#define _GNU_SOURCE
#include "live.h"
#include "kselftest_harness.h"

#define MAX_REQUESTS	2
#define ROUNDS		300

/* A job: requests for one call. */
struct ask {
	struct ghost_request r[MAX_REQUESTS];
	int nr;
	bool group;
};

static long commit(struct ghost_agent *agent, void *arg)
{
	struct ask *a = arg;
	int i;

	for (i = 0; i < a->nr; i++)
		a->r[i].agent_barrier = ghost_agent_barrier(agent);
	return a->group ? ghost_agent_commit_group(agent, a->r, a->nr) :
			  ghost_agent_commit(agent, a->r, a->nr);
}

static long submit(struct ghost_agent *agent, void *arg)
{
	struct ask *a = arg;

	return ghost_agent_submit(agent, a->r, a->nr);
}

static long collect(struct ghost_agent *agent, void *arg)
{
	struct ask *a = arg;

	return ghost_agent_collect(agent, a->r, a->nr);
}

static void want(struct live *l, struct ghost_request *r, int cpu, int i)
{
	struct ghost_task *task = live_task(l, i);

	ghost_request_init(r, cpu, l->task[i].gtid, task ? task->barrier : 0);
}

static bool unowned(struct live *l)
{
	int i;

	for (i = 0; i < ghost_enclave_nr_cpus(l->e); i++) {
		struct ghost_txn *txn;

		txn = ghost_enclave_txn(l->e, ghost_enclave_cpu(l->e, i));
		if (ghost_txn_owner(txn) != GHOST_NO_OWNER)
			return false;
	}
	return true;
}

/* ---- one CPU ---- */

FIXTURE(one) {
	struct live l;
};

FIXTURE_VARIANT(one) {
	bool group;
};

FIXTURE_VARIANT_ADD(one, alone) { .group = false };
FIXTURE_VARIANT_ADD(one, group) { .group = true };

FIXTURE_SETUP(one)
{
	struct ghost_enclave_options o = { 0 };
	const char *why;
	int err = live_setup(&self->l, &o, 1, &why);

	if (err > 0)
		SKIP(return, "%s", why);
	ASSERT_EQ(err, 0) TH_LOG("%s", o.failed);
	ASSERT_EQ(live_spawn(&self->l), 0);
}

FIXTURE_TEARDOWN(one)
{
	live_teardown(&self->l);
}

/* The agent parks in the call and returns when it is woken. */
TEST_F(one, own_cpu)
{
	int64_t end = live_ms() + LIVE_WAIT_MS;
	struct live *l = &self->l;
	uint64_t before = l->counts[0];
	struct ask a;

	do {
		a = (struct ask){ .nr = 1, .group = variant->group };
		want(l, &a.r[0], 1, 0);
		live_post(l, 0, commit, &a);
		live_wait(live_done(l, 0) || l->counts[0] != before);
		ghost_crew_wake(l->crew, 0);
		ASSERT_TRUE(live_wait(live_done(l, 0)));
		/* Complete, but a kernel thread came first: once more. */
	} while ((live_again(a.r[0].state) || l->counts[0] == before) &&
		 live_ms() < end);
	EXPECT_STREQ(ghost_txn_state_name(a.r[0].state), "COMPLETE");
	EXPECT_EQ(l->slot[0].result, variant->group);
	EXPECT_NE(l->counts[0], before);
	EXPECT_TRUE(unowned(l));
	if (!variant->group) {
		EXPECT_GT(a.r[0].commit_time, 0);
		EXPECT_GT(a.r[0].cpu_seqnum, 0);
	}
}

TEST_F(one, refused)
{
	struct live *l = &self->l;
	struct ask a = { .nr = 1, .group = variant->group };

	want(l, &a.r[0], 1, 0);
	a.r[0].task_barrier += 100;
	EXPECT_EQ(live_call(l, 0, commit, &a), 0);
	EXPECT_STREQ(ghost_txn_state_name(a.r[0].state), "TARGET_STALE");
	want(l, &a.r[0], 1, 0);
	a.r[0].gtid = 1LL << 41 | 1;
	EXPECT_EQ(live_call(l, 0, commit, &a), 0);
	EXPECT_STREQ(ghost_txn_state_name(a.r[0].state), "TARGET_NOT_FOUND");
	want(l, &a.r[0], 1, 0);
	a.r[0].run_flags = 0x8000;
	EXPECT_EQ(live_call(l, 0, commit, &a), 0);
	EXPECT_STREQ(ghost_txn_state_name(a.r[0].state), "INVALID_FLAGS");
	/* A CPU that is not in the enclave, and one that does not exist. */
	want(l, &a.r[0], 0, 0);
	EXPECT_EQ(live_call(l, 0, commit, &a), 0);
	EXPECT_STREQ(ghost_txn_state_name(a.r[0].state), "INVALID_CPU");
	want(l, &a.r[0], 8191, 0);
	EXPECT_EQ(live_call(l, 0, commit, &a), 0);
	EXPECT_STREQ(ghost_txn_state_name(a.r[0].state), "INVALID_CPU");
	EXPECT_TRUE(unowned(l));
	EXPECT_FALSE(live_advances(l, 0));
}

TEST_F(one, taken)
{
	struct ghost_txn *txn = ghost_enclave_txn(self->l.e, 1);
	struct ask a = { .nr = 1, .group = variant->group };

	ASSERT_TRUE(ghost_txn_own(txn, 4711));
	want(&self->l, &a.r[0], 1, 0);
	EXPECT_EQ(live_call(&self->l, 0, commit, &a), 0);
	EXPECT_STREQ(ghost_txn_state_name(a.r[0].state), "ABORTED");
	EXPECT_EQ(ghost_txn_owner(txn), 4711);
	ghost_txn_disown(txn);
}

/* The kernel finds it when the agent waits. */
TEST_F(one, at_schedule)
{
	struct live *l = &self->l;
	struct ask a = { .nr = 1 };
	int64_t end = live_ms() + LIVE_WAIT_MS;
	bool ran;

	do {
		want(l, &a.r[0], 1, 0);
		a.r[0].commit_flags = COMMIT_AT_SCHEDULE;
		ASSERT_EQ(live_call(l, 0, submit, &a), 1);
		ASSERT_TRUE(live_wait(!ghost_txn_busy(ghost_enclave_txn(l->e,
									1))));
		EXPECT_EQ(ghost_txn_owner(ghost_enclave_txn(l->e, 1)), 1);
		ran = live_advances(l, 0);
		ASSERT_EQ(live_call(l, 0, collect, &a), 0);
	} while ((live_again(a.r[0].state) || !ran) && live_ms() < end);
	EXPECT_STREQ(ghost_txn_state_name(a.r[0].state), "COMPLETE");
	EXPECT_TRUE(ran);
	EXPECT_TRUE(unowned(l));
}

static long submit_and_cancel(struct ghost_agent *agent, void *arg)
{
	struct ask *a = arg;

	ghost_agent_submit(agent, a->r, a->nr);
	if (!ghost_request_pending(&a->r[0]))
		return -1;
	return ghost_agent_cancel(agent, a->r, a->nr);
}

TEST_F(one, cancelled_in_time)
{
	struct live *l = &self->l;
	struct ask a = { .nr = 1 };

	want(l, &a.r[0], 1, 0);
	a.r[0].commit_flags = COMMIT_AT_SCHEDULE;
	EXPECT_EQ(live_call(l, 0, submit_and_cancel, &a), 0);
	EXPECT_STREQ(ghost_txn_state_name(a.r[0].state), "ABORTED");
	EXPECT_FALSE(live_advances(l, 0));
	EXPECT_TRUE(unowned(l));
}

/* ---- several CPUs: the agent of CPU 1 decides for CPU 2 and CPU 3 ---- */

FIXTURE(many) {
	struct live l;
};

FIXTURE_SETUP(many)
{
	struct ghost_enclave_options o = { 0 };
	const char *why;
	int err = live_setup(&self->l, &o, 3, &why);

	if (err > 0)
		SKIP(return, "%s", why);
	ASSERT_EQ(err, 0) TH_LOG("%s", o.failed);
	ASSERT_EQ(live_spawn(&self->l), 0);
	ASSERT_EQ(live_spawn(&self->l), 0);
}

FIXTURE_TEARDOWN(many)
{
	live_teardown(&self->l);
}

/* Task 0 on CPU 2, until it is COMPLETE or something else than a moment. */
static int32_t put(struct live *l, uint8_t commit_flags)
{
	int64_t end = live_ms() + LIVE_WAIT_MS;
	struct ask a = { .nr = 1 };

	do {
		want(l, &a.r[0], 2, 0);
		a.r[0].commit_flags = commit_flags;
		if (live_call(l, 0, commit, &a))
			return GHOST_TXN_READY;
		while (ghost_request_pending(&a.r[0]) && live_ms() < end)
			live_call(l, 0, collect, &a);
	} while (live_again(a.r[0].state) && live_ms() < end);
	if (a.r[0].state == GHOST_TXN_COMPLETE)
		ghost_tasks_find(l->tasks, l->task[0].gtid)->state =
			GHOST_TASK_ON_CPU;
	return a.r[0].state;
}

/* What a message explains is put right: that is what an agent does. */
static bool runs(struct live *l, uint8_t commit_flags)
{
	int64_t end = live_ms() + LIVE_WAIT_MS;

	while (!live_advances(l, 0)) {
		struct ghost_task *task = live_task(l, 0);

		if (live_ms() > end)
			return false;
		if (task && task->state == GHOST_TASK_RUNNABLE)
			put(l, commit_flags);
	}
	return true;
}

TEST_F(many, other_cpu_at_once)
{
	EXPECT_STREQ(ghost_txn_state_name(put(&self->l, COMMIT_AT_TXN_COMMIT)),
		     "COMPLETE");
	EXPECT_TRUE(runs(&self->l, COMMIT_AT_TXN_COMMIT));
	EXPECT_TRUE(unowned(&self->l));
}

/* Neither commit point: the other CPU does it, in an interrupt. */
TEST_F(many, other_cpu_greedy)
{
	EXPECT_STREQ(ghost_txn_state_name(put(&self->l, 0)), "COMPLETE");
	EXPECT_TRUE(runs(&self->l, 0));
	EXPECT_TRUE(unowned(&self->l));
}

TEST_F(many, other_cpu_at_schedule)
{
	int64_t end = live_ms() + LIVE_WAIT_MS;
	struct live *l = &self->l;
	struct ask a = { .nr = 1 };

	do {
		want(l, &a.r[0], 2, 0);
		a.r[0].commit_flags = COMMIT_AT_SCHEDULE;
		ASSERT_EQ(live_call(l, 0, submit, &a), 1);
		/* Its agent comes and goes: the CPU schedules. */
		do {
			ghost_crew_wake(l->crew, 1);
			usleep(1000);
		} while (live_call(l, 0, collect, &a) && live_ms() < end);
	} while (live_again(a.r[0].state) && live_ms() < end);
	EXPECT_STREQ(ghost_txn_state_name(a.r[0].state), "COMPLETE");
	EXPECT_TRUE(runs(l, COMMIT_AT_TXN_COMMIT));
	EXPECT_TRUE(unowned(l));
}

TEST_F(many, batch)
{
	struct ask a = { .nr = 2 };
	struct live *l = &self->l;
	int i;

	want(l, &a.r[0], 2, 0);
	want(l, &a.r[1], 3, 1);
	a.r[0].task_barrier += 100;
	/* Each by itself: the bad one does not harm the other. */
	for (i = 0; i < 100; i++) {
		a.r[1].task_barrier = live_task(l, 1)->barrier;
		ASSERT_EQ(live_call(l, 0, commit, &a), 0);
		EXPECT_STREQ(ghost_txn_state_name(a.r[0].state),
			     "TARGET_STALE");
		if (!live_again(a.r[1].state))
			break;
	}
	EXPECT_STREQ(ghost_txn_state_name(a.r[1].state), "COMPLETE");
	EXPECT_TRUE(live_wait(l->counts[1]));
	EXPECT_TRUE(unowned(l));
}

/* Returns 1, or 0 with a reason that is not just a busy CPU. */
static long commit_group(struct live *l, struct ask *a, int bad)
{
	int64_t end = live_ms() + LIVE_WAIT_MS;
	long ret;

	do {
		*a = (struct ask){ .nr = 2, .group = true };
		want(l, &a->r[0], 2, 0);
		want(l, &a->r[1], 3, 1);
		if (bad >= 0)
			a->r[bad].task_barrier += 100;
		ret = live_call(l, 0, commit, a);
	} while (!ret && live_ms() < end &&
		 (bad < 0 || a->r[bad].state == GHOST_TXN_POISONED));
	return ret;
}

TEST_F(many, group)
{
	struct live *l = &self->l;
	struct ask a;
	int bad;

	for (bad = 0; bad < 2; bad++) {
		EXPECT_EQ(commit_group(l, &a, bad), 0);
		EXPECT_STREQ(ghost_txn_state_name(a.r[bad].state),
			     "TARGET_STALE");
		EXPECT_STREQ(ghost_txn_state_name(a.r[!bad].state),
			     "POISONED");
		EXPECT_TRUE(unowned(l));
	}
	EXPECT_FALSE(live_advances(l, 0));
	EXPECT_FALSE(live_advances(l, 1));
	EXPECT_EQ(commit_group(l, &a, -1), 1);
	EXPECT_STREQ(ghost_txn_state_name(a.r[0].state), "COMPLETE");
	EXPECT_STREQ(ghost_txn_state_name(a.r[1].state), "COMPLETE");
	EXPECT_TRUE(unowned(l));
	EXPECT_TRUE(runs(l, COMMIT_AT_TXN_COMMIT));
	EXPECT_TRUE(live_wait(l->counts[1]));
}

TEST_F(many, group_with_one_taken)
{
	struct ghost_txn *txn = ghost_enclave_txn(self->l.e, 3);
	struct live *l = &self->l;
	struct ask a = { .nr = 2, .group = true };

	ASSERT_TRUE(ghost_txn_own(txn, 4711));
	want(l, &a.r[0], 2, 0);
	want(l, &a.r[1], 3, 1);
	EXPECT_EQ(live_call(l, 0, commit, &a), 0);
	EXPECT_STREQ(ghost_txn_state_name(a.r[0].state), "POISONED");
	EXPECT_STREQ(ghost_txn_state_name(a.r[1].state), "ABORTED");
	ghost_txn_disown(txn);
	EXPECT_TRUE(unowned(l));
}

static int32_t target(struct live *l, int64_t gtid, uint8_t more_flags)
{
	struct ask a = { .nr = 1 };

	ghost_request_init(&a.r[0], 2, gtid, 0);
	a.r[0].commit_flags |= more_flags;
	return live_call(l, 0, commit, &a) ? GHOST_TXN_READY : a.r[0].state;
}

TEST_F(many, nothing_stops_what_runs)
{
	struct live *l = &self->l;
	int tries;

	for (tries = 0; tries < 20; tries++) {
		struct ghost_task *task;

		ASSERT_EQ(put(l, COMMIT_AT_TXN_COMMIT), GHOST_TXN_COMPLETE);
		EXPECT_STREQ(ghost_txn_state_name(target(l, GHOST_NULL_GTID,
							 0)), "COMPLETE");
		ASSERT_TRUE(live_wait((task = live_task(l, 0)) &&
				      task->state == GHOST_TASK_RUNNABLE));
		EXPECT_FALSE(live_advances(l, 0));
	}
}

/*
 * A task that may run on one CPU only is refused elsewhere for no message. The
 * library says where it may.
 */
TEST_F(many, stale_for_no_message)
{
	int64_t end = live_ms() + LIVE_WAIT_MS;
	struct live *l = &self->l;
	struct ghost_task *task;
	struct ask a = { .nr = 1 };
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(2, &one);
	ASSERT_EQ(sched_setaffinity(l->task[0].pid, sizeof(one), &one), 0);
	ASSERT_EQ(put(l, COMMIT_AT_TXN_COMMIT), GHOST_TXN_COMPLETE);
	ASSERT_TRUE(runs(l, COMMIT_AT_TXN_COMMIT));
	ASSERT_EQ(target(l, GHOST_NULL_GTID, 0), GHOST_TXN_COMPLETE);
	ASSERT_TRUE(live_wait((task = live_task(l, 0)) &&
			      task->state == GHOST_TASK_RUNNABLE));
	do {
		want(l, &a.r[0], 3, 0);
		ASSERT_EQ(live_call(l, 0, commit, &a), 0);
	} while (a.r[0].state != GHOST_TXN_TARGET_STALE &&
		 live_again(a.r[0].state) && live_ms() < end);
	EXPECT_STREQ(ghost_txn_state_name(a.r[0].state), "TARGET_STALE");
	EXPECT_EQ(ghost_tasks_retry_cpu(l->tasks, task), 2);
	EXPECT_EQ(put(l, COMMIT_AT_TXN_COMMIT), GHOST_TXN_COMPLETE);
	EXPECT_TRUE(runs(l, COMMIT_AT_TXN_COMMIT));
}

TEST_F(many, idle_is_a_target)
{
	int64_t end = live_ms() + LIVE_WAIT_MS;
	int32_t state;

	do {
		state = target(&self->l, GHOST_IDLE_GTID, ALLOW_TASK_ONCPU);
	} while (live_again(state) && live_ms() < end);
	EXPECT_STREQ(ghost_txn_state_name(state), "COMPLETE");
}

TEST_F(many, agent_is_a_target)
{
	struct live_slot *s = &self->l.slot[1];
	uint32_t turns = __atomic_load_n(&s->turns, __ATOMIC_RELAXED);

	EXPECT_STREQ(ghost_txn_state_name(target(&self->l, GHOST_AGENT_GTID,
						 0)), "COMPLETE");
	EXPECT_TRUE(live_wait(__atomic_load_n(&s->turns, __ATOMIC_RELAXED) !=
			      turns));
}

/* Two agents ask for the same CPUs. */
struct contender {
	int committed;
	int taken;
	int32_t odd;		/* a state that must not be */
};

static long contend(struct ghost_agent *agent, void *arg)
{
	int64_t end = live_ms() + LIVE_WAIT_MS / 2;
	struct contender *c = arg;
	struct ghost_request r[2];
	int k;

	while (c->committed < ROUNDS && live_ms() < end) {
		/* On CPU 2 the agent, on CPU 3 nothing: neither parks us. */
		ghost_request_init(&r[0], 2, GHOST_AGENT_GTID, 0);
		ghost_request_init(&r[1], 3, GHOST_NULL_GTID, 0);
		c->committed += ghost_agent_commit_group(agent, r, 2);
		for (k = 0; k < 2; k++) {
			if (r[k].state == GHOST_TXN_ABORTED)
				c->taken++;
			else if (r[k].state != GHOST_TXN_COMPLETE &&
				 r[k].state != GHOST_TXN_POISONED)
				c->odd = r[k].state;
		}
	}
	return 0;
}

TEST_F(many, agents_contend)
{
	struct contender c[2] = { { 0 } };
	struct live *l = &self->l;
	int i;

	for (i = 0; i < 2; i++)
		live_post(l, i, contend, &c[i]);
	ASSERT_TRUE(live_wait(live_done(l, 0) && live_done(l, 1)));
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(c[i].odd, 0)
			TH_LOG("%s", ghost_txn_state_name(c[i].odd));
		EXPECT_EQ(c[i].committed, ROUNDS);
		TH_LOG("committed %d, taken %d", c[i].committed, c[i].taken);
	}
	EXPECT_TRUE(unowned(l));
}

/* ---- an agent that dies before its answer ---- */

TEST(transactions_of_the_dead)
{
	struct ghost_enclave_options o = { .cpus = "1" };
	static const struct ghost_crew_ops ops = { .run = live_run };
	const char *problem = ghost_fs_problem(NULL);
	struct ghost_handoff h;
	struct live l = { 0 };
	int pipefd[2], status;
	pid_t pid;
	char c;

	if (problem)
		SKIP(return, "%s", problem);
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "needs 2 CPUs");
	ASSERT_EQ(ghost_enclave_create(&l.e, &o), 0);
	ASSERT_EQ(pipe(pipefd), 0);
	pid = fork();
	if (!pid) {
		if (ghost_enclave_open(&l.e, NULL, ghost_enclave_id(l.e)) ||
		    ghost_crew_create(&l.crew, l.e, 64, &ops, &l) ||
		    ghost_crew_start(l.crew, GHOST_START_ALONE, LIVE_WAIT_MS,
				     &h) ||
		    !ghost_txn_own(ghost_enclave_txn(l.e, 1), 1) ||
		    write(pipefd[1], "x", 1) != 1)
			_exit(1);
		pause();
	}
	close(pipefd[1]);
	EXPECT_EQ(read(pipefd[0], &c, 1), 1);
	close(pipefd[0]);
	EXPECT_EQ(ghost_txn_owner(ghost_enclave_txn(l.e, 1)), 1);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	ASSERT_EQ(ghost_crew_create(&l.crew, l.e, 64, &ops, &l), 0);
	EXPECT_EQ(ghost_crew_start(l.crew, GHOST_START_WAIT, LIVE_WAIT_MS, &h),
		  0);
	EXPECT_TRUE(unowned(&l));
	ghost_crew_destroy(l.crew);
	ghost_enclave_destroy(l.e);
	ghost_enclave_close(l.e);
}

TEST_HARNESS_MAIN
