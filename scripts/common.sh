# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Sourced by every script of the project: where things are, how to speak.

set -euo pipefail

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck disable=SC2034
BUILD=$TOP/build
PROG=${0##*/}

say()
{
	printf '%s: %s\n' "${PROG%.sh}" "$*"
}

# Each argument is one line.
die()
{
	printf '%s: error: %s\n' "${PROG%.sh}" "$1" >&2
	shift
	[ $# -eq 0 ] || printf '    %s\n' "$@" >&2
	exit 1
}

# The comment block at the head of the script is its help text.
usage()
{
	sed -n '2,/^$/{ /SPDX/d; s/^# \{0,1\}//p; }' "$0"
}

# Prints the version of the kernel tree $1, or nothing if it is none.
kernel_version()
{
	[ -f "$1/kernel/sched/core.c" ] || return 0
	awk -F' *= *' '
		$1 == "VERSION" { v = $2 } $1 == "PATCHLEVEL" { p = $2 }
		$1 == "SUBLEVEL" { print v "." p "." $2; exit }' "$1/Makefile"
}

# Puts the file $2 at $3 of the guest's root $1, and the shared libraries that
# it needs where it looks for them.
guest_file()
{
	local lib

	[ -f "$2" ] || die "$2 is to go into the guest, but is not there"
	install -D "$2" "$1$3"
	[ -x "$2" ] || { chmod 644 "$1$3"; return; }
	while read -r lib; do
		[ -e "$1$lib" ] || install -D "$(realpath "$lib")" "$1$lib"
	done < <(ldd "$2" 2>/dev/null | sed -nE 's,.*(^|[[:space:]])(/[^ ]+) \(0x.*,\2,p')
}

# Takes the lock file $2 through descriptor $1: two builds at once would destroy
# each other's files.
lock()
{
	eval "exec $1>\"\$2\""
	flock -n "$1" || {
		say "waiting for another build in this checkout to end"
		flock "$1"
	}
}
