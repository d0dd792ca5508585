"""The proxy that the environment names for a URL, the mistakes in its address, and the hosts that NO_PROXY excepts.

No library for Python knows all forms of NO_PROXY that curl and Go know: requests takes no port with an address or with
the usual port, no `*.domain`, and no IPv6 network; httpx has rules of its own inside.
"""

import ipaddress
import os
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies

from requests.utils import get_environ_proxies, select_proxy

from apimart_cli.errors import UsageError
from apimart_cli.target import is_plain_http

SCHEMES = frozenset({"http", "https", "socks4", "socks4a", "socks5", "socks5h"})
"""The protocols that a proxy may speak."""

_FORM = "write it like http://HOST:PORT, or http://USER:PASSWORD@HOST:PORT"

_HOST_AND_PORT = re.compile(r"(\[[0-9A-Za-z:.%]+\]|[^\[\]:@]+)(?::([0-9]*))?")

_USUAL_PORTS = {"https": 443, "http": 80}


def environment_proxies(url: str, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the proxies that are set, as requests takes them; none where NO_PROXY excepts the host of `url`."""
    excepted = environ.get("no_proxy") or environ.get("NO_PROXY")
    if not excepted:
        # These include the proxies and the exceptions in the settings of macOS and Windows.
        return dict(get_environ_proxies(url))
    return {} if is_excepted(url, excepted) else dict(getproxies())


def is_excepted(url: str, excepted: str) -> bool:
    """Tell whether a value of NO_PROXY names the host of `url`.

    The value is a list, with commas or spaces between its members. Each is `*`; a domain, which stands for its
    subdomains, too, with or without a dot before it; `*.domain`, for its subdomains; an address, an IPv6 one with or
    without brackets; or a network, like 10.0.0.0/8 or fd00::/8. All but a network may have a port.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    port = parts.port or _USUAL_PORTS.get(parts.scheme, 0)
    address = _address(host)
    for entry in re.split(r"[,\s]+", excepted.lower()):
        if entry == "*":
            return True
        if address is not None and "/" in entry:
            if _is_in_network(address, entry):
                return True
            continue
        name, wanted = _split(entry)
        if wanted in {None, port} and name and (_address(name) == address if address else _is_in_domain(host, name)):
            return True
    return False


def _split(entry: str) -> tuple[str, int | None]:
    """Return a host of NO_PROXY and the port after it; only in brackets an IPv6 address has one."""
    if _address(entry) is not None:
        return entry, None
    name, colon, port = entry.rpartition(":")
    if colon and port.isascii() and port.isdigit() and len(port) <= 5:
        return name.strip("[]"), int(port)
    return entry.strip("[]"), None


def _is_in_domain(host: str, name: str) -> bool:
    domain = name.removeprefix("*").strip(".")
    return bool(domain) and (host.endswith(f".{domain}") or (host == domain and not name.startswith("*")))


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _is_in_network(address: ipaddress.IPv4Address | ipaddress.IPv6Address, text: str) -> bool:
    try:
        return address in ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False


def chosen_proxy(url: str, proxies: dict[str, str]) -> str | None:
    """Return which of these proxies requests to `url` go through; None where none does."""
    proxy: str | None = select_proxy(url, proxies)
    return proxy


def place_of(proxy: str) -> str:
    """Return the host and the port of a proxy without its user and password, and without what may follow them."""
    place = proxy.rpartition("@")[2].rpartition("//")[2]
    return re.split(r"[/?#]", place)[0]


class Route(NamedTuple):
    """How requests to a gateway travel."""

    proxy: str | None = None
    """The host and the port of the proxy; None without one."""
    named_by: str | None = None
    """The variable that names the proxy, or that keeps one from being used; else None."""


def route_to(url: str, environ: Mapping[str, str] = os.environ) -> Route:
    """Return how requests to `url` travel. Raises UsageError for a proxy with a mistake in its address."""
    named = {name for name, value in environ.items() if value}
    if is_plain_http(url):
        return Route()
    proxy = chosen_proxy(url, environment_proxies(url, environ))
    if proxy is not None:
        check_proxy(proxy, environ)
        return Route(place_of(proxy), _named_by(proxy, environ))
    is_set = any(name.lower() in {"https_proxy", "all_proxy"} for name in named)
    excepted = next((name for name in ("no_proxy", "NO_PROXY") if name in named), None)
    return Route(named_by=excepted if is_set else None)


def check_proxy(proxy: str, environ: Mapping[str, str] = os.environ) -> None:
    """Raise UsageError for a proxy with a mistake in its address. It names the variable and no part of the address."""
    fault = next(_faults(proxy), None)
    if fault is not None:
        what, hint = fault
        raise UsageError(f"{_named_by(proxy, environ)}: the proxy's address is malformed: {what}", hint)


def _named_by(proxy: str, environ: Mapping[str, str]) -> str:
    """Return the variable that names a proxy; one in small letters comes first, as it does for the libraries."""
    names = [name for name, value in environ.items() if name.lower().endswith("_proxy") and value == proxy]
    return min(names, key=lambda name: (not name.islower(), name), default="the system's settings")


def _faults(proxy: str) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the address of a proxy, and what to write instead, without repeating any of it."""
    scheme, separator, rest = proxy.partition("://")
    if not separator:
        # As in curl, a proxy without a scheme speaks HTTP.
        scheme, rest = "http", proxy
    authority = re.split(r"[/?#]", rest)[0]
    beyond = rest[len(authority) :]
    user, _, place = authority.rpartition("@")
    if "\\" in proxy:
        yield "there is a backslash in it", r"write the user DOMAIN\user as DOMAIN%5Cuser"
    if not re.fullmatch(r"[!-~]+", proxy):
        yield "there is a character in it that a URL cannot have", f"{_FORM}; other characters as %XX"
    if not scheme:
        yield "there is nothing before ://", _FORM
    if scheme.lower() not in SCHEMES:
        yield "it begins with a scheme that is not known", "begin it with http://, https:// or socks5h://"
    if "@" in beyond:
        yield f"there is a {beyond[0]} in the user or the password", f"write it as %{ord(beyond[0]):02X}"
    if "@" in user:
        yield "there is an @ in the user or the password", "write it as %40"
    yield from _faults_of_place(place)


def _faults_of_place(place: str) -> Iterator[tuple[str, str]]:
    found = _HOST_AND_PORT.fullmatch(place)
    if found is None:
        yield "it has no host, or more than a host and a port", _FORM
    elif found[2] is not None and not (len(found[2]) <= 5 and 0 < int(found[2] or 0) <= 65535):
        yield "its port is not a number from 1 to 65535", _FORM
    elif found[1].startswith("[") and _address(found[1][1:-1]) is None:
        yield "what is in brackets is no IPv6 address", _FORM
