"""Loaded by every Python process the tests start, because this folder is on their PYTHONPATH: loopback, or nothing."""

import sys
from typing import Any

LOOPBACK_NAMES = {"localhost", "127.0.0.1", "::1", "", None}


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


sys.addaudithook(refuse_other_hosts)
