#!/usr/bin/python3
"""What dashboard, alert rules and tests say of metrics is in the table: names, and values of labels. Each metric is moved by
a test, and is on the dashboard or in an alert rule. The dashboard's panels have ids of their own and do not overlap."""
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
# For a question of somebody who looks closer; neither dashboard nor alerts need them.
UNSHOWN = set("""
    postern_build_info process_start_time_seconds pomerium_config_last_reload_success_timestamp
    postern_config_reloads_total postern_grpc_server_duration_seconds postern_authorize_decisions_total
    postern_authorize_workers postern_routes postern_sync_connected postern_sync_record_version
    postern_storage_queue_bytes postern_databroker_watchers postern_databroker_leases postern_certify_duration_seconds
    postern_ssh_shell_commands_total postern_rsa_keys_ready postern_rsa_keys_used_total
    postern_worker_start_time_seconds postern_worker_up postern_signature_duration_seconds
    postern_http_connections_total postern_sign_outs_total postern_forged_forms_refused_total
    postern_expired_records_deleted_total postern_databroker_call_errors_total""".split())


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


def shown():
    """Metrics that nobody is shown, and exceptions that are none."""
    text = "".join(part for name in FILES[:2] for _, part in expressions(ROOT / name, (ROOT / name).read_text()))
    for name in sorted(plain()):
        if bool(re.search(rf"\b{name}(_bucket|_sum|_count)?\b", text)) == (name in UNSHOWN):
            yield f"{name} is {'shown but stands' if name in UNSHOWN else 'neither in dashboard nor alert rules, and not'} in UNSHOWN"
    yield from (f"{name} of UNSHOWN is not in metrics.def" for name in sorted(UNSHOWN - plain()))


def layout():
    path, ids, taken = ROOT / FILES[0], set(), {}
    for panel in json.loads(path.read_text())["panels"]:
        where, at = f"{path}: panel \"{panel['title']}\"", panel["gridPos"]
        if panel["id"] in ids:
            yield f"{where} has the id {panel['id']} of another"
        ids.add(panel["id"])
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        if at["x"] + at["w"] > 24:
            yield f"{where} is beyond the right edge"
        yield from sorted({f"{where} lies over \"{taken[c]}\"" for c in cells if c in taken})
        taken |= dict.fromkeys(cells, panel["title"])


def main():
    metrics, problems, seen = table(), [*shown(), *layout()], 0
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
