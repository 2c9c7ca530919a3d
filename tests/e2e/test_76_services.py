"""Real services through tunnels, with our own client, with the contract of pomerium-cli, and with pomerium-cli itself
when POSTERN_PEER_POMERIUM_CLI names it: the same cases for all."""
import contextlib
import json
import os
import re
import signal
import subprocess
import sys

import pytest

import services
from stack import LOGIN, ROOT, Client, Stack, free_ports, wait_for
from tunnels import TcpServer, UdpServer, echo, login, tcp_route, udp_route

PEER = os.environ.get("POSTERN_PEER_POMERIUM_CLI")
CLIENTS = ["postern", "contract"] + (["pomerium-cli"] if PEER else [])
# pomerium-cli says it as JSON, on stdout.
LISTENING = re.compile(r'(?:listening on |"(?:listener-)?addr":")[\[\]\d.:]*:(\d+)')
BROWSER = """#!/usr/bin/python3
import json, pathlib, sys, types, urllib.request
sys.path.insert(0, {tests!r})
from tunnels import Browser
stack = types.SimpleNamespace(host="127.0.0.1", https_port={port}, folder=pathlib.Path({folder!r}),
                              password_file=pathlib.Path({password!r}))
with open({log!r}, "a") as log:
    log.write(sys.argv[1] + "\\n")
browser = Browser(stack)
jar = stack.folder / "browser-{user}"  # whoever uses several clients has one browser
if jar.exists():
    browser.cookies = json.loads(jar.read_text())
page = browser.sign_in(sys.argv[1], {user!r})
jar.write_text(json.dumps(browser.cookies))
urllib.request.urlopen(page.headers["Location"], timeout=20).read()
"""


@pytest.fixture(scope="module")
def ports(tmp_path_factory):
    folder = tmp_path_factory.mktemp("services")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "id"], check=True)
    with contextlib.ExitStack() as all_of_them:
        yield {"folder": folder, **{name: all_of_them.enter_context(start(folder / name)) for name, start in (
            ("pg", services.postgres), ("redis", services.redis), ("maria", services.mariadb), ("dns", services.resolver),
            ("iperf", services.iperf), ("ssh", lambda f: services.sshd(f, folder / "id")))}}


@pytest.fixture(scope="module")
def stack(ports, tmp_path_factory):
    s = Stack(tmp_path_factory.mktemp("tunnels"))
    s.write_config(routes=[tcp_route(f"{name}.test:{port}", ports[name]) for name, port in (
        ("pg", 5432), ("redis", 6379), ("maria", 3306), ("dns", 53), ("iperf", 5201), ("ssh", 22))]
        + [udp_route("dns.test:53", ports["dns"]), udp_route("iperf.test:5201", ports["iperf"]),
           tcp_route("denied.test:22", ports["ssh"], [{"email": {"is": "other@localhost"}}])])
    with s:
        yield s


class Tunneler:
    """A client program on a machine of its own: home, cache, browser."""

    def __init__(self, stack, name, folder, user="demo@localhost"):
        self.stack, self.name, self.folder = stack, name, folder
        self.program = {"postern": [str(stack.bin / "postern")], "pomerium-cli": [PEER],
                        "contract": [sys.executable, str(ROOT / "tests/peers/pomerium_cli.py")]}[name]
        self.opened = folder / "opened"
        self.opened.touch()
        self.browser = folder / "browser"
        self.browser.write_text(BROWSER.format(tests=str(ROOT / "tests/e2e"), port=stack.https_port, folder=str(stack.folder),
                                               password=str(stack.password_file), log=str(self.opened), user=user))
        self.browser.chmod(0o755)
        self.env = dict(os.environ, HOME=str(folder), XDG_CACHE_HOME=str(folder / "cache"))

    def logins(self):
        return len(self.opened.read_text().splitlines())

    def target(self, destination):
        return f"https://localhost:{self.stack.https_port}/{destination}"

    def argv(self, kind, destination, *more):
        return [*self.program, kind, self.target(destination), "--alternate-ca-path",
                str(self.stack.folder / "tls/localhost.crt"), "--browser-cmd", str(self.browser), *more]

    @contextlib.contextmanager
    def listen(self, kind, destination, *more, address="127.0.0.1:0"):
        if kind == "udp" and address.endswith(":0"):  # pomerium-cli says what it was told
            address = f"127.0.0.1:{free_ports(1)[0]}"
        client = Client(self.argv(kind, destination, "--listen", address, *more), env=self.env)
        try:
            said = wait_for(lambda: LISTENING.search(client.stdout.text() + client.stderr.text()), 30, "the listener")
            yield int(said.group(1)), client
        finally:
            client.process.send_signal(signal.SIGINT)
            with contextlib.suppress(AssertionError):
                client.wait(10)
            client.kill()


@pytest.fixture(params=CLIENTS)
def client(request, stack, tmp_path):
    return Tunneler(stack, request.param, tmp_path)


def run(*command, **kwargs):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=90, **kwargs)


def test_postgres(client):
    with client.listen("tcp", "pg.test:5432") as (port, _):
        for query, answer in (("select 6*7", "42\n"), ("select count(*) from generate_series(1, 200000)", "200000\n")):
            got = run("psql", "-h", "127.0.0.1", "-p", port, "-U", "app", "-d", "postgres", "-Atc", query)
            assert got.stdout == answer, got
    assert client.logins() == 1


def test_redis(client):
    with client.listen("tcp", "redis.test:6379") as (port, _):
        assert run("redis-cli", "-p", port, "ping").stdout == "PONG\n"
        assert run("redis-cli", "-p", port, "-x", "set", "big", input="v" * 3_000_000).stdout == "OK\n"
        assert run("redis-cli", "-p", port, "strlen", "big").stdout == "3000000\n"


def test_mariadb_whose_server_speaks_first(client):
    with client.listen("tcp", "maria.test:3306") as (port, _):
        got = run("mariadb", "--no-defaults", "-h", "127.0.0.1", "-P", port, "-u", "root", "-Nse", "select repeat('x', 10)")
        assert got.stdout == "xxxxxxxxxx\n", got


def test_ssh_by_proxy_command(client, ports):
    """A real ssh_config, as the documents have it."""
    config = client.folder / "config"
    command = " ".join(client.argv("tcp", "%h:%p", "--listen", "-"))
    config.write_text(f"Host ssh.test\n  ProxyCommand {command}\n  User {LOGIN}\n  IdentityFile {ports['folder']}/id\n"
                      f"  IdentitiesOnly yes\n  UserKnownHostsFile {client.folder}/known\n  StrictHostKeyChecking accept-new\n"
                      "Host denied.test\n  ProxyCommand " + command + "\n")
    got = run("ssh", "-F", config, "ssh.test", "echo", "through", env=client.env)
    assert (got.stdout, got.returncode) == ("through\n", 0), got
    assert client.logins() == 1
    got = run("ssh", "-F", config, "ssh.test", "cat", env=client.env, input="a" * 2_000_000)
    assert got.stdout == "a" * 2_000_000
    # ssh ends its proxy command by a signal, upon which pomerium-cli may forget its token; ours keeps it.
    assert client.logins() == 1 or client.name != "postern", "the token is kept"
    got = run("scp", "-F", config, config, f"ssh.test:{client.folder}/copied", env=client.env)
    assert got.returncode == 0 and (client.folder / "copied").read_text() == config.read_text()
    # A 403 makes nobody forget a token.
    for logins in (None, client.logins):
        before = logins and logins()
        got = run("ssh", "-F", config, "denied.test", "true", env=client.env)
        assert got.returncode == 255 and before in (None, client.logins())
    print(client.name, "denied:", got.stderr.strip())


def test_dns(client):
    with client.listen("udp", "dns.test:53") as (port, _):
        def dig(*more):
            said = run("dig", "+short", "+tries=5", "+timeout=5", "@127.0.0.1", "-p", port, *more).stdout
            # The first question waits for the sign-in, and dig asks again.
            return "".join(line + "\n" for line in said.splitlines() if not line.startswith(";;"))
        assert dig("gw.test") == "192.0.2.7\n"
        assert dig("+bufsize=4096", "+notcp", "TXT", "long.test").count("x") == 800
        assert [dig("a.gw.test") for _ in range(5)] == ["192.0.2.7\n"] * 5
    with client.listen("tcp", "dns.test:53") as (port, _):
        assert run("dig", "+short", "+tcp", "@127.0.0.1", "-p", port, "gw.test").stdout == "192.0.2.7\n"


def test_iperf3(client):
    with client.listen("tcp", "iperf.test:5201") as (port, _), \
            client.listen("udp", "iperf.test:5201", address=f"127.0.0.1:{port}"):
        for options in ([], ["--reverse"], ["--parallel", "4"], ["--udp", "--bitrate", "20M", "--length", "1200"],
                        ["--udp", "--bitrate", "20M", "--length", "1200", "--reverse"]):
            got = run("iperf3", "--client", "127.0.0.1", "--port", port, "--time", 2, "--json", *options)
            end = json.loads(got.stdout)
            assert "error" not in end, (options, end.get("error"))
            total = end["end"].get("sum_received", end["end"].get("sum"))
            print(f"{client.name} iperf3 {' '.join(options):40} {total['bits_per_second'] / 1e6:8.0f} Mbit/s"
                  f" {end['end'].get('sum', {}).get('lost_percent', 0):.2f} % lost")
            assert total["bytes"] > 1_000_000
            if "--udp" in options:
                assert end["end"]["sum"]["lost_percent"] < 5


def test_a_service_account_needs_no_browser(client, stack):
    login(stack)
    token = stack.cli("service-account", "create", "local/demo@localhost", "--expires", "1h").stdout.strip().splitlines()[-1]
    path = client.folder / "account"
    path.write_text(token + "\n")
    for option, value in (("--service-account", token), ("--service-account-file", str(path))):
        with client.listen("tcp", "redis.test:6379", option, value) as (port, _):
            assert run("redis-cli", "-p", port, "ping").stdout == "PONG\n"
    assert client.logins() == 0


def test_the_routes_are_listed(client):
    got = run(*client.program, "routes", "list", f"https://localhost:{client.stack.https_port}", "--alternate-ca-path",
              client.stack.folder / "tls/localhost.crt", "--browser-cmd", client.browser, env=client.env)
    assert got.returncode == 0, got
    assert "from: tcp+https://redis.test:6379" in got.stdout and "denied.test" not in got.stdout
