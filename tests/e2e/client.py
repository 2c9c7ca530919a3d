"""The postern command in the hands of somebody with a home and a browser."""
import os
import pathlib
import re
import socket
import subprocess

from stack import Client

LISTENING = re.compile(r"listening on (\S+):(\d+)\n")
ROOT = pathlib.Path(__file__).resolve().parents[2]


class Postern:
    """The command with a home of its own; `browser` stands where a person and a browser would."""

    def __init__(self, stack, folder):
        self.stack, self.home = stack, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.cookies = folder / "cookies"
        self.opened = folder / "opened"
        self.browser = folder / "browser"
        self.gateway = f"https://localhost:{stack.https_port}"
        # What a browser does with the address; a person types the password in the first time.
        self.browser.write_text(f"""#!/bin/sh
echo "$1" >>{self.opened}
exec {ROOT}/tests/bin/loopback-sign-in "$1" demo@localhost {stack.password_file} {self.cookies} >>{folder}/browser.log 2>&1
""")
        self.browser.chmod(0o700)
        self.clients = []

    def environment(self, **more):
        return {"HOME": str(self.home), "PATH": os.environ["PATH"], "POSTERN_TLS_CA": str(self.stack.folder / "tls/localhost.crt"),
                "ASAN_OPTIONS": "abort_on_error=0:quarantine_size_mb=1", "LSAN_OPTIONS": os.environ["LSAN_OPTIONS"], **more}

    def flags(self):
        return ["--ca-cert", self.stack.folder / "tls/localhost.crt", "--browser-cmd", self.browser]

    def argv(self, command, *words):
        return [str(w) for w in (self.stack.bin / "postern", *command.split(), *words)]

    def run(self, command, *words, stdin=b"", timeout=120, flags=True):
        return subprocess.run(self.argv(command, *(self.flags() if flags else ()), *words), input=stdin, capture_output=True,
                              timeout=timeout, env=self.environment())

    def start(self, command, *words, stdin=subprocess.DEVNULL):
        client = Client(self.argv(command, *self.flags(), *words), stdin=stdin, env=self.environment())
        self.clients.append(client)
        return client

    def tunnel(self, target, *words, kind="tcp"):
        client = self.start(kind, target, "--pomerium-url", self.gateway, *words)
        client.port = int(client.stderr.wait(LISTENING).group(2))
        return client

    def sign_ins(self):
        return len(self.opened.read_text().splitlines()) if self.opened.exists() else 0

    def cache(self):
        return self.home / ".cache/postern/jwts"

    def token_file(self):
        return self.cache() / f"https_localhost_{self.stack.https_port}.jwt"

    def token(self):
        return self.token_file().read_text().strip()

    def close(self):
        for client in self.clients:
            if client.process.poll() is None:
                client.process.terminate()
                client.wait()
            assert "Sanitizer" not in client.stderr.text(), client.stderr.text()


def dial(port):
    return socket.create_connection(("127.0.0.1", port), 20)


def read_all(sock):
    sock.settimeout(90)
    data = b""
    while more := sock.recv(65536):
        data += more
    return data


def roundtrip(port, data=b"over and back"):
    with dial(port) as s:
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        assert read_all(s) == data
