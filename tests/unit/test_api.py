"""The Python API: a few names, typed, cheap to import, with one tree of errors."""

import importlib.metadata
import importlib.resources
import inspect
import math
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from traceback import walk_tb
from typing import Any

import pytest

import apimart_cli
from apimart_cli import ApimartError, Balance, ExitCode, fetch_balance
from apimart_cli import errors as errors_module
from apimart_cli.errors import (
    AuthError,
    BadResponseError,
    PaymentRequiredError,
    UnavailableError,
    UsageError,
)
from apimart_cli.sandbox.scenario import Fault, Funds
from apimart_cli.sandbox.server import Sandbox
from apimart_cli.words import Scope
from support.places import ROOT
from support.running import KEY, Serve


def test_a_balance_is_fetched(sandbox: Sandbox) -> None:
    """The key's, by default; amounts are Decimals, and what the gateway said cannot be changed."""
    balance = fetch_balance(KEY, base_url=sandbox.url)
    assert isinstance(balance, Balance)
    assert (balance.scope, balance.remain_balance, balance.used_balance) == ("key", Decimal("10.5"), Decimal("2.3"))
    assert (balance.unlimited_quota, balance.remain_credits, balance.used_credits) == (False, 105, 23)
    assert isinstance(balance.remain_balance, Decimal)
    assert fetch_balance(KEY, base_url=f"{sandbox.url}/v1/", scope="account").remain_balance == 100
    with pytest.raises(AttributeError):
        balance.remain_balance = Decimal(1000)  # type: ignore[misc]  # on purpose


def test_an_unlimited_balance_has_no_amount(serve: Serve) -> None:
    """None, and not the gateway's -1."""
    balance = fetch_balance(KEY, base_url=serve(key=Funds(None, Decimal(2))).url)
    assert (balance.remain_balance, balance.unlimited_quota) == (None, True)


@pytest.mark.parametrize(
    ("fault", "kind", "code"),
    [
        (Fault.UNAUTHORIZED, AuthError, ExitCode.AUTH),
        (Fault.PAYMENT_REQUIRED, PaymentRequiredError, ExitCode.BELOW),
        (Fault.SERVER_ERROR, UnavailableError, ExitCode.UNAVAILABLE),
        (Fault.TIMEOUT, UnavailableError, ExitCode.UNAVAILABLE),
        (Fault.HTML, BadResponseError, ExitCode.BAD_RESPONSE),
    ],
)
def test_every_failure_is_an_error_to_catch(
    serve: Serve, fault: Fault, kind: type[ApimartError], code: ExitCode
) -> None:
    """By its class, or all of them by their root; with a message, a hint and the exit code of the command line."""
    with pytest.raises(kind) as caught:
        fetch_balance(KEY, base_url=serve(fault=fault).url, timeout=0.5)
    assert isinstance(caught.value, ApimartError)
    assert (caught.value.exit_code, bool(caught.value.message), bool(caught.value.hint)) == (code, True, True)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("api_key", None, "api_key: must be a string, not NoneType"),
        ("api_key", KEY.encode(), "api_key: must be a string, not bytes"),
        ("scope", ["key"], "scope: must be a string, not list"),
        ("scope", "both", "scope: must be one of key, account, spendable"),
        ("base_url", None, "base_url: must be a string, not NoneType"),
        ("base_url", "ftp://gateway.example", "base_url: the base URL must start with https://"),
        ("timeout", "10", "timeout: must be a number, not str"),
        ("timeout", True, "timeout: must be a number, not bool"),
        ("timeout", Decimal(10), "timeout: must be a number, not Decimal"),
        ("timeout", 0, "timeout: the time limit must be more than 0 and at most 3600 seconds"),
        ("timeout", 10**400, "timeout: the time limit must be more than 0 and at most 3600 seconds"),
        ("timeout", math.nan, "timeout: the time limit must be more than 0 and at most 3600 seconds"),
    ],
)
def test_a_wrong_argument_is_a_usage_error(name: str, value: object, told: str) -> None:
    """It names the argument, and never its value, which is in no frame: it may be the key, as bytes, or mixed up."""
    arguments: dict[str, Any] = {"api_key": KEY, name: value}
    with pytest.raises(UsageError) as caught:
        fetch_balance(**arguments)
    assert caught.value.message == told
    assert caught.value.hint
    own = [frame for frame, _ in walk_tb(caught.value.__traceback__) if "apimart_cli" in frame.f_globals["__name__"]]
    assert own
    assert KEY not in repr([frame.f_locals for frame in own])


def test_an_empty_key_is_an_error_of_the_key() -> None:
    """Before anything is sent."""
    with pytest.raises(AuthError):
        fetch_balance("")


def test_only_the_key_is_positional() -> None:
    """The rest is named, so that a later parameter breaks no program; the defaults are the documented ones."""
    key, *rest = inspect.signature(fetch_balance).parameters.values()
    assert key.name == "api_key"
    assert {each.kind for each in rest} == {inspect.Parameter.KEYWORD_ONLY}
    assert {each.name: each.default for each in rest} == {
        "scope": "key",
        "base_url": "https://api.apimart.ai",
        "timeout": 10.0,
    }


def test_the_public_names_are_these() -> None:
    """All of them are there, and documented where they are defined; another one is told as for any module."""
    assert dir(apimart_cli) == sorted(apimart_cli.__all__)
    assert sorted(apimart_cli.__all__) == sorted([
        "ApimartError", "AuthError", "BadResponseError", "Balance", "Booked", "ConfigError", "ExitCode",
        "NoAccountError", "NoBooksError", "OutputError", "PaymentRequiredError", "Scope", "UnavailableError", "Usage",
        "UsageError", "__version__", "fetch_balance", "fetch_usage",
    ])  # fmt: skip
    for name in apimart_cli.__all__:
        value = getattr(apimart_cli, name)
        assert name == "__version__" or inspect.getdoc(value)
    with pytest.raises(AttributeError, match=r"^module 'apimart_cli' has no attribute 'balanse'$"):
        getattr(apimart_cli, "balanse")  # noqa: B009  # the attribute is the subject
    assert not hasattr(apimart_cli, "Target")


def test_every_error_is_a_public_name() -> None:
    """What docs and docstrings name can be imported and caught."""
    errors = {
        name: value
        for name, value in vars(errors_module).items()
        if isinstance(value, type) and issubclass(value, ApimartError)
    }
    assert {name: getattr(apimart_cli, name) for name in errors} == errors
    assert errors.keys() <= set(apimart_cli.__all__)
    assert apimart_cli.Scope is Scope


def test_the_version_is_in_one_place() -> None:
    """The installed package, the module and the project file agree."""
    assert importlib.metadata.version("apimart-cli") == apimart_cli.__version__
    with open(ROOT / "pyproject.toml", "rb") as file:
        project = tomllib.load(file)
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"]["path"] == "apimart_cli/version.py"


def loaded_by(*steps: str, environment: Mapping[str, str]) -> list[set[str]]:
    """Return what a new interpreter has loaded after each step, beyond what it loads by itself."""
    code = "\n".join(f"{step}\nprint(*(set(sys.modules) - before), file=told)" for step in steps)
    ended = subprocess.run(
        [sys.executable, "-c", f"import sys\nbefore, told = set(sys.modules), sys.stderr\n{code}"],
        env=environment,
        capture_output=True,
        encoding="ascii",
        timeout=30,
        check=True,
    )
    return [set(line.split()) for line in ended.stderr.splitlines()]


HEAVY = {"requests", "urllib3", "typer", "click", "rich", "tomllib", "json", "ssl", "http", "decimal", "platformdirs"}


def test_a_name_loads_what_it_needs_and_no_more(environment: Mapping[str, str]) -> None:
    """The package nothing; errors and values no HTTP library; asking no command line."""
    package, errors, balance, fetch = loaded_by(
        "import apimart_cli",
        "from apimart_cli import ApimartError, ExitCode",
        "from apimart_cli import Balance",
        "from apimart_cli import fetch_balance",
        environment=environment,
    )
    assert {name for name in package if name.startswith("apimart_cli")} == {"apimart_cli"}
    assert not package & HEAVY
    assert not errors & {"requests", "typer", "rich", "json"}
    assert not balance & {"requests", "typer", "rich", "ssl"}
    assert not fetch & {"typer", "rich", "tomllib", "platformdirs"}


def test_a_mistake_loads_neither_the_http_library_nor_rich(environment: Mapping[str, str]) -> None:
    """A missing key and a threshold that is none are told without them; what commands load: `test_imports.py`."""
    [loaded] = loaded_by(
        "import os\nfrom apimart_cli.cli import main\nsys.stderr = open(os.devnull, 'w')\n"
        "assert main(['balance']) == 4\nassert main(['check', '--min', 'x']) == 2",
        environment=environment,
    )
    assert not loaded & {"requests", "rich"}
