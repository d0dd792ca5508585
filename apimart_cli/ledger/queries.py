"""What is read from the ledger, on a connection of `file.opened`."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from apimart_cli.ledger.file import Connection
from apimart_cli.ledger.place import LedgerError
from apimart_cli.ledger.records import MAX_DIGITS, MAX_PLACES, Entry, Series
from apimart_cli.spending import Sample
from apimart_cli.words import Scope

PAGE = 1000
"""Entries that are read at once: between two pages nothing is locked, however slowly they are used."""

END = 2**62

_KEY_ID = re.compile("[0-9a-f]{12}")

_LONGEST_AMOUNT = 100
"""Characters. A sign, a point and all digits that an amount may have are fewer."""

COMPLETE = "label NOT IN (SELECT id FROM labels WHERE batch IS NOT NULL)"
"""Leaves out what an import has not completed."""

_QUERY = """
    SELECT samples.series, samples.at, series.key_id, series.host, series.scope, labels.profile, samples.remain,
      samples.used, labels.unit, labels.source
    FROM samples CROSS JOIN series ON series.id = samples.series CROSS JOIN labels ON labels.id = samples.label
    WHERE labels.batch IS NULL
"""

_LAST_OF_PROFILE = f"""
    {_QUERY} AND (samples.series, samples.at) IN (
      SELECT each.id, (
        SELECT last.at FROM samples AS last CROSS JOIN labels AS named ON named.id = last.label
        WHERE last.series = each.id AND last.at <= ? AND named.batch IS NULL ORDER BY last.at DESC LIMIT 1)
      FROM series AS each WHERE each.host = ? AND each.scope = ?
        AND EXISTS (SELECT 1 FROM samples AS own WHERE own.series = each.id AND own.label IN
          (SELECT id FROM labels WHERE profile = ? AND batch IS NULL)))
    ORDER BY labels.profile = ? DESC, samples.at DESC LIMIT 1
"""  # noqa: S608  # our own


def latest(connection: sqlite3.Connection, series: Series, *, until: datetime | None = None) -> Entry | None:
    """Return the last entry of a series, up to a time where one is given: a clock may once have been ahead."""
    rows = connection.execute(
        f"{_QUERY} AND samples.series = ? AND samples.at <= ? ORDER BY samples.at DESC LIMIT 1",
        (id_of(connection, series), END if until is None else int(until.timestamp())),
    )
    row = rows.fetchone()
    return None if row is None else _entry(row)


def latest_of_profile(
    connection: sqlite3.Connection, profile: str, host: str, scope: Scope, *, until: datetime | None = None
) -> Entry | None:
    """Return the last entry of a profile at a host, without its key: of a series that had its name, the last one first.

    Two profiles may have one key, and so one series.
    """
    end = END if until is None else int(until.timestamp())
    row = connection.execute(_LAST_OF_PROFILE, (end, host, scope.value, profile, profile)).fetchone()
    return None if row is None else _entry(row)


def keys_of_profile(connection: sqlite3.Connection, profile: str, host: str, scope: Scope) -> set[str]:
    """Return the ids of the keys that were read at a host under the name of a profile."""
    query = """
        SELECT DISTINCT key_id FROM series WHERE host = ? AND scope = ?
          AND EXISTS (SELECT 1 FROM samples WHERE samples.series = series.id AND samples.label IN
            (SELECT id FROM labels WHERE profile = ? AND batch IS NULL))
    """
    with readable():
        return {key_id_of(key_id) for (key_id,) in connection.execute(query, (host, scope.value, profile))}


def all_series(connection: sqlite3.Connection) -> list[Series]:
    """Return every series that has an entry, in the order in which they began."""
    found = connection.execute("SELECT key_id, host, scope FROM series ORDER BY id").fetchall()
    with readable():
        series = [Series(key_id_of(key_id), text_of(host), Scope(scope)) for key_id, host, scope in found]
    return [each for each in series if latest(connection, each)]


def has_answered(connection: sqlite3.Connection, host: str, scope: Scope) -> bool:
    """Tell whether a scope was ever read at a host, with whatever key."""
    query = f"""
        SELECT 1 FROM series WHERE host = ? AND scope = ?
          AND EXISTS (SELECT 1 FROM samples WHERE samples.series = series.id AND {COMPLETE}) LIMIT 1
    """  # noqa: S608  # our own
    return connection.execute(query, (host, scope.value)).fetchone() is not None


def extent(
    connection: sqlite3.Connection, series: Series, *, until: datetime | None = None
) -> tuple[datetime, datetime, int] | None:
    """Return when the first and the last entry of a series were written, and how many there are; None without any."""
    first, last, count = connection.execute(
        f"SELECT min(at), max(at), count(*) FROM samples WHERE series = ? AND at <= ? AND {COMPLETE}",  # noqa: S608  # ours
        (id_of(connection, series), _between(None, until)[1]),
    ).fetchone()
    with readable():
        return (datetime.fromtimestamp(first, UTC), datetime.fromtimestamp(last, UTC), count) if count else None


def profiles(connection: sqlite3.Connection) -> list[str]:
    """Return the names of the profiles that have an entry."""
    query = "SELECT DISTINCT profile FROM labels WHERE batch IS NULL AND id IN (SELECT label FROM samples) ORDER BY 1"
    with readable():
        return [text_of(name) for (name,) in connection.execute(query)]


def entries(
    connection: Connection,
    series: Series | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Iterator[Entry]:
    """Yield entries, of one series or of each, in the order of their time.

    `since` and `until` are included. What is written meanwhile may be among them or not.
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
    every: timedelta = timedelta(seconds=1),
) -> list[Sample]:
    """Return what forecasts and charts need of the entries of a series, quicker than `entries` would.

    Of the samples in each step of `every`, whole seconds, only the last one is read.
    """
    rows = _read(
        connection,
        # Of a group with max(), SQLite returns the row that has it (sqlite.org/lang_select.html#bareagg).
        f"SELECT max(at), remain, used FROM samples WHERE series = ? AND at BETWEEN ? AND ? AND {COMPLETE}"  # noqa: S608  # ours
        " GROUP BY at / ? ORDER BY at",
        (id_of(connection, series), *_between(since, until), every // timedelta(seconds=1)),
    )
    moment, utc, amount = datetime.fromtimestamp, UTC, amount_of
    with readable():
        return [
            Sample(moment(at, utc), None if remain is None else amount(remain), amount(used))
            for at, remain, used in rows
        ]


def next_place(place: tuple[int, int], after: tuple[int, int]) -> tuple[int, int]:
    """Return where to go on reading. Raises LedgerError where that leads back: a damaged file has no end."""
    with readable():
        if not place < after:
            raise ValueError
    return after


def id_of(connection: sqlite3.Connection, series: Series) -> int:
    """Return the number of a series; -1 for one that is not there."""
    query = "SELECT id FROM series WHERE key_id = ? AND host = ? AND scope = ?"
    found = connection.execute(query, series).fetchone()
    return -1 if found is None else int(found[0])


def _between(since: datetime | None, until: datetime | None) -> tuple[int, int]:
    return -END if since is None else int(since.timestamp()), END if until is None else int(until.timestamp())


def _read(connection: Connection, query: str, values: tuple[object, ...]) -> list[Any]:
    """Read all rows at once, so that nothing stays locked while they are used."""
    connection.limit_waiting()
    return connection.execute(query, values).fetchall()


def _entry(row: Any) -> Entry:
    _, at, key_id, host, scope, profile, remain, used, unit, source = row
    with readable():
        return Entry(
            Series(key_id_of(key_id), text_of(host), Scope(scope)),
            datetime.fromtimestamp(at, UTC),
            text_of(profile),
            None if remain is None else amount_of(remain),
            amount_of(used),
            None if unit is None else text_of(unit),
            text_of(source),
        )


def text_of(value: object) -> str:
    """Return a text. Raises TypeError for anything else: SQLite keeps any value in any column."""
    if not isinstance(value, str):
        raise TypeError
    return value


def key_id_of(value: object) -> str:
    """Return a key id, which is shown as it is. Raises TypeError or ValueError for anything else."""
    if not _KEY_ID.fullmatch(text_of(value)):
        raise ValueError
    return str(value)


def amount_of(text: object) -> Decimal:
    """Return an amount. Raises TypeError or ValueError for what apimart never writes, like NaN, 1e999999 or a blob."""
    if not isinstance(text, str) or len(text) > _LONGEST_AMOUNT:
        raise TypeError
    amount = Decimal(text)
    if not amount.is_finite() or not -MAX_PLACES <= amount.adjusted() < MAX_DIGITS:
        raise ValueError
    return amount


@contextmanager
def readable() -> Iterator[None]:
    """Raise LedgerError where a value in the ledger is none that we write."""
    try:
        yield
    except (ValueError, TypeError, OverflowError, OSError, InvalidOperation):
        raise LedgerError("the ledger holds something that apimart did not write") from None
