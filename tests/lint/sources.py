"""What the lints share: the tree's sources, without comments and literals where that matters."""
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
PRODUCT = ("common", "proxy", "authorize", "authenticate", "databroker", "cli")


def tracked(*suffixes, folders=PRODUCT):
    """Paths, relative to the root, of the files git knows or would add."""
    out = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *folders],
        cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [p for p in map(pathlib.Path, out.splitlines())
            if p.suffix in suffixes and (ROOT / p).is_file()]


_TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def code_only(text):
    """The text with comments and literals blanked; lines and columns keep their places."""
    def blank(match):
        token = match.group()
        if token[0] in "\"'":
            return token[0] + " " * (len(token) - 2) + token[-1]
        return re.sub(r"[^\n]", " ", token)
    return _TOKEN.sub(blank, text)


def report(name, problems):
    """Prints the problems; exits with 1 when there are any."""
    for problem in problems:
        print(problem)
    print(f"lint {name}: {len(problems)} problem(s)")
    raise SystemExit(1 if problems else 0)
