#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# unhurt.sh [--only PATTERN] [--from-results]
#
# Shows that the rest of the system is unhurt: runs the kernel's own tests that
# have to do with scheduling, and stress-ng's class "scheduler", on the kernel
# without the series, on ours beside an enclave without tasks, and on ours beside
# an enclave whose tasks never rest, and compares. What differs is repeated five
# times, what counts or is open then five times more and so on, up to 25 times,
# since a test may fail now and then; without the series also beside the busy
# enclave's load, since a load alone may do it. scripts/unhurt-report.py decides.
# Fails when a difference counts.
#
#   --only PATTERN  programs by name, as in 'futex/*'
#   --from-results  boot nothing: the table of the last run's results
#
# What the guests said is in build/logs/unhurt-MODE*.log, the results are in
# build/unhurt/results.

. "$(dirname "$0")/common.sh"

only='*'
from_results=
while [ $# -gt 0 ]; do
	case $1 in
	--only) only=${2-}; shift ;;
	--from-results) from_results=1 ;;
	*) usage; exit 2 ;;
	esac
	shift
done

dir=$BUILD/unhurt
results=$dir/results
tests=$BUILD/linux-plain/tools/testing/selftests
mkdir -p "$dir"
exec 9>"$dir/lock"
flock -n 9 || die "another comparison runs in this checkout"

# Directories of the kernel's selftests: scheduling, and the life of tasks
targets=(sched futex rseq membarrier timers ptrace cgroup kcmp clone3 pidfd
	 pid_namespace proc timens perf_events sched_ext)

# Programs that say nothing here, as patterns, and why
left_out=$(sed 's/#.*//' <<'END'
futex/run.sh			# its lines are in the list
*.sh				# bash
cgroup/test_core		# memory cgroups are not in the configuration
cgroup/test_memcontrol
cgroup/test_kmem
cgroup/test_hugetlb_memcg
cgroup/test_zswap
timers/nsleep-lat		# how exact clocks are: an emulated one is not
timers/set-timer-lat
timers/mqueue-lat
timers/inconsistency-check
timers/raw_skew
timers/rtcpie
END
)

# Programs that may take more seconds than 120: a busy guest is slow
declare -A limits=([cgroup/test_cpu]=480 [sched_ext/init_enable_count]=480
		   [rseq/basic_percpu_ops_test]=480
		   [rseq/basic_percpu_ops_mm_cid_test]=480)

is_left_out()
{
	local pattern

	for pattern in $left_out; do
		# shellcheck disable=SC2053 # it is a pattern
		[[ $1 != $pattern ]] || return 0
	done
	return 1
}

# Prints the programs of all directories, "GROUP/NAME|COMMAND".
list_programs()
{
	local target name built=$dir/obj/kselftest

	for target in "${targets[@]/%futex/futex/functional}"; do
		[ "$target" != sched_ext ] || continue
		while read -r name; do
			printf '%s|./%s\n' "${target%/*}/$name" "$name"
		done < <(make -s --no-print-directory -C "$tests/$target" \
			OUTPUT="$built/$target" COLLECTION= emit_tests | sed s/^://)
	done
	# shellcheck disable=SC2016
	sed -n 's,^\./\([a-z_]*\) $COLOR,./\1,p' "$tests/futex/functional/run.sh" |
		sort -u | while read -r name; do
			printf 'futex/%s|%s\n' "$(tr -d ' ' <<<"${name#./}")" "$name"
		done
	"$built/sched_ext/runner" -s -q -t / | sed -n 's/^TEST: //p' |
		while read -r name; do
			printf 'sched_ext/%s|./runner -q -t %s\n' "$name" "$name"
		done
	stress-ng --class 'scheduler?' | sed 's/.*stressors: //' | xargs -n 1 |
		while read -r name; do
			printf 'stress-ng/%s|stress-ng --%s 2 --%s-ops 100 %s\n' \
				"$name" "$name" "$name" \
				'--timeout 10 --verify --temp-path /tmp'
		done
}

build_tests()
{
	local root=$dir/root target f

	make -s -C "$BUILD/linux-plain" "O=$dir/obj" ARCH=x86_64 headers &&
		make -s -C "$tests" "O=$dir/obj" SKIP_TARGETS= FORCE_TARGETS=1 \
			CLANG=clang-19 LLVM_STRIP=llvm-strip-19 \
			"VMLINUX_BTF=$BUILD/kernel-plain/vmlinux" \
			"TARGETS=${targets[*]}" all || return
	rm -rf "$root"
	for target in "${targets[@]/%futex/futex/functional}"; do
		while read -r f; do
			guest_file "$root" "$dir/obj/kselftest/$target/$f" \
				"/usr/lib/unhurt/${target%/*}/$f"
		done < <(cd "$dir/obj/kselftest/$target" &&
			find . -maxdepth 1 -type f -printf '%P\n')
	done
	# pthread_exit() loads it
	f=$(realpath "$(gcc -print-file-name=libgcc_s.so.1)")
	guest_file "$root" "$f" /usr/lib/x86_64-linux-gnu/libgcc_s.so.1
	(cd "$root" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet) \
		>"$dir/tests.cpio"
	list_programs | LC_ALL=C sort -u >"$dir/all"
	while IFS='|' read -r name command; do
		# shellcheck disable=SC2053 # it is a pattern
		[[ $name != $only ]] || is_left_out "$name" ||
			printf '%s|%d|%s\n' "$name" "${limits[$name]-120}" "$command"
	done <"$dir/all" >"$dir/list"
	[ -s "$dir/list" ] || die "no program has a name like '$only'"
}

# last_words LOG NAME: what the kernel of a guest that died in NAME complained
# of. An int3 is QEMU's, see qemu/config/base.config.
last_words()
{
	grep -a -q 'Oops: int3' "$1" ||
		grep -a -E -f <(grep -v '^#' "$TOP/qemu/kernel-complaints") "$1" |
		tr -d '\r' | sed -n "s,^\[[ 0-9.]*\] ,complaint $2 ,p" || true
}

# run MODE LIST OUT: runs the programs of LIST and appends what the guest said
# of them to OUT. A guest that hangs or dies has a successor, which goes on with
# the next program.
run()
{
	local mode=$1 out=$3 rest=$dir/rest status lost name nr=0 variant why

	case $mode in
	plain|loaded) variant=plain ;;
	idle|busy) variant=default ;;
	esac
	cp "$2" "$rest"
	while [ -s "$rest" ]; do
		nr=$((nr + 1))
		name=unhurt-$(basename "$out")-$nr
		status=0
		"$TOP/qemu/run.sh" --variant "$variant" --cpus 4 --memory 2048 \
			--timeout 7200 --silence 300 --name "$name" \
			--append no_timer_check \
			--archive "$dir/tests.cpio" \
			--file "$rest:/usr/lib/unhurt/list" -- \
			/usr/lib/ghost/unhurt "$mode" || status=$?
		[ $status -ne 130 ] || exit 130
		grep -a -E '^(result|complaint) ' "$BUILD/logs/$name.result" >>"$out" || true
		case $status in
		0) return ;;
		124) why=hung ;;
		125) why=died ;;
		*) die "the guest's side failed, see build/logs/$name.log" ;;
		esac
		lost=$(awk '$1 == "start" { name = $2 } $1 == "done" { name = "" }
			END { print name }' "$BUILD/logs/$name.result")
		say "$mode: the guest $why in ${lost:-no program}; another one goes on"
		if [ -n "$lost" ]; then
			printf 'result %s 0 guest-%s\n' "$lost" "$why" >>"$out"
		elif [ $nr -ge 5 ]; then
			die "too many guests hang or die, see build/logs/$name.log"
		fi
		last_words "$BUILD/logs/$name.log" "${lost:-boot/$mode}" >>"$out"
		tail -n "+$(($(grep -c '^start ' "$BUILD/logs/$name.result" || true) + 1))" \
			"$rest" >"$rest.new"
		mv "$rest.new" "$rest"
	done
}

report()
{
	python3 "$TOP/scripts/unhurt-report.py" "$@" "$results"
}

if [ -z "$from_results" ]; then
	"$TOP/scripts/deps.sh" --unhurt
	"$TOP/scripts/build-kernel.sh" --variant plain
	start=$SECONDS
	build_tests >"$BUILD/logs/unhurt-build.log" 2>&1 ||
		die "the tests did not build, see build/logs/unhurt-build.log" \
		    "$(tail -n 5 "$BUILD/logs/unhurt-build.log")"
	say "$(wc -l <"$dir/list") programs ready after $((SECONDS - start)) s"
	rm -rf "$results"
	mkdir -p "$results"
	for mode in plain idle busy; do
		run "$mode" "$dir/list" "$results/$mode"
	done
	which=--differing
	for _ in 1 2 3 4 5; do
		report $which | while read -r name; do
			for _ in 1 2 3 4 5; do
				awk -F '|' -v name="$name" '$1 == name' "$dir/list"
			done
		done >"$dir/again"
		[ -s "$dir/again" ] || break
		for mode in plain loaded idle busy; do
			run "$mode" "$dir/again" "$results/$mode-again"
		done
		which=--open
	done
fi
report
