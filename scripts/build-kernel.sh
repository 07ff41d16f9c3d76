#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# build-kernel.sh [--variant NAME] [--jobs N]
#
# Fetches and prepares the source in build/linux and builds it in
# build/kernel-VARIANT, from qemu/config/base.config and VARIANT.config. The
# variant plain is the kernel without the series, from build/linux-plain. A
# second run builds only what changed. Modules are built, too, tests/modules
# among them. The whole log goes to build/logs/kernel-VARIANT.log.

. "$(dirname "$0")/common.sh"

variant=default
jobs=$(nproc)
while [ $# -gt 0 ]; do
	case $1 in
	--variant) variant=${2-}; shift ;;
	--jobs) jobs=${2-}; shift ;;
	*) usage; exit 2 ;;
	esac
	shift
done
[ -f "$TOP/qemu/config/$variant.config" ] ||
	die "no kernel variant '$variant': qemu/config/ has no $variant.config"

linux=$BUILD/linux
[ "$variant" != plain ] || linux+=-plain
out=$BUILD/kernel-$variant
log=$BUILD/logs/kernel-$variant.log
mkdir -p "$out" "$BUILD/logs"

lock 9 "$out.lock"
lock 8 "$linux.lock"
source=("$linux/.ghost-source")
if [ "$variant" = plain ]; then
	"$TOP/scripts/fetch-kernel.sh" --plain
else
	"$TOP/scripts/fetch-kernel.sh"
	"$TOP/scripts/prepare-kernel.sh" --linux="$linux"
	source+=("$linux/.ghost/manifest")
fi
exec 8>&-

# Hits also when the checkout lies elsewhere than the one that filled the cache
export CCACHE_BASEDIR=$TOP CCACHE_NOHASHDIR=1
make_args=(-C "$linux" "O=$out" ARCH=x86_64 "-j$jobs")
[ -z "$(command -v ccache)" ] || make_args+=("CC=ccache gcc" "HOSTCC=ccache gcc")

# Prints the lines of the fragments $@ that the configuration does not keep to.
# A later line about a symbol replaces an earlier one.
config_missing()
{
	local line symbol

	while read -r line; do
		if [[ $line =~ ^\#\ (CONFIG_[A-Z0-9_]+)\ is\ not\ set$ ]]; then
			symbol=${BASH_REMATCH[1]}
			! grep -q "^$symbol=" "$out/.config" || printf '%s\n' "$line"
		elif [[ $line == CONFIG_* ]]; then
			grep -qxF "$line" "$out/.config" || printf '%s\n' "$line"
		fi
	done < <(cat "$@" | tac | awk '
		/^(# )?CONFIG_/ && match($0, /CONFIG_[A-Z0-9_]+/) {
			symbol = substr($0, RSTART, RLENGTH)
			if (!(symbol in seen)) print
			seen[symbol] = 1
		}')
}

fragments=("$TOP/qemu/config/base.config" "$TOP/qemu/config/$variant.config")
stamp=$(cat "${fragments[@]}" "${source[@]}" | sha256sum)
if [ ! -f "$out/.config" ] || [ "$stamp" != "$(cat "$out/.ghost-config" 2>/dev/null)" ]
then
	say "configuring the $variant variant"
	{
		make "${make_args[@]}" tinyconfig
		cat "${fragments[@]}" >>"$out/.config"
		make "${make_args[@]}" olddefconfig
	} >"$log" 2>&1 || {
		tail -n 20 "$log"
		die "configuring failed; the whole log is $log"
	}
	missing=$(config_missing "${fragments[@]}")
	[ -f "$linux/kernel/sched/ghost/Kconfig" ] ||
		missing=$(sed /^CONFIG_SCHED_CLASS_GHOST=/d <<<"$missing")
	[ -z "$missing" ] ||
		die "this kernel does not give what the configuration asks for:" \
		    "${missing//$'\n'/, }" \
		    "see what they depend on in the Kconfig files of $linux"
	printf '%s\n' "$stamp" >"$out/.ghost-config"
fi

# Reads the output of make, shows how far it is: on a terminal in one line that
# moves, else in a line every half minute. The first build of a variant is
# measured against the count of steps of the last first build.
progress()
{
	local line total=0 count=0 start=$SECONDS next=$((SECONDS + 30)) text

	[ -f "$out/vmlinux" ] || total=$(cat "$steps" 2>/dev/null || echo 2250)
	while read -r line; do
		[[ $line =~ ^[A-Z]+[A-Z0-9_]*\ +[^\ ]+$ ]] || continue
		count=$((count + 1))
		[ -t 1 ] || [ $SECONDS -ge $next ] || continue
		next=$((SECONDS + 30))
		text="$count steps"
		[ "$total" -eq 0 ] ||
			text="$((count < total ? 100 * count / total : 99)) % ($text)"
		text="kernel: $text, $((SECONDS - start)) s, $line"
		if [ -t 1 ]; then
			printf '\r\e[K%.78s' "$text"
		else
			printf '%.78s\n' "$text"
		fi
	done
	[ ! -t 1 ] || printf '\r\e[K'
	[ "$total" -eq 0 ] || printf '%s\n' "$count" >"$steps.new"
}

steps=$BUILD/logs/kernel-$variant.steps
rm -f "$steps.new"
start=$SECONDS
build()
{
	# A module is built where its source is, and anew if the kernel's types may have
	# changed: kbuild does not see to that for modules from outside
	make "${make_args[@]}" bzImage modules &&
		mkdir -p "$out/modules" && cp -pu "$TOP"/tests/modules/* "$out/modules" &&
		find "$out/modules" -name '*.ko' ! -newer "$out/vmlinux" -delete &&
		make "${make_args[@]}" "M=$out/modules" modules
}

if ! build 2>&1 | tee "$log" | progress; then
	grep -anE -B1 -A4 'error|Error [0-9]+|undefined reference|multiple definition' \
		"$log" | head -n 40 || true
	die "the kernel did not build; the whole log is $log"
fi
[ ! -f "$steps.new" ] || mv "$steps.new" "$steps"
warnings=$(grep -ac 'warning:' "$log" || true)
[ "$warnings" -eq 0 ] || say "$warnings compiler warnings, see $log"
say "kernel ready after $((SECONDS - start)) s: build/kernel-$variant/arch/x86/boot/bzImage"
