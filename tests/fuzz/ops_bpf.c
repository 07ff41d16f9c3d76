// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* BPF programs: loading, most of which the verifier refuses, and attaching. */
#include <errno.h>
#include <unistd.h>

#include "fuzz.h"
#include "gt_bpf.h"

static int32_t number(struct rng *r)
{
	return one_in(r, 2) ? (int32_t)below(r, 64) : (int32_t)value(r);
}

/* Short ones: read and write the context, call a helper or a kfunc. */
static int write_program(struct rng *r, struct bpf_insn *insns)
{
	static const int sizes[] = { BPF_B, BPF_H, BPF_W, BPF_DW };
	int n = 0, left = below(r, 6);

	insns[n++] = (struct bpf_insn)I_COPY(6, 1);
	while (left--) {
		switch (below(r, 4)) {
		case 0:
			insns[n++] = (struct bpf_insn)I_LOAD(PICK(r, sizes), 2, 6,
							     4 * below(r, 20));
			break;
		case 1:
			insns[n++] = (struct bpf_insn)I_MOV(3, number(r));
			insns[n++] = (struct bpf_insn)I_STORE(PICK(r, sizes), 6,
							      4 * below(r, 20), 3);
			break;
		case 2:
			insns[n++] = (struct bpf_insn)I_MOV(1, number(r));
			insns[n++] = (struct bpf_insn)I_MOV(2, number(r));
			insns[n++] = (struct bpf_insn)I_MOV(3, number(r));
			insns[n++] = (struct bpf_insn)I_CALL(3000 + below(r, 8));
			break;
		default:
			/* Run what would run anyway, or anything. */
			insns[n++] = (struct bpf_insn)I_LOAD(BPF_DW, 1, 6, 8);
			insns[n++] = (struct bpf_insn)I_MOV(2, number(r));
			insns[n++] = (struct bpf_insn)I_MOV(3, 0);
			if (shared->try_run > 0 && one_in(r, 2))
				insns[n++] = (struct bpf_insn)I_KFUNC(shared->try_run);
			else
				insns[n++] = (struct bpf_insn)
					I_CALL(BPF_FUNC_ghost_run_gtid);
		}
	}
	insns[n++] = (struct bpf_insn)I_MOV(0, one_in(r, 2) ? 0 : number(r));
	insns[n++] = (struct bpf_insn)I_EXIT;
	return n;
}

long op_prog(struct rng *r)
{
	enum gt_slot slot = below(r, GT_NSLOTS);
	struct bpf_insn insns[40];
	struct gt_prog p = {
		.type = GT_PROG_TYPE(slot),
		.attach = GT_ATTACH(one_in(r, 16) ? (int)below(r, 200) : GHOST_VERSION,
				    one_in(r, 16) ? (int)below(r, GT_NSLOTS) : slot),
		.insns = insns,
	};
	int fd;

	p.n = write_program(r, insns);
	fd = gt_prog_load(&p);
	if (fd < 0)
		return fd;
	keep(K_PROG, fd);
	return 0;
}

static unsigned int some_attach(struct rng *r)
{
	return one_in(r, 16) ? (unsigned int)value(r) :
		GT_ATTACH(GHOST_VERSION, below(r, GT_NSLOTS));
}

long op_link(struct rng *r)
{
	int fd = gt_link_create(some_fd(r, K_PROG), some_fd(r, K_CTL), some_attach(r),
				one_in(r, 16) ? value(r) : 0);

	if (fd < 0)
		return fd;
	keep(K_LINK, fd);
	return 0;
}

long op_link_update(struct rng *r)
{
	if (one_in(r, 8))
		return gt_link_detach(some_fd(r, K_LINK));
	return gt_link_update(some_fd(r, K_LINK), some_fd(r, K_PROG),
			      some_fd(r, K_PROG),
			      one_in(r, 4) ? value(r) : BPF_F_REPLACE);
}
