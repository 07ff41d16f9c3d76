#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# fetch-kernel.sh [--plain]
#
# Puts a Linux 6.12 source tree at build/linux, where prepare-kernel.sh then
# works on it; with --plain at build/linux-plain, which stays as it came. It
# comes from the first of
#
#   KERNEL_SRC=DIR        a tree; it is copied, never changed
#   KERNEL_TARBALL=FILE   a tarball with one tree in it
#   KERNEL_VERSION=6.12.N with KERNEL_SHA256=SUM: the tarball of kernel.org
#   /usr/src/linux-source-6.12.tar.*   Debian's package linux-source-6.12
#
# and is fetched again when this choice changes. Removing the tree starts over
# as well.

. "$(dirname "$0")/common.sh"

tree=$BUILD/linux
case $* in
'') ;;
--plain) tree=$BUILD/linux-plain ;;
*) usage; exit 2 ;;
esac
stamp=$tree/.ghost-source

upstream_tarball()
{
	local name=linux-$KERNEL_VERSION.tar.xz
	local file=$BUILD/download/$name

	[[ $KERNEL_VERSION =~ ^6\.12\.[0-9]+$ ]] ||
		die "KERNEL_VERSION=$KERNEL_VERSION is not of the form 6.12.N"
	[[ ${KERNEL_SHA256-} =~ ^[0-9a-f]{64}$ ]] ||
		die "KERNEL_VERSION is set, but KERNEL_SHA256 is not a SHA-256 sum" \
		    "take the sum of $name from the signed file" \
		    "https://cdn.kernel.org/pub/linux/kernel/v6.x/sha256sums.asc" \
		    "and set KERNEL_SHA256 to it"
	if [ ! -f "$file" ]; then
		say "downloading $name" >&2
		mkdir -p "$BUILD/download"
		curl -fL --progress-bar -o "$file.part" \
			"https://cdn.kernel.org/pub/linux/kernel/v6.x/$name" ||
			die "download of $name failed" \
			    "set KERNEL_TARBALL= or KERNEL_SRC= to a copy you have"
		mv "$file.part" "$file"
	fi
	sha256sum --status -c <<<"$KERNEL_SHA256  $file" ||
		die "$file does not have the SHA-256 sum of KERNEL_SHA256" \
		    "check the sum; remove the file to download it again"
	printf '%s\n' "$file"
}

debian_tarball()
{
	local file

	for file in /usr/src/linux-source-6.12.tar.*; do
		[ ! -f "$file" ] || { printf '%s\n' "$file"; return; }
	done
	die "no kernel source found; do one of these:" \
	    "apt-get install linux-source-6.12" \
	    "set KERNEL_SRC= to a Linux 6.12 tree" \
	    "set KERNEL_TARBALL= to a Linux 6.12 tarball" \
	    "set KERNEL_VERSION=6.12.N and KERNEL_SHA256= for a download"
}

if [ -n "${KERNEL_SRC-}" ]; then
	origin=$(realpath "$KERNEL_SRC")
	[ -f "$origin/kernel/sched/core.c" ] ||
		die "KERNEL_SRC=$KERNEL_SRC is not a Linux tree"
elif [ -n "${KERNEL_TARBALL-}" ]; then
	origin=$(realpath "$KERNEL_TARBALL")
	[ -f "$origin" ] || die "KERNEL_TARBALL=$KERNEL_TARBALL is not a file"
elif [ -n "${KERNEL_VERSION-}" ]; then
	origin=$(upstream_tarball)
else
	origin=$(debian_tarball)
fi

identity="$origin $(stat -c %Y "$origin")"
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$identity" ]; then
	exit 0
fi

[ ! -e "$tree" ] || say "the source is another one now: replacing build/${tree##*/}"
rm -rf "$tree" "$tree.part"
mkdir -p "$tree.part"
start=$SECONDS
if [ -d "$origin" ]; then
	say "copying $origin"
	rsync -a --exclude .git "$origin/" "$tree.part/"
	make -s -C "$tree.part" mrproper
	[ ! -d "$tree.part/.ghost" ] ||
		"$TOP/scripts/prepare-kernel.sh" --linux="$tree.part" --undo
else
	say "unpacking $origin"
	tar -C "$tree.part" -xf "$origin" --strip-components=1
fi
version=$(kernel_version "$tree.part")
[ -n "$version" ] || die "$origin does not hold a Linux tree"
printf '%s\n' "$identity" >"$tree.part/.ghost-source"
mv "$tree.part" "$tree"
say "Linux $version in build/${tree##*/} after $((SECONDS - start)) s"
