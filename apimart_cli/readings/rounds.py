"""Asking for many balances round after round: settings in, the readings of each round out; failures do not end it."""

import gc
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from apimart_cli.config.settings import Settings
from apimart_cli.errors import ApimartError, Trace, bug
from apimart_cli.readings.forecasts import record
from apimart_cli.readings.take import Taken, ask_with_forecasts, take_readings
from apimart_cli.rules.balance import Reading
from apimart_cli.rules.pace import LEAST_INTERVAL, Moment, Pace
from apimart_cli.words import Scope

if TYPE_CHECKING:
    from apimart_cli.rules.forecast import Forecast

SOURCE = "watch"
"""What the ledger calls the command that asked."""

RECORD_EVERY = 30.0
"""Least seconds between two rounds that are recorded."""

FORECAST_EVERY = 600.0
"""Least seconds between two forecasts: each reads a month of the ledger, and few minutes change little."""

FORECAST_PATIENCE = 1.0
"""Most seconds that a round waits for the ledger."""


class Clock(NamedTuple):
    """Two functions that return the time in seconds."""

    steady: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time

    def now(self) -> Moment:
        """Return this moment on both clocks."""
        return Moment(self.steady(), self.wall())


class Rounds:
    """Asks for all profiles that are due at once, each at its own pace once it fails."""

    def __init__(
        self,
        profiles: Sequence[Settings],
        *,
        interval: float,
        least: float = LEAST_INTERVAL,
        on_readings: Callable[[Sequence[Taken]], None] | None = None,
        trace: Trace | None = None,
        clock: Clock = Clock(),  # noqa: B008  # a record
        dice: Callable[[], float] = random.random,
    ) -> None:
        """Ask profiles of different names every `interval` seconds, and never twice within `least`.

        `on_readings` takes the readings of each round after they are shown: `tell` calls it.
        """
        self._profiles = profiles
        self._paces = {settings.profile.value: Pace(interval, dice=dice) for settings in profiles}
        self._least = least
        self._on_readings = on_readings
        self._trace = trace
        self._clock = clock
        self._asked_at: float | None = None
        self._recorded_at = self._forecast_at = clock.steady()
        self._forecasts: dict[tuple[str, Scope], Forecast] = {}
        self._owed: dict[str, Taken] = {}
        self._lock = threading.Lock()
        self.asked = 0
        """How many rounds there were."""

    def first(self) -> Sequence[Taken]:
        """Ask for the first time, with progress, warnings and failures on standard error, and record the readings.

        Raises AuthError if there is a single profile without a usable key.
        """
        at = self._clock.now()
        with take_readings(
            self._profiles, source=SOURCE, trace=self._trace, forecast_patience=FORECAST_PATIENCE
        ) as arriving:
            taken = list(arriving)
        self._note(at, taken)
        return taken

    def seconds_to_next(self) -> float:
        """Return in how many seconds the next round is due."""
        now = self._clock.now()
        rest = 0.0 if self._asked_at is None else self._asked_at + self._least - now.steady
        return max(rest, min(pace.seconds_left(now) for pace in self._paces.values()))

    def again(self) -> Sequence[Taken]:
        """Ask for the profiles that are due. Writes nothing, and may run in any thread."""
        at = self._clock.now()
        # Those that answer are asked together, though one of them may be due a little later.
        due = [each for each in self._profiles if self._paces[each.profile.value].is_due(at, early=self._least)]
        try:
            taken = self._ask(due, at) if due else []
        except Exception as error:  # noqa: BLE001  # a bug fails one round and does not end the others
            taken = [_failed(settings, bug(error)) for settings in due]
        self._note(at, taken)
        with self._lock:
            self._owed |= {each.settings.profile.value: each for each in taken if each.settings.record.value}
        # A round leaves cycles behind, and `__main__` makes collections too rare for a command that runs for weeks. The
        # cycles are young, so this one is cheap.
        gc.collect(1)
        return taken

    def record(self, *, is_last: bool = False) -> None:
        """Write what was read to the ledger, every RECORD_EVERY seconds and at the end. Nothing is raised."""
        with self._lock:
            now = self._clock.steady()
            if not self._owed or not (is_last or now - self._recorded_at >= RECORD_EVERY):
                return
            self._recorded_at = now
            owed, self._owed = list(self._owed.values()), {}
            # The first round has warned of a ledger that fails.
            with suppress(Exception):
                record(owed[0].settings.history.value, [reading for each in owed for reading in each.readings], SOURCE)

    def tell(self, taken: Sequence[Taken]) -> None:
        """Call `on_readings` with the readings of a round, if there is any. Nothing is raised."""
        if self._on_readings is not None and taken:
            with suppress(Exception):
                self._on_readings(taken)

    def _ask(self, due: Sequence[Settings], at: Moment) -> list[Taken]:
        patience: float | None = None
        if at.steady - self._forecast_at >= FORECAST_EVERY:
            self._forecast_at, patience = at.steady, FORECAST_PATIENCE
        targets = [target for settings in due for target in settings.targets()]
        with ask_with_forecasts(due, targets, patience, trace=self._trace) as arriving:
            return [self._group(settings, arriving.readings) for settings in due]

    def _group(self, settings: Settings, readings: Iterator[Reading]) -> Taken:
        asked = [
            reading._replace(
                low_below=settings.min.value,
                forecast=reading.forecast or self._forecasts.get((reading.profile, reading.scope)),
            )
            for reading in islice(readings, len(settings.scope.value.asked))
        ]
        return Taken(settings, settings.grouped(asked))

    def _note(self, at: Moment, taken: Sequence[Taken]) -> None:
        """Take note of which profiles were answered, and so of when each is asked next."""
        self.asked += 1
        self._asked_at = at.steady
        now = self._clock.now()
        for each in taken:
            parts = [part for reading in each.readings for part in reading.parts or (reading,)]
            self._paces[each.settings.profile.value].take(parts, asked=at, now=now)
            self._forecasts |= {(part.profile, part.scope): part.forecast for part in parts if part.forecast}


def _failed(settings: Settings, error: ApimartError) -> Taken:
    asked = [
        Reading(target.profile, target.scope, target.unit, error, None, target.host) for target in settings.targets()
    ]
    return Taken(settings, settings.grouped(asked))
