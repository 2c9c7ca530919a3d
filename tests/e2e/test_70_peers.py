"""Clients that are not Debian's OpenSSH."""
import asyncio
import os
import re
import subprocess

import pytest

from stack import LOGIN, ROOT, Client


def test_openssh_10_by_ml_kem(stack):
    ssh10 = ROOT / "build/deps/ssh10/ssh"
    assert ssh10.exists(), "cmake/deps.sh build/deps ssh10"
    stack.bind(key="ten")
    client = stack.ssh("echo ok", key="ten", ssh=str(ssh10), options=["-v"])
    assert client.wait() == 0, client.stderr.text()
    assert "kex: algorithm: mlkem768x25519-sha256" in client.stderr.text()
    assert "post-quantum" not in client.stderr.text()
    assert client.stdout.text() == "ok\n"


def test_openssh_10_signs_in(stack):
    client = stack.ssh("echo ok", key="ten-new", ssh=str(ROOT / "build/deps/ssh10/ssh"))
    stack.sign_in(client.url())
    assert client.wait() == 0 and client.stdout.text() == "ok\n"


@pytest.mark.parametrize("options", [
    ["-c", "chacha20-poly1305@openssh.com"], ["-c", "aes128-gcm@openssh.com"], ["-c", "aes256-gcm@openssh.com"],
    ["-c", "aes128-ctr", "-m", "hmac-sha2-256-etm@openssh.com"],
    ["-c", "aes192-ctr", "-m", "hmac-sha2-512-etm@openssh.com"],
    ["-c", "aes256-ctr", "-m", "hmac-sha2-256-etm@openssh.com"],
    ["-o", "KexAlgorithms=curve25519-sha256"], ["-o", "KexAlgorithms=curve25519-sha256@libssh.org"],
    *(["-o", f"HostKeyAlgorithms={a}", "-o", "UserKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=no"]
      for a in ("ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-256", "rsa-sha2-512"))], ids=" ".join)
def test_every_algorithm(stack, options):
    stack.bind(key="algorithms") if not (stack.folder / "client/algorithms").exists() else None
    result = stack.run_ssh("echo ok", key="algorithms", options=options)
    assert result.stdout == b"ok\n", result.stderr


@pytest.mark.parametrize("options", [["-o", "KexAlgorithms=diffie-hellman-group14-sha256"],
                                     ["-o", "HostKeyAlgorithms=ssh-rsa"], ["-c", "aes128-cbc"]], ids=" ".join)
def test_weak_algorithms_are_refused_in_words(stack, options):
    result = stack.run_ssh("true", options=[*options, "-o", "UserKnownHostsFile=/dev/null"])
    assert result.returncode == 255
    assert b"no matching" in result.stderr


@pytest.mark.parametrize("key_type", ["rsa", "ecdsa"])
def test_client_key_types(stack, key_type):
    key = stack.key(f"type-{key_type}", key_type)
    client = stack.ssh("echo ok", key=key.name)
    stack.sign_in(client.url())
    assert client.wait() == 0, client.stderr.text()
    assert stack.run_ssh("echo again", key=key.name).stdout == b"again\n"


def test_client_certificate(stack):
    key, ca = stack.key("certified"), stack.key("their-ca")
    subprocess.run(["ssh-keygen", "-q", "-s", ca, "-I", "me", "-n", "anybody", f"{key}.pub"], check=True)
    client = stack.ssh("echo ok", key="certified")
    stack.sign_in(client.url())
    assert client.wait() == 0, client.stderr.text()


def run_dropbear(stack, key, command, interact=None):
    pem = stack.key(key)
    converted = stack.folder / f"client/{key}.dropbear"
    if not converted.exists():
        plain = stack.folder / f"client/{key}.pem"
        plain.write_bytes(pem.read_bytes())
        plain.chmod(0o600)
        subprocess.run(["dropbearconvert", "openssh", "dropbear", plain, converted], check=True, capture_output=True)
    client = Client(["dbclient", "-y", "-i", str(converted), "-p", str(stack.ssh_port), "-l", f"{LOGIN}@demo",
                     "127.0.0.1", command], env=dict(os.environ, HOME=str(stack.folder)))
    stack.clients.append(client)
    if interact:
        interact(client)
    return client


def test_dropbear(stack):
    stack.bind(key="drop")
    client = run_dropbear(stack, "drop", "echo ok; exit 4")
    assert client.wait() == 4, client.stderr.text()
    assert client.stdout.text() == "ok\n"


def test_plink(stack):
    stack.bind(key="putty")
    ppk = stack.folder / "client/putty.ppk"
    subprocess.run(["puttygen", stack.key("putty"), "-o", ppk, "-O", "private"], check=True, capture_output=True)
    scan = subprocess.run(["ssh-keyscan", "-t", "ed25519", "-p", str(stack.ssh_port), "127.0.0.1"], capture_output=True, text=True).stdout
    pub = stack.folder / "client/host.pub"
    pub.write_text(" ".join(scan.split()[-2:]) + "\n")
    fingerprint = subprocess.run(["ssh-keygen", "-l", "-f", pub], check=True, capture_output=True, text=True).stdout.split()[1]
    client = Client(["plink", "-batch", "-ssh", "-hostkey", fingerprint, "-i", str(ppk), "-P", str(stack.ssh_port),
                     f"{LOGIN}@demo@127.0.0.1", "echo ok"], env=dict(os.environ, HOME=str(stack.folder)))
    stack.clients.append(client)
    assert client.wait() == 0, client.stderr.text()
    assert client.stdout.text().strip() == "ok"


def test_paramiko(stack):
    import paramiko
    stack.bind(key="paramiko")
    ssh = paramiko.SSHClient()
    ssh.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    ssh.connect("127.0.0.1", stack.ssh_port, f"{LOGIN}@demo", pkey=paramiko.Ed25519Key.from_private_key_file(stack.key("paramiko")),
                allow_agent=False, look_for_keys=False, timeout=20)
    _, out, _ = ssh.exec_command("head -c 3000000 /dev/zero")
    assert len(out.read()) == 3_000_000
    assert out.channel.recv_exit_status() == 0
    ssh.close()


def test_asyncssh_signs_in_by_keyboard_interactive(stack):
    import asyncssh
    seen = []

    class User(asyncssh.SSHClient):
        def kbdint_auth_requested(self):
            return ""

        def kbdint_challenge_received(self, name, instructions, lang, prompts):
            seen.append((name, instructions, prompts))
            url = re.search(r"https://\S+", instructions)
            if url:
                subprocess.Popen([ROOT / "tests/bin/sign-in", url.group(), "demo@localhost", stack.password_file],
                                 stdout=subprocess.DEVNULL)
            return []

    async def main():
        async with asyncssh.connect("127.0.0.1", stack.ssh_port, username=f"{LOGIN}@demo", known_hosts=None,
                                    client_keys=[str(stack.key("async"))], client_factory=User, config=None,
                                    agent_path=None) as conn:
            result = await conn.run("echo ok; exit 2")
            return result.stdout, result.exit_status
    assert asyncio.run(asyncio.wait_for(main(), 60)) == ("ok\n", 2)
    name, instructions, prompts = seen[0]
    assert name.startswith("Please sign in") and not prompts and len(name) + len(instructions) < 1000


def test_ssh_audit_finds_no_failure(stack):
    run = subprocess.run(["ssh-audit", "-n", "-p", str(stack.ssh_port), "127.0.0.1"], capture_output=True, text=True, timeout=60)
    assert "(gen) software" in run.stdout or "(gen) banner" in run.stdout, run.stdout + run.stderr
    fails = [line for line in run.stdout.splitlines() if "[fail]" in line and "ecdsa" not in line and "nistp" not in line]
    assert not fails, fails


def test_rekey_by_the_client_while_idle(stack):
    stack.bind(key="idle")
    client = stack.ssh("sleep 3; head -c 5000000 /dev/zero | tail -c 3; echo end", key="idle", options=["-o", "RekeyLimit=1M 1s"])
    assert client.wait() == 0, client.stderr.text()
    assert client.stdout.data.endswith(b"end\n")


