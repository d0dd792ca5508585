"""The errors of requests, urllib3, http.client, ssl and socket, each translated into an error of ours in one place."""

import http.client
import re
import ssl
from collections import deque
from collections.abc import Iterator, Sequence
from socket import gaierror

import requests
import urllib3

from apimart_cli.errors import ApimartError, UnavailableError, UsageError, bug, untrustworthy
from apimart_cli.gateway.failures import timed_out, unreachable
from apimart_cli.target import Target
from apimart_cli.text import quote

_PROXY_HINT = "check HTTPS_PROXY and ALL_PROXY"

_CERTIFICATE_HINT = (
    "the connection is not safe and the key was not sent; if you trust a private CA, name it in REQUESTS_CA_BUNDLE"
)

_STRICT_CODES = range(80, 95)
"""Faults of a certificate that OpenSSL sees only when strict (X509_V_FLAG_X509_STRICT), by openssl/x509_vfy.h."""

_REMEDIES = {
    85: "have the certificates issued anew with authorityKeyIdentifier = keyid",
    86: "have the CA's certificate issued anew with subjectKeyIdentifier = hash",
    89: "have the CA's certificate issued anew with basicConstraints = critical,CA:TRUE",
    92: "have the CA's certificate issued anew with keyUsage = critical,keyCertSign",
}
"""What mends the usual ones, in the words of `openssl.cnf`."""

_TLS_HINT = "check the base URL and what stands between here and it; nothing is ever sent over an unsafe connection"


def translate(error: Exception, target: Target, proxy: str | None = None) -> ApimartError:
    """Return the error of ours that stands for one of requests, urllib3, http.client, ssl or socket.

    `proxy` is the proxy that was asked for a connection, without its password, or None.
    """
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ApimartError):
            return cause
    return (
        _local_fault(causes, target.host)
        or _certain_fault(causes, target)
        or _connection_fault(causes, target.host, proxy)
        or bug(error)
    )


def _local_fault(causes: Sequence[BaseException], host: str) -> ApimartError | None:
    """Translate faults in the settings of this machine; asking again cannot help."""
    error = causes[0]
    if isinstance(error, requests.exceptions.InvalidProxyURL):
        return UsageError("the proxy's address is malformed", _PROXY_HINT)
    if isinstance(error, requests.exceptions.InvalidSchema):
        from apimart_cli.installing import command_to_add

        return UsageError(
            "a SOCKS proxy needs one more package", f"install it with: {command_to_add('requests[socks]')}"
        )
    # A proxy's URL, or a base URL that passed our rules but not those of the libraries, as with too long a label.
    malformed_address = (requests.exceptions.InvalidURL, urllib3.exceptions.LocationValueError, UnicodeError)
    if isinstance(error, malformed_address) or _has(causes, http.client.InvalidURL):
        return UsageError(
            f"no connection can be made to {host}: the address, or that of the proxy, is malformed",
            "check the base URL, HTTPS_PROXY and ALL_PROXY",
        )
    return None


def _certain_fault(causes: Sequence[BaseException], target: Target) -> ApimartError | None:
    """Translate failures that have errors of their own: TLS, the clock, an answer that is not HTTP."""
    # Never retried: a certificate does not become valid, and asking again gives an attacker another try.
    if _has(causes, ssl.SSLError, urllib3.exceptions.SSLError, requests.exceptions.SSLError):
        return _tls_fault(causes, target.host)
    # A refused connection is a NewConnectionError, which urllib3 counts among the timeouts.
    if any(isinstance(cause, _TIMEOUTS) and not isinstance(cause, _REFUSALS) for cause in causes):
        return timed_out(target.host, target.timeout)
    # The server hung up before its first byte: the only HTTPException that means "no answer" and not a bad one.
    if _has(causes, http.client.RemoteDisconnected):
        return unreachable(target.host, "the server closed the connection without an answer")
    # urllib3 wraps these and broken connections alike in ProtocolError.
    if _has(causes, http.client.HTTPException, urllib3.exceptions.InvalidHeader, urllib3.exceptions.IncompleteRead):
        return untrustworthy("it is cut off or is not HTTP")
    return None


def _connection_fault(causes: Sequence[BaseException], host: str, proxy: str | None) -> ApimartError | None:
    """Translate the rest: connections that were not made or did not last, with the best reason there is."""
    # The error of a SOCKS proxy that gives no connection is that of a host that does not answer.
    if _has(causes, urllib3.exceptions.ProxyError) or (proxy is not None and _has(causes, *_REFUSALS)):
        return _proxy_fault(causes, proxy or "that is set")
    if _has(causes, gaierror):
        return unreachable(host, "its name cannot be resolved")
    for cause in causes:
        if isinstance(cause, OSError) and cause.strerror:
            return unreachable(host, cause.strerror.lower())
    if _has(causes, requests.exceptions.ConnectionError, urllib3.exceptions.HTTPError):
        return unreachable(host, "the connection failed")
    return None


def _proxy_fault(causes: Sequence[BaseException], proxy: str) -> UnavailableError:
    """Translate a proxy that was not reached, or that was asked for a tunnel and refused."""
    reason, retryable = "the connection failed", True
    for cause in causes:
        # The standard library gives the status of the refusal only in its message, before the proxy's own words.
        if refusal := re.match(r"Tunnel connection failed: ([0-9]{3})\b", str(cause)):
            reason, retryable = f"it answered with HTTP {refusal[1]}", refusal[1] in {"502", "503", "504"}
        # A SOCKS proxy refuses by number; the words come from the package that speaks SOCKS.
        elif refusal := re.search(r"\b0x0[1-8]: ([A-Za-z ]+)", str(cause)):
            reason = refusal[1].lower()
        elif isinstance(cause, gaierror):
            reason = "its name cannot be resolved"
        elif isinstance(cause, OSError) and cause.strerror:
            reason = cause.strerror.lower()
    message = f"no connection through the proxy {quote(proxy)}: {reason}"
    return UnavailableError(message, _PROXY_HINT, retryable=retryable)


_TIMEOUTS = (TimeoutError, urllib3.exceptions.TimeoutError, requests.exceptions.Timeout)

_REFUSALS = (urllib3.exceptions.NewConnectionError,)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield `error` and every error in it: as `reason`, as an argument, as cause or context."""
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


def _hint_for(verify_code: int) -> str:
    """Return what to do about a certificate that OpenSSL does not trust."""
    if verify_code not in _STRICT_CODES:
        return _CERTIFICATE_HINT
    remedy = _REMEDIES.get(verify_code, "have it issued anew")
    return (
        "the key was not sent; from 3.13 on, Python takes only certificates that follow RFC 5280 to the letter: "
        f"{remedy}; or run apimart with Python 3.12"
    )


def _tls_fault(causes: Sequence[BaseException], host: str) -> ApimartError:
    reason = ""
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError) and cause.verify_message:
            untrusted = f"no safe connection to {host}: its certificate is not trusted ({cause.verify_message})"
            return UnavailableError(untrusted, _hint_for(getattr(cause, "verify_code", 0)))
        if isinstance(cause, ssl.SSLEOFError):
            reason = " (the server broke it off)"
        elif isinstance(cause, ssl.SSLError) and cause.reason:
            reason = f" ({cause.reason.replace('_', ' ').lower()})"
    return UnavailableError(f"no safe connection to {host}: TLS failed{reason}", _TLS_HINT)
