"""The table of `balance`. The only importer of Rich, but for the measure in `cells`.

A number is never cut, so a narrow screen costs the bar first, then the middle of long names, then the columns.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from apimart_cli.balance import Reading, with_spendable
from apimart_cli.output import Format
from apimart_cli.output.cells import shortened
from apimart_cli.output.lines import checked_as_lines
from apimart_cli.output.rows import Layout, Row, columns_of, layouts, row_of, total_rows
from apimart_cli.screen.folding import width
from apimart_cli.screen.output import Screen

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

SHORTEST_NAME = 9
"""Fewest cells to which the name of a profile is shortened, so that the table stays one."""

_RIGHT_COLUMNS = frozenset({"Remaining", "Used"})

_NO_WIDTH_LIMIT = 1_000_000_000
"""Columns that no table needs. Rich has to be given a width, and cuts cells that do not fit into it."""


def _readings_as_table(readings: Sequence[Reading], screen: Screen, asked: int) -> str:
    # A failed reading has a row beside others; alone, there is no answer, and the message says it all.
    shown = [reading for reading in readings if reading.error is None or asked > 1]
    rows = [row_of(reading) for reading in with_spendable(shown)]
    if not rows:
        return ""
    rows += total_rows(shown)
    return _fitted(rows, screen)


def _fitted(rows: Sequence[Row], screen: Screen) -> str:
    """Return the widest layout that fits."""
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
    """Return the rows with the names so many cells shorter; none where they could not be told apart any more."""
    room = max(width(row.profile) for row in rows) - excess
    names = {row.profile: shortened(row.profile, room, mark=mark) for row in rows}
    if room < SHORTEST_NAME or len(set(names.values())) < len(names):
        return []
    return [row._replace(profile=names[row.profile]) for row in rows]


def console_for(screen: Screen) -> "Console":
    """Return what renders for `screen`, without a limit of width."""
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


def _table(rows: Sequence[Row], layout: Layout, screen: Screen) -> "Table":
    from rich.text import Text

    # Where there is no room for the bar, the columns stand closer, too.
    table = empty_table(screen, is_wide=bool(layout.bar))
    columns = columns_of(rows)
    for name in columns:
        table.add_column(name, no_wrap=True, justify="right" if name in _RIGHT_COLUMNS else "left")
    for row in rows:
        cells = row.cells(layout)
        styled = {"% left": row.style, "Status": row.style, "Remaining": "bold"}
        table.add_row(*(Text(cells[name], style=styled.get(name, "")) for name in columns))
    return table


def empty_table(screen: Screen, *, is_wide: bool) -> "Table":
    """Return a table as all of ours look, with columns that stand close where it is not wide."""
    from rich.box import SIMPLE_HEAD, Box
    from rich.table import Table

    # Rich has no such box in ASCII: eight rows of four characters, all of them empty but the rule below the head.
    simple_head = SIMPLE_HEAD if screen.unicode else Box("    \n" * 2 + " -- \n" + "    \n" * 5, ascii=True)
    return Table(box=simple_head, show_edge=False, pad_edge=False, padding=(0, 1) if is_wide else (0, 1, 0, 0))


def printed(console: "Console", table: "Table", columns: int) -> str:
    """Return the table as whole lines without blanks at their ends."""
    with console.capture() as capture:
        console.print(table, width=columns, crop=False, no_wrap=True, soft_wrap=False)
    lines = (line.rstrip() for line in capture.get().splitlines())
    return "".join(f"{line}\n" for line in lines)


def _stacked(rows: Sequence[Row]) -> str:
    """One line a cell, for screens that no table fits; a terminal may fold a long number, but none is cut."""
    blocks, columns = [], columns_of(rows)
    for row in rows:
        cells = row.cells(Layout())
        blocks.append("".join(f"{name + ':':<11}{cells[name].lstrip()}\n" for name in columns))
    return "\n".join(blocks)


def _load_rich() -> None:
    import rich.console
    import rich.table  # noqa: F401  # loaded for its side effect: the next import of it is free


FORMAT = Format(readings=_readings_as_table, checked=checked_as_lines, prepare=_load_rich)
