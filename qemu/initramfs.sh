#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# initramfs.sh
#
# Builds the root file system of the guest, build/initramfs.cpio: busybox,
# qemu/init, the scripts that run in the guest, all that is in build/user/bin and
# build/user/tests, hackbench, stress-ng and, if it is here, bpftool, with the
# shared libraries they need. Not compressed: unpacking would be the slowest part
# of the boot under emulation.

. "$(dirname "$0")/../scripts/common.sh"

[ $# -eq 0 ] || { usage; exit 2; }

out=$BUILD/initramfs.cpio
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

mkdir -p "$root"/{dev,proc,sys,tmp,run,root,etc,var,usr/{bin,sbin,lib},bin,sbin}
ln -s /run "$root/var/run"
printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' \
	>"$root/etc/passwd"
printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"

busybox=$(command -v busybox) || die "busybox is missing: run scripts/deps.sh"
! ldd "$busybox" 2>/dev/null | grep -q '=>' ||
	die "$busybox is linked dynamically: install busybox-static"
guest_file "$root" "$busybox" /bin/busybox
"$busybox" --list-full | while read -r applet; do
	mkdir -p "$root/${applet%/*}"
	[ -e "$root/$applet" ] || ln -s /bin/busybox "$root/$applet"
done

guest_file "$root" "$TOP/qemu/init" /init
for script in run-tests limited leaks demo bench unhurt; do
	guest_file "$root" "$TOP/qemu/guest-$script.sh" "/usr/lib/ghost/$script"
done
grep -v '^#' "$TOP/qemu/kernel-complaints" >"$root/usr/lib/ghost/complaints"
grep '^[^#]' "$TOP/qemu/kcsan-mainline" >"$root/usr/lib/ghost/kcsan-mainline"
for tool in hackbench stress-ng chrt; do
	path=$(command -v $tool) || die "$tool is missing: run scripts/deps.sh"
	guest_file "$root" "$path" "/usr/bin/$tool"
done
bpftool=$(PATH=$PATH:/usr/sbin command -v bpftool || true)
[ -z "$bpftool" ] || guest_file "$root" "$bpftool" /usr/bin/bpftool
for dir in bin tests; do
	[ -d "$BUILD/user/$dir" ] || continue
	dest=/usr/$([ $dir = bin ] && echo bin || echo lib/ghost/tests)
	while read -r f; do
		guest_file "$root" "$BUILD/user/$dir/$f" "$dest/$f"
	done < <(cd "$BUILD/user/$dir" &&
		find . -type f \( -perm -100 -o -name '*.timeout' \) -printf '%P\n')
done
mkdir -p "$BUILD"
(cd "$root" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet) >"$out.$$"
mv "$out.$$" "$out"
say "${out#"$TOP"/}: $(($(stat -c %s "$out") >> 20)) MB"
