# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash disable=SC2154
#
# Sourced in the guest by what runs tests.

# run_limited SECS COMMAND...: runs it in a session of its own for at most SECS
# seconds, its output in $out, and leaves none of its processes behind. The
# status is 137 when time was up. A program that cannot even be killed takes the
# guest with it, so that the host sees it.
run_limited()
{
	limit=$1
	shift
	setsid "$@" </dev/null >"$out" 2>&1 &
	pid=$!
	setsid sh -c "
		sleep $limit
		kill -9 -$pid
		sleep 30
		echo '$1 cannot be killed; the blocked tasks:'
		dmesg -n 8
		echo w >/proc/sysrq-trigger
		echo l >/proc/sysrq-trigger
		cat $out
		poweroff -f" &
	timer=$!
	wait $pid
	status=$?
	# the timer may not have come as far as having a group of its own
	for target in $timer -$timer -$pid; do
		kill -9 "$target"
	done 2>/dev/null
	wait $timer 2>/dev/null
	return $status
}
