"""One HTTP exchange over a real connection: what travels, what is taken in, and what each failure is called."""

import gzip
import http.client
import itertools
import socket
import ssl
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
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


@pytest.fixture
def transport() -> Transport:
    return Transport(connections=4)


def message(
    body: bytes = BODY, *headers: str, status: str = "200 OK", length: int | None = None, close: bool = True
) -> bytes:
    """A whole answer; its Content-Length is right unless `length` is given."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers]
    if close:
        lines.append("Connection: close")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def target(base_url: str, timeout: float = 5.0, scope: Scope = Scope.KEY) -> Target:
    return Target("default", scope, GivenKey(ApiKey(KEY, source="a test")), base_url, timeout)


def exchange(transport: Transport, base_url: str, timeout: float = 5.0) -> Answer:
    """Ask once, and return the whole answer."""
    deadline = time.monotonic() + timeout

    def seconds_left() -> float:
        return max(0.0, deadline - time.monotonic())

    with transport.send(target(base_url, timeout), ApiKey(KEY, source="a test"), seconds_left) as incoming:
        return incoming.receive()


def fault(transport: Transport, base_url: str, timeout: float = 5.0) -> ApimartError:
    with pytest.raises(ApimartError) as caught:
        exchange(transport, base_url, timeout)
    return caught.value


# --- what travels -----------------------------------------------------------------------------------------------


def test_the_question_on_the_wire_is_this(transport: Transport, play: Play) -> None:
    """Byte for byte: one GET, the host, who asks, what is accepted, the key."""
    server = play([message()])
    assert exchange(transport, f"{server.url}/prefix") == Answer(200, "OK", BODY)
    first, *headers = server.heads[0].decode("ascii").removesuffix("\r\n\r\n").split("\r\n")
    assert first == "GET /prefix/v1/balance HTTP/1.1"
    assert sorted(headers) == [
        "Accept-Encoding: identity", "Accept: application/json", f"Authorization: Bearer {KEY}",
        "Cache-Control: no-cache", f"Host: 127.0.0.1:{server.port}", f"User-Agent: apimart-cli/{__version__}",
    ]  # fmt: skip


@pytest.mark.parametrize("attributes", ["", "; Path=/", "; Domain=127.0.0.1", "; Domain=localhost; Path=/v1"])
def test_no_cookie_is_kept(transport: Transport, play: Play, attributes: str) -> None:
    """What one answer sets, no later question sends back."""
    server = play([message(BODY, f"Set-Cookie: session=abc{attributes}")])
    for base_url in (server.url, server.url, server.named_url, server.named_url):
        exchange(transport, base_url)
    assert server.contacts == 4
    assert not any(b"cookie" in head.lower() for head in server.heads)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_a_redirect_is_not_followed_and_no_other_host_hears_of_it(
    transport: Transport, play: Play, status: str
) -> None:
    """The answer is the redirect itself; nobody is asked a second time."""
    other = play([message()])
    server = play([message(b"", "Location: @OTHER@/v1/balance", status=status)], other=other)
    answer = exchange(transport, server.url)
    assert (answer.status, answer.location) == (int(status[:3]), f"{other.named_url}/v1/balance")
    assert (server.contacts, other.contacts) == (1, 0)


def test_a_redirect_without_end_is_not_read_to_its_end(transport: Transport, play: Play) -> None:
    """The library would read the body of a redirect whole, even when told not to follow it."""
    endless = b"HTTP/1.1 302 Found\r\nLocation: @SELF@/\r\nConnection: close\r\n\r\n"
    server = play([endless, flood(b"x" * 10_000)])
    watch = Stopwatch()
    assert exchange(transport, server.url, timeout=20.0).body == b""
    watch.took().assert_within(5)


def test_no_connection_serves_a_second_question(transport: Transport, play: Play) -> None:
    """Whatever follows an answer on its connection can never be taken for the answer to another key."""
    stray = message(b'{"success":true,"remain_balance":999,"used_balance":0}', close=False)
    server = play([message(close=False), lambda connection: connection.read_head(), stray])
    assert exchange(transport, server.url).body == BODY
    assert exchange(transport, server.url).body == BODY
    assert server.contacts == 2


def test_a_proxy_of_the_environment_is_not_asked_for_loopback(
    transport: Transport, play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key goes straight to the sandbox, whatever proxy is set."""
    proxy, server = play([message()]), play([message()])
    host = urlsplit(server.url).hostname
    names = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy")
    for name in (*names, f"http://{host}_proxy", f"all://{host}_proxy"):
        monkeypatch.setenv(name, proxy.url)
    assert exchange(transport, server.url).body == BODY
    assert (server.contacts, proxy.contacts) == (1, 0)


def test_a_proxy_never_sees_the_key(transport: Transport, play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked for a tunnel to the gateway, and for nothing else; when it refuses, there is no answer."""
    proxy = play([b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"])
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    error = fault(transport, "https://gateway.example")
    assert type(error) is UnavailableError
    assert proxy.heads[0].startswith(b"CONNECT gateway.example:443 HTTP/1.")
    assert all(KEY.encode() not in head and b"authorization" not in head.lower() for head in proxy.heads)


# --- what is taken in -------------------------------------------------------------------------------------------


def _chunked(*pieces: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + end


@pytest.mark.parametrize("script", [
    [message()], [message(BODY, "Content-Type: text/html")], [_chunked(BODY[:10], BODY[10:])],
    [_chunked(*(BODY[start : start + 1] for start in range(len(BODY))))],
    [b"HTTP/1.1 200 OK\r\n\r\n" + BODY], [b"HTTP/1.0 200 OK\r\n\r\n" + BODY],
    [b"HTTP/1.1 100 Continue\r\n\r\n", message()], [drip(message(), every=0.001)],
])  # fmt: skip
def test_an_answer_is_received_whole_however_it_is_sent(transport: Transport, play: Play, script: Script) -> None:
    """With a length, in chunks, up to the end of the connection, in one piece or in many."""
    assert exchange(transport, play(script).url).body == BODY


def test_a_missing_reason_is_no_reason(transport: Transport, play: Play) -> None:
    """The phrase after the status is optional."""
    server = play([message(BODY, status="299")])
    assert exchange(transport, server.url) == Answer(299, "", BODY)


@pytest.mark.parametrize("frame", [message, _chunked, lambda body: b"HTTP/1.1 200 OK\r\n\r\n" + body])
def test_a_body_has_at_most_64_kib(transport: Transport, play: Play, frame: Callable[[bytes], bytes]) -> None:
    """The limit is inclusive."""
    assert MAX_BODY_BYTES == 65536
    largest = BODY.ljust(MAX_BODY_BYTES)
    assert exchange(transport, play([frame(largest)]).url).body == largest
    error = fault(transport, play([frame(largest + b" ")]).url)
    assert type(error) is BadResponseError
    assert error.message == f"{UNTRUSTED}it is larger than 64 KiB"


def test_a_body_without_end_is_given_up_early(transport: Transport, play: Play) -> None:
    """No more is read than is allowed."""
    server = play([b"HTTP/1.1 200 OK\r\n\r\n", flood(b" " * 10_000)])
    watch = Stopwatch()
    assert fault(transport, server.url, timeout=20.0).message == f"{UNTRUSTED}it is larger than 64 KiB"
    watch.took().assert_within(5)


def _zip(body: bytes) -> bytes:
    return gzip.compress(body, mtime=0)


ZIPPED = _zip(BODY)


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP", " gzip "])
def test_a_gzip_that_nobody_asked_for_is_read(transport: Transport, play: Play, encoding: str) -> None:
    """Some gateways compress whatever was asked."""
    server = play([message(ZIPPED, f"Content-Encoding: {encoding}")])
    assert exchange(transport, server.url).body == BODY


@pytest.mark.parametrize("encoding", ["identity", "IDENTITY"])
def test_no_compression_may_be_said_aloud(transport: Transport, play: Play, encoding: str) -> None:
    """`identity` is a name for none."""
    assert exchange(transport, play([message(BODY, f"Content-Encoding: {encoding}")]).url).body == BODY


_DAMAGED = "its compression is damaged"
_UNFINISHED = "its compression is cut off or goes on after its end"


@pytest.mark.parametrize(("body", "encoding", "said"), [
    (BODY, "gzip", _DAMAGED), (b"", "gzip", _UNFINISHED), (ZIPPED[:-1], "gzip", _UNFINISHED),
    (ZIPPED[:-8], "gzip", _UNFINISHED), (ZIPPED[:20], "gzip", _UNFINISHED), (ZIPPED + b"\0", "gzip", _UNFINISHED),
    (ZIPPED + ZIPPED, "gzip", _UNFINISHED),
    (ZIPPED[:-8] + b"\0\0\0\0" + ZIPPED[-4:], "gzip", _DAMAGED),
    (zlib.compress(BODY), "gzip", _DAMAGED),
    (_zip(b" " * 10_000_000), "gzip", "it is larger than 64 KiB"),
    (_zip(BODY.ljust(65537)), "gzip", "it is larger than 64 KiB"),
    (zlib.compress(BODY), "deflate", "it is compressed in a way that was not asked for"),
    (BODY, "br", "it is compressed in a way that was not asked for"),
    (BODY, "zstd", "it is compressed in a way that was not asked for"),
    (_zip(ZIPPED), "gzip, gzip", "it is compressed in a way that was not asked for"),
    (BODY, "utf-8", "it is compressed in a way that was not asked for"),
], ids=itertools.count())  # fmt: skip
def test_a_compression_that_is_not_whole_is_a_bad_response(
    transport: Transport, play: Play, body: bytes, encoding: str, said: str
) -> None:
    """Complete, with its checksum, nothing after it, no larger unpacked than allowed; no other way of packing."""
    error = fault(transport, play([message(body, f"Content-Encoding: {encoding}")]).url)
    assert type(error) is BadResponseError
    assert error.message == UNTRUSTED + said


def test_the_largest_answer_may_be_compressed(transport: Transport, play: Play) -> None:
    """What counts is the size unpacked."""
    largest = BODY.ljust(MAX_BODY_BYTES)
    server = play([message(_zip(largest), "Content-Encoding: gzip")])
    assert exchange(transport, server.url).body == largest


@pytest.mark.parametrize("script", [
    [message(BODY, length=len(BODY) + 1)], [_chunked(BODY, end=b"")], [_chunked(BODY, end=b"zz\r\n")],
    [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + BODY],
    [b"HELLO\r\n\r\n"], [BODY], [b"\x16\x03\x01\x02\x00\x01\x00"], [b"HTTP/1.1 abc OK\r\n\r\n" + BODY],
    [b"HTTP/9.9 200 OK\r\n\r\n" + BODY],
    [b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 300 + b"\r\n" + BODY],
    [b"HTTP/1.1 200 OK\r\nX-A: " + b"b" * 70_000 + b"\r\n\r\n" + BODY],
])  # fmt: skip
def test_an_answer_that_is_cut_off_or_no_http_is_a_bad_response(
    transport: Transport, play: Play, script: Script
) -> None:
    """Something answered, but not as a gateway does; asking again is no help."""
    error = fault(transport, play(script).url)
    assert type(error) is BadResponseError
    assert error.message.startswith(UNTRUSTED)
    assert error.hint


@pytest.mark.parametrize("rest", [
    [message(b"broken", "Content-Encoding: gzip", status="401 No")],
    [message(b"short", status="401 No", length=100)], [message(b"", status="401 No", length=100), reset],
    [message(b"x" * 70_000, status="401 No")], [message(b"", status="401 No", length=100), stall],
    [message(b"words", "Transfer-Encoding: nonsense", status="401 No")],
])  # fmt: skip
def test_a_status_that_decides_needs_no_body(transport: Transport, play: Play, rest: Script) -> None:
    """Behind a failure the body would only have told more about it: what is wrong with it does not matter."""
    answer = exchange(transport, play(rest).url, timeout=0.5)
    assert (answer.status, answer.reason, answer.body) == (401, "No", b"")


# --- failures of the connection ---------------------------------------------------------------------------------


def test_a_refused_connection_can_be_tried_again(transport: Transport, play: Play) -> None:
    """The error names the host and the reason."""
    server = play([], door=Door.SHUT)
    error = fault(transport, server.url)
    assert type(error) is UnavailableError
    assert error.message == f"could not reach 127.0.0.1:{server.port}: connection refused"
    assert error.hint == "check the network, the proxy settings and the base URL; apimart doctor looks at each of them"
    assert error.retryable


@pytest.mark.parametrize(("script", "reason"), [
    ([], "the server closed the connection without an answer"),
    ([reset], "connection reset by peer"),
    ([message(BODY[:9], length=90), reset], "connection reset by peer"),
])  # fmt: skip
def test_a_connection_that_breaks_can_be_tried_again(
    transport: Transport, play: Play, script: Script, reason: str
) -> None:
    """Before the first byte, or in the midst of an answer that so far was right."""
    server = play(script)
    error = fault(transport, server.url)
    assert type(error) is UnavailableError
    assert error.message == f"could not reach 127.0.0.1:{server.port}: {reason}"
    assert error.retryable


@pytest.mark.parametrize("script", [
    [stall], [b"HTTP/1.1 200 OK\r\n", stall], [message(BODY[:9], length=90), stall],
    [message(b"", length=90), drip(b" " * 90, every=0.05)],
])  # fmt: skip
def test_an_answer_that_does_not_come_in_time_is_no_answer(transport: Transport, play: Play, script: Script) -> None:
    """A silent server, a head that stops, a body that stops, a body that drips."""
    server = play(script)
    watch = Stopwatch()
    error = fault(transport, server.url, timeout=0.4)
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
def test_no_server_keeps_a_connection_by_sending_a_byte_now_and_then(
    transport: Transport, play: Play, script: Script
) -> None:
    """In a status line, a header, an extension of a chunk: who waits has gone, and the thread would stay for hours."""
    began = time.monotonic()
    problem = fault(transport, play(script).url, timeout=0.5)
    assert problem.message.startswith("no answer from 127.0.0.1:")
    # Of 45 seconds, which it takes to send all of it.
    assert time.monotonic() - began < 20


def test_a_time_limit_is_told_as_it_was_given() -> None:
    """Without digits that nobody wrote."""
    assert timed_out("h", 10.0).message == "no answer from h within 10 seconds"
    assert timed_out("h", 1.0).message == "no answer from h within 1 second"
    assert timed_out("h:8443", 2.5).message == "no answer from h:8443 within 2.5 seconds"


def test_an_unknown_host_can_be_tried_again(transport: Transport) -> None:
    """Its name may be known a moment later."""
    error = fault(transport, "https://gateway.invalid")
    assert type(error) is UnavailableError
    assert error.message == "could not reach gateway.invalid: its name cannot be resolved"
    assert error.retryable


def test_a_server_without_tls_gets_no_key(transport: Transport, play: Play) -> None:
    """Asking a plain port for TLS fails safely, and is not tried again."""
    server = play([unasked, b"HTTP/1.1 400 Bad Request\r\n\r\n"])
    error = fault(transport, server.url.replace("http:", "https:"))
    assert type(error) is UnavailableError
    assert error.message.startswith(f"no safe connection to 127.0.0.1:{server.port}: ")
    assert error.hint
    assert not error.retryable
    assert server.contacts == 1


@pytest.mark.parametrize("host", ["a..example", ".", "a" * 64 + ".example", "*.example"])
def test_a_host_that_no_library_takes_is_a_usage_error(transport: Transport, host: str) -> None:
    """Such addresses pass the rules for base URLs and fail in the libraries, each in its own way."""
    error = fault(transport, f"https://{host}")
    assert type(error) is UsageError
    assert error.message.startswith(f"no connection can be made to {host}: the address")
    assert error.hint


def _no_socks(*_arguments: object, **_named: object) -> None:
    raise requests.exceptions.InvalidSchema("Missing dependencies for SOCKS support.")


@pytest.mark.parametrize(("variable", "value", "message_", "hint"), [
    ("REQUESTS_CA_BUNDLE", "/does/not/exist.pem", "REQUESTS_CA_BUNDLE names a CA file that does not exist",
     "correct the variable, or unset it to trust the usual authorities"),
    ("HTTPS_PROXY", "http://",
     "HTTPS_PROXY: the proxy's address is malformed: it has no host, or more than a host and a port",
     "write it like http://HOST:PORT, or http://USER:PASSWORD@HOST:PORT"),
    ("ALL_PROXY", "socks5://127.0.0.1:1080", "a SOCKS proxy needs one more package",
     "install it with: pip install 'requests[socks]'"),
])  # fmt: skip
def test_a_setting_of_this_machine_that_makes_asking_impossible_is_a_usage_error(
    transport: Transport, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message_: str, hint: str
) -> None:
    """Asking again cannot help; the hint names the variable or the command."""
    # What the library has in its place where the package for SOCKS is not installed.
    monkeypatch.setattr("requests.adapters.SOCKSProxyManager", _no_socks)
    monkeypatch.setenv(variable, value)
    error = fault(transport, "https://127.0.0.1:1")
    assert type(error) is UsageError
    assert (error.message, error.hint) == (message_, hint)


# --- exceptions that only some systems and versions raise -------------------------------------------------------


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


_UNSAFE = "no safe connection to gateway.example: "
_REACH = "could not reach gateway.example: "


@pytest.mark.parametrize(("raised", "kind", "told", "retryable"), [
    (requests.exceptions.SSLError(urllib3.exceptions.SSLError(_certificate_error())), UnavailableError,
     f"{_UNSAFE}its certificate is not trusted (self-signed certificate)", False),
    (_wrapped(_tls_error("WRONG_VERSION_NUMBER")), UnavailableError, _UNSAFE, False),
    (_wrapped(_tls_error(None)), UnavailableError, _UNSAFE, False),
    (_wrapped(urllib3.exceptions.SSLError("x")), UnavailableError, _UNSAFE, False),
    (requests.exceptions.SSLError("x"), UnavailableError, _UNSAFE, False),
    (TimeoutError(), UnavailableError, "no answer from gateway.example within 5 seconds", True),
    (requests.exceptions.ReadTimeout("x"), UnavailableError, "no answer from gateway.example within 5 seconds", True),
    (socket.gaierror(-2, "x"), UnavailableError, f"{_REACH}its name cannot be resolved", True),
    (OSError(101, "Network is unreachable"), UnavailableError, f"{_REACH}network is unreachable", True),
    (_wrapped(urllib3.exceptions.ProtocolError("x")), UnavailableError, f"{_REACH}the connection failed", True),
    (urllib3.exceptions.HTTPError("x"), UnavailableError, f"{_REACH}the connection failed", True),
    (http.client.LineTooLong("x"), BadResponseError, f"{UNTRUSTED}it is cut off or is not HTTP", False),
    (http.client.RemoteDisconnected("x"), UnavailableError, f"{_REACH}the server closed the connection", True),
    (UnicodeError("label too long"), UsageError, "no connection can be made to gateway.example", False),
    (urllib3.exceptions.LocationParseError("x"), UsageError, "no connection can be made to gateway.example", False),
    (OverflowError("timeout"), ApimartError, "a bug in apimart: OverflowError in ", False),
    (OSError("no words"), ApimartError, "a bug in apimart: OSError in ", False),
    (ValueError(KEY), ApimartError, "a bug in apimart: ValueError in ", False),
])  # fmt: skip
def test_every_exception_of_the_libraries_becomes_one_of_ours(
    transport: Transport, monkeypatch: pytest.MonkeyPatch, raised: Exception, kind: type[ApimartError], told: str,
    retryable: bool,
) -> None:  # fmt: skip
    """Each has its kind, its words, and whether asking again can help; what nobody knows is a bug, without words."""

    def fail(*_arguments: object, **_named: object) -> None:
        raise raised

    monkeypatch.setattr(requests.Session, "request", fail)
    error = fault(transport, "https://gateway.example")
    assert type(error) is kind
    assert error.message.startswith(told)
    assert getattr(error, "retryable", False) is retryable
    assert KEY not in error.message
    assert (error.__context__, error.__cause__) == (None, None)


def test_exceptions_that_hold_each_other_end_the_search(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain that leads back to itself is walked once."""
    first, second = requests.exceptions.ConnectionError(), OSError("x")
    first.args, second.args = (second,), (first,)

    def fail(*_arguments: object, **_named: object) -> Sequence[object]:
        raise first

    monkeypatch.setattr(requests.Session, "request", fail)
    assert fault(transport, "https://gateway.example").message == f"{_REACH}the connection failed"
