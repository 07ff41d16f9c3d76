// SPDX-License-Identifier: GPL-2.0-only
/* A sched_ext scheduler that leaves everything to the kernel's defaults. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "GPL";

/* As much as is used of it: libbpf finds the members by their names. */
struct sched_ext_ops {
	char name[128];
};

SEC(".struct_ops.link")
struct sched_ext_ops minimal = {
	.name = "minimal",
};
