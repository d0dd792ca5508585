"""Connecting to a name with several addresses: the next one is tried while an earlier one is silent (RFC 8305).

urllib3 gives the whole time limit to the first address (urllib3#797). The libraries that race addresses need an event
loop (asyncio, aiohappyeyeballs, anyio), whose import takes 15 ms, at every start; so it is done here.
"""

import os
import selectors
import socket
import time
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import zip_longest
from typing import Any

import urllib3

NEXT_AFTER = 0.25
"""Seconds for which an address may be silent before the next one is tried beside it, as RFC 8305 recommends."""

Found = tuple[Any, ...]
"""An address as `getaddrinfo` returns it."""


def look_up(host: str, port: int) -> list[Found]:
    """Return the addresses of a name. Raises gaierror, or LocationParseError for what cannot be a name."""
    try:
        host.encode("idna")
    except UnicodeError:
        raise urllib3.exceptions.LocationParseError("a label of it is empty or too long") from None
    family = urllib3.util.connection.allowed_gai_family()
    return list(dict.fromkeys(socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)))


def connect_to_first(found: Sequence[Found], seconds: float, options: Iterable[Any] | None = None) -> socket.socket:
    """Return a connection to the first of these addresses that takes one; nothing was sent on it, nor on any other.

    Raises TimeoutError when none does within `seconds`, and the last failure, an OSError, when all have failed.
    """
    give_up_at = time.monotonic() + seconds
    waiting = deque(_in_turns(found))
    failure: OSError = socket.gaierror(socket.EAI_NONAME, "no address")
    next_at = 0.0
    with selectors.DefaultSelector() as selector:
        try:
            while waiting or selector.get_map():
                now = time.monotonic()
                if now >= give_up_at:
                    raise TimeoutError("no address took a connection in time")
                if waiting and (now >= next_at or not selector.get_map()):
                    try:
                        selector.register(_begin(waiting.popleft(), options), selectors.EVENT_WRITE)
                    except OSError as error:
                        failure = error
                        continue
                    next_at = now + NEXT_AFTER
                until = min(give_up_at, next_at) if waiting else give_up_at
                for ready, _ in selector.select(max(0.0, until - now)):
                    connection = ready.fileobj
                    assert isinstance(connection, socket.socket)
                    selector.unregister(connection)
                    code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if code == 0:
                        connection.settimeout(max(0.001, give_up_at - time.monotonic()))
                        return connection
                    connection.close()
                    failure, next_at = OSError(code, os.strerror(code)), 0.0
        finally:
            for key in selector.get_map().values():
                assert isinstance(key.fileobj, socket.socket)
                key.fileobj.close()
    raise failure


def _in_turns(found: Sequence[Found]) -> Iterable[Found]:
    """Yield the addresses in their order, but of the two families in turns: often all of one are dead."""
    first = [each for each in found if each[0] == found[0][0]]
    others = [each for each in found if each[0] != found[0][0]]
    return (each for pair in zip_longest(first, others) for each in pair if each is not None)


def _begin(found: Found, options: Iterable[Any] | None) -> socket.socket:
    """Begin to connect to an address. Raises OSError where that is impossible at once."""
    family, kind, protocol, _, address = found
    connection = socket.socket(family, kind, protocol)
    try:
        for option in options or ():
            connection.setsockopt(*option)
        connection.settimeout(0)
        with suppress(BlockingIOError):
            connection.connect(address)
    except BaseException:
        connection.close()
        raise
    return connection


class RacingConnection(urllib3.connection.HTTPConnection):
    """A connection to the address that answers first, of a gateway or of a proxy."""

    def _new_conn(self) -> socket.socket:
        try:
            if socks := getattr(self, "_socks_options", None):
                self._socks_options = self._with_address(socks)
                return super()._new_conn()
            return connect_to_first(self._addresses(), self._seconds(), self.socket_options)
        except socket.gaierror as error:
            raise urllib3.exceptions.NameResolutionError(self.host, self, error) from error
        except TimeoutError as error:
            raise urllib3.exceptions.ConnectTimeoutError(self, "no connection in time") from error
        except OSError as error:
            raise urllib3.exceptions.NewConnectionError(self, f"no connection: {error}") from error

    def _addresses(self) -> list[Found]:
        assert self.port is not None, "urllib3 knows the usual ports"
        return look_up(self._dns_host.strip("[]"), self.port)

    def _seconds(self) -> float:
        assert isinstance(self.timeout, (int, float)), "every question has a time limit"
        return self.timeout

    def _with_address(self, socks: dict[str, Any]) -> dict[str, Any]:
        """Return the settings of a SOCKS proxy with the address that answers first in the place of its name.

        PySocks makes its own connections, and tries one address after the other.
        """
        found = look_up(str(socks["proxy_host"]).strip("[]"), int(socks["proxy_port"]))
        if len(found) == 1:
            return socks
        with connect_to_first(found, self._seconds()) as connection:
            return {**socks, "proxy_host": connection.getpeername()[0]}
