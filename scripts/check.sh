#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# check.sh [--list] [NAME...]
#
# Checks the sources without running them: all checks, or those named. Each
# prints "ok NAME", or "FAILED NAME" and what it found; the exit status is 0 only
# if none failed. Needs the kernel source and configuration that make kernel
# leaves in build/; builds into build/check, build/check-gcc and
# build/check-clang.
#
#   --list   only print the names

. "$(dirname "$0")/common.sh"

linux=$BUILD/linux
scratch=$BUILD/check
tree=$scratch/tree
config=$BUILD/kernel-default/.config
jobs=$(nproc)

checks=(spdx paths checkpatch patches kernel-doc shellcheck man rules
	syzkaller headers user-gcc user-clang kernel)

# What checkpatch may say, one exception a line: the files, the type, and why.
# Paths of kernel/ are those of the kernel tree, without the first kernel/.
exceptions=$(sed 's/#.*//; /^[[:space:]]*$/d' <<'END'
# An array of formats and arguments is how trace events look everywhere
include/trace/events/.*	COMPLEX_MACRO
include/trace/events/.*	PARENTHESIS_ALIGNMENT
include/trace/events/.*	OPEN_ENDED_LINE
# The ABI has these files end without a newline
kernel/sched/ghost/files\.c	SYSFS_EMIT
# At boot, as sched_init() does for the other classes: nothing to recover to
kernel/sched/ghost/enclave\.c	AVOID_BUG
# The level is what the caller says
kernel/sched/ghost/exit_record\.c	PRINTK_WITHOUT_KERN_LEVEL
# As the line of sched_ext above it
patches/6\.12/0013-.*	UNNECESSARY_KERN_LEVEL
# Who submits the series signs it off
patches/.*	MISSING_SIGN_OFF
# The '*' is the linker script's; alignment and permissions are as their
# neighbours'
patches/6\.12/0001-.*	SPACING
patches/6\.12/0002-.*	PARENTHESIS_ALIGNMENT
patches/6\.12/0006-.*	SYMBOLIC_PERMS
patches/6\.12/0006-.*	SPACING
# clang 14 drops the tag of a pointer that is not to a typedef
userspace/agents/prio/prio\.bpf\.c	NEW_TYPEDEFS
# Types and macros that only the kernel has
(userspace|tests|qemu)/.*	PREFER_KERNEL_TYPES
(userspace|tests|qemu)/.*	ARRAY_SIZE
(userspace|tests|qemu)/.*	PREFER_DEFINED_ATTRIBUTE_MACRO
# C11 has no READ_ONCE(): signal flags, words that others write, empty loops
(userspace|tests|qemu)/.*	VOLATILE
# The words are those of the command line, not the functions that handle them
userspace/(agents|bench|tools)/.*	EMBEDDED_FUNCTION_NAME
# Formats and CPU masks that are longer than a line
(userspace/tools/show|tests/kernel/fs)\.c	SPLIT_STRING
# 'mount -t ghost ghost' is right
userspace/lib/words\.c	REPEATED_WORD
# extern "C" { cannot be put into parentheses
userspace/include/ghost/api\.h	COMPLEX_MACRO
# Kernels without the patch do not know the operation; the name of a member
tests/(kernel|library)/(gt_)?switchto.*	ENOSYS
tests/torture/worker_ops\.c	ENOSYS
tests/kernel/(gt_)?switchto\.[ch]	MACRO_ARG_PRECEDENCE
# The harness: EXPECT_EQ() is more than a statement, FIXTURE_DATA(x) is a type
tests/.*	BRACES
tests/(library/(live|hints)|e2e/hints_act|kernel/(fallback|coredump|namespace|stuck|bpf_.*|instr_.*))\.c	SPACING
# Instructions of BPF are initializers; the linker makes the symbols of a file
tests/kernel/gt_bpf\.h	COMPLEX_MACRO
tests/kernel/gt_bpf\.c	AVOID_EXTERNS
# What the kernel gives to BPF programs is declared so
(userspace/include/ghost/bpf(_rbtree)?|tests/kernel/bpf/objects)\.h	AVOID_EXTERNS
# The kernel has an array of one there, too; sections of BPF objects are attributes
tests/kernel/bpf/objects\.h	FLEXIBLE_ARRAY
tests/kernel/bpf/objects\.h	COMPLEX_MACRO
tests/kernel/bpf/objects\.h	SPACING
# A program that differs from the next in one statement; a test that ends there
tests/kernel/bpf/misuse\.bpf\.c	COMPLEX_MACRO
tests/kernel/bpf/misuse\.bpf\.c	MACRO_WITH_FLOW_CONTROL
tests/kernel/neighbour\.c	MACRO_WITH_FLOW_CONTROL
# Declarations of registers and of libbpf's options
tests/kernel/(ptrace|bpf_misuse)\.c	LINE_SPACING
# Macros of one test, which get plain names
tests/.*	MACRO_ARG_REUSE
# The name of a field cannot be put into parentheses
tests/kernel/abi\.c	MACRO_ARG_PRECEDENCE
END
)

# Prints the files of the repository, new ones too, that match the patterns $@
sources()
{
	git -C "$TOP" ls-files --cached --others --exclude-standard \
		--deduplicate -- "$@" |
	while read -r f; do
		[ ! -f "$TOP/$f" ] || printf '%s\n' "$f"
	done
}

shell_scripts()
{
	sources '*.sh' '*.inc'
	sources ':!*.sh' ':!*.inc' | while read -r f; do
		! head -n 1 "$f" | grep -aqE '^#!.*\<(ba|da)?sh$' || printf '%s\n' "$f"
	done
}

# Runs checkpatch with the arguments $@ and prints what no exception covers.
# It runs where the files of kernel/ have the paths that they get in a kernel
# tree, since it judges by them; and leaves a cache in that folder.
run_checkpatch()
{
	local line file type pattern excused out

	mkdir -p "$tree"
	ln -sfn "$TOP/kernel/include" "$tree/include"
	ln -sfn "$TOP/kernel/kernel" "$tree/kernel"
	for file in userspace tests qemu patches; do
		ln -sfn "$TOP/$file" "$tree/$file"
	done
	# Its status says no more than its words: 1 when it found something
	out=$(cd "$tree" && "$linux/scripts/checkpatch.pl" --root="$linux" \
		--strict --terse --show-types --no-summary "$@" 2>&1) || true
	while read -r line; do
		[[ $line =~ ^([^:]+):[0-9]+:\ [A-Z]+:([A-Z_]+): ]] || {
			[ -z "$line" ] || printf '%s\n' "$line"
			continue
		}
		file=${BASH_REMATCH[1]} type=${BASH_REMATCH[2]} excused=
		while IFS=$'\t' read -r pattern what; do
			[ "$what" != "$type" ] || ! [[ $file =~ ^$pattern$ ]] ||
				excused=1
		done <<<"$exceptions"
		[ -n "$excused" ] || printf '%s\n' "$line"
	done <<<"$out"
}

# The checks: each prints its findings. One that prints nothing has passed.

check_spdx()
{
	sources ':!LICENSES' ':!patches' | while read -r f; do
		head -n 5 "$f" | grep -q 'SPDX-License-Identifier: ' ||
			echo "$f: no SPDX-License-Identifier in the first lines"
	done
}

# /root/ is the home of the test guest
check_paths()
{
	sources | while read -r f; do
		grep -HnIE '(^|[^a-zA-Z0-9_$}"])/(home|work|Users)/[a-z]' "$f" ||
			grep -HnIF "$TOP/" "$f" || true
	done
}

check_checkpatch()
{
	local files

	mapfile -t files < <(sources 'kernel/*.[ch]' | sed 's,^kernel/,,'
		sources 'userspace/*.[ch]' 'tests/*.[ch]' 'qemu/*.[ch]')
	run_checkpatch -f "${files[@]}"
}

check_patches()
{
	local files

	mapfile -t files < <(sources 'patches/*.patch')
	run_checkpatch "${files[@]}"
}

check_kernel-doc()
{
	local files

	mapfile -t files < <(sources 'kernel/*.[ch]' 'userspace/include/*.h')
	"$linux/scripts/kernel-doc" -none "${files[@]}" 2>&1
}

# SC2317 takes functions that are called by a name in a variable, or by check in
# the tests, for dead code
check_shellcheck()
{
	local files

	mapfile -t files < <(shell_scripts)
	shellcheck -x -P SCRIPTDIR -e SC2317 -f gcc "${files[@]}" 2>&1
}

check_man()
{
	local files

	mapfile -t files < <(sources 'userspace/man/*.[1-9]')
	mandoc -Tlint -W warning "${files[@]}" 2>&1
}

# The table of rules and tests: scripts/check-rules.py
check_rules()
{
	scripts/check-rules.py --quiet 2>&1
}

# The descriptions for syzkaller: scripts/check-syzkaller.py
check_syzkaller()
{
	scripts/check-syzkaller.py 2>&1
}

# The public headers, each alone. Only C has arrays without a size: no pedantry
# in C++.
check_headers()
{
	local header compiler

	sources 'userspace/include/*.h' 'kernel/include/uapi/*.h' |
	while read -r header; do
		for compiler in "gcc -x c -std=c11 -Wpedantic" \
				"g++ -x c++ -std=c++17" \
				"clang -x c -std=c11 -Wpedantic" \
				"clang++ -x c++ -std=c++17"; do
			# shellcheck disable=SC2086
			printf '#include "%s"\nextern int end;\n' "$TOP/$header" |
				$compiler -Wall -Wextra -Werror \
				-fsyntax-only -Iuserspace/include \
				-Ikernel/include/uapi - 2>&1 || true
		done
	done
}

# From nothing: objects do not depend on the flags in the Makefiles
build_user()
{
	local out=$BUILD/check-$1 log=$scratch/user-$1.log
	local make_args=(-s -k "-j$jobs" "CC=$1" "O=$out")

	rm -rf "$out"
	{
		make "${make_args[@]}" -C userspace &&
		make "${make_args[@]}" -C userspace check &&
		make "${make_args[@]}" -C tests &&
		"$1" -O2 -Wall -Wextra -Werror -pthread -fsyntax-only \
			qemu/demo-sleepers.c
	} >"$log" 2>&1 || {
		grep -aE 'error|\*\*\*|should be' "$log" || tail -n 20 "$log"
	}
}

check_user-gcc() { build_user gcc; }
check_user-clang() { build_user clang; }

# Our objects with all that W=1 warns about, and sparse. What they say about
# other files of the kernel is not ours.
check_kernel()
{
	local log=$scratch/kernel.log
	local make_args=(-C "$linux" "O=$scratch/kernel" ARCH=x86_64 "-j$jobs")

	mkdir -p "$scratch/kernel"
	export CCACHE_BASEDIR=$TOP CCACHE_NOHASHDIR=1
	[ -z "$(command -v ccache)" ] ||
		make_args+=("CC=ccache gcc" "HOSTCC=ccache gcc")
	if ! cmp -s "$config" "$scratch/kernel/.config.from"; then
		cp "$config" "$scratch/kernel/.config"
		cp "$config" "$scratch/kernel/.config.from"
	fi
	# Warnings are only seen when a file is compiled
	rm -f "$scratch"/kernel/kernel/sched/ghost/*.o
	if ! { make "${make_args[@]}" olddefconfig prepare &&
	       make "${make_args[@]}" -k W=1 C=2 CHECK=sparse \
			kernel/sched/ghost/; } >"$log" 2>&1; then
		grep -aE 'error|\*\*\*' "$log" || true
		echo "kernel/sched/ghost did not build; the whole log is $log"
	fi
	[ -n "$(find "$scratch/kernel/kernel/sched/ghost" -name '*.o' -print -quit)" ] ||
		echo "no object was built; the whole log is $log"
	# Who takes rq locks by the scheduler's own helpers is reported as "context
	# imbalance", as their users in kernel/sched/ are: double_rq_lock() is not
	# annotated and task_rq_lock() names no lock that sparse knows. Lockdep
	# sees to that.
	sed -nE "s,^($linux|(\.\./)+linux)/,,
		s,^kernel/sched/ghost/\.\./,kernel/sched/,
		/ context imbalance /d
		/^[^ ]*(sched\/ghost\/|\/ghost\.h:).*(warning|error):/p" "$log" | sort -u
}

case ${1-} in
--list)
	printf '%s\n' "${checks[@]}"
	exit ;;
-*)
	usage
	exit 2 ;;
esac
wanted=("$@")
[ $# -gt 0 ] || wanted=("${checks[@]}")
for name in "${wanted[@]}"; do
	[[ " ${checks[*]} " == *" $name "* ]] ||
		die "there is no check '$name'" "there are: ${checks[*]}"
done
for f in "$linux/scripts/checkpatch.pl" "$config"; do
	[ -f "$f" ] || die "no $f" "run make kernel first"
done
for tool in git sparse shellcheck mandoc clang python3; do
	command -v "$tool" >/dev/null || die "no $tool here; run make deps first"
done

cd "$TOP"
mkdir -p "$scratch"
start=$SECONDS
bad=()
for name in "${wanted[@]}"; do
	findings=$("check_$name") || [ -n "$findings" ] ||
		findings="the check itself broke off"
	if [ -z "$findings" ]; then
		printf 'ok %s\n' "$name"
	else
		printf 'FAILED %s\n' "$name"
		printf '    %s\n' "${findings//$'\n'/$'\n'    }"
		bad+=("$name")
	fi
done

took="in $((SECONDS - start)) s"
[ ${#bad[@]} -eq 0 ] || {
	say "${#bad[@]} of ${#wanted[@]} checks found something $took: ${bad[*]}"
	say "one of them again: scripts/check.sh NAME"
	exit 1
}
say "all ${#wanted[@]} checks are clean $took"
