// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * From the expiry of a timer to its message: a task stamps the time without
 * end, so that its last stamp is the moment at which the interrupt came. It
 * loses the CPU to the agent, whom the message wakes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "stage.h"

static void watch(struct player *p)
{
	for (;;)
		SET(p->left, stamp());
}

/* Long enough for the task to be back on its CPU. */
static int arm(struct stage *s, int fd, int cpu)
{
	const struct itimerspec in = {
		.it_value.tv_nsec = s->b->instructions ? 50000 : 300000,
	};
	struct ghost_ioc_timerfd_settime arg = {
		.timerfd = fd,
		.in_tmr = (void *)(uintptr_t)&in,
		.timerfd_ghost = { .cpu = cpu, .flags = TIMERFD_GHOST_ENABLED },
	};

	return ioctl(ghost_enclave_ctl(s->enclave), GHOST_IOC_TIMERFD_SETTIME,
		     &arg) ? -errno : 0;
}

/* Reads the queue; whether the timer has expired. */
static int take_all(struct stage *s, struct ghost_queue *q, bool *expired)
{
	struct actor *a = &s->actors[0];
	struct ghost_event ev;
	int err = 0;

	while (!err && ghost_queue_next(q, &ev)) {
		int64_t now = stamp();

		if (ev.type != MSG_CPU_TIMER_EXPIRED) {
			err = take(s, &ev, now);
			continue;
		}
		*expired = true;
		/* Only if the task has run since, until just now. */
		if (a->committed && a->player->left > a->committed)
			add_sample(&s->delivery, now - a->player->left);
	}
	return err;
}

static bool timer_over(struct stage *s, int rounds, int *rep)
{
	if (s->delivery.n < rounds)
		return false;
	if (!*rep)
		s->delivery.n = 0;
	end_repetition(&s->delivery, &s->delivered);
	return ++*rep > s->b->reps;
}

static int timer_rounds(struct stage *s, struct ghost_agent *agent)
{
	int rounds = s->b->rounds ? s->b->rounds : 300;
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	int rep = 0, err = fd < 0 ? -errno : 0;
	struct actor *a = &s->actors[0];
	bool expired = true;

	while (!err && !ghost_agent_stopping(agent)) {
		uint32_t barrier = ghost_agent_barrier(agent);
		int32_t state;

		err = take_all(s, ghost_agent_queue(agent), &expired);
		if (err || timer_over(s, rounds, &rep))
			break;
		if (!a->task || a->task->state != GHOST_TASK_RUNNABLE) {
			err = ghost_agent_wait(agent, barrier, 0);
			continue;
		}
		/* A normal thread goes first: back when it is done. */
		if (ghost_agent_boosted(agent)) {
			err = ghost_agent_wait(agent, barrier, RTLA_ON_IDLE);
			continue;
		}
		if (expired)
			err = arm(s, fd, ghost_agent_cpu(agent));
		if (err)
			break;
		expired = false;
		a->committed = stamp();
		err = ghost_agent_run_task(agent, a->task, barrier, 0, &state);
		if (err || state != GHOST_TXN_COMPLETE)
			a->committed = 0;
	}
	close(fd);
	return err;
}

static int timer_body(struct ghost_agent *agent, void *arg)
{
	return measuring_agent(agent, arg, timer_rounds);
}

int bench_timer(const struct bench *b)
{
	static const struct ghost_crew_ops ops = { .run = timer_body };
	int ret = perform(b, &ops, watch, 1, 1);

	stage.delivered.row = "message-timer";
	if (!ret)
		print_result(b, &stage.delivered);
	close_stage(&stage);
	return ret;
}
