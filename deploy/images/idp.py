#!/usr/bin/python3
"""Starts glewlwyd and, the first time, makes its database: the user of /run/idp/users.json, the
client "postern", an OpenID Connect plugin whose issuer is https://idp.example.test."""
import json
import os
import pathlib
import secrets
import shutil
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request

ISSUER = "https://idp.example.test"
HOME = pathlib.Path("/var/lib/glewlwyd")
KEYS = pathlib.Path("/run/idp")
SCHEMA = "/usr/share/dbconfig-common/data/glewlwyd/install/sqlite3"
SCOPES = "openid email profile groups offline_access"
SERVER = ["glewlwyd", "--config-file=/etc/glewlwyd/glewlwyd.conf"]


class Session:
    """One signed-in user of glewlwyd's own interface; this container alone can call it as admin."""

    def __init__(self, user, password):
        self.cookie = None
        # The server is this process's own child: nothing to be checked about its certificate.
        self.tls = ssl._create_unverified_context()
        self.call("POST", "/api/auth", {"username": user, "password": password})

    def call(self, method, path, body=None):
        request = urllib.request.Request(f"https://127.0.0.1{path}", method=method,
                                         data=None if body is None else json.dumps(body).encode())
        request.add_header("Host", "idp.example.test")
        request.add_header("Content-Type", "application/json")
        if self.cookie:
            request.add_header("Cookie", self.cookie)
        try:
            with urllib.request.urlopen(request, context=self.tls) as answer:
                data, headers = answer.read(), answer.headers
        except urllib.error.HTTPError as e:
            sys.exit(f"idp: {method} {path}: {e.code} {e.read()[:300]}")
        for value in headers.get_all("Set-Cookie") or ():
            if "GLEWLWYD2_SESSION_ID" in value:
                self.cookie = value.split(";")[0]
        return json.loads(data) if data else None


def claim(name, prop, **more):
    return {"name": name, "user-property": prop, "type": "string", "mandatory": True,
            "on-demand": False, "scope": [], **more}


def plugin():
    yes, no = True, False
    return {"module": "oidc", "name": "oidc", "display_name": "OIDC", "order_rank": 0,
            "readonly": no, "enabled": yes, "parameters": {
                "iss": ISSUER, "jwt-type": "rsa", "jwt-key-size": "256",
                "key": (HOME / "token.key").read_text(), "cert": (HOME / "token.pub").read_text(),
                "access-token-duration": 3600, "refresh-token-duration": 1209600,
                "code-duration": 600, "refresh-token-rolling": yes,
                "refresh-token-one-use": "never", "allow-non-oidc": no,
                "auth-type-code-enabled": yes, "auth-type-code-revoke-replayed": yes,
                "auth-type-token-enabled": no, "auth-type-id-token-enabled": yes,
                "auth-type-none-enabled": no, "auth-type-password-enabled": no,
                "auth-type-client-enabled": no, "auth-type-device-enabled": no,
                "auth-type-refresh-enabled": yes, "scope": [], "additional-parameters": [],
                "jwks-show": yes, "jwks-x5c": [], "allowed-scope": SCOPES.split(),
                "subject-type": "public", "name-claim": "mandatory", "name-claim-scope": [],
                "email-claim": "mandatory", "email-claim-scope": [], "scope-claim": "no",
                "scope-claim-scope": [], "address-claim": {"type": "no"},
                "claims": [claim("groups", "groups"), claim("preferred_username", "username"),
                           claim("email_verified", "email_verified", type="boolean",
                                 **{"boolean-value-true": "1", "boolean-value-false": "0"})],
                "pkce-allowed": yes, "pkce-method-plain-allowed": no, "pkce-required": yes,
                "pkce-scopes": [], "request-parameter-allow": no,
                "session-management-allowed": yes, "session-cookie-name": "GLEWLWYD2_OIDC_SID",
                "session-cookie-expiration": 2419200, "front-channel-logout-allowed": no,
                "back-channel-logout-allowed": no, "introspection-revocation-allowed": yes,
                "introspection-revocation-allow-target-client": yes,
                "introspection-revocation-auth-scope": [], "oauth-as-iss-id": yes,
                "register-client-allowed": no}}


def seed():
    admin = Session("admin", "password")
    module = admin.call("GET", "/api/mod/user/database")
    many = {"multiple": True, "read": True, "write": True, "profile-read": True,
            "profile-write": False}
    module["parameters"]["data-format"]["groups"] = many
    module["parameters"]["data-format"]["email_verified"] = dict(many, multiple=False)
    admin.call("PUT", "/api/mod/user/database", module)
    admin.call("PUT", "/api/mod/user/database/reset")
    for scope in ("email", "profile", "groups", "offline_access"):
        admin.call("POST", "/api/scope", {
            "name": scope, "display_name": scope, "description": scope, "password_required": False,
            "password_max_age": 0, "scheme": {}, "scheme_required": {}})
    admin.call("POST", "/api/mod/plugin", plugin())
    users = json.loads((KEYS / "users.json").read_text())
    for user in users:
        admin.call("POST", "/api/user", {
            **user, "enabled": True, "email_verified": "1",
            "scope": ["g_profile", *SCOPES.split()]})
    admin.call("POST", "/api/client", {
        "client_id": "postern", "name": "Postern", "enabled": True, "confidential": True,
        "client_secret": (KEYS / "client_secret").read_text().strip(),
        "redirect_uri": (KEYS / "redirect_uri").read_text().split(),
        "authorization_type": ["code", "refresh_token"],
        "token_endpoint_auth_method": ["client_secret_basic", "client_secret_post"], "scope": []})
    for user in users:
        Session(user["username"], user["password"]).call(
            "PUT", "/api/auth/grant/postern", {"scope": SCOPES})
    # Its discovery page is under /api/oidc; issuers without a path have it at the root.
    page = admin.call("GET", "/api/oidc/.well-known/openid-configuration")
    folder = HOME / "www/.well-known"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "openid-configuration").write_text(json.dumps(page))
    admin.call("PUT", "/api/user/admin", {
        "name": "admin", "email": "", "enabled": True, "scope": ["g_admin", "g_profile"],
        "password": secrets.token_hex(16)})


def make_token_key():
    key, public = HOME / "token.key", HOME / "token.pub"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    subprocess.run(["openssl", "rsa", "-in", key, "-pubout", "-out", public], check=True,
                   capture_output=True)


def get(path):
    return urllib.request.urlopen(f"https://127.0.0.1{path}", timeout=4,
                                  context=ssl._create_unverified_context())


def wait_for(server):
    for _ in range(200):
        try:
            with get("/api/"):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            if server.poll() is not None:
                sys.exit(f"idp: glewlwyd ended with {server.returncode}")
            time.sleep(0.1)
    sys.exit("idp: glewlwyd does not answer")


def check():
    """Exit status 0 once tokens can be had: not while the database is being made."""
    if not (HOME / "seeded").exists():
        sys.exit(1)
    with get("/.well-known/openid-configuration") as page:
        sys.exit(json.load(page)["issuer"] != ISSUER)


def main():
    os.umask(0o077)
    if sys.argv[1:] == ["--check"]:
        check()
    if not (HOME / "seeded").exists():
        shutil.copytree("/usr/share/glewlwyd/www", HOME / "www", dirs_exist_ok=True)
        make_token_key()
        database = HOME / "glewlwyd.db"
        database.unlink(missing_ok=True)
        with open(SCHEMA) as schema:
            subprocess.run(["sqlite3", database], stdin=schema, check=True)
        server = subprocess.Popen(SERVER)
        wait_for(server)
        seed()
        server.terminate()
        server.wait()
        (HOME / "seeded").touch()
        print("idp: made users and client", flush=True)
    os.execvp(SERVER[0], SERVER)


main()
