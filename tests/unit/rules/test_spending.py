"""Spending: where a series is cut, what was used at a moment, the spend of a day, and what is a top-up."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimart_cli.rules.spending import LONGEST_GAP, DaySpend, Sample, TopUp, segments, spends_by_day, top_ups, used_at

START = datetime(2026, 3, 2, 6, tzinfo=UTC)
HOUR = timedelta(hours=1)


def sample(hours: float, used: str, remain: str | None = "100") -> Sample:
    """Return a reading so many hours after the start."""
    return Sample(START + hours * HOUR, None if remain is None else Decimal(remain), Decimal(used))


def used_of(cut: list[list[Sample]]) -> list[list[str]]:
    return [[str(each.used) for each in segment] for segment in cut]


# --- segments ---------------------------------------------------------------------------------------------------


def test_nothing_has_no_segment() -> None:
    """No samples, no segments."""
    assert segments([]) == []


def test_a_steady_series_is_one_segment() -> None:
    """Rising and resting `used` needs no cut."""
    assert used_of(segments([sample(0, "1"), sample(1, "1"), sample(2, "3")])) == [["1", "1", "3"]]


@pytest.mark.parametrize(("gap", "count"), [(LONGEST_GAP, 1), (LONGEST_GAP + timedelta(microseconds=1), 2)])
def test_more_than_seven_days_without_a_sample_start_a_new_segment(gap: timedelta, count: int) -> None:
    """Seven days are bridged, not more."""
    assert len(segments([sample(0, "1"), Sample(START + gap, Decimal(1), Decimal(2))])) == count


def test_a_clock_that_runs_backwards_starts_a_new_segment() -> None:
    """Nothing can be told across it; the same second again is no such thing."""
    assert used_of(segments([sample(1, "1"), sample(1, "2"), sample(0.5, "3")])) == [["1", "2"], ["3"]]


def test_a_charge_that_is_given_back_does_not_cut() -> None:
    """`used` falls to what it was before the charge was booked."""
    assert len(segments([sample(0, "1"), sample(1, "6"), sample(2, "1"), sample(3, "1")])) == 1


def test_a_fall_below_the_day_before_cuts_when_it_lasts() -> None:
    """The gateway counts anew."""
    taken = [sample(0, "10"), sample(1, "11"), sample(2, "0"), sample(3, "1")]
    assert used_of(segments(taken)) == [["10", "11"], ["0", "1"]]


def test_a_fall_that_the_next_sample_denies_is_left_out() -> None:
    """One answer from a server that lags is a mistake, and no spend."""
    taken = [sample(0, "10"), sample(1, "11"), sample(2, "0"), sample(3, "11"), sample(4, "12")]
    assert used_of(segments(taken)) == [["10", "11", "11", "12"]]


def test_a_fall_that_only_the_last_sample_shows_is_left_out() -> None:
    """It may be either."""
    assert used_of(segments([sample(0, "10"), sample(1, "11"), sample(2, "0")])) == [["10", "11"]]


def test_a_fall_to_what_was_used_more_than_a_day_ago_cuts() -> None:
    """Charges are given back within the day."""
    taken = [sample(0, "1"), sample(1, "10"), sample(30, "11"), sample(31, "5"), sample(32, "6")]
    assert used_of(segments(taken)) == [["1", "10", "11"], ["5", "6"]]


def test_a_fall_after_days_of_rest_compares_with_the_last_sample_before_the_day() -> None:
    """It counts although it is older than a day: it is what was so when the day began."""
    taken = [sample(0, "5"), sample(48, "11"), sample(49, "5"), sample(50, "6")]
    assert len(segments(taken)) == 1


@pytest.mark.parametrize("used", ["9.999999", "9.9999995", "9.999999999999"])
def test_the_noise_of_floats_does_not_cut(used: str) -> None:
    """Gateways compute with them."""
    assert len(segments([sample(0, "10"), sample(1, used), sample(2, used)])) == 1


def test_two_clocks_an_hour_apart_make_one_segment() -> None:
    """Two machines that write to one ledger: `used` goes up and down within the hour, and nothing is cut."""
    rising = [Sample(START + hour * HOUR, Decimal(100), Decimal(hour)) for hour in range(0, 96, 2)]
    ahead = [Sample(each.at + HOUR, each.remain, each.used) for each in rising]
    both = sorted([*rising, *[Sample(s.at - 30 * timedelta(minutes=1), s.remain, s.used) for s in ahead]])
    assert len(segments(both)) == 1


# --- what was used at a moment ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("hours", "used"), [(0, "1"), (1, "2"), (2, "3"), (3, "6"), (4, "9")])
def test_used_is_in_proportion_between_the_samples_around_it(hours: int, used: str) -> None:
    """On a sample it is what the sample says."""
    assert used_at([sample(0, "1"), sample(2, "3"), sample(4, "9")], START + hours * HOUR) == Decimal(used)


def test_of_samples_in_the_same_second_the_last_one_counts() -> None:
    """At that moment and after it."""
    taken = [sample(0, "1"), sample(1, "2"), sample(1, "4"), sample(2, "6")]
    assert (used_at(taken, START + HOUR), used_at(taken, START + 1.5 * HOUR)) == (Decimal(4), Decimal(5))


def test_amounts_of_the_most_digits_are_exact() -> None:
    """15 digits before the point and 30 after it."""
    most = f"{'9' * 15}.{'9' * 30}"
    assert used_at([sample(0, "0"), sample(2, most)], START + HOUR) == Decimal(f"4{'9' * 14}.{'9' * 30}5")


def test_after_the_last_sample_it_is_what_that_one_says() -> None:
    """Nothing newer is known."""
    assert used_at([sample(0, "1"), sample(2, "3")], START + 5 * HOUR) == 3


# --- days -------------------------------------------------------------------------------------------------------


def test_spend_is_told_for_each_day_of_utc() -> None:
    """From 06:00 to 06:00 the next day but one, one an hour: 18, 24 and 6."""
    assert spends_by_day([sample(0, "0"), sample(48, "48")]) == [
        DaySpend(date(2026, 3, 2), Decimal(18)),
        DaySpend(date(2026, 3, 3), Decimal(24)),
        DaySpend(date(2026, 3, 4), Decimal(6)),
    ]


def test_days_inside_a_gap_are_not_there() -> None:
    """Nobody knows what was spent on them."""
    days = spends_by_day([sample(0, "0"), sample(2, "2"), sample(240, "50"), sample(241, "51")])
    assert days == [DaySpend(date(2026, 3, 2), Decimal(2)), DaySpend(date(2026, 3, 12), Decimal(1))]


def test_what_was_spent_on_one_day_in_two_segments_adds_up() -> None:
    """The gateway counted anew in between: 2 before it, 3 after it."""
    taken = [sample(0, "10"), sample(1, "12"), sample(2, "0"), sample(3, "3")]
    assert spends_by_day(taken) == [DaySpend(date(2026, 3, 2), Decimal(5))]


def test_a_day_begins_at_midnight_whenever_the_samples_were_taken() -> None:
    """Half a second before midnight of UTC and a second and a half after it, and a sample on the next one."""
    midnight = datetime(2026, 3, 2, tzinfo=UTC)
    moments = [timedelta(seconds=-0.5), timedelta(seconds=1.5), timedelta(days=1)]
    taken = [Sample(midnight + at, Decimal(9), Decimal(used)) for at, used in zip(moments, (0, 4, 6), strict=True)]
    assert spends_by_day(taken) == [DaySpend(date(2026, 3, 1), Decimal(1)), DaySpend(date(2026, 3, 2), Decimal(5))]


def test_samples_that_cover_no_time_cover_no_day() -> None:
    """One alone, and two in the same moment."""
    assert spends_by_day([sample(0, "1")]) == []
    assert spends_by_day([sample(0, "1"), sample(0, "2")]) == []


def test_the_spend_of_a_day_has_all_its_digits() -> None:
    """15 before the point and 30 after it, in two segments of the same day."""
    high, tiny = f"1{'0' * 13}5.{'0' * 29}1", f"0.{'0' * 29}1"
    taken = [sample(0, "5"), sample(1, high), sample(2, "0"), sample(3, tiny)]
    assert spends_by_day(taken) == [DaySpend(date(2026, 3, 2), Decimal(f"1{'0' * 14}.{'0' * 29}2"))]


@pytest.mark.parametrize("day", [date(2026, 3, 29), date(2026, 10, 25)])
def test_a_day_on_which_clocks_change_has_24_hours(day: date) -> None:
    """Days are those of UTC, whatever the clocks on the wall do."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC) - HOUR
    taken = [Sample(start + hour * HOUR, Decimal(1), Decimal(hour)) for hour in range(50)]
    assert [each.spent for each in spends_by_day(taken)] == [1, 24, 24]


@given(st.lists(st.tuples(st.integers(1, 400), st.integers(0, 1000)), min_size=1, max_size=40))
def test_days_add_up_to_the_spend_of_the_segments(steps: list[tuple[int, int]]) -> None:
    """Cutting at midnight loses nothing and adds nothing."""
    at, used, taken = START, Decimal(0), []
    for hours, spent in steps:
        at, used = at + hours * HOUR, used + spent
        taken.append(Sample(at, Decimal(5), used))
    total = sum(segment[-1].used - segment[0].used for segment in segments(taken))
    assert abs(sum(day.spent for day in spends_by_day(taken)) - total) < Decimal("1e-20")


# --- top-ups ----------------------------------------------------------------------------------------------------


def test_a_top_up_is_confirmed_by_a_second_sample_and_dated_by_the_first() -> None:
    """Spend goes on beside it."""
    taken = [sample(0, "0", "10"), sample(1, "2", "58"), sample(2, "3", "57")]
    assert top_ups(taken) == [TopUp(START + HOUR, Decimal(50))]


def test_a_cut_is_a_top_up_below_zero() -> None:
    """Somebody lowered the quota."""
    assert top_ups([sample(0, "0", "10"), sample(1, "0", "4"), sample(2, "1", "3")]) == [
        TopUp(START + HOUR, Decimal(-6))
    ]


def test_what_one_sample_alone_shows_is_no_top_up() -> None:
    """A charge whose `used` is booked later than its `remain` moves the sum for a moment."""
    assert top_ups([sample(0, "0", "10"), sample(1, "0", "8"), sample(2, "2", "8")]) == []
    assert top_ups([sample(0, "0", "10"), sample(1, "0", "60")]) == []


def test_two_changes_in_a_row_need_two_samples_each() -> None:
    """The first of them was not seen twice: they are one change, seen at the second."""
    taken = [sample(0, "0", "10"), sample(1, "0", "20"), sample(2, "0", "35"), sample(3, "0", "35")]
    assert top_ups(taken) == [TopUp(START + 2 * HOUR, Decimal(25))]


def test_the_noise_of_floats_is_no_top_up() -> None:
    """Of a huge amount the noise is larger."""
    for noisy in ("10.0000004", "10.000001", "9.999999"):
        assert top_ups([sample(0, "0", "10"), sample(1, "0", noisy), sample(2, "0", noisy)]) == []
    huge = [sample(0, "0", "99999999999999"), sample(1, "0", "99999999999999.02"), sample(2, "0", "99999999999999.02")]
    assert top_ups(huge) == []


def test_a_quota_that_becomes_unlimited_and_limited_again_is_no_top_up() -> None:
    """There is nothing to compare."""
    taken = [sample(0, "0", "10"), sample(1, "0", None), sample(2, "0", "90"), sample(3, "0", "90")]
    assert top_ups(taken) == []


def test_a_top_up_after_an_unlimited_time_is_seen() -> None:
    """What is left once there is a limit again is what it is compared with."""
    taken = [sample(0, "0", None), sample(1, "0", "10"), sample(2, "0", "60"), sample(3, "0", "60")]
    assert top_ups(taken) == [TopUp(START + 2 * HOUR, Decimal(50))]


@pytest.mark.parametrize("confirming", ["59.999999", "60.000001"])
def test_the_second_sample_of_a_top_up_may_differ_by_the_noise_of_floats(confirming: str) -> None:
    """The amount is that of the first."""
    taken = [sample(0, "0", "10"), sample(1, "0", "60"), sample(2, "0", confirming)]
    assert top_ups(taken) == [TopUp(START + HOUR, Decimal(50))]


def test_the_amount_of_a_top_up_has_all_its_digits() -> None:
    """15 before the point and 30 after it."""
    before, after = f"0.{'0' * 29}1", f"1{'0' * 14}.{'0' * 29}3"
    taken = [sample(0, "0", before), sample(1, "0", after), sample(2, "0", after)]
    assert top_ups(taken) == [TopUp(START + HOUR, Decimal(f"1{'0' * 14}.{'0' * 29}2"))]


def test_a_gateway_that_counts_anew_is_no_cut() -> None:
    """`used` starts at zero, and the sum falls with it."""
    taken = [sample(0, "90", "10"), sample(1, "91", "9"), sample(2, "0", "9"), sample(3, "1", "8")]
    assert top_ups(taken) == []


@pytest.mark.parametrize("count", [1, 3])
def test_a_gateway_that_counts_anew_inside_a_gap_has_no_top_up(count: int) -> None:
    """The first sample after the gap tells it, be it alone or the next one above what was used before."""
    anew = [sample(1000, "0", "60"), sample(1001, "6", "54"), sample(1002, "6", "54")]
    assert top_ups([sample(0, "5", "10"), *anew[:count]]) == []


@pytest.mark.parametrize("used", ["5", "4.9999999", "4.999999"])
def test_a_top_up_inside_a_gap_is_seen_after_it(used: str) -> None:
    """The sum does not care how the spend was spread, and the noise of floats is no new count."""
    taken = [sample(0, "5", "10"), sample(1000, used, "60"), sample(1001, used, "60")]
    assert [(each.at, round(each.amount, 3)) for each in top_ups(taken)] == [(START + 1000 * HOUR, 50)]


def test_a_noise_that_adds_up_is_no_top_up() -> None:
    """Each sum is compared with the one before it."""
    taken = [sample(hour, "0", f"10.{hour:07}") for hour in range(50)]
    assert top_ups(taken) == []


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
