"""Forecasts from the gateway's books, where the ledger has too little of its own: asked while the balances are.

A by-product: whatever becomes of it, the readings stay the same, and every exit code but that of `--min-runway`.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta, tzinfo
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from apimart_cli.config.settings import Settings
from apimart_cli.keys.key import GivenKey
from apimart_cli.readings.forecasts import floor_at
from apimart_cli.rules.balance import Reading
from apimart_cli.target import Target
from apimart_cli.words import ForecastState, Scope

if TYPE_CHECKING:
    from datetime import date

    from apimart_cli.gateway.books import Query
    from apimart_cli.ledger.books import Kept
    from apimart_cli.ledger.file import Connection
    from apimart_cli.ledger.schema import Series
    from apimart_cli.rules.books import BooksReading, Usage
    from apimart_cli.rules.spending import Sample

UNIT = "USD"
"""What the books count in."""

DAYS = 28
"""Whole days that are asked for, and today."""

SHOWN_SECONDS = 0.5
"""Most seconds in all for which the books hold up answers that have arrived, where nothing depends on them."""

LEDGER_SECONDS = 0.25
"""Most seconds for the ledger, each time."""

_ASKED = (None, ForecastState.TOO_LITTLE)
"""States of a forecast from the ledger with which the books are asked."""

Samples = Callable[["Series", float], "list[Sample]"]
"""Gives what the ledger has of a series, within so many seconds."""


class Use(Enum):
    """What a forecast is for."""

    SHOWN = "shown"
    """A balance that shows by its credits that it is in dollars is enough."""
    GATE = "gate"
    """Only `unit = "USD"` is: a forecast in another unit would be wrong by any factor, and pass."""


class _Place(NamedTuple):
    """One balance that may have a forecast from the books."""

    settings: Settings
    target: Target


class BookForecasts:
    """What the books of some balances say, each of them there as soon as it is known."""

    def __init__(self, profiles: Sequence[Settings], use: Use, *, seconds: float = SHOWN_SECONDS) -> None:
        """Take the profiles whose readings are to have forecasts; those that want no books are left out.

        What is shown is held up for so many `seconds` at most, in all.
        """
        self._use = use
        self._places = {
            (target.profile, target.scope): _Place(settings, target)
            for settings in profiles
            if settings.books.value and _may_be_dollars(settings, use)
            for target in settings.targets()
        }
        self._changed = threading.Condition()
        self._found: dict[tuple[str, Scope], Kept | None] = {}
        self._asked: set[tuple[str, Scope]] = set()
        self._held_up_left = seconds
        self._began = 0.0
        self._is_over = False
        self._writing = 0
        self._zone: tuple[str, tzinfo] | None = None
        self.reasons: dict[tuple[str, Scope], str] = {}
        """Why the books of a balance tell no forecast, where they were asked for one."""

    def start(self, samples: Samples) -> None:
        """Begin to ask for the balances whose key is known; the others wait for it. Nothing is raised."""
        self._began = time.monotonic()
        if not self._places:
            return
        known = [place for place in self._places.values() if isinstance(place.target.api_key, GivenKey)]
        self._asked |= {(place.target.profile, place.target.scope) for place in known}
        self._start(known, samples)

    def stop(self) -> None:
        """Wait for nothing any more, but for a moment for what is being written: the next process need not ask then."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._writing, timeout=LEDGER_SECONDS)

    def added_to(self, reading: Reading, samples: Samples) -> Reading:
        """Return the reading with a forecast from the books, where it has none of its own and they tell one."""
        place = reading.profile, reading.scope
        state = None if reading.forecast is None else reading.forecast.state
        balance, key_id = reading.balance, reading.key_id
        if balance is None or key_id is None or state not in _ASKED or place not in self._places:
            return reading
        from apimart_cli.rules.books import are_dollars

        if reading.unit is None and not are_dollars(balance):
            self.reasons[place] = "nothing shows that the balance is in dollars"
            return reading
        if place not in self._asked:
            # Its key was not known before.
            self._asked.add(place)
            self._start([self._places[place]], samples)
        kept = self._wait_for(place)
        if kept is None:
            self.reasons.setdefault(place, "the gateway's books did not answer in time")
            return reading
        from apimart_cli.rules.forecast import forecast_from_books

        floor = floor_at(self._places[place].settings.history.value, reading)
        told = forecast_from_books(kept.days[:-1], kept.days[-1], balance.remain_balance, floor=floor)
        if told.state is ForecastState.TOO_LITTLE:
            self.reasons[place] = f"the gateway's books know of {told.days_seen} of 3 days"
            return reading
        return reading._replace(forecast=told)

    def _wait_for(self, place: tuple[str, Scope]) -> "Kept | None":
        """Wait for the books of one balance: for as long as its question may take, or a moment where it is shown."""
        now = time.monotonic()
        left = self._began + self._places[place].settings.timeout.value - now
        seconds = left if self._use is Use.GATE else min(left, self._held_up_left)
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or place in self._found, timeout=max(0.0, seconds))
            self._held_up_left -= time.monotonic() - now
            return self._found.get(place)

    def _start(self, places: Sequence[_Place], samples: Samples) -> None:
        def run() -> None:
            # A bug must not be told in the middle of an answer that does not need it.
            with suppress(Exception):
                self._ask(places, samples)
            for place in places:
                self._settle((place.target.profile, place.target.scope), None)

        if places:
            try:
                threading.Thread(target=run, name="apimart-books", daemon=True).start()
            except RuntimeError:
                for place in places:
                    self._settle((place.target.profile, place.target.scope), None)

    def _settle(self, place: tuple[str, Scope], kept: "Kept | None") -> None:
        with self._changed:
            self._found.setdefault(place, kept)
            self._changed.notify_all()

    def _ask(self, places: Sequence[_Place], samples: Samples) -> None:
        from apimart_cli.gateway.books import ask_books

        due = []
        for place in places:
            query = self._query_unless_known(place, samples)
            if query is not None:
                due.append((place, query))
        if not due or self._is_over:
            return
        with ask_books([(place.target, query) for place, query in due]) as readings:
            for (place, _), reading in zip(due, readings, strict=True):
                self._take(place, reading, samples)

    def _query_unless_known(self, place: _Place, samples: Samples) -> "Query | None":
        """Return what to ask; None where the ledger knows enough, or what the books said, or that they failed."""
        from apimart_cli.ledger.schema import Series

        target = place.target
        name = target.profile, target.scope
        series = Series(target.api_key.key_id or "", target.host, target.scope)
        if has_days(_samples_of(series, samples)):
            self._settle(name, None)
            return None
        query = question(target.scope, *self._zone_of_machine())
        looked = _look(place.settings, series, query.tz)
        if looked.kept is not None and looked.kept.day == _today(query.zone):
            self._settle(name, self._checked(name, looked.kept, _samples_of(series, samples), query.zone))
            return None
        if looked.failure is not None:
            self.reasons[name] = f"the gateway's books could not be asked a moment ago ({looked.failure})"
            self._settle(name, None)
            return None
        return query

    def _take(self, place: _Place, reading: "BooksReading", samples: Samples) -> None:
        from apimart_cli.ledger.schema import Series

        name = place.target.profile, place.target.scope
        tz, zone = self._zone_of_machine()
        if reading.usage is None or reading.key_id is None:
            if reading.error is not None:
                self.reasons[name] = reading.error.message
            with self._written():
                self._settle(name, None)
                _note_failure(place.settings, reading, tz)
            return
        kept = kept_of(reading.usage, zone)
        series = Series(reading.key_id, reading.host, reading.scope)
        with self._written():
            self._settle(name, self._checked(name, kept, _samples_of(series, samples), zone))
            _keep(place.settings, series, tz, kept)

    @contextmanager
    def _written(self) -> Iterator[None]:
        """Have the end wait a moment for what the block writes."""
        with self._changed:
            self._writing += 1
        try:
            yield
        finally:
            with self._changed:
                self._writing -= 1
                self._changed.notify_all()

    def _checked(
        self, name: tuple[str, Scope], kept: "Kept", samples: "Sequence[Sample]", zone: tzinfo
    ) -> "Kept | None":
        """Return what the books say, unless what was read contradicts it."""
        from apimart_cli.rules.books import agree

        spends = {kept.day - timedelta(days=ago): spent for ago, spent in enumerate(reversed(kept.days))}
        if agree(samples, spends, zone):
            return kept
        self.reasons[name] = "the gateway's books and what was read differ by more than a factor of two"
        return None

    def _zone_of_machine(self) -> tuple[str, tzinfo]:
        if self._zone is None:
            self._zone = zone_of_machine()
        return self._zone


def gate_books(profiles: Sequence[Settings]) -> BookForecasts | None:
    """Return what asks the books where a verdict depends on forecasts; None where no profile allows it."""
    wanted = [profile for profile in profiles if profile.books.value and _may_be_dollars(profile, Use.GATE)]
    return BookForecasts(wanted, Use.GATE) if wanted else None


def zone_of_machine() -> "tuple[str, tzinfo]":
    """Return the machine's time zone; UTC where it has no name: days are days in any zone."""
    from apimart_cli.errors import UsageError
    from apimart_cli.zones import local_zone, zone_of

    try:
        name = local_zone()
    except UsageError:
        name = "UTC"
    return name, zone_of(name, "the time zone")


def question(scope: Scope, tz: str, zone: tzinfo) -> "Query":
    """Return the question for the spend of DAYS whole days and today, as far as there are books."""
    from apimart_cli.gateway.books import Query
    from apimart_cli.rules.books import last_days
    from apimart_cli.words import UsageBy

    return Query(last_days(DAYS + 1, datetime.now(UTC), zone), tz, zone, UsageBy.DAY, scope)


def kept_of(usage: "Usage", zone: tzinfo) -> "Kept":
    """Return the spend of each day as the ledger keeps it."""
    from apimart_cli.ledger.books import Kept
    from apimart_cli.rules.books import every_day, local_day

    spends = [row.spent for row in every_day(usage, zone)]
    return Kept(usage.fetched_at.timestamp(), local_day(usage.until - timedelta(seconds=1), zone), spends)


def has_days(samples: "Sequence[Sample]") -> bool:
    """Tell whether the ledger has enough days of its own for a forecast."""
    from apimart_cli.rules.forecast import LEAST_BLOCKS
    from apimart_cli.rules.spending import DAY, segments

    if not samples:
        return False
    last = segments(samples)[-1]
    return last[-1].at - last[0].at >= LEAST_BLOCKS * DAY


class _Looked(NamedTuple):
    """What the ledger knows of the books."""

    kept: "Kept | None" = None
    failure: str | None = None


def _look(settings: Settings, series: "Series", tz: str) -> _Looked:
    path = settings.history.value
    if path is None or not os.path.lexists(path):
        return _Looked()
    from apimart_cli.ledger.books import failed_with, kept
    from apimart_cli.ledger.file import opened

    now = time.time()
    try:
        with opened(path, seconds=LEDGER_SECONDS, create=False) as connection:
            return _Looked(kept(connection, series, tz, now), failed_with(connection, series, tz, now))
    except Exception:  # noqa: BLE001  # it is asked then
        return _Looked()


def _keep(settings: Settings, series: "Series", tz: str, kept: "Kept") -> None:
    from apimart_cli.ledger.books import keep

    _write(settings, lambda connection: keep(connection, series, tz, kept))


def _note_failure(settings: Settings, reading: "BooksReading", tz: str) -> None:
    from apimart_cli.errors import UnavailableError
    from apimart_cli.ledger.books import note_failure
    from apimart_cli.ledger.schema import Series

    error, key_id = reading.error, reading.key_id
    if error is None or key_id is None:
        return
    series = Series(key_id, reading.host, reading.scope)
    wait = error.retry_after if isinstance(error, UnavailableError) else None
    _write(
        settings,
        lambda connection: note_failure(connection, series, tz, time.time(), error.code, retry_after=wait),
    )


def _write(settings: Settings, work: "Callable[[Connection], None]") -> None:
    """Write to the ledger, where readings are recorded. Nothing is raised, and nobody waits for it."""
    path: Path | None = settings.history.value
    if path is None or not settings.record.value:
        return
    from apimart_cli.ledger.file import opened

    with suppress(Exception), opened(path, seconds=LEDGER_SECONDS) as connection:
        work(connection)


def _samples_of(series: "Series", samples: Samples) -> "list[Sample]":
    try:
        return samples(series, LEDGER_SECONDS)
    except Exception:  # noqa: BLE001  # the ledger cannot be read: whoever needs it says so
        return []


def _today(zone: tzinfo) -> "date":
    from apimart_cli.rules.books import local_day

    return local_day(datetime.now(UTC), zone)


def _may_be_dollars(settings: Settings, use: Use) -> bool:
    """Tell whether the unit that is configured allows it: USD does, any other does not, none may be shown."""
    unit = settings.unit.value
    return unit == UNIT or (unit is None and use is Use.SHOWN)
