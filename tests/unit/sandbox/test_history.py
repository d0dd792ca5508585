"""The sandbox's made-up past, and that the forecast makes something of it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apimart_cli.rules.forecast import forecast
from apimart_cli.rules.spending import Sample, spends_by_day, top_ups
from apimart_cli.sandbox.scenario import Funds, past
from apimart_cli.words import ForecastState

END = datetime(2026, 11, 20, 10, tzinfo=UTC)
DOCUMENTED = Funds(Decimal("10.5"), Decimal("2.3"))


@settings(max_examples=30)
@given(
    st.decimals(0, 100_000, places=6) | st.none(),
    st.decimals(0, 100_000, places=6),
    st.integers(1, 60),
    st.integers(0, 5),
)
def test_it_ends_at_the_amounts_and_was_always_possible(
    remain: Decimal | None, used: Decimal, days: int, seed: int
) -> None:
    """Times and `used` never go back, nothing is negative, and the first live reading goes on from the last one."""
    made_up = past(END, Funds(remain, used), days, seed=seed)
    assert made_up[-1] == (END, remain, used)
    assert made_up[0].at == END - timedelta(days=days)
    assert all(before.at < after.at and before.used <= after.used for before, after in pairwise(made_up))
    assert all(each.used >= 0 and (each.remain is None) == (remain is None) for each in made_up)
    assert all(each.remain >= 0 for each in made_up if each.remain is not None)
    assert all(-int(each.used.as_tuple().exponent) <= 6 for each in made_up)


def test_the_same_seed_makes_the_same_past() -> None:
    """And another one another."""
    assert past(END, DOCUMENTED, 14) == past(END, DOCUMENTED, 14)
    assert past(END, DOCUMENTED, 14, seed=2) != past(END, DOCUMENTED, 14)


def test_a_fortnight_shows_everything() -> None:
    """Days that differ, one top-up, and a forecast with a range."""
    samples = [Sample(*each) for each in past(END, DOCUMENTED, 14)]
    result = forecast(samples)
    assert result is not None
    assert (result.state, result.days_seen) == (ForecastState.OK, 14)
    assert result.days_left_low is not None
    assert result.days_left is not None
    assert result.days_left_low < result.days_left
    spends = [day.spent for day in spends_by_day(samples)]
    assert len(spends) == 15
    assert abs(sum(spends) - DOCUMENTED.used) < Decimal("1e-20")
    assert max(spends) > 4 * min(spends)
    assert [each.amount for each in top_ups(samples)] == [10]


@pytest.mark.parametrize(
    ("remain", "used", "state"),
    [
        (Decimal(0), 0, ForecastState.EMPTY),
        (None, 5, ForecastState.UNLIMITED),
        (Decimal(5), 0, ForecastState.IDLE),
    ],
)
def test_amounts_without_spend_or_end_have_a_past_too(remain: Decimal | None, used: int, state: ForecastState) -> None:
    """Empty, unlimited, unused."""
    result = forecast([Sample(*each) for each in past(END, Funds(remain, Decimal(used)), 14)])
    assert result is not None
    assert result.state is state
