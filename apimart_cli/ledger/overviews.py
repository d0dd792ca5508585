"""Overviews of what the ledger holds, one a series."""

from collections.abc import Collection
from datetime import date, datetime
from pathlib import Path
from typing import NamedTuple

from apimart_cli.ledger.file import Connection, opened
from apimart_cli.ledger.place import NoLedgerError
from apimart_cli.ledger.queries import all_series, extent, latest, samples
from apimart_cli.ledger.records import Series
from apimart_cli.overview import Overview, Seen, needed_since, overview
from apimart_cli.words import Scope


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
    return overview(seen, told, shown)


def _seen(connection: Connection, series: Series, now: datetime) -> Seen | None:
    last, whole = latest(connection, series, until=now), extent(connection, series, until=now)
    if last is None or whole is None:
        return None
    return Seen(last.profile, series.scope, series.key_id, series.host, last.unit, *whole, last.remain)
