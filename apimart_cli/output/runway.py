"""A forecast in words, and as JSON for scripts. Pure: no I/O, no library.

The low end is always rounded down: 7.9 days are "7".
"""

from collections.abc import Mapping
from datetime import timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal, localcontext

from apimart_cli.output import plain, with_unit
from apimart_cli.rules.forecast import LEAST_BLOCKS, Forecast
from apimart_cli.rules.spending import EXACT
from apimart_cli.words import ForecastState

HOURS_BELOW = 2
"""Fewer days than this are shown in hours."""

MOST_DAYS = 90
"""More days than this are not shown as a number: spending does not stay the same for so long."""

_DAY_STEP = Decimal("0.0001")
"""Smallest part of a day in JSON: about 9 seconds."""

_AMOUNT_STEP = Decimal("0.000001")

_TOLD_IN_SHORT = frozenset({ForecastState.OK, ForecastState.ROUGH, ForecastState.IDLE, ForecastState.EMPTY})

_HOUR = "hour"

_DAY = "day"

_UNITS = (
    (timedelta(days=1), _DAY),
    (timedelta(hours=1), _HOUR),
    (timedelta(minutes=1), "minute"),
    (timedelta(seconds=1), "second"),
)

_LONG = "3 months"


def in_words(forecast: Forecast | None, unit: str | None = None) -> str:
    """Return how long the rest lasts, in words that follow "lasts": `about 12 days (7 to 24)`.

    If there is no such time, they say why: `nothing spent in 5 days`, `not enough history: 1.4 of 3 days`. If they come
    from the gateway's own books, they say so.
    """
    words = _in_words(forecast, unit)
    is_from_books = forecast is not None and forecast.is_from_books and forecast.state is not ForecastState.EMPTY
    return f"{words}, from the books" if is_from_books else words


def in_short(forecast: Forecast | None, *, with_range: bool = False) -> str:
    """Return the same in few characters: `12 d`, `12 d (7-24)`, `idle`; nothing if there is no forecast."""
    if forecast is None or forecast.state not in _TOLD_IN_SHORT:
        return ""
    if forecast.state in {ForecastState.EMPTY, ForecastState.IDLE}:
        return forecast.state.value
    with localcontext(EXACT):
        point, low, high = forecast.days_left, forecast.days_left_low or Decimal(0), forecast.days_left_high
        if (low if point is None else point) > MOST_DAYS:
            return ">3 mo"
        if point is None:
            return f"{_whole(low, ROUND_FLOOR, _word_for(low))}+ {_word_for(low)[0]}"
        word = _word_for(point)
        least, most = _whole(low, ROUND_FLOOR, word), None if high is None else _whole(high, ROUND_CEILING, word)
        between = "" if not with_range else f" ({least}+)" if most is None else f" ({least}-{most})"
        return f"{_whole(point, ROUND_HALF_UP, word) or '<1'} {word[0]}{between}"


def lasts(forecast: Forecast | None, *, unlimited: bool) -> str:
    """Return the same as a sentence without a subject: `lasts about 12 days (7 to 24)`, `does not run out`."""
    if unlimited:
        return "does not run out"
    has_end = forecast is not None and forecast.state in {ForecastState.OK, ForecastState.ROUGH}
    return f"lasts {in_words(forecast)}" if has_end else in_words(forecast)


def duration_in_words(duration: timedelta) -> str:
    """Return a duration in the largest unit in which it is a whole number: `3 days`, `36 hours`."""
    microseconds = duration // timedelta(microseconds=1)
    unit, word = next(
        ((unit, word) for unit, word in _UNITS if not microseconds % (unit // timedelta(microseconds=1))), _UNITS[-1]
    )
    number = (Decimal(microseconds) / (unit // timedelta(microseconds=1))).normalize()
    return f"{number:f} {word}{'' if number == 1 else 's'}"


def document(forecast: Forecast | None) -> Mapping[str, str | Decimal | None] | None:
    """Return the forecast as the fields of its JSON; amounts and days are Decimal. The low end is rounded down."""
    if forecast is None:
        return None
    with localcontext(EXACT):
        return {
            "state": forecast.state.value,
            "spent_per_day": rounded_amount(forecast.spent_per_day),
            "days_left": _rounded(forecast.days_left, ROUND_HALF_UP),
            "days_left_low": _rounded(forecast.days_left_low, ROUND_FLOOR),
            "days_left_high": _rounded(forecast.days_left_high, ROUND_CEILING),
            "days_seen": _rounded(forecast.days_seen, ROUND_FLOOR),
            "from": "books" if forecast.is_from_books else "history",
        }


def rounded_amount(amount: Decimal | None) -> Decimal | None:
    """Return a calculated amount with six places, or with three digits if six places would leave fewer."""
    if amount is None:
        return None
    is_small = 0 < amount < _AMOUNT_STEP * 100
    return _without_zeros(Context(prec=3).plus(amount) if is_small else amount.quantize(_AMOUNT_STEP, ROUND_HALF_UP))


def _in_words(forecast: Forecast | None, unit: str | None) -> str:
    with localcontext(EXACT):
        if forecast is None:
            return "no history"
        if forecast.state is ForecastState.TOO_LITTLE:
            seen = forecast.days_seen.quantize(Decimal("0.1"), ROUND_FLOOR)
            return f"not enough history: {plain(seen)} of {LEAST_BLOCKS} days"
        if forecast.state is ForecastState.UNREADABLE:
            return "the history cannot be read"
        if forecast.state is ForecastState.EMPTY:
            return "empty"
        if forecast.state is ForecastState.IDLE:
            return _nothing_spent(forecast)
        if forecast.state is ForecastState.UNLIMITED:
            return f"unlimited{_rate(forecast, unit)}"
        rough = ", rough" if forecast.state is ForecastState.ROUGH else ""
        return f"{_time_left(forecast)}{rough}"


def _time_left(forecast: Forecast) -> str:
    point, low, high = forecast.days_left, forecast.days_left_low or Decimal(0), forecast.days_left_high
    if point is None:
        return f"more than {_LONG}" if low > MOST_DAYS else f"at least {_count(low, ROUND_FLOOR, _word_for(low))}"
    if point > MOST_DAYS:
        at_least = "" if low > MOST_DAYS else f" (at least {_count(low, ROUND_FLOOR, _word_for(low))})"
        return f"more than {_LONG}{at_least}"
    word = _word_for(point)
    if not _whole(point, ROUND_HALF_UP, word):
        return "less than an hour"
    return f"about {_count(point, ROUND_HALF_UP, word)}{_range(point, low, high, word)}"


def _range(point: Decimal, low: Decimal, high: Decimal | None, word: str) -> str:
    """Return the range in the unit of the point, with a space before it; nothing if it equals the point."""
    least = _whole(low, ROUND_FLOOR, word)
    if high is None:
        return f" (at least {least})"
    if high > MOST_DAYS:
        return f" ({least} to more than {MOST_DAYS}{'' if word == _DAY else ' days'})"
    most = _whole(high, ROUND_CEILING, word)
    return "" if least == most == _whole(point, ROUND_HALF_UP, word) else f" ({least} to {most})"


def _nothing_spent(forecast: Forecast) -> str:
    return f"nothing spent in {_count(forecast.days_seen, ROUND_FLOOR, _DAY)}"


def _rate(forecast: Forecast, unit: str | None) -> str:
    if forecast.spent_per_day is None:
        return ""
    if not forecast.spent_per_day:
        return f", {_nothing_spent(forecast)}"
    rounded = Context(prec=3, rounding=ROUND_HALF_UP).plus(forecast.spent_per_day)
    return f", about {with_unit(rounded, unit)} a day"


def _word_for(days: Decimal) -> str:
    return _HOUR if days < HOURS_BELOW else _DAY


def _count(days: Decimal, rounding: str, word: str) -> str:
    number = _whole(days, rounding, word)
    return f"{number} {word}{'' if number == 1 else 's'}"


def _whole(days: Decimal, rounding: str, word: str) -> int:
    return int((days * 24 if word == _HOUR else days).to_integral_value(rounding))


def _rounded(days: Decimal | None, rounding: str) -> Decimal | None:
    return None if days is None else _without_zeros(days.quantize(_DAY_STEP, rounding))


def _without_zeros(number: Decimal) -> Decimal:
    """Return the number without zeros at its end, without an exponent, and without a sign if it is zero."""
    if not number:
        return Decimal(0)
    return number.quantize(Decimal(1)) if number == number.to_integral_value() else number.normalize()
