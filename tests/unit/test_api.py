"""The Python API: a few names, typed, cheap to import, with one tree of errors."""

import importlib.metadata
import importlib.resources
import inspect
import math
import subprocess
import sys
import tomllib
import typing
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
    """The key's, by default; amounts are Decimals."""
    balance = fetch_balance(KEY, base_url=sandbox.url)
    assert isinstance(balance, Balance)
    assert (balance.scope, balance.remain_balance, balance.used_balance) == ("key", Decimal("10.5"), Decimal("2.3"))
    assert (balance.unlimited_quota, balance.remain_credits, balance.used_credits) == (False, 105, 23)
    assert isinstance(balance.remain_balance, Decimal)
    assert fetch_balance(KEY, base_url=f"{sandbox.url}/v1/", scope="account").remain_balance == 100


def test_an_unlimited_balance_has_no_amount(serve: Serve) -> None:
    """None, and not the gateway's -1."""
    balance = fetch_balance(KEY, base_url=serve(key=Funds(None, Decimal(2))).url)
    assert (balance.remain_balance, balance.unlimited_quota) == (None, True)


@pytest.mark.parametrize(("fault", "kind", "code"), [
    (Fault.UNAUTHORIZED, AuthError, ExitCode.AUTH), (Fault.UNKNOWN_KEY, AuthError, ExitCode.AUTH),
    (Fault.PAYMENT_REQUIRED, PaymentRequiredError, ExitCode.BELOW),
    (Fault.SERVER_ERROR, UnavailableError, ExitCode.UNAVAILABLE),
    (Fault.TIMEOUT, UnavailableError, ExitCode.UNAVAILABLE),
    (Fault.MALFORMED, BadResponseError, ExitCode.BAD_RESPONSE),
    (Fault.HTML, BadResponseError, ExitCode.BAD_RESPONSE),
])  # fmt: skip
def test_every_failure_is_an_error_to_catch(
    serve: Serve, fault: Fault, kind: type[ApimartError], code: ExitCode
) -> None:
    """By its class, or all of them by their root; with a message, a hint and the exit code of the command line."""
    with pytest.raises(kind) as caught:
        fetch_balance(KEY, base_url=serve(fault=fault).url, timeout=0.5)
    assert isinstance(caught.value, ApimartError)
    assert (caught.value.exit_code, bool(caught.value.message), bool(caught.value.hint)) == (code, True, True)


def test_mistakes_are_errors_too() -> None:
    """Before anything is sent."""
    for arguments in ({"scope": "both"}, {"timeout": 0}, {"base_url": "http://gateway.example"}):
        with pytest.raises(UsageError):
            fetch_balance(KEY, **arguments)  # type: ignore[arg-type]  # mistakes on purpose
    with pytest.raises(AuthError):
        fetch_balance("")


@pytest.mark.parametrize(("name", "value", "told"), [
    ("api_key", None, "api_key: must be a string, not NoneType"),
    ("api_key", KEY.encode(), "api_key: must be a string, not bytes"),
    ("api_key", 5, "api_key: must be a string, not int"),
    ("scope", None, "scope: must be a string, not NoneType"),
    ("scope", ["key"], "scope: must be a string, not list"),
    ("scope", "both", "scope: must be one of key, account, spendable"),
    ("scope", "", "scope: must be one of key, account, spendable"),
    ("base_url", None, "base_url: must be a string, not NoneType"),
    ("base_url", b"https://gateway.example", "base_url: must be a string, not bytes"),
    ("timeout", None, "timeout: must be a number, not NoneType"),
    ("timeout", "10", "timeout: must be a number, not str"),
    ("timeout", True, "timeout: must be a number, not bool"),
    ("timeout", Decimal(10), "timeout: must be a number, not Decimal"),
    ("timeout", 10**400, "timeout: the time limit must be more than 0 and at most 3600 seconds"),
    ("timeout", math.nan, "timeout: the time limit must be more than 0 and at most 3600 seconds"),
])  # fmt: skip
def test_an_argument_of_another_type_is_a_usage_error(name: str, value: object, told: str) -> None:
    """It names the argument, and never its value: who mixes up two arguments may have put the key there."""
    arguments: dict[str, Any] = {"api_key": KEY, name: value}
    with pytest.raises(UsageError) as caught:
        fetch_balance(**arguments)
    assert caught.value.message == told
    assert caught.value.hint


def test_a_refused_argument_is_in_no_frame() -> None:
    """Reporters of exceptions show what every frame holds, and a key as bytes is a key."""
    with pytest.raises(UsageError) as caught:
        fetch_balance(KEY.encode())  # type: ignore[arg-type]  # a mistake on purpose
    own = [frame for frame, _ in walk_tb(caught.value.__traceback__) if "apimart_cli" in frame.f_globals["__name__"]]
    assert own
    assert KEY not in repr([frame.f_locals for frame in own])


def test_only_the_key_is_positional() -> None:
    """The rest is named, so that a later parameter breaks nobody; the defaults are the documented ones."""
    parameters = inspect.signature(fetch_balance).parameters
    assert [name for name, parameter in parameters.items() if parameter.kind is parameter.KEYWORD_ONLY] == [
        "scope",
        "base_url",
        "timeout",
    ]
    defaults = {name: parameter.default for name, parameter in parameters.items()}
    del defaults["api_key"]
    assert defaults == {"scope": "key", "base_url": "https://api.apimart.ai", "timeout": 10.0}


def test_a_balance_cannot_be_changed(sandbox: Sandbox) -> None:
    """What the gateway said stays what it said."""
    balance = fetch_balance(KEY, base_url=sandbox.url)
    with pytest.raises(AttributeError):
        balance.remain_balance = Decimal(1000)  # type: ignore[misc]  # on purpose


def test_the_public_names_are_these() -> None:
    """All of them are there, and are documented where they are defined."""
    assert dir(apimart_cli) == sorted(apimart_cli.__all__)
    assert sorted(apimart_cli.__all__) == sorted([
        "ApimartError", "AuthError", "BadResponseError", "Balance", "Booked", "ConfigError", "ExitCode",
        "NoAccountError", "NoBooksError", "OutputError", "PaymentRequiredError", "Scope", "UnavailableError", "Usage",
        "UsageError", "__version__", "fetch_balance", "fetch_usage",
    ])  # fmt: skip
    for name in apimart_cli.__all__:
        value = getattr(apimart_cli, name)
        assert name == "__version__" or inspect.getdoc(value)


def test_a_name_that_is_not_there_is_told() -> None:
    """As for any module."""
    with pytest.raises(AttributeError, match=r"^module 'apimart_cli' has no attribute 'balanse'$"):
        getattr(apimart_cli, "balanse")  # noqa: B009  # the attribute is the subject
    assert not hasattr(apimart_cli, "Target")


def test_every_error_is_a_public_name() -> None:
    """All of the tree: what docs and docstrings name can be imported and caught."""
    errors = {
        name
        for name, value in vars(errors_module).items()
        if isinstance(value, type) and issubclass(value, ApimartError)
    }
    assert errors <= set(apimart_cli.__all__)
    assert all(getattr(apimart_cli, name) is getattr(errors_module, name) for name in errors)
    assert apimart_cli.Scope is Scope


def test_the_version_is_in_one_place() -> None:
    """The installed package, the module and the project file agree."""
    assert importlib.metadata.version("apimart-cli") == apimart_cli.__version__
    with open(ROOT / "pyproject.toml", "rb") as file:
        project = tomllib.load(file)
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"]["path"] == "apimart_cli/version.py"


def test_the_package_says_that_it_is_typed() -> None:
    """Type checkers look for the marker, and find annotations on what is public."""
    assert importlib.resources.files("apimart_cli").joinpath("py.typed").is_file()
    hints = typing.get_type_hints(fetch_balance)
    assert hints["return"] is Balance
    assert set(hints) == {"api_key", "scope", "base_url", "timeout", "return"}
    assert typing.get_args(hints["scope"]) == tuple(Scope)


def _modules_after(code: str, environment: Mapping[str, str]) -> set[str]:
    ended = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"], env=environment, capture_output=True,
        encoding="ascii", timeout=30, check=True,
    )  # fmt: skip
    return set(ended.stdout.split())


HEAVY = {"requests", "urllib3", "typer", "click", "rich", "tomllib", "json", "ssl", "http", "decimal", "platformdirs"}


def test_importing_the_package_is_cheap(environment: Mapping[str, str]) -> None:
    """It loads nothing of what the names in it need."""
    loaded = _modules_after("import apimart_cli", environment) - _modules_after("", environment)
    assert "apimart_cli" in loaded
    assert not loaded & HEAVY
    assert [name for name in loaded if name.startswith("apimart_cli.")] == []


@pytest.mark.parametrize(("names", "spared"), [
    ("ApimartError, ExitCode", {"requests", "typer", "rich", "json"}),
    ("Balance", {"requests", "typer", "rich", "ssl"}),
    ("fetch_balance", {"typer", "rich", "tomllib", "platformdirs"}),
])  # fmt: skip
def test_a_name_loads_what_it_needs_and_no_more(environment: Mapping[str, str], names: str, spared: set[str]) -> None:
    """Errors and values need no HTTP library; asking needs no command line."""
    loaded = _modules_after(f"from apimart_cli import {names}", environment)
    assert not loaded & spared


@pytest.mark.parametrize(("arguments", "spared"), [
    (["--version"], {"requests", "rich", "tomllib", "platformdirs"}),
    (["config", "path"], {"requests", "rich"}), (["balance"], {"requests", "rich"}),
    (["check", "--min", "x"], {"requests", "rich"}),
])  # fmt: skip
def test_no_command_pays_for_another(environment: Mapping[str, str], arguments: list[str], spared: set[str]) -> None:
    """What a command does not need, it does not load: the HTTP library only to ask, Rich only for a table."""
    loaded = _modules_after(
        f"import contextlib, io\nfrom apimart_cli.cli import main\n"
        f"with contextlib.redirect_stdout(io.StringIO()):\n    main({arguments!r})",
        environment,
    )
    assert not loaded & spared
