"""The sandbox's books: the same past as its readings, what the gateway refuses, and the failures to rehearse."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest

from apimart_cli.sandbox.books import AGO_OF_CHARGE, BURNING, Books, made_up
from apimart_cli.sandbox.scenario import Fault, Funds, Scenario
from apimart_cli.sandbox.server import SandboxAnswer, answer

END = datetime(2026, 11, 20, 10, tzinfo=UTC)
BEGAN = END + timedelta(seconds=60)
WHOLE = {"start": "2026-11-06T00:00:00Z", "end": "2026-11-21T00:00:00Z", "tz": "UTC"}
KEY = "Bearer sk-any"
FORTNIGHT = Scenario(days=14)


def asked(
    fields: dict[str, str], scenario: Scenario = FORTNIGHT, *, elapsed: float = 0.0, path: str = "/v1/usage"
) -> SandboxAnswer:
    return answer(f"{path}?{urlencode(fields)}", KEY, scenario, elapsed, lambda: Books(scenario, END, began=BEGAN))


def data(*arguments: Any, **named: Any) -> dict[str, Any]:
    told = asked(*arguments, **named)
    assert told.status == 200
    document = json.loads(told.body, parse_float=Decimal, parse_int=Decimal)
    assert document["success"] is True
    return dict(document["data"])


@pytest.mark.parametrize("used", ["2.3", "25.5", "0", "1000000.123456"])
def test_all_that_was_used_was_booked(used: str) -> None:
    """The charges are the rise of the made-up readings, each one before the reading that shows it."""
    charges = made_up(END, Funds(Decimal(1), Decimal(used)), 14, seed=1)
    assert sum(each.amount for each in charges) == Decimal(used)
    assert all(END - timedelta(days=14) <= each.at <= END - AGO_OF_CHARGE for each in charges)
    assert len({each.model for each in charges}) == (0 if used == "0" else 4)


@pytest.mark.parametrize("scope", ["key", "account"])
@pytest.mark.parametrize("group_by", ["model", "date", "model,date"])
def test_the_total_is_the_sum_of_the_items(scope: str, group_by: str) -> None:
    """Of amounts and counts, at both addresses, for the key and the account; 10 credits are a dollar."""
    fields = {**WHOLE, "scope": scope, "group_by": group_by}
    told = data(fields)
    assert told == data(fields, path="/usage")
    for name, total in told["total"].items():
        assert sum(item[name] for item in told["items"]) == total
    assert told["total"]["amount_usd"] == {"key": Decimal("2.3"), "account": Decimal("25.5")}[scope]
    assert told["total"]["credits"] == 10 * told["total"]["amount_usd"]
    groups = [tuple(item.get(name) for name in ("date", "model")) for item in told["items"]]
    assert len(set(groups)) == len(groups)
    assert all(
        (day is not None, model is not None) == ("date" in group_by, "model" in group_by) for day, model in groups
    )


def test_without_a_group_there_is_a_total_alone() -> None:
    """As the gateway's own default."""
    told = data(WHOLE)
    assert (told["items"], told["total"]["amount_usd"]) == ([], Decimal("2.3"))


def test_days_are_those_of_the_zone() -> None:
    """In Shanghai, which is the default, a day begins eight hours earlier."""
    fields = {"start": "2026-11-19T17:00:00Z", "end": "2026-11-20T10:00:00Z", "group_by": "date"}
    assert {item["date"] for item in data(fields)["items"]} == {"2026-11-20"}
    assert {item["date"] for item in data({**fields, "tz": "UTC"})["items"]} <= {"2026-11-19", "2026-11-20"}


def test_models_are_chosen_by_name() -> None:
    """Several of them after commas; one that was not used has nothing."""
    every = {item["model"]: item["amount_usd"] for item in data({**WHOLE, "group_by": "model"})["items"]}
    chosen = data({**WHOLE, "group_by": "model", "model": "gpt-5,gpt-5-mini,none"})
    assert {item["model"]: item["amount_usd"] for item in chosen["items"]} == {
        name: every[name] for name in ("gpt-5", "gpt-5-mini")
    }


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"start": ""}, "invalid_start"),
        ({"start": "yesterday"}, "invalid_start"),
        ({"start": "2026-11-06T00:00:00"}, "invalid_start"),
        ({"end": "9" * 30}, "invalid_end"),
        ({"end": WHOLE["start"]}, "invalid_range"),
        ({"start": "2026-10-20T23:59:59Z"}, "range_too_large"),
        ({"tz": "Mars/Olympus"}, "invalid_tz"),
        ({"tz": "../UTC"}, "invalid_tz"),
        ({"group_by": "hour"}, "invalid_group_by"),
        ({"scope": "both"}, "invalid_scope"),
        ({"model": ",".join("m" * 51)}, "too_many_models"),
    ],
)
def test_it_refuses_what_the_gateway_refuses(fields: dict[str, str], code: str) -> None:
    """With HTTP 400 and the documented code."""
    told = asked({**WHOLE, **fields})
    assert (told.status, json.loads(told.body)["error"]["code"]) == (400, code)


def test_the_longest_range_is_31_days() -> None:
    """To the second, and in Unix seconds."""
    start = int(END.timestamp())
    assert asked({"start": f"{start}", "end": f"{start + 31 * 86_400}"}).status == 200
    assert asked({"start": f"{start}", "end": f"{start + 31 * 86_400 + 1}"}).status == 400


def test_what_is_burnt_is_booked_each_second() -> None:
    """Until nothing is left; with a lag, in batches."""
    fields = {**WHOLE, "group_by": "model"}
    burning = Scenario(key=Funds(Decimal(5), Decimal(0)), burn=Decimal("0.5"))
    assert data(fields, burning, elapsed=0.9)["items"] == []
    [item] = data(fields, burning, elapsed=3.9)["items"]
    assert (item["model"], item["amount_usd"]) == (BURNING, Decimal("1.5"))
    assert data(fields, burning, elapsed=1000)["total"]["amount_usd"] == 5
    lagging = burning._replace(lag=3.0)
    assert data(fields, lagging, elapsed=5.9)["total"]["amount_usd"] == Decimal("1.5")


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (Fault.USAGE_UNAVAILABLE, 503, "usage_unavailable"),
        (Fault.USAGE_MISSING, 404, "not_found"),
    ],
)
def test_the_books_can_fail_alone(fault: Fault, status: int, code: str) -> None:
    """The balance is answered as ever."""
    scenario = Scenario(days=14, fault=fault)
    told = asked(WHOLE, scenario)
    assert (told.status, json.loads(told.body)["error"]["code"]) == (status, code)
    assert answer("/v1/balance", KEY, scenario, 0.0).status == 200


def test_a_wrong_total_contradicts_its_items() -> None:
    """By a dollar."""
    told = data({**WHOLE, "group_by": "model"}, Scenario(days=14, fault=Fault.USAGE_WRONG_TOTAL))
    assert told["total"]["amount_usd"] == sum(item["amount_usd"] for item in told["items"]) + 1


def test_every_other_fault_is_one_of_the_books_too() -> None:
    """The gateway as a whole fails; so does a question without a key."""
    for fault in Fault:
        if not fault.is_of_books and fault is not Fault.TIMEOUT:
            scenario = Scenario(fault=fault)
            assert asked(WHOLE, scenario) == answer("/v1/balance", KEY, scenario, 0.0)
    assert answer("/v1/usage", None, FORTNIGHT, 0.0, lambda: Books(FORTNIGHT, END, began=BEGAN)).status == 401
