"""What is known of targets beforehand: known_hosts files as OpenSSH's tools write them, and host CAs."""
import itertools
import subprocess

import pytest

from stack import wait_for


def keygen(*args):
    return subprocess.run(["ssh-keygen", *map(str, args)], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def known(new_stack, tmp_path):
    """A signed-in stack whose known_hosts and target are changed by the test."""
    stack = new_stack(ssh_host_key_policy="insecure")
    stack.bind()
    return Known(stack, tmp_path)


class Known:
    def __init__(self, stack, folder):
        self.stack, self.folder = stack, folder
        self.name = f"[127.0.0.1]:{stack.target.port}"
        self.count = itertools.count()

    def key(self, name, key_type="ed25519"):
        path = self.folder / f"{name}_{next(self.count)}"
        keygen("-q", "-t", key_type, "-N", "", "-C", "", "-f", path)
        return path

    @staticmethod
    def public(path):
        return " ".join(path.with_name(path.name + ".pub").read_text().split()[:2])

    @property
    def target_key(self):
        return self.public(self.stack.target.host_key)

    def scan(self):
        said = subprocess.run(["ssh-keyscan", "-p", str(self.stack.target.port), "127.0.0.1"], check=True,
                              capture_output=True, text=True).stdout
        assert said.startswith(self.name), said
        return said

    def configure(self, text=None, policy="strict", **route):
        """A known_hosts file of this text, and one route; in force when this returns."""
        stack = self.stack
        done = len(stack.logs("authorize", "configuration reloaded"))
        path = self.folder / f"known_hosts_{next(self.count)}"
        if text is not None:
            path.write_text(text)
        stack.write_config(ssh_known_hosts_file=None if text is None else str(path), ssh_host_key_policy=policy,
                           routes=[stack.route("demo", allow=[{"email": {"is": "demo@localhost"}}], **route)])
        wait_for(lambda: len(stack.logs("authorize", "configuration reloaded")) > done, 15, "the reload")

    def accepted(self):
        done = self.stack.run_ssh("echo ok")
        assert done.stdout == b"ok\n", done.stderr.decode()

    def refused(self, reason, *said):
        """Refused with these words for the person, and with the reason in the audit."""
        client = self.stack.ssh("true")
        assert client.wait() == 255
        for words in said:
            assert words in client.stderr.text(), client.stderr.text()
        line = self.stack.logs("authorize", "certificate refused")[-1]
        assert line["reason"] == reason and line["route"] == "demo" and line["email"] == "demo@localhost", line
        assert line["connection-id"] and line["upstream"] == f"127.0.0.1:{self.stack.target.port}"

    def certify(self, ca, *options, host="127.0.0.1", kind=("-h",)):
        """The target shows a certificate of this CA for its key."""
        target = self.stack.target
        public = target.host_key.with_suffix(".pub")
        keygen("-q", "-s", ca, "-I", "host", *kind, *(("-n", host) if host else ()), *options, public)
        target.extra = f"HostCertificate {target.host_key}-cert.pub\n"
        target.restart()


def test_known_hosts_lines(known):
    key, other = known.target_key, known.public(known.key("other"))
    fingerprint = known.stack.target.fingerprint
    scanned = known.scan()
    hashed = known.folder / "hashed"
    hashed.write_text(scanned)
    keygen("-H", "-f", hashed)
    assert hashed.read_text().startswith("|1|") and known.name not in hashed.read_text()
    for good in (scanned, hashed.read_text(), f"# a comment\n\n[127.0.0.*]:*,other.test {key} comment\r\n",
                 f"*,!web* {key}\n", f"{known.name} {other}\n{known.name} {key}\n",
                 f"this is no line\n@unknown {known.name} {key}\n{known.name} {key}\n"):
        known.configure(good)
        known.accepted()
    for bad in (f"*,!{known.name} {key}\n", f"127.0.0.1 {key}\n", f"[127.0.0.1]:22 {key}\n",
                f"{known.name} {other}\n", f"@cert-authority {known.name} {key}\n"):
        known.configure(bad)
        known.refused("host-key-not-pinned", fingerprint)
    # A known key counts under tofu too; nothing is recorded beside it.
    known.configure(f"{known.name} {other}\n", policy="tofu")
    known.refused("host-key-not-pinned", fingerprint, "not one of those that the configuration names")
    assert known.stack.cli_json("hostkeys", "list") == []
    for revoked in (f"@revoked * {key}\n", f"@revoked 127.0.0.1 {key}\n"):
        known.configure(scanned + revoked)
        known.refused("host-key-revoked", "is revoked", fingerprint)
    # Not even where nothing else is checked.
    known.configure(f"@revoked * {key}\n", policy="insecure")
    known.refused("host-key-revoked", "is revoked")


@pytest.mark.parametrize("key_type,ca_type", [("ed25519", "ed25519"), ("ecdsa", "ecdsa"), ("rsa", "rsa")])
def test_host_certificate(known, key_type, ca_type):
    ca, target = known.key("ca", ca_type), known.stack.target
    target.make_host_key(key_type)
    known.certify(ca)
    known.configure(ssh_upstream_host_ca=[known.public(ca)])
    known.accepted()
    assert known.stack.cli_json("hostkeys", "list") == [], "a certificate is not recorded"
    for line in (f"@cert-authority 127.0.0.* {known.public(ca)}\n", f"@cert-authority {known.name} {known.public(ca)}\n"):
        known.configure(line, policy="tofu")
        known.accepted()
    # A new key with a certificate of its own changes nothing for anybody.
    target.make_host_key(key_type)
    known.certify(ca)
    known.accepted()
    target.extra = ""
    target.restart()
    known.refused("host-key-not-pinned", "is not certified", target.fingerprint)
    assert known.stack.cli_json("hostkeys", "list") == []


def test_host_certificate_refused(known):
    ca, other = known.key("ca"), known.key("other")
    known.configure(ssh_upstream_host_ca=[known.public(ca)])
    for reason, said, options in (
            ("host-certificate-time", "has expired", {"options": ("-V", "20200101:20200201")}),
            ("host-certificate-time", "not valid yet", {"options": ("-V", "+1d:+2d")}),
            ("host-certificate-name", "it is for web1.test,web2.test, not for 127.0.0.1", {"host": "web1.test,web2.test"}),
            ("host-certificate-name", "it is for no host", {"host": None}),
            ("host-certificate-kind", "user's certificate", {"kind": ()}),
            ("host-certificate-authority", "none that the configuration names", {"ca": other})):
        known.certify(options.pop("ca", ca), *options.pop("options", ()), **options)
        known.refused(reason, "host certificate of route", said)
    known.certify(ca)
    known.accepted()
    known.configure(f"@revoked * {known.public(ca)}\n", ssh_upstream_host_ca=[known.public(ca)])
    known.refused("host-certificate-revoked", "is revoked")
