"""Answers from the gateway's books: what was spent, and budgets for a time, as `usage` and `check` tell them."""

import json
from decimal import Decimal

import jsonschema
import pytest

from apimart_cli.agents.answers import Desk
from apimart_cli.agents.kept import MOST_QUESTIONS, ToolAnswer
from apimart_cli.agents.tools import tool_of
from apimart_cli.sandbox.scenario import Fault
from apimart_cli.sandbox.server import Sandbox
from support.running import KEY_ID, Call, Serve, connected


@pytest.fixture
def gateway(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A gateway with a fortnight in its books."""
    return _connected(serve(days=14), monkeypatch)


def _connected(gateway: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    monkeypatch.setattr("apimart_cli.gateway.question.FIRST_PAUSE", 0.01)
    for name, value in connected(gateway).items():
        monkeypatch.setenv(name, value)
    return gateway


def _ask(desk: Desk, name: str, **arguments: object) -> ToolAnswer:
    answer = desk.answer(name, arguments)
    jsonschema.validate(answer.document, tool_of(name).output)
    return answer


def test_usage_has_the_fields_of_the_command(gateway: Sandbox, call: Call) -> None:
    """With amounts as text; they add up."""
    document = _ask(Desk(), "usage", days=7, by="day,model").document
    printed = json.loads(call("usage", "--days", "7", "--by", "day,model", "--json").stdout)
    assert set(printed) | {"exit_code", "age_seconds"} == set(document)
    assert [set(row) for row in printed["rows"]] == [set(row) for row in document["rows"]]
    assert (document["key_id"], document["tz"], document["unit"]) == (KEY_ID, "Europe/Berlin", "USD")
    assert sum(Decimal(row["spent"]) for row in document["rows"]) == Decimal(document["total"]["spent"]) > 0


def test_what_the_books_cannot_be_asked_is_refused(gateway: Sandbox) -> None:
    """Without a question."""
    for tool, arguments, message in (
        ("usage", {"by": "hour"}, "by: 'hour' is no choice"),
        ("usage", {"scope": "both"}, "scope: 'both' is no choice"),
        ("usage", {"days": 0}, "days: '0' is not a number of days from 1 to 366"),
        ("usage", {"days": 367}, "days: '367' is not a number of days from 1 to 366"),
        # Half of a budget.
        ("check_budget", {"max_spent": "5"}, "max_spent (max_spent) has no time beside it"),
        ("check_budget", {"within": "24h"}, "within (within) has no amount beside it"),
        ("check_budget", {"max_spent": "5", "within": "32d"}, "within: '32d' is not between a minute and 31 days"),
    ):
        answer = _ask(Desk(), tool, **arguments)
        assert (answer.is_error, answer.document["error"]["code"]) == (True, "usage")
        assert answer.document["error"]["message"] == message


def test_a_budget_for_a_time_is_judged_by_the_books(gateway: Sandbox) -> None:
    """Alone, where no balance is looked at, and with another threshold, where both must hold."""
    enough = _ask(Desk(), "check_budget", max_spent="1000", within="24h").document
    assert (enough["verdict"], enough["readings"]) == ("pass", [])
    [spent] = enough["spent"]
    assert (spent["max_spent"], spent["within"], spent["verdict"]) == ("1000", "24", "pass")
    below = _ask(Desk(), "check_budget", max_spent=spent["spent"], within="24h", min="1000").document
    assert (below["verdict"], below["stopped_by"]) == ("below", ["default/spendable"])
    over = _ask(Desk(), "check_budget", max_spent="0", within="7d", min="1")
    assert (over.is_error, over.document["verdict"], over.document["stopped_by"]) == (False, "below", ["default/key"])


@pytest.mark.parametrize(
    ("fault", "code"), [(Fault.USAGE_UNAVAILABLE, 5), (Fault.USAGE_MISSING, 6), (Fault.USAGE_WRONG_TOTAL, 6)]
)
def test_books_that_tell_nothing_are_an_error(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, fault: Fault, code: int
) -> None:
    """Never zero, and never the word of the other verdict, also where the balance itself is enough."""
    _connected(serve(days=14, fault=fault), monkeypatch)
    monkeypatch.setenv("APIMART_TIMEOUT", "2")
    told = _ask(Desk(), "usage")
    assert (told.is_error, told.document["exit_code"]) == (True, code)
    assert "total" not in told.document
    judged = _ask(Desk(), "check_budget", max_spent="1000", within="24h", min="5")
    assert (judged.is_error, judged.document["exit_code"], judged.document["error"]["exit_code"]) == (True, code, code)
    assert "pass" not in json.dumps(judged.document).casefold()


def test_questions_for_the_books_count_each_by_itself(gateway: Sandbox) -> None:
    """A year is asked in twelve; what does not fit any more is answered from what was kept, and a budget is not."""
    desk = Desk()
    first = _ask(desk, "usage", days=7)
    for _ in range(MOST_QUESTIONS // 2 - 1):
        _ask(desk, "check_budget", max_spent="5", within="24h", scope="key", min="1")
    assert _ask(desk, "usage", days=366).document["error"]["code"] == "unavailable"
    assert _ask(desk, "usage", days=7).document["age_seconds"] == 0
    kept = _ask(desk, "usage", days=7).document
    assert (kept["age_seconds"] >= 1, kept["total"]) == (True, first.document["total"])
    refused = _ask(desk, "check_budget", max_spent="5", within="24h")
    assert (refused.is_error, refused.document["exit_code"]) == (True, 5)


def test_a_runway_that_is_not_known_is_an_error(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its code, and a way on."""
    _connected(serve(), monkeypatch)
    answer = _ask(Desk(), "check_budget", min_runway="3d", scope="both")
    assert (answer.is_error, answer.document["verdict"], answer.document["exit_code"]) == (True, "no_forecast", 8)
    assert answer.document["error"] == {
        "code": "no_forecast",
        "exit_code": 8,
        "message": "default/key: it is not known how long the balance lasts: no history",
        "hint": "check `min` alone, or try again in some days",
        "gateway_said": None,
    }
    assert "pass" not in json.dumps(answer.document).casefold()


def test_calls_that_wait_leave_no_room_for_more(gateway: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a gateway is silent, and whatever the time limit: what waits is bounded."""
    monkeypatch.setattr("apimart_cli.agents.answers.MOST_AT_ONCE", 0)
    for name in ("get_balance", "check_budget", "usage"):
        answer = _ask(Desk(), name, **({"min": "5"} if name == "check_budget" else {}))
        assert (answer.is_error, answer.document["error"]["exit_code"]) == (True, 5)
        assert "are waiting for the gateway already" in answer.document["error"]["message"]
