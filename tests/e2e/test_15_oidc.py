"""Sign-in at a real OpenID Connect provider in a real browser; screenshots stay in the build folder."""
import os
import subprocess

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from browser import SHOTS, Browser
from idp import Glewlwyd
from stack import BUILDS, LOGIN, Stack


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    folder = tmp_path_factory.mktemp("oidc")
    postern = BUILDS / "dev/bin/postern"
    idp = Glewlwyd(folder / "idp", lambda f: subprocess.run(
        [postern, "keygen", "tls", "localhost", "--out", f], check=True, capture_output=True))
    idp.start()
    try:
        with Stack(folder / "stack", provider=idp.provider(folder / "idp_client_secret")) as s:
            s.idp = idp
            s.write_config(routes=[s.route("demo", allow=[{"groups": {"has": "ops"}}, {"domain": {"is": "example.test"}}])])
            idp.seed(s.config["authenticate_service_url"] + "/oauth2/callback")
            s.wait_log("authorize", "configuration reloaded")
            yield s
    finally:
        idp.stop()


def test_sign_in_with_chromium(stack):
    client = stack.ssh("id; exit 7", key="chromium")
    url = client.url()
    assert "Please sign in to continue" in client.stderr.text()
    with Browser("oidc") as b:
        b.driver.get(url)
        b.login_at_glewlwyd("alice", stack.idp.passwords["alice"])
        b.heading("Verify Sign In")
        b.shot("verify")
        page = b.driver.page_source
        assert f"{LOGIN}@demo" in page and "127.0.0.1" in page and "alice@example.test" in page
        assert b.driver.find_element(By.CSS_SELECTOR, "[data-expires]").text.startswith("Expires in 14:")
        assert client.process.poll() is None
        assert not b.policy_violations()
        b.press("Authorize")
        b.heading("Sign in successful")
        b.driver.find_element(By.TAG_NAME, "summary").click()
        b.shot("success")
        assert "alice@example.test" in b.driver.page_source
        b.driver.get(stack.config["authenticate_service_url"] + "/.pomerium/session_binding_info")
        b.heading("Client bindings")
        b.shot("bindings")
        b.driver.get(stack.config["authenticate_service_url"] + "/.pomerium/")
        b.heading("Your account")
        b.shot("account")
        assert not b.policy_violations()
    assert client.wait() == 7, client.stderr.text()
    second = stack.ssh("id; exit 7", key="chromium")
    assert second.wait() == 7 and "sign_in" not in second.stderr.text()


def test_our_pages_without_javascript_on_a_phone(stack):
    """The provider's pages need scripts: its session comes from its API, ours work without."""
    client = stack.ssh("true", key="noscript")
    url = client.url()
    stack.idp.login("alice", stack.idp.passwords["alice"])
    name, _, value = stack.idp.cookie.partition("=")
    with Browser("noscript", javascript=False, phone=True) as b:
        b.driver.get(stack.idp.base + "/login.html")
        b.driver.add_cookie({"name": name, "value": value, "path": "/"})
        b.driver.get(url)
        at = b.driver.current_url
        if "login.html" in at:
            from urllib.parse import parse_qs, urlsplit
            b.driver.get(parse_qs(urlsplit(at).query)["callback_url"][0] + "&g_continue")
        b.heading("Verify Sign In")
        b.shot("verify")
        width = b.driver.find_element(By.TAG_NAME, "main").size["width"]
        assert width <= 390
        # By the keyboard: a simulated click would wait for scripts that do not run.
        b.driver.find_element(By.CSS_SELECTOR, "button[value=true]").send_keys(Keys.ENTER)
        b.heading("Sign in successful")
        b.shot("success")
    assert client.wait() == 0


def test_deny_in_the_browser(stack):
    client = stack.ssh("true", key="denies")
    url = client.url()
    with Browser("deny") as b:
        b.driver.get(url)
        b.login_at_glewlwyd("alice", stack.idp.passwords["alice"])
        b.heading("Verify Sign In")
        b.press("Deny")
        b.heading("Request denied")
        b.shot("denied")
    assert client.wait() == 255 and "denied" in client.stderr.text()


def test_policy_by_groups_claim(stack):
    client = stack.ssh("true", key="bob")
    url = client.url()
    with Browser("bob") as b:
        b.driver.get(url)
        b.login_at_glewlwyd("bob", stack.idp.passwords["bob"])
        b.heading("Verify Sign In")
        b.press("Authorize")
        b.heading("Sign in successful")
    assert client.wait() == 255
    assert "polic" in client.stderr.text()


def page(stack, path):
    run = subprocess.run(["curl", "-sS", "-k", "-w", "\n%{http_code}", stack.config["authenticate_service_url"] + path],
                         capture_output=True, text=True, timeout=30)
    body, _, status = run.stdout.rpartition("\n")
    return int(status), body


def test_callback_is_bound_to_the_browser(stack):
    status, body = page(stack, "/oauth2/callback?code=x&state=forged")
    assert status == 400 and "not begun in this browser" in body


def test_idp_tokens_are_sealed(stack):
    """No token is to be found in the database file."""
    stack.idp.login("alice", stack.idp.passwords["alice"])
    data = b"".join(p.read_bytes() for p in (stack.folder / "databroker").iterdir())
    assert b"eyJ" not in data and b"refresh_token" not in data
    assert b"SealedTokens" in data


def test_provider_not_reachable(stack, tmp_path):
    """The discovery of a provider that is down: a page in words, and the daemon stays up."""
    provider = dict(stack.idp.provider(tmp_path / "secret"), idp_provider_url="https://localhost:1/none")
    with Stack(tmp_path / "down", provider=provider) as down:
        client = down.ssh("true")
        run = subprocess.run(["curl", "-sS", "-k", "-L", "-w", "%{http_code}", client.url()], capture_output=True,
                             text=True, timeout=30)
        assert run.stdout.endswith("503") and "cannot be reached" in run.stdout
        client.kill()


def test_screenshots_are_kept():
    names = sorted(os.listdir(SHOTS))
    assert any("verify" in n for n in names) and any("success" in n for n in names)
