"""README's first command, on the release build."""
import json
import os
import re
import subprocess

import pytest

from stack import LOGIN, ROOT, Client, can_connect, wait_for

SSH = ["ssh", "-F", "none", "-o", "StrictHostKeyChecking=accept-new", "-o", "IdentitiesOnly=yes",
       "-o", "IdentityAgent=none"]


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory):
    data = tmp_path_factory.mktemp("quickstart") / "data"
    script = ROOT / "deploy/quickstart.sh"
    run = subprocess.run([script, "--data", data, "--detach"], capture_output=True, text=True,
                         timeout=600)
    assert run.returncode == 0, run.stdout + run.stderr
    yield data, run.stdout
    pids = [int(p.read_text()) for p in (data / "run").glob("*.pid")]
    subprocess.run([script, "--data", data, "--stop"], check=True, timeout=60)
    wait_for(lambda: not any(alive(p) for p in pids), 10, "every process to end")


def test_ready_line_and_five_processes(quickstart, snippets):
    data, out = quickstart
    assert snippets("README.md") == ["deploy/quickstart.sh\n"]
    assert out.splitlines()[-1] == f"READY ssh -p 2222 {LOGIN}@demo@localhost"
    names = ["databroker", "authorize", "authenticate", "proxy", "proxy-worker"]
    pids = {int((data / f"run/{n}.pid").read_text()) for n in names}
    assert len(pids) == 5 and all(map(alive, pids))


def test_keyscan_prints_three_keys(quickstart):
    scan = subprocess.run(["ssh-keyscan", "-p", "2222", "127.0.0.1"], capture_output=True, text=True,
                          timeout=30)
    types = sorted(line.split()[1] for line in scan.stdout.splitlines() if not line.startswith("#"))
    assert types == ["ecdsa-sha2-nistp256", "ssh-ed25519", "ssh-rsa"], scan.stdout + scan.stderr


def test_sign_in_then_no_question(quickstart, tmp_path):
    data, _ = quickstart
    key = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    argv = [*SSH, "-i", key, "-o", f"UserKnownHostsFile={tmp_path}/known_hosts", "-p", "2222",
            f"{LOGIN}@demo@127.0.0.1", "id; exit 7"]
    first = Client(argv)
    url = first.url()
    assert re.search(r"Please sign in", first.stderr.text())
    subprocess.run([ROOT / "tests/bin/sign-in", url, "demo@localhost", data / "demo-password"],
                   check=True, timeout=60, env=dict(os.environ, POSTERN_TLS_CA=f"{data}/tls/localhost.crt"))
    assert first.wait() == 7, first.stderr.text()
    assert first.stdout.text().startswith("uid=")
    second = Client(argv)
    assert second.wait() == 7
    assert second.stdout.text() == first.stdout.text()
    assert "sign_in" not in second.stderr.text()


def test_the_commands_it_prints(quickstart):
    lines = re.search(r"To look after it:\n((?:  .*\n)+)", quickstart[1]).group(1)
    run = subprocess.run(["bash", "-ec", lines + "postern doctor demo --json"], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0 and "demo@localhost" in run.stdout, run.stdout + run.stderr
    assert {json.loads(line)["result"] for line in run.stdout.splitlines() if line.startswith("{")} == {"ok"}


def test_services_listen_on_loopback_only(quickstart):
    for port in (2222, 8443, 5443, 5444, 8444, 28080, 28081, 28082, 28083):
        assert can_connect(port), port
        assert not can_connect(port, "127.0.0.2"), port
