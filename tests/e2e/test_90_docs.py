"""The commands of docs/, taken out of the documents and run as they stand there."""
import json
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile

import pytest

from home import Home, keygen, same_lines
from stack import ROOT, Target, can_connect, wait_for

CLIENTS = "docs/clients.md"
DEMO = [{"email": {"is": "demo@localhost"}}]


@pytest.fixture(scope="module")
def gateway(stack):
    stack.write_config(routes=[stack.route(name, allow=DEMO) for name in ("web1", "db1", "web1.gw", "db2.gw")])
    stack.wait_log("authorize", "configuration reloaded")
    return stack


@pytest.fixture
def fresh(gateway):
    # A short path, since sockets of ControlMaster are in it.
    with tempfile.TemporaryDirectory(prefix="h") as path:
        yield Home(gateway, pathlib.Path(path))


@pytest.fixture
def home(gateway, fresh):
    """The home of a user who has signed in, with the short names of the document."""
    gateway.key()
    if not getattr(gateway, "docs_signed_in", False):
        gateway.docs_signed_in = True
        gateway.bind(route="web1")
    for name in ("id_ed25519", "id_ed25519.pub"):
        path = fresh.path / ".ssh" / name
        path.write_bytes((gateway.folder / "client" / name).read_bytes())
        path.chmod(0o600)
    fresh.ssh_config("Host web1.gw\n  User dev@web1\nHost *.gw\n  HostName gw.example.com\n")
    (fresh.path / "notes.txt").write_text("notes\n")
    (fresh.path / "site").mkdir()
    (fresh.path / "site/index.html").write_text("hello\n")
    return fresh


def test_first_connection(fresh, snippets):
    keygen(fresh.path / ".ssh/id_ed25519")
    first, second = snippets(CLIENTS)
    fresh.transcript(first, sign_in=True)
    fresh.transcript(second)


def test_management_shell(fresh, snippets):
    block, = snippets(CLIENTS)
    keygen(fresh.path / ".ssh/id_ed25519")
    assert "on web1" in fresh.run("ssh dev@web1@gw.example.com echo on web1", sign_in=True)
    fresh.transcript(block)
    assert "on web1" in fresh.run("ssh dev@web1@gw.example.com echo on web1", sign_in=True)


def test_no_key(fresh, snippets):
    block, = snippets(CLIENTS)
    assert "Postern knows you by your SSH key" in fresh.run("ssh dev@web1@gw.example.com true", check=False)
    fresh.run(block)
    assert "on web1" in fresh.run("ssh dev@web1@gw.example.com echo on web1", sign_in=True)


def test_known_hosts(home, snippets):
    block, = snippets(CLIENTS)
    strict = "ssh -o StrictHostKeyChecking=yes web1.gw echo known"
    assert "Host key verification failed" in home.run(strict, check=False)
    lines = home.run(block)
    assert len(lines.splitlines()) == 3
    (home.path / ".ssh/known_hosts").write_text(lines)
    assert home.run(strict) == "known\n"


def test_ssh_config(home, snippets):
    config, commands = snippets(CLIENTS)
    home.ssh_config(config)
    home.run("ssh web1.gw true")
    home.transcript(commands)


def test_many_hosts(home, snippets):
    block, = snippets(CLIENTS)
    home.run(block)
    home.ssh_config("Include ~/.ssh/gw_hosts\nHost *.gw\n  HostName gw.example.com\n")
    home.run("ssh web1.gw true; ssh db1.gw true")


def test_tokens_in_user(home, snippets):
    block, = snippets(CLIENTS)
    home.ssh_config(block)
    new = ROOT / "build/deps/ssh10/ssh"
    assert new.exists(), "cmake/deps.sh build/deps ssh10"
    assert home.run(f"{new} -F {home.path}/.ssh/config db2.gw echo by token").endswith("by token\n")
    version = subprocess.run(["ssh", "-V"], capture_output=True, text=True).stderr
    if version.startswith("OpenSSH_9"):
        assert 'There is no route named "%n"' in home.run("ssh db2.gw true", check=False)


def test_control_master(home, snippets):
    block, = snippets(CLIENTS)
    home.ssh_config("Host web1.gw\n  User dev@web1\nHost *.gw\n  HostName gw.example.com\n" + block)
    opened = len(home.stack.logs("proxy", "ssh connection opened"))
    home.run("ssh web1.gw true; ssh web1.gw true; ssh web1.gw true; ssh -O exit web1.gw")
    assert len(home.stack.logs("proxy", "ssh connection opened")) == opened + 1


def test_files(home, snippets):
    for block in snippets(CLIENTS):
        home.run(block)
    for path in ("srv/notes.txt", "srv/notes-old-protocol.txt", "copy.txt", "copy-by-uri.txt"):
        assert (home.path / path).read_text() == "notes\n", path
    for path in ("srv/site/index.html", "srv/site2/index.html"):
        assert (home.path / path).read_text() == "hello\n", path


def test_git(home, snippets):
    block, = snippets(CLIENTS)
    home.run("git init -q --bare /srv/app.git")
    home.run(block)
    assert all((home.path / name / ".git").is_dir() for name in ("one", "two", "three"))


def test_ansible(home, snippets):
    inventory, command = snippets(CLIENTS)
    (home.path / "inventory.ini").write_text(home.named(inventory))
    assert '"ping": "pong"' in home.run(command)


def test_editors(home, snippets):
    block, = snippets(CLIENTS)
    assert "ready on bash" in home.run(block)


def test_forwarding(home, snippets):
    block, = snippets(CLIENTS)
    with socket.create_server(("127.0.0.1", 41885)) as server:
        home.run(block + "pgrep -n -f 'L 41884:127.0.0.1:41885' > forward.pid\n")
        try:
            assert can_connect(41884)
            server.settimeout(10)
            server.accept()[0].close()
        finally:
            home.run("kill $(cat forward.pid)")


def test_putty(home, snippets):
    block, = snippets(CLIENTS)
    fingerprint = home.run("ssh-keygen -lf /etc/postern/keys/host_ed25519.pub").split()[1]
    assert "by plink" in home.run(block.replace("SHA256:…", fingerprint))
    assert (home.path / "srv/by-pscp.txt").read_text() == "notes\n"
    assert (home.path / "by-psftp.txt").read_text() == "notes\n"


def check_example(gateway, tmp_path, block):
    """The installation's own keys with the routes of a document are valid, and nothing is to be said of them."""
    kept = "".join(line for line in (gateway.folder / "postern.yaml").open())
    config = tmp_path / "postern.yaml"
    # JSON is YAML: the installation's own keys in flow style, then the document's routes.
    own = {k: v for k, v in json.loads(kept).items() if k != "routes"}
    config.write_text("".join(f"{k}: {json.dumps(v)}\n" for k, v in own.items()) + block)
    check = gateway.postern("--config", config, "config", "check", check=False)
    assert check.returncode == 0 and "configuration ok" in check.stdout and not check.stderr, check.stderr
    daemon = subprocess.run([gateway.bin / "postern-authorize", "--config", config, "--check"], capture_output=True, text=True)
    assert daemon.returncode == 0, daemon.stderr


def test_configuration_example(gateway, tmp_path, snippets):
    block, = snippets("docs/configuration.md")
    check_example(gateway, tmp_path, block)


def test_configuration_tunnels(gateway, tmp_path, snippets):
    block, = snippets("docs/configuration.md")
    check_example(gateway, tmp_path, block)


def test_migration(fresh, snippets):
    pomerium = fresh.path / "pomerium"
    fresh.names = {"/etc/pomerium": str(pomerium), "/var/lib/postern": str(fresh.path / "empty")}
    (fresh.path / "empty/databroker").mkdir(parents=True)
    shutil.copytree(fresh.stack.folder / "keys", pomerium)
    shutil.copy(fresh.stack.folder / "service/ca.crt", pomerium / "corporate-ca.pem")
    config, check, diff, after, last = snippets("docs/migration.md")
    (fresh.path / "pomerium.yaml").write_text(fresh.named(config))
    (fresh.path / "change.diff").write_text(fresh.named(diff))
    for block in (check, after, last):
        fresh.transcript(block)


SECURITY, DEPLOYMENT = "docs/security.md", "docs/deployment.md"


def installed(stack, path):
    """A home on a gateway that was installed from packages, with its target's files."""
    home = Home(stack, path)
    backups = path / "backups"
    backups.mkdir()
    home.names = {"/etc/postern/secrets/authorize/user_ca": f"{stack.folder}/keys/user_ca",
                  "/etc/postern/ca ": f"{stack.folder}/service ", "/etc/postern": f"{stack.folder}/keys",
                  "/etc/ssh": f"{stack.folder}/target", "/var/lib/postern-databroker": f"{stack.folder}/databroker",
                  "/var/backups": str(backups), "you@example.com": "demo@localhost", r"\bweb1\b": "demo"}
    return home


@pytest.fixture
def operated(new_stack, tmp_path):
    """An installation of the test's own, whose target trusts the CAs of a file of its own."""
    stack = new_stack(target=Target(tmp_path / "stack0/target", tmp_path / "stack0/target/postern_user_ca.pub"))
    shutil.copy(stack.folder / "keys/user_ca.pub", stack.target.ca_pub)
    (tmp_path / "home").mkdir()
    stack.bind()
    return installed(stack, tmp_path / "home")


def signers(stack):
    """Fingerprints of the CAs whose certificates the target accepted, in order."""
    return re.findall(r"Accepted publickey for .* CA ED25519 (SHA256:\S+)", stack.target.log.read_text())


def test_ca_rotation(operated, snippets):
    stack = operated.stack
    make, trust, use, drop = snippets(SECURITY)
    assert stack.run_ssh("true").returncode == 0
    old = signers(stack)[-1]
    operated.run(make)
    operated.run(trust)
    assert stack.run_ssh("true").returncode == 0 and signers(stack)[-1] == old
    operated.run(use)
    stack.wait_log("authorize", "configuration reloaded")
    assert stack.run_ssh("true").returncode == 0
    new = signers(stack)[-1]
    assert new != old
    operated.run(drop)
    assert stack.run_ssh("true").returncode == 0 and signers(stack)[-1] == new
    stack.target.ca_pub.write_text(operated.run("ssh-keygen -q -t ed25519 -N '' -f other; cat other.pub"))
    assert b"the target refused our certificate" in stack.run_ssh("true").stderr


def test_admin_certificate(operated, snippets):
    block, = snippets(SECURITY)
    assert "demo@localhost" in operated.run(block)
    assert operated.stack.wait_log("databroker", "admin call", name="alice")


def test_revoke(operated, snippets):
    block, = snippets(SECURITY)
    live = operated.stack.ssh("echo in; sleep 60")
    live.stdout.wait("in")
    wait_for(lambda: operated.stack.cli_json("connections", "list"), 10, "the connection's record")
    first, last = block.split("$ postern connections list\n", 2)[1:]
    operated.transcript("$ postern connections list\n" + first)
    assert live.wait(10) == 255
    wait_for(lambda: not operated.stack.cli_json("connections", "list"), 10, "the connection's record to go")
    assert last == ""
    assert operated.stack.ssh("true").url()


def test_target_sshd_config(operated, snippets):
    block, = snippets(DEPLOYMENT)
    config = operated.path / "sshd_config"
    config.write_text(operated.named(block))
    said = operated.run(f"/usr/sbin/sshd -T -f {config} -h {operated.stack.target.host_key}").splitlines()
    for line in operated.named(block).splitlines():
        key, value = line.split(" ", 1)
        assert f"{key.lower()} {value}" in said, line


def test_target_firewall(operated, snippets):
    block, = snippets(DEPLOYMENT)
    (operated.path / "postern.nft").write_text(block)
    said = operated.run("unshare --user --map-root-user --net sh -c '/usr/sbin/nft -f postern.nft; /usr/sbin/nft list ruleset'")
    assert "tcp dport 22 ip saddr @proxies accept" in said and "tcp dport 22 drop" in said


def operate(home, text):
    """Runs a block; lines with systemctl are done to the installation's daemons. Gives after each such line."""
    for line in text.splitlines():
        if match := re.fullmatch(r"systemctl (stop|start|restart) postern-(\w+)", line):
            getattr(home.stack, match[1])(match[2])
            yield match[2]
        else:
            home.run(line)


def test_rolling_restart(operated, snippets):
    block, = snippets(DEPLOYMENT)
    live = operated.stack.ssh("echo in; sleep 300")
    live.stdout.wait("in")
    done = []
    for service in operate(operated, block):
        done.append(service)
        if service != "proxy":
            assert live.process.poll() is None, service
            assert operated.stack.run_ssh("true").returncode == 0, service
    assert done == ["databroker", "authorize", "authenticate", "proxy"]
    assert live.wait() == 255 and "Postern is restarting" in live.stderr.text()
    assert operated.stack.run_ssh("true").returncode == 0


def test_backup(operated, snippets):
    stack = operated.stack
    backup, restore = snippets(DEPLOYMENT)
    assert operated.run(backup).strip() == "ok"
    stack.bind(key="later")
    (stack.folder / "databroker/databroker.sqlite3").write_bytes(b"lost")
    assert list(operate(operated, restore))[-1] == "proxy"
    assert stack.run_ssh("true").returncode == 0
    assert stack.ssh("true", key="later").url()


def test_health(operated, snippets):
    block, = snippets(DEPLOYMENT)
    for service in ("authenticate", "authorize", "proxy", "databroker"):
        wait_for(lambda: operated.stack.health(service) == 200, 10, service)
    ports = {s: operated.stack.health_port(s) for s in ("authenticate", "authorize", "proxy", "databroker")}
    wanted = block.split("\n", 1)[1]
    said = "".join(operated.run(f"HEALTH_CHECK_ADDR=127.0.0.1:{port} postern health --service {service}")
                   for service, port in ports.items())
    same_lines(wanted, said, "postern health")
