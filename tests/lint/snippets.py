#!/usr/bin/python3
"""Every fenced block of README and docs names the test that runs it, or says why none does; the
numbers of docs/limits.md are those of the code."""
import re
import sys

from sources import ROOT, report, tracked

sys.path.insert(0, str(ROOT / "tests/support"))
import snippets  # noqa: E402

TEST = re.compile(r"^def (test_\w+)\(([^)]*)\):", re.M)
LIMIT = re.compile(r"^\|.*\| ([\d,]+)( [KM]iB| s| ms)? \| `([A-Z_]+)` \|$", re.M)
UNITS = {"": 1, " KiB": 1 << 10, " MiB": 1 << 20, " s": 1000, " ms": 1}


def tests():
    """Test functions by name: whether each asks for the blocks of a document."""
    found = {}
    for path in (ROOT / "tests").rglob("test_*.py"):
        for name, parameters in TEST.findall(path.read_text()):
            found[name] = found.get(name, False) or "snippets" in parameters.split(", ")
    return found


def blocks():
    known, problems = tests(), []
    for document in snippets.documents():
        for s in snippets.read(document):
            where = f"{s.document}:{s.line}"
            if not s.test and not s.reason:
                problems.append(f"{where}: '{s.info}': wants LANGUAGE test=NAME or LANGUAGE not-run: REASON")
            elif s.test and s.test not in known:
                problems.append(f"{where}: there is no test {s.test}")
            elif s.test and not known[s.test]:
                problems.append(f"{where}: {s.test} does not take its blocks from the document (`snippets`)")
    return problems


def constants():
    found = {}
    for path in tracked(".h", ".c"):
        for name, value in re.findall(r"^\s*([A-Z][A-Z_]+) = ([\d *<+()-]+),", (ROOT / path).read_text(), re.M):
            found[name] = eval(value)
    return found


def limits():
    text, known, problems = (ROOT / "docs/limits.md").read_text(), constants(), []
    rows = LIMIT.findall(text)
    if len(rows) != len(re.findall(r"\| `[A-Z_]+` \|$", text, re.M)) or not rows:
        problems.append("docs/limits.md: a row of the table of limits is not understood")
    for number, unit, name in rows:
        written = int(number.replace(",", "")) * UNITS[unit]
        if known.get(name) != written:
            problems.append(f"docs/limits.md: {name} is {known.get(name)} in the code, {written} here")
    return problems


report("snippets", blocks() + limits())
