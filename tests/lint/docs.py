#!/usr/bin/python3
"""Documents that are made from tables in the code are what the tables say. --write makes them."""
import re
import sys

import manual
from sources import ROOT, report

_TEXT = r'((?:"(?:\\.|[^"\\])*"\s*)+)'
MESSAGE = re.compile(r"^M\((\w+),\s*" + r",\s*".join([_TEXT] * 3) + r"\)", re.M)
_ITEM = r'(NULL|"[^"]*"|[\w |]+)'
KEY = re.compile(r"^K\(" + r",\s*".join([_ITEM] * 8 + [_TEXT]) + r"\)", re.M)


def literal(text):
    """Adjacent C string literals as one string."""
    return "".join(p.replace('\\"', '"').replace("\\n", " ") for p in re.findall(r'"((?:\\.|[^"\\])*)"', text))


def messages():
    text = (ROOT / "common/base/messages.def").read_text()
    lines = ["# Messages", "",
             "Every sentence that a person can meet on a terminal or a page, why it appears and what helps.",
             "Made from `common/base/messages.def` by `tests/lint/docs.py --write`; `…` stands for a name.", "",
             "| sentence | cause | what helps |", "|---|---|---|"]
    rows = 0
    for match in MESSAGE.finditer(text):
        cells = [literal(c).replace("%s", "…").replace("|", "\\|") for c in match.groups()[1:]]
        lines.append("| " + " | ".join(cells) + " |")
        rows += 1
    if rows != len(re.findall(r"^M\(", text, re.M)):
        raise SystemExit("docs: a row of messages.def is not understood")
    return "\n".join(lines) + "\n"


SERVICES = {"AUTHENTICATE": "authenticate", "AUTHORIZE": "authorize", "PROXY": "proxy",
            "DATABROKER": "databroker", "CLI": "CLI", "BOTH_SSH": "proxy, authorize",
            "DAEMONS": "all", "CONFIG_ALL": "all, CLI"}
BEGIN, END = "<!-- keys: made from common/config/keys.def by tests/lint/docs.py --write -->", "<!-- end of keys -->"


def key_rows():
    """(key, read by, default, what) of every key."""
    text = (ROOT / "common/config/keys.def").read_text()
    rows = []
    for match in KEY.finditer(text):
        name, _, services, _, default, flags, choices, _, note = match.groups()
        if "CONFIG_FILE_FORM" in flags:
            name += "(_file)"
        readers = ", ".join(SERVICES[s.strip()] for s in services.split("|"))
        shown = "" if default == "NULL" else literal(default)
        note = literal(note)
        if choices != "NULL":
            note = f'{note}: {", ".join(c or "(empty)" for c in literal(choices).split("|"))}'
        rows.append((name, readers, shown, note))
    if len(rows) != len(re.findall(r"^K\(", text, re.M)):
        raise SystemExit("docs: a row of keys.def is not understood")
    return rows


def keys():
    lines = ["| key | read by | default | what |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(row)} |".replace("||", "| |") for row in key_rows()]
    return "\n".join(lines)


def configuration():
    path = ROOT / "docs/configuration.md"
    before, rest = path.read_text().split(BEGIN)
    return before + BEGIN + "\n" + keys() + "\n" + END + rest.split(END)[1]


METRIC = re.compile(r'^M\((\w+), (\w+), (\w+), ([\w |]+),\s*"([^"]+)",\s*' + _TEXT + r",\s*" + _TEXT + r"\)", re.M)
UNITS = {"ONE": "", "BYTES": "bytes", "SECONDS": "seconds", "MS": "seconds", "US": "seconds"}


def metrics():
    text = (ROOT / "common/daemon/metrics.def").read_text()
    lines = ["# Metrics", "",
             "What the daemons show at `/metrics` on `metrics_address`, in Prometheus' text format 0.0.4. A label's values are",
             "all that there are. `pomerium_` names are Pomerium's, with its meaning. The proxy's page is served by its supervisor",
             "and holds the worker's numbers too; they begin at 0 with a new worker. A gauge that nothing has set is left out, as",
             "are label values that have not occurred yet in rows with more than 64 of them.",
             "Made from `common/daemon/metrics.def` by `tests/lint/docs.py --write`.", "",
             "| metric | kind | shown by | labels | what |", "|---|---|---|---|---|"]
    rows = METRIC.findall(text)
    for _, kind, unit, services, name, labels, note in rows:
        shown = ", ".join(SERVICES[s.strip()] for s in services.split("|"))
        sets = "<br>".join(f"`{label.split('=')[0]}`: " + ", ".join(label.split("=")[1].split("|"))
                           for label in literal(labels).split(";") if label)
        what = literal(note) + (f" ({UNITS[unit]})" if UNITS[unit] else "")
        lines.append(f"| {name} | {'gauge' if kind == 'INFO' else kind.lower()} | {shown} | {sets} | {what} |")
    if len(rows) != len(re.findall(r"^M\(", text, re.M)):
        raise SystemExit("docs: a row of metrics.def is not understood")
    return "\n".join(lines) + "\n"


DOCUMENTS = {"docs/messages.md": messages, "docs/configuration.md": configuration,
             "docs/metrics.md": metrics, **manual.pages(key_rows)}


def main():
    problems = []
    for path, make in DOCUMENTS.items():
        wanted = make()
        if "--write" in sys.argv:
            (ROOT / path).parent.mkdir(exist_ok=True)
            (ROOT / path).write_text(wanted)
        elif not (ROOT / path).exists() or (ROOT / path).read_text() != wanted:
            problems.append(f"{path} is not what its table says: run tests/lint/docs.py --write")
    report("docs", problems)


main()
