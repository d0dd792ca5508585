"""A ledger that is damaged is set aside under another name, and a new one is begun. Nothing is deleted."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from apimart_cli.ledger.place import HEADER, Identity, is_ours

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
