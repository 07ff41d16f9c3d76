#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# guest-bench.sh plain|single|pair|batch|scale|memory|memory9 REPS [TASKS]
#
# The guest side of scripts/bench.sh: runs the rows of one boot and prints a
# line "bench sched=S cpus=N row=R unit=U samples=..." for each, or "bench
# missing=R sched=S cpus=N why=..." for what could not be measured.
#
#   plain   under -icount: pipe, fork and tick, on any kernel
#   single  under -icount, one CPU: the rows in which one CPU runs at a time
#   pair    two CPUs: all rows but the batches
#   batch   under -icount, nine CPUs: an agent sends tasks to up to eight others
#   scale   under -icount, one CPU: one task among others, at last TASKS
#   memory, memory9  kernel memory of objects, on one and on nine CPUs

boot=$1
reps=$2
tasks=${3:-6000}
fs=/sys/fs/ghost
log=/tmp/bench.log
unit=
case $boot in
plain|single|batch|scale) unit=--instructions ;;
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

# one_cpu SCHED COMMAND..., two_cpus SCHED COMMAND...: through COMMAND.
one_cpu()
{
	who=$1
	shift
	measure "$who" 1 "$@" ghost-bench pipe --cpus "$single"
	measure "$who" 1 "$@" ghost-bench yield --cpus "$single"
}

two_cpus()
{
	[ "$boot" = pair ] || return 0
	who=$1
	shift
	measure "$who" 2 "$@" ghost-bench pipe --cpus 0,1
}

# under_fifo CPUS COMMAND...: COMMAND ENCLAVE while ghost-fifo schedules it.
under_fifo()
{
	enclave=$(ghostctl create --cpus "$1" 2>$log) || return
	shift
	ghost-fifo --enclave "$enclave" >/tmp/fifo.log 2>&1 &
	agent=$!
	if within 20 says '^ready ' /tmp/fifo.log; then
		"$@"
	else
		cp /tmp/fifo.log $log
		missing fifo 1 pipe
	fi
	kill $agent
	wait "$agent"
	ghostctl destroy "$enclave"
}

# direct_switch SCHED COMMAND...: through COMMAND.
direct_switch()
{
	who=$1
	shift
	measure "$who" 1 "$@" ghost-bench futex --cpus "$single"
	measure "$who" 1 "$@" ghost-bench switchto --cpus "$single"
}

fifo_one_cpu()
{
	one_cpu fifo ghostctl run "$enclave" --
	direct_switch fifo ghostctl run "$enclave" --
}

fifo_two_cpus()
{
	two_cpus fifo ghostctl run "$enclave" --
}

scx_enabled()
{
	[ "$(cat /sys/kernel/sched_ext/state)" = "$1" ]
}

scx_switches()
{
	command -v scx_simple >/dev/null || return
	scx_simple >$log 2>&1 &
	scx=$!
	if within 20 scx_enabled enabled; then
		one_cpu scx_simple env
		two_cpus scx_simple env
	else
		missing scx_simple 1 pipe
	fi
	kill -INT $scx
	wait $scx
	within 20 scx_enabled disabled
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

echo "bench kernel=$(uname -r) machine_cpus=$(nproc) boot=$boot"
# Where it can, the single CPU is not the one that the rest of the guest is on.
single=$(($(nproc) > 1))
[ -z "$unit" ] || measure eevdf 1 ghost-bench unit
case $boot in
plain)
	for row in pipe fork tick; do
		measure eevdf 1 ghost-bench $row
	done
	;;
single)
	one_cpu eevdf env
	direct_switch eevdf env
	two_cpus eevdf env
	measure eevdf 1 ghost-bench fork
	measure eevdf 1 ghost-bench tick
	scx_switches
	measure agent 1 ghost-bench local
	measure agent 1 ghost-bench at-schedule
	measure agent 1 ghost-bench timer
	under_fifo 0 fifo_one_cpu
	;;
pair)
	one_cpu eevdf env
	direct_switch eevdf env
	two_cpus eevdf env
	measure eevdf 1 ghost-bench threads --cpus 1
	scx_switches
	measure agent 1 ghost-bench local --cpus 1
	measure agent 1 ghost-bench at-schedule --cpus 1
	measure agent 1 ghost-bench timer --cpus 1
	measure agent 2 ghost-bench remote --cpus 0,1
	measure agent 2 ghost-bench batch --cpus 0,1
	measure agent 2 ghost-bench both --cpus 0,1
	measure agent 1 ghost-bench kill --cpus 1
	under_fifo 1 fifo_one_cpu
	under_fifo 0-1 fifo_two_cpus
	under_fifo 1 handoff
	;;
batch)
	# Few: the idle CPUs spin through all the instructions there are
	measure eevdf 1 ghost-bench pipe --cpus 1 --rounds 200
	measure agent 9 ghost-bench batch --cpus 0-8 --rounds 20
	measure agent 9 ghost-bench group --cpus 0-8 --rounds 20
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
