"""Connections: plain ones reach this machine only, safe ones share their TLS context, failed ones leave nothing.

Of a name with several addresses the first that answers is used, and a silent one costs next to nothing (RFC 8305).
"""

import gc
import os
import socket
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import certifi
import pytest
import requests
from requests.adapters import HTTPAdapter

from apimart_cli.errors import ApimartError, UnavailableError, UsageError
from apimart_cli.gateway import connections
from apimart_cli.gateway.client import ask
from apimart_cli.gateway.connections import Adapter, Authorities, TlsContexts, authorities, connect_to_first
from apimart_cli.gateway.transport import Transport
from apimart_cli.gateway.wire import StrictResponse
from apimart_cli.keys.key import ApiKey, GivenKey
from apimart_cli.target import Target
from apimart_cli.words import Scope
from support.addresses import LIVE, SILENT, entry, resolve_to, silent_address
from support.fault_server import FaultServer
from support.running import KEY
from support.secure import Gateway, Listener, authority, certified, dead_port
from support.stopwatch import Stopwatch

BODY = b'{"success":true,"remain_balance":10.5,"used_balance":2.3}'
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


def target(base_url: str, key: str = KEY, timeout: float = 5.0) -> Target:
    return Target("default", Scope.KEY, GivenKey(ApiKey(key, source="a test")), base_url, timeout)


def fault(base_url: str) -> ApimartError:
    """The error that asking there ends in."""
    with pytest.raises(ApimartError) as caught:
        Transport(connections=1).send(target(base_url), ApiKey(KEY, source="a test"), lambda: 5.0)
    return caught.value


Resolve = Callable[..., None]


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Resolve:
    """Let `localhost` mean these addresses, as a hosts file may."""
    real = socket.getaddrinfo

    def mean(*addresses: str) -> None:
        def look_up(host: Any, port: Any, *arguments: Any, **named: Any) -> Any:
            if host != "localhost":
                return real(host, port, *arguments, **named)
            return [
                (socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
                for address in addresses
            ]

        monkeypatch.setattr(socket, "getaddrinfo", look_up)

    return mean


@pytest.mark.parametrize("addresses", [
    ("192.0.2.1",), ("2001:db8::1",), ("0.0.0.0",), ("fe80::1%eth0",), ("127.0.0.1", "192.0.2.1"), ("192.0.2.1", "::1"),
])  # fmt: skip
def test_localhost_that_leads_elsewhere_is_refused(
    resolve: Resolve, monkeypatch: pytest.MonkeyPatch, addresses: tuple[str, ...]
) -> None:
    """A name is only a name: where it leads is looked at before anything is connected, let alone sent."""
    connected: list[Any] = []
    monkeypatch.setattr(socket.socket, "connect", lambda _socket, address: connected.append(address))
    resolve(*addresses)
    error = fault("http://localhost:8080")
    assert type(error) is UsageError
    assert error.message.startswith("http://localhost is not this machine: its name leads elsewhere")
    assert error.hint
    assert connected == []


def test_localhost_is_connected_to_the_address_that_was_looked_at(resolve: Resolve) -> None:
    """One look-up, and every address of this machine is tried; the question still names the host that was given."""
    with FaultServer([[GOOD]]) as server:
        resolve("::1", "127.0.0.1")
        with ask([target(server.named_url)]) as readings:
            assert next(readings).balance
    assert f"Host: localhost:{server.port}\r\n".encode() in server.heads[0]
    resolve()
    assert fault("http://localhost:8080").message == "could not reach localhost:8080: its name cannot be resolved"


class SharedPool:
    """A pool that another thread makes strict as soon as it was looked at."""

    def __init__(self, kind: Any, strict: Any) -> None:
        self._kinds = [strict, kind]

    @property
    def ConnectionCls(self) -> Any:  # noqa: N802  # the library's name
        """The class of its connections: when it is read again, another one."""
        return self._kinds.pop() if len(self._kinds) > 1 else self._kinds[0]

    @ConnectionCls.setter
    def ConnectionCls(self, kind: Any) -> None:  # noqa: N802  # the library's name
        self._kinds = [kind]


@pytest.mark.parametrize("url", ["http://localhost:8080", "https://localhost:8443"])
def test_threads_that_share_a_pool_make_its_connections_strict_side_by_side(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """The key and its account are asked at once: another thread may do the same between any two steps."""
    request = requests.Request("GET", url).prepare()
    plain = HTTPAdapter().get_connection_with_tls_context(request, verify=True).ConnectionCls
    strict = Adapter(connections=2).get_connection_with_tls_context(request, verify=True).ConnectionCls
    assert strict.response_class is StrictResponse
    shared = SharedPool(plain, strict)
    monkeypatch.setattr(HTTPAdapter, "get_connection_with_tls_context", lambda *_: shared)
    pool = Adapter(connections=2).get_connection_with_tls_context(request, verify=True)
    assert pool is shared
    assert pool.ConnectionCls.response_class is StrictResponse


def test_a_bundle_comes_before_what_openssl_reads_itself() -> None:
    """REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE, then SSL_CERT_FILE and SSL_CERT_DIR together, then the usual ones."""
    for variables, expected in (
        ({}, [("certifi", certifi.where())]),
        ({"SSL_CERT_FILE": "", "SSL_CERT_DIR": ""}, [("certifi", certifi.where())]),
        ({"SSL_CERT_DIR": "d", "SSL_CERT_FILE": "f"}, [("SSL_CERT_FILE", "f"), ("SSL_CERT_DIR", "d")]),
        ({"CURL_CA_BUNDLE": "c", "SSL_CERT_FILE": "f", "SSL_CERT_DIR": "d"}, [("CURL_CA_BUNDLE", "c")]),
        ({"REQUESTS_CA_BUNDLE": "r", "CURL_CA_BUNDLE": "c", "SSL_CERT_FILE": "f"}, [("REQUESTS_CA_BUNDLE", "r")]),
        ({"REQUESTS_CA_BUNDLE": "", "CURL_CA_BUNDLE": "", "SSL_CERT_FILE": "f"}, [("SSL_CERT_FILE", "f")]),
        # OpenSSL passes over folders of the list that are not there.
        ({"SSL_CERT_DIR": f"d{os.pathsep}/"}, [("SSL_CERT_DIR", "/")]),
        ({"SSL_CERT_DIR": f"/{os.pathsep}/usr"}, [("SSL_CERT_DIR", "/"), ("SSL_CERT_DIR", "/usr")]),
    ):
        assert list(authorities(variables)) == expected


@pytest.fixture
def large_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The usual authorities and ours, in a file that the environment names."""
    path = tmp_path / "ca.pem"
    path.write_bytes(Path(certifi.where()).read_bytes() + authority().cert_pem.bytes())
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
    return path


def test_the_authorities_are_read_once_for_all_questions(large_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many keys are asked about, over connections of their own, until the file is another one."""
    read: list[Any] = []
    real = connections._load_authorities
    monkeypatch.setattr(connections, "_load_authorities", lambda *given: (read.append(given), real(*given)))

    def all_are_read(asked: list[Target]) -> bool:
        with ask(asked) as readings:
            return all(reading.balance for reading in readings)

    with Gateway(certified("localhost")) as gateway:
        asked = [target(f"https://localhost:{gateway.port}", f"sk-number-{number:08}") for number in range(30)]
        assert all_are_read(asked)
        assert (len(read), gateway.connections) == (1, 30)
        assert all_are_read(asked[:1])
        assert len(read) == 1
        large_bundle.write_bytes(authority().cert_pem.bytes())
        assert all_are_read(asked[:1])
        assert len(read) == 2


def test_failures_keep_nothing_alive(large_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that a reading keeps holds no frame, no cause, and through them no TLS context and no connection."""
    contexts: list[weakref.ref[Any]] = []
    real = connections._make_context

    def make(trusted: Authorities) -> Any:
        context = real(trusted)
        contexts.append(weakref.ref(context))
        return context

    monkeypatch.setattr(connections, "_make_context", make)
    monkeypatch.setattr(connections, "TLS_CONTEXTS", TlsContexts())
    with Gateway(certified("gateway.example")) as gateway:
        asked = [target(f"https://localhost:{gateway.port}", f"sk-number-{number:08}") for number in range(5)]
        with ask(asked) as readings:
            errors = [reading.error for reading in readings]
        gateway.settle()
    for error in errors:
        assert type(error) is UnavailableError
        assert (error.__traceback__, error.__context__, error.__cause__) == (None, None, None)
    # What the process itself keeps for the next question.
    connections.TLS_CONTEXTS = TlsContexts()
    give_up_at = time.monotonic() + 5
    # The threads end a moment after their answers.
    while contexts[0]() is not None and time.monotonic() < give_up_at:
        gc.collect()
        time.sleep(0.02)
    assert [context() for context in contexts] == [None]


LONG = 30.0
"""Seconds that no test takes, unless it waits for a silent address."""


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[socket.socket]]:
    """Every socket that is made for a connection."""
    found: list[socket.socket] = []
    real = connections._begin

    def begin(*arguments: Any) -> socket.socket:
        found.append(real(*arguments))
        return found[-1]

    monkeypatch.setattr(connections, "_begin", begin)
    yield found
    for each in found:
        each.close()


def listen(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


def test_the_next_address_is_tried_while_the_first_one_is_silent(made: list[socket.socket]) -> None:
    """The winner is connected and in time; the other one is closed, and has sent nothing."""
    watch = Stopwatch()
    with Listener(listen) as live, silent_address(live.port):
        won = connect_to_first([entry(SILENT, live.port), entry(LIVE, live.port)], LONG)
        assert won.getpeername() == (LIVE, live.port)
        assert [each.fileno() == -1 for each in made] == [True, False]
        assert 0 < (won.gettimeout() or 0) <= LONG
        won.close()
    watch.took().assert_within(LONG / 3)


def test_the_first_address_is_given_a_start(made: list[socket.socket]) -> None:
    """Where it answers, no other one is asked; one that refuses is passed over at once, without that wait."""
    with Listener(listen) as live, dead_port() as dead:
        won = connect_to_first([entry(LIVE, live.port), entry(SILENT, live.port)], LONG)
        assert (won.getpeername(), len(made)) == ((LIVE, live.port), 1)
        won = connect_to_first([entry(LIVE, dead)] * 10 + [entry(LIVE, live.port)], 2.0)
        assert (won.getpeername(), len(made)) == ((LIVE, live.port), 12)


def test_an_address_that_is_slow_can_still_win(made: list[socket.socket]) -> None:
    """The first one goes on while the next ones are tried: refusals there do not end it."""
    with Listener(listen) as live, dead_port() as dead, silent_address(live.port) as port:
        found = [entry(SILENT, port), entry(LIVE, dead), entry(LIVE, dead), entry(LIVE, live.port)]
        assert connect_to_first(found, LONG).getpeername() == (LIVE, live.port)
        assert [each.fileno() == -1 for each in made] == [True, True, True, False]


def test_the_families_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where all addresses of one family are dead, the first one of the other is the second that is tried."""
    tried: list[str] = []

    def begin(found: Any, _options: object) -> socket.socket:
        tried.append(found[4][0])
        raise OSError(113, "No route to host")

    monkeypatch.setattr(connections, "_begin", begin)
    with pytest.raises(OSError, match="No route to host"):
        connect_to_first([entry(host, 1) for host in ("::1", "::2", "::3", "127.0.0.1", "127.0.0.2")], LONG)
    assert tried == ["::1", "127.0.0.1", "::2", "127.0.0.2", "::3"]


def test_when_all_fail_the_last_failure_is_told(made: list[socket.socket]) -> None:
    """Nothing is left open; a name without an address cannot be resolved."""
    with dead_port() as dead, pytest.raises(ConnectionRefusedError):
        connect_to_first([entry(LIVE, dead), entry(SILENT, dead)], LONG)
    assert [each.fileno() for each in made] == [-1, -1]
    with pytest.raises(socket.gaierror):
        connect_to_first([], LONG)


def test_when_all_are_silent_it_ends_with_the_time(made: list[socket.socket]) -> None:
    """The time is that of all addresses together."""
    watch = Stopwatch()
    with silent_address() as port, pytest.raises(TimeoutError):
        connect_to_first([entry(SILENT, port)] * 4, 0.6)
    took = watch.took()
    assert took.seconds >= 0.6
    took.assert_within(LONG / 3)
    assert [each.fileno() for each in made] == [-1] * len(made)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_gateway_with_a_dead_address_answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Any, scheme: str) -> None:
    """Over TLS and, on this machine, without: the name that was given is what the certificate is compared with."""
    ca_file = tmp_path / "ca.pem"
    authority().cert_pem.write_to_path(str(ca_file))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(ca_file))
    resolve_to(monkeypatch, "localhost", SILENT, LIVE)
    context = certified("localhost") if scheme == "https" else None
    watch = Stopwatch()
    with Gateway(context) as gateway, silent_address(gateway.port):
        url = f"{scheme}://localhost:{gateway.port}"
        with ask([target(url, timeout=LONG)]) as readings:
            assert next(readings).balance
        gateway.settle()
    assert [question.count(KEY.encode()) for question in gateway.received] == [1]
    assert f"Host: localhost:{gateway.port}\r\n".encode() in gateway.received[0]
    watch.took().assert_within(LONG / 3)
