"""Recording beside an answer: what is written within a quarter of a second is written, the rest is dropped.

In a thread of its own, as no time limit of SQLite ends a write to a disk that hangs. Whatever becomes of the thread,
the file stays whole: a transaction that is not complete is rolled back by whoever opens it next.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from apimart_cli.ledger.place import LedgerError
from apimart_cli.ledger.records import ALLOWED_SECONDS, Entry

T = TypeVar("T")

_PRUNING_SECONDS = 0.05


def remember(path: Path, entries: Sequence[Entry], now: datetime, *, seconds: float = ALLOWED_SECONDS) -> None:
    """Write readings, and prune the ledger when that is due. Raises LedgerError otherwise.

    What was given up may still be written a moment later, as long as the process lives.
    """

    def write() -> None:
        import sqlite3

        from apimart_cli.ledger.file import opened
        from apimart_cli.ledger.retention import prune
        from apimart_cli.ledger.store import record

        with opened(path, seconds=seconds) as connection:
            record(connection, entries)
            # What is locked or interrupted here is done another time.
            with suppress(sqlite3.OperationalError):
                prune(connection, now, seconds=_PRUNING_SECONDS)

    within(seconds, path, write)


def within(seconds: float, path: Path, work: Callable[[], T]) -> T:
    """Return what the work returns, or raise what it raises; when it takes too long, it is left to itself."""
    results: list[T] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            results.append(work())
        except Exception as error:  # noqa: BLE001  # raised again below
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True, name="ledger")
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise LedgerError(f"{path} did not answer within {seconds:g} seconds")
    return results[0]
