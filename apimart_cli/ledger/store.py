"""What is written to the ledger and read from it, on a connection of `file.opened`."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from apimart_cli.ledger.file import Connection, step, transaction
from apimart_cli.ledger.place import LedgerError
from apimart_cli.ledger.records import Entry, Series
from apimart_cli.spending import Sample
from apimart_cli.words import Scope

SAME_WITHIN = timedelta(minutes=10)
"""A reading that changes nothing is not written again within this time."""

PAGE = 1000
"""Entries that are read at once: between two pages nothing is locked, however slowly they are used."""

STEP = 5000
"""Most samples that one transaction touches: others wait no longer than for that."""

_END = 2**62

_QUERY = """
    SELECT samples.series, samples.at, series.key_id, series.host, series.scope, labels.profile, samples.remain,
      samples.used, labels.unit, labels.source
    FROM samples CROSS JOIN series ON series.id = samples.series CROSS JOIN labels ON labels.id = samples.label
    WHERE labels.batch IS NULL
"""


def record(connection: Connection, entries: Iterable[Entry]) -> None:
    """Write readings, all or none of them, but for those that change nothing.

    One that has the same second as an older one of its series is dropped: what is there stays.
    """
    connection.limit_waiting()
    # Looked at before anything is locked, as most readings of a busy machine change nothing.
    news = [entry for entry in entries if _is_news(connection, entry)]
    if news:
        with transaction(connection):
            for entry in news:
                if _is_news(connection, entry):
                    _add(connection, entry)


def latest(connection: sqlite3.Connection, series: Series, *, until: datetime | None = None) -> Entry | None:
    """Return the last entry of a series, up to a time where one is given: a clock may once have been ahead."""
    rows = connection.execute(
        f"{_QUERY} AND samples.series = ? AND samples.at <= ? ORDER BY samples.at DESC LIMIT 1",
        (_id_of(connection, series), _END if until is None else int(until.timestamp())),
    )
    row = rows.fetchone()
    return None if row is None else _entry(row)


def latest_of_profile(connection: sqlite3.Connection, profile: str, host: str, scope: Scope) -> Entry | None:
    """Return the last entry of a profile at a host: without its key, of the series that had its name last."""
    lasts = (latest(connection, each) for each in all_series(connection) if (each.host, each.scope) == (host, scope))
    found = [last for last in lasts if last is not None and last.profile == profile]
    return max(found, key=lambda entry: entry.at, default=None)


def all_series(connection: sqlite3.Connection) -> list[Series]:
    """Return every series that has an entry, in the order in which they began."""
    found = connection.execute("SELECT key_id, host, scope FROM series ORDER BY id").fetchall()
    with readable():
        series = [Series(key_id, host, Scope(scope)) for key_id, host, scope in found]
    return [each for each in series if latest(connection, each)]


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
    first, last = (0, _END) if series is None else [_id_of(connection, series)] * 2
    start, end = _between(since, until)
    query = (
        f"{_QUERY} AND (samples.series, samples.at) > (?, ?) AND samples.series <= ? AND samples.at BETWEEN ? AND ?"
        f" ORDER BY samples.series, samples.at LIMIT {PAGE}"
    )
    place = (first, start - 1)
    while page := _read(connection, query, (*place, last, start, end)):
        yield from map(_entry, page)
        place = page[-1][:2]


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
        "SELECT max(at), remain, used FROM samples WHERE series = ? AND at BETWEEN ? AND ?"
        " AND label NOT IN (SELECT id FROM labels WHERE batch IS NOT NULL) GROUP BY at / ? ORDER BY at",
        (_id_of(connection, series), *_between(since, until), every // timedelta(seconds=1)),
    )
    moment, utc, amount = datetime.fromtimestamp, UTC, Decimal
    with readable():
        return [
            Sample(moment(at, utc), None if remain is None else amount(remain), amount(used))
            for at, remain, used in rows
        ]


def rename(connection: Connection, old: str, new: str) -> None:
    """Give the entries of profile `old` the label `new`."""
    with transaction(connection):
        connection.execute("UPDATE labels SET profile = ? WHERE profile = ?", (new, old))


def clear(connection: Connection, *, profile: str | None = None, before: datetime | None = None) -> int:
    """Delete entries, of one profile or before a time where that is named, in steps; return how many."""
    condition, values = "1", list[object]()
    if profile is not None:
        condition += " AND label IN (SELECT id FROM labels WHERE profile = ?)"
        values.append(profile)
    if before is not None:
        condition += " AND at < ?"
        values.append(int(before.timestamp()))
    deleted = delete_in_steps(connection, condition, values)
    with transaction(connection):
        if connection.execute("SELECT 1 FROM samples LIMIT 1").fetchone() is None:
            connection.execute("DELETE FROM labels WHERE batch IS NULL")
            connection.execute("DELETE FROM series")
    return deleted


def delete_in_steps(connection: Connection, condition: str, values: Iterable[object]) -> int:
    """Delete samples of which the condition, which is ours, holds; return how many."""
    place, deleted = (-1, 0), 0
    while True:
        with step(connection):
            end = connection.execute(
                "SELECT series, at FROM samples WHERE (series, at) > (?, ?) ORDER BY series, at LIMIT 1 OFFSET ?",
                (*place, STEP),
            ).fetchone() or (_END, 0)
            deleted += connection.execute(
                # The text is ours, the values are bound.
                f"DELETE FROM samples WHERE (series, at) > (?, ?) AND (series, at) <= (?, ?) AND {condition}",  # noqa: S608
                (*place, *end, *values),
            ).rowcount
        if end[0] == _END:
            return deleted
        place = end


def series_id(connection: sqlite3.Connection, series: Series) -> int:
    """Return the number of a series, which is made where it is new. To be called inside a transaction."""
    connection.execute("INSERT OR IGNORE INTO series (key_id, host, scope) VALUES (?, ?, ?)", series)
    return _id_of(connection, series)


def label_id(connection: sqlite3.Connection, label: tuple[str, str | None, str], batch: int | None = None) -> int:
    """Return the number of a label (profile, unit, source), which is made where it is new. Inside a transaction."""
    found = connection.execute(
        "SELECT id FROM labels WHERE profile = ? AND unit IS ? AND source = ? AND batch IS ?", (*label, batch)
    ).fetchone()
    if found is None:
        written = connection.execute(
            "INSERT INTO labels (profile, unit, source, batch) VALUES (?, ?, ?, ?)", (*label, batch)
        )
        return int(written.lastrowid or 0)
    return int(found[0])


def _add(connection: sqlite3.Connection, entry: Entry) -> None:
    series = series_id(connection, entry.series)
    label = label_id(connection, (entry.profile, entry.unit, entry.source))
    remain = None if entry.remain is None else f"{entry.remain:f}"
    connection.execute(
        "INSERT OR IGNORE INTO samples (series, at, label, remain, used) VALUES (?, ?, ?, ?, ?)",
        (series, int(entry.at.timestamp()), label, remain, f"{entry.used:f}"),
    )


def _id_of(connection: sqlite3.Connection, series: Series) -> int:
    query = "SELECT id FROM series WHERE key_id = ? AND host = ? AND scope = ?"
    found = connection.execute(query, series).fetchone()
    return -1 if found is None else int(found[0])


def _between(since: datetime | None, until: datetime | None) -> tuple[int, int]:
    return -_END if since is None else int(since.timestamp()), _END if until is None else int(until.timestamp())


def _read(connection: Connection, query: str, values: tuple[object, ...]) -> list[Any]:
    """Read all rows at once, so that nothing stays locked while they are used."""
    connection.limit_waiting()
    return connection.execute(query, values).fetchall()


def _is_news(connection: sqlite3.Connection, entry: Entry) -> bool:
    before = latest(connection, entry.series, until=entry.at)
    if before is None or entry.at - before.at >= SAME_WITHIN:
        return True
    unchanged = (before.remain, before.used, before.unit, before.profile)
    return (entry.remain, entry.used, entry.unit, entry.profile) != unchanged


def _entry(row: Any) -> Entry:
    _, at, key_id, host, scope, profile, remain, used, unit, source = row
    with readable():
        return Entry(
            Series(key_id, host, Scope(scope)),
            datetime.fromtimestamp(at, UTC),
            profile,
            None if remain is None else Decimal(remain),
            Decimal(used),
            unit,
            source,
        )


@contextmanager
def readable() -> Iterator[None]:
    """Raise LedgerError where a value in the ledger is none that we write."""
    try:
        yield
    except (ValueError, TypeError, OverflowError, OSError, InvalidOperation):
        raise LedgerError("the ledger holds something that apimart did not write") from None
