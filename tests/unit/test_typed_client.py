"""What a type checker knows of the package: a client under mypy strict, and a misspelt name."""

import subprocess
import sys
from pathlib import Path

import pytest

import apimart_cli
from support.pages import blocks_of

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

MISSPELT = {
    "from apimart_cli import fetch_balanse": 'has no attribute "fetch_balanse"',
    "import apimart_cli\napimart_cli.AuthErorr": 'has no attribute "AuthErorr"',
    "from apimart_cli import fetch_balance\nfetch_balance('k').remaining": 'has no attribute "remaining"',
    "from apimart_cli import fetch_balance\nfetch_balance('k', scope='both')": "incompatible type",
}
"""Programs with a mistake in an import, in an attribute, and among the scopes, and what is said of it."""


def test_a_type_checker_knows_every_public_name(tmp_path: Path) -> None:
    """Imported, called and matched under mypy strict, with the types of the page; a misspelt one is an error."""
    pages = {f"page{number}": block.text for number, block in enumerate(blocks_of("python"))}
    good = {"client": CLIENT.format(names=",\n    ".join(apimart_cli.__all__)), **pages}
    texts = {**good, **{f"wrong{number}": text for number, text in enumerate(MISSPELT)}}
    for name, text in texts.items():
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--config-file=", *(f"{n}.py" for n in texts)],
        cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=300, check=False,
    )  # fmt: skip
    assert ended.returncode in {0, 1}, ended.stderr
    told = {name: [line for line in ended.stdout.splitlines() if line.startswith(f"{name}.py:")] for name in texts}
    assert [told[name] for name in good] == [[]] * len(good)
    for number, mistake in enumerate(MISSPELT.values()):
        line = told[f"wrong{number}"][0]
        assert "error: " in line
        assert mistake in line
