"""One connection: its question is read, up to a limit, checked, and answered."""

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
"""Most bytes of a question, its first line and its headers. A longer one is refused."""

LINGERING_SECONDS = 1.0
"""Most seconds in which the rest of a refused question is read and dropped, so that the refusal reaches the client."""

LONGEST_CONNECTION = 20.0
"""Most seconds that a connection lasts."""

_TEXT = "text/plain; charset=utf-8"


class Served(NamedTuple):
    """What a server serves, and to whom. Used in any thread."""

    pages: Pages
    """The metrics. If they raise an exception, the answer is HTTP 500."""
    is_ready: Callable[[], bool]
    access: Callable[[], Access]
    hosts: Hosts
    """The names that it answers to."""
    host_refused: Callable[[], None]
    """Called after a question for another host was refused."""


class Handler(BaseHTTPRequestHandler):
    """One connection: one question, one answer."""

    protocol_version = "HTTP/1.1"
    timeout = LONGEST_CONNECTION
    error_message_format = "%(message)s\n"
    error_content_type = _TEXT

    def __init__(self, request: Any, client_address: Any, server: BaseServer, shown: Served) -> None:
        """Answer the question on the connection `request`."""
        self._shown = shown
        super().__init__(request, client_address, server)

    def setup(self) -> None:
        """Start TLS, if there is a certificate."""
        tls = self._shown.access().tls
        if tls is not None:
            self.request.settimeout(self.timeout)
            # On a copy of the descriptor: the server keeps the connection itself, to cut it off.
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
        """Return the question up to the end of its headers; None if that is too long.

        The library would read a hundred lines of 64 KiB each, before the token is checked.
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
        """Read the question; False if it was refused, as it is if it is meant for another host."""
        return super().parse_request() and self._is_for_us()

    def handle_expect_100(self) -> bool:
        """Do not ask for the body, as it is not read."""
        return True

    def _is_for_us(self) -> bool:
        """Tell whether a question is for a name or address of ours. If not, refuse it."""
        hosts = self.headers.get_all("Host", [])
        # Simple probes send HTTP/1.0 without a host. No browser does.
        if not hosts and self.request_version == "HTTP/1.0" and self.path.startswith("/"):
            return True
        host = parse_host(hosts[0].strip()) if len(hosts) == 1 else None
        # If the question has a whole URL, that names the host (RFC 9112, 3.2.2).
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
        """Return the host of the URL that is asked for, and leave its path in `path`; None if it is not such a URL."""
        scheme, _, rest = self.path.partition("://")
        if scheme.lower() not in {"http", "https"}:
            return None
        host, slash, path = rest.partition("/")
        self.path = slash + path
        return parse_host(host)

    def finish(self) -> None:
        """Send the rest of the answer, and end TLS properly."""
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
        """Read what a refused client still sends: with unread bytes left, the system would take back the answer."""
        self.request.shutdown(socket.SHUT_WR)
        ends_at = time.monotonic() + LINGERING_SECONDS
        while (left := ends_at - time.monotonic()) > 0:
            self.request.settimeout(left)
            if not self.request.recv(4096):
                return

    _is_refused = False

    def do_GET(self) -> None:  # the library's name for it
        """Answer a question, from memory alone."""
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
        except Exception as error:  # noqa: BLE001  # Prometheus shows a failed scrape as `up` 0; a gap in a page is not seen
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
        """Refuse a question in our words: those of the library repeat the question."""
        self._send(405 if code == 501 else code, b"this is no question that is answered here\n")

    def version_string(self) -> str:
        """Return the name of the server."""
        return "apimart"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the library's signature
        """Keep no log of questions."""
