"""An answer of the books that repeats a question: the answer to another question proves nothing."""

import json
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from apimart_cli.choices import UsageBy
from apimart_cli.errors import BadResponseError
from apimart_cli.gateway.answer import Answer
from apimart_cli.gateway.books import Query, interpret_books
from apimart_cli.keys.key import Redactor
from apimart_cli.rules.books import Period, Usage
from apimart_cli.words import Scope

PERIOD = Period(datetime(2026, 9, 16, tzinfo=UTC), datetime(2026, 9, 18, tzinfo=UTC))
START, END = (int(moment.timestamp()) for moment in PERIOD)


def understand(*, top: dict[str, Any] | None = None, data: dict[str, Any] | None = None, **item: Any) -> Usage:
    """Read an answer by model, about one key, with these fields in its three places."""
    spent = {"amount_usd": 1}
    whole = {"success": True, **(top or {})}
    whole["data"] = {"total": spent, "items": [{"model": "a", **spent, **item}], **(data or {})}
    query = Query(PERIOD, "UTC", ZoneInfo("UTC"), UsageBy.MODEL, Scope.KEY)
    answer = Answer(200, "", json.dumps(whole).encode())
    return interpret_books(answer, query=query, redactor=Redactor(), fetched_at=PERIOD.until)


@pytest.mark.parametrize("place", ["top", "data"])
@pytest.mark.parametrize(
    "fields",
    [
        {"scope": "account"},
        {"start": START + 3600},
        {"end": END - 3600},
        {"end": str(END - 3600)},
        {"start": "2026-09-16T00:00:00+08:00"},
        {"end": "2026-09-17T23:59:00Z"},
    ],
)
def test_the_answer_to_another_question_proves_nothing(place: str, fields: dict[str, Any]) -> None:
    """Another scope or another time, wherever it stands, as seconds or as a date."""
    with pytest.raises(BadResponseError, match="asked for"):
        understand(top=fields) if place == "top" else understand(data=fields)


@pytest.mark.parametrize("name", ["date", "day"])
def test_a_day_outside_of_the_period_proves_nothing(name: str) -> None:
    """Rows by model need no day; where they have one, it is of the time that was asked about."""
    assert understand(**{name: "2026-09-17"}).rows
    with pytest.raises(BadResponseError, match="a day in it that was not asked for"):
        understand(**{name: "2026-09-18"})


@pytest.mark.parametrize(
    "fields",
    [
        {"scope": "KEY", "start": START, "end": str(END)},
        {"start": "2026-09-16T00:00:00Z", "end": "2026-09-18T08:00:00.500+08:00"},
        {"scope": ["key"], "start": "last week", "end": {}},
        {"start": 10**300, "end": "2026-09-18T00:00:00"},
    ],
)
def test_what_agrees_or_cannot_be_read_is_left_out(fields: dict[str, Any]) -> None:
    """No whole answer has been seen: a form that is not known contradicts nothing."""
    assert understand(data=fields).rows
