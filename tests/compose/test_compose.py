"""deploy/compose.sh and the stack that it starts, as a user in another container sees it."""
import json
import hashlib
import subprocess

import pytest

from installation import FOUR, ROOT, Compose, docker, run, wait_for


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    if docker("image", "inspect", "postern-client:latest", check=False).returncode:
        run(ROOT / "deploy/base-image.sh", "trixie", timeout=600)
        docker("build", "-q", "--force-rm", "-f", ROOT / "deploy/Dockerfile", "--target", "client", "-t",
               "postern-client:latest", ROOT, timeout=1500)
    compose = Compose(tmp_path_factory.mktemp("compose"))
    try:
        print(compose.sh("init").stdout)
        print(compose.sh("up").stdout)
        yield compose
    finally:
        compose.close()


@pytest.fixture(scope="module")
def you(stack):
    return stack.client()


def test_init_again_changes_nothing(stack):
    def fingerprints():
        return {str(p): hashlib.sha256(p.read_bytes()).hexdigest()
                for p in stack.state.rglob("*") if p.is_file() and "data" not in p.parts}
    before = fingerprints()
    stack.sh("init")
    assert fingerprints() == before


def test_files_belong_to_the_container_and_nobody_else(stack):
    for service in FOUR:
        for path in (stack.state / service).iterdir():
            info = path.stat()
            assert (info.st_uid, info.st_mode & 0o777) == (10001, 0o400), path


def test_hardened(stack):
    rows = []
    for service in FOUR:
        for container in stack.inspect(service):
            host = container["HostConfig"]
            row = (service, container["Config"]["User"], host["ReadonlyRootfs"], host["CapDrop"], host["CapAdd"],
                   host["SecurityOpt"], host["NetworkMode"].split("_")[-1], container["State"]["Health"]["Status"])
            rows.append(row)
            assert row[1:6] == ("10001:10001", True, ["ALL"], None, ["no-new-privileges:true"]), row
            capabilities = docker("exec", container["Id"], "sh", "-c", "grep -E 'Cap|NoNewPrivs' /proc/1/status").stdout
            assert {line.split()[1] for line in capabilities.splitlines() if line.startswith("Cap")} == {"0" * 16}
            assert "NoNewPrivs:\t1" in capabilities
    print("\nservice user read-only cap_drop cap_add security network health")
    for row in rows:
        print(*row)


def test_each_mounts_its_own_folder_alone(stack):
    for service in FOUR:
        for container in stack.inspect(service):
            mounts = {m["Destination"]: (m.get("Name") or m["Source"], m["RW"]) for m in container["Mounts"]}
            print("\n" + service, mounts)
            expected = {"/etc/postern": (str(stack.config), False),
                        "/run/postern": (str(stack.state / service), False)}
            if service == "databroker":
                expected["/var/lib/postern"] = (f"{stack.project}_data", True)
            assert mounts == expected


def test_only_the_balancer_is_published(stack):
    published = {}
    for service in (*FOUR, "lb", "sshd", "idp"):
        for container in stack.inspect(service):
            ports = container["NetworkSettings"]["Ports"]
            published[service] = sorted(p for p, bound in ports.items() if bound)
    print("\n", published)
    assert published.pop("lb") == ["2222/tcp", "443/tcp"]
    assert not any(published.values())


def test_a_secret_is_in_the_containers_that_need_it_alone(stack):
    secrets = {  # file: who may hold what it says
        "authorize/user_ca": {"authorize"}, "authorize/authorize.key": {"authorize"},
        "authorize/shared_secret": {"authorize", "authenticate"},
        "authenticate/cookie_secret": {"authenticate"}, "authenticate/authenticate.key": {"authenticate"},
        "authenticate/idp_client_secret": {"authenticate", "idp"}, "proxy/proxy.key": {"proxy"},
        "proxy/host_ed25519": {"proxy"}, "proxy/host_rsa": {"proxy"}, "proxy/tls.key": {"proxy"},
        "databroker/databroker.key": {"databroker"}, "ca/ca.key": set(), "admin.pem": set(),
        "idp/tls.key": {"idp"}, "sshd/host_ed25519": {"sshd"}}
    everywhere = (*FOUR, "sshd", "idp", "lb")
    needles = {}
    for name in secrets:
        # A line from the middle: the first ones of two private keys can be the same.
        lines = [line for line in (stack.state / name).read_text().split() if not line.startswith("-----")]
        needles[lines[len(lines) // 2]] = name
    assert len(needles) == len(secrets)
    found = {name: set() for name in secrets}
    for service in everywhere:
        # As the container's own user, which is who a break-in would be; the needles come by stdin.
        done = subprocess.run(
            ["docker", "exec", "-i", stack.ids(service)[0], "sh", "-c",
             "grep -rhoF -f - / --exclude-dir=proc --exclude-dir=sys --exclude-dir=dev --exclude-dir=usr "
             "2>/dev/null; true"],
            input="\n".join(needles), text=True, capture_output=True, timeout=200)
        for needle in done.stdout.split():
            found[needles[needle]].add(service)
    print("\nsecret" + " " * 28, *(s.ljust(12) for s in everywhere))
    for name in secrets:
        print(name.ljust(34), *(("yes" if s in found[name] else "-").ljust(12) for s in everywhere))
    assert found == secrets


def test_sign_in_through_the_balancer_shows_the_users_address(stack, you):
    status, out, err = you.sign_in("echo hello from the target")
    print("\n", err, out)
    assert status == 0 and out == "hello from the target\n"
    assert you.ssh("echo again").stdout == "again\n"
    checks = wait_for(lambda: [c for c in stack.logs("authorize", "authorize check") if c.get("allow")], 10)
    print(json.dumps(checks[-1]))
    assert {c["ip"] for c in checks} == {you.address}


def test_somebody_else_is_denied(stack):
    guest = stack.client()
    status, out, err = guest.sign_in(user="guest")
    print("\n", err)
    assert status != 0 and not out


def test_a_spoofed_proxy_header_is_closed(stack):
    stranger = stack.client("targets")
    script = """python3 - <<'PY'
import socket, ssl
for port, header in ((2222, b"PROXY TCP4 203.0.113.9 203.0.113.1 4444 2222\\r\\n"),
                     (443, b"PROXY TCP4 203.0.113.9 203.0.113.1 4444 443\\r\\n"),
                     (2222, b"\\r\\n\\r\\n\\0\\r\\nQUIT\\n\\x21\\x11\\0\\x0c" + bytes([203,0,113,9,203,0,113,1]) + b"\\x11\\x5c\\x08\\xae")):
    s = socket.create_connection(("proxy", port), 5)
    s.settimeout(5)
    try:
        s.sendall(header + b"SSH-2.0-x\\r\\n")
        data = s.recv(100)
        while s.recv(100):
            pass
    except ConnectionError as e:
        data = b""
    print(port, (data.decode().strip() or "nothing") + ",closed")
PY"""
    out = stranger.run(script).stdout
    print("\nfrom", stranger.address, "\n" + out)
    assert out.split() == ["2222", "nothing,closed", "443", "nothing,closed", "2222", "nothing,closed"]
    stranger = stack.client()
    out = stranger.run(script.replace('"proxy"', '"gw.example.test"')).stdout
    print("through the balancer, from", stranger.address, "\n" + out)
    # The balancer's own header came first: this one is read as the client's, and makes no sense there.
    assert out.split() == ["2222", "SSH-2.0-Postern,closed", "443", "nothing,closed", "2222", "SSH-2.0-Postern,closed"]
    assert "203.0.113.9" not in "".join(docker("logs", one).stdout for one in stack.ids("proxy"))


def test_the_tutorials_commands(stack):
    """Its compose commands: ps, the greps of its troubleshooting, its wait for a line."""
    logs = stack.sh("logs", "--no-color").stdout
    assert "starting SSH listener" in logs
    assert stack.sh("ps").stdout.count("healthy") >= 7
    decisions = run("bash", "-c", f"{ROOT}/deploy/compose.sh logs authorize | grep -i 'deny\\|allow\\|policy'",
                    env=stack.env).stdout
    print("\n" + "\n".join(decisions.splitlines()[-3:])[:1500])
    assert '"allow":true' in decisions.replace(" ", "")
    assert stack.sh("exec", "-T", "sshd", "cat", "/run/sshd-keys/user_ca.pub").stdout.startswith("ssh-")


def test_scale_proxy_while_running(stack, you, snippets):
    """The commands of the document: init and up change nothing here any more."""
    commands, = snippets("docs/deployment.md")
    print("\n" + run("sh", "-ec", commands, cwd=ROOT, env=stack.env, timeout=600).stdout)
    assert len(stack.ids("proxy")) == 2

    # Each connection of the target's log comes from the address of the proxy that relays it.
    proxies = {c["NetworkSettings"]["Networks"][f"{stack.project}_targets"]["IPAddress"] for c in stack.inspect("proxy")}
    seen = set()

    def both_served():
        seen.add(you.ssh("echo $SSH_CLIENT").stdout.split()[0])
        return seen == proxies
    wait_for(both_served, 20, "both proxies to serve")
    stack.sh("scale", "proxy=1")
    assert len(stack.ids("proxy")) == 1
    assert you.ssh("echo still").stdout == "still\n"


def test_scale_authorize_while_running(stack, you):
    """A worker goes to an authorize that serves fewer, so two proxies use two of them."""
    stack.sh("scale", "proxy=2", "authorize=2")
    replicas = stack.ids("authorize")
    assert len(replicas) == 2

    def both_decide():
        you.ssh("true")
        return all('"authorize check"' in docker("logs", one).stdout for one in replicas)
    wait_for(both_decide, 60, "both to decide")
    stack.sh("scale", "authorize=1", "proxy=1")
    assert len(stack.ids("authorize")) == 1
    assert you.ssh("echo still").stdout == "still\n"


def test_backup_of_the_volume(stack, you, snippets, tmp_path):
    command, = snippets("docs/deployment.md")
    copy = tmp_path / "postern.sqlite3"
    command = command.replace("postern_data", f"{stack.project}_data").replace("/var/backups/postern.sqlite3", str(copy))
    run("sh", "-ec", command)
    assert run("sqlite3", copy, "PRAGMA integrity_check").stdout == "ok\n"
    rows = run("sqlite3", copy, "SELECT count(*) FROM records").stdout
    print("\nrecords in the copy:", rows)
    assert int(rows) > 0


def test_down_and_up_keeps_the_sign_in(stack, you):
    docker("rm", "-f", you.id)
    stack.clients.remove(you)
    machine = stack.client()
    assert machine.sign_in()[0] == 0
    key = machine.run("cat ~/.ssh/id_ed25519").stdout
    docker("rm", "-f", machine.id)
    stack.clients.remove(machine)

    def again():
        fresh = stack.client()
        subprocess.run(["docker", "exec", "-i", fresh.id, "sh", "-c", "cat > ~/.ssh/id_ed25519; rm ~/.ssh/*.pub"],
                       input=key, text=True, check=True)
        return fresh

    for client in list(stack.clients):
        docker("rm", "-f", client.id)
        stack.clients.remove(client)
    stack.sh("down")
    stack.sh("up")
    fresh = again()
    assert fresh.ssh("echo no browser").stdout == "no browser\n"
    docker("rm", "-f", fresh.id)
    stack.clients.remove(fresh)
    stack.sh("down", "-v")
    stack.sh("up")
    fresh = again()
    assert fresh.ssh("true", check=False).returncode != 0
    assert fresh.sign_in("echo new sign-in")[:2] == (0, "new sign-in\n")
