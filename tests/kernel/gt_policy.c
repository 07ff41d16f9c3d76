// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* The minimal policy: a table of tasks, and whoever is runnable gets the CPU. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "gt_policy.h"

#define MAX_TASKS	256

struct policy {
	struct gt_agent *a;
	struct {
		uint64_t gtid;
		struct ghost_sw_info info;
	} task[MAX_TASKS];
	int nr, turn;
};

static int adopt(struct gt_agent *a)
{
	struct ghost_ioc_set_default_queue def = { .fd = a->e->q.fd };
	struct ghost_agent_wakeup w = { .cpu = a->cpu };
	struct ghost_ioc_config_queue_wakeup list = {
		.qfd = a->e->q.fd, .w = &w, .ninfo = 1,
	};
	int ret = gt_ioctl(a->e->ctl, GHOST_IOC_CONFIG_QUEUE_WAKEUP, &list);

	return ret ? ret :
		gt_ioctl(a->e->ctl, GHOST_IOC_SET_DEFAULT_QUEUE, &def);
}

static int find(struct policy *p, uint64_t gtid)
{
	int i;

	for (i = 0; i < p->nr && p->task[i].gtid != gtid; i++)
		;
	return i;
}

static void learn(struct policy *p, const struct gt_msg *m)
{
	int i = find(p, m->gtid);

	/* It may be known: discover tells of everybody afresh. */
	if (i == MAX_TASKS)
		return;
	p->task[i].gtid = m->gtid;
	p->task[i].info = m->new_.sw_info;
	p->nr += i == p->nr;
}

static void forget(struct policy *p, uint64_t gtid)
{
	int i = find(p, gtid);

	if (i == p->nr)
		return;
	gt_sw_free(p->a->e, p->task[i].info);
	p->task[i] = p->task[--p->nr];
}

static void take_messages(struct policy *p)
{
	struct gt_queue *q = &p->a->e->q;
	int i;

	gt_queue_consume(q);
	for (i = 0; i < q->logged; i++) {
		const struct gt_msg *m = &q->log[i];

		if (m->type == MSG_TASK_NEW)
			learn(p, m);
		else if (m->type == MSG_TASK_DEAD ||
			 m->type == MSG_TASK_DEPARTED)
			forget(p, m->gtid);
	}
	q->logged = 0;
}

/*
 * The next in turn that wants a CPU; NULL: nobody does. Who joins while it runs is
 * announced before it is off its CPU, and no message says when: the commit is tried
 * again then.
 */
static struct ghost_status_word *next_runnable(struct policy *p)
{
	struct ghost_status_word *sw;
	uint32_t flags;
	int i;

	for (i = 0; i < p->nr; i++) {
		p->turn = (p->turn + 1) % p->nr;
		sw = gt_sw_at(p->a->e, p->task[p->turn].info);
		flags = gt_flags(sw);
		if ((flags & GHOST_SW_TASK_RUNNABLE) &&
		    !(flags & GHOST_SW_F_CANFREE))
			return sw;
	}
	return NULL;
}

long gt_schedule_all(struct gt_agent *a, void *adopted)
{
	static struct policy p;
	struct ghost_ioc_run run = { .run_cpu = a->cpu };
	struct ghost_status_word *sw;
	int ret;

	memset(&p, 0, sizeof(p));
	p.a = a;
	ret = adopt(a);
	if (adopted && !ret)
		__atomic_store_n((uint32_t *)adopted, 1, __ATOMIC_RELEASE);
	while (!ret || ret == -ESTALE) {
		run.agent_barrier = gt_barrier(a->sw);
		take_messages(&p);
		sw = next_runnable(&p);
		/* Others wait for the CPU: let them have it for now. */
		run.run_flags = sw ? RTLA_ON_IDLE : 0;
		if (sw && !(gt_flags(a->sw) & GHOST_SW_BOOST_PRIO)) {
			gt_txn_fill(a->e, a->cpu, &(struct gt_txn){
				.gtid = sw->gtid,
				.task_barrier = gt_barrier(sw),
				.agent_barrier = run.agent_barrier,
				.commit_flags = COMMIT_AT_TXN_COMMIT,
			});
			ret = gt_txn_ioctl(a->e, 1ULL << a->cpu);
		} else {
			ret = gt_run(a->e, &run);
		}
	}
	return ret;
}

pid_t gt_policy_start(struct gt_enclave *e, int cpu)
{
	uint32_t *adopted;
	pid_t pid;

	adopted = mmap(NULL, sizeof(*adopted), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (adopted == MAP_FAILED)
		return -errno;
	pid = gt_host_start(e, cpu, gt_schedule_all, adopted);
	if (pid > 0 && !gt_wait_for(__atomic_load_n(adopted, __ATOMIC_ACQUIRE))) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		pid = -ETIMEDOUT;
	}
	munmap(adopted, sizeof(*adopted));
	return pid;
}
