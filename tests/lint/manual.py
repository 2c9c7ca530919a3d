"""Manual pages that are made from the table of commands and the table of keys, for docs.py."""
import re

from sources import ROOT

DATE = "2026-11-21"
COMMAND = re.compile(r'^    \{"([^"]+)",\s*"([^"]*)",\s*((?:"(?:\\.|[^"\\])*"\s*)+),', re.M)
FLAG = re.compile(r'^F\(([\w |]+), "([^"]+)", "([^"]*)", \w+,\s*((?:"(?:\\.|[^"\\])*"\s*)+)\)', re.M)


def escape(text):
    """Text as roff: nothing in it is a request or an escape."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    return "\\&" + text if text[:1] in ".'" else text


def literal(text):
    return "".join(p.replace('\\"', '"') for p in re.findall(r'"((?:\\.|[^"\\])*)"', text))


def page(name, section, what, parts):
    lines = [f'.TH {name} {section} {DATE} Postern "Postern"', ".SH NAME", f"{name} \\- {escape(what)}"]
    for title, body in parts:
        lines += [f".SH {title}", *body]
    return "\n".join(lines) + "\n"


def paragraphs(text):
    """Plain paragraphs; a line "NAME: text" in a block that begins with "*" is an item."""
    lines = []
    for block in text.strip().split("\n\n"):
        if block.startswith("*"):
            for item in block[1:].strip().split("\n"):
                tag, _, rest = item.partition(": ")
                lines += [".TP", f".B {escape(tag)}", escape(rest)]
        else:
            if lines:
                lines.append(".PP")
            lines += [escape(line) for line in block.split("\n")]
    return lines


def table():
    text = (ROOT / "cli/command.c").read_text()
    table = text[text.index("const struct command commands[]"):text.index("{NULL, NULL, NULL, NULL}")]
    rows = [(name, usage, literal(help_)) for name, usage, help_ in COMMAND.findall(table)]
    if len(rows) != len(re.findall(r"^    \{\"", table, re.M)):
        raise SystemExit("manual: a row of cli/command.c is not understood")
    return rows


def postern():
    listed = []
    for name, usage, what in table():
        tag = f"\\fB{escape(name)}\\fR" + (f" \\fI{escape(usage)}\\fR" if usage else "")
        listed += [".TP", tag, escape(what[0].upper() + what[1:]) + "."]
    return page("postern", 1, "use and administer an identity-aware gateway", [
        ("SYNOPSIS", [".B postern", "[\\fB\\-\\-config\\fR \\fIFILE\\fR] [\\fB\\-\\-admin\\fR \\fIFILE.pem\\fR]",
                      "[\\fB\\-\\-json\\fR] \\fICOMMAND\\fR"]),
        ("DESCRIPTION", paragraphs(
            "Opens tunnels through a gateway and signs in to it (tcp, udp, ssh, ssh-config, routes, login,\n"
            "logout); makes keys and secrets, checks the configuration, and lists and changes the records\n"
            "of a gateway. Commands that read records speak to the databroker, under an administrator's\n"
            "certificate when one is given.")),
        ("OPTIONS", paragraphs(
            "*--config FILE: The configuration; otherwise POSTERN_CONFIG, otherwise /etc/postern/postern.yaml.\n"
            "--admin FILE.pem: Key, certificate and CA of an administrator; otherwise POSTERN_ADMIN.\n"
            "--json: One JSON object per line.")),
        ("COMMANDS", listed),
        ("EXIT STATUS", paragraphs("0: done; 1: it failed, with the reason on standard error; 2: the words on the "
                                   "command line are off. Commands that use a gateway have some more, see postern-tcp(1).")),
        ("FILES", paragraphs("*/etc/postern/postern.yaml: The configuration.")),
        ("SEE ALSO", see(*(f"{name}(1)" for name in CLIENTS), "postern.yaml(5)", "postern-proxy(8)", "postern-databroker(8)")),
    ])


GROUPS = {"TUNNEL": {"TCP", "UDP"}, "NETWORK": {"TCP", "UDP", "SSH", "SSH_CONFIG", "ROUTES", "LOGIN", "LOGOUT"}}
EXITS = ("*0: Done; a listener that was asked to stop by SIGINT or SIGTERM; on standard input and output, both ends have "
         "finished.\n"
         "1: It failed, with the reason on standard error; the gateway has no such route; the gateway ended the tunnel.\n"
         "2: The words on the command line are off.\n"
         "3: The gateway says no: its policy, or a client certificate is missing.\n"
         "4: Nobody is signed in and signing in failed.\n"
         "5: The gateway is not reachable, or its certificate is not trusted.\n"
         "6: The gateway cannot reach the target, or not decide now.")
CLIENTS = {
    "postern-tcp": ({"TCP": "tcp", "UDP": "udp"}, "DEST", "carry TCP connections and UDP packets through a gateway",
                    "Listens here, says \"listening on ADDRESS\" on standard error, and carries each connection (each sender's "
                    "packets) through the gateway to DEST. With --listen - one connection is carried on standard input and "
                    "output, which is what ssh's ProxyCommand wants; nothing else is written there.\n\n"
                    "DEST is HOST:PORT as in the route's from, through the gateway at https://HOST; "
                    "https://GATEWAY[:PORT]/HOST:PORT through that gateway; http:// for one without TLS. tcp+ and udp+ may "
                    "stand in front.\n\n"
                    "When nobody is signed in, a browser is opened once. The token is kept for all commands of this user "
                    "and for all routes of that gateway. When the gateway ends a tunnel, the reason is said on standard error. "
                    "When it is not reachable, a listener tries again after 1, 2, 4 ... 30 seconds, six times for each "
                    "connection. A sender of packets that has been silent for 5 minutes is forgotten.\n\n"
                    "On a terminal a listener shows how much has gone each way. Proxy variables of the environment are not used."),
    "postern-ssh": ({"SSH": "ssh", "SSH_CONFIG": "ssh-config"}, "", "run ssh through a gateway's TCP tunnels",
                    "postern ssh runs ssh(1) with all its words and a ProxyCommand that is postern tcp. Flags stand first; from the "
                    "first word that is none of them on, everything is ssh's, -h and -v too. -J cannot be used with it.\n\n"
                    "postern ssh-config prints an ssh_config(5) with a Host for each route that you may reach: TCP routes to "
                    "port 22 get a ProxyCommand, SSH routes the login LOGIN@ROUTE at the gateway."),
    "postern-login": ({"LOGIN": "login", "LOGOUT": "logout", "ROUTES": "routes list"}, "[URL]",
                      "sign in to a gateway, sign out, and list what can be reached",
                      "URL is the gateway; without it the one that was used last. login opens a browser and waits up to 10 "
                      "minutes; with --headless it prints an address for any browser and a match code to be compared with the "
                      "one on the page. logout ends the session at the gateway, in the browser too, and deletes the token."),
}


def client_flags(commands):
    """(name, value, what) of the flags that any of these commands has."""
    text = (ROOT / "cli/flags.def").read_text()
    found = FLAG.findall(text)
    if len(found) != len(re.findall(r"^F\(", text, re.M)):
        raise SystemExit("manual: a row of cli/flags.def is not understood")
    for of, name, value, what in found:
        has = set().union(*(GROUPS.get(c.strip(), {c.strip()}) for c in of.split("|")))
        if has & set(commands):
            only = sorted(commands[c] for c in has & set(commands))
            yield name, value, literal(what) + ("" if len(only) == len(commands) else f" ({', '.join(only)} only)")


def client(name):
    commands, _, what, text = CLIENTS[name]
    usages = {n: u for n, u, _ in table()}
    synopsis = [line for c in commands.values() for line in
                ([] if c == next(iter(commands.values())) else [".br"]) + [f"\\fBpostern {escape(c)}\\fR \\fI{escape(usages[c])}\\fR"]]
    listed = []
    for flag, value, note in client_flags(commands):
        listed += [".TP", f"\\fB{escape(flag)}\\fR" + (f" \\fI{escape(value)}\\fR" if value else ""), escape(note[0].upper() + note[1:]) + "."]
    listed += [".TP", ".B \\-h, \\-\\-help", "Print the flags.", ".TP", ".B \\-v, \\-\\-version", "Print the version."]
    return page(name, 1, what, [
        ("SYNOPSIS", synopsis), ("DESCRIPTION", paragraphs(text)), ("OPTIONS", listed), ("EXIT STATUS", paragraphs(EXITS)),
        ("FILES", paragraphs("*$XDG_CACHE_HOME/postern/jwts: The tokens, one file for each gateway, readable by their user "
                             "alone; ~/.cache/postern/jwts otherwise.")),
        ("SEE ALSO", see(*(f"{n}(1)" for n in CLIENTS if n != name), "postern(1)", "ssh(1)")),
    ])


def see(*pages):
    return [f".BR {p.split('(')[0].replace('-', chr(92) + '-')} ({p.split('(')[1]}" + ("," if p != pages[-1] else "") for p in pages]


def yaml(key_rows):
    """`key_rows`: (key, read by, default, what) as docs.py reads them."""
    listed = []
    for key, readers, default, what in key_rows:
        facts = "; ".join(f for f in (f"read by {readers}" if readers else "not served", f"default {default}" if default else "") if f)
        listed += [".TP", f".B {escape(key)}", escape(what[0].upper() + what[1:]) + ".", escape(facts[0].upper() + facts[1:]) + "."]
    return page("postern.yaml", 5, "configuration of the Postern gateway", [
        ("DESCRIPTION", paragraphs(
            "One YAML file is read by the four daemons and by postern(1). Every scalar key has an environment\n"
            "variable in upper case that wins over the file. A key shown as name(_file) takes a value, or, with\n"
            "_file, the name of a file that holds it; {service} in such a name stands for authenticate, authorize,\n"
            "proxy or databroker. A daemon opens only the files of keys that it reads.\n\n"
            "A change of the file, or of a file that it names, is taken over when it is valid; SIGHUP does the same.\n"
            "Durations are written 300ms, 20s, 15m, 14h, 1h30m.")),
        ("KEYS", listed),
        ("FILES", paragraphs("*/etc/postern/postern.yaml: The default.\n"
                             "/etc/postern/secrets/SERVICE/NAME: Handed by systemd to that service alone, as "
                             "/run/credentials/postern-SERVICE.service/secret_NAME.")),
        ("SEE ALSO", see("postern(1)", "postern-proxy(8)", "postern-setup(8)")),
    ])


DAEMONS = {
    "proxy": ("terminate SSH and HTTPS for the Postern gateway",
              "Takes connections from outside, asks authorize(8) about each of them, and relays it to its target.\n"
              "A supervisor holds the host keys; a worker process, without any long-lived secret but its service\n"
              "certificate, parses what strangers send."),
    "authorize": ("decide the connections of the Postern gateway",
                  "Owns routes and policy, decides every connection, signs SSH user certificates, and cuts a live\n"
                  "connection when its decision no longer holds."),
    "authenticate": ("sign people in to the Postern gateway",
                     "Serves the pages that a browser meets: sign-in at the identity provider, approval of an SSH key,\n"
                     "sign-out. It takes requests from the proxy alone."),
    "databroker": ("keep the records of the Postern gateway",
                   "The only shared state: sessions, bindings, host keys, live connections. Records are kept in one\n"
                   "SQLite file, or in memory."),
}


def daemon(name):
    what, text = DAEMONS[name]
    others = [f"postern-{d}(8)" for d in DAEMONS if d != name]
    return page(f"postern-{name}", 8, what, [
        ("SYNOPSIS", [f".B postern\\-{name}", "[\\fB\\-\\-config\\fR \\fIFILE\\fR] [\\fB\\-\\-check\\fR | \\fB\\-\\-version\\fR]"]),
        ("DESCRIPTION", paragraphs(text.replace("authorize(8)", "postern-authorize(8)")
                                   + "\n\nLog lines go to standard output, one JSON object each.")),
        ("OPTIONS", paragraphs(
            "*--config FILE: The configuration; otherwise POSTERN_CONFIG, otherwise /etc/postern/postern.yaml.\n"
            "--check: Check the configuration, print what is wrong with it, and end.\n--version: Print the version and end.")),
        ("SIGNALS", paragraphs("*SIGHUP: Read the configuration again; an invalid one changes nothing.\n"
                               "SIGTERM, SIGINT: Accept nothing new, let connections end for shutdown_grace, stop.")),
        ("EXIT STATUS", paragraphs("0: asked to stop; 1: runtime; 2: configuration or arguments.")),
        ("ENVIRONMENT", paragraphs("*NOTIFY_SOCKET, WATCHDOG_USEC: Start, reload, stop and life are told to systemd, "
                                   "as sd_notify(3) says.")),
        ("SEE ALSO", see("postern(1)", "postern.yaml(5)", *others)),
    ])


def setup():
    return page("postern-setup", 8, "make the keys and secrets of a Postern gateway", [
        ("SYNOPSIS", [".B postern\\-setup", "[\\fB\\-\\-check\\fR]"]),
        ("DESCRIPTION", paragraphs(
            "Makes what the packaged /etc/postern/postern.yaml names: a certificate for each service and their CA,\n"
            "shared and cookie secret, SSH host keys, and the SSH user CA. What is there is kept. It needs root.\n\n"
            "The units of the four daemons start only when /etc/postern/ca.crt is there.")),
        ("OPTIONS", paragraphs(
            "*--check: Make nothing; check /etc/postern/postern.yaml for all four daemons, as 'postern config check' does, "
            "with the secrets that a next start would give them: what it names in /run/credentials exists only while "
            "they run.")),
        ("EXIT STATUS", paragraphs(
            "0: done, or the configuration is valid; 1: it failed, with the reason on standard error; 2: the words on\n"
            "the command line are off.")),
        ("FILES", paragraphs(
            "*/etc/postern/secrets/SERVICE: What systemd hands to that service as credentials.\n"
            "/etc/postern/ca: The service CA; its key signs administrators' certificates.\n"
            "/etc/postern/user_ca.pub: For TrustedUserCAKeys of the targets.")),
        ("SEE ALSO", see("postern(1)", "postern.yaml(5)")),
    ])


def pages(key_rows):
    made = {"docs/man/postern.1": postern, "docs/man/postern.yaml.5": lambda: yaml(key_rows()),
            "docs/man/postern-setup.8": setup}
    for name in CLIENTS:
        made[f"docs/man/{name}.1"] = lambda name=name: client(name)
    for name in DAEMONS:
        made[f"docs/man/postern-{name}.8"] = lambda name=name: daemon(name)
    return made
