"""A gRPC call by python3-h2, which tells what the server said whatever it does with the stream afterwards.

curl will not do: a server that refuses a call before it has read the whole request answers with trailers and resets the stream,
and curl then sometimes reports the reset alone.
"""
import socket
import ssl
import time

import h2.config
import h2.connection
import h2.events
import h2.exceptions

FRAME = 16384  # what a peer takes that has said nothing else


def _context(cert, key):
    context = ssl.create_default_context()
    # Who the server is, is not what these tests ask: its certificate names a service, not a host.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    if cert:
        context.load_cert_chain(cert, key)
    return context


def _status(headers):
    for name, value in headers:
        if name in (b"grpc-status", "grpc-status"):
            return int(value)
    return None


def _next_status(connection, tls):
    """The status, or None while it has not come; raises ConnectionError at the connection's end."""
    data = tls.recv(65536)
    if not data:
        raise ConnectionError("closed")
    for event in connection.receive_data(data):
        if isinstance(event, (h2.events.ResponseReceived, h2.events.TrailersReceived)):
            status = _status(event.headers)
            if status is not None:
                return status
        elif isinstance(event, h2.events.StreamReset):
            raise ConnectionError(f"stream reset {event.error_code}")
        elif isinstance(event, h2.events.ConnectionTerminated):
            raise ConnectionError(f"goaway {event.error_code}")
    tls.sendall(connection.data_to_send())
    return None


def grpc_call(port, path, cert=None, key=None, request=b"", seconds=20):
    """The status number of one call on 127.0.0.1, or a text "no status: …" when there was none."""
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding=None))
    deadline = time.monotonic() + seconds
    try:
        with socket.create_connection(("127.0.0.1", port), seconds) as raw, _context(cert, key).wrap_socket(raw) as tls:
            connection.initiate_connection()
            connection.send_headers(1, [(":method", "POST"), (":scheme", "https"), (":path", path),
                                        (":authority", f"127.0.0.1:{port}"), ("content-type", "application/grpc"),
                                        ("te", "trailers")])
            data = b"\0" + len(request).to_bytes(4, "big") + request
            for at in range(0, len(data), FRAME):
                connection.send_data(1, data[at:at + FRAME], end_stream=at + FRAME >= len(data))
            tls.sendall(connection.data_to_send())
            while time.monotonic() < deadline:
                status = _next_status(connection, tls)
                if status is not None:
                    return status
            return "no status: it took too long"
    except (OSError, h2.exceptions.H2Error) as e:
        return f"no status: {e}"
