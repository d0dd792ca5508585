"""A forecast in words and as JSON."""

from decimal import Decimal

import pytest

from apimart_cli.output.runway import document, in_words, rounded_amount
from apimart_cli.rules.forecast import Forecast
from apimart_cli.words import ForecastState

D = Decimal
OK, ROUGH, TOO_LITTLE = ForecastState.OK, ForecastState.ROUGH, ForecastState.TOO_LITTLE


def ending(
    point: str | None, low: str, high: str | None, state: ForecastState = OK, rate: str = "1.2345678"
) -> Forecast:
    ends = [None if end is None else D(end) for end in (point, low, high)]
    return Forecast(state, D(14), D(rate), *ends)


def unlimited(rate: str | None, days: str = "7") -> Forecast:
    return Forecast(ForecastState.UNLIMITED, D(days), None if rate is None else D(rate))


@pytest.mark.parametrize(("forecast", "words"), [
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
    (ending(None, "1", None), "at least 24 hours"),
    (ending(None, "100", None), "more than 3 months"),
    (Forecast(ForecastState.IDLE, D(5), D(0)), "nothing spent in 5 days"),
    (Forecast(TOO_LITTLE, D("2.9999")), "not enough history: 2.9 of 3 days"),
    (Forecast(TOO_LITTLE, D(0)), "not enough history: 0.0 of 3 days"),
    (Forecast(ForecastState.EMPTY, D(7), D(1), D(0), D(0), D(0)), "empty"),
    (unlimited("12345.678"), "unlimited, about 12300 USD a day"),
    (unlimited("0.00001234"), "unlimited, about 0.0000123 USD a day"),
    (unlimited("0"), "unlimited, nothing spent in 7 days"),
    (unlimited(None, "0.5"), "unlimited"),
    (None, "no history"),
])  # fmt: skip
def test_a_forecast_in_words(forecast: Forecast | None, words: str) -> None:
    """The low end is rounded down, the high end up."""
    assert in_words(forecast, "USD") == words


def test_the_unit_is_left_out_where_it_is_not_known() -> None:
    """Gateways do not name it."""
    assert in_words(unlimited("1.5")) == "unlimited, about 1.5 a day"


@pytest.mark.parametrize(("forecast", "state", "values"), [
    # The low end is rounded down, the high end up.
    (ending("12.34567", "7.99999", "24.00001"), "ok", ("1.234568", "12.3457", "7.9999", "24.0001", "14")),
    (ending("30", "20", "100", rate="2.5000"), "ok", ("2.5", "30", "20", "100", "14")),
    (Forecast(TOO_LITTLE, D("1.43219")), "too_little", (None, None, None, None, "1.4321")),
])  # fmt: skip
def test_the_json_of_a_forecast(forecast: Forecast, state: str, values: tuple[str | None, ...]) -> None:
    """Seven fields, null where that is not known; no exponent, no zeros at the end."""
    told = document(forecast)
    assert told is not None
    names = ("spent_per_day", "days_left", "days_left_low", "days_left_high", "days_seen")
    shown = [None if told[name] is None else str(told[name]) for name in names]
    assert shown == list(values)
    assert {name: value for name, value in told.items() if name not in names} == {"state": state, "from": "history"}


def test_without_anything_recorded_there_is_no_json() -> None:
    """Null stands in its place."""
    assert document(None) is None


@pytest.mark.parametrize(("rate", "shown"), [
    ("0", "0"), ("1e3", "1000"), ("0.0000012345", "0.00000123"), ("1.234e-30", "0.00000000000000000000000000000123"),
    ("999999999999999.1234567", "999999999999999.123457"), ("-1e-9", "0"),
])  # fmt: skip
def test_a_rate_keeps_what_tells_something(rate: str, shown: str) -> None:
    """Six places, or three digits of what is smaller; a refund too small to be told is nothing."""
    assert f"{rounded_amount(D(rate)):f}" == shown
