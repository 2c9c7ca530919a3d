"""Every metric is moved by doing what it counts; run with -s for the table of metric and what moved it.

A row reads 'SERVICE METRIC{label="value"} HOW': "+" has grown, "-" has shrunk, "~" is another, "=N" has become N.
tests/lint/metrics.py sees to it that each metric of common/daemon/metrics.def stands in one."""
import concurrent.futures
import contextlib
import json
import os
import re
import resource
import socket
import sqlite3
import subprocess
import threading
import time
import urllib.request

import pytest

from grpc_peer import grpc_call
from idp import Glewlwyd
from stack import BUILDS, LOGIN, ROOT, SERVICES, Stack, Target, free_ports, wait_for
from tunnels import Datagrams, TcpServer, UdpServer, connect, connect_udp, echo, login, tcp_route, udp_route

ROW = re.compile(r'(\w+) (\w+)(?:\{(.*)\})? (?:([-+~])|=(\d+))')
SAMPLE = re.compile(r'(\w+)(?:\{(.*)\})? (\S+)')
LABEL = re.compile(r'(\w+)="([^"]*)"')
# Without a way to move them from outside: they are what the machine and the build are.
CONSTANT = {
    'postern_build_info': "1, with service and version",
    'postern_worker_memory_budget_bytes': "half of the memory of the machine or the control group",
}
moved = []


def scrape(stack, service):
    """[(name, {label: value}, number)] of a daemon's page; none when it is not there."""
    try:
        with urllib.request.urlopen(f"http://{stack.metrics[service]}/metrics", timeout=10) as answer:
            text = answer.read().decode()
    except OSError:
        return []
    rows = [SAMPLE.fullmatch(line).groups() for line in text.splitlines() if not line.startswith("#")]
    return [(name, dict(LABEL.findall(labels or "")), float(value)) for name, labels, value in rows]


class Row:
    def __init__(self, text):
        match = ROW.fullmatch(text)
        assert match, text
        self.text = text
        self.service, self.name, labels, self.way, number = match.groups()
        self.labels = set(LABEL.findall(labels or ""))
        self.wanted = None if number is None else float(number)

    def value(self, page):
        found = [v for name, labels, v in page if name == self.name and self.labels <= set(labels.items())]
        return sum(found) if found else None

    def holds(self, before, now):
        if now is None:
            return False
        if self.wanted is not None:
            return now == self.wanted != before
        return {"+": now > (before or 0), "-": now < (before or 0), "~": now != before}[self.way]


@contextlib.contextmanager
def moves(stack, what, *rows, seconds=60):
    """What is done inside moves the rows."""
    rows = [Row(r) for r in rows]
    pages = {service: scrape(stack, service) for service in {r.service for r in rows}}
    before = {r: r.value(pages[r.service]) for r in rows}
    yield
    waiting = list(rows)

    def all_hold():
        now = {service: scrape(stack, service) for service in {r.service for r in waiting}}
        for row in list(waiting):
            value = row.value(now[row.service])
            if row.holds(before[row], value):
                moved.append((row, what, before[row], value))
                waiting.remove(row)
        return not waiting
    try:
        wait_for(all_hold, seconds, "metrics", step=0.002)
    except AssertionError:
        pytest.fail(f"{what} did not move {[(r.text, before[r], r.value(scrape(stack, r.service))) for r in waiting]}")


def metrics_addresses():
    return dict(zip(SERVICES, (f"127.0.0.1:{p}" for p in free_ports(len(SERVICES)))))


class Measured(Stack):
    """The release build: the sanitizers' malloc does not tell how much is in use."""

    def __init__(self, folder, **more):
        self.metrics = metrics_addresses()
        super().__init__(folder, "release", metrics_address=self.metrics, **more)


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    folder = tmp_path_factory.mktemp("metrics") / "stack"
    s = Measured(folder, start=False)
    s.target.extra = "RekeyLimit 1M\n"
    s.stranger = Target(folder / "stranger", folder / "client/nobody.pub")
    (folder / "client/nobody.pub").write_text((s.key("other-ca").with_suffix(".pub")).read_text())
    s.moving = Target(folder / "moving", folder / "keys/user_ca.pub")
    s.only_rsa = Target(folder / "only-rsa", folder / "keys/user_ca.pub",
                        extra="PubkeyAcceptedAlgorithms rsa-sha2-512-cert-v01@openssh.com,rsa-sha2-256-cert-v01@openssh.com\n")
    closed, = free_ports(1)
    anybody = [{"allow": {"and": [{"accept": True}]}}]
    right = s.key("right").with_suffix(".pub").read_text().strip()
    s.write_config(routes=[
        s.route("demo", allow=[{"email": {"is": "demo@localhost"}}]),
        s.route("denied", allow=[{"email": {"is": "other@localhost"}}]),
        s.route("picky", allow=[{"email": {"is": "demo@localhost"}}, {"ssh_publickey": right}]),
        {"from": "ssh://stranger", "to": f"ssh://127.0.0.1:{s.stranger.port}", "policy": anybody},
        {"from": "ssh://moving", "to": f"ssh://127.0.0.1:{s.moving.port}", "policy": anybody},
        {"from": "ssh://only-rsa", "to": f"ssh://127.0.0.1:{s.only_rsa.port}", "policy": anybody},
        {"from": "ssh://closed", "to": f"ssh://127.0.0.1:{closed}", "policy": anybody}])
    try:
        s.stranger.start()
        s.moving.start()
        s.only_rsa.start()
        with s:
            s.start()
            yield s
    finally:
        s.stranger.stop()
        s.moving.stop()
        s.only_rsa.stop()


def browser(stack, path, *options):
    """A page's status."""
    run = subprocess.run(["curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "20", *options,
                          stack.config["authenticate_service_url"] + path], capture_output=True, text=True)
    return int(run.stdout)


def test_sign_in_and_cut(stack):
    with moves(stack, "a key without a binding connects and waits",
               'proxy postern_ssh_connections_total{result="accepted"} +', 'proxy postern_sign_ins_waiting =1',
               'proxy postern_decisions_total{result="login"} +', 'proxy postern_decide_duration_seconds_count +',
               'proxy postern_signatures_total{kind="kex",result="signed"} +', 'proxy postern_signature_duration_seconds_count +',
               'authorize postern_authorize_decisions_total{result="login"} +', 'authorize postern_sign_in_codes =1',
               'authorize postern_authorize_connections{phase="waiting"} =1',
               'databroker postern_databroker_records{type="SessionBindingRequest"} +'):
        client = stack.ssh("echo up; sleep 600")
        url = client.url()
    with moves(stack, "a sign-in with the local provider, Authorize is pressed",
               'authenticate postern_sign_ins_total{provider="local",result="signed_in"} +',
               'authenticate postern_approvals_total{result="authorized"} +',
               'authenticate pomerium_http_server_requests_total{http_status_code="200"} +',
               'proxy postern_tls_handshakes_total{result="completed"} +', 'proxy postern_signatures_total{kind="tls"} +',
               'databroker postern_databroker_records{type="Session"} =1', 'databroker postern_databroker_records{type="SessionBinding"} =1',
               'databroker postern_databroker_records{type="User"} =1', 'databroker postern_databroker_records{type="HostKey"} =1',
               'databroker postern_databroker_records{type="Connection"} =1',
               'databroker postern_storage_commits_total{result="committed"} +', 'databroker postern_storage_commit_duration_seconds_count +',
               'databroker postern_storage_group_size_count +', 'databroker postern_storage_file_bytes{file="wal"} +',
               'databroker pomerium_grpc_server_requests_total{grpc_method="Put",grpc_server_status="OK"} +',
               'databroker postern_grpc_server_duration_seconds_count{grpc_method="Put"} +',
               'authorize postern_sync_record_version +', 'authorize postern_authorize_decisions_total{result="allow"} +',
               'authorize postern_certificates_total{result="signed"} +', 'authorize postern_certificate_duration_seconds_count +',
               'authorize postern_authorize_connections{phase="live"} =1', 'authorize postern_sign_in_codes =0',
               'proxy postern_decisions_total{result="allow"} +', 'proxy postern_certify_duration_seconds_count +',
               'proxy postern_upstream_dials_total{result="connected"} +', 'proxy postern_upstream_handshake_duration_seconds_count +',
               'proxy postern_upstream_logins_total{result="accepted"} +', 'proxy postern_connections =1',
               'proxy postern_sign_ins_waiting =0'):
        stack.sign_in(url)
        client.stdout.wait("up")
    with moves(stack, "postern connections cut",
               'authorize postern_cuts_total{cause="admin"} +', 'authorize postern_cut_duration_seconds_count +',
               'authorize postern_authorize_connections{phase="live"} =0', 'proxy postern_connections_cut_total +',
               'proxy postern_ssh_logins_total{result="signed_in"} +', 'proxy postern_connections =0',
               'databroker postern_databroker_records{type="CutRequest"} +'):
        stack.cli("connections", "cut", "--route", "demo")
        assert client.wait() == 255


def test_bytes_and_rekeys(stack):
    with moves(stack, "4 MB through a login, both ends rekey each megabyte",
               'proxy postern_ssh_logins_total{result="allowed"} +', 'proxy postern_connection_bytes_total{direction="in"} +',
               'proxy postern_connection_bytes_total{direction="out"} +', 'proxy postern_ssh_rekeys_total{side="client"} +',
               'proxy postern_ssh_rekeys_total{side="target"} +', 'proxy postern_worker_cpu_seconds_total +'):
        run = stack.run_ssh("cat", stdin=bytes(4 << 20), options=["-o", "RekeyLimit=1M"])
        assert run.returncode == 0 and len(run.stdout) == 4 << 20


def test_tunnels(stack):
    """TCP and UDP through the gateway, and targets that are down."""
    server, answers, downs = TcpServer(echo), UdpServer(), free_ports(2)
    often = {"interval": "100ms", "timeout": "1s", "unhealthy_threshold": 1, "tcp_health_check": {}}
    before = stack.config["routes"]
    with moves(stack, "routes for TCP and UDP; a target fails its health checks",
               'proxy postern_endpoints{state="usable"} +', 'proxy postern_endpoints{state="unhealthy"} =1',
               'proxy postern_health_checks_total{result="failed"} +', 'proxy postern_health_checks_total{result="passed"} +'):
        stack.write_config(routes=[*before, tcp_route("echo.test:7", server.port, health_checks=[often]),
                                   tcp_route("sick.test:7", downs[0], health_checks=[often]), udp_route("echo.test:7", answers.port),
                                   tcp_route("down.test:7", downs[1], outlier_detection={"consecutive_local_origin_failure": 1})])
    with moves(stack, "no token, and a destination that nobody knows",
               'proxy postern_tunnels_total{protocol="tcp",result="login"} +',
               'proxy postern_tunnels_total{protocol="tcp",result="unknown_route"} +'):
        assert [connect(stack, f"{name}.test:7").status for name in ("echo", "nowhere")] == [302, 404]
    token = login(stack)
    with moves(stack, "bytes through a TCP tunnel",
               'proxy postern_tunnels_total{protocol="tcp",result="opened"} +', 'proxy postern_tunnel_connect_duration_seconds_count +',
               'proxy postern_connections{protocol="tcp"} =1', 'proxy postern_connection_bytes_total{protocol="tcp",direction="in"} +',
               'proxy postern_connection_bytes_total{protocol="tcp",direction="out"} +'):
        tcp = connect(stack, "echo.test:7", token)
        tcp.send(b"hello")
        assert tcp.read(5) == b"hello"
    with moves(stack, "datagrams through a UDP tunnel",
               'proxy postern_tunnels_total{protocol="udp",result="opened"} +', 'proxy postern_connections{protocol="udp"} =1',
               'proxy postern_connection_bytes_total{protocol="udp",direction="in"} +',
               'proxy postern_tunnel_datagrams_total{direction="in",result="passed"} +',
               'proxy postern_tunnel_datagrams_total{direction="out",result="passed"} +'):
        udp = Datagrams(connect_udp(stack, "echo.test:7", token))
        udp.send(b"hello")
        assert udp.recv() == b"hello"
    answers.close()
    with moves(stack, "the UDP target goes away",
               'proxy postern_tunnel_datagrams_total{direction="in",result="unreachable"} +'):
        for _ in range(5):
            udp.send(b"hello")
            time.sleep(0.1)
    with moves(stack, "a TCP target that is down is ejected",
               'proxy postern_tunnels_total{protocol="tcp",result="upstream"} +', 'proxy postern_endpoint_ejections_total +',
               'proxy postern_endpoints{state="ejected"} =1'):
        assert connect(stack, "down.test:7", token).status == 503
    with moves(stack, "the tunnels' clients leave", 'proxy postern_connections{protocol="tcp"} =0',
               'proxy postern_connections{protocol="udp"} =0'):
        tcp.sock.close()
        udp.tunnel.sock.close()
    server.close()
    stack.write_config(routes=before)


def test_management_shell(stack):
    with moves(stack, "ssh gateway whoami", 'proxy postern_ssh_shell_commands_total{command="whoami"} +'):
        assert b"demo@localhost" in stack.run_ssh("whoami", route=None).stderr


def test_rsa_keys(stack):
    with moves(stack, "a login to a target that takes RSA keys only", 'proxy postern_rsa_keys_used_total +', 'proxy postern_rsa_keys_ready ~'):
        assert stack.run_ssh("true", route="only-rsa").returncode == 0


def test_logins_that_fail(stack):
    with moves(stack, "a login that policy denies", 'authorize postern_authorize_decisions_total{result="deny"} +',
               'proxy postern_decisions_total{result="deny"} +', 'proxy postern_ssh_logins_total{result="denied"} +'):
        assert stack.run_ssh("true", route="denied").returncode == 255
    with moves(stack, "a key that the route does not want", 'authorize postern_authorize_decisions_total{result="next_key"} +',
               'proxy postern_decisions_total{result="next_key"} +'):
        assert stack.run_ssh("true", route="picky").returncode == 255
    with moves(stack, "a login to a closed port", 'proxy postern_upstream_dials_total{result="unreachable"} +',
               'proxy postern_ssh_logins_total{result="failed"} +'):
        assert stack.run_ssh("true", route="closed").returncode == 255
    with moves(stack, "a login to a target without our CA", 'proxy postern_upstream_logins_total{result="failed"} +'):
        assert stack.run_ssh("true", route="stranger").returncode == 255
    assert stack.run_ssh("true", route="moving").returncode == 0
    stack.moving.stop()
    stack.moving.make_host_key()
    stack.moving.start()
    with moves(stack, "a login to a target with another host key", 'authorize postern_certificates_total{result="refused"} +'):
        assert stack.run_ssh("true", route="moving").returncode == 255
    with moves(stack, "a client that goes while it waits for the browser", 'proxy postern_ssh_logins_total{result="left"} +'):
        client = stack.ssh("true", key="leaves")
        client.url()
        client.kill()


def test_strangers(stack):
    def connect(port=stack.ssh_port):
        return socket.create_connection(("127.0.0.1", port), 10)
    sockets = []
    with moves(stack, "20 connections that say nothing", 'proxy postern_ssh_startups =20', 'proxy postern_worker_open_fds +',
               'proxy postern_worker_memory_used_bytes +', 'proxy postern_worker_resident_memory_bytes +'):
        sockets = [connect() for _ in range(20)]
    with moves(stack, "they go", 'proxy postern_ssh_startups =0', 'proxy postern_worker_open_fds -',
               'proxy postern_ssh_handshake_failures_total{class="closed"} +'):
        for s in sockets:
            s.close()
    with moves(stack, "something else than SSH", 'proxy postern_ssh_handshake_failures_total{class="protocol"} +'):
        with connect() as s:
            s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 20)
            while s.recv(4096):
                pass
    with moves(stack, "something else than TLS", 'proxy postern_tls_handshakes_total{result="failed"} +'):
        with connect(stack.https_port) as s:
            s.sendall(b"SSH-2.0-x\r\n" * 20)
            with contextlib.suppress(ConnectionError):
                while s.recv(4096):
                    pass
    with moves(stack, "calls of services that may not make them", 'databroker postern_grpc_calls_denied_total +',
               'authorize postern_grpc_calls_denied_total +'):
        for name, port, path in (("proxy", stack.databroker_port, "/databroker.DataBrokerService/Get"),
                                 ("authenticate", stack.authorize_port, "/postern.Decide/Stream")):
            cert = stack.folder / "service" / name
            assert grpc_call(port, path, f"{cert}.crt", f"{cert}.key") == 7


def test_browsers(stack, tmp_path):
    waiting = stack.ssh("true", key="browsers")
    url = waiting.url()
    good, wrong, cookies = stack.password_file, tmp_path / "wrong", tmp_path / "cookies"
    wrong.write_text("not the password\n")
    with moves(stack, "Deny is pressed", 'authenticate postern_approvals_total{result="denied"} +'):
        stack.sign_in(url, "demo@localhost", "--deny", cookies=cookies)
    with moves(stack, "a form of somebody else's", 'authenticate postern_forged_forms_refused_total +',
               'authenticate pomerium_http_server_requests_total{http_status_code="403"} +'):
        assert browser(stack, "/.pomerium/sign_out", "-b", cookies, "-d", "csrf_token=AAAA", "-H", "Origin: https://evil.test") == 403
    with moves(stack, "a page that is not there", 'proxy pomerium_http_server_requests_total{http_status_code="404"} +',
               'proxy postern_http_connections_total{protocol="h2"} +'):
        browser(stack, "/nothing")
    with moves(stack, "an older browser", 'proxy postern_http_connections_total{protocol="h1"} +'):
        browser(stack, "/ping", "--http1.1")
    with moves(stack, "a sign-out", 'authenticate postern_sign_outs_total +', 'authorize postern_cuts_total{cause="session"} +'):
        live = stack.ssh("echo up; sleep 600", key="out")
        stack.sign_in(live.url(), cookies=cookies)
        live.stdout.wait("up")
        base = stack.config["authenticate_service_url"]
        page = subprocess.run(["curl", "-sk", "-b", cookies, "-c", cookies, f"{base}/.pomerium/sign_out"], capture_output=True, text=True).stdout
        token = re.search(r'name="csrf_token" value="([^"]+)"', page)[1]
        status = browser(stack, "/.pomerium/sign_out", "-b", cookies, "-H", f"Origin: {base}", "--data-urlencode", f"csrf_token={token}")
        assert status in (200, 302, 303)
        assert live.wait() == 255
    url = stack.ssh("true", key="guesses").url()
    with moves(stack, "a wrong password, again and again",
               'authenticate postern_sign_ins_total{provider="local",result="refused"} +',
               'authenticate postern_sign_ins_total{provider="local",result="limited"} +'):
        stack.password_file = wrong
        # At once: with time one gets new tries.
        with concurrent.futures.ThreadPoolExecutor(8) as several:
            list(several.map(lambda _: stack.sign_in(url, "other@localhost", check=False), range(24)))
        stack.password_file = good
    # Whoever guesses has to wait; a new process does not know of it.
    stack.restart("authenticate")


def test_configuration(stack):
    routes = stack.config["routes"]
    refused = [row for s in SERVICES for row in (f'{s} pomerium_config_last_reload_success =0', f'{s} postern_config_reloads_total{{result="refused"}} +')]
    with moves(stack, "a file that is wrong", *refused):
        stack.write_config(access_log_interval="soon")
    taken = [row for s in SERVICES for row in (f'{s} pomerium_config_last_reload_success =1', f'{s} pomerium_config_checksum_decimal ~',
                                               f'{s} pomerium_config_last_reload_success_timestamp +',
                                               f'{s} postern_config_reloads_total{{result="taken"}} +')]
    with moves(stack, "it is put right, with a route more", *taken, 'authorize postern_routes +'):
        stack.write_config(access_log_interval="7m", routes=[*routes, dict(routes[0], **{"from": "ssh://more"})])


@pytest.mark.parametrize("service", SERVICES)
def test_process(stack, service):
    port, pid = stack.health_port(service), stack.pid(service)
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    sockets = []
    with moves(stack, "30 connections to the health endpoint, each with half a request", f'{service} process_open_fds +',
               f'{service} process_resident_memory_bytes ~', f'{service} process_cpu_seconds_total +'):
        for _ in range(30):
            sockets.append(socket.create_connection(("127.0.0.1", port), 10))
            sockets[-1].sendall(b"GET /status HTTP/1.1\r\nHost: x\r\nX-Long: " + bytes(4000).replace(b"\0", b"x"))
    with moves(stack, "they go", f'{service} process_open_fds -'):
        for s in sockets:
            s.close()
    with moves(stack, "prlimit --nofile", f'{service} process_max_fds ={soft - 1}'):
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft - 1, hard))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
    info = [labels for name, labels, value in scrape(stack, service) if name == "postern_build_info" and value == 1]
    assert info == [{"service": service, "version": "0.1.0"}]


def test_worker(stack):
    pid = stack.pid("worker")
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    with moves(stack, "prlimit --nofile on the worker", f'proxy postern_worker_max_fds ={soft - 1}'):
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft - 1, hard))
    # Half of the machine's memory, or of what a control group leaves it.
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    budget = Row("proxy postern_worker_memory_budget_bytes +").value(scrape(stack, "proxy"))
    assert 0 < budget <= machine // 2
    with moves(stack, "a new worker", 'proxy postern_worker_start_time_seconds +'):
        with moves(stack, "the worker is killed, and those after it", 'proxy postern_worker_up =0', 'proxy postern_worker_restarts_total +'):
            # Each time it is started a little later, at last after 1.6 s.
            for _ in range(6):
                os.kill(pid, 9)
                before, pid = pid, 0
                wait_for(lambda: new_worker(stack, before), 20, "the next worker")
                pid = stack.pid("worker")
            os.kill(pid, 9)
        with moves(stack, "it serves", 'proxy postern_worker_up =1'):
            pass
    stack.wait_ready()


def new_worker(stack, before):
    with contextlib.suppress(OSError, ValueError):
        return stack.pid("worker") != before


def test_replicas_that_go(stack, tmp_path):
    with moves(stack, "authorize goes", 'proxy postern_authorize_connected =0', 'proxy postern_authorize_streams_total{event="lost"} +',
               'proxy postern_ready =0', 'proxy postern_health_check_ok{check="authorize.service"} =0',
               'databroker postern_databroker_watchers -'):
        stack.stop("authorize")
    with moves(stack, "authorize comes", 'proxy postern_authorize_connected =1', 'proxy postern_authorize_streams_total{event="opened"} +',
               'proxy postern_ready =1', 'proxy postern_health_check_ok{check="authorize.service"} =1',
               'databroker postern_databroker_watchers +', 'authorize postern_authorize_workers =1', 'authorize postern_sync_connected =1'):
        stack.start("authorize")
    with moves(stack, "authenticate goes", 'databroker postern_databroker_leases =0'):
        stack.stop("authenticate")
    with moves(stack, "authenticate comes", 'databroker postern_databroker_leases =1', 'authenticate postern_identity_manager_leading =1',
               'authenticate process_start_time_seconds +'):
        stack.start("authenticate")
    cookies = tmp_path / "cookies"
    client = stack.ssh("true", key="replicas")
    stack.sign_in(client.url(), cookies=cookies)
    assert client.wait() == 0
    with moves(stack, "the databroker goes", 'authorize postern_sync_connected =0', 'authorize postern_sync_age_seconds +',
               'authenticate postern_health_check_ok{check="databroker.connection"} =0', 'authenticate postern_ready =0',
               'authenticate postern_databroker_call_errors_total +', 'authenticate postern_identity_manager_leading =0'):
        stack.stop("databroker")
        assert browser(stack, "/.pomerium/session_binding_info", "-b", cookies) == 503
    with moves(stack, "the databroker comes", 'authorize postern_sync_connected =1', 'authenticate postern_ready =1',
               'authenticate postern_identity_manager_leading =1'):
        stack.start("databroker")


def test_storage_queue(stack):
    """Somebody else holds the file's write lock: what is to be written waits."""
    client = stack.ssh("true", key="queued")
    url = client.url()
    lock = sqlite3.connect(stack.folder / "databroker/databroker.sqlite3", isolation_level=None)
    sign_in = threading.Thread(target=stack.sign_in, args=(url,))
    with moves(stack, "a sign-in while the database's write lock is held", 'databroker postern_storage_queue{kind="write"} +',
               'databroker postern_storage_queue_bytes +'):
        lock.execute("BEGIN IMMEDIATE")
        sign_in.start()
    with moves(stack, "the lock is let go", 'databroker postern_storage_queue{kind="write"} =0', 'databroker postern_storage_queue_bytes =0'):
        lock.execute("ROLLBACK")
        lock.close()
        sign_in.join()
    assert client.wait() == 0


def test_certificates_queue(stack, tmp_path):
    """Signing by a large RSA key takes long enough to be seen."""
    key = tmp_path / "ca"
    subprocess.run(["openssl", "genrsa", "-out", f"{key}.pem", "6144"], check=True, capture_output=True)
    subprocess.run(["cp", f"{key}.pem", key], check=True)
    os.chmod(key, 0o600)
    old = stack.config["ssh_user_ca_key_file"]
    with moves(stack, "another user CA", 'authorize postern_config_reloads_total{result="taken"} +'):
        stack.write_config(ssh_user_ca_key_file=str(key))
    clients = []
    with moves(stack, "12 logins at once, signed by RSA of 6144 bits", 'authorize postern_certificates_queue +'):
        clients = [stack.ssh("true") for _ in range(12)]
    for client in clients:
        client.wait()
    with moves(stack, "the old one", 'authorize postern_config_reloads_total{result="taken"} +'):
        stack.write_config(ssh_user_ca_key_file=old)


def spawn_unread(stack, service):
    """With its log into a pipe that nobody reads."""
    reader, writer = os.pipe()
    with open(stack.folder / f"log/{service}.err", "ab") as err:
        stack.processes[service] = subprocess.Popen(
            [stack.bin / f"postern-{service}", "--config", stack.folder / "postern.yaml"],
            stdin=subprocess.DEVNULL, stdout=writer, stderr=err, env=stack.environment(service))
    os.close(writer)
    return reader


def field(number, data):
    """A length-delimited field of protobuf of less than 2 MB."""
    size, length = len(data), b""
    while size >= 128:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + data


def test_log_lines(stack):
    kind = b"type.googleapis.com/postern.ProbeRequest"
    any_probe = field(4, field(1, kind) + field(2, field(3, b"done")))
    request = b"".join(field(1, field(2, kind) + field(3, b"%0500d" % n) + any_probe) for n in range(90))
    admin = stack.folder / "admin.pem"
    stack.stop("databroker")
    unread = spawn_unread(stack, "databroker")
    stack.wait_ready()
    with moves(stack, "an administrator's calls, whose log nobody reads", 'databroker postern_log_lines_dropped_total +',
               'databroker postern_databroker_records{type="ProbeRequest"} =90'):
        dropped = Row('databroker postern_log_lines_dropped_total +')
        for _ in range(200):
            assert grpc_call(stack.databroker_port, "/databroker.DataBrokerService/Put", admin, admin, request=request) == 0
            if dropped.value(scrape(stack, "databroker")):
                break
    told = b""
    while b"log lines dropped" not in told:
        told = told[-100:] + os.read(unread, 65536)
    os.close(unread)
    stack.restart("databroker")


def test_process_starts(stack):
    for service in SERVICES:
        begun = Row(f"{service} process_start_time_seconds +").value(scrape(stack, service))
        assert abs(begun - kernel_says(stack.pid(service))) < 2


def kernel_says(pid):
    with open(f"/proc/{pid}/stat") as stat, open("/proc/stat") as machine:
        ticks = int(stat.read().rsplit(")", 1)[1].split()[19])
        boot = int(re.search(r"^btime (\d+)", machine.read(), re.M)[1])
    return boot + ticks / os.sysconf("SC_CLK_TCK")


class ShortTokens(Glewlwyd):
    def plugin(self):
        plugin = super().plugin()
        plugin["parameters"]["access-token-duration"] = 70
        return plugin


def test_provider(tmp_path):
    """A real OpenID Connect provider whose tokens last 70 s: refreshed a minute before their end."""
    idp = ShortTokens(tmp_path / "idp", lambda f: subprocess.run(
        [BUILDS / "release/bin/postern", "keygen", "tls", "localhost", "--out", f], check=True, capture_output=True))
    idp.start()
    with contextlib.ExitStack() as exit_stack:
        exit_stack.callback(idp.stop)
        stack = Measured(tmp_path / "stack", provider=idp.provider(tmp_path / "secret"), cookie_expire="45s")
        idp.seed(stack.config["authenticate_service_url"] + "/oauth2/callback")
        exit_stack.enter_context(stack)
        stack.password_file = tmp_path / "alice"
        stack.password_file.write_text(idp.passwords["alice"])
        with moves(stack, "a sign-in at glewlwyd, and a refresh 10 s later",
                   'authenticate postern_sign_ins_total{provider="oidc",result="signed_in"} +',
                   'authenticate postern_idp_requests_total{purpose="discovery",result="success"} +',
                   'authenticate postern_idp_requests_total{purpose="token",result="success"} +',
                   'authenticate postern_idp_request_duration_seconds_count +', 'databroker postern_databroker_records{type="SealedTokens"} =1',
                   'authenticate postern_token_refreshes_total{result="refreshed"} +',
                   'authenticate pomerium_identity_manager_last_session_refresh_success_timestamp +'):
            # Without a CA file: two servers, each with a certificate of its own.
            subprocess.run([ROOT / "tests/bin/sign-in", stack.ssh("true").url(), "alice", stack.password_file], check=True)
        session, = stack.cli_json("sessions", "list")
        with moves(stack, "a refresh while glewlwyd is down", 'authenticate postern_token_refreshes_total{result="failed"} +',
                   'authenticate postern_idp_requests_total{purpose="token",result="unreachable"} +',
                   'authenticate pomerium_identity_manager_last_session_refresh_error_timestamp +'):
            idp.process.kill()
        ends = time.mktime(time.strptime(session["expires_at"][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
        # It looks once a minute, and at its start.
        with moves(stack, "the session is over when authenticate starts", 'authenticate postern_expired_records_deleted_total +',
                   'databroker postern_databroker_records{type="Session"} =0'):
            wait_for(lambda: time.time() > ends + 1, 60, "the session's end")
            stack.restart("authenticate")


def test_promtool(stack):
    """Prometheus' own checker has nothing to say about the pages, the rules and their tests."""
    for service in SERVICES:
        page = urllib.request.urlopen(f"http://{stack.metrics[service]}/metrics", timeout=10).read()
        check = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True)
        print(f"\n$ curl {stack.metrics[service]}/metrics | promtool check metrics   # {service}: {page.count(b'# TYPE')} metrics\n"
              f"exit status {check.returncode}{check.stdout.decode()}{check.stderr.decode()}")
        assert check.returncode == 0 and not check.stdout + check.stderr, check
    for argv in (["promtool", "check", "rules", ROOT / "deploy/prometheus/alerts.yaml"],
                 ["promtool", "test", "rules", ROOT / "tests/prometheus/alerts_test.yaml"]):
        check = subprocess.run(argv, capture_output=True, text=True)
        print(f"\n$ {' '.join(map(str, argv))}\n{check.stdout}{check.stderr}")
        assert check.returncode == 0


def test_prometheus(stack, tmp_path):
    """The example configuration, with this installation's addresses: a real Prometheus has all four up."""
    text = (ROOT / "deploy/prometheus/prometheus.yml.example").read_text().replace("15s", "1s")
    for port, service in ((9902, "proxy"), (9903, "authorize"), (9904, "authenticate"), (9905, "databroker")):
        text = text.replace(f"\"127.0.0.1:{port}\"]\n", f"\"{stack.metrics[service]}\"]\n")
    (tmp_path / "prometheus.yml").write_text(text)
    (tmp_path / "alerts.yaml").write_text((ROOT / "deploy/prometheus/alerts.yaml").read_text())
    port, = free_ports(1)
    prometheus = subprocess.Popen(["prometheus", f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data",
                                   f"--web.listen-address=127.0.0.1:{port}"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        def ask(path):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/{path}", timeout=5) as answer:
                return json.load(answer)["data"]

        def up():
            found = {r["metric"]["service"]: r["value"][1] for r in (ask("query?query=up") or {}).get("result", ())}
            return found == dict.fromkeys(SERVICES, "1") and found
        print("\nup:", wait_for(up, 30, "Prometheus to have scraped all four"))
        versions = ask("query?query=postern_build_info")["result"]
        assert {r["metric"]["version"] for r in versions} == {"0.1.0"} and len(versions) == 4
        rules = [r for g in ask("rules")["groups"] for r in g["rules"]]
        assert len(rules) > 5 and all(r["health"] in ("ok", "unknown") for r in rules)
    finally:
        prometheus.kill()
        prometheus.communicate()


def test_the_table():
    """Last: what all of the above has moved is all that there is."""
    table = re.findall(r'^M\(\w+, (\w+), .*?"(\w+)"', (ROOT / "common/daemon/metrics.def").read_text(), re.M | re.S)
    wanted = {name: kind for kind, name in table}
    seen = {}
    for row, what, before, now in moved:
        seen.setdefault(re.sub("_count$", "", row.name) if wanted.get(row.name) is None else row.name, []).append((row, what, before, now))
    print(f"\n{'METRIC':<66} {'SERVICE':<12} {'WHAT MOVES IT':<58} FROM -> TO")
    for name in wanted:
        for row, what, before, now in seen.get(name, ()):
            before, now = ("-" if v is None else f"{v:g}" for v in (before, now))
            print(f"{row.text.split(' ', 1)[1].rsplit(' ', 1)[0]:<66} {row.service:<12} {what:<58} {before} -> {now}")
        if name in CONSTANT:
            print(f"{name:<66} {'':<12} {'never moves: ' + CONSTANT[name]}")
    assert set(seen) | set(CONSTANT) == set(wanted), (set(wanted) ^ (set(seen) | set(CONSTANT)))
