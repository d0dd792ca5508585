"""The sandbox's server, and what it answers.

The answers follow the gateway's public reference. Fields and bodies that are not in it were observed in 2026: the
credits beside the balances (1 credit = 0.10), and errors as `{"error": {"message": ..., "type": ...}}`. It shares no
code with `gateway`, so that a mistake in one cannot be cancelled out by the same mistake in the other.
"""

import errno
import json
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from apimart_cli.sandbox.scenario import Fault, Funds, Move, Scenario

if TYPE_CHECKING:
    from apimart_cli.sandbox.books import Books

API_KEY = "sk-sandbox-0000000000000000"
"""A made-up key. The sandbox accepts every well-formed one."""

CREDITS_PER_UNIT = 10

EXACT_DIGITS = 100
"""Enough precision that nothing is rounded."""

USAGE_PATHS = frozenset({"/v1/usage", "/usage"})

AGO = timedelta(seconds=60)
"""From the end of the made-up past to the start, so that readings that are taken at once come after it."""

_WELL_FORMED = re.compile(r"Bearer sk-[!-~]+")

_HAS_MASKS = hasattr(signal, "pthread_sigmask")

_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
"""Errors for which a connection cannot be accepted yet."""

_PAUSE = 0.1
"""Seconds before the next try to accept it."""


class NoThreadError(Exception):
    """The system starts no thread."""


class Sandbox(ThreadingHTTPServer):
    """The server. It listens on 127.0.0.1 as soon as it is made, and answers inside of `serving()`."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, scenario: Scenario, *, port: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        """Listen on `port`, or on a free one. Raises OSError if the port is taken."""
        self.scenario = scenario
        """May be replaced while it serves."""
        self.closing = threading.Event()
        self._clock = clock
        self._started = clock()
        self.past_ends_at = datetime.now(UTC).replace(microsecond=0) - AGO
        """When the made-up past ends."""
        self._books: Books | None = None
        super().__init__(("127.0.0.1", port), _Handler)

    def server_bind(self) -> None:
        """Bind. The library would look up a name for 127.0.0.1, which takes seconds if no resolver answers."""
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
        """Answer in the background while the block runs, then close every socket. Raises NoThreadError."""
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
        # This thread, and those that it starts, inherit the mask. So a signal wakes up the main thread at once.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals()) if _HAS_MASKS else None
        try:
            thread.start()
        except RuntimeError:
            raise NoThreadError from None
        finally:
            if before is not None:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def get_request(self) -> tuple[Any, Any]:
        """Accept a connection. If the system is short of something, pause: the next try comes at once."""
        try:
            return super().get_request()
        except OSError as error:
            if error.errno in _EXHAUSTED:
                self.closing.wait(_PAUSE)
            raise

    def _serve(self) -> None:
        """Answer until it is closed. It goes on after a failure of the system."""
        while not self.closing.is_set():
            try:
                self.serve_forever(poll_interval=0.02)
            except OSError:
                self.closing.wait(_PAUSE)

    def books(self) -> "Books":
        """Return what was spent. The past is made up at the first question."""
        if self._books is None:
            from apimart_cli.sandbox.books import Books

            self._books = Books(self.scenario, self.past_ends_at, began=self.past_ends_at + AGO)
        return self._books

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._started

    def top_up(self, amount: Decimal) -> None:
        """Add to what is left, now."""
        self._move(Move(amount, self.elapsed))

    def refund(self, amount: Decimal) -> None:
        """Give back some of what was used, now."""
        self._move(Move(amount, self.elapsed, is_refund=True))

    def _move(self, move: Move) -> None:
        self.scenario = self.scenario._replace(moves=(*self.scenario.moves, move))

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing about clients that hang up: they may."""


class SandboxAnswer(NamedTuple):
    """What one answer sends."""

    status: int
    body: str
    content_type: str = "application/json; charset=utf-8"
    headers: Mapping[str, str] = MappingProxyType({})


def answer(
    path: str,
    authorization: str | None,
    scenario: Scenario,
    elapsed: float,
    books: "Callable[[], Books] | None" = None,
) -> SandboxAnswer:
    """Return the answer to a question that comes `elapsed` seconds after the start; `books` returns the books."""
    address, _, query = path.partition("?")
    is_of_books = books is not None and address in USAGE_PATHS
    funds = {
        "/v1/balance": scenario.key,
        "/balance": scenario.key,
        "/v1/user/balance": scenario.account,
        "/user/balance": scenario.account,
    }.get(address)
    if funds is None and not is_of_books:
        return _error(404, f"Invalid URL (GET {path})", "invalid_request_error")
    if authorization is None:
        return SandboxAnswer(401, json.dumps({"success": False, "message": "No Authorization header"}))
    if not _WELL_FORMED.fullmatch(authorization):
        return _error(401, "invalid API key", "apimart_error")
    if (fault := scenario.fault_at(elapsed)) is not None and not fault.is_of_books:
        return _with_delay(_FAULTS[fault], scenario.retry_after)
    if funds is None:
        assert books is not None, "no other address is left"
        found = books().answer(query, scenario, elapsed)
        return SandboxAnswer(found.status, found.body, headers=found.headers)
    with localcontext(prec=EXACT_DIGITS):
        return SandboxAnswer(200, _balance_body(scenario.funds_at(funds, elapsed)))


class _Handler(BaseHTTPRequestHandler):
    """One connection. Like a real gateway, it keeps the connection and writes each answer at once."""

    server: Sandbox
    server_version = "apimart-sandbox"
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:  # the library's name for it
        """Answer one question, with the latency and the fault of the scenario."""
        scenario = self.server.scenario
        if scenario.fault_at(self.server.elapsed) is Fault.TIMEOUT:
            self.server.closing.wait()
            self.close_connection = True
            return
        if self.server.closing.wait(scenario.latency):
            self.close_connection = True
            return
        self._send(
            answer(self.path, self.headers.get("Authorization"), scenario, self.server.elapsed, self.server.books)
        )

    def _send(self, reply: SandboxAnswer) -> None:
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


def _with_delay(failure: SandboxAnswer, seconds: float) -> SandboxAnswer:
    """Return a failure; if it has a `Retry-After`, with the seconds of the scenario."""
    return failure._replace(headers={"Retry-After": f"{seconds:.0f}"}) if failure.headers else failure


def _balance_body(funds: Funds) -> str:
    """Return the documented object. Amounts have all their digits; the library would make floats of them."""
    limited = funds.remain is not None
    remain = funds.remain if funds.remain is not None else Decimal(-1)
    remain_credits = remain * CREDITS_PER_UNIT if limited else remain
    return (
        f'{{"success":true,"remain_balance":{remain:f},"remain_credits":{remain_credits:f},'
        f'"used_balance":{funds.used:f},"used_credits":{funds.used * CREDITS_PER_UNIT:f},'
        f'"unlimited_quota":{"false" if limited else "true"}}}'
    )


def _error(status: int, message: str, kind: str, headers: Mapping[str, str] | None = None) -> SandboxAnswer:
    body = json.dumps({"error": {"code": status, "message": message, "type": kind}})
    return SandboxAnswer(status, body, headers=headers or {})


_FAULTS: Mapping[Fault, SandboxAnswer] = {
    Fault.UNAUTHORIZED: _error(401, "invalid API key (request id: sandbox)", "apimart_error"),
    Fault.UNKNOWN_KEY: SandboxAnswer(200, json.dumps({"success": False, "message": "Failed to get token info"})),
    Fault.PAYMENT_REQUIRED: _error(402, "insufficient balance", "payment_required"),
    Fault.RATE_LIMIT: _error(429, "rate limit exceeded", "rate_limit_error", {"Retry-After": "1"}),
    Fault.SERVER_ERROR: _error(500, "internal error", "server_error"),
    Fault.MALFORMED: SandboxAnswer(200, '{"success":true,"remain_balance":10.5,"used_bal'),
    Fault.HTML: SandboxAnswer(200, "<!doctype html><title>Welcome</title>", "text/html; charset=utf-8"),
}
"""The answer of each fault. A timeout has none."""
