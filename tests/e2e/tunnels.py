"""TCP and UDP tunnels for the tests: servers to be reached, clients that speak the wire, and people who sign in."""
import base64
import contextlib
import hashlib
import hmac
import html
import http.client
import json
import re
import select
import socket
import ssl
import struct
import threading
import time
import urllib.parse

import h2.config
import h2.connection
import h2.events
import h2.settings

from stack import free_ports, wait_for

LOOPBACK = "http://127.0.0.1:9/"  # a redirect that nobody follows


# --- what is behind ---

class TcpServer:
    """Calls handler(socket, address) on a thread of its own for each connection."""

    def __init__(self, handler, port=None, host="127.0.0.1"):
        self.port = port or free_ports(1)[0]
        self.handler, self.peers, self.live = handler, [], set()
        self.listener = socket.create_server((host, self.port), backlog=1500)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                peer, address = self.listener.accept()
                self.peers.append(address)
                self.live.add(peer)
                threading.Thread(target=self._run, args=(peer, address), daemon=True).start()

    def _run(self, peer, address):
        with contextlib.suppress(OSError, ssl.SSLError):
            self.handler(peer, address)
        self.live.discard(peer)
        peer.close()

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for peer in list(self.live):
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)


def echo(peer, _address):
    while data := peer.recv(65536):
        peer.sendall(data)
    peer.shutdown(socket.SHUT_WR)


def hashing(peer, _address):
    """Answers what it was sent, up to the end, with its length and SHA-256."""
    digest, count = hashlib.sha256(), 0
    while data := peer.recv(1 << 18):
        digest.update(data)
        count += len(data)
    peer.sendall(f"{count} {digest.hexdigest()}\n".encode())
    peer.shutdown(socket.SHUT_WR)
    peer.recv(1)


class UdpServer:
    """Answers each datagram with answer(datagram); None is no answer."""

    def __init__(self, answer=lambda data: data, port=None):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", port or 0))
        self.port = self.socket.getsockname()[1]
        self.peers = set()
        self.answer = answer
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        with contextlib.suppress(OSError):
            while True:
                data, peer = self.socket.recvfrom(65536)
                self.peers.add(peer)
                answer = self.answer(data)
                if answer is not None:
                    self.socket.sendto(answer, peer)

    def close(self):
        self.socket.close()


# --- configuration ---

def tcp_route(name, port, allow=None, scheme="tcp", **more):
    """A route that is asked for as NAME (host:port) and leads to this port here."""
    more.setdefault("policy", [{"allow": {"and": allow or [{"email": {"is": "demo@localhost"}}]}}])
    more.setdefault("to", f"{scheme}://127.0.0.1:{port}")
    return {"from": f"{'udp' if scheme == 'udp' else 'tcp'}+https://{name}", **more}


def udp_route(name, port, allow=None, **more):
    return tcp_route(name, port, allow, scheme="udp", **more)


# --- who ---

def mint(stack, claims, key=None, header=None):
    """A token of these claims, signed with the installation's shared secret or with another key."""
    secret = key or base64.b64decode((stack.folder / "secrets/shared_secret").read_text())

    def part(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")
    signed = part(json.dumps(header or {"alg": "HS256", "typ": "JWT"}).encode()) + b"." + part(json.dumps(claims).encode())
    return (signed + b"." + part(hmac.new(secret, signed, hashlib.sha256).digest())).decode()


def claims_of(token):
    body = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


def client_context(stack, alpn=("http/1.1",), cert=None):
    context = ssl.create_default_context(cafile=stack.folder / "tls/localhost.crt")
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if cert:
        context.load_cert_chain(*cert)
    return context


class Page:
    def __init__(self, url, answer):
        self.url, self.status, self.headers = url, answer.status, answer.headers
        self.body = answer.read().decode()


class Browser:
    """Follows redirects, keeps cookies by host, fills in the forms of a sign-in."""

    def __init__(self, stack):
        self.stack = stack
        self.cookies = {}
        self.seen = []

    def request(self, url, form=None):
        parts = urllib.parse.urlsplit(url)
        connection = http.client.HTTPSConnection(self.stack.host, self.stack.https_port, timeout=20,
                                                 context=client_context(self.stack))
        connection._http_vsn_str = "HTTP/1.1"
        connection.sock = client_context(self.stack).wrap_socket(
            socket.create_connection((self.stack.host, self.stack.https_port), 20), server_hostname="localhost")
        jar = self.cookies.setdefault(parts.hostname, {})
        headers = {"Host": parts.netloc, "Cookie": "; ".join(f"{k}={v}" for k, v in jar.items()), "Accept": "text/html"}
        body = None
        if form is not None:
            headers |= {"Origin": f"{parts.scheme}://{parts.netloc}", "Content-Type": "application/x-www-form-urlencoded"}
            body = urllib.parse.urlencode(form)
        connection.request("POST" if form is not None else "GET",
                           parts.path + (f"?{parts.query}" if parts.query else ""), body, headers)
        page = Page(url, connection.getresponse())
        connection.close()
        self.seen.append((url, page.status))
        for cookie in page.headers.get_all("Set-Cookie") or ():
            name, _, value = cookie.split(";")[0].partition("=")
            if "max-age=0" in cookie.lower():
                jar.pop(name, None)
            else:
                jar[name] = value
        return page

    def go(self, url, form=None):
        """To the first page that is no redirect, or to a redirect that leaves the gateway."""
        for _ in range(15):
            page = self.request(url, form)
            refresh = page.headers.get("Refresh", "").partition("url=")[2]
            if page.status not in (301, 302, 303, 307, 308) and not refresh:
                return page
            url, form = urllib.parse.urljoin(url, refresh or page.headers["Location"]), None
            if not url.startswith("https:"):
                return page
        raise AssertionError(f"redirects without end: {self.seen}")

    def submit(self, page, **fields):
        form = re.search(r"<form[^>]*method=\"post\".*?</form>", page.body, re.S)
        assert form, page.body
        action = re.search(r"action=\"([^\"]*)\"", form.group())
        hidden = {re.search(r'name="([^"]*)"', tag).group(1): html.unescape(re.search(r'value="([^"]*)"', tag).group(1))
                  for tag in re.findall(r'<input[^>]*type="hidden"[^>]*>', form.group())}
        target = urllib.parse.urljoin(page.url, html.unescape(action.group(1)) if action else page.url)
        return self.go(target, hidden | fields)

    def sign_in(self, url, user="demo@localhost"):
        """The page, or the redirect out, behind a sign-in that may ask for a password."""
        page = self.go(url)
        if 'name="password"' in page.body:
            page = self.submit(page, username=user, password=self.stack.password_file.read_text().strip())
        # With cookie_same_site strict the way back from the form takes a click.
        if link := re.search(r'<a href="([^"]*)">Continue</a>', page.body):
            page = self.go(urllib.parse.urljoin(page.url, html.unescape(link.group(1))))
        return page


def login_url(stack, redirect=LOOPBACK, host="localhost"):
    browser = Browser(stack)
    page = browser.request(f"https://{host}:{stack.https_port}/.pomerium/api/v1/login?"
                           + urllib.parse.urlencode({"pomerium_redirect_uri": redirect}))
    assert page.status == 200, (page.status, page.body)
    return page.body


def login(stack, user="demo@localhost", browser=None):
    """A token, as a command on a machine with a browser gets it."""
    page = (browser or Browser(stack)).sign_in(login_url(stack), user)
    assert page.status == 302, (page.status, page.body)
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(page.headers["Location"]).query)
    return query["pomerium_jwt"][0]


# --- HTTP/1.1 ---

class Reply:
    def __init__(self, sock, head, rest):
        lines = head.decode("latin-1").split("\r\n")
        self.sock, self.rest = sock, rest
        self.status = int(lines[0].split()[1])
        self.headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:] if line)}

    def body(self):
        want = int(self.headers.get("content-length", 0))
        while len(self.rest) < want and (data := self.sock.recv(65536)):
            self.rest += data
        return self.rest.decode()

    def json(self):
        return json.loads(self.body())

    # The tunnel, when it is one.
    def recv(self, size=65536):
        if self.rest:
            data, self.rest = self.rest[:size], self.rest[size:]
            return data
        return self.sock.recv(size)

    def read(self, size):
        data = b""
        while len(data) < size and (more := self.recv(size - len(data))):
            data += more
        return data

    def send(self, data):
        self.sock.sendall(data)

    def until_end(self, timeout=20):
        """What still comes; raises where the end is not a clean one: FIN behind close_notify."""
        self.sock.settimeout(timeout)
        data = b""
        while more := self.recv():
            data += more
        return data

    def close(self):
        self.sock.close()


def dial(stack, alpn=("http/1.1",), cert=None, server_name="localhost", port=None):
    raw = socket.create_connection((stack.host, port or stack.https_port), 20)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # Python hides a missing close_notify unless told not to.
    return client_context(stack, alpn, cert).wrap_socket(raw, server_hostname=server_name, suppress_ragged_eofs=False)


class HalfTls:
    """TLS over a socket whose own direction can be ended alone: close_notify and FIN, then reading goes on."""

    def __init__(self, stack):
        self.raw = socket.create_connection((stack.host, stack.https_port), 20)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = client_context(stack).wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        self._run(self.tls.do_handshake)

    def _flush(self):
        if data := self.outgoing.read():
            self.raw.sendall(data)

    def _run(self, step, *args):
        while True:
            try:
                result = step(*args)
                self._flush()
                return result
            except ssl.SSLWantReadError:
                self._flush()
                data = self.raw.recv(65536)
                if data:
                    self.incoming.write(data)
                else:
                    self.incoming.write_eof()

    def sendall(self, data):
        self._run(self.tls.write, data)

    def recv(self, size):
        try:
            return self._run(self.tls.read, size)
        except ssl.SSLZeroReturnError:
            return b""

    def finish(self):
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        self._flush()
        self.raw.shutdown(socket.SHUT_WR)


def exchange(sock, text):
    sock.sendall(text.encode() if isinstance(text, str) else text)
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(65536)
        assert more, f"the connection ended after {data!r}"
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    return Reply(sock, head, rest)


def request_text(line, host, token=None, fields=()):
    lines = [f"{line} HTTP/1.1", f"Host: {host}"]
    if token:
        lines.append(f"Authorization: Pomerium {token}")
    lines += [f"{k}: {v}" for k, v in dict(fields).items()]
    return "\r\n".join(lines) + "\r\n\r\n"


def connect(stack, target, token=None, fields=(), cert=None):
    return exchange(dial(stack, cert=cert), request_text(f"CONNECT {target}", target, token, fields))


def masque_path(target):
    host, _, port = target.rpartition(":")
    return f"/.well-known/masque/udp/{urllib.parse.quote(host.strip('[]'), safe='')}/{port}/"


def connect_udp(stack, target, token=None, host=None, fields=()):
    """By upgrade. Host is the proxy's, or `host`: pomerium-cli says the destination."""
    upgrade = {"Connection": "Upgrade", "Upgrade": "connect-udp", "Capsule-Protocol": "?1"} | dict(fields)
    return exchange(dial(stack), request_text(f"GET {masque_path(target)}", host or f"localhost:{stack.https_port}",
                                              token, upgrade))


# --- capsules ---

def varint(n):
    if n < 64:
        return bytes([n])
    if n < 16384:
        return struct.pack(">H", n | 0x4000)
    if n < 1 << 30:
        return struct.pack(">I", n | 0x80000000)
    return struct.pack(">Q", n | 0xC000000000000000)


def read_varint(data):
    """(value, rest), or None when it is not whole."""
    if not data or len(data) < (size := 1 << (data[0] >> 6)):
        return None
    return int.from_bytes(bytes([data[0] & 0x3f]) + data[1:size], "big"), data[size:]


def capsule(payload, kind=0, context=0):
    value = varint(context) + payload
    return varint(kind) + varint(len(value)) + value


class Datagrams:
    """Datagrams over a tunnel of either HTTP version: it has send and recv."""

    def __init__(self, tunnel):
        self.tunnel, self.buffer = tunnel, b""

    def send(self, *payloads):
        self.tunnel.send(b"".join(capsule(p) for p in payloads))

    def recv(self):
        while True:
            kind = read_varint(self.buffer)
            size = kind and read_varint(kind[1])
            if size and len(size[1]) >= size[0]:
                value, self.buffer = size[1][:size[0]], size[1][size[0]:]
                assert kind[0] == 0 and value[0] == 0, "pomerium-cli takes nothing but datagrams of context 0"
                return value[1:]
            more = self.tunnel.recv()
            if not more:
                return None
            self.buffer += more


# --- HTTP/2 ---

class H2:
    """One HTTP/2 connection; streams are asked and read from one thread."""

    def __init__(self, stack, cert=None):
        self.stack = stack
        self.sock = dial(stack, alpn=("h2",), cert=cert)
        assert self.sock.selected_alpn_protocol() == "h2"
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8",
                                                                       validate_outbound_headers=False))
        self.h2.initiate_connection()
        self.streams = {}
        self.ended = False
        self.goaway = None
        self.flush()

    def flush(self):
        data = self.h2.data_to_send()
        if data:
            self.sock.sendall(data)

    def pump(self, timeout=0.2):
        """Takes what has come; False when nothing did."""
        if not self.sock.pending() and not select.select([self.sock], [], [], timeout)[0]:
            return False
        data = self.sock.recv(65536)
        if not data:
            self.ended = True
            for stream in self.streams.values():
                stream.ended = True
            return True
        for event in self.h2.receive_data(data):
            stream = self.streams.get(getattr(event, "stream_id", None))
            if isinstance(event, h2.events.ResponseReceived):
                stream.headers = dict(event.headers)
                stream.status = int(stream.headers[":status"])
            elif isinstance(event, h2.events.DataReceived):
                stream.data += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                stream.ended = True
            elif isinstance(event, h2.events.StreamReset):
                stream.ended, stream.reset = True, event.error_code
            elif isinstance(event, h2.events.ConnectionTerminated):
                self.goaway = event.error_code
        self.flush()
        return True

    def wait(self, done, timeout=20, what="an event"):
        end = time.monotonic() + timeout
        while not done():
            assert time.monotonic() < end, f"timed out waiting for {what}"
            assert not self.ended or done(), f"the connection ended before {what}"
            self.pump()

    def request(self, headers, end=False):
        stream = H2Stream(self, self.h2.get_next_available_stream_id())
        self.streams[stream.id] = stream
        self.h2.send_headers(stream.id, headers, end_stream=end)
        self.flush()
        return stream

    def connect(self, target, token=None, fields=()):
        stream = self.request([(":method", "CONNECT"), (":authority", target), *authorization(token), *dict(fields).items()])
        self.wait(lambda: stream.status or stream.ended, what="an answer to CONNECT")
        return stream

    def connect_udp(self, target, token=None, fields=()):
        self.wait(lambda: h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL in self.h2.remote_settings
                  and self.h2.remote_settings[h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL] == 1,
                  what="extended CONNECT in SETTINGS")
        stream = self.request([(":method", "CONNECT"), (":protocol", "connect-udp"), (":scheme", "https"),
                               (":authority", f"localhost:{self.stack.https_port}"), (":path", masque_path(target)),
                               ("capsule-protocol", "?1"), *authorization(token), *dict(fields).items()])
        self.wait(lambda: stream.status or stream.ended, what="an answer to connect-udp")
        return stream

    def close(self):
        self.sock.close()


def authorization(token):
    return [("authorization", f"Pomerium {token}")] if token else []


class H2Stream:
    def __init__(self, connection, stream_id):
        self.connection, self.id = connection, stream_id
        self.status, self.headers, self.data = 0, {}, b""
        self.ended, self.reset = False, None

    def send(self, data):
        c = self.connection
        while data:
            room = min(c.h2.local_flow_control_window(self.id), c.h2.max_outbound_frame_size, len(data))
            if room <= 0:
                c.wait(lambda: c.h2.local_flow_control_window(self.id) > 0, what="window")
                continue
            c.h2.send_data(self.id, data[:room])
            data = data[room:]
            c.flush()
            c.pump(0)

    def finish(self):
        self.connection.h2.end_stream(self.id)
        self.connection.flush()

    def recv(self, size=65536):
        self.connection.wait(lambda: self.data or self.ended, what="data")
        data, self.data = self.data[:size], self.data[size:]
        return data

    def read(self, size):
        data = b""
        while len(data) < size and (more := self.recv(size - len(data))):
            data += more
        return data

    def body(self):
        self.connection.wait(lambda: self.ended, what="the end of the body")
        return self.data.decode()

    def json(self):
        return json.loads(self.body())

    def until_end(self, timeout=20):
        self.connection.wait(lambda: self.ended, timeout, "the end of the stream")
        data, self.data = self.data, b""
        return data


# --- what came of it ---

def access_lines(stack, event, route):
    return wait_for(lambda: [line for line in stack.logs("proxy") if line.get("event") == event and line.get("route") == route],
                    10, f"an access line {event} of {route}")
