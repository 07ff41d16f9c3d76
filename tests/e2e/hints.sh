#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# An application without privileges gives hints about its threads: the policy
# follows them, and those about others are refused.

planned=17
. "$(dirname "$0")/tap.inc"

policy=ghost-eevdf-bpf
socket=$tmp/socket
chmod 755 "$tmp"

# hints ARGS...: the example as a task of the enclave, by nobody.
hints()
{
	ghostctl run "$enclave" -- su nobody -s /bin/sh \
		-c "/usr/bin/examples/hints $*" >"$tmp/shares" 2>&1
	status=$?
	cat "$tmp/shares"
	return "$status"
}

# shares LOW HIGH ARGS...: the foreground thread has so many per cent. What the host
# takes is charged to who runs: a single look may be wrong, but not each of five.
shares()
{
	low=$1
	high=$2
	shift 2
	for _ in 1 2 3 4 5; do
		hints "$@" || return
		share=$(sed -n 's/^foreground \([0-9]*\) %/\1/p' "$tmp/shares")
		[ "$share" -lt "$low" ] || [ "$share" -gt "$high" ] || return 0
	done
	return 1
}

# counted LOG KEY CONDITION...: test of a number in the line "total".
counted()
{
	number=$(sed -n "s/^total .* $2=\([0-9]*\).*/\1/p" "$tmp/$1.log")
	echo "$2 is $number"
	shift 2
	test "$number" "$@"
}

stop_agent()
{
	kill "$agent" && within 60 grep -q '^total ' "$1" && wait "$agent"
}

check "a policy that takes hints" \
	start_agent all --cpus "$cpu" --hints "$socket"
check "two threads that say nothing share the CPU" shares 30 70
check "two with hints have what they asked for" shares 80 100 "$socket"
check "a hint about a thread of others" says "No such process" 1 \
	hints "$socket" $$
check "a thread that is no task of the policy" says "No such file" 1 \
	/usr/bin/examples/hints "$socket"
check "no policy there" says "No such file" 1 \
	/usr/bin/examples/hints "$tmp/none"
check "it stops in order" stop_agent "$tmp/all.log"
check "hints were counted" counted all hints -ge 2
check "and the one about others" counted all foreign -eq 1
check "the socket has gone" [ ! -e "$socket" ]

enclave=$(ghostctl create --cpus "$cpu")
check "joins an enclave" start_agent 1 --enclave "$enclave" --hints "$socket"
check "a successor takes over" \
	start_agent 2 --take-over "$enclave" --hints "$socket"
check "it takes hints, too" shares 80 100 "$socket"
ghostctl destroy "$enclave"

check "a policy without them" says "takes no --hints" 2 \
	ghost-biff --cpus "$cpu" --hints "$socket"
echo precious >"$tmp/file"
check "a file is in the place of the socket" says "File exists" 1 \
	ghost-eevdf-bpf --cpus "$cpu" --hints "$tmp/file"
check "it is there still" grep -q precious "$tmp/file"
check "no kernel report" kernel_is_clean
rm -rf /sys/fs/bpf/ghost

done_testing
