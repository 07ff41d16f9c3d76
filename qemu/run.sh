#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# run.sh [OPTION]... [-- COMMAND...]
#
# Boots the kernel that scripts/build-kernel.sh built, with the initramfs of
# qemu/initramfs.sh, runs COMMAND in it (a shell with a prompt if there is none)
# and exits with its status: 124 when the guest ran out of time or hung, 125
# when it died.
#
#   --cpus N|TOPOLOGY  what qemu's -smp takes, as 8,sockets=2,cores=4 (4)
#   --memory MB        memory of the guest (1024)
#   --variant NAME     kernel variant: default, lockdep, kasan, kcsan, nobtf, distro; the
#                      modules that tests load come along
#   --file SRC[:DST]   put a file into the guest, by default as /root/NAME
#   --archive FILE     a further cpio archive for the guest's root
#   --append WORDS     further kernel parameters
#   --qemu ARG         a further argument for qemu
#   --accel kvm|tcg|icount  do not find out whether KVM works here; with icount
#                      a nanosecond of the guest is an instruction
#   --timeout SECS     time limit of the whole run (900)
#   --silence SECS     give up when the guest shows no sign of life (120)
#   --name NAME        the console goes to build/logs/NAME.log (guest)
#   --quiet            show the console only when something went wrong

. "$(dirname "$0")/../scripts/common.sh"

cpus=4
memory=
variant=default
files=()
archives=()
append=
qemu_args=()
accel=
timeout=900
silence=120
name=guest
quiet=
while [ $# -gt 0 ]; do
	case $1 in
	--) shift; break ;;
	--quiet) quiet=1; shift; continue ;;
	--cpus|--memory|--variant|--file|--archive|--append|--qemu|--accel|--timeout|--silence|--name)
		[ $# -ge 2 ] || die "$1 wants a value" ;;&
	--cpus) cpus=$2 ;;
	--memory) memory=$2 ;;
	--variant) variant=$2 ;;
	--file) files+=("$2") ;;
	--archive) archives+=("$2") ;;
	--append) append+=" $2" ;;
	--qemu) qemu_args+=("$2") ;;
	--accel) accel=$2 ;;
	--timeout) timeout=$2 ;;
	--silence) silence=$2 ;;
	--name) name=$2 ;;
	*) usage; exit 2 ;;
	esac
	shift 2
done
command=("$@")
[ -n "$memory" ] || memory=$([ "$variant" = default ] && echo 1024 || echo 2048)

kernel=$BUILD/kernel-$variant/arch/x86/boot/bzImage
initramfs=$BUILD/initramfs.cpio
[ -f "$kernel" ] || die "no kernel of variant $variant" \
	"build it: make kernel VARIANT=$variant"
[ -f "$initramfs" ] || die "no build/initramfs.cpio: make initramfs"

console=$BUILD/logs/$name.log
result=$BUILD/logs/$name.result
mkdir -p "$BUILD/logs"
exec 9>"$BUILD/logs/$name.lock"
flock -n 9 || die "a guest named $name runs already" \
	"give this one another name: --name NAME (make: RUN='--name NAME')"

# A /dev/kvm that opens is no proof: it may hang every guest. Boot one and
# remember, until this machine is booted again, whether it came up.
probe_accel()
{
	local cache=$BUILD/accel boot_id found=tcg

	boot_id=$(cat /proc/sys/kernel/random/boot_id)
	if [ -f "$cache" ] && read -r accel id <"$cache" && [ "$id" = "$boot_id" ]; then
		return
	fi
	if [ -r /dev/kvm ] && [ -w /dev/kvm ]; then
		say "does KVM work here? (at most 10 s, asked once)"
		! "$0" --accel kvm --cpus 2 --variant "$variant" --timeout 10 \
			--name kvm-probe --quiet -- true >/dev/null 2>&1 || found=kvm
	fi
	accel=$found
	say "guests run under $([ $accel = kvm ] && echo KVM || echo 'emulation (TCG)')"
	printf '%s %s\n' "$accel" "$boot_id" >"$cache"
}

[ -n "$accel" ] || probe_accel
case $accel in
kvm) accel_args=(-accel kvm) ;;
tcg) accel_args=(-accel "tcg,thread=multi") ;;
icount) accel_args=(-accel "tcg,thread=single" -icount "shift=0,sleep=off") ;;
*) die "--accel is kvm, tcg or icount, not '$accel'" ;;
esac

work=$(mktemp -d)
qemu_pid=
# shellcheck disable=SC2317
cleanup()
{
	[ -z "$qemu_pid" ] || kill "$qemu_pid" 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT

# What this run adds to the initramfs is a second archive behind it.
mkdir -p "$work/root/ghost"
if [ ${#command[@]} -gt 0 ]; then
	printf '%q ' "${command[@]}" >"$work/root/ghost/command"
else
	touch "$work/root/ghost/interactive"
	cat >"$work/root/ghost/command" <<-'END'
	stty rows 24 cols 80
	echo
	echo "SCHED_GHOST guest, Linux $(uname -r), CPUs $(cat /sys/devices/system/cpu/online)."
	echo "ghostctl and ghost-fifo are in the path, the tests in /usr/lib/ghost/tests,"
	echo "enclaves in /sys/fs/ghost. To leave: exit, or Ctrl-A then X."
	echo
	export PS1='ghost:\w# '
	exec sh -i
	END
fi
for spec in "${files[@]}"; do
	src=${spec%%:*}
	[[ $spec == *:/* ]] && dst=${spec#*:} || dst=/root/${src##*/}
	guest_file "$work/root" "$src" "$dst"
done
for module in "$BUILD/kernel-$variant"/{samples/livepatch/livepatch-sample,modules/*}.ko
do
	[ ! -f "$module" ] || guest_file "$work/root" "$module" "/lib/modules/${module##*/}"
done
{
	cat "$initramfs" "${archives[@]}"
	(cd "$work/root" && find . | cpio -o -H newc -R 0:0 --quiet)
} >"$work/initramfs"

# Limits of the guest's own watchdogs are raised: the host starves guests.
append="console=ttyS0 panic=-1 loglevel=5 tsc=reliable no_timer_check \
watchdog_thresh=60 rcupdate.rcu_cpu_stall_timeout=300 workqueue.watchdog_thresh=300$append"
qemu=(qemu-system-x86_64 "${accel_args[@]}" -cpu max -smp "$cpus" -m "$memory"
	-nodefaults -display none -no-reboot -kernel "$kernel" -initrd "$work/initramfs"
	-append "$append" "${qemu_args[@]}")
: >"$console"
: >"$result"

if [ ${#command[@]} -eq 0 ]; then
	"${qemu[@]}" -serial chardev:con -serial "file:$result" -mon chardev=con \
		-chardev "stdio,id=con,mux=on,signal=off,logfile=$console"
	exit 0
fi

say "booting Linux with $cpus CPUs ($variant kernel, $accel), log build/logs/$name.log"
# shellcheck disable=SC2317
stop()
{
	trap - INT TERM
	printf '\n'
	say "interrupted: stopping the guest"
	exit 130
}
trap stop INT TERM

exec 3>&1
[ -z "$quiet" ] || exec 3>/dev/null
"${qemu[@]}" -serial chardev:con -serial "file:$result" \
	-chardev "stdio,id=con,signal=off,logfile=$console" </dev/null \
	> >(sed -u 's/\r$//' >&3) 2>"$work/stderr" &
qemu_pid=$!

start=$SECONDS
life=$SECONDS
size=0
trouble=
while kill -0 $qemu_pid 2>/dev/null; do
	sleep 0.3
	now=$(cat "$console" "$result" | wc -c)
	[ "$now" -eq "$size" ] || { size=$now; life=$SECONDS; }
	if [ $((SECONDS - start)) -ge "$timeout" ]; then
		trouble="the guest was not ready after $timeout s and was stopped"
	elif [ $((SECONDS - life)) -ge "$silence" ]; then
		trouble="the guest hangs: no sign of life for $silence s"
	else
		continue
	fi
	kill $qemu_pid
	break
done
wait $qemu_pid || true
qemu_pid=

status=$(sed -n 's/^ghost-exit \([0-9]*\)$/\1/p' "$result")
[ -n "$trouble" ] || [ -n "$status" ] ||
	trouble="the guest died before its command ended"
if [ -n "$trouble" ]; then
	if [ -n "$quiet" ]; then
		tail -n 60 "$console" | tr -d '\r'
	fi
	cat "$work/stderr" >&2
	say "$trouble; its console: build/logs/$name.log" >&2
	[[ $trouble == *died* ]] && exit 125 || exit 124
fi
exit "$status"
