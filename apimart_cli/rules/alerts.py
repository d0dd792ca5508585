"""Alerts: whether a balance has become low, or has recovered, since the last alert. Pure: no I/O, no clock.

An `Alarm` stands for an alert that was given; without one the alert is armed.
"""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, NamedTuple

from apimart_cli.choices import AlertEvent
from apimart_cli.errors import PaymentRequiredError
from apimart_cli.rules.balance import Reading
from apimart_cli.rules.gate import Thresholds, judge_reading
from apimart_cli.rules.spending import EXACT, SAME, SAME_PART
from apimart_cli.words import Outcome, Scope, Since, StoppedBy

if TYPE_CHECKING:
    from apimart_cli.rules.budget import JudgedSpend


_SLACK = 60.0
"""Seconds by which the clock may have been put back; after more than that a reminder is due."""

_MICROSECOND = timedelta(microseconds=1)


class AlarmQuestion(NamedTuple):
    """What an alarm is about. Another threshold is another question."""

    key_id: str
    host: str
    scope: Scope
    threshold: str
    """The threshold as text, the same text for equal amounts: `min 5`."""


class Standing(NamedTuple):
    """What a reading says about a threshold."""

    is_low: bool
    is_safe: bool
    """Whether it is enough again after it was low. A balance that is neither low nor safe changes nothing."""
    total: Decimal | None = None
    """What is left plus what was used, which only a top-up or a cut changes; None if it is not known."""


class Alarm(NamedTuple):
    """A low balance about which an alert was given."""

    at: float
    """When the last alert was given, in seconds since 1970."""
    total: Decimal | None = None
    """The `Standing.total` then."""
    pending: Decimal | None = None
    """Another total, which one reading has shown: it is a top-up if the next reading agrees."""


class Alert(NamedTuple):
    """An event, and the reading that shows it."""

    event: AlertEvent
    reading: Reading
    threshold: Thresholds
    """The one threshold that it is about; none for a stop that has another reason."""
    label: str | None = None
    """The label of the guarded run in which it happened."""
    reason: StoppedBy | None = None
    """Why a guarded command is being stopped."""
    max_spend: Decimal | None = None
    """What it was allowed to spend, if that is the reason."""
    spent: Decimal | None = None
    """What it has spent by then; or what was spent in the time of a budget."""
    max_spent: Decimal | None = None
    """What the budget allows, in US dollars, where that is the reason."""
    is_test: bool = False
    """Whether all of it is made up, to try the command."""


def each_threshold(thresholds: Thresholds) -> Iterator[Thresholds]:
    """Yield the thresholds that a balance can fall below, one by one. `max_used` is not one of them."""
    if thresholds.min is not None:
        yield Thresholds(min=thresholds.min)
    if thresholds.min_runway is not None:
        yield Thresholds(min_runway=thresholds.min_runway)


def question_of(reading: Reading, threshold: Thresholds) -> AlarmQuestion:
    """Return what an alarm for this reading and threshold is about."""
    if threshold.min is not None:
        with localcontext(EXACT):
            text = f"min {threshold.min.normalize():f}"
    else:
        assert threshold.min_runway is not None, "one of them is set"
        text = f"min_runway {threshold.min_runway // _MICROSECOND}"
    return AlarmQuestion(reading.key_id or "", reading.host, reading.scope, text)


def standing_of(reading: Reading, threshold: Thresholds, rearm: Decimal) -> Standing | None:
    """Return what a reading says about one threshold; None if it says nothing, as a failed reading does.

    "No money" counts as low. `rearm` times the threshold, where `rearm` is at least 1, is safe.
    """
    if isinstance(reading.error, PaymentRequiredError):
        return Standing(is_low=True, is_safe=False)
    match judge_reading(reading, threshold):
        case Outcome.BELOW:
            return Standing(is_low=True, is_safe=False, total=_total(reading))
        case Outcome.PASS:
            is_safe = judge_reading(reading, _raised(threshold, rearm)) is Outcome.PASS
            return Standing(is_low=False, is_safe=is_safe, total=_total(reading))
        case _:
            return None


def question_of_spend(judged: "JudgedSpend") -> AlarmQuestion:
    """Return what an alarm for what was spent is called."""
    reading, (most, within) = judged.reading, judged.budget
    time = within.value if isinstance(within, Since) else str(within // _MICROSECOND)
    with localcontext(EXACT):
        text = f"max_spent {most.normalize():f} within {time}"
    return AlarmQuestion(reading.key_id or "", reading.host, reading.scope, text)


def standing_of_spend(judged: "JudgedSpend", rearm: Decimal) -> Standing | None:
    """Return what the books say about a budget; None where they say nothing.

    It has recovered where `rearm` times what was spent would still be allowed.
    """
    if judged.outcome is Outcome.ERROR:
        return None
    if judged.spent is None:
        return Standing(is_low=True, is_safe=False)
    with localcontext(EXACT):
        is_safe = judged.spent * rearm <= judged.budget.most
    is_low = judged.outcome is Outcome.BELOW
    return Standing(is_low=is_low, is_safe=is_safe and not is_low)


def step(
    alarm: Alarm | None, standing: Standing, now: float, remind: float | None
) -> tuple[AlertEvent | None, Alarm | None]:
    """Return the alert to give now, if any, and the alarm to remember from now on, if any.

    `now` is in seconds since 1970. After `remind` seconds there is another alert about a balance that is still low.
    """
    if alarm is None:
        return (AlertEvent.LOW, Alarm(now, standing.total)) if standing.is_low else (None, None)
    if standing.is_safe:
        return AlertEvent.RECOVERED, None
    alarm, is_topped_up = _with_total(alarm, standing.total)
    if is_topped_up:
        return (AlertEvent.LOW, Alarm(now, standing.total)) if standing.is_low else (AlertEvent.RECOVERED, None)
    if standing.is_low and remind is not None and not -_SLACK < now - alarm.at < remind:
        return AlertEvent.LOW, alarm._replace(at=now)
    return None, alarm


def _with_total(alarm: Alarm, total: Decimal | None) -> tuple[Alarm, bool]:
    """Return the alarm after another reading with this total, and whether there was a top-up.

    Two readings must agree on a top-up, as everywhere: `used` may be booked some seconds after `remain`.
    """
    if total is None:
        return alarm, False
    if alarm.total is None:
        return alarm._replace(total=total), False
    if _is_same(total, alarm.total):
        return alarm._replace(pending=None), False
    if alarm.pending is None or not _is_same(total, alarm.pending):
        return alarm._replace(pending=total), False
    return alarm._replace(total=total, pending=None), total > alarm.total


def _is_same(one: Decimal, other: Decimal) -> bool:
    with localcontext(EXACT):
        return abs(one - other) <= max(SAME, abs(one) * SAME_PART)


def _raised(threshold: Thresholds, rearm: Decimal) -> Thresholds:
    with localcontext(EXACT):
        if threshold.min is not None:
            return Thresholds(min=threshold.min * rearm)
        assert threshold.min_runway is not None, "one of them is set"
        # A `timedelta` cannot be longer, and no balance lasts longer than the longest one.
        microseconds = min(threshold.min_runway // _MICROSECOND * rearm, Decimal(timedelta.max // _MICROSECOND))
        return Thresholds(min_runway=timedelta(microseconds=int(microseconds)))


def _total(reading: Reading) -> Decimal | None:
    """Return what is left plus what was used, of all parts that are limited; None if one of them is not known."""
    balances = [part.balance for part in reading.parts or (reading,)]
    with localcontext(EXACT):
        totals = [
            each.remain_balance + each.used_balance for each in balances if each and each.remain_balance is not None
        ]
        return sum(totals, Decimal(0)) if totals and None not in balances else None
