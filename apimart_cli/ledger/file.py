"""The file of the ledger: opened if it is fit for use, read and written in short transactions, set aside if damaged.

It has a rollback journal, not WAL: on network file systems WAL damages the file (sqlite.org/wal.html), and home folders
are often on one. A damaged file gets another name, and a new one is begun. Nothing is deleted.
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

PATIENT_SECONDS = 5.0
"""Most seconds for which a command about the ledger itself waits for another process, each time."""

PAUSE = 0.03
"""Least seconds between two steps: a process that waits tries again about every 25 ms."""

_ROUND = 10_000
"""Instructions of SQLite after which the limits are looked at again."""

_LEAST_ROUNDS = 2_000
"""Rounds of so many instructions that any query may take."""

_WORK_A_BYTE = 50
"""Instructions allowed for each byte of the file. A sound file needs fewer than ten."""

_MOST_COUNTED = 2**28
"""Bytes of a file beyond which no more work is allowed: enough for a sound file that is five times as large."""

_AT_ONCE = 100
"""Rows that are read before the limits are looked at again."""

_LEAST_ROWS, _MOST_ROWS = 50_000, 1_000_000

_BYTES_A_ROW = 4
"""In a sound file every row has 20 or more; some file systems compress them."""

_LEAST_TEXT, _MOST_TEXT = 2**22, 2**26

_TEXT_A_BYTE = 8
"""Characters for each byte. A sound file gives fewer than one, but a join repeats names with every row of a page."""

# SQLite locks these bytes: pending, reserved and the 510 of the shared lock (sqlite.org/src/file/src/os.h).
_LOCK_START, _LOCK_BYTES = 0x40000000, 512

# A process has one connection at a time: to close any descriptor of a file, even one that only looked at it, drops the
# POSIX locks that the process has on it (sqlite.org/howtocorrupt.html, 2.2).
_ONE_AT_A_TIME = threading.Lock()


class Rows(sqlite3.Cursor):
    """The rows that a query gives, never more than a file of that size can hold.

    In a damaged file, pages may lead to each other so that it seems to hold the same row a billion times.
    """

    connection: "Connection"

    def fetchall(self) -> list[Any]:
        """Return all rows. Raises LedgerError if they are more than the file can hold."""
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
    """A connection that waits for other processes only as long as there is time left."""

    path: Path
    ends_at: float | None = None
    """By `time.monotonic()`; None for no limit."""
    waits = PATIENT_SECONDS
    """Most seconds for which one statement waits for another process, if `ends_at` is None."""
    is_given_up: Callable[[], bool] = staticmethod(lambda: False)
    """Returns True once the answer is of no use any more; the statement at work then ends."""

    _rounds_left = 0

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._cursors: WeakSet[Rows] = WeakSet()
        super().__init__(*arguments, **named)

    def execute(self, query: str, values: Any = (), /) -> "Rows":
        """Run a statement. `Rows` limits what it gives; a cursor of sqlite3 itself would not."""
        cursor = self.cursor(Rows)
        self._cursors.add(cursor)
        return cursor.execute(query, values)

    def close(self) -> None:
        """Close the file, and its cursors first: one that failed half-way would keep the file locked."""
        for cursor in list(self._cursors):
            cursor.close()
        super().close()

    def size(self) -> int:
        """Return how many bytes of the file are on the disk now."""
        return real_size(self.path)

    def limit_work(self) -> None:
        """End a query that takes far more work than this file is worth: a damaged one may lead it in circles.

        For a small file that is a few seconds, counted anew for each transaction.
        """
        self._rounds_left = _LEAST_ROUNDS + min(self.size(), _MOST_COUNTED) * _WORK_A_BYTE // _ROUND
        self.set_progress_handler(self._is_enough, _ROUND)

    def _is_enough(self) -> bool:
        self._rounds_left -= 1
        return self._rounds_left < 0 or self.is_over()

    def limit_waiting(self) -> None:
        """Let the next statement wait for the time that is left. SQLite would give each statement the whole time."""
        left = self.waits if self.ends_at is None else max(0.0, self.ends_at - time.monotonic())
        self.execute(f"PRAGMA busy_timeout = {int(left * 1000)}")

    def is_over(self) -> bool:
        """Tell whether the time is up, or the answer is of no use any more."""
        return self.is_given_up() or (self.ends_at is not None and time.monotonic() > self.ends_at)


@contextmanager
def opened(
    path: Path, *, seconds: float | None = ALLOWED_SECONDS, create: bool = True, waits: float = PATIENT_SECONDS
) -> Iterator[Connection]:
    """Open the ledger at `path`, and give up after `seconds` in all.

    With None for `seconds` there is no such limit; each statement waits at most `waits` seconds for another process.
    Without `create` the ledger is read as it is, even if it may not be written.

    Raises LedgerError if it cannot be used, or if the database fails in the block. Without `create`, raises
    NoLedgerError if there is none.
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
    """As `transaction`, for one step of many: afterwards, leave the file to other processes for as long as it took."""
    start = time.monotonic()
    with transaction(connection):
        yield
    time.sleep(max(PAUSE, time.monotonic() - start))


def real_size(path: Path) -> int:
    """Return how many bytes of a file are on the disk: a file with holes claims to have far more."""
    status = path.stat()
    blocks = getattr(status, "st_blocks", None)
    return status.st_size if blocks is None else min(status.st_size, blocks * 512)


def is_damage(error: sqlite3.Error) -> bool:
    """Tell whether the file itself is broken, rather than locked or on a full disk."""
    code = getattr(error, "sqlite_errorcode", 0)
    return (code & 0xFF) in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def set_aside(path: Path, identity: Identity) -> bool:
    """Rename a damaged file of ours, and its journal; return whether that was done.

    It renames the file of that identity alone, as another process may have begun a new one meanwhile. And only while no
    other process uses it, as SQLite would take the journal of that process for the journal of the new file.
    """
    with suppress(OSError), _locked(path) as descriptor:
        status = os.fstat(descriptor)
        if Identity(status.st_dev, status.st_ino) != identity or not is_ours(os.read(descriptor, HEADER)):
            return False
        aside = _free_name(path)
        # The journal first: if it stayed behind alone, SQLite would play it back into the new file.
        with suppress(FileNotFoundError):
            os.rename(f"{path}-journal", f"{aside}-journal")
        os.rename(path, aside)
        return True
    return False


def _prepare(connection: Connection, path: Path) -> None:
    connection.limit_waiting()
    restrict(connection)
    # It takes half the time of FULL. After a power failure the last transactions may be gone, but nothing is damaged on
    # the file systems of today (sqlite.org/pragma.html#pragma_synchronous).
    connection.execute("PRAGMA synchronous = NORMAL")
    if check_schema(connection, path) < len(MIGRATIONS):
        with transaction(connection):
            # It does nothing if another process has just done it.
            migrate(connection)


@contextmanager
def _translated(path: Path, identity: Identity) -> Iterator[None]:
    """Raise the errors of SQLite as LedgerError; set a damaged file aside."""
    try:
        yield
    except sqlite3.Error as error:
        # The message may quote what is in the file.
        reason = quote(str(error))
        if is_damage(error) and set_aside(path, identity):
            raise LedgerError(f"{path} is damaged and was set aside: {reason}") from None
        raise LedgerError(f"{path}: {reason}") from None
    except UnicodeEncodeError:
        raise LedgerError(f"{path}: a name is not text") from None


def _free_name(path: Path) -> str:
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    names = (f"{path}.damaged-{moment}{ending}" for ending in ("", *(f"-{number}" for number in range(2, 100))))
    return next(name for name in names if not os.path.lexists(name))


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """Open the file with every lock that SQLite knows. Raises OSError when another process has one."""
    descriptor = os.open(path, os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0))
    try:
        # Windows has no such locks, and needs none: it does not rename a file that another process has open.
        with suppress(ModuleNotFoundError):
            import fcntl

            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, _LOCK_BYTES, _LOCK_START)
        yield descriptor
    finally:
        os.close(descriptor)
