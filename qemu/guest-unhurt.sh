#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# guest-unhurt.sh plain|loaded|idle|busy
#
# The guest side of scripts/unhurt.sh: runs the programs of
# /usr/lib/unhurt/list, lines "GROUP/NAME|SECONDS|COMMAND": on a kernel without
# enclaves (plain), there beside a load (loaded), beside an enclave without tasks
# (idle), or beside one with that load (busy). For the host it writes to
# $GHOST_RESULT:
#
#	start GROUP/NAME
#	result GROUP/NAME N RESULT TEXT   of its test N; 0 is its exit status
#	complaint GROUP/NAME TEXT         of the kernel or about the enclave
#	done GROUP/NAME

mode=$1
top=/usr/lib/unhurt
out=/tmp/test.out
policy=/tmp/policy.log
# shellcheck source=guest-limited.sh
. /usr/lib/ghost/limited

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

tell()
{
	echo "$*" >"$GHOST_RESULT"
}

is_ready()
{
	grep -q '^ready ' $policy
}

has_enclave()
{
	[ "$mode" = idle ] || [ "$mode" = busy ]
}

# Tasks that never rest, started by the command "$@".
load()
{
	for command in : "hackbench -g 1 -l 100" "demo-sleepers 20 1000"; do
		"$@" sh -c "while :; do $command; done" >/dev/null 2>&1 &
	done
}

start_enclave()
{
	enclave=$(ghostctl create --cpus 2-3) || exit
	ghost-fifo --enclave "$enclave" --stats 1 >$policy 2>&1 &
	agent=$!
	within 60 is_ready || { cat $policy; exit 1; }
}

# On the last two CPUs: some tests want CPU 0 or 1 for themselves. A test that
# uses up the memory is not to hit it. The load gives way to all others, as in the
# enclave.
start_neighbour()
{
	echo -1000 >/proc/self/oom_score_adj
	! has_enclave || start_enclave
	case $mode in
	loaded) load taskset c chrt --idle 0 ;;
	busy) load ghostctl run "$enclave" -- ;;
	esac
	echo 0 >/proc/self/oom_score_adj
}

# Its last second had commits when it is to be busy.
enclave_works()
{
	tail -n 1 $policy | grep -q '^stats .* commits/s=[1-9]'
}

# Prints what is wrong with the enclave.
enclave_trouble()
{
	if [ ! -d /sys/fs/ghost/enclave_"$enclave" ]; then
		echo "the enclave was destroyed: $(dmesg |
			sed -n 's/.*\(ghost.*destroyed.*\)/\1/p' | tail -n 1)"
	elif ! kill -0 "$agent"; then
		echo "the agent has ended: $(tail -n 1 $policy)"
	elif [ "$mode" = busy ] && ! within 60 enclave_works; then
		echo "the tasks of the enclave do not run any more"
	fi
}

# Prints "N RESULT TEXT" for each test that the program reports: once, as a fork
# copies lines that stdio has not written yet.
results()
{
	awk '
	# posix_timers ends no line before that
	/\.\.(not )?ok [0-9]/ { sub(/.*\.\./, "") }
	/^(not )?ok [0-9]/ && !seen[$0]++ {
		result = /^not/ ? "not-ok" : toupper($0) ~ /# *SKIP/ ? "skip" : "ok"
		sub(/^(not )?ok [0-9]+ *-? */, "")
		print ++n, result, substr($0, 1, 60)
	}
	/^stress-ng: fail:/ { print ++n, "not-ok", substr($0, 1, 60) }' $out
}

# What its exit status $1 says of a program that took $2 of $3 seconds.
status_word()
{
	case $1 in
	0) echo ok ;;
	3|4) echo skip ;;
	137) [ "$2" -lt "$3" ] && echo killed || echo too-long ;;
	*) echo "status-$1" ;;
	esac
}

no_scx()
{
	grep -qx disabled /sys/kernel/sched_ext/state
}

# complain NAME: tells what the kernel complained of since the last time, and
# of the enclave. Without that the guest is of no use: the host starts another.
complain()
{
	trouble=
	! has_enclave || trouble=$(enclave_trouble)
	dmesg -c >/tmp/dmesg
	if grep -E -f /usr/lib/ghost/complaints /tmp/dmesg >/tmp/complaints; then
		sed 's/^/    kernel: /' /tmp/dmesg
		while read -r line; do
			tell "complaint $1 ${line#*] }"
		done </tmp/complaints
	fi
	if [ -n "$trouble" ]; then
		tell "complaint $1 $trouble"
		echo "    $trouble"
		ghostctl exits
		poweroff -f
	fi
}

# cgroup/test_cpu takes "cpuset" for "cpu"
echo '+cpuset +cpu +pids' >/sys/fs/cgroup/cgroup.subtree_control
start_neighbour
complain boot/"$mode"
total=$(wc -l <$top/list)
number=0
while IFS='|' read -r name limit command <&3; do
	number=$((number + 1))
	tell "start $name"
	mkdir -p $top/"${name%/*}"
	cd $top/"${name%/*}" || exit
	begin=$(date +%s)
	# cs_prctl_test must not lead the session: the shell is to stay
	run_limited "$limit" sh -c "$command; exit \$?"
	status=$?
	took=$(($(date +%s) - begin))
	# They may have left their sessions
	killall -q -9 stress-ng
	within 60 no_scx || echo "    sched_ext is still on"

	results >/tmp/results
	word=$(status_word $status $took "$limit")
	printf '%-7s %-50s %-9s %4d s\n' "$number/$total" "$name" "$word" "$took"
	if [ "$word" != ok ] || grep -q '^[0-9]* not-ok' /tmp/results; then
		tail -n 40 $out | cut -c 1-200 | sed 's/^/    /'
	fi
	tell "result $name 0 $word"
	while read -r line; do
		tell "result $name $line"
	done </tmp/results
	complain "$name"
	tell "done $name"
done 3<$top/list
! has_enclave || awk '
	/^stats / && match($0, /commits\/s=[0-9]+/) {
		seconds++
		commits += rate = substr($0, RSTART + 10, RLENGTH - 10)
		busy += rate > 0
	}
	END { printf "enclave: %d commits, in %d of %d seconds\n", commits, busy,
		seconds }' $policy
