"""Hosts: how one is written, and which of them an exporter answers to."""

import pytest

from apimart_cli.errors import UsageError
from apimart_cli.exporter.access import Hosts, parse_host, read_hosts


@pytest.mark.parametrize(("text", "host"), [
    ("127.0.0.1:9899", "127.0.0.1"), ("127.0.0.1", "127.0.0.1"), ("127.0.0.1.:80", "127.0.0.1"),
    ("LocalHost:9899", "localhost"), ("localhost.:9899", "localhost"),
    ("balances.Example.com:", "balances.example.com"), ("[::1]:9899", "::1"), ("[0:0:0:0:0:0:0:1]", "::1"),
    ("[FE80::1%25eth0]:9899", "fe80::1"), ("[fe80::1%eth0]", "fe80::1"), ("127.1", "127.1"), ("", ""),
])  # fmt: skip
def test_a_host_is_read_without_port_zone_and_case(text: str, host: str) -> None:
    """The port may be another one where ports are mapped."""
    assert parse_host(text) == host


@pytest.mark.parametrize("text", [
    "::1", "[127.0.0.1]", "[::1", "[::1]x", "a b", "a:b", "user@localhost", "localhost/", "a\x00", "ö", "a,b:1:2",
    "[1]",
])  # fmt: skip
def test_what_is_no_host_is_none(text: str) -> None:
    """Nothing is made of half a host."""
    assert parse_host(text) is None


@pytest.mark.parametrize(("host", "reached_at", "is_ours"), [
    ("localhost", "127.0.0.1", True), ("127.0.0.1", "10.0.0.7", True), ("::1", "10.0.0.7", True),
    ("10.0.0.7", "10.0.0.7", True), ("fe80::1", "fe80::1", True), ("10.0.0.8", "10.0.0.7", False),
    ("evil.example", "127.0.0.1", False), ("localhost.evil.example", "127.0.0.1", False),
    ("127.0.0.1.evil.example", "127.0.0.1", False), ("2130706433", "127.0.0.1", False), ("", "127.0.0.1", False),
    ("balances.example.com", "10.0.0.7", True), ("2001:db8::1", "10.0.0.7", True), ("box", "10.0.0.7", True),
])  # fmt: skip
def test_our_own_addresses_and_names_are_answered_to(host: str, reached_at: str, is_ours: bool) -> None:
    """The address at which it was reached, this machine as it calls itself, what was allowed, and nothing else."""
    hosts = read_hosts(["Balances.example.com.", "2001:DB8:0::1"], own_name="Box")
    assert hosts.has(host, reached_at) is is_ours


def test_no_name_but_localhost_is_allowed_by_itself() -> None:
    """A machine without a usable name of its own has none."""
    assert read_hosts([], own_name=None) == read_hosts([], own_name="no name") == Hosts(frozenset())


@pytest.mark.parametrize(
    "text",
    ["", "a b", "*", "*.example.com", "http://a", "a:9899", "[::1]:9899", "a/", "a..b", "\x1b[m", "ö.example", "::x"],
)
def test_what_is_no_name_cannot_be_allowed(text: str) -> None:
    """The error names the option and says how to write it."""
    with pytest.raises(UsageError) as refused:
        read_hosts([text], own_name=None)
    assert refused.value.message.startswith("--allowed-host: ")
    assert "\x1b" not in refused.value.message
