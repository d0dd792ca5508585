"""Names with several addresses: the first that answers is used, and a silent one costs next to nothing (RFC 8305)."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from apimart_cli.gateway import connections
from apimart_cli.gateway.client import ask
from apimart_cli.gateway.connections import connect_to_first
from apimart_cli.keys.key import ApiKey, GivenKey
from apimart_cli.target import Target
from apimart_cli.words import Scope
from support.addresses import LIVE, SILENT, entry, resolve_to, silent_address
from support.running import KEY
from support.secure import Gateway, Listener, authority, certified, dead_port
from support.stopwatch import Stopwatch

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
        asked = Target("default", Scope.KEY, GivenKey(ApiKey(KEY, source="a test")), url, LONG)
        with ask([asked]) as readings:
            assert next(readings).balance
        gateway.settle()
    assert [question.count(KEY.encode()) for question in gateway.received] == [1]
    assert f"Host: localhost:{gateway.port}\r\n".encode() in gateway.received[0]
    watch.took().assert_within(LONG / 3)
