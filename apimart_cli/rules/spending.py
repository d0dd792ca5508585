"""Spending: what the readings of one key, gateway and scope say about spend and top-ups. Pure: no I/O, no clock.

Spend is the rise of `used`: gateways of this family book a charge as `remain - q, used + q`, so a top-up moves
`remain + used` and leaves `used` alone, and an unlimited key has a spend, too. Charges may be booked ahead and given
back when a task fails, so `used` may fall a little.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Context, Decimal, localcontext
from itertools import pairwise
from typing import NamedTuple

DAY = timedelta(days=1)

LONGEST_GAP = timedelta(days=7, hours=1)
"""A longer time without a sample starts a new segment, as it is not known how the spend was spread over it.

It is an hour more than a week, as a weekly job may come some seconds late."""

EXACT = Context(prec=120)
"""Enough precision to add and subtract amounts of 15 digits before the point and 30 after it without rounding, and to
interpolate between them with an error that nothing shows."""

SAME = Decimal("0.000001")

SAME_PART = Decimal("1e-14")
"""Amounts that differ by no more than SAME, or by no more than this share of them, are equal: gateways use floats."""

_NO_TIME = timedelta(0)

_MICROSECOND = timedelta(microseconds=1)

_DAY_SECONDS = 86_400

_WEIGHT = 1_000_000
"""The weight of one day, which its samples share."""

Late = Mapping[int, tuple[int, int]]
"""For the time of each sample that was written after a later one: the latest time that there was then, and a number
that rises in the order of writing."""


class Sample(NamedTuple):
    """One reading of a series: one key, host and scope. Amounts are in the gateway's unit."""

    at: datetime
    """In UTC."""
    remain: Decimal | None
    """None is unlimited."""
    used: Decimal


class TopUp(NamedTuple):
    """A change of `remain + used`: more is a top-up, less is a cut."""

    at: datetime
    """When it was first seen, in UTC."""
    amount: Decimal


class DaySpend(NamedTuple):
    """What was spent on one day of UTC, which has 24 hours whatever the local clocks do."""

    day: date
    spent: Decimal


def segments(samples: Sequence[Sample]) -> list[list[Sample]]:
    """Return the samples, which are in the order in which they were taken, cut where they do not belong together.

    That is at a long gap, where the clock ran backwards, and at a lasting fall of `used`, which means that the gateway
    counts anew. A fall that the next sample does not confirm is left out, and so is a fall of the last sample.
    """
    found: list[list[Sample]] = []
    for place, sample in enumerate(samples):
        before = found[-1][-1] if found else None
        if before is None or not _NO_TIME <= sample.at - before.at <= LONGEST_GAP:
            found.append([sample])
        elif sample.used >= before.used or not _fell(found[-1], sample):
            found[-1].append(sample)
        elif place + 1 < len(samples) and samples[place + 1].used < before.used:
            found.append([sample])
    return found


def used_at(segment: Sequence[Sample], moment: datetime) -> Decimal:
    """Return what was used at a moment: in proportion between the samples around it, or what the last one says.

    The moment must not be before the first sample.
    """
    place = bisect_right(segment, moment, key=lambda sample: sample.at)
    before = segment[place - 1]
    if place == len(segment) or before.at == moment:
        return before.used
    after = segment[place]
    with localcontext(EXACT):
        passed, whole = (moment - before.at) // _MICROSECOND, (after.at - before.at) // _MICROSECOND
        return before.used + (after.used - before.used) * passed / whole


def spends_by_day(samples: Sequence[Sample]) -> list[DaySpend]:
    """Return the spend of each day of UTC that the samples cover, also in part, without the days inside a gap."""
    spends: dict[date, Decimal] = {}
    for segment in segments(samples):
        start, end = segment[0].at, segment[-1].at
        days = (end.date() - start.date()).days
        midnights = {datetime.combine(end.date() - number * DAY, time(), UTC) for number in range(days)}
        for since, until in pairwise(sorted({start, *midnights, end})):
            with localcontext(EXACT):
                spent = used_at(segment, until) - used_at(segment, since)
                spends[since.date()] = spends.get(since.date(), Decimal(0)) + spent
    return [DaySpend(day, spent) for day, spent in sorted(spends.items())]


def top_ups(samples: Sequence[Sample]) -> list[TopUp]:
    """Return each change of `remain + used` that two samples agree on, at the time of the first of them.

    One alone is no proof: `used` may be booked some seconds after `remain`. If `used` starts anew, or the quota was
    unlimited, there is nothing to compare.
    """
    # Entered once: to enter it for each sample took as long as all the rest.
    with localcontext(EXACT):
        return [change for totals in _totals(samples) for change in _changes(totals)]


def in_order(times: Sequence[int], late: Late) -> set[int]:
    """Return the times of samples that were written in the order of their times, on as many days as possible.

    The others are those of a wrong clock. One that was ahead leaves samples at times that come later; one that was
    behind leaves some among older ones. They stay in the ledger, but are not used: which of two clocks was right, only
    the number of days tells, and one reading under a clock of 1970 must not set all others aside.
    """
    written = sorted(times, key=lambda at: late.get(at, (at, 0)))
    counts = Counter((at // _DAY_SECONDS, at in late) for at in written)
    # The best chain up to each place. Of two chains, the one that ends earlier is kept only if its value is smaller.
    ends, values, places = list[int](), list[int](), list[int]()
    before: list[int] = []
    for place, at in enumerate(written):
        start = bisect_left(ends, at)
        value = _WEIGHT // counts[at // _DAY_SECONDS, at in late] + (values[start - 1] if start else 0)
        before.append(places[start - 1] if start else -1)
        end = start
        while end < len(ends) and values[end] <= value:
            end += 1
        ends[start:end], values[start:end], places[start:end] = [at], [value], [place]
    kept = set[int]()
    place = places[-1] if places else -1
    while place >= 0:
        kept.add(written[place])
        place = before[place]
    return kept


def _totals(samples: Sequence[Sample]) -> list[list[tuple[datetime, Decimal]]]:
    """Return `remain + used` with its times, cut where totals cannot be compared: unlimited, or `used` starts anew."""
    found: list[list[tuple[datetime, Decimal]]] = [[]]
    last: Sample | None = None
    for segment in segments(samples):
        if last is not None and segment[0].used < last.used - SAME:
            found.append([])
        last = segment[-1]
        for sample in segment:
            if sample.remain is None:
                found.append([])
            else:
                found[-1].append((sample.at, sample.remain + sample.used))
    return found


def _changes(totals: Sequence[tuple[datetime, Decimal]]) -> Iterator[TopUp]:
    """Yield each change that two totals agree on. One that the next total does not confirm is forgotten.

    total       10    10    60    60    60    52    60
    level       10    10    10    60    60    60    60
    possible    -     -     +50   -     -     -8    -
    yielded                       +50
    """
    level: Decimal | None = None
    possible: TopUp | None = None
    for at, total in totals:
        change = Decimal(0) if level is None else total - level
        same = max(SAME, abs(total) * SAME_PART)
        if abs(change) <= same:
            level, possible = total, None
        elif possible is not None and abs(change - possible.amount) <= same:
            yield possible
            level, possible = total, None
        else:
            possible = TopUp(at, change)


def _fell(segment: Sequence[Sample], sample: Sample) -> bool:
    """Tell whether `used` fell below all its values of the day before: a charge that is given back does less."""
    ceiling = sample.used + max(SAME, sample.used * SAME_PART)
    for earlier in reversed(segment):
        if earlier.used <= ceiling:
            return False
        if sample.at - earlier.at > DAY:
            break
    return True
