"""What stands in front of a proxy and names the client: PROXY headers, a balancer that writes any, a real HAProxy."""
import ipaddress
import os
import select
import socket
import struct
import subprocess
import threading

from stack import free_ports, wait_for

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOCAL, PROXY = 0x20, 0x21
UNSPEC, TCP4, TCP6 = 0x00, 0x11, 0x21
TLV_ALPN, TLV_AUTHORITY, TLV_NOOP = 0x01, 0x02, 0x04


def v1(source, destination="192.0.2.1", port=40000):
    family = "TCP6" if ":" in source else "TCP4"
    destination = "2001:db8::1" if family == "TCP6" else destination
    return f"PROXY {family} {source} {destination} {port} 22\r\n".encode()


def tlv(kind, value):
    return struct.pack("!BH", kind, len(value)) + value


def v2(source=None, port=40000, command=PROXY, tlvs=b""):
    """Without a source: the header of a health check's connection, or of one that is not known."""
    if source is None:
        body, family = tlvs, UNSPEC
    else:
        ip = ipaddress.ip_address(source)
        other = ipaddress.ip_address("2001:db8::1" if ip.version == 6 else "192.0.2.1")
        body = ip.packed + other.packed + struct.pack("!HH", port, 22) + tlvs
        family = TCP6 if ip.version == 6 else TCP4
    return SIGNATURE + struct.pack("!BBH", command, family, len(body)) + body


class Balancer:
    """Listens on a port of its own and connects to a proxy for each client, with what header() gives first."""

    def __init__(self, target, header=b"", source="127.0.0.1"):
        self.target, self.header, self.source = target, header, source
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with client:
            try:
                upstream = socket.create_connection(self.target, source_address=(self.source, 0))
            except OSError:
                return
            with upstream:
                try:
                    upstream.sendall(self.header)
                    self._pipe(client, upstream)
                except OSError:
                    pass

    @staticmethod
    def _pipe(a, b):
        while True:
            for s in select.select([a, b], [], [])[0]:
                data = s.recv(65536)
                if not data:
                    return
                (b if s is a else a).sendall(data)

    def close(self):
        self.listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


class HAProxy:
    """Debian's haproxy in TCP mode before proxies, as deploy/haproxy.cfg has it, with PROXY protocol v2.
    `proxies` are (name, SSH port, HTTPS port, health port) on loopback."""

    def __init__(self, folder, proxies, check="check", ready=True, bind="127.0.0.1"):
        self.ssh_port, self.https_port, self.stats_port = free_ports(3)
        self.folder = folder
        folder.mkdir(exist_ok=True)
        # Else a check is a connection to the port that is named, with a header of its own.
        httpchk = "option httpchk GET /readyz" if ready else ""
        options = f"{check} inter 200ms fall 1 rise 1 send-proxy-v2"
        servers = {kind: "\n".join(f"    server {p[0]} 127.0.0.1:{p[at]} port {p[3]} {options}" for p in proxies)
                   for kind, at in (("ssh", 1), ("https", 2))}
        (folder / "haproxy.cfg").write_text(f"""
global
    log stdout format raw local0 info
defaults
    mode tcp
    log global
    timeout connect 5s
    timeout client 1m
    timeout server 1m
    timeout check 2s
    timeout tunnel 1h
    retries 3
    option redispatch 1
    {httpchk}
frontend ssh
    bind {bind}:{self.ssh_port}
    default_backend proxy_ssh
frontend https
    bind {bind}:{self.https_port}
    default_backend proxy_https
backend proxy_ssh
    balance roundrobin
{servers["ssh"]}
backend proxy_https
    balance roundrobin
{servers["https"]}
frontend stats
    mode http
    bind 127.0.0.1:{self.stats_port}
    stats enable
    stats uri /
""")
        self.log = open(folder / "haproxy.log", "wb")
        self.process = subprocess.Popen(["/usr/sbin/haproxy", "-db", "-f", folder / "haproxy.cfg"],
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def states(self):
        """server -> UP or DOWN of the SSH side, as HAProxy's own checks see it."""
        try:
            with socket.create_connection(("127.0.0.1", self.stats_port), 5) as s:
                s.sendall(b"GET /;csv HTTP/1.0\r\n\r\n")
                text = s.makefile("rb").read().decode()
        except OSError:
            return {}
        rows = [line.split(",") for line in text.splitlines()]
        return {r[1]: r[17].split()[0] for r in rows if len(r) > 17 and r[0] == "proxy_ssh" and r[1] != "BACKEND"}

    def wait_up(self, *names):
        wait_for(lambda: self.process.poll() is None and all(self.states().get(n) == "UP" for n in names), 30,
                 f"HAProxy to see {names} up")

    def wait_down(self, name):
        wait_for(lambda: self.states().get(name) == "DOWN", 10, f"HAProxy to see {name} down")

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


