"""The table of `balance`: no screen cuts a number."""

import re
from decimal import Decimal

import pytest
from rich.cells import cell_len

from apimart_cli.screen.writing import Screen
from apimart_cli.words import OutputFormat, Scope
from support.readings import ASCII, AUTH, LONGEST, cells, failed, reading, show, terminal

TABLE = OutputFormat.TABLE


def without_colour(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_a_table_has_these_columns() -> None:
    """Whose balance, what is left and used, the share that is left as a bar, and a word for it."""
    head, rule, *rows = cells(show([reading("82", "18", unit="USD"), reading(None, unit="USD")], TABLE))
    assert head == ["Profile", "Scope", "Remaining", "Used", "% left", "Status"]
    assert set("".join(rule)) == {"─"}
    assert rows == [
        ["default", "key", "82 USD", "18 USD", "████████░░  82 %", "ok"],
        # `unlimited USD` would mean nothing.
        ["default", "key", "unlimited", "2.3 USD", "-", "unlimited"],
    ]


def test_a_table_needs_no_more_than_ascii_where_there_is_no_more() -> None:
    """The same table for terminals and pipes that cannot write anything else."""
    text = show([reading("82", "18"), reading(None)], TABLE, ASCII)
    assert text.isascii()
    unicode = show([reading("82", "18"), reading(None)], TABLE)
    assert text == unicode.replace("█", "#").replace("░", ".").replace("─", "-")


@pytest.mark.parametrize(("remain", "used", "left", "status", "colour"), [
    ("100", "0", "██████████ 100 %", "ok", 32), ("99.9999", "0.0001", "█████████░  99 %", "ok", 32),
    ("999999999999999", "0.000000000000000000000000000001", "█████████░  99 %", "ok", 32),
    ("10", "90", "█░░░░░░░░░  10 %", "ok", 32), ("9.99", "90.01", "░░░░░░░░░░   9 %", "low", 33),
    ("0.001", "99.999", "░░░░░░░░░░   0 %", "low", 33), ("0", "5", "░░░░░░░░░░   0 %", "empty", 31),
    ("-5", "5", "░░░░░░░░░░   0 %", "empty", 31), ("0", "0", "-", "empty", 31), ("-5", "0", "-", "empty", 31),
    (None, "5", "-", "unlimited", 36),
])  # fmt: skip
def test_the_share_that_is_left_is_rounded_down(
    remain: str | None, used: str, left: str, status: str, colour: int
) -> None:
    """Without a whole there is no share; below a tenth is low. A colour only repeats what a word says."""
    plain = show([reading(remain, used)], TABLE)
    assert re.search(rf" {{3}}{re.escape(left)} {{3,}}{status}$", plain.splitlines()[2])
    coloured = show([reading(remain, used)], TABLE, terminal(100, colour=True))
    assert f"\x1b[{colour}m" in coloured
    assert [line.rstrip() for line in without_colour(coloured).splitlines()] == plain.splitlines()


def test_a_failure_has_a_row_only_beside_others() -> None:
    """Alone, there is nothing to show: the message says it all."""
    assert show([failed(AUTH)], TABLE) == ""
    rows = cells(show([reading(), failed(AUTH, scope=Scope.ACCOUNT)], TABLE))[2:]
    assert rows[1] == ["default", "account", "-", "-", "-", "error: auth"]


def test_a_pipe_gets_neither_escapes_nor_a_limit() -> None:
    """Markup, emoji codes, escapes and line ends in a profile's name are shown whole, not obeyed."""
    text = show([reading(profile="[red]x[/red] :smile: \x1b[31m\nb" + "p" * 500)], TABLE)
    assert "[red]x[/red] :smile: \\x1b[31m\\x0ab" + "p" * 500 in text
    assert "\x1b" not in text
    assert len(text.splitlines()) == 3
    assert not re.search(r" $", text, re.MULTILINE)


@pytest.mark.parametrize("width", [1, 10, 20, 30, 40, 50, 60, 80, 100, 200])
def test_no_screen_is_so_narrow_that_a_number_is_cut(width: int) -> None:
    """A narrow screen costs the bar, then the columns, never a digit; a table that is shown fits."""
    for amount in ("10.5", LONGEST):
        readings = [reading(amount, LONGEST, unit="USD", profile="production"), reading("7.25", "0")]
        for screen in (Screen(width=width), Screen(width=width, unicode=False), Screen(width=width, colour=True)):
            text = without_colour(show(readings, TABLE, screen))
            for number in (amount, LONGEST, "7.25"):
                assert re.search(rf"(?<![\d.]){re.escape(number)}(?![\d.])", text)
            assert "Remaining:" in text or max(len(line) for line in text.splitlines()) <= width


LONG_NAMES = ["customer-production-europe-1", "customer-production-europe-2", "short"]


@pytest.mark.parametrize(("unicode", "mark"), [(True, "…"), (False, "...")])
@pytest.mark.parametrize("width", [52, 65])
def test_a_name_that_is_too_wide_is_shortened_and_the_table_stays(width: int, unicode: bool, mark: str) -> None:
    """In its middle, so that names that begin alike can be told apart; a short name and every number stay."""
    readings = [reading("1234.5", "0.25", profile=name) for name in LONG_NAMES]
    text = show(readings, TABLE, terminal(width, unicode=unicode))
    assert max(map(len, text.splitlines())) <= width
    names, rest = zip(*(line.split(maxsplit=1) for line in text.splitlines()[2:]), strict=True)
    assert re.fullmatch(rf"cu.*{re.escape(mark)}.*-1 cu.*{re.escape(mark)}.*-2 short", " ".join(names))
    assert [each.split() for each in rest] == 3 * [["key", "1234.5", "0.25", "99", "%", "ok"]]


def test_names_that_would_look_alike_are_not_shortened() -> None:
    """Each cell has a line of its own then. What counts are cells: a Chinese character takes two."""
    names = [f"customer-{middle}-production" for middle in ("one", "two")]
    text = show([reading(profile=name) for name in names], TABLE, terminal(50))
    assert [line.split()[1] for line in text.splitlines() if line.startswith("Profile:")] == names
    text = show([reading(profile="生产环境余额查询密钥" * 3)], TABLE, terminal(60))
    assert "…" in text
    assert max(cell_len(line) for line in text.splitlines()) <= 60
    assert "Profile:" not in text


@pytest.mark.parametrize(
    ("remain", "least", "status"),
    [("10", "10", "ok"), ("9.99", "10", "low"), ("10", None, "ok"), ("0", "10", "empty"), (None, "10", "unlimited")],
)
def test_less_than_the_profiles_own_minimum_is_low(remain: str | None, least: str | None, status: str) -> None:
    """As `check` would say, and in yellow; however large a share it is."""
    subject = reading(remain, "0")._replace(low_below=None if least is None else Decimal(least))
    assert cells(show([subject], TABLE))[-1][-1] == status
    assert ("\x1b[33m" in show([subject], TABLE, terminal(80, colour=True))) is (status == "low")


@pytest.mark.parametrize(("key", "account", "status", "colour"), [
    ("10", "100", "limited by key", 32), ("100", "10", "limited by account", 32), ("1", "100", "low (key)", 33),
    ("10", "0.5", "low (account)", 33), ("10", "0", "empty (account)", 31),
])  # fmt: skip
def test_what_can_be_spent_has_the_colour_of_what_limits_it(key: str, account: str, status: str, colour: int) -> None:
    """And its word, where that is not `ok`. Here the key's share is low below 2."""
    readings = [reading(key, "1" if key != "1" else "20"), reading(account, "9", scope=Scope.ACCOUNT)]
    last = show(readings, TABLE, terminal(100, colour=True)).splitlines()[-1]
    assert f"\x1b[{colour}m{status}\x1b[0m" in last


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
    first, second, third = show(readings, TABLE, terminal(needed - 1)).split("\n\n")
    assert first.splitlines() == [
        "Profile:   default", "Scope:     key", "Remaining: 10.5", "Used:      2.3", "% left:    82 %", "Status:    ok",
    ]  # fmt: skip
    assert second == first.replace("key", "account")
    assert third.endswith("% left:    -\nStatus:    limited by key\n")
