"""Two authorize processes and two proxies: spreading, approval, revoke, and replicas that come and go."""
import re
import signal
import subprocess
import time

import pytest

from stack import Stack, free_ports, wait_for

SPREAD_SECONDS = 10
OUTLIVE_SECONDS = 6
IN_FLIGHT = 200


class Replicas(Stack):
    """A stack with further processes of a service: "authorize2" and "proxy2" are others of theirs.
    Each authorize listens on the port of its grpc_address; both are named to every worker."""

    def __init__(self, folder, **config):
        super().__init__(folder, start=False, **config)
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
        return dict(super().environment(service), **own.get(service, {}))

    def spawn(self, service):
        log = self.folder / "log"
        with open(log / f"{service}.jsonl", "ab") as out, open(log / f"{service}.err", "ab") as err:
            self.processes[service] = subprocess.Popen(
                [self.bin / f"postern-{service.rstrip('2')}", "--config", self.folder / "postern.yaml"],
                stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=self.environment(service))

    def __exit__(self, *exc):
        for service in ("proxy2", "authorize2"):
            self.stop(service)
        super().__exit__(*exc)

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


@pytest.fixture
def replicas(tmp_path):
    with Replicas(tmp_path / "stack") as s:
        s.start("databroker", "authorize", "authorize2", "authenticate", "proxy", "proxy2")
        yield s


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


def test_a_new_replica_is_noticed(tmp_path):
    with Replicas(tmp_path / "stack") as stack:
        stack.start("databroker", "authorize", "authenticate", "proxy", "proxy2")
        stack.bind()
        clients = [live(stack, p) for p in ("proxy", "proxy2")]
        waiting = [stack.at(p, "echo released", key=f"new-{p}") for p in ("proxy", "proxy2")]
        links = [w.url() for w in waiting]
        assert {stack.owner_port(p) for p in ("proxy", "proxy2")} == {stack.authorize_port}
        stack.start("authorize2")
        took = stack.wait_spread()
        print(f"\nspread over two replicas after {took:.1f} s")
        moved = sum(len(stack.logs(p, "authorize changed")) for p in ("proxy", "proxy2"))
        for c in clients:
            still_streams(c)
        for w, link in zip(waiting, links):
            stack.sign_in(link)
            assert w.wait() == 0 and w.stdout.text() == "released\n", w.stderr.text()
        one_record_each(stack, 2)
        # It stays as it is.
        time.sleep(12)
        assert sum(len(stack.logs(p, "authorize changed")) for p in ("proxy", "proxy2")) == moved
        assert moved == 1
        one_record_each(stack, 2)
        assert len({r["owner"] for r in stack.records()}) == 2


def test_approval_and_revoke_across_replicas(replicas):
    stack = replicas
    stack.wait_spread()
    waiting = [stack.at(p, "sleep 600") for p in ("proxy", "proxy2")]
    links = [w.url() for w in waiting]
    print("\none key at two replicas:", "one code" if links[0] == links[1] else "a code each")
    stack.sign_in(links[0])
    one_record_each(stack, 2)
    assert len({r["owner"] for r in stack.records()}) == 2
    session = stack.cli_json("sessions", "list")[0]
    begun = time.monotonic()
    stack.cli("sessions", "revoke", session["id"])
    for w in waiting:
        assert w.wait(5) != 0
        assert re.search(r"(?i)session.*ended", w.stderr.text()), w.stderr.text()
    print(f"both cut after {time.monotonic() - begun:.2f} s")
    one_record_each(stack, 0)


def test_a_replica_that_dies_and_one_that_stops_in_order(replicas):
    stack = replicas
    stack.bind()
    stack.wait_spread()
    clients = [live(stack, p) for p in ("proxy", "proxy2")]
    rows = []
    for how in ("SIGKILL", "SIGTERM"):
        logins = []
        for begin in ("before", "after"):
            logins += [(begin, stack.at(p, "echo ok")) for p in ("proxy", "proxy2") for _ in range(5)]
            if begin == "before":
                stack.kill("authorize2") if how == "SIGKILL" else stack.stop("authorize2")
        refused = [c.stderr.text() for _, c in logins if c.wait() != 0]
        rows.append((how, len(logins), len(refused)))
        assert not refused, refused
        for c in clients:
            still_streams(c)
        one_record_each(stack, 2)
        stack.start("authorize2")
        rows[-1] += (stack.wait_spread(),)
    print(f"\n{'authorize2':<10} {'logins':>7} {'refused':>8} {'spread again':>13}")
    for how, count, refused, took in rows:
        print(f"{how:<10} {count:>7} {refused:>8} {took:>11.1f} s")
    one_record_each(stack, 2)
    session = stack.cli_json("sessions", "list")[0]
    stack.cli("sessions", "revoke", session["id"])
    for c in clients:
        assert c.wait(5) != 0, "still watched"


def test_one_replica_stopped_around_a_revoke(tmp_path):
    """200 logins in flight: nobody outlives the revoke by more than 6 s."""
    with Replicas(tmp_path / "stack") as stack:
        stack.start("databroker", "authorize", "authorize2", "authenticate", "proxy", "proxy2")
        stack.bind()
        stack.wait_spread()
        owners = {p: stack.owner_port(p) for p in ("proxy", "proxy2")}
        up = [live(stack, p) for p in ("proxy", "proxy2")]
        session = stack.cli_json("sessions", "list")[0]
        flight = [stack.at(p, "sleep 600") for _ in range(IN_FLIGHT // 2 - 20) for p in ("proxy", "proxy2")]
        try:
            stack.signal("authorize2", signal.SIGSTOP)
            flight += [stack.at(p, "sleep 600") for _ in range(20) for p in ("proxy", "proxy2")]
            stack.cli("sessions", "revoke", session["id"])
            revoked = time.monotonic()
            ended = {}

            def look():
                for c in up + flight:
                    if c.process.poll() is not None or "sign_in" in c.stderr.text():
                        ended.setdefault(c, time.monotonic() - revoked)
                return len(ended) == len(up + flight)
            wait_for(look, 25, "everybody to be cut, refused or sent to the browser", step=0.02)
        finally:
            stack.signal("authorize2", signal.SIGCONT)
        kinds = {}
        for c, at in ended.items():
            text = c.stderr.text()
            kind = ("live before" if c in up else
                    "sent to the browser" if "sign_in" in text else
                    "cut" if re.search(r"(?i)session.*ended", text) else "refused")
            kinds.setdefault(kind, []).append(at)
        print(f"\n{'logins':<22} {'count':>6} {'last after revoke':>18}   (stopped: port {stack.authorize2_port} of {owners})")
        for kind, times in sorted(kinds.items()):
            print(f"{kind:<22} {len(times):>6} {max(times):>16.2f} s")
        for kind in ("live before", "cut"):
            assert max(kinds.get(kind, [0])) <= OUTLIVE_SECONDS
        # The one that was stopped does not let anybody in on what it knew.
        for c in flight:
            c.kill()
        for p in ("proxy", "proxy2"):
            again = stack.at(p, "true", options=["-o", "BindAddress=127.0.0.9"])
            assert again.url()
            again.kill()
        one_record_each(stack, 0, 30)
