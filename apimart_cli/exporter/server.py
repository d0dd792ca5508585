"""The server: a page from memory, to many clients, none of which can cost much, whatever it does or does not do.

Each connection is for one question and ends with its answer.
"""

import contextlib
import errno
import socket
import threading
import time
from collections.abc import Sequence
from functools import partial
from socketserver import TCPServer, ThreadingMixIn
from typing import Any

from apimart_cli.errors import UsageError, no_thread
from apimart_cli.exporter.access import Address
from apimart_cli.exporter.handler import LONGEST_CONNECTION, Handler, Served
from apimart_cli.processes.signals import start_thread

MOST_CONNECTIONS = 128
"""Most connections at once. When one more comes, the oldest is cut off."""

MOST_THREADS = 256
"""Most threads for connections, with those that were cut off and have not ended. One more connection is closed."""

BUFFERED = 64 * 1024
"""Bytes that the system may buffer for each direction of a connection. They count for the limit of a container.

The system doubles this for its own bookkeeping. Without this setting it would buffer up to 6 MB.
"""

LOOK_EVERY = 0.5
"""Seconds between two searches for connections that last too long."""

QUEUE = 128
"""Connections that may wait to be accepted."""

ENDING_SECONDS = 2.0
"""Most seconds to wait at the end for answers on their way."""

_NO_SUCH_FAMILY = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT})
"""Errors of a system without IPv6, or without IPv4."""

_TRIES = 20
"""How many times to look for a port that is free in both families."""


class Connections:
    """The connections of all servers of an exporter, which share the limits."""

    def __init__(self) -> None:
        self.guard = threading.Lock()
        self.open: dict[socket.socket, float] = {}
        self.alive = 0
        """Threads of connections, with those that were cut off and have not ended."""

    def wait(self) -> None:
        """Wait for answers on their way."""
        give_up_at = time.monotonic() + ENDING_SECONDS
        while self.open and time.monotonic() < give_up_at:
            time.sleep(0.01)


class Server(ThreadingMixIn, TCPServer):
    """Listens at one address as soon as it is made; after `start` it answers."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = QUEUE

    def __init__(self, address: Address, shown: Served, connections: Connections) -> None:
        """Raises OSError if it cannot listen there."""
        self.address_family = socket.AF_INET6 if address.is_ipv6 else socket.AF_INET
        self._connections = connections
        super().__init__((address.host, address.port), partial(Handler, shown=shown))
        self.address = Address(address.host, self.socket.getsockname()[1])
        """Where it listens, with the port that was found."""

    def server_bind(self) -> None:
        """Bind. An address of IPv6 does not mean IPv4, too, whatever the system's setting is."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        # Connections inherit these.
        for buffer in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            self.socket.setsockopt(socket.SOL_SOCKET, buffer, BUFFERED)
        super().server_bind()

    def start(self) -> None:
        """Answer in the background. Raises UsageError where the system starts no thread."""
        if start_thread(self._serve, "server") is None:
            raise no_thread("nothing can be served")

    def stop(self) -> None:
        """Accept no more."""
        self._is_closing = True
        self.shutdown()
        self.server_close()

    _is_closing = False

    def _serve(self) -> None:
        # It goes on after a failure of the system, which may be short of descriptors for a moment.
        while not self._is_closing:
            with contextlib.suppress(OSError):
                self.serve_forever(poll_interval=LOOK_EVERY)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection. If the system fails, pause: the next try comes at once."""
        try:
            return super().get_request()
        except OSError:
            time.sleep(0.05)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Let a thread answer. If there are too many connections, cut off the oldest."""
        kept = self._connections
        with kept.guard:
            is_full = kept.alive >= MOST_THREADS
            if not is_full and len(kept.open) >= MOST_CONNECTIONS:
                # Removed, or the next connection would find the same one to be the oldest, and cut off none.
                oldest = min(kept.open, key=kept.open.__getitem__)
                del kept.open[oldest]
                _cut(oldest)
            if not is_full:
                kept.open[request] = time.monotonic()
                kept.alive += 1
        if is_full:
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:
            self._ended()
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer. This runs in the thread of the connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._ended()

    def _ended(self) -> None:
        with self._connections.guard:
            self._connections.alive -= 1

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        with self._connections.guard:
            self._connections.open.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Cut off connections that last too long: clients that never ask, never read, or do so a byte at a time."""
        oldest = time.monotonic() - LONGEST_CONNECTION
        with self._connections.guard:
            for request, since in self._connections.open.items():
                if since < oldest:
                    _cut(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing about clients that go away."""


class Servers:
    """The servers of all addresses, with the same pages and the same limits."""

    def __init__(self, places: Sequence[Sequence[Address]], shown: Served) -> None:
        """Listen at each place: one address, or one of each family. The system may lack one of the families.

        Raises UsageError if it cannot listen.
        """
        self._shown = shown
        self._connections = Connections()
        self._servers: list[Server] = []
        try:
            for place in dict.fromkeys(map(tuple, places)):
                self._servers += self._listening(place)
        except BaseException:
            for each in self._servers:
                each.server_close()
            raise

    @property
    def addresses(self) -> list[Address]:
        """Where they listen, with the ports that were found."""
        return [each.address for each in self._servers]

    def start(self) -> None:
        """Answer in the background. Raises UsageError where the system starts no thread."""
        for each in self._servers:
            each.start()

    def finish(self) -> None:
        """Accept no more, and wait for answers on their way."""
        for each in self._servers:
            each.stop()
        self._connections.wait()

    def _listening(self, place: Sequence[Address]) -> list[Server]:
        for tries_left in reversed(range(_TRIES)):
            found = list[Server]()
            missing: tuple[Address, OSError] | None = None
            for address in place:
                # The free port of the first address is used for the other family, too.
                port = found[0].address.port if found else address.port
                try:
                    found.append(Server(address._replace(port=port), self._shown, self._connections))
                except OSError as error:
                    if len(place) > 1 and error.errno in _NO_SUCH_FAMILY:
                        missing = address, error
                        continue
                    for each in found:
                        each.server_close()
                    if found and not address.port and tries_left:
                        break
                    raise _not_listening(address, error) from None
            else:
                if not found and missing is not None:
                    raise _not_listening(*missing)
                return found
        raise AssertionError("the last try returns or raises")


def _not_listening(address: Address, error: OSError) -> UsageError:
    reason = (error.strerror or "unknown reason").lower()
    return UsageError(f"--listen: cannot listen on {address}: {reason}", "choose another port or address")


def _cut(connection: socket.socket) -> None:
    """End a connection that another thread is using. That thread finds it closed."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
