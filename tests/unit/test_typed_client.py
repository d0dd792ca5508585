"""What a type checker knows of the package: a client under mypy strict, and a misspelt name."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import apimart_cli
from support.pages import Block, blocks_of

pytest.importorskip("mypy", reason="needs mypy, which is not installed")

CLIENT = """
from datetime import datetime
from decimal import Decimal
from typing import assert_never, assert_type

from apimart_cli import (
    {names},
)

balance = fetch_balance("sk-...", scope="spendable", timeout=5)
assert_type(balance, Balance)
assert_type(balance.scope, Scope)
assert_type(balance.remain_balance, Decimal | None)
assert_type(balance.used_balance, Decimal)
assert_type(balance.unlimited_quota, bool)
assert_type(balance.fetched_at, datetime)
assert_type(balance.limited_by, Scope | None)
assert_type(__version__, str)


def told(error: ApimartError) -> str:
    match error:
        case UnavailableError(retryable=True, retry_after=float(seconds)):
            assert_type(seconds, float)
            return f"again in {{seconds}} s"
        case UnavailableError():
            assert_type(error.retryable, bool)
            assert_type(error.retry_after, float | None)
        case AuthError() | PaymentRequiredError():
            assert_type(error, AuthError | PaymentRequiredError)
        case BadResponseError() | UsageError():
            assert_type(error.hint, str | None)
    assert_type(error.exit_code, ExitCode)
    return error.code + error.message


def of(scope: Scope) -> str:
    match scope:
        case Scope.KEY | Scope.ACCOUNT | Scope.SPENDABLE:
            return scope.value
        case _:
            assert_never(scope)


try:
    fetch_balance("sk-...")
except ConfigError as error:
    assert_type(error, ConfigError)
"""

Check = Callable[[str], Sequence[str]]


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """Return what mypy says about a file of somebody who uses the package, without its summary."""

    def run(text: str) -> Sequence[str]:
        path = tmp_path / "client.py"
        path.write_text(text, encoding="utf-8")
        ended = subprocess.run(
            [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--config-file=", f"{path}"],
            cwd=tmp_path,
            capture_output=True,
            encoding="utf-8",
            timeout=300,
            check=False,
        )
        assert ended.returncode in {0, 1}, ended.stderr
        return ended.stdout.splitlines()

    return run


def test_every_public_name_is_typed(check: Check) -> None:
    """Imported, called and matched under mypy strict, with the types that the page names."""
    names = ",\n    ".join(apimart_cli.__all__)
    assert check(CLIENT.format(names=names)) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("from apimart_cli import fetch_balanse", 'has no attribute "fetch_balanse"'),
        ("import apimart_cli\napimart_cli.AuthErorr", 'has no attribute "AuthErorr"'),
        ("from apimart_cli import fetch_balance\nfetch_balance('k').remaining", 'has no attribute "remaining"'),
        ("from apimart_cli import fetch_balance\nfetch_balance('k', scope='both')", "incompatible type"),
    ],
)
def test_a_misspelt_name_is_an_error(check: Check, text: str, told: str) -> None:
    """In an import, in an attribute, and among the scopes."""
    [line, *_] = check(text)
    assert "error: " in line
    assert told in line


@pytest.mark.parametrize("block", blocks_of("python"), ids=str)
def test_the_programs_of_the_page_are_typed(check: Check, block: Block) -> None:
    """As they stand there."""
    assert check(block.text) == []
