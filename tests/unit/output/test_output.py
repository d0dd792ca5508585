"""Renderers: exact numbers in every format, the JSON contract, and tables that no screen cuts."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from apimart_cli.balance import Balance, Reading
from apimart_cli.errors import ApimartError, AuthError, ExitCode, PaymentRequiredError, UnavailableError, UsageError
from apimart_cli.gate import Thresholds, Verdict, judge
from apimart_cli.output import Checked, render_checked, render_readings
from apimart_cli.output.json import render_document, render_error_as_json
from apimart_cli.output.settings import render_settings, render_settings_as_json
from apimart_cli.reports import SettingRow
from apimart_cli.screen.output import Screen
from apimart_cli.words import Outcome, OutputFormat, Scope

MOMENT = datetime(2026, 1, 31, 12, 0, 5, 987654, tzinfo=UTC)

PIPE = Screen()
ASCII = Screen(unicode=False)

TABLE, JSON, VALUE = OutputFormat.TABLE, OutputFormat.JSON, OutputFormat.VALUE

AUTH = AuthError("the key was rejected", "check the key")


def reading(
    remain: str | None = "10.5",
    used: str = "2.3",
    *,
    profile: str = "default",
    scope: Scope = Scope.KEY,
    unit: str | None = None,
    **credits: str,
) -> Reading:
    balance = Balance(
        scope=scope,
        remain_balance=None if remain is None else Decimal(remain),
        used_balance=Decimal(used),
        unlimited_quota=remain is None,
        fetched_at=MOMENT,
        **{name: Decimal(text) for name, text in credits.items()},
    )
    return Reading(profile, scope, unit, balance)


def failed(error: ApimartError, profile: str = "default", scope: Scope = Scope.KEY) -> Reading:
    return Reading(profile, scope, None, error)


def terminal(width: int, *, colour: bool = False, unicode: bool = True) -> Screen:
    return Screen(colour=colour, width=width, unicode=unicode)


def limits(min: str | None = None, max_used: str | None = None) -> Thresholds:
    return Thresholds(
        min=None if min is None else Decimal(min), max_used=None if max_used is None else Decimal(max_used)
    )


def check(
    readings: Sequence[Reading], thresholds: Thresholds, output: OutputFormat, screen: Screen = PIPE, **rules: bool
) -> str:
    """What `check` shows of these readings."""
    required = [thresholds] * len(readings)
    return render_checked(Checked(judge(readings, required, **rules), readings, required), output, screen)


AMOUNTS = [
    ("0", "0"),
    ("-0", "-0"),
    ("10.50", "10.50"),
    ("100.0", "100.0"),
    ("-3.25", "-3.25"),
    ("0.30000000000000004", "0.30000000000000004"),
    ("1E+2", "100"),
    ("1E-30", "0.000000000000000000000000000001"),
    ("999999999999999.123456789012345678901234", "999999999999999.123456789012345678901234"),
]


@pytest.mark.parametrize(("amount", "shown"), AMOUNTS)
@pytest.mark.parametrize("output", OutputFormat)
def test_amounts_keep_every_digit_in_every_format(amount: str, shown: str, output: OutputFormat) -> None:
    """Trailing zeros stay, exponents are written out, nothing is rounded."""
    text = render_readings([reading(amount, "7.10")], output, PIPE)
    assert re.search(rf"(?<![\d.-]){re.escape(shown)}(?![\d.])", text)
    if output is not VALUE:
        assert re.search(r"(?<![\d.-])7\.10(?![\d.])", text)


# --- json -------------------------------------------------------------------------------------------------------


def test_a_reading_is_one_line_of_json() -> None:
    """The documented fields, in the documented order, numbers as they were sent."""
    assert render_readings([reading("10.50", "2.3")], JSON, PIPE) == (
        '{"schema":1,"profile":"default","scope":"key","remain_balance":10.50,"used_balance":2.3,'
        '"unlimited_quota":false,"unit":null,"fetched_at":"2026-01-31T12:00:05Z"}\n'
    )


def test_an_unlimited_balance_is_null() -> None:
    """The sentinel of the gateway never reaches a script."""
    document = json.loads(render_readings([reading(None)], JSON, PIPE))
    assert (document["remain_balance"], document["unlimited_quota"]) == (None, True)


@pytest.mark.parametrize(
    ("remain", "credits", "shown"),
    [
        ("10.5", {}, {}),
        (
            "10.5",
            {"remain_credits": "105", "used_credits": "23"},
            {"remain_credits": 105, "used_credits": 23},
        ),
        ("10.5", {"remain_credits": "105"}, {"remain_credits": 105, "used_credits": None}),
        ("10.5", {"used_credits": "23"}, {"remain_credits": None, "used_credits": 23}),
        (None, {"used_credits": "0"}, {"remain_credits": None, "used_credits": 0}),
    ],
)
def test_credits_are_there_when_the_gateway_sends_them(
    remain: str | None, credits: Mapping[str, str], shown: Mapping[str, Any]
) -> None:
    """Two more fields, or none."""
    document = json.loads(render_readings([reading(remain, **credits)], JSON, PIPE))
    assert {name: value for name, value in document.items() if name.endswith("_credits")} == shown


def test_each_reading_has_a_line_of_its_own() -> None:
    """JSON Lines: `jq` reads one key and fifty alike; a failed reading says why in its place."""
    text = render_readings(
        [reading(unit="USD", profile="a"), failed(AUTH, "b", Scope.ACCOUNT), reading(None, profile="c")], JSON, PIPE
    )
    first, second, third = (json.loads(line) for line in text.splitlines())
    assert (first["profile"], first["unit"], third["profile"]) == ("a", "USD", "c")
    assert second == {
        "schema": 1,
        "profile": "b",
        "scope": "account",
        "error": {"code": "auth", "exit_code": 4, "message": "the key was rejected", "hint": "check the key"},
    }


def test_json_is_ascii_on_one_line() -> None:
    """Whatever a profile or a unit is called, any terminal and any log takes it, and it reads back the same."""
    odd = 'work "ä"\\ \u2028 🙂'
    text = render_readings([reading(profile=odd, unit="元")], JSON, PIPE)
    assert text.isascii()
    assert text.count("\n") == 1
    document = json.loads(text)
    assert (document["profile"], document["unit"]) == (odd, "元")


def test_json_never_carries_colours() -> None:
    """Not even on a terminal."""
    assert render_readings([reading()], JSON, terminal(20, colour=True)) == render_readings([reading()], JSON, PIPE)


@pytest.mark.parametrize(
    ("readings", "thresholds", "rules", "document"),
    [
        (
            [reading()],
            limits("5"),
            {},
            {"verdict": "pass", "exit_code": 0, "min": 5, "max_used": None, "stopped_by": []},
        ),
        (
            [reading()],
            limits("10.51", "3"),
            {},
            {"verdict": "below", "exit_code": 3, "min": 10.51, "max_used": 3, "stopped_by": ["default/key"]},
        ),
        (
            [reading(None)],
            limits("5"),
            {"unlimited_passes": False},
            {"verdict": "unlimited", "exit_code": 7, "min": 5, "max_used": None, "stopped_by": ["default/key"]},
        ),
        (
            [failed(AUTH)],
            limits(None, "5"),
            {},
            {"verdict": "error", "exit_code": 4, "min": None, "max_used": 5, "stopped_by": ["default/key"]},
        ),
        (
            [failed(UnavailableError("no answer"))],
            limits("5"),
            {"fail_open": True},
            {"verdict": "error", "exit_code": 0, "min": 5, "max_used": None, "stopped_by": ["default/key"]},
        ),
    ],
)
def test_a_verdict_is_one_document(
    readings: Sequence[Reading], thresholds: Thresholds, rules: Mapping[str, bool], document: Mapping[str, Any]
) -> None:
    """The verdict, the exit code, what was required, what stood against a pass, and what it rests on."""
    text = check(readings, thresholds, JSON, **rules)
    assert text.count("\n") == 1
    shown = json.loads(text)
    (judged,) = shown.pop("readings")
    assert shown == {"schema": 1, **document}
    assert list(json.loads(text)) == ["schema", "verdict", "exit_code", "min", "max_used", "stopped_by", "readings"]
    assert judged["verdict"] == document["verdict"]
    assert judged == {
        **json.loads(render_readings(readings, JSON, PIPE)),
        "min": document["min"],
        "max_used": document["max_used"],
        "verdict": document["verdict"],
    }


def test_the_thresholds_of_a_verdict_are_exact() -> None:
    """Numbers, with the digits that were typed."""
    assert '"min":0.30,"max_used":999999999999.999999,' in check(
        [reading()], limits("0.30", "999999999999.999999"), JSON
    )


def test_each_reading_of_a_verdict_has_its_own_word() -> None:
    """One that is below can be told from one that passed and one that failed."""
    readings = [reading("10"), reading("1"), failed(AUTH)]
    document = json.loads(check(readings, limits("5"), JSON))
    assert [judged["verdict"] for judged in document["readings"]] == ["pass", "below", "error"]
    assert document["verdict"] == "below"


def test_a_verdict_names_which_of_two_balances_stopped_it() -> None:
    """The key has enough, the account has not."""
    document = json.loads(check([reading("10"), reading("1", scope=Scope.ACCOUNT)], limits("5"), JSON))
    assert (document["verdict"], document["stopped_by"]) == ("below", ["default/account"])


def test_thresholds_that_profiles_have_of_their_own_stand_at_their_readings() -> None:
    """What all readings share is told once more for the verdict; what differs has no common number."""
    readings = [reading(profile="a"), reading(profile="b")]
    required = [limits("5", "3"), limits("7.50", "3")]
    checked = Checked(judge(readings, required), readings, required)
    document = json.loads(render_checked(checked, JSON, PIPE), parse_float=Decimal)
    assert (document["min"], document["max_used"]) == (None, 3)
    assert [(judged["min"], judged["max_used"]) for judged in document["readings"]] == [(5, 3), (Decimal("7.50"), 3)]


ERROR = UsageError("there is no threshold", "give --min")
_TOLD = {"code": "usage", "exit_code": 2, "message": "there is no threshold", "hint": "give --min"}


def test_an_error_before_any_reading_is_a_document_too() -> None:
    """`check` keeps the shape of a verdict, everything else that of a reading."""
    assert json.loads(render_error_as_json(ERROR, is_check=False)) == {
        "schema": 1,
        "profile": None,
        "scope": None,
        "error": _TOLD,
    }
    assert json.loads(render_error_as_json(ERROR, is_check=True)) == {
        "schema": 1,
        "verdict": "error",
        "exit_code": 2,
        "min": None,
        "max_used": None,
        "stopped_by": [],
        "readings": [],
        "error": _TOLD,
    }
    assert render_error_as_json(ERROR, is_check=True).count("\n") == 1


def test_other_documents_start_with_the_schema() -> None:
    """Whatever is printed as JSON says by which version."""
    assert render_document({"path": "/a b", "exists": False, "n": None}) == (
        '{"schema":1,"path":"/a b","exists":false,"n":null}\n'
    )


# --- value ------------------------------------------------------------------------------------------------------


def test_a_value_is_the_remaining_number_alone() -> None:
    """Without unit; an unlimited quota is a word; a failure leaves nothing to print."""
    assert render_readings([reading("10.50", unit="USD")], VALUE, PIPE) == "10.50\n"
    assert render_readings([reading(None)], VALUE, PIPE) == "unlimited\n"
    assert render_readings([failed(AUTH)], VALUE, PIPE) == ""
    assert check([reading("10.50", unit="USD")], limits("5"), VALUE) == "10.50\n"


def test_several_values_have_a_line_each_behind_their_names() -> None:
    """Name, tab, number; a failure keeps its line, so that the names are those that were asked for."""
    readings = [reading("1", profile="a"), failed(AUTH, "b\t\n", Scope.ACCOUNT), reading(None, profile="c")]
    lines = "a/key\t1\nb\\x09\\x0a/account\terror\nc/key\tunlimited\n"
    assert render_readings(readings, VALUE, terminal(20, colour=True)) == lines
    assert check(readings, limits("5"), VALUE) == lines
    streamed = [render_readings([each], VALUE, PIPE, asked=len(readings)) for each in readings]
    assert "".join(streamed) == lines


# --- what can be spent ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "account", "document", "value", "row"),
    [
        (
            reading("3.50", unit="USD"),
            reading("7", scope=Scope.ACCOUNT, unit="USD"),
            {"remain_balance": 3.5, "unlimited_quota": False, "limited_by": "key", "unit": "USD"},
            "3.50",
            ["3.50 USD", "-", "-", "limited by key"],
        ),
        (
            reading(None),
            reading("-2", scope=Scope.ACCOUNT),
            {"remain_balance": -2, "unlimited_quota": False, "limited_by": "account", "unit": None},
            "-2",
            ["-2", "-", "-", "limited by account"],
        ),
        (
            reading(None),
            reading(None, scope=Scope.ACCOUNT),
            {"remain_balance": None, "unlimited_quota": True, "limited_by": None, "unit": None},
            "unlimited",
            ["unlimited", "-", "-", "unlimited"],
        ),
        (
            reading("3"),
            failed(AUTH, scope=Scope.ACCOUNT),
            {"error": {"code": "auth", "exit_code": 4, "message": "the key was rejected", "hint": "check the key"}},
            "error",
            ["-", "-", "-", "unknown"],
        ),
    ],
)
def test_a_key_and_its_account_tell_what_can_be_spent(
    key: Reading, account: Reading, document: Mapping[str, Any], value: str, row: Sequence[str]
) -> None:
    """The smaller of the two follows them in every format; without both answers nobody knows."""
    both = [key, account]
    *_, last = render_readings(both, JSON, PIPE).splitlines()
    assert json.loads(last) == {"schema": 1, "profile": "default", "scope": "spendable", **document}
    *_, last = render_readings(both, VALUE, PIPE).splitlines()
    assert last == f"default/spendable\t{value}"
    *_, last_row = _cells(render_readings(both, TABLE, PIPE))
    assert last_row == ["default", "spendable", *row]


def test_only_a_key_and_its_own_account_are_compared() -> None:
    """Neither two profiles nor two keys have one number for what can be spent."""
    readings = [reading(profile="a"), reading(profile="b", scope=Scope.ACCOUNT), reading(profile="b")]
    for output in OutputFormat:
        assert "spendable" not in render_readings(readings, output, PIPE)


# --- table ------------------------------------------------------------------------------------------------------


def _cells(table: str) -> list[list[str]]:
    """The cells of a table by line; columns are three blanks apart."""
    return [re.split(r" {3,}", line.strip()) for line in table.splitlines()]


def test_a_table_has_these_columns() -> None:
    """Whose balance, what is left and used, the share that is left as a bar, and a word for it."""
    head, rule, *rows = _cells(render_readings([reading("82", "18", unit="USD")], TABLE, PIPE))
    assert head == ["Profile", "Scope", "Remaining", "Used", "Left", "Status"]
    assert set("".join(rule)) == {"─"}
    assert rows == [["default", "key", "82 USD", "18 USD", "████████░░  82 %", "ok"]]


def test_a_table_needs_no_more_than_ascii_where_there_is_no_more() -> None:
    """The same table for terminals and pipes that cannot write anything else."""
    text = render_readings([reading("82", "18"), reading(None)], TABLE, ASCII)
    assert text.isascii()
    assert "########..  82 %" in text
    unicode = render_readings([reading("82", "18"), reading(None)], TABLE, PIPE)
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
    row = render_readings([reading(remain, used)], TABLE, PIPE).splitlines()[2]
    assert re.search(rf" {{3}}{re.escape(left)} {{3,}}{status}$", row)


def test_an_unlimited_quota_has_no_unit() -> None:
    """`unlimited USD` would mean nothing; what was used has one."""
    row = _cells(render_readings([reading(None, "2.3", unit="USD")], TABLE, PIPE))[2]
    assert row[2:4] == ["unlimited", "2.3 USD"]


def test_a_failure_has_a_row_only_beside_others() -> None:
    """Alone, there is nothing to show: the message says it all."""
    assert render_readings([failed(AUTH)], TABLE, PIPE) == ""
    rows = _cells(render_readings([reading(), failed(AUTH, scope=Scope.ACCOUNT)], TABLE, PIPE))[2:]
    assert rows[1] == ["default", "account", "-", "-", "-", "error: auth"]


def test_a_pipe_gets_neither_escapes_nor_a_limit() -> None:
    """However long a line is, and whatever a profile is called, it is written whole."""
    text = render_readings([reading(profile="p" * 500)], TABLE, PIPE)
    assert "p" * 500 in text
    assert "\x1b" not in text
    assert not re.search(r" $", text, re.MULTILINE)


def test_a_profile_is_data() -> None:
    """Markup, emoji codes, escapes and line ends in a profile's name are shown, not obeyed."""
    text = render_readings([reading(profile="[red]x[/red] :smile: \x1b[31m\nb")], TABLE, PIPE)
    assert "[red]x[/red] :smile: \\x1b[31m\\x0ab" in text
    assert len(text.splitlines()) == 3


@pytest.mark.parametrize(
    ("remain", "used", "colour"), [("50", "50", "32"), ("1", "99", "33"), ("0", "5", "31"), (None, "5", "36")]
)
def test_a_colour_only_repeats_what_a_word_says(remain: str | None, used: str, colour: str) -> None:
    """Without the escapes the table is the same."""
    coloured = render_readings([reading(remain, used)], TABLE, terminal(80, colour=True))
    assert f"\x1b[{colour}m" in coloured
    plain = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert [line.rstrip() for line in plain.splitlines()] == (
        render_readings([reading(remain, used)], TABLE, PIPE).splitlines()
    )


LONGEST = "999999999999999.123456789012345678901234"


@pytest.mark.parametrize("width", [1, 10, 20, 30, 40, 50, 60, 70, 80, 100, 120, 200])
@pytest.mark.parametrize("screen", [{}, {"unicode": False}, {"colour": True}])
@pytest.mark.parametrize("amount", ["10.5", LONGEST])
def test_no_screen_is_so_narrow_that_a_number_is_cut(width: int, screen: Mapping[str, bool], amount: str) -> None:
    """A narrow screen costs the bar, then the columns, never a digit; a table that is shown fits."""
    readings = [reading(amount, LONGEST, unit="USD", profile="production"), reading("7.25", "0")]
    text = re.sub(r"\x1b\[[0-9;]*m", "", render_readings(readings, TABLE, terminal(width, **screen)))
    for number in (amount, LONGEST, "7.25"):
        assert re.search(rf"(?<![\d.]){re.escape(number)}(?![\d.])", text)
    assert "production" in text
    assert "…" not in text
    if "Remaining:" not in text:
        assert max(len(line) for line in text.splitlines()) <= width


def test_a_narrow_screen_costs_the_bar_first_then_the_columns() -> None:
    """Each layout is used down to the last column that it needs."""
    readings = [reading(), reading(scope=Scope.ACCOUNT)]
    widest = render_readings(readings, TABLE, PIPE)
    full = max(len(line) for line in widest.splitlines())
    assert render_readings(readings, TABLE, terminal(full)) == widest
    without_bar = render_readings(readings, TABLE, terminal(full - 1))
    assert "█" not in without_bar
    assert "82 %" in without_bar
    assert len(without_bar.splitlines()) == 5
    needed = max(len(line) for line in without_bar.splitlines())
    assert render_readings(readings, TABLE, terminal(needed)) == without_bar
    stacked = render_readings(readings, TABLE, terminal(needed - 1))
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
        "Used:      -",
        "Left:      -",
        "Status:    limited by key",
    ]


# --- the lines of check -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subject", "thresholds", "rules", "line"),
    [
        (reading(), limits("5"), {}, "PASS default/key: 10.5 left, at least 5 required"),
        (reading(), limits("10.50"), {}, "PASS default/key: 10.5 left, at least 10.50 required"),
        (reading(unit="USD"), limits("20"), {}, "BELOW default/key: 10.5 USD left, at least 20 USD required"),
        (reading(), limits(None, "2"), {}, "BELOW default/key: 10.5 left; 2.3 used, at most 2 allowed"),
        (
            reading(scope=Scope.ACCOUNT, profile="work", unit="USD"),
            limits("5", "3"),
            {},
            "PASS work/account: 10.5 USD left, at least 5 USD required; 2.3 USD used, at most 3 USD allowed",
        ),
        (reading(None), limits("5"), {}, "PASS default/key: unlimited quota, at least 5 required"),
        (
            reading(None, unit="USD"),
            limits("5"),
            {"unlimited_passes": False},
            "UNLIMITED default/key: unlimited quota, a limited one of 5 USD or more required",
        ),
        (reading(None), limits(None, "2"), {}, "BELOW default/key: unlimited quota; 2.3 used, at most 2 allowed"),
        (
            failed(PaymentRequiredError("no money")),
            limits("5", "3"),
            {},
            "BELOW default/key: the account cannot pay (HTTP 402); at least 5 required; at most 3 used allowed",
        ),
        (
            failed(PaymentRequiredError("no money")),
            limits(None, "3"),
            {},
            "BELOW default/key: the account cannot pay (HTTP 402); at most 3 used allowed",
        ),
    ],
)
def test_a_verdict_is_a_line_that_a_log_reader_understands(
    subject: Reading, thresholds: Thresholds, rules: Mapping[str, bool], line: str
) -> None:
    """The word, whose balance, what is there, what was required; exact, without colour."""
    assert check([subject], thresholds, TABLE, **rules) == f"{line}\n"


def test_several_readings_have_a_line_each() -> None:
    """Also one that failed beside others; alone, its message on standard error says it all."""
    readings = [reading(), failed(AUTH, "default", Scope.ACCOUNT)]
    assert check(readings, limits("5"), TABLE) == (
        "PASS default/key: 10.5 left, at least 5 required\nERROR default/account: no balance to judge (auth)\n"
    )
    assert check([failed(AUTH)], limits("5"), TABLE) == ""


@pytest.mark.parametrize(
    ("subject", "rules", "colour"),
    [(reading(), {}, "32"), (reading("1"), {}, "31"), (reading(None), {"unlimited_passes": False}, "33")],
)
def test_the_word_of_a_verdict_is_coloured_on_a_terminal(
    subject: Reading, rules: Mapping[str, bool], colour: str
) -> None:
    """Nothing else is, and without the escapes the line is the same."""
    coloured = check([subject], limits("5"), TABLE, terminal(80, colour=True), **rules)
    assert re.match(rf"\x1b\[{colour}m\x1b\[1m[A-Z]+\x1b\[0m default/key: ", coloured)
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == check([subject], limits("5"), TABLE, **rules)


@pytest.mark.parametrize("width", [1, 20, 40, 60])
def test_a_line_is_folded_at_its_spaces(width: int) -> None:
    """A narrow terminal would break it anywhere, in a number too."""
    text = check([reading(LONGEST, "2.3", unit="USD")], limits("5", "3"), TABLE, terminal(width))
    assert re.search(rf"(?<![\d.]){re.escape(LONGEST)}(?![\d.])", text)
    assert " ".join(text.split()) == " ".join(check([reading(LONGEST, unit="USD")], limits("5", "3"), TABLE).split())


def test_a_profile_in_a_verdict_is_data() -> None:
    """A name with a line end in it cannot fake a second verdict, nor command a CI runner."""
    text = check([reading("1", profile="x\nPASS ::error::y")], limits("5"), TABLE)
    assert text == "BELOW x\\x0aPASS :\\:error::y/key: 1 left, at least 5 required\n"


# --- settings ---------------------------------------------------------------------------------------------------

ROWS = [
    SettingRow("profile", "work", "--profile"),
    SettingRow("unit", None, "default"),
    SettingRow("base_url", "https://gateway.example", "profile work in /a\tb"),
]


def test_settings_are_aligned_columns() -> None:
    """Name, value, source; a setting without a value is a dash; foreign text is visible; profiles are a line apart."""
    shown = (
        "profile   work                     --profile\n"
        "unit      -                        default\n"
        "base_url  https://gateway.example  profile work in /a\\x09b\n"
    )
    assert render_settings([ROWS]) == shown
    assert render_settings([ROWS, ROWS[:1]]) == f"{shown}\nprofile  work  --profile\n"


def test_a_long_setting_does_not_push_the_others_aside() -> None:
    """What has no room in its column stands out of it; the sources of the other settings stay where eyes look."""
    rows = [*ROWS[:2], SettingRow("api_key", "not usable: " + 40 * "x", "CI_KEY")]
    assert render_settings([rows]) == (
        f"profile  work  --profile\nunit     -     default\napi_key  not usable: {40 * 'x'}  CI_KEY\n"
    )


def test_settings_are_one_json_document_a_profile() -> None:
    """Every setting by name, with its value and its source."""
    text = render_settings_as_json([ROWS])
    assert text.count("\n") == 1
    assert render_settings_as_json([ROWS, ROWS]) == text * 2
    assert json.loads(text) == {
        "schema": 1,
        "settings": {
            "profile": {"value": "work", "source": "--profile"},
            "unit": {"value": None, "source": "default"},
            "base_url": {"value": "https://gateway.example", "source": "profile work in /a\tb"},
        },
    }


# --- what it costs ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("output", "loads"), [("table", True), ("json", False), ("value", False)])
def test_only_a_table_loads_rich(output: str, loads: bool) -> None:
    """The other formats are written without it, and faster."""
    code = f"""
import sys
from apimart_cli.words import OutputFormat
from apimart_cli.output import prepare
prepare(OutputFormat({output!r}))
print("rich.table" in sys.modules)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert ended.stdout == f"{loads}\n"


def test_a_verdict_knows_its_words() -> None:
    """What is rendered is the gate's own verdict, not a second opinion."""
    verdict = Verdict(Outcome.BELOW, ExitCode.BELOW, (Outcome.BELOW,))
    text = render_checked(Checked(verdict, [reading()], [limits("5")]), TABLE, PIPE)
    assert text.startswith("BELOW ")
