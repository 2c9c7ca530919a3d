"""User CAs of every type and targets that take some types of user keys only."""
import re
import shutil
import subprocess
import urllib.request

import pytest

from stack import ROOT, free_ports, wait_for

LOGINS = 8
ORDER = ["ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "rsa-sha2-256"]


def make_ca(stack, *options):
    """A user CA of ssh-keygen's in place of the stack's, before the daemons start."""
    path = stack.folder / "keys/user_ca"
    for old in (path, path.with_suffix(".pub")):
        old.unlink(missing_ok=True)
    passphrase = () if "-N" in options else ("-N", "")
    subprocess.run(["ssh-keygen", "-q", *passphrase, "-f", path, *options], check=True)


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


def test_keys_of_the_tutorial(new_stack):
    """`ssh-keygen` without a type, as people have it from Pomerium's tutorial: RSA of 3072 bits on Debian 12."""
    stack = new_stack(start=False)
    keys = stack.folder / "keys"
    subprocess.run(["sh", "-euc", """
        ssh-keygen -N "" -f keys/pomerium_user_ca_key -C "Pomerium User CA"
        ssh-keygen -N "" -t ed25519 -f keys/pomerium_ssh_host_ed25519_key
        ssh-keygen -N "" -t rsa    -f keys/pomerium_ssh_host_rsa_key
        ssh-keygen -N "" -t ecdsa  -f keys/pomerium_ssh_host_ecdsa_key
        """], cwd=stack.folder, check=True, capture_output=True)
    stack.target.ca_pub = keys / "pomerium_user_ca_key.pub"
    stack.target.restart()
    stack.write_config(ssh_user_ca_key_file=str(keys / "pomerium_user_ca_key"), ssh_host_key_files=[
        str(keys / f"pomerium_ssh_host_{t}_key") for t in ("ed25519", "rsa", "ecdsa")])
    assert stack.cli("ca", "show").stdout.split()[:2] == stack.target.ca_pub.read_text().split()[:2]
    stack.start()
    stack.bind()
    assert stack.run_ssh("echo ok").stdout == b"ok\n"
    for algorithm in ("rsa-sha2-512", "rsa-sha2-256", "ecdsa-sha2-nistp256", "ssh-ed25519"):
        assert stack.run_ssh("echo ok", options=("-o", f"HostKeyAlgorithms={algorithm}", "-o", "UserKnownHostsFile=/dev/null")).stdout == b"ok\n"


def test_certificate_by_rsa_is_no_sha1(new_stack, tmp_path):
    stack = new_stack(start=False)
    make_ca(stack, "-t", "rsa")
    dump = tmp_path / "dump"
    stack.target.extra = f"ExposeAuthInfo yes\nForceCommand cat \"$SSH_USER_AUTH\" >> {dump}\n"
    stack.target.restart()
    stack.start()
    stack.bind()
    cert = tmp_path / "cert.pub"
    cert.write_text(" ".join(dump.read_text().split("\n")[0].split()[1:]) + "\n")
    shown = subprocess.run(["ssh-keygen", "-L", "-f", cert], check=True, capture_output=True, text=True).stdout
    assert f"Signing CA: RSA {fingerprint(stack.folder / 'keys/user_ca.pub')} (using rsa-sha2-512)" in shown, shown


@pytest.mark.parametrize("options,said", [
    (("-t", "rsa", "-b", "1024"), "an RSA key has to have 2048 to 16384 bits"),
    (("-t", "ed25519", "-N", "passphrase"), "the key has a passphrase"),
    (("-t", "rsa", "-m", "PEM", "-N", "passphrase"), "the key has a passphrase"),
    (("-t", "ecdsa", "-m", "PKCS8", "-N", "passphrase"), "the key has a passphrase"),
    (None, "no private key in OpenSSH or PEM format")])
def test_ca_that_cannot_be_used(new_stack, options, said):
    """Refused at the start, with the file, the key of the configuration and what to do."""
    stack = new_stack(start=False)
    path = stack.folder / "keys/user_ca"
    if options:
        make_ca(stack, *options)
    else:
        path.write_text(path.with_suffix(".pub").read_text())
    for command in ([stack.bin / "postern-authorize", "--config", stack.folder / "postern.yaml", "--check"],
                    [stack.bin / "postern", "--config", stack.folder / "postern.yaml", "config", "check"]):
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        text = done.stdout + done.stderr
        assert done.returncode != 0 and said in text, text
        assert "ssh_user_ca_key" in text and str(path) in text, text


def test_decisions_go_on_while_certificates_are_signed(new_stack):
    """A CA whose signatures take long, and more logins than threads that sign."""
    port, = free_ports(1)
    stack = new_stack(start=False, metrics_address={"authorize": f"127.0.0.1:{port}"}, grpc_client_timeout="60s")
    for suffix in ("", ".pub"):
        shutil.copy(ROOT / f"tests/vectors/keys/ca_slow{suffix}", stack.folder / f"keys/user_ca{suffix}")
    (stack.folder / "keys/user_ca").chmod(0o600)
    stack.target.restart()
    stack.start()
    stack.bind()
    live = stack.ssh("echo in; sleep 300")
    live.stdout.wait("in")
    connection, = (row["id"] for row in stack.cli_json("connections", "list"))
    done = len(stack.logs("authorize", "certificate issued"))
    clients = [stack.ssh("echo ok") for _ in range(LOGINS)]

    def queue():
        text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode()
        return float(re.search(r"^postern_certificates_queue (\S+)$", text, re.M).group(1))

    wait_for(lambda: queue() > LOGINS / 2, 30, "a queue of certificates", step=0.01)
    # A decision about a newcomer and a cut do not wait for that queue.
    assert b"no route named" in stack.run_ssh("true", route="nowhere").stderr
    stack.cli("connections", "cut", connection)
    assert live.wait() != 0
    assert len(stack.logs("authorize", "certificate issued")) - done < LOGINS, "everything was signed meanwhile"
    # On a busy machine the last of them may wait for longer than a login may take; the first do not.
    for client in clients:
        client.wait(120)
    assert any(client.stdout.text() == "ok\n" for client in clients)


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
