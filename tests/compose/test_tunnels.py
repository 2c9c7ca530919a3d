"""TCP and UDP tunnels through the balancer and two proxies, with the clients on a user's machine."""
import json
import re
import textwrap

import pytest

from installation import ROOT, Compose, docker, wait_for

CA = "/run/tls-ca.pem"
UDP_ECHO = """import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 7777))
while True:
    data, peer = s.recvfrom(65536)
    s.sendto(peer[0].encode() + b" " + data, peer)
"""
CLIENTS = {"postern": "postern", "contract": "python3 /home/you/pomerium_cli.py"}


def stack_has(compose, text):
    """The configuration in force, as config status sees it: every daemon has the file's."""
    rows = compose.sh("postern", "config", "status", check=False).stdout
    return rows.count("same") >= 5 and text in (compose.config / "postern.yaml").read_text()


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    compose = Compose(tmp_path_factory.mktemp("compose"))
    try:
        compose.sh("init")
        compose.sh("up")
        compose.sh("scale", "proxy=2")
        echo = compose.client("targets")
        docker("exec", "-d", echo.id, "python3", "-c", UDP_ECHO)
        text = (compose.config / "postern.yaml").read_text()
        compose.edit_config(text + textwrap.indent(textwrap.dedent(f"""\
            - from: tcp+https://ssh.corp.test:22
              to: tcp://sshd:2222
              policy: [{{allow: {{and: [{{email: {{is: you@example.test}}}}]}}}}]
            - from: udp+https://echo.corp.test:7
              to: udp://{echo.address}:7777
              policy: [{{allow: {{and: [{{email: {{is: you@example.test}}}}]}}}}]
            """), "  "))
        wait_for(lambda: stack_has(compose, "ssh.corp.test"), 30, "the new routes")
        compose.wait_healthy()
        yield compose
    finally:
        compose.close()


@pytest.fixture(params=CLIENTS)
def machine(request, stack):
    made = stack.client()
    docker("cp", ROOT / "tests/peers/pomerium_cli.py", f"{made.id}:/home/you/pomerium_cli.py")
    made.run(f"cat >~/browser <<'EOF'\n#!/bin/sh\necho \"$1\" >>~/opened\n"
             f"POSTERN_TLS_CA={CA} exec sign-in \"$1\" you ~/you\nEOF\nchmod 755 ~/browser; : >~/opened")
    made.program = CLIENTS[request.param]
    return made


def proxies_that_logged(stack, event, address):
    """The containers whose access log has such a line for this client."""
    found = set()
    for one in stack.ids("proxy"):
        for line in docker("logs", one).stdout.splitlines():
            if line.startswith("{") and (entry := json.loads(line)).get("event") == event and entry.get("ip") == address:
                found.add(one)
    return found


def test_ssh_through_both_proxies(stack, machine):
    command = (f"{machine.program} tcp https://gw.example.test/%h:%p --listen - --alternate-ca-path {CA} --browser-cmd ~/browser")
    # The target trusts certificates alone: what it says before it refuses has come through the tunnel.
    ssh = f"ssh -v -o BatchMode=yes -o StrictHostKeyChecking=accept-new -o ProxyCommand='{command}' developer@ssh.corp.test true"

    def both():
        got = machine.run(ssh, check=False, timeout=90)
        assert "remote software version OpenSSH" in got.stderr, got.stderr
        return len(proxies_that_logged(stack, "close", machine.address)) == 2
    wait_for(both, 90, "tunnels through both proxies")
    # ssh ends its command by a signal, upon which pomerium-cli may forget its token.
    if machine.program == "postern":
        assert machine.run("wc -l <~/opened").stdout.strip() == "1", "one sign-in is good at both"
    checks = [c for c in stack.logs("authorize", "authorize check") if c.get("host") == "ssh.corp.test:22" and c.get("allow")]
    assert machine.address in {c["ip"] for c in checks}


def test_udp(stack, machine):
    machine.run(f"({machine.program} udp https://gw.example.test/echo.corp.test:7 --listen 127.0.0.1:7007 --alternate-ca-path "
                f"{CA} --browser-cmd ~/browser >~/out 2>&1 &) ; for i in $(seq 100); do grep -q 'listening on' ~/out && exit; sleep 0.1; done; exit 1")
    ask = ("import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(20); "
           "s.sendto(b'hello', ('127.0.0.1', 7007)); print(s.recv(100).decode())")
    answer = machine.run(f'python3 -c "{ask}"').stdout
    proxies = {c["NetworkSettings"]["Networks"][f"{stack.project}_targets"]["IPAddress"] for c in stack.inspect("proxy")}
    print(answer, proxies)
    seen = re.fullmatch(r"(\S+) hello\n", answer)
    assert seen and seen.group(1) in proxies
    checks = [c for c in stack.logs("authorize", "authorize check") if c.get("host") == "echo.corp.test:7" and c.get("allow")]
    assert machine.address in {c["ip"] for c in checks}


def test_a_revoked_session_ends_every_tunnel(stack, machine):
    command = (f"{machine.program} tcp https://gw.example.test/ssh.corp.test:22 --listen 127.0.0.1:2022 --alternate-ca-path {CA} "
               "--browser-cmd ~/browser")
    machine.run(f"({command} >~/out 2>&1 &) ; for i in $(seq 100); do grep -q 'listening on' ~/out && exit; sleep 0.1; done; exit 1")
    hold = ("import socket, time\n"
            "held = []\n"
            "for _ in range(6):\n"
            "    s = socket.create_connection(('127.0.0.1', 2022), 20)\n"
            "    assert s.recv(100).startswith(b'SSH-2.0')\n"
            "    held.append(s)\n"
            "print('held', flush=True)\n"
            "began = time.time()\n"
            "for s in held:\n"
            "    s.settimeout(60)\n"
            "    while s.recv(1000):\n"
            "        pass\n"
            "print('ended', flush=True)\n")
    machine.run(f"cat >~/hold.py <<'EOF'\n{hold}EOF\n(python3 ~/hold.py >~/held 2>&1 &)")
    wait_for(lambda: "held" in machine.run("cat ~/held").stdout, 60, "six tunnels")
    # postern has all of them in one connection, by HTTP/2.
    assert len(proxies_that_logged(stack, "open", machine.address)) == (1 if machine.program == "postern" else 2)
    mine = [json.loads(line) for line in stack.sh("postern", "--json", "connections", "list").stdout.splitlines()
            if line.startswith("{")]
    sessions = {c["session"] if "session" in c else c["session_id"] for c in mine if machine.address in c.values()}
    assert len(sessions) == 1, mine
    stack.sh("postern", "sessions", "revoke", sessions.pop())
    wait_for(lambda: "ended" in machine.run("cat ~/held").stdout, 15, "their end")
