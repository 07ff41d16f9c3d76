// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Files, queues, enclaves and transactions for the ABI tests. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "gt.h"

#define load(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)

/* ---- small things ---- */

int64_t gt_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

void gt_sleep_ms(int ms)
{
	struct timespec ts = { ms / 1000, (ms % 1000) * 1000000L };

	nanosleep(&ts, NULL);
}

int gt_ncpus(void)
{
	return sysconf(_SC_NPROCESSORS_ONLN);
}

int gt_npossible(void)
{
	char buf[64], *last;

	if (gt_read_file("/sys/devices/system/cpu/possible", buf,
			 sizeof(buf)) <= 0)
		return gt_ncpus();
	last = strrchr(buf, '-');
	return atoi(last ? last + 1 : buf) + 1;
}

int gt_pin(pid_t tid, int cpu)
{
	cpu_set_t set;
	int i;

	CPU_ZERO(&set);
	if (cpu >= 0)
		CPU_SET(cpu, &set);
	else
		for (i = 0; i < gt_ncpus(); i++)
			CPU_SET(i, &set);
	return sched_setaffinity(tid, sizeof(set), &set) ? -errno : 0;
}

int gt_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int gt_open_at(const char *dir, const char *name, int flags)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return gt_open(path, flags);
}

int gt_put(int fd, const char *text)
{
	ssize_t n = write(fd, text, strlen(text));

	return n < 0 ? -errno : (int)n;
}

int gt_write_file(const char *path, const char *text)
{
	int fd = gt_open(path, O_WRONLY), ret;

	if (fd < 0)
		return fd;
	ret = gt_put(fd, text);
	close(fd);
	return ret;
}

int gt_read_file(const char *path, char *buf, size_t size)
{
	int fd = gt_open(path, O_RDONLY);
	size_t len = 0;
	ssize_t n;

	buf[0] = '\0';
	if (fd < 0)
		return fd;
	while (len < size - 1 && (n = read(fd, buf + len, size - 1 - len))) {
		if (n < 0) {
			n = -errno;
			close(fd);
			return n;
		}
		len += n;
	}
	buf[len] = '\0';
	close(fd);
	return len;
}

int gt_ioctl(int fd, unsigned long cmd, void *arg)
{
	int ret = ioctl(fd, cmd, arg);

	return ret < 0 ? -errno : ret;
}

void *gt_map(int fd, size_t size, int prot, int *err)
{
	void *p = mmap(NULL, size, prot, MAP_SHARED, fd, 0);

	*err = p == MAP_FAILED ? -errno : 0;
	return p == MAP_FAILED ? NULL : p;
}

uint64_t gt_gtid_of(pid_t tid)
{
	char path[64], buf[64];

	snprintf(path, sizeof(path), "/proc/%d/ghost/gtid", tid);
	if (gt_read_file(path, buf, sizeof(buf)) <= 0)
		return 0;
	return strtoull(buf, NULL, 10);
}

char gt_proc_state(pid_t pid)
{
	char path[64], buf[512], *end, state;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (gt_read_file(path, buf, sizeof(buf)) <= 0)
		return 0;
	end = strrchr(buf, ')');
	if (!end)
		return 0;
	state = end[2];
	/* On its way to sleep it may lose the CPU, and is runnable. */
	snprintf(path, sizeof(path), "/proc/%d/wchan", pid);
	if (strchr("SDTt", state) && gt_read_file(path, buf, sizeof(buf)) > 0 &&
	    !strcmp(buf, "0"))
		return 'R';
	return state;
}

/* The 39th field of its stat. */
int gt_cpu_of(pid_t pid)
{
	char path[64], buf[1024], *at;
	int i;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (gt_read_file(path, buf, sizeof(buf)) <= 0)
		return -1;
	at = strrchr(buf, ')');
	for (i = 2; at && i < 39; i++)
		at = strchr(at + 1, ' ');
	return at ? atoi(at) : -1;
}

int gt_set_online(int cpu, bool online)
{
	char path[64];
	int ret;

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/online", cpu);
	/* -EBUSY while another change, of cpusets for one, is going on. */
	gt_wait_for((ret = gt_write_file(path, online ? "1" : "0")) != -EBUSY);
	return ret < 0 ? ret : 0;
}

int gt_policy(pid_t tid)
{
	int ret = sched_getscheduler(tid);

	return ret < 0 ? -errno : ret;
}

/* ---- queues ---- */

int gt_queue_create(int ctl, int elems, struct gt_queue *q)
{
	struct ghost_ioc_create_queue arg = { .elems = elems };
	int err;

	memset(q, 0, sizeof(*q));
	q->fd = gt_ioctl(ctl, GHOST_IOC_CREATE_QUEUE, &arg);
	if (q->fd < 0)
		return q->fd;
	q->size = arg.mapsize;
	q->hdr = gt_map(q->fd, q->size, PROT_READ | PROT_WRITE, &err);
	if (!q->hdr) {
		close(q->fd);
		return err;
	}
	q->nelems = q->hdr->nelems;
	q->ring = (void *)((char *)q->hdr + q->hdr->start);
	q->log = calloc(GT_LOG_SIZE, sizeof(*q->log));
	return q->log ? 0 : -ENOMEM;
}

void gt_queue_close(struct gt_queue *q)
{
	if (!q->hdr)
		return;
	munmap(q->hdr, q->size);
	close(q->fd);
	free(q->log);
	memset(q, 0, sizeof(*q));
	q->fd = -1;
}

/* A task's messages carry consecutive numbers as long as none is lost. */
static void check_sequence(struct gt_queue *q, const struct gt_msg *m)
{
	int i;

	if (m->type < GHOST_TASK_MSG_FIRST || m->type > GHOST_TASK_MSG_LAST)
		return;
	for (i = q->logged - 1; i >= 0; i--) {
		if (q->log[i].gtid != m->gtid)
			continue;
		if (q->log[i].seqnum + 1 != m->seqnum)
			q->gaps++;
		return;
	}
}

void gt_queue_consume(struct gt_queue *q)
{
	uint32_t head = load(&q->ring->head), tail = q->ring->tail;

	while (tail != head && q->logged < GT_LOG_SIZE) {
		const char *slot = (const char *)q->ring->msgs +
			(tail & (q->nelems - 1)) * GHOST_MSG_SLOT_SIZE;
		struct gt_msg m = { 0 };
		size_t payload;

		memcpy(&m.type, slot, 2);
		memcpy(&m.length, slot + 2, 2);
		memcpy(&m.seqnum, slot + 4, 4);
		payload = m.length - sizeof(struct ghost_msg);
		if (m.type != MSG_NOP) {
			if (payload > offsetof(struct gt_msg, taken) -
				      offsetof(struct gt_msg, gtid))
				payload = 0;
			memcpy(&m.gtid, slot + 8, payload);
			check_sequence(q, &m);
			q->log[q->logged++] = m;
		}
		tail += (m.length + GHOST_MSG_SLOT_SIZE - 1) /
			GHOST_MSG_SLOT_SIZE;
	}
	store(&q->ring->tail, tail);
}

static struct gt_msg *first_left(struct gt_queue *q, uint64_t gtid)
{
	int i;

	gt_queue_consume(q);
	for (i = 0; i < q->logged; i++)
		if (!q->log[i].taken &&
		    (gtid == GT_ANY || q->log[i].gtid == gtid))
			return &q->log[i];
	return NULL;
}

int gt_next(struct gt_queue *q, uint64_t gtid, int ms, struct gt_msg *m)
{
	int64_t end = gt_now_ms() + ms;
	struct gt_msg *found;

	while (!(found = first_left(q, gtid))) {
		if (gt_now_ms() >= end)
			return -ETIMEDOUT;
		gt_sleep_ms(1);
	}
	found->taken = true;
	if (m)
		*m = *found;
	return 0;
}

int gt_next_type(struct gt_queue *q, uint64_t gtid, int type, struct gt_msg *m)
{
	struct gt_msg found;
	int ret;

	do {
		ret = gt_next(q, gtid, GT_WAIT_MS, &found);
	} while (!ret && found.type != type);
	if (!ret && m)
		*m = found;
	return ret;
}

const char *gt_msg_name(int type)
{
	static const char * const names[] = {
		"DEAD", "BLOCKED", "WAKEUP", "NEW", "PREEMPT", "YIELD",
		"DEPARTED", "SWITCHTO", "AFFINITY_CHANGED", "ON_CPU",
		"PRIORITY_CHANGED", "LATCH_FAILURE",
	};

	if (type < MSG_TASK_DEAD || type > MSG_TASK_LATCH_FAILURE)
		return "not a task message";
	return names[type - MSG_TASK_DEAD];
}

/* ---- enclaves ---- */

static void remove_leftovers(void)
{
	DIR *d = opendir(GT_ROOT);
	struct dirent *ent;
	char path[PATH_MAX];
	int id;

	if (!d)
		return;
	while ((ent = readdir(d))) {
		if (sscanf(ent->d_name, "enclave_%d", &id) != 1 ||
		    id < GT_FIRST_ID)
			continue;
		snprintf(path, sizeof(path), GT_ROOT "/%s/ctl", ent->d_name);
		gt_write_file(path, "destroy");
	}
	closedir(d);
}

int gt_begin(void)
{
	struct statfs st;

	if (statfs(GT_ROOT, &st))
		return -errno;
	if (st.f_type != (long)GHOST_FS_MAGIC &&
	    mount("ghost", GT_ROOT, GHOST_FS_NAME, 0, NULL))
		return -errno;
	remove_leftovers();
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		return -errno;
	return gt_pin(0, 0);
}

int gt_enclave_bare_from(struct gt_enclave *e, int first)
{
	char cmd[64];
	int ret;

	memset(e, 0, sizeof(*e));
	e->ctl = -1;
	e->tasks = -1;
	e->q.fd = -1;
	e->step = "create";
	for (e->id = first; ; e->id++) {
		snprintf(cmd, sizeof(cmd), "create %d %d", e->id, GHOST_VERSION);
		ret = gt_write_file(GT_ROOT "/ctl", cmd);
		if (ret != -EEXIST)
			break;
	}
	if (ret < 0)
		return ret;
	snprintf(e->dir, sizeof(e->dir), GT_ROOT "/enclave_%d", e->id);
	e->step = "open ctl";
	e->ctl = gt_file(e, "ctl", O_RDWR);
	return e->ctl < 0 ? e->ctl : 0;
}

int gt_enclave_bare(struct gt_enclave *e)
{
	return gt_enclave_bare_from(e, GT_FIRST_ID);
}

int gt_set_cpus(struct gt_enclave *e, const char *cpus)
{
	int64_t end = gt_now_ms() + GT_WAIT_MS;
	int ret;

	while ((ret = gt_file_put(e, "cpulist", cpus)) == -EBUSY &&
	       gt_now_ms() < end)
		gt_sleep_ms(10);
	return ret < 0 ? ret : 0;
}

static int map_enclave(struct gt_enclave *e)
{
	int ret, fd;

	e->step = "map sw_0";
	fd = gt_file(e, "sw_regions/sw_0", O_RDONLY);
	if (fd < 0)
		return fd;
	e->region = gt_map(fd, GHOST_SW_REGION_SIZE, PROT_READ, &ret);
	close(fd);
	if (!e->region)
		return ret;
	e->step = "map cpu_data";
	e->cpu_size = gt_npossible() * sizeof(struct ghost_cpu_data);
	fd = gt_file(e, "cpu_data", O_RDWR);
	if (fd < 0)
		return fd;
	e->cpu = gt_map(fd, e->cpu_size, PROT_READ | PROT_WRITE, &ret);
	close(fd);
	if (!e->cpu)
		return ret;
	e->step = "create queue";
	ret = gt_queue_create(e->ctl, GT_QUEUE_ELEMS, &e->q);
	if (ret)
		return ret;
	e->step = "open tasks";
	e->tasks = gt_file(e, "tasks", O_RDWR);
	return e->tasks < 0 ? e->tasks : 0;
}

int gt_enclave_create(struct gt_enclave *e, const char *cpus)
{
	struct ghost_ioc_set_default_queue def;
	int ret;

	ret = gt_enclave_bare(e);
	if (ret)
		return ret;
	e->step = "cpulist";
	ret = gt_set_cpus(e, cpus);
	if (ret)
		return ret;
	e->step = "create sw_region";
	ret = gt_put(e->ctl, "create sw_region 0 0");
	if (ret < 0)
		return ret;
	ret = map_enclave(e);
	if (ret)
		return ret;
	e->step = "set default queue";
	def.fd = e->q.fd;
	return gt_ioctl(e->ctl, GHOST_IOC_SET_DEFAULT_QUEUE, &def);
}

int gt_enclave_attach(struct gt_enclave *e, int id)
{
	memset(e, 0, sizeof(*e));
	e->id = id;
	e->tasks = -1;
	e->q.fd = -1;
	snprintf(e->dir, sizeof(e->dir), GT_ROOT "/enclave_%d", id);
	e->step = "open ctl";
	e->ctl = gt_file(e, "ctl", O_RDWR);
	return e->ctl < 0 ? e->ctl : map_enclave(e);
}

int gt_file(struct gt_enclave *e, const char *name, int flags)
{
	return gt_open_at(e->dir, name, flags);
}

int gt_file_put(struct gt_enclave *e, const char *name, const char *text)
{
	int fd = gt_file(e, name, O_WRONLY), ret;

	if (fd < 0)
		return fd;
	ret = gt_put(fd, text);
	close(fd);
	return ret;
}

int gt_file_get(struct gt_enclave *e, const char *name, char *buf, size_t size)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", e->dir, name);
	return gt_read_file(path, buf, size);
}

int gt_destroy(struct gt_enclave *e)
{
	int ret = gt_put(e->ctl, "destroy");

	return ret < 0 ? ret : 0;
}

bool gt_gone(struct gt_enclave *e)
{
	return gt_wait_for(access(e->dir, F_OK) && errno == ENOENT);
}

void gt_enclave_close(struct gt_enclave *e)
{
	gt_queue_close(&e->q);
	if (e->region)
		munmap(e->region, GHOST_SW_REGION_SIZE);
	if (e->cpu)
		munmap(e->cpu, e->cpu_size);
	if (e->tasks >= 0)
		close(e->tasks);
	if (e->ctl >= 0)
		close(e->ctl);
}

int gt_sw_info(struct gt_enclave *e, uint32_t type, uint64_t arg,
	       struct ghost_sw_info *info)
{
	struct ghost_ioc_sw_get_info req = {
		.request = { .type = type, .arg = arg },
	};
	int ret = gt_ioctl(e->ctl, GHOST_IOC_SW_GET_INFO, &req);

	if (info)
		*info = req.response;
	return ret;
}

struct ghost_status_word *gt_sw_at(struct gt_enclave *e,
				   struct ghost_sw_info info)
{
	char *words = (char *)e->region + e->region->start;

	return (struct ghost_status_word *)words + info.index;
}

struct ghost_status_word *gt_sw(struct gt_enclave *e, uint64_t gtid)
{
	struct ghost_sw_info info;

	if (gt_sw_info(e, GHOST_TASK, gtid, &info))
		return NULL;
	return gt_sw_at(e, info);
}

int gt_sw_free(struct gt_enclave *e, struct ghost_sw_info info)
{
	return gt_ioctl(e->ctl, GHOST_IOC_SW_FREE, &info);
}

uint32_t gt_flags(struct ghost_status_word *sw)
{
	return load(&sw->flags);
}

uint32_t gt_barrier(struct ghost_status_word *sw)
{
	return load(&sw->barrier);
}

int gt_assoc(struct gt_enclave *e, int qfd, uint64_t gtid, uint32_t barrier)
{
	struct ghost_ioc_assoc_queue arg = {
		.fd = qfd,
		.src = { .type = GHOST_TASK, .arg = gtid },
		.barrier = barrier,
	};

	return gt_ioctl(e->ctl, GHOST_IOC_ASSOC_QUEUE, &arg);
}

int gt_join(struct gt_enclave *e, pid_t pid)
{
	char buf[32];
	int ret;

	snprintf(buf, sizeof(buf), "%d", pid);
	ret = gt_put(e->tasks, buf);
	return ret < 0 ? ret : 0;
}

/* ---- transactions ---- */

void gt_txn_fill(struct gt_enclave *e, int cpu, const struct gt_txn *t)
{
	struct ghost_txn *txn = &e->cpu[cpu].txn;

	txn->agent_barrier = t->agent_barrier;
	txn->task_barrier = t->task_barrier;
	txn->run_flags = t->run_flags;
	txn->commit_flags = t->commit_flags;
	txn->gtid = t->gtid;
	store(&txn->state, GHOST_TXN_READY);
}

static int commit_ioctl(struct gt_enclave *e, unsigned long cmd, __u64 cpus)
{
	struct ghost_ioc_commit_txn arg = {
		.mask_ptr = &cpus,
		.mask_len = sizeof(cpus),
	};

	return gt_ioctl(e->ctl, cmd, &arg);
}

int gt_txn_ioctl(struct gt_enclave *e, __u64 cpus)
{
	return commit_ioctl(e, GHOST_IOC_COMMIT_TXN, cpus);
}

int gt_sync_ioctl(struct gt_enclave *e, __u64 cpus)
{
	return commit_ioctl(e, GHOST_IOC_SYNC_GROUP_TXN, cpus);
}

int gt_txn_state(struct gt_enclave *e, int cpu)
{
	return load(&e->cpu[cpu].txn.state);
}

int gt_txn_wait(struct gt_enclave *e, int cpu)
{
	int state = GHOST_TXN_READY;

	gt_wait_for((state = gt_txn_state(e, cpu)) < 0);
	return state;
}

const char *gt_txn_name(int state)
{
	static const char * const names[] = {
		"COMPLETE", "ABORTED", "TARGET_ONCPU", "TARGET_STALE",
		"TARGET_NOT_FOUND", "TARGET_NOT_RUNNABLE", "AGENT_STALE",
		"CPU_OFFLINE", "CPU_UNAVAIL", "INVALID_FLAGS",
		"INVALID_TARGET", "NOT_PERMITTED", "INVALID_CPU", "NO_AGENT",
		"UNSUPPORTED_VERSION", "POISONED",
	};
	unsigned int n = (unsigned int)state - (unsigned int)INT_MIN;

	if (n < sizeof(names) / sizeof(names[0]))
		return names[n];
	return state == GHOST_TXN_READY ? "READY" : "claimed";
}
