"""How the books are written: tables that fit, pages without foreign code, cells that are no formulas."""

import csv
import io
import json
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from apimart_cli.choices import UsageBy
from apimart_cli.errors import NoBooksError
from apimart_cli.output.usage import render_usage, render_usage_as_csv, render_usage_as_json
from apimart_cli.output.usage_page import render_page
from apimart_cli.rules.books import Booked, BooksReading, Usage, added
from apimart_cli.screen.writing import Screen, width
from apimart_cli.words import Scope

MOMENT = datetime(2026, 9, 18, 12, tzinfo=UTC)
NASTY = [
    "=1+1",
    "+1",
    "-1",
    "@x",
    "<script>alert(1)</script>",
    '"><img src=x>',
    "模型-五",
    "a" * 200,
    "",
    'a,b"c',
    "&lt;",
]


def reading(*rows: Booked, by: UsageBy = UsageBy.MODEL, **more: Any) -> BooksReading:
    since, until = datetime(2026, 9, 16, tzinfo=UTC), datetime(2026, 9, 18, tzinfo=UTC)
    usage = Usage(Scope.KEY, since, until, "UTC", by, added(rows), rows, MOMENT)._replace(**more)
    return BooksReading("work", Scope.KEY, usage, "3f9a1c2e77aa", "api.apimart.ai")


def row(
    model: str | None, spent: str, requests: int | None = 5, tokens: int | None = 0, day: int | None = None
) -> Booked:
    return Booked(Decimal(spent), requests, tokens, tokens, None if day is None else date(2026, 9, day), model)


TYPICAL = reading(row("claude-sonnet-4-5", "1.393411", 957, 754000), row("gpt-5", "8.235471", 132, 19920))


def lines(told: BooksReading, columns: int | None = None, **screen: Any) -> list[str]:
    return render_usage(told, Screen(width=columns, **screen)).splitlines()


@pytest.mark.parametrize("columns", [100, 60, 50, 40, 30])
def test_a_table_fits(columns: int) -> None:
    """With every digit, whatever else has to go: the bar, the tokens, the middle of names."""
    shown = lines(TYPICAL, columns)
    assert max(map(width, shown[3:-2])) <= columns
    text = "\n".join(shown)
    assert all(amount in text for amount in ("1.393411", "8.235471", "9.628882", "957", "132", "1089"))
    assert ("754000" in text) == (columns >= 60)
    assert ("█" in text) == (columns >= 50)


def test_in_a_terminal_that_no_table_fits_each_cell_has_a_line() -> None:
    """No number is cut. In ASCII all of it is ASCII, bars and rules, too."""
    shown = lines(TYPICAL, 12)
    assert "Spent:    1.393411" in shown
    assert "Model:    claude-sonnet-4-5" in shown
    assert render_usage(TYPICAL, Screen(width=100, unicode=False)).isascii()


def test_there_is_no_column_of_what_is_not_told() -> None:
    """Images have no tokens, and some gateways count no calls."""
    assert lines(reading(row("gpt-image-2", "1")))[2].split() == ["Model", "Spent", "Share", "Calls"]
    assert lines(reading(row("gpt-image-2", "1", None, None)))[2].split() == ["Model", "Spent", "Share"]


def test_nothing_spent_has_no_table() -> None:
    """The line below says it; a kept answer may be a minute older."""
    shown = lines(reading())
    assert shown[-2:] == ["Spent   0 USD, 2026-09-16 to 2026-09-17 (UTC)", "Booked  until about a minute ago"]
    assert len(shown) == 4
    assert lines(reading(was_kept=True))[-1] == "Booked  until about two minutes ago"


def test_by_day_there_is_a_chart_at_a_terminal() -> None:
    """And a table elsewhere."""
    told = reading(row(None, "1", day=16), row(None, "3", day=17), by=UsageBy.DAY)
    assert any("┤" in line for line in lines(told, 60))
    assert "2026-09-17       3   ███████░░░  75 %       5" in lines(told)


def test_shares_are_rounded_down() -> None:
    """Only what is all of it is 100 %."""
    shown = "\n".join(lines(reading(row("a", "999999.999999"), row("b", "0.000001"))))
    assert "  99 %" in shown
    assert "   0 %" in shown


def test_a_cell_of_csv_is_no_formula() -> None:
    """And is read back as it was."""
    for name in NASTY:
        usage = reading(row(name, "1")).usage
        assert usage is not None
        [_, cells] = csv.reader(io.StringIO(render_usage_as_csv(usage)))
        assert not cells[1].startswith(("=", "+", "-", "@"))
        assert cells[1].removeprefix("'") == name


def test_json_of_a_failure_is_as_everywhere() -> None:
    """The error in the place of the amounts."""
    failed = BooksReading("work", Scope.ACCOUNT, NoBooksError("no books", "a hint"), None, "api.apimart.ai")
    assert json.loads(render_usage_as_json(failed)) == {
        "schema": 1,
        "profile": "work",
        "scope": "account",
        "key_id": None,
        "host": "api.apimart.ai",
        "error": {"code": "bad_response", "exit_code": 6, "message": "no books", "hint": "a hint"},
    }


class Elements(HTMLParser):
    """Every element of a page, with its attributes, and all text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep an element."""
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Keep a text."""
        self.text.append(data)


def page_of(*rows: Booked) -> str:
    return render_page([reading(*rows, by=UsageBy.DAY_MODEL)], UsageBy.MODEL)


@settings(max_examples=25)
@given(st.lists(st.text(max_size=30) | st.sampled_from(NASTY), unique=True, min_size=1, max_size=5))
@example(NASTY)
@example(["http:"])
def test_a_page_has_no_code_and_no_address_in_it(names: list[str]) -> None:
    """Whatever a model is called: the elements are the same, and none loads or runs anything."""
    page = page_of(*(row(name, "1", day=16) for name in names))
    plain = page_of(*(row(f"m{number}", "1", day=16) for number in range(len(names))))
    elements = Elements(page).found
    assert [tag for tag, _ in elements] == [tag for tag, _ in Elements(plain).found]
    for tag, attributes in elements:
        assert tag not in {"script", "link", "img", "iframe", "object", "a", "form"}
        assert not any(name.startswith("on") or name in {"src", "href", "style"} for name in attributes)
    # Of what is ours. A name may look like an address: it is text, in the same elements as every other.
    assert not re.search(r"url\(|@import|https?:", plain)
    assert "default-src 'none'; style-src 'unsafe-inline'" in page


def test_a_page_has_the_chart_and_the_table() -> None:
    """A bar for each day with its amount, a row for each model, and a total."""
    elements = Elements(page_of(row("a", "1.5", day=16), row("b", "0.25", day=16), row("a", "2", day=17)))
    assert [tag for tag, _ in elements.found].count("rect") == 2
    text = " ".join(elements.text)
    assert "2026-09-16: 1.75 USD" in text
    assert text.index("3.5") < text.index("0.25")
    assert "3.75" in text


def test_a_page_of_several_shows_failures_too() -> None:
    """In the words of the error."""
    failed = BooksReading("<b>", Scope.KEY, NoBooksError("no <books>"), None, "h")
    page = render_page([reading(row("a", "1", day=16), by=UsageBy.DAY_MODEL), failed], UsageBy.DAY)
    assert "no &lt;books&gt;" in page
    assert "&lt;b&gt;/key" in page
