#!/usr/bin/python3
"""pomerium-cli as the gateway sees it: its command line, what it sends, what it makes of each answer, and its cache.

For the tests of a gateway that has to serve the unmodified program; tests/e2e runs the same cases with the program itself
where POSTERN_PEER_POMERIUM_CLI names one. Compared byte by byte with a build of July 2026:
  - CONNECT and connect-udp by HTTP/1.1 with exactly Go's fields, no Accept, raw capsules up, the body down;
  - one GET of the proxy's / in a process, by HTTP/2 or 1.1, to see whether it has HTTP/3;
  - 200 opens, 503 and 403 fail and keep the cached token, 301 302 307 308 401 sign in once and try once more,
    everything else fails and forgets the token; so does a tunnel that ends in an error, and every UDP tunnel;
  - the token is sent as it is cached, expired or not; the cache's file names are the same, so both can share one;
  - a TCP tunnel ends as soon as one direction has ended, with close_notify; a UDP tunnel lives 10 minutes at most;
  - usage errors have exit status 0, failed tunnels 1.
What differs: log lines are on stderr (there they are on stdout, also with --listen -), "listening on ADDRESS" is
their message and knows the port of a UDP listener too (there: "started tcp listener", "starting udp listener"), and
QUIC that finds its port closed is given up at once (there after 5 s). HTTP/3 itself is not here.

Standard library alone, and one file: it is copied into containers.
"""
import base64
import collections
import contextlib
import gzip
import hmac
import http.server
import json
import math
import os
import pathlib
import queue
import select
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import types
import urllib.parse

AGENT = "Go-http-client/1.1"
AGENT_2 = "Go-http-client/2.0"
# What Go offers: no push, windows of 4 MiB and 1 GiB, heads of 10 MiB.
PREFACE = (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
           b"\0\0\x18\x04\0\0\0\0\0" + struct.pack(">HIHIHIHI", 2, 0, 4, 4 << 20, 5, 16384, 6, 10 << 20) +
           b"\0\0\x04\x08\0\0\0\0\0" + struct.pack(">I", 1 << 30))
# RFC 7541 appendix B is canonical: the lengths of the codes say it all; "A" is 5 bits.
HUFFMAN = ("ISXXXXXXXTZXXZXXXXXXXXZXXXXXXXXXBFFHIBDGFFDGDBBBAAABBBBBBBCDKBHFIBCCCCCCCCCCCCCCCCCCCCCCDCDIOIJBKABABABBBACCBBBABCB"
           "AABCCCCCKGJIXPRPPRRRSRSSSSSTSTTRSTSSSSQRSRSSTRQPRRSSQSRRTQRSSQQRQSRSSPRRRSRRSVVPORSRUVVVWWVTUOQVWWVWTQQVVXWWWPTPQR"
           "QQSRRUUTTVSVWVVWWWWWXWWWWWVZ")
# RFC 7541 appendix A; names alone where there is no value.
STATIC = [tuple(entry.partition("=")[::2]) for entry in (
    ":authority :method=GET :method=POST :path=/ :path=/index.html :scheme=http :scheme=https :status=200 :status=204 "
    ":status=206 :status=304 :status=400 :status=404 :status=500 accept-charset accept-encoding=gzip,~deflate "
    "accept-language accept-ranges accept access-control-allow-origin age allow authorization cache-control "
    "content-disposition content-encoding content-language content-length content-location content-range content-type "
    "cookie date etag expect expires from host if-match if-modified-since if-none-match if-range if-unmodified-since "
    "last-modified link location max-forwards proxy-authenticate proxy-authorization range referer refresh retry-after "
    "server set-cookie strict-transport-security transfer-encoding user-agent vary via www-authenticate").split()]


class HttpError(Exception):
    pass


class Response:
    def __init__(self, status, reason, fields, rest=b""):
        self.status, self.reason, self.fields, self.rest = status, reason, fields, rest
        self.body = b""

    def get(self, name):
        return next((v for n, v in self.fields if n.lower() == name.lower()), "")


def split_host_port(text):
    """As net.SplitHostPort; ValueError."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or not rest.startswith(":"):
            raise ValueError(text)
        return host, rest[1:]
    host, colon, port = text.rpartition(":")
    if not colon or ":" in host:
        raise ValueError(text)
    return host, port


def join_host_port(host, port):
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def dial(address, context, alpn):
    """A connection to "host:port", with TLS unless `context` is None."""
    host, port = split_host_port(address)
    sock = socket.create_connection((host, int(port)), 10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if context is None:
        return sock
    context.set_alpn_protocols(alpn)
    return context.wrap_socket(sock, server_hostname=host)


def hang_up(sock):
    """As Go's Close: close_notify and FIN, without waiting for the peer's."""
    try:
        sock.setblocking(False)
        if isinstance(sock, ssl.SSLSocket):
            sock.unwrap()
    except (OSError, ValueError):
        pass
    sock.close()


# --- HTTP/1.1 ---

def request_text(method, target, host, fields, last=()):
    """Go writes Host and User-Agent first, then the caller's fields by name, then its own."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", f"User-Agent: {AGENT}"]
    lines += [f"{name}: {value}" for name, value in sorted(fields)] + [f"{name}: {value}" for name, value in last]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def read_response(sock):
    """The head, 1xx is one as any other; what came behind it is in .rest."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(65536)
        if not more:
            raise HttpError("unexpected EOF" if data else "EOF")
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    version, _, rest_of_line = first.partition(" ")
    if not version.startswith("HTTP/1.") or not rest_of_line[:3].isdigit():
        raise HttpError(f'malformed HTTP response "{first}"')
    fields = [(n.strip(), v.strip()) for n, _, v in (line.partition(":") for line in lines)]
    return Response(int(rest_of_line[:3]), rest_of_line[4:], fields, rest)


class Body:
    """Takes raw bytes of a response's body off its framing: chunked, a length, or all until close."""

    def __init__(self, response, method="GET"):
        self.buffer, self.left, self.ended = response.rest, None, False
        self.chunked = response.get("Transfer-Encoding").lower() == "chunked"
        length = response.get("Content-Length")
        if method == "HEAD" or response.status < 200 or response.status in (204, 304):
            self.ended = True
        elif not self.chunked and length:
            self.left = int(length)
            self.ended = self.left == 0
        self.in_chunk = 0

    def feed(self, data):
        self.buffer += data

    def take(self):
        """What of the body is there now."""
        if self.ended:
            return b""
        if self.chunked:
            return self._take_chunks()
        out, self.buffer = (self.buffer, b"") if self.left is None else (self.buffer[:self.left], self.buffer[self.left:])
        if self.left is not None:
            self.left -= len(out)
            self.ended = self.left == 0
        return out

    def _take_chunks(self):
        out = b""
        while self.buffer:
            if self.in_chunk > 2:
                part = self.buffer[:self.in_chunk - 2]
                out, self.buffer, self.in_chunk = out + part, self.buffer[len(part):], self.in_chunk - len(part)
            elif self.in_chunk:
                if len(self.buffer) < 2:
                    break
                self.buffer, self.in_chunk = self.buffer[2:], 0
            else:
                line, found, rest = self.buffer.partition(b"\r\n")
                if not found:
                    break
                size = int(line.split(b";")[0], 16)
                self.buffer, self.in_chunk = rest, size + 2
                if size == 0:
                    self.ended = True
                    break
        return out


def get_http1(sock, url, fields):
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    sock.sendall(request_text("GET", target, url.netloc, fields, [("Accept-Encoding", "gzip")]))
    response = read_response(sock)
    while 100 <= response.status < 200:
        rest = response.rest
        response = read_response(Prepended(sock, rest))
    body = Body(response)
    response.body = body.take()
    while not body.ended:
        more = sock.recv(65536)
        if not more:
            if body.left is None and not body.chunked:
                break
            raise HttpError("unexpected EOF")
        body.feed(more)
        response.body += body.take()
    return response


class Prepended:
    """A socket with bytes in front of it."""

    def __init__(self, sock, data):
        self.sock, self.data = sock, data

    def recv(self, size):
        data, self.data = self.data, b""
        return data or self.sock.recv(size)


# --- HTTP/2, one request ---

def _huffman_table():
    table, code, last = {}, 0, 0
    for length, symbol in sorted((ord(c) - ord("A") + 5, i) for i, c in enumerate(HUFFMAN)):
        code <<= length - last
        last = length
        table[length, code] = symbol
        code += 1
    return table


def unhuffman(data):
    table, out, code, length = _huffman_table(), bytearray(), 0, 0
    for byte in data:
        for bit in range(7, -1, -1):
            code, length = code << 1 | byte >> bit & 1, length + 1
            if (length, code) in table:
                out.append(table[length, code])
                code = length = 0
    return bytes(out)


class Hpack:
    """The decoder of one connection (RFC 7541)."""

    def __init__(self):
        self.dynamic = []

    def _int(self, data, at, bits):
        value, at = data[at] & (1 << bits) - 1, at + 1
        if value == (1 << bits) - 1:
            shift = 0
            while True:
                value += (data[at] & 127) << shift
                shift, at = shift + 7, at + 1
                if data[at - 1] < 128:
                    break
        return value, at

    def _text(self, data, at):
        coded = data[at] & 128
        size, at = self._int(data, at, 7)
        raw = data[at:at + size]
        return (unhuffman(raw) if coded else raw).decode("latin-1"), at + size

    def _entry(self, index):
        entry = STATIC[index - 1] if index <= len(STATIC) else self.dynamic[index - len(STATIC) - 1]
        return entry[0], entry[1].replace("~", " ")

    def decode(self, data):
        fields, at = [], 0
        while at < len(data):
            first = data[at]
            if first & 128:
                index, at = self._int(data, at, 7)
                fields.append(self._entry(index))
            elif first & 0xe0 == 0x20:
                _, at = self._int(data, at, 5)
            else:
                index, at = self._int(data, at, 6 if first & 64 else 4)
                name, at = (self._entry(index)[0], at) if index else self._text(data, at)
                value, at = self._text(data, at)
                fields.append((name, value))
                if first & 64:
                    self.dynamic.insert(0, (name, value))
        return fields


def literal(name, value):
    """RFC 7541 §6.2.2, without Huffman."""
    def text(t):
        raw = t.encode("latin-1")
        if len(raw) < 127:
            return bytes([len(raw)]) + raw
        size, out = len(raw) - 127, bytearray([127])
        while size >= 128:
            out.append(size & 127 | 128)
            size >>= 7
        return bytes(out + bytes([size])) + raw
    return b"\0" + text(name) + text(value)


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def get_http2(sock, url, fields):
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    head = [(":authority", url.netloc), (":method", "GET"), (":path", target), (":scheme", "https")]
    head += [(n.lower(), v) for n, v in sorted(fields)] + [("accept-encoding", "gzip"), ("user-agent", AGENT_2)]
    sock.sendall(PREFACE + frame(1, 5, 1, b"".join(literal(n, v) for n, v in head)))
    data, block, hpack, response = b"", b"", Hpack(), None
    while True:
        while len(data) < 9 or len(data) < 9 + int.from_bytes(data[:3], "big"):
            more = sock.recv(65536)
            if not more:
                raise HttpError("unexpected EOF")
            data += more
        size, kind, flags = int.from_bytes(data[:3], "big"), data[3], data[4]
        stream, payload, data = int.from_bytes(data[5:9], "big"), data[9:9 + size], data[9 + size:]
        if kind == 4 and not flags & 1:
            sock.sendall(frame(4, 1, 0))
        elif kind == 6 and not flags & 1:
            sock.sendall(frame(6, 1, 0, payload))
        elif kind == 3 and stream == 1 or kind == 7 and int.from_bytes(payload[4:8], "big"):
            raise HttpError(f"stream error or GOAWAY: {payload.hex()}")
        elif kind in (1, 9) and stream == 1:
            block += payload
            if flags & 4:
                got = hpack.decode(block)
                block = b""
                if response is None and got[0][0] == ":status" and int(got[0][1]) >= 200:
                    response = Response(int(got[0][1]), "", got[1:])
        elif kind == 0 and stream == 1:
            response.body += payload
            sock.sendall(frame(8, 0, 0, struct.pack(">I", size)) if size else b"")
        if kind in (0, 1) and flags & 1 and stream == 1:
            return response


# --- one GET ---

def get_once(url, context, fields):
    default = 443 if url.scheme == "https" else 80
    sock = dial(join_host_port(url.hostname, url.port or default), context if url.scheme == "https" else None,
                ["h2", "http/1.1"])
    sock.settimeout(10)
    try:
        is_http2 = url.scheme == "https" and sock.selected_alpn_protocol() == "h2"
        response = (get_http2 if is_http2 else get_http1)(sock, url, fields)
    finally:
        hang_up(sock)
    if response.get("Content-Encoding") == "gzip":
        response.body = gzip.decompress(response.body)
    return response


def get(text, context, fields=(), redirects=10):
    """As http.Client.Do: redirects are followed, and other hosts do not get the Authorization."""
    url = urllib.parse.urlsplit(text)
    for _ in range(redirects + 1):
        response = get_once(url, context, list(fields))
        location = response.get("Location")
        if response.status not in (301, 302, 303, 307, 308) or not location or not redirects:
            return response
        target = urllib.parse.urlsplit(urllib.parse.urljoin(urllib.parse.urlunsplit(url), location))
        if target.hostname != url.hostname:
            fields = [(n, v) for n, v in fields if n != "Authorization"]
        url = target
    raise HttpError(f"stopped after {redirects} redirects")


# --- what is cached ---

def base36(data):
    digits, number, out = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 36)
        out = digits[digit] + out
    return out


def cache_root():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.environ["HOME"], ".cache")
    return pathlib.Path(base) / "pomerium-cli"


def write_private(path, text):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


class Cache:
    """One file per key, 0600: HMAC-SHA-512/256 of the key in base 36."""

    def __init__(self):
        self.folder = cache_root() / "jwts"
        self.folder.mkdir(0o755, parents=True, exist_ok=True)

    def path(self, key):
        return self.folder / (base36(hmac.new(b"LocalJWTCache", key.encode(), "sha512_256").digest()) + ".jwt")

    def load(self, key):
        """The token, and whether it is good as far as one can see; both may come together."""
        try:
            token = self.path(key).read_text()
        except FileNotFoundError:
            return "", False
        try:
            head, claims, _ = token.split(".")
            if "alg" not in unbase64(head):
                return token, False
            return token, unbase64(claims).get("exp", math.inf) >= time.time()
        except (ValueError, AttributeError):
            return token, False

    def store(self, key, token):
        self.folder.mkdir(0o755, parents=True, exist_ok=True)
        write_private(self.path(key), token)

    def delete(self, key):
        self.path(key).unlink(missing_ok=True)


def unbase64(text):
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def remember_url(text):
    with contextlib.suppress(OSError):
        write_private(cache_root() / "last-url", text)


# --- log and ends ---

class Failure(Exception):
    """`code` is one of the tunnel's four words, or None."""

    def __init__(self, text, code=None):
        super().__init__(text)
        self.code = code


UNAVAILABLE, UNAUTHENTICATED, UNAUTHORIZED, UNSUPPORTED = "unavailable", "unauthenticated", "unauthorized", "unsupported"
CANCELLED = "context canceled"
stopping = threading.Event()
stop_read, stop_write = os.pipe()  # readable for ever once the program has been asked to stop
log_lock = threading.Lock()


def log(level, message, **fields):
    levels = ["trace", "debug", "info", "warn", "error", "fatal", "panic"]
    wanted = os.environ.get("LOG_LEVEL", "info")
    if levels.index(level) < levels.index(wanted if wanted in levels else "info"):
        return
    line = {"level": level, **fields, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "message": message}
    with log_lock:
        sys.stderr.write(json.dumps(line, separators=(",", ":")) + "\n")
        sys.stderr.flush()


def on_signal(number, _frame):
    names = {signal.SIGINT: "interrupt", signal.SIGTERM: "terminated", signal.SIGHUP: "hangup"}
    if not stopping.is_set():
        stopping.set()
        os.write(stop_write, b"x")
        if number != signal.SIGHUP:
            log("error", "caught signal, quitting...", signal=names[number])


# --- signing in ---

def browser_url(scheme, host):
    """Without a default port, "to avoid HMAC error"."""
    default = ":443" if scheme == "https" else ":80"
    return f"{scheme}://{host.removesuffix(default)}"


def fetch(url, context, fields=()):
    """Any 2xx is good; 401 and redirects that lead nowhere are "unauthenticated"."""
    try:
        response = get(url, context, fields)
    except (OSError, HttpError) as e:
        raise Failure(f'failed to get url: Get "{url}": {e}') from e
    if response.status in (401, 301, 302, 307, 308):
        raise Failure(f"unauthenticated: unexpected status code: {response.status}", UNAUTHENTICATED)
    if response.status // 100 != 2:
        raise Failure(f"unexpected status code: {response.status} {response.reason}".rstrip())
    return response.body


class LoginHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        form = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        if self.command == "POST":
            form |= urllib.parse.parse_qs(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())
        token = form.get("pomerium_jwt", [""])[0]
        body = b"login complete, you may close this page" if token else b"not found\n"
        self.send_response(200 if token else 404)
        self.send_header("Content-Type", "text/plain" if token else "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        if token:
            self.server.tokens.put(token)

    do_POST = do_GET

    def log_message(self, *_args):
        pass


def open_browser(options, url):
    command = [options.browser_cmd, url] if options.browser_cmd else ["xdg-open", url]
    try:
        got = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                             check=False)
    except OSError as e:
        raise Failure(f"failed to open browser url: {e}") from e
    if got.returncode:
        raise Failure(f"failed to open browser url: exit status {got.returncode}")
    sys.stderr.write(f"Your browser has been opened to visit:\n\n{url}\n\n")


def new_token(options, base, context, on_url=lambda url: None):
    """A service account's, else one that the browser brings to a listener of ours."""
    if options.service_account:
        return options.service_account
    if options.service_account_file:
        return pathlib.Path(options.service_account_file).read_text().strip()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), LoginHandler) as server:
        server.tokens = queue.Queue()
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            back = urllib.parse.quote_plus(f"http://127.0.0.1:{server.server_port}")
            url = fetch(f"{base}/.pomerium/api/v1/login?pomerium_redirect_uri={back}", context).decode()
            on_url(url)
            open_browser(options, url)
            while not stopping.is_set():
                with contextlib.suppress(queue.Empty):
                    return server.tokens.get(timeout=0.1)
            raise Failure(CANCELLED)
        finally:
            server.shutdown()


# --- tunnels ---

class Tunnel:
    """One per process: what `tcp` and `udp` share."""

    def __init__(self, options, destination, scheme, proxy):
        self.options, self.destination, self.scheme, self.proxy = options, destination, scheme, proxy
        self.context = tls_context(options) if scheme == "https" else None
        self.fetch_context = tls_context(options) if scheme == "https" else None
        self.cache = Cache()
        self.key = f"{proxy}|{'true' if self.context else 'false'}"
        self.probe_lock, self.probed = threading.Lock(), False
        self.quic_failed = False

    def run(self, attempt, **where):
        """attempt(token) with what is cached, and once more after a login; then what becomes of the cached token."""
        token, _ = self.cache.load(self.key)
        try:
            try:
                return attempt(token)
            except Failure as e:
                if e.code != UNAUTHENTICATED:
                    raise
            try:
                token = new_token(self.options, browser_url(self.scheme, self.proxy), self.fetch_context,
                                  lambda url: log("info", "auth required", **where, **{"auth-url": url}))
            except Failure as e:
                # As it is there: nothing is deleted when the login itself fails.
                raise Failure(f"tunnel: failed to get authentication JWT: {e}", UNAVAILABLE) from e
            self.cache.store(self.key, token)
            return attempt(token)
        except (Failure, OSError, HttpError) as e:
            if getattr(e, "code", None) not in (UNAVAILABLE, UNAUTHORIZED):
                self.cache.delete(self.key)
            raise

    def probe(self):
        """Once per process: whether the proxy offers HTTP/3. This client has none, as the real one whose QUIC fails."""
        with self.probe_lock:
            if self.probed:
                return
            self.probed = True
            where = {"component": "pick-tcp-tunneler"}
            if not self.context:
                log("info", "tls not enabled, using http1", **where)
                return
            try:
                response = get(f"https://{self.proxy}", self.fetch_context, redirects=0)
            except (OSError, HttpError) as e:
                log("error", "failed to make probe request, falling back to http1", **where,
                    error=f'Get "https://{self.proxy}": {e}')
                return
            if "h3" in response.get("Alt-Svc"):
                log("info", "using http3", **where)
                log("error", "http3 tunneler failed", error="http/3: unsupported: this client has no QUIC")
            else:
                log("info", "using http1", **where)

    def ask(self, text):
        """Sends a request on a connection of its own; the socket and the response when that is 200."""
        try:
            sock = dial(self.proxy, self.context, ["http/1.1"])
        except OSError as e:
            raise Failure(f"http/1: failed to establish connection to proxy: {e}") from e
        try:
            sock.sendall(text)
            sock.settimeout(None)
            try:
                response = read_response(StopAware(sock))
            except HttpError as e:
                raise Failure(f"http/1: failed to read HTTP response: {e}") from e
            check_status(response.status)
            return sock, response
        except BaseException:
            hang_up(sock)
            raise

    def connect(self, token, local_in, local_out):
        """One TCP tunnel, until either direction ends."""
        where = {"component": "http1tunneler"}
        log("info", "connecting", **where)
        fields = [("Authorization", f"Pomerium {token}")] if token else []
        sock, response = self.ask(request_text("CONNECT", self.destination, self.destination, fields))
        log("info", "connected", **where)
        error = None
        try:
            relay(sock, response.rest, local_in, local_out)
        except Failure as e:
            error = str(e)
            raise
        finally:
            log("error", "disconnected", **where, **({"error": error} if error else {}))
            hang_up(sock)

    def connect_udp(self, token, session):
        """One UDP tunnel: QUIC is tried first, then never again in this process."""
        if self.context and not self.quic_failed:
            log("info", "connecting", **session.where, component="http3tunneler")
            error = try_quic(self.proxy)
            self.quic_failed = True
            log("error", "http3 tunneler failed", **session.where,
                error=f"http/3: unsupported: failed to connect to server: {error}")
        log("info", "connecting", **session.where)
        try:
            host, port = split_host_port(self.destination)
        except ValueError as e:
            raise Failure("http/1: failed to split destination host into host and port") from e
        fields = [("Connection", "Upgrade"), ("Upgrade", "connect-udp"), ("Capsule-Protocol", "?1")]
        fields += [("Authorization", f"Pomerium {token}")] if token else []
        sock, response = self.ask(request_text("GET", f"/.well-known/masque/udp/{host}/{port}/", self.destination, fields))
        log("info", "connected", **session.where)
        try:
            session.relay(sock, response)
        except Failure as e:
            log("error", "disconnected", **session.where, error=str(e))
            raise
        finally:
            hang_up(sock)


def check_status(status):
    if status == 200:
        return
    code = {503: UNAVAILABLE, 301: UNAUTHENTICATED, 302: UNAUTHENTICATED, 307: UNAUTHENTICATED, 308: UNAUTHENTICATED,
            401: UNAUTHENTICATED, 403: UNAUTHORIZED}.get(status)
    raise Failure(code or f"invalid http response code: {status}", code)


def try_quic(proxy):
    """Why there is no QUIC: the packet is of no use to anybody, but what answers it tells as much as a handshake would.
    Ends at once when the port is closed; the real client waits its 5 s then too."""
    host, port = split_host_port(proxy)
    family, _, _, _, address = socket.getaddrinfo(host, int(port), type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.settimeout(5)
        try:
            s.connect(address)
            packet = b"\xc3\0\0\0\1\x08" + os.urandom(8) + b"\0\0\x45\x38"
            s.send(packet + os.urandom(1350 - len(packet)))
            s.recv(2048)
        except TimeoutError:
            return "timeout: no recent network activity"
        except OSError as e:
            return str(e)
    return "this client has no QUIC"


class StopAware:
    """recv that ends when the program is asked to stop."""

    def __init__(self, sock):
        self.sock = sock

    def recv(self, size):
        pending = isinstance(self.sock, ssl.SSLSocket) and self.sock.pending()
        readable = [self.sock] if pending else select.select([self.sock, stop_read], [], [])[0]
        if self.sock not in readable:
            raise Failure(CANCELLED)
        return self.sock.recv(size)


class Remote:
    """The proxy's socket, not blocking: bytes queue up for it."""

    MOST = 1 << 18

    def __init__(self, sock):
        self.sock, self.out, self.wants_write = sock, bytearray(), False
        sock.setblocking(False)

    def read(self):
        """None: nothing now."""
        try:
            return self.sock.recv(65536)
        except (ssl.SSLWantReadError, BlockingIOError):
            return None
        except ssl.SSLWantWriteError:
            self.wants_write = True
            return None

    def flush(self):
        self.wants_write = False
        while self.out:
            try:
                del self.out[:self.sock.send(self.out[:65536])]
            except (ssl.SSLWantWriteError, BlockingIOError):
                self.wants_write = True
                return
            except ssl.SSLWantReadError:
                return

    def has_pending(self):
        return isinstance(self.sock, ssl.SSLSocket) and self.sock.pending() > 0


def relay(sock, early, local_in, local_out):
    """Both ways until one has ended; `local_*` are file descriptors. What the proxy has sent is written before."""
    remote, to_local = Remote(sock), bytearray(early)
    remote_ended = False
    os.set_blocking(local_out, False)
    while to_local or not remote_ended:
        readers = [stop_read] + ([local_in] if len(remote.out) < Remote.MOST and not remote_ended else [])
        takes = len(to_local) < Remote.MOST and not remote_ended
        readers += [sock] if takes else []
        writers = ([sock] if remote.out or remote.wants_write else []) + ([local_out] if to_local else [])
        readable, writable, _ = select.select(readers, writers, [], 0 if takes and remote.has_pending() else None)
        try:
            # Before a signal: ssh ends its input, and sends one right behind.
            if local_in in readable:
                data = os.read(local_in, 65536)
                if not data:
                    remote.sock.settimeout(5)
                    remote.sock.sendall(remote.out)
                    return
                remote.out += data
            if stop_read in readable:
                raise Failure(CANCELLED)
            if local_out in writable:
                del to_local[:os.write(local_out, to_local)]
            if remote.out or sock in writable:
                remote.flush()
            if takes and (sock in readable or remote.has_pending() or sock in writable):
                data = remote.read()
                remote_ended = data == b""
                to_local += data or b""
        except BlockingIOError:
            pass
        except BrokenPipeError as e:
            if local_out == 1:  # Go's programs die of it on stdout, and on nothing else
                signal.signal(signal.SIGPIPE, signal.SIG_DFL)
                os.kill(os.getpid(), signal.SIGPIPE)
            raise Failure(str(e)) from e
        except OSError as e:
            raise Failure(str(e)) from e


# --- UDP ---

def varint(number):
    for size, bits, mark in ((1, 6, 0), (2, 14, 0x40), (4, 30, 0x80), (8, 62, 0xc0)):
        if number < 1 << bits:
            raw = bytearray(number.to_bytes(size, "big"))
            raw[0] |= mark
            return bytes(raw)
    raise ValueError(number)


def take_varint(data, at):
    """The number and where it ends, or None."""
    if at >= len(data) or at + (1 << (data[at] >> 6)) > len(data):
        return None
    size = 1 << (data[at] >> 6)
    return int.from_bytes(data[at:at + size], "big") & (1 << (8 * size - 2)) - 1, at + size


def take_capsules(data):
    """The payloads of whole capsules at the front of `data`, which loses them. No type or context is looked at."""
    payloads, at = [], 0
    while True:
        kind = take_varint(data, at)
        size = kind and take_varint(data, kind[1])
        if not size or len(data) < size[0] + size[1]:
            del data[:at]
            return payloads
        at = size[1] + size[0]
        value = bytes(data[size[1]:at])
        context = take_varint(value, 0)
        payloads.append(value[context[1]:] if context else value)


class UdpSession:
    """All datagrams of one local address: one tunnel."""

    LIFETIME = 600

    def __init__(self, listener, address, where):
        self.listener, self.address, self.where = listener, address, {**where, "addr": address_text(address)}
        self.waiting = collections.deque(maxlen=4096)
        self.wake_read, self.wake_write = os.pipe()
        os.set_blocking(self.wake_write, False)

    def take(self, data):
        self.waiting.append(data)
        if len(self.waiting) == 1:  # else the session has not come to those before
            with contextlib.suppress(BlockingIOError):
                os.write(self.wake_write, b"x")

    def close(self):
        os.close(self.wake_read)
        os.close(self.wake_write)

    def relay(self, sock, response):
        remote, body, capsules = Remote(sock), Body(response), bytearray()
        ends_at = time.monotonic() + self.LIFETIME
        while True:
            capsules += body.take()
            for payload in take_capsules(capsules):
                with contextlib.suppress(BlockingIOError):
                    self.listener.sendto(payload, self.address)
            if body.ended:
                raise Failure("EOF")
            while self.waiting and len(remote.out) < Remote.MOST:
                data = self.waiting.popleft()
                remote.out += b"\0" + varint(len(data) + 1) + b"\0" + data
            try:
                remote.flush()
                if not self.waiting or remote.out:
                    self._wait(remote, body, ends_at)
            except OSError as e:
                raise Failure(str(e)) from e

    def _wait(self, remote, body, ends_at):
        writers = [remote.sock] if remote.wants_write else []
        left = 0 if remote.has_pending() else max(0, ends_at - time.monotonic())
        readable, _, _ = select.select([remote.sock, self.wake_read, stop_read], writers, [], left)
        if stop_read in readable:
            raise Failure(CANCELLED)
        if self.wake_read in readable:
            os.read(self.wake_read, 65536)
        if remote.sock in readable or remote.has_pending():
            data = remote.read()
            if data == b"":
                raise Failure("unexpected EOF" if body.chunked or body.left else "EOF")
            body.feed(data or b"")
        elif time.monotonic() >= ends_at:
            raise Failure("context deadline exceeded")


def address_text(address):
    return join_host_port(address[0], str(address[1]))


SO_RCVBUFFORCE = 33  # of Linux


def run_udp(tunnel, listen):
    where = {"listener-addr": listen}
    host, port = split_host_port(listen)
    info = socket.getaddrinfo(host or "::", int(port or 0), type=socket.SOCK_DGRAM)[0]
    log("info", "starting udp listener", **where)
    with socket.socket(info[0], socket.SOCK_DGRAM) as s:
        with contextlib.suppress(PermissionError):  # Python is slower than Go: what it cannot take at once waits
            s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        s.bind(info[4])
        where["listener-addr"] = address_text(s.getsockname())
        log("info", f"listening on {where['listener-addr']}", **where)
        sessions, lock = {}, threading.Lock()
        log("info", "starting udp session manager", **where)

        def serve(session):
            log("info", "starting udp session", **session.where)
            try:
                tunnel.run(lambda token: tunnel.connect_udp(token, session), **session.where)
            except (Failure, OSError, HttpError) as e:
                log("error", "stopped udp session", **session.where, error=str(e))
            with lock:
                del sessions[session.address]
                session.close()

        s.setblocking(False)
        while True:
            try:
                data, address = s.recvfrom(65535)
            except BlockingIOError:
                if stop_read in select.select([s, stop_read], [], [])[0]:
                    break
                continue
            except ConnectionRefusedError:
                continue  # the local program is gone
            with lock:
                if address not in sessions:
                    sessions[address] = UdpSession(s, address, where)
                    threading.Thread(target=serve, args=(sessions[address],), daemon=True).start()
                sessions[address].take(data)
        log("error", "stopped udp session manager", **where, error=CANCELLED)
        log("error", "stopped udp listener", **where, error=CANCELLED)
        wait_for_threads()
    raise Failure(CANCELLED)


# --- TCP ---

def wait_for_threads():
    """So that each tunnel ends with close_notify."""
    ends_at = time.monotonic() + 2
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join(max(0, ends_at - time.monotonic()))


def run_tcp(tunnel, listen):
    where = {"component": "tunnel"}
    host, port = split_host_port(listen)
    info = socket.getaddrinfo(host or "::", int(port or 0), type=socket.SOCK_STREAM)[0]
    with socket.create_server(info[4][:2], family=info[0], backlog=128, dualstack_ipv6=not host) as s:
        address = address_text(s.getsockname())
        log("info", f"listening on {address}", **where, addr=address)

        def serve(conn):
            with conn:
                try:
                    tunnel.probe()
                    tunnel.run(lambda token: tunnel.connect(token, conn.fileno(), conn.fileno()), **where)
                except (Failure, OSError, HttpError) as e:
                    log("error", "error serving local connection", **where, error=str(e))

        while stop_read not in select.select([s, stop_read], [], [])[0]:
            conn, _ = s.accept()
            threading.Thread(target=serve, args=(conn,), daemon=True).start()
    wait_for_threads()


def run_stdio(tunnel):
    tunnel.probe()
    tunnel.run(lambda token: tunnel.connect(token, 0, 1))


def parse_urls(destination, pomerium_url):
    """The destination "host:port", and scheme and "host:port" of the proxy."""
    if "://" in destination:
        url = urllib.parse.urlsplit(destination)
        scheme = url.scheme.removeprefix("tcp+").removeprefix("udp+")
        paths = url.path.split("/")[1:]
        address, host = (paths[0], url.netloc) if paths else (url.netloc, url.hostname or "")
    else:
        try:
            host, port = split_host_port(destination)
        except ValueError as e:
            raise Failure("invalid destination") from e
        address, scheme = join_host_port(host, port), "https"
    if pomerium_url:
        url = urllib.parse.urlsplit(pomerium_url)
        if not url.netloc:
            raise Failure("invalid pomerium url")
        scheme, host = url.scheme, url.netloc
    if ":" not in host:
        host = f"{host}:{443 if scheme == 'https' else 80}"
    return address, scheme, host


def tls_context(options):
    context = ssl.create_default_context()
    try:
        if options.alternate_ca_path:
            context.load_verify_locations(options.alternate_ca_path)
        if options.ca_cert:
            context.load_verify_locations(cadata=base64.b64decode(options.ca_cert).decode())
    except (OSError, ValueError) as e:
        raise Failure(f"get CA cert: {e}") from e
    if options.client_cert or options.client_key:
        try:
            context.load_cert_chain(options.client_cert, options.client_key)
        except OSError as e:
            raise Failure(f"loading client cert: {e}") from e
    if options.disable_tls_verification:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


# --- commands ---

def tunnel_command(options, run):
    """Failures before the tunnel begins are usage errors; later ones are one line and status 1."""
    # `udp` reads the URL option of `tcp`, which nobody can have set.
    pomerium_url = options.pomerium_url if options.command == "tcp" else ""
    destination, scheme, proxy = parse_urls(options.arguments[0], pomerium_url)
    remember_url(f"{scheme}://{proxy}")
    tunnel = Tunnel(options, destination, scheme, proxy)
    try:
        run(tunnel)
    except (Failure, OSError, HttpError, ValueError) as e:
        sys.stderr.write(f"{e}\n")
        sys.stderr.flush()
        os._exit(1)


def tcp_command(options):
    tunnel_command(options, run_stdio if options.listen == "-" else lambda tunnel: run_tcp(tunnel, options.listen))


def udp_command(options):
    def run(tunnel):
        if options.listen == "-":
            raise Failure("stdout not implemented for UDP")
        run_udp(tunnel, options.listen)
    tunnel_command(options, run)


def auth_command(options):
    url = urllib.parse.urlsplit(options.arguments[0])
    if not url.scheme or not url.netloc:
        raise Failure(f"invalid server url: {options.arguments[0]}")
    remember_url(options.arguments[0])
    context, cache = tls_context(options) if url.scheme == "https" else None, Cache()
    key, base = f"{url.netloc}|{'true' if context else 'false'}", browser_url(url.scheme, url.netloc)
    token, good = cache.load(key)
    if good:
        try:
            fetch(f"{base}/healthz", context, [("Accept", "application/json"), ("Authorization", f"Bearer Pomerium-{token}")])
            print(token)
            return
        except Failure as e:
            if e.code != UNAUTHENTICATED:
                raise Failure(f"error validating cached JWT: {e}") from e
    try:
        token = new_token(options, base, context)
    except Failure as e:
        raise Failure(f"error retrieving JWT: {e}") from e
    cache.store(key, token)
    print(token)


def list_routes(base, context, token):
    try:
        body = fetch(f"{base}/.pomerium/api/v1/routes", context,
                     [("Accept", "application/json"), ("Authorization", f"Bearer Pomerium-{token}")])
        return json.loads(body).get("routes") or []
    except Failure as e:
        raise Failure(f"error fetching routes portal: {e}", e.code) from e
    except ValueError as e:
        raise Failure(f"error unmarshaling routes portal response: {e}") from e


def routes_command(options):
    try:
        text = options.arguments[0] if options.arguments else (cache_root() / "last-url").read_text()
    except OSError as e:
        raise Failure("server-url is required") from e
    remember_url(text)
    url, context, cache = urllib.parse.urlsplit(text), tls_context(options), Cache()
    key, base = f"{url.netloc}|true", f"{url.scheme}://{url.netloc}"
    token, good = cache.load(key)
    routes = None
    try:
        if good:
            try:
                routes = list_routes(base, context, token)
            except Failure as e:
                if e.code != UNAUTHENTICATED:
                    raise
        if routes is None:
            try:
                token = new_token(options, browser_url(url.scheme, url.netloc), context)
            except Failure as e:
                raise Failure(f"error retrieving JWT: {e}", UNAVAILABLE) from e
            cache.store(key, token)
            routes = list_routes(base, context, token)
    except Failure as e:
        if e.code == UNAVAILABLE:
            raise
        cache.delete(key)
        raise Failure(f"error listing routes: {e}") from e
    for route in routes:
        print("Route", route.get("name", ""))
        for name in ("id", "type", "from", "description"):
            print(f"{name}: {route.get(name, '')}")
        if route.get("connect_command"):
            print("connect_command:", route["connect_command"])
        print()


def cache_command(options):
    if options.command == "cache location":
        print(cache_root())
    else:
        shutil.rmtree(cache_root(), ignore_errors=True)


def version_command(_options):
    print("pomerium-cli version v0.0.0")


BROWSER_FLAGS = {"browser-cmd": ""}
ACCOUNT_FLAGS = {"service-account": "", "service-account-file": ""}
TLS_FLAGS = {"disable-tls-verification": False, "alternate-ca-path": "", "ca-cert": "", "client-cert": "", "client-key": ""}
LOGIN_FLAGS = BROWSER_FLAGS | ACCOUNT_FLAGS | TLS_FLAGS
TUNNEL_FLAGS = LOGIN_FLAGS | {"listen": "127.0.0.1:0", "pomerium-url": ""}
# name: what runs it, its flags, how many arguments at least and at most, what they are called
COMMANDS = {
    "tcp": (tcp_command, TUNNEL_FLAGS, 1, 1, "destination"),
    "udp": (udp_command, TUNNEL_FLAGS, 1, 1, "destination"),
    "auth": (auth_command, LOGIN_FLAGS, 1, 1, "server-url"),
    "routes list": (routes_command, LOGIN_FLAGS, 0, 1, "server-url"),
    "cache clear": (cache_command, {}, 0, 0, ""),
    "cache location": (cache_command, {}, 0, 0, ""),
    "version": (version_command, {}, 0, 0, ""),
}


def parse_flags(words, flags):
    options, arguments, words = types.SimpleNamespace(), [], list(words)
    for name, value in flags.items():
        setattr(options, name.replace("-", "_"), value)
    while words:
        word = words.pop(0)
        if word == "--":
            arguments += words
            break
        if not word.startswith("-") or word == "-":
            arguments.append(word)
            continue
        name, equals, value = word.removeprefix("-").removeprefix("-").partition("=")
        if not word.startswith("--") or name not in flags:
            shorthand = f"unknown shorthand flag: '{word[1:2]}' in {word}"
            raise Failure(f"unknown flag: --{name}" if word.startswith("--") else shorthand)
        if isinstance(flags[name], bool):
            value = not equals or value in ("1", "t", "true", "T", "TRUE", "True")
        elif not equals:
            if not words:
                raise Failure(f"flag needs an argument: --{name}")
            value = words.pop(0)
        setattr(options, name.replace("-", "_"), value)
    options.arguments = arguments
    return options


def usage(name):
    _, flags, _, _, argument = COMMANDS[name]
    lines = ["Usage:", f"  pomerium-cli {name} {argument} [flags]".replace("  [", " ["), "", "Flags:"]
    return "\n".join(lines + [f"      --{flag}" for flag in sorted(flags)]) + "\n\n"


def main(words):
    names = [n for n in COMMANDS if words[:len(n.split())] == n.split()]
    if "--version" in words[:1] or "-v" in words[:1]:
        return version_command(None)
    if not names:
        print("Usage:\n  pomerium-cli [command]\n\nAvailable Commands:\n" + "".join(f"  {n}\n" for n in COMMANDS))
        return None
    name = names[0]
    run, flags, least, most, _ = COMMANDS[name]
    rest = words[len(name.split()):]
    if "-h" in rest or "--help" in rest:
        print(usage(name))
        return None
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)
    try:
        options = parse_flags(rest, flags)
        options.command = name
        if not least <= len(options.arguments) <= most:
            raise Failure(f"accepts {'at most ' if least < most else ''}{most} arg(s), received {len(options.arguments)}")
        run(options)
    except Failure as e:
        # The real program has status 0 here too.
        sys.stderr.write(f"Error: {e}\n{usage(name)}")
        log("error", "exit", error=str(e))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
