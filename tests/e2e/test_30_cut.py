"""A live connection ends the moment the decision no longer holds, with a sentence."""
import re
import time

import pytest

from stack import LOGIN, wait_for

# "Within a second of the commit", and what a busy machine needs to notice and to start a process.
CUT_SECONDS = 1.0
SLACK = 1.0


def live(stack, key="id_ed25519"):
    """A bound key's connection that would go on for ten minutes."""
    client = stack.ssh("echo up; sleep 600", key=key)
    client.stdout.wait("up")
    return client


def ends(client, begun, sentence):
    """The client ends within a second, and its stderr has the sentence."""
    status = client.wait(10)
    took = time.monotonic() - begun
    text = client.stderr.text()
    assert status != 0
    assert took < CUT_SECONDS + SLACK, f"{took:.2f} s"
    assert re.search(sentence, text), text
    return took


def asks_again(stack, key="id_ed25519"):
    client = stack.ssh("true", key=key)
    assert client.url()
    client.kill()


def test_session_revoked(new_stack):
    stack = new_stack()
    stack.bind()
    client = live(stack)
    session, = stack.cli_json("sessions", "list")
    begun = time.monotonic()
    stack.cli("sessions", "revoke", session["id"])
    ends(client, begun, r"(?i)session.*(ended|revoked|signed out)")
    asks_again(stack)


def test_binding_revoked(new_stack):
    stack = new_stack()
    stack.bind()
    client = live(stack)
    binding, = stack.cli_json("bindings", "list")
    begun = time.monotonic()
    stack.cli("bindings", "revoke", binding["id"])
    ends(client, begun, r"(?i)key.*(revoked|no longer)")
    asks_again(stack)


def test_policy_edited(new_stack):
    stack = new_stack()
    stack.bind()
    client = live(stack)
    allowed = stack.wait_log("authorize", "authorize check", allow=True)
    assert allowed["route"] == "demo" and allowed["login"] == LOGIN
    begun = time.monotonic()
    stack.write_config(routes=[stack.route("demo", allow=[{"email": {"is": "nobody@localhost"}}])])
    ends(client, begun, r"(?i)polic")
    denied = stack.wait_log("authorize", "authorize check", allow=False)
    assert "email-unauthorized" in denied["allow-why-false"]
    assert denied["connection-id"] == allowed["connection-id"]
    again = stack.ssh("true")
    assert again.wait() == 255
    assert "polic" in again.stderr.text() and "sign_in" not in again.stderr.text()


def test_route_removed(new_stack):
    stack = new_stack()
    stack.bind()
    client = live(stack)
    begun = time.monotonic()
    stack.write_config(routes=[])
    ends(client, begun, r"demo")


def test_session_expires(new_stack):
    stack = new_stack(cookie_expire="20s")
    stack.bind()
    client = live(stack)
    session, = stack.cli_json("sessions", "list")
    expires = time.mktime(time.strptime(session["expires_at"][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
    assert client.wait(40) != 0
    late = time.time() - expires
    assert -0.1 < late < 1 + CUT_SECONDS + SLACK, late
    assert re.search(r"(?i)session.*expired", client.stderr.text()), client.stderr.text()
    asks_again(stack)


def until(end, criterion):
    """A criterion that holds up to `end`, in seconds since 1970."""
    if criterion == "date":
        return {"date": {"before": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end))}}
    # Five and a half hours ahead of UTC, and no summer time: the file of tzdata says so.
    there = time.gmtime(end + 19800)
    before = time.strftime("%H:%M:%S", there)
    return {"time_of_day": {"timezone": "Asia/Kolkata", "after": before[:-2] + f"{(there.tm_sec + 1) % 60:02}", "before": before}}


@pytest.mark.parametrize("criterion", ["date", "time_of_day"])
def test_time_is_over(new_stack, criterion):
    stack = new_stack()
    stack.bind()
    end = int(time.time()) + 8
    allow = [{"email": {"is": "demo@localhost"}}, until(end, criterion)]
    stack.write_config(routes=[stack.route("demo", allow=allow)])
    stack.wait_log("authorize", "configuration reloaded")
    client = live(stack)
    assert client.wait(20) != 0
    assert -0.1 < time.time() - end < CUT_SECONDS + SLACK
    assert "polic" in client.stderr.text()
    denied = stack.wait_log("authorize", "authorize check", allow=False)
    assert denied["allow-why-false"] == [f"{criterion.replace('_', '-')}-unauthorized"]


@pytest.mark.parametrize("selector", ["id", "--user", "--session", "--route"])
def test_connections_cut(new_stack, selector):
    stack = new_stack()
    stack.bind()
    client = live(stack)
    connection, = wait_for(lambda: stack.cli_json("connections", "list"), what="the record")
    value = {"id": [connection["id"]], "--user": ["--user", "demo@localhost"],
             "--session": ["--session", connection["session_id"]], "--route": ["--route", "demo"]}[selector]
    begun = time.monotonic()
    out = stack.cli("connections", "cut", *value, "--reason", "maintenance at noon")
    assert out.stdout.startswith("cut 1")
    ends(client, begun, "maintenance at noon")
    # A cut ends the connection, not the session.
    assert stack.run_ssh("echo ok").stdout == b"ok\n"


def test_reload_that_changes_nothing_cuts_nobody(new_stack):
    stack = new_stack()
    stack.bind()
    client = live(stack)
    stack.write_config(routes=[stack.route("demo", allow=[{"email": {"is": "demo@localhost"}}]),
                               stack.route("more", allow=[{"email": {"is": "demo@localhost"}}])])
    wait_for(lambda: stack.run_ssh("true", route="more").returncode == 0, what="the new route")
    assert client.process.poll() is None
    (stack.folder / "postern.yaml").write_text("routes: [\n")
    line = stack.wait_log("authorize", level="error")
    assert "postern.yaml" in str(line)
    assert stack.run_ssh("true").returncode == 0, "the old configuration stays"
    assert client.process.poll() is None


def test_client_without_channels_is_told(new_stack):
    stack = new_stack()
    stack.bind()
    client = stack.ssh(options=["-N"])
    wait_for(lambda: stack.cli_json("connections", "list"), what="the record")
    begun = time.monotonic()
    stack.cli("connections", "cut", "--route", "demo", "--reason", "tunnel not wanted")
    ends(client, begun, "tunnel not wanted")


def test_shutdown_tells_users(new_stack):
    stack = new_stack(shutdown_grace="2s")
    stack.bind()
    client = live(stack)
    stack.stop("proxy")
    assert client.wait(10) != 0
    assert re.search(r"(?i)restart|shut", client.stderr.text()), client.stderr.text()


def test_owner_alone_revokes_in_the_browser(new_stack, tmp_path):
    import subprocess
    stack = new_stack()
    stack.bind()
    mine, = stack.cli_json("bindings", "list")
    cookies = tmp_path / "cookies"
    other = stack.ssh("true", key="other")
    stack.sign_in(other.url(), "other@localhost", cookies=cookies)
    base = stack.config["authenticate_service_url"]
    page = subprocess.run(["curl", "-sS", "-k", "--cookie", cookies, f"{base}/.pomerium/session_binding_info"],
                          capture_output=True, text=True).stdout
    token = re.search(r'action="/\.pomerium/session_binding/revoke">\s*<input[^>]*name="csrf_token" value="([^"]+)"', page).group(1)
    code = subprocess.run(["curl", "-sS", "-k", "--cookie", cookies, "-o", "/dev/null", "-w", "%{http_code}",
                           "--data-urlencode", f"csrf_token={token}", "--data-urlencode", f"sessionBindingID={mine['id']}",
                           f"{base}/.pomerium/session_binding/revoke"], capture_output=True, text=True).stdout
    assert code == "403"
    assert mine["id"] in [b["id"] for b in stack.cli_json("bindings", "list")]
