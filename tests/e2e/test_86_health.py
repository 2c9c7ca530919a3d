"""/status, /startupz, /readyz and /healthz of every daemon, from its start to its end, and postern health."""
import json
import signal
import subprocess
import urllib.error
import urllib.request

import pytest

from stack import SERVICES, Stack, wait_for

ENDPOINTS = ("/startupz", "/readyz", "/healthz")
# What each needs before it is ready, as /status names it.
REQUIRED = {
    "databroker": {"databroker.service", "storage.backend"},
    "authorize": {"authorize.service", "databroker.sync.initial"},
    "authenticate": {"authenticate.service", "databroker.connection"},
    "proxy": {"proxy.service", "proxy.worker", "authorize.service"},
}


def ask(stack, service, path, method="GET"):
    """(status, content type, body)"""
    request = urllib.request.Request(f"http://127.0.0.1:{stack.health_port(service)}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.headers["Content-Type"], e.read().decode()
    except OSError:
        return 0, None, ""


def three(stack, service):
    return [ask(stack, service, path)[0] for path in ENDPOINTS]


def checks(stack, service):
    status, kind, body = ask(stack, service, "/status")
    assert (status, kind) == (200, "application/json"), (status, kind, body)
    return json.loads(body)


@pytest.fixture(scope="module")
def health(tmp_path_factory):
    with Stack(tmp_path_factory.mktemp("health")) as stack:
        yield stack


@pytest.mark.parametrize("service", SERVICES)
def test_ready(health, service):
    assert three(health, service) == [200, 200, 200]
    found = checks(health, service)
    assert {name for name, check in found.items() if check["required"]} == REQUIRED[service]
    assert all(check["status"] == "running" and "error" not in check for check in found.values())
    assert found["config"]["attributes"]["version"] == "0.1.0" and len(found["config"]["attributes"]["hash"]) == 64
    for path in ENDPOINTS:
        status, kind, body = ask(health, service, path)
        assert kind.startswith("text/plain") and body == "OK\n"
        assert ask(health, service, path, "HEAD")[::2] == (200, "")
        assert ask(health, service, path, "POST")[0] == 405
        assert ask(health, service, path + "?verbose")[0] == 200
    assert ask(health, service, "/status", "HEAD")[::2] == (200, "")
    assert ask(health, service, "/status", "DELETE")[0] == 405
    assert ask(health, service, "/nothing")[0] == 404


def test_from_the_start_to_the_end(tmp_path):
    """Each waits for what it needs, says so, and is alive all the while."""
    stack = Stack(tmp_path, start=False)
    with stack:
        for service in ("authorize", "authenticate", "proxy"):
            stack.spawn(service)
        for service, check, word in (("authorize", "databroker.sync.initial", "no copy"),
                                     ("authenticate", "databroker.connection", ""), ("proxy", "authorize.service", "")):
            wait_for(lambda: three(stack, service) == [503, 503, 200], 40, f"{service} to wait")
            found = wait_for(lambda: (c := checks(stack, service)[check]) and word in c.get("error", "") and c, 20, word)
            assert found["status"] == "starting" and found["required"]
            assert ask(stack, service, "/readyz")[2] == "not OK\n"
        stack.start("databroker")
        for service in SERVICES:
            assert three(stack, service) == [200, 200, 200]
        # It goes: who needs it all the time is not ready, which is no reason for a restart.
        stack.stop("databroker")
        wait_for(lambda: three(stack, "authenticate") == [200, 503, 200], 20, "authenticate to miss it")
        assert checks(stack, "authenticate")["databroker.connection"]["error"]
        stack.stop("authorize")
        wait_for(lambda: three(stack, "proxy") == [200, 503, 200], 20, "the proxy to miss authorize")
        assert checks(stack, "proxy")["authorize.service"]["error"]
        stack.start("databroker", "authorize")
        assert three(stack, "proxy") == [200, 200, 200] and three(stack, "authenticate") == [200, 200, 200]


def test_stopping(new_stack):
    """A balancer sees it at once: not ready, but alive until the last connection has had its time."""
    stack = new_stack(shutdown_grace="20s")
    stack.bind()
    live = stack.ssh("echo up; cat", stdin=subprocess.PIPE)
    live.stdout.wait("up")
    stack.signal("proxy", signal.SIGTERM)
    wait_for(lambda: three(stack, "proxy")[1:] == [503, 200], 5, "the proxy to say that it stops")
    assert checks(stack, "proxy")["proxy.service"]["status"] == "terminating"
    live.process.stdin.close()
    live.wait()
    assert stack.stop("proxy") == 0
    assert three(stack, "proxy") == [0, 0, 0]


def test_a_worker_that_hangs(health):
    """The supervisor answers for a worker that does not serve."""
    health.signal("worker", signal.SIGKILL)
    wait_for(lambda: health.health("proxy") == 503 or len(health.logs("proxy", "worker serves")) > 1, 10, "the worker's end")
    wait_for(lambda: three(health, "proxy") == [200, 200, 200], 20, "the next one")


def test_postern_health(health):
    def ask_cli(*args, **environment):
        return subprocess.run([health.bin / "postern", "--config", health.folder / "postern.yaml", *args], capture_output=True,
                              text=True, timeout=60, env=dict(health.environment("proxy"), **environment))
    for service in SERVICES:
        address = f"127.0.0.1:{health.health_port(service)}"
        good = ask_cli("health", "--service", service, HEALTH_CHECK_ADDR=address)
        assert (good.returncode, good.stdout.split()) == (0, [service, "ok"])
        row = json.loads(ask_cli("--json", "health", "--service", service, HEALTH_CHECK_ADDR=address).stdout)
        assert row == {"service": service, "healthy": True, "problem": ""}
    # Another daemon at the address, nobody, a name that is none.
    other = ask_cli("health", "--service", "proxy", HEALTH_CHECK_ADDR=f"127.0.0.1:{health.health_port('authorize')}")
    assert other.returncode == 1 and "authorize answers at" in other.stdout
    nobody = ask_cli("health", "--service", "proxy", HEALTH_CHECK_ADDR="127.0.0.1:1")
    assert nobody.returncode == 1 and "no answer at" in nobody.stdout
    assert ask_cli("health", "--service", "mail").returncode == 2
    health.stop("databroker")
    bad = wait_for(lambda: (r := ask_cli("health", "--service", "authenticate", HEALTH_CHECK_ADDR=f"127.0.0.1:{health.health_port('authenticate')}"))
                   and r.returncode == 1 and r, 20, "authenticate to be not ready")
    print(bad.stdout)
    assert "not ready: databroker.connection: " in bad.stdout
    health.start("databroker")
