"""Connections: each goes where its URL says and nowhere else, gives strict answers, and has TLS settings made once."""

import os
import socket
import ssl
import sys
import threading
from pathlib import Path
from typing import Any

import requests
import urllib3
from requests.adapters import DEFAULT_CA_BUNDLE_PATH, HTTPAdapter

from apimart_cli.errors import UsageError
from apimart_cli.gateway.wire import StrictResponse
from apimart_cli.target import is_loopback_address, is_plain_http

_CA_HINT = "correct the variable, or unset it to trust the usual authorities"
_CA_VARIABLES = "REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE"


class Adapter(HTTPAdapter):
    """Gives connections, direct or through a proxy, that share one TLS context for each CA setting."""

    def __init__(self, *, connections: int) -> None:
        super().__init__(pool_maxsize=connections)

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[Any, Any]:
        """Return where to connect to, and the TLS context to do it with.

        Left to themselves the libraries read the CA file again for every connection: 140 certificates each time.
        """
        host, settings = super().build_connection_pool_key_attributes(request, verify, cert)
        if host["scheme"] == "https":
            settings = {"cert_reqs": "CERT_REQUIRED", "ssl_context": TLS_CONTEXTS.get(verify)}
        return host, settings

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Leave the connection as it is: its context holds the authorities already."""

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        """Return the pool of connections for a request."""
        pool: Any = super().get_connection_with_tls_context(request, verify, proxies, cert)
        if pool.ConnectionCls.response_class is not StrictResponse:
            base = LoopbackConnection if is_plain_http(str(request.url)) else pool.ConnectionCls
            pool.ConnectionCls = type("_Connection", (base,), {"response_class": StrictResponse})
        return pool

    def proxy_manager_for(self, proxy: str, **settings: Any) -> Any:
        """Return the manager of a proxy. A proxy that is itself reached over TLS is trusted by the same authorities."""
        if proxy.lower().startswith("https:"):
            verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
            settings["proxy_ssl_context"] = TLS_CONTEXTS.get(verify)
        return super().proxy_manager_for(proxy, **settings)


class LoopbackConnection(urllib3.connection.HTTPConnection):
    """A connection without TLS: only to an address of this machine, whatever its name is said to mean."""

    def _new_conn(self) -> socket.socket:
        """Connect to an address that was checked. `localhost` is a name, and a hosts file may point it elsewhere."""
        name = self._dns_host
        found = socket.getaddrinfo(name, self.port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if not all(map(is_loopback_address, addresses)):
            raise UsageError(
                f"http://{name} is not this machine: its name leads elsewhere, and the key would travel unencrypted",
                "correct the hosts file, use http://127.0.0.1, or https://",
            )
        try:
            return self._connect_to_one_of(addresses)
        finally:
            self._dns_host = name

    def _connect_to_one_of(self, addresses: list[str]) -> socket.socket:
        failure: Exception = socket.gaierror(socket.EAI_NONAME, "no address")
        for address in addresses:
            self._dns_host = address
            try:
                return super()._new_conn()
            except urllib3.exceptions.HTTPError as error:
                failure = error
        raise failure


class TlsContexts:
    """One TLS context for each CA setting, made once, however many threads ask for it at once, and however often.

    A file of authorities that has changed since is read again: some processes go on for weeks.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._made: dict[str | bool, tuple[object, ssl.SSLContext]] = {}

    def get(self, verify: str | bool) -> ssl.SSLContext:
        """Return the context that trusts the CA file or folder `verify`, or the usual authorities where it is True.

        Raises UsageError where a file that it needs cannot be used.
        """
        stamp = _stamp(verify)
        with self._guard:
            before, context = self._made.get(verify, (None, None))
            if context is None or before != stamp:
                context = _make_context(verify)
                if len(self._made) >= MOST_CONTEXTS:
                    self._made.clear()
                self._made[verify] = stamp, context
            return context


TLS_CONTEXTS = TlsContexts()
"""Those of this process."""

MOST_CONTEXTS = 8
"""Most contexts that are kept; a process has one CA setting, and tests have many."""


def _stamp(verify: str | bool) -> object:
    """Return what changes when the context would be another one: the file of authorities, where secrets are logged."""
    place = verify if isinstance(verify, str) else DEFAULT_CA_BUNDLE_PATH
    log = os.environ.get("SSLKEYLOGFILE") if os.environ.get("APIMART_KEYLOG") == "1" else None
    try:
        status = os.stat(place)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size, log


def _make_context(verify: str | bool) -> ssl.SSLContext:
    # Not `create_default_context`: it writes the session's secrets wherever SSLKEYLOGFILE says, unasked.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_TICKET
    context.hostname_checks_common_name = False
    if sys.version_info >= (3, 13):
        # As Python's own default since then.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT
    _load_authorities(context, verify)
    _log_secrets_where_asked(context)
    return context


def _load_authorities(context: ssl.SSLContext, verify: str | bool) -> None:
    place = verify if isinstance(verify, str) else DEFAULT_CA_BUNDLE_PATH
    source = _CA_VARIABLES if isinstance(verify, str) else "the installation of certifi"
    if not os.path.exists(place):
        raise UsageError(f"{source} names a CA file that does not exist", _CA_HINT)
    fault = None
    try:
        context.load_verify_locations(**{"capath" if os.path.isdir(place) else "cafile": place})
    except ssl.SSLError:
        fault = "a file without CA certificates"
    except OSError:
        fault = "a file that cannot be read"
    if fault is not None:
        raise UsageError(f"{source} names {fault}", _CA_HINT)


def _log_secrets_where_asked(context: ssl.SSLContext) -> None:
    """Obey SSLKEYLOGFILE only where APIMART_KEYLOG=1 says so: who reads that file reads the key."""
    path = os.environ.get("SSLKEYLOGFILE")
    if not path or os.environ.get("APIMART_KEYLOG") != "1":
        return
    from apimart_cli.files import found
    from apimart_cli.owners import UnsafeError, trusted_owners

    fault = None
    try:
        with found(Path(path), trusted_owners()) as place:
            # Private, where it is new: the library would make it readable for everybody.
            os.close(place.open_safe(os.O_WRONLY | os.O_APPEND | os.O_CREAT))
            # By its path, which no other user can change.
            context.keylog_filename = str(place.path)
    except UnsafeError as error:
        fault = error.reason(Path(path))
    except OSError as error:
        fault = (error.strerror or "it is unusable").lower()
    if fault is not None:
        raise UsageError(f"TLS cannot use the file {path}: {fault}", "correct or unset SSLKEYLOGFILE")
