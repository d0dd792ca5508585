"""What was spent, compared with a budget, in words and as JSON for scripts. Pure: no I/O, no library."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from apimart_cli.errors import PaymentRequiredError
from apimart_cli.output import plain, with_unit
from apimart_cli.rules.books import UNIT
from apimart_cli.rules.budget import Budget, JudgedSpend
from apimart_cli.text import iso_time
from apimart_cli.words import Since

_MOST_HOURS = 48
"""More hours than this are shown in days, if these are whole ones."""

_SINCE = {Since.TODAY: "today", Since.MONTH: "this month"}


def in_words(within: timedelta | Since) -> str:
    """Return a time in words that follow "spent": `in the last 24 hours`, `today`."""
    if isinstance(within, Since):
        return _SINCE[within]
    from apimart_cli.output.runway import duration_in_words

    hours = within / timedelta(hours=1)
    # 24 hours are not called a day, as a day might begin at midnight.
    words = f"{hours:.0f} hours" if hours.is_integer() and 1 < hours <= _MOST_HOURS else duration_in_words(within)
    return f"in the last {words.removeprefix('1 ')}"


def allowed(budget: Budget) -> str:
    """Return what a budget allows."""
    return f"at most {plain(budget.most)} allowed"


def required(budget: Budget) -> str:
    """Return what is required, in words that do not need what was spent."""
    return f"at most {with_unit(budget.most, UNIT)} spent {in_words(budget.within)} allowed"


def findings(judged: JudgedSpend) -> str:
    """Return what was spent, and what is allowed; or why that is not known."""
    error, budget = judged.reading.error, judged.budget
    if isinstance(error, PaymentRequiredError):
        return f"{error.in_short}; {required(budget)}"
    if error is not None or judged.spent is None or judged.reading.usage is None:
        return "" if error is None else error.message
    minutes = "two minutes" if judged.reading.usage.was_kept else "a minute"
    spent = f"{with_unit(judged.spent, UNIT)} spent {in_words(budget.within)}"
    return f"{spent}, {allowed(budget)} (booked until about {minutes} ago)"


def document(judged: JudgedSpend) -> dict[str, Any]:
    """Return what was spent as the fields of its JSON, without an error."""
    reading, usage = judged.reading, judged.reading.usage
    facts: dict[str, Any] = {
        "profile": reading.profile,
        "scope": reading.scope.value,
        "key_id": reading.key_id,
        "host": reading.host,
        "max_spent": judged.budget.most,
        "within": _within(judged.budget.within),
        "verdict": judged.outcome.value,
    }
    if usage is not None:
        facts |= {
            "spent": judged.spent,
            "unit": UNIT,
            "since": iso_time(usage.since),
            "until": iso_time(usage.until),
            "booked_until": iso_time(usage.fetched_at - usage.lag),
        }
    return facts


def _within(within: timedelta | Since) -> str | Decimal:
    """Return a time as its number of hours, or the word for it."""
    if isinstance(within, Since):
        return within.value
    return Decimal(within // timedelta(microseconds=1)) / 3_600_000_000
