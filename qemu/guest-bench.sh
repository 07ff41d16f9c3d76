#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# guest-bench.sh plain|single|pair|batch|handoff|scale|memory|memory9 REPS [TASKS]
#
# The guest side of scripts/bench.sh: runs the rows of one boot and prints a
# line "bench sched=S cpus=N row=R unit=U samples=..." for each, or "bench
# missing=R sched=S cpus=N why=..." for what could not be measured.
#
#   plain   under -icount: pipe, fork and tick, on any kernel
#   single  under -icount, one CPU: the rows in which one CPU runs at a time
#   pair    two CPUs: all rows but the batches
#   batch   under -icount, nine CPUs: an agent sends tasks to up to eight others
#   handoff under -icount, two CPUs: what a busy task notices of a new policy, and
#           normal threads of an agent that waits on the other CPU
#   scale   under -icount, one CPU: one task among others, at last TASKS
#   memory, memory9  kernel memory of objects, on one and on nine CPUs

boot=$1
reps=$2
tasks=${3:-6000}
fs=/sys/fs/ghost
log=/tmp/bench.log
unit=
perf_unit=ns
loops=10
times=3
options=
case $boot in
plain|single|batch|handoff|scale)
	unit=--instructions
	perf_unit=instructions
	;;
esac

missing()
{
	echo "bench missing=$3 sched=$1 cpus=$2 why=$(tr -s ' \n' ' ' <$log | tail -c 200)"
}

# measure SCHED CPUS COMMAND...: adds to each line of COMMAND who schedules on
# how many CPUs; the row in "missing" is the word behind ghost-bench.
measure()
{
	sched=$1
	cpus=$2
	shift 2
	row=$*
	row=${row#*ghost-bench }
	"$@" --reps "$reps" $unit >/tmp/bench.out 2>$log ||
		missing "$sched" "$cpus" "${row%% *}"
	sed -n "s/^bench /bench sched=$sched cpus=$cpus /p" /tmp/bench.out
}

# within SECS COMMAND...: waits until COMMAND succeeds.
within()
{
	tries=$(($1 * 10))
	shift
	until "$@"; do
		[ $tries -gt 0 ] || return 1
		tries=$((tries - 1))
		sleep 0.1
	done
}

says()
{
	grep -q "$1" "$2" 2>/dev/null
}

# perf_bench SCHED CPUS ROW AWK COMMAND...: $times whatever the repetitions are;
# AWK finds a sample in what COMMAND says.
perf_bench()
{
	sched=$1
	cpus=$2
	row=$3
	program=$4
	shift 4
	samples=
	for _ in $(seq $times); do
		"$@" >/tmp/bench.out 2>$log || break
		samples=$samples,$(awk "$program" /tmp/bench.out)
	done
	if [ "${samples#,*,*,}" != "$samples" ]; then
		echo "bench sched=$sched cpus=$cpus row=$row" \
			"unit=$perf_unit samples=${samples#,}"
	else
		missing "$sched" "$cpus" "$row"
	fi
}

# perf_rows SCHED CPUS COMMAND...: through COMMAND, on CPUs that the scheduler
# chooses. Two switches a loop; 400 messages a loop of messaging, whose time is
# in milliseconds: 100 loops tell 0.1 %, 10 one per cent.
perf_rows()
{
	who=$1
	used=$2
	shift 2
	command -v perf >/dev/null || return 0
	perf_bench "$who" "$used" perf-pipe \
		"/usecs.op/ { print \$1 * 500 }" \
		"$@" perf bench sched pipe -l 2000
	perf_bench "$who" "$used" perf-messaging \
		"/Total time/ { print \$3 * 1e9 / 400 / $loops }" \
		"$@" perf bench sched messaging -g 1 -l "$loops"
}

# one_cpu SCHED COMMAND..., two_cpus SCHED COMMAND...: through COMMAND.
one_cpu()
{
	who=$1
	shift
	for row in pipe yield futex; do
		# shellcheck disable=SC2086 # two words or none
		measure "$who" 1 "$@" ghost-bench $row --cpus "$single" $few
	done
	measure "$who" 1 "$@" ghost-bench wakeup --cpus "$single"
	if [ "$boot" = pair ]; then
		measure "$who" 1 "$@" ghost-bench wakeup-busy --cpus "$single"
	else
		perf_rows "$who" 1 "$@"
	fi
}

two_cpus()
{
	[ "$boot" = pair ] || return 0
	who=$1
	shift
	measure "$who" 2 "$@" ghost-bench pipe --cpus 0,1
	perf_rows "$who" 2 "$@"
}

# under POLICY CPUS COMMAND...: COMMAND while ghost-POLICY, with $options, schedules
# $enclave.
under()
{
	policy=$1
	enclave=$(ghostctl create --cpus "$2" 2>$log) || return
	shift 2
	# shellcheck disable=SC2086 # words
	"ghost-$policy" --enclave "$enclave" $options >/tmp/policy.log 2>&1 &
	agent=$!
	if within 20 says '^ready ' /tmp/policy.log; then
		"$@"
	else
		cp /tmp/policy.log $log
		missing "$policy" 1 pipe
	fi
	kill $agent
	wait "$agent"
	ghostctl destroy "$enclave"
}

# by_policy FUNCTION: its rows, through the policy that under() has started.
by_policy()
{
	"$1" "$policy" ghostctl run "$enclave" --
}

switchto()
{
	who=$1
	shift
	measure "$who" 1 "$@" ghost-bench switchto --cpus "$single"
}

policies_one_cpu()
{
	for policy in biff eevdf-bpf prio fifo; do
		under $policy "$single" by_policy one_cpu
	done
	under fifo "$single" by_policy switchto
}

policies_two_cpus()
{
	for policy in biff eevdf-bpf prio fifo; do
		under $policy 0-1 by_policy two_cpus
	done
}

scx_enabled()
{
	[ "$(cat /sys/kernel/sched_ext/state)" = "$1" ]
}

# start_scx SCHEDULER, as $scx. A kernel thread loads it, on any CPU, and scx_central
# gives up if that is not its central one.
start_scx()
{
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		"$1" >$log 2>&1 &
		scx=$!
		within 5 scx_enabled enabled && return
		kill -INT "$scx" 2>/dev/null
		wait "$scx"
	done
	return 1
}

# under_scx SCHEDULER: all rows under one of sched_ext.
under_scx()
{
	command -v "$1" >/dev/null || return
	if start_scx "$1"; then
		one_cpu "$1" env
		two_cpus "$1" env
	else
		missing "$1" 1 pipe
	fi
	kill -INT "$scx" 2>/dev/null
	wait "$scx"
	within 20 scx_enabled disabled
}

normal_and_scx()
{
	one_cpu eevdf env
	two_cpus eevdf env
	switchto eevdf env
	under_scx scx_simple
	under_scx scx_central
}

# measure_tick SCHED CPU. For half a second timers of what ran before are still in the
# CPU's queue; the repetition that is thrown away is so long.
measure_tick()
{
	measure "$1" 1 ghost-bench tick --cpus "$2" --rounds 100
}

# wait_as_members N: that many tasks of $enclave, which wait for a writer. A sleep
# would have a timer, and one more in the queue of a CPU costs each tick of it.
wait_as_members()
{
	[ -p /tmp/never ] || mkfifo /tmp/never
	for _ in $(seq "$1"); do
		taskset 3 ghostctl run "$enclave" -- cat /tmp/never >$log 2>&1 &
	done
	within 20 has_members "$1" || missing beside 1 pipe
}

# While members of an enclave wait; it has no CPU.
beside_idle()
{
	enclave=77
	if { echo "create $enclave 91" >$fs/ctl &&
	     echo 'create sw_region 0 0' >$fs/enclave_$enclave/ctl &&
	     echo 1 >$fs/enclave_$enclave/fallback; } 2>$log; then
		wait_as_members 10
		# shellcheck disable=SC2086 # two words or none
		measure beside 1 ghost-bench pipe --cpus "$single" $few
		measure beside 1 ghost-bench fork
		measure_tick beside "$single"
		perf_rows beside 1 env
		killall -q -9 cat
		ghostctl destroy "$enclave"
	else
		missing beside 1 pipe
	fi
}

has_members()
{
	[ "$(wc -l <$fs/enclave_"$enclave"/tasks)" -ge "$1" ]
}

# While a policy and its tasks are busy on the other CPU.
beside_busy()
{
	ghostctl run "$enclave" -- sh -c \
		'while :; do ghost-bench pipe --cpus 0 --rounds 10000; done' \
		>/dev/null 2>&1 &
	members=$!
	within 20 has_members 3 || missing beside 1 pipe
	measure beside 1 ghost-bench pipe --cpus "$single"
	measure beside 1 ghost-bench fork --cpus "$single"
	kill -9 $members
	wait $members
	killall -q -9 ghost-bench
}

# forks SCHED: by one per cent the row depends on how full slabs and lists of pages
# happen to be, and stays there as long as nothing else is allocated. So there are
# many short repetitions, each with one more process that sleeps.
forks()
{
	samples=
	sleepers=
	for _ in $(seq $((10 * reps))); do
		sleep 99999 &
		sleepers="$sleepers $!"
		ghost-bench fork --cpus 0 --reps 1 --rounds 50 $unit \
			>/tmp/bench.out 2>$log || break
		samples=$samples,$(sed -n 's/^bench .*samples=//p' /tmp/bench.out)
	done
	# shellcheck disable=SC2086 # words
	kill $sleepers
	if [ -n "$samples" ]; then
		echo "bench sched=$1 cpus=1 row=fork unit=instructions samples=${samples#,}"
	else
		missing "$1" 1 fork
	fi
}

# parked_rows SCHED: of normal threads on CPU 0, while CPU 1 idles without a tick, so
# that all instructions are CPU 0's.
parked_rows()
{
	taskset -p 1 $$ >/dev/null
	# shellcheck disable=SC2086 # two words or none
	measure "$1" 1 ghost-bench pipe --cpus 0 $few
	forks "$1"
	measure_tick "$1" 0
	perf_rows "$1" 1 env
}

# While the agent of CPU 1 waits for messages, and its tasks for something else.
beside_parked()
{
	wait_as_members 2
	parked_rows beside
	killall -q -9 cat
}

# Alternately, since memory is not the same after a while. The policy's main thread
# wakes once a slice, and its timer is to be in the queue of CPU 1, as it is.
parked()
{
	# The numbers of processes are in a tree, which grows a level at 4096
	echo 4000 >/proc/sys/kernel/pid_max
	loops=100
	times=5
	options='--slice 100000'
	for turn in 1 2; do
		# For a minute the hooks are on as if the last enclave were there
		[ $turn = 1 ] || sleep 70
		parked_rows eevdf
		taskset -p 2 $$ >/dev/null
		under fifo 1 beside_parked
	done
	options=
}

# The successor says how the handoff went once all that waited have run.
handoff()
{
	gaps=
	waits=
	i=0
	ghostctl run "$enclave" -- demo-sleepers 20 100000 >/dev/null 2>&1 &
	load=$!
	sleep 1
	while [ $i -le "$reps" ]; do
		ghost-fifo --take-over "$enclave" >$log 2>&1 &
		successor=$!
		within 20 says '^handoff ' $log || {
			missing fifo 1 handoff
			break
		}
		wait "$agent"
		agent=$successor
		# The first one only warms up
		if [ $i -gt 0 ]; then
			gaps=$gaps,$(sed -n 's/^handoff .*gap_us=\([0-9]*\).*/\1000/p' $log)
			waits=$waits,$(sed -n \
				's/^handoff .*longest_wait_us=\([0-9]*\).*/\1000/p' $log)
		fi
		i=$((i + 1))
	done
	[ -z "$gaps" ] || {
		echo "bench sched=fifo cpus=1 row=handoff-gap unit=ns samples=${gaps#,}"
		echo "bench sched=fifo cpus=1 row=handoff-wait unit=ns samples=${waits#,}"
	}
	kill -9 $load
	wait $load
}

# still ROW SCHED COMMAND...: how long a busy task of $enclave stands still while
# COMMAND has its policy replaced, each time.
still()
{
	row=$1
	sched=$2
	shift 2
	# shellcheck disable=SC2086 # a word or none
	taskset 3 ghostctl run "$enclave" -- ghost-bench gap $unit >/tmp/gap.out 2>$log &
	load=$!
	if within 60 says ready /tmp/gap.out; then
		"$@" || missing "$sched" 2 "$row"
		kill -USR1 $load
		for _ in $(seq "$reps"); do
			sleep 0.1
			"$@" || missing "$sched" 2 "$row"
			kill -USR1 $load
		done
		kill $load
		wait $load
		# The first one only warms up
		sed -n "s/^bench row=gap \(unit=[a-z]* samples=\)[0-9.]*,/bench sched=$sched cpus=2 row=$row \1/p" \
			/tmp/gap.out
	else
		missing "$sched" 2 "$row"
	fi
}

# A successor takes over, and has scheduled what waited.
take_over()
{
	"ghost-$policy" --take-over "$enclave" >/tmp/policy.log 2>$log &
	successor=$!
	within 60 says '^handoff ' /tmp/policy.log || return
	wait "$agent"
	agent=$successor
}

# The policy dies; somebody starts it anew, later.
die_and_restart()
{
	kill -9 "$agent"
	wait "$agent"
	sleep 0.05
	ghost-fifo --enclave "$enclave" >/tmp/policy.log 2>$log &
	agent=$!
	within 60 says '^ready ' /tmp/policy.log
}

nothing()
{
	sleep 0.1
}

# Threads of other classes run before tasks of the enclave: keep them off its CPU.
# Kworkers, for one, free the maps of programs that have ended.
keep_off()
{
	taskset -p 1 $$ >/dev/null
	echo 1 >/sys/devices/virtual/workqueue/cpumask
}

handoffs()
{
	still gap-quiet fifo nothing
	still gap-handoff fifo take_over
	still gap-death fifo die_and_restart
}

handoffs_of_bpf()
{
	gaps=
	for _ in $(seq 0 "$reps"); do
		take_over || missing "$policy" 2 handoff-gap
		gaps=$gaps,$(sed -n 's/^handoff .*gap_us=\([0-9]*\).*/\1000/p' /tmp/policy.log)
	done
	# The first one only warms up; a ns is an instruction
	echo "bench sched=$policy cpus=2 row=handoff-gap unit=instructions samples=${gaps#,*,}"
}

echo "bench kernel=$(uname -r) machine_cpus=$(nproc) boot=$boot"
# Where it can, the single CPU is not the one that the rest of the guest is on.
single=$(($(nproc) > 1))
# Instructions are the same each time, and emulation that counts them is slow
few=${unit:+--rounds 1000}
[ -z "$unit" ] || measure eevdf 1 ghost-bench unit
case $boot in
plain)
	for row in pipe fork tick; do
		measure eevdf 1 ghost-bench $row
	done
	;;
single)
	normal_and_scx
	measure eevdf 1 ghost-bench fork
	measure_tick eevdf "$single"
	beside_idle
	measure agent 1 ghost-bench local
	measure agent 1 ghost-bench at-schedule
	measure agent 1 ghost-bench timer
	policies_one_cpu
	;;
pair)
	normal_and_scx
	measure eevdf 1 ghost-bench threads --cpus 1
	measure eevdf 1 ghost-bench fork --cpus 1
	under fifo 0 beside_busy
	measure agent 1 ghost-bench local --cpus 1
	measure agent 1 ghost-bench at-schedule --cpus 1
	measure agent 1 ghost-bench timer --cpus 1
	measure agent 2 ghost-bench remote --cpus 0,1
	measure agent 2 ghost-bench batch --cpus 0,1
	measure agent 2 ghost-bench both --cpus 0,1
	measure agent 1 ghost-bench kill --cpus 1
	policies_one_cpu
	policies_two_cpus
	under fifo 1 handoff
	;;
batch)
	# Few: the idle CPUs spin through all the instructions there are
	measure eevdf 1 ghost-bench pipe --cpus 1 --rounds 200
	measure agent 9 ghost-bench batch --cpus 0-8 --rounds 20
	measure agent 9 ghost-bench group --cpus 0-8 --rounds 20
	;;
handoff)
	keep_off
	parked
	under fifo 1 handoffs
	under biff 1 handoffs_of_bpf
	;;
scale)
	for limit in pid_max threads-max; do
		echo $((tasks * 2 + 10000)) >/proc/sys/kernel/$limit
	done
	measure agent 1 ghost-bench scale --tasks "$tasks"
	;;
memory|memory9)
	measure kernel "$(nproc)" ghost-bench memory
	;;
esac
[ ! -d $fs ] || dmesg | grep -i 'ghost.*destroyed by' || true
