"""The file of the ledger: found fit or left alone, made, opened, written in short transactions.

A rollback journal, not WAL: on network file systems WAL damages the file (sqlite.org/wal.html), and home folders are
often on one.
"""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from apimart_cli.ledger.damage import is_damage, set_aside
from apimart_cli.ledger.elsewhere import check_beside, check_schema, restrict
from apimart_cli.ledger.place import Identity, LedgerError, check_file, make_file
from apimart_cli.ledger.records import ALLOWED_SECONDS
from apimart_cli.ledger.schema import MIGRATIONS, migrate
from apimart_cli.text import quote

PATIENT_SECONDS = 5.0
"""Most seconds that a command about the ledger itself waits for another process, each time."""

PAUSE = 0.03
"""Least seconds between two steps: whoever waits looks every 25 ms or so whether the file is free."""

_ROUND = 10_000
"""Instructions of SQLite between two looks whether it is enough."""

_LEAST_ROUNDS = 50_000

# One connection at a time in a process: closing any descriptor of a file, also one that only looked at it, drops the
# POSIX locks that the process has on it (sqlite.org/howtocorrupt.html, 2.2).
_ONE_AT_A_TIME = threading.Lock()


class Connection(sqlite3.Connection):
    """A connection that waits for other processes no longer than the time that is left."""

    ends_at: float | None = None
    """By `time.monotonic()`; None where there is no end."""
    waits = PATIENT_SECONDS
    """Most seconds for which one statement waits for another process, where there is no end."""

    _rounds_left = 0

    def limit_work(self, size: int) -> None:
        """End what takes far more work than any query of a file of so many bytes: a damaged one may send it in circles.

        A few seconds for a small file; for each byte there are a hundred of SQLite's instructions, and fewer than ten
        are needed.
        """
        self._rounds_left = _LEAST_ROUNDS + size * 100 // _ROUND
        self.set_progress_handler(self._is_enough, _ROUND)

    def _is_enough(self) -> bool:
        self._rounds_left -= 1
        return self._rounds_left < 0 or self.is_over()

    def limit_waiting(self) -> None:
        """Let the next statement wait for as long as is left. SQLite would wait the whole time again for each."""
        left = self.waits if self.ends_at is None else max(0.0, self.ends_at - time.monotonic())
        self.execute(f"PRAGMA busy_timeout = {int(left * 1000)}")

    def is_over(self) -> bool:
        """Tell whether the time is up."""
        return self.ends_at is not None and time.monotonic() > self.ends_at


@contextmanager
def opened(
    path: Path, *, seconds: float | None = ALLOWED_SECONDS, create: bool = True, waits: float = PATIENT_SECONDS
) -> Iterator[Connection]:
    """Open the ledger at `path`; what takes longer than `seconds` in all is given up, with None nothing is.

    With None, each statement waits for `waits` seconds at most until another process is ready.

    Without `create` the ledger is read as it is, also where it may not be written.

    Raises LedgerError when it cannot be used, also when something in the block fails in the database, and
    NoLedgerError without `create` when there is none.
    """
    ends_at = None if seconds is None else time.monotonic() + seconds
    if not _ONE_AT_A_TIME.acquire(timeout=PATIENT_SECONDS if seconds is None else seconds):
        raise LedgerError(f"{path} is in use")
    try:
        path, identity = make_file(path) if create else check_file(path)
        check_beside(path)
        with (
            _translated(path, identity),
            closing(sqlite3.connect(path, isolation_level=None, factory=Connection)) as db,
        ):
            db.ends_at, db.waits = ends_at, waits
            db.limit_work(path.stat().st_size)
            _prepare(db, path)
            yield db
    finally:
        _ONE_AT_A_TIME.release()


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """Write all that the block does, or nothing of it."""
    connection.limit_waiting()
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.limit_waiting()
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


@contextmanager
def step(connection: Connection) -> Iterator[None]:
    """Write all that the block does, or nothing of it, and then give others as long a turn: for one step of many."""
    start = time.monotonic()
    with transaction(connection):
        yield
    time.sleep(max(PAUSE, time.monotonic() - start))


def _prepare(connection: Connection, path: Path) -> None:
    connection.limit_waiting()
    restrict(connection)
    # Half the time of FULL. After a power failure what was committed last may be gone, but on the file systems of today
    # nothing is damaged (sqlite.org/pragma.html#pragma_synchronous).
    connection.execute("PRAGMA synchronous = NORMAL")
    if check_schema(connection, path) < len(MIGRATIONS):
        with transaction(connection):
            # Does nothing where another process has just done it.
            migrate(connection)


@contextmanager
def _translated(path: Path, identity: Identity) -> Iterator[None]:
    """Raise the errors of SQLite as LedgerError; set a damaged file aside."""
    try:
        yield
    except sqlite3.Error as error:
        # It may repeat what stands in the file.
        reason = quote(str(error))
        if is_damage(error) and set_aside(path, identity):
            raise LedgerError(f"{path} is damaged and was set aside: {reason}") from None
        raise LedgerError(f"{path}: {reason}") from None
    except UnicodeEncodeError:
        raise LedgerError(f"{path}: a name is not text") from None
