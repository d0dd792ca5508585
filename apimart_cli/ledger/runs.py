"""Guarded runs in the ledger: which there were, and which are active at the same time. Best effort, as everything here.

The command line of a run is not kept, as there may be a key in it.
"""

import operator
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from apimart_cli.ledger.file import Connection, opened, transaction
from apimart_cli.ledger.queries import amount_of, key_id_of, readable, require_rising, text_of
from apimart_cli.ledger.retention import DAYS_FOR, FORGET_FACTS
from apimart_cli.ledger.schema import ALLOWED_SECONDS
from apimart_cli.ledger.store import within
from apimart_cli.records import Run
from apimart_cli.words import StoppedBy

_COLUMNS = (
    "key_id, host, profile, label, unit, began, ended, spent, settled, stopped_by, exit_code,"
    " coalesce((SELECT could_not_stop FROM run_facts WHERE run = runs.id), 0)"
)

_MOST_ACTIVE = 1000
"""Most runs whose processes are checked: that many take less than the time allowed."""


def begin(
    path: Path,
    run: Run,
    alive_until: datetime,
    *,
    processes: str | None = None,
    are_gone: Callable[[str], bool] = lambda _processes: False,
) -> int:
    """Write a run that has begun, and return its number. Raises LedgerError, after 250 ms at the latest.

    `processes` names its processes. `are_gone` tells whether the processes of another run have ended. If that run wrote
    no end, it was killed, and is not active from here on.
    """

    def write() -> int:
        with opened(path, seconds=ALLOWED_SECONDS) as connection, transaction(connection):
            _end_those_gone(connection, run, are_gone)
            number = _insert(connection, run, alive_until)
            connection.execute("UPDATE run_facts SET processes = ? WHERE run = ?", (processes, number))
            return number

    return within(ALLOWED_SECONDS, path, write)


def beat(path: Path, number: int, alive_until: datetime, *, processes: str | None = None) -> None:
    """Write that a run goes on, with these `processes`. Raises LedgerError, after 250 ms at the latest."""

    def write() -> None:
        with opened(path, seconds=ALLOWED_SECONDS) as connection, transaction(connection):
            connection.execute("UPDATE runs SET alive_until = ? WHERE id = ?", (_milliseconds(alive_until), number))
            connection.execute("UPDATE run_facts SET processes = ? WHERE run = ?", (processes, number))

    within(ALLOWED_SECONDS, path, write)


def finish(path: Path, number: int | None, run: Run) -> int:
    """Write how a run ended, and return how many other runs of its key were active meanwhile.

    `number` is what `begin` returned, None if that failed. Raises LedgerError, after 250 ms at the latest.
    """
    assert run.ended is not None, "it has ended"
    ended = run.ended

    def write() -> int:
        with opened(path, seconds=ALLOWED_SECONDS) as connection, transaction(connection):
            known = _insert(connection, run, ended) if number is None else number
            connection.execute(
                "UPDATE runs SET ended = ?, alive_until = ?, spent = ?, settled = ?, stopped_by = ?, exit_code = ?"
                " WHERE id = ?",
                (_milliseconds(ended), _milliseconds(ended), *_end_of(run), known),
            )
            connection.execute(
                "INSERT OR REPLACE INTO run_facts (run, processes, could_not_stop) VALUES (?, NULL, ?)",
                (known, run.could_not_stop),
            )
            (others,) = connection.execute(
                "SELECT count(*) FROM runs WHERE key_id = ? AND host = ? AND id != ? AND began <= ? AND began >= ?"
                " AND coalesce(ended, alive_until) >= ?",
                (
                    run.key_id,
                    run.host,
                    known,
                    _milliseconds(ended),
                    _milliseconds(ended - DAYS_FOR),
                    _milliseconds(run.began),
                ),
            ).fetchone()
            return int(others)

    return within(ALLOWED_SECONDS, path, write)


def runs(connection: Connection, *, since: datetime | None = None, profile: str | None = None) -> Sequence[Run]:
    """Return the runs that began after `since`, of `profile` if that is given, the latest last."""
    connection.limit_waiting()
    rows = connection.execute(
        # The text is ours, the values are bound.
        f"SELECT id, {_COLUMNS} FROM runs WHERE began >= ? AND (? IS NULL OR profile = ?) ORDER BY id",  # noqa: S608
        (_milliseconds(since or datetime.fromtimestamp(0, UTC)), profile, profile),
    ).fetchall()
    with readable():
        require_rising(number for number, *_ in rows)
        # Sorted here, as SQLite would fill the disk with what a damaged file repeats.
        return sorted((_run(row) for _, *row in rows), key=lambda run: run.began)


def clear_runs(connection: Connection, *, profile: str | None = None, before: datetime | None = None) -> int:
    """Delete all runs, or those of a profile, or those that began before a time; return how many."""
    with transaction(connection):
        deleted = connection.execute(
            "DELETE FROM runs WHERE (? IS NULL OR profile = ?) AND began < ?",
            (profile, profile, _milliseconds(before or datetime.max.replace(tzinfo=UTC) - timedelta(days=2))),
        ).rowcount
        connection.execute(FORGET_FACTS)
        return deleted


def rename_runs(connection: Connection, old: str, new: str) -> None:
    """Give the runs of profile `old` the profile `new`."""
    with transaction(connection):
        connection.execute("UPDATE runs SET profile = ? WHERE profile = ?", (new, old))


def _insert(connection: Connection, run: Run, alive_until: datetime) -> int:
    written = connection.execute(
        "INSERT INTO runs (key_id, host, profile, label, unit, began, alive_until) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (run.key_id, run.host, run.profile, run.label, run.unit, _milliseconds(run.began), _milliseconds(alive_until)),
    )
    number = int(written.lastrowid or 0)
    connection.execute("INSERT OR REPLACE INTO run_facts (run) VALUES (?)", (number,))
    return number


def _end_those_gone(connection: Connection, run: Run, are_gone: Callable[[str], bool]) -> None:
    """Write that the runs that are gone ended before this one began."""
    began = _milliseconds(run.began)
    rows = connection.execute(
        "SELECT id, processes FROM runs JOIN run_facts ON run = id WHERE key_id = ? AND host = ? AND ended IS NULL"
        " AND alive_until >= ? AND processes IS NOT NULL LIMIT ?",
        (run.key_id, run.host, began, _MOST_ACTIVE),
    ).fetchall()
    for number, processes in rows:
        if are_gone(f"{processes}"):
            connection.execute("UPDATE runs SET alive_until = ? WHERE id = ?", (began - 1, number))


def _end_of(run: Run) -> tuple[str | None, bool, str | None, int | None]:
    return None if run.spent is None else f"{run.spent:f}", run.is_settled, run.stopped_by, run.exit_code


def _run(row: Any) -> Run:
    key_id, host, profile, label, unit, began, ended, spent, settled, stopped_by, exit_code, unstopped = row
    return Run(
        key_id_of(key_id),
        text_of(host),
        text_of(profile),
        None if label is None else text_of(label),
        None if unit is None else text_of(unit),
        datetime.fromtimestamp(began / 1000, UTC),
        None if ended is None else datetime.fromtimestamp(ended / 1000, UTC),
        None if spent is None else amount_of(spent),
        bool(settled),
        None if stopped_by is None else StoppedBy(stopped_by),
        None if exit_code is None else operator.index(exit_code),
        operator.index(unstopped),
    )


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
