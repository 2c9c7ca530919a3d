"""A stack with two proxies and two authorize replicas, and what stands between a replica and the
databroker."""
import contextlib
import os
import socket
import subprocess
import threading
import time

from stack import Stack, free_ports, wait_for

SPREAD_SECONDS = 10


def holds(pid, port):
    """Does the process have a TCP socket with this port of its own?"""
    rows = [line.split() for name in ("tcp", "tcp6") for line in open(f"/proc/net/{name}")]
    sockets = {f"socket:[{row[9]}]" for row in rows if row[1].endswith(f":{port:04X}")}
    for fd in os.scandir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            if os.readlink(fd.path) in sockets:
                return True
    return False


class Way:
    """A TCP relay to a port. What it relays for one process can be frozen: what is sent stays on the
    way, nothing is closed."""

    def __init__(self, to):
        self.to = to
        self.pid = None
        self.moves = threading.Event()
        self.moves.set()
        self.sockets = set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                here, peer = self.listener.accept()
                marked = self.pid is not None and holds(self.pid, peer[1])
                threading.Thread(target=self._serve, args=(here, marked), daemon=True).start()

    def _serve(self, here, marked):
        try:
            there = socket.create_connection(("127.0.0.1", self.to))
        except OSError:
            here.close()
            return
        self.sockets |= {here, there}
        threading.Thread(target=self._pump, args=(here, there, marked), daemon=True).start()
        self._pump(there, here, marked)

    def _pump(self, source, sink, marked):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if marked:
                    self.moves.wait()
                sink.sendall(data)
        for s in (source, sink):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)

    def freeze(self):
        self.moves.clear()

    def thaw(self):
        self.moves.set()

    def close(self):
        self.thaw()
        self.listener.close()
        for s in self.sockets:
            s.close()


class Replicas(Stack):
    """A stack with further processes of a service: "authorize2" and "proxy2" are others of theirs.
    Each authorize listens on the port of its grpc_address; both are named to every worker."""

    def __init__(self, folder, build="dev", **config):
        super().__init__(folder, build, start=False, **config)
        self.way = None
        self.extra = {}
        self.hosts = None
        (self.authorize2_port, self.ssh2_port, self.https2_port, *self.more_health) = free_ports(5)
        urls = [f"https://127.0.0.1:{p}" for p in (self.authorize_port, self.authorize2_port)]
        self.write_config(authorize_service_url=None, authorize_service_urls=urls)

    def health_port(self, service):
        more = {"authorize2": 0, "proxy2": 1}
        return self.more_health[more[service]] if service in more else super().health_port(service)

    def environment(self, service):
        own = {
            "authorize": {"GRPC_ADDRESS": f"127.0.0.1:{self.authorize_port}"},
            "authorize2": {"GRPC_ADDRESS": f"127.0.0.1:{self.authorize2_port}"},
            "proxy2": {"ADDRESS": f"127.0.0.1:{self.https2_port}",
                       "SSH_ADDRESS": f"127.0.0.1:{self.ssh2_port}",
                       "POSTERN_WORKER_PIDFILE": str(self.folder / "run/proxy2-worker.pid")},
        }
        return {**super().environment(service), **own.get(service, {}), **self.extra.get(service, {})}

    def start_on_ways(self):
        """Everything, with authorize2's way to the databroker in self.way. It can be frozen; that of
        the others is the same to the configuration."""
        self.way = Way(self.databroker_port)
        self.extra["databroker"] = {"GRPC_ADDRESS": f"127.0.0.1:{self.databroker_port}"}
        self.write_config(databroker_service_url=f"https://127.0.0.1:{self.way.port}")
        self.start("databroker", "authorize", "authenticate")
        self.spawn("authorize2")
        self.way.pid = self.pid("authorize2")
        self.wait_ready()
        self.start("proxy", "proxy2")
        self.bind()
        self.wait_spread()

    def proxy_at(self, port):
        """The proxy that the authorize of that port serves, and the other one."""
        pair = sorted(("proxy", "proxy2"), key=lambda p: self.owner_port(p) != port)
        assert self.owner_port(pair[0]) == port
        return pair

    def start_by_name(self):
        """One name for both authorize replicas, which listen on one port of an address each. The name
        stands in a hosts file of the proxies alone; name_addresses() rewrites it in place, as
        container runtimes do."""
        self.hosts = self.folder / "hosts"
        own = {"authorize": "127.0.0.2", "authorize2": "127.0.0.3"}
        for service, address in own.items():
            self.extra[service] = {"GRPC_ADDRESS": f"{address}:{self.authorize_port}"}
        self.name_addresses("127.0.0.2")
        self.write_config(authorize_service_urls=None,
                          authorize_service_url=f"https://authorize.test:{self.authorize_port}")
        self.start("databroker", "authorize", "authenticate", "proxy", "proxy2")
        self.bind()

    def name_addresses(self, *addresses):
        self.hosts.write_text("127.0.0.1 localhost\n" + "".join(f"{a} authorize.test\n" for a in addresses))

    def command(self, service):
        argv = [self.bin / f"postern-{service.rstrip('2')}", "--config", self.folder / "postern.yaml"]
        if self.hosts and service.startswith("proxy"):
            root = [] if os.getuid() == 0 else ["--map-root-user"]
            argv = ["unshare", *root, "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"',
                    self.hosts, *argv]
        return argv

    def served(self):
        """Which authorize serves each of the proxies, as the authorizes' logs say."""
        workers = {p: self.logs(p, "worker serves")[-1]["instance-id"] for p in ("proxy", "proxy2")}
        found = {}
        for service in ("authorize", "authorize2"):
            for proxy, worker in workers.items():
                up = [line["message"] == "worker connected" for line in self.logs(service, worker=worker)
                      if line["message"] in ("worker connected", "worker gone")]
                if up.count(True) > up.count(False) and service in self.processes:
                    found[proxy] = service
        return found

    def spawn(self, service):
        log = self.folder / "log"
        with open(log / f"{service}.jsonl", "ab") as out, open(log / f"{service}.err", "ab") as err:
            self.processes[service] = subprocess.Popen(
                self.command(service), stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=self.environment(service))

    def __exit__(self, *exc):
        for service in ("proxy2", "authorize2"):
            self.stop(service)
        super().__exit__(*exc)
        if self.way:
            self.way.close()

    def at(self, proxy, *command, **kwargs):
        """ssh through the one or the other proxy."""
        port = self.ssh_port if proxy == "proxy" else self.ssh2_port
        return self.ssh(*command, options=["-o", f"Port={port}", *kwargs.pop("options", ())], **kwargs)

    def served_by(self, proxy):
        """The port of the authorize that the proxy's worker said last it goes to."""
        port = None
        for line in self.logs(proxy):
            if line["message"] == "authorize connected":
                port = line["address"]
            if line["message"] == "authorize changed":
                port = line["to"]
        return port and int(port.rsplit(":", 1)[1])

    def wait_spread(self, timeout=SPREAD_SECONDS):
        both = {self.authorize_port, self.authorize2_port}

        def spread():
            return {self.owner_port(p) for p in ("proxy", "proxy2")} == both
        begun = time.monotonic()
        wait_for(spread, timeout, "the workers to be spread: " + str([self.moves(p) for p in ("proxy", "proxy2")]))
        return time.monotonic() - begun

    def owner_port(self, proxy):
        """Where the worker is served: as the authorizes' logs say, which is what counts."""
        worker = self.logs(proxy, "worker serves")[-1]["instance-id"]
        found = []
        for service, port in (("authorize", self.authorize_port), ("authorize2", self.authorize2_port)):
            up = 0
            for line in self.logs(service):
                if line["message"] == "listening":
                    up = 0
                if line.get("worker") == worker:
                    up += {"worker connected": 1, "worker gone": -1}.get(line["message"], 0)
            if up > 0 and service in self.processes:
                found.append(port)
        return found[0] if len(found) == 1 else None

    def moves(self, proxy):
        return [line for line in self.logs(proxy) if str(line["message"]).startswith("authorize ")]

    def records(self):
        return self.cli_json("connections", "list")


def live(stack, proxy, key="id_ed25519"):
    client = stack.at(proxy, "i=0; while :; do i=$((i+1)); echo $i; sleep 0.1; done", key=key)
    client.stdout.wait(r"^1\n")
    return client


def still_streams(client):
    before = len(client.stdout.data)
    wait_for(lambda: len(client.stdout.data) > before, 5, "the stream to go on")
    assert client.process.poll() is None
    lines = client.stdout.text().split()
    numbers = lines[:-1]  # the last one may be half there
    assert numbers == [str(i + 1) for i in range(len(numbers))], "nothing lost or doubled"


def one_record_each(stack, count, timeout=15):
    def found():
        records = stack.records()
        return len(records) == count and len({r["id"] for r in records}) == count
    wait_for(found, timeout, f"{count} records, each once; now: {stack.records()}", step=0.5)
