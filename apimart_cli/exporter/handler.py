"""One connection: its question is read as far as it may be long, looked at, and answered."""

import contextlib
import io
import socket
import ssl
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from socketserver import BaseServer
from typing import Any, NamedTuple

from apimart_cli.exporter.access import Access, Hosts, parse_host
from apimart_cli.exporter.page import CONTENT_TYPE, Pages

LONGEST_HEAD = 16 * 1024
"""Most bytes of a question that are read: its first line and its headers. A longer one is refused."""

LINGERING_SECONDS = 1.0
"""Most seconds that what a refused client still sends is read and thrown away, so that the refusal reaches it."""

LONGEST_CONNECTION = 20.0
"""Most seconds that a connection lasts, whatever it is doing."""

_TEXT = "text/plain; charset=utf-8"


class Served(NamedTuple):
    """What a server shows, in any thread."""

    pages: Pages
    """The metrics; an exception is HTTP 500."""
    is_ready: Callable[[], bool]
    access: Callable[[], Access]
    hosts: Hosts
    """The names that it answers to."""
    host_refused: Callable[[], None]
    """Called when a question was meant for another host."""


class Handler(BaseHTTPRequestHandler):
    """One connection: one question, one answer."""

    protocol_version = "HTTP/1.1"
    timeout = LONGEST_CONNECTION
    error_message_format = "%(message)s\n"
    error_content_type = _TEXT

    def __init__(self, request: Any, client_address: Any, server: BaseServer, shown: Served) -> None:
        """Answer the question that comes on the connection `request`."""
        self._shown = shown
        super().__init__(request, client_address, server)

    def setup(self) -> None:
        """Make the connection safe, where it is to be."""
        tls = self._shown.access().tls
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
        head = self._read_head()
        if head is None:
            self.command, self.requestline, self.request_version = "", "", self.protocol_version
            self._send(431, f"a question may have {LONGEST_HEAD} bytes of headers\n".encode())
            return
        with self.rfile:
            self.rfile = io.BytesIO(head)
            self.handle_one_request()

    def _read_head(self) -> bytes | None:
        """Return the question up to the end of its headers; None where that is too long.

        The library would read a hundred lines of 64 KiB each, before it is known who asks.
        """
        head = bytearray()
        while line := self.rfile.readline(LONGEST_HEAD + 1 - len(head)):
            head += line
            if len(head) > LONGEST_HEAD:
                return None
            if line in {b"\r\n", b"\n"}:
                break
        return bytes(head)

    def parse_request(self) -> bool:
        """Read the question; False where it was refused, one that is meant for another host included."""
        return super().parse_request() and self._is_for_us()

    def handle_expect_100(self) -> bool:
        """Ask for no body: none is read."""
        return True

    def _is_for_us(self) -> bool:
        """Tell whether a question is for a name or address of ours, and refuse it where it is not."""
        hosts = self.headers.get_all("Host", [])
        # No browser sends HTTP/1.0 or leaves out the host; simple probes do.
        if not hosts and self.request_version == "HTTP/1.0" and self.path.startswith("/"):
            return True
        host = parse_host(hosts[0].strip()) if len(hosts) == 1 else None
        # A whole URL says itself what it is for (RFC 9112, 3.2.2).
        if host is not None and not self.path.startswith("/"):
            host = self._split_url()
        if host is None:
            self._send(400, b"a question needs one Host, and the path of a page\n")
            return False
        if not self._shown.hosts.has(host, self.request.getsockname()[0].partition("%")[0]):
            self._shown.host_refused()
            self._send(421, b"this Host is not answered to: the exporter's option --allowed-host adds one\n")
            return False
        return True

    def _split_url(self) -> str | None:
        """Return the host of a whole URL that is asked for, and leave its path; None where it is no such URL."""
        scheme, _, rest = self.path.partition("://")
        if scheme.lower() not in {"http", "https"}:
            return None
        host, slash, path = rest.partition("/")
        self.path = slash + path
        return parse_host(host)

    def finish(self) -> None:
        """Send what is left, and end TLS as it is to be ended."""
        super().finish()
        if isinstance(self.request, ssl.SSLSocket):
            with contextlib.suppress(OSError, ValueError):
                self.request.settimeout(1.0)
                self.request.unwrap()
        if self._is_refused:
            with contextlib.suppress(OSError):
                self._linger()
        if isinstance(self.request, ssl.SSLSocket):
            self.request.close()

    def _linger(self) -> None:
        """Let a refused client finish: with unread bytes at the end, the system would take back the answer."""
        self.request.shutdown(socket.SHUT_WR)
        ends_at = time.monotonic() + LINGERING_SECONDS
        while (left := ends_at - time.monotonic()) > 0:
            self.request.settimeout(left)
            if not self.request.recv(4096):
                return

    _is_refused = False

    def do_GET(self) -> None:  # the library's name for it
        """Answer a question, from memory."""
        path = self.path.partition("?")[0]
        match path:
            case "/metrics":
                self._metrics()
            case "/-/healthy":
                self._send(200, b"healthy\n")
            case "/-/ready" if self._shown.is_ready():
                self._send(200, b"ready\n")
            case "/-/ready":
                self._send(503, b"not ready: not every key was asked yet\n")
            case _:
                self._send(404, b"there are /metrics, /-/healthy and /-/ready\n")

    do_HEAD = do_GET  # noqa: N815  # the library's name for it

    def _metrics(self) -> None:
        if not self._shown.access().admits(self.headers.get("Authorization")):
            self._send(401, b"a token is needed: Authorization: Bearer ...\n", ("WWW-Authenticate", "Bearer"))
            return
        compressed = "gzip" in self.headers.get("Accept-Encoding", "")
        try:
            page = self._shown.pages.get(compressed=compressed)
        except Exception as error:  # noqa: BLE001  # a scrape that fails is seen by its `up`, a hole in a page is not
            self._send(500, f"a bug in apimart: {type(error).__name__}\n".encode())
            return
        encoding = [("Content-Encoding", "gzip")] if compressed else []
        self._send(200, page, *encoding, content_type=CONTENT_TYPE)

    def _send(self, status: int, body: bytes, *headers: tuple[str, str], content_type: str = _TEXT) -> None:
        self._is_refused = status >= 400
        if self.request_version == "HTTP/0.9":
            self.request_version = "HTTP/1.0"
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
        self._send(405 if code == 501 else code, b"this is no question that is answered here\n")

    def version_string(self) -> str:
        """Return what the server is called."""
        return "apimart"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the library's signature
        """Keep no log of who asks."""
