"""The server: a page from memory, to as many as ask, and nothing that a client does or leaves undone costs for long.

Each connection is good for one question and ends with its answer.
"""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import Any, NamedTuple

from apimart_cli.errors import NO_THREAD_HINT, UsageError
from apimart_cli.exporter.access import Access
from apimart_cli.exporter.address import Address
from apimart_cli.exporter.page import CONTENT_TYPE
from apimart_cli.exporter.pages import Pages
from apimart_cli.processes.signals import held_back

MOST_CONNECTIONS = 128
"""Most connections at once; one more, and the oldest is cut off."""

LONGEST_CONNECTION = 20.0
"""Most seconds that a connection lasts, whatever it is doing."""

LOOK_EVERY = 0.5
"""Seconds between two looks for connections that last too long."""

QUEUE = 128
"""Connections that may wait to be accepted."""

ENDING_SECONDS = 2.0
"""Most seconds that answers on their way may take at the end."""

_TEXT = "text/plain; charset=utf-8"


class Shown(NamedTuple):
    """What a server shows, in any thread."""

    pages: Pages
    """The metrics; an exception is HTTP 500."""
    is_ready: Callable[[], bool]
    access: Callable[[], Access]


class Server(ThreadingMixIn, TCPServer):
    """Listens from the moment it is made; `start` makes it answer."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = QUEUE

    def __init__(self, address: Address, shown: Shown) -> None:
        """Raises UsageError where nobody can listen there."""
        self.address_family = socket.AF_INET6 if address.is_ipv6 else socket.AF_INET
        self.shown = shown
        self._guard = threading.Lock()
        self._open: dict[socket.socket, float] = {}
        try:
            super().__init__((address.host, address.port), _Handler)
        except OSError as error:
            reason = (error.strerror or "unknown reason").lower()
            raise UsageError(
                f"--listen: cannot listen on {address}: {reason}", "choose another port or address"
            ) from None
        self.address = Address(address.host, self.socket.getsockname()[1])
        """Where it listens, the port found out."""

    def server_bind(self) -> None:
        """Bind; an address of IPv6 stands for that alone, whatever the system's setting."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        super().server_bind()

    def start(self) -> None:
        """Answer in the background. Raises UsageError where the system starts no thread."""
        try:
            with held_back():
                threading.Thread(target=self._serve, name="apimart-server", daemon=True).start()
        except RuntimeError:
            raise UsageError("nothing can be served: the system starts no thread", NO_THREAD_HINT) from None

    def finish(self) -> None:
        """Accept no more, and let answers on their way arrive."""
        self._is_closing = True
        self.shutdown()
        self.server_close()
        give_up_at = time.monotonic() + ENDING_SECONDS
        while self._open and time.monotonic() < give_up_at:
            time.sleep(0.01)

    _is_closing = False

    def _serve(self) -> None:
        # After the system has failed for a moment, for want of descriptors say, too.
        while not self._is_closing:
            with contextlib.suppress(OSError):
                self.serve_forever(poll_interval=LOOK_EVERY)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection. Where the system has none to give, do not try again at once, and again."""
        try:
            return super().get_request()
        except OSError:
            time.sleep(0.05)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Have a thread answer; where there are too many, the oldest connection gives way."""
        with self._guard:
            if len(self._open) >= MOST_CONNECTIONS:
                # Not counted any more, or the next one would find the same one the oldest, and cut nobody off.
                oldest = min(self._open, key=self._open.__getitem__)
                del self._open[oldest]
                _cut(oldest)
            self._open[request] = time.monotonic()
        try:
            super().process_request(request, client_address)
        except RuntimeError:
            self.shutdown_request(request)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        with self._guard:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Cut off what lasts too long: clients that never ask, never read, or do so a byte at a time."""
        oldest = time.monotonic() - LONGEST_CONNECTION
        with self._guard:
            for request, since in self._open.items():
                if since < oldest:
                    _cut(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing about clients that go away."""


def _cut(connection: socket.socket) -> None:
    """End a connection that another thread is using: that thread finds it closed."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    """One connection: one question, one answer."""

    server: Server
    protocol_version = "HTTP/1.1"
    timeout = LONGEST_CONNECTION
    error_message_format = "%(message)s\n"
    error_content_type = _TEXT

    def setup(self) -> None:
        """Make the connection safe, where it is to be."""
        tls = self.server.shown.access().tls
        if tls is not None:
            self.request.settimeout(self.timeout)
            # A copy of the descriptor: the server keeps the connection itself, to cut it off.
            self.request = tls.wrap_socket(self.request.dup(), server_side=True, do_handshake_on_connect=False)
            try:
                self.request.do_handshake()
            except BaseException:
                self.request.close()
                raise
        super().setup()

    def handle(self) -> None:
        """Answer one question."""
        self.close_connection = True
        self.handle_one_request()

    def finish(self) -> None:
        """Send what is left, and end TLS as it is to be ended."""
        super().finish()
        if isinstance(self.request, ssl.SSLSocket):
            with contextlib.suppress(OSError, ValueError):
                self.request.settimeout(1.0)
                self.request.unwrap()
            self.request.close()

    def do_GET(self) -> None:  # the library's name for it
        """Answer a question, from memory."""
        path = self.path.partition("?")[0]
        match path:
            case "/metrics":
                self._metrics()
            case "/-/healthy":
                self._send(200, b"healthy\n")
            case "/-/ready" if self.server.shown.is_ready():
                self._send(200, b"ready\n")
            case "/-/ready":
                self._send(503, b"not ready: not every key was asked yet\n")
            case _:
                self._send(404, b"there are /metrics, /-/healthy and /-/ready\n")

    do_HEAD = do_GET  # noqa: N815  # the library's name for it

    def _metrics(self) -> None:
        if not self.server.shown.access().admits(self.headers.get("Authorization")):
            self._send(401, b"a token is needed: Authorization: Bearer ...\n", ("WWW-Authenticate", "Bearer"))
            return
        compressed = "gzip" in self.headers.get("Accept-Encoding", "")
        try:
            page = self.server.shown.pages.get(compressed=compressed)
        except Exception as error:  # noqa: BLE001  # a scrape that fails is seen by its `up`, a hole in a page is not
            self._send(500, f"a bug in apimart: {type(error).__name__}\n".encode())
            return
        encoding = [("Content-Encoding", "gzip")] if compressed else []
        self._send(200, page, *encoding, content_type=CONTENT_TYPE)

    def _send(self, status: int, body: bytes, *headers: tuple[str, str], content_type: str = _TEXT) -> None:
        self.send_response(status)
        for name, value in (
            ("Content-Type", content_type),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            ("Connection", "close"),
            *headers,
        ):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Refuse a question in words of ours: those of the library repeat what was asked."""
        if self.request_version == "HTTP/0.9":
            self.request_version = "HTTP/1.0"
        self._send(405 if code == 501 else code, b"this is no question that is answered here\n")

    def version_string(self) -> str:
        """Return what the server is called."""
        return "apimart"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the library's signature
        """Keep no log of who asks."""
