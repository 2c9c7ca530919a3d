"""The contract of pomerium-cli, against a server that records: by tests/peers/pomerium_cli.py, and the same by the program
itself when POSTERN_PEER_POMERIUM_CLI names it."""
import base64
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time

import pytest

from stack import ROOT, wait_for

CONTRACT = ROOT / "tests/peers/pomerium_cli.py"
REAL = os.environ.get("POSTERN_PEER_POMERIUM_CLI")
PROGRAMS = {"contract": [sys.executable, str(CONTRACT)]} | ({"pomerium-cli": [REAL]} if REAL else {})
EMPTY = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
sys.path.insert(0, str(CONTRACT.parent))
import pomerium_cli  # noqa: E402


def part(data):
    return base64.urlsafe_b64encode(json.dumps(data).encode()).rstrip(b"=").decode()


TOKEN = f"{part({'alg': 'HS256'})}.{part({'sub': 'a'})}.AAAA"
OTHER = f"{part({'alg': 'HS256'})}.{part({'sub': 'b'})}.AAAA"
EXPIRED = f"{part({'alg': 'HS256'})}.{part({'exp': 1})}.AAAA"


class Recorder:
    """A TLS server: answers by the start of the request line, notes heads and what comes behind them."""

    def __init__(self, folder):
        self.cert, key = folder / "server.crt", folder / "server.key"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", self.cert, "-days",
                        "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.cert, key)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.reset()
        threading.Thread(target=self._accept, daemon=True).start()

    def reset(self, alpn="http/1.1"):
        self.heads, self.bodies, self.answers, self.ends, self.live = [], [], {}, [], []
        self.context.set_alpn_protocols([alpn])

    def _accept(self):
        while True:
            sock, _ = self.listener.accept()
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        try:
            sock = self.context.wrap_socket(sock, server_side=True)
            data = b""
            while b"\r\n\r\n" not in data or data.startswith(b"PRI") and len(data) < 110:
                data += sock.recv(65536) or b"\r\n\r\n"
            self.heads.append(data)
            answers = next((a for start, a in self.answers.items() if data.startswith(start)), [EMPTY])
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            sock.sendall(answer)
            if b"\r\nContent-Length: " in answer or data.startswith(b"PRI"):
                return
            self.live.append(sock)
            while more := sock.recv(65536):
                self.bodies.append(more)
                sock.sendall(more)
            self.ends.append("close_notify")
        except (OSError, ssl.SSLError) as e:
            self.ends.append(repr(e))
        finally:
            sock.close()

    def hang_up(self):
        for sock in self.live:
            sock.shutdown(socket.SHUT_RDWR)

    def requests(self, start):
        return [h for h in self.heads if h.startswith(start)]


@pytest.fixture(scope="module")
def recorder(tmp_path_factory):
    return Recorder(tmp_path_factory.mktemp("recorder"))


class Program:
    def __init__(self, name, recorder, folder):
        self.words, self.recorder, self.folder = PROGRAMS[name], recorder, folder
        self.is_real = name != "contract"
        self.env = dict(os.environ, HOME=str(folder), XDG_CACHE_HOME=str(folder / "cache"))
        self.proxy = f"127.0.0.1:{recorder.port}"
        recorder.reset()

    def argv(self, *words):
        trust = ("--alternate-ca-path", str(self.recorder.cert)) if words[0] in ("tcp", "udp", "auth", "routes") else ()
        return [*self.words, *words, *trust]

    def run(self, *words, stdin=b"", env=()):
        return subprocess.run(self.argv(*words), input=stdin, capture_output=True, timeout=40, check=False,
                              env=self.env | dict(env))

    def tcp(self, *more, stdin=b""):
        """With stdin held open until the tunnel ends, as ssh does."""
        return self.run("tcp", "redis.example.com:6379", "--pomerium-url", f"https://{self.proxy}", "--listen", "-", *more,
                        stdin=stdin)

    def talk(self, said, answer):
        """A tunnel whose stdin ends when the answer is there: pomerium-cli ends at once then, with what it has not written yet."""
        argv = self.argv("tcp", "redis.example.com:6379", "--pomerium-url", f"https://{self.proxy}", "--listen", "-")
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.env) as process:
            process.stdin.write(said)
            process.stdin.flush()
            out = b""
            while answer not in out and (more := os.read(process.stdout.fileno(), 65536)):
                out += more
            rest, err = process.communicate(timeout=40)
            return subprocess.CompletedProcess(argv, process.returncode, out + rest, err)

    def cached(self, key=None):
        """The file of a key, by the rule that both share."""
        name = pomerium_cli.Cache.path(self, key or f"{self.proxy}|true").name
        return self.folder / "cache/pomerium-cli/jwts" / name

    def put(self, token, key=None):
        path = self.cached(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(token)


@pytest.fixture(params=PROGRAMS)
def program(request, recorder, tmp_path):
    return Program(request.param, recorder, tmp_path)


def connect_head(token=None):
    authorization = f"Authorization: Pomerium {token}\r\n" if token else ""
    return (f"CONNECT redis.example.com:6379 HTTP/1.1\r\nHost: redis.example.com:6379\r\n"
            f"User-Agent: Go-http-client/1.1\r\n{authorization}\r\n").encode()


def status(code):
    return f"HTTP/1.1 {code} X\r\nLocation: https://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n".encode()


def test_a_tunnel(program, recorder):
    program.put(TOKEN)
    recorder.answers[b"CONNECT"] = [b"HTTP/1.1 200 OK\r\n\r\nserver speaks first "]
    got = program.talk(b"client", b"server speaks first ")
    assert got.returncode == 0 and b"server speaks first " in got.stdout, got
    assert recorder.heads == [f"GET / HTTP/1.1\r\nHost: {program.proxy}\r\nUser-Agent: Go-http-client/1.1\r\n"
                              "Accept-Encoding: gzip\r\n\r\n".encode(), connect_head(TOKEN)]
    wait_for(lambda: recorder.ends == ["close_notify"], 10, "the end without a reset")
    assert program.cached().read_text() == TOKEN, "a clean end keeps it"


@pytest.mark.parametrize("code, error, keeps", [
    (503, b"unavailable", True), (403, b"unauthorized", True), (404, b"invalid http response code: 404", False),
    (101, b"invalid http response code: 101", False), (303, b"invalid http response code: 303", False),
    (407, b"invalid http response code: 407", False), (495, b"invalid http response code: 495", False),
    (502, b"invalid http response code: 502", False), (504, b"invalid http response code: 504", False)])
def test_statuses(program, recorder, code, error, keeps):
    program.put(TOKEN)
    recorder.answers[b"CONNECT"] = [status(code)]
    got = program.tcp()
    assert (got.returncode, error + b"\n") == (1, got.stderr.splitlines(keepends=True)[-1]), got
    assert recorder.requests(b"CONNECT") == [connect_head(TOKEN)]
    assert program.cached().exists() == keeps


@pytest.mark.parametrize("code", [301, 302, 307, 308, 401])
def test_login_by_service_account(program, recorder, code):
    recorder.answers[b"CONNECT"] = [status(code), b"HTTP/1.1 200 OK\r\n\r\n"]
    (program.folder / "account").write_text(f"{OTHER}\n")
    assert program.tcp("--service-account-file", str(program.folder / "account")).returncode == 0
    assert recorder.requests(b"CONNECT") == [connect_head(), connect_head(OTHER)]
    assert program.cached().read_text() == OTHER and program.cached().stat().st_mode & 0o777 == 0o600
    assert program.cached().parent.stat().st_mode & 0o777 == 0o755
    # A second refusal is no login more: the token is forgotten.
    recorder.heads.clear()
    recorder.answers[b"CONNECT"] = [status(code)]
    got = program.tcp("--service-account", TOKEN)
    assert got.returncode == 1 and got.stderr.endswith(b"unauthenticated\n")
    assert recorder.requests(b"CONNECT") == [connect_head(OTHER), connect_head(TOKEN)]
    assert not program.cached().exists()


@pytest.mark.parametrize("token", [EXPIRED, "no token"])
def test_what_is_cached_is_sent_whatever_it_is(program, recorder, token):
    program.put(token)
    recorder.answers[b"CONNECT"] = [status(403)]
    program.tcp()
    assert recorder.requests(b"CONNECT") == [connect_head(token)]


def test_login_by_browser(program, recorder):
    browser = program.folder / "browser"
    browser.write_text("#!/usr/bin/python3\nimport sys, urllib.parse, urllib.request\n"
                       "back = urllib.parse.parse_qs(urllib.parse.urlsplit(sys.argv[1]).query)['back'][0]\n"
                       f"page = urllib.request.urlopen(back + '?pomerium_jwt={TOKEN}').read()\n"
                       "assert page == b'login complete, you may close this page'\n")
    browser.chmod(0o755)
    recorder.answers[b"CONNECT"] = [status(302), b"HTTP/1.1 200 OK\r\n\r\n"]

    class Login(list):
        """Says where the program listens, as the gateway's URL does in the end."""
        def __getitem__(self, _):
            query = recorder.requests(b"GET /.pomerium/api/v1/login?pomerium_redirect_uri=")[0].split()[1].split(b"=")[1]
            body = b"https://127.0.0.1:1/?back=" + query
            return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    recorder.answers[b"GET /.pomerium"] = Login([b""])
    got = program.tcp("--browser-cmd", str(browser))
    assert got.returncode == 0, got
    login, = recorder.requests(b"GET /.pomerium")
    assert login.split(b"\r\n")[1:] == [b"Host: " + program.proxy.encode(), b"User-Agent: Go-http-client/1.1",
                                        b"Accept-Encoding: gzip", b"", b""]
    assert b"pomerium_redirect_uri=http%3A%2F%2F127.0.0.1%3A" in login
    assert b"Your browser has been opened to visit:\n\nhttps://127.0.0.1:1/?back=" in got.stderr
    assert program.cached().read_text() == TOKEN
    # A browser that fails is an error, and nothing is forgotten.
    recorder.answers[b"CONNECT"] = [status(401)]
    got = program.tcp("--browser-cmd", "/bin/false")
    assert got.returncode == 1 and b"failed to open browser url" in got.stderr
    assert program.cached().exists()


def test_probe_by_http2(program, recorder):
    """Go's preface; the answer is a whole response, then the tunnel goes on by HTTP/1.1."""
    recorder.reset("h2")
    frames = (b"\0\0\0\x04\0\0\0\0\0" + b"\0\0\0\x04\x01\0\0\0\0" + b"\0\0\x01\x01\x05\0\0\0\x01\x8d")
    recorder.answers[b"PRI"] = [frames]
    recorder.answers[b"CONNECT"] = [status(403)]
    program.tcp()
    probe = recorder.heads[0]
    assert probe.startswith(pomerium_cli.PREFACE)
    if not program.is_real:
        assert b":authority" in probe and b"Go-http-client/2.0" in probe
    assert recorder.heads[1:] == [connect_head()]


def ask_udp(port, payload, timeout=20):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(timeout)
        s.connect(("127.0.0.1", port))
        s.send(payload)
        return s.recv(65535)


def free_udp_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.mark.parametrize("host, path", [("dns.example.com:53", b"dns.example.com"), ("[::1]:53", b"::1")])
def test_udp(program, recorder, host, path):
    program.put(TOKEN)
    recorder.answers[b"GET /.well-known"] = [b"HTTP/1.1 200 OK\r\nCapsule-Protocol: ?1\r\n\r\n"]
    port = free_udp_port()
    process = subprocess.Popen(program.argv("udp", f"udp+https://{program.proxy}/{host}", "--listen", f"127.0.0.1:{port}"),
                               env=program.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        assert b"starting udp listener" in process.stdout.readline()
        time.sleep(0.5)
        # What the recorder echoes is the capsule itself, so it comes back as the same datagram.
        assert ask_udp(port, b"ping") == b"ping"
        assert ask_udp(port, b"x" * 1400) == b"x" * 1400
        first, second = recorder.requests(b"GET /.well-known")
        assert first == second == (
            b"GET /.well-known/masque/udp/%s/53/ HTTP/1.1\r\nHost: %s\r\nUser-Agent: Go-http-client/1.1\r\n"
            b"Authorization: Pomerium %s\r\nCapsule-Protocol: ?1\r\nConnection: Upgrade\r\nUpgrade: connect-udp\r\n\r\n"
            % (path, host.encode(), TOKEN.encode())), "one tunnel for each local address"
        assert recorder.bodies == [b"\x00\x05\x00ping", b"\x00\x45\x79\x00" + b"x" * 1400]
        recorder.hang_up()
        wait_for(lambda: not program.cached().exists(), 10, "every end of a UDP tunnel to forget the token")
    finally:
        process.terminate()
        assert process.wait(10) == 1


def test_routes_and_auth(program, recorder):
    base = f"https://{program.proxy}"
    body = json.dumps({"routes": [{"id": "1", "name": "n", "type": "tcp", "from": "f", "description": "d",
                                   "connect_command": "c"}, {"id": "2"}]}).encode()
    recorder.answers[b"GET /.pomerium/api/v1/routes"] = [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)]
    got = program.run("routes", "list", base, "--service-account", TOKEN)
    assert got.stdout == (b"Route n\nid: 1\ntype: tcp\nfrom: f\ndescription: d\nconnect_command: c\n\n"
                          b"Route \nid: 2\ntype: \nfrom: \ndescription: \n\n"), got
    assert recorder.heads == [f"GET /.pomerium/api/v1/routes HTTP/1.1\r\nHost: {program.proxy}\r\nUser-Agent: Go-http-client/1.1"
                              f"\r\nAccept: application/json\r\nAuthorization: Bearer Pomerium-{TOKEN}\r\n"
                              "Accept-Encoding: gzip\r\n\r\n".encode()]
    # Without a URL the last one is asked, which was remembered if there was a cache already; the cached token is sent.
    assert b"server-url is required" in program.run("routes", "list").stderr
    assert program.run("routes", "list", base).stdout == got.stdout
    assert program.run("routes", "list").stdout == got.stdout
    recorder.answers[b"GET /healthz"] = [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]
    assert program.run("auth", base).stdout == TOKEN.encode() + b"\n"
    check, = recorder.requests(b"GET /healthz")
    assert f"\r\nAccept: application/json\r\nAuthorization: Bearer Pomerium-{TOKEN}\r\n".encode() in check
    recorder.answers[b"GET /healthz"] = [status(401)]
    assert program.run("auth", base, "--service-account", OTHER).stdout == OTHER.encode() + b"\n"
    recorder.answers[b"GET /healthz"] = [status(500)]
    got = program.run("auth", base)
    assert got.returncode == 0 and b"error validating cached JWT: unexpected status code: 500" in got.stderr


def test_cache_and_usage(program):
    root = program.folder / "cache/pomerium-cli"
    assert program.run("cache", "location").stdout == f"{root}\n".encode()
    program.put(TOKEN)
    assert program.run("cache", "clear").returncode == 0
    assert not program.cached().exists()
    for words, sentence in ((["tcp"], b"accepts 1 arg(s), received 0"), (["tcp", "--x"], b"unknown flag: --x"),
                            (["tcp", "x"], b"invalid destination"), (["auth", "x"], b"invalid server url: x"),
                            (["tcp", "a:1", "--pomerium-url", "x"], b"invalid pomerium url")):
        got = program.run(*words)
        assert got.returncode == 0 and got.stderr.startswith(b"Error: " + sentence + b"\nUsage:\n"), got
    got = program.run("udp", "a:1", "--listen", "-")
    assert (got.returncode, got.stderr) == (1, b"stdout not implemented for UDP\n")
    assert program.run("--version").stdout.startswith(b"pomerium-cli version ")


def test_a_certificate_nobody_vouches_for(program, recorder):
    got = subprocess.run([*program.words, "tcp", "a:1", "--pomerium-url", f"https://{program.proxy}", "--listen", "-"],
                         env=program.env, capture_output=True, input=b"", timeout=20, check=False)
    assert got.returncode == 1 and b"http/1: failed to establish connection to proxy: " in got.stderr
    recorder.answers[b"CONNECT"] = [b"HTTP/1.1 200 OK\r\n\r\n"]
    for trust in (["--disable-tls-verification"], ["--ca-cert", base64.b64encode(recorder.cert.read_bytes()).decode()]):
        got = subprocess.run([*program.words, "tcp", "a:1", "--pomerium-url", f"https://{program.proxy}", "--listen", "-",
                              *trust], env=program.env, capture_output=True, input=b"", timeout=20, check=False)
        assert got.returncode == 0, got


@pytest.mark.parametrize("destination, url, expected", [
    ("redis.example.com:6379", "", ("redis.example.com:6379", "https", "redis.example.com:443")),
    ("tcp+https://redis.example.com:6379", "", ("redis.example.com:6379", "https", "redis.example.com:443")),
    ("http://redis.example.com:6379", "", ("redis.example.com:6379", "http", "redis.example.com:80")),
    ("https://proxy:8443/redis:6379", "", ("redis:6379", "https", "proxy:8443")),
    ("udp+https://proxy/dns:53", "", ("dns:53", "https", "proxy:443")),
    ("redis:6379", "https://proxy", ("redis:6379", "https", "proxy:443")),
    ("[::1]:22", "https://proxy:8443", ("[::1]:22", "https", "proxy:8443"))])
def test_destinations(destination, url, expected):
    assert pomerium_cli.parse_urls(destination, url) == expected


def test_what_is_decoded():
    # RFC 7541 C.6.1 and RFC 9000 §A.1
    block = bytes.fromhex("488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3")
    assert pomerium_cli.Hpack().decode(block) == [
        (":status", "302"), ("cache-control", "private"), ("date", "Mon, 21 Oct 2013 20:13:21 GMT"),
        ("location", "https://www.example.com")]
    for number, text in ((37, "25"), (15293, "7bbd"), (494878333, "9d7f3e7d")):
        assert pomerium_cli.varint(number).hex() == text
        assert pomerium_cli.take_varint(bytes.fromhex(text), 0) == (number, len(text) // 2)
    chunks = pomerium_cli.Response(200, "OK", [("Transfer-Encoding", "chunked")])
    body, out = pomerium_cli.Body(chunks), b""
    for byte in b"3\r\nabc\r\nA;x\r\n0123456789\r\n0\r\n\r\n":
        body.feed(bytes([byte]))
        out += body.take()
    assert out == b"abc0123456789" and body.ended
