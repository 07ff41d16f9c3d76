// SPDX-License-Identifier: GPL-2.0-only
/*
 * SCHED_GHOST: the trace events of include/trace/events/ghost.h.
 */
#define CREATE_TRACE_POINTS
#include <trace/events/ghost.h>
