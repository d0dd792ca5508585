"""Forecasts from the gateway's books, if the ledger has too little of its own. They are asked beside the balances.

A by-product: if the books fail, the readings stay the same, and so does every exit code but that of `--min-runway`.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta, tzinfo
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from apimart_cli.config.settings import Settings
from apimart_cli.keys.key import GivenKey
from apimart_cli.processes.signals import start_thread
from apimart_cli.readings.book_memory import (
    LEDGER_SECONDS,
    Samples,
    has_days,
    keep_answer,
    keep_failure,
    kept_of,
    look_at_books,
    question,
    samples_of,
    today,
    zone_of_machine,
)
from apimart_cli.readings.forecasts import floor_at
from apimart_cli.rules.balance import Reading
from apimart_cli.target import Target
from apimart_cli.words import ForecastState, Scope

if TYPE_CHECKING:
    from apimart_cli.gateway.books import Query
    from apimart_cli.ledger.books import KeptBooks
    from apimart_cli.rules.books import BooksReading
    from apimart_cli.rules.spending import Sample

SHOWN_SECONDS = 0.5
"""Most seconds, in all, for which the books hold up answers that have arrived and do not depend on them."""

_ASKED = (None, ForecastState.TOO_LITTLE)
"""States of a forecast from the ledger with which the books are asked."""


class Use(Enum):
    """What a forecast is for."""

    SHOWN = "shown"
    """Enough for a balance whose credits show that it is in dollars."""
    GATE = "gate"
    """Needs `unit = "USD"`: a forecast in another unit could be wrong by any factor, and pass."""


class _Place(NamedTuple):
    """One balance that may have a forecast from the books."""

    settings: Settings
    target: Target


class BookForecasts:
    """What the books of some balances say. It is for one round of readings."""

    def __init__(self, profiles: Sequence[Settings], use: Use, *, seconds: float = SHOWN_SECONDS) -> None:
        """Take the profiles whose readings are to have forecasts. Those that allow no books are left out.

        Answers that are only shown are held up for `seconds` at most, in all.
        """
        self._use = use
        self._places = {
            (target.profile, target.scope): _Place(settings, target)
            for settings in profiles
            if settings.books.value and _may_be_dollars(settings, use)
            for target in settings.targets()
        }
        self._changed = threading.Condition()
        self._found: dict[tuple[str, Scope], KeptBooks | None] = {}
        self._asked: set[tuple[str, Scope]] = set()
        self._held_up_left = seconds
        self._began = 0.0
        self._is_over = False
        self._writing = 0
        self._zone: tuple[str, tzinfo] | None = None
        self._reasons: dict[tuple[str, Scope], str] = {}

    def start(self, samples: Samples) -> None:
        """Begin to ask about the balances whose key is known; the others are asked about later. Nothing is raised."""
        self._began = time.monotonic()
        if not self._places:
            return
        known = [place for place in self._places.values() if isinstance(place.target.api_key, GivenKey)]
        self._asked |= {(place.target.profile, place.target.scope) for place in known}
        self._start(known, samples)

    def stop(self) -> None:
        """Stop. Wait a moment for an answer that is being written, as it spares the next process the question."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._writing, timeout=LEDGER_SECONDS)

    def added_to(self, reading: Reading, samples: Samples) -> Reading:
        """Return the reading with a forecast from the books, if the ledger gave it none and they tell one."""
        place = reading.profile, reading.scope
        state = None if reading.forecast is None else reading.forecast.state
        balance, key_id = reading.balance, reading.key_id
        if balance is None or key_id is None or state not in _ASKED or place not in self._places:
            return reading
        from apimart_cli.rules.books import are_dollars

        shown = are_dollars(balance)
        if shown is False or (shown is None and reading.unit is None):
            self._reasons[place] = (
                "nothing shows that the balance is in dollars"
                if shown is None
                else "the balance's credits show that it is not in dollars"
            )
            return reading
        if place not in self._asked:
            # Its key was not known at the start.
            self._asked.add(place)
            self._start([self._places[place]], samples)
        kept = self._wait_for(place)
        if kept is None:
            self._reasons.setdefault(place, "the gateway's books did not answer in time")
            return reading
        from apimart_cli.rules.book_forecast import forecast_from_books

        floor = floor_at(self._places[place].settings.history.value, reading)
        told = forecast_from_books(kept.days[:-1], kept.days[-1], balance.remain_balance, floor=floor)
        if told.state is ForecastState.TOO_LITTLE:
            self._reasons[place] = f"the gateway's books know of {told.days_seen} of 3 days"
            return reading
        return reading._replace(forecast=told)

    def why_not(self, reading: Reading) -> str | None:
        """Return why the books tell no forecast of a balance; None if they were not asked for one."""
        return self._reasons.get((reading.profile, reading.scope))

    def _wait_for(self, place: tuple[str, Scope]) -> "KeptBooks | None":
        """Wait for the books of one balance: as long as its question may take, or a moment if it is only shown."""
        now = time.monotonic()
        left = self._began + self._places[place].settings.timeout.value - now
        seconds = left if self._use is Use.GATE else min(left, self._held_up_left)
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or place in self._found, timeout=max(0.0, seconds))
            self._held_up_left -= time.monotonic() - now
            return self._found.get(place)

    def _start(self, places: Sequence[_Place], samples: Samples) -> None:
        def run() -> None:
            # A bug must not break an answer that does not depend on the books.
            with suppress(Exception):
                self._ask(places, samples)
            for place in places:
                self._settle((place.target.profile, place.target.scope), None)

        if places and start_thread(run, "books") is None:
            for place in places:
                self._settle((place.target.profile, place.target.scope), None)

    def _settle(self, place: tuple[str, Scope], kept: "KeptBooks | None") -> None:
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
        """Return what to ask; None if the ledger has enough days, the answer of the books, or their failure."""
        from apimart_cli.ledger.schema import Series

        target = place.target
        name = target.profile, target.scope
        series = Series(target.api_key.key_id or "", target.host, target.scope)
        if has_days(samples_of(series, samples)):
            self._settle(name, None)
            return None
        query = question(target.scope, *self._zone_of_machine())
        looked = look_at_books(place.settings, series, query.tz)
        if looked.kept is not None and looked.kept.day == today(query.zone):
            self._settle(name, self._checked(name, looked.kept, samples_of(series, samples), query.zone))
            return None
        if looked.failure is not None:
            self._reasons[name] = f"the gateway's books could not be asked a moment ago ({looked.failure})"
            self._settle(name, None)
            return None
        return query

    def _take(self, place: _Place, reading: "BooksReading", samples: Samples) -> None:
        from apimart_cli.ledger.schema import Series

        name = place.target.profile, place.target.scope
        tz, zone = self._zone_of_machine()
        if reading.usage is None or reading.key_id is None:
            if reading.error is not None:
                self._reasons[name] = reading.error.message
            with self._written():
                self._settle(name, None)
                keep_failure(place.settings, reading, tz)
            return
        from apimart_cli.rules.books import MOST_SKEW

        if reading.usage.skew is not None and abs(reading.usage.skew) > MOST_SKEW:
            self._reasons[name] = "the gateway's clock and that of this machine differ by more than five minutes"
            with self._written():
                self._settle(name, None)
            return
        kept = kept_of(reading.usage, zone)
        series = Series(reading.key_id, reading.host, reading.scope)
        with self._written():
            self._settle(name, self._checked(name, kept, samples_of(series, samples), zone))
            keep_answer(place.settings, series, tz, kept)

    @contextmanager
    def _written(self) -> Iterator[None]:
        """Make `stop` wait a moment for what the block writes."""
        with self._changed:
            self._writing += 1
        try:
            yield
        finally:
            with self._changed:
                self._writing -= 1
                self._changed.notify_all()

    def _checked(
        self, name: tuple[str, Scope], kept: "KeptBooks", samples: "Sequence[Sample]", zone: tzinfo
    ) -> "KeptBooks | None":
        """Return what the books say; None if the samples of the ledger contradict it."""
        from apimart_cli.rules.books import agree

        spends = {kept.day - timedelta(days=ago): spent for ago, spent in enumerate(reversed(kept.days))}
        if agree(samples, spends, zone):
            return kept
        self._reasons[name] = "the gateway's books and what was read differ by more than a factor of two"
        return None

    def _zone_of_machine(self) -> tuple[str, tzinfo]:
        if self._zone is None:
            self._zone = zone_of_machine()
        return self._zone


def gate_books(profiles: Sequence[Settings]) -> BookForecasts | None:
    """Return the book forecasts on which a verdict may depend; None if no profile allows them."""
    return _books(profiles, Use.GATE)


def shown_books(profiles: Sequence[Settings]) -> BookForecasts | None:
    """Return the book forecasts for balances that are only shown; None if no profile allows them."""
    return _books(profiles, Use.SHOWN)


def _books(profiles: Sequence[Settings], use: Use) -> BookForecasts | None:
    allowed = [profile for profile in profiles if profile.books.value and _may_be_dollars(profile, use)]
    return BookForecasts(allowed, use) if allowed else None


def _may_be_dollars(settings: Settings, use: Use) -> bool:
    """Tell whether the configured unit allows book forecasts: USD does, no unit does if they are only shown."""
    from apimart_cli.rules.books import UNIT

    unit = settings.unit.value
    return unit == UNIT or (unit is None and use is Use.SHOWN)
