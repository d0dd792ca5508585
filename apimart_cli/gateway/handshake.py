"""A connection to a gateway on which nothing is sent: how long it takes, and which certificate is shown.

It is made as a question makes it, with the same proxy, addresses and authorities, and is closed before any request. A
certificate that is not trusted is looked at once more, on a connection that trusts every certificate: to learn its
issuer, which says what stands in between. No key is near that connection, and no byte of a request is written to it.
"""

import ssl
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import requests

from apimart_cli.errors import ApimartError
from apimart_cli.gateway.certificate import Certificate, read_certificate
from apimart_cli.gateway.connections import Adapter
from apimart_cli.gateway.transport import Transport
from apimart_cli.target import Target

NOT_TRUSTED = "its certificate is not trusted"
"""The words of the failure in which a certificate was seen."""


class Handshake(NamedTuple):
    """What became of a connection."""

    seconds: float
    failure: ApimartError | None = None
    certificate: Certificate | None = None
    """That of the gateway, trusted or not; None where none was seen."""


def shake_hands(target: Target, seconds_left: Callable[[], float]) -> Handshake:
    """Connect to the gateway of a target, and close the connection."""
    began = time.monotonic()
    seen, failure = _connect(target, seconds_left, _Closing())
    took = time.monotonic() - began
    if failure is not None and NOT_TRUSTED in failure.message and seconds_left() > 0:
        seen, _ = _connect(target, seconds_left, _ClosingWithoutTrust())
    return Handshake(took, failure, None if seen is None else read_certificate(seen))


class _ConnectedError(Exception):
    """The connection is there; ends the attempt before anything is sent."""

    def __init__(self, certificate: bytes | None) -> None:
        super().__init__()
        self.certificate = certificate


class _ClosedConnection:
    """Mixed into a connection: closes it as soon as it is there."""

    sock: Any

    def connect(self) -> None:
        """Connect, and raise _ConnectedError in place of a return."""
        super().connect()  # type: ignore[misc]  # mixed into urllib3's classes
        certificate = self.sock.getpeercert(binary_form=True) if hasattr(self.sock, "getpeercert") else None
        self.close()  # type: ignore[attr-defined]  # as above
        raise _ConnectedError(certificate)


class _Closing(Adapter):
    """Makes connections that are closed as soon as they are there."""

    def __init__(self) -> None:
        super().__init__(connections=1)

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        """Return the pool of connections for a request."""
        pool: Any = super().get_connection_with_tls_context(request, verify, proxies, cert)
        pool.ConnectionCls = type("_Closed", (_ClosedConnection, pool.ConnectionCls), {})
        return pool


class _ClosingWithoutTrust(_Closing):
    """Makes them with any certificate."""

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[Any, Any]:
        """Return where to connect to, and the TLS context for it."""
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return host, {"cert_reqs": "CERT_NONE", "ssl_context": context}


def _connect(
    target: Target, seconds_left: Callable[[], float], adapter: Adapter
) -> tuple[bytes | None, ApimartError | None]:
    """Return the certificate that was seen, and how the connection failed."""
    transport = Transport(connections=1, adapter=adapter)
    try:
        failure = transport.failure_to_connect(target, seconds_left, ended_by=_ConnectedError)
    except _ConnectedError as connected:
        return connected.certificate, None
    finally:
        transport.close()
    return None, failure
