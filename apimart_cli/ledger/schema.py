"""The records of the ledger, its tables, and how an older file becomes a newer one."""

import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from apimart_cli.words import Scope

ALLOWED_SECONDS = 0.25
"""Most seconds by which the ledger delays an answer, or the end of the process after it."""

MAX_DIGITS, MAX_PLACES = 15, 30
"""Most digits of an amount before and after the point."""


class Series(NamedTuple):
    """What readings must share to belong together: key, gateway and scope."""

    key_id: str
    """Tells keys apart, and cannot be turned back into one: see `ApiKey.key_id`."""
    host: str
    """The gateway's host, with the port if it is not the usual one."""
    scope: Scope


class Entry(NamedTuple):
    """One reading as the ledger keeps it. Amounts are in the gateway's unit."""

    series: Series
    at: datetime
    """In UTC, to the second."""
    profile: str
    """The name that the profile had then: a label, which says nothing about the key."""
    remain: Decimal | None
    """None is unlimited."""
    used: Decimal
    unit: str | None
    source: str
    """The command that asked."""


APPLICATION_ID = 0x41504D54
"""The letters APMT. They mark a file as ours, in its bytes 68 to 71 (sqlite.org/fileformat2.html)."""


def _create_samples(connection: sqlite3.Connection) -> None:
    """Series, labels and samples. Amounts are text: SQLite's numbers would round them.

    A label with a batch belongs to an import that is not complete: its samples do not count yet (see `merge.py`).
    `thinned` is the time up to which retention has thinned a series.
    """
    connection.execute(
        "CREATE TABLE series (id INTEGER PRIMARY KEY, key_id TEXT NOT NULL, host TEXT NOT NULL, scope TEXT NOT NULL,"
        " thinned INTEGER NOT NULL DEFAULT 0, UNIQUE (key_id, host, scope))"
    )
    connection.execute(
        "CREATE TABLE labels (id INTEGER PRIMARY KEY, profile TEXT NOT NULL, unit TEXT, source TEXT NOT NULL,"
        " batch INTEGER)"
    )
    connection.execute(
        "CREATE TABLE samples (series INTEGER NOT NULL REFERENCES series (id), at INTEGER NOT NULL,"
        " label INTEGER NOT NULL REFERENCES labels (id), remain TEXT, used TEXT NOT NULL,"
        " PRIMARY KEY (series, at)) WITHOUT ROWID"
    )


def _create_state(connection: sqlite3.Connection) -> None:
    """What the ledger remembers about itself."""
    connection.execute("CREATE TABLE state (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")


def _create_runs(connection: sqlite3.Connection) -> None:
    """Guarded runs, times in milliseconds: two may follow each other in one second.

    A run without an end counts as active up to `alive_until`, as it may have been killed.
    """
    connection.execute(
        "CREATE TABLE runs (id INTEGER PRIMARY KEY, key_id TEXT NOT NULL, host TEXT NOT NULL, profile TEXT NOT NULL,"
        " label TEXT, unit TEXT, began INTEGER NOT NULL, alive_until INTEGER NOT NULL, ended INTEGER, spent TEXT,"
        " settled INTEGER NOT NULL DEFAULT 0, stopped_by TEXT, exit_code INTEGER)"
    )
    connection.execute("CREATE INDEX runs_of_key ON runs (key_id, host, began)")


def _create_alerts(connection: sqlite3.Connection) -> None:
    """Low balances for which an alert was sent, times in milliseconds. Those that recovered are deleted."""
    connection.execute(
        "CREATE TABLE alerts (key_id TEXT NOT NULL, host TEXT NOT NULL, scope TEXT NOT NULL, threshold TEXT NOT NULL,"
        " at INTEGER NOT NULL, total TEXT, pending TEXT, PRIMARY KEY (key_id, host, scope, threshold)) WITHOUT ROWID"
    )


def _create_late(connection: sqlite3.Connection) -> None:
    """Samples that were written when their series had a later one, from the time `last`, in the order of writing."""
    connection.execute(
        "CREATE TABLE late (id INTEGER PRIMARY KEY, series INTEGER NOT NULL, at INTEGER NOT NULL,"
        " last INTEGER NOT NULL, UNIQUE (series, at))"
    )
    connection.execute("CREATE INDEX late_by_last ON late (series, last)")


def _create_run_facts(connection: sqlite3.Connection) -> None:
    """More about each guarded run: its processes while it is active, and how many of them could not be stopped.

    It is another table, as ALTER TABLE would change the text of `runs` (see `place.check_schema`).
    """
    connection.execute(
        "CREATE TABLE run_facts (run INTEGER PRIMARY KEY REFERENCES runs (id), processes TEXT,"
        " could_not_stop INTEGER NOT NULL DEFAULT 0)"
    )


def _create_books(connection: sqlite3.Connection) -> None:
    """What the gateway's books said last of a key or an account: the spend of each day up to `day`, in dollars.

    `at` is when they were asked, in seconds; `days` are amounts with spaces between them, the last one of `day`.
    """
    connection.execute(
        "CREATE TABLE books (key_id TEXT NOT NULL, host TEXT NOT NULL, scope TEXT NOT NULL, tz TEXT NOT NULL,"
        " at INTEGER NOT NULL, day TEXT NOT NULL, days TEXT NOT NULL, PRIMARY KEY (key_id, host, scope, tz))"
        " WITHOUT ROWID"
    )


MIGRATIONS: Sequence[Callable[[sqlite3.Connection], None]] = (
    _create_samples,
    _create_state,
    _create_runs,
    _create_alerts,
    _create_late,
    _create_run_facts,
    _create_books,
)
"""Each makes a version of the file out of the one before it. Add new ones at the end, and change none."""


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the file to the newest version. Call it inside a transaction."""
    for migration in MIGRATIONS[version_of(connection) :]:
        migration(connection)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def version_of(connection: sqlite3.Connection) -> int:
    """Return the version of the file; 0 for a new one."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version
