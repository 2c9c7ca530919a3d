"""The HTTPS listener: versions of HTTP, what is malformed, limits, certificates, and its neighbours."""
import re
import socket
import ssl
import struct
import subprocess
import time
import urllib.request

import hpack
import pytest

from stack import free_ports, wait_for
from tunnels import H2, TcpServer, client_context, connect, dial, echo, exchange, login, masque_path, request_text, tcp_route

HEADERS, DATA, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 1, 0, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1
CONNECT = [(":method", "CONNECT"), (":authority", "echo.test:7")]


@pytest.fixture(scope="module")
def server():
    made = TcpServer(echo)
    yield made
    made.close()


@pytest.fixture(scope="module")
def stack(server, tmp_path_factory):
    from stack import Stack
    s = Stack(tmp_path_factory.mktemp("front"), timeout_read="2s")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=other", "-addext", "subjectAltName=DNS:other.test,DNS:*.wild.test",
                    "-keyout", s.folder / "tls/other.key", "-out", s.folder / "tls/other.crt"], check=True, capture_output=True)
    s.write_config(certificates=[{"cert": str(s.folder / "tls/other.crt"), "key": str(s.folder / "tls/other.key")}],
                   routes=s.config["routes"] + [tcp_route("echo.test:7", server.port)])
    with s:
        yield s


@pytest.fixture(scope="module")
def token(stack):
    return login(stack)


def curl(stack, path, *options, host="localhost", body=""):
    """(status, version, fields, body)"""
    out = subprocess.run(["curl", "-s", "-i", "-k", "--max-time", "20", "--resolve", f"{host}:{stack.https_port}:127.0.0.1", *options,
                          f"https://{host}:{stack.https_port}{path}"], input=body, capture_output=True, text=True, timeout=60)
    assert out.returncode == 0, out
    head, _, body = out.stdout.partition("\n\n")
    lines = head.splitlines()
    version, status = lines[0].split()[:2]
    return int(status), version, {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}, body


# --- pages ---

@pytest.mark.parametrize("version, name", [("--http1.1", "HTTP/1.1"), ("--http2", "HTTP/2")])
@pytest.mark.parametrize("accept, kind", [(None, "text/html; charset=utf-8"), ("application/json", "application/json"),
                                          ("text/plain", "text/plain; charset=utf-8"),
                                          ("text/html,application/json;q=0.9", "text/html; charset=utf-8")])
def test_pages_of_our_own(stack, version, name, accept, kind):
    status, spoken, fields, body = curl(stack, "/nothing?<script>", version, "-H", f"Accept: {accept}" if accept else "Accept:", host="nobody.test")
    assert (status, spoken, fields["content-type"]) == (404, name, kind)
    assert re.fullmatch("[0-9a-f]{32}", fields["x-request-id"]) and fields["x-pomerium-intercepted-response"] == "true"
    assert fields["cache-control"] == "no-store" and fields["x-frame-options"] == "SAMEORIGIN"
    assert "alt-svc" not in fields and "Postern serves no page" in body and "script" not in body
    if kind == "application/json":
        import json
        answer = json.loads(body)
        assert answer["status"] == 404 and answer["statusText"] == "Not Found" and answer["requestId"] == fields["x-request-id"]


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_pages_of_authenticate(stack, version):
    assert curl(stack, "/ping", version)[3] == "OK\n"
    status, _, fields, body = curl(stack, "/.pomerium/", version)
    assert status in (200, 302) and fields["x-request-id"]
    status, _, fields, body = curl(stack, "/.pomerium/style.css", version)
    assert status == 200 and "css" in fields["content-type"] and int(fields.get("content-length", len(body))) == len(body)
    # A form, whose body is larger than one window of HTTP/2 and more than authenticate takes.
    assert curl(stack, "/.pomerium/login", version, "-H", "Expect:", "--data-binary", "@-", body="x" * 300000)[0] == 413
    assert curl(stack, "/.pomerium/login", version, "-H", "Expect:", "--data-binary", "@-", body="x" * 2000000)[0] == 413
    assert curl(stack, "/.pomerium/", version, "-I")[3] == ""


def test_nghttp(stack):
    out = subprocess.run(["nghttp", "-nv", "-m", "5", f"https://localhost:{stack.https_port}/.pomerium/style.css"],
                         capture_output=True, text=True, timeout=60)
    assert out.returncode == 0 and out.stdout.count(":status: 200") == 5, out.stdout
    assert "SETTINGS_ENABLE_CONNECT_PROTOCOL(0x08):1" in out.stdout


# --- TLS ---

def test_alpn(stack):
    for offers, chosen in ((("h2", "http/1.1"), "h2"), (("http/1.1",), "http/1.1"), (("http/1.1", "h2"), "h2"), ((), None)):
        with dial(stack, alpn=offers) as s:
            assert s.selected_alpn_protocol() == chosen
    with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
        dial(stack, alpn=("h3",))


def test_certificate_by_name(stack):
    for name, subject in (("localhost", "localhost"), ("other.test", "other.test"), ("OTHER.test", "other.test"),
                          ("a.wild.test", "other.test"), ("a.b.wild.test", "localhost"), ("nobody.test", "localhost")):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with socket.create_connection(("127.0.0.1", stack.https_port)) as raw, context.wrap_socket(raw, server_hostname=name) as s:
            pem = ssl.DER_cert_to_PEM_cert(s.getpeercert(True))
        names = subprocess.run(["openssl", "x509", "-noout", "-ext", "subjectAltName"], input=pem, capture_output=True, text=True).stdout
        assert f"DNS:{subject}" in names, (name, names)


def test_old_tls_is_refused(stack):
    context = client_context(stack)
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", stack.https_port)) as raw, pytest.raises((ssl.SSLError, ConnectionError)):
        context.wrap_socket(raw, server_hostname="localhost")


def test_a_new_certificate_keeps_what_is_open(new_stack, server):
    stack = new_stack()
    stack.write_config(routes=[tcp_route("echo.test:7", server.port)])
    wait_for(lambda: stack.logs("proxy", "worker serves")[1:], what="the new configuration")
    token = login(stack)
    old = connect(stack, "echo.test:7", token)
    key, cert = stack.folder / "tls/localhost.key", stack.folder / "tls/localhost.crt"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=new", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", f"{cert}.new"],
                   check=True, capture_output=True)
    served = len(stack.logs("proxy", "worker serves"))
    (stack.folder / "tls/localhost.crt.new").rename(cert)
    stack.signal("proxy", 1)
    wait_for(lambda: len(stack.logs("proxy", "worker serves")) > served, what="the new certificate")
    old.send(b"still here")
    assert old.read(10) == b"still here"
    new = connect(stack, "echo.test:7", token)  # checked against the new certificate
    assert new.status == 200


# --- HTTP/2, frame by frame ---

class Raw:
    """Frames written by hand."""

    def __init__(self, stack, begin=True):
        self.sock = dial(stack, alpn=("h2",))
        self.sock.settimeout(20)
        self.encoder, self.decoder, self.buffer = hpack.Encoder(), hpack.Decoder(), b""
        if begin:
            self.sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            self.frame(SETTINGS)

    def frame(self, kind, flags=0, stream=0, payload=b""):
        self.sock.sendall(struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload)

    def headers(self, fields, stream=1, end=False):
        self.frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, self.encoder.encode(fields))

    def _read(self, count):
        while len(self.buffer) < count:
            data = self.sock.recv(65536)
            if not data:
                return None
            self.buffer += data
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def next(self):
        """(kind, flags, stream, payload), HEADERS decoded; None at the end."""
        head = self._read(9)
        if head is None:
            return None
        payload = self._read(int.from_bytes(head[:3], "big"))
        kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
        return kind, flags, stream, dict(self.decoder.decode(payload)) if kind == HEADERS else payload

    def until(self, *kinds, stream=None):
        while frame := self.next():
            if frame[0] in kinds and stream in (None, frame[2]):
                return frame
        return None


MALFORMED = {
    "CONNECT with a path": [*CONNECT, (":path", "/")],
    "CONNECT with a scheme": [*CONNECT, (":scheme", "https")],
    "CONNECT without an authority": [(":method", "CONNECT")],
    "CONNECT without a port": [(":method", "CONNECT"), (":authority", "echo.test")],
    "CONNECT to a user": [(":method", "CONNECT"), (":authority", "a@echo.test:7")],
    "two authorities": [*CONNECT, (":authority", "other.test:7")],
    "two methods": [(":method", "CONNECT"), *CONNECT],
    "an unknown pseudo field": [*CONNECT, (":foo", "x")],
    "a response's pseudo field": [*CONNECT, (":status", "200")],
    "a pseudo field behind others": [(":method", "CONNECT"), ("a", "b"), (":authority", "echo.test:7")],
    "upper case": [*CONNECT, ("Foo", "x")],
    "a field of HTTP/1": [*CONNECT, ("connection", "close")],
    "Transfer-Encoding": [*CONNECT, ("transfer-encoding", "chunked")],
    "TE": [*CONNECT, ("te", "gzip")],
    "a line break": [*CONNECT, ("foo", "a\r\nb: c")],
    "a blank in a name": [*CONNECT, ("fo o", "x")],
    "connect-udp without a path": [*CONNECT, (":protocol", "connect-udp"), (":scheme", "https")],
    "connect-udp without a scheme": [*CONNECT, (":protocol", "connect-udp"), (":path", masque_path("a:1"))],
    "connect-udp by GET": [(":method", "GET"), (":protocol", "connect-udp"), (":scheme", "https"), (":authority", "x"),
                           (":path", masque_path("a:1"))],
    "no method": [(":scheme", "https"), (":authority", "x"), (":path", "/")],
    "no scheme": [(":method", "GET"), (":authority", "x"), (":path", "/ping")],
    "no path": [(":method", "GET"), (":scheme", "https"), (":authority", "x")],
    "an empty path": [(":method", "GET"), (":scheme", "https"), (":authority", "x"), (":path", "")],
    "no authority": [(":method", "GET"), (":scheme", "https"), (":path", "/ping")],
    "Host that differs": [(":method", "GET"), (":scheme", "https"), (":authority", "x"), (":path", "/ping"), ("host", "y")],
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_heads(stack, name):
    c = Raw(stack)
    c.headers(MALFORMED[name])
    kind, _, _, payload = c.until(HEADERS, RST_STREAM, GOAWAY)
    if kind == HEADERS:
        assert payload[":status"] == "400"
    elif kind == RST_STREAM:
        assert int.from_bytes(payload, "big") == 1  # PROTOCOL_ERROR
        c.headers([(":method", "GET"), (":scheme", "https"), (":authority", "x"), (":path", "/ping")], stream=3, end=True)
        assert c.until(HEADERS, stream=3)[3][":status"] == "200"
    else:
        assert int.from_bytes(payload[4:8], "big") == 1


@pytest.mark.parametrize("protocol, status", [("websocket", "501"), ("connect-ip", "501")])
def test_other_protocols(stack, protocol, status):
    c = Raw(stack)
    c.headers([*CONNECT, (":protocol", protocol), (":scheme", "https"), (":path", "/")])
    assert c.until(HEADERS)[3][":status"] == status


def test_data_before_the_answer(stack, token):
    c = Raw(stack)
    c.headers([*CONNECT, ("authorization", f"Pomerium {token}")])
    c.frame(DATA, 0, 1, b"early")
    c.frame(DATA, END_STREAM, 1, b" and all")
    assert c.until(HEADERS)[3][":status"] == "200"
    data = b""
    while True:
        _, flags, _, payload = c.until(DATA)
        data += payload
        if flags & END_STREAM:
            break
    assert data == b"early and all"


def test_reset_in_the_middle(stack, server, token):
    c = Raw(stack)
    c.headers([*CONNECT, ("authorization", f"Pomerium {token}")])
    assert c.until(HEADERS)[3][":status"] == "200"
    wait_for(lambda: server.live, what="the target's connection")
    c.frame(RST_STREAM, 0, 1, struct.pack(">I", 8))
    wait_for(lambda: not server.live, what="the target's end")
    c.headers([*CONNECT, ("authorization", f"Pomerium {token}")], stream=3)
    assert c.until(HEADERS, stream=3)[3][":status"] == "200"
    c.sock.close()
    wait_for(lambda: not server.live, what="the other target's end")


def test_windows(stack, token):
    """A window of 0 holds the answer's bytes back; what is opened comes; one above 2^31-1 is an error."""
    c = Raw(stack, begin=False)
    c.sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    c.frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 0))
    c.headers([*CONNECT, ("authorization", f"Pomerium {token}")])
    assert c.until(HEADERS)[3][":status"] == "200"
    c.frame(DATA, 0, 1, b"0123456789")
    c.frame(PING, 0, 0, b"12345678")
    assert c.until(DATA, PING)[0] == PING
    time.sleep(0.3)
    c.frame(PING, 0, 0, b"12345678")
    assert c.until(DATA, PING)[0] == PING
    c.frame(WINDOW_UPDATE, 0, 1, struct.pack(">I", 4))
    assert c.until(DATA)[3] == b"0123"
    c.frame(WINDOW_UPDATE, 0, 1, struct.pack(">I", 100))
    assert c.until(DATA)[3] == b"456789"
    c.frame(WINDOW_UPDATE, 0, 1, struct.pack(">I", 0x7fffffff))
    kind, _, _, payload = c.until(RST_STREAM, GOAWAY)
    assert int.from_bytes(payload[-4:] if kind == RST_STREAM else payload[4:8], "big") == 3  # FLOW_CONTROL_ERROR
    # The same of the connection.
    d = Raw(stack)
    d.frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 0x7fffffff))
    assert int.from_bytes(d.until(GOAWAY)[3][4:8], "big") == 3
    assert d.until() is None


@pytest.mark.parametrize("frames", [
    [(DATA, 0, 1, b"x")],                                   # of a stream that was not begun
    [(HEADERS, END_HEADERS, 2, b"\x82")],                   # of a server's stream
    [(CONTINUATION, END_HEADERS, 1, b"\x82")],              # of nothing
    [(SETTINGS, 0, 0, b"12345")], [(PING, 0, 0, b"short")], [(SETTINGS, 0, 1, b"")],
    [(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff")],  # HPACK that is none
    [(HEADERS, 0, 1, b"\x82"), (PING, 0, 0, b"12345678")],  # a head in two, with something between
], ids=str)
def test_broken_frames_end_the_connection(stack, frames):
    c = Raw(stack)
    for kind, flags, stream, payload in frames:
        c.frame(kind, flags, stream, payload)
    assert int.from_bytes(c.until(GOAWAY)[3][4:8], "big") != 0
    assert c.until() is None


def test_no_preface(stack):
    with dial(stack, alpn=("h2",)) as s:
        s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
        s.settimeout(20)
        try:
            while s.recv(65536):
                pass
        except (ssl.SSLError, ConnectionError):
            pass


def test_rapid_resets(stack):
    c = Raw(stack)
    with pytest.raises((AssertionError, OSError)):
        for i in range(2000):
            c.headers(CONNECT, stream=2 * i + 1)
            c.frame(RST_STREAM, 0, 2 * i + 1, struct.pack(">I", 8))
        assert c.until(GOAWAY) is None
    assert curl(stack, "/ping")[0] == 200


# --- time ---

def test_slow_heads(stack):
    begun = time.monotonic()
    with dial(stack) as s, dial(stack) as silent, dial(stack, alpn=("h2",)) as mute:
        # One thread: OpenSSL's object does not bear reading and writing at the same time.
        s.settimeout(0.2)
        s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        answer = b""
        while not answer and time.monotonic() - begun < 20:
            try:
                answer = s.recv(65536)
            except TimeoutError:
                s.sendall(b"X-A: b\r\n")
        assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        assert 1.5 < time.monotonic() - begun < 8
        for other in (silent, mute):
            other.settimeout(10)
            while other.recv(65536):
                pass
        assert time.monotonic() - begun < 10


def test_limits_of_heads(stack):
    for request, status in ((b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"414"),
                            (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: " + b"a" * 70000 + b"\r\n\r\n", b"431"),
                            (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: b\r\n" * 101 + b"\r\n", b"431")):
        with dial(stack) as s:
            s.settimeout(20)
            s.sendall(request)
            assert s.recv(65536).split()[1] == status


# --- the neighbours ---

def test_redirects(new_stack):
    port, = free_ports(1)
    stack = new_stack(http_redirect_addr=f"127.0.0.1:{port}")

    def ask(text):
        with socket.create_connection(("127.0.0.1", port), 20) as s:
            s.sendall(text.encode())
            data = b""
            while b"\r\n\r\n" not in data and (more := s.recv(65536)):
                data += more
            return data.decode()
    answer = ask("GET /a?b=c HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.startswith("HTTP/1.1 301 ") and f"Location: https://localhost:{stack.https_port}/a?b=c\r\n" in answer
    assert "Strict-Transport-Security" not in answer
    answer = ask(f"HEAD //evil.test/ HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n")
    assert f"Location: https://localhost:{stack.https_port}//evil.test/\r\n" in answer
    for text in ("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", "GET / HTTP/1.1\r\nHost: a@evil.test\r\n\r\n",
                 "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", "GET / HTTP/1.0\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n"):
        assert ask(text).startswith("HTTP/1.1 400 "), text


def test_insecure_server(new_stack, server):
    """Behind a balancer that ends TLS: plain HTTP/1.1 and HTTP/2."""
    stack = new_stack(insecure_server=True, certificate_file=None, certificate_key_file=None)
    base = f"http://127.0.0.1:{stack.https_port}"
    for version in ("--http1.1", "--http2-prior-knowledge", "--http2"):
        out = subprocess.run(["curl", "-s", version, "-w", " %{http_version}", f"{base}/ping"], capture_output=True, text=True, timeout=30)
        assert out.stdout == "OK\n " + ("2" if "prior" in version else "1.1")
    page = urllib.request.Request(f"{base}/.pomerium/style.css", headers={"Host": f"localhost:{stack.https_port}"})
    with urllib.request.urlopen(page) as page:
        assert page.status == 200 and "Strict-Transport-Security" not in page.headers
    with socket.create_connection(("127.0.0.1", stack.https_port)) as s:
        reply = exchange(s, request_text("CONNECT nowhere.test:7", "nowhere.test:7"))
        assert reply.status == 404


def test_client_certificates(new_stack, server, tmp_path):
    def make(name, *options):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                        f"/CN={name}", "-keyout", tmp_path / f"{name}.key", "-out", tmp_path / f"{name}.crt", *options],
                       check=True, capture_output=True)
        return tmp_path / f"{name}.crt", tmp_path / f"{name}.key"
    ca = make("ca")
    good = make("good", "-CA", ca[0], "-CAkey", ca[1], "-addext", "extendedKeyUsage=clientAuth", "-addext", "basicConstraints=CA:FALSE") \
        if b"-CA " in subprocess.run(["openssl", "req", "-help"], capture_output=True).stderr else None
    wrong = make("wrong", "-addext", "extendedKeyUsage=clientAuth")
    assert good, "this openssl cannot issue certificates"
    stack = new_stack(downstream_mtls={"ca_file": str(ca[0])})
    stack.write_config(routes=[tcp_route("echo.test:7", server.port)])
    wait_for(lambda: stack.logs("proxy", "worker serves")[1:], what="the route")
    token = login(stack)
    for cert, status in ((good, 200), (None, 495), (wrong, 495)):
        assert connect(stack, "echo.test:7", token, cert=cert).status == status
        assert H2(stack, cert=cert).connect("echo.test:7", token).status == status
    # Pages are open to all, unless the handshake itself asks.
    assert exchange(dial(stack), request_text("GET /ping", "localhost")).status == 200
    served = len(stack.logs("proxy", "worker serves"))
    stack.write_config(downstream_mtls={"ca_file": str(ca[0]), "enforcement": "reject_connection"})
    wait_for(lambda: len(stack.logs("proxy", "worker serves")) > served, what="the new rule")
    assert connect(stack, "echo.test:7", token, cert=good).status == 200
    for cert in (None, wrong):
        with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
            exchange(dial(stack, cert=cert), request_text("GET /ping", "localhost"))
