"""What holds for every format, and the two shortest of them: the value alone, and a dotenv report."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from apimart_cli.commands.balance import ReadingsFormat
from apimart_cli.config.precedence import resolve
from apimart_cli.config.settings import Options
from apimart_cli.errors import UsageError
from apimart_cli.output import Format, format_of
from apimart_cli.readings.take import Taken
from apimart_cli.rules.balance import Reading
from apimart_cli.words import OutputFormat, Scope
from support.hostile_names import NAMES
from support.readings import AUTH, LONGEST, cells, check, failed, limits, reading, show, terminal

TABLE, JSON, VALUE, DOTENV = OutputFormat.TABLE, OutputFormat.JSON, OutputFormat.VALUE, OutputFormat.DOTENV
OF_READINGS = [OutputFormat(output.value) for output in ReadingsFormat]

AMOUNTS = [
    ("0", "0"), ("-0", "-0"), ("100.0", "100.0"), ("-3.25", "-3.25"), ("1E+2", "100"),
    ("1E-30", "0.000000000000000000000000000001"), (LONGEST, LONGEST),
]  # fmt: skip


@pytest.mark.parametrize("output", OF_READINGS)
def test_amounts_keep_every_digit_in_every_format(output: OutputFormat) -> None:
    """Trailing zeros stay, exponents are written out, nothing is rounded."""
    for amount, shown in AMOUNTS:
        text = show([reading(amount, "7.10")], output)
        assert re.search(rf"(?<![\d.-]){re.escape(shown)}(?![\d.])", text)
        assert output is VALUE or re.search(r"(?<![\d.-])7\.10(?![\d.])", text)


@pytest.mark.parametrize(("key", "account", "document", "value", "row"), [
    (reading("3.50", unit="USD"), reading("7", scope=Scope.ACCOUNT, unit="USD"),
     {"remain_balance": 3.5, "unlimited_quota": False, "limited_by": "key", "unit": "USD", "used_balance": 2.3},
     "3.50", ["3.50 USD", "2.3 USD", "-", "limited by key"]),
    (reading(None), reading("-2", scope=Scope.ACCOUNT),
     {"remain_balance": -2, "unlimited_quota": False, "limited_by": "account", "unit": None, "used_balance": 2.3},
     "-2", ["-2", "2.3", "-", "empty (account)"]),
    (reading(None), reading(None, scope=Scope.ACCOUNT),
     {"remain_balance": None, "unlimited_quota": True, "limited_by": None, "unit": None, "used_balance": 2.3},
     "unlimited", ["unlimited", "2.3", "-", "unlimited"]),
    (reading("3"), failed(AUTH, scope=Scope.ACCOUNT),
     {"error": {"code": "auth", "exit_code": 4, "message": "the key was rejected", "hint": "check the key"}}, "error",
     ["-", "-", "-", "error: auth"]),
])  # fmt: skip
def test_a_key_and_its_account_tell_what_can_be_spent(
    key: Reading, account: Reading, document: Mapping[str, Any], value: str, row: Sequence[str]
) -> None:
    """The smaller of the two follows them in every format; without both answers it is not known."""
    both = [key, account]
    *_, last = show(both, JSON).splitlines()
    shown = json.loads(last)
    assert shown.pop("forecast", None) is None
    assert shown.pop("fetched_at", None) == (None if "error" in document else "2026-01-31T12:00:05Z")
    assert shown == {"schema": 1, "profile": "default", "scope": "spendable", "key_id": None, **document}
    assert show(both, VALUE).splitlines()[-1] == f"default/spendable\t{value}"
    assert cells(show(both, TABLE))[-1] == ["default", "spendable", *row]


def test_only_a_key_and_its_own_account_are_compared() -> None:
    """Neither two profiles nor two keys have one number for what can be spent."""
    readings = [reading(profile="a"), reading(profile="b", scope=Scope.ACCOUNT), reading(profile="b")]
    for output in OF_READINGS:
        assert "spendable" not in show(readings, output)


def test_only_a_table_loads_something_while_the_answer_travels() -> None:
    """The other formats need no library."""
    assert [each for each in OutputFormat if format_of(each).prepare is not Format().prepare] == [TABLE]


@pytest.mark.parametrize("streams", [True, False])
def test_what_a_format_begins_with_comes_once(
    streams: bool, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Before the first readings, on standard output and in a file, streamed or not."""
    from apimart_cli.commands.balance import _write

    rows = Format(
        readings=lambda readings, _screen, _asked: "".join(f"{each.profile},10.5\n" for each in readings),
        head="profile,remaining\n",
        streams=streams,
    )
    [settings] = resolve(Options(), {"HOME": str(tmp_path)})
    taken = [Taken(settings, [reading(profile=name)]) for name in ("work", "home")]
    path = tmp_path / "rows.prom"
    assert len(_write(taken, rows, asked=2, path=None)) == 2
    _write(taken, rows._replace(streams=False), asked=2, path=path)
    assert capsys.readouterr().out == path.read_text() == "profile,remaining\nwork,10.5\nhome,10.5\n"


def test_a_value_is_the_remaining_number_alone() -> None:
    """Without unit; an unlimited quota is a word; a failure leaves nothing to print."""
    assert show([reading(None)], VALUE) == "unlimited\n"
    assert show([failed(AUTH)], VALUE) == ""
    usd = reading("10.50", unit="USD")
    assert show([usd], VALUE) == check([usd], limits("5"), VALUE) == "10.50\n"


def test_several_values_have_a_line_each_after_their_names() -> None:
    """Name, tab, number; a failure keeps its line."""
    readings = [reading("1", profile="a"), failed(AUTH, "b\t\n", Scope.ACCOUNT), reading(None, profile="c")]
    lines = "a/key\t1\nb\\x09\\x0a/account\terror\nc/key\tunlimited\n"
    assert show(readings, VALUE, terminal(20, colour=True)) == check(readings, limits("5"), VALUE) == lines
    assert "".join(show([each], VALUE, asked=len(readings)) for each in readings) == lines


def test_a_dotenv_report_has_four_variables() -> None:
    """With every digit; empty where the amount is not known, also where nothing was checked."""
    told = [
        check([each], limits("5"), DOTENV)
        for each in (reading("3.50", "7.10"), reading(LONGEST), reading(None), failed(AUTH))
    ]
    failed_ = format_of(DOTENV).failed
    assert failed_ is not None
    told.append(failed_(UsageError("no")))
    names = ("VERDICT", "EXIT_CODE", "REMAINING", "USED")
    wanted = ("below 3 3.50 7.10", f"pass 0 {LONGEST} 2.3", "pass 0 unlimited 2.3", "error 4  ", "error 2  ")
    for text, values in zip(told, wanted, strict=True):
        assert text == "".join(
            f"APIMART_{name}={value}\n" for name, value in zip(names, values.split(" "), strict=True)
        )


def test_nothing_foreign_is_in_a_dotenv_report() -> None:
    """Names and units have no place in it, and it stays below the 5 KB that GitLab takes."""
    text = check([reading("3", profile=name, unit=name) for name in NAMES], limits("5"), DOTENV)
    assert re.fullmatch(r"(?:APIMART_[A-Z_]+=[a-z0-9._]*\n){4}", text)
