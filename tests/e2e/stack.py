"""A whole Postern of real processes on loopback: the four daemons, a target sshd, real clients."""
import contextlib
import json
import os
import pathlib
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Where the presets' build folders are; another place for binaries that were kept.
BUILDS = pathlib.Path(os.environ.get("POSTERN_BUILDS", ROOT / "build"))
SERVICES = ("databroker", "authorize", "authenticate", "proxy")
LOGIN = pwd.getpwuid(os.getuid()).pw_name
URL = re.compile(r"https://\S+/\.pomerium/sign_in\?user_code=[A-Za-z0-9_-]+")
MATCH_CODE = re.compile(r"[Mm]atch code:?\s+([A-Z0-9-]+)")
SANITIZER = re.compile(r"ERROR: AddressSanitizer|runtime error:|LeakSanitizer")


given_ports = set()


def port_range():
    """Of this process, where several run tests side by side. None is quickstart's, or of those that the kernel gives to
    outgoing connections."""
    count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    size = 18000 // count
    return 10000 + number * size, 10000 + (number + 1) * size


def free_ports(count):
    """Ports that nobody listens on now, in either family, and that were not given before: whoever got one may not
    listen yet. None is quickstart's, or of those that the kernel gives to outgoing connections."""
    six = socket.has_dualstack_ipv6()
    with contextlib.ExitStack() as stack:
        ports = []
        while len(ports) < count:
            port = random.randrange(*port_range())
            if port in given_ports:
                continue
            s = stack.enter_context(socket.socket(socket.AF_INET6 if six else socket.AF_INET))
            if six:
                s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            with contextlib.suppress(OSError):
                s.bind(("", port))
                ports.append(port)
                given_ports.add(port)
        return ports


def wait_for(check, timeout=20, what="condition", step=0.05):
    """The first true value of check(); fails with `what` after timeout seconds."""
    end = time.monotonic() + timeout
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"timed out after {timeout} s waiting for {what}")
        time.sleep(step)


def can_connect(port, host="127.0.0.1"):
    try:
        socket.create_connection((host, port), 1).close()
    except OSError:
        return False
    return True


class Output:
    """Collects what a process writes to a pipe, so that a test can wait for a part of it."""

    def __init__(self, stream):
        self.data = b""
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def _read(self, stream):
        while chunk := os.read(stream.fileno(), 65536):
            self.data += chunk

    def text(self):
        return self.data.decode(errors="replace")

    def wait(self, pattern, timeout=20):
        pattern = re.compile(pattern) if isinstance(pattern, str) else pattern

        def found():
            return pattern.search(self.text())
        try:
            return wait_for(found, timeout, f"{pattern.pattern!r}")
        except AssertionError as e:
            raise AssertionError(f"{e}; so far: {self.text()!r}") from None

    def join(self):
        self._thread.join(10)


class Client:
    """A running client program with collected stdout and stderr."""

    def __init__(self, argv, stdin=subprocess.DEVNULL, env=None):
        self.argv = argv
        self.process = subprocess.Popen(argv, stdin=stdin, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env=env)
        self.stdout = Output(self.process.stdout)
        self.stderr = Output(self.process.stderr)

    def url(self, timeout=20):
        return self.stderr.wait(URL, timeout).group()

    def wait(self, timeout=30):
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.argv} still runs after {timeout} s; "
                                 f"stdout {self.stdout.text()!r} stderr {self.stderr.text()!r}") from None
        self.stdout.join()
        self.stderr.join()
        return status

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Target:
    """A plain sshd that trusts one user CA and nothing else."""

    def __init__(self, folder, ca_pub, host_key_type="ed25519", extra="", host="127.0.0.1"):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port, = free_ports(1)
        self.ca_pub = ca_pub
        self.host = host
        self.extra = extra
        self.log = self.folder / "sshd.log"
        self.process = None
        self.make_host_key(host_key_type)

    def make_host_key(self, key_type="ed25519"):
        for old in self.folder.glob("host_*"):
            old.unlink()
        self.host_key = self.folder / f"host_{key_type}"
        subprocess.run(["ssh-keygen", "-q", "-t", key_type, "-N", "", "-f", self.host_key], check=True)
        self.fingerprint = subprocess.run(
            ["ssh-keygen", "-l", "-f", self.host_key], check=True, capture_output=True,
            text=True).stdout.split()[1]

    def start(self):
        config = self.folder / "sshd_config"
        config.write_text(
            f"ListenAddress {self.host}\nPort {self.port}\nHostKey {self.host_key}\n"
            f"PidFile {self.folder}/sshd.pid\nTrustedUserCAKeys {self.ca_pub}\n"
            "AuthorizedKeysFile none\nAuthenticationMethods publickey\nPasswordAuthentication no\n"
            "KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nStrictModes no\n"
            "UsePAM no\nLogLevel VERBOSE\nMaxStartups 1000\nMaxSessions 100\nAllowAgentForwarding yes\n"
            "Subsystem sftp internal-sftp\n" + self.extra)
        if os.getuid() == 0:
            os.makedirs("/run/sshd", exist_ok=True)
        self.process = subprocess.Popen(["/usr/sbin/sshd", "-D", "-f", config, "-E", self.log])
        wait_for(lambda: can_connect(self.port, self.host), 10, "the target's sshd")
        return self

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()
            self.process = None

    def restart(self):
        self.stop()
        return self.start()


class Stack:
    """One installation in a folder. Use as a context manager: daemons are stopped at the end and
    their logs are checked for sanitizer reports."""

    host = "127.0.0.1"  # where the daemons listen and are asked

    def __init__(self, folder, build="dev", target=None, start=True, provider=None, **config):
        self.folder = pathlib.Path(folder)
        self.build = BUILDS / build
        self.bin = self.build / "bin"
        (self.ssh_port, self.https_port, self.authenticate_port, self.authorize_port,
         self.databroker_port, *self.health_ports) = free_ports(9)
        self.processes = {}
        self.clients = []
        self.make_keys()
        self.target = target or Target(self.folder / "target", self.folder / "keys/user_ca.pub")
        self.config = self.default_config()
        if provider:
            self.config.pop("idp_local_users_file")
            self.config.update(provider)
        self.config.update(config)
        self.write_config()
        self.start_on_enter = start

    # --- keys and configuration ---

    def postern(self, *args, check=True, **kwargs):
        return subprocess.run([self.bin / "postern", *map(str, args)], check=check,
                              capture_output=True, text=True, timeout=60, **kwargs)

    def make_keys(self):
        for name in ("secrets", "service", "keys", "tls", "databroker", "log", "run", "client"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        f = self.folder
        self.postern("keygen", "secrets", "--out", f / "secrets")
        self.postern("keygen", "services", "--out", f / "service")
        self.postern("keygen", "host-keys", "--out", f / "keys")
        self.postern("keygen", "user-ca", "--out", f / "keys/user_ca")
        self.postern("keygen", "tls", "localhost", "--out", f / "tls")
        self.postern("keygen", "admin", "tests", "--days", 1, "--services", f / "service",
                     "--out", f / "admin.pem")
        self.password_file = f / "demo-password"
        self.password_file.write_text("correct horse battery\n")
        users = []
        for email, groups in (("demo@localhost", ["demo", "ops"]), ("other@localhost", ["other"])):
            hashed = self.postern("password", input="correct horse battery\n").stdout.strip()
            users.append({"email": email, "name": email.split("@")[0].title() + " User",
                          "groups": groups, "password_hash": hashed})
        (f / "secrets/users.yaml").write_text(json.dumps(users))
        os.chmod(f / "secrets/users.yaml", 0o600)

    def default_config(self):
        f = self.folder
        return {
            "shared_secret_file": f"{f}/secrets/shared_secret",
            "cookie_secret_file": f"{f}/secrets/cookie_secret",
            "service_certificate_authority_file": f"{f}/service/ca.crt",
            "service_certificate_file": f"{f}/service/{{service}}.crt",
            "service_certificate_key_file": f"{f}/service/{{service}}.key",
            "address": f"127.0.0.1:{self.https_port}",
            "certificate_file": f"{f}/tls/localhost.crt",
            "certificate_key_file": f"{f}/tls/localhost.key",
            "authenticate_service_url": f"https://localhost:{self.https_port}",
            "authenticate_internal_service_url": f"https://127.0.0.1:{self.authenticate_port}",
            "authorize_service_url": f"https://127.0.0.1:{self.authorize_port}",
            "databroker_service_url": f"https://127.0.0.1:{self.databroker_port}",
            "idp_provider": "local",
            "idp_local_users_file": f"{f}/secrets/users.yaml",
            "ssh_address": f"127.0.0.1:{self.ssh_port}",
            "ssh_host_key_files": [f"{f}/keys/host_ed25519", f"{f}/keys/host_ecdsa",
                                   f"{f}/keys/host_rsa"],
            "ssh_user_ca_key_file": f"{f}/keys/user_ca",
            "databroker_storage_type": "file",
            "databroker_storage_connection_string": f"file://{f}/databroker",
            "routes": [self.route("demo", allow=[{"email": {"is": "demo@localhost"}}])],
        }

    def route(self, name, allow=None, policy=None, **more):
        return {"from": f"ssh://{name}", "to": f"ssh://127.0.0.1:{self.target.port}",
                "policy": policy or [{"allow": {"and": allow}}], **more}

    def write_config(self, **changes):
        self.config.update(changes)
        path = self.folder / "postern.yaml"
        new = path.with_suffix(".new")
        # JSON is YAML; the rename is what an editor does.
        new.write_text(json.dumps({k: v for k, v in self.config.items() if v is not None}, indent=1))
        new.rename(path)

    # --- daemons ---

    def __enter__(self):
        try:
            self.target.start()
            if self.start_on_enter:
                self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *exc):
        for client in self.clients:
            client.kill()
        for service in reversed(SERVICES):
            self.stop(service)
        self.target.stop()
        if exc[0] is None:
            self.check_sanitizers()

    def check_sanitizers(self):
        for path in (self.folder / "log").glob("*.err"):
            text = path.read_text(errors="replace")
            assert not SANITIZER.search(text), f"{path}:\n{text[:6000]}"

    def start(self, *services):
        for service in services or SERVICES:
            self.spawn(service)
        self.wait_ready()

    def environment(self, service):
        return dict(os.environ, HEALTH_CHECK_ADDR=f"127.0.0.1:{self.health_port(service)}",
                    POSTERN_WORKER_PIDFILE=str(self.folder / "run/proxy-worker.pid"),
                    ASAN_OPTIONS="detect_leaks=0:abort_on_error=0",
                    UBSAN_OPTIONS="print_stacktrace=1")

    def program(self, service):
        return [self.bin / f"postern-{service}", "--config", self.folder / "postern.yaml"]

    def spawn(self, service):
        log = self.folder / "log"
        with open(log / f"{service}.jsonl", "ab") as out, open(log / f"{service}.err", "ab") as err:
            self.processes[service] = subprocess.Popen(
                self.program(service), stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                env=self.environment(service))

    def health_port(self, service):
        return self.health_ports[SERVICES.index(service)]

    def health(self, service, path="/readyz"):
        """The status code of a health endpoint, 0 when nobody answers."""
        try:
            with socket.create_connection((self.host, self.health_port(service)), 2) as s:
                s.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
                return int(s.makefile("rb").readline().split()[1])
        except (OSError, IndexError, ValueError):
            return 0

    def wait_ready(self, timeout=40):
        def ready():
            for service, process in self.processes.items():
                if process.poll() is not None:
                    raise AssertionError(f"{service} ended with {process.returncode}: "
                                         + (self.folder / f"log/{service}.err").read_text()[-3000:])
            return all(self.health(s) == 200 for s in self.processes) and (
                "proxy" not in self.processes or can_connect(self.ssh_port, self.host))
        wait_for(ready, timeout, "the daemons to be ready")

    def pid(self, service):
        if service == "worker":
            return int((self.folder / "run/proxy-worker.pid").read_text())
        return self.processes[service].pid

    def signal(self, service, number):
        os.kill(self.pid(service), number)

    def stop(self, service, timeout=20):
        process = self.processes.pop(service, None)
        if process is None:
            return None
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
            process.terminate()
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"{service} did not end within {timeout} s of SIGTERM") from None

    def kill(self, service):
        process = self.processes.pop(service)
        process.kill()
        process.wait()

    def restart(self, service):
        self.stop(service)
        self.start(service)

    # --- what they say ---

    def logs(self, service, message=None, **fields):
        """The log lines, parsed, that have this message and these fields (_ stands for -)."""
        lines = []
        path = self.folder / f"log/{service}.jsonl"
        for line in path.read_text(errors="replace").splitlines() if path.exists() else ():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if message in (None, entry.get("message")) and all(
                    entry.get(k.replace("_", "-")) == v for k, v in fields.items()):
                lines.append(entry)
        return lines

    def wait_log(self, service, message=None, timeout=10, **fields):
        return wait_for(lambda: self.logs(service, message, **fields), timeout,
                        f"a {service} line {message!r} {fields}")[-1]

    def cli(self, *args, check=True):
        """postern with the admin certificate."""
        return self.postern("--config", self.folder / "postern.yaml",
                            "--admin", self.folder / "admin.pem", *args, check=check)

    def cli_json(self, *args):
        return [json.loads(line) for line in self.cli("--json", *args).stdout.splitlines()]

    # --- clients ---

    def key(self, name="id_ed25519", key_type="ed25519"):
        path = self.folder / "client" / name
        if not path.exists():
            subprocess.run(["ssh-keygen", "-q", "-t", key_type, "-N", "", "-f", path], check=True)
        return path

    def ssh_options(self, key="id_ed25519"):
        identity = ["-o", "IdentityFile=none"] if key is None else ["-i", self.key(key)]
        return ["-F", "none", "-p", str(self.ssh_port), *identity, "-o", "IdentitiesOnly=yes",
                "-o", f"UserKnownHostsFile={self.folder}/client/known_hosts",
                "-o", "StrictHostKeyChecking=accept-new", "-o", "LogLevel=INFO",
                "-o", "IdentityAgent=none"]

    def ssh_argv(self, *command, route="demo", login=LOGIN, key="id_ed25519", options=(), ssh="ssh"):
        user = login if route is None else f"{login}@{route}"
        # ssh takes the first value of an option that it sees.
        return [ssh, *options, *self.ssh_options(key), f"{user}@{self.host}", *command]

    def ssh(self, *command, stdin=subprocess.DEVNULL, **kwargs):
        client = Client(self.ssh_argv(*command, **kwargs), stdin=stdin,
                        env={k: v for k, v in os.environ.items() if k != "SSH_AUTH_SOCK"})
        self.clients.append(client)
        return client

    def run_ssh(self, *command, timeout=60, stdin=None, **kwargs):
        """Runs ssh to its end, for a key that is bound already."""
        env = {k: v for k, v in os.environ.items() if k != "SSH_AUTH_SOCK"}
        return subprocess.run(self.ssh_argv(*command, **kwargs), capture_output=True,
                              input=stdin if stdin is not None else b"", timeout=timeout, env=env)

    def sign_in(self, url, user="demo@localhost", *options, check=True, cookies=None):
        env = dict(os.environ, POSTERN_TLS_CA=str(self.folder / "tls/localhost.crt"))
        if cookies:
            env["POSTERN_COOKIES"] = str(cookies)
        return subprocess.run([ROOT / "tests/bin/sign-in", url, user, self.password_file, *options],
                              check=check, capture_output=True, text=True, timeout=60, env=env)

    def bind(self, key="id_ed25519", user="demo@localhost", route="demo"):
        """Signs the key in, so that later logins ask nothing."""
        client = self.ssh("true", key=key, route=route)
        self.sign_in(client.url(), user)
        assert client.wait() == 0, client.stderr.text()
