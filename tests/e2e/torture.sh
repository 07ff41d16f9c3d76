#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A short random walk over everything at once, so that the driver of make torture
# stays in order: see ghost-torture --help. A new seed each time; a failure prints
# it.

planned=4
. "$(dirname "$0")/tap.inc"

check "every invariant holds" ghost-torture --seconds 20 --workers $((2 * cpus)) \
	--json
sed -n '/^{/,$p' "$tmp/out" >"$tmp/figures"
check "enclaves were created" grep -Eq '"created": \[[1-9]' "$tmp/figures"
check "policies scheduled" grep -Eq '"committed": \[[1-9]' "$tmp/figures"
check "no kernel report" kernel_is_clean

done_testing
