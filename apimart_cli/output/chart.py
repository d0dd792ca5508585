"""A chart of bars, drawn by plotext: the only importer of it, where a chart is drawn, as it takes 35 ms to load."""

from collections.abc import Callable, Sequence
from decimal import Decimal

from apimart_cli.screen.folding import width
from apimart_cli.screen.output import Screen

ROWS = 10
"""Rows of a chart, with the two of the axis below it."""

_WIDEST_STEP = 8
"""Most cells from one bar to the next."""

_FEWEST = 20
"""Fewest cells for all bars."""

_GAP = 4
"""Cells between two names below the axis, of which plotext may take two, as it moves names."""

_ASCII = str.maketrans({"│": "|", "┤": "+", "─": "-", "┬": "+", "└": "+", "┼": "+", "█": "#"})


def bar_chart(
    bars: Sequence[tuple[str, Decimal | None]], *, label: Callable[[Decimal], str], columns: int, screen: Screen
) -> str:
    """Return bars with their names below them, no wider than `columns`; one without an amount is left out.

    `label` writes the amounts beside the axis: zero, the largest one, and the smallest where that is negative.
    Where there are more bars than columns, the larger of those that share one is seen. Nothing is returned where there
    is no room, or all amounts are zero.
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
    # The name of the last bar, in the middle below it, may end after it.
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
    # Whole cells, and one between them where there is room; it takes a share of the distance between two bars.
    thickness = 2 * middle / (spread if len(bars) > 1 else 1)
    # Shares, as a float need not hold the amounts.
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


def _named(names: Sequence[str], spread: float) -> list[int]:
    """Return which bars have their name below them: the last, and others at even distances, as many as fit."""
    room = max(map(width, names)) + _GAP
    every = max(1, -int(-room // spread))
    return list(range(len(names) - 1, -1, -every))


def _coloured(text: str, *, colour: bool) -> str:
    if not colour:
        return text
    import re

    return re.sub("[█#]+", lambda match: f"\x1b[36m{match[0]}\x1b[0m", text)
