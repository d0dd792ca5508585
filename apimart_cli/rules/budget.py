"""A budget for a time: what the gateway's books say was spent, and the most that is allowed. Pure: no I/O, no clock.

Amounts are US dollars. The gate decides with it, and passes only a complete answer that agrees with itself.
"""

from datetime import datetime, timedelta, tzinfo
from decimal import Decimal, localcontext
from typing import NamedTuple

from apimart_cli.errors import BadResponseError, PaymentRequiredError
from apimart_cli.rules.books import MOST_SKEW, BooksReading, Period, Usage, contradiction, day_start, local_day
from apimart_cli.rules.spending import EXACT
from apimart_cli.words import Outcome, Since

LEAST_SKEW = timedelta(seconds=5)
"""The two clocks may always differ by this: a `Date` has whole seconds, and an answer takes some."""

_HINT = "try again later; --debug tells what was answered"


class Budget(NamedTuple):
    """What may be spent, and in which time."""

    most: Decimal
    """In US dollars; so much is allowed."""
    within: timedelta | Since


class JudgedSpend(NamedTuple):
    """What the books say, what it was held to, and what the gate says of it."""

    reading: BooksReading
    budget: Budget
    outcome: Outcome

    @property
    def spent(self) -> Decimal | None:
        """What was spent, in US dollars; None where that is not known."""
        return None if self.reading.usage is None else spent_of(self.reading.usage)


def period_within(within: timedelta | Since, now: datetime, zone: tzinfo) -> Period:
    """Return the time that a budget is for, up to now."""
    now = now.replace(microsecond=0)
    if isinstance(within, timedelta):
        return Period(now - within, now)
    today = local_day(now, zone)
    first = today if within is Since.TODAY else today.replace(day=1)
    # At the first second of a day the period has one second, too: nothing can be asked about none.
    return Period(min(day_start(first, zone), now - timedelta(seconds=1)), now)


def judge_spend(reading: BooksReading, budget: Budget) -> JudgedSpend:
    """Hold what was spent to a budget. What proves nothing becomes a failure in the reading that is returned."""
    reading = _proved(reading)
    if isinstance(reading.error, PaymentRequiredError):
        return JudgedSpend(reading, budget, Outcome.BELOW)
    if reading.usage is None:
        return JudgedSpend(reading, budget, Outcome.ERROR)
    is_below = spent_of(reading.usage) > budget.most
    return JudgedSpend(reading, budget, Outcome.BELOW if is_below else Outcome.PASS)


def spent_of(usage: Usage) -> Decimal:
    """Return what was spent: the total, or the sum of its parts where that is some millionths more."""
    with localcontext(EXACT):
        return max(usage.total.spent, sum((row.spent for row in usage.rows), Decimal(0)))


def _most_skew(usage: Usage) -> timedelta:
    """Return by how much the two clocks may differ: for a short time less, or the gateway's time would be another."""
    return min(MOST_SKEW, max(LEAST_SKEW, (usage.until - usage.since) / 10))


def _in_words(duration: timedelta) -> str:
    return "five minutes" if duration == MOST_SKEW else f"{duration.total_seconds():.0f} seconds"


def _proved(reading: BooksReading) -> BooksReading:
    """Return the reading, or a failure where it is no proof: without parts, in contradiction, or of another time."""
    usage = reading.usage
    if usage is None:
        return reading
    fault = contradiction(usage.total, usage.rows, days=None)
    if not usage.by.has_model:
        fault = "it has no parts that its total could be held against"
    elif usage.skew is not None and abs(usage.skew) > _most_skew(usage):
        fault = f"the gateway's clock and that of this machine differ by more than {_in_words(_most_skew(usage))}"
    return (
        reading
        if fault is None
        else reading._replace(result=BadResponseError(f"what was spent cannot be trusted: {fault}", _HINT))
    )
