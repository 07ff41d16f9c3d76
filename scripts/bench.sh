#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# bench.sh [--name NAME] [--variant VARIANT] [--reps N] [--tasks N]
#          [--boots "NAME ..."] [--icount-only] [--from-logs]
#
# Measures SCHED_GHOST against EEVDF and sched_ext's examples in virtual
# machines, says what Documentation/measuring.md explains, and leaves
#
#   build/bench/NAME.json  all samples, and what they were taken on
#   build/bench/NAME.txt   the table that is shown, too
#   build/bench/NAME.svg   a plot of it
#   build/bench/NAME-scale.svg  a plot of costs by the number of tasks
#
# It fails when a row could not be measured, never because of a figure.
#
#   --name NAME      default: VARIANT
#   --variant NAME   kernel variant (default)
#   --reps N         repetitions (5)
#   --tasks N        tasks in the enclave in the last step of "scale" (6000);
#                    60000 takes a guest of 4 GB
#   --boots "NAME ..."  only these: single pair batch handoff scale memory
#                    memory9
#   --icount-only    only pipe, fork and tick in instructions, under EEVDF: what
#                    a kernel costs that has SCHED_GHOST but does not use it;
#                    works on a kernel without it
#   --from-logs      boot nothing: table and plot of the last run's logs

. "$(dirname "$0")/common.sh"

name=
variant=default
reps=5
tasks=6000
boots="single pair batch handoff scale memory memory9"
only=
from_logs=
while [ $# -gt 0 ]; do
	case $1 in
	--icount-only) only=1; shift; continue ;;
	--from-logs) from_logs=1; shift; continue ;;
	--name|--variant|--reps|--tasks|--boots) [ $# -ge 2 ] || die "$1 wants a value" ;;&
	--name) name=$2 ;;
	--variant) variant=$2 ;;
	--reps) reps=$2 ;;
	--tasks) tasks=$2 ;;
	--boots) boots=$2 ;;
	*) usage; exit 2 ;;
	esac
	shift 2
done
[[ $reps =~ ^[1-9][0-9]?$ ]] || die "--reps wants a number from 1 to 99"
[[ $tasks =~ ^[1-9][0-9]{0,4}$ ]] || die "--tasks wants a number from 1 to 99999"
[ -n "$name" ] || name=$variant
out=$BUILD/bench
kernel=$BUILD/kernel-$variant
mkdir -p "$out"

# sched_ext's example schedulers from the same kernel tree. Prints why they are
# not there if they are not.
build_scx()
{
	local log=$BUILD/logs/bench-scx.log dir=$out/scx-$variant

	mkdir -p "$dir"
	[ -f "$kernel/vmlinux" ] || { echo "there is no $kernel/vmlinux"; return; }
	make -C "$BUILD/linux/tools/sched_ext" -j"$(nproc)" O="$dir" \
		CLANG=clang-19 LLVM_STRIP=llvm-strip-19 \
		VMLINUX_BTF="$kernel/vmlinux" scx_simple scx_central >"$log" 2>&1 ||
		echo "they did not build, see build/logs/bench-scx.log"
}

# boot_guest BOOT CPUS ACCEL [WORD...]: one guest, with its rows in its log.
boot_guest()
{
	local boot=$1 cpus=$2 accel=$3 file=() memory=1024
	shift 3

	[[ -n $only || " $boots " == *" $boot "* ]] || return 0
	# A thread that sleeps takes some 30 kB
	[ "$boot" != scale ] || memory=$((memory + tasks / 20))
	logs+=("$boot:$cpus:$accel:$BUILD/logs/bench-$name-$boot.log")
	[ -z "$from_logs" ] || return 0
	[ -z "$scx" ] || file=(--file "$scx/scx_simple:/usr/bin/scx_simple"
			       --file "$scx/scx_central:/usr/bin/scx_central")
	[[ $boot != single && $boot != pair && $boot != handoff ]] ||
		file+=(--file "$perf:/usr/bin/perf")
	"$TOP/qemu/run.sh" --variant "$variant" --accel "$accel" --cpus "$cpus" \
		"${file[@]}" --append "loglevel=4 $*" --timeout 1800 \
		--silence 300 --memory "$memory" \
		--name "bench-$name-$boot" --quiet -- \
		/usr/lib/ghost/bench "$boot" "$reps" "$tasks" ||
		say "the guest of boot '$boot' failed; what it measured is used"
}

logs=()
scx=
no_scx=
perf=
if [ -n "$only" ]; then
	boot_guest plain 1 icount
else
	if [ -z "$from_logs" ]; then
		"$TOP/scripts/deps.sh" --bench
		no_scx=$(build_scx)
		scx=$out/scx-$variant/build/bin
		[ -z "$no_scx" ] || { scx=; say "no scx_simple, scx_central: $no_scx"; }
		perf=$(command -v perf) || die "perf is missing: run scripts/deps.sh --bench"
	fi
	boot_guest single 1 icount
	# Two CPUs have a host CPU each. Idle ones spin: a halted one would wake
	# by way of the host's scheduler, which would be measured instead.
	boot_guest pair 2 tcg idle=poll
	# Spinning again: an agent whose interrupt starts another CPU would have
	# that one's instructions counted with its own.
	boot_guest batch 9 icount idle=poll
	boot_guest handoff 2 icount
	boot_guest scale 1 icount
	boot_guest memory 1 tcg
	boot_guest memory9 9 tcg
fi

status=0
source=$(git -C "$TOP" describe --always --dirty 2>/dev/null || echo unknown)
python3 "$TOP/scripts/bench-report.py" --name "$name" --out "$out" \
	--variant "$variant" --config "$kernel/.config" \
	--image "$kernel/arch/x86/boot/bzImage" --vmlinux "$kernel/vmlinux" \
	--reps "$reps" --tasks "$tasks" \
	--source "$source" --no-scx "$no_scx" "${logs[@]}" || status=1
for plot in "$out/$name.plot" "$out/$name-scale.plot"; do
	if [ -z "$only" ] && [ -s "$plot" ]; then
		gnuplot "$plot" || die "gnuplot could not draw $plot"
	fi
done
exit $status
