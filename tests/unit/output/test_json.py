"""JSON: exact numbers, one document a line, and the contract of its fields."""

import json
import re
from collections.abc import Mapping, Sequence
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
    """The documented fields, in the documented order, numbers as they were sent, and no colour."""
    line = (
        '{"schema":1,"profile":"default","scope":"key","key_id":null,"remain_balance":10.50,"used_balance":2.3,'
        '"unlimited_quota":false,"unit":null,"fetched_at":"2026-01-31T12:00:05Z","forecast":null}\n'
    )
    assert show([reading("10.50")], JSON) == show([reading("10.50")], JSON, terminal(20, colour=True)) == line


@pytest.mark.parametrize(("credits", "shown"), [
    ({}, {}),
    ({"remain_credits": "105", "used_credits": "23"}, {"remain_credits": 105, "used_credits": 23}),
    ({"remain_credits": "105"}, {"remain_credits": 105, "used_credits": None}),
    ({"used_credits": "0"}, {"remain_credits": None, "used_credits": 0}),
])  # fmt: skip
def test_credits_are_there_when_the_gateway_sends_them(credits: Mapping[str, str], shown: Mapping[str, Any]) -> None:
    """Two more fields, or none."""
    document = json.loads(show([reading(**credits)], JSON))
    assert {name: value for name, value in document.items() if name.endswith("_credits")} == shown


def test_each_reading_has_a_line_of_its_own() -> None:
    """A failed one says why in its place; an unlimited one has no number."""
    readings = [
        reading(unit="USD", profile="a", key_id="0123456789ab"),
        failed(AUTH, "b", Scope.ACCOUNT),
        reading(None),
    ]
    first, second, third = (json.loads(line) for line in show(readings, JSON, PIPE).splitlines())
    assert (first["profile"], first["unit"], first["key_id"]) == ("a", "USD", "0123456789ab")
    assert second == {
        "schema": 1, "profile": "b", "scope": "account", "key_id": None,
        "error": {"code": "auth", "exit_code": 4, "message": "the key was rejected", "hint": "check the key"},
    }  # fmt: skip
    assert (third["remain_balance"], third["unlimited_quota"]) == (None, True)


def test_json_is_ascii_on_one_line() -> None:
    """Whatever a profile or a unit is called, it reads back the same."""
    odd = 'work "ä"\\ \u2028 🙂'
    text = show([reading(profile=odd, unit="元")], JSON)
    assert text.isascii()
    assert text.count("\n") == 1
    document = json.loads(text)
    assert (document["profile"], document["unit"]) == (odd, "元")


@pytest.mark.parametrize(("readings", "thresholds", "rules", "document"), [
    ([reading()], limits("5"), {}, {"verdict": "pass", "exit_code": 0, "min": 5, "max_used": None, "stopped_by": []}),
    ([reading(key_id="0123456789ab")], limits("10.51", "3"), {},
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
    names = ["schema", "verdict", "exit_code", "min", "max_used", "min_runway_days", "stopped_by", "readings", "spent"]
    assert list(shown) == names
    [judged] = shown.pop("readings")
    assert shown == {"schema": 1, "min_runway_days": None, "spent": [], **document}
    assert judged == {
        **json.loads(show(readings, JSON)), "min": document["min"], "max_used": document["max_used"],
        "min_runway_days": None, "verdict": document["verdict"],
    }  # fmt: skip


def test_each_reading_of_a_verdict_has_its_own_word() -> None:
    """And those that stopped it are named."""
    readings = [reading("10"), reading("1", scope=Scope.ACCOUNT), failed(AUTH, "b")]
    document = json.loads(check(readings, limits("5"), JSON))
    assert [judged["verdict"] for judged in document["readings"]] == ["pass", "below", "error"]
    assert (document["verdict"], document["stopped_by"]) == ("below", ["default/account", "b/key"])


def test_thresholds_that_profiles_have_of_their_own_stand_at_their_readings() -> None:
    """With the digits that were typed. What all readings share is told for the verdict; what differs is null there."""
    most = "999999999999.999999"
    verdict = judge([(reading(profile="a"), limits("0.30", most)), (reading(profile="b"), limits("7.50", most))])
    render = format_of(JSON).checked
    assert render is not None
    found = re.findall(r'"min":(.*?),"max_used":(.*?),', render(verdict, PIPE))
    assert found == [("null", most), ("0.30", most), ("7.50", most)]


def test_an_error_before_any_reading_is_a_document_too() -> None:
    """`check` keeps the shape of a verdict, everything else that of a reading."""
    error = UsageError("there is no threshold", "give --min")
    told = {"code": "usage", "exit_code": 2, "message": "there is no threshold", "hint": "give --min"}
    of_reading, of_check = (render_error_as_json(error, is_check=each) for each in (False, True))
    assert json.loads(of_reading) == {"schema": 1, "profile": None, "scope": None, "error": told}
    assert json.loads(of_check) == {
        "schema": 1, "verdict": "error", "exit_code": 2, "min": None, "max_used": None, "min_runway_days": None,
        "stopped_by": [], "readings": [], "spent": [], "error": told,
    }  # fmt: skip
    assert of_check.count("\n") == 1


def test_other_documents_start_with_the_schema() -> None:
    """Whatever is printed as JSON says by which version."""
    assert render_document({"path": "/a b", "exists": False, "n": None}) == (
        '{"schema":1,"path":"/a b","exists":false,"n":null}\n'
    )
