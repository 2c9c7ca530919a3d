"""Everything that ssh carries, and large transfers through rekeys."""
import hashlib
import os
import re
import socket
import subprocess
import threading

import pytest

from stack import LOGIN, can_connect, free_ports, wait_for

MIB = 1 << 20


@pytest.fixture(scope="module", autouse=True)
def bound(stack):
    stack.bind()


def clean_env(**more):
    return dict({k: v for k, v in os.environ.items() if k != "SSH_AUTH_SOCK"}, **more)


def options_string(stack):
    return " ".join(map(str, stack.ssh_options()))


def test_exec_streams_and_status(stack):
    run = stack.run_ssh("cat; echo err >&2; exit 3", stdin=b"in\0put\n" * 1000)
    assert (run.returncode, run.stdout, run.stderr) == (3, b"in\0put\n" * 1000, b"err\n")


def test_signal_status(stack):
    # 255 is ssh's own failure too: what it printed shows that the command ran.
    run = stack.run_ssh("echo up; kill -TERM $$")
    assert (run.returncode, run.stdout) == (255, b"up\n"), run.stderr


def test_shell_with_terminal(stack):
    script = (f"ssh {options_string(stack)} -tt {LOGIN}@demo@127.0.0.1")
    run = subprocess.run(["bash", "-c", f"(sleep 1; echo 'tty; stty size; echo done-$((40+2)); exit 5'; sleep 2) | {script}"],
                         capture_output=True, text=True, timeout=60, env=clean_env())
    assert run.returncode == 5, run
    assert "/dev/pts/" in run.stdout and "done-42" in run.stdout


def test_scp_and_sftp(stack, tmp_path):
    source, back = tmp_path / "source", tmp_path / "back"
    source.write_bytes(os.urandom(3 * MIB))
    common = [*map(str, stack.ssh_options())]
    common[common.index("-p")] = "-P"
    target = f"{LOGIN}@demo@127.0.0.1"
    for tool in (["scp", "-q"], ["scp", "-q", "-O"]):
        subprocess.run([*tool, *common, source, f"{target}:{tmp_path}/there"], check=True, timeout=60,
                       env=clean_env())
        subprocess.run([*tool, *common, f"{target}:{tmp_path}/there", back], check=True, timeout=60,
                       env=clean_env())
        assert back.read_bytes() == source.read_bytes()
    batch = f"put {source} {tmp_path}/sftp-there\nget {tmp_path}/sftp-there {tmp_path}/sftp-back\nls -l {tmp_path}\n"
    run = subprocess.run(["sftp", *common, "-b", "-", target], input=batch, text=True,
                         capture_output=True, timeout=60, env=clean_env())
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "sftp-back").read_bytes() == source.read_bytes()


def test_rsync(stack, tmp_path):
    source = tmp_path / "tree"
    (source / "sub").mkdir(parents=True)
    for i in range(50):
        (source / "sub" / f"file{i}").write_bytes(os.urandom(20_000))
    run = subprocess.run(["rsync", "-a", "-e", f"ssh {options_string(stack)}", f"{source}/",
                          f"{LOGIN}@demo@127.0.0.1:{tmp_path}/copy/"],
                         capture_output=True, text=True, timeout=60, env=clean_env())
    assert run.returncode == 0, run.stderr
    assert not subprocess.run(["diff", "-r", source, tmp_path / "copy"]).returncode


class Echo(threading.Thread):
    """A TCP server that sends back what it gets, with EOF passed on."""

    def __init__(self):
        super().__init__(daemon=True)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.start()

    def run(self):
        while True:
            conn, _ = self.socket.accept()
            threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    @staticmethod
    def serve(conn):
        with conn:
            while data := conn.recv(65536):
                conn.sendall(data)


def exchange(port, data):
    """Sends and half-closes while reading, so that windows fill both ways."""
    with socket.create_connection(("127.0.0.1", port), 20) as s:
        s.settimeout(60)

        def write():
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
        thread = threading.Thread(target=write)
        thread.start()
        got = b""
        while chunk := s.recv(65536):
            got += chunk
        thread.join()
        return got


def test_local_forward(stack):
    echo, (port,) = Echo(), free_ports(1)
    client = stack.ssh(options=["-N", "-L", f"{port}:127.0.0.1:{echo.port}"])
    wait_for(lambda: can_connect(port), what="the forward")
    data = os.urandom(8 * MIB)
    results = []
    threads = [threading.Thread(target=lambda: results.append(exchange(port, data) == data)) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == [True] * 4
    client.kill()


def test_remote_forward(stack):
    echo, (port,) = Echo(), free_ports(1)
    client = stack.ssh(options=["-N", "-o", "ExitOnForwardFailure=yes", "-R", f"127.0.0.1:{port}:127.0.0.1:{echo.port}"])
    wait_for(lambda: can_connect(port), what="the forward")
    data = os.urandom(2 * MIB)
    assert exchange(port, data) == data
    client.kill()


def test_remote_forward_with_a_port_of_the_target_s_choice(stack):
    echo = Echo()
    client = stack.ssh(options=["-N", "-R", f"127.0.0.1:0:127.0.0.1:{echo.port}"])
    port = int(client.stderr.wait(r"Allocated port (\d+)").group(1))
    assert exchange(port, b"hello") == b"hello"
    client.kill()


def test_dynamic_forward(stack):
    echo, (port,) = Echo(), free_ports(1)
    client = stack.ssh(options=["-N", "-D", str(port)])
    wait_for(lambda: can_connect(port), what="the forward")
    run = subprocess.run(["curl", "-sS", "--max-time", "20", "--socks5", f"127.0.0.1:{port}", "--http0.9",
                          "-d", "ping", f"http://127.0.0.1:{echo.port}/"], capture_output=True, text=True)
    assert "ping" in run.stdout or "POST" in run.stdout, run.stderr
    client.kill()


def test_agent_forward(stack, tmp_path):
    agent = subprocess.run(["ssh-agent", "-a", tmp_path / "agent"], check=True, capture_output=True, text=True)
    pid = int(re.search(r"SSH_AGENT_PID=(\d+)", agent.stdout).group(1))
    env = clean_env(SSH_AUTH_SOCK=str(tmp_path / "agent"))
    try:
        subprocess.run(["ssh-add", "-q", stack.key()], check=True, env=env)
        argv = stack.ssh_argv("ssh-add -l", options=["-A"])
        at = argv.index("IdentityAgent=none")
        del argv[at - 1:at + 1]
        run = subprocess.run(argv, capture_output=True, text=True, timeout=30, env=env)
        assert run.returncode == 0 and "ED25519" in run.stdout, run
    finally:
        os.kill(pid, 15)


def test_control_master(stack, tmp_path):
    control = ["-o", f"ControlPath={tmp_path}/master"]
    master = stack.ssh(options=["-M", "-N", *control])
    wait_for((tmp_path / "master").exists, what="the master")
    before = len(stack.logs("authorize", "authorize check"))
    results = [stack.run_ssh(f"echo {i}", options=control) for i in range(5)]
    assert [r.stdout for r in results] == [f"{i}\n".encode() for i in range(5)]
    assert len(stack.logs("authorize", "authorize check")) == before, "one connection"
    master.kill()


def test_keepalive_is_answered(stack):
    client = stack.ssh("sleep 4; echo alive", options=["-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=1"])
    assert client.wait() == 0 and client.stdout.text() == "alive\n"


def pattern(size):
    """Bytes that cannot be a repetition of a packet: a counter through SHA-256."""
    return hashlib.shake_256(b"postern").digest(min(size, 4 * MIB))


def transfer(stack, cipher, size, rekey):
    """Both ways at once: cat echoes what is sent; hashes must agree."""
    block = pattern(size)
    argv = stack.ssh_argv("cat", options=["-o", f"RekeyLimit={rekey}", "-c", cipher])
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env=clean_env())
    sent, got = hashlib.sha256(), hashlib.sha256()

    def write():
        for _ in range(size // len(block)):
            process.stdin.write(block)
            sent.update(block)
        process.stdin.close()
    thread = threading.Thread(target=write)
    thread.start()
    total = 0
    while chunk := process.stdout.read1(1 << 18):
        got.update(chunk)
        total += len(chunk)
    thread.join()
    error = process.stderr.read()
    assert process.wait(30) == 0, error
    assert total == size and got.digest() == sent.digest()


CIPHERS = ["chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com"]


@pytest.mark.parametrize("cipher", [*CIPHERS, "aes128-gcm@openssh.com", "aes128-ctr", "aes256-ctr"])
def test_transfer_with_sanitizers(stack, cipher):
    transfer(stack, cipher, (128 if cipher in CIPHERS else 32) * MIB, "8M")


@pytest.fixture(scope="module")
def bound_release(release_stack):
    release_stack.bind()
    return release_stack


@pytest.mark.parametrize("cipher", CIPHERS)
def test_transfer_release(bound_release, cipher):
    transfer(bound_release, cipher, 2048 * MIB, "64M")


def test_slow_reader_does_not_grow_memory(bound_release):
    """The client stops reading while the target sends: windows hold, nothing piles up in between."""
    stack = bound_release
    worker = stack.pid("worker")

    def rss():
        with open(f"/proc/{worker}/status") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))
    before = rss()
    argv = stack.ssh_argv("cat /dev/zero")
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                               env=clean_env())
    try:
        process.stdout.read(MIB)
        threading.Event().wait(3)
        assert rss() - before < 32 * 1024, "kilobytes"
    finally:
        process.kill()
        process.wait()


def test_windows_of_many_channels(stack, tmp_path):
    """Slow and fast channels share a connection: the slow one must not stop the others."""
    control = ["-o", f"ControlPath={tmp_path}/many"]
    master = stack.ssh(options=["-M", "-N", *control])
    wait_for((tmp_path / "many").exists, what="the master")
    slow = subprocess.Popen(stack.ssh_argv("cat /dev/zero", options=control), stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, env=clean_env())
    slow.stdout.read(1000)
    fast = stack.run_ssh("head -c 20000000 /dev/zero", options=control)
    assert fast.returncode == 0 and len(fast.stdout) == 20_000_000
    slow.kill()
    slow.wait()
    master.kill()


def test_target_banner_is_forwarded(new_stack, tmp_path):
    stack = new_stack()
    banner = tmp_path / "banner"
    banner.write_text("Authorised use only.\n")
    stack.target.extra = f"Banner {banner}\n"
    stack.target.restart()
    stack.bind()
    client = stack.ssh("true")
    assert client.wait() == 0
    assert "Authorised use only." in client.stderr.text()


def test_target_down_and_target_without_our_ca(new_stack):
    stack = new_stack()
    stack.bind()
    stack.target.stop()
    client = stack.ssh("true")
    assert client.wait() == 255
    assert "demo" in client.stderr.text() and re.search(r"connect|reach", client.stderr.text())
    stack.target.ca_pub = "/dev/null"
    stack.target.start()
    client = stack.ssh("true")
    assert client.wait() == 255
    assert "does it trust the user CA" in client.stderr.text(), client.stderr.text()


def test_build_is_the_sanitizer_build(stack):
    assert stack.build.name == "dev"
    symbols = subprocess.run(["nm", stack.bin / "postern-proxy"], capture_output=True, text=True).stdout
    assert "__asan_init" in symbols
