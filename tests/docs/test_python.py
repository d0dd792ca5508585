"""What the documentation says about the Python package: the session is typed, names and attributes are compared."""

import doctest
import re
import typing
from typing import Any

import pytest

import apimart_cli
from apimart_cli import Balance
from apimart_cli.sandbox.server import Sandbox
from support.pages import DOCUMENTATION, blocks_of, code_in, table
from support.running import connected


def test_the_python_session_prints_what_the_page_shows(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Typed into Python, the example answers what stands below each line."""
    for name, value in connected(sandbox).items():
        monkeypatch.setenv(name, value)
    [block] = blocks_of("pycon")
    session = doctest.DocTestParser().get_doctest(block.text, {}, "session", block.page, block.line)
    complaints: list[str] = []
    results = doctest.DocTestRunner(verbose=False).run(session, out=complaints.append)
    assert results.failed == 0, "".join(complaints)
    assert results.attempted > 5


def test_the_attributes_of_a_balance_are_documented() -> None:
    """The page names every attribute of a Balance with its type, in the order of the class."""
    hints = typing.get_type_hints(Balance)
    documented = [(code_in(row[0])[0], row[1]) for row in table("attribute").rows]
    assert documented == [(name, _type_words(hint)) for name, hint in hints.items()]


def _type_words(hint: Any) -> str:
    members = typing.get_args(hint) or (hint,)
    return " or ".join("None" if member is type(None) else member.__name__ for member in members)


def test_the_public_names_are_documented() -> None:
    """The documentation speaks of every name that the package offers."""
    names = [name for name in apimart_cli.__all__ if name != "__version__"]
    missing = [name for name in names if not re.search(rf"\b{name}\b", DOCUMENTATION)]
    assert missing == []
