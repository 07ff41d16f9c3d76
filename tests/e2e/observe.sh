#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck disable=SC2016	# a script for the shells that it starts
#
# What ghostctl observe counts of one enclave, and what it says when it cannot.

if [ ! -e /sys/kernel/btf/vmlinux ]; then
	echo "1..0 # SKIP observers need BTF; e2e/nobtf looks at what is said"
	exit
fi
planned=25
. "$(dirname "$0")/tap.inc"

# observe ARGS...: what it prints goes to $tmp/seen, while somebody works.
observe()
{
	ghostctl observe "$@" >"$tmp/seen" 2>&1
	status=$?
	cat "$tmp/seen"
	return "$status"
}

# Sleeps and wakes up in enclave $1 until $tmp/stop is there.
work()
{
	rm -f "$tmp/stop"
	ghostctl run "$1" -- sh -c 'while [ ! -e "$0" ]; do
		read -r -t 0.01 _ <>"$1"
	done' "$tmp/stop" "$tmp/empty" >/dev/null 2>&1 &
	worker=$!
}

stop_work()
{
	touch "$tmp/stop"
	wait "$worker"
}

# row WORDS: a line with these words, and a number above 0 behind them.
row()
{
	grep -E "^  $1 +[1-9][0-9]* " "$tmp/seen"
}

# The histogram under the line $1 has a row.
histogram()
{
	sed -n "/^$1\$/,/^\$/p" "$tmp/seen" |
		grep -E '^ +[0-9]+ to +[0-9]+ us +[1-9][0-9]*'
}

# json KEY: is a number above 0, or an array or object with something in it.
json()
{
	grep -E "\"$1\":([1-9]|\{\"|\[\{)" "$tmp/seen"
}

# What a fixed time has shown may be nothing: look again until it is something.
sees()
{
	tries=10
	until observe "$@" && row TASK_WAKEUP && histogram 'from wake-up to run' &&
			histogram 'from idle to latch'; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || return 1
	done >/dev/null
}

sees_json()
{
	tries=10
	until observe "$@" --json && json messages && json wakeup_to_run_us; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || return 1
	done >/dev/null
}

narrow()
{
	! grep -E '^.{81}' "$tmp/seen"
}

mkfifo "$tmp/empty"
check "an agent in user space" start_agent fifo --cpus 1
fifo=$enclave fifo_agent=$agent
work "$fifo"
check "what happens there is seen" sees "$fifo" --seconds 2
check "it says how long it looked" grep -qE "^enclave $fifo, [0-9]+\.[0-9] s$" \
	"$tmp/seen"
check "tasks that block" row TASK_BLOCKED
check "tasks that get up" row TASK_WAKEUP
check "tasks that are picked" row tasks
check "by transactions" row 'commits COMPLETE'
check "80 columns are enough" narrow
check "in JSON, with the option in front" sees_json --seconds 2 "$fifo"
check "the number of the enclave" json id
check "messages that went into rings" json in_ring
check "commits" json commits
check "a bucket of a histogram" grep -qE \
	'"wakeup_to_run_us":\[\{"from":[0-9]+,"to":[0-9]+,"count":[1-9]' "$tmp/seen"

policy=ghost-biff
if command -v ghost-biff >/dev/null && [ "$cpus" -gt 2 ]; then
	check "another enclave, with a policy in BPF" start_agent biff --cpus 2
	check "where nothing happens nothing is seen" observe "$enclave" --seconds 2
	check "no task gets up there" sh -c "! grep TASK_WAKEUP '$tmp/seen'"
else
	for t in "another enclave, with a policy in BPF" \
		"where nothing happens nothing is seen" "no task gets up there"; do
		skip "$t" "needs 3 CPUs"
	done
fi
stop_work
kill "$fifo_agent"
within 60 enclave_gone "$fifo"

check "a policy in BPF" start_agent bpf --cpus 1
work "$enclave"
check "is seen, too" sees "$enclave" --seconds 2
check "messages of its CPU" row CPU_TICK
check "it makes no transactions" sh -c "! grep commits '$tmp/seen'"
stop_work

check "no such enclave" says "No such file" 1 ghostctl observe 77
check "no number" says "is not a number" 2 ghostctl observe 1 --seconds x
check "no privilege" says "be root" 1 \
	su nobody -s /bin/sh -c "ghostctl observe $enclave --seconds 1"
(
	sleep 1
	ghostctl destroy "$enclave"
) &
check "an enclave that is destroyed ends it" observe "$enclave" --seconds 1000
check "no kernel report" kernel_is_clean

done_testing
