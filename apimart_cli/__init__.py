"""How much balance an APIMart API key has left.

The public Python API, in a few names. They are imported when they are first used: `import apimart_cli` alone loads
nothing but this file, so that the command line starts fast.

    >>> from apimart_cli import fetch_balance
    >>> fetch_balance("sk-...").remain_balance
    Decimal('10.5')
"""

from apimart_cli.version import __version__

TYPE_CHECKING = False  # not imported: `python -m` would load `typing` from the current folder, if there is one
if TYPE_CHECKING:
    from apimart_cli.api import fetch_balance
    from apimart_cli.balance import Balance
    from apimart_cli.errors import ApimartError, ExitCode


__all__ = ["ApimartError", "Balance", "ExitCode", "__version__", "fetch_balance"]

_HOMES = {
    "ApimartError": "apimart_cli.errors",
    "Balance": "apimart_cli.balance",
    "ExitCode": "apimart_cli.errors",
    "fetch_balance": "apimart_cli.api",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
