"""The forecast: what state it is in, how long the rest lasts, and promises that hold for every series."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise, product
from statistics import NormalDist

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from apimart_cli.rules.forecast import (
    T_90,
    WIDENING,
    Forecast,
    all_last_at_least,
    daily_spends,
    forecast,
    lasts_at_least,
    sooner,
)
from apimart_cli.rules.spending import DAY, Sample, used_at
from apimart_cli.words import ForecastState

START = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
ENDED = (Decimal(0), Decimal(0), Decimal(0))


def days(*spends: Decimal | float | str, remain: str | None = "60") -> list[Sample]:
    """Return a reading each midnight, with this spend between them."""
    taken = [Sample(START, None if remain is None else Decimal(remain), Decimal(0))]
    for spent in spends:
        before = taken[-1]
        taken.append(before._replace(at=before.at + DAY, used=before.used + Decimal(spent)))
    return taken


def told(samples: Sequence[Sample]) -> Forecast:
    result = forecast(samples)
    assert result is not None
    return result


def test_where_there_is_no_range_the_state_says_why() -> None:
    """Nothing is recorded, too little, nothing is spent, there is no end, or nothing is left."""
    for taken, result in (
        ([], None),
        (days(), Forecast(ForecastState.TOO_LITTLE, Decimal(0))),
        (days(0, 0, 0, 0, 0), Forecast(ForecastState.IDLE, Decimal(5), Decimal(0))),
        # Eight days after the last spend a week is idle, and no more is claimed.
        (days(5, 5, *[0] * 8), Forecast(ForecastState.IDLE, Decimal(7), Decimal(0))),
        # The `used` of an unlimited key rises as others' do.
        (days(2, 2, 2, remain=None), Forecast(ForecastState.UNLIMITED, Decimal(3), Decimal(2))),
        (days(2, remain=None), Forecast(ForecastState.UNLIMITED, Decimal(1))),
        (days(remain="0"), Forecast(ForecastState.EMPTY, Decimal(0), None, *ENDED)),
        (days(2, 2, 2, 2, remain="-3"), Forecast(ForecastState.EMPTY, Decimal(4), Decimal(2), *ENDED)),
    ):
        assert forecast(taken) == result


def test_whole_weeks_are_looked_at_once_there_is_one() -> None:
    """Below a week every whole day, and the forecast is rough; below three days, by a microsecond, there is none."""
    for count, state, seen in (
        (3, "rough", 3),
        (6, "rough", 6),
        (7, "ok", 7),
        (13, "ok", 7),
        (27, "ok", 21),
        (28, "ok", 28),
    ):
        result = told(days(*[2] * count))
        assert (result.state, result.days_seen, result.spent_per_day) == (state, seen, 2)
        assert (result.days_left, result.days_left_low, result.days_left_high) == (30, 30, 30)
    first, *others = days(1, 1, 1)
    result = told([first._replace(at=START + timedelta(microseconds=1)), *others])
    assert result.state is ForecastState.TOO_LITTLE
    assert Decimal("2.9999") < result.days_seen < 3


def test_idleness_needs_readings_on_three_days() -> None:
    """Two, at these ages in hours, are a clock that was set, as well as days in which nothing was spent."""
    for ages, state, seen in (
        # As of a first reading under a clock that was four days behind.
        ((97, 0), "too_little", 2),
        ((96, 23, 1, 0), "too_little", 2),
        ((72, 36, 0), "idle", 3),
        ((14 * 24, 7 * 24, 0), "idle", 14),
        # Nothing but the seven days that are looked at, and the day before them, counts.
        ((11 * 24, 8 * 24 - 1, 6 * 24, 0), "idle", 7),
        ((11 * 24, 8 * 24, 6 * 24, 0), "too_little", 2),
    ):
        result = told([Sample(START - age * HOUR, Decimal(5), Decimal(200)) for age in ages])
        assert (result.state, result.days_seen) == (state, seen)
        assert result.spent_per_day == (0 if state == "idle" else None)


def test_what_is_left_is_what_the_last_sample_says() -> None:
    """Also where its `used` is not believed yet, or where the quota was without a limit before."""
    taken = days(2, 2, 2)
    assert told([*taken, Sample(taken[-1].at + HOUR, Decimal(1), Decimal(0))]).days_left == Decimal("0.5")
    unlimited = days(2, 2, 2, remain=None)
    limited = [*unlimited[:-1], unlimited[-1]._replace(remain=Decimal(20))]
    assert told(limited).days_left == 10
    assert told([*limited[:-1], unlimited[-1]]).spent_per_day == 2


def test_the_spend_is_that_of_the_days_that_are_looked_at() -> None:
    """Of ten days the last seven, cut back from the last sample; a charge that was given back is taken off."""
    assert told(days(100, 100, 100, *[2] * 7)).spent_per_day == 2
    assert told(days(2, 8, -4, 2)).spent_per_day == 2
    # Ten days without a sample start the history anew.
    before = days(*[2] * 20)
    after = [Sample(before[-1].at + (10 + day) * DAY, Decimal(60), Decimal(100 + day)) for day in range(4)]
    result = told([*before, *after])
    assert (result.state, result.days_seen, result.spent_per_day) == (ForecastState.ROUGH, 3, 1)


def hours(*readings: tuple[int, int]) -> list[Sample]:
    """Return readings of what was used, so many hours after the start, with 60 left."""
    return [Sample(START + hour * HOUR, Decimal(60), Decimal(used)) for hour, used in readings]


def test_when_all_was_given_back_there_is_a_low_end_and_no_point() -> None:
    """A charge at the end of the first day came back on the second: no rate, but such a charge may stay next time."""
    result = told(hours((0, 0), (23, 0), (24, 5), (25, 0), (72, 0)))
    assert (result.state, result.spent_per_day) == (ForecastState.ROUGH, 0)
    assert (result.days_left, result.days_left_high) == (None, None)
    assert 0 < infinite(result.days_left_low) < 20
    # A charge from before the days that are looked at came back in them: that is no negative spend.
    result = told(hours((0, 0), (5, 50), (29, 1), (30, 1), (101, 1)))
    assert (result.state, result.spent_per_day) == (ForecastState.IDLE, 0)


def test_two_clocks_an_hour_apart_tell_nearly_the_same() -> None:
    """Two machines that write to one ledger."""
    right = [Sample(START + hour * HOUR, Decimal(100), Decimal(hour)) for hour in range(0, 24 * 8, 2)]
    ahead = [Sample(each.at + 1.5 * HOUR, each.remain, each.used + Decimal("0.5")) for each in right]
    result = told(sorted([*right, *ahead]))
    assert result.state is ForecastState.OK
    assert result.spent_per_day is not None
    assert abs(result.spent_per_day - 24) < 1


def test_huge_and_tiny_amounts_are_told_as_exactly() -> None:
    """Days do not depend on the unit, and nothing overflows."""
    for factor in (Decimal("1e-30"), Decimal("1e12")):
        taken = [each._replace(remain=60 * factor, used=each.used * factor) for each in days(1, 3, 2, 2, 1, 3, 2)]
        assert (told(taken).days_left, told(taken).spent_per_day) == (30, 2 * factor)
    rest = told(days("1e-30", "1e-30", "1e-30", remain=f"{'9' * 15}.{'9' * 30}")).days_left
    assert Decimal("1e44") < infinite(rest) < infinite(None)
    # Of the most digits nothing is rounded: not each day's spend, nor the rate, nor what it divides.
    spent, *used = (Decimal(f"{number}{'0' * 14}.{'0' * 29}{number}") for number in (1, 0, 1, 2, 3))
    remain = Decimal(f"7{'0' * 14}.{'0' * 29}7")
    taken = [Sample(START + number * DAY, remain, level) for number, level in enumerate(used)]
    assert daily_spends(taken) == [spent, spent, spent]
    assert (told(taken).spent_per_day, told(taken).days_left) == (spent, 7)


def test_the_range_of_a_worked_example() -> None:
    """Seven days of 1 and 3 in turn, 20 left: both ends solve the equation."""
    spends = [1.0, 3.0, 1.0, 3.0, 1.0, 3.0, 2.0]
    result = told(days(*spends, remain="20"))
    mean, variance = 2.0, 6 / 6
    width = 1.25 * 1.4398
    for end, sign in ((result.days_left_low, 1), (result.days_left_high, -1)):
        x = float(end or 0)
        assert math.isclose(20, x * mean + sign * width * math.sqrt(variance) * math.sqrt(x + x * x / 7), rel_tol=1e-9)
    assert result.days_left == 10


def test_where_all_days_are_alike_rounding_keeps_the_order() -> None:
    """Thirds and sevenths are rounded, and the three ends with them."""
    for spent, remain in product(range(1, 30), repeat=2):
        result = told(days(*[f"{spent}.7"] * 7, remain=str(remain)))
        assert infinite(result.days_left_low) <= infinite(result.days_left) <= infinite(result.days_left_high)


def test_days_that_differ_too_much_have_no_upper_end() -> None:
    """One busy day among idle ones; or just so much that what they spend and how much they differ cancel out."""
    mean = WIDENING * T_90[3]
    for spends in ((0, 0, 30, 0), (mean + 1, mean + 1, mean - 2)):
        result = told(days(*spends))
        assert (result.state, result.days_left_high) == (ForecastState.ROUGH, None)
        assert infinite(result.days_left_low) < infinite(result.days_left) < infinite(None)


def test_days_without_a_reading_are_not_taken_for_alike() -> None:
    """Two samples six days apart: 10 may have been spent on one of these days, so 20 may last two of them."""
    rare = told([Sample(START, Decimal("30"), Decimal(0)), Sample(START + 6.5 * DAY, Decimal("20"), Decimal(10))])
    often = told([Sample(START + number * DAY / 2, Decimal("30"), Decimal(10) * number / 13) for number in range(14)])
    assert (rare.state, often.state) == (ForecastState.ROUGH, ForecastState.ROUGH)
    assert (rare.days_seen, rare.days_left) == (6, pytest.approx(Decimal(13), abs=Decimal("0.01")))
    assert infinite(rare.days_left_low) < 4
    assert 15 < infinite(often.days_left_low) < infinite(None)
    # How many days have a sample decides whether it is rough: of 14 days 14, 7, 5 and 3 have one.
    for every, state in ((1, "ok"), (2, "ok"), (3, "rough"), (6, "rough")):
        taken = [Sample(START + number * DAY, Decimal(60), Decimal(number)) for number in range(0, 16, every)]
        assert told(taken).state == state


def test_the_t_table_is_right() -> None:
    """Each quantile is where a numerical integral of the density is 0.9, and they fall towards the normal one."""
    for blocks, quantile in T_90.items():
        assert abs(t_distribution(float(quantile), blocks - 1) - 0.9) < 2e-5, blocks
    assert all(before > after for before, after in pairwise(T_90.values()))
    assert T_90[28] > Decimal(NormalDist().inv_cdf(0.9))


def t_distribution(t: float, degrees: int) -> float:
    """Return the probability below `t`, by Simpson's rule."""
    scale = math.gamma((degrees + 1) / 2) / (math.sqrt(degrees * math.pi) * math.gamma(degrees / 2))
    steps = 2000
    width = t / steps
    density = [scale * (1 + (step * width) ** 2 / degrees) ** (-(degrees + 1) / 2) for step in range(steps + 1)]
    return 0.5 + width / 3 * (density[0] + density[-1] + 4 * sum(density[1:-1:2]) + 2 * sum(density[2:-1:2]))


AMOUNTS = st.decimals(0, 1000, places=3)


@st.composite
def series(draw: st.DrawFn, longest_step: int = 40) -> list[Sample]:
    """A series without breaks, three days long or longer, in which something is spent and something is left."""
    steps = draw(st.lists(st.tuples(st.integers(1, longest_step), AMOUNTS), min_size=4, max_size=40))
    remain = draw(st.decimals("0.001", 10_000, places=3))
    taken = [Sample(START, remain, Decimal(0))]
    for hours, spent in steps:
        taken.append(Sample(taken[-1].at + hours * HOUR, remain, taken[-1].used + spent))
    assume(taken[-1].at - START >= 3 * DAY)
    return taken


def infinite(end: Decimal | None) -> Decimal:
    return Decimal("Infinity") if end is None else end


@given(series())
def test_the_ends_agree_with_an_oracle_that_knows_no_formula(taken: list[Sample]) -> None:
    """Found by halving in floats: where the spend may reach the rest, and where it surely has; the point is between."""
    result = told(taken)
    if result.state is not ForecastState.IDLE:
        assert 0 <= infinite(result.days_left_low) <= infinite(result.days_left) <= infinite(result.days_left_high)
    spends = [float(spent) for spent in daily_spends(taken)]
    assume(result.days_left_low is not None and sum(spends) > 0)
    n, mean = len(spends), sum(spends) / len(spends)
    # As it was seen: what was spent between two readings, all at once.
    seen, before = [], 0
    for number in range(1, n + 1):
        day = (taken[-1].at - (n - number + 1) * DAY, taken[-1].at - (n - number) * DAY)
        has_sample = any(day[0] < sample.at <= day[1] for sample in taken)
        seen.append(sum(spends[before:number]) if has_sample else 0.0)
        before = number if has_sample else before
    width = float(WIDENING * T_90[n]) * math.sqrt(sum((spent - mean) ** 2 for spent in seen) / (n - 1))
    remain = float(taken[-1].remain or 0)

    def reached(x: float, sign: int) -> float:
        return x * mean + sign * width * math.sqrt(x + x * x / n) - remain

    low, high = 0.0, remain / mean
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if reached(middle, 1) < 0 else (low, middle)
    assert math.isclose(float(result.days_left_low or 0), low, rel_tol=1e-6, abs_tol=1e-9)
    slope = mean - width / math.sqrt(n)
    if result.days_left_high is None:
        assert slope <= 1e-9 * mean
    elif slope > 1e-6 * mean:
        assert math.isclose(reached(float(result.days_left_high), -1) / remain, 0, abs_tol=1e-4)


@given(series(), st.decimals("0.001", 10_000, places=3), st.integers(0, 50), st.decimals(-100, 1000, places=2))
def test_what_is_left_changes_the_end_and_not_the_spend(
    taken: list[Sample], more: Decimal, place: int, top_up: Decimal
) -> None:
    """With more left no end of the range comes earlier; whenever a top-up comes, and be it a cut, it is no spend."""
    result, richer = told(taken), told(richer_by(more, taken))
    for name in ("days_left_low", "days_left", "days_left_high"):
        assert infinite(getattr(richer, name)) >= infinite(getattr(result, name))
    assert richer.state == result.state
    assert told([*taken[:place], *richer_by(top_up, taken[place:])]).spent_per_day == result.spent_per_day


def richer_by(more: Decimal, taken: Sequence[Sample]) -> list[Sample]:
    return [each._replace(remain=(each.remain or 0) + more) for each in taken]


@given(series(longest_step=24), st.integers(2, 5))
def test_reading_more_often_changes_nothing(taken: list[Sample], parts: int) -> None:
    """More samples on the line between two of them, where each day has one."""
    finer = [taken[0]]
    for before, after in pairwise(taken):
        times = [before.at + (after.at - before.at) * part / parts for part in range(1, parts)]
        finer += [before._replace(at=moment, used=used_at(taken, moment)) for moment in times]
        finer.append(after)
    one, other = told(taken), told(finer)
    assert (one.state, one.days_seen) == (other.state, other.days_seen)
    assert close(one.spent_per_day, other.spent_per_day)
    assert close(one.days_left_low, other.days_left_low)


@given(series(), st.sampled_from(["0.000001", "0.5", "3", "7000"]), st.timedeltas(timedelta(0), timedelta(days=2000)))
def test_the_unit_scales_the_rate_and_nothing_else(taken: list[Sample], scale: str, shift: timedelta) -> None:
    """A dollar is a hundred cents. Nor does the date matter: only times between samples do."""
    factor, result = Decimal(scale), told(taken)
    scaled = told([each._replace(remain=(each.remain or 0) * factor, used=each.used * factor) for each in taken])
    assert scaled.state == result.state
    assert close(scaled.spent_per_day, (result.spent_per_day or 0) * factor)
    assert close(scaled.days_left_low, result.days_left_low)
    assert close(scaled.days_left, result.days_left)
    assert told([each._replace(at=each.at + shift) for each in taken]) == result


def close(one: Decimal | None, other: Decimal | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) <= Decimal("1e-20") * max(abs(one), abs(other))


TOO_LITTLE = Forecast(ForecastState.TOO_LITTLE, Decimal("1.4"))
EMPTY = Forecast(ForecastState.EMPTY, Decimal(7), Decimal(1), Decimal(0), Decimal(0), Decimal(0))
IDLE = Forecast(ForecastState.IDLE, Decimal(3), Decimal(0))
UNLIMITED = Forecast(ForecastState.UNLIMITED, Decimal(3), Decimal(9))


def ending(low: str, point: str | None = None, high: str | None = None, *, rough: bool = False) -> Forecast:
    state = ForecastState.ROUGH if rough else ForecastState.OK
    ends = [None if end is None else Decimal(end) for end in (point, low, high)]
    return Forecast(state, Decimal(5 if rough else 7), Decimal(1), *ends)


def test_the_low_end_decides_whether_it_lasts() -> None:
    """Exactly; the point and the high end do not matter."""
    for result, answer in (
        (None, None),
        (TOO_LITTLE, None),
        (EMPTY, False),
        (IDLE, True),
        (UNLIMITED, True),
        (ending("3", "5"), True),
        (ending("2.99999999999999999999999999999999", "500", "900"), False),
        (ending("3", "5", rough=True), True),
    ):
        assert lasts_at_least(result, timedelta(days=3)) is answer
        assert lasts_at_least(EMPTY, timedelta(0)) is False, "asking for nothing is no way to a pass"


def test_of_several_the_one_that_does_not_last_decides() -> None:
    """Then the one that is not known: it must not hide the other."""
    for results, answer in (
        ([], True),
        ([IDLE, ending("9", "9")], True),
        ([IDLE, None], None),
        ([TOO_LITTLE, ending("1", "9")], False),
    ):
        assert all_last_at_least(results, timedelta(days=3)) is answer


KINDS = [None, TOO_LITTLE, EMPTY, IDLE, UNLIMITED, ending("3", "5", "9"), ending("2", "8"), ending("4", rough=True)]


@pytest.mark.parametrize(("one", "other", "result"), [
    (None, ending("3", "5"), None), (None, EMPTY, EMPTY), (TOO_LITTLE, EMPTY, EMPTY),
    (TOO_LITTLE, ending("3", "5"), TOO_LITTLE), (TOO_LITTLE, UNLIMITED, TOO_LITTLE), (IDLE, UNLIMITED, IDLE),
    (ending("3", "5", "9"), UNLIMITED, ending("3", "5", "9")),
    (ending("3", "5", "9"), IDLE, ending("3", "5", "9")),
    (ending("3", "5", "9"), ending("2", "8"), ending("2", "5", "9")),
    (ending("3", "5", "9"), ending("6", "8", "10", rough=True), ending("3", "5", "9", rough=True)),
])  # fmt: skip
def test_the_sooner_end_of_two(one: Forecast | None, other: Forecast | None, result: Forecast | None) -> None:
    """Either way round."""
    assert sooner(one, other) == sooner(other, one) == result


def test_of_two_that_end_alike_the_one_that_spends_more_is_told() -> None:
    """Either way round; also of two that never end, and where one of them spends nothing."""
    for slow in (ending("3", "5"), UNLIMITED, UNLIMITED._replace(spent_per_day=Decimal(0))):
        fast = slow._replace(spent_per_day=(slow.spent_per_day or 0) + Decimal("0.5"))
        assert sooner(slow, fast) == sooner(fast, slow) == fast


def test_the_sooner_end_lasts_only_where_both_last() -> None:
    """It never passes what one of them would not."""
    for one, other in product(KINDS, repeat=2):
        result = sooner(one, other)
        assert result == sooner(other, one)
        assert sooner(one, one) == one
        for length in (timedelta(0), timedelta(days=2.5), timedelta(days=3), timedelta(days=30)):
            if lasts_at_least(result, length):
                assert all_last_at_least([one, other], length)
