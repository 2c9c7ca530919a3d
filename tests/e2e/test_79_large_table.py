"""A route table that is longer than a stream takes at once: it comes in parts, and what it allows comes after it."""
import contextlib
import socket
import threading
import time

import pytest

from replicas import Way
from stack import Stack, free_ports, wait_for
from tunnels import TcpServer, connect, login, tcp_route

ROUTES = 300
PADDING = 64 << 10  # of each route's CA: 19 MB in all, where 8 MiB are taken at once
SLOW = 4 << 20      # bytes a second


class SlowWay(Way):
    """The way of the Decide stream; slow towards the proxy when it is told to be."""
    rate = None

    def _serve(self, here, marked):
        there = socket.socket()
        there.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)  # what waits, waits at authorize
        with contextlib.suppress(OSError):
            there.connect(("127.0.0.1", self.to))
            self.sockets |= {here, there}
            threading.Thread(target=self._pump, args=(here, there, False), daemon=True).start()
            while data := there.recv(65536):
                if self.rate:
                    time.sleep(len(data) / self.rate)
                here.sendall(data)
        for s in (here, there):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)


class OneWay(Stack):
    def __init__(self, folder, **config):
        super().__init__(folder, grpc_client_timeout="60s", **config)
        self.way = SlowWay(self.authorize_port)
        self.write_config(authorize_service_url=f"https://127.0.0.1:{self.way.port}")

    def environment(self, service):
        own = {"GRPC_ADDRESS": f"127.0.0.1:{self.authorize_port}"} if service == "authorize" else {}
        return {**super().environment(service), **own}

    def __exit__(self, *exc):
        super().__exit__(*exc)
        self.way.close()

    def reloads(self, service="authorize"):
        return len(self.logs(service, "configuration reloaded"))

    def reload(self, routes):
        before = self.reloads()
        self.write_config(routes=routes)
        wait_for(lambda: self.reloads() > before, 60, what="the reload of authorize")


def naming(name):
    def serve(peer, _address):
        peer.sendall(name.encode() + b"\n")
        with contextlib.suppress(OSError):
            peer.recv(1)
    return TcpServer(serve)


class Table:
    """Routes: many with a long CA, before and behind them one that leads to the server of a name."""

    def __init__(self, stack):
        ca = stack.folder / "long.crt"
        ca.write_text((stack.folder / "tls/localhost.crt").read_text() + "#" * PADDING + "\n")
        self.rest = [tcp_route(f"r{i}.test:22", 9, to="tls://127.0.0.1:9", tls_custom_ca_file=str(ca)) for i in range(ROUTES)]
        self.servers = {name: naming(name) for name in ("one", "two", "three")}

    def __call__(self, name, more=()):
        port = self.servers[name].port
        return [tcp_route("first.test:22", port), *self.rest, tcp_route("last.test:22", port), *more]


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    stack = OneWay(tmp_path_factory.mktemp("large"))
    table = Table(stack)
    stack.write_config(routes=table("one"))
    with stack:
        yield stack, table
    for server in table.servers.values():
        server.close()


@pytest.fixture
def stack(both):
    return both[0]


@pytest.fixture
def table(both):
    return both[1]


@pytest.fixture(scope="module")
def token(both):
    return login(both[0])


def open_line(stack, token, name):
    reply = connect(stack, f"{name}.test:22", token)
    assert reply.status == 200, (reply.status, reply.body())
    line = b""
    while not line.endswith(b"\n"):
        data = reply.recv(1)
        assert data, line
        line += data
    return reply, line.decode().strip()


def ask(stack, token, name):
    reply, line = open_line(stack, token, name)
    reply.sock.close()
    return line


def check_logs(stack):
    """Nobody was sent away for reading slowly, nobody was allowed what his proxy had not heard of."""
    assert not stack.logs("authorize", "worker does not read, its stream is ended")
    assert not stack.logs("proxy", "authorize lost")
    assert not stack.logs("proxy", "authorize allowed a route that its table does not have")


def test_the_whole_table_comes(stack, token):
    assert ask(stack, token, "first") == ask(stack, token, "last") == "one"
    check_logs(stack)


def test_a_reload_under_questions(stack, token, table):
    """While the new table is on its way live tunnels of the old one are cut, and new ones wait for it."""
    live, line = open_line(stack, token, "last")
    assert line == "one"
    stack.way.rate = SLOW
    stack.reload(table("two"))
    begun = time.monotonic()
    assert live.recv(1) == b"", "its target has changed"
    cut = time.monotonic()
    assert ask(stack, token, "first") == ask(stack, token, "last") == "two"
    whole = time.monotonic()
    stack.way.rate = None
    assert cut < whole, (begun, cut, whole)
    print(f"cut after {cut - begun:.2f} s, the table after {whole - begun:.2f} s")
    check_logs(stack)


def test_a_reload_in_the_middle(stack, token, table):
    """A third table while the second is on its way: that is the one that comes into force, as a whole."""
    stack.way.rate = SLOW
    gone = tcp_route("gone.test:22", free_ports(1)[0])
    stack.reload(table("three", [gone]))
    stack.reload(table("one"))
    assert ask(stack, token, "last") == ask(stack, token, "first") == "one"
    assert connect(stack, "gone.test:22", token).status == 404
    stack.way.rate = None
    check_logs(stack)
