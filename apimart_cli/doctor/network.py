"""What stands between here and the gateway, whether the clock is right, and what the gateway and its balance say."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from urllib.parse import urlsplit

from apimart_cli.config.settings import Settings
from apimart_cli.errors import ApimartError, NoAccountError, NoBooksError, bug
from apimart_cli.gateway.connections import authorities, look_up
from apimart_cli.gateway.handshake import Handshake, shake_hands
from apimart_cli.gateway.proxies import Route, route_to
from apimart_cli.gateway.transport import Head
from apimart_cli.output import left_in_words, with_unit
from apimart_cli.records import Condition, DoctorFinding
from apimart_cli.rules.balance import Reading
from apimart_cli.rules.books import UNIT, BooksReading
from apimart_cli.target import Target, is_plain_http
from apimart_cli.text import listed, quote
from apimart_cli.words import Scope

ENDS_SOON = timedelta(days=14)
"""A certificate that is valid for less time is worth a note."""

CLOCK_NOTE, CLOCK_WRONG = 60, 300
"""Seconds by which the clock may be wrong before that is a note, and before it is a mistake."""

LONGEST_DATE = 64
"""Longest date that is read, in characters. Those of HTTP have 29."""

_CLOCK_HINT = "set the clock, for example by NTP: certificates, the history and forecasts depend on it"


class NetworkLook:
    """What is seen of the network, bit by bit, by a thread that may never come back: a name server may hang."""

    def __init__(self) -> None:
        self.route: Route | ApimartError | None = None
        self.addresses: list[str] | None = None
        """Those of the gateway; none where its name has none. Not looked up where a proxy does that."""
        self.handshake: Handshake | None = None

    def work(self, target: Target, seconds_left: Callable[[], float]) -> None:
        """Look at the way to the gateway of a target. Raises nothing, as a thread has no place for an error."""
        try:
            self.route = route_to(target.base_url)
            if self.route.proxy is None and not _is_address(_host(target)):
                self.addresses = _addresses(target)
            self.handshake = shake_hands(target, seconds_left)
        except ApimartError as error:
            self.route = error
        except Exception as error:  # noqa: BLE001  # the last resort of a thread, whose traceback would be shown
            self.handshake = Handshake(0.0, bug(error))


def looked_at(settings: Settings, look: NetworkLook) -> Iterator[DoctorFinding]:
    """Yield what was seen of the network."""
    target, route, handshake = settings.targets()[0], look.route, look.handshake
    yield DoctorFinding.ok("gateway", f"{target.base_url}, by {settings.base_url.source}")
    if isinstance(route, ApimartError):
        yield DoctorFinding.wrong("proxy", route)
        return
    if route is not None:
        yield _proxy(target, route)
    if look.addresses:
        yield DoctorFinding.ok("name", f"{_host(target)} is {listed(look.addresses)}")
    elif look.addresses is not None:
        hint = "check the base URL and the name server; behind a proxy, name that in HTTPS_PROXY"
        yield DoctorFinding("name", Condition.WRONG, f"{_host(target)} has no address", hint)
    if handshake is None:
        hint = "a name server, a firewall or a proxy that is needed may be the reason; allow more with --timeout 30"
        yield DoctorFinding("connection", Condition.WRONG, f"no connection within {target.timeout:g} seconds", hint)
        return
    if handshake.failure is None:
        yield DoctorFinding.ok("connection", f"made in {_milliseconds(handshake.seconds)}")
    else:
        yield DoctorFinding.wrong("connection", handshake.failure)
    if not is_plain_http(target.base_url):
        yield from _tls(handshake)


def _proxy(target: Target, route: Route) -> DoctorFinding:
    if route.proxy is not None:
        return DoctorFinding.ok("proxy", f"{quote(route.proxy)}, from {route.named_by}")
    if route.named_by is not None:
        return DoctorFinding.ok("proxy", f"none for this host, by {route.named_by}")
    if is_plain_http(target.base_url):
        return DoctorFinding.ok("proxy", "none: http:// stays on this machine")
    return DoctorFinding.ok("proxy", "none is set")


def _tls(handshake: Handshake) -> Iterator[DoctorFinding]:
    """Yield which authorities are trusted, and what the gateway's certificate says."""
    trusted = authorities()
    named = listed([f"{source} ({place})" for source, place in trusted])
    yield DoctorFinding.ok("authorities", f"those of {named}")
    certificate = handshake.certificate
    if certificate is None:
        return
    issuer = quote(certificate.issuer)
    if handshake.failure is not None:
        hint = (
            "if that is your company's proxy, name the file of its authority in REQUESTS_CA_BUNDLE; "
            "otherwise do not trust this network"
        )
        yield DoctorFinding("certificate", Condition.WRONG, f"issued by {issuer}, which is not trusted", hint)
        return
    left = certificate.expires - datetime.now(UTC)
    message = f"issued by {issuer}, {left.days} days left"
    if left < ENDS_SOON:
        yield DoctorFinding.note("certificate", message, "tell the people who run the gateway or the proxy")
    else:
        yield DoctorFinding.ok("certificate", message)


def clock(heads: Sequence[Head]) -> Iterator[DoctorFinding]:
    """Yield by how much our clock differs from the gateway's."""
    for head in heads:
        told = _moment(head.date)
        if told is None:
            continue
        # The date has whole seconds, and was written at some moment of the exchange.
        apart = (head.at - told).total_seconds()
        seconds = max(0.0, abs(apart - 0.5 - head.seconds / 2) - 0.5 - head.seconds / 2)
        way = "ahead of" if apart > 0 else "behind"
        if seconds < CLOCK_NOTE:
            yield DoctorFinding.ok("clock", f"within {CLOCK_NOTE} seconds of the gateway's")
        elif seconds < CLOCK_WRONG:
            yield DoctorFinding.note("clock", f"{seconds:.0f} seconds {way} the gateway's", _CLOCK_HINT)
        else:
            yield DoctorFinding("clock", Condition.WRONG, f"{seconds:.0f} seconds {way} the gateway's", _CLOCK_HINT)
        return
    yield DoctorFinding.note("clock", "not compared: no answer told the time")


def endpoints(settings: Settings, readings: Sequence[Reading], heads: Sequence[Head]) -> Iterator[DoctorFinding]:
    """Yield how each endpoint answered."""
    if not readings:
        yield DoctorFinding.note("endpoint", "not asked, as there is no key", "give a key first")
    for reading in readings:
        name = f"of the {reading.scope}"
        head = next((each for each in heads if each.scope is reading.scope), None)
        how = "" if head is None else f"HTTP {head.status} in {_milliseconds(head.seconds)}"
        match reading.error:
            case None:
                yield DoctorFinding.ok("endpoint", f"{name}: {how}, a balance")
            case NoAccountError():
                yield DoctorFinding.note("endpoint", f"{name}: {how}, there is none; keys can be looked at")
            case error if reading.scope is Scope.ACCOUNT and Scope.ACCOUNT not in settings.scope.value.asked:
                # `balance` would not look at it; `check`, `nagios` and `run` do.
                hint = f"{error.hint or 'try again'}; or look at the key alone: --scope key"
                yield DoctorFinding("endpoint", Condition.WRONG, f"{name}: {error.message}", hint)
            case error:
                yield DoctorFinding("endpoint", Condition.WRONG, f"{name}: {error.message}", error.hint)


def books(settings: Settings, reading: BooksReading | None, heads: Sequence[Head]) -> Iterator[DoctorFinding]:
    """Yield how the books answered. A gateway may have none; that is wrong only where a budget needs them."""
    if reading is None:
        # That there is no key was told with the endpoints.
        return
    name = f"of the {reading.scope}"
    how = f"HTTP {heads[0].status} in {_milliseconds(heads[0].seconds)}" if heads else ""
    if reading.usage is not None:
        spent = with_unit(reading.usage.total.spent, UNIT)
        yield DoctorFinding.ok("books", f"{name}: {how}, {spent} spent in the last 24 hours")
    elif isinstance(reading.error, NoBooksError) and settings.max_spent.value is None:
        hint = "usage and budgets need them; forecasts are made from what is recorded here"
        yield DoctorFinding.note("books", f"{name}: {how}, this gateway keeps no books that can be asked", hint)
    elif reading.error is not None:
        yield DoctorFinding("books", Condition.WRONG, f"{name}: {reading.error.message}", reading.error.hint)


def meaning(settings: Settings, readings: Sequence[Reading]) -> Iterator[DoctorFinding]:
    """Yield what the balance means: its unit, and where the money of an unlimited key is."""
    balances = {reading.scope: reading.balance for reading in readings if reading.balance is not None}
    key, account = balances.get(Scope.KEY), balances.get(Scope.ACCOUNT)
    unit = settings.unit.value
    for scope, balance in balances.items():
        words = f"{left_in_words(balance, unit)}, {with_unit(balance.used_balance, unit)} used"
        yield DoctorFinding.ok("balance", f"of the {scope}: {words}")
    if key is not None and key.unlimited_quota:
        if account is None:
            message = "the key has no limit: it spends what its account has, which is not known"
            yield DoctorFinding.note("limit", message, "look at the account in the gateway's console")
        elif account.unlimited_quota:
            yield DoctorFinding.note("limit", "neither the key nor its account has a limit", "thresholds never stop it")
        else:
            yield DoctorFinding.ok("limit", "the key has none: it spends what its account has")
    if balances and unit is None:
        hint = "the gateway does not tell it; if it is dollars: apimart config set unit USD"
        yield DoctorFinding.note("unit", "not known", hint)
    elif balances:
        yield DoctorFinding.ok("unit", f"{quote(unit or '')}, by {settings.unit.source}")


def _addresses(target: Target) -> list[str]:
    parts = urlsplit(target.base_url)
    with suppress(Exception):  # whatever a name server says, the connection tells the failure
        found = look_up(parts.hostname or "", parts.port or (80 if is_plain_http(target.base_url) else 443))
        return list(dict.fromkeys(str(address[0]) for *_, address in found))
    return []


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _host(target: Target) -> str:
    return urlsplit(target.base_url).hostname or ""


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def _moment(date: str | None) -> datetime | None:
    """Return the time that a header tells; None where it tells none."""
    if date is None or len(date) > LONGEST_DATE:
        return None
    try:
        told = parsedate_to_datetime(date)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return told if told.tzinfo is not None else told.replace(tzinfo=UTC)
