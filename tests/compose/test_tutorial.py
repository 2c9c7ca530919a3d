"""The walk of a tutorial for native SSH access behind Docker Compose, as its reader types it: keys by
ssh-keygen, `docker compose up -d`, the wait for a line of the log, two logins from the host, the
commands of its troubleshooting section, `down -v`. The provider is the stack's own."""
import json
import os
import pty
import re
import subprocess
import time

import pytest

from installation import ROOT, URL, Compose, docker, run, wait_for

# Word for word. Without -t: RSA with the ssh-keygen of Debian 12, Ed25519 with that of Debian 13.
KEYS = """
ssh-keygen -N "" -f keys/pomerium_user_ca_key -C "Pomerium User CA"
ssh-keygen -N "" -t ed25519 -f keys/pomerium_ssh_host_ed25519_key
ssh-keygen -N "" -t rsa    -f keys/pomerium_ssh_host_rsa_key
ssh-keygen -N "" -t ecdsa  -f keys/pomerium_ssh_host_ecdsa_key
"""


class Reader:
    """The reader's shell: a home, a folder with keys, and `docker compose` in deploy/."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "keys").mkdir()
        (folder / "home/.ssh").mkdir(parents=True, mode=0o700)
        self.stack = Compose(folder)
        has_v2 = run("docker", "compose", "version", check=False).returncode == 0
        self.program = "docker compose" if has_v2 else "docker-compose"
        self.ssh_port = self.stack.env["POSTERN_SSH_PORT"]
        # The browser's hosts file: both names are this host's published port.
        port = self.stack.env["POSTERN_HTTPS_PORT"]
        (folder / "home/.curlrc").write_text("".join(
            f'connect-to = "{name}.example.test:443:127.0.0.1:{port}"\n' for name in ("auth", "idp")))

    def compose(self, command, **kwargs):
        """`docker compose COMMAND` in the folder of compose.yaml, with what this machine has."""
        return run("bash", "-c", command.replace("docker compose", self.program), cwd=ROOT / "deploy",
                   env=self.stack.env, **kwargs)

    def is_gone(self):
        """Neither containers nor volumes of the project are left."""
        label = f"label=com.docker.compose.project={self.stack.project}"
        return not docker("ps", "-aq", "--filter", label).stdout and not docker(
            "volume", "ls", "-q", "--filter", label).stdout

    def ssh_argv(self, *command, options=()):
        home = self.folder / "home/.ssh"
        return ["ssh", "-F", "none", *options, "-o", f"UserKnownHostsFile={home}/known_hosts", "-o",
                f"IdentityFile={home}/id_ed25519", "-o", "IdentityAgent=none", "-o", "IdentitiesOnly=yes",
                "developer@ssh-target@localhost", "-p", self.ssh_port, *command]

    def browser(self, url):
        env = dict(os.environ, CURL_HOME=str(self.folder / "home"), HOME=str(self.folder / "home"),
                   POSTERN_TLS_CA=str(self.stack.state / "tls-ca.pem"))
        return run(ROOT / "tests/bin/sign-in", url, "you", self.stack.state / "users/you", env=env).stdout


class Terminal:
    """A person in front of ssh."""

    def __init__(self, argv):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvp(argv[0], argv)
        self.seen = ""

    def wait(self, pattern, timeout=40):
        def found():
            try:
                self.seen += os.read(self.fd, 65536).decode(errors="replace")
            except OSError:  # the other side has ended
                pass
            return re.search(pattern, self.seen)
        os.set_blocking(self.fd, False)
        try:
            return wait_for(found, timeout, repr(pattern)).group()
        except AssertionError as e:
            raise AssertionError(f"{e}; so far {self.seen!r}") from None

    def type(self, text):
        os.write(self.fd, text.encode())

    def status(self):
        end = time.monotonic() + 20
        while time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.05)
        raise AssertionError(f"ssh does not end: {self.seen!r}")


@pytest.fixture
def reader(tmp_path):
    made = Reader(tmp_path)
    try:
        yield made
    finally:
        made.stack.close()


def test_the_walk(reader):
    stack = reader.stack
    # Steps 1 and 2: the keys.
    run("bash", "-ec", KEYS, cwd=reader.folder)
    ca_pub = (reader.folder / "keys/pomerium_user_ca_key.pub").read_text().split()
    print("\nssh-keygen made a user CA of type", ca_pub[0])
    keys = reader.folder / "keys"
    # Steps 3 and 4: init puts the CA in front of the target and writes nothing that was given.
    stack.sh("init", "--user-ca", keys / "pomerium_user_ca_key", *(
        word for kind in ("ed25519", "rsa", "ecdsa")
        for word in ("--host-key", keys / f"pomerium_ssh_host_{kind}_key")))

    # Step 5.
    reader.compose("docker compose up -d", timeout=300)
    logs = subprocess.Popen([*reader.program.split(), "logs", "-f"], cwd=ROOT / "deploy", env=stack.env,
                            stdout=subprocess.PIPE, text=True)
    line = next((line for line in logs.stdout if "starting SSH listener" in line), None)
    assert line, "the log ended without the line"
    logs.terminate()
    logs.communicate()
    print(line.strip())
    stack.wait_healthy()

    # Its troubleshooting: no key, no link.
    ssh = run(*reader.ssh_argv(options=("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null")),
              check=False)
    print(ssh.stderr)
    assert ssh.returncode == 255 and "Permission denied (publickey)" in ssh.stderr and not URL.search(ssh.stderr)
    run("ssh-keygen", "-t", "ed25519", "-N", "", "-f", reader.folder / "home/.ssh/id_ed25519")

    # Step 6: the host key that was made above, the link, the page, the shell.
    terminal = Terminal(reader.ssh_argv())
    shown = terminal.wait(r"ED25519 key fingerprint is \S+")
    fingerprint = run("ssh-keygen", "-l", "-f", keys / "pomerium_ssh_host_ed25519_key.pub").stdout.split()[1]
    assert fingerprint in shown
    terminal.wait(r"\(yes/no/\[fingerprint\]\)\? ")
    terminal.type("yes\n")
    terminal.wait(r"Please sign in")
    url = terminal.wait(URL.pattern)
    page = reader.browser(url)
    print(terminal.seen.strip(), "\n", page)
    terminal.wait(r"developer@\w+:~\$ ")
    terminal.type("hostname; whoami\n")
    terminal.wait(r"[\r\n]" + stack.ids("sshd")[0][:12])
    terminal.wait(r"[\r\n]developer\r")
    terminal.type("exit\n")
    assert terminal.status() == 0
    # Within the session nothing is asked.
    again = run(*reader.ssh_argv("hostname", options=("-o", "BatchMode=yes")))
    assert again.stdout.strip() == stack.ids("sshd")[0][:12] and "sign" not in again.stderr

    # What signs is what the reader made, and what the target trusts.
    shown = reader.compose("docker compose exec -T sshd cat /etc/ssh/postern_user_ca.pub").stdout.split()
    assert shown[:2] == ca_pub[:2]
    accepted = reader.compose("docker compose logs sshd | grep -i 'accepted certificate'").stdout
    print(accepted.splitlines()[-1])
    signer = run("ssh-keygen", "-l", "-f", keys / "pomerium_user_ca_key.pub").stdout.split()[1]
    assert signer in accepted

    # The other commands of its troubleshooting section.
    assert "healthy" in reader.compose("docker compose ps").stdout
    decisions = reader.compose(r'docker compose logs authorize | grep -i "deny\|allow\|policy"').stdout
    checks = [json.loads(one[one.index("{"):]) for one in decisions.splitlines() if '"authorize check"' in one]
    print(json.dumps(checks[-1]))
    assert checks[-1]["email"] == "you@example.test" and checks[-1]["allow"] is True
    # "A prompt that only knows whoami and logout": the name without a route.
    shell = [word.replace("developer@ssh-target@", "developer@") for word in reader.ssh_argv("whoami")]
    whoami = run(*shell).stderr
    print(whoami)
    assert "you@example.test" in whoami
    verbose = run(*reader.ssh_argv("true", options=("-vvv", "-o", "BatchMode=yes"))).stderr
    assert "Authenticated to localhost" in verbose

    # Its end: -v removes the databroker's volume; what is made again afterwards knows nobody.
    reader.compose("docker compose down -v", timeout=200)
    assert reader.is_gone()
    reader.compose("docker compose up -d", timeout=300)
    stack.wait_healthy()
    unknown = run(*reader.ssh_argv("true", options=("-o", "BatchMode=yes")), check=False)
    assert unknown.returncode == 255


def test_commands_of_the_document(reader, snippets):
    commands, = snippets("docs/deployment.md")
    (reader.folder / "deploy").symlink_to(ROOT / "deploy")
    out = run("bash", "-ec", commands.replace("docker compose", reader.program), cwd=reader.folder,
              env=reader.stack.env, timeout=400).stdout
    print("\n" + out)
    assert "starting SSH listener" in out and out.count("(health") == 7
    assert (reader.folder / "user_ca.pub").read_text().split()[1] in out


def test_files_that_cannot_be_keys_are_refused_and_yours_are_never_replaced(tmp_path):
    stack = Compose(tmp_path)

    def key(name, passphrase=""):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", tmp_path / name)
        return tmp_path / name

    def refused(*argv):
        done = stack.sh("init", *argv, check=False)
        print("\n" + done.stderr.strip())
        assert done.returncode == 1 and not (stack.state / "import").exists()
        return done.stderr
    refused("--user-ca", key("locked", "secret"))
    refused("--host-key", key("first").with_suffix(".pub"))
    stack.sh("init", "--user-ca", key("second"), "--host-key", tmp_path / "first")
    assert "is another key" in refused("--user-ca", tmp_path / "first")
    assert "is another key" in refused("--host-key", tmp_path / "second")
    stack.sh("init", "--user-ca", tmp_path / "second", "--host-key", tmp_path / "first")
    assert (stack.state / "authorize/user_ca").read_text() == (tmp_path / "second").read_text()
    assert (stack.state / "proxy/host_ed25519").read_text() == (tmp_path / "first").read_text()
