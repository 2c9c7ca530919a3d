"""Much through one tunnel, many tunnels, and what is slow or dies."""
import contextlib
import hashlib
import os
import socket
import ssl
import threading
import time

import pytest

from stack import Client, Stack, wait_for
from test_76_services import LISTENING
from tunnels import H2, TcpServer, connect, echo, login, tcp_route

GIB = 1 << 30
BULK = 2 * GIB
BLOCK = os.urandom(1 << 20)


def numbered(i):
    """Blocks differ, so that one that is lost, doubled or moved is noticed."""
    return i.to_bytes(8, "big") + BLOCK[8:]


def whole_digest(size):
    digest = hashlib.sha256()
    for i in range(size // len(BLOCK)):
        digest.update(numbered(i))
    return digest.hexdigest()


@pytest.fixture(scope="module")
def digest():
    return whole_digest(BULK)


class Bulk:
    """Sends `size` bytes and takes as many, both at once; tells the SHA-256 of what came."""

    def __init__(self, size):
        self.size, self.got, self.came = size, None, 0

    def swap(self, sock, finish):
        def send():
            for i in range(self.size // len(BLOCK)):
                sock.sendall(numbered(i))
            finish()
        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        digest = hashlib.sha256()
        buffer = bytearray(1 << 18)
        while self.came < self.size and (n := sock.recv_into(buffer)):
            digest.update(memoryview(buffer)[:n])
            self.came += n
        sender.join(60)
        self.got = digest.hexdigest()

    def __call__(self, peer, _address):
        self.got, self.came = None, 0
        self.swap(peer, lambda: None)
        peer.shutdown(socket.SHUT_WR)
        peer.recv(1)


@pytest.fixture(scope="module")
def servers():
    made = {"bulk": TcpServer(Bulk(BULK)), "echo": TcpServer(echo)}
    yield made
    for server in made.values():
        server.close()


@pytest.fixture(scope="module")
def stack(servers, tmp_path_factory):
    s = Stack(tmp_path_factory.mktemp("bulk"), build="release")
    s.write_config(routes=[tcp_route(f"{name}.test:7", server.port) for name, server in servers.items()])
    with s:
        yield s


@pytest.fixture(scope="module")
def token(stack):
    return login(stack)


def resident(pid):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    raise AssertionError


def test_two_gib_each_way_on_http1(stack, servers, token, digest):
    reply = connect(stack, "bulk.test:7", token)
    assert reply.status == 200 and reply.rest == b""
    # Python's TLS takes one thread at a time: down first is read while up is sent by the server's own pace.
    down = hashlib.sha256()
    came = 0
    sent = 0
    server = servers["bulk"].handler
    while came < BULK or sent < BULK:
        if sent < BULK:
            reply.sock.sendall(numbered(sent // len(BLOCK)))
            sent += len(BLOCK)
        want = min(BULK, sent)
        while came < want:
            data = reply.sock.recv(min(1 << 18, want - came))
            assert data
            down.update(data)
            came += len(data)
    wait_for(lambda: server.got, 60, what="the server's digest")
    assert down.hexdigest() == digest and server.got == digest and server.came == BULK


def test_two_gib_each_way_on_http2(stack, servers, token, digest, tmp_path):
    account = tmp_path / "token"
    account.write_text(token)
    server = servers["bulk"].handler
    server.got = None
    client = Client([stack.bin / "postern", "tcp", f"https://localhost:{stack.https_port}/bulk.test:7", "--alternate-ca-path",
                     stack.folder / "tls/localhost.crt", "--service-account-file", account],
                    env=dict(os.environ, XDG_CACHE_HOME=str(tmp_path)))
    try:
        port = int(client.stderr.wait(LISTENING).group(1))
        with socket.create_connection(("127.0.0.1", port)) as sock:
            mine = Bulk(BULK)
            mine.swap(sock, lambda: sock.shutdown(socket.SHUT_WR))
            wait_for(lambda: server.got, 60, what="the server's digest")
            assert (mine.got, server.got) == (digest, digest)
    finally:
        client.kill()
    assert stack.wait_log("proxy", event="close", route="tcp+https://bulk.test:7", http="HTTP/2")


def test_a_thousand_tunnels_at_once(stack, token):
    before = resident(stack.pid("worker"))
    tunnels = [connect(stack, "echo.test:7", token) for _ in range(1000)]
    assert {t.status for t in tunnels} == {200}
    for i, t in enumerate(tunnels):
        t.send(f"{i:04}".encode())
    for i, t in enumerate(tunnels):
        assert t.read(4) == f"{i:04}".encode()
    print(f"1,000 tunnels: {(resident(stack.pid('worker')) - before) / 1000 / 1024:.1f} KiB of the worker each")
    assert len(stack.cli_json("connections", "list")) == 1000
    for t in tunnels:
        t.close()
    wait_for(lambda: not stack.cli_json("connections", "list"), 20, "the end of all")


def test_a_target_that_dies_mid_transfer_is_a_clean_end(stack, token):
    def pour_and_die(peer, _address):
        peer.sendall(BLOCK)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # close sends RST
    server = TcpServer(pour_and_die)
    stack.write_config(routes=stack.config["routes"] + [tcp_route("dies.test:7", server.port)])
    wait_for(lambda: connect(stack, "dies.test:7", token).status == 200, what="the route")
    for tunnel in connect(stack, "dies.test:7", token), H2(stack).connect("dies.test:7", token):
        assert tunnel.status == 200
        assert BLOCK.startswith(tunnel.until_end())
        assert getattr(tunnel, "reset", None) in (None, 0)
    server.close()


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
def test_a_slow_reader_costs_no_memory(stack, token, version):
    sent = []

    def pour(peer, _address):
        with contextlib.suppress(OSError):
            while True:
                sent.append(peer.send(BLOCK))
    server = TcpServer(pour)
    name = f"slow{version[-1]}.test:7"
    stack.write_config(routes=stack.config["routes"] + [tcp_route(name, server.port)])
    wait_for(lambda: connect(stack, name, token).status == 200, what="the route")
    before = resident(stack.pid("worker"))
    if version == "HTTP/2":
        connection = H2(stack)
        tunnels = [connection.connect(name, token) for _ in range(20)]
    else:
        tunnels = [connect(stack, name, token) for _ in range(20)]
    assert {t.status for t in tunnels} == {200}
    stopped = time.monotonic()
    total = sum(sent)
    while time.monotonic() - stopped < 2:  # until nothing more goes in
        time.sleep(0.2)
        if sum(sent) != total:
            total, stopped = sum(sent), time.monotonic()
    grown = (resident(stack.pid("worker")) - before) / 20
    print(f"{version}: a tunnel whose client does not read holds {grown / 1024:.0f} KiB of the worker")
    assert grown < 1 << 20
    for t in tunnels:
        with contextlib.suppress(OSError, ssl.SSLError):
            (t.connection if version == "HTTP/2" else t).close()
    server.close()
