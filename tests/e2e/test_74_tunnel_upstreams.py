"""The way from the gateway to the targets of tunnels: several of them, ways to speak to them, and how long a tunnel may live."""
import contextlib
import json
import re
import signal
import socket
import ssl
import subprocess
import threading
import time
import urllib.request

import pytest

from stack import Stack, Target, can_connect, free_ports, wait_for
from tunnels import Datagrams, TcpServer, UdpServer, client_context, connect, connect_udp, echo, login, masque_path, tcp_route, udp_route

NAME = "it.test:7"


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    with Stack(tmp_path_factory.mktemp("upstreams"), access_log_interval="1s") as s:
        yield s


@pytest.fixture(scope="module")
def token(stack):
    return login(stack)


@pytest.fixture
def routed(stack):
    """Makes a route the only one of its kind and waits until the proxy has it."""
    before = stack.config["routes"]

    def put(route):
        label = f"r{time.monotonic_ns()}"
        marker = tcp_route(f"{label}.test:1", 1)
        stack.write_config(routes=[*before, route, marker])
        # A route without a token says 302, an unknown one 404: the marker says that all of it is there.
        wait_for(lambda: connect(stack, f"{label}.test:1").status == 302, what="the new routes")
        return route
    yield put
    stack.write_config(routes=before)


def to(*ports, scheme="tcp", weights=None):
    urls = [f"{scheme}://127.0.0.1:{p}" for p in ports]
    return [f"{u},{w}" for u, w in zip(urls, weights)] if weights else urls


def naming(name):
    def serve(peer, _address):
        peer.sendall(name.encode() + b"\n")
        peer.shutdown(socket.SHUT_WR)
        while peer.recv(4096):
            pass
    return serve


def first_line(stack, token, target=NAME):
    reply = connect(stack, target, token)
    assert reply.status == 200, reply.body()
    line = b""
    while not line.endswith(b"\n"):
        data = reply.recv(1)
        assert data, line
        line += data
    reply.sock.close()
    return line.decode().strip()


def reason(stack, reply):
    """What the gateway says of a tunnel that has ended."""
    ident = reply.headers["x-postern-connection"]
    context = client_context(stack)
    with urllib.request.urlopen(f"https://localhost:{stack.https_port}/.pomerium/api/v1/tunnels/{ident}", timeout=10,
                                context=context) as answer:
        return json.load(answer)["reason"]


# --- several targets ---

def test_the_next_one_is_tried(stack, token, routed):
    server = TcpServer(naming("alive"))
    down = free_ports(2)
    routed(tcp_route(NAME, 0, to=to(down[0], server.port, down[1])))
    assert [first_line(stack, token) for _ in range(6)] == ["alive"] * 6
    server.close()
    reply = connect(stack, NAME, token, {"Accept": "text/plain"})
    assert reply.status == 503
    body = reply.body()
    assert NAME in body and "127.0.0.1" not in body, body
    # The log says what the user is not told.
    line = stack.wait_log("proxy", "tunnel failed")
    assert line["route-id"] and line["host"] == NAME and "refused" in line["error"], line
    assert {e["upstream"] for e in stack.logs("proxy", "tunnel target failed")} >= {f"127.0.0.1:{p}" for p in (*down, server.port)}


def test_weights(stack, token, routed):
    servers = [TcpServer(naming(n)) for n in ("large", "small")]
    routed(tcp_route(NAME, 0, to=to(*(s.port for s in servers), weights=(4, 1))))
    got = [first_line(stack, token) for _ in range(20)]
    assert got.count("large") == 16 and got.count("small") == 4
    assert "large large large large large large" not in " ".join(got), "round robin is smooth"
    for policy in ("random", "least_request"):
        routed(tcp_route(NAME, 0, to=to(*(s.port for s in servers)), load_balancing_policy=policy))
        assert {first_line(stack, token) for _ in range(30)} == {"large", "small"}
    for s in servers:
        s.close()


def test_ejection(stack, token, routed):
    server, (down,) = TcpServer(naming("alive")), free_ports(1)
    routed(tcp_route(NAME, 0, to=to(down, server.port), outlier_detection={"consecutive_local_origin_failure": 2,
                                                                          "base_ejection_time": "60s"}))
    for _ in range(12):
        assert first_line(stack, token) == "alive"
    ejected = stack.wait_log("proxy", "tunnel target ejected", upstream=f"127.0.0.1:{down}")
    assert ejected["route-id"] and ejected["duration"] > 50000, ejected
    assert len(stack.logs("proxy", "tunnel target failed", upstream=f"127.0.0.1:{down}")) == 2, "it is left alone"
    server.close()


@pytest.mark.parametrize("kind", ["tcp", "ssh"])
def test_health_checks(stack, token, routed, kind):
    port, = free_ports(1)
    alive = TcpServer(naming("alive")) if kind == "tcp" else stack.target
    check = {"interval": "200ms", "timeout": "1s", "unhealthy_threshold": 2, "healthy_threshold": 1, f"{kind}_health_check": {}}
    # For the ssh check what answers has to be SSH: here it is an open port that is not.
    other = TcpServer(naming("HTTP/1.1 200 OK"), port) if kind == "ssh" else None
    routed(tcp_route(NAME, 0, to=to(port, alive.port), health_checks=[check]))
    line = stack.wait_log("proxy", "tunnel target is unhealthy", upstream=f"127.0.0.1:{port}")
    assert line["check"] == kind and line["route-id"] and line["reason"], line
    failed = len(stack.logs("proxy", "tunnel target failed"))
    wanted = "alive" if kind == "tcp" else "SSH-2.0"
    assert all(first_line(stack, token).startswith(wanted) for _ in range(6))
    assert len(stack.logs("proxy", "tunnel target failed")) == failed, "the sick one is not tried"
    if kind == "tcp":
        late = TcpServer(naming("late"), port)
        stack.wait_log("proxy", "tunnel target is healthy", upstream=f"127.0.0.1:{port}")
        assert {first_line(stack, token) for _ in range(4)} == {"alive", "late"}
        late.close()
        alive.close()
    else:
        other.close()


# --- how targets are spoken to ---

@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """A CA, a server for db.internal and a client, as files."""
    folder = tmp_path_factory.mktemp("pki")

    def run(*argv):
        subprocess.run(["openssl", *map(str, argv)], check=True, capture_output=True, cwd=folder)
    run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=Upstream CA",
        "-keyout", "ca.key", "-out", "ca.crt", "-days", "2")
    for name, usage in (("db.internal", "serverAuth"), ("gateway.internal", "clientAuth")):
        run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
            "-keyout", f"{name}.key", "-out", f"{name}.csr")
        (folder / "extensions").write_text(f"subjectAltName=DNS:{name}\nextendedKeyUsage={usage}\n")
        run("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", "extensions", "-out", f"{name}.crt")
    return folder


def tls_server(pki, wants_certificate=False):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pki / "db.internal.crt", pki / "db.internal.key")
    if wants_certificate:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(pki / "ca.crt")

    def serve(peer, _address):
        with context.wrap_socket(peer, server_side=True, suppress_ragged_eofs=False) as tls:
            subject = tls.getpeercert() and dict(x[0] for x in tls.getpeercert()["subject"])["commonName"]
            tls.sendall(f"hello {subject}\n".encode())
            serve.end = tls.recv(1)  # b"" for close_notify; without one it raises
    serve.end = None
    return TcpServer(serve), serve


def test_tls_to_the_target(stack, token, routed, pki):
    server, serve = tls_server(pki)
    good = {"tls_custom_ca_file": f"{pki}/ca.crt", "tls_upstream_server_name": "db.internal"}
    routed(tcp_route(NAME, server.port, scheme="tcp", to=to(server.port, scheme="tls"), **good))
    assert first_line(stack, token) == "hello None"
    wait_for(lambda: serve.end == b"", what="close_notify at the target")
    for change, says in (({"tls_upstream_server_name": "other.internal"}, "name"), ({"tls_custom_ca_file": None}, ""),
                         ({"tls_upstream_server_name": None}, "")):
        more = {k: v for k, v in (good | change).items() if v}
        routed(tcp_route(NAME, server.port, to=to(server.port, scheme="tls"), **more))
        assert connect(stack, NAME, token).status == 503
        assert says in stack.logs("proxy", "tunnel failed")[-1]["error"]
    routed(tcp_route(NAME, server.port, to=to(server.port, scheme="tls"), tls_skip_verify=True))
    assert first_line(stack, token) == "hello None"
    server.close()


def test_our_certificate_for_the_target(stack, token, routed, pki):
    server, _ = tls_server(pki, wants_certificate=True)
    route = dict(to=to(server.port, scheme="tls"), tls_custom_ca_file=f"{pki}/ca.crt", tls_upstream_server_name="db.internal")
    routed(tcp_route(NAME, server.port, tls_client_cert_file=f"{pki}/gateway.internal.crt",
                     tls_client_key_file=f"{pki}/gateway.internal.key", **route))
    assert first_line(stack, token) == "hello gateway.internal"
    server.close()


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_proxy_header(stack, token, routed, version):
    seen = []

    def serve(peer, _address):
        while not (data := b"".join(seen)).endswith(b"hello"):
            seen.append(peer.recv(4096))
            assert seen[-1], data
        peer.sendall(b"got it\n")
    server = TcpServer(serve)
    routed(tcp_route(NAME, server.port, upstream_proxy_protocol=version))
    reply = connect(stack, NAME, token)
    source = reply.sock.getsockname()
    reply.send(b"hello")
    assert reply.read(7) == b"got it\n"
    data = b"".join(seen)
    if version == "v1":
        assert data == f"PROXY TCP4 127.0.0.1 127.0.0.1 {source[1]} {server.port}\r\nhello".encode()
    else:
        assert data == (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes([127, 0, 0, 1] * 2) + source[1].to_bytes(2, "big")
                        + server.port.to_bytes(2, "big") + b"hello")
    server.close()


def test_keepalive(stack, token, routed):
    server = TcpServer(echo)
    for given, shown in (("90s", "1min"), ("0s", None)):
        routed(tcp_route(NAME, server.port, tcp_keepalive=given))
        reply = connect(stack, NAME, token)
        assert reply.status == 200
        lines = subprocess.run(["ss", "-Htno", "state", "established", f"dst 127.0.0.1:{server.port}"], check=True,
                               capture_output=True, text=True).stdout.splitlines()
        timers = [m.group(1) for line in lines if (m := re.search(r"timer:\(keepalive,([^,]*)", line))]
        assert (shown is None and not timers) or any(t.startswith(shown) for t in timers), lines
        reply.sock.close()
        wait_for(lambda: not server.live, what="the end at the target")
    server.close()


# --- a proxy in between ---

class HttpProxy:
    """CONNECT, and connect-udp by upgrade that only says who was asked for."""

    def __init__(self, ways, context=None):
        self.asked, self.ways, self.context = [], ways, context
        self.server = TcpServer(self.serve)
        self.port = self.server.port

    def serve(self, peer, _address):
        if self.context:
            peer = self.context.wrap_socket(peer, server_side=True)
        head = b""
        while b"\r\n\r\n" not in head:
            data = peer.recv(1)
            if not data:
                return
            head += data
        self.asked.append(head.decode().split("\r\n"))
        way = self.ways.get(self.asked[-1][0].split()[1])
        if not way:
            peer.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
        elif way == "udp":
            peer.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: connect-udp\r\nCapsule-Protocol: ?1\r\n\r\n")
            echo(peer, None)  # capsules come back as they are
        else:
            target = socket.create_connection(("127.0.0.1", way))
            peer.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=self.pump, args=(target, peer), daemon=True)
            back.start()
            self.pump(peer, target)
            back.join()
        peer.close()

    @staticmethod
    def pump(one, other):
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)


def test_chain_of_proxies(stack, token, routed, pki):
    server = TcpServer(naming("behind the proxy"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pki / "db.internal.crt", pki / "db.internal.key")
    ways = {"a.wild.test:22": server.port, "b.wild.test:22": server.port}
    for scheme, tls, more in (("http", None, {}), ("https", context, {"tls_custom_ca_file": f"{pki}/ca.crt",
                                                                     "tls_upstream_server_name": "db.internal"})):
        proxy = HttpProxy(ways, tls)
        routed(tcp_route("*.wild.test:22", 0, to=to(proxy.port, scheme=scheme), **more))
        assert first_line(stack, token, "a.wild.test:22") == first_line(stack, token, "b.wild.test:22") == "behind the proxy"
        assert [h[0] for h in proxy.asked] == ["CONNECT a.wild.test:22 HTTP/1.1", "CONNECT b.wild.test:22 HTTP/1.1"]
        assert all(not any(token in line for line in head) for head in proxy.asked), "the token stays here"
        assert connect(stack, "c.wild.test:22", token).status == 503
        assert "502" in stack.logs("proxy", "tunnel failed")[-1]["error"]
        proxy.server.close()
    server.close()


def test_chain_of_proxies_for_udp(stack, token, routed):
    proxy = HttpProxy({masque_path("dns.test:53"): "udp"})
    routed(udp_route("dns.test:53", 0, to=to(proxy.port, scheme="http")))
    tunnel = Datagrams(connect_udp(stack, "dns.test:53", token))
    tunnel.send(b"one", b"two")
    assert [tunnel.recv(), tunnel.recv()] == [b"one", b"two"]
    proxy.server.close()


# --- time ---

@pytest.mark.parametrize("key, says", [("idle_timeout", "nothing came through it"), ("timeout", "as long as its route allows")])
def test_a_tunnel_ends_by_time(stack, token, routed, key, says):
    ends = []

    def serve(peer, _address):
        try:
            while peer.recv(100):
                pass
            ends.append("FIN")
        except OSError as e:
            ends.append(e)
    server = TcpServer(serve)
    routed(tcp_route(NAME, server.port, **{key: "1s"}))
    reply = connect(stack, NAME, token)
    begun = time.monotonic()
    if key == "timeout":  # bytes do not help
        for _ in range(5):
            reply.send(b"x")
            time.sleep(0.1)
    assert reply.recv() == b"", "close_notify"
    assert 0.8 < time.monotonic() - begun < 5
    assert says in reason(stack, reply)
    assert says in stack.wait_log("proxy", "tunnel closed", connection_id=reply.headers["x-postern-connection"])["reason"]
    wait_for(lambda: ends == ["FIN"], what=f"the end at the target: {ends}")
    server.close()


def test_bytes_keep_a_tunnel_alive(stack, token, routed):
    server = TcpServer(echo)
    routed(tcp_route(NAME, server.port, idle_timeout="1s"))
    reply = connect(stack, NAME, token)
    for _ in range(8):
        reply.send(b"x")
        assert reply.read(1) == b"x"
        time.sleep(0.3)
    reply.sock.close()
    server.close()


def test_the_access_log(stack, token, routed):
    server = TcpServer(echo)
    routed(tcp_route(NAME, server.port))
    reply = connect(stack, NAME, token, {"User-Agent": "test/1.0"})
    ident = reply.headers["x-postern-connection"]
    reply.send(b"hello")
    assert reply.read(5) == b"hello"
    opened = stack.wait_log("proxy", "tunnel opened", connection_id=ident)
    assert opened["decision"] == "allow" and opened["email"] == "demo@localhost" and opened["user"]
    assert opened["route"] and opened["route-id"] and opened["upstream"] == f"127.0.0.1:{server.port}"
    assert (opened["host"], opened["method"], opened["ip"]) == (NAME, "CONNECT", "127.0.0.1")
    assert opened["user-agent"] == "test/1.0" and opened["request-id"] == reply.headers["x-request-id"]
    goes_on = stack.wait_log("proxy", "tunnel goes on", connection_id=ident)
    assert goes_on["bytes-in"] == goes_on["bytes-out"] == 5 and goes_on["duration"] >= 900, goes_on
    reply.sock.close()
    closed = stack.wait_log("proxy", "tunnel closed", connection_id=ident)
    assert closed["bytes-in"] == closed["bytes-out"] == 5 and "duration" in closed and closed["reason"]
    refused = connect(stack, NAME)
    line = stack.wait_log("proxy", "tunnel refused", request_id=refused.headers["x-request-id"])
    assert line["decision"] == "login" and "email" not in line and line["host"] == NAME
    assert token not in (stack.folder / "log/proxy.jsonl").read_text()
    server.close()


# --- a proxy that is asked to stop: last, since it does ---

def test_drain(stack, token, routed):
    server = TcpServer(echo)
    routed(tcp_route(NAME, server.port))
    stack.write_config(shutdown_grace="4s")
    wait_for(lambda: len(stack.logs("proxy", "worker serves")) > 1, what="the new configuration")
    time.sleep(1)
    reply = connect(stack, NAME, token)
    assert reply.status == 200
    stack.signal("proxy", signal.SIGTERM)
    wait_for(lambda: not can_connect(stack.https_port), 5, "the listener to be gone")
    reply.send(b"still here")
    assert reply.read(10) == b"still here"
    begun = time.monotonic()
    assert reply.recv() == b"", "close_notify at the end of shutdown_grace"
    assert time.monotonic() - begun < 15
    stack.processes.pop("proxy").wait(20)
    assert "restarting" in stack.logs("proxy", "tunnel closed")[-1]["reason"]
    server.close()
