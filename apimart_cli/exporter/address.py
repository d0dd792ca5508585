"""Where an exporter listens, and who may be let in there. Pure: no I/O."""

import re
from ipaddress import ip_address
from typing import NamedTuple

from apimart_cli.errors import UsageError
from apimart_cli.text import quote

EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104  # asked for, and guarded below
"""Every address of this machine: of IPv4, and of IPv6."""

_EXAMPLE = "give an address and a port, like 127.0.0.1:9899 or [::1]:9899"


class Address(NamedTuple):
    """An address of this machine, and a port; port 0 is a free one."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can get there."""
        return ip_address(self.host).is_loopback

    @property
    def is_ipv6(self) -> bool:
        """Whether it is an address of IPv6."""
        return ":" in self.host

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if self.is_ipv6 else f"{self.host}:{self.port}"


def parse_listen(text: str, source: str = "--listen") -> tuple[Address, ...]:
    """Return the addresses in a text like `127.0.0.1:9899`, `[::]:9899`, `localhost:9899` or `:9899`.

    Without an address it is every address of this machine, of IPv4 and of IPv6. Raises UsageError, naming `source`, for
    anything else: other names may mean another machine tomorrow.
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
    """Raise UsageError for an address that others reach, unless TLS and a token protect it, or it is asked for."""
    if address.is_loopback or is_insecure or (has_tls and has_token):
        return
    missing = " and ".join(words for words, is_there in (("TLS", has_tls), ("a token", has_token)) if not is_there)
    raise UsageError(
        f"--listen: others can reach {address}, and without {missing} they could read the balances",
        "give --tls-cert, --tls-key and --token-file, or --insecure where something else protects it",
    )
