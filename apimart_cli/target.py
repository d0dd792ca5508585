"""What to ask: one `Target` per profile and scope, and the rules for where a key may be sent.

`config` and `fetch_balance` make targets, `gateway` asks them. Pure: no I/O, nothing heavy imported.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from apimart_cli.errors import UsageError
from apimart_cli.keys.key import KeySource
from apimart_cli.text import quote
from apimart_cli.words import Scope

DEFAULT_BASE_URL = "https://api.apimart.ai"
DOCUMENTED_HOSTS = frozenset({"api.apimart.ai", "api.apib.ai", "api.aiuxu.com", "api.aishuch.com"})
"""Hosts that have an account endpoint: the gateway's reference documents it for the default host (2026-09), and the
others are mirrors of that host for networks that cannot reach it, seen in use in 2026."""
DEFAULT_TIMEOUT = 10.0
"""Seconds that an answer may take, retries included."""
MAX_TIMEOUT = 3600.0
"""Longest time limit, in seconds: larger ones overflow the clocks of some platforms."""

_ENDPOINTS = {Scope.KEY: "/v1/balance", Scope.ACCOUNT: "/v1/user/balance"}

_USUAL_PORTS = {"https": ":443", "http": ":80"}

_BASE_URL_EXAMPLE = f"give an address like {DEFAULT_BASE_URL}"


class Target(NamedTuple):
    """One question for the gateway. Build `base_url` with `parse_base_url` and `timeout` with `check_timeout`."""

    profile: str
    scope: Scope
    api_key: KeySource
    base_url: str = DEFAULT_BASE_URL
    timeout: float = DEFAULT_TIMEOUT
    """Wall-clock limit in seconds for the whole answer, retries included."""
    unit: str | None = None
    """The unit of the amounts, by the user's word; the gateway does not tell it."""
    may_be_missing: Callable[[float], bool] | None = None
    """For an account that is asked by default: tells, within so many seconds, whether the gateway may lack it.

    None where the scope was chosen: then a missing endpoint is an error like any other."""

    address: str | None = None
    """What is asked for in place of a balance: a path, and a query."""
    most_bytes: int | None = None
    """Largest answer to that; None is that of a balance."""

    @property
    def endpoint(self) -> str:
        """The URL to ask."""
        return self.base_url + (self.address or _ENDPOINTS[self.scope])

    @property
    def name(self) -> str:
        """The name of its reading in messages: `profile/scope`."""
        return f"{self.profile}/{self.scope}"

    @property
    def host(self) -> str:
        """The host of the base URL, in small letters, and the port unless it is the usual one of the scheme."""
        from urllib.parse import urlsplit

        parts = urlsplit(self.base_url)
        return parts.netloc.lower().removesuffix(_USUAL_PORTS[parts.scheme])


def has_documented_account(host: str) -> bool:
    """Tell whether a gateway is known to have an account endpoint; `host` is a `Target.host` with any port."""
    return re.sub(r"\.?(:[0-9]+)?$", "", host) in DOCUMENTED_HOSTS


def is_plain_http(url: str) -> bool:
    """Tell whether a key would travel unencrypted to `url`; `parse_base_url` allows that on loopback only."""
    return url.startswith("http://")


def parse_base_url(text: str, source: str = "base_url") -> str:
    """Return the base URL in `text` without `/v1` and trailing slashes, a path prefix kept.

    Raises UsageError, naming `source`, unless it is an https URL, or an http URL of a loopback address, without
    credentials, query or fragment.
    """
    from urllib.parse import urlsplit

    def refuse(reason: str, hint: str = _BASE_URL_EXAMPLE) -> UsageError:
        return UsageError(f"{source}: the base URL {reason}", hint)

    # Checked first: splitters differ in what they strip or fold, and the key must go to the host that the user reads.
    if not re.fullmatch(r"[!-~]+", text) or "\\" in text:
        raise refuse("is empty or has a character in it that a URL cannot have")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise refuse("is malformed") from None
    if parts.scheme not in {"http", "https"}:
        raise refuse("must start with https://")
    if not host:
        raise refuse("names no host")
    if "@" in parts.netloc:
        raise refuse("carries credentials", "take the user and password out of it; the API key is sent separately")
    if "?" in text or "#" in text:
        raise refuse("carries a query or a fragment", "take everything from ? or # on out of it")
    # For the splitter, `[::1].example.com` is the host ::1. For the HTTP library, `%2E` in a name is a dot.
    if port == 0 or not re.fullmatch(r"(\[[^\[\]]+\]|[^\[\]:%]+)(:[0-9]+)?", parts.netloc):
        raise refuse("has a host or a port that no server can have")
    if parts.scheme == "http" and host != "localhost" and not is_loopback_address(host):
        raise refuse(f"would send the key unencrypted to {quote(host)}", "use https://; http:// is for loopback only")
    path = parts.path.rstrip("/").removesuffix("/v1").rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path}"


def check_timeout(seconds: float, source: str = "timeout") -> float:
    """Return `seconds` when they are a usable time limit; raise UsageError naming `source` otherwise."""
    if 0 < seconds <= MAX_TIMEOUT:
        return float(seconds)
    raise UsageError(
        f"{source}: the time limit must be more than 0 and at most {MAX_TIMEOUT:.0f} seconds", "give a number like 10"
    )


def is_loopback_address(text: str) -> bool:
    """Tell whether `text` is an address, not a name, of this machine."""
    from ipaddress import ip_address

    try:
        return ip_address(text).is_loopback
    except ValueError:
        return False
