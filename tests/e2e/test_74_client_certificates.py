"""Client certificates on tunnels: what downstream_mtls takes, what policies say of them, and that pages need none."""
import base64
import hashlib
import socket
import ssl
import subprocess

import pytest

from client import Postern
from tunnels import H2, TcpServer, client_context, connect, dial, echo, exchange, login, request_text, tcp_route


def openssl(folder, *args):
    subprocess.run(["openssl", *map(str, args)], cwd=folder, check=True, capture_output=True, timeout=30)


class Authority:
    """A CA of the tests' own, whose files are in `folder`."""

    def __init__(self, folder, name):
        self.folder, self.name = folder / name, name
        self.folder.mkdir()
        self.ca = self.folder / "ca.pem"
        openssl(self.folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key",
                "-out", "ca.pem", "-days", "30", "-subj", f"/CN={name}", "-addext", "keyUsage=keyCertSign,cRLSign")
        (self.folder / "index.txt").touch()
        (self.folder / "crlnumber").write_text("01\n")
        (self.folder / "ca.cnf").write_text("[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\ncrlnumber=crlnumber\ndefault_md=sha256\n"
                                            "default_crl_days=30\n")

    def issue(self, name, usage="clientAuth", days=30):
        """(certificate, key) for NAME@clients.test."""
        openssl(self.folder, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key",
                "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (self.folder / f"{name}.ext").write_text(f"subjectAltName=email:{name}@clients.test,URI:urn:client:{name}\n"
                                                 f"extendedKeyUsage={usage}\nbasicConstraints=CA:FALSE\n")
        openssl(self.folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days",
                days, "-extfile", f"{name}.ext", "-out", f"{name}.pem")
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"

    def revoke(self, name):
        openssl(self.folder, "ca", "-config", "ca.cnf", "-revoke", f"{name}.pem", "-keyfile", "ca.key", "-cert", "ca.pem")

    def crl(self):
        openssl(self.folder, "ca", "-config", "ca.cnf", "-gencrl", "-out", "crl.pem", "-keyfile", "ca.key", "-cert", "ca.pem")
        return self.folder / "crl.pem"


def fingerprint(cert):
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(cert.read_text())).hexdigest()


@pytest.fixture(scope="module")
def certs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certs")
    ours, theirs = Authority(folder, "ours"), Authority(folder, "theirs")
    made = {name: ours.issue(name) for name in ("ann", "bob", "lost")}
    made |= {"server": ours.issue("server", usage="serverAuth"), "foreign": theirs.issue("ann")}
    ours.revoke("lost")
    return {**made, "ca": ours.ca, "crl": ours.crl()}


@pytest.fixture(scope="module")
def server():
    made = TcpServer(echo)
    yield made
    made.close()


def make_routes(certs, port):
    demo = [{"email": {"is": "demo@localhost"}}]
    return [tcp_route("echo.test:7", port),
            tcp_route("ann.test:7", port, [*demo, {"client_certificate": {"fingerprint": fingerprint(certs["ann"][0])}}]),
            tcp_route("named.test:7", port, [*demo, {"client_certificate": {"san_email": {"ends_with": "bob@clients.test"}}}]),
            tcp_route("public.test:7", port, policy=None, allow_public_unauthenticated_access=True)]


@pytest.fixture(scope="module")
def stack(server, certs, tmp_path_factory):
    from stack import Stack
    s = Stack(tmp_path_factory.mktemp("mtls"))
    s.write_config(routes=s.config["routes"] + make_routes(certs, server.port),
                   downstream_mtls={"ca_file": str(certs["ca"]), "crl_file": str(certs["crl"])})
    with s:
        yield s


@pytest.fixture(scope="module")
def token(stack):
    """Signing in takes no certificate: the browser has none."""
    return login(stack)


@pytest.mark.parametrize("cert, status", [(None, 495), ("foreign", 495), ("lost", 495), ("server", 495), ("ann", 200), ("bob", 200)])
def test_every_tunnel_asks_for_a_good_one(stack, token, certs, cert, status):
    reply = connect(stack, "echo.test:7", token, cert=cert and certs[cert])
    assert reply.status == status
    line = stack.wait_log("authorize", "authorize check", request_id=reply.headers["x-request-id"])
    if status == 495:
        assert line["deny"] and line["deny-why-true"] == ["invalid-client-certificate" if cert else "client-certificate-required"]
    else:
        reply.send(b"x")
        assert reply.read(1) == b"x"


def test_it_comes_before_the_login(stack, certs):
    assert connect(stack, "echo.test:7").status == 495
    assert connect(stack, "public.test:7").status == 495
    assert connect(stack, "echo.test:7", cert=certs["ann"]).status == 302
    assert connect(stack, "public.test:7", cert=certs["ann"]).status == 200


@pytest.mark.parametrize("target, cert, status", [("ann.test:7", "ann", 200), ("ann.test:7", "bob", 403),
                                                  ("named.test:7", "bob", 200), ("named.test:7", "ann", 403)])
def test_policies_know_one_from_another(stack, token, certs, target, cert, status):
    assert connect(stack, target, token, cert=certs[cert]).status == status


@pytest.mark.parametrize("name", ["localhost", "ann.test", "elsewhere.test", None])
def test_no_way_round_by_another_name(stack, token, certs, name):
    """What is asked of a certificate is the same under every name of TLS: another authority on the connection changes nothing."""
    def ask(cert, target):
        raw = socket.create_connection((stack.host, stack.https_port), 20)
        context = client_context(stack, cert=cert and certs[cert])
        context.check_hostname = False  # which name is in the certificate is not the question here
        sock = context.wrap_socket(raw, server_hostname=name)
        return exchange(sock, request_text(f"CONNECT {target}", target, token)).status
    assert [ask(None, t) for t in ("echo.test:7", "ann.test:7", "public.test:7")] == [495] * 3
    assert [ask("foreign", t) for t in ("echo.test:7", "ann.test:7", "public.test:7")] == [495] * 3
    assert (ask("ann", "ann.test:7"), ask("ann", "named.test:7"), ask("bob", "ann.test:7"), ask("bob", "named.test:7")) == (
        200, 403, 403, 200)


@pytest.mark.parametrize("cert, wanted", [(None, (495, 495, 495)), ("foreign", (495, 495, 495)), ("ann", (200, 403, 200)),
                                          ("bob", (403, 200, 200))])
def test_no_way_round_on_a_shared_connection(stack, token, certs, cert, wanted):
    """Streams of one HTTP/2 connection are decided one by one, whatever was allowed on it before."""
    connection = H2(stack, cert=cert and certs[cert])
    for _ in range(2):
        got = tuple(connection.connect(t, token).status for t in ("ann.test:7", "named.test:7", "public.test:7"))
        assert got == wanted
    connection.close()


def test_routes_are_listed_by_the_certificate_too(stack, token, certs):
    def listed(cert):
        reply = exchange(dial(stack, cert=certs[cert]), request_text("GET /.pomerium/api/v1/routes", "localhost", token))
        return {r["from"] for r in reply.json()["routes"]}
    assert "tcp+https://ann.test:7" in listed("ann") and "tcp+https://ann.test:7" not in listed("bob")
    assert "tcp+https://named.test:7" in listed("bob") and "tcp+https://named.test:7" not in listed("ann")


def test_ssh_asks_for_none(stack):
    stack.bind()
    assert stack.run_ssh("echo", "over ssh").stdout == b"over ssh\n"


def test_our_client_shows_one(stack, certs, tmp_path):
    p = Postern(stack, tmp_path / "home")
    words = ["ann.test:7", "--listen", "-", "--pomerium-url", p.gateway]
    assert p.run("login", p.gateway).returncode == 0
    out = p.run("tcp", *words)
    assert out.returncode == 3 and b"wants a client certificate for ann.test:7 (--client-cert, --client-key)" in out.stderr, out.stderr
    cert, key = certs["ann"]
    both = tmp_path / "both.pem"
    both.write_text(cert.read_text() + key.read_text())

    def encoded(path):
        return base64.b64encode(path.read_bytes()).decode()
    for flags in (["--client-cert", cert, "--client-key", key], ["--client-cert", encoded(cert), f"--client-key={encoded(key)}"],
                  ["--client-cert", both], ["--client-cert", cert, "--client-key", key, "--http1"]):
        out = p.run("tcp", *words, *flags, stdin=b"shown")
        assert out.returncode == 0 and out.stdout == b"shown", out.stderr
    out = p.run("tcp", *words, "--client-cert", certs["bob"][0], "--client-key", key)
    assert out.returncode == 1 and b"postern: " in out.stderr and out.stdout == b""
