"""What the gateway's books say: as a table by model, as a chart of days, and as JSON and CSV for programs."""

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import date, timedelta, tzinfo
from decimal import ROUND_FLOOR, Decimal, localcontext
from typing import Any, NamedTuple

from apimart_cli.choices import UsageBy
from apimart_cli.output import plain, shortened, with_unit
from apimart_cli.output.json import error_document, render_document
from apimart_cli.rules.books import BEGIN, UNIT, Booked, BooksReading, Usage, every_day, local_day, most_expensive_first
from apimart_cli.rules.spending import EXACT
from apimart_cli.screen.writing import Screen, width
from apimart_cli.text import iso_time, visible, without_keys
from apimart_cli.zones import zone_of

CSV_FIELDS = ("day", "model", "spent", "requests", "prompt_tokens", "completion_tokens")

_COUNTS = ("requests", "prompt_tokens", "completion_tokens")

SHORTEST_NAME = 9
"""Fewest cells to which the name of a model is shortened, so that the table fits."""

_TOTAL = "total"
_NO_NAME = "(no name)"


class UsageLayout(NamedTuple):
    """How much room a table takes."""

    steps: int = 0
    """Steps of the bar; 0 is no bar."""
    has_tokens: bool = True
    gap: int = 1


LAYOUTS = (
    UsageLayout(10, gap=3),
    UsageLayout(5),
    UsageLayout(0),
    UsageLayout(5, has_tokens=False),
    UsageLayout(0, has_tokens=False),
)
"""The widest first."""


def rows_of(usage: Usage, zone: tzinfo) -> list[Booked]:
    """Return the rows in the order in which they are shown: the most expensive model first, days in their order.

    By day, no day is left out. By day and model, days without spend are left out.
    """
    if usage.by is UsageBy.DAY:
        return every_day(usage, zone)
    by_cost = most_expensive_first(usage.rows)
    return by_cost if usage.by is UsageBy.MODEL else sorted(by_cost, key=lambda row: row.day or date.min)


def render_usage_as_json(reading: BooksReading) -> str:
    """Return what the books say as a line of JSON, with every digit that the gateway sent."""
    return render_document(usage_document(reading))


def usage_document(reading: BooksReading) -> dict[str, Any]:
    """Return the fields of the JSON for what the books say, without the schema."""
    name = {
        "profile": without_keys(reading.profile),
        "scope": reading.scope.value,
        "key_id": reading.key_id,
        "host": without_keys(reading.host),
    }
    usage = reading.usage
    if usage is None:
        assert reading.error is not None, "one of the two is there"
        return {**name, "error": error_document(reading.error)}
    rows = rows_of(usage, zone_of(usage.tz, "tz"))
    facts = {
        "since": iso_time(usage.since),
        "until": iso_time(usage.until),
        "tz": usage.tz,
        "by": usage.by.value,
        "unit": UNIT,
        "fetched_at": iso_time(usage.fetched_at),
        "booked_until": iso_time(usage.fetched_at - usage.lag),
        "total": _sums(usage.total),
        "rows": [{**_group(row, usage.by), **_sums(row)} for row in rows],
    }
    return {**name, **facts}


def _group(row: Booked, by: UsageBy) -> dict[str, Any]:
    day = {"day": row.day.isoformat()} if by.has_day and row.day is not None else {}
    return {**day, "model": row.model} if by.has_model else day


def _sums(row: Booked) -> dict[str, Any]:
    return {"spent": row.spent, **{name: getattr(row, name) for name in _COUNTS}}


def render_usage_as_csv(usage: Usage) -> str:
    """Return the rows as CSV. A name that a spreadsheet would take for a formula begins with `'`."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(CSV_FIELDS)
    for row in rows_of(usage, zone_of(usage.tz, "tz")):
        counts = ["" if count is None else str(count) for count in (getattr(row, name) for name in _COUNTS)]
        day = "" if row.day is None else row.day.isoformat()
        writer.writerow([day, _safe(row.model or ""), plain(row.spent), *counts])
    return buffer.getvalue()


def _safe(text: str) -> str:
    return f"'{text}" if text[:1] in "=+-@" and text else text


def render_usage(reading: BooksReading, screen: Screen) -> str:
    """Return what the books say for people: which key they are about, a chart or a table, and how late they are."""
    usage = reading.usage
    assert usage is not None, "the caller has looked"
    zone = zone_of(usage.tz, "tz")
    parts = [_head(reading, screen), _middle(usage, zone, screen), facts(usage, zone)]
    return "\n".join(part for part in parts if part)


def _head(reading: BooksReading, screen: Screen) -> str:
    name = visible(reading.name)
    key = f"key {reading.key_id} at {visible(reading.host)}"
    is_narrow = screen.width is not None and width(name) + 2 + width(key) > screen.width
    shown = f"\x1b[1m{name}\x1b[0m" if screen.colour and screen.width is not None else name
    return f"{shown}\n{key}\n" if is_narrow else f"{shown}  {key}\n"


def facts(usage: Usage, zone: tzinfo) -> str:
    """Return what is known besides the rows: a name and a value on each line."""
    first, last = local_day(usage.since, zone), local_day(usage.until - timedelta(seconds=1), zone)
    days = f"{first} to {last}" if first != last else f"{first}"
    pairs = [
        ("Spent", f"{with_unit(usage.total.spent, UNIT)}, {days} ({visible(usage.tz)})"),
        ("Booked", booked_until(usage)),
    ]
    if first <= BEGIN:
        pairs.append(("Before", f"not known: the books begin on {BEGIN}"))
    return "".join(f"{name:<8}{value}\n" for name, value in pairs)


def booked_until(usage: Usage) -> str:
    """Return how late the books are, in words."""
    return f"until about {'two minutes' if usage.was_kept else 'a minute'} ago"


def _middle(usage: Usage, zone: tzinfo, screen: Screen) -> str:
    if not usage.rows:
        return ""
    if usage.by.has_day and screen.width is not None:
        chart = _chart(usage, zone, screen)
        if usage.by is UsageBy.DAY and chart:
            return chart
        return f"{chart}\n{_table(usage, zone, screen)}" if chart else _table(usage, zone, screen)
    return _table(usage, zone, screen)


def _chart(usage: Usage, zone: tzinfo, screen: Screen) -> str:
    from apimart_cli.output.history import NARROWEST, WIDEST, bar_chart

    columns = min(screen.width or 0, WIDEST)
    days = every_day(usage, zone)
    if columns < NARROWEST or not any(row.spent for row in days):
        return ""
    return bar_chart(
        [(f"{row.day:%m-%d}", row.spent) for row in days],
        label=lambda amount: with_unit(amount, UNIT),
        columns=columns,
        screen=screen,
    )


def _table(usage: Usage, zone: tzinfo, screen: Screen) -> str:
    """Return the widest table that fits; if none does, one with shortened names, or else a line for each cell."""
    rows = rows_of(usage, zone)
    has_tokens = any(row.prompt_tokens or row.completion_tokens for row in rows)
    has_requests = any(row.requests is not None for row in rows)
    limit = screen.width
    cells: list[dict[str, str]] = []
    for layout in LAYOUTS:
        cells = [
            _cells(row, usage, layout, screen, has_tokens=has_tokens, has_requests=has_requests)
            for row in (*rows, usage.total)
        ]
        needed = _width_of(cells, layout.gap)
        if limit is None or needed <= limit:
            return _drawn(cells, layout.gap, screen)
    assert limit is not None, "without a limit the first one fits"
    mark = "…" if screen.unicode else "..."
    room = max((width(each.get("Model", "")) for each in cells), default=0) - (needed - limit)
    if usage.by.has_model and room >= SHORTEST_NAME:
        shorter = [{**each, "Model": shortened(each["Model"], room, mark=mark)} for each in cells]
        if len({(each.get("Day"), each["Model"]) for each in shorter}) == len(shorter):
            return _drawn(shorter, layout.gap, screen)
    return "\n".join("".join(f"{name + ':':<10}{cell}\n" for name, cell in each.items()) for each in cells)


def _cells(
    row: Booked, usage: Usage, layout: UsageLayout, screen: Screen, *, has_tokens: bool, has_requests: bool
) -> dict[str, str]:
    """Return the cells by the names of their columns. The row of the total has `total` in place of its first name."""
    cells = {}
    is_total = row is usage.total
    if usage.by.has_day:
        cells["Day"] = _TOTAL if is_total else f"{row.day}"
    if usage.by.has_model:
        name = visible(row.model or "") or _NO_NAME
        cells["Model"] = ("" if usage.by.has_day else _TOTAL) if is_total else name
    cells["Spent"] = plain(row.spent)
    cells["Share"] = "" if is_total else _share(row.spent, usage.total.spent, layout, screen)
    if has_requests:
        cells["Calls"] = _number(row.requests)
    if has_tokens and layout.has_tokens:
        cells["In"], cells["Out"] = _number(row.prompt_tokens), _number(row.completion_tokens)
    return cells


def _number(count: int | None) -> str:
    return "-" if count is None else str(count)


def share_of(spent: Decimal, total: Decimal) -> Decimal:
    """Return the part of the total that was spent, from 0 to 1."""
    with localcontext(EXACT):
        return min(Decimal(1), spent / total) if total > 0 else Decimal(0)


def _share(spent: Decimal, total: Decimal, layout: UsageLayout, screen: Screen) -> str:
    share = share_of(spent, total)
    percent = int((share * 100).to_integral_value(ROUND_FLOOR))
    full, empty = ("█", "░") if screen.unicode else ("#", ".")
    filled = int((share * layout.steps).to_integral_value(ROUND_FLOOR))
    bar = f"{full * filled}{empty * (layout.steps - filled)} " if layout.steps else ""
    return f"{bar}{percent:3d} %"


_LEFT = frozenset({"Day", "Model", "Share"})


def _width_of(cells: Sequence[Mapping[str, str]], gap: int) -> int:
    return sum(_widths(cells).values()) + gap * (len(cells[0]) - 1)


def _widths(cells: Sequence[Mapping[str, str]]) -> dict[str, int]:
    return {name: max(width(name), *(width(each[name]) for each in cells)) for name in cells[0]}


def _drawn(cells: Sequence[Mapping[str, str]], gap: int, screen: Screen) -> str:
    """Return the head, a rule, the rows, another rule, and the total."""
    widths = _widths(cells)
    rule = ("─" if screen.unicode else "-") * (sum(widths.values()) + gap * (len(widths) - 1))
    lines = [_line({name: name for name in widths}, widths, gap), rule]
    lines += [_line(each, widths, gap) for each in cells[:-1]]
    lines += [rule, _line(cells[-1], widths, gap)]
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _line(cells: Mapping[str, str], widths: Mapping[str, int], gap: int) -> str:
    aligned = []
    for name, cells_wide in widths.items():
        blank = " " * (cells_wide - width(cells[name]))
        aligned.append(f"{cells[name]}{blank}" if name in _LEFT else f"{blank}{cells[name]}")
    return (" " * gap).join(aligned)
