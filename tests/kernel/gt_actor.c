// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Who acts in the ABI tests: agents (threads) and tasks (processes). */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gt.h"

#define load(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)

/* ---- agents ---- */

int gt_run(struct gt_enclave *e, struct ghost_ioc_run *run)
{
	return gt_ioctl(e->ctl, GHOST_IOC_RUN, run);
}

int gt_ping(struct gt_enclave *e, int cpu)
{
	struct ghost_ioc_run run = { .gtid = GHOST_AGENT_GTID, .run_cpu = cpu };

	return gt_run(e, &run);
}

/* Reads the barrier, then looks for work, then parks: see appendix B. */
static void agent_loop(struct gt_agent *a)
{
	struct ghost_ioc_run run = { .run_cpu = a->cpu };
	int ret;

	for (;;) {
		run.agent_barrier = gt_barrier(a->sw);
		if (load(&a->posted) != a->done) {
			a->result = a->fn(a, a->arg);
			store(&a->done, a->done + 1);
			continue;
		}
		if (load(&a->stop))
			return;
		ret = gt_run(a->e, &run);
		if (ret && ret != -ESTALE) {
			a->run_error = ret;
			return;
		}
	}
}

static void *agent_main(void *arg)
{
	struct gt_agent *a = arg;
	char cmd[64];
	int ret;

	a->tid = gettid();
	snprintf(cmd, sizeof(cmd), "become agent %d %d", a->cpu, a->qfd);
	ret = gt_put(a->e->ctl, cmd);
	if (ret >= 0)
		ret = gt_sw_info(a->e, GHOST_AGENT, a->cpu, &a->info);
	if (ret >= 0)
		a->sw = gt_sw_at(a->e, a->info);
	a->error = ret < 0 ? ret : 0;
	store(&a->alive, !a->error);
	store(&a->ready, 1);
	if (!a->error)
		agent_loop(a);
	store(&a->alive, 0);
	return NULL;
}

int gt_agent_start(struct gt_agent *a, struct gt_enclave *e, int cpu, int qfd)
{
	int ret;

	memset(a, 0, sizeof(*a));
	a->e = e;
	a->cpu = cpu;
	a->qfd = qfd;
	ret = pthread_create(&a->thread, NULL, agent_main, a);
	if (ret)
		return -ret;
	if (!gt_wait_for(load(&a->ready)))
		return -ETIMEDOUT;
	if (a->error)
		pthread_join(a->thread, NULL);
	return a->error;
}

int gt_agent_end(struct gt_agent *a)
{
	if (!a->sw)
		return 0;
	store(&a->stop, 1);
	if (load(&a->alive))
		gt_ping(a->e, a->cpu);
	pthread_join(a->thread, NULL);
	if (!gt_wait_for(gt_flags(a->sw) & GHOST_SW_F_CANFREE))
		return -ETIMEDOUT;
	a->sw = NULL;
	return a->run_error;
}

int gt_agent_stop(struct gt_agent *a)
{
	int ret;

	if (!a->sw)
		return 0;
	ret = gt_agent_end(a);
	return ret ? ret : gt_sw_free(a->e, a->info);
}

/* An agent whose local commit succeeded is still inside its job: wake it. */
int gt_finish(struct gt_agent *a, long *result)
{
	if (load(&a->done) != a->posted) {
		gt_ping(a->e, a->cpu);
		if (!gt_wait_for(load(&a->done) == a->posted))
			return -ETIMEDOUT;
	}
	if (result)
		*result = a->result;
	return 0;
}

int gt_post(struct gt_agent *a, gt_job_fn fn, void *arg)
{
	int ret = gt_finish(a, NULL);

	if (ret)
		return ret;
	/* On its way to park it might find the job before the ping, and count it. */
	if (!gt_wait_for(!load(&a->alive) || !(gt_flags(a->sw) & GHOST_SW_TASK_ONCPU)))
		return -ETIMEDOUT;
	a->fn = fn;
	a->arg = arg;
	store(&a->posted, a->posted + 1);
	return gt_ping(a->e, a->cpu);
}

long gt_call(struct gt_agent *a, gt_job_fn fn, void *arg)
{
	int ret = gt_post(a, fn, arg);

	if (ret)
		return ret;
	return gt_wait_for(load(&a->done) == a->posted) ? a->result :
							  -ETIMEDOUT;
}

struct commit_job {
	int cpu;
	struct gt_txn txn;
	int filled;
};

static long commit_job(struct gt_agent *a, void *arg)
{
	struct commit_job *j = arg;

	if (j->txn.agent_barrier == GT_NOW)
		j->txn.agent_barrier = gt_barrier(a->sw);
	gt_txn_fill(a->e, j->cpu, &j->txn);
	store(&j->filled, 1);
	return gt_txn_ioctl(a->e, 1ULL << j->cpu);
}

int gt_commit(struct gt_agent *a, int cpu, struct gt_txn *t)
{
	/* The job may outlive this call: the agent waits inside the ioctl. */
	static struct commit_job jobs[64];
	struct commit_job *j = &jobs[a->cpu];

	if (gt_finish(a, NULL))
		return GHOST_TXN_READY;
	*j = (struct commit_job){ .cpu = cpu, .txn = *t };
	if (gt_post(a, commit_job, j) || !gt_wait_for(load(&j->filled)))
		return GHOST_TXN_READY;
	return gt_txn_wait(a->e, cpu);
}

int gt_commit_free(struct gt_agent *a, int cpu, struct gt_txn *t)
{
	int64_t end = gt_now_ms() + GT_WAIT_MS;
	int state;

	do {
		state = gt_commit(a, cpu, t);
	} while (state == GHOST_TXN_CPU_UNAVAIL && gt_now_ms() < end);
	return state;
}

pid_t gt_host_start(struct gt_enclave *e, int cpu, gt_job_fn fn, void *arg)
{
	int *state;	/* 0: not yet, 1: online, else: an error */
	pid_t pid;

	state = mmap(NULL, sizeof(*state), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (state == MAP_FAILED)
		return -errno;
	pid = fork();
	if (!pid) {
		static struct gt_enclave own;
		static struct gt_agent a;
		int ret;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		mlockall(MCL_CURRENT | MCL_FUTURE);
		ret = gt_enclave_attach(&own, e->id);
		if (!ret)
			ret = gt_agent_start(&a, &own, cpu, own.q.fd);
		if (!ret && fn)
			ret = gt_post(&a, fn, arg);
		store(state, ret ? ret : 1);
		for (;;)
			pause();
	}
	if (pid < 0)
		return -errno;
	if (!gt_wait_for(load(state)) || load(state) < 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		return load(state) ? load(state) : -ETIMEDOUT;
	}
	munmap(state, sizeof(*state));
	return pid;
}

bool gt_host_killed(pid_t pid)
{
	int status;

	return waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
	       WTERMSIG(status) == SIGKILL;
}

/* ---- tasks ---- */

static void futex(uint32_t *word, int op, uint32_t value)
{
	syscall(SYS_futex, word, op, value, NULL, NULL, 0);
}

static void spin(struct gt_task_ctl *c, uint32_t seq)
{
	while (load(&c->seq) == seq)
		__atomic_add_fetch(&c->count, 1, __ATOMIC_RELAXED);
}

static void task_main(struct gt_task_ctl *c)
{
	uint32_t seq = 0;

	for (;;) {
		while (load(&c->seq) == seq)
			futex(&c->seq, FUTEX_WAIT, seq);
		seq = load(&c->seq);
		switch (load(&c->cmd)) {
		case GT_BLOCK:
			break;
		case GT_SPIN:
			spin(c, seq);
			break;
		case GT_YIELD:
			sched_yield();
			spin(c, seq);
			break;
		case GT_CALL:
			c->result = c->fn(c->arg);
			break;
		case GT_EXIT:
			_exit(0);
		}
		__atomic_store_n(&c->done, seq, __ATOMIC_SEQ_CST);
	}
}

int gt_task_start(struct gt_task *t)
{
	struct gt_task_ctl *c;

	c = mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (c == MAP_FAILED)
		return -errno;
	t->ctl = c;
	t->pid = fork();
	if (t->pid < 0)
		return -errno;
	if (!t->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		mlockall(MCL_CURRENT | MCL_FUTURE);
		gt_pin(0, -1);
		store(&c->ready, 1);
		task_main(c);
	}
	t->gtid = gt_gtid_of(t->pid);
	if (!t->gtid)
		return -ENOENT;
	if (!gt_wait_for(load(&c->ready)) || !gt_asleep(t))
		return -ETIMEDOUT;
	return 0;
}

void gt_tell(struct gt_task *t, enum gt_cmd cmd)
{
	uint32_t last = t->ctl->seq;

	store(&t->ctl->cmd, cmd);
	__atomic_store_n(&t->ctl->seq, last + 1, __ATOMIC_SEQ_CST);
	/*
	 * One that is still at the last command finds this by itself. To wake it
	 * might mean to wake it from the end of this command.
	 */
	if (__atomic_load_n(&t->ctl->done, __ATOMIC_SEQ_CST) == last)
		futex(&t->ctl->seq, FUTEX_WAKE, INT_MAX);
}

void gt_tell_call(struct gt_task *t, long (*fn)(long), long arg)
{
	t->ctl->fn = fn;
	t->ctl->arg = arg;
	gt_tell(t, GT_CALL);
}

bool gt_asleep(struct gt_task *t)
{
	return gt_wait_for(gt_proc_state(t->pid) == 'S');
}

bool gt_spins(struct gt_task *t)
{
	uint64_t before = load(&t->ctl->count);

	return gt_wait_for(load(&t->ctl->count) != before);
}

bool gt_stands(struct gt_task *t)
{
	uint64_t before;

	/* A message can be read before the CPU that sent it has switched. */
	gt_sleep_ms(10);
	before = load(&t->ctl->count);
	gt_sleep_ms(GT_QUIET_MS);
	return load(&t->ctl->count) == before;
}

void gt_task_end(struct gt_task *t)
{
	if (t->pid <= 0)
		return;
	kill(t->pid, SIGKILL);
	waitpid(t->pid, NULL, 0);
	munmap(t->ctl, sizeof(*t->ctl));
	t->pid = 0;
}

/* ---- both together ---- */

static bool try_again(int state)
{
	return state == GHOST_TXN_TARGET_STALE ||
	       state == GHOST_TXN_AGENT_STALE ||
	       state == GHOST_TXN_CPU_UNAVAIL;
}

/*
 * Did a kernel thread of the CPU take the latch away before the task ran? Then
 * its barrier moves on and switch_time does not.
 */
static bool lost_latch(struct ghost_status_word *sw, uint32_t barrier,
		       int64_t switch_time)
{
	int64_t end = gt_now_ms() + 50;

	while (gt_now_ms() < end) {
		if (__atomic_load_n(&sw->switch_time, __ATOMIC_ACQUIRE) != switch_time)
			return false;
		if (gt_barrier(sw) != barrier)
			return gt_flags(sw) & GHOST_SW_TASK_RUNNABLE &&
				sw->switch_time == switch_time;
		gt_sleep_ms(1);
	}
	return false;
}

/* An agent that has yet to park replaces the run flags of a latch: let it. */
static void let_park(struct gt_enclave *e, int cpu)
{
	struct ghost_sw_info info;

	if (!gt_sw_info(e, GHOST_AGENT, cpu, &info))
		gt_wait_for(!(gt_flags(gt_sw_at(e, info)) & GHOST_SW_TASK_ONCPU));
}

int gt_schedule(struct gt_agent *a, int cpu, struct gt_task *t,
		uint16_t run_flags)
{
	int64_t end = gt_now_ms() + GT_WAIT_MS;
	struct ghost_status_word *sw;
	int64_t switch_time;
	uint32_t barrier;
	int state;

	if (run_flags && cpu != a->cpu)
		let_park(a->e, cpu);
	do {
		sw = gt_sw(a->e, t->gtid);
		if (!sw)
			return GHOST_TXN_TARGET_NOT_FOUND;
		barrier = gt_barrier(sw);
		switch_time = sw->switch_time;
		state = gt_commit(a, cpu, &(struct gt_txn){
			.gtid = t->gtid,
			.task_barrier = barrier,
			.agent_barrier = GT_NOW,
			.run_flags = run_flags,
			.commit_flags = COMMIT_AT_TXN_COMMIT,
		});
	} while ((try_again(state) ||
		  (state == GHOST_TXN_COMPLETE &&
		   lost_latch(sw, barrier, switch_time))) && gt_now_ms() < end);
	return state;
}

/* Takes the PREEMPT that is the last message of the task, if it is. */
static bool preempted(struct gt_queue *q, uint64_t gtid, uint32_t barrier)
{
	int i;

	gt_queue_consume(q);
	for (i = q->logged - 1; i >= 0; i--) {
		struct gt_msg *m = &q->log[i];

		if (m->gtid != gtid)
			continue;
		if (m->taken || m->type != MSG_TASK_PREEMPT ||
		    m->seqnum != barrier)
			return false;
		m->taken = true;
		return true;
	}
	return false;
}

/* Takes what is left of latches that were lost before the task ran. */
static void forget_lost_latches(struct gt_queue *q, uint64_t gtid)
{
	int i;

	gt_queue_consume(q);
	for (i = 0; i < q->logged; i++)
		if (q->log[i].gtid == gtid &&
		    q->log[i].type == MSG_TASK_PREEMPT &&
		    q->log[i].preempt.was_latched)
			q->log[i].taken = true;
}

bool gt_runs(struct gt_agent *a, int cpu, struct gt_task *t)
{
	struct ghost_status_word *sw = gt_sw(a->e, t->gtid);
	uint64_t before = load(&t->ctl->count);
	int64_t end = gt_now_ms() + GT_WAIT_MS;

	while (load(&t->ctl->count) == before) {
		if (gt_now_ms() >= end)
			return false;
		if (sw && preempted(&a->e->q, t->gtid, gt_barrier(sw)))
			gt_schedule(a, cpu, t, 0);
		gt_sleep_ms(1);
	}
	forget_lost_latches(&a->e->q, t->gtid);
	return true;
}

void gt_put_back(struct gt_agent *a, int cpu, struct gt_task *t)
{
	struct ghost_status_word *sw = gt_sw(a->e, t->gtid);
	uint32_t flags = sw ? gt_flags(sw) : 0;

	/* That it was pushed aside is told each time: make room for it. */
	gt_queue_consume(&a->e->q);
	if ((flags & GHOST_SW_TASK_RUNNABLE) &&
	    !(flags & (GHOST_SW_TASK_ONCPU | GHOST_SW_F_CANFREE)))
		gt_schedule(a, cpu, t, 0);
}

int gt_drive(struct gt_agent *a, int cpu, struct gt_task *t, int type,
	     struct gt_msg *m)
{
	int64_t end = gt_now_ms() + GT_WAIT_MS;
	struct gt_msg found;

	while (gt_now_ms() < end) {
		gt_put_back(a, cpu, t);
		while (!gt_next(&a->e->q, t->gtid, 100, &found)) {
			if (found.type == type) {
				if (m)
					*m = found;
				return 0;
			}
		}
	}
	return -ETIMEDOUT;
}

int gt_join_asleep(struct gt_enclave *e, struct gt_task *t, struct gt_msg *m)
{
	int ret = gt_asleep(t) ? gt_join(e, t->pid) : -ETIMEDOUT;

	return ret ? ret : gt_next_type(&e->q, t->gtid, MSG_TASK_NEW, m);
}

int gt_wake_spinner(struct gt_enclave *e, struct gt_task *t, struct gt_msg *m)
{
	gt_tell(t, GT_SPIN);
	return gt_next_type(&e->q, t->gtid, MSG_TASK_WAKEUP, m);
}
