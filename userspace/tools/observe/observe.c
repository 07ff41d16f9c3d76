// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* ghostctl observe: what happens in an enclave, counted by programs in BPF. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <bpf/libbpf.h>

#include "../ghostctl.h"
#include "observe.h"
#include "observe.skel.h"

#define BTF		"/sys/kernel/btf/vmlinux"
#define STEP_NS		100000000L
#define NSEC_PER_SEC	1000000000LL

static const char bar[] = "##############################";

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

static int refused(unsigned long id, int err)
{
	fprintf(stderr, "ghostctl: enclave %lu: cannot observe it: %s\n  %s\n", id,
		strerror(-err),
		err == -EPERM ?
		"that needs the capabilities BPF and PERFMON: be root" :
		"ghostctl and the kernel do not fit: build both from one source");
	return 1;
}

/* ---- for people ---- */

static void print_count(const char *what, uint64_t n, double seconds)
{
	printf("  %-24s %12llu %12.1f\n", what, (unsigned long long)n,
	       (double)n / seconds);
}

static void print_buckets(const char *what, const __u64 *buckets)
{
	uint64_t most = 1;
	int i, first = OBSERVE_BUCKETS, last = -1;

	for (i = 0; i < OBSERVE_BUCKETS; i++) {
		if (!buckets[i])
			continue;
		if (first > i)
			first = i;
		last = i;
		if (buckets[i] > most)
			most = buckets[i];
	}
	printf("\n%s\n", what);
	if (last < 0)
		puts("  none");
	for (i = first; i <= last; i++)
		printf("  %10llu to %10llu us %12llu  %.*s\n",
		       i ? 1ULL << (i - 1) : 0, 1ULL << i,
		       (unsigned long long)buckets[i],
		       (int)(buckets[i] * strlen(bar) / most), bar);
}

static const char *message_name(int i)
{
	return ghost_msg_name(i < OBSERVE_TYPES ? GHOST_TASK_MSG_FIRST + i :
			      GHOST_CPU_MSG_FIRST + i - OBSERVE_TYPES);
}

static const char *state_name(int i)
{
	return ghost_txn_state_name(GHOST_TXN_STATE_BASE + i);
}

static void print(unsigned long id, double seconds, const struct observed *o)
{
	int i;

	printf("enclave %lu, %.1f s\n\n", id, seconds);
	printf("  %-24s %12s %12s\n", "messages", "number", "a second");
	for (i = 0; i < 2 * OBSERVE_TYPES; i++)
		if (o->messages[i])
			print_count(message_name(i), o->messages[i], seconds);
	printf("\n  %-24s %12s %12s\n", "picks", "number", "a second");
	print_count("tasks", o->picks, seconds);
	print_count("idle on purpose", o->idles, seconds);
	for (i = 0; i < OBSERVE_STATES; i++) {
		char what[32];

		if (!o->commits[i])
			continue;
		snprintf(what, sizeof(what), "commits %s", state_name(i));
		print_count(what, o->commits[i], seconds);
	}
	print_buckets("from wake-up to run", o->to_run);
	print_buckets("from idle to latch", o->to_latch);
}

/* ---- for programs ---- */

static void json_counts(const char *key, const __u64 *counts, int n,
			const char *(*name)(int i))
{
	const char *comma = "";
	int i;

	printf(",\"%s\":{", key);
	for (i = 0; i < n; i++) {
		if (!counts[i])
			continue;
		printf("%s\"%s\":%llu", comma, name(i),
		       (unsigned long long)counts[i]);
		comma = ",";
	}
	putchar('}');
}

static void json_buckets(const char *key, const __u64 *buckets)
{
	const char *comma = "";
	int i;

	printf(",\"%s\":[", key);
	for (i = 0; i < OBSERVE_BUCKETS; i++) {
		if (!buckets[i])
			continue;
		printf("%s{\"from\":%llu,\"to\":%llu,\"count\":%llu}", comma,
		       i ? 1ULL << (i - 1) : 0, 1ULL << i,
		       (unsigned long long)buckets[i]);
		comma = ",";
	}
	putchar(']');
}

static void print_json(unsigned long id, double seconds, const struct observed *o)
{
	printf("{\"id\":%lu,\"seconds\":%.3f", id, seconds);
	json_counts("messages", o->messages, 2 * OBSERVE_TYPES, message_name);
	json_counts("in_ring", o->rung, 2 * OBSERVE_TYPES, message_name);
	printf(",\"picks\":{\"tasks\":%llu,\"idle\":%llu}",
	       (unsigned long long)o->picks, (unsigned long long)o->idles);
	json_counts("commits", o->commits, OBSERVE_STATES, state_name);
	json_buckets("wakeup_to_run_us", o->to_run);
	json_buckets("idle_to_latch_us", o->to_latch);
	puts("}");
}

/* ---- the programs ---- */

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

/* Attached, or NULL and *@err. */
static struct observe_bpf *attach(unsigned long id, const struct ghost_enclave *e,
				  int *err)
{
	struct observe_bpf *skel = observe_bpf__open();
	int i;

	if (!skel) {
		*err = -errno;
		return NULL;
	}
	skel->rodata->enclave_id = id;
	for (i = 0; i < ghost_enclave_nr_cpus(e); i++) {
		int cpu = ghost_enclave_cpu(e, i);

		if (cpu < OBSERVE_CPUS)
			skel->rodata->enclave_cpus[cpu / 64] |= 1ULL << (cpu % 64);
	}
	*err = observe_bpf__load(skel);
	if (!*err)
		*err = observe_bpf__attach(skel);
	if (!*err)
		return skel;
	observe_bpf__destroy(skel);
	return NULL;
}

/* Until the time is over, the enclave is gone, or somebody has seen enough. */
static void wait_for(struct ghost_enclave *e, unsigned long seconds, int64_t start)
{
	const struct timespec step = { .tv_nsec = STEP_NS };
	sigset_t enough;

	sigemptyset(&enough);
	sigaddset(&enough, SIGINT);
	sigaddset(&enough, SIGTERM);
	sigprocmask(SIG_BLOCK, &enough, NULL);
	while (now_ns() - start < (int64_t)seconds * NSEC_PER_SEC &&
	       !faccessat(ghost_enclave_dir(e), "ctl", F_OK, 0) &&
	       sigtimedwait(&enough, NULL, &step) < 0)
		;
}

int observe_enclave(unsigned long id, unsigned long seconds, bool json)
{
	struct observe_bpf *skel;
	struct ghost_enclave *e;
	struct observed sum;
	int64_t start, took;
	int err;

	err = ghost_enclave_open(&e, NULL, id);
	if (err)
		return complain("cannot open it", id, err);
	if (access(BTF, R_OK)) {
		fprintf(stderr, "ghostctl: cannot observe: this kernel has no " BTF "\n"
			"  build it with CONFIG_DEBUG_INFO_BTF\n");
		ghost_enclave_close(e);
		return 1;
	}
	libbpf_set_print(quiet);
	skel = attach(id, e, &err);
	if (!skel) {
		ghost_enclave_close(e);
		return refused(id, err);
	}
	start = now_ns();
	wait_for(e, seconds, start);
	took = now_ns() - start;
	sum = skel->bss->observed;
	observe_bpf__destroy(skel);
	ghost_enclave_close(e);
	if (json)
		print_json(id, (double)took / NSEC_PER_SEC, &sum);
	else
		print(id, (double)took / NSEC_PER_SEC, &sum);
	return 0;
}
