#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Runs the console blocks of Documentation/guide.md and debugging.md in one
# shell each, and compares what they print with what is written there:
#
#	# COMMAND	run by eval; with " &" at its end, in the background
#	other lines	its output; "..." is any lines
#
# A number of three digits or more, or with a point, stands for any number, and
# blanks for any blanks. What a command in the background prints may come late
# and may be left out.

cat >/tmp/ghost-guide.$$ <<'END-OF-THE-GUIDE'
@GUIDE@
END-OF-THE-GUIDE
planned=$(awk '/^```/ { on = /^```console/ } on && /^# /' /tmp/ghost-guide.$$ | wc -l)
. "$(dirname "$0")/tap.inc"
mv /tmp/ghost-guide.$$ "$tmp/guide"

# Numbered files: N.cmd, and N.out as the guide has it.
awk -v dir="$tmp" '
	/^```/ { on = /^```console/; next }
	!on { next }
	/^# / {
		n++
		print substr($0, 3) >(dir "/" n ".cmd")
		printf "" >(dir "/" n ".out")
		next
	}
	{ print >(dir "/" n ".out") }' "$tmp/guide"

# as_written FRONT BACK WRITTEN: each written line is the next of FRONT, or some
# later one of BACK; nothing of FRONT is left over.
as_written()
{
	awk '
	function pattern(line)
	{
		gsub(/[][\\.^$*+?(){}|\/]/, "\\\\&", line)
		gsub(/[0-9]+\\\.[0-9]+/, "[0-9]+[.][0-9]+", line)
		gsub(/[0-9][0-9][0-9]+/, "[0-9]+", line)
		gsub(/[ \t]+/, "[ \t]+", line)
		return "^" line "$"
	}
	FILENAME == ARGV[1] { front[++nfront] = $0; next }
	FILENAME == ARGV[2] { back[++nback] = $0; next }
	{ written[++n] = $0 }
	END {
		f = b = 1
		for (i = 1; i <= n; i++) {
			if (written[i] == "...") {
				any = 1
				continue
			}
			p = pattern(written[i])
			at = f
			while (any && at <= nfront && front[at] !~ p)
				at++
			if (at <= nfront && front[at] ~ p) {
				f = at + 1
				any = 0
				continue
			}
			while (b <= nback && back[b] !~ p)
				b++
			if (b++ > nback) {
				print "not printed: " written[i]
				exit 1
			}
		}
		if (f <= nfront && !any) {
			print "not in the guide: " front[f]
			exit 1
		}
	}' "$1" "$2" "$3"
}

step()
{
	if within 15 as_written "$tmp/front" "$tmp/back" "$1" >"$tmp/diff" 2>&1; then
		: >"$tmp/back"
		return
	fi
	tail -n 1 "$tmp/diff"
	sed 's/^/printed: /' "$tmp/front" "$tmp/back"
	return 1
}

: >"$tmp/back"
n=0
while [ $n -lt "$planned" ]; do
	n=$((n + 1))
	command=$(cat "$tmp/$n.cmd")
	case $command in
	*" &")
		: >"$tmp/front"
		eval "${command% &} >>\"$tmp/back\" 2>&1 &"
		agents="$agents $!" ;;
	*)
		eval "$command" >"$tmp/front" 2>&1 ;;
	esac
	check "$command" step "$tmp/$n.out"
done
cd /

done_testing
