"""glewlwyd, a real OpenID Connect provider of Debian's, on loopback over TLS."""
import json
import pathlib
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request

from stack import can_connect, free_ports, wait_for

CONF = """\
port={port}
external_url="{base}"
login_url="login.html"
api_prefix="api"
static_files_path="{www}/"
log_mode="file"
log_level="INFO"
log_file="{folder}/glewlwyd.log"
cookie_domain="localhost"
cookie_secure=1
cookie_same_site="lax"
session_key="GLEWLWYD2_SESSION_ID"
admin_session_authentication="cookie"
profile_session_authentication="cookie"
user_module_path="{lib}/user"
user_middleware_module_path="{folder}/user_middleware"
client_module_path="{lib}/client"
user_auth_scheme_module_path="{lib}/scheme"
plugin_module_path="{lib}/plugin"
hash_algorithm = "SHA512"
use_secure_connection=true
secure_connection_key_file="{folder}/localhost.key"
secure_connection_pem_file="{folder}/localhost.crt"
database = {{ type = "sqlite3"; path = "{folder}/glewlwyd.db"; }};
static_files_mime_types = (
  {{ extension = ".html"; mime_type = "text/html"; compress = 1; }},
  {{ extension = ".css";  mime_type = "text/css"; compress = 1; }},
  {{ extension = ".js";   mime_type = "application/javascript"; compress = 1; }},
  {{ extension = ".json"; mime_type = "application/json"; compress = 1; }},
  {{ extension = ".png";  mime_type = "image/png"; compress = 0; }},
  {{ extension = ".woff2"; mime_type = "font/woff2"; compress = 0; }},
  {{ extension = ".ico";  mime_type = "image/x-icon"; compress = 0; }}
)
"""
SCHEMA = "/usr/share/dbconfig-common/data/glewlwyd/install/sqlite3"
SCOPES = "openid email profile groups offline_access"


class Glewlwyd:
    """Users alice@example.test and bob@example.test; a client "postern"."""
    client_secret = "client-secret-1"
    passwords = {"alice": "alice-password-1", "bob": "bob-password-1"}

    def __init__(self, folder, make_certificate):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True)
        self.port, = free_ports(1)
        self.base = f"https://localhost:{self.port}"
        self.issuer = f"{self.base}/api/oidc"
        make_certificate(self.folder)
        self.ca = self.folder / "localhost.crt"
        self.cookie = None
        www = self.folder / "www"
        # Its file server answers 404 for links that leave its root.
        subprocess.run(["cp", "-rL", "/usr/share/glewlwyd/webapp", www], check=True)
        # The package's config.json links to a folder.
        shutil.rmtree(www / "config.json")
        shutil.copy("/etc/glewlwyd/config-2.7.json/config.json", www / "config.json")
        (self.folder / "user_middleware").mkdir()
        with open(SCHEMA) as schema:
            subprocess.run(["sqlite3", self.folder / "glewlwyd.db"], stdin=schema, check=True)
        (self.folder / "glewlwyd.conf").write_text(CONF.format(
            port=self.port, base=self.base, www=www, folder=self.folder, lib="/usr/lib/glewlwyd"))

    def start(self):
        self.process = subprocess.Popen(["glewlwyd", f"--config-file={self.folder}/glewlwyd.conf"],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: can_connect(self.port), 20, "glewlwyd")

    def stop(self):
        self.process.kill()
        self.process.wait()

    def call(self, method, path, body=None):
        request = urllib.request.Request(self.base + path, method=method,
                                         data=None if body is None else json.dumps(body).encode())
        request.add_header("Content-Type", "application/json")
        if self.cookie:
            request.add_header("Cookie", self.cookie)
        context = ssl.create_default_context(cafile=str(self.ca))
        try:
            with urllib.request.urlopen(request, context=context) as answer:
                data, headers = answer.read(), answer.headers
        except urllib.error.HTTPError as e:
            raise AssertionError(f"{method} {path}: {e.code} {e.read()[:500]}") from None
        for value in headers.get_all("Set-Cookie") or ():
            if "GLEWLWYD2_SESSION_ID" in value:
                self.cookie = value.split(";")[0]
        return json.loads(data) if data else None

    def login(self, user, password):
        self.cookie = None
        self.call("POST", "/api/auth", {"username": user, "password": password})

    def seed(self, redirect_uri):
        subprocess.run(["openssl", "genrsa", "-out", self.folder / "key.pem", "2048"], check=True, capture_output=True)
        subprocess.run(["openssl", "rsa", "-in", self.folder / "key.pem", "-pubout", "-out", self.folder / "pub.pem"],
                       check=True, capture_output=True)
        self.login("admin", "password")
        module = self.call("GET", "/api/mod/user/database")
        many = {"multiple": True, "read": True, "write": True, "profile-read": True, "profile-write": False}
        module["parameters"]["data-format"]["groups"] = many
        module["parameters"]["data-format"]["email_verified"] = dict(many, multiple=False)
        self.call("PUT", "/api/mod/user/database", module)
        self.call("PUT", "/api/mod/user/database/reset")
        for scope in ("email", "profile", "groups", "offline_access"):
            self.call("POST", "/api/scope", {"name": scope, "display_name": scope, "description": scope,
                                             "password_required": False, "password_max_age": 0, "scheme": {},
                                             "scheme_required": {}})
        self.call("POST", "/api/mod/plugin", self.plugin())
        for user, groups in (("alice", ["admins", "ops"]), ("bob", ["guests"])):
            self.call("POST", "/api/user", {
                "username": user, "name": f"{user.title()} Example", "email": f"{user}@example.test", "enabled": True,
                "password": self.passwords[user], "groups": groups, "email_verified": "1",
                "scope": ["g_profile", *SCOPES.split()]})
        self.call("POST", "/api/client", {
            "client_id": "postern", "name": "Postern", "enabled": True, "confidential": True,
            "client_secret": self.client_secret, "redirect_uri": [redirect_uri],
            "authorization_type": ["code", "refresh_token"],
            "token_endpoint_auth_method": ["client_secret_basic", "client_secret_post"], "scope": []})
        for user, password in self.passwords.items():
            self.login(user, password)
            self.call("PUT", "/api/auth/grant/postern", {"scope": SCOPES})

    def plugin(self):
        def claim(name, prop, **more):
            return {"name": name, "user-property": prop, "type": "string", "mandatory": True, "on-demand": False,
                    "scope": [], **more}
        return {"module": "oidc", "name": "oidc", "display_name": "OIDC", "order_rank": 0, "readonly": False,
                "enabled": True, "parameters": {
                    "iss": self.issuer, "jwt-type": "rsa", "jwt-key-size": "256",
                    "key": (self.folder / "key.pem").read_text(), "cert": (self.folder / "pub.pem").read_text(),
                    "access-token-duration": 3600, "refresh-token-duration": 1209600, "code-duration": 600,
                    "refresh-token-rolling": True, "refresh-token-one-use": "never", "allow-non-oidc": False,
                    "auth-type-code-enabled": True, "auth-type-code-revoke-replayed": True,
                    "auth-type-token-enabled": False, "auth-type-id-token-enabled": True,
                    "auth-type-none-enabled": False, "auth-type-password-enabled": False,
                    "auth-type-client-enabled": False, "auth-type-device-enabled": False,
                    "auth-type-refresh-enabled": True, "scope": [], "additional-parameters": [],
                    "jwks-show": True, "jwks-x5c": [], "allowed-scope": SCOPES.split(), "subject-type": "public",
                    "name-claim": "mandatory", "name-claim-scope": [], "email-claim": "mandatory",
                    "email-claim-scope": [], "scope-claim": "no", "scope-claim-scope": [],
                    "address-claim": {"type": "no"},
                    "claims": [claim("groups", "groups"), claim("preferred_username", "username"),
                               claim("email_verified", "email_verified", type="boolean",
                                     **{"boolean-value-true": "1", "boolean-value-false": "0"})],
                    "pkce-allowed": True, "pkce-method-plain-allowed": False, "pkce-required": True, "pkce-scopes": [],
                    "request-parameter-allow": False, "session-management-allowed": True,
                    "session-cookie-name": "GLEWLWYD2_OIDC_SID", "session-cookie-expiration": 2419200,
                    "front-channel-logout-allowed": False, "back-channel-logout-allowed": False,
                    "introspection-revocation-allowed": True, "introspection-revocation-allow-target-client": True,
                    "introspection-revocation-auth-scope": [], "oauth-as-iss-id": True,
                    "register-client-allowed": False}}

    def provider(self, secret_file):
        """What postern.yaml says about it."""
        secret_file.write_text(self.client_secret)
        secret_file.chmod(0o600)
        return {"idp_provider": "oidc", "idp_provider_url": self.issuer, "idp_client_id": "postern",
                "idp_client_secret_file": str(secret_file), "idp_ca_file": str(self.ca), "idp_scopes": SCOPES.split()}
