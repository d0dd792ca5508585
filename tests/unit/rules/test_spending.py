"""Spending: where a series is cut, what was used at a moment, the spend of a day, and what is a top-up."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimart_cli.rules.spending import LONGEST_GAP, DaySpend, Sample, TopUp, segments, spends_by_day, top_ups, used_at

START = datetime(2026, 3, 2, 6, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAYS_BRIDGED = LONGEST_GAP / HOUR


def sample(hours: float, used: str, remain: str | None = "100") -> Sample:
    """Return a reading so many hours after the start."""
    return Sample(START + hours * HOUR, None if remain is None else Decimal(remain), Decimal(used))


def test_a_series_is_cut_where_used_starts_anew() -> None:
    """And nowhere else."""
    for taken, cut in (
        ([], []),
        ([(0, "1"), (1, "1"), (2, "3")], [["1", "1", "3"]]),
        # Seven days without a sample are bridged, and not a microsecond more.
        ([(0, "1"), (DAYS_BRIDGED, "2")], [["1", "2"]]),
        ([(0, "1"), (DAYS_BRIDGED + 1 / 3.6e9, "2")], [["1"], ["2"]]),
        # Across a clock that runs backwards nothing can be told; the same second again is no such thing.
        ([(1, "1"), (1, "2"), (0.5, "3")], [["1", "2"], ["3"]]),
        # A charge that is given back: `used` falls to what it was before.
        ([(0, "1"), (1, "6"), (2, "1"), (3, "1")], [["1", "6", "1", "1"]]),
        # A fall below the day before cuts when it lasts; one that the next sample denies is a server that lags.
        ([(0, "10"), (1, "11"), (2, "0"), (3, "1")], [["10", "11"], ["0", "1"]]),
        ([(0, "10"), (1, "11"), (2, "0"), (3, "11"), (4, "12")], [["10", "11", "11", "12"]]),
        ([(0, "10"), (1, "11"), (2, "0")], [["10", "11"]]),
        # Charges are given back within the day; a day of rest begins with the sample before it.
        ([(0, "1"), (1, "10"), (30, "11"), (31, "5"), (32, "6")], [["1", "10", "11"], ["5", "6"]]),
        ([(0, "5"), (48, "11"), (49, "5"), (50, "6")], [["5", "11", "5", "6"]]),
        # Gateways compute with floats.
        ([(0, "10"), (1, "9.999999"), (2, "9.999999")], [["10", "9.999999", "9.999999"]]),
        ([(0, "10"), (1, "9.9999995"), (2, "9.9999995")], [["10", "9.9999995", "9.9999995"]]),
    ):
        found = segments([sample(hours, used) for hours, used in taken])
        assert [[str(each.used) for each in segment] for segment in found] == cut


def test_used_is_in_proportion_between_the_samples_around_it() -> None:
    """On a sample it is what the sample says."""
    steady, twice = [(0, "1"), (2, "3"), (4, "9")], [(0, "1"), (1, "2"), (1, "4"), (2, "6")]
    for taken, hours, used in (
        *((steady, hours, used) for hours, used in ((0, "1"), (1, "2"), (2, "3"), (3, "6"))),
        # After the last sample nothing newer is known.
        (steady, 9, "9"),
        # Of samples in the same second the last one counts.
        (twice, 1, "4"),
        (twice, 1.5, "5"),
        # 15 digits before the point and 30 after it.
        ([(0, "0"), (2, f"{'9' * 15}.{'9' * 30}")], 1, f"4{'9' * 14}.{'9' * 30}5"),
    ):
        assert used_at([sample(*each) for each in taken], START + hours * HOUR) == Decimal(used)


TINY = "0." + "0" * 29
MANY = "1" + "0" * 14 + "." + "0" * 29


def test_spend_is_told_for_each_day_of_utc() -> None:
    """As far as it is covered. The first sample is of 06:00 on the second of March."""
    for taken, spends in (
        # From 06:00 to 06:00 the next day but one, one an hour.
        ([(0, "0"), (48, "48")], {2: "18", 3: "24", 4: "6"}),
        # Of days inside a gap nothing is known.
        ([(0, "0"), (2, "2"), (240, "50"), (241, "51")], {2: "2", 12: "1"}),
        # The gateway counted anew in between; all digits count, 15 before the point and 30 after it.
        ([(0, "5"), (1, f"1{'0' * 13}5.{'0' * 29}1"), (2, "0"), (3, f"{TINY}1")], {2: f"{MANY}2"}),
        # One sample alone, and two in the same moment, cover no time.
        ([(0, "1")], {}),
        ([(0, "1"), (0, "2")], {}),
    ):
        found = spends_by_day([sample(*each) for each in taken])
        assert found == [DaySpend(date(2026, 3, day), Decimal(spent)) for day, spent in spends.items()]


def test_a_day_begins_at_midnight_whenever_the_samples_were_taken() -> None:
    """Half a second before midnight of UTC and a second and a half after it, and a sample on the next one."""
    midnight = datetime(2026, 3, 2, tzinfo=UTC)
    moments = [timedelta(seconds=-0.5), timedelta(seconds=1.5), timedelta(days=1)]
    taken = [Sample(midnight + at, Decimal(9), Decimal(used)) for at, used in zip(moments, (0, 4, 6), strict=True)]
    assert spends_by_day(taken) == [DaySpend(date(2026, 3, 1), Decimal(1)), DaySpend(date(2026, 3, 2), Decimal(5))]


@given(st.lists(st.tuples(st.integers(1, 400), st.integers(0, 1000)), min_size=1, max_size=40))
def test_days_add_up_to_the_spend_of_the_segments(steps: list[tuple[int, int]]) -> None:
    """Cutting at midnight loses nothing and adds nothing."""
    at, used, taken = START, Decimal(0), []
    for hours, spent in steps:
        at, used = at + hours * HOUR, used + spent
        taken.append(Sample(at, Decimal(5), used))
    total = sum(segment[-1].used - segment[0].used for segment in segments(taken))
    assert abs(sum(day.spent for day in spends_by_day(taken)) - total) < Decimal("1e-20")


@pytest.mark.parametrize(
    ("taken", "found"),
    [
        # The second sample confirms it, and the first one dates it; spend goes on meanwhile.
        ([("0", "10"), ("2", "58"), ("3", "57")], [(1, "50")]),
        ([("0", "10"), ("0", "4"), ("1", "3")], [(1, "-6")]),
        # One sample alone shows nothing: a charge may be booked in two steps.
        ([("0", "10"), ("0", "8"), ("2", "8")], []),
        ([("0", "10"), ("0", "60")], []),
        # Two changes in a row are one, seen at the second.
        ([("0", "10"), ("0", "20"), ("0", "35"), ("0", "35")], [(2, "25")]),
        # Unlimited, there is nothing to compare.
        ([("0", "10"), ("0", None), ("0", "90"), ("0", "90")], []),
        ([("0", None), ("0", "10"), ("0", "60"), ("0", "60")], [(2, "50")]),
        # The noise of floats is no change, and makes no difference to one; of a huge amount it is larger.
        ([("0", "10"), ("0", "10.000001"), ("0", "10.000001")], []),
        ([("0", "10"), ("0", "9.999999"), ("0", "9.999999")], []),
        ([("0", "99999999999999"), ("0", "99999999999999.02"), ("0", "99999999999999.02")], []),
        ([("0", f"10.{number:07}") for number in range(50)], []),
        ([("0", "10"), ("0", "60"), ("0", "59.999999")], [(1, "50")]),
        ([("0", "10"), ("0", "60"), ("0", "60.000001")], [(1, "50")]),
        # 15 digits before the point and 30 after it.
        ([("0", f"{TINY}1"), ("0", f"{MANY}3"), ("0", f"{MANY}3")], [(1, f"{MANY}2")]),
        # A gateway that counts anew: `used` starts at zero, and the sum falls with it.
        ([("90", "10"), ("91", "9"), ("0", "9"), ("1", "8")], []),
    ],
)
def test_a_top_up_is_a_change_that_two_samples_agree_on(
    taken: list[tuple[str, str | None]], found: list[tuple[int, str]]
) -> None:
    """Of what is left and what was used together."""
    samples = [sample(hours, *each) for hours, each in enumerate(taken)]
    assert top_ups(samples) == [TopUp(START + hours * HOUR, Decimal(amount)) for hours, amount in found]


@pytest.mark.parametrize("used", ["5", "4.9999999", "4.999999"])
def test_a_top_up_inside_a_gap_is_seen_after_it(used: str) -> None:
    """The noise of floats is no new count; where the gateway counts anew, be it above what was used, there is none."""
    taken = [sample(0, "5", "10"), sample(1000, used, "60"), sample(1001, used, "60")]
    assert [(each.at, round(each.amount, 3)) for each in top_ups(taken)] == [(START + 1000 * HOUR, 50)]
    anew = [sample(1000, "0", "60"), sample(1001, "6", "54"), sample(1002, "6", "54")]
    assert top_ups([sample(0, "5", "10"), anew[0]]) == top_ups([sample(0, "5", "10"), *anew]) == []


@given(st.lists(st.integers(-50, 50).filter(bool), max_size=8), st.integers(0, 5))
def test_every_confirmed_top_up_is_found(amounts: list[int], spent: int) -> None:
    """Each is seen twice, with or without spend between the samples."""
    taken, remain, used, at = [sample(0, "0", "1000")], Decimal(1000), Decimal(0), START
    for amount in amounts:
        remain += amount
        for _ in range(2):
            at, remain, used = at + HOUR, remain - spent, used + spent
            taken.append(Sample(at, remain, used))
    assert [each.amount for each in top_ups(taken)] == amounts
