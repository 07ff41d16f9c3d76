// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* A crew: agents for all CPUs of an enclave, from preparation to leaving. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "crew.h"

#define STACK_SIZE	(256 * 1024)
#define JOIN_PAUSE_NS	50000L		/* between tries to become agent */
#define POLL_PAUSE_NS	1000000L
#define REAP_TRIES	1000		/* of POLL_PAUSE_NS */

static int load_phase(const struct ghost_crew *c)
{
	return __atomic_load_n(&c->phase, __ATOMIC_ACQUIRE);
}

/* Phases only move forward, so that a stop cannot be undone. */
static void set_phase(struct ghost_crew *c, int phase)
{
	pthread_mutex_lock(&c->lock);
	if (phase > c->phase)
		__atomic_store_n(&c->phase, phase, __ATOMIC_RELEASE);
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

static int wait_phase_after(struct ghost_crew *c, int phase)
{
	int now;

	pthread_mutex_lock(&c->lock);
	while (c->phase <= phase)
		pthread_cond_wait(&c->changed, &c->lock);
	now = c->phase;
	pthread_mutex_unlock(&c->lock);
	return now;
}

/* -EBUSY: the last crew's agent of this CPU is still on its way out. */
static int join(struct ghost_agent *a, int64_t *since)
{
	int err;

	for (;;) {
		*since = now_ns();
		err = ghost_fs_become_agent(a->enclave->ctl, a->cpu,
					    ghost_queue_fd(a->queue));
		if (err != -EBUSY || load_phase(a->crew) != PHASE_JOIN)
			return err;
		sleep_ns(JOIN_PAUSE_NS);
	}
}

static void *agent_thread(void *arg)
{
	struct ghost_agent *a = arg;
	struct ghost_crew *c = a->crew;
	int64_t since;
	int err;

	if (wait_phase_after(c, PHASE_PREPARE) != PHASE_JOIN)
		return NULL;
	err = join(a, &since);
	if (!err) {
		/* What an agent left that did not live to see its answer. */
		ghost_txn_disown(a->txn);
		err = enclave_find_agent(c->enclave, a->cpu, &a->sw_info, &a->sw);
	}

	pthread_mutex_lock(&c->lock);
	a->joined = err ? err : 1;
	if (!err && (!c->joined_ns || since < c->joined_ns))
		c->joined_ns = since;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);

	if (err || (!c->ops.at_once && wait_phase_after(c, PHASE_JOIN) != PHASE_RUN))
		return NULL;
	err = c->ops.run(a, c->arg);
	if (!err && load_phase(c) != PHASE_STOP)
		err = -ECANCELED;	/* gave up without being asked to */

	pthread_mutex_lock(&c->lock);
	if (err && !c->error)
		c->error = err;
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

static int start_thread(struct ghost_agent *a)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&a->thread, &attr, agent_thread, a);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	a->started = !err;
	return -err;
}

int ghost_crew_create(struct ghost_crew **crew, struct ghost_enclave *e,
		      int queue_elems, const struct ghost_crew_ops *ops,
		      void *arg)
{
	pthread_condattr_t attr;
	struct ghost_crew *c;
	int i, err = 0;

	if (!e->nr_cpus)
		return -ENODEV;
	c = calloc(1, sizeof(*c) + (size_t)e->nr_cpus * sizeof(c->agents[0]));
	if (!c)
		return -ENOMEM;
	c->enclave = e;
	c->ops = *ops;
	c->arg = arg;
	c->online = -1;
	c->nr_agents = e->nr_cpus;
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->changed, &attr);
	pthread_condattr_destroy(&attr);
	for (i = 0; i < c->nr_agents && !err; i++) {
		struct ghost_agent *a = &c->agents[i];

		a->crew = c;
		a->enclave = e;
		a->index = i;
		a->cpu = e->cpus[i];
		a->txn = ghost_enclave_txn(e, a->cpu);
		err = ghost_queue_create(&a->queue, e, queue_elems, a->cpu);
	}
	for (i = 0; i < c->nr_agents && !err; i++)
		err = start_thread(&c->agents[i]);
	if (err) {
		ghost_crew_destroy(c);
		return err;
	}
	*crew = c;
	return 0;
}

struct ghost_queue *ghost_crew_queue(const struct ghost_crew *c, int i)
{
	return i >= 0 && i < c->nr_agents ? c->agents[i].queue : NULL;
}

/* ---- taking over ---- */

static int ask_incumbent(struct ghost_crew *c, int *pid)
{
	int pidfd, err = 0;

	*pid = ghost_enclave_incumbent(c->enclave);
	if (*pid < 0)
		return *pid;
	pidfd = (int)syscall(SYS_pidfd_open, *pid, 0);
	if (pidfd < 0)
		return -errno;
	/* Still the same process, now that its number cannot be reused? */
	if (ghost_enclave_incumbent(c->enclave) != *pid)
		err = -ESRCH;
	else if (syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, NULL, 0))
		err = -errno;
	close(pidfd);
	return err;
}

static int wait_offline(struct ghost_crew *c, int64_t deadline)
{
	int64_t left = (deadline - now_ns()) / NSEC_PER_MSEC;

	if (!deadline)
		left = -1;
	else if (left < 0)
		left = 0;
	return ghost_fs_wait_online(c->enclave->dir, false, (int)left);
}

static int wait_joined(struct ghost_crew *c, int64_t deadline)
{
	const struct timespec end = {
		.tv_sec = deadline / NSEC_PER_SEC,
		.tv_nsec = deadline % NSEC_PER_SEC,
	};
	int i, err = 0;

	pthread_mutex_lock(&c->lock);
	for (i = 0; i < c->nr_agents && !err; i++) {
		struct ghost_agent *a = &c->agents[i];

		while (!a->joined && !err) {
			if (deadline)
				err = -pthread_cond_timedwait(&c->changed,
							      &c->lock, &end);
			else
				pthread_cond_wait(&c->changed, &c->lock);
		}
		if (a->joined < 0)
			err = a->joined;
	}
	pthread_mutex_unlock(&c->lock);
	return err;
}

/* Since when nobody schedules the tasks: with fallback, the kernel did so far. */
static int64_t idle_since(struct ghost_crew *c, int64_t offline_ns)
{
	char text[8];

	if (ghost_fs_read(c->enclave->dir, "fallback", text, sizeof(text)) > 0 &&
	    text[0] == '1')
		return c->joined_ns;
	return offline_ns;
}

static int go_online(struct ghost_crew *c)
{
	int fd = ghost_fs_go_online(c->enclave->dir);

	if (fd < 0)
		return fd;
	c->online = fd;
	return 0;
}

static int take_over(struct ghost_crew *c, enum ghost_crew_start how,
		     int64_t deadline, struct ghost_handoff *h)
{
	struct ghost_queue *first = c->agents[0].queue;
	int err;

	/* While nobody waits for it. */
	err = enclave_map_regions(c->enclave);
	if (err)
		return err;
	err = ghost_enclave_online(c->enclave);
	if (err < 0)
		return err;
	if (err && how == GHOST_START_ALONE)
		return -EBUSY;
	if (err && how == GHOST_START_ASK) {
		err = ask_incumbent(c, &h->incumbent);
		/* -ESRCH: it is leaving by itself. */
		if (err && err != -ESRCH)
			return err;
	}
	err = wait_offline(c, deadline);
	if (err)
		return err;
	h->offline_ns = now_ns();
	/* Before tasks run, and fork, under an agent that begins at once. */
	err = ghost_sys_set_default_queue(c->enclave->ctl, first->fd);
	if (err)
		return err;
	set_phase(c, PHASE_JOIN);
	err = wait_joined(c, deadline);
	if (!err)
		err = discover(c->enclave, first, h, idle_since(c, h->offline_ns));
	if (!err)
		err = go_online(c);
	if (err)
		return err;
	h->online_ns = now_ns();
	set_phase(c, PHASE_RUN);
	return 0;
}

int ghost_crew_start(struct ghost_crew *c, enum ghost_crew_start how,
		     int timeout_ms, struct ghost_handoff *handoff)
{
	int64_t deadline = timeout_ms < 0 ? 0 :
			   now_ns() + timeout_ms * NSEC_PER_MSEC;
	int err;

	*handoff = (struct ghost_handoff){ 0 };
	err = take_over(c, how, deadline, handoff);
	if (err)
		ghost_crew_stop(c);
	return err;
}

/* ---- at work ---- */

bool ghost_agent_stopping(const struct ghost_agent *a)
{
	return load_phase(a->crew) == PHASE_STOP;
}

int ghost_crew_wake(struct ghost_crew *c, int i)
{
	if (i < 0 || i >= c->nr_agents)
		return -EINVAL;
	return ghost_sys_run(c->enclave->ctl, GHOST_AGENT_GTID,
			     c->agents[i].cpu, 0, 0);
}

int ghost_crew_error(struct ghost_crew *c)
{
	int err;

	pthread_mutex_lock(&c->lock);
	err = c->error;
	pthread_mutex_unlock(&c->lock);
	return err;
}

/* ---- leaving ---- */

/* The kernel lets go of an agent only in its thread's last moment. */
static void reap(struct ghost_agent *a)
{
	int tries;

	if (!a->sw)
		return;
	for (tries = 0; tries < REAP_TRIES; tries++) {
		/* -EINVAL: not yet CANFREE. */
		if (ghost_sys_sw_free(a->enclave->ctl, &a->sw_info) != -EINVAL)
			break;
		sleep_ns(POLL_PAUSE_NS);
	}
	a->sw = NULL;
}

int ghost_crew_stop(struct ghost_crew *c)
{
	int i;

	if (c->online >= 0) {
		close(c->online);
		c->online = -1;
	}
	set_phase(c, PHASE_STOP);
	/* The phase is set: no agent can go back to sleep and miss it. */
	for (i = 0; i < c->nr_agents; i++)
		ghost_crew_wake(c, i);
	for (i = 0; i < c->nr_agents; i++) {
		if (c->agents[i].started)
			pthread_join(c->agents[i].thread, NULL);
		c->agents[i].started = false;
	}
	for (i = 0; i < c->nr_agents; i++)
		reap(&c->agents[i]);
	return c->error;
}

void ghost_crew_destroy(struct ghost_crew *c)
{
	int i;

	if (!c)
		return;
	ghost_crew_stop(c);
	for (i = 0; i < c->nr_agents; i++)
		ghost_queue_close(c->agents[i].queue);
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
	free(c);
}
