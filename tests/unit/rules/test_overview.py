"""What is told of a series for the days that were asked about."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from apimart_cli.rules.forecast import Seen, days_until, forecast, needed_since, overview
from apimart_cli.rules.spending import LONGEST_GAP, DaySpend, Sample, TopUp
from apimart_cli.words import Scope

TODAY = date(2026, 11, 20)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def sample(days: float, used: str, remain: str = "100") -> Sample:
    """Return a reading, taken so many days before noon of today."""
    return Sample(NOON - timedelta(days=days), Decimal(remain), Decimal(used))


def seen(samples: list[Sample]) -> Seen:
    return Seen("work", Scope.KEY, "3f9a1c2e77aa", "h", None, samples[0].at, samples[-1].at, len(samples), Decimal(1))


def test_days_end_today() -> None:
    """Across the end of a month, too."""
    assert days_until(TODAY, 1) == (TODAY,)
    assert days_until(date(2026, 3, 1), 3) == (date(2026, 2, 27), date(2026, 2, 28), date(2026, 3, 1))


def test_a_day_at_the_edge_is_whole() -> None:
    """The spend of the first day is told from the reading before it; what came earlier is not shown."""
    samples = [sample(3, "0"), sample(1, "4", "106"), sample(0.5, "4", "106"), sample(0, "5", "105")]
    found = overview(seen(samples), samples, days_until(TODAY, 2))
    assert found.days == [DaySpend(date(2026, 11, 19), Decimal(1)), DaySpend(TODAY, Decimal(1))]
    assert found.top_ups == [TopUp(samples[1].at, Decimal(10))]
    assert overview(seen(samples), samples, days_until(TODAY, 1)).top_ups == []


def test_what_lies_at_the_edge_counts() -> None:
    """The earliest reading that is needed, and a top-up at the first moment; what was asked goes along."""
    midnight = NOON - timedelta(hours=12)
    samples = [Sample(midnight - LONGEST_GAP, Decimal(100), Decimal(0)), sample(0.5, "0", "150"), sample(0, "0", "150")]
    found = overview(seen(samples), samples, (TODAY,))
    assert found[:2] == (seen(samples), (TODAY,))
    assert found.top_ups == [TopUp(midnight, Decimal(50))]
    # The first reading that is needed shows that the second one is a fall, which the third one does not confirm.
    earliest = Sample(NOON - timedelta(days=28) - LONGEST_GAP, Decimal(100), Decimal(5))
    samples = [earliest, sample(28, "1"), *(sample(number, str(40 - number)) for number in range(27, -1, -1))]
    assert overview(seen(samples), samples, (TODAY,)).forecast == forecast(samples) != forecast(samples[1:])


def test_the_forecast_is_the_one_of_all_readings() -> None:
    """However few days are shown, and however long ago the last reading was."""
    samples = [sample(number, str(60 - number)) for number in range(60, 9, -1)]
    for days in (1, 7, 60):
        shown = days_until(TODAY, days)
        needed = [each for each in samples if each.at >= needed_since(seen(samples), shown)]
        assert overview(seen(samples), needed, shown).forecast == forecast(samples)
    assert overview(seen(samples), samples, days_until(TODAY, 7)).days == []


def test_many_days_need_what_came_before_them() -> None:
    """More than the forecast looks at: the first of them is told from the reading before it."""
    samples = [sample(65, "0"), sample(59, "6"), sample(0, "65")]
    shown = days_until(TODAY, 61)
    needed = [each for each in samples if each.at >= needed_since(seen(samples), shown)]
    assert overview(seen(samples), needed, shown).days[0] == DaySpend(shown[0], Decimal(1))
