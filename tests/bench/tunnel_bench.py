"""TCP and UDP tunnels through the real release daemons: JSON lines, each figure with its baseline in the same run.

CPU is that of the worker process, all threads, from /proc/PID/task/*/schedstat; what the supervisor spends on handshakes
is told beside it. The peers of the throughput figures are those of tunnel_stream_bench, which is the baseline too."""
import contextlib
import ctypes
import json
import pathlib
import queue
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from statistics import median

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))
from h2.settings import SettingCodes  # noqa: E402
from stack import Stack, free_ports  # noqa: E402
from tunnel_peers import peers  # noqa: E402
from tunnels import H2, TcpServer, capsule, connect, connect_udp, login, tcp_route, udp_route  # noqa: E402

BENCH = ROOT / "build/release/tests/bench/tunnel_stream_bench"
ROUNDS = 15
BYTES_ROUNDS = 41
OPENING_ROUNDS = 7
OPENED = 500
DATAGRAM_ROUNDS = 5
IDLE = 1000
PACKET = 1200
PACKETS = 120_000
TRIPS = 3000
UDP_SEGMENT = 103
STREAM_WINDOW, CONNECTION_WINDOW = 256 * 1024, 1 << 20


def say(name, value, unit, baseline, ratio=None):
    print(json.dumps({"name": name, "value": round(value, 3), "unit": unit, "baseline": round(baseline, 3),
                      "ratio": round(value / baseline if ratio is None else ratio, 3)}), flush=True)


def children(pid):
    return [int(c) for c in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def cpu(pid):
    """Nanoseconds of CPU of all threads that live."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            total += int((task / "schedstat").read_text().split()[0])
    return total


def pss(pid):
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise AssertionError("no Pss")


def settled(pid):
    """Waits until the process is at rest."""
    for _ in range(50):
        before = cpu(pid)
        time.sleep(0.2)
        if cpu(pid) - before < 5_000_000:
            return
    raise AssertionError("the worker does not come to rest")


def run_bench(*args):
    done = subprocess.run([BENCH, *map(str, args)], capture_output=True, text=True, check=True, timeout=60)
    return [int(word) for word in done.stdout.split()]


class Bench:
    def __init__(self, stack, ports):
        self.stack, self.ports = stack, ports
        self.token = login(stack)
        self.supervisor = stack.pid("proxy")
        self.worker = children(self.supervisor)[0]

    def head(self, name):
        return f"CONNECT {name} HTTP/1.1\r\nHost: {name}\r\nAuthorization: Pomerium {self.token}\r\n\r\n"

    def drive(self, way, port):
        """How many bytes went through the proxy at `port`."""
        return run_bench("drive", way, port, self.ports["bulk"], self.head("bulk.test:7"))[0]

    def bare(self, way):
        """Nanoseconds of CPU of the baseline, a process like the worker, between the same peers."""
        port = free_ports(1)[0]
        with subprocess.Popen([BENCH, "bare", way, str(port), str(self.ports["bulk"])], stdout=subprocess.PIPE) as proxy:
            assert proxy.stdout.readline() == b"ready\n"
            self.drive(way, port)
            return int(proxy.stdout.readline())

    def throughput(self):
        """Of neighbours in time, since a machine that serves others too is slower at some times than at others."""
        for way, words in (("down", "target to client"), ("up", "client to target")):
            bare, ours = [], []
            for _ in range(BYTES_ROUNDS):
                bare.append(self.bare(way))
                settled(self.worker)
                before = cpu(self.worker)
                size = self.drive(way, self.stack.https_port)
                ours.append(cpu(self.worker) - before)
            say(f"tunnel h1 {words}, median of {BYTES_ROUNDS}", size * 1e3 / median(ours), "MB per CPU second",
                size * 1e3 / median(bare), median(b / o for b, o in zip(bare, ours)))

    def round_trip(self):
        rounds = [run_bench("rtt", self.stack.https_port, self.ports["bulk"], self.head("bulk.test:7")) for _ in range(ROUNDS)]
        say("tunnel h1 64-byte round trip, added p50", median(through - direct for direct, through in rounds) / 1e3, "us", 80)

    def idle(self):
        warm = self.open(20)
        settled(self.worker)
        before = pss(self.worker)
        tunnels = self.open(IDLE)
        settled(self.worker)
        say("idle tunnel: PSS of the worker", (pss(self.worker) - before) / IDLE, "KB", 16)
        for holder in (warm, tunnels):
            holder.communicate(timeout=60)

    def opening(self):
        """In turns with the same clients at other programs, which decide nothing."""
        with tempfile.TemporaryDirectory() as folder, peers(folder, free_ports(2)) as running:
            for clients in (1, 20):
                self.opening_by(clients, running)

    def opening_by(self, clients, running):
        servers = {"ours": (None, [self.worker, self.supervisor]), **{n: (port, [pid]) for n, port, pid in running}}
        spent = {name: [] for name in servers}
        for _ in range(OPENING_ROUNDS):
            for name, (port, pids) in servers.items():
                for pid in pids:
                    settled(pid)
                before = [cpu(pid) for pid in pids]
                tunnels = self.open(OPENED, clients, port)
                spent[name].append([(cpu(pid) - b) / OPENED / 1e6 for pid, b in zip(pids, before)])
                tunnels.communicate(timeout=60)
        bare = min(run_bench("handshakes", 300)[0] for _ in range(3)) / 1e6
        how = f"tunnel opened, {clients} at a time, median of {OPENING_ROUNDS}: CPU of"
        say(f"{how} the worker", median(s[0] for s in spent["ours"]), "ms", bare)
        say(f"{how} the supervisor, which signs", median(s[1] for s in spent["ours"]), "ms", bare)
        both = median(map(sum, spent.pop("ours")))
        say(f"{how} both, against the target", both, "ms", 0.40)
        for name, figures in spent.items():
            say(f"{how} both, against {name}", both, "ms", median(map(sum, figures)))

    def open(self, count, clients=1, port=None):
        holder = subprocess.Popen([BENCH, "open", str(port or self.stack.https_port), str(count), str(clients),
                                   self.head("sink.test:7")], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert int(holder.stdout.readline()) == count
        return holder

    def datagrams_up(self, name, tunnel):
        batch, spent = capsule(bytes(PACKET)) * 50, []
        for _ in range(DATAGRAM_ROUNDS):
            settled(self.worker)
            before = cpu(self.worker)
            for _ in range(PACKETS // 50):
                tunnel.send(batch)
            settled(self.worker)
            spent.append((cpu(self.worker) - before) / PACKETS)
        say(f"tunnel {name} capsules to datagrams of 1,200 bytes", median(spent) / 1e3, "us per packet", 2.5)

    def datagrams_down(self, name, tunnel, recv, peer, sent):
        """The target sends bursts of fifty, in a way of WAYS, and waits until the client has them: for what is lost no
        longer than 50 ms."""
        self.udp.socket.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, PACKET if sent == "in segments" else 0)
        size, count = len(capsule(bytes(PACKET))), PACKETS // 4
        burst = WAYS[sent](self.udp.socket, peer)
        spent, arrived = [], 0
        for _ in range(DATAGRAM_ROUNDS):
            settled(self.worker)
            before, got = cpu(self.worker), 0
            for _ in range(count // 50):
                burst()
                got += recv(50 * size)
            spent.append((cpu(self.worker) - before) / (got / size))
            arrived += got / size
        name += f", sent {sent},"
        say(f"tunnel {name} datagrams of 1,200 bytes to capsules", median(spent) / 1e3, "us per packet", 2.5)
        say(f"tunnel {name} datagrams that arrived", arrived, "packets", count * DATAGRAM_ROUNDS)

    def datagram_round_trip(self):
        """One datagram there and back, the next one behind it: both ways, taken in turns."""
        direct, through = [], []
        with subprocess.Popen([sys.executable, "-c", ECHO, str(self.ports["echo"])], stdout=subprocess.PIPE) as echo:
            echo.stdout.readline()
            h1 = connect_udp(self.stack, "echo.test:7", self.token)
            assert h1.status == 101, h1.status
            plain = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            plain.connect(("127.0.0.1", self.ports["echo"]))
            packet = capsule(bytes(64))
            for _ in range(ROUNDS):
                direct.append(trips(lambda: (plain.send(bytes(64)), plain.recv(65536))))
                through.append(trips(lambda: (h1.send(packet), h1.read(len(packet)))))
            h1.close()
            echo.kill()
        for i, what in enumerate(("p50", "mean")):
            added = min(t[i] for t in through) - min(d[i] for d in direct)
            say(f"tunnel h1 UDP 64-byte round trip, added {what}", added / 1e3, "us", 80)

    def datagrams(self):
        h1 = connect_udp(self.stack, "udp.test:7", self.token)
        assert h1.status == 101, h1.status
        h1.send(capsule(bytes(PACKET)))
        peer = self.udp.last_peer()
        self.datagrams_up("h1", h1)
        for sent in WAYS:
            self.datagrams_down("h1", h1, lambda size: read_some(h1.sock, size), peer, sent)
        h1.close()
        h2 = H2(self.stack)
        widen(h2)
        stream = h2.connect_udp("udp.test:7", self.token)
        assert stream.status == 200, stream.status
        stream.send(capsule(bytes(PACKET)))
        peer = self.udp.last_peer()
        self.datagrams_up("h2", stream)
        for sent in WAYS:
            self.datagrams_down("h2", stream, lambda size: read_stream(stream, size), peer, sent)
        h2.close()


def widen(connection):
    """The windows of `postern udp`, above which curl's and Go's are: with the 64 KB that HTTP/2 begins with, each burst
    would use them up and then wait for this client."""
    connection.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW})
    connection.h2.increment_flow_control_window(CONNECTION_WINDOW - 65535)
    connection.flush()


ECHO = """import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("127.0.0.1", int(sys.argv[1])))
print(flush=True)
while True:
    s.sendto(*s.recvfrom(65536))
"""


def trips(trip):
    times = []
    for _ in range(TRIPS):
        begun = time.perf_counter_ns()
        trip()
        times.append(time.perf_counter_ns() - begun)
    times.sort()
    return times[TRIPS // 2], sum(times) / TRIPS


def in_segments(sock, peer):
    """As QUIC servers do: one call, one buffer, cut by the kernel."""
    return lambda: sock.sendto(bytes(PACKET * 50), peer)


def one_call_each(sock, peer):
    """With Python's pauses: each datagram finds the worker asleep."""
    def burst():
        for _ in range(50):
            sock.sendto(bytes(PACKET), peer)
    return burst


class IoVector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


class Message(ctypes.Structure):  # struct mmsghdr
    _fields_ = [("name", ctypes.c_void_p), ("namelen", ctypes.c_uint), ("iov", ctypes.c_void_p), ("iovlen", ctypes.c_size_t),
                ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t), ("flags", ctypes.c_size_t), ("len", ctypes.c_size_t)]


def in_one_call(sock, peer):
    """sendmmsg: fifty datagrams, each by itself, as fast as they go."""
    libc = ctypes.CDLL(None, use_errno=True)
    data = ctypes.create_string_buffer(PACKET)
    name = ctypes.create_string_buffer(struct.pack("=H", socket.AF_INET) + struct.pack(">H", peer[1])
                                       + socket.inet_aton(peer[0]) + bytes(8), 16)
    vector = IoVector(ctypes.addressof(data), PACKET)
    messages = (Message * 50)(*[Message(ctypes.addressof(name), 16, ctypes.addressof(vector), 1, None, 0, 0, 0)
                                for _ in range(50)])

    def burst(keep=(data, name, vector)):
        at = 0
        while at < 50:
            n = libc.sendmmsg(sock.fileno(), ctypes.byref(messages, at * ctypes.sizeof(Message)), 50 - at, 0)
            assert n > 0, (n, ctypes.get_errno(), keep)
            at += n
    return burst


WAYS = {"in segments": in_segments, "in one call": in_one_call, "one by one": one_call_each}


def read_some(sock, size):
    """Up to `size` bytes; fewer when nothing comes for 50 ms."""
    got = 0
    sock.settimeout(0.05)
    with contextlib.suppress(TimeoutError):
        while got < size:
            got += len(sock.recv(size - got))
    sock.settimeout(20)
    return got


def read_stream(stream, size):
    while len(stream.data) < size and stream.connection.pump(0.05):
        pass
    got, stream.data = len(stream.data), b""
    return got


class UdpSink:
    """Drops what comes and remembers from where."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.peers = queue.Queue()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        known = None
        with contextlib.suppress(OSError):
            while True:
                peer = self.socket.recvfrom(65536)[1]
                if peer != known:
                    self.peers.put(peer)
                known = peer

    def last_peer(self):
        return self.peers.get(timeout=10)


def discard(peer, _address):
    while peer.recv(65536):
        pass


def main():
    bulk, echo = free_ports(2)
    sink = TcpServer(discard)
    udp = UdpSink()
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(pathlib.Path(folder), build="release")
        stack.write_config(routes=[tcp_route("bulk.test:7", bulk), tcp_route("sink.test:7", sink.port),
                                   udp_route("udp.test:7", udp.port), udp_route("echo.test:7", echo)])
        with stack:
            bench = Bench(stack, {"bulk": bulk, "echo": echo})
            bench.udp = udp
            only = sys.argv[1:] or ["idle", "opening", "round_trip", "throughput", "datagram_round_trip", "datagrams"]
            for part in only:
                getattr(bench, part)()


if __name__ == "__main__":
    main()
