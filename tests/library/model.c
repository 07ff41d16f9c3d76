// SPDX-License-Identifier: GPL-2.0-only
/*
 * The policies in BPF on a kernel in miniature: two CPUs, some tasks, and events
 * at random, in the order in which the real one reports them. Whatever happens,
 * no CPU may be idle while a task waits that may run there.
 *
 * The programs run on any kernel, by bpf(2), with the helpers of model/.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/ghost.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "kselftest_harness.h"
#include "model/model.h"

#define EVENTS		2000
#define SEEDS		3
#define NR_TASKS	12
#define SLOTS		40	/* status words that the tasks take turns with */
#define NOBODY		(-1)
#define TIMEOUT		300	/* s; an emulated guest is slow */
#define ROUNDS		50	/* schedules in a row: more is a loop */

enum { OUTSIDE = 1 << MODEL_CPUS };	/* mask without CPUs of the enclave */

/**
 * struct world - outside of what the helpers see
 * @curr: task on each CPU, or NOBODY
 * @away: another class has the CPU
 * @pending: the CPU is to schedule
 * @must: and not to keep what runs
 * @slot: status word of each task
 * @passed: tasks that the program had no room for: the process gives them back
 * @refused: how many of these
 * @failure: what went wrong, or NULL
 */
struct world {
	struct bpf_object *object;
	struct model *model;
	int msg;
	int sched;
	int curr[MODEL_CPUS];
	bool away[MODEL_CPUS];
	bool pending[MODEL_CPUS];
	bool must[MODEL_CPUS];
	unsigned int slot[NR_TASKS];
	bool passed[NR_TASKS];
	unsigned int refused;
	unsigned int next_slot;
	const char *failure;
};

/* ---- the object ---- */

/* Where a variable of a data section is, in the memory of its map. */
static void *variable(struct bpf_object *object, const char *section,
		      const char *name)
{
	struct btf *btf = bpf_object__btf(object);
	struct bpf_map *map = bpf_object__find_map_by_name(object, section);
	const struct btf_var_secinfo *info;
	const struct btf_type *type;
	size_t size;
	char *start;
	int id, i;

	id = btf__find_by_name_kind(btf, section, BTF_KIND_DATASEC);
	if (!map || id < 0)
		return NULL;
	start = bpf_map__initial_value(map, &size);
	type = btf__type_by_id(btf, id);
	info = btf_var_secinfos(type);
	for (i = 0; i < btf_vlen(type); i++, info++) {
		const struct btf_type *var = btf__type_by_id(btf, info->type);

		if (!strcmp(btf__name_by_offset(btf, var->name_off), name))
			return start + info->offset;
	}
	return NULL;
}

/* With @room, the map that toy hands tasks over in holds so many. */
static int load(struct world *w, const char *start, const char *end, unsigned int room)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "model");
	struct bpf_program *prog;
	__u64 *cpus, *slice;
	struct bpf_map *up;
	int err;

	w->object = bpf_object__open_mem(start, end - start, &opts);
	if (!w->object)
		return -errno;
	bpf_object__for_each_program(prog, w->object) {
		bpf_program__set_type(prog, BPF_PROG_TYPE_SYSCALL);
		bpf_program__set_flags(prog, BPF_F_SLEEPABLE);
	}
	cpus = variable(w->object, ".rodata", "enclave_cpus");
	slice = variable(w->object, ".rodata", "slice_ns");
	if (!cpus || !slice)
		return -ENOENT;
	*cpus = (1 << MODEL_CPUS) - 1;
	*slice = 0;			/* each turn is over at once */
	up = bpf_object__find_map_by_name(w->object, "to_process");
	if (up && room)
		bpf_map__set_max_entries(up, room);
	err = bpf_object__load(w->object);
	if (err)
		return err;
	w->model = variable(w->object, ".data.model", "model");
	prog = bpf_object__find_program_by_name(w->object, "frame_msg");
	w->msg = bpf_program__fd(prog);
	prog = bpf_object__find_program_by_name(w->object, "frame_sched");
	w->sched = bpf_program__fd(prog);
	return w->model ? 0 : -ENOENT;
}

/* ---- what the kernel does ---- */

static void fail(struct world *w, const char *what)
{
	if (!w->failure)
		w->failure = what;
}

static void on_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* Returns what the program does. */
static unsigned int call(struct world *w, int prog, void *ctx, size_t size)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = ctx,
		    .ctx_size_in = (__u32)size);
	int cpu;

	if (bpf_prog_test_run_opts(prog, &opts))
		fail(w, "the program does not run");
	for (cpu = 0; cpu < MODEL_CPUS; cpu++) {
		w->pending[cpu] |= w->model->kicked[cpu];
		w->must[cpu] |= w->model->must[cpu];
		w->model->kicked[cpu] = 0;
		w->model->must[cpu] = 0;
	}
	return opts.retval;
}

static struct bpf_ghost_msg about(struct world *w, int task, unsigned int type)
{
	struct bpf_ghost_msg m = {
		.dead.gtid = MODEL_GTID + task,
		.type = type,
	};

	if (type != MSG_TASK_LATCH_FAILURE)
		w->model->barrier[task]++;
	m.seqnum = w->model->barrier[task];
	return m;
}

static void send(struct world *w, struct bpf_ghost_msg *m)
{
	bool done = call(w, w->msg, m, sizeof(*m));

	if (!done && m->type < GHOST_CPU_MSG_FIRST)
		w->passed[m->dead.gtid - MODEL_GTID] = true;
}

static void send_plain(struct world *w, int task, unsigned int type)
{
	struct bpf_ghost_msg m = about(w, task, type);

	send(w, &m);
}

static void send_preempt(struct world *w, int task, int cpu)
{
	struct bpf_ghost_msg m = about(w, task, MSG_TASK_PREEMPT);

	m.preempt.cpu = cpu;
	w->model->bound[task] = rand() % 4 ? 0 : cpu + 1;
	send(w, &m);
	w->model->state[task] = MODEL_READY;
}

static void send_blocked(struct world *w, int task, int cpu)
{
	struct bpf_ghost_msg m = about(w, task, MSG_TASK_BLOCKED);

	w->model->state[task] = MODEL_ASLEEP;
	w->model->bound[task] = 0;
	m.blocked.cpu = cpu;
	send(w, &m);
}

/* Tell what failed. Returns the task that was latched, or NOBODY. */
static int look_at_attempts(struct world *w)
{
	int latched = NOBODY;
	unsigned int i;

	if (w->model->nr_attempts > MODEL_ATTEMPTS)
		fail(w, "too many attempts in a pick");
	for (i = 0; i < w->model->nr_attempts && i < MODEL_ATTEMPTS; i++) {
		int task = (int)(w->model->attempt[i].gtid - MODEL_GTID);
		int result = (int)w->model->attempt[i].result;
		struct bpf_ghost_msg m;

		if (!result)
			latched = task;
		if (!result || result == -ENOENT)
			continue;
		m = about(w, task, MSG_TASK_LATCH_FAILURE);
		m.latch_failure.error = -result;
		send(w, &m);
	}
	return latched;
}

/* One pass; @left is a task that is still on the CPU, but not to be kept. */
static bool pass(struct world *w, int cpu, bool left)
{
	struct bpf_ghost_sched ctx = { .agent_on_rq = 1 };
	int prev = w->curr[cpu], latched;
	bool keep = prev != NOBODY && !left && !w->must[cpu];

	w->pending[cpu] = false;
	w->must[cpu] = false;
	ctx.might_yield = w->away[cpu];
	ctx.next_gtid = keep ? MODEL_GTID + prev : 0;
	w->model->nr_attempts = 0;
	w->model->cpu = cpu;
	w->model->locked = rand() % 4 == 0;
	on_cpu(cpu);
	call(w, w->sched, &ctx, sizeof(ctx));
	latched = look_at_attempts(w);
	if (latched != NOBODY && keep)
		fail(w, "latched though another goes on");
	keep = keep && !ctx.must_resched && !w->away[cpu];
	if (prev != NOBODY && left && latched != prev)
		w->model->state[prev] = MODEL_READY;
	else if (prev != NOBODY && !keep)
		send_preempt(w, prev, cpu);
	w->curr[cpu] = keep ? prev : latched;
	return w->curr[cpu] == NOBODY && ctx.dont_idle && !w->away[cpu];
}

static void schedule(struct world *w, int cpu, bool left)
{
	int rounds = 0;

	while (pass(w, cpu, left)) {
		left = false;
		if (++rounds < ROUNDS)
			continue;
		fail(w, "a CPU schedules for ever");
		return;
	}
}

/* The process's half of toy: first come, first served, by the agent of CPU 0. */
static void decide(struct world *w)
{
	struct bpf_map *up = bpf_object__find_map_by_name(w->object, "to_process");
	struct bpf_map *down = bpf_object__find_map_by_name(w->object, "to_cpus");
	__u64 item, *shared;
	int prev = w->curr[0];

	if (!up || !w->model->agent_woken)
		return;
	on_cpu(0);
	if (prev != NOBODY)
		send_preempt(w, prev, 0);
	w->curr[0] = NOBODY;
	w->model->agent_woken = 0;
	shared = variable(w->object, ".bss", "shared");
	while (!bpf_map__lookup_and_delete_elem(up, NULL, 0, &item,
						sizeof(item), 0)) {
		shared[4]++;		/* struct toy_shared, down */
		bpf_map__update_elem(down, NULL, 0, &item, sizeof(item), 0);
	}
	schedule(w, 0, false);
}

/* Its half of the others: who there was no room for goes to another class. */
static void give_back(struct world *w)
{
	int task;

	for (task = 0; task < NR_TASKS; task++) {
		if (w->passed[task] && w->model->state[task] == MODEL_READY) {
			w->model->state[task] = MODEL_GONE;
			w->model->bound[task] = 0;
			w->refused++;
			send_plain(w, task, MSG_TASK_DEPARTED);
		}
		w->passed[task] = false;
	}
}

/* ---- events ---- */

static bool slot_taken(struct world *w, unsigned int slot)
{
	int i;

	for (i = 0; i < NR_TASKS; i++)
		if (w->model->state[i] != MODEL_GONE && w->slot[i] == slot)
			return true;
	return false;
}

static void appear(struct world *w, int task)
{
	struct bpf_ghost_msg m;

	while (slot_taken(w, w->next_slot % SLOTS))
		w->next_slot++;
	w->slot[task] = w->next_slot++ % SLOTS;
	w->model->mask[task] = rand() % 3 ? 3 : 1 + rand() % 2;
	w->model->state[task] = rand() % 2 ? MODEL_READY : MODEL_ASLEEP;
	m = about(w, task, MSG_TASK_NEW);
	m.newt.runnable = w->model->state[task] == MODEL_READY;
	m.newt.nice = rand() % 40 - 20;
	m.newt.sw_info.index = w->slot[task];
	send(w, &m);
}

static void wake(struct world *w, int task, int cpu)
{
	struct bpf_ghost_msg m = about(w, task, MSG_TASK_WAKEUP);

	w->model->state[task] = MODEL_READY;
	m.wakeup.wake_up_cpu = w->model->mask[task] >> cpu & 1 ? cpu : !cpu;
	send(w, &m);
}

static void vanish(struct world *w, int task)
{
	int cpu;

	for (cpu = 0; cpu < MODEL_CPUS; cpu++) {
		if (w->curr[cpu] != task)
			continue;
		on_cpu(cpu);
		send_blocked(w, task, cpu);
		w->curr[cpu] = NOBODY;
		w->pending[cpu] = true;
	}
	w->model->state[task] = MODEL_GONE;
	w->model->bound[task] = 0;
	send_plain(w, task, rand() % 2 ? MSG_TASK_DEAD : MSG_TASK_DEPARTED);
}

/* Who is left with no CPU here is given back to the normal scheduler. */
static void change_affinity(struct world *w, int task)
{
	static const unsigned int masks[] = { 1, 2, 3, 3, 3, OUTSIDE };
	int cpu;

	w->model->mask[task] = masks[rand() % ARRAY_SIZE(masks)];
	send_plain(w, task, MSG_TASK_AFFINITY_CHANGED);
	for (cpu = 0; cpu < MODEL_CPUS; cpu++) {
		if (w->curr[cpu] != task || w->model->mask[task] >> cpu & 1)
			continue;
		w->must[cpu] = true;
		schedule(w, cpu, false);
	}
	if (w->model->mask[task] == OUTSIDE) {
		w->model->state[task] = MODEL_GONE;
		w->model->bound[task] = 0;
		send_plain(w, task, MSG_TASK_DEPARTED);
	}
}

static void event(struct world *w)
{
	int task = rand() % NR_TASKS, cpu = rand() % MODEL_CPUS;
	int curr = w->curr[cpu];
	struct bpf_ghost_msg m = { .type = MSG_CPU_TICK, .cpu_tick.cpu = cpu };
	unsigned int state = w->model->state[task];

	on_cpu(cpu);
	switch (rand() % 12) {
	case 0 ... 2:
		if (state == MODEL_ASLEEP)
			wake(w, task, cpu);
		break;
	case 3 ... 4:
		if (curr == NOBODY)
			break;
		send_blocked(w, curr, cpu);
		w->curr[cpu] = NOBODY;
		schedule(w, cpu, false);
		break;
	case 5:
		if (curr != NOBODY)
			send(w, &m);
		break;
	case 6:
		if (curr == NOBODY)
			break;
		m = about(w, curr, MSG_TASK_YIELD);
		m.yield.cpu = cpu;
		send(w, &m);
		schedule(w, cpu, true);
		break;
	case 7:
		if (state != MODEL_GONE && !w->model->bound[task])
			change_affinity(w, task);
		break;
	case 8:
		if (state != MODEL_GONE)
			vanish(w, task);
		break;
	case 9:
		if (state == MODEL_GONE) {
			appear(w, task);
			break;
		}
		m = about(w, task, MSG_TASK_PRIORITY_CHANGED);
		m.priority.nice = rand() % 40 - 20;
		send(w, &m);
		break;
	case 10:
		w->away[cpu] = !w->away[cpu];
		schedule(w, cpu, false);
		break;
	case 11:
		schedule(w, cpu, false);
		break;
	}
}

static bool waits_for(struct world *w, int task, int cpu)
{
	struct model *m = w->model;

	return m->state[task] == MODEL_READY && m->mask[task] >> cpu & 1 &&
		(!m->bound[task] || (int)m->bound[task] == cpu + 1);
}

/* Kicks that are due may still put it right. */
static void check(struct world *w)
{
	int cpu, task;

	if (w->pending[0] || w->pending[1])
		return;
	for (cpu = 0; cpu < MODEL_CPUS; cpu++)
		for (task = 0; task < NR_TASKS; task++)
			if (w->curr[cpu] == NOBODY && !w->away[cpu] &&
			    waits_for(w, task, cpu))
				fail(w, "a CPU idles, and a task waits for it");
}

static void run(struct __test_metadata *_metadata, const char *start,
		const char *end, unsigned int room, bool allocates, unsigned int seed)
{
	struct world w = { .curr = { NOBODY, NOBODY } };
	int i, cpu;

	ASSERT_EQ(load(&w, start, end, room), 0);
	srand(seed);
	for (i = 0; i < NR_TASKS; i++)
		appear(&w, i);
	for (cpu = 0; cpu < MODEL_CPUS; cpu++)
		schedule(&w, cpu, false);
	for (i = 0; i < EVENTS && !w.failure; i++) {
		for (cpu = 0; cpu < MODEL_CPUS; cpu++)
			if (w.pending[cpu] && rand() % 3)
				schedule(&w, cpu, false);
		w.model->no_memory = rand() % 4 == 0;
		event(&w);
		decide(&w);
		give_back(&w);
		check(&w);
	}
	EXPECT_EQ(w.failure, NULL)
		TH_LOG("seed %u, event %d: %s", seed, i, w.failure);
	EXPECT_EQ(w.refused > 0, allocates)
		TH_LOG("seed %u: %u refused", seed, w.refused);
	bpf_object__close(w.object);
}

FIXTURE(model) {
};

FIXTURE_VARIANT(model) {
	const char *start;
	const char *end;
	unsigned int room;		/* for tasks that are handed over, if not 0 */
	bool allocates;			/* while it queues a task */
};

FIXTURE_SETUP(model)
{
	if (sysconf(_SC_NPROCESSORS_ONLN) < MODEL_CPUS)
		SKIP(return, "needs 2 CPUs");
}

FIXTURE_TEARDOWN(model)
{
}

FIXTURE_VARIANT_ADD(model, biff) {
	.start = _binary_model_biff_bpf_o_start,
	.end = _binary_model_biff_bpf_o_end,
};

FIXTURE_VARIANT_ADD(model, prio) {
	.start = _binary_model_prio_bpf_o_start,
	.end = _binary_model_prio_bpf_o_end,
	.allocates = true,
};

FIXTURE_VARIANT_ADD(model, eevdf_bpf) {
	.start = _binary_model_eevdf_bpf_bpf_o_start,
	.end = _binary_model_eevdf_bpf_bpf_o_end,
};

FIXTURE_VARIANT_ADD(model, toy) {
	.start = _binary_model_toy_bpf_o_start,
	.end = _binary_model_toy_bpf_o_end,
};

/* Queues that are full: what there is no room for waits elsewhere. */
FIXTURE_VARIANT_ADD(model, eevdf_small) {
	.start = _binary_model_eevdf_small_bpf_o_start,
	.end = _binary_model_eevdf_small_bpf_o_end,
};

FIXTURE_VARIANT_ADD(model, toy_small) {
	.start = _binary_model_toy_bpf_o_start,
	.end = _binary_model_toy_bpf_o_end,
	.room = 1,
};

FIXTURE_VARIANT_ADD(model, hybrid) {
	.start = _binary_model_hybrid_bpf_o_start,
	.end = _binary_model_hybrid_bpf_o_end,
};

TEST_F_TIMEOUT(model, no_cpu_idles_while_a_task_waits, TIMEOUT)
{
	unsigned int seed;

	for (seed = 1; seed <= SEEDS; seed++)
		run(_metadata, variant->start, variant->end, variant->room,
		    variant->allocates, seed);
}

TEST_HARNESS_MAIN
