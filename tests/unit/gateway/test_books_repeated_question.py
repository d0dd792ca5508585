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
from apimart_cli.keys.key import WITHHELD, ApiKey, Redactor
from apimart_cli.rules.books import Period, Usage
from apimart_cli.words import Scope
from support.running import KEY

PERIOD = Period(datetime(2026, 9, 16, tzinfo=UTC), datetime(2026, 9, 18, tzinfo=UTC))
START, END = (int(moment.timestamp()) for moment in PERIOD)


def understand(
    *, top: dict[str, Any] | None = None, data: dict[str, Any] | None = None, tz: str = "UTC", **item: Any
) -> Usage:
    """Read an answer by model, about one key, with these fields in its three places."""
    spent = {"amount_usd": 1}
    whole = {"success": True, **(top or {})}
    whole["data"] = {"total": spent, "items": [{"model": "a", **spent, **item}], **(data or {})}
    query = Query(PERIOD, tz, ZoneInfo(tz), UsageBy.MODEL, Scope.KEY)
    answer = Answer(200, "", json.dumps(whole).encode())
    return interpret_books(
        answer, query=query, redactor=Redactor(ApiKey(KEY, source="a test")), fetched_at=PERIOD.until
    )


@pytest.mark.parametrize("place", ["top", "data"])
@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("scope", "account", 'the string "account", and key was'),
        ("start", START + 2, f"the number {START + 2}, and another time was"),
        ("end", END - 3600, f"the number {END - 3600}, and another time was"),
        ("end", str(END - 3600), f'the string "{END - 3600}", and another time was'),
        ("start", "2026-09-16T00:00:00+08:00", 'the string "2026-09-16T00:00:00+08:00", and another time was'),
        ("end", "2026-09-17T23:59:00Z", 'the string "2026-09-17T23:59:00Z", and another time was'),
        ("scope", KEY, f'the string "{WITHHELD}", and key was'),
    ],
)
def test_the_answer_to_another_question_proves_nothing(place: str, name: str, value: Any, shown: str) -> None:
    """Another scope or another time, wherever it stands, as seconds or as a date; a key in it is not repeated."""
    with pytest.raises(BadResponseError) as refused:
        understand(top={name: value}) if place == "top" else understand(data={name: value})
    assert refused.value.message == f"the gateway's answer cannot be trusted: `{name}` is {shown} asked for"


@pytest.mark.parametrize("name", ["date", "day"])
def test_a_day_outside_of_the_period_proves_nothing(name: str) -> None:
    """Rows by model need no day; where they have one, it is of the time that was asked about."""
    assert understand(**{name: "2026-09-17"}).rows
    with pytest.raises(BadResponseError) as refused:
        understand(**{name: "2026-09-18"})
    assert refused.value.message.endswith(": it has a day in it that was not asked for")
    # Where it is evening in London, it is the next day in Kiritimati, 14 hours ahead.
    assert understand(**{name: "2026-09-18"}, tz="Pacific/Kiritimati").rows
    with pytest.raises(BadResponseError, match=r"`date` is the string \"soon\", not a day"):
        understand(**{name: "soon"})


@pytest.mark.parametrize(
    "fields",
    [
        {"scope": "KEY", "start": START, "end": str(END)},
        {"start": START + 1, "end": END - 1},
        {"start": "2026-09-16T00:00:00Z", "end": "2026-09-18T08:00:00.500+08:00"},
        {"scope": ["key"], "start": "last week", "end": {}},
        {"start": 10**300, "end": "2026-09-18T00:00:00"},
    ],
)
def test_what_agrees_or_cannot_be_read_is_left_out(fields: dict[str, Any]) -> None:
    """No whole answer has been seen: a form that is not known contradicts nothing."""
    assert understand(data=fields).rows
