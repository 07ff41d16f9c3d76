#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Where do the instructions of a row go?

Boots a guest with one CPU under -icount, starts COMMAND in it, has the emulator
log every instruction for a moment, and adds them up by kernel function. A span
is one stay in the kernel, from user space to user space; spans are told apart
by the function that their system call begins with (--spans). Spans that an
interrupt fell into are left out.

    scripts/bench-profile.py --spans ghost_commit_ioctl,do_sched_yield \\
        -- ghost-bench local --reps 90 --rounds 10000
    scripts/bench-profile.py --spans ksys_write,ksys_read \\
        -- ghost-bench pipe --reps 90 --rounds 10000
"""
import argparse
import bisect
import collections
import os
import re
import socket
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
KERNEL = 0xffff800000000000
IRQ = ("sysvec_", "asm_sysvec_", "common_interrupt", "asm_common_interrupt")
TRACE = re.compile(r"^Trace \d+: 0x[0-9a-f]+ \[[0-9a-f]+/([0-9a-f]+)/")


def read_symbols(path):
    addresses, names = [], []
    with open(path, encoding="ascii") as f:
        for line in f:
            address, kind, name = line.split()
            if kind in "tTwW":
                addresses.append(int(address, 16))
                names.append(name)
    order = sorted(range(len(addresses)), key=lambda i: addresses[i])
    return [addresses[i] for i in order], [names[i] for i in order]


def tell(monitor, command):
    monitor.sendall(command.encode() + b"\n")
    time.sleep(0.2)


def record(args, work):
    """Boots, waits until COMMAND runs, logs; the log's path."""
    path, log = os.path.join(work, "monitor"), os.path.join(work, "log")
    run = [os.path.join(TOP, "qemu/run.sh"), "--variant", args.variant,
           "--accel", "icount", "--cpus", "1", "--name", "bench-profile",
           "--timeout", "300", "--append", "loglevel=4",
           "--qemu", "-monitor", "--qemu", f"unix:{path},server,nowait",
           "--qemu", "-D", "--qemu", log, "--",
           "sh", "-c", "echo profile: started; " + " ".join(args.command)]
    # What run.sh says of a guest that is stopped from outside is of no interest
    with open(os.path.join(work, "errors"), "w+", encoding="utf-8") as errors, \
         subprocess.Popen(run, stdout=subprocess.PIPE, text=True, stderr=errors,
                          stdin=subprocess.DEVNULL) as guest:
        for line in guest.stdout:
            if line.startswith("profile: started"):
                break
        else:
            errors.seek(0)
            sys.exit("bench-profile: the guest did not start\n" + errors.read())
        time.sleep(args.after)
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.connect(path)
            tell(monitor, "singlestep on")
            tell(monitor, "log exec,nochain")
            time.sleep(args.seconds)
            tell(monitor, "log none")
            tell(monitor, "quit")
        guest.communicate()
    return log


def spans_of(log, symbols, kinds):
    """Yields (kind, Counter of functions) for each undisturbed span."""
    addresses, names = symbols
    kind, count, good = None, collections.Counter(), False
    with open(log, encoding="ascii", errors="replace") as f:
        for line in f:
            m = TRACE.match(line)
            if not m:
                continue
            pc = int(m.group(1), 16)
            if pc < KERNEL:
                if kind and good and count:
                    yield kind, count
                kind, count, good = None, collections.Counter(), True
                continue
            name = names[bisect.bisect_right(addresses, pc) - 1]
            if name.startswith(IRQ):
                good = False
            if not kind and name in kinds:
                kind = name
            count[name] += 1


def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--spans", required=True, help="functions, with commas")
    p.add_argument("--variant", default="default")
    p.add_argument("--after", type=float, default=2,
                   help="seconds of the host until the log begins")
    p.add_argument("--seconds", type=float, default=0.5,
                   help="seconds of the host that are logged")
    p.add_argument("--top", type=int, default=25, help="functions to show")
    p.add_argument("command", nargs="+", metavar="COMMAND")
    args = p.parse_args()

    symbols = read_symbols(os.path.join(
        TOP, "build", "kernel-" + args.variant, "System.map"))
    kinds = args.spans.split(",")
    total = {k: collections.Counter() for k in kinds}
    seen = collections.Counter()
    with tempfile.TemporaryDirectory() as work:
        for kind, count in spans_of(record(args, work), symbols, kinds):
            seen[kind] += 1
            total[kind] += count
    for kind in kinds:
        if not seen[kind]:
            print(f"{kind}: not seen")
            continue
        n = seen[kind]
        print(f"{kind}: {sum(total[kind].values()) / n:.0f} instructions "
              f"in the kernel, mean of {n} spans")
        for name, count in total[kind].most_common(args.top):
            print(f"  {count / n:8.1f}  {name}")
    return 0 if all(seen[k] for k in kinds) else 1


if __name__ == "__main__":
    sys.exit(main())
