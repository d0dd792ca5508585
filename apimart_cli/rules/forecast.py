"""The forecast: samples of one key, host and scope in, how long the rest will last out. Pure: no I/O, no clock.

`docs/forecast.md` explains it, `tests/benchmarks/forecast.py` measures how good it is, on made-up users. `overview`
adds to it what was spent and topped up on each day.
"""

from collections.abc import Container, Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Context, Decimal, localcontext
from itertools import pairwise
from typing import NamedTuple

from apimart_cli.rules.spending import (
    DAY,
    EXACT,
    LONGEST_GAP,
    DaySpend,
    Sample,
    TopUp,
    segments,
    spends_by_day,
    top_ups,
    used_at,
)
from apimart_cli.words import ForecastState, Scope

WHOLE_WEEKS = (28, 21, 14, 7)
"""How many blocks to look at, the largest number first: whole weeks, as weekends differ from other days."""

LEAST_BLOCKS = 3
"""Fewer blocks than this give no forecast."""

LEAST_IDLE_DAYS = 3
"""Readings on fewer days than this are not enough to call a key idle. Otherwise one reading under a wrong clock and one
under the right clock some minutes later would look like days in which nothing was spent."""

ROUGH_BELOW = 7
"""Fewer blocks with a sample than this give a rough forecast."""

REACH = DAY * WHOLE_WEEKS[0] + LONGEST_GAP
"""How far back from the last sample the others matter: as far as the first block, and the sample before it."""

WIDENING = Decimal("1.25")
"""How much wider the range is than for days that do not depend on each other: busy days follow each other. Chosen with
the benchmark, in which the true end then lies inside the range for more than 8 of 10 users."""

T_90 = {
    blocks: Decimal(text)
    for blocks, text in (
        (3, "1.8856"),
        (4, "1.6377"),
        (5, "1.5332"),
        (6, "1.4759"),
        (7, "1.4398"),
        (14, "1.3502"),
        (21, "1.3253"),
        (28, "1.3137"),
    )
}
"""The 0.9 quantile of Student's t for so many blocks, with one degree of freedom less. From the usual table."""

PRECISE = Context(prec=60)
"""Enough digits for divisions and roots: far more than are shown."""


class Forecast(NamedTuple):
    """How long the rest will last, from the last sample on. Fields are None if they are not known."""

    state: ForecastState
    days_seen: Decimal
    """How many days it is computed from: whole ones, unless they are too few."""
    spent_per_day: Decimal | None = None
    """In the gateway's unit; never negative."""
    days_left: Decimal | None = None
    days_left_low: Decimal | None = None
    """About 9 of 10 users have at least this."""
    days_left_high: Decimal | None = None
    """None although there is a `days_left_low`: the days differ too much for an upper end."""
    is_from_books: bool = False
    """Whether it comes from the gateway's own books, and not from readings of ours."""


UNREADABLE = Forecast(ForecastState.UNREADABLE, Decimal(0))
"""Stands for a forecast if there is a history that cannot be read."""


def forecast(samples: Sequence[Sample], *, floor: Decimal = Decimal(0)) -> Forecast | None:  # a number
    """Return how long the rest will last, from the samples of one series in the order of their time; None without any.

    What is left is what the last sample says, without `floor`, below which no call is answered. What is spent comes
    from blocks of 24 hours, each with a day and a night, that end with the last sample.
    """
    if not samples:
        return None
    segment = segments(samples)[-1]
    spends = daily_spends(segment)
    with localcontext(PRECISE):
        seen = Decimal(len(spends)) if spends else _in_days(segment[-1].at - segment[0].at)
        rate = max(Decimal(sum(spends)) / len(spends), Decimal(0)) if spends else None
        remain = left_above(samples[-1].remain, floor)
        if remain is None:
            return Forecast(ForecastState.UNLIMITED, seen, rate)
        if remain <= 0:
            return Forecast(ForecastState.EMPTY, seen, rate, Decimal(0), Decimal(0), Decimal(0))
        if rate is None:
            return Forecast(ForecastState.TOO_LITTLE, seen)
        if max(spends) <= 0:
            # One day more than the blocks: the reading with which the first block begins lies there.
            days = len(days_with_samples(segment, len(spends) + 1))
            if days < LEAST_IDLE_DAYS:
                return Forecast(ForecastState.TOO_LITTLE, Decimal(days))
            return Forecast(ForecastState.IDLE, seen, rate)
        known = days_with_samples(segment, len(spends))
        state = ForecastState.ROUGH if len(known) < ROUGH_BELOW else ForecastState.OK
        return Forecast(state, seen, rate, *ends(remain, _as_seen(spends, known), rate))


def left_above(remain: Decimal | None, floor: Decimal) -> Decimal | None:
    """Return what can be spent of what is left; None is unlimited."""
    if remain is None or not floor:
        return remain
    with localcontext(EXACT):
        return remain - floor


def daily_spends(segment: Sequence[Sample]) -> list[Decimal]:
    """Return the spend of each block of 24 hours, the last of which ends with the last sample.

    Return nothing if there are fewer than LEAST_BLOCKS.
    """
    end = segment[-1].at
    whole = (end - segment[0].at) // DAY
    blocks = next((weeks for weeks in WHOLE_WEEKS if weeks <= whole), whole)
    if blocks < LEAST_BLOCKS:
        return []
    levels = [used_at(segment, end - number * DAY) for number in range(blocks, -1, -1)]
    with localcontext(EXACT):
        return [after - before for before, after in pairwise(levels)]


def days_with_samples(segment: Sequence[Sample], blocks: int) -> set[int]:
    """Return which of so many blocks have a sample of their own, as their numbers: the last one is 0."""
    end = segment[-1].at
    return {age for age in ((end - sample.at) // DAY for sample in segment) if age < blocks}


def lasts_at_least(forecast: Forecast | None, duration: timedelta) -> bool | None:
    """Tell whether the rest surely lasts that long, by the low end of its forecast; None if there is no forecast.

    An idle or unlimited balance has no end, an empty one has ended. The comparison is exact, without rounding.
    """
    if forecast is None or forecast.state in {ForecastState.TOO_LITTLE, ForecastState.UNREADABLE}:
        return None
    if forecast.state is ForecastState.EMPTY or forecast.days_left_low is None:
        return forecast.state in {ForecastState.IDLE, ForecastState.UNLIMITED}
    with localcontext(EXACT):
        return forecast.days_left_low * _in_microseconds(DAY) >= _in_microseconds(duration)


def all_last_at_least(forecasts: Iterable[Forecast | None], duration: timedelta) -> bool | None:
    """Tell it for several balances that are spent together: False if one does not last, else None if one is not known.

    This is not `lasts_at_least(sooner(...))`, which is None as soon as one of them is not known.
    """
    answers = [lasts_at_least(forecast, duration) for forecast in forecasts]
    if False in answers:
        return False
    return None if None in answers else True


def sooner(one: Forecast | None, other: Forecast | None) -> Forecast | None:
    """Return the forecast of two balances that are spent together, as of a key and its account: that of the first end.

    If one is empty, both have ended. Otherwise the result is unknown as soon as one of them is. Each end of the range
    is the sooner of the two; the rate is that of the balance whose point comes sooner.
    """
    if one is None or other is None:
        known = one or other
        return known if known is not None and known.state is ForecastState.EMPTY else None
    soonest = min((one, other), key=_haste)
    if not {one.state, other.state} <= _WITH_END:
        return soonest
    return Forecast(
        ForecastState.ROUGH if ForecastState.ROUGH in {one.state, other.state} else ForecastState.OK,
        min(one.days_seen, other.days_seen),
        soonest.spent_per_day,
        soonest.days_left,
        _smaller(one.days_left_low, other.days_left_low),
        _smaller(one.days_left_high, other.days_left_high),
        one.is_from_books or other.is_from_books,
    )


def _as_seen(spends: Sequence[Decimal], known: Container[int]) -> list[Decimal]:
    """Return the spends as they were seen: that of days without a sample is added to the next day with one.

    How it was spread over those days is not known. Spread evenly, it would make the days look alike, and the range
    narrow exactly when little is known.
    """
    seen, held = list[Decimal](), Decimal(0)
    for number, spend in enumerate(spends, start=1):
        age = len(spends) - number
        held += spend
        seen.append(held if age in known else Decimal(0))
        if age in known:
            held = Decimal(0)
    return seen


def ends(remain: Decimal, spends: Sequence[Decimal], mean: Decimal) -> tuple[Decimal | None, Decimal, Decimal | None]:
    """Return after how many days the end comes: the point, and the range in which it lies 8 times out of 10.

    After x days the spend lies within x * mean +- WIDENING * t * s * sqrt(x + x^2 / n), for n days seen with the
    standard deviation s. The x stands for how the days to come differ, x^2 / n for how uncertain the mean is. Both ends
    are roots of (remain - x * mean)^2 = (WIDENING * t * s)^2 * (x + x^2 / n). There is no point if as much was given
    back as was spent, and no upper end if the days differ too much.
    """
    n = len(spends)
    variance = Decimal(sum((spend - mean) ** 2 for spend in spends)) / (n - 1)
    spread = (WIDENING * T_90[n]) ** 2 * variance
    square, half = mean**2 - spread / n, remain * mean + spread / 2
    # The usual half^2 - square * remain^2, without the terms that cancel out; the smaller root in the form that holds
    # for every sign of `square`.
    root = (spread * (remain * mean + spread / 4 + remain**2 / n)).sqrt()
    low, high = remain**2 / (half + root), (half + root) / square if square > 0 else None
    if not mean:
        return None, low, None
    point = remain / mean
    # If all days are alike, the three differ only by the rounding of the last digit.
    return point, min(low, point), None if high is None else max(high, point)


_WITH_END = frozenset({ForecastState.OK, ForecastState.ROUGH})

_URGENCY = (
    ForecastState.EMPTY,
    ForecastState.UNREADABLE,
    ForecastState.TOO_LITTLE,
    None,
    ForecastState.IDLE,
    ForecastState.UNLIMITED,
)
"""The states that matter most come first; None stands for the states that have an end."""

_NEVER = Decimal("Infinity")


def _haste(told: Forecast) -> tuple[int, Decimal, Decimal, Decimal]:
    """Return a key that sorts forecasts by their end, the sooner first; then by their rate, the higher first."""
    urgency = _URGENCY.index(None if told.state in _WITH_END else told.state)
    days_left = _NEVER if told.days_left is None else told.days_left
    return urgency, days_left, told.days_seen, -(told.spent_per_day or Decimal(0))


def _smaller(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    """Return the smaller one; None stands for no end."""
    return min((each for each in (one, other) if each is not None), default=None)


def _in_microseconds(time: timedelta) -> int:
    return time // timedelta(microseconds=1)


def _in_days(time: timedelta) -> Decimal:
    return Decimal(_in_microseconds(time)) / _in_microseconds(DAY)


class Seen(NamedTuple):
    """What the ledger has of a series: what all its samples have in common, their number, and the last of them."""

    profile: str
    """The name of the profile that asked last."""
    scope: Scope
    key_id: str
    host: str
    unit: str | None
    first_at: datetime
    last_at: datetime
    samples: int
    """How many there are in the ledger."""
    remain: Decimal | None
    """What the last sample has left, in the gateway's unit; None is unlimited."""


class Overview(NamedTuple):
    """What was spent and topped up on the days that were asked for, and how long the rest lasts."""

    seen: Seen
    shown: tuple[date, ...]
    """The days that were asked for, of UTC, the last of them today."""
    days: Sequence[DaySpend]
    """Those of the days for which there are samples."""
    top_ups: Sequence[TopUp]
    forecast: Forecast | None


def days_until(today: date, count: int) -> tuple[date, ...]:
    """Return so many days, the last of them today."""
    return tuple(today - DAY * ago for ago in range(count - 1, -1, -1))


def needed_since(seen: Seen, shown: Sequence[date]) -> datetime:
    """Return the time since which the samples of a series matter for an overview."""
    return min(_midnight(shown[0]) - LONGEST_GAP, seen.last_at - REACH)


def overview(seen: Seen, samples: Sequence[Sample], shown: tuple[date, ...]) -> Overview:
    """Return the overview of a series, from its samples since `needed_since` in the order of their time."""
    start = _midnight(shown[0])
    since = start - LONGEST_GAP
    recent = [sample for sample in samples if sample.at >= since]
    newest = [sample for sample in samples if sample.at >= seen.last_at - REACH]
    return Overview(
        seen,
        shown,
        [each for each in spends_by_day(recent) if each.day >= shown[0]],
        [each for each in top_ups(recent) if each.at >= start],
        forecast(newest),
    )


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
