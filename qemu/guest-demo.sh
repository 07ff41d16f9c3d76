#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# What `make demo` shows, in the guest. Ends in a table of what was shown, each
# line ok or FAILED, and in a status that says the same.

fs=/sys/fs/ghost
tmp=/tmp/demo
table=$tmp/table
mkdir -p $tmp
: >$table

step()
{
	printf '\n== %s\n' "$*"
}

# check TEXT COMMAND...: a line of the table, ok when COMMAND succeeds.
check()
{
	text=$1
	shift
	if "$@"; then
		verdict=ok
	else
		verdict=FAILED
	fi
	echo "$verdict: $text"
	printf '  %-64s %s\n' "$text" $verdict >>$table
}

# within SECS COMMAND...: waits until COMMAND succeeds.
within()
{
	tries=$(($1 * 5))
	shift
	until "$@"; do
		[ $tries -gt 0 ] || return 1
		tries=$((tries - 1))
		sleep 0.2
	done
}

says()
{
	grep -q "$1" "$2" 2>/dev/null
}

# agent NAME OPTION...: starts a FIFO agent; its pid is in $agent_pid.
agent()
{
	log=$tmp/$1.log
	shift
	echo "\$ ghost-fifo $* &"
	ghost-fifo "$@" >"$log" 2>&1 &
	agent_pid=$!
	within 10 says '^ready ' "$log" || {
		echo "the agent did not get ready:"
		cat "$log"
		return 1
	}
	grep '^ready ' "$log"
}

# launch NAME ENCLAVE COMMAND...: runs COMMAND in the enclave in the background.
launch()
{
	name=$1
	enclave=$2
	shift 2
	echo "\$ ghostctl run $enclave -- $* &"
	(
		ghostctl run "$enclave" -- "$@" >$tmp/"$name".out 2>&1
		echo $? >$tmp/"$name".status
	) &
}

# finished NAME...: the programs have ended, all with status 0.
finished()
{
	for name; do
		[ "$(cat $tmp/"$name".status 2>/dev/null)" = 0 ] || return 1
	done
}

wait_finished()
{
	within 60 finished "$@" && return
	for name; do
		finished "$name" && continue
		echo "$name: status '$(cat $tmp/"$name".status 2>/dev/null)', its last words:"
		tail -n 5 $tmp/"$name".out
	done
	return 1
}

# members ENCLAVE COUNT: at least COUNT tasks are in the enclave.
members()
{
	[ "$(wc -l <$fs/enclave_"$1"/tasks)" -ge "$2" ]
}

gone()
{
	[ ! -e $fs/enclave_"$1" ]
}

# Prints the scheduling policy of thread $1, nothing when it has ended.
policy()
{
	sed 's/.*) //' /proc/"$1"/stat 2>/dev/null | cut -d' ' -f39
}

# on_policy N TID...: how many of the threads have policy N.
on_policy()
{
	want=$1
	shift
	count=0
	for tid; do
		[ "$(policy "$tid")" != "$want" ] || count=$((count + 1))
	done
	echo $count
}

# scheduled LOG: the last statistics show messages and commits.
scheduled()
{
	grep -Eq '^stats .*msgs/s=[1-9].* commits/s=[1-9]' "$1"
}

all()
{
	for word; do
		[ "$word" = 0 ] || return 1
	done
}

step "1. The kernel"
echo "Linux $(uname -r), $(nproc) CPUs, SCHED_GHOST ABI:" \
	"$(tr '\n' ' ' <$fs/version)"
check "kernel with SCHED_GHOST booted on 4 CPUs" \
	test "$(tail -n 1 $fs/version):$(nproc)" = 91:4

step "2. Two enclaves side by side, an agent process each"
one=$(ghostctl create --cpus 1-2)
two=$(ghostctl create --cpus 3 --timeout 3000)
# So that its tasks wait when the agent is gone, and the timeout acts.
ghostctl set "$two" fallback 0
agent one --enclave "$one" --stats 1
ready_one=$?
agent_one=$agent_pid
agent two --enclave "$two" --stats 1
ready_two=$?
agent_two=$agent_pid
ghostctl list
check "two enclaves, CPUs 1-2 and CPU 3, each with its own agent" \
	all $ready_one $ready_two

step "3. Real programs in them"
cat >$tmp/again <<'END'
#!/bin/sh
while [ ! -e /tmp/demo/stop ]; do
	"$@" || exit
done
END
chmod +x $tmp/again
launch hackbench "$one" $tmp/again hackbench -g 1 -l 100
launch sleepers "$one" $tmp/again demo-sleepers 60 50
launch stress-ng "$two" stress-ng --switch 1 --pipe 1 --timeout 8
check "hackbench and 60 sleeping threads are tasks of enclave $one" \
	within 10 members "$one" 61
check "stress-ng is tasks of enclave $two" within 10 members "$two" 3

step "4. What happens in them"
for _ in 1 2 3 4; do
	sleep 1
	tail -qn 1 $tmp/one.log $tmp/two.log
done
check "messages and commits in enclave $one" scheduled $tmp/one.log
check "messages and commits in enclave $two" scheduled $tmp/two.log

step "5. Handoff of enclave $one, under load, to a new agent process"
agent successor --take-over "$one" --stats 1
successor=$agent_pid
wait "$agent_one"
left=$?
check "the old agent left in order" test $left -eq 0
check "the new agent took over" within 10 says '^handoff ' $tmp/successor.log
sed -n 's/^handoff .*gap_us=\([0-9]*\) tasks=\([0-9]*\) longest_wait_us=\([0-9]*\).*/\1 \3 \2/p' \
	$tmp/successor.log | {
	read -r gap longest tasks
	echo "without an agent:        $gap us"
	echo "longest wait of a task:  $longest us"
	echo "tasks taken over:        $tasks"
}
sleep 2
tail -n 1 $tmp/successor.log
check "the new agent schedules" scheduled $tmp/successor.log
touch $tmp/stop
check "no task was lost: all programs finished their work" \
	wait_finished hackbench sleepers stress-ng
echo "finished: $(grep -c ^Time: $tmp/hackbench.out) runs of hackbench," \
	"$(grep -c 'rounds done' $tmp/sleepers.out) of 60 sleepers, 1 of stress-ng"

step "6. The agent of enclave $two is killed; the runnable timeout (3 s) acts"
launch orphans "$two" demo-sleepers 40 700
within 10 members "$two" 41
tids=$(cat $fs/enclave_"$two"/tasks)
kill -9 "$agent_two"
# shellcheck disable=SC2086
echo "agent killed; $(on_policy 18 $tids) threads are on SCHED_GHOST"
check "killed agent: the runnable timeout destroyed the enclave" \
	within 15 gone "$two"
# shellcheck disable=SC2086
echo "now $(on_policy 18 $tids) threads are on SCHED_GHOST," \
	"$(on_policy 0 $tids) on CFS; the kernel said:"
dmesg | grep -i ghost | tail -n 2
check "killed agent: its tasks finished on CFS" wait_finished orphans
cat $tmp/orphans.out

step "6. The same; this time its owner destroys the enclave"
two=$(ghostctl create --cpus 3)
agent two --enclave "$two"
launch orphans2 "$two" demo-sleepers 40 700
within 10 members "$two" 41
tids=$(cat $fs/enclave_"$two"/tasks)
kill -9 "$agent_pid"
# shellcheck disable=SC2086
echo "agent killed; $(on_policy 18 $tids) threads are on SCHED_GHOST"
echo "\$ ghostctl destroy $two"
ghostctl destroy "$two"
check "killed agent: ghostctl destroyed the enclave" within 5 gone "$two"
# shellcheck disable=SC2086
echo "now $(on_policy 18 $tids) threads are on SCHED_GHOST," \
	"$(on_policy 0 $tids) on CFS"
check "killed agent: its tasks finished on CFS" wait_finished orphans2
cat $tmp/orphans2.out

kill "$successor"
wait "$successor"
ghostctl destroy "$one"
check "all is cleaned up" within 5 gone "$one"

step "7. What was shown"
cat $table
! grep -q FAILED $table
