"""A user's home and shell in which a document's commands run as they are written.

What the documents name stands for something of the test: `dev` for whoever runs the tests, /srv and /etc/postern
for folders of the installation. gw.example.com is reached by a ProxyCommand, so that no name need resolve."""
import os
import re
import subprocess
import sys

from stack import LOGIN, ROOT, SERVICES, URL, Client

PIPE = """import os, socket, sys, threading
peer = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
def down():
    while data := peer.recv(65536):
        os.write(1, data)
    os._exit(0)
threading.Thread(target=down, daemon=True).start()
while data := os.read(0, 65536):
    peer.sendall(data)
peer.shutdown(socket.SHUT_WR)
threading.Event().wait()
"""


class Home:
    def __init__(self, stack, path):
        self.stack, self.path = stack, path
        self.names = {r"\bdev\b": LOGIN, "/etc/postern": str(stack.folder), "/srv": f"{path}/srv",
                      "/var/lib/postern": str(stack.folder)}
        for folder in (".ssh", "bin", "srv"):
            (path / folder).mkdir(mode=0o700)
        (path / "pipe.py").write_text(PIPE)
        self.pipe = f"{sys.executable} {path}/pipe.py {stack.ssh_port}"
        self.ssh_config("")
        config = path / ".ssh/config"
        wrappers = {"ssh": f"/usr/bin/ssh -F {config}", "scp": f"/usr/bin/scp -S {path}/bin/ssh",
                    "sftp": f"/usr/bin/sftp -S {path}/bin/ssh", **{p: f"{stack.bin}/{p}" for p in ("postern", *(f"postern-{s}" for s in SERVICES))},
                    **{p: f"/usr/bin/{p} -proxycmd '{self.pipe}'" for p in ("plink", "pscp", "psftp")}}
        for name, command in wrappers.items():
            wrapper = path / "bin" / name
            wrapper.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
            wrapper.chmod(0o755)

    def ssh_config(self, text):
        """The user's ~/.ssh/config; what follows the document's text is the test's."""
        (self.path / ".ssh/config").write_text(self.named(text).replace("~/", f"{self.path}/") + f"""
Host *
  ProxyCommand {self.pipe}
  IdentityFile {self.path}/.ssh/id_ed25519
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile {self.path}/.ssh/known_hosts
  StrictHostKeyChecking accept-new
""")

    def named(self, text):
        for pattern, value in self.names.items():
            text = re.sub(pattern, value, text)
        return text

    def environment(self):
        env = {k: v for k, v in os.environ.items() if k != "SSH_AUTH_SOCK"}
        return dict(env, HOME=str(self.path), PATH=f"{self.path}/bin:{ROOT}/tests/bin:{env['PATH']}",
                    POSTERN_CONFIG=f"{self.stack.folder}/postern.yaml", POSTERN_ADMIN=f"{self.stack.folder}/admin.pem",
                    ANSIBLE_LOCALHOST_WARNING="false", LC_ALL="C.UTF-8")

    def run(self, text, check=True, sign_in=False):
        """Runs a block as a shell script; gives what a terminal would show."""
        script = self.named(text)
        client = Client(["bash", "-c", f"set -eu -o pipefail; cd {self.path}; exec 2>&1\n{script}"],
                        env=self.environment())
        self.stack.clients.append(client)
        if sign_in:
            self.stack.sign_in(client.stdout.wait(URL).group())
        status = client.wait(90)
        assert not check or status == 0, f"{status} from\n{script}\n{client.stdout.text()}"
        return client.stdout.text()

    def transcript(self, text, **kwargs):
        """Runs the lines that begin with "$ " and compares what follows each; … stands for anything."""
        for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
            command, _, wanted = part.partition("\n")
            while command.endswith("\\"):
                more, _, wanted = wanted.partition("\n")
                command += "\n" + more
            said = self.run(command, check=False, **kwargs)
            same_lines(self.named(wanted), said, command)


def same_lines(wanted, said, what):
    def tidy(t):
        return "\n".join(line.rstrip() for line in t.replace("\r", "").strip().splitlines() if line.strip())
    pattern = ".*?".join(re.escape(p) for p in tidy(wanted).split("…"))
    assert re.fullmatch(pattern, tidy(said), re.S), f"{what}\n--- the document says\n{wanted}\n--- it said\n{said}"


def keygen(path):
    path.unlink(missing_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path
