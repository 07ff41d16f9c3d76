#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Turn the logs of scripts/bench.sh's guests into JSON, a table and a plot.

Exits with 1 when a row that belongs to a boot is missing.
"""
import argparse
import hashlib
import json
import os
import re
import statistics
import subprocess
import sys

# Who schedules, and what the table calls it.
SCHEDULERS = [
    ("eevdf", "EEVDF"), ("scx_simple", "scx_simple"),
    ("scx_central", "scx_central"), ("biff", "biff"),
    ("eevdf-bpf", "eevdf-bpf"), ("prio", "prio"), ("fifo", "ghost-fifo"),
]
# Aims of a pipe switch: a multiple of the same under another scheduler.
PIPE_AIMS = {"biff": ("scx_simple", 1.0), "eevdf-bpf": ("eevdf", 1.1)}


def under_all(row, cpus, text, aims=None):
    """A row under each of the schedulers."""
    return [(row, sched, cpus, f"{text}, {name}", (aims or {}).get(sched))
            for sched, name in SCHEDULERS]


def wakeups(row, text):
    """The percentiles of a latency, under each of the schedulers."""
    return [r for end, what in (("50", "median"), ("95", "95 %"),
                                ("99", "99 %"), ("max", "longest"))
            for r in under_all(f"{row}-{end}", 1, f"{text}, {what}")]


def perf_rows(cpus, where):
    return (under_all("perf-pipe", cpus, f"perf sched pipe{where}") +
            under_all("perf-messaging", cpus, f"perf messaging{where}"))


# Row, scheduler, CPUs, what it is; aim as a multiple of a switch under EEVDF in
# the same boot, or as in PIPE_AIMS, or None. That switch is the one through a
# pipe on one CPU; for rows with an asterisk, in which no page tables are
# switched, between threads.
# In the boot "scale" it is a multiple of the same row with one task instead.
SINGLE = [
    *under_all("pipe", 1, "pipe switch", PIPE_AIMS),
    *under_all("yield", 1, "yield switch"),
    *under_all("futex", 1, "futex wake and wait"),
    *wakeups("wakeup", "wake-up"),
    ("switchto", "eevdf", 1, "wake and wait in one call, EEVDF", None),
    ("switchto", "fifo", 1, "direct switch, ghost-fifo", None),
    ("schedule-local", "agent", 1, "local schedule", 1.15),
    ("message-local", "agent", 1, "message, waiting local agent", 1.0),
    ("at-schedule", "agent", 1, "switch by commit at schedule", None),
    ("message-timer", "agent", 1, "timer to message, local agent", None),
]
# Threads that no enclave concerns: the same row under EEVDF, without one.
BYSTANDERS = [
    ("pipe", "beside", 1, "pipe switch, beside an enclave", ("eevdf", 1.002)),
    ("fork", "beside", 1, "fork, exit, beside an enclave", ("eevdf", 1.002)),
    ("tick", "beside", 1, "tick, beside an enclave", ("eevdf", 1.002)),
    ("perf-pipe", "beside", 1, "perf sched pipe, beside an enclave", None),
    ("perf-messaging", "beside", 1, "perf messaging, beside an enclave", None),
]
ALONE = [
    ("pipe", "eevdf", 1, "pipe switch, EEVDF", None),
    ("fork", "eevdf", 1, "fork, exit and wait, EEVDF", None),
    ("tick", "eevdf", 1, "tick in a busy thread, EEVDF", None),
    ("perf-pipe", "eevdf", 1, "perf sched pipe, EEVDF", None),
    ("perf-messaging", "eevdf", 1, "perf messaging, EEVDF", None),
]
# What a task is to cost among others: the same, give or take a few per cent.
NO_GROWTH = 1.05
# Rows of ghost-bench scale; the number of tasks is appended.
SCALE = [
    ("message", "message, waiting agent"),
    ("schedule", "local schedule"),
    ("join", "join"),
    ("renice", "change of nice"),
    ("wake", "wake-up"),
    ("leave", "leave"),
    ("tasks-file", "read tasks, each"),
]
SCALE_TASKS = [1, 100, 6000]
# Part of others: there whether it is used or not.
STRUCTS = [
    ("sched_ghost_entity", "in each thread of the machine"),
    ("ghost_rq", "in each CPU's run queue"),
]
MEMORY = [
    ("memory-enclave", "enclave, with its directory"),
    ("memory-region", "region of status words"),
    ("memory-queue-256", "queue of 256 slots"),
    ("memory-queue-1024", "queue of 1024 slots"),
    ("memory-queue-65536", "queue of 65536 slots"),
    ("memory-task", "task that joins"),
]
BOOTS = {
    "plain": ALONE[:3],
    "single": SINGLE + perf_rows(1, "") + ALONE[1:3] + BYSTANDERS,
    "pair": SINGLE + [
        ("threads", "eevdf", 1, "switch between threads, EEVDF", None),
        ALONE[1],
        *[row[:4] + (None,) for row in BYSTANDERS[:2]],
        *wakeups("wakeup-busy", "wake-up, busy"),
        *under_all("pipe", 2, "pipe switch, 2 CPUs", PIPE_AIMS),
        *perf_rows(2, ", 2 CPUs"),
        ("message-poll", "agent", 2, "message, polling agent*", 0.25),
        ("schedule-remote", "agent", 2, "remote schedule, end to end*", 2.0),
        ("batch-1", "agent", 2, "remote commit, agent's side*", None),
        ("group-both", "agent", 2, "sync group, both run", None),
        ("kill-to-cfs", "agent", 1, "agent killed until CFS runs", None),
        ("handoff-gap", "fifo", 1, "handoff: without agent", None),
        ("handoff-wait", "fifo", 1, "handoff: longest wait of a task", None),
    ],
    "batch": [
        ("pipe", "eevdf", 1, "pipe switch, EEVDF", None),
        ("batch-1", "agent", 9, "remote commit, 1 at once", None),
        ("batch-2", "agent", 9, "remote commits, 2 at once, each", 0.3),
        ("batch-4", "agent", 9, "remote commits, 4 at once, each", 0.3),
        ("batch-8", "agent", 9, "remote commits, 8 at once, each", 0.3),
        ("group-2", "agent", 9, "sync group of 2, each", None),
        ("group-4", "agent", 9, "sync group of 4, each", None),
        ("group-8", "agent", 9, "sync group of 8, each", None),
    ],
    "handoff": ALONE + BYSTANDERS + [
        ("gap-quiet", "fifo", 2, "a busy task stands still: always", None),
        ("gap-handoff", "fifo", 2, "... a successor takes over", None),
        ("gap-death", "fifo", 2, "... killed, and started anew", None),
        ("handoff-gap", "biff", 2, "biff: handoff until agents online", None),
    ],
    "memory": [(row, "kernel", 1, text, None) for row, text in MEMORY],
    "memory9": [(row, "kernel", 9, text, None) for row, text in MEMORY[:1]],
}
TITLES = {
    "plain": "instructions, 1 CPU, nothing uses SCHED_GHOST",
    "single": "instructions, 1 CPU",
    "pair": "nanoseconds of the guest, 2 CPUs, idle ones spin",
    "batch": "instructions of the agent's CPU, 9 CPUs, idle ones spin",
    "handoff": "instructions of both CPUs, 4,000,000 are a tick",
    "scale": "instructions, 1 CPU, by tasks in the enclave; x: of that with 1",
    "memory": "bytes of kernel memory, 1 CPU",
    "memory9": "bytes of kernel memory, 9 CPUs",
}
# What of ghost-bench measures a row, when it is not called the same
PROGRAMS = {**{f"wakeup{busy}-{end}": "wakeup" + busy
               for busy in ("", "-busy") for end in ("50", "95", "99", "max")},
            "schedule-local": "local", "message-local": "local",
            "message-poll": "remote", "schedule-remote": "remote",
            "batch-1": "batch", "batch-2": "batch", "batch-4": "batch",
            "batch-8": "batch", "kill-to-cfs": "kill",
            "group-2": "group", "group-4": "group", "group-8": "group",
            "group-both": "both", "message-timer": "timer",
            "handoff-gap": "handoff", "handoff-wait": "handoff",
            "gap-quiet": "gap", "gap-handoff": "gap", "gap-death": "gap"}
# Nobody compares these with a switch: they have no place in the plot.
RARE = ("kill-to-cfs", "handoff-gap", "handoff-wait", "fork", "tick",
        "gap-quiet", "gap-handoff", "gap-death",
        *(f"wakeup{busy}-{end}" for busy in ("", "-busy")
          for end in ("50", "95", "99", "max")))


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def read_log(path):
    """The rows in a guest's console, by (row, scheduler, CPUs)."""
    rows, missing, kernel = {}, {}, None
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            text = f.read()
    except OSError:
        text = ""
    for line in text.replace("\r", "").splitlines():
        start = line.find("bench ")
        if start < 0:
            continue
        why = re.search(r" why=(.*)", line)
        words = dict(w.split("=", 1) for w in line[start:].split() if "=" in w)
        if "kernel" in words:
            kernel = words["kernel"]
        elif "missing" in words:
            key = (words["missing"], words["sched"], int(words["cpus"]))
            missing[key] = why.group(1).strip() if why else ""
        elif "samples" in words and "row" in words:
            samples = [float(s) for s in words["samples"].split(",") if s]
            key = (words["row"], words["sched"], int(words["cpus"]))
            if samples:
                # Some are measured twice, with something else in between
                before = rows[key][1] if key in rows else []
                rows[key] = (words["unit"], before + samples)
    return rows, missing, kernel


def rows_of(boot, tasks):
    """What belongs to a boot, as in BOOTS."""
    if boot != "scale":
        return BOOTS[boot]
    steps = [n for n in SCALE_TASKS if n < tasks] + [tasks]
    return [(f"{row}-{n}", "agent", 1, f"{text}, {n}",
             NO_GROWTH if n > 1 else None)
            for row, text in SCALE for n in steps]


def base_of(boot, row, text):
    """The row of which another one is a multiple."""
    if boot == "scale":
        return row.rsplit("-", 1)[0] + "-1", "agent", 1
    return "threads" if text.endswith("*") else "pipe", "eevdf", 1


def read_boot(spec, tasks):
    boot, cpus, accel, path = spec.split(":", 3)
    rows, missing, kernel = read_log(path)
    result = {"boot": boot, "accelerator": accel, "cpus": int(cpus),
              "kernel": kernel, "title": TITLES[boot], "rows": [],
              "not_measured": []}
    for row, sched, used, text, aim in rows_of(boot, tasks):
        key = (row, sched, used)
        if key not in rows:
            program = PROGRAMS.get(row, boot if boot == "scale" else row)
            why = missing.get((program, sched, used))
            result["not_measured"].append(
                {"row": row, "sched": sched, "cpus": used, "text": text,
                 "why": why or "the guest did not get that far"})
            continue
        unit, samples = rows[key]
        median = statistics.median(samples)
        base = rows.get(base_of(boot, row, text))
        ratio = median / statistics.median(base[1]) if base else None
        entry = {"row": row, "sched": sched, "cpus": used, "text": text,
                 "unit": unit, "samples": samples, "median": median,
                 "min": min(samples), "max": max(samples), "ratio": ratio}
        if isinstance(aim, tuple):
            peer = rows.get((row, aim[0], used))
            aim = (aim[1] * ratio * statistics.median(peer[1]) / median
                   if peer and ratio is not None else None)
        if aim is not None and ratio is not None:
            entry["aim"] = round(aim, 2)
            entry["reached"] = ratio <= aim
        result["rows"].append(entry)
    return result


def given(text, value):
    """A row that was not measured but is known, or was computed."""
    return {"row": None, "sched": "kernel", "cpus": 1, "text": text,
            "unit": "bytes", "samples": [value], "median": value,
            "min": value, "max": value, "ratio": None}


def complete_memory(boots, vmlinux):
    """What follows from the objects: a CPU's share, and what is always there."""
    by_name = {b["boot"]: b for b in boots}
    enclaves = [r["median"] for name in ("memory", "memory9")
                for r in by_name.get(name, {"rows": []})["rows"]
                if r["row"] == "memory-enclave"]
    if len(enclaves) == 2:
        cpus = by_name["memory9"]["cpus"] - by_name["memory"]["cpus"]
        by_name["memory9"]["rows"].append(
            given("each further possible CPU",
                  (enclaves[1] - enclaves[0]) / cpus))
    if "memory" not in by_name:
        return
    sizes = subprocess.run(["pahole", "--sizes", vmlinux], check=True,
                           capture_output=True, text=True).stdout
    for name, text in STRUCTS:
        size = re.search(rf"^{name}\t(\d+)", sizes, re.MULTILINE)
        if size:
            by_name["memory"]["rows"].append(given(text, int(size.group(1))))


def figure(value, unit=None):
    if unit == "bytes":
        return f"{value:.0f}"
    for unit, scale in (("M", 1e6), ("k", 1e3)):
        if value >= 10 * scale:
            return f"{value / scale:.{1 if value < 100 * scale else 0}f}{unit}"
    return f"{value:.0f}"


def table(report):
    k = report["kernel"]
    lines = [f"Linux {k['release']}, config {k['variant']} "
             f"{k['config_sha256'][:12]}, {report['repetitions']} repetitions.",
             "Median, least..most of the repetitions; x: the multiple of EEVDF's",
             "pipe switch on one CPU in the same boot, *: of that between threads;",
             "aim: for x."]
    for b in report["boots"]:
        lines += ["", f"{b['title']}; accelerator {b['accelerator']}", ""]
        lines.append(f"  {'':36}{'median':>8}{'least..most':>18}{'x':>8}"
                     f"  {'aim'}")
        for r in b["rows"]:
            spread = (f"{figure(r['min'], r['unit'])}.."
                      f"{figure(r['max'], r['unit'])}")
            ratio = f"{r['ratio']:.2f}" if r["ratio"] is not None else "-"
            aim = ""
            if "aim" in r:
                aim = (f"{r['aim']:<4g} "
                       + ("reached" if r["reached"] else "not reached"))
            median = figure(r["median"], r["unit"])
            lines.append(f"  {r['text']:36.36}{median:>8}"
                         f"{spread:>18}{ratio:>8}  {aim}".rstrip())
        for r in b["not_measured"]:
            lines.append(f"  {r['text']:36.36} not measured: {r['why'][:31]}")
    return "\n".join(lines) + "\n"


def plot(report, out, name):
    """A gnuplot program: the multiples of EEVDF, boot by boot."""
    data, aims, tics, x = [], [], [], 0
    for b in report["boots"]:
        if b["boot"] == "scale":
            continue
        for r in b["rows"]:
            if r["row"] in RARE or r["ratio"] is None:
                continue
            scale = r["ratio"] / r["median"]
            data.append(f"{x} {r['ratio']} {r['min'] * scale} "
                        f"{r['max'] * scale}")
            if "aim" in r:
                aims.append(f"{x} {r['aim']}")
            where = {"single": "instr.", "pair": "time",
                     "batch": "9 CPUs"}.get(b["boot"], b["boot"])
            tics.append(f"\"{r['text']} ({where})\" {x}")
            x += 1
        x += 1
    if not data:
        return
    k = report["kernel"]
    with open(os.path.join(out, name + ".plot"), "w", encoding="utf-8") as f:
        f.write(f"""set terminal svg noenhanced size 1100,640 font "sans,11"
set output "{os.path.join(out, name + '.svg')}"
set title "SCHED_GHOST, multiples of a pipe switch under EEVDF on one CPU; \
Linux {k['release']}, {report['repetitions']} repetitions, least to most"
set logscale y
set yrange [0.01:10]
set ylabel "x EEVDF"
set grid ytics
set style fill solid 0.6
set boxwidth 0.7
set bmargin 13
set lmargin 16
set key top right
set xtics rotate by 50 right font ",9" ({', '.join(tics)})
$data << END
""" + "\n".join(data) + "\nEND\n$aims << END\n" + "\n".join(aims) + """
END
plot $data using 1:2 with boxes title "median", \\
     $data using 1:2:3:4 with yerrorbars pointsize 0 linecolor "black" \\
     title "spread", \\
     $aims using 1:2 with points pointtype 2 linewidth 2 linecolor "red" \\
     title "aim"
""")


def plot_scale(report, out, name):
    """A gnuplot program: what a task costs, by the tasks in the enclave."""
    lines = {}
    for b in report["boots"]:
        for r in b["rows"] if b["boot"] == "scale" else []:
            text, tasks = r["text"].rsplit(", ", 1)
            lines.setdefault(text, []).append(
                f"{tasks} {r['median']} {r['min']} {r['max']}")
    if not lines:
        return
    k = report["kernel"]
    with open(os.path.join(out, name + "-scale.plot"), "w",
              encoding="utf-8") as f:
        f.write(f"""set terminal svg noenhanced size 800,500 font "sans,11"
set output "{os.path.join(out, name + '-scale.svg')}"
set title "SCHED_GHOST, one task among others; Linux {k['release']}, \
{report['repetitions']} repetitions, least to most"
set logscale xy
set xlabel "tasks in the enclave"
set ylabel "instructions"
set grid ytics
set key outside right
""")
        for i, points in enumerate(lines.values()):
            f.write(f"$line{i} << END\n" + "\n".join(points) + "\nEND\n")
        f.write("plot " + ", \\\n     ".join(
            f"$line{i} using 1:2:3:4 with yerrorlines title \"{text}\""
            for i, text in enumerate(lines)) + "\n")


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--name", required=True)
    p.add_argument("--out", required=True)
    p.add_argument("--variant", required=True)
    p.add_argument("--config", required=True)
    p.add_argument("--image", required=True)
    p.add_argument("--vmlinux", required=True)
    p.add_argument("--reps", type=int, required=True)
    p.add_argument("--tasks", type=int, default=SCALE_TASKS[-1])
    p.add_argument("--source", default="unknown")
    p.add_argument("--no-scx", default="")
    p.add_argument("logs", nargs="+", metavar="BOOT:CPUS:ACCEL:LOG")
    args = p.parse_args()

    boots = [read_boot(spec, args.tasks) for spec in args.logs]
    complete_memory(boots, args.vmlinux)
    for b in boots:
        for r in b["not_measured"]:
            if r["sched"].startswith("scx_") and args.no_scx:
                r["why"] = args.no_scx
    kernels = {b["kernel"] for b in boots if b["kernel"]}
    report = {
        "name": args.name,
        "kernel": {"release": ", ".join(sorted(kernels)) or "unknown",
                   "variant": args.variant,
                   "config_sha256": digest(args.config),
                   "image_sha256": digest(args.image)},
        "source": args.source,
        "host_cpus": os.cpu_count(),
        "repetitions": args.reps,
        "boots": boots,
    }
    base = os.path.join(args.out, args.name)
    with open(base + ".json", "w", encoding="utf-8") as f:
        json.dump(report, f, indent=1)
        f.write("\n")
    text = table(report)
    with open(base + ".txt", "w", encoding="utf-8") as f:
        f.write(text)
    print(text, end="")
    plot(report, args.out, args.name)
    plot_scale(report, args.out, args.name)
    return 1 if any(b["not_measured"] for b in boots) else 0


if __name__ == "__main__":
    sys.exit(main())
