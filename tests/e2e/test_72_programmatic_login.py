"""Sign-in for programs: a link whose end is the program's own listener, and one for machines without a browser."""
import base64
import concurrent.futures
import hashlib
import hmac
import http.server
import json
import os
import re
import subprocess
import threading
import time
import urllib.parse

import pytest

from browser import Browser
from grpc_peer import grpc_call
from idp import Glewlwyd
from stack import BUILDS, Stack
from tunnels import TcpServer, connect, echo, tcp_route

LOGIN_API = "/.pomerium/api/v1/login"


class Answer:
    def __init__(self, status, head, body):
        self.status = status
        self.body = body
        self.headers = {}
        for line in head.splitlines()[1:]:
            name, _, value = line.partition(":")
            self.headers.setdefault(name.lower(), []).append(value.strip())

    @property
    def location(self):
        return self.headers["location"][0]

    @property
    def json(self):
        return json.loads(self.body)


def curl(stack, url, *options):
    """One request. The hosts of routes lead to the gateway, as their DNS names would."""
    if url.startswith("/"):
        url = stack.config["authenticate_service_url"] + url
    run = subprocess.run(["curl", "-sS", "-k", "-i", "--connect-to", f"::127.0.0.1:{stack.https_port}", *map(str, options), url],
                         capture_output=True, text=True, timeout=30)
    assert run.returncode == 0, run.stderr
    head, _, body = run.stdout.replace("\r\n", "\n").partition("\n\n")
    return Answer(int(head.split()[1]), head, body)


def quote(text):
    return urllib.parse.quote(text, safe="")


def query(url):
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))


def claims(token):
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


class Listener:
    """What pomerium-cli listens with: any path, the token in pomerium_jwt."""

    def __enter__(self):
        self.tokens = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                token = query(self.path).get("pomerium_jwt")
                if token:
                    outer.tokens.append(token)
                self.send_response(200 if token else 404)
                self.end_headers()
                self.wfile.write(b"login complete, you may close this page")

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exc):
        self.server.shutdown()
        self.server.server_close()


def sign(stack, url, issued=0, valid=300):
    """As authorize signs a link; `issued` counts from now."""
    secret = base64.b64decode((stack.folder / "secrets/shared_secret").read_text())
    extracted = hmac.digest(bytes(32), secret, "sha256")
    key = hmac.digest(extracted, b"postern signed url 1\x01", "sha256")
    at = int(time.time()) + issued
    url += f"{'&' if '?' in url else '?'}pomerium_issued={at}&pomerium_expiry={at + valid}"
    mac = base64.urlsafe_b64encode(hmac.digest(key, url.encode(), "sha256")).decode().rstrip("=")
    return f"{url}&pomerium_signature={mac}"


def link(stack, redirect, host=None):
    url = (f"https://{host}" if host else "") + f"{LOGIN_API}?pomerium_redirect_uri={quote(redirect)}"
    answer = curl(stack, url)
    assert answer.status == 200, answer.body
    return answer.body


def sign_in(stack, cookies):
    """A token for the session of a browser that signs in."""
    with Listener() as listener:
        stack.sign_in(link(stack, listener.url), cookies=cookies)
        token, = listener.tokens
    return token


@pytest.fixture(scope="module")
def signed_in(stack, tmp_path_factory):
    """Cookies of a browser that has signed in, and a token for its session."""
    cookies = tmp_path_factory.mktemp("browser") / "cookies"
    return cookies, sign_in(stack, cookies)


# --- the link ---


def test_link(stack):
    answer = curl(stack, f"{LOGIN_API}?pomerium_redirect_uri=http://127.0.0.1:40000")
    assert answer.status == 200
    assert answer.headers["content-type"] == ["text/plain; charset=utf-8"]
    assert answer.headers["cache-control"] == ["no-store"]
    base = stack.config["authenticate_service_url"] + "/.pomerium/sign_in?"
    assert answer.body.startswith(base) and answer.body == answer.body.strip()
    parts = query(answer.body)
    assert parts["pomerium_redirect_uri"] == "http://127.0.0.1:40000" and parts["pomerium_programmatic"] == "true"
    assert int(parts["pomerium_expiry"]) - int(parts["pomerium_issued"]) in (300, 301)
    assert link(stack, "http://localhost:1/x", "redis.example.test").startswith(base), "on any host"
    assert link(stack, "http://[::1]:1/").startswith(base)


def test_link_refused(stack):
    post = curl(stack, f"{LOGIN_API}?pomerium_redirect_uri=http://127.0.0.1:1", "-d", "")
    assert post.status == 405 and post.headers["allow"] == ["GET, HEAD"]
    assert curl(stack, LOGIN_API).status == 404
    for uri in ("https://evil.test", "http://127.0.0.1.evil.test", "http://localhost@evil.test", "not a url",
                "javascript:alert(1)", "http://evil.localhost"):
        answer = curl(stack, f"{LOGIN_API}?pomerium_redirect_uri={quote(uri)}")
        assert answer.status == 400 and "invalid redirect uri" in answer.body, uri


def test_errors_as_json(stack):
    url = f"{LOGIN_API}?pomerium_redirect_uri=https://evil.test"
    answer = curl(stack, url, "-H", "Accept: application/json")
    assert answer.status == 400 and answer.headers["content-type"] == ["application/json"]
    body = answer.json
    assert body["Status"] == 400 and body["StatusText"] == "Bad Request"
    assert body["description"] == "invalid redirect uri" and body["RequestID"]
    assert curl(stack, url, "-H", "Accept: text/html").headers["content-type"] == ["text/html; charset=utf-8"]


# --- the browser's way ---


def test_sign_in_gives_a_token(stack, signed_in):
    cookies, token = signed_in
    c = claims(token)
    assert c["sub"] == "local/demo@localhost" and c["idp_id"] == "local"
    assert c["iss"] == stack.config["authenticate_service_url"]
    session, = [s for s in stack.cli_json("sessions", "list") if s["id"] == c["jti"]]
    assert session and c["exp"] > c["iat"]


def test_second_time_without_any_question(stack, signed_in):
    cookies, token = signed_in
    answer = curl(stack, link(stack, "http://127.0.0.1:40000/back?x=1"), "--cookie", cookies)
    assert answer.status == 302
    back, _, again = answer.location.partition("&pomerium_jwt=")
    assert back == "http://127.0.0.1:40000/back?x=1" and claims(again)["jti"] == claims(token)["jti"]
    assert answer.headers["referrer-policy"] == ["no-referrer"] and "set-cookie" not in answer.headers


def test_changed_links(stack, signed_in):
    cookies, _ = signed_in
    good = link(stack, "http://127.0.0.1:40000")
    for bad in (good.replace("40000", "40001"),
                good.replace("pomerium_programmatic=true", "pomerium_programmatic=false"),
                good.replace("127.0.0.1%3A40000", "evil.test%3A40000"),
                good[:-1] + ("A" if good[-1] != "A" else "B"),
                good.partition("&pomerium_signature")[0],
                good.partition("&pomerium_issued")[0],
                re.sub(r"pomerium_expiry=\d+", "pomerium_expiry=9999999999", good),
                good + "&pomerium_redirect_uri=https://evil.test"):
        assert bad != good
        answer = curl(stack, bad, "--cookie", cookies)
        assert answer.status == 400 and "not valid" in answer.body, bad
        assert "location" not in answer.headers
    assert curl(stack, good, "--cookie", cookies).status == 302


def test_local_login_in_chromium(stack):
    """The login form's policy lets nothing lead to another site; the way to the program does, by itself."""
    with Listener() as listener, Browser("programmatic-local") as b:
        b.driver.get(link(stack, listener.url))
        b.fill("username", "demo@localhost")
        b.fill("password", "correct horse battery")
        b.press("Sign in")
        b.until(lambda d: "login complete" in d.page_source)
        b.shot("done")
        assert b.driver.current_url.startswith(listener.url) and not b.policy_violations()
        b.driver.get(link(stack, listener.url + "/again"))
        b.until(lambda d: "/again" in d.current_url)
        first, second = listener.tokens
    assert claims(first)["jti"] == claims(second)["jti"]


def test_real_provider_in_chromium(tmp_path):
    idp = Glewlwyd(tmp_path / "idp", lambda f: subprocess.run(
        [BUILDS / "dev/bin/postern", "keygen", "tls", "localhost", "--out", f], check=True, capture_output=True))
    idp.start()
    try:
        with Stack(tmp_path / "stack", provider=idp.provider(tmp_path / "secret")) as stack:
            idp.seed(stack.config["authenticate_service_url"] + "/oauth2/callback")
            with Listener() as listener, Browser("programmatic-oidc") as b:
                b.driver.get(link(stack, listener.url))
                b.login_at_glewlwyd("alice", idp.passwords["alice"])
                b.until(lambda d: "login complete" in d.page_source)
                b.driver.get(link(stack, listener.url + "/again"))
                b.until(lambda d: "/again" in d.current_url)
                first, second = map(claims, listener.tokens)
            assert first["idp_id"] == "oidc" and first["jti"] == second["jti"]
            session, = stack.cli_json("sessions", "list")
            assert session["id"] == first["jti"] and session["user_id"] == first["sub"]
    finally:
        idp.stop()


def test_expired_link(stack, signed_in):
    cookies, _ = signed_in
    url = stack.config["authenticate_service_url"] + "/.pomerium/sign_in?pomerium_redirect_uri="
    url += quote("http://127.0.0.1:40000") + "&pomerium_programmatic=true"
    assert curl(stack, sign(stack, url), "--cookie", cookies).status == 302
    late = curl(stack, sign(stack, url, issued=-400), "--cookie", cookies)
    assert late.status == 400 and "expired" in late.body
    early = curl(stack, sign(stack, url, issued=400), "--cookie", cookies)
    assert early.status == 400
    foreign = url.replace(quote("http://127.0.0.1:40000"), quote("https://evil.test"))
    answer = curl(stack, sign(stack, foreign), "--cookie", cookies)
    assert answer.status == 400 and "invalid redirect uri" in answer.body, "whoever signed it"


# --- a browser on a route's host ---

ROUTE = "https://web.example.test"


def route_link(stack, redirect=ROUTE + "/"):
    url = stack.config["authenticate_service_url"] + "/.pomerium/sign_in?pomerium_redirect_uri=" + quote(redirect)
    return sign(stack, url)


def begin(stack, cookies, csrf, redirect=ROUTE + "/", url=None):
    """Up to the link that carries the ticket; `csrf` is the browser's cookie on the route's host."""
    first = curl(stack, url or route_link(stack, redirect), "--cookie", cookies)
    assert first.status == 302 and first.location.startswith(ROUTE + "/.pomerium/callback/?")
    second = curl(stack, first.location, "--cookie", csrf, "--cookie-jar", csrf)
    assert second.status == 302 and second.location.startswith(stack.config["authenticate_service_url"] + "/.pomerium/sign_in?")
    cookie, = second.headers["set-cookie"]
    assert cookie.startswith("__Host-pomerium_csrf=") and "HttpOnly" in cookie and "Secure" in cookie
    assert "omain=" not in cookie
    third = curl(stack, second.location, "--cookie", cookies)
    assert third.status == 302 and third.location.startswith(ROUTE + "/.pomerium/callback/?")
    assert "eyJ" not in third.location, "the token is sealed"
    return third.location


def test_browser_on_a_route(stack, signed_in, tmp_path):
    cookies, token = signed_in
    csrf = tmp_path / "csrf"
    callback = begin(stack, cookies, csrf)
    done = curl(stack, callback, "--cookie", csrf)
    assert done.status == 302 and done.location == ROUTE + "/.pomerium/"
    assert done.headers["referrer-policy"] == ["no-referrer"] and done.headers["cache-control"] == ["no-store"]
    cookie, = done.headers["set-cookie"]
    value = cookie.partition(";")[0].partition("=")[2]
    assert cookie.startswith("_pomerium=") and claims(value)["jti"] == claims(token)["jti"]
    assert "HttpOnly" in cookie and "Secure" in cookie and "SameSite=Lax" in cookie and "omain=" not in cookie
    assert 0 < int(re.search(r"Max-Age=(\d+)", cookie).group(1)) <= 14 * 3600
    here = curl(stack, ROUTE + "/.pomerium/user", "-H", f"Cookie: _pomerium={value}")
    assert here.json["email"] == "demo@localhost"
    again = begin(stack, cookies, csrf, ROUTE + "/a?b=c")
    assert curl(stack, again, "--cookie", csrf).location == ROUTE + "/a?b=c"
    account = curl(stack, ROUTE + "/.pomerium/")
    assert account.status == 302 and account.location == stack.config["authenticate_service_url"] + "/.pomerium/"
    out = curl(stack, ROUTE + "/.pomerium/sign_out")
    assert out.status == 302 and out.location == stack.config["authenticate_service_url"] + "/.pomerium/sign_out"
    assert out.headers["set-cookie"][0].startswith("_pomerium=;") and "Max-Age=0" in out.headers["set-cookie"][0]


def test_browser_that_authorize_sends(tunnel_stack, tmp_path):
    stack = tunnel_stack
    cookies, csrf = tmp_path / "cookies", tmp_path / "csrf"
    sign_in(stack, cookies)
    routes = ROUTE + "/.pomerium/api/v1/routes"
    asked = curl(stack, routes)
    assert asked.status == 302
    done = curl(stack, begin(stack, cookies, csrf, url=asked.location), "--cookie", csrf, "--cookie-jar", csrf)
    assert done.status == 302
    listed = curl(stack, routes, "--cookie", csrf)
    assert listed.status == 200 and "inner.test:7" in listed.body
    foreign = curl(stack, "https://evil.test/.pomerium/api/v1/routes")
    assert "evil.test" not in foreign.headers.get("location", [""])[0], "a session is never sent to a host that is not ours"


def test_ticket_is_of_no_use_to_others(stack, signed_in, tmp_path):
    cookies, _ = signed_in
    csrf, other = tmp_path / "csrf", tmp_path / "other"
    begin(stack, cookies, other)
    callback = begin(stack, cookies, csrf)
    for what, url, jar in (("another browser", callback, tmp_path / "none"), ("begun by another", callback, other),
                           ("another host", callback.replace("web.", "evil."), csrf),
                           ("another port", callback.replace("web.example.test", "web.example.test:8443"), csrf),
                           ("changed", callback.replace("redirect_uri=https", "redirect_uri=http"), csrf)):
        assert url != callback or jar != csrf
        answer = curl(stack, url, "--cookie", jar)
        assert answer.status == 400 and "set-cookie" not in answer.headers, what
    resigned = sign(stack, callback.partition("&pomerium_issued")[0].replace("web.", "evil."))
    assert curl(stack, resigned, "--cookie", csrf).status == 400, "sealed for its host"
    assert curl(stack, callback, "--cookie", csrf).status == 302
    twice = curl(stack, callback, "--cookie", csrf)
    assert twice.status == 400 and "set-cookie" not in twice.headers


def test_route_link_changed(stack, signed_in):
    cookies, _ = signed_in
    good = route_link(stack)
    for bad in (good.replace("web.", "evil."), good[:-1] + ("A" if good[-1] != "A" else "B"), good.partition("&")[0]):
        assert curl(stack, bad, "--cookie", cookies).status == 400
    own = route_link(stack, stack.config["authenticate_service_url"] + "/")
    assert curl(stack, own, "--cookie", cookies).location == "/.pomerium/", "no way round to where it is"
    assert curl(stack, ROUTE + "/.pomerium/callback/").status == 400


# --- a machine without a browser ---


class Device:
    """The program's side."""

    def __init__(self, stack, client="a test", host=None):
        self.stack = stack
        self.base = f"https://{host}" if host else ""
        self.verifier = base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")
        hashed = base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).decode().rstrip("=")
        self.answer = curl(stack, self.base + "/.pomerium/api/v1/device_login", "-d", f"challenge={hashed}",
                           "--data-urlencode", f"client={client}")
        assert self.answer.status == 200, self.answer.body
        self.code, self.url = self.answer.json["code"], self.answer.json["url"]

    def fetch(self, **changes):
        form = {"code": self.code, "verifier": self.verifier, **changes}
        return curl(self.stack, self.base + "/.pomerium/api/v1/device_token", "-d", urllib.parse.urlencode(form))


def test_device_login(stack, signed_in):
    device = Device(stack, client="postern 1.0 <on> box", host="redis.example.test")
    body = device.answer.json
    assert body["url"] == f"{stack.config['authenticate_service_url']}/.pomerium/sign_in?user_code={device.code}"
    assert body["expires_in"] == 900 and body["interval"] >= 1 and re.fullmatch(r"[A-Z]{4}-[A-Z]{4}", body["match_code"])
    pending = device.fetch()
    assert pending.status == 202 and pending.json == {"status": "pending"}
    cookies, _ = signed_in
    page = curl(stack, device.url, "--cookie", cookies).body
    assert "postern login on redis.example.test" in page and body["match_code"] in page and "127.0.0.1" in page
    assert "postern 1.0 &lt;on&gt; box" in page and "A program asks to act for you" in page
    assert "create_id_binding" not in page
    assert device.fetch().status == 202, "a GET approves nothing"
    for options in (["-d", "confirm=true"], ["-d", "confirm=true&csrf_token=AAAA"]):
        assert curl(stack, device.url, "--cookie", cookies, *options).status == 403
    assert device.fetch().status == 202
    assert stack.sign_in(device.url, cookies=cookies).stdout.strip() == "Sign in successful"
    assert not [b for b in stack.cli_json("bindings", "list") if b.get("protocol") == "ssh"]
    listed = curl(stack, "/.pomerium/session_binding_info", "--cookie", cookies).body
    assert "No key is bound" in listed, "what lives for moments is no key of the person's"
    wrong = device.fetch(verifier="x" * 43)
    assert wrong.status == 400 and wrong.json["Status"] == 400
    # Whoever knows both fetches it: one of those who do so at the same time.
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = sorted(pool.map(lambda _: device.fetch(), range(4)), key=lambda a: a.status)
    assert [a.status for a in answers] == [200, 410, 410, 410]
    answer = answers[0]
    assert list(answer.json) == ["jwt"]
    c = claims(answer.json["jwt"])
    assert c["sub"] == "local/demo@localhost"
    assert [s for s in stack.cli_json("sessions", "list") if s["id"] == c["jti"]]
    second = device.fetch()
    assert second.status == 410 and second.json == {"error": "expired"}
    assert not [b for b in stack.cli_json("bindings", "list") if b["id"].startswith("cli-")]


def test_device_login_denied(stack):
    device = Device(stack)
    stack.sign_in(device.url, "demo@localhost", "--deny")
    for _ in range(2):
        answer = device.fetch()
        assert answer.status == 403 and answer.json == {"error": "denied"}


def varint(number):
    out = bytearray()
    while number > 0x7f:
        out.append(number & 0x7f | 0x80)
        number >>= 7
    return bytes(out + bytes([number]))


def field(number, value):
    """Of a protobuf message: a number, or bytes with their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def test_device_login_expired(stack, signed_in):
    """Written as authenticate wrote it sixteen minutes ago."""
    verifier, kind = "v" * 43, "type.googleapis.com/session.SessionBindingRequest"
    hashed = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    now = int(time.time())
    request = (field(1, "cli") + field(2, "local") + field(3, "cli-SHA256:" + hashed)
               + field(4, field(1, now - 960)) + field(5, field(1, now - 60)))
    record = field(2, kind) + field(3, "expired-code") + field(4, field(1, kind) + field(2, request))
    service = stack.folder / "service/authenticate"
    assert grpc_call(stack.databroker_port, "/databroker.DataBrokerService/Put", f"{service}.crt", f"{service}.key",
                     field(1, record) + field(100, bytes([0]))) == 0
    answer = curl(stack, "/.pomerium/api/v1/device_token", "-d", f"code=expired-code&verifier={verifier}")
    assert answer.status == 410 and answer.json == {"error": "expired"}
    page = curl(stack, "/.pomerium/sign_in?user_code=expired-code", "--cookie", signed_in[0])
    assert page.status == 400 and "expired" in page.body


def test_device_login_of_a_session_that_ended(stack):
    device = Device(stack)
    stack.sign_in(device.url)
    binding, = [b for b in stack.cli_json("bindings", "list") if b["id"].startswith("cli-")]
    stack.cli("sessions", "revoke", binding["session_id"])
    assert device.fetch().status == 410


def test_device_login_malformed(stack):
    api = "/.pomerium/api/v1/device_login"
    for form in ("", "challenge=", "challenge=" + "A" * 42, "challenge=" + "A" * 44, "challenge=" + "!" * 43,
                 "challenge=" + "A" * 43 + "&client=" + "x" * 201):
        answer = curl(stack, api, "-d", form)
        assert answer.status == 400 and answer.json["Status"] == 400, form
    assert curl(stack, api).status == 405
    api = "/.pomerium/api/v1/device_token"
    for form in ("", "code=x", "code=x&verifier=short", "verifier=" + "x" * 43, "code=..&verifier=" + "x" * 43,
                 "code=x&verifier=" + "x" * 129):
        assert curl(stack, api, "-d", form).status == 400, form
    unknown = curl(stack, api, "-d", "code=unknown&verifier=" + "x" * 43)
    assert unknown.status == 410 and unknown.json == {"error": "expired"}
    assert curl(stack, api).status == 405


def test_code_of_ssh_gives_no_token(stack):
    """The sign-in of a key is no sign-in of a program."""
    client = stack.ssh("true", key="no-device")
    code = client.url().partition("user_code=")[2]
    answer = curl(stack, "/.pomerium/api/v1/device_token", "-d", f"code={code}&verifier={'x' * 43}")
    assert answer.status == 400
    stack.sign_in(client.url())
    assert client.wait() == 0
    answer = curl(stack, "/.pomerium/api/v1/device_token", "-d", f"code={code}&verifier={'x' * 43}")
    assert answer.status == 400


def test_device_logins_are_limited(new_stack):
    stack = new_stack()
    challenge = "A" * 43
    answers = [curl(stack, "/.pomerium/api/v1/device_login", "-d", f"challenge={challenge}").status for _ in range(15)]
    assert answers[:10] == [200] * 10 and 429 in answers[10:]
    # Who asks for the token too often hears that there is nothing yet, whatever there is.
    run = subprocess.run(["curl", "-sS", "-k", "--parallel", "--parallel-max", "20", "-o", "/dev/null", "-w", "%{http_code}\\n",
                          "-d", "code=unknown&verifier=" + "x" * 43,
                          stack.config["authenticate_service_url"] + "/.pomerium/api/v1/device_token?n=[1-200]"],
                         capture_output=True, text=True, timeout=60)
    polls = run.stdout.split()
    assert set(polls) == {"410", "202"} and polls.count("410") >= 60, polls


# --- what a token is good for here ---


def test_user_and_logout(stack, tmp_path):
    cookies = tmp_path / "cookies"
    token = sign_in(stack, cookies)
    for header in (f"Authorization: Pomerium {token}", f"Authorization: Bearer Pomerium-{token}",
                   f"X-Pomerium-Authorization: {token}", f"Cookie: _pomerium=sealed; _pomerium={token}"):
        answer = curl(stack, "https://redis.example.test/.pomerium/user", "-H", header)
        assert answer.status == 200, header
        assert answer.json["email"] == "demo@localhost" and answer.json["groups"] == ["demo", "ops"]
        assert answer.json["jti"] == claims(token)["jti"]
    assert curl(stack, "/.pomerium/user", "--cookie", cookies).json["email"] == "demo@localhost"
    logout = "/.pomerium/api/v1/logout"
    assert curl(stack, logout, "-H", f"Authorization: Pomerium {token}").status == 405
    for header in ("X-A: b", "Authorization: Pomerium x.y.z", f"Authorization: Pomerium {token[:-2]}AA",
                   f"Cookie: _pomerium={token}"):
        answer = curl(stack, logout, "-X", "POST", "-H", header)
        assert answer.status == 401 and answer.json["Status"] == 401, header
    assert curl(stack, "/.pomerium/user", "--cookie", cookies).status == 200, "still signed in"
    answer = curl(stack, logout, "-X", "POST", "-H", f"Authorization: Pomerium {token}")
    assert answer.status == 200 and answer.json == {"status": "signed out"}
    assert not [s for s in stack.cli_json("sessions", "list") if s["id"] == claims(token)["jti"]]
    again = curl(stack, logout, "-X", "POST", "-H", f"Authorization: Pomerium {token}")
    assert again.status == 401
    assert curl(stack, "/.pomerium/user", "-H", f"Authorization: Pomerium {token}").status == 401
    back = curl(stack, link(stack, "http://127.0.0.1:40000"), "--cookie", cookies)
    assert back.status == 302 and "/.pomerium/login?" in back.location, "the browser is signed out as well"


@pytest.fixture(scope="module")
def tunnel_stack(tmp_path_factory):
    server = TcpServer(echo)
    s = Stack(tmp_path_factory.mktemp("tunnels"), programmatic_redirect_domain_whitelist=["app.example.test"])
    s.write_config(routes=s.config["routes"] + [tcp_route("web.example.test/inner.test:7", server.port)])
    with s:
        yield s
    server.close()


def test_domains_of_the_whitelist(tunnel_stack):
    assert link(tunnel_stack, "https://app.example.test/done") and link(tunnel_stack, "http://127.0.0.1:1")
    for uri in ("http://app.example.test/", "https://x.app.example.test/", "https://example.test/"):
        assert curl(tunnel_stack, f"{LOGIN_API}?pomerium_redirect_uri={quote(uri)}").status == 400, uri


def test_logout_ends_tunnels(tunnel_stack):
    stack = tunnel_stack
    device = Device(stack)
    stack.sign_in(device.url)
    token = device.fetch().json["jwt"]
    tunnel = connect(stack, "inner.test:7", token)
    assert tunnel.status == 200
    tunnel.send(b"here")
    assert tunnel.read(4) == b"here"
    answer = curl(stack, "/.pomerium/api/v1/logout", "-X", "POST", "-H", f"Authorization: Pomerium {token}")
    assert answer.status == 200
    assert tunnel.until_end() == b"", "cut, and cleanly"
    assert connect(stack, "inner.test:7", token).status == 401


def test_well_known(stack):
    base = stack.config["authenticate_service_url"]
    assert curl(stack, "/.well-known/pomerium").json == {
        "issuer": base + "/", "authentication_callback_endpoint": base + "/oauth2/callback"}
