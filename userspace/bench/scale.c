// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * What the number of tasks in the enclave adds to what the kernel does for one
 * of them: the same rows with one task, and with ever more others that sleep.
 * All their threads exist from the beginning, so that nothing else changes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "crowd.h"
#include "stage.h"

static const int sizes[] = { 1, 100, 6000 };

static struct crowd crowd;
static int measure_again;	/* the main thread sets, the agent clears it */

/* ---- the agent ---- */

/* Reads messages until it is asked to measure; gives gone tasks back. */
static int attend(struct stage *s, struct ghost_agent *agent)
{
	int err = 0;

	while (!err && !LOOK(measure_again) && !ghost_agent_stopping(agent)) {
		uint32_t barrier = ghost_agent_barrier(agent);
		struct ghost_event ev;

		while (!err && ghost_queue_next(ghost_agent_queue(agent), &ev)) {
			err = take(s, &ev, 0);
			if (ev.type == MSG_TASK_DEPARTED)
				ghost_tasks_forget(s->tasks,
						   ghost_tasks_find(s->tasks,
								    (int64_t)ev.gtid));
		}
		if (!err)
			err = ghost_agent_wait(agent, barrier, 0);
	}
	SET(measure_again, 0);
	return err;
}

static int scale_body(struct ghost_agent *agent, void *arg)
{
	struct stage *s = arg;
	int err = 0;

	while (!err && !ghost_agent_stopping(agent)) {
		err = attend(s, agent);
		if (err || ghost_agent_stopping(agent))
			break;
		err = local_rounds(s, agent);
		s->err = err;
		sem_post(&s->done);
	}
	return err;
}

/* ---- what the main thread measures itself ---- */

static void print_row(const struct bench *b, struct result *r, const char *name,
		      int size)
{
	char row[32];

	snprintf(row, sizeof(row), "%s-%d", name, size);
	r->row = row;
	print_result(b, r);
	memset(r, 0, sizeof(*r));
}

/* With @cpu -1 messages wake nobody. */
static int wake_agent_of(struct stage *s, int cpu)
{
	int ctl = ghost_enclave_ctl(s->enclave);
	int err = ghost_sys_config_queue_wakeup(ctl,
						ghost_queue_fd(ghost_crew_queue(s->crew, 0)),
						cpu);

	return err ? fail("the queue", err) : 0;
}

/* What happens to a visitor, each with one message. */
enum { JOIN, RENICE, WAKE, LEAVE, NR_EVENTS };

static const char * const event_names[] = { "join", "renice", "wake", "leave" };

static int happen(struct stage *s, pid_t tid, int event)
{
	const struct sched_param normal = { 0 };
	int err = 0;

	switch (event) {
	case JOIN:
		return ghost_fs_add_task(ghost_enclave_dir(s->enclave), tid);
	case RENICE:
		err = setpriority(PRIO_PROCESS, (id_t)tid, 1);
		break;
	case WAKE:
		err = (int)syscall(SYS_tkill, tid, CROWD_SIGNAL);
		break;
	case LEAVE:
		err = sched_setscheduler(tid, SCHED_OTHER, &normal);
		break;
	}
	return err ? -errno : 0;
}

/* Nobody is woken for the messages before the end. */
static int come_and_go(struct stage *s, pid_t tid,
		       struct samples times[NR_EVENTS])
{
	const struct timespec ts = { .tv_nsec = 1000000 };
	int event;

	if (wake_agent_of(s, -1))
		return 1;
	for (event = 0; event < NR_EVENTS; event++) {
		int64_t start = stamp();
		int err = happen(s, tid, event);

		add_sample(&times[event], stamp() - start);
		if (err)
			return fail(event_names[event], err);
	}
	if (wake_agent_of(s, s->b->cpus[0]))
		return 1;
	/* A normal thread again, it runs, and sleeps. */
	setpriority(PRIO_PROCESS, (id_t)tid, 0);
	nanosleep(&ts, NULL);
	return 0;
}

static int measure_visitor(struct stage *s, pid_t tid, int size)
{
	static struct samples times[NR_EVENTS];
	static struct result results[NR_EVENTS];
	int i, rep, k;

	for (rep = 0; rep <= s->b->reps; rep++) {
		for (i = 0; i < 100; i++)
			if (come_and_go(s, tid, times))
				return 1;
		for (k = 0; k < NR_EVENTS; k++) {
			if (!rep)
				times[k].n = 0;
			end_repetition(&times[k], &results[k]);
		}
	}
	for (k = 0; k < NR_EVENTS; k++)
		print_row(s->b, &results[k], event_names[k], size);
	return 0;
}

/* Reading the whole file "tasks", a page or more at a time; for each task. */
static int64_t read_tasks(int fd, int *lines)
{
	static char buf[65536];
	int64_t spent = 0;
	ssize_t n;

	do {
		int64_t start = stamp();

		n = read(fd, buf, sizeof(buf));
		spent += stamp() - start;
		for (ssize_t i = 0; i < n; i++)
			*lines += buf[i] == '\n';
	} while (n > 0);
	return spent;
}

static int measure_tasks_file(struct stage *s, int size)
{
	static struct samples times;
	struct result r = { .per = size };
	int rep;

	for (rep = 0; rep <= s->b->reps; rep++) {
		int fd = ghost_fs_open(ghost_enclave_dir(s->enclave), "tasks",
				       O_RDONLY);
		int lines = 0;

		if (fd < 0)
			return fail("tasks", fd);
		add_sample(&times, read_tasks(fd, &lines));
		close(fd);
		if (lines != size)
			return fail("tasks does not list all tasks", -EINVAL);
		if (!rep)
			times.n = 0;
		end_repetition(&times, &r);
	}
	print_row(s->b, &r, "tasks-file", size);
	return 0;
}

static int measure_message(struct stage *s, int size)
{
	SET(measure_again, 1);
	ghost_crew_wake(s->crew, 0);
	while (sem_wait(&s->done) && errno == EINTR)
		;
	if (s->err)
		return fail("the agent stopped", s->err);
	print_row(s->b, &s->delivered, "message", size);
	print_row(s->b, &s->scheduled, "schedule", size);
	return 0;
}

/* The crowd's last thread comes and goes, the others stay once they joined. */
static int measure_size(struct stage *s, int *joined, int size)
{
	int err;

	for (; *joined < size - 1; ++*joined) {
		err = ghost_fs_add_task(ghost_enclave_dir(s->enclave),
					crowd.tid[*joined]);
		if (err)
			return fail("a task cannot join", err);
	}
	return measure_message(s, size) ||
	       measure_tasks_file(s, size) ||
	       measure_visitor(s, crowd.tid[crowd.n - 1], size);
}

int bench_scale(const struct bench *b)
{
	static const struct ghost_crew_ops ops = { .run = scale_body };
	/* No thread that has just left preempts who measures it. */
	const struct sched_param fifo = { .sched_priority = 1 };
	const int nr_sizes = sizeof(sizes) / sizeof(sizes[0]);
	int most = b->tasks ? b->tasks : sizes[nr_sizes - 1];
	struct stage *s = &stage;
	int i, joined = 0, ret;

	s->b = b;
	s->nr_actors = 1;
	sem_init(&s->done, 0, 0);
	ret = start_crowd(&crowd, most) || open_stage(s, b, 1) ||
	      start_actor(&s->actors[0], play, -1) || start_crew(s, &ops);
	if (!ret)
		/* First of all: the others come before it in every list. */
		ret = ghost_fs_add_task(ghost_enclave_dir(s->enclave),
					s->actors[0].pid);
	if (!ret && sched_setscheduler(0, SCHED_FIFO, &fifo))
		ret = fail("no SCHED_FIFO", -errno);
	for (i = 0; !ret && i < nr_sizes && sizes[i] < most; i++)
		ret = measure_size(s, &joined, sizes[i]);
	if (!ret)
		ret = measure_size(s, &joined, most);
	close_stage(s);
	return ret;
}
