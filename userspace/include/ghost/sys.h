/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * The low layer of libghost: one thin function for each file and each ioctl
 * of the kernel interface. Unless a function says otherwise it returns 0 or
 * -errno, exactly as the kernel gave it.
 */
#ifndef GHOST_SYS_H
#define GHOST_SYS_H

#include <stddef.h>
#include <stdint.h>
#include <linux/ghost.h>
#include <ghost/api.h>

GHOST_BEGIN_DECLS

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
 */
GHOST_API int ghost_fs_create(const char *root, unsigned long id,
			      const char *options);

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
 */
GHOST_API int ghost_fs_set_cpus(int dirfd, const char *cpus);

/**
 * ghost_fs_add_task() - move a thread into an enclave
 * @dirfd: from ghost_fs_open_dir()
 * @id: thread id in the caller's pid namespace, a gtid, or 0 for the caller
 */
GHOST_API int ghost_fs_add_task(int dirfd, int64_t id);

/**
 * ghost_fs_destroy() - destroy an enclave
 * @ctl: "ctl", open for writing
 */
GHOST_API int ghost_fs_destroy(int ctl);

/**
 * ghost_fs_create_sw_region() - make room for more status words
 * @ctl: "ctl", open for writing
 * @id: number of the new region
 * @node: NUMA node
 */
GHOST_API int ghost_fs_create_sw_region(int ctl, uint32_t id, int node);

/**
 * ghost_fs_become_agent() - make the calling thread the agent of a CPU
 * @ctl: "ctl", open for writing
 * @cpu: CPU of the enclave
 * @qfd: queue for the messages of @cpu, or -1 for the default queue
 */
GHOST_API int ghost_fs_become_agent(int ctl, int cpu, int qfd);

/**
 * ghost_fs_discover_tasks() - have TASK_NEW sent again for every member
 * @ctl: "ctl", open for writing
 */
GHOST_API int ghost_fs_discover_tasks(int ctl);

/* ---- /proc ---- */

/**
 * ghost_proc_gtid() - gtid of a thread
 * @tid: thread id
 * @gtid: result
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

/** ghost_sys_null() - do nothing; -ENODEV if the enclave is gone */
GHOST_API int ghost_sys_null(int ctl);

/** ghost_sys_agent_sw() - which status word has the agent of @cpu */
GHOST_API int ghost_sys_agent_sw(int ctl, int cpu, struct ghost_sw_info *info);

/** ghost_sys_task_sw() - which status word has @gtid (0 = caller) */
GHOST_API int ghost_sys_task_sw(int ctl, int64_t gtid,
				struct ghost_sw_info *info);

/** ghost_sys_sw_free() - give back the status word of a gone thread */
GHOST_API int ghost_sys_sw_free(int ctl, const struct ghost_sw_info *info);

/**
 * ghost_sys_create_queue() - create a message queue
 * @ctl: "ctl"
 * @elems: slots, a power of two up to GHOST_MAX_QUEUE_ELEMS
 * @node: NUMA node
 * @mapsize: length to give to mmap()
 *
 * Return: descriptor of the queue, or -errno.
 */
GHOST_API int ghost_sys_create_queue(int ctl, int elems, int node,
				     uint64_t *mapsize);

/**
 * ghost_sys_assoc_queue() - send the messages of a task to a queue
 * @ctl: "ctl"
 * @qfd: queue
 * @gtid: task (0 = caller)
 * @barrier: the task's barrier as the caller knows it
 *
 * Return: GHOST_ASSOC_SF_* bits, or -errno; -ESTALE if the barrier moved on.
 */
GHOST_API int ghost_sys_assoc_queue(int ctl, int qfd, int64_t gtid,
				    uint32_t barrier);

/** ghost_sys_set_default_queue() - queue of tasks that join from now on */
GHOST_API int ghost_sys_set_default_queue(int ctl, int qfd);

/**
 * ghost_sys_config_queue_wakeup() - which agent a message wakes
 * @ctl: "ctl"
 * @qfd: queue
 * @cpu: CPU of that agent, or -1 for none
 */
GHOST_API int ghost_sys_config_queue_wakeup(int ctl, int qfd, int cpu);

/** ghost_sys_get_cpu_time() - precise CPU time of a task, ns */
GHOST_API int ghost_sys_get_cpu_time(int ctl, int64_t gtid, uint64_t *ns);

/**
 * ghost_sys_commit_txn() - commit the transactions of a set of CPUs
 * @ctl: "ctl"
 * @mask: CPU bitmap
 * @bytes: its length
 *
 * Return: 0 or -errno; what became of each transaction is in its state.
 */
GHOST_API int ghost_sys_commit_txn(int ctl, const unsigned long *mask,
				   size_t bytes);

/**
 * ghost_sys_run() - give up the CPU as its agent, or wake an agent
 * @ctl: "ctl"
 * @gtid: GHOST_NULL_GTID to wait, GHOST_AGENT_GTID to wake the agent
 * @cpu: own CPU, or that of the agent to wake
 * @agent_barrier: when waiting: -ESTALE if it moved on
 * @run_flags: RTLA_ON_IDLE or 0
 */
GHOST_API int ghost_sys_run(int ctl, int64_t gtid, int cpu,
			    uint32_t agent_barrier, int run_flags);

GHOST_END_DECLS

#endif /* GHOST_SYS_H */
