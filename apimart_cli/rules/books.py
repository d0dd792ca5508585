"""The gateway's books: periods, the pieces that they are asked in, and sums that must agree. Pure: no I/O, no clock.

Amounts are US dollars, whatever the unit of the balance is. Moments are whole seconds in UTC, and a period ends before
its `until`, so that periods that follow each other neither share a moment nor leave one out.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal, localcontext
from itertools import pairwise
from typing import NamedTuple

from apimart_cli.choices import UsageBy
from apimart_cli.errors import ApimartError, UsageError
from apimart_cli.rules.balance import Balance
from apimart_cli.rules.spending import EXACT, Sample, segments, used_at
from apimart_cli.words import Scope

BEGIN = date(2026, 4, 27)
"""The first day that is in the books (the gateway's public reference)."""

LONGEST = timedelta(days=31)
"""Longest time that one question may be about."""

MOST_DAYS = 366
"""Most days that are asked about at once."""

MILLIONTH = Decimal("0.000001")
"""Amounts have six places: each item may be wrong by so much when they are added."""

USUAL_DAYS = 30
"""Days that are told of where nothing else is asked."""

LAG = timedelta(minutes=1)
"""So late the books may be, and as late again where they kept the answer to the same question."""

UNIT = "USD"
"""The unit of the books, whatever the unit of the balance is."""

MOST_SKEW = timedelta(minutes=5)
"""By so much the gateway's clock and ours may differ where a verdict is about a time."""

_SECOND = timedelta(seconds=1)
_LOOKED_AT = timedelta(minutes=30)
"""Clocks are moved by half an hour at the least where a day is repeated or left out."""


class Period(NamedTuple):
    """From `since` up to, and not with, `until`. Both are in UTC and whole seconds."""

    since: datetime
    until: datetime


class Booked(NamedTuple):
    """What was booked: in all, or of one day or model. Counts are None where they are not told."""

    spent: Decimal
    """In US dollars."""
    requests: int | None = None
    """Calls that were charged."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    day: date | None = None
    """Of the time zone that was asked for; None where it was not asked by day."""
    model: str | None = None
    """None where it was not asked by model."""


class Usage(NamedTuple):
    """What the books say of a period."""

    scope: Scope
    """Whose books: the key's, or the account's."""
    since: datetime
    until: datetime
    """The period ends before this."""
    tz: str
    """The time zone of its days."""
    by: UsageBy
    total: Booked
    rows: tuple[Booked, ...]
    fetched_at: datetime
    """When the answer arrived, in UTC."""
    was_kept: bool = False
    """Whether the gateway had kept the answer to the same question: it is up to a minute older then."""
    skew: timedelta | None = None
    """By how much the gateway's clock is ahead of ours; None where its answer did not tell."""

    @property
    def lag(self) -> timedelta:
        """How late the books may be, about."""
        return 2 * LAG if self.was_kept else LAG


class BooksReading(NamedTuple):
    """The outcome of one question: what the books say, or the error that stands in its place."""

    profile: str
    scope: Scope
    result: Usage | ApimartError
    key_id: str | None = None
    host: str = ""
    quoted: tuple[str, ...] = ()
    """Of a failure: what its message repeats of the gateway's words."""

    @property
    def usage(self) -> Usage | None:
        """What the books say, or None where the question failed."""
        return self.result if isinstance(self.result, Usage) else None

    @property
    def error(self) -> ApimartError | None:
        """The error, or None where there is an answer."""
        return self.result if isinstance(self.result, ApimartError) else None

    @property
    def name(self) -> str:
        """How messages call this reading: `profile/scope`."""
        return f"{self.profile}/{self.scope}"


def day_start(day: date, zone: tzinfo) -> datetime:
    """Return the first second at which a clock in `zone` shows `day`, or a later day where it leaves that one out."""
    middle = int(datetime.combine(day, time(), UTC).timestamp())
    # No offset is larger than a day.
    before, found = middle - 90_000, middle + 90_000
    while found - before > 1:
        moment = (before + found) // 2
        if local_day(datetime.fromtimestamp(moment, UTC), zone) >= day:
            found = moment
        else:
            before = moment
    return datetime.fromtimestamp(found, UTC)


def local_day(moment: datetime, zone: tzinfo) -> date:
    """Return the day that a clock in `zone` shows."""
    return moment.astimezone(zone).date()


def days_of(period: Period, zone: tzinfo) -> list[date]:
    """Return every day that a clock in `zone` shows within a period, in order."""
    moments = (period.since + number * _LOOKED_AT for number in range((period.until - period.since) // _LOOKED_AT + 1))
    seen = {local_day(min(moment, period.until - _SECOND), zone) for moment in moments}
    return sorted(seen | {local_day(period.until - _SECOND, zone)})


def last_days(count: int, now: datetime, zone: tzinfo) -> Period:
    """Return so many days up to now, today among them, as far as there are books."""
    return period_of(local_day(now, zone) - timedelta(days=count - 1), None, now, zone)


def period_of(first: date | datetime, last: date | datetime | None, now: datetime, zone: tzinfo) -> Period:
    """Return the time from `first` to `last`, up to now and as far as there are books.

    Days are counted whole, the last one, too; a moment is where a period begins, or the first that is not counted.
    Raises UsageError, in words for an option, where nothing is left, or it is longer than MOST_DAYS.
    """
    now = now.replace(microsecond=0)
    until = now if last is None else min(now, _end(last, zone))
    since = _whole(first) if isinstance(first, datetime) else day_start(first, zone)
    if since >= until:
        if since >= now:
            raise UsageError("the period begins in the future", "give today, or a day before")
        raise UsageError("the period ends before it begins", "give the earlier day first")
    if (local_day(until - _SECOND, zone) - local_day(since, zone)).days >= MOST_DAYS:
        raise UsageError(f"the period is longer than {MOST_DAYS} days", "ask for a part of it")
    if until <= day_start(BEGIN, zone):
        raise UsageError(f"the gateway's books begin on {BEGIN}", "ask for a later time")
    return Period(max(since, day_start(BEGIN, zone)), until)


def _end(last: date | datetime, zone: tzinfo) -> datetime:
    return _whole(last) if isinstance(last, datetime) else day_start(last + timedelta(days=1), zone)


def _whole(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=0)


def pieces(period: Period, zone: tzinfo) -> Iterator[Period]:
    """Yield the parts of a period that can be asked one by one, cut between days.

    Each begins where the one before it ends, and is no longer than LONGEST: a month of 31 days that has the hour in it
    by which clocks are put back is too long for one question.
    """
    since = period.since
    while period.until - since > LONGEST:
        until = day_start(local_day(since + LONGEST, zone), zone)
        yield Period(since, until)
        since = until
    yield Period(since, period.until)


def contradiction(total: Booked, rows: Sequence[Booked], *, days: Collection[date] | None) -> str | None:
    """Return how a total and its parts contradict each other, or what was asked; None where they do not.

    `days` are those that were asked about; None where it was not asked by day.
    """
    if any(each.spent < 0 for each in (total, *rows)):
        return "an amount is negative"
    if len({(row.day, row.model) for row in rows}) < len(rows):
        return "a day or a model stands in it twice"
    if days is not None and not all(row.day in days for row in rows):
        return "it has a day in it that was not asked for"
    with localcontext(EXACT):
        if abs(total.spent - sum(row.spent for row in rows)) > MILLIONTH * len(rows):
            return "its total is not the sum of its parts"
    for name in ("requests", "prompt_tokens", "completion_tokens"):
        counts = [getattr(each, name) for each in (total, *rows)]
        if None not in counts and counts[0] != sum(counts[1:]):
            return f"its total of {name} is not the sum of its parts"
    return None


def together(parts: Sequence[Usage]) -> Usage:
    """Return what periods that follow each other say of all of the time, in the order of days and models.

    Raises ValueError where there is a time between two of them, or they share one.
    """
    if any(before.until != after.since for before, after in pairwise(parts)):
        raise ValueError("periods that do not follow each other")
    first, last = parts[0], parts[-1]
    return first._replace(
        until=last.until,
        total=added(part.total for part in parts),
        rows=tuple(grouped(row for part in parts for row in part.rows)),
        fetched_at=min(part.fetched_at for part in parts),
        was_kept=any(part.was_kept for part in parts),
        skew=max((part.skew for part in parts if part.skew is not None), key=abs, default=None),
    )


def grouped(rows: Iterable[Booked]) -> list[Booked]:
    """Return one row for each day and model, in the order of both."""
    found: dict[tuple[date | None, str | None], list[Booked]] = {}
    for row in rows:
        found.setdefault((row.day, row.model), []).append(row)
    named = [added(each)._replace(day=day, model=model) for (day, model), each in found.items()]
    return sorted(named, key=lambda row: (row.day or date.min, row.model or ""))


def added(rows: Iterable[Booked]) -> Booked:
    """Return the sum of rows. A count that one of them does not tell is not known in all."""
    every = list(rows)
    with localcontext(EXACT):
        return Booked(
            sum((row.spent for row in every), Decimal(0)),
            _count([row.requests for row in every]),
            _count([row.prompt_tokens for row in every]),
            _count([row.completion_tokens for row in every]),
        )


def _count(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def are_dollars(balance: Balance) -> bool | None:
    """Tell whether a balance is in US dollars, by its credits: ten of them are one. None where nothing shows it."""
    pairs = [(balance.remain_balance, balance.remain_credits), (balance.used_balance, balance.used_credits)]
    known = [(amount, in_credits) for amount, in_credits in pairs if amount is not None and in_credits is not None]
    if not any(amount or in_credits for amount, in_credits in known):
        # Ten times nothing is nothing, in every unit.
        return None
    with localcontext(EXACT):
        return all(abs(in_credits - 10 * amount) <= MILLIONTH * 10 for amount, in_credits in known)


def agree(samples: Sequence[Sample], spends: Mapping[date, Decimal], zone: tzinfo) -> bool:
    """Tell whether what was read and what the books say may be in one unit.

    The days that both cover wholly are compared together: what was spent around midnight may count for either day. A
    factor of more than two is another unit.
    """
    with localcontext(EXACT):
        read = booked = Decimal(0)
        for segment in segments(samples):
            for day, spent in spends.items():
                begin, end = day_start(day, zone), day_start(day + timedelta(days=1), zone)
                if segment[0].at <= begin and end <= segment[-1].at:
                    read += used_at(segment, end) - used_at(segment, begin)
                    booked += spent
        smaller, larger = sorted((read, booked))
        return larger <= 2 * max(smaller, Decimal(0)) + MILLIONTH


def most_expensive_first(rows: Iterable[Booked]) -> list[Booked]:
    """Return rows by what was spent, and by their names where that is the same."""
    return sorted(rows, key=lambda row: (-row.spent, row.day or date.min, row.model or ""))


def every_day(usage: Usage, zone: tzinfo) -> list[Booked]:
    """Return a row for each day of a period, days without spend among them."""
    spends = {row.day: row for row in grouped(row._replace(model=None) for row in usage.rows)}
    days = days_of(Period(usage.since, usage.until), zone)
    return [spends.get(day, Booked(Decimal(0), 0, 0, 0, day)) for day in days]
