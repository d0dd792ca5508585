"""One HTTP exchange over a real connection: what travels, what is taken in, and what each failure is called."""

import gzip
import http.client
import itertools
import socket
import ssl
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import urllib3

from apimart_cli import __version__
from apimart_cli.errors import ApimartError, BadResponseError, UnavailableError, UsageError
from apimart_cli.gateway.answer import Answer
from apimart_cli.gateway.failures import timed_out
from apimart_cli.gateway.transport import MAX_BODY_BYTES, Transport
from apimart_cli.keys.key import ApiKey, GivenKey
from apimart_cli.target import Target
from apimart_cli.words import Scope
from support.fault_server import Door, FaultServer, Script, drip, flood, reset, stall, unasked
from support.running import KEY
from support.stopwatch import Stopwatch

BODY = b'{"success":true,"remain_balance":10.5,"used_balance":2.3,"unlimited_quota":false}'
UNTRUSTED = "the gateway's answer cannot be trusted: "

Play = Callable[..., FaultServer]


@pytest.fixture
def play() -> Iterator[Play]:
    """Start servers that play a script for each connection."""
    with ExitStack() as stack:

        def start(*scripts: Script, **options: Any) -> FaultServer:
            return stack.enter_context(FaultServer(scripts, **options))

        yield start


def message(
    body: bytes = BODY, *headers: str, status: str = "200 OK", length: int | None = None, close: bool = True
) -> bytes:
    """A whole answer; its Content-Length is right unless `length` is given."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers]
    if close:
        lines.append("Connection: close")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def target(base_url: str, timeout: float = 5.0) -> Target:
    return Target("default", Scope.KEY, GivenKey(ApiKey(KEY, source="a test")), base_url, timeout)


def exchange(base_url: str, timeout: float = 5.0, transport: Transport | None = None) -> Answer:
    """Ask once, and return the whole answer."""
    deadline = time.monotonic() + timeout

    def seconds_left() -> float:
        return max(0.0, deadline - time.monotonic())

    transport = transport or Transport(connections=4)
    with transport.send(target(base_url, timeout), ApiKey(KEY, source="a test"), seconds_left) as incoming:
        return incoming.receive()


def fault(base_url: str, timeout: float = 5.0) -> ApimartError:
    with pytest.raises(ApimartError) as caught:
        exchange(base_url, timeout)
    return caught.value


def test_the_question_on_the_wire_is_this(play: Play) -> None:
    """Byte for byte: one GET, the host, who asks, what is accepted, the key."""
    server = play([message()])
    assert exchange(f"{server.url}/prefix") == Answer(200, "OK", BODY)
    first, *headers = server.heads[0].decode("ascii").removesuffix("\r\n\r\n").split("\r\n")
    assert first == "GET /prefix/v1/balance HTTP/1.1"
    assert sorted(headers) == [
        "Accept-Encoding: identity",
        "Accept: application/json",
        f"Authorization: Bearer {KEY}",
        "Cache-Control: no-cache",
        f"Host: 127.0.0.1:{server.port}",
        f"User-Agent: apimart-cli/{__version__}",
    ]


@pytest.mark.parametrize("attributes", ["", "; Domain=localhost; Path=/v1"])
def test_no_cookie_is_kept(play: Play, attributes: str) -> None:
    """What one answer sets, no later question sends back."""
    server, transport = play([message(BODY, f"Set-Cookie: session=abc{attributes}")]), Transport(connections=4)
    for base_url in (server.url, server.url, server.named_url, server.named_url):
        exchange(base_url, transport=transport)
    assert server.contacts == 4
    assert not any(b"cookie" in head.lower() for head in server.heads)


@pytest.mark.parametrize("status", ["301 Moved", "303 See Other", "307 Temporary", "308 Permanent"])
def test_a_redirect_is_not_followed_and_no_other_host_hears_of_it(play: Play, status: str) -> None:
    """The answer is the redirect itself; no second question is asked."""
    other = play([message()])
    server = play([message(b"", "Location: @OTHER@/v1/balance", status=status)], other=other)
    answer = exchange(server.url)
    assert (answer.status, answer.location) == (int(status[:3]), f"{other.named_url}/v1/balance")
    assert (server.contacts, other.contacts) == (1, 0)


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (b"HTTP/1.1 302 Found\r\nLocation: @SELF@/\r\nConnection: close\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\n\r\n", "it is larger than 64 KiB"),
    ],
)
def test_a_body_without_end_is_given_up_early(play: Play, head: bytes, told: str | None) -> None:
    """No more is read than is allowed; of a redirect, which the library would read whole, nothing."""
    server = play([head, flood(b" " * 10_000)])
    watch = Stopwatch()
    if told is None:
        assert exchange(server.url, timeout=20.0).body == b""
    else:
        assert fault(server.url, timeout=20.0).message == UNTRUSTED + told
    watch.took().assert_within(5)


def test_no_connection_serves_a_second_question(play: Play) -> None:
    """Whatever follows an answer on its connection can never be taken for the answer to another key."""
    stray = message(b'{"success":true,"remain_balance":999,"used_balance":0}', close=False)
    server = play([message(close=False), lambda connection: connection.read_head(), stray])
    transport = Transport(connections=4)
    for _ in range(2):
        assert exchange(server.url, transport=transport).body == BODY
    assert server.contacts == 2


def test_a_proxy_of_the_environment_is_not_asked_for_loopback(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key goes straight to the sandbox, whatever proxy is set."""
    proxy, server = play([message()]), play([message()])
    host = urlsplit(server.url).hostname
    names = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy")
    for name in (*names, f"http://{host}_proxy", f"all://{host}_proxy"):
        monkeypatch.setenv(name, proxy.url)
    assert exchange(server.url).body == BODY
    assert (server.contacts, proxy.contacts) == (1, 0)


def test_a_proxy_never_sees_the_key(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked for a tunnel to the gateway, and for nothing else; when it refuses, there is no answer."""
    proxy = play([b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"])
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    error = fault("https://gateway.example")
    assert type(error) is UnavailableError
    assert proxy.heads[0].startswith(b"CONNECT gateway.example:443 HTTP/1.")
    assert all(KEY.encode() not in head and b"authorization" not in head.lower() for head in proxy.heads)


def _chunked(*pieces: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + end


@pytest.mark.parametrize("script", [
    [message()], [message(BODY, "Content-Type: text/html")], [_chunked(BODY[:10], BODY[10:])],
    [_chunked(*(BODY[start : start + 1] for start in range(len(BODY))))],
    [b"HTTP/1.1 200 OK\r\n\r\n" + BODY], [b"HTTP/1.0 200 OK\r\n\r\n" + BODY],
    [b"HTTP/1.1 100 Continue\r\n\r\n", message()], [drip(message(), every=0.001)],
])  # fmt: skip
def test_an_answer_is_received_whole_however_it_is_sent(play: Play, script: Script) -> None:
    """With a length, in chunks, up to the end of the connection, in one piece or in many."""
    assert exchange(play(script).url) == Answer(200, "OK", BODY)


def _zip(body: bytes) -> bytes:
    return gzip.compress(body, mtime=0)


@pytest.mark.parametrize("frame", [
    message, _chunked, lambda body: b"HTTP/1.1 200 OK\r\n\r\n" + body,
    lambda body: message(_zip(body), "Content-Encoding: gzip"),
])  # fmt: skip
def test_a_body_has_at_most_64_kib(play: Play, frame: Callable[[bytes], bytes]) -> None:
    """The limit is inclusive; what counts is the size unpacked."""
    assert MAX_BODY_BYTES == 65536
    largest = BODY.ljust(MAX_BODY_BYTES)
    assert exchange(play([frame(largest)]).url).body == largest
    error = fault(play([frame(largest + b" ")]).url)
    assert type(error) is BadResponseError
    assert error.message == f"{UNTRUSTED}it is larger than 64 KiB"


ZIPPED = _zip(BODY)


@pytest.mark.parametrize("answer", [
    *(message(ZIPPED, f"Content-Encoding: {name}") for name in ("gzip", "x-gzip", "GZIP", " gzip ")),
    *(message(BODY, f"Content-Encoding: {name}") for name in ("identity", "IDENTITY")),
])  # fmt: skip
def test_a_compression_that_was_not_asked_for_is_read(play: Play, answer: bytes) -> None:
    """Some gateways compress whatever was asked; `identity` is a name for none."""
    assert exchange(play([answer]).url).body == BODY


_DAMAGED = "its compression is damaged"
_UNFINISHED = "its compression is cut off or goes on after its end"


@pytest.mark.parametrize(("body", "encoding", "said"), [
    (BODY, "gzip", _DAMAGED), (b"", "gzip", _UNFINISHED), (ZIPPED[:-1], "gzip", _UNFINISHED),
    (ZIPPED[:-8], "gzip", _UNFINISHED), (ZIPPED[:20], "gzip", _UNFINISHED), (ZIPPED + b"\0", "gzip", _UNFINISHED),
    (ZIPPED + ZIPPED, "gzip", _UNFINISHED),
    (ZIPPED[:-8] + b"\0\0\0\0" + ZIPPED[-4:], "gzip", _DAMAGED),
    (zlib.compress(BODY), "gzip", _DAMAGED),
    (_zip(b" " * 10_000_000), "gzip", "it is larger than 64 KiB"),
    (zlib.compress(BODY), "deflate", "it is compressed in a way that was not asked for"),
    (BODY, "br", "it is compressed in a way that was not asked for"),
    (BODY, "zstd", "it is compressed in a way that was not asked for"),
    (_zip(ZIPPED), "gzip, gzip", "it is compressed in a way that was not asked for"),
    (BODY, "utf-8", "it is compressed in a way that was not asked for"),
], ids=itertools.count())  # fmt: skip
def test_a_compression_that_is_not_whole_is_a_bad_response(play: Play, body: bytes, encoding: str, said: str) -> None:
    """Complete, with its checksum, nothing after it, no larger unpacked than allowed; no other way of packing."""
    error = fault(play([message(body, f"Content-Encoding: {encoding}")]).url)
    assert type(error) is BadResponseError
    assert error.message == UNTRUSTED + said


@pytest.mark.parametrize("script", [
    [message(BODY, length=len(BODY) + 1)], [_chunked(BODY, end=b"")], [_chunked(BODY, end=b"zz\r\n")],
    [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + BODY],
    [b"HELLO\r\n\r\n"], [BODY], [b"\x16\x03\x01\x02\x00\x01\x00"], [b"HTTP/1.1 abc OK\r\n\r\n" + BODY],
    [b"HTTP/9.9 200 OK\r\n\r\n" + BODY],
    [b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 300 + b"\r\n" + BODY],
    [b"HTTP/1.1 200 OK\r\nX-A: " + b"b" * 70_000 + b"\r\n\r\n" + BODY],
])  # fmt: skip
def test_an_answer_that_is_cut_off_or_no_http_is_a_bad_response(play: Play, script: Script) -> None:
    """Something answered, but not as a gateway does; asking again is no help."""
    error = fault(play(script).url)
    assert type(error) is BadResponseError
    assert error.message.startswith(UNTRUSTED)
    assert error.hint


@pytest.mark.parametrize("rest", [
    [message(b"broken", "Content-Encoding: gzip", status="401 No")],
    [message(b"short", status="401 No", length=100)], [message(b"", status="401 No", length=100), reset],
    [message(b"x" * 70_000, status="401 No")], [message(b"", status="401 No", length=100), stall],
    [message(b"words", "Transfer-Encoding: nonsense", status="401 No")],
])  # fmt: skip
def test_a_status_that_decides_needs_no_body(play: Play, rest: Script) -> None:
    """Behind a failure the body would only have told more about it: what is wrong with it does not matter."""
    answer = exchange(play(rest).url, timeout=0.5)
    assert (answer.status, answer.reason, answer.body) == (401, "No", b"")


@pytest.mark.parametrize(
    ("script", "door", "reason"),
    [
        ([], Door.SHUT, "connection refused"),
        ([], Door.OPEN, "the server closed the connection without an answer"),
        ([reset], Door.OPEN, "connection reset by peer"),
        # In the midst of an answer that so far was right.
        ([message(BODY[:9], length=90), reset], Door.OPEN, "connection reset by peer"),
    ],
)
def test_a_connection_that_fails_can_be_tried_again(play: Play, script: Script, door: Door, reason: str) -> None:
    """The error names the host and the reason. A name that cannot be resolved may be known a moment later."""
    server = play(script, door=door)
    for url, told in (
        (server.url, f"127.0.0.1:{server.port}: {reason}"),
        ("https://gateway.invalid", "gateway.invalid: its name cannot be resolved"),
    ):
        error = fault(url)
        assert (type(error), error.message) == (UnavailableError, f"could not reach {told}")
        assert (
            error.hint == "check the network, the proxy settings and the base URL; apimart doctor looks at each of them"
        )
        assert error.retryable


@pytest.mark.parametrize("script", [
    [stall], [b"HTTP/1.1 200 OK\r\n", stall], [message(BODY[:9], length=90), stall],
    [message(b"", length=90), drip(b" " * 90, every=0.05)],
])  # fmt: skip
def test_an_answer_that_does_not_come_in_time_is_no_answer(play: Play, script: Script) -> None:
    """A silent server, a head that stops, a body that stops, a body that drips."""
    server = play(script)
    watch = Stopwatch()
    error = fault(server.url, timeout=0.4)
    watch.took().assert_within(1.4)
    assert type(error) is UnavailableError
    assert error.message == f"no answer from 127.0.0.1:{server.port} within 0.4 seconds"
    assert error.hint == "try again later, or allow more time with --timeout"


@pytest.mark.parametrize("script", [
    [drip(b"HTTP/1.1 200 OK" + b" " * 900, every=0.05)],
    [b"HTTP/1.1 200 OK\r\n", drip(b"X: " + b"y" * 900, every=0.05)],
    [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", drip(b"51;" + b"x" * 900, every=0.05)],
    [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", drip(b"1\r\n{\r\n" * 90, every=0.05)],
])  # fmt: skip
def test_no_server_keeps_a_connection_by_sending_a_byte_now_and_then(play: Play, script: Script) -> None:
    """In a status line, a header, an extension of a chunk: who waits has gone, and the thread would stay for hours."""
    began = time.monotonic()
    problem = fault(play(script).url, timeout=0.5)
    assert problem.message.startswith("no answer from 127.0.0.1:")
    # Of 45 seconds, which it takes to send all of it.
    assert time.monotonic() - began < 20


def test_a_time_limit_is_told_as_it_was_given() -> None:
    """Without digits that it did not have."""
    for seconds, told in ((10.0, "10 seconds"), (1.0, "1 second"), (2.5, "2.5 seconds")):
        assert timed_out("h:8443", seconds).message == f"no answer from h:8443 within {told}"


def test_a_server_without_tls_gets_no_key(play: Play) -> None:
    """Asking a plain port for TLS fails safely, and is not tried again."""
    server = play([unasked, b"HTTP/1.1 400 Bad Request\r\n\r\n"])
    error = fault(server.url.replace("http:", "https:"))
    assert type(error) is UnavailableError
    assert error.message.startswith(f"no safe connection to 127.0.0.1:{server.port}: ")
    assert error.hint
    assert not error.retryable
    assert server.contacts == 1


@pytest.mark.parametrize("host", ["a..example", ".", "a" * 64 + ".example", "*.example"])
def test_a_host_that_no_library_takes_is_a_usage_error(host: str) -> None:
    """Such addresses pass the rules for base URLs and fail in the libraries, each in its own way."""
    error = fault(f"https://{host}")
    assert type(error) is UsageError
    assert error.message.startswith(f"no connection can be made to {host}: the address")
    assert error.hint


def _no_socks(*_arguments: object, **_named: object) -> None:
    raise requests.exceptions.InvalidSchema("Missing dependencies for SOCKS support.")


@pytest.mark.parametrize(
    ("variable", "value", "told", "hint"),
    [
        (
            "REQUESTS_CA_BUNDLE",
            "/does/not/exist.pem",
            "REQUESTS_CA_BUNDLE names a CA file that does not exist",
            "correct the variable, or unset it to trust the usual authorities",
        ),
        (
            "HTTPS_PROXY",
            "http://",
            "HTTPS_PROXY: the proxy's address is malformed: it has no host, or more than a host and a port",
            "write it like http://HOST:PORT, or http://USER:PASSWORD@HOST:PORT",
        ),
        (
            "ALL_PROXY",
            "socks5://127.0.0.1:1080",
            "a SOCKS proxy needs one more package",
            "install it with: pip install 'requests[socks]'",
        ),
    ],
)
def test_a_setting_that_makes_asking_impossible_is_a_usage_error(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, told: str, hint: str
) -> None:
    """Asking again cannot help; the hint names the variable or the command."""
    # What the library has in its place where the package for SOCKS is not installed.
    monkeypatch.setattr("requests.adapters.SOCKSProxyManager", _no_socks)
    monkeypatch.setenv(variable, value)
    error = fault("https://127.0.0.1:1")
    assert (type(error), error.message, error.hint) == (UsageError, told, hint)


def _wrapped(error: Exception) -> requests.exceptions.ConnectionError:
    """As requests and urllib3 wrap what they catch."""
    pool: Any = None
    return requests.exceptions.ConnectionError(urllib3.exceptions.MaxRetryError(pool, "/", error))


def _certificate_error() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate"
    return error


def _tls_error(reason: str | None) -> ssl.SSLError:
    error = ssl.SSLError(1, "failed")
    error.reason = reason  # type: ignore[assignment]  # None on errors that come from a socket
    return error


def _circle() -> requests.exceptions.ConnectionError:
    """A chain of exceptions that leads back to itself."""
    first, second = requests.exceptions.ConnectionError(), OSError("x")
    first.args, second.args = (second,), (first,)
    return first


_UNSAFE = "no safe connection to gateway.example: "
_NOT_TRUSTED = f"{_UNSAFE}its certificate is not trusted (self-signed certificate)"
_REACH = "could not reach gateway.example: "
_SILENT = "no answer from gateway.example within 5 seconds"
_NO_ADDRESS = "no connection can be made to gateway.example"


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (requests.exceptions.SSLError(urllib3.exceptions.SSLError(_certificate_error())), _NOT_TRUSTED),
        (_wrapped(_tls_error("WRONG_VERSION_NUMBER")), _UNSAFE),
        (_wrapped(_tls_error(None)), _UNSAFE),
        (_wrapped(urllib3.exceptions.SSLError("x")), _UNSAFE),
        (requests.exceptions.SSLError("x"), _UNSAFE),
        (TimeoutError(), _SILENT),
        (requests.exceptions.ReadTimeout("x"), _SILENT),
        (socket.gaierror(-2, "x"), f"{_REACH}its name cannot be resolved"),
        (OSError(101, "Network is unreachable"), f"{_REACH}network is unreachable"),
        (_wrapped(urllib3.exceptions.ProtocolError("x")), f"{_REACH}the connection failed"),
        (urllib3.exceptions.HTTPError("x"), f"{_REACH}the connection failed"),
        (_circle(), f"{_REACH}the connection failed"),
        (http.client.LineTooLong("x"), f"{UNTRUSTED}it is cut off or is not HTTP"),
        (http.client.RemoteDisconnected("x"), f"{_REACH}the server closed the connection"),
        (UnicodeError("label too long"), _NO_ADDRESS),
        (urllib3.exceptions.LocationParseError("x"), _NO_ADDRESS),
        (OverflowError("timeout"), "a bug in apimart: OverflowError in "),
        (OSError("no words"), "a bug in apimart: OSError in "),
        (ValueError(KEY), "a bug in apimart: ValueError in "),
    ],
)
def test_every_exception_of_the_libraries_becomes_one_of_ours(
    monkeypatch: pytest.MonkeyPatch, raised: Exception, told: str
) -> None:
    """Each has its kind, its words, and whether asking again can help; what nothing is known of is a bug, unquoted."""

    def fail(*_arguments: object, **_named: object) -> None:
        raise raised

    monkeypatch.setattr(requests.Session, "request", fail)
    error = fault("https://gateway.example")
    assert error.message.startswith(told)
    kinds = {_NO_ADDRESS: UsageError, UNTRUSTED: BadResponseError, "a bug": ApimartError}
    assert type(error) is next((kind for start, kind in kinds.items() if told.startswith(start)), UnavailableError)
    assert getattr(error, "retryable", False) is told.startswith((_SILENT, _REACH))
    assert KEY not in error.message
    assert (error.__context__, error.__cause__) == (None, None)
