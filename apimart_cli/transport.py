"""One HTTP exchange: a target in, a complete answer or one of our errors out. The only importer of requests.

Every convenience of the library that could follow, resend, swallow, replace or unpack something is switched off here,
and every exception of the libraries is translated here, once, with a note on when it happens.
"""

import http.client
import re
import ssl
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.cookiejar import DefaultCookiePolicy
from socket import gaierror
from typing import IO, Any, Self, cast
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from apimart_cli import __version__
from apimart_cli.apikey import ApiKey
from apimart_cli.balance import Answer
from apimart_cli.errors import ApimartError, BadResponseError, UnavailableError, UsageError, bug
from apimart_cli.target import Target, is_plain_http

MAX_BODY_BYTES = 64 * 1024
"""Largest body that is read, before and after decompression; a real answer has about 100 bytes."""

MAX_HEAD_BYTES = 64 * 1024
"""Most bytes of status lines and headers that are read; the library would take 100 lines of this size."""

_TIMEOUT_HINT = "try again later, or allow more time with --timeout"
_NETWORK_HINT = "check the network, the proxy settings and the base URL (`apimart config show`)"
_PROXY_HINT = "check HTTPS_PROXY and ALL_PROXY"
_CERTIFICATE_HINT = (
    "the connection is not safe and the key was not sent; if you trust a private CA, name it in REQUESTS_CA_BUNDLE"
)
_TLS_HINT = "check the base URL and what stands between here and it; nothing is ever sent over an unsafe connection"
_CA_HINT = "correct the variable, or unset it to trust the usual authorities"
_ANSWER_HINT = "something between here and the gateway, or the gateway itself, answered wrongly; try again later"


class Transport:
    """The connections of one run. Safe to share between threads: each exchange keeps its own state."""

    def __init__(self, *, connections: int) -> None:
        """Allow `connections` exchanges with one host at once."""
        self._session = _open_session(connections)

    def send(self, target: Target, key: ApiKey, seconds_left: Callable[[], float]) -> "Incoming":
        """Send the question and return the answer as soon as its headers are there; the body is still on its way.

        Raises UnavailableError when no answer comes, BadResponseError when it is not HTTP, UsageError when the local
        settings make a connection impossible.
        """
        try:
            response = self._session.get(
                target.endpoint,
                auth=_BearerAuth(key),
                timeout=max(0.001, seconds_left()),
                stream=True,
            )
        except Exception as error:  # noqa: BLE001  # OSError, ValueError and UnicodeError escape the libraries' trees
            raise _translate(error, target) from None
        return Incoming(response, target, seconds_left)


class Incoming:
    """An answer whose headers are there. Use it as a context manager: leaving it gives the connection back."""

    def __init__(self, response: requests.Response, target: Target, seconds_left: Callable[[], float]) -> None:
        self._response = response
        self._target = target
        self._seconds_left = seconds_left

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._response.close()

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._response.status_code

    @property
    def retry_after(self) -> str | None:
        """What the server asks of the next attempt, as it wrote it."""
        return self._response.headers.get("Retry-After")

    def without_body(self) -> Answer:
        """Return what is known before the body is read."""
        response = self._response
        return Answer(response.status_code, response.reason or "", b"", response.headers.get("Location"))

    def receive(self) -> Answer:
        """Receive the body and return the answer, whole; behind a status other than 200 the body may be missing.

        Raises UnavailableError when it stops arriving, BadResponseError when it is cut off, damaged or too large.
        """
        try:
            _check_framing(self._response.headers)
            body = _decode(self._read_body(), self._response.headers.get("Content-Encoding"))
        except Exception as error:  # noqa: BLE001  # as in send
            if self.status != 200:
                # The status has decided already; the body would only have told more about it.
                return self.without_body()
            raise (error if isinstance(error, ApimartError) else _translate(error, self._target)) from None
        return self.without_body()._replace(body=body)

    def _read_body(self) -> bytes:
        """Return the body as it was sent, compressed or not, at most MAX_BODY_BYTES of it."""
        body = b""
        while len(body) <= MAX_BODY_BYTES:
            if self._seconds_left() == 0:
                raise TimeoutError
            # Not `read`: behind a chunk of negative size it takes in whatever comes, without a limit.
            chunk = self._response.raw.read1(MAX_BODY_BYTES + 1 - len(body), decode_content=False)
            if not chunk:
                return body
            body += chunk
        raise _too_large()


def timed_out(target: Target) -> UnavailableError:
    """Return the error for an answer that did not come within the time limit."""
    return UnavailableError(
        f"no answer from {_host(target)} within {target.timeout:g} seconds", _TIMEOUT_HINT, retryable=True
    )


class _Session(requests.Session):
    """A session that goes where it is told, and nowhere else."""

    def merge_environment_settings(self, url: Any, *settings: Any, **named: Any) -> Any:
        """Take the environment's proxies for https only: on plain HTTP the key must not leave this machine.

        Proxies named for nothing are no way to say so: variables like `http://127.0.0.1_proxy` come before them.
        """
        merged = super().merge_environment_settings(url, *settings, **named)
        if is_plain_http(str(url)):
            merged["proxies"] = {}
        return merged

    def get_redirect_target(self, resp: requests.Response) -> None:
        """See no redirect: the library would read its whole body, even when told not to follow."""


class _BearerAuth(AuthBase):
    """The key as a callable `auth`: an `Authorization` among the headers would give way to an entry of ~/.netrc."""

    def __init__(self, key: ApiKey) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._key.reveal()}"
        return request


class _Adapter(HTTPAdapter):
    """An adapter whose connections, direct or through a proxy, give a `_Response`."""

    def get_connection_with_tls_context(self, *arguments: Any, **named: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*arguments, **named)
        if pool.ConnectionCls.response_class is not _Response:
            pool.ConnectionCls = type("_Connection", (pool.ConnectionCls,), {"response_class": _Response})
        return pool


class _Response(http.client.HTTPResponse):
    """An answer whose head is held to the syntax of a status line and to a size."""

    def begin(self) -> None:
        stream = self.fp
        self.fp = cast("Any", _Head(stream))
        try:
            super().begin()
        except (http.client.HTTPException, OSError):
            raise
        except Exception:  # noqa: BLE001  # headers are read as those of e-mail, which stumbles over odd parameters
            raise http.client.HTTPException("not shown") from None
        finally:
            self.fp = stream
        # What a connection carries behind one answer must not be taken for the next one, to another key perhaps.
        self.will_close = True
        # No cookie is kept, and the library that reads them prints a traceback where it cannot.
        del self.headers["Set-Cookie"], self.headers["Set-Cookie2"]
        # Behind a line that is none the other headers are not seen, those that tell where the body ends among them.
        if self.headers.defects or self.headers.get_payload():
            self.headers["Content-Length"] = "unseen"
        # urllib3 raises on lengths that differ, before anybody has seen the status, and leaves the socket open. Under
        # one that is no number the status still decides, and `_check_framing` finds it.
        lengths = ",".join(self.headers.get_all("Content-Length", [])).split(",")
        if len({length.strip() for length in lengths}) > 1:
            del self.headers["Content-Length"]
            self.headers["Content-Length"] = "contradictory"


class _Head:
    """The status line and the headers, line by line, those of interim answers before them included."""

    # The library takes whatever Python's int() makes a number of: `+200`, `0200` and `2_00` would be 200.
    _STATUS_LINE = re.compile(rb"HTTP/1\.[0-9] [1-9][0-9]{2}(?: [^\r\n]*)?\r?\n")

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._left = MAX_HEAD_BYTES
        self._is_at_start = True

    def readline(self, limit: int) -> bytes:
        line = self._stream.readline(min(limit, self._left + 1))
        self._left -= len(line)
        if self._left < 0:
            raise http.client.LineTooLong("head")
        if self._is_at_start and line and not self._STATUS_LINE.fullmatch(line):
            raise http.client.BadStatusLine("not shown")
        # Behind an empty line there is another head, or nothing that is read from here.
        self._is_at_start = line in {b"\r\n", b"\n"}
        return line


def _open_session(connections: int) -> requests.Session:
    session = _Session()
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.headers.clear()
    session.headers.update(
        {
            "User-Agent": f"apimart-cli/{__version__}",
            "Accept": "application/json",
            # Nothing to gain from compressing a hundred bytes; `_decode` accepts gzip from those who send it anyway.
            "Accept-Encoding": "identity",
        }
    )
    adapter = _Adapter(pool_maxsize=connections)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def _check_framing(headers: Mapping[str, str]) -> None:
    """Take only headers that tell in one way where the body ends: a length that they cannot read, libraries ignore."""
    coding, length = headers.get("Transfer-Encoding"), headers.get("Content-Length")
    if coding is not None:
        is_clear = length is None and coding.lower() == "chunked"
    else:
        # The same length twice is one length.
        is_clear = length is None or all(_is_size(text.strip()) for text in length.split(","))
    if not is_clear:
        raise _untrustworthy("its headers do not tell where it ends")


def _is_size(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18


def _decode(body: bytes, encoding: str | None) -> bytes:
    """Undo a gzip Content-Encoding, exactly: complete, checksummed, nothing behind it, and no larger than allowed."""
    encoding = (encoding or "identity").strip().lower()
    if encoding == "identity":
        return body
    if encoding not in {"gzip", "x-gzip"}:
        raise _untrustworthy("it is compressed in a way that was not asked for")
    unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        plain = unpacker.decompress(body, MAX_BODY_BYTES + 1)
    except zlib.error:
        raise _untrustworthy("its compression is damaged") from None
    if len(plain) > MAX_BODY_BYTES:
        raise _too_large()
    if not unpacker.eof or unpacker.unused_data:
        raise _untrustworthy("its compression is cut off or goes on behind its end")
    return plain


# --- the libraries' errors, translated once ---------------------------------------------------------------------


def _translate(error: Exception, target: Target) -> ApimartError:
    """Return the error of ours that stands for one of requests, urllib3, http.client, ssl or socket."""
    host = _host(target)
    causes = list(_causes(error))
    return _local_fault(causes, host) or _certain_fault(causes, target) or _connection_fault(causes, host) or bug(error)


def _local_fault(causes: Sequence[BaseException], host: str) -> ApimartError | None:
    """Translate what our own machine's settings make impossible; asking again cannot help."""
    error = causes[0]
    # requests raises a bare OSError before it opens a connection when the CA file of the environment is missing.
    if type(error) is OSError and "CA certificate bundle" in str(error):
        return UsageError(
            "REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names a CA file that does not exist",
            _CA_HINT,
        )
    for cause in causes:
        # No network has file names: a file that TLS needs here, like that of the environment's SSLKEYLOGFILE.
        if isinstance(cause, OSError) and cause.filename is not None:
            return UsageError(
                f"TLS cannot use the file {cause.filename}: {(cause.strerror or 'it is unusable').lower()}",
                "correct or unset SSLKEYLOGFILE, REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE",
            )
        # The only SSLError that the library makes of an OSError is that of reading the authorities.
        is_of_ssl = isinstance(cause.__cause__, ssl.SSLError)
        if isinstance(cause, urllib3.exceptions.SSLError) and isinstance(cause.__cause__, OSError) and not is_of_ssl:
            return UsageError("REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names a file that cannot be read", _CA_HINT)
    if isinstance(error, requests.exceptions.InvalidProxyURL):
        return UsageError("the proxy's address is malformed", _PROXY_HINT)
    if isinstance(error, requests.exceptions.InvalidSchema):
        return UsageError("a SOCKS proxy needs one more package", "install it with: pip install 'requests[socks]'")
    # A proxy's URL, or a base URL that passed our rules but not those of the libraries: too long a label, for example.
    malformed_address = (requests.exceptions.InvalidURL, urllib3.exceptions.LocationValueError, UnicodeError)
    if isinstance(error, malformed_address) or _has(causes, http.client.InvalidURL):
        return UsageError(
            f"no connection can be made to {host}: the address, or that of the proxy, is malformed",
            "check the base URL, HTTPS_PROXY and ALL_PROXY",
        )
    return None


def _certain_fault(causes: Sequence[BaseException], target: Target) -> ApimartError | None:
    """Translate failures that name themselves: TLS, the clock, an answer that is not HTTP."""
    # Never retried: a certificate does not become valid, and asking again gives an attacker another try.
    if _has(causes, ssl.SSLError, urllib3.exceptions.SSLError, requests.exceptions.SSLError):
        return _tls_fault(causes, _host(target))
    # A refused connection is a NewConnectionError, which urllib3 counts among the timeouts.
    if any(isinstance(cause, _TIMEOUTS) and not isinstance(cause, _REFUSALS) for cause in causes):
        return timed_out(target)
    # The server hung up before its first byte: the only HTTPException that means "no answer" and not a bad one.
    if _has(causes, http.client.RemoteDisconnected):
        return _unreachable(_host(target), "the server closed the connection without an answer")
    # urllib3 wraps these and broken connections alike in ProtocolError.
    if _has(causes, http.client.HTTPException, urllib3.exceptions.InvalidHeader, urllib3.exceptions.IncompleteRead):
        return _untrustworthy("it is cut off or is not HTTP")
    return None


def _connection_fault(causes: Sequence[BaseException], host: str) -> ApimartError | None:
    """Translate what remains, connections that were not made or did not last, with the best reason there is."""
    if _has(causes, urllib3.exceptions.ProxyError):
        return _proxy_fault(causes, host)
    if _has(causes, gaierror):
        return _unreachable(host, "its name cannot be resolved")
    for cause in causes:
        if isinstance(cause, OSError) and cause.strerror:
            return _unreachable(host, cause.strerror.lower())
    if _has(causes, requests.exceptions.ConnectionError, urllib3.exceptions.HTTPError):
        return _unreachable(host, "the connection failed")
    return None


def _proxy_fault(causes: Sequence[BaseException], host: str) -> UnavailableError:
    """Translate a proxy that was not reached, or that was asked for a tunnel and refused."""
    reason, retryable = "the connection failed", True
    for cause in causes:
        # The standard library tells the status of the refusal in words only, and the proxy's own words behind it.
        if refusal := re.match(r"Tunnel connection failed: ([0-9]{3})\b", str(cause)):
            reason, retryable = f"it answered with HTTP {refusal[1]}", refusal[1] in {"502", "503", "504"}
        elif isinstance(cause, gaierror):
            reason = "its name cannot be resolved"
        elif isinstance(cause, OSError) and cause.strerror:
            reason = cause.strerror.lower()
    return UnavailableError(f"could not reach {host} through the proxy: {reason}", _PROXY_HINT, retryable=retryable)


_TIMEOUTS = (TimeoutError, urllib3.exceptions.TimeoutError, requests.exceptions.Timeout)
_REFUSALS = (urllib3.exceptions.NewConnectionError,)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield `error` and everything wrapped in it: as `reason`, as an argument, as cause or context."""
    seen: list[BaseException] = []
    queue = deque([error])
    while queue:
        current = queue.popleft()
        if current in seen:
            continue
        seen.append(current)
        yield current
        wrapped = (getattr(current, "reason", None), *current.args, current.__cause__, current.__context__)
        queue.extend(candidate for candidate in wrapped if isinstance(candidate, BaseException))


def _has(causes: Sequence[BaseException], *kinds: type[BaseException]) -> bool:
    return any(isinstance(cause, kinds) for cause in causes)


_NO_CA_CERTIFICATES = r"\[X509(: NO_CERTIFICATE_OR_CRL_FOUND\]|\] PEM lib)"
"""How OpenSSL complains of a CA file that is none; no server can make it say so."""


def _tls_fault(causes: Sequence[BaseException], host: str) -> ApimartError:
    reason = ""
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError) and cause.verify_message:
            untrusted = f"no safe connection to {host}: its certificate is not trusted ({cause.verify_message})"
            return UnavailableError(untrusted, _CERTIFICATE_HINT)
        if isinstance(cause, ssl.SSLError) and re.match(_NO_CA_CERTIFICATES, str(cause)):
            return UsageError("REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names a file without CA certificates", _CA_HINT)
        if isinstance(cause, ssl.SSLEOFError):
            reason = " (the server broke it off)"
        elif isinstance(cause, ssl.SSLError) and cause.reason:
            reason = f" ({cause.reason.replace('_', ' ').lower()})"
    return UnavailableError(f"no safe connection to {host}: TLS failed{reason}", _TLS_HINT)


def _host(target: Target) -> str:
    return urlsplit(target.base_url).netloc


def _unreachable(host: str, reason: str) -> UnavailableError:
    return UnavailableError(f"could not reach {host}: {reason}", _NETWORK_HINT, retryable=True)


def _too_large() -> BadResponseError:
    return _untrustworthy(f"it is larger than {MAX_BODY_BYTES // 1024} KiB")


def _untrustworthy(what: str) -> BadResponseError:
    return BadResponseError(f"the gateway's answer cannot be trusted: {what}", _ANSWER_HINT)
