"""The lines of `watch`: one for each change, for people and for programs."""

import json
from decimal import Decimal

import pytest

from apimart_cli.errors import PaymentRequiredError, UnavailableError
from apimart_cli.output.watched import below_in_words, change_as_json, change_as_line
from apimart_cli.rules.spending import TopUp
from apimart_cli.rules.trend import Change, View
from support.readings import MOMENT, failed, reading

D = Decimal
DOWN = UnavailableError("no answer", "try again later")
KNOWN = View(reading("8.50", "4.300", unit="USD", profile="work")._replace(low_below=D(9)), spent=D("2.000"))
UNKNOWN = View(failed(DOWN), failure=DOWN)


@pytest.mark.parametrize(("view", "changes", "told"), [
    (KNOWN, [Change.START], "work/key: 8.50 USD left, 2.000 USD spent"),
    (KNOWN, [Change.CHANGED, Change.BELOW], "work/key: 8.50 USD left, 2.000 USD spent; below 9 USD"),
    (KNOWN, [Change.ENOUGH], "work/key: 8.50 USD left, 2.000 USD spent; enough again"),
    (KNOWN, [Change.RECOVERED], "work/key: 8.50 USD left, 2.000 USD spent; answers again"),
    (KNOWN._replace(top_up=TopUp(MOMENT, D("5.0"))), [Change.TOP_UP],
     "work/key: 8.50 USD left, 2.000 USD spent; topped up by 5.0 USD"),
    (KNOWN._replace(top_up=TopUp(MOMENT, D("-5.0"))), [Change.CUT],
     "work/key: 8.50 USD left, 2.000 USD spent; cut by 5.0 USD"),
    (KNOWN._replace(failure=DOWN), [Change.FAILED], "work/key: last 8.50 USD left, 2.000 USD spent; error: no answer"),
    (UNKNOWN, [Change.START, Change.FAILED], "default/key: error: no answer"),
    (View(reading(None), spent=D(0)), [Change.START], "default/key: unlimited, 0 spent"),
])  # fmt: skip
def test_a_line_says_what_there_is_and_what_changed(view: View, changes: list[Change], told: str) -> None:
    """After the moment, in UTC."""
    assert change_as_line(view, changes, MOMENT) == f"2026-01-31T12:00:05Z {told}\n"


def test_a_document_is_the_reading_and_what_changed() -> None:
    """As `balance --json` has it, exact, on one line."""
    text = change_as_json(KNOWN, [Change.CHANGED], MOMENT)
    assert text.count("\n") == 1
    assert '"remain_balance":8.50,' in text
    assert text.endswith(
        '"at":"2026-01-31T12:00:05Z","changes":["changed"],"spent":2.000,"spent_per_hour":null,"top_up":null,'
        '"below":false}\n'
    )


def test_a_top_up_is_in_the_document_that_tells_of_it_alone() -> None:
    """Whoever adds them up counts none twice."""
    view = KNOWN._replace(top_up=TopUp(MOMENT, D("5.0")))
    assert json.loads(change_as_json(view, [Change.TOP_UP], MOMENT))["top_up"] == 5.0
    assert json.loads(change_as_json(view, [Change.CHANGED], MOMENT))["top_up"] is None


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
