"""IPv6 from the listeners to the pages and logs: alone, beside IPv4, and towards targets."""
import contextlib
import os
import re
import socket
import ssl
import subprocess
import time

import pytest

from stack import SERVICES, Stack, Target, can_connect, free_ports, wait_for

OFFICE = [{"email": {"is": "demo@localhost"}}]


class Six(Stack):
    """Every address of it is ::1; no socket of it is of IPv4."""

    host = "::1"

    def __init__(self, folder, **config):
        target = Target(folder / "target", folder / "keys/user_ca.pub", host="::1")
        super().__init__(folder, target=target, start=False)
        for old in (folder / "tls").iterdir():
            old.unlink()
        self.postern("keygen", "tls", "localhost", "::1", "--out", folder / "tls")
        self.metrics = dict(zip(SERVICES, free_ports(len(SERVICES))))
        self.write_config(
            address=f"[::1]:{self.https_port}", ssh_address=f"[::1]:{self.ssh_port}",
            authenticate_service_url=f"https://[::1]:{self.https_port}",
            authenticate_internal_service_url=f"https://[::1]:{self.authenticate_port}",
            authorize_service_url=f"https://[::1]:{self.authorize_port}",
            databroker_service_url=f"https://[::1]:{self.databroker_port}",
            metrics_address={service: f"[::1]:{port}" for service, port in self.metrics.items()}, **config)

    def environment(self, service):
        return dict(super().environment(service), HEALTH_CHECK_ADDR=f"[::1]:{self.health_port(service)}")

    def route(self, name, allow=None, policy=None, **more):
        return super().route(name, allow, policy, **{"to": f"ssh://[::1]:{self.target.port}", **more})


@pytest.fixture(scope="module")
def six(tmp_path_factory):
    stack = Six(tmp_path_factory.mktemp("six"))
    with stack:
        stack.start()
        yield stack


def test_all_on_ipv6(six):
    """Sign-in, login, decision, certificate and health with no IPv4 anywhere."""
    client = six.ssh("echo $SSH_CONNECTION; sleep 60")
    url = client.url()
    assert url.startswith(f"https://[::1]:{six.https_port}/"), url
    page = six.sign_in(url).stdout
    assert page, page
    client.stdout.wait(r"^::1 \d+ ::1 \d+\n")
    check = six.wait_log("authorize", "authorize check", allow=True)
    opened = six.wait_log("proxy", "ssh connection opened")
    assert check["ip"] == opened["ip"] == "::1"
    assert "::1" in six.cli("connections", "list").stdout
    client.kill()
    (key,) = six.cli_json("hostkeys", "list")
    assert f"[::1]:{six.target.port}" in str(key), key
    wait_for(lambda: any(line.get("ip") == "::1" for line in six.logs("authenticate")), what="the browser's address")
    ports = [six.ssh_port, six.https_port, six.authenticate_port, six.authorize_port, six.databroker_port,
             *six.metrics.values(), *(six.health_port(s) for s in SERVICES)]
    assert all(can_connect(port, "::1") for port in ports)
    assert not any(can_connect(port) for port in ports)


def test_host_key_is_remembered_by_its_address(six):
    """A second login finds what the first one recorded under [::1]:port."""
    assert six.run_ssh("echo in").stdout == b"in\n"
    before = six.target.fingerprint
    six.target.make_host_key("ecdsa")
    six.target.restart()
    refused = six.run_ssh("echo in")
    assert refused.returncode == 255 and b"host key" in refused.stderr.lower(), refused.stderr
    six.cli("hostkeys", "accept", "demo")
    wait_for(lambda: six.run_ssh("echo in").stdout == b"in\n", what="the accepted key to count")
    assert before != six.target.fingerprint


def test_callers_in_logs_are_addresses(six):
    """What a log calls an ip is one, also that of a daemon or an administrator."""
    six.cli("sessions", "list")
    call = six.wait_log("databroker", "admin call")
    assert call["ip"] == "::1", call
    for service in SERVICES:
        for line in six.logs(service):
            if "ip" in line:
                socket.inet_pton(socket.AF_INET6, line["ip"])
    listening = {line["address"] for s in SERVICES for line in six.logs(s) if "address" in line}
    assert listening and all(re.fullmatch(r"\[::1\]:\d+", a) for a in listening), listening


def test_tools_on_ipv6(six):
    for service in SERVICES:
        env = six.environment(service)
        assert "ok" in six.postern("--config", six.folder / "postern.yaml", "health", "--service", service, env=env).stdout
        with socket.create_connection(("::1", six.metrics[service]), 5) as s:
            s.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            assert b"process_start_time_seconds" in s.makefile("rb").read()
    assert "::1" in six.cli("doctor", "demo").stdout


def test_certificate_of_an_address(six):
    """No name is sent for a literal address; the certificate is checked against ::1 all the same."""
    context = ssl.create_default_context(cafile=six.folder / "tls/localhost.crt")
    with socket.create_connection(("::1", six.https_port), 10) as raw:
        with context.wrap_socket(raw, server_hostname="::1") as s:
            s.sendall(f"GET /healthz HTTP/1.1\r\nHost: [::1]:{six.https_port}\r\nConnection: close\r\n\r\n".encode())
            assert s.recv(64).startswith(b"HTTP/1.1 200")


# --- both families ---

class Both(Stack):
    """Listeners of both families, and a hosts file of its own for the proxy, which dials targets by name."""

    def __init__(self, folder, any_address, **config):
        self.hosts = folder / "hosts"
        super().__init__(folder, start=False, **config)
        self.any = any_address
        self.hosts.write_text("127.0.0.1 localhost\n::1 six.test\n127.0.0.1 four.test\n127.0.0.1 both.test\n::1 both.test\n")

        def listen(port):
            return f"{any_address}:{port}"
        self.write_config(
            address=listen(self.https_port), ssh_address=listen(self.ssh_port), routes=self.by_family(),
            authenticate_address=listen(self.authenticate_port), grpc_address=None)

    def by_family(self):
        def denying(name, networks):
            return self.route(name, policy=[{"allow": {"and": OFFICE}}, {"deny": {"or": [{"source_ip": networks}]}}])
        return [self.route("demo", OFFICE),
                self.route("four", OFFICE + [{"source_ip": "::ffff:127.0.0.0/104"}]),
                self.route("six", OFFICE + [{"source_ip": "::/64"}]),
                denying("not-four", "127.0.0.0/8"), denying("not-six", ["fe80::/10", "::1"])]

    def environment(self, service):
        own = {"authorize": {"GRPC_ADDRESS": f"{self.any}:{self.authorize_port}"},
               "databroker": {"GRPC_ADDRESS": f"{self.any}:{self.databroker_port}"}}
        return dict(super().environment(service), HEALTH_CHECK_ADDR=f"{self.any}:{self.health_port(service)}",
                    **own.get(service, {}))

    def program(self, service):
        """In a mount namespace where /etc/hosts is ours."""
        argv = super().program(service)
        if service != "proxy":
            return argv
        user = [] if os.getuid() == 0 else ["--map-current-user", "--keep-caps"]
        return ["unshare", "--mount", *user, "sh", "-c", f'mount --bind {self.hosts} /etc/hosts && exec "$@"', "sh", *argv]


@pytest.fixture(scope="module", params=["", "[::]"], ids=["empty", "unspecified"])
def both(request, tmp_path_factory):
    with Both(tmp_path_factory.mktemp("both"), request.param) as s:
        s.start()
        s.bind()
        yield s


def from_host(stack, host, *command, **kwargs):
    return stack.run_ssh(*(command or ("echo in",)), options=["-o", f"HostName={host}"], **kwargs)


def test_one_listener_for_both_families(both):
    for port in (both.ssh_port, both.https_port, both.authenticate_port, both.authorize_port, both.databroker_port,
                 *(both.health_port(s) for s in SERVICES)):
        assert can_connect(port, "127.0.0.1") and can_connect(port, "::1"), port
    for host in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
        before = len(both.logs("authorize", "authorize check"))
        assert from_host(both, host).stdout == b"in\n"
        (line,) = wait_for(lambda: both.logs("authorize", "authorize check")[before:], what="the decision's line")
        # An IPv4 client of an IPv6 socket is an IPv4 client.
        assert line["ip"] == ("::1" if host == "::1" else "127.0.0.1")


def test_policy_by_family(both):
    """The same rule however a client's address is written: mapped ones are IPv4 in rules and in clients."""
    allowed = {("four", "127.0.0.1"), ("four", "::ffff:127.0.0.1"), ("six", "::1"),
               ("not-four", "::1"), ("not-six", "127.0.0.1"), ("not-six", "::ffff:127.0.0.1")}
    for route in ("four", "six", "not-four", "not-six"):
        for host in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
            result = from_host(both, host, route=route)
            assert (result.stdout == b"in\n") == ((route, host) in allowed), (route, host, result.stderr)


@contextlib.contextmanager
def link_local():
    """An address whose text has a zone: of the loopback interface, or one that this machine has."""
    if os.getuid() != 0:
        with open("/proc/net/if_inet6", encoding="ascii") as f:
            words = next(line.split() for line in f if line.startswith("fe80"))
        yield socket.inet_ntop(socket.AF_INET6, bytes.fromhex(words[0])), words[5]
        return
    address = f"fe80::26:{os.getpid():x}"
    subprocess.run(["ip", "-6", "addr", "add", f"{address}/64", "dev", "lo", "nodad"], check=True)
    try:
        yield address, "lo"
    finally:
        subprocess.run(["ip", "-6", "addr", "del", f"{address}/64", "dev", "lo"], check=True)


def test_deny_of_a_link_local_client(both):
    """Its address has a zone, which is no part of any network: the rule that denies it hits all the same."""
    with link_local() as (address, interface):
        seen = f"{address}%{socket.if_nametoindex(interface)}"
        client = f"{address}%%{interface}"  # ssh takes one % of a HostName for a token of its own
        wait_for(lambda: can_connect(both.ssh_port, f"{address}%{interface}"), what="the address to be usable")
        result = from_host(both, client, route="demo")
        assert result.stdout == b"in\n", result.stderr
        line = both.wait_log("authorize", "authorize check", route="demo", decision="allow", ip=seen)
        denied = from_host(both, client, route="not-six")
        assert denied.returncode == 255 and b"does not let you in" in denied.stderr, denied.stderr
        line = both.wait_log("authorize", "authorize check", route="not-six", ip=seen)
        assert line["deny"] is True and line["decision"] == "deny", line


# --- targets ---

class Deaf:
    """Answers no SYN at this address, as a host behind a dead route: the queue of its socket is full."""

    def __init__(self, host, port):
        self.listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if ":" in host:
            self.listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        self.listener.bind((host, port))
        self.listener.listen(0)
        self.clients = []
        for _ in range(20):
            s = socket.socket(self.listener.family)
            self.clients.append(s)
            s.settimeout(0.3)
            try:
                s.connect((host, port))
            except TimeoutError:
                return
        raise AssertionError("the queue does not fill")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for s in (self.listener, *self.clients):
            s.close()


@contextlib.contextmanager
def target_at(stack, folder, host):
    target = Target(folder, stack.folder / "keys/user_ca.pub", host=host).start()
    try:
        yield target
    finally:
        target.stop()


def use_route(stack, name, to):
    stack.write_config(routes=[*stack.by_family(), {**stack.route(name, OFFICE), "to": to}])
    wait_for(lambda: b"no route" not in stack.run_ssh("true", route=name).stderr, what="the new route")


def timed_login(stack, route):
    begun = time.monotonic()
    result = stack.run_ssh("echo in $SSH_CONNECTION", route=route)
    return result, time.monotonic() - begun


@pytest.mark.parametrize("name,host", [("six.test", "::1"), ("four.test", "127.0.0.1"),
                                       ("both.test", "::1"), ("both.test", "127.0.0.1")])
def test_target_by_name(both, tmp_path, name, host):
    """A name with one family, and one with both where one of them refuses."""
    with target_at(both, tmp_path / "target", host) as target:
        route = f"by-{name.split('.')[0]}-{len(host)}"
        use_route(both, route, f"ssh://{name}:{target.port}")
        result, _ = timed_login(both, route)
        assert result.stdout.startswith(f"in {host} ".encode()), result.stderr
        (key,) = [k for k in both.cli_json("hostkeys", "list") if route in str(k)]
        assert f"{name}:{target.port}" in str(key)


@pytest.mark.parametrize("host,dead", [("127.0.0.1", "::1"), ("::1", "127.0.0.1")])
def test_target_with_a_silent_family(both, tmp_path, host, dead):
    """One family swallows what is sent to it: the other is tried soon, not when the first has timed out."""
    with target_at(both, tmp_path / "target", host) as target, Deaf(dead, target.port):
        route = f"silent-{len(host)}"
        use_route(both, route, f"ssh://both.test:{target.port}")
        result, took = timed_login(both, route)
        assert result.stdout.startswith(f"in {host} ".encode()), result.stderr
        assert took < 8, took


def test_target_literals(both, tmp_path):
    with target_at(both, tmp_path / "target", "::1") as target:
        for n, literal in enumerate(("[::1]", "[0:0:0:0:0:0:0:1]")):
            use_route(both, f"literal{n}", f"ssh://[::1]:{target.port}".replace("[::1]", literal))
            result = both.run_ssh("echo in", route=f"literal{n}")
            assert result.stdout == b"in\n", result.stderr
    refused = both.run_ssh("echo in", route="literal1")
    assert refused.returncode == 255 and b"literal1" in refused.stderr, refused.stderr
