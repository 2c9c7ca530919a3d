"""postern doctor and hostkeys scan against good and bad targets; config status. Each prints what an
administrator sees: run with -s for the transcripts."""
import contextlib
import glob
import json
import os
import re
import signal
import subprocess
import time

import pytest

from grpc_peer import grpc_call
from home import Home, same_lines
from stack import LOGIN, Stack, Target, can_connect, free_ports, wait_for
from test_45_replicas import Replicas

FAKETIME = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")


class ClockTarget(Target):
    """An sshd that believes in another time."""

    def __init__(self, *args, offset, **kwargs):
        super().__init__(*args, **kwargs)
        self.offset = offset

    def start(self):
        assert FAKETIME, "the package faketime is missing"
        with environ(LD_PRELOAD=FAKETIME[0], FAKETIME=self.offset, DONT_FAKE_MONOTONIC="1"):
            return super().start()


@contextlib.contextmanager
def environ(**values):
    os.environ.update(values)
    try:
        yield
    finally:
        for name in values:
            os.environ.pop(name)


class World:
    def __init__(self, folder):
        folder = folder / "world"
        self.stack = Stack(folder, "dev", start=False)
        ca = folder / "keys/user_ca.pub"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "other_ca"],
                       check=True)
        self.targets = {
            "no-ca": Target(folder / "no-ca", folder / "other_ca.pub"),
            "behind": ClockTarget(folder / "behind", ca, offset="-10m"),
            "ahead": ClockTarget(folder / "ahead", ca, offset="+10m"),
            "changed": Target(folder / "changed", ca),
            "one-try": Target(folder / "one-try", ca, extra="MaxAuthTries 1\n"),
            "no-publickey": Target(folder / "no-publickey", ca),
            "rsa-only": Target(folder / "rsa-only", ca, "rsa"),
            # No host key algorithm, and no key exchange, that we would take.
            "sha1": Target(folder / "sha1", ca, "rsa", extra="HostKeyAlgorithms ssh-rsa\n"),
            "old-kex": Target(folder / "old-kex", ca, extra="KexAlgorithms diffie-hellman-group14-sha1,"
                              "ecdh-sha2-nistp256\n"),
            "rsa-users": Target(folder / "rsa-users", ca, extra="PubkeyAcceptedAlgorithms "
                                "rsa-sha2-512-cert-v01@openssh.com,rsa-sha2-256-cert-v01@openssh.com\n"),
            "ecdsa-users": Target(folder / "ecdsa-users", ca,
                                  extra="PubkeyAcceptedAlgorithms ecdsa-sha2-nistp256-cert-v01@openssh.com\n"),
            "locked": Target(folder / "locked", ca,
                             extra="Match User *\nAuthenticationMethods publickey,publickey\n"),
        }
        no_publickey = self.targets["no-publickey"]
        no_publickey.extra = ("Match User *\nPubkeyAuthentication no\nPasswordAuthentication yes\n"
                              "AuthenticationMethods password\n")
        closed, self.http_port, self.silent_port, self.noise_port = free_ports(4)
        self.addresses = {name: f"127.0.0.1:{t.port}" for name, t in self.targets.items()}
        self.addresses.update({
            "closed": f"127.0.0.1:{closed}",
            "nowhere": "no-such-host.invalid:22",
            "not-ssh": f"127.0.0.1:{self.http_port}",
            "silent": f"127.0.0.1:{self.silent_port}",
            "noise": f"127.0.0.1:{self.noise_port}",
            "pinned": f"127.0.0.1:{self.stack.target.port}",
        })
        routes = [self.stack.route("demo", allow=[{"email": {"is": "demo@localhost"}}])]
        for name, address in self.addresses.items():
            routes.append({"from": f"ssh://{name}", "to": f"ssh://{address}",
                           "policy": [{"allow": {"and": [{"accept": True}]}}]})
        routes[-1]["ssh_upstream_host_keys"] = [
            (folder / "other_ca.pub").read_text().rsplit(" ", 1)[0]]
        self.stack.write_config(routes=routes)

    def __enter__(self):
        self.exit = contextlib.ExitStack()
        self.exit.enter_context(self.stack)
        for target in self.targets.values():
            self.exit.callback(target.stop)
            target.start()
        for port, argv in ((self.http_port, ["python3", "-c", HTTP]),
                           (self.silent_port, ["python3", "-c", SILENT]),
                           (self.noise_port, ["python3", "-c", NOISE])):
            process = subprocess.Popen([*argv, str(port)])
            self.exit.callback(process.kill)
            wait_for(lambda p=port: can_connect(p), 10, "a listener")
        self.stack.start()
        return self

    def __exit__(self, *exc):
        self.exit.__exit__(*exc)

    def doctor(self, *args):
        """(exit status, {step: row}, transcript); the transcript is printed."""
        shown = self.stack.cli("doctor", *args, check=False)
        print(f"\n$ postern doctor {' '.join(args)}\n{shown.stdout}{shown.stderr}"
              f"exit status {shown.returncode}")
        told = self.stack.cli("--json", "doctor", *args, check=False)
        assert told.returncode == shown.returncode, (told, shown)
        answer = json.loads(told.stdout)
        assert not re.search(r"PRIVATE KEY|shared_secret", told.stdout)
        return shown.returncode, {s["name"]: s for s in answer["steps"]}, shown.stdout


HTTP = """
import socket, sys
s = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    c, _ = s.accept()
    c.sendall(b"HTTP/1.0 400 Bad Request\\r\\n\\r\\n")
    c.close()
"""
SILENT = """
import socket, sys
s = socket.create_server(("127.0.0.1", int(sys.argv[1])))
kept = []
while True:
    kept.append(s.accept())
"""
NOISE = """
import contextlib, os, socket, sys
s = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    c, _ = s.accept()
    with contextlib.suppress(OSError):
        for _ in range(16):
            c.sendall(b"\\x1b[31m" + bytes(range(128, 256)) * 64)
    c.close()
"""
STEPS = ["route", "resolve", "connect", "banner", "kex", "host-key", "certificate"]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with World(tmp_path_factory.mktemp("doctor")) as w:
        yield w


def outcomes(steps):
    return [steps[name]["outcome"] for name in STEPS]


def fails_at(result, step, *words):
    """That step failed, the ones before went well, none after was tried; its words say what to do."""
    status, steps, transcript = result
    at = STEPS.index(step)
    assert status == 1
    assert outcomes(steps) == ["ok"] * at + ["failed"] + ["skipped"] * (len(STEPS) - at - 1), steps
    flat = " ".join(transcript.split())
    for word in words:
        assert word in flat, (word, transcript)
    assert "what to do:" in transcript


def test_healthy(world):
    status, steps, _ = world.doctor("demo", "--login", LOGIN)
    assert status == 0
    assert outcomes(steps) == ["ok"] * 7
    assert "OpenSSH" in steps["banner"]["text"]
    assert "ssh-ed25519" in steps["kex"]["text"]
    assert world.stack.target.fingerprint in steps["host-key"]["text"]
    line = world.stack.wait_log("authorize", "admin probe", route="demo", result="ok")
    assert line["by"] == "tests" and line["login"] == LOGIN and line["kind"] == "doctor"
    # Who asked is on record twice, the second time as the certificate says it.
    call = world.stack.wait_log("databroker", "admin call", id=line["id"], method="Put")
    assert call["name"] == "tests"
    # The target saw a certificate that can do nothing, and no session.
    log = world.stack.target.log.read_text()
    assert "user=tests connection=" in log and "force-command" not in log
    assert "Starting session" not in log
    # Nothing was recorded: a doctor does not accept.
    assert "demo" not in world.stack.cli("hostkeys", "list").stdout


def test_default_login_is_the_callers(world):
    status, _, transcript = world.doctor("demo")
    assert status == 0 and f"for login {LOGIN}" in transcript


def test_without_our_ca(world):
    fails_at(world.doctor("no-ca", "--login", LOGIN), "certificate", "TrustedUserCAKeys",
             "postern ca show", f"getent passwd {LOGIN}", "no such login")


def test_unknown_login(world):
    fails_at(world.doctor("demo", "--login", "nobody-here"), "certificate", "TrustedUserCAKeys",
             "getent passwd nobody-here")


def test_closed_port(world):
    fails_at(world.doctor("closed"), "connect", "Nothing listens there", "Start sshd")


def test_unknown_name(world):
    result = world.doctor("nowhere")
    fails_at(result, "resolve", "to: of the route")
    fails_at(world.doctor("no-such-route"), "route",
             'There is no SSH route called "no-such-route"', "from: ssh://no-such-route")


def test_changed_host_key(world):
    stack, target = world.stack, world.targets["changed"]
    stack.bind(route="changed")
    old = target.fingerprint
    target.stop()
    target.make_host_key()
    target.start()
    fails_at(world.doctor("changed", "--login", LOGIN), "host-key", old, target.fingerprint,
             "postern hostkeys accept changed")
    scanned = stack.cli("hostkeys", "scan", "changed")
    print(f"\n$ postern hostkeys scan changed\n{scanned.stdout}")
    row, = stack.cli_json("hostkeys", "scan", "changed")
    assert (row["state"], row["fingerprint"], row["recorded"]) == ("changed", target.fingerprint, old)
    # What doctor said works: the key was kept for it, not accepted.
    assert stack.run_ssh("true", route="changed").returncode == 255
    stack.cli("hostkeys", "accept", "changed")
    status, steps, _ = world.doctor("changed", "--login", LOGIN)
    assert status == 0 and "the one that is known" in steps["host-key"]["text"]


def test_clock_behind(world):
    fails_at(world.doctor("behind", "--login", LOGIN), "certificate", "its clock is more than 2 minutes "
             "behind", "timedatectl")
    assert "not yet valid" in world.targets["behind"].log.read_text()


def test_clock_ahead(world):
    fails_at(world.doctor("ahead", "--login", LOGIN), "certificate",
             "its clock is more than 5 minutes ahead", "timedatectl")


def test_one_try_is_enough(world):
    """Each certificate has a connection of its own, so MaxAuthTries does not matter."""
    assert world.doctor("one-try", "--login", LOGIN)[0] == 0
    fails_at(world.doctor("one-try", "--login", "nobody-here"), "certificate", "TrustedUserCAKeys")


def test_other_servers(world):
    fails_at(world.doctor("not-ssh"), "banner", "HTTP/1.0 400", "Correct the port")
    fails_at(world.doctor("silent"), "banner", "no SSH server speaks there")
    fails_at(world.doctor("no-publickey"), "certificate", "PubkeyAuthentication")


def test_noise_is_bounded(world):
    status, steps, transcript = world.doctor("noise")
    assert status == 1 and steps["banner"]["outcome"] == "failed"
    assert transcript.isprintable() or not re.search(r"[^\n -~…]", transcript), transcript
    assert len(steps["banner"]["text"]) < 80 * 4 + 60, "80 bytes, each shown as \\x.. at worst"


def test_rsa_only(world):
    """A target with an RSA host key alone: known by SHA-2 signatures, never by SHA-1."""
    status, steps, _ = world.doctor("rsa-only", "--login", LOGIN)
    assert status == 0 and "rsa-sha2-512" in steps["kex"]["text"]
    assert world.targets["rsa-only"].fingerprint in steps["host-key"]["text"]


@pytest.mark.parametrize("name, words", [("ecdsa-users", "with an ECDSA key"), ("rsa-users", "with an RSA key")])
def test_other_types_of_user_keys(world, name, words):
    """What a login falls back to, a doctor asks about."""
    status, steps, transcript = world.doctor(name, "--login", LOGIN)
    assert status == 0 and words in steps["certificate"]["text"]
    fails_at(world.doctor(name, "--login", "nobody-here"), "certificate", "TrustedUserCAKeys")


@pytest.mark.parametrize("name", ["sha1", "old-kex"])
def test_too_old(world, name):
    """libssh2 could talk to these; a login cannot, and so the doctor does not."""
    fails_at(world.doctor(name, "--login", LOGIN), "kex", "no algorithm in common", "rsa-sha2-*",
             "curve25519-sha256")
    # Nobody logs in to demo here: its host key stays unrecorded.
    world.stack.bind(key=f"for-{name}", route="changed")
    refused = world.stack.run_ssh("true", route=name, key=f"for-{name}")
    assert refused.returncode == 255, refused


def test_account_that_is_kept_out(world):
    """The certificate is good, and the target says no for another reason: not the CA, not the clock."""
    fails_at(world.doctor("locked", "--login", LOGIN), "certificate", "the certificate is good",
             "AuthenticationMethods", f"chage -l {LOGIN}")


def test_pinned(world):
    fails_at(world.doctor("pinned"), "host-key", "ssh_upstream_host_keys")
    row, = world.stack.cli_json("hostkeys", "scan", "pinned")
    assert row["state"] == "not-pinned"


def test_scan(world):
    stack = world.stack
    row, = stack.cli_json("hostkeys", "scan", "one-try")
    target = world.targets["one-try"]
    assert row["state"] == "new" and row["type"] == "ssh-ed25519"
    assert row["fingerprint"] == target.fingerprint
    line = stack.cli("hostkeys", "scan", "one-try", "--known-hosts").stdout
    public = target.host_key.with_suffix(".pub").read_text().split()
    assert line.split() == [f"[127.0.0.1]:{target.port}", *public[:2]]
    everything = stack.cli("hostkeys", "scan", "--all", check=False)
    print(f"\n$ postern hostkeys scan --all\n{everything.stdout}{everything.stderr}")
    assert everything.returncode == 1  # some of the targets are not there
    assert everything.stdout.count("ssh-ed25519") >= 7
    assert "closed: Nothing listens there" in everything.stderr
    assert stack.cli("hostkeys", "scan", check=False).returncode == 2


def test_scan_of_all_types(world, tmp_path):
    """A target with a key of each type shows all of them."""
    target = world.targets["no-ca"]
    keys = []
    for key_type in ("rsa", "ecdsa"):
        path = tmp_path / key_type
        subprocess.run(["ssh-keygen", "-q", "-t", key_type, "-N", "", "-f", path], check=True)
        keys.append(path)
    target.extra = "".join(f"HostKey {k}\n" for k in keys)
    target.restart()
    rows = world.stack.cli_json("hostkeys", "scan", "no-ca")
    assert sorted(r["type"] for r in rows) == ["ecdsa-sha2-nistp256", "ssh-ed25519", "ssh-rsa"]


def test_rights(world):
    """Only a configured route's target is dialled, whatever the request says."""
    answer = world.stack.cli("--json", "doctor", "127.0.0.1:22", check=False)
    steps = {s["name"]: s["outcome"] for s in json.loads(answer.stdout)["steps"]}
    assert steps["route"] == "failed" and steps["connect"] == "skipped"


PUT = "/databroker.DataBrokerService/Put"


def field(number, data):
    """A length-delimited field of protobuf, shorter than 128 bytes or by two bytes of length."""
    size = len(data)
    return bytes([number << 3 | 2]) + (bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])) + data


def probe_put(probe_id):
    kind = b"type.googleapis.com/postern.ProbeRequest"
    message = b"".join(field(n, t) for n, t in ((1, b"doctor"), (2, b"demo"), (3, b"new"), (6, LOGIN.encode()), (7, b"tests")))
    record = field(2, kind) + field(3, probe_id) + field(4, field(1, kind) + field(2, message))
    return field(1, record)


def test_who_may_ask(world):
    """Administrators: the proxy may not call the databroker at all, authenticate not write this."""
    stack, service = world.stack, world.stack.folder / "service"
    for name, wanted in (("proxy", 7), ("authenticate", 7)):
        status = grpc_call(stack.databroker_port, PUT, service / f"{name}.crt", service / f"{name}.key",
                           request=probe_put(b"0123"))
        assert status == wanted, (name, status)
    assert not stack.logs("authorize", "admin probe", id="0123")
    # The same bytes under an administrator's certificate are a doctor's request.
    pem = stack.folder / "admin.pem"
    assert grpc_call(stack.databroker_port, PUT, pem, pem, request=probe_put(b"4567")) == 0
    assert stack.wait_log("authorize", "admin probe", id="4567")["result"] == "ok"


def test_certificate_is_good_for_nothing(world, tmp_path):
    """The shape that authorize's unit test finds in a probe's certificate, at a real sshd."""
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    subprocess.run(["ssh-keygen", "-q", "-s", world.stack.folder / "keys/user_ca", "-I", "probe", "-n", LOGIN, "-V", "-2m:+5m",
                    "-O", "clear", "-O", "force-command=/bin/false", f"{key}.pub"], check=True)
    target = world.stack.target
    ssh = ["-F", "none", "-i", key, "-o", f"Port={target.port}", "-o", "StrictHostKeyChecking=no", "-o", "BatchMode=yes",
           "-o", f"UserKnownHostsFile={tmp_path}/known", "-o", "IdentitiesOnly=yes"]
    forwarded, = free_ports(1)
    for argv in (["ssh", *ssh, f"{LOGIN}@127.0.0.1", "touch", tmp_path / "made"],
                 ["ssh", *ssh, "-tt", f"{LOGIN}@127.0.0.1"],
                 ["ssh", *ssh, "-W", f"127.0.0.1:{target.port}", f"{LOGIN}@127.0.0.1"],
                 ["ssh", *ssh, "-N", "-o", "ExitOnForwardFailure=yes", "-R", f"{forwarded}:127.0.0.1:1", f"{LOGIN}@127.0.0.1"],
                 ["scp", *ssh, key, f"{LOGIN}@127.0.0.1:{tmp_path}/made"]):
        run = subprocess.run(argv, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
        assert run.returncode != 0 and "Permission denied" not in run.stderr, (argv, run)
    assert not (tmp_path / "made").exists()


# faketime's library also bends the waits on condition variables, with which gRPC comes to a stop. Behind it
# must be: the kernel does not know of it, and gRPC's timers, due at some time of day, would not be for 10 minutes.
TEN_MINUTES_BEHIND = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>
int clock_gettime(clockid_t clock, struct timespec *t)
{
    int (*real)(clockid_t, struct timespec *) = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int status = real(clock, t);
    if (clock == CLOCK_REALTIME)
        t->tv_sec -= 600;
    return status;
}
int gettimeofday(struct timeval *v, void *zone)
{
    struct timespec t;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &t);
    *v = (struct timeval){t.tv_sec, t.tv_nsec / 1000};
    return 0;
}
time_t time(time_t *out)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    if (out)
        *out = t.tv_sec;
    return t.tv_sec;
}
"""


def test_clock_of_authorize(tmp_path):
    """authorize, which signs, is 10 minutes behind: every target is ahead, says the doctor."""
    library = tmp_path / "behind.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-xc", "-", "-o", library], input=TEN_MINUTES_BEHIND, text=True, check=True)

    class Behind(Stack):
        def environment(self, service):
            more = {"LD_PRELOAD": str(library)} if service == "authorize" else {}
            return dict(super().environment(service), **more)

    # Not the sanitizers' build: their runtime wants to be the first library.
    with Behind(tmp_path / "stack", "release") as stack:
        shown = stack.cli("doctor", "demo", "--login", LOGIN, check=False)
        print(f"\n$ postern doctor demo --login {LOGIN} # authorize is 10 minutes behind\n{shown.stdout}")
        assert shown.returncode == 1
        flat = " ".join(shown.stdout.split())
        assert "more than 5 minutes ahead of ours" in flat and "If it is right, ours is behind" in flat


def test_many_at_once(world):
    """More probes than may run at a time are all answered."""
    stack = world.stack
    argv = [stack.bin / "postern", "--config", stack.folder / "postern.yaml", "--admin",
            stack.folder / "admin.pem", "--json", "doctor", "demo", "--login", LOGIN]
    running = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(12)]
    results = [json.loads(p.communicate(timeout=100)[0])["result"] for p in running]
    assert results.count("ok") >= 4 and set(results) <= {"ok", "failed"}


def test_docs(world, snippets, tmp_path):
    home = Home(world.stack, tmp_path)
    for block in snippets("docs/deployment.md"):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, wanted = part.partition("\n")
            same_lines(squeezed(home.named(wanted)), squeezed(home.run(command)), command)


def squeezed(table):
    """How wide the columns are depends on what is in them."""
    return re.sub(r"[ \n]+", " ", table)


def test_config_status(tmp_path, snippets):
    """All are the same, a reload is seen, one that refuses or ignores the file is shown."""
    class OneFile(Stack):
        def environment(self, service):
            # The address is the only thing that an environment sets here, and it counts.
            return {k: v for k, v in super().environment(service).items() if k != "HEALTH_CHECK_ADDR"}

        def health_port(self, service):
            return {"proxy": 28080, "authenticate": 28081, "authorize": 28082, "databroker": 28083}[service]

    wait_for(lambda: not any(can_connect(p) for p in range(28080, 28084)), 100, "the health endpoints' ports to be free")
    with OneFile(tmp_path) as stack:
        def status(expected):
            told = stack.cli("--json", "config", "status", check=False).stdout
            shown = stack.cli("config", "status", check=False)
            rows = {r["service"]: r["state"] for r in map(json.loads, told.splitlines())}
            return rows == expected and shown

        def health(*args):
            return stack.postern("--config", stack.folder / "postern.yaml", "health", *args, check=False)
        same = dict.fromkeys(("authenticate", "authorize", "databroker", "proxy"), "same")
        shown = wait_for(lambda: status(same), 20, "all to be the same")
        print(f"\n$ postern config status\n{shown.stdout}")
        assert shown.returncode == 0
        (tmp_path / "home").mkdir()
        home = Home(stack, tmp_path / "home")
        block, = snippets("docs/deployment.md")
        command, wanted = block[2:].split("\n", 1)
        same_lines(squeezed(home.named(wanted)), squeezed(home.run(command)), command)
        assert health().stdout.count(" ok") == 4
        # Everybody reloads; the proxy's new hash comes with its heartbeat.
        before = instances(stack)["proxy"]["config_hash"]
        stack.write_config(access_log_interval="7m")
        wait_for(lambda: status(same), 20, "all to have reloaded")
        assert instances(stack)["proxy"]["config_hash"] != before
        # One that does not see the change.
        stack.signal("authenticate", signal.SIGSTOP)
        try:
            stack.write_config(access_log_interval="8m")
            pending = wait_for(lambda: status({**same, "authenticate": "reload pending"}), 20, "a row")
            assert pending.returncode == 1
            differs = wait_for(lambda: status({**same, "authenticate": "differs"}), 30, "a row")
            print(f"\n$ postern config status\n{differs.stdout}")
            assert differs.returncode == 1
            slow = health("--service", "authenticate")
            assert slow.returncode == 1 and "no answer" in slow.stdout
        finally:
            stack.signal("authenticate", signal.SIGCONT)
        wait_for(lambda: status(same), 20, "all to be the same again")
        # One that cannot take it: a file of its own is missing.
        gone = stack.folder / "gone"
        gone.write_text((stack.folder / "secrets/cookie_secret").read_text())
        os.chmod(gone, 0o600)
        stack.write_config(cookie_secret_file=str(gone))
        wait_for(lambda: status(same), 20, "all to be the same")
        gone.unlink()
        stack.write_config(access_log_interval="9m")
        refused = wait_for(lambda: status({**same, "authenticate": "refused"}), 20, "a refusal")
        print(f"\n$ postern config status\n{refused.stdout}")
        assert str(gone) in refused.stdout
        started = time.monotonic()
        told = health("--service", "authenticate")
        print(f"\n$ postern health --service authenticate # {time.monotonic() - started:.3f} s\n{told.stdout}")
        assert "config" in told.stdout
        assert "is no" not in told.stdout


def instances(stack):
    return {r["service"]: r for r in stack.cli_json("records", "list", "Instance")}


def test_config_status_of_replicas(tmp_path):
    """Each of several is a row of its own; one that is killed is told from one that was stopped."""
    six = ["databroker", "authorize", "authorize2", "authenticate", "proxy", "proxy2"]
    with Replicas(tmp_path / "stack") as stack:
        stack.start(*six)

        def rows():
            return [json.loads(line) for line in stack.cli("--json", "config", "status", check=False).stdout.splitlines()]

        def services():
            return sorted(r["service"] for r in rows() if r.get("instance"))
        all_six = sorted(s.rstrip("2") for s in six)
        wait_for(lambda: services() == all_six, 10, "six instances")
        ids = {r["id"] for r in rows() if r["service"] != "databroker"}
        assert len(ids) == 5 and all(len(r["config_hash"]) == 64 and r["build"] == "0.1.0" and r["seen"] for r in rows())
        # A proxy that moves to another authorize stays one row, and so do all when the databroker forgets them.
        stack.restart("databroker")
        wait_for(lambda: {r.get("id") for r in rows() if r["service"] != "databroker"} == ids, 15, "the same again")
        assert services() == all_six
        stack.stop("authorize2")
        wait_for(lambda: len(services()) == 5, 10, "five")
        wait_for(lambda: len({r["id"] for r in rows() if r["service"] == "proxy"}) == 2, 10, "both proxies")
        stack.kill("authenticate")
        print("\n" + stack.cli("config", "status", check=False).stdout)
        gone = wait_for(lambda: [r for r in rows() if r["state"] == "not heard from"], 70, "it to be missed", step=1)
        assert [r["service"] for r in gone] == ["authenticate"]
        print("\n" + stack.cli("config", "status", check=False).stdout)
        stack.start("authenticate")
        wait_for(lambda: [r["state"] for r in rows() if r["service"] == "authenticate"].count("not heard from") == 1
                 and services().count("authenticate") == 2, 10, "the new one next to the old one")


def test_without_a_proxy(tmp_path):
    with Stack(tmp_path) as stack:
        before = wait_for(lambda: len(instances(stack)) == 4 and instances(stack), 10, "instances")
        stack.stop("proxy")
        wait_for(lambda: "proxy" not in instances(stack), 10, "the proxy's record to go")
        shown = stack.cli("doctor", "demo", check=False)
        print(f"\n$ postern doctor demo\n{shown.stdout}")
        assert shown.returncode == 1 and "No proxy is connected" in " ".join(shown.stdout.split())
        status = stack.cli("config", "status", check=False)
        assert status.returncode == 1 and "missing" in status.stdout
        # The databroker forgets them; they are written again, without doubles.
        stack.restart("databroker")
        stack.start("proxy")
        wait_for(lambda: len(stack.cli_json("records", "list", "Instance")) == 4, 30, "instances")
        after = instances(stack)
        assert after["authorize"]["id"] == before["authorize"]["id"]
        assert after["proxy"]["id"] != before["proxy"]["id"]
        assert after["proxy"]["host"] == os.uname().nodename
