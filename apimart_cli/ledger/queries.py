"""What commands read from the ledger, on a connection of `file.opened`."""

import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from apimart_cli.ledger.file import Connection
from apimart_cli.ledger.place import LedgerError
from apimart_cli.ledger.schema import MAX_DIGITS, MAX_PLACES, Entry, Series
from apimart_cli.words import Scope

if TYPE_CHECKING:
    from apimart_cli.rules.spending import Sample

PAGE = 1000
"""Entries that are read at once. Between two pages nothing is locked, however slowly the caller goes on."""

MOST_SAMPLES = 20_000
"""Most samples of a series that a chart or a forecast is made from: about 10 MB of memory."""

LEAST_STEP = 300
"""Least seconds between two samples that are read of a series with more than MOST_SAMPLES."""

END = 2**62
"""Later than every time in the ledger, in seconds, and larger than every number of a row."""

KEY_ID = "[0-9a-f]{12}"

_LONGEST_AMOUNT = 100
"""Characters. An amount has fewer, with its sign, its point and all digits that it may have."""

COMPLETE = "label NOT IN (SELECT id FROM labels WHERE batch IS NOT NULL)"
"""Leaves out the samples of an import that is not complete."""

_IN_ORDER = """NOT EXISTS (
  SELECT 1 FROM late INDEXED BY late_by_last
  WHERE late.series = samples.series AND late.last >= samples.at AND late.at < samples.at)
"""
"""Leaves out a sample that was written before an earlier one: its time may be wrong."""

_QUERY = """
    SELECT samples.series, samples.at, series.key_id, series.host, series.scope, labels.profile, samples.remain,
      samples.used, labels.unit, labels.source
    FROM samples CROSS JOIN series ON series.id = samples.series CROSS JOIN labels ON labels.id = samples.label
    WHERE labels.batch IS NULL
"""

_NAMES_LOOKED_AT = 1000
"""A profile is looked for among so many last samples of each series first, since all of them take long."""

_OF_PROFILE = """
    SELECT each.id FROM series AS each WHERE each.host = ? AND each.scope = ?
      AND EXISTS (SELECT 1 FROM (SELECT label FROM samples WHERE series = each.id AND at <= ? ORDER BY at DESC LIMIT ?)
        WHERE label IN (SELECT id FROM labels WHERE profile = ? AND batch IS NULL))
"""
"""The series with the name of a profile in one of their last samples."""

_LAST_OF_PROFILE = f"""
    {_QUERY} AND (samples.series, samples.at) IN (
      SELECT each.id, (
        SELECT at FROM samples WHERE series = each.id AND at <= ? AND {COMPLETE} AND {_IN_ORDER}
        ORDER BY at DESC LIMIT 1)
      FROM series AS each WHERE each.id IN ({_OF_PROFILE}))
    ORDER BY labels.profile = ? DESC, samples.at DESC LIMIT 1
"""  # noqa: S608  # our own


def latest(connection: sqlite3.Connection, series: Series, *, until: datetime | None = None) -> Entry | None:
    """Return the last entry of a series, up to `until` if that is given: a clock may once have been ahead."""
    rows = connection.execute(
        f"{_QUERY} AND samples.series = ? AND samples.at <= ? ORDER BY samples.at DESC LIMIT 1",
        (id_of(connection, series), END if until is None else int(until.timestamp())),
    )
    row = rows.fetchone()
    return None if row is None else _entry(row)


def latest_of_profile(
    connection: sqlite3.Connection, profile: str, host: str, scope: Scope, *, until: datetime | None = None
) -> Entry | None:
    """Return the last entry of a profile at a host, for a key that is not known.

    It is an entry of a series that had the profile's name, as two profiles with one key share a series. An entry that
    was written before an earlier one is left out: its clock was ahead.
    """
    end = END if until is None else int(until.timestamp())
    for most in (_NAMES_LOOKED_AT, END):
        values = (end, host, scope.value, end, most, profile, profile)
        row = connection.execute(_LAST_OF_PROFILE, values).fetchone()
        if row is not None:
            return _entry(row)
    return None


def keys_of_profile(connection: sqlite3.Connection, profile: str, host: str, scope: Scope) -> set[str]:
    """Return the ids of the keys whose balances were read at a host under the name of a profile."""
    query = """
        SELECT DISTINCT key_id FROM series WHERE host = ? AND scope = ?
          AND EXISTS (SELECT 1 FROM samples WHERE samples.series = series.id AND samples.label IN
            (SELECT id FROM labels WHERE profile = ? AND batch IS NULL))
    """
    with readable():
        return {key_id_of(key_id) for (key_id,) in connection.execute(query, (host, scope.value, profile))}


def all_series(connection: sqlite3.Connection) -> list[Series]:
    """Return every series that has an entry, the one that began first at the beginning."""
    found = connection.execute("SELECT id, key_id, host, scope FROM series ORDER BY id").fetchall()
    with readable():
        require_rising(number for number, *_ in found)
        series = [Series(key_id_of(key_id), text_of(host), Scope(scope)) for _, key_id, host, scope in found]
    return [each for each in series if latest(connection, each)]


def has_answered(connection: sqlite3.Connection, host: str, scope: Scope) -> bool:
    """Tell whether a scope was ever read at a host, with any key."""
    query = f"""
        SELECT 1 FROM series WHERE host = ? AND scope = ?
          AND EXISTS (SELECT 1 FROM samples WHERE samples.series = series.id AND {COMPLETE}) LIMIT 1
    """  # noqa: S608  # our own
    return connection.execute(query, (host, scope.value)).fetchone() is not None


def extent(
    connection: sqlite3.Connection, series: Series, *, until: datetime | None = None
) -> tuple[datetime, datetime, int] | None:
    """Return the times of the first and the last entry of a series, and how many there are; None if there is none."""
    first, last, count = connection.execute(
        f"SELECT min(at), max(at), count(*) FROM samples WHERE series = ? AND at <= ? AND {COMPLETE}",  # noqa: S608  # ours
        (id_of(connection, series), _between(None, until)[1]),
    ).fetchone()
    with readable():
        return (moment_of(first), moment_of(last), count) if count else None


def profiles(connection: sqlite3.Connection) -> list[str]:
    """Return the names of the profiles that have an entry."""
    # Sorted here, as SQLite would fill the disk with what a damaged file repeats.
    query = "SELECT profile FROM labels WHERE batch IS NULL AND id IN (SELECT label FROM samples)"
    with readable():
        return sorted({text_of(name) for (name,) in connection.execute(query).fetchall()})


def entries(
    connection: Connection,
    series: Series | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Iterator[Entry]:
    """Yield the entries of one series, or of all, in the order of their times.

    `since` and `until` are included. Entries that are written meanwhile may be among them or not.
    """
    first, last = (0, END) if series is None else [id_of(connection, series)] * 2
    start, end = _between(since, until)
    query = (
        f"{_QUERY} AND (samples.series, samples.at) > (?, ?) AND samples.series <= ? AND samples.at BETWEEN ? AND ?"
        f" ORDER BY samples.series, samples.at LIMIT {PAGE}"
    )
    place = (first, start - 1)
    while page := _read(connection, query, (*place, last, start, end)):
        yield from map(_entry, page)
        place = next_place(place, page[-1][:2])


def samples(
    connection: Connection,
    series: Series,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    every: timedelta | None = None,
) -> "list[Sample]":
    """Return the part of each entry that forecasts and charts need, quicker than `entries` would.

    In each step of `every`, which is whole seconds, only the last sample is read. Without `every`, all are read, or, if
    they are more than MOST_SAMPLES, one in each step that is long enough. Samples that were written under a wrong clock
    are left out, as far as that can be seen: see `rules.spending.in_order`.
    """
    from apimart_cli.rules.spending import Sample

    number, (start, end) = id_of(connection, series), _between(since, until)
    # No sample is from before 1970, and for a number below zero SQLite would round to the end of a step.
    start = max(start, 0)
    rows = None if every is not None else _at_most(connection, number, start, end)
    if rows is None:
        step = _step_for(connection, number, start, end) if every is None else every // timedelta(seconds=1)
        rows = _thinned(connection, number, start, end, step)
    moment, utc, amount = datetime.fromtimestamp, UTC, amount_of
    with readable():
        require_rising(at for at, _, _ in rows)
        return [
            Sample(moment(at, utc), None if remain is None else amount(remain), amount(used))
            for at, remain, used in _kept(connection, number, rows)
        ]


def _at_most(connection: Connection, number: int, start: int, end: int) -> list[Any] | None:
    """Return all samples; None if there are more than MOST_SAMPLES."""
    rows = _read(
        connection,
        f"SELECT at, remain, used FROM samples WHERE series = ? AND at BETWEEN ? AND ? AND {COMPLETE}"  # noqa: S608  # ours
        " ORDER BY at LIMIT ?",
        (number, start, end, MOST_SAMPLES + 1),
    )
    return rows if len(rows) <= MOST_SAMPLES else None


def _step_for(connection: Connection, number: int, start: int, end: int) -> int:
    """Return how many seconds a step must have so that at most MOST_SAMPLES are read."""
    query = "SELECT at FROM samples WHERE series = ? AND at BETWEEN ? AND ? ORDER BY at"
    [(first,)] = _read(connection, f"{query} LIMIT 1", (number, start, end))
    [(last,)] = _read(connection, f"{query} DESC LIMIT 1", (number, start, end))
    with readable():
        return max(LEAST_STEP, int(last - first) // MOST_SAMPLES + 1)


def _thinned(connection: Connection, number: int, start: int, end: int, step: int) -> list[Any]:
    """Return the last sample of each step. The query goes from one to the next, past those in between."""
    last = f"SELECT at FROM samples WHERE series = :series AND at >= :start AND {COMPLETE}"  # noqa: S608  # ours
    query = f"""
        WITH RECURSIVE step (at) AS (
          SELECT ({last} AND at <= :end ORDER BY at DESC LIMIT 1)
          UNION ALL
          SELECT ({last} AND at < CAST(step.at AS INTEGER) / :step * :step ORDER BY at DESC LIMIT 1)
          FROM step WHERE step.at IS NOT NULL)
        SELECT samples.at, remain, used FROM step CROSS JOIN samples ON series = :series AND samples.at = step.at
    """  # noqa: S608  # our own
    # The query gives the last one first. SQLite would fill the disk to sort what a damaged file repeats.
    return _read(connection, query, {"series": number, "start": start, "end": end, "step": step})[::-1]


def _kept(connection: Connection, number: int, rows: list[Any]) -> list[Any]:
    """Return the samples that fit the order in which all were written."""
    if not rows:
        return rows
    times = {at for at, _, _ in rows}
    late = {
        at: (last, serial)
        for at, last, serial in connection.execute(
            "SELECT at, last, id FROM late WHERE series = ? AND at BETWEEN ? AND ? AND last BETWEEN at AND ?",
            (number, rows[0][0], rows[-1][0], END),
        )
        if at in times
    }
    if not late:
        return rows
    from apimart_cli.rules.spending import in_order

    with readable():
        kept = in_order([row[0] for row in rows], late)
    return [row for row in rows if row[0] in kept]


def require_rising(numbers: Iterable[int]) -> None:
    """Raise ValueError unless each number is larger than the one before: rows of a damaged file repeat."""
    if not all(before < after for before, after in pairwise(numbers)):
        raise ValueError


def next_place(place: tuple[int, int], after: tuple[int, int]) -> tuple[int, int]:
    """Return the place to go on from. Raises LedgerError if it is not after the last one, as in a damaged file."""
    with readable():
        if not place < after:
            raise ValueError
    return after


def id_of(connection: sqlite3.Connection, series: Series) -> int:
    """Return the number of a series; -1 if there is no such series."""
    query = "SELECT id FROM series WHERE key_id = ? AND host = ? AND scope = ?"
    found = connection.execute(query, series).fetchone()
    return -1 if found is None else int(found[0])


def _between(since: datetime | None, until: datetime | None) -> tuple[int, int]:
    return -END if since is None else int(since.timestamp()), END if until is None else int(until.timestamp())


def _read(connection: Connection, query: str, values: tuple[object, ...] | dict[str, object]) -> list[Any]:
    """Read all rows at once, so that nothing stays locked while they are used."""
    connection.limit_waiting()
    return connection.execute(query, values).fetchall()


def _entry(row: Any) -> Entry:
    _, at, key_id, host, scope, profile, remain, used, unit, source = row
    with readable():
        return Entry(
            Series(key_id_of(key_id), text_of(host), Scope(scope)),
            moment_of(at),
            text_of(profile),
            None if remain is None else amount_of(remain),
            amount_of(used),
            None if unit is None else text_of(unit),
            text_of(source),
        )


def moment_of(seconds: Any) -> datetime:
    """Return a time. Raises TypeError, ValueError, OverflowError or OSError for a value that apimart never writes."""
    # No clock is before 1970; and from a time in the year 1 a month could not be subtracted.
    if seconds < 0:
        raise ValueError
    return datetime.fromtimestamp(seconds, UTC)


def text_of(value: object) -> str:
    """Return a text. Raises TypeError for other values: SQLite keeps any value in any column."""
    if not isinstance(value, str):
        raise TypeError
    return value


def key_id_of(value: object) -> str:
    """Return a key id, which is shown as it is. Raises TypeError or ValueError for other values."""
    if not re.fullmatch(KEY_ID, text_of(value)):
        raise ValueError
    return str(value)


def amount_of(text: object) -> Decimal:
    """Return an amount. Raises TypeError or ValueError for other values, like NaN, 1e999999 or a blob."""
    if not isinstance(text, str) or len(text) > _LONGEST_AMOUNT:
        raise TypeError
    amount = Decimal(text)
    if not amount.is_finite() or not -MAX_PLACES <= amount.adjusted() < MAX_DIGITS:
        raise ValueError
    return amount


@contextmanager
def readable() -> Iterator[None]:
    """Raise LedgerError if a value in the ledger is one that apimart never writes."""
    try:
        yield
    except (ValueError, TypeError, OverflowError, OSError, InvalidOperation):
        raise LedgerError("the ledger holds something that apimart did not write") from None
