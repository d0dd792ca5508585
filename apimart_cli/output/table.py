"""The table of `balance`. The only importer of Rich, but for the measure in `cells`.

A number is never cut, so a narrow screen costs the bar first, then the middle of long names, then the columns.
"""

from collections.abc import Sequence
from decimal import ROUND_FLOOR, Decimal, localcontext
from typing import TYPE_CHECKING, NamedTuple

from apimart_cli.balance import Balance, Reading, with_spendable
from apimart_cli.output import Format
from apimart_cli.output.amounts import with_unit
from apimart_cli.output.cells import shortened, width
from apimart_cli.output.lines import checked_as_lines
from apimart_cli.screen.output import Screen
from apimart_cli.text import visible
from apimart_cli.words import Scope

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

EXACT_DIGITS = 100
"""Digits that a sum may have: more than any amounts the parser lets through can add up to."""

LOW_SHARE = Decimal("0.1")
"""Below this share of what there ever was, a balance is called low; and below the profile's own `min`."""

SHORTEST_NAME = 9
"""Fewest cells to which the name of a profile is shortened, so that the table stays one."""

_COLUMNS = ("Profile", "Scope", "Remaining", "Used", "% left", "Status")

_RIGHT_COLUMNS = frozenset({"Remaining", "Used"})

_UNICODE_BAR = "█░"

_ASCII_BAR = "#."

_NO_BAR = ""

_BAR_STEPS = 10

_NO_WIDTH_LIMIT = 1_000_000_000
"""Columns that no table needs. Rich has to be given a width, and cuts cells that do not fit into it."""


class _Row(NamedTuple):
    """One reading as the cells of a table."""

    profile: str
    scope: str
    remaining: str
    used: str
    share: Decimal | None
    status: str
    style: str

    def cells(self, *, bar: str) -> dict[str, str]:
        """Return the cells by the names of their columns; `bar` has the characters of a full and an empty step."""
        return {
            "Profile": self.profile,
            "Scope": self.scope,
            "Remaining": self.remaining,
            "Used": self.used,
            "% left": _share_left(self.share, bar),
            "Status": self.status,
        }


def _readings_as_table(readings: Sequence[Reading], screen: Screen, asked: int) -> str:
    # A failed reading has a row beside others; alone, there is no answer, and the message says it all.
    shown = [reading for reading in readings if reading.error is None or asked > 1]
    rows = [_row(reading) for reading in with_spendable(shown)]
    if not rows:
        return ""
    rows += _total_rows(shown)
    return _fitted(rows, screen)


def _fitted(rows: Sequence[_Row], screen: Screen) -> str:
    """Return the widest layout that fits."""
    console = _console(screen)
    limit = _NO_WIDTH_LIMIT if screen.width is None else screen.width
    needed = 0
    for bar in (_UNICODE_BAR if screen.unicode else _ASCII_BAR, _NO_BAR):
        table = _table(rows, bar, screen)
        needed = console.measure(table).maximum
        if needed <= limit:
            return _print(console, table, needed)
    shorter = _with_shorter_names(rows, needed - limit, mark="…" if screen.unicode else "...")
    return _print(console, _table(shorter, _NO_BAR, screen), limit) if shorter else _stacked(rows)


def _with_shorter_names(rows: Sequence[_Row], excess: int, *, mark: str) -> list[_Row]:
    """Return the rows with the names so many cells shorter; none where they could not be told apart any more."""
    room = max(width(row.profile) for row in rows) - excess
    names = {row.profile: shortened(row.profile, room, mark=mark) for row in rows}
    if room < SHORTEST_NAME or len(set(names.values())) < len(names):
        return []
    return [row._replace(profile=names[row.profile]) for row in rows]


def _row(reading: Reading) -> _Row:
    profile, scope = visible(reading.profile), reading.scope.value
    match reading.result:
        case Balance() as balance:
            status, style = _status(reading, balance)
            remain = balance.remain_balance
            remaining = "unlimited" if remain is None else with_unit(remain, reading.unit)
            used = with_unit(balance.used_balance, reading.unit)
            return _Row(profile, scope, remaining, used, _share(balance), status, style)
        case error:
            return _Row(profile, scope, "-", "-", None, f"error: {error.code}", "red")


def _total_rows(readings: Sequence[Reading]) -> list[_Row]:
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
    return [_Row("total", Scope.KEY.value, with_unit(remain, unit), with_unit(used, unit), None, "-", "")]


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


def _console(screen: Screen) -> "Console":
    from io import StringIO

    from rich.console import Console

    return Console(
        file=StringIO(),
        force_terminal=screen.colour,
        color_system="standard" if screen.colour else None,
        no_color=not screen.colour,
        # Not the screen's: Rich would cut the cells to fit it, and the width that they need would be unknown.
        width=_NO_WIDTH_LIMIT,
        legacy_windows=False,
        highlight=False,
        markup=False,
        emoji=False,
        _environ={},
    )


def _table(rows: Sequence[_Row], bar: str, screen: Screen) -> "Table":
    from rich.box import SIMPLE_HEAD, Box
    from rich.table import Table
    from rich.text import Text

    # Rich has no such box in ASCII: eight rows of four characters, all of them empty but the rule below the head.
    simple_head = SIMPLE_HEAD if screen.unicode else Box("    \n" * 2 + " -- \n" + "    \n" * 5, ascii=True)
    # Where there is no room for the bar, the columns stand closer, too.
    table = Table(box=simple_head, show_edge=False, pad_edge=False, padding=(0, 1) if bar else (0, 1, 0, 0))
    for name in _COLUMNS:
        table.add_column(name, no_wrap=True, justify="right" if name in _RIGHT_COLUMNS else "left")
    for row in rows:
        cells = row.cells(bar=bar)
        styled = {"% left": row.style, "Status": row.style, "Remaining": "bold"}
        table.add_row(*(Text(cells[name], style=styled.get(name, "")) for name in _COLUMNS))
    return table


def _print(console: "Console", table: "Table", columns: int) -> str:
    with console.capture() as capture:
        console.print(table, width=columns, crop=False, no_wrap=True, soft_wrap=False)
    lines = (line.rstrip() for line in capture.get().splitlines())
    return "".join(f"{line}\n" for line in lines)


def _stacked(rows: Sequence[_Row]) -> str:
    """One line a cell, for screens that no table fits; a terminal may fold a long number, but none is cut."""
    blocks = []
    for row in rows:
        cells = row.cells(bar=_NO_BAR)
        blocks.append("".join(f"{name + ':':<11}{cells[name].lstrip()}\n" for name in _COLUMNS))
    return "\n".join(blocks)


def _load_rich() -> None:
    import rich.console
    import rich.table  # noqa: F401  # loaded for its side effect: the next import of it is free


FORMAT = Format(readings=_readings_as_table, checked=checked_as_lines, prepare=_load_rich)
