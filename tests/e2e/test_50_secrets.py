"""What a taken-over worker would find, and who may call whom."""
import base64
import os
import re
import subprocess

import pytest

from grpc_peer import grpc_call
from stack import wait_for


def scan_memory(pid, needles):
    """The names of the needles that are somewhere in the process's memory."""
    found = set()
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            match = re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line)
            if not match or "[vvar]" in line or "[vsyscall]" in line:
                continue
            start, end = (int(x, 16) for x in match.groups())
            tail, at = b"", start
            while at < end:
                size = min(1 << 24, end - at)
                try:
                    chunk = os.pread(mem.fileno(), size, at)
                except OSError:
                    break
                if not chunk:
                    break
                data = tail + chunk
                found |= {name for name, needle in needles.items() if needle in data}
                tail = data[-128:]
                at += len(chunk)
    return found


def ssh_string(blob, at):
    size = int.from_bytes(blob[at:at + 4], "big")
    return blob[at + 4:at + 4 + size], at + 4 + size


def private_part(path):
    """Secret numbers of an openssh-key-v1 file: the ed25519 seed, the ecdsa scalar, RSA's d."""
    text = path.read_text()
    blob = base64.b64decode("".join(text.splitlines()[1:-1]))
    at = len(b"openssh-key-v1\0")
    for _ in range(3):
        _, at = ssh_string(blob, at)
    at += 4
    _, at = ssh_string(blob, at)
    private, _ = ssh_string(blob, at)
    kind, at = ssh_string(private, 8)
    if kind == b"ssh-ed25519":
        _, at = ssh_string(private, at)
        return ssh_string(private, at)[0][:32]
    if kind.startswith(b"ecdsa"):
        _, at = ssh_string(private, at)
        _, at = ssh_string(private, at)
        return ssh_string(private, at)[0].lstrip(b"\0")
    assert kind == b"ssh-rsa"
    _, at = ssh_string(private, at)
    _, at = ssh_string(private, at)
    return ssh_string(private, at)[0].lstrip(b"\0")[:64]


def both_orders(name, number):
    """BoringSSL keeps numbers as little endian words."""
    return {name: number, name + " (reversed)": number[::-1]}


@pytest.fixture(scope="module")
def needles(stack):
    f = stack.folder
    found = {}
    for key in ("host_ed25519", "host_ecdsa", "host_rsa", "user_ca"):
        found |= both_orders(key, private_part(f / "keys" / key))
    for name in ("cookie_secret", "shared_secret"):
        text = (f / "secrets" / name).read_bytes().strip()
        found[name + " (text)"] = text
        found[name] = base64.b64decode(text)
    return found


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    from stack import Stack
    provider = {"idp_provider": "oidc", "idp_provider_url": "https://127.0.0.1:1/none", "idp_client_id": "postern",
                "idp_client_secret_file": None}
    folder = tmp_path_factory.mktemp("secrets")
    secret = folder / "idp_client_secret"
    secret.write_text("the-secret-of-the-identity-provider")
    secret.chmod(0o600)
    provider["idp_client_secret_file"] = str(secret)
    # Not the sanitizer build: its shadow memory has terabytes to look through.
    with Stack(folder / "stack", build="release", provider=provider) as s:
        yield s


@pytest.mark.skipif(os.getuid() != 0, reason="reads another process's memory")
def test_worker_holds_no_long_lived_secret(stack, needles):
    needles = dict(needles, idp_secret=b"the-secret-of-the-identity-provider")
    # The worker has done a handshake with each of the three keys.
    for key_type in ("ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512", "rsa-sha2-256"):
        client = stack.ssh("true", key="any", options=["-o", f"HostKeyAlgorithms={key_type}",
                                                       "-o", "StrictHostKeyChecking=no",
                                                       "-o", "UserKnownHostsFile=/dev/null"])
        client.url()
        client.kill()
    assert scan_memory(stack.pid("worker"), needles) == set()
    # The same code finds them where they belong.
    assert "user_ca" in scan_memory(stack.pid("authorize"), needles)
    assert "host_ed25519" in scan_memory(stack.pid("proxy"), needles)
    assert "idp_secret" in scan_memory(stack.pid("authenticate"), needles)
    assert not scan_memory(stack.pid("proxy"), needles) & {"user_ca", "cookie_secret", "shared_secret", "idp_secret"}
    assert not scan_memory(stack.pid("databroker"), needles)


def service_cert(stack, name):
    f = stack.folder / "service"
    return f / f"{name}.crt", f / f"{name}.key"


OK, PERMISSION_DENIED, UNAUTHENTICATED = 0, 7, 16


def test_databroker_refuses_the_proxy(stack):
    call = (stack.databroker_port, "/databroker.DataBrokerService/ServerInfo")
    assert grpc_call(*call, *service_cert(stack, "authorize")) == OK
    assert grpc_call(*call, *service_cert(stack, "proxy")) == PERMISSION_DENIED
    for method in ("Get", "Put", "Query", "Sync", "SyncLatest", "ListTypes", "AcquireLease", "NoSuchMethod"):
        status = grpc_call(stack.databroker_port, f"/databroker.DataBrokerService/{method}",
                           *service_cert(stack, "proxy"))
        assert status in (PERMISSION_DENIED, 12), (method, status)


def test_grpc_needs_a_certificate_of_ours(stack, tmp_path):
    call = (stack.databroker_port, "/databroker.DataBrokerService/ServerInfo")
    assert str(grpc_call(*call)).startswith("no status"), "no certificate"
    # Another CA.
    other = tmp_path / "other"
    stack.postern("keygen", "services", "--out", other)
    assert str(grpc_call(*call, other / "authorize.crt", other / "authorize.key")).startswith("no status")


def make_leaf(stack, folder, san):
    f = stack.folder / "service"
    key, csr, crt, ext = (folder / n for n in ("leaf.key", "leaf.csr", "leaf.crt", "leaf.ext"))
    ext.write_text(f"subjectAltName={san}\nextendedKeyUsage=serverAuth,clientAuth\n")
    subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key], check=True)
    subprocess.run(["openssl", "req", "-new", "-key", key, "-subj", "/CN=x", "-out", csr], check=True)
    subprocess.run(["openssl", "x509", "-req", "-in", csr, "-CA", f / "ca.crt", "-CAkey", f / "ca.key", "-CAcreateserial",
                    "-days", "1", "-extfile", ext, "-out", crt], check=True, capture_output=True)
    return crt, key


@pytest.mark.parametrize("san", ["DNS:postern://service/authorize",
                                 "URI:postern://service/authorize,URI:postern://service/proxy",
                                 "URI:postern://service/nobody", "DNS:authorize", "email:authorize@x"])
def test_only_one_uri_name_counts(stack, tmp_path, san):
    crt, key = make_leaf(stack, tmp_path, san)
    status = grpc_call(stack.databroker_port, "/databroker.DataBrokerService/ServerInfo", crt, key)
    assert status in (PERMISSION_DENIED, UNAUTHENTICATED), status


def test_authorize_takes_the_proxy_alone(stack):
    for name in ("authenticate", "databroker", "authorize"):
        status = grpc_call(stack.authorize_port, "/postern.Decide/Stream", *service_cert(stack, name))
        assert status == PERMISSION_DENIED, name


def test_authenticate_takes_the_proxy_alone(stack):
    url = f"https://127.0.0.1:{stack.authenticate_port}/.pomerium/"
    for name, works in (("proxy", True), ("authorize", False), (None, False)):
        argv = ["curl", "-sS", "-k", "--max-time", "10", "-o", "/dev/null", "-w", "%{http_code}", url]
        if name:
            cert, key = service_cert(stack, name)
            argv[1:1] = ["--cert", cert, "--key", key]
        run = subprocess.run(argv, capture_output=True, text=True)
        assert (run.returncode == 0 and run.stdout != "000") == works, (name, run)


def test_admin_cannot_read_sealed_tokens(stack):
    run = stack.cli("records", "list", "SealedTokens", check=False)
    assert run.returncode == 1 and "SealedTokens" not in run.stdout
    assert stack.cli("records", "list").returncode == 0
    wait_for(lambda: stack.logs("databroker", "admin call"), what="the audit line")
    line = stack.logs("databroker", "admin call")[0]
    assert line["name"] == "tests" and line["method"]


def test_processes_are_hardened(stack):
    for service in ("worker", "proxy", "authorize", "authenticate", "databroker"):
        with open(f"/proc/{stack.pid(service)}/limits") as f:
            assert re.search(r"Max core file size\s+0\s+0", f.read()), service
    with open(f"/proc/{stack.pid('worker')}/status") as f:
        assert re.search(r"NoNewPrivs:\s+1", f.read())


def test_daemons_open_only_their_own_files(stack):
    """No other service's secret is opened: its file may be unreadable."""
    f = stack.folder
    for name in ("shared_secret", "cookie_secret"):
        path = f / "secrets" / name
        hidden = path.with_suffix(".hidden")
        path.rename(hidden)
        try:
            run = subprocess.run([stack.bin / "postern-proxy", "--config", f / "postern.yaml", "--check"],
                                 capture_output=True, text=True, timeout=20)
            assert run.returncode == 0, run.stderr
        finally:
            hidden.rename(path)


def test_loose_host_key_permissions_are_refused(stack):
    key = stack.folder / "keys/host_rsa"
    key.chmod(0o644)
    try:
        run = subprocess.run([stack.bin / "postern-proxy", "--config", stack.folder / "postern.yaml", "--check"],
                             capture_output=True, text=True, timeout=20)
        assert run.returncode == 2 and "permissions are too open" in run.stderr and "host_rsa" in run.stderr
    finally:
        key.chmod(0o600)
