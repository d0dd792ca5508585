"""The sandbox's server.

It shares no code with `gateway`, so that a mistake in one cannot be cancelled out by the same mistake in the other.
"""

import errno
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any

from apimart_cli.sandbox.answers import Answer, answer
from apimart_cli.sandbox.scenario import Fault, Move, Scenario

API_KEY = "sk-sandbox-0000000000000000"
"""A made-up key. The sandbox takes every well-formed one."""


_HAS_MASKS = hasattr(signal, "pthread_sigmask")

_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
"""Why a connection that has come in cannot be accepted yet."""

_PAUSE = 0.1
"""Seconds before the next try to accept it."""


class NoThreadError(Exception):
    """The system starts no thread."""


class Sandbox(ThreadingHTTPServer):
    """The server, listening on 127.0.0.1 from the moment it is made; `serving()` makes it answer."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, scenario: Scenario, *, port: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        """Listen on `port`, or on a free one. Raises OSError when the port is taken."""
        self.scenario = scenario
        """May be replaced while it serves."""
        self.closing = threading.Event()
        self._clock = clock
        self._started = clock()
        super().__init__(("127.0.0.1", port), _Handler)

    def server_bind(self) -> None:
        """Bind without the library's look-up of a name for 127.0.0.1, which takes seconds where no resolver answers."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.socket.getsockname()[1]

    @property
    def url(self) -> str:
        """The base URL to give to a client."""
        return f"http://127.0.0.1:{self.server_port}"

    def environment(self) -> dict[str, str]:
        """The variables that point apimart here."""
        return {"APIMART_BASE_URL": self.url, "APIMART_API_KEY": API_KEY}

    @contextmanager
    def serving(self) -> Iterator["Sandbox"]:
        """Answer in the background until the block is left; then close every socket. Raises NoThreadError."""
        try:
            self._start_serving()
            try:
                yield self
            finally:
                self.closing.set()
                self.shutdown()
        finally:
            self.server_close()

    def _start_serving(self) -> None:
        thread = threading.Thread(target=self._serve, daemon=True)
        # It inherits the mask, and so do the threads that it starts: a signal wakes up the main thread at once.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals()) if _HAS_MASKS else None
        try:
            thread.start()
        except RuntimeError:
            raise NoThreadError from None
        finally:
            if before is not None:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def get_request(self) -> tuple[Any, Any]:
        """Accept a connection. Where that needs more than there is, do not try again at once, and again."""
        try:
            return super().get_request()
        except OSError as error:
            if error.errno in _EXHAUSTED:
                self.closing.wait(_PAUSE)
            raise

    def _serve(self) -> None:
        """Answer until it is closed, also after the system has failed for a moment."""
        while not self.closing.is_set():
            try:
                self.serve_forever(poll_interval=0.02)
            except OSError:
                self.closing.wait(_PAUSE)

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._started

    def top_up(self, amount: Decimal) -> None:
        """Add to what is left, from now on."""
        self._move(Move(amount, self.elapsed))

    def refund(self, amount: Decimal) -> None:
        """Give back some of what was used, from now on."""
        self._move(Move(amount, self.elapsed, is_refund=True))

    def _move(self, move: Move) -> None:
        self.scenario = self.scenario._replace(moves=(*self.scenario.moves, move))

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing about clients that hang up: giving up early is theirs to do."""


class _Handler(BaseHTTPRequestHandler):
    """One connection. Answers are written whole and the connection is kept, as a real gateway does."""

    server: Sandbox
    server_version = "apimart-sandbox"
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:  # the library's name for it
        """Answer one question, after the latency and with the fault of the scenario."""
        scenario = self.server.scenario
        if scenario.fault_at(self.server.elapsed) is Fault.TIMEOUT:
            self.server.closing.wait()
            self.close_connection = True
            return
        if self.server.closing.wait(scenario.latency):
            self.close_connection = True
            return
        self._send(answer(self.path, self.headers.get("Authorization"), scenario, self.server.elapsed))

    def _send(self, reply: Answer) -> None:
        body = reply.body.encode("utf-8")
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the library's name for it
        """Keep no log: standard error belongs to the wrapped command."""
