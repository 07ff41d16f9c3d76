#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# deps.sh [--bench|--unhurt] [--list]
#
# Installs the Debian packages that the build and the guest need and that are
# missing here, through sudo when not root. Says nothing when all are there.
# --bench and --unhurt add what scripts/bench.sh or unhurt.sh needs, --list only
# prints the names.

. "$(dirname "$0")/common.sh"

packages=(
	build-essential bc bison flex libelf-dev libssl-dev pahole rsync kmod
	patch xz-utils curl ccache pkg-config python3
	git sparse shellcheck mandoc clang libbpf-dev bpftool
	cpio busybox-static qemu-system-x86 stress-ng rt-tests
)
[ -n "${KERNEL_SRC-}${KERNEL_TARBALL-}${KERNEL_VERSION-}" ] ||
	packages+=(linux-source-6.12)

case ${1-} in
--bench)
	packages+=(clang-19 llvm-19 zlib1g-dev gnuplot-nox linux-perf)
	shift ;;
--unhurt)
	packages+=(clang-19 llvm-19 zlib1g-dev libzstd-dev libcap-dev)
	shift ;;
esac
case ${1-} in
--list)
	printf '%s\n' "${packages[@]}"
	exit ;;
'') ;;
*)
	usage
	exit 2 ;;
esac

command -v dpkg-query >/dev/null ||
	die "this is no Debian: install by hand what these packages hold:" \
	    "${packages[*]}"

missing=()
for p in "${packages[@]}"; do
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] ||
		missing+=("$p")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
	as_root=(sudo)
	command -v sudo >/dev/null ||
		die "packages are missing, and there is no sudo; as root, run:" \
		    "apt-get install ${missing[*]}"
fi

say "packages to install${as_root[0]+ (through sudo)}:"
printf '    %s\n' "${missing[@]}"
start=$SECONDS
"${as_root[@]}" apt-get update -q ||
	say "apt-get update failed; going on with the package lists of before"
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
	apt-get install -q -y --no-install-recommends "${missing[@]}" ||
	die "apt-get could not install the packages above" \
	    "linux-source-6.12 is in Debian 12's updates; to do without it, set" \
	    "KERNEL_SRC= (a tree) or KERNEL_TARBALL= (see scripts/fetch-kernel.sh)"
say "${#missing[@]} packages installed in $((SECONDS - start)) s (download included)"
