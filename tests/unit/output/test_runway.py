"""A forecast in words and as JSON."""

from decimal import Decimal

import pytest

from apimart_cli.output.runway import document, in_words, rounded_amount
from apimart_cli.rules.forecast import Forecast
from apimart_cli.words import ForecastState

OK, ROUGH = ForecastState.OK, ForecastState.ROUGH


def ending(
    point: str | None, low: str, high: str | None, state: ForecastState = OK, rate: str = "1.2345678"
) -> Forecast:
    ends = [None if end is None else Decimal(end) for end in (point, low, high)]
    return Forecast(state, Decimal(14), Decimal(rate), *ends)


@pytest.mark.parametrize(("forecast", "words"), [
    (ending("12", "7", "24"), "about 12 days (7 to 24)"),
    (ending("12.4", "7.99", "23.01"), "about 12 days (7 to 24)"),
    (ending("12.5", "7", "24"), "about 13 days (7 to 24)"),
    (ending("12", "7", None), "about 12 days (at least 7)"),
    (ending("12", "12", "12"), "about 12 days"),
    (ending("12", "7", "24", ROUGH), "about 12 days (7 to 24), rough"),
    (ending("2", "0.9", "3"), "about 2 days (0 to 3)"),
    (ending("1.9", "1.0", "3.5"), "about 46 hours (24 to 84)"),
    (ending("0.05", "0.03", "0.1"), "about 1 hour (0 to 3)"),
    (ending("0.02", "0.01", "0.5"), "less than an hour"),
    (ending("1.5", "1", "91"), "about 36 hours (24 to more than 90 days)"),
    (ending("60", "40", "400"), "about 60 days (40 to more than 90)"),
    (ending("90", "40", "90"), "about 90 days (40 to 90)"),
    (ending("90.01", "40", "400"), "more than 3 months (at least 40 days)"),
    (ending("300", "1.5", None), "more than 3 months (at least 36 hours)"),
    (ending("300", "90.5", "600"), "more than 3 months"),
    (ending("1e40", "1e39", "1e41"), "more than 3 months"),
    (ending(None, "8.7", None, ROUGH), "at least 8 days, rough"),
    (ending(None, "1", None), "at least 24 hours"), (ending(None, "100", None), "more than 3 months"),
    (Forecast(ForecastState.IDLE, Decimal(5), Decimal(0)), "nothing spent in 5 days"),
    (Forecast(ForecastState.TOO_LITTLE, Decimal("1.49")), "not enough history: 1.4 of 3 days"),
    (Forecast(ForecastState.TOO_LITTLE, Decimal("2.9999")), "not enough history: 2.9 of 3 days"),
    (Forecast(ForecastState.TOO_LITTLE, Decimal(0)), "not enough history: 0.0 of 3 days"),
    (Forecast(ForecastState.EMPTY, Decimal(7), Decimal(1), Decimal(0), Decimal(0), Decimal(0)), "empty"),
    (Forecast(ForecastState.UNLIMITED, Decimal(7), Decimal("12345.678")), "unlimited, about 12300 USD a day"),
    (Forecast(ForecastState.UNLIMITED, Decimal(7), Decimal("0.00001234")), "unlimited, about 0.0000123 USD a day"),
    (Forecast(ForecastState.UNLIMITED, Decimal(7), Decimal(0)), "unlimited, nothing spent in 7 days"),
    (Forecast(ForecastState.UNLIMITED, Decimal("0.5")), "unlimited"),
    (None, "no history"),
])  # fmt: skip
def test_a_forecast_in_words(forecast: Forecast | None, words: str) -> None:
    """The low end is rounded down, the high end up."""
    assert in_words(forecast, "USD") == words


def test_the_unit_is_left_out_where_it_is_not_known() -> None:
    """Gateways do not name it."""
    assert in_words(Forecast(ForecastState.UNLIMITED, Decimal(7), Decimal("1.5"))) == "unlimited, about 1.5 a day"


def test_the_json_of_a_forecast() -> None:
    """Seven fields; the low end is rounded down, the high end up."""
    assert document(ending("12.34567", "7.99999", "24.00001")) == {
        "state": "ok", "spent_per_day": Decimal("1.234568"), "days_left": Decimal("12.3457"),
        "days_left_low": Decimal("7.9999"), "days_left_high": Decimal("24.0001"), "days_seen": Decimal(14),
        "from": "history",
    }  # fmt: skip


def test_what_is_not_known_is_null() -> None:
    """The fields are always there; without anything recorded there is no object at all."""
    assert document(Forecast(ForecastState.TOO_LITTLE, Decimal("1.43219"))) == {
        "state": "too_little", "spent_per_day": None, "days_left": None, "days_left_low": None, "days_left_high": None,
        "days_seen": Decimal("1.4321"),
        "from": "history",
    }  # fmt: skip
    assert document(None) is None


@pytest.mark.parametrize(("rate", "shown"), [
    ("0", "0"), ("2.5000", "2.5"), ("1e3", "1000"), ("0.0000012345", "0.00000123"),
    ("1.234e-30", "0.00000000000000000000000000000123"),
    ("999999999999999.1234567", "999999999999999.123457"),
])  # fmt: skip
def test_a_rate_keeps_what_tells_something(rate: str, shown: str) -> None:
    """Six places, or three digits of what is smaller; no exponent, no zeros at the end."""
    numbers = document(ending("1", "1", "1", rate=rate))
    assert numbers is not None
    assert f"{numbers['spent_per_day']:f}" == shown


def test_zero_has_no_sign() -> None:
    """A refund too small to be told is nothing."""
    assert str(rounded_amount(Decimal("-1e-9"))) == "0"


def test_whole_numbers_have_no_exponent() -> None:
    """30 is 30, not 3E+1."""
    numbers = document(ending("30", "20", "100"))
    assert numbers is not None
    assert [str(numbers[name]) for name in ("days_left", "days_left_low", "days_left_high")] == ["30", "20", "100"]
