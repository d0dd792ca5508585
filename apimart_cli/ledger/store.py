"""What commands write to the ledger: beside an answer in a thread, or on a connection of `file.opened`.

SQLite's own time limits end no write to a disk that hangs, so a thread does it, and the command goes on without it when
the time is over. The file stays whole, whatever happens to that thread: the next process that opens the file rolls back
a transaction that is not complete.
"""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from apimart_cli.ledger.file import Connection, opened, step, transaction
from apimart_cli.ledger.place import LedgerError
from apimart_cli.ledger.queries import COMPLETE, END, id_of, latest, next_place
from apimart_cli.ledger.schema import ALLOWED_SECONDS, Entry, Series
from apimart_cli.processes.signals import start_thread

T = TypeVar("T")

SAME_WITHIN = timedelta(minutes=10)
"""A reading that changes nothing is not written again within this time."""

SLACK = 60
"""Seconds by which a sample may be earlier than the one written before it: clocks of two machines differ."""

STEP = 5000
"""Most samples that one transaction touches, so that other processes do not wait for long."""


_PRUNING_SECONDS = 0.05

PRUNED_EVERY = timedelta(days=1)
"""Time from one pruning to the next."""


def remember(path: Path, entries: Sequence[Entry], now: datetime, *, seconds: float = ALLOWED_SECONDS) -> None:
    """Write readings, and prune the ledger when that is due. Raises LedgerError where the time is not enough.

    Readings that were given up may still be written a moment later, while the process lives.
    """

    def write() -> None:
        with opened(path, seconds=seconds) as connection:
            record(connection, entries)
            # If this is locked out or interrupted, a later command does it.
            with suppress(sqlite3.OperationalError):
                if is_pruning_due(connection, now):
                    from apimart_cli.ledger.retention import prune

                    prune(connection, now, seconds=_PRUNING_SECONDS)

    within(seconds, path, write)


def within(seconds: float, path: Path, work: Callable[[], T]) -> T:
    """Do the work in a thread: return what it returns, or raise what it raises.

    Raises LedgerError after `seconds`. The thread is then left to itself.
    """
    results: list[T] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            results.append(work())
        except Exception as error:  # noqa: BLE001  # raised again below
            errors.append(error)

    thread = start_thread(run, "ledger")
    if thread is None:
        raise not_opened(path)
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise LedgerError(f"{path} did not answer within {seconds:g} seconds")
    return results[0]


def not_opened(path: Path) -> LedgerError:
    """Return the error for a ledger that no thread could be started for."""
    return LedgerError(f"{path} was not opened: the system starts no thread")


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


def is_pruning_due(connection: sqlite3.Connection, now: datetime) -> bool:
    """Tell whether a day has gone by since the ledger was pruned, or old samples were added."""
    if connection.execute("SELECT 1 FROM state WHERE name = 'prune_soon'").fetchone():
        return True
    age = seconds_since_pruned(connection, now)
    # A wrong clock has written a time in the future.
    return age is None or not 0 <= age < PRUNED_EVERY.total_seconds()


def seconds_since_pruned(connection: sqlite3.Connection, now: datetime) -> float | None:
    """Return how long ago the ledger was pruned; None if it never was, or the time cannot be read."""
    row = connection.execute("SELECT value FROM state WHERE name = 'pruned_at'").fetchone()
    try:
        return None if row is None else now.timestamp() - int(row[0])
    except (TypeError, ValueError):
        # Not a time that we wrote.
        return None
