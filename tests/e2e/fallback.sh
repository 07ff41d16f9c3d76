#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck disable=SC2016	# a script for the shells that it starts
#
# Tasks go on while their agent is dead or stopped, and come back to the next. The
# policy is that of the name: the Makefile has fallback-NAME for ghost-NAME.

planned=14
. "$(dirname "$0")/tap.inc"

case $0 in
*/fallback-*) policy=ghost-${0##*/fallback-} ;;
esac

# Works, sleeps, and counts its rounds in $1 until $2 appears.
worker='n=0
while [ ! -e $2 ]; do
	i=0
	while [ $i -lt 50 ]; do i=$((i + 1)); done
	[ $((n % 2)) -eq 0 ] || sleep 0.01
	n=$((n + 1))
	echo $n >$1
done
echo done >$1'

all_progress()
{
	for w in "$tmp"/w.[0-9]; do
		cp "$w" "$w.old"
	done
	for w in "$tmp"/w.[0-9]; do
		within 10 sh -c "! cmp -s $w $w.old" || {
			echo "$w stands still at $(cat "$w")"
			return 1
		}
	done
}

all_done()
{
	for w in "$tmp"/w.[0-9]; do
		[ "$(cat "$w")" = "done" ] || return 1
	done
}

# Nobody has left the enclave.
members()
{
	[ "$(grep -c . "/sys/fs/ghost/enclave_$id/tasks")" -ge 6 ]
}

# The process that has the agents, not the one that watches it.
agents_process()
{
	sed -n 's/^ready enclave=[0-9]* pid=\([0-9]*\).*/\1/p' "$tmp/$1.log"
}

workers=
check "an enclave" sh -c "ghostctl create --cpus 1 >$tmp/id"
id=$(cat "$tmp/id")
check "fallback is on" grep -q 1 "/sys/fs/ghost/enclave_$id/fallback"
for i in 1 2 3 4 5 6; do
	echo 0 >"$tmp/w.$i"
	ghostctl run "$id" -- sh -c "$worker" sh "$tmp/w.$i" "$tmp/stop" \
		2>/dev/null &
	workers="$workers $!"
done
check "tasks run before the first agent" all_progress
check "an agent joins" start_agent first --enclave "$id"
check "tasks run under it" all_progress

kill -9 "$(agents_process first)" "$agent"
check "tasks run when it is dead" all_progress
check "they are members still" members
check "the next agent joins" start_agent second --enclave "$id"
check "tasks run under it, too" all_progress

kill -STOP "$(agents_process second)"
check "tasks run when it is stopped" all_progress
kill -CONT "$(agents_process second)"
check "tasks run when it goes on" all_progress
check "they are members as before" members

touch "$tmp/stop"
for w in $workers; do
	wait "$w"
done
check "every task ended" all_done
check "no kernel report" kernel_is_clean

done_testing
