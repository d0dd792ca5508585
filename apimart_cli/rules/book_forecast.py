"""The forecast from the gateway's own books, by the model of `forecast`: days in, how long the rest lasts out. Pure.

The days of the books stand for the blocks of 24 hours that are cut from what was read.
"""

from collections.abc import Sequence
from decimal import Decimal, localcontext

from apimart_cli.rules.forecast import LEAST_BLOCKS, PRECISE, ROUGH_BELOW, WHOLE_WEEKS, Forecast, ends, left_above
from apimart_cli.words import ForecastState


def forecast_from_books(
    days: Sequence[Decimal],
    today: Decimal,
    remain: Decimal | None,
    *,
    floor: Decimal = Decimal(0),  # a number
) -> Forecast:
    """Return how long the rest will last, from what the gateway's books say was spent on whole days, the last one last.

    Days before the first spend do not count: the key may not have been there. `today` counts as a day as soon as more
    was spent than on a usual one: a job that runs away must show at once. `remain` and `floor` are in US dollars, as
    the books are.
    """
    first = next((number for number, spent in enumerate(days) if spent > 0), len(days))
    seen = days[first:]
    with localcontext(PRECISE):
        if len(seen) < LEAST_BLOCKS:
            return Forecast(ForecastState.TOO_LITTLE, Decimal(len(seen)), is_from_books=True)
        if today > _mean(_latest(seen)):
            seen = [*seen, today]
        spends = _latest(seen)
        count, rate, left = Decimal(len(spends)), _mean(spends), left_above(remain, floor)
        if left is None:
            return Forecast(ForecastState.UNLIMITED, count, rate, is_from_books=True)
        if left <= 0:
            zero = Decimal(0)
            return Forecast(ForecastState.EMPTY, count, rate, zero, zero, zero, is_from_books=True)
        if not rate:
            return Forecast(ForecastState.IDLE, count, rate, is_from_books=True)
        state = ForecastState.ROUGH if len(spends) < ROUGH_BELOW else ForecastState.OK
        point, low, high = ends(left, spends, rate)
        return Forecast(state, count, rate, point, low, high, is_from_books=True)


def _latest(days: Sequence[Decimal]) -> Sequence[Decimal]:
    """Return the last days, as many whole weeks of them as there are."""
    return days[-next((weeks for weeks in WHOLE_WEEKS if weeks <= len(days)), len(days)) :]


def _mean(days: Sequence[Decimal]) -> Decimal:
    return Decimal(sum(days)) / len(days)
