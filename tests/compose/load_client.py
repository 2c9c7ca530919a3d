"""Runs on the user's machine of the load test: keeps COUNT sessions streaming and begins RATE logins
a second, and writes what became of each as a JSON line. Ends when its stdin does.

  load_client.py COUNT RATE GATE_RATE

Logins go to the route ssh-target, GATE_RATE more of them to the route gate, whose policy the test
changes meanwhile. A stream is one ssh whose target counts aloud, 1 KiB a number: a number that is
missing, doubled or out of order is an error of the relay. A line "move" on stdin begins half of the
streams again."""
import json
import subprocess
import sys
import threading
import time

COUNT, RATE, GATE_RATE = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
SSH = ["ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=20",
       "-o", "LogLevel=INFO", "-p", "2222"]
# No fork per line: read waits on a pipe that stays empty.
STREAM = """exec 9<> <(:); printf -v pad '%1000s' ''; echo "from $SSH_CLIENT"
i=0; while echo "$((i += 1)) $pad"; do read -r -t 0.25 -u 9; done"""
OUTSTANDING_MAX = 120
SILENCE_S = 1.0  # a line is due four times a second

done = threading.Event()
moving = set()
lock = threading.Lock()


def write(**entry):
    with lock:
        print(json.dumps(entry), flush=True)


def proxy_of(line):
    """SSH_CLIENT on the target begins with the address of the proxy that relays."""
    parts = line.split()
    return parts[1] if parts[:1] == ["from"] and len(parts) > 1 else None


def stream(number):
    while not done.is_set():
        began = time.time()
        ssh = subprocess.Popen([*SSH, "-o", "ServerAliveInterval=10", "developer@ssh-target@gw.example.test",
                                STREAM], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
        errors = []
        reader = threading.Thread(target=lambda: errors.append(ssh.stderr.read()), daemon=True)
        reader.start()
        proxy, count, wrong, last = None, 0, 0, None
        for line in ssh.stdout:
            now = time.time()
            if proxy is None:
                proxy = proxy_of(line)
                write(kind="stream", what="began", number=number, at=now, asked=began, proxy=proxy)
            else:
                count += 1
                # The last line of a session that is cut may be a part.
                if line.split()[0] != str(count):
                    wrong += 1
                if now - last > SILENCE_S:
                    write(kind="silence", number=number, asked=began, at=now, seconds=now - last)
            last = now
            if done.is_set() or number in moving:
                moving.discard(number)
                ssh.terminate()
        status = ssh.wait()
        reader.join()
        write(kind="stream", what="ended", number=number, at=time.time(), asked=began, proxy=proxy, status=status,
              lines=count, wrong=wrong, stderr=errors[0][-400:])
        if status:
            done.wait(0.5)


def login(route):
    began = time.time()
    try:
        ran = subprocess.run([*SSH, f"developer@{route}@gw.example.test", 'echo "from $SSH_CLIENT"'],
                             stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90)
        status, out, err = ran.returncode, ran.stdout, ran.stderr
    except subprocess.TimeoutExpired:
        status, out, err = -1, "", "no end within 90 s"
    write(kind="login", route=route, began=began, at=time.time(), status=status, proxy=proxy_of(out),
          stderr=err[-400:])


def logins(route, rate):
    due = time.time()
    running = []
    while not done.wait(max(0, due - time.time())):
        due += 1 / rate
        running = [t for t in running if t.is_alive()]
        if len(running) >= OUTSTANDING_MAX:
            write(kind="skipped", route=route, at=time.time())
            continue
        running.append(threading.Thread(target=login, args=(route,), daemon=True))
        running[-1].start()
    for t in running:
        t.join(90)


threads = [threading.Thread(target=stream, args=(i,)) for i in range(COUNT)]
threads += [threading.Thread(target=logins, args=pair) for pair in (("ssh-target", RATE), ("gate", GATE_RATE))]
for thread in threads:
    thread.start()
for _ in sys.stdin:
    moving.update(range(0, COUNT, 2))
done.set()
for thread in threads:
    thread.join()
