"""The table of `balance`. The only importer of Rich, but for the measure of text in `screen.pieces`.

A number is never cut. On a narrow screen the bar goes first, then the middle of long names, then the columns.
"""

from collections.abc import Sequence
from decimal import ROUND_FLOOR, Decimal, localcontext
from typing import TYPE_CHECKING, NamedTuple

from apimart_cli.output import Format, remaining, shortened, with_unit
from apimart_cli.output.lines import checked_as_lines
from apimart_cli.rules.balance import Balance, Reading, with_spendable
from apimart_cli.screen.writing import Screen, width
from apimart_cli.text import visible
from apimart_cli.words import ForecastState, Scope

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from apimart_cli.rules.forecast import Forecast

EXACT_DIGITS = 100
"""Digits that a sum may have: more than any amounts that the parser accepts can add up to."""

LOW_SHARE = Decimal("0.1")
"""A balance is called low below this share of all that there was, or below the profile's own `min`."""

SHORTEST_NAME = 9
"""Fewest cells to which the name of a profile is shortened."""

COLUMNS = ("Profile", "Scope", "Remaining", "Used", "% left", "Lasts", "Status")

_UNICODE_BAR = "█░"

_ASCII_BAR = "#."

_NO_BAR = ""

_BAR_STEPS = 10

_WITH_LASTS = frozenset({ForecastState.OK, ForecastState.ROUGH, ForecastState.IDLE})
"""Forecasts that say more than the other columns."""

_RIGHT_COLUMNS = frozenset({"Remaining", "Used"})

_NO_WIDTH_LIMIT = 1_000_000_000
"""More columns than any table needs. Rich needs a width, and cuts cells that do not fit into it."""


class Layout(NamedTuple):
    """How much room a table takes."""

    bar: str = _NO_BAR
    """The characters of a full and an empty step; empty for no bar."""
    is_short: bool = False
    """Whether the column `Lasts` is short, like `12 d`."""
    with_range: bool = True
    """Whether it has the range as well, like `12 d (7-24)`."""


def layouts(*, unicode: bool) -> tuple[Layout, ...]:
    """Return the layouts, with the widest first."""
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
    """Return the row of a reading, also of a failed one."""
    profile, scope = visible(reading.profile), reading.scope.value
    match reading.result:
        case Balance() as balance:
            status, style = _status(reading, balance)
            left = remaining(balance.remain_balance, reading.unit)
            used = with_unit(balance.used_balance, reading.unit)
            return Row(profile, scope, left, used, _share(balance), status, style, reading.forecast)
        case error:
            return Row(profile, scope, "-", "-", None, f"error: {error.code}", "red")


def total_rows(readings: Sequence[Reading]) -> list[Row]:
    """Return the total of several keys, if it means something: all have one known unit, and all are limited.

    A key in several profiles counts once. Accounts are left out, as two keys may share one.
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


def columns_of(rows: Sequence[Row]) -> list[str]:
    """Return the names of the columns; `Lasts` is one only if it is known for any row."""
    has_lasts = any(row.forecast is not None and row.forecast.state in _WITH_LASTS for row in rows)
    return [name for name in COLUMNS if name != "Lasts" or has_lasts]


def console_for(screen: Screen) -> "Console":
    """Return a console that renders for `screen`, without a limit of width."""
    from io import StringIO

    from rich.console import Console

    return Console(
        file=StringIO(),
        force_terminal=screen.colour,
        color_system="standard" if screen.colour else None,
        no_color=not screen.colour,
        # Not the width of the screen: Rich would cut the cells to fit it, and not say what they need.
        width=_NO_WIDTH_LIMIT,
        legacy_windows=False,
        highlight=False,
        markup=False,
        emoji=False,
        _environ={},
    )


def empty_table(screen: Screen, *, is_wide: bool) -> "Table":
    """Return a table in our style; its columns are close unless it is wide."""
    from rich.box import SIMPLE_HEAD, Box
    from rich.table import Table

    # Rich has no such box in ASCII. It is eight rows of four characters, all blank but the line below the head.
    simple_head = SIMPLE_HEAD if screen.unicode else Box("    \n" * 2 + " -- \n" + "    \n" * 5, ascii=True)
    return Table(box=simple_head, show_edge=False, pad_edge=False, padding=(0, 1) if is_wide else (0, 1, 0, 0))


def printed(console: "Console", table: "Table", columns: int) -> str:
    """Return the table as whole lines without blanks at their ends."""
    with console.capture() as capture:
        console.print(table, width=columns, crop=False, no_wrap=True, soft_wrap=False)
    lines = (line.rstrip() for line in capture.get().splitlines())
    return "".join(f"{line}\n" for line in lines)


def _readings_as_table(readings: Sequence[Reading], screen: Screen, asked: int) -> str:
    # A failed reading has a row among others. If it is the only one, its message says everything.
    shown = [reading for reading in readings if reading.error is None or asked > 1]
    rows = [row_of(reading) for reading in with_spendable(shown)]
    if not rows:
        return ""
    rows += total_rows(shown)
    return _fitted(rows, screen)


def _fitted(rows: Sequence[Row], screen: Screen) -> str:
    """Return the table in the widest layout that fits."""
    console = console_for(screen)
    limit = _NO_WIDTH_LIMIT if screen.width is None else screen.width
    needed = 0
    for layout in layouts(unicode=screen.unicode):
        table = _table(rows, layout, screen)
        needed = console.measure(table).maximum
        if needed <= limit:
            return printed(console, table, needed)
    shorter = _with_shorter_names(rows, needed - limit, mark="…" if screen.unicode else "...")
    return printed(console, _table(shorter, layout, screen), limit) if shorter else _stacked(rows)


def _with_shorter_names(rows: Sequence[Row], excess: int, *, mark: str) -> list[Row]:
    """Return the rows with names that are shorter by `excess` cells; none if two would look the same."""
    room = max(width(row.profile) for row in rows) - excess
    names = {row.profile: shortened(row.profile, room, mark=mark) for row in rows}
    if room < SHORTEST_NAME or len(set(names.values())) < len(names):
        return []
    return [row._replace(profile=names[row.profile]) for row in rows]


def _table(rows: Sequence[Row], layout: Layout, screen: Screen) -> "Table":
    from rich.text import Text

    # If there is no room for the bar, the columns are closer, too.
    table = empty_table(screen, is_wide=bool(layout.bar))
    columns = columns_of(rows)
    for name in columns:
        table.add_column(name, no_wrap=True, justify="right" if name in _RIGHT_COLUMNS else "left")
    for row in rows:
        cells = row.cells(layout)
        styled = {"% left": row.style, "Status": row.style, "Remaining": "bold"}
        table.add_row(*(Text(cells[name], style=styled.get(name, "")) for name in columns))
    return table


def _stacked(rows: Sequence[Row]) -> str:
    """Return a line for each cell, for screens that are too narrow for a table. A long number is never cut."""
    blocks, columns = [], columns_of(rows)
    for row in rows:
        cells = row.cells(Layout())
        blocks.append("".join(f"{name + ':':<11}{cells[name].lstrip()}\n" for name in columns))
    return "\n".join(blocks)


def _status(reading: Reading, balance: Balance) -> tuple[str, str]:
    """Return the status and its colour; with `spendable`, those of the part that limits it."""
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
    """Return which share is left, from 0 to 1 in thousandths, rounded down; None if there is no whole."""
    # With `spendable`, what is left may be the account's and what is used the key's: they make no whole.
    if balance.remain_balance is None or balance.scope is Scope.SPENDABLE:
        return None
    left = max(balance.remain_balance, Decimal(0))
    # Nothing is rounded on the way, so that a share just below 1 stays below it.
    with localcontext(prec=EXACT_DIGITS):
        whole = left + balance.used_balance
        return (left / whole).quantize(Decimal("0.001"), ROUND_FLOOR) if whole > 0 else None


def _share_left(share: Decimal | None, bar: str) -> str:
    if share is None:
        return "-"
    # Rounded down, so that 100 % means that nothing was used.
    percent = int((share * 100).to_integral_value(ROUND_FLOOR))
    if not bar:
        return f"{percent:3d} %"
    full, empty = bar[0], bar[1]
    filled = int((share * _BAR_STEPS).to_integral_value(ROUND_FLOOR))
    return f"{full * filled}{empty * (_BAR_STEPS - filled)} {percent:3d} %"


def _load_rich() -> None:
    import rich.console
    import rich.table  # noqa: F401  # loaded here, so that the next import of it is free


FORMAT = Format(readings=_readings_as_table, checked=checked_as_lines, prepare=_load_rich)
