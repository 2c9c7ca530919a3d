"""Whose tunnel it is: links to sign in by, service accounts, public routes, and what a replica makes of tunnels that come to it."""
import base64
import time

import pytest

from grpc_peer import grpc_call
from stack import wait_for
from tunnels import (Browser, Datagrams, TcpServer, UdpServer, claims_of, connect, connect_udp, dial, echo, exchange, login, mint,
                     request_text, tcp_route, udp_route)

ACCOUNT_TYPE = "type.googleapis.com/user.ServiceAccount"


@pytest.fixture(scope="module")
def servers():
    made = TcpServer(echo), UdpServer()
    yield made
    for server in made:
        server.close()


def make_routes(servers):
    tcp, udp = servers[0].port, servers[1].port
    return [tcp_route("echo.test:7", tcp), udp_route("echo.test:53", udp, [{"authenticated_user": True}]),
            tcp_route("robots.test:7", tcp, [{"user": "robot"}]),
            tcp_route("people.test:7", tcp, policy=[{"allow": {"and": [{"authenticated_user": True}]}},
                                                    {"deny": {"or": [{"identity": "service_account"}]}}]),
            tcp_route("public.test:7", tcp, policy=None, allow_public_unauthenticated_access=True)]


@pytest.fixture(scope="module")
def stack(servers, tmp_path_factory):
    from stack import Stack
    s = Stack(tmp_path_factory.mktemp("identity"))
    s.write_config(routes=s.config["routes"] + make_routes(servers))
    with s:
        yield s


@pytest.fixture
def token(stack):
    """Of a new session: each test may end it."""
    return login(stack)


def field(number, data):
    """A length-delimited field of protobuf."""
    data = data.encode() if isinstance(data, str) else data
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(n):
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def time_of(seconds):
    return b"\x08" + varint(int(seconds))


def put(stack, ident, record):
    pem = stack.folder / "admin.pem"
    request = field(1, field(2, ACCOUNT_TYPE) + field(3, ident) + record)
    assert grpc_call(stack.databroker_port, "/databroker.DataBrokerService/Put", pem, pem, request) == 0


def make_account(stack, ident, user="robot", lasts=None):
    account = field(1, ident) + field(2, user)
    if lasts:
        account += field(3, time_of(time.time() + lasts))
    put(stack, ident, field(4, field(1, ACCOUNT_TYPE) + field(2, account)))
    return mint(stack, {"jti": ident, "sub": user, "iat": int(time.time())})


def delete_account(stack, ident):
    put(stack, ident, field(6, time_of(time.time())))


def open_tcp(stack, target, token=None):
    tunnel = connect(stack, target, token)
    assert tunnel.status == 200, tunnel.status
    assert is_alive(tunnel)
    return tunnel


def is_alive(tunnel):
    tunnel.send(b"alive")
    return tunnel.read(5) == b"alive"


def ended_by(stack, tunnel):
    """Why, once it has ended as a tunnel should."""
    assert tunnel.until_end(10) == b""
    ident = tunnel.headers["x-postern-connection"]
    reply = exchange(dial(stack), request_text(f"GET /.pomerium/api/v1/tunnels/{ident}", "localhost"))
    assert reply.status == 200, (reply.status, reply.body())
    return reply.json()["reason"]


def check_of(stack, tunnel):
    return stack.wait_log("authorize", "authorize check", connection_id=tunnel.headers["x-postern-connection"])


def test_the_link_of_a_refusal_signs_a_browser_in(stack):
    refused = connect(stack, "echo.test:7")
    assert refused.status == 302
    browser = Browser(stack)
    browser.sign_in(refused.headers["location"])
    cookie = browser.cookies["echo.test"]["_pomerium"]
    tunnel = connect(stack, "echo.test:7", fields={"Cookie": f"_pomerium={cookie}"})
    assert tunnel.status == 200 and is_alive(tunnel)
    assert check_of(stack, tunnel)["email"] == "demo@localhost"


def test_a_changed_link_is_refused(stack):
    link = connect(stack, "echo.test:7").headers["location"]
    page = Browser(stack).sign_in(link.replace("echo.test", "evil.test"))
    assert page.status == 400


def test_what_is_logged_of_a_check(stack, token):
    line = check_of(stack, open_tcp(stack, "echo.test:7", token))
    assert {k: line[k] for k in ("protocol", "method", "host", "path", "ip", "email", "route", "decision", "allow", "deny")} == {
        "protocol": "tcp", "method": "CONNECT", "host": "echo.test:7", "path": "", "ip": "127.0.0.1", "email": "demo@localhost",
        "route": "tcp+https://echo.test:7", "decision": "allow", "allow": True, "deny": False}
    assert line["session-id"] == claims_of(token)["jti"] and line["allow-why-true"] == ["email-ok"]
    refused = connect(stack, "people.test:7")
    line = stack.wait_log("authorize", "authorize check", request_id=refused.headers["x-request-id"])
    assert line["decision"] == "login" and line["allow-why-false"] == ["user-unauthenticated"]


def test_a_service_account(stack):
    before = mint(stack, {"jti": "a-1", "sub": "robot"})
    assert connect(stack, "robots.test:7", before).status == 401
    token = make_account(stack, "a-1")
    tunnel = open_tcp(stack, "robots.test:7", token)
    line = check_of(stack, tunnel)
    assert line["service-account-id"] == "a-1" and line["user"] == "robot" and "session-id" not in line
    assert connect(stack, "echo.test:7", token).status == 403
    assert connect(stack, "people.test:7", token).status == 403
    assert connect(stack, "robots.test:7", mint(stack, {"jti": "a-1", "sub": "root"})).status == 401
    udp = connect_udp(stack, "echo.test:53", token)
    assert udp.status == 101
    datagrams = Datagrams(udp)
    datagrams.send(b"alive")
    assert datagrams.recv() == b"alive"
    delete_account(stack, "a-1")
    assert ended_by(stack, tunnel) == "This service account was revoked."
    assert ended_by(stack, udp) == "This service account was revoked."
    assert connect(stack, "robots.test:7", token).status == 401


def test_a_service_account_that_expires(stack):
    token = make_account(stack, "a-2", lasts=3)
    tunnel = open_tcp(stack, "robots.test:7", token)
    assert ended_by(stack, tunnel) == "This service account has expired."
    assert connect(stack, "robots.test:7", token).status == 401


def test_a_token_that_expires_before_its_session(stack, token):
    short = mint(stack, {**claims_of(token), "exp": int(time.time()) + 3})
    tunnel = open_tcp(stack, "echo.test:7", short)
    assert "expired" in ended_by(stack, tunnel)
    assert connect(stack, "echo.test:7", short).status == 401
    assert connect(stack, "echo.test:7", token).status == 200


def test_public_routes_and_who_is_known_there(stack, token):
    """A session that ends takes along what was its, and leaves what is nobody's."""
    nobodys, somebodys = open_tcp(stack, "public.test:7"), open_tcp(stack, "public.test:7", token)
    garbage = open_tcp(stack, "public.test:7", "no.to.ken")
    assert "email" not in check_of(stack, nobodys) and check_of(stack, somebodys)["email"] == "demo@localhost"
    stack.cli("sessions", "revoke", claims_of(token)["jti"])
    assert "session was ended" in ended_by(stack, somebodys)
    assert is_alive(nobodys) and is_alive(garbage)


def test_connections_on_record(stack, token):
    tunnel = open_tcp(stack, "echo.test:7", token)
    ident = tunnel.headers["x-postern-connection"]

    def mine():
        return [c for c in stack.cli_json("connections", "list") if c["id"] == ident]
    wait_for(mine, what="the connection on record")
    row, = mine()
    assert row["protocol"] == "tcp" and row["route"] == "tcp+https://echo.test:7" and row["email"] == "demo@localhost"
    stack.cli("connections", "cut", "--route", "tcp+https://echo.test:7")
    assert ended_by(stack, tunnel) == "An administrator ended this connection."
    assert not mine()


def test_a_secret_that_is_rotated(stack, token):
    """A token of the secret before counts as long as that is configured, and its tunnels with it."""
    tunnel = open_tcp(stack, "echo.test:7", token)
    old, new = stack.folder / "secrets/shared_secret", stack.folder / "secrets/shared_secret.new"
    new.write_text(base64.b64encode(bytes(range(32))).decode() + "\n")
    new.chmod(0o600)
    try:
        stack.write_config(shared_secret_file=str(new), shared_secret_previous_file=str(old))
        fresh = mint(stack, claims_of(token), key=bytes(range(32)))
        wait_for(lambda: connect(stack, "echo.test:7", fresh).status == 200, what="the new secret")
        assert is_alive(tunnel) and connect(stack, "echo.test:7", token).status == 200
        stack.write_config(shared_secret_file=str(new), shared_secret_previous_file=None)
        assert "session was ended" in ended_by(stack, tunnel)
        assert connect(stack, "echo.test:7", token).status == 401
        assert connect(stack, "echo.test:7", fresh).status == 200
    finally:
        stack.write_config(shared_secret_file=str(old))
    wait_for(lambda: connect(stack, "echo.test:7", token).status == 200, what="the old secret")


def test_what_is_too_long_hurts_nobody_else(stack, token):
    """Nothing that a stranger sends ends the stream on which everybody's decisions come."""
    tunnel = open_tcp(stack, "echo.test:7", token)
    assert connect(stack, "echo.test:7", "x" * 20000).status == 401
    assert connect(stack, "echo.test:7", ".".join(["x" * 20000] * 3)).status == 401
    assert connect(stack, "a" * 3000 + ":7", token).status in (400, 403, 404)
    assert connect(stack, "echo.test:7", token, fields={"User-Agent": "u" * 30000}).status == 200
    reply = exchange(dial(stack), request_text("GET /healthz", "localhost", "y" * 30000))
    assert reply.status == 401
    assert is_alive(tunnel) and not stack.logs("proxy", "authorize lost")
    assert len(stack.logs("authorize", "worker connected")) == 1 + len(stack.logs("authorize", "worker gone"))


def test_tunnels_come_to_an_authorize_that_starts_anew(stack, token):
    kept, lost = open_tcp(stack, "echo.test:7", token), open_tcp(stack, "public.test:7", other := login(stack))
    account = open_tcp(stack, "robots.test:7", make_account(stack, "a-3"))
    stack.stop("authorize")
    stack.cli("sessions", "revoke", claims_of(other)["jti"])
    delete_account(stack, "a-3")
    assert is_alive(kept) and is_alive(lost) and is_alive(account)
    stack.spawn("authorize")
    assert "session was ended" in ended_by(stack, lost)
    assert ended_by(stack, account) == "This service account was revoked."
    assert is_alive(kept)
    stack.cli("sessions", "revoke", claims_of(token)["jti"])
    assert "session was ended" in ended_by(stack, kept)
