"""A glance at the ledger: the last reading of a key, or of a profile where its key is not known, and its forecast.

Overviews of what the ledger holds, one a series.
"""

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
"""Of samples that stand closer together the last one is read: a line has few digits, and no time."""


class Question(NamedTuple):
    """What is looked for."""

    profile: str
    """The label of the readings."""
    host: str
    scopes: Sequence[Scope]
    name: str
    """The name of its row in the table `state`."""
    key_id: str | None = None
    """The key that would be asked with, where it is known: another key's readings are then not looked at."""
    is_keyless: bool = False
    """No key would be asked with: what is known is shown where it can only be about one key."""

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
    """What a forecast needs of those before it, and itself; empty where no forecast was asked for."""


class Glance(NamedTuple):
    """What is known."""

    seen: Sequence[Recalled] = ()
    """One for each scope, or none where one of them is missing."""
    refreshing: Refreshing = Refreshing()

    def confirmed_at(self, now: datetime) -> datetime:
        """Return when the gateway last said what was seen: of several, what it said first.

        What is confirmed in the future was confirmed by a clock that was ahead.
        """
        stamp = self.refreshing.confirmed_at
        confirmed = datetime.fromtimestamp(stamp if 0 <= stamp <= now.timestamp() else 0, UTC)
        return min(max(each.entry.at, confirmed) for each in self.seen)


def glance(path: Path, question: Question, now: datetime, *, has_forecast: bool) -> Glance:
    """Look at the ledger, for a moment. Raises LedgerError when it cannot be used, or not at once.

    What is dated after `now` was written by a clock that was ahead, and is left out.
    """
    try:
        with opened(path, create=False) as connection:
            refreshing = look(connection, question.name)
            seen = []
            for scope in question.scopes:
                entry = question.latest(connection, scope, now)
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
    """What was asked for, and the names of all profiles that the ledger knows."""

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
    """Return an overview of each series, of the days `shown`; with `profiles`, of those that they asked for last.

    What is dated after `now` was written by a clock that was ahead, and is left out.

    They come in the order in which the series began, each profile's together. Raises LedgerError.
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
    told = samples(connection, series, since=needed_since(seen, shown), until=now)
    # The last one may be one that a wrong clock has left.
    last = latest(connection, series, until=told[-1].at) if told else None
    if last is not None:
        seen = seen._replace(last_at=last.at, remain=last.remain, unit=last.unit)
    found = overview(seen, told, shown)
    return found._replace(forecast=_forecast_from_books(connection, series, found, told, now) or found.forecast)


def _forecast_from_books(
    connection: Connection, series: Series, found: Overview, told: Sequence[Sample], now: datetime
) -> Forecast | None:
    """Return what the gateway's books told a moment ago, where there is too little to tell it from."""
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
    if not agree(told, spends, zone_of(tz, "tz")):
        return None
    floor = floor_of(connection, series.host) or Decimal(0)
    forecast = forecast_from_books(answer.days[:-1], answer.days[-1], found.seen.remain, floor=floor)
    return None if forecast.state is ForecastState.TOO_LITTLE else forecast


def _seen(connection: Connection, series: Series, now: datetime) -> Seen | None:
    last, whole = latest(connection, series, until=now), extent(connection, series, until=now)
    if last is None or whole is None:
        return None
    return Seen(last.profile, series.scope, series.key_id, series.host, last.unit, *whole, last.remain)
