"""Access: addresses and hosts, what the token lets in, which files are refused, and which shard a profile is in."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apimart_cli.errors import ConfigError, UsageError
from apimart_cli.exporter.access import (
    Access,
    AccessFiles,
    Address,
    Hosts,
    Shard,
    check_exposure,
    parse_host,
    parse_listen,
    parse_shard,
    read_access,
    read_hosts,
)
from support.servers import write_certificate

TOKEN = "Zq7Wm3Xc9Vb1Nk5Lp8Rt"


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def test_without_a_token_everybody_is_let_in() -> None:
    """Whatever they say."""
    assert Access().admits(None)
    assert Access().admits("Bearer x")


@pytest.mark.parametrize("text", [TOKEN, f"{TOKEN}\n", f"\ufeff{TOKEN}\r\n"])
def test_the_token_lets_in_and_nothing_else(tmp_path: Path, text: str) -> None:
    """As editors and commands write it; the word before it in any case. Its group may read it, as in Kubernetes."""
    access = read_access(AccessFiles(token=write(tmp_path / "token", text, 0o440)))
    assert access.admits(f"Bearer {TOKEN}")
    assert access.admits(f"bearer  {TOKEN} ")
    assert TOKEN not in repr(access)
    said = (
        "",
        TOKEN,
        "Bearer",
        "Bearer ",
        f"Basic {TOKEN}",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN}x",
        "Bearer é\udc80",
    )
    assert [each for each in (None, *said) if access.admits(each)] == []


@pytest.mark.parametrize("text", ["", "\n", "short", f"{TOKEN} {TOKEN}", f"{TOKEN}é"])
def test_what_is_no_token_is_refused(tmp_path: Path, text: str) -> None:
    """An empty file lets nobody in, rather than everybody; what is in it is not repeated."""
    with pytest.raises(ConfigError) as refused:
        read_access(AccessFiles(token=write(tmp_path / "token", text)))
    assert "holds no token" in refused.value.message
    assert TOKEN not in refused.value.message + (refused.value.hint or "")


@pytest.mark.parametrize(("mode", "told", "hint"), [
    (0o644, "holds the token and other users can read it", "run: chmod 600 "),
    (0o602, "is not used: every user can change it", "run: chmod o-w "),
])  # fmt: skip
def test_a_token_that_others_can_read_or_change_is_refused(tmp_path: Path, mode: int, told: str, hint: str) -> None:
    """With the command that mends it."""
    with pytest.raises(ConfigError) as refused:
        read_access(AccessFiles(token=write(tmp_path / "token", TOKEN, mode)))
    assert told in refused.value.message
    assert (refused.value.hint or "").startswith(hint)


def test_a_certificate_and_its_key_make_tls(tmp_path: Path) -> None:
    """Of one file, or of two. Files that are none are refused, and a key that others can read."""
    pem, other = write_certificate(tmp_path), write(tmp_path / "other", "no PEM")
    access = read_access(AccessFiles(pem, pem))
    assert access.tls is not None
    assert access.tls.minimum_version.name == "TLSv1_2"
    for certificate, key, told in ((other, pem, "other"), (pem, other, "other"), (pem, tmp_path / "none", "none")):
        with pytest.raises(ConfigError) as refused:
            read_access(AccessFiles(certificate, key))
        assert f"{tmp_path / told}" in refused.value.message
    pem.chmod(0o644)
    with pytest.raises(ConfigError, match="holds a private key and other users can read it"):
        read_access(AccessFiles(pem, pem))


@pytest.mark.parametrize("files", [AccessFiles(certificate=Path("a")), AccessFiles(key=Path("a"))])
def test_a_certificate_without_a_key_is_refused(files: AccessFiles) -> None:
    """And a key without a certificate: nothing is served without TLS where somebody asked for it."""
    with pytest.raises(UsageError, match="is missing"):
        files.check()


@pytest.mark.parametrize(("text", "addresses", "shown"), [
    ("127.0.0.1:9899", [Address("127.0.0.1", 9899)], ["127.0.0.1:9899"]),
    ("localhost:0", [Address("127.0.0.1", 0)], ["127.0.0.1:0"]),
    ("[0:0::1]:9899", [Address("::1", 9899)], ["[::1]:9899"]),
    ("[::]:65535", [Address("::", 65535)], ["[::]:65535"]),
    ("0.0.0.0:1", [Address("0.0.0.0", 1)], ["0.0.0.0:1"]),
    (":9899", [Address("0.0.0.0", 9899), Address("::", 9899)], ["0.0.0.0:9899", "[::]:9899"]),
])  # fmt: skip
def test_an_address_is_read_and_shown(text: str, addresses: list[Address], shown: list[str]) -> None:
    """As people write it, of either version; a port alone means both."""
    assert [*parse_listen(text)] == addresses
    assert [*map(str, addresses)] == shown


NO_ADDRESSES = (
    "", "9899", "127.0.0.1", "127.0.0.1:", "::1:9899", "[127.0.0.1]:1", "127.0.0.1:65536", "example.com:9899",
    "127.0.0.1:9899/metrics", "http://127.0.0.1:9899", "127.1:9899", "[fe80::1%eth0]:1", "1.2.3.4:\u0661",
    "a\x1b:1", ":65536", ":",
)  # fmt: skip
NO_NAMES = ("", "a b", "*", "*.example.com", "http://a", "a:9899", "[::1]:9899", "a/", "a..b", "\x1b[m", "ö.example")
NO_SHARDS = ("", "2", "2/4/6", "-1/4", "\uff12/4", "a\x1b[31m/4")


@pytest.mark.parametrize(
    ("read", "told", "texts"),
    [
        # Names of other machines as well: they may mean another address tomorrow.
        (parse_listen, "^--listen: ", NO_ADDRESSES),
        (lambda text: read_hosts([text], own_name=None), "^--allowed-host: ", NO_NAMES),
        (parse_shard, "names no shard$", NO_SHARDS),
        (parse_shard, "there is no shard (0|5) of 4", ("0/4", "5/4")),
        (parse_shard, "there cannot be (0|1001) shards", ("1/0", "1/1001")),
    ],
)
def test_what_is_no_address_no_name_and_no_shard_is_refused(
    read: Callable[[str], object], told: str, texts: Sequence[str]
) -> None:
    """With what is wrong, and how it is written."""
    for text in texts:
        with pytest.raises(UsageError, match=told) as refused:
            read(text)
        assert refused.value.hint
        assert "\x1b" not in refused.value.message


@pytest.mark.parametrize(
    ("has_tls", "has_token", "missing"),
    [
        (False, False, "without TLS and a token"),
        (True, False, "without a token"),
        (False, True, "without TLS"),
    ],
)
def test_what_others_can_reach_needs_tls_and_a_token(has_tls: bool, has_token: bool, missing: str) -> None:
    """Both, unless that is waived; on loopback neither."""
    for host in ("0.0.0.0", "::", "10.0.0.1"):
        with pytest.raises(UsageError, match=missing):
            check_exposure(Address(host, 9899), has_tls=has_tls, has_token=has_token, is_insecure=False)
        check_exposure(Address(host, 9899), has_tls=has_tls, has_token=has_token, is_insecure=True)
        check_exposure(Address(host, 9899), has_tls=True, has_token=True, is_insecure=False)
    for host in ("127.0.0.1", "127.8.9.1", "::1"):
        check_exposure(Address(host, 9899), has_tls=has_tls, has_token=has_token, is_insecure=False)


@pytest.mark.parametrize(("text", "host"), [
    ("127.0.0.1:9899", "127.0.0.1"), ("127.0.0.1", "127.0.0.1"), ("127.0.0.1.:80", "127.0.0.1"),
    ("LocalHost:9899", "localhost"), ("balances.Example.com:", "balances.example.com"), ("[::1]:9899", "::1"),
    ("[0:0:0:0:0:0:0:1]", "::1"), ("[FE80::1%25eth0]:9899", "fe80::1"), ("[fe80::1%eth0]", "fe80::1"),
    ("127.1", "127.1"), ("", ""), ("::1", None), ("[127.0.0.1]", None), ("[::1", None), ("[::1]x", None), ("a b", None),
    ("a:b", None), ("user@localhost", None), ("localhost/", None), ("a\x00", None), ("ö", None), ("a,b:1:2", None),
    ("[1]", None),
])  # fmt: skip
def test_a_host_is_read_without_port_zone_and_case(text: str, host: str | None) -> None:
    """The port may be another one where ports are mapped. Nothing is made of half a host."""
    assert parse_host(text) == host


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


@settings(max_examples=40)
@given(st.text(), st.integers(1, 60))
def test_a_profile_is_in_exactly_one_shard(name: str, total: int) -> None:
    """Whatever its name. So 1/1 is everything, and a template can always name a shard."""
    assert sum(Shard(number, total).has(name) for number in range(1, total + 1)) == 1


def test_the_shard_of_a_profile_never_changes() -> None:
    """It depends on the name alone: another process, machine or version of Python finds the same."""
    found = {name: next(n for n in range(1, 5) if Shard(n, 4).has(name)) for name in ("work", "home", "é", "team-1")}
    assert found == {"work": 3, "home": 1, "é": 4, "team-1": 1}


def test_shards_are_about_equal() -> None:
    """Of 4,000 profiles, each of four has about 1,000."""
    sizes = [sum(Shard(number, 4).has(f"team-{name}") for name in range(4_000)) for number in range(1, 5)]
    assert all(920 < size < 1_080 for size in sizes)
