"""One HTTP exchange: a target in, a complete answer or one of our errors out.

Everything by which requests could follow, resend, swallow, replace or unpack something is switched off here.
"""

import warnings
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from http.cookiejar import DefaultCookiePolicy
from typing import Any, NamedTuple, Self
from urllib.request import getproxies

import requests
import urllib3
from requests.auth import AuthBase

from apimart_cli.errors import ApimartError, untrustworthy
from apimart_cli.gateway.answer import Answer
from apimart_cli.gateway.connections import Adapter
from apimart_cli.gateway.wire import check_framing
from apimart_cli.keys.key import ApiKey
from apimart_cli.target import Target, is_plain_http
from apimart_cli.version import __version__
from apimart_cli.words import Scope

MAX_BODY_BYTES = 64 * 1024
"""Largest body that is read, compressed or not; a real answer has about 100 bytes."""


class Head(NamedTuple):
    """The head of an answer, as it came."""

    scope: Scope
    status: int
    date: str | None
    """The header Date, as the server wrote it."""
    at: datetime
    """When it came, by our clock, in UTC."""
    seconds: float
    """How long it took, with the connection."""


class Inspection(NamedTuple):
    """How to ask where the answers themselves are looked at: each question once, and every head is shown."""

    show: Callable[[Head], None]
    """Called from any thread."""
    attempts: int = 1


class Transport:
    """The connections of one run. Threads may share it: each exchange has its own state."""

    def __init__(self, *, connections: int, adapter: Adapter | None = None) -> None:
        """Allow `connections` exchanges with one host at once. An `adapter` makes them in place of the usual one."""
        self._session = _open_session(adapter or Adapter(connections=connections))

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._session.close()

    def send(self, target: Target, key: ApiKey, seconds_left: Callable[[], float]) -> "Incoming":
        """Send the question, and return the answer when its headers are there; the body is still on its way.

        Raises UnavailableError when no answer comes, BadResponseError when it is not HTTP, UsageError when the local
        settings make a connection impossible.
        """
        try:
            response = self._get(target, seconds_left, _BearerAuth(key))
        except Exception as error:  # noqa: BLE001  # the libraries also raise OSError, ValueError and UnicodeError
            failure = self._translated(error, target)
        else:
            return Incoming(response, target, seconds_left)
        # Raised out here, so that it does not keep the library's error alive, with the TLS context in its frames.
        raise failure

    def failure_to_connect(
        self, target: Target, seconds_left: Callable[[], float], *, ended_by: type[Exception]
    ) -> ApimartError | None:
        """Return why no connection can be made; raise `ended_by` as the adapter does where one is there.

        No key is sent. The adapter has to end every connection before a request is written to it.
        """
        try:
            self._get(target, seconds_left, _NoAuth()).close()
        except ended_by:
            raise
        except Exception as error:  # noqa: BLE001  # as above
            return self._translated(error, target)
        return None

    def _get(self, target: Target, seconds_left: Callable[[], float], auth: AuthBase) -> requests.Response:
        return self._session.get(target.endpoint, auth=auth, timeout=max(0.001, seconds_left()), stream=True)

    def _translated(self, error: Exception, target: Target) -> ApimartError:
        from apimart_cli.gateway.library_errors import translate

        return translate(error, target, self._session.proxy_for(target.endpoint))


class Incoming:
    """An answer of which the headers have come. It is a context manager, which gives the connection back."""

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
        """The header Retry-After, as the server wrote it."""
        return self._response.headers.get("Retry-After")

    def head(self, seconds: float) -> "Head":
        """Return what the head says, which has come just now, after so many seconds."""
        date = self._response.headers.get("Date")
        return Head(self._target.scope, self._response.status_code, date, datetime.now(UTC), seconds)

    def without_body(self) -> Answer:
        """Return what is known before the body is read."""
        response, headers = self._response, self._response.headers
        return Answer(
            response.status_code,
            response.reason or "",
            b"",
            location=headers.get("Location"),
            age=headers.get("Age"),
            warning=headers.get("Warning"),
            server=headers.get("Server"),
            mitigated=headers.get("cf-mitigated"),
            date=headers.get("Date"),
            usage_cache=headers.get("X-Usage-Cache"),
        )

    def receive(self) -> Answer:
        """Receive the body and return the whole answer; after a status other than 200 the body may be missing.

        Raises UnavailableError when it stops arriving, BadResponseError when it is cut off, damaged or too large.
        """
        try:
            check_framing(self._response.headers)
            most = self._target.most_bytes or MAX_BODY_BYTES
            body = _decode(self._read_body(most), self._response.headers.get("Content-Encoding"), most)
        except Exception as error:  # noqa: BLE001  # as in send
            if self.status != 200:
                # The status has decided already; the body would only explain it.
                return self.without_body()
            from apimart_cli.gateway.library_errors import translate

            failure = error if isinstance(error, ApimartError) else translate(error, self._target)
        else:
            return self.without_body()._replace(body=body)
        raise failure

    def _read_body(self, most: int) -> bytes:
        """Return the body as it was sent, compressed or not. Raises BadResponseError for more than so many bytes."""
        body = b""
        while len(body) <= most:
            if self._seconds_left() == 0:
                raise TimeoutError
            # Not `read`, which waits for all that it was asked for, however long that takes.
            chunk = self._response.raw.read1(most + 1 - len(body), decode_content=False)
            if not chunk:
                return body
            body += chunk
        raise _too_large(most)


class _Session(requests.Session):
    """A session that connects to the URL it is given, directly or by our choice of proxy, and to nothing else."""

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:  # noqa: ARG002
        """Use the environment's proxies for https only: on plain HTTP the key must not leave this machine.

        An empty list of proxies would not be enough: for the library, variables like `http://127.0.0.1_proxy` come
        first. Where connections are made it is decided which authorities are trusted.

        Raises UsageError for a proxy with a mistake in its address.
        """
        proxies, chosen = self._proxies_for(str(url))  # no question brings proxies of its own
        if chosen is not None:
            from apimart_cli.gateway.proxies import check_proxy

            check_proxy(chosen)
        return {"proxies": proxies, "stream": stream, "verify": True, "cert": None}

    def proxy_for(self, url: str) -> str | None:
        """Return the proxy for requests to `url`, without user and password; None where there is none."""
        _, proxy = self._proxies_for(url)
        if proxy is None:
            return None
        from apimart_cli.gateway.proxies import place_of

        return place_of(proxy)

    def _proxies_for(self, url: str) -> tuple[dict[str, str], str | None]:
        """Return the proxies that are set, and the one that requests to `url` go through."""
        if is_plain_http(url) or not getproxies():
            return {}, None
        from apimart_cli.gateway.proxies import chosen_proxy, environment_proxies

        proxies = environment_proxies(url)
        return proxies, chosen_proxy(url, proxies)

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Find no redirect: the library would read its whole body, even when told not to follow it."""


class _BearerAuth(AuthBase):
    """The key as a callable `auth`: an entry of ~/.netrc would replace an `Authorization` among the headers."""

    def __init__(self, key: ApiKey) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._key.reveal()}"
        return request


class _NoAuth(AuthBase):
    """No key, and none of ~/.netrc either."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


def _open_session(adapter: Adapter) -> _Session:
    # The error about certificates says when the clock is wrong. The library's warning about the clock shows a path of
    # this machine, and is an exception where warnings are errors.
    warnings.simplefilter("ignore", urllib3.exceptions.SystemTimeWarning)
    session = _Session()
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.headers.clear()
    session.headers.update(
        {
            "User-Agent": f"apimart-cli/{__version__}",
            "Accept": "application/json",
            # A balance out of a cache proves nothing.
            "Cache-Control": "no-cache",
            # Compressing a hundred bytes gains nothing; `_decode` accepts gzip from a server that sends it anyway.
            "Accept-Encoding": "identity",
        }
    )
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def _too_large(most: int) -> ApimartError:
    return untrustworthy(f"it is larger than {most // 1024} KiB")


def _decode(body: bytes, encoding: str | None, most: int) -> bytes:
    """Unpack gzip, which must be complete, with the right checksum, nothing after it, and not too large."""
    encoding = (encoding or "identity").strip().lower()
    if encoding == "identity":
        return body
    if encoding not in {"gzip", "x-gzip"}:
        raise untrustworthy("it is compressed in a way that was not asked for")
    unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        plain = unpacker.decompress(body, most + 1)
    except zlib.error:
        raise untrustworthy("its compression is damaged") from None
    if len(plain) > most:
        raise _too_large(most)
    if not unpacker.eof or unpacker.unused_data:
        raise untrustworthy("its compression is cut off or goes on after its end")
    return plain
