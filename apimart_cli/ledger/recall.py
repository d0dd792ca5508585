"""Reading the samples for forecasts in a thread, while the question is under way.

SQLite's own time limits end no look at a disk that hangs: when its time is over, the command goes on without samples.
"""

import threading
from collections.abc import Set
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from apimart_cli.ledger.place import LedgerError
from apimart_cli.ledger.schema import ALLOWED_SECONDS, Series
from apimart_cli.ledger.store import not_opened
from apimart_cli.processes.signals import start_thread
from apimart_cli.rules.spending import Sample

EVERY = timedelta(minutes=5)
"""Only the last sample in each of these steps is read, so that a month has 8,640 samples at most."""


class Sought(NamedTuple):
    """Which samples to read."""

    hosts: Set[str]
    key_ids: Set[str]
    profiles: Set[str]
    """Profiles with a key that is not known yet: the label of the last sample tells which series is theirs."""
    since: datetime
    until: datetime


class Recall:
    """Reads the samples in a thread. Those of a series can be had as soon as they are read."""

    def __init__(self, path: Path, sought: Sought) -> None:
        """Begin to read."""
        self._path = path
        self._sought = sought
        self._found: dict[Series, list[Sample]] = {}
        self._changed = threading.Condition()
        self._is_over = False
        self._error: Exception | None = None
        if start_thread(self._run, "ledger") is None:
            self._error, self._is_over = not_opened(path), True

    def samples(self, series: Series, seconds: float) -> list[Sample]:
        """Return the samples of a series in the order of their times; none if the ledger has none.

        Raises LedgerError if they cannot be read, or are not there after `seconds`.
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
        """Stop reading, also in the middle of a query."""
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
