"""Views of the ledger: a glance at the last reading of one balance, and an overview of each series."""

from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from apimart_cli.ledger.file import Connection, opened
from apimart_cli.ledger.place import NoLedgerError
from apimart_cli.ledger.queries import all_series, extent, keys_of_profile, latest, latest_of_profile, samples
from apimart_cli.ledger.refreshes import Refreshing, look
from apimart_cli.ledger.schema import Entry, Series
from apimart_cli.rules.forecast import (
    REACH,
    Forecast,
    Overview,
    Seen,
    needed_since,
    overview,
)
from apimart_cli.rules.spending import Sample
from apimart_cli.words import ForecastState, Scope

EVERY = timedelta(minutes=30)
"""A glance reads only the last sample in each of these steps: a status line shows few digits, and must be quick."""


class BalanceQuery(NamedTuple):
    """The balance that a status line shows."""

    profile: str
    """The name under which its readings were recorded."""
    host: str
    scopes: Sequence[Scope]
    name: str
    """The name of its row in the table `state`: see `refreshes.name_of`."""
    key_id: str | None = None
    """The key in use, if it is known: readings of other keys are then left out."""
    is_keyless: bool = False
    """There is no key. Readings of the profile are shown if all of them are of one key."""

    def latest(self, connection: Connection, scope: Scope, now: datetime) -> Entry | None:
        """Return the last reading of one scope up to `now`."""
        if self.key_id is not None:
            return latest(connection, Series(self.key_id, self.host, scope), until=now)
        if self.is_keyless and len(keys_of_profile(connection, self.profile, self.host, scope)) > 1:
            return None
        return latest_of_profile(connection, self.profile, self.host, scope, until=now)


class Recalled(NamedTuple):
    """The last reading of one scope."""

    entry: Entry
    samples: Sequence[Sample]
    """That reading and those before it, as a forecast needs them; empty if no forecast was asked for."""


class Glance(NamedTuple):
    """What is known of one balance."""

    seen: Sequence[Recalled] = ()
    """One for each scope; none if any of them is missing."""
    refreshing: Refreshing = Refreshing()

    def confirmed_at(self, now: datetime) -> datetime:
        """Return when the gateway last confirmed what was seen; of several scopes, the earliest time.

        A clock that was ahead has confirmed things in the future: that does not count.
        """
        stamp = self.refreshing.confirmed_at
        confirmed = datetime.fromtimestamp(stamp if 0 <= stamp <= now.timestamp() else 0, UTC)
        return min(max(each.entry.at, confirmed) for each in self.seen)


def glance(path: Path, query: BalanceQuery, now: datetime, *, has_forecast: bool) -> Glance:
    """Return what the ledger knows of a balance. Raises LedgerError if it cannot be used, or not within 250 ms.

    Readings after `now` are left out: the clock was ahead when they were written.
    """
    try:
        with opened(path, create=False) as connection:
            refreshing = look(connection, query.name)
            seen = []
            for scope in query.scopes:
                entry = query.latest(connection, scope, now)
                if entry is None:
                    return Glance(refreshing=refreshing)
                since = entry.at - REACH
                before = (
                    samples(connection, entry.series, since=since, until=entry.at, every=EVERY) if has_forecast else []
                )
                seen.append(Recalled(entry, before))
            return Glance(seen, refreshing)
    except NoLedgerError:
        return Glance()


class Overviews(NamedTuple):
    """The overviews that were asked for, and the names of all profiles in the ledger."""

    found: list[Overview]
    profiles: list[str]


def overviews(
    path: Path,
    shown: tuple[date, ...],
    now: datetime,
    *,
    profiles: Collection[str] = (),
    scopes: Collection[Scope] = tuple(Scope),
) -> Overviews:
    """Return an overview of the days `shown` for each series; with `profiles`, for those that they read last.

    The series that began first comes first, and those of a profile come together. Readings after `now` are left out:
    the clock was ahead when they were written. Raises LedgerError.
    """
    try:
        with opened(path, seconds=None, create=False) as connection:
            return _overviews(connection, shown, now, profiles, scopes)
    except NoLedgerError:
        return Overviews([], [])


def _overviews(
    connection: Connection,
    shown: tuple[date, ...],
    now: datetime,
    profiles: Collection[str],
    scopes: Collection[Scope],
) -> Overviews:
    every = [(series, seen) for series in all_series(connection) if (seen := _seen(connection, series, now))]
    places = {seen.profile: place for place, (_, seen) in reversed(list(enumerate(every)))}
    found = [
        _overview(connection, series, seen, shown, now)
        for series, seen in every
        if seen.scope in scopes and (not profiles or seen.profile in profiles)
    ]
    found.sort(key=lambda each: places[each.seen.profile])
    return Overviews(found, sorted(places))


def _overview(connection: Connection, series: Series, seen: Seen, shown: tuple[date, ...], now: datetime) -> Overview:
    read = samples(connection, series, since=needed_since(seen, shown), until=now)
    # `seen` may show a reading that a wrong clock has left.
    last = latest(connection, series, until=read[-1].at) if read else None
    if last is not None:
        seen = seen._replace(last_at=last.at, remain=last.remain, unit=last.unit)
    found = overview(seen, read, shown)
    return found._replace(forecast=_forecast_from_books(connection, series, found, read, now) or found.forecast)


def _forecast_from_books(
    connection: Connection, series: Series, found: Overview, read: Sequence[Sample], now: datetime
) -> Forecast | None:
    """Return the forecast that the gateway's books gave a moment ago, if there are too few samples for one."""
    is_told = found.forecast is not None and found.forecast.state is not ForecastState.TOO_LITTLE
    if is_told or found.seen.unit != "USD":
        return None
    from apimart_cli.ledger.books import floor_of, last_kept

    kept = last_kept(connection, series, now.timestamp())
    if kept is None:
        return None
    from apimart_cli.rules.book_forecast import forecast_from_books
    from apimart_cli.rules.books import agree
    from apimart_cli.zones import zone_of

    tz, answer = kept
    spends = {answer.day - timedelta(days=ago): spent for ago, spent in enumerate(reversed(answer.days))}
    if not agree(read, spends, zone_of(tz, "tz")):
        return None
    floor = floor_of(connection, series.host) or Decimal(0)
    forecast = forecast_from_books(answer.days[:-1], answer.days[-1], found.seen.remain, floor=floor)
    return None if forecast.state is ForecastState.TOO_LITTLE else forecast


def _seen(connection: Connection, series: Series, now: datetime) -> Seen | None:
    last, whole = latest(connection, series, until=now), extent(connection, series, until=now)
    if last is None or whole is None:
        return None
    return Seen(last.profile, series.scope, series.key_id, series.host, last.unit, *whole, last.remain)
