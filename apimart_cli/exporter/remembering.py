"""What an exporter writes to the ledger, and reads from it: readings now and then, and how long balances last.

It is a by-product, in a thread: whatever happens to that, the page shows the same readings.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from apimart_cli.config.settings import Settings
from apimart_cli.processes.signals import start_thread
from apimart_cli.readings.forecasts import record, unrecorded
from apimart_cli.rules.balance import Balance, Reading
from apimart_cli.screen.writing import log_warning
from apimart_cli.words import ForecastState, Scope, ScopeChoice

if TYPE_CHECKING:
    from apimart_cli.ledger.schema import Series
    from apimart_cli.rules.forecast import Forecast
    from apimart_cli.rules.spending import Sample

SOURCE = "exporter"
"""The name of the command in the ledger."""

LEAST_SPACING = 5 * 60.0
"""Least seconds between two readings of one balance that are recorded."""

MOST_A_DAY = 50_000
"""Most readings recorded in a day, of all balances together. With many balances, each is recorded less often."""

WRITE_EVERY = 30.0
"""Seconds between two writes."""

BATCH = 200
"""Most readings in one write."""

WRITE_SECONDS = 2.0
"""Most seconds to write one batch, or to read one history."""

FORECAST_EVERY = 600.0
"""Least seconds from one reading of all histories to the next."""

FORECAST_LASTS = 3 * 60 * 60.0
"""Seconds for which a forecast is shown: longer than it takes to read all histories."""

FIRST_SECONDS = 3.0
"""Most seconds in all by which the forecasts of first readings delay the first page: it has them if histories are few
or short."""

RESTS = 19.0
"""After each forecast it pauses for so many times as long as that took: it uses a twentieth of one core at most."""

_DAY = 24 * 60 * 60.0

Place = tuple[str, Scope]


class _Known(NamedTuple):
    """A forecast, and the key and gateway that it is for: the profile may have others by now."""

    forecast: "Forecast"
    key_id: str | None
    host: str
    made_at: float


class Remembering:
    """The ledger of an exporter, from `start` to `finish`."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._path: Path | None = None
        self._asked_by: str | None = None
        self._spacing = LEAST_SPACING
        self._recorded_at: dict[Place, float] = {}
        self._owed: dict[Place, Reading] = {}
        self._latest: dict[Place, Reading] = {}
        self._forecasts: dict[Place, _Known] = {}
        self._settings: dict[str, Settings] = {}
        self._first_left = FIRST_SECONDS
        self._is_over = threading.Event()

    def use(self, profiles: Sequence[Settings]) -> None:
        """Use the ledger of these profiles from now on, and forget all other profiles."""
        names = {each.profile.value for each in profiles}
        balances = sum(len(each.targets()) for each in profiles if each.record.value)
        with self._guard:
            self._path = profiles[0].history.value if profiles else None
            self._settings = {each.profile.value: each for each in profiles}
            self._first_left = FIRST_SECONDS
            self._asked_by = next((each.record_asked_by for each in profiles if each.record_asked_by), None)
            self._spacing = max(LEAST_SPACING, balances * _DAY / MOST_A_DAY)
            for kept in (self._recorded_at, self._owed, self._latest, self._forecasts):
                for place in [place for place in kept if place[0] not in names]:
                    del kept[place]

    def take(self, settings: Settings, readings: Sequence[Reading]) -> list[Reading]:
        """Take readings; return them with the forecasts that are known."""
        now = time.monotonic()
        for reading in readings:
            self._make_first_forecast(reading)
        with self._guard:
            for reading in readings:
                if reading.balance is None:
                    continue
                place = reading.profile, reading.scope
                self._latest[place] = reading
                before = self._recorded_at.get(place)
                if settings.record.value and (before is None or now - before >= self._spacing):
                    self._recorded_at[place] = now
                    self._owed[place] = reading
            return [each._replace(forecast=self._forecast_of(each)) for each in readings]

    def _make_first_forecast(self, reading: Reading) -> None:
        """Make the forecast of a balance that is read for the first time, if there is still time for that."""
        place = reading.profile, reading.scope
        with self._guard:
            path, seconds = self._path, self._first_left
            is_first = reading.balance is not None and place not in self._latest
        if not is_first or path is None or seconds <= 0 or not path.exists():
            return
        from apimart_cli.ledger.store import within

        began = time.monotonic()
        try:
            # In a thread, as a disk that hangs must not delay the page for ever.
            found = within(seconds, path, lambda: [_forecast(path, reading)])[0]
        except Exception:  # noqa: BLE001  # no history, or one that cannot be read now: `_look` tries again later
            found, seconds = None, 0.0
        with self._guard:
            self._first_left = seconds - (time.monotonic() - began)
            if found is not None:
                self._forecasts[place] = _Known(found, reading.key_id, reading.host, time.monotonic())

    def _forecast_of(self, reading: Reading) -> "Forecast | None":
        known = self._forecasts.get((reading.profile, reading.scope))
        if known is None or (known.key_id, known.host) != (reading.key_id, reading.host):
            return None
        return known.forecast if time.monotonic() - known.made_at < FORECAST_LASTS else None

    def start(self) -> None:
        """Begin. Where the system starts no thread, nothing is remembered."""
        start_thread(self._run, "remembering")

    def finish(self) -> None:
        """Write the readings that are waiting, and stop."""
        self._is_over.set()
        with suppress(Exception):
            self._write()

    def _run(self) -> None:
        looked_at: float | None = None
        while not self._is_over.wait(WRITE_EVERY if looked_at is not None else min(WRITE_EVERY, 5.0)):
            self._try_to_write()
            if looked_at is None or time.monotonic() - looked_at >= FORECAST_EVERY:
                looked_at = time.monotonic()
                # Without a history, or with one that cannot be read now, there is no forecast.
                with suppress(Exception):
                    self._look()

    def _try_to_write(self) -> None:
        try:
            self._write()
        except Exception as error:  # noqa: BLE001  # the ledger never changes what a command does
            if self._asked_by is not None:
                log_warning(*unrecorded(self._asked_by, error))
                # Warn only once.
                self._asked_by = None

    def _write(self) -> None:
        with self._guard:
            owed, self._owed = list(self._owed.values()), {}
            path = self._path
        for start in range(0, len(owed), BATCH):
            record(path, owed[start : start + BATCH], SOURCE, seconds=WRITE_SECONDS)

    def _look(self) -> None:
        """Make a forecast of each balance that is known and has a history, one after the other."""
        with self._guard:
            latest, path, settings = dict(self._latest), self._path, dict(self._settings)
        for place, reading in latest.items():
            began = time.monotonic()
            found = None if path is None or not path.exists() else _forecast(path, reading)
            if found is None or found.state is ForecastState.TOO_LITTLE:
                found = self._forecast_from_books(settings.get(place[0]), reading, found) or found
            with self._guard:
                self._forecasts.pop(place, None)
                if found is not None and place in self._latest:
                    self._forecasts[place] = _Known(found, reading.key_id, reading.host, time.monotonic())
            if self._is_over.wait(RESTS * (time.monotonic() - began)):
                return

    def _forecast_from_books(
        self, settings: Settings | None, reading: Reading, found: "Forecast | None"
    ) -> "Forecast | None":
        """Return the forecast that the gateway's own books give, if there is one."""
        if settings is None or not settings.books.value or settings.unit.value not in {None, "USD"}:
            return None
        from apimart_cli.readings.book_forecasts import BookForecasts, Use

        path = self._path
        scope = settings.scope._replace(value=ScopeChoice(reading.scope.value))
        books = BookForecasts([settings._replace(scope=scope)], Use.SHOWN, seconds=settings.timeout.value)
        samples = _none_kept if path is None or not path.exists() else partial(_samples_for_books, path, reading)
        books.start(samples)
        made = books.added_to(reading._replace(forecast=found), samples).forecast
        books.stop()
        return made


def _samples_for_books(path: Path, reading: Reading, _series: "Series", _seconds: float) -> "list[Sample]":
    assert reading.balance is not None, "only balances have forecasts"
    return list(_samples(path, reading, reading.balance))


def _none_kept(_series: "Series", _seconds: float) -> "list[Sample]":
    return []


def _forecast(path: Path, reading: Reading) -> "Forecast | None":
    """Return how long a balance lasts, from the ledger. Raises LedgerError if that cannot be read."""
    from apimart_cli.rules.forecast import forecast
    from apimart_cli.rules.spending import Sample

    balance = reading.balance
    if balance is None or reading.key_id is None:
        return None
    samples = list(_samples(path, reading, balance))
    if not samples:
        return None
    return forecast([*samples, Sample(balance.fetched_at, balance.remain_balance, balance.used_balance)])


def _samples(path: Path, reading: Reading, balance: Balance) -> "Iterator[Sample]":
    from apimart_cli.ledger.file import opened
    from apimart_cli.ledger.queries import samples
    from apimart_cli.ledger.recall import EVERY
    from apimart_cli.ledger.schema import Series
    from apimart_cli.rules.forecast import REACH

    series = Series(reading.key_id or "", reading.host, reading.scope)
    now = datetime.now(UTC)
    with opened(path, seconds=WRITE_SECONDS, create=False) as connection:
        # Up to this reading. If another command has read the balance since, the next forecast has that.
        yield from samples(connection, series, since=now - REACH, until=balance.fetched_at, every=EVERY)
