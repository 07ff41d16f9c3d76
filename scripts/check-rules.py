#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Check the lists of rules in tests/kernel/rules against the tests.

One file a section of the binary interface, NN-name.rules, or a letter for an
appendix. A line is

    ID <tab> the rule <tab> TEST,TEST,...
    ID <tab> the rule <tab> -: why it has no test

ID is the section and a number in it, as 2.4/6 or C/1. TEST is PROGRAM.TEST or
PROGRAM.FIXTURE.TEST as the source has the names; what a shell test passes to
check counts with _ for whatever is no letter or digit. '#' begins a comment line.

Prints a table of the sections, the rules without a test, and the tests of
tests/kernel that no rule names. Fails when a line cannot be read, an id comes twice or a test does
not exist.
"""
import argparse
import collections
import pathlib
import re
import sys

TESTS = pathlib.Path(__file__).resolve().parent.parent / "tests"
FOLDERS = ("kernel", "library", "e2e")

FILE = re.compile(r"(\d\d|[a-z])-[a-z-]+\.rules")
ID = re.compile(r"(\d+|[A-Z])(\.\d+)?/\d+")
# In C: with the harness, or in TAP that the program prints itself
IN_C = re.compile(r"^TEST(?:_SIGNAL)?\((\w+)|"
                  r"^TEST_F(?:_SIGNAL|_TIMEOUT)?\((\w+),\s*(\w+)|"
                  r"\\nok \d+ \w+\.(\w+)", re.M)
IN_SHELL = re.compile(r'^\s*check "([^"$]*)"', re.M)


def read_tests():
    """Returns the names of all tests of FOLDERS, a list for each folder."""
    tests = {}
    for folder in FOLDERS:
        names = tests[folder] = []
        for path in sorted((TESTS / folder).glob("*.c")):
            for match in IN_C.finditer(path.read_text()):
                name = ".".join(part for part in match.groups() if part)
                names.append(f"{path.stem}.{name}")
        for path in sorted((TESTS / folder).glob("*.sh")):
            for words in IN_SHELL.findall(path.read_text()):
                name = re.sub(r"\W+", "_", words).strip("_")
                names.append(f"{path.stem}.{name}")
    return tests


class Section:
    """What one file says."""

    def __init__(self, path):
        self.name = path.stem
        self.number = path.stem.split("-")[0].lstrip("0").upper() or "0"
        self.rules = 0
        self.without = []   # (id, rule, why)


def read_rules(path, tests, seen, used, errors):
    section = Section(path)
    for number, line in enumerate(path.read_text().splitlines(), 1):
        def error(what):
            errors.append(f"{path.relative_to(TESTS.parent)}:{number}: {what}")

        if not line or line.startswith("#"):
            continue
        fields = line.split("\t")
        if len(fields) != 3 or not all(field.strip() for field in fields):
            error("not an id, a rule and tests, with one tab between them")
            continue
        rule_id, rule, names = fields
        match = ID.fullmatch(rule_id)
        if not match or match.group(1) != section.number:
            error(f"'{rule_id}' is no id of section {section.number}")
            continue
        if rule_id in seen:
            error(f"{rule_id} is there already: {seen[rule_id]}")
            continue
        seen[rule_id] = path.name
        section.rules += 1
        if names.startswith("-"):
            if not re.match(r"-: \S", names):
                error("without a test, the third field is '-: ' and a reason")
            section.without.append((rule_id, rule, names[3:]))
            continue
        for name in names.split(","):
            used.add(name)
            if name not in tests:
                error(f"there is no test '{name}'")
    return section


def print_report(sections, unused):
    width = max(len(section.name) for section in sections)
    print(f"{'section':{width}}  rules  with test  without")
    for section in sections:
        without = len(section.without)
        print(f"{section.name:{width}} {section.rules:6} "
              f"{section.rules - without:10} {without:8}")
    rules = sum(section.rules for section in sections)
    without = sum(len(section.without) for section in sections)
    print(f"{'all':{width}} {rules:6} {rules - without:10} {without:8}")

    if without:
        print("\nRules without a test:")
    for section in sections:
        for rule_id, rule, why in section.without:
            print(f"  {rule_id:8} {rule}\n           ({why})")
    if unused:
        print(f"\nTests that no rule names ({len(unused)}):")
    for name in unused:
        print(f"  {name}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quiet", action="store_true",
                        help="print only what is wrong")
    args = parser.parse_args()

    tests = read_tests()
    known = collections.Counter(name for names in tests.values()
                                for name in names)
    sections, seen, used, errors = [], {}, set(), []
    for path in sorted((TESTS / "kernel" / "rules").iterdir()):
        if not FILE.fullmatch(path.name):
            errors.append(f"{path.relative_to(TESTS.parent)}: "
                          "not the name of a list of rules")
            continue
        sections.append(read_rules(path, known, seen, used, errors))
    if not sections:
        errors.append("there is no list of rules")
    errors += [f"{number} tests are called '{name}'"
               for name, number in known.items() if number > 1]

    if not args.quiet and sections:
        print_report(sections, [name for name in tests["kernel"]
                                if name not in used])
    if errors:
        print(*errors, sep="\n")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
