// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Attaching BPF programs. Loading them is libbpf's business. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <ghost/bpf.h>

static int sys_bpf(int cmd, union bpf_attr *attr)
{
	long ret = syscall(SYS_bpf, cmd, attr, sizeof(*attr));

	return ret < 0 ? -errno : (int)ret;
}

int ghost_bpf_attach(int ctl, int prog, unsigned int attach)
{
	union bpf_attr attr = {
		.link_create = {
			.prog_fd	= (__u32)prog,
			.target_fd	= (__u32)ctl,
			.attach_type	= GHOST_BPF_EXPECTED_ATTACH_TYPE(attach),
		},
	};

	return sys_bpf(BPF_LINK_CREATE, &attr);
}

int ghost_bpf_replace(int link, int prog, int old)
{
	union bpf_attr attr = {
		.link_update = {
			.link_fd	= (__u32)link,
			.new_prog_fd	= (__u32)prog,
			.old_prog_fd	= (__u32)old,
			.flags		= BPF_F_REPLACE,
		},
	};

	return sys_bpf(BPF_LINK_UPDATE, &attr);
}
