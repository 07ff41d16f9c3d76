#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# off-is-off.sh [--jobs N] [--list] [ROW...]
#
# Shows that the series changes nothing when its option is off, and that the
# option builds with other options than ours. Each row is one line, "ok" or
# "FAILED"; the exit status is 0 only if none failed. Rows, all by default:
#
#   off-*     kernel/sched/ built with and without the series, option off, has
#             the same code and read-only data
#   on-*      kernel/sched/ and what else the series touches builds with the
#             option on and without a warning
#   link-*    so does a whole kernel
#   never-*   Kconfig does not offer the option
#   instructions   a pipe switch, fork and exit, and a tick cost less than 0.2 %
#             more instructions with the option on and no enclave than with it
#             off: median of 5, one CPU, kernel variants off and on
#
# What is compared: in each object file of kernel/sched/, every section that is
# loaded and read-only, with its relocations. That is code, constants, strings,
# the scheduling classes, and the tables made from the code. Line numbers are
# no part of it: BUGVERBOSE and DEBUG_ATOMIC_SLEEP, which put them there, are
# off. Debug information is in sections that are not loaded.
#
#   --jobs N  processes at a time
#   --list    only print the names of the rows
#
# Everything is built in build/off-is-off/; ROW.log there has the commands'
# output, ROW.diff what differs.

# shellcheck disable=SC2317	# row_* are called by the name of the row

. "$(dirname "$0")/common.sh"

# name | configuration, on top of qemu/config/base.config; -X is "X off"
rows=$(grep -v '^#' <<'END'
off-default	|
off-speed	| CC_OPTIMIZE_FOR_PERFORMANCE
off-preempt-rt	| EXPERT PREEMPT_RT -PREEMPT_DYNAMIC
off-up		| -SMP -NUMA
off-bare	| -SCHED_CLASS_EXT -SCHED_CORE -CGROUPS -PSI -SCHEDSTATS
on-default	|
on-speed	| CC_OPTIMIZE_FOR_PERFORMANCE
on-no-smt	| -SCHED_SMT -SCHED_CORE
on-no-sched-core	| -SCHED_CORE
on-no-cgroup-sched	| -CGROUP_SCHED
on-no-sched-ext	| -SCHED_CLASS_EXT
on-no-bpf-jit	| -BPF_JIT -SCHED_CLASS_EXT
on-preempt-none	| PREEMPT_NONE -PREEMPT_DYNAMIC
on-preempt	| PREEMPT -PREEMPT_DYNAMIC
on-more		| UCLAMP_TASK SCHED_AUTOGROUP RT_GROUP_SCHED NO_HZ_FULL CGROUP_BPF
on-debug	| PROVE_LOCKING DEBUG_ATOMIC_SLEEP DEBUG_OBJECTS SLUB_DEBUG -SLUB_TINY
link-bare	| -SCHED_CLASS_EXT -SCHED_CORE -CGROUPS -PSI -SCHEDSTATS -NET -FTRACE -TIMERFD -EVENTFD -NUMA -PROC_SYSCTL -SCHED_DEBUG -BPF_JIT -MODULES -DEBUG_INFO_BTF
never-up	| -SMP -NUMA
never-32-bit	| -64BIT
never-preempt-rt	| EXPERT PREEMPT_RT -PREEMPT_DYNAMIC
never-base-small	| BASE_SMALL
never-no-bpf	| -BPF_SYSCALL
instructions	|
END
)

jobs=$(nproc)
wanted=()
while [ $# -gt 0 ]; do
	case $1 in
	--jobs) jobs=${2-}; shift ;;
	--list) awk '{ print $1 }' <<<"$rows"; exit 0 ;;
	-*) usage; exit 2 ;;
	*)
		grep -qE "^$1[[:space:]]" <<<"$rows" ||
			die "there is no row $1" "--list names them"
		wanted+=("$1") ;;
	esac
	shift
done

dir=$BUILD/off-is-off
plain=$BUILD/linux-plain
ghost=$dir/linux
mkdir -p "$dir"
lock 9 "$dir/lock"
lock 8 "$plain.lock"
"$TOP/scripts/fetch-kernel.sh" --plain
exec 8>&-

# A tree of its own with the series; it shares all other files with the plain.
if ! cmp -s "$plain/.ghost-source" "$ghost/.ghost-source"; then
	rm -rf "$ghost"
	cp -al "$plain" "$ghost"
	# x86 has no switch for SCHED_SMT: give it one
	sed -i '/^config SCHED_SMT$/{n
		s/def_bool y if SMP/bool "SMT" if SMP\n\tdefault SMP/}' \
		"$ghost/arch/x86/Kconfig"
fi
"$TOP/scripts/prepare-kernel.sh" --linux="$ghost" >"$dir/prepare.log" 2>&1 ||
	die "the series does not apply:" "$(cat "$dir/prepare.log")"

export CCACHE_BASEDIR=$TOP CCACHE_NOHASHDIR=1
compiler=()
[ -z "$(command -v ccache)" ] || compiler=("CC=ccache gcc" "HOSTCC=ccache gcc")

# What the series touches outside of kernel/sched/, as object files
touched=()
while read -r f; do
	case $f in
	kernel/sched/*) ;;
	kernel/rcu/tasks.h) touched+=(kernel/rcu/update.o) ;;
	*.c) touched+=("${f%.c}.o") ;;
	esac
done < <(sed -n 's,^+++ b/,,p' "$TOP"/patches/6.12/*.patch | sort -u)

# Configures the build of the tree $1 in $2 with the options $3...; the log goes
# to standard output. Fails with the lines that Kconfig did not heed.
configure()
{
	local tree=$1 out=$2 arch=x86_64 option missing='' stamp

	shift 2
	[[ " $* " != *" -64BIT "* ]] || arch=i386
	mkdir -p "$out"
	{
		cat "$TOP/qemu/config/base.config"
		echo "# CONFIG_DEBUG_BUGVERBOSE is not set"
		echo "# CONFIG_DEBUG_ATOMIC_SLEEP is not set"
		echo "CONFIG_JUMP_LABEL=y"
		echo "CONFIG_WERROR=y"
		for option; do
			case $option in
			-*) echo "# CONFIG_${option#-} is not set" ;;
			*) echo "CONFIG_$option=y" ;;
			esac
		done
	} >"$out/fragment"
	stamp=$(cat "$out/fragment" "$ghost"/kernel/sched/ghost/Kconfig \
		"$ghost/.ghost/patches/"* | sha256sum)
	[ "$stamp" != "$(cat "$out/stamp" 2>/dev/null)" ] || return 0
	rm -f "$out/stamp"
	make -C "$tree" O="$out" ARCH="$arch" "${compiler[@]}" tinyconfig
	cat "$out/fragment" >>"$out/.config"
	make -C "$tree" O="$out" ARCH="$arch" "${compiler[@]}" olddefconfig
	# Only the options of the row matter: others depend on them
	for option; do
		case $option in
		-*) ! grep -q "^CONFIG_${option#-}=" "$out/.config" ;;
		*) grep -qx "CONFIG_$option=y" "$out/.config" ;;
		esac || missing+=" $option"
	done
	[ -z "$missing" ] || {
		echo "Kconfig does not heed:$missing"
		return 1
	}
	printf '%s\n' "$stamp" >"$out/stamp"
}

# Builds the targets $2... in $1 and fails on a warning, too: those of objtool
# are no errors for make.
build()
{
	local out=$1

	shift
	make -C "$out" "${compiler[@]}" "-j$jobs" "$@" >"$out/build.log" 2>&1 || {
		cat "$out/build.log"
		return 1
	}
	cat "$out/build.log"
	! grep -a 'warning:' "$out/build.log"
}

# Prints the loaded read-only sections of the object file $1.
sections()
{
	objdump -h -w "$1" | awk '/ ALLOC,.*READONLY/ { print $2, $3 }'
}

# Prints the section $2 of the object file $1 with its relocations.
contents()
{
	if objdump -h -w -j "$2" "$1" | grep -q CODE; then
		objdump -d -r -z -j "$2" "$1"
	else
		objdump -s -r -j "$2" "$1"
	fi | sed 1,3d
}

# Prints the instructions of section $2 of $1, each after the name of its
# function, without what moves with the place: for people.
by_function()
{
	objdump -d -r -z --no-show-raw-insn -j "$2" "$1" | awk '
		/^[0-9a-f]+ <.*>:$/ { name = substr($2, 2, length($2) - 3); next }
		/^[ \t]+[0-9a-f]+:/ {
			sub(/^[ \t]+[0-9a-f]+:[ \t]+/, "")
			gsub(/[0-9a-f]+ </, "<")
			gsub(/0x[0-9a-f]+\(%rip\)/, "(%rip)")
			print name ": " $0
		}'
}

# Compares the object files $1 and $2, called $3. Prints what differs.
compare_object()
{
	local section list

	list=$(sections "$1")
	diff <(printf '%s\n' "$list") <(sections "$2") >/dev/null || {
		echo "$3: sections and their sizes differ:"
		diff <(printf '%s\n' "$list") <(sections "$2") |
			sed -n 's/^[<>]/    &/p' || true
	}
	while read -r section _; do
		cmp -s <(contents "$1" "$section") <(contents "$2" "$section") ||
			echo "$3: $section differs:" \
				"$(diff <(by_function "$1" "$section") \
					<(by_function "$2" "$section") |
				sed -nE 's/^[<>] ([^:]*): .*/\1/p' | sort -u | xargs)"
	done <<<"$list"
}

row_off()
{
	local out object nr=0

	configure "$plain" "$dir/plain" "$@"
	configure "$ghost" "$dir/ghost" "$@" -SCHED_CLASS_GHOST
	for out in plain ghost; do
		build "$dir/$out" kernel/sched/
	done
	: >"$dir/$row.diff"
	for object in "$dir"/plain/kernel/sched/*.o "$dir"/ghost/kernel/sched/*.o; do
		object=${object##*/}
		[ -f "$dir/plain/kernel/sched/$object" ] &&
			[ -f "$dir/ghost/kernel/sched/$object" ] ||
			echo "$object exists only with or without the series"
	done | sort -u >>"$dir/$row.diff"
	for object in "$dir"/plain/kernel/sched/*.o; do
		compare_object "$object" "$dir/ghost/kernel/sched/${object##*/}" \
			"${object##*/}" >>"$dir/$row.diff"
		nr=$((nr + 1))
	done
	[ ! -s "$dir/$row.diff" ] || { cat "$dir/$row.diff"; return 1; }
	result="$nr objects, $(for object in "$dir"/plain/kernel/sched/*.o; do
		sections "$object"; done | wc -l) sections are the same"
}

row_on()
{
	configure "$ghost" "$dir/on" "$@" SCHED_CLASS_GHOST
	build "$dir/on" kernel/sched/ "${touched[@]}"
	result="no warning"
}

row_link()
{
	configure "$ghost" "$dir/link" "$@" SCHED_CLASS_GHOST
	build "$dir/link" vmlinux
	result="no warning"
}

row_never()
{
	configure "$ghost" "$dir/never" "$@"
	if grep -qx CONFIG_SCHED_CLASS_GHOST=y "$dir/never/.config"; then
		echo "Kconfig gives CONFIG_SCHED_CLASS_GHOST=y all the same"
		return 1
	fi
	result="not offered"
}

row_instructions()
{
	local variant

	make -C "$TOP" --no-print-directory initramfs
	for variant in off on; do
		"$TOP/scripts/build-kernel.sh" --variant "$variant" --jobs "$jobs"
		"$TOP/scripts/bench.sh" --icount-only --variant "$variant" \
			--name "off-is-off-$variant"
	done
	result=$(python3 - "$BUILD"/bench/off-is-off-{off,on}.json <<'END'
import json, sys

def medians(name):
    boots = json.load(open(name))["boots"]
    return {r["row"]: r["median"] for b in boots for r in b["rows"]
            if r["unit"] == "instructions"}

off, on = map(medians, sys.argv[1:])
worst = 0
for row in "pipe", "fork", "tick":
    change = 100 * (on[row] / off[row] - 1)
    worst = max(worst, abs(change))
    print(f"{row} {change:+.2f} %", end=", " if row != "tick" else "\n")
sys.exit(worst >= 0.2)
END
	) || { echo "0.2 % or more: $result"; return 1; }
}

failed=0
while IFS='|' read -r row options; do
	row=${row%%[[:space:]]*}
	[ ${#wanted[@]} -eq 0 ] || [[ " ${wanted[*]} " == *" $row "* ]] || continue
	start=$SECONDS
	# A subshell, so that the first command that fails ends the row
	set +e
	(
		set -e
		result=
		read -ra options <<<"$options"
		"row_${row%%-*}" "${options[@]}" </dev/null >"$dir/$row.log" 2>&1
		printf '%s' "$result" >"$dir/$row.result"
	)
	status=$?
	set -e
	if [ $status -eq 0 ]; then
		printf '%-20s ok      %s (%d s)\n' "$row" "$(cat "$dir/$row.result")" \
			$((SECONDS - start))
	else
		failed=1
		printf '%-20s FAILED, see build/off-is-off/%s.log\n' "$row" "$row"
		grep -aE 'error:|warning:|differ|undefined|heed|all the same|\*\*\*|%' \
			"$dir/$row.log" | grep -av 'warning: override' |
			tail -n 12 | sed 's/^/    /' || true
	fi
done <<<"$rows"
exit $failed
