#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Compare what scripts/unhurt.sh's guests said, and decide.

usage: unhurt-report.py [--differing | --open] RESULTS

--differing and --open only print the programs that are to be repeated: all that
differ, or those whose difference counts or would if 10 % were enough. A
difference counts when one kernel gave its result again in the repetitions and
the other never did, in the first run or in the repetitions, or when it gave it
more often in the repetitions than chance explains (Fisher's exact test, 1 %).
Beside a busy enclave, though, only when some result comes more often than both on
the idle kernel without the series and there beside the same load. A complaint of
the kernel counts when the kernel without the series never made it. Exits with 1
when something counts.
"""
import collections
import math
import os
import re
import sys

WITHOUT = ["plain", "loaded"]
KERNELS = ["idle", "busy"]
COUNTS, OPEN = 0.01, 0.1


class Results:
    """Of one mode: those of the first run, and those of the repetitions."""

    def __init__(self, where, mode):
        self.first = {}
        self.texts = {}
        self.repeated = collections.defaultdict(list)
        self.complaints = {}
        if mode != "loaded":
            self.read(f"{where}/{mode}", self.first.__setitem__)
        if os.path.exists(f"{where}/{mode}-again"):
            self.read(f"{where}/{mode}-again",
                      lambda key, result: self.repeated[key].append(result))

    def read(self, name, add):
        with open(name, errors="replace", encoding="utf-8") as lines:
            for line in lines:
                kind, program, rest = (line.rstrip("\n").split(" ", 2) + [""])[:3]
                if kind == "complaint":
                    # Whatever changes from run to run is a number
                    text = re.sub(r"0x[0-9a-f]+|\d+", "N", rest)
                    self.complaints.setdefault(text, (program, rest))
                    continue
                number, result, *text = rest.split(" ", 2)
                key = program, int(number)
                add(key, result)
                self.texts[key] = " ".join(text)

    def again(self, key):
        """What the repetitions gave; "none" where the test did not report."""
        results = self.repeated[key]
        missing = len(self.repeated[key[0], 0]) - len(results)
        return results + ["none"] * missing

    def once(self, key):
        return self.first.get(key, "none")


def differing(modes, kernel):
    """The tests that gave something else in the first run than on plain."""
    plain, other = modes["plain"], modes[kernel]
    return [key for key in sorted(plain.first.keys() | other.first.keys())
            if plain.once(key) != other.once(key)]


def chance(some, number, others, other_number):
    """Of some of number and others of other_number, or of what is further
    apart, when both come from the same source: Fisher's exact test."""
    every, total = some + others, number + other_number

    def ways(i):
        return math.comb(number, i) * math.comb(other_number, every - i)

    return sum(ways(i) for i in range(min(every, number) + 1)
               if ways(i) <= ways(some)) / math.comb(total, every)


def more_often(result, given, other_given, limit):
    """Does given have it where the other has not, or beyond chance?"""
    count, other = given.count(result), other_given.count(result)
    if not other:
        return count > 0
    return (count * len(other_given) > other * len(given) and
            chance(count, len(given), other, len(other_given)) < limit)


def load_explains(modes, key, limit):
    """Does busy give nothing more often than both plain and loaded?"""
    busy = modes["busy"].again(key)
    return not any(all(more_often(result, busy, modes[mode].again(key), limit)
                       for mode in WITHOUT) for result in set(busy))


def counts(modes, kernel, key, limit=COUNTS):
    """Is the difference one of the kernels?"""
    if kernel == "busy" and load_explains(modes, key, limit):
        return False
    pair = modes["plain"], modes[kernel]
    for one, other in (pair, reversed(pair)):
        result = one.once(key)
        given, other_given = one.again(key), other.again(key)
        if result in given and result not in other_given:
            return True
        if chance(given.count(result), len(given),
                  other_given.count(result), len(other_given)) < limit:
            return True
    return False


def group(key):
    return key[0].split("/")[0]


def print_sums(modes):
    plain = modes["plain"]
    print(f"{'':12}{'programs':>9}{'results':>9} | {'ok':>5}{'skipped':>9}"
          f"{'failed':>8} |{'idle':>11}{'busy':>11}")
    names = sorted({group(key) for key in plain.first})
    for name in names + ["all"]:
        keys = [key for key in plain.first if name in ("all", group(key))]
        sums = collections.Counter(
            result if result in ("ok", "skip") else "failed"
            for result in map(plain.once, keys))
        line = (f"{name:12}{len({key[0] for key in keys}):9}{len(keys):9} | "
                f"{sums['ok']:5}{sums['skip']:9}{sums['failed']:8} |")
        for kernel in KERNELS:
            number = len([key for key in differing(modes, kernel)
                          if name in ("all", group(key))])
            line += f"{f'{number} differ' if number else 'the same':>11}"
        print(line)


def tally(results):
    return ", ".join(f"{result} {number}/{len(results)}" for result, number
                     in sorted(collections.Counter(results).items()))


def print_differences(modes):
    """Returns how many count."""
    found = {kernel: differing(modes, kernel) for kernel in KERNELS}
    number = 0
    if any(found.values()):
        print("\nWhat differed in the first run, and what the repetitions gave:")
    for key in sorted(set().union(*found.values())):
        text = next((m.texts[key] for m in modes.values()
                     if m.texts.get(key)), "the exit status")
        print(f"  {key[0]} {key[1]}: {text}"[:79])
        for kernel, results in modes.items():
            verdict = ""
            if key in found.get(kernel, ()):
                verdict = "does not count"
                if counts(modes, kernel, key):
                    verdict = "COUNTS"
                    number += 1
            first = "" if kernel == "loaded" else results.once(key)
            print(f"    {kernel:7}{first:10} then "
                  f"{tally(results.again(key)):35} {verdict}".rstrip())
    return number


def print_complaints(modes):
    """Returns how many count."""
    number = 0
    for text in sorted(set().union(*(m.complaints for m in modes.values()))):
        seen = [mode for mode, m in modes.items() if text in m.complaints]
        program, example = modes[seen[0]].complaints[text]
        counting = not set(WITHOUT) & set(seen)
        number += counting
        print(f"\nthe kernel complained ({', '.join(seen)}), first in {program}: "
              f"{'COUNTS' if counting else 'without the series, too'}\n  {example}")
    return number


def print_failures(modes):
    failed = [f"{key[0]} {key[1]}" for key, result in modes["plain"].first.items()
              if result not in ("ok", "skip")]
    if failed:
        print("\nFailed without the series:")
        for name in failed:
            key = name.rsplit(" ", 1)
            key = key[0], int(key[1])
            print(f"  {name}: {modes['plain'].once(key)} "
                  f"{modes['plain'].texts[key]}"[:79])


def main():
    args = sys.argv[1:]
    modes = {mode: Results(args[-1], mode) for mode in WITHOUT + KERNELS}
    if args[0] in ("--differing", "--open"):
        programs = {key[0] for kernel in KERNELS
                    for key in differing(modes, kernel)
                    if args[0] == "--differing" or
                    counts(modes, kernel, key, OPEN)}
        # A complaint counts whatever comes: once more is enough
        if args[0] == "--differing":
            plain = modes["plain"].complaints.keys()
            programs |= {m.complaints[text][0] for m in modes.values()
                         for text in m.complaints.keys() - plain}
        print("\n".join(sorted(programs)))
        return 0
    print("plain: without the series, loaded: there, beside the load of busy\n"
          "idle, busy: ours, beside an enclave\n")
    print_sums(modes)
    print_failures(modes)
    number = print_differences(modes) + print_complaints(modes)
    print(f"\nDifferences that count: {number}")
    return number > 0


sys.exit(main())
