// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* ghost-fifo: options, start, statistics, leaving. The policy is policy.c. */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "../common/supervise.h"
#include "fifo.h"

#define START_TIMEOUT_MS	10000
#define SETTLE_MS		2000	/* for tasks that waited at a handoff */
#define NSEC_PER_MSEC		1000000LL
#define NSEC_PER_SEC		1000000000LL

#define LOOK(what)	__atomic_load_n(&(what), __ATOMIC_RELAXED)

struct options {
	const char *cpus;
	unsigned long enclave;
	bool take_over;
	long stats_secs;
	long slice_ms;
	unsigned long timeout_ms;
	bool verbose;
};

/* All CPUs' statistics, added up. */
struct sums {
	int64_t time;
	uint64_t messages;
	uint64_t commits;
	uint64_t failed[FIFO_NR_STATES];
	int load;
	int ready;
	int running;
	int boosted;
	uint64_t overflow;
};

struct session {
	const struct options *o;
	struct ghost_enclave *enclave;
	struct fifo *fifo;
	unsigned long id;
	bool owner;
	struct ghost_handoff handoff;
	bool handoff_told;
	struct sums stats;	/* at the last stats line */
	struct sums second;	/* a second ago */
	char reason[160];	/* last told, why nothing is scheduled */
	int released;
	int moved;
};

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

static void usage(FILE *out)
{
	fputs("usage: ghost-fifo --cpus LIST [OPTION]...\n"
	      "       ghost-fifo --enclave N | --take-over N [OPTION]...\n"
	      "Schedule the tasks of an enclave first come, first served.\n\n"
	      "  --cpus LIST     create an enclave on these CPUs (0-3,7), and\n"
	      "                  destroy it on exit\n"
	      "  --enclave N     schedule enclave N, which has no agent\n"
	      "  --take-over N   ask the agent of enclave N to leave, replace it\n"
	      "  --slice MS      a task that others wait behind goes last after\n"
	      "                  MS milliseconds (default 20, 0 = never)\n"
	      "  --timeout MS    with --cpus: the kernel destroys the enclave if\n"
	      "                  a task waits so long (default 0 = never)\n"
	      "  --stats SECS    print one line of statistics every SECS seconds\n"
	      "  -v, --verbose   say more\n"
	      "  -h, --help      this text\n\n"
	      "SIGTERM and Ctrl-C end it in order. Then, in another terminal:\n"
	      "  ghostctl run N -- COMMAND\n", out);
}

static int complain(const char *what, int err)
{
	const char *hint = ghost_hint(err);

	fprintf(stderr, "ghost-fifo: %s: %s\n", what, strerror(-err));
	if (hint)
		fprintf(stderr, "  %s\n", hint);
	return 1;
}

/* ---- statistics ---- */

static void add_up(struct fifo *f, struct sums *s)
{
	int i, r;

	memset(s, 0, sizeof(*s));
	s->time = now_ns();
	for (i = 0; i < f->nr_cpus; i++) {
		struct fifo_stats *st = &f->cpus[i].stats;

		s->messages += LOOK(st->messages);
		s->commits += LOOK(st->commits);
		for (r = 0; r < FIFO_NR_STATES; r++)
			s->failed[r] += LOOK(st->failed[r]);
		s->load += LOOK(st->load);
		s->ready += LOOK(st->ready);
		s->running += LOOK(st->running);
		s->boosted += LOOK(st->boosted);
		s->overflow += LOOK(f->cpus[i].overflow);
	}
}

static unsigned long rate(uint64_t now, uint64_t then, int64_t ns)
{
	return (unsigned long)((double)(now - then) * NSEC_PER_SEC /
			       (double)ns);
}

static void print_stats(struct session *s)
{
	struct sums now;
	uint64_t failed = 0, failed_then = 0;
	int64_t ns;
	int r;

	add_up(s->fifo, &now);
	ns = now.time - s->stats.time;
	for (r = 0; r < FIFO_NR_STATES; r++) {
		failed += now.failed[r];
		failed_then += s->stats.failed[r];
	}
	printf("stats enclave=%lu tasks=%d msgs/s=%lu commits/s=%lu fail/s=%lu",
	       s->id, now.load, rate(now.messages, s->stats.messages, ns),
	       rate(now.commits, s->stats.commits, ns),
	       rate(failed, failed_then, ns));
	for (r = 0; r < FIFO_NR_STATES; r++)
		if (now.failed[r] != s->stats.failed[r])
			printf(" %s=%lu",
			       ghost_txn_state_name(GHOST_TXN_STATE_BASE + r),
			       (unsigned long)(now.failed[r] -
					       s->stats.failed[r]));
	putchar('\n');
	s->stats = now;
}

/* ---- words when nothing happens ---- */

static void why_nothing(struct session *s, const struct sums *now,
			char *text, size_t size)
{
	text[0] = '\0';
	if (now->commits != s->second.commits || now->running)
		return;
	if (!now->load)
		snprintf(text, size,
			 "no task has joined%s; next: ghostctl run %lu -- COMMAND",
			 now->messages ? " or all have left" : " yet", s->id);
	else if (now->ready && now->boosted)
		snprintf(text, size,
			 "no CPU: %d tasks wait while normal threads use them",
			 now->ready);
	else if (now->ready)
		snprintf(text, size, "%d tasks wait, but commits fail: --stats 1",
			 now->ready);
	else if (s->o->verbose)
		snprintf(text, size, "all %d tasks are asleep", now->load);
}

static void every_second(struct session *s)
{
	char reason[sizeof(s->reason)];
	struct sums now;
	int released = LOOK(s->fifo->released);
	int moved = LOOK(s->fifo->moved);

	add_up(s->fifo, &now);
	if (now.overflow != s->second.overflow)
		fprintf(stderr,
			"ghost-fifo: enclave %lu: ring overflow: %lu messages came late\n"
			"  the kernel has sent them again; tasks may have waited longer\n",
			s->id,
			(unsigned long)(now.overflow - s->second.overflow));
	if (released != s->released)
		fprintf(stderr,
			"ghost-fifo: enclave %lu: %d tasks given back to the normal scheduler\n"
			"  they may run on none of the enclave's CPUs: taskset -p TID\n",
			s->id, released - s->released);
	s->released = released;
	if (moved != s->moved)
		fprintf(stderr,
			"ghost-fifo: enclave %lu: %d tasks moved to other CPUs\n"
			"  other threads keep theirs: ghostctl top %lu\n",
			s->id, moved - s->moved, s->id);
	s->moved = moved;
	why_nothing(s, &now, reason, sizeof(reason));
	if (reason[0] && strcmp(reason, s->reason))
		fprintf(stderr,
			"ghost-fifo: enclave %lu: nothing is being scheduled:\n  %s\n",
			s->id, reason);
	snprintf(s->reason, sizeof(s->reason), "%s", reason);
	s->second = now;
}

/* ---- start, work, leave ---- */

/* An agent that waits for a page waits while normal threads are starved. */
static void stay_in_memory(const struct options *o)
{
	const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };

	setrlimit(RLIMIT_MEMLOCK, &all);
	if (mlockall(MCL_CURRENT | MCL_FUTURE) && o->verbose)
		perror("ghost-fifo: not locked into memory");
}

static int open_enclave(struct session *s)
{
	struct ghost_enclave_options eo = {
		.cpus = s->o->cpus,
		.runnable_timeout_ms = s->o->timeout_ms,
	};
	char what[80];
	int err;

	if (s->o->enclave) {
		err = ghost_enclave_open(&s->enclave, NULL, s->o->enclave);
		snprintf(what, sizeof(what), "cannot open enclave %lu",
			 s->o->enclave);
	} else {
		err = ghost_enclave_create(&s->enclave, &eo);
		snprintf(what, sizeof(what),
			 "cannot create an enclave on CPUs %s: %s", s->o->cpus,
			 err ? eo.failed : "");
		s->owner = !err;
	}
	if (err)
		return complain(what, err);
	s->id = ghost_enclave_id(s->enclave);
	if (ghost_enclave_nr_cpus(s->enclave))
		return 0;
	fprintf(stderr, "ghost-fifo: enclave %lu: no CPU\n"
		"  next: echo LIST > %s/enclave_%lu/cpulist\n",
		s->id, ghost_fs_root(NULL), s->id);
	return 1;
}

static int start(struct session *s)
{
	char what[80];
	int err;

	err = fifo_create(&s->fifo, s->enclave);
	if (err)
		return complain("cannot prepare agents", err);
	err = ghost_crew_start(s->fifo->crew,
			       s->o->take_over ? GHOST_START_ASK :
						 GHOST_START_ALONE,
			       START_TIMEOUT_MS, &s->handoff);
	if (err == -EBUSY) {
		fprintf(stderr,
			"ghost-fifo: enclave %lu: another agent is online\n"
			"  to replace it: ghost-fifo --take-over %lu\n",
			s->id, s->id);
		return 1;
	}
	snprintf(what, sizeof(what), "enclave %lu: agents cannot start", s->id);
	if (err)
		return complain(what, err);
	__atomic_add_fetch(&s->fifo->unsettled, (int)s->handoff.waiting,
			   __ATOMIC_RELAXED);
	printf("ready enclave=%lu pid=%d\n", s->id, getpid());
	if (s->o->verbose)
		fprintf(stderr,
			"ghost-fifo: enclave %lu: %d agents; %u tasks found, %u of them waiting,\n"
			"  %u old status words given back\n", s->id,
			s->fifo->nr_cpus, s->handoff.tasks, s->handoff.waiting,
			s->handoff.orphans);
	return 0;
}

/* When all tasks that waited have run, or not even after a long time. */
static void tell_handoff(struct session *s)
{
	int64_t now = now_ns();
	int64_t longest = LOOK(s->fifo->longest_wait_ns);

	if (LOOK(s->fifo->unsettled) > 0) {
		if (now - s->handoff.online_ns < SETTLE_MS * NSEC_PER_MSEC)
			return;
		longest = now - s->handoff.offline_ns;
	}
	printf("handoff enclave=%lu gap_us=%lld tasks=%u longest_wait_us=%lld\n",
	       s->id,
	       (long long)(s->handoff.online_ns - s->handoff.offline_ns) / 1000,
	       s->handoff.tasks, (long long)longest / 1000);
	s->handoff_told = true;
}

static int work(struct session *s)
{
	long step_ms = s->o->slice_ms ? s->o->slice_ms : 100;
	const struct timespec step = {
		.tv_sec = step_ms / 1000,
		.tv_nsec = step_ms % 1000 * NSEC_PER_MSEC,
	};
	sigset_t leave;
	int err = 0;

	sigemptyset(&leave);
	sigaddset(&leave, SIGTERM);
	sigaddset(&leave, SIGINT);
	add_up(s->fifo, &s->stats);
	s->second = s->stats;
	while (!err && sigtimedwait(&leave, NULL, &step) < 0) {
		int64_t now = now_ns();

		if (s->o->slice_ms)
			fifo_rotate(s->fifo);
		if (s->o->take_over && !s->handoff_told)
			tell_handoff(s);
		if (now - s->second.time >= NSEC_PER_SEC) {
			every_second(s);
			fifo_relieve(s->fifo);
			err = ghost_enclave_make_room(s->enclave);
		}
		if (s->o->stats_secs &&
		    now - s->stats.time >= s->o->stats_secs * NSEC_PER_SEC)
			print_stats(s);
		if (!err)
			err = ghost_crew_error(s->fifo->crew);
	}
	if (s->o->take_over && !s->handoff_told)
		tell_handoff(s);
	return err;
}

static int schedule(struct session *s)
{
	char what[80];
	int err;

	if (start(s))
		return 1;
	err = work(s);
	ghost_crew_stop(s->fifo->crew);
	if (!err)
		return 0;
	if (err == -ENODEV || err == -EXDEV)
		tell_destroyed(s->id);
	snprintf(what, sizeof(what), "enclave %lu: an agent stopped", s->id);
	return complain(what, err);
}

static int session(struct supervised *told, void *arg)
{
	struct session s = { .o = arg };
	int ret;

	setvbuf(stdout, NULL, _IOLBF, 0);
	stay_in_memory(s.o);
	ret = open_enclave(&s);
	told->enclave = s.id;
	if (!ret)
		ret = schedule(&s);
	if (s.owner)
		ghost_enclave_destroy(s.enclave);
	if (s.fifo)
		fifo_destroy(s.fifo);
	ghost_enclave_close(s.enclave);
	return ret;
}

static long number(const char *text, const char *option)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(text, &end, 10);
	if (errno || *end || end == text || n < 0 || n > 1000000) {
		fprintf(stderr, "ghost-fifo: --%s wants a number, not '%s'\n",
			option, text);
		exit(2);
	}
	return n;
}

static void parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "cpus", required_argument, NULL, 'c' },
		{ "enclave", required_argument, NULL, 'e' },
		{ "take-over", required_argument, NULL, 't' },
		{ "slice", required_argument, NULL, 'l' },
		{ "timeout", required_argument, NULL, 'm' },
		{ "stats", required_argument, NULL, 's' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 }
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "vh", longs, NULL)) != -1) {
		switch (opt) {
		case 'c':
			o->cpus = optarg;
			break;
		case 't':
		case 'e':
			o->enclave = (unsigned long)number(optarg, "enclave");
			o->take_over = opt == 't';
			break;
		case 'l':
			o->slice_ms = number(optarg, "slice");
			break;
		case 'm':
			o->timeout_ms = (unsigned long)number(optarg,
							      "timeout");
			break;
		case 's':
			o->stats_secs = number(optarg, "stats");
			break;
		case 'v':
			o->verbose = true;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			fputs("try: ghost-fifo --help\n", stderr);
			exit(2);
		}
	}
	if (optind == argc && !o->cpus != !o->enclave)
		return;
	fputs("ghost-fifo: give --cpus LIST, or --enclave N, or --take-over N\n"
	      "try: ghost-fifo --help\n", stderr);
	exit(2);
}

int main(int argc, char **argv)
{
	struct options o = { .slice_ms = 20 };
	const char *problem;

	parse(argc, argv, &o);
	problem = ghost_fs_problem(NULL);
	if (problem) {
		fprintf(stderr, "ghost-fifo: %s\n", problem);
		return 1;
	}
	return supervise(session, &o);
}
