"""What others spend on a tunnel opened: TLS 1.3 taken off, a connection to the target; no decision, nothing on record.

nginx and haproxy, one thread each, no session resumption, P-256 as here: whichever of them is installed."""
import asyncio
import contextlib
import pathlib
import shutil
import socket
import subprocess
import threading
import time

NGINX = """
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 8192; }}
stream {{
    access_log off; ssl_session_tickets off; ssl_session_cache off; ssl_protocols TLSv1.3;
    server {{
        listen 127.0.0.1:{port} ssl; ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
        proxy_pass 127.0.0.1:{target};
    }}
}}
"""
HAPROXY = """
global
    nbthread 1
    maxconn 8000
    tune.ssl.cachesize 0
    ssl-default-bind-options ssl-min-ver TLSv1.3 no-tls-tickets
defaults
    mode tcp
    timeout client 1h
    timeout server 1h
    timeout connect 5s
frontend front
    bind 127.0.0.1:{port} ssl crt {folder}/both.pem
    default_backend back
backend back
    server one 127.0.0.1:{target}
"""
PEERS = {"nginx": (NGINX, ["nginx", "-c"]), "haproxy": (HAPROXY, ["haproxy", "-f"])}


def target():
    """A port where each connection gets the answer that a tunnel's client waits for."""
    ready, ports = threading.Event(), []

    async def answer(reader, writer):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            await reader.read()
            writer.close()

    async def serve():
        server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=4096)
        ports.append(server.sockets[0].getsockname()[1])
        ready.set()
        await server.serve_forever()

    threading.Thread(target=lambda: asyncio.run(serve()), daemon=True).start()
    assert ready.wait(10)
    return ports[0]


def make_certificate(folder):
    key = subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout"],
                         capture_output=True, check=True).stdout
    (folder / "key.pem").write_bytes(key)
    subprocess.run(["openssl", "req", "-x509", "-key", folder / "key.pem", "-out", folder / "cert.pem", "-subj",
                    "/CN=localhost", "-days", "2"], capture_output=True, check=True)
    (folder / "both.pem").write_bytes((folder / "cert.pem").read_bytes() + key)


def can_connect(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@contextlib.contextmanager
def peers(folder, ports):
    """[(name, port, pid of the process that serves)]"""
    folder = pathlib.Path(folder)
    make_certificate(folder)
    behind, running, found = target(), [], []
    try:
        for (name, (config, command)), port in zip(PEERS.items(), ports):
            if not shutil.which(command[0], path="/usr/sbin:/usr/bin"):
                continue
            (folder / f"{name}.conf").write_text(config.format(folder=folder, port=port, target=behind))
            process = subprocess.Popen([*command, folder / f"{name}.conf"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            running.append(process)
            end = time.monotonic() + 10
            while not can_connect(port):
                assert time.monotonic() < end and process.poll() is None, f"{name} does not serve"
                time.sleep(0.05)
            children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            found.append((name, port, int(children[0]) if children else process.pid))
        yield found
    finally:
        for process in running:
            process.terminate()
            process.wait(10)
