"""What the ledger tells of one series: one key, host and scope. Pure: no I/O, no clock."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import NamedTuple

from apimart_cli.forecast import REACH, Forecast, forecast
from apimart_cli.spending import DAY, LONGEST_GAP, DaySpend, Sample, TopUp, spends_by_day, top_ups
from apimart_cli.words import Scope


class Seen(NamedTuple):
    """What all samples of a series have in common, and the last of them. Amounts are in the gateway's unit."""

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
    """What the last sample says; None is unlimited."""


class Overview(NamedTuple):
    """What was spent and topped up on the days that were asked about, and how long the rest lasts."""

    seen: Seen
    shown: tuple[date, ...]
    """The days that were asked about, of UTC, the last of them today."""
    days: Sequence[DaySpend]
    """Of those, the ones that samples tell about."""
    top_ups: Sequence[TopUp]
    forecast: Forecast | None


def days_until(today: date, count: int) -> tuple[date, ...]:
    """Return so many days, the last of them today."""
    return tuple(today - DAY * ago for ago in range(count - 1, -1, -1))


def needed_since(seen: Seen, shown: Sequence[date]) -> datetime:
    """Return the time from which on the samples of a series matter."""
    return min(_midnight(shown[0]) - LONGEST_GAP, seen.last_at - REACH)


def overview(seen: Seen, samples: Sequence[Sample], shown: tuple[date, ...]) -> Overview:
    """Return what is told of a series, from its samples since `needed_since`, in the order of their time."""
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
