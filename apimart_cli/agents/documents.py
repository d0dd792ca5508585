"""Answers as JSON objects: the fields of `--json`, amounts as text, and the gateway's words apart from ours.

A proof is a result, and so is a balance below a threshold. Everything else is an error, with its code and a hint, in
which no verdict of a single reading stands. It asks nothing.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from apimart_cli.agents.kept import ToolAnswer
from apimart_cli.errors import ApimartError, ExitCode
from apimart_cli.output import plain
from apimart_cli.output.json import SCHEMA, reading_document, verdict_document
from apimart_cli.output.runway import in_words, lasts
from apimart_cli.output.usage import usage_document
from apimart_cli.rules.balance import Reading, with_spendable
from apimart_cli.rules.books import BooksReading
from apimart_cli.rules.budget import JudgedSpend
from apimart_cli.rules.gate import Judged, Verdict, code_of_readings
from apimart_cli.words import Outcome

_LEFT_OUT = "[...]"
"""Stands in a message for words of the gateway."""

_A_VERDICT = Outcome.PASS.value
"""No error repeats this word: a model that reads quickly might take it for the verdict."""


def booked(reading: BooksReading) -> ToolAnswer:
    """Return what the books say."""
    error = reading.error
    code = int(error.exit_code) if error is not None else 0
    found: dict[str, Any] = {"schema": SCHEMA, "exit_code": code, "age_seconds": 0, **_in_text(usage_document(reading))}
    if error is not None:
        found["error"] = error_document(error, _quoted(reading))
    return ToolAnswer(found, is_error=error is not None)


def shown(readings: Sequence[Reading], *, with_words: bool) -> ToolAnswer:
    """Return balances, with their forecasts in words where asked for; as an error where one of them failed."""
    code = code_of_readings(readings)
    every = list(with_spendable(readings))
    document = {
        "schema": SCHEMA,
        "exit_code": int(code),
        "age_seconds": 0,
        "readings": [{**_document(each), **(_in_words(each) if with_words else {})} for each in every],
    }
    first = next((each for each in readings if each.error is not None and each.error.exit_code is code), None)
    return ToolAnswer(document) if first is None else ToolAnswer({**document, **_error_of(first)}, is_error=True)


def _in_words(reading: Reading) -> Mapping[str, str]:
    if reading.balance is None:
        return {}
    return {"lasts": lasts(reading.forecast, unlimited=reading.balance.unlimited_quota)}


def judged(verdict: Verdict) -> ToolAnswer:
    """Return a verdict; one that proves nothing as an error."""
    found = verdict_document(verdict)
    rows = [{**row, **_document(each.reading)} for row, each in zip(found["readings"], verdict.judged, strict=True)]
    spent = [{**row, **_error_of(each.reading)} for row, each in zip(found["spent"], verdict.spends, strict=True)]
    document = _in_text({**found, "readings": rows, "spent": spent})
    if verdict.outcome in {Outcome.PASS, Outcome.BELOW}:
        return ToolAnswer(document)
    for row in (*document["readings"], *document["spent"]):
        del row["verdict"]
    return ToolAnswer({**document, "error": _why(verdict)}, is_error=True)


def _why(verdict: Verdict) -> Mapping[str, Any]:
    """Return why a verdict proves nothing."""
    both: Sequence[Judged | JudgedSpend] = (*verdict.judged, *verdict.spends)
    untold = next((each.reading for each in both if each.reading.error is not None), None)
    if untold is not None and untold.error is not None:
        return error_document(untold.error, _quoted(untold))
    # No tool asks that an unlimited quota fail: what is left is a runway that is not known.
    first = next(each.reading for each in verdict.judged if each.outcome is Outcome.NO_FORECAST)
    message = f"{first.name}: it is not known how long the balance lasts: {in_words(first.forecast)}"
    return _error("no_forecast", verdict.exit_code, message, "check `min` alone, or try again in some days", [])


def _document(reading: Reading) -> dict[str, Any]:
    """Return a reading as the fields of its JSON, amounts as text, and words of the gateway in a field of their own."""
    return {**_in_text(reading_document(reading)), **_error_of(reading)}


def _error_of(reading: Reading | BooksReading) -> Mapping[str, Any]:
    """Return the error of a reading as a field, where there is one."""
    return {} if reading.error is None else {"error": error_document(reading.error, _quoted(reading))}


def _in_text(value: Any) -> Any:
    """Return a JSON value with every decimal number in it as text, with all its digits."""
    match value:
        case Decimal():
            return plain(value)
        case Mapping():
            return {name: _in_text(item) for name, item in value.items()}
        case list() | tuple():
            return [_in_text(item) for item in value]
        case _:
            return value


def _quoted(reading: Reading | BooksReading) -> list[str]:
    """Return the words of the gateway in the error of a reading, the longest first."""
    parts = reading.parts if isinstance(reading, Reading) else ()
    return sorted({text for each in (reading, *parts) for text in each.quoted}, key=len, reverse=True)


def error_document(error: ApimartError, quoted: Sequence[str]) -> Mapping[str, Any]:
    """Return an error as the fields of its JSON, with what it quotes of the gateway apart."""
    return _error(error.code, error.exit_code, error.message, error.hint, quoted)


def _error(code: str, exit_code: ExitCode, message: str, hint: str | None, quoted: Sequence[str]) -> Mapping[str, Any]:
    said: list[str] = []
    for text in quoted:
        before, found, after = message.rpartition(text)
        if found:
            message = f"{before}{_LEFT_OUT}{after}"
            said.append(text)
    told = "; ".join(said)
    return {
        "code": code,
        "exit_code": int(exit_code),
        "message": _for_agents(message),
        "hint": hint and _for_agents(hint),
        "gateway_said": None if not told or _A_VERDICT in told.casefold() else told,
    }


_OPTIONS = re.compile(r"--(min-runway|min|max-spent|within|days|by|scope|profile)\b")


def _for_agents(text: str) -> str:
    """Return a message with the names of arguments in place of those of options."""
    return _OPTIONS.sub(lambda found: found[1].replace("-", "_"), text)


def failed(error: ApimartError, *, is_check: bool) -> ToolAnswer:
    """Return the answer of a call that ended before there was a reading."""
    document: dict[str, Any] = {"schema": SCHEMA, "exit_code": int(error.exit_code)}
    if is_check:
        document |= {"verdict": Outcome.ERROR.value, "readings": [], "spent": []}
    return ToolAnswer({**document, "error": error_document(error, [])}, is_error=True)
