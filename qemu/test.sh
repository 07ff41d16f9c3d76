#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# test.sh [--cpus "N..."] [--only "PATTERN..."] [--name NAME] [OPTION of run.sh]...
#
# Runs the test programs in the guest, once for each machine (numbers of CPUs or
# topologies as run.sh takes them), and ends in one line: N passed, N failed,
# N skipped. A PATTERN is a shell pattern for names like kernel/abi; NAME, test by
# default, begins the names of the logs. A guest that dies or hangs is a failure of
# the program that ran; a new guest goes on behind it. No test run is a failure,
# too.

. "$(dirname "$0")/../scripts/common.sh"

cpu_counts="2 4 4,sockets=1,cores=2,threads=2"
patterns=('*')
prefix="test"
run_args=()
while [ $# -gt 0 ]; do
	[ $# -ge 2 ] || { usage; exit 2; }
	case $1 in
	--cpus) cpu_counts=$2 ;;
	--only) read -ra patterns <<<"$2" ;;
	--name) prefix=$2 ;;
	*) run_args+=("$1" "$2") ;;
	esac
	shift 2
done

passed=0
failed=0
skipped=0
failures=()

# Adds what the result file $1 says to the sums; $2 says which guest it was.
# Sets $lost to the program that had not ended when the guest was gone, $missing
# to the number of those that were to run and did not, and counts the programs in
# $programs.
count_results()
{
	local word name p f s why

	lost=
	missing=0
	while read -r word name p f s why; do
		case $word in
		plan) missing=$name ;;
		start) lost=$name ;;
		done)
			lost=
			[[ $name == @(boot|kmemleak) ]] || {
				programs=$((programs + 1))
				missing=$((missing - 1))
			}
			passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
			[ "$f" -eq 0 ] || failures+=("$name ($2): $why") ;;
		esac
	done <"$1"
}

# A failure that is none of a test program's own.
add_failure()
{
	failed=$((failed + 1))
	failures+=("$1")
}

for cpus in $cpu_counts; do
	after=()
	programs=0
	failed_before=$failed
	while :; do
		name=$prefix-${cpus//[^0-9a-z]/-}-cpus
		status=0
		# Each program has its limit, and a guest that hangs falls silent.
		# psi=0: its averaging works run on the CPUs that the tests give to
		# enclaves, and preempt what a test has just scheduled. preempt=full:
		# a policy may forget a task at any place in the kernel.
		"$TOP/qemu/run.sh" --cpus "$cpus" --timeout 14400 --name "$name" \
			--append "psi=0 preempt=full" \
			"${run_args[@]}" -- \
			/usr/lib/ghost/run-tests "${after[@]}" "${patterns[@]}" || status=$?
		[ $status -ne 130 ] || exit 130
		[ -s "$BUILD/logs/$name.result" ] ||
			die "the guest did not start"
		count_results "$BUILD/logs/$name.result" "$cpus CPUs"
		[ $status -eq 124 ] || [ $status -eq 125 ] || break
		why=$([ $status -eq 124 ] && echo "the guest hung" || echo "the guest died")
		add_failure "${lost:-boot} ($cpus CPUs): $why"
		mv "$BUILD/logs/$name.log" "$BUILD/logs/$name-${why##* }-$failed.log"
		[[ $lost != @(|kmemleak) ]] || break
		[ "$lost" = boot ] || programs=$((programs + 1))
		after=(--after "$lost")
	done
	if [ $programs -eq 0 ]; then
		add_failure "no test program ran with $cpus CPUs (names like '${patterns[*]}')"
	elif [ "$missing" -ne 0 ] && [ $failed -eq $failed_before ]; then
		add_failure "$missing programs did not run with $cpus CPUs"
	elif [ "$status" -ne 0 ] && [ $failed -eq $failed_before ]; then
		add_failure "the runner in the guest with $cpus CPUs: status $status"
	fi
done

if [ ${#failures[@]} -gt 0 ]; then
	printf '\nWhat failed:\n'
	printf '  %s\n' "${failures[@]}" | fold -s -w 76 | sed 's/^[^ ]/      &/'
fi
printf '\n%d passed, %d failed, %d skipped\n' $passed $failed $skipped
[ $failed -eq 0 ]
