#!/usr/bin/python3
"""layers.txt against the includes: who may include whom, what pure folders may use, one home for
each library, no cycles between headers."""
import re

from sources import ROOT, report, tracked

PURE_SYSTEM = {
    "assert.h", "ctype.h", "stdatomic.h", "float.h", "inttypes.h", "limits.h", "math.h", "stdarg.h", "stdbool.h",
    "stddef.h", "stdint.h", "stdio.h", "stdlib.h", "string.h", "strings.h",
}
# folder -> further headers that a pure folder may include, each with its reason
PURE_EXTRA = {
    # maps; gmtime_r turns a number into text; inet_pton and inet_ntop texts into addresses and back
    "common/base": {"uthash.h", "time.h", "arpa/inet.h"},
    "common/json": {"jansson.h"},
    # regcomp says whether an expression can be used at all
    "common/config": {"yaml.h", "regex.h"},
    "common/crypto": {"libcrux_mlkem768_sha3.h", "endian.h", "arpa/inet.h"},
    "common/http": {"arpa/inet.h", "nghttp2/nghttp2.h"},
}
# header prefix -> the only places that may include it
HOMES = {
    "uv.h": ("common/io/", "common/rpc/", "common/daemon/", "authenticate/", "authorize/",
             "proxy/", "databroker/", "cli/"),
    "grpc/": ("common/rpc/",),
    "sqlite3.h": ("databroker/store/",),
    "openssl/": ("common/crypto/", "common/io/tls"),
    "curl/": ("common/io/fetch",),
    "nghttp2/": ("common/http/h2",),
    "jansson.h": ("common/json/",),
    "yaml.h": ("common/config/",),
    "libssh2.h": ("proxy/probe/",),
    "uthash.h": ("common/base/",),
}
PURE_CALLS = re.compile(
    r"\b(time|clock_gettime|gettimeofday|getenv|secure_getenv|setenv|fopen|open|read|write|socket|"
    r"printf|fprintf|puts|fputs|exit|_exit|abort|getrandom|pthread_\w+|uv_\w+|grpc_\w+|sqlite3_\w+|"
    r"log_(?:debug|info|warn|error)\w*)\s*\(")
# The one place that aborts, and the one that draws randomness for everybody.
PURE_CALLS_ALLOWED = {"common/base/check.c", "common/base/mem.c", "common/crypto/rng.c"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def read_layers():
    layers = {}
    for line in (ROOT / "layers.txt").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            folder, kind, *may = line.split()
            layers[folder] = (kind, [m for m in may if m != "-"])
    return layers


def folder_of(path, layers):
    parent = str(path.parent)
    while parent not in layers and "/" in parent:
        parent = parent.rsplit("/", 1)[0]
    return parent if parent in layers else None


def may_include(folder, target, layers):
    if folder == target:
        return True
    return any(target == m or (m == "common/*" and target.startswith("common/"))
               for m in layers[folder][1])


def check_include(path, folder, kind, name, quoted, layers):
    if quoted:
        if name.startswith("proto/"):
            if "proto" not in layers[folder][1]:
                yield f"{path}: {folder} may not include generated protobuf ({name})"
            elif not (path.stem.startswith("convert") or folder in ("common/rpc", "cli")
                      or kind == "glue"):
                yield f"{path}: protobuf structs stop at the glue ({name})"
            return
        # libcrux needs OpenSSH's macros around it and is found by path.
        if name in PURE_EXTRA.get(folder, ()):
            return
        target = folder_of(ROOT.joinpath(name).relative_to(ROOT), layers)
        if target is None or "/" not in name:
            yield f"{path}: include from the root, in a folder of layers.txt: {name}"
        elif not may_include(folder, target, layers):
            yield f"{path}: {folder} may not include {target} ({name})"
        return
    for prefix, homes in HOMES.items():
        if (name == prefix or (prefix.endswith("/") and name.startswith(prefix))):
            if not str(path).startswith(homes):
                yield f"{path}: <{name}> belongs to {', '.join(homes)}"
            return
    if kind == "pure" and name not in PURE_SYSTEM | PURE_EXTRA.get(folder, set()):
        if not (folder == "common/crypto" and name.startswith("sys/")):
            yield f"{path}: a pure folder may not include <{name}>"


def find_cycle(graph):
    state, stack = {}, []

    def visit(node):
        state[node] = 1
        stack.append(node)
        for child in graph.get(node, ()):
            if state.get(child) == 1:
                return stack[stack.index(child):] + [child]
            if child not in state:
                found = visit(child)
                if found:
                    return found
        state[node] = 2
        stack.pop()
        return None

    for node in graph:
        if node not in state:
            found = visit(node)
            if found:
                return found
    return None


def main():
    from sources import code_only
    layers = read_layers()
    problems, graph = [], {}
    for path in tracked(".c", ".h", ".def"):
        folder = folder_of(path, layers)
        if folder is None:
            problems.append(f"{path}: its folder is not in layers.txt")
            continue
        kind = layers[folder][0]
        text = (ROOT / path).read_text()
        for bracket, name in INCLUDE.findall(text):
            problems += check_include(path, folder, kind, name, bracket == '"', layers)
            if path.suffix == ".h" and bracket == '"' and name.endswith(".h"):
                graph.setdefault(str(path), []).append(name)
        if kind == "pure" and str(path) not in PURE_CALLS_ALLOWED:
            for match in PURE_CALLS.finditer(code_only(text)):
                line = text.count("\n", 0, match.start()) + 1
                before = text[max(0, match.start() - 1):match.start()]
                if before not in (".", ">"):
                    problems.append(f"{path}:{line}: {match.group(1)}() in a pure folder")
    cycle = find_cycle(graph)
    if cycle:
        problems.append("headers include each other: " + " -> ".join(cycle))
    report("layers", problems)


main()
