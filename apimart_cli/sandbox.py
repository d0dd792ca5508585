"""The sandbox: a gateway on loopback that speaks the documented API, for trying, testing and rehearsing.

It shares no code with `client` and `balance`, so that a bug in one cannot hide behind the same bug in the other. What
it answers follows the gateway's public reference; fields and bodies that are not documented there were observed in
2026: the credits beside the balances (1 credit = 0.10), and errors as `{"error": {"message": ..., "type": ...}}`.
"""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from types import MappingProxyType
from typing import Any, NamedTuple

API_KEY = "sk-sandbox-0000000000000000"
"""A made-up key. The sandbox takes every well-formed one."""

CREDITS_PER_UNIT = 10

_WELL_FORMED = re.compile(r"Bearer sk-[!-~]+")


class Fault(StrEnum):
    """Every failure that can be rehearsed."""

    UNAUTHORIZED = "unauthorized"
    UNKNOWN_KEY = "unknown-key"
    PAYMENT_REQUIRED = "payment-required"
    RATE_LIMIT = "rate-limit"
    SERVER_ERROR = "server-error"
    TIMEOUT = "timeout"
    MALFORMED = "malformed"
    HTML = "html"


class Funds(NamedTuple):
    """What a key or an account has at the start. Amounts are in the gateway's unit; `remain` None means unlimited."""

    remain: Decimal | None
    used: Decimal

    def after(self, spent: Decimal) -> "Funds":
        """Return what is there after `spent`: a limited balance ends at zero, and no more than it had is used."""
        if self.remain is None:
            return Funds(None, self.used + spent)
        spent = min(spent, self.remain)
        return Funds(self.remain - spent, self.used + spent)


class Scenario(NamedTuple):
    """How the sandbox behaves. The defaults are the amounts of the gateway's own documentation."""

    key: Funds = Funds(Decimal("10.5"), Decimal("2.3"))
    account: Funds = Funds(Decimal("100.0"), Decimal("25.5"))
    burn: Decimal = Decimal(0)
    """How much is spent in a second."""
    latency: float = 0.0
    """Seconds before each answer."""
    fault: Fault | None = None


class _Answer(NamedTuple):
    status: int
    body: str
    content_type: str = "application/json; charset=utf-8"
    headers: Mapping[str, str] = MappingProxyType({})


class Sandbox(ThreadingHTTPServer):
    """The server, listening on 127.0.0.1 from the moment it is made; `serving()` makes it answer."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, scenario: Scenario, *, port: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        """Listen on `port`, or on a free one. Raises OSError when the port is taken."""
        self.scenario = scenario
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
        """Answer in the background until the block is left; then close every socket."""
        thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.closing.set()
            self.shutdown()
            self.server_close()

    def spent(self) -> Decimal:
        """What has been burnt since the start, to the millionth."""
        elapsed = Decimal(self._clock() - self._started)
        return (self.scenario.burn * elapsed).quantize(Decimal("0.000001")) if self.scenario.burn else Decimal(0)

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
        if scenario.fault is Fault.TIMEOUT:
            self.server.closing.wait()
            self.close_connection = True
            return
        if self.server.closing.wait(scenario.latency):
            self.close_connection = True
            return
        self._send(_answer(self.path, self.headers.get("Authorization"), scenario, self.server.spent()))

    def _send(self, answer: _Answer) -> None:
        body = answer.body.encode("utf-8")
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the library's name for it
        """Keep no log: standard error belongs to the wrapped command."""


def _answer(path: str, authorization: str | None, scenario: Scenario, spent: Decimal) -> _Answer:
    funds = {
        "/v1/balance": scenario.key,
        "/balance": scenario.key,
        "/v1/user/balance": scenario.account,
        "/user/balance": scenario.account,
    }.get(path.partition("?")[0])
    if funds is None:
        return _error(404, f"Invalid URL (GET {path})", "invalid_request_error")
    if authorization is None:
        return _Answer(401, json.dumps({"success": False, "message": "No Authorization header"}))
    if not _WELL_FORMED.fullmatch(authorization):
        return _error(401, "invalid API key", "apimart_error")
    if scenario.fault is not None:
        return _FAULTS[scenario.fault]
    return _Answer(200, _balance_body(funds.after(spent)))


def _balance_body(funds: Funds) -> str:
    """Return the documented object, amounts written with all their digits (the library would make them floats)."""
    limited = funds.remain is not None
    remain = funds.remain if funds.remain is not None else Decimal(-1)
    remain_credits = remain * CREDITS_PER_UNIT if limited else remain
    return (
        f'{{"success":true,"remain_balance":{remain:f},"remain_credits":{remain_credits:f},'
        f'"used_balance":{funds.used:f},"used_credits":{funds.used * CREDITS_PER_UNIT:f},'
        f'"unlimited_quota":{"false" if limited else "true"}}}'
    )


def _error(status: int, message: str, kind: str, headers: Mapping[str, str] | None = None) -> _Answer:
    body = json.dumps({"error": {"code": status, "message": message, "type": kind}})
    return _Answer(status, body, headers=headers or {})


_FAULTS: Mapping[Fault, _Answer] = {
    Fault.UNAUTHORIZED: _error(401, "invalid API key (request id: sandbox)", "apimart_error"),
    Fault.UNKNOWN_KEY: _Answer(200, json.dumps({"success": False, "message": "Failed to get token info"})),
    Fault.PAYMENT_REQUIRED: _error(402, "insufficient balance", "payment_required"),
    Fault.RATE_LIMIT: _error(429, "rate limit exceeded", "rate_limit_error", {"Retry-After": "1"}),
    Fault.SERVER_ERROR: _error(500, "internal error", "server_error"),
    Fault.MALFORMED: _Answer(200, '{"success":true,"remain_balance":10.5,"used_bal'),
    Fault.HTML: _Answer(200, "<!doctype html><title>Welcome</title>", "text/html; charset=utf-8"),
}
"""What each fault answers; a timeout answers nothing."""
