// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * The process of a policy in BPF. Its agents hold the CPUs and wait: the
 * programs decide. What the programs pass on to the rings is given back to the
 * normal scheduler.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <ghost/policy.h>

#include "../common/supervise.h"
#include "host.h"

#define START_TIMEOUT_MS	10000
#define QUEUE_ELEMS		4096
#define STEP_NS			50000000L	/* between looks at the rings */
#define NSEC_PER_SEC		1000000000LL

#define LOOK(what)	__atomic_load_n(&(what), __ATOMIC_RELAXED)

struct options {
	const struct host_policy *policy;
	const char *cpus;
	unsigned long enclave;
	bool take_over;
	bool fresh;
	long stats_secs;
	long slice_us;
	long max_tasks;
	unsigned long timeout_ms;
	const char *hints;
};

/* All CPUs' numbers, added up. */
struct sums {
	int64_t time;
	uint64_t messages;
	uint64_t passed;
	uint64_t picks;
	uint64_t kicks;
	uint64_t preempts;
	uint64_t waited;
	uint64_t max_wait;
	uint64_t failed[FRAME_ERRNOS];
};

/**
 * struct session
 * @owner: the enclave was created here and goes with this process
 * @inherited: the maps hold what a predecessor knew of the tasks
 * @lock: descriptor; held while programs are replaced, or -1
 * @strays: tasks that the programs do not have, until they are gone
 * @released: tasks given back to the normal scheduler
 */
struct session {
	const struct options *o;
	const struct host_policy *policy;
	struct ghost_enclave *enclave;
	struct ghost_crew *crew;
	struct ghost_tasks *strays;
	struct ghost_policy *bpf;
	struct host_view view;
	struct ghost_hint_server *hints;
	unsigned long id;
	bool owner;
	bool inherited;
	int lock;
	unsigned long released;
	struct sums last;
};

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

static int complain(const char *what, int err)
{
	const char *hint = ghost_hint(err);

	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what,
		strerror(-err));
	if (hint)
		fprintf(stderr, "  %s\n", hint);
	return 1;
}

static void usage(FILE *out, const struct host_policy *policy)
{
	const char *hints =
		"  --hints PATH    listen there for hints of applications\n";

	fprintf(out,
		"usage: ghost-%s --cpus LIST [OPTION]...\n"
		"       ghost-%s --enclave N | --take-over N [OPTION]...\n"
		"Schedule the tasks of an enclave: %s.\n\n"
		"  --cpus LIST     create an enclave on these CPUs (0-3,7), and\n"
		"                  destroy it on exit\n"
		"  --enclave N     schedule enclave N, which has no agent\n"
		"  --take-over N   ask the agent of enclave N to leave, replace it\n"
		"  --fresh         forget what a predecessor knew of the tasks\n"
		"  --slice US      a turn, in microseconds (default %ld)\n"
		"  --max-tasks N   room for so many; others are not scheduled here\n"
		"  --timeout MS    with --cpus: the kernel destroys the enclave if\n"
		"                  a task waits so long (default 0 = never)\n"
		"  --stats SECS    print one line of statistics every SECS seconds\n"
		"%s  -h, --help      this text\n\n"
		"SIGTERM and Ctrl-C end it in order. Then, in another terminal:\n"
		"  ghostctl run N -- COMMAND\n", policy->name, policy->name,
		policy->about, policy->slice_ms * 1000,
		policy->hint ? hints : "");
}

/* ---- statistics ---- */

static void add_up(struct session *s, struct sums *sum)
{
	int i, e;

	memset(sum, 0, sizeof(*sum));
	sum->time = now_ns();
	for (i = 0; i < FRAME_CPUS; i++) {
		struct frame_cpu *c = &s->view.cpus[i];
		uint64_t max = LOOK(c->max_wait);

		sum->messages += LOOK(c->messages);
		sum->passed += LOOK(c->passed);
		sum->picks += LOOK(c->picks);
		sum->kicks += LOOK(c->kicks);
		sum->preempts += LOOK(c->preempts);
		sum->waited += LOOK(c->waited);
		if (max > sum->max_wait)
			sum->max_wait = max;
		for (e = 0; e < FRAME_ERRNOS; e++)
			sum->failed[e] += LOOK(c->failed[e]);
	}
}

static void print_hints(const struct session *s)
{
	struct ghost_hint_counts counts;

	if (!s->hints)
		return;
	ghost_hint_server_counts(s->hints, &counts);
	printf(" hints=%lu hinters=%lu refused=%lu foreign=%lu bad=%lu",
	       counts.taken, counts.clients, counts.refused, counts.foreign,
	       counts.bad);
}

static void print_rest(struct session *s, const struct sums *now,
		       const struct sums *then)
{
	int e;

	if (s->policy->stats)
		s->policy->stats();
	print_hints(s);
	for (e = 0; e < FRAME_ERRNOS; e++)
		if (now->failed[e] != then->failed[e])
			printf(" %s=%llu", strerrorname_np(e) ?: "?",
			       (unsigned long long)(now->failed[e] -
						    then->failed[e]));
	putchar('\n');
}

static void print_stats(struct session *s)
{
	struct sums now, *then = &s->last;
	uint64_t picks;
	double secs;

	add_up(s, &now);
	secs = (double)(now.time - then->time) / NSEC_PER_SEC;
	picks = now.picks - then->picks;
	printf("stats enclave=%lu msgs/s=%.0f picks/s=%.0f preempts/s=%.0f kicks/s=%.0f",
	       s->id, (double)(now.messages - then->messages) / secs,
	       (double)picks / secs,
	       (double)(now.preempts - then->preempts) / secs,
	       (double)(now.kicks - then->kicks) / secs);
	printf(" passed/s=%.0f wait_us=%llu max_wait_us=%llu",
	       (double)(now.passed - then->passed) / secs,
	       (unsigned long long)(picks ? (now.waited - then->waited) /
					    picks / 1000 : 0),
	       (unsigned long long)now.max_wait / 1000);
	print_rest(s, &now, then);
	s->last = now;
}

static void print_total(struct session *s)
{
	static const struct sums none;
	struct sums now;

	add_up(s, &now);
	printf("total enclave=%lu msgs=%llu picks=%llu preempts=%llu kicks=%llu",
	       s->id, (unsigned long long)now.messages,
	       (unsigned long long)now.picks,
	       (unsigned long long)now.preempts,
	       (unsigned long long)now.kicks);
	printf(" passed=%llu released=%lu max_wait_us=%llu",
	       (unsigned long long)now.passed, s->released,
	       (unsigned long long)now.max_wait / 1000);
	print_rest(s, &now, &none);
}

/* ---- what the programs do not schedule ---- */

/* Do the programs have the task? */
static bool find(const struct session *s, int64_t gtid, uint32_t *index)
{
	return !bpf_map__lookup_elem(s->view.lookup, &gtid, sizeof(gtid),
				     index, sizeof(*index), 0);
}

static void settle(struct session *s, struct ghost_task *task)
{
	uint32_t index;

	if (task->state == GHOST_TASK_GONE || find(s, task->gtid, &index)) {
		ghost_tasks_forget(s->strays, task);
		return;
	}
	if (!ghost_task_release(task->gtid))
		s->released++;
}

static int drain(struct session *s)
{
	struct ghost_event event;
	struct ghost_queue *q;
	int i, err;

	for (i = 0; (q = ghost_crew_queue(s->crew, i)); i++) {
		while (ghost_queue_next(q, &event)) {
			struct ghost_task *task;

			err = ghost_tasks_apply(s->strays, &event, &task);
			if (err && err != -ESTALE)
				return err;
			if (task && !err)
				settle(s, task);
		}
	}
	return 0;
}

/* ---- hints ---- */

static int take_hint(void *arg, int64_t gtid, const struct ghost_hint *hint)
{
	const struct session *s = arg;
	uint32_t index;

	if (!find(s, gtid, &index))
		return -ENOENT;
	s->policy->hint(index, gtid, hint);
	return 0;
}

static int listen_for_hints(struct session *s)
{
	char what[160];
	uint32_t i;
	int err;

	/* Those of a predecessor that was killed: nobody would withdraw them. */
	for (i = 0; s->policy->hint && s->inherited && i < FRAME_TASKS; i++)
		s->policy->hint(i, 0, NULL);
	if (!s->o->hints)
		return 0;
	err = ghost_hint_server_create(&s->hints, s->o->hints, take_hint, s);
	snprintf(what, sizeof(what), "cannot listen for hints at %s", s->o->hints);
	return err ? complain(what, err) : 0;
}

/* ---- agents ---- */

static int park(struct ghost_agent *a, void *arg)
{
	const struct session *s = arg;
	bool decides = s->policy->decide && !ghost_agent_index(a);
	int err = 0;

	while (!err && !ghost_agent_stopping(a)) {
		uint32_t barrier = ghost_agent_barrier(a);

		if (decides)
			s->policy->decide();
		/* Looked at after the barrier: a stop changes both. */
		if (!ghost_agent_stopping(a))
			err = ghost_agent_wait(a, barrier, 0);
	}
	return err;
}

/* ---- start, work, leave ---- */

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
	err = ghost_fs_write(ghost_enclave_dir(s->enclave), "deliver_ticks",
			     "1");
	return err ? complain("cannot turn deliver_ticks on", err) : 0;
}

static int configure(struct session *s)
{
	int i, cpu;

	s->policy->view(&s->view);
	*s->view.slice_ns = (uint64_t)s->o->slice_us * 1000;
	if (s->policy->configure)
		s->policy->configure(ghost_enclave_cpu(s->enclave, 0));
	for (i = 0; i < ghost_enclave_nr_cpus(s->enclave); i++) {
		cpu = ghost_enclave_cpu(s->enclave, i);
		if (cpu >= FRAME_CPUS)
			return -ERANGE;
		s->view.enclave_cpus[cpu / 64] |= 1ULL << (cpu % 64);
	}
	if (!s->o->max_tasks)
		return 0;
	return bpf_map__set_max_entries(s->view.lookup,
					(uint32_t)s->o->max_tasks);
}

/* The enclave outlives this process: so must what is known of its tasks. */
static int share(struct session *s, struct bpf_object *object)
{
	int ret;

	if (s->owner)
		return 0;
	if (s->o->fresh)
		ghost_policy_undir(s->enclave, s->policy->name);
	ret = ghost_policy_share_maps(object, s->enclave, s->policy->name);
	if (s->policy->unshare)
		s->policy->unshare();
	s->inherited = ret > 0;
	return ret < 0 ? ret : 0;
}

static int not_loaded(const struct session *s, int err)
{
	if (err == -ESRCH && access("/sys/kernel/btf/vmlinux", F_OK)) {
		fprintf(stderr, "%s: the BPF programs call kfuncs, and this kernel has no BTF\n"
			"  build it with CONFIG_DEBUG_INFO_BTF\n",
			program_invocation_short_name);
		return 1;
	}
	complain("cannot load the BPF programs", err);
	if (s->inherited)
		fputs("  if the maps of the last one do not fit: --fresh\n",
		      stderr);
	return 1;
}

/* What policies of other names knew: they have not seen what happens from now on. */
static void forget_others(struct session *s)
{
	int fd = openat(s->lock, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((entry = readdir(dir)))
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.' &&
		    strcmp(entry->d_name, s->policy->name))
			ghost_policy_undir(s->enclave, entry->d_name);
	closedir(dir);
}

/* In the place of a predecessor's programs, if there are some. */
static int replace(struct session *s, const struct bpf_object *object)
{
	int err = ghost_policy_open(&s->bpf, s->enclave);

	if (!err)
		err = ghost_policy_replace(s->bpf, object);
	else if (err == -ENOENT)
		err = ghost_policy_attach(&s->bpf, s->enclave, object);
	/* At once: the programs that queued these tasks are gone. */
	if (!err && s->inherited && s->policy->unshare)
		err = ghost_fs_discover_tasks(ghost_enclave_ctl(s->enclave));
	if (err)
		return err;
	forget_others(s);
	return ghost_policy_pin(s->bpf);
}

/* One process at a time replaces the programs of an enclave, all of them. */
static int lock_programs(struct session *s)
{
	char path[PATH_MAX];
	int err;

	if (s->owner)
		return 0;
	err = ghost_policy_dir(s->enclave, NULL, path, sizeof(path));
	if (err)
		return complain("cannot make a directory for the BPF programs", err);
	s->lock = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->lock < 0 || flock(s->lock, LOCK_EX))
		return complain("cannot lock the directory of the BPF programs", -errno);
	return 0;
}

static void unlock_programs(struct session *s)
{
	if (s->lock >= 0)
		close(s->lock);
	s->lock = -1;
}

static int load(struct session *s)
{
	struct bpf_object *object = s->policy->open();
	int err;

	if (!object)
		return complain("cannot open the BPF programs", -errno);
	err = ghost_policy_prepare(object);
	if (!err)
		err = configure(s);
	if (!err)
		err = share(s, object);
	if (err)
		return complain("cannot prepare the BPF programs", err);
	err = s->policy->load();
	if (err)
		return not_loaded(s, err);
	s->policy->view(&s->view);
	err = s->owner ? ghost_policy_attach(&s->bpf, s->enclave, object) :
			 replace(s, object);
	return err ? complain("cannot attach the BPF programs", err) : 0;
}

/* Make every CPU schedule: what runs and what waits is told anew. */
static void wake_all(struct session *s)
{
	int i;

	for (i = 0; i < ghost_enclave_nr_cpus(s->enclave); i++)
		ghost_crew_wake(s->crew, i);
}

static int start(struct session *s)
{
	static const struct ghost_crew_ops ops = {
		.run = park, .at_once = true,
	};
	struct ghost_handoff handoff;
	int err;

	err = ghost_tasks_create(&s->strays, s->enclave, 0);
	if (!err)
		err = ghost_crew_create(&s->crew, s->enclave, QUEUE_ELEMS,
					&ops, s);
	if (err)
		return complain("cannot prepare agents", err);
	err = s->o->take_over ? 0 : ghost_enclave_online(s->enclave);
	if (err)
		return complain("agents cannot start", err < 0 ? err : -EBUSY);
	err = lock_programs(s) || load(s);
	unlock_programs(s);
	if (err || listen_for_hints(s))
		return 1;
	err = ghost_crew_start(s->crew, s->o->take_over ? GHOST_START_ASK :
							  GHOST_START_ALONE,
			       START_TIMEOUT_MS, &handoff);
	/* Once more: who joined before there was a queue is seen by no program. */
	if (!err && (!s->inherited || s->policy->unshare))
		err = ghost_fs_discover_tasks(ghost_enclave_ctl(s->enclave));
	if (err)
		return complain("agents cannot start", err);
	wake_all(s);
	printf("ready enclave=%lu pid=%d\n", s->id, getpid());
	if (s->o->take_over)
		printf("handoff enclave=%lu gap_us=%lld tasks=%u inherited=%d\n",
		       s->id, (long long)(handoff.online_ns -
					  handoff.offline_ns) / 1000,
		       handoff.tasks, s->inherited);
	return 0;
}

static int work(struct session *s)
{
	const struct timespec step = { .tv_nsec = STEP_NS };
	int64_t second = now_ns();
	sigset_t leave;
	int err = 0;

	sigemptyset(&leave);
	sigaddset(&leave, SIGTERM);
	sigaddset(&leave, SIGINT);
	add_up(s, &s->last);
	while (!err && sigtimedwait(&leave, NULL, &step) < 0) {
		int64_t now = now_ns();

		if (s->policy->plan)
			s->policy->plan();
		if (s->hints)
			ghost_hint_server_work(s->hints);
		err = drain(s);
		if (!err && now - second >= NSEC_PER_SEC) {
			second = now;
			err = ghost_enclave_make_room(s->enclave);
		}
		if (s->o->stats_secs &&
		    now - s->last.time >= s->o->stats_secs * NSEC_PER_SEC)
			print_stats(s);
		if (!err)
			err = ghost_crew_error(s->crew);
	}
	return err;
}

static int schedule(struct session *s)
{
	char what[80];
	int err;

	if (start(s))
		return 1;
	err = work(s);
	ghost_crew_stop(s->crew);
	print_total(s);
	if (!err)
		return 0;
	snprintf(what, sizeof(what), "enclave %lu: an agent stopped", s->id);
	return complain(what, err);
}

static int session(struct supervised *told, void *arg)
{
	const struct options *o = arg;
	struct session s = { .o = o, .policy = o->policy, .lock = -1 };
	int ret;

	setvbuf(stdout, NULL, _IOLBF, 0);
	ret = open_enclave(&s);
	told->enclave = s.id;
	if (!ret)
		ret = schedule(&s);
	if (s.owner)
		ghost_enclave_destroy(s.enclave);
	ghost_hint_server_destroy(s.hints);
	ghost_policy_close(s.bpf);
	ghost_crew_destroy(s.crew);
	ghost_tasks_destroy(s.strays);
	s.policy->close();
	ghost_enclave_close(s.enclave);
	return ret;
}

static long number(const char *text, const char *option)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(text, &end, 10);
	if (errno || *end || end == text || n < 0 || n > 100000000) {
		fprintf(stderr, "%s: --%s wants a number, not '%s'\n",
			program_invocation_short_name, option, text);
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
		{ "fresh", no_argument, NULL, 'f' },
		{ "slice", required_argument, NULL, 'l' },
		{ "max-tasks", required_argument, NULL, 'n' },
		{ "timeout", required_argument, NULL, 'm' },
		{ "stats", required_argument, NULL, 's' },
		{ "hints", required_argument, NULL, 'i' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 }
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (opt) {
		case 'c':
			o->cpus = optarg;
			break;
		case 't':
		case 'e':
			o->enclave = (unsigned long)number(optarg, "enclave");
			o->take_over = opt == 't';
			break;
		case 'f':
			o->fresh = true;
			break;
		case 'l':
			o->slice_us = number(optarg, "slice");
			break;
		case 'n':
			o->max_tasks = number(optarg, "max-tasks");
			break;
		case 'm':
			o->timeout_ms = (unsigned long)number(optarg,
							      "timeout");
			break;
		case 's':
			o->stats_secs = number(optarg, "stats");
			break;
		case 'i':
			o->hints = optarg;
			break;
		case 'h':
			usage(stdout, o->policy);
			exit(0);
		default:
			fprintf(stderr, "try: ghost-%s --help\n",
				o->policy->name);
			exit(2);
		}
	}
	if (o->hints && !o->policy->hint) {
		fprintf(stderr, "%s: this policy takes no --hints\n",
			program_invocation_short_name);
		exit(2);
	}
	if (optind == argc && !o->cpus != !o->enclave)
		return;
	fprintf(stderr,
		"%s: give --cpus LIST, or --enclave N, or --take-over N\n"
		"try: ghost-%s --help\n", program_invocation_short_name,
		o->policy->name);
	exit(2);
}

int host_main(const struct host_policy *policy, int argc, char **argv)
{
	struct options o = {
		.policy = policy,
		.slice_us = policy->slice_ms * 1000,
	};
	const char *problem;

	parse(argc, argv, &o);
	problem = ghost_fs_problem(NULL);
	if (problem) {
		fprintf(stderr, "%s: %s\n", program_invocation_short_name,
			problem);
		return 1;
	}
	return supervise(session, &o);
}
