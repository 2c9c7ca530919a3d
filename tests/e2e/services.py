"""Real servers to be reached through tunnels, each in a folder of its own."""
import contextlib
import glob
import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile

from stack import can_connect, free_ports, wait_for

ROOT_USER = os.getuid() == 0


def drop(user, command):
    """What does not run as root runs as `user`."""
    return ["runuser", "-u", user, "--", *map(str, command)] if ROOT_USER else [str(c) for c in command]


@contextlib.contextmanager
def running(command, port, log, ready=can_connect):
    with open(log, "ab") as out:
        process = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        def up():
            assert process.poll() is None, open(log, errors="replace").read()[-3000:]
            return ready(port)
        wait_for(up, 60, f"{command[0]} on {port}")
        yield port
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(15)
        process.kill()
        process.wait()


@contextlib.contextmanager
def folder_of(user):
    """A folder of that user's: another one than pytest's, which are closed to others."""
    with tempfile.TemporaryDirectory(prefix="postern-", ignore_cleanup_errors=True) as name:
        if ROOT_USER:
            entry = pwd.getpwnam(user)
            os.chown(name, entry.pw_uid, entry.pw_gid)
        yield pathlib.Path(name)


@contextlib.contextmanager
def postgres(folder):
    binaries = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
    folder.mkdir(parents=True, exist_ok=True)
    (port,) = free_ports(1)
    with folder_of("postgres") as data:
        subprocess.run(drop("postgres", [f"{binaries}/initdb", "-D", data / "data", "-A", "trust", "-U", "app", "-N"]),
                       check=True, stdout=subprocess.DEVNULL, cwd="/")
        with running(drop("postgres", [f"{binaries}/postgres", "-D", data / "data", "-p", port, "-k", data, "-h",
                                       "127.0.0.1"]), port, folder / "postgres.log"):
            # It listens a moment before it answers.
            wait_for(lambda: subprocess.run([f"{binaries}/pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)],
                                            check=False).returncode == 0, 20, "postgres")
            yield port


@contextlib.contextmanager
def redis(folder):
    data, (port,) = folder / "redis", free_ports(1)
    data.mkdir(parents=True)
    with running(["redis-server", "--bind", "127.0.0.1", "--port", port, "--dir", data, "--save", ""], port,
                 folder / "redis.log"):
        yield port


@contextlib.contextmanager
def mariadb(folder):
    folder.mkdir(parents=True, exist_ok=True)
    (port,) = free_ports(1)
    user = "mysql" if ROOT_USER else pwd.getpwuid(os.getuid()).pw_name
    with folder_of("mysql") as data:
        common = ["--no-defaults", f"--user={user}", f"--datadir={data}/data", "--skip-log-bin"]
        subprocess.run(["mariadb-install-db", *common, "--auth-root-authentication-method=normal", "--skip-test-db"], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with running(["mariadbd", *common, "--bind-address=127.0.0.1", f"--port={port}", f"--socket={data}/socket",
                      f"--pid-file={data}/pid"], port, folder / "mariadb.log"):
            yield port


@contextlib.contextmanager
def resolver(folder):
    """A DNS server that knows gw.test, and a text too long for a small answer."""
    (port,) = free_ports(1)
    folder.mkdir(parents=True, exist_ok=True)
    with running(["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", f"--port={port}",
                  "--listen-address=127.0.0.1", "--bind-interfaces", "--address=/gw.test/192.0.2.7",
                  "--txt-record=long.test," + ",".join(["x" * 200] * 4), f"--pid-file={folder}/dnsmasq.pid",
                  f"--user={pwd.getpwuid(os.getuid()).pw_name}"], port, folder / "dnsmasq.log"):
        yield port


@contextlib.contextmanager
def iperf(folder):
    (port,) = free_ports(1)
    folder.mkdir(parents=True, exist_ok=True)
    with running(["iperf3", "--server", "--bind", "127.0.0.1", "--port", port, "--forceflush"], port, folder / "iperf.log"):
        yield port


@contextlib.contextmanager
def sshd(folder, key):
    """A plain sshd, without any certificate, that takes one key."""
    folder.mkdir(parents=True, exist_ok=True)
    (port,) = free_ports(1)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "host"], check=True)
    shutil.copy(f"{key}.pub", folder / "authorized_keys")
    (folder / "config").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {folder}/host\nPidFile {folder}/pid\nStrictModes no\nUsePAM no\n"
        f"AuthorizedKeysFile {folder}/authorized_keys\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n"
        "Subsystem sftp internal-sftp\n")
    if ROOT_USER:
        os.makedirs("/run/sshd", exist_ok=True)
    with running(["/usr/sbin/sshd", "-D", "-e", "-f", folder / "config"], port, folder / "sshd.log"):
        yield port
