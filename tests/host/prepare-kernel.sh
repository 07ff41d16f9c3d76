#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#
# prepare-kernel.sh: what it does to a tree and what it refuses. Prints TAP.
#
# Works on copies of those files of build/linux-plain that the series touches.
# shellcheck disable=SC2317	# functions are called through ok

set -euo pipefail

TOP=$(cd "$(dirname "$0")/../.." && pwd)
plain=$TOP/build/linux-plain
[ -d "$plain" ] || "$TOP/scripts/fetch-kernel.sh" --plain >&2
prepare=$TOP/scripts/prepare-kernel.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/linux
nr=0
failed=0

# Reports on the command after the name of the test.
ok()
{
	local name=$1

	shift
	nr=$((nr + 1))
	if "$@"; then
		echo "ok $nr $name"
	else
		echo "not ok $nr $name"
		sed 's/^/# /' "$work/out"
		failed=1
	fi
}

run()
{
	"$prepare" --linux="$tree" "$@" >"$work/out" 2>&1
}

# It fails, says each of the words after --, and changes nothing.
refuses()
{
	local before word options=()

	while [ "$1" != -- ]; do options+=("$1"); shift; done
	shift
	before=$(content)
	! run "${options[@]}" || return 1
	[ "$before" = "$(content)" ] || return 1
	for word; do grep -qF -- "$word" "$work/out" || return 1; done
}

# Name, content and age of every file of the tree.
content()
{
	(cd "$tree" && find . -type f -printf '%p %T@\n' -exec sha256sum {} + | sort)
}

fresh()
{
	rm -rf "$tree"
	mkdir "$tree"
	(cd "$plain" && cp --parents Makefile "${touched[@]}" "$tree")
}

says() { run "${@:2}" && grep -qF -- "$1" "$work/out"; }
as_it_was() { diff -rq "$work/plain" "$tree" >"$work/out"; }
edit() { sed -i "$1" "$tree/$2"; }

mapfile -t touched < <(sed -n 's,^--- a/,,p' "$TOP"/patches/6.12/*.patch | sort -u)
fresh
cp -r "$tree" "$work/plain"

echo "1..19"
before=$(content)
ok "a dry run says what would change" says "files would change" --dry-run
ok "... and changes nothing" [ "$before" = "$(content)" ]
ok "it prepares a tree" says "patches"
ok "... with the hooks" grep -q ghost_decide "$tree/kernel/sched/core.c"
ok "... and the files of the class" \
	cmp "$TOP/kernel/kernel/sched/ghost/class.c" "$tree/kernel/sched/ghost/class.c"
before=$(content)
run || true
ok "a second run changes no file of the kernel" \
	[ "$(grep -v ' \./\.ghost/\|^\./\.ghost/' <<<"$before")" = \
	  "$(content | grep -v ' \./\.ghost/\|^\./\.ghost/')" ]
ok "a dry run finds nothing left to do" says ": 0 files would change" --dry-run

edit '1i /* a change of somebody else */' kernel/sched/core.c
run || true
ok "a change beside the hooks stays" \
	grep -q "somebody else" "$tree/kernel/sched/core.c"
edit 1d kernel/sched/core.c

edit 's/ghost_decide(rq)/mine(rq)/' kernel/sched/core.c
ok "a change of a hook is refused" refuses -- "core.c" "edited since"
ok "... by undo as well" refuses --undo -- "core.c" "edited since"
edit 's/mine(rq)/ghost_decide(rq)/' kernel/sched/core.c

echo "/* mine */" >>"$tree/kernel/sched/ghost/class.c"
ok "a change of a file of the class is refused" refuses -- "ghost/class.c was edited"
ok "... by undo as well" refuses --undo -- "ghost/class.c was edited"
rm "$tree/kernel/sched/ghost/class.c"

ok "undo works" says "plain Linux" --undo
ok "... and leaves nothing behind" as_it_was
ok "undo without need says so" says "nothing to undo" --undo

edit 's/^PATCHLEVEL = .*/PATCHLEVEL = 13/' Makefile
ok "another kernel is refused" refuses -- "6.13" "6.12.y"
fresh
run
rm -r "$tree/.ghost"
ok "a tree patched otherwise is refused" refuses -- "SCHED_GHOST already"
fresh
edit '/prev_balance(rq, rf);/d' kernel/sched/core.c
ok "a tree in which a hook finds no place is refused" \
	refuses -- "does not apply" "core.c" "nothing was changed"
rm "$tree/kernel/sched/core.c"
ok "what is no kernel tree is refused" refuses -- "not a Linux source tree"
exit $failed
