"""Fenced blocks of the documents, each with the test that runs it or the reason why none does.

    ```sh test=test_name        the test function takes the block out of the document and runs it
    ```json not-run: reason     nobody runs it
"""
import collections
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```([^\n`]*)\n(.*?)^```$", re.M | re.S)
INFO = re.compile(r"(\w+) (?:test=(\w+)|not-run: (\S.*))")

Snippet = collections.namedtuple("Snippet", "document line info language test reason text")


def documents():
    return ["README.md", *sorted(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]


def read(document):
    """The blocks of a document in its order; test and reason are None where neither is said."""
    text = (ROOT / document).read_text()
    found = []
    for match in FENCE.finditer(text):
        info = INFO.fullmatch(match[1].strip())
        language, test, reason = info.groups() if info else (None, None, None)
        found.append(Snippet(document, text.count("\n", 0, match.start()) + 1, match[1].strip(), language,
                             test, reason, match[2]))
    return found
