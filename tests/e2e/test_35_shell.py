"""`ssh USER@GATEWAY`, a user name without a route: the management shell."""
import calendar
import os
import re
import socket
import subprocess
import time
import urllib.request

import pytest

from stack import LOGIN, Client, Stack, free_ports, wait_for
from test_45_replicas import Replicas

HELP = """Usage:
  postern [command]

Available Commands:
  help        Help about any command
  logout      Log out
  whoami      Show details for the current session

Flags:
  -h, --help   help for postern

Use "postern [command] --help" for more information about a command.
"""
HINT = f"\nWhich server? Put the route into the user name: ssh {LOGIN}@ROUTE@GATEWAY\n"
UNKNOWN = 'Error: unknown command "{}" for "postern"\n'
ENDED = "Your session was ended; connect again to sign in."
CUT_SECONDS = 1.0
SLACK = 1.0


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    port, = free_ports(1)
    with Stack(tmp_path_factory.mktemp("shell"), metrics_address={"proxy": f"127.0.0.1:{port}"}) as s:
        first_contact(s)
        yield s


def first_contact(stack):
    """A person signs in for the shell, by its link."""
    client = stack.ssh("whoami", route=None)
    assert "Please sign in to continue" in client.stderr.wait("Match code").string
    stack.sign_in(client.url())
    assert client.wait() == 0, client.stderr.text()
    said = client.stderr.text()
    assert "User ID:    local/demo@localhost\n" in said
    signed_in = stack.wait_log("authorize", "authorize check", event="sign-in")
    assert signed_in["decision"] == "allow" and signed_in["allow"] is True
    assert signed_in["allow-why-true"] == ["user-ok"] and "route" not in signed_in


def shell(stack, *command, **kwargs):
    return stack.run_ssh(*command, route=None, **kwargs)


def said(result):
    """What the shell said: on stderr, where ssh's own lines are too."""
    return re.sub(r"^(Pseudo-terminal will|(Shared c|C)onnection to 127\.0\.0\.1 closed).*\r?\n", "",
                  result.stderr.decode(), flags=re.M)


# --- commands ---

def test_no_command_is_help(stack):
    result = shell(stack)
    assert (result.returncode, said(result), result.stdout) == (0, HELP + HINT, b"")


@pytest.mark.parametrize("command, status, text", [
    ("help", 0, HELP), ("-- --help", 0, HELP), ("-- -h", 0, HELP),
    ("whoami --help", 0, "Show details for the current session\n\nUsage:\n  postern whoami [flags]\n\nFlags:\n"
                         "  -h, --help   help for whoami\n"),
    ("x", 1, UNKNOWN.format("x")), ("ls -l /etc", 1, UNKNOWN.format("ls")),
    ("portal", 1, UNKNOWN.format("portal")), ("whoami --json", 1, "Error: unknown flag: --json\n")])
@pytest.mark.parametrize("pty", [False, True], ids=["plain", "pty"])
def test_commands(stack, command, status, text, pty):
    # Behind the host ssh looks for options of its own, up to "--".
    result = shell(stack, *command.split(), options=["-tt"] if pty else [])
    # A terminal has one stream.
    got = said(result)
    assert result.returncode == status
    assert got == (text.replace("\n", "\r\n") if pty else text)
    assert result.stdout == b""


def test_terminal_without_command(stack):
    result = shell(stack, options=["-tt"])
    assert result.returncode == 0
    assert said(result) == (HELP + HINT).replace("\n", "\r\n")


def test_whoami(stack):
    result = shell(stack, "whoami")
    assert result.returncode == 0
    session, = [s for s in stack.cli_json("sessions", "list") if s["id"] in said(result)]
    fingerprint = subprocess.run(["ssh-keygen", "-l", "-f", stack.key()], check=True, capture_output=True,
                                 text=True).stdout.split()[1]
    assert re.fullmatch(
        r"User ID:    local/demo@localhost\n"
        rf"Session ID: {session['id']}\n"
        r"Expires at: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC \(in 13h59m\d+s\)\n"
        rf"SSH key:    {re.escape(fingerprint)}\n"
        r"Client IP:  127\.0\.0\.1\n"
        r"Claims:\n"
        r'(  \w+: .*\n)*  email: "demo@localhost"\n(  \w+: .*\n)*  groups: \["demo", "ops"\]\n(  \w+: .*\n)*',
        said(result)), said(result)
    claims = re.findall(r"^  (\w+): ", said(result), re.M)
    assert claims == sorted(claims)


# --- what clients send besides ---

def test_x11_and_agent_forwarding(stack):
    argv = stack.ssh_argv("whoami", route=None, options=["-Y", "-A"])
    result = subprocess.run(argv, capture_output=True, timeout=60, env=dict(os.environ, DISPLAY="127.0.0.1:99"))
    assert result.returncode == 0, result
    assert b"X11 forwarding request failed on channel 0" in result.stderr
    assert b"User ID:" in result.stderr


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_input_is_ignored(stack, size):
    result = shell(stack, "whoami", stdin=b"x" * size)
    assert result.returncode == 0 and "User ID:" in said(result)
    result = shell(stack, stdin=b"y" * size)
    assert result.returncode == 0 and said(result) == HELP + HINT


def test_input_that_stays_open(stack):
    client = stack.ssh("whoami", route=None, stdin=subprocess.PIPE)
    assert client.wait() == 0 and "User ID:" in client.stderr.text()


def test_environment(stack):
    argv = stack.ssh_argv("whoami", route=None, options=["-o", "SendEnv=LANG", "-o", "SetEnv=A=B"])
    result = subprocess.run(argv, capture_output=True, timeout=60, env=dict(os.environ, LANG="C.UTF-8"))
    assert result.returncode == 0, result


def test_server_alive_interval(stack):
    client = stack.ssh(route=None, options=["-N", "-vvv", "-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=1"])
    wait_for(lambda: client.stderr.text().count("receive packet: type 82") >= 5, 40, "five answers")
    assert client.process.poll() is None
    client.kill()


# --- nothing is forwarded ---

def test_local_forwarding(stack):
    port, = free_ports(1)
    client = stack.ssh(route=None, options=["-N", "-L", f"127.0.0.1:{port}:127.0.0.1:{stack.target.port}"])

    def refused():
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as s:
                s.settimeout(10)
                return s.recv(1) == b""
        except ConnectionRefusedError:
            return False
        except ConnectionResetError:
            return True
    wait_for(refused, what="the forwarded connection to be refused")
    client.stderr.wait("administratively prohibited: nothing is forwarded without a route: connect as LOGIN@ROUTE")
    assert client.process.poll() is None
    client.kill()


def test_jump_host(stack):
    result = shell(stack, options=["-W", "demo:22"])
    assert result.returncode == 255
    assert "nothing is forwarded without a route: connect as LOGIN@ROUTE" in said(result)


def test_remote_forwarding(stack):
    port, = free_ports(1)
    options = ["-R", f"{port}:127.0.0.1:1"]
    result = shell(stack, options=["-N", "-v", "-o", "ExitOnForwardFailure=yes", *options])
    assert result.returncode == 255
    assert f"remote port forwarding failed for listen port {port}" in said(result)
    assert "Postern forwards no port back to you without a route: connect as LOGIN@ROUTE." in said(result)
    result = shell(stack, "help", options=options)
    assert result.returncode == 0 and HELP in said(result)


@pytest.mark.parametrize("program", [["sftp", "-b", "/dev/null", "{}"], ["scp", "/etc/passwd", "{}:"],
                                     ["scp", "-O", "/etc/passwd", "{}:"]], ids=["sftp", "scp", "scp-O"])
def test_file_transfer(stack, program):
    options = [str(o).replace("-p", "-P") if o == "-p" else str(o) for o in stack.ssh_options()]
    argv = [program[0], *options, *(p.format(f"{LOGIN}@127.0.0.1") for p in program[1:])]
    result = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert result.returncode not in (0, None)
    wanted = UNKNOWN.format("scp") if "-O" in program else \
        'Error: there is no subsystem "sftp" without a route: connect as LOGIN@ROUTE\n'
    assert wanted in result.stderr


# --- several sessions ---

def test_control_master(stack, tmp_path):
    control = ["-o", f"ControlPath={tmp_path}/m"]
    before = len(stack.logs("authorize", "authorize check"))
    master = stack.ssh(route=None, options=["-M", "-N", *control])
    wait_for((tmp_path / "m").exists, what="the master")
    clients = [stack.ssh("whoami", route=None, options=control) for _ in range(5)]
    for client in clients:
        assert client.wait() == 0 and "User ID:" in client.stderr.text(), client.stderr.text()
    for _ in range(15):
        assert shell(stack, "help", options=control).returncode == 0
    assert shell(stack, "x", options=control).returncode == 1
    assert len(stack.logs("authorize", "authorize check")) == before + 1, "one connection"
    assert master.process.poll() is None
    master.kill()


def connect_paramiko(stack, key="id_ed25519"):
    import paramiko
    ssh = paramiko.SSHClient()
    ssh.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    ssh.connect("127.0.0.1", stack.ssh_port, LOGIN, timeout=20, allow_agent=False, look_for_keys=False,
                pkey=paramiko.Ed25519Key.from_private_key_file(stack.key(key)))
    return ssh


def test_paramiko(stack):
    import paramiko
    ssh = connect_paramiko(stack)
    _, out, err = ssh.exec_command("whoami", timeout=20)
    assert b"User ID:" in err.read() and out.read() == b""
    assert out.channel.recv_exit_status() == 0
    _, out, err = ssh.exec_command("x" * 200_000, timeout=20)
    assert err.read().decode() == UNKNOWN.format("x" * 64 + "…")
    assert out.channel.recv_exit_status() == 1
    transport = ssh.get_transport()
    sessions = [transport.open_session(timeout=20) for _ in range(10)]
    sessions[0].get_pty("xterm", 0xffffffff, 0xffffffff)
    sessions[0].resize_pty(0xffffffff, 0xffffffff)
    with pytest.raises(paramiko.ChannelException) as e:
        transport.open_session(timeout=20)
    assert e.value.code == 4
    with pytest.raises(paramiko.ChannelException) as e:
        transport.open_channel("nonsense", timeout=20)
    for session in sessions[:2]: # two, since paramiko may send the next OPEN before the last CLOSE
        session.close()
    for _ in range(50):
        again = transport.open_session(timeout=20)
        again.invoke_shell()
        assert again.recv_exit_status() == 0
        again.close()
    ssh.close()


def test_plink(stack):
    ppk = stack.folder / "client/putty.ppk"
    subprocess.run(["puttygen", stack.key(), "-o", ppk, "-O", "private"], check=True, capture_output=True)
    pub = stack.folder / "client/host.pub"
    scan = subprocess.run(["ssh-keyscan", "-t", "ed25519", "-p", str(stack.ssh_port), "127.0.0.1"], capture_output=True, text=True).stdout
    pub.write_text(" ".join(scan.split()[-2:]) + "\n")
    fingerprint = subprocess.run(["ssh-keygen", "-l", "-f", pub], check=True, capture_output=True, text=True).stdout.split()[1]
    for options, command, status, text in (
            [[], ["whoami"], 0, "User ID:    local/demo@localhost\n"], [["-t"], ["whoami"], 0, "User ID:    local/demo@localhost\r\n"],
            [["-T"], [], 0, HELP], [["-X"], [], 0, HELP.replace("\n", "\r\n")], [[], ["x"], 1, UNKNOWN.format("x")]):
        client = Client(["plink", "-batch", "-ssh", "-hostkey", fingerprint, "-i", str(ppk), "-P", str(stack.ssh_port),
                         *options, f"{LOGIN}@127.0.0.1", *command], env=dict(os.environ, HOME=str(stack.folder)))
        stack.clients.append(client)
        assert client.wait() == status, client.stderr.text()
        assert text in client.stderr.text(), (options, command)


# --- on record ---

def test_logs_and_metrics(stack):
    def count(command):
        with urllib.request.urlopen(f"http://{stack.config['metrics_address']['proxy']}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        found = re.search(rf'^postern_ssh_shell_commands_total{{.*command="{command}".*}} (\d+)', text, re.M)
        return int(found.group(1)) if found else 0
    before = {c: count(c) for c in ("whoami", "unknown")}
    assert shell(stack, "whoami").returncode == 0 and shell(stack, "x").returncode == 1
    assert {c: count(c) - n for c, n in before.items()} == {"whoami": 1, "unknown": 1}
    line = stack.logs("proxy", "shell command")[-1]
    assert line["command"] == "unknown" and line["email"] == "demo@localhost" and line["login"] == LOGIN
    opened = stack.wait_log("proxy", "ssh connection opened", connection_id=line["connection-id"])
    closed = stack.wait_log("proxy", "ssh connection closed", connection_id=line["connection-id"])
    assert opened["route"] == closed["route"] == "" and closed["bytes-out"] == len(UNKNOWN.format("x"))
    checked = stack.wait_log("authorize", "authorize check", connection_id=line["connection-id"])
    assert checked["decision"] == "allow" and checked["session-id"] == opened["session-id"]


def test_rekeys(stack):
    """The client exchanges keys again and again while it sends and the shell answers."""
    ssh = connect_paramiko(stack)
    transport = ssh.get_transport()
    transport.packetizer.REKEY_BYTES = 1 << 16
    session = transport.open_session(timeout=20)
    session.sendall(b"z" * (1 << 20))
    session.exec_command("whoami")
    assert b"User ID:" in session.makefile_stderr("rb").read()
    assert session.recv_exit_status() == 0
    connection = stack.logs("proxy", "shell command")[-1]["connection-id"]
    ssh.close()
    closed = stack.wait_log("proxy", "ssh connection closed", connection_id=connection)
    assert closed["bytes-in"] == 1 << 20


def test_ctrl_c(new_stack, tmp_path):
    stack = new_stack()
    stack.bind()
    control = ["-o", f"ControlPath={tmp_path}/m"]
    master = stack.ssh(route=None, options=["-M", "-N", *control])
    wait_for((tmp_path / "m").exists, what="the master")
    stack.stop("authorize")
    before = len(stack.logs("proxy", "shell command"))
    client = stack.ssh("whoami", route=None, stdin=subprocess.PIPE, options=["-tt", *control])
    wait_for(lambda: len(stack.logs("proxy", "shell command")) > before, what="the question")
    client.process.stdin.write(b"\3")
    client.process.stdin.flush()
    assert client.wait(10) == 130
    assert master.process.poll() is None


def test_connection_is_on_record_and_can_be_cut(stack):
    before = len(stack.logs("proxy", "ssh connection opened"))
    client = stack.ssh(route=None, options=["-N"])
    opened = wait_for(lambda: stack.logs("proxy", "ssh connection opened")[before:], what="the connection")[0]

    def on_record():
        return [c for c in stack.cli_json("connections", "list") if c["id"] == opened["connection-id"]]
    connection, = wait_for(on_record, what="the record")
    assert not connection.get("route")
    assert connection["login"] == LOGIN and connection["email"] == "demo@localhost"
    assert stack.cli("connections", "cut", connection["id"], "--reason", "enough").stdout.startswith("cut 1")
    assert client.wait() == 255
    assert "enough" in client.stderr.text()


# --- the end of the session ---

def live(stack, key, route="demo", **kwargs):
    client = stack.ssh("echo up; sleep 600", key=key, route=route, **kwargs)
    client.stdout.wait("up")
    return client


def ends(client, begun):
    assert client.wait(10) != 0
    assert time.monotonic() - begun < CUT_SECONDS + SLACK
    assert ENDED in client.stderr.text(), client.stderr.text()


def bind_in_browser(stack, key, cookies, *options):
    client = stack.ssh("true", key=key)
    stack.sign_in(client.url(), "demo@localhost", *options, cookies=cookies)
    assert client.wait() == 0, client.stderr.text()


def browser(stack, url, cookies):
    return subprocess.run(["curl", "-sSL", "--cacert", stack.folder / "tls/localhost.crt", "--cookie", cookies, url],
                          check=True, capture_output=True, text=True, timeout=30).stdout


def test_approval_page_names_the_shell(stack, tmp_path):
    bind_in_browser(stack, "page-first", tmp_path / "cookies")
    client = stack.ssh("help", key="page", route=None)
    page = browser(stack, client.url(), tmp_path / "cookies")
    assert f"{LOGIN} (management shell)" in page
    client.kill()


def test_session_expires(new_stack):
    stack = new_stack(cookie_expire="15s")
    stack.bind()
    client = stack.ssh(route=None, options=["-N"])
    wait_for(lambda: stack.logs("proxy", "ssh connection opened", route=""), what="the shell")
    session, = stack.cli_json("sessions", "list")
    expires = calendar.timegm(time.strptime(session["expires_at"][:19], "%Y-%m-%dT%H:%M:%S"))
    assert client.wait(30) == 255
    assert -0.1 < time.time() - expires < 1 + CUT_SECONDS + SLACK
    assert "Your session has expired; connect again to sign in." in client.stderr.text()


def test_logout(new_stack, tmp_path):
    stack = new_stack()
    everybody = [{"authenticated_user": True}]
    stack.write_config(routes=[stack.route("demo", allow=everybody)])
    stack.wait_log("authorize", "configuration reloaded")
    # One browser session with two keys; another of the same person; another person's.
    bind_in_browser(stack, "first", tmp_path / "cookies")
    bind_in_browser(stack, "second", tmp_path / "cookies")
    stack.bind("elsewhere")
    stack.bind("theirs", user="other@localhost")
    ending = [live(stack, "first"), live(stack, "second"), stack.ssh(route=None, key="second", options=["-N"])]
    staying = [live(stack, "elsewhere"), live(stack, "theirs"), stack.ssh(route=None, key="theirs", options=["-N"])]
    wait_for(lambda: len(stack.logs("proxy", "ssh connection opened", route="")) == 2, what="the shells")
    result = shell(stack, "logout", key="first")
    begun = time.monotonic()
    assert (result.returncode, said(result)) == (0, "Logged out successfully\n")
    for client in ending:
        ends(client, begun)
    # By the key, and in the browser: both ask again.
    for key in ("first", "second"):
        client = stack.ssh("true", key=key)
        page = browser(stack, client.url(), tmp_path / "cookies")
        assert 'name="password"' in page and "Authorize" not in page, page
        client.kill()
    assert len(stack.cli_json("sessions", "list")) == 2 and len(stack.cli_json("bindings", "list")) == 2
    line, = stack.logs("authorize", "logged out")
    assert line["email"] == "demo@localhost" and line["ip"] == "127.0.0.1"
    assert all(client.process.poll() is None for client in staying)
    assert shell(stack, "whoami", key="theirs").returncode == 0


def test_logout_reaches_other_replicas(tmp_path):
    with Replicas(tmp_path / "replicas") as stack:
        stack.start("databroker", "authorize", "authorize2", "authenticate", "proxy", "proxy2")
        stack.wait_spread()
        stack.bind()
        there = stack.at("proxy2", "echo up; sleep 600")
        there.stdout.wait("up")
        client = stack.at("proxy", "logout", route=None)
        assert client.wait() == 0, client.stderr.text()
        ends(there, time.monotonic())


def test_logout_in_a_terminal_of_several(new_stack, tmp_path):
    stack = new_stack()
    stack.bind()
    control = ["-o", f"ControlPath={tmp_path}/m"]
    master = stack.ssh(route=None, options=["-M", "-N", *control])
    wait_for((tmp_path / "m").exists, what="the master")
    result = shell(stack, "logout", options=["-tt", *control])
    begun = time.monotonic()
    assert result.returncode == 0 and "Logged out successfully\r\n" in said(result)
    ends(master, begun)
    client = stack.ssh("true")
    client.url()
    client.kill()


def test_logout_leaves_what_is_remembered(new_stack, tmp_path):
    stack = new_stack()
    bind_in_browser(stack, "id_ed25519", tmp_path / "cookies", "--remember")
    assert shell(stack, "logout").returncode == 0
    client = stack.ssh("echo back")
    url = client.url()
    # The browser's session is gone too: it signs in for another key. Then one press is enough.
    other = stack.ssh("true", key="other")
    stack.sign_in(other.url(), cookies=tmp_path / "cookies")
    page = browser(stack, url, tmp_path / "cookies")
    assert "autofocus>Authorize" in page and "create_id_binding" not in page, page
    stack.sign_in(url, cookies=tmp_path / "cookies")
    assert client.wait() == 0 and client.stdout.text() == "back\n"


def test_session_revoked(new_stack):
    stack = new_stack()
    stack.bind()
    client = stack.ssh(route=None, options=["-N"])
    wait_for(lambda: stack.logs("proxy", "ssh connection opened", route=""), what="the shell")
    session, = stack.cli_json("sessions", "list")
    begun = time.monotonic()
    stack.cli("sessions", "revoke", session["id"])
    ends(client, begun)


def test_database_is_down(new_stack):
    stack = new_stack()
    stack.bind()
    stack.stop("databroker")
    assert shell(stack, "whoami").returncode == 0
    result = shell(stack, "logout")
    assert result.returncode == 1
    assert said(result) == "Error: Postern's database is not reachable; please try again in a moment.\n"
    assert stack.run_ssh("echo still").stdout == b"still\n"


def test_authorize_is_down(new_stack, tmp_path):
    stack = new_stack(grpc_client_timeout="2s")
    stack.bind()
    control = ["-o", f"ControlPath={tmp_path}/m"]
    master = stack.ssh(route=None, options=["-M", "-N", *control])
    wait_for((tmp_path / "m").exists, what="the master")
    stack.stop("authorize")
    result = shell(stack, "whoami", options=control)
    assert result.returncode == 1
    assert said(result) == "Error: Postern cannot decide on this connection at the moment; please try again in a minute.\n"
    assert shell(stack, "help", options=control).returncode == 0
    assert master.process.poll() is None
