#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# What ghostctl shows and changes, and what it says when it cannot.

planned=33
. "$(dirname "$0")/tap.inc"

cd "$tmp" || exit 1

# prints WORDS CMD...: that and nothing else.
prints()
{
	words=$1
	shift
	"$@" >said 2>&1 || return 1
	cat said
	[ "$(cat said)" = "$words" ]
}

narrow()
{
	! "$@" 2>&1 | grep -E '^.{81}'
}

check "create with options" sh -c \
	"ghostctl create --json --id 41 --cpus 1 --max-tasks 7 --gid 3 --timeout 9000 \
	>created"
check "create says the number in JSON" grep -qx '{"id":41}' created
check "the group is that" prints 3 stat -c %g /sys/fs/ghost/enclave_41/tasks
check "max_tasks is set" prints 7 ghostctl get 41 max_tasks
check "runnable_timeout is set" prints 9000 ghostctl get 41 runnable_timeout
check "honor_affinity is on" prints 1 ghostctl get 41 honor_affinity
check "get in JSON" prints '{"id":41,"name":"max_tasks","value":7}' \
	ghostctl get --json 41 max_tasks
check "a switch" ghostctl set 41 deliver_ticks 1
check "the switch is on" prints 1 ghostctl get 41 deliver_ticks

# Every file that show lists can be set to what it is.
all_settable()
{
	ghostctl show 41 | sed -n '/^tunables:/,/^ .*TID/p' |
		grep -E '^  [a-z_]+ +[0-9]+$' >tunables
	[ "$(wc -l <tunables)" -ge 10 ] || return 1
	while read -r name value; do
		ghostctl set 41 "$name" "$value" || return 1
	done <tunables
}

check "all tunables that are shown can be set" all_settable
all_explained()
{
	ghostctl set --help >help
	while read -r name value; do
		grep -q "^  $name " help || return 1
	done <tunables
}
check "and all are explained" all_explained
check "features" says max_tasks 0 ghostctl features 41
check "features in JSON" says '"max_tasks"' 0 ghostctl features --json 41
check "show in JSON has them, too" says '"deliver_ticks":"1"' 0 \
	ghostctl show --json 41
check "other CPUs" ghostctl cpus 41 0
check "they are shown" says 'cpus 0' 0 ghostctl show 41
check "create for any affinity" sh -c \
	"ghostctl create --id 42 --cpus 1 --any-affinity"
check "honor_affinity is off" prints 0 ghostctl get 42 honor_affinity

check "CPUs of another enclave" says 'ghostctl list' 1 ghostctl cpus 41 1
check "no tunable" says "'status' is not a tunable" 1 ghostctl set 41 status 1
check "no such tunable" says "'depth' is not a tunable" 1 \
	ghostctl get 41 depth
check "no value of a switch" says 'deliver_ticks is 0 or 1' 2 \
	ghostctl set 41 deliver_ticks yes
check "a value that is too large" says 'is too large for max_tasks' 1 \
	ghostctl set 41 max_tasks 99999999999
check "no such enclave" says 'No such file' 1 ghostctl get 77 max_tasks
check "an argument is missing" says 'get needs a tunable' 2 ghostctl get 41
check "a CPU that an agent has" sh -c "
	ghost-fifo --enclave 42 >other.log 2>&1 &
	i=0
	until grep -q '^ready' other.log || [ \$i -gt 200 ]; do
		i=\$((i + 1)); sleep 0.1
	done
	ghostctl cpus 42 '' 2>&1 | grep -q 'has an agent'
	status=\$?
	kill \$!
	exit \$status"
all_narrow()
{
	for c in create destroy list show features observe get set cpus add run; do
		narrow ghostctl "$c" --help || return 1
	done
	narrow ghostctl --help && narrow ghostctl list && narrow ghostctl show 41
}
check "80 columns are enough" all_narrow
ghostctl destroy 41
check "the exit record" says 'enclave_41: destroyed by request of its owner' 0 \
	ghostctl exits
check "exit records in 80 columns" narrow ghostctl exits
check "exit records in JSON" sh -c \
	"ghostctl exits --json | grep -q '^\[\"record .*: enclave_41: destroyed.*\"\]\$'"

ghostctl destroy 42
check "a policy" start_agent fifo --cpus 1
ghostctl destroy "$enclave"
check "it says why its enclave was destroyed" within 15 grep -q \
	"^  enclave_$enclave: destroyed by request of its owner" "$tmp/fifo.log"
check "the kernel log is clean" kernel_is_clean
done_testing
