"""Loaded by every Python process the tests start, because this folder is on their PYTHONPATH: loopback, or nothing.

And the ledger has time there.
"""

import os
import sys
from typing import Any

LOOPBACK_NAMES = {"localhost", "127.0.0.1", "::1", "", None}

ALLOWANCES = {
    "apimart_cli.ledger.schema": "ALLOWED_SECONDS",
    "apimart_cli.readings.forecasts": "HELD_UP_SECONDS",
    "apimart_cli.readings.alerting": "LEDGER_SECONDS",
    "apimart_cli.readings.book_memory": "LEDGER_SECONDS",
    "apimart_cli.readings.book_forecasts": "SHOWN_SECONDS",
}
"""Where the quarters of a second stand after which the ledger is given up, and the half for what only books can say."""

PATIENCE = 10.0
"""Seconds that it may take instead: a busy machine needs longer than a quarter of one to write a reading."""

USUAL: dict[str, float] = {}
"""What stands in the modules that have been loaded."""


def refuse_other_hosts(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse what would leave this machine: connections, and look-ups of names, which answer as unknown."""
    if event == "socket.getaddrinfo" and not _is_loopback(arguments[0]):
        from socket import EAI_NONAME, gaierror

        raise gaierror(EAI_NONAME, "Name or service not known")
    if event == "socket.connect" and isinstance(arguments[1], tuple) and not _is_loopback(arguments[1][0]):
        raise PermissionError(1, f"the tests stay on this machine, away from {arguments[1][0]}")


def _is_loopback(host: Any) -> bool:
    host = host.decode() if isinstance(host, bytes) else host
    return host in LOOPBACK_NAMES or host.startswith("127.")


class Patience:
    """Finds the modules of ALLOWANCES as others do, and changes each when it is loaded: others copy from it then."""

    @classmethod
    def find_spec(cls, name: str, path: Any, target: Any = None) -> Any:
        """Return None for every other module."""
        if name not in ALLOWANCES:
            return None
        found = (finder.find_spec(name, path, target) for finder in sys.meta_path if finder is not cls)
        spec: Any = next(filter(None, found))
        load = spec.loader.exec_module

        def load_and_change(module: Any) -> None:
            load(module)
            USUAL[name] = getattr(module, ALLOWANCES[name])
            setattr(module, ALLOWANCES[name], PATIENCE)
            if name == "apimart_cli.readings.forecasts":
                module.record.__kwdefaults__["seconds"] = PATIENCE
            if name == "apimart_cli.readings.book_forecasts":
                module.BookForecasts.__init__.__kwdefaults__["seconds"] = PATIENCE

        spec.loader.exec_module = load_and_change
        return spec


def give_the_ledger_time() -> None:
    """Let the ledger take PATIENCE seconds in this process; the modules of it may not have been loaded yet."""
    sys.meta_path.insert(0, Patience)


def stay_on_loopback() -> None:
    """Refuse every other host from now on, in this process.

    Not where coverage is measured: CPython 3.11 calls the hook inside `sys.settrace`, and a thread that starts
    meanwhile dies of "Cannot install a trace function while another trace function is being installed".
    """
    sys.addaudithook(refuse_other_hosts)


if __name__ == "sitecustomize" and "COVERAGE_PROCESS_START" not in os.environ:
    stay_on_loopback()
# Most processes record nothing. A test of the time allowed names the variable (`usual_patience`).
if os.environ.get("APIMART_RECORD") != "0" and "USUAL_PATIENCE" not in os.environ:
    give_the_ledger_time()
