#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Check tests/fuzz/ghost.txt, the interface for syzkaller, against the kernel.

It is no replacement of syzkaller's compiler, which is not here. It sees that

  - each name is defined and used, and each resource comes from some call;
  - each constant exists, and those of our headers are described;
  - a structure has the fields, offsets and size that it has in our header;
  - an ioctl passes what its number says: so many bytes, in that direction;
  - files, how they are opened, and words for ctl are those of the kernel's tables.

Prints what is wrong. NOT_PASSED excuses what user space never passes.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parent.parent
TEXT = "tests/fuzz/ghost.txt"
UAPI = "kernel/include/uapi/linux/ghost.h"
FS = "kernel/kernel/sched/ghost/fs.c"
FILES = "kernel/kernel/sched/ghost/files.c"
PATCHES = "patches/6.12"
ROOT = "/sys/fs/ghost/"

# Constants and structures of the header that need not be described
NOT_PASSED = re.compile("|".join((
    r"GHOST_FS_\w+|GHOST_VERSION_MIN",          # text to mount, statfs, create
    r"GHOST_GTID_\w+_BITS|GHOST_TXN_STATE_BASE",    # what others are made of
    r"GHOST_MSG_SLOT_SIZE|GHOST_MAX_\w+",       # limits
    r"ghost_cpu_data",                          # a page around ghost_txn
    # What the kernel says
    r"GHOST_(SW|QUEUE|ASSOC_SF)_\w+|GHOST_TXN_VERSION",
    r"(GHOST_(TASK|CPU)_)?MSG_\w+|ghost_msg_payload_\w+",
    # What BPF programs see and say
    r"bpf_\w+|BPF_SYNC_COMMIT_MAX_CPUS|GHOST_(PREF_CPU|HALT_POLL)_\w+",
)))

# What syzkaller has itself: types with a size, and the other words
SIZES = {"int8": 1, "int16": 2, "int32": 4, "int64": 8, "intptr": 8, "ptr": 8,
         "ptr64": 8, "fd": 4, "pid": 4, "fd_timer": 4, "fd_bpf_prog": 4,
         "fd_bpf_link": 4}
WORDS = set("""array buffer bytesize bytesize8 const flags fmt len string stringnoz
            vma in out inout opt dec hex mmap_prot bpf_instructions itimerspec
            timespec""".split()) | set(SIZES)

errors = []


def error(what):
    errors.append(f"{TEXT}: {what}")


def read(name):
    return (TOP / name).read_text()


def words(text):
    """The names in a type, without strings and without what len[] counts."""
    text = re.sub(r'"[^"]*"|(?<=len\[)\w+|(?<=bytesize\[)\w+|(?<=bytesize8\[)\w+',
                  "", text)
    return set(re.findall(r"\b[A-Za-z_]\w*", text))


def parse_type(text):
    """Returns array[int8, 4] as ("array", [("int8", []), ("4", [])])."""
    tokens = re.findall(r'"[^"]*"|[\w:-]+|[][,]', text)

    def one():
        name, args = tokens.pop(0), []
        if tokens and tokens[0] == "[":
            while tokens.pop(0) != "]":     # '[' and ','
                args.append(one())
        return name, args

    return one()


class Struct:
    def __init__(self, union):
        self.union = union
        self.fields = []    # (name, type as text)
        self.packed = False
        self.align = 0


class Descriptions:
    """What the file has; lines are read by their form."""

    CALL = re.compile(r"(\w+\$\w+)\((.*)\)(?: (\w+))?$")
    INCLUDE = re.compile(r"include <(?:uapi/)?(.*)>$")
    RESOURCE = re.compile(r"resource (\w+)\[(\w+)\](?:: (.*))?$")
    DEFINE = re.compile(r"define (\w+)\t(.*)$")
    LIST = re.compile(r"(\w+) = (.*)$")
    ALIAS = re.compile(r"type (\w+)\[(.*?)\] (.*)$")
    OPEN = re.compile(r"(?:type )?(\w+)(?:\[(.*)\])? ([{[])$")
    FIELD = re.compile(r"\t(\w+)\t+(\S.*?)(?:\t\((?:in|out|inout)\))?$")
    CLOSE = re.compile(r"[]}](?: \[(?:(packed)|align\[(\d+)\]|varlen)\])?$")

    def __init__(self, text):
        self.includes = []
        self.calls = {}         # name: arguments
        self.results = set()
        self.resources, self.defines, self.lists, self.structs = {}, {}, {}, {}
        self.types = {}         # name: words of what it stands for
        self.used, self.params = set(), set()
        struct = None
        for line in text.splitlines():
            if not line or line[0] == "#" or line.startswith("meta "):
                continue
            if struct is None:
                struct = self.top(line)
            elif match := self.FIELD.match(line):
                struct.fields.append(match.groups())
                self.used |= words(match.group(2))
            elif match := self.CLOSE.match(line):
                struct.packed = bool(match.group(1))
                struct.align = int(match.group(2) or 0)
                struct = None
            else:
                error(f"this cannot be read: {line}")
        self.defined = (set(self.resources) | set(self.defines) | set(self.lists) |
                        set(self.structs) | set(self.types))

    def top(self, line):
        """Reads a line that is in no structure; returns one that begins."""
        used = ""
        if match := self.CALL.match(line):
            name, args, result = match.groups()
            self.calls[name] = args
            self.results.add(result)
            used = re.sub(r"(^|, )\w+ ", r"\1", args)   # of "name type" the type
        elif match := self.INCLUDE.match(line):
            self.includes.append(match.group(1))
        elif match := self.RESOURCE.match(line):
            self.resources[match.group(1)] = match.group(2)
            used = match.expand(r"\2 \3")
        elif match := self.DEFINE.match(line):
            self.defines[match.group(1)] = used = match.group(2)
        elif match := self.LIST.match(line):
            used = match.group(2)
            self.lists[match.group(1)] = re.findall(r'"([^"]*)"', used)
        elif match := self.OPEN.match(line):
            self.params |= words(match.group(2) or "")
            return self.structs.setdefault(match.group(1),
                                           Struct(match.group(3) == "["))
        elif match := self.ALIAS.match(line):
            used = match.group(3)
            self.types[match.group(1)] = used
            self.params |= words(match.group(2))
        else:
            error(f"this cannot be read: {line}")
        self.used |= words(used)
        return None

    def strings(self, call):
        """The strings that a call passes: of string["this"] or string[list]."""
        match = re.search(r'string\[(?:"(.*?)"|(\w+))\]', self.calls.get(call, ""))
        if not match:
            return []
        return self.lists.get(match.group(2), [match.group(1)])

    def layout(self, name):
        """Returns the fields of a structure, (name, offset, size), and its size and
        alignment."""
        struct = self.structs[name]
        fields, end, align = [], 0, 1
        for field, text in struct.fields:
            size, needs = self.size(parse_type(text))
            if struct.packed:
                needs = 1
            at = 0 if struct.union else -(-end // needs) * needs
            fields.append((field, at, size))
            end, align = max(end, at + size), max(align, needs)
        align = struct.align or align
        return fields, -(-end // align) * align, align

    def size(self, t):
        name, args = t
        if name in SIZES:
            return SIZES[name], SIZES[name]
        if name in self.resources:
            return self.size((self.resources[name], []))
        if name in self.structs:
            return self.layout(name)[1:]
        if name == "array":
            size, align = self.size(args[0])
            count = args[1][0] if args[1:] else ""
            return size * int(count) if count.isdigit() else 0, align
        return self.size(args[-1])      # const[0, int32] and the like


class Header:
    """Our header, and what a compiler says of it."""

    STRUCT = re.compile(r"^struct (\w+) \{\n(.*?)^\}", re.M | re.S)
    FIELD = re.compile(r"^\t(?:[\w ]+[ *]|\} )(\w+)(\[\w*\])?;", re.M)
    CONSTANT = re.compile(r"^(?:#define ([A-Z]\w+)\s|\t([A-Z]\w+)\b.*,$)", re.M)

    def __init__(self, d, patched):
        text = re.sub(r"/\*.*?\*/", "", read(UAPI), flags=re.S)
        self.constants = {a or b for a, b in self.CONSTANT.findall(text)}
        self.structs = {name: self.FIELD.findall(body)
                        for name, body in self.STRUCT.findall(text)}
        self.values = {}    # of constants
        self.layouts = {}   # as Descriptions.layout(), without the alignment
        self.ask(self.program(d, patched))

    def program(self, d, patched):
        names = {name for name in d.used | self.constants if name[0].isupper()}
        lines = [f"#include <{name}>" for name in d.includes + ["stdio.h", "stddef.h"]]
        lines += [f"#undef {name}\n#define {name} ({value})"
                  for name, value in [*d.defines.items(), *patched.items()]]
        lines += ["int main(void) {"]
        lines += [f'printf("C {name} %lld\\n", (long long)({name}));' for name in
                  sorted(names - d.params - {"GHOST_BPF_ATTACH", "GHOST_FS_NAME"})]
        for name, fields in self.structs.items():
            lines += [f'printf("S {name} %zu\\n", sizeof(struct {name}));']
            for field, array in fields:
                size = "(size_t)0" if array == "[]" else \
                    f"sizeof(((struct {name} *)0)->{field})"
                lines += [f'printf("F {name} {field} %zu %zu\\n", '
                          f"offsetof(struct {name}, {field}), {size});"]
        return "\n".join(lines + ["}"])

    def ask(self, program):
        with tempfile.TemporaryDirectory() as scratch:
            cc = subprocess.run(["cc", f"-I{TOP}/kernel/include/uapi", "-x", "c", "-",
                                 "-o", f"{scratch}/ask"], input=program,
                                capture_output=True, text=True)
            unknown = set(re.findall(r"error: .(\w+). undeclared", cc.stderr))
            for name in sorted(unknown):
                error(f"{name} is in none of the headers")
            if cc.returncode:
                if not unknown:
                    error("does not compile with the headers:\n" + cc.stderr)
                return
            answer = subprocess.run([f"{scratch}/ask"], capture_output=True,
                                    text=True, check=True).stdout
        for kind, name, *rest in map(str.split, answer.splitlines()):
            if kind == "C":
                self.values[name] = int(rest[0])
            elif kind == "S":
                self.layouts[name] = [], int(rest[0])
            else:
                self.layouts[name][0].append((rest[0], int(rest[1]), int(rest[2])))


def check_names(d):
    for name in sorted(d.used - d.defined - d.params - WORDS):
        if name[0].islower():
            error(f"{name} is used, but not defined")
    for name in sorted(d.defined - d.used):
        error(f"{name} is defined, but not used")

    # A resource is what a call returns, or is in what a call writes
    made = set(d.results)
    for args in d.calls.values():
        made |= set(re.findall(r"ptr\[(?:in)?out, (\w+)", args))
    todo = list(made)
    while todo:
        name = todo.pop()
        inner = {d.resources[name]} if name in d.resources else set()
        if name in d.structs:
            inner = set().union(*(words(t) for _, t in d.structs[name].fields))
        todo += inner - made
        made |= inner
    for name in sorted(set(d.resources) - made):
        error(f"no call makes the resource {name}")


def check_constants(d, header, patched):
    for where, names in (UAPI, header.constants), (PATCHES, patched):
        for name in sorted(set(names) - d.used):
            if not NOT_PASSED.fullmatch(name):
                error(f"{name} of {where} is not described")


def check_structs(d, header):
    for name, (fields, size) in header.layouts.items():
        if name not in d.structs:
            if not NOT_PASSED.fullmatch(name):
                error(f"struct {name} of {UAPI} is not described")
            continue
        ours, our_size, _ = d.layout(name)
        if [f[0] for f in ours] != [f[0] for f in fields]:
            error(f"{name} has {', '.join(f[0] for f in ours)}; {UAPI} has "
                  f"{', '.join(f[0] for f in fields)}")
            continue
        # An array without a size may be described as anything
        for is_, want in zip(ours, fields):
            if is_ != want and (want[2] or is_[:2] != want[:2]):
                error("%s.%s is at %d and has %d bytes; " % (name, *is_) +
                      "%s: at %d, %d bytes" % (UAPI, *want[1:]))
        if our_size != size and fields[-1][2]:
            error(f"{name} has {our_size} bytes; {UAPI}: {size}")


def check_ioctls(d, header):
    """_IOW() is in, _IOWR() inout, and _IO() passes nothing."""
    names = {name for name in header.constants if name.startswith("GHOST_IOC_")}
    for name in sorted(names):
        args = d.calls.get(f"ioctl${name}", "")
        if f"cmd const[{name}]" not in args:
            error(f"there is no ioctl${name} that calls {name} of {UAPI}")
            continue
        way, what = (re.findall(r"arg ptr\[(\w+), (\w+)\]", args) or [("none", "")])[0]
        size = d.layout(what)[1] if what in d.structs else 0
        want_way = ("none", "in", "out", "inout")[header.values[name] >> 30 & 3]
        want = header.values[name] >> 16 & 0x3fff
        if (way, size) != (want_way, want):
            error(f"ioctl${name}: direction {way}, {size} bytes; the number in "
                  f"{UAPI}: {want_way}, {want} bytes")
    for name in d.calls:
        if name.startswith("ioctl$") and name[6:] not in names:
            error(f"{name} is not in {UAPI}")


def kernel_files():
    """Returns the modes of the files, by their names in an enclave or absolute."""
    files, fs = read(FILES), read(FS)
    row = re.compile(r'^\t\{ "(\w+)", (0\d+),', re.M)
    modes = dict(row.findall(files))
    mode = re.search(r"\{ #field, (0\d+),", files).group(1)
    modes.update((name, mode) for name in re.findall(r"^\tTUNABLE\((\w+)\)", files, re.M))
    mode = re.search(r"ghost_region_file = \{\s+\.mode = (0\d+)", files).group(1)
    folder = re.search(r'add_dir\(e->dir, "(\w+)"', fs).group(1)
    name = re.search(r'snprintf\(name, .*"(\w+_)%u"', fs).group(1)
    modes[f"{folder}/{name}0"] = mode
    modes.update((ROOT + name, mode) for name, mode in row.findall(fs))
    return modes


def check_files(d):
    """What the mode does not allow is EACCES, for root, too."""
    modes, opened = kernel_files(), set()
    for call, args in d.calls.items():
        if not call.startswith("openat$"):
            continue
        flags = re.search(r"flags const\[(\w+)\]", args).group(1)
        for name in d.strings(call):
            if flags == "O_DIRECTORY":
                if not re.fullmatch(ROOT + r"enclave_\d+", name):
                    error(f"{name} is no folder of an enclave")
                continue
            name = re.sub(r"_\d+$", "_0", name)     # regions are alike
            opened.add(name)
            mode = int(modes.get(name, "0"), 8)
            if not mode:
                error(f"{call}: the kernel has no file {name}")
            elif (mode & 0o222 == 0) != (flags == "O_RDONLY"):
                error(f"{call}: {name} has the mode {mode:o}, and is opened {flags}")
    for name in sorted(set(modes) - opened):
        error(f"the kernel's file {name} is not opened")
    # /proc/PID/ghost/gtid
    patch = read(f"{PATCHES}/0006-proc-gtid.patch")
    name = "/".join(re.search(rf'^\+\t{row}\("(\w+)"', patch, re.M).group(1)
                    for row in ("DIR", "ONE"))
    if name not in d.strings("syz_open_procfs$ghost_gtid"):
        error(f"/proc/PID/{name} is not opened")


def check_words(what, path, function, ours):
    """What a function of the kernel compares its input with, and @ours."""
    body = re.search(rf"^static \w+ {function}\(.*?^\}}", read(path), re.M | re.S)
    theirs = re.findall(r'(?:strcmp|sscanf)\(\w+, "([^"]*)"', body.group())
    patterns = {word: re.sub("%[ud]", r"-?\\d+", re.escape(word)) for word in theirs}
    for word, pattern in patterns.items():
        if not any(re.fullmatch(pattern, our) for our in ours):
            error(f"'{word}', {what} in {path}, is not described")
    for our in sorted(ours):
        if not any(re.fullmatch(pattern, our) for pattern in patterns.values()):
            error(f"'{our}' is not {what} in {path}")


def read_patches():
    """Returns the constants that the patches add to the interface."""
    found = {}
    for path in sorted((TOP / PATCHES).glob("*.patch")):
        for part in path.read_text().split("\n+++ b/include/uapi/")[1:]:
            part = part.split("\ndiff ")[0]
            found.update(re.findall(r"^\+#define (\w+)\s+(\S+)", part, re.M))
    return found


def main():
    d, patched = Descriptions(read(TEXT)), read_patches()
    header = Header(d, patched)
    check_names(d)
    check_constants(d, header, patched)
    if header.values:
        check_structs(d, header)
        check_ioctls(d, header)
    check_files(d)
    creates = [line.split() for line in d.strings("write$ghost_top")]
    check_words("a command of the top", FS, "top_ctl_store", {c[0] for c in creates})
    check_words("an option of create", FS, "parse_options",
                {option.split("=")[0] for c in creates for option in c[3:]})
    check_words("a command of an enclave", FILES, "ctl_store",
                set(d.strings("write$ghost_ctl")))
    if errors:
        print(*errors, sep="\n")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
