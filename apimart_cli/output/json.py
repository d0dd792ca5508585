"""JSON Lines, schema 1: exact numbers, every digit that the gateway sent, ASCII."""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from apimart_cli.errors import ApimartError
from apimart_cli.output import Format, plain
from apimart_cli.rules.balance import Balance, Reading, with_spendable
from apimart_cli.rules.gate import Judged, Verdict
from apimart_cli.screen.writing import Screen
from apimart_cli.text import iso_time, without_commands, without_keys
from apimart_cli.words import Outcome, Scope

if TYPE_CHECKING:
    from apimart_cli.rules.budget import JudgedSpend

SCHEMA = 1
"""Version of the JSON documents. It changes when a field changes its meaning or is dropped."""


def _readings_as_json(readings: Sequence[Reading], _screen: Screen, _asked: int) -> str:
    return "".join(f"{_line(reading_document(reading))}\n" for reading in with_spendable(readings))


def _checked_as_json(verdict: Verdict, _screen: Screen) -> str:
    return f"{_line(verdict_document(verdict))}\n"


def verdict_document(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as the fields of its JSON."""
    judged = verdict.judged
    return {
        "schema": SCHEMA,
        "verdict": verdict.outcome.value,
        "exit_code": int(verdict.exit_code),
        "min": _common([each.thresholds.min for each in judged]),
        "max_used": _common([each.thresholds.max_used for each in judged]),
        "min_runway_days": _common([days_of(each.thresholds.min_runway) for each in judged]),
        "stopped_by": [
            *(without_keys(each.reading.name) for each in judged if each.outcome is not Outcome.PASS),
            *(without_keys(each.reading.name) for each in verdict.spends if each.outcome is not Outcome.PASS),
        ],
        "readings": [_judged_document(each) for each in judged],
        "spent": [_spent_document(each) for each in verdict.spends],
    }


def judged_as_json(judged: Sequence[Judged]) -> str:
    """Return the list of readings, as `check --json` has it."""
    return _line([_judged_document(each) for each in judged])


def _spent_document(judged: "JudgedSpend") -> dict[str, Any]:
    from apimart_cli.output.spent import document

    facts = {name: without_keys(value) if isinstance(value, str) else value for name, value in document(judged).items()}
    error = judged.reading.error
    return facts if error is None else {**facts, "error": error_document(error)}


def _judged_document(judged: Judged) -> dict[str, Any]:
    thresholds = judged.thresholds
    verdict = {
        "min": thresholds.min,
        "max_used": thresholds.max_used,
        "min_runway_days": days_of(thresholds.min_runway),
        "verdict": judged.outcome.value,
    }
    return {**reading_document(judged.reading), **verdict}


def days_of(duration: timedelta | None) -> Decimal | None:
    """Return a duration in days, with a fraction if there is one."""
    return None if duration is None else Decimal(duration // timedelta(microseconds=1)) / 86_400_000_000


def _common(thresholds: Sequence[Decimal | None]) -> Decimal | None:
    """Return the threshold of all readings; None if they differ."""
    return thresholds[0] if thresholds and all(each == thresholds[0] for each in thresholds) else None


def render_error_as_json(error: ApimartError, *, is_check: bool) -> str:
    """Return the document for an error that left nothing to show. That of `check` has the fields of a verdict."""
    if is_check:
        document: dict[str, Any] = {
            "schema": SCHEMA,
            "verdict": Outcome.ERROR.value,
            "exit_code": int(error.exit_code),
            "min": None,
            "max_used": None,
            "min_runway_days": None,
            "stopped_by": [],
            "readings": [],
            "spent": [],
        }
    else:
        document = {"schema": SCHEMA, "profile": None, "scope": None}
    return f"{_line({**document, 'error': error_document(error)})}\n"


def render_document(document: Mapping[str, Any]) -> str:
    """Return a document as one line of JSON, with the schema first."""
    return f"{_line({'schema': SCHEMA, **document})}\n"


def reading_document(reading: Reading) -> dict[str, Any]:
    """Return a reading as the fields of its JSON."""
    name = {
        "schema": SCHEMA,
        "profile": without_keys(reading.profile),
        "scope": reading.scope.value,
        "key_id": reading.key_id,
    }
    match reading.result:
        case Balance() as balance:
            facts = {**_balance_document(balance), "unit": reading.unit, "fetched_at": iso_time(balance.fetched_at)}
            return {**name, **facts, "forecast": _forecast_document(reading)}
        case error:
            return {**name, "error": error_document(error)}


def _forecast_document(reading: Reading) -> Mapping[str, Any] | None:
    if reading.forecast is None:
        return None
    from apimart_cli.output.runway import document

    return document(reading.forecast)


def _balance_document(balance: Balance) -> dict[str, Any]:
    document: dict[str, Any] = {
        "remain_balance": balance.remain_balance,
        "used_balance": balance.used_balance,
        "unlimited_quota": balance.unlimited_quota,
    }
    if balance.remain_credits is not None or balance.used_credits is not None:
        document |= {"remain_credits": balance.remain_credits, "used_credits": balance.used_credits}
    if balance.scope is Scope.SPENDABLE:
        document["limited_by"] = balance.limited_by and balance.limited_by.value
    return document


def error_document(error: ApimartError) -> dict[str, Any]:
    """Return an error as the fields of its JSON."""
    return {"code": error.code, "exit_code": int(error.exit_code), "message": error.message, "hint": error.hint}


def _line(value: Any) -> str:
    """Return JSON in ASCII on one line, in which no CI runner finds a command."""
    return without_commands(_encode(value))


def _encode(value: Any) -> str:
    """Return JSON in ASCII. Unlike the encoder of the library, it writes every digit of a Decimal."""
    match value:
        case Decimal():
            return plain(value)
        case dict():
            return "{" + ",".join(f"{json.dumps(name)}:{_encode(item)}" for name, item in value.items()) + "}"
        case list():
            return "[" + ",".join(map(_encode, value)) + "]"
        case _:
            return json.dumps(value)


FORMAT = Format(readings=_readings_as_json, checked=_checked_as_json, streams=True)
