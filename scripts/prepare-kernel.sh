#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# prepare-kernel.sh --linux=DIR [--dry-run] [--undo]
#
# Makes the Linux 6.12 tree DIR one with SCHED_GHOST: applies the patches that
# patches/6.12/series names and copies the files below kernel/ over it. All or
# nothing. Files that are as they should be are left alone, so a second run
# changes nothing and make rebuilds only what changed. When the patches have
# changed, those applied before are taken back first. Changes of others stay,
# and where they are in the way, DIR is refused.
#
#   --dry-run  only say whether it would work and what would change
#   --undo     give DIR back as it was
#
# What was done is remembered in DIR/.ghost/.

. "$(dirname "$0")/common.sh"

linux=
dry_run=
undo=
for arg; do
	case $arg in
	--linux=?*) linux=${arg#*=} ;;
	--dry-run) dry_run=1 ;;
	--undo) undo=1 ;;
	*) usage; exit 2 ;;
	esac
done
[ -n "$linux" ] || { usage; exit 2; }

version=$(kernel_version "$linux")
[ -n "$version" ] || die "$linux is not a Linux source tree"
case $version in
6.12.*) ;;
*)
	die "$linux is Linux $version; the series is for 6.12.y" \
	    "use a 6.12.y tree, for example of Debian's linux-source-6.12" ;;
esac
[ -n "$dry_run" ] || [ -w "$linux" ] || die "$linux cannot be written to"

state=$linux/.ghost
series=$TOP/patches/6.12
[ ! -d "$state" ] || [ -f "$state/manifest" ] ||
	die "$state is not of this script; remove it if you know what it is"
[ -z "$undo" ] || [ -d "$state" ] || {
	say "$linux is not prepared: nothing to undo"
	exit 0
}
[ -d "$state" ] || [ ! -f "$linux/kernel/sched/ghost/Kconfig" ] ||
	die "$linux has SCHED_GHOST already, but not by this script" \
	    "it may be a git tree with the series applied: take that back there," \
	    "or use another tree"

# The work is done in a scratch tree that holds only the files concerned, and
# what comes out of it is carried over when all has worked.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/tree" "$scratch/state" "$scratch/state/patches"

# Prints the names of the patches in the folder $1, in order.
patch_names()
{
	[ ! -f "$1/series" ] || sed 's/#.*//; s/[[:space:]]*$//; /^$/d' "$1/series"
}

# Prints the files that the patches in the folder $1 touch.
patched_files()
{
	local name

	while read -r name; do
		sed -nE 's,^(---|\+\+\+) [ab]/([^\t]*).*,\2,p' "$1/$name"
	done < <(patch_names "$1")
}

# Runs patch for $1/$2 on the scratch tree, with further options.
run_patch()
{
	local dir=$1 name=$2

	shift 2
	patch -d "$scratch/tree" -p1 --fuzz=0 --force --no-backup-if-mismatch \
		-r - "$@" <"$dir/$name" >"$scratch/out" 2>&1
}

failing_files()
{
	awk '/^(checking|patching) file/ { f = $3 }
	     /FAILED|can.t find file|No file to patch|Skipping|cannot|previously applied/ {
		print sep (f ? f ": " : "") $0
		sep = "    " }' "$scratch/out"
}

while read -r name; do
	[ -f "$series/$name" ] ||
		die "patches/6.12/series names $name, which is not there"
	cp "$series/$name" "$scratch/state/patches/"
done < <([ -n "$undo" ] || patch_names "$series")
[ -n "$undo" ] || patch_names "$series" >"$scratch/state/patches/series"
[ -n "$undo" ] || (cd "$TOP/kernel" && find . -type f ! -name '.*' ! -name '*~' \
	! -name '*.orig' ! -name '*.rej' ! -name '*.o' -printf '%P\n') |
	sort >"$scratch/state/manifest"

# Own files that are not as this script left them
edited=$(cd "$linux" && sha256sum -c --quiet .ghost/sums 2>/dev/null |
	sed -n 's/: FAILED$//p') || true
for f in $edited; do
	[ -n "$undo" ] || ! cmp -s "$TOP/kernel/$f" "$linux/$f" || continue
	die "$linux/$f was edited since it was put there" \
	    "save the edit (for example as kernel/$f here), then remove the file"
done

changed=()
mapfile -t files < <({ patched_files "$state/patches"
	patched_files "$scratch/state/patches"; } | sort -u)
for f in "${files[@]}"; do
	[ -f "$linux/$f" ] || continue
	mkdir -p "$scratch/tree/$(dirname "$f")"
	cp -p "$linux/$f" "$scratch/tree/$f"
done
while read -r name; do
	run_patch "$state/patches" "$name" -R ||
		die "cannot take back $name, applied here before, from:" \
		    "$(failing_files)" \
		    "$linux was edited since; start from a fresh tree"
done < <(patch_names "$state/patches" | tac)
while read -r name; do
	run_patch "$series" "$name" ||
		die "$name does not apply to Linux $version:" \
		    "$(failing_files)" \
		    "nothing was changed in $linux" \
		    "use a 6.12.y closer to the one the series was made for"
done < <(patch_names "$scratch/state/patches")

while read -r f; do
	mkdir -p "$scratch/tree/$(dirname "$f")"
	cp "$TOP/kernel/$f" "$scratch/tree/$f"
	[ ! -e "$linux/$f" ] || grep -qxF -- "$f" "$state/manifest" 2>/dev/null ||
		die "kernel/$f would overwrite a file that Linux $version has" \
		    "changes to existing files belong into patches/6.12/"
	files+=("$f")
done < <([ -n "$undo" ] || cat "$scratch/state/manifest")
if [ -d "$state" ]; then
	while read -r f; do
		[ -e "$scratch/tree/$f" ] || files+=("$f")
	done <"$state/manifest"
fi

for f in "${files[@]}"; do
	if [ -e "$scratch/tree/$f" ]; then
		cmp -s "$scratch/tree/$f" "$linux/$f" || changed+=("$f")
	elif [ -e "$linux/$f" ]; then
		changed+=("$f")
	fi
done

if [ -n "$dry_run" ]; then
	say "$linux (Linux $version): ${#changed[@]} files would change"
	[ ${#changed[@]} -eq 0 ] || printf '    %s\n' "${changed[@]}"
	exit 0
fi

# First write all beside its place, which may fail, then rename, which does not.
# Hard links of other trees to the files of this one keep what they have.
trap 'cd "$linux" && rm -f "${changed[@]/%/.ghost-new}"; rm -rf "$scratch"' EXIT
for f in "${changed[@]}"; do
	[ -e "$scratch/tree/$f" ] || continue
	mkdir -p "$linux/$(dirname "$f")"
	cp "$scratch/tree/$f" "$linux/$f.ghost-new"
done
rm -rf "$linux/.ghost-new"
[ -n "$undo" ] || {
	(cd "$scratch/tree" && xargs -r -d '\n' sha256sum) \
		<"$scratch/state/manifest" >"$scratch/state/sums"
	cp -r "$scratch/state" "$linux/.ghost-new"
}

trap '' INT TERM
for f in "${changed[@]}"; do
	if [ -e "$linux/$f.ghost-new" ]; then
		mv -f "$linux/$f.ghost-new" "$linux/$f"
	else
		rm -f "$linux/$f"
		rmdir -p --ignore-fail-on-non-empty "$linux/$(dirname "$f")"
	fi
done
rm -rf "$state"
if [ -n "$undo" ]; then
	say "$linux is plain Linux $version again (${#changed[@]} files changed)"
	exit 0
fi
mv "$linux/.ghost-new" "$state"

[ ${#changed[@]} -eq 0 ] || {
	say "$linux (Linux $version): $(patch_names "$series" | wc -l) patches," \
	    "$(wc -l <"$state/manifest") own files, ${#changed[@]} files changed"
	say "undo with: scripts/prepare-kernel.sh --linux=$linux --undo"
}
