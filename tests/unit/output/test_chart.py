"""The chart: whole cells, names that fit, and amounts that are right, whatever they are."""

import re
from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from apimart_cli.output.history import ROWS, bar_chart
from apimart_cli.screen.writing import Screen

PLAIN = Screen(width=100)


def drawn(amounts: Sequence[Decimal | str | None], columns: int = 60, screen: Screen = PLAIN) -> str:
    """Return a chart of bars that are named by their number."""
    bars = [
        (f"{number:02}-{number:02}", None if each is None else Decimal(each)) for number, each in enumerate(amounts)
    ]
    return bar_chart(bars, label=lambda amount: f"{amount:f} USD", columns=columns, screen=screen)


def test_what_a_chart_looks_like() -> None:
    """Bars of whole cells with one between them, the largest amount beside the axis, and names below it."""
    assert drawn(["1", None, "0", "4", "2.5", "0.001"], 40) == (
        "4 USD┤               ████\n"
        "     │               ████\n"
        "     │               ████\n"
        "     │               ████ ████\n"
        "     │               ████ ████\n"
        "     │████           ████ ████\n"
        "     │████           ████ ████\n"
        "    0┤████           ████ ████ ████\n"
        "     └───────┬─────────┬─────────┬────\n"
        "           01-01     03-03    05-05\n"
    )


@settings(max_examples=50)
@given(
    st.lists(st.none() | st.decimals("-1e15", "1e15", places=6), min_size=1, max_size=120),
    st.integers(40, 100),
)
@example([Decimal("1e15") - Decimal("0.000001"), Decimal("0.000001")], 40)
@example([Decimal("1e-6"), None, Decimal("-1e15")], 40)
def test_it_always_fits(amounts: list[Decimal | None], columns: int) -> None:
    """No line is wider, there are so many rows, and the last bar has its name, where anything was spent."""
    lines = drawn(amounts, columns).splitlines()
    assert len(lines) in {0, ROWS}
    known = [Decimal(0), *(each for each in amounts if each is not None)]
    labels = max(len(f"{each:f} USD") for each in (max(known), min(known)) if each or not any(known))
    assert bool(lines) == (any(known) and columns >= labels + 1 + 20 + 2)
    if lines:
        assert max(map(len, lines)) <= columns
        assert lines[-1].endswith(f"-{len(amounts) - 1:02}")
        assert "\x1b" not in "".join(lines)


@pytest.mark.parametrize("count", [1, 2, 14, 51])
@pytest.mark.parametrize("columns", [40, 60, 100])
def test_bars_are_even(count: int, columns: int) -> None:
    """All are equally wide, one cell apart where there is room, and as high as their amounts say."""
    lines = drawn(["1", "2"] * (count // 2) + ["2"] * (count % 2), columns).splitlines()
    low = [len(run) for run in re.findall("█+", lines[-3])]
    if len(low) > 1:
        assert len(low) == count
        assert len(set(low)) == 1
    heights = [sum(line[place] == "█" for line in lines if place < len(line)) for place in range(len(lines[0]) + 1)]
    assert set(heights) <= {0, 4, 5, 8}


def test_names_keep_their_distance() -> None:
    """None touches another one, and none is cut."""
    for count in range(1, 91, 4):
        axis = drawn(["1"] * count, 60).splitlines()[-1]
        assert re.fullmatch(r" *([0-9]{2}-[0-9]{2}( +|$))+", axis), axis


def test_less_than_nothing_hangs_down() -> None:
    """A day on which more was given back than spent. Where nothing was spent, or is known, there is no chart."""
    lines = drawn(["2", "-1"]).splitlines()
    assert [line.split("┤")[0].strip() for line in lines if "┤" in line] == ["2 USD", "0", "-1 USD"]
    assert drawn(["-1"]).splitlines()[-3].startswith("-1 USD┤")
    assert drawn(["0", None, "0"]) == drawn([None]) == ""


def test_colour_and_ascii() -> None:
    """Only the bars are coloured; without them the text is the same, and so it is in ASCII."""
    plain, coloured = drawn(["1", "2"]), drawn(["1", "2"], screen=Screen(colour=True))
    assert re.sub(r"\x1b\[36m(█+)\x1b\[0m", r"\1", coloured) == plain
    assert coloured != plain
    ascii_text = drawn(["1", "2"], screen=Screen(unicode=False))
    assert ascii_text.isascii()
    assert ascii_text.count("#") == plain.count("█")
