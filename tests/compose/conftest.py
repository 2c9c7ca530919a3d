"""Fixtures of the tests in containers."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from snippet_fixture import snippets  # noqa: E402,F401
