"""A worker has a memory budget: near its end nothing new is accepted, and who has proved nothing goes first."""
import contextlib
import resource
import socket
import struct
import time

import pytest

from stack import Stack, free_ports, wait_for

LIMIT = 64 << 20  # of the process; its budget is the half
TIGHT = 0.9
SOCKETS = 3000


class Small(Stack):
    """Its proxy has little memory, and threads whose stacks fit into that."""

    def __init__(self, folder, **config):
        self.metrics_port, = free_ports(1)
        super().__init__(folder, build="release", start=False, ssh_max_startups="9000:1:9001", ssh_login_grace_time="5m",
                         metrics_address={"proxy": f"127.0.0.1:{self.metrics_port}"}, **config)

    def program(self, service):
        limits = ["prlimit", f"--data={LIMIT}", "--stack=524288", f"--nofile={2 * SOCKETS}"]
        return (limits if service == "proxy" else []) + super().program(service)

    def metric(self, name):
        with socket.create_connection(("127.0.0.1", self.metrics_port), 10) as s:
            s.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            lines = s.makefile("r").read().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))


@pytest.fixture
def small(tmp_path):
    old = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(2 * SOCKETS, old[1]), old[1]))
    with Small(tmp_path / "stack") as s:
        s.start()
        yield s
    resource.setrlimit(resource.RLIMIT_NOFILE, old)


# Of a packet that is almost as long as one may be before authentication, all but the end.
BEGUN = b"SSH-2.0-flood\r\n" + struct.pack("!IBB", 36860, 8, 20) + b"x" * 36000


def flood(stack, held):
    """One more stranger who makes the proxy keep what he has sent; False when he was not let in."""
    s = socket.create_connection(("127.0.0.1", stack.ssh_port), 5)
    held.append(s)
    with contextlib.suppress(OSError):
        if not s.recv(1):
            return False
        s.sendall(BEGUN)
        return True
    return False


def test_strangers_go_first(small):
    small.bind()
    live = small.ssh("i=0; while :; do i=$((i+1)); echo $i; sleep 0.1; done")
    live.stdout.wait(r"^1\n")
    budget = small.metric("postern_worker_memory_budget_bytes")
    assert budget == LIMIT // 2
    held = []
    worker = small.pid("worker")
    while flood(small, held) and not small.logs("proxy", "memory is short, nothing new is accepted"):
        assert len(held) < SOCKETS, small.metric("postern_worker_memory_used_bytes")
    line = small.wait_log("proxy", "memory is short, nothing new is accepted")
    assert line["bytes-used"] > TIGHT * budget and line["bytes-max"] == budget
    # It ends by itself, though nobody comes whose place it would be and nobody leaves.
    small.wait_log("proxy", "memory is no longer short")
    assert small.metric("postern_worker_memory_used_bytes") < TIGHT * budget
    assert small.metric('postern_ssh_connections_total{result="shed"}') > 0
    # He who had proved himself has noticed nothing, people log in, and it is the same worker.
    seen = len(live.stdout.data)
    wait_for(lambda: len(live.stdout.data) > seen, what="the live session to go on")
    wait_for(lambda: small.run_ssh("echo in").stdout == b"in\n", what="a login")
    assert small.pid("worker") == worker and live.process.poll() is None and not small.logs("proxy", "the worker ended")
    # No more than needed: most strangers are still there.
    assert small.metric('postern_ssh_connections_total{result="shed"}') < len(held) / 2
    for s in held:
        s.close()


def test_a_flood_that_goes_on(small):
    """Strangers keep coming: the worker lives on within its limit, and people get in now and then."""
    small.bind()
    held, let_in, worker = [], 0, small.pid("worker")
    end = time.monotonic() + 15
    while time.monotonic() < end:
        for _ in range(100):
            flood(small, held)
        for s in held[:-SOCKETS // 2]:
            s.close()
        del held[:-SOCKETS // 2]
        let_in += small.run_ssh("echo in").stdout == b"in\n"
    assert small.logs("proxy", "memory is short, nothing new is accepted")
    assert let_in > 0
    assert small.pid("worker") == worker and not small.logs("proxy", "the worker ended")
    for s in held:
        s.close()
    wait_for(lambda: small.run_ssh("echo in").stdout == b"in\n", what="a login when they are gone")
    assert small.metric("postern_worker_memory_used_bytes") < 8 << 20
