#!/usr/bin/python3
"""Calls and words that this project does not use, and where they are allowed."""
import re

from sources import ROOT, code_only, report, tracked

CALLS = {
    "strcpy": "use views or mem_strdup", "strcat": "use buf", "sprintf": "use mem_printf or buf_printf",
    "vsprintf": "use buf_vprintf", "strtok": "use view_next", "gets": "never", "atoi": "use text_u64",
    "atol": "use text_u64", "strtol": "use text_u64", "strtoul": "use text_u64", "rand": "use struct rng",
    "srand": "use struct rng", "random": "use struct rng", "system": "no shell", "popen": "no shell",
    "alloca": "use mem", "setjmp": "no", "longjmp": "no", "strncpy": "use views", "scanf": "no",
    "sscanf": "use reader or view", "localtime": "use text_rfc3339", "gmtime": "use gmtime_r",
    "tmpnam": "no", "mktemp": "no", "signal": "use the loop",
    "malloc": "use mem_zalloc", "calloc": "use mem_zalloc_array", "realloc": "use mem_realloc",
    "free": "use mem_free", "strdup": "use mem_strdup", "asprintf": "use mem_printf",
    "goto": "clean up by attribute",
}
# path -> names that it may use, with the reason in the file itself
ALLOWED = {
    "common/base/mem.c": {"calloc", "realloc", "free"},
    # SIGPIPE is ignored for the process, which no loop can do.
    "common/io/loop.c": {"signal"},
    # libcrux's header is compiled with OpenSSH's names.
    "common/crypto/mlkem768.c": {"free"},
}
CALL = re.compile(r"(?<![\w.>])(" + "|".join(c for c in CALLS if c != "goto") + r")\s*\(")
GOTO = re.compile(r"\b(goto)\b")


def main():
    problems = []
    for path in tracked(".c", ".h"):
        code = code_only((ROOT / path).read_text())
        allowed = ALLOWED.get(str(path), set())
        for match in list(CALL.finditer(code)) + list(GOTO.finditer(code)):
            name = match.group(1)
            if name in allowed:
                continue
            line = code.count("\n", 0, match.start()) + 1
            problems.append(f"{path}:{line}: {name}: {CALLS[name]}")
    report("banned", problems)


main()
