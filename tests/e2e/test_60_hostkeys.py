"""The target's host key: trust on first use, strict, a change; and the certificate it gets."""
import re
import subprocess

from stack import LOGIN, wait_for


def test_changed_host_key_blocks_until_accepted(new_stack):
    stack = new_stack()
    stack.bind()
    row, = stack.cli_json("hostkeys", "list")
    assert row["route"] == "demo" and row["state"] == "accepted" and row["fingerprint"] == stack.target.fingerprint
    old = stack.target.fingerprint
    stack.target.make_host_key()
    stack.target.restart()
    client = stack.ssh("true")
    assert client.wait() == 255
    text = client.stderr.text()
    assert old in text and stack.target.fingerprint in text, text
    states = {r["state"]: r["fingerprint"] for r in stack.cli_json("hostkeys", "list")}
    assert states == {"accepted": old, "pending": stack.target.fingerprint}
    assert "accepted" in stack.cli("hostkeys", "accept", "demo").stdout
    wait_for(lambda: stack.run_ssh("echo ok").stdout == b"ok\n", 5, "a login")
    assert stack.cli("hostkeys", "accept", "demo", check=False).returncode == 1, "nothing is pending"


def test_new_key_type_where_another_is_recorded(new_stack):
    stack = new_stack()
    stack.bind()
    stack.target.make_host_key("ecdsa")
    stack.target.restart()
    client = stack.ssh("true")
    assert client.wait() == 255
    assert stack.target.fingerprint in client.stderr.text(), client.stderr.text()


def test_strict_with_pinned_keys(new_stack):
    stack = new_stack(ssh_host_key_policy="strict")
    client = stack.ssh("true")
    stack.sign_in(client.url())
    assert client.wait() == 255
    assert "host key" in client.stderr.text()
    pin = stack.target.host_key.with_suffix(".pub").read_text().strip()
    stack.write_config(routes=[stack.route("demo", allow=[{"email": {"is": "demo@localhost"}}],
                                           ssh_upstream_host_keys=[pin])])
    wait_for(lambda: stack.run_ssh("echo ok").stdout == b"ok\n", 10, "a login with the pin")
    stack.target.make_host_key()
    stack.target.restart()
    client = stack.ssh("true")
    assert client.wait() == 255
    assert stack.target.fingerprint in client.stderr.text()


def test_insecure_is_said(new_stack):
    stack = new_stack(ssh_host_key_policy="insecure")
    stack.bind()
    stack.target.make_host_key()
    stack.target.restart()
    assert stack.run_ssh("echo ok").stdout == b"ok\n"
    assert any("insecure" in str(line) for line in stack.logs("authorize"))


def test_target_key_types(new_stack):
    """Algorithms towards the target do not depend on our own host keys."""
    for key_type in ("rsa", "ecdsa"):
        stack = new_stack()
        stack.target.make_host_key(key_type)
        stack.target.restart()
        stack.bind()
        assert stack.run_ssh("echo ok").stdout == b"ok\n"


def test_certificate(new_stack, tmp_path):
    stack = new_stack()
    # The target keeps the certificate that it was shown: the agent of a forced command sees it.
    dump = tmp_path / "dump"
    stack.target.extra = f"ExposeAuthInfo yes\nForceCommand cat \"$SSH_USER_AUTH\" >> {dump}; eval \"$SSH_ORIGINAL_COMMAND\"\n"
    stack.target.restart()
    stack.bind()
    line = dump.read_text().split("\n")[0]
    cert = tmp_path / "cert.pub"
    cert.write_text(" ".join(line.split()[1:]) + "\n")
    shown = subprocess.run(["ssh-keygen", "-L", "-f", cert], check=True, capture_output=True, text=True).stdout
    assert "user certificate" in shown
    principals = re.search(r"Principals:\s*\n\s*(\S+)", shown).group(1)
    assert principals == LOGIN
    assert int(re.search(r"Serial: (\d+)", shown).group(1)) > 1
    key_id = re.search(r'Key ID: "(.*)"', shown).group(1)
    session, = stack.cli_json("sessions", "list")
    assert session["id"] in key_id and "demo@localhost" in key_id
    begin, end = re.search(r"from (\S+) to (\S+)", shown).groups()
    minutes = [int(a) * 60 + int(b) for a, b in (re.search(r"T(\d+):(\d+)", t).groups() for t in (begin, end))]
    assert 2 <= (minutes[1] - minutes[0]) % 1440 <= 15
