"""Our own client against the real gateway: tunnels, sign-in, token cache, ssh, service accounts."""
import contextlib
import http.client
import json
import os
import pathlib
import pty
import re
import select
import shlex
import signal
import socket
import stat
import subprocess
import threading
import time
import urllib.parse

import pytest

from browser import Browser
from client import LISTENING, Postern, dial, read_all, roundtrip
from stack import LOGIN as LOGIN_NAME
from stack import Client, free_ports, wait_for
from tunnels import TcpServer, UdpServer, claims_of, echo, tcp_route, udp_route

OTHER = [{"email": {"is": "other@localhost"}}]
ROOT = pathlib.Path(__file__).resolve().parents[2]


def banner(peer, _address):
    """Speaks first, as databases do; then echoes."""
    peer.sendall(b"hello from the server\n")
    echo(peer, None)


def says_and_ends(peer, _address):
    peer.sendall(b"only this")
    peer.shutdown(socket.SHUT_WR)
    peer.recv(1)


@pytest.fixture(scope="module")
def servers():
    made = {"echo": TcpServer(echo), "banner": TcpServer(banner), "ends": TcpServer(says_and_ends), "udp": UdpServer()}
    yield made
    for server in made.values():
        server.close()


@pytest.fixture(scope="module")
def stack(servers, tmp_path_factory):
    from stack import Stack
    closed, = free_ports(1)
    s = Stack(tmp_path_factory.mktemp("client"))
    echo_port = servers["echo"].port
    bastion = f"localhost:{s.https_port}"
    s.write_config(routes=s.config["routes"] + [
        {**tcp_route("echo.test:7", echo_port), "name": "echo", "description": "An echo"},
        tcp_route("banner.test:7", servers["banner"].port), tcp_route("ends.test:7", servers["ends"].port),
        tcp_route("closed.test:7", closed), tcp_route("others.test:7", echo_port, OTHER),
        tcp_route(f"{bastion}/shell.test:22", s.target.port), tcp_route("robots.test:7", echo_port, [{"user": {"is": "robot"}}]),
        udp_route("echo.test:53", servers["udp"].port), udp_route("robots.test:53", servers["udp"].port,
                                                                   [{"user": {"is": "robot"}}])])
    with s:
        yield s


@pytest.fixture(scope="module")
def me(stack, tmp_path_factory):
    """Somebody who is signed in."""
    p = Postern(stack, tmp_path_factory.mktemp("home"))
    out = p.run("login", p.gateway)
    assert out.returncode == 0, out.stderr.decode()
    assert out.stdout.decode() == f"signed in to {p.gateway}\n"
    yield p
    p.close()


@pytest.fixture
def stranger(stack, tmp_path):
    p = Postern(stack, tmp_path / "home")
    yield p
    p.close()


# --- tunnels ---

def test_listen_signs_in_once_and_carries_bytes(stack, stranger):
    client = stranger.tunnel("echo.test:7")
    assert client.stderr.text().startswith("listening on 127.0.0.1:")
    with contextlib.ExitStack() as held:
        socks = [held.enter_context(dial(client.port)) for _ in range(5)]
        for i, s in enumerate(socks):
            s.sendall(b"%d" % i)
            s.shutdown(socket.SHUT_WR)
        assert [read_all(s) for s in socks] == [b"%d" % i for i in range(5)]
    assert stranger.sign_ins() == 1, "one sign-in for all that wait"
    text = client.stderr.text()
    assert re.search(r"^Your browser has been opened to visit:\n\nhttps://\S+\n\n", text, re.M), text
    roundtrip(client.port)
    other = stranger.tunnel("banner.test:7")
    with dial(other.port) as s:
        assert s.recv(100) == b"hello from the server\n"
        s.shutdown(socket.SHUT_WR)
        assert read_all(s) == b""
    assert stranger.sign_ins() == 1, "the token is shared"
    assert client.stdout.text() == ""


def test_stdio_carries_tunnel_bytes_alone(stack, stranger):
    data = os.urandom(3_000_000)
    out = stranger.run("tcp", "echo.test:7", "--listen", "-", f"--pomerium-url={stranger.gateway}", stdin=data)
    assert out.returncode == 0, out.stderr.decode()
    assert out.stdout == data, "the browser and the sentences are not in it"
    assert b"Your browser has been opened" in out.stderr
    assert b"listening" not in out.stderr


HTTP = pytest.mark.parametrize("http", [[], ["--http1"]], ids=["h2", "h1"])


def versions(stack):
    return {line["http"] for line in stack.logs("proxy") if line.get("event") == "open"}


@HTTP
def test_many_tunnels_at_once(stack, me, http):
    client = me.tunnel("echo.test:7", *http)
    with contextlib.ExitStack() as held:
        socks = [held.enter_context(dial(client.port)) for _ in range(250)]
        for i, s in enumerate(socks):
            s.sendall(b"%d" % i * 1000)
            s.shutdown(socket.SHUT_WR)
        assert [read_all(s) for s in socks] == [b"%d" % i * 1000 for i in range(250)]
    assert ("HTTP/1.1" if http else "HTTP/2") in versions(stack)
    gateway = [line for line in pathlib.Path("/proc/net/tcp").read_text().splitlines() if f":{stack.https_port:04X} 01 " in line]
    if not http:
        assert len(gateway) < 20, "tunnels share connections"


@HTTP
def test_half_close_both_ways(me, http):
    client = me.tunnel("ends.test:7", *http)
    with dial(client.port) as s:
        assert read_all(s) == b"only this", "the target's end is passed on"
        s.sendall(b"x")
    out = me.run("tcp", "ends.test:7", "--listen=-", "--pomerium-url", me.gateway, *http, stdin=b"x")
    assert out.stdout == b"only this" and out.returncode == 0, out.stderr


@HTTP
def test_slow_reader_gets_all_and_costs_little(me, http):
    client = me.tunnel("echo.test:7", *http)
    size = 64 << 20
    before = rss(client.process.pid)
    with dial(client.port) as s:
        sender = threading.Thread(target=lambda: (s.sendall(bytes(size)), s.shutdown(socket.SHUT_WR)))
        sender.start()
        time.sleep(2)
        grown = rss(client.process.pid) - before
        got = 0
        while data := s.recv(1 << 18):
            got += len(data)
        sender.join()
    assert got == size
    assert grown < 16 << 20, grown


def rss(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1)) << 10


@pytest.mark.parametrize("target, status, words", [
    ("others.test:7", 3, r"others\.test:7: you may not use this route of https://localhost:\d+"),
    ("nowhere.test:7", 1, r"https://localhost:\d+ has no route nowhere\.test:7"),
    ("closed.test:7", 6, r"closed\.test:7: https://localhost:\d+ cannot open it now")])
def test_refusals_in_words(me, target, status, words):
    out = me.run("tcp", target, "--listen", "-", "--pomerium-url", me.gateway)
    assert out.returncode == status and out.stdout == b""
    assert re.search(rb"^postern: " + words.encode(), out.stderr, re.M), out.stderr
    client = me.tunnel(target)
    with dial(client.port) as s:
        assert read_all(s) == b""
    client.stderr.wait(words)
    assert client.process.poll() is None, "a refusal does not end the listener"
    assert me.sign_ins() == 1


def test_gateway_that_is_not_there(me):
    port, = free_ports(1)
    out = me.run("tcp", "echo.test:7", "--listen", "-", "--pomerium-url", f"https://localhost:{port}")
    assert out.returncode == 5 and b"not reachable" in out.stderr, out.stderr


def test_certificate_is_checked(stack, stranger):
    words = ["echo.test:7", "--listen", "-", "--pomerium-url", stranger.gateway, "--browser-cmd", stranger.browser]
    out = stranger.run("tcp", *words, flags=False)
    assert out.returncode == 5 and b"certificate" in out.stderr.lower(), out.stderr
    out = stranger.run("tcp", *words, "--disable-tls-verification", flags=False, stdin=b"hi")
    assert out.returncode == 0 and out.stdout == b"hi", out.stderr
    encoded = subprocess.run(["base64", "-w0", stack.folder / "tls/localhost.crt"], capture_output=True, text=True, check=True).stdout
    for flags in (["--ca-cert", encoded], ["--alternate-ca-path", stack.folder / "tls/localhost.crt"]):
        out = stranger.run("tcp", *words, *flags, flags=False, stdin=b"hi")
        assert out.returncode == 0 and out.stdout == b"hi", out.stderr
    out = stranger.run("tcp", *words, "--ca-cert", "nonsense", flags=False)
    assert out.returncode == 1 and b"--ca-cert is neither a file nor PEM in base64" in out.stderr


def test_listen_on_all_addresses(me):
    port, = free_ports(1)
    client = me.tunnel("echo.test:7", "--listen", f":{port}")
    assert f"listening on [::]:{port}" in client.stderr.text()
    roundtrip(port)
    client.process.send_signal(signal.SIGINT)
    assert client.wait() == 0


def test_bastion_form(stack, me):
    out = me.run("tcp", f"tcp+https://localhost:{stack.https_port}/shell.test:22", "--listen", "-", stdin=b"SSH-2.0-x\r\n")
    assert out.stdout.startswith(b"SSH-2.0-OpenSSH"), (out.stdout, out.stderr)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stops_when_asked_to(me, servers, number):
    client = me.tunnel("echo.test:7")
    with dial(client.port) as s:
        s.sendall(b"x")
        assert s.recv(1) == b"x"
        client.process.send_signal(number)
        assert read_all(s) == b""
    assert client.wait() == 0
    assert not re.search("postern:", client.stderr.text()), client.stderr.text()


# --- UDP ---

@HTTP
def test_udp_flows(me, servers, http):
    servers["udp"].peers.clear()
    client = me.tunnel("echo.test:53", *http, kind="udp")
    socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
    for i, s in enumerate(socks):
        s.connect(("127.0.0.1", client.port))
        s.settimeout(20)
        for size in (0, 1, 1200, 9000, 65507):
            payload = bytes([i]) * size
            s.send(payload)
            assert s.recv(65536) == payload
    assert len(servers["udp"].peers) == 3, "each local sender has a tunnel of its own"
    for s in socks:
        s.close()


def test_udp_has_no_stdio(me):
    out = me.run("udp", "echo.test:53", "--listen", "-", "--pomerium-url", me.gateway)
    assert out.returncode == 2 and b"standard input and output" in out.stderr


def test_without_a_destination(stack, tmp_path):
    """What is missing is named, with the line that would do."""
    p = Postern(stack, tmp_path / "home")
    for words, line in ((["tcp", "--listen", ":2202"], b"postern tcp ssh.example.com:22 --listen :2202 "),
                        (["tcp"], b"postern tcp ssh.example.com:22 "),
                        (["udp", "--listen=:5353"], b"postern udp dns.example.com:53 --listen :5353 ")):
        out = p.run(*words)
        assert out.returncode == 2 and b"the destination is missing" in out.stderr and line in out.stderr, out.stderr


# --- the token cache ---

def test_cache_belongs_to_its_user_alone(stack, stranger):
    assert stranger.run("login", stranger.gateway).returncode == 0
    assert stat.S_IMODE(stranger.cache().stat().st_mode) == 0o700
    assert stat.S_IMODE(stranger.token_file().stat().st_mode) == 0o600
    token = stranger.token()
    assert claims_of(token)["exp"] > time.time()
    # A link is not followed, and said so.
    elsewhere = stranger.home / "elsewhere"
    stranger.token_file().rename(elsewhere)
    stranger.token_file().symlink_to(elsewhere)
    out = stranger.run("tcp", "echo.test:7", "--listen", "-", "--pomerium-url", stranger.gateway, stdin=b"x")
    assert out.stdout == b"x" and b"a link" in out.stderr
    assert stranger.sign_ins() == 2
    assert elsewhere.read_text().strip() == token, "nothing was written through the link"


def test_dead_token_is_replaced(stack, stranger):
    assert stranger.run("login", stranger.gateway).returncode == 0
    first = stranger.token()
    stack.cli("sessions", "revoke", claims_of(first)["jti"])
    out = stranger.run("tcp", "echo.test:7", "--listen", "-", "--pomerium-url", stranger.gateway, stdin=b"x")
    assert out.stdout == b"x", out.stderr
    assert stranger.token() != first and stranger.sign_ins() == 2


def test_sign_ins_of_two_processes_are_one(stack, stranger):
    both = [stranger.tunnel("echo.test:7") for _ in range(2)]
    threads = [threading.Thread(target=roundtrip, args=(c.port,)) for c in both]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert stranger.sign_ins() == 1


# --- signing in and out ---

def test_headless(stack, stranger):
    client = stranger.start("login", "--headless", stranger.gateway)
    url = client.stderr.wait(r"any browser:\n\n(https://\S+)\n\nMatch code: (\S+)\n").group(1)
    stack.sign_in(url)
    assert client.wait() == 0, client.stderr.text()
    assert client.stdout.text() == f"signed in to {stranger.gateway}\n"
    out = stranger.run("tcp", "echo.test:7", "--listen", "-", "--pomerium-url", stranger.gateway, stdin=b"x")
    assert out.stdout == b"x" and stranger.sign_ins() == 0


def test_headless_denied(stack, stranger):
    client = stranger.start("login", "--headless", stranger.gateway)
    stack.sign_in(client.url(), "demo@localhost", "--deny")
    assert client.wait() == 4
    assert "denied" in client.stderr.text()


def test_logout_ends_the_session(stack, stranger):
    assert stranger.run("login", stranger.gateway).returncode == 0
    token = stranger.token()
    client = stranger.tunnel("echo.test:7")
    with dial(client.port) as s:
        s.sendall(b"x")
        assert s.recv(1) == b"x"
        out = stranger.run("logout")
        assert out.returncode == 0 and out.stdout.decode() == f"signed out of {stranger.gateway}\n", out.stderr
        assert read_all(s) == b"", "the tunnel ends with its session"
    client.stderr.wait(r"postern: tunnel ended: \S")
    assert not stranger.token_file().exists()
    sessions = [s["id"] for s in stack.cli_json("sessions", "list")]
    assert claims_of(token)["jti"] not in sessions
    assert stranger.run("logout", "--all").returncode == 0


# --- the end of a tunnel ---

@HTTP
@pytest.mark.parametrize("listen", ["-", "127.0.0.1:0"])
def test_revoke_says_why(stack, stranger, listen, http):
    assert stranger.run("login", stranger.gateway).returncode == 0
    session = claims_of(stranger.token())["jti"]
    if listen == "-":
        client = stranger.start("tcp", "echo.test:7", "--listen", "-", "--pomerium-url", stranger.gateway, *http,
                                stdin=subprocess.PIPE)
        client.process.stdin.write(b"x")
        client.process.stdin.flush()
        client.stdout.wait("x")
        stack.cli("sessions", "revoke", session)
        assert client.wait() == 1
    else:
        client = stranger.tunnel("echo.test:7", *http)
        with dial(client.port) as s:
            s.sendall(b"x")
            assert s.recv(1) == b"x"
            stack.cli("sessions", "revoke", session)
            assert read_all(s) == b""
    assert client.stderr.wait(r"postern: tunnel ended: (.+)\n").group(1) == "Your session was ended; connect again to sign in."


@HTTP
def test_revoked_sender_of_packets(stack, stranger, http):
    assert stranger.run("login", stranger.gateway).returncode == 0
    client = stranger.tunnel("echo.test:53", *http, kind="udp")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(("127.0.0.1", client.port))
        s.settimeout(20)
        s.send(b"x")
        assert s.recv(10) == b"x"
        stack.cli("sessions", "revoke", claims_of(stranger.token())["jti"])
        client.stderr.wait(r"postern: tunnel ended: Your session was ended")
        s.settimeout(1)

        def answered():
            s.send(b"y")
            with contextlib.suppress(TimeoutError):
                return s.recv(10) == b"y"
            return False
        wait_for(answered, 90, "a sign-in by the next packet")
    assert stranger.sign_ins() == 2


@HTTP
def test_gateway_comes_back(new_stack, servers, tmp_path, http):
    stack = new_stack()
    stack.write_config(routes=stack.config["routes"] + [tcp_route("echo.test:7", servers["echo"].port),
                                                        udp_route("echo.test:53", servers["udp"].port)])
    for service in ("authorize", "proxy"):
        stack.restart(service)
    p = Postern(stack, tmp_path / "home")
    assert p.run("login", p.gateway).returncode == 0
    client, packets = p.tunnel("echo.test:7", *http), p.tunnel("echo.test:53", *http, kind="udp")
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.connect(("127.0.0.1", packets.port))
    sender.settimeout(1)

    def answered():
        sender.send(b"x")
        with contextlib.suppress(TimeoutError):
            return sender.recv(10) == b"x"
        return False
    with dial(client.port) as s:
        s.sendall(b"x")
        assert s.recv(1) == b"x" and answered()
        stack.stop("proxy")
        assert read_all(s) == b"", "what was open ends"
    client.stderr.wait("postern: tunnel ended: ")
    with dial(client.port) as s:
        s.sendall(b"waits")
        client.stderr.wait(r"is not reachable: .*; trying again in \d\.\d s")
        stack.start("proxy")
        s.shutdown(socket.SHUT_WR)
        assert read_all(s) == b"waits"
    wait_for(answered, 40, "packets to pass again")
    sender.close()
    p.close()
    assert p.sign_ins() == 1


# --- service accounts ---

def test_service_account(stack, stranger):
    token = stack.cli("service-account", "create", "robot", "--expires", "2h", "--description", "a test").stdout.strip()
    claims = claims_of(token)
    assert claims["sub"] == "robot" and claims["exp"] - claims["iat"] == 7200 and claims["nbf"] == claims["iat"]
    row, = [r for r in stack.cli_json("service-account", "list") if r["id"] == claims["jti"]]
    assert row["user_id"] == "robot" and row["description"] == "a test"
    file = stranger.home / "token"
    file.write_text(token + "\n")
    words = ["robots.test:7", "--listen", "-", "--pomerium-url", stranger.gateway]
    out = stranger.run("tcp", *words, "--service-account-file", file, stdin=b"x")
    assert out.stdout == b"x", out.stderr
    stranger.token_file().unlink()
    client = stranger.tunnel("robots.test:7", "--service-account", token)
    with dial(client.port) as s:
        s.sendall(b"x")
        assert s.recv(1) == b"x"
        assert f"revoked {claims['jti']}" in stack.cli("service-account", "revoke", claims["jti"]).stdout
        assert read_all(s) == b""
    client.stderr.wait(r"postern: tunnel ended: \S")
    out = stranger.run("tcp", *words, "--service-account", token, stdin=b"x")
    assert out.returncode == 4 and b"is not valid there any more" in out.stderr, out.stderr
    assert not stranger.token_file().exists(), "a dead token is not kept"
    assert stranger.sign_ins() == 0


def test_service_account_usage(stack):
    for words in (["create"], ["create", "x", "--expires", "soon"], ["create", "x", "--expires", "0d"], ["revoke"]):
        assert stack.cli("service-account", *words, check=False).returncode == 2
    out = stack.cli("service-account", "revoke", "nobody", check=False)
    assert out.returncode == 1 and "there is no service account nobody" in out.stderr


def test_shared_secret_is_opened_for_service_accounts_alone(stack):
    for words in (["sessions", "list"], ["service-account", "list"], ["service-account", "create", "x"]):
        trace = stack.folder / "trace"
        command = [stack.bin / "postern", "--config", stack.folder / "postern.yaml", "--admin", stack.folder / "admin.pem", *words]
        subprocess.run(["strace", "-f", "-o", trace, "-e", "trace=openat", *command], check=True, capture_output=True,
                       env=dict(os.environ, ASAN_OPTIONS="detect_leaks=0"))
        opened = f"{stack.folder}/secrets/" in trace.read_text()
        assert opened == (words[1] == "create"), words


def test_service_account_by_a_secret_that_is_elsewhere(stack, stranger, tmp_path):
    """As with the packages, whose configuration names what systemd hands to services alone."""
    config = tmp_path / "postern.yaml"
    config.write_text(json.dumps(stack.config | {"shared_secret_file": f"{tmp_path}/nothing"}))
    words = ["--config", config, "--admin", stack.folder / "admin.pem", "service-account", "create", "robot"]
    out = stack.postern(*words, check=False)
    assert out.returncode == 1 and out.stdout == "" and "name it in SHARED_SECRET_FILE" in out.stderr, out
    token = stack.postern(*words, env=dict(os.environ, SHARED_SECRET_FILE=f"{stack.folder}/secrets/shared_secret")).stdout
    out = stranger.run("tcp", "robots.test:7", "--listen", "-", "--pomerium-url", stranger.gateway, "--service-account",
                       token.strip(), stdin=b"x")
    assert out.stdout == b"x", out.stderr


# --- a terminal ---

def test_progress_on_a_terminal(me):
    master, slave = pty.openpty()
    process = subprocess.Popen(me.argv("tcp", *me.flags(), "echo.test:7", "--pomerium-url", me.gateway), stdin=subprocess.DEVNULL,
                               stdout=slave, stderr=slave, env=me.environment())
    os.close(slave)
    text = b""

    def shown(pattern):
        nonlocal text
        while not (found := re.search(pattern, text)):
            assert select.select([master], [], [], 20)[0], text
            text += os.read(master, 65536)
        return found
    port = int(shown(rb"listening on 127\.0\.0\.1:(\d+)\r\n").group(1))
    with dial(port) as s:
        s.sendall(bytes(1_500_000))
        s.settimeout(20)
        got = 0
        while got < 1_500_000:
            got += len(s.recv(65536))
        shown(rb"\r\x1b\[K1 tunnel, up 1\.5 MB \([^)]*/s\), down 1\.5 MB \([^)]*/s\)")
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    os.close(master)


def test_sign_in_with_a_real_browser(stack, stranger):
    stranger.browser.write_text(f"#!/bin/sh\necho \"$1\" >>{stranger.opened}\n")
    client = stranger.start("tcp", "echo.test:7", "--listen", "-", "--pomerium-url", stranger.gateway, stdin=subprocess.PIPE)
    client.process.stdin.write(b"through Chromium")
    client.process.stdin.close()
    url = wait_for(lambda: stranger.opened.exists() and stranger.opened.read_text().strip(), 20, "the address")
    with Browser("postern-client") as b:
        b.driver.get(url)
        b.fill("username", "demo@localhost")
        b.fill("password", "correct horse battery")
        b.press("Sign in")
        b.until(lambda d: "login complete, you may close this page" in d.page_source)
        assert not b.policy_violations()
    assert client.wait() == 0 and client.stdout.text() == "through Chromium"


def test_other_local_pages_plant_no_token(stack, me, stranger):
    """Whoever finds the port still does not know the path."""
    client = stranger.start("login", stranger.gateway, "--browser-cmd", "true")
    back = client.stderr.wait(r"pomerium_redirect_uri=([^&]+)&").group(1)
    there = urllib.parse.urlsplit(urllib.parse.unquote(back))
    assert there.hostname == "127.0.0.1" and len(there.path) > 40
    jwt = urllib.parse.urlencode({"pomerium_jwt": me.token()})
    for method, target in (("GET", f"/?{jwt}"), ("GET", f"/guess?{jwt}"), ("POST", f"{there.path}?{jwt}"), ("GET", there.path),
                           ("GET", f"{there.path}?pomerium_jwt=nonsense"), ("GET", f"{there.path}?{jwt}&{jwt}")):
        http_ = http.client.HTTPConnection("127.0.0.1", there.port, timeout=20)
        http_.request(method, target)
        assert http_.getresponse().status == 404, (method, target)
    assert client.process.poll() is None and not stranger.token_file().exists()
    http_ = http.client.HTTPConnection("127.0.0.1", there.port, timeout=20)
    http_.request("GET", f"{there.path}?{jwt}")
    answer = http_.getresponse()
    assert answer.status == 200 and answer.read() == b"login complete, you may close this page"
    assert client.wait() == 0


def test_folder_of_the_cache(stranger, tmp_path):
    """Open to others it is closed; a link in its place is not used."""
    stranger.cache().mkdir(parents=True)
    stranger.cache().chmod(0o777)
    assert stranger.run("login", stranger.gateway).returncode == 0
    assert stat.S_IMODE(stranger.cache().stat().st_mode) == 0o700
    stranger.cache().rename(tmp_path / "moved")
    stranger.cache().symlink_to(tmp_path / "moved")
    out = stranger.run("login", stranger.gateway)
    assert out.returncode == 0 and b"tokens are not kept" in out.stderr and b"a link" in out.stderr


# --- plain HTTP ---

def test_gateway_without_tls(new_stack, servers, tmp_path):
    """Behind a balancer that ends TLS; a service account, since signing in wants https."""
    stack = new_stack(insecure_server=True, certificate_file=None, certificate_key_file=None)
    stack.write_config(routes=stack.config["routes"] + [tcp_route("robots.test:7", servers["echo"].port, [{"user": {"is": "robot"}}])])
    for service in ("authorize", "proxy"):
        stack.restart(service)
    p = Postern(stack, tmp_path / "home")
    token = stack.cli("service-account", "create", "robot").stdout.strip()
    assert "exp" not in claims_of(token), "without --expires it has no end"
    out = p.run("tcp", f"http://127.0.0.1:{stack.https_port}/robots.test:7", "--listen", "-", "--service-account", token, stdin=b"plain",
                flags=False)
    assert out.stdout == b"plain" and out.returncode == 0, out.stderr
    assert (p.cache() / f"http_127.0.0.1_{stack.https_port}.jwt").read_text().strip() == token


# --- routes and ssh ---

def test_routes_list(stack, me):
    out = me.run("routes list")
    assert out.returncode == 0, out.stderr
    text = out.stdout.decode()
    assert re.search(r"^Route echo\nid: \S+\ntype: tcp\nfrom: tcp\+https://echo\.test:7\ndescription: An echo\n"
                     r"connect_command: postern tcp echo\.test:7\n", text, re.M), text
    assert "others.test" not in text and "robots.test" not in text
    rows = [json.loads(line) for line in me.run("routes list", "--json", me.gateway).stdout.splitlines()]
    assert {r["type"] for r in rows} >= {"tcp", "udp", "ssh"}


def shell_config(stack, postern):
    known = stack.folder / "client/known_hosts"
    return (f"Host *\n  IdentityFile {stack.key('tunnel')}\n  IdentitiesOnly yes\n  UserKnownHostsFile {known}\n"
            "  StrictHostKeyChecking accept-new\n")


@pytest.fixture(scope="module")
def shell(stack, me):
    """What makes the target's sshd take our key without the gateway's certificates: a tunnel is any TCP connection."""
    key = stack.key("tunnel")
    subprocess.run(["ssh-keygen", "-q", "-s", stack.folder / "keys/user_ca", "-I", "tunnel", "-n", LOGIN_NAME, "-V", "-1d:+1d",
                    f"{key}.pub"], check=True)
    return key


def test_ssh_config_is_good_for_ssh(stack, me, shell, tmp_path):
    out = me.run("ssh-config", "--login", LOGIN_NAME)
    assert out.returncode == 0, out.stderr
    text = out.stdout.decode()
    assert re.search(r"^Host shell\.test\n  ProxyCommand \S+ tcp --ca-cert \S+ --browser-cmd \S+ --listen - tcp\+https://localhost:\d+/%h:%p$", text, re.M), text
    assert "Host echo.test" not in text
    assert re.search(rf"^Host demo\n  HostName \S+\n  User {LOGIN_NAME}@demo$", text, re.M), text
    config = tmp_path / "config"
    config.write_text(text + shell_config(stack, me))
    ssh = subprocess.run(["ssh", "-F", config, f"{LOGIN_NAME}@shell.test", "echo through"], capture_output=True, text=True,
                         timeout=60, env=me.environment(), stdin=subprocess.DEVNULL)
    assert ssh.stdout == "through\n" and ssh.returncode == 0, ssh.stderr


def test_ssh_wraps_ssh(stack, me, shell, tmp_path):
    config = tmp_path / "config"
    config.write_text(shell_config(stack, me))
    out = subprocess.run(me.argv("ssh", *me.flags(), "--pomerium-url", me.gateway, "-F", config, "-l", LOGIN_NAME, "-p", "22", "-o",
                                 "LogLevel=INFO", "shell.test", "echo 'a  b'; exit 7"),
                         capture_output=True, text=True, timeout=60, env=me.environment(), stdin=subprocess.DEVNULL)
    assert out.stdout == "a  b\n" and out.returncode == 7, out.stderr
    assert me.run("ssh", "-J", "x", "shell.test").returncode == 2
    assert me.run("ssh", "-v").returncode == 2


# --- the document ---

CLIENTS = "docs/clients.md"


class Shell:
    """Runs lines of the document: `postern` gets the flags that this installation needs."""

    def __init__(self, me, names):
        self.me, self.names = me, names
        self.bin = me.home / "bin"
        self.bin.mkdir(exist_ok=True)
        flags = shlex.join(str(f) for f in me.flags())
        real = me.stack.bin / "postern"
        files = f"--config {me.stack.folder}/postern.yaml --admin {me.stack.folder}/admin.pem"
        (self.bin / "postern").write_text(f"""#!/bin/sh
case $1 in
tcp | udp | ssh) command=$1; shift; exec {real} $command {flags} --pomerium-url {me.gateway} "$@" ;;
login | logout | ssh-config) command=$1; shift; exec {real} $command {flags} "$@" ;;
routes) shift 2; exec {real} routes list {flags} "$@" ;;
*) exec {real} {files} "$@" ;;
esac
""")
        (self.bin / "postern").chmod(0o700)
        config = me.home / "ssh_defaults"
        config.write_text(shell_config(me.stack, me) + f"  User {LOGIN_NAME}\n")
        (self.bin / "ssh").write_text(f"""#!/bin/sh
for word; do [ "$word" = -F ] && exec /usr/bin/ssh -o User={LOGIN_NAME} {self.options()} "$@"; done
exec /usr/bin/ssh -F {config} "$@"
""")
        (self.bin / "ssh").chmod(0o700)

    def options(self):
        known = self.me.stack.folder / "client/known_hosts"
        return (f"-i {self.me.stack.key('tunnel')} -o IdentitiesOnly=yes -o UserKnownHostsFile={known} "
                "-o StrictHostKeyChecking=accept-new")

    def text(self, block):
        for old, new in self.names.items():
            assert old in block, f"{old} is not in {block}"
            block = block.replace(old, new)
        return block

    def environment(self):
        return self.me.environment() | {"PATH": f"{self.bin}:{os.environ['PATH']}"}

    def start(self, block):
        client = Client(["sh", "-c", self.text(block)], env=self.environment())
        return client

    def run(self, block, stdin=""):
        return subprocess.run(["sh", "-ec", self.text(block)], input=stdin, capture_output=True, text=True, timeout=60,
                              env=self.environment(), cwd=self.me.home)


def end(client):
    client.process.terminate()
    client.wait()


def test_documented_listener(me, snippets):
    block, = snippets(CLIENTS)
    client = Shell(me, {"redis.example.com:6379": "echo.test:7"}).start("exec " + block)
    roundtrip(int(client.stderr.wait(LISTENING).group(2)))
    end(client)


def test_documented_udp(me, snippets):
    block, = snippets(CLIENTS)
    port, = free_ports(1)
    client = Shell(me, {"dns.example.com:53": "echo.test:53", "5353": str(port)}).start("exec " + block)
    client.stderr.wait(LISTENING)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(("127.0.0.1", port))
        s.settimeout(20)
        s.send(b"query")
        assert s.recv(100) == b"query"
    end(client)


def test_documented_proxy_command(me, shell, snippets, tmp_path):
    command, config = snippets(CLIENTS)
    out = Shell(me, {"ssh.example.com": "shell.test"}).run(command, "echo by hand; exit\n")
    assert "by hand\n" in out.stdout, out.stderr
    file = tmp_path / "config"
    wrapped = Shell(me, {})
    file.write_text(config.replace("*.example.com", "*.test").replace("/usr/bin/postern", str(wrapped.bin / "postern")))
    out = wrapped.run(f"ssh -F {file} shell.test 'echo by file'")
    assert out.stdout == "by file\n", out.stderr


def test_documented_ssh(me, shell, snippets):
    block, = snippets(CLIENTS)
    (me.home / ".ssh").mkdir(exist_ok=True)
    run = Shell(me, {"ssh.example.com": "shell.test", "https://gw.example.com": me.gateway, "uptime": "'echo up'"})
    out = run.run(block)
    assert out.stdout == "up\nup\n", out.stderr


def test_documented_routes(stranger, snippets):
    block, = snippets(CLIENTS)
    out = Shell(stranger, {"https://gw.example.com": stranger.gateway}).run(block)
    assert out.returncode == 0 and "Route echo\n" in out.stdout, out.stderr
    assert out.stdout.endswith(f"signed out of {stranger.gateway}\n")


def test_documented_headless(stack, stranger, snippets):
    block, = snippets(CLIENTS)
    client = Shell(stranger, {"https://gw.example.com": stranger.gateway}).start(block)
    stack.sign_in(client.url())
    assert client.wait() == 0 and stranger.sign_ins() == 0


def test_documented_service_account(stack, stranger, snippets):
    block, = snippets(CLIENTS)
    run = Shell(stranger, {"backup": "robot", "db.example.com:5432": "robots.test:7"})
    create, listen = run.text(block).splitlines()
    run.names = {}
    assert run.run(create).returncode == 0
    client = Client(["sh", "-c", f"cd {stranger.home}; exec {listen}"], env=run.environment())
    roundtrip(int(client.stderr.wait(LISTENING).group(2)))
    end(client)


def test_completion_knows_the_flags(stack, tmp_path):
    script = tmp_path / "completion"
    script.write_text(stack.postern("completion", "bash").stdout)

    def complete(*words):
        line = shlex.join(("postern", *words))
        out = subprocess.run(["bash", "-c", f"compopt() {{ :; }}; . {script}; COMP_WORDS=({line}); "
                              f"COMP_CWORD={len(words)}; _postern; printf '%s\\n' \"${{COMPREPLY[@]}}\""],
                             capture_output=True, text=True, check=True)
        return out.stdout.split()
    flags = complete("tcp", "h:1", "--")
    assert {"--listen", "--pomerium-url", "--ca-cert", "--client-cert-from-store", "--headless", "--help"} <= set(flags), flags
    assert "--all" not in flags and "--all" in complete("logout", "--")
    assert complete("service-account", "") == ["create", "list", "revoke"]
    assert str(script) in complete("udp", "--ca-cert", str(script)[:-3])


def test_manual_and_help_have_every_flag(stack):
    for command, page in (("tcp", "postern-tcp.1"), ("udp", "postern-tcp.1"), ("ssh", "postern-ssh.1"), ("ssh-config", "postern-ssh.1"),
                          ("login", "postern-login.1"), ("logout", "postern-login.1"), ("routes list", "postern-login.1")):
        text = stack.postern(*command.split(), "--help").stdout
        manual = (ROOT / "docs/man" / page).read_text().replace("\\-", "-")
        for flag in re.findall(r"^  (--[\w-]+)", text, re.M):
            assert flag in manual, (command, flag)
        # -v behind postern ssh is ssh's own.
        for flag in ("-v", "--version")[command == "ssh":]:
            assert re.fullmatch(r"postern \d+\.\d+\.\d+\n", stack.postern(*command.split(), flag).stdout)
