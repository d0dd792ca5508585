"""Where the ledger lies: whether the file there is ours to use, and making it for its owner alone. Before SQLite."""

import os
import shlex
import stat
from pathlib import Path
from typing import NamedTuple

from apimart_cli.ledger.schema import APPLICATION_ID, MIGRATIONS
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


def real_path(path: Path) -> Path:
    """Return the path without links, beside which SQLite puts the journal. Raises LedgerError."""
    try:
        return Path(os.path.realpath(path))
    except (OSError, ValueError) as error:
        raise LedgerError(f"{path}: {_reason(error)}") from None


def make_file(path: Path) -> Identity:
    """Make the folder and an empty file, as far as they are missing, and check it. Raises LedgerError."""
    try:
        _make_folder(path.parent)
        return _look(path, os.O_RDWR | os.O_CREAT)
    except FileNotFoundError:
        raise LedgerError(f"{path}: the folder cannot be made") from None
    except (OSError, ValueError) as error:
        raise LedgerError(f"{path}: {_reason(error)}") from None


def check_file(path: Path) -> Identity:
    """Check a file that is to be read. Raises LedgerError; NoLedgerError when there is none, or an empty one."""
    try:
        if path.is_file() and not path.stat().st_size:
            raise FileNotFoundError
        return _look(path, os.O_RDONLY)
    except FileNotFoundError:
        raise NoLedgerError(f"{path} does not exist") from None
    except (OSError, ValueError) as error:
        raise LedgerError(f"{path}: {_reason(error)}") from None


def is_ours(header: bytes) -> bool:
    """Tell whether a file that begins like this was made by apimart."""
    return header.startswith(MAGIC) and header[_APPLICATION] == APPLICATION_ID.to_bytes(4, "big")


def _look(path: Path, flags: int) -> Identity:
    # Before it is opened: opening some devices does something.
    if path.exists() and not path.is_file():
        raise LedgerError(f"{path} is not a regular file")
    for name in ("O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY"):
        flags |= getattr(os, name, 0)
    descriptor = os.open(path, flags, 0o600)
    try:
        status = os.fstat(descriptor)
        _check(path, status, os.read(descriptor, HEADER))
        if os.name == "posix" and flags & os.O_CREAT and (not status.st_size or status.st_mode & 0o077):
            # Whatever the umask took, or a careless `touch` or `chmod` gave; the journal gets the same.
            os.fchmod(descriptor, 0o600)
        return Identity(status.st_dev, status.st_ino)
    finally:
        os.close(descriptor)


def _check(path: Path, status: os.stat_result, header: bytes) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise LedgerError(f"{path} is not a regular file")
    if os.name == "posix" and status.st_uid != os.geteuid():
        raise LedgerError(f"{path} belongs to another user")
    if not header:
        return
    if not is_ours(header):
        raise LedgerError(f"{path} is not a ledger of apimart, and was left as it is")
    if int.from_bytes(header[_VERSION], "big") > len(MIGRATIONS):
        raise LedgerError(f"{path} was written by a newer apimart, and was left as it is")
    if header[_FORMATS] != _ROLLBACK:
        command = f"sqlite3 {shlex.quote(str(path))} 'PRAGMA journal_mode = DELETE'"
        raise LedgerError(f"{path} is in WAL mode, which is not used, and was left as it is; end that with: {command}")


def _make_folder(folder: Path) -> None:
    """Make the folder and those above it, as far as they are missing, for their owner alone, whatever the umask."""
    if folder.exists():
        return
    _make_folder(folder.parent)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        return
    folder.chmod(0o700)


def _reason(error: Exception) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
