#!/usr/bin/python3
"""What dashboard, alert rules and tests say of metrics is in the table: names, and values of labels. Each metric is moved by a test."""
import json
import re

from sources import ROOT, report

FILES = ("deploy/grafana/postern.json", "deploy/prometheus/alerts.yaml", "tests/prometheus/alerts_test.yaml")
MOVES = "tests/e2e/test_85_metrics.py"
ROW = re.compile(r'^M\((\w+), (\w+), \w+, [\w |]+,\s*"([^"]+)",\s*((?:"[^"]*"\s*)+),', re.M)
USE = re.compile(r"\b((?:postern|pomerium|process)_\w+)(?:\{([^{}]*)\})?")
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
# Labels that Prometheus adds.
ADDED = {"job", "instance", "le", "service", "version"}


def table():
    metrics = {}
    for _, kind, name, labels in ROW.findall((ROOT / "common/daemon/metrics.def").read_text()):
        text = "".join(re.findall(r'"([^"]*)"', labels))
        sets = {part.split("=")[0]: set(part.split("=")[1].split("|")) for part in text.split(";") if part}
        for suffix in ("_bucket", "_sum", "_count") if kind == "HISTOGRAM" else ("",):
            metrics[name + suffix] = sets
    return metrics


def plain():
    """Names as the table has them."""
    return {row[2] for row in ROW.findall((ROOT / "common/daemon/metrics.def").read_text())}


def expressions(path, text):
    """(where, text) of what names metrics: a panel's expressions, or the lines of a file."""
    if path.suffix != ".json":
        yield from ((f"{path}:{n}", line) for n, line in enumerate(text.splitlines(), 1))
        return
    for panel in json.loads(text)["panels"]:
        for target in panel.get("targets", ()):
            yield f"{path}: panel \"{panel['title']}\"", target["expr"]


def main():
    metrics, problems, seen = table(), [], 0
    for name in (*FILES, MOVES):
        path = ROOT / name
        for where, text in expressions(path, path.read_text()):
            for metric, matchers in USE.findall(text):
                if metric not in metrics:
                    # In prose the name of a histogram stands alone.
                    if metric + "_bucket" not in metrics or path.suffix == ".json":
                        problems.append(f"{where}: {metric} is not in metrics.def")
                    continue
                seen += 1
                for label, operator, value in MATCHER.findall(matchers):
                    if label in ADDED:
                        continue
                    values = value.split("|") if "~" in operator else [value]
                    known = metrics[metric].get(label)
                    problems += [f"{where}: {metric} has no {label}=\"{v}\"" for v in values
                                 if known is None or v not in known]
    said = (ROOT / MOVES).read_text()
    problems += [f"{MOVES} does not move {name}" for name in sorted(plain()) if not re.search(rf"\b{name}(_count)?\b", said)]
    if seen < 100:
        problems.append(f"only {seen} uses of metrics were found")
    report("metrics", problems)


main()
