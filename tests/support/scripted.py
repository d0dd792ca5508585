"""A gateway that answers each key and path as a test says, and remembers who asked."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any, NamedTuple

ACCOUNT = "/v1/user/balance"
"""The path of an account's balance; every other is a key's."""


class Reply(NamedTuple):
    """One answer."""

    body: str
    status: int = 200
    delay: float = 0.0
    """Seconds before it is sent."""
    headers: Mapping[str, str] = MappingProxyType({})


class Asked(NamedTuple):
    """One question as it arrived."""

    path: str
    key: str


def balance(remain: str, used: str = "0", *, unlimited: bool = False, delay: float = 0.0) -> Reply:
    """The documented answer, its numbers written as given."""
    word = "true" if unlimited else "false"
    body = f'{{"success":true,"remain_balance":{remain},"used_balance":{used},"unlimited_quota":{word}}}'
    return Reply(body, delay=delay)


def refusal(status: int, **headers: str) -> Reply:
    """An answer with another status; `Retry_After="60"` adds a header."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply('{"error":{"message":"no","type":"test"}}', status, headers=named)


class Gateway(ThreadingHTTPServer):
    """The server; `answer` gets the path and the key."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, answer: Callable[[str, str], Reply]) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        self.connections = 0
        self.most_at_once = 0
        """The most questions that waited for their answers at the same time."""
        self.under_way = 0
        self.guard = threading.Lock()
        self.closing = threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        """The base URL to give to a client."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing about clients that hang up."""


class _Handler(BaseHTTPRequestHandler):
    server: Gateway
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        with self.server.guard:
            self.server.connections += 1

    def do_GET(self) -> None:
        gateway = self.server
        asked = Asked(self.path, (self.headers.get("Authorization") or "").removeprefix("Bearer "))
        with gateway.guard:
            gateway.asked.append(asked)
            gateway.under_way += 1
            gateway.most_at_once = max(gateway.most_at_once, gateway.under_way)
        reply = gateway.answer(*asked)
        gateway.closing.wait(reply.delay)
        with gateway.guard:
            gateway.under_way -= 1
        # The library adds a Date of its own.
        (self.send_response_only if "Date" in reply.headers else self.send_response)(reply.status)
        self.send_header("Content-Length", str(len(reply.body)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body.encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Keep no log."""


@contextmanager
def served(server: ThreadingHTTPServer) -> Iterator[str]:
    """Serve until the block is left; give the base URL."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def gateway(answer: Callable[[str, str], Reply]) -> Iterator[Gateway]:
    """Serve until the block is left."""
    server = Gateway(answer)
    with served(server):
        try:
            yield server
        finally:
            server.closing.set()
