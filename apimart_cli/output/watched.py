"""What `watch` shows: a table at a terminal; elsewhere a line for each change, or a JSON document.

A number is never cut. On a narrow screen some bars go first; then each balance gets lines of its own, or columns go.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import NamedTuple

from apimart_cli.errors import PaymentRequiredError
from apimart_cli.output import padded, plain, shortened, with_unit
from apimart_cli.output.columns import duration
from apimart_cli.output.json import reading_document, render_document
from apimart_cli.output.lines import folded
from apimart_cli.output.runway import in_short, rounded_amount
from apimart_cli.output.table import console_for, empty_table, printed, row_of
from apimart_cli.rules.trend import BARS, Bar, Change, View
from apimart_cli.screen.writing import Screen, width
from apimart_cli.text import iso_time, visible
from apimart_cli.words import ForecastState

COLUMNS = ("Profile", "Scope", "Remaining", "Spent", "Rate", "Lasts", "Spend", "Top-up", "Age", "Status")

MOST_REASONS = 3
"""Most reasons for failures that are shown under the table."""

_MOVES = frozenset({Change.TOP_UP, Change.CUT})

_RIGHT_COLUMNS = frozenset({"Remaining", "Spent", "Rate", "Age"})

_OPTIONAL_COLUMNS = frozenset({"Lasts", "Top-up", "Spend"})
"""Columns that are left out if there is nothing in them."""

_UNICODE_STEPS, _ASCII_STEPS = "▁▂▃▄▅▆▇█", "_.:-=*#"

_TOP_UP = "+"
"""Replaces the bar of a time in which there was a top-up."""

_LEAST_NAME = 8
"""Fewest cells in which a name can still be recognised."""

_RATE = Context(prec=3, rounding=ROUND_HALF_UP)

_PER_DAY_BELOW = Decimal("0.1")
"""A smaller spend per hour is shown per day."""


class _WatchLayout(NamedTuple):
    """How much room a table takes."""

    is_wide: bool = False
    bars: int = 0
    without: frozenset[str] = frozenset()


_LAYOUTS = (_WatchLayout(is_wide=True, bars=BARS), _WatchLayout(bars=BARS), _WatchLayout(bars=BARS // 2))

_TIGHT_LAYOUTS = (
    _WatchLayout(),
    _WatchLayout(without=frozenset({"Rate"})),
    _WatchLayout(without=frozenset({"Rate", "Top-up"})),
    _WatchLayout(without=frozenset({"Rate", "Top-up", "Spent"})),
    _WatchLayout(without=frozenset({"Rate", "Top-up", "Spent", "Lasts"})),
    _WatchLayout(without=frozenset({"Rate", "Top-up", "Spent", "Lasts", "Age"})),
)
"""For more balances than fit one below the other."""


def change_as_line(view: View, changes: Sequence[Change], at: datetime) -> str:
    """Return `2026-01-31T12:00:05Z work/key: 8.17 USD left, 1.83 USD spent; topped up by 5 USD`."""
    findings = [_standing(view), *(_finding(view, change) for change in changes)]
    told = "; ".join(finding for finding in findings if finding)
    return f"{iso_time(at)} {visible(view.reading.name)}: {told}\n"


def change_as_json(view: View, changes: Sequence[Change], at: datetime) -> str:
    """Return the reading and what changed; after a failure, the error and what was last known."""
    reading = view.reading if view.failure is None else view.reading._replace(result=view.failure)
    balance = view.reading.balance
    document = reading_document(reading)
    moved = view.top_up if _MOVES & set(changes) else None
    return render_document(
        {
            **document,
            "at": iso_time(at),
            "changes": [change.value for change in changes],
            "spent": view.spent,
            "spent_per_hour": rounded_amount(view.spent_per_hour),
            "top_up": None if moved is None else moved.amount,
            "below": view.is_below,
            **({"last_remain_balance": balance.remain_balance} if view.failure is not None and balance else {}),
        }
    )


def below_in_words(view: View) -> str:
    """Return why the watch ended: `work/key: 4.2 USD left, at least 5 USD required`."""
    balance, unit, least = view.reading.balance, view.reading.unit, view.reading.low_below
    name = visible(view.reading.name)
    if isinstance(view.failure, PaymentRequiredError):
        return f"{name}: {view.failure.in_short}"
    assert balance is not None, "what was never read is below only where there is no money"
    assert balance.remain_balance is not None, "what is unlimited is never below"
    required = "" if least is None else f", at least {with_unit(least, unit)} required"
    return f"{name}: {with_unit(balance.remain_balance, unit)} left{required}"


def watched_as_text(views: Sequence[View], screen: Screen, *, now: datetime, height: int | None = None) -> str:
    """Return the table, or as much as fits, and the reasons for failures; at most `height` lines."""
    reasons = _reasons(views, screen)
    room = None if height is None else max(1, height - len(reasons))
    shown = views
    if room is not None and len(views) > room - 2:
        # Those that are low or have failed come first, as they must be seen.
        shown = sorted(views, key=lambda view: not (view.is_below or view.failure is not None))
    return "".join([*_cropped(_balances(shown, screen, now, room), room, screen), *reasons])


def _standing(view: View) -> str:
    """Return what is left and what was spent, as far as it is known."""
    balance = view.reading.balance
    if balance is None:
        return ""
    remain, unit = balance.remain_balance, view.reading.unit
    left = "unlimited" if remain is None else f"{with_unit(remain, unit)} left"
    last = "last " if view.failure is not None else ""
    spent = "" if view.spent is None else f", {with_unit(view.spent, unit)} spent"
    return f"{last}{left}{spent}"


def _finding(view: View, change: Change) -> str:
    unit = view.reading.unit
    match change:
        case Change.START | Change.CHANGED:
            return ""
        case Change.TOP_UP if view.top_up is not None:
            return f"topped up by {with_unit(view.top_up.amount, unit)}"
        case Change.CUT if view.top_up is not None:
            return f"cut by {with_unit(-view.top_up.amount, unit)}"
        case Change.FAILED if view.failure is not None:
            return f"error: {view.failure.message}"
        case Change.RECOVERED:
            return "answers again"
        case Change.BELOW:
            return _below(view.reading.low_below, unit)
        case Change.ENOUGH:
            return "enough again"
        case _:
            return ""


def _below(least: Decimal | None, unit: str | None) -> str:
    return "cannot pay" if least is None else f"below {with_unit(least, unit)}"


def _balances(views: Sequence[View], screen: Screen, now: datetime, room: int | None) -> list[str]:
    stacked = [*_stacked(views, screen, now)]
    tables = (_table(views, screen, now, layout) for layout in _LAYOUTS)
    fitting = next((lines for lines in tables if lines is not None), None)
    if fitting is not None:
        return fitting
    if room is None or len(stacked) <= room:
        return stacked
    tables = (_table(views, screen, now, layout) for layout in _TIGHT_LAYOUTS)
    return next((lines for lines in tables if lines is not None), None) or _single_lines(views, screen) or stacked


def _table(views: Sequence[View], screen: Screen, now: datetime, layout: _WatchLayout) -> list[str] | None:
    """Return the lines of the table; None if it is too wide."""
    from rich.text import Text

    rows = [_cells(view, screen, now, layout) for view in views]
    names = [name for name in _names(rows) if name not in layout.without and (layout.bars or name != "Spend")]
    table = empty_table(screen, is_wide=layout.is_wide)
    for name in names:
        table.add_column(name, no_wrap=True, justify="right" if name in _RIGHT_COLUMNS else "left")
    for view, cells in zip(views, rows, strict=True):
        styles = {"Status": _style(view), "Remaining": "bold", "Spend": "cyan"}
        table.add_row(*(Text(cells[name], style=styles.get(name, "")) for name in names))
    console = console_for(screen)
    needed = console.measure(table).maximum
    if screen.width is not None and needed > screen.width:
        return None
    return printed(console, table, needed).splitlines(keepends=True)


def _stacked(views: Sequence[View], screen: Screen, now: datetime) -> list[str]:
    lines: list[str] = []
    for view in views:
        cells = _cells(view, screen, now, _WatchLayout(bars=BARS))
        named = [name for name in COLUMNS if name not in _OPTIONAL_COLUMNS or cells[name] not in {"", "-"}]
        lines += [*([] if not lines else ["\n"]), *(f"{name + ':':<11}{cells[name]}\n" for name in named)]
    return lines


def _single_lines(views: Sequence[View], screen: Screen) -> list[str] | None:
    """Return a line for each balance, with names shortened in their middle; None if amounts need more room."""
    shown = []
    for view in views:
        row = row_of(view.reading)
        status = "" if row.status == "ok" and view.failure is None else f" {_status(view, row.status)}"
        shown.append((visible(view.reading.name), f"{row.remaining}{status}"))
    widest = max(width(amount) for _, amount in shown)
    room = (screen.width or 0) - widest - 2
    if room < _LEAST_NAME:
        return None
    names = [shortened(name, room, mark="…" if screen.unicode else "...") for name, _ in shown]
    column = max(map(width, names))
    return [f"{padded(name, column)}  {amount}\n" for name, (_, amount) in zip(names, shown, strict=True)]


def _cropped(lines: list[str], room: int | None, screen: Screen) -> list[str]:
    if room is None or len(lines) <= room:
        return lines
    mark = "…" if screen.unicode else "..."
    return [*lines[: room - 1], f"{mark} {len(lines) - room + 1} more lines in a higher window\n"]


def _names(rows: Sequence[dict[str, str]]) -> list[str]:
    return [
        name for name in COLUMNS if name not in _OPTIONAL_COLUMNS or any(row[name] not in {"", "-"} for row in rows)
    ]


def _cells(view: View, screen: Screen, now: datetime, layout: _WatchLayout) -> dict[str, str]:
    row, unit = row_of(view.reading), view.reading.unit
    balance = view.reading.balance
    age = "-" if balance is None else duration((now - balance.fetched_at).total_seconds())
    return {
        "Profile": row.profile,
        "Scope": row.scope,
        "Remaining": row.remaining,
        "Spent": "-" if view.spent is None else with_unit(view.spent, unit),
        "Rate": _rate(view.spent_per_hour, unit),
        "Lasts": _lasts(view),
        "Spend": _sparkline(view.bars[-layout.bars :], screen) if layout.bars else "",
        "Top-up": _top_up(view, now, is_wide=layout.is_wide),
        "Age": age,
        "Status": _status(view, row.status),
    }


def _status(view: View, status: str) -> str:
    return status if view.failure is None or view.reading.balance is None else f"! {view.failure.code}"


def _style(view: View) -> str:
    return row_of(view.reading).style if view.failure is None else "red"


def _rate(per_hour: Decimal | None, unit: str | None) -> str:
    if per_hour is None:
        return "-"
    unit = f" {unit}" if unit else ""
    if not per_hour:
        return f"0{unit}/h"
    of_day = per_hour < _PER_DAY_BELOW
    return f"{_plain(per_hour * 24 if of_day else per_hour)}{unit}/{'d' if of_day else 'h'}"


def _plain(amount: Decimal) -> str:
    """Return three digits of a calculated amount, without zeros at its end."""
    rounded = _RATE.plus(amount).normalize()
    return plain(rounded.quantize(Decimal(1)) if rounded == rounded.to_integral_value() else rounded)


def _lasts(view: View) -> str:
    """Return the forecast; or the time left at the present rate, if that is shorter or there is no forecast."""
    forecast = view.reading.forecast
    told = in_short(forecast)
    if view.hours_left is None:
        return told or "-"
    has_end = forecast is not None and forecast.state in {ForecastState.OK, ForecastState.ROUGH}
    if (
        has_end
        and forecast is not None
        and forecast.days_left is not None
        and forecast.days_left * 24 < view.hours_left
    ):
        return told
    days = view.hours_left / 24
    return "> 90 d" if days > 90 else f"~{duration(float(view.hours_left) * 3600)}"


def _sparkline(bars: Sequence[Bar], screen: Screen) -> str:
    steps = _UNICODE_STEPS if screen.unicode else _ASCII_STEPS
    most = max((bar.spent for bar in bars), default=Decimal(0))
    return "".join(_TOP_UP if bar.has_top_up else steps[_step(bar.spent, most, len(steps))] for bar in bars)


def _step(spent: Decimal, most: Decimal, steps: int) -> int:
    """Return the number of the step that shows a spend. The lowest step means that nothing was spent."""
    return 0 if not spent else 1 + int(spent / most * (steps - 2))


def _top_up(view: View, now: datetime, *, is_wide: bool) -> str:
    if view.top_up is None:
        return ""
    sign = "+" if view.top_up.amount > 0 else ""
    amount = f"{sign}{with_unit(view.top_up.amount, view.reading.unit)}"
    return f"{amount}, {duration((now - view.top_up.at).total_seconds())} ago" if is_wide else amount


def _reasons(views: Sequence[View], screen: Screen) -> list[str]:
    """Return why balances are not known: each reason once, after the names of the balances."""
    names: dict[str, list[str]] = {}
    for view in views:
        if view.failure is not None:
            names.setdefault(view.failure.message, []).append(visible(view.reading.name))
    lines = []
    for message, named in list(names.items())[:MOST_REASONS]:
        others = f" and {len(named) - 1} more" if len(named) > 1 else ""
        lines += folded(f"! {named[0]}{others}: {message}", screen).splitlines(keepends=True)
        lines[-1] += "\n"
    if len(names) > MOST_REASONS:
        lines.append(f"! {len(names) - MOST_REASONS} more reasons\n")
    return lines
