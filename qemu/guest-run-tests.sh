#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Runs the test programs of /usr/lib/ghost/tests in the guest, one after the
# other: run-tests [--after NAME] [PATTERN...]. A program fails when a test of it
# fails, when it prints other than what its plan says, when its exit status says
# so, when it takes too long (120 s, or what NAME.timeout says; four times that on
# a kernel that checks itself) and when the kernel complained while it ran. A kernel
# with kmemleak is asked at the end.
#
# For the host it writes to $GHOST_RESULT:
#	plan PROGRAMS
#	start NAME
#	done NAME PASSED FAILED SKIPPED REASON...

cd /usr/lib/ghost/tests || exit 1
# shellcheck source=guest-limited.sh
. /usr/lib/ghost/limited

# The kernel's own background work preempts ghost tasks like any other thread:
# keep it on CPU 0, which no test gives to an enclave.
echo 1 >/sys/devices/virtual/workqueue/cpumask
echo 3600 >/proc/sys/vm/stat_interval
cat /proc/[0-9]*/stat 2>/dev/null | awk '$4 == 2 { print $1 }' | while read -r kthread; do
	taskset -p 1 "$kthread" >/dev/null 2>&1
done

after=
if [ "$1" = --after ]; then
	after=$2
	shift 2
fi
[ $# -gt 0 ] || set -- '*'
patterns=/usr/lib/ghost/complaints
patience=1
! zcat /proc/config.gz | grep -qE '^CONFIG_(KASAN|KCSAN|PROVE_LOCKING)=y' ||
	patience=4
out=/tmp/test.out
log=/tmp/test.dmesg

# Prints what the kernel complained of since the last call.
kernel_complaints()
{
	dmesg -c >$log
	grep -E -f $patterns $log
}

# Reads TAP, prints "PASSED FAILED SKIPPED" and what failed, by name.
read_tap()
{
	awk '
	/^1\.\.[0-9]+/ { plan = substr($1, 4) + 0; planned = 1
		if (plan == 0) skip++
		next }
	/^ok/ { n++; if (toupper($0) ~ /# *SKIP/) skip++; else pass++; next }
	/^not ok/ { n++; fail++; sub(/^not ok *[0-9]* *-? */, "")
		names = names sep $0; sep = ", "
		next }
	/^Bail out!/ { fail++; why = $0 }
	END {
		if (!planned)
			why = "no plan printed"
		else if (n + 0 != plan)
			why = "planned " plan " tests, reported " n + 0
		if (why != "" && fail + 0 == 0)
			fail = 1
		if (names != "" && why != "")
			names = names "; "
		printf "%d %d %d %s%s\n", pass, fail, skip, names, why
	}' "$1"
}

destroy_leftovers()
{
	for dir in /sys/fs/ghost/enclave_*; do
		[ -d "$dir" ] || continue
		echo "# $1 left ${dir##*/} behind"
		echo destroy >"$dir/ctl"
	done
}

all_fine=0
report()
{
	echo "done $*" >"$GHOST_RESULT"
	name=$1 passed=$2 failed=$3 skipped=$4
	shift 4
	if [ "$failed" -gt 0 ]; then
		all_fine=1
		echo "FAIL  $name: $failed failed, $passed passed, $skipped skipped ($*)"
	elif [ "$passed" -gt 0 ]; then
		echo "PASS  $name: $passed passed, $skipped skipped ($*)"
	else
		echo "SKIP  $name ($*)"
	fi
}

if [ -z "$after" ]; then
	echo "start boot" >"$GHOST_RESULT"
	if kernel_complaints; then
		cat $log
		report boot 0 1 0 "the kernel complained while it booted"
	else
		report boot 1 0 0 "the kernel log is clean"
	fi
fi

find . -type f -perm -100 | sed 's,^\./,,' | sort | while read -r name; do
	if [ -n "$after" ]; then
		[ "$name" != "$after" ] || after=
		continue
	fi
	for pattern; do
		# shellcheck disable=SC2254
		case $name in
		$pattern) echo "$name"; break ;;
		esac
	done
done >/tmp/tests
echo "plan $(wc -l </tmp/tests)" >"$GHOST_RESULT"

# Not the standard input: nothing in the loop is to read that by mistake.
while read -r name <&3; do
	limit=120
	[ ! -f "$name.timeout" ] || limit=$(grep -v '^#' "$name.timeout")
	limit=$((limit * patience))
	echo "start $name" >"$GHOST_RESULT"
	begin=$(date +%s)
	run_limited "$limit" "./$name"
	status=$?
	took=$(($(date +%s) - begin))
	destroy_leftovers "$name"

	read -r passed failed skipped why <<-END
	$(read_tap $out)
	END
	if [ $status -eq 137 ] && [ $took -ge "$limit" ]; then
		why="${why:+$why; }stopped after its time limit of $limit s"
		[ "$failed" -gt 0 ] || failed=1
	elif [ $status -ne 0 ] && [ "$failed" -eq 0 ]; then
		failed=1
		why="exit status $status"
	fi
	complaints=$(kernel_complaints)
	if [ -n "$complaints" ]; then
		failed=$((failed + 1))
		why="${why:+$why; }the kernel complained"
	fi
	if [ "$failed" -gt 0 ]; then
		# what passed is no news, here least
		grep -vE '^ok |^# +(RUN|OK) ' $out | sed 's/^/    /'
		[ -z "$complaints" ] || sed 's/^/    kernel: /' $log
	else
		grep -iE '^ok.*# *skip|^1\.\.0|^# counted: ' $out | sed 's/^/    /'
	fi
	report "$name" "$passed" "$failed" "$skipped" "$why${why:+, }$took s"
done 3</tmp/tests

if [ -e /sys/kernel/debug/kmemleak ]; then
	echo "start kmemleak" >"$GHOST_RESULT"
	if /usr/lib/ghost/leaks >$log; then
		report kmemleak 1 0 0 "no memory was lost"
	else
		sed 's/^/    /' $log
		report kmemleak 0 1 0 "memory was lost"
	fi
fi
exit $all_fine
