"""What commands write to the ledger, on a connection of `file.opened`."""

import sqlite3
from collections.abc import Iterable
from datetime import datetime, timedelta

from apimart_cli.ledger.file import Connection, step, transaction
from apimart_cli.ledger.queries import COMPLETE, END, id_of, latest, next_place
from apimart_cli.ledger.schema import Entry, Series

SAME_WITHIN = timedelta(minutes=10)
"""A reading that changes nothing is not written again within this time."""

SLACK = 60
"""Seconds by which a sample may be earlier than the one written before it: clocks of two machines differ."""

STEP = 5000
"""Most samples that one transaction touches, so that other processes do not wait for long."""


def record(connection: Connection, entries: Iterable[Entry]) -> None:
    """Write readings, all or none of them, but for those that change nothing.

    If its series has a sample of the same second, a reading is dropped.
    """
    connection.limit_waiting()
    # Checked before anything is locked, as most readings of a busy machine change nothing.
    news = [entry for entry in _in_order(entries) if _is_news(connection, entry)]
    if news:
        with transaction(connection):
            for entry in news:
                if _is_news(connection, entry):
                    _add(connection, entry)


def rename(connection: Connection, old: str, new: str) -> None:
    """Give the entries of profile `old` the label `new`."""
    with transaction(connection):
        connection.execute("UPDATE labels SET profile = ? WHERE profile = ?", (new, old))


def clear(connection: Connection, *, profile: str | None = None, before: datetime | None = None) -> int:
    """Delete all entries, or those of a profile, or those before a time, in steps; return how many."""
    # An import that is not complete is left alone.
    condition, values = COMPLETE, list[object]()
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
        forget_late(connection)
    return deleted


def delete_in_steps(connection: Connection, condition: str, values: Iterable[object]) -> int:
    """Delete the samples for which a condition holds; return how many."""
    place, deleted = (-1, 0), 0
    while True:
        with step(connection):
            end = connection.execute(
                "SELECT series, at FROM samples WHERE (series, at) > (?, ?) ORDER BY series, at LIMIT 1 OFFSET ?",
                (*place, STEP),
            ).fetchone() or (END, 0)
            deleted += connection.execute(
                # The text is ours, the values are bound.
                f"DELETE FROM samples WHERE (series, at) > (?, ?) AND (series, at) <= (?, ?) AND {condition}",  # noqa: S608
                (*place, *end, *values),
            ).rowcount
        if end[0] == END:
            return deleted
        place = next_place(place, end)


def forget_late(connection: sqlite3.Connection) -> None:
    """Forget in what order samples were written that were deleted. Call it inside a transaction."""
    connection.execute(
        "DELETE FROM late WHERE NOT EXISTS"
        " (SELECT 1 FROM samples WHERE samples.series = late.series AND samples.at = late.at)"
    )


def _in_order(entries: Iterable[Entry]) -> list[Entry]:
    """Return the entries of each series in the order of their times, the series as they come.

    Written in another order, they would look as if a clock was wrong.
    """
    of_series: dict[Series, list[Entry]] = {}
    for entry in entries:
        of_series.setdefault(entry.series, []).append(entry)
    return [entry for each in of_series.values() for entry in sorted(each, key=lambda entry: entry.at)]


def series_id(connection: sqlite3.Connection, series: Series) -> int:
    """Return the number of a series, which is made if it is new. Call it inside a transaction."""
    connection.execute("INSERT OR IGNORE INTO series (key_id, host, scope) VALUES (?, ?, ?)", series)
    return id_of(connection, series)


def label_id(connection: sqlite3.Connection, label: tuple[str, str | None, str], batch: int | None = None) -> int:
    """Return the number of a label (profile, unit, source), made if it is new. Call it inside a transaction."""
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
    at = int(entry.at.timestamp())
    row = connection.execute(
        f"SELECT at FROM samples WHERE series = ? AND at < ? AND {COMPLETE} ORDER BY at DESC LIMIT 1",  # noqa: S608  # ours
        (series, END),
    ).fetchone()
    written = connection.execute(
        "INSERT OR IGNORE INTO samples (series, at, label, remain, used) VALUES (?, ?, ?, ?, ?)",
        (series, at, label, remain, f"{entry.used:f}"),
    )
    if written.rowcount == 1 and row is not None and row[0] > at + SLACK:
        # A clock was ahead before, or one is behind now.
        connection.execute("INSERT OR IGNORE INTO late (series, at, last) VALUES (?, ?, ?)", (series, at, row[0]))


def _is_news(connection: sqlite3.Connection, entry: Entry) -> bool:
    before = latest(connection, entry.series, until=entry.at)
    if before is None or entry.at - before.at >= SAME_WITHIN:
        return True
    # The profile does not count, as two profiles may have one key.
    return (entry.remain, entry.used, entry.unit) != (before.remain, before.used, before.unit)
