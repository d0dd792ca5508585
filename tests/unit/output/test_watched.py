"""What `watch` shows: a table that does what it can where there is little room, and a line for each change."""

import json
import re
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from apimart_cli.errors import PaymentRequiredError, UnavailableError
from apimart_cli.output import width
from apimart_cli.output.watched import below_in_words, change_as_json, change_as_line, watched_as_text
from apimart_cli.rules.balance import Reading
from apimart_cli.rules.forecast import Forecast
from apimart_cli.rules.spending import TopUp
from apimart_cli.rules.trend import Bar, Change, View
from apimart_cli.screen.writing import Screen
from apimart_cli.words import ForecastState, Scope
from support.readings import LONGEST, MOMENT, PIPE, cells, failed, reading, terminal

D = Decimal
DOWN = UnavailableError("no answer within 10 seconds", "try again later")
BARS = tuple(Bar(D(number)) for number in range(8))
KNOWN = View(reading("8.50", "4.300", unit="USD", profile="work")._replace(low_below=D(9)), spent=D("2.000"))
UNKNOWN = View(failed(DOWN), failure=DOWN)


def view(made: Reading | None = None, **fields: object) -> View:
    """What is known of a balance that has 10.5 left, a minute after it was read."""
    known = {"spent": D("0.25"), "spent_per_hour": D("1.23456"), "hours_left": D("8.5"), "bars": BARS}
    return View(made or reading(unit="USD"), **{**known, **fields})  # type: ignore[arg-type]


def shown(views: Sequence[View], screen: Screen = PIPE, height: int | None = None) -> str:
    return watched_as_text(views, screen, now=MOMENT + timedelta(seconds=60), height=height)


def row_of(made: View, screen: Screen = PIPE) -> dict[str, str]:
    """The cells of its row by the names of the columns."""
    head, _rule, row, *_ = cells(shown([made], screen))
    return dict(zip(head, row, strict=True))


def test_a_row_says_all_that_is_known() -> None:
    """Amounts to the last digit; what was calculated, to three. Columns without anything are left out."""
    assert row_of(view()) == {
        "Profile": "default", "Scope": "key", "Remaining": "10.5 USD", "Spent": "0.25 USD", "Rate": "1.23 USD/h",
        "Lasts": "~8 h 30 min", "Spend": "▁▂▃▄▅▆▇█", "Age": "1 min", "Status": "ok",
    }  # fmt: skip
    fresh = View(reading(), spent=D(0))
    assert list(row_of(fresh)) == ["Profile", "Scope", "Remaining", "Spent", "Rate", "Age", "Status"]


@pytest.mark.parametrize(("per_hour", "rate"), [
    (None, "-"), ("0", "0/h"), ("0.1", "0.1/h"), ("0.05", "1.2/d"), ("0.000001234", "0.0000296/d"),
    ("123456", "123000/h"), ("20", "20/h"),
])  # fmt: skip
def test_a_small_rate_is_told_by_the_day(per_hour: str | None, rate: str) -> None:
    """And none has an exponent."""
    made = view(reading(), spent_per_hour=None if per_hour is None else D(per_hour), hours_left=None)
    assert row_of(made)["Rate"] == rate


FORECAST = Forecast(ForecastState.OK, D(7), D(1), D(10), D(7), D(20))


@pytest.mark.parametrize(("forecast", "hours_left", "lasts"), [
    (FORECAST, None, "10 d"), (FORECAST, D(241), "10 d"), (FORECAST, D(5), "~5 h"),
    (FORECAST._replace(state=ForecastState.TOO_LITTLE, days_left=None), D(5), "~5 h"),
    (FORECAST._replace(state=ForecastState.IDLE, days_left=None), D(5), "~5 h"),
    (None, D(24 * 91), "> 90 d"), (None, D(0), "~0 s"),
])  # fmt: skip
def test_what_ends_sooner_is_told(forecast: Forecast | None, hours_left: Decimal | None, lasts: str) -> None:
    """The forecast, which looks at days, or the end at the present rate."""
    made = view(reading()._replace(forecast=forecast), hours_left=hours_left)
    assert row_of(made)["Lasts"] == lasts


def test_a_top_up_is_marked_in_its_place_and_told() -> None:
    """With how much, and how long ago."""
    bars = (Bar(D(1)), Bar(D(2), has_top_up=True), Bar(D(0)))
    made = view(bars=bars, top_up=TopUp(MOMENT - timedelta(seconds=120), D("5.00")))
    assert row_of(made)["Spend"] == "▅+▁"
    assert row_of(made)["Top-up"] == "+5.00 USD, 3 min ago"
    cut = made._replace(top_up=TopUp(MOMENT, D("-5.00")))
    assert row_of(cut)["Top-up"] == "-5.00 USD, 1 min ago"


def test_after_a_failure_the_last_value_is_marked_with_the_reason() -> None:
    """In words that do not need colour. Reasons are told once, and not all of many."""
    text = shown([view(failure=DOWN)])
    assert "10.5 USD" in text
    assert "! unavailable\n" in text
    assert text.endswith("\n! default/key: no answer within 10 seconds\n")
    views = [view(failed(DOWN, f"p{number}"), failure=DOWN) for number in range(3)]
    assert "! p0/key and 2 more: no answer within 10 seconds\n" in shown(views)
    errors = [UnavailableError(f"reason {number}", "wait") for number in range(5)]
    text = shown([view(failed(error, f"p{error.message}"), failure=error) for error in errors])
    assert text.endswith("reason 2\n! 2 more reasons\n")


def test_ascii_screens_get_ascii() -> None:
    """Bars and rules, too."""
    text = shown([view(), view(reading(profile="b"))], terminal(50, unicode=False), height=5)
    assert text.isascii()
    assert "_" in shown([view()], Screen(unicode=False))


def test_a_narrow_screen_has_lines_for_each_balance() -> None:
    """One below the other; many balances stay a table, without the columns that matter least."""
    text = shown([view(), view(reading(profile="other"))], terminal(40), height=22)
    assert re.findall(r"^Profile: +(\w+)$", text, re.MULTILINE) == ["default", "other"]
    assert re.search(r"^Spend: +▁▂▃▄▅▆▇█$", text, re.MULTILINE)
    views = [view(reading(profile=f"p{number}", unit="USD")) for number in range(8)]
    lines = shown(views, terminal(60), height=20).splitlines()
    assert len(lines) == 10
    assert max(map(len, lines)) <= 60


@pytest.mark.parametrize("profile", ["work", "the profile of a team with a long name"])
def test_a_small_window_has_a_line_for_each_balance(profile: str) -> None:
    """Three fit in 40 by 10: no balance is left out for the sake of what is told of another."""
    amounts = {Scope.KEY: "14.954929", Scope.ACCOUNT: "24.954929", Scope.SPENDABLE: "34.954929"}
    views = [view(reading(amount, profile=profile, scope=scope)) for scope, amount in amounts.items()]
    lines = shown(views, terminal(40), height=8).splitlines()
    assert len(lines) <= 8
    assert max(map(len, lines)) <= 40
    assert [sum(amount in line for line in lines) for amount in amounts.values()] == [1, 1, 1]


def test_what_needs_an_eye_comes_first_where_not_all_fit() -> None:
    """And the number of lines that are left out is told."""
    views = [view(reading(profile=f"p{number}")) for number in range(50)]
    views[40] = views[40]._replace(failure=DOWN)
    views[45] = views[45]._replace(is_below=True)
    lines = shown(views, terminal(100), height=22).splitlines()
    assert len(lines) == 22
    assert [line.split()[0] for line in lines[2:5]] == ["p40", "p45", "p0"]
    assert re.match(r"… \d+ more lines in a higher window", lines[-2])


@settings(max_examples=40)
@given(
    st.integers(20, 140),
    st.integers(4, 40),
    st.integers(1, 12),
    st.sampled_from(["10.5", "0", LONGEST, None]),
    st.sampled_from(["a", "a long name of a profile", "名前"]),
    st.booleans(),
)
def test_it_always_fits_and_cuts_no_number(
    columns: int, height: int, count: int, remain: str | None, profile: str, fails: bool
) -> None:
    """A table is no wider than the screen; one balance below the other may have a long number that is folded."""
    made = view(reading(remain, profile=profile), failure=DOWN if fails else None)
    text = shown([made] * count, terminal(columns), height=height)
    assert len(text.splitlines()) <= height + 4 * fails
    if text.startswith("Profile "):
        assert max(map(width, text.splitlines())) <= columns
        assert (remain or "unlimited") in text


@pytest.mark.parametrize(("view", "changes", "told"), [
    (KNOWN, [Change.START], "work/key: 8.50 USD left, 2.000 USD spent"),
    (KNOWN, [Change.CHANGED, Change.BELOW], "work/key: 8.50 USD left, 2.000 USD spent; below 9 USD"),
    (KNOWN, [Change.ENOUGH], "work/key: 8.50 USD left, 2.000 USD spent; enough again"),
    (KNOWN, [Change.RECOVERED], "work/key: 8.50 USD left, 2.000 USD spent; answers again"),
    (KNOWN._replace(top_up=TopUp(MOMENT, D("5.0"))), [Change.TOP_UP],
     "work/key: 8.50 USD left, 2.000 USD spent; topped up by 5.0 USD"),
    (KNOWN._replace(top_up=TopUp(MOMENT, D("-5.0"))), [Change.CUT],
     "work/key: 8.50 USD left, 2.000 USD spent; cut by 5.0 USD"),
    (KNOWN._replace(failure=DOWN), [Change.FAILED],
     "work/key: last 8.50 USD left, 2.000 USD spent; error: no answer within 10 seconds"),
    (UNKNOWN, [Change.START, Change.FAILED], "default/key: error: no answer within 10 seconds"),
    (View(reading(None), spent=D(0)), [Change.START], "default/key: unlimited, 0 spent"),
])  # fmt: skip
def test_a_line_says_what_there_is_and_what_changed(view: View, changes: list[Change], told: str) -> None:
    """After the moment, in UTC."""
    assert change_as_line(view, changes, MOMENT) == f"2026-01-31T12:00:05Z {told}\n"


def test_a_document_is_the_reading_and_what_changed() -> None:
    """As `balance --json` has it, exact, on one line; a top-up is in the document that tells of it alone."""
    text = change_as_json(KNOWN, [Change.CHANGED], MOMENT)
    assert text.count("\n") == 1
    assert '"remain_balance":8.50,' in text
    end = '"at":"2026-01-31T12:00:05Z","changes":["changed"],"spent":2.000,"spent_per_hour":null,"top_up":null,'
    assert text.endswith(f'{end}"below":false}}\n')
    topped_up = KNOWN._replace(top_up=TopUp(MOMENT, D("5.0")))
    assert json.loads(change_as_json(topped_up, [Change.TOP_UP], MOMENT))["top_up"] == 5.0
    assert json.loads(change_as_json(topped_up, [Change.CHANGED], MOMENT))["top_up"] is None


def test_a_failure_has_its_error_and_what_was_last_known() -> None:
    """Under a name that no reading has: it is not the balance now."""
    document = json.loads(change_as_json(KNOWN._replace(failure=DOWN), [Change.FAILED], MOMENT))
    assert document["error"]["code"] == "unavailable"
    assert document["last_remain_balance"] == 8.5
    assert "remain_balance" not in document
    assert "last_remain_balance" not in json.loads(change_as_json(UNKNOWN, [Change.START], MOMENT))


def test_why_it_ended() -> None:
    """What is left and what was required, or that the account cannot pay."""
    assert below_in_words(KNOWN) == "work/key: 8.50 USD left, at least 9 USD required"
    payment = PaymentRequiredError("pay")
    assert below_in_words(KNOWN._replace(failure=payment)) == "work/key: the account cannot pay (HTTP 402)"
