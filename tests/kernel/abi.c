// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Every size, offset and number of the binary interface, checked by the
 * compiler. The Makefile compiles this file as C++ too (ABI_LAYOUT_ONLY).
 */
#include <assert.h>
#include <stddef.h>
#include <limits.h>
#include <stdalign.h>
#include <linux/ghost.h>

#define SIZE(t, size, align)						\
	static_assert(sizeof(t) == (size) && alignof(t) == (align), #t)
#define FIELD(t, f, off, size)						\
	static_assert(offsetof(t, f) == (off) &&			\
		      sizeof(((t *)0)->f) == (size), #t "." #f)
#define VALUE(name, value)						\
	static_assert((long long)(name) == (long long)(value), #name)
/* All ones against 1: a comparison with 0 makes compilers warn. */
#define TYPE(t, f)	__typeof__(((t *)0)->f)
#define IS_SIGNED(t, f)							\
	static_assert((TYPE(t, f))~0 < (TYPE(t, f))1, #t "." #f)
#define IS_UNSIGNED(t, f)						\
	static_assert((TYPE(t, f))~0 > (TYPE(t, f))1, #t "." #f)

/* ioctl arguments */
SIZE(struct ghost_agent_wakeup, 8, 4);
FIELD(struct ghost_agent_wakeup, cpu, 0, 4);
FIELD(struct ghost_agent_wakeup, prio, 4, 4);
SIZE(struct ghost_msg_src, 16, 8);
FIELD(struct ghost_msg_src, type, 0, 4);
FIELD(struct ghost_msg_src, arg, 8, 8);
SIZE(struct timerfd_ghost, 24, 8);
FIELD(struct timerfd_ghost, cpu, 0, 4);
FIELD(struct timerfd_ghost, flags, 4, 4);
FIELD(struct timerfd_ghost, type, 8, 8);
FIELD(struct timerfd_ghost, cookie, 16, 8);
SIZE(struct ghost_sw_info, 8, 4);
FIELD(struct ghost_sw_info, id, 0, 4);
FIELD(struct ghost_sw_info, index, 4, 4);
SIZE(struct ghost_ioc_sw_get_info, 24, 8);
FIELD(struct ghost_ioc_sw_get_info, request, 0, 16);
FIELD(struct ghost_ioc_sw_get_info, response, 16, 8);
SIZE(struct ghost_ioc_create_queue, 24, 8);
FIELD(struct ghost_ioc_create_queue, elems, 0, 4);
FIELD(struct ghost_ioc_create_queue, node, 4, 4);
FIELD(struct ghost_ioc_create_queue, flags, 8, 4);
FIELD(struct ghost_ioc_create_queue, mapsize, 16, 8);
SIZE(struct ghost_ioc_assoc_queue, 32, 8);
FIELD(struct ghost_ioc_assoc_queue, fd, 0, 4);
FIELD(struct ghost_ioc_assoc_queue, src, 8, 16);
FIELD(struct ghost_ioc_assoc_queue, barrier, 24, 4);
FIELD(struct ghost_ioc_assoc_queue, flags, 28, 4);
SIZE(struct ghost_ioc_set_default_queue, 4, 4);
FIELD(struct ghost_ioc_set_default_queue, fd, 0, 4);
SIZE(struct ghost_ioc_config_queue_wakeup, 24, 8);
FIELD(struct ghost_ioc_config_queue_wakeup, qfd, 0, 4);
FIELD(struct ghost_ioc_config_queue_wakeup, w, 8, 8);
FIELD(struct ghost_ioc_config_queue_wakeup, ninfo, 16, 4);
FIELD(struct ghost_ioc_config_queue_wakeup, flags, 20, 4);
SIZE(struct ghost_ioc_get_cpu_time, 16, 8);
FIELD(struct ghost_ioc_get_cpu_time, gtid, 0, 8);
FIELD(struct ghost_ioc_get_cpu_time, runtime, 8, 8);
SIZE(struct ghost_ioc_commit_txn, 16, 8);
FIELD(struct ghost_ioc_commit_txn, mask_ptr, 0, 8);
FIELD(struct ghost_ioc_commit_txn, mask_len, 8, 4);
FIELD(struct ghost_ioc_commit_txn, flags, 12, 4);
SIZE(struct ghost_ioc_timerfd_settime, 48, 8);
FIELD(struct ghost_ioc_timerfd_settime, timerfd, 0, 4);
FIELD(struct ghost_ioc_timerfd_settime, flags, 4, 4);
FIELD(struct ghost_ioc_timerfd_settime, in_tmr, 8, 8);
FIELD(struct ghost_ioc_timerfd_settime, out_tmr, 16, 8);
FIELD(struct ghost_ioc_timerfd_settime, timerfd_ghost, 24, 24);
SIZE(struct ghost_ioc_run, 24, 8);
FIELD(struct ghost_ioc_run, gtid, 0, 8);
FIELD(struct ghost_ioc_run, agent_barrier, 8, 4);
FIELD(struct ghost_ioc_run, task_barrier, 12, 4);
FIELD(struct ghost_ioc_run, run_cpu, 16, 4);
FIELD(struct ghost_ioc_run, run_flags, 20, 4);

VALUE(GHOST_IOC_NULL, 0x00006700);
VALUE(GHOST_IOC_SW_GET_INFO, 0xC0186701);
VALUE(GHOST_IOC_SW_FREE, 0x40086702);
VALUE(GHOST_IOC_CREATE_QUEUE, 0xC0186703);
VALUE(GHOST_IOC_ASSOC_QUEUE, 0x40206704);
VALUE(GHOST_IOC_SET_DEFAULT_QUEUE, 0x40046705);
VALUE(GHOST_IOC_CONFIG_QUEUE_WAKEUP, 0x40186706);
VALUE(GHOST_IOC_GET_CPU_TIME, 0xC0106707);
VALUE(GHOST_IOC_COMMIT_TXN, 0x40106708);
VALUE(GHOST_IOC_SYNC_GROUP_TXN, 0x40106709);
VALUE(GHOST_IOC_TIMERFD_SETTIME, 0xC030670A);
VALUE(GHOST_IOC_RUN, 0x4018670B);

/* status words */
SIZE(struct ghost_status_word, 32, 32);
FIELD(struct ghost_status_word, barrier, 0, 4);
FIELD(struct ghost_status_word, flags, 4, 4);
FIELD(struct ghost_status_word, gtid, 8, 8);
FIELD(struct ghost_status_word, switch_time, 16, 8);
FIELD(struct ghost_status_word, runtime, 24, 8);
VALUE(GHOST_SW_F_INUSE, 1 << 0);
VALUE(GHOST_SW_F_CANFREE, 1 << 1);
VALUE(GHOST_SW_F_ALLOCATED, 1 << 2);
VALUE(GHOST_SW_CPU_AVAIL, 1 << 8);
VALUE(GHOST_SW_BOOST_PRIO, 1 << 9);
VALUE(GHOST_SW_TASK_ONCPU, 1 << 16);
VALUE(GHOST_SW_TASK_RUNNABLE, 1 << 17);
VALUE(GHOST_SW_TASK_IS_AGENT, 1 << 18);
VALUE(GHOST_SW_TASK_MSG_GATED, 1 << 19);

/* shared memory */
SIZE(struct ghost_sw_region_header, 64, 64);
FIELD(struct ghost_sw_region_header, version, 0, 4);
FIELD(struct ghost_sw_region_header, id, 4, 4);
FIELD(struct ghost_sw_region_header, numa_node, 8, 4);
FIELD(struct ghost_sw_region_header, start, 12, 4);
FIELD(struct ghost_sw_region_header, capacity, 16, 4);
FIELD(struct ghost_sw_region_header, available, 20, 4);
SIZE(struct ghost_queue_header, 64, 64);
FIELD(struct ghost_queue_header, version, 0, 4);
FIELD(struct ghost_queue_header, start, 4, 4);
FIELD(struct ghost_queue_header, nelems, 8, 4);
SIZE(struct ghost_ring, 12, 4);
FIELD(struct ghost_ring, head, 0, 4);
FIELD(struct ghost_ring, tail, 4, 4);
FIELD(struct ghost_ring, overflow, 8, 4);
static_assert(offsetof(struct ghost_ring, msgs) == 12, "msgs");
SIZE(struct ghost_msg, 8, 4);
FIELD(struct ghost_msg, type, 0, 2);
FIELD(struct ghost_msg, length, 2, 2);
FIELD(struct ghost_msg, seqnum, 4, 4);
static_assert(offsetof(struct ghost_msg, payload) == 8, "payload");
SIZE(struct ghost_txn, 64, 64);
FIELD(struct ghost_txn, version, 0, 4);
FIELD(struct ghost_txn, cpu, 4, 4);
FIELD(struct ghost_txn, state, 8, 4);
FIELD(struct ghost_txn, agent_barrier, 12, 4);
FIELD(struct ghost_txn, task_barrier, 16, 4);
FIELD(struct ghost_txn, run_flags, 20, 2);
FIELD(struct ghost_txn, commit_flags, 22, 1);
FIELD(struct ghost_txn, unused, 23, 1);
FIELD(struct ghost_txn, gtid, 24, 8);
FIELD(struct ghost_txn, commit_time, 32, 8);
FIELD(struct ghost_txn, cpu_seqnum, 40, 8);
FIELD(struct ghost_txn, u.sync_group_owner, 48, 4);
SIZE(struct ghost_cpu_data, 4096, 4096);
FIELD(struct ghost_cpu_data, txn, 0, 64);
VALUE(GHOST_SW_REGION_SIZE, 64 + 65534 * 32);
VALUE(GHOST_SW_REGION_SIZE, 2097152);
VALUE(GHOST_SW_REGION_CAPACITY, 65534);
VALUE(GHOST_MSG_SLOT_SIZE, 8);

/* signs */
IS_SIGNED(struct ghost_agent_wakeup, cpu);
IS_SIGNED(struct ghost_agent_wakeup, prio);
IS_SIGNED(struct timerfd_ghost, cpu);
IS_SIGNED(struct timerfd_ghost, flags);
IS_SIGNED(struct ghost_ioc_create_queue, elems);
IS_SIGNED(struct ghost_ioc_create_queue, node);
IS_SIGNED(struct ghost_ioc_create_queue, flags);
IS_SIGNED(struct ghost_ioc_assoc_queue, fd);
IS_SIGNED(struct ghost_ioc_assoc_queue, flags);
IS_SIGNED(struct ghost_ioc_set_default_queue, fd);
IS_SIGNED(struct ghost_ioc_config_queue_wakeup, qfd);
IS_SIGNED(struct ghost_ioc_config_queue_wakeup, ninfo);
IS_SIGNED(struct ghost_ioc_config_queue_wakeup, flags);
IS_SIGNED(struct ghost_ioc_get_cpu_time, gtid);
IS_SIGNED(struct ghost_ioc_commit_txn, flags);
IS_SIGNED(struct ghost_ioc_timerfd_settime, timerfd);
IS_SIGNED(struct ghost_ioc_timerfd_settime, flags);
IS_SIGNED(struct ghost_ioc_run, gtid);
IS_SIGNED(struct ghost_ioc_run, run_cpu);
IS_SIGNED(struct ghost_ioc_run, run_flags);
IS_SIGNED(struct ghost_status_word, switch_time);
IS_SIGNED(struct ghost_txn, version);
IS_SIGNED(struct ghost_txn, cpu);
IS_SIGNED(struct ghost_txn, state);
IS_SIGNED(struct ghost_txn, gtid);
IS_SIGNED(struct ghost_txn, commit_time);
IS_SIGNED(struct ghost_txn, u.sync_group_owner);
IS_UNSIGNED(struct timerfd_ghost, type);
IS_UNSIGNED(struct timerfd_ghost, cookie);
IS_UNSIGNED(struct ghost_msg_src, arg);
IS_UNSIGNED(struct ghost_sw_info, id);
IS_UNSIGNED(struct ghost_sw_info, index);
IS_UNSIGNED(struct ghost_ioc_create_queue, mapsize);
IS_UNSIGNED(struct ghost_ioc_assoc_queue, barrier);
IS_UNSIGNED(struct ghost_ioc_get_cpu_time, runtime);
IS_UNSIGNED(struct ghost_ioc_commit_txn, mask_len);
IS_UNSIGNED(struct ghost_ioc_run, agent_barrier);
IS_UNSIGNED(struct ghost_ioc_run, task_barrier);
IS_UNSIGNED(struct ghost_status_word, barrier);
IS_UNSIGNED(struct ghost_status_word, flags);
IS_UNSIGNED(struct ghost_status_word, gtid);
IS_UNSIGNED(struct ghost_status_word, runtime);
IS_UNSIGNED(struct ghost_sw_region_header, version);
IS_UNSIGNED(struct ghost_sw_region_header, id);
IS_UNSIGNED(struct ghost_sw_region_header, numa_node);
IS_UNSIGNED(struct ghost_sw_region_header, start);
IS_UNSIGNED(struct ghost_sw_region_header, capacity);
IS_UNSIGNED(struct ghost_sw_region_header, available);
IS_UNSIGNED(struct ghost_queue_header, version);
IS_UNSIGNED(struct ghost_queue_header, start);
IS_UNSIGNED(struct ghost_queue_header, nelems);
IS_UNSIGNED(struct ghost_ring, head);
IS_UNSIGNED(struct ghost_ring, tail);
IS_UNSIGNED(struct ghost_ring, overflow);
IS_UNSIGNED(struct ghost_msg, type);
IS_UNSIGNED(struct ghost_msg, length);
IS_UNSIGNED(struct ghost_msg, seqnum);
IS_UNSIGNED(struct ghost_txn, agent_barrier);
IS_UNSIGNED(struct ghost_txn, task_barrier);
IS_UNSIGNED(struct ghost_txn, run_flags);
IS_UNSIGNED(struct ghost_txn, commit_flags);
IS_UNSIGNED(struct ghost_txn, cpu_seqnum);

/* messages */
SIZE(struct ghost_msg_payload_task_dead, 16, 8);
FIELD(struct ghost_msg_payload_task_dead, gtid, 0, 8);
FIELD(struct ghost_msg_payload_task_dead, cpu, 8, 4);
SIZE(struct ghost_msg_payload_task_blocked, 32, 8);
FIELD(struct ghost_msg_payload_task_blocked, gtid, 0, 8);
FIELD(struct ghost_msg_payload_task_blocked, runtime, 8, 8);
FIELD(struct ghost_msg_payload_task_blocked, cpu_seqnum, 16, 8);
FIELD(struct ghost_msg_payload_task_blocked, cpu, 24, 4);
FIELD(struct ghost_msg_payload_task_blocked, from_switchto, 28, 1);
SIZE(struct ghost_msg_payload_task_wakeup, 32, 8);
FIELD(struct ghost_msg_payload_task_wakeup, gtid, 0, 8);
FIELD(struct ghost_msg_payload_task_wakeup, agent_data, 8, 8);
FIELD(struct ghost_msg_payload_task_wakeup, deferrable, 16, 1);
FIELD(struct ghost_msg_payload_task_wakeup, last_ran_cpu, 20, 4);
FIELD(struct ghost_msg_payload_task_wakeup, wake_up_cpu, 24, 4);
FIELD(struct ghost_msg_payload_task_wakeup, waker_cpu, 28, 4);
SIZE(struct ghost_msg_payload_task_new, 48, 8);
FIELD(struct ghost_msg_payload_task_new, gtid, 0, 8);
FIELD(struct ghost_msg_payload_task_new, parent_gtid, 8, 8);
FIELD(struct ghost_msg_payload_task_new, runtime, 16, 8);
FIELD(struct ghost_msg_payload_task_new, runnable, 24, 2);
FIELD(struct ghost_msg_payload_task_new, nice, 28, 4);
FIELD(struct ghost_msg_payload_task_new, sw_info, 32, 8);
FIELD(struct ghost_msg_payload_task_new, agent_data, 40, 8);
SIZE(struct ghost_msg_payload_task_preempt, 40, 8);
FIELD(struct ghost_msg_payload_task_preempt, gtid, 0, 8);
FIELD(struct ghost_msg_payload_task_preempt, runtime, 8, 8);
FIELD(struct ghost_msg_payload_task_preempt, cpu_seqnum, 16, 8);
FIELD(struct ghost_msg_payload_task_preempt, agent_data, 24, 8);
FIELD(struct ghost_msg_payload_task_preempt, cpu, 32, 4);
FIELD(struct ghost_msg_payload_task_preempt, from_switchto, 36, 1);
FIELD(struct ghost_msg_payload_task_preempt, was_latched, 37, 1);
SIZE(struct ghost_msg_payload_task_yield, 40, 8);
FIELD(struct ghost_msg_payload_task_yield, gtid, 0, 8);
FIELD(struct ghost_msg_payload_task_yield, runtime, 8, 8);
FIELD(struct ghost_msg_payload_task_yield, cpu_seqnum, 16, 8);
FIELD(struct ghost_msg_payload_task_yield, agent_data, 24, 8);
FIELD(struct ghost_msg_payload_task_yield, cpu, 32, 4);
FIELD(struct ghost_msg_payload_task_yield, from_switchto, 36, 1);
SIZE(struct ghost_msg_payload_task_departed, 24, 8);
FIELD(struct ghost_msg_payload_task_departed, gtid, 0, 8);
FIELD(struct ghost_msg_payload_task_departed, cpu_seqnum, 8, 8);
FIELD(struct ghost_msg_payload_task_departed, cpu, 16, 4);
FIELD(struct ghost_msg_payload_task_departed, from_switchto, 20, 1);
FIELD(struct ghost_msg_payload_task_departed, was_current, 21, 1);
SIZE(struct ghost_msg_payload_task_switchto, 32, 8);
FIELD(struct ghost_msg_payload_task_switchto, gtid, 0, 8);
FIELD(struct ghost_msg_payload_task_switchto, runtime, 8, 8);
FIELD(struct ghost_msg_payload_task_switchto, cpu_seqnum, 16, 8);
FIELD(struct ghost_msg_payload_task_switchto, cpu, 24, 4);
SIZE(struct ghost_msg_payload_task_affinity_changed, 8, 8);
FIELD(struct ghost_msg_payload_task_affinity_changed, gtid, 0, 8);
SIZE(struct ghost_msg_payload_task_on_cpu, 32, 8);
FIELD(struct ghost_msg_payload_task_on_cpu, gtid, 0, 8);
FIELD(struct ghost_msg_payload_task_on_cpu, commit_time, 8, 8);
FIELD(struct ghost_msg_payload_task_on_cpu, cpu_seqnum, 16, 8);
FIELD(struct ghost_msg_payload_task_on_cpu, cpu, 24, 4);
SIZE(struct ghost_msg_payload_task_priority_changed, 16, 8);
FIELD(struct ghost_msg_payload_task_priority_changed, gtid, 0, 8);
FIELD(struct ghost_msg_payload_task_priority_changed, nice, 8, 4);
SIZE(struct ghost_msg_payload_task_latch_failure, 16, 8);
FIELD(struct ghost_msg_payload_task_latch_failure, gtid, 0, 8);
FIELD(struct ghost_msg_payload_task_latch_failure, error, 8, 4);
SIZE(struct ghost_msg_payload_cpu_tick, 8, 4);
FIELD(struct ghost_msg_payload_cpu_tick, cpu, 0, 4);
FIELD(struct ghost_msg_payload_cpu_tick, is_agent, 4, 4);
SIZE(struct ghost_msg_payload_timer, 24, 8);
FIELD(struct ghost_msg_payload_timer, cpu, 0, 4);
FIELD(struct ghost_msg_payload_timer, type, 8, 8);
FIELD(struct ghost_msg_payload_timer, cookie, 16, 8);
SIZE(struct ghost_msg_payload_cpu_not_idle, 16, 8);
FIELD(struct ghost_msg_payload_cpu_not_idle, cpu, 0, 4);
FIELD(struct ghost_msg_payload_cpu_not_idle, next_gtid, 8, 8);
SIZE(struct ghost_msg_payload_cpu, 4, 4);
FIELD(struct ghost_msg_payload_cpu, cpu, 0, 4);

VALUE(MSG_NOP, 0);
VALUE(MSG_TASK_DEAD, 64);
VALUE(MSG_TASK_BLOCKED, 65);
VALUE(MSG_TASK_WAKEUP, 66);
VALUE(MSG_TASK_NEW, 67);
VALUE(MSG_TASK_PREEMPT, 68);
VALUE(MSG_TASK_YIELD, 69);
VALUE(MSG_TASK_DEPARTED, 70);
VALUE(MSG_TASK_SWITCHTO, 71);
VALUE(MSG_TASK_AFFINITY_CHANGED, 72);
VALUE(MSG_TASK_ON_CPU, 73);
VALUE(MSG_TASK_PRIORITY_CHANGED, 74);
VALUE(MSG_TASK_LATCH_FAILURE, 75);
VALUE(MSG_CPU_TICK, 128);
VALUE(MSG_CPU_TIMER_EXPIRED, 129);
VALUE(MSG_CPU_NOT_IDLE, 130);
VALUE(MSG_CPU_AVAILABLE, 131);
VALUE(MSG_CPU_BUSY, 132);
VALUE(MSG_CPU_AGENT_BLOCKED, 133);
VALUE(MSG_CPU_AGENT_WAKEUP, 134);
VALUE(GHOST_TASK_MSG_FIRST, 64);
VALUE(GHOST_TASK_MSG_LAST, 127);
VALUE(GHOST_CPU_MSG_FIRST, 128);
VALUE(GHOST_CPU_MSG_LAST, 191);

/* constants */
VALUE(GHOST_TXN_COMPLETE, INT_MIN);
VALUE(GHOST_TXN_ABORTED, INT_MIN + 1);
VALUE(GHOST_TXN_TARGET_ONCPU, INT_MIN + 2);
VALUE(GHOST_TXN_TARGET_STALE, INT_MIN + 3);
VALUE(GHOST_TXN_TARGET_NOT_FOUND, INT_MIN + 4);
VALUE(GHOST_TXN_TARGET_NOT_RUNNABLE, INT_MIN + 5);
VALUE(GHOST_TXN_AGENT_STALE, INT_MIN + 6);
VALUE(GHOST_TXN_CPU_OFFLINE, INT_MIN + 7);
VALUE(GHOST_TXN_CPU_UNAVAIL, INT_MIN + 8);
VALUE(GHOST_TXN_INVALID_FLAGS, INT_MIN + 9);
VALUE(GHOST_TXN_INVALID_TARGET, INT_MIN + 10);
VALUE(GHOST_TXN_NOT_PERMITTED, INT_MIN + 11);
VALUE(GHOST_TXN_INVALID_CPU, INT_MIN + 12);
VALUE(GHOST_TXN_NO_AGENT, INT_MIN + 13);
VALUE(GHOST_TXN_UNSUPPORTED_VERSION, INT_MIN + 14);
VALUE(GHOST_TXN_POISONED, INT_MIN + 15);
VALUE(GHOST_TXN_READY, INT_MAX);
VALUE(RTLA_ON_PREEMPT, 0x1);
VALUE(RTLA_ON_BLOCKED, 0x2);
VALUE(RTLA_ON_YIELD, 0x4);
VALUE(RTLA_ON_IDLE, 0x20);
VALUE(NEED_L1D_FLUSH, 0x40);
VALUE(NEED_CPU_NOT_IDLE, 0x80);
VALUE(ELIDE_PREEMPT, 0x200);
VALUE(SEND_TASK_ON_CPU, 0x400);
VALUE(DEFER_LATCHED_PREEMPTION_BY_AGENT, 0x800);
VALUE(DO_NOT_PREEMPT, 0x1000);
VALUE(COMMIT_AT_SCHEDULE, 0x1);
VALUE(COMMIT_AT_TXN_COMMIT, 0x2);
VALUE(ALLOW_TASK_ONCPU, 0x4);
VALUE(ELIDE_AGENT_BARRIER_INC, 0x8);
VALUE(INC_AGENT_BARRIER_ON_FAILURE, 0x10);
VALUE(GHOST_GTID_SEQNUM_BITS, 41);
VALUE(GHOST_GTID_PID_BITS, 22);
VALUE(GHOST_NULL_GTID, 0);
VALUE(GHOST_AGENT_GTID, -1);
VALUE(GHOST_IDLE_GTID, -2);
VALUE(GHOST_ASSOC_SF_ALREADY, 1);
VALUE(GHOST_ASSOC_SF_BRAND_NEW, 2);
VALUE(GHOST_AGENT, 0);
VALUE(GHOST_TASK, 1);
VALUE(SCHED_GHOST, 18);
VALUE(GHOST_VERSION, 91);
VALUE(GHOST_VERSION_MIN, 90);
VALUE(GHOST_MAX_WINFO, 2);
VALUE(GHOST_MAX_QUEUE_ELEMS, 65536);
VALUE(TIMERFD_GHOST_ENABLED, 1);
VALUE(GHOST_SW_REGION_VERSION, 0);
VALUE(GHOST_QUEUE_VERSION, 0);
VALUE(GHOST_TXN_VERSION, 0);
VALUE(GHOST_FS_MAGIC, 0xBAD1DEA2);

/* contexts of BPF programs */
SIZE(struct bpf_ghost_msg, 64, 8);
static_assert(offsetof(struct bpf_ghost_msg, newt) == 0 &&
	      sizeof(((struct bpf_ghost_msg *)0)->newt) == 48, "payload");
FIELD(struct bpf_ghost_msg, type, 48, 2);
FIELD(struct bpf_ghost_msg, seqnum, 52, 4);
FIELD(struct bpf_ghost_msg, pref_cpu, 56, 4);
IS_SIGNED(struct bpf_ghost_msg, pref_cpu);
SIZE(struct bpf_ghost_sched, 16, 8);
FIELD(struct bpf_ghost_sched, agent_on_rq, 0, 1);
FIELD(struct bpf_ghost_sched, agent_runnable, 1, 1);
FIELD(struct bpf_ghost_sched, might_yield, 2, 1);
FIELD(struct bpf_ghost_sched, dont_idle, 3, 1);
FIELD(struct bpf_ghost_sched, must_resched, 4, 1);
FIELD(struct bpf_ghost_sched, next_gtid, 8, 8);
SIZE(struct bpf_ghost_select_rq, 32, 8);
FIELD(struct bpf_ghost_select_rq, gtid, 0, 8);
FIELD(struct bpf_ghost_select_rq, task_cpu, 8, 4);
FIELD(struct bpf_ghost_select_rq, waker_cpu, 12, 4);
FIELD(struct bpf_ghost_select_rq, sd_flag, 16, 4);
FIELD(struct bpf_ghost_select_rq, wake_flags, 20, 4);
FIELD(struct bpf_ghost_select_rq, skip_ttwu_queue, 24, 1);
SIZE(struct bpf_ghost_halt_poll, 4, 4);
FIELD(struct bpf_ghost_halt_poll, type, 0, 4);
SIZE(struct bpf_sync_commit_args, 48, 8);
FIELD(struct bpf_sync_commit_args, cpus, 0, 8);
FIELD(struct bpf_sync_commit_args, gtids, 8, 16);
FIELD(struct bpf_sync_commit_args, task_barriers, 24, 8);
FIELD(struct bpf_sync_commit_args, run_flags, 32, 8);
FIELD(struct bpf_sync_commit_args, commit_flags, 40, 8);

VALUE(BPF_PROG_TYPE_GHOST_SCHED, 1000);
VALUE(BPF_PROG_TYPE_GHOST_MSG, 1001);
VALUE(BPF_PROG_TYPE_GHOST_SELECT_RQ, 1002);
VALUE(BPF_PROG_TYPE_GHOST_HALT_POLL, 1003);
VALUE(BPF_GHOST_SCHED_PNT, 2000);
VALUE(BPF_GHOST_MSG_SEND, 2001);
VALUE(BPF_GHOST_SELECT_RQ, 2002);
VALUE(BPF_GHOST_HALT_POLL, 2003);
VALUE(GHOST_BPF_ATTACH(91, BPF_GHOST_SCHED_PNT), 91 << 16 | 2000);
VALUE(BPF_FUNC_ghost_wake_agent, 3000);
VALUE(BPF_FUNC_ghost_run_gtid, 3001);
VALUE(BPF_FUNC_ghost_resched_cpu2, 3003);
VALUE(BPF_FUNC_ghost_sync_commit, 3004);
VALUE(BPF_FUNC_ghost_get_affinity, 3005);
VALUE(BPF_FUNC_ghost_get_comm, 3006);
VALUE(RESCHED_ANY_CLASS, 0x1);
VALUE(RESCHED_GHOST_CLASS, 0x2);
VALUE(RESCHED_IDLE_CLASS, 0x4);
VALUE(RESCHED_OTHER_CLASS, 0x8);
VALUE(SET_MUST_RESCHED, 0x10);
VALUE(WAKE_AGENT, 0x20);
VALUE(GHOST_PREF_CPU_NONE, -1);
VALUE(GHOST_PREF_CPU_NO_WAKEUP, -2);
VALUE(GHOST_HALT_POLL_PREPARE, 0);
VALUE(GHOST_HALT_POLL_CONTINUE, 1);
VALUE(GHOST_HALT_POLL_END, 2);
VALUE(BPF_SYNC_COMMIT_MAX_CPUS, 2);

#ifndef ABI_LAYOUT_ONLY
#include <stdio.h>

/* Whoever built this program has passed the test. */
int main(void)
{
	printf("TAP version 13\n1..1\nok 1 abi.layout\n");
	return 0;
}
#endif
