"""A tunnel ends the moment its decision no longer holds: what was done, over each kind of tunnel, and what was seen."""
import select
import socket
import ssl
import struct
import threading
import time

import pytest

from stack import wait_for
from tunnels import H2, Datagrams, TcpServer, UdpServer, claims_of, connect, connect_udp, echo, login, tcp_route, udp_route

KINDS = ("TCP h1", "TCP h2", "UDP h1", "UDP h2")
matrix = []


class Sniffer:
    """Counts RST segments of a port on loopback, from a packet socket."""

    def __init__(self, ports):
        self.ports, self.resets, self.fins, self.seen = ports, [], 0, 0
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(0x0800))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        self.socket.bind(("lo", 0))
        self.running = True
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while self.running:
            if not select.select([self.socket], [], [], 0.2)[0]:
                continue
            frame = self.socket.recv(200)
            ip = frame[14:]
            if len(ip) < 20 or ip[9] != 6:
                continue
            tcp = ip[(ip[0] & 15) * 4:]
            source, target = struct.unpack(">HH", tcp[:4])
            if source not in self.ports and target not in self.ports:
                continue
            self.seen += 1
            if tcp[13] & 4:
                self.resets.append((source, target))
            self.fins += tcp[13] & 1

    def close(self):
        self.running = False
        self.thread.join()
        self.socket.close()


@pytest.fixture(scope="module")
def servers():
    made = TcpServer(echo), UdpServer()
    yield made
    for server in made:
        server.close()


def open_tunnel(stack, kind, token):
    if kind == "TCP h1":
        tunnel = connect(stack, "echo.test:7", token)
    elif kind == "TCP h2":
        tunnel = H2(stack).connect("echo.test:7", token)
    elif kind == "UDP h1":
        tunnel = connect_udp(stack, "echo.test:53", token)
    else:
        tunnel = H2(stack).connect_udp("echo.test:53", token)
    assert tunnel.status in (200, 101), tunnel.status
    if kind.startswith("UDP"):
        udp = Datagrams(tunnel)
        udp.send(b"alive")
        assert udp.recv() == b"alive"
    else:
        tunnel.send(b"alive")
        assert tunnel.read(5) == b"alive"
    return tunnel


def routes(servers, email="demo@localhost", tcp="echo.test:7", udp="echo.test:53"):
    allow = [{"email": {"is": email}}]
    return [tcp_route(tcp, servers[0].port, allow), udp_route(udp, servers[1].port, allow)]


def make(new_stack, servers, **config):
    stack = new_stack(routes=routes(servers), **config)
    stack.servers = servers
    return stack


def revoke(stack, token):
    stack.cli("sessions", "revoke", claims_of(token)["jti"])
    return 0


def edit_policy(stack, _token):
    stack.write_config(routes=routes(stack.servers, "nobody@localhost"))
    return 0


def remove_route(stack, _token):
    stack.write_config(routes=routes(stack.servers, tcp="elsewhere.test:7", udp="elsewhere.test:53"))
    return 0


def expire(_stack, token):
    return max(0, claims_of(token)["exp"] - time.time())


def cut_all(stack, token):
    for line in stack.cli_json("connections", "list"):
        stack.cli("connections", "cut", line["id"])
    return 0


def service_account(stack):
    made = stack.cli("service-account", "create", "local/demo@localhost", "--expires", "1h")
    return made.stdout.strip().splitlines()[-1]


def revoke_account(stack, token):
    stack.cli("service-account", "revoke", claims_of(token)["jti"])
    return 0


CASES = {
    "session revoked": (revoke, login, {}, "session"),
    "policy edited": (edit_policy, login, {}, "policy"),
    "route removed": (remove_route, login, {}, "route"),
    "session expired": (expire, login, {"cookie_expire": "12s"}, "expired"),
    "connection cut": (cut_all, login, {}, ""),
    "service account revoked": (revoke_account, service_account, {}, "service account"),
}


@pytest.mark.parametrize("case", CASES)
def test_cut(new_stack, servers, case):
    act, who, config, word = CASES[case]
    stack = make(new_stack, servers, **config)
    if who is service_account:  # the account is a person's, who has to exist
        login(stack)
    token = who(stack)
    sniffer = Sniffer({stack.https_port, servers[0].port})
    tunnels = {kind: open_tunnel(stack, kind, token) for kind in KINDS}
    wait_for(lambda: len(stack.cli_json("connections", "list")) == 4, what="the connections on record")
    due = time.monotonic() + act(stack, token)
    for kind, tunnel in tunnels.items():
        timeout = max(1, due + 15 - time.monotonic())
        rest = tunnel.until_end(timeout)  # an end without close_notify raises
        took = time.monotonic() - due
        reset = getattr(tunnel, "reset", None)
        line = stack.wait_log("proxy", connection_id=tunnel.headers["x-postern-connection"], event="close")
        matrix.append((case, kind, took, "END_STREAM" if "h2" in kind else "close_notify, FIN", line["reason"]))
        assert rest == b"" and reset in (None, 0)
        assert word.lower() in line["reason"].lower(), line
        assert took < 5
    wait_for(lambda: sniffer.fins >= 6, what="the FIN of each direction")
    sniffer.close()
    # The clients here are Python's, which may reset what they have not read.
    ours = [r for r in sniffer.resets if r[0] == stack.https_port or r[1] == servers[0].port]
    assert sniffer.seen > 50 and ours == [], ours
    for kind in KINDS:  # and nobody gets in again
        if act is not cut_all:
            with pytest.raises(AssertionError):
                open_tunnel(stack, kind, token)
    assert not stack.cli_json("connections", "list")


def test_cut_while_bytes_pour(new_stack, servers):
    """The client sends as fast as it can and reads nothing: still FIN and close_notify, no RST."""
    stack = make(new_stack, servers)
    token = login(stack)
    tunnel = open_tunnel(stack, "TCP h1", token)
    sniffer = Sniffer({stack.https_port, servers[0].port})
    stop = threading.Event()
    sent = [0]

    def pour():
        try:
            while not stop.is_set():
                tunnel.sock.sendall(b"x" * 65536)
                sent[0] += 65536
        except (OSError, ssl.SSLError):
            pass

    def drink():
        try:
            while tunnel.sock.recv(65536):
                pass
        except (OSError, ssl.SSLError):
            pass
    threads = [threading.Thread(target=f, daemon=True) for f in (pour, drink)]
    for t in threads:
        t.start()
    wait_for(lambda: sent[0] > 1 << 20, what="some bytes")
    stack.cli("sessions", "revoke", claims_of(token)["jti"])
    threads[1].join(10)
    assert not threads[1].is_alive(), "the end was not seen"
    stop.set()
    tunnel.sock.close()
    time.sleep(0.5)
    sniffer.close()
    ours = [r for r in sniffer.resets if r[0] == stack.https_port]
    assert ours == [], f"RST from the gateway: {ours}"


def test_the_matrix():
    """Prints what was seen."""
    assert len(matrix) == 4 * len(CASES)
    print(f"\n{'what was done':26}{'tunnel':8}{'ended after':>12}  {'the client saw':22}reason")
    for case, kind, took, saw, reason in matrix:
        print(f"{case:26}{kind:8}{took:10.2f} s  {saw:22}{reason}")
