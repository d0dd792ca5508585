"""Spending: what the samples of one key, gateway and scope tell of spending and top-ups. Pure: no I/O, no clock.

What is spent is the rise of `used`: gateways of this family book a charge as `remain - q, used + q`. So a top-up
changes `remain + used` and leaves `used` alone, and an unlimited key has a spending, too. Charges may be booked ahead
and given back when a task fails, so `used` may fall a little.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Context, Decimal, localcontext
from itertools import pairwise
from typing import NamedTuple

DAY = timedelta(days=1)

LONGEST_GAP = timedelta(days=7, hours=1)
"""A longer time without a sample starts a new segment, as it is not known how the spending was spread over it.

It is an hour more than a week, as a weekly job comes some seconds late."""

EXACT = Context(prec=120)
"""Enough digits to add and subtract amounts of 15 digits before the point and 30 after it without rounding, and to
interpolate between them with an error far below what is shown."""

_NO_TIME = timedelta(0)
_MICROSECOND = timedelta(microseconds=1)


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
    """What was spent on one day of UTC. Such a day always has 24 hours."""

    day: date
    spent: Decimal


def segments(samples: Sequence[Sample]) -> list[list[Sample]]:
    """Return samples, which are in the order in which they were taken, in segments within which `used` can be compared.

    A new segment begins after a long gap, when the clock ran backwards, and when `used` fell for good, as the gateway
    then counts anew. A fall that the next sample does not confirm is left out, and so is one of the last sample.
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
    """Return what was used at a moment, which is not before the first sample.

    Between two samples it is interpolated; after the last sample it is what that one says.
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
    """Return what was spent on each day of UTC that the samples cover, at least in part. Days in a gap are left out."""
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

    One sample alone is no proof, as `used` may be booked some seconds after `remain`:

        remain + used   10   10   15   15   15        10   15   10
        level           10   10   10   15   15        10   10   10     the last total that is sure
        new                       +5                       +5          a change that waits for the next sample
        found                          +5

    There is nothing to compare with after `used` has started anew, and after an unlimited quota.
    """
    found: list[TopUp] = []
    level: Decimal | None = None
    new: TopUp | None = None
    last: Sample | None = None
    # Entered only once: entering it for each sample took as long as all the rest.
    with localcontext(EXACT):
        for segment in segments(samples):
            if last is not None and segment[0].used < last.used - SAME:
                level = new = None
            last = segment[-1]
            for sample in segment:
                if sample.remain is None:
                    level = new = None
                    continue
                total = sample.remain + sample.used
                change = Decimal(0) if level is None else total - level
                same = max(SAME, abs(total) * SAME_PART)
                is_confirmed = new is not None and abs(change - new.amount) <= same
                if abs(change) <= same:
                    level, new = total, None
                elif new is not None and is_confirmed:
                    found.append(new)
                    level, new = total, None
                else:
                    new = TopUp(sample.at, change)
    return found


SAME = Decimal("0.000001")
SAME_PART = Decimal("1e-14")
"""Amounts that differ by at most this, or by this part of them, count as equal: gateways compute with floats."""


def _fell(segment: Sequence[Sample], sample: Sample) -> bool:
    """Tell whether `used` fell below all samples of the day before: by more than a charge that was given back."""
    ceiling = sample.used + max(SAME, sample.used * SAME_PART)
    for earlier in reversed(segment):
        if earlier.used <= ceiling:
            return False
        if sample.at - earlier.at > DAY:
            break
    return True


_DAY = 86_400
_WEIGHT = 1_000_000
"""The weight of one day, shared by its samples."""

Late = Mapping[int, tuple[int, int]]
"""For each sample that was written after a later one, by its time: the latest time that there was then, and a number
that rises in the order of writing."""


def in_order(times: Sequence[int], late: Late) -> set[int]:
    """Return the times of the samples to use: of those that were written in the order of their times, the most days.

    Samples are written out of order when a clock was wrong: one that was ahead leaves samples at times to come, one
    that was behind leaves some among older ones. Those samples stay in the ledger, but are not used. Which of two
    clocks was right cannot be known; so the samples that fit together on the most days are used, and one reading under
    a clock of 1970 does not set all others aside.
    """
    written = sorted(times, key=lambda at: late.get(at, (at, 0)))
    counts = Counter((at // _DAY, at in late) for at in written)
    # The best chains found so far, by the time at which they end: a chain that ends earlier is kept only if it weighs
    # less than those that end later.
    ends, values, places = list[int](), list[int](), list[int]()
    before: list[int] = []
    for place, at in enumerate(written):
        start = bisect_left(ends, at)
        value = _WEIGHT // counts[at // _DAY, at in late] + (values[start - 1] if start else 0)
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
