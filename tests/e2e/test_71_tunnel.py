"""TCP and UDP tunnels over both HTTP versions: what is answered to whom, and that bytes go through."""
import hashlib
import json
import os
import subprocess
import time

import pytest

from stack import free_ports, wait_for
from tunnels import (H2, Datagrams, HalfTls, TcpServer, UdpServer, capsule, claims_of, connect, connect_udp, dial, echo, exchange,
                     hashing, login, masque_path, mint, request_text, tcp_route, udp_route)

OTHER = [{"email": {"is": "other@localhost"}}]


@pytest.fixture(scope="module")
def servers():
    made = {"echo": TcpServer(echo), "udp": UdpServer()}
    yield made
    for server in made.values():
        server.close()


@pytest.fixture(scope="module")
def stack(servers, tmp_path_factory):
    from stack import Stack
    tcp, udp = servers["echo"].port, servers["udp"].port
    closed, = free_ports(1)
    s = Stack(tmp_path_factory.mktemp("tunnels"))
    s.write_config(routes=s.config["routes"] + [
        tcp_route("echo.test:7", tcp), tcp_route("closed.test:7", closed), tcp_route("others.test:7", tcp, OTHER),
        tcp_route("public.test:7", tcp, policy=None, allow_public_unauthenticated_access=True),
        tcp_route("*.wild.test:22", tcp), tcp_route("any.test", tcp),
        tcp_route(f"localhost:{s.https_port}/inner.test:1/inner.test:2", tcp),
        udp_route("echo.test:53", udp), udp_route("others.test:53", udp, OTHER)])
    with s:
        yield s


@pytest.fixture(scope="module")
def token(stack):
    return login(stack)


def curl_connect(stack, target, *options, token=None):
    """The status that curl gets for its CONNECT, and what the answer's fields were."""
    command = ["curl", "--silent", "--show-error", "--max-time", "20", "--proxy", f"https://localhost:{stack.https_port}",
               "--proxy-cacert", stack.folder / "tls/localhost.crt", "--proxytunnel", "--output", os.devnull,
               "--dump-header", "-", "--write-out", "\n%{http_connect}", *options, f"telnet://{target}"]
    if token:
        command += ["--proxy-header", f"Authorization: Pomerium {token}"]
    run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    head, _, status = run.stdout.rpartition("\n")
    fields = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head.splitlines() if ":" in line)}
    return int(status), fields


@pytest.mark.parametrize("target, signed_in, status", [
    ("echo.test:7", False, 302), ("nowhere.test:7", False, 404), ("nowhere.test:7", True, 404), ("echo.test:8", True, 404),
    ("others.test:7", True, 403), ("closed.test:7", True, 503), ("echo.test:7", True, 200)])
def test_curl_gets_the_status_that_pomerium_cli_understands(stack, token, target, signed_in, status):
    got, fields = curl_connect(stack, target, token=token if signed_in else None)
    print(f"CONNECT {target} {'with' if signed_in else 'without'} a token: {got} {fields.get('location', '')[:60]}")
    assert got == status
    assert fields["x-request-id"]
    if status == 302:
        assert fields["location"].startswith(f"https://localhost:{stack.https_port}/.pomerium/sign_in?")
    if status != 200:
        assert fields["x-pomerium-intercepted-response"] == "true"


@pytest.mark.parametrize("accept, kind", [("application/json", "application/json"), ("text/html", "text/html"),
                                          ("text/plain", "text/plain"), (None, "text/html")])
def test_bodies_are_what_is_accepted(stack, token, accept, kind):
    reply = connect(stack, "others.test:7", token, {"Accept": accept} if accept else {})
    assert reply.status == 403 and reply.headers["content-type"].startswith(kind)
    body = reply.body()
    print(kind, body[:200])
    if kind == "application/json":
        body = json.loads(body)
        assert (body["status"], body["requestId"]) == (403, reply.headers["x-request-id"])


def test_json_clients_are_not_redirected(stack):
    reply = connect(stack, "echo.test:7", fields={"Accept": "application/json"})
    assert reply.status == 401 and reply.json()["status"] == 401


def test_a_bad_token_is_401_and_never_a_redirect(stack, token):
    good = claims_of(token)
    bad = {"no token at all": "rubbish", "foreign key": mint(stack, good, key=b"k" * 32),
           "over": mint(stack, good | {"exp": int(time.time()) - 60}), "no session": mint(stack, good | {"jti": "none"}),
           "somebody else's": mint(stack, good | {"sub": "local/other@localhost"}),
           "alg none": mint(stack, good, header={"alg": "none"}).rsplit(".", 1)[0] + "."}
    for what, text in bad.items():
        assert connect(stack, "echo.test:7", text).status == 401, what


@pytest.mark.parametrize("place", [{"Cookie": "a=b; _pomerium={}"}, {"X-Pomerium-Authorization": "{}"},
                                   {"Authorization": "Pomerium {}"}, {"Authorization": "Bearer Pomerium-{}"}])
def test_every_place_of_a_token(stack, token, place):
    reply = connect(stack, "echo.test:7", fields={k: v.format(token) for k, v in place.items()})
    assert reply.status == 200
    reply.send(b"hello")
    assert reply.read(5) == b"hello"


def test_a_dead_cookie_leads_to_the_sign_in(stack):
    assert connect(stack, "echo.test:7", fields={"Cookie": "_pomerium=a.b.c"}).status == 302


def test_public_routes_ask_nobody(stack):
    reply = connect(stack, "public.test:7")
    assert reply.status == 200
    reply.send(b"x")
    assert reply.read(1) == b"x"


@pytest.mark.parametrize("target", ["a.wild.test:22", "A.B.WILD.test:22", "any.test:1", "any.test:65535", "inner.test:1",
                                    "INNER.test:2"])
def test_names_that_lead_to_a_route(stack, token, target):
    assert connect(stack, target, token).status == 200


@pytest.mark.parametrize("target", ["wild.test:22", "a.wild.test:23", "inner.test:3", "xwild.test:22", "echo.test:70"])
def test_names_that_lead_nowhere(stack, token, target):
    assert connect(stack, target, token).status == 404


@pytest.mark.parametrize("target", ["echo.test", "echo.test:0", "echo.test:65536", "echo.test:7/", "http://echo.test:7",
                                    "u@echo.test:7", ":7", "echo.test:7:7", "[::1:7", ""])
def test_targets_of_another_form_are_refused(stack, token, target):
    reply = exchange(dial(stack), request_text(f"CONNECT {target}", "echo.test:7", token))
    assert reply.status == 400, target


def test_bytes_sent_before_the_answer_are_kept(stack, token):
    reply = exchange(dial(stack), request_text("CONNECT echo.test:7", "echo.test:7", token) + "early")
    assert reply.status == 200 and reply.read(5) == b"early"


def test_half_close_on_http1(stack, servers, token):
    hasher = TcpServer(hashing)
    stack.write_config(routes=stack.config["routes"] + [tcp_route("hash.test:7", hasher.port)])
    sock = HalfTls(stack)
    wait_for(lambda: connect(stack, "hash.test:7", token).status == 200, what="the new route")
    reply = exchange(sock, request_text("CONNECT hash.test:7", "hash.test:7", token))
    sock.sendall(b"a" * 100000)
    sock.finish()
    assert reply.read(200).decode() == f"100000 {hashlib.sha256(b'a' * 100000).hexdigest()}\n"
    hasher.close()


def test_http2_carries_many_tunnels(stack, token):
    connection = H2(stack)
    tunnels = [connection.connect("echo.test:7", token) for _ in range(20)]
    assert [t.status for t in tunnels] == [200] * 20
    for i, t in enumerate(tunnels):
        t.send(f"tunnel {i}".encode() * 1000)
    for i, t in enumerate(tunnels):
        want = f"tunnel {i}".encode() * 1000
        assert t.read(len(want)) == want
    tunnels[0].finish()
    assert tunnels[0].until_end() == b"" and tunnels[0].reset is None
    tunnels[1].send(b"goes on")
    assert tunnels[1].read(7) == b"goes on"


@pytest.mark.parametrize("target, signed_in, status", [
    ("echo.test:7", False, 302), ("nowhere.test:7", True, 404), ("others.test:7", True, 403), ("closed.test:7", True, 503)])
def test_http2_statuses(stack, token, target, signed_in, status):
    assert H2(stack).connect(target, token if signed_in else None).status == status


def test_udp_by_upgrade(stack, token):
    reply = connect_udp(stack, "echo.test:53", token)
    assert reply.status == 101 and reply.headers["capsule-protocol"] == "?1"
    udp = Datagrams(reply)
    udp.send(b"one", b"two", b"", b"x" * 1400)
    assert [udp.recv() for _ in range(4)] == [b"one", b"two", b"", b"x" * 1400]


def test_udp_as_pomerium_cli_asks(stack, token):
    reply = connect_udp(stack, "echo.test:53", token, host="echo.test:53")
    assert reply.status == 200 and "content-length" not in reply.headers and "transfer-encoding" not in reply.headers
    udp = Datagrams(reply)
    udp.send(b"ping")
    assert udp.recv() == b"ping"


def test_udp_over_http2(stack, token):
    stream = H2(stack).connect_udp("echo.test:53", token)
    assert stream.status == 200 and stream.headers["capsule-protocol"] == "?1"
    udp = Datagrams(stream)
    udp.send(*[bytes([i]) * 100 for i in range(50)])
    assert [udp.recv() for _ in range(50)] == [bytes([i]) * 100 for i in range(50)]


def test_what_is_no_datagram_is_skipped(stack, token):
    reply = connect_udp(stack, "echo.test:53", token)
    reply.send(capsule(b"?" * 5000, kind=0x1234) + capsule(b"other context", context=2) + capsule(b"this one"))
    assert Datagrams(reply).recv() == b"this one"


@pytest.mark.parametrize("target, signed_in, status", [("echo.test:53", False, 302), ("others.test:53", True, 403),
                                                       ("nowhere.test:53", True, 404), ("echo.test:7", True, 404)])
def test_udp_statuses(stack, token, target, signed_in, status):
    t = token if signed_in else None
    assert connect_udp(stack, target, t).status == status
    assert connect_udp(stack, target, t, host=target).status == status
    assert H2(stack).connect_udp(target, t).status == status


@pytest.mark.parametrize("path", ["/.well-known/masque/udp/", "/.well-known/masque/udp/echo.test/", "/.well-known/masque/udp//53/",
                                  "/.well-known/masque/udp/echo.test/0/", "/.well-known/masque/udp/echo.test/65536/",
                                  "/.well-known/masque/udp/echo.test/53", "/.well-known/masque/tcp/echo.test/53/"])
def test_udp_paths_of_another_form(stack, token, path):
    fields = {"Connection": "Upgrade", "Upgrade": "connect-udp", "Capsule-Protocol": "?1"}
    assert exchange(dial(stack), request_text(f"GET {path}", "localhost", token, fields)).status == 404
    assert masque_path("echo.test:53") == "/.well-known/masque/udp/echo.test/53/"


def test_access_lines(stack, token):
    reply = connect(stack, "echo.test:7", token)
    ident = reply.headers["x-postern-connection"]
    reply.send(b"12345")
    assert reply.read(5) == b"12345"
    opened = stack.wait_log("proxy", connection_id=ident, event="open")
    assert opened["email"] == "demo@localhost" and opened["ip"] == "127.0.0.1"
    assert opened["route"] == "tcp+https://echo.test:7"
    reply.close()
    closed = stack.wait_log("proxy", connection_id=ident, event="close")
    assert (closed["bytes-in"], closed["bytes-out"]) == (5, 5) and closed["reason"]
    check = stack.wait_log("authorize", "authorize check", connection_id=ident)
    assert check["allow"] is True and check["method"] == "CONNECT" and check["host"] == "echo.test:7"
    denied = connect(stack, "others.test:7", token)
    line = stack.wait_log("authorize", "authorize check", request_id=denied.headers["x-request-id"])
    assert line["allow"] is False and line["email"] == "demo@localhost"
    assert stack.wait_log("proxy", request_id=denied.headers["x-request-id"], event="refused")
    stack_text = "".join((stack.folder / f"log/{s}.jsonl").read_text() for s in ("proxy", "authorize", "authenticate"))
    assert token not in stack_text


def test_healthz_knows_a_dead_token(stack, token):
    def ask(**fields):
        return exchange(dial(stack), request_text("GET /healthz", "localhost", fields=fields)).status
    assert (ask(), ask(Authorization=f"Bearer Pomerium-{token}"), ask(Authorization="Bearer Pomerium-x.y.z")) == (200, 200, 401)


def test_the_routes_that_one_may_reach(stack, token):
    reply = exchange(dial(stack), request_text("GET /.pomerium/api/v1/routes", "localhost", token, {"Accept": "application/json"}))
    assert reply.status == 200
    routes = {r["from"]: r for r in reply.json()["routes"]}
    assert "tcp+https://others.test:7" not in routes and "udp+https://others.test:53" not in routes
    assert routes["tcp+https://echo.test:7"]["type"] == "tcp"
    assert routes["tcp+https://echo.test:7"]["connect_command"] == "pomerium-cli tcp echo.test:7"
    assert routes["udp+https://echo.test:53"]["connect_command"] == "pomerium-cli udp echo.test:53"
    assert routes["ssh://demo"]["type"] == "ssh"


def test_nothing_speaks_quic(stack):
    import socket
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.connect(("127.0.0.1", stack.https_port))
    s.send(b"\xc0" + b"\0" * 1200)
    s.settimeout(5)
    with pytest.raises(ConnectionRefusedError):
        s.recv(1)
    reply = exchange(dial(stack), request_text("GET /ping", "localhost"))
    assert reply.status == 200 and "alt-svc" not in reply.headers
