"""How much balance an APIMart API key has left, and what was spent with it.

The public Python API, in a few names. They are imported when they are first used: `import apimart_cli` alone loads
nothing but this file, so that the command line starts fast.

    >>> from apimart_cli import fetch_balance
    >>> fetch_balance("sk-...").remain_balance
    Decimal('10.5')
"""

TYPE_CHECKING = False  # not imported: `python -m` would load `typing` from the current folder, if there is one
if TYPE_CHECKING:
    from apimart_cli.api import fetch_balance, fetch_usage
    from apimart_cli.errors import (
        ApimartError,
        AuthError,
        BadResponseError,
        ConfigError,
        ExitCode,
        NoAccountError,
        NoBooksError,
        OutputError,
        PaymentRequiredError,
        UnavailableError,
        UsageError,
    )
    from apimart_cli.rules.balance import Balance
    from apimart_cli.rules.books import Booked, Usage
    from apimart_cli.version import __version__
    from apimart_cli.words import Scope


__all__ = [
    "ApimartError",
    "AuthError",
    "BadResponseError",
    "Balance",
    "Booked",
    "ConfigError",
    "ExitCode",
    "NoAccountError",
    "NoBooksError",
    "OutputError",
    "PaymentRequiredError",
    "Scope",
    "UnavailableError",
    "Usage",
    "UsageError",
    "__version__",
    "fetch_balance",
    "fetch_usage",
]

_HOMES = {
    "Balance": "apimart_cli.rules.balance",
    "Booked": "apimart_cli.rules.books",
    "Scope": "apimart_cli.words",
    "__version__": "apimart_cli.version",
    "Usage": "apimart_cli.rules.books",
    "fetch_balance": "apimart_cli.api",
    "fetch_usage": "apimart_cli.api",
}
"""Where a name is that is not among the errors."""

# A type checker would take every name for one of the module, a misspelt one too, if it saw this.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(_HOMES.get(name, "apimart_cli.errors")), name)


def __dir__() -> list[str]:
    return __all__
