// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* A policy wholly in BPF, that of the tests: kernel/bpf/{fifo,tree}.bpf.c. */
#include "torture.h"
#include "gt_bpf.h"
#include "bpf/fifo.h"

static struct gt_bpf policy;
static uint64_t full;

/*
 * The programs of a predecessor go a little later than it goes offline, and
 * drop messages until then.
 */
bool host_bpf_alone(struct gt_enclave *e)
{
	return gt_wait_for(gt_bpf_stat(e, GT_MSG, " prog ") <= 0 &&
			   gt_bpf_stat(e, GT_SCHED, " prog ") <= 0);
}

int host_bpf_start(struct gt_enclave *e, uint32_t n)
{
	int ret = n % 2 || !gt_has_btf() ? gt_bpf_fifo(&policy, NULL) :
		gt_bpf_tree(&policy, NULL);

	if (!ret)
		ret = gt_file_put(e, "deliver_ticks", "1") < 0;
	if (!ret)
		ret = gt_bpf_attach(&policy, e, GT_MSG);
	return ret ? ret : gt_bpf_attach(&policy, e, GT_SCHED);
}

/* What the program had no room for is to be announced again. */
void host_bpf_attend(struct gt_enclave *e)
{
	const struct fifo *f = policy.shared;

	if (load(&f->full) == full)
		return;
	full = load(&f->full);
	gt_put(e->ctl, "discover tasks");
}
