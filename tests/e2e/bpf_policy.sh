#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck disable=SC2016	# a script for the shells that it starts
#
# A policy in BPF runs real programs to the end with nobody starved, goes on when
# its process or its programs change under load, and loses no task when it has no
# room for it. The Makefile makes a program of it for each policy.

planned=42
. "$(dirname "$0")/tap.inc"

policy=ghost-@POLICY@
last=$((cpus - 1))
everywhere=$(printf '0x%x' $(((1 << cpus) - 2)))
crowd=

# Works, sleeps, and counts its rounds in $1 until $2 appears. It does not fork,
# which fails in an enclave that is being destroyed; $3 is a FIFO, always empty.
# Without it, it does not sleep. $4 is how much it works.
worker='n=0
while [ ! -e $2 ]; do
	i=0
	while [ $i -lt ${4:-50} ]; do i=$((i + 1)); done
	[ -z "$3" ] || read -r -t 0.05 _ <>$3
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

# Rounds that a worker has written to $1, which it empties each time.
rounds()
{
	until grep -m 1 . "$1"; do
		sleep 0.01
	done
}

# A worker has written more than $2 rounds to $1.
has_rounds()
{
	[ "$(rounds "$1")" -gt "$2" ]
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
	starved=0
	within 60 has_rounds "$tmp/nice.0" 0 || starved=1
	at=$(rounds "$tmp/nice.0")
	nice_at=$(rounds "$tmp/nice.19")
	sleep 3
	ours=$(($(rounds "$tmp/nice.0") - at))
	theirs=$(($(rounds "$tmp/nice.19") - nice_at))
	within 60 has_rounds "$tmp/nice.19" "$nice_at" || starved=1
	touch "$tmp/nice.stop"
	for w in $nice_workers; do
		wait "$w"
	done
	echo "nice 0: $ours rounds, nice 19: $theirs"
	[ "$ours" -gt $((4 * theirs)) ] && [ "$starved" -eq 0 ]
}

# crowd NAME CPUS FIFO N...: a worker for each N in the enclave, with its rounds in
# the file NAME.N; they end when NAME.stop is there. Those with a FIFO sleep most of
# the time. Sets $crowd to their PIDs.
crowd()
{
	group=$1
	on=$2
	fifo=$3
	work=${3:+1}
	shift 3
	for n; do
		echo 0 >"$tmp/$group.$n"
		ghostctl run "$enclave" -- taskset "$on" sh -c "$worker" sh \
			"$tmp/$group.$n" "$tmp/$group.stop" "$fifo" "$work" &
		crowd="$crowd $!"
	done
}

disperse()
{
	touch "$tmp/$1.stop"
	for w in $crowd; do
		wait "$w"
	done
	crowd=
}

# For how long each of two processes has waited for a CPU, in ns, and how often it was
# given one.
waits()
{
	for w; do
		cut -d ' ' -f 2,3 "/proc/$w/schedstat"
	done
}

# Who sleeps most of the time does not wait for those that compute, as these wait for
# each other. It is all measured at once: what slows the machine down slows them all.
sleeper_goes_first()
{
	crowd plan 0x2 "$tmp/empty" sleeper
	crowd plan 0x2 "" 1 2 3 4
	starved=0
	for n in sleeper 1 2 3 4; do
		within 60 has_rounds "$tmp/plan.$n" 0 || starved=1
	done
	# shellcheck disable=SC2086	# a PID a word
	set -- $crowd
	sleeper=$1
	computer=$2
	for _ in 1 2 3; do
		# shellcheck disable=SC2046	# a number a word
		set -- $(waits "$sleeper" "$computer")
		sleep 3
		# shellcheck disable=SC2046
		set -- "$@" $(waits "$sleeper" "$computer")
		its=$((($5 - $1) / ($6 - $2 + 1) / 1000))
		theirs=$((($7 - $3) / ($8 - $4 + 1) / 1000))
		[ $((2 * its)) -lt "$theirs" ] && break
	done
	disperse plan
	echo "waits of $its us in $(($6 - $2)) turns, who computes: $theirs in $(($8 - $4))"
	[ "$starved" -eq 0 ] && [ "$(($6 - $2))" -gt 10 ] && [ "$(($8 - $4))" -gt 0 ] &&
		[ $((2 * its)) -lt "$theirs" ]
}

# The CPU that a process was last on.
cpu_of()
{
	awk '{ print $39 }' "/proc/$1/stat"
}

all_apart()
{
	for w in $crowd; do
		cpu_of "$w"
	done | sort -u | wc -l | grep -qx "$last"
}

# As many that compute as there are CPUs have one each.
spreads()
{
	# shellcheck disable=SC2046	# a name a word
	crowd spread "$everywhere" "" $(seq 1 "$last")
	within 30 all_apart
	apart=$?
	for w in $crowd; do
		echo "$w on CPU $(cpu_of "$w")"
	done
	disperse spread
	return "$apart"
}

# Who sleeps and wakes up beside such that compute is mostly on the idle CPU.
mostly_idle_cpu()
{
	there=0
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		sleep 0.05
		[ "$(cpu_of "$sleeper")" -ne "$last" ] || there=$((there + 1))
	done
	echo "$there of 20 times on the idle CPU"
	[ "$there" -gt 10 ]
}

places()
{
	for n in $(seq 1 $((last - 1))); do
		crowd place "$(printf '0x%x' $((1 << n)))" "" "$n"
	done
	crowd place "$everywhere" "$tmp/empty" sleeper
	sleeper=${crowd##* }
	within 10 mostly_idle_cpu
	found=$?
	disperse place
	return "$found"
}

# Lines of statistics, of which the last has $1.
tells()
{
	[ "$(grep -c '^stats ' "$log")" -gt 3 ] &&
		grep '^stats ' "$log" | tail -n 1 | grep -E "$1"
}

# In no second so far has a message, or a tick, gone to the ring.
keeps_messages()
{
	[ "$(grep -c '^stats ' "$log")" -gt 3 ] &&
		! grep '^stats ' "$log" | grep -v ' passed/s=0 '
}

# What it says then is in nobtf.sh
if [ "$policy" = ghost-prio ] && [ ! -e /sys/kernel/btf/vmlinux ]; then
	while [ "$tap_n" -lt "$planned" ]; do
		skip "trees" "a kernel without BTF"
	done
	done_testing
fi

mkfifo "$tmp/empty"
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
check "no message has come to the process" keeps_messages
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
case $policy in
ghost-hybrid)
	check "who sleeps goes first, by the plan" sleeper_goes_first
	echo "# counted: waits of $its us, of who computes $theirs us" ;;
*) skip "who sleeps goes first, by the plan" "there is no plan" ;;
esac
check "as many as there are CPUs have one each" spreads
if [ "$last" -eq 1 ]; then
	skip "who wakes up is given the idle CPU" "needs a third CPU"
elif [ "$policy" = ghost-toy ]; then
	skip "who wakes up is given the idle CPU" "whoever asks first has the task"
else
	check "who wakes up is given the idle CPU" places
fi
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
