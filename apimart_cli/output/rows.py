"""What the cells of a table say of each reading, whatever draws it."""

from collections.abc import Sequence
from decimal import ROUND_FLOOR, Decimal, localcontext
from typing import TYPE_CHECKING, NamedTuple

from apimart_cli.balance import Balance, Reading
from apimart_cli.output.amounts import with_unit
from apimart_cli.text import visible
from apimart_cli.words import ForecastState, Scope

if TYPE_CHECKING:
    from apimart_cli.forecast import Forecast

EXACT_DIGITS = 100
"""Digits that a sum may have: more than any amounts the parser lets through can add up to."""

LOW_SHARE = Decimal("0.1")
"""Below this share of what there ever was, a balance is called low; and below the profile's own `min`."""

COLUMNS = ("Profile", "Scope", "Remaining", "Used", "% left", "Lasts", "Status")

_UNICODE_BAR = "█░"

_ASCII_BAR = "#."

_NO_BAR = ""

_BAR_STEPS = 10

_WITH_LASTS = frozenset({ForecastState.OK, ForecastState.ROUGH, ForecastState.IDLE})
"""Forecasts that say more than the other columns do."""


class Layout(NamedTuple):
    """How much room a table takes."""

    bar: str = _NO_BAR
    """The characters of a full and an empty step; none is no bar."""
    is_short: bool = False
    """Whether `Lasts` is told in short, like `12 d`."""
    with_range: bool = True
    """Whether that has the range as well, like `12 d (7-24)`."""


def layouts(*, unicode: bool) -> tuple[Layout, ...]:
    """Return the layouts, the widest first."""
    return (
        Layout(_UNICODE_BAR if unicode else _ASCII_BAR),
        Layout(_NO_BAR),
        Layout(_NO_BAR, is_short=True),
        Layout(_NO_BAR, is_short=True, with_range=False),
    )


class Row(NamedTuple):
    """One reading as the cells of a table."""

    profile: str
    scope: str
    remaining: str
    used: str
    share: Decimal | None
    status: str
    style: str
    forecast: "Forecast | None" = None

    def cells(self, layout: Layout) -> dict[str, str]:
        """Return the cells by the names of their columns."""
        return {
            "Profile": self.profile,
            "Scope": self.scope,
            "Remaining": self.remaining,
            "Used": self.used,
            "% left": _share_left(self.share, layout.bar),
            "Lasts": self._lasts(layout),
            "Status": self.status,
        }

    def _lasts(self, layout: Layout) -> str:
        if self.forecast is None or self.forecast.state not in _WITH_LASTS:
            return "-"
        from apimart_cli.output.runway import in_short, in_words

        return in_short(self.forecast, with_range=layout.with_range) if layout.is_short else in_words(self.forecast)


def row_of(reading: Reading) -> Row:
    """Return what the table says of a reading, a failed one too."""
    profile, scope = visible(reading.profile), reading.scope.value
    match reading.result:
        case Balance() as balance:
            status, style = _status(reading, balance)
            remain = balance.remain_balance
            remaining = "unlimited" if remain is None else with_unit(remain, reading.unit)
            used = with_unit(balance.used_balance, reading.unit)
            return Row(profile, scope, remaining, used, _share(balance), status, style, reading.forecast)
        case error:
            return Row(profile, scope, "-", "-", None, f"error: {error.code}", "red")


def total_rows(readings: Sequence[Reading]) -> list[Row]:
    """Return the sum of several keys, only where it means something: one unit, known to be the same, and all limited.

    A key that stands in several profiles counts once. Accounts are left out, for two keys may share one.
    """
    of_keys = [reading for reading in readings if reading.scope is Scope.KEY]
    keys = {(reading.host, reading.key_id): reading for reading in of_keys}.values()
    units = {reading.unit for reading in of_keys}
    balances = [reading.balance for reading in keys if reading.balance is not None]
    remains = [balance.remain_balance for balance in balances if balance.remain_balance is not None]
    unit = next(iter(units), None)
    if len(keys) < 2 or len(units) > 1 or unit is None or len(remains) < len(keys):
        return []
    with localcontext(prec=EXACT_DIGITS):
        remain = sum(remains, Decimal(0))
        used = sum((balance.used_balance for balance in balances), Decimal(0))
    return [Row("total", Scope.KEY.value, with_unit(remain, unit), with_unit(used, unit), None, "-", "")]


def _status(reading: Reading, balance: Balance) -> tuple[str, str]:
    """Return the status word and its colour; of what can be spent, those of what limits it."""
    if balance.remain_balance is None:
        return "unlimited", "cyan"
    for part in reading.parts:
        if part.balance is not None and part.scope is balance.limited_by:
            status, style = _status(part, part.balance)
            return f"limited by {part.scope}" if status == "ok" else f"{status} ({part.scope})", style
    if balance.remain_balance <= 0:
        return "empty", "red"
    share = _share(balance)
    has_low_share = share is not None and share < LOW_SHARE
    is_below_min = reading.low_below is not None and balance.remain_balance < reading.low_below
    return ("low", "yellow") if has_low_share or is_below_min else ("ok", "green")


def _share(balance: Balance) -> Decimal | None:
    """Return which part of the whole is left, from 0 to 1 in thousandths, rounded down; None without a whole."""
    # What can be spent and what was used may belong to two: they make no whole.
    if balance.remain_balance is None or balance.scope is Scope.SPENDABLE:
        return None
    left = max(balance.remain_balance, Decimal(0))
    # No amount is rounded on the way: a share just below 1 stays below it.
    with localcontext(prec=EXACT_DIGITS):
        whole = left + balance.used_balance
        return (left / whole).quantize(Decimal("0.001"), ROUND_FLOOR) if whole > 0 else None


def _share_left(share: Decimal | None, bar: str) -> str:
    if share is None:
        return "-"
    # Rounded down: only what is wholly left is shown as 100 %.
    percent = int((share * 100).to_integral_value(ROUND_FLOOR))
    if not bar:
        return f"{percent:3d} %"
    full, empty = bar[0], bar[1]
    filled = int((share * _BAR_STEPS).to_integral_value(ROUND_FLOOR))
    return f"{full * filled}{empty * (_BAR_STEPS - filled)} {percent:3d} %"


def columns_of(rows: Sequence[Row]) -> list[str]:
    """Return the names of the columns: how long it lasts is one only where that is known of any row."""
    has_lasts = any(row.forecast is not None and row.forecast.state in _WITH_LASTS for row in rows)
    return [name for name in COLUMNS if name != "Lasts" or has_lasts]
