// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* The enclaves of the walk, their policies, and what befalls these. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "torture.h"

/* Twice the kernel's limits */
#define STALL_MS	60000
#define HOG_MS		20000
#define BUSY_MS		120000
#define LEAVE_MS	30000		/* a predecessor has to be gone by then */
#define OFTEN		50

static const char * const tunables[] = {
	"commit_at_tick", "deliver_cpu_availability", "deliver_agent_runnability",
	"fallback", "honor_affinity", "wake_on_waker_cpu", "switchto_disabled",
	"live_dangerously",
};

#define NR_TUNABLES	(sizeof(tunables) / sizeof(tunables[0]))

/* The kinds of policies: what is drawn, by whom it is run, where it is counted. */
static const struct kind {
	const char *name;
	const char *tool;		/* NULL: this program */
	enum figure f;
} kinds[] = {
	{ "honest", NULL, F_HONEST },
	{ "wild", NULL, F_WILD },
	{ "wild", NULL, F_WILD },
	{ "liar", NULL, F_LIAR },
	{ "bpf", NULL, F_BPF },
	{ "fifo", "ghost-fifo", F_FIFO },
	{ "biff", "ghost-biff", F_BIFF },
	{ "prio", "ghost-prio", F_PRIO },
};

#define NR_KINDS	(sizeof(kinds) / sizeof(kinds[0]))

static unsigned int started[NR_FIGURES];

static struct slot {
	struct gt_enclave e;
	bool live;
	uint64_t cpus;			/* as set */
	int value[NR_TUNABLES];
	unsigned int timeout;
	pid_t host;
	pid_t old;			/* it was asked to leave */
	int64_t old_since;
	const struct kind *kind;	/* of the host, until it is online */
	bool handed;			/* it was to replace another */
	bool stopped;
	int64_t until;			/* the fault ends then */
	bool alone;			/* and nothing else shall end it before */
} slots[SLOTS];

static struct slot *some(struct rng *r)
{
	struct slot *s = &slots[below(r, SLOTS)];

	return s->live && !s->alone ? s : NULL;
}

static struct slot *some_hosted(struct rng *r)
{
	struct slot *s = some(r);

	return s && s->host > 0 && !s->stopped &&
		load(&shared->slots[s - slots].order) == ORDER_WORK ? s : NULL;
}

int enclaves_live(void)
{
	int i, n = 0;

	for (i = 0; i < SLOTS; i++)
		n += slots[i].live;
	return n;
}

static uint64_t free_cpus(void)
{
	uint64_t cpus = cpus_online();
	int i;

	for (i = 0; i < SLOTS; i++)
		if (slots[i].live)
			cpus &= ~slots[i].cpus;
	return cpus;
}

static uint64_t any_of(struct rng *r, uint64_t cpus)
{
	uint64_t some = cpus & rng_next(r);

	return some ? some : cpus;
}

static bool put_number(struct slot *s, const char *name, unsigned int value)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", value);
	return gt_file_put(&s->e, name, text) > 0;
}

/* ---- hosts ---- */

static pid_t spawn_tool(struct slot *s, const char *tool, bool take_over)
{
	char id[16];
	pid_t pid = fork();
	int null;

	if (pid)
		return pid;
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	null = open("/dev/null", O_WRONLY);
	dup2(null, 1);
	dup2(null, 2);
	snprintf(id, sizeof(id), "%d", s->e.id);
	execlp(tool, tool, take_over ? "--take-over" : "--enclave", id, NULL);
	_exit(1);
}

static void start_host(struct slot *s, struct rng *r, bool take_over)
{
	const struct kind *kind = &kinds[below(r, NR_KINDS)];
	int n = s - slots;

	shared->slots[n].starts++;
	store(&shared->slots[n].order, ORDER_WORK);
	s->stopped = false;
	started[kind->f]++;
	s->kind = kind;
	if (kind->tool)
		s->host = spawn_tool(s, kind->tool, take_over);
	else
		s->host = spawn("host", n, kind->name);
}

/* Once the predecessor is gone, agent_online is the host's. */
static void look_online(struct slot *s)
{
	char buf[8] = "";

	if (!s->kind || s->host <= 0 || s->old > 0)
		return;
	if (gt_file_get(&s->e, "agent_online", buf, sizeof(buf)) < 0 || buf[0] != '1')
		return;
	count(s->kind->f, true);
	if (s->handed)
		count(F_TOOK_OVER, true);
	s->kind = NULL;
	s->handed = false;
}

/* Whoever is started so often does not fail by chance only. */
static void check_started(void)
{
	size_t i;

	for (i = 0; i < NR_KINDS; i++)
		if (started[kinds[i].f] >= OFTEN &&
		    !shared->figures[kinds[i].f].done)
			fail("policy '%s' was started %u times, and never got online",
			     kinds[i].name, started[kinds[i].f]);
}

void enclaves_host_gone(pid_t pid, int status)
{
	bool ours = false;
	int i;

	for (i = 0; i < SLOTS; i++) {
		ours |= slots[i].old == pid || slots[i].host == pid;
		if (slots[i].old == pid)
			slots[i].old = 0;
		if (slots[i].host == pid)
			slots[i].host = 0;
	}
	/* The child of a worker that was killed: its pipes may have broken. */
	if (!ours)
		return;
	/* 1: it could not begin. SIGBUS: the mappings of its enclave have gone. */
	if ((WIFEXITED(status) && WEXITSTATUS(status) > 1) ||
	    (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL &&
	     WTERMSIG(status) != SIGTERM && WTERMSIG(status) != SIGBUS))
		fail("a policy ended with status %#x", status);
}

static void signal_host(pid_t pid, int sig)
{
	if (pid > 0 && kill(-pid, sig))
		kill(pid, sig);		/* not a group of its own yet */
}

/* ---- the end of enclaves ---- */

/* Why the enclave ended, from its exit record. */
static enum figure reason(int id)
{
	static const struct {
		const char *text;
		enum figure f;
	} reasons[] = {
		{ "request of its owner", F_END_OWNER },
		{ "runnable_timeout", F_END_TIMEOUT },
		{ "ghost_stall_max_ms", F_END_STALL },
		{ "ghost_agent_hog_ms", F_END_HOG },
	};
	static char buf[9 * 32768];
	char name[48], *at;
	size_t i;

	snprintf(name, sizeof(name), ": enclave_%d: destroyed by ", id);
	if (gt_read_file(GT_ROOT "/exits", buf, sizeof(buf)) < 0)
		return F_END_OTHER;
	at = strstr(buf, name);
	for (i = 0; at && i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (!strncmp(at + strlen(name), reasons[i].text,
			     strlen(reasons[i].text)))
			return reasons[i].f;
	return F_END_OTHER;
}

static void ended(struct slot *s)
{
	store(&shared->slots[s - slots].id, 0);
	count(reason(s->e.id), true);
	/* Its agents are killed; what else there is sees it, and ends. */
	signal_host(s->host, SIGCONT);
	signal_host(s->old, SIGCONT);
	s->old_since = gt_now_ms();
	gt_enclave_close(&s->e);
	s->live = false;
	s->alone = false;
	s->stopped = false;
}

static bool gone(struct slot *s)
{
	char buf[256];

	return gt_file_get(&s->e, "status", buf, sizeof(buf)) < 0;
}

void enclaves_attend(void)
{
	int64_t now = gt_now_ms();
	int i;

	for (i = 0; i < SLOTS; i++) {
		struct slot *s = &slots[i];

		if (s->live && now >= s->until) {
			s->alone = false;
			store(&shared->slots[i].order, ORDER_WORK);
			if (s->stopped)
				signal_host(s->host, SIGCONT);
			s->stopped = false;
		}
		if (now - s->old_since > LEAVE_MS) {
			signal_host(s->old, SIGKILL);
			if (!s->live)
				signal_host(s->host, SIGKILL);
		}
		if (s->live && gone(s))
			ended(s);
		else if (s->live)
			look_online(s);
	}
}

/* ---- operations ---- */

/*
 * EBUSY: the last owner has not quite given it back. That waits for readers of
 * RCU, which can be tasks that wait for a policy, as long as its enclave lives.
 */
static int set_cpus(struct slot *s, uint64_t cpus)
{
	static int64_t busy_since;	/* CPUs of which nobody is the owner */
	char list[128];
	int ret;

	cpus_text(cpus, list, sizeof(list));
	ret = gt_file_put(&s->e, "cpulist", list);
	if (ret >= 0)
		s->cpus = cpus;
	if (ret != -EBUSY)
		busy_since = 0;
	else if (!busy_since)
		busy_since = gt_now_ms();
	else if (gt_now_ms() - busy_since > BUSY_MS)
		fail("CPUs %s are not given back", list);
	return ret;
}

bool op_create(struct rng *r)
{
	static const unsigned int timeouts[] = { 300, 1000, 2000, 3000, 0 };
	/* A policy that begins late shall find its enclave gone, not the next one. */
	static int id = GT_FIRST_ID;
	struct slot *s = &slots[below(r, SLOTS)];
	uint64_t cpus = any_of(r, free_cpus());
	unsigned int i;
	int ret;

	if (s->live || s->host > 0 || s->old > 0 || !cpus)
		return false;
	memset(s, 0, sizeof(*s));
	if (gt_enclave_bare_from(&s->e, id)) {
		fail("cannot create an enclave: %s", s->e.step);
		return false;
	}
	id = s->e.id + 1;
	s->live = true;
	s->timeout = timeouts[below(r, 5)];
	ret = gt_put(s->e.ctl, "create sw_region 0 0");
	if (ret >= 0)
		ret = set_cpus(s, cpus);
	if ((ret < 0 && ret != -EBUSY) ||
	    !put_number(s, "runnable_timeout", s->timeout)) {
		fail("cannot set up enclave %d: %s", s->e.id, strerror(-ret));
		return false;
	}
	for (i = 0; i < NR_TUNABLES; i++) {
		s->value[i] = one_in(r, 3);
		put_number(s, tunables[i], s->value[i]);
	}
	store(&shared->slots[s - slots].id, s->e.id);
	start_host(s, r, false);
	return true;
}

bool op_destroy(struct rng *r)
{
	struct slot *s = some(r);
	int ret;

	if (!s)
		return false;
	ret = gt_destroy(&s->e);
	return !ret;
}

bool op_cpus(struct rng *r)
{
	struct slot *s = some(r);
	uint64_t cpus;

	if (!s)
		return false;
	cpus = any_of(r, free_cpus() | (s->cpus & cpus_online()));
	if (!cpus)
		return false;
	/* An agent can be on one that would go. */
	return set_cpus(s, cpus) >= 0;
}

bool op_tunable(struct rng *r)
{
	struct slot *s = some(r);
	unsigned int i = below(r, NR_TUNABLES), value = below(r, 2);

	if (!s || !put_number(s, tunables[i], value))
		return false;
	s->value[i] = value;
	return true;
}

/* What was written to an enclave is what it still has. */
bool op_read_back(struct rng *r)
{
	struct slot *s = some(r);
	char buf[64];
	unsigned int i;

	if (!s)
		return false;
	for (i = 0; i < NR_TUNABLES; i++) {
		if (gt_file_get(&s->e, tunables[i], buf, sizeof(buf)) < 0)
			return false;
		if (atoi(buf) != s->value[i])
			fail("enclave %d: %s was %d and is %s", s->e.id,
			     tunables[i], s->value[i], buf);
	}
	if (gt_file_get(&s->e, "runnable_timeout", buf, sizeof(buf)) < 0)
		return false;
	if (atoi(buf) != (int)s->timeout)
		fail("enclave %d: its timeout was %u and is %s", s->e.id,
		     s->timeout, buf);
	return true;
}

bool op_discover(struct rng *r)
{
	struct slot *s = some(r);

	return s && gt_put(s->e.ctl, "discover tasks") > 0;
}

bool op_start(struct rng *r)
{
	struct slot *s = some(r);

	if (!s || s->host > 0)
		return false;
	start_host(s, r, false);
	return true;
}

bool op_kill(struct rng *r)
{
	struct slot *s = some(r);

	if (!s || s->host <= 0)
		return false;
	signal_host(s->host, SIGKILL);
	return true;
}

/* Mostly short; some last for @most_ms, or until the kernel acts. */
static void fault(struct slot *s, struct rng *r, unsigned int most_ms)
{
	s->alone = one_in(r, 8);
	s->until = gt_now_ms() + (s->alone ? most_ms : below(r, 500));
}

bool op_stop(struct rng *r)
{
	struct slot *s = some_hosted(r);

	if (!s)
		return false;
	s->stopped = true;
	fault(s, r, STALL_MS);
	signal_host(s->host, SIGSTOP);
	return true;
}

static bool wedge(struct rng *r, enum order what, unsigned int most_ms)
{
	struct slot *s = some_hosted(r);

	if (!s)
		return false;
	fault(s, r, most_ms);
	store(&shared->slots[s - slots].order, what);
	return true;
}

bool op_spin(struct rng *r)
{
	return wedge(r, ORDER_SPIN, HOG_MS);
}

bool op_forget(struct rng *r)
{
	return wedge(r, ORDER_FORGET, STALL_MS);
}

bool op_deaf(struct rng *r)
{
	return wedge(r, ORDER_DEAF, HOG_MS);
}

/* A successor asks the policy to leave, and waits until it has. */
bool op_handover(struct rng *r)
{
	struct slot *s = some_hosted(r);

	if (!s || s->old > 0)
		return false;
	s->old = s->host;
	s->old_since = gt_now_ms();
	signal_host(s->old, SIGTERM);
	start_host(s, r, true);
	s->handed = true;
	return true;
}

void enclaves_end(void)
{
	int64_t end = gt_now_ms() + GT_WAIT_MS;
	int i;

	for (i = 0; i < SLOTS; i++) {
		struct slot *s = &slots[i];

		if (s->live)
			gt_destroy(&s->e);
		signal_host(s->host, SIGKILL);
		signal_host(s->old, SIGKILL);
	}
	do {
		enclaves_attend();
		crowd_attend();
		gt_sleep_ms(20);
	} while (enclaves_live() && gt_now_ms() < end);
	for (i = 0; i < SLOTS; i++)
		if (slots[i].live)
			fail("enclave %d cannot be destroyed", slots[i].e.id);
	check_started();
}
