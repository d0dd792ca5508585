"""A ledger from elsewhere, like the cache of a CI system: nothing in it or beside it may do more than hold readings.

SQLite obeys what a file says: triggers and views run when a table is used, and a journal names a file to delete. A
ledger is refused unless its tables are exactly those that we make, with nothing added.
"""

import os
import sqlite3
import stat
from pathlib import Path
from typing import cast

from apimart_cli.ledger.place import LedgerError
from apimart_cli.ledger.schema import MIGRATIONS, version_of
from apimart_cli.text import quote

MOST_BYTES = 16_384
"""Largest value, and row, that is read or written: names and amounts are short."""

_STATISTICS = {
    "CREATE TABLE sqlite_stat1(tbl,idx,stat)": ("table", "sqlite_stat1"),
    "CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)": ("table", "sqlite_stat4"),
}
"""What ANALYZE of SQLite's own shell leaves behind. It only says how large the tables are."""

_MOST_OBJECTS = 100
"""Most tables and the like that are looked at: one that is not ours is enough."""

_JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")
"""Begins a journal (sqlite.org/fileformat2.html#rollbackjournal), and ends one that names another file."""


def check_beside(path: Path) -> None:
    """Check the files that SQLite would use together with the ledger at `path`, before it is opened.

    A journal that names a super-journal makes SQLite delete the file of that name; we never write one, as that takes
    transactions in several databases. A FIFO would be waited for. Raises LedgerError.
    """
    if os.path.lexists(f"{path}-wal"):
        raise LedgerError(f"{path}-wal: apimart uses no write-ahead log, and left the ledger as it is")
    journal = require_regular(f"{path}-journal")
    if journal and _end_of(f"{path}-journal") == _JOURNAL_MAGIC:
        raise LedgerError(f"{path}-journal names another file, and the ledger was left as it is")


def require_regular(path: str) -> bool:
    """Tell whether there is a file. Raises LedgerError where something else has its name, like a link."""
    try:
        is_regular = stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False
    if not is_regular:
        raise LedgerError(f"{path} is not a regular file, and the ledger was left as it is")
    return True


def restrict(connection: sqlite3.Connection) -> None:
    """Have SQLite believe as little of the file as it can."""
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_BYTES)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    # 2 MiB, the default of SQLite: a file may propose as much as it likes.
    connection.execute("PRAGMA cache_size = -2048")


def check_schema(connection: sqlite3.Connection, path: Path) -> int:
    """Check that the file has the tables and indexes of its version and nothing else, and return that version.

    Raises LedgerError, and sqlite3.Error where it cannot be read.
    """
    # Both in one transaction: another process may be bringing the file to the newest version.
    connection.execute("BEGIN")
    try:
        version = version_of(connection)
        # By its old name, which older versions of SQLite know, too.
        rows = connection.execute(f"SELECT type, name, sql FROM sqlite_master LIMIT {_MOST_OBJECTS}").fetchall()  # noqa: S608
    finally:
        connection.execute("COMMIT")
    ours = objects_of(version)
    known = {**ours, **_STATISTICS}
    # The index of a key has no text: SQLite makes it for the table.
    others = [
        (kind, name) for kind, name, text in rows if known.get(text) != (kind, name) and (kind, text) != ("index", None)
    ]
    if others:
        # A view tells more than the table whose place it takes.
        what = quote("{} {}".format(*min(others, key=lambda each: each[0] == "table")))
        raise LedgerError(f"{path}: apimart did not make the {what} in it, and the file was left as it is")
    missing = ours.keys() - {text for _, _, text in rows}
    if missing:
        what = " ".join(ours[min(missing)])
        raise LedgerError(f"{path}: the {what} is missing in it, and the file was left as it is")
    return version


def objects_of(version: int) -> dict[str, tuple[str, str]]:
    """Return type and name of each table and index that the migrations up to a version make, by its text.

    SQLite keeps the text as it was written. To ask it would mean to make them all in the memory, which takes longer
    than to open the ledger.
    """
    texts = _Texts()
    for migration in MIGRATIONS[:version]:
        migration(cast("sqlite3.Connection", texts))
    return {text: (words[1].lower(), words[2]) for text in texts for words in [text.split(maxsplit=3)]}


class _Texts(list[str]):
    """Stands in for a connection, and keeps what it would execute."""

    def execute(self, text: str) -> None:
        """Take note of a statement."""
        self.append(text)


def _end_of(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            file.seek(-len(_JOURNAL_MAGIC), os.SEEK_END)
            return file.read()
    except OSError:
        return b""
