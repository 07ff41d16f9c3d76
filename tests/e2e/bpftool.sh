#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# What bpftool shows of the programs of a policy and of their links.

planned=12
. "$(dirname "$0")/tap.inc"

if ! command -v bpftool >/dev/null || ! command -v ghost-biff >/dev/null; then
	while [ "$tap_n" -lt "$planned" ]; do
		skip "bpftool" "neither bpftool nor policies in BPF in this guest"
	done
	done_testing
fi

# The program in slot $1 of the enclave.
program()
{
	sed -n "s/^$1 prog \([0-9]*\) .*/\1/p" "/sys/fs/ghost/enclave_$enclave/bpf"
}

# shows WORDS CMD...: a line of what the command prints has them.
shows()
{
	words=$1
	shift
	"$@" >"$tmp/shown" 2>&1 || {
		cat "$tmp/shown"
		return 1
	}
	cat "$tmp/shown"
	grep -qE -- "$words" "$tmp/shown"
}

policy=ghost-biff
check "a policy in BPF" start_agent biff --cpus "$cpu"
sched=$(program sched) msg=$(program msg) select=$(program select_rq)
check "the program that picks, by type and name" \
	shows "^$sched: type 1000  name frame_sched " bpftool prog show
check "the one for messages" shows "^$msg: type 1001  name frame_msg " \
	bpftool prog show
check "the one for wake-ups" shows "^$select: type 1002  name frame_select " \
	bpftool prog show id "$select"
check "its maps" shows "map_ids [0-9]" bpftool prog show id "$sched"
check "in JSON" shows "\"id\":$sched,\"type\":1000,\"name\":\"frame_sched\"" \
	bpftool -j prog show id "$sched"
check "its instructions, and what it calls" shows "call bpf_ghost_run_gtid#" \
	bpftool prog dump xlated id "$sched"
check "a link to each" shows "^[0-9]+: unspec  prog $sched *\$" bpftool link show
check "of messages, too" shows "^[0-9]+: unspec  prog $msg *\$" bpftool link show
check "links in JSON" shows "\"type\":\"unspec\",\"prog_id\":$msg" \
	bpftool -j link show
ghostctl destroy "$enclave"
check "nothing is left of a policy that has ended" \
	within 60 sh -c "! bpftool prog show id $sched"
check "no kernel report" kernel_is_clean

done_testing
