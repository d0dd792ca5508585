"""The table of `balance`: no screen cuts a number."""

import re
from collections.abc import Mapping

import pytest

from apimart_cli.words import OutputFormat, Scope
from support.readings import ASCII, AUTH, LONGEST, cells, failed, reading, show, terminal

TABLE = OutputFormat.TABLE


def test_a_table_has_these_columns() -> None:
    """Whose balance, what is left and used, the share that is left as a bar, and a word for it."""
    head, rule, *rows = cells(show([reading("82", "18", unit="USD")], TABLE))
    assert head == ["Profile", "Scope", "Remaining", "Used", "Left", "Status"]
    assert set("".join(rule)) == {"─"}
    assert rows == [["default", "key", "82 USD", "18 USD", "████████░░  82 %", "ok"]]


def test_a_table_needs_no_more_than_ascii_where_there_is_no_more() -> None:
    """The same table for terminals and pipes that cannot write anything else."""
    text = show([reading("82", "18"), reading(None)], TABLE, ASCII)
    assert text.isascii()
    assert "########..  82 %" in text
    unicode = show([reading("82", "18"), reading(None)], TABLE)
    assert text == unicode.replace("█", "#").replace("░", ".").replace("─", "-")


@pytest.mark.parametrize(
    ("remain", "used", "left", "status"),
    [
        ("100", "0", "██████████ 100 %", "ok"),
        ("99.9999", "0.0001", "█████████░  99 %", "ok"),
        ("999999999999999", "0.000000000000000000000000000001", "█████████░  99 %", "ok"),
        ("50", "50", "█████░░░░░  50 %", "ok"),
        ("10", "90", "█░░░░░░░░░  10 %", "ok"),
        ("9.99", "90.01", "░░░░░░░░░░   9 %", "low"),
        ("0.001", "99.999", "░░░░░░░░░░   0 %", "low"),
        ("0", "5", "░░░░░░░░░░   0 %", "empty"),
        ("-5", "5", "░░░░░░░░░░   0 %", "empty"),
        ("0", "0", "-", "empty"),
        ("-5", "0", "-", "empty"),
        (None, "5", "-", "unlimited"),
    ],
)
def test_the_share_that_is_left_is_rounded_down(remain: str | None, used: str, left: str, status: str) -> None:
    """Only what is wholly there is 100 %; without a whole there is no share; below a tenth is low."""
    row = show([reading(remain, used)], TABLE).splitlines()[2]
    assert re.search(rf" {{3}}{re.escape(left)} {{3,}}{status}$", row)


def test_an_unlimited_quota_has_no_unit() -> None:
    """`unlimited USD` would mean nothing; what was used has one."""
    row = cells(show([reading(None, "2.3", unit="USD")], TABLE))[2]
    assert row[2:4] == ["unlimited", "2.3 USD"]


def test_a_failure_has_a_row_only_beside_others() -> None:
    """Alone, there is nothing to show: the message says it all."""
    assert show([failed(AUTH)], TABLE) == ""
    rows = cells(show([reading(), failed(AUTH, scope=Scope.ACCOUNT)], TABLE))[2:]
    assert rows[1] == ["default", "account", "-", "-", "-", "error: auth"]


def test_a_pipe_gets_neither_escapes_nor_a_limit() -> None:
    """However long a line is, and whatever a profile is called, it is written whole."""
    text = show([reading(profile="p" * 500)], TABLE)
    assert "p" * 500 in text
    assert "\x1b" not in text
    assert not re.search(r" $", text, re.MULTILINE)


def test_a_profile_is_data() -> None:
    """Markup, emoji codes, escapes and line ends in a profile's name are shown, not obeyed."""
    text = show([reading(profile="[red]x[/red] :smile: \x1b[31m\nb")], TABLE)
    assert "[red]x[/red] :smile: \\x1b[31m\\x0ab" in text
    assert len(text.splitlines()) == 3


@pytest.mark.parametrize(
    ("remain", "used", "colour"), [("50", "50", "32"), ("1", "99", "33"), ("0", "5", "31"), (None, "5", "36")]
)
def test_a_colour_only_repeats_what_a_word_says(remain: str | None, used: str, colour: str) -> None:
    """Without the escapes the table is the same."""
    coloured = show([reading(remain, used)], TABLE, terminal(80, colour=True))
    assert f"\x1b[{colour}m" in coloured
    plain = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert [line.rstrip() for line in plain.splitlines()] == (show([reading(remain, used)], TABLE).splitlines())


@pytest.mark.parametrize("width", [1, 10, 20, 30, 40, 50, 60, 70, 80, 100, 120, 200])
@pytest.mark.parametrize("screen", [{}, {"unicode": False}, {"colour": True}])
@pytest.mark.parametrize("amount", ["10.5", LONGEST])
def test_no_screen_is_so_narrow_that_a_number_is_cut(width: int, screen: Mapping[str, bool], amount: str) -> None:
    """A narrow screen costs the bar, then the columns, never a digit; a table that is shown fits."""
    readings = [reading(amount, LONGEST, unit="USD", profile="production"), reading("7.25", "0")]
    text = re.sub(r"\x1b\[[0-9;]*m", "", show(readings, TABLE, terminal(width, **screen)))
    for number in (amount, LONGEST, "7.25"):
        assert re.search(rf"(?<![\d.]){re.escape(number)}(?![\d.])", text)
    assert "production" in text
    assert "…" not in text
    if "Remaining:" not in text:
        assert max(len(line) for line in text.splitlines()) <= width


def test_a_narrow_screen_costs_the_bar_first_then_the_columns() -> None:
    """Each layout is used down to the last column that it needs."""
    readings = [reading(), reading(scope=Scope.ACCOUNT)]
    widest = show(readings, TABLE)
    full = max(len(line) for line in widest.splitlines())
    assert show(readings, TABLE, terminal(full)) == widest
    without_bar = show(readings, TABLE, terminal(full - 1))
    assert "█" not in without_bar
    assert "82 %" in without_bar
    assert len(without_bar.splitlines()) == 5
    needed = max(len(line) for line in without_bar.splitlines())
    assert show(readings, TABLE, terminal(needed)) == without_bar
    stacked = show(readings, TABLE, terminal(needed - 1))
    assert stacked.splitlines() == [
        "Profile:   default",
        "Scope:     key",
        "Remaining: 10.5",
        "Used:      2.3",
        "Left:      82 %",
        "Status:    ok",
        "",
        "Profile:   default",
        "Scope:     account",
        "Remaining: 10.5",
        "Used:      2.3",
        "Left:      82 %",
        "Status:    ok",
        "",
        "Profile:   default",
        "Scope:     spendable",
        "Remaining: 10.5",
        "Used:      2.3",
        "Left:      -",
        "Status:    limited by key",
    ]
