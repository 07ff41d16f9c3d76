// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* What a worker can do. Whatever waits for another waits without a limit. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "torture.h"

#ifndef FUTEX_SWITCHTO
#define FUTEX_SWITCHTO	71
#endif

/* Exit codes of what should not be. */
enum { BAD_SUM = 50, BAD_PIPE, BAD_CHILD, BAD_THREAD };

static int64_t thread_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000000LL + ts.tv_nsec / 1000;
}

/* Registers of both kinds must survive what the scheduler does meanwhile. */
void work_us(unsigned int us)
{
	int64_t end = thread_us() + us;
	uint64_t n = 0;
	double sum = 0;
	int i;

	do {
		for (i = 0; i < 500; i++) {
			sum += 0.5;
			__asm__ volatile("" : "+x"(sum));
			n++;
		}
		if (sum != n * 0.5)
			_exit(BAD_SUM);
	} while (thread_us() < end);
}

typedef void (*child_fn)(struct worker *w, struct rng *r, void *arg);

static pid_t start_child(child_fn fn, struct worker *w, struct rng *r, void *arg)
{
	pid_t parent = getpid(), pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
	census_enter();
	fn(w, r, arg);
	_exit(0);
}

static bool end_child(pid_t pid)
{
	int status;

	if (pid < 0)
		return false;
	status = reap(pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : BAD_CHILD);
	return true;
}

static bool spin(struct worker *w, struct rng *r)
{
	work_us(below(r, 1U << below(r, 12)));
	return true;
}

static bool nap(struct worker *w, struct rng *r)
{
	usleep(below(r, 1U << below(r, 15)));
	return true;
}

static bool yield(struct worker *w, struct rng *r)
{
	int n;

	for (n = below(r, 8); n >= 0; n--)
		sched_yield();
	return true;
}

static bool change_nice(struct worker *w, struct rng *r)
{
	return !setpriority(PRIO_PROCESS, 0, (int)below(r, 40) - 20);
}

static bool change_affinity(struct worker *w, struct rng *r)
{
	bool all = one_in(r, 2);
	cpu_set_t set;
	int cpu;

	CPU_ZERO(&set);
	for (cpu = 0; cpu < shared->ncpus; cpu++)
		if (cpu != shared->quiet_cpu && (all || one_in(r, 2)))
			CPU_SET(cpu, &set);
	return !sched_setaffinity(0, sizeof(set), &set);
}

/* Opens a file of some enclave of the walk. */
static int open_some(struct rng *r, const char *name, int flags)
{
	int id = load(&shared->slots[below(r, SLOTS)].id);
	char path[80];

	snprintf(path, sizeof(path), GT_ROOT "/enclave_%d/%s", id, name);
	return gt_open(path, flags);
}

static bool join(struct worker *w, struct rng *r)
{
	int fd = open_some(r, "tasks", O_WRONLY), ret;

	if (fd < 0)
		return false;
	ret = gt_put(fd, "0");
	close(fd);
	return ret > 0;
}

static bool leave(struct worker *w, struct rng *r)
{
	static const int policies[] = { SCHED_OTHER, SCHED_BATCH, SCHED_IDLE };
	struct sched_param sp = { 0 };
	int policy = policies[below(r, 3)];

	if (one_in(r, 2))
		policy |= SCHED_RESET_ON_FORK;
	if (sched_setscheduler(0, policy, &sp))
		return false;
	/* SCHED_IDLE beside others could wait longer than anybody likes. */
	return !sched_setscheduler(0, SCHED_OTHER, &sp);
}

static bool real_time(struct worker *w, struct rng *r)
{
	struct sched_param rt = { .sched_priority = 1 + below(r, 10) };
	struct sched_param other = { 0 };
	bool ok = !sched_setscheduler(0, one_in(r, 2) ? SCHED_RR : SCHED_FIFO, &rt);

	work_us(below(r, 3000));
	sched_setscheduler(0, SCHED_OTHER, &other);
	return ok;
}

static void child_walks(struct worker *w, struct rng *r, void *arg)
{
	static const enum figure what[] = {
		F_W_SPIN, F_W_NAP, F_W_YIELD, F_W_NICE, F_W_JOIN, F_W_LEAVE,
		F_W_MEMORY,
	};
	int n;

	for (n = below(r, 6); n >= 0; n--) {
		worker_run_op(w, r, what[below(r, sizeof(what) / sizeof(what[0]))]);
		worker_step(w);
	}
}

static bool fork_child(struct worker *w, struct rng *r)
{
	return end_child(start_child(child_walks, w, r, NULL));
}

static bool exec(struct worker *w, struct rng *r)
{
	worker_step(w);
	count(F_W_EXEC, true);
	become_again();
	return false;
}

static void *exec_in_thread(void *arg)
{
	become_again();
	return NULL;
}

/* Its thread takes the place, and the number, of the first one. */
static bool exec_by_thread(struct worker *w, struct rng *r)
{
	pthread_t thread;

	worker_step(w);
	if (pthread_create(&thread, NULL, exec_in_thread, NULL))
		return false;
	count(F_W_EXEC_THREAD, true);
	for (;;)
		work_us(100);
}

static bool end(struct worker *w, struct rng *r)
{
	worker_step(w);
	count(F_W_EXIT, true);
	_exit(0);
}

static void *thread_works(void *arg)
{
	struct rng *r = arg;

	work_us(below(r, 500));
	usleep(below(r, 500));
	sched_yield();
	return arg;
}

static bool thread(struct worker *w, struct rng *r)
{
	pthread_t threads[3];
	struct rng rngs[3];
	int i, n = 1 + below(r, 3);
	void *ret;

	for (i = 0; i < n; i++) {
		rngs[i].state = rng_next(r);
		if (pthread_create(&threads[i], NULL, thread_works, &rngs[i]))
			break;
	}
	while (i--)
		if (pthread_join(threads[i], &ret) || ret != &rngs[i])
			_exit(BAD_THREAD);
	return true;
}

/* ---- two that wait for each other ---- */

#define ROUNDS	20

struct pipes {
	int ping[2], pong[2];
};

static void answer(struct worker *w, struct rng *r, void *arg)
{
	struct pipes *p = arg;
	char c;

	/* Else it would not see the end of its parent. */
	close(p->ping[1]);
	close(p->pong[0]);
	while (read(p->ping[0], &c, 1) == 1)
		if (write(p->pong[1], &c, 1) != 1)
			_exit(BAD_PIPE);
}

static bool ping_pong(struct worker *w, struct rng *r)
{
	int i, n = 1 + below(r, ROUNDS);
	struct pipes p;
	char c = 'x';
	pid_t pid;

	if (pipe2(p.ping, O_CLOEXEC) || pipe2(p.pong, O_CLOEXEC))
		return false;
	pid = start_child(answer, w, r, &p);
	close(p.ping[0]);
	close(p.pong[1]);
	for (i = 0; pid > 0 && i < n; i++) {
		if (write(p.ping[1], &c, 1) != 1 || read(p.pong[0], &c, 1) != 1)
			_exit(BAD_PIPE);
		worker_step(w);
	}
	close(p.ping[1]);
	close(p.pong[0]);
	return end_child(pid);
}

static long futex(uint32_t *word, int op, uint32_t value, uint32_t *word2)
{
	return syscall(SYS_futex, word, op, value, NULL, word2, 0);
}

struct rally {
	uint32_t seat[2];
	int rounds;
};

/* Waits for its turn, handing the CPU to the other if the kernel can. */
static void pass_to(struct rally *y, int me, bool first, bool last)
{
	if (!first) {
		store(&y->seat[!me], 1);
		if (last || (futex(&y->seat[me], FUTEX_SWITCHTO, 0, &y->seat[!me]) &&
			     errno == ENOSYS))
			futex(&y->seat[!me], FUTEX_WAKE, 1, NULL);
	}
	if (last)
		return;
	while (!load(&y->seat[me]))
		futex(&y->seat[me], FUTEX_WAIT, 0, NULL);
	store(&y->seat[me], 0);
}

static void rally_child(struct worker *w, struct rng *r, void *arg)
{
	struct rally *y = arg;
	int i;

	for (i = 0; i <= y->rounds; i++)
		pass_to(y, 1, i == 0, i == y->rounds);
}

static bool switch_to(struct worker *w, struct rng *r)
{
	struct rally *y;
	pid_t pid;
	int i;

	y = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		 -1, 0);
	if (y == MAP_FAILED)
		return false;
	y->rounds = 1 + below(r, ROUNDS);
	pid = start_child(rally_child, w, r, y);
	for (i = 0; pid > 0 && i < y->rounds; i++) {
		pass_to(y, 0, false, false);
		worker_step(w);
		if (one_in(r, 4))
			work_us(below(r, 100));
	}
	munmap(y, 4096);
	return end_child(pid);
}

/* Its owner can be killed, or wait for a CPU for as long as an enclave lives. */
static bool pi_mutex(struct worker *w, struct rng *r)
{
	struct sched_param rt = { .sched_priority = 1 }, other = { 0 };
	bool boosts = one_in(r, 3);
	struct timespec until;
	int ret;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 1;
	if (boosts)
		sched_setscheduler(0, SCHED_FIFO, &rt);
	ret = pthread_mutex_timedlock(&shared->pi, &until);
	if (boosts)
		sched_setscheduler(0, SCHED_OTHER, &other);
	if (ret == EOWNERDEAD)
		pthread_mutex_consistent(&shared->pi);
	else if (ret)
		return false;
	work_us(below(r, 300));
	if (one_in(r, 2))
		usleep(below(r, 300));
	pthread_mutex_unlock(&shared->pi);
	return true;
}

static bool memory(struct worker *w, struct rng *r)
{
	size_t size = 4096UL << below(r, 6);
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return false;
	memset(p, 1, size);
	munmap(p, size);
	return true;
}

static bool read_files(struct worker *w, struct rng *r)
{
	static const char * const names[] = {
		"status", "tasks", "cpulist", "bpf", "features", "runnable_timeout",
	};
	char buf[4096];
	int fd = open_some(r, names[below(r, 6)], O_RDONLY), ret;

	if (fd < 0)
		return false;
	ret = read(fd, buf, sizeof(buf));
	close(fd);
	return ret >= 0;
}

static bool (* const ops[])(struct worker *w, struct rng *r) = {
	spin, nap, yield, change_nice, change_affinity, join, leave, real_time,
	fork_child, exec, exec_by_thread, end, thread, ping_pong, switch_to,
	pi_mutex, memory, read_files,
};

void worker_run_op(struct worker *w, struct rng *r, enum figure op)
{
	count(op, ops[op - F_W_SPIN](w, r));
}
