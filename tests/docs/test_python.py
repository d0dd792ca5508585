"""What the documentation says about the Python package: the session is typed, names and attributes are compared."""

import doctest
import re
import typing
from typing import Any

import pytest

import apimart_cli
from apimart_cli import ApimartError, AuthError, Balance, UnavailableError, fetch_balance
from apimart_cli.sandbox.server import Sandbox
from support.pages import DOCUMENTATION, blocks_of, code_in, table
from support.running import KEY, Serve, connected


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


def test_the_program_does_what_the_page_says(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks again after the pause that the gateway asked for, and only where that can help."""
    [block] = blocks_of("python")
    names: dict[str, Any] = {}
    exec(compile(block.text, "the page", "exec"), names)  # our own page
    asked: list[float] = []
    monkeypatch.setattr(names["time"], "sleep", asked.append)
    limited = UnavailableError("the rate is limited", retryable=True)
    limited.retry_after = 7.0
    balance = fetch_balance(KEY, base_url=serve().url)
    answers: list[Any] = [limited, balance, UnavailableError("no such host"), AuthError("rejected", "log in")]

    def answer(_key: str) -> Balance:
        following = answers.pop(0)
        if isinstance(following, ApimartError):
            raise following
        return balance

    names["fetch_balance"] = answer
    assert (names["remaining"]("k"), asked) == ("10.5", [7.0])
    with pytest.raises(UnavailableError):
        names["remaining"]("k")
    assert (names["remaining"]("k"), asked) == ("rejected: log in", [7.0])


def test_every_error_is_documented_with_its_code() -> None:
    """The table has each class of the tree, and the code that programs see."""
    documented = {code_in(row[0])[0]: code_in(row[1])[0] for row in table("class").rows}
    errors = {
        name: value.code
        for name in apimart_cli.__all__
        if isinstance(value := getattr(apimart_cli, name), type) and issubclass(value, ApimartError)
    }
    assert documented == errors


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
