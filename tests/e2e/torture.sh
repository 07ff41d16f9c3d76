#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A short random walk over everything at once, so that the driver of make torture
# stays in order: see ghost-torture --help. A new seed each time; a failure prints
# it. What so short a walk meets is chance: one in which no policy got a task and a
# CPU has successors.

planned=4
. "$(dirname "$0")/tap.inc"

# counts WORD: the figure is not 0
counts()
{
	grep -Eq "\"$1\": \[[1-9]" "$tmp/figures" || ! cat "$tmp/figures"
}

walk()
{
	for _ in 1 2 3; do
		ghost-torture --seconds 20 --workers $((2 * cpus)) --json \
			>"$tmp/walk" || ! cat "$tmp/walk" || return
		sed -n '/^{/,$p' "$tmp/walk" >"$tmp/figures"
		counts committed && break
	done
	return 0
}

check "every invariant holds" walk
check "enclaves were created" counts created
check "policies scheduled" counts committed
check "no kernel report" kernel_is_clean

done_testing
