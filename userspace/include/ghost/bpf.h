/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * Policies in BPF: for their programs what they may call, beside BPF's own; for
 * who loads them, by libbpf or otherwise, how they are attached. The contexts
 * and numbers are in <linux/ghost.h>.
 */
#ifndef GHOST_BPF_H
#define GHOST_BPF_H

#include <linux/ghost.h>

#ifdef __bpf__

/* The license of the program must be compatible with the GPL. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/*
 * Un-park the agent of a CPU of the enclave. 0; -EINVAL, -ERANGE: no such CPU,
 * -EXDEV: not of the enclave.
 */
static long (*bpf_ghost_wake_agent)(__u32 cpu) =
	(void *)BPF_FUNC_ghost_wake_agent;

/*
 * GHOST_SCHED programs: run the task next on this CPU, if its barrier is still
 * this one. 0; -ENOENT: no such task; -ESTALE: there has been news; -EBUSY: it
 * is on a CPU; -EINVAL: it sleeps, the CPU has no agent, or a wrong flag;
 * -EPERM: of another enclave; -EXDEV: the CPU has left the enclave. Each but
 * -ENOENT is told to the GHOST_MSG program, too, as MSG_TASK_LATCH_FAILURE.
 */
static long (*bpf_ghost_run_gtid)(__s64 gtid, __u32 task_barrier,
				  __s32 run_flags) =
	(void *)BPF_FUNC_ghost_run_gtid;

/*
 * Make a CPU of the enclave schedule, if what runs there is of a class in the
 * flags (RESCHED_*_CLASS), else -EPERM.
 */
static long (*bpf_ghost_resched_cpu2)(__u32 cpu, __u32 flags) =
	(void *)BPF_FUNC_ghost_resched_cpu2;

/*
 * GHOST_SCHED programs: commit on up to two CPUs, all or none. @args holds a
 * struct bpf_sync_commit_args. 0, or the errno of the first that failed, as of
 * bpf_ghost_run_gtid().
 */
static long (*bpf_ghost_sync_commit)(const struct bpf_dynptr *args) =
	(void *)BPF_FUNC_ghost_sync_commit;

/* Copy a task's affinity. Number of CPUs; -ENOENT; -E2BIG: @size is too small. */
static long (*bpf_ghost_get_affinity)(__s64 gtid, __u8 *mask, __u32 size) =
	(void *)BPF_FUNC_ghost_get_affinity;

/* Copy a task's name. 0 or -ENOENT. */
static long (*bpf_ghost_get_comm)(__s64 gtid, char *buf, __u32 size) =
	(void *)BPF_FUNC_ghost_get_comm;

/*
 * "Things went poorly, give everything back": the enclave ends soon after. Code
 * and words of the first call are in its exit record; @why is a constant.
 */
extern void bpf_ghost_destroy_enclave(int code, const char *why) __weak __ksym;

/* Copy the status word of a member of the enclave. 0 or -ENOENT. */
extern int bpf_ghost_status_word(__s64 gtid, struct ghost_status_word *out)
	__weak __ksym;

/*
 * bpf_ghost_run_gtid() of GHOST_SCHED programs that have a bpf_spin_lock: to latch
 * the first of a tree and take it out only if that worked. There is no
 * MSG_TASK_LATCH_FAILURE. -EAGAIN: unlock, and use bpf_ghost_run_gtid().
 */
extern int bpf_ghost_try_run(__s64 gtid, __u32 barrier, __s32 run_flags) __weak __ksym;

#else /* !__bpf__ */

#include <ghost/api.h>

GHOST_BEGIN_DECLS

/* What libbpf is to be told of a program before it is loaded. */
#define GHOST_BPF_PROG_TYPE(attach)					\
	(BPF_PROG_TYPE_GHOST_SCHED + (attach) - BPF_GHOST_SCHED_PNT)
#define GHOST_BPF_EXPECTED_ATTACH_TYPE(attach)				\
	GHOST_BPF_ATTACH(GHOST_VERSION, attach)

/**
 * ghost_bpf_attach() - attach a program to an enclave
 * @ctl: ctl of the enclave, open for writing
 * @prog: descriptor of the program, loaded for GHOST_VERSION
 * @attach: BPF_GHOST_SCHED_PNT, BPF_GHOST_MSG_SEND, BPF_GHOST_SELECT_RQ or
 *	BPF_GHOST_HALT_POLL
 *
 * Return: descriptor of a link, whose last close detaches the program, or
 * -errno. -EBUSY: there is one.
 */
GHOST_API int ghost_bpf_attach(int ctl, int prog, unsigned int attach);

/**
 * ghost_bpf_replace() - put a program in the place of another
 * @link: from ghost_bpf_attach(), perhaps of another process
 * @prog: descriptor of the new program
 * @old: descriptor of the one that is attached
 *
 * There is no moment without a program.
 *
 * Return: 0 or -errno. -EPERM: @old is not the one that is attached.
 */
GHOST_API int ghost_bpf_replace(int link, int prog, int old);

GHOST_END_DECLS

#endif /* __bpf__ */
#endif /* GHOST_BPF_H */
