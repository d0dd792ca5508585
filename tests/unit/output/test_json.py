"""JSON: exact numbers, one document a line, and the contract of its fields."""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest

from apimart_cli.errors import UnavailableError, UsageError
from apimart_cli.output import format_of
from apimart_cli.output.json import render_document, render_error_as_json
from apimart_cli.rules.balance import Reading
from apimart_cli.rules.gate import Thresholds, judge
from apimart_cli.words import OutputFormat, Scope
from support.readings import AUTH, PIPE, check, failed, limits, reading, show, terminal

JSON = OutputFormat.JSON


def test_a_reading_is_one_line_of_json() -> None:
    """The documented fields, in the documented order, numbers as they were sent."""
    assert show([reading("10.50", "2.3")], JSON) == (
        '{"schema":1,"profile":"default","scope":"key","key_id":null,"remain_balance":10.50,"used_balance":2.3,'
        '"unlimited_quota":false,"unit":null,"fetched_at":"2026-01-31T12:00:05Z","forecast":null}\n'
    )


def test_a_reading_names_its_key_by_an_id() -> None:
    """Which of several keys it was can be told, and nothing of the key itself; null where there was none."""
    known, unknown = reading(key_id="0123456789ab"), failed(AUTH)
    first, second = (json.loads(line) for line in show([known, unknown], JSON).splitlines())
    assert (first["key_id"], second["key_id"]) == ("0123456789ab", None)
    (judged,) = json.loads(check([known], limits("5"), JSON))["readings"]
    assert judged["key_id"] == "0123456789ab"


def test_an_unlimited_balance_is_null() -> None:
    """The sentinel of the gateway never reaches a script."""
    document = json.loads(show([reading(None)], JSON))
    assert (document["remain_balance"], document["unlimited_quota"]) == (None, True)


@pytest.mark.parametrize(("remain", "credits", "shown"), [
    ("10.5", {}, {}),
    ("10.5", {"remain_credits": "105", "used_credits": "23"}, {"remain_credits": 105, "used_credits": 23}),
    ("10.5", {"remain_credits": "105"}, {"remain_credits": 105, "used_credits": None}),
    ("10.5", {"used_credits": "23"}, {"remain_credits": None, "used_credits": 23}),
    (None, {"used_credits": "0"}, {"remain_credits": None, "used_credits": 0}),
])  # fmt: skip
def test_credits_are_there_when_the_gateway_sends_them(
    remain: str | None, credits: Mapping[str, str], shown: Mapping[str, Any]
) -> None:
    """Two more fields, or none."""
    document = json.loads(show([reading(remain, **credits)], JSON))
    assert {name: value for name, value in document.items() if name.endswith("_credits")} == shown


def test_each_reading_has_a_line_of_its_own() -> None:
    """JSON Lines: `jq` reads one key and fifty alike; a failed reading says why in its place."""
    text = show(
        [reading(unit="USD", profile="a"), failed(AUTH, "b", Scope.ACCOUNT), reading(None, profile="c")], JSON, PIPE
    )
    first, second, third = (json.loads(line) for line in text.splitlines())
    assert (first["profile"], first["unit"], third["profile"]) == ("a", "USD", "c")
    assert second == {
        "schema": 1, "profile": "b", "scope": "account", "key_id": None,
        "error": {"code": "auth", "exit_code": 4, "message": "the key was rejected", "hint": "check the key"},
    }  # fmt: skip


def test_json_is_ascii_on_one_line() -> None:
    """Whatever a profile or a unit is called, any terminal and any log takes it, and it reads back the same."""
    odd = 'work "ä"\\ \u2028 🙂'
    text = show([reading(profile=odd, unit="元")], JSON)
    assert text.isascii()
    assert text.count("\n") == 1
    document = json.loads(text)
    assert (document["profile"], document["unit"]) == (odd, "元")


def test_json_never_carries_colours() -> None:
    """Not even on a terminal."""
    assert show([reading()], JSON, terminal(20, colour=True)) == show([reading()], JSON)


@pytest.mark.parametrize(("readings", "thresholds", "rules", "document"), [
    ([reading()], limits("5"), {}, {"verdict": "pass", "exit_code": 0, "min": 5, "max_used": None, "stopped_by": []}),
    ([reading()], limits("10.51", "3"), {},
     {"verdict": "below", "exit_code": 3, "min": 10.51, "max_used": 3, "stopped_by": ["default/key"]}),
    ([reading(None)], limits("5"), {"unlimited_passes": False},
     {"verdict": "unlimited", "exit_code": 7, "min": 5, "max_used": None, "stopped_by": ["default/key"]}),
    ([failed(AUTH)], limits(None, "5"), {},
     {"verdict": "error", "exit_code": 4, "min": None, "max_used": 5, "stopped_by": ["default/key"]}),
    ([failed(UnavailableError("no answer"))], limits("5"), {"fail_open": True},
     {"verdict": "error", "exit_code": 0, "min": 5, "max_used": None, "stopped_by": ["default/key"]}),
])  # fmt: skip
def test_a_verdict_is_one_document(
    readings: Sequence[Reading], thresholds: Thresholds, rules: Mapping[str, bool], document: Mapping[str, Any]
) -> None:
    """The verdict, the exit code, what was required, what stood against a pass, and what it rests on."""
    text = check(readings, thresholds, JSON, **rules)
    assert text.count("\n") == 1
    shown = json.loads(text)
    (judged,) = shown.pop("readings")
    assert shown == {"schema": 1, "min_runway_days": None, "spent": [], **document}
    names = ["schema", "verdict", "exit_code", "min", "max_used", "min_runway_days", "stopped_by", "readings", "spent"]
    assert list(json.loads(text)) == names
    assert judged["verdict"] == document["verdict"]
    assert judged == {
        **json.loads(show(readings, JSON)), "min": document["min"], "max_used": document["max_used"],
        "min_runway_days": None, "verdict": document["verdict"],
    }  # fmt: skip


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
    verdict = judge(zip(readings, [limits("5", "3"), limits("7.50", "3")], strict=True))
    render = format_of(JSON).checked
    assert render is not None
    document = json.loads(render(verdict, PIPE), parse_float=Decimal)
    assert (document["min"], document["max_used"]) == (None, 3)
    assert [(judged["min"], judged["max_used"]) for judged in document["readings"]] == [(5, 3), (Decimal("7.50"), 3)]


ERROR = UsageError("there is no threshold", "give --min")
_TOLD = {"code": "usage", "exit_code": 2, "message": "there is no threshold", "hint": "give --min"}


def test_an_error_before_any_reading_is_a_document_too() -> None:
    """`check` keeps the shape of a verdict, everything else that of a reading."""
    assert json.loads(render_error_as_json(ERROR, is_check=False)) == {
        "schema": 1, "profile": None, "scope": None, "error": _TOLD,
    }  # fmt: skip
    assert json.loads(render_error_as_json(ERROR, is_check=True)) == {
        "schema": 1, "verdict": "error", "exit_code": 2, "min": None, "max_used": None, "min_runway_days": None,
        "stopped_by": [], "readings": [], "spent": [], "error": _TOLD,
    }  # fmt: skip
    assert render_error_as_json(ERROR, is_check=True).count("\n") == 1


def test_other_documents_start_with_the_schema() -> None:
    """Whatever is printed as JSON says by which version."""
    assert render_document({"path": "/a b", "exists": False, "n": None}) == (
        '{"schema":1,"path":"/a b","exists":false,"n":null}\n'
    )
