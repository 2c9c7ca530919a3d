"""What people notice while an installation under load is scaled, restarted and hurt: a table.

20 sessions stream and 5 logins a second come in through the balancer; meanwhile replicas come, go,
restart and crash, and with each of it the policy of a route changes. tests/run.sh compose-load"""
import collections
import json
import os
import subprocess
import threading
import time

import pytest

from installation import ROOT, Compose, docker, wait_for

STREAMS, RATE, GATE_RATE = 20, 5, 2
DENIED = "does not let you in"
TOLD = "Postern is restarting"
SETTLED_S = 90   # until everything is as it was
POLICY_S = 6     # from the edit of the file to the last decision by the old policy
SILENCE_S = 15   # of a stream whose proxy was left alone; machines of tests are busy
OUTAGE_S = 30    # with the only replica restarting: its drain, its start, the balancer's check
GATE = """
  - from: ssh://gate
    to: ssh://sshd:2222
    policy:
      - allow: {and: [{email: {is: %s}}]}
"""


class Load:
    """The user's machine that makes the load, and what it has told."""

    def __init__(self, machine):
        self.entries = []
        docker("cp", ROOT / "tests/compose/load_client.py", f"{machine.id}:/home/you/load_client.py")
        self.process = subprocess.Popen(
            ["docker", "exec", "-i", machine.id, "python3", "/home/you/load_client.py",
             str(STREAMS), str(RATE), str(GATE_RATE)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.entries.append(json.loads(line))

    def stop(self):
        self.process.stdin.close()
        self.process.wait(120)
        self.reader.join(10)

    def spread(self, proxies):
        """Half of the streams begin again, so that the balancer gives each of two proxies some."""
        def is_spread():
            counts = collections.Counter(self.live(time.time()).values())
            return all(counts[p] >= STREAMS // 4 for p in proxies)
        if not is_spread():
            self.process.stdin.write("move\n")
            self.process.stdin.flush()
        wait_for(is_spread, SETTLED_S, "both proxies to have streams", 0.25)

    def of(self, kind, **fields):
        return [e for e in list(self.entries) if e["kind"] == kind
                and all(e.get(k) == v for k, v in fields.items())]

    def live(self, at):
        """The streams that had begun and not ended at a time: number and proxy."""
        began = {(e["number"], e["asked"]): e["proxy"] for e in self.of("stream", what="began") if e["at"] <= at}
        for e in self.of("stream", what="ended"):
            if e["at"] <= at:
                began.pop((e["number"], e["asked"]), None)
        return began

    def is_settled(self, since):
        """All streams run, and all logins that began in two seconds after `since` got in."""
        now = time.time()
        if len(self.live(now)) < STREAMS:
            return False
        logins = self.of("login", route="ssh-target")
        refused = [e["at"] for e in logins if e["status"]]
        good = [e for e in logins if e["began"] > max([since, *refused]) and not e["status"]]
        return bool(good) and good[-1]["began"] - good[0]["began"] >= 2


class Walk:
    def __init__(self, stack, load):
        self.stack, self.load = stack, load
        self.rows, self.flips = [], []
        self.wrong = []

    def flip(self):
        """Changes the policy of the route gate from one answer to the other."""
        allow = not (self.flips and self.flips[-1][1])
        self.flips.append((time.time(), allow))
        self.stack.write_policy(allow)

    def addresses(self, service, network):
        return {c["NetworkSettings"]["Networks"][f"{self.stack.project}_{network}"]["IPAddress"]: c["Id"]
                for c in self.stack.inspect(service)}

    def event(self, name, act, ends=(), told=True, outage=0):
        """`ends`: addresses of proxies whose streams may end; `outage`: seconds in which logins may be
        refused."""
        before = self.load.live(time.time())
        begin = time.time()
        self.flip()
        act()
        acted = time.time()
        self.stack.wait_healthy()
        wait_for(lambda: self.load.is_settled(acted), SETTLED_S, f"{name}: streams and logins to be well", 0.25)
        end = time.time()

        ended = {(e["number"], e["asked"]): e for e in self.load.of("stream", what="ended") if e["at"] >= begin}
        gone = [ended[k] for k in before if k in ended]
        logins = [e for e in self.load.of("login", route="ssh-target") if begin <= e["at"] <= end]
        refused = [e for e in logins if e["status"]]
        span = max(e["at"] for e in refused) - min(e["began"] for e in refused) if refused else 0
        self.rows.append({
            "event": name, "took": acted - begin, "streams": len(before), "lived": len(before) - len(gone),
            "told": sum(TOLD in e["stderr"] for e in gone), "untold": sum(TOLD not in e["stderr"] for e in gone),
            "silence": max((e["seconds"] for e in self.load.of("silence") if begin <= e["at"] <= end), default=0),
            "logins": len(logins) - len(refused), "refused": len(refused), "for": span,
            "slowest": max((e["at"] - e["began"] for e in logins if not e["status"]), default=0)})
        print(json.dumps(self.rows[-1]), flush=True)
        for text in sorted({(e["stderr"].strip().splitlines() or ["?"])[0] for e in refused}):
            print("    refused:", text, flush=True)
        for text in sorted({(e["stderr"].strip().splitlines() or ["?"])[0] for e in gone}):
            print("    ended:", text, flush=True)

        def must(true, what):
            if not true:
                self.wrong.append(f"{name}: {what}")
        must(all(e["proxy"] in ends for e in gone), "a stream ended whose proxy was left alone: "
             f"{[e for e in gone if e['proxy'] not in ends][:2]}")
        must(not told or all(TOLD in e["stderr"] for e in gone), "a stream ended without a word: "
             f"{[e['stderr'] for e in gone if TOLD not in e['stderr']][:2]}")
        must(self.rows[-1]["silence"] <= SILENCE_S, f"a stream was silent for {self.rows[-1]['silence']:.1f} s")
        must(span <= outage, f"logins were refused for {span:.1f} s, {outage} are allowed; "
             f"{[e['stderr'] for e in refused][:2]}")

    def check_policy(self):
        """The longest time for which a decision was still that of the policy before."""
        logins = self.load.of("login", route="gate")
        latest = {True: 0.0, False: 0.0}
        for e in logins:
            allowed, denied = not e["status"], DENIED in e["stderr"]
            now = [f for f in self.flips if f[0] <= e["at"]]
            if not now or not (allowed or denied) or now[-1][1] == allowed:
                continue
            # Who got in must not be in any more; who did not was asked about between the two times.
            late = max(0, (e["at"] if allowed else e["began"]) - now[-1][0])
            latest[allowed] = max(latest[allowed], late)
            if late > POLICY_S:
                self.wrong.append(f"a login was {'allowed' if allowed else 'denied'} {late:.1f} s after "
                                  f"the policy said otherwise: {e}")
        return latest, sum(not e["status"] for e in logins), sum(DENIED in e["stderr"] for e in logins)

    def check_streams(self):
        for e in self.load.of("stream", what="ended"):
            if e["wrong"]:
                self.wrong.append(f"a stream lost, doubled or mixed {e['wrong']} lines: {e}")

    def table(self):
        print("\nseconds: took, silence (the longest of a stream that is above one), for, slowest")
        print(f"{'event':34} {'took':>5} {'streams':>7} {'lived':>5} {'told':>4} {'untold':>6} {'silence':>7} {'logins':>6} "
              f"{'refused':>7} {'for s':>6} {'slowest':>7}")
        for r in self.rows:
            print(f"{r['event']:34} {r['took']:5.1f} {r['streams']:7} {r['lived']:5} {r['told']:4} "
                  f"{r['untold']:6} {r['silence']:7.1f} {r['logins']:6} {r['refused']:7} {r['for']:6.1f} {r['slowest']:7.1f}")


@pytest.mark.timeout(2400)
def test_load(tmp_path):
    stack = Compose(tmp_path)
    text = (stack.config / "postern.yaml").read_text()

    def write_policy(allow):
        stack.edit_config(text + GATE % ("you@example.test" if allow else "nobody@example.test"))
    stack.write_policy = write_policy
    try:
        write_policy(False)
        stack.sh("init")
        stack.sh("up")
        stack.sh("scale", "proxy=2")
        machine = stack.client()
        assert machine.sign_in()[0] == 0
        walk_through(stack, Load(machine))
    finally:
        if os.environ.get("POSTERN_KEEP_LOGS"):
            stack.save_logs(os.environ["POSTERN_KEEP_LOGS"])
        stack.close()


def walk_through(stack, load):
    walk = Walk(stack, load)
    wait_for(lambda: load.is_settled(0), SETTLED_S, "the load to be there", 0.25)

    def scale(**counts):
        return lambda: stack.sh("scale", *(f"{k}={v}" for k, v in counts.items()))

    def restart(service):
        return lambda: docker("restart", "--time", "30", *stack.ids(service)[:1], timeout=120)

    def crash(service):
        """Its processes are killed; Docker starts the container again."""
        one = stack.ids(service)[0]

        def act():
            docker("exec", one, "sh", "-c", "kill -KILL -1", check=False)
        return act

    def proxy(index):
        one = stack.ids("proxy")[index]
        return {a for a, i in walk.addresses("proxy", "targets").items() if i.startswith(one)}

    walk.event("nothing", lambda: time.sleep(5))
    walk.event("scale proxy 2 to 3", scale(proxy=3))
    # It stops the youngest ones; whoever is left was left alone.
    all_proxies = set(walk.addresses("proxy", "targets"))
    walk.event("scale proxy 3 to 1", scale(proxy=1), all_proxies - {oldest(stack)}, outage=5)
    walk.event("scale authorize 1 to 2", scale(authorize=2))
    walk.event("scale authorize 2 to 1", scale(authorize=1), outage=2)
    walk.event("restart databroker", restart("databroker"))
    walk.event("restart authenticate", restart("authenticate"))
    walk.event("restart authorize, the only one", restart("authorize"), outage=OUTAGE_S)
    walk.event("restart proxy, the only one", restart("proxy"), proxy(0), outage=OUTAGE_S)
    walk.event("scale all to 2", scale(proxy=2, authorize=2, authenticate=2))
    load.spread(walk.addresses("proxy", "targets"))
    walk.event("restart proxy, one of two", restart("proxy"), proxy(0), outage=5)
    walk.event("restart authorize, one of two", restart("authorize"), outage=2)
    load.spread(walk.addresses("proxy", "targets"))
    walk.event("kill proxy, one of two", crash("proxy"), proxy(0), told=False, outage=5)
    walk.event("kill authorize, one of two", crash("authorize"), outage=5)
    walk.event("kill authenticate, one of two", crash("authenticate"))
    walk.event("kill databroker", crash("databroker"))
    load.stop()

    walk.table()
    latest, allowed, denied = walk.check_policy()
    walk.check_streams()
    print(f"policy changed {len(walk.flips)} times: {allowed} logins allowed, {denied} denied; the last by the old "
          f"policy came {latest[True]:.1f} s (in) and {latest[False]:.1f} s (out) after the edit")
    print(f"logins that were not begun, since {RATE} a second are too many here:", len(load.of("skipped")))
    assert allowed and denied
    assert not walk.wrong, "\n".join(walk.wrong)


def oldest(stack):
    """The address of the proxy that scaling down leaves: the one with the lowest number."""
    first = min(stack.inspect("proxy"), key=lambda c: int(c["Config"]["Labels"]["com.docker.compose.container-number"]))
    return first["NetworkSettings"]["Networks"][f"{stack.project}_targets"]["IPAddress"]
