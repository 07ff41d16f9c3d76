#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck disable=SC2016	# a script for the shells that it starts
#
# A policy in BPF runs real programs to the end with nobody starved, goes on when
# its process or its programs change under load, and loses no task when it has no
# room for it. The Makefile makes a program of it for each policy.

planned=38
. "$(dirname "$0")/tap.inc"

policy=ghost-@POLICY@
last=$((cpus - 1))

# Works, sleeps, and counts its rounds in $1 until $2 appears. It does not fork,
# which fails in an enclave that is being destroyed; $3 is a FIFO, always empty.
# Without it, it does not sleep.
worker='n=0
while [ ! -e $2 ]; do
	i=0
	while [ $i -lt 50 ]; do i=$((i + 1)); done
	[ -z "$3" ] || read -r -t 0.01 _ <>$3
	n=$((n + 1))
	echo $n >$1
done
echo done >$1'

# $2 processes that only compute and leave a line each in $1.
computers='i=0
while [ $i -lt $2 ]; do
	i=$((i + 1))
	(
		n=0
		while [ $n -lt 3000 ]; do n=$((n + 1)); done
		echo $i >>$1
	) &
done
wait'

# Has each of the masks $2... in turn, and leaves a line in $1. None may be of CPUs
# outside as well: who is given back to the normal scheduler takes CPUs from those
# that are not.
mover='out=$1
shift
i=0
while [ $i -lt 10 ]; do
	for mask; do
		taskset -p $mask $$ >/dev/null
	done
	i=$((i + 1))
done
echo $$ >>$out'

# Each CPU of the enclave, and all of them, by turns.
masks()
{
	for c in $(seq 1 "$last"); do
		printf '0x%x 0x%x ' $((1 << c)) $(((1 << cpus) - 2))
	done
}

lines()
{
	[ "$(wc -l <"$1")" -eq "$2" ]
}

members()
{
	test "$(wc -l <"/sys/fs/ghost/enclave_$1/tasks")" "$2" "$3"
}

# number NAME KEY: of the line "total" of the log NAME.
number()
{
	sed -n "s/^total .* $2=\([0-9]*\).*/\1/p" "$tmp/$1.log"
}

# Every worker gets further than it was.
all_progress()
{
	for w in "$tmp"/w.[0-9]; do
		cp "$w" "$w.old"
	done
	for w in "$tmp"/w.[0-9]; do
		within 60 sh -c "! cmp -s $w $w.old" || {
			echo "$w stands still at $(cat "$w")"
			return 1
		}
	done
}

all_done()
{
	for w in "$tmp"/w.[0-9]; do
		[ "$(cat "$w")" = "done" ] || {
			echo "$w: $(cat "$w")"
			return 1
		}
	done
}

# Stop the agent in order and wait until it has said how it went.
stop_agent()
{
	kill "$agent" && within 60 grep -q '^total ' "$1" && wait "$agent"
}

gave_none_back()
{
	within 60 grep -q '^total ' "$tmp/$1.log" && [ "$(number "$1" released)" -eq 0 ]
}

# The program that picks.
program()
{
	sed -n 's/^sched prog \([0-9]*\).*/\1/p' "/sys/fs/ghost/enclave_$enclave/bpf"
}

# It was $1, and is another one, which had inherited=$2.
replaced()
{
	now=$(program)
	[ "$now" -ne 0 ] && [ "$now" -ne "$1" ] &&
		grep -q "^handoff .*inherited=$2" "$log"
}

# Rounds that the worker with nice value $1 has done; its file is written anew.
rounds()
{
	until grep -m 1 . "$tmp/nice.$1"; do
		sleep 0.01
	done
}

has_rounds()
{
	[ "$(rounds "$1")" -gt 0 ]
}

# Of two that compute on one CPU, who is nice gets less than a fourth of the other,
# but does get on.
nice_gives_way()
{
	nice_workers=
	for n in 19 0; do
		echo 0 >"$tmp/nice.$n"
		ghostctl run "$enclave" -- taskset 0x2 \
			sh -c "renice -n $n -p \$\$ >/dev/null; $worker" sh \
			"$tmp/nice.$n" "$tmp/nice.stop" &
		nice_workers="$nice_workers $!"
	done
	sleep 3
	ours=$(rounds 0)
	theirs=$(rounds 19)
	starved=0
	within 60 has_rounds 19 || starved=1
	touch "$tmp/nice.stop"
	for w in $nice_workers; do
		wait "$w"
	done
	echo "nice 0: $ours rounds, nice 19: $theirs"
	[ "$ours" -gt $((4 * theirs)) ] && [ "$starved" -eq 0 ]
}

# Lines of statistics, of which the last has $1.
tells()
{
	[ "$(grep -c '^stats ' "$log")" -gt 3 ] &&
		grep '^stats ' "$log" | tail -n 1 | grep -E "$1"
}

# What it says then is in nobtf.sh
if [ "$policy" = ghost-prio ] && [ ! -e /sys/kernel/btf/vmlinux ]; then
	while [ "$tap_n" -lt "$planned" ]; do
		skip "trees" "a kernel without BTF"
	done
	done_testing
fi

# The watchdog ends the enclave when a task waits so long: then the agent is
# killed, and does not exit with 0.
check "creates its enclave" \
	start_agent all --cpus "1-$last" --timeout 20000 --stats 1
check "hackbench, processes and pipes, ends" \
	ghostctl run "$enclave" -- hackbench -g 1 -f 5 -l 20
check "hackbench, threads and sockets, ends" \
	ghostctl run "$enclave" -- hackbench -T -s 100 -g 1 -f 5 -l 20
: >"$tmp/computed"
check "more computing tasks than CPUs end" ghostctl run "$enclave" -- \
	sh -c "$computers" sh "$tmp/computed" 12
check "every computing task has ended" lines "$tmp/computed" 12
check "stress-ng with yields and switches ends" \
	ghostctl run "$enclave" -- stress-ng --quiet --yield 2 \
	--switch 2 --timeout 4
: >"$tmp/moved"
# shellcheck disable=SC2046	# a mask a word
check "tasks that change their affinity end" \
	ghostctl run "$enclave" -- sh -c '
		for i in 1 2 3 4; do sh -c "$0" sh "$@" & done
		wait' "$mover" "$tmp/moved" $(masks)
check "every one that did has ended" lines "$tmp/moved" 4
: >"$tmp/left"
check "one that leaves the CPUs of the enclave ends" \
	ghostctl run "$enclave" -- sh -c "$mover" sh "$tmp/left" 0x1
check "it has ended, too" lines "$tmp/left" 1
: >"$tmp/pinned"
check "tasks of one CPU among others end" ghostctl run "$enclave" -- \
	sh -c "taskset -p 0x2 \$\$ >/dev/null; $computers" sh \
	"$tmp/pinned" 6
check "every task of one CPU has ended" lines "$tmp/pinned" 6
case $policy in
ghost-prio|ghost-eevdf-bpf) check "who is nice gives way" nice_gives_way ;;
*) skip "who is nice gives way" "nice is nothing to this policy" ;;
esac
check "it tells once a second how it goes" \
	tells ' msgs/s=[0-9]+ picks/s=[0-9]+ preempts/s=[0-9]+ kicks/s=[0-9]+ '
case $policy in
ghost-toy) check "and who has queued" tells \
	' user=[1-9][0-9]* kernel=[0-9]+ full=[0-9]+ failed=[0-9]+' ;;
*) check "and of waits" tells ' wait_us=[0-9]+ max_wait_us=[0-9]+' ;;
esac
check "none is left in the enclave" within 60 members "$enclave" -eq 0
check "nobody was starved" stop_agent "$tmp/all.log"
check "who left was given back" [ "$(number all released)" -gt 0 ]
echo "# counted: $(number all picks) picks, longest wait $(number all max_wait_us) us"

check "with room for 4 tasks" \
	start_agent small --cpus "1-$last" --max-tasks 4
: >"$tmp/crowd"
check "12 of them end" ghostctl run "$enclave" -- \
	sh -c "$computers" sh "$tmp/crowd" 12
check "each of the 12 has ended" lines "$tmp/crowd" 12
check "it stops in order" stop_agent "$tmp/small.log"
check "some were given back" \
	[ "$(number small released)" -gt 0 ]

workers=
mkfifo "$tmp/empty"
enclave=$(ghostctl create --cpus "1-$last")
check "joins an enclave" start_agent 1 --enclave "$enclave"
for i in 1 2 3 4 5 6; do
	echo 0 >"$tmp/w.$i"
	ghostctl run "$enclave" -- sh -c "$worker" sh "$tmp/w.$i" \
		"$tmp/stop" "$tmp/empty" &
	workers="$workers $!"
done
# Some wait at any time, and there is no news of those.
for i in 7 8 9; do
	echo 0 >"$tmp/w.$i"
	ghostctl run "$enclave" -- taskset 0x2 sh -c "$worker" sh \
		"$tmp/w.$i" "$tmp/stop" &
	workers="$workers $!"
done
check "tasks run" all_progress
old=$(program)
check "a successor takes over" start_agent 2 --take-over "$enclave"
check "its programs go on with what is known" replaced "$old" 1
check "no task was lost" all_progress
old=$(program)
check "one takes over afresh" start_agent 3 --take-over "$enclave" --fresh
check "its programs begin anew" replaced "$old" 0
check "its predecessor gave none back" gave_none_back 2
check "still none was lost" all_progress
kill -9 "$agent"
within 60 grep -q 0 "/sys/fs/ghost/enclave_$enclave/agent_online"
check "one goes on where the last was killed" \
	start_agent 4 --enclave "$enclave"
check "and none was lost" all_progress
ghostctl destroy "$enclave"
touch "$tmp/stop"
for w in $workers; do
	wait "$w"
done
check "destroyed under load, every worker finishes" all_done

# What frees its maps is looked at by a kernel that checks preemption, but not on
# workers that have one CPU, as the runner wants it.
mask=$(cat /sys/devices/virtual/workqueue/cpumask)
echo 3 >/sys/devices/virtual/workqueue/cpumask
check "starts once more" start_agent last --cpus "1-$last"
ghostctl run "$enclave" -- sleep 0.1
check "and ends" stop_agent "$tmp/last.log"
sleep 3
echo "$mask" >/sys/devices/virtual/workqueue/cpumask
check "no kernel report" kernel_is_clean
rm -rf /sys/fs/bpf/ghost

done_testing
