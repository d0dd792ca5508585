"""Where an exporter listens, the names that it answers to, who may read it, and its shard of the profiles."""

import hmac
import re
import ssl
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from apimart_cli.errors import ConfigError, UsageError
from apimart_cli.replacing import read_private_file
from apimart_cli.target import is_loopback_address
from apimart_cli.text import quote

EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104  # only if it is asked for, and `check_exposure` allows it
"""The addresses that mean every address of this machine: of IPv4, and of IPv6."""

LEAST_TOKEN = 16
"""Fewest characters of a token: a shorter one could be guessed."""

MOST_SHARDS = 1000
"""Most shards: a larger number is a typing mistake."""

_EXAMPLE = "give an address and a port, like 127.0.0.1:9899 or [::1]:9899"

_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)(?:%[\w.~%-]*)?\]|([\w.~!$&'()*+,;=%-]*))(?::[0-9]*)?", re.ASCII)

_NAME = re.compile(r"(?=.{1,253}$)[\w-]{1,63}(?:\.[\w-]{1,63})*", re.ASCII)


class Address(NamedTuple):
    """An address of this machine, and a port. Port 0 means a free one."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return ip_address(self.host).is_loopback

    @property
    def is_ipv6(self) -> bool:
        """Whether it is an address of IPv6."""
        return ":" in self.host

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if self.is_ipv6 else f"{self.host}:{self.port}"


def parse_listen(text: str, source: str = "--listen") -> tuple[Address, ...]:
    """Return the addresses in a text like `127.0.0.1:9899`, `[::]:9899`, `localhost:9899` or `:9899`.

    Without an address it means every address of this machine, of IPv4 and of IPv6. Raises UsageError, which names
    `source`, for another text: a host name may mean another machine tomorrow.
    """
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]]*)):([0-9]{1,5})", text)
    if match is None:
        raise UsageError(f"{source}: '{quote(text, 60)}' is no address with a port", _EXAMPLE)
    six, four, port = match.groups()
    if int(port) > 65535:
        raise UsageError(f"{source}: there is no port {port}", "give a port up to 65535")
    if not six and not four:
        return tuple(Address(host, int(port)) for host in EVERYWHERE)
    host = six or ("127.0.0.1" if four == "localhost" else four)
    try:
        found = ip_address(host)
    except ValueError:
        raise UsageError(f"{source}: '{quote(host, 60)}' is no IP address", _EXAMPLE) from None
    if (found.version == 6) is not bool(six):
        raise UsageError(f"{source}: '{quote(text, 60)}' is no address with a port", _EXAMPLE)
    return (Address(str(found), int(port)),)


def check_exposure(address: Address, *, has_tls: bool, has_token: bool, is_insecure: bool) -> None:
    """Raise UsageError for an address that others reach, without TLS and a token, unless `is_insecure` allows it."""
    if address.is_loopback or is_insecure or (has_tls and has_token):
        return
    missing = " and ".join(words for words, is_there in (("TLS", has_tls), ("a token", has_token)) if not is_there)
    raise UsageError(
        f"--listen: others can reach {address}, and without {missing} they could read the balances",
        "give --tls-cert, --tls-key and --token-file, or --insecure where something else protects it",
    )


class Hosts(NamedTuple):
    """The names that an exporter answers to, besides `localhost` and the address at which it was reached.

    A web page can make a browser ask this machine, under a name of its own that means this machine's address (DNS
    rebinding); the browser would show the page the answer. But the page cannot change the `Host` that is sent.
    """

    allowed: frozenset[str] = frozenset()
    """Names and addresses as `parse_host` returns them."""

    def has(self, host: str, reached_at: str) -> bool:
        """Tell whether a question for `host` is meant for us. It came to our address `reached_at`."""
        return (
            host in self.allowed
            or host == "localhost"
            # As with a port that SSH forwards. Unlike a name, an address cannot be made to mean another one.
            or is_loopback_address(host)
            or host == parse_host(f"[{reached_at}]" if ":" in reached_at else reached_at)
        )


def parse_host(text: str) -> str | None:
    """Return the name or address in a `Host` header, written in one way; None if it is not a host.

    The port is left out, as ports may be mapped. So is the zone of an IPv6 address.
    """
    match = _HOST.fullmatch(text)
    if match is None:
        return None
    six, name = match.groups()
    try:
        address = ip_address(six or name.removesuffix("."))
    except ValueError:
        return None if six else name.removesuffix(".").lower()
    return str(address) if (address.version == 6) is bool(six) else None


def read_hosts(allowed: Sequence[str], *, own_name: str | None) -> Hosts:
    """Return the names of `--allowed-host`, and `own_name`, the name of this machine, if it is given.

    Raises UsageError for a text that is neither a name nor an address.
    """
    names = {_allowed(text) for text in allowed}
    if own_name is not None:
        names |= {own_name.lower()} if _NAME.fullmatch(own_name) else set()
    return Hosts(frozenset(names))


class AccessFiles(NamedTuple):
    """The files for TLS and the token; None for those that were not given."""

    certificate: Path | None = None
    key: Path | None = None
    token: Path | None = None

    def check(self) -> None:
        """Raise UsageError for a certificate without a key, or a key without a certificate."""
        if (self.certificate is None) is not (self.key is None):
            missing = "--tls-key" if self.key is None else "--tls-cert"
            raise UsageError(f"TLS needs a certificate and its key: {missing} is missing", "give both, as PEM files")


class Access(NamedTuple):
    """Who may read the page. It is read again on SIGHUP."""

    tls: ssl.SSLContext | None = None
    token: bytes | None = None

    def admits(self, authorization: str | None) -> bool:
        """Tell whether this `Authorization` header has the token. The time that it takes tells nothing about it."""
        if self.token is None:
            return True
        scheme, _, said = (authorization or "").partition(" ")
        is_token = hmac.compare_digest(said.strip().encode("utf-8", "surrogateescape"), self.token)
        return is_token and scheme.lower() == "bearer"

    def __repr__(self) -> str:
        return f"Access(tls={self.tls is not None}, token={self.token is not None})"


def read_access(files: AccessFiles) -> Access:
    """Read the files. Raises ConfigError, which names the file, if one cannot be used."""
    tls = None
    if files.certificate is not None and files.key is not None:
        tls = _tls(files.certificate, files.key)
    return Access(tls, None if files.token is None else _token(files.token))


class Shard(NamedTuple):
    """One part of the profiles. The name of a profile and the number of shards alone decide which one it is in."""

    number: int
    """From 1 to `total`."""
    total: int

    def has(self, profile: str) -> bool:
        """Tell whether the profile is in this shard. On every machine it is in the same one."""
        # Not `hash()`, which gives another number in every process.
        from hashlib import sha256

        digest = sha256(profile.encode("utf-8", "surrogatepass")).digest()
        return int.from_bytes(digest[:8], "big") % self.total == self.number - 1


def parse_shard(text: str, source: str = "--shard") -> Shard:
    """Return the shard that a text like `2/4` names. Raises UsageError, which names `source`, for another text."""
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if match is None:
        raise UsageError(f"{source}: '{quote(text, 40)}' names no shard", "give its number and how many there are: 2/4")
    number, count = map(int, match.groups())
    if not 1 <= count <= MOST_SHARDS:
        raise UsageError(
            f"{source}: there cannot be {count} shards", f"give a number from 1 to {MOST_SHARDS}, like 2/4"
        )
    if not 1 <= number <= count:
        raise UsageError(
            f"{source}: there is no shard {number} of {count}", f"they are numbered from 1/{count} to {count}/{count}"
        )
    return Shard(number, count)


def _allowed(text: str) -> str:
    # Without a port, an address of IPv6 is clear without brackets, too.
    is_bare = text.count(":") > 1 and not text.startswith("[")
    has_port = re.search(r"\]:|^[^:\[]*:[^:]*$", text)
    host = None if has_port else parse_host(f"[{text}]" if is_bare else text)
    if host is None or not (":" in host or _NAME.fullmatch(host)):
        raise UsageError(
            f"--allowed-host: '{quote(text, 60)}' is neither a host name nor an IP address",
            "give it without a scheme, a port and a path, like balances.example.com",
        )
    return host


def _token(path: Path) -> bytes:
    token = _secret(path, "holds the token").strip()
    if len(token) < LEAST_TOKEN or not all("!" <= character <= "~" for character in token):
        raise ConfigError(
            f"{path} holds no token: it must be one word of {LEAST_TOKEN} or more letters, digits and punctuation",
            "make one with: openssl rand -hex 32",
        )
    return token.encode("ascii")


def _secret(path: Path, words: str) -> str:
    """Return the text of a file. Raises ConfigError if other users can read or change it.

    Its group may read it, as Kubernetes gives secrets to a process that is not root in this way.
    """
    file = read_private_file(path)
    exposure = file.exposure(group_may_read=True, what=words)
    if exposure is not None:
        raise exposure
    return file.text


def _tls(certificate: Path, key: Path) -> ssl.SSLContext:
    _secret(key, "holds a private key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    fault = None
    try:
        # An empty password, so that OpenSSL does not ask for one at a terminal.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except ssl.SSLError as error:
        reason = (error.reason or "").replace("_", " ").lower() or "they are not PEM files, or the key has a password"
        fault = f"the certificate {certificate} and the key {key} cannot be used: {reason}"
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a file that can be read"
        fault = f"the certificate {certificate} or the key {key} cannot be read: {reason}"
    if fault is not None:
        raise ConfigError(fault, "give PEM files that belong together, the key without a password")
    return context
