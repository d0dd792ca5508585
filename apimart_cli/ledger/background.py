"""Recording beside an answer: what is written within a quarter of a second is written, the rest is dropped.

In a thread of its own, as no time limit of SQLite ends a write to a disk that hangs. Whatever becomes of the thread,
the file stays whole: a transaction that is not complete is rolled back by whoever opens it next.

Reading the ledger while answers travel, in a thread of its own: no forecast holds up its answer for long.
"""

import threading
from collections.abc import Callable, Sequence, Set
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple, TypeVar

from apimart_cli.ledger.place import LedgerError
from apimart_cli.ledger.schema import ALLOWED_SECONDS, Entry, Series
from apimart_cli.processes.signals import start_thread
from apimart_cli.rules.spending import Sample

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

    thread = start_thread(run, "ledger")
    if thread is None:
        raise _no_thread(path)
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise LedgerError(f"{path} did not answer within {seconds:g} seconds")
    return results[0]


def _no_thread(path: Path) -> LedgerError:
    return LedgerError(f"{path} was not opened: the system starts no thread")


EVERY = timedelta(minutes=5)
"""Of samples that stand closer together the last one is read: however often somebody asks, a month is 8,640 samples."""


class Sought(NamedTuple):
    """Whose samples are read, and of what time."""

    hosts: Set[str]
    key_ids: Set[str]
    profiles: Set[str]
    """Names of profiles whose key is not known yet: their series are found by the label of the last sample."""
    since: datetime
    until: datetime


class Recall:
    """The samples of the series that are sought, each of them there as soon as it is read."""

    def __init__(self, path: Path, sought: Sought) -> None:
        """Begin to read."""
        self._path = path
        self._sought = sought
        self._found: dict[Series, list[Sample]] = {}
        self._changed = threading.Condition()
        self._is_over = False
        self._error: Exception | None = None
        if start_thread(self._run, "ledger") is None:
            self._error, self._is_over = _no_thread(path), True

    def samples(self, series: Series, seconds: float) -> list[Sample]:
        """Return the samples of a series in the order of their time; none where the ledger has none.

        Raises LedgerError when they cannot be read, or are not there after so many seconds.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or series in self._found, timeout=max(0.0, seconds))
            if series in self._found:
                return self._found[series]
            if self._error is not None:
                raise self._error
            if not self._is_over:
                raise LedgerError(f"{self._path} was not read in time")
            return []

    def stop(self) -> None:
        """Read no more: what is at work ends."""
        with self._changed:
            self._is_over = True

    def _run(self) -> None:
        error: Exception | None = None
        try:
            self._read()
        except Exception as raised:  # noqa: BLE001  # raised again by `samples`
            error = raised
        with self._changed:
            self._error = error
            self._is_over = True
            self._changed.notify_all()

    def _read(self) -> None:
        from apimart_cli.ledger.file import opened
        from apimart_cli.ledger.queries import all_series, latest, samples

        hosts, key_ids, profiles, since, until = self._sought
        with opened(self._path, seconds=None, create=False, waits=ALLOWED_SECONDS) as connection:
            connection.is_given_up = lambda: self._is_over
            for series in all_series(connection):
                if self._is_over:
                    return
                last = latest(connection, series, until=until) if profiles and series.host in hosts else None
                if series.host in hosts and (series.key_id in key_ids or (last and last.profile in profiles)):
                    found = samples(connection, series, since=since, until=until, every=EVERY)
                    with self._changed:
                        self._found[series] = found
                        self._changed.notify_all()
