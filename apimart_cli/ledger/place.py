"""Where the ledger lies: whether the file there is ours to use, and making it for its owner alone. Before SQLite."""

import os
import shlex
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from apimart_cli.files import Place, found
from apimart_cli.ledger.schema import APPLICATION_ID, MIGRATIONS
from apimart_cli.owners import UnsafeError, trusted_owners
from apimart_cli.text import visible

MAGIC = b"SQLite format 3\0"

HEADER = 100
"""Bytes at the beginning of every SQLite file that tell what it is."""

_FORMATS, _VERSION, _APPLICATION = slice(18, 20), slice(60, 64), slice(68, 72)

_ROLLBACK = b"\1\1"
"""The formats of a file that is written with a rollback journal; others are 2, for a write-ahead log."""


class LedgerError(Exception):
    """The ledger cannot be used: its text, which is safe to show, says what is wrong with which file."""

    def __init__(self, message: str) -> None:
        super().__init__(visible(message))


class NoLedgerError(LedgerError):
    """There is no ledger yet."""


class Identity(NamedTuple):
    """Tells a file from another one that has its name later."""

    device: int
    inode: int


class Ours(NamedTuple):
    """A file that is fit to be used."""

    path: Path
    """Its path without links, beside which SQLite puts the journal.

    SQLite and what sets a damaged file aside open it by this path: no other user can change what is there, nor any
    folder on the way.
    """
    identity: Identity


def make_file(path: Path) -> Ours:
    """Make the folder and an empty file, as far as they are missing, and check it. Raises LedgerError."""
    try:
        with _place(path, make=True) as place:
            return _look(place, path, os.O_RDWR | os.O_CREAT)
    except FileNotFoundError:
        raise LedgerError(f"{path}: the folder cannot be made") from None
    except (OSError, ValueError) as error:
        raise LedgerError(f"{path}: {_reason(error)}") from None


def check_file(path: Path) -> Ours:
    """Check a file that is to be read. Raises LedgerError; NoLedgerError when there is none, or an empty one."""
    try:
        with _place(path) as place:
            return _look(place, path, os.O_RDONLY)
    except FileNotFoundError:
        raise NoLedgerError(f"{path} does not exist") from None
    except (OSError, ValueError) as error:
        raise LedgerError(f"{path}: {_reason(error)}") from None


@contextmanager
def _place(path: Path, *, make: bool = False) -> Iterator[Place]:
    """Give the place of the ledger. Raises LedgerError where another user can change it, or what lies beside it."""
    try:
        with found(path, trusted_owners(), make=make) as place:
            _require_own_folder(place, path)
            yield place
    except UnsafeError as error:
        raise LedgerError(f"{path}: {error.reason(path)}") from None


def _require_own_folder(place: Place, path: Path) -> None:
    """Raise LedgerError in a folder like /tmp, where each user can make files.

    SQLite opens a journal and a write-ahead log by their names, and plays back what it finds there.
    """
    try:
        place.require_own_folder()
    except UnsafeError as error:
        reason = f"{error.reason(path)}, and SQLite reads what lies beside it"
        raise LedgerError(f"{path}: {reason}; use a folder of your own: APIMART_HISTORY") from None


def is_ours(header: bytes) -> bool:
    """Tell whether a file that begins like this was made by apimart."""
    return header.startswith(MAGIC) and header[_APPLICATION] == APPLICATION_ID.to_bytes(4, "big")


def _look(place: Place, path: Path, flags: int) -> Ours:
    """Check the file. Raises FileNotFoundError for an empty one that is only to be read."""
    status = place.now()
    # Before it is opened: opening some devices does something.
    if status is not None and not stat.S_ISREG(status.st_mode):
        raise LedgerError(f"{path} is not a regular file")
    descriptor = place.open_safe(flags)
    try:
        status = os.fstat(descriptor)
        if not status.st_size and not flags & os.O_CREAT:
            raise FileNotFoundError
        _check(path, status, os.read(descriptor, HEADER))
        if os.name == "posix" and flags & os.O_CREAT and (not status.st_size or status.st_mode & 0o077):
            # Whatever the umask took, or a careless `touch` or `chmod` gave; the journal gets the same.
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
        command = f"sqlite3 {shlex.quote(str(path))} 'PRAGMA journal_mode = DELETE'"
        raise LedgerError(f"{path} is in WAL mode, which is not used, and was left as it is; end that with: {command}")


def _reason(error: Exception) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
