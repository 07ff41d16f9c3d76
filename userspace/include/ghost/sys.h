/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * The low layer of libghost: one thin function for each file and each ioctl
 * of the kernel interface. Unless a function says otherwise it returns 0 or
 * -errno, exactly as the kernel gave it. Common to all are -ENODEV, the
 * enclave is gone, and -EDEADLK, an agent has tried to open a file.
 */
#ifndef GHOST_SYS_H
#define GHOST_SYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/ghost.h>
#include <ghost/api.h>

GHOST_BEGIN_DECLS

struct itimerspec;

#define GHOST_FS_DEFAULT_ROOT "/sys/fs/ghost"

/* ---- ghostfs ---- */

/**
 * ghost_fs_root() - where ghostfs is mounted
 * @root: a path, or NULL
 *
 * Return: @root, else $GHOST_ROOT, else GHOST_FS_DEFAULT_ROOT.
 */
GHOST_API const char *ghost_fs_root(const char *root);

/**
 * ghost_fs_mount() - mount ghostfs; mounted already is success
 * @root: mount point, or NULL for the default
 */
GHOST_API int ghost_fs_mount(const char *root);

/**
 * ghost_fs_versions() - the ABI numbers that the kernel speaks
 * @root: mount point, or NULL
 * @versions: filled with at most @max numbers
 * @max: room in @versions
 *
 * Return: how many numbers were stored, or -errno. -ENOENT means that ghostfs
 * is not mounted there.
 */
GHOST_API int ghost_fs_versions(const char *root, unsigned int *versions,
				int max);

/**
 * ghost_fs_create() - create an enclave directory
 * @root: mount point, or NULL
 * @id: number of the enclave
 * @options: "gid=N" and "ephemeral", space separated, or NULL
 *
 * It speaks ABI GHOST_VERSION.
 *
 * Return: 0; -EEXIST; -ESRCH: the kernel does not speak this ABI; -ENOENT: no
 * ghostfs there, or no such option; -EINVAL: an option's value; -ENOSPC: the
 * number is too long for a name; -EACCES, -ENOMEM.
 */
GHOST_API int ghost_fs_create(const char *root, unsigned long id,
			      const char *options);

/**
 * ghost_fs_create_abi() - create an enclave directory of some ABI
 * @root: mount point, or NULL
 * @id: number of the enclave
 * @abi: one of ghost_fs_versions()
 * @options: as in ghost_fs_create()
 */
GHOST_API int ghost_fs_create_abi(const char *root, unsigned long id,
				  unsigned int abi, const char *options);

/**
 * ghost_fs_list() - the ids of all enclaves, ascending
 * @root: mount point, or NULL
 * @ids: filled with at most @max ids
 * @max: room in @ids
 *
 * Return: the number of enclaves that exist (may exceed @max), or -errno.
 */
GHOST_API int ghost_fs_list(const char *root, unsigned long *ids, int max);

/**
 * ghost_fs_open_dir() - open the directory of an enclave
 * @root: mount point, or NULL
 * @id: number of the enclave
 *
 * Return: a descriptor for the functions below, or -errno.
 */
GHOST_API int ghost_fs_open_dir(const char *root, unsigned long id);

/**
 * ghost_fs_open() - open one file of an enclave (close-on-exec)
 * @dirfd: from ghost_fs_open_dir()
 * @file: for instance "ctl" or "sw_regions/sw_0"
 * @flags: of open(2)
 *
 * Return: a descriptor, or -errno. An agent gets -EDEADLK.
 */
GHOST_API int ghost_fs_open(int dirfd, const char *file, int flags);

/**
 * ghost_fs_read() - read a whole file of an enclave
 * @dirfd: from ghost_fs_open_dir()
 * @file: name of the file
 * @buf: receives the text, always terminated, last newline cut
 * @size: size of @buf
 *
 * Return: length of the text, or -errno; -EOVERFLOW if it does not fit.
 */
GHOST_API int ghost_fs_read(int dirfd, const char *file, char *buf,
			    size_t size);

/**
 * ghost_fs_read_all() - read a file of an enclave of any length
 * @dirfd: from ghost_fs_open_dir()
 * @file: name of the file
 * @text: receives a string that the caller frees
 */
GHOST_API int ghost_fs_read_all(int dirfd, const char *file, char **text);

/**
 * ghost_fs_write() - write one value to a file of an enclave
 * @dirfd: from ghost_fs_open_dir()
 * @file: name of the file
 * @text: value
 */
GHOST_API int ghost_fs_write(int dirfd, const char *file, const char *text);

/**
 * ghost_fs_set_cpus() - replace the CPU set of an enclave
 * @dirfd: from ghost_fs_open_dir()
 * @cpus: list such as "0-3,7"
 *
 * CPUs of an enclave that was just destroyed stay reserved for a moment:
 * -EBUSY is retried ten times, 50 ms apart.
 *
 * Return: 0; -EBUSY: another enclave has one of them; -EEXIST: one that is to
 * go has an agent; -ENODEV: one is offline; -EXDEV: the enclave is being
 * destroyed; -EINVAL, -ERANGE: it does not parse.
 */
GHOST_API int ghost_fs_set_cpus(int dirfd, const char *cpus);

/**
 * ghost_fs_add_task() - move a thread into an enclave
 * @dirfd: from ghost_fs_open_dir()
 * @id: thread id in the caller's pid namespace, a gtid, or 0 for the caller
 *
 * Return: 0, also if it is there already; -ESRCH: no such thread; -EPERM: no
 * permission over it, an agent, or a member of another enclave; -ENOMEM: no
 * free status word; -EDQUOT: max_tasks; -EXDEV: the enclave is being
 * destroyed; -EINVAL: a kernel thread.
 */
GHOST_API int ghost_fs_add_task(int dirfd, int64_t id);

/**
 * ghost_fs_tasks() - the threads of an enclave, agents left out
 * @dirfd: from ghost_fs_open_dir()
 * @tids: filled with at most @max ids, of the initial pid namespace
 * @max: room in @tids
 *
 * Return: how many there are (may exceed @max), or -errno.
 */
GHOST_API int ghost_fs_tasks(int dirfd, int *tids, int max);

/**
 * struct ghost_status - what the file "status" says
 * @abi: number of the ABI that the enclave speaks
 * @active: some process's agents are online
 * @nr_tasks: threads that have been announced, agents left out
 * @owner: process with which an ephemeral enclave ends, or 0
 */
struct ghost_status {
	unsigned int abi;
	bool active;
	unsigned int nr_tasks;
	int owner;
};

/**
 * ghost_fs_status() - read the file "status"
 * @dirfd: from ghost_fs_open_dir()
 * @status: result
 */
GHOST_API int ghost_fs_status(int dirfd, struct ghost_status *status);

/**
 * ghost_fs_get_tunable() - read a tunable
 * @dirfd: from ghost_fs_open_dir()
 * @name: for instance "deliver_ticks"
 * @value: result; 0 or 1, ms, or a number
 *
 * Return: 0; -ENOENT: this kernel has no such tunable; -EINVAL: that is no
 * tunable.
 */
GHOST_API int ghost_fs_get_tunable(int dirfd, const char *name,
				   unsigned long *value);

/**
 * ghost_fs_set_tunable() - set a tunable
 * @dirfd: from ghost_fs_open_dir()
 * @name: for instance "deliver_ticks"
 * @value: 0 or 1, ms, or a number
 *
 * Return: 0; -ENOENT: this kernel has no such tunable; -EINVAL: that is no
 * tunable, or the value is too large; -EACCES.
 */
GHOST_API int ghost_fs_set_tunable(int dirfd, const char *name,
				   unsigned long value);

/**
 * ghost_fs_has_feature() - does the kernel have something beyond the ABI
 * @dirfd: from ghost_fs_open_dir()
 * @name: one of the names in the file "features"
 *
 * Return: 1, 0 or -errno.
 */
GHOST_API int ghost_fs_has_feature(int dirfd, const char *name);

/**
 * ghost_fs_online() - are some process's agents online
 * @dirfd: from ghost_fs_open_dir()
 *
 * Return: 1, 0 or -errno.
 */
GHOST_API int ghost_fs_online(int dirfd);

/**
 * ghost_fs_go_online() - say that the caller's agents are online
 * @dirfd: from ghost_fs_open_dir()
 *
 * It is so until the last copy of the descriptor is closed.
 *
 * Return: a descriptor, or -errno; -EBUSY: another one is.
 */
GHOST_API int ghost_fs_go_online(int dirfd);

/**
 * ghost_fs_wait_online() - wait until agents come or go
 * @dirfd: from ghost_fs_open_dir()
 * @online: what to wait for
 * @timeout_ms: -1 = for ever
 *
 * Return: 0; -ETIMEDOUT; -EINTR; -ENODEV: the enclave has been destroyed.
 */
GHOST_API int ghost_fs_wait_online(int dirfd, bool online, int timeout_ms);

/**
 * ghost_fs_map_cpu_data() - map the transactions of all CPUs
 * @dirfd: from ghost_fs_open_dir()
 * @data: result, by CPU; unmap @nr * sizeof(struct ghost_cpu_data)
 * @nr: number of possible CPUs
 */
GHOST_API int ghost_fs_map_cpu_data(int dirfd, struct ghost_cpu_data **data,
				    int *nr);

/**
 * ghost_fs_map_sw_region() - map a region of status words
 * @dirfd: from ghost_fs_open_dir()
 * @id: number of the region
 * @region: result; unmap GHOST_SW_REGION_SIZE
 */
GHOST_API int
ghost_fs_map_sw_region(int dirfd, uint32_t id,
		       const struct ghost_sw_region_header **region);

/**
 * ghost_fs_destroy() - destroy an enclave
 * @ctl: "ctl", open for writing
 *
 * Its tasks become normal threads, its agents' processes are killed. The CPUs
 * are free when it returns, unless the caller is one of these agents or they
 * take longer than a second.
 */
GHOST_API int ghost_fs_destroy(int ctl);

/**
 * ghost_fs_create_sw_region() - make room for more status words
 * @ctl: "ctl", open for writing
 * @id: number of the new region
 * @node: NUMA node
 *
 * Return: 0; -EEXIST: there is a region of this number; -ENODEV: no such node;
 * -ENOMEM.
 */
GHOST_API int ghost_fs_create_sw_region(int ctl, uint32_t id, int node);

/**
 * ghost_fs_become_agent() - make the calling thread the agent of a CPU
 * @ctl: "ctl", open for writing
 * @cpu: CPU of the enclave
 * @qfd: queue for the messages of @cpu, or -1 for the default queue
 *
 * Return: 0; -EBUSY: the CPU has an agent; -EPERM: CAP_SYS_NICE is missing;
 * -ENODEV: the CPU is not in the enclave; -ENXIO: there is no default queue;
 * -EBADF: @qfd is no queue; -EALREADY: the caller is a task of the enclave;
 * -EXDEV: it is being destroyed; -ENOMEM: no free status word; -EINVAL: no such
 * CPU, or the caller is an agent already.
 */
GHOST_API int ghost_fs_become_agent(int ctl, int cpu, int qfd);

/**
 * ghost_fs_discover_tasks() - have TASK_NEW sent again for every member
 * @ctl: "ctl", open for writing
 */
GHOST_API int ghost_fs_discover_tasks(int ctl);

/**
 * ghost_fs_ban_bpf_load() - the calling process loads no BPF programs any more
 * @ctl: "ctl", open for writing
 *
 * Nor do the children that it has from now on. There is no way back.
 */
GHOST_API int ghost_fs_ban_bpf_load(int ctl);

/* ---- /proc ---- */

/**
 * ghost_proc_gtid() - gtid of a thread
 * @tid: thread id
 * @gtid: result
 *
 * Return: 0; -ENOENT, -ESRCH: no such thread, or no SCHED_GHOST.
 */
GHOST_API int ghost_proc_gtid(int tid, int64_t *gtid);

/**
 * ghost_proc_tgid() - process that a thread belongs to
 * @tid: thread id
 *
 * Return: process id, or -errno.
 */
GHOST_API int ghost_proc_tgid(int tid);

/**
 * ghost_gtid_tid() - thread id in a gtid, in the initial pid namespace
 * @gtid: task id
 */
static inline int ghost_gtid_tid(int64_t gtid)
{
	return (int)(gtid >> GHOST_GTID_SEQNUM_BITS);
}

/* ---- ioctls; all take "ctl", open for writing ---- */

/**
 * ghost_sys_null() - do nothing
 * @ctl: "ctl"
 *
 * Return: 0; -ENODEV if the enclave is gone; -EACCES if @ctl is not open for
 * writing. All that follow have these two, too.
 */
GHOST_API int ghost_sys_null(int ctl);

/**
 * ghost_sys_agent_sw() - which status word has the agent of a CPU
 * @ctl: "ctl"
 * @cpu: CPU
 * @info: result
 *
 * Return: 0; -EINVAL: no such CPU, or it has no agent; -ENODEV: it is not in
 * the enclave.
 */
GHOST_API int ghost_sys_agent_sw(int ctl, int cpu, struct ghost_sw_info *info);

/**
 * ghost_sys_task_sw() - which status word has a task
 * @ctl: "ctl"
 * @gtid: task, 0 = caller
 * @info: result
 *
 * Return: 0; -ENOENT: it is no member.
 */
GHOST_API int ghost_sys_task_sw(int ctl, int64_t gtid,
				struct ghost_sw_info *info);

/**
 * ghost_sys_sw_free() - give back the status word of a gone thread
 * @ctl: "ctl"
 * @info: which
 *
 * Return: 0; -EINVAL: its thread is not gone; -ENOENT: there is no such word.
 */
GHOST_API int ghost_sys_sw_free(int ctl, const struct ghost_sw_info *info);

/**
 * ghost_sys_create_queue() - create a message queue
 * @ctl: "ctl"
 * @elems: slots of 8 bytes, a power of two up to GHOST_MAX_QUEUE_ELEMS
 * @node: NUMA node
 * @mapsize: length to give to mmap(), bytes
 *
 * Return: descriptor of the queue, or -errno; -EINVAL: @elems or @node;
 * -ENOMEM, -EMFILE.
 */
GHOST_API int ghost_sys_create_queue(int ctl, int elems, int node,
				     uint64_t *mapsize);

/**
 * ghost_sys_assoc_queue() - send the messages of a task to a queue
 * @ctl: "ctl"
 * @qfd: queue
 * @gtid: task, or agent: then the messages about its CPU; 0 = caller
 * @barrier: its barrier as the caller knows it
 *
 * What another queue still holds about it is not newer than @barrier.
 *
 * Return: GHOST_ASSOC_SF_* bits, or -errno; -ESTALE: the barrier moved on;
 * -ENOENT: it is no member; -EBADF: @qfd is no queue; -EINVAL: of another
 * enclave.
 */
GHOST_API int ghost_sys_assoc_queue(int ctl, int qfd, int64_t gtid,
				    uint32_t barrier);

/**
 * ghost_sys_set_default_queue() - queue of tasks that join from now on
 * @ctl: "ctl"
 * @qfd: queue; closing it unsets it
 *
 * A successor does so once its predecessor has left: until then that one may take
 * up a task that was announced here.
 *
 * Return: 0; -EBADF: @qfd is no queue; -EINVAL: of another enclave.
 */
GHOST_API int ghost_sys_set_default_queue(int ctl, int qfd);

/**
 * ghost_sys_config_queue_wakeup() - which agent a message wakes
 * @ctl: "ctl"
 * @qfd: queue
 * @cpu: CPU of that agent, or -1 for none
 */
GHOST_API int ghost_sys_config_queue_wakeup(int ctl, int qfd, int cpu);

/**
 * ghost_sys_config_queue_wakeups() - which agents a message may wake
 * @ctl: "ctl"
 * @qfd: queue
 * @cpus: CPUs of these agents
 * @nr: how many, 0 to GHOST_MAX_WINFO
 *
 * A message wakes the agent of the CPU that it is about if that is among them,
 * else that of the first.
 *
 * Return: 0; -EINVAL: @nr, or a CPU is not online; -EBADF: @qfd is no queue;
 * -ENOMEM.
 */
GHOST_API int ghost_sys_config_queue_wakeups(int ctl, int qfd, const int *cpus,
					     int nr);

/**
 * ghost_sys_get_cpu_time() - precise CPU time of any thread
 * @ctl: "ctl"
 * @gtid: thread, 0 = caller
 * @ns: result
 *
 * Return: 0; -ESRCH: there is none.
 */
GHOST_API int ghost_sys_get_cpu_time(int ctl, int64_t gtid, uint64_t *ns);

/**
 * ghost_sys_commit_txn() - commit the transactions of a set of CPUs
 * @ctl: "ctl"
 * @mask: CPU bitmap
 * @bytes: its length
 *
 * An agent whose own CPU is among them parks if that commit succeeds.
 *
 * Return: 0 or -errno; what became of each transaction is in its state.
 */
GHOST_API int ghost_sys_commit_txn(int ctl, const unsigned long *mask,
				   size_t bytes);

/**
 * ghost_sys_sync_group_txn() - commit all transactions of a set of CPUs or none
 * @ctl: "ctl"
 * @mask: CPU bitmap
 * @bytes: its length
 *
 * Return: 1 if they were committed: the transactions have no owner any more;
 * 0 if not: the states say why, the owners stay; or -errno.
 */
GHOST_API int ghost_sys_sync_group_txn(int ctl, const unsigned long *mask,
				       size_t bytes);

/**
 * ghost_sys_timerfd_settime() - timerfd_settime(2) whose expiry is a message
 * @ctl: "ctl"
 * @timerfd: from timerfd_create(2)
 * @flags: of timerfd_settime(2)
 * @to: @to->flags is TIMERFD_GHOST_ENABLED: each expiry is also a
 *	MSG_CPU_TIMER_EXPIRED, with @to->type and @to->cookie, to the agent of
 *	@to->cpu; 0: it is not
 * @value: when
 * @old: receives what was set before, or NULL
 *
 * Return: 0; -EINVAL: no agent of the caller's process has @to->cpu; else as
 * timerfd_settime(2).
 */
GHOST_API int ghost_sys_timerfd_settime(int ctl, int timerfd, int flags,
					const struct timerfd_ghost *to,
					const struct itimerspec *value,
					struct itimerspec *old);

/**
 * ghost_sys_run() - give up the CPU as its agent, or wake an agent
 * @ctl: "ctl"
 * @gtid: GHOST_NULL_GTID to wait, GHOST_AGENT_GTID to wake the agent
 * @cpu: own CPU, or that of the agent to wake
 * @agent_barrier: when waiting: -ESTALE if it moved on
 * @run_flags: RTLA_ON_IDLE or 0
 *
 * Return: 0; -ESTALE; -EPERM: CAP_SYS_NICE is missing; -ENODEV: the caller is
 * no agent any more; -EINVAL: it is none of @cpu, or that agent is not of the
 * caller's process.
 */
GHOST_API int ghost_sys_run(int ctl, int64_t gtid, int cpu,
			    uint32_t agent_barrier, int run_flags);

GHOST_END_DECLS

#endif /* GHOST_SYS_H */
