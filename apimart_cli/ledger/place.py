"""Where the ledger is, and whether SQLite may open the file there. It is made for its owner alone.

SQLite obeys what a file says: triggers and views run when a table is used, and a journal names a file to delete. So a
ledger from elsewhere, like one from the cache of a CI system, is refused unless its tables are exactly those that we
make, and so are files beside it that SQLite would use.
"""

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, cast

from apimart_cli.files import Place, found
from apimart_cli.ledger.schema import APPLICATION_ID, MIGRATIONS, version_of
from apimart_cli.owners import UnsafeError, has_owners, trusted_owners
from apimart_cli.text import quote, shell_word, visible

MAGIC = b"SQLite format 3\0"

HEADER = 100
"""Bytes at the beginning of an SQLite file that say what it is."""

_FORMATS, _VERSION, _APPLICATION = slice(18, 20), slice(60, 64), slice(68, 72)

_ROLLBACK = b"\1\1"
"""The formats of a file with a rollback journal. With a write-ahead log they are 2."""

MOST_BYTES = 16_384
"""Largest value, and row, that SQLite reads or writes: names and amounts are short."""

_STATISTICS = {
    "CREATE TABLE sqlite_stat1(tbl,idx,stat)": ("table", "sqlite_stat1"),
    "CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)": ("table", "sqlite_stat4"),
}
"""Tables that ANALYZE in SQLite's own shell leaves behind. They only say how large the tables are."""

_MOST_OBJECTS = 100
"""Most tables and the like to look at: one that is not ours is enough."""

_JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")
"""The first bytes of a journal (sqlite.org/fileformat2.html#rollbackjournal), and the last ones if it names a file."""


class LedgerError(Exception):
    """The ledger cannot be used. Its text names the file and what is wrong, and is safe to show."""

    def __init__(self, message: str) -> None:
        super().__init__(visible(message))


class NoLedgerError(LedgerError):
    """There is no ledger yet."""


class Identity(NamedTuple):
    """Tells a file from another one that has the same name later."""

    device: int
    inode: int


class Ours(NamedTuple):
    """A file that SQLite may open."""

    path: Path
    """Its path without links. SQLite puts the journal beside it.

    SQLite, and `set_aside`, open the file by this path: no other user can change what is there, or any folder on the
    way.
    """
    identity: Identity


def make_file(path: Path) -> Ours:
    """Make the folder and an empty file, if they are missing, and check the file. Raises LedgerError."""
    try:
        with _place(path, make=True) as place:
            return _look(place, path, os.O_RDWR | os.O_CREAT)
    except FileNotFoundError:
        raise LedgerError(f"{path}: the folder cannot be made") from None
    except (OSError, ValueError) as error:
        raise LedgerError(f"{path}: {_reason(error)}") from None


def check_file(path: Path) -> Ours:
    """Check a file before it is read. Raises LedgerError; NoLedgerError if there is none, or an empty one."""
    try:
        with _place(path) as place:
            return _look(place, path, os.O_RDONLY)
    except FileNotFoundError:
        raise NoLedgerError(f"{path} does not exist") from None
    except (OSError, ValueError) as error:
        raise LedgerError(f"{path}: {_reason(error)}") from None


def is_ours(header: bytes) -> bool:
    """Tell whether a file that begins like this was made by apimart."""
    return header.startswith(MAGIC) and header[_APPLICATION] == APPLICATION_ID.to_bytes(4, "big")


def check_beside(path: Path) -> None:
    """Check the files that SQLite would use together with the ledger at `path`, before it is opened.

    If a journal names a super-journal, SQLite deletes the file of that name. We never write one: that takes a
    transaction in several databases. For a FIFO SQLite would wait. Raises LedgerError.
    """
    if os.path.lexists(f"{path}-wal"):
        raise LedgerError(f"{path}-wal: apimart uses no write-ahead log, and left the ledger as it is")
    journal = require_regular(f"{path}-journal")
    if journal and _end_of(f"{path}-journal") == _JOURNAL_MAGIC:
        raise LedgerError(f"{path}-journal names another file, and the ledger was left as it is")


def require_regular(path: str) -> bool:
    """Tell whether there is a file. Raises LedgerError if it is something else, like a link."""
    try:
        is_regular = stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False
    if not is_regular:
        raise LedgerError(f"{path} is not a regular file, and the ledger was left as it is")
    return True


def restrict(connection: sqlite3.Connection) -> None:
    """Make SQLite believe as little of what the file says as it can."""
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_BYTES)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    # 2 MiB, the default of SQLite, whatever the file proposes.
    connection.execute("PRAGMA cache_size = -2048")


def check_schema(connection: sqlite3.Connection, path: Path) -> int:
    """Check that the file has the tables and indexes of its version and nothing else; return that version.

    Raises LedgerError, and sqlite3.Error if it cannot be read.
    """
    # In one transaction, as another process may be bringing the file to the newest version.
    connection.execute("BEGIN")
    try:
        version = version_of(connection)
        # This old name of the table is known to older versions of SQLite, too.
        rows = connection.execute(f"SELECT type, name, sql FROM sqlite_master LIMIT {_MOST_OBJECTS}").fetchall()  # noqa: S608
    finally:
        connection.execute("COMMIT")
    ours = objects_of(version)
    known = {**ours, **_STATISTICS}
    # SQLite makes the index of a primary key by itself: it has no text.
    others = [
        (kind, name) for kind, name, text in rows if known.get(text) != (kind, name) and (kind, text) != ("index", None)
    ]
    if others:
        # A view comes before a table: it says more of what is wrong.
        what = quote("{} {}".format(*min(others, key=lambda each: each[0] == "table")))
        raise LedgerError(f"{path}: apimart did not make the {what} in it, and the file was left as it is")
    missing = ours.keys() - {text for _, _, text in rows}
    if missing:
        what = " ".join(ours[min(missing)])
        raise LedgerError(f"{path}: the {what} is missing in it, and the file was left as it is")
    return version


def objects_of(version: int) -> dict[str, tuple[str, str]]:
    """Return the type and name of each table and index that the migrations up to a version make, by its text.

    SQLite keeps the text as it was written. The migrations are not run for this: that takes longer than to open the
    ledger.
    """
    texts = _Texts()
    for migration in MIGRATIONS[:version]:
        migration(cast("sqlite3.Connection", texts))
    return {text: (words[1].lower(), words[2]) for text in texts for words in [text.split(maxsplit=3)]}


@contextmanager
def _place(path: Path, *, make: bool = False) -> Iterator[Place]:
    """Yield the place of the ledger. Raises LedgerError if another user can change it, or files beside it."""
    try:
        with found(path, trusted_owners(), make=make) as place:
            _require_own_folder(place, path)
            yield place
    except UnsafeError as error:
        raise LedgerError(f"{path}: {error.reason(path)}") from None


def _require_own_folder(place: Place, path: Path) -> None:
    """Raise LedgerError for a folder like /tmp, where every user can make files.

    SQLite opens a journal and a write-ahead log by their names, and plays back what they say.
    """
    try:
        place.require_own_folder()
    except UnsafeError as error:
        reason = f"{error.reason(path)}, and SQLite reads what lies beside it"
        raise LedgerError(f"{path}: {reason}; use a folder of your own: APIMART_HISTORY") from None


def _look(place: Place, path: Path, flags: int) -> Ours:
    """Check the file. Raises FileNotFoundError for an empty one that would only be read."""
    status = place.now()
    # Before it is opened, as opening has effects on some devices.
    if status is not None and not stat.S_ISREG(status.st_mode):
        raise LedgerError(f"{path} is not a regular file")
    descriptor = place.open_safe(flags)
    try:
        status = os.fstat(descriptor)
        if not status.st_size and not flags & os.O_CREAT:
            raise FileNotFoundError
        _check(path, status, os.read(descriptor, HEADER))
        if has_owners() and flags & os.O_CREAT and (not status.st_size or status.st_mode & 0o077):
            # Whatever the umask is, and after a careless `touch` or `chmod`. The journal gets the same mode.
            os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)
    return Ours(place.path, Identity(status.st_dev, status.st_ino))


def _check(path: Path, status: os.stat_result, header: bytes) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise LedgerError(f"{path} is not a regular file")
    if not header:
        return
    if not is_ours(header):
        raise LedgerError(f"{path} is not a ledger of apimart, and was left as it is")
    if int.from_bytes(header[_VERSION], "big") > len(MIGRATIONS):
        raise LedgerError(f"{path} was written by a newer apimart, and was left as it is")
    if header[_FORMATS] != _ROLLBACK:
        command = f"sqlite3 {shell_word(str(path))} 'PRAGMA journal_mode = DELETE'"
        raise LedgerError(f"{path} is in WAL mode, which is not used, and was left as it is; end that with: {command}")


def _reason(error: Exception) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


class _Texts(list[str]):
    """Stands in for a connection, and keeps the statements."""

    def execute(self, text: str) -> None:
        """Keep a statement."""
        self.append(text)


def _end_of(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            file.seek(-len(_JOURNAL_MAGIC), os.SEEK_END)
            return file.read()
    except OSError:
        return b""
