"""What can be spent: which forecast and which key id it has, of a key and its account."""

from datetime import UTC, datetime
from decimal import Decimal

from apimart_cli.rules.balance import Balance, Reading, spendable
from apimart_cli.rules.forecast import Forecast
from apimart_cli.words import ForecastState, Scope

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def reading(scope: Scope, *, key_id: str | None = None, forecast: Forecast | None = None) -> Reading:
    balance = Balance(scope, Decimal(10), Decimal(0), unlimited_quota=False, fetched_at=NOW)
    return Reading("work", scope, "USD", balance, key_id=key_id, forecast=forecast)


EMPTY = Forecast(ForecastState.EMPTY, Decimal(7), Decimal(1), Decimal(0), Decimal(0), Decimal(0))
SOON = Forecast(ForecastState.OK, Decimal(7), Decimal(2), Decimal(5), Decimal(4), Decimal(6))
LATE = Forecast(ForecastState.OK, Decimal(7), Decimal(1), Decimal(10), Decimal(8), Decimal(12))


def test_it_lasts_as_long_as_the_one_that_ends_first() -> None:
    """Of the key and its account, by their own forecasts."""
    for key, account, lasts in (
        (SOON, LATE, SOON),
        (LATE, SOON, SOON),
        # What is empty has ended, whatever is known of the other.
        (EMPTY, None, EMPTY),
        (None, EMPTY, EMPTY),
        # One that is not known may end first.
        (SOON, None, None),
        (None, SOON, None),
        (None, None, None),
    ):
        both = spendable(reading(Scope.KEY, forecast=key), reading(Scope.ACCOUNT, forecast=account))
        assert both.forecast == lasts


def test_it_is_named_after_the_key() -> None:
    """Where the question about the key never got one, after that of the account."""
    for key, account, named in (("aaa", "bbb", "aaa"), (None, "bbb", "bbb"), (None, None, None)):
        both = spendable(reading(Scope.KEY, key_id=key), reading(Scope.ACCOUNT, key_id=account))
        assert both.key_id == named
