"""Addresses of this machine that take no connection, and names that mean several of them."""

import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

SILENT, LIVE = "127.0.0.2", "127.0.0.1"
"""Two addresses of this machine, of which a test makes the first one silent."""


@contextmanager
def silent_address(port: int = 0, host: str = SILENT) -> Iterator[int]:
    """Make an address silent: not even a refusal comes back, as on a route to nowhere. Gives its port.

    Its queue is full, and the system drops every further question for a connection.
    """
    if sys.platform != "linux":
        pytest.skip("other systems refuse where a queue is full")
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET))
        listener.bind((host, port))
        listener.listen(0)
        place = listener.getsockname()[:2]
        for _ in range(16):
            filler = stack.enter_context(socket.socket(listener.family))
            filler.settimeout(0.3)
            try:
                filler.connect(place)
            except TimeoutError:
                break
        else:
            pytest.skip("the queue of a listener has no end here")
        yield place[1]


def entry(host: str, port: int) -> Any:
    """Return an address as `getaddrinfo` does."""
    return (socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))


def resolve_to(monkeypatch: pytest.MonkeyPatch, name: str, *hosts: str) -> None:
    """Let a name mean these addresses in this process."""
    real = socket.getaddrinfo

    def look_up(host: Any, port: Any, *arguments: Any, **named: Any) -> Any:
        return [entry(each, port) for each in hosts] if host == name else real(host, port, *arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
