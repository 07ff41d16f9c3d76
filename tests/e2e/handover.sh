#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck disable=SC2016	# a script for the shells that it starts
#
# A successor takes the enclave over while its tasks run; two enclaves at once.

planned=14
. "$(dirname "$0")/tap.inc"

# Works, sleeps, and counts its rounds in $1 until $2 appears.
worker='n=0
while [ ! -e $2 ]; do
	i=0
	while [ $i -lt 50 ]; do i=$((i + 1)); done
	sleep 0.01
	n=$((n + 1))
	echo $n >$1
done
echo done >$1'

# Every worker of $1 gets further than it was.
all_progress()
{
	for w in "$tmp/$1".[0-9]; do
		cp "$w" "$w.old"
	done
	for w in "$tmp/$1".[0-9]; do
		within 10 sh -c "! cmp -s $w $w.old" || {
			echo "$w stands still at $(cat "$w")"
			return 1
		}
	done
}

start_workers()
{
	for i in 1 2 3 4 5 6; do
		echo 0 >"$tmp/$1.$i"
		ghostctl run "$2" -- sh -c "$worker" sh "$tmp/$1.$i" \
			"$tmp/$1.stop" &
		workers="$workers $!"
	done
}

all_done()
{
	for w in "$tmp/$1".[0-9]; do
		[ "$(cat "$w")" = "done" ] || {
			echo "$w: $(cat "$w")"
			return 1
		}
	done
}

process_gone()
{
	! kill -0 "$1" 2>/dev/null || grep -q '^State:.Z' "/proc/$1/status"
}

workers=
check "an enclave" sh -c "ghostctl create --cpus $cpu >$tmp/id"
id=$(cat "$tmp/id")
check "first agent joins it" start_agent first --enclave "$id"
first=$agent
start_workers w "$id"
check "tasks run" all_progress w

check "successor takes over" start_agent second --take-over "$id"
check "the first agent has gone" within 20 process_gone "$first"
check "it says how it went" within 10 grep -Eq \
	"^handoff enclave=$id gap_us=[0-9]+ tasks=[0-9]+ longest_wait_us=[0-9]+" \
	"$tmp/second.log"
check "no task was lost" all_progress w
check "and once more" start_agent third --take-over "$id"
check "still none was lost" all_progress w

if [ "$cpus" -ge 3 ]; then
	check "a second enclave beside it" start_agent other --cpus 2
	start_workers v "$enclave"
	check "tasks of both run" all_progress v
	check "the first enclave goes on" all_progress w
else
	skip "a second enclave beside it" "needs 3 CPUs"
	skip "tasks of both run" "needs 3 CPUs"
	skip "the first enclave goes on" "needs 3 CPUs"
fi

touch "$tmp/w.stop" "$tmp/v.stop"
for w in $workers; do
	wait "$w"
done
check "every worker finished" all_done w
check "no kernel report" kernel_is_clean

done_testing
