"""Fixtures of the end-to-end tests: real daemons, real peers, real time."""
import os
import pathlib
import sys

import pytest

from stack import Stack

# libgrpc's OpenSSL forgets a handshake that is under way when a program ends; nothing of ours calls that OpenSSL.
os.environ["LSAN_OPTIONS"] = f"suppressions={pathlib.Path(__file__).parent}/leaks.supp:print_suppressions=0"
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from snippet_fixture import snippets  # noqa: E402,F401


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """One installation for a module whose tests do not disturb each other."""
    with Stack(tmp_path_factory.mktemp("stack")) as s:
        yield s


@pytest.fixture
def new_stack(tmp_path):
    """Makes installations of the test's own: new_stack(cookie_expire="20s")."""
    stacks = []

    def make(**kwargs):
        s = Stack(tmp_path / f"stack{len(stacks)}", **kwargs)
        stacks.append(s)
        s.__enter__()
        return s

    yield make
    for s in stacks:
        s.__exit__(None, None, None)


@pytest.fixture(scope="module")
def release_stack(tmp_path_factory):
    """The release build, for what is large."""
    with Stack(tmp_path_factory.mktemp("release"), build="release") as s:
        yield s
