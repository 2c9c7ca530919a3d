"""User CAs of every type and targets that take some types of user keys only."""
import re
import subprocess
import urllib.request

import pytest

from stack import free_ports, wait_for

ORDER = ["ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "rsa-sha2-256"]


def make_ca(stack, *options):
    """A user CA of ssh-keygen's in place of the stack's, before the daemons start."""
    path = stack.folder / "keys/user_ca"
    for old in (path, path.with_suffix(".pub")):
        old.unlink(missing_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-N", "", "-f", path, *options], check=True)


def fingerprint(path):
    return subprocess.run(["ssh-keygen", "-l", "-f", path], check=True, capture_output=True, text=True).stdout.split()[1]


@pytest.mark.parametrize("options", [
    ("-t", "ed25519"), ("-t", "ecdsa", "-b", "256"), ("-t", "ecdsa", "-b", "384"), ("-t", "ecdsa", "-b", "521"),
    ("-t", "rsa", "-b", "2048"), ("-t", "rsa", "-b", "3072"), ("-t", "rsa", "-b", "4096"),
    ("-t", "rsa", "-b", "3072", "-m", "PEM"), ("-t", "ecdsa", "-m", "PKCS8")])
def test_ca_types(new_stack, options):
    stack = new_stack(start=False)
    make_ca(stack, *options)
    stack.target.restart()
    stack.start()
    stack.bind()
    assert stack.run_ssh("echo ok").stdout == b"ok\n"
    log = stack.target.log.read_text()
    assert f"signed by {'ED25519' if 'ed25519' in options else 'ECDSA' if 'ecdsa' in options else 'RSA'} CA {fingerprint(stack.folder / 'keys/user_ca.pub')}" in log, log[-2000:]


def only(stack, *algorithms, extra=""):
    """The target takes these algorithms for user keys, and no other."""
    stack.target.extra = f"PubkeyAcceptedAlgorithms {','.join(a + '-cert-v01@openssh.com' for a in algorithms)}\n{extra}"
    stack.target.restart()


def attempts(stack):
    """Algorithms of the certificates that the target turned away, in order."""
    return re.findall(r"signature algorithm (\S+)-cert-v01@openssh.com not in PubkeyAcceptedAlgorithms", stack.target.log.read_text())


@pytest.mark.parametrize("algorithms", [
    ["ssh-ed25519"], ["ecdsa-sha2-nistp256"], ["ecdsa-sha2-nistp384"], ["ecdsa-sha2-nistp521"],
    ["rsa-sha2-512", "rsa-sha2-256"], ["rsa-sha2-512"], ["rsa-sha2-256"]])
def test_target_takes_one_type_only(new_stack, algorithms):
    """OpenSSH 9.2 lists every type in server-sig-algs all the same: others are tried in the same connection."""
    stack = new_stack()
    only(stack, *algorithms)
    stack.bind()
    tried = attempts(stack)
    assert tried == ORDER[:ORDER.index(algorithms[0])]
    # From now on it is known: nothing is tried in vain.
    assert stack.run_ssh("echo ok").stdout == b"ok\n"
    assert attempts(stack) == tried


def test_rsa_keys_are_made_ahead(new_stack):
    port, = free_ports(1)
    stack = new_stack(metrics_address={"proxy": f"127.0.0.1:{port}"})
    only(stack, "rsa-sha2-512", "rsa-sha2-256")

    def metric(name):
        text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode()
        return float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.M).group(1))

    wait_for(lambda: metric("postern_rsa_keys_ready") == 1, 60, "a key made ahead")
    stack.bind()
    assert metric('postern_rsa_keys_used_total{result="ready"}') == 1
    assert metric('postern_rsa_keys_used_total{result="waited"}') == 0
    # After the first demand there are more, and more logins at once than there are keys wait for theirs.
    wait_for(lambda: metric("postern_rsa_keys_ready") == 8, 120, "a full pool")
    clients = [stack.ssh("echo ok") for _ in range(12)]
    for client in clients:
        assert client.wait(120) == 0, client.stderr.text()
        assert client.stdout.text() == "ok\n"
    assert metric('postern_rsa_keys_used_total{result="ready"}') + metric('postern_rsa_keys_used_total{result="waited"}') == 13
    assert metric('postern_rsa_keys_used_total{result="ready"}') >= 9


def test_few_tries_allowed(new_stack):
    """A target that disconnects at the third failure says the same to the person."""
    stack = new_stack()
    only(stack, "ecdsa-sha2-nistp521", extra="MaxAuthTries 3\n")
    client = stack.ssh("true")
    stack.sign_in(client.url())
    assert client.wait() == 255
    assert "refused our certificate" in client.stderr.text(), client.stderr.text()
    assert attempts(stack) == ORDER[:3]
    # …and the next connections go on from there.
    assert stack.run_ssh("echo ok").stdout == b"ok\n"
    assert attempts(stack) == ORDER[:4]


def test_wrong_login_is_one_failure_where_the_type_is_known(new_stack):
    """A typing mistake must not look like an attack to what watches the target's log."""
    stack = new_stack()
    stack.bind()
    client = stack.ssh("true", login="nobody-there")
    assert client.wait() == 255
    assert "nobody-there" in client.stderr.text()
    assert len(stack.logs("authorize", "certificate issued", login="nobody-there")) == 1
