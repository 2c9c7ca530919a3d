"""What strangers send: everything is closed in time, and people go on."""
import os
import random
import socket
import time

import pytest

from stack import wait_for

GRACE = 5


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    from stack import Stack
    with Stack(tmp_path_factory.mktemp("hostile"), ssh_login_grace_time=f"{GRACE}s") as s:
        s.bind()
        yield s


def connect(stack, source="127.0.0.2", port=None):
    s = socket.socket()
    s.bind((source, 0))
    s.settimeout(20)
    s.connect(("127.0.0.1", port or stack.ssh_port))
    return s


def closed_within(s, seconds):
    """Reads until the end; how long that took."""
    begun = time.monotonic()
    s.settimeout(seconds)
    try:
        while s.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return time.monotonic() - begun


def login_works(stack):
    result = stack.run_ssh("echo ok", timeout=30)
    assert result.stdout == b"ok\n", result.stderr


def test_server_speaks_first(stack):
    with connect(stack) as s:
        assert s.recv(255).startswith(b"SSH-2.0-Postern")


def test_half_an_ident_and_a_stalled_handshake(stack):
    sockets = []
    for data in (b"", b"SSH-2.", b"SSH-2.0-x\r\n", b"SSH-2.0-x\r\n" + b"\0\0\1\0"):
        s = connect(stack)
        s.sendall(data)
        sockets.append(s)
    for s in sockets:
        assert closed_within(s, GRACE + 5) < GRACE + 3
    login_works(stack)


def test_random_bytes(stack):
    rng = random.Random(20261121)
    for i in range(150):
        with connect(stack) as s:
            try:
                prefix = b"" if i % 3 else b"SSH-2.0-OpenSSH_9.2\r\n"
                s.sendall(prefix + rng.randbytes(rng.randrange(1, 3000)))
                if i % 2:
                    s.shutdown(socket.SHUT_WR)
                assert closed_within(s, GRACE + 5) < GRACE + 3
            except BrokenPipeError:
                pass
    login_works(stack)


@pytest.mark.parametrize("head", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00" + b"\0" * 600,
                                  b"SSH-1.99-old\r\n", b"SSH-2.0-\r\n", b"A" * 70000], ids=["http", "tls", "ssh1", "empty", "long"])
def test_other_protocols_are_closed(stack, head):
    with connect(stack) as s:
        try:
            s.sendall(head)
        except (ConnectionResetError, BrokenPipeError):
            pass
        assert closed_within(s, GRACE + 5) < GRACE + 3
    login_works(stack)


def test_packets_before_authentication_that_are_not_legal(stack):
    """A huge packet length in the clear phase is refused at once, not allocated."""
    with connect(stack) as s:
        s.sendall(b"SSH-2.0-x\r\n" + b"\xff\xff\xff\xff" + b"\0" * 100)
        assert closed_within(s, GRACE + 5) < 2


def test_two_hundred_connections_that_never_authenticate(stack):
    begun = time.monotonic()
    sockets = [connect(stack) for _ in range(200)]
    for s in sockets:
        try:
            s.sendall(b"SSH-2.0-stall\r\n")
        except OSError:
            pass
    while time.monotonic() - begun < GRACE:
        login_works(stack)
    for s in sockets:
        closed_within(s, GRACE + 5)
        s.close()
    assert time.monotonic() - begun < 3 * GRACE
    login_works(stack)


def test_full_house_makes_room_for_a_newcomer(tmp_path):
    from stack import Stack
    with Stack(tmp_path / "full", ssh_login_grace_time="30s", ssh_max_startups="5:1:20") as stack:
        stack.bind()
        sockets = [connect(stack) for _ in range(60)]
        login_works(stack)
        for s in sockets:
            s.close()


def test_waiting_for_a_browser_does_not_use_up_the_grace_time(stack):
    client = stack.ssh("echo ok", key="patient")
    url = client.url()
    time.sleep(GRACE + 2)
    assert client.process.poll() is None, client.stderr.text()
    stack.sign_in(url)
    assert client.wait() == 0


def test_https_listener(stack):
    for data in (b"", b"\x16\x03\x01", b"GET / HTTP/1.0\r\n\r\n", os.urandom(500)):
        with connect(stack, port=stack.https_port) as s:
            s.sendall(data)
            assert closed_within(s, 30) < 25
    login_works(stack)


def test_nothing_crashed(stack):
    pid = stack.pid("worker")
    assert stack.processes["proxy"].poll() is None
    os.kill(pid, 0)
    stack.check_sanitizers()
    wait_for(lambda: stack.health("proxy") == 200, what="health")
