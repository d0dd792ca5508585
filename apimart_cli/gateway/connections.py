"""Connections: each goes where its URL says and nowhere else, gives strict answers, and has TLS settings made once.

Of a name with several addresses, the next one is tried while an earlier one is silent (RFC 8305). urllib3 gives the
whole time limit to the first address (urllib3#797), and the libraries that race addresses (asyncio, aiohappyeyeballs,
anyio) need an event loop, which takes 15 ms to import at every start.
"""

import os
import re
import selectors
import socket
import ssl
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path
from typing import Any

import requests
import urllib3
from requests.adapters import DEFAULT_CA_BUNDLE_PATH, HTTPAdapter

from apimart_cli.errors import UsageError
from apimart_cli.gateway.wire import StrictResponse
from apimart_cli.target import is_loopback_address, is_plain_http

NEXT_AFTER = 0.25
"""Seconds for which an address may be silent before the next one is tried as well, as RFC 8305 recommends."""

Found = tuple[Any, ...]
"""An address as `getaddrinfo` returns it."""


def look_up(host: str, port: int) -> list[Found]:
    """Return the addresses of a name. Raises gaierror, or LocationParseError for what cannot be a name."""
    try:
        host.encode("idna")
    except UnicodeError:
        raise urllib3.exceptions.LocationParseError("a label of it is empty or too long") from None
    family = urllib3.util.connection.allowed_gai_family()
    return list(dict.fromkeys(socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)))


def connect_to_first(found: Sequence[Found], seconds: float, options: Iterable[Any] | None = None) -> socket.socket:
    """Return a connection to the first of these addresses that takes one. Nothing is sent on any of them.

    Raises TimeoutError when none does within `seconds`, and the last failure, an OSError, when all have failed.
    """
    give_up_at = time.monotonic() + seconds
    waiting = deque(_in_turns(found))
    failure: OSError = socket.gaierror(socket.EAI_NONAME, "no address")
    next_at = 0.0
    with selectors.DefaultSelector() as selector:
        try:
            while waiting or selector.get_map():
                now = time.monotonic()
                if now >= give_up_at:
                    raise TimeoutError("no address took a connection in time")
                if waiting and (now >= next_at or not selector.get_map()):
                    try:
                        selector.register(_begin(waiting.popleft(), options), selectors.EVENT_WRITE)
                    except OSError as error:
                        failure = error
                        continue
                    next_at = now + NEXT_AFTER
                until = min(give_up_at, next_at) if waiting else give_up_at
                for ready, _ in selector.select(max(0.0, until - now)):
                    connection = ready.fileobj
                    assert isinstance(connection, socket.socket)
                    selector.unregister(connection)
                    code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if code == 0:
                        connection.settimeout(max(0.001, give_up_at - time.monotonic()))
                        return connection
                    connection.close()
                    failure, next_at = OSError(code, os.strerror(code)), 0.0
        finally:
            for key in selector.get_map().values():
                assert isinstance(key.fileobj, socket.socket)
                key.fileobj.close()
    raise failure


def _in_turns(found: Sequence[Found]) -> Iterable[Found]:
    """Yield the addresses in their order, but the two families in turns: often all of one family are dead."""
    first = [each for each in found if each[0] == found[0][0]]
    others = [each for each in found if each[0] != found[0][0]]
    return (each for pair in zip_longest(first, others) for each in pair if each is not None)


def _begin(found: Found, options: Iterable[Any] | None) -> socket.socket:
    """Begin to connect to an address. Raises OSError where that is impossible at once."""
    family, kind, protocol, _, address = found
    connection = socket.socket(family, kind, protocol)
    try:
        for option in options or ():
            connection.setsockopt(*option)
        connection.settimeout(0)
        with suppress(BlockingIOError):
            connection.connect(address)
    except BaseException:
        connection.close()
        raise
    return connection


class RacingConnection(urllib3.connection.HTTPConnection):
    """A connection to the address that answers first, of a gateway or of a proxy."""

    def _new_conn(self) -> socket.socket:
        try:
            if socks := getattr(self, "_socks_options", None):
                self._socks_options = self._with_address(socks)
                return super()._new_conn()
            return connect_to_first(self._addresses(), self._seconds(), self.socket_options)
        except socket.gaierror as error:
            raise urllib3.exceptions.NameResolutionError(self.host, self, error) from error
        except TimeoutError as error:
            raise urllib3.exceptions.ConnectTimeoutError(self, "no connection in time") from error
        except OSError as error:
            raise urllib3.exceptions.NewConnectionError(self, f"no connection: {error}") from error

    def _addresses(self) -> list[Found]:
        assert self.port is not None, "urllib3 knows the usual ports"
        return look_up(self._dns_host.strip("[]"), self.port)

    def _seconds(self) -> float:
        assert isinstance(self.timeout, (int, float)), "every question has a time limit"
        return self.timeout

    def _with_address(self, socks: dict[str, Any]) -> dict[str, Any]:
        """Return the settings of a SOCKS proxy with the address that answers first in place of its name.

        PySocks makes its own connections, and tries one address after the other.
        """
        found = look_up(str(socks["proxy_host"]).strip("[]"), int(socks["proxy_port"]))
        if len(found) == 1:
            return socks
        with connect_to_first(found, self._seconds()) as connection:
            return {**socks, "proxy_host": connection.getpeername()[0]}


_CA_HINT = "correct the variable, or unset it to trust the usual authorities"

_HASHED_NAME = r"[0-9a-f]{8}\.[0-9]+"
"""The names by which OpenSSL looks for a certificate in a folder."""

Authorities = tuple[tuple[str, str], ...]
"""The certificate authorities that are trusted: of each file or folder the setting that names it, and its path."""


def authorities(environ: Mapping[str, str] = os.environ) -> Authorities:
    """Return the authorities that the environment names, else the usual ones.

    The variables of requests and curl, which name a bundle, come first; then those of OpenSSL, a file and folders.
    """
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        if environ.get(variable):
            return ((variable, environ[variable]),)
    found = [("SSL_CERT_FILE", environ["SSL_CERT_FILE"])] if environ.get("SSL_CERT_FILE") else []
    folders = [folder for folder in environ.get("SSL_CERT_DIR", "").split(os.pathsep) if folder]
    # Some of the folders may be missing: a list often has those of several distributions.
    present = [folder for folder in folders if os.path.exists(folder)] or folders[:1]
    return (*found, *(("SSL_CERT_DIR", folder) for folder in present)) or (("certifi", DEFAULT_CA_BUNDLE_PATH),)


class Adapter(HTTPAdapter):
    """Makes connections, direct or through a proxy, that share one TLS context for each CA setting."""

    def __init__(self, *, connections: int) -> None:
        super().__init__(pool_maxsize=connections)

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[Any, Any]:
        """Return where to connect to, and the TLS context for it.

        By themselves the libraries read the CA file again for every connection: 140 certificates each time.
        """
        host, settings = super().build_connection_pool_key_attributes(request, verify, cert)
        if host["scheme"] == "https":
            settings = {"cert_reqs": "CERT_REQUIRED", "ssl_context": TLS_CONTEXTS.get(authorities())}
        return host, settings

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Leave the connection as it is: its context holds the authorities already."""

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        """Return the pool of connections for a request."""
        pool: Any = super().get_connection_with_tls_context(request, verify, proxies, cert)
        # Read once: another thread may change it meanwhile.
        kind = pool.ConnectionCls
        if kind.response_class is not StrictResponse:
            base = LoopbackConnection if is_plain_http(str(request.url)) else RacingConnection
            pool.ConnectionCls = type("_Connection", (base, kind), {"response_class": StrictResponse})
        return pool

    def proxy_manager_for(self, proxy: str, **settings: Any) -> Any:
        """Return the manager of a proxy. The same authorities count for a proxy that is itself reached over TLS."""
        if proxy.lower().startswith("https:"):
            settings["proxy_ssl_context"] = TLS_CONTEXTS.get(authorities())
        return super().proxy_manager_for(proxy, **settings)


class LoopbackConnection(RacingConnection):
    """A connection without TLS: only to an address of this machine, wherever its name leads."""

    def _addresses(self) -> list[Found]:
        """Return the addresses, all checked: `localhost` is a name, and a hosts file may point it elsewhere."""
        found = super()._addresses()
        if not all(is_loopback_address(str(address[0])) for *_, address in found):
            raise UsageError(
                f"http://{self._dns_host} is not this machine: its name leads elsewhere, "
                "and the key would travel unencrypted",
                "correct the hosts file, use http://127.0.0.1, or https://",
            )
        return found


class TlsContexts:
    """One TLS context for each CA setting, made once and shared by all threads.

    A file of authorities that has changed since is read again, as some processes run for weeks.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._made: dict[Authorities, tuple[object, ssl.SSLContext]] = {}

    def get(self, trusted: Authorities) -> ssl.SSLContext:
        """Return the context that trusts these authorities.

        Raises UsageError where a file that it needs cannot be used.
        """
        stamp = _stamp(trusted)
        with self._guard:
            before, context = self._made.get(trusted, (None, None))
            if context is None or before != stamp:
                context = _make_context(trusted)
                if len(self._made) >= MOST_CONTEXTS:
                    self._made.clear()
                self._made[trusted] = stamp, context
            return context


TLS_CONTEXTS = TlsContexts()
"""The contexts of this process."""

MOST_CONTEXTS = 8
"""Most contexts that are kept; a process has one CA setting, and tests have many."""


def _stamp(trusted: Authorities) -> object:
    """Return a value that changes when the context has to be made again: the authorities, where secrets are logged."""
    log = os.environ.get("SSLKEYLOGFILE") if os.environ.get("APIMART_KEYLOG") == "1" else None
    try:
        found = [os.stat(place) for _, place in trusted]
    except OSError:
        return None
    return [(status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size) for status in found], log


def _make_context(trusted: Authorities) -> ssl.SSLContext:
    # Not `create_default_context`: it always writes the session's secrets to the file that SSLKEYLOGFILE names.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_TICKET
    context.hostname_checks_common_name = False
    if sys.version_info >= (3, 13):
        # Python's own default since 3.13.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT
    for source, place in trusted:
        _load_authorities(context, source, place)
    _log_secrets_where_asked(context)
    return context


def _load_authorities(context: ssl.SSLContext, source: str, place: str) -> None:
    fault, hint = None, _CA_HINT
    is_folder = os.path.isdir(place)
    thing = "folder" if is_folder else "file"
    try:
        context.load_verify_locations(**{"capath" if is_folder else "cafile": place})
        # OpenSSL looks into a folder only when it verifies, and passes over files that it cannot use.
        if is_folder and not any(re.fullmatch(_HASHED_NAME, name) for name in os.listdir(place)):
            fault = "a folder without CA certificates"
            hint = f"{_CA_HINT}; in a folder, certificates need the names that `openssl rehash` gives them"
    except FileNotFoundError:
        fault = "a CA file that does not exist"
    except ssl.SSLError:
        fault = "a file without CA certificates"
    except OSError:
        fault = f"a {thing} that cannot be read"
    if fault is not None:
        raise UsageError(f"{source} names {fault}", hint)


def _log_secrets_where_asked(context: ssl.SSLContext) -> None:
    """Obey SSLKEYLOGFILE only with APIMART_KEYLOG=1: with that file, the key can be read in the traffic."""
    path = os.environ.get("SSLKEYLOGFILE")
    if not path or os.environ.get("APIMART_KEYLOG") != "1":
        return
    from apimart_cli.files import found
    from apimart_cli.owners import UnsafeError, trusted_owners

    fault = None
    try:
        with found(Path(path), trusted_owners()) as place:
            # A new one is private: the library would make it readable for every user.
            os.close(place.open_safe(os.O_WRONLY | os.O_APPEND | os.O_CREAT))
            # The library opens it by its path, which no other user can change.
            context.keylog_filename = str(place.path)
    except UnsafeError as error:
        fault = error.reason(Path(path))
    except OSError as error:
        fault = (error.strerror or "it is unusable").lower()
    if fault is not None:
        raise UsageError(f"TLS cannot use the file {path}: {fault}", "correct or unset SSLKEYLOGFILE")
