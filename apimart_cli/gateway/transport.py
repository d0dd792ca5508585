"""One HTTP exchange: a target in, a complete answer or one of our errors out. The only importer of requests.

Every convenience of the library that could follow, resend, swallow, replace or unpack something is switched off here.
"""

import warnings
import zlib
from collections.abc import Callable
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Self
from urllib.request import getproxies

import requests
import urllib3
from requests.auth import AuthBase

from apimart_cli.errors import ApimartError
from apimart_cli.gateway.answer import Answer
from apimart_cli.gateway.connections import Adapter
from apimart_cli.gateway.failures import untrustworthy
from apimart_cli.gateway.wire import check_framing
from apimart_cli.keys.key import ApiKey
from apimart_cli.target import Target, is_plain_http
from apimart_cli.version import __version__

MAX_BODY_BYTES = 64 * 1024
"""Largest body that is read, before and after decompression; a real answer has about 100 bytes."""


class Transport:
    """The connections of one run. Safe to share between threads: each exchange keeps its own state."""

    def __init__(self, *, connections: int) -> None:
        """Allow `connections` exchanges with one host at once."""
        self._session = _open_session(connections)

    def close(self) -> None:
        """Close the connections that serve nobody."""
        self._session.close()

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
            from apimart_cli.gateway.library_errors import translate

            failure = translate(error, target, self._session.proxy_for(target.endpoint))
        else:
            return Incoming(response, target, seconds_left)
        # Out here, so that it does not keep the library's error alive, and the TLS context in its frames with it.
        raise failure


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
        """Receive the body and return the answer, whole; after a status other than 200 the body may be missing.

        Raises UnavailableError when it stops arriving, BadResponseError when it is cut off, damaged or too large.
        """
        try:
            check_framing(self._response.headers)
            most = self._target.most_bytes or MAX_BODY_BYTES
            body = _decode(self._read_body(most), self._response.headers.get("Content-Encoding"), most)
        except Exception as error:  # noqa: BLE001  # as in send
            if self.status != 200:
                # The status has decided already; the body would only have told more about it.
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
            # Not `read`, which collects what it was asked for however long that takes.
            chunk = self._response.raw.read1(most + 1 - len(body), decode_content=False)
            if not chunk:
                return body
            body += chunk
        raise _too_large(most)


class _Session(requests.Session):
    """A session that goes where it is told, and nowhere else."""

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:  # noqa: ARG002
        """Take the environment's proxies for https only: on plain HTTP the key must not leave this machine.

        Proxies named for nothing are no way to say so: variables like `http://127.0.0.1_proxy` come before them. Which
        authorities are trusted is decided where connections are made.

        Raises UsageError for a proxy whose address has a mistake in it.
        """
        proxies, chosen = self._proxies_for(str(url))  # no question has any of its own
        if chosen is not None:
            from apimart_cli.gateway.proxies import check_proxy

            check_proxy(chosen)
        return {"proxies": proxies, "stream": stream, "verify": True, "cert": None}

    def proxy_for(self, url: str) -> str | None:
        """Return the proxy that `url` is asked through, without user and password; None where there is none."""
        _, proxy = self._proxies_for(url)
        return None if proxy is None else proxy.rpartition("@")[2].rpartition("//")[2].rstrip("/")

    def _proxies_for(self, url: str) -> tuple[dict[str, str], str | None]:
        """Return the proxies that are set, and the one that `url` is asked through."""
        if is_plain_http(url) or not getproxies():
            return {}, None
        from apimart_cli.gateway.proxies import chosen_proxy, environment_proxies

        proxies = environment_proxies(url)
        return proxies, chosen_proxy(url, proxies)

    def get_redirect_target(self, resp: requests.Response) -> None:
        """See no redirect: the library would read its whole body, even when told not to follow."""


class _BearerAuth(AuthBase):
    """The key as a callable `auth`: an `Authorization` among the headers would give way to an entry of ~/.netrc."""

    def __init__(self, key: ApiKey) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._key.reveal()}"
        return request


def _open_session(connections: int) -> _Session:
    # A clock that is wrong makes certificates invalid, and the error about them says so. The library's warning shows a
    # path of this machine, and is an exception where warnings are errors.
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
            # Nothing to gain from compressing a hundred bytes; `_decode` accepts gzip from those who send it anyway.
            "Accept-Encoding": "identity",
        }
    )
    adapter = Adapter(connections=connections)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def _too_large(most: int) -> ApimartError:
    return untrustworthy(f"it is larger than {most // 1024} KiB")


def _decode(body: bytes, encoding: str | None, most: int) -> bytes:
    """Undo a gzip Content-Encoding, exactly: complete, checksummed, nothing after it, and no larger than allowed."""
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
