#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Where do the instructions of a row go?

Boots a guest with one CPU under -icount, starts COMMAND in it, has the emulator
log every instruction for a moment, and adds them up by kernel function. A span
is one stay in the kernel, from user space to user space; spans are told apart
by the function that their system call begins with (--spans). Spans that an
interrupt fell into are left out. With --under a policy in BPF schedules COMMAND,
and its programs are shown by name.

    scripts/bench-profile.py --spans ghost_commit_ioctl,do_sched_yield \\
        -- ghost-bench local --reps 90 --rounds 10000
    scripts/bench-profile.py --spans ksys_write,ksys_read \\
        -- ghost-bench pipe --reps 90 --rounds 10000
    scripts/bench-profile.py --spans ksys_write,ksys_read --under biff \\
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
# Starts a policy, says where its programs are, and has it schedule a command.
UNDER = """ghost-{} --cpus 0 >/tmp/policy 2>&1 &
until grep -q '^ready ' /tmp/policy; do sleep 0.1; done
grep bpf_prog_ /proc/kallsyms
echo profile: started
ghostctl run "$(sed -n 's/^ready enclave=\\([0-9]*\\).*/\\1/p' /tmp/policy)" -- """
# What a function belongs to: the first that its name fits
GROUPS = (
    ("the programs", r"bpf: "),
    ("locks and maps of BPF", r"(__)?bpf_spin|\w*_map_"),
    ("calling programs, helpers", r"run_msg$|ghost_bpf_|bpf_|ghost_any_task|ghost_take_task"),
    ("messages", r"send(_pending)?$|ghost_msg_|ghost_wake_for|ghost_queue"),
    ("pressure stall information", r"\w*psi|record_times"),
    ("clocks", r"\w*(clock|ktime|tsc$|timekeeping)"),
    ("the class: ghost", r"\w*ghost|keep_prev|move_strays"),
    ("the class: fair", r"\w*(_fair|cfs|load_avg|vruntime|eevdf|util_est|update_curr|dl_server)"
     r"|\w*(entity|entities)$|\w*_(lag|deadline)$|update_deadline|se_is_idle|__rb_|rb_next"
     r"|calc_delta|clear_(buddies|delayed)|hrtick|update_misfit|task_of"),
    ("core: which class picks", r"__pick_next|prev_balance|next_active|put_prev_set"
     r"|\w*sched_core|wakeup_preempt$"),
    ("system call, pipe, wake-up, switch", r""),
)
TRACE = re.compile(r"^Trace \d+: 0x[0-9a-f]+ \[[0-9a-f]+/([0-9a-f]+)/")


def read_symbols(lines):
    """Addresses and names of functions, from lines as in System.map."""
    symbols = []
    for line in lines:
        address, kind, name = line.split()[:3]
        if kind in "tTwW":
            # The kernel puts a hash of it before the name of a program.
            name = re.sub("^bpf_prog_[0-9a-f]{16}_", "bpf: ", name)
            symbols.append((int(address, 16), name))
    symbols.sort()
    return [a for a, _ in symbols], [n for _, n in symbols]


def tell(monitor, command):
    monitor.sendall(command.encode() + b"\n")
    time.sleep(0.2)


def record(args, work):
    """Boots, waits until COMMAND runs, logs: path of the log, BPF programs."""
    start = UNDER.format(args.under) if args.under else "echo profile: started; "
    programs = []
    path, log = os.path.join(work, "monitor"), os.path.join(work, "log")
    run = [os.path.join(TOP, "qemu/run.sh"), "--variant", args.variant,
           "--accel", "icount", "--cpus", "1", "--name", "bench-profile",
           "--timeout", "300", "--append", "loglevel=4",
           "--qemu", "-monitor", "--qemu", f"unix:{path},server,nowait",
           "--qemu", "-D", "--qemu", log, "--",
           "sh", "-c", start + " ".join(args.command)]
    # What run.sh says of a guest that is stopped from outside is of no interest
    with open(os.path.join(work, "errors"), "w+", encoding="utf-8") as errors, \
         subprocess.Popen(run, stdout=subprocess.PIPE, text=True, stderr=errors,
                          stdin=subprocess.DEVNULL) as guest:
        for line in guest.stdout:
            if line.startswith("profile: started"):
                break
            if " bpf_prog_" in line:
                programs.append(line)
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
    return log, programs


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


def print_groups(total, seen):
    """Adds up the functions of all spans, a span of each kind."""
    sums = collections.Counter()
    for kind, count in total.items():
        for name, n in count.items():
            group = next(g for g, words in GROUPS if re.match(words, name))
            sums[group] += n / seen[kind]
    for group, _ in reversed(GROUPS):
        print(f"  {sums[group]:8.0f}  {group}")
    print(f"  {sum(sums.values()):8.0f}  together")


def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--spans", required=True, help="functions, with commas")
    p.add_argument("--under", metavar="POLICY", help="biff, prio, eevdf-bpf ...")
    p.add_argument("--variant", default="default")
    p.add_argument("--after", type=float, default=2,
                   help="seconds of the host until the log begins")
    p.add_argument("--seconds", type=float, default=0.5,
                   help="seconds of the host that are logged")
    p.add_argument("--top", type=int, default=25, help="functions to show")
    p.add_argument("--groups", action="store_true",
                   help="add up by what functions belong to")
    p.add_argument("command", nargs="+", metavar="COMMAND")
    args = p.parse_args()

    with open(os.path.join(TOP, "build", "kernel-" + args.variant,
                           "System.map"), encoding="ascii") as f:
        lines = f.readlines()
    kinds = args.spans.split(",")
    total = {k: collections.Counter() for k in kinds}
    seen = collections.Counter()
    with tempfile.TemporaryDirectory() as work:
        log, programs = record(args, work)
        symbols = read_symbols(lines + programs)
        for kind, count in spans_of(log, symbols, kinds):
            seen[kind] += 1
            total[kind] += count
    if args.groups and all(seen[k] for k in kinds):
        print_groups(total, seen)
        return 0
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
