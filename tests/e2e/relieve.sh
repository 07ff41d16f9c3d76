#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck disable=SC2016	# a script for the shell that it starts
#
# A normal thread that keeps one CPU of an enclave, as any user may start, costs the
# tasks that CPU and no more: they go on on another, and the limit is not reached.

planned=7
. "$(dirname "$0")/tap.inc"

if [ "$cpus" -lt 3 ]; then
	for _ in 1 2 3 4 5 6 7; do
		skip "a CPU that is taken" "3 CPUs are needed"
	done
	done_testing
fi

# Works for ever, and counts its rounds in $1.
worker='n=0; while :; do n=$((n + 1)); echo $n >$1; done'

progress()
{
	for w in 1 2 3 4; do
		cp "$tmp/w.$w" "$tmp/w.$w.old"
	done
	for w in 1 2 3 4; do
		within 15 sh -c "! cmp -s $tmp/w.$w $tmp/w.$w.old" || {
			echo "worker $w stands still"
			return 1
		}
	done
}

three_times()
{
	progress && progress && progress
}

check "a policy for two CPUs" start_agent fifo --cpus 1-2 --timeout 8000
for w in 1 2 3 4; do
	echo 0 >"$tmp/w.$w"
	ghostctl run "$enclave" -- sh -c "$worker" sh "$tmp/w.$w" 2>/dev/null &
	agents="$agents $!"
done
check "its tasks run" progress
taskset -c 1 sh -c 'while :; do :; done' &
agents="$agents $!"
check "they do when a thread keeps one CPU" three_times
sleep 10
check "nobody reaches the limit" test -e "/sys/fs/ghost/enclave_$enclave"
check "they go on" three_times
check "the policy says so" \
	grep -q "moved to other CPUs" "$tmp/fifo.log"
check "no kernel report" kernel_is_clean

done_testing
