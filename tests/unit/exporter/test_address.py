"""Addresses: what is one, and which of them others can reach."""

import pytest

from apimart_cli.errors import UsageError
from apimart_cli.exporter.access import Address, check_exposure, parse_listen


@pytest.mark.parametrize(("text", "address", "shown"), [
    ("127.0.0.1:9899", Address("127.0.0.1", 9899), "127.0.0.1:9899"),
    ("localhost:0", Address("127.0.0.1", 0), "127.0.0.1:0"),
    ("[::1]:9899", Address("::1", 9899), "[::1]:9899"),
    ("[0:0::1]:9899", Address("::1", 9899), "[::1]:9899"),
    ("[::]:65535", Address("::", 65535), "[::]:65535"), ("0.0.0.0:1", Address("0.0.0.0", 1), "0.0.0.0:1"),
])  # fmt: skip
def test_an_address_is_read_and_shown(text: str, address: Address, shown: str) -> None:
    """As people write it, of either version; all addresses of one version are those alone."""
    assert (parse_listen(text), str(address)) == ((address,), shown)


def test_a_port_alone_means_both_families() -> None:
    """A machine has names that lead to either."""
    assert parse_listen(":9899") == (Address("0.0.0.0", 9899), Address("::", 9899))
    assert parse_listen("0.0.0.0:9899") == (Address("0.0.0.0", 9899),)


@pytest.mark.parametrize(
    "text",
    [
        "", "9899", "127.0.0.1", "127.0.0.1:", "::1:9899", "[127.0.0.1]:1", "127.0.0.1:65536", "example.com:9899",
        "127.0.0.1:9899/metrics", "http://127.0.0.1:9899", "127.1:9899", "[fe80::1%eth0]:1", "1.2.3.4:\u0661",
        "a\x1b:1", ":65536", ":",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str) -> None:
    """Names of other machines as well: they may mean another address tomorrow."""
    with pytest.raises(UsageError) as refused:
        parse_listen(text)
    assert refused.value.message.startswith("--listen: ")
    assert "\x1b" not in refused.value.message


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("0.0.0.0", False), ("::", False), ("10.0.0.1", False)],
)
def test_only_loopback_is_for_this_machine_alone(host: str, is_loopback: bool) -> None:
    """All others can be reached from elsewhere."""
    assert Address(host, 1).is_loopback is is_loopback


@pytest.mark.parametrize(
    ("has_tls", "has_token", "missing"),
    [(False, False, "without TLS and a token"), (True, False, "without a token"), (False, True, "without TLS")],
)
def test_what_others_can_reach_needs_tls_and_a_token(has_tls: bool, has_token: bool, missing: str) -> None:
    """Both, unless that is waived; on loopback neither."""
    address = Address("0.0.0.0", 9899)
    with pytest.raises(UsageError) as refused:
        check_exposure(address, has_tls=has_tls, has_token=has_token, is_insecure=False)
    assert missing in refused.value.message
    check_exposure(address, has_tls=has_tls, has_token=has_token, is_insecure=True)
    check_exposure(Address("::1", 9899), has_tls=has_tls, has_token=has_token, is_insecure=False)
    check_exposure(address, has_tls=True, has_token=True, is_insecure=False)
