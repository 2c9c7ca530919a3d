"""Two authorize processes and two proxies: spreading, approval, revoke, and replicas that come and go."""
import asyncio
import contextlib
import json
import re
import signal
import threading
import time

import asyncssh
import pytest

from replicas import Replicas, live, one_record_each, still_streams
from stack import LOGIN, Stack, wait_for

OUTLIVE_SECONDS = 6
IN_FLIGHT = 200
LATE = 40  # of them, that come while a replica is stopped
CROWD = 300


class Member(asyncssh.SSHClient):
    """One login without a channel: what became of it, and when."""

    def __init__(self, proxy):
        self.proxy = proxy
        self.is_in = False
        self.asked_at = self.ended_at = None
        self.told = []  # what DEBUG said, which repeats the sentence of a cut
        self.why = ""

    def auth_completed(self):
        self.is_in = True

    def kbdint_auth_requested(self):
        return ""

    def kbdint_challenge_received(self, name, instructions, lang, prompts):
        self.why = instructions
        if "sign_in" in instructions:
            self.asked_at = time.monotonic()
        return []

    def debug_msg_received(self, msg, lang, always_display):
        self.told.append(msg)

    def connection_lost(self, exc):
        self.ended_at = time.monotonic()
        self.why = self.why or str(exc)

    def kind(self):
        if self.asked_at:
            return "sent to the browser"
        if not self.ended_at:
            return "in" if self.is_in else "asking"
        was_cut = any("session was ended" in text for text in [*self.told, self.why])
        return "cut" if was_cut else "refused"


class Crowd:
    """Many connections in one process: a machine full of clients and shells would be what is
    measured."""

    def __init__(self, stack):
        self.stack = stack
        self.members = []
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    async def _join(self, member, port):
        with contextlib.suppress(asyncssh.Error, OSError):
            await asyncssh.create_connection(
                lambda: member, "127.0.0.1", port, username=f"{LOGIN}@demo", known_hosts=None, agent_path=None,
                client_keys=[str(self.stack.key())], config=None, login_timeout=60)

    def begin(self, count, proxy="proxy"):
        """Further logins; they are in flight when this returns."""
        port = self.stack.ssh_port if proxy == "proxy" else self.stack.ssh2_port
        new = [Member(proxy) for _ in range(count)]
        self.members += new
        for member in new:
            asyncio.run_coroutine_threadsafe(self._join(member, port), self.loop)
        return new

    def count(self, kind):
        return sum(m.kind() == kind for m in self.members)

    def leave(self):
        async def end():
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        asyncio.run_coroutine_threadsafe(end(), self.loop).result(20)
        self.loop.call_soon_threadsafe(self.loop.stop)


@pytest.fixture
def replicas(tmp_path):
    with Replicas(tmp_path / "stack") as s:
        s.start("databroker", "authorize", "authorize2", "authenticate", "proxy", "proxy2")
        yield s


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
    """200 logins in flight: nobody outlives the revoke by more than 6 s, and nobody is refused for
    another reason than the revoke."""
    with Replicas(tmp_path / "stack", build="release") as stack:
        stack.start("databroker", "authorize", "authorize2", "authenticate", "proxy", "proxy2")
        stack.bind()
        stack.wait_spread()
        owners = {p: stack.owner_port(p) for p in ("proxy", "proxy2")}
        up = [live(stack, p) for p in ("proxy", "proxy2")]
        session, = stack.cli_json("sessions", "list")
        crowd = Crowd(stack)
        for n in range(IN_FLIGHT - LATE, 0, -20):
            for p in owners:
                crowd.begin(10, p)
            wait_for(lambda n=n: crowd.count("asking") < 20, 30, "the first ones to be in")
        try:
            stack.signal("authorize2", signal.SIGSTOP)
            for p in owners:
                crowd.begin(LATE // 2, p)
            stack.cli("sessions", "revoke", session["id"])
            revoked = time.monotonic()
            wait_for(lambda: crowd.count("in") + crowd.count("asking") == 0, 25,
                     "everybody to be cut, refused or sent to the browser")
            for c in up:
                assert c.wait(OUTLIVE_SECONDS) != 0
        finally:
            stack.signal("authorize2", signal.SIGCONT)
        print(f"\n{'logins':<22} {'count':>6} {'last after revoke':>18}   (stopped: port {stack.authorize2_port} of {owners})")
        for kind in ("cut", "sent to the browser", "refused"):
            times = [(m.asked_at or m.ended_at) - revoked for m in crowd.members if m.kind() == kind]
            print(f"{kind:<22} {len(times):>6} {max(times, default=0):>16.2f} s")
            assert kind != "cut" or max(times) <= OUTLIVE_SECONDS
        # Who came while a replica was stopped has waited for the other one.
        assert not crowd.count("refused"), [m.why for m in crowd.members if m.kind() == "refused"]
        crowd.leave()
        # The one that was stopped does not let anybody in on what it knew.
        for p in ("proxy", "proxy2"):
            again = stack.at(p, "true", options=["-o", "BindAddress=127.0.0.9"])
            assert again.url()
            again.kill()
        one_record_each(stack, 0, 30)


def test_a_replica_that_lags(tmp_path):
    """What the databroker sends does not arrive at one of two replicas; nothing is broken."""
    with Replicas(tmp_path / "stack") as stack:
        stack.start_on_ways()
        lagging, _ = stack.proxy_at(stack.authorize2_port)
        up = [live(stack, p) for p in ("proxy", "proxy2")]
        session, = stack.cli_json("sessions", "list")
        stack.way.freeze()
        stack.cli("sessions", "revoke", session["id"])
        revoked = time.monotonic()
        logins = []
        while time.monotonic() - revoked < 3:
            logins.append(stack.at(lagging, "echo in", options=["-o", "ConnectTimeout=20"]))
            time.sleep(0.5)
        for c in up:
            assert c.wait(OUTLIVE_SECONDS) != 0
        outlived = time.monotonic() - revoked
        assert outlived <= OUTLIVE_SECONDS
        # Each is sent to the browser; none is let in on the old copy, none is refused.
        for c in logins:
            assert c.url()
            assert not c.stdout.data
        asked = time.monotonic() - revoked
        assert stack.logs("authorize2", "the copy of the database may be old")
        assert stack.logs(lagging, "authorize lags, another one is asked")
        assert {stack.owner_port(p) for p in ("proxy", "proxy2")} == {stack.authorize_port}
        stack.way.thaw()
        stack.wait_log("authorize2", "the copy of the database is current again")
        stack.sign_in(logins[0].url())
        for c in logins:
            assert c.wait() == 0 and c.stdout.text() == "in\n", c.stderr.text()
        spread = stack.wait_spread(20)
        print(f"\nlive at a replica that lags: cut {outlived:.2f} s after the revoke; {len(logins)} logins: "
              f"all sent to the browser within {asked:.2f} s; spread again after {spread:.1f} s")


def test_a_certificate_waits_for_the_copy(tmp_path):
    """Allowed by a replica that knows more than the one that is left: what it decided is not undone."""
    with Replicas(tmp_path / "stack") as stack:
        stack.start_on_ways()
        _, other = stack.proxy_at(stack.authorize2_port)
        stack.way.freeze()
        # The target says nothing yet, so that Certify comes after the move.
        stack.target.process.send_signal(signal.SIGSTOP)
        try:
            login = stack.at(other, "echo certified", key="new")
            stack.sign_in(login.url())
            allowed = stack.wait_log("authorize", "authorize check", decision="allow")
            stack.kill("authorize")
            stack.wait_log("authorize2", "connections registered", timeout=15)
        finally:
            stack.target.process.send_signal(signal.SIGCONT)
        time.sleep(1)
        assert login.process.poll() is None
        assert not stack.logs("authorize2", "certificate issued", connection_id=allowed["connection-id"])
        stack.way.thaw()
        assert login.wait() == 0 and login.stdout.text() == "certified\n", login.stderr.text()
        assert not stack.logs("authorize2", "certificate refused")


def test_a_databroker_that_is_away_for_long(new_stack):
    stack = new_stack(authorize_max_staleness="8s")
    stack.bind()
    client = stack.ssh("i=0; while :; do i=$((i+1)); echo $i; sleep 0.1; done")
    client.stdout.wait(r"^1\n")
    away = time.monotonic()
    stack.kill("databroker")
    rows = []
    for at in (0, 6, 9, 11):
        time.sleep(max(0, away + at - time.monotonic()))
        begun = time.monotonic()
        login = stack.ssh("echo in")
        status = login.wait()
        took = time.monotonic() - begun
        if "database has not been reachable" in login.stderr.text():
            outcome = "refused"
        else:
            outcome = login.stdout.text().strip() if status == 0 else login.stderr.text()
        rows.append((begun - away, outcome, took))
        still_streams(client)
    print(f"\n{'databroker away for':<20} {'login':<8} {'took':>7}   (authorize_max_staleness 8 s)")
    for since, outcome, took in rows:
        print(f"{since:>18.1f} s {outcome:<8} {took:>5.1f} s")
    assert [outcome for since, outcome, _ in rows if since >= 9] == ["refused"] * len(
        [1 for since, _, _ in rows if since >= 9])
    assert rows[0][1] == "in"
    stack.start("databroker")
    back = stack.ssh("echo in")
    assert back.wait() == 0 and back.stdout.text() == "in\n", back.stderr.text()
    session, = stack.cli_json("sessions", "list")
    stack.cli("sessions", "revoke", session["id"])
    assert client.wait(OUTLIVE_SECONDS) != 0, "watched again"


def test_a_policy_that_one_replica_does_not_hear_of(replicas):
    """authorize2 is stopped while the policy changes; when it goes on it does not decide by the old one."""
    stack = replicas
    stack.bind()
    stack.wait_spread()
    up = [live(stack, p) for p in ("proxy", "proxy2")]

    def states():
        rows = stack.postern("--config", stack.folder / "postern.yaml", "--admin", stack.folder / "admin.pem",
                             "--json", "config", "status", check=False)
        return rows.returncode, sorted(json.loads(line)["state"] for line in rows.stdout.splitlines())
    wait_for(lambda: states() == (0, ["same"] * 6), 20, "six processes with one configuration")
    stack.signal("authorize2", signal.SIGSTOP)
    try:
        stack.write_config(routes=[stack.route("demo", allow=[{"email": {"is": "other@localhost"}}])])
        changed = time.monotonic()
        for c in up:
            assert c.wait(OUTLIVE_SECONDS + 5) != 0
        cut = time.monotonic() - changed
        pending = wait_for(lambda: states()[0] == 1 and states(), 20, "a row that differs")
        assert set(pending[1]) & {"reload pending", "differs"}
    finally:
        stack.signal("authorize2", signal.SIGCONT)
    resumed = time.monotonic()
    logins = []
    while time.monotonic() - resumed < 2:
        logins += [stack.at(p, "echo in") for p in ("proxy", "proxy2")]
        time.sleep(0.2)
    for c in logins:
        assert c.wait() != 0 and not c.stdout.data
        assert "does not let you in" in c.stderr.text(), c.stderr.text()
    wait_for(lambda: states() == (0, ["same"] * 6), 20, "the same configuration again")
    print(f"\npolicy changed with one replica stopped: live connections cut within {cut:.1f} s, config status "
          f"{pending[1]}; {len(logins)} logins after it went on: all denied by the new one")


def test_one_name_for_all_replicas(tmp_path):
    with Replicas(tmp_path / "stack") as stack:
        stack.start_by_name()
        both = {"proxy": "authorize", "proxy2": "authorize"}
        assert stack.served() == both
        clients = [live(stack, p) for p in ("proxy", "proxy2")]
        stack.start("authorize2")
        stack.name_addresses("127.0.0.2", "127.0.0.3")
        named = time.monotonic()
        wait_for(lambda: sorted(stack.served().values()) == ["authorize", "authorize2"], 20, "the workers to be spread")
        spread = time.monotonic() - named
        # Taken out of the name, then stopped: everybody is at the other one.
        stack.name_addresses("127.0.0.3")
        stack.stop("authorize")
        logins = [stack.at(p, "echo ok") for p in ("proxy", "proxy2") for _ in range(3)]
        for c in logins:
            assert c.wait() == 0 and c.stdout.text() == "ok\n", c.stderr.text()
        assert stack.served() == {"proxy": "authorize2", "proxy2": "authorize2"}
        # A replica that comes to another address of the name.
        stack.extra["authorize"] = {"GRPC_ADDRESS": f"127.0.0.4:{stack.authorize_port}"}
        stack.start("authorize")
        stack.name_addresses("127.0.0.3", "127.0.0.4")
        wait_for(lambda: sorted(stack.served().values()) == ["authorize", "authorize2"], 20, "the workers to be spread")
        for c in clients:
            still_streams(c)
        print(f"\na second address of the name is used after {spread:.1f} s; 6 logins after the first was taken out "
              "and stopped: all in")


def test_many_cuts_at_a_worker_that_is_held_up(tmp_path):
    """300 connections of one session; their worker is stopped while they are revoked."""
    with Stack(tmp_path / "stack", build="release") as stack:
        stack.bind()
        crowd = Crowd(stack)
        for n in range(20, CROWD + 1, 20):
            crowd.begin(20)
            wait_for(lambda n=n: crowd.count("in") == n, 30, f"{n} to be in")
        wait_for(lambda: len(stack.cli_json("connections", "list")) == CROWD, 20, "their records", step=0.3)
        session, = stack.cli_json("sessions", "list")
        stack.signal("worker", signal.SIGSTOP)
        try:
            stack.cli("sessions", "revoke", session["id"])
            revoked = time.monotonic()
            time.sleep(1)
            assert crowd.count("in") == CROWD
        finally:
            stack.signal("worker", signal.SIGCONT)
        wait_for(lambda: crowd.count("cut") == CROWD, OUTLIVE_SECONDS - 1, "all to be cut")
        took = max(m.ended_at for m in crowd.members) - revoked
        assert not stack.logs("authorize", "worker does not read, its stream is ended")
        wait_for(lambda: not stack.cli_json("connections", "list"), 10, "no record to be left")
        crowd.leave()
        print(f"\n{CROWD} connections cut within {took:.2f} s of the revoke, the worker stopped for 1 s of it")
