#!/usr/bin/python3
"""No name is defined by two of our libraries that end up in one program: the linker would take one
of them without a word.   tests/lint/unique.py BUILD_DIR"""
import pathlib
import re
import subprocess
import sys

from sources import report

DAEMONS = ("authenticate", "authorize", "proxy", "databroker", "cli")


def daemon_of(library):
    """The daemon that a library belongs to; None: it may be in any program."""
    name = library.removeprefix("lib").removesuffix(".a")
    return next((d for d in DAEMONS if name == d or name.startswith(d + "_")), None)


def main():
    where = {}
    for path in sorted(pathlib.Path(sys.argv[1]).glob("lib*.a")):
        if path.name in ("libproto.a", "libtest_support.a"):
            continue
        out = subprocess.run(["nm", "--defined-only", "--extern-only", path], capture_output=True,
                             text=True).stdout
        for name in re.findall(r"^\S+ [TDBRVWu] (\S+)$", out, re.M):
            if not name.startswith(("__asan", "__odr", "__ubsan", "__sanitizer", "__start", "__stop", "asan.", "_")):
                where.setdefault(name, set()).add(path.name)
    if not where:
        raise SystemExit("unique: no library to look at")
    problems = []
    for name, libraries in sorted(where.items()):
        owners = [daemon_of(lib) for lib in libraries]
        together = len(owners) != len(set(owners)) or None in owners
        if len(libraries) > 1 and together:
            problems.append(f"{name}: {', '.join(sorted(libraries))}")
    report("unique", problems)


main()
