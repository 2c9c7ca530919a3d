"""First contact, approval, refusals: what plain ssh shows."""
import concurrent.futures
import re
import subprocess
import time

from stack import LOGIN, MATCH_CODE, wait_for


def curl(stack, url, *options):
    return subprocess.run(["curl", "-sS", "--cacert", stack.folder / "tls/localhost.crt", *options, url],
                          capture_output=True, text=True, timeout=30)


def test_first_contact_then_nothing(stack):
    first = stack.ssh("id; exit 7", key="first")
    url = first.url()
    text = first.stderr.text()
    assert re.search(r"^Please sign in to continue\s*$", text, re.M), text
    assert re.search(rf"^{re.escape(url)}\s*$", text, re.M), "the link has a line of its own"
    code = first.stderr.wait(MATCH_CODE).group(1)
    out = stack.sign_in(url)
    assert out.stdout.strip() == "Sign in successful"
    assert first.wait() == 7, first.stderr.text()
    assert first.stdout.text().startswith("uid=")
    assert len(code) >= 8
    second = stack.ssh("id; exit 7", key="first")
    assert second.wait() == 7 and second.stdout.text() == first.stdout.text()
    assert "sign_in" not in second.stderr.text()


def test_page_shows_the_terminal_s_match_code(stack, tmp_path):
    client = stack.ssh("true", key="match")
    url = client.url()
    code = client.stderr.wait(MATCH_CODE).group(1)
    cookies = tmp_path / "cookies"
    # Signed in by another approval first, so that this browser sees the page at once.
    other = stack.ssh("true", key="match-other")
    stack.sign_in(other.url(), cookies=cookies)
    page = curl(stack, url, "--cookie", cookies).stdout
    assert "Verify Sign In" in page and code in page
    assert "127.0.0.1" in page and f"{LOGIN}@demo" in page and "SHA256:" in page
    assert "ED25519" in page.upper()
    headers = curl(stack, url, "--cookie", cookies, "-D", "-", "-o", "/dev/null").stdout.lower()
    assert "content-security-policy: default-src 'none'" in headers
    assert "frame-ancestors 'none'" in headers and "x-frame-options: deny" in headers


def test_nothing_is_approved_by_a_get_or_a_forged_post(stack, tmp_path):
    cookies = tmp_path / "cookies"
    other = stack.ssh("true", key="forge-other")
    stack.sign_in(other.url(), cookies=cookies)
    client = stack.ssh("true", key="forge")
    url = client.url()
    for options in (["--get", "-d", "confirm=true"],
                    ["-d", "confirm=true"],
                    ["-d", "confirm=true&csrf_token=AAAA"],
                    ["-d", "confirm=true", "-H", "Origin: https://evil.test"]):
        curl(stack, url, "--cookie", cookies, *options)
    time.sleep(1)
    assert client.process.poll() is None, "still waiting"
    stack.sign_in(url, cookies=cookies)
    assert client.wait() == 0


def test_deny(stack):
    client = stack.ssh("true", key="deny")
    stack.sign_in(client.url(), "demo@localhost", "--deny")
    assert client.wait() == 255
    assert "denied" in client.stderr.text().lower()
    again = stack.ssh("true", key="deny")
    assert again.url() != "", "a denied key asks again"


def test_remember_me_needs_one_press(stack, tmp_path):
    cookies = tmp_path / "cookies"
    client = stack.ssh("true", key="remember")
    stack.sign_in(client.url(), "demo@localhost", "--remember", cookies=cookies)
    assert client.wait() == 0
    binding, = [b for b in stack.cli_json("bindings", "list") if b["id"].endswith(fingerprint(stack, "remember"))]
    session = binding["session_id"]
    stack.cli("sessions", "revoke", session)
    wait_for(lambda: not [s for s in stack.cli_json("sessions", "list") if s["id"] == session], what="revoke")
    client = stack.ssh("true", key="remember")
    url = client.url()
    cookies.unlink()
    # Another key signs in first, so that the browser has a session and sees the page itself.
    other = stack.ssh("true", key="remember-other")
    stack.sign_in(other.url(), cookies=cookies)
    page = curl(stack, url, "--cookie", cookies).stdout
    assert "autofocus>Authorize" in page and "create_id_binding" not in page
    assert client.process.poll() is None, "a GET approves nothing"
    stack.sign_in(url, cookies=cookies)
    assert client.wait() == 0


def fingerprint(stack, key):
    line = subprocess.run(["ssh-keygen", "-l", "-f", stack.key(key)], check=True, capture_output=True,
                          text=True).stdout
    return line.split()[1]


def test_expired_code(new_stack):
    stack = new_stack(ssh_sign_in_timeout="3s")
    client = stack.ssh("true")
    url = client.url()
    assert client.wait(15) == 255
    assert re.search(r"expired|not answered in time", client.stderr.text()), client.stderr.text()
    late = stack.sign_in(url, check=False)
    assert late.returncode != 0
    assert re.search(r"expired|not valid", late.stderr, re.I)


def test_no_key(stack):
    client = stack.ssh("true", key=None, options=["-o", "PubkeyAuthentication=no"])
    assert client.wait() == 255
    text = client.stderr.text()
    assert "ssh-keygen" in text and "Permission denied" in text
    assert text.count("ssh-keygen") == 1, "said once"


def test_wrong_key_then_right_key(new_stack):
    stack = new_stack()
    right = (stack.key("right").with_suffix(".pub")).read_text().strip()
    stack.key("wrong")
    route = stack.route("picky", policy=[{"allow": {"and": [
        {"email": {"is": "demo@localhost"}}, {"ssh_publickey": right}]}}])
    stack.write_config(routes=[route])
    stack.wait_log("authorize", "configuration reloaded")
    # Offered in this order.
    client = stack.ssh("true", key="right", route="picky", options=["-i", stack.key("wrong")])
    stack.sign_in(client.url())
    assert client.wait() == 0, client.stderr.text()
    bound = [b["id"] for b in stack.cli_json("bindings", "list")]
    assert bound == ["sshkey-" + fingerprint(stack, "right")], "the wrong key was not bound"
    alone = stack.ssh("true", key="wrong", route="picky")
    assert alone.wait() == 255
    assert "key" in alone.stderr.text() and "sign_in" not in alone.stderr.text()


def test_policy_denies(stack):
    client = stack.ssh("true", key="denied")
    stack.sign_in(client.url(), "other@localhost")
    assert client.wait() == 255
    text = client.stderr.text()
    assert "demo" in text and "polic" in text, text
    line = stack.wait_log("authorize", "authorize check", email="other@localhost", allow=False)
    assert "email-unauthorized" in line["allow-why-false"]


def test_unknown_route(stack):
    stack.bind(key="knows")
    client = stack.ssh("true", key="knows", route="nowhere")
    assert client.wait() == 255
    assert "nowhere" in client.stderr.text() and "sign_in" not in client.stderr.text()
    stranger = stack.ssh("true", key="stranger", route="nowhere")
    assert stranger.url(), "a stranger does not learn which routes there are"
    stranger.kill()


def test_unknown_route_told_to_anyone(new_stack):
    stack = new_stack(ssh_reveal_routes="anyone")
    client = stack.ssh("true", route="nowhere")
    assert client.wait() == 255
    assert "nowhere" in client.stderr.text() and "sign_in" not in client.stderr.text()


def test_two_connections_wait_for_one_approval(stack):
    a, b = (stack.ssh("echo ok", key="pair") for _ in range(2))
    assert a.url() == b.url()
    stack.sign_in(a.url())
    assert (a.wait(), b.wait()) == (0, 0)
    assert a.stdout.text() == b.stdout.text() == "ok\n"


def test_route_names_ignore_case(stack):
    stack.bind(key="case")
    client = stack.ssh("echo ok", key="case", route="DEMO")
    assert client.wait() == 0, client.stderr.text()


def test_password_and_hostbased_are_no_disconnect(stack):
    client = stack.ssh("true", key=None, options=[
        "-o", "PreferredAuthentications=password,hostbased,publickey", "-o", "NumberOfPasswordPrompts=0"])
    assert client.wait() == 255
    assert "Permission denied (publickey" in client.stderr.text()


def test_certificate_shows_who(stack):
    stack.bind(key="who")
    assert stack.run_ssh("true", key="who").returncode == 0
    log = stack.target.log.read_text()
    lines = [line for line in log.splitlines() if "Accepted publickey" in line or "Accepted certificate" in line]
    assert any(re.search(r"ID \S.*serial \d+", line) for line in lines), lines[-3:]
    serial = re.search(r"serial (\d+)", lines[-1]).group(1)
    assert serial not in ("0", "1")


def test_client_that_leaves_while_waiting(stack):
    client = stack.ssh("true", key="leaver")
    url = client.url()
    client.kill()
    time.sleep(0.5)
    again = stack.ssh("true", key="leaver")
    assert again.url() == url, "one code per key"
    stack.sign_in(url)
    assert again.wait() == 0


def test_login_form_is_limited(new_stack, tmp_path):
    stack = new_stack()
    client = stack.ssh("true")
    url = client.url()
    wrong = tmp_path / "wrong"
    wrong.write_text("not the password\n")
    good, stack.password_file = stack.password_file, wrong
    # At once: one more try is let through every 6 s, so the test must not take its time.
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        said = list(pool.map(lambda _: stack.sign_in(url, check=False).stderr, range(20)))
    wrong = sum("wrong" in s for s in said)
    limited = sum("Too many tries" in s for s in said)
    assert wrong + limited == 20 and limited > 0, said
    assert 10 <= wrong <= 10 + (time.monotonic() - began) / 6 + 1
    stack.password_file = good
    assert client.process.poll() is None


