"""Whose address counts: PROXY headers on SSH and HTTPS, who may send them, and what becomes of the address."""
import contextlib
import re
import socket
import ssl
import subprocess
import time

import pytest

from balancer import LOCAL, TLV_ALPN, TLV_AUTHORITY, TLV_NOOP, Balancer, HAProxy, tlv, v1, v2
from stack import ROOT, Stack, wait_for

DEADLINE = 5  # ARRIVALS_HEADER_MS
BROWSER = "203.0.113.50"
IDENT = b"SSH-2.0-Postern"
STRANGER = "127.0.0.9"  # not in proxy_protocol_trusted


class Behind(Stack):
    """Both listeners want headers. People's browsers come through `web`, which says that they are at BROWSER."""

    def __init__(self, folder, **config):
        super().__init__(folder, start=False, **config)
        self.web = Balancer(("127.0.0.1", self.https_port), v2(BROWSER))
        demo = [{"email": {"is": "demo@localhost"}}]
        self.write_config(
            use_proxy_protocol=True, ssh_use_proxy_protocol=True, proxy_protocol_trusted=["127.0.0.1", "::1"],
            authenticate_service_url=f"https://localhost:{self.web.port}",
            routes=[self.route("demo", allow=demo),
                    self.route("office", allow=demo + [{"source_ip": ["198.51.100.0/24", "2001:db8:0:10::/60"]}]),
                    self.route("guarded", policy=[
                        {"allow": {"and": demo}},
                        {"deny": {"or": [{"source_ip": ["192.0.2.0/24", "2001:db8:bad::/48"]}]}}])])
        self.start()

    def __exit__(self, *exc):
        self.web.close()
        super().__exit__(*exc)

    def run_from(self, header, *command, **kwargs):
        with Balancer(("127.0.0.1", self.ssh_port), header) as b:
            return self.run_ssh(*(command or ("echo in",)), options=["-o", f"Port={b.port}"], **kwargs)

    def bind_from(self, address, key="id_ed25519"):
        with Balancer(("127.0.0.1", self.ssh_port), v2(address)) as b:
            client = self.ssh("true", key=key, options=["-o", f"Port={b.port}"])
            self.sign_in(client.url())
            assert client.wait() == 0, client.stderr.text()


@pytest.fixture(scope="module")
def behind(tmp_path_factory):
    with Behind(tmp_path_factory.mktemp("behind")) as s:
        s.bind_from("203.0.113.7")
        yield s


def connect(port, source="127.0.0.1"):
    return socket.create_connection(("127.0.0.1", port), 20, source_address=(source, 0))


def read_to_end(s):
    """All that comes, however the connection ends."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := s.recv(65536):
            data += chunk
    return data


def get(port, path, header=b"", source="127.0.0.1"):
    """A page over TLS behind a header; the certificate is not what is looked at here."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with connect(port, source) as raw:
        raw.sendall(header)
        with context.wrap_socket(raw, server_hostname="localhost") as s:
            s.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n".encode())
            return read_to_end(s)


def addresses(stack, since):
    """The addresses that the lines of one login name: decision and access log."""
    checks = wait_for(lambda: stack.logs("authorize", "authorize check")[since[0]:], what="the decision's line")
    opened = wait_for(lambda: stack.logs("proxy", "ssh connection opened")[since[1]:], what="the access log's line")
    assert len(checks) == 1 and len(opened) == 1, (checks, opened)
    assert checks[0]["connection-id"] == opened[0]["connection-id"]
    return checks[0]["ip"], opened[0]["ip"]


def counts(stack):
    return len(stack.logs("authorize", "authorize check")), len(stack.logs("proxy", "ssh connection opened"))


# --- what a trusted balancer says is what counts ---

TLVS = (tlv(TLV_AUTHORITY, b"gw.example.com") + tlv(TLV_ALPN, b"ssh") + tlv(TLV_NOOP, b"\0" * 300)
        + tlv(0xE0, b"of a vendor"))
HEADERS = {
    "v1-ipv4": (v1("198.51.100.7"), "198.51.100.7"),
    "v1-ipv6": (v1("2001:0DB8:0:10::A"), "2001:db8:0:10::a"),
    "v1-ipv6-longest-zeros": (v1("2001:0:0:10:0:0:0:a"), "2001:0:0:10::a"),
    "v1-ipv6-first-zeros": (v1("2001:db8:0:0:1:0:0:a"), "2001:db8::1:0:0:a"),
    "v1-ipv6-one-zero": (v1("2001:db8::1:1:1:1:a"), "2001:db8:0:1:1:1:1:a"),
    "v1-mapped": (v1("::ffff:198.51.100.8"), "198.51.100.8"),
    "v1-unknown": (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
    "v1-unknown-with-words": (b"PROXY UNKNOWN 198.51.100.7 192.0.2.1 1 2\r\n", "127.0.0.1"),
    "v2-ipv4": (v2("198.51.100.9"), "198.51.100.9"),
    "v2-ipv6": (v2("2001:db8:0:10:0:0:0:b"), "2001:db8:0:10::b"),
    "v2-mapped": (v2("::ffff:198.51.100.10"), "198.51.100.10"),
    "v2-tlvs": (v2("198.51.100.11", tlvs=TLVS), "198.51.100.11"),
    "v2-local": (v2(command=LOCAL), "127.0.0.1"),
    "v2-local-with-addresses": (v2("198.51.100.12", command=LOCAL), "127.0.0.1"),
    "v2-unspec": (v2(tlvs=tlv(TLV_NOOP, b"abc")), "127.0.0.1"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_header_names_the_client(behind, name):
    header, address = HEADERS[name]
    since = counts(behind)
    result = behind.run_from(header)
    assert result.stdout == b"in\n", result.stderr
    assert addresses(behind, since) == (address, address)
    page = get(behind.https_port, "/.pomerium/", header)
    assert page.startswith(b"HTTP/1.1 "), page
    wait_for(lambda: behind.logs("proxy", "http request")[-1]["ip"] == address, what="the request's line")


def test_policy_sees_the_header(behind):
    allowed = ["198.51.100.1", "::ffff:198.51.100.1", "2001:db8:0:1f::9"]
    refused = ["198.51.101.1", "2001:db8:0:20::9", "203.0.113.7"]
    for address in allowed + refused:
        result = behind.run_from(v2(address), route="office")
        assert (result.stdout == b"in\n") == (address in allowed), (address, result.stderr)
    for address in ("192.0.2.77", "::ffff:192.0.2.77", "2001:db8:bad:ffff::1"):
        result = behind.run_from(v2(address), route="guarded")
        assert result.returncode == 255 and b"does not let you in" in result.stderr, (address, result.stderr)
        line = behind.wait_log("authorize", "authorize check", route="guarded", ip=address.removeprefix("::ffff:"))
        assert line["deny"] is True and "source-ip-ok" in line["deny-why-true"], line
    for address in ("198.51.100.1", "2001:db8:bae::1"):
        assert behind.run_from(v2(address), route="guarded").stdout == b"in\n"
    # The balancer's own address is in nobody's rule, and LOCAL does not hide behind it.
    assert behind.run_from(v2("198.51.100.1", command=LOCAL), route="office").returncode == 255


def test_page_and_lists_show_the_header(behind):
    """Verify Sign In says where the ssh client and the browser are; the account page and lists do too."""
    cookies = behind.folder / "cookies"
    address = "2001:db8:0:30::c"
    with Balancer(("127.0.0.1", behind.ssh_port), v2("2001:db8::30:0:0:0:c")) as b:
        client = behind.ssh("sleep 60", key="paged", options=["-o", f"Port={b.port}"])
        url = client.url()
        behind.sign_in(url, "demo@localhost", "--deny", cookies=cookies)
        client.wait()
    with Balancer(("127.0.0.1", behind.ssh_port), v1(address)) as b:
        client = behind.ssh("echo in; sleep 60", key="paged2", options=["-o", f"Port={b.port}"])
        url = client.url()
        page = subprocess.run(["curl", "-sk", "--cookie", cookies, "--cookie-jar", cookies, url],
                              check=True, capture_output=True, text=True).stdout
        assert re.search(rf"\b{address}\b", page), page
        assert BROWSER in page, page
        behind.sign_in(url, cookies=cookies)
        client.stdout.wait("in\n")
        (live,) = [c for c in behind.cli_json("connections", "list") if address in str(c)]
        assert address in behind.cli("connections", "list").stdout, live
        account = subprocess.run(["curl", "-sk", "--cookie", cookies,
                                  url.split("/.pomerium")[0] + "/.pomerium/session_binding_info"],
                                 check=True, capture_output=True, text=True).stdout
        assert re.search(rf"\b{address}\b", account), account
        client.kill()
    wait_for(lambda: any(line.get("ip") == BROWSER for line in behind.logs("authenticate")), what="the browser's address")


# --- who may not, and what is none ---

def expect_closed(s, within=3):
    """Closed soon and without a byte."""
    begun = time.monotonic()
    s.settimeout(within + 10)
    assert read_to_end(s) == b""
    assert time.monotonic() - begun < within


@pytest.mark.parametrize("listener", ["ssh_port", "https_port"])
def test_header_from_elsewhere_is_closed(behind, listener):
    """Not asked, not read, not answered: whatever the stranger says or does not say."""
    port, since = getattr(behind, listener), counts(behind)
    for data in (v2("198.51.100.7"), v1("198.51.100.7") + b"SSH-2.0-x\r\n", v2(command=LOCAL), b"SSH-2.0-x\r\n", b""):
        with connect(port, STRANGER) as s:
            with contextlib.suppress(OSError):
                s.sendall(data)
            expect_closed(s)
    with Balancer(("127.0.0.1", behind.ssh_port), v2("198.51.100.7"), source=STRANGER) as b:
        result = behind.run_ssh("echo in", options=["-o", f"Port={b.port}"])
        assert result.returncode == 255 and result.stdout == b""
    assert counts(behind) == since
    name = {"ssh_port": "ssh_address", "https_port": "address"}[listener]
    line = behind.wait_log("proxy", "connection closed before its PROXY header", listener=name, ip=STRANGER)
    assert line["level"] == "warn" and "proxy_protocol_trusted" in line["reason"], line
    # A flood of them is one line a minute, with a count.
    assert len(behind.logs("proxy", "connection closed before its PROXY header", listener=name)) == 1


MALFORMED = {
    "no-header-ssh": b"SSH-2.0-OpenSSH_9.2\r\n",
    "no-header-tls": b"\x16\x03\x01\x02\x00" + b"\0" * 600,
    "v1-cut-off": b"PROXY TCP4 198.51.100.7\r\n",
    "v1-zone": b"PROXY TCP6 fe80::1%2 2001:db8::1 1 2\r\n",
    "v1-port-range": b"PROXY TCP4 198.51.100.7 192.0.2.1 65536 22\r\n",
    "v1-family": b"PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n",
    "v1-lf-alone": b"PROXY TCP4 198.51.100.7 192.0.2.1 1 2\n",
    "v1-endless": b"PROXY TCP4 " + b"1" * 200,
    "v2-version": v2("198.51.100.7").replace(b"\x21\x11", b"\x31\x11"),
    "v2-command": v2("198.51.100.7", command=0x22),
    "v2-datagram": v2("198.51.100.7").replace(b"\x21\x11", b"\x21\x12"),
    "v2-short": v2(command=0x21).replace(b"\x21\x00\x00\x00", b"\x21\x11\x00\x04") + b"abcd",
    "v2-too-long": v2("198.51.100.7")[:14] + b"\xff\xff",
    "v2-wrong-checksum": v2("198.51.100.7", tlvs=tlv(0x03, b"\1\2\3\4")),
    "v2-tlv-cut-off": v2("198.51.100.7", tlvs=b"\x04\x00\x09abc"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_header_is_closed(behind, name):
    since = counts(behind)
    for port in (behind.ssh_port, behind.https_port):
        with connect(port) as s:
            s.sendall(MALFORMED[name])
            expect_closed(s)
    assert counts(behind) == since


def test_spoofed_header_without_the_protocol(stack):
    """The protocol is off: a header is what any stranger could send. It is an ident that is none, and no address."""
    stack.bind()
    spoofs = (v1("198.51.100.66"), v2("198.51.100.66"), v1("2001:db8::66"), v2("2001:db8::66", tlvs=TLVS))
    for header in spoofs:
        with Balancer(("127.0.0.1", stack.ssh_port), header) as b:
            result = stack.run_ssh("echo in", options=["-o", f"Port={b.port}"])
            assert result.returncode == 255 and result.stdout == b"", result.stderr
        with connect(stack.https_port) as s:
            s.sendall(header + b"GET /healthz HTTP/1.0\r\n\r\n")
            assert b"HTTP/" not in read_to_end(s)
    assert stack.run_ssh("echo in").stdout == b"in\n"
    for service in ("proxy", "authorize", "authenticate"):
        text = (stack.folder / f"log/{service}.jsonl").read_text()
        assert "198.51.100.66" not in text and "2001:db8::66" not in text
    assert {line["ip"] for line in stack.logs("authorize", "authorize check")} == {"127.0.0.1"}


def test_forwarding_fields_of_a_browser_are_no_address(behind):
    """X-Forwarded-For and its like come from anybody; the header's address is what the page says."""
    fields = ["X-Forwarded-For: 198.51.100.66", "Forwarded: for=198.51.100.66", "X-Real-IP: 198.51.100.66"]
    url = f"https://localhost:{behind.web.port}/.pomerium/sign_in?user_code=none"
    subprocess.run(["curl", "-sk", "-o", "/dev/null", *(a for f in fields for a in ("-H", f)), url], check=True)
    wait_for(lambda: behind.logs("proxy", "http request", ip=BROWSER), what="the request's line")
    for service in ("proxy", "authenticate"):
        assert "198.51.100.66" not in (behind.folder / f"log/{service}.jsonl").read_text()


# --- time ---

def test_slow_header_is_closed(behind):
    """Nothing, the half of a header, and a byte a second: all are closed at the deadline, unanswered."""
    starts = (b"", b"P", b"PROXY TCP4 198.51.100.7 ", v2("198.51.100.7")[:12], v2("198.51.100.7")[:-1],
              v2("198.51.100.7", tlvs=TLVS)[:60])
    begun, waiting = time.monotonic(), []
    for port in (behind.ssh_port, behind.https_port):
        for data in starts:
            s = connect(port)
            s.sendall(data)
            waiting.append(s)
    slow = connect(behind.ssh_port)
    slow_bytes = iter(v1("198.51.100.7"))
    try:
        while time.monotonic() - begun < DEADLINE + 5:
            slow.sendall(bytes([next(slow_bytes)]))
            time.sleep(0.5)
        raise AssertionError("a slow header was waited for")
    except OSError:
        took = time.monotonic() - begun
        assert DEADLINE - 0.5 < took < DEADLINE + 4, took
    for s in waiting:
        expect_closed(s)
        s.close()
    # While they waited, and now, others get in.
    assert behind.run_from(v2("198.51.100.7")).stdout == b"in\n"


def test_header_byte_by_byte(behind):
    for header in (v1("2001:db8:0:10::d"), v2("198.51.100.13", tlvs=tlv(TLV_NOOP, b"xyz"))):
        with connect(behind.ssh_port) as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in header:
                s.sendall(bytes([byte]))
                time.sleep(0.01)
            assert s.recv(64).startswith(IDENT)


def test_header_and_data_in_one_segment(behind):
    """What follows the header is the client's, also where it comes with it."""
    with connect(behind.ssh_port) as s:
        s.sendall(v2("198.51.100.14") + b"SSH-2.0-together\r\n")
        data = b""
        while len(data) < 300:  # our ident and KEXINIT: the client's ident was taken
            chunk = s.recv(4096)
            assert chunk, data
            data += chunk
        assert data.startswith(IDENT)


# --- limits ---

def idents(stack, addresses):
    """Connections of these addresses that say nothing, and whether each was let in (was spoken to)."""
    held, let_in = [], []
    for address in addresses:
        s = connect(stack.ssh_port)
        s.sendall(v2(address))
        held.append(s)
        let_in.append(bool(s.recv(64)))
    return held, let_in


def test_startups_count_the_clients_not_the_balancer(tmp_path):
    with Behind(tmp_path / "stack", ssh_max_startups="4:100:50", ssh_login_grace_time="60s") as stack:
        held, let_in = idents(stack, ["198.51.100.7"] * 7)
        assert let_in == [True] * 4 + [False] * 3
        # The balancer is the same for all: only the client that has too many is refused.
        more, let_in = idents(stack, [f"198.51.100.{i}" for i in range(20, 26)])
        assert let_in == [True] * 6
        stack.bind_from("203.0.113.7")
        for s in held + more:
            s.close()
        wait_for(lambda: idents(stack, ["198.51.100.7"])[1] == [True], what="room again")
        # An IPv6 client has as many addresses as it likes: what counts is its network.
        held, let_in = idents(stack, [f"2001:db8:0:7:{i:x}::1" for i in range(7)])
        assert let_in.count(False) >= 3 and let_in[0], let_in
        more, let_in = idents(stack, [f"2001:db8:0:{i:x}::1" for i in range(8, 12)])
        assert let_in == [True] * 4
        for s in held + more:
            s.close()


def test_login_form_counts_the_clients(behind):
    """Guessed passwords are limited by the browser's address, of IPv6 by its network."""
    (behind.folder / "wrong-password").write_text("guess\n")
    guesses = iter(range(100))

    def guess(address):
        behind.web.header = v2(address)
        result = subprocess.run([ROOT / "tests/bin/sign-in", url, f"user{next(guesses)}@localhost",
                                 behind.folder / "wrong-password"], capture_output=True, text=True, timeout=60)
        return re.search(r"HTTP (\d+)", result.stderr).group(1)

    with Balancer(("127.0.0.1", behind.ssh_port), v2("198.51.100.16")) as b:
        client = behind.ssh("true", key="guesser", options=["-o", f"Port={b.port}"])
        url = client.url()
        try:
            answers = []
            while "429" not in answers:
                answers.append(guess(f"2001:db8:0:5:{len(answers) + 1:x}::1"))
                assert len(answers) < 40, answers
            assert set(answers) == {"401", "429"} and answers.count("401") >= 10, answers
            assert guess("2001:db8:0:6::1") == "401"
            assert guess("198.51.100.17") == "401"
        finally:
            behind.web.header = v2(BROWSER)
            client.kill()
        # Its last line is not to stand among the next test's.
        wait_for(lambda: behind.logs("proxy", "ssh connection refused", ip="198.51.100.16"), what="the waiting login's end")


# --- health checks ---

def test_health_checks_of_a_balancer_are_quiet(behind):
    before = {s: len(behind.logs(s)) for s in ("proxy", "authorize", "authenticate")}
    for port in (behind.ssh_port, behind.https_port):
        for data in (b"", v2(command=LOCAL), v2(command=LOCAL)[:7], b"PROXY"):
            for _ in range(5):
                with connect(port) as s:
                    s.sendall(data)
                    if data == v2(command=LOCAL) and port == behind.ssh_port:
                        assert s.recv(64).startswith(IDENT)
    assert behind.run_from(v2("198.51.100.15")).stdout == b"in\n"
    wait_for(lambda: behind.logs("proxy", "ssh connection closed", ip="198.51.100.15"), what="the login's last line")
    new = behind.logs("proxy")[before["proxy"]:]
    assert [line["message"] for line in new] == ["ssh connection opened", "ssh connection closed"], new


# --- a real one ---

def test_haproxy(tmp_path):
    """Debian's haproxy before a proxy: checks of both kinds stay quiet, people log in with their own address."""
    stack = Stack(tmp_path / "stack", start=False)
    proxies = [("a", stack.ssh_port, stack.https_port, stack.health_port("proxy"))]
    with HAProxy(tmp_path / "haproxy", proxies) as lb:
        stack.write_config(use_proxy_protocol=True, ssh_use_proxy_protocol=True, proxy_protocol_trusted=["127.0.0.0/8"],
                           authenticate_service_url=f"https://localhost:{lb.https_port}")
        with stack:
            stack.start()
            lb.wait_up("a")
            client = stack.ssh("echo in", options=["-o", f"Port={lb.ssh_port}", "-o", "BindAddress=127.0.0.5"])
            stack.sign_in(client.url())
            assert client.wait() == 0, client.stderr.text()
            wait_for(lambda: stack.logs("authorize", "authorize check", decision="allow"), what="the decision's line")
            assert {line["ip"] for line in stack.logs("authorize", "authorize check")} == {"127.0.0.5"}
            # Straight to the proxy, past the balancer: a trusted address, but no header.
            assert stack.run_ssh("echo in").returncode == 255


def test_haproxy_checks_the_port_itself(tmp_path):
    """A balancer that was told nothing of /readyz sends its own header, LOCAL, and leaves."""
    stack = Stack(tmp_path / "stack", start=False)
    stack.write_config(use_proxy_protocol=True, ssh_use_proxy_protocol=True, proxy_protocol_trusted=["127.0.0.0/8"])
    proxies = [("a", stack.ssh_port, stack.https_port, stack.ssh_port)]
    with stack:
        stack.start()
        quiet = len(stack.logs("proxy"))
        with HAProxy(tmp_path / "haproxy", proxies, check="check check-send-proxy", ready=False) as lb:
            lb.wait_up("a")
            time.sleep(1.5)  # several checks
            assert stack.logs("proxy")[quiet:] == []
