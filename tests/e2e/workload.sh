#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck disable=SC2016	# a script for the shells that it starts
#
# Real programs under the FIFO agent: they finish, the tools tell the truth,
# and whatever ends an enclave gives its tasks back.

planned=18
. "$(dirname "$0")/tap.inc"

# A tree of $2 processes that work, sleep and leave a line each in $1.
tree='i=0
while [ $i -lt $2 ]; do
	i=$((i + 1))
	(
		n=0
		while [ $n -lt 200 ]; do n=$((n + 1)); done
		sleep 0.0$((i % 5 + 1))
		echo $i >>$1
	) &
done
wait'

# $2 processes that work, sleep and leave a line each in $1 once $1.go is there.
# They do not fork, which fails in an enclave that is being destroyed; $3 is a FIFO,
# always empty.
herd='i=0
while [ $i -lt $2 ]; do
	i=$((i + 1))
	(
		while [ ! -e $1.go ]; do
			n=0
			while [ $n -lt 200 ]; do n=$((n + 1)); done
			read -r -t 0.0$((i % 5 + 1)) _ <>$3
		done
		echo $i >>$1
	) &
done
wait'

lines()
{
	[ "$(wc -l <"$1")" -eq "$2" ]
}

# members ENCLAVE OPERATOR NUMBER, as in test.
members()
{
	test "$(wc -l <"/sys/fs/ghost/enclave_$1/tasks")" "$2" "$3"
}

# Field 41 of stat is the policy; the name in field 2 may hold blanks.
stat_policy_is()
{
	[ "$(sed 's/.*) //' "/proc/$1/stat" | cut -d' ' -f39)" = "$2" ]
}

check "agent creates its enclave" start_agent first --cpus "$cpu"
check "status says active" \
	grep -q 'active yes' "/sys/fs/ghost/enclave_$enclave/status"
check "list names it" sh -c "ghostctl list | grep -q '$enclave'"
check "show --json is JSON with the number" \
	sh -c "ghostctl show $enclave --json | grep -q '$enclave'"

: >"$tmp/tree"
check "a process tree runs to completion" \
	ghostctl run "$enclave" -- sh -c "$tree" sh "$tmp/tree" 20
check "every process of it finished" lines "$tmp/tree" 20
check "none is left in the enclave" within 10 members "$enclave" -eq 0

sh -c 'while :; do :; done' &
spinner=$!
check "add takes a running process" ghostctl add "$enclave" "$spinner"
check "it has the policy" within 10 stat_policy_is "$spinner" 18
kill -9 "$spinner"
check "a killed member goes" within 10 members "$enclave" -eq 0

# Destroy under load.
: >"$tmp/load"
mkfifo "$tmp/empty"
ghostctl run "$enclave" -- sh -c "$herd" sh "$tmp/load" 30 "$tmp/empty" &
load=$!
check "they are all there" within 60 members "$enclave" -ge 31
check "destroy under load" ghostctl destroy "$enclave"
check "the enclave is gone" within 10 enclave_gone "$enclave"
touch "$tmp/load.go"
wait "$load"
check "its tasks finish under CFS" lines "$tmp/load" 30

# Runnable timeout: an enclave without an agent.
enclave=$(ghostctl create --cpus "$cpu" --timeout 1000)
ghostctl set "$enclave" fallback 0
check "create prints the number" test -d "/sys/fs/ghost/enclave_$enclave"
: >"$tmp/stalled"
check "stalled tasks go back to CFS and finish" \
	ghostctl run "$enclave" -- sh -c "$tree" sh "$tmp/stalled" 3
check "the runnable timeout destroyed the enclave" \
	within 10 enclave_gone "$enclave"
check "no kernel report" kernel_is_clean

done_testing
