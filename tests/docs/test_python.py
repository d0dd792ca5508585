"""What the documentation says about the Python package: the session is typed, names and attributes are compared."""

import doctest
import inspect
import re
import typing
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

import apimart_cli
from apimart_cli import (
    ApimartError,
    AuthError,
    Balance,
    Booked,
    Scope,
    UnavailableError,
    Usage,
    fetch_balance,
    fetch_usage,
)
from apimart_cli.choices import UsageBy
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
    block, _ = blocks_of("python")
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


def test_the_program_about_spend_prints_what_the_page_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line for each model, the most expensive first."""
    _, block = blocks_of("python")
    names: dict[str, Any] = {}
    exec(compile(block.text, "the page", "exec"), names)  # our own page
    asked: list[dict[str, Any]] = []
    rows = tuple(Booked(Decimal(spent), 3, model=model) for model, spent in (("a", "1"), ("b", "2.5")))
    moment = datetime(2026, 9, 1, tzinfo=UTC)
    usage = Usage(Scope.KEY, moment, moment, "Europe/Berlin", UsageBy.MODEL, rows[0], rows, moment)

    def answer(key: str, **options: Any) -> Usage:
        asked.append({"api_key": key, **options})
        return usage

    names["fetch_usage"] = answer
    assert names["september"]("sk-any") is usage
    assert capsys.readouterr().out == "b 2.5 3\na 1 3\n"
    inspect.signature(fetch_usage).bind(**asked[0])


def test_every_error_is_documented_with_its_code() -> None:
    """The table has each class of the tree, and the code that programs see."""
    documented = {code_in(row[0])[0]: code_in(row[1])[0] for row in table("class").rows}
    errors = {
        name: value.code
        for name in apimart_cli.__all__
        if isinstance(value := getattr(apimart_cli, name), type) and issubclass(value, ApimartError)
    }
    assert documented == errors


@pytest.mark.parametrize(
    ("record", "heading", "more"),
    [(Balance, "attribute", []), (Usage, "`Usage`", [("lag", "timedelta")]), (Booked, "`Booked`", [])],
)
def test_the_attributes_of_what_is_returned_are_documented(
    record: type, heading: str, more: list[tuple[str, str]]
) -> None:
    """The page names every attribute of a record with its type, in the order of the class."""
    hints = typing.get_type_hints(record)
    documented = [(code_in(row[0])[0], row[1]) for row in table(heading).rows]
    assert documented == [*((name, _type_words(hint)) for name, hint in hints.items()), *more]


def _type_words(hint: Any) -> str:
    if hint is UsageBy:
        # What is documented are its values.
        return "str"
    if typing.get_origin(hint) is tuple:
        return f"tuple of {typing.get_args(hint)[0].__name__}"
    members = typing.get_args(hint) or (hint,)
    return " or ".join("None" if member is type(None) else member.__name__ for member in members)


def test_the_public_names_are_documented() -> None:
    """The documentation speaks of every name that the package offers."""
    names = [name for name in apimart_cli.__all__ if name != "__version__"]
    missing = [name for name in names if not re.search(rf"\b{name}\b", DOCUMENTATION)]
    assert missing == []
