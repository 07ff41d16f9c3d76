#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Without BTF of the kernel policies run that use the ABI's types only, and what
# cannot be had is said in words. A kernel that has BTF hides it from the test.

btf=/sys/kernel/btf
if [ -e $btf/vmlinux ]; then
	# shellcheck disable=SC2016	# for the shell that it starts
	exec unshare -m sh -c 'mount -t tmpfs none $1 && exec "$0"' "$0" $btf
fi
planned=19
. "$(dirname "$0")/tap.inc"

# The policy $1 schedules a few programs.
runs()
{
	policy=ghost-$1
	start_agent "$1" --cpus "$cpu" &&
		ghostctl run "$enclave" -- sh -c 'sleep 0.01; echo ran' |
			grep -x ran
}

ends()
{
	kill "$agent" && within 60 grep -q '^total ' "$tmp/$1.log" && wait "$agent"
}

no_enclave()
{
	! ls -d /sys/fs/ghost/enclave_* 2>/dev/null
}

if ! command -v ghost-biff >/dev/null; then
	while [ "$tap_n" -lt "$planned" ]; do
		skip "without BTF" "built without the policies in BPF"
	done
	done_testing
fi

check "there is no BTF" [ ! -e $btf/vmlinux ]
for p in biff eevdf-bpf toy hybrid; do
	check "$p runs" runs "$p"
	check "$p has picked" grep -qE '^sched prog [1-9].* latched [1-9]' \
		"/sys/fs/ghost/enclave_$enclave/bpf"
	check "$p ends" ends "$p"
done
check "prio, on trees, says that it cannot run" \
	says "build it with CONFIG_DEBUG_INFO_BTF" 1 ghost-prio --cpus "$cpu"
check "and leaves no enclave" within 60 no_enclave
policy=ghost-fifo
check "an enclave to observe" start_agent fifo --cpus "$cpu"
check "it is said what the kernel is without" \
	says "build it with CONFIG_DEBUG_INFO_BTF" 1 \
	ghostctl observe "$enclave" --seconds 1
kill "$agent"
check "it ends, too" within 60 enclave_gone "$enclave"
check "no kernel report" kernel_is_clean
done_testing
