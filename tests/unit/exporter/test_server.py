"""The server: whoever asks is answered, and no client costs anything for long."""

import errno
import http.client
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import pytest

from apimart_cli.errors import UsageError
from apimart_cli.exporter import server as server_module
from apimart_cli.exporter.access import Access, Address, Hosts
from apimart_cli.exporter.handler import Served
from apimart_cli.exporter.page import Pages
from apimart_cli.exporter.server import Servers
from support.processes import wait_until

ASKED = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"

LARGE = b"x" * 20_000_000
"""More than the buffers of a connection hold."""


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "LOOK_EVERY", 0.02)


def shown(render: Callable[[], bytes]) -> Served:
    return Served(Pages(render), lambda: True, Access, Hosts(), lambda: None)


@contextmanager
def serving(render: Callable[[], bytes] = lambda: b"page\n", *places: Sequence[Address]) -> Iterator[Servers]:
    server = Servers(places or [[Address("127.0.0.1", 0)]], shown(render))
    server.start()
    try:
        yield server
    finally:
        server.finish()


def get(server: Servers, path: str = "/metrics", host: str = "127.0.0.1") -> tuple[int, bytes]:
    with closing(http.client.HTTPConnection(host, server.addresses[0].port, timeout=30)) as client:
        client.request("GET", path)
        answer = client.getresponse()
        return answer.status, answer.read()


def connect(stack: ExitStack, server: Servers) -> socket.socket:
    return stack.enter_context(socket.create_connection(("127.0.0.1", server.addresses[0].port), timeout=30))


def test_a_client_that_never_reads_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole pages wait for it in no memory but the one that all share; others are answered meanwhile."""
    monkeypatch.setattr(server_module, "LONGEST_CONNECTION", 1.0)
    with serving(lambda: LARGE) as server, ExitStack() as stack:
        for _ in range(5):
            connect(stack, server).sendall(ASKED)
        wait_until(lambda: server._connections.open)
        assert get(server, "/-/healthy") == (200, b"healthy\n")
        wait_until(lambda: not server._connections.open)


def test_a_client_that_asks_byte_by_byte_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though each byte comes in time."""
    monkeypatch.setattr(server_module, "LONGEST_CONNECTION", 0.3)
    with serving() as server, ExitStack() as stack:
        client = connect(stack, server)

        def has_sent() -> bool:
            try:
                client.sendall(b"x")
            except OSError:
                return False
            return True

        wait_until(lambda: not has_sent())


def test_when_there_are_too_many_the_oldest_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that nobody can keep all others out."""
    monkeypatch.setattr(server_module, "MOST_CONNECTIONS", 3)
    with serving() as server, ExitStack() as stack:
        first, *_ = [connect(stack, server) for _ in range(3)]
        wait_until(lambda: len(server._connections.open) == 3)
        assert get(server) == (200, b"page\n")
        assert first.recv(1) == b""
        assert len(server._connections.open) <= 3


def test_of_many_that_come_at_once_each_makes_one_give_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though none of those that gave way has been seen to end meanwhile."""
    monkeypatch.setattr(server_module, "MOST_CONNECTIONS", 3)
    cut: list[socket.socket] = []
    monkeypatch.setattr(server_module, "_cut", cut.append)
    with serving() as server, ExitStack() as stack:
        for _ in range(9):
            connect(stack, server)
        wait_until(lambda: len(cut) == 6)
        assert len(set(cut)) == 6
        assert len(server._connections.open) == 3


def test_what_comes_while_too_many_threads_have_not_ended_is_closed_unanswered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thread that was cut off needs a moment to end; meanwhile, no more are started than that."""
    monkeypatch.setattr(server_module, "MOST_CONNECTIONS", 3)
    monkeypatch.setattr(server_module, "MOST_THREADS", 5)
    monkeypatch.setattr(server_module, "_cut", lambda _connection: None)
    with serving() as server, ExitStack() as stack:
        held = [connect(stack, server) for _ in range(5)]
        wait_until(lambda: server._connections.alive == 5)
        assert connect(stack, server).recv(1) == b""
        assert server._connections.alive == 5
        for client in held:
            client.close()
        wait_until(lambda: server._connections.alive == 0)
        assert get(server) == (200, b"page\n")


def test_a_page_that_cannot_be_made_is_500_and_the_next_one_may_work() -> None:
    """Prometheus counts it as down; what went wrong is named by its type alone."""
    pages = iter(["sk-secret-0123456789", "7"])
    with serving(lambda: b"%d\n" % int(next(pages))) as server:
        assert get(server) == (500, b"a bug in apimart: ValueError\n")
        assert get(server) == (200, b"7\n")


def test_answers_on_their_way_arrive_though_it_ends() -> None:
    """And nobody is let in any more."""
    with serving(lambda: LARGE) as server, ExitStack() as stack:
        client = connect(stack, server)
        client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        received = client.recv(1000)
        wait_until(lambda: len(server._connections.open) == 1)
        for each in server._servers:
            each.stop()
        while chunk := client.recv(1_000_000):
            received += chunk
    assert received.endswith(LARGE[:1000])
    assert len(received) > len(LARGE)


with_ipv6 = pytest.mark.skipif(not socket.has_ipv6, reason="there is no IPv6")

BOTH = [Address("0.0.0.0", 0), Address("::", 0)]


@with_ipv6
def test_both_families_are_answered_at_one_port() -> None:
    """A free one, too."""
    with serving(lambda: b"page\n", BOTH) as servers:
        assert [each.host for each in servers.addresses] == ["0.0.0.0", "::"]
        assert len({each.port for each in servers.addresses}) == 1
        for host in ("127.0.0.1", "::1"):
            assert get(servers, host=host) == (200, b"page\n")


@pytest.mark.parametrize("code", [errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL])
def test_a_family_that_the_machine_lacks_is_done_without(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """Where both were meant; one that was named alone is an error."""
    make = server_module.Server.__init__

    def without(self: server_module.Server, address: Address, *rest: Any) -> None:
        if address.is_ipv6:
            raise OSError(code, "No such thing")
        make(self, address, *rest)

    monkeypatch.setattr(server_module.Server, "__init__", without)
    with serving(lambda: b"page\n", BOTH) as servers:
        assert [each.host for each in servers.addresses] == ["0.0.0.0"]
        assert get(servers) == (200, b"page\n")
    with pytest.raises(UsageError, match="cannot listen on \\[::1\\]:0: no such thing"):
        Servers([[Address("::1", 0)]], shown(lambda: b""))
    with pytest.raises(UsageError, match="cannot listen on \\[::\\]:0: no such thing"):
        Servers([[Address("::", 0), Address("::", 0)]], shown(lambda: b""))


@with_ipv6
def test_a_port_that_is_taken_in_one_family_is_not_left_half() -> None:
    """The error names the address, and the other family is not listened on any more."""
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"cannot listen on \\[::\\]:{port}: address already in use"):
            Servers([[Address("0.0.0.0", port), Address("::", port)]], shown(lambda: b""))
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=30)


def test_several_addresses_share_the_limit_of_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two ports are not twice as many clients; the oldest gives way, at whichever port it came."""
    monkeypatch.setattr(server_module, "MOST_CONNECTIONS", 3)
    here = Address("127.0.0.1", 0)
    with serving(lambda: b"page\n", [here], [here._replace(host="127.0.0.2")]) as servers, ExitStack() as stack:
        first, second = ((each.host, each.port) for each in servers.addresses)
        oldest = stack.enter_context(socket.create_connection(first, timeout=30))
        wait_until(lambda: len(servers._connections.open) == 1)
        for _ in range(3):
            stack.enter_context(socket.create_connection(second, timeout=30))
        assert oldest.recv(1) == b""
        # It is cut off a moment before the last one counts.
        wait_until(lambda: len(servers._connections.open) == 3)


def test_an_address_that_is_named_twice_is_listened_on_once() -> None:
    """It would be in use. One that is not ours is a usage error."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        here = Address("127.0.0.1", found.getsockname()[1])
    with serving(lambda: b"page\n", [here], [here]) as servers:
        assert servers.addresses == [here]
    with pytest.raises(UsageError, match=r"cannot listen on 192\.0\.2\.1:9899"):
        Servers([[Address("192.0.2.1", 9899)]], shown(lambda: b""))
