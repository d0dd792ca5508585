"""A ledger that is damaged is set aside under another name, and a new one is begun. Nothing is deleted.

The file of the ledger: found fit or left alone, made, opened, written in short transactions.

A rollback journal, not WAL: on network file systems WAL damages the file (sqlite.org/wal.html), and home folders are
often on one.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from weakref import WeakSet

from apimart_cli.ledger.place import (
    HEADER,
    Identity,
    LedgerError,
    check_beside,
    check_file,
    check_schema,
    is_ours,
    make_file,
    restrict,
)
from apimart_cli.ledger.schema import ALLOWED_SECONDS, MIGRATIONS, migrate
from apimart_cli.text import quote

# SQLite locks these bytes: pending, reserved and the 510 of the shared lock (sqlite.org/src/file/src/os.h).
_LOCK_START, _LOCK_BYTES = 0x40000000, 512


def is_damage(error: sqlite3.Error) -> bool:
    """Tell whether the file itself is broken, and no disk full or locked file is the reason."""
    code = getattr(error, "sqlite_errorcode", 0)
    return (code & 0xFF) in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def set_aside(path: Path, identity: Identity) -> bool:
    """Rename a damaged file of ours, and its journal; return whether that was done.

    Only that very file, as another process may have begun a new one meanwhile, and only while no process is in the
    middle of anything with it: its journal would be taken for that of the new file.
    """
    with suppress(OSError), _locked(path) as descriptor:
        status = os.fstat(descriptor)
        if Identity(status.st_dev, status.st_ino) != identity or not is_ours(os.read(descriptor, HEADER)):
            return False
        aside = _free_name(path)
        # The journal first: left alone by an accident, it would be played back into the new file.
        with suppress(FileNotFoundError):
            os.rename(f"{path}-journal", f"{aside}-journal")
        os.rename(path, aside)
        return True
    return False


def _free_name(path: Path) -> str:
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    names = (f"{path}.damaged-{moment}{ending}" for ending in ("", *(f"-{number}" for number in range(2, 100))))
    return next(name for name in names if not os.path.lexists(name))


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """Open the file with every lock that SQLite knows. Raises OSError when another process has one."""
    descriptor = os.open(path, os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0))
    try:
        if os.name == "posix":
            import fcntl

            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, _LOCK_BYTES, _LOCK_START)
        # Windows does not rename a file that somebody has open.
        yield descriptor
    finally:
        os.close(descriptor)


PATIENT_SECONDS = 5.0
"""Most seconds that a command about the ledger itself waits for another process, each time."""

PAUSE = 0.03
"""Least seconds between two steps: whoever waits looks every 25 ms or so whether the file is free."""

_ROUND = 10_000
"""Instructions of SQLite between two looks whether it is enough."""

_LEAST_ROUNDS = 2_000

_WORK_A_BYTE = 50
"""Instructions. Fewer than ten are needed."""

_MOST_COUNTED = 2**28
"""Most bytes of a file for which more work is allowed: enough for an honest file that is five times as large."""

_AT_ONCE = 100
"""Rows between two looks whether there are too many."""

_LEAST_ROWS, _MOST_ROWS = 50_000, 1_000_000
_BYTES_A_ROW = 4
"""Of an honest file, every row has 20 and more; some file systems compress them."""

_LEAST_TEXT, _MOST_TEXT = 2**22, 2**26
_TEXT_A_BYTE = 8
"""Characters. An honest file has fewer than bytes, but for names, which a join repeats with every row of a page."""

# One connection at a time in a process: closing any descriptor of a file, also one that only looked at it, drops the
# POSIX locks that the process has on it (sqlite.org/howtocorrupt.html, 2.2).
_ONE_AT_A_TIME = threading.Lock()


def real_size(path: Path) -> int:
    """Return how many bytes of a file are on the disk: one with holes in it claims to have far more."""
    status = path.stat()
    blocks = getattr(status, "st_blocks", None)
    return status.st_size if blocks is None else min(status.st_size, blocks * 512)


class Rows(sqlite3.Cursor):
    """What a query gives. No more is read into the memory at once than a file of its size can hold.

    The pages of a small file may lead to each other in such a way that it seems to hold the same row a billion times.
    """

    connection: "Connection"

    def fetchall(self) -> list[Any]:
        """Return all rows. Raises LedgerError where they are more than the file can hold."""
        size = self.connection.size()
        rows_left = min(_LEAST_ROWS + size // _BYTES_A_ROW, _MOST_ROWS)
        text_left = min(_LEAST_TEXT + size * _TEXT_A_BYTE, _MOST_TEXT)
        rows = list[Any]()
        while some := self.fetchmany(_AT_ONCE):
            rows += some
            rows_left -= len(some)
            text_left -= sum(len(value) for row in some for value in row if isinstance(value, (str, bytes)))
            if rows_left < 0 or text_left < 0:
                raise LedgerError("the ledger seems to hold more than a file of its size can: it is damaged")
        return rows


class Connection(sqlite3.Connection):
    """A connection that waits for other processes no longer than the time that is left."""

    path: Path
    ends_at: float | None = None
    """By `time.monotonic()`; None where there is no end."""
    waits = PATIENT_SECONDS
    """Most seconds for which one statement waits for another process, where there is no end."""
    is_given_up: Callable[[], bool] = staticmethod(lambda: False)
    """Tells whether nobody waits for an answer any more: what is at work then ends."""

    _rounds_left = 0

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._cursors: WeakSet[Rows] = WeakSet()
        super().__init__(*arguments, **named)

    def execute(self, query: str, values: Any = (), /) -> "Rows":
        """Run a statement. What it gives is read by `Rows`: sqlite3 itself would take a cursor without a limit."""
        cursor = self.cursor(Rows)
        self._cursors.add(cursor)
        return cursor.execute(query, values)

    def close(self) -> None:
        """Close the file. A query that failed half-way would keep it locked as long as anything refers to it."""
        for cursor in list(self._cursors):
            cursor.close()
        super().close()

    def size(self) -> int:
        """Return how many bytes of the file are on the disk now."""
        return real_size(self.path)

    def limit_work(self) -> None:
        """End what takes far more work than any query of this file: a damaged one may send it in circles.

        That is a few seconds for a small file, counted anew for each transaction.
        """
        self._rounds_left = _LEAST_ROUNDS + min(self.size(), _MOST_COUNTED) * _WORK_A_BYTE // _ROUND
        self.set_progress_handler(self._is_enough, _ROUND)

    def _is_enough(self) -> bool:
        self._rounds_left -= 1
        return self._rounds_left < 0 or self.is_over()

    def limit_waiting(self) -> None:
        """Let the next statement wait for as long as is left. SQLite would wait the whole time again for each."""
        left = self.waits if self.ends_at is None else max(0.0, self.ends_at - time.monotonic())
        self.execute(f"PRAGMA busy_timeout = {int(left * 1000)}")

    def is_over(self) -> bool:
        """Tell whether the time is up, or the answer is of no use any more."""
        return self.is_given_up() or (self.ends_at is not None and time.monotonic() > self.ends_at)


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
            db.path, db.ends_at, db.waits = path, ends_at, waits
            db.limit_work()
            _prepare(db, path)
            yield db
    finally:
        _ONE_AT_A_TIME.release()


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """Write all that the block does, or nothing of it."""
    connection.limit_work()
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
