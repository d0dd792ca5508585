"""The names and addresses that an exporter answers to. Pure: no I/O.

A web page can make a browser ask this machine, under a name of the page's own that has come to mean this machine's
address (DNS rebinding). The browser then shows the page the answer. What it cannot change is the `Host` that is sent.
"""

import re
from collections.abc import Sequence
from ipaddress import ip_address
from typing import NamedTuple

from apimart_cli.errors import UsageError
from apimart_cli.target import is_loopback_address
from apimart_cli.text import quote

_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)(?:%[\w.~%-]*)?\]|([\w.~!$&'()*+,;=%-]*))(?::[0-9]*)?", re.ASCII)

_NAME = re.compile(r"(?=.{1,253}$)[\w-]{1,63}(?:\.[\w-]{1,63})*", re.ASCII)


class Hosts(NamedTuple):
    """What an exporter may be asked as, besides `localhost` and the addresses at which it was reached."""

    allowed: frozenset[str] = frozenset()
    """Names and addresses as `parse_host` returns them."""

    def has(self, host: str, reached_at: str) -> bool:
        """Tell whether a question for `host` is meant for us; it came to our address `reached_at`."""
        return (
            host in self.allowed
            or host == "localhost"
            # Behind a forwarded port, as of SSH. Unlike a name, an address cannot be made to mean another one.
            or is_loopback_address(host)
            or host == parse_host(f"[{reached_at}]" if ":" in reached_at else reached_at)
        )


def parse_host(text: str) -> str | None:
    """Return the name or address in a `Host`, in the one way of writing it; None for what is no host.

    The port is left out, as it may be another one where ports are mapped. So is the zone of an IPv6 address.
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
    """Return what may be asked for: what `--allowed-host` named, and the name of this machine, where that is given.

    Raises UsageError for a text that is neither a name nor an address.
    """
    names = {_allowed(text) for text in allowed}
    if own_name is not None:
        names |= {own_name.lower()} if _NAME.fullmatch(own_name) else set()
    return Hosts(frozenset(names))


def _allowed(text: str) -> str:
    # An address of IPv6 is clear without brackets, too: there is no port.
    is_bare = text.count(":") > 1 and not text.startswith("[")
    has_port = re.search(r"\]:|^[^:\[]*:[^:]*$", text)
    host = None if has_port else parse_host(f"[{text}]" if is_bare else text)
    if host is None or not (":" in host or _NAME.fullmatch(host)):
        raise UsageError(
            f"--allowed-host: '{quote(text, 60)}' is neither a host name nor an IP address",
            "give it without a scheme, a port and a path, like balances.example.com",
        )
    return host
