#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# series.sh [--check] [--jobs N] [--signoff 'NAME <MAIL>'] [--prefix WORDS]
#
# Writes the kernel side as a mailing-list series for git am to build/series/:
# a cover letter with the table of the last make bench, and commits, cut from
# the hooks in patches/6.12/ and the files in kernel/ as patches/6.12/commits
# says. checkpatch --strict must have nothing to say but what
# patches/6.12/commits.checkpatch excuses.
#
#   --check    also apply it with git am to a git tree of the plain source,
#              build what each commit touches and kernel/sched/, option off and
#              on, and compare the result with what prepare-kernel.sh makes
#   --jobs N   processes at a time, for --check
#   --signoff  author of the commits, who signs them off; a series without it
#              is not for submission
#   --prefix   what stands in the brackets of the subjects (PATCH)

. "$(dirname "$0")/common.sh"

check=
jobs=$(nproc)
signoff=
prefix=PATCH
while [ $# -gt 0 ]; do
	case $1 in
	--check) check=1; shift; continue ;;
	--jobs|--signoff|--prefix) [ $# -ge 2 ] || die "$1 wants a value" ;;&
	--jobs) jobs=$2 ;;
	--signoff) signoff=$2 ;;
	--prefix) prefix=$2 ;;
	*) usage; exit 2 ;;
	esac
	shift 2
done

patches=$TOP/patches/6.12
plain=$BUILD/linux-plain
series=$BUILD/series
work=$BUILD/series-work
repo=$work/repo
mkdir -p "$work"
lock 9 "$work/lock"
lock 8 "$plain.lock"
"$TOP/scripts/fetch-kernel.sh" --plain
exec 8>&-

# Commits must not depend on who makes them and where.
author='SCHED_GHOST developers <ghost@localhost>'
[ -z "$signoff" ] || author=$signoff
[[ $author =~ ^(.+)\ \<(.+@.+)\>$ ]] ||
	die "--signoff wants 'NAME <MAIL>', not '$author'"
export GIT_AUTHOR_NAME=${BASH_REMATCH[1]} GIT_AUTHOR_EMAIL=${BASH_REMATCH[2]}
export GIT_COMMITTER_NAME=$GIT_AUTHOR_NAME GIT_COMMITTER_EMAIL=$GIT_AUTHOR_EMAIL
GIT_AUTHOR_DATE=$(git -C "$TOP" log -1 --format=%cI 2>/dev/null ||
	echo 2026-01-01T00:00:00Z)
export GIT_AUTHOR_DATE GIT_COMMITTER_DATE=$GIT_AUTHOR_DATE
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null

mapfile -t patch_names < <(sed 's/#.*//; s/[[:space:]]*$//; /^$/d' "$patches/series")
mapfile -t own_files < <(cd "$TOP/kernel" && find . -type f ! -name '.*' ! -name '*~' \
	! -name '*.orig' ! -name '*.rej' ! -name '*.o' -printf '%P\n' | sort)

# A git repository of only the files concerned is enough to make the commits.
rm -rf "$repo"
mkdir "$repo"
git -C "$repo" init -q
while read -r f; do
	mkdir -p "$repo/$(dirname "$f")"
	cp "$plain/$f" "$repo/$f"
done < <(cd "$patches" && sed -n 's,^--- a/,,p' "${patch_names[@]}" | sort -u)
git -C "$repo" add -A
git -C "$repo" commit -q -m "Linux $(kernel_version "$plain")"
git -C "$repo" tag base

# Prints the list of objects of kernel/sched/ghost/ as far as they are there.
objects_so_far()
{
	local line word out

	while read -r line; do
		case $line in
		obj-y*)
			out=
			for word in ${line#*=}; do
				[ ! -f "$repo/kernel/sched/ghost/${word%.o}.c" ] ||
					out+=" $word"
			done
			[ -z "$out" ] || printf 'obj-y +=%s\n' "$out" ;;
		*) printf '%s\n' "$line" ;;
		esac
	done <"$TOP/kernel/kernel/sched/ghost/Makefile"
}

# Adds one line "file = " or "patch = " of a block to the tree.
take()
{
	local kind=$1 what=$2 name options=()

	case $kind in
	file)
		[ -f "$TOP/kernel/$what" ] ||
			die "patches/6.12/commits names kernel/$what, which is not there"
		mkdir -p "$repo/$(dirname "$what")"
		cp "$TOP/kernel/$what" "$repo/$what" ;;
	patch)
		name=${what%% *}
		case $what in
		*' only '*) options=("--include=${what##* }") ;;
		*' without '*) options=("--exclude=${what##* }") ;;
		esac
		[ -n "$subject" ] || {
			subject=$(sed -n '/^Subject: /{s/^Subject: \[[^]]*\] //p;q}' \
				"$patches/$name")
			text=$(sed '1,/^$/d; /^---$/,$d; /^Signed-off-by: /d' \
				"$patches/$name")$'\n'
		}
		git -C "$repo" apply -p1 "${options[@]}" "$patches/$name" ||
			die "$name does not apply at '$subject'" \
			    "see its place in patches/6.12/commits" ;;
	*) die "patches/6.12/commits: what is '$kind = $what'?" ;;
	esac
}

commit()
{
	[ -n "$subject$text${parts[*]-}" ] || return 0
	for part in "${parts[@]}"; do
		take "${part%% *}" "${part#* = }"
	done
	[ ! -f "$repo/kernel/sched/ghost/Makefile" ] ||
		objects_so_far >"$repo/kernel/sched/ghost/Makefile"
	git -C "$repo" add -A
	git -C "$repo" commit -q ${signoff:+-s} -m "$subject" -m "$text"
}

subject='' text='' parts=() place=none
while IFS= read -r line; do
	case $place,$line in
	*,'['*']')
		commit
		subject=${line#[} subject=${subject%]} text='' parts=() place=head ;;
	none,*|head,'#'*) ;;
	head,'') place=text ;;
	head,*) parts+=("$line") ;;
	text,*) text+=$line$'\n' ;;
	esac
done < <(sed '/^#/d' "$patches/commits")
commit

# The whole must be there: what prepare-kernel.sh would make of these files.
whole=$work/whole
rm -rf "$whole"
mkdir "$whole"
git -C "$repo" archive base | tar -C "$whole" -x
for name in "${patch_names[@]}"; do
	patch -d "$whole" -p1 -s --fuzz=0 --no-backup-if-mismatch <"$patches/$name"
done
for f in "${own_files[@]}"; do
	install -D -m 644 "$TOP/kernel/$f" "$whole/$f"
done
difference=$(diff -rq --exclude=.git "$whole" "$repo") ||
	die "the commits of patches/6.12/commits are not the whole series:" \
	    "${difference//$'\n'/$'\n'    }"

rm -rf "$series"
git -C "$repo" format-patch -q --zero-commit --no-signature --cover-letter \
	--subject-prefix="$prefix" -o "$series" base
# The table of the last make bench, if there was one
figures=$(cat "$BUILD/bench/default.txt" 2>/dev/null) || true
[ -n "$figures" ] ||
	figures="Not measured here. The project's repository does it with make bench:
switches, commits, messages and remote schedules, against EEVDF and scx_simple
in the same boot."
{
	cover=$(sed '/^#/d' "$patches/cover-letter.txt")
	title=${cover%%$'\n'*}
	cover=${cover#*$'\n\n'}
	cover=${cover/@FIGURES@/$figures}
	while IFS= read -r line; do
		case $line in
		Subject:*) printf '%s\n' "${line%%\**}$title" ;;
		'*** BLURB HERE ***') printf '%s\n' "$cover" ;;
		*) printf '%s\n' "$line" ;;
		esac
	done <"$series/0000-cover-letter.patch"
} >"$work/cover"
mv "$work/cover" "$series/0000-cover-letter.patch"
count=$(git -C "$repo" rev-list --count base..HEAD)
say "build/series/: a cover letter and $count patches for Linux" \
    "$(kernel_version "$plain")"
[ -n "$signoff" ] || say "they are not signed off: --signoff 'NAME <MAIL>'"

failed=0

# Prints what checkpatch says of the patch $1 and nothing excuses.
checkpatch()
{
	local line file excused pattern type

	while IFS= read -r line; do
		excused=
		if [[ $line =~ ^([^:]*):[0-9]+:\ [A-Z]+:([A-Z_]+): ]]; then
			file=${BASH_REMATCH[1]}
			while IFS=$'\t' read -r pattern type; do
				[ "$type" != "${BASH_REMATCH[2]}" ] || excused=1
			done < <(grep -v '^#' "$patches/commits.checkpatch" |
				while IFS=$'\t' read -r pattern type; do
					[[ ! $file =~ ^($pattern)$ ]] ||
						printf '%s\t%s\n' "$pattern" "$type"
				done)
		fi
		[ -n "$excused" ] || printf '%s\n' "$line"
	done < <("$plain/scripts/checkpatch.pl" --root="$plain" --strict --terse \
		--showfile --show-types --no-summary "$1" 2>&1)
}

# Reports on $1: ok if the text $2 is empty.
report()
{
	if [ -z "$2" ]; then
		printf '%-66.66s ok\n' "$1"
	else
		printf '%-66.66s FAILED\n' "$1"
		printf '%s\n' "$2" | tail -n 20 | sed 's/^/    /'
		failed=1
	fi
}

cd "$work" || exit
findings=
for f in "$series"/*.patch; do
	out=$([[ $f == */0000-* ]] || checkpatch "$f")
	[ -z "$out" ] || findings+="${f##*/}:"$'\n'"$out"$'\n'
done
report "checkpatch --strict" "$findings"
[ -n "$check" ] || exit $failed

# A git tree of the whole plain source; files are shared with the plain tree,
# which git does not write to but replaces.
tree=$work/linux
if ! cmp -s "$plain/.ghost-source" "$tree/.ghost-source"; then
	say "making a git tree of the plain source, which takes a minute or two"
	rm -rf "$tree" "$tree.part"
	cp -al "$plain" "$tree.part"
	git -C "$tree.part" init -q
	git -C "$tree.part" config core.looseCompression 0
	git -C "$tree.part" config gc.auto 0
	# Debian's .gitignore names everything
	git -C "$tree.part" add -A -f -- . ":!.ghost-source"
	git -C "$tree.part" commit -q -m "Linux $(kernel_version "$plain")"
	git -C "$tree.part" tag plain
	mv "$tree.part" "$tree"
fi
git -C "$tree" am -q --abort 2>/dev/null || true
git -C "$tree" reset -q --hard plain
git -C "$tree" clean -q -fdx -e .ghost-source

files=("$series"/*.patch)
files=("${files[@]:1}")
out=$(git -C "$tree" am -q "${files[@]}" 2>&1) || {
	report "git am" "$out"
	exit 1
}
report "git am" ""
rm -rf "$work/prepared"
cp -al "$plain" "$work/prepared"
"$TOP/scripts/prepare-kernel.sh" --linux="$work/prepared" >"$work/prepare.log"
report "same files as prepare-kernel.sh makes" \
	"$(diff -rq --exclude=.git --exclude='.ghost*' "$work/prepared" "$tree")"
rm -rf "$work/prepared"

export CCACHE_BASEDIR=$TOP CCACHE_NOHASHDIR=1
compiler=()
[ -z "$(command -v ccache)" ] || compiler=("CC=ccache gcc" "HOSTCC=ccache gcc")

# Configures the build $work/$1 with the line $2.
configure()
{
	local out=$work/$1

	mkdir -p "$out"
	make -C "$tree" O="$out" ARCH=x86_64 "${compiler[@]}" tinyconfig &&
	{ cat "$TOP/qemu/config/base.config"; echo CONFIG_WERROR=y; echo "$2"; } \
		>>"$out/.config" &&
	make -C "$tree" O="$out" ARCH=x86_64 "${compiler[@]}" olddefconfig
}

# Builds kernel/sched/ and the objects $2... in $work/$1, on or off. While
# Kconfig does not have the option, it is forced on. Prints what went wrong.
build()
{
	local out=$work/$1 log=$work/$1.log force=()

	[ "$1" = off ] || [ -f "$tree/kernel/sched/ghost/Kconfig" ] ||
		force=(CONFIG_SCHED_CLASS_GHOST=y
			KCPPFLAGS=-DCONFIG_SCHED_CLASS_GHOST=1)
	shift
	make -C "$out" "${compiler[@]}" "-j$jobs" "${force[@]}" kernel/sched/ "$@" \
		>"$log" 2>&1 || { tail -n 15 "$log"; return; }
	grep -a 'warning:' "$log" || true
}

# Prints the objects outside of kernel/sched/ that the last commit touches.
touched_objects()
{
	git -C "$tree" diff --name-only HEAD~1 | while read -r f; do
		case $f in
		kernel/sched/*) ;;
		kernel/rcu/tasks.h) echo kernel/rcu/update.o ;;
		*.c) echo "${f%.c}.o" ;;
		esac
	done
}

configured=
mapfile -t revisions < <(git -C "$tree" rev-list --reverse plain..HEAD)
for i in "${!revisions[@]}"; do
	name=${files[i]##*/} name=${name%.patch}
	git -C "$tree" reset -q --hard "${revisions[i]}"
	if [ "$configured" != "$(cat "$tree"/kernel/sched/ghost/Kconfig* 2>/dev/null || echo no)" ]
	then
		configured=$(cat "$tree"/kernel/sched/ghost/Kconfig* 2>/dev/null || echo no)
		for out in off on; do
			line=CONFIG_SCHED_CLASS_GHOST=y
			[ $out = on ] || line="# CONFIG_SCHED_CLASS_GHOST is not set"
			configure $out "$line" >"$work/$out.log" 2>&1 ||
				die "configuring failed, see $work/$out.log"
		done
		[ "$configured" = no ] ||
			grep -qx CONFIG_SCHED_CLASS_GHOST=y "$work/on/.config" ||
			die "$name: the option cannot be set"
	fi
	mapfile -t objects < <(touched_objects)
	report "$name: off" "$(build off "${objects[@]}")"
	[ ! -f "$tree/kernel/sched/ghost/Makefile" ] ||
		report "$name: on" "$(build on "${objects[@]}")"
done

exit $failed
