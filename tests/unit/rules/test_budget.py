"""A budget for a time: when it begins, what passes, and what proves nothing."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimart_cli.choices import UsageBy
from apimart_cli.errors import (
    ApimartError,
    BadResponseError,
    ExitCode,
    NoBooksError,
    PaymentRequiredError,
    UnavailableError,
    UsageError,
)
from apimart_cli.rules.books import Booked, BooksReading, Usage, added
from apimart_cli.rules.budget import Budget, JudgedSpend, judge_spend, period_within
from apimart_cli.rules.gate import Thresholds, judge
from apimart_cli.words import Outcome, Scope, Since
from support.readings import reading as balance_reading

NOW = datetime(2026, 11, 20, 10, 0, 0, 5, tzinfo=UTC)
DAY = timedelta(hours=24)
FIVE = Budget(Decimal(5), DAY)


def usage(*spends: str, total: str | None = None, **more: Any) -> Usage:
    rows = tuple(Booked(Decimal(spent), model=f"m{number}") for number, spent in enumerate(spends))
    whole = added(rows) if total is None else Booked(Decimal(total))
    return Usage(Scope.KEY, NOW - DAY, NOW, "UTC", UsageBy.MODEL, whole, rows, NOW)._replace(**more)


def reading(result: Usage | ApimartError) -> BooksReading:
    return BooksReading("work", Scope.KEY, result, "3f9a1c2e77aa", "api.apimart.ai")


def test_when_a_budget_begins() -> None:
    """So long ago, at midnight, or on the first of the month; at the first second of a day there is a second."""
    for within, zone, since in (
        (DAY, "UTC", datetime(2026, 11, 19, 10, tzinfo=UTC)),
        (Since.TODAY, "Asia/Tokyo", datetime(2026, 11, 19, 15, tzinfo=UTC)),
        (Since.TODAY, "Pacific/Honolulu", datetime(2026, 11, 20, 10, tzinfo=UTC) - timedelta(seconds=1)),
        (Since.TODAY, "Pacific/Pago_Pago", datetime(2026, 11, 19, 11, tzinfo=UTC)),
        (Since.MONTH, "Europe/Berlin", datetime(2026, 10, 31, 23, tzinfo=UTC)),
    ):
        assert period_within(within, NOW, ZoneInfo(zone)) == (since, NOW.replace(microsecond=0))


def test_what_was_spent_is_compared_exactly() -> None:
    """So much is allowed, and not a millionth more, of the total and of the parts: these may differ by as much."""
    for spends, total, outcome, spent in (
        ((), None, Outcome.PASS, "0"),
        (("5",), None, Outcome.PASS, "5"),
        (("2.5", "2.5"), None, Outcome.PASS, "5"),
        (("5.000001",), None, Outcome.BELOW, "5.000001"),
        (("2.5", "2.500001"), "5", Outcome.BELOW, "5.000001"),
        (("2.5", "2.5"), "5.000001", Outcome.BELOW, "5.000001"),
        (("2.5",), "2.499999", Outcome.PASS, "2.5"),
        (("999999999999999", "1e-30"), "999999999999999", Outcome.BELOW, f"999999999999999.{1:030}"),
    ):
        told = reading(usage(*spends, total=total))
        judged = judge_spend(told, FIVE)
        assert judged == JudgedSpend(told, FIVE, outcome)
        assert judged.spent == Decimal(spent)


def test_what_is_no_proof_never_passes() -> None:
    """However small it is: without parts, in contradiction, or of another time."""
    clock = "the gateway's clock and that of this machine differ by more than"
    for result, fault in (
        (usage("1", by=UsageBy.DAY), "it has no parts that its total could be held against"),
        (usage("1", total="3"), "its total is not the sum of its parts"),
        (usage(total="1"), "its total is not the sum of its parts"),
        (usage("-1"), "an amount is negative"),
        (usage("1", skew=timedelta(minutes=6)), f"{clock} five minutes"),
        (usage("1", skew=-timedelta(minutes=6)), f"{clock} five minutes"),
        (usage("1", skew=timedelta(seconds=7), since=NOW - timedelta(minutes=1)), f"{clock} 6 seconds"),
    ):
        judged = judge_spend(reading(result), Budget(Decimal(1000), DAY))
        assert (judged.outcome, judged.spent) == (Outcome.ERROR, None)
        assert isinstance(judged.reading.error, BadResponseError)
        assert judged.reading.error.message == f"what was spent cannot be trusted: {fault}"
        assert judged.reading.error.hint == "try again later; --debug tells what was answered"


def test_a_clock_that_differs_a_little_is_no_matter() -> None:
    """Five minutes, either way, or not told."""
    for within, skew in ((timedelta(minutes=1), timedelta(seconds=6)), (timedelta(minutes=20), timedelta(minutes=2))):
        short = usage("1", skew=skew)._replace(since=NOW - within, until=NOW)
        assert judge_spend(reading(short), FIVE).outcome is Outcome.PASS
        late = short._replace(skew=-skew - timedelta(seconds=1))
        assert judge_spend(reading(late), FIVE).outcome is Outcome.ERROR, "the gateway's time would be another one"
    for skew in (None, timedelta(minutes=5), -timedelta(minutes=5)):
        assert judge_spend(reading(usage("1", skew=skew)), FIVE).outcome is Outcome.PASS


def test_a_failure_is_no_pass() -> None:
    """`--fail-open` forgives silence, as everywhere, and no word of the gateway."""
    for error, outcome, code, open_code in (
        (UnavailableError("no answer"), Outcome.ERROR, 5, 0),
        (UnavailableError("cannot tell", was_told=True), Outcome.ERROR, 5, 5),
        (NoBooksError("no books"), Outcome.ERROR, 6, 6),
        (PaymentRequiredError("pay"), Outcome.BELOW, 3, 3),
    ):
        verdict = judge((), budgets=[(reading(error), FIVE)])
        spends = (JudgedSpend(reading(error), FIVE, outcome),)
        assert (verdict.outcome, verdict.exit_code, verdict.spends) == (outcome, code, spends)
        forgiven = judge((), budgets=[(reading(error), FIVE)], fail_open=True)
        assert (forgiven.exit_code, forgiven.spends) == (open_code, spends)


def test_all_must_hold() -> None:
    """A balance that is below decides, and so does a budget that is exceeded; a failure of either is no pass."""
    enough, little = balance_reading("10"), balance_reading("1")
    limits = Thresholds(min=Decimal(5))
    good, bad = reading(usage("1")), reading(usage("6"))
    failed = reading(UnavailableError("no answer"))
    passed = judge([(enough, limits)], budgets=[(good, FIVE)])
    assert passed.exit_code is ExitCode.OK
    unlimited = judge([(balance_reading(None), limits)], budgets=[(good, FIVE)], unlimited_passes=False)
    unknown = judge([(enough, Thresholds(min_runway=DAY))], budgets=[(good, FIVE)])
    assert (unlimited.exit_code, unknown.exit_code) == (ExitCode.UNLIMITED, ExitCode.NO_FORECAST)
    assert passed.spends == unlimited.spends == unknown.spends == (JudgedSpend(good, FIVE, Outcome.PASS),)
    assert judge([(little, limits)], budgets=[(good, FIVE)]).exit_code is ExitCode.BELOW
    assert judge([(enough, limits)], budgets=[(bad, FIVE)]).exit_code is ExitCode.BELOW
    assert judge([(little, limits)], budgets=[(failed, FIVE)]).exit_code is ExitCode.BELOW
    assert judge([(enough, limits)], budgets=[(failed, FIVE)]).exit_code is ExitCode.UNAVAILABLE
    assert judge([(enough, limits)], budgets=[(good, FIVE), (bad, FIVE)]).exit_code is ExitCode.BELOW
    with pytest.raises(UsageError):
        judge((), budgets=())
    with pytest.raises(UsageError):
        judge([(enough, Thresholds())], budgets=[(good, FIVE)])


AMOUNTS = st.decimals(-2, 12, places=6) | st.sampled_from([Decimal(5), Decimal("5.000001"), Decimal("4.999999")])


@given(st.lists(AMOUNTS, max_size=4), AMOUNTS, st.sampled_from(list(UsageBy)), st.integers(-900, 900) | st.none())
def test_no_pass_without_a_complete_and_consistent_answer(
    spends: list[Decimal], total: Decimal, by: UsageBy, skew: int | None
) -> None:
    """An oracle of its own: it passes only where each of these holds, and then it does."""
    rows = tuple(
        Booked(spent, model=f"m{number}", day=date(2026, 11, 20) if by.has_day else None)
        for number, spent in enumerate(spends)
    )
    differs = None if skew is None else timedelta(seconds=skew)
    told = Usage(Scope.KEY, NOW - DAY, NOW, "UTC", by, Booked(total), rows, NOW, skew=differs)
    may_pass = (
        all(spent >= 0 for spent in spends)
        and 0 <= total <= 5
        and sum(spends) <= 5
        and abs(total - sum(spends)) * 1_000_000 <= len(spends)
        and by is not UsageBy.DAY
        and (skew is None or -300 <= skew <= 300)
    )
    assert (judge((), budgets=[(reading(told), FIVE)]).exit_code is ExitCode.OK) is may_pass
