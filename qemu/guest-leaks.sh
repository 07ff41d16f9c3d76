#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# leaks [COMMAND [ARGUMENT]...]
#
# Runs the command, then asks a kernel that looks for lost memory (kmemleak): prints
# what was allocated for ghost, or for a task, and is lost. Fails when the command
# did, or when something is lost.

status=0
[ $# -eq 0 ] || "$@" || status=$?

leaks=/sys/kernel/debug/kmemleak
[ -e $leaks ] || exit $status
# What is young, or changed since the last scan, is not told of.
sleep 6
for _ in 1 2 3; do
	echo scan >$leaks
done
lost=$(awk '
/^unreferenced object/ { print_lost(); record = ""; ours = 0 }
{ record = record $0 "\n" }
/^ +[a-z0-9_.]*(ghost|copy_process)[a-z0-9_.]*\+0x/ { ours = 1 }
END { print_lost() }
function print_lost() { if (ours) printf "%s", record }' $leaks)
[ -n "$lost" ] || exit $status
echo "kmemleak: memory was lost"
printf '%s\n' "$lost"
exit 1
