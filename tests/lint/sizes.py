#!/usr/bin/python3
"""Files of at most 600 lines (tests: 1000), functions of at most 70 lines and 6 parameters."""
import re

from sources import ROOT, code_only, report, tracked

EXEMPT = "NOLINTNEXTLINE(readability-function-size)"
FILE_MAX, TEST_FILE_MAX, FUNCTION_MAX, PARAMETERS_MAX = 600, 1000, 70, 6
# A function definition: something like "type name(args)\n{" at the left margin.
HEAD = re.compile(r"^(?!typedef|struct \w+ \{|enum)[A-Za-z_\[][^;{}#=]*?\b(\w+)\(([^;{}]*)\)\s*\n\{", re.M)


def functions(code):
    # Attributes have parentheses of their own.
    code = re.sub(r"\[\[.*?\]\]", "", code)
    for match in HEAD.finditer(code):
        end = code.find("\n}", match.end() - 1)
        first = code.count("\n", 0, match.end())  # the line of the brace
        last = code.count("\n", 0, end + 1)
        yield match.group(1), first + 1, last - first, match.group(2)


def main():
    problems = []
    for path in tracked(".c", ".h", folders=("common", "proxy", "authorize", "authenticate",
                                             "databroker", "cli", "tests")):
        text = (ROOT / path).read_text()
        lines = text.count("\n")
        limit = TEST_FILE_MAX if path.parts[0] == "tests" else FILE_MAX
        if lines > limit:
            problems.append(f"{path}: {lines} lines (at most {limit})")
        if path.suffix != ".c":
            continue
        source = text.split("\n")
        for name, line, length, params in functions(code_only(text)):
            # A signature that is another's to decide carries the mark that clang-tidy wants too.
            foreign = any(EXEMPT in l for l in source[max(0, line - 6):line])
            if length > FUNCTION_MAX:
                problems.append(f"{path}:{line}: {name} has {length} lines (at most {FUNCTION_MAX})")
            count = params.count(",") + 1
            if count > PARAMETERS_MAX and not foreign:
                problems.append(f"{path}:{line}: {name} has {count} parameters "
                                f"(at most {PARAMETERS_MAX})")
    report("sizes", problems)


main()
