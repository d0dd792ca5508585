"""The trend of one balance while it is watched: what changed, what was spent, and how fast. Pure: no I/O, no clock.

Amounts are in the gateway's unit. Spend is the rise of `used`, as everywhere.
"""

from collections import deque
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

from apimart_cli.errors import ApimartError
from apimart_cli.rules.balance import Reading
from apimart_cli.rules.gate import Thresholds, judge_reading
from apimart_cli.rules.spending import EXACT, Sample, TopUp, segments, top_ups, used_at
from apimart_cli.words import Outcome


class Change(StrEnum):
    """What is new in a reading while a balance is watched."""

    START = "start"
    """It is the first one."""
    CHANGED = "changed"
    """The amount that is left or used is another one."""
    TOP_UP = "top_up"
    """There is more in all, by two readings that agree."""
    CUT = "cut"
    """There is less in all."""
    FAILED = "failed"
    RECOVERED = "recovered"
    """It succeeded, and the one before it failed."""
    BELOW = "below"
    """Less is left than `min`."""
    ENOUGH = "enough"
    """No longer less than `min`."""


BARS = 20
"""How many bars show the latest spending, each for an equally long time."""

LEAST_REACH = timedelta(minutes=10)
"""Least time over which a rate is taken, as charges may be booked in batches."""

MOST_SAMPLES = 256
"""Most samples that are kept of one balance."""

_HOUR = timedelta(hours=1)
_MICROSECOND = timedelta(microseconds=1)


class Bar(NamedTuple):
    """The spending of one of the equally long times."""

    spent: Decimal
    has_top_up: bool = False


class View(NamedTuple):
    """What is known of one balance."""

    reading: Reading
    """The last one that succeeded; the last failed one if none has."""
    failure: ApimartError | None = None
    """Why the last question was not answered; None if it was."""
    is_below: bool = False
    """Whether less is left than the profile's `min`."""
    spent: Decimal | None = None
    """Since it was first read."""
    spent_per_hour: Decimal | None = None
    """The present rate; None until there are two readings."""
    hours_left: Decimal | None = None
    """How long the rest lasts at that rate; None if it has no end."""
    bars: tuple[Bar, ...] = ()
    """The latest spending, the oldest bar first."""
    top_up: TopUp | None = None
    """The latest top-up or cut."""


class Trend:
    """One balance over all its readings since the start."""

    def __init__(self, bar: timedelta) -> None:
        """Show the spending in times as long as `bar`."""
        self._bar = bar
        self._reach = max(bar * BARS, LEAST_REACH)
        self._series: dict[str, _Series] = {}
        self._lowest: Decimal | None = None
        self._top_up: TopUp | None = None
        self._last: Reading | None = None
        self._failed: Reading | None = None
        self.is_below = False
        """Whether less is left than its `min`, by the last reading that showed it."""

    @property
    def was_read(self) -> bool:
        """Whether any question was answered."""
        return self._last is not None

    def take(self, reading: Reading) -> tuple[Change, ...]:
        """Take note of a reading, and return what changed with it."""
        is_first = self._last is None and self._failed is None
        changes = [Change.START] if is_first else []
        changes += self._failure(reading) if reading.balance is None else self._balance(reading)
        is_below = self._judged(reading)
        if is_below is not None and is_below is not self.is_below:
            changes.append(Change.BELOW if is_below else Change.ENOUGH)
            self.is_below = is_below
        return tuple(changes)

    def _failure(self, reading: Reading) -> list[Change]:
        before, self._failed = self._failed, reading
        is_same = before is not None and _words(before) == _words(reading)
        return [] if is_same else [Change.FAILED]

    def _balance(self, reading: Reading) -> list[Change]:
        assert reading.balance is not None, "the caller has looked"
        changes: list[Change] = []
        if self._failed is not None:
            changes.append(Change.RECOVERED)
            self._failed = None
        last = self._last.balance if self._last is not None else None
        new = reading.balance
        if last is not None and (last.remain_balance, last.used_balance) != (new.remain_balance, new.used_balance):
            changes.append(Change.CHANGED)
        self._last = reading
        used = new.used_balance
        # Money that is given back for a charge from before the start must not hide what is spent now.
        self._lowest = used if self._lowest is None else min(self._lowest, used)
        for part in reading.parts or (reading,):
            if part.balance is None:
                continue
            series = self._series.setdefault(part.scope, _Series(self._reach))
            sample = Sample(part.balance.fetched_at, part.balance.remain_balance, part.balance.used_balance)
            top_up = series.add(sample)
            if top_up is not None:
                self._top_up = top_up
                changes.append(Change.TOP_UP if top_up.amount > 0 else Change.CUT)
        return changes

    def _judged(self, reading: Reading) -> bool | None:
        """Tell whether a reading is below its `min`; None if that is not known."""
        outcome = judge_reading(reading, Thresholds(min=reading.low_below))
        return None if outcome is Outcome.ERROR else outcome is Outcome.BELOW

    def view(self) -> View:
        """Return what is known. There was a reading before."""
        shown = self._last or self._failed
        assert shown is not None, "there is something to show"
        failure = None if self._failed is None else self._failed.error
        if self._last is None or self._last.balance is None or self._lowest is None:
            return View(shown, failure, self.is_below)
        of_key = next(iter(self._series.values()))
        with localcontext(EXACT):
            spent = self._last.balance.used_balance - self._lowest
        rate, left = of_key.spent_per_hour(), self._hours_left()
        bars = of_key.bars(self._bar, None if self._top_up is None else self._top_up.at)
        return View(shown, failure, self.is_below, spent, rate, left, bars, self._top_up)

    def _hours_left(self) -> Decimal | None:
        """Return how long the rest lasts at the present rate; for what can be spent, the part that ends first."""
        ends = [series.hours_left() for series in self._series.values()]
        return min((end for end in ends if end is not None), default=None)


def _words(reading: Reading) -> tuple[str, str]:
    error = reading.error
    assert error is not None, "only failures are compared"
    return error.code, error.message


class _Series:
    """The samples of one key or account, as far back as they are needed."""

    def __init__(self, reach: timedelta) -> None:
        self._reach = reach
        self._samples: deque[Sample] = deque(maxlen=MOST_SAMPLES)
        self._compared: list[Sample] = []

    def add(self, sample: Sample) -> TopUp | None:
        """Add a sample; return the top-up, or the cut, that it confirms.

        Two samples have to agree on a change: see `top_ups`. Until they do, the sample before the change is kept.

            left and used    10    60    60       60
            compared with    -     10    10 60    60
            returned         -     -     +50      -
        """
        self._keep(sample)
        found = top_ups([*self._compared, sample])
        level = self._compared[:1]
        # If the sample came twice, would that be a change?
        is_possible = not found and bool(top_ups([*level, sample, sample]))
        self._compared = [*level, sample] if is_possible else [sample]
        return found[-1] if found else None

    def _keep(self, sample: Sample) -> None:
        self._samples.append(sample)
        # One sample before `reach` stays, or the beginning of that time would not be covered.
        while len(self._samples) > 2 and self._samples[1].at <= sample.at - self._reach:
            self._samples.popleft()

    def spent_per_hour(self) -> Decimal | None:
        segment = self._segment()
        hours = segment[-1].at - segment[0].at
        if not hours:
            return None
        with localcontext(EXACT):
            spent = segment[-1].used - segment[0].used
            return max(Decimal(0), spent * (_HOUR // _MICROSECOND) / (hours // _MICROSECOND))

    def hours_left(self) -> Decimal | None:
        remain, rate = self._samples[-1].remain, self.spent_per_hour()
        if remain is None or not rate:
            return None
        with localcontext(EXACT):
            return max(Decimal(0), remain / rate)

    def bars(self, bar: timedelta, top_up: datetime | None) -> tuple[Bar, ...]:
        """Return the spending in times of that length, the last of which ends with the last sample."""
        segment = self._segment()
        start, end = segment[0].at, segment[-1].at
        count = min(BARS, (end - start) // bar)
        moments = [end - number * bar for number in range(count, -1, -1)]
        levels = [used_at(segment, moment) for moment in moments]
        with localcontext(EXACT):
            return tuple(
                Bar(max(Decimal(0), to - since), top_up is not None and begun < top_up <= ended)
                for (begun, ended), (since, to) in zip(pairwise(moments), pairwise(levels), strict=True)
            )

    def _segment(self) -> list[Sample]:
        return segments(list(self._samples))[-1]
