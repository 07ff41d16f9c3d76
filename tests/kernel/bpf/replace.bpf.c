// SPDX-License-Identifier: GPL-2.0-only
/* A program with a function that others replace: one that may, and one that may not. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <ghost/bpf.h>

char _license[] SEC("license") = "GPL";

int calls;

/* Its kind of map allocates and wakes. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, __u64);
} trie SEC(".maps");

__noinline int part(int x)
{
	calls++;
	return x;
}

SEC("ghost_sched")
int sched(struct bpf_ghost_sched *ctx)
{
	return part(1);
}

SEC("?freplace/part")
int part_without_a_map(int x)
{
	return x + 1;
}

SEC("?freplace/part")
int part_with_a_trie(int x)
{
	__u64 key = 0;

	return bpf_map_delete_elem(&trie, &key);
}
