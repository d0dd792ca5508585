"""Importing: every line is read and checked before the ledger is touched; then the samples are added in small steps.

It adds all or nothing, and without a long transaction, for which other processes would have to wait. The samples get
labels of a batch that is not complete, which every query leaves out. The last step, as short as the others, completes
the batch: now all of them count. If an import is killed, its samples stay left out until the next import or retention
deletes them. One import runs at a time, since samples that another one is adding would be taken for duplicates.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import islice
from typing import TypeVar

from filelock import FileLock, Timeout

from apimart_cli.errors import UsageError
from apimart_cli.ledger.file import PATIENT_SECONDS, Connection, step, transaction
from apimart_cli.ledger.place import LedgerError, require_regular
from apimart_cli.ledger.retention import forget_import, prune_soon
from apimart_cli.ledger.schema import Series
from apimart_cli.ledger.store import STEP, label_id, series_id
from apimart_cli.ledger.upkeep import read_line

_T = TypeVar("_T")

Label = tuple[str, str | None, str]

MOST_NAMES = 10_000
"""Most series, and most labels, of one import: these are kept in memory."""


class Staged:
    """The checked samples of an import, in a temporary database that is deleted with this object."""

    def __init__(self, lines: Iterable[str], now: datetime) -> None:
        """Read and check all lines but the empty ones.

        Raises UsageError with the number of the first wrong line, and LedgerError if the disk is full.
        """
        # With an empty name, SQLite makes a file without a name in the folder for temporary files.
        self._database = sqlite3.connect("", isolation_level=None)
        self.series: dict[Series, int] = {}
        self.labels: dict[Label, int] = {}
        self.lines = 0
        """How many lines there are that are not empty."""
        try:
            self._stage(lines, now)
        except sqlite3.Error as error:
            self._database.close()
            raise LedgerError(f"no space to check the import: {error}") from None
        except BaseException:
            self._database.close()
            raise

    def __enter__(self) -> "Staged":
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def __len__(self) -> int:
        count: int = self._database.execute("SELECT count(*) FROM staged").fetchone()[0]
        return count

    def steps(self) -> Iterator[list[tuple[int, int, int, str | None, str]]]:
        """Yield the samples in the order in which they are stored, as many at once as one transaction takes."""
        rows = self._database.execute("SELECT series, at, label, remain, used FROM staged ORDER BY series, at")
        while some := rows.fetchmany(STEP):
            yield some

    def _stage(self, lines: Iterable[str], now: datetime) -> None:
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("BEGIN")
        self._database.execute(
            "CREATE TABLE staged (series INTEGER, at INTEGER, label INTEGER, remain TEXT, used TEXT NOT NULL,"
            " PRIMARY KEY (series, at)) WITHOUT ROWID"
        )
        rows = self._rows(lines, now)
        while some := list(islice(rows, STEP)):
            self._database.executemany("INSERT OR IGNORE INTO staged VALUES (?, ?, ?, ?, ?)", some)

    def _rows(self, lines: Iterable[str], now: datetime) -> Iterator[tuple[int, int, int, str | None, str]]:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            entry = read_line(line, number, now)
            self.lines += 1
            yield (
                _number(self.series, entry.series),
                int(entry.at.timestamp()),
                _number(self.labels, (entry.profile, entry.unit, entry.source)),
                None if entry.remain is None else f"{entry.remain:f}",
                f"{entry.used:f}",
            )


def merge(connection: Connection, staged: Staged, now: datetime) -> int:
    """Add the samples that the ledger does not have yet, all or none of them; return how many.

    A sample of the same second as one that is there is a duplicate, whatever it says. Raises sqlite3.Error if it fails,
    after deleting what was added, as far as possible. Raises LedgerError while another import is at work.
    """
    with _alone(connection):
        for (dead,) in connection.execute("SELECT DISTINCT batch FROM labels WHERE batch IS NOT NULL").fetchall():
            forget_import(connection, dead)
        return _merge(connection, staged, now)


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """Hold the lock of imports. The system releases it when the process ends, however it ends."""
    path: str = connection.execute("PRAGMA database_list").fetchone()[2]
    # FileLock empties the file that it locks: a link would lead it to another one.
    require_regular(f"{path}.import")
    try:
        # It is another file, as closing the ledger would drop SQLite's locks on it. The file stays, empty.
        with FileLock(f"{path}.import", timeout=PATIENT_SECONDS, mode=0o600):
            yield
    except Timeout:
        raise LedgerError(f"another import into {path} is at work") from None
    except OSError as error:
        raise LedgerError(f"{path}.import: {error.strerror}") from None


def _merge(connection: Connection, staged: Staged, now: datetime) -> int:
    batch = _begin(connection, staged, now)
    try:
        added = _add_all(connection, staged, batch)
        with transaction(connection):
            connection.execute("UPDATE labels SET batch = NULL WHERE batch = ?", (batch,))
            prune_soon(connection)
    except BaseException:
        with suppress(sqlite3.Error):
            forget_import(connection, batch)
        raise
    return added


def _begin(connection: Connection, staged: Staged, now: datetime) -> int:
    """Begin a batch, with its labels; return its number: the time, or the next number that is free."""
    with transaction(connection):
        (last,) = connection.execute("SELECT max(batch) FROM labels").fetchone()
        batch = max(int(now.timestamp()), (last or 0) + 1)
        for label in staged.labels:
            label_id(connection, label, batch)
    return batch


def _add_all(connection: Connection, staged: Staged, batch: int) -> int:
    labels = {number: label_id(connection, label, batch) for label, number in staged.labels.items()}
    names = {number: series for series, number in staged.series.items()}
    added = 0
    for rows in staged.steps():
        with step(connection):
            # Looked up in each step, as `history clear` may delete series meanwhile.
            series = {number: series_id(connection, names[number]) for number in {row[0] for row in rows}}
            before = connection.total_changes
            connection.executemany(
                "INSERT OR IGNORE INTO samples (series, at, label, remain, used) VALUES (?, ?, ?, ?, ?)",
                [(series[number], at, labels[label], *amounts) for number, at, label, *amounts in rows],
            )
            added += connection.total_changes - before
    return added


def _number(numbers: dict[_T, int], name: _T) -> int:
    """Return the number of a name; a new name gets the next number."""
    if name not in numbers and len(numbers) >= MOST_NAMES:
        raise UsageError(f"the import has more than {MOST_NAMES} different keys or labels", "split it up")
    return numbers.setdefault(name, len(numbers))
