"""Daemons that die, stop and come back, under writes and under live connections."""
import datetime
import os
import signal
import sqlite3
import subprocess
import threading
import time

from stack import wait_for


def integrity(stack):
    with sqlite3.connect(stack.folder / "databroker/databroker.sqlite3") as db:
        return db.execute("pragma integrity_check").fetchone()[0]


def test_kill_9_of_the_databroker_during_writes(new_stack):
    stack = new_stack()
    stack.bind()
    bound = []
    stop = threading.Event()

    def sign_in_again_and_again():
        """Each approval that was answered with success is an acknowledged write."""
        i = 0
        while not stop.is_set():
            i += 1
            client = stack.ssh("true", key=f"writer{i}")
            try:
                done = stack.sign_in(client.url(15), check=False)
            except (AssertionError, subprocess.TimeoutExpired):
                continue
            if done.returncode == 0 and "successful" in done.stdout:
                bound.append(i)
    thread = threading.Thread(target=sign_in_again_and_again)
    thread.start()
    wait_for(lambda: len(bound) >= 5, 60, "five approvals")
    stack.kill("databroker")
    assert integrity(stack) == "ok"
    stack.spawn("databroker")
    stop.set()
    thread.join()
    stack.wait_ready()
    ids = {b["id"] for b in stack.cli_json("bindings", "list")}
    for i in bound:
        line = subprocess.run(["ssh-keygen", "-l", "-f", stack.key(f"writer{i}")], check=True,
                              capture_output=True, text=True).stdout
        assert "sshkey-" + line.split()[1] in ids, f"acknowledged binding {i} is lost"
    assert stack.run_ssh("echo ok").stdout == b"ok\n", "a login without a browser"


def wait_for_connected(stack, after):
    """When authorize has the databroker again, as its log says."""
    def found():
        lines = [x for x in stack.logs("authorize", "databroker connected") if x["time"] > after]
        return lines and datetime.datetime.fromisoformat(lines[0]["time"].replace("Z", "+00:00")).timestamp()
    return wait_for(found, 20, "authorize to connect again")


def test_no_revocation_is_missed_over_a_restart(new_stack):
    """100 writes of codes, kill -9, a session deleted while authorize looks away: one counter for
    all types would make the new history look older than what authorize has seen."""
    stack = new_stack()
    stack.bind()
    client = stack.ssh("echo up; sleep 600")
    client.stdout.wait("up")
    # At most 20 may wait per source address.
    waiting = [stack.ssh("true", key=f"code{i}", options=["-o", f"BindAddress=127.0.0.{2 + i // 10}", "-o", "ConnectTimeout=120"])
               for i in range(100)]
    for w in waiting:
        w.url(120)
    for w in waiting:
        w.kill()
    stack.kill("databroker")
    stack.signal("authorize", signal.SIGSTOP)
    stack.spawn("databroker")
    wait_for(lambda: stack.health("databroker") == 200, what="the databroker")
    session, = stack.cli_json("sessions", "list")
    stack.cli("sessions", "revoke", session["id"])
    assert client.process.poll() is None
    resumed = datetime.datetime.utcnow().isoformat()
    stack.signal("authorize", signal.SIGCONT)
    assert client.wait(20) != 0
    ended = time.time()
    assert ended - wait_for_connected(stack, resumed) < 2, "within a second, and what a busy machine adds"


def test_printed_links_work_after_a_databroker_restart(new_stack):
    stack = new_stack()
    client = stack.ssh("echo ok")
    url = client.url()
    stack.restart("databroker")

    def sign_in():
        return stack.sign_in(url, check=False).returncode == 0
    wait_for(sign_in, 20, "the link to work again", step=0.5)
    assert client.wait() == 0 and client.stdout.text() == "ok\n"


def streaming(stack):
    """A live session that prints a counter; gives a function that says how far it is."""
    client = stack.ssh("i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done")
    client.stdout.wait("3")

    def count():
        lines = client.stdout.text().split("\n")
        return int(lines[-2])
    return client, count


def goes_on(client, count):
    at = count()
    wait_for(lambda: count() > at + 5, 10, "the stream to go on")
    assert client.process.poll() is None


def test_live_session_survives_restarts(new_stack):
    stack = new_stack()
    stack.bind()
    client, count = streaming(stack)
    for service in ("authenticate", "databroker", "authorize"):
        stack.restart(service)
        goes_on(client, count)
        result = stack.run_ssh("echo ok", timeout=30)
        assert result.stdout == b"ok\n", result.stderr
    assert count() == len(client.stdout.text().split()), "no line lost or doubled"
    # It is still watched.
    session, = stack.cli_json("sessions", "list")
    stack.cli("sessions", "revoke", session["id"])
    assert client.wait(10) != 0


def test_stopped_authorize(new_stack):
    stack = new_stack()
    stack.bind()
    client, count = streaming(stack)
    stack.signal("authorize", signal.SIGSTOP)
    try:
        time.sleep(4)
        goes_on(client, count)
        begun = time.monotonic()
        refused = stack.ssh("true")
        assert refused.wait(20) == 255
        assert time.monotonic() - begun < 15
        assert "try again" in refused.stderr.text().lower(), refused.stderr.text()
        goes_on(client, count)
    finally:
        stack.signal("authorize", signal.SIGCONT)
    wait_for(lambda: stack.run_ssh("echo ok").stdout == b"ok\n", 20, "logins to work again")
    goes_on(client, count)


def test_worker_comes_back(new_stack):
    stack = new_stack()
    stack.bind()
    old = stack.pid("worker")
    begun = time.monotonic()
    os.kill(old, signal.SIGKILL)

    def login():
        result = stack.run_ssh("echo ok", options=["-o", "ConnectTimeout=2"])
        return result.stdout == b"ok\n"
    wait_for(login, 10, "a login")
    assert time.monotonic() - begun < 3
    assert stack.pid("worker") != old


def test_foreign_and_damaged_stores_are_refused(new_stack):
    stack = new_stack(start=False)
    path = stack.folder / "databroker/databroker.sqlite3"
    for content in (b"not a database at all" * 1000, None):
        if content is not None:
            path.write_bytes(content)
        else:
            path.unlink()
            with sqlite3.connect(path) as db:
                db.execute("create table x(y)")
                db.execute("pragma user_version=99")
            os.chmod(path, 0o600)
        run = subprocess.run([stack.bin / "postern-databroker", "--config", stack.folder / "postern.yaml"],
                             capture_output=True, text=True, timeout=20, env=stack.environment("databroker"))
        assert run.returncode in (1, 2)
        assert "databroker.sqlite3" in run.stderr, run.stderr
        assert path.exists()
