"""What `history` shows: a chart of each series at a terminal, a plain table elsewhere, JSON for programs.

The only importer of plotext, which takes 35 ms to load, so it is imported late.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal, localcontext

from apimart_cli.output import padded, remaining, with_unit
from apimart_cli.output.json import render_document
from apimart_cli.output.runway import document, in_words, rounded_amount
from apimart_cli.rules.forecast import Overview, Seen
from apimart_cli.rules.spending import EXACT, TopUp
from apimart_cli.screen.writing import Screen, width
from apimart_cli.text import iso_time, visible, without_keys

MOST_TOP_UPS = 5
"""Most top-ups that get a line each."""

WIDEST = 100
"""Most columns of a chart: wider bars would show nothing more."""

NARROWEST = 40
"""Fewest columns of a chart."""

ROWS = 10
"""Rows of a chart, with the two rows of its axis."""

_LABEL = 8
"""Cells for the names of the facts and the spaces after them."""

_WIDEST_STEP = 8
"""Most cells from one bar to the next."""

_FEWEST = 20
"""Fewest cells that all bars together need."""

_GAP = 4
"""Cells between two names below the axis. plotext may take two of them, as it moves names."""

_ASCII = str.maketrans({"│": "|", "┤": "+", "─": "-", "┬": "+", "└": "+", "┼": "+", "█": "#"})


def render_history(overviews: Sequence[Overview], screen: Screen) -> str:
    """Return all series for a person, with an empty line between two."""
    return "\n".join(_series(each, screen) for each in overviews)


def render_history_as_json(overview: Overview) -> str:
    """Return one series as a line of JSON. Calculated amounts have up to six places, the others have all."""
    seen = overview.seen
    return render_document(
        {
            "profile": without_keys(seen.profile),
            "scope": seen.scope.value,
            "key_id": seen.key_id,
            "host": without_keys(seen.host),
            "unit": None if seen.unit is None else without_keys(seen.unit),
            "first_at": iso_time(seen.first_at),
            "last_at": iso_time(seen.last_at),
            "samples": seen.samples,
            "remain_balance": seen.remain,
            "days": [{"day": each.day.isoformat(), "spent": rounded_amount(each.spent)} for each in overview.days],
            "top_ups": [{"at": iso_time(each.at), "amount": rounded_amount(each.amount)} for each in overview.top_ups],
            "forecast": document(overview.forecast),
        }
    )


def bar_chart(
    bars: Sequence[tuple[str, Decimal | None]], *, label: Callable[[Decimal], str], columns: int, screen: Screen
) -> str:
    """Return bars with their names below them, no wider than `columns`. A bar without an amount is left out.

    `label` writes the amounts beside the axis: zero, the largest one, and the smallest if that is negative. If there
    are more bars than columns, some share a column, and the largest of them is seen. The text is empty if there is no
    room, or if all amounts are zero.
    """
    import plotext  # type: ignore[import-untyped]  # it has no types

    known = [amount for _, amount in bars if amount is not None]
    top, bottom = max([Decimal(0), *known]), min([Decimal(0), *known])
    height = top - bottom
    if not height:
        return ""
    marks = {Decimal(0): "0", top: label(top), bottom: label(bottom)} if top and bottom else {}
    marks = marks or {Decimal(0): "0", (top or bottom): label(top or bottom)}
    margin = max(map(width, marks.values())) + 1
    # The name of the last bar is below its middle, and may end to the right of the bar.
    tail = width(bars[-1][0]) // 2
    room = columns - margin - tail
    if room < _FEWEST:
        return ""
    step = max(1, min(room // len(bars), _WIDEST_STEP))
    inner = min(room, step * len(bars))
    spread = inner / len(bars)
    middle = (max(1, step - 1) - 1) / 2
    places = [number * spread + middle for number in range(len(bars))]

    plotext.clear_figure()
    plotext.theme("clear")
    plotext.limit_size(width=False, height=False)
    plotext.plot_size(margin + inner + tail, ROWS)
    # A bar takes whole cells, with one between two if there is room. plotext wants a share of their distance.
    thickness = 2 * middle / (spread if len(bars) > 1 else 1)
    # Shares of the height, as a float may not hold the amounts.
    heights = [float((amount or 0) / height) for _, amount in bars]
    plotext.bar(places, heights, width=thickness or 0.01, marker="sd")
    plotext.xlim(0, inner + tail - 1)
    plotext.ylim(float(bottom / height), float(top / height))
    named = _named([name for name, _ in bars], spread)
    plotext.xticks([places[number] for number in named], [bars[number][0] for number in named])
    plotext.yticks([float(amount / height) for amount in marks], list(marks.values()))
    plotext.xaxes(lower=True, upper=False)
    plotext.yaxes(left=True, right=False)
    drawn: str = plotext.uncolorize(plotext.build())
    plotext.clear_figure()
    text = "".join(f"{line.rstrip()}\n" for line in drawn.splitlines())
    return _coloured(text if screen.unicode else text.translate(_ASCII), colour=screen.colour)


def _series(overview: Overview, screen: Screen) -> str:
    columns = min(screen.width or 0, WIDEST)
    middle = _table(overview) if overview.days else ""
    if columns >= NARROWEST:
        # If nothing was spent in these days, the line `Spent` says so.
        middle = (_chart(overview, screen, columns) or middle) if any(each.spent for each in overview.days) else ""
    parts = [_head(overview.seen, screen), middle, _facts(overview)]
    return "\n".join(part for part in parts if part)


def _head(seen: Seen, screen: Screen) -> str:
    """Return the name, key and host of a series, on two lines if the screen is narrow. A name is never cut."""
    name = f"{visible(seen.profile)}/{seen.scope.value}"
    place = f"key {seen.key_id} at {visible(seen.host)}"
    is_narrow = screen.width is not None and width(name) + 2 + width(place) > screen.width
    shown = f"\x1b[1m{name}\x1b[0m" if screen.colour and screen.width is not None else name
    return f"{shown}\n{place}\n" if is_narrow else f"{shown}  {place}\n"


def _chart(overview: Overview, screen: Screen, columns: int) -> str:
    spends = {each.day: each.spent for each in overview.days}
    return bar_chart(
        [(day.strftime("%m-%d"), spends.get(day)) for day in overview.shown],
        label=lambda amount: with_unit(_rounded(amount), _unit(overview.seen)),
        columns=columns,
        screen=screen,
    )


def _table(overview: Overview) -> str:
    amounts = [str(with_unit(_rounded(each.spent), None)) for each in overview.days]
    cells = max(len("Spent"), *map(len, amounts))
    rows = [f"{each.day.isoformat()}  {amount:>{cells}}\n" for each, amount in zip(overview.days, amounts, strict=True)]
    return "".join([f"{'Day':10}  {'Spent':>{cells}}\n", *rows])


def _facts(overview: Overview) -> str:
    """Return what is known, with a name and a value on each line."""
    seen, unit = overview.seen, _unit(overview.seen)
    with localcontext(EXACT):
        spent = sum((each.spent for each in overview.days), Decimal(0))
    known, asked = len(overview.days), len(overview.shown)
    days = f"{known} day{'' if known == 1 else 's'}" if known == asked else f"{known} of {asked} days"
    facts = [
        ("Spent", f"{with_unit(_rounded(spent), unit)} in {days}" if known else _nothing_known(asked)),
        *_top_ups(overview.top_ups, unit),
        ("Left", remaining(seen.remain, unit)),
        ("Lasts", in_words(overview.forecast, unit)),
        ("Read", f"{seen.samples} time{'' if seen.samples == 1 else 's'}, last {_minute(seen.last_at)}"),
    ]
    return "".join(f"{padded(name, _LABEL)}{value}\n" for name, value in facts)


def _nothing_known(asked: int) -> str:
    return f"not known: fewer than two readings in the last {'day' if asked == 1 else f'{asked} days'}"


def _top_ups(top_ups: Sequence[TopUp], unit: str | None) -> Iterable[tuple[str, str]]:
    for number, each in enumerate(top_ups[-MOST_TOP_UPS:]):
        amount = _rounded(abs(each.amount))
        name = "Cut" if each.amount < 0 else "Top-up"
        earlier = len(top_ups) - MOST_TOP_UPS
        more = f", {earlier} more before" if earlier > 0 and number == 0 else ""
        yield name, f"{with_unit(amount, unit)} on {each.at:%Y-%m-%d}{more}"


def _unit(seen: Seen) -> str | None:
    return None if seen.unit is None else visible(seen.unit)


def _rounded(amount: Decimal) -> Decimal:
    with localcontext(EXACT):
        rounded = rounded_amount(amount)
    return Decimal(0) if rounded is None else rounded


def _minute(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")


def _named(names: Sequence[str], spread: float) -> list[int]:
    """Return which bars get a name: the last one, and as many others at even distances as fit."""
    room = max(map(width, names)) + _GAP
    every = max(1, -int(-room // spread))
    return list(range(len(names) - 1, -1, -every))


def _coloured(text: str, *, colour: bool) -> str:
    if not colour:
        return text
    import re

    return re.sub("[█#]+", lambda match: f"\x1b[36m{match[0]}\x1b[0m", text)
