"""A proxy that is asked to stop: it is taken out of the balancer, tells its users, and lets them finish in time."""
import contextlib
import re
import signal
import socket
import ssl
import subprocess
import time

import pytest

from balancer import HAProxy
from stack import Client, Stack, can_connect, free_ports, wait_for
from tunnels import TcpServer, claims_of, echo, tcp_route

SENTENCE = "Postern is restarting; please connect again in a moment."
COUNT = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.2; done"
GRACE = 6


def counting(stack, **kwargs):
    client = stack.ssh(COUNT, **kwargs)
    client.stdout.wait(r"^1\n")
    return client


def goes_on(client):
    seen = len(client.stdout.data)
    wait_for(lambda: len(client.stdout.data) > seen, what="more output of a live session")


def ended(stack, service="proxy", timeout=30):
    return stack.processes.pop(service).wait(timeout)


def test_users_are_told_and_may_finish(new_stack):
    stack = new_stack(shutdown_grace=f"{GRACE}s")
    stack.bind()
    live = counting(stack)
    terminal = stack.ssh("echo ready; cat", options=["-tt"], stdin=subprocess.PIPE)
    terminal.stdout.wait("ready")
    waiting = stack.ssh("true", key="waiting")
    waiting.url()
    half = socket.create_connection(("127.0.0.1", stack.ssh_port))
    context = ssl.create_default_context(cafile=stack.folder / "tls/localhost.crt")
    idle = context.wrap_socket(socket.create_connection(("127.0.0.1", stack.https_port)), server_hostname="localhost")
    assert stack.health("proxy") == 200

    begun = time.monotonic()
    stack.signal("proxy", signal.SIGTERM)
    # The balancer's question is answered: not ready, but alive.
    wait_for(lambda: stack.health("proxy") == 503, 3, "readyz to say no")
    assert stack.health("proxy", "/healthz") == 200
    wait_for(lambda: not can_connect(stack.ssh_port) and not can_connect(stack.https_port), 3, "the listeners to be gone")
    # Who has nothing open yet is sent away with the sentence; who has is told and goes on.
    assert waiting.wait(5) == 255 and SENTENCE in waiting.stderr.text(), waiting.stderr.text()
    live.stderr.wait(re.escape(SENTENCE), 5)
    wait_for(lambda: SENTENCE in terminal.stdout.text() + terminal.stderr.text(), 5, "the line on a terminal")
    half.settimeout(5)
    while half.recv(4096):
        pass
    idle.settimeout(5)
    assert idle.recv(100) == b""
    assert time.monotonic() - begun < GRACE - 1, "too slow to tell"
    goes_on(live)
    terminal.process.stdin.write(b"still here\n")
    terminal.process.stdin.flush()
    terminal.stdout.wait("still here", 5)

    # At the end of the grace the sentence comes again, as the reason of the end.
    assert live.wait(GRACE + 10) == 255 and terminal.wait(10) == 255
    assert ended(stack) == 0
    took = time.monotonic() - begun
    assert GRACE - 1 < took < GRACE + 6, took
    assert live.stderr.text().count(SENTENCE) >= 2, live.stderr.text()
    closed = stack.logs("proxy", "ssh connection closed")
    assert [line["reason"] for line in closed[-2:]] == ["shutdown"] * 2, closed
    wait_for(lambda: stack.cli_json("connections", "list") == [], what="the records to be gone")
    half.close()
    idle.close()


def test_it_ends_with_its_last_user(new_stack):
    stack = new_stack(shutdown_grace="5m")
    stack.bind()
    first, last = counting(stack), counting(stack)
    stack.signal("proxy", signal.SIGTERM)
    for client in (first, last):
        client.stderr.wait(re.escape(SENTENCE), 5)
    first.kill()
    goes_on(last)
    assert stack.processes["proxy"].poll() is None
    last.kill()
    assert ended(stack) == 0
    assert not stack.logs("proxy", "shutdown_grace is over")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_nobody_is_waited_for(new_stack, number):
    stack = new_stack(shutdown_grace="5m")
    begun = time.monotonic()
    stack.signal("proxy", number)
    assert ended(stack) == 0
    assert time.monotonic() - begun < 10


def test_a_second_signal_ends_the_patience(new_stack):
    stack = new_stack(shutdown_grace="5m")
    stack.bind()
    live = counting(stack)
    stack.signal("proxy", signal.SIGTERM)
    live.stderr.wait(re.escape(SENTENCE), 5)
    begun = time.monotonic()
    stack.signal("proxy", signal.SIGTERM)
    assert live.wait(10) == 255
    assert ended(stack) == 0
    assert time.monotonic() - begun < 10


# --- behind a balancer ---

class TwoProxies(Stack):
    """A second proxy process, "proxy2", of the same configuration; both behind one HAProxy."""

    def __init__(self, folder, **config):
        super().__init__(folder, start=False, **config)
        self.ssh2_port, self.https2_port, self.health2_port, self.echo_port = free_ports(4)
        self.balancer = HAProxy(folder / "haproxy", [
            ("proxy", self.ssh_port, self.https_port, self.health_port("proxy")),
            ("proxy2", self.ssh2_port, self.https2_port, self.health2_port)])
        self.write_config(use_proxy_protocol=True, ssh_use_proxy_protocol=True, proxy_protocol_trusted=["127.0.0.1"],
                          routes=[*self.config["routes"], tcp_route("echo.test:7", self.echo_port)],
                          authenticate_service_url=f"https://localhost:{self.balancer.https_port}")

    def health_port(self, service):
        return self.health2_port if service == "proxy2" else super().health_port(service)

    def program(self, service):
        return super().program(service.rstrip("2"))

    def environment(self, service):
        own = {"proxy2": {"ADDRESS": f"127.0.0.1:{self.https2_port}", "SSH_ADDRESS": f"127.0.0.1:{self.ssh2_port}",
                          "POSTERN_WORKER_PIDFILE": str(self.folder / "run/proxy2-worker.pid")}}
        return dict(super().environment(service), **own.get(service, {}))

    def ssh_options(self, *args, **kwargs):
        return ["-o", f"Port={self.balancer.ssh_port}", *super().ssh_options(*args, **kwargs)]

    def start(self, *services):
        super().start(*(services or ("databroker", "authorize", "authenticate", "proxy", "proxy2")))
        self.balancer.wait_up(*(s for s in ("proxy", "proxy2") if s in self.processes))

    def __exit__(self, *exc):
        self.balancer.close()
        with contextlib.suppress(KeyError):
            self.stop("proxy2")
        super().__exit__(*exc)

    def opened_by(self, proxy):
        return {line["connection-id"] for line in self.logs(proxy, "ssh connection opened")}


@pytest.fixture
def two(tmp_path):
    with TwoProxies(tmp_path / "stack", shutdown_grace="20s") as s:
        s.start()
        yield s


def live_on(stack, proxy):
    """A session that this proxy serves; the balancer takes them in turn."""
    for _ in range(6):
        before = stack.opened_by(proxy)
        client = counting(stack)
        with contextlib.suppress(AssertionError):
            wait_for(lambda: stack.opened_by(proxy) > before, 2)
            return client
        client.kill()
    raise AssertionError(f"no session came to {proxy}")


@pytest.mark.parametrize("version", [["--http1"], []], ids=["h1", "h2"])
def test_the_balancer_hides_no_reason(two, version):
    """Why a tunnel has ended knows the proxy that served it; the next connection leads to the other one."""
    echoing = TcpServer(echo, two.echo_port)
    two.bind()
    token = two.cli("service-account", "create", "local/demo@localhost").stdout.strip().splitlines()[-1]
    clients = []
    for _ in range(3):
        client = Client([two.bin / "postern", "tcp", "echo.test:7", "--listen", "-", "--service-account", token,
                         "--pomerium-url", f"https://localhost:{two.balancer.https_port}",
                         "--alternate-ca-path", two.folder / "tls/localhost.crt", *version], stdin=subprocess.PIPE)
        clients.append(client)
        client.process.stdin.write(b"x")
        client.process.stdin.flush()
        client.stdout.wait("x")
    assert len(two.logs("proxy", "tunnel opened") + two.logs("proxy2", "tunnel opened")) == 3
    two.cli("service-account", "revoke", claims_of(token)["jti"])
    for client in clients:
        assert client.wait(20) == 1
        assert re.search(r"postern: tunnel ended: \S", client.stderr.text()), client.stderr.text()
    echoing.close()


def test_the_balancer_moves_on(two):
    """One proxy is drained: its session goes on, and no login fails, from the signal to the proxy's return."""
    two.bind()
    live = live_on(two, "proxy")
    waiting = [two.ssh("echo in", key=f"waiting{i}") for i in range(2)]
    links = {client.url() for client in waiting}
    assert len(links) == 2
    two.signal("proxy", signal.SIGTERM)
    results = []
    while len(results) < 6 or two.balancer.states().get("proxy") != "DOWN":
        results.append(two.run_ssh("echo in"))
        assert len(results) < 60
    assert [r.stdout for r in results] == [b"in\n"] * len(results), [r.stderr for r in results]
    live.stderr.wait(re.escape(SENTENCE), 5)
    goes_on(live)
    # Of those who were at the link, the one on the other proxy has noticed nothing; the other is told, comes again
    # and is shown the same link, so a page that is open stays good.
    told = [c for c in waiting if c.process.poll() is not None]
    assert len(told) == 1 and SENTENCE in told[0].stderr.text(), [c.stderr.text() for c in waiting]
    again = two.ssh("echo in", key=f"waiting{waiting.index(told[0])}")
    assert again.url() == told[0].url()
    for client in (again, *(c for c in waiting if c is not told[0])):
        two.sign_in(client.url())
        assert client.wait() == 0 and client.stdout.text() == "in\n", client.stderr.text()
    live.kill()
    assert ended(two) == 0
    two.start("proxy")
    before = two.opened_by("proxy")
    for _ in range(4):
        assert two.run_ssh("echo in").stdout == b"in\n"
    wait_for(lambda: two.opened_by("proxy") > before, what="the proxy to serve again")
