#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck disable=SC2016	# a script for the shells that it starts
#
# Each policy in BPF runs real programs to the end with nobody starved, goes on
# when its process or its programs change under load, and loses no task when it
# has no room for it.

policies="biff prio eevdf-bpf toy hybrid"
tests_each=25

built=
for p in $policies; do
	! command -v "ghost-$p" >/dev/null || built="$built $p"
done
if [ -z "$built" ]; then
	echo "1..0 # SKIP built without libbpf or bpftool: no policy in BPF"
	exit 0
fi
# shellcheck disable=SC2086
set -- $built
planned=$(($# * tests_each + 1))
. "$(dirname "$0")/tap.inc"

last=$((cpus - 1))

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

# Every worker of $1 gets further than it was.
all_progress()
{
	for w in "$tmp/$1".[0-9]; do
		cp "$w" "$w.old"
	done
	for w in "$tmp/$1".[0-9]; do
		within 20 sh -c "! cmp -s $w $w.old" || {
			echo "$w stands still at $(cat "$w")"
			return 1
		}
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

# Stop the agent in order and wait until it has said how it went.
stop_agent()
{
	kill "$agent" && within 20 grep -q '^total ' "$1" && wait "$agent"
}

# The program in a slot of the enclave changes from $1 to another one.
program()
{
	sed -n "s/^$1 prog \([0-9]*\).*/\1/p" "/sys/fs/ghost/enclave_$enclave/bpf"
}

is_new_program()
{
	[ "$(program sched)" -ne 0 ] && [ "$(program sched)" -ne "$1" ]
}

# The watchdog ends the enclave when a task waits so long: then the agent is
# killed, and does not exit with 0.
run_policy()
{
	p=$1
	policy=ghost-$p

	check "$p: creates its enclave" \
		start_agent "$p" --cpus "1-$last" --timeout 20000
	check "$p: hackbench, processes and pipes, ends" \
		ghostctl run "$enclave" -- hackbench -g 1 -f 5 -l 20
	check "$p: hackbench, threads and sockets, ends" \
		ghostctl run "$enclave" -- hackbench -T -s 100 -g 1 -f 5 -l 20
	: >"$tmp/$p.computed"
	check "$p: more computing tasks than CPUs end" ghostctl run "$enclave" -- \
		sh -c "$computers" sh "$tmp/$p.computed" 12
	check "$p: every one of them" lines "$tmp/$p.computed" 12
	check "$p: stress-ng with yields, switches and affinities ends" \
		ghostctl run "$enclave" -- stress-ng --quiet --yield 2 \
		--switch 2 --affinity 2 --affinity-rand --timeout 4
	: >"$tmp/$p.pinned"
	check "$p: tasks of one CPU among others end" ghostctl run "$enclave" -- \
		sh -c "taskset -p 0x2 \$\$ >/dev/null; $computers" sh \
		"$tmp/$p.pinned" 6
	check "$p: every one of them" lines "$tmp/$p.pinned" 6
	check "$p: none is left in the enclave" within 10 members "$enclave" -eq 0
	check "$p: nobody was starved" stop_agent "$tmp/$p.log"
	echo "# $p: $(number "$p" picks) picks, longest wait $(number "$p" max_wait_us) us"

	check "$p: with room for 4 tasks" \
		start_agent "$p.small" --cpus "1-$last" --max-tasks 4
	: >"$tmp/$p.crowd"
	check "$p: 12 end" ghostctl run "$enclave" -- \
		sh -c "$computers" sh "$tmp/$p.crowd" 12
	check "$p: every one of them" lines "$tmp/$p.crowd" 12
	check "$p: it stops in order" stop_agent "$tmp/$p.small.log"
	check "$p: some were given back" \
		[ "$(number "$p.small" released)" -gt 0 ]

	enclave=$(ghostctl create --cpus "1-$last")
	check "$p: joins an enclave" start_agent "$p.1" --enclave "$enclave"
	for i in 1 2 3 4 5 6; do
		echo 0 >"$tmp/$p.w.$i"
		ghostctl run "$enclave" -- sh -c "$worker" sh "$tmp/$p.w.$i" \
			"$tmp/$p.stop" &
		workers="$workers $!"
	done
	check "$p: tasks run" all_progress "$p.w"
	old=$(program sched)
	check "$p: a successor inherits what it knew" \
		start_agent "$p.2" --take-over "$enclave"
	check "$p: its programs were replaced" is_new_program "$old"
	check "$p: no task was lost" all_progress "$p.w"
	old=$(program sched)
	check "$p: the next one does not inherit" \
		start_agent "$p.3" --take-over "$enclave" --fresh
	check "$p: still none was lost" all_progress "$p.w"
	kill -9 "$agent"
	within 10 grep -q 0 "/sys/fs/ghost/enclave_$enclave/agent_online"
	check "$p: one goes on where the last was killed" \
		start_agent "$p.4" --enclave "$enclave"
	check "$p: and none was lost" all_progress "$p.w"
	ghostctl destroy "$enclave"
	touch "$tmp/$p.stop"
	for w in $workers; do
		wait "$w"
	done
	workers=
	check "$p: destroyed under load, every worker finishes" all_done "$p.w"
}

workers=
for p in "$@"; do
	run_policy "$p"
done
check "no kernel report" kernel_is_clean
rm -rf /sys/fs/bpf/ghost

done_testing
