"""Retention: every sample is kept for a while, then the last one of each day, then none. Guarded runs are kept as long.

It deletes in small steps, once a day.
"""

import sqlite3
import time
from datetime import UTC, datetime, timedelta

from apimart_cli.ledger.file import PAUSE, Connection, transaction
from apimart_cli.ledger.store import PRUNED_EVERY, delete_in_steps, forget_late, is_pruning_due, seconds_since_pruned

ALL_FOR = timedelta(days=90)
"""How long every sample is kept."""

DAYS_FOR = timedelta(days=730)
"""How long the last sample of each day, in UTC, is kept."""

JUMP = timedelta(days=60)
"""If nothing was pruned for longer than this, the clock may be wrong."""

STEP = 1000
"""Most samples of a series to look at in one step."""

_BYTES_A_ROUND = 40
"""Bytes of the file for each of which one step is allowed. A damaged file may seem to have no end."""

_LEAST_ROUNDS = 1000

STEP_SECONDS = 0.03
"""About how long one transaction takes, and so how long other processes wait."""

_DAY = 86_400

FORGET_FACTS = "DELETE FROM run_facts WHERE run NOT IN (SELECT id FROM runs)"
"""Deletes the facts of runs that were deleted: a later run may get the number of one of them."""

_NOT_DONE = """
    SELECT id FROM series WHERE thinned < :to OR EXISTS (SELECT 1 FROM samples WHERE series = series.id AND at < :gone)
"""
_DELETE_GONE = """
    DELETE FROM samples WHERE series = :series
      AND at IN (SELECT at FROM samples WHERE series = :series AND at < :gone ORDER BY at LIMIT :step)
"""
_STEP_END = """
    SELECT at FROM samples WHERE series = :series AND at >= (SELECT thinned FROM series WHERE id = :series) AND at < :to
    ORDER BY at LIMIT 1 OFFSET :step
"""
_DELETE_ALL_BUT_THE_LAST_OF_A_DAY = """
    DELETE FROM samples WHERE series = :series AND at >= (SELECT thinned FROM series WHERE id = :series) AND at < :end
      AND EXISTS (SELECT 1 FROM samples AS later WHERE later.series = :series AND later.at > samples.at
                  AND later.at < (samples.at / :day + 1) * :day)
"""


def prune(connection: Connection, now: datetime, *, seconds: float | None = None) -> bool:
    """Delete what is too old, unless that was done within the last day; return whether nothing is left to do.

    With `seconds` it stops after that time, and the next call goes on. It runs no VACUUM, which would hold up every
    other process. SQLite uses the free space for what is written next.
    """
    if not is_pruning_due(connection, now) or _is_importing(connection, now, is_hurried=seconds is not None):
        return True
    if _jumped(connection, now):
        # Delete nothing until the clock says the same a day later: a wrong clock must not cost the history.
        _note(connection, now)
        return True
    ends_at = None if seconds is None else time.monotonic() + seconds
    times = {"to": _midnight(now - ALL_FOR), "gone": _midnight(now - DAYS_FOR), "step": STEP, "day": _DAY}
    for _ in range(_LEAST_ROUNDS + connection.size() // _BYTES_A_ROUND):
        if _step(connection, times):
            break
        if ends_at is None:
            time.sleep(PAUSE)
        elif time.monotonic() > ends_at:
            return False
    with transaction(connection):
        connection.execute("DELETE FROM runs WHERE began < ?", (1000 * times["gone"],))
        connection.execute(FORGET_FACTS)
    _note(connection, now)
    return True


def prune_soon(connection: sqlite3.Connection) -> None:
    """Make the next `prune` look at everything, after old samples were added. Call it inside a transaction."""
    connection.execute("INSERT OR REPLACE INTO state VALUES ('prune_soon', '1')")
    connection.execute("UPDATE series SET thinned = 0")


def _jumped(connection: sqlite3.Connection, now: datetime) -> bool:
    age = seconds_since_pruned(connection, now)
    return age is not None and age > JUMP.total_seconds()


def _note(connection: Connection, now: datetime) -> None:
    with transaction(connection):
        connection.execute("INSERT OR REPLACE INTO state VALUES ('pruned_at', ?)", (str(int(now.timestamp())),))
        connection.execute("DELETE FROM state WHERE name = 'prune_soon'")
        forget_late(connection)


def _midnight(moment: datetime) -> int:
    return int(moment.astimezone(UTC).timestamp()) // _DAY * _DAY


def _step(connection: Connection, times: dict[str, int]) -> bool:
    """Thin as many series as there is time for in one transaction; return whether all are done."""
    waiting = connection.execute(_NOT_DONE, times).fetchall()
    if not waiting:
        return True
    with transaction(connection):
        ends_at = time.monotonic() + STEP_SECONDS
        for (series,) in waiting:
            _thin(connection, {**times, "series": series})
            if time.monotonic() > ends_at:
                break
    return False


def _thin(connection: Connection, values: dict[str, int]) -> None:
    """Delete those of the next samples of a series that are not kept."""
    connection.execute(_DELETE_GONE, values)
    row = connection.execute(_STEP_END, values).fetchone()
    values = {**values, "end": values["to"] if row is None else row[0]}
    connection.execute(_DELETE_ALL_BUT_THE_LAST_OF_A_DAY, values)
    connection.execute("UPDATE series SET thinned = :end WHERE id = :series", values)


def _is_importing(connection: Connection, now: datetime, *, is_hurried: bool) -> bool:
    """Tell whether an import is at work; delete what an import left that was killed a day ago, if there is time.

    While it is at work nothing is deleted: which sample of a day stays depends on those that it will add.
    """
    batches = connection.execute("SELECT DISTINCT batch FROM labels WHERE batch IS NOT NULL").fetchall()
    is_importing = False
    for (batch,) in batches:
        if is_hurried or (isinstance(batch, int) and abs(now.timestamp() - batch) < PRUNED_EVERY.total_seconds()):
            is_importing = True
        else:
            forget_import(connection, batch)
    return is_importing


def forget_import(connection: Connection, batch: int) -> None:
    """Delete the samples and labels of an import that is not complete."""
    delete_in_steps(connection, "label IN (SELECT id FROM labels WHERE batch = ?)", (batch,))
    with transaction(connection):
        connection.execute("DELETE FROM labels WHERE batch = ?", (batch,))
