"""The compose stack under a project of its own, with random ports, and a user's machine on `edge`."""
import ipaddress
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
URL = re.compile(r"https://\S+/\.pomerium/sign_in\?user_code=[A-Za-z0-9_-]+")
FOUR = ("databroker", "authorize", "authenticate", "proxy")

sys.path.insert(0, str(ROOT / "tests/e2e"))
from stack import free_ports, wait_for  # noqa: E402,F401


def run(*argv, check=True, timeout=120, **kwargs):
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=timeout, **kwargs)
    assert not check or done.returncode == 0, f"{argv}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def docker(*argv, **kwargs):
    return run("docker", *argv, **kwargs)


def free_subnet():
    """A /24 that no network of the engine overlaps, nor any that it makes by itself meanwhile."""
    taken = []
    for network in docker("network", "ls", "-q").stdout.split():
        inspected = docker("network", "inspect", network, check=False)  # it may be gone
        for found in json.loads(inspected.stdout or "[]"):
            taken += [ipaddress.ip_network(config["Subnet"]) for config in found["IPAM"]["Config"] or ()]
    free = [n for n in ipaddress.ip_network("198.18.0.0/15").subnets(new_prefix=24)
            if not any(n.overlaps(t) for t in taken if t.version == 4)]
    return random.choice(free)


class Compose:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.state, self.config = self.folder / "state", self.folder / "config"
        self.config.mkdir()
        self.project = f"postern-test-{os.getpid()}"
        self.subnet = str(free_subnet())
        text = (ROOT / "deploy/config/postern.yaml").read_text()
        assert "172.30.0.0/24" in text
        (self.config / "postern.yaml").write_text(text.replace("172.30.0.0/24", self.subnet))
        os.chmod(self.config, 0o755)
        https, ssh = free_ports(2)
        self.env = dict(os.environ, COMPOSE_PROJECT_NAME=self.project, POSTERN_STATE_DIR=str(self.state),
                        POSTERN_CONFIG_DIR=str(self.config), POSTERN_EDGE_SUBNET=self.subnet,
                        POSTERN_HTTPS_PORT=str(https), POSTERN_SSH_PORT=str(ssh))
        self.clients = []

    def edit_config(self, text):
        """As editors do: a new file in the place of the old one."""
        new = self.config / "postern.yaml.new"
        new.write_text(text)
        new.chmod(0o644)
        new.rename(self.config / "postern.yaml")

    def wait_healthy(self, timeout=180):
        def all_healthy():
            containers = [c for service in (*FOUR, "lb", "sshd", "idp") for c in self.inspect(service)]
            return all(c["State"]["Running"] and c["State"]["Health"]["Status"] == "healthy" for c in containers)
        wait_for(all_healthy, timeout, "all containers to be healthy", 0.5)

    def save_logs(self, folder):
        """For whoever looks for the reason of a failure."""
        for service in (*FOUR, "lb", "sshd", "idp"):
            for number, one in enumerate(self.ids(service)):
                done = docker("logs", one, check=False)
                pathlib.Path(folder, f"{service}-{number}.log").write_text(done.stdout + done.stderr)

    def sh(self, *argv, timeout=1500, **kwargs):
        return run(ROOT / "deploy/compose.sh", *argv, env=self.env, timeout=timeout, **kwargs)

    def ids(self, service):
        """Those that run or ought to: a container that crashed is among them."""
        return docker("ps", "-a", "-q", "--filter", f"label=com.docker.compose.project={self.project}",
                      "--filter", f"label=com.docker.compose.service={service}").stdout.split()

    def inspect(self, service):
        return json.loads(docker("inspect", *self.ids(service)).stdout)

    def logs(self, service, message):
        lines = []
        for one in self.ids(service):
            for line in docker("logs", one).stdout.splitlines():
                if line.startswith("{") and json.loads(line).get("message") == message:
                    lines.append(json.loads(line))
        return lines

    def client(self, network="edge"):
        made = Machine(self, network)
        self.clients.append(made)
        return made

    def close(self):
        for client in self.clients:
            docker("rm", "-f", client.id, check=False)
        self.sh("down", "-v", check=False)


class Machine:
    """A container of a user's: openssh-client, curl, python3, sign-in."""

    def __init__(self, compose, network):
        self.compose = compose
        self.id = docker("run", "-d", "--init", "--network", f"{compose.project}_{network}",
                         "--volume", f"{compose.state}/tls-ca.pem:/run/tls-ca.pem:ro",
                         "postern-client:latest").stdout.strip()
        networks = json.loads(docker("inspect", self.id).stdout)[0]["NetworkSettings"]["Networks"]
        self.address = networks[f"{compose.project}_{network}"]["IPAddress"]
        for user in ("you", "guest"):
            docker("cp", compose.state / "users" / user, f"{self.id}:/home/you/{user}")
        docker("exec", "-u", "0", self.id, "chown", "you", "/home/you/you", "/home/you/guest")
        self.run("mkdir -p -m 700 ~/.ssh && ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/id_ed25519")

    def run(self, script, check=True, timeout=60):
        return docker("exec", self.id, "bash", "-c", script, check=check, timeout=timeout)

    def ssh_argv(self, command, options="-o StrictHostKeyChecking=accept-new -o ConnectTimeout=10"):
        return f"timeout 60 ssh {options} -p 2222 developer@ssh-target@gw.example.test {command!r}"

    def ssh(self, command, check=True, timeout=70):
        """A login that must ask nothing."""
        return self.run(self.ssh_argv(command, "-o BatchMode=yes -o StrictHostKeyChecking=accept-new "
                                               "-o ConnectTimeout=10"), check, timeout)

    def sign_in(self, command="hostname", user="you"):
        """A login that asks for a sign-in; returns what ssh printed."""
        ssh = subprocess.Popen(["docker", "exec", self.id, "bash", "-c", self.ssh_argv(command)],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        seen = ""
        deadline = time.monotonic() + 30
        while not (url := URL.search(seen)):
            line = ssh.stderr.readline()
            assert line and time.monotonic() < deadline, f"no link in {seen!r}"
            seen += line
        self.run(f"POSTERN_TLS_CA=/run/tls-ca.pem sign-in '{url.group()}' {user} ~/{user}")
        out, err = ssh.communicate(timeout=60)
        return ssh.returncode, out, seen + err
